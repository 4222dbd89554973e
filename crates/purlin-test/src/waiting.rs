//! How long helpers wait, and waiting for that long.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use purlin_core::{Node, process};

/// How long the receive macros wait unless told otherwise: ExUnit's 100 ms.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_millis(100);

/// How long a test waits for a log entry or a telemetry event, and in real time for a message: the default deadline of a call. The first crash
/// report of a program alone, with its stack, may take half a second.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(5);

/// How long processes that are about to end when a test is over have to do so. A test without leaks does not wait.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// How long one `on_exit` callback, and the stop of all supervised children together, may take: ExUnit's 60 s for a test.
pub(crate) const LONGEST_END: Duration = Duration::from_secs(60);

/// What a process has chosen for itself.
#[derive(Clone, Copy)]
struct Chosen(Duration);

/// Another default for the calling process.
pub(crate) fn choose_wait(limit: Duration) {
    process::local::put(Chosen(limit));
}

/// The default for waiting for a message that should come. In real time there are reasons for being late that are none of the test's, and the
/// time is spent only when it fails.
pub(crate) fn assert_wait() -> Duration {
    if let Some(Chosen(limit)) = process::local::get() {
        return limit;
    }
    if Node::try_current().is_some_and(|node| node.is_simulated()) { DEFAULT_WAIT } else { LONG_WAIT }
}

/// What `future` answers, or `None` if it does not within `limit` of the node's clock.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut alarm = pin!(process::sleep(limit));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
    })
    .await
}
