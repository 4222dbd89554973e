//! A process that has ended leaves nothing behind that would keep its node.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use common::*;
use purlin_core::*;

/// Looks into the mailbox once, and gives up receiving.
async fn begins_to_receive(mailbox: &mut Mailbox<()>) {
    let mut receive = pin!(mailbox.receive());
    poll_fn(|cx| {
        assert!(receive.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_process_that_ends_while_it_waits_for_a_message_keeps_nothing_alive() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let token = Arc::new(());
    runtime.block_on(async {
        let node = Node::builder().backtraces(false).stderr_reports(false).start();
        let kept = token.clone();
        node.telemetry()
            .attach("keeper", telemetry::events::PROCESS_SPAWN, move |_| drop(kept.clone()))
            .unwrap();
        node.scope(async {
            process::spawn(async |mut mailbox: Mailbox<()>| begins_to_receive(&mut mailbox).await)
                .wait()
                .await;
            process::spawn(async |mut mailbox: Mailbox<()>| {
                begins_to_receive(&mut mailbox).await;
                planned("while it waits");
            })
            .wait()
            .await;
            let killed = process::spawn(async |mut mailbox: Mailbox<()>| {
                begins_to_receive(&mut mailbox).await;
                process::exit(mailbox.pid(), ExitReason::Kill);
                std::future::pending().await
            });
            assert_eq!(killed.wait().await, ExitReason::Killed);
        })
        .await;
        node.shutdown().await;
    });
    drop(runtime);
    assert_eq!(Arc::strong_count(&token), 1, "the node is still there");
}
