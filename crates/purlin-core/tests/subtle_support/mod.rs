//! What the tests of subtle cases share: 200 seeds each, with another way of calls for each seed, and a gate that tests open.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use purlin_core::*;

use crate::common::{Me, Run, run};

/// Simulated runs of each test.
pub const SEEDS: u64 = 200;

const PATHS: [CallPath; 3] = [CallPath::Adaptive, CallPath::Direct, CallPath::Queued];

/// Runs `test` in simulation, with 200 seeds. The ways that calls take go round independently of what the low bits of a seed decide.
pub fn explored_in_simulation<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        let path = PATHS[(seed / 4 % 3) as usize];
        run(Run::Simulated { seed, path }, test.clone());
    }
}

/// [`explored_in_simulation`], and some runs on real threads.
pub fn explored<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    explored_in_simulation(test.clone());
    for round in 0..6 {
        let path = PATHS[round % 3];
        run(Run::Real { workers: 1 + round / 3, path }, test.clone());
    }
}

/// Shut until it is opened, then open for ever.
#[derive(Clone, Default)]
pub struct Gate(Arc<(AtomicBool, tokio::sync::Notify)>);

impl Gate {
    pub fn open(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    pub async fn pass(&self) {
        loop {
            let mut changed = std::pin::pin!(self.0.1.notified());
            changed.as_mut().enable();
            if self.0.0.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

/// Lets others go on until `done`: for what is certain to come about without further help.
pub async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        process::yield_now().await;
    }
}

/// A few steps of others, as many as the number says: moves what comes next to another moment.
pub async fn steps(n: usize) {
    for _ in 0..n {
        process::yield_now().await;
    }
}
