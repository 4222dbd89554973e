//! Settings of a PubSub, and how it starts.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::gen_server::StartError;
use crate::pubsub::error::PubSubError;
use crate::pubsub::handle::{PubSub, Subscription};
use crate::registry::{Registry, RegistryBuilder, RegistryName, RegistryServer};
use crate::supervisor::{Child, ChildSpec};

/// The process that a PubSub belongs to: that of the registry in which its subscriptions are.
pub type PubSubServer<M, D = ()> = RegistryServer<Arc<str>, Subscription<M, D>>;

/// The way to other nodes: what brings broadcasts there.
///
/// A PubSub without one reaches the subscribers of its own node. What arrives from another node is given to
/// [`local_broadcast`](PubSub::local_broadcast) there. Messages that cannot travel (they are Rust values, of any type) are the adapter's
/// business: it is made for one message type and knows how to write it down.
pub trait Adapter<M>: Send + Sync + 'static {
    /// Sends a message to the subscribers of a topic on all other nodes. Must not wait.
    ///
    /// # Errors
    /// When nothing was sent: the broadcast fails with this, and nobody gets it on this node either.
    fn broadcast(&self, topic: &str, message: &M) -> Result<(), PubSubError>;

    /// Sends a message to the subscribers of a topic on one other node. Must not wait.
    ///
    /// # Errors
    /// When nothing was sent, [`PubSubError::NoConnection`] for example.
    fn direct_broadcast(&self, node: &str, topic: &str, message: &M) -> Result<(), PubSubError>;
}

/// What a subscriber gets of a message, by its metadata.
type Dispatcher<M, D> = dyn Fn(&M, &D) -> Option<M> + Send + Sync;

/// What broadcasts ask, kept with the tables so that every handle finds it.
pub(crate) struct Hooks<M, D> {
    pub(crate) dispatcher: Option<Box<Dispatcher<M, D>>>,
    pub(crate) adapter: Option<Box<dyn Adapter<M>>>,
}

/// The key of [`Hooks`] among the registry's own values.
pub(crate) const HOOKS: &str = "pubsub";

/// A PubSub about to start: from [`PubSub::new`]. A child of a supervisor as it is.
#[must_use = "a PubSub starts when `start_link` is awaited, or as the child of a supervisor"]
pub struct PubSubBuilder<M, D = ()> {
    registry: RegistryBuilder<Arc<str>, Subscription<M, D>>,
    hooks: Hooks<M, D>,
}

impl<M, D> PubSubBuilder<M, D>
where
    M: Clone + Send + 'static,
    D: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(name: RegistryName) -> Self {
        PubSubBuilder {
            registry: Registry::duplicate(name),
            hooks: Hooks { dispatcher: None, adapter: None },
        }
    }

    /// Divides the subscriptions into `n` parts with a lock each, by topic: default 1. Worth it when several threads subscribe and
    /// broadcast all the time. With 0 the PubSub does not start.
    ///
    /// Makes another PubSub out of this one: handles are to be taken afterwards.
    pub fn partitions(mut self, n: usize) -> Self {
        self.registry = self.registry.partitions(n);
        self
    }

    /// What each subscriber gets of a message: `dispatcher` is called with the message and the metadata of a subscription, and `None`
    /// means that this one gets nothing. Without a dispatcher everybody gets a clone. It runs in the process that broadcasts, on the
    /// subscriber's node.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, PubSub, process};
    /// // Subscribers say how much they want to hear.
    /// let log = PubSub::<(u8, &str), u8>::new("log")
    ///     .dispatcher(|message, most| (message.0 <= *most).then_some(*message))
    ///     .partitions(2)
    ///     .start()
    ///     .await?;
    /// let listener = process::spawn(async move |mut mailbox: Mailbox<(u8, &str)>| {
    ///     log.subscribe_with(&mailbox, "disk", 3).unwrap();
    ///     log.broadcast("disk", (7, "read")).unwrap();
    ///     log.broadcast("disk", (1, "full")).unwrap();
    ///     assert_eq!(mailbox.receive().await, (1, "full"));
    /// });
    /// assert!(listener.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn dispatcher(mut self, dispatcher: impl Fn(&M, &D) -> Option<M> + Send + Sync + 'static) -> Self {
        self.hooks.dispatcher = Some(Box::new(dispatcher));
        self
    }

    /// Broadcasts go to other nodes too, by this adapter.
    pub fn adapter(mut self, adapter: impl Adapter<M>) -> Self {
        self.hooks.adapter = Some(Box::new(adapter));
        self
    }

    /// A handle to this very PubSub, which may be taken before it runs: until then its operations fail with [`PubSubError::Unknown`].
    pub fn handle(&self) -> PubSub<M, D> {
        PubSub { registry: self.registry.handle() }
    }

    fn settled(self) -> RegistryBuilder<Arc<str>, Subscription<M, D>> {
        match self.hooks {
            Hooks { dispatcher: None, adapter: None } => self.registry,
            hooks => self.registry.meta(HOOKS, Arc::new(hooks)),
        }
    }

    /// Starts the PubSub, linked with the calling process.
    ///
    /// # Errors
    /// As for any server: [`StartError::AlreadyStarted`] when a process has the name, [`StartError::BadName`] when it is empty;
    /// [`StartError::Failed`] when there are 0 partitions.
    #[track_caller]
    pub fn start_link(self) -> impl Future<Output = Result<PubSub<M, D>, StartError>> + Send {
        let starting = self.settled().start_link();
        async move { starting.await.map(|registry| PubSub { registry }) }
    }

    /// Starts the PubSub, linked with nobody.
    ///
    /// # Errors
    /// As for [`start_link`](Self::start_link).
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<PubSub<M, D>, StartError>> + Send {
        let starting = self.settled().start();
        async move { starting.await.map(|registry| PubSub { registry }) }
    }

    /// The PubSub as the child of a supervisor, under its name, with settings to change. A supervisor takes the builder itself, too.
    pub fn child_spec(self) -> Child<PubSubServer<M, D>> {
        self.settled().child_spec().module("PubSub")
    }
}

impl<M, D> From<PubSubBuilder<M, D>> for ChildSpec
where
    M: Clone + Send + 'static,
    D: Clone + Send + Sync + 'static,
{
    fn from(builder: PubSubBuilder<M, D>) -> ChildSpec {
        builder.child_spec().erase()
    }
}

impl<M, D> fmt::Debug for PubSubBuilder<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubBuilder").field("name", &self.registry.name()).finish_non_exhaustive()
    }
}
