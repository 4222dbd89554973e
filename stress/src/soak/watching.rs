//! Monitors: one `Down` for each, when all is gone, with the true reason.

use purlin_core::{Down, ExitReason, MonitorTarget, Pid};

use super::facts::{Facts, reason_number};
use super::journal::Short;

/// A monitor that is on.
pub(super) struct Watched {
    pub(super) pid: Pid,
    /// The process had ended, or begun to, when the monitor had been made.
    late: bool,
}

impl Watched {
    /// To be made when the monitor is.
    pub(super) fn new(facts: &Facts, pid: Pid) -> Watched {
        Watched { pid, late: facts.is_ending(pid) }
    }

    /// A monitor from before the first step of a process.
    pub(super) fn from_birth(pid: Pid) -> Watched {
        Watched { pid, late: false }
    }
}

/// A `Down` has arrived; `watched` is what the receiver had noted about its monitor, and forgets now.
pub(super) fn check_down(facts: &Facts, me: Pid, watched: Option<Watched>, down: &Down) {
    facts.one(&facts.counts.downs);
    facts.note("down", Some(me), down.pid, reason_number(&down.reason));
    let me = Short(Some(me));
    let Some(watched) = watched else {
        return facts.violation(format!("{me} got a Down that it does not wait for: {down:?}"));
    };
    let pid = Short(Some(watched.pid));
    if down.pid != Some(watched.pid)
        || matches!(down.target, MonitorTarget::Pid(other) if other != watched.pid)
    {
        facts.violation(format!("{me} watches {pid} and got {down:?}"));
    }
    match &down.reason {
        ExitReason::NoProc if !watched.late => {
            facts.violation(format!("{me} is told that {pid}, which it has watched alive, is no process"));
        },
        ExitReason::NoProc => {},
        reason => facts.check_reason(watched.pid, reason, "a Down"),
    }
    facts.check_gone(watched.pid, "a Down");
}
