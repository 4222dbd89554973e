//! The dynamic supervisor as a pure state machine: children keyed by process, each restarted alone, in constant time.
//!
//! The rules are those of Elixir's `DynamicSupervisor`. What differs from the static one (`strategy.rs`):
//! - Children have no ids and no order; equal specifications are fine. A child whose start is *ignored* is not kept,
//!   whatever its restart type, and a child that ends and is not restarted is forgotten.
//! - There is a limit of children, and those being restarted count against it.
//! - While a child is being restarted it is listed under its *last* process, and `terminate_child` with that pid calls the
//!   restart off.
//! - When the supervisor stops, all children are asked at the same time, with one timer per distinct shutdown time.
//! - There is no automatic shutdown, so significant children are refused.
//!
//! ```text
//!  start_child(fields) ──admit──► start function ──► insert(pid, ..)        (failed or ignored: nothing to call)
//!  exit of a process ──on_exit──► Ignore | Removed                         nothing to do
//!                                 Restart                                  start_of(pid) → restarted(pid, ..)
//!                                                                          or restart_failed(pid) → queue a DynamicRetry
//!                                 GiveUp                                   stop_all, then exit with reason shutdown
//!  retry message ─────on_retry──► the same
//! ```
//! Decisions have already updated the state. The start function may run while other messages are handled: a child that was
//! terminated meanwhile is answered as [`Restarted::Unwanted`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::admin::{ChildCounts, ChildInfo, ChildStatus, StartRefused};
use super::flags::{AutoShutdown, DynamicFlags, FlagsError};
use super::intensity::{Intensity, Verdict};
use super::spec::{ChildType, Restart, Shutdown, SpecFields};
use crate::process::small_map::MixMap;
use crate::{ExitReason, Pid};

/// The children of a dynamic supervisor. `T` is what starts a child again.
#[derive(Debug)]
pub(crate) struct DynamicChildren<T> {
    intensity: Intensity,
    max_children: Option<usize>,
    /// Keyed by the process it is, or was last. The hasher has fixed keys, so that a simulation visits children in the same
    /// order every time; pids come from the node itself and cannot be chosen to collide.
    children: MixMap<Pid, DynamicChild<T>>,
    /// How many of them are not `Running`.
    restarting: usize,
}

/// What is kept of a child: its id and name are not, there may be millions of children.
#[derive(Debug)]
struct DynamicChild<T> {
    traits: DynamicTraits,
    /// `None` for a temporary child, which is never started again: its arguments need no memory.
    start: Option<T>,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Running,
    /// Its start function is being run.
    Starting,
    /// Its start function failed and a `DynamicRetry` is queued.
    Waiting,
}

/// What a dynamic supervisor keeps of a child's specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DynamicTraits {
    /// When it is started again.
    pub(crate) restart: Restart,
    /// How it is terminated, the default of its type already filled in.
    pub(crate) shutdown: Shutdown,
    /// Worker or supervisor.
    pub(crate) child_type: ChildType,
    /// The type that implements it, for reports.
    pub(crate) module: &'static str,
}

/// What to do after the end of a process or at a retry.
///
/// `report` says whether the end is to be logged as `child_terminated`; it is `false` at a retry, where the failed start has
/// been reported already. `pid` is the child's last process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision not carried out leaves children down"]
pub(crate) enum DynamicDecision {
    /// The process is no child, or the retry has been called off. Nothing changed.
    Ignore,
    /// The child is forgotten. Nothing to do but the report.
    Removed {
        /// The child that ended.
        child: DynamicStop,
        /// Whether to report `child_terminated`.
        report: bool,
    },
    /// Run the start function [`DynamicChildren::start_of`]`(child.pid)`, then call [`DynamicChildren::restarted`] or
    /// [`DynamicChildren::restart_failed`] with `child.pid`. Counted as one restart.
    Restart {
        /// The child that ended.
        child: DynamicStop,
        /// Whether to report `child_terminated`.
        report: bool,
    },
    /// One restart too many; the child is forgotten. Report `shutdown` with `reached_max_restart_intensity`, carry out
    /// [`DynamicChildren::stop_all`], then exit with reason `shutdown`.
    GiveUp {
        /// The child that would have been restarted.
        child: DynamicStop,
        /// Whether to report `child_terminated` first.
        report: bool,
    },
}

/// A process, running or ended, with what is known of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DynamicStop {
    /// The process.
    pub(crate) pid: Pid,
    /// What is known of the child.
    pub(crate) traits: DynamicTraits,
}

/// The message a dynamic supervisor sends itself to try a failed start again; give it to [`DynamicChildren::on_retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a retry that is not queued leaves the child down for ever"]
pub(crate) struct DynamicRetry(Pid);

/// What became of a child that was being restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an unwanted process has to be stopped"]
pub(crate) enum Restarted {
    /// It runs as the new process.
    Running,
    /// Its start was ignored, so it is forgotten.
    Removed,
    /// It was terminated while it was being started: the new process, if any, has to be stopped.
    Unwanted,
}

/// How to stop all children at once.
///
/// Monitor all processes in `stop`. Send `kill` to those with `Shutdown::BrutalKill` and `shutdown` to the others; start one
/// timer per entry of `deadlines` and, when it fires, send `kill` to those of its processes that are still alive. Wait until
/// all are down. Reasons that [`DynamicTraits::expects_stop`] does not know are reported as `shutdown_error`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StopPlan {
    /// All running children; the order has no meaning.
    pub(crate) stop: Vec<DynamicStop>,
    /// Shutdown time to the processes it holds for.
    pub(crate) deadlines: BTreeMap<Duration, Vec<Pid>>,
}

impl<T> DynamicChildren<T> {
    /// A supervisor without children.
    ///
    /// # Errors
    /// What is wrong with the flags.
    pub(crate) fn new(flags: &DynamicFlags) -> Result<Self, FlagsError> {
        Ok(Self {
            intensity: flags.intensity()?,
            max_children: flags.max_children,
            children: MixMap::default(),
            restarting: 0,
        })
    }

    /// New flags for a running supervisor: the children stay, also those beyond a lower limit, and restarts counted so far
    /// still count.
    ///
    /// # Errors
    /// What is wrong with the flags; nothing has changed then.
    pub(crate) fn update(&mut self, flags: &DynamicFlags) -> Result<(), FlagsError> {
        self.intensity.adopt_limits(&flags.intensity()?);
        self.max_children = flags.max_children;
        Ok(())
    }

    /// Whether a child may be started now. If so, run its start function and, when that returns a process, call
    /// [`insert`](Self::insert); when it fails or is ignored, nothing is kept and there is nothing to call.
    ///
    /// # Errors
    /// `Spec` for an invalid specification, `MaxChildren` if the supervisor is full.
    pub(crate) fn admit(&self, fields: &SpecFields) -> Result<(), StartRefused> {
        fields.check(Some(AutoShutdown::Never))?;
        match self.max_children {
            Some(limit) if self.children.len() >= limit => Err(StartRefused::MaxChildren { limit }),
            _ => Ok(()),
        }
    }

    /// An admitted child runs as `pid`. `start` is dropped at once if the child is temporary.
    pub(crate) fn insert(&mut self, pid: Pid, fields: &SpecFields, start: T) {
        let traits = DynamicTraits::of(fields);
        let start = (traits.restart != Restart::Temporary).then_some(start);
        self.remove(pid);
        self.children.insert(pid, DynamicChild { traits, start, status: Status::Running });
    }

    /// A linked process ended with `reason` at monotonic second `now_secs`.
    pub(crate) fn on_exit(&mut self, pid: Pid, reason: &ExitReason, now_secs: u64) -> DynamicDecision {
        let Some(DynamicChild { traits, status: Status::Running, .. }) = self.children.get(&pid) else {
            return DynamicDecision::Ignore;
        };
        let traits = *traits;
        let report = traits.restart.reports(reason);
        if traits.restart.restarts_after(reason) {
            return self.restart(DynamicStop { pid, traits }, report, now_secs);
        }
        self.remove(pid);
        DynamicDecision::Removed { child: DynamicStop { pid, traits }, report }
    }

    /// A queued [`DynamicRetry`] has arrived at monotonic second `now_secs`. It counts as a restart.
    pub(crate) fn on_retry(&mut self, retry: DynamicRetry, now_secs: u64) -> DynamicDecision {
        let DynamicRetry(pid) = retry;
        match self.children.get(&pid) {
            Some(DynamicChild { traits, status: Status::Waiting, .. }) => {
                let child = DynamicStop { pid, traits: *traits };
                self.restart(child, false, now_secs)
            },
            _ => DynamicDecision::Ignore,
        }
    }

    /// What starts the child that is, or was last, `pid`; `None` if there is no such child or it is temporary.
    pub(crate) fn start_of(&self, pid: Pid) -> Option<&T> {
        self.children.get(&pid).and_then(|child| child.start.as_ref())
    }

    /// The start function of the child that was `old` returned a process, or *ignore* (`None`).
    pub(crate) fn restarted(&mut self, old: Pid, new: Option<Pid>) -> Restarted {
        if !self.is_starting(old) {
            return Restarted::Unwanted;
        }
        let (Some(child), Some(new)) = (self.remove(old), new) else { return Restarted::Removed };
        self.remove(new);
        self.children.insert(new, DynamicChild { status: Status::Running, ..child });
        Restarted::Running
    }

    /// The start function of the child that was `old` failed: report `start_error` and queue the retry. `None` if the child
    /// was terminated meanwhile.
    pub(crate) fn restart_failed(&mut self, old: Pid) -> Option<DynamicRetry> {
        if !self.is_starting(old) {
            return None;
        }
        self.set_status(old, Status::Waiting);
        Some(DynamicRetry(old))
    }

    /// `terminate_child`: forgets the child that is, or was last, `pid`, and answers the process to stop: `Ok(None)` if it was
    /// being restarted, which is called off.
    ///
    /// # Errors
    /// The process is no child.
    pub(crate) fn terminate_child(&mut self, pid: Pid) -> Result<Option<DynamicStop>, NotAChild> {
        let child = self.remove(pid).ok_or(NotAChild { pid })?;
        Ok((child.status == Status::Running).then_some(DynamicStop { pid, traits: child.traits }))
    }

    /// Everything to stop when the supervisor stops. Afterwards it has no children and no retry is valid.
    pub(crate) fn stop_all(&mut self) -> StopPlan {
        self.restarting = 0;
        let mut plan = StopPlan::default();
        for (pid, child) in std::mem::take(&mut self.children) {
            if child.status != Status::Running {
                continue;
            }
            plan.stop.push(DynamicStop { pid, traits: child.traits });
            if let Shutdown::Timeout(limit) = child.traits.shutdown {
                plan.deadlines.entry(limit).or_default().push(pid);
            }
        }
        plan
    }

    /// `which_children`, without ids, sorted by process.
    pub(crate) fn which_children(&self) -> Vec<ChildInfo> {
        let mut all: Vec<_> = self.children.iter().collect();
        all.sort_unstable_by_key(|(pid, _)| **pid);
        all.into_iter()
            .map(|(pid, child)| ChildInfo {
                id: None,
                status: match child.status {
                    Status::Running => ChildStatus::Running(*pid),
                    Status::Starting | Status::Waiting => ChildStatus::Restarting,
                },
                child_type: child.traits.child_type,
                restart: child.traits.restart,
                module: child.traits.module,
            })
            .collect()
    }

    /// `count_children`; here `specs` is the number of children. Takes time in the number of children, for the types;
    /// [`len`](Self::len) and [`restarting`](Self::restarting) do not.
    pub(crate) fn count_children(&self) -> ChildCounts {
        let mut counts = ChildCounts::default();
        for child in self.children.values() {
            counts.add(child.traits.child_type, child.status == Status::Running);
        }
        counts
    }

    /// How many children there are, those being restarted included.
    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    /// How many children are being restarted.
    pub(crate) fn restarting(&self) -> usize {
        self.restarting
    }

    /// The restart budget, for reports and the Observer.
    pub(crate) fn intensity(&self) -> &Intensity {
        &self.intensity
    }

    fn restart(&mut self, child: DynamicStop, report: bool, now_secs: u64) -> DynamicDecision {
        if self.intensity.record(now_secs) == Verdict::GiveUp {
            self.remove(child.pid);
            return DynamicDecision::GiveUp { child, report };
        }
        self.set_status(child.pid, Status::Starting);
        DynamicDecision::Restart { child, report }
    }

    fn is_starting(&self, pid: Pid) -> bool {
        self.children.get(&pid).is_some_and(|child| child.status == Status::Starting)
    }

    fn set_status(&mut self, pid: Pid, status: Status) {
        let Some(child) = self.children.get_mut(&pid) else { return };
        self.restarting -= usize::from(child.status != Status::Running);
        child.status = status;
        self.restarting += usize::from(child.status != Status::Running);
    }

    fn remove(&mut self, pid: Pid) -> Option<DynamicChild<T>> {
        let child = self.children.remove(&pid)?;
        self.restarting -= usize::from(child.status != Status::Running);
        Some(child)
    }
}

impl DynamicTraits {
    fn of(fields: &SpecFields) -> Self {
        Self {
            restart: fields.restart,
            shutdown: fields.how_to_stop(),
            child_type: fields.child_type,
            module: fields.module,
        }
    }

    /// Whether `reason` is how such a child may end when a *dynamic* supervisor terminates it. Unlike under a static one, a
    /// killed child must have been killed, and a shutdown with an explanation is fine for permanent children too.
    pub(crate) fn expects_stop(&self, reason: &ExitReason) -> bool {
        match self.shutdown {
            Shutdown::BrutalKill => matches!(reason, ExitReason::Killed),
            Shutdown::Timeout(_) | Shutdown::Infinity => {
                reason.is_shutdown() || (reason.is_normal() && self.restart != Restart::Permanent)
            },
        }
    }
}

impl DynamicDecision {
    /// The child whose end is to be reported as `child_terminated`.
    pub(crate) fn reported(&self) -> Option<&DynamicStop> {
        match self {
            DynamicDecision::Removed { child, report: true }
            | DynamicDecision::Restart { child, report: true }
            | DynamicDecision::GiveUp { child, report: true } => Some(child),
            _ => None,
        }
    }
}

/// The process is not a child of this supervisor; the answer of `terminate_child`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAChild {
    /// The process asked for.
    pub pid: Pid,
}

impl std::fmt::Display for NotAChild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not a child of this supervisor", self.pid)
    }
}

impl std::error::Error for NotAChild {}

#[cfg(test)]
mod tests;
