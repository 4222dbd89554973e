//! Children with their start function: typed while they are described, erased in a supervisor's list.
//!
//! ```text
//!  Counter::child_spec(args) ──► Child<Counter> ──┬─ .erase(), .into() ──► ChildSpec ──► Supervisor
//!                                                 └─ as it is ────────────────────────► DynamicSupervisor ──► Ref<Counter>
//!  ChildSpec::process("id", body), ChildSpec::custom("id", start) ──────► ChildSpec
//! ```
//! A child costs one allocation: the arguments and the start options behind one `Arc`, shared by all copies of a specification.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::spec::{ChildId, ChildType, Restart, Shutdown, SpecFields};
use crate::call::error::short;
use crate::gen_server::Start;
use crate::mailbox::bound::MailboxBound;
use crate::node::{Node, current};
use crate::process::cell::{BLOCKING, ProcRef};
use crate::process::raw;
use crate::process::spawn::Options as SpawnOptions;
use crate::sync::Mutex;
use crate::{ExitReason, GenServer, Mailbox, Name, Pid, StartError};

/// A child start under way. The process is linked to the one that polls this.
pub(crate) type Starting = Pin<Box<dyn Future<Output = Result<ProcRef, StartError>> + Send>>;

/// A child as a supervisor's policy takes it.
pub(crate) type Described = (SpecFields, Arc<dyn StartChild>);

/// Starts a child, any number of times.
pub(crate) trait StartChild: Send + Sync {
    fn start(&self) -> Starting;
}

/// What every server gets that a supervisor can start: its child specification. Implemented for all of them.
///
/// ```
/// # use purlin_core::{Cx, GenServer, InitError};
/// use purlin_core::supervisor::{Restart, Supervised};
/// # struct Counter(i64);
/// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
/// let child = Counter::child_spec(10).name("counter").restart(Restart::Transient);
/// assert_eq!(child.fields().id.as_str(), "counter");
/// ```
pub trait Supervised: GenServer {
    /// A child that is started, and restarted, with `args`.
    fn child_spec(args: Self::Args) -> Child<Self>
    where
        Self::Args: ReusableArgs,
    {
        Child::new(move || Ok(args.clone()))
    }

    /// A child whose arguments are made anew for each start. A panic in `make` is a failed start.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::{Supervised, Supervisor};
    /// use std::sync::atomic::{AtomicI64, Ordering};
    /// let starts = AtomicI64::new(0);
    /// let child = Counter::child_spec_with(move || starts.fetch_add(1, Ordering::Relaxed));
    /// Supervisor::one_for_one().child(child).start_link().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    fn child_spec_with(make: impl Fn() -> Self::Args + Send + Sync + 'static) -> Child<Self> {
        Child::new(move || Ok(make()))
    }

    /// A [`Temporary`](Restart::Temporary) child, started once: its arguments, a socket for example, need not be `Clone`.
    ///
    /// If it is made anything but temporary all the same, its restarts fail with a reason that says so.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, DynamicSupervisor, GenServer, InitError, Supervised};
    /// use std::sync::mpsc::{Receiver, channel};
    /// /// Owns something of which there is one only.
    /// struct Reader(Receiver<u8>);
    /// impl GenServer for Reader {
    ///     type Args = Receiver<u8>;
    ///     async fn init(source: Receiver<u8>, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Reader(source)) }
    /// }
    /// let readers = DynamicSupervisor::new().start_link().await?;
    /// readers.start_child(Reader::child_spec_once(channel().1)).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    fn child_spec_once(args: Self::Args) -> Child<Self> {
        let args = Mutex::new(Some(args));
        let make = move || args.lock().take().ok_or_else(|| StartError::Failed(ExitReason::error(USED_UP)));
        Child::new(make).restart(Restart::Temporary)
    }
}

impl<S: GenServer> Supervised for S {}

/// Arguments that can be given to a child again when it is restarted: `Clone` and `Sync`.
#[diagnostic::on_unimplemented(
    message = "a supervisor cannot start this child again: `{Self}` is not `Clone + Sync`",
    label = "the arguments would be gone after the first start",
    note = "use `child_spec_with(|| ..)`, which makes new arguments for each start",
    note = "or `child_spec_once(..)` for a temporary child, which is started only once"
)]
pub trait ReusableArgs: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> ReusableArgs for T {}

/// A child that is a server `S`: how it is started, stopped and restarted. From [`Supervised::child_spec`].
///
/// Defaults: id = the name if there is one, else the type's name; [`Restart::Permanent`]; 5 seconds to shut down (without limit for a
/// supervisor); not significant; unbounded mailbox.
#[must_use = "give it to a supervisor"]
pub struct Child<S: GenServer> {
    start: Arc<dyn TypedStart<S>>,
    id: Option<ChildId>,
    restart: Restart,
    shutdown: Option<Shutdown>,
    significant: bool,
    child_type: ChildType,
    module: &'static str,
    /// The name as text, for reports.
    name: Option<Arc<str>>,
}

impl<S: GenServer> Child<S> {
    pub(crate) fn new(make: impl Fn() -> Result<S::Args, StartError> + Send + Sync + 'static) -> Child<S> {
        Child {
            start: Arc::new(Typed { options: None, make, server: PhantomData }),
            id: None,
            restart: Restart::default(),
            shutdown: None,
            significant: false,
            child_type: if S::SUPERVISOR { ChildType::Supervisor } else { ChildType::Worker },
            module: short(S::__type_name()),
            name: None,
        }
    }

    /// Another type than `S` is shown as what implements the child.
    pub(crate) fn module(mut self, module: &'static str) -> Self {
        self.module = module;
        self
    }

    /// Registers the server under this name at each start. It is also the id, unless [`id`](Self::id) says otherwise.
    pub fn name(mut self, name: impl Into<Name<S>>) -> Self {
        let name = name.into();
        self.name = Some(name.display().into());
        self.options().name = Some(name);
        self
    }

    /// The id within the supervisor; only needed to tell two children without names of one type apart.
    pub fn id(mut self, id: impl Into<ChildId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When the child is started again; default [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How the child is terminated: a [`Shutdown`], or a `Duration` to give it.
    pub fn shutdown(mut self, shutdown: impl Into<Shutdown>) -> Self {
        self.shutdown = Some(shutdown.into());
        self
    }

    /// Whether the child's end can stop the supervisor; see [`AutoShutdown`](super::AutoShutdown).
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Worker or supervisor; right by itself, except for a server that acts as a supervisor of some other kind.
    pub fn child_type(mut self, child_type: ChildType) -> Self {
        self.child_type = child_type;
        self
    }

    /// Bounds the server's mailbox.
    pub fn mailbox(mut self, bound: MailboxBound) -> Self {
        self.options().mailbox = Some(bound);
        self
    }

    /// The server's handlers may block their thread; see [`Start::blocking`](crate::Start::blocking).
    pub fn blocking(mut self) -> Self {
        self.options().blocking = true;
        self
    }

    /// How long a start may take; for ever by default. The supervisor does nothing else meanwhile.
    ///
    /// ```
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::supervisor::ChildType;
    /// use purlin_core::{ChildSpec, Supervised, secs};
    /// let child = Counter::child_spec(0).start_timeout(secs(1)).child_type(ChildType::Worker);
    /// let child: ChildSpec = child.erase();                              // the same as `child.into()`
    /// assert_eq!(child.significant(false).child_type(ChildType::Supervisor).fields().id.as_str(), "Counter");
    /// ```
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.options().timeout = Some(limit);
        self
    }

    /// Everything but the start function.
    pub fn fields(&self) -> SpecFields {
        let id = match (&self.id, &self.name) {
            (Some(id), _) => id.clone(),
            (None, Some(name)) => name.clone().into(),
            (None, None) => ChildId::from_static(self.module),
        };
        SpecFields {
            id,
            restart: self.restart,
            shutdown: self.shutdown,
            significant: self.significant,
            child_type: self.child_type,
            name: self.name.clone(),
            module: self.module,
        }
    }

    /// The child without its type, for lists of different children.
    pub fn erase(self) -> ChildSpec {
        ChildSpec { fields: self.fields(), start: self.start }
    }

    fn options(&mut self) -> &mut Options<S> {
        match Arc::get_mut(&mut self.start) {
            Some(start) => start.options(),
            // A `Child` cannot be cloned, and gives its start away only when it is used up.
            None => unreachable!("a child's start is shared only when it is erased"),
        }
    }
}

/// A child of any kind, as supervisors keep it. Cloning is cheap.
///
/// From a [`Child`] by [`erase`](Child::erase) or `into()`; from [`process`](Self::process) and [`custom`](Self::custom) for what is no
/// GenServer.
#[derive(Clone)]
pub struct ChildSpec {
    fields: SpecFields,
    start: Arc<dyn StartChild>,
}

impl ChildSpec {
    /// A free-form process: `body` is run anew, with an empty mailbox, at each start. It is ready as soon as it is spawned.
    ///
    /// ```
    /// use purlin_core::{ChildSpec, Mailbox};
    /// let ticker = ChildSpec::process("ticker", |mut mailbox: Mailbox<u32>| async move {
    ///     while mailbox.receive().await > 0 {}
    /// });
    /// assert_eq!(ticker.fields().module, "process");
    /// ```
    pub fn process<M, F, Fut>(id: impl Into<ChildId>, body: F) -> ChildSpec
    where
        M: Send + 'static,
        F: Fn(Mailbox<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let start = RawStart { body: Arc::new(body), blocking: false, types: PhantomData };
        ChildSpec { fields: SpecFields::new(id, "process"), start: Arc::new(start) }
    }

    /// [`process`](Self::process) for a body that may block its thread; see [`process::spawn_blocking`](crate::process::spawn_blocking).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{ChildSpec, Mailbox, Supervised, Supervisor};
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Disk;
    /// # impl GenServer for Disk { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Disk) } }
    /// let watcher = ChildSpec::blocking_process("watcher", |mut mailbox: Mailbox<()>| async move {
    ///     while !mailbox.should_exit() {
    ///         std::thread::yield_now();                                  // waits for the disk
    ///     }
    /// });
    /// let root = Supervisor::one_for_one().child(watcher).child(Disk::child_spec(()).blocking()).start_link().await?;
    /// root.stop().await?;                                                // both have ended
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn blocking_process<M, F, Fut>(id: impl Into<ChildId>, body: F) -> ChildSpec
    where
        M: Send + 'static,
        F: Fn(Mailbox<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let start = RawStart { body: Arc::new(body), blocking: true, types: PhantomData };
        ChildSpec { fields: SpecFields::new(id, "process"), start: Arc::new(start) }
    }

    /// A child with a start function of its own, which runs inside the supervisor.
    ///
    /// It answers the pid of a process that it started, and should link it from the first moment (`start_link`, `spawn_link`): the
    /// supervisor makes sure of the link only when the function has returned. `Err(StartError::Ignore)` means no process and no failure.
    pub fn custom<F, Fut>(id: impl Into<ChildId>, start: F) -> ChildSpec
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Pid, StartError>> + Send + 'static,
    {
        ChildSpec { fields: SpecFields::new(id, "process"), start: Arc::new(CustomStart(start)) }
    }

    /// Everything but the start function.
    pub fn fields(&self) -> &SpecFields {
        &self.fields
    }

    /// Replaces the id.
    #[must_use]
    pub fn id(mut self, id: impl Into<ChildId>) -> Self {
        self.fields = self.fields.id(id);
        self
    }

    /// When the child is started again; default [`Restart::Permanent`].
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.fields = self.fields.restart(restart);
        self
    }

    /// How the child is terminated: a [`Shutdown`], or a `Duration` to give it.
    #[must_use]
    pub fn shutdown(mut self, shutdown: impl Into<Shutdown>) -> Self {
        self.fields = self.fields.shutdown(shutdown);
        self
    }

    /// Whether the child's end can stop the supervisor; see [`AutoShutdown`](super::AutoShutdown).
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.fields = self.fields.significant(significant);
        self
    }

    /// Worker or supervisor; the default of the shutdown follows.
    #[must_use]
    pub fn child_type(mut self, child_type: ChildType) -> Self {
        self.fields = self.fields.child_type(child_type);
        self
    }

    pub(crate) fn from_parts((fields, start): Described) -> ChildSpec {
        ChildSpec { fields, start }
    }

    pub(crate) fn into_parts(self) -> Described {
        (self.fields, self.start)
    }
}

impl<S: GenServer> From<Child<S>> for ChildSpec {
    fn from(child: Child<S>) -> Self {
        child.erase()
    }
}

impl From<&ChildSpec> for ChildSpec {
    fn from(spec: &ChildSpec) -> Self {
        spec.clone()
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChildSpec").field(&self.fields).finish()
    }
}

impl<S: GenServer> fmt::Debug for Child<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&self.fields()).finish()
    }
}

/// The start of a server whose type is known, so that its options can still be set.
trait TypedStart<S: GenServer>: StartChild {
    fn options(&mut self) -> &mut Options<S>;
}

struct Typed<S: GenServer, F> {
    /// Most children have none.
    options: Option<Box<Options<S>>>,
    make: F,
    server: PhantomData<fn(S)>,
}

struct Options<S: GenServer> {
    name: Option<Name<S>>,
    mailbox: Option<MailboxBound>,
    timeout: Option<Duration>,
    blocking: bool,
}

impl<S: GenServer> Default for Options<S> {
    fn default() -> Self {
        Options { name: None, mailbox: None, timeout: None, blocking: false }
    }
}

impl<S, F> TypedStart<S> for Typed<S, F>
where
    S: GenServer,
    F: Fn() -> Result<S::Args, StartError> + Send + Sync,
{
    fn options(&mut self) -> &mut Options<S> {
        self.options.get_or_insert_default()
    }
}

impl<S, F> StartChild for Typed<S, F>
where
    S: GenServer,
    F: Fn() -> Result<S::Args, StartError> + Send + Sync,
{
    fn start(&self) -> Starting {
        let args = match (self.make)() {
            Ok(args) => args,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let mut start = Start::new(args, true);
        if let Some(options) = &self.options {
            start = start.maybe_name(options.name.clone()).maybe_mailbox(options.mailbox);
            if let Some(limit) = options.timeout {
                start = start.timeout(limit);
            }
            if options.blocking {
                start = start.blocking();
            }
        }
        start.erased()
    }
}

struct RawStart<M, F> {
    body: Arc<F>,
    blocking: bool,
    types: PhantomData<fn(M)>,
}

impl<M, F, Fut> StartChild for RawStart<M, F>
where
    M: Send + 'static,
    F: Fn(Mailbox<M>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn start(&self) -> Starting {
        let body = self.body.clone();
        let flags = if self.blocking { BLOCKING } else { 0 };
        Box::pin(async move {
            let node = Node::try_current().ok_or(StartError::NoNode)?;
            let options = SpawnOptions { link: true, flags, ..SpawnOptions::default() };
            match raw::spawn(&node, options, move |mailbox: Mailbox<M>| async move { body(mailbox).await }) {
                Ok(spawned) => Ok(spawned.proc),
                Err(_) => unreachable!("a process without a name cannot clash with one"),
            }
        })
    }
}

struct CustomStart<F>(F);

impl<F, Fut> StartChild for CustomStart<F>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<Pid, StartError>> + Send + 'static,
{
    fn start(&self) -> Starting {
        let starting = (self.0)();
        Box::pin(async move {
            let pid = starting.await?;
            let proc = current::by_index(pid.node_index()).and_then(|node| node.lookup(pid));
            let proc = proc.ok_or(StartError::Failed(ExitReason::NoProc))?;
            // Linked already, if the start function did as it should. A supervisor traps exits, so this cannot fail: if the process
            // has ended meanwhile, its exit arrives as a message.
            let _ = crate::process::link(pid);
            Ok(proc)
        })
    }
}

const USED_UP: &str =
    "the arguments of `child_spec_once` were for one start only; use `child_spec` or `child_spec_with`";
