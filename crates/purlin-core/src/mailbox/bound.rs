//! Bounded mailboxes: how many user messages, and what happens to one too many.

use std::collections::VecDeque;
use std::task::Waker;

/// What a full mailbox does with a user message that arrives.
///
/// [`try_cast`](crate::Ref::try_cast) gives back what does not get in, [`cast_wait`](crate::Ref::cast_wait) waits for room, and signals
/// and `sys` requests are never refused. (A DOWN, a trapped EXIT and an idle timeout take up room once they are messages.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// `call` waits for room (its deadline runs meanwhile); a plain `cast` or `send` is dropped, counted and reported.
    #[default]
    Wait,
    /// `call` fails at once with `MailboxFull`; a plain `cast` or `send` is dropped, counted and reported.
    Reject,
    /// The oldest message that the server has not begun to take leaves the mailbox, counted and reported.
    DropOldest,
    /// The newcomer is dropped, counted and reported; a `call` fails with `MailboxFull`.
    DropNewest,
}

/// A mailbox of at most `capacity` user messages.
///
/// ```
/// use purlin_core::{MailboxBound, Overflow};
/// let bound = MailboxBound::new(100, Overflow::Reject);
/// assert_eq!(bound.capacity(), 100);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailboxBound {
    capacity: usize,
    overflow: Overflow,
}

impl MailboxBound {
    /// A bound of `capacity` messages; a capacity of 0 means 1.
    pub fn new(capacity: usize, overflow: Overflow) -> MailboxBound {
        MailboxBound { capacity: capacity.max(1), overflow }
    }

    /// How many user messages fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What happens to one too many.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }
}

/// The bookkeeping of a bounded mailbox; lives under the mailbox's mutex.
pub(crate) struct Bound {
    pub(crate) limits: MailboxBound,
    /// User messages that were admitted and not yet handled.
    len: usize,
    waiting: VecDeque<Waker>,
}

pub(crate) enum Admission {
    Admitted,
    Refused,
    EvictOldest,
}

impl Bound {
    pub(crate) fn new(limits: MailboxBound) -> Bound {
        Bound { limits, len: 0, waiting: VecDeque::new() }
    }

    pub(crate) fn admit(&mut self) -> Admission {
        if self.len < self.limits.capacity {
            self.len += 1;
            return Admission::Admitted;
        }
        match self.limits.overflow {
            Overflow::DropOldest => Admission::EvictOldest,
            Overflow::Wait | Overflow::Reject | Overflow::DropNewest => Admission::Refused,
        }
    }

    /// Counts a message that nobody could refuse.
    pub(crate) fn made(&mut self) {
        self.len += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A message was handled: returns the senders to wake, outside the mutex. One for one; all of them when the mailbox ran empty,
    /// because a sender that was woken and then gave up has used up a wake-up that another one needs.
    pub(crate) fn handled(&mut self) -> VecDeque<Waker> {
        self.len = self.len.saturating_sub(1);
        if self.len == 0 {
            std::mem::take(&mut self.waiting)
        } else {
            self.waiting.pop_front().into_iter().collect()
        }
    }

    /// Waits for room: `waker` is woken once when there may be some.
    pub(crate) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|w| w.will_wake(waker)) {
            self.waiting.push_back(waker.clone());
        }
    }

    pub(crate) fn into_waiting(self) -> VecDeque<Waker> {
        self.waiting
    }
}
