//! `:sys`: look at, hold, and trace a running process, without its program knowing.
//!
//! Requests travel in the mailbox, behind what is there already, and are served between two messages; a suspended process serves them too.
//! Every function waits 5 s at most.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{Cx, GenServer, InitError, sys};
//!
//! #[derive(Clone, Debug, PartialEq)]
//! struct Counter(i64);
//! impl GenServer for Counter {
//!     type Args = i64;
//!     async fn init(start: i64, _: &mut Cx<Self>) -> Result<Self, InitError> {
//!         Ok(Counter(start))
//!     }
//! }
//!
//! let counter = Counter::start(7).await.unwrap();
//! assert_eq!(sys::get_state(&counter).await.unwrap(), Counter(7));
//! sys::suspend(counter.pid()).await.unwrap();
//! sys::replace_state(&counter, |c| Counter(c.0 + 1)).await.unwrap();
//! sys::resume(counter.pid()).await.unwrap();
//! assert_eq!(sys::get_state(&counter).await.unwrap(), Counter(8));
//! # }).await;
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Cost
//! A process that is suspended, traced, logged, counted or has functions installed takes its calls through the mailbox; switched off again, it costs nothing.
//!
//! # Differences from Erlang
//! State is typed: `get_state` takes a typed handle and clones. Messages out are not seen: a send is a push by the sender's own code. An
//! [installed](install) function keeps its state in what it captures, and a second one of the same id is refused, where OTP ignores it.
//! [`change_code`] carries a state over to another version; code is not loaded.

mod code_change;
pub(crate) mod debug;
mod install;
pub(crate) mod request;

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

pub use code_change::{ChangeCodeError, HandleCodeChange, change_code};
pub use debug::{Statistics, SysEvent};
pub use install::{install, install_with_state, log_to_file, remove, stop_log_to_file};

use crate::call::slot;
use crate::node::current;
use crate::process::cell::{DEBUGGED, Proc, ProcRef, SUSPENDED};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::sys::debug::{Counting, Debug, LOG_DEFAULT, Log};
use crate::sys::request::{Request, StopRequest, internal};
use crate::timer::Alarm;

/// How long a request waits.
const LIMIT: Duration = Duration::from_secs(5);

/// Why a `sys` request was not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SysError {
    /// There is no such process, or it ended meanwhile.
    NoProc,
    /// It did not get to the request within 5 s: it is busy with a message.
    Timeout,
    /// The process has no such state: it is no server of that type.
    NoState,
    /// The function given panicked; the state is as it was.
    Panicked,
    /// A function with this id is installed already.
    IdTaken,
    /// The file to log into cannot be made.
    File(std::io::ErrorKind),
}

impl std::fmt::Display for SysError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SysError::File(kind) => return write!(f, "the file cannot be made: {kind}"),
            SysError::IdTaken => {
                "a function with this id is installed already; remove it, or choose another id"
            },
            SysError::NoProc => "no such process",
            SysError::Timeout => "the process did not get to the request within 5 s",
            SysError::NoState => "the process has no state of that type",
            SysError::Panicked => "the function panicked",
        })
    }
}

impl std::error::Error for SysError {}

/// A typed handle of a server: [`Ref`](crate::Ref) and [`Name`](crate::Name).
pub trait ServerHandle {
    /// The server.
    type Server: 'static;
    #[doc(hidden)]
    fn found(&self) -> Option<Found>;
    #[doc(hidden)]
    fn __replace(old: &mut Self::Server, new: Self::Server);
}

#[doc(hidden)]
pub struct Found(pub(crate) ProcRef);

async fn ask<R: Send + 'static>(
    proc: &Proc,
    f: impl FnOnce(&Proc) -> R + Send + 'static,
) -> Result<R, SysError> {
    let (mut waiter, replier) = slot::pair::<R>();
    let request = Request(Box::new(move |proc| {
        crate::rt::sim::arrive_all(proc, None);
        drop(replier.send(f(proc)));
    }));
    if proc.push(internal(request)).is_err() {
        return Err(SysError::NoProc);
    }
    let mut alarm = Alarm::at(proc.node.clone(), proc.node.now() + LIMIT);
    poll_fn(|cx| match waiter.poll(cx) {
        Poll::Ready(Some(answer)) => Poll::Ready(Ok(answer)),
        Poll::Ready(None) => {
            Poll::Ready(Err(if proc.word.is_alive() { SysError::Panicked } else { SysError::NoProc }))
        },
        Poll::Pending => alarm.poll(cx).map(|()| Err(SysError::Timeout)),
    })
    .await
}

async fn ask_pid<R: Send + 'static>(
    pid: Pid,
    f: impl FnOnce(&Proc) -> R + Send + 'static,
) -> Result<R, SysError> {
    let proc = current::by_index(pid.node_index()).and_then(|n| n.lookup(pid)).ok_or(SysError::NoProc)?;
    ask(&proc, f).await
}

/// The state, for the time of `f`. Called by the runner only.
fn with_state<S: 'static, R>(proc: &Proc, f: impl FnOnce(&mut S) -> R) -> Option<R> {
    // SAFETY: requests are served, and installed functions run, between two messages by the holder of RUN, and by nobody else.
    let mut state = unsafe { (proc.table.state)(proc) }?;
    // SAFETY: as above: the state is there, and nobody else looks.
    let state: &mut dyn Any = unsafe { state.as_mut() };
    state.downcast_mut::<S>().map(f)
}

/// A copy of a server's state.
///
/// # Errors
/// See [`SysError`].
pub async fn get_state<H: ServerHandle>(server: &H) -> Result<H::Server, SysError>
where
    H::Server: Clone + Send,
{
    inspect_state(server, |state| state.clone()).await
}

/// Runs `f` on a server's state, between two messages: for states that cannot be cloned.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::sys;
/// let counter = Counter::start(7).await?;
/// assert_eq!(sys::inspect_state(&counter, |state| state.0 + 1).await?, 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`SysError`].
pub async fn inspect_state<H: ServerHandle, R: Send + 'static>(
    server: &H,
    f: impl FnOnce(&H::Server) -> R + Send + 'static,
) -> Result<R, SysError> {
    let Found(proc) = server.found().ok_or(SysError::NoProc)?;
    ask(&proc, move |proc| with_state(proc, |state: &mut H::Server| f(state))).await?.ok_or(SysError::NoState)
}

/// Replaces a server's state by `f` of it, and returns a copy of the new one. If `f` panics, the state stays as it was.
///
/// # Errors
/// See [`SysError`].
pub async fn replace_state<H: ServerHandle>(
    server: &H,
    f: impl FnOnce(H::Server) -> H::Server + Send + 'static,
) -> Result<H::Server, SysError>
where
    H::Server: Clone + Send,
{
    let Found(proc) = server.found().ok_or(SysError::NoProc)?;
    ask(&proc, move |proc| {
        with_state(proc, |state: &mut H::Server| {
            let new = f(state.clone());
            H::__replace(state, new);
            state.clone()
        })
    })
    .await?
    .ok_or(SysError::NoState)
}

/// What [`get_status`] tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SysStatus {
    /// Whose status it is.
    pub pid: Pid,
    /// The server's type, or `"process"`.
    pub module: &'static str,
    /// Is it suspended?
    pub suspended: bool,
    /// Who spawned it.
    pub parent: Option<Pid>,
    /// Is any of trace, log, statistics and installed functions on?
    pub debugged: bool,
    /// The state, by [`format_status`](crate::GenServer::format_status).
    pub state: String,
    /// The logged events, the oldest first.
    pub log: Vec<SysEvent>,
}

/// A process's status.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::sys;
/// let counter = Counter::start(7).await?;
/// let status = sys::get_status(counter.pid()).await?;
/// assert!(status.module.ends_with("Counter") && !status.suspended && !status.debugged);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`SysError`].
pub async fn get_status(pid: Pid) -> Result<SysStatus, SysError> {
    ask_pid(pid, |proc| SysStatus {
        pid: proc.pid(),
        module: (proc.table.type_name)(),
        suspended: proc.has(SUSPENDED),
        parent: proc.parent(),
        debugged: proc.has(DEBUGGED),
        // SAFETY: requests are served by the holder of RUN.
        state: unsafe { (proc.table.status)(proc) },
        log: logged(proc),
    })
    .await
}

fn logged(proc: &Proc) -> Vec<SysEvent> {
    let extra = proc.extra.lock();
    let log = extra.as_ref().and_then(|e| e.debug.as_ref()).and_then(|d| d.log.as_ref());
    log.map_or_else(Vec::new, |l| l.events.iter().cloned().collect())
}

/// Holds a process: messages wait, `sys` requests are served. Suspending twice is suspending once.
///
/// # Errors
/// See [`SysError`].
pub async fn suspend(pid: Pid) -> Result<(), SysError> {
    ask_pid(pid, |proc| {
        proc.set_flag(SUSPENDED, true);
    })
    .await
}

/// Lets a suspended process go on, with the messages that came meanwhile in order.
///
/// # Errors
/// See [`SysError`].
pub async fn resume(pid: Pid) -> Result<(), SysError> {
    ask_pid(pid, |proc| {
        proc.set_flag(SUSPENDED, false);
    })
    .await
}

/// Stops a process in an orderly way with this reason, suspended or not, and waits for its end.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::{ExitReason, sys};
/// let counter = Counter::start(7).await?;
/// sys::terminate(counter.pid(), ExitReason::Shutdown).await?;
/// assert!(!counter.is_alive());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// [`SysError::NoProc`], [`SysError::Timeout`] (after 5 s; it may still end).
pub async fn terminate(pid: Pid, reason: ExitReason) -> Result<(), SysError> {
    let proc = current::by_index(pid.node_index()).and_then(|n| n.lookup(pid)).ok_or(SysError::NoProc)?;
    if proc.push(internal(StopRequest(reason))).is_err() {
        return Err(SysError::NoProc);
    }
    crate::process::api::wait_within(&proc, LIMIT).await.map(|_| ()).ok_or(SysError::Timeout)
}

fn debugging<R>(proc: &Proc, f: impl FnOnce(&mut Debug) -> R) -> R {
    let mut extra = proc.extra.lock();
    let slot = &mut extra.get_or_insert_default().debug;
    let debug = slot.get_or_insert_default();
    let result = f(debug);
    let off = debug.is_off();
    if off {
        *slot = None;
    }
    drop(extra);
    proc.set_flag(DEBUGGED, !off);
    result
}

/// Switches tracing on or off: every message the process takes becomes a log event of target `purlin::trace`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::sys;
/// let counter = Counter::start(7).await?;
/// sys::trace(counter.pid(), true).await?;                            // as `purlin::trace=info` in a subscriber's filter
/// assert!(sys::get_status(counter.pid()).await?.debugged);
/// sys::trace(counter.pid(), false).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`SysError`].
pub async fn trace(pid: Pid, on: bool) -> Result<(), SysError> {
    ask_pid(pid, move |proc| debugging(proc, |debug| debug.trace = on)).await
}

/// Switches the log on, keeping the last 10 events, or off.
///
/// # Errors
/// See [`SysError`].
pub async fn log(pid: Pid, on: bool) -> Result<(), SysError> {
    log_keeping(pid, if on { LOG_DEFAULT } else { 0 }).await
}

/// Switches the log on, keeping the last `n` events; 0 switches it off.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::sys::{self, SysEvent};
/// # use purlin_core::HandleCast;
/// # struct Add(i64);
/// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
/// let counter = Counter::start(7).await?;
/// sys::log_keeping(counter.pid(), 2).await?;
/// for n in 1..=3 {
///     counter.cast(Add(n));
/// }
/// let log = sys::get_log(counter.pid()).await?;
/// assert_eq!(log.len(), 2);
/// assert!(matches!(log[0], SysEvent::In { message, .. } if message.ends_with("Add")));
/// sys::log(counter.pid(), false).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`SysError`].
pub async fn log_keeping(pid: Pid, n: usize) -> Result<(), SysError> {
    ask_pid(pid, move |proc| {
        debugging(proc, |debug| {
            let events = debug.log.take().map_or_else(VecDeque::new, |l| l.events);
            debug.log = (n > 0).then_some(Log { keep: n, events });
        });
    })
    .await
}

/// The logged events, the oldest first.
///
/// # Errors
/// See [`SysError`].
pub async fn get_log(pid: Pid) -> Result<Vec<SysEvent>, SysError> {
    ask_pid(pid, logged).await
}

/// Switches statistics on (from zero) or off.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// use purlin_core::sys;
/// # use purlin_core::HandleCast;
/// # struct Add(i64);
/// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
/// let counter = Counter::start(7).await?;
/// sys::statistics(counter.pid(), true).await?;
/// counter.cast(Add(1));
/// assert_eq!(sys::get_statistics(counter.pid()).await?.unwrap().messages_in, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// See [`SysError`].
pub async fn statistics(pid: Pid, on: bool) -> Result<(), SysError> {
    ask_pid(pid, move |proc| {
        let start = proc.node.now();
        let handled_at_start = proc.handled.load(crate::sync::Ordering::Relaxed);
        debugging(proc, |debug| {
            debug.statistics = on.then_some(Counting { start, handled_at_start, messages_in: 0 })
        });
    })
    .await
}

/// The statistics so far; `None` if they are off.
///
/// # Errors
/// See [`SysError`].
pub async fn get_statistics(pid: Pid) -> Result<Option<Statistics>, SysError> {
    ask_pid(pid, |proc| {
        let now = proc.node.now();
        let handled = proc.handled.load(crate::sync::Ordering::Relaxed);
        let extra = proc.extra.lock();
        let counting = extra.as_ref().and_then(|e| e.debug.as_ref()).and_then(|d| d.statistics.as_ref());
        counting.map(|c| Statistics {
            start_time: c.start,
            current_time: now,
            reductions: handled.wrapping_sub(c.handled_at_start),
            messages_in: c.messages_in,
        })
    })
    .await
}
