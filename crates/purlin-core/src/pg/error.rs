//! What can go wrong with process groups.

use std::fmt;

use crate::call::error::{CallError, CallErrorKind};
use crate::process::pid::Pid;

/// Why an operation on a scope of process groups was refused. Nothing has changed then.
#[derive(Debug)]
#[non_exhaustive]
pub enum PgError {
    /// The scope is not running.
    Unknown {
        /// The scope's name.
        scope: String,
    },
    /// What runs under the scope's name is something else: another kind of process, or a scope whose groups have names of another type.
    WrongType {
        /// The scope's name.
        scope: String,
        /// The type that was expected.
        expected: &'static str,
        /// The type of the process that has the name.
        found: &'static str,
    },
    /// None of the processes is in the group.
    NotJoined,
    /// This process is of another node: it joins and leaves there.
    NotLocal(Pid),
    /// A process watches for itself: the calling code is none, or gave another process's `Cx` or `Mailbox`.
    NoProcess,
    /// There is no current node to find the scope on.
    NoNode,
    /// The scope's process could not be asked.
    Call(CallError),
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PgError::Unknown { scope } => write!(
                f,
                "no scope {scope:?} of process groups is running on this node; start it, or put it before its users under their supervisor"
            ),
            PgError::WrongType { scope, expected, found } => {
                write!(f, "{scope:?} is a `{found}`, not a `{expected}`")
            },
            PgError::NotJoined => f.write_str("none of the processes is in the group"),
            PgError::NotLocal(pid) => {
                write!(f, "{pid} is a process of another node; it joins and leaves groups there")
            },
            PgError::NoProcess => {
                f.write_str("a process watches groups itself: call this in a process, with its own handle")
            },
            PgError::NoNode => f.write_str(crate::node::NO_NODE),
            PgError::Call(error) => write!(f, "the scope could not be asked: {error}"),
        }
    }
}

impl std::error::Error for PgError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PgError::Call(error) => Some(error),
            _ => None,
        }
    }
}

impl PgError {
    /// Of a call to the scope's process.
    pub(super) fn of_call(error: CallError, scope: &str) -> PgError {
        match error.kind() {
            CallErrorKind::NoProc | CallErrorKind::Exit(_) => PgError::Unknown { scope: scope.to_owned() },
            _ => PgError::Call(error),
        }
    }
}
