//! Named processes that are told of registrations, as Elixir's `listeners`.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::InfoFor;
use crate::gen_server::{GenServer, Name};
use crate::process::pid::Pid;

/// What a listener of a registry is told: see [`RegistryBuilder::listener`](crate::RegistryBuilder::listener).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryEvent<K, V = ()> {
    /// A process has registered itself; the entry can be found.
    Register {
        /// The registry's name.
        registry: Arc<str>,
        /// Under this key.
        key: K,
        /// The process.
        pid: Pid,
        /// With this value.
        value: V,
    },
    /// A process has taken an entry of its own out. Of the entries of a process that ended nothing is said: a listener that wants to know
    /// monitors the process.
    Unregister {
        /// The registry's name.
        registry: Arc<str>,
        /// The key of the entry.
        key: K,
        /// The process.
        pid: Pid,
    },
}

/// Somebody to tell.
pub(crate) trait Listener<K, V>: Send + Sync {
    fn hear(&self, event: RegistryEvent<K, V>);
}

/// All listeners of a registry; most have none.
pub(crate) struct Listeners<K, V> {
    registry: Arc<str>,
    all: Vec<Arc<dyn Listener<K, V>>>,
}

impl<K, V> Clone for Listeners<K, V> {
    fn clone(&self) -> Self {
        Listeners { registry: self.registry.clone(), all: self.all.clone() }
    }
}

impl<K, V> Listeners<K, V> {
    pub(crate) fn new(registry: Arc<str>) -> Self {
        Listeners { registry, all: Vec::new() }
    }

    pub(crate) fn add(&mut self, listener: Arc<dyn Listener<K, V>>) {
        self.all.push(listener);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl<K: Clone, V: Clone> Listeners<K, V> {
    pub(crate) fn registered(&self, pid: Pid, key: &K, value: &V) {
        for listener in &self.all {
            let (registry, key, value) = (self.registry.clone(), key.clone(), value.clone());
            listener.hear(RegistryEvent::Register { registry, key, pid, value });
        }
    }
}

impl<K: Clone, V> Listeners<K, V> {
    pub(crate) fn unregistered(&self, pid: Pid, key: &K) {
        for listener in &self.all {
            let (registry, key) = (self.registry.clone(), key.clone());
            listener.hear(RegistryEvent::Unregister { registry, key, pid });
        }
    }
}

/// A server that handles the events.
pub(crate) struct Server<S, Kind> {
    name: Name<S>,
    kind: PhantomData<fn(Kind)>,
}

impl<S, Kind> Server<S, Kind> {
    pub(crate) fn new(name: Name<S>) -> Self {
        Server { name, kind: PhantomData }
    }
}

impl<K, V, S, Kind> Listener<K, V> for Server<S, Kind>
where
    S: GenServer,
    Kind: 'static,
    RegistryEvent<K, V>: InfoFor<S, Kind>,
{
    fn hear(&self, event: RegistryEvent<K, V>) {
        self.name.send(event);
    }
}

/// A process of any kind, by its name.
pub(crate) struct Process(pub(crate) Arc<str>);

impl<K: Send + 'static, V: Send + 'static> Listener<K, V> for Process {
    fn hear(&self, event: RegistryEvent<K, V>) {
        // Nobody there: nobody wants to know.
        let _ = crate::process::send_named(&self.0, event);
    }
}
