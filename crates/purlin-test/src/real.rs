//! Tests in real time.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use purlin_core::Node;
use tokio::runtime::{Builder, Runtime};

/// Runs a test's body on a node and a runtime of its own. The node is stopped afterwards, also after a panic.
#[doc(hidden)]
pub fn run_real<F: Future>(name: &str, workers: usize, body: F) -> F::Output {
    let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    on_node(&runtime.expect("a test needs a runtime"), || Node::builder().name(name).start(), |_| body)
}

/// Runs `body` with a new node, which is stopped before this returns or goes on panicking.
pub(crate) fn on_node<F: Future>(
    runtime: &Runtime,
    start: impl FnOnce() -> Node,
    body: impl FnOnce(&Node) -> F,
) -> F::Output {
    let node = {
        let _entered = runtime.enter();
        start()
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let body = body(&node);
        runtime.block_on(node.scope(body))
    }));
    runtime.block_on(node.shutdown());
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}
