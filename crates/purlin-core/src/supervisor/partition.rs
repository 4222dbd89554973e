//! Partition supervisors: one server split into several, and a key to find the right one.
//!
//! A server handles one message at a time, so one that many processes call is a bottleneck by design. If its state divides by some key (a user,
//! a room, a file), run several of it and let the key decide which one to ask. That is all a [`PartitionSupervisor`] does: it starts
//! `n` children of one kind, each with an index from 0 to `n - 1`, restarts them in their places, and finds the one for a key without asking
//! anybody.
//!
//! # Example
//! ```
//! use purlin_core::{Cx, GenServer, HandleCall, InitError, PartitionSupervisor, Supervised, Supervisor};
//! use std::collections::HashMap;
//!
//! /// Counts what the users do; in as many processes as there are workers.
//! struct Visits(HashMap<u64, u32>);
//!
//! impl GenServer for Visits {
//!     type Args = ();
//!     async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
//!         Ok(Visits(HashMap::new()))
//!     }
//! }
//!
//! struct Visit(u64);
//!
//! impl HandleCall<Visit> for Visits {
//!     type Reply = u32;
//!     async fn handle_call(&mut self, Visit(user): Visit, _: &mut Cx<Self>) -> u32 {
//!         let visits = self.0.entry(user).or_default();
//!         *visits += 1;
//!         *visits
//!     }
//! }
//!
//! static VISITS: PartitionSupervisor<Visits> = PartitionSupervisor::named("visits");
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(PartitionSupervisor::of("visits", Visits::child_spec(())))
//!     .start_link()
//!     .await?;
//!
//! // The process of this key, as a handle to use at once:
//! assert_eq!(VISITS.get(&17)?.call(Visit(17)).await?, 1);
//! // A name, which finds the process anew at each use:
//! let seventeen = VISITS.via(17);
//! assert_eq!(seventeen.call(Visit(17)).await?, 2);
//! root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Keys
//! Any key that is `Hash` will do. One key always goes to one partition, as long as their number stays. An integer, and whatever hashes like a
//! single one (a newtype around it, a `char`, an `enum` without fields), goes to partition `key.abs() % n`; `u128` and `i128` and every other
//! key goes by a hash, which is the same in every run of a program, so that a partition may keep its part of something on disk.
//!
//! There may be far more keys than partitions: keys share partitions, and a process does not know which keys it has. For one process
//! per key take a [registry](crate::registry).
//!
//! # Arguments per partition
//! [`of`](PartitionSupervisor::of) starts every partition alike. [`of_each`](PartitionSupervisor::of_each) asks a function for each one's
//! child, by its index (Elixir's `with_arguments`):
//! ```
//! # use purlin_core::{Cx, GenServer, InitError};
//! # struct Shard; impl GenServer for Shard { type Args = String; async fn init(_: String, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Shard) } }
//! use purlin_core::{PartitionSupervisor, Supervised};
//! let shards = PartitionSupervisor::of_each("shards", |n| Shard::child_spec(format!("shard-{n}.log"))).partitions(8);
//! ```
//! The partitions may be supervisors. One [`DynamicSupervisor`](crate::DynamicSupervisor) that starts children all day is a bottleneck as well; split
//! it, and let each caller use the one of its own pid:
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! # use purlin_core::{Cx, GenServer, InitError};
//! # struct Session; impl GenServer for Session { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Session) } }
//! use purlin_core::{DynamicSupervisor, PartitionSupervisor, Supervised, process};
//! let starters = PartitionSupervisor::of("starters", DynamicSupervisor::new().child_spec()).start_link().await?;
//! starters.get(&process::self_pid())?.start_child(Session::child_spec(())).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Return values
//! | what | result |
//! |---|---|
//! | [`get`](PartitionSupervisor::get)`(&key)` | a [`Ref`] of the partition's process; an error when there is none just now |
//! | [`via`](PartitionSupervisor::via)`(key)` | a [`Name`]: a call fails with `NoProc` when there is no process, a cast is lost |
//! | [`index_of`](PartitionSupervisor::index_of)`(&key)`, [`partition`](PartitionSupervisor::partition)`(index)` | the index of a key; the process of an index |
//! | [`partitions`](PartitionSupervisor::partitions)`()` | how many partitions keys go to |
//! | [`resize`](PartitionSupervisor::resize)`(n)` | fewer partitions, or as many as at the start again |
//! | [`which_children`](PartitionSupervisor::which_children), [`count_children`](PartitionSupervisor::count_children) | as of any supervisor; ids are the indexes |
//! | [`stop`](PartitionSupervisor::stop) | partitions and supervisor are down |
//!
//! Lookups fail with a [`PartitionError`]: nobody has the name, somebody else has it, no partition is left, or the key's partition is being
//! restarted.
//!
//! # When not to use
//! Where the work of one key is the bottleneck: all of it still goes to one process. Where requests concern several keys at once: they would
//! have to ask several partitions, and nothing happens at one moment in all of them. Where reads are the load: reads of *one* idle server
//! run in parallel already ([`HandleRead`](crate::HandleRead)).
//!
//! # Supervise it
//! It is a supervisor: a child of type supervisor, without a limit for its shutdown. All partitions share its restart intensity.
//!
//! # Differences from Elixir
//! * The name is an argument of [`of`](PartitionSupervisor::of), the handle is typed: a call that the partitions do not handle does not compile.
//! * A lookup that finds nothing is an error, where Elixir raises; a call by a [`via`](PartitionSupervisor::via) name fails with `NoProc`.
//! * `resize` does all or nothing: when a partition does not start again, the number of partitions stays.
//! * Starting a server *under* a partition's name is refused.

use std::any::{TypeId, type_name};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use super::admin::{ChildCounts, ChildInfo, ChildRefused};
use super::child::Child;
use super::error::RestartChildError;
use super::handle::SupervisorRef;
use super::partition_route::Route;
pub use super::partition_spec::PartitionSupervisorSpec;
use super::partition_spec::{Shared, id_of, published, the_same};
use super::server::{RestartChild, Supervisor, TerminateChild};
use crate::call::error::short;
use crate::gen_server::StopError;
use crate::gen_server::refs::{Found, Resolve};
use crate::node::current;
use crate::process::cell::{Proc, ProcRef};
use crate::{CallError, Cx, ExitReason, GenServer, HandleCall, Name, Ref, StartError};

/// The partitions of a server `S`, found by key. See the [module documentation](self).
///
/// A handle means either one partition supervisor (from [`PartitionSupervisorSpec::start_link`] or [`PartitionSupervisorSpec::handle`]),
/// through all its restarts, or whatever partition supervisor has a name on the current node (from [`named`](Self::named)). Cheap to clone.
pub struct PartitionSupervisor<S> {
    place: Place,
    server: std::marker::PhantomData<fn(S)>,
}

#[derive(Clone)]
enum Place {
    Bound(Arc<Shared>),
    /// What was found first is remembered, and used as long as it runs and is of the current node.
    Named(Name<Supervisor>, OnceLock<Arc<Shared>>),
}

impl<S> Clone for PartitionSupervisor<S> {
    fn clone(&self) -> Self {
        PartitionSupervisor { place: self.place.clone(), server: std::marker::PhantomData }
    }
}

impl<S: GenServer> PartitionSupervisor<S> {
    /// A partition supervisor under this name, every partition of which runs `child`: started again and again, as if by a supervisor. The child's
    /// id is not used; a name of its own it must not have.
    pub fn of(name: impl Into<Name<Supervisor>>, child: Child<S>) -> PartitionSupervisorSpec<S> {
        PartitionSupervisorSpec::new(name.into(), the_same(child))
    }

    /// A partition supervisor under this name, with a child of its own in each partition: `describe` gets the index, from 0, at each start
    /// of the supervisor, inside its process. Restarts of a partition use the child that it was first started with.
    pub fn of_each(
        name: impl Into<Name<Supervisor>>,
        describe: impl Fn(usize) -> Child<S> + Send + Sync + 'static,
    ) -> PartitionSupervisorSpec<S> {
        PartitionSupervisorSpec::new(name.into(), Arc::new(move |partition| describe(partition).erase()))
    }

    /// The partition supervisor of this name on the current node, found when it is used. Make it a `static`: the handle remembers what it
    /// found, so that only its first use pays for the search.
    pub const fn named(name: &'static str) -> PartitionSupervisor<S> {
        let place = Place::Named(Name::new(name), OnceLock::new());
        PartitionSupervisor { place, server: std::marker::PhantomData }
    }

    pub(super) fn bound(shared: Arc<Shared>) -> PartitionSupervisor<S> {
        PartitionSupervisor { place: Place::Bound(shared), server: std::marker::PhantomData }
    }

    /// The supervisor's name.
    pub fn name(&self) -> String {
        self.named_as().display()
    }

    fn named_as(&self) -> &Name<Supervisor> {
        match &self.place {
            Place::Bound(shared) => &shared.name,
            Place::Named(name, _) => name,
        }
    }

    fn unknown(&self) -> PartitionError {
        PartitionError::Unknown { name: self.name() }
    }

    /// Calls `f` with what the running supervisor shares.
    #[inline]
    fn on<R>(&self, f: impl FnOnce(&Arc<Shared>) -> Result<R, PartitionError>) -> Result<R, PartitionError> {
        match &self.place {
            Place::Bound(shared) if shared.is_open() => f(shared),
            Place::Bound(_) => Err(self.unknown()),
            Place::Named(name, found) => match found.get() {
                Some(shared) if shared.is_open() && current::current_index() == Some(shared.node()) => {
                    f(shared)
                },
                _ => {
                    let shared = self.search(name)?;
                    let result = f(&shared);
                    let _ = found.set(shared);
                    result
                },
            },
        }
    }

    #[cold]
    fn search(&self, name: &Name<Supervisor>) -> Result<Arc<Shared>, PartitionError> {
        let wrong = |found: &'static str| PartitionError::WrongType {
            name: self.name(),
            expected: short(type_name::<Self>()),
            found,
        };
        let proc = match name.target().find() {
            Found::Named(proc) => proc,
            Found::Here(proc) => proc.clone(),
            Found::Nobody => return Err(self.unknown()),
            Found::NoNode => return Err(PartitionError::NoNode),
            Found::WrongType => return Err(wrong("server of another type")),
        };
        match published(&proc) {
            Some(shared) if shared.server != TypeId::of::<S>() => {
                Err(wrong("partition supervisor of other servers"))
            },
            Some(shared) if shared.is_open() => Ok(shared),
            Some(_) => Err(self.unknown()),
            None => Err(wrong("supervisor without partitions")),
        }
    }

    /// Calls `f` with the partition of a route, and with what has it.
    #[inline]
    fn find<R>(
        &self,
        route: Route,
        f: impl FnOnce(&Arc<Shared>, usize) -> Result<R, PartitionError>,
    ) -> Result<R, PartitionError> {
        self.on(|shared| match shared.live() {
            0 => Err(PartitionError::NoPartitions { name: self.name() }),
            n => f(shared, route.among(n)),
        })
    }

    /// The process of a key's partition, as a handle to use at once.
    ///
    /// This asks nobody, and is cheaper than a lookup in a [registry](crate::registry). The handle means this process for ever; what is kept
    /// for later is a name, by [`via`](Self::via).
    ///
    /// # Errors
    /// [`PartitionError::NotRunning`] while the partition is being restarted, or if its child chose not to start;
    /// [`PartitionError::NoPartitions`] after a [`resize`](Self::resize) to 0; [`PartitionError::Unknown`],
    /// [`PartitionError::WrongType`] and [`PartitionError::NoNode`] as for every lookup.
    #[inline]
    pub fn get(&self, key: &(impl Hash + ?Sized)) -> Result<Ref<S>, PartitionError> {
        self.find(Route::of(key), |shared, partition| self.process(shared, partition))
    }

    /// The index of a key's partition: its absolute value modulo their number for an integer, by its hash for any other key.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::{PartitionSupervisor, Supervised};
    /// let counters = PartitionSupervisor::of("counters", Counter::child_spec(0)).partitions(4).start_link().await?;
    /// assert_eq!((counters.index_of(&6)?, counters.index_of(&-6)?), (2, 2));
    /// assert_eq!(counters.get(&6)?, counters.partition(2)?);
    /// assert_eq!(counters.index_of("lobby")?, counters.index_of("lobby")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// As for [`get`](Self::get), but it does not matter whether the partition runs.
    pub fn index_of(&self, key: &(impl Hash + ?Sized)) -> Result<usize, PartitionError> {
        self.find(Route::of(key), |_, partition| Ok(partition))
    }

    /// The process of the partition with this index.
    ///
    /// # Errors
    /// As for [`get`](Self::get); an index that is too large is [`PartitionError::NotRunning`].
    pub fn partition(&self, index: usize) -> Result<Ref<S>, PartitionError> {
        self.on(|shared| self.process(shared, index))
    }

    #[inline]
    fn process(&self, shared: &Shared, partition: usize) -> Result<Ref<S>, PartitionError> {
        let running = shared.process(partition).map(Ref::from_proc);
        running.ok_or_else(|| PartitionError::NotRunning { name: self.name(), partition })
    }

    /// The name of a key's partition, to call it by: found anew at each use, so it survives restarts and goes by the number of partitions
    /// of that time. A call fails with `NoProc` when [`get`](Self::get) would fail; a cast is lost.
    ///
    /// For a single call [`get`](Self::get) is cheaper. No server can be started under the name.
    pub fn via<K>(&self, key: K) -> Name<S>
    where
        K: Hash + fmt::Debug + Send + Sync + 'static,
    {
        Name::via(Arc::new(Via { partitions: self.clone(), route: Route::of(&key), key }))
    }

    /// How many partitions keys go to.
    ///
    /// # Errors
    /// [`PartitionError::Unknown`], [`PartitionError::WrongType`], [`PartitionError::NoNode`].
    pub fn partitions(&self) -> Result<usize, PartitionError> {
        self.on(|shared| Ok(shared.live()))
    }

    /// The supervisor itself.
    ///
    /// # Errors
    /// As for [`partitions`](Self::partitions).
    pub fn supervisor(&self) -> Result<SupervisorRef, PartitionError> {
        self.on(|shared| shared.supervisor().map(Ref::from_proc).ok_or_else(|| self.unknown()))
    }

    /// Makes keys go to the first `n` partitions, and no more than those run: the others are stopped, the youngest first, or started again, and
    /// when this returns that is done. `n` is at most the number of partitions that the supervisor was started with; its restart
    /// brings that number back.
    ///
    /// A key's partition changes with their number, and nothing moves what the old one knew: this is for partitions without a state that
    /// matters, such as caches and pools.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::supervisor::ResizeError;
    /// use purlin_core::{PartitionSupervisor, Supervised};
    /// let counters = PartitionSupervisor::of("counters", Counter::child_spec(0)).partitions(4).start_link().await?;
    /// counters.resize(1).await?;
    /// assert_eq!(counters.get(&3)?, counters.partition(0)?);
    /// counters.resize(4).await?;
    /// assert_eq!((counters.partitions()?, counters.count_children().await?.active), (4, 4));
    /// assert!(matches!(counters.resize(5).await, Err(ResizeError::TooMany { asked: 5, most: 4 })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`ResizeError`]; the number of partitions is as before.
    pub async fn resize(&self, n: usize) -> Result<(), ResizeError> {
        let (supervisor, shared) = self
            .on(|shared| {
                let supervisor = shared.supervisor().ok_or_else(|| self.unknown())?;
                Ok((Ref::<Supervisor>::from_proc(supervisor), shared.clone()))
            })
            .map_err(ResizeError::Lookup)?;
        if n > shared.most() {
            return Err(ResizeError::TooMany { asked: n, most: shared.most() });
        }
        supervisor.call(Resize { to: n, shared }).infinity().await.map_err(ResizeError::Call)?
    }

    /// All partitions, the one with the highest index first; ids are the indexes as text. The supervisor is asked, by its name.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::{PartitionSupervisor, Supervised};
    /// let counters = PartitionSupervisor::of("counters", Counter::child_spec(0)).partitions(2).start_link().await?;
    /// assert_eq!(counters.name(), "counters");
    /// let ids: Vec<_> = counters.which_children().await?.into_iter().map(|child| child.id.unwrap().to_string()).collect();
    /// assert_eq!(ids, ["1", "0"]);
    /// assert_eq!(counters.supervisor()?.count_children().await?.workers, 2);
    /// counters.stop().await?;
    /// assert!(counters.partitions().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// The supervisor is not there, or did not answer.
    #[track_caller]
    pub fn which_children(&self) -> impl Future<Output = Result<Vec<ChildInfo>, CallError>> + Send + '_ {
        self.named_as().which_children()
    }

    /// How many partitions there are, running or not, and how many run. The supervisor is asked, by its name.
    ///
    /// # Errors
    /// The supervisor is not there, or did not answer.
    #[track_caller]
    pub fn count_children(&self) -> impl Future<Output = Result<ChildCounts, CallError>> + Send + '_ {
        self.named_as().count_children()
    }

    /// Stops the supervisor, and its partitions before it, and waits until all are down.
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop(&self) -> Result<(), StopError> {
        match self.supervisor() {
            Ok(supervisor) => supervisor.stop().await,
            Err(_) => self.named_as().stop().await,
        }
    }
}

impl<S: GenServer> From<String> for PartitionSupervisor<S> {
    /// [`named`](PartitionSupervisor::named) for a name made at run time.
    fn from(name: String) -> Self {
        let place = Place::Named(name.into(), OnceLock::new());
        PartitionSupervisor { place, server: std::marker::PhantomData }
    }
}

impl<S: GenServer> fmt::Debug for PartitionSupervisor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionSupervisor({:?})", self.name())
    }
}

/// Why no partition was found for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionError {
    /// No partition supervisor of this name is running on the node.
    Unknown {
        /// The name.
        name: String,
    },
    /// What runs under the name is something else: another server, an ordinary supervisor, or partitions of another type.
    WrongType {
        /// The name.
        name: String,
        /// The type that was expected.
        expected: &'static str,
        /// What has the name.
        found: &'static str,
    },
    /// There are 0 partitions: it was resized.
    NoPartitions {
        /// The supervisor's name.
        name: String,
    },
    /// The partition has no process just now: it is being restarted, or is not to run.
    NotRunning {
        /// The supervisor's name.
        name: String,
        /// The partition's index.
        partition: usize,
    },
    /// There is no current node, on which the name could be looked for.
    NoNode,
}

impl fmt::Display for PartitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionError::Unknown { name } => {
                write!(f, "no partition supervisor {name:?} is running on this node")
            },
            PartitionError::WrongType { name, expected, found } => {
                write!(f, "{name:?} is a {found}, not a `{expected}`")
            },
            PartitionError::NoPartitions { name } => {
                write!(f, "{name:?} has no partitions: it was resized to 0")
            },
            PartitionError::NotRunning { name, partition } => {
                write!(f, "partition {partition} of {name:?} is not running")
            },
            PartitionError::NoNode => f.write_str(crate::node::NO_NODE),
        }
    }
}

impl std::error::Error for PartitionError {}

/// Why the number of partitions is as before.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ResizeError {
    /// The supervisor was started with fewer partitions.
    TooMany {
        /// The number asked for.
        asked: usize,
        /// The number it was started with.
        most: usize,
    },
    /// A partition did not start again.
    NotStarted {
        /// Its index.
        partition: usize,
        /// Why; `None` if the supervisor has forgotten it, because its child is temporary or was deleted.
        error: Option<StartError>,
    },
    /// The supervisor was not found.
    Lookup(PartitionError),
    /// The supervisor ended meanwhile.
    Call(CallError),
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResizeError::TooMany { asked, most } => {
                write!(f, "{asked} partitions are more than the {most} that the supervisor was started with")
            },
            ResizeError::NotStarted { partition, error: Some(error) } => {
                write!(f, "partition {partition} did not start again: {error}")
            },
            ResizeError::NotStarted { partition, error: None } => {
                write!(f, "partition {partition} cannot start again: the supervisor has forgotten it")
            },
            ResizeError::Lookup(error) => error.fmt(f),
            ResizeError::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ResizeError {}

/// Asks the supervisor to resize; handled inside it, so that nothing else starts or stops a partition meanwhile.
struct Resize {
    to: usize,
    shared: Arc<Shared>,
}

impl HandleCall<Resize> for Supervisor {
    type Reply = Result<(), ResizeError>;

    async fn handle_call(&mut self, Resize { to, shared }: Resize, cx: &mut Cx<Self>) -> Self::Reply {
        let now = shared.live();
        // First, so that nobody is sent to a partition that is being stopped.
        shared.set_live(now.min(to));
        stop(self, to..now, cx).await;
        for partition in now..to {
            if let Err(error) = start(self, partition, cx).await {
                stop(self, now..partition, cx).await;
                return Err(ResizeError::NotStarted { partition, error });
            }
        }
        shared.set_live(to);
        Ok(())
    }
}

/// Stops partitions, the youngest first. One that the supervisor does not know any more is not there to be stopped.
async fn stop(supervisor: &mut Supervisor, partitions: std::ops::Range<usize>, cx: &mut Cx<Supervisor>) {
    for partition in partitions.rev() {
        let _ = HandleCall::handle_call(supervisor, TerminateChild(id_of(partition)), cx).await;
    }
}

async fn start(
    supervisor: &mut Supervisor,
    partition: usize,
    cx: &mut Cx<Supervisor>,
) -> Result<(), Option<StartError>> {
    match HandleCall::handle_call(supervisor, RestartChild(id_of(partition)), cx).await {
        Ok(_) => Ok(()),
        Err(RestartChildError::Refused(ChildRefused::Running { .. } | ChildRefused::Restarting { .. })) => {
            Ok(())
        },
        Err(RestartChildError::Failed(error)) => Err(Some(error)),
        Err(_) => Err(None),
    }
}

/// A key as a name.
struct Via<S, K> {
    partitions: PartitionSupervisor<S>,
    route: Route,
    key: K,
}

impl<S: GenServer, K: fmt::Debug + Send + Sync> Resolve for Via<S, K> {
    #[inline]
    fn resolve(&self) -> Option<ProcRef> {
        self.partitions.find(self.route, |shared, partition| Ok(shared.process(partition))).ok()?
    }

    fn bind(&self, _: &Proc) -> Result<(), StartError> {
        let name = self.describe();
        Err(StartError::Failed(ExitReason::error(format!(
            "{name:?} is a partition, which its partition supervisor starts; it is a name to call by, not to start under"
        ))))
    }

    fn describe(&self) -> String {
        let key = format!("{:?}", self.key);
        // A text goes without its own quotes: what shows the name puts some around the whole.
        let plain = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(&key);
        format!("{}/{plain}", self.partitions.name())
    }
}
