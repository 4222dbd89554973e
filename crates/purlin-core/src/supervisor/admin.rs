//! What a supervisor answers to administration: descriptions of its children, and refusals.

use std::fmt;

use super::spec::{ChildId, ChildType, Restart, SpecError};
use crate::Pid;

/// One child as shown by `which_children`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its id; `None` under a dynamic supervisor, which keeps none.
    pub id: Option<ChildId>,
    /// Whether it runs.
    pub status: ChildStatus,
    /// Worker or supervisor.
    pub child_type: ChildType,
    /// When it is started again.
    pub restart: Restart,
    /// The type that implements it.
    pub module: &'static str,
}

/// Whether a child runs, as its supervisor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildStatus {
    /// It runs as this process.
    Running(Pid),
    /// Its last restart failed and the next attempt is on its way.
    Restarting,
    /// It has no process: terminated by request, ended cleanly, or its start was ignored.
    Undefined,
}

/// The numbers of `count_children`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildCounts {
    /// All specifications, running or not.
    pub specs: usize,
    /// Running children; those being restarted are not.
    pub active: usize,
    /// Specifications of type supervisor, running or not.
    pub supervisors: usize,
    /// Specifications of type worker, running or not.
    pub workers: usize,
}

/// Why `start_child` started nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRefused {
    /// The specification is invalid.
    Spec(SpecError),
    /// A child with this id is running.
    AlreadyStarted {
        /// The id.
        id: ChildId,
        /// The running child.
        pid: Pid,
    },
    /// A child with this id is stopped or being restarted.
    AlreadyPresent {
        /// The id.
        id: ChildId,
    },
    /// The dynamic supervisor is full.
    MaxChildren {
        /// Its limit.
        limit: usize,
    },
}

/// Why `restart_child` or `delete_child` did nothing: both want a stopped child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildRefused {
    /// No child has this id.
    NotFound {
        /// The id asked for.
        id: ChildId,
    },
    /// The child runs.
    Running {
        /// The id asked for.
        id: ChildId,
        /// The running child.
        pid: Pid,
    },
    /// The child is being restarted.
    Restarting {
        /// The id asked for.
        id: ChildId,
    },
}

/// No child has this id; the answer of `terminate_child` and `get_childspec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildNotFound {
    /// The id asked for.
    pub id: ChildId,
}

impl ChildStatus {
    /// The process, if the child runs.
    pub fn pid(self) -> Option<Pid> {
        match self {
            ChildStatus::Running(pid) => Some(pid),
            ChildStatus::Restarting | ChildStatus::Undefined => None,
        }
    }
}

impl ChildCounts {
    /// Counts one more child.
    pub(crate) fn add(&mut self, child_type: ChildType, active: bool) {
        self.specs += 1;
        self.active += usize::from(active);
        match child_type {
            ChildType::Worker => self.workers += 1,
            ChildType::Supervisor => self.supervisors += 1,
        }
    }
}

impl From<SpecError> for StartRefused {
    fn from(error: SpecError) -> Self {
        StartRefused::Spec(error)
    }
}

impl fmt::Display for ChildStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildStatus::Running(pid) => write!(f, "{pid}"),
            ChildStatus::Restarting => f.write_str("restarting"),
            ChildStatus::Undefined => f.write_str("undefined"),
        }
    }
}

impl fmt::Display for StartRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartRefused::Spec(error) => error.fmt(f),
            StartRefused::AlreadyStarted { id, pid } => {
                write!(f, "child `{id}` is already running as {pid}")
            },
            StartRefused::AlreadyPresent { id } => write!(
                f,
                "child `{id}` is already present but not running; use `restart_child`, or \
                 `delete_child` first"
            ),
            StartRefused::MaxChildren { limit } => {
                write!(f, "the supervisor already has its maximum of {limit} children")
            },
        }
    }
}

impl fmt::Display for ChildRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildRefused::NotFound { id } => write!(f, "there is no child `{id}`"),
            ChildRefused::Running { id, pid } => write!(f, "child `{id}` is running as {pid}"),
            ChildRefused::Restarting { id } => write!(f, "child `{id}` is being restarted"),
        }
    }
}

impl fmt::Display for ChildNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no child `{}`", self.id)
    }
}

impl std::error::Error for StartRefused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Shown by `Display` already, so it is not a source as well.
            StartRefused::Spec(error) => error.source(),
            _ => None,
        }
    }
}
impl std::error::Error for ChildRefused {}
impl std::error::Error for ChildNotFound {}
