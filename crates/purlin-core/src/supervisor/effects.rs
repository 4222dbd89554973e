//! Starting and stopping processes on behalf of a supervisor.
//!
//! Everything here runs inside the supervisor's process. While it waits, other exits and requests gather in its mailbox, in order.
//!
//! # Stopping
//! What tells that a child is down is its own end, watched here, and not the link: a child that has unlinked itself is stopped like any
//! other. Its exit message, which comes as well, finds no child of that pid and is ignored. A child that had ended before has
//! left its reason in a message that the supervisor has not read yet.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::child::StartChild;
use super::dynamic_policy::{DynamicStop, StopPlan};
use super::spec::Shutdown;
use crate::process::api::{ended, wait_within};
use crate::process::cell::{Proc, ProcRef};
use crate::process::small_map::MixMap;
use crate::process::{exit, panic};
use crate::{Cx, Exit, ExitReason, GenServer, Pid, StartError};

/// How a child that was stopped has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) reason: ExitReason,
    /// It did not end in the time it was given.
    pub(crate) killed: bool,
    /// From the exit signal to the end.
    pub(crate) took: Duration,
}

/// Runs a start function; a panic in it, also in what makes the arguments, is a failed start (S8).
pub(crate) async fn start(child: &dyn StartChild) -> Result<ProcRef, StartError> {
    let mut starting = panic::catch(|| child.start()).map_err(StartError::Failed)?;
    poll_fn(|context| match panic::catch(|| starting.as_mut().poll(context)) {
        Ok(polled) => polled,
        Err(reason) => Poll::Ready(Err(StartError::Failed(reason))),
    })
    .await
}

/// Stops one child and waits until it is down.
pub(crate) async fn stop<S: GenServer>(cx: &mut Cx<S>, pid: Pid, how: Shutdown) -> Ended {
    let node = cx.node();
    let begin = node.now();
    let Some(proc) = node.lookup(pid) else {
        let exits = cx.waiting_exits();
        return Ended { reason: reason_among(&exits, pid), killed: false, took: Duration::ZERO };
    };
    signal(cx.pid(), &proc, how);
    let in_time = match how {
        Shutdown::Timeout(limit) => wait_within(&proc, limit).await,
        Shutdown::BrutalKill | Shutdown::Infinity => Some(ended(&proc).await),
    };
    let killed = in_time.is_none();
    let reason = match in_time {
        Some(reason) => reason,
        None => {
            exit::kill(&proc);
            ended(&proc).await
        },
    };
    Ended { reason: final_reason(&proc, reason), killed, took: node.now() - begin }
}

/// Stops all children at the same time, with one deadline per distinct shutdown time, and waits until all are down.
///
/// They are waited for one after another, which takes no longer than the slowest: groups with a deadline first, the shortest one first,
/// because while one group is waited for, no deadline of a later group passes unseen. What is killed is waited for at the end.
pub(crate) async fn stop_all<S: GenServer>(cx: &mut Cx<S>, plan: StopPlan) -> Vec<(DynamicStop, Ended)> {
    let node = cx.node();
    let begin = node.now();
    let mut results = Vec::with_capacity(plan.stop.len());
    let mut groups: Vec<(Duration, Vec<(DynamicStop, ProcRef)>)> =
        plan.deadlines.into_keys().map(|limit| (limit, Vec::new())).collect();
    let (mut patient, mut killed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for child in plan.stop {
        let Some(proc) = node.lookup(child.pid) else {
            gone.push(child);
            continue;
        };
        let how = child.traits.shutdown;
        signal(cx.pid(), &proc, how);
        match how {
            Shutdown::BrutalKill => killed.push((child, proc, false)),
            Shutdown::Infinity => patient.push((child, proc)),
            Shutdown::Timeout(limit) => match groups.binary_search_by_key(&limit, |(limit, _)| *limit) {
                Ok(at) => groups[at].1.push((child, proc)),
                Err(_) => patient.push((child, proc)),
            },
        }
    }
    if !gone.is_empty() {
        // One look for all of them: there may be many, and the mailbox long. The latest exit of a process is its end.
        let reasons: MixMap<Pid, ExitReason> =
            cx.waiting_exits().into_iter().map(|exit| (exit.from, exit.reason)).collect();
        for child in gone {
            let reason = reasons.get(&child.pid).cloned().unwrap_or(ExitReason::NoProc);
            results.push((child, Ended { reason, killed: false, took: Duration::ZERO }));
        }
    }
    for (limit, group) in groups {
        let deadline = begin + limit;
        for (child, proc) in group {
            // When the time of the group is over, this only looks whether the rest have ended.
            match wait_within(&proc, deadline.saturating_sub(node.now())).await {
                Some(reason) => {
                    let reason = final_reason(&proc, reason);
                    results.push((child, Ended { reason, killed: false, took: node.now() - begin }));
                },
                None => {
                    exit::kill(&proc);
                    killed.push((child, proc, true));
                },
            }
        }
    }
    for (child, proc, in_vain) in patient.into_iter().map(|(child, proc)| (child, proc, false)).chain(killed)
    {
        let reason = ended(&proc).await;
        let reason = final_reason(&proc, reason);
        results.push((child, Ended { reason, killed: in_vain, took: node.now() - begin }));
    }
    results
}

/// Asks, or forces, a child to end.
fn signal(from: Pid, proc: &Proc, how: Shutdown) {
    match how {
        Shutdown::BrutalKill => exit::kill(proc),
        Shutdown::Timeout(_) | Shutdown::Infinity => exit::send(from, proc, ExitReason::Shutdown),
    }
}

/// A process that ended before it could be watched still knows why.
fn final_reason(proc: &Proc, seen: ExitReason) -> ExitReason {
    match seen {
        ExitReason::NoProc => proc.mailbox.exit_reason().unwrap_or(ExitReason::NoProc),
        reason => reason,
    }
}

/// Why a process ended whose exit has not been handled yet. One that has unlinked itself leaves no exit.
fn reason_among(exits: &[Exit], pid: Pid) -> ExitReason {
    let own = exits.iter().rev().find(|exit| exit.from == pid);
    own.map_or(ExitReason::NoProc, |exit| exit.reason.clone())
}
