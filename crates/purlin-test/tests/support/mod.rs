//! What tests of the helpers have in common: runs of a body in real time and simulated, and a server to play with.
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::future::Future;
use std::process::Termination;

use purlin::prelude::*;
use purlin_test::__private::{Ended, run};
use purlin_test::Test;

/// How many seeds a body is simulated with.
pub(crate) const SEEDS: u64 = 40;

/// Runs a body in real time and simulated, with what `look` has to say about the outcome of each run.
pub(crate) fn each<M, F, Fut>(body: F, look: impl Fn(&Ended))
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    let real = std::iter::repeat_n(None, 3);
    runs(real.chain((0..SEEDS).map(Some)), body, look);
}

fn runs<M, F, Fut>(seeds: impl Iterator<Item = Option<u64>>, body: F, look: impl Fn(&Ended))
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    for seed in seeds {
        let outcome = run(seed, "a_test", body.clone());
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&outcome)));
        if let Err(panic) = looked {
            eprintln!("seed {seed:?}, body: {}, end: {:?}\n{}", outcome.body, outcome.finish, outcome.logs);
            std::panic::resume_unwind(panic);
        }
    }
}

/// [`passes`], simulated only: for a body whose outcome depends on the time that it takes.
pub(crate) fn passes_simulated<M, F, Fut>(body: F)
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    runs((0..SEEDS).map(Some), body, passed);
}

fn passed(outcome: &Ended) {
    assert!(outcome.body.is_clean(), "{}", outcome.body);
    assert_eq!(outcome.finish, Ok(()));
}

/// Runs a body that must pass and leave nothing behind, in real time and simulated.
pub(crate) fn passes<M, F, Fut>(body: F)
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    each(body, passed);
}

/// The message that a body panicked with.
pub(crate) fn panic_of(outcome: &Ended) -> &str {
    &outcome.body.panic_info().unwrap_or_else(|| panic!("no panic, but {}", outcome.body)).message
}

/// What the end of a test said.
pub(crate) fn complaint(outcome: &Ended) -> &str {
    outcome.finish.as_ref().expect_err("the end of the test has nothing to say")
}

pub(crate) struct Counter {
    pub(crate) value: i64,
}

#[gen_server]
impl Counter {
    fn init(start: i64) -> Self {
        Counter { value: start }
    }
    #[call]
    pub(crate) fn add(&mut self, by: i64) -> i64 {
        assert!(by >= 0, "this counter only goes up");
        self.value += by;
        self.value
    }
    #[call]
    pub(crate) fn get(&self) -> i64 {
        self.value
    }
}
