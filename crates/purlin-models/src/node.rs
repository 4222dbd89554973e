//! Stands in for a node: a process table that is a plain list, and no names. Its scheduler is in `rt`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::process::cell::{NewProc, Proc, ProcRef};
use crate::process::pid::Pid;
use crate::process::relations::MonitorTarget;
use crate::rt::Rt;
use crate::sync::Ordering;

/// What a node's processes share.
#[derive(Default)]
pub(crate) struct NodeInner {
    next_ref: AtomicU64,
    pub(crate) rt: Rt,
    pub(crate) names: Names,
}

/// Names are not modelled: no process of a model has one.
#[derive(Default)]
pub(crate) struct Names;

impl Names {
    pub(crate) fn remove_if(&self, _name: &Arc<str>, _proc: &Proc) {}
}

/// See [`NodeInner`].
#[derive(Clone, Default)]
pub(crate) struct Node(pub(crate) Arc<NodeInner>);

impl Node {
    /// Enters a process, which `make` describes once it knows its pid.
    pub(crate) fn insert<B>(&self, make: impl FnOnce(Node, Pid) -> (NewProc, B)) -> ProcRef {
        let (new, body) = make(self.clone(), Pid::from_parts(1, self.0.rt.processes() + 1, 1));
        let proc = new.build(body);
        self.0.rt.enter(proc.clone());
        proc
    }

    pub(crate) fn rt(&self) -> &Rt {
        &self.0.rt
    }

    pub(crate) fn next_ref(&self) -> u64 {
        self.0.next_ref.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn lookup(&self, pid: Pid) -> Option<ProcRef> {
        self.0.rt.lookup(pid)
    }

    pub(crate) fn resolve(&self, target: &MonitorTarget) -> Option<ProcRef> {
        match target {
            MonitorTarget::Pid(pid) => self.lookup(*pid),
            MonitorTarget::Name(_) => None,
        }
    }

    pub(crate) fn remove(&self, pid: Pid) -> Option<ProcRef> {
        self.0.rt.remove(pid)
    }
}

impl NodeInner {
    pub(crate) fn pids(&self) -> Vec<Pid> {
        (1..=self.rt.processes()).map(|id| Pid::from_parts(1, id, 1)).collect()
    }

    pub(crate) fn lookup(&self, pid: Pid) -> Option<ProcRef> {
        self.rt.lookup(pid)
    }
}

pub(crate) fn current_index() -> Option<u32> {
    None
}

pub(crate) mod current {
    //! Which process a model's thread runs.

    use std::cell::Cell;
    use std::ptr::NonNull;

    use crate::process::cell::Proc;

    loom::thread_local! {
        static CURRENT: Cell<Option<NonNull<Proc>>> = Cell::new(None);
    }

    pub(crate) fn is_only(_index: u32) -> bool {
        false
    }

    pub(crate) fn with_current<R>(f: impl FnOnce(&Proc) -> R) -> Option<R> {
        let proc = CURRENT.with(Cell::get)?;
        // SAFETY: a model's processes live until the model is over.
        Some(f(unsafe { proc.as_ref() }))
    }

    /// Makes `proc` the process that this thread runs; returns the one before.
    pub(crate) fn replace(proc: Option<NonNull<Proc>>) -> Option<NonNull<Proc>> {
        CURRENT.with(|current| current.replace(proc))
    }
}
