//! An orderly stop of a whole node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::node::{Node, exit_as_parent};
use crate::process::api::wait_within;
use crate::process::cell::Proc;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::telemetry::events;

/// How long a process that no process started gets to stop before it is killed. Supervisors among them take what their children's
/// `shutdown` settings allow, up to this.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

impl Node {
    /// Stops the node: the processes that no process started (top supervisors among them) are asked to shut down one after another, the
    /// youngest first, then whatever is left; who has not ended after 30 seconds is killed. Returns when no process is left and the
    /// executors have stopped. A second call waits for the same end.
    ///
    /// Must not be called from a process of the node: it would wait for itself.
    pub async fn shutdown(&self) {
        self.shutdown_within(GRACE).await;
    }

    /// [`shutdown`](Self::shutdown) with another limit per process.
    pub async fn shutdown_within(&self, grace: Duration) {
        let begin = self.now();
        self.0.stopping.store(true, Ordering::Release);
        let mut killed = 0u64;
        for only_roots in [true, false] {
            let mut pids = self.live(|p| !only_roots || p.parent().is_none());
            pids.reverse();
            if !only_roots {
                for pid in &pids {
                    if let Some(proc) = self.lookup(*pid) {
                        exit_as_parent(self, &proc, ExitReason::Shutdown);
                    }
                }
            }
            for pid in pids {
                let Some(proc) = self.lookup(pid) else { continue };
                exit_as_parent(self, &proc, ExitReason::Shutdown);
                if wait_within(&proc, grace).await.is_none() {
                    killed += 1;
                    crate::process::exit::kill(&proc);
                    // A process that blocks its thread cannot be interrupted; it is not waited for for ever.
                    let _ = wait_within(&proc, grace).await;
                }
            }
        }
        self.0.rt.sched.stop();
        let executors = std::mem::take(&mut *self.0.executors.lock());
        for executor in executors {
            let _ = executor.await;
        }
        let took = self.now() - begin;
        self.telemetry().execute_with(events::NODE_STOP, || {
            (
                [("duration", took.into()), ("uptime", self.now().into()), ("killed", killed.into())],
                [("node", self.name().to_owned().into()), ("reason", "requested".into())],
            )
        });
    }

    fn live(&self, keep: impl Fn(&Proc) -> bool) -> Vec<Pid> {
        self.0.pids().into_iter().filter(|pid| self.lookup(*pid).is_some_and(|p| keep(&p))).collect()
    }
}
