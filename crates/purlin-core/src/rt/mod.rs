//! The seam to the runtime: scheduling, time and randomness. Nothing else in this crate reaches for a clock, a thread or a random number.
//!
//! Processes are not tokio tasks. A node keeps run queues of its own and a few *executors*: tokio tasks, one per worker thread, that
//! pop processes and poll them (`sched`). A process that waits costs its control block and nothing else; waking it is a push into
//! a ring, not a task wake-up. Executors give the worker back to tokio after a slice, so ordinary tasks on the same runtime run in between.
//!
//! Two modes, chosen when the node is built:
//! * **real**: one executor per worker of the current tokio runtime, monotonic clock;
//! * **simulated**: one executor that picks the next process by a seed, on a paused tokio clock (`sim`). Same processes, same code.
//!
//! Timers live in one hierarchical wheel per node (`crate::timer`) with a millisecond tick, driven by one tokio task.

pub(crate) mod blocking;
pub(crate) mod idle;
pub(crate) mod injector;
pub(crate) mod random;
pub(crate) mod ring;
pub(crate) mod sched;
pub(crate) mod sim;
pub(crate) mod watchdog;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::process::cell::{BLOCKING, Proc, SIMULATED};
use crate::rt::blocking::Blocking;
use crate::rt::random::Random;
use crate::rt::sched::Sched;
use crate::timer::Timers;

/// A monotonic clock that starts at 0 with its node.
pub(crate) enum Clock {
    Real(std::time::Instant),
    /// tokio's clock, which a paused runtime moves on by itself, and how far this node's is ahead of it, in nanoseconds.
    Virtual(tokio::time::Instant, AtomicU64),
}

impl Clock {
    /// Starts now.
    pub(crate) fn start(simulated: bool) -> Clock {
        if simulated {
            Clock::Virtual(tokio::time::Instant::now(), AtomicU64::new(0))
        } else {
            Clock::Real(std::time::Instant::now())
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Duration {
        match self {
            Clock::Real(start) => start.elapsed(),
            Clock::Virtual(start, ahead) => {
                start.elapsed() + Duration::from_nanos(ahead.load(Ordering::Relaxed))
            },
        }
    }

    /// The tokio instant that is `at` after the node's start.
    pub(crate) fn instant(&self, at: Duration) -> tokio::time::Instant {
        match self {
            Clock::Real(start) => tokio::time::Instant::from_std(*start + at),
            Clock::Virtual(start, ahead) => {
                *start + at.saturating_sub(Duration::from_nanos(ahead.load(Ordering::Relaxed)))
            },
        }
    }

    /// A virtual clock jumps forward.
    pub(crate) fn jump(&self, by: Duration) {
        if let Clock::Virtual(_, ahead) = self {
            ahead.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// Everything a node needs from the world outside.
pub(crate) struct Rt {
    pub(crate) sched: Sched,
    pub(crate) blocking: Blocking,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    pub(crate) random: Random,
    pub(crate) simulated: bool,
}

impl Rt {
    #[inline]
    pub(crate) fn schedule(&self, proc: &Proc) {
        if proc.has(SIMULATED | BLOCKING) {
            return self.schedule_elsewhere(proc);
        }
        self.sched.schedule(proc);
    }

    /// Not to an executor of real threads.
    #[cold]
    fn schedule_elsewhere(&self, proc: &Proc) {
        if proc.has(BLOCKING) { self.blocking.schedule(proc) } else { self.sched.schedule_in_world(proc) }
    }

    /// The running activation tells others of its process's end; see [`Sched::telling`].
    pub(crate) fn telling(&self, on: bool) {
        self.sched.telling(on);
    }

    /// The seats of readers; see `process::seat`.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &crate::process::seat::Seat> {
        self.sched.seats()
    }

    /// Time since the node's start.
    #[inline]
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }
}
