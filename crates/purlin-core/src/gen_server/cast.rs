//! Messages without an answer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::gen_server::message;
use crate::gen_server::refs::{Found, Target};
use crate::gen_server::traits::{CastFor, GenServer};
use crate::mailbox::envelope::Envelope;
use crate::process::cell::{Proc, Rejected};
use crate::process::report;
use crate::sync::Ordering;

/// A cast that did not get into the mailbox, with the message.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum TryCastError<M> {
    /// The mailbox is full.
    Full(M),
    /// There is no such process.
    NoProc(M),
}

impl<M> TryCastError<M> {
    /// The message.
    pub fn into_inner(self) -> M {
        match self {
            TryCastError::Full(message) | TryCastError::NoProc(message) => message,
        }
    }
}

impl<M> fmt::Display for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryCastError::Full(_) => "the server's mailbox is full",
            TryCastError::NoProc(_) => "no such process",
        })
    }
}

/// Without the message, which need not be printable.
impl<M> fmt::Debug for TryCastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryCastError::Full(_) => "Full(..)",
            TryCastError::NoProc(_) => "NoProc(..)",
        })
    }
}

impl<M> std::error::Error for TryCastError<M> {}

#[inline]
pub(crate) fn cast<S: GenServer, M: CastFor<S, K>, K: 'static>(target: &Target<S>, message: M) {
    match target.find() {
        Found::Here(proc) => proc.node.0.deliver_to(proc, message::cast::<S, M, K>(message)),
        Found::Named(proc) => proc.node.0.deliver_to(&proc, message::cast::<S, M, K>(message)),
        Found::Nobody | Found::NoNode | Found::WrongType => {
            if let Some(node) = crate::Node::try_current() {
                node.0.counters.dead_letters.fetch_add(1, Ordering::Relaxed);
            }
        },
    }
}

/// Pushes a cast; gives it back if it is not in the mailbox.
fn push<M: Send + 'static>(proc: &Proc, envelope: Envelope) -> Result<(), TryCastError<M>> {
    let unpack = |envelope: Envelope| envelope.downcast::<M>().ok();
    match proc.push(envelope) {
        Ok(()) => Ok(()),
        Err(Rejected::Closed(envelope)) => match unpack(envelope) {
            Some(message) => Err(TryCastError::NoProc(message)),
            None => unreachable!("a cast's payload is the message"),
        },
        Err(Rejected::Full(envelope)) => match unpack(envelope) {
            Some(message) => Err(TryCastError::Full(message)),
            None => unreachable!("a cast's payload is the message"),
        },
        Err(evicted @ Rejected::Evicted(_)) => {
            report::rejected(proc, evicted);
            Ok(())
        },
    }
}

pub(crate) fn try_cast<S: GenServer, M: CastFor<S, K>, K: 'static>(
    target: &Target<S>,
    message: M,
) -> Result<(), TryCastError<M>> {
    match target.find_ref() {
        Some(proc) => push(&proc, message::cast::<S, M, K>(message)),
        None => Err(TryCastError::NoProc(message)),
    }
}

/// A cast that waits for room; from `cast_wait`. Dropping it before it is done takes the message back. Polled again when it is completed, it
/// panics.
#[must_use = "nothing is sent before the future is polled"]
pub struct CastWait<'a, S: GenServer, M> {
    target: &'a Target<S>,
    message: Option<M>,
    pack: fn(M) -> Envelope,
}

impl<'a, S: GenServer, M> CastWait<'a, S, M> {
    pub(crate) fn new<K: 'static>(target: &'a Target<S>, message: M) -> Self
    where
        M: CastFor<S, K>,
    {
        CastWait { target, message: Some(message), pack: message::cast::<S, M, K> }
    }
}

impl<S: GenServer, M> Unpin for CastWait<'_, S, M> {}

impl<S: GenServer, M: Send + 'static> Future for CastWait<'_, S, M> {
    type Output = Result<(), TryCastError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(message) = self.message.take() else {
            panic!("a cast that waits for room was polled after it was completed")
        };
        let Some(proc) = self.target.find_ref() else {
            return Poll::Ready(Err(TryCastError::NoProc(message)));
        };
        // Waiting is announced before the attempt: room made in between wakes.
        let mut message = message;
        for announced in [false, true] {
            match push::<M>(&proc, (self.pack)(message)) {
                Err(TryCastError::Full(back)) => message = back,
                done => return Poll::Ready(done),
            }
            if !announced && let Some(bound) = proc.mailbox.lock().bound.as_mut() {
                bound.wait(cx.waker());
            }
        }
        self.message = Some(message);
        Poll::Pending
    }
}
