//! The handle of an agent, and how one is started.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::agent::server::{AgentInit, AgentServer, Get, GetAndUpdate, ReadableState, Update};
use crate::gen_server::refs::Place;
use crate::gen_server::{
    ByCall, ByRead, CallFuture, GenServer, Name, Plain, Ref, Start, StartError, StartFuture, StopError,
    Target, cast_to,
};
use crate::mailbox::bound::MailboxBound;
use crate::node::Node;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::stop::stop_proc;
use crate::supervisor::{Child, Supervised};

/// A state of type `T` in a process of its own, used by functions. See the [module documentation](crate::agent).
///
/// A handle means either one process (from [`start`](Self::start)) or whatever agent has a name when it is used
/// (from [`named`](Self::named)), which survives restarts. Cheap to clone; keeps no process alive.
pub struct Agent<T> {
    target: Target<AgentServer<T>>,
}

impl<T> Agent<T> {
    const fn at(place: Place) -> Agent<T>
    where
        T: Send + 'static,
    {
        Agent { target: Target::new(place) }
    }
}

impl<T: Send + 'static> Agent<T> {
    /// An agent about to start with the state that `init` makes, in the agent's process. Await it: that waits for `init`.
    ///
    /// # Errors
    /// When awaited, as for any server; a panic in `init` is [`StartError::Failed`].
    #[track_caller]
    pub fn start(init: impl FnOnce() -> T + Send + 'static) -> StartAgent<T> {
        StartAgent { start: AgentServer::start(AgentInit::new(init)) }
    }

    /// [`start`](Self::start), linked with the calling process, which becomes the agent's parent.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn start_link(init: impl FnOnce() -> T + Send + 'static) -> StartAgent<T> {
        StartAgent { start: AgentServer::start_link(AgentInit::new(init)) }
    }

    /// The agent of this name on the current node, found anew at each use. For a name made at run time use `Agent::from(string)`, for a
    /// registry's key `Agent::from(registry.via(key))`.
    ///
    /// ```
    /// use purlin_core::Agent;
    /// const HITS: Agent<u64> = Agent::named("hits");
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// assert!(HITS.get(|n| *n).await.unwrap_err().is_no_proc());
    /// Agent::start(|| 7_u64).name("hits").await?;
    /// assert_eq!(HITS.get(|n| *n).await?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub const fn named(name: &'static str) -> Agent<T> {
        Agent::at(Place::Static(name))
    }

    /// An agent as the child of a supervisor, with settings to change. `init` makes the state anew at each start; a panic in it is a failed
    /// start. Its id is `"Agent"` unless a name or an id is given.
    pub fn child_spec(init: impl Fn() -> T + Send + Sync + 'static) -> Child<AgentServer<T>> {
        let init = Arc::new(init);
        AgentServer::child_spec_with(move || {
            let init = init.clone();
            AgentInit::new(move || init())
        })
        .module("Agent")
    }

    /// What `f` makes of the state. `f` runs in the agent, and only looks: on an idle agent, the `get`s of several callers run at the same
    /// time, each on its caller's thread.
    ///
    /// Awaited, it waits for 5 s at most; [`timeout`](CallFuture::timeout) and [`infinity`](CallFuture::infinity) say otherwise. A panic in `f`
    /// ends the agent, and its reason is in the error.
    ///
    /// # Errors
    /// When awaited, a [`CallError`](crate::CallError).
    #[track_caller]
    #[inline]
    pub fn get<F, R>(&self, f: F) -> CallFuture<'_, AgentServer<T>, Get<F, R>, R>
    where
        T: ReadableState,
        F: FnOnce(&T) -> R + Send + 'static,
        R: Send + 'static,
    {
        CallFuture::new::<ByRead<Plain>>(&self.target, Get(f, PhantomData))
    }

    /// Changes the state by `f`, which runs in the agent, alone. Deadline and panics as for [`get`](Self::get).
    ///
    /// # Errors
    /// When awaited, a [`CallError`](crate::CallError).
    #[track_caller]
    #[inline]
    pub fn update<F>(&self, f: F) -> CallFuture<'_, AgentServer<T>, Update<F>, ()>
    where
        F: FnOnce(&mut T) + Send + 'static,
    {
        CallFuture::new::<ByCall<Plain>>(&self.target, Update(f))
    }

    /// Changes the state by `f`, which runs in the agent, alone, and returns what `f` returns. Deadline and panics as for
    /// [`get`](Self::get).
    ///
    /// # Errors
    /// When awaited, a [`CallError`](crate::CallError).
    #[track_caller]
    #[inline]
    pub fn get_and_update<F, R>(&self, f: F) -> CallFuture<'_, AgentServer<T>, GetAndUpdate<F, R>, R>
    where
        F: FnOnce(&mut T) -> R + Send + 'static,
        R: Send + 'static,
    {
        CallFuture::new::<ByCall<Plain>>(&self.target, GetAndUpdate(f, PhantomData))
    }

    /// Changes the state by `f` some time later, in order with what else this process asks of the agent. Waits for nothing and never fails:
    /// if the agent is not there, `f` is dropped.
    pub fn cast<F>(&self, f: F)
    where
        F: FnOnce(&mut T) + Send + 'static,
    {
        cast_to::<_, _, Plain>(&self.target, Update(f));
    }

    /// Stops the agent with reason `Normal`, and waits until it has ended and its state is dropped.
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop(&self) -> Result<(), StopError> {
        stop_proc(self.target.find_ref(), ExitReason::Normal, None).await
    }

    /// [`stop`](Self::stop) with another reason and a limit.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Agent, ExitReason, secs};
    /// let agent = Agent::start(|| 0).await?;
    /// agent.stop_with(ExitReason::Shutdown, secs(5)).await?;
    /// assert!(agent.whereis().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop_with(&self, reason: ExitReason, limit: Duration) -> Result<(), StopError> {
        stop_proc(self.target.find_ref(), reason, Some(limit)).await
    }

    /// The agent's process, if it is alive.
    pub fn whereis(&self) -> Option<Ref<AgentServer<T>>> {
        self.target.find_ref().map(Ref::from_proc).filter(Ref::is_alive)
    }

    /// The pid of the agent's process, if it is alive.
    pub fn pid(&self) -> Option<Pid> {
        self.whereis().map(|server| server.pid())
    }
}

impl<T: Send + 'static> Clone for Agent<T> {
    fn clone(&self) -> Self {
        Agent::at(self.target.place.clone())
    }
}

impl<T: Send + 'static> fmt::Debug for Agent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target.place {
            Place::Process(proc) => write!(f, "Agent({})", proc.pid()),
            _ => write!(f, "Agent({:?})", self.target.name().unwrap_or_default()),
        }
    }
}

impl<T: Send + 'static> From<Ref<AgentServer<T>>> for Agent<T> {
    fn from(server: Ref<AgentServer<T>>) -> Self {
        Agent::at(server.target().place.clone())
    }
}

impl<T: Send + 'static> From<Name<AgentServer<T>>> for Agent<T> {
    fn from(name: Name<AgentServer<T>>) -> Self {
        Agent::at(name.target().place.clone())
    }
}

impl<T: Send + 'static> From<String> for Agent<T> {
    /// [`named`](Agent::named) for a name made at run time.
    fn from(name: String) -> Self {
        Agent::at(Place::Owned(name.into()))
    }
}

impl<T: Send + 'static> crate::sys::ServerHandle for Agent<T> {
    type Server = AgentServer<T>;
    fn found(&self) -> Option<crate::sys::Found> {
        self.target.find_ref().map(crate::sys::Found)
    }
    fn __replace(old: &mut Self::Server, new: Self::Server) {
        *old = new;
    }
}

/// An agent about to start: from [`Agent::start`] and [`Agent::start_link`]. Await it.
#[must_use = "the agent starts when this is awaited"]
pub struct StartAgent<T: Send + 'static> {
    start: Start<AgentServer<T>, AgentInit<T>>,
}

impl<T: Send + 'static> StartAgent<T> {
    /// Registers the agent under this name before its state is made: a text, or a registry's [`via`](crate::Registry::via).
    pub fn name(mut self, name: impl Into<Name<AgentServer<T>>>) -> Self {
        self.start = self.start.name(name);
        self
    }

    /// How long making the state may take; for ever by default. An agent that takes longer is killed.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.start = self.start.timeout(limit);
        self
    }

    /// Bounds the mailbox; unbounded by default.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Agent, Down, Mailbox, MailboxBound, Overflow, process, secs};
    /// # let here = node.clone();
    /// let p = process::spawn(async move |mut mailbox: Mailbox<Down>| {
    ///     let starting = Agent::start(|| 0).timeout(secs(1)).mailbox(MailboxBound::new(100, Overflow::Reject)).node(&here);
    ///     let (agent, monitor) = starting.monitor().await.unwrap();
    ///     agent.stop().await.unwrap();
    ///     assert_eq!(mailbox.receive().await.monitor, monitor);
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn mailbox(mut self, bound: MailboxBound) -> Self {
        self.start = self.start.mailbox(bound);
        self
    }

    /// Starts on another node of this program than the current one.
    pub fn node(mut self, node: &Node) -> Self {
        self.start = self.start.node(node);
        self
    }

    /// Starts it, and monitors it from the calling process from before its state is made.
    ///
    /// # Errors
    /// As for awaiting it.
    ///
    /// # Panics
    /// Outside a process.
    pub async fn monitor(self) -> Result<(Agent<T>, MonitorRef), StartError> {
        let (server, monitor) = self.start.monitor().await?;
        Ok((server.into(), monitor))
    }
}

impl<T: Send + 'static> IntoFuture for StartAgent<T> {
    type Output = Result<Agent<T>, StartError>;
    type IntoFuture = StartAgentFuture<T>;

    fn into_future(self) -> StartAgentFuture<T> {
        StartAgentFuture(self.start.into_future())
    }
}

/// The future of a [`StartAgent`]. Polled again when it is completed, it panics.
pub struct StartAgentFuture<T: Send + 'static>(StartFuture<AgentServer<T>, AgentInit<T>>);

impl<T: Send + 'static> Future for StartAgentFuture<T> {
    type Output = Result<Agent<T>, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(Agent::from)
    }
}
