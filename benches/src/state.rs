//! The state and the messages' bodies that every implementation shares, so that all of them do the same work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// How many servers have finished their init in this process.
static STARTED: AtomicU64 = AtomicU64::new(0);
/// The count at which [`started_reaches`] wakes up.
static STARTED_GOAL: AtomicU64 = AtomicU64::new(u64::MAX);
static STARTED_NOTIFY: Notify = Notify::const_new();

/// Waits until `goal` servers have been started in this process, counted from its beginning.
pub(crate) async fn started_reaches(goal: u64) {
    STARTED_GOAL.store(goal, Ordering::SeqCst);
    while STARTED.load(Ordering::SeqCst) < goal {
        STARTED_NOTIFY.notified().await;
    }
    STARTED_GOAL.store(u64::MAX, Ordering::SeqCst);
}

/// How many servers have been started so far.
pub(crate) fn started() -> u64 {
    STARTED.load(Ordering::SeqCst)
}

/// State of the server under test: a counter of 24 bytes.
pub(crate) struct Counter {
    count: u64,
    goal: Option<Box<(u64, oneshot::Sender<()>)>>,
    incarnation: u64,
}

impl Counter {
    /// A counter at zero. To be called in the server's init: it also counts the start.
    pub(crate) fn init() -> Self {
        let incarnation = STARTED.fetch_add(1, Ordering::SeqCst) + 1;
        if incarnation == STARTED_GOAL.load(Ordering::SeqCst) {
            STARTED_NOTIFY.notify_one();
        }
        Counter { count: 0, goal: None, incarnation }
    }

    /// Body of a call: adds and answers the new value.
    pub(crate) fn add(&mut self, n: u64) -> u64 {
        self.count = self.count.wrapping_add(n);
        self.count
    }

    /// Body of a cast: adds one; at the goal it signals the waiting driver.
    pub(crate) fn bump(&mut self) {
        self.count = self.count.wrapping_add(1);
        if let Some(goal) = &self.goal
            && goal.0 == self.count
            && let Some(goal) = self.goal.take()
        {
            // The driver waits for this signal; it cannot have gone.
            let _ = goal.1.send(());
        }
    }

    /// From now on, after `n` more casts `done` is signalled.
    pub(crate) fn expect(&mut self, n: u64, done: oneshot::Sender<()>) {
        self.goal = Some(Box::new((self.count.wrapping_add(n), done)));
    }

    /// Body of a read.
    pub(crate) fn read(&self, body: Body) -> u64 {
        body.run();
        self.count
    }

    /// Ordinal of this start: grows with every restart.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// What a read does apart from returning the value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// Keeps the processor busy for one microsecond of wall time.
    Micro,
}

impl Body {
    fn run(self) {
        if let Body::Micro = self {
            let start = Instant::now();
            while start.elapsed() < Duration::from_micros(1) {
                std::hint::spin_loop();
            }
        }
    }
}

/// The message of the ring: passed on until its hops are used up.
pub(crate) struct Token {
    hops: u64,
    done: oneshot::Sender<()>,
}

impl Token {
    /// A token for `hops` hops and the signal of its arrival.
    pub(crate) fn new(hops: u64) -> (Self, oneshot::Receiver<()>) {
        let (done, arrived) = oneshot::channel();
        (Token { hops, done }, arrived)
    }

    /// One hop done: the token to pass on, or `None` at the end, which is then signalled.
    pub(crate) fn hop(mut self) -> Option<Token> {
        self.hops -= 1;
        if self.hops == 0 {
            let _ = self.done.send(());
            return None;
        }
        Some(self)
    }
}
