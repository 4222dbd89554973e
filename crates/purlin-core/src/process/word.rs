//! The state word: who may run a process, and why somebody must.
//!
//! One `AtomicU64` per process. Every reason *not* to run a call on the caller's thread is a bit above the readers' count, so that
//! the fast path is one compare-and-swap `0 → RUN` (exclusive) or `n → n + 1` (a counted reader).
//!
//! ```text
//!  RUN      somebody runs it exclusively: its activation, or a direct caller          (the run lock)
//!  SCHED    it sits in a run queue, exactly once
//!  QUEUED   the mailbox or the runner's own queue holds something not yet handled
//!  SIGNAL   the mailbox holds a system signal
//!  EXITING  it must end: nothing but the end may run
//!  WOKEN    the waker of its suspended future fired (raw process: or something arrived)
//!  BUSY     a future of its own is suspended: a handler, init, a raw process's body
//!  HELD     not callable in place: suspended by sys, debugged, marks to apply, slow handlers
//!  DEAD     ended; nothing schedules it any more
//!  BIASED   readers sit in seats and are not counted; see `process::seat`
//!  low 32   counted readers inside
//! ```
//!
//! Invariants
//! * SCHED is set only by the one party that makes "work is due, nobody is inside" true: a poster that finds nobody inside, the
//!   exclusive runner that leaves, or the last reader that leaves. That party, and only it, pushes the process into a run queue.
//! * While any bit above the readers' count is set, BIASED aside, no caller and no new reader enters. Hence a pop from the run queue finds
//!   neither RUN nor readers, and QUEUED keeps later calls behind messages that are already there.
//! * QUEUED goes up with a push and down with a take, both under the mailbox's mutex; SIGNAL likewise. A runner that leaves with messages
//!   taken but not handled puts QUEUED up again as it leaves.
//! * BIASED is set by a counted reader and cleared by the holder of RUN that has found all seats empty. Nobody runs the process exclusively
//!   while it is set.
//! * Bits are cleared one by one, never by storing 0: a store would erase what others set meanwhile.
//!
//! Ordering: entering is Acquire and leaving is Release on the same word, so what one runner wrote to the state is visible to the
//! next. Posting is Release too (AcqRel on success), because the poster's message must be visible to the activation that it causes;
//! the mailbox's mutex gives that once more.

use crate::sync::{AtomicU64, Ordering};

pub(crate) const RUN: u64 = 1 << 63;
pub(crate) const SCHED: u64 = 1 << 62;
pub(crate) const QUEUED: u64 = 1 << 61;
pub(crate) const SIGNAL: u64 = 1 << 60;
pub(crate) const EXITING: u64 = 1 << 59;
pub(crate) const WOKEN: u64 = 1 << 58;
pub(crate) const BUSY: u64 = 1 << 57;
pub(crate) const HELD: u64 = 1 << 56;
pub(crate) const DEAD: u64 = 1 << 55;
pub(crate) const BIASED: u64 = 1 << 54;
pub(crate) const READERS: u64 = (1 << 32) - 1;

/// What a party that posted, left or ended an activation must do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Duty {
    /// Nothing: somebody else will see to it, or there is nothing to do.
    Nothing,
    /// Push the process into a run queue: this party has just set SCHED.
    Schedule,
}

pub(crate) struct Word(AtomicU64);

/// Is an activation due in this state, given that nobody is inside?
#[inline]
const fn due(word: u64) -> bool {
    word & (SIGNAL | WOKEN | EXITING) != 0 || word & (QUEUED | BUSY) == QUEUED
}

impl Word {
    pub(crate) fn new(initial: u64) -> Word {
        Word(AtomicU64::new(initial))
    }

    #[inline]
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Enters exclusively if the process is idle: nothing queued, nothing due, nobody inside.
    #[inline]
    pub(crate) fn try_enter(&self) -> bool {
        self.0.compare_exchange(0, RUN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Leaves after [`try_enter`](Self::try_enter), setting `bits` on the way out.
    #[inline]
    pub(crate) fn leave(&self, bits: u64) -> Duty {
        if bits == 0 && self.0.compare_exchange(RUN, 0, Ordering::Release, Ordering::Relaxed).is_ok() {
            return Duty::Nothing;
        }
        self.end(0, bits)
    }

    /// Takes RUN of an idle process that is BIASED. The caller looks at the seats next.
    #[cold]
    pub(crate) fn try_enter_biased(&self) -> bool {
        self.0.compare_exchange(BIASED, BIASED | RUN, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Has the process its readers in seats, as far as one can see from here?
    #[inline]
    pub(crate) fn is_biased(&self) -> bool {
        self.0.load(Ordering::Relaxed) & BIASED != 0
    }

    /// Lets readers take seats. The caller is a counted reader, so nobody runs the process.
    pub(crate) fn bias(&self) {
        self.0.fetch_or(BIASED, Ordering::AcqRel);
    }

    /// May a reader who has published its seat stay there?
    #[inline]
    pub(crate) fn admits_seats(&self) -> bool {
        self.0.load(Ordering::SeqCst) & !READERS == BIASED
    }

    /// Enters as a counted reader if no exclusive runner is inside and none is due.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & !(READERS | BIASED) != 0 || word & READERS == READERS {
                return false;
            }
            match self.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Leaves after [`try_read`](Self::try_read). The last reader out hands over to what was posted meanwhile.
    #[inline]
    pub(crate) fn leave_read(&self) -> Duty {
        let old = self.0.fetch_sub(1, Ordering::AcqRel);
        if old & READERS == 1 && due(old) { self.hand_over() } else { Duty::Nothing }
    }

    #[cold]
    fn hand_over(&self) -> Duty {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            // Between the subtraction and here somebody else may have become the responsible party.
            if word & (RUN | SCHED | DEAD | READERS) != 0 || !due(word) {
                return Duty::Nothing;
            }
            match self.0.compare_exchange_weak(word, word | SCHED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Duty::Schedule,
                Err(now) => word = now,
            }
        }
    }

    /// Sets `bits` (any of QUEUED, SIGNAL, WOKEN, EXITING, HELD) and takes over the duty to schedule if nobody else has it.
    #[inline]
    pub(crate) fn post(&self, bits: u64) -> Duty {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let mut new = word | bits;
            let mine = word & (RUN | SCHED | DEAD | READERS) == 0 && due(new);
            if mine {
                new |= SCHED;
            }
            if new == word {
                // Everything is set already and its setter, or the present runner, sees to it. The read-modify-write is still
                // made: it orders this post before that party's next look at the word.
                match self.0.compare_exchange_weak(word, word, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => return Duty::Nothing,
                    Err(now) => {
                        word = now;
                        continue;
                    },
                }
            }
            match self.0.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return if mine { Duty::Schedule } else { Duty::Nothing },
                Err(now) => word = now,
            }
        }
    }

    /// Posts a user message. Called under the mailbox's mutex, where an up QUEUED means that its setter took the duty.
    #[inline]
    pub(crate) fn post_message(&self) -> Duty {
        if self.0.load(Ordering::Relaxed) & QUEUED != 0 { Duty::Nothing } else { self.post(QUEUED) }
    }

    /// Starts the activation of a process popped from a run queue: takes RUN, gives up SCHED and WOKEN; returns the word as it was.
    #[inline]
    pub(crate) fn begin(&self) -> u64 {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(
                word & SCHED != 0 && word & (RUN | READERS) == 0,
                "popped a process that was not scheduled: {word:#x}"
            );
            let new = (word | RUN) & !(SCHED | WOKEN);
            match self.0.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(old) => return old,
                Err(now) => word = now,
            }
        }
    }

    /// Ends an activation (or a direct run): clears RUN and `clear`, sets `set`.
    #[inline]
    pub(crate) fn end(&self, clear: u64, set: u64) -> Duty {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(word & RUN != 0, "left a process that was not entered: {word:#x}");
            let mut new = (word & !(RUN | clear)) | set;
            let again = new & DEAD == 0 && due(new);
            if again {
                new |= SCHED;
            }
            match self.0.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return if again { Duty::Schedule } else { Duty::Nothing },
                Err(now) => word = now,
            }
        }
    }

    /// Changes bits while holding RUN; returns the word as it was before the (last) change.
    #[inline]
    pub(crate) fn update(&self, clear: u64, set: u64) -> u64 {
        match (clear, set) {
            (0, 0) => self.load(),
            (0, set) => self.0.fetch_or(set, Ordering::AcqRel),
            (clear, 0) => self.0.fetch_and(!clear, Ordering::AcqRel),
            (clear, set) => {
                self.0.fetch_and(!clear, Ordering::AcqRel);
                self.0.fetch_or(set, Ordering::AcqRel)
            },
        }
    }

    /// `false` from the moment the process must end.
    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        self.load() & (EXITING | DEAD) == 0
    }
}
