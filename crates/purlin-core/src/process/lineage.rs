//! Ancestry: who spawned a process, and who spawned that one (`$ancestors`), shared between siblings.

use std::sync::Arc;

use crate::process::pid::Pid;

struct Link {
    pid: Pid,
    name: Option<Arc<str>>,
    next: Option<Lineage>,
}

/// A parent and its ancestors, nearest first.
#[derive(Clone)]
pub(crate) struct Lineage(Arc<Link>);

impl Lineage {
    pub(crate) fn new(pid: Pid, name: Option<Arc<str>>, next: Option<Lineage>) -> Lineage {
        Lineage(Arc::new(Link { pid, name, next }))
    }

    pub(crate) fn parent(&self) -> Pid {
        self.0.pid
    }

    /// Pids and names at the time of spawning, nearest first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = (Pid, Option<Arc<str>>)> + '_ {
        std::iter::successors(Some(self), |l| l.0.next.as_ref()).map(|l| (l.0.pid, l.0.name.clone()))
    }
}
