//! Proves that tests run on nodes of their own, in real and in virtual time, and that a failing seed is told.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use purlin::prelude::*;
use purlin_test::__private::run_plain;
use purlin_test::{Sim, Simulation, Test, assert_receive};

#[purlin::test]
async fn a_test_has_a_node_that_carries_its_name() {
    assert_eq!(Node::current().name(), "runs::a_test_has_a_node_that_carries_its_name");
    assert!(!Node::current().is_simulated());
}

#[purlin::test(worker_threads = 1)]
async fn a_test_may_return_an_error() -> Result<()> {
    let number: i32 = "7".parse()?;
    assert_eq!(number, 7);
    Ok(())
}

#[purlin::test]
#[should_panic(expected = "as meant")]
async fn a_test_may_be_meant_to_panic() {
    panic!("as meant");
}

#[purlin::test(sim)]
async fn a_simulated_test_need_not_take_its_simulation() {
    assert!(Node::current().is_simulated());
}

#[purlin::test(sim, seeds = 3)]
async fn a_virtual_hour_takes_no_time(sim: Sim) {
    let begun = Instant::now();
    process::sleep(Duration::from_secs(3_600)).await;
    assert!(sim.now() >= Duration::from_secs(3_600));
    assert!(begun.elapsed() < Duration::from_secs(600));
}

#[purlin::test]
async fn a_test_with_arguments_is_a_process(t: Test, mut mailbox: Mailbox<u8>) {
    assert_eq!(process::self_pid(), Some(mailbox.pid()));
    assert_eq!(t.node().name(), Node::current().name());
    mailbox.address().send(7);
    assert_receive!(mailbox, 7);
}

#[purlin::test(sim, seeds = 20)]
async fn arguments_come_in_any_order(mut mailbox: Mailbox<u8>, sim: Sim, t: Test) {
    assert_eq!(process::self_pid(), Some(mailbox.pid()));
    assert_eq!(t.node().name(), sim.node().name());
    mailbox.address().send(7);
    assert_receive!(mailbox, 7);
}

#[purlin::test]
#[should_panic(expected = "on purpose")]
async fn a_crash_of_a_linked_process_fails_the_test(mut mailbox: Mailbox<()>) {
    process::spawn_link(async |_: Mailbox<()>| panic!("on purpose"));
    mailbox.receive().await;
}

#[purlin::test]
#[should_panic(expected = "no luck")]
async fn a_returned_error_fails_a_test_that_is_a_process(_t: Test) -> Result<()> {
    Err("no luck".into())
}

#[purlin::test]
#[should_panic(expected = "left behind")]
async fn a_leak_fails_a_test_that_is_a_process(_t: Test) {
    process::spawn(async |mut mailbox: Mailbox<()>| {
        process::set_label("left behind");
        mailbox.receive().await;
    });
}

#[purlin::test(sim, seeds = 5)]
#[should_panic(expected = "the fourth")]
async fn a_simulated_failure_keeps_its_message(sim: Sim) {
    assert!(sim.seed() == 0, "the fourth");
}

fn twice(simulation: Simulation) -> Simulation {
    simulation.seeds(2).kill_random(0.5)
}

#[purlin::test(sim, seeds = 500, with = twice)]
async fn settings_may_come_from_a_function(sim: Sim) {
    let victim = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    let other = process::spawn(async |_: Mailbox<()>| {
        loop {
            process::yield_now().await
        }
    });
    assert_eq!(other.wait().await, ExitReason::Killed);
    sim.spare(victim.pid());
    process::exit(victim.pid(), ExitReason::Kill);
    victim.wait().await;
}

#[test]
fn a_failing_run_is_the_last_seed() {
    static SEEDS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    let run = || {
        Sim::new().seeds(10).run(async |sim| {
            let mut seeds = SEEDS.lock().unwrap();
            seeds.insert(sim.seed());
            let count = seeds.len();
            drop(seeds);
            assert!(count < 4, "the fourth seed fails");
        });
    };
    let panic = catch_unwind(run).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("the fourth seed fails"));
    assert_eq!(SEEDS.lock().unwrap().len(), 4);
}

#[test]
fn the_node_is_stopped_after_a_panic_too() {
    let seen = Mutex::new(None);
    let run = || {
        run_plain("panics", 2, async {
            *seen.lock().unwrap() = Some(Node::current());
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            panic!("half-way");
        })
    };
    assert!(catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    let node = seen.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).expect("the body has run");
    assert_eq!(node.stats().processes, 0);
}
