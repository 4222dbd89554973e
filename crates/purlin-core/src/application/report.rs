//! What applications tell the log and telemetry: that they run, that they ended and why, and that one took the node with it.

use std::time::Duration;

use super::error::ApplicationTerminated;
use crate::node::Node;
use crate::process::report::to_stderr;
use crate::telemetry::{Metadata, events};
use crate::{ExitReason, Pid, Restart};

pub(super) fn started(
    node: &Node,
    name: &str,
    master: Pid,
    top: Option<Pid>,
    restart: Restart,
    took: Duration,
) {
    node.telemetry().execute_with(events::APPLICATION_START, || {
        let metadata = Metadata::new()
            .with("application", name.to_owned())
            .with("restart", word(restart))
            .with("pid", master)
            .with_some("top", top);
        ([("duration", took.into())], metadata)
    });
    tracing::info!(target: "purlin::application", application = name, restart = word(restart), "application started");
}

pub(super) fn ended(
    node: &Node,
    name: &str,
    master: Pid,
    restart: Restart,
    reason: &ExitReason,
    started: bool,
    requested: bool,
) {
    node.telemetry().execute_with(events::APPLICATION_STOP, || {
        let none: [(&'static str, crate::telemetry::Measure); 0] = [];
        let metadata = Metadata::new()
            .with("application", name.to_owned())
            .with("restart", word(restart))
            .with("pid", master)
            .with("reason", reason.clone())
            .with("started", started)
            .with("requested", requested);
        (none, metadata)
    });
    let what = if started { "application ended" } else { "application did not start" };
    tracing::info!(target: "purlin::application", application = name, restart = word(restart), %reason, requested, "{what}");
}

/// The one report that nobody may miss.
pub(super) fn takes_the_node(node: &Node, terminated: &ApplicationTerminated) {
    if to_stderr(node) {
        eprintln!("purlin: {terminated}");
    }
    tracing::error!(
        target: "purlin::application",
        application = terminated.application,
        reason = %terminated.reason,
        started = terminated.started,
        "the node stops, because an application ended that it must not do without",
    );
}

pub(super) fn callback_failed(name: &str, callback: &str, reason: &ExitReason) {
    tracing::error!(target: "purlin::application", application = name, callback, %reason, "a callback of an application failed");
}

pub(super) fn too_slow(node: &Node, name: &str, limit: Duration) {
    if to_stderr(node) {
        eprintln!("purlin: the application {name:?} did not stop within {limit:?}: its processes are killed");
    }
    tracing::error!(target: "purlin::application", application = name, ?limit, "an application did not stop in time: its processes are killed");
}

pub(super) fn left_behind(name: &str, pid: Pid) {
    tracing::warn!(target: "purlin::application", application = name, %pid, "a process blocks its thread and cannot be ended; it is left behind");
}

/// Of names in a configuration that mean nothing.
pub(super) fn unknown_applications(names: &[String]) {
    for name in names {
        tracing::warn!(target: "purlin::application", application = name, "the configuration has values for an application that is not loaded");
    }
}

fn word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}
