//! What the facade's tests share: a body that runs as a process, and waiting for a condition that processes bring about.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::future::Future;

use purlin::prelude::*;

/// Runs `body` as a process, and fails as it fails.
pub(crate) async fn in_process<M, F, Fut>(body: F)
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let reason = process::spawn(body).wait().await;
    assert!(reason.is_normal(), "the test's process ended: {reason}");
}

/// Lets others run until `ready` says that they have got there.
pub(crate) async fn until(mut ready: impl FnMut() -> bool) {
    while !ready() {
        process::yield_now().await;
    }
}

/// A process that waits for a message and then ends; it takes nothing but `()`.
pub(crate) fn idle() -> Address<()> {
    process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await)
}
