//! A registry tells its listeners of every registration, and dispatches in parallel: all at once, waited for, and panics come back.

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use purlin_core::*;

type Event = RegistryEvent<&'static str, u8>;

/// A server that keeps what it is told.
struct Audit(Vec<Event>);
struct Told;

impl GenServer for Audit {
    type Args = ();

    async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Audit(Vec::new()))
    }
}

impl HandleInfo<Event> for Audit {
    async fn handle_info(&mut self, event: Event, _: &mut Cx<Self>) {
        self.0.push(event);
    }
}

impl HandleCall<Told> for Audit {
    type Reply = Vec<Event>;

    async fn handle_call(&mut self, _: Told, _: &mut Cx<Self>) -> Vec<Event> {
        std::mem::take(&mut self.0)
    }
}

const AUDIT: Name<Audit> = Name::new("audit");

fn register(key: &'static str, pid: Pid, value: u8) -> Event {
    RegistryEvent::Register { registry: "r".into(), key, pid, value }
}

fn unregister(key: &'static str, pid: Pid) -> Event {
    RegistryEvent::Unregister { registry: "r".into(), key, pid }
}

#[test]
fn r31_a_listener_hears_of_registrations_and_of_entries_taken_out_in_order() {
    on_every_path(async |me: Me| {
        let me = me.pid();
        for duplicate in [false, true] {
            let builder = if duplicate { Registry::duplicate("r") } else { Registry::unique("r") };
            let registry = builder.listener(&AUDIT).partitions(2).start_link().await.unwrap();
            let audit = Audit::start(()).name(&AUDIT).await.unwrap();
            registry.register("a", 1).unwrap();
            registry.register("b", 2).unwrap();
            if !duplicate {
                assert!(registry.register("a", 3).is_err());
                registry.update_value(&"a", |_| 4).unwrap();
            }
            registry.unregister(&"a").unwrap();
            registry.unregister(&"a").unwrap();
            registry.unregister_match(&"b", |v| *v == 9).unwrap();
            registry.unregister_match(&"b", |v| *v == 2).unwrap();
            let all = [register("a", me, 1), register("b", me, 2), unregister("a", me), unregister("b", me)];
            assert_eq!(audit.call(Told).await.unwrap(), all);
            audit.stop().await.unwrap();
            registry.server().unwrap().stop().await.unwrap();
        }
    });
}

#[test]
fn r31_the_entry_is_there_when_the_listener_hears_of_it_and_a_name_s_value_comes_along() {
    on_every_path(async |mut me: Me| {
        process::register("listener", me.pid()).unwrap();
        let registry =
            Registry::<&str, u8>::unique("r").listener_process("listener").start_link().await.unwrap();
        let audit = Audit::start(()).name(registry.via_with("audit", 7)).await.unwrap();
        assert_eq!(next::<Event>(&mut me).await, register("audit", audit.pid(), 7));
        assert_eq!(registry.lookup("audit").unwrap(), [(audit.pid(), 7)]);
        // A name that is taken is no registration.
        Audit::start(()).name(registry.via_with("audit", 8)).await.unwrap_err();
        let other = registry.clone();
        process::spawn(async move |_: Mailbox<()>| other.register("other", 1).unwrap()).wait().await;
        let Event::Register { key: "other", pid, value: 1, .. } = next::<Event>(&mut me).await else {
            panic!()
        };
        // Of the entries of a process that ended nothing is said.
        assert!(!process::is_alive(pid));
        assert!(registry.whereis(&"other").unwrap().is_none());
        audit.stop().await.unwrap();
        nothing(&mut me);
    });
}

#[test]
fn r31_every_listener_hears_everything() {
    everywhere(async |mut me: Me| {
        process::register("listener", me.pid()).unwrap();
        let builder = Registry::<&str, u8>::duplicate("r");
        let builder = builder.partitions(3).listener(&AUDIT).listener_process("listener");
        let registry = builder.start_link().await.unwrap();
        assert_eq!(registry.partitions(), Ok(3));
        let audit = Audit::start(()).name(&AUDIT).await.unwrap();
        for value in 0..3 {
            registry.register("a", value).unwrap();
        }
        registry.unregister(&"a").unwrap();
        let pid = me.pid();
        let all = [0, 1, 2].map(|value| register("a", pid, value)).into_iter();
        let all: Vec<_> = all.chain(std::iter::repeat_n(unregister("a", pid), 3)).collect();
        assert_eq!(audit.call(Told).await.unwrap(), all);
        for event in all {
            assert_eq!(next::<Event>(&mut me).await, event);
        }
        nothing(&mut me);
        process::unregister("listener").unwrap();
    });
}

#[test]
fn r33_a_listener_that_is_not_there_is_skipped_and_one_that_comes_back_hears_again() {
    everywhere(async |me: Me| {
        let builder = Registry::<&str, u8>::unique("r").listener(&AUDIT).listener_process("nobody");
        let registry = builder.start_link().await.unwrap();
        registry.register("a", 1).unwrap();
        registry.unregister(&"a").unwrap();
        assert_eq!(registry.count(), Ok(0));
        let audit = Audit::start(()).name(&AUDIT).await.unwrap();
        registry.register("a", 2).unwrap();
        assert_eq!(audit.call(Told).await.unwrap(), [register("a", me.pid(), 2)]);
        audit.stop().await.unwrap();
        registry.unregister(&"a").unwrap();
        let audit = Audit::start(()).name(&AUDIT).await.unwrap();
        registry.register("b", 3).unwrap();
        assert_eq!(audit.call(Told).await.unwrap(), [register("b", me.pid(), 3)]);
    });
}

/// Registers `n` processes under a key; they end with the registry.
async fn crowd(registry: &Registry<&'static str, u8>, n: u8) -> Vec<Pid> {
    let (ready, mut all) = tokio::sync::mpsc::channel(usize::from(n).max(1));
    let mut pids = Vec::new();
    for value in 0..n {
        let (registry, ready) = (registry.clone(), ready.clone());
        let member = process::spawn_link(async move |mut mailbox: Mailbox<()>| {
            registry.register("key", value).unwrap();
            ready.send(()).await.unwrap();
            mailbox.receive().await;
        });
        pids.push(member.pid());
        all.recv().await;
    }
    pids
}

async fn duplicate(partitions: usize) -> Registry<&'static str, u8> {
    Registry::duplicate("r").partitions(partitions).start_link().await.unwrap()
}

/// What each part of a dispatch was called with, and in which process.
type Parts = Arc<Mutex<Vec<(Pid, Vec<(Pid, u8)>)>>>;

#[test]
fn r22_a_parallel_dispatch_runs_one_process_per_partition_and_waits_for_all() {
    everywhere(async |me: Me| {
        let registry = duplicate(3).await;
        let pids = crowd(&registry, 7).await;
        let parts = Parts::default();
        let into = parts.clone();
        let f = move |entries: &[(Pid, u8)]| {
            into.lock().unwrap().push((process::self_pid().unwrap(), entries.to_vec()));
        };
        registry.dispatch_parallel(&"key", f).await.unwrap();
        let mut parts = std::mem::take(&mut *parts.lock().unwrap());
        parts.sort_by_key(|(_, entries)| entries[0].1);
        let sizes: Vec<usize> = parts.iter().map(|(_, entries)| entries.len()).collect();
        assert_eq!(sizes, [3, 2, 2]);
        let all: Vec<(Pid, u8)> = parts.iter().flat_map(|(_, entries)| entries.clone()).collect();
        assert_eq!(all, pids.into_iter().zip(0..).collect::<Vec<_>>());
        let mut processes: Vec<Pid> = parts.iter().map(|(process, _)| *process).collect();
        processes.sort_unstable();
        processes.dedup();
        assert_eq!(processes.len(), 3, "each part has its process");
        assert!(!processes.contains(&me.pid()) && processes.iter().all(|p| !process::is_alive(*p)));
    });
}

#[test]
fn r22_with_one_partition_or_one_entry_it_runs_in_the_caller_and_without_entries_not_at_all() {
    everywhere(async |me: Me| {
        for (partitions, entries, expected) in [(1, 5, 1), (4, 1, 1), (4, 0, 0)] {
            let registry = duplicate(partitions).await;
            crowd(&registry, entries).await;
            let seen = Log::default();
            let log = seen.clone();
            let f = move |entries: &[(Pid, u8)]| log.add((process::self_pid(), entries.len()));
            registry.dispatch_parallel(&"key", f).await.unwrap();
            let expected: Vec<_> = (0..expected).map(|_| (Some(me.pid()), usize::from(entries))).collect();
            assert_eq!(seen.all(), expected);
            registry.server().unwrap().stop().await.unwrap();
        }
        let gone = Registry::<&str, u8>::named("r").dispatch_parallel(&"key", |_| {}).await;
        assert_eq!(gone, Err(RegistryError::Unknown { name: "r".into() }));
    });
}

#[test]
fn r22_a_panic_in_a_part_reaches_the_caller_when_all_parts_are_done() {
    everywhere(async |mut me: Me| {
        let registry = duplicate(4).await;
        crowd(&registry, 8).await;
        let done = Log::default();
        let (log, handle) = (done.clone(), registry.clone());
        let caller = process::spawn(async move |_: Mailbox<()>| {
            let f = move |entries: &[(Pid, u8)]| match entries[0].1 {
                2 => planned("in a part"),
                first => log.add(first),
            };
            let _ = handle.dispatch_parallel(&"key", f).await;
            panic!("the panic did not reach the caller");
        });
        let reason = end_of(&mut me, caller.pid()).await;
        let reason = if reason == ExitReason::NoProc { caller.wait().await } else { reason };
        assert!(is_planned(&reason, "in a part"), "{reason}");
        let mut done = done.all();
        done.sort_unstable();
        assert_eq!(done, [0, 4, 6]);
    });
}

#[test]
fn r22_the_parts_end_with_a_dispatch_that_is_dropped() {
    // One executor, which is busy with the caller: no part has begun.
    run(Run::Real { workers: 1, path: CallPath::Adaptive }, async |_: Me| {
        let registry = duplicate(2).await;
        crowd(&registry, 4).await;
        let before = living().len();
        let begun = Log::default();
        let log = begun.clone();
        let mut dispatch =
            Box::pin(registry.dispatch_parallel(&"key", move |entries| log.add(entries.len())));
        assert!(poll_once(&mut dispatch).await.is_none());
        assert_eq!(process::processes().len(), before + 2);
        drop(dispatch);
        while process::processes().len() > before {
            process::yield_now().await;
        }
        assert_eq!(begun.all(), []);
    });
}
