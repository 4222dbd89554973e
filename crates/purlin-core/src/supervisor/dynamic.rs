//! The dynamic supervisor: children of one kind or of many, started and stopped while it runs, each restarted alone.
//!
//! ```
//! # use purlin_core::{Cx, GenServer, InitError};
//! use purlin_core::{DynamicSupervisor, Supervised};
//! # struct Session;
//! # impl GenServer for Session { type Args = u64; async fn init(_: u64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Session) } }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let sessions = DynamicSupervisor::new().name("sessions").max_children(10_000).start_link().await?;
//! let session = sessions.start_child(Session::child_spec(7)).await?;     // a Ref<Session>
//! assert_eq!(sessions.count_children().await?.active, 1);
//! sessions.terminate_child(session.pid()).await?;
//! assert_eq!(sessions.count_children().await?.active, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Return values
//! `start_child` is typed: it answers a `Ref` of the child's own type. A child whose `init` says ignore is not kept
//! (`Failed(StartError::Ignore)`); so is one whose start fails, which is not tried again. A restart that fails is tried again at once,
//! by a message to itself, until it succeeds, is ignored, or exhausts the restart intensity.
//!
//! # Extra arguments
//! [`DynamicSupervisor::with_extra`] gives the supervisor a value that all of its children need and their starters need not know:
//!
//! ```
//! # use purlin_core::{Cx, GenServer, InitError};
//! use purlin_core::{DynamicSupervisor, Name, Supervised};
//! # #[derive(Clone)] struct Pool;
//! # struct Job; impl GenServer for Job { type Args = (Pool, u64); async fn init(_: (Pool, u64), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Job) } }
//! const JOBS: Name<DynamicSupervisor<Pool>> = Name::new("jobs");
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! DynamicSupervisor::with_extra(Pool).name(&JOBS).start_link().await?;
//! // Anywhere else, without a Pool at hand:
//! JOBS.start_child_with(|pool| Job::child_spec((pool.clone(), 42))).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! The closure runs inside the supervisor, once; restarts use what it made. An extra value that is itself a function from arguments to a
//! child, in a struct of your own, is OTP's `simple_one_for_one`: a template.
//!
//! # When not to use
//! For children known when the program is written, with an order between them: that is a [`Supervisor`](super::Supervisor). For work
//! without identity that nobody talks to, a [task](crate::task).
//!
//! # Cost
//! Starting a child is one call, in place if the supervisor is idle, and so is the child's `init`. A restart costs the same whatever the
//! number of children. A child that is never restarted (temporary) leaves no start arguments behind. One supervisor starts children one
//! after another: where their `init` takes long, let it return at once and go on with [`Cx::continue_with`], or use several supervisors.
//!
//! # Differences from Elixir
//! `extra_arguments` are a typed value and a closure instead of a list that is put in front of the arguments. `start_child` on a name
//! of another kind of supervisor is refused. See [`supervisor`](super) for what both kinds share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::admin::{ChildCounts, ChildInfo};
use super::child::{Child, ChildSpec, StartChild};
use super::dynamic_policy::{
    DynamicChildren, DynamicDecision, DynamicRetry, DynamicStop, NotAChild, Restarted as Outcome,
};
use super::effects::{self, Ended};
use super::error::StartChildError;
use super::flags::{DynamicFlags, FlagsError};
use super::query::AskChildren;
use super::report::{self, Context, Restarted, Who};
use super::server::asked_by_node;
use super::spec::SpecFields;
use super::strategy::ConfigError;
use crate::gen_server::{Accepts, Start};
use crate::process::cell::ProcRef;
use crate::process::panic;
use crate::process::small_map::MixMap;
use crate::{
    Cx, Exit, ExitReason, GenServer, HandleCall, HandleCast, HandleInfo, HandleRead, InitError, Name, Pid,
    ReadCx, StartError,
};

/// A supervisor of children that come and go; see the [module documentation](self).
///
/// `X` is the type of its extra arguments; most have none. The handle of a running one is a
/// [`DynamicSupervisorRef`](super::DynamicSupervisorRef).
pub struct DynamicSupervisor<X = ()> {
    children: DynamicChildren<Arc<dyn StartChild>>,
    extra: X,
    /// Children whose restart has failed and is tried again: since when they are down, and why they ended.
    down: MixMap<Pid, (Duration, ExitReason)>,
}

/// What extra arguments must be; implemented for all that are.
pub trait Extra: Clone + Send + Sync + 'static {}

impl<X: Clone + Send + Sync + 'static> Extra for X {}

/// A dynamic supervisor, described. From [`DynamicSupervisor::new`] or [`DynamicSupervisor::with_extra`].
#[derive(Clone)]
#[must_use = "a supervisor starts when `start_link()` is awaited"]
pub struct DynamicSupervisorSpec<X = ()> {
    pub(super) flags: DynamicFlags,
    extra: X,
    name: Option<Name<DynamicSupervisor<X>>>,
}

impl DynamicSupervisor {
    /// A dynamic supervisor: no limit of children, at most 3 restarts within 5 seconds.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the process is made by `start_link`; this begins its description, as in Elixir"
    )]
    pub fn new() -> DynamicSupervisorSpec {
        DynamicSupervisor::with_extra(())
    }

    /// The dynamic supervisor of this name, found anew at each use. For one with extra arguments of type `X` write
    /// `Name::<DynamicSupervisor<X>>::new("name")`.
    pub fn named(name: impl Into<Name<DynamicSupervisor>>) -> Name<DynamicSupervisor> {
        name.into()
    }
}

impl<X: Extra> DynamicSupervisor<X> {
    /// A dynamic supervisor whose children are made with `extra`.
    pub fn with_extra(extra: X) -> DynamicSupervisorSpec<X> {
        DynamicSupervisorSpec { flags: DynamicFlags::default(), extra, name: None }
    }
}

impl<X: Extra> DynamicSupervisorSpec<X> {
    /// Most children at a time, those being restarted included; one more is refused.
    pub fn max_children(mut self, limit: usize) -> Self {
        self.flags.max_children = Some(limit);
        self
    }

    /// At most `max_restarts` restarts within `period`, a whole number of seconds, counted over all children; one more stops the
    /// supervisor. Default: 3 within 5 seconds.
    pub fn max_restarts(mut self, max_restarts: u32, period: Duration) -> Self {
        self.flags.max_restarts = max_restarts;
        self.flags.period = period;
        self
    }

    /// Registers the supervisor under this name.
    pub fn name(mut self, name: impl Into<Name<DynamicSupervisor<X>>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Other flags.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::supervisor::DynamicFlags;
    /// use purlin_core::{DynamicSupervisor, secs};
    /// let flags = DynamicFlags { max_restarts: 100, period: secs(60), max_children: None };
    /// assert!(flags.check().is_ok());
    /// DynamicSupervisor::new().flags(flags).start_link().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn flags(mut self, flags: DynamicFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Starts the supervisor, linked with the calling process.
    ///
    /// # Errors
    /// `StartError::Failed` with [`ExitReason::Error`] holding a [`ConfigError`] when the flags are invalid; else what any server's
    /// start fails with.
    #[track_caller]
    pub fn start_link(self) -> Start<DynamicSupervisor<X>> {
        self.launch(true)
    }

    /// [`start_link`](Self::start_link) without the link: the supervisor outlives the calling process.
    #[track_caller]
    pub fn start(self) -> Start<DynamicSupervisor<X>> {
        self.launch(false)
    }

    #[track_caller]
    fn launch(mut self, link: bool) -> Start<DynamicSupervisor<X>> {
        let name = self.name.take();
        Start::new(self, link).maybe_name(name)
    }

    /// The supervisor as a child of another one. Restarted, it begins without children.
    pub fn child_spec(mut self) -> Child<DynamicSupervisor<X>> {
        let name = self.name.take();
        let child = Child::new(move || Ok(self.clone()));
        match name {
            Some(name) => child.name(name),
            None => child,
        }
    }
}

/// A dynamic supervisor can be given as a child as it is.
impl<X: Extra> From<DynamicSupervisorSpec<X>> for ChildSpec {
    fn from(spec: DynamicSupervisorSpec<X>) -> Self {
        spec.child_spec().erase()
    }
}

impl<X: Extra> fmt::Debug for DynamicSupervisorSpec<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSupervisorSpec")
            .field("flags", &self.flags)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<X: Extra> DynamicSupervisor<X> {
    async fn start_new(
        &mut self,
        fields: SpecFields,
        start: Arc<dyn StartChild>,
        cx: &mut Cx<Self>,
    ) -> Result<ProcRef, StartChildError> {
        self.children.admit(&fields)?;
        let begin = cx.node().now();
        let proc = effects::start(&*start).await?;
        self.children.insert(proc.pid(), &fields, start);
        let who = Who {
            id: fields.module,
            module: fields.module,
            pid: Some(proc.pid()),
            restart: fields.restart,
            shutdown: fields.how_to_stop(),
        };
        report::started(cx, &who, cx.node().now() - begin);
        Ok(proc)
    }

    /// Does what was decided about a child that ended with `reason`, or whose restart failed.
    async fn carry_out(&mut self, decision: DynamicDecision, reason: Option<ExitReason>, cx: &mut Cx<Self>) {
        if let (Some(child), Some(reason)) = (decision.reported(), &reason) {
            report::error(cx, &who(child), Context::ChildTerminated, reason, self.children.intensity());
        }
        match decision {
            DynamicDecision::Ignore | DynamicDecision::Removed { .. } => {},
            DynamicDecision::Restart { child, .. } => self.restart(child, reason, cx).await,
            DynamicDecision::GiveUp { child, .. } => {
                let reason = reason.or_else(|| self.down.remove(&child.pid).map(|(_, reason)| reason));
                let reason = reason.unwrap_or(ExitReason::NoProc);
                report::giving_up(cx, &who(&child), &reason, self.children.intensity());
                cx.stop(ExitReason::Shutdown);
            },
        }
    }

    async fn restart(&mut self, child: DynamicStop, reason: Option<ExitReason>, cx: &mut Cx<Self>) {
        let begin = cx.node().now();
        let (since, reason) = match reason {
            Some(reason) => (begin, reason),
            None => self.down.remove(&child.pid).unwrap_or((begin, ExitReason::NoProc)),
        };
        let old = child.pid;
        let Some(start) = self.children.start_of(old).cloned() else { return };
        let new = match effects::start(&*start).await {
            Ok(proc) => Some(proc.pid()),
            Err(StartError::Ignore) => None,
            Err(error) => {
                report::error(
                    cx,
                    &who(&child),
                    Context::StartError,
                    &error.into_reason(),
                    self.children.intensity(),
                );
                if let Some(retry) = self.children.restart_failed(old) {
                    self.down.insert(old, (since, reason));
                    cx.this().cast(retry);
                }
                return;
            },
        };
        // Requests wait while a restart runs, so nobody can have terminated the child meanwhile.
        if self.children.restarted(old, new) == Outcome::Unwanted {
            return;
        }
        let now = cx.node().now();
        let who = Who { pid: new, ..who(&child) };
        let how = Restarted { old_pid: Some(old), reason: &reason, took: now - begin, downtime: now - since };
        report::restarted(cx, &who, &how, self.children.intensity());
    }

    fn report_stopped(&self, child: &DynamicStop, ended: &Ended, cx: &Cx<Self>) {
        let who = who(child);
        report::terminated(cx, &who, ended);
        if !child.traits.expects_stop(&ended.reason) {
            report::error(cx, &who, Context::ShutdownError, &ended.reason, self.children.intensity());
        }
    }
}

/// Children of a dynamic supervisor have no ids: reports name their type.
fn who(child: &DynamicStop) -> Who<'static> {
    let traits = child.traits;
    Who {
        id: traits.module,
        module: traits.module,
        pid: Some(child.pid),
        restart: traits.restart,
        shutdown: traits.shutdown,
    }
}

impl<X: Extra> GenServer for DynamicSupervisor<X> {
    type Args = DynamicSupervisorSpec<X>;
    const SUPERVISOR: bool = true;

    async fn init(spec: DynamicSupervisorSpec<X>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        cx.trap_exits(true);
        let children = DynamicChildren::new(&spec.flags).map_err(ConfigError::Flags)?;
        Ok(DynamicSupervisor { children, extra: spec.extra, down: MixMap::default() })
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Cx<Self>) {
        self.down.clear();
        let plan = self.children.stop_all();
        for (child, ended) in effects::stop_all(cx, plan).await {
            self.report_stopped(&child, &ended, cx);
        }
    }

    fn format_status(&self) -> String {
        let (all, restarting) = (self.children.len(), self.children.restarting());
        format!("dynamic supervisor; {all} children, {restarting} of them being restarted")
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<AskChildren, _>();
    }
}

impl<X: Extra> HandleInfo<Exit> for DynamicSupervisor<X> {
    async fn handle_info(&mut self, exit: Exit, cx: &mut Cx<Self>) {
        if asked_by_node(&exit, cx) {
            return cx.stop(exit.reason);
        }
        // A child that is alive has not ended, whatever exit signals it sends.
        if crate::process::is_alive(exit.from) {
            return;
        }
        let now = cx.node().now().as_secs();
        let decision = self.children.on_exit(exit.from, &exit.reason, now);
        self.carry_out(decision, Some(exit.reason), cx).await;
    }
}

impl<X: Extra> HandleCast<DynamicRetry> for DynamicSupervisor<X> {
    async fn handle_cast(&mut self, retry: DynamicRetry, cx: &mut Cx<Self>) {
        let now = cx.node().now().as_secs();
        let decision = self.children.on_retry(retry, now);
        self.carry_out(decision, None, cx).await;
    }
}

impl<X: Extra> HandleInfo<AskChildren> for DynamicSupervisor<X> {
    async fn handle_info(&mut self, AskChildren(to): AskChildren, _: &mut Cx<Self>) {
        crate::rt::sim::arrive_all_of_current();
        drop(to.send(self.children.which_children()));
    }
}

/// The requests, sent by the methods of [`DynamicSupervisorRef`](super::DynamicSupervisorRef).
pub(crate) struct StartRequest {
    pub(crate) fields: SpecFields,
    pub(crate) start: Arc<dyn StartChild>,
}
pub(super) struct StartWithRequest<X>(pub(super) Box<dyn FnOnce(&X) -> StartRequest + Send>);
pub(crate) struct TerminateRequest(pub(crate) Pid);
pub(crate) struct WhichChildren;
pub(super) struct CountChildren;
pub(super) struct Update(pub(super) DynamicFlags);

impl<X: Extra> HandleCall<StartRequest> for DynamicSupervisor<X> {
    type Reply = Result<ProcRef, StartChildError>;

    async fn handle_call(
        &mut self,
        StartRequest { fields, start }: StartRequest,
        cx: &mut Cx<Self>,
    ) -> Self::Reply {
        self.start_new(fields, start, cx).await
    }
}

impl<X: Extra> HandleCall<StartWithRequest<X>> for DynamicSupervisor<X> {
    type Reply = Result<ProcRef, StartChildError>;

    async fn handle_call(
        &mut self,
        StartWithRequest(make): StartWithRequest<X>,
        cx: &mut Cx<Self>,
    ) -> Self::Reply {
        let made = panic::catch(|| make(&self.extra));
        let StartRequest { fields, start } = made.map_err(StartError::Failed)?;
        self.start_new(fields, start, cx).await
    }
}

impl<X: Extra> HandleCall<TerminateRequest> for DynamicSupervisor<X> {
    type Reply = Result<(), NotAChild>;

    async fn handle_call(
        &mut self,
        TerminateRequest(pid): TerminateRequest,
        cx: &mut Cx<Self>,
    ) -> Self::Reply {
        let child = self.children.terminate_child(pid)?;
        self.down.remove(&pid);
        if let Some(child) = child {
            let ended = effects::stop(cx, child.pid, child.traits.shutdown).await;
            self.report_stopped(&child, &ended, cx);
        }
        Ok(())
    }
}

impl<X: Extra> HandleCall<Update> for DynamicSupervisor<X> {
    type Reply = Result<(), FlagsError>;

    async fn handle_call(&mut self, Update(flags): Update, _: &mut Cx<Self>) -> Self::Reply {
        self.children.update(&flags)
    }
}

impl<X: Extra> HandleRead<WhichChildren> for DynamicSupervisor<X> {
    type Reply = Vec<ChildInfo>;

    fn handle_read(&self, _: WhichChildren, _: &ReadCx<Self>) -> Vec<ChildInfo> {
        self.children.which_children()
    }
}

impl<X: Extra> HandleRead<CountChildren> for DynamicSupervisor<X> {
    type Reply = ChildCounts;

    fn handle_read(&self, _: CountChildren, _: &ReadCx<Self>) -> ChildCounts {
        self.children.count_children()
    }
}
