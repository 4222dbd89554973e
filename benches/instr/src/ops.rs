//! The operations, as a table: what `purlin-instr` can do, each done `n` times by one process.
//!
//! # Real time
//! An executor looks at the clock now and then, and gives way to tokio when its slice of 200 µs is over. Under callgrind, how often that
//! is depends on the machine's mood. It is a small part of any figure (0.6 % between an idle and a busy machine for `spawn-and-stop`, less
//! for the others), and casts come in batches so that the server needs few activations.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use purlin_core::{
    Agent, AnyMsg, CallPath, GenServer, GenStateMachine, Mailbox, Name, Node, PartitionSupervisor, PubSub,
    Ref, Registry, Supervised, Task, process,
};

use crate::servers::{
    AddAsync, AddSync, Bump, BumpAndTell, Counter, Counting, Event, Get, Handled, Listener, Timers,
};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One row of the table.
pub(crate) struct Op {
    /// As given on the command line and written in `counts.toml`.
    pub(crate) name: &'static str,
    /// Which way the node's calls take.
    pub(crate) path: CallPath,
    /// Prepares, and does the operation so often.
    pub(crate) run: fn(Mailbox<AnyMsg>, u64) -> Work,
}

/// Everything there is.
pub(crate) const OPS: &[Op] = &[
    // A call of an idle server, on the caller's thread, with the default deadline.
    Op { name: "call-in-place-sync", path: CallPath::Direct, run: |_, n| Box::pin(call_sync(n)) },
    Op { name: "call-in-place-async", path: CallPath::Direct, run: |_, n| Box::pin(call_async(n)) },
    Op { name: "read", path: CallPath::Direct, run: |_, n| Box::pin(read(n)) },
    // Request through the mailbox, reply through a slot: two activations.
    Op { name: "call-queued", path: CallPath::Queued, run: |_, n| Box::pin(call_sync(n)) },
    Op { name: "cast-and-handle", path: CallPath::Direct, run: |mailbox, n| Box::pin(cast(mailbox, n)) },
    Op { name: "spawn-and-stop", path: CallPath::Direct, run: |_, n| Box::pin(spawn_and_stop(n)) },
    // One process, linked, with an answer.
    Op { name: "task-and-await", path: CallPath::Direct, run: |_, n| Box::pin(task(n)) },
    Op { name: "task-stream", path: CallPath::Direct, run: |_, n| Box::pin(task_stream(n)) },
    Op { name: "monitor-and-demonitor", path: CallPath::Direct, run: |_, n| Box::pin(monitor(n)) },
    Op { name: "link-and-unlink", path: CallPath::Direct, run: |_, n| Box::pin(link(n)) },
    Op { name: "name-lookup", path: CallPath::Direct, run: |_, n| Box::pin(name_lookup(n)) },
    Op { name: "named-call", path: CallPath::Direct, run: |_, n| Box::pin(named_call(n)) },
    Op { name: "registry-lookup", path: CallPath::Direct, run: |_, n| Box::pin(registry_lookup(n)) },
    Op { name: "partition-lookup", path: CallPath::Direct, run: |_, n| Box::pin(partition_lookup(n)) },
    Op { name: "registry-via-call", path: CallPath::Direct, run: |_, n| Box::pin(via_call(n)) },
    Op { name: "agent-get", path: CallPath::Direct, run: |_, n| Box::pin(agent_get(n)) },
    Op { name: "agent-update", path: CallPath::Direct, run: |_, n| Box::pin(agent_update(n)) },
    // One message to one of 100 subscribers, ten broadcasts in a row.
    Op { name: "pubsub-deliver-and-handle", path: CallPath::Direct, run: |_, n| Box::pin(pubsub(n)) },
    Op { name: "machine-call", path: CallPath::Direct, run: |_, n| Box::pin(machine_call(n)) },
    Op { name: "machine-call-timeout", path: CallPath::Direct, run: |_, n| Box::pin(machine_timeout(n)) },
    // There and back: two messages, two activations.
    Op {
        name: "raw-send-and-receive",
        path: CallPath::Direct,
        run: |mailbox, n| Box::pin(ping_pong(mailbox, n)),
    },
    Op { name: "timer-set-and-cancel", path: CallPath::Direct, run: |_, n| Box::pin(timers(n)) },
    Op { name: "telemetry-unheard", path: CallPath::Direct, run: |_, n| Box::pin(telemetry(n)) },
];

async fn counter() -> Ref<Counter> {
    Counter::start(()).await.expect("a counter starts")
}

async fn call_sync(n: u64) {
    let counter = counter().await;
    for i in 1..=n {
        assert_eq!(counter.call(AddSync).await.expect("the counter answers"), i);
    }
}

async fn call_async(n: u64) {
    let counter = counter().await;
    for i in 1..=n {
        assert_eq!(counter.call(AddAsync).await.expect("the counter answers"), i);
    }
}

async fn read(n: u64) {
    let counter = counter().await;
    for _ in 0..n {
        assert_eq!(counter.call(Get).await.expect("the counter answers"), 0);
    }
}

/// Casts per activation of the server; below the number at which it looks at the clock.
const BATCH: u64 = 10;

async fn cast(mut mailbox: Mailbox<AnyMsg>, n: u64) {
    let counter = counter().await;
    let me = mailbox.address();
    for _ in 0..n / BATCH {
        for _ in 1..BATCH {
            counter.cast(Bump);
        }
        counter.cast(BumpAndTell(me.clone()));
        mailbox.receive_as::<Handled>().await;
    }
    assert_eq!(counter.call(Get).await.expect("the counter answers"), n / BATCH * BATCH);
}

async fn spawn_and_stop(n: u64) {
    for _ in 0..n {
        counter().await.stop().await.expect("it stops");
    }
}

async fn task(n: u64) {
    for i in 0..n {
        assert_eq!(Task::async_link(async move { i }).await.expect("it answers"), i);
    }
}

async fn task_stream(n: u64) {
    let mut stream = Task::async_stream(0..n, |i| async move { i }).max_concurrency(16);
    let mut sum = 0;
    while let Some(i) = stream.next().await {
        sum += i.expect("it answers");
    }
    assert_eq!(sum, n * (n - 1) / 2);
}

async fn monitor(n: u64) {
    let target = counter().await.pid();
    for _ in 0..n {
        let monitor = process::monitor(target);
        assert!(process::demonitor(monitor), "the target is alive");
    }
}

async fn link(n: u64) {
    let target = counter().await.pid();
    for _ in 0..n {
        process::link(target).expect("the target is alive");
        process::unlink(target);
    }
}

/// Names and keys beside the one that is looked up: a map of one entry is no map.
const OTHERS: u64 = 100;

async fn named(name: &'static str) -> Ref<Counter> {
    for i in 0..OTHERS {
        let other: Name<Counter> = Name::from(format!("other-{i}"));
        Counter::start(()).name(other).await.expect("a counter starts");
    }
    Counter::start(()).name(name).await.expect("a counter starts")
}

async fn name_lookup(n: u64) {
    let pid = named("the-counter").await.pid();
    for _ in 0..n {
        assert_eq!(process::whereis(black_box("the-counter")), Some(pid));
    }
}

async fn named_call(n: u64) {
    const COUNTER: Name<Counter> = Name::new("the-counter");
    named("the-counter").await;
    for i in 1..=n {
        assert_eq!(COUNTER.call(AddSync).await.expect("the counter answers"), i);
    }
}

async fn registry() -> Registry<String> {
    let registry: Registry<String> =
        Registry::unique("counters").start_link().await.expect("a registry starts");
    for i in 0..OTHERS {
        let other: Name<Counter> = registry.via(format!("other-{i}"));
        Counter::start(()).name(other).await.expect("a counter starts");
    }
    Counter::start(())
        .name(registry.via::<Counter>("the-counter".to_owned()))
        .await
        .expect("a counter starts");
    registry
}

async fn partition_lookup(n: u64) {
    let counters = PartitionSupervisor::of("partitions", Counter::child_spec(()))
        .partitions(8)
        .start_link()
        .await
        .expect("a partition supervisor starts");
    let counter = counters.get("the-counter").expect("it runs");
    for _ in 0..n {
        // The handle is what a caller wants, so it is made; a registry's lookup above answers a pid only.
        assert_eq!(counters.get(black_box("the-counter")).expect("it runs"), counter);
    }
}

async fn registry_lookup(n: u64) {
    let registry = registry().await;
    let pid = registry.whereis("the-counter").expect("it runs");
    assert!(pid.is_some(), "the counter is registered");
    for _ in 0..n {
        assert_eq!(registry.whereis(black_box("the-counter")).expect("it runs"), pid);
    }
}

async fn agent_get(n: u64) {
    let agent = Agent::start(|| 7_u64).await.expect("an agent starts");
    for _ in 0..n {
        assert_eq!(agent.get(|n| *n).await.expect("the agent answers"), 7);
    }
}

async fn agent_update(n: u64) {
    let agent = Agent::start(|| 0_u64).await.expect("an agent starts");
    for _ in 0..n {
        agent.update(|n| *n += 1).await.expect("the agent answers");
    }
    assert_eq!(agent.get(|n| *n).await.expect("the agent answers"), n);
}

const SUBSCRIBERS: u64 = 100;

async fn pubsub(n: u64) {
    let (pubsub, heard) = (PubSub::new("numbers").start().await.expect("it starts"), Arc::default());
    for _ in 0..SUBSCRIBERS {
        Listener::start((pubsub.clone(), Arc::clone(&heard))).await.expect("a listener starts");
    }
    for round in 1..=n / (SUBSCRIBERS * BATCH) {
        for _ in 0..BATCH {
            pubsub.broadcast("all", Arc::new(round)).expect("it runs");
        }
        while heard.load(Ordering::Relaxed) < round * SUBSCRIBERS * BATCH {
            process::yield_now().await;
        }
    }
}

async fn via_call(n: u64) {
    let registry = registry().await;
    let counter: Name<Counter> = registry.via("the-counter".to_owned());
    for i in 1..=n {
        assert_eq!(counter.call(AddSync).await.expect("the counter answers"), i);
    }
}

async fn machine_call(n: u64) {
    let counting = Counting::start(()).await.expect("a machine starts");
    for i in 1..=n {
        assert_eq!(counting.call(Event::Ask).await.expect("the machine answers"), i);
    }
}

async fn machine_timeout(n: u64) {
    let counting = Counting::start(()).await.expect("a machine starts");
    for i in 1..=n {
        assert_eq!(counting.call(Event::Rearm).await.expect("the machine answers"), i);
    }
}

async fn ping_pong(mut mailbox: Mailbox<AnyMsg>, n: u64) {
    struct Ping(u64);
    struct Pong(u64);
    let me = mailbox.address();
    let echo = process::spawn(async move |mut mailbox: Mailbox<Ping>| {
        loop {
            let Ping(i) = mailbox.receive().await;
            me.send(Pong(i));
        }
    });
    for i in 0..n {
        echo.send(Ping(i));
        assert_eq!(mailbox.receive_as::<Pong>().await.0, i);
    }
}

async fn timers(n: u64) {
    counter().await.call(Timers(n)).infinity().await.expect("the counter answers");
}

async fn telemetry(n: u64) {
    let node = Node::current();
    for i in 0..n {
        node.telemetry().execute_with(black_box(&["instr", "nobody", "listens"]), || {
            ([("i", i.into())], [("unused", true.into())])
        });
    }
}
