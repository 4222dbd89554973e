//! Functions that run inside a process at each of its events, and the log into a file, which is one of them.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use super::debug::SysEvent;
use super::{Found, ServerHandle, SysError, ask, ask_pid, debugging, with_state};
use crate::process::cell::{OWNS, Proc};
use crate::process::panic;
use crate::process::pid::Pid;

/// A function with its state, which it has captured.
pub(crate) type OnEvent = Box<dyn FnMut(&Proc, &SysEvent) -> ControlFlow<()> + Send>;

/// What a function is known by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// The log into a file.
    File,
    Named(Box<str>),
}

pub(crate) struct Installed {
    id: Id,
    /// There until it is dropped.
    f: Option<OnEvent>,
}

/// What a function has captured is the user's.
impl Drop for Installed {
    fn drop(&mut self) {
        panic::drop_quietly("a function of sys::install", self.f.take());
    }
}

/// Installs a function that is called at each event of a server (a message taken from its mailbox), inside its process, before the message
/// is handled. It may keep what it likes in what it captures, and takes itself out by returning `ControlFlow::Break(())` (`done` in OTP).
///
/// The functions of one process run in the order in which they were installed. One that panics is taken out, and an error is logged; the process
/// goes on. While there are any, the server's calls go through its mailbox. A free-form process has no events.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// # use purlin_core::HandleCast;
/// # struct Add(i64);
/// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
/// use purlin_core::sys::{self, SysEvent};
/// use std::ops::ControlFlow;
///
/// let counter = Counter::start(7).await?;
/// let (tell, told) = std::sync::mpsc::channel();
/// let mut left = 2;                                                  // the function's state
/// sys::install(counter.pid(), "first two", move |event| {
///     if let SysEvent::In { message, .. } = event {
///         tell.send(*message).unwrap();
///     }
///     left -= 1;
///     if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// })
/// .await?;
/// for n in 1..=3 {
///     counter.cast(Add(n));
/// }
/// assert_eq!(sys::get_state(&counter).await?.0, 13);
/// assert_eq!(told.iter().collect::<Vec<_>>(), ["Add", "Add"]);
/// assert!(!sys::remove(counter.pid(), "first two").await?);          // it has taken itself out
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// [`SysError::IdTaken`] when a function with this id is installed, which stays; else see [`SysError`].
pub async fn install(
    pid: Pid,
    id: impl Into<String>,
    mut f: impl FnMut(&SysEvent) -> ControlFlow<()> + Send + 'static,
) -> Result<(), SysError> {
    let id = Id::Named(id.into().into());
    let f: OnEvent = Box::new(move |_, event| f(event));
    ask_pid(pid, move |proc| add(proc, id, f)).await?
}

/// [`install`] for a function that also looks at the server's state, as it is before the message is handled.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// # use purlin_core::HandleCast;
/// # struct Add(i64);
/// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
/// use purlin_core::sys;
/// use std::ops::ControlFlow;
///
/// let counter = Counter::start(7).await?;
/// sys::install_with_state(&counter, "too much", |event, state| {
///     if state.0 > 100 {
///         eprintln!("{} when {event:?} came", state.0);
///     }
///     ControlFlow::Continue(())
/// })
/// .await?;
/// assert!(sys::remove(counter.pid(), "too much").await?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// As for [`install`].
pub async fn install_with_state<H: ServerHandle>(
    server: &H,
    id: impl Into<String>,
    mut f: impl FnMut(&SysEvent, &H::Server) -> ControlFlow<()> + Send + 'static,
) -> Result<(), SysError> {
    let Found(process) = server.found().ok_or(SysError::NoProc)?;
    let id = Id::Named(id.into().into());
    let f: OnEvent = Box::new(move |proc, event| {
        with_state(proc, |state: &mut H::Server| f(event, state)).unwrap_or(ControlFlow::Break(()))
    });
    ask(&process, move |proc| match with_state(proc, |_: &mut H::Server| ()) {
        Some(()) => add(proc, id, f),
        None => Err(SysError::NoState),
    })
    .await?
}

/// Takes an installed function out; whether it was there. What it has captured is dropped.
///
/// # Errors
/// See [`SysError`].
pub async fn remove(pid: Pid, id: impl Into<String>) -> Result<bool, SysError> {
    let id = Id::Named(id.into().into());
    ask_pid(pid, move |proc| take_out(proc, &id)).await
}

/// Writes every event of a server into a file from now on, a line each: the time since the node's start, the pid, and the message's type.
/// The file is made, or emptied. A second file takes the place of the first.
///
/// Lines are written by the process itself, one at a time: this is for looking at one process for a while, not for logs.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::{Cx, GenServer, InitError};
/// # #[derive(Clone)] struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// # use purlin_core::HandleCast;
/// # struct Add(i64);
/// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
/// use purlin_core::sys;
/// let path = std::env::temp_dir().join(format!("counter-{}.log", std::process::id()));
/// let counter = Counter::start(7).await?;
/// sys::log_to_file(counter.pid(), &path).await?;
/// counter.cast(Add(1));
/// sys::stop_log_to_file(counter.pid()).await?;
/// assert!(std::fs::read_to_string(&path)?.ends_with("got Add\n"));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// [`SysError::File`] when the file cannot be made; else see [`SysError`]. When a line cannot be written later, that is logged, and the log
/// is switched off.
pub async fn log_to_file(pid: Pid, path: impl AsRef<Path>) -> Result<(), SysError> {
    let path = path.as_ref().to_owned();
    let mut file = File::create(&path).map_err(|error| SysError::File(error.kind()))?;
    let f: OnEvent = Box::new(move |proc, event| {
        let SysEvent::In { message, at } = event;
        // One write a line, so that whoever reads along sees whole lines.
        let line = format!("{:.6} {} got {message}\n", at.as_secs_f64(), proc.pid());
        match file.write_all(line.as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                tracing::error!(pid = %proc.pid(), path = %path.display(), %error, "the log into a file is off");
                ControlFlow::Break(())
            },
        }
    });
    ask_pid(pid, move |proc| {
        take_out(proc, &Id::File);
        add(proc, Id::File, f)
    })
    .await?
}

/// Closes the file of [`log_to_file`]; whether there was one. Everything that happened before is in it then.
///
/// # Errors
/// See [`SysError`].
pub async fn stop_log_to_file(pid: Pid) -> Result<bool, SysError> {
    ask_pid(pid, |proc| take_out(proc, &Id::File)).await
}

fn add(proc: &Proc, id: Id, f: OnEvent) -> Result<(), SysError> {
    let installed = Installed { id, f: Some(f) };
    let refused = debugging(proc, |debug| {
        if debug.functions.iter().any(|other| other.id == installed.id) {
            return Some(installed);
        }
        debug.functions.push(installed);
        None
    });
    // One that was refused is dropped here, where nobody holds a lock.
    match refused {
        Some(_) => Err(SysError::IdTaken),
        None => {
            // Functions go with their process, before anybody is told of its end.
            proc.set_flag(OWNS, true);
            Ok(())
        },
    }
}

fn take_out(proc: &Proc, id: &Id) -> bool {
    let out = debugging(proc, |debug| {
        let at = debug.functions.iter().position(|installed| installed.id == *id)?;
        Some(debug.functions.remove(at))
    });
    out.is_some()
}

/// Runs the functions of a process at an event, without a lock. Those that are done are taken out.
pub(crate) fn run(proc: &Proc, event: &SysEvent, mut functions: Vec<Installed>) {
    functions.retain_mut(|installed| {
        let Some(f) = &mut installed.f else { return false };
        match panic::catch(|| f(proc, event)) {
            Ok(done) => done.is_continue(),
            Err(reason) => {
                tracing::error!(pid = %proc.pid(), %reason, "a function of sys::install panicked and is taken out");
                false
            },
        }
    });
    // Nobody else can have installed any meanwhile: that is done by the process itself, between two messages.
    debugging(proc, |debug| debug.functions = functions);
}
