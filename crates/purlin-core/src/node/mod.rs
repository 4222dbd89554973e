//! A node: one value that owns process table, names, clock, random numbers, timers and telemetry.
//!
//! Nothing in Purlin is global to the program. A [`Node`] lives on a tokio runtime, and several may live in one program: each test has its
//! own, a simulated cluster has many. [`#[purlin::main]`](https://docs.rs/purlin) starts one for you.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use purlin_core::{Node, process};
//! let node = Node::builder().name("shop").start();
//! node.scope(async {
//!     let echo = process::spawn(async move |mut mailbox: purlin_core::Mailbox<u32>| {
//!         assert_eq!(mailbox.receive().await, 7);
//!     });
//!     echo.send(7u32);
//!     assert!(echo.wait().await.is_normal());
//! }).await;
//! node.shutdown().await;
//! # });
//! ```
//!
//! # Which node is meant?
//! Functions such as [`process::spawn`](crate::process::spawn) work on the *current* node: the node of the process being run; else the one
//! whose [`scope`](Node::scope) or [`enter`](Node::enter) is on the stack; else the only node of the current tokio runtime. With two
//! nodes on one runtime there is no default, and such a function panics (or returns `NoNode`) with a message that says so.
//!
//! # Panics end processes, not programs
//! The first node of a program installs a panic hook that takes note of panics inside processes; see [`ExitReason::Panic`]. A program
//! built with `panic = "abort"` is refused at start.

mod attached;
pub(crate) mod builder;
pub(crate) mod current;
pub(crate) mod names;
mod shutdown;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

pub use builder::{CallPath, NodeBuilder};
pub(crate) use current::current_index;

use crate::mailbox::envelope::Envelope;
use crate::node::names::Names;
use crate::process::cell::{Proc, ProcRef, Rejected};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::relations::MonitorTarget;
use crate::process::table::Table;
use crate::rt::Rt;
use crate::telemetry::Telemetry;

/// Settings that do not change while a node runs.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) creation: u32,
    pub(crate) backtraces: bool,
    pub(crate) call_path: CallPath,
    pub(crate) watchdog: bool,
    pub(crate) stderr_reports: bool,
}

/// Counters of a node; see [`Node::stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) unhandled: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) dead_letters: AtomicU64,
    pub(crate) queued_calls: AtomicU64,
    pub(crate) long_polls: AtomicU64,
}

pub(crate) struct NodeInner {
    pub(crate) index: u32,
    pub(crate) settings: Settings,
    pub(crate) rt: Rt,
    table: Table<ProcRef>,
    pub(crate) names: Names,
    pub(crate) telemetry: Telemetry,
    pub(crate) stacks: crate::process::stack::Stacks,
    next_ref: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) down: AtomicBool,
    /// Set when an orderly stop begins: no server is started at the top any more.
    pub(crate) stopping: AtomicBool,
    /// Told when `stopping` is set.
    stop_asked: tokio::sync::Notify,
    /// Held by the call of `shutdown` that does the work; `true` when it is done.
    shutdown: tokio::sync::Mutex<bool>,
    executors: crate::sync::Mutex<Vec<tokio::task::JoinHandle<()>>>,
    attached: attached::Attached,
    /// Processes at the top that are stopped in the reverse of this order, whatever their places in the process table.
    in_order: crate::sync::Mutex<Vec<Pid>>,
    /// Why the node stops by itself, if it does.
    stop_reason: crate::sync::Mutex<Option<ExitReason>>,
}

/// A handle to a node; cheap to clone.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<NodeInner>);

/// Figures of a node at one moment; counters run from its start.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let p = process::spawn(async |_: Mailbox<()>| {});
/// p.wait().await;
/// p.send(());
/// assert_eq!(node.stats().dead_letters, 1);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct NodeStats {
    /// Live processes.
    pub processes: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Untyped messages that their receiver has no handler for.
    pub unhandled: u64,
    /// Messages dropped because a bounded mailbox was full.
    pub dropped: u64,
    /// Messages to processes that had ended.
    pub dead_letters: u64,
    /// Calls that became messages, because their server was not idle or may not be run on the caller's thread.
    pub queued_calls: u64,
    /// Callbacks that the watchdog saw hogging a worker.
    pub long_polls: u64,
    /// Processes that must end but still block a thread: see [`process::spawn_blocking`](crate::process::spawn_blocking). They end when
    /// their code returns or awaits something.
    pub zombies: usize,
}

impl Node {
    /// Settings for a new node.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// The current node (see the module documentation).
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn current() -> Node {
        Node::try_current().unwrap_or_else(|| panic!("{NO_NODE}"))
    }

    /// The current node, if there is one.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Node;
    /// assert_eq!(Node::try_current().unwrap().name(), Node::current().name());
    /// assert!(std::thread::spawn(Node::try_current).join().unwrap().is_none());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn try_current() -> Option<Node> {
        current::current()
    }

    /// The name given to the builder; `"nonode"` by default.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Which start of a node of this name this is; never 0. A pid that carries another creation is of a dead node.
    pub fn creation(&self) -> u32 {
        self.0.settings.creation
    }

    /// Runs `future` with this node as the current one.
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope { node: self.clone(), future: Box::pin(future) }
    }

    /// Makes this the current node of a plain thread until the result is dropped. Calls made from such a thread always go through
    /// the mailbox: handlers run inside the node's runtime only.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, process};
    /// let this = node.clone();
    /// let thread = std::thread::spawn(move || {
    ///     let _entered = this.enter();
    ///     process::spawn(async |_: Mailbox<()>| {})
    /// });
    /// assert!(thread.join().unwrap().wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn enter(&self) -> Entered {
        Entered { _restore: current::enter_node(self.0.index, false), _node: self.clone() }
    }

    /// Time since the node's start, by the node's clock (virtual in a simulated node).
    pub fn now(&self) -> Duration {
        self.0.rt.now()
    }

    /// A number from the node's random source: reproducible in a simulated node. Not for secrets.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Node;
    /// let (one, two) = (Node::builder().seed(7).start(), Node::builder().seed(7).start());
    /// assert_eq!(one.random(), two.random());
    /// assert!(!one.is_simulated() && one.creation() != two.creation());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn random(&self) -> u64 {
        self.0.rt.random.next()
    }

    /// The node's telemetry: attach handlers here.
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// Is this node driven by the simulated runtime?
    pub fn is_simulated(&self) -> bool {
        self.0.rt.simulated
    }

    /// Figures of the node.
    pub fn stats(&self) -> NodeStats {
        let c = &self.0.counters;
        NodeStats {
            processes: self.0.table.len(),
            timers: self.0.rt.timers.len(),
            unhandled: c.unhandled.load(Ordering::Relaxed),
            dropped: c.dropped.load(Ordering::Relaxed),
            dead_letters: c.dead_letters.load(Ordering::Relaxed),
            queued_calls: c.queued_calls.load(Ordering::Relaxed),
            long_polls: c.long_polls.load(Ordering::Relaxed),
            zombies: self.0.rt.blocking.zombies(),
        }
    }

    #[inline]
    pub(crate) fn rt(&self) -> &Rt {
        &self.0.rt
    }

    #[inline]
    pub(crate) fn next_ref(&self) -> u64 {
        self.0.next_ref.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn lookup(&self, pid: Pid) -> Option<ProcRef> {
        self.0.lookup(pid)
    }

    /// The process a target means now, if it is alive.
    pub(crate) fn resolve(&self, target: &MonitorTarget) -> Option<ProcRef> {
        match target {
            MonitorTarget::Pid(pid) => self.lookup(*pid),
            MonitorTarget::Name(name) => self.0.names.get(name),
        }
    }

    pub(crate) fn remove(&self, pid: Pid) -> Option<ProcRef> {
        self.0.table.remove(pid.id(), pid.serial())
    }

    /// Enters a new process into the table; `make` builds it from its pid.
    pub(crate) fn insert(&self, make: impl FnOnce(Pid) -> ProcRef) -> ProcRef {
        let index = self.0.index;
        match self.0.table.insert_with(|id, serial| make(Pid::from_parts(index, id, serial))) {
            Ok(proc) => proc,
            Err(_) => panic!("the process table of node {:?} is full", self.name()),
        }
    }

    /// The pid that stands for the node itself: parent of processes that no process started.
    pub(crate) fn init_pid(&self) -> Pid {
        Pid::from_parts(self.0.index, 0, 0)
    }
}

pub(crate) const NO_NODE: &str = "there is no current node: call this inside `#[purlin::main]`, a process, `node.scope(..)` or \
    `node.enter()` (and if this tokio runtime has two nodes, say which one is meant)";

impl NodeInner {
    #[inline]
    pub(crate) fn lookup(&self, pid: Pid) -> Option<ProcRef> {
        if pid.node_index() != self.index {
            return None;
        }
        self.table.lookup(pid.id(), pid.serial())
    }

    /// Every live pid, by slot.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        let mut pids = Vec::with_capacity(self.table.len());
        self.table.for_each_id(|id, serial| pids.push(Pid::from_parts(self.index, id, serial)));
        pids
    }

    /// The executors are gone, asked for or not: `stopping()` is over.
    pub(crate) fn went_down(&self) {
        self.stop_asked.notify_waiters();
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Sends a message that nobody waits for: to a dead process it is a dead letter, to a full mailbox a counted drop.
    pub(crate) fn deliver(&self, to: Pid, envelope: Envelope) {
        match self.lookup(to) {
            Some(proc) => self.deliver_to(&proc, envelope),
            None => {
                self.counters.dead_letters.fetch_add(1, Ordering::Relaxed);
            },
        }
    }

    #[inline]
    pub(crate) fn deliver_to(&self, proc: &Proc, envelope: Envelope) {
        if let Err(rejected) = proc.push(envelope) {
            crate::process::report::rejected(proc, rejected);
        }
    }
}

impl Drop for NodeInner {
    fn drop(&mut self) {
        current::remove(self.index);
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.name()).field("processes", &self.0.table.len()).finish()
    }
}

/// A future that runs with a node as the current one; from [`Node::scope`].
pub struct Scope<F> {
    node: Node,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _restore = current::enter_node(self.node.0.index, true);
        self.future.as_mut().poll(cx)
    }
}

/// Keeps a node current on a plain thread; from [`Node::enter`]. Must be dropped on the thread, and in the order, it was made.
pub struct Entered {
    _restore: current::Restore,
    _node: Node,
}

/// What a rejected message was, for whoever asks.
pub(crate) fn closed(rejected: Rejected) -> Option<Envelope> {
    match rejected {
        Rejected::Closed(envelope) | Rejected::Full(envelope) => Some(envelope),
        Rejected::Evicted(_) => None,
    }
}

/// Asks a process of this node to end, as its parent would.
pub(crate) fn exit_as_parent(node: &Node, to: &Proc, reason: ExitReason) {
    use crate::process::signal::{AS_PARENT, Signal, send};
    send(to, Signal::Exit { from: node.init_pid(), reason, link: AS_PARENT });
}
