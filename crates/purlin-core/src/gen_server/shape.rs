//! What a handler may return: a reply, a reply or a crash, a reply now or later.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::call::slot::{self, Debt, Replier, Waiter};
use crate::node::current;
use crate::process::exit_reason::{ExitReason, Term};
use crate::sync::Mutex;

/// The server ends: what an error becomes when a handler passes it on with `?`.
///
/// `Crash` is not itself an error type, which is what lets every error convert into it.
///
/// ```
/// use purlin_core::Crash;
/// fn parse(text: &str) -> Result<i64, Crash> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("x").is_err());
/// ```
#[derive(Debug)]
pub struct Crash(ExitReason);

impl Crash {
    /// Ends the server with this reason.
    pub fn new(reason: ExitReason) -> Crash {
        Crash(reason)
    }

    /// Ends the server with [`ExitReason::Error`] and this text.
    ///
    /// ```
    /// use purlin_core::Crash;
    /// assert_eq!(Crash::msg("no disk").reason().to_string(), "no disk");
    /// ```
    pub fn msg(text: impl Into<String>) -> Crash {
        Crash(ExitReason::error(text))
    }

    /// The reason.
    pub fn reason(&self) -> &ExitReason {
        &self.0
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Crash {
    fn from(error: E) -> Self {
        Crash(ExitReason::Error(Term::from_error(error)))
    }
}

/// Why `init` made no state.
#[derive(Debug)]
pub enum InitError {
    /// Not now, and that is fine: the starter gets `Ignore`, the process ends normally, a supervisor keeps the child as not running.
    Ignore,
    /// The start fails with this reason, and the process ends with it.
    Stop(ExitReason),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for InitError {
    fn from(error: E) -> Self {
        InitError::Stop(ExitReason::Error(Term::from_error(error)))
    }
}

impl From<Crash> for InitError {
    fn from(crash: Crash) -> Self {
        InitError::Stop(crash.0)
    }
}

/// What a handler's result means for the server.
#[doc(hidden)]
pub enum Flow<R> {
    Reply(R),
    Later(Later<R>),
    Crash(ExitReason),
}

/// A form of handler result. There are three: [`Plain`], [`OrCrash`], [`OrLater`].
pub trait Shape: Send + 'static {
    /// What the handler returns when its reply is an `R`.
    type Out<R>;
    #[doc(hidden)]
    fn flow<R>(out: Self::Out<R>) -> Flow<R>;
}

/// The handler returns the reply.
pub enum Plain {}

impl Shape for Plain {
    type Out<R> = R;
    #[inline]
    fn flow<R>(out: R) -> Flow<R> {
        Flow::Reply(out)
    }
}

/// The handler returns the reply, or a [`Crash`] that ends the server.
pub enum OrCrash {}

impl Shape for OrCrash {
    type Out<R> = Result<R, Crash>;
    #[inline]
    fn flow<R>(out: Result<R, Crash>) -> Flow<R> {
        match out {
            Ok(reply) => Flow::Reply(reply),
            Err(crash) => Flow::Crash(crash.0),
        }
    }
}

/// The handler returns a [`Reply`], now or later, or a [`Crash`].
pub enum OrLater {}

impl Shape for OrLater {
    type Out<R> = Result<Reply<R>, Crash>;
    fn flow<R>(out: Result<Reply<R>, Crash>) -> Flow<R> {
        match out {
            Ok(Reply(Form::Now(reply))) => Flow::Reply(reply),
            Ok(Reply(Form::Later(later))) => Flow::Later(later),
            Err(crash) => Flow::Crash(crash.0),
        }
    }
}

/// The answer to a call: there already, or promised.
///
/// ```
/// use purlin_core::{Crash, Cx, GenServer, HandleCall, InitError, OrLater, Reply, ReplyTo};
///
/// struct Queue {
///     waiting: Vec<ReplyTo<u32>>,
/// }
/// # impl GenServer for Queue { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Queue { waiting: vec![] }) } }
///
/// struct Wait;
/// impl HandleCall<Wait, OrLater> for Queue {
///     type Reply = u32;
///     async fn handle_call(&mut self, _: Wait, _: &mut Cx<Self>) -> Result<Reply<u32>, Crash> {
///         let (to, later) = Reply::later();
///         self.waiting.retain(|caller| !caller.is_abandoned());
///         self.waiting.push(to);              // some other handler, or another process, calls `to.reply(7)`
///         Ok(later)
///     }
/// }
/// ```
pub struct Reply<R>(Form<R>);

enum Form<R> {
    Now(R),
    Later(Later<R>),
}

impl<R> Reply<R> {
    /// The answer.
    pub fn now(reply: R) -> Reply<R> {
        Reply(Form::Now(reply))
    }

    /// A handle to answer with, and the promise to return from the handler. Each answers the call that the handler is handling.
    pub fn later() -> (ReplyTo<R>, Reply<R>) {
        let meeting = Arc::new(Mutex::new(Meeting::Open));
        (
            ReplyTo(Some(Handle::Meeting(meeting.clone()))),
            Reply(Form::Later(Later(Promise::Meeting(meeting)))),
        )
    }
}

/// A handle to answer with, and what it answers to, before the handler runs that will have the handle.
///
/// In place, where most are answered before the handler returns, a slot of the thread's pool will do: answering costs one atomic operation, and no memory. If it
/// is not answered by then, the caller waits for that slot.
#[inline]
pub(crate) fn promise<R: Send>() -> (ReplyTo<R>, Later<R>) {
    if current::tls(|t| t.depth.get()) > 0 {
        let (waiter, replier) = slot::deferred_pair();
        return (ReplyTo(Some(Handle::Slot(replier))), Later(Promise::Slot(waiter)));
    }
    let meeting = Arc::new(Mutex::new(Meeting::Open));
    (ReplyTo(Some(Handle::Meeting(meeting.clone()))), Later(Promise::Meeting(meeting)))
}

impl<R> From<R> for Reply<R> {
    fn from(reply: R) -> Self {
        Reply::now(reply)
    }
}

/// Where the handle and the caller's slot find each other, whichever comes first.
enum Meeting<R> {
    Open,
    Answered(R),
    /// With what becomes of it unanswered.
    Waiting(Replier<R>, fn(Replier<R>)),
    Closed,
}

#[doc(hidden)]
pub struct Later<R>(Promise<R>);

/// What a handle answers to.
enum Promise<R> {
    Meeting(Arc<Mutex<Meeting<R>>>),
    Slot(Waiter<R>),
}

impl<R: Send + 'static> Later<R> {
    /// The handler has returned the promise: the caller's slot is known now.
    pub(crate) fn meet(self, replier: Replier<R>) {
        let meeting = match self.0 {
            Promise::Meeting(meeting) => meeting,
            Promise::Slot(waiter) => return forward(waiter, replier),
        };
        let mut meeting = meeting.lock();
        match std::mem::replace(&mut *meeting, Meeting::Closed) {
            Meeting::Open => {
                replier.mark_deferred();
                *meeting = Meeting::Waiting(replier, fail);
            },
            Meeting::Answered(reply) => {
                drop(meeting);
                crate::gen_server::message::give(replier, reply);
            },
            // The handle was dropped unanswered: so is the call.
            Meeting::Closed | Meeting::Waiting(..) => {
                drop(meeting);
                drop(replier);
            },
        }
    }

    /// What the caller waits for, if that is known already.
    pub(crate) fn into_waiter(self) -> Result<Waiter<R>, Later<R>> {
        match self.0 {
            Promise::Slot(waiter) => Ok(waiter),
            meeting => Err(Later(meeting)),
        }
    }

    /// The answer, if it is there already.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<R> {
        let meeting = match &mut self.0 {
            Promise::Slot(waiter) => return waiter.try_take().flatten(),
            Promise::Meeting(meeting) => meeting,
        };
        let mut meeting = meeting.lock();
        if !matches!(&*meeting, Meeting::Answered(_)) {
            return None;
        }
        match std::mem::replace(&mut *meeting, Meeting::Closed) {
            Meeting::Answered(reply) => Some(reply),
            _ => unreachable!("looked at just above"),
        }
    }

    /// What it means for the caller that the server stops: a call whose handle is gone ends with the server.
    pub(crate) fn at_stop(mut self, reason: &ExitReason) -> Flow<R> {
        if let Some(reply) = self.take() {
            return Flow::Reply(reply);
        }
        let gone = match &mut self.0 {
            Promise::Slot(waiter) => waiter.try_take().is_some(),
            Promise::Meeting(meeting) => matches!(&*meeting.lock(), Meeting::Closed),
        };
        if gone { Flow::Crash(reason.clone()) } else { Flow::Later(self) }
    }
}

/// Passes on to the caller's slot what comes into another one: the call was begun in place, but its handler had to wait, and did not answer.
fn forward<R: Send + 'static>(mut waiter: Waiter<R>, replier: Replier<R>) {
    let forward = Arc::new(Forward(Mutex::new(None)));
    let waker = Waker::from(forward.clone());
    let mut place = forward.0.lock();
    let polled = waiter.poll(&mut Context::from_waker(&waker));
    match polled {
        Poll::Pending => {
            replier.mark_deferred();
            *place = Some((waiter, replier));
        },
        Poll::Ready(outcome) => {
            drop(place);
            match outcome {
                Some(reply) => crate::gen_server::message::give(replier, reply),
                None => drop(replier),
            }
        },
    }
}

/// A waker that passes a reply on.
struct Forward<R>(Mutex<Option<(Waiter<R>, Replier<R>)>>);

impl<R: Send + 'static> Wake for Forward<R> {
    fn wake(self: Arc<Self>) {
        let Some((mut waiter, replier)) = self.0.lock().take() else { return };
        match waiter.try_take().flatten() {
            Some(reply) => crate::gen_server::message::give(replier, reply),
            None => fail(replier),
        }
    }
}

/// Answers one call, from anywhere, at any time. Dropping it unanswered fails the call at once with `NoReply`.
///
/// # Differences from Erlang
/// A handle that was moved to another process survives the death of the server that made it.
#[must_use = "dropping the handle fails the call"]
pub struct ReplyTo<R>(Option<Handle<R>>);

enum Handle<R> {
    Meeting(Arc<Mutex<Meeting<R>>>),
    Slot(Replier<R>),
}

impl<R> ReplyTo<R> {
    /// Answers. If the caller has given up, the answer vanishes.
    #[inline]
    pub fn reply(mut self, reply: R)
    where
        R: Send,
    {
        match self.0.take() {
            Some(Handle::Slot(replier)) => {
                crate::rt::sim::arrive_all_of_current();
                crate::gen_server::message::give(replier, reply);
            },
            Some(Handle::Meeting(meeting)) => answer(&meeting, reply),
            None => {},
        }
    }

    /// Has the caller given up? `false` also where that is not known: of a call of a state machine whose handler waited before it kept the handle.
    pub fn is_abandoned(&self) -> bool
    where
        R: Send,
    {
        match &self.0 {
            Some(Handle::Slot(replier)) => replier.is_abandoned(),
            Some(Handle::Meeting(meeting)) => {
                matches!(&*meeting.lock(), Meeting::Waiting(replier, _) if replier.is_abandoned())
            },
            None => true,
        }
    }
}

fn answer<R: Send>(meeting: &Mutex<Meeting<R>>, reply: R) {
    let mut meeting = meeting.lock();
    match std::mem::replace(&mut *meeting, Meeting::Closed) {
        Meeting::Open => *meeting = Meeting::Answered(reply),
        Meeting::Waiting(replier, _) => {
            drop(meeting);
            crate::rt::sim::arrive_all_of_current();
            crate::gen_server::message::give(replier, reply);
        },
        Meeting::Answered(_) | Meeting::Closed => {},
    }
}

impl<R> Drop for ReplyTo<R> {
    #[inline]
    fn drop(&mut self) {
        match self.0.take() {
            None => {},
            Some(Handle::Slot(replier)) => fail_debt(replier.into_debt()),
            Some(Handle::Meeting(meeting)) => {
                let before = std::mem::replace(&mut *meeting.lock(), Meeting::Closed);
                if let Meeting::Waiting(replier, fail) = before {
                    fail(replier);
                }
            },
        }
    }
}

/// Something to do when the process has ended.
pub(crate) type AtEnd = Box<dyn FnOnce() + Send>;

thread_local! {
    /// While a server's handler and state are dropped: the calls that it had not answered.
    static UNANSWERED: RefCell<Option<Vec<AtEnd>>> = const { RefCell::new(None) };
}

fn fail<R>(replier: Replier<R>) {
    fail_debt(replier.into_debt());
}

/// Fails a call, unless that is up to [`keep_unanswered`].
#[cold]
fn fail_debt(debt: Debt) {
    let mut debt = Some(debt);
    // A thread that comes to its end has no such list any more. What is not kept is dropped outside the borrow: that wakes the caller.
    let _ = UNANSWERED.try_with(|kept| {
        if let Some(kept) = kept.borrow_mut().as_mut()
            && let Some(debt) = debt.take()
        {
            kept.push(Box::new(move || drop(debt)));
        }
    });
    drop(debt);
}

/// Drops a server's handler and state, by `f`. The callers of calls that it had not answered would hear of the end at once, while names,
/// keys and the rest of the state are still there; so these calls are returned, to be failed when all is gone.
pub(crate) fn keep_unanswered(f: impl FnOnce()) -> Vec<AtEnd> {
    let before = UNANSWERED.replace(Some(Vec::new()));
    f();
    UNANSWERED.replace(before).unwrap_or_default()
}

impl<R> std::fmt::Debug for ReplyTo<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyTo")
    }
}
