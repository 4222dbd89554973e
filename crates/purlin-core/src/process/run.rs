//! One activation: the frame around whatever a kind of process does with its turn.

use std::sync::atomic::Ordering;

use crate::node::current;
use crate::process::cell::{Proc, ProcRef};
use crate::rt::sched::Record;

/// How many messages a process handles in one activation at most.
pub(crate) const BUDGET: u32 = 128;
/// How often, in messages, an activation looks at the clock.
pub(crate) const CLOCK_EVERY: u32 = 16;

/// Slot and serial in one word, for the watchdog; never 0 for a process.
pub(crate) fn packed(proc: &Proc) -> u64 {
    (u64::from(proc.pid().serial()) << 32) | u64::from(proc.pid().id())
}

/// Runs a process that was popped from a run queue.
#[inline]
pub(crate) fn activate(proc: &Proc, record: &Record) {
    let old = proc.word.begin();
    record.running.store(packed(proc), Ordering::Relaxed);
    record.steps.store(record.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let ended = run(proc, old);
    record.running.store(0, Ordering::Relaxed);
    // The process table's reference of a process that has ended; nothing may touch the process after this.
    drop(ended);
}

/// Runs a process whose RUN the caller holds.
#[inline]
pub(crate) fn run(proc: &Proc, old: u64) -> Option<ProcRef> {
    let restore = current::enter_process(proc);
    // SAFETY: the caller took RUN with `begin` and leaves it to the activation.
    let ended = unsafe { (proc.table.activate)(proc, old) };
    drop(restore);
    ended
}
