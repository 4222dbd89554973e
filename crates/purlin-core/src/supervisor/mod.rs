//! Supervisors: processes that start other processes, watch them, and start them again.
//!
//! A program is a tree of supervisors with workers as leaves. A worker that fails crashes; its supervisor starts it anew, in a known good
//! state; if that does not help either, the supervisor gives up, and *its* supervisor starts the whole branch anew. Code that does the
//! work needs no code for what to do when it fails.
//!
//! # Example
//! ```
//! use purlin_core::{Cx, GenServer, HandleCall, InitError, Name, Restart, Supervised, Supervisor, secs};
//!
//! struct Counter(i64);
//!
//! impl GenServer for Counter {
//!     type Args = i64;
//!     async fn init(start: i64, _: &mut Cx<Self>) -> Result<Self, InitError> {
//!         Ok(Counter(start))
//!     }
//! }
//!
//! struct Add(i64);
//!
//! impl HandleCall<Add> for Counter {
//!     type Reply = i64;
//!     async fn handle_call(&mut self, Add(n): Add, _: &mut Cx<Self>) -> i64 {
//!         assert!(n >= 0, "this counter only goes up");
//!         self.0 += n;
//!         self.0
//!     }
//! }
//!
//! const VISITS: Name<Counter> = Name::new("visits");
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .max_restarts(3, secs(5))
//!     .child(Counter::child_spec(0).name(&VISITS))
//!     .child(Counter::child_spec(100).id("other").restart(Restart::Transient).shutdown(secs(1)))
//!     .start_link()
//!     .await?;
//!
//! assert_eq!(VISITS.call(Add(2)).await?, 2);
//! let before = VISITS.whereis().map(|counter| counter.pid());
//! assert!(VISITS.call(Add(-1)).await.is_err());                  // it crashes, and only it
//! assert_eq!(root.count_children().await?.active, 2);            // by now it has been started again, with its first arguments
//! assert_ne!(VISITS.whereis().map(|counter| counter.pid()), before);
//! assert_eq!(VISITS.call(Add(5)).await?, 5);
//! root.stop().await?;                                            // the youngest child first; all are down now
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! Give names to servers that others talk to: a [`Name`](crate::Name) finds the new process after a restart, a [`Ref`](crate::Ref)
//! means the old one for ever.
//!
//! # Children
//! | what | how |
//! |---|---|
//! | a server whose arguments are `Clone + Sync` | [`Counter::child_spec(args)`](Supervised::child_spec) |
//! | any other server | [`child_spec_with(\|\| args)`](Supervised::child_spec_with), or [`child_spec_once(args)`](Supervised::child_spec_once) if temporary |
//! | a supervisor | its description as it is, [`SupervisorSpec::child_spec`], [`Supervise::child_spec`] |
//! | a free-form process | [`ChildSpec::process`] |
//! | anything that some function starts | [`ChildSpec::custom`] |
//!
//! | field | meaning | default |
//! |---|---|---|
//! | `id` | names the child within its supervisor | its name; else its type |
//! | `name` | registered at each start | none |
//! | `restart` | [`Permanent`](Restart::Permanent): always; [`Transient`](Restart::Transient): unless it ended normally or by shutdown; [`Temporary`](Restart::Temporary): never, and it is forgotten | permanent |
//! | `shutdown` | how it is stopped: a time to do so, [`Infinity`](Shutdown::Infinity), or [`BrutalKill`](Shutdown::BrutalKill) | 5 s; a supervisor: infinity |
//! | `significant` | its own end can stop the supervisor, see [`AutoShutdown`] | false |
//!
//! # Start, stop, restart
//! * **Start.** In order, each when the one before is ready: `start_link().await` returns when the whole tree is up. A child that fails,
//!   or panics, takes those before it down again, in reverse order, and the start fails with [`FailedToStartChild`]. A child that
//!   says [`Ignore`](crate::InitError::Ignore) is kept without a process; a temporary one is forgotten.
//! * **Restart.** By the strategy: only the child that ended ([`one_for_one`](Supervisor::one_for_one)); all of them
//!   ([`one_for_all`](Supervisor::one_for_all)); it and those started after it ([`rest_for_one`](Supervisor::rest_for_one)). The others are
//!   stopped in reverse order first; then all concerned are started in order. A start that fails is tried again at once, by a message
//!   to itself, so that requests are answered in between.
//! * **Giving up.** Each attempt counts, also each retry. More than `max_restarts` within `period`, in whole seconds of the node's clock,
//!   and the supervisor stops its children and ends with `shutdown`.
//! * **Stop.** In reverse order, each child fully down before the next is asked, whether the supervisor was stopped, its parent ended,
//!   or it gave up. A child that does not end in its `shutdown` time is killed. When `stop()` returns, nothing is left of the tree.
//!
//! # Return values
//! Requests ([`start_child`](SupervisorRef::start_child), [`terminate_child`](SupervisorRef::terminate_child),
//! [`restart_child`](SupervisorRef::restart_child), [`delete_child`](SupervisorRef::delete_child),
//! [`which_children`](SupervisorRef::which_children), [`count_children`](SupervisorRef::count_children)) wait for as long as they take and
//! say exactly why they did nothing. What is started by request and fails is not tried again, and does not count as a restart.
//!
//! A supervisor calls nobody, but it does run its children's start: an `init` that calls its own supervisor waits for itself.
//!
//! # Which kind?
//! Children known when the program is written: [`Supervisor`], inline or as a module ([`Supervise`]). Children that come and go, or very
//! many: [`DynamicSupervisor`], see [`dynamic`]; one for each key, started when it is first wanted:
//! [find or start](crate::registry#find-or-start). One server split into several by a key: [`PartitionSupervisor`], see [`partition`].
//! A supervisor whose work is done when some child is done: `auto_shutdown`.
//!
//! # When not to use
//! For errors that one expects: those are values. A restart helps against what one did not think of; a supervisor that restarts a child
//! for ever because a remote host is down hides the fact and loses the child's mailbox each time. Let `init` succeed and connect afterwards
//! ([`Cx::continue_with`](crate::Cx::continue_with), a timer with a back-off), and make being disconnected a state of the server.
//!
//! # Debug it
//! Reports are logged with target `purlin::supervisor`: `child_terminated`, `start_error`, `shutdown_error`, and the one about giving up,
//! each with supervisor, child, reason and the restarts counted so far. The same as telemetry:
//! [`SUPERVISOR_CHILD_ERROR`](crate::telemetry::events::SUPERVISOR_CHILD_ERROR) and its neighbours. [`which_children`](fn@which_children)
//! lists the children of any supervisor by its pid, for tools that walk the tree.
//!
//! # Differences from Erlang
//! * Defaults are Elixir's: 3 restarts in 5 seconds. What types rule out (unknown strategies, negative numbers, missing start functions)
//!   has no error. `modules` is one type's name.
//! * A child start returns a process and nothing else, so there is no extra return value; `start_child` of a dynamic supervisor answers a
//!   typed handle instead.
//! * An exit *signal* that a living child sends to its supervisor is not taken for its end.
//! * For a supervisor that no process started, whatever is outside every process stands for its parent: an exit signal from there, and the
//!   shutdown of the node, stop it.
//! * `simple_one_for_one` is [`DynamicSupervisor`]; `code_change` is [`update`](SupervisorRef::update).

pub(crate) mod admin;
pub(crate) mod builder;
pub(crate) mod child;
pub mod dynamic;
pub(crate) mod dynamic_handle;
pub(crate) mod dynamic_policy;
pub(crate) mod effects;
pub(crate) mod error;
pub(crate) mod flags;
pub(crate) mod handle;
pub(crate) mod intensity;
pub mod partition;
pub(crate) mod partition_route;
pub(crate) mod partition_spec;
pub(crate) mod query;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod spec;
pub(crate) mod strategy;

pub use admin::{ChildCounts, ChildInfo, ChildNotFound, ChildRefused, ChildStatus, StartRefused};
pub use builder::{Supervise, SupervisorInit, SupervisorSpec};
pub use child::{Child, ChildSpec, ReusableArgs, Supervised};
pub use dynamic::{DynamicSupervisor, DynamicSupervisorSpec, Extra};
pub use dynamic_handle::DynamicSupervisorRef;
pub use dynamic_policy::NotAChild;
pub use error::{
    DeleteChildError, FailedToStartChild, FindChildError, RestartChildError, StartChildError,
    TerminateChildError, UpdateError,
};
pub use flags::{AutoShutdown, DynamicFlags, Flags, FlagsError, Strategy};
pub use handle::SupervisorRef;
pub use partition::{PartitionError, PartitionSupervisor, PartitionSupervisorSpec, ResizeError};
pub use query::{is_supervisor, which_children};
pub use server::Supervisor;
pub use spec::{ChildId, ChildType, Restart, Shutdown, SpecError, SpecFields, check_childspecs};
pub use strategy::ConfigError;
