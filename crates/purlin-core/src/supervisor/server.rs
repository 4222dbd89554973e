//! The process of a static supervisor: carries out what the policy in `strategy` decides.
//!
//! It is a GenServer like any other, so that `sys`, calls, names and telemetry work on it. Its messages:
//!
//! ```text
//!  Exit of a child ──► on_exit ──► round: stop these, start those        one handler, which waits; the mailbox fills meanwhile
//!  Retry (to itself) ► on_retry ─► the same                              queued behind requests that came before it (S36, S59)
//!  requests ──────────► answered between rounds
//!  parent's exit, stop, giving up ──► `terminate`: everything down in reverse order
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::admin::{ChildCounts, ChildInfo, ChildNotFound, ChildRefused};
use super::builder::{SupervisorInit, SupervisorSpec};
use super::child::{ChildSpec, StartChild};
use super::effects;
use super::error::{FailedToStartChild, RestartChildError, StartChildError};
use super::flags::{Flags, Strategy};
use super::query::AskChildren;
use super::report::{self, Context, Restarted, Who};
use super::spec::{ChildId, SpecFields};
use super::strategy::{ChildKey, Children, ConfigError, Decision, Offender, Retry, Round, Stop};
use crate::gen_server::Accepts;
use crate::process::cell::ProcRef;
use crate::{
    Cx, Exit, ExitReason, GenServer, HandleCall, HandleCast, HandleInfo, HandleRead, InitError, Pid, ReadCx,
    StartError,
};

/// A supervisor: starts its children in order, restarts them by its strategy, stops them in reverse order. See the
/// [module documentation](super).
///
/// This type is the process's state, and where descriptions begin: [`Supervisor::one_for_one`] and its siblings. The handle of a running
/// supervisor is a [`SupervisorRef`](super::SupervisorRef).
pub struct Supervisor {
    children: Children<Arc<dyn StartChild>>,
    strategy: Strategy,
    /// Children that are down and on their way up again, for the report of their restart.
    down: BTreeMap<ChildId, Down>,
}

/// How a child came to be restarted.
struct Down {
    since: Duration,
    old_pid: Option<Pid>,
    reason: ExitReason,
}

impl Supervisor {
    /// A supervisor that restarts only the child that ended.
    pub fn one_for_one() -> SupervisorSpec {
        SupervisorSpec::new(Flags::new(Strategy::OneForOne))
    }

    /// A supervisor that stops and restarts all children when one has to be restarted.
    pub fn one_for_all() -> SupervisorSpec {
        SupervisorSpec::new(Flags::new(Strategy::OneForAll))
    }

    /// A supervisor that also restarts the children that were started after the one that ended.
    pub fn rest_for_one() -> SupervisorSpec {
        SupervisorSpec::new(Flags::new(Strategy::RestForOne))
    }

    /// Starts a child and enters the outcome, except a failure, into the list.
    async fn start(&mut self, key: ChildKey, cx: &mut Cx<Self>) -> Result<Option<ProcRef>, StartError> {
        let Some((start, fields)) =
            self.children.start_of(key).cloned().zip(self.children.fields(key).cloned())
        else {
            return Err(StartError::Failed(ExitReason::NoProc));
        };
        let begin = cx.node().now();
        let proc = match effects::start(&*start).await {
            Ok(proc) => Some(proc),
            Err(StartError::Ignore) => None,
            Err(error) => return Err(error),
        };
        let pid = proc.as_ref().map(|proc| proc.pid());
        let _ = self.children.started(key, pid);
        let now = cx.node().now();
        let who = who(&fields, pid);
        match self.down.remove(&fields.id) {
            None => report::started(cx, &who, now - begin),
            Some(Down { since, old_pid, reason }) => {
                let how = Restarted { old_pid, reason: &reason, took: now - begin, downtime: now - since };
                report::restarted(cx, &who, &how, self.children.intensity());
            },
        }
        Ok(proc)
    }

    /// Stops a child that the policy has already given up, and waits until it is down.
    async fn stop(&mut self, stop: Stop, cx: &mut Cx<Self>) {
        let Stop { pid, fields } = stop;
        let ended = effects::stop(cx, pid, fields.how_to_stop()).await;
        let who = who(&fields, Some(pid));
        report::terminated(cx, &who, &ended);
        if !fields.expects_stop(&ended.reason) {
            report::error(cx, &who, Context::ShutdownError, &ended.reason, self.children.intensity());
        }
    }

    async fn stop_all(&mut self, cx: &mut Cx<Self>) {
        self.down.clear();
        for stop in self.children.stop_all() {
            self.stop(stop, cx).await;
        }
    }

    /// Does what was decided about a child that ended with `reason`, or whose start failed.
    async fn carry_out(&mut self, decision: Decision, reason: Option<ExitReason>, cx: &mut Cx<Self>) {
        if let (Some(child), Some(reason)) = (decision.reported(), &reason) {
            let who = who_was(child);
            report::error(cx, &who, Context::ChildTerminated, reason, self.children.intensity());
        }
        match decision {
            Decision::Ignore | Decision::Removed { .. } | Decision::Keep { .. } => {},
            Decision::Restart { child, round, .. } => {
                let reason =
                    reason.or_else(|| self.down.get(&child.fields.id).map(|down| down.reason.clone()));
                self.carry_out_round(round, reason.unwrap_or(ExitReason::NoProc), cx).await;
            },
            Decision::AutoShutdown { .. } => cx.stop(ExitReason::Shutdown),
            Decision::GiveUp { child, .. } => {
                let reason =
                    reason.or_else(|| self.down.get(&child.fields.id).map(|down| down.reason.clone()));
                let reason = reason.unwrap_or(ExitReason::NoProc);
                report::giving_up(cx, &who_was(&child), &reason, self.children.intensity());
                cx.stop(ExitReason::Shutdown);
            },
        }
    }

    async fn carry_out_round(&mut self, round: Round, reason: ExitReason, cx: &mut Cx<Self>) {
        let since = cx.node().now();
        for key in &round.start {
            let Some(Offender { fields, pid }) = self.children.offender(*key) else { continue };
            // One that is down since an earlier round, whose retry this is, keeps what it had.
            self.down.entry(fields.id).or_insert_with(|| Down {
                since,
                old_pid: pid,
                reason: reason.clone(),
            });
        }
        for stop in round.stop {
            self.stop(stop, cx).await;
        }
        for key in round.start {
            let Err(error) = self.start(key, cx).await else { continue };
            self.report_start_error(key, error, cx);
            if let Some(retry) = self.children.start_failed(key) {
                cx.this().cast(retry);
            }
            return;
        }
    }

    fn report_start_error(&self, key: ChildKey, error: StartError, cx: &Cx<Self>) {
        if let Some(child) = self.children.offender(key) {
            let who = who_was(&child);
            report::error(cx, &who, Context::StartError, &error.into_reason(), self.children.intensity());
        }
    }
}

fn who(fields: &SpecFields, pid: Option<Pid>) -> Who<'_> {
    let shutdown = fields.how_to_stop();
    Who { id: fields.id.as_str(), module: fields.module, pid, restart: fields.restart, shutdown }
}

fn who_was(child: &Offender) -> Who<'_> {
    who(&child.fields, child.pid)
}

/// Is this exit signal the node asking a process without a parent to stop, as it does when it shuts down? From anybody else it would
/// be a stranger's.
pub(super) fn asked_by_node<S: GenServer>(exit: &Exit, cx: &Cx<S>) -> bool {
    let proc = cx.proc();
    let stopping = || proc.node.0.stopping.load(crate::sync::Ordering::Acquire);
    exit.from == proc.node.init_pid() && (proc.parent().is_none() || stopping())
}

impl GenServer for Supervisor {
    type Args = SupervisorInit;
    const SUPERVISOR: bool = true;

    async fn init(init: SupervisorInit, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        cx.trap_exits(true);
        if let Some(label) = init.label {
            crate::process::set_label(label);
        }
        let (flags, specs) = (init.make)()?.into_parts();
        let children = Children::new(&flags, specs)?;
        let mut supervisor = Supervisor { children, strategy: flags.strategy, down: BTreeMap::new() };
        for key in supervisor.children.initial_start() {
            let Err(error) = supervisor.start(key, cx).await else { continue };
            let id = supervisor.children.fields(key).map(|fields| fields.id.clone());
            supervisor.report_start_error(key, error.clone(), cx);
            supervisor.stop_all(cx).await;
            let id = id.unwrap_or(ChildId::from_static("?"));
            return Err(InitError::Stop(FailedToStartChild { id, error }.into_reason()));
        }
        Ok(supervisor)
    }

    async fn terminate(&mut self, _: &ExitReason, cx: &mut Cx<Self>) {
        self.stop_all(cx).await;
    }

    fn format_status(&self) -> String {
        let mut status = format!("{} supervisor", self.strategy);
        for (_, fields, child) in self.children.iter() {
            status.push_str(&format!("; {} {child}", fields.id));
        }
        status
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<AskChildren, _>();
    }
}

impl HandleInfo<Exit> for Supervisor {
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

impl HandleCast<Retry> for Supervisor {
    async fn handle_cast(&mut self, retry: Retry, cx: &mut Cx<Self>) {
        let now = cx.node().now().as_secs();
        let decision = self.children.on_retry(&retry, now);
        self.carry_out(decision, None, cx).await;
    }
}

impl HandleInfo<AskChildren> for Supervisor {
    async fn handle_info(&mut self, AskChildren(to): AskChildren, _: &mut Cx<Self>) {
        crate::rt::sim::arrive_all_of_current();
        drop(to.send(self.children.which_children()));
    }
}

/// The requests, sent by the methods of [`SupervisorRef`](super::SupervisorRef).
pub(super) struct StartChildRequest(pub(super) ChildSpec);
pub(super) struct TerminateChild(pub(super) ChildId);
pub(super) struct RestartChild(pub(super) ChildId);
pub(super) struct DeleteChild(pub(super) ChildId);
pub(super) struct GetChildSpec(pub(super) ChildId);
pub(super) struct WhichChildren;
pub(super) struct CountChildren;
pub(super) struct Update(pub(super) SupervisorSpec);

impl HandleCall<StartChildRequest> for Supervisor {
    type Reply = Result<Option<ProcRef>, StartChildError>;

    async fn handle_call(
        &mut self,
        StartChildRequest(spec): StartChildRequest,
        cx: &mut Cx<Self>,
    ) -> Self::Reply {
        let (fields, start) = spec.into_parts();
        let key = self.children.start_child(fields, start)?;
        match self.start(key, cx).await {
            Ok(proc) => Ok(proc),
            Err(error) => {
                drop(self.children.start_child_failed(key));
                Err(StartChildError::Failed(error))
            },
        }
    }
}

impl HandleCall<TerminateChild> for Supervisor {
    type Reply = Result<(), ChildNotFound>;

    async fn handle_call(&mut self, TerminateChild(id): TerminateChild, cx: &mut Cx<Self>) -> Self::Reply {
        if let Some(stop) = self.children.terminate_child(&id)? {
            self.stop(stop, cx).await;
        }
        self.down.remove(&id);
        Ok(())
    }
}

impl HandleCall<RestartChild> for Supervisor {
    type Reply = Result<Option<Pid>, RestartChildError>;

    async fn handle_call(&mut self, RestartChild(id): RestartChild, cx: &mut Cx<Self>) -> Self::Reply {
        let key = self.children.restart_child(&id)?;
        self.down.remove(&id);
        Ok(self.start(key, cx).await?.map(|proc| proc.pid()))
    }
}

impl HandleCall<DeleteChild> for Supervisor {
    type Reply = Result<(), ChildRefused>;

    async fn handle_call(&mut self, DeleteChild(id): DeleteChild, _: &mut Cx<Self>) -> Self::Reply {
        self.down.remove(&id);
        self.children.delete_child(&id).map(drop)
    }
}

impl HandleCall<Update> for Supervisor {
    type Reply = Result<(), ConfigError>;

    async fn handle_call(&mut self, Update(spec): Update, _: &mut Cx<Self>) -> Self::Reply {
        let (flags, specs) = spec.into_parts();
        self.children.update(&flags, specs)?;
        self.strategy = flags.strategy;
        Ok(())
    }
}

impl HandleRead<GetChildSpec> for Supervisor {
    type Reply = Result<SpecFields, ChildNotFound>;

    fn handle_read(&self, GetChildSpec(id): GetChildSpec, _: &ReadCx<Self>) -> Self::Reply {
        self.children.get_childspec(&id).cloned()
    }
}

impl HandleRead<WhichChildren> for Supervisor {
    type Reply = Vec<ChildInfo>;

    fn handle_read(&self, _: WhichChildren, _: &ReadCx<Self>) -> Vec<ChildInfo> {
        self.children.which_children()
    }
}

impl HandleRead<CountChildren> for Supervisor {
    type Reply = ChildCounts;

    fn handle_read(&self, _: CountChildren, _: &ReadCx<Self>) -> ChildCounts {
        self.children.count_children(crate::process::is_alive)
    }
}
