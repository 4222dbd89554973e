//! Registries: processes found by key, without a process in between.
//!
//! A local name belongs to the program: there are few, and they are known when it is written. A [`Registry`] is for processes that come and
//! go at run time: one per room, per device, per customer. A process registers itself under a key with a value; everybody looks up,
//! calls and dispatches by the key; when the process ends, its entries are gone before anybody hears of it. Keys are ordinary values and
//! values are typed: nothing leaks, and a key of the wrong type does not compile.
//!
//! # Example
//! ```
//! use purlin_core::{Cx, GenServer, HandleCall, InitError, Registry, StartError, Supervisor};
//!
//! /// One process per room.
//! struct Room {
//!     visitors: u32,
//! }
//!
//! impl GenServer for Room {
//!     type Args = ();
//!     async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
//!         Ok(Room { visitors: 0 })
//!     }
//! }
//!
//! struct Enter;
//!
//! impl HandleCall<Enter> for Room {
//!     type Reply = u32;
//!     async fn handle_call(&mut self, _: Enter, _: &mut Cx<Self>) -> u32 {
//!         self.visitors += 1;
//!         self.visitors
//!     }
//! }
//!
//! static ROOMS: Registry<String> = Registry::named("rooms");
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(Registry::<String>::unique("rooms"))                // before those who use it
//!     .start_link()
//!     .await?;
//!
//! // A key is a name: to start a server under, and to call it by.
//! let lobby = ROOMS.via::<Room>("lobby".to_owned());
//! let first = Room::start(()).name(&lobby).await?;
//! assert_eq!(lobby.call(Enter).await?, 1);
//! assert_eq!(Room::start(()).name(&lobby).await.unwrap_err(), StartError::AlreadyStarted(first.pid()));
//!
//! // For one call, without making a name:
//! if let Some(room) = ROOMS.get::<Room>("lobby")? {
//!     assert_eq!(room.call(Enter).await?, 2);
//! }
//!
//! first.stop().await?;
//! assert_eq!(ROOMS.whereis("lobby")?, None);
//! root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Unique and duplicate keys
//! In a [`unique`](Registry::unique) registry a key has one entry at most: use it for names. In a [`duplicate`](Registry::duplicate)
//! one it has any number, of one process or of several: use it for groups and subscriptions.
//!
//! ```
//! use purlin_core::{Mailbox, Registry, process};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let topics = Registry::<&str, u8>::duplicate("topics").start_link().await?;
//! let subscriber = process::spawn({
//!     let topics = topics.clone();
//!     async move |mut mailbox: Mailbox<&str>| {
//!         topics.register("news", 1).expect("a process may register as often as it likes");
//!         mailbox.receive().await;                               // "go"
//!         assert_eq!(mailbox.receive().await, "hello");
//!     }
//! });
//! # while topics.count()? == 0 { tokio::task::yield_now().await; }
//! subscriber.send("go");
//! topics.dispatch("news", |entries| {
//!     for (pid, priority) in entries {
//!         assert_eq!(*priority, 1);
//!         process::send(*pid, "hello");
//!     }
//! })?;
//! # subscriber.wait().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Operations
//! | what | who | result |
//! |---|---|---|
//! | [`register`](Registry::register)`(key, value)` | a process, itself | `AlreadyRegistered(pid)` when a unique key is taken, also by the caller |
//! | [`unregister`](Registry::unregister)`(&key)` | a process, its own entries of the key | fine without any |
//! | [`unregister_match`](Registry::unregister_match)`(&key, f)` | a process, its own entries of the key whose values `f` wants | fine without any |
//! | [`update_value`](Registry::update_value)`(&key, f)` | the process that has the unique key | `(new, old)`; else `NotRegistered`, and `f` is not called |
//! | [`lookup`](Registry::lookup)`(&key)` | anybody | all entries, the oldest first |
//! | [`whereis`](Registry::whereis), [`get`](Registry::get)`(&key)` | anybody | the pid, or the typed handle, of the oldest entry |
//! | [`dispatch`](Registry::dispatch)`(&key, f)` | anybody | `f` runs in the caller; not at all without entries |
//! | [`dispatch_parallel`](Registry::dispatch_parallel)`(&key, f)` | anybody | `f` runs in one process per partition, with a part of the entries each |
//! | [`match_values`](Registry::match_values), [`count_match`](Registry::count_match)`(&key, f)` | anybody | the entries whose values `f` wants; how many |
//! | [`select`](Registry::select)`(f)` | anybody | what `f` picks from all entries |
//! | [`count_select`](Registry::count_select)`(f)` | anybody | how many of all entries `f` wants |
//! | [`keys`](Registry::keys)`(pid)`, [`values`](Registry::values)`(&key, pid)` | anybody | what one process has registered |
//! | [`count`](Registry::count)`()` | anybody | entries in all partitions |
//! | [`via`](Registry::via), [`via_with`](Registry::via_with)`(key, ..)` | anybody | a [`Name`](crate::Name); unique registries only |
//! | [`lock`](Registry::lock)`(key, f)` | anybody | `f` runs when the others who lock the key have done |
//! | [`meta`](Registry::meta), [`put_meta`](Registry::put_meta), [`delete_meta`](Registry::delete_meta) | anybody | values of the registry itself |
//!
//! Every operation is done when it returns, for all processes. Each fails with [`Unknown`](RegistryError::Unknown) when the registry is not
//! running, with [`WrongType`](RegistryError::WrongType) when the name belongs to something else (a registry with other types included),
//! with [`NoNode`](RegistryError::NoNode) where a name cannot be looked for. Lookups take borrowed keys: a `&str` finds a `String`.
//!
//! Keys must be `Hash + Eq + Clone + Debug + Send + Sync` ([`Key`]), values `Clone + Send + Sync`. A float is no key:
//! ```compile_fail
//! # use purlin_core::Registry;
//! # async fn f() {
//! Registry::<f64>::unique("prices").start_link().await;
//! # }
//! ```
//!
//! # Patterns
//! Entries can be chosen by what is in them. Where Elixir has match specifications, Rust has closures: patterns and guards go into `matches!`
//! or the arms of a `match`, and the compiler checks them.
//!
//! | Elixir | here |
//! |---|---|
//! | `Registry.match(R, key, {:guest, :"$1"}, [{:<, :"$1", 1900}])` | `r.match_values(&key, \|v\| matches!(v, Guest(since) if *since < 1900))` |
//! | `Registry.count_match(R, key, :admin)` | `r.count_match(&key, \|v\| *v == Admin)` |
//! | `Registry.unregister_match(R, key, {:guest, :_})` | `r.unregister_match(&key, \|v\| matches!(v, Guest(_)))` |
//! | `Registry.select(R, [{{:"$1", :"$2", :admin}, [], [{{:"$1", :"$2"}}]}])` | `r.select(\|key, pid, v\| (v == Admin).then_some((key, pid)))` |
//! | `Registry.count_select(R, [{{:_, :_, :admin}, [], [true]}])` | `r.count_select(\|_, _, v\| *v == Admin)` |
//!
//! The closures run in the caller, on copies of the entries, and may do what they like: use the registry, and panic.
//!
//! # Listeners
//! A process that wants to know who comes and goes is a listener: [`RegistryBuilder::listener`] names a server that gets a
//! [`RegistryEvent`] for each registration, and for each entry that its process takes out. Ends of processes are not reported this way: a listener
//! monitors whom it follows. Metrics need no process: see the telemetry events `REGISTRY_REGISTER` and `REGISTRY_UNREGISTER`.
//!
//! # Locks
//! [`lock`](Registry::lock) runs a piece of code while nobody else runs one under the same key: whoever comes meanwhile waits, in the order of
//! arrival, for 5 s unless told otherwise. It is for what has to be done once and is awkward to give a process of its own: to open a file,
//! to start a group of processes, to fill a cache.
//!
//! ```
//! use purlin_core::registry::LockError;
//! use purlin_core::{Registry, millis};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let rates = Registry::<&str, f64>::unique("rates").start_link().await?;
//! let (mut asked, mut known) = (0, None);
//! for _ in 0..2 {
//!     let rate = rates.lock("EUR", async || match known {
//!         Some(rate) => rate,
//!         None => {
//!             asked += 1;                                        // only the first of those who come at a time asks the bank
//!             *known.insert(1.25)
//!         },
//!     });
//!     assert_eq!(rate.timeout(millis(500)).await?, 1.25);
//! }
//! assert_eq!(asked, 1);
//!
//! // Who asks for the lock that it has is told at once.
//! let twice = rates.lock("EUR", async || rates.lock("EUR", async || ()).await).await?;
//! assert!(matches!(twice, Err(LockError::Reentrant { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A lock is free again when its code has ended, however it ended: it returned, it panicked, its future was dropped, its process was
//! killed. A server that waits for a lock in a handler does nothing else meanwhile. If the registry ends, those who wait are told
//! ([`LockError::Registry`]); those who have a lock keep it, also when the registry is started again.
//!
//! # Names
//! `registry.via::<Room>(key)` is a [`Name`](crate::Name) like any other: it is resolved at each call, survives restarts of the server, and
//! `Room::child_spec(args).name(registry.via(key))` registers each incarnation. A call to a key that nobody has fails with `NoProc`; a
//! cast is lost. A server registered by its name gets `V::default()` as the value, or the one given to
//! [`via_with`](Registry::via_with). With a duplicate registry `via` panics: nobody could say which process is meant.
//! Starting a server under a key of a registry that is not running fails with [`UnknownRegistry`](crate::StartError::UnknownRegistry).
//!
//! # Find or start
//! One process per key, started when it is first wanted: look it up, else let a [`DynamicSupervisor`](crate::DynamicSupervisor) start it
//! under the key. Between the two steps somebody else may do the same, so `AlreadyStarted` is an answer and no failure: it has the pid of
//! the one that was first.
//!
//! ```
//! use purlin_core::supervisor::StartChildError;
//! use purlin_core::{DynamicSupervisor, Name, Ref, Registry, Restart, StartError, Supervised, Supervisor};
//! # use purlin_core::{Cx, GenServer, InitError};
//! # struct Room;
//! # impl GenServer for Room { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Room) } }
//!
//! static ROOMS: Registry<String> = Registry::named("rooms");
//! const STARTER: Name<DynamicSupervisor> = Name::new("room_supervisor");
//!
//! async fn room(name: &str) -> Result<Ref<Room>, Box<dyn std::error::Error>> {
//!     if let Some(room) = ROOMS.get::<Room>(name)? {
//!         return Ok(room);
//!     }
//!     start(name).await
//! }
//!
//! async fn start(name: &str) -> Result<Ref<Room>, Box<dyn std::error::Error>> {
//!     let child = Room::child_spec(()).name(ROOMS.via::<Room>(name.to_owned())).restart(Restart::Temporary);
//!     match STARTER.start_child(child).await {
//!         // Somebody was faster. `None` if that one has ended already, or is no room: ask again, or fail.
//!         Err(StartChildError::Failed(StartError::AlreadyStarted(pid))) => {
//!             Ref::from_pid(pid).ok_or_else(|| "the room was closed at once".into())
//!         }
//!         started => Ok(started?),
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::rest_for_one()
//!     .child(Registry::<String>::unique("rooms"))
//!     .child(DynamicSupervisor::new().name(&STARTER))
//!     .start_link()
//!     .await?;
//!
//! let lobby = room("lobby").await?;                              // started
//! assert_eq!(room("lobby").await?, lobby);                       // found
//! assert_eq!(start("lobby").await?, lobby);                      // what the slower of two callers gets
//! # root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! The children are temporary: a room that crashes is started by whoever wants it next. A permanent or transient child is started by its
//! supervisor too, and competes with the callers for its key. If the supervisor is first, a caller gets `AlreadyStarted` as above. If a
//! caller is first, the restart fails and is tried again at once, each time against the restart intensity, until the supervisor gives up
//! and stops with all its children: so do not restart what callers start.
//!
//! # When a process ends
//! From the moment a process must end it is not found any more and its unique keys are free. All its entries, in all partitions, are removed
//! before its `DOWN` and exit signals go out, so whoever hears of the end can register the key at once. This costs what the process
//! had registered, however much the registry holds.
//!
//! # When the registry ends
//! A process with an entry is bound to the registry as by a link (for Elixir users: `register` links). If the registry's process crashes or is
//! killed, the processes that are registered end with its reason, or get one [`Exit`](crate::Exit) if they trap exits: otherwise
//! they would go on and nobody could find them. Under a supervisor they then start, and register, anew. If the registry ends with
//! `Normal`, nobody ends. Give up the last entry, and the bond is gone.
//!
//! # Finding a registry
//! * [`Registry::named`] means whatever registry has the name on the current node: make it a `static`.
//! * [`RegistryBuilder::handle`] means one registry. It may be taken before the registry runs, and holds through restarts: good for
//!   handing it to children as an argument, without any name in the program's text.
//!
//! # What it costs
//! A lookup is a hash, a read lock and a look at the process's state: about 20 ns when these are in the processor's cache. Nothing waits for
//! the registry's process. A lock that nobody has is taken and given back in about 100 ns, and leaves nothing behind.
//! With [`partitions`](RegistryBuilder::partitions) threads get out of each other's way. A name made by `via` is an
//! allocation and a copy of the key: keep it, or use [`get`](Registry::get) for a single call. The hash is keyed with random seeds, so keys
//! may come from outside. [`select`](Registry::select) and [`count_select`](Registry::count_select) copy every entry.
//! `Hash`, `Eq` and `Clone` of keys and `Clone` of values run under a lock and must not use the registry.
//!
//! # Supervise it, watch it
//! A [`RegistryBuilder`] is a child of a supervisor as it is; [`RegistryBuilder::child_spec`] has the usual settings. Start it before those
//! who register. [`events::REGISTRY_REGISTER`](crate::telemetry::events::REGISTRY_REGISTER) and
//! [`events::REGISTRY_UNREGISTER`](crate::telemetry::events::REGISTRY_UNREGISTER) tell of each entry that a process makes, gives up, or
//! loses by its end. Entries that go because the registry ends have no events of their own. `sys::get_status` of
//! [`server()`](Registry::server) shows the figures.
//!
//! # Differences from Elixir
//! * Keys and values have types. A unique `lookup` returns at most one entry, of the same shape as a duplicate one.
//! * Duplicate registries are always partitioned by key (Elixir's `{:duplicate, :key}`), so `dispatch` calls its function once.
//!   [`dispatch_parallel`](Registry::dispatch_parallel) divides the entries of the key evenly.
//! * A partition is a lock, not a process, and `register` returns nothing but success.
//! * The bond to the registry does not show among a process's links, `unlink` does not loosen it, and a process with many keys gets one
//!   signal. It does not wake the registry's process when a process ends.
//! * A `send` to a name that nobody has is lost instead of raising.
//! * The entries of a key come in the order of registration.
//! * A listener that is a server must handle the events, or the program does not compile. One that is not running is nobody's business:
//!   in Elixir `register` raises then, and the entry stays all the same.
//! * Patterns are closures. `match` is a keyword, so it is [`match_values`](Registry::match_values).
//! * A lock's key is of the type of the registry's keys. Who waits for too long gets an error instead of an exit, and its place in the queue
//!   is given up; who would wait for itself is told at once. Only the wait is limited, as in Elixir.
//! * A kill frees a lock when the code under it has been dropped, not before: at its next await.

pub(crate) mod builder;
pub(crate) mod entries;
mod error;
mod handle;
mod key;
mod listeners;
mod lock;
mod locks;
pub(crate) mod owner;
mod parallel;
mod patterns;
pub(crate) mod tables;
mod via;

pub use builder::{RegistryBuilder, RegistryName, RegistryServer};
pub use entries::{Entries, IntoIter};
pub use error::{LockError, RegistryError};
pub use handle::Registry;
pub use key::{AsKey, Key};
pub use listeners::RegistryEvent;
pub use lock::LockFuture;
