//! Runs the examples of this crate's documentation, and its own tests: one body, in real time and simulated.

use std::future::Future;
use std::process::{ExitCode, Termination};

use purlin_core::{ExitReason, Mailbox, Node, process};
use tokio::runtime::Builder;

use crate::logs::Logs;
use crate::test::Test;

/// What became of a test.
#[doc(hidden)]
pub struct Ended {
    /// The reason of the test's process.
    pub body: ExitReason,
    /// What its end said.
    pub finish: Result<(), String>,
    /// What it logged.
    pub logs: Logs,
}

/// Runs a test, simulated if there is a seed.
#[doc(hidden)]
pub fn run<M, F, Fut>(seed: Option<u64>, name: &str, body: F) -> Ended
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    let logs = Logs::new();
    let mut builder = match seed {
        Some(_) => Builder::new_current_thread(),
        None => Builder::new_multi_thread(),
    };
    if seed.is_some() {
        builder.enable_time().start_paused(true);
    } else {
        builder.worker_threads(2).enable_all();
    }
    logs.on_threads(&mut builder);
    let runtime = builder.build().expect("a test needs a runtime");
    let _entered = logs.enter();
    let node = {
        let _inside = runtime.enter();
        let node = Node::builder().name(name).backtraces(seed.is_none());
        match seed {
            Some(seed) => node.simulated(seed).start(),
            None => node.start(),
        }
    };
    let (body, finish) = runtime.block_on(node.scope(async {
        let t = Test::__new(&node, name, logs.clone());
        let this = t.clone();
        let process = process::spawn(async move |mailbox: Mailbox<M>| {
            let me = mailbox.pid();
            this.runs_in(me);
            let code = body(this.clone(), mailbox).await.report();
            assert!(code == ExitCode::SUCCESS, "the test returned an error");
            this.body_returned();
        });
        (process.wait().await, t.finish().await)
    }));
    runtime.block_on(node.shutdown());
    Ended { body, finish, logs }
}

/// Runs an example both ways.
///
/// # Panics
/// When it fails.
#[doc(hidden)]
pub fn example<M, F, Fut>(body: F)
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output: Termination> + Send + 'static,
{
    for seed in [None, Some(1), Some(2)] {
        let Ended { body, finish, logs } = run(seed, "example", body.clone());
        if !body.is_clean() || finish.is_err() {
            eprintln!("{logs}");
            panic!("seed {seed:?}: the body ended with {body}, its end with {finish:?}");
        }
    }
}
