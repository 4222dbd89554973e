//! The handle of a registry, and everything that can be done with it.

use std::any::type_name;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::call::error::short;
use crate::gen_server::{GenServer, Name, Ref};
use crate::node::{Node, current};
use crate::process::cell::{Proc, ProcRef};
use crate::process::pid::Pid;
use crate::registry::builder::{RegistryBuilder, RegistryName, RegistryServer, Text, published};
use crate::registry::entries::Entries;
use crate::registry::error::RegistryError;
use crate::registry::key::{AsKey, Key};
use crate::registry::tables::Tables;
use crate::registry::via::Via;

/// Processes by key, with a value each. See the [module documentation](crate::registry).
///
/// A handle means either one registry (from [`RegistryBuilder::start_link`] or [`RegistryBuilder::handle`]), through all its restarts, or
/// whatever registry has a name on the current node (from [`named`](Self::named)). Cheap to clone. Keys of type `K` are taken by value
/// where they are kept, and in any borrowed form where they are only looked up.
pub struct Registry<K, V = ()> {
    place: Place<K, V>,
}

enum Place<K, V> {
    Bound(Arc<Tables<K, V>>),
    /// What was found first is remembered, and used as long as it runs and is of the current node.
    Named(Text, OnceLock<Arc<Tables<K, V>>>),
}

impl<K, V> Clone for Registry<K, V> {
    fn clone(&self) -> Self {
        let place = match &self.place {
            Place::Bound(tables) => Place::Bound(tables.clone()),
            Place::Named(name, found) => Place::Named(name.clone(), found.clone()),
        };
        Registry { place }
    }
}

impl<K, V> Registry<K, V> {
    /// A registry in which a key has one entry at most.
    pub fn unique(name: impl Into<RegistryName>) -> RegistryBuilder<K, V> {
        RegistryBuilder::new(name.into().0, true)
    }

    /// A registry in which a key may have many entries, of one process or of several.
    pub fn duplicate(name: impl Into<RegistryName>) -> RegistryBuilder<K, V> {
        RegistryBuilder::new(name.into().0, false)
    }

    /// The registry of this name on the current node, found when it is used. Make it a `static`: the handle remembers what it found, so
    /// that only its first use pays for the search.
    ///
    /// ```
    /// use purlin_core::Registry;
    /// static ROOMS: Registry<String> = Registry::named("rooms");
    /// ```
    pub const fn named(name: &'static str) -> Registry<K, V> {
        Registry { place: Place::Named(Text::Static(name), OnceLock::new()) }
    }

    pub(crate) fn bound(tables: Arc<Tables<K, V>>) -> Registry<K, V> {
        Registry { place: Place::Bound(tables) }
    }

    /// The registry's name.
    pub fn name(&self) -> &str {
        match &self.place {
            Place::Bound(tables) => tables.name().as_str(),
            Place::Named(name, _) => name.as_str(),
        }
    }
}

impl<K, V> From<String> for Registry<K, V> {
    /// [`named`](Registry::named) for a name made at run time.
    fn from(name: String) -> Self {
        Registry { place: Place::Named(Text::Made(name.into()), OnceLock::new()) }
    }
}

impl<K, V> fmt::Debug for Registry<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({:?})", self.name())
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Registry<K, V> {
    /// Calls `f` with the tables of the running registry.
    #[inline]
    pub(crate) fn on<R>(
        &self,
        f: impl FnOnce(&Arc<Tables<K, V>>) -> Result<R, RegistryError>,
    ) -> Result<R, RegistryError> {
        match &self.place {
            Place::Bound(tables) if tables.is_open() => f(tables),
            Place::Bound(tables) => Err(tables.unknown()),
            Place::Named(name, found) => match found.get() {
                Some(tables) if tables.is_open() && current::current_index() == Some(tables.node()) => {
                    f(tables)
                },
                _ => {
                    let tables = search(name)?;
                    let result = f(&tables);
                    let _ = found.set(tables);
                    result
                },
            },
        }
    }

    /// Calls `f` with the tables and the calling process.
    pub(crate) fn own<R>(
        &self,
        f: impl FnOnce(&Arc<Tables<K, V>>, &Proc) -> Result<R, RegistryError>,
    ) -> Result<R, RegistryError> {
        self.on(|tables| current::with_current(|me| f(tables, me)).unwrap_or(Err(RegistryError::NoProcess)))
    }

    /// Registers the calling process under `key`. When this returns, every process finds the entry; it goes when the process
    /// unregisters it, when the process ends, or when the registry does.
    ///
    /// From now on the process is bound to the registry as by a link: see the [module documentation](crate::registry).
    ///
    /// # Errors
    /// [`AlreadyRegistered`](RegistryError::AlreadyRegistered) when the registry is unique and a live process has the key, be it the
    /// caller; [`NoProcess`](RegistryError::NoProcess) outside a process, or in one that is being killed or belongs to another node;
    /// [`Unknown`](RegistryError::Unknown), [`WrongType`](RegistryError::WrongType) and [`NoNode`](RegistryError::NoNode) as for every
    /// operation.
    pub fn register(&self, key: K, value: V) -> Result<(), RegistryError> {
        self.own(|tables, me| {
            let told = key.clone();
            let heard = (!tables.listeners().is_empty()).then(|| value.clone());
            tables.register(me, key, value)?;
            tables.tell(&me.node, me.pid(), &told, None);
            if let Some(value) = heard {
                tables.listeners().registered(me.pid(), &told, &value);
            }
            Ok(())
        })
    }

    /// Removes the calling process's entries of a key, all of them. Without any it is done already. When this returns, nobody finds them.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Registry, process};
    /// let seats = Registry::<u32, &str>::unique("seats").start().await?;
    /// let guest = process::spawn(async move |mailbox: Mailbox<()>| {
    ///     seats.register(1, "reserved").unwrap();
    ///     assert_eq!(seats.keys(mailbox.pid()), Ok(vec![1]));
    ///     assert_eq!(seats.values(&1, mailbox.pid()), Ok(vec!["reserved"]));
    ///     seats.unregister(&1).unwrap();
    ///     assert_eq!(seats.count(), Ok(0));
    /// });
    /// assert!(guest.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`NoProcess`](RegistryError::NoProcess) outside a process; those of every operation.
    pub fn unregister(&self, key: &(impl AsKey<K> + ?Sized)) -> Result<(), RegistryError> {
        self.own(|tables, me| {
            for (key, _) in tables.unregister(me, key) {
                tables.tell(&me.node, me.pid(), &key, Some("unregister"));
                tables.listeners().unregistered(me.pid(), &key);
            }
            Ok(())
        })
    }

    /// Every entry of a key, in the order of registration. In a unique registry that is one or none.
    ///
    /// # Errors
    /// Those of every operation: [`Unknown`](RegistryError::Unknown), [`WrongType`](RegistryError::WrongType),
    /// [`NoNode`](RegistryError::NoNode).
    #[inline]
    pub fn lookup(&self, key: &(impl AsKey<K> + ?Sized)) -> Result<Entries<V>, RegistryError> {
        self.on(|tables| Ok(tables.lookup(key)))
    }

    /// The process that has the key; in a duplicate registry, the one whose entry is the oldest.
    ///
    /// # Errors
    /// Those of every operation.
    #[inline]
    pub fn whereis(&self, key: &(impl AsKey<K> + ?Sized)) -> Result<Option<Pid>, RegistryError> {
        self.on(|tables| Ok(tables.pid(key)))
    }

    /// The server that has the key, as a handle to use at once: `None` if there is none, or if what has the key is not an `S`. In a
    /// duplicate registry it is the server whose entry is the oldest.
    ///
    /// For a single call this is cheaper than making a name with [`via`](Self::via).
    ///
    /// # Errors
    /// Those of every operation.
    #[inline]
    pub fn get<S: GenServer>(&self, key: &(impl AsKey<K> + ?Sized)) -> Result<Option<Ref<S>>, RegistryError> {
        let is_one = |proc: &ProcRef| (proc.table.type_id)() == std::any::TypeId::of::<S>();
        self.on(|tables| Ok(tables.whereis(key).filter(is_one).map(Ref::from_proc)))
    }

    /// Calls `f`, here and now, with every entry of a key, or not at all if there is none. `f` may use the registry.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn dispatch(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        f: impl FnOnce(&[(Pid, V)]),
    ) -> Result<(), RegistryError> {
        let entries = self.lookup(key)?;
        if !entries.is_empty() {
            f(&entries);
        }
        Ok(())
    }

    /// The keys of a process, in the order of registration, each as often as it is registered. Empty for a dead process.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn keys(&self, pid: Pid) -> Result<Vec<K>, RegistryError> {
        self.on(|tables| Ok(tables.keys(pid)))
    }

    /// The values that a process has registered under a key, in the order of registration. Empty for a dead process.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn values(&self, key: &(impl AsKey<K> + ?Sized), pid: Pid) -> Result<Vec<V>, RegistryError> {
        self.on(|tables| Ok(tables.values(key, pid)))
    }

    /// How many entries there are in all partitions. Those of a process that is just ending count until they are gone, which is before
    /// anybody hears of its end.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn count(&self) -> Result<usize, RegistryError> {
        self.on(|tables| Ok(tables.count()))
    }

    /// How many partitions the tables have.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn partitions(&self) -> Result<usize, RegistryError> {
        self.on(|tables| Ok(tables.partitions()))
    }

    /// Replaces the value of the calling process's entry by what `f` makes of it; `(new, old)`. Unique registries only.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Registry, process};
    /// let seats = Registry::<u32, u8>::unique("seats").start().await?;
    /// let guest = process::spawn(async move |_: Mailbox<()>| {
    ///     seats.register(1, 10).unwrap();
    ///     assert_eq!(seats.update_value(&1, |old| old + 1), Ok((11, 10)));
    /// });
    /// assert!(guest.wait().await.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`NotRegistered`](RegistryError::NotRegistered) when nobody or another process has the key: nothing changes, and `f` is not
    /// called; [`NotUnique`](RegistryError::NotUnique); [`NoProcess`](RegistryError::NoProcess) outside a process; those of every
    /// operation.
    pub fn update_value(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        f: impl FnOnce(&V) -> V,
    ) -> Result<(V, V), RegistryError> {
        self.own(|tables, me| {
            if !tables.is_unique() {
                return Err(tables.not_unique());
            }
            // No lock is held while `f` runs: nobody else can change the entry.
            let (id, old) = tables.own(me, key).ok_or(RegistryError::NotRegistered)?;
            let new = f(&old);
            match tables.replace(key, id, new.clone()) {
                Ok(replaced) => {
                    drop(replaced);
                    Ok((new, old))
                },
                Err(_) => Err(RegistryError::NotRegistered),
            }
        })
    }

    /// A value that belongs to the registry itself: `None` if there is none under this key, or if it is not a `T`.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn meta<T: Clone + Send + Sync + 'static>(&self, key: &str) -> Result<Option<T>, RegistryError> {
        let value = self.on(|tables| Ok(tables.meta().get(key).cloned()))?;
        Ok(value.and_then(|value| value.downcast_ref::<T>().cloned()))
    }

    /// Stores a value with the registry, in place of one that is there under this key. Any code may do that. It goes with the
    /// registry's process; [`RegistryBuilder::meta`] gives values that come back with a restart.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Registry;
    /// let rooms = Registry::<String>::unique("rooms").meta("opened", 2026).partitions(2).start().await?;
    /// assert_eq!(rooms.partitions()?, 2);
    /// rooms.put_meta("colour", "red")?;
    /// assert_eq!((rooms.meta("opened")?, rooms.meta("colour")?), (Some(2026), Some("red")));
    /// rooms.delete_meta("colour")?;
    /// assert_eq!(rooms.meta::<&str>("colour")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub fn put_meta<T: Clone + Send + Sync + 'static>(
        &self,
        key: impl Into<Arc<str>>,
        value: T,
    ) -> Result<(), RegistryError> {
        self.on(|tables| {
            let old = tables.meta_mut().insert(key.into(), Arc::new(value));
            drop(old);
            Ok(())
        })
    }

    /// Removes a value from the registry; without one it is done already.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn delete_meta(&self, key: &str) -> Result<(), RegistryError> {
        self.on(|tables| {
            let old = tables.meta_mut().remove(key);
            drop(old);
            Ok(())
        })
    }

    /// The name of a server `S` under `key`: to start it under (registered with the value `V::default()`), and to call it by.
    ///
    /// The registry must be running when a server starts under the name; the start fails with
    /// [`UnknownRegistry`](crate::StartError::UnknownRegistry) otherwise. A call then fails with `NoProc`, and a cast is lost.
    ///
    /// # Panics
    /// When the registry is a duplicate one: a name means one process. Where that is not known yet, because no registry of this name is
    /// running, using the name panics, and starting a server under it fails with
    /// [`DuplicateRegistry`](crate::StartError::DuplicateRegistry).
    #[track_caller]
    pub fn via<S: GenServer>(&self, key: K) -> Name<S>
    where
        V: Default,
    {
        self.name_of(key, V::default)
    }

    /// [`via`](Self::via) with another value for the server that starts under the name.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::Registry;
    /// let counters = Registry::<String, u8>::unique("counters").start().await?;
    /// let counter = Counter::start(0).name(counters.via_with("first".to_owned(), 7)).await?;
    /// assert_eq!(counters.lookup("first")?, [(counter.pid(), 7)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// As there.
    #[track_caller]
    pub fn via_with<S: GenServer>(&self, key: K, value: V) -> Name<S> {
        self.name_of(key, move || value.clone())
    }

    #[track_caller]
    fn name_of<S: GenServer>(&self, key: K, value: impl Fn() -> V + Send + Sync + 'static) -> Name<S> {
        if let Err(error) =
            self.on(|tables| if tables.is_unique() { Ok(()) } else { Err(tables.not_unique()) })
            && matches!(error, RegistryError::NotUnique { .. })
        {
            panic!("{error}");
        }
        Name::via(Arc::new(Via { registry: self.clone(), key, value }))
    }

    /// The registry's process, to watch or to stop it.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn server(&self) -> Result<Ref<RegistryServer<K, V>>, RegistryError> {
        self.on(|tables| tables.server().map(Ref::from_proc).ok_or_else(|| tables.unknown()))
    }
}

/// Finds a registry by name on the current node.
#[cold]
fn search<K: Key, V: Clone + Send + Sync + 'static>(name: &Text) -> Result<Arc<Tables<K, V>>, RegistryError> {
    let node = Node::try_current().ok_or(RegistryError::NoNode)?;
    let unknown = || RegistryError::Unknown { name: name.to_string() };
    let proc = node.0.names.get(name.as_str()).ok_or_else(unknown)?;
    match published::<K, V>(&proc) {
        Some(tables) if tables.is_open() => Ok(tables),
        Some(_) => Err(unknown()),
        None if (proc.table.type_id)() == std::any::TypeId::of::<RegistryServer<K, V>>() => Err(unknown()),
        None => Err(RegistryError::WrongType {
            name: name.to_string(),
            expected: short(type_name::<RegistryServer<K, V>>()),
            found: short((proc.table.type_name)()),
        }),
    }
}
