//! Scenes about processes as such: their starts and ends, and what ties them together.

use purlin_core::process::{MonitorAlias, MonitorOptions};
use purlin_core::*;

use super::{ended, held, until, worker};
use crate::held::Held;
use crate::servers::{Do, Echo, Note, Peek, Plan, Seen, Worker};

pub(super) async fn starting_and_stopping(_: Mailbox<AnyMsg>) {
    for i in 0..50 {
        let worker = worker(i).await;
        assert_eq!(worker.call(Peek).await.expect("it answers").value(), i);
        let copy = worker.clone();
        worker.stop().await.expect("it stops");
        assert!(copy.call(Peek).await.expect_err("it has ended").is_no_proc());
        assert_eq!(copy.stop().await, Err(StopError::NoProc));
    }
    let slow = Worker::start(Plan::Slowly(held(1))).await.expect("it starts");
    let reason = ExitReason::shutdown_with(3u8);
    slow.stop_with(reason, secs(30)).await.expect("it stops");
    let linked = Worker::start_link(Plan::Run(held(1))).await.expect("it starts");
    linked.stop().await.expect("it stops");
    let many: Vec<_> = {
        let mut many = Vec::new();
        for i in 0..300 {
            many.push(worker(i).await);
        }
        many
    };
    for worker in &many {
        process::exit(worker.pid(), ExitReason::Shutdown);
    }
    for worker in many {
        ended(worker.pid()).await;
    }
}

pub(super) async fn raw(mut mailbox: Mailbox<AnyMsg>) {
    let me = mailbox.address();
    for i in 0..50u64 {
        let back = me.clone();
        let echo = process::spawn(async move |mut mailbox: Mailbox<Held>| {
            let first = mailbox.receive().await;
            let big = mailbox.receive_map(|m| if m.value() > 100 { Ok(m) } else { Err(m) }).await;
            assert!(mailbox.receive_timeout(millis(0)).await.is_some(), "one is left");
            assert!(mailbox.try_receive().is_none(), "none is left");
            assert!(mailbox.is_empty());
            back.send((first, big));
        });
        echo.send(held(i));
        echo.send(held(i + 1));
        echo.send(held(i + 101));
        let (first, big) = mailbox.receive_as::<(Held, Held)>().await;
        assert_eq!((first.value(), big.value()), (i, i + 101));
        ended(echo.pid()).await;
        assert_eq!(echo.try_send(held(9)).expect_err("it has ended").value(), 9);
        echo.send(held(10));
    }
    // A ring that a value goes round.
    let mut next = me.clone();
    for _ in 0..100 {
        let to = next;
        let node = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
            let value = mailbox.receive().await.downcast::<Held>().expect("a value");
            to.send(value);
            mailbox.hibernate().await;
        });
        next = node;
    }
    next.send(held(77));
    assert_eq!(mailbox.receive_as::<Held>().await.value(), 77);
    assert!(mailbox.receive_map_timeout(millis(1), Ok::<AnyMsg, AnyMsg>).await.is_none(), "nothing more");
    // Those of the ring are hibernating for good.
    let label = process::spawn(async |mut mailbox: Mailbox<()>| {
        process::set_label("a label");
        process::set_label_text("another");
        mailbox.receive().await;
    });
    label.send(());
    ended(label.pid()).await;
}

pub(super) async fn links(mut mailbox: Mailbox<AnyMsg>) {
    mailbox.trap_exits(true);
    for i in 0..20u64 {
        let child = process::spawn_link(async move |_: Mailbox<()>| {
            if i % 2 == 0 {
                panic!("child {i}");
            }
        });
        let exit = mailbox.receive_as::<Exit>().await;
        assert_eq!((exit.from, exit.reason.is_normal()), (child.pid(), i % 2 == 1));
    }
    // A crowd, all linked to one, end with it.
    let hub = worker(0).await;
    let mut crowd = Vec::new();
    for i in 0..30 {
        let one = worker(i).await;
        one.call(Do::Link(hub.pid())).await.expect("it links");
        crowd.push(one);
    }
    crowd[0].call(Do::Unlink(hub.pid())).await.expect("it unlinks");
    crowd[1].call(Do::Trap(true)).await.expect("it traps");
    process::exit(hub.pid(), ExitReason::custom(held(5).value()));
    for one in &crowd[2..] {
        ended(one.pid()).await;
    }
    until("the trapping one has seen the exit", || {
        process::process_info(crowd[1].pid()).is_some_and(|i| i.links.is_empty())
    })
    .await;
    assert!(crowd[0].is_alive() && crowd[1].is_alive());
    crowd[1].stop().await.expect("it stops");
    crowd[0].stop().await.expect("it stops");
    // Linking with the dead.
    process::link(hub.pid()).expect("one who traps may");
    assert_eq!(mailbox.receive_as::<Exit>().await.reason, ExitReason::NoProc);
    process::unlink(hub.pid());
    // Two that link each other, and one of them is killed.
    let pair = (worker(1).await, worker(2).await);
    pair.0.call(Do::Link(pair.1.pid())).await.expect("it links");
    pair.1.call(Do::Link(pair.0.pid())).await.expect("it links");
    process::exit(pair.0.pid(), ExitReason::Kill);
    assert_eq!(process::wait(pair.1.pid()).await, ExitReason::Killed);
}

pub(super) async fn monitors(mut mailbox: Mailbox<AnyMsg>) {
    let down = async |mailbox: &mut Mailbox<AnyMsg>| mailbox.receive_as::<Down>().await;
    let worker_ = worker(1).await;
    let pid = worker_.pid();
    let refs: Vec<MonitorRef> = (0..20).map(|_| mailbox.monitor(pid)).collect();
    for one in &refs[..10] {
        assert!(mailbox.demonitor(*one));
        assert!(!mailbox.demonitor(*one));
    }
    let options = MonitorOptions {
        tag: Some(Term::new(String::from("tag"))),
        alias: Some(MonitorAlias::ReplyDemonitor),
    };
    let (tagged, alias) = mailbox.monitor_with(pid, options);
    let alias = alias.expect("an alias was asked for");
    worker_.call(Do::Monitor(mailbox.pid())).await.expect("it answers");
    worker_.call(Do::MonitorAndDemonitor(mailbox.pid())).await.expect("it answers");
    process::exit(pid, ExitReason::Kill);
    for _ in 0..=10 {
        let down = down(&mut mailbox).await;
        assert_eq!(down.reason, ExitReason::Killed);
        assert!(refs[10..].contains(&down.monitor) || down.monitor == tagged && down.tag.is_some());
    }
    alias.send(held(1));
    assert!(mailbox.try_receive().is_none(), "the alias is off and each monitor told once");
    mailbox.monitor(pid);
    assert_eq!(down(&mut mailbox).await.reason, ExitReason::NoProc);
    mailbox.monitor("nobody has this name");
    assert_eq!(down(&mut mailbox).await.pid, None);
    let (_, monitor) = process::spawn_monitor(async |_: Mailbox<()>| {});
    assert_eq!(down(&mut mailbox).await.monitor, monitor);
    let (_, monitor) = Worker::start(Plan::Run(held(1))).monitor().await.expect("it starts");
    assert!(mailbox.demonitor(monitor));
    let alias = mailbox.alias(AliasMode::Reply);
    let copy = alias.clone();
    alias.send(held(2));
    copy.send(held(3));
    assert_eq!(mailbox.receive_as::<Held>().await.value(), 2);
    let alias = mailbox.alias(AliasMode::ExplicitUnalias);
    alias.send(held(4));
    assert_eq!(mailbox.receive_as::<Held>().await.value(), 4);
    assert!(mailbox.unalias(&alias));
    alias.send(held(5));
    assert!(mailbox.try_receive().is_none());
    // Watchers that end before what they watch.
    let target = worker(3).await;
    for _ in 0..20 {
        let pid = target.pid();
        let watcher = process::spawn(async move |_: Mailbox<Down>| {
            process::monitor(pid);
        });
        ended(watcher.pid()).await;
    }
    target.stop().await.expect("it stops");
}

pub(super) async fn names(_: Mailbox<AnyMsg>) {
    const STATIC: Name<Worker> = Name::new("static name");
    for round in 0..10 {
        let first = Worker::start(Plan::Run(held(round))).name(&STATIC).await.expect("it starts");
        let taken = Worker::start(Plan::Run(held(round))).name(&STATIC).await;
        assert!(matches!(taken, Err(StartError::AlreadyStarted(pid)) if pid == first.pid()));
        assert_eq!(STATIC.call(Echo(held(5))).await.expect("it answers").value(), 5);
        STATIC.send(Note(held(6)));
        assert_eq!(STATIC.call(Seen).await.expect("it answers"), 1);
        let wrong: Name<purlin_core::Supervisor> = Name::from(String::from("static name"));
        assert!(wrong.count_children().await.is_err(), "another type has the name");
        if round % 2 == 0 {
            first.stop().await.expect("it stops");
        } else {
            process::exit(first.pid(), ExitReason::Kill);
            assert!(STATIC.whereis().is_none(), "a killed one has no name");
            ended(first.pid()).await;
        }
        assert!(STATIC.call(Peek).await.expect_err("nobody").is_no_proc());
    }
    let one = worker(1).await;
    process::register("made up", one.pid()).expect("the name is free");
    assert!(process::register("second", one.pid()).is_err());
    assert!(process::registered().iter().any(|name| &**name == "made up"));
    process::send_named("made up", Note(held(1))).expect("somebody has it");
    process::unregister("made up").expect("somebody has it");
    assert!(process::unregister("made up").is_err());
    assert!(process::send_named("made up", Note(held(1))).is_err());
    assert!(process::register("", one.pid()).is_err());
    one.stop().await.expect("it stops");
}

pub(super) async fn timers(mut mailbox: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    for _ in 0..20 {
        one.call(Do::TimerAndCancel).await.expect("it answers");
        one.call(Do::Timer(millis(1))).await.expect("it answers");
    }
    one.call(Do::Timer(secs(3600))).await.expect("it answers");
    seen(&one, 20).await;
    one.call(Do::Idle(millis(1))).await.expect("it answers");
    // Asking cancels an idle timeout, so the state is looked at from outside.
    let pid = one.pid();
    let before = reductions(pid);
    until("the idle timeout was handled", || reductions(pid) > before).await;
    one.call(Do::Continue(5)).await.expect("it answers");
    one.call(Do::Hibernate).await.expect("it answers");
    one.call(Do::Interval(millis(1))).await.expect("it answers");
    one.call(Do::Interval(secs(60))).await.expect("it answers");
    seen(&one, 20 + 1 + 6 + 5).await;
    one.stop().await.expect("it stops");
    assert!(mailbox.receive_timeout(millis(2)).await.is_none(), "nobody writes");
    process::sleep(millis(1)).await;
    drop(process::sleep(secs(60)));
}

/// Waits until a worker has seen so many messages, asking it.
async fn seen(worker: &Ref<Worker>, n: u64) {
    while worker.call(Seen).await.expect("it answers") < n {
        process::yield_now().await;
    }
}

fn reductions(pid: Pid) -> u32 {
    process::process_info(pid).map_or(0, |info| info.reductions)
}
