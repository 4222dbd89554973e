//! Proves that tests run on nodes of their own, in real and in virtual time, and that a failing seed is told.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use purlin::prelude::*;
use purlin_test::__private::{run_real, run_sim};
use purlin_test::Sim;

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

/// Two processes write their names down; the first one counts.
async fn race() -> &'static str {
    let board = Arc::new(Mutex::new(Vec::new()));
    let runners = ["hare", "tortoise"].map(|name| {
        let board = board.clone();
        process::spawn(async move |_: Mailbox<()>| board.lock().unwrap().push(name))
    });
    for runner in runners {
        process::wait(runner.pid()).await;
    }
    board.lock().unwrap()[0]
}

#[test]
fn every_seed_repeats_its_run_and_seeds_differ() {
    let results = || {
        let results = Mutex::new(Vec::new());
        let log = &results;
        run_sim("race", 50, |sim| async move {
            let winner = race().await;
            log.lock().unwrap().push((sim.seed(), winner));
        });
        results.into_inner().unwrap()
    };
    let first = results();
    assert_eq!(first.len(), 50);
    assert_eq!(first, results());
    for name in ["hare", "tortoise"] {
        assert!(first.iter().any(|(_, winner)| *winner == name), "the {name} never comes first");
    }
}

#[test]
fn a_failing_run_is_the_last_one() {
    let runs = AtomicUsize::new(0);
    let run = || {
        run_sim("fails", 10, |_| async {
            assert!(runs.fetch_add(1, Ordering::Relaxed) < 3, "the fourth run fails");
        });
    };
    assert!(catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    assert_eq!(runs.into_inner(), 4);
}

#[test]
fn a_returned_error_fails_the_test_like_a_panic() {
    let outcome = catch_unwind(|| run_sim("errs", 10, |_| async { Err::<(), _>("no") }));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"the test returned an error"));
}

#[test]
fn a_run_that_waits_for_nothing_fails_at_once() {
    let outcome = catch_unwind(|| run_sim("stuck", 1, |_| std::future::pending::<()>()));
    let text = *outcome.unwrap_err().downcast::<&str>().unwrap();
    assert!(text.starts_with("the test waits for something that never happens"));
}

#[test]
fn the_node_is_stopped_after_a_panic_too() {
    let seen = Mutex::new(None);
    let run = || {
        run_real("panics", 2, async {
            *seen.lock().unwrap() = Some(Node::current());
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            panic!("half-way");
        })
    };
    assert!(catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    let node = seen.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).expect("the body has run");
    assert_eq!(node.stats().processes, 0);
}
