//! Timers of module `process`: messages that come later, to any process.
//!
//! A server sends to itself by [`Cx::send_after`](crate::Cx::send_after), which checks at compile time that there is a handler. The functions
//! here work for every process and from everywhere; what they send is untyped, like [`send`](crate::process::send).

use std::sync::Arc;
use std::time::Duration;

use crate::mailbox::envelope::Envelope;
use crate::node::Node;
use crate::process::cell::TIMERS;
use crate::process::pid::Pid;
use crate::process::raw::{Accepts, Address, repack};
use crate::timer::{Action, LONGEST, TimerRef};

/// Who gets a timer's message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimerTarget {
    /// One incarnation; the timer goes when it ends.
    Pid(Pid),
    /// Whoever has this local name when the timer fires.
    Name(Arc<str>),
}

impl From<Pid> for TimerTarget {
    fn from(pid: Pid) -> Self {
        TimerTarget::Pid(pid)
    }
}

impl From<&str> for TimerTarget {
    fn from(name: &str) -> Self {
        TimerTarget::Name(name.into())
    }
}

impl From<String> for TimerTarget {
    fn from(name: String) -> Self {
        TimerTarget::Name(name.into())
    }
}

impl<M: 'static> From<&Address<M>> for TimerTarget {
    fn from(address: &Address<M>) -> Self {
        TimerTarget::Pid(address.pid())
    }
}

/// What [`start_timer`] sends: the message with its timer, so that a receiver can tell a timer it has given up from the one it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerFired<T> {
    /// What [`start_timer`] returned.
    pub timer: TimerRef,
    /// The message.
    pub message: T,
}

fn set(node: &Node, to: TimerTarget, at: Duration, envelope: impl FnOnce(TimerRef) -> Envelope) -> TimerRef {
    let timers = &node.rt().timers;
    let timer = timers.insert_with(at, |timer| {
        let envelope = envelope(timer);
        match to.clone() {
            TimerTarget::Pid(to) => Action::Send { to, envelope },
            TimerTarget::Name(to) => Action::SendNamed { to, envelope },
        }
    });
    if let TimerTarget::Pid(pid) = to {
        own(node, pid, timer);
    }
    timer
}

/// Makes a timer go with the process that it sends to; at once, if that has ended.
fn own(node: &Node, to: Pid, timer: TimerRef) {
    let alive = node.lookup(to).is_some_and(|proc| {
        proc.set_flag(TIMERS, true);
        proc.word.is_alive()
    });
    if !alive {
        node.rt().timers.cancel(timer);
    }
}

fn after(node: &Node, delay: Duration) -> Duration {
    node.now() + delay.min(LONGEST)
}

/// Sends `message`, as [`send`](crate::process::send) does, after `delay` (longest: 2³⁹ seconds; 0 means promptly, but not before this
/// returns). A timer for a pid goes when that process ends, and outlives the one that set it; a name is looked up when the timer fires.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, millis, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<&str>| assert_eq!(mailbox.receive().await, "tick"));
/// process::send_after(p.pid(), millis(1), "tick");
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn send_after<T: Send + 'static>(to: impl Into<TimerTarget>, delay: Duration, message: T) -> TimerRef {
    let node = Node::current();
    set(&node, to.into(), after(&node, delay), |_| repack(message))
}

/// [`send_after`] with the time given as [`Node::now`] tells it; one that has passed means promptly.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, millis, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 7));
/// process::send_at(p.pid(), node.now() + millis(1), 7u8);
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn send_at<T: Send + 'static>(to: impl Into<TimerTarget>, at: Duration, message: T) -> TimerRef {
    set(&Node::current(), to.into(), at, |_| repack(message))
}

/// [`send_after`] that sends a [`TimerFired`] with the timer's reference.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, TimerFired};
/// use purlin_core::{Mailbox, millis};
/// let p = process::spawn(async |mut mailbox: Mailbox<TimerFired<u8>>| {
///     let timer = process::start_timer(mailbox.pid(), millis(1), 7u8);
///     assert_eq!(mailbox.receive().await, TimerFired { timer, message: 7 });
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn start_timer<T: Send + 'static>(to: impl Into<TimerTarget>, delay: Duration, message: T) -> TimerRef {
    let node = Node::current();
    set(&node, to.into(), after(&node, delay), |timer| Envelope::plain(TimerFired { timer, message }))
}

/// [`start_timer`] with the time given as [`Node::now`] tells it.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, TimerFired};
/// use purlin_core::{Mailbox, Node, millis};
/// let p = process::spawn(async |mut mailbox: Mailbox<TimerFired<u8>>| {
///     let timer = process::start_timer_at(mailbox.pid(), Node::current().now() + millis(1), 7u8);
///     assert_eq!(mailbox.receive().await, TimerFired { timer, message: 7 });
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn start_timer_at<T: Send + 'static>(to: impl Into<TimerTarget>, at: Duration, message: T) -> TimerRef {
    set(&Node::current(), to.into(), at, |timer| Envelope::plain(TimerFired { timer, message }))
}

/// Sends a clone of `message` every `period` (at least 1 ms), first after one period, measured from deadline to deadline, until it is
/// cancelled or the process ends.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, millis, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<&str>| {
///     let beat = process::send_interval(mailbox.pid(), millis(1), "beat");
///     for _ in 0..3 {
///         assert_eq!(mailbox.receive().await, "beat");
///     }
///     process::cancel_timer(beat);
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn send_interval<T: Clone + Send + Sync + 'static>(to: Pid, period: Duration, message: T) -> TimerRef {
    let node = Node::current();
    let every = u64::try_from(period.min(LONGEST).as_millis()).unwrap_or(u64::MAX).max(1);
    let timer =
        node.rt().timers.repeat(to, node.now(), every, Arc::new(move || Envelope::plain(message.clone())));
    own(&node, to, timer);
    timer
}

/// Takes a timer of the current node off, whoever set it: the time that was left, or `None` if it has fired (its message may be in the
/// mailbox), was cancelled, or is unknown. After `Some` the message never arrives.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process, secs};
/// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
///     let timer = process::send_after(mailbox.pid(), secs(60), 7u8);
///     assert!(process::read_timer(timer).unwrap() > secs(59));
///     assert!(process::cancel_timer(timer).is_some());
///     assert_eq!(process::cancel_timer(timer), None);
///     assert!(mailbox.try_receive().is_none());
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn cancel_timer(timer: TimerRef) -> Option<Duration> {
    let node = Node::try_current()?;
    node.rt().timers.cancel(timer).map(|at| at.saturating_sub(node.now()))
}

/// The time left until a timer of the current node fires; `None` as for [`cancel_timer`].
pub fn read_timer(timer: TimerRef) -> Option<Duration> {
    let node = Node::try_current()?;
    node.rt().timers.read(timer).map(|at| at.saturating_sub(node.now()))
}

impl<M: 'static> Address<M> {
    /// Sends a message after `delay`, converted as by [`send`](Address::send).
    ///
    /// # Panics
    /// When there is no current node.
    #[track_caller]
    pub fn send_after<T, K>(&self, delay: Duration, message: T) -> TimerRef
    where
        M: Accepts<T, K>,
    {
        let node = Node::current();
        set(&node, TimerTarget::Pid(self.pid()), after(&node, delay), |_| M::__pack(message).0)
    }
}
