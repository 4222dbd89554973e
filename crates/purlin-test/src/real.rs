//! Tests in real time.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use purlin_core::{Mailbox, Node, process};
use tokio::runtime::{Builder, Runtime};

use crate::explore::{Failure, Judged};
use crate::logs::Logs;
use crate::outcome::Outcome;
use crate::test::Test;

fn runtime(workers: usize, logs: Option<&Logs>) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    if let Some(logs) = logs {
        logs.on_threads(&mut builder);
    }
    builder.build().expect("a test needs a runtime")
}

/// Runs the body of a test that takes no arguments: plain code on a node and a runtime of its own. The node is stopped afterwards, also after
/// a panic.
#[doc(hidden)]
pub fn run_plain<F: Future>(name: &str, workers: usize, body: F) -> F::Output {
    let runtime = runtime(workers, None);
    let node = {
        let _inside = runtime.enter();
        Node::builder().name(name).start()
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(node.scope(body))));
    runtime.block_on(node.shutdown());
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs the body of a test that takes arguments: a process on a node and a runtime of its own.
#[doc(hidden)]
pub fn run_process<M, F, Fut>(name: &str, workers: usize, body: F)
where
    M: Send + 'static,
    F: FnOnce(Test, Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome,
{
    let logs = Logs::new();
    let runtime = runtime(workers, Some(&logs));
    let _logging = logs.enter();
    let node = {
        let _inside = runtime.enter();
        Node::builder().name(name).start()
    };
    let judged = Judged::default();
    let left = judged.clone();
    let (reason, finished) = runtime.block_on(node.scope(async {
        let test = Test::__new(&node, name, logs.clone());
        let this = test.clone();
        // Told when its end is waited for, so that the reason of one that ends at once is seen.
        let (go, wait) = tokio::sync::oneshot::channel();
        let process = process::spawn(async move |mailbox: Mailbox<M>| {
            let _ = wait.await;
            this.runs_in(mailbox.pid());
            let verdict = body(this.clone(), mailbox).await.judge();
            left.set(verdict);
            this.body_returned();
        });
        let mut ended = Box::pin(process.wait());
        let reason = match futures_now(&mut ended).await {
            Some(reason) => reason,
            None => {
                let _ = go.send(());
                ended.await
            },
        };
        (reason, test.finish().await)
    }));
    runtime.block_on(node.shutdown());
    let failure = match judged.take() {
        Some(Ok(())) => finished.err().map(Failure::plain),
        Some(Err(error)) => Some(Failure::plain(error)),
        None => Some(Failure::of(&reason)),
    };
    if let Some(failure) = failure {
        eprintln!("{name}: {}", failure.text());
        let logs = logs.to_string();
        if !logs.is_empty() {
            eprintln!("  logged:\n{logs}");
        }
        resume_unwind(Box::new(failure.message));
    }
}

/// The output of a future that is ready.
async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
