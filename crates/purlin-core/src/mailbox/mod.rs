//! The mailbox: one ordered chain of messages and signals per process.
//!
//! Senders push into the *outer* queue under a mutex of a few instructions. The process's runner takes the whole outer queue at once
//! and works from its own *inner* queue (OTP's outer and inner message queue). Signals travel in the same chain as messages, because
//! everything that one process sends to another keeps its order (P63); taking the chain applies them in order and leaves the messages
//! in place.
//!
//! A bound, if there is one, counts user messages only: a signal or a `sys` request is never refused, delayed or lost because of it.
//!
//! Invariants
//! * QUEUED in the state word is up whenever the outer queue is not empty; a sender that finds it up leaves the word alone, which is
//!   why it goes down only here, when the queue is taken, and only by the holder of RUN.
//! * After `close` nothing is ever stored: a push gives the envelope back.
//! * No user code (a message's `Drop`, a waker) runs under the mutex.

pub(crate) mod bound;
pub(crate) mod envelope;

use std::collections::VecDeque;

use crate::mailbox::bound::Bound;
use crate::mailbox::envelope::{Envelope, Kind};
use crate::process::exit_reason::ExitReason;
use crate::process::word::{Duty, EXITING, QUEUED, SIGNAL, WOKEN, Word};
use crate::sync::Mutex;

/// The largest buffer, in messages, that an idle process keeps.
pub(crate) const KEEP: usize = 16;

/// What happened to an envelope.
pub(crate) enum Push {
    /// It is in the mailbox.
    Stored(Duty),
    /// It is in the mailbox, and the oldest user message had to leave it.
    Evicted(Duty, Envelope),
    /// The mailbox is full and its policy refuses.
    Full(Envelope),
    /// The process has ended or is past reading its mailbox.
    Closed(Envelope),
}

#[derive(Default)]
pub(crate) struct Outer {
    pub(crate) queue: VecDeque<Envelope>,
    closed: bool,
    /// The reason is final.
    sealed: bool,
    /// Why the process ends, as soon as that is decided.
    pub(crate) exit: Option<ExitReason>,
    /// The bound and the senders that wait for room; `None` for an unbounded mailbox.
    pub(crate) bound: Option<Box<Bound>>,
}

#[derive(Default)]
pub(crate) struct Mailbox {
    outer: Mutex<Outer>,
}

impl Mailbox {
    pub(crate) fn new(bound: Option<Box<Bound>>) -> Mailbox {
        Mailbox { outer: Mutex::new(Outer { bound, ..Outer::default() }) }
    }

    pub(crate) fn lock(&self) -> crate::sync::MutexGuard<'_, Outer> {
        self.outer.lock()
    }

    /// Appends an envelope. `raw`: the receiver is a raw process, which is woken by anything.
    #[inline]
    pub(crate) fn push(&self, envelope: Envelope, word: &Word, raw: bool) -> Push {
        let kind = envelope.kind();
        let mut outer = self.outer.lock();
        if outer.closed {
            return Push::Closed(envelope);
        }
        let mut evicted = None;
        if kind == Kind::User
            && let Some(bound) = outer.bound.as_mut()
        {
            match bound.admit() {
                bound::Admission::Admitted => {},
                bound::Admission::Refused => return Push::Full(envelope),
                bound::Admission::EvictOldest => {
                    // The oldest may already be in the inner queue, where only the runner may reach; then the oldest one here goes,
                    // and when there is none here, the newcomer itself.
                    let oldest = outer.queue.iter().position(|e| e.kind() == Kind::User);
                    match oldest.and_then(|at| outer.queue.remove(at)) {
                        Some(old) => evicted = Some(old),
                        None => return Push::Full(envelope),
                    }
                },
            }
        }
        outer.queue.push_back(envelope);
        let duty = match kind {
            Kind::Signal => word.post(QUEUED | SIGNAL | if raw { WOKEN } else { 0 }),
            _ if raw => word.post(QUEUED | WOKEN),
            _ => word.post_message(),
        };
        match evicted {
            None => Push::Stored(duty),
            Some(old) => Push::Evicted(duty, old),
        }
    }

    /// Moves everything from the outer queue to the back of `inner`, and takes QUEUED and SIGNAL down. Only the holder of RUN takes, and
    /// while RUN is up nobody enters, so order does not depend on QUEUED until it leaves. `true` if there was a signal.
    #[inline]
    pub(crate) fn take(&self, inner: &mut VecDeque<Envelope>, word: &Word) -> bool {
        let mut outer = self.outer.lock();
        if inner.is_empty() {
            std::mem::swap(&mut outer.queue, inner);
        } else {
            inner.append(&mut outer.queue);
        }
        // A buffer that was needed once and is far too large now is given back.
        if outer.queue.capacity() > KEEP.max(inner.len() * 8) {
            outer.queue = VecDeque::new();
        }
        word.update(QUEUED | SIGNAL, 0) & SIGNAL != 0
    }

    /// Has the process ended, or is it past reading its mailbox?
    pub(crate) fn is_closed(&self) -> bool {
        self.outer.lock().closed
    }

    /// Frees the buffers of an idle mailbox.
    pub(crate) fn shrink(&self) {
        let mut outer = self.outer.lock();
        if outer.queue.is_empty() {
            outer.queue = VecDeque::new();
        }
    }

    /// Decides why the process ends, if nothing did before (`force`: even then), and marks it as ending.
    pub(crate) fn decide(&self, reason: ExitReason, force: bool, word: &Word) -> Duty {
        let mut outer = self.outer.lock();
        if outer.sealed {
            // It is ending, under RUN, or has ended: nobody need be woken. But who asks after this must find it so at once.
            return word.post(EXITING);
        }
        let old = if force || outer.exit.is_none() { outer.exit.replace(reason) } else { None };
        let duty = word.post(EXITING);
        drop(outer);
        drop(old);
        duty
    }

    /// The reason that the process ended or is about to end with.
    pub(crate) fn exit_reason(&self) -> Option<ExitReason> {
        self.outer.lock().exit.clone()
    }

    /// Makes the reason final: the one decided before, else `reason`.
    pub(crate) fn seal(&self, reason: ExitReason) -> ExitReason {
        let mut outer = self.outer.lock();
        outer.sealed = true;
        outer.exit.get_or_insert(reason).clone()
    }

    /// Closes the mailbox for good and returns what was in it, and who waited for room in it.
    pub(crate) fn close(&self, word: &Word) -> (VecDeque<Envelope>, Option<Box<Bound>>) {
        let mut outer = self.outer.lock();
        outer.closed = true;
        word.update(QUEUED | SIGNAL, 0);
        (std::mem::take(&mut outer.queue), outer.bound.take())
    }
}
