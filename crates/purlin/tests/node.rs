//! Proves that a node is a value: several live in one program, each with its processes, names, clock, figures and an orderly stop.
#![forbid(unsafe_code)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::channel;

use common::{idle, until};
use purlin::node::{Entered, Scope};
use purlin::prelude::*;
use purlin::{CallPath, NodeBuilder, NodeStats};
use purlin_test::Sim;

struct Echo;

#[gen_server]
impl Echo {
    fn init() -> Self {
        Echo
    }

    #[call]
    fn echo(&self, number: u32) -> u32 {
        number
    }
}

#[purlin::test]
async fn nodes_of_one_program_see_nothing_of_each_other() -> Result<()> {
    let (red, blue) = (Node::builder().name("red").start(), Node::builder().name("blue").start());
    assert_eq!((red.name(), blue.name()), ("red", "blue"));
    assert_ne!(red.creation(), blue.creation());
    let server = red.scope(async { Echo::start(()).name("echo").await }).await?;
    assert!(blue.scope(async { process::whereis("echo") }).await.is_none());
    assert_eq!(blue.scope(async { Echo::named("echo").echo(1).await }).await.unwrap_err().pid(), None);
    assert_eq!(red.scope(async { Echo::named("echo").echo(1).await }).await?, 1);
    assert_eq!(server.echo(2).await?, 2, "a handle knows its node");
    assert_eq!((red.stats().processes, blue.stats().processes), (1, 0));
    red.shutdown().await;
    assert!(!server.is_alive());
    blue.shutdown().await;
    Ok(())
}

#[test]
fn a_plain_thread_can_enter_a_node() {
    assert!(Node::try_current().is_none());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let node = {
        let _runtime = runtime.enter();
        Node::builder().start()
    };
    let entered: Entered = node.enter();
    assert_eq!(Node::current().creation(), node.creation());
    let process = idle();
    process.send(());
    let ended: Scope<Pin<Box<dyn Future<Output = ExitReason> + Send>>> =
        node.scope(Box::pin(async move { process.wait().await }));
    assert_eq!(runtime.block_on(ended), ExitReason::Normal);
    drop(entered);
    assert!(Node::try_current().is_none());
    runtime.block_on(node.shutdown());
}

#[purlin::test]
async fn the_ways_of_a_call_differ_in_figures_only() -> Result<()> {
    for (path, queued) in [(CallPath::Direct, false), (CallPath::Adaptive, false), (CallPath::Queued, true)] {
        let builder: NodeBuilder = Node::builder().call_path(path).watchdog(false).executors(1);
        let node = builder.start();
        let answer = node.scope(async { process::spawn(ask).wait().await }).await;
        assert_eq!(answer, ExitReason::Normal);
        assert_eq!(node.stats().queued_calls > 0, queued, "{path:?}");
        node.shutdown().await;
    }
    Ok(())
}

async fn ask(_: Mailbox<()>) {
    let echo = Echo::start(()).await.unwrap();
    assert_eq!(echo.echo(7).await.unwrap(), 7);
}

#[purlin::test]
async fn the_same_seed_gives_the_same_numbers() {
    let numbers = |seed| {
        let node = Node::builder().seed(seed).start();
        [node.random(), node.random()]
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
}

#[purlin::test(sim, seeds = 3)]
async fn a_simulated_run_knows_its_node_its_seed_and_its_time(sim: Sim) {
    assert!(sim.node().is_simulated() && Node::current().is_simulated());
    assert_eq!(sim.node().creation(), Node::current().creation());
    let begun = sim.now();
    process::sleep(secs(3_600)).await;
    assert!(sim.now() - begun >= secs(3_600) && sim.now() == Node::current().now());
    assert_ne!(sim.random(), sim.random());
    // Another node with that seed, on the same virtual clock, is a run of its own.
    let other = Node::builder().simulated(sim.seed()).start();
    assert!(other.is_simulated());
    other.shutdown().await;
}

#[purlin::test]
async fn the_figures_tell_what_is_there_and_what_was_lost() {
    let node = Node::current();
    assert_eq!(node.stats(), NodeStats::default());
    let process = idle();
    process::send_after(process.pid(), secs(3_600), ());
    process::send(process.pid(), "not its type");
    until(|| node.stats().unhandled == 1).await;
    let stats = node.stats();
    assert_eq!((stats.processes, stats.timers), (1, 1));
    process.send(());
    process.wait().await;
    process.send(());
    until(|| node.stats().processes == 0).await;
    let stats = node.stats();
    assert_eq!((stats.timers, stats.dead_letters, stats.dropped, stats.long_polls), (0, 1, 0, 0));
}

#[purlin::test(sim, seeds = 5)]
async fn a_shutdown_ends_every_process_and_kills_those_that_take_too_long(sim: Sim) {
    let node = Node::builder().simulated(sim.seed()).start();
    let (tell, told) = channel();
    let (obedient, stubborn) = node
        .scope(async move {
            let stubborn = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
                mailbox.trap_exits(true);
                tell.send(()).unwrap();
                std::future::pending().await
            });
            (idle(), stubborn)
        })
        .await;
    let told = std::sync::Mutex::new(told);
    until(|| told.lock().unwrap().try_recv().is_ok()).await;
    assert!(!node.is_stopping());
    let heard = async {
        node.stopping().await;
        assert!(node.is_stopping() && stubborn.is_alive(), "told when it begins");
    };
    tokio::join!(node.shutdown_within(secs(20)), heard);
    assert!(obedient.wait().await.is_shutdown());
    assert_eq!(stubborn.wait().await, ExitReason::Killed);
    assert_eq!(node.stats().processes, 0);
    let late = node.scope(async { idle() }).await;
    assert!(!late.is_alive(), "nothing is spawned on a node that was shut down");
}
