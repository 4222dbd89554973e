//! The static supervisor as a pure state machine: which children to stop and start, and when to give up.
//!
//! Nothing here runs, waits or reads a clock. The run loop feeds events in and carries out what comes back:
//!
//! ```text
//!  exit of a process ──on_exit──► Decision ──► Ignore | Removed | Keep           nothing to do
//!  retry message ─────on_retry──►            ├ Restart(Round { stop, start })    carry out the round
//!                                            └ AutoShutdown | GiveUp             stop_all, then exit with shutdown
//!
//!  a round:  every `stop` in order, each fully down before the next  (reverse start order)
//!            every `start` in order: started(key, pid | ignore)      or, at the first failure,
//!                                    start_failed(key) → Retry, queue it to yourself, leave the round
//! ```
//!
//! # Rules of the protocol
//! - A decision has *already* updated the state: the processes in `stop` are forgotten, so whatever exit message of theirs
//!   is still on its way is a stranger's and is ignored. Temporary children among them are gone.
//! - A round is carried out without reading other messages. An exit or a request that arrives meanwhile waits in the mailbox.
//!   A child that ends while it is to be stopped counts as stopped.
//! - [`Retry`] is queued like any other message, so that requests that came before it are answered first. Each failed start
//!   yields one `Retry`; one that has been overtaken (the child was terminated, deleted or restarted by another round) is
//!   `Ignore`d.
//! - Every `Restart` and `GiveUp` has been counted once; nothing else is counted.
//!
//! # OTP's rules worth knowing
//! - `one_for_all` and `rest_for_one` start *every* affected child, also those that had been terminated by request or had
//!   ended cleanly; only temporary ones are gone for good.
//! - When a start fails in such a round, the children started before it stay up and those after it stay down until the retry.
//!   The retry is a restart of the child that failed: `rest_for_one` goes on from there, `one_for_all` stops all and starts
//!   again from the first.
//! - A restart whose start function answers *ignore* succeeds; the child is kept without a process.
//! - Automatic shutdown looks only at children that end by themselves: neither `terminate_child` nor a sibling's restart
//!   triggers it, and a child that waits for its retry counts as running.

mod admin_ops;

use std::collections::BTreeMap;

use super::admin::ChildStatus;
use super::flags::{AutoShutdown, Flags, FlagsError, Strategy};
use super::intensity::{Intensity, Verdict};
use super::spec::{ChildId, Restart, SpecError, SpecFields, check_childspecs};
use crate::{ExitReason, Pid};

/// The children of a static supervisor in start order, with everything that decides about them. `T` is what starts a child.
#[derive(Debug)]
pub(crate) struct Children<T> {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    intensity: Intensity,
    /// In start order, because keys are given out rising.
    list: BTreeMap<ChildKey, Child<T>>,
    by_id: BTreeMap<ChildId, ChildKey>,
    /// Exactly the children with `Status::Running`.
    by_pid: BTreeMap<Pid, ChildKey>,
    next_key: u64,
    next_ticket: u64,
}

/// Names a child within its supervisor; keys compare in start order and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChildKey(u64);

#[derive(Debug)]
struct Child<T> {
    fields: SpecFields,
    /// Dropped once a temporary child runs: it is never started again, so its arguments need no memory.
    start: Option<T>,
    status: Status,
    /// The process it was last, for reports.
    last_pid: Option<Pid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Running(Pid),
    /// A start failed and the `Retry` with this ticket is queued.
    Restarting(u64),
    Stopped,
}

/// What to do after the end of a process or at a retry. See the module's documentation for the protocol.
///
/// `report` says whether the end is to be logged as `child_terminated` with `child` as the offender; it is `false` at a retry,
/// where the failed start has been reported already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision not carried out leaves children down"]
pub(crate) enum Decision {
    /// The process is no child, or the retry has been overtaken. Nothing changed.
    Ignore,
    /// A temporary child ended; its specification is forgotten. Nothing to do but the report.
    Removed {
        /// The child that ended.
        child: Offender,
        /// Whether to report `child_terminated`.
        report: bool,
    },
    /// A transient child ended cleanly; it is kept without a process and can be started by `restart_child`. Nothing to do.
    Keep {
        /// The child that ended.
        child: Offender,
    },
    /// Restart: carry out `round`.
    Restart {
        /// The child that caused it.
        child: Offender,
        /// Whether to report `child_terminated`.
        report: bool,
        /// What to stop and start.
        round: Round,
    },
    /// A significant child ended by itself: carry out [`Children::stop_all`], then exit with reason `shutdown`.
    AutoShutdown {
        /// The child that ended.
        child: Offender,
        /// Whether to report `child_terminated`.
        report: bool,
    },
    /// One restart too many: report `shutdown` with `reached_max_restart_intensity`, carry out [`Children::stop_all`], then
    /// exit with reason `shutdown`. The child itself is already without a process.
    GiveUp {
        /// The child that would have been restarted.
        child: Offender,
        /// Whether to report `child_terminated` first.
        report: bool,
    },
}

/// The two steps of a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Stop these one after another, in this order (reverse start order). Empty for `one_for_one`.
    pub(crate) stop: Vec<Stop>,
    /// Then start these one after another, in this order (start order), up to the first failure.
    pub(crate) start: Vec<ChildKey>,
}

/// A process to stop: as `fields.how_to_stop()` says, with `fields.expects_stop(..)` telling whether the reason it ends with
/// is to be reported as `shutdown_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The process.
    pub(crate) pid: Pid,
    /// Its specification.
    pub(crate) fields: SpecFields,
}

/// A child as a report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offender {
    /// Its specification.
    pub(crate) fields: SpecFields,
    /// The process it was last; `None` if it never ran.
    pub(crate) pid: Option<Pid>,
}

/// The message a supervisor sends itself to try a failed start again; give it to [`Children::on_retry`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a retry that is not queued leaves the child down for ever"]
pub(crate) struct Retry {
    id: ChildId,
    ticket: u64,
}

/// What became of a child whose start function has returned without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// It runs.
    Running,
    /// Its start was ignored; it is kept without a process.
    Undefined,
    /// Its start was ignored and, being temporary, it is forgotten.
    Removed,
}

/// Why a supervisor cannot be made of these flags and specifications. The start fails with it: see [`ConfigError::in_error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The flags are invalid (OTP: `supervisor_data`).
    Flags(FlagsError),
    /// A specification is invalid (OTP: `start_spec`).
    Spec(SpecError),
}

impl<T> Children<T> {
    /// A supervisor with these flags and children, none started yet.
    ///
    /// # Errors
    /// The first thing wrong with the flags, then with the specifications in list order.
    pub(crate) fn new(flags: &Flags, specs: Vec<(SpecFields, T)>) -> Result<Self, ConfigError> {
        let intensity = flags.intensity().map_err(ConfigError::Flags)?;
        check_childspecs(specs.iter().map(|(fields, _)| fields), flags.auto_shutdown)
            .map_err(ConfigError::Spec)?;
        let mut children = Self {
            strategy: flags.strategy,
            auto_shutdown: flags.auto_shutdown,
            intensity,
            list: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_pid: BTreeMap::new(),
            next_key: 0,
            next_ticket: 0,
        };
        for (fields, start) in specs {
            children.append(Child::stopped(fields, Some(start)));
        }
        Ok(children)
    }

    /// All children in start order: what to start when the supervisor itself starts.
    ///
    /// Start them one after another with [`started`](Self::started). If one fails, nothing is retried or counted: carry out
    /// [`stop_all`](Self::stop_all) and fail with the id of that child and its reason.
    pub(crate) fn initial_start(&self) -> Vec<ChildKey> {
        self.list.keys().copied().collect()
    }

    /// The specification of a child; `None` if it has been removed.
    pub(crate) fn fields(&self, key: ChildKey) -> Option<&SpecFields> {
        self.list.get(&key).map(|child| &child.fields)
    }

    /// What starts a child; `None` if it has been removed, or is temporary and has been started.
    pub(crate) fn start_of(&self, key: ChildKey) -> Option<&T> {
        self.list.get(&key).and_then(|child| child.start.as_ref())
    }

    /// The child as a report names it; `None` if it has been removed.
    pub(crate) fn offender(&self, key: ChildKey) -> Option<Offender> {
        self.list.get(&key).map(Child::offender)
    }

    /// All children in start order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChildKey, &SpecFields, ChildStatus)> {
        self.list.iter().map(|(key, child)| (*key, &child.fields, child.status.into()))
    }

    /// The restart budget, for reports and the Observer.
    pub(crate) fn intensity(&self) -> &Intensity {
        &self.intensity
    }

    /// The start function of `key` returned a process, or *ignore* (`None`). Called for every key of
    /// [`initial_start`](Self::initial_start), of a [`Round`], of `start_child` and of `restart_child`.
    pub(crate) fn started(&mut self, key: ChildKey, pid: Option<Pid>) -> Started {
        self.unbind(key);
        let Some(child) = self.list.get_mut(&key) else { return Started::Removed };
        let temporary = child.fields.restart == Restart::Temporary;
        let Some(pid) = pid else {
            if temporary {
                self.remove(key);
                return Started::Removed;
            }
            return Started::Undefined;
        };
        child.status = Status::Running(pid);
        child.last_pid = Some(pid);
        if temporary {
            child.start = None;
        }
        self.by_pid.insert(pid, key);
        Started::Running
    }

    /// The start function of `key` failed within a [`Round`]: the child is shown as restarting. Report `start_error`, queue
    /// the [`Retry`], and start no other child of the round. `None` if there is no such child.
    pub(crate) fn start_failed(&mut self, key: ChildKey) -> Option<Retry> {
        self.unbind(key);
        let child = self.list.get_mut(&key)?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        child.status = Status::Restarting(ticket);
        Some(Retry { id: child.fields.id.clone(), ticket })
    }

    /// A linked process ended with `reason` at monotonic second `now_secs`.
    pub(crate) fn on_exit(&mut self, pid: Pid, reason: &ExitReason, now_secs: u64) -> Decision {
        let Some(&key) = self.by_pid.get(&pid) else { return Decision::Ignore };
        let Some(child) = self.list.get(&key) else { return Decision::Ignore };
        let report = child.fields.restart.reports(reason);
        if child.fields.restart.restarts_after(reason) {
            return self.restart(key, now_secs, report);
        }
        let child = child.offender();
        self.drop_process(key);
        if self.shuts_down_after(&child.fields) {
            Decision::AutoShutdown { child, report }
        } else if child.fields.restart == Restart::Temporary {
            Decision::Removed { child, report }
        } else {
            Decision::Keep { child }
        }
    }

    /// A queued [`Retry`] has arrived at monotonic second `now_secs`. It counts as a restart.
    pub(crate) fn on_retry(&mut self, retry: &Retry, now_secs: u64) -> Decision {
        let Some(&key) = self.by_id.get(&retry.id) else { return Decision::Ignore };
        match self.list.get(&key) {
            Some(child) if child.status == Status::Restarting(retry.ticket) => {
                self.restart(key, now_secs, false)
            },
            _ => Decision::Ignore,
        }
    }

    /// Stops everything, for whatever reason the supervisor stops: the running children in reverse start order. Stop them one
    /// after another, each fully down before the next. Afterwards nothing runs and no retry is valid.
    pub(crate) fn stop_all(&mut self) -> Vec<Stop> {
        let keys: Vec<ChildKey> = self.list.keys().copied().collect();
        self.terminate(&keys)
    }

    /// OTP's `restart/2`: count, then give up or plan the round.
    fn restart(&mut self, key: ChildKey, now_secs: u64, report: bool) -> Decision {
        let Some(child) = self.offender(key) else { return Decision::Ignore };
        if self.intensity.record(now_secs) == Verdict::GiveUp {
            self.drop_process(key);
            return Decision::GiveUp { child, report };
        }
        // The process is dead already (or there is none, at a retry), so it is not among those to stop.
        self.unbind(key);
        let affected: Vec<ChildKey> = match self.strategy {
            Strategy::OneForOne => vec![key],
            Strategy::OneForAll => self.list.keys().copied().collect(),
            Strategy::RestForOne => self.list.range(key..).map(|(key, _)| *key).collect(),
        };
        let stop = self.terminate(&affected);
        // Temporary children among them are gone now.
        let start = affected.into_iter().filter(|key| self.list.contains_key(key)).collect();
        Decision::Restart { child, report, round: Round { stop, start } }
    }

    /// OTP's `terminate_children/2`: leaves all of `keys` without a process and forgets the temporary ones.
    fn terminate(&mut self, keys: &[ChildKey]) -> Vec<Stop> {
        keys.iter().rev().filter_map(|key| self.drop_process(*key)).collect()
    }

    /// OTP's `del_child/2`: the child has no process any more, and if it is temporary it is forgotten. Answers what to stop if
    /// it was running.
    fn drop_process(&mut self, key: ChildKey) -> Option<Stop> {
        let pid = self.unbind(key);
        let fields = match self.list.get(&key)?.fields.restart {
            Restart::Temporary => self.remove(key)?.fields,
            Restart::Permanent | Restart::Transient => self.fields(key)?.clone(),
        };
        Some(Stop { pid: pid?, fields })
    }

    /// Takes the process away from a child, and its pending retry.
    fn unbind(&mut self, key: ChildKey) -> Option<Pid> {
        let child = self.list.get_mut(&key)?;
        match std::mem::replace(&mut child.status, Status::Stopped) {
            Status::Running(pid) => {
                // A custom start function may have answered one process for two children; then the later one owns the entry.
                if self.by_pid.get(&pid) == Some(&key) {
                    self.by_pid.remove(&pid);
                }
                Some(pid)
            },
            Status::Restarting(_) | Status::Stopped => None,
        }
    }

    /// Whether the end of a child with these fields, already dropped, stops the supervisor.
    fn shuts_down_after(&self, ended: &SpecFields) -> bool {
        ended.significant
            && match self.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => !self
                    .list
                    .values()
                    .any(|child| child.fields.significant && child.status != Status::Stopped),
            }
    }

    /// Adds a child whose id is new, as the last in start order.
    fn append(&mut self, child: Child<T>) -> ChildKey {
        let key = ChildKey(self.next_key);
        self.next_key += 1;
        self.by_id.insert(child.fields.id.clone(), key);
        if let Status::Running(pid) = child.status {
            self.by_pid.insert(pid, key);
        }
        self.list.insert(key, child);
        key
    }

    /// Forgets a child.
    fn remove(&mut self, key: ChildKey) -> Option<Child<T>> {
        self.unbind(key);
        let child = self.list.remove(&key)?;
        self.by_id.remove(&child.fields.id);
        Some(child)
    }
}

impl<T> Child<T> {
    fn stopped(fields: SpecFields, start: Option<T>) -> Self {
        Self { fields, start, status: Status::Stopped, last_pid: None }
    }

    fn offender(&self) -> Offender {
        Offender { fields: self.fields.clone(), pid: self.last_pid }
    }
}

impl Decision {
    /// The child whose end is to be reported as `child_terminated`.
    pub(crate) fn reported(&self) -> Option<&Offender> {
        match self {
            Decision::Removed { child, report: true }
            | Decision::Restart { child, report: true, .. }
            | Decision::AutoShutdown { child, report: true }
            | Decision::GiveUp { child, report: true } => Some(child),
            _ => None,
        }
    }
}

impl From<Status> for ChildStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running(pid) => ChildStatus::Running(pid),
            Status::Restarting(_) => ChildStatus::Restarting,
            Status::Stopped => ChildStatus::Undefined,
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Flags(error) => error.fmt(f),
            ConfigError::Spec(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// Finds it in what a supervisor's start returned.
    pub fn in_error(error: &crate::StartError) -> Option<&ConfigError> {
        match error {
            crate::StartError::Failed(ExitReason::Error(term)) => term.as_error()?.downcast_ref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
