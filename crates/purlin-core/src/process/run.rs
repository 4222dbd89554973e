//! One activation: the frame around whatever a kind of process does with its turn.

use std::sync::atomic::Ordering;

use crate::mailbox::envelope::MsgTable;
use crate::node::current::{Tls, tls};
use crate::process::cell::{Proc, ProcRef, SPAN};
use crate::process::pid::Pid;
use crate::process::report;
use crate::process::seat;
use crate::process::word::BIASED;
use crate::rt::sched::Record;

/// How many messages a server handles in one activation at most. The clock is looked at too, so this bounds only very short handlers.
pub(crate) const BUDGET: u32 = 512;
/// How many messages a raw process takes, and how many calls in place a thread makes, without giving way.
pub(crate) const IN_A_ROW: u32 = 128;
/// How often, in messages, an activation looks at the clock.
pub(crate) const CLOCK_EVERY: u32 = 32;

/// What an activation is given: the thread's record and the executor's, so that nothing below looks them up again.
pub(crate) struct RunCx<'a> {
    pub(crate) tls: &'a Tls,
    /// None on a starter's stack.
    record: Option<&'a Record>,
}

impl RunCx<'_> {
    /// Notes which message is being handled.
    #[inline]
    pub(crate) fn handling(&self, proc: &Proc, table: &'static MsgTable) {
        proc.note(table);
        if let Some(record) = self.record {
            record.steps.store(record.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
}

/// Slot and serial in one word, for the watchdog; never 0 for a process.
#[inline]
pub(crate) fn packed(proc: &Proc) -> u64 {
    (u64::from(proc.pid().serial()) << 32) | u64::from(proc.pid().id())
}

/// The pid that [`packed`] made a word of, for a process of the same node as `proc`.
pub(crate) fn unpack(proc: &Proc, packed: u64) -> Pid {
    Pid::from_parts(proc.pid().node_index(), packed as u32, (packed >> 32) as u32)
}

/// Runs a process that was popped from a run queue.
#[inline]
pub(crate) fn activate(proc: &Proc, tls: &Tls, record: &Record) {
    let old = proc.word.begin();
    if old & BIASED != 0 && !seat::wait(proc, old, seat::PATIENCE) {
        return;
    }
    record.running.store(packed(proc), Ordering::Relaxed);
    record.steps.store(record.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let ended = run(proc, old, &RunCx { tls, record: Some(record) });
    record.running.store(0, Ordering::Relaxed);
    // The process table's reference of a process that has ended; nothing may touch the process after this.
    drop(ended);
}

/// Runs a process that was taken from a run queue, on a thread that is no executor's.
pub(crate) fn activate_here(proc: &Proc) {
    let old = proc.word.begin();
    if old & BIASED != 0 && !seat::wait(proc, old, seat::PATIENCE) {
        return;
    }
    // The process table's reference of a process that has ended; the caller has another one.
    drop(run_here(proc, old));
}

/// Runs a process whose RUN the caller holds, on a thread that is no executor's or is busy with another process.
pub(crate) fn run_here(proc: &Proc, old: u64) -> Option<ProcRef> {
    tls(|tls| run(proc, old, &RunCx { tls, record: None }))
}

#[inline(always)]
fn run(proc: &Proc, old: u64, run: &RunCx<'_>) -> Option<ProcRef> {
    let t = run.tls;
    let node = t.node.replace(proc.pid().node_index());
    let before = t.proc.replace(Some(proc.ptr()));
    let in_place = t.in_place.replace(true);
    let caller = t.caller.replace(0);
    t.catching.set(t.catching.get() + 1);
    let span = if proc.has(SPAN) { report::enter_span(proc) } else { None };
    // SAFETY: the caller took RUN with `begin` and leaves it to the activation. User code is caught inside, so nothing unwinds past here.
    let ended = unsafe { (proc.table.activate)(proc, old, run) };
    drop(span);
    t.catching.set(t.catching.get() - 1);
    t.caller.set(caller);
    t.in_place.set(in_place);
    t.proc.set(before);
    t.node.set(node);
    ended
}
