//! The process of a scope: who has joined what and how often, and who watches.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::gen_server::{Cx, GenServer, HandleCall, HandleInfo, InitError};
use crate::hash::{HashMap, Seeds};
use crate::mailbox::envelope::Opaque;
use crate::pg::error::PgError;
use crate::pg::handle::{Change, GroupEvent, GroupMonitor, Groups, PgBuilder, Pids};
use crate::pg::tables::Tables;
use crate::process::cell::{Proc, ProcRef};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations::{Down, MonitorTarget};
use crate::process::small_map::MixMap;
use crate::registry::Key;
use crate::registry::owner::Owner;

/// The process of a scope of process groups: it watches the members, and tells those who watch groups. An ordinary
/// [`GenServer`](crate::GenServer), started with a [`PgBuilder`]. Reads do not go through it.
pub struct PgServer<G: Key> {
    tables: Arc<Tables<G>>,
    seeds: Seeds,
    /// Every process that has joined something, or watches something.
    known: MixMap<Pid, Known<G>>,
    watchers: Watchers<G>,
}

/// A process that the scope's process monitors.
struct Known<G> {
    monitor: MonitorRef,
    /// Its joins.
    joined: Owner<G>,
    watches: Vec<u64>,
}

/// Who is told of changes, by monitor.
struct Watchers<G> {
    last: u64,
    of_all: BTreeMap<u64, Watcher<G>>,
    of_group: HashMap<G, BTreeMap<u64, Watcher<G>>>,
    /// Whose each monitor is, and of which group.
    owners: BTreeMap<u64, (Pid, Option<G>)>,
}

struct Watcher<G> {
    proc: ProcRef,
    pack: fn(GroupEvent<G>) -> Opaque,
}

impl<G: Key> GenServer for PgServer<G> {
    type Args = PgBuilder<G>;

    async fn init(args: PgBuilder<G>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let tables = args.tables;
        let proc = cx.proc_ref();
        let seeds = Seeds::new(|| proc.node.random());
        if let Err(pid) = tables.open(proc.clone(), seeds) {
            let why = format!("the scope {:?} is running as {pid}", tables.name().as_str());
            return Err(InitError::Stop(ExitReason::error(why)));
        }
        let published = Published(tables.clone());
        let mut extra = proc.extra.lock();
        extra.get_or_insert_default().locals.insert(TypeId::of::<Published<G>>(), Box::new(published));
        drop(extra);
        let watchers = Watchers {
            last: 0,
            of_all: BTreeMap::new(),
            of_group: HashMap::default(),
            owners: BTreeMap::new(),
        };
        Ok(PgServer { tables, seeds, known: MixMap::default(), watchers })
    }

    fn format_status(&self) -> String {
        let (groups, members) = self.tables.counts();
        let monitors = self.watchers.owners.len();
        format!(
            "scope {:?}: groups: {groups}, members: {members}, monitors: {monitors}",
            self.tables.name().as_str()
        )
    }
}

/// The scope ends, however it ends.
impl<G: Key> Drop for PgServer<G> {
    fn drop(&mut self) {
        self.tables.close();
    }
}

/// Where the scope's process keeps its tables for those who know its name.
struct Published<G>(Arc<Tables<G>>);

/// The tables that a process keeps, if it is a scope of groups with such names.
pub(crate) fn published<G: Key>(proc: &Proc) -> Option<Arc<Tables<G>>> {
    let extra = proc.extra.lock();
    let published = extra.as_ref()?.locals.get(&TypeId::of::<Published<G>>())?;
    published.downcast_ref::<Published<G>>().map(|published| published.0.clone())
}

/// What the handle asks.
pub(crate) struct Join<G>(pub(crate) G, pub(crate) Pids);
pub(crate) struct Leave<G>(pub(crate) G, pub(crate) Pids);
pub(crate) struct Watch<G> {
    pub(crate) group: Option<G>,
    pub(crate) watcher: Pid,
    pub(crate) pack: fn(GroupEvent<G>) -> Opaque,
}
pub(crate) struct Unwatch(pub(crate) GroupMonitor);

impl<G: Key> HandleCall<Join<G>> for PgServer<G> {
    type Reply = Result<(), PgError>;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Join(group, pids): Join<G>, cx: &mut Cx<Self>) -> Result<(), PgError> {
        self.all_local(&pids, cx)?;
        let mut joined = Vec::new();
        for pid in pids.as_slice() {
            // One that has ended already is no member, and nobody need be told.
            let Some(proc) = cx.proc_ref().node.lookup(*pid).filter(|proc| proc.word.is_alive()) else {
                continue;
            };
            let id = self.tables.join(&group, proc);
            let seeds = self.seeds;
            if let Some(known) = self.know(*pid, cx) {
                known.joined.add(group.clone(), id, seeds);
                joined.push(*pid);
            } else {
                self.tables.leave(&group, id);
            }
        }
        self.watchers.tell(Change::Join, &group, joined);
        Ok(())
    }
}

impl<G: Key> HandleCall<Leave<G>> for PgServer<G> {
    type Reply = Result<(), PgError>;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Leave(group, pids): Leave<G>, cx: &mut Cx<Self>) -> Result<(), PgError> {
        self.all_local(&pids, cx)?;
        let mut left = Vec::new();
        for pid in pids.as_slice() {
            let Some(known) = self.known.get_mut(pid) else { continue };
            // The last join first: a process that has joined several times keeps its place.
            let Some(id) = known.joined.ids(&group).pop() else { continue };
            drop(known.joined.remove_some(&group, &[id]));
            self.tables.leave(&group, id);
            left.push(*pid);
            self.forget(*pid, cx);
        }
        if left.is_empty() {
            return Err(PgError::NotJoined);
        }
        self.watchers.tell(Change::Leave, &group, left);
        Ok(())
    }
}

impl<G: Key> HandleCall<Watch<G>> for PgServer<G> {
    /// The monitor, and what it begins with: the members of the group, or of all groups.
    type Reply = Option<(GroupMonitor, Groups<G>)>;
    const SYNC: bool = true;

    async fn handle_call(&mut self, watch: Watch<G>, cx: &mut Cx<Self>) -> Self::Reply {
        let proc = cx.proc_ref().node.lookup(watch.watcher)?;
        let id = self.watchers.last + 1;
        self.know(watch.watcher, cx)?.watches.push(id);
        self.watchers.last = id;
        let watcher = Watcher { proc, pack: watch.pack };
        self.watchers.owners.insert(id, (watch.watcher, watch.group.clone()));
        let now = match watch.group {
            None => {
                self.watchers.of_all.insert(id, watcher);
                self.tables.all()?
            },
            Some(group) => {
                let members = self.tables.members(&group)?;
                self.watchers.of_group.entry(group.clone()).or_default().insert(id, watcher);
                vec![(group, members)]
            },
        };
        Some((GroupMonitor(id), now))
    }
}

impl<G: Key> HandleCall<Unwatch> for PgServer<G> {
    type Reply = bool;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Unwatch(monitor): Unwatch, cx: &mut Cx<Self>) -> bool {
        let Some(pid) = self.watchers.remove(monitor.0) else { return false };
        if let Some(known) = self.known.get_mut(&pid) {
            known.watches.retain(|id| *id != monitor.0);
        }
        self.forget(pid, cx);
        true
    }
}

impl<G: Key> HandleInfo<Down> for PgServer<G> {
    const SYNC: bool = true;

    async fn handle_info(&mut self, down: Down, _: &mut Cx<Self>) {
        let MonitorTarget::Pid(pid) = down.target else { return };
        let Some(known) = self.known.remove(&pid) else { return };
        for id in known.watches {
            self.watchers.remove(id);
        }
        // The groups in the order in which they were first joined.
        let mut left: Vec<(G, Vec<Pid>)> = Vec::new();
        let mut places: HashMap<G, usize> = HashMap::default();
        for (group, id) in known.joined.entries() {
            self.tables.leave(&group, id);
            let place = *places.entry(group.clone()).or_insert(left.len());
            if place == left.len() {
                left.push((group, Vec::new()));
            }
            left[place].1.push(pid);
        }
        for (group, pids) in left {
            self.watchers.tell(Change::Leave, &group, pids);
        }
    }
}

impl<G: Key> PgServer<G> {
    fn all_local(&self, pids: &Pids, cx: &Cx<Self>) -> Result<(), PgError> {
        let own = cx.pid().node_index();
        match pids.as_slice().iter().find(|pid| pid.node_index() != own) {
            Some(pid) => Err(PgError::NotLocal(*pid)),
            None => Ok(()),
        }
    }

    /// What is known of a process, which is monitored from now on; `None` if it is gone.
    fn know(&mut self, pid: Pid, cx: &mut Cx<Self>) -> Option<&mut Known<G>> {
        use std::collections::hash_map::Entry;
        match self.known.entry(pid) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let proc = cx.proc_ref().node.lookup(pid)?;
                let monitor = cx.monitor(pid);
                Some(place.insert(Known { monitor, joined: Owner::new(proc), watches: Vec::new() }))
            },
        }
    }

    /// Monitors a process no longer that has neither joined nor watches anything.
    fn forget(&mut self, pid: Pid, cx: &mut Cx<Self>) {
        let idle = |known: &Known<G>| known.joined.is_empty() && known.watches.is_empty();
        if self.known.get(&pid).is_some_and(idle)
            && let Some(known) = self.known.remove(&pid)
        {
            cx.demonitor(known.monitor);
        }
    }
}

impl<G: Key> Watchers<G> {
    /// Tells those who watch the group or all groups.
    fn tell(&self, change: Change, group: &G, pids: Vec<Pid>) {
        if pids.is_empty() {
            return;
        }
        let of_group = self.of_group.get(group).into_iter().flatten();
        for (id, watcher) in self.of_all.iter().chain(of_group) {
            let event =
                GroupEvent { monitor: GroupMonitor(*id), change, group: group.clone(), pids: pids.clone() };
            let Opaque(envelope) = (watcher.pack)(event);
            watcher.proc.node.0.deliver_to(&watcher.proc, envelope);
        }
    }

    /// Takes a monitor off; whose it was.
    fn remove(&mut self, id: u64) -> Option<Pid> {
        let (pid, group) = self.owners.remove(&id)?;
        match group {
            None => drop(self.of_all.remove(&id)),
            Some(group) => {
                if let Some(watchers) = self.of_group.get_mut(&group) {
                    watchers.remove(&id);
                    if watchers.is_empty() {
                        self.of_group.remove(&group);
                    }
                }
            },
        }
        Some(pid)
    }
}

impl<G: Key> fmt::Debug for PgServer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format_status())
    }
}
