//! Scenes about supervisors and registries.

use purlin_core::supervisor::{ChildSpec, Restart};
use purlin_core::*;

use super::{ended, held, until};
use crate::held::Held;
use crate::servers::*;

const NAMES: [&str; 4] = ["child 0", "child 1", "child 2", "child 3"];

fn named(name: &'static str) -> Name<Worker> {
    Name::new(name)
}

pub(super) async fn supervisors(mut mailbox: Mailbox<AnyMsg>) {
    mailbox.trap_exits(true);
    for spec in [Supervisor::one_for_one(), Supervisor::one_for_all(), Supervisor::rest_for_one()] {
        let mut spec = spec.max_restarts(1000, secs(5));
        for (i, name) in NAMES.into_iter().enumerate() {
            spec = spec.child(Worker::child_spec(Plan::Run(held(i as u64))).name(name));
        }
        let value = held(9);
        spec = spec.child(ChildSpec::process("raw", move |mut mailbox: Mailbox<Held>| {
            let value = value.clone();
            async move {
                mailbox.receive().await;
                drop(value);
            }
        }));
        let supervisor = spec.start_link().await.expect("it starts");
        for round in 0..10usize {
            let name = NAMES[round % 4];
            let old = named(name).whereis().expect("it runs");
            match round % 3 {
                0 => _ = old.call(Crash(held(1), round % 2 == 0)).await.expect_err("it crashes"),
                1 => process::exit(old.pid(), ExitReason::Kill),
                _ => old.stop().await.expect("it stops"),
            }
            until("all run again", || {
                NAMES.iter().all(|n| process::whereis(n).is_some_and(|pid| pid != old.pid()))
            })
            .await;
            assert_eq!(supervisor.count_children().await.expect("it answers").active, 5);
        }
        let extra = Worker::child_spec(Plan::Run(held(5))).id("extra").restart(Restart::Transient);
        let pid = supervisor.start_child(extra).await.expect("it starts").expect("it has a process");
        supervisor.terminate_child("extra").await.expect("it is there");
        ended(pid).await;
        supervisor.restart_child("extra").await.expect("it starts").expect("it has a process");
        supervisor.terminate_child("extra").await.expect("it is there");
        supervisor.delete_child("extra").await.expect("it is there");
        assert!(supervisor.delete_child("extra").await.is_err());
        let failing = Worker::child_spec(Plan::Panic(held(6))).id("failing");
        assert!(supervisor.start_child(failing).await.is_err());
        let ignoring = Worker::child_spec(Plan::Ignore(held(6))).id("ignoring");
        assert_eq!(supervisor.start_child(ignoring).await.expect("it is kept"), None);
        assert_eq!(supervisor.which_children().await.expect("it answers").len(), 6);
        supervisor.stop().await.expect("it stops");
        assert!(NAMES.iter().all(|n| process::whereis(n).is_none()));
    }
    // One that gives up, below another one that does not.
    let inner = Supervisor::one_for_one()
        .max_restarts(1, secs(5))
        .child(Worker::child_spec(Plan::Run(held(1))).name(NAMES[0]));
    let outer = Supervisor::one_for_one().child(inner.child_spec()).start_link().await.expect("it starts");
    let supervisor = named(NAMES[0]).whereis().expect("it runs");
    let first = sys::get_status(supervisor.pid()).await.expect("it serves").parent.expect("it has a parent");
    for _ in 0..2 {
        let old = named(NAMES[0]).whereis().expect("it runs");
        old.call(Crash(held(1), false)).await.expect_err("it crashes");
        until("it runs again", || process::whereis(NAMES[0]).is_some_and(|pid| pid != old.pid())).await;
    }
    ended(first).await;
    outer.stop().await.expect("it stops");
    // One whose start fails half way.
    let half = Supervisor::one_for_one()
        .child(Worker::child_spec(Plan::Run(held(1))).name(NAMES[0]))
        .child(Worker::child_spec(Plan::Refuse(held(2))).id("refuses"));
    half.start_link().await.expect_err("a child refuses");
    assert!(process::whereis(NAMES[0]).is_none());
    // One that is killed: its children go with it.
    let killed = Supervisor::one_for_one()
        .child(Worker::child_spec(Plan::TrapExits(held(1))).name(NAMES[0]))
        .child(Worker::child_spec(Plan::Run(held(1))).name(NAMES[1]))
        .start_link()
        .await
        .expect("it starts");
    process::exit(killed.pid(), ExitReason::Kill);
    ended(killed.pid()).await;
    until("its children are gone", || NAMES.iter().all(|n| process::whereis(n).is_none())).await;
}

pub(super) async fn dynamic(_: Mailbox<AnyMsg>) {
    let supervisor = DynamicSupervisor::new().max_restarts(100_000, secs(5)).max_children(200).start_link();
    let supervisor = supervisor.await.expect("it starts");
    let mut children = Vec::new();
    for i in 0..200 {
        let child = Worker::child_spec(Plan::Run(held(i)));
        children.push(supervisor.start_child(child).await.expect("there is room"));
    }
    assert!(supervisor.start_child(Worker::child_spec(Plan::Run(held(1)))).await.is_err(), "it is full");
    for child in children.iter().step_by(2) {
        process::exit(child.pid(), ExitReason::Kill);
    }
    for child in children.iter().step_by(2) {
        ended(child.pid()).await;
    }
    while supervisor.count_children().await.expect("it answers").active < 200 {
        process::yield_now().await;
    }
    for child in children.iter().skip(1).step_by(2).take(50) {
        supervisor.terminate_child(child.pid()).await.expect("it is there");
    }
    assert!(supervisor.terminate_child(children[1].pid()).await.is_err());
    let temporary = Worker::child_spec(Plan::Run(held(1))).restart(Restart::Temporary);
    let temporary = supervisor.start_child(temporary).await.expect("it starts");
    temporary.call(Crash(held(1), true)).await.expect_err("it crashes");
    assert!(supervisor.start_child(Worker::child_spec(Plan::Ignore(held(1)))).await.is_err());
    assert!(supervisor.start_child(Worker::child_spec(Plan::Panic(held(1)))).await.is_err());
    supervisor.stop().await.expect("it stops");
    assert!(children.iter().all(|child| !child.is_alive()));
    let sized = DynamicSupervisor::with_extra(held(3)).start_link().await.expect("it starts");
    let child = sized.start_child_with(|extra: &Held| Worker::child_spec(Plan::Run(extra.clone())));
    let child = child.await.expect("it starts");
    assert_eq!(child.call(Peek).await.expect("it answers").value(), 3);
    sized.stop().await.expect("it stops");
}

pub(super) async fn registries(_: Mailbox<AnyMsg>) {
    let unique: Registry<String, Held> =
        Registry::unique("unique").partitions(2).meta("size", 3u8).start().await.expect("it starts");
    let many: Registry<u32> = Registry::duplicate("many").start().await.expect("it starts");
    for round in 0..5u64 {
        let mut members = Vec::new();
        for i in 0..20u64 {
            let (unique, many) = (unique.clone(), many.clone());
            members.push(process::spawn(async move |mut mailbox: Mailbox<Held>| {
                let key = format!("key {i}");
                unique.register(key.clone(), held(i)).expect("the key is free");
                unique.register(key.clone(), held(i)).expect_err("the key is taken");
                let (new, old) = unique.update_value(&key, |old| held(old.value() + 1)).expect("it is ours");
                assert_eq!((new.value(), old.value()), (i + 1, i));
                many.register((i % 3) as u32, ()).expect("keys may be shared");
                mailbox.receive().await;
                if i % 2 == 0 {
                    unique.unregister(&key).expect("it is ours");
                }
            }));
        }
        while unique.count().expect("it runs") < 20 || many.count().expect("it runs") < 20 {
            process::yield_now().await;
        }
        assert_eq!(unique.whereis("key 7").expect("it runs"), Some(members[7].pid()));
        assert_eq!(many.lookup(&0).expect("it runs").len(), 7);
        unique.dispatch("key 3", |entries| assert_eq!(entries.len(), 1)).expect("it runs");
        assert_eq!(unique.keys(members[4].pid()).expect("it runs"), ["key 4"]);
        assert_eq!(unique.values("key 4", members[4].pid()).expect("it runs").len(), 1);
        for (i, member) in members.iter().enumerate() {
            if (i as u64 + round).is_multiple_of(3) {
                process::exit(member.pid(), ExitReason::Kill);
            } else {
                member.send(held(1));
            }
        }
        for member in members {
            ended(member.pid()).await;
        }
        assert_eq!((unique.count(), many.count()), (Ok(0), Ok(0)));
    }
    assert_eq!(unique.meta::<u8>("size"), Ok(Some(3)));
    unique.put_meta("value", std::sync::Arc::new(held(1))).expect("it runs");
    let via: Name<Worker> = unique.via_with("server".to_owned(), held(8));
    let server = Worker::start(Plan::Run(held(9))).name(&via).await.expect("it starts");
    assert_eq!(via.call(Peek).await.expect("it answers").value(), 9);
    let second = Worker::start(Plan::Run(held(9))).name(&via).await;
    assert!(matches!(second, Err(StartError::AlreadyStarted(pid)) if pid == server.pid()));
    // The registry's end takes along who is registered.
    unique.server().expect("it runs").stop().await.expect("it stops");
    assert!(unique.count().is_err());
    many.server().expect("it runs").stop().await.expect("it stops");
    process::exit(server.pid(), ExitReason::Kill);
    process::wait(server.pid()).await;
}
