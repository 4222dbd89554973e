//! Supervisor reports, in the log and as telemetry: what happened to which child, and what the supervisor does about it.
//!
//! The log's target is `purlin::supervisor`. OTP's contexts keep their names: `child_terminated`, `start_error`, `shutdown_error`,
//! and `shutdown` when the restart intensity is reached. What is logged as an error is a child that crashed, did not start, or did not
//! stop as it was asked to; restarts are logged as information, starts and orderly ends at debug level. Telemetry: see the `SUPERVISOR_*` events of
//! [`telemetry::events`](crate::telemetry::events).

use std::time::Duration;

use super::effects::Ended;
use super::intensity::Intensity;
use super::spec::{Restart, Shutdown};
use crate::telemetry::{Measurements, Metadata, events};
use crate::{Cx, ExitReason, GenServer, Pid};

/// A child as reports show it.
pub(crate) struct Who<'a> {
    pub(crate) id: &'a str,
    pub(crate) module: &'static str,
    pub(crate) pid: Option<Pid>,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
}

/// What happened to a child that is worth an error.
#[derive(Clone, Copy)]
pub(crate) enum Context {
    ChildTerminated,
    StartError,
    ShutdownError,
}

impl Context {
    fn name(self) -> &'static str {
        match self {
            Context::ChildTerminated => "child_terminated",
            Context::StartError => "start_error",
            Context::ShutdownError => "shutdown_error",
        }
    }
}

/// A restart that succeeded.
pub(crate) struct Restarted<'a> {
    pub(crate) old_pid: Option<Pid>,
    pub(crate) reason: &'a ExitReason,
    pub(crate) took: Duration,
    pub(crate) downtime: Duration,
}

fn metadata<S: GenServer>(cx: &Cx<S>, who: &Who<'_>) -> Metadata {
    Metadata::new()
        .with("supervisor", cx.pid())
        .with_some("supervisor_name", cx.proc().display_name())
        .with("child_id", who.id.to_owned())
        .with_some("pid", who.pid)
}

/// A child crashed, did not start, or did not stop as it was asked to.
#[cold]
pub(crate) fn error<S: GenServer>(
    cx: &Cx<S>,
    who: &Who<'_>,
    context: Context,
    reason: &ExitReason,
    intensity: &Intensity,
) {
    let node = cx.node();
    let restarts = intensity.used(node.now().as_secs());
    tracing::error!(
        target: "purlin::supervisor",
        supervisor = %cx.pid(),
        name = cx.proc().display_name().as_deref().unwrap_or("-"),
        context = context.name(),
        child = who.id,
        module = who.module,
        pid = who.pid.map(tracing::field::display),
        %reason,
        restart = %who.restart,
        shutdown = %who.shutdown,
        restarts,
        "supervisor report: {}",
        context.name(),
    );
    node.telemetry().execute_with(events::SUPERVISOR_CHILD_ERROR, || {
        let measurements = Measurements::new().with("restarts", restarts);
        (measurements, metadata(cx, who).with("context", context.name()).with("reason", reason.clone()))
    });
}

/// The supervisor has restarted too often and stops.
#[cold]
pub(crate) fn giving_up<S: GenServer>(cx: &Cx<S>, who: &Who<'_>, reason: &ExitReason, intensity: &Intensity) {
    let node = cx.node();
    let restarts = intensity.used(node.now().as_secs());
    let window = Duration::from_secs(u64::from(intensity.period_secs()));
    if crate::process::report::to_stderr(&node) {
        let (pid, name) = (cx.pid(), cx.proc().display_name());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        let most = intensity.max_restarts();
        eprintln!(
            "purlin: supervisor {pid}{name} stops: more than {most} restarts within {window:?}, last of child {}: {reason}",
            who.id
        );
    }
    tracing::error!(
        target: "purlin::supervisor",
        supervisor = %cx.pid(),
        name = cx.proc().display_name().as_deref().unwrap_or("-"),
        context = "shutdown",
        reason = "reached_max_restart_intensity",
        child = who.id,
        module = who.module,
        pid = who.pid.map(tracing::field::display),
        child_reason = %reason,
        restarts,
        max_restarts = intensity.max_restarts(),
        window = ?window,
        "supervisor report: more than {} restarts within {window:?}, the supervisor stops",
        intensity.max_restarts(),
    );
    node.telemetry().execute_with(events::SUPERVISOR_GIVING_UP, || {
        let measurements = Measurements::new().with("restarts", restarts).with("window", window);
        (measurements, metadata(cx, who).with("reason", reason.clone()))
    });
}

/// A child has been started for the first time. `who.pid` is the new process; none if it chose not to start.
pub(crate) fn started<S: GenServer>(cx: &Cx<S>, who: &Who<'_>, took: Duration) {
    let pid = who.pid.map(tracing::field::display);
    tracing::debug!(target: "purlin::supervisor", supervisor = %cx.pid(), child = who.id, pid, "child started");
    cx.proc().node.telemetry().execute_with(events::SUPERVISOR_CHILD_START, || {
        (Measurements::new().with("duration", took), metadata(cx, who))
    });
}

/// A child has been started again. `who.pid` is the new process; none if it chose not to start.
pub(crate) fn restarted<S: GenServer>(cx: &Cx<S>, who: &Who<'_>, how: &Restarted<'_>, intensity: &Intensity) {
    let node = &cx.proc().node;
    let pid = who.pid.map(tracing::field::display);
    tracing::info!(target: "purlin::supervisor", supervisor = %cx.pid(), child = who.id, pid, "child restarted");
    node.telemetry().execute_with(events::SUPERVISOR_CHILD_RESTART, || {
        let restarts = intensity.used(node.now().as_secs());
        let measurements = Measurements::new()
            .with("duration", how.took)
            .with("downtime", how.downtime)
            .with("restarts", restarts);
        (measurements, metadata(cx, who).with_some("old_pid", how.old_pid).with("reason", how.reason.clone()))
    });
}

/// A child has been stopped by the supervisor.
pub(crate) fn terminated<S: GenServer>(cx: &Cx<S>, who: &Who<'_>, ended: &Ended) {
    let (pid, reason) = (who.pid.map(tracing::field::display), &ended.reason);
    tracing::debug!(target: "purlin::supervisor", supervisor = %cx.pid(), child = who.id, pid, %reason, "child terminated");
    cx.proc().node.telemetry().execute_with(events::SUPERVISOR_CHILD_TERMINATE, || {
        let metadata = metadata(cx, who).with("reason", ended.reason.clone()).with("killed", ended.killed);
        (Measurements::new().with("duration", ended.took), metadata)
    });
}
