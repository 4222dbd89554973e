//! The workloads: one generic driver function each. Every driver warms up with a tenth of the operations, then measures.

mod faults;
mod groups;
mod lifecycle;
mod machines;
mod messages;
mod names;
mod reads;
mod tasks;

pub(crate) use faults::{crash, crash_nobt, mass_restart};
pub(crate) use groups::{Tally, agent_get, agent_update, pubsub_backlog, pubsub_idle};
pub(crate) use lifecycle::{churn, idle_1m, spawn};
pub(crate) use machines::{statem_call, statem_flip, statem_timeout};
pub(crate) use messages::{
    call, call_4, call_5s, call_16, call_async, call_task, cast_1p, cast_4p, monitor, ring,
};
pub(crate) use names::{registry_lookup, via_call};
pub(crate) use reads::{read, read1_1us, read2_1us, read2_empty};
pub(crate) use tasks::{task, task_stream};

use crate::meter::Sample;

/// How one run is to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// Worker threads of the runtime.
    pub(crate) workers: usize,
    /// Factor on all counts.
    pub(crate) scale: f64,
}

impl Conditions {
    /// `count` operations at full scale, at least ten.
    fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale) as u64).max(10)
    }
}

/// An implementation's driver of one workload.
pub(crate) type Run = fn(Conditions) -> Sample;

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Workload {
    /// As on the command line and in the JSON.
    pub(crate) name: &'static str,
    /// What is measured, for people.
    pub(crate) about: &'static str,
    /// The workload in the BEAM's file that does the same, and the field that holds the figure.
    pub(crate) beam: Option<(&'static str, &'static str)>,
    /// Fewest workers with which it means anything.
    pub(crate) min_workers: usize,
}

const fn row(
    name: &'static str,
    about: &'static str,
    beam: Option<(&'static str, &'static str)>,
) -> Workload {
    Workload { name, about, beam, min_workers: 1 }
}

const fn two_workers(name: &'static str, about: &'static str) -> Workload {
    Workload { name, about, beam: None, min_workers: 2 }
}

/// All workloads, in the order in which they run.
pub(crate) const ALL: &[Workload] = &[
    row(
        "spawn",
        "start an idle server and finish its init, per server of 100,000",
        Some(("spawn_genserver_100k", "value")),
    ),
    row("call", "one caller, one idle server, no deadline", Some(("call_seq", "value"))),
    row("call_5s", "the same with a deadline of 5 s", Some(("call_seq", "value"))),
    row("call_async", "as call_5s, the handler an async fn that is ready", Some(("call_seq", "value"))),
    row("call_task", "as call_async, the caller a plain task", Some(("call_seq", "value"))),
    row("call_4", "4 callers, one server", None),
    row("call_16", "16 callers, one server", Some(("call_16", "value"))),
    row("read", "one reader, empty body", None),
    row("read1_1us", "one reader, body of 1 us", None),
    two_workers("read2_1us", "two readers of one server, body of 1 us"),
    two_workers("read2_empty", "two readers of one server, empty body"),
    row("cast_1p", "one producer, until the server has handled everything", Some(("cast_1p", "value"))),
    row("cast_4p", "four producers, until the server has handled everything", Some(("cast_4p", "value"))),
    row("ring", "one hop of a token around 1,000 processes", Some(("ring", "value"))),
    row("churn", "start + call + stop, awaited", Some(("genserver_churn", "value"))),
    row("task", "start a task and await its value", Some(("task_async_await", "value"))),
    row(
        "task_stream",
        "a stream of 100,000 trivial tasks, 16 at a time, in order, per task",
        Some(("task_async_stream", "value")),
    ),
    row(
        "crash",
        "panic in a handler until the restarted server answers (p50)",
        Some(("sup_restart.exit_in_cast", "p50")),
    ),
    row("crash_nobt", "the same without backtraces", Some(("sup_restart.exit_in_cast", "p50"))),
    row("monitor", "monitor + demonitor of a live server", Some(("monitor", "value"))),
    row("statem_call", "call of an idle state machine", Some(("statem.call", "value"))),
    row(
        "statem_timeout",
        "the same, each call sets the state timeout anew",
        Some(("statem.call_state_timeout", "value")),
    ),
    row(
        "statem_flip",
        "the same, each call changes the state, every second one sets a state timeout",
        Some(("statem.transition_state_timeout", "value")),
    ),
    row("registry_lookup", "find one of 10,000 servers by a string", Some(("registry.lookup", "value"))),
    row(
        "via_call",
        "find one of 10,000 servers by a string and call it",
        Some(("registry.via_call", "value")),
    ),
    row("agent_get", "look at the state of an idle agent by a function", Some(("agent.get", "value"))),
    row("agent_update", "change the state of an idle agent by a function", Some(("agent.update", "value"))),
    row(
        "pubsub_idle",
        "a broadcast to 1,000 idle subscribers, per message",
        Some(("phoenix_pubsub.delivered_msg_1000_subs", "value")),
    ),
    row(
        "pubsub_backlog",
        "100 broadcasts in a row to 1,000 subscribers, per message",
        Some(("phoenix_pubsub.delivered_msg_1000_subs", "value")),
    ),
    row(
        "idle_1m",
        "resident bytes per idle server of 1,000,000",
        Some(("spawn_genserver_1m", "rss_bytes_per_process")),
    ),
    row("mass_restart", "10,000 of 100,000 children killed, all back", Some(("fault_10k_of_100k", "value"))),
];
