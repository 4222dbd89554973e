//! Process groups: processes by the name of a group, many per name and as often as they like.
//!
//! A group is a list of processes that others address together or choose one of: the workers of a kind, the connections of a user, everyone who
//! serves a shard. Groups come into being with their first member and go with the last. They live in a *scope*, which is a process with a table
//! that everybody reads without it; a program has one scope or several, which know nothing of each other.
//!
//! # Example
//! ```
//! use purlin_core::pg::Change;
//! use purlin_core::{Cx, GenServer, GroupEvent, InitError, Mailbox, Pg, Supervisor, process};
//!
//! static WORKERS: Pg<String> = Pg::named("workers");
//!
//! struct Worker;
//!
//! impl GenServer for Worker {
//!     type Args = String;
//!     async fn init(kind: String, cx: &mut Cx<Self>) -> Result<Self, InitError> {
//!         WORKERS.join(kind, cx.pid()).await?;
//!         Ok(Worker)
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(Pg::<String>::new("workers"))                        // before those who join
//!     .start_link()
//!     .await?;
//!
//! let first = Worker::start("resize".to_owned()).await?;
//! let second = Worker::start("resize".to_owned()).await?;
//! assert_eq!(WORKERS.get_members("resize")?.len(), 2);
//! assert_eq!(WORKERS.which_groups()?, ["resize"]);
//!
//! // Who wants to know, watches.
//! let manager = process::spawn(async move |mut mailbox: Mailbox<GroupEvent>| {
//!     let (monitor, members) = WORKERS.monitor(&mailbox, "resize".to_owned()).await.unwrap();
//!     assert_eq!(members.len(), 2);
//!     first.stop().await.unwrap();
//!     let event = mailbox.receive().await;
//!     assert_eq!((event.monitor, event.change, event.pids), (monitor, Change::Leave, vec![first.pid()]));
//!     assert!(WORKERS.demonitor(monitor).await.unwrap());
//! });
//! assert!(manager.wait().await.is_normal());
//! assert_eq!(WORKERS.get_members("resize")?, [second.pid()]);
//! # root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Operations
//! | what | result |
//! |---|---|
//! | [`join`](Pg::join)`(group, pids).await` | they are members, once more each |
//! | [`leave`](Pg::leave)`(group, pids).await` | one join of each is taken back; `NotJoined` if there was none at all |
//! | [`get_members`](Pg::get_members)`(&group)`, [`get_local_members`](Pg::get_local_members) | pids, each as often as it has joined, in no particular order |
//! | [`which_groups`](Pg::which_groups)`()`, [`which_local_groups`](Pg::which_local_groups) | the names of the groups that have members |
//! | [`monitor`](Pg::monitor)`(cx, group).await` | the members now, and a [`GroupEvent`] for every change from now on |
//! | [`monitor_scope`](Pg::monitor_scope)`(cx).await` | the same for all groups |
//! | [`demonitor`](Pg::demonitor)`(monitor).await` | whether it was on |
//!
//! `pids` is a pid, an array, a slice or a `Vec`. Anybody may let any process of the node join or leave. Names are values of one type per scope:
//! whatever is `Hash + Eq + Clone + Debug + Send + Sync` ([`Key`](crate::registry::Key)); reads take borrowed forms, a `&str` finds a
//! `String`. The async operations ask the scope's process and are done when they return; they have no deadline. The others read the table, also while that
//! process is busy. All fail with [`PgError::Unknown`] when the scope is not running.
//!
//! The default scope has the name `"pg"`:
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{Mailbox, Pg, pg, process};
//! let builder = Pg::<u64>::new(pg::DEFAULT_SCOPE);
//! let handle = builder.handle();                                  // to be given to others, before it runs and through restarts
//! builder.start().await?;
//! let shard = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
//! handle.join(17, [shard, shard]).await?;
//! handle.leave(17, shard).await?;
//! let watcher = process::spawn({
//!     let handle = handle.clone();
//!     async move |mailbox: Mailbox<purlin_core::GroupEvent<u64>>| {
//!         let (_, groups) = handle.monitor_scope(&mailbox).await.unwrap();
//!         assert_eq!(groups, [(17, vec![shard])]);
//!     }
//! });
//! assert!(watcher.wait().await.is_normal());
//! assert_eq!(Pg::<u64>::default().get_local_members(&17)?, [shard]);
//! assert_eq!(Pg::<u64>::default().which_local_groups()?, [17]);
//! assert!(handle.server()?.is_alive());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # When a member ends
//! From the moment a process must end, no read shows it. The scope's process hears of its end as anybody who monitors it does, removes what it had joined
//! and tells those who watch, with one event per group. Who has ended already does not join.
//!
//! # Events
//! An event carries the monitor, the group, and who joined or left. They come in the order of the changes. What was sent before
//! [`demonitor`](Pg::demonitor) may still be in the mailbox: it is told by its monitor. A process that watches is a process that handles
//! [`GroupEvent`]s: a monitor without a handler does not compile. The monitors of a process go with it.
//!
//! # When not to use it
//! * **For one process per name**: that is a [`Registry`](crate::Registry) with unique keys, which refuses the second one.
//! * **To tell everybody something**: [`PubSub`](crate::PubSub) is made for that, and quicker. A group is for who wants to *choose*: one member, some, the
//!   nearest.
//! * **With values per member**, or entries made by processes for themselves only: a [`Registry`](crate::Registry) with duplicate keys.
//!
//! # What it costs
//! A read is a lock, a hash and a look at each member. A join is a call to an idle process, a monitor for the first join of a process, and an event per
//! watcher.
//!
//! # Supervise it
//! A [`PgBuilder`] is a child of a supervisor as it is. If the scope's process ends, the groups are gone, and the members are not told: they join anew when
//! they are restarted, so put them behind the scope under a `rest_for_one` supervisor.
//!
//! # Differences from Erlang
//! * A scope's names have one type, and messages of changes another, so what nobody handles does not compile.
//! * The members of a group come with those left out that must end, even before the scope has heard of their end.
//! * A process that has ended already is not joined, and no event tells of it; Erlang tells of a join and a leave.
//! * The end of a process is one event per group, with its pid as often as it had joined; Erlang sends as many events.
//! * `demonitor` does not look for events in the mailbox. Who may not see them compares [`GroupEvent::monitor`].
//! * Reads of a scope that does not run are errors.
//! * There are no other nodes yet.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod server;
pub(crate) mod tables;

pub use error::PgError;
pub use handle::{Change, DEFAULT_SCOPE, GroupEvent, GroupMonitor, Groups, Pg, PgBuilder, Pids};
pub use server::PgServer;
