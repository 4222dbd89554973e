//! Orderly stops: ask, then wait for the end.

use std::fmt;
use std::time::Duration;

use crate::node::current;
use crate::process::api::watching;
use crate::process::cell::ProcRef;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::sys::request::{StopRequest, internal};

/// Asks a process to stop in an orderly way with `reason`, and waits for its end, for `limit` at most. The request travels in the mailbox: a
/// server runs [`terminate`](crate::GenServer::terminate), a raw process ends at its next `receive`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{ExitReason, Mailbox, StopError, process, secs};
/// let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
/// assert_eq!(process::stop(p, ExitReason::Shutdown, secs(5)).await, Ok(()));
/// assert_eq!(process::stop(p, ExitReason::Shutdown, secs(5)).await, Err(StopError::NoProc));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`StopError`].
pub async fn stop(pid: Pid, reason: ExitReason, limit: Duration) -> Result<(), StopError> {
    let proc = current::by_index(pid.node_index()).and_then(|node| node.lookup(pid));
    if proc.is_none() {
        crate::rt::sim::finds_gone(pid);
    }
    stop_proc(proc, reason, Some(limit)).await
}

/// Why an orderly stop did not go as asked.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum StopError {
    /// There is no such process.
    NoProc,
    /// It did not end within the limit; it may still end.
    Timeout,
    /// It ended for another reason than the one asked for.
    Exit(ExitReason),
    /// A process cannot wait for its own end.
    CallingSelf,
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::NoProc => f.write_str("no such process"),
            StopError::Timeout => f.write_str("the process did not stop in time"),
            StopError::Exit(reason) => write!(f, "the process ended for another reason: {reason}"),
            StopError::CallingSelf => {
                f.write_str("a process cannot wait for its own end; use `cx.stop(reason)`")
            },
        }
    }
}

impl std::error::Error for StopError {}

pub(crate) async fn stop_proc(
    proc: Option<ProcRef>,
    reason: ExitReason,
    limit: Option<Duration>,
) -> Result<(), StopError> {
    let proc = proc.ok_or(StopError::NoProc)?;
    if crate::process::self_pid() == Some(proc.pid()) {
        return Err(StopError::CallingSelf);
    }
    let mut reached = false;
    let outcome =
        watching(&proc, limit, || reached = proc.push(internal(StopRequest(reason.clone()))).is_ok()).await;
    match outcome {
        None => Err(StopError::Timeout),
        Some(ExitReason::NoProc) if !reached => Err(StopError::NoProc),
        Some(actual) if actual == reason => Ok(()),
        Some(actual) => Err(StopError::Exit(actual)),
    }
}
