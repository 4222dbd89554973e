//! Starting a server: process, link, name and `init`, in that order, and the starter waits.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::call::slot;
use crate::gen_server::direct::MAX_DEPTH;
use crate::gen_server::refs::{Name, Place, Ref};
use crate::gen_server::server::{self, INIT_ONLY, Server};
use crate::gen_server::traits::GenServer;
use crate::mailbox::bound::MailboxBound;
use crate::node::builder::CallPath;
use crate::node::names::RegisterError;
use crate::node::{Node, current};
use crate::process::api::wait_within;
use crate::process::cell::{NO_DIRECT, SUPERVISOR};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations;
use crate::process::run;
use crate::process::spawn::{self, Options};
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
    /// There is no current node.
    NoNode,
    /// The node is stopping.
    NodeStopping,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Ignore => f.write_str("the server chose not to start"),
            StartError::AlreadyStarted(pid) => write!(f, "already started as {pid}"),
            StartError::Timeout => f.write_str("`init` took too long"),
            StartError::Failed(reason) => write!(f, "`init` failed: {reason}"),
            StartError::BadName => f.write_str("a name must not be empty"),
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
#[must_use = "the server starts when this is awaited"]
pub struct Start<S: GenServer> {
    args: S::Args,
    link: bool,
    node: Option<Node>,
    name: Option<Name<S>>,
    limit: Option<Duration>,
    bound: Option<MailboxBound>,
    flags: u32,
}

impl<S: GenServer> Start<S> {
    pub(crate) fn new(args: S::Args, link: bool) -> Start<S> {
        Start { args, link, node: Node::try_current(), name: None, limit: None, bound: None, flags: 0 }
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

    pub(crate) fn maybe_mailbox(mut self, bound: Option<MailboxBound>) -> Self {
        self.bound = bound;
        self
    }

    /// Starts on another node of this program than the current one.
    pub fn node(mut self, node: &Node) -> Self {
        self.node = Some(node.clone());
        self
    }

    pub(crate) fn supervisor(mut self) -> Self {
        self.flags |= SUPERVISOR;
        self
    }

    /// Starts it, and monitors it from the calling process (see [`process::monitor`](crate::process::monitor)) from before `init`.
    ///
    /// # Errors
    /// As for awaiting it.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn monitor(self) -> Result<(Ref<S>, MonitorRef), StartError> {
        let options = relations::WatchOptions::converting(crate::mailbox::envelope::Envelope::plain::<crate::Down>);
        let (started, monitor) = self.run(Some(options)).await?;
        Ok((started, monitor.unwrap_or_else(|| panic!("start with monitor is for processes"))))
    }

    async fn run(self, monitor: Option<relations::WatchOptions>) -> Result<(Ref<S>, Option<MonitorRef>), StartError> {
        let node = self.node.ok_or(StartError::NoNode)?;
        if node.0.is_down() || (node.0.stopping.load(crate::sync::Ordering::Relaxed) && crate::process::self_pid().is_none()) {
            return Err(StartError::NodeStopping);
        }
        let (mut waiter, replier) = slot::pair();
        let mut flags = self.flags;
        if node.0.settings.call_path == CallPath::Queued {
            flags |= NO_DIRECT;
        }
        let local_name: Option<Arc<str>> = match self.name.as_ref().map(Name::place) {
            Some(Place::Static(name)) => Some(Arc::from(*name)),
            Some(Place::Owned(name)) => Some(name.clone()),
            _ => None,
        };
        let options = Options { link: self.link, monitor, bound: self.bound, flags, name: local_name, callers: Vec::new() };
        let spawned = spawn::create(&node, server::table::<S>(), Server::<S>::new(self.args, replier), options).map_err(name_error)?;
        let proc = spawned.proc;
        if let Some(Place::Via(via)) = self.name.as_ref().map(Name::place)
            && let Err(error) = via.bind(&proc)
        {
            spawn::abandon(&proc);
            return Err(name_error(error));
        }
        // `init` runs on this stack when it may: starting a server that is ready at once is then no trip through a run queue.
        let in_place = !node.is_simulated()
            && self.limit.is_none()
            && current::may_run_in_place(node.0.index)
            && current::tls(|t| t.depth.get()) < MAX_DEPTH;
        if in_place {
            let depth = Deeper::enter();
            let _ = proc.word.begin();
            drop(run::run(&proc, INIT_ONLY));
            drop(depth);
        } else {
            node.rt().schedule(&proc);
        }
        let mut guard = KillUnlessStarted(Some(proc));
        let mut alarm = self.limit.map(|limit| Alarm::at(node.clone(), node.now() + limit));
        let outcome = poll_fn(|cx| match waiter.poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => match alarm.as_mut().map(|a| a.poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(None),
                _ => Poll::Pending,
            },
        })
        .await;
        let Some(proc) = guard.0.take() else { unreachable!("taken only here") };
        match outcome {
            Some(Some(Ok(()))) => Ok((Ref::from_proc(proc), spawned.monitor)),
            Some(Some(Err(error))) => Err(error),
            Some(None) => Err(StartError::Failed(proc.mailbox.exit_reason().unwrap_or(ExitReason::Killed))),
            None => {
                current::with_current(|me| relations::unlink(me, proc.pid()));
                crate::process::exit::kill(&proc);
                let _ = wait_within(&proc, crate::timer::LONGEST).await;
                Err(StartError::Timeout)
            }
        }
    }
}

fn name_error(error: RegisterError) -> StartError {
    match error {
        RegisterError::NameTaken(pid) => StartError::AlreadyStarted(pid),
        _ => StartError::BadName,
    }
}

/// A starter that is dropped while `init` runs takes the server with it: nobody would know of it.
struct KillUnlessStarted(Option<crate::process::cell::ProcRef>);

impl Drop for KillUnlessStarted {
    fn drop(&mut self) {
        if let Some(proc) = self.0.take() {
            crate::process::exit::kill(&proc);
        }
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

impl<S: GenServer> IntoFuture for Start<S> {
    type Output = Result<Ref<S>, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run(None).await.map(|(started, _)| started) })
    }
}
