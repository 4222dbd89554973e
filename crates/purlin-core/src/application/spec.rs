//! Describing an application: the trait with its callbacks, and the specification with everything else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::config::ConfigChange;
use super::env::{self, EnvTable, EnvValue};
use super::error::BadApplication;
use crate::{Crash, Pid};

/// Why an application is started. For now there is one reason; others come with applications that move between nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StartType {
    /// Because it was asked for.
    Normal,
}

/// The callbacks of an application. The value is what the application keeps for itself between start and stop; `()`-like if it needs nothing.
///
/// All callbacks run in the application's master, a process of its own (see the [module documentation](super)). Only `start` is required.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, Application, ApplicationSpec, ConfigChange, StartType};
/// use purlin_core::{Crash, Pid, Restart, Supervisor};
///
/// struct Shop;
///
/// impl Application for Shop {
///     type Args = ();
///
///     async fn start(_: StartType, (): ()) -> Result<(Pid, Self), Crash> {
///         let root = Supervisor::one_for_one().start_link().await?;
///         Ok((root.pid(), Shop))
///     }
///     async fn start_phase(phase: &str, _: StartType, _: &()) -> Result<(), Crash> {
///         println!("{phase}: the tree is up");
///         Ok(())
///     }
///     async fn config_change(&mut self, change: &ConfigChange) -> Result<(), Crash> {
///         println!("{} values are new", change.new.len());
///         Ok(())
///     }
///     async fn prep_stop(&mut self) {
///         println!("no more orders");
///     }
///     async fn stop(self) {
///         println!("closed");
///     }
/// }
///
/// let shop = ApplicationSpec::new::<Shop>("shop", ()).start_phases(["warm", "open"]);
/// application::start(shop, Restart::Temporary).await?;
/// application::stop("shop").await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
pub trait Application: Sized + Send + 'static {
    /// What a start needs beside the environment; `()` for most.
    type Args: Clone + Send + Sync + 'static;

    /// Starts the supervision tree with `start_link`, and answers its top process and the application's own state.
    ///
    /// # Errors
    /// The application does not start; the reason reaches whoever started it. What was spawned meanwhile is killed.
    fn start(
        start_type: StartType,
        args: Self::Args,
    ) -> impl Future<Output = Result<(Pid, Self), Crash>> + Send;

    /// Runs for each of the specification's [start phases](ApplicationSpec::start_phases) in order, when the tree is up, and before the start
    /// returns; of an application that is [included](ApplicationSpec::included) in another one too. Does nothing by default.
    ///
    /// # Errors
    /// The start fails; the tree is stopped again.
    fn start_phase(
        phase: &str,
        start_type: StartType,
        args: &Self::Args,
    ) -> impl Future<Output = Result<(), Crash>> + Send {
        let _ = (phase, start_type, args);
        async { Ok(()) }
    }

    /// Runs before the tree is stopped; also when the top process has ended by itself, as in OTP. Does nothing by default.
    fn prep_stop(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Runs when the tree is down. Does nothing by default.
    fn stop(self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Runs when [`change_config`](super::change_config) has changed the application's environment. Does nothing by default.
    ///
    /// # Errors
    /// Reported to whoever changed the configuration; the application goes on.
    fn config_change(&mut self, change: &ConfigChange) -> impl Future<Output = Result<(), Crash>> + Send {
        let _ = change;
        async { Ok(()) }
    }
}

pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a start leaves: the top process, and the application's own state.
pub(super) type Launched = Result<(Pid, Box<dyn Running>), Crash>;

/// An application's callbacks before it runs, without its type.
pub(super) trait Module: Send + Sync {
    fn start(&self, start_type: StartType) -> Boxed<'static, Launched>;
    fn start_phase<'a>(&'a self, phase: &'a str, start_type: StartType) -> Boxed<'a, Result<(), Crash>>;
}

/// An application's callbacks while it runs, without its type.
pub(super) trait Running: Send {
    fn prep_stop(&mut self) -> Boxed<'_, ()>;
    fn stop(self: Box<Self>) -> Boxed<'static, ()>;
    fn config_change<'a>(&'a mut self, change: &'a ConfigChange) -> Boxed<'a, Result<(), Crash>>;
}

struct Callbacks<A: Application>(A::Args);

// Each callback begins inside its future: one that panics before it has made its own is caught with the rest of it.
impl<A: Application> Module for Callbacks<A> {
    fn start(&self, start_type: StartType) -> Boxed<'static, Launched> {
        let args = self.0.clone();
        Box::pin(async move {
            let (top, state) = A::start(start_type, args).await?;
            Ok((top, Box::new(state) as Box<dyn Running>))
        })
    }

    fn start_phase<'a>(&'a self, phase: &'a str, start_type: StartType) -> Boxed<'a, Result<(), Crash>> {
        Box::pin(async move { A::start_phase(phase, start_type, &self.0).await })
    }
}

impl<A: Application> Running for A {
    fn prep_stop(&mut self) -> Boxed<'_, ()> {
        Box::pin(async move { Application::prep_stop(self).await })
    }

    fn stop(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(async move { Application::stop(*self).await })
    }

    fn config_change<'a>(&'a mut self, change: &'a ConfigChange) -> Boxed<'a, Result<(), Crash>> {
        Box::pin(async move { Application::config_change(self, change).await })
    }
}

/// An application that another one needs.
#[derive(Clone)]
pub(super) struct Dependency {
    pub(super) name: Arc<str>,
    /// What is loaded if no application of this name is.
    pub(super) spec: Option<ApplicationSpec>,
    pub(super) optional: bool,
}

/// An application, described: its name, what it needs, its configuration, its callbacks. OTP's application resource file.
///
/// Cloning is cheap enough, and each clone describes the same application: a node has one of a name.
///
/// ```
/// use purlin_core::application::ApplicationSpec;
/// use purlin_core::secs;
/// let units = ApplicationSpec::library("units").vsn("1.2.0").description("Weights and measures");
/// let prices = ApplicationSpec::library("prices")
///     .application(units)                                            // started before it
///     .optional_application("discounts")                             // if there is one
///     .env("currency", "EUR")
///     .env("rounding.digits", 2)                                     // in a table
///     .registered(["prices"])
///     .shutdown_timeout(secs(10));
/// assert_eq!((prices.name(), prices.check()), ("prices", Ok(())));
/// let shop = ApplicationSpec::library("shop").included(prices);      // its tree starts what `prices` has
/// assert_eq!(shop.check(), Ok(()));
/// ```
#[derive(Clone)]
#[must_use = "an application starts when it is given to `application::start`"]
pub struct ApplicationSpec {
    pub(super) name: Arc<str>,
    pub(super) description: String,
    pub(super) vsn: String,
    pub(super) applications: Vec<Dependency>,
    pub(super) included: Vec<ApplicationSpec>,
    pub(super) env: EnvTable,
    pub(super) phases: Vec<Arc<str>>,
    pub(super) registered: Vec<Arc<str>>,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) module: Option<Arc<dyn Module>>,
    /// What was wrong with what the methods below got.
    problems: Vec<String>,
}

impl ApplicationSpec {
    /// An application with the callbacks of `A`, which is started with `args`.
    pub fn new<A: Application>(name: impl Into<Arc<str>>, args: A::Args) -> ApplicationSpec {
        let mut spec = ApplicationSpec::library(name);
        spec.module = Some(Arc::new(Callbacks::<A>(args)));
        spec
    }

    /// An application without processes: a name, dependencies, a configuration.
    pub fn library(name: impl Into<Arc<str>>) -> ApplicationSpec {
        ApplicationSpec {
            name: name.into(),
            description: String::new(),
            vsn: String::new(),
            applications: Vec::new(),
            included: Vec::new(),
            env: EnvTable::new(),
            phases: Vec::new(),
            registered: Vec::new(),
            shutdown_timeout: None,
            module: None,
            problems: Vec::new(),
        }
    }

    /// What it is, in a few words. Empty by default.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Its version, `env!("CARGO_PKG_VERSION")` for example. Empty by default.
    pub fn vsn(mut self, version: impl Into<String>) -> Self {
        self.vsn = version.into();
        self
    }

    /// Another application that must run before this one starts: by name, or as its specification, which is loaded if nothing of its name is.
    pub fn application(mut self, app: impl Into<App>) -> Self {
        let app = app.into();
        self.applications.push(Dependency { name: app.name, spec: app.spec, optional: false });
        self
    }

    /// Another application that is started before this one if it is loaded; that none is loaded is no error.
    pub fn optional_application(mut self, name: impl Into<Arc<str>>) -> Self {
        self.applications.push(Dependency { name: name.into(), spec: None, optional: true });
        self
    }

    /// An application that is part of this one: it is loaded with it, so that it has its environment, and cannot be started by
    /// itself. This application's tree starts its processes, and they belong to this application. Its `start` is never called; its
    /// [`start_phase`](Application::start_phase) is.
    pub fn included(mut self, spec: ApplicationSpec) -> Self {
        self.included.push(spec);
        self
    }

    /// A default value of its environment, by key or path (`"pool.size"`).
    pub fn env(mut self, key: &str, value: impl Into<EnvValue>) -> Self {
        match env::check_path(key) {
            Ok(()) => env::insert(&mut self.env, key, value.into()),
            Err(problem) => self.problems.push(problem),
        }
        self
    }

    /// Phases of the start, in order: for each of them [`start_phase`](Application::start_phase) is called, first for this application,
    /// then for the included ones that have the phase as well.
    pub fn start_phases<P: Into<Arc<str>>>(mut self, phases: impl IntoIterator<Item = P>) -> Self {
        self.phases = phases.into_iter().map(Into::into).collect();
        self
    }

    /// Names that its processes register. For people and tools only.
    pub fn registered<P: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = P>) -> Self {
        self.registered = names.into_iter().map(Into::into).collect();
        self
    }

    /// How long its stop may take, callbacks included, before all its processes are killed. Default: for ever, as in OTP; the supervisors'
    /// own `shutdown` settings and the limit of [`Node::shutdown`](crate::Node::shutdown) hold anyway.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.shutdown_timeout = Some(limit);
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks the specification, with those it includes.
    ///
    /// ```
    /// use purlin_core::application::ApplicationSpec;
    /// let error = ApplicationSpec::library("shop").application("shop").check().unwrap_err();
    /// assert_eq!(error.to_string(), "the application \"shop\" is specified badly: it depends on itself");
    /// ```
    ///
    /// # Errors
    /// What [`load`](super::load) would fail with.
    pub fn check(&self) -> Result<(), BadApplication> {
        match self.problem() {
            Some(problem) => Err(BadApplication { name: self.name.to_string(), problem }),
            None => self.included.iter().try_for_each(ApplicationSpec::check),
        }
    }

    fn problem(&self) -> Option<String> {
        if let Some(problem) = self.problems.first() {
            return Some(problem.clone());
        }
        if self.name.is_empty() || self.name.contains('.') {
            return Some("its name must not be empty, and must not have a dot".to_owned());
        }
        let needed: Vec<&str> = self.applications.iter().map(|other| &*other.name).collect();
        let included: Vec<&str> = self.included.iter().map(|other| &*other.name).collect();
        let phases: Vec<&str> = self.phases.iter().map(|phase| &**phase).collect();
        if needed.contains(&&*self.name) {
            return Some("it depends on itself".to_owned());
        }
        if included.contains(&&*self.name) {
            return Some("it includes itself".to_owned());
        }
        if let Some(name) = twice(&needed) {
            return Some(format!("it depends on {name:?} twice"));
        }
        if let Some(name) = twice(&included) {
            return Some(format!("it includes {name:?} twice"));
        }
        if let Some(name) = needed.iter().find(|name| included.contains(name)) {
            return Some(format!("it depends on {name:?}, which it includes"));
        }
        if let Some(phase) = twice(&phases) {
            return Some(format!("it has the start phase {phase:?} twice"));
        }
        (self.module.is_none() && !phases.is_empty())
            .then(|| "it has start phases, and no callbacks to run them".to_owned())
    }

    /// This application and all that it includes, in the order in which start phases visit them.
    pub(super) fn with_included(&self) -> Vec<&ApplicationSpec> {
        let below = self.included.iter().flat_map(ApplicationSpec::with_included);
        std::iter::once(self).chain(below).collect()
    }

    pub(super) fn info(&self) -> ApplicationInfo {
        let names = |optional: bool| -> Vec<Arc<str>> {
            let wanted = self.applications.iter().filter(|other| !optional || other.optional);
            wanted.map(|other| other.name.clone()).collect()
        };
        ApplicationInfo {
            name: self.name.clone(),
            description: self.description.clone(),
            vsn: self.vsn.clone(),
            applications: names(false),
            optional_applications: names(true),
            included_applications: self.included.iter().map(|other| other.name.clone()).collect(),
            start_phases: self.phases.clone(),
            registered: self.registered.clone(),
            shutdown_timeout: self.shutdown_timeout,
        }
    }
}

/// The first that is there twice.
fn twice<'a>(names: &[&'a str]) -> Option<&'a str> {
    names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)).map(|(_, name)| *name)
}

impl fmt::Debug for ApplicationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApplicationSpec").field(&self.info()).finish()
    }
}

/// An application that is meant: by name, or as its specification, which is loaded first unless one of its name is.
#[derive(Clone, Debug)]
pub struct App {
    pub(super) name: Arc<str>,
    pub(super) spec: Option<ApplicationSpec>,
}

impl From<&str> for App {
    fn from(name: &str) -> App {
        App { name: name.into(), spec: None }
    }
}

impl From<Arc<str>> for App {
    fn from(name: Arc<str>) -> App {
        App { name, spec: None }
    }
}

impl From<ApplicationSpec> for App {
    fn from(spec: ApplicationSpec) -> App {
        App { name: spec.name.clone(), spec: Some(spec) }
    }
}

/// What a specification says, for people and tools; from [`application::spec`](super::spec).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ApplicationInfo {
    /// The name.
    pub name: Arc<str>,
    /// What it is; may be empty.
    pub description: String,
    /// Its version; may be empty.
    pub vsn: String,
    /// What must run before it, optional ones included.
    pub applications: Vec<Arc<str>>,
    /// What is started before it if it is loaded.
    pub optional_applications: Vec<Arc<str>>,
    /// What is part of it.
    pub included_applications: Vec<Arc<str>>,
    /// The phases of its start.
    pub start_phases: Vec<Arc<str>>,
    /// Names that its processes register.
    pub registered: Vec<Arc<str>>,
    /// How long its stop may take; `None` for as long as it takes.
    pub shutdown_timeout: Option<Duration>,
}
