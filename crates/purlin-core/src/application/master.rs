//! The master of an application: the process that runs its callbacks, and that all its processes descend from.
//!
//! ```text
//!            start      phases                          change_config ─► config_change
//!   spawned ──────► … ──────────► running ◄───────────────────────────────┘
//!      │ fails        │ fails       │ asked to stop             │ the top process ended
//!      │              │             ▼                           ▼
//!      │              │         prep_stop, stop the tree, stop  prep_stop, stop
//!      ▼              ▼             └──── shutdown_timeout ─────┘
//!      └──────────────┴──────► what is left is killed ──► end: the controller is told
//! ```
//! It traps exits and is started by no process, so that a node that stops asks it like any process at the top.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::config::ConfigChange;
use super::controller::{Controller, Gone};
use super::error::{ApplicationTerminated, StartApplicationError};
use super::report;
use super::spec::{ApplicationSpec, Boxed, Module, Running, StartType};
use crate::call::slot::Replier;
use crate::node::{Node, current, exit_as_parent};
use crate::process::api::{self, wait_within};
use crate::process::cell::{OWNS, Proc};
use crate::process::exit;
use crate::process::extra::Owned;
use crate::process::spawn::Options;
use crate::process::{panic, raw, relations};
use crate::sync::Mutex;
use crate::timer::Alarm;
use crate::{AnyMsg, Crash, Down, Exit, ExitReason, Mailbox, MonitorRef, Pid, Restart, Term};

/// How long killed processes are waited for; one that blocks its thread may take longer, and is left behind.
const KILLED: Duration = Duration::from_secs(5);

struct Go;

/// A request to stop.
pub(super) struct Stop;

/// The environment has changed; the answer is how the callback went.
pub(super) struct Change(pub(super) ConfigChange, pub(super) Replier<Result<(), ExitReason>>);

/// Makes the master of an application that is *starting*.
pub(super) fn spawn(node: &Node, controller: &Arc<Controller>, spec: ApplicationSpec) {
    let bond =
        Arc::new(Bond { name: spec.name.clone(), controller: controller.clone(), end: Mutex::default() });
    let own = bond.clone();
    let spawned = {
        // Nobody's child: an application does not belong to the one whose process happens to start it.
        let _outside = current::enter_node(node.0.index, false);
        raw::spawn(node, Options::default(), move |mailbox: Mailbox<AnyMsg>| async move {
            let mut mailbox = mailbox;
            mailbox.receive_as::<Go>().await;
            mailbox.trap_exits(true);
            api::set_label_text(format!("application {}", spec.name));
            let init = mailbox.proc.node.init_pid();
            Master { mailbox, init, spec, bond: own }.live().await;
        })
    };
    let Ok(spawned) = spawned else { unreachable!("a process without a name cannot clash with one") };
    let proc = spawned.proc;
    controller.has_master(&bond.name, proc.pid());
    node.stops_in_order(proc.pid());
    proc.extra.lock().get_or_insert_default().owned.push(bond.clone());
    proc.set_flag(OWNS, true);
    let _ = proc.push(raw::repack(Go));
    if !proc.word.is_alive() {
        // The node is being stopped; the process may have been past releasing what it owned.
        bond.release(proc.pid());
    }
}

/// How an application ended.
struct End {
    reason: ExitReason,
    /// The start phase in which it did.
    phase: Option<Arc<str>>,
    /// Somebody asked for it.
    requested: bool,
}

impl End {
    fn asked() -> End {
        End { reason: ExitReason::Shutdown, phase: None, requested: true }
    }

    fn failed(reason: ExitReason) -> End {
        End { reason, phase: None, requested: false }
    }
}

/// What ties the controller's knowledge to the master's life: given up at the end of the process, whatever ended it.
struct Bond {
    name: Arc<str>,
    controller: Arc<Controller>,
    /// Left by a master that got to its end; one that was killed leaves nothing.
    end: Mutex<Option<End>>,
}

impl Owned for Bond {
    fn release(&self, master: Pid) {
        let Some(node) = current::by_index(master.node_index()) else { return };
        let Some(gone) = self.controller.ended(master) else { return };
        // For a master that was killed: those that reach their end have seen to it that nothing is left.
        for pid in family(&node, master).into_iter().chain(gone.top) {
            if let Some(proc) = node.lookup(pid) {
                exit::kill(&proc);
            }
        }
        let end = self.end.lock().take().unwrap_or(End::failed(ExitReason::Killed));
        self.tell(&node, master, gone, end);
    }
}

impl Bond {
    fn tell(&self, node: &Node, master: Pid, gone: Gone, end: End) {
        let Gone { restart, started, waiting, .. } = gone;
        let End { reason, phase, requested } = end;
        report::ended(node, &self.name, master, restart, &reason, started, requested);
        let application = self.name.to_string();
        let fatal = match restart {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_normal(),
            Restart::Temporary => false,
        };
        if fatal && !requested && !node.is_stopping() {
            let terminated =
                ApplicationTerminated { application: application.clone(), reason: reason.clone(), started };
            report::takes_the_node(node, &terminated);
            node.stop_because(ExitReason::Error(Term::from_error(terminated)));
        }
        let error = match requested || node.is_stopping() && matches!(reason, ExitReason::Killed) {
            true => StartApplicationError::NodeStopping,
            false => {
                let phase = phase.as_deref().map(str::to_owned);
                StartApplicationError::Failed { application, phase, reason }
            },
        };
        for replier in waiting {
            let _ = replier.send(Err(error.clone()));
        }
    }
}

/// Every process of an application but its master.
pub(super) fn family(node: &Node, master: Pid) -> Vec<Pid> {
    let of_it = |pid: &Pid| *pid != master && node.lookup(*pid).is_some_and(|proc| descends(&proc, master));
    node.0.pids().into_iter().filter(of_it).collect()
}

fn descends(proc: &Proc, from: Pid) -> bool {
    proc.lineage.iter().flat_map(|lineage| lineage.ancestors()).any(|(pid, _)| pid == from)
}

/// The process itself and its ancestors, nearest first.
pub(super) fn ancestry(proc: &Proc) -> Vec<Pid> {
    let ancestors = proc.lineage.iter().flat_map(|lineage| lineage.ancestors());
    std::iter::once(proc.pid()).chain(ancestors.map(|(pid, _)| pid)).collect()
}

/// The top process of a tree, and the monitor of it.
type Top = (Pid, MonitorRef);

struct Master {
    mailbox: Mailbox<AnyMsg>,
    /// Who asks processes at the top to end.
    init: Pid,
    spec: ApplicationSpec,
    bond: Arc<Bond>,
}

/// What ends an application, or a callback of it.
enum Interrupt {
    /// A request, by `stop` or by the node.
    Stop,
    /// The end of the top process.
    TopEnded(ExitReason),
}

/// How a callback went.
enum Outcome<T> {
    Done(T),
    Panicked(ExitReason),
    Interrupted(Interrupt),
}

impl Master {
    async fn live(mut self) {
        let end = self.work().await;
        *self.bond.end.lock() = Some(end);
        self.kill_the_rest().await;
    }

    async fn work(&mut self) -> End {
        let begin = self.node().now();
        let (top, running) = match self.start().await {
            Ok(started) => started,
            Err(end) => return end,
        };
        let (node, pid) = (self.node(), self.mailbox.pid());
        let top_pid = top.map(|(pid, _)| pid);
        node.stops_in_order(pid);
        if let Some((restart, waiting)) = self.bond.controller.started(&self.spec.name, pid, top_pid) {
            report::started(&node, &self.spec.name, pid, top_pid, restart, node.now() - begin);
            for replier in waiting {
                let _ = replier.send(Ok(()));
            }
        }
        self.serve(top, running).await
    }

    fn node(&self) -> Node {
        self.mailbox.proc.node.clone()
    }

    /// Starts the tree and goes through the start phases.
    async fn start(&mut self) -> Result<(Option<Top>, Option<Box<dyn Running>>), End> {
        let Some(module) = self.spec.module.clone() else { return Ok((None, None)) };
        let (pid, running) = match self.run(None, module.start(StartType::Normal)).await {
            Outcome::Done(Ok(started)) => started,
            Outcome::Done(Err(crash)) => return Err(End::failed(crash.reason().clone())),
            Outcome::Panicked(reason) | Outcome::Interrupted(Interrupt::TopEnded(reason)) => {
                return Err(End::failed(reason));
            },
            Outcome::Interrupted(Interrupt::Stop) => return Err(End::asked()),
        };
        let top = (pid, self.mailbox.monitor(pid));
        if let Err((phase, end)) = self.phases(top).await {
            let end = match end {
                Interrupted::TopEnded(reason) => {
                    Interrupted::TopEnded(self.reason_of_end(Some(top), reason).await)
                },
                other => other,
            };
            let down = matches!(end, Interrupted::TopEnded(_));
            self.within_limit(Some(top).filter(|_| !down), None).await;
            panic::drop_quietly("an application's state", running);
            return Err(match end {
                Interrupted::Stop => End::asked(),
                Interrupted::TopEnded(reason) | Interrupted::Failed(reason) => {
                    End { phase: Some(phase), ..End::failed(reason) }
                },
            });
        }
        Ok((Some(top), Some(running)))
    }

    /// Each phase, for the application itself and for those it includes that have the phase too.
    async fn phases(&mut self, top: Top) -> Result<(), (Arc<str>, Interrupted)> {
        for phase in self.spec.phases.clone() {
            let with_phase =
                self.spec.with_included().into_iter().filter(|part| part.phases.contains(&phase));
            let modules: Vec<Arc<dyn Module>> = with_phase.filter_map(|part| part.module.clone()).collect();
            for module in modules {
                let failed = match self.run(Some(top), module.start_phase(&phase, StartType::Normal)).await {
                    Outcome::Done(Ok(())) => continue,
                    Outcome::Done(Err(crash)) => Interrupted::Failed(crash.reason().clone()),
                    Outcome::Panicked(reason) => Interrupted::Failed(reason),
                    Outcome::Interrupted(Interrupt::TopEnded(reason)) => Interrupted::TopEnded(reason),
                    Outcome::Interrupted(Interrupt::Stop) => Interrupted::Stop,
                };
                return Err((phase, failed));
            }
        }
        Ok(())
    }

    /// Waits for the end, by request or of the top process; runs `config_change` in between.
    async fn serve(&mut self, top: Option<Top>, mut running: Option<Box<dyn Running>>) -> End {
        let interrupt = loop {
            let init = self.init;
            let next = self.mailbox.receive_map(|message| match message.downcast::<Change>() {
                Ok(change) => Ok(Some(Err(change))),
                Err(message) => match interrupt(message, init, top) {
                    Ok(interrupt) => Ok(Some(Ok(interrupt))),
                    Err(message) => match exit_of(message, top) {
                        // It may be needed to say why the top process ended.
                        Ok(exit) => Err(AnyMsg::new(exit)),
                        // Exits of others that the callbacks linked with, and whatever else is sent to it: of no use.
                        Err(_) => Ok(None),
                    },
                },
            });
            let Change(change, replier) = match next.await {
                None => continue,
                Some(Ok(interrupt)) => break interrupt,
                Some(Err(change)) => change,
            };
            let Some(callbacks) = running.as_mut() else {
                let _ = replier.send(Ok(()));
                continue;
            };
            let outcome = match self.run(top, callbacks.config_change(&change)).await {
                Outcome::Done(result) => result.map_err(|crash: Crash| crash.reason().clone()),
                Outcome::Panicked(reason) => Err(reason),
                Outcome::Interrupted(interrupt) => {
                    let _ = replier.send(Err(ExitReason::Shutdown));
                    break interrupt;
                },
            };
            let _ = replier.send(outcome);
        };
        match interrupt {
            Interrupt::Stop => {
                self.within_limit(top, running).await;
                End::asked()
            },
            Interrupt::TopEnded(reason) => {
                let reason = self.reason_of_end(top, reason).await;
                self.within_limit(None, running).await;
                End::failed(reason)
            },
        }
    }

    /// Why the top process ended: one that had ended before it was monitored has told it over its link, if it has one.
    async fn reason_of_end(&mut self, top: Option<Top>, told: ExitReason) -> ExitReason {
        let Some((pid, _)) = top.filter(|_| matches!(told, ExitReason::NoProc)) else { return told };
        let mut reason = told;
        loop {
            // The last one: what a living process sends says nothing.
            while let Some(exit) = self.mailbox.try_receive_map(|message| exit_of(message, top)) {
                reason = exit.reason;
            }
            if !relations::is_linked(&self.mailbox.proc, pid) {
                return reason;
            }
            reason = self.mailbox.receive_map(|message| exit_of(message, top)).await.reason;
        }
    }

    /// Runs a callback, unless something ends the application meanwhile: then it is dropped where it is.
    async fn run<T>(&mut self, top: Option<Top>, mut callback: Boxed<'_, T>) -> Outcome<T> {
        let init = self.init;
        let outcome = {
            let mut ended = pin!(self.mailbox.receive_map(|message| interrupt(message, init, top)));
            poll_fn(|cx| {
                match panic::catch(|| callback.as_mut().poll(cx)) {
                    Ok(Poll::Ready(value)) => return Poll::Ready(Outcome::Done(value)),
                    Err(reason) => return Poll::Ready(Outcome::Panicked(reason)),
                    Ok(Poll::Pending) => {},
                }
                ended.as_mut().poll(cx).map(Outcome::Interrupted)
            })
            .await
        };
        panic::drop_quietly("a callback of an application", callback);
        outcome
    }

    /// Stops the tree, if it is up, with the callbacks before and after, within the application's limit.
    async fn within_limit(&mut self, top: Option<Top>, running: Option<Box<dyn Running>>) {
        let (node, name, limit) = (self.node(), self.spec.name.clone(), self.spec.shutdown_timeout);
        let mut alarm = limit.map(|limit| Alarm::at(node.clone(), node.now().saturating_add(limit)));
        let mut closing = Box::pin(self.close(top, running));
        let in_time = poll_fn(|cx| match (closing.as_mut().poll(cx), &mut alarm) {
            (Poll::Ready(()), _) => Poll::Ready(true),
            (Poll::Pending, Some(alarm)) => alarm.poll(cx).map(|()| false),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await;
        // One that is too slow is dropped in the middle, with what the program's callbacks hold.
        panic::drop_quietly("a callback of an application", closing);
        if !in_time {
            report::too_slow(&node, &name, limit.unwrap_or_default());
        }
    }

    async fn close(&mut self, top: Option<Top>, mut running: Option<Box<dyn Running>>) {
        if let Some(running) = &mut running {
            self.guarded("prep_stop", running.prep_stop()).await;
        }
        if let Some((pid, _)) = top {
            let node = self.node();
            if let Some(proc) = node.lookup(pid) {
                exit_as_parent(&node, &proc, ExitReason::Shutdown);
                api::ended(&proc).await;
            }
        }
        if let Some(running) = running {
            self.guarded("stop", running.stop()).await;
        }
    }

    /// Runs a callback of the stop, whose panic is reported and stops nothing.
    async fn guarded(&self, what: &'static str, mut callback: Boxed<'_, ()>) {
        let result = poll_fn(|cx| match panic::catch(|| callback.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(reason) => Poll::Ready(Err(reason)),
        })
        .await;
        if let Err(reason) = result {
            report::callback_failed(&self.spec.name, what, &reason);
        }
        panic::drop_quietly("a callback of an application", callback);
    }

    /// Kills whatever descends from this process and is left, and waits for its end: also what was spawned without a link.
    async fn kill_the_rest(&mut self) {
        let (node, me) = (self.node(), self.mailbox.pid());
        let deadline = node.now().saturating_add(KILLED);
        let mut seen = BTreeSet::new();
        loop {
            // One whose end is known may still be in the process table for a moment.
            let fresh = family(&node, me).into_iter().filter(|pid| seen.insert(*pid));
            let left: Vec<_> = fresh.filter_map(|pid| node.lookup(pid)).collect();
            if left.is_empty() {
                return;
            }
            for proc in &left {
                exit::kill(proc);
            }
            for proc in &left {
                if wait_within(proc, deadline.saturating_sub(node.now())).await.is_none() {
                    report::left_behind(&self.spec.name, proc.pid());
                    return;
                }
            }
        }
    }
}

/// What cut the start phases short.
enum Interrupted {
    Stop,
    TopEnded(ExitReason),
    Failed(ExitReason),
}

/// A message that ends the application; any other one back.
fn interrupt(message: AnyMsg, init: Pid, top: Option<Top>) -> Result<Interrupt, AnyMsg> {
    let message = match message.downcast::<Stop>() {
        Ok(Stop) => return Ok(Interrupt::Stop),
        Err(message) => message,
    };
    let message = match message.downcast::<Exit>() {
        Ok(exit) if exit.from == init => return Ok(Interrupt::Stop),
        Ok(exit) => return Err(AnyMsg::new(exit)),
        Err(message) => message,
    };
    match message.downcast::<Down>() {
        Ok(down) if top.is_some_and(|(_, monitor)| monitor == down.monitor) => {
            Ok(Interrupt::TopEnded(down.reason))
        },
        Ok(down) => Err(AnyMsg::new(down)),
        Err(message) => Err(message),
    }
}

/// The exit of the top process; any other message back.
fn exit_of(message: AnyMsg, top: Option<Top>) -> Result<Exit, AnyMsg> {
    let exit = message.downcast::<Exit>()?;
    if top.is_some_and(|(pid, _)| pid == exit.from) { Ok(exit) } else { Err(AnyMsg::new(exit)) }
}
