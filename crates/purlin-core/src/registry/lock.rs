//! Mutual exclusion by key: the future that waits for a lock, runs the caller's code under it, and gives it up.
//!
//! No process takes part. What [`locks`](super::locks) keeps are names of futures, and a future gives its place up when it is dropped: that is
//! what happens at the end of the closure, at a panic, at a deadline, when the caller is killed, and when it just loses interest.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::gen_server::DEFAULT_CALL_TIMEOUT;
use crate::node::{Node, current};
use crate::process::cell::Proc;
use crate::process::pid::Pid;
use crate::registry::error::LockError;
use crate::registry::handle::Registry;
use crate::registry::key::Key;
use crate::registry::locks::{Entered, Name, Place, Turn};
use crate::timer::{Alarm, LONGEST};

impl<K: Key, V: Clone + Send + Sync + 'static> Registry<K, V> {
    /// Runs `f` while nobody else runs anything under the lock of `key`, and returns what it returns. Callers of one key take turns in the
    /// order in which they came; those of different keys do not wait for each other. The code runs in the caller, a process or not.
    ///
    /// A caller waits for its turn for 5 s, unless another limit is set with [`timeout`](LockFuture::timeout) or
    /// [`infinity`](LockFuture::infinity); how long `f` then takes is not limited. The lock is free again when the future that `f` returned
    /// is completed and dropped, and also when it panics, when this future is dropped, or when the process in which it runs ends, before
    /// anybody hears of that.
    ///
    /// Locks and entries have nothing to do with each other: anybody may lock a key, registered or not, and what is registered under a locked
    /// key may change. The registry only keeps the locks. They are those of one running registry and its restarts; a restart does
    /// not take a lock from whoever has it.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError, Ref, Registry, StartError};
    /// # struct Room;
    /// # impl GenServer for Room { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Room) } }
    /// static ROOMS: Registry<String> = Registry::named("rooms");
    ///
    /// /// Of many callers at a time the first starts the room, and the others find it.
    /// async fn room(name: &str) -> Result<Ref<Room>, Box<dyn std::error::Error>> {
    ///     let name = name.to_owned();
    ///     ROOMS.lock(name.clone(), async || {
    ///         match ROOMS.get::<Room>(&name)? {
    ///             Some(room) => Ok(room),
    ///             None => Ok(Room::start(()).name(ROOMS.via(name.clone())).await?),
    ///         }
    ///     })
    ///     .await?
    /// }
    ///
    /// Registry::<String>::unique("rooms").start().await?;
    /// let (first, second) = tokio::join!(room("lobby"), room("lobby"));
    /// assert_eq!(first?, second?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// `f` is not called then. [`Timeout`](LockError::Timeout) when the turn did not come in time: the place in the queue is given up.
    /// [`Reentrant`](LockError::Reentrant) at once when the lock is asked for by the code that runs under it.
    /// [`Registry`](LockError::Registry) when the registry is not running, or ends before the turn comes; and as for every operation.
    #[track_caller]
    pub fn lock<F, Fut>(&self, key: K, f: F) -> LockFuture<'_, K, V, F, Fut, Fut::Output>
    where
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        LockFuture {
            registry: self,
            step: Step::Asked(key, f),
            advance: LockFuture::advance,
            limit: Some(DEFAULT_CALL_TIMEOUT),
            location: Location::caller(),
        }
    }
}

/// A lock that is waited for or held; from [`Registry::lock`]. Nothing happens before it is polled. Polled again when it is completed, it panics.
///
/// Whoever polls it and then neither polls nor drops it, such as a `select!` that goes round with another branch for long, may have the lock,
/// and keeps those who come after waiting.
#[must_use = "a lock is asked for when this is awaited"]
pub struct LockFuture<'a, K, V, F, Fut, R> {
    registry: &'a Registry<K, V>,
    step: Step<K, V, F, Fut>,
    /// [`LockFuture::advance`]. A pointer, so that this is a future without asking anything of `K` and `F`: a future around it, such as that
    /// of a `join!`, would have to prove it for any lifetime in them, which the compiler fails to do for a `&'static str`.
    advance: fn(&mut Self, &mut Context<'_>) -> Poll<Result<R, LockError>>,
    limit: Option<Duration>,
    location: &'static Location<'static>,
}

enum Step<K, V, F, Fut> {
    Asked(K, F),
    Waiting(Waiting<K, V>, F),
    Inside(Inside<K, V, Fut>),
    Over,
}

/// In a line, not at its head.
struct Waiting<K, V> {
    place: Place<K, V>,
    node: Node,
    since: Duration,
    alarm: Option<Alarm>,
}

/// Under the lock. The order of the fields is that in which they are dropped: the caller's code is gone when the next one's begins.
struct Inside<K, V, Fut> {
    future: Pin<Box<Fut>>,
    place: Place<K, V>,
}

// Only `Fut` is pinned, and that by its box.
impl<K, V, F, Fut, R> Unpin for LockFuture<'_, K, V, F, Fut, R> {}

impl<K, V, F, Fut, R> LockFuture<'_, K, V, F, Fut, R> {
    /// Waits for the lock for this long at most, instead of 5 s.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Registry, millis, secs};
    /// let files = Registry::<&str>::unique("files").start().await?;
    /// let mut written = 0;
    /// files.lock("a.txt", async || written += 1).timeout(secs(60)).await?;
    /// files.lock("a.txt", async || written += 1).infinity().await?;
    ///
    /// let (tell, told) = tokio::sync::oneshot::channel();
    /// let slow = files.lock("a.txt", async || told.await.unwrap());
    /// let hasty = async {
    ///     let hasty = files.lock("a.txt", async || written += 1).timeout(millis(1)).await;
    ///     tell.send("go on").unwrap();
    ///     hasty
    /// };
    /// let (slow, hasty) = tokio::join!(biased; slow, hasty);
    /// assert_eq!(slow, Ok("go on"));
    /// assert!(hasty.unwrap_err().is_timeout());
    /// assert_eq!(written, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Waits for the lock for as long as it takes, or until the registry ends.
    pub fn infinity(mut self) -> Self {
        self.limit = None;
        self
    }
}

impl<K, V, F, Fut> LockFuture<'_, K, V, F, Fut, Fut::Output>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
    F: FnOnce() -> Fut,
    Fut: Future,
{
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<Fut::Output, LockError>> {
        loop {
            // Taken out while it is polled: what panics is dropped by its panic, and the lock with it, although somebody may catch the panic
            // and keep this future.
            match std::mem::replace(&mut self.step, Step::Over) {
                Step::Asked(key, f) => self.step = self.ask(key, f, cx)?,
                Step::Waiting(mut waiting, f) => match self.wait(&mut waiting, cx)? {
                    Poll::Ready(()) => self.step = Step::Inside(Inside::new(waiting.place, f)),
                    Poll::Pending => {
                        self.step = Step::Waiting(waiting, f);
                        return Poll::Pending;
                    },
                },
                Step::Inside(mut inside) => {
                    let polled = inside.poll(cx);
                    if polled.is_pending() {
                        self.step = Step::Inside(inside);
                    }
                    return polled.map(Ok);
                },
                Step::Over => panic!("a lock was polled after it was completed"),
            }
        }
    }

    /// Locks the key, or joins the queue.
    fn ask(&self, key: K, f: F, cx: &Context<'_>) -> Result<Step<K, V, F, Fut>, LockError> {
        let tables = self.registry.on(|tables| Ok(tables.clone()))?;
        let pid = current::with_current(Proc::pid);
        let ended = || LockError::Registry(tables.unknown());
        match Place::enter(&tables, key, pid, cx.waker(), |holder| is_on_stack(holder, pid)) {
            Entered::Holds(place) => Ok(Step::Inside(Inside::new(place, f))),
            Entered::Waits(place) => {
                let node = tables.server().ok_or_else(ended)?.node.clone();
                let since = node.now();
                Ok(Step::Waiting(Waiting { place, node, since, alarm: None }, f))
            },
            Entered::Refused(key) => Err(LockError::Reentrant {
                registry: tables.name().to_string(),
                key: format!("{key:?}"),
                location: self.location,
            }),
            Entered::Closed => Err(ended()),
        }
    }

    /// Looks whether the lock has come, then at the clock.
    fn wait(&self, waiting: &mut Waiting<K, V>, cx: &mut Context<'_>) -> Poll<Result<(), LockError>> {
        let Waiting { place, node, since, alarm } = waiting;
        match place.turn(cx.waker()) {
            Turn::Mine => return Poll::Ready(Ok(())),
            Turn::SentAway => return Poll::Ready(Err(LockError::Registry(place.tables().unknown()))),
            Turn::Waits => {},
        }
        let Some(limit) = self.limit else { return Poll::Pending };
        let alarm = alarm.get_or_insert_with(|| Alarm::at(node.clone(), *since + limit.min(LONGEST)));
        if alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The place is given up when it is dropped. If the lock has come in this very moment, that passes it on.
        Poll::Ready(Err(LockError::Timeout {
            registry: place.tables().name().to_string(),
            key: format!("{:?}", place.key()),
            holder: place.holder(),
            waited: node.now().saturating_sub(*since),
            location: self.location,
        }))
    }
}

impl<K, V, F, Fut, R> Future for LockFuture<'_, K, V, F, Fut, R> {
    type Output = Result<R, LockError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        (self.advance)(&mut self, cx)
    }
}

impl<K, V, F, Fut, R> fmt::Debug for LockFuture<'_, K, V, F, Fut, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Asked(..) => "not asked for",
            Step::Waiting(..) => "waited for",
            Step::Inside(_) => "held",
            Step::Over => "given up",
        };
        write!(f, "LockFuture({step}, at {}:{})", self.location.file(), self.location.line())
    }
}

impl<K: Key, V, Fut: Future> Inside<K, V, Fut> {
    fn new(place: Place<K, V>, f: impl FnOnce() -> Fut) -> Self {
        let on_stack = OnStack::enter(place.name());
        let future = Box::pin(f());
        drop(on_stack);
        Inside { future, place }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        let _on_stack = OnStack::enter(self.place.name());
        self.future.as_mut().poll(cx)
    }
}

thread_local! {
    /// The locks under which this thread is running code, the outermost first, and the processes that the code belongs to. A thread that is
    /// just ending has none, which only makes a wait for oneself one for the deadline.
    static ON_STACK: RefCell<Vec<(Name, Option<Pid>)>> = const { RefCell::new(Vec::new()) };
}

/// Code under a lock is running on this thread, until it is dropped.
struct OnStack;

impl OnStack {
    fn enter(name: Name) -> OnStack {
        let pid = current::with_current(Proc::pid);
        let _ = ON_STACK.try_with(|stack| stack.borrow_mut().push((name, pid)));
        OnStack
    }
}

impl Drop for OnStack {
    fn drop(&mut self) {
        let _ = ON_STACK.try_with(|stack| stack.borrow_mut().pop());
    }
}

/// Whether what is running now is a part of the code that runs under this very lock. It is if that is further up on the stack, unless there
/// is a call in place between: its server belongs to itself, and may wait for longer than its caller does.
fn is_on_stack(holder: Name, pid: Option<Pid>) -> bool {
    ON_STACK.try_with(|stack| stack.borrow().contains(&(holder, pid))).unwrap_or(false)
}
