//! The handle of a PubSub: subscribe, unsubscribe, broadcast.

use std::fmt;
use std::sync::Arc;

use crate::gen_server::Recipient;
use crate::mailbox::envelope::Opaque;
use crate::node::current;
use crate::process::pid::Pid;
use crate::pubsub::builder::{HOOKS, Hooks, PubSubBuilder};
use crate::pubsub::error::PubSubError;
use crate::registry::entries::Entry;
use crate::registry::tables::Tables;
use crate::registry::{Registry, RegistryName};

/// Messages of type `M` by topic, from everybody to whoever has subscribed. See the [module documentation](crate::pubsub).
///
/// A handle means either one PubSub (from [`PubSubBuilder::start_link`] or [`PubSubBuilder::handle`]), through all its restarts, or
/// whatever PubSub has a name on the current node (from [`named`](Self::named)). Cheap to clone. `D` is the metadata that a subscription
/// may carry.
pub struct PubSub<M, D = ()> {
    pub(crate) registry: Registry<Arc<str>, Subscription<M, D>>,
}

/// What a PubSub keeps of a subscription: how the subscriber takes messages, and its metadata.
pub struct Subscription<M, D> {
    /// Whom `pack` packs messages for. The registry behind a PubSub can be used like any other: what lies in it may be a copy that another
    /// process has registered.
    owner: Pid,
    pack: fn(M) -> Opaque,
    metadata: D,
}

impl<M, D: Clone> Clone for Subscription<M, D> {
    fn clone(&self) -> Self {
        Subscription { owner: self.owner, pack: self.pack, metadata: self.metadata.clone() }
    }
}

impl<M, D> Clone for PubSub<M, D> {
    fn clone(&self) -> Self {
        PubSub { registry: self.registry.clone() }
    }
}

impl<M, D> fmt::Debug for PubSub<M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PubSub({:?})", self.name())
    }
}

impl<M, D> PubSub<M, D> {
    /// The PubSub of this name on the current node, found when it is used. Make it a `static`: the handle remembers what it found.
    pub const fn named(name: &'static str) -> PubSub<M, D> {
        PubSub { registry: Registry::named(name) }
    }

    /// The PubSub's name.
    pub fn name(&self) -> &str {
        self.registry.name()
    }
}

impl<M, D> From<String> for PubSub<M, D> {
    /// [`named`](PubSub::named) for a name made at run time.
    fn from(name: String) -> Self {
        PubSub { registry: Registry::from(name) }
    }
}

type Shared<M, D> = Arc<Tables<Arc<str>, Subscription<M, D>>>;

impl<M, D> PubSub<M, D>
where
    M: Clone + Send + 'static,
    D: Clone + Send + Sync + 'static,
{
    /// A PubSub about to start.
    #[expect(clippy::new_ret_no_self, reason = "as the other things that a supervisor starts")]
    pub fn new(name: impl Into<RegistryName>) -> PubSubBuilder<M, D> {
        PubSubBuilder::new(name.into())
    }

    /// Subscribes the calling process to a topic: from now on it gets what is broadcast there, each message once per subscription, until it
    /// unsubscribes or ends. `me` is its own [`Cx`](crate::Cx) or [`Mailbox`](crate::Mailbox), which shows that it takes an `M`.
    ///
    /// Who subscribes twice gets everything twice.
    ///
    /// # Errors
    /// [`NoProcess`](PubSubError::NoProcess) when `me` is not the calling process, or it is being killed, or of another node;
    /// [`Unknown`](PubSubError::Unknown), [`WrongType`](PubSubError::WrongType) and [`NoNode`](PubSubError::NoNode) as for every operation.
    pub fn subscribe<P: Recipient<M, K>, K>(&self, me: &P, topic: &str) -> Result<(), PubSubError>
    where
        D: Default,
    {
        self.subscribe_with(me, topic, D::default())
    }

    /// [`subscribe`](Self::subscribe) with metadata, which the [`dispatcher`](PubSubBuilder::dispatcher) gets to see.
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_with<P: Recipient<M, K>, K>(
        &self,
        me: &P,
        topic: &str,
        metadata: D,
    ) -> Result<(), PubSubError> {
        if crate::process::self_pid() != Some(me.__pid()) {
            return Err(PubSubError::NoProcess);
        }
        // The function is for the process whose handle `me` is, which is the one that is registered.
        let subscription = Subscription { owner: me.__pid(), pack: P::__pack, metadata };
        Ok(self.registry.register(Arc::from(topic), subscription)?)
    }

    /// Ends all subscriptions of the calling process to a topic; without any it is done already. What has been broadcast before may still
    /// be in its mailbox, and what is just being broadcast may still arrive.
    ///
    /// # Errors
    /// [`NoProcess`](PubSubError::NoProcess) outside a process; those of every operation.
    pub fn unsubscribe(&self, topic: &str) -> Result<(), PubSubError> {
        Ok(self.registry.unregister(topic)?)
    }

    /// Sends a message to all subscribers of a topic, on this node and, with an adapter, on all others. It is in their mailboxes when this
    /// returns; what one process broadcasts arrives in order, with what else it sends to the same process.
    ///
    /// # Errors
    /// Those of every operation, and the adapter's: then nobody has got it on this node. Having no subscribers is no error.
    pub fn broadcast(&self, topic: &str, message: M) -> Result<(), PubSubError> {
        self.publish(topic, message, None)
    }

    /// [`broadcast`](Self::broadcast) to all but one process, mostly the one that broadcasts.
    ///
    /// # Errors
    /// As there.
    pub fn broadcast_from(&self, from: Pid, topic: &str, message: M) -> Result<(), PubSubError> {
        self.publish(topic, message, Some(from))
    }

    /// [`broadcast`](Self::broadcast) to the subscribers of this node only.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn local_broadcast(&self, topic: &str, message: M) -> Result<(), PubSubError> {
        self.on(|tables| {
            deliver(tables, hooks(tables).as_deref(), topic, message, None);
            Ok(())
        })
    }

    /// [`local_broadcast`](Self::local_broadcast) to all but one process.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn local_broadcast_from(&self, from: Pid, topic: &str, message: M) -> Result<(), PubSubError> {
        self.on(|tables| {
            deliver(tables, hooks(tables).as_deref(), topic, message, Some(from));
            Ok(())
        })
    }

    /// Sends a message to the subscribers of a topic on one node, by the node's name.
    ///
    /// # Errors
    /// [`NoConnection`](PubSubError::NoConnection) for another node than this one without an adapter; what the adapter says; those of every
    /// operation.
    pub fn direct_broadcast(&self, node: &str, topic: &str, message: M) -> Result<(), PubSubError> {
        self.on(|tables| {
            let hooks = hooks(tables);
            let own = current::by_index(tables.node()).is_some_and(|own| own.name() == node);
            if own {
                deliver(tables, hooks.as_deref(), topic, message, None);
                return Ok(());
            }
            match hooks.as_ref().and_then(|hooks| hooks.adapter.as_ref()) {
                Some(adapter) => adapter.direct_broadcast(node, topic, &message),
                None => Err(PubSubError::NoConnection { node: node.to_owned() }),
            }
        })
    }

    /// Who has subscribed to a topic on this node, with the metadata, the oldest subscription first.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn subscribers(&self, topic: &str) -> Result<Vec<(Pid, D)>, PubSubError> {
        let entries = self.registry.lookup(topic)?;
        Ok(entries.into_iter().map(|(pid, subscription)| (pid, subscription.metadata)).collect())
    }

    fn publish(&self, topic: &str, message: M, except: Option<Pid>) -> Result<(), PubSubError> {
        self.on(|tables| {
            let hooks = hooks(tables);
            if let Some(adapter) = hooks.as_ref().and_then(|hooks| hooks.adapter.as_ref()) {
                adapter.broadcast(topic, &message)?;
            }
            deliver(tables, hooks.as_deref(), topic, message, except);
            Ok(())
        })
    }

    fn on<R>(&self, f: impl FnOnce(&Shared<M, D>) -> Result<R, PubSubError>) -> Result<R, PubSubError> {
        self.registry.on(|tables| Ok(f(tables)))?
    }
}

/// The dispatcher and the adapter, if there is one of them.
#[inline]
fn hooks<M: Clone + Send + 'static, D: Clone + Send + Sync + 'static>(
    tables: &Shared<M, D>,
) -> Option<Arc<Hooks<M, D>>> {
    tables.meta().get(HOOKS)?.downcast_ref::<Arc<Hooks<M, D>>>().cloned()
}

/// Sends a message to the subscribers of this node: to those who have subscribed before this began.
///
/// Their list is shared with the registry and gone through without its lock: `Clone` of the message and the dispatcher are user code, and
/// nobody who subscribes or ends waits for a long broadcast.
fn deliver<M, D>(
    tables: &Shared<M, D>,
    hooks: Option<&Hooks<M, D>>,
    topic: &str,
    message: M,
    except: Option<Pid>,
) where
    M: Clone + Send + 'static,
    D: Clone + Send + Sync + 'static,
{
    let dispatcher = hooks.and_then(|hooks| hooks.dispatcher.as_ref());
    let Some(subscribers) = tables.share(topic) else { return };
    for Entry { proc, value: subscription, .. } in subscribers.iter().filter(|entry| entry.is_live()) {
        // What is packed for one process must not reach another, whose state it would be handled with.
        if subscription.owner != proc.pid() || except == Some(proc.pid()) {
            continue;
        }
        let message = match dispatcher {
            Some(dispatcher) => dispatcher(&message, &subscription.metadata),
            None => Some(message.clone()),
        };
        if let Some(message) = message {
            let Opaque(envelope) = (subscription.pack)(message);
            proc.node.0.deliver_to(proc, envelope);
        }
    }
}
