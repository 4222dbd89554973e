//! Event managers: events of one type, shown to handlers that come and go, each with a state of its own.
//!
//! A manager is a process; handlers are added to it at run time and live inside it. Each event goes to every handler, one event after the other, one
//! handler after the other. A handler that fails is removed, and nothing else: the manager and the other handlers live on. It is what alarms,
//! logs and metrics are made of: who tells of something does not know who listens.
//!
//! # Example
//! ```
//! use purlin_core::{Crash, EventCx, EventHandler, EventManager, HandlerCall, HandlerError, HandlerId, Supervisor};
//!
//! enum Alarm {
//!     Hot(u32),
//!     Cold,
//! }
//!
//! const ALARMS: EventManager<Alarm> = EventManager::named("alarms");
//!
//! /// Counts what is too hot.
//! struct Counter {
//!     above: u32,
//!     seen: u32,
//! }
//!
//! const COUNTER: HandlerId<Counter> = HandlerId::by_type();
//!
//! impl EventHandler<Alarm> for Counter {
//!     type Args = u32;
//!     async fn init(above: u32, _: &mut EventCx<'_, Alarm>) -> Result<Self, Crash> {
//!         Ok(Counter { above, seen: 0 })
//!     }
//!     async fn handle_event(&mut self, alarm: &Alarm, cx: &mut EventCx<'_, Alarm>) -> Result<(), Crash> {
//!         match alarm {
//!             Alarm::Hot(degrees) if *degrees > self.above => self.seen += 1,
//!             Alarm::Hot(_) => {},
//!             Alarm::Cold => cx.remove_handler(),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! struct Seen;
//! impl HandlerCall<Alarm, Seen> for Counter {
//!     type Reply = u32;
//!     async fn handle_call(&mut self, _: Seen, _: &mut EventCx<'_, Alarm>) -> Result<u32, Crash> {
//!         Ok(self.seen)
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(EventManager::<Alarm>::child_spec().name("alarms"))
//!     .start_link()
//!     .await?;
//!
//! ALARMS.add_handler(COUNTER, 100).await?;
//! ALARMS.notify(Alarm::Hot(150));                                 // waits for nothing
//! ALARMS.sync_notify(Alarm::Hot(80)).await?;                      // until all have handled it
//! assert_eq!(ALARMS.call(COUNTER, Seen).await?, 1);               // a question to one handler
//! ALARMS.sync_notify(Alarm::Cold).await?;
//! assert!(matches!(ALARMS.call(COUNTER, Seen).await, Err(HandlerError::NotFound(_))));
//! root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Operations
//! | what | result |
//! |---|---|
//! | [`add_handler`](EventManager::add_handler)`(id, args).await` | its `init` has run; its failure, or `AlreadyAdded` |
//! | [`add_sup_handler`](EventManager::add_sup_handler)`(cx, id, args).await` | the same, and see below |
//! | [`delete_handler`](EventManager::delete_handler)`(id).await` | the handler itself, after its `terminate` |
//! | [`swap_handler`](EventManager::swap_handler)`(old, new, args).await` | another handler in its place, made of what it was |
//! | [`notify`](EventManager::notify)`(event)` | nothing, at once |
//! | [`sync_notify`](EventManager::sync_notify)`(event).await` | when every handler has handled it |
//! | [`call`](EventManager::call)`(id, message).await` | that handler's reply; 5 s unless [`timeout`](EventCall::timeout) says otherwise |
//! | [`which_handlers`](EventManager::which_handlers)`().await` | the ids, the oldest first |
//! | [`send_info`](EventManager::send_info)`(value)` | nothing; every handler's `handle_info` gets it |
//! | [`stop`](EventManager::stop)`().await` | when every handler's `terminate` has run |
//!
//! Only `call` has a deadline, as in Erlang. A handler's id is its type, or its type and a name, so that a manager can have many of one type; it is a
//! constant, and says what `call` may ask and what `delete_handler` returns.
//!
//! # A handler's life
//! | | runs when | fails: by a panic, or an error passed on with `?` |
//! |---|---|---|
//! | [`init`](EventHandler::init) | it is added | it is not added; who adds it gets the reason |
//! | [`handle_event`](EventHandler::handle_event) | an event comes | it is removed, and that is logged |
//! | [`handle_info`](EventHandler::handle_info) | something else comes; ignored by default | it is removed |
//! | [`handle_call`](HandlerCall::handle_call) | it is asked | it is removed; the caller gets the reason |
//! | [`terminate`](EventHandler::terminate) | it is removed, for whatever [`Removal`] | that is logged |
//!
//! Functions get an [`EventCx`], through which the manager's own [`Cx`](crate::Cx) is at hand: to send something later, to monitor, to hibernate, or to
//! stop the whole manager. Functions may await; all others wait meanwhile.
//!
//! ```
//! use purlin_core::gen_event::Info;
//! use purlin_core::{Crash, EventCx, EventHandler, EventManager, HandlerId, Removal, millis};
//! use std::any::Any;
//!
//! /// Forgets itself after a while.
//! struct Sampler(Vec<u64>);
//! struct Enough;
//!
//! impl EventHandler<u64> for Sampler {
//!     type Args = ();
//!     async fn init(_: (), cx: &mut EventCx<'_, u64>) -> Result<Self, Crash> {
//!         cx.send_after(millis(20), Info::new(Enough));
//!         Ok(Sampler(Vec::new()))
//!     }
//!     async fn handle_event(&mut self, n: &u64, _: &mut EventCx<'_, u64>) -> Result<(), Crash> {
//!         self.0.push(*n);
//!         Ok(())
//!     }
//!     async fn handle_info(&mut self, info: &(dyn Any + Send + Sync), cx: &mut EventCx<'_, u64>) -> Result<(), Crash> {
//!         if info.is::<Enough>() {
//!             cx.remove_handler();
//!         }
//!         Ok(())
//!     }
//!     async fn terminate(&mut self, why: &Removal, _: &mut EventCx<'_, u64>) {
//!         println!("{} samples; {why}", self.0.len());
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! const SAMPLER: HandlerId<Sampler> = HandlerId::by_type();
//! const LATER: HandlerId<Sampler> = HandlerId::new("later");
//! let manager = EventManager::start().await?;
//! manager.add_handler(SAMPLER, ()).await?;
//! manager.sync_notify(7).await?;
//! assert_eq!(manager.which_handlers().await?, [SAMPLER.erase()]);
//! manager.swap_handler(SAMPLER, LATER, |old| assert_eq!(old.unwrap().0, [7])).await?;
//! let sampler = manager.delete_handler(LATER).await?;
//! assert!(sampler.0.is_empty());
//! manager.send_info("nobody is there to know what this is");
//! assert!(manager.whereis().is_some() && manager.pid().is_some());
//! manager.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Supervised handlers
//! A handler that is gone is gone: nobody restarts it. Where it matters, a process adds it with [`add_sup_handler`](EventManager::add_sup_handler) and is
//! told of its removal by a [`HandlerExit`], to add it anew, or to end itself and be restarted. Manager and owner are linked: if the manager
//! crashes, so does the owner (unless it traps exits), and if the owner ends, its handlers are removed.
//! ```
//! # use purlin_core::{Crash, EventCx};
//! # struct Fragile;
//! # impl EventHandler<u8> for Fragile { type Args = (); async fn init(_: (), _: &mut EventCx<'_, u8>) -> Result<Self, Crash> { Ok(Fragile) }
//! #   async fn handle_event(&mut self, n: &u8, _: &mut EventCx<'_, u8>) -> Result<(), Crash> { if *n > 100 { Err(Crash::msg("too much")) } else { Ok(()) } } }
//! use purlin_core::{EventHandler, EventManager, HandlerExit, HandlerId, Mailbox, Removal, process};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! const FRAGILE: HandlerId<Fragile> = HandlerId::by_type();
//! let manager = EventManager::<u8>::start().await?;
//! let guard = process::spawn(async move |mut mailbox: Mailbox<HandlerExit>| {
//!     manager.add_sup_handler(&mailbox, FRAGILE, ()).await.unwrap();
//!     manager.notify(200);
//!     let exit = mailbox.receive().await;
//!     assert!(matches!(exit.why, Removal::Failed(reason) if reason.to_string() == "too much"));
//!     manager.add_handler(FRAGILE, ()).await.unwrap();
//! });
//! assert!(guard.wait().await.is_normal());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # When not to use it
//! * **To tell processes something**: [`PubSub`](crate::PubSub) has no process in between, and slow subscribers hold up nobody.
//! * **For what must not be held up**: handlers share one process and wait for each other. One that has much to do sends it to a process of its
//!   own.
//! * **For metrics of hot paths**: [`telemetry`](crate::telemetry) runs its handlers in the caller.
//!
//! # Supervise it
//! [`EventManager::child_spec`] is a child as any other. A manager that is restarted has no handlers: who added one adds it anew, which is what
//! supervised handlers are for.
//!
//! # Differences from Erlang
//! * Events have a type, and so have the questions to a handler and the answers.
//! * Two handlers with the same id are refused; Erlang adds the second one behind the first.
//! * What a handler wants is said to its [`EventCx`]. A handler cannot swap itself for another one.
//! * `delete_handler` and `swap_handler` hand over the handler itself, where Erlang has what `terminate` returned.
//! * [`Removal`] is what Erlang's `terminate` gets (`remove_handler`, `{stop, Reason}`, `stop`, `{error, Reason}`) and, in
//!   [`HandlerExit`], what the owner is told.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod server;
mod slot;

pub use error::HandlerError;
pub use handle::{EventCall, EventManager, StartEventManager, StartEventManagerFuture};
pub use handler::{AnyHandlerId, EventCx, EventHandler, HandlerCall, HandlerExit, HandlerId, Removal};
pub use server::{Ask, EventServer, Info};
