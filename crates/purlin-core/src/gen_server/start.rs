//! Starting a server: process, link, name and `init`, in that order, and the starter waits.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::call::slot::{self, Waiter};
use crate::gen_server::direct::MAX_DEPTH;
use crate::gen_server::refs::{Name, Place, Ref};
use crate::gen_server::server::{self, INIT_ONLY, Server};
use crate::gen_server::traits::GenServer;
use crate::mailbox::bound::MailboxBound;
use crate::node::builder::CallPath;
use crate::node::names::RegisterError;
use crate::node::{Node, current};
use crate::process::api::ended;
use crate::process::cell::{BLOCKING, CHILD, NO_DIRECT, ProcRef, SUPERVISOR};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations;
use crate::process::run;
use crate::process::spawn::{self, Options};
use crate::process::watch::demonitor_plain;
use crate::timer::Alarm;

/// Why a server did not start. In every case no process is left.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// `init` said so; not a failure.
    Ignore,
    /// The name belongs to this live process; `init` was not run.
    AlreadyStarted(Pid),
    /// `init` took longer than the limit, and was killed.
    Timeout,
    /// `init` failed, panicked, or was killed, with this reason.
    Failed(ExitReason),
    /// The name is empty.
    BadName,
    /// The name is a registry's key, and no registry of this name is running on the node.
    UnknownRegistry {
        /// The registry's name.
        name: Box<str>,
    },
    /// The name is a registry's key, and the registry has duplicate keys: a name means one process.
    DuplicateRegistry {
        /// The registry's name.
        name: Box<str>,
    },
    /// The name is a registry's key, and what runs under the registry's name is something else: another kind of process, or a registry with
    /// other key or value types.
    WrongRegistry(Box<WrongRegistry>),
    /// There is no current node.
    NoNode,
    /// The node is stopping.
    NodeStopping,
}

/// What runs under the name of a registry in place of the one that was meant.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct WrongRegistry {
    /// The registry's name.
    pub name: String,
    /// The type that was expected.
    pub expected: &'static str,
    /// The type of the process that has the name.
    pub found: &'static str,
}

// The outcome of a start goes through a reply slot, which holds four words without a box.
const _: () = assert!(size_of::<Result<(), StartError>>() <= 32);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Ignore => f.write_str("the server chose not to start"),
            StartError::AlreadyStarted(pid) => write!(f, "already started as {pid}"),
            StartError::Timeout => f.write_str("`init` took too long"),
            StartError::Failed(reason) => write!(f, "`init` failed: {reason}"),
            StartError::BadName => f.write_str("a name must not be empty"),
            StartError::UnknownRegistry { name } => write!(
                f,
                "no registry {name:?} is running on this node; start it, or put it before its users under their supervisor"
            ),
            StartError::DuplicateRegistry { name } => write!(
                f,
                "the registry {name:?} has duplicate keys; a server is started under a key of a unique registry only"
            ),
            StartError::WrongRegistry(wrong) => {
                write!(f, "{:?} is a `{}`, not a `{}`", wrong.name, wrong.found, wrong.expected)
            },
            StartError::NoNode => f.write_str(crate::node::NO_NODE),
            StartError::NodeStopping => f.write_str("the node is stopping"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// The reason that a process which waited for this start ends with.
    pub(crate) fn into_reason(self) -> ExitReason {
        match self {
            StartError::Failed(reason) => reason,
            StartError::Timeout => ExitReason::Timeout,
            other => ExitReason::error(other.to_string()),
        }
    }
}

/// A server about to start: from [`GenServer::start`] and [`GenServer::start_link`]. Await it.
///
/// The current node is taken when this is made; the process comes into being when it is awaited.
///
/// `A` is what the server is started with, [`S::Args`](GenServer::Args) always. It is a parameter of its own so that the compiler need not
/// look it up through `S` when it asks whether an async block that awaits a start is `Send`: it knows too little about lifetimes there, and
/// would refuse servers such as `Cache<&'static str>`.
#[must_use = "the server starts when this is awaited"]
pub struct Start<S, A = <S as GenServer>::Args> {
    args: A,
    link: bool,
    node: Option<Node>,
    name: Option<Name<S>>,
    limit: Option<Duration>,
    bound: Option<MailboxBound>,
    flags: u32,
}

impl<S: GenServer> Start<S, S::Args> {
    pub(crate) fn new(args: S::Args, link: bool) -> Self {
        Start {
            args,
            link,
            node: Node::try_current(),
            name: None,
            limit: None,
            bound: None,
            flags: if S::SUPERVISOR { SUPERVISOR } else { 0 },
        }
    }

    /// Registers the server under this name before `init` runs.
    pub fn name(mut self, name: impl Into<Name<S>>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn maybe_name(mut self, name: Option<Name<S>>) -> Self {
        self.name = name;
        self
    }

    /// Links the server with the calling process, which becomes its parent.
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// How long `init` may take; for ever by default. A server that takes longer is killed, and is gone when this returns.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Bounds the mailbox; unbounded by default.
    pub fn mailbox(mut self, bound: MailboxBound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Handlers may block their thread, as those of a server around a C library or a file do: they run on tokio's pool of blocking threads, and
    /// callers always go through the mailbox. See [`process::spawn_blocking`](crate::process::spawn_blocking).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, GenServer, HandleCall, InitError};
    /// struct Disk;
    /// impl GenServer for Disk {
    ///     type Args = ();
    ///     async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Disk) }
    /// }
    /// struct Size(&'static str);
    /// impl HandleCall<Size> for Disk {
    ///     type Reply = Option<u64>;
    ///     async fn handle_call(&mut self, Size(path): Size, _: &mut Cx<Self>) -> Option<u64> {
    ///         Some(std::fs::metadata(path).ok()?.len())                  // as long as the disk takes
    ///     }
    /// }
    /// let disk = Disk::start(()).blocking().await?;
    /// assert_eq!(disk.call(Size("/no/such/file")).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn blocking(mut self) -> Self {
        self.flags |= BLOCKING | NO_DIRECT;
        self
    }

    pub(crate) fn maybe_mailbox(mut self, bound: Option<MailboxBound>) -> Self {
        self.bound = bound;
        self
    }

    /// Starts on another node of this program than the current one.
    pub fn node(mut self, node: &Node) -> Self {
        self.node = Some(node.clone());
        self
    }

    /// Starts it; the process, without its type. For supervisors.
    pub(crate) fn erased(self) -> Pin<Box<dyn Future<Output = Result<ProcRef, StartError>> + Send>> {
        let mut starting = Starting::New(self, None);
        Box::pin(poll_fn(move |cx| starting.poll(cx).map_ok(|(proc, _)| proc)))
    }

    /// Makes the process and lets `init` begin.
    fn begin(self, monitor: Option<relations::WatchOptions>) -> Result<Waiting, StartError> {
        let node = self.node.ok_or(StartError::NoNode)?;
        if node.0.is_down()
            || (node.0.stopping.load(crate::sync::Ordering::Relaxed) && crate::process::self_pid().is_none())
        {
            return Err(StartError::NodeStopping);
        }
        let (waiter, replier) = slot::pair();
        let mut flags = self.flags | if self.link { CHILD } else { 0 };
        if node.0.settings.call_path == CallPath::Queued {
            flags |= NO_DIRECT;
        }
        let local_name: Option<Arc<str>> = match self.name.as_ref().map(Name::place) {
            Some(Place::Static(name)) => Some(Arc::from(*name)),
            Some(Place::Owned(name)) => Some(name.clone()),
            _ => None,
        };
        let options = Options {
            link: self.link,
            monitor,
            bound: self.bound,
            flags,
            name: local_name,
            callers: Vec::new(),
        };
        let spawned = match spawn::create(&node, server::table::<S>(), Server::<S>::new(replier), options) {
            Ok(spawned) => spawned,
            Err(error) => {
                panic::drop_quietly("a server's arguments", self.args);
                return Err(name_error(error));
            },
        };
        let proc = spawned.proc;
        // Keys and values of registries are user code (`Hash`, `Eq`, `Clone`).
        if let Some(Place::Via(via)) = self.name.as_ref().map(Name::place)
            && let Err(error) =
                panic::catch(|| via.bind(&proc)).unwrap_or_else(|reason| Err(StartError::Failed(reason)))
        {
            if let Some(monitor) = spawned.monitor {
                current::with_current(|me| relations::demonitor(me, monitor));
            }
            spawn::abandon(&proc);
            panic::drop_quietly("a server's arguments", self.args);
            return Err(error);
        }
        // SAFETY: `create` built it as a server `S` and put it into no run queue.
        unsafe { server::boot::<S>(&proc, self.args, spawned.monitor) };
        // `init` runs on this stack when it may: starting a server that is ready at once is then no trip through a run queue.
        let in_place = !node.is_simulated()
            && self.limit.is_none()
            && flags & BLOCKING == 0
            && current::may_run_in_place(node.0.index)
            && current::tls(|t| t.depth.get()) < MAX_DEPTH;
        if in_place {
            let depth = Deeper::enter();
            let _ = proc.word.begin();
            drop(run::run_here(&proc, INIT_ONLY));
            drop(depth);
        } else {
            node.rt().schedule(&proc);
        }
        let alarm = self.limit.map(|limit| Alarm::at(node.clone(), node.now().saturating_add(limit)));
        let guard = KillUnlessStarted { proc: Some(proc), monitor: spawned.monitor };
        Ok(Waiting { waiter, guard, alarm })
    }
}

impl<S: GenServer<Args = A>, A> Start<S, A> {
    /// Starts it, and monitors it from the calling process (see [`process::monitor`](crate::process::monitor)) from before `init`. Of a start
    /// that fails no `Down` comes: the error tells.
    ///
    /// # Errors
    /// As for awaiting it.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn monitor(self) -> Result<(Ref<S>, MonitorRef), StartError> {
        let options =
            relations::WatchOptions::converting(crate::mailbox::envelope::Envelope::plain::<crate::Down>);
        let mut starting = Starting::New(self, Some(options));
        let (proc, monitor) = poll_fn(|cx| starting.poll(cx)).await?;
        Ok((Ref::from_proc(proc), monitor.unwrap_or_else(|| panic!("start with monitor is for processes"))))
    }
}

/// A start under way, without a box of its own.
enum Starting<S, A> {
    New(Start<S, A>, Option<relations::WatchOptions>),
    Waiting(Waiting),
    /// `init` took too long; its process is being ended.
    Killing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Done,
}

struct Waiting {
    waiter: Waiter<Result<(), StartError>>,
    guard: KillUnlessStarted,
    alarm: Option<Alarm>,
}

impl<S: GenServer<Args = A>, A> Starting<S, A> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ProcRef, Option<MonitorRef>), StartError>> {
        loop {
            match self {
                Starting::New(..) => {
                    let Starting::New(start, monitor) = std::mem::replace(self, Starting::Done) else {
                        unreachable!("matched")
                    };
                    match start.begin(monitor) {
                        Ok(waiting) => *self = Starting::Waiting(waiting),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                },
                Starting::Waiting(waiting) => {
                    let outcome = match waiting.waiter.poll(cx) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => {
                            let Some(alarm) = &mut waiting.alarm else { return Poll::Pending };
                            if alarm.poll(cx).is_pending() {
                                return Poll::Pending;
                            }
                            let Some(proc) = waiting.guard.give_up() else { return Poll::Pending };
                            *self = Starting::Killing(Box::pin(async move { drop(ended(&proc).await) }));
                            continue;
                        },
                    };
                    let Some(proc) = waiting.guard.proc.take() else { return Poll::Pending };
                    let monitor = waiting.guard.monitor;
                    *self = Starting::Done;
                    return Poll::Ready(match outcome {
                        Some(Ok(())) => Ok((proc, monitor)),
                        Some(Err(error)) => Err(error),
                        None => {
                            Err(StartError::Failed(proc.mailbox.exit_reason().unwrap_or(ExitReason::Killed)))
                        },
                    });
                },
                Starting::Killing(end) => {
                    if end.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    *self = Starting::Done;
                    return Poll::Ready(Err(StartError::Timeout));
                },
                Starting::Done => panic!("a start was polled after it was completed"),
            }
        }
    }
}

/// The future of a [`Start`]. Polled again when it is completed, it panics.
pub struct StartFuture<S, A = <S as GenServer>::Args>(Starting<S, A>);

impl<S, A> Unpin for StartFuture<S, A> {}

impl<S: GenServer> Future for StartFuture<S, S::Args> {
    type Output = Result<Ref<S>, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map_ok(|(proc, _)| Ref::from_proc(proc))
    }
}

fn name_error(error: RegisterError) -> StartError {
    match error {
        RegisterError::NameTaken(pid) => StartError::AlreadyStarted(pid),
        RegisterError::BadName => StartError::BadName,
        // It has no other name, so what is left is that it was killed before it had this one.
        RegisterError::NoProc | RegisterError::AlreadyNamed => StartError::Failed(ExitReason::Killed),
    }
}

/// A starter that is dropped while `init` runs takes the server with it: nobody would know of it.
struct KillUnlessStarted {
    proc: Option<ProcRef>,
    /// The starter's, if it asked for one.
    monitor: Option<MonitorRef>,
}

impl KillUnlessStarted {
    /// Kills the process, unless the start is over. The starter gave up: the end of what it gave up must not come back to it, over the link or
    /// by a monitor that it was not told of; `init` may have been done already, with nobody looking.
    fn give_up(&mut self) -> Option<ProcRef> {
        let proc = self.proc.take()?;
        if let Some(parent) = proc.parent().and_then(|parent| proc.node.lookup(parent)) {
            relations::unlink(&parent, proc.pid());
            let inside = current::with_current(|me| std::ptr::eq(me, &*parent)) == Some(true);
            match self.monitor {
                Some(monitor) if inside => _ = demonitor_plain(&parent, monitor),
                Some(monitor) => _ = relations::demonitor(&parent, monitor),
                None => {},
            }
        }
        crate::process::exit::kill(&proc);
        Some(proc)
    }
}

impl Drop for KillUnlessStarted {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// One level of running a server on another's stack.
pub(crate) struct Deeper;

impl Deeper {
    #[inline]
    pub(crate) fn enter() -> Deeper {
        current::tls(|t| t.depth.set(t.depth.get() + 1));
        Deeper
    }
}

impl Drop for Deeper {
    #[inline]
    fn drop(&mut self) {
        current::tls(|t| t.depth.set(t.depth.get() - 1));
    }
}

impl<S: GenServer> IntoFuture for Start<S, S::Args> {
    type Output = Result<Ref<S>, StartError>;
    type IntoFuture = StartFuture<S, S::Args>;

    fn into_future(self) -> StartFuture<S, S::Args> {
        StartFuture(Starting::New(self, None))
    }
}
