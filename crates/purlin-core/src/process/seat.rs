//! Seats: readers of a read-hot server that write nothing which other readers read.
//!
//! A counted reader changes the state word twice, and two readers on two cores hand the word's cache line to and fro. So every executor
//! has a seat, a cache line of its own that names the process being read there. A process whose reads are many gets the bit BIASED: its
//! readers sit down instead of being counted, which costs one atomic operation on a line nobody else writes, and a plain store to stand
//! up. Whoever wants to run the process exclusively takes RUN first and then looks at every seat. (The idea is that of BRAVO, Dice and
//! Kogan, USENIX ATC 2019. There the seats are a table shared by all threads; ours are the executors', so none is ever contended.)
//!
//! ```text
//!  reader                                 exclusive runner
//!  seat := process                        word |= RUN            (BIASED stays)
//!  ── full barrier ──                     ── full barrier ──
//!  word is BIASED and nothing but?        nobody in any seat?
//!    yes: reads; seat := none               yes: word &= !BIASED; runs
//!    no:  seat := none; stays out           no:  looks again, or leaves and comes back
//! ```
//! Of a reader and a runner at least one sees the other. While RUN, or any bit that calls for an activation, is up, no reader sits down,
//! so a runner waits for the reads under way only. A reader who stands up tells nobody: the runner comes back by way of the run queue.
//!
//! BIASED is set by a counted reader and withdrawn by the next exclusive runner; [`READS`](super::cell::READS) counts how many samples of
//! reads it takes to set it again, many if the runner found a reader who stayed.

use crate::process::cell::{Proc, READS, READS_ONE};
use crate::process::word::{BIASED, WOKEN};
use crate::sync::{AtomicPtr, Ordering, fence, publish, spin};

/// Samples of reads between two biases: one read in 32 of a thread is a sample.
const SOON: u32 = 8;
/// The same after readers who kept the process from running.
const LATE: u32 = 255;
/// How often an activation looks at the seats before it lets other processes run.
pub(crate) const PATIENCE: u32 = 64;

/// An executor's seat: the process that is being read there. A line of its own (two, for processors that fetch pairs).
#[repr(align(128))]
pub(crate) struct Seat(AtomicPtr<Proc>);

impl Default for Seat {
    fn default() -> Seat {
        Seat(AtomicPtr::new(std::ptr::null_mut()))
    }
}

impl Seat {
    /// Sits down to read; `false` if the seat is taken (a read within a read) or the process may not be read from a seat now.
    #[inline]
    pub(crate) fn take(&self, proc: &Proc) -> bool {
        if !self.0.load(Ordering::Relaxed).is_null() {
            return false;
        }
        publish(&self.0, std::ptr::from_ref(proc).cast_mut());
        if proc.word.admits_seats() {
            return true;
        }
        self.0.store(std::ptr::null_mut(), Ordering::Release);
        false
    }

    /// Stands up. What the reader read, it read before the next exclusive runner.
    #[inline]
    pub(crate) fn leave(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
    }

    fn holds(&self, proc: *const Proc) -> bool {
        std::ptr::eq(self.0.load(Ordering::Acquire), proc)
    }
}

/// Enters an idle process whose readers sit in seats, if none does at the moment.
#[cold]
pub(crate) fn try_enter(proc: &Proc) -> bool {
    if !proc.word.try_enter_biased() {
        return false;
    }
    let entered = vacate(proc, 1);
    if !entered {
        // Something may have been posted to the runner that we nearly were.
        proc.perform(proc.word.end(0, 0));
    }
    entered
}

/// Lets the reads under way end, for an activation that has begun (`old` is the word from before). `false` if they are not over after so
/// many looks, and others had better run first: then RUN is given up and the process is in a run queue again.
#[cold]
pub(crate) fn wait(proc: &Proc, old: u64, looks: u32) -> bool {
    let vacated = vacate(proc, looks);
    if !vacated {
        // Beginning took WOKEN down; every other reason for the activation is still up.
        proc.perform(proc.word.end(0, old & WOKEN));
    }
    vacated
}

/// Withdraws the bias of a process whose RUN the caller has just taken; `false` if somebody still sits after so many looks.
fn vacate(proc: &Proc, looks: u32) -> bool {
    fence(Ordering::SeqCst);
    for _ in 0..looks {
        if !proc.node.rt().seats().any(|seat| seat.holds(proc)) {
            proc.word.update(BIASED, 0);
            count_from(proc, SOON);
            return true;
        }
        spin();
    }
    count_from(proc, LATE);
    false
}

/// Under RUN. A late start is not brought forward.
fn count_from(proc: &Proc, samples: u32) {
    if proc.flags.load(Ordering::Relaxed) & READS < samples * READS_ONE {
        proc.flags.fetch_and(!READS, Ordering::Relaxed);
        proc.flags.fetch_or(samples * READS_ONE, Ordering::Relaxed);
    }
}

/// Takes a sample of a process's reads: the caller is a counted reader. After enough of them the process is read from seats.
#[cold]
pub(crate) fn sample(proc: &Proc) {
    // Two samples at the same moment may wrap around: then the bias comes late.
    if proc.flags.load(Ordering::Relaxed) & READS == 0 {
        proc.word.bias();
    } else {
        proc.flags.fetch_sub(READS_ONE, Ordering::Relaxed);
    }
}
