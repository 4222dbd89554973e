//! Free-form processes: a future with a mailbox.
//!
//! For the few places where a GenServer's shape does not fit: protocols with phases, selective receive, glue around a stream.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{Mailbox, process};
//!
//! enum Msg { Add(u64), Stop }
//!
//! let adder = process::spawn(async move |mut mailbox: Mailbox<Msg>| {
//!     let mut sum = 0;
//!     loop {
//!         match mailbox.receive().await {
//!             Msg::Add(n) => sum += n,
//!             Msg::Stop => return assert_eq!(sum, 3),
//!         }
//!     }
//! });
//! adder.send(Msg::Add(1));
//! adder.send(Msg::Add(2));
//! adder.send(Msg::Stop);
//! assert!(adder.wait().await.is_normal());
//! # }).await;
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Messages
//! `Mailbox<M>` is typed: only `M`, or something that converts into it with `From`, can be sent through its [`Address`]. Monitors and
//! trapped exits need `M: From<Down>` and `M: From<Exit>`. A `Mailbox<AnyMsg>` takes anything; pick by type with
//! [`receive_as`](Mailbox::receive_as). A message of another type that arrives by the untyped [`send`](crate::process::send) is logged
//! and counted.
//!
//! # Waiting
//! Every `receive` form may be dropped without losing a message (in `select!`, under a timeout). A process that always finds mail gives
//! way to others after 128 messages or a slice of 200 µs.
//!
//! # Differences from Erlang
//! An exit signal takes effect at the next await. The mailbox belongs to its process: using it from a task spawned elsewhere panics.

use std::any::{Any, TypeId};
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::RegisterError;
use crate::mailbox::envelope::{Envelope, Kind};
use crate::node::{Node, current};
use crate::process::body;
use crate::process::cell::{Proc, ProcRef, Rejected, SIMULATED, SUSPENDED, TRAP};
use crate::process::pid::Pid;
use crate::process::relations::{Exit, MonitorTarget};
use crate::process::run::IN_A_ROW;
use crate::process::spawn::{Options, Spawned};
use crate::process::watch::FromDown;
use crate::process::word::{EXITING, SIGNAL};
use crate::process::{report, signal};
use crate::rt::sim;
use crate::timer::Alarm;

/// A message of any type, for untyped mailboxes.
///
/// ```
/// use purlin_core::AnyMsg;
/// let message = AnyMsg::new(7u32);
/// assert!(message.is::<u32>() && message.type_name() == "u32");
/// let message = message.downcast::<u64>().unwrap_err();
/// assert_eq!(message.downcast::<u32>().unwrap(), 7);
/// ```
pub struct AnyMsg(pub(crate) Envelope);

impl AnyMsg {
    /// Packs a message.
    pub fn new<T: Send + 'static>(message: T) -> AnyMsg {
        AnyMsg(Envelope::plain(message))
    }

    /// The message, if it is a `T`; else itself back.
    pub fn downcast<T: 'static>(self) -> Result<T, AnyMsg> {
        self.0.downcast().map_err(AnyMsg)
    }

    /// Is the message a `T`?
    pub fn is<T: 'static>(&self) -> bool {
        self.0.is::<T>()
    }

    /// The name of the message's type.
    pub fn type_name(&self) -> &'static str {
        self.0.type_name()
    }
}

impl std::fmt::Debug for AnyMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnyMsg({})", self.type_name())
    }
}

/// A mailbox type that takes a `T`: `T` itself, whatever converts into the mailbox's type, and anything for [`AnyMsg`].
///
/// `K` tells the two ways apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "a mailbox of `{Self}` does not take `{T}`",
    label = "not a message of this process",
    note = "add `impl From<{T}> for {Self}`, or make it a `Mailbox<AnyMsg>`"
)]
pub trait Accepts<T, K>: Send + 'static {
    #[doc(hidden)]
    fn __pack(message: T) -> AnyMsg;
}

#[doc(hidden)]
pub struct ViaFrom;
#[doc(hidden)]
pub struct ViaAny;

#[diagnostic::do_not_recommend]
impl<M: From<T> + Send + 'static, T> Accepts<T, ViaFrom> for M {
    fn __pack(message: T) -> AnyMsg {
        AnyMsg(Envelope::plain(M::from(message)))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> Accepts<T, ViaAny> for AnyMsg {
    fn __pack(message: T) -> AnyMsg {
        AnyMsg(Envelope::plain(message))
    }
}

/// Where to send messages to a raw process with a `Mailbox<M>`. Cheap to clone; keeps nothing alive.
pub struct Address<M> {
    proc: ProcRef,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Address { proc: self.proc.clone(), messages: PhantomData }
    }
}

impl<M> std::fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.proc.pid())
    }
}

/// Two addresses are equal when they mean the same process.
impl<M> PartialEq for Address<M> {
    fn eq(&self, other: &Self) -> bool {
        self.proc.pid() == other.proc.pid()
    }
}

impl<M> Eq for Address<M> {}

impl<M> std::hash::Hash for Address<M> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.proc.pid().hash(state);
    }
}

impl<M: 'static> From<&Address<M>> for MonitorTarget {
    fn from(address: &Address<M>) -> Self {
        MonitorTarget::Pid(address.pid())
    }
}

impl<M: 'static> Address<M> {
    pub(crate) fn new(proc: ProcRef) -> Address<M> {
        Address { proc, messages: PhantomData }
    }

    pub(crate) fn proc(&self) -> &Proc {
        &self.proc
    }

    /// The process's pid.
    pub fn pid(&self) -> Pid {
        self.proc.pid()
    }

    /// `false` from the moment the process must end.
    pub fn is_alive(&self) -> bool {
        self.proc.word.is_alive()
    }

    /// Sends a message. Never waits and never fails: to a dead process it is lost, as in OTP.
    pub fn send<T, K>(&self, message: T)
    where
        M: Accepts<T, K>,
    {
        self.proc.node.0.deliver_to(&self.proc, M::__pack(message).0);
    }

    /// Sends a message, and gives it back when the process has ended or its mailbox is full.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let p = process::spawn(async |_: Mailbox<u8>| {});
    /// p.wait().await;
    /// assert_eq!(p.try_send(7), Err(7));
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// The message, as the mailbox would have received it.
    pub fn try_send(&self, message: M) -> Result<(), M>
    where
        M: Send,
    {
        match self.proc.push(repack(message)) {
            Ok(()) => Ok(()),
            Err(Rejected::Closed(envelope) | Rejected::Full(envelope)) => {
                Err(extract::<M>(envelope).ok().expect("packed as an M just above"))
            },
            Err(evicted @ Rejected::Evicted(_)) => {
                report::rejected(&self.proc, evicted);
                Ok(())
            },
        }
    }
}

/// The message in an envelope as the mailbox's type.
fn extract<M: 'static>(envelope: Envelope) -> Result<M, Envelope> {
    if TypeId::of::<M>() == TypeId::of::<AnyMsg>() && !envelope.is::<AnyMsg>() {
        let mut slot = Some(AnyMsg(envelope));
        let slot: &mut dyn Any = &mut slot;
        if let Some(message) = slot.downcast_mut::<Option<M>>().and_then(Option::take) {
            return Ok(message);
        }
        unreachable!("the types were compared");
    }
    envelope.downcast::<M>().or_else(|envelope| envelope.downcast::<FromDown<M>>().map(|down| down.message))
}

/// The receiving end of a raw process. It works only inside that process.
pub struct Mailbox<M> {
    pub(crate) proc: ProcRef,
    /// Messages taken since the process last gave way.
    taken: u32,
    messages: PhantomData<fn() -> M>,
}

impl<M: Send + 'static> Mailbox<M> {
    pub(crate) fn new(proc: ProcRef) -> Mailbox<M> {
        Mailbox { proc, taken: 0, messages: PhantomData }
    }

    /// This process's pid.
    pub fn pid(&self) -> Pid {
        self.proc.pid()
    }

    /// Where others send to.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<&str>| {
    ///     let me = mailbox.address();
    ///     process::spawn(async move |_: Mailbox<()>| me.send("done"));
    ///     assert_eq!(mailbox.receive().await, "done");
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn address(&self) -> Address<M> {
        Address::new(self.proc.clone())
    }

    /// Panics outside the process.
    #[track_caller]
    pub(crate) fn check(&self) {
        let mine = current::with_current(|p| std::ptr::eq(p, &*self.proc)).unwrap_or(false);
        assert!(mine, "the mailbox of {} was used outside its process", self.proc.pid());
    }

    /// Looks for a message that `pick` takes, the oldest first; what it gives back stays where it was.
    fn look<R>(&mut self, pick: &mut impl FnMut(Envelope) -> Result<R, Envelope>) -> Option<R> {
        self.check();
        let mut seen = 0;
        loop {
            if self.proc.word.load() & EXITING != 0 {
                // What is there now came behind the exit signal.
                return None;
            }
            // The queue is borrowed for one step at a time: `pick` is user code, which may send, and may even look here again.
            let candidate = self.proc.runner.with_mut(|r| {
                // SAFETY: `check` proved that we run inside the process, so its activation, which holds RUN, is on our stack.
                let inner = unsafe { &mut (*r).inner };
                if seen >= inner.len()
                    && let Some(reason) = signal::take(&self.proc, inner)
                {
                    // Decided, not done: the activation sees EXITING when the poll comes back.
                    let _ = self.proc.mailbox.decide(reason, false, &self.proc.word);
                    return None;
                }
                if self.proc.has(SUSPENDED) {
                    while inner.get(seen).is_some_and(|e| e.kind() != Kind::System) {
                        seen += 1;
                    }
                }
                inner.remove(seen)
            })?;
            if candidate.kind() == Kind::System {
                let suspended = self.proc.has(SUSPENDED);
                crate::sys::request::serve_raw(&self.proc, candidate);
                if suspended {
                    // What was passed over may be looked at now.
                    seen = 0;
                }
                continue;
            }
            let table = candidate.table();
            match pick(candidate) {
                Ok(found) => {
                    sim::handles(&self.proc, table);
                    self.count();
                    return Some(found);
                },
                Err(back) => self.proc.runner.with_mut(|r| {
                    // SAFETY: as above.
                    unsafe { (*r).inner.insert(seen, back) };
                    seen += 1;
                }),
            }
        }
    }

    fn count(&mut self) {
        self.taken += 1;
        let handled = &self.proc.handled;
        handled.store(
            handled.load(std::sync::atomic::Ordering::Relaxed).wrapping_add(1),
            std::sync::atomic::Ordering::Relaxed,
        );
        self.proc.message_handled();
    }

    /// Is it time to give way?
    fn spent(&mut self) -> bool {
        if self.proc.has(SIMULATED) && sim::gives_way(&self.proc) {
            return true;
        }
        if self.taken < IN_A_ROW {
            return false;
        }
        self.taken = 0;
        true
    }

    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        pick: &mut impl FnMut(Envelope) -> Result<R, Envelope>,
    ) -> Poll<R> {
        if self.spent() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_now(cx, pick)
    }

    /// [`poll`](Self::poll) for one that need not give way.
    fn poll_now<R>(
        &mut self,
        cx: &mut Context<'_>,
        pick: &mut impl FnMut(Envelope) -> Result<R, Envelope>,
    ) -> Poll<R> {
        if self.proc.word.load() & EXITING != 0 {
            return Poll::Pending;
        }
        match self.look(pick) {
            Some(found) => Poll::Ready(found),
            None => {
                self.proc.runner.with_mut(|r| {
                    // SAFETY: `look` checked that we run inside the process.
                    let slot = unsafe { &mut (*r).receiver };
                    // The process is woken by every message. A receive polled under another waker (in a join, a set of futures) asks to
                    // be woken through that one too.
                    if !slot.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                        *slot = Some(cx.waker().clone());
                    }
                });
                Poll::Pending
            },
        }
    }

    fn typed(&self) -> impl FnMut(Envelope) -> Result<M, Envelope> + use<M> {
        |envelope| extract::<M>(envelope)
    }

    /// Must the process end? For a body that does long work between two awaits: `true` from the moment it was killed, or has got an exit signal
    /// that ends it. What it does then nobody waits for, except to hear that it has ended.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{ExitReason, Mailbox, process};
    /// let p = process::spawn_blocking(async |mut mailbox: Mailbox<()>| {
    ///     while !mailbox.should_exit() {
    ///         std::thread::yield_now();                                  // something that takes long
    ///     }
    /// });
    /// process::exit(p.pid(), ExitReason::Shutdown);
    /// assert_eq!(p.wait().await, ExitReason::Shutdown);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// Outside the process, as every method here.
    pub fn should_exit(&mut self) -> bool {
        self.check();
        if self.proc.word.load() & SIGNAL != 0 {
            // Signals are applied when the mailbox is looked at; the messages stay where they are.
            let _: Option<()> = self.look(&mut |envelope| Err(envelope));
        }
        self.proc.word.load() & EXITING != 0
    }

    /// The next message. A message of a type that the mailbox does not take is logged, counted and dropped.
    pub async fn receive(&mut self) -> M {
        poll_fn(|cx| {
            let proc = self.proc.clone();
            let mut pick = |envelope| match extract::<M>(envelope) {
                Ok(message) => Ok(Some(message)),
                Err(other) => {
                    report::unhandled(&proc, other.type_name());
                    Ok(None)
                },
            };
            loop {
                match self.poll(cx, &mut pick) {
                    Poll::Ready(Some(message)) => return Poll::Ready(message),
                    Poll::Ready(None) => {},
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// The next message, or `None` if there is none within `limit` (`after` in Erlang). A limit of 0 looks through the whole mailbox
    /// first.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, millis, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     assert_eq!(mailbox.receive_timeout(millis(1)).await, None);
    ///     mailbox.address().send(7);
    ///     assert_eq!(mailbox.receive_timeout(millis(0)).await, Some(7));
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn receive_timeout(&mut self, limit: Duration) -> Option<M> {
        let mut pick = self.typed();
        self.select(limit, &mut pick).await
    }

    /// Selective receive: the first message that `pick` takes. What it gives back, as `Err`, stays in the mailbox in its place.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, millis, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     for number in [1, 12, 2] {
    ///         mailbox.address().send(number);
    ///     }
    ///     let large = |number: u8| if number > 10 { Ok(number) } else { Err(number) };
    ///     assert_eq!(mailbox.receive_map(large).await, 12);
    ///     assert_eq!(mailbox.receive_map_timeout(millis(1), large).await, None);
    ///     assert_eq!((mailbox.receive().await, mailbox.receive().await), (1, 2));
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn receive_map<R>(&mut self, mut pick: impl FnMut(M) -> Result<R, M>) -> R
    where
        M: Send,
    {
        let mut pick = selecting(&mut pick);
        poll_fn(|cx| self.poll(cx, &mut pick)).await
    }

    /// [`receive_map`](Self::receive_map) with a time limit.
    pub async fn receive_map_timeout<R>(
        &mut self,
        limit: Duration,
        mut pick: impl FnMut(M) -> Result<R, M>,
    ) -> Option<R>
    where
        M: Send,
    {
        let mut pick = selecting(&mut pick);
        self.select(limit, &mut pick).await
    }

    async fn select<R>(
        &mut self,
        limit: Duration,
        pick: &mut impl FnMut(Envelope) -> Result<R, Envelope>,
    ) -> Option<R> {
        let node = self.proc.node.clone();
        let at = node.rt().now() + limit.min(crate::timer::LONGEST);
        // A look without waiting sets no timer.
        let mut alarm = (!limit.is_zero()).then(|| Alarm::at(node, at));
        poll_fn(|cx| {
            // Giving way is no answer, and neither is coming to an end: only a mailbox that was looked through may time out.
            if self.spent() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_now(cx, pick) {
                Poll::Ready(found) => Poll::Ready(Some(found)),
                Poll::Pending if self.proc.word.load() & EXITING != 0 => Poll::Pending,
                // A loop that looks now and then must give way too.
                Poll::Pending => alarm.as_mut().map_or(Poll::Ready(()), |alarm| alarm.poll(cx)).map(|()| {
                    self.taken += 1;
                    None
                }),
            }
        })
        .await
    }

    /// The next message if there is one now.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     assert_eq!(mailbox.try_receive(), None);
    ///     mailbox.address().send(7);
    ///     assert_eq!(mailbox.len(), 1);
    ///     assert_eq!(mailbox.try_receive(), Some(7));
    ///     assert!(mailbox.is_empty());
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn try_receive(&mut self) -> Option<M> {
        let mut pick = self.typed();
        self.look(&mut pick)
    }

    /// [`receive_map`](Self::receive_map) without waiting: the first of the messages that are here now that `pick` takes.
    ///
    /// A `pick` that takes none sees them all, in order, and leaves the mailbox as it was.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     for number in [1, 12, 2] {
    ///         mailbox.address().send(number);
    ///     }
    ///     let mut sum = 0;
    ///     mailbox.try_receive_map(|number| -> Result<(), u8> { sum += number; Err(number) });
    ///     assert_eq!((sum, mailbox.len()), (15, 3));
    ///     let large = |number: u8| if number > 10 { Ok(number) } else { Err(number) };
    ///     assert_eq!(mailbox.try_receive_map(large), Some(12));
    ///     assert_eq!(mailbox.try_receive_map(large), None);
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn try_receive_map<R>(&mut self, mut pick: impl FnMut(M) -> Result<R, M>) -> Option<R>
    where
        M: Send,
    {
        self.look(&mut selecting(&mut pick))
    }

    /// The first message of type `T` in an untyped mailbox; the others stay.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{AnyMsg, Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
    ///     mailbox.address().send("text");
    ///     mailbox.address().send(7u8);
    ///     assert_eq!(mailbox.receive_as::<u8>().await, 7);
    ///     assert_eq!(mailbox.receive_as::<&str>().await, "text");
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn receive_as<T: Send + 'static>(&mut self) -> T
    where
        M: Accepts<T, ViaAny>,
    {
        poll_fn(|cx| self.poll(cx, &mut |envelope: Envelope| envelope.downcast::<T>())).await
    }

    /// How many messages wait, looked at or not.
    pub fn len(&self) -> usize {
        self.check();
        // SAFETY: as in `look`.
        self.proc.runner.with(|r| unsafe { (*r).inner.len() }) + self.proc.mailbox.lock().queue.len()
    }

    /// Is the mailbox empty?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns exit signals (but not a kill) into messages, or back; returns the setting before. [`Exit`] must convert into `M`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Exit, Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<Exit>| {
    ///     mailbox.trap_exits(true);
    ///     let child = process::spawn_link(async |_: Mailbox<()>| {});
    ///     let Exit { from, reason } = mailbox.receive().await;
    ///     assert!(from == child.pid() && reason.is_normal());
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn trap_exits<K>(&mut self, on: bool) -> bool
    where
        M: Accepts<Exit, K>,
    {
        self.check();
        self.proc.extra.lock().get_or_insert_default().on_exit = Some(|exit| M::__pack(exit).0);
        self.proc.set_flag(TRAP, on)
    }

    /// Frees the mailbox's spare memory, then waits until there is a message (without taking it). Worth it before a long idle time.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     mailbox.hibernate().await;
    ///     assert_eq!(mailbox.receive().await, 7);
    /// });
    /// p.send(7);
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn hibernate(&mut self) {
        poll_fn(|cx| {
            if !self.is_empty() || self.proc.word.load() & EXITING != 0 {
                return Poll::Ready(());
            }
            self.proc.mailbox.shrink();
            self.proc.runner.with_mut(|r| {
                // SAFETY: `is_empty` checked that we run inside the process.
                let runner = unsafe { &mut *r };
                runner.inner = std::collections::VecDeque::new();
                runner.receiver = Some(cx.waker().clone());
            });
            Poll::Pending
        })
        .await;
    }
}

/// Selection works on the mailbox's type; messages of other types stay.
fn selecting<M: Send + 'static, R>(
    pick: &mut impl FnMut(M) -> Result<R, M>,
) -> impl FnMut(Envelope) -> Result<R, Envelope> {
    |envelope| {
        let down = envelope.downcast_ref::<FromDown<M>>().map(|down| down.monitor);
        pick(extract::<M>(envelope)?).map_err(|message| match down {
            Some(monitor) => Envelope::plain(FromDown { monitor, message }),
            None => repack(message),
        })
    }
}

/// Puts a message into an envelope: an [`AnyMsg`] is one already.
pub(crate) fn repack<M: Send + 'static>(message: M) -> Envelope {
    let mut slot = Some(message);
    if let Some(any) = (&mut slot as &mut dyn Any).downcast_mut::<Option<AnyMsg>>().and_then(Option::take) {
        return any.0;
    }
    Envelope::plain(slot.expect("not taken above"))
}

/// Spawns a process whose future is made by `make` from its mailbox.
pub(crate) fn spawn<M, F>(
    node: &Node,
    options: Options,
    make: impl FnOnce(Mailbox<M>) -> F,
) -> Result<Spawned, RegisterError>
where
    M: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    body::spawn(node, options, (), |proc| make(Mailbox::new(proc.clone())))
}
