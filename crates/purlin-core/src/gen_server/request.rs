//! Requests: calls that are sent now and whose answers are asked for later.
//!
//! [`send_request`](crate::Ref::send_request) puts a call into the server's mailbox and returns at once with a [`Request`], the claim to its
//! answer. In between the caller does other things: it sends more requests, handles messages, computes. The answer never goes through the
//! caller's mailbox; a request that is dropped is abandoned, and its late answer vanishes.
//!
//! ```
//! # use purlin_core::{Cx, GenServer, HandleCall, InitError};
//! # struct Squares;
//! # impl GenServer for Squares { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Squares) } }
//! struct Square(u64);
//! # impl HandleCall<Square> for Squares { type Reply = u64; async fn handle_call(&mut self, Square(n): Square, _: &mut Cx<Self>) -> u64 { n * n } }
//! use purlin_core::{RequestIds, millis, secs};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let squares = Squares::start(()).await?;
//!
//! // One request.
//! let mut request = squares.send_request(Square(12));
//! while request.wait_response(millis(10)).await.is_none() {
//!     println!("still waiting");
//! }
//!
//! // Many: answers in the order in which they arrive, each with its label.
//! let mut requests = RequestIds::new();
//! for n in 1..=3 {
//!     requests.add(squares.send_request(Square(n)), n);
//! }
//! let mut sum = 0;
//! while let Ok((n, answer)) = requests.receive_response(secs(5)).await {
//!     let square = answer?;
//!     assert_eq!(square, n * n);
//!     sum += square;
//! }
//! assert_eq!(sum, 14);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Return values
//! | | answer | the server ended, or was not there | no answer in time |
//! |---|---|---|---|
//! | [`receive_response`](Request::receive_response)`(limit)` | `Ok(reply)` | `Err(CallError)` | `Err`, a timeout; the request is abandoned |
//! | [`wait_response`](Request::wait_response)`(limit)` | `Some(Ok(reply))` | `Some(Err(CallError))` | `None`; ask again |
//! | [`check_response`](Request::check_response)`()` | `Some(Ok(reply))` | `Some(Err(CallError))` | `None` |
//! | `request.await` | `Ok(reply)` | `Err(CallError)` | waits for as long as it takes |
//!
//! # When not to use
//! To wait for several calls at once, `join!` their futures; to wait with a deadline, a call has one. Requests are for a caller that must not wait,
//! or that does not know how many answers it waits for. A server that should go on while it waits for an answer is better served by a
//! [later reply](crate::Reply::later) from its own callers' point of view, and by a task for the work.
//!
//! # Differences from Erlang
//! * No alias, no monitor, no message: nothing has to be told from other messages, so `check_response` takes no message.
//! * Answers of one collection have one type. An answer that was taken is taken out of the collection; there is no `Delete` flag.
//! * Circles of requests are not found, as those of calls are: who waits for the answer of a server that waits for him, waits.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use super::request_ids::{NoResponse, RequestIds};
use crate::call::error::{CallError, CallErrorKind, Details};
use crate::call::slot::Waiter;
use crate::gen_server::call_future::{CallFuture, Waiting};
use crate::gen_server::refs::{Found, Place};
use crate::gen_server::traits::GenServer;
use crate::node::Node;
use crate::process::cell::ProcRef;
use crate::rt::sim;
use crate::timer::{Alarm, LONGEST};

/// The claim to the answer of a request that was sent; from [`Ref::send_request`](crate::Ref::send_request) or
/// [`Call::send_request`](crate::Call::send_request). See the [module documentation](self).
///
/// As a future it is the answer, however long that takes. Dropping it abandons the request: the server still handles it, and the answer
/// vanishes.
#[must_use = "a request that is dropped is abandoned; no reply needed? use `.cast(..)`"]
pub struct Request<R> {
    state: State<R>,
    about: About,
}

enum State<R> {
    /// It is on its way, or being handled.
    Sent(Waiter<R>, ProcRef),
    /// The outcome was known when it was sent; or it has been taken.
    Known(Option<Result<R, CallErrorKind>>),
}

/// What an error tells.
struct About {
    place: Place,
    server: &'static str,
    request: &'static str,
    location: &'static Location<'static>,
    since: Duration,
    proc: Option<ProcRef>,
}

impl<R: Send + 'static> Request<R> {
    /// A request that was sent to `proc`.
    pub(super) fn sent(waiter: Waiter<R>, proc: ProcRef, made: Made) -> Request<R> {
        let about = made.about(Some(&proc));
        Request { state: State::Sent(waiter, proc), about }
    }

    /// A request whose outcome is known.
    pub(super) fn known(outcome: Result<R, CallErrorKind>, proc: Option<&ProcRef>, made: Made) -> Request<R> {
        Request { state: State::Known(Some(outcome)), about: made.about(proc) }
    }

    /// The answer, if it is there; `None` also when it was taken before. Never waits, and looks at no mailbox.
    ///
    /// ```
    /// # use purlin_core::{Cx, GenServer, HandleCall, InitError};
    /// # struct Stack; struct Pop;
    /// # impl GenServer for Stack { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Stack) } }
    /// # impl HandleCall<Pop> for Stack { type Reply = u8; async fn handle_call(&mut self, _: Pop, _: &mut Cx<Self>) -> u8 { 7 } }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::process;
    /// let stack = Stack::start(()).await?;
    /// let mut request = stack.send_request(Pop);
    /// let answer = loop {
    ///     match request.check_response() {
    ///         Some(answer) => break answer?,
    ///         None => process::yield_now().await,                // or something useful
    ///     }
    /// };
    /// assert_eq!(answer, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn check_response(&mut self) -> Option<Result<R, CallError>> {
        let outcome = match &mut self.state {
            State::Known(outcome) => outcome.take()?,
            State::Sent(waiter, proc) => {
                let outcome = settled(waiter.try_take()?, proc);
                self.state = State::Known(None);
                outcome
            },
        };
        Some(outcome.map_err(|kind| self.about.error(kind)))
    }

    /// Waits for the answer, for `limit` at most: `None` if it has not come by then, and one may wait again. `None` at once when it was taken
    /// before.
    pub async fn wait_response(&mut self, limit: Duration) -> Option<Result<R, CallError>> {
        if matches!(self.state, State::Known(None)) {
            return None;
        }
        let mut alarm = self.about.proc.as_ref().map(|proc| alarm(&proc.node, limit));
        poll_fn(|cx| match (self.poll_response(cx), &mut alarm) {
            (Poll::Ready(outcome), _) => Poll::Ready(Some(outcome)),
            (Poll::Pending, Some(alarm)) => alarm.poll(cx).map(|()| None),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    /// Waits for the answer, for `limit` at most; then the request is abandoned.
    ///
    /// # Errors
    /// Those of a call. A [`Timeout`](CallErrorKind::Timeout) when there is no answer in time, or when it was taken before.
    pub async fn receive_response(mut self, limit: Duration) -> Result<R, CallError> {
        match self.wait_response(limit).await {
            Some(outcome) => outcome,
            None => Err(self.timeout()),
        }
    }

    /// Ready with the outcome, once.
    pub(super) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, CallError>> {
        let outcome = match &mut self.state {
            State::Known(outcome) => match outcome.take() {
                Some(outcome) => outcome,
                None => panic!("a request was polled after its answer was taken"),
            },
            State::Sent(waiter, proc) => {
                let Poll::Ready(answer) = waiter.poll(cx) else { return Poll::Pending };
                let outcome = settled(answer, proc);
                self.state = State::Known(None);
                outcome
            },
        };
        Poll::Ready(outcome.map_err(|kind| self.about.error(kind)))
    }

    /// The error of having waited for too long.
    pub(super) fn timeout(&self) -> CallError {
        self.about.error(CallErrorKind::Timeout)
    }

    /// The node whose clock limits the wait; `None` if nothing was sent.
    pub(super) fn node(&self) -> Option<&Node> {
        self.about.proc.as_ref().map(|proc| &proc.node)
    }
}

/// An alarm after `limit`.
pub(super) fn alarm(node: &Node, limit: Duration) -> Alarm {
    Alarm::at(node.clone(), node.now() + limit.min(LONGEST))
}

/// The outcome of a request whose slot is done.
fn settled<R>(answer: Option<R>, proc: &ProcRef) -> Result<R, CallErrorKind> {
    // What the server sent its caller before is there before the answer.
    sim::answered_by(proc);
    answer.ok_or_else(|| match proc.mailbox.exit_reason() {
        Some(reason) => CallErrorKind::Exit(reason),
        None => CallErrorKind::NoReply,
    })
}

/// Where and as what a request was made.
pub(super) struct Made {
    pub(super) place: Place,
    pub(super) server: &'static str,
    pub(super) request: &'static str,
    pub(super) location: &'static Location<'static>,
}

impl Made {
    fn about(self, proc: Option<&ProcRef>) -> About {
        let Made { place, server, request, location } = self;
        let since = proc.map_or(Duration::ZERO, |proc| proc.node.now());
        About { place, server, request, location, since, proc: proc.cloned() }
    }
}

impl About {
    #[cold]
    fn error(&self, kind: CallErrorKind) -> CallError {
        let proc = self.proc.as_ref();
        CallError(Box::new(Details {
            kind,
            pid: proc.map(|proc| proc.pid()),
            name: self.place.name(),
            server: self.server,
            request: self.request,
            location: self.location,
            elapsed: proc.map_or(Duration::ZERO, |proc| proc.node.now().saturating_sub(self.since)),
            queue: proc.map(|proc| proc.mailbox.lock().queue.len()),
        }))
    }
}

impl<R: Send + 'static> Future for Request<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_response(cx)
    }
}

// Nothing in it is pinned.
impl<R> Unpin for Request<R> {}

impl<R> fmt::Debug for Request<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Sent(_, proc) => format!("sent to {}", proc.pid()),
            State::Known(Some(_)) => "answered".to_owned(),
            State::Known(None) => "taken".to_owned(),
        };
        write!(f, "Request({state}, at {}:{})", self.about.location.file(), self.about.location.line())
    }
}

impl<S: GenServer, M, R: Send + 'static> CallFuture<'_, S, M, R> {
    /// Sends it now, as a message, and does not wait: the answer is asked for later. Limits set before do not count. See
    /// [`request`](crate::gen_server::request).
    ///
    /// # Panics
    /// If it has been polled: a call that is under way cannot be sent again.
    pub fn send_request(mut self) -> Request<R> {
        assert!(
            self.message.is_some() && self.waiting.is_none(),
            "a call that was polled cannot become a request"
        );
        let made = Made {
            place: self.target.place.clone(),
            server: std::any::type_name::<S>(),
            request: std::any::type_name::<M>(),
            location: self.location,
        };
        let proc = match self.target.find() {
            Found::Here(proc) => proc.clone(),
            Found::Named(proc) => proc,
            Found::Nobody => return Request::known(Err(CallErrorKind::NoProc), None, made),
            Found::NoNode => return Request::known(Err(CallErrorKind::NoNode), None, made),
            Found::WrongType => return Request::known(Err(CallErrorKind::WrongType), None, made),
        };
        if !proc.word.is_alive() {
            return Request::known(Err(CallErrorKind::NoProc), Some(&proc), made);
        }
        sim::asks(&proc, std::any::type_name::<M>);
        // As a call that has found its server and has to go through the mailbox: nothing is tried in place, and nobody is waited for.
        self.limit = u64::MAX;
        let since = proc.node.now();
        self.waiting = Some(Box::new(Waiting {
            waiter: None,
            proc: proc.clone(),
            _waits: None,
            alarm: None,
            since,
            to_send: true,
        }));
        let polled = (self.start)(&mut self, &mut Context::from_waker(Waker::noop()));
        match (polled, self.waiting.take().and_then(|waiting| waiting.waiter)) {
            (Poll::Ready(outcome), _) => {
                Request::known(outcome.map_err(|error| error.0.kind), Some(&proc), made)
            },
            (Poll::Pending, Some(waiter)) => Request::sent(waiter, proc, made),
            // A mailbox whose policy is to let callers wait for room.
            (Poll::Pending, None) => Request::known(Err(CallErrorKind::MailboxFull), Some(&proc), made),
        }
    }
}
