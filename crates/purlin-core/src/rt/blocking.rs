//! Activations of processes that may block their thread: on tokio's blocking pool in place of an executor.
//!
//! ```text
//!  schedule ──► one task of the pool per activation ──► begin, run, end: as on an executor
//!                   └── the runtime is gone: the task is dropped, never run ──► the shared run queue, whose owner ends it
//! ```
//! A process keeps no thread while it waits: it gets one for each activation, and does with it what it likes. Everything else is as for
//! any other process, since an activation does not care which thread it is on: state word, mailbox, signals, the end.

use crate::process::cell::{Proc, ProcRef};
use crate::process::run;
use crate::sync::Mutex;

/// The pool, and who is on it.
pub(crate) struct Blocking {
    pool: tokio::runtime::Handle,
    /// Processes that are being run there now.
    running: Mutex<Vec<ProcRef>>,
}

impl Blocking {
    pub(crate) fn new(pool: tokio::runtime::Handle) -> Blocking {
        Blocking { pool, running: Mutex::new(Vec::new()) }
    }

    /// Sees to one activation of a process whose SCHED bit the caller has just set.
    #[cold]
    pub(crate) fn schedule(&self, proc: &Proc) {
        let turn = Turn(Some(proc.to_ref()));
        drop(self.pool.spawn_blocking(move || turn.run()));
    }

    /// How many processes must end, and are still being run: nothing can stop code that blocks its thread.
    pub(crate) fn zombies(&self) -> usize {
        self.running.lock().iter().filter(|proc| !proc.word.is_alive()).count()
    }

    fn enter(&self, proc: &ProcRef) {
        self.running.lock().push(proc.clone());
    }

    fn leave(&self, proc: &ProcRef) {
        let left = {
            let mut running = self.running.lock();
            let at = running.iter().position(|other| std::ptr::eq(&**other, &**proc));
            at.map(|at| running.swap_remove(at))
        };
        drop(left);
    }
}

/// One activation that is due.
struct Turn(Option<ProcRef>);

impl Turn {
    fn run(mut self) {
        let Some(proc) = self.0.take() else { return };
        let blocking = &proc.node.rt().blocking;
        blocking.enter(&proc);
        run::activate_here(&proc);
        blocking.leave(&proc);
    }
}

impl Drop for Turn {
    /// The runtime shuts down, and drops its tasks. The process is still due: whoever empties the run queues of the node ends it.
    fn drop(&mut self) {
        if let Some(proc) = self.0.take() {
            proc.node.rt().sched.inject(proc.ptr());
        }
    }
}
