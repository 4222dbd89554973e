//! PubSub: a message to everybody who wants to hear it, without a process in between.
//!
//! Processes subscribe to topics, which are texts; a broadcast puts a message into the mailbox of every subscriber of its topic. Who broadcasts knows
//! nothing of who listens. The messages of a PubSub have one type, and who subscribes shows that it handles it: a message that nobody handles does
//! not compile. A program has one PubSub for each kind of news.
//!
//! # Example
//! ```
//! use purlin_core::{Cx, GenServer, HandleInfo, HandleRead, InitError, PubSub, ReadCx, Supervisor};
//!
//! #[derive(Clone)]
//! struct Price(u32);
//!
//! static PRICES: PubSub<Price> = PubSub::named("prices");
//!
//! /// Knows the highest price of one thing.
//! struct Watcher {
//!     highest: u32,
//! }
//!
//! impl GenServer for Watcher {
//!     type Args = &'static str;
//!     async fn init(thing: &'static str, cx: &mut Cx<Self>) -> Result<Self, InitError> {
//!         PRICES.subscribe(cx, thing)?;
//!         Ok(Watcher { highest: 0 })
//!     }
//! }
//!
//! impl HandleInfo<Price> for Watcher {
//!     async fn handle_info(&mut self, Price(price): Price, _: &mut Cx<Self>) {
//!         self.highest = self.highest.max(price);
//!     }
//! }
//!
//! struct Highest;
//! impl HandleRead<Highest> for Watcher {
//!     type Reply = u32;
//!     fn handle_read(&self, _: Highest, _: &ReadCx<Self>) -> u32 {
//!         self.highest
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(PubSub::<Price>::new("prices"))                      // before those who use it
//!     .start_link()
//!     .await?;
//!
//! let tea = Watcher::start("tea").await?;
//! PRICES.broadcast("tea", Price(3))?;
//! PRICES.broadcast("tea", Price(2))?;
//! PRICES.broadcast("coffee", Price(9))?;                          // nobody listens, and that is fine
//! assert_eq!(tea.call(Highest).await?, 3);
//!
//! tea.stop().await?;
//! assert!(PRICES.subscribers("tea")?.is_empty());
//! root.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Operations
//! | what | who | result |
//! |---|---|---|
//! | [`subscribe`](PubSub::subscribe)`(cx, topic)`, [`subscribe_with`](PubSub::subscribe_with)`(cx, topic, metadata)` | a process, itself | every broadcast from now on, once per subscription |
//! | [`unsubscribe`](PubSub::unsubscribe)`(topic)` | a process, itself | all its subscriptions to the topic are gone |
//! | [`broadcast`](PubSub::broadcast)`(topic, message)` | anybody | a clone is in the mailbox of every subscriber |
//! | [`broadcast_from`](PubSub::broadcast_from)`(pid, topic, message)` | anybody | the same without one process |
//! | [`local_broadcast`](PubSub::local_broadcast), [`local_broadcast_from`](PubSub::local_broadcast_from) | anybody | the same on this node only |
//! | [`direct_broadcast`](PubSub::direct_broadcast)`(node, topic, message)` | anybody | the same on one node only, by its name |
//! | [`subscribers`](PubSub::subscribers)`(topic)` | anybody | pids and metadata, the oldest subscription first |
//!
//! Each fails with a [`PubSubError`]: when the PubSub is not running, when the name belongs to something else, where there is no node.
//!
//! # Messages are cloned
//! Every subscriber gets a clone of its own, made in the process that broadcasts. What is large, or has many subscribers, is an `Arc`: then the
//! clones are references to one value, and 100,000 subscribers share it.
//!
//! ```
//! use purlin_core::{Mailbox, PubSub, process};
//! use std::sync::Arc;
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let news = PubSub::<Arc<String>>::new("news").start().await?;
//! let reader = process::spawn({
//!     let news = news.clone();
//!     async move |mut mailbox: Mailbox<Arc<String>>| {
//!         news.subscribe(&mailbox, "today").unwrap();             // a free-form process gives its mailbox
//!         let article = Arc::new("a very long text".to_owned());
//!         news.broadcast("today", article.clone()).unwrap();
//!         assert!(Arc::ptr_eq(&article, &mailbox.receive().await));
//!         // Everybody else, and not oneself:
//!         news.broadcast_from(mailbox.pid(), "today", article).unwrap();
//!         assert!(mailbox.is_empty());
//!         news.unsubscribe("today").unwrap();
//!     }
//! });
//! assert!(reader.wait().await.is_normal());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Who gets what, and when
//! * When `broadcast` returns, the message is in the mailboxes of all who had subscribed when it began and are alive. Who subscribes
//!   meanwhile does not get it; who unsubscribes meanwhile may.
//! * What one process broadcasts to a topic arrives in that order, also between what else it sends to the same subscriber. Between different
//!   senders no order is promised.
//! * A mailbox that is bounded and full loses the message, or an older one, as its [`Overflow`](crate::Overflow) says; a broadcast never waits for a
//!   subscriber. What is lost is counted and reported like a lost cast.
//! * From the moment a process must end it gets nothing, and its subscriptions are gone before anybody hears of its end. That costs what it
//!   had subscribed to, however many others there are.
//! * Broadcasts are not kept: who was not there has missed it. A subscriber that must not miss anything asks for the current state after it has
//!   subscribed.
//!
//! # Metadata and dispatch
//! A subscription can carry a value, the second type parameter, and the PubSub a function that decides by it what each subscriber gets of a message:
//! [`dispatcher`](PubSubBuilder::dispatcher) shows how.
//!
//! # Other nodes
//! A PubSub reaches its own node. With an [`Adapter`] it reaches others: `broadcast` gives every message to it first, and what it receives it gives to
//! [`local_broadcast`](PubSub::local_broadcast). Here the other node is in the same program:
//! ```
//! use purlin_core::pubsub::Adapter;
//! use purlin_core::{Mailbox, Node, PubSub, PubSubError, process};
//!
//! struct Bridge {
//!     node: Node,
//!     there: PubSub<u32>,
//! }
//!
//! impl Adapter<u32> for Bridge {
//!     fn broadcast(&self, topic: &str, message: &u32) -> Result<(), PubSubError> {
//!         let _entered = self.node.enter();
//!         self.there.local_broadcast(topic, *message)
//!     }
//!     fn direct_broadcast(&self, node: &str, topic: &str, message: &u32) -> Result<(), PubSubError> {
//!         if node == self.node.name() {
//!             return self.broadcast(topic, message);
//!         }
//!         Err(PubSubError::NoConnection { node: node.to_owned() })
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (here, there) = (Node::builder().name("here").start(), Node::builder().name("there").start());
//! let far = there.scope(async { PubSub::<u32>::new("numbers").start().await }).await?;
//! let bridge = Bridge { node: there.clone(), there: far.clone() };
//! let near = here.scope(async { PubSub::<u32>::new("numbers").adapter(bridge).start().await }).await?;
//! # let _entered = there.enter();
//! let listener = process::spawn(async move |mut mailbox: Mailbox<u32>| {
//!     far.subscribe(&mailbox, "even").unwrap();
//!     near.broadcast("even", 2).unwrap();                         // everywhere
//!     near.local_broadcast("even", 4).unwrap();                   // not there
//!     near.direct_broadcast("there", "even", 6).unwrap();         // only there
//!     near.direct_broadcast("here", "even", 8).unwrap();
//!     far.local_broadcast_from(mailbox.pid(), "even", 10).unwrap();
//!     assert_eq!((mailbox.receive().await, mailbox.receive().await), (2, 6));
//!     assert!(mailbox.is_empty());
//! });
//! assert!(listener.wait().await.is_normal());
//! # drop(_entered);
//! # here.shutdown().await;
//! # there.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # What it costs
//! A broadcast runs in the process that makes it. Per subscriber it is a clone, a push into the mailbox and, if the subscriber is idle, its way into a
//! run queue: some 50 to 100 ns. It holds no lock meanwhile; if subscriptions of the topic change before it is done, their list is copied once.
//! To 100,000 subscribers that is several milliseconds in which a server handles nothing else: let a process of its
//! own do it. Topics in use cost memory, others do not. With [`partitions`](PubSubBuilder::partitions) threads get out of each other's way when
//! they subscribe.
//!
//! # When not to use it
//! * **To ask somebody something**, or to tell one process: that is a call or a cast.
//! * **For work that must be done**: a broadcast is lost on who is not there. Jobs are kept in a database.
//! * **To distribute work**: every subscriber gets everything.
//!
//! # Supervise it
//! A [`PubSubBuilder`] is a child of a supervisor as it is. Start it before those who subscribe, under `rest_for_one`. It is a [`Registry`](crate::Registry) with duplicate
//! keys: a process with a subscription is bound to it as by a link. If its process crashes, the subscribers end with its reason (or get one
//! [`Exit`](crate::Exit) if they trap exits), and subscribe anew when they are restarted; otherwise they would wait for messages that never come. If it
//! ends with `Normal`, nobody else does.
//!
//! # Differences from Phoenix
//! * Messages have a type, one per PubSub. Who subscribes gives its `Cx` or `Mailbox`, and must handle that type.
//! * The dispatcher belongs to the PubSub and decides for one subscriber at a time; Phoenix's is given with a broadcast, with the list of all.
//! * `broadcast!` does not exist: `?` and `unwrap` do what it does.

pub(crate) mod builder;
pub(crate) mod error;
pub(crate) mod handle;

pub use builder::{Adapter, PubSubBuilder, PubSubServer};
pub use error::PubSubError;
pub use handle::{PubSub, Subscription};
