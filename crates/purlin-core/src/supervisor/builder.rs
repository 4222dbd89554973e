//! Describing a supervisor: inline with [`SupervisorSpec`], or as a module that implements [`Supervise`].

use std::fmt;
use std::time::Duration;

use super::child::{Child, ChildSpec, Described, ReusableArgs};
use super::flags::{AutoShutdown, Flags, Strategy};
use super::server::Supervisor;
use super::spec::check_childspecs;
use super::strategy::ConfigError;
use crate::call::error::short;
use crate::gen_server::Start;
use crate::{InitError, Name};

/// A supervisor and its children, described. From [`Supervisor::one_for_one`] and its siblings.
///
/// Cloning is cheap, and each clone can be started.
#[derive(Clone, Debug)]
#[must_use = "a supervisor starts when `start_link()` is awaited"]
pub struct SupervisorSpec {
    pub(super) flags: Flags,
    pub(super) children: Vec<ChildSpec>,
    name: Option<Name<Supervisor>>,
}

impl SupervisorSpec {
    /// A supervisor with these flags and no children.
    pub fn new(flags: Flags) -> SupervisorSpec {
        SupervisorSpec { flags, children: Vec::new(), name: None }
    }

    /// Another strategy.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.flags.strategy = strategy;
        self
    }

    /// At most `max_restarts` restarts within `period`, a whole number of seconds; one more stops the supervisor. Default: 3 within 5
    /// seconds; with 0 the first restart is one too many.
    pub fn max_restarts(mut self, max_restarts: u32, period: Duration) -> Self {
        self.flags.max_restarts = max_restarts;
        self.flags.period = period;
        self
    }

    /// Whether the supervisor stops when its significant children have ended. Default: never.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::{AutoShutdown, Restart, Supervised, Supervisor};
    /// let job = Counter::child_spec(0).restart(Restart::Temporary).significant(true);
    /// let root = Supervisor::one_for_all().auto_shutdown(AutoShutdown::AnySignificant).child(job.name("job")).start_link().await?;
    /// Counter::named("job").stop().await?;
    /// purlin_core::process::wait(root.pid()).await;                      // its work is done
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.flags.auto_shutdown = auto_shutdown;
        self
    }

    /// Registers the supervisor under this name.
    pub fn name(mut self, name: impl Into<Name<Supervisor>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a child, as the last in start order.
    pub fn child(mut self, child: impl Into<ChildSpec>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Adds children in order.
    pub fn children<C: Into<ChildSpec>>(mut self, children: impl IntoIterator<Item = C>) -> Self {
        self.children.extend(children.into_iter().map(Into::into));
        self
    }

    /// The flags.
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Checks flags and children without starting anything.
    ///
    /// ```
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::supervisor::{ConfigError, SpecError, Strategy};
    /// use purlin_core::{Supervised, Supervisor};
    /// let twins = [1, 2].map(Counter::child_spec);                       // with one id, which is their type's name
    /// let supervisor = Supervisor::one_for_one().strategy(Strategy::RestForOne).children(twins);
    /// assert_eq!(supervisor.flags().strategy, Strategy::RestForOne);
    /// let error = ConfigError::Spec(SpecError::DuplicateId { id: "Counter".into() });
    /// assert_eq!(supervisor.check(), Err(error));
    /// ```
    ///
    /// # Errors
    /// What the start would fail with.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.flags.check().map_err(ConfigError::Flags)?;
        check_childspecs(self.children.iter().map(ChildSpec::fields), self.flags.auto_shutdown)
            .map_err(ConfigError::Spec)
    }

    /// Starts the supervisor, linked with the calling process, and its children in order; awaiting the result waits for all of them.
    ///
    /// # Errors
    /// `StartError::Failed` with [`ExitReason::ShutdownWith`](crate::ExitReason::ShutdownWith) holding a
    /// [`FailedToStartChild`](super::FailedToStartChild) when a child did not start, with [`ExitReason::Error`](crate::ExitReason::Error)
    /// holding a [`ConfigError`] when flags or specifications are invalid; else what any server's start fails with.
    #[track_caller]
    pub fn start_link(self) -> Start<Supervisor> {
        self.launch(true)
    }

    /// [`start_link`](Self::start_link) without the link: the supervisor outlives the calling process.
    #[track_caller]
    pub fn start(self) -> Start<Supervisor> {
        self.launch(false)
    }

    #[track_caller]
    fn launch(mut self, link: bool) -> Start<Supervisor> {
        let name = self.name.take();
        Start::new(self.into(), link).maybe_name(name)
    }

    /// The supervisor as a child of another one. Each start of it starts its children from these specifications.
    pub fn child_spec(mut self) -> Child<Supervisor> {
        let name = self.name.take();
        let child = Child::new(move || Ok(self.clone().into()));
        match name {
            Some(name) => child.name(name),
            None => child,
        }
    }

    pub(super) fn into_parts(self) -> (Flags, Vec<Described>) {
        (self.flags, self.children.into_iter().map(ChildSpec::into_parts).collect())
    }
}

/// A supervisor can be given as a child as it is.
impl From<SupervisorSpec> for ChildSpec {
    fn from(spec: SupervisorSpec) -> Self {
        spec.child_spec().erase()
    }
}

/// What a supervisor is started with: a [`SupervisorSpec`], or the call of a module's [`init`](Supervise::init).
pub struct SupervisorInit {
    pub(super) make: Box<dyn FnOnce() -> Result<SupervisorSpec, InitError> + Send>,
    /// The module's type, shown as the process's label.
    pub(super) label: Option<&'static str>,
}

impl SupervisorInit {
    fn of<M: Supervise>(args: M::Args) -> SupervisorInit {
        SupervisorInit {
            make: Box::new(move || M::init(args)),
            label: Some(short(std::any::type_name::<M>())),
        }
    }
}

impl From<SupervisorSpec> for SupervisorInit {
    fn from(spec: SupervisorSpec) -> Self {
        SupervisorInit { make: Box::new(move || Ok(spec)), label: None }
    }
}

impl fmt::Debug for SupervisorInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SupervisorInit").field(&self.label.unwrap_or("inline")).finish()
    }
}

/// A supervisor as a module (`use Supervisor` in Elixir): its description is made from arguments at each start, inside the new process.
///
/// ```
/// # use purlin_core::{Cx, GenServer, InitError};
/// use purlin_core::{Supervise, Supervised, Supervisor, SupervisorSpec};
/// # #[derive(Clone)] struct Pool;
/// # struct Db; impl GenServer for Db { type Args = u16; async fn init(_: u16, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Db) } }
/// # struct Web; impl GenServer for Web { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Web) } }
/// struct Shop;
///
/// impl Supervise for Shop {
///     type Args = u16;
///     fn init(port: u16) -> Result<SupervisorSpec, InitError> {
///         if port == 0 {
///             return Err(InitError::Ignore);
///         }
///         Ok(Supervisor::rest_for_one().child(Db::child_spec(port)).child(Web::child_spec(())))
///     }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// let root = Supervisor::one_for_one().child(Shop::child_spec(8080)).start_link().await?;
/// assert_eq!(root.count_children().await?.supervisors, 1);
/// let alone = Shop::start_link(5432).await?;
/// assert_eq!(alone.count_children().await?.active, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
pub trait Supervise: 'static {
    /// What a start needs.
    type Args: Send + 'static;

    /// Describes the supervisor. A name given to the description is not looked at: give it to the start.
    ///
    /// # Errors
    /// `InitError::Ignore` to start nothing; anything else fails the start.
    fn init(args: Self::Args) -> Result<SupervisorSpec, InitError>;

    /// Starts the supervisor, linked with the calling process. Name and time limit can be set on the result before it is awaited.
    #[track_caller]
    fn start_link(args: Self::Args) -> Start<Supervisor>
    where
        Self: Sized,
    {
        Start::new(SupervisorInit::of::<Self>(args), true)
    }

    /// [`start_link`](Self::start_link) without the link.
    #[track_caller]
    fn start(args: Self::Args) -> Start<Supervisor>
    where
        Self: Sized,
    {
        Start::new(SupervisorInit::of::<Self>(args), false)
    }

    /// The supervisor as a child of another one; its id is the type's name.
    fn child_spec(args: Self::Args) -> Child<Supervisor>
    where
        Self: Sized,
        Self::Args: ReusableArgs,
    {
        Child::new(move || Ok(SupervisorInit::of::<Self>(args.clone())))
            .module(short(std::any::type_name::<Self>()))
    }
}
