//! Describing and starting a partition supervisor, and what its handles share with it.
//!
//! The process is a [`Supervisor`] like any other. Its children's start functions are wrapped: each puts the process that it started into
//! the slot of its partition, from where handles read it without asking anybody.
//!
//! Invariants
//! * `open` is up from before the first partition starts until the supervisor's process has ended; then all slots are empty.
//! * Only the start function of partition `n` writes into slot `n`, and starts of one child do not overlap.
//! * `live` changes inside the supervisor only (its start, and `resize`).

use std::any::TypeId;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::builder::SupervisorInit;
use super::child::{Child, ChildSpec, StartChild, Starting};
use super::flags::{Flags, Strategy};
use super::partition::PartitionSupervisor;
use super::server::Supervisor;
use super::spec::ChildId;
use crate::gen_server::Start;
use crate::node::current;
use crate::process::cell::{OWNS, Proc, ProcRef};
use crate::process::extra::Owned;
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, Mutex, Ordering};
use crate::{ExitReason, GenServer, InitError, Name, Pid, StartError, SupervisorSpec};

/// Describes one partition, by its index.
type Describe = Arc<dyn Fn(usize) -> ChildSpec + Send + Sync>;

/// A partition supervisor about to start: from [`PartitionSupervisor::of`] and [`PartitionSupervisor::of_each`]. It is a child of a
/// supervisor as it is.
///
/// All clones mean the same one, which can run once at a time; starting it again, as a supervisor does, gives the handles taken from it
/// ([`handle`](Self::handle)) new life.
#[must_use = "a partition supervisor starts when `start_link` is awaited, or as the child of a supervisor"]
pub struct PartitionSupervisorSpec<S> {
    describe: Describe,
    flags: Flags,
    shared: Arc<Shared>,
    server: std::marker::PhantomData<fn(S)>,
}

impl<S> Clone for PartitionSupervisorSpec<S> {
    fn clone(&self) -> Self {
        let (describe, shared) = (self.describe.clone(), self.shared.clone());
        PartitionSupervisorSpec {
            describe,
            flags: self.flags.clone(),
            shared,
            server: std::marker::PhantomData,
        }
    }
}

impl<S: GenServer> PartitionSupervisorSpec<S> {
    pub(super) fn new(name: Name<Supervisor>, describe: Describe) -> Self {
        let flags = Flags::new(Strategy::OneForOne);
        let shared = Arc::new(Shared::new(name, None, TypeId::of::<S>()));
        PartitionSupervisorSpec { describe, flags, shared, server: std::marker::PhantomData }
    }

    /// How many partitions there are. Default: as many as the node has executors, which is one per worker thread of the runtime (and one on
    /// a simulated node). With 0 the supervisor does not start.
    ///
    /// Makes another supervisor out of this one: handles are to be taken afterwards.
    pub fn partitions(mut self, n: usize) -> Self {
        self.shared = Arc::new(Shared::new(self.shared.name.clone(), Some(n), TypeId::of::<S>()));
        self
    }

    /// What is restarted when a partition ends. Default: [`Strategy::OneForOne`], only that one.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.flags.strategy = strategy;
        self
    }

    /// At most `max_restarts` restarts within `period`, of all partitions together; see
    /// [`SupervisorSpec::max_restarts`]. Default: 3 within 5 seconds.
    pub fn max_restarts(mut self, max_restarts: u32, period: Duration) -> Self {
        self.flags.max_restarts = max_restarts;
        self.flags.period = period;
        self
    }

    /// A handle to this very supervisor, which may be taken before it runs: until then lookups fail with
    /// [`PartitionError::Unknown`](super::PartitionError::Unknown).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::supervisor::Strategy;
    /// use purlin_core::{PartitionSupervisor, Supervised, Supervisor, secs};
    /// let counters = PartitionSupervisor::of("counters", Counter::child_spec(0))
    ///     .partitions(4)
    ///     .strategy(Strategy::OneForAll)
    ///     .max_restarts(10, secs(60));
    /// let handle = counters.handle();                                    // to be given to those who need it
    /// assert!(handle.get(&7).is_err());
    /// Supervisor::one_for_one().child(counters).start_link().await?;
    /// assert!(handle.get(&7)?.is_alive());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn handle(&self) -> PartitionSupervisor<S> {
        PartitionSupervisor::bound(self.shared.clone())
    }

    /// Starts the supervisor, linked with the calling process, and its partitions in order.
    ///
    /// # Errors
    /// As for [`SupervisorSpec::start_link`]; [`StartError::Failed`] also when there are 0 partitions, when the child that is to run in each
    /// of them has a name of its own, or when a clone of this description is running (on another node, say).
    #[track_caller]
    pub fn start_link(self) -> impl Future<Output = Result<PartitionSupervisor<S>, StartError>> + Send {
        self.run(true)
    }

    /// [`start_link`](Self::start_link) without the link.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<PartitionSupervisor<S>, StartError>> + Send {
        self.run(false)
    }

    #[track_caller]
    fn run(self, link: bool) -> impl Future<Output = Result<PartitionSupervisor<S>, StartError>> + Send {
        let handle = self.handle();
        let name = self.shared.name.clone();
        let start = Start::<Supervisor>::new(self.into_init(), link).name(name);
        async move { start.await.map(|_| handle) }
    }

    /// The supervisor as the child of another one, under its name, with settings to change. A supervisor takes the description itself,
    /// too.
    pub fn child_spec(self) -> Child<Supervisor> {
        let name = self.shared.name.clone();
        Child::new(move || Ok(self.clone().into_init())).module("PartitionSupervisor").name(name)
    }

    fn into_init(self) -> SupervisorInit {
        SupervisorInit { make: Box::new(move || self.begin()), label: Some("PartitionSupervisor") }
    }

    /// Runs inside the supervisor's new process: opens the table for lookups, and describes the children.
    fn begin(self) -> Result<SupervisorSpec, InitError> {
        let refused = |why: String| {
            let name = self.shared.name.display();
            InitError::Stop(ExitReason::error(format!("the partition supervisor {name:?} {why}")))
        };
        let proc = current::current_proc().ok_or_else(|| refused("was started outside a process".into()))?;
        let executors = || proc.node.rt().sched.workers().len();
        let n = self.shared.slots.get().map(|slots| slots.len()).or(self.shared.partitions);
        let n = n.unwrap_or_else(executors);
        if n == 0 {
            return Err(refused("needs at least one partition".into()));
        }
        let mut children = Vec::with_capacity(n);
        for index in 0..n {
            let (fields, start) = (self.describe)(index).into_parts();
            let start = Arc::new(StartPartition { start, shared: self.shared.clone(), index });
            children.push(ChildSpec::from_parts((fields.id(id_of(index)), start)));
        }
        self.shared.open(&proc, n).map_err(|pid| refused(format!("is running as {pid}")))?;
        Ok(SupervisorSpec::new(self.flags).children(children))
    }
}

/// A partition's id among the supervisor's children.
pub(super) fn id_of(partition: usize) -> ChildId {
    partition.to_string().into()
}

/// Every partition runs this child.
pub(super) fn the_same<S: GenServer>(child: Child<S>) -> Describe {
    let child = child.erase();
    Arc::new(move |_| match &child.fields().name {
        None => child.clone(),
        // Only the first could have it, and the failure of the second would not say why.
        Some(name) => ChildSpec::custom(name.to_string(), {
            let why = format!(
                "the partitions cannot all be registered as {name:?}; leave the child's name away, or describe each with `of_each`"
            );
            move || std::future::ready(Err(StartError::Failed(ExitReason::error(why.clone()))))
        }),
    })
}

impl<S: GenServer> From<PartitionSupervisorSpec<S>> for ChildSpec {
    fn from(spec: PartitionSupervisorSpec<S>) -> ChildSpec {
        spec.child_spec().erase()
    }
}

impl<S> fmt::Debug for PartitionSupervisorSpec<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSupervisorSpec")
            .field("name", &self.shared.name)
            .field("partitions", &self.shared.partitions)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// What a partition supervisor shares with its handles.
pub(super) struct Shared {
    pub(super) name: Name<Supervisor>,
    /// As asked for; `None` is the number of executors.
    partitions: Option<usize>,
    /// The type of the servers in the partitions.
    pub(super) server: TypeId,
    open: AtomicBool,
    /// The node of the supervisor's process; 0 before the first start.
    node: AtomicU32,
    supervisor: Mutex<Option<ProcRef>>,
    /// One per partition, from the first start on.
    slots: OnceLock<Box<[Slot]>>,
    /// Partitions that keys go to: the first so many slots.
    live: AtomicUsize,
}

/// On a cache line of its own: the callers of one partition do not slow down those of its neighbour.
#[repr(align(64))]
#[derive(Default)]
struct Slot(RwLock<Option<ProcRef>>);

impl Shared {
    fn new(name: Name<Supervisor>, partitions: Option<usize>, server: TypeId) -> Shared {
        Shared {
            name,
            partitions,
            server,
            open: AtomicBool::new(false),
            node: AtomicU32::new(0),
            supervisor: Mutex::new(None),
            slots: OnceLock::new(),
            live: AtomicUsize::new(0),
        }
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn node(&self) -> u32 {
        self.node.load(Ordering::Relaxed)
    }

    pub(super) fn supervisor(&self) -> Option<ProcRef> {
        self.supervisor.lock().clone()
    }

    /// How many partitions keys go to.
    #[inline]
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    pub(super) fn set_live(&self, n: usize) {
        self.live.store(n, Ordering::Release);
    }

    /// How many partitions there can be.
    pub(super) fn most(&self) -> usize {
        self.slots.get().map_or(0, |slots| slots.len())
    }

    /// The process of a partition, if it runs.
    #[inline]
    pub(super) fn process(&self, partition: usize) -> Option<ProcRef> {
        let slot = self.slots.get()?.get(partition)?;
        let process = slot.0.read().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().filter(|process| process.word.is_alive()).cloned()
    }

    fn put(&self, partition: usize, process: Option<ProcRef>) {
        let Some(slot) = self.slots.get().and_then(|slots| slots.get(partition)) else { return };
        let before = std::mem::replace(&mut *slot.0.write().unwrap_or_else(PoisonError::into_inner), process);
        drop(before);
    }

    /// The supervisor's process starts, with `n` partitions. `Err` gives the process that it is running as already.
    fn open(self: &Arc<Self>, supervisor: &ProcRef, n: usize) -> Result<(), Pid> {
        {
            let mut current = self.supervisor.lock();
            if let Some(other) = &*current {
                return Err(other.pid());
            }
            *current = Some(supervisor.clone());
        }
        let slots = self.slots.get_or_init(|| std::iter::repeat_with(Slot::default).take(n).collect());
        self.node.store(supervisor.node.0.index, Ordering::Relaxed);
        self.set_live(slots.len());
        let mut extra = supervisor.extra.lock();
        let extra = extra.get_or_insert_default();
        extra.locals.insert(TypeId::of::<Published>(), Box::new(Published(self.clone())));
        extra.owned.push(self.clone());
        supervisor.set_flag(OWNS, true);
        self.open.store(true, Ordering::Release);
        Ok(())
    }
}

/// The supervisor's process has ended, and its partitions before it.
impl Owned for Shared {
    fn release(&self, _: Pid) {
        self.open.store(false, Ordering::Release);
        for partition in 0..self.most() {
            self.put(partition, None);
        }
        // Last: from here on it can be opened again.
        let supervisor = self.supervisor.lock().take();
        drop(supervisor);
    }
}

/// Where the supervisor's process keeps what it shares, for those who know its name.
struct Published(Arc<Shared>);

/// What a process shares, if it is a partition supervisor.
pub(super) fn published(proc: &Proc) -> Option<Arc<Shared>> {
    let extra = proc.extra.lock();
    let published = extra.as_ref()?.locals.get(&TypeId::of::<Published>())?;
    published.downcast_ref::<Published>().map(|published| published.0.clone())
}

/// The start of a partition: that of the child, and the process into its slot.
struct StartPartition {
    start: Arc<dyn StartChild>,
    shared: Arc<Shared>,
    index: usize,
}

impl StartChild for StartPartition {
    fn start(&self) -> Starting {
        let starting = self.start.start();
        let (shared, index) = (self.shared.clone(), self.index);
        Box::pin(async move {
            let process = starting.await?;
            shared.put(index, Some(process.clone()));
            Ok(process)
        })
    }
}
