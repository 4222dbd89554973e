//! What becomes of events: the transition algorithm, as a pure function of outcome and time.
//!
//! ```text
//!                    ┌── next_event: in front ──┐  ┌── state changed: all of them, in the order of arrival ──┐
//!                    ▼                          │  ▼                                                        │
//!  mailbox ──►  queue ──► handler ──► outcome ──┴──┴─ postpone ──► postponed ────────────────────────────────┘
//!     ▲           ▲
//!     │           └── timeouts of zero time, when the queue is empty
//!     └── alarms of timeouts
//! ```
//! A message is taken from the mailbox only when queue and zero timeouts are empty. This file knows no clock, runs nothing and sends nothing; `machine` does.

use std::collections::VecDeque;
use std::time::Duration;

use super::timeouts::{Kind, Set, Step, Timeouts};

/// What a callback asks for, but for the state. Most ask for nothing, or set one timeout of the machine's own: that needs no memory of its own.
pub(super) struct Actions<E> {
    first: Option<(Own, Set<E>)>,
    more: Option<Box<More<E>>>,
}

/// A timeout without a name.
#[derive(Clone, Copy)]
enum Own {
    State,
    Event,
}

struct More<E> {
    /// After `first`.
    timeouts: Vec<(Kind, Set<E>)>,
    next_events: Vec<E>,
    hibernate: bool,
}

impl<E> Actions<E> {
    #[inline]
    pub(super) const fn new() -> Actions<E> {
        Actions { first: None, more: None }
    }

    fn more(&mut self) -> &mut More<E> {
        self.more.get_or_insert_with(|| {
            Box::new(More { timeouts: Vec::new(), next_events: Vec::new(), hibernate: false })
        })
    }

    /// Changes to timeouts are made in the order in which they are asked for.
    #[inline]
    pub(super) fn set(&mut self, kind: Kind, set: Set<E>) {
        let own = match kind {
            Kind::State => Own::State,
            Kind::Event => Own::Event,
            Kind::Generic(_) => return self.more().timeouts.push((kind, set)),
        };
        if self.first.is_none() && self.more.as_ref().is_none_or(|more| more.timeouts.is_empty()) {
            self.first = Some((own, set));
        } else {
            self.more().timeouts.push((kind, set));
        }
    }

    pub(super) fn next_event(&mut self, event: E) {
        self.more().next_events.push(event);
    }

    pub(super) fn hibernate(&mut self) {
        self.more().hibernate = true;
    }

    #[inline]
    pub(super) fn take_next_events(&mut self) -> Vec<E> {
        self.more.as_mut().map(|more| std::mem::take(&mut more.next_events)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn hibernates(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.hibernate)
    }

    /// Is a timeout set, changed or taken off?
    #[inline]
    pub(super) fn has_timeouts(&self) -> bool {
        self.first.is_some() || self.more.as_ref().is_some_and(|more| !more.timeouts.is_empty())
    }

    /// Does it matter to them what time it is?
    pub(super) fn need_clock(&self) -> bool {
        let first = self.first.iter().map(|(_, set)| set);
        let rest = self.more.iter().flat_map(|more| &more.timeouts).map(|(_, set)| set);
        first.chain(rest).any(|set| matches!(set, Set::After(..)))
    }
}

/// What handling an event came to, but for timeouts.
pub(super) struct Outcome<E> {
    pub(super) state_changed: bool,
    /// The event that was handled, to be handled again in another state.
    pub(super) postpone: Option<E>,
    pub(super) next_events: Vec<E>,
}

/// The events that a machine has taken from its mailbox, or made itself.
#[derive(Debug)]
pub(super) struct Policy<E> {
    queue: VecDeque<E>,
    /// In the order of arrival.
    postponed: VecDeque<E>,
    timeouts: Timeouts<E>,
}

impl<E> Policy<E> {
    pub(super) fn new() -> Policy<E> {
        Policy { queue: VecDeque::new(), postponed: VecDeque::new(), timeouts: Timeouts::new() }
    }

    /// Takes in what came of an event. What it, and then entering a state, asks of timeouts comes next, by [`set`](Self::set).
    #[inline(always)]
    pub(super) fn transition(&mut self, outcome: Outcome<E>, steps: &mut Vec<Step>) {
        let Outcome { state_changed, postpone, next_events } = outcome;
        if let Some(event) = postpone {
            self.postponed.push_back(event);
        }
        if state_changed && !self.postponed.is_empty() {
            self.postponed.append(&mut self.queue);
            std::mem::swap(&mut self.queue, &mut self.postponed);
        }
        if !next_events.is_empty() {
            for event in next_events.into_iter().rev() {
                self.queue.push_front(event);
            }
        }
        if self.timeouts.has_event_timeout() {
            self.timeouts.cancel(&Kind::Event, steps);
        }
        if state_changed && self.timeouts.has_state_timeout() {
            self.timeouts.cancel(&Kind::State, steps);
        }
    }

    /// Sets, changes and takes off timeouts. `now` is looked at only if [`Actions::need_clock`].
    pub(super) fn set(&mut self, actions: Actions<E>, now: Duration, steps: &mut Vec<Step>) {
        if let Some((own, set)) = actions.first {
            let kind = match own {
                Own::State => Kind::State,
                Own::Event => Kind::Event,
            };
            self.timeouts.apply(kind, set, now, steps);
        }
        if let Some(more) = actions.more {
            for (kind, set) in more.timeouts {
                self.timeouts.apply(kind, set, now, steps);
            }
        }
    }

    /// The next event to handle before a message is taken from the mailbox.
    pub(super) fn next(&mut self, steps: &mut Vec<Step>) -> Option<E> {
        match self.queue.pop_front() {
            Some(event) => Some(event),
            None if self.timeouts.has_zero() => self.timeouts.next_zero(steps),
            None => None,
        }
    }

    /// Is there an event to handle before a message is taken from the mailbox?
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.timeouts.has_zero()
    }

    /// An alarm rang: the event of its timeout, if that is due.
    pub(super) fn rang(&mut self, alarm: u64, steps: &mut Vec<Step>) -> Option<E> {
        self.timeouts.rang(alarm, steps)
    }

    pub(super) fn queue(&self) -> impl ExactSizeIterator<Item = &E> {
        self.queue.iter()
    }

    pub(super) fn postponed(&self) -> impl ExactSizeIterator<Item = &E> {
        self.postponed.iter()
    }

    pub(super) fn timeouts(&self) -> &Timeouts<E> {
        &self.timeouts
    }
}

#[cfg(test)]
mod tests;
