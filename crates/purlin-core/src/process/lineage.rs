//! Ancestry: who spawned a process, and who spawned that one (`$ancestors`), shared between siblings; and on whose behalf tasks run
//! (`$callers`).

use std::sync::Arc;

use crate::process::pid::Pid;

struct Link {
    pid: Pid,
    name: Option<Arc<str>>,
    /// On whose behalf this one runs: what a task that it spawns has as callers behind it.
    callers: Vec<Pid>,
    next: Option<Lineage>,
}

/// A parent and its ancestors, nearest first.
#[derive(Clone)]
pub(crate) struct Lineage(Arc<Link>);

impl Lineage {
    pub(crate) fn new(pid: Pid, name: Option<Arc<str>>, callers: Vec<Pid>, next: Option<Lineage>) -> Lineage {
        Lineage(Arc::new(Link { pid, name, callers, next }))
    }

    pub(crate) fn parent(&self) -> Pid {
        self.0.pid
    }

    /// The parent and its callers: those of a task that it spawned.
    pub(crate) fn as_callers(&self) -> Vec<Pid> {
        std::iter::once(self.0.pid).chain(self.0.callers.iter().copied()).collect()
    }

    /// Pids and names at the time of spawning, nearest first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = (Pid, Option<Arc<str>>)> + '_ {
        std::iter::successors(Some(self), |l| l.0.next.as_ref()).map(|l| (l.0.pid, l.0.name.clone()))
    }
}
