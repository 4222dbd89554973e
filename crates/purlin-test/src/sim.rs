//! Tests in virtual time, once for each seed.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{ExitCode, Termination};
use std::time::Duration;

use purlin_core::Node;
use tokio::runtime::Builder;

use crate::real::on_node;
use crate::seeds;

/// A test that is not done after this much virtual time waits for something that never happens.
const STUCK: Duration = Duration::from_secs(24 * 60 * 60);

/// The simulated run that a test's body is in.
#[derive(Clone, Debug)]
pub struct Sim {
    seed: u64,
    node: Node,
}

impl Sim {
    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The node of this run.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.node.now()
    }

    /// A number that only the seed decides, for a test that wants to vary its input.
    pub fn random(&self) -> u64 {
        self.node.random()
    }
}

/// Runs a test's body once for each seed; the first failure ends it, with its seed printed.
#[doc(hidden)]
pub fn run_sim<F>(test: &str, count: usize, body: impl Fn(Sim) -> F)
where
    F: Future,
    F::Output: Termination,
{
    let seeds = seeds::of(test, count);
    let count = seeds.len();
    for (index, seed) in seeds.into_iter().enumerate() {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(test, seed, &body).report()));
        if !matches!(outcome, Ok(ExitCode::SUCCESS)) {
            eprintln!(
                "{test}: failed with {}={seed:#x} (run {} of {count}); set it to replay this run",
                seeds::ONE,
                index + 1
            );
        }
        match outcome {
            Ok(ExitCode::SUCCESS) => {},
            Ok(_) => panic!("the test returned an error"),
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// One run.
fn run<F: Future>(test: &str, seed: u64, body: impl Fn(Sim) -> F) -> F::Output {
    // Without I/O on purpose: a paused clock would time out every socket at once.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a test needs a runtime");
    let start = || Node::builder().name(test).simulated(seed).start();
    on_node(&runtime, start, |node| {
        let body = body(Sim { seed, node: node.clone() });
        async move {
            match tokio::time::timeout(STUCK, body).await {
                Ok(output) => output,
                Err(_) => {
                    panic!("the test waits for something that never happens: a day of virtual time is over")
                },
            }
        }
    })
}
