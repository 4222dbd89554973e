//! What a message carries so that both sides can check it: who asked what once, and what order it was sent in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use purlin_core::Pid;

use super::facts::Facts;
use super::journal::Short;
use super::life::Token;

/// One request, known to who asks and who answers.
pub(super) struct Ticket {
    token: Token,
    /// How often a handler began with it.
    begun: AtomicU32,
    /// The moment when its handler was done; 0 until then.
    done: AtomicU64,
}

impl Ticket {
    pub(super) fn new(facts: &Arc<Facts>) -> Arc<Ticket> {
        Arc::new(Ticket { token: Token::new(facts), begun: AtomicU32::new(0), done: AtomicU64::new(0) })
    }

    pub(super) fn number(&self) -> u64 {
        self.token.number()
    }

    /// A handler begins with it.
    pub(super) fn begin(&self, facts: &Facts, me: Pid) {
        facts.note("handles", Some(me), None, self.number());
        if self.begun.fetch_add(1, Ordering::SeqCst) != 0 {
            facts.violation(format!("{} handles request {} again", Short(Some(me)), self.number()));
        }
    }

    /// Its handler is about to return.
    pub(super) fn end(&self, facts: &Facts) {
        self.done.store(facts.stamp(), Ordering::SeqCst);
    }

    pub(super) fn times(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(super) fn done(&self) -> Option<u64> {
        Some(self.done.load(Ordering::SeqCst)).filter(|stamp| *stamp != 0)
    }
}

/// The place of a message among those of one sender to one receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) from: Pid,
    /// Larger than those of all messages sent before.
    number: u64,
    /// The last one before it that certainly reached the mailbox.
    after: u64,
}

/// The sender's side: what one process sends to another.
#[derive(Default)]
pub(super) struct Lane {
    last: u64,
    certain: u64,
}

impl Lane {
    pub(super) fn next(&mut self, from: Pid) -> Place {
        self.last += 1;
        Place { from, number: self.last, after: self.certain }
    }

    /// The message of this place has certainly reached the mailbox.
    pub(super) fn sure(&mut self, place: Place) {
        self.certain = place.number;
    }
}

/// The receiver's side.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<Pid, u64>);

impl Seen {
    /// A message is handled: in its place?
    pub(super) fn check(&mut self, facts: &Facts, me: Pid, place: Place) {
        let last = self.0.entry(place.from).or_default();
        let Place { from, number, after } = place;
        let (me, from) = (Short(Some(me)), Short(Some(from)));
        if number <= *last {
            facts.violation(format!("{me} handles message {number} of {from} after message {last}"));
        }
        if after > *last {
            facts.violation(format!(
                "{me} handles message {number} of {from} before message {after}: it is lost or was overtaken"
            ));
        }
        *last = number.max(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Pid = Pid::from_parts(1, 1, 1);

    fn violations(places: &[Place]) -> u64 {
        let (facts, mut seen) = (Facts::simulated(1), Seen::default());
        places.iter().for_each(|place| seen.check(&facts, A, *place));
        facts.violations()
    }

    #[test]
    fn a_message_that_is_overtaken_repeated_or_lost_is_noticed() {
        let mut lane = Lane::default();
        let places = [(); 3].map(|()| {
            let place = lane.next(A);
            lane.sure(place);
            place
        });
        let [a, b, c] = places;
        assert_eq!(violations(&[a, b, c]), 0);
        assert_eq!(violations(&[a, c]), 1);
        assert_eq!(violations(&[a, b, b]), 1);
        assert_eq!(violations(&[a, c, b]), 2);
    }

    #[test]
    fn a_message_that_may_not_have_been_sent_may_be_missing() {
        let mut lane = Lane::default();
        let a = lane.next(A);
        lane.sure(a);
        let _unsure = lane.next(A);
        let c = lane.next(A);
        assert_eq!(violations(&[a, c]), 0);
    }
}
