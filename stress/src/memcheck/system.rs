//! Scenes about looking in from outside: `sys`, telemetry, process-local values, other nodes, plain threads.

use purlin_core::process::local;
use purlin_core::telemetry::events;
use purlin_core::*;

use super::{ended, held, until, worker};
use crate::held::Held;
use crate::servers::*;

pub(super) async fn sys(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    let pid = one.pid();
    for i in 0..20 {
        assert_eq!(sys::get_state(&one).await.expect("it serves").seen, i);
        let new = sys::replace_state(&one, |mut old| {
            old.held = held(50);
            old.seen += 1;
            old
        });
        assert_eq!(new.await.expect("it serves").seen, i + 1);
        let kept = sys::inspect_state(&one, |state| state.held.clone()).await.expect("it serves");
        assert_eq!(kept.value(), 50);
    }
    let value = held(9);
    let panicked = sys::inspect_state(&one, move |_| {
        if value.value() == 9 {
            panic!("asked to");
        }
    });
    assert!(panicked.await.is_err());
    sys::trace(pid, true).await.expect("it serves");
    sys::log_keeping(pid, 5).await.expect("it serves");
    sys::statistics(pid, true).await.expect("it serves");
    for i in 0..20 {
        one.cast(Count(held(i)));
        one.call(Echo(held(i))).await.expect("it answers");
        one.call(Peek).await.expect("it answers");
    }
    assert!(!sys::get_log(pid).await.expect("it serves").is_empty());
    assert!(sys::get_statistics(pid).await.expect("it serves").is_some());
    let status = sys::get_status(pid).await.expect("it serves");
    assert!(status.debugged && status.state.contains("has seen"), "{status:?}");
    sys::trace(pid, false).await.expect("it serves");
    sys::log(pid, false).await.expect("it serves");
    sys::statistics(pid, false).await.expect("it serves");
    sys::suspend(pid).await.expect("it serves");
    let late = one.call(Echo(held(1))).timeout(millis(1)).await.expect_err("it is suspended");
    assert!(late.is_timeout());
    sys::resume(pid).await.expect("it serves");
    assert_eq!(one.call(Echo(held(2))).await.expect("it answers").value(), 2);
    sys::suspend(pid).await.expect("it serves");
    sys::terminate(pid, ExitReason::Shutdown).await.expect("it stops");
    assert!(sys::get_status(pid).await.is_err());
    let raw = process::spawn(async |mut mailbox: Mailbox<Held>| {
        mailbox.receive().await;
        mailbox.receive().await;
    });
    sys::get_status(raw.pid()).await.expect("it serves");
    sys::suspend(raw.pid()).await.expect("it serves");
    raw.send(held(1));
    sys::resume(raw.pid()).await.expect("it serves");
    raw.send(held(2));
    ended(raw.pid()).await;
}

pub(super) async fn telemetry(_: Mailbox<AnyMsg>) {
    const OWN: &[&str] = &["stress", "own"];
    let node = Node::current();
    let telemetry = node.telemetry();
    let value = held(1);
    telemetry
        .attach_many("everything", events::ALL, move |event| {
            assert_eq!(value.value(), 1);
            let text = format!("{event:?}");
            assert!(!text.is_empty());
        })
        .expect("the id is free");
    let other = held(2);
    telemetry.attach("panics", OWN, move |_| panic!("handler {}", other.value())).expect("the id is free");
    assert!(telemetry.attach("panics", OWN, |_| {}).is_err());
    telemetry.execute_with(OWN, || ([("n", 1u64.into())], [("name", "x".into())]));
    assert!(!telemetry.has_handlers(OWN), "one that panics is detached");
    for i in 0..10 {
        let one = worker(i).await;
        one.call(Crash(held(i), false)).await.expect_err("it crashes");
        one.cast(Count(held(i)));
        process::send(worker(i).await.pid(), held(i));
    }
    telemetry.attach("span", &["stress", "span", "stop"], |_| {}).expect("the id is free");
    assert_eq!(telemetry.span(&["stress", "span"], [("k", 1u64.into())], || 5), 5);
    assert_eq!(telemetry.span_async(&["stress", "span"], (), async { 6 }).await, 6);
    drop(telemetry.span_async(&["stress", "span"], (), async { held(1) }));
    assert_eq!(telemetry.list_handlers(&["stress"]).len(), 1);
    telemetry.detach("span").expect("it is attached");
    telemetry.detach("everything").expect("it is attached");
}

pub(super) async fn locals(_: Mailbox<AnyMsg>) {
    for i in 0..20 {
        let one = process::spawn(async move |mut mailbox: Mailbox<Held>| {
            assert!(local::put(held(i)).is_none());
            assert_eq!(local::put(held(i + 1)).expect("one was there").value(), i);
            assert_eq!(local::with(|h: &Held| h.value()), Some(i + 1));
            local::put((held(1), held(2)));
            assert!(local::take::<(Held, Held)>().is_some());
            mailbox.receive().await;
        });
        until("it waits", || {
            process::process_info(one.pid()).is_some_and(|i| i.status == process::ProcessStatus::Waiting)
        })
        .await;
        let info = process::process_info(one.pid()).expect("it is alive");
        assert!(!format!("{info:?}").is_empty());
        assert!(process::processes().contains(&one.pid()));
        if i % 2 == 0 {
            process::exit(one.pid(), ExitReason::Kill);
        } else {
            one.send(held(1));
        }
        ended(one.pid()).await;
    }
}

pub(super) async fn nodes(_: Mailbox<AnyMsg>) {
    let here = worker(1).await;
    let other = Node::builder().name("other").watchdog(false).start();
    let there = Worker::start(Plan::Run(held(2))).node(&other).await.expect("it starts");
    assert_eq!(there.call(Echo(held(3))).await.expect("it answers").value(), 3);
    assert_eq!(there.call(Peek).await.expect("it answers").value(), 2);
    there.cast(Count(held(4)));
    process::send(there.pid(), Note(held(5)));
    let hub = there.clone();
    let near = here.clone();
    other
        .scope(async move {
            assert_eq!(near.call(Echo(held(6))).await.expect("it answers").value(), 6);
            hub.call(Do::Timer(secs(60))).await.expect("it answers");
        })
        .await;
    // A plain thread.
    let (node, target) = (Node::current(), here.clone());
    let thread = std::thread::spawn(move || {
        let entered = node.enter();
        target.cast(Count(held(1)));
        let raw = process::spawn(async |mut mailbox: Mailbox<Held>| {
            mailbox.receive().await;
        });
        raw.send(held(2));
        drop(entered);
        raw.pid()
    });
    until("the thread is done", || thread.is_finished()).await;
    let pid = thread.join().expect("the thread does not panic");
    process::wait(pid).await;
    let left = there.clone();
    // Stopped by a task: a process of one node may stop another node.
    other.shutdown().await;
    assert!(left.call(Peek).await.is_err());
    drop(other);
    here.stop().await.expect("it stops");
}

/// Leaves all kinds of processes to the node's shutdown.
pub(super) async fn left_behind(_: Mailbox<AnyMsg>) {
    for i in 0..10 {
        let one = worker(i).await;
        one.call(Do::Timer(secs(60))).await.expect("it answers");
        one.call(Do::Interval(secs(60))).await.expect("it answers");
        if i < 2 {
            let trapping = Worker::start(Plan::TrapExits(held(i))).await.expect("it starts");
            trapping.cast(Count(held(i)));
        }
        let hanging = worker(i).await;
        hanging.cast(Stick(held(i)));
        hanging.cast(Count(held(i)));
        let suspended = worker(i).await;
        sys::suspend(suspended.pid()).await.expect("it suspends");
        suspended.cast(Count(held(i)));
        let raw = process::spawn(async |mut mailbox: Mailbox<Held>| {
            let _first = mailbox.receive().await;
            std::future::pending::<()>().await;
        });
        raw.send(held(i));
        raw.send(held(i));
    }
}
