//! The members of a scope's groups: changed by the scope's process, read by everybody.
//!
//! Invariants
//! * Only the scope's process changes the table, in its handlers; so what it knows of each member (`server`) and the table agree between
//!   two messages.
//! * While the scope does not run the table is closed and empty.
//! * A member that must end is as good as absent, also before the scope has heard of its end: every read leaves it out.
//! * `Hash`, `Eq` and `Clone` of group names run under the lock; names are dropped outside.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::hash::Seeds;
use crate::process::cell::ProcRef;
use crate::process::pid::Pid;
use crate::registry::builder::Text;
use crate::registry::{AsKey, Key};
use crate::sync::{AtomicU32, Ordering};

pub(crate) struct Tables<G> {
    name: Text,
    /// The node of the scope's process; 0 before the first start.
    node: AtomicU32,
    shelf: RwLock<Shelf<G>>,
}

struct Shelf<G> {
    /// The scope's process, while it runs.
    server: Option<ProcRef>,
    groups: Option<HashMap<G, Group, Seeds>>,
    /// Of the latest join; never used again.
    last_id: u64,
}

/// The members of a group by join: a process that has joined twice is there twice.
type Group = BTreeMap<u64, ProcRef>;

fn live(group: &Group) -> impl Iterator<Item = Pid> {
    group.values().filter(|proc| proc.word.is_alive()).map(|proc| proc.pid())
}

impl<G> Tables<G> {
    pub(crate) fn new(name: Text) -> Tables<G> {
        let shelf = Shelf { server: None, groups: None, last_id: 0 };
        Tables { name, node: AtomicU32::new(0), shelf: RwLock::new(shelf) }
    }

    pub(crate) fn name(&self) -> &Text {
        &self.name
    }

    pub(crate) fn node(&self) -> u32 {
        self.node.load(Ordering::Relaxed)
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelf<G>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelf<G>> {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scope's process, if it runs.
    pub(crate) fn server(&self) -> Option<ProcRef> {
        self.read().server.clone()
    }

    /// The scope's process starts. `Err` gives the process that it is running as already.
    pub(crate) fn open(&self, server: ProcRef, seeds: Seeds) -> Result<(), Pid> {
        let mut shelf = self.write();
        if let Some(other) = &shelf.server {
            return Err(other.pid());
        }
        self.node.store(server.pid().node_index(), Ordering::Relaxed);
        shelf.server = Some(server);
        shelf.groups = Some(HashMap::with_hasher(seeds));
        Ok(())
    }

    /// The scope's process has ended.
    pub(crate) fn close(&self) {
        let (server, groups) = {
            let mut shelf = self.write();
            (shelf.server.take(), shelf.groups.take())
        };
        drop((server, groups));
    }
}

/// Reading; `None` when the scope does not run.
impl<G: Key> Tables<G> {
    pub(crate) fn members(&self, group: &(impl AsKey<G> + ?Sized)) -> Option<Vec<Pid>> {
        let shelf = self.read();
        let found = group.find(shelf.groups.as_ref()?);
        Some(found.map_or_else(Vec::new, |members| live(members).collect()))
    }

    /// The groups that have a live member.
    pub(crate) fn groups(&self) -> Option<Vec<G>> {
        let shelf = self.read();
        let groups = shelf.groups.as_ref()?.iter();
        Some(
            groups
                .filter(|(_, members)| live(members).next().is_some())
                .map(|(group, _)| group.clone())
                .collect(),
        )
    }

    pub(crate) fn all(&self) -> Option<Vec<(G, Vec<Pid>)>> {
        let shelf = self.read();
        let groups = shelf.groups.as_ref()?.iter();
        let all = groups.map(|(group, members)| (group.clone(), live(members).collect::<Vec<_>>()));
        Some(all.filter(|(_, members)| !members.is_empty()).collect())
    }

    /// How many groups there are, and members in all of them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let shelf = self.read();
        let groups = shelf.groups.as_ref();
        groups.map_or((0, 0), |groups| (groups.len(), groups.values().map(BTreeMap::len).sum()))
    }
}

/// Changing, by the scope's process.
impl<G: Key> Tables<G> {
    /// Adds a member to a group; the id of this join.
    pub(crate) fn join(&self, group: &G, member: ProcRef) -> u64 {
        let mut shelf = self.write();
        shelf.last_id += 1;
        let id = shelf.last_id;
        if let Some(groups) = shelf.groups.as_mut() {
            match groups.get_mut(group) {
                Some(members) => drop(members.insert(id, member)),
                None => drop(groups.insert(group.clone(), BTreeMap::from([(id, member)]))),
            }
        }
        id
    }

    /// Takes one join back.
    pub(crate) fn leave(&self, group: &G, id: u64) {
        let mut shelf = self.write();
        let Some(groups) = shelf.groups.as_mut() else { return };
        let Some(members) = groups.get_mut(group) else { return };
        let gone = members.remove(&id);
        let emptied = if members.is_empty() { groups.remove_entry(group) } else { None };
        drop(shelf);
        drop((gone, emptied));
    }
}
