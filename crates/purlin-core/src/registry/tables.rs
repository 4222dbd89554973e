//! The tables of a registry: read and changed by everybody, without a process.
//!
//! ```text
//!  partitions   key → entries of the key         by the key's hash; read by lookups
//!  owners       pid → its keys, with entry ids    by the pid; for keys(pid), unregister, and the end of a process
//!  lines        key → who has locked it, who waits by the key's hash; see `locks`
//! ```
//! One `Tables` value serves a registry through all its restarts (it travels in the start arguments), so that a handle taken once
//! stays good: `open` when the registry's process starts, `close` when it ends.
//!
//! Invariants
//! * An entry exists in both tables or in none, save inside an operation. Its id is never used again.
//! * Only the process itself adds and removes its entries, or its end does, or the registry's. Its end holds the run lock, so the process
//!   cannot be registering meanwhile.
//! * While the tables are closed they are empty: whoever writes holds the partition's lock and looks at `open` under it, and `close`
//!   takes `open` down before it takes each lock.
//! * An entry of a process that must end is as good as absent: it is not found, and a unique key can be taken over. What then is left of
//!   it in the owner's list points to an id that no entry has any more.
//! * Order of locks: a partition, then an owners' shard, then the process's own `extra`; a table of lines is locked by itself. Values and keys taken out are dropped after the
//!   locks: dropping them is user code. So are `Hash`, `Eq` and `Clone` of keys and `Clone` of values, which do run under a lock,
//!   and must not use the registry.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::hash::Seeds;
use crate::node::Node;
use crate::process::cell::{OWNS, Proc, ProcRef};
use crate::process::exit_reason::ExitReason;
use crate::process::extra::Owned;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::signal::{self, Signal};
use crate::process::small_map::MixMap;
use crate::registry::builder::Text;
use crate::registry::entries::{Bucket, Entries, Entry, Shared};
use crate::registry::error::RegistryError;
use crate::registry::key::{AsKey, Key};
use crate::registry::listeners::Listeners;
use crate::registry::locks::{self, Lines};
use crate::registry::owner::Owner;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering};
use crate::telemetry::{Value, events};

pub(crate) type Meta = BTreeMap<Arc<str>, Arc<dyn Any + Send + Sync>>;

pub(crate) struct Tables<K, V> {
    open: AtomicBool,
    /// The node of the registry's process; 0 before the first start.
    node: AtomicU32,
    unique: bool,
    seeds: OnceLock<Seeds>,
    partitions: Box<[Partition<K, V>]>,
    owners: Box<[Owners<K>]>,
    lines: Box<[Lines<K>]>,
    next_id: AtomicU64,
    server: Mutex<Option<ProcRef>>,
    meta: RwLock<Meta>,
    listeners: Listeners<K, V>,
    name: Text,
}

/// A part of the table of owners.
type Owners<K> = Mutex<MixMap<Pid, Owner<K>>>;

/// On cache lines of its own: the lock of one partition is not slowed down by its neighbours.
#[repr(align(64))]
struct Partition<K, V>(RwLock<Shelf<K, V>>);

struct Shelf<K, V> {
    /// `None` before the registry's first start: the hash has no seeds yet.
    buckets: Option<HashMap<K, Bucket<V>, Seeds>>,
    entries: usize,
}

impl<K, V> Partition<K, V> {
    #[inline]
    fn read(&self) -> RwLockReadGuard<'_, Shelf<K, V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelf<K, V>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Tables<K, V> {
    pub(crate) fn new(
        name: Text,
        unique: bool,
        partitions: usize,
        listeners: Listeners<K, V>,
    ) -> Tables<K, V> {
        let shelf = || Partition(RwLock::new(Shelf { buckets: None, entries: 0 }));
        Tables {
            open: AtomicBool::new(false),
            node: AtomicU32::new(0),
            unique,
            seeds: OnceLock::new(),
            partitions: std::iter::repeat_with(shelf).take(partitions).collect(),
            owners: std::iter::repeat_with(Mutex::default).take(partitions).collect(),
            lines: std::iter::repeat_with(Lines::default).take(partitions).collect(),
            next_id: AtomicU64::new(1),
            server: Mutex::new(None),
            meta: RwLock::default(),
            listeners,
            name,
        }
    }

    pub(crate) fn name(&self) -> &Text {
        &self.name
    }

    pub(crate) fn is_unique(&self) -> bool {
        self.unique
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    #[inline]
    pub(crate) fn listeners(&self) -> &Listeners<K, V> {
        &self.listeners
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn node(&self) -> u32 {
        self.node.load(Ordering::Relaxed)
    }

    pub(crate) fn unknown(&self) -> RegistryError {
        RegistryError::Unknown { name: self.name.to_string() }
    }

    pub(crate) fn not_unique(&self) -> RegistryError {
        RegistryError::NotUnique { name: self.name.to_string() }
    }

    pub(crate) fn server(&self) -> Option<ProcRef> {
        self.server.lock().clone()
    }

    /// How many entries there are, those of processes that are just ending included.
    pub(crate) fn count(&self) -> usize {
        self.partitions.iter().map(|p| p.read().entries).sum()
    }

    pub(crate) fn meta(&self) -> RwLockReadGuard<'_, Meta> {
        self.meta.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn meta_mut(&self) -> RwLockWriteGuard<'_, Meta> {
        self.meta.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn owners(&self, pid: Pid) -> &Owners<K> {
        &self.owners[pid.id() as usize % self.owners.len()]
    }

    pub(crate) fn seeds(&self) -> Seeds {
        *self.seeds.get().expect("set when the registry opened")
    }

    /// The partition of a key. The tables are, or were, open.
    #[inline]
    fn partition(&self, key: &(impl AsKey<K> + ?Sized)) -> &Partition<K, V> {
        match &*self.partitions {
            [only] => only,
            many => &many[self.seeds().pick(key, many.len())],
        }
    }

    /// The lines that a key's is among. As above.
    #[inline]
    pub(crate) fn lines(&self, key: &(impl AsKey<K> + ?Sized)) -> &Lines<K> {
        match &*self.lines {
            [only] => only,
            many => &many[self.seeds().pick(key, many.len())],
        }
    }

    pub(crate) fn all_lines(&self) -> &[Lines<K>] {
        &self.lines
    }

    /// How many keys are locked.
    pub(crate) fn locks(&self) -> usize {
        self.all_lines().iter().map(Lines::len).sum()
    }
}

/// Reading.
impl<K: Key, V> Tables<K, V> {
    /// Calls `f` with the entries of a key, under the lock.
    #[inline]
    fn look<R>(&self, key: &(impl AsKey<K> + ?Sized), f: impl FnOnce(&Bucket<V>) -> R) -> Option<R> {
        let shelf = self.partition(key).read();
        key.find(shelf.buckets.as_ref()?).map(f)
    }

    #[inline]
    pub(crate) fn lookup(&self, key: &(impl AsKey<K> + ?Sized)) -> Entries<V>
    where
        V: Clone,
    {
        self.look(key, Bucket::live).unwrap_or_else(Entries::none)
    }

    /// The process of the oldest entry of a key.
    #[inline]
    pub(crate) fn whereis(&self, key: &(impl AsKey<K> + ?Sized)) -> Option<ProcRef> {
        self.look(key, |bucket| bucket.first_live().map(|e| e.proc.clone()))?
    }

    #[inline]
    pub(crate) fn pid(&self, key: &(impl AsKey<K> + ?Sized)) -> Option<Pid> {
        self.look(key, |bucket| bucket.first_live().map(|e| e.proc.pid()))?
    }

    pub(crate) fn keys(&self, pid: Pid) -> Vec<K> {
        let owners = self.owners(pid).lock();
        let Some(owner) = owners.get(&pid).filter(|o| o.proc.word.is_alive()) else { return Vec::new() };
        owner.entries().into_iter().map(|(key, _)| key).collect()
    }

    pub(crate) fn values(&self, key: &(impl AsKey<K> + ?Sized), pid: Pid) -> Vec<V>
    where
        V: Clone,
    {
        self.entries(key, pid).into_iter().map(|(_, value)| value).collect()
    }

    /// The entries of a process under a key, with their ids, in the order of registration.
    pub(crate) fn entries(&self, key: &(impl AsKey<K> + ?Sized), pid: Pid) -> Vec<(u64, V)>
    where
        V: Clone,
    {
        let ids = self.owners(pid).lock().get(&pid).map_or_else(Vec::new, |owner| owner.ids(key));
        let values = |bucket: &Bucket<V>| {
            ids.iter()
                .filter_map(|id| bucket.get(*id))
                .filter(|e| e.is_live())
                .map(|e| (e.id, e.value.clone()))
                .collect()
        };
        self.look(key, values).unwrap_or_default()
    }

    /// Copies of all entries, one partition after the other: each as it is when the iterator comes to it. No lock is held in between.
    pub(crate) fn copies(&self) -> impl Iterator<Item = Vec<(K, Pid, V)>>
    where
        V: Clone,
    {
        self.partitions.iter().map(|partition| {
            let shelf = partition.read();
            let mut copies = Vec::with_capacity(shelf.entries);
            for (key, bucket) in shelf.buckets.iter().flatten() {
                let live = bucket.iter().filter(|e| e.is_live());
                copies.extend(live.map(|e| (key.clone(), e.proc.pid(), e.value.clone())));
            }
            copies
        })
    }

    /// The entries of a key as they are now, to go through without a lock.
    pub(crate) fn share(&self, key: &(impl AsKey<K> + ?Sized)) -> Option<Shared<V>>
    where
        V: Clone,
    {
        self.look(key, Bucket::share)
    }

    /// The id and the value of a process's entry in a unique registry.
    pub(crate) fn own(&self, proc: &Proc, key: &(impl AsKey<K> + ?Sized)) -> Option<(u64, V)>
    where
        V: Clone,
    {
        let own = |e: &Entry<V>| std::ptr::eq(&*e.proc, proc).then(|| (e.id, e.value.clone()));
        self.look(key, |bucket| bucket.first_live().and_then(own))?
    }
}

/// Changing.
impl<K: Key, V: Clone + Send + Sync + 'static> Tables<K, V> {
    /// Registers `proc`, which is the calling process, or one that has not run yet.
    pub(crate) fn register(self: &Arc<Self>, proc: &Proc, key: K, value: V) -> Result<(), RegistryError> {
        if !self.is_open() {
            return Err(self.unknown());
        }
        if proc.pid().node_index() != self.node() {
            return Err(RegistryError::NoProcess);
        }
        let listed = key.clone();
        let mut unshared = None;
        let replaced = {
            let mut shelf = self.partition(&key).write();
            if !self.is_open() {
                return Err(self.unknown());
            }
            if !proc.word.is_alive() {
                return Err(RegistryError::NoProcess);
            }
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let entry = Entry { id, proc: proc.to_ref(), value };
            let Shelf { buckets, entries } = &mut *shelf;
            let buckets = buckets.get_or_insert_with(|| HashMap::with_hasher(self.seeds()));
            let mut replaced = None;
            match key.find_mut(buckets) {
                Some(bucket) if self.unique => match bucket.first_live() {
                    Some(holder) => {
                        let taken = RegistryError::AlreadyRegistered(holder.proc.pid());
                        drop(shelf);
                        drop(entry);
                        return Err(taken);
                    },
                    None => replaced = Some(std::mem::replace(bucket, Bucket::One(entry))),
                },
                Some(bucket) => {
                    unshared = bucket.unshare();
                    bucket.add(entry);
                    *entries += 1;
                },
                None => {
                    buckets.insert(key, Bucket::One(entry));
                    *entries += 1;
                },
            }
            self.note(proc, listed, id);
            replaced
        };
        drop((replaced, unshared));
        Ok(())
    }

    /// Enters a key into its owner's list, and the registry into what the process gives up at its end.
    fn note(self: &Arc<Self>, proc: &Proc, key: K, id: u64) {
        let mut owners = self.owners(proc.pid()).lock();
        let owner = owners.entry(proc.pid()).or_insert_with(|| {
            let mut extra = proc.extra.lock();
            let owned = &mut extra.get_or_insert_default().owned;
            // A process that gave up its last key here before has it already.
            if !owned.iter().any(|other| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(self))) {
                owned.push(self.clone());
            }
            proc.set_flag(OWNS, true);
            Owner::new(proc.to_ref())
        });
        owner.add(key, id, self.seeds());
    }

    /// Takes the process's own entries of a key out.
    pub(crate) fn unregister(&self, proc: &Proc, key: &(impl AsKey<K> + ?Sized)) -> Vec<(K, u64)> {
        self.give_up(proc, |owner| owner.remove(key))
    }

    /// Takes those of the process's own entries of a key out whose ids are given, in growing order.
    pub(crate) fn unregister_some(
        &self,
        proc: &Proc,
        key: &(impl AsKey<K> + ?Sized),
        ids: &[u64],
    ) -> Vec<(K, u64)> {
        self.give_up(proc, |owner| owner.remove_some(key, ids))
    }

    /// Takes out what `from_list` takes out of the process's list.
    fn give_up(&self, proc: &Proc, from_list: impl FnOnce(&mut Owner<K>) -> Vec<(K, u64)>) -> Vec<(K, u64)> {
        let mut forgotten = None;
        let gone = {
            let mut owners = self.owners(proc.pid()).lock();
            let Some(owner) = owners.get_mut(&proc.pid()) else { return Vec::new() };
            let gone = from_list(owner);
            if owner.is_empty() {
                forgotten = owners.remove(&proc.pid());
            }
            gone
        };
        drop(forgotten);
        drop(self.take_out(&gone));
        gone
    }

    fn take_out(&self, gone: &[(K, u64)]) -> Vec<Entry<V>> {
        let mut taken = Vec::with_capacity(gone.len());
        let mut keys = Vec::new();
        let mut unshared = Vec::new();
        for (key, id) in gone {
            let mut shelf = self.partition(key).write();
            let Shelf { buckets: Some(buckets), entries } = &mut *shelf else { continue };
            let Some(bucket) = key.find_mut(buckets) else { continue };
            unshared.extend(bucket.unshare());
            if let Some(entry) = bucket.remove(*id) {
                taken.push(entry);
                *entries -= 1;
                if bucket.is_empty() {
                    keys.extend(key.remove(buckets));
                }
            }
        }
        drop((keys, unshared));
        taken
    }

    /// Replaces the value of the entry `id`; the value before, or the new one back if the entry is gone.
    pub(crate) fn replace(&self, key: &(impl AsKey<K> + ?Sized), id: u64, value: V) -> Result<V, V> {
        // Declared before the lock, so dropped after it.
        let _unshared;
        let mut shelf = self.partition(key).write();
        let Some(bucket) = shelf.buckets.as_mut().and_then(|b| key.find_mut(b)) else { return Err(value) };
        _unshared = bucket.unshare();
        match bucket.get_mut(id) {
            Some(entry) => Ok(std::mem::replace(&mut entry.value, value)),
            None => Err(value),
        }
    }

    /// Tells that registrations of `pid` have begun or ended.
    pub(crate) fn tell(&self, node: &Node, pid: Pid, key: &K, cause: Option<&'static str>) {
        let event = if cause.is_some() { events::REGISTRY_UNREGISTER } else { events::REGISTRY_REGISTER };
        node.telemetry().execute_with(event, || {
            let mut data = crate::telemetry::Metadata::from([
                ("registry", self.name.to_string().into()),
                ("pid", pid.into()),
                ("key", Value::any(key.clone())),
            ]);
            if let Some(cause) = cause {
                data.insert("cause", cause);
            }
            ((), data)
        });
    }

    /// The registry's process starts. `Err` gives the process that it is running as already.
    pub(crate) fn open(self: &Arc<Self>, server: ProcRef, meta: Meta) -> Result<(), Pid> {
        let node = server.node.clone();
        {
            let mut current = self.server.lock();
            if let Some(other) = &*current {
                return Err(other.pid());
            }
            *current = Some(server.clone());
        }
        self.seeds.get_or_init(|| Seeds::new(|| node.random()));
        self.node.store(node.0.index, Ordering::Relaxed);
        *self.meta_mut() = meta;
        let mut extra = server.extra.lock();
        let extra = extra.get_or_insert_default();
        extra.owned.push(Arc::new(Life(self.clone())));
        server.set_flag(OWNS, true);
        self.open.store(true, Ordering::Release);
        Ok(())
    }

    /// The registry's process has ended: everything goes, and the processes that are registered hear of it as if they were linked.
    fn close(&self) {
        self.open.store(false, Ordering::Release);
        let mut buckets = Vec::new();
        for partition in &self.partitions {
            let mut shelf = partition.write();
            shelf.entries = 0;
            buckets.push(shelf.buckets.take());
        }
        let mut owners: Vec<_> =
            self.owners.iter().flat_map(|shard| std::mem::take(&mut *shard.lock())).collect();
        let meta = std::mem::take(&mut *self.meta_mut());
        // Those who have a lock keep it: nothing stops what they are doing under it.
        let waiting: Vec<_> = self.all_lines().iter().flat_map(Lines::send_away).collect();
        // Last: from here on the tables can be opened again.
        let Some(server) = self.server.lock().take() else { return };
        owners.sort_unstable_by_key(|(pid, _)| *pid);
        let reason = server.mailbox.exit_reason().unwrap_or(ExitReason::Killed);
        for (_, owner) in &owners {
            signal::send(&owner.proc, Signal::Exit { from: server.pid(), reason: reason.clone(), link: 0 });
        }
        panic::drop_quietly("what a registry held", (buckets, owners, meta));
        for waker in waiting {
            locks::wake(waker);
        }
    }

    /// A process that had registered itself has ended.
    fn leave(&self, pid: Pid) {
        let Some(owner) = self.owners(pid).lock().remove(&pid) else { return };
        let gone = owner.entries();
        drop(self.take_out(&gone));
        for (key, _) in &gone {
            self.tell(&owner.proc.node, pid, key, Some("exit"));
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Owned for Tables<K, V> {
    fn release(&self, owner: Pid) {
        if let Err(reason) = panic::catch(|| self.leave(owner)) {
            tracing::error!(registry = %self.name, %reason, "a key or value panicked when its process ended");
        }
    }
}

/// The registry's process holds this: its end closes the tables.
struct Life<K, V>(Arc<Tables<K, V>>);

impl<K: Key, V: Clone + Send + Sync + 'static> Owned for Life<K, V> {
    fn release(&self, _: Pid) {
        self.0.close();
    }
}
