//! Bounded mailboxes: how many user messages, and what happens to one too many.

use std::collections::VecDeque;
use std::task::Waker;

/// What a full mailbox does with a user message that arrives.
///
/// [`try_cast`](crate::Ref::try_cast) gives back what does not get in, [`cast_wait`](crate::Ref::cast_wait) waits for room, and signals
/// and `sys` requests are never refused. (A DOWN, a trapped EXIT and an idle timeout take up room once they are messages.)
///
/// # What counts, and what can still leave
/// A message takes up room from when it gets in until it has been handled: until its handler has returned or waits for the first time, or until
/// a raw process has received it. There are never more of them than the capacity, wherever they are.
///
/// A process takes *all* messages out of its mailbox at once, and then handles them one by one from a queue of its own. What it has taken
/// does not leave any more, whatever the policy. So under [`DropOldest`](Self::DropOldest)
/// * the oldest message that the process has not taken yet leaves, even if there are older ones that it has taken;
/// * if it has taken all that are there, it is the newcomer that does not get in, as under [`DropNewest`](Self::DropNewest).
///
/// A process takes when it has handled what it took before, and when a signal arrives, also while a handler of it waits. One that `sys` has
/// suspended goes on taking (it looks for `sys` requests) and handles nothing: once it has taken as many messages as fit, it keeps those, and
/// newcomers are dropped until it is resumed.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, MailboxBound, Overflow, process};
/// use purlin_core::process::SpawnOptions;
/// let newest = MailboxBound::new(1, Overflow::DropNewest);
/// assert_eq!(newest.overflow(), Overflow::DropNewest);
/// let options = SpawnOptions { mailbox: Some(newest), ..SpawnOptions::default() };
/// let busy = process::spawn_with(options, async |_: Mailbox<u8>| std::future::pending().await);
/// busy.send(1);
/// busy.send(2);
/// assert_eq!(node.stats().dropped, 1);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// `call` waits for room (its deadline runs meanwhile); a plain `cast` or `send` is dropped, counted and reported.
    #[default]
    Wait,
    /// `call` fails at once with `MailboxFull`; a plain `cast` or `send` is dropped, counted and reported.
    Reject,
    /// The oldest message that the process has not taken yet leaves the mailbox, counted and reported; the caller of a `call` that leaves is
    /// told at once. If the process has taken all of them, the newcomer is dropped instead; a `call` fails with `MailboxFull` then.
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
