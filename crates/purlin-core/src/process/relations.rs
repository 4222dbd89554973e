//! Links, monitors and aliases: who must be told when a process ends.
//!
//! Both sides keep an entry, each under its own process's mutex. A monitor writes the own side first, then the other's; if the other
//! side is closed already, the answer is a DOWN with `noproc`. A link is one thing with two ends that either side may make or take away:
//! both mutexes are held for it, taken in the order of the pids, so that the ends always agree. An end closes the process's own
//! table, takes the entries and sends a signal for each; a link with a process that a normal end means nothing to is only taken away there.
//!
//! A signal counts only if its entry still exists when it is *applied*: a link entry carries an id, so that `unlink` followed by `link`
//! does not let an old EXIT through (OTP's active flag and unlink id do the same); a monitor's entry is removed by `demonitor`, after
//! which its DOWN is dropped. Unlinking and demonitoring therefore need no acknowledgement.

use std::sync::Arc;

use crate::call::slot::Replier;
use crate::mailbox::envelope::Envelope;
use crate::node::Node;
use crate::process::cell::{CLOSED, Proc, ProcRef, Rejected, TRAP};
use crate::process::exit_reason::{ExitReason, Term};
use crate::process::pid::{MonitorRef, Pid};
use crate::process::signal::{self, Signal};
use crate::process::small_map::SmallMap;
use crate::sync::MutexGuard;

/// A trapped exit signal, as a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// The process that ended, or that called [`exit`](crate::process::exit).
    pub from: Pid,
    /// Its reason.
    pub reason: ExitReason,
}

/// A monitored process ended, or was not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Down {
    /// What `monitor` returned.
    pub monitor: MonitorRef,
    /// What was monitored, as given: a pid stays a pid, a name stays a name even if it has moved to another process.
    pub target: MonitorTarget,
    /// The pid that the target meant when the monitor was set up; `None` when there was no such process.
    pub pid: Option<Pid>,
    /// Why it ended; [`ExitReason::NoProc`] when it was not there to begin with.
    pub reason: ExitReason,
    /// The tag given in [`MonitorOptions`](crate::process::MonitorOptions), if any.
    pub tag: Option<Term>,
}

/// What a monitor watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MonitorTarget {
    /// One incarnation.
    Pid(Pid),
    /// Whatever process had this local name when the monitor was set up.
    Name(Arc<str>),
}

impl From<Pid> for MonitorTarget {
    fn from(pid: Pid) -> Self {
        MonitorTarget::Pid(pid)
    }
}

impl From<&str> for MonitorTarget {
    fn from(name: &str) -> Self {
        MonitorTarget::Name(name.into())
    }
}

impl From<String> for MonitorTarget {
    fn from(name: String) -> Self {
        MonitorTarget::Name(name.into())
    }
}

impl std::fmt::Display for MonitorTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MonitorTarget::Pid(pid) => write!(f, "{pid}"),
            MonitorTarget::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// An entry of the watching side.
pub(crate) struct Watch {
    pub(crate) target: MonitorTarget,
    pub(crate) pid: Option<Pid>,
    pub(crate) tag: Option<Term>,
    /// Makes the message that the watcher's handler or mailbox takes.
    pub(crate) convert: fn(Down) -> Envelope,
    /// The alias that shares this monitor's reference goes with it.
    pub(crate) ends_alias: bool,
}

/// An entry of the watched side.
pub(crate) enum Watcher {
    Process(Pid),
    /// Somebody outside waits for the end (`stop`, a join).
    Slot(Replier<ExitReason>),
}

/// When an alias stops working.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AliasMode {
    /// Only by `unalias`.
    ExplicitUnalias,
    /// By the first message that arrives through it.
    Reply,
}

#[derive(Default)]
pub(crate) struct Relations {
    pub(crate) links: SmallMap<Pid, u64>,
    pub(crate) watching: SmallMap<u64, Watch>,
    pub(crate) watchers: SmallMap<u64, Watcher>,
    pub(crate) aliases: SmallMap<u64, AliasMode>,
}

impl Relations {
    /// The table of a process about to be spawned with a link to `parent`.
    pub(crate) fn linked_to(parent: Pid, id: u64) -> Box<Relations> {
        let mut relations = Box::<Relations>::default();
        relations.links.insert(parent, id);
        relations
    }
}

/// Calls `f` with the process's table unless it is closed.
fn open<R>(proc: &Proc, f: impl FnOnce(&mut Relations) -> R) -> Option<R> {
    let mut relations = proc.relations.lock();
    // The flag changes under this lock only. It is no field of the table: most processes end without ever having had one.
    if proc.has(CLOSED) { None } else { Some(f(relations.get_or_insert_default())) }
}

/// Like [`open`], but looks only at a table that exists.
fn peek<R>(proc: &Proc, f: impl FnOnce(&mut Relations) -> R) -> Option<R> {
    let mut relations = proc.relations.lock();
    relations.as_mut().map(|r| f(r))
}

/// Both tables, locked in the order of their pids, which every other pair of locks follows. The two must differ.
fn both<'a>(me: &'a Proc, other: &'a Proc) -> (Table<'a>, Table<'a>) {
    if me.pid() < other.pid() {
        let mine = me.relations.lock();
        (mine, other.relations.lock())
    } else {
        let theirs = other.relations.lock();
        (me.relations.lock(), theirs)
    }
}

type Table<'a> = MutexGuard<'a, Option<Box<Relations>>>;

/// Links `me` with `other`; `false` if `other` has ended. Idempotent.
pub(crate) fn link(me: &Proc, other: &Proc) -> bool {
    if std::ptr::eq(me, other) {
        return true;
    }
    let (mut mine, mut theirs) = both(me, other);
    if me.has(CLOSED) || mine.as_ref().is_some_and(|r| r.links.get(&other.pid()).is_some()) {
        // Of one that is gone by now the EXIT is on its way.
        return true;
    }
    if other.has(CLOSED) {
        return false;
    }
    let id = me.node.next_ref();
    mine.get_or_insert_default().links.insert(other.pid(), id);
    theirs.get_or_insert_default().links.insert(me.pid(), id);
    true
}

/// Has `me` a link with `other`, whose exit signal has not been applied?
pub(crate) fn is_linked(me: &Proc, other: Pid) -> bool {
    peek(me, |r| r.links.get(&other).is_some()) == Some(true)
}

/// The parent's half of a link that is made together with its child.
pub(crate) fn link_child(parent: &Proc, child: Pid, id: u64) -> bool {
    open(parent, |r| r.links.insert(child, id)).is_some()
}

/// Takes the link with `other` away from both sides; from now on no EXIT of it arrives.
pub(crate) fn unlink(me: &Proc, other: Pid) {
    if other == me.pid() {
        return;
    }
    let Some(other) = me.node.lookup(other) else {
        peek(me, |r| r.links.remove(&other));
        return;
    };
    let (mut mine, mut theirs) = both(me, &other);
    if let Some(mine) = mine.as_mut() {
        mine.links.remove(&other.pid());
    }
    if let Some(theirs) = theirs.as_mut() {
        theirs.links.remove(&me.pid());
    }
}

/// Sets up a monitor of `target`; the DOWN for one that is not there is already under way.
pub(crate) fn monitor(me: &Proc, target: MonitorTarget, options: WatchOptions) -> MonitorRef {
    let id = me.node.next_ref();
    let found = me.node.resolve(&target);
    let itself = found.as_ref().is_some_and(|p| std::ptr::eq(&**p, me));
    let pid = match &target {
        MonitorTarget::Pid(pid) => Some(*pid),
        MonitorTarget::Name(_) => found.as_ref().map(|p| p.pid()),
    };
    if let Some(mode) = options.alias {
        open(me, |r| r.aliases.insert(id, mode));
    }
    if itself {
        // A process never sees itself go down.
        return MonitorRef(id);
    }
    open(me, |r| {
        r.watching.insert(
            id,
            Watch { target, pid, tag: options.tag, convert: options.convert, ends_alias: options.ends_alias },
        )
    });
    crate::rt::sim::interlude(me);
    let watched =
        found.is_some_and(|p| open(&p, |r| r.watchers.insert(id, Watcher::Process(me.pid()))).is_some());
    if !watched {
        if let Some(pid) = pid {
            crate::rt::sim::finds_gone(pid);
        }
        signal::send(me, Signal::Down { monitor: id, reason: ExitReason::NoProc });
    }
    MonitorRef(id)
}

/// What `monitor` is told beside its target.
pub(crate) struct WatchOptions {
    pub(crate) tag: Option<Term>,
    pub(crate) convert: fn(Down) -> Envelope,
    pub(crate) alias: Option<AliasMode>,
    pub(crate) ends_alias: bool,
}

impl WatchOptions {
    pub(crate) fn converting(convert: fn(Down) -> Envelope) -> WatchOptions {
        WatchOptions { tag: None, convert, alias: None, ends_alias: false }
    }
}

/// Ends a monitor: `true` if it was there and its DOWN was not yet delivered.
pub(crate) fn demonitor(me: &Proc, monitor: MonitorRef) -> bool {
    let removed = peek(me, |r| {
        let watch = r.watching.remove(&monitor.0);
        if watch.as_ref().is_some_and(|w| w.ends_alias) {
            r.aliases.remove(&monitor.0);
        }
        watch
    });
    let Some(watch) = removed.flatten() else { return false };
    if let Some(target) = watch.pid.and_then(|pid| me.node.lookup(pid)) {
        peek(&target, |r| r.watchers.remove(&monitor.0));
    }
    true
}

/// Tells `replier` when `proc` has ended: at once, with `NoProc`, if it already has.
pub(crate) fn watch_end(proc: &Proc, replier: Replier<ExitReason>) -> Option<u64> {
    let id = proc.node.next_ref();
    let mut replier = Some(replier);
    open(proc, |r| r.watchers.insert(id, Watcher::Slot(replier.take().expect("taken once"))));
    match replier {
        None => Some(id),
        Some(replier) => {
            crate::rt::sim::finds_gone(proc.pid());
            let _ = replier.send(ExitReason::NoProc);
            None
        },
    }
}

/// Forgets a [`watch_end`].
pub(crate) fn unwatch_end(proc: &Proc, id: u64) {
    let entry = peek(proc, |r| r.watchers.remove(&id));
    drop(entry);
}

/// Closes the table of a process that ends and tells everybody in it.
pub(crate) fn close(proc: &Proc, reason: &ExitReason) {
    let taken = {
        let mut relations = proc.relations.lock();
        proc.set_flag(CLOSED, true);
        relations.take()
    };
    let Some(taken) = taken else { return };
    let node: &Node = &proc.node;
    for (peer, link) in taken.links.into_entries() {
        if let Some(peer) = node.lookup(peer) {
            if reason.is_normal() && end_quietly(&peer, proc.pid(), link) {
                continue;
            }
            signal::send(&peer, Signal::Exit { from: proc.pid(), reason: reason.clone(), link });
        }
    }
    for (monitor, watcher) in taken.watchers.into_entries() {
        match watcher {
            Watcher::Process(pid) => {
                if let Some(watcher) = node.lookup(pid) {
                    signal::send(&watcher, Signal::Down { monitor, reason: reason.clone() });
                }
            },
            Watcher::Slot(replier) => {
                crate::rt::sim::arrive_all(proc, None);
                drop(replier.send(reason.clone()));
            },
        }
    }
    for (monitor, watch) in taken.watching.into_entries() {
        if let Some(target) = watch.pid.and_then(|pid| node.lookup(pid)) {
            peek(&target, |r| r.watchers.remove(&monitor));
        }
    }
}

/// Takes the entry that a DOWN is for.
pub(crate) fn take_watch(me: &Proc, monitor: u64) -> Option<Watch> {
    peek(me, |r| {
        let watch = r.watching.remove(&monitor)?;
        if watch.ends_alias {
            r.aliases.remove(&monitor);
        }
        Some(watch)
    })
    .flatten()
}

/// Takes the link entry that an EXIT is for; `false` if the link is gone or is another one by now.
pub(crate) fn take_link(me: &Proc, from: Pid, id: u64) -> bool {
    peek(me, |r| remove_link(r, from, id)).unwrap_or(false)
}

fn remove_link(r: &mut Relations, from: Pid, id: u64) -> bool {
    let same = r.links.get(&from) == Some(&id);
    if same {
        r.links.remove(&from);
    }
    same
}

/// To a process that does not trap exits, the end of a linked one with `Normal` means that the link is gone, and no more: takes it away at once.
/// `false` if it traps them, and is to be told.
///
/// It is looked at under the lock: one that begins to trap exits, and then still sees the link, is told.
fn end_quietly(peer: &Proc, from: Pid, id: u64) -> bool {
    peek(peer, |r| {
        let quiet = !peer.has(TRAP);
        if quiet {
            remove_link(r, from, id);
        }
        quiet
    })
    .unwrap_or(true)
}

/// Makes an alias of `me`.
pub(crate) fn alias(me: &Proc, mode: AliasMode) -> u64 {
    let id = me.node.next_ref();
    open(me, |r| r.aliases.insert(id, mode));
    id
}

/// Ends an alias; `true` if it was active.
pub(crate) fn unalias(me: &Proc, id: u64) -> bool {
    peek(me, |r| r.aliases.remove(&id)).flatten().is_some()
}

/// Sends through an alias. The push is made under the owner's relations lock, so that after `unalias` nothing more arrives.
pub(crate) fn send_through(owner: &ProcRef, id: u64, envelope: Envelope) -> Result<(), Rejected> {
    let mut envelope = Some(envelope);
    let mut ended = None;
    // Not under the lock: what arrives at one that has ended is dropped, which is code of the program.
    crate::rt::sim::arrive_all_of_current();
    let outcome = peek(owner, |r| {
        match r.aliases.get(&id)? {
            AliasMode::ExplicitUnalias => {},
            AliasMode::Reply => {
                r.aliases.remove(&id);
                if r.watching.get(&id).is_some_and(|watch| watch.ends_alias) {
                    ended = r.watching.remove(&id);
                }
            },
        }
        Some(owner.push_now(envelope.take().expect("taken once")))
    });
    if let Some(target) = ended.and_then(|watch| watch.pid).and_then(|pid| owner.node.lookup(pid)) {
        peek(&target, |r| r.watchers.remove(&id));
    }
    match (outcome.flatten(), envelope) {
        (Some(pushed), _) => pushed,
        // Switched off: as if there were nobody.
        (None, Some(envelope)) => Err(Rejected::Closed(envelope)),
        (None, None) => Ok(()),
    }
}
