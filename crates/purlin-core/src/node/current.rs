//! Which node and which process the running code belongs to.
//!
//! A thread-local record holds the node (by index), the process being run and how deeply calls in place are nested. It is set for the
//! time of a poll and put back afterwards. Order of resolution: the process being run; a [`Node::scope`] or [`Node::enter`]; else
//! the only node of the current tokio runtime. With two nodes on one runtime there is no default: guessing would be silently wrong.

use std::cell::Cell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{RwLock, Weak};

use crate::node::{Node, NodeInner};
use crate::process::cell::{Proc, ProcRef};
use crate::rt::sched::Worker;

pub(crate) struct Tls {
    /// Index of the node set by a poll, a scope or an entry; 0 for none.
    pub(crate) node: Cell<u32>,
    /// Cached default of this thread: the version of the node list that it was found in, the runtime it was found for, the node's index.
    cached: Cell<(u64, Option<tokio::runtime::Id>, u32)>,
    pub(crate) proc: Cell<Option<NonNull<Proc>>>,
    /// How deeply calls in place are nested.
    pub(crate) depth: Cell<u32>,
    /// Calls made since this thread last gave way because of them.
    pub(crate) calls: Cell<u32>,
    /// How many catches of user code are on the stack; see `process::panic`.
    pub(crate) catching: Cell<u32>,
    /// The packed pid of the caller whose message is being handled; 0 for none.
    pub(crate) caller: Cell<u64>,
    /// Is this a thread where handlers may run (inside the node's runtime), and not a plain thread that entered the node?
    pub(crate) in_place: Cell<bool>,
    /// The executor running on this thread.
    pub(crate) worker: Cell<Option<NonNull<Worker>>>,
    /// An address in the frame of that executor's poll, where the stack of a process begins; 0 outside.
    pub(crate) stack: Cell<usize>,
}

impl Tls {
    /// As at the beginning of an executor's poll, after a panic that nobody caught in between.
    #[cold]
    pub(crate) fn recover(&self) {
        self.node.set(0);
        self.proc.set(None);
        self.in_place.set(false);
        self.depth.set(0);
        self.catching.set(0);
        self.caller.set(0);
    }
}

thread_local! {
    static TLS: Tls = const {
        Tls {
            node: Cell::new(0),
            cached: Cell::new((0, None, 0)),
            proc: Cell::new(None),
            depth: Cell::new(0),
            calls: Cell::new(0),
            catching: Cell::new(0),
            caller: Cell::new(0),
            in_place: Cell::new(false),
            worker: Cell::new(None),
            stack: Cell::new(0),
        }
    };
}

/// The intern table of nodes, the one thing that nodes share: index → node, and which tokio runtime it is on. Entries go when their
/// node goes; indices are never used twice.
static NODES: RwLock<Option<Nodes>> = RwLock::new(None);
type Nodes = HashMap<u32, (Weak<NodeInner>, tokio::runtime::Id)>;
static NEXT: AtomicU32 = AtomicU32::new(1);
/// Changes whenever `NODES` does.
static VERSION: AtomicU64 = AtomicU64::new(1);

#[inline(always)]
pub(crate) fn tls<R>(f: impl FnOnce(&Tls) -> R) -> R {
    TLS.with(f)
}

/// This thread's record, for a function that uses it many times: one lookup instead of a closure's frame.
///
/// # Safety
/// The reference does not outlive the calling function: the record goes with its thread.
#[inline(always)]
pub(crate) unsafe fn record<'a>() -> &'a Tls {
    // SAFETY: the record has no destructor and stays where it is for as long as its thread runs, which is running this.
    unsafe { &*TLS.with(std::ptr::from_ref::<Tls>) }
}

pub(crate) fn next_index() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Is this the only node that the program has ever started? Then a pid needs no number to say which.
pub(crate) fn is_only(index: u32) -> bool {
    index == 1 && NEXT.load(Ordering::Relaxed) == 2
}

pub(crate) fn add(index: u32, node: Weak<NodeInner>, runtime: tokio::runtime::Id) {
    let mut nodes = NODES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    nodes.get_or_insert_default().insert(index, (node, runtime));
    VERSION.fetch_add(1, Ordering::Release);
}

pub(crate) fn remove(index: u32) {
    let mut nodes = NODES.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(nodes) = nodes.as_mut() {
        nodes.remove(&index);
    }
    VERSION.fetch_add(1, Ordering::Release);
}

/// The live node with this index.
pub(crate) fn by_index(index: u32) -> Option<Node> {
    if let Some(node) = with_current(|p| (p.pid.node_index() == index).then(|| p.node.clone())).flatten() {
        return Some(node);
    }
    let nodes = NODES.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    nodes.as_ref()?.get(&index)?.0.upgrade().map(Node)
}

/// The only node of the tokio runtime that this code runs on; 0 if there is none.
///
/// A thread may be inside one runtime now and inside another one, or none, later (`block_on`, `Handle::enter`), so the runtime is asked
/// for every time; only the look at the node list is saved.
#[cold]
pub(crate) fn find_default() -> u32 {
    let Ok(handle) = tokio::runtime::Handle::try_current() else { return 0 };
    let runtime = handle.id();
    let version = VERSION.load(Ordering::Acquire);
    let (cached_version, cached_runtime, cached) = tls(|t| t.cached.get());
    if cached_version == version && cached_runtime == Some(runtime) {
        return cached;
    }
    let found = {
        let nodes = NODES.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut here = nodes.iter().flatten().filter(|(_, (_, of))| *of == runtime);
        match (here.next(), here.next()) {
            (Some((index, _)), None) => *index,
            _ => 0,
        }
    };
    tls(|t| t.cached.set((version, Some(runtime), found)));
    found
}

/// Index of the current node.
#[inline]
pub(crate) fn current_index() -> Option<u32> {
    let set = tls(|t| t.node.get());
    let index = if set != 0 { set } else { find_default() };
    (index != 0).then_some(index)
}

/// The current node.
pub(crate) fn current() -> Option<Node> {
    with_current(|p| p.node.clone()).or_else(|| by_index(current_index()?))
}

/// May a process of node `index` run on this thread, now?
#[inline]
pub(crate) fn may_run_in_place(index: u32) -> bool {
    tls(|t| {
        if t.node.get() == index {
            t.in_place.get()
        } else {
            // A task of the runtime whose only node this is, outside every scope.
            t.node.get() == 0 && find_default() == index
        }
    })
}

/// Calls `f` with the process being run, if there is one.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Proc) -> R) -> Option<R> {
    let proc = tls(|t| t.proc.get())?;
    // SAFETY: the pointer is set for the time of a run only, by a party that holds RUN (or is counted as a reader), and the process
    // table keeps a process that is being run.
    Some(f(unsafe { proc.as_ref() }))
}

/// A counted reference to the process being run.
pub(crate) fn current_proc() -> Option<ProcRef> {
    with_current(Proc::to_ref)
}

/// Puts the thread's record back when dropped.
pub(crate) struct Restore {
    node: u32,
    proc: Option<NonNull<Proc>>,
    in_place: bool,
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        tls(|t| {
            t.node.set(self.node);
            t.proc.set(self.proc);
            t.in_place.set(self.in_place);
        });
    }
}

/// Makes `index` the current node, with no process, until the result is dropped.
pub(crate) fn enter_node(index: u32, in_place: bool) -> Restore {
    tls(|t| Restore {
        node: t.node.replace(index),
        proc: t.proc.replace(None),
        in_place: t.in_place.replace(in_place),
    })
}
