//! Crash reports, and notes about messages that nobody will handle: what a person needs at 3 a.m., in one log event.

use std::fmt::Write;

use crate::call::error::short;
use crate::node::Node;
use crate::process::cell::{NO_DIRECT, Proc, Rejected, SPAN};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::stack;
use crate::sync::Ordering;
use crate::telemetry::events;

/// Reports the end of a process: telemetry always, a crash report when the reason is a crash. The caller holds RUN.
pub(crate) fn ended(proc: &Proc, reason: &ExitReason) {
    let handled = proc.handled.load(Ordering::Relaxed);
    proc.node.telemetry().execute_with(events::PROCESS_EXIT, || {
        (
            [("handled", u64::from(handled).into())],
            [
                ("pid", proc.pid().into()),
                ("type", short((proc.table.type_name)()).into()),
                ("reason", reason.clone().into()),
                ("name", proc.display_name().unwrap_or_default().into()),
            ],
        )
    });
    if !reason.is_clean() && !matches!(reason, ExitReason::Killed) {
        crash(proc, reason, handled);
    }
}

#[cold]
fn crash(proc: &Proc, reason: &ExitReason, handled: u32) {
    if to_stderr(&proc.node) {
        // So is what the reason shows.
        let reason = panic::catch(|| reason.to_string())
            .unwrap_or_else(|_| "(its reason cannot be displayed)".to_owned());
        let last = proc.last_message().map(|m| format!("; last message {}", short(m))).unwrap_or_default();
        let name = proc.display_name().map(|name| format!(", {name}")).unwrap_or_default();
        let server = short((proc.table.type_name)());
        eprintln!("purlin: process {} ({server}{name}) crashed: {reason}{last}", proc.pid());
    }
    if !tracing::enabled!(target: "purlin::crash", tracing::Level::ERROR) {
        return;
    }
    // Resolving a stack's symbols for the first time takes long, and is not the callback's fault.
    let _unwatched = crate::rt::sched::unwatched();
    // SAFETY: the caller holds RUN. The status is user code; its panic must not mask the crash.
    let state = panic::catch(|| unsafe { (proc.table.status)(proc) })
        .unwrap_or_else(|_| "format_status panicked".to_owned());
    let queued = proc.mailbox.lock().queue.len() + proc.runner.with(unsafe_len);
    let mut ancestors = String::new();
    for (pid, name) in proc.lineage.iter().flat_map(|l| l.ancestors()) {
        let _ = match name {
            Some(name) => write!(ancestors, "{pid} ({name}) "),
            None => write!(ancestors, "{pid} "),
        };
    }
    let links = {
        let relations = proc.relations.lock();
        relations.as_ref().map_or_else(String::new, |r| {
            r.links.keys().take(10).map(|p| p.to_string()).collect::<Vec<_>>().join(" ")
        })
    };
    // So is the term in the reason.
    let reason_text = panic::catch(|| reason.to_string())
        .unwrap_or_else(|_| "the reason panicked when it was displayed".to_owned());
    let last = proc.last_message().map_or("none", short);
    let client = proc
        .extra
        .lock()
        .as_ref()
        .and_then(|e| e.client)
        .map_or_else(|| "none".to_owned(), |pid| pid.to_string());
    let stack = reason
        .panic_info()
        .and_then(|p| p.backtrace.as_ref())
        .map(|trace| format!("\n{}", stack::trimmed(&trace.to_string())));
    tracing::error!(
        target: "purlin::crash",
        pid = %proc.pid(),
        name = proc.display_name().as_deref().unwrap_or("-"),
        server = (proc.table.type_name)(),
        reason = reason_text,
        last_message = last,
        client,
        messages_handled = handled,
        mailbox = queued,
        state,
        ancestors = ancestors.trim_end(),
        links,
        stack = stack.map(tracing::field::display),
        "process crashed",
    );
}

/// Has the program nothing else that would tell a person? The pids in such a line are written as the node's own.
pub(crate) fn to_stderr(node: &Node) -> bool {
    node.0.settings.stderr_reports && !tracing::dispatcher::has_been_set()
}

fn unsafe_len(runner: *const crate::process::cell::Runner) -> usize {
    // SAFETY: called by `crash` only, whose caller holds RUN.
    unsafe { (*runner).inner.len() }
}

/// Gives a new process a span of target `purlin::process`, if somebody subscribes to it at level DEBUG. It is entered whenever the
/// process runs, so that what its handlers log carries its pid and type. Calls of such a process go through its mailbox: in place, every
/// call would pay for looking whether there is a span.
#[inline]
pub(crate) fn open_span(proc: &Proc) {
    if tracing::enabled!(target: "purlin::process", tracing::Level::DEBUG) {
        let span = tracing::debug_span!(target: "purlin::process", "process", pid = %proc.pid(), server = (proc.table.type_name)());
        if !span.is_disabled() {
            proc.extra.lock().get_or_insert_default().span = Some(span);
            proc.set_flag(SPAN | NO_DIRECT, true);
        }
    }
}

/// Enters the process's span, if it has one.
#[cold]
pub(crate) fn enter_span(proc: &Proc) -> Option<tracing::span::EnteredSpan> {
    let span = proc.extra.lock().as_ref()?.span.clone()?;
    Some(span.entered())
}

/// A message that was not delivered: counted, and reported where that says something.
#[cold]
pub(crate) fn rejected(proc: &Proc, rejected: Rejected) {
    let node = &proc.node;
    let (envelope, policy) = match rejected {
        Rejected::Closed(envelope) => {
            node.0.counters.dead_letters.fetch_add(1, Ordering::Relaxed);
            let message = envelope.type_name();
            node.telemetry().execute_with(events::PROCESS_DEAD_LETTER, || {
                (
                    [("count", 1u64.into())],
                    [
                        ("pid", proc.pid().into()),
                        ("type", short((proc.table.type_name)()).into()),
                        ("message_type", short(message).into()),
                    ],
                )
            });
            return;
        },
        Rejected::Full(envelope) => (envelope, "drop_newest"),
        Rejected::Evicted(envelope) => (envelope, "drop_oldest"),
    };
    node.0.counters.dropped.fetch_add(1, Ordering::Relaxed);
    let message = envelope.type_name();
    node.telemetry().execute_with(events::MAILBOX_DROP, || {
        (
            [("count", 1u64.into())],
            [
                ("pid", proc.pid().into()),
                ("type", short((proc.table.type_name)()).into()),
                ("message_type", short(message).into()),
                ("policy", policy.into()),
            ],
        )
    });
    tracing::warn!(target: "purlin::mailbox", pid = %proc.pid(), server = (proc.table.type_name)(), message, policy, "mailbox full: a message was dropped");
}

/// A message that the receiver has no handler for: logged and counted; the receiver lives.
#[cold]
pub(crate) fn unhandled(proc: &Proc, message: &'static str) {
    proc.node.0.counters.unhandled.fetch_add(1, Ordering::Relaxed);
    proc.node.telemetry().execute_with(events::GEN_SERVER_UNHANDLED_INFO, || {
        (
            [("count", 1u64.into())],
            [
                ("pid", proc.pid().into()),
                ("type", short((proc.table.type_name)()).into()),
                ("message_type", short(message).into()),
            ],
        )
    });
    tracing::warn!(target: "purlin::unhandled", pid = %proc.pid(), server = (proc.table.type_name)(), message, "no handler for this message");
}
