//! Starting a node: on the current tokio runtime, real or simulated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::node::names::Names;
use crate::node::{Counters, Node, NodeInner, Settings, current};
use crate::process::table::Table;
use crate::rt::blocking::Blocking;
use crate::rt::random::Random;
use crate::rt::sched::{Executor, Sched};
use crate::rt::sim::{self, World};
use crate::rt::{Clock, Rt, watchdog};
use crate::sync::Mutex;
use crate::telemetry::{self, Telemetry, events};
use crate::timer::{Driver, Timers};

/// Which way calls take. The two ways differ in speed only; tests force each of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CallPath {
    /// In place when the server is idle, through the mailbox otherwise.
    #[default]
    Adaptive,
    /// Always through the mailbox.
    Queued,
    /// In place whenever the server is idle, however slow its handlers are.
    Direct,
}

/// Settings of a node; from [`Node::builder`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use purlin_core::{CallPath, Node};
/// let node = Node::builder()
///     .name("shop")
///     .executors(2)
///     .backtraces(false)                                             // cheaper crashes
///     .watchdog(false)
///     .call_path(CallPath::Queued)                                   // every call is a message
///     .start();
/// assert_eq!(node.name(), "shop");
/// # node.shutdown().await;
/// # });
/// ```
#[must_use = "a node starts when `start` is called"]
pub struct NodeBuilder {
    name: String,
    seed: Option<u64>,
    simulated: bool,
    world: Option<Arc<World>>,
    backtraces: bool,
    call_path: CallPath,
    watchdog: bool,
    executors: Option<usize>,
    stderr_reports: bool,
}

impl Default for NodeBuilder {
    fn default() -> Self {
        NodeBuilder {
            name: "nonode".to_owned(),
            seed: None,
            simulated: false,
            world: None,
            backtraces: true,
            call_path: CallPath::Adaptive,
            watchdog: true,
            executors: None,
            stderr_reports: true,
        }
    }
}

/// Distinguishes the starts of nodes of one program; part of every node's identity.
static CREATION: AtomicU32 = AtomicU32::new(1);

impl NodeBuilder {
    /// The node's name, for reports and, later, for distribution. Default `"nonode"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Seed of the node's random source. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Drives the node by the simulated runtime: one executor that picks the next process by `seed`, and tokio's clock, which a
    /// `current_thread` runtime built with `start_paused(true)` moves on by itself. `purlin-test` does all that for you.
    pub fn simulated(mut self, seed: u64) -> Self {
        self.simulated = true;
        self.seed = Some(seed);
        self
    }

    /// One of the nodes of a simulated run; for `purlin-test`.
    #[doc(hidden)]
    pub fn simulated_in(mut self, world: &Arc<World>) -> Self {
        self.simulated = true;
        self.seed = Some(world.seed_of_next_node());
        self.world = Some(world.clone());
        self
    }

    /// Whether a panic's stack is captured (unresolved, 2–5 µs). Default `true`.
    pub fn backtraces(mut self, on: bool) -> Self {
        self.backtraces = on;
        self
    }

    /// Which way calls take. Default [`CallPath::Adaptive`].
    pub fn call_path(mut self, path: CallPath) -> Self {
        self.call_path = path;
        self
    }

    /// Whether a thread watches for callbacks that hog a worker. Default `true`; a simulated node never has one.
    pub fn watchdog(mut self, on: bool) -> Self {
        self.watchdog = on;
        self
    }

    /// Whether crashes, supervisors that give up, and callbacks that do not give their worker back are told on stderr, in a line each, as long as
    /// the program has no `tracing` subscriber. With a subscriber nothing goes to stderr. Default `true`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let node = purlin_core::Node::builder().stderr_reports(false).start();   // a test that crashes on purpose
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn stderr_reports(mut self, on: bool) -> Self {
        self.stderr_reports = on;
        self
    }

    /// How many executors run processes. Default: as many as the tokio runtime has worker threads.
    pub fn executors(mut self, n: usize) -> Self {
        self.executors = Some(n.max(1));
        self
    }

    /// Starts the node on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in a program built with `panic = "abort"`.
    #[track_caller]
    pub fn start(self) -> Node {
        crate::process::panic::install();
        let Ok(handle) = tokio::runtime::Handle::try_current() else {
            panic!(
                "a node starts on a tokio runtime: call `Node::builder().start()` inside one, or use `#[purlin::main]`"
            );
        };
        let executors = self.executors.unwrap_or_else(|| handle.metrics().num_workers());
        let world = self.simulated.then(|| {
            self.world.unwrap_or_else(|| {
                World::new(sim::Settings { seed: self.seed.unwrap_or(0), ..sim::Settings::default() })
            })
        });
        let clock = Clock::start(self.simulated);
        let watch = self.watchdog && !self.simulated;
        let index = current::next_index();
        let inner = Arc::new_cyclic(|weak: &std::sync::Weak<NodeInner>| {
            let clock_of = weak.clone();
            NodeInner {
                index,
                settings: Settings {
                    name: self.name,
                    creation: CREATION.fetch_add(1, Ordering::Relaxed),
                    backtraces: self.backtraces,
                    call_path: self.call_path,
                    watchdog: watch,
                    stderr_reports: self.stderr_reports,
                },
                rt: Rt {
                    sched: Sched::new(index, executors, world.clone()),
                    blocking: Blocking::new(handle.clone()),
                    clock,
                    timers: Timers::new(),
                    random: self.seed.map_or_else(Random::from_entropy, Random::seeded),
                    simulated: self.simulated,
                },
                table: Table::new(),
                names: Names::default(),
                stacks: crate::process::stack::Stacks::default(),
                telemetry: Telemetry::new(Arc::new(move || {
                    clock_of.upgrade().map_or(0, |n| n.rt.now().as_nanos() as u64)
                })),
                next_ref: AtomicU64::new(1),
                counters: Counters::default(),
                down: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                stop_asked: tokio::sync::Notify::new(),
                shutdown: tokio::sync::Mutex::new(false),
                executors: Mutex::default(),
                attached: Default::default(),
                in_order: Mutex::default(),
                stop_reason: Mutex::default(),
            }
        });
        current::add(index, Arc::downgrade(&inner), handle.id());
        let node = Node(inner);
        if let Some(world) = &world {
            world.add(&node);
        }
        let executors: Vec<_> =
            Executor::all(&node).into_iter().map(|executor| handle.spawn(executor)).collect();
        *node.0.executors.lock() = executors;
        handle.spawn(Driver::new(node.0.clone()));
        if node.0.settings.watchdog {
            watchdog::start(&node);
        }
        node.telemetry().execute_with(events::NODE_START, || {
            let none: [(&'static str, telemetry::Measure); 0] = [];
            (none, [("node", node.name().to_owned().into()), ("creation", u64::from(node.creation()).into())])
        });
        node
    }
}
