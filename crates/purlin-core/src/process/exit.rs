//! The end of a process, the same for every kind.
//!
//! Order (each step is visible to nobody before the one above it is done):
//! 1. the reason is decided and sealed; `is_alive` is false and `whereis` finds nothing;
//! 2. the crash report, if the reason is a crash, while the state can still be shown;
//! 3. the user's future and state are dropped, then process-local values;
//! 4. names, registrations and other owned resources are released, timers taken off;
//! 5. the mailbox closes; what was in it is dropped, which tells callers that wait (they read the reason in the mailbox);
//! 6. EXIT and DOWN signals go out;
//! 7. the pid is free.

use crate::mailbox::bound::Bound;
use crate::mailbox::envelope::Envelope;
use crate::node::NodeInner;
use crate::process::cell::{OWNS, Proc, ProcRef, TIMERS};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::relations;
use crate::process::report;
use crate::process::signal::{self, Signal};
use crate::process::word::{DEAD, EXITING};

/// Ends the process whose RUN the caller holds, with `reason` unless another one was decided before. Returns the process table's
/// reference, to be dropped when nothing touches the process any more.
#[cold]
pub(crate) fn finish(proc: &Proc, reason: ExitReason) -> Option<ProcRef> {
    let reason = proc.mailbox.seal(reason);
    proc.word.update(0, EXITING);
    report::ended(proc, &reason);
    crate::rt::sim::ends(proc, &reason);
    crate::rt::sim::interlude(proc);
    // SAFETY: we hold RUN, which lets no reader in, and this is the only place that discards.
    unsafe { (proc.table.discard)(proc) };
    crate::rt::sim::interlude(proc);
    if proc.has(OWNS) {
        release(proc);
    }
    crate::rt::sim::interlude(proc);
    if proc.has(TIMERS) {
        proc.node.rt().timers.cancel_all(proc.pid());
    }
    proc.node.rt().telling(true);
    let (outer, bound) = proc.mailbox.close(&proc.word);
    // SAFETY: we hold RUN.
    let (inner, receiver) =
        proc.runner.with_mut(|r| unsafe { (std::mem::take(&mut (*r).inner), (*r).receiver.take()) });
    // A receive that was given up, or was on when the process ended, has left its waker here: mostly the process's own, which counts for it.
    panic::drop_quietly("the waker of a receive", receiver);
    for envelope in inner.into_iter().chain(outer) {
        drop_message(envelope);
    }
    for waker in bound.map(|b| Bound::into_waiting(*b)).into_iter().flatten() {
        waker.wake();
    }
    crate::rt::sim::interlude(proc);
    relations::close(proc, &reason);
    crate::rt::sim::interlude(proc);
    let kept = proc.node.remove(proc.pid());
    // SAFETY: we hold RUN.
    unsafe { (proc.table.ended)(proc, &reason) };
    proc.node.rt().telling(false);
    let _ = proc.word.end(0, DEAD);
    kept
}

fn drop_message(envelope: Envelope) {
    if let Err(reason) = panic::catch(|| drop(envelope)) {
        tracing::error!(%reason, "a message panicked when it was dropped");
    }
}

fn release(proc: &Proc) {
    let (name, owned, locals, debug) = {
        let mut extra = proc.extra.lock();
        match extra.as_mut() {
            Some(extra) => (
                extra.name.clone(),
                std::mem::take(&mut extra.owned),
                std::mem::take(&mut extra.locals),
                extra.debug.take(),
            ),
            None => return,
        }
    };
    // With what the functions of `sys::install` have captured.
    drop(debug);
    for (_, value) in locals {
        panic::drop_quietly("a process-local value", value);
    }
    if let Some(name) = name {
        proc.node.0.names.remove_if(&name, proc);
    }
    for resource in owned {
        resource.release(proc.pid());
    }
}

/// Sends an exit signal from `from` to `to`, as the API does: `Kill` cannot be trapped.
pub(crate) fn send(from: Pid, to: &Proc, reason: ExitReason) {
    if matches!(reason, ExitReason::Kill) {
        kill(to);
    } else {
        signal::send(to, Signal::Exit { from, reason, link: 0 });
    }
}

/// Ends a process with `Killed`, whatever it is doing: no callback of it runs any more, and its future is dropped at its next await.
pub(crate) fn kill(proc: &Proc) {
    let duty = proc.mailbox.decide(ExitReason::Killed, true, &proc.word);
    proc.perform(duty);
}

/// Kills everything on a node that shuts down.
pub(crate) fn kill_all(node: &NodeInner) {
    for pid in node.pids() {
        if let Some(proc) = node.lookup(pid) {
            kill(&proc);
        }
    }
}
