//! The future of a call: in place if it can be, through the mailbox otherwise.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::call::cycle::{self, Waits};
use crate::call::error::{CallError, CallErrorKind, Details};
use crate::call::slot::{self, Waiter};
use crate::gen_server::direct::{self, Attempt, Entered, Gate};
use crate::gen_server::message;
use crate::gen_server::refs::{Found, Target};
use crate::gen_server::request::Request;
use crate::gen_server::traits::{CallFor, GenServer};
use crate::node::current;
use crate::process::cell::{Proc, ProcRef, Rejected};
use crate::process::pid::Pid;
use crate::process::report;
use crate::process::run::packed;
use crate::rt::sim;
use crate::sync::Ordering;
use crate::timer::Alarm;

/// The deadline of a call unless another one is given: OTP's 5 seconds.
pub const DEFAULT_CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A call under way, with limits to set before it is awaited. Returned by generated client methods.
pub trait Call<R>: Future<Output = Result<R, CallError>> + Send + Sized {
    /// Waits for this long at most, instead of 5 s.
    fn timeout(self, limit: Duration) -> Self;
    /// Waits for as long as it takes, or until the server ends.
    fn infinity(self) -> Self;
    /// Sends it now, and does not wait: the answer is asked for later. Limits set before do not count. See
    /// [`request`](crate::gen_server::request).
    fn send_request(self) -> Request<R>;
}

/// A call under way; from [`Ref::call`](crate::Ref::call). Nothing happens before it is polled. Polled again when it is completed, it panics.
#[must_use = "a call is made when it is awaited; no reply needed? use `.cast(..)`"]
pub struct CallFuture<'a, S: GenServer, M, R> {
    pub(super) target: &'a Target<S>,
    pub(super) message: Option<M>,
    pub(super) start: fn(&mut Self, &mut Context<'_>) -> Poll<Result<R, CallError>>,
    pub(super) waiting: Option<Box<Waiting<R>>>,
    /// In milliseconds, rounded up; `u64::MAX` for no limit.
    pub(super) limit: u64,
    pub(super) location: &'static Location<'static>,
    reply: PhantomData<fn() -> R>,
}

/// What a call that became a message, or whose handler waits, needs.
pub(super) struct Waiting<R> {
    pub(super) waiter: Option<Waiter<R>>,
    pub(super) proc: ProcRef,
    pub(super) _waits: Option<Waits>,
    pub(super) alarm: Option<Alarm>,
    pub(super) since: Duration,
    /// The mailbox was full: the message is still to be sent.
    pub(super) to_send: bool,
}

impl<S: GenServer, M, R> Unpin for CallFuture<'_, S, M, R> {}

impl<'a, S: GenServer, M, R: Send + 'static> CallFuture<'a, S, M, R> {
    #[track_caller]
    #[inline]
    pub(crate) fn new<K: 'static>(target: &'a Target<S>, message: M) -> Self
    where
        M: CallFor<S, K, Reply = R>,
    {
        CallFuture {
            target,
            message: Some(message),
            start: start::<S, M, K>,
            waiting: None,
            limit: M::LIMIT,
            location: Location::caller(),
            reply: PhantomData,
        }
    }

    /// Waits for this long at most, instead of 5 s. The time is that of waiting: a call to an idle server runs on the caller's thread, and no
    /// limit interrupts a handler that computes or blocks there; the clock begins when the handler first waits.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit =
            u64::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX - 1).min(u64::MAX - 1);
        self
    }

    /// Waits for as long as it takes, or until the server ends.
    pub fn infinity(mut self) -> Self {
        self.limit = u64::MAX;
        self
    }

    #[cold]
    fn error(&self, kind: CallErrorKind, proc: Option<&Proc>) -> CallError {
        let elapsed = match (&self.waiting, proc) {
            (Some(waiting), Some(proc)) => proc.node.now().saturating_sub(waiting.since),
            _ => Duration::ZERO,
        };
        CallError(Box::new(Details {
            kind,
            pid: proc.map(Proc::pid),
            name: self.target.name(),
            server: S::__type_name(),
            request: S::__request_name(std::any::type_name::<M>()),
            location: self.location,
            elapsed,
            queue: proc.map(|p| p.mailbox.lock().queue.len()),
        }))
    }

    /// The error of a call that reached no process. The message goes, so that another poll cannot send it.
    #[cold]
    fn never_sent(&mut self, kind: CallErrorKind) -> CallError {
        self.message = None;
        self.error(kind, None)
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        if self.waiting.as_ref().is_some_and(|w| w.to_send) {
            let sent = (self.start)(self, cx);
            if sent.is_ready() {
                return sent;
            }
            if self.waiting.as_ref().is_some_and(|w| w.to_send) {
                return Poll::Pending;
            }
        }
        self.poll_reply(cx)
    }

    /// Looks for the reply, then at the clock.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let Some(waiting) = self.waiting.as_mut() else { return Poll::Pending };
        let outcome = match waiting.waiter.as_mut().map(|w| w.poll(cx)) {
            Some(Poll::Ready(Some(reply))) => Ok(reply),
            Some(Poll::Ready(None)) => Err(match waiting.proc.mailbox.exit_reason() {
                Some(reason) => CallErrorKind::Exit(reason),
                None => CallErrorKind::NoReply,
            }),
            _ => {
                let limit = self.limit;
                if limit == u64::MAX {
                    return Poll::Pending;
                }
                let node = &waiting.proc.node;
                let at = waiting.since + Duration::from_millis(limit).min(crate::timer::LONGEST);
                let alarm = waiting.alarm.get_or_insert_with(|| Alarm::at(node.clone(), at));
                match alarm.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        // One that still waits for room: it must not be sent by another poll.
                        self.message = None;
                        Err(CallErrorKind::Timeout)
                    },
                }
            },
        };
        let proc = waiting.proc.clone();
        // What the server sent its caller before is there before the answer.
        sim::answered_by(&proc);
        let result = outcome.map_err(|kind| self.error(kind, Some(&proc)));
        self.waiting = None;
        Poll::Ready(result)
    }
}

/// The first poll: finds the server, runs the call or sends it.
fn start<S: GenServer, M: CallFor<S, K>, K: 'static>(
    this: &mut CallFuture<'_, S, M, M::Reply>,
    cx: &mut Context<'_>,
) -> Poll<Result<M::Reply, CallError>> {
    if let Some(waiting) = &this.waiting {
        // A call that waits for room stays with the incarnation that it began with.
        let proc = waiting.proc.clone();
        let Some(message) = this.message.take() else { return Poll::Pending };
        return queue::<S, M, K>(this, message, &proc, cx);
    }
    let target = this.target;
    match target.find() {
        Found::Here(proc) => run::<S, M, K>(this, proc, cx),
        Found::Named(proc) => run::<S, M, K>(this, &proc, cx),
        Found::Nobody => Poll::Ready(Err(this.never_sent(CallErrorKind::NoProc))),
        Found::NoNode => Poll::Ready(Err(this.never_sent(CallErrorKind::NoNode))),
        Found::WrongType => Poll::Ready(Err(this.never_sent(CallErrorKind::WrongType))),
    }
}

#[inline(always)]
fn run<S: GenServer, M: CallFor<S, K>, K: 'static>(
    this: &mut CallFuture<'_, S, M, M::Reply>,
    proc: &ProcRef,
    cx: &mut Context<'_>,
) -> Poll<Result<M::Reply, CallError>> {
    let mut entered = Entered::new();
    let reading = M::READ.then(|| direct::enter_read(proc));
    let gate = match reading {
        Some(reading) => reading.gate(),
        None => direct::enter(proc, &mut entered),
    };
    match gate {
        Gate::No => {},
        Gate::GiveWay => {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        },
        Gate::Entered => {
            let Some(message) = this.message.take() else {
                match reading {
                    Some(reading) => direct::leave_read(proc, reading),
                    None => entered.leave(proc, 0),
                }
                polled_again()
            };
            let attempt = match reading {
                Some(reading) => direct::read::<S, M, K>(proc, reading, message),
                None => direct::call::<S, M, K>(proc, &entered, message),
            };
            return match attempt {
                Attempt::Done(reply) => Poll::Ready(Ok(reply)),
                Attempt::Later(waiter) => later(this, proc, waiter, cx),
            };
        },
    }
    let Some(message) = this.message.take() else { polled_again() };
    queue::<S, M, K>(this, message, proc, cx)
}

/// There is no message, and nothing is waited for. It takes no arguments: keeping some for it would cost every call.
#[cold]
#[inline(never)]
fn polled_again() -> ! {
    panic!("a call was polled after it was completed")
}

/// The handler was started in place; its answer comes through a slot.
#[cold]
fn later<S: GenServer, M, R: Send + 'static>(
    this: &mut CallFuture<'_, S, M, R>,
    proc: &ProcRef,
    waiter: Waiter<R>,
    cx: &mut Context<'_>,
) -> Poll<Result<R, CallError>> {
    let waits = if waiter.is_deferred() { None } else { cycle::publish(proc) };
    let cycle = cycle_of(waits.as_ref(), proc);
    let since = proc.node.now();
    this.waiting = Some(Box::new(Waiting {
        waiter: Some(waiter),
        proc: proc.clone(),
        _waits: waits,
        alarm: None,
        since,
        to_send: false,
    }));
    let polled = this.poll_reply(cx);
    // The answer is looked for after the walk: if it is there, it may have been given before this wait was published, and the server has
    // gone on to call the caller since. That is no ring.
    match cycle {
        Some(cycle) if polled.is_pending() => {
            let error = this.error(CallErrorKind::Deadlock(cycle), Some(proc));
            this.waiting = None;
            Poll::Ready(Err(error))
        },
        _ => polled,
    }
}

/// The cycle that a wait just published would close.
fn cycle_of(waits: Option<&Waits>, proc: &Proc) -> Option<Vec<Pid>> {
    waits?;
    current::with_current(|me| cycle::find(&me.node, me, proc)).flatten()
}

/// Sends the call as a message.
fn queue<S: GenServer, M: CallFor<S, K>, K: 'static>(
    this: &mut CallFuture<'_, S, M, M::Reply>,
    message: M,
    proc: &ProcRef,
    cx: &mut Context<'_>,
) -> Poll<Result<M::Reply, CallError>> {
    let same_node = |me: &Proc| me.pid().node_index() == proc.pid().node_index();
    let caller = current::with_current(|me| if same_node(me) { packed(me) } else { 0 }).unwrap_or(0);
    let begun = this.waiting.is_some();
    if !begun {
        if caller != 0 && current::with_current(|me| std::ptr::eq(me, &**proc)) == Some(true) {
            return Poll::Ready(Err(this.error(CallErrorKind::CallingSelf, Some(proc))));
        }
        let waits = cycle::publish(proc);
        if let Some(cycle) = cycle_of(waits.as_ref(), proc) {
            return Poll::Ready(Err(this.error(CallErrorKind::Deadlock(cycle), Some(proc))));
        }
        proc.node.0.counters.queued_calls.fetch_add(1, Ordering::Relaxed);
        sim::asks(proc, std::any::type_name::<M>);
        let since = proc.node.now();
        this.waiting = Some(Box::new(Waiting {
            waiter: None,
            proc: proc.clone(),
            _waits: waits,
            alarm: None,
            since,
            to_send: true,
        }));
    }
    let mut message = message;
    // Waiting for room is announced before the second attempt: room made in between wakes.
    for announced in [false, true] {
        let (waiter, replier) = slot::pair();
        match proc.push(message::call::<S, M, K>(message, replier, caller)) {
            Ok(()) => return sent(this, waiter, cx),
            Err(evicted @ Rejected::Evicted(_)) => {
                report::rejected(proc, evicted);
                return sent(this, waiter, cx);
            },
            Err(Rejected::Closed(envelope)) => {
                drop(envelope);
                // A server that ends while a caller waits for room ends the call; one that was gone before was never called.
                let reason = if begun { proc.mailbox.exit_reason() } else { None };
                return Poll::Ready(Err(
                    this.error(reason.map_or(CallErrorKind::NoProc, CallErrorKind::Exit), Some(proc))
                ));
            },
            Err(Rejected::Full(envelope)) => {
                let back = envelope.downcast::<message::CallMsg<M, M::Reply>>().ok().map(|c| c.message);
                let Some(back) = back else { unreachable!("packed as a call just above") };
                if !direct::waits_for_room(proc) {
                    drop(back);
                    proc.node.0.counters.dropped.fetch_add(1, Ordering::Relaxed);
                    return Poll::Ready(Err(this.error(CallErrorKind::MailboxFull, Some(proc))));
                }
                message = back;
                // A request that is only sent does not wait; another one's wake-up is not to be lost on it.
                let waits = !announced && !cx.waker().will_wake(Waker::noop());
                if waits && let Some(bound) = proc.mailbox.lock().bound.as_mut() {
                    bound.wait(cx.waker());
                }
            },
        }
    }
    // Still full: the message stays with the caller, whose deadline runs.
    this.message = Some(message);
    let Some(waiting) = this.waiting.as_mut() else { return Poll::Pending };
    waiting.to_send = true;
    this.poll_reply(cx)
}

fn sent<S: GenServer, M, R: Send + 'static>(
    this: &mut CallFuture<'_, S, M, R>,
    waiter: Waiter<R>,
    cx: &mut Context<'_>,
) -> Poll<Result<R, CallError>> {
    if let Some(waiting) = this.waiting.as_mut() {
        waiting.waiter = Some(waiter);
        waiting.to_send = false;
    }
    this.poll_waiting(cx)
}

impl<S: GenServer, M, R: Send + 'static> Future for CallFuture<'_, S, M, R> {
    type Output = Result<R, CallError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.waiting.is_none() { (this.start)(this, cx) } else { this.poll_waiting(cx) }
    }
}

impl<S: GenServer, M: Send, R: Send + 'static> Call<R> for CallFuture<'_, S, M, R> {
    fn timeout(self, limit: Duration) -> Self {
        CallFuture::timeout(self, limit)
    }

    fn infinity(self) -> Self {
        CallFuture::infinity(self)
    }

    fn send_request(self) -> Request<R> {
        CallFuture::send_request(self)
    }
}

/// Calls a target; for generated client methods.
#[doc(hidden)]
#[track_caller]
pub fn call<S: GenServer, M: CallFor<S, K>, K: 'static>(
    target: &Target<S>,
    message: M,
) -> CallFuture<'_, S, M, M::Reply> {
    CallFuture::new::<K>(target, message)
}
