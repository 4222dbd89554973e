//! What happened in a run: a running hash of every event, and the events themselves if somebody wants to read them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::process::pid::Pid;

/// What one [`Event`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// `other` started `who`, a process of the type in `text`.
    Starts,
    /// `who` handles the message in `text`.
    Handles,
    /// `who` handles the call in `text` on the stack of `other`, its caller.
    Calls,
    /// `other` calls `who` with what is in `text`, by a message.
    Asks,
    /// `other` sent `who` what is in `text`, which arrives now.
    Arrives,
    /// `who` has more to do and lets others go first.
    GivesWay,
    /// `who` was killed.
    Killed,
    /// A handler of `who` panics because the simulation says so.
    Panics,
    /// What `other` sent `who` is held back.
    Delayed,
    /// The clock of the node of `who` jumps.
    ClockJumps,
    /// `who` has ended, for the reason in `text`.
    Ends,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The time of the node's clock.
    pub at: Duration,
    /// What kind of thing.
    pub what: What,
    /// Whom it happened to.
    pub who: Pid,
    /// Who else has a part in it.
    pub other: Option<Pid>,
    /// A type, a reason.
    pub text: String,
}

#[derive(Default)]
pub(crate) struct Trace {
    /// Of everything so far.
    pub(crate) hash: u64,
    /// `None` when nobody wants to read them.
    pub(crate) events: Option<VecDeque<Event>>,
    /// How many events before those are not kept.
    pub(crate) forgotten: u64,
    /// The indices of the nodes, in the order in which they came up. In another run they are others, and other runs, of tests on other threads,
    /// have numbers in between.
    pub(crate) nodes: Vec<u32>,
}

/// More than anybody reads. The last ones are kept: a run's failure is at its end.
const MOST: usize = 100_000;

impl Trace {
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(7) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub(crate) fn mix_pid(&mut self, pid: Pid) {
        let index = pid.node_index();
        let node = self.nodes.iter().position(|known| *known == index).unwrap_or_else(|| {
            self.nodes.push(index);
            self.nodes.len() - 1
        }) as u64;
        self.mix((node << 48) ^ (u64::from(pid.serial()) << 32) ^ u64::from(pid.id()));
    }

    pub(crate) fn note(
        &mut self,
        at: Duration,
        what: What,
        who: Pid,
        other: Option<Pid>,
        text: &dyn Fn() -> String,
    ) {
        self.mix(what as u64 ^ (at.as_nanos() as u64) << 8);
        self.mix_pid(who);
        if let Some(other) = other {
            self.mix_pid(other);
        }
        if let Some(events) = &mut self.events {
            if events.len() == MOST {
                events.pop_front();
                self.forgotten += 1;
            }
            events.push_back(Event { at, what, who, other, text: text() });
        }
    }
}
