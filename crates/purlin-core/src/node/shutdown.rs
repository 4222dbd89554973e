//! An orderly stop of a whole node.
//!
//! ```text
//!  asked for ──► the processes at the top, one after another ──► what is left, all at once ──► nobody is left: executors end
//!                     └──────────── one deadline for all of this ────────────┘
//!                                               └── passed: whoever is left is killed ──────────► executors end
//! ```
//! A supervisor that is asked stops its own children as their specifications say; nobody else may hurry it but the deadline.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use crate::node::{Node, exit_as_parent};
use crate::process::api::wait_within;
use crate::process::cell::Proc;
use crate::process::exit;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::telemetry::events;
use crate::timer::Alarm;

/// How long all processes together may take to stop before those that are left are killed.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// How long killed processes may take to end. One that gives way now and then ends at once; one that blocks its thread cannot be
/// interrupted, and is not waited for for ever.
const KILLED: Duration = Duration::from_secs(5);

impl Node {
    /// Stops the node, within 30 seconds. Returns when no process is left and the executors have stopped; a second call waits for the end
    /// of the first one.
    ///
    /// The processes that no process started, top supervisors and the masters of [applications](crate::application) among them, are asked to
    /// shut down one after another, in the reverse order of their places in the process table: that is the reverse order of their start,
    /// unless a process began in the place of one that had ended. Applications are always stopped in the reverse order of their start. A supervisor stops its children in the reverse order of their start, as their `shutdown` settings say. Then whoever is left
    /// is asked, all at once.
    ///
    /// The 30 seconds are for all of them together. When they have passed, every process that is left is killed, also those that were not
    /// asked yet because another one took all the time: a process that may take long belongs under a supervisor, whose `shutdown` setting
    /// limits it. A process that blocks its thread cannot be killed; it is waited for for 5 seconds more, and left behind then, with a warning
    /// in the log.
    ///
    /// What nobody answers for ends as well: once this is under way ([`is_stopping`](Self::is_stopping)), servers that no process starts are
    /// refused with [`NodeStopping`](crate::StartError::NodeStopping), and other processes that no process spawns are killed at once.
    ///
    /// Must not be called from a process of the node: it would wait for itself.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use purlin_core::{Mailbox, Node, process};
    /// let node = Node::builder().start();
    /// let process = node.scope(async { process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await) }).await;
    /// node.shutdown().await;
    /// assert!(process.wait().await.is_shutdown());
    /// # });
    /// ```
    pub async fn shutdown(&self) {
        self.shutdown_within(GRACE).await;
    }

    /// [`shutdown`](Self::shutdown) with another limit for all processes together.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use purlin_core::{ExitReason, Mailbox, Node, millis, process};
    /// let node = Node::builder().start();
    /// let busy = node.scope(async { process::spawn(async |_: Mailbox<()>| std::future::pending().await) }).await;
    /// node.shutdown_within(millis(10)).await;
    /// assert!(!busy.is_alive());
    /// # });
    /// ```
    pub async fn shutdown_within(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::Release);
        self.0.stop_asked.notify_waiters();
        // Held across the awaits: if this call is dropped, the one that waits for it goes on in its place.
        let mut stopped = self.0.shutdown.lock().await;
        if *stopped {
            return;
        }
        let begin = self.now();
        let deadline = begin.saturating_add(grace);
        let all_ended = self.ask_all(deadline).await;
        let at_last = self.now().saturating_add(KILLED);
        let killed = if all_ended { 0 } else { self.kill_all(at_last).await };
        self.0.rt.sched.stop();
        self.join_executors(at_last).await;
        *stopped = true;
        let took = self.now() - begin;
        self.telemetry().execute_with(events::NODE_STOP, || {
            let reason =
                self.stop_reason().map_or_else(|| "requested".to_owned(), |reason| reason.to_string());
            (
                [("duration", took.into()), ("uptime", self.now().into()), ("killed", killed.into())],
                [("node", self.name().to_owned().into()), ("reason", reason.into())],
            )
        });
    }

    /// Why the node stops, or has stopped, by itself: a permanent [application](crate::application) ended. `None` if it does not, or was asked
    /// to. The term in the reason holds an [`ApplicationTerminated`](crate::application::ApplicationTerminated).
    ///
    /// A program under `#[purlin::main]` ends with exit code 1 then.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let node = purlin_core::Node::builder().start();
    /// node.shutdown().await;
    /// assert!(node.is_stopping() && node.stop_reason().is_none());
    /// # });
    /// ```
    pub fn stop_reason(&self) -> Option<ExitReason> {
        self.0.stop_reason.lock().clone()
    }

    /// Stops the node for a reason of its own. May be called by a process of it: it only begins.
    pub(crate) fn stop_because(&self, reason: ExitReason) {
        {
            let mut why = self.0.stop_reason.lock();
            if self.is_stopping() {
                return;
            }
            // In this order: whoever sees that the node stops also sees why.
            *why = Some(reason);
            self.0.stopping.store(true, Ordering::Release);
        }
        self.0.stop_asked.notify_waiters();
        let node = self.clone();
        // Processes run inside the node's runtime.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { node.shutdown().await });
        }
    }

    /// From now on this process, which no process started, is stopped before those that were given to this earlier.
    pub(crate) fn stops_in_order(&self, pid: Pid) {
        let mut in_order = self.0.in_order.lock();
        in_order.retain(|other| *other != pid && self.lookup(*other).is_some());
        in_order.push(pid);
    }

    /// `true` from the moment an orderly stop of the node was asked for: by [`shutdown`](Self::shutdown), or by a signal to a program under
    /// `#[purlin::main]`. No process has been asked to end before that, so whoever sees one end can tell a stop of the node from a failure:
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Node, Supervisor, process};
    /// let supervisor = Supervisor::one_for_one().start_link().await?;
    /// # let stop = tokio::spawn({ let node = node.clone(); async move { node.shutdown().await } });
    /// let reason = process::wait(supervisor.pid()).await;
    /// if !Node::current().is_stopping() {
    ///     eprintln!("the supervisor gave up: {reason}");
    /// }
    /// # assert!(Node::current().is_stopping());
    /// # stop.await.unwrap();
    /// # Ok::<(), purlin_core::StartError>(())
    /// # }).await.unwrap();
    /// # });
    /// ```
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire) || self.0.is_down()
    }

    /// Waits until [`is_stopping`](Self::is_stopping). For code that is no process, and would otherwise not hear of it: a task that serves
    /// something, or `main`. Processes need not ask: they get their supervisor's exit signal.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use purlin_core::Node;
    /// let node = Node::builder().start();
    /// let task = tokio::spawn({
    ///     let stopping = node.stopping();
    ///     async move { stopping.await }
    /// });
    /// node.shutdown().await;
    /// task.await.unwrap();
    /// # });
    /// ```
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let node = self.clone();
        async move {
            // Begins to wait before it looks: a stop in between is not missed.
            let asked = node.0.stop_asked.notified();
            if !node.is_stopping() {
                asked.await;
            }
        }
    }

    /// Asks every process to end; `false` if some are left at the deadline.
    async fn ask_all(&self, deadline: Duration) -> bool {
        let mut at_the_top = self.live(|proc| proc.parent().is_none());
        at_the_top.reverse();
        arrange(&mut at_the_top, &self.0.in_order.lock());
        for pid in at_the_top {
            let Some(proc) = self.lookup(pid) else { continue };
            exit_as_parent(self, &proc, ExitReason::Shutdown);
            if !self.ends_before(&proc, deadline).await {
                return false;
            }
        }
        // What these start while they end is found by another look.
        let mut asked = BTreeSet::new();
        loop {
            let left = self.live(|_| true);
            if left.is_empty() {
                return true;
            }
            for pid in left.iter().rev() {
                if let Some(proc) = self.lookup(*pid).filter(|_| asked.insert(*pid)) {
                    exit_as_parent(self, &proc, ExitReason::Shutdown);
                }
            }
            for pid in left {
                let Some(proc) = self.lookup(pid) else { continue };
                if !self.ends_before(&proc, deadline).await {
                    return false;
                }
            }
        }
    }

    /// Kills every process that is left; how many that were.
    async fn kill_all(&self, at_last: Duration) -> u64 {
        let left = self.live(|_| true);
        exit::kill_all(&self.0);
        for pid in &left {
            let Some(proc) = self.lookup(*pid) else { continue };
            if !self.ends_before(&proc, at_last).await {
                tracing::warn!(
                    target: "purlin::node",
                    node = self.name(),
                    %pid,
                    "a process blocks its thread and cannot be ended; it is left behind",
                );
            }
        }
        left.len() as u64
    }

    async fn ends_before(&self, proc: &Proc, deadline: Duration) -> bool {
        wait_within(proc, deadline.saturating_sub(self.now())).await.is_some()
    }

    /// Waits for the executors' ends, but not for one whose thread a process blocks.
    async fn join_executors(&self, at_last: Duration) {
        let mut executors = std::mem::take(&mut *self.0.executors.lock());
        let mut alarm = Alarm::at(self.clone(), at_last);
        poll_fn(|cx| {
            executors.retain_mut(|executor| Pin::new(executor).poll(cx).is_pending());
            if executors.is_empty() { Poll::Ready(()) } else { alarm.poll(cx) }
        })
        .await;
    }

    fn live(&self, keep: impl Fn(&Proc) -> bool) -> Vec<Pid> {
        self.0.pids().into_iter().filter(|pid| self.lookup(*pid).is_some_and(|p| keep(&p))).collect()
    }
}

/// Puts those of `stops` that have an order into the reverse of it, in the places that they have among the others.
fn arrange(stops: &mut [Pid], in_order: &[Pid]) {
    let mut latest =
        in_order.iter().rev().filter(|pid| stops.contains(pid)).copied().collect::<Vec<_>>().into_iter();
    for stop in stops.iter_mut().filter(|pid| in_order.contains(pid)) {
        if let Some(next) = latest.next() {
            *stop = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ap14_processes_with_an_order_are_put_into_its_reverse_and_the_others_stay_where_they_are() {
        let pid = |id| Pid::from_parts(1, id, 1);
        let mut stops = [9, 8, 7, 6, 5].map(pid);
        arrange(&mut stops, &[8, 5, 9, 4].map(pid));
        assert_eq!(stops, [9, 5, 7, 6, 8].map(pid));
    }
}
