//! Applications: the parts of a program, each with a name, what it needs, a configuration and a supervision tree.
//!
//! A program that outgrows one tree is made of applications. Each can be started and stopped as a whole, after what it needs and before
//! what needs it; each has an environment of its own, which files, variables and the command line change; and it is decided, once, what
//! the end of each means for the node.
//!
//! # Example
//! ```
//! use purlin_core::application::{self, Application, ApplicationSpec, Mode, StartType};
//! use purlin_core::{Crash, Pid, Restart, Supervisor};
//! # use purlin_core::{Cx, GenServer, InitError, Supervised};
//! # struct Pool; impl GenServer for Pool { type Args = u32; async fn init(_: u32, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Pool) } }
//! # struct Web; impl GenServer for Web { type Args = u16; async fn init(_: u16, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Web) } }
//!
//! struct Db;
//!
//! impl Application for Db {
//!     type Args = ();
//!     async fn start(_: StartType, (): ()) -> Result<(Pid, Self), Crash> {
//!         let size = application::fetch_env("db", "pool.size")?;
//!         let root = Supervisor::one_for_one().child(Pool::child_spec(size)).start_link().await?;
//!         Ok((root.pid(), Db))
//!     }
//! }
//!
//! struct Shop;
//!
//! impl Application for Shop {
//!     type Args = ();
//!     async fn start(_: StartType, (): ()) -> Result<(Pid, Self), Crash> {
//!         let port = application::get_env("shop", "port")?.unwrap_or(8080);
//!         let root = Supervisor::one_for_one().child(Web::child_spec(port)).start_link().await?;
//!         Ok((root.pid(), Shop))
//!     }
//!     async fn prep_stop(&mut self) {
//!         // No new orders from here on; the tree still runs.
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let db = ApplicationSpec::new::<Db>("db", ()).env("pool.size", 10);
//! let shop = ApplicationSpec::new::<Shop>("shop", ()).application(db);
//! let started = application::ensure_all_started([shop], Restart::Permanent, Mode::Serial).await?;
//! assert_eq!(started, ["db".into(), "shop".into()]);
//!
//! application::stop("shop").await?;                                  // its tree is down; `db` goes on
//! assert!(application::get_supervisor("shop").is_none() && application::get_supervisor("db").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Loaded and started
//! [`load`] tells a node of an application and makes its environment; [`start`] starts it. Starts take a name, or a specification, which is
//! loaded first if need be. What an application depends on must run already ([`start`], [`ensure_started`]), or is started before it
//! ([`ensure_all_started`]). A stop does not look at who depends on what is stopped.
//!
//! | | loads | starts what is needed | if it runs |
//! |---|---|---|---|
//! | [`start`] | yes | no: `NotStarted` | `AlreadyStarted` |
//! | [`ensure_started`] | yes | no: `NotStarted` | fine |
//! | [`ensure_all_started`] | yes | yes | fine |
//!
//! # Its end
//! An application ends when its top process does, or when it is stopped. What the end means was decided at its start:
//!
//! | [`Restart`] | the end of the top process, or a start that fails |
//! |---|---|
//! | `Temporary` | is reported, and nothing else is touched |
//! | `Transient` | stops the node, unless the reason is `Normal`. A supervisor that gives up ends with `Shutdown`, so that is rarely what one wants |
//! | `Permanent` | stops the node: all other applications first, in order; [`Node::stop_reason`](crate::Node::stop_reason) tells why, and a program under `#[purlin::main]` ends with exit code 1 |
//!
//! [`stop`] is never a failure, whatever the type.
//!
//! A node that stops, because SIGTERM or Ctrl-C arrived under `#[purlin::main]`, by [`Node::shutdown`](crate::Node::shutdown), or by an
//! application's end, stops its applications in the reverse order of their start: `prep_stop`, then the tree from its youngest child on, then `stop`.
//! [`shutdown_timeout`](ApplicationSpec::shutdown_timeout) bounds that for one application.
//!
//! # Its processes
//! Callbacks run in the application's *master*, a process that no process started. Whatever descends from it belongs to the application, linked or
//! not: [`get_application`] finds it, and when the application has ended, nothing of it is left.
//!
//! The top process is to be started with `start_link` in [`start`](Application::start). It may be any process; a supervisor nearly always.
//!
//! # Configuration
//! Each application has an environment, a table of [values](EnvValue): the defaults of its specification, and over them what [`EnvConfig`] has
//! from files, variables and the command line ([`change_config`]). Read it where it is needed, at the latest moment, with a type:
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::application::{self, ApplicationSpec};
//! use std::time::Duration;
//! application::load(ApplicationSpec::library("shop").env("port", 80).env("poll.every", "5s"))?;
//! let port: u16 = application::fetch_env("shop", "port")?;
//! let every: Duration = application::fetch_env("shop", "poll.every")?;
//! let host = application::get_env("shop", "host")?.unwrap_or_else(|| "localhost".to_owned());
//! assert_eq!((port, every.as_secs(), host.as_str()), (80, 5, "localhost"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! Core reads no files: the module `purlin::config` (feature `config`) makes an [`EnvConfig`] from TOML files, variables of the operating
//! system's environment and the command line.
//!
//! The environment is for what whoever *operates* the program decides. What one part of a program tells another is an argument.
//!
//! # When not to use
//! A program with one tree needs no application: a supervisor started in `main` is stopped in order as well. A library that has no processes and
//! no configuration is a crate and nothing more.
//!
//! # Differences from Erlang and Elixir
//! * There is no resource file and no code path: a specification is a value, and names what it needs by name or as a specification. Nothing is
//!   global: each node has applications of its own.
//! * `mod`'s arguments have a type, [`Application::Args`]; start phases have no arguments of their own.
//! * The application's own state has a type as well; `prep_stop` changes it, `stop` gets it.
//! * A stop by a process of the application itself is an error at once, instead of a wait for ever. A shutdown timeout holds for every stop, not
//!   only for that of the node.
//! * A start that a stop of the node meets is called off.
//! * A circle of dependencies is an error that shows it.
//! * `maxT` does not exist; `maxP` and `modules` are ignored by OTP, too.

mod config;
mod controller;
mod env;
mod error;
mod master;
mod report;
mod spec;
mod start;

use std::future::{Future, poll_fn};
use std::sync::Arc;

pub use config::{ConfigChange, EnvConfig, EnvTables};
pub use env::{EnvError, EnvTable, EnvValue, FromEnv};
pub use error::{
    ApplicationTerminated, BadApplication, ConfigChangeError, EnsureStartedError, LoadError,
    StartApplicationError, StopApplicationError,
};
pub use spec::{App, Application, ApplicationInfo, ApplicationSpec, StartType};
pub use start::Mode;

use crate::call::slot;
use crate::node::Node;
use crate::process::raw;
use crate::{ExitReason, Pid, Restart};
use controller::Controller;

/// Loads an application, with those it includes: from now on it has an environment and can be started by its name.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, ApplicationSpec, LoadError};
/// application::load(ApplicationSpec::library("units").vsn("1.2.0"))?;
/// assert_eq!(application::load(ApplicationSpec::library("units")), Err(LoadError::AlreadyLoaded("units".into())));
/// assert_eq!(application::loaded_applications()[0].vsn, "1.2.0");
/// application::unload("units")?;
/// assert_eq!(application::spec("units"), None);
/// # Ok::<(), LoadError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// One of its name, or of the name of one it includes, is loaded; or the specification contradicts itself. Nothing is loaded then.
///
/// # Panics
/// When there is no current node, as all functions here.
#[track_caller]
pub fn load(spec: ApplicationSpec) -> Result<(), LoadError> {
    Controller::of(&Node::current()).load(&spec)
}

/// Forgets an application that does not run, with those it includes, and their environments. Persistent values are kept for the next
/// [`load`].
///
/// # Errors
/// It is not loaded, runs, or is part of another one.
#[track_caller]
pub fn unload(name: &str) -> Result<(), LoadError> {
    Controller::of(&Node::current()).unload(name)
}

/// Starts an application, and waits until its tree is up and its start phases are done. If a start of it is under way, waits for that.
///
/// `restart` says what its end means for the node; see the [module documentation](self#its-end).
///
/// Dropping the future does not call the start off.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::Restart::Temporary;
/// use purlin_core::application::{self, ApplicationSpec, StartApplicationError};
/// let prices = ApplicationSpec::library("prices").application("units");
/// let error = application::start(prices, Temporary).await.unwrap_err();
/// assert!(matches!(error, StartApplicationError::NotStarted { .. }));
/// application::start(ApplicationSpec::library("units"), Temporary).await?;
/// application::start("prices", Temporary).await?;                    // it is loaded by now
/// let running: Vec<_> = application::which_applications().into_iter().map(|app| app.name).collect();
/// assert_eq!(running, ["prices".into(), "units".into()]);
/// # Ok::<(), StartApplicationError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// It is not loaded, its specification is bad, it runs, something that it needs does not, its `start` or one of its phases failed, or the
/// node is stopping. It stays loaded.
#[track_caller]
pub fn start(
    app: impl Into<App>,
    restart: Restart,
) -> impl Future<Output = Result<(), StartApplicationError>> + Send {
    let (node, app) = (Node::current(), app.into());
    async move {
        let controller = Controller::of(&node);
        let name = start::load_if_given(&controller, app)?;
        start::start(&node, &controller, &name, restart).await.map(drop)
    }
}

/// [`start`], for which it is fine that the application runs.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, ApplicationSpec};
/// let units = ApplicationSpec::library("units");
/// for _ in 0..2 {
///     application::ensure_started(units.clone(), purlin_core::Restart::Temporary).await.unwrap();
/// }
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// As for [`start`], but for that one.
#[track_caller]
pub fn ensure_started(
    app: impl Into<App>,
    restart: Restart,
) -> impl Future<Output = Result<(), StartApplicationError>> + Send {
    let starting = start(app, restart);
    async move {
        match starting.await {
            Err(StartApplicationError::AlreadyStarted(_)) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Starts applications and everything that they need, all with this `restart`. Answers those that this call has started, in the order in
/// which they were up.
///
/// Names in the configuration that mean no loaded application are logged as warnings, once.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::Restart::Temporary;
/// use purlin_core::application::{self, ApplicationSpec, Mode};
/// let units = ApplicationSpec::library("units");
/// let prices = ApplicationSpec::library("prices").application(units);
/// let started = application::ensure_all_started([prices], Temporary, Mode::Concurrent).await?;
/// assert_eq!(started, ["units".into(), "prices".into()]);
/// assert!(application::ensure_all_started(["prices"], Temporary, Mode::Serial).await?.is_empty());
/// # Ok::<(), application::EnsureStartedError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// The first application that was not started, and why. Those that this call has started are stopped again, in reverse order.
#[track_caller]
pub fn ensure_all_started<A: Into<App>>(
    apps: impl IntoIterator<Item = A>,
    restart: Restart,
    mode: Mode,
) -> impl Future<Output = Result<Vec<Arc<str>>, EnsureStartedError>> + Send {
    let (node, apps): (Node, Vec<App>) = (Node::current(), apps.into_iter().map(Into::into).collect());
    async move {
        let controller = Controller::of(&node);
        start::ensure_all(&node, &controller, apps, restart, mode).await
    }
}

/// Stops a running application: `prep_stop`, its tree, `stop`. Returns when nothing of it is left. It stays loaded. Whatever depends on it goes on.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, ApplicationSpec, StopApplicationError};
/// application::start(ApplicationSpec::library("units"), purlin_core::Restart::Permanent).await.unwrap();
/// application::stop("units").await.unwrap();                         // on purpose: the node goes on
/// let error = StopApplicationError::NotStarted("units".into());
/// assert_eq!(application::stop("units").await, Err(error));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// It does not run; or a process of the application itself asked, which would wait for its own end.
#[track_caller]
pub fn stop(name: &str) -> impl Future<Output = Result<(), StopApplicationError>> + Send + '_ {
    let node = Node::current();
    async move { start::stop(&node, &Controller::of(&node), name).await }
}

/// The applications that run, the one started last first.
#[track_caller]
pub fn which_applications() -> Vec<ApplicationInfo> {
    let controller = Controller::of(&Node::current());
    let running = controller.all_running().into_iter().rev();
    running.filter_map(|running| Some(controller.spec(&running.name)?.info())).collect()
}

/// The applications that are loaded, by name; those that run among them.
#[track_caller]
pub fn loaded_applications() -> Vec<ApplicationInfo> {
    Controller::of(&Node::current()).all_loaded()
}

/// What the specification of a loaded application says (Erlang's `get_key`).
#[track_caller]
pub fn spec(name: &str) -> Option<ApplicationInfo> {
    Controller::of(&Node::current()).spec(name).map(|spec| spec.info())
}

/// The application that a live process belongs to: the nearest whose master it descends from. `None` for a process that descends from
/// none.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # use purlin_core::application::{Application, ApplicationSpec, StartType};
/// # use purlin_core::{Crash, Pid, Restart, Supervisor};
/// # struct Shop;
/// # impl Application for Shop {
/// #     type Args = ();
/// #     async fn start(_: StartType, (): ()) -> Result<(Pid, Self), Crash> {
/// #         Ok((Supervisor::one_for_one().start_link().await?.pid(), Shop))
/// #     }
/// # }
/// use purlin_core::application;
/// application::start(ApplicationSpec::new::<Shop>("shop", ()), Restart::Temporary).await.unwrap();
/// let top = application::get_supervisor("shop").unwrap();
/// assert_eq!(application::get_application(top).as_deref(), Some("shop"));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[track_caller]
pub fn get_application(pid: Pid) -> Option<Arc<str>> {
    let node = Node::current();
    let ancestry = master::ancestry(&*node.lookup(pid)?);
    Controller::of(&node).with_master_among(&ancestry)
}

/// The top process of a running application; `None` if it does not run or has no processes.
#[track_caller]
pub fn get_supervisor(name: &str) -> Option<Pid> {
    Controller::of(&Node::current()).running(name)?.top
}

/// A value of an application's environment, by key or path (`"pool.size"`); `None` if there is none.
///
/// Works whether the application is loaded or not: values may be [put](put_env) before.
///
/// # Errors
/// The value is not what `T` [takes](FromEnv); the error names application and key, what was wanted and what is there.
#[track_caller]
pub fn get_env<T: FromEnv>(application: &str, key: &str) -> Result<Option<T>, EnvError> {
    let Some(value) = Controller::of(&Node::current()).env(application, key) else { return Ok(None) };
    T::from_env(&value).map(Some).map_err(|problem| env_error(application, key, Some(problem)))
}

/// [`get_env`] for a value that must be there.
///
/// # Errors
/// Also when there is no value.
#[track_caller]
pub fn fetch_env<T: FromEnv>(application: &str, key: &str) -> Result<T, EnvError> {
    get_env(application, key)?.ok_or_else(|| env_error(application, key, None))
}

fn env_error(application: &str, key: &str, problem: Option<String>) -> EnvError {
    EnvError { application: application.to_owned(), key: key.to_owned(), problem }
}

/// All of an application's environment; empty if it has none.
#[track_caller]
pub fn get_all_env(application: &str) -> EnvTable {
    Controller::of(&Node::current()).all_env(application)
}

/// Puts a value into an application's environment, by key or path; tables on the way are made.
///
/// It holds until the environment is made anew: when the application is loaded, and when the configuration changes. Nobody is told of
/// it; an application that wants to know has [`config_change`](Application::config_change), and [`change_config`] calls that.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, ApplicationSpec};
/// application::put_env("shop", "pool.size", 3)?;
/// application::put_env_persistent("shop", "port", 8080)?;
/// application::load(ApplicationSpec::library("shop").env("pool.size", 10).env("port", 80)).unwrap();
/// assert_eq!(application::fetch_env("shop", "pool.size"), Ok(10));
/// assert_eq!(application::fetch_env("shop", "port"), Ok(8080));
/// assert_eq!(application::delete_env("shop", "port"), Some(8080.into()));
/// assert_eq!(application::get_all_env("shop").len(), 1);
/// # Ok::<(), application::EnvError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// The name or the key is empty, or has an empty part.
#[track_caller]
pub fn put_env(application: &str, key: &str, value: impl Into<EnvValue>) -> Result<(), EnvError> {
    check(application, key)?;
    Controller::of(&Node::current()).put_env(application, key, value.into(), false);
    Ok(())
}

/// [`put_env`] for a value that stays when the environment is made anew: it is stronger than defaults and files then, and weaker than
/// variables and the command line. On the present environment both do the same.
///
/// # Errors
/// As for [`put_env`].
#[track_caller]
pub fn put_env_persistent(application: &str, key: &str, value: impl Into<EnvValue>) -> Result<(), EnvError> {
    check(application, key)?;
    Controller::of(&Node::current()).put_env(application, key, value.into(), true);
    Ok(())
}

/// [`put_env`] for several values of several applications; all of them or, if anything is wrong, none.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application;
/// application::put_all_env([("shop", [("port", 80), ("size", 3)]), ("till", [("port", 81), ("size", 1)])])?;
/// let error = application::put_all_env([("shop", [("port", 82), ("port", 83)])]).unwrap_err();
/// assert_eq!(error.to_string(), "shop.port: given twice");
/// assert_eq!(application::fetch_env("shop", "port"), Ok(80));
/// # Ok::<(), application::EnvError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// A name or key is empty, an application or a key is there twice, or a key is inside of another one.
#[track_caller]
pub fn put_all_env<A, P, K, V>(config: impl IntoIterator<Item = (A, P)>) -> Result<(), EnvError>
where
    A: AsRef<str>,
    P: IntoIterator<Item = (K, V)>,
    K: AsRef<str>,
    V: Into<EnvValue>,
{
    let controller = Controller::of(&Node::current());
    let mut all: Vec<(String, Vec<(String, EnvValue)>)> = Vec::new();
    for (application, pairs) in config {
        let application = application.as_ref();
        if all.iter().any(|(other, _)| other == application) {
            return Err(env_error(application, "*", Some("given twice".to_owned())));
        }
        let mut own: Vec<(String, EnvValue)> = Vec::new();
        for (key, value) in pairs {
            let key = key.as_ref();
            check(application, key)?;
            if own.iter().any(|(other, _)| other == key) {
                return Err(env_error(application, key, Some("given twice".to_owned())));
            }
            let inside = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
            };
            if let Some((other, _)) = own.iter().find(|(other, _)| inside(key, other) || inside(other, key)) {
                return Err(env_error(application, key, Some(format!("overlaps with {other:?}"))));
            }
            own.push((key.to_owned(), value.into()));
        }
        all.push((application.to_owned(), own));
    }
    for (application, pairs) in all {
        for (key, value) in pairs {
            controller.put_env(&application, &key, value, false);
        }
    }
    Ok(())
}

/// Takes a value out of an application's environment, and returns it. Also one that was put as persistent.
#[track_caller]
pub fn delete_env(application: &str, key: &str) -> Option<EnvValue> {
    Controller::of(&Node::current()).delete_env(application, key)
}

fn check(application: &str, key: &str) -> Result<(), EnvError> {
    if application.is_empty() {
        return Err(env_error(application, key, Some("an application's name must not be empty".to_owned())));
    }
    env::check_path(key).map_err(|problem| env_error(application, key, Some(problem)))
}

/// Gives the node another configuration in the place of the one it has, at its start or at any time later.
///
/// The environments of all loaded applications are made anew: from their defaults, the configuration, and what was put as persistent; other
/// values that were [put](put_env) are gone. Then each running application for which something has changed is told by its
/// [`config_change`](Application::config_change), one after another, in the order of their start.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::application::{self, ApplicationSpec, EnvConfig};
/// application::load(ApplicationSpec::library("shop").env("port", 80)).unwrap();
/// let mut config = EnvConfig::default();
/// config.files.entry("shop".into()).or_default().insert("port".into(), 8080.into());
/// config.files.entry("shpo".into()).or_default().insert("port".into(), 8080.into());
/// application::change_config(config).await?;
/// assert_eq!(application::fetch_env("shop", "port"), Ok(8080));
/// assert_eq!(application::unknown_applications(), ["shpo"]);
/// # Ok::<(), application::ConfigChangeError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// Applications whose `config_change` failed or panicked; the configuration is in place all the same, and they go on.
#[track_caller]
pub fn change_config(config: EnvConfig) -> impl Future<Output = Result<(), ConfigChangeError>> + Send {
    let node = Node::current();
    async move {
        let concerned = Controller::of(&node).change_config(config);
        let mut failed = Vec::new();
        for (running, change) in concerned {
            let Some(master) = node.lookup(running.master) else { continue };
            let (mut waiter, replier) = slot::pair();
            let _ = master.push(raw::repack(master::Change(change, replier)));
            // No answer: it has ended meanwhile.
            if let Some(Err(reason)) = poll_fn(|cx| waiter.poll(cx)).await {
                failed.push((running.name.to_string(), reason));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(ConfigChangeError { failed }) }
    }
}

/// The names in the node's configuration that mean no loaded application: misspelt ones, or applications that are not loaded yet.
#[track_caller]
pub fn unknown_applications() -> Vec<String> {
    Controller::of(&Node::current()).unknown()
}

/// The reason of a node that an application's end has stopped, in a form that can be looked at.
impl ApplicationTerminated {
    /// What the term in [`Node::stop_reason`](crate::Node::stop_reason) holds, if it is this.
    ///
    /// ```
    /// use purlin_core::ExitReason;
    /// use purlin_core::application::ApplicationTerminated;
    /// assert!(ApplicationTerminated::of(&ExitReason::Normal).is_none());
    /// ```
    pub fn of(reason: &ExitReason) -> Option<&ApplicationTerminated> {
        reason.term()?.as_error()?.downcast_ref()
    }
}
