//! What can go wrong with a call, told with everything one needs to find out why.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;

/// Why a call has no reply.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// There is no such process, or nobody has that name.
    NoProc,
    /// No reply within the deadline. The server may still handle the call; its reply vanishes.
    Timeout,
    /// The server ended, for this reason, before it replied.
    Exit(ExitReason),
    /// A server called itself.
    CallingSelf,
    /// The call would close a cycle of processes that wait for each other. The pids, from the caller on.
    Deadlock(Vec<Pid>),
    /// The server dropped the handle to reply with.
    NoReply,
    /// The connection to the server's node was lost, or there is none.
    NodeDown,
    /// The server's mailbox is full, and its policy refuses calls.
    MailboxFull,
    /// There is no current node to find the name on.
    NoNode,
    /// The process of that name is a server of another type.
    WrongType,
}

/// A failed call. Displays as one sentence that names server, request, place and time.
#[derive(Clone)]
pub struct CallError(pub(crate) Box<Details>);

#[derive(Clone)]
pub(crate) struct Details {
    pub(crate) kind: CallErrorKind,
    pub(crate) pid: Option<Pid>,
    pub(crate) name: Option<String>,
    pub(crate) server: &'static str,
    pub(crate) request: &'static str,
    pub(crate) location: &'static Location<'static>,
    pub(crate) elapsed: Duration,
    pub(crate) queue: Option<usize>,
}

impl CallError {
    /// What went wrong.
    pub fn kind(&self) -> &CallErrorKind {
        &self.0.kind
    }

    /// The server, if it was found.
    pub fn pid(&self) -> Option<Pid> {
        self.0.pid
    }

    /// The name it was called by.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The server's type.
    pub fn server(&self) -> &'static str {
        self.0.server
    }

    /// The request's type.
    pub fn request(&self) -> &'static str {
        self.0.request
    }

    /// Where the call was written.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// How long the caller waited.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How many messages waited in the server's mailbox when the call failed, if there was a server.
    pub fn queue_len(&self) -> Option<usize> {
        self.0.queue
    }

    /// `true` for [`CallErrorKind::NoProc`].
    pub fn is_no_proc(&self) -> bool {
        self.0.kind == CallErrorKind::NoProc
    }

    /// `true` for [`CallErrorKind::Timeout`].
    pub fn is_timeout(&self) -> bool {
        self.0.kind == CallErrorKind::Timeout
    }

    /// The reason, if the server ended.
    pub fn exit_reason(&self) -> Option<&ExitReason> {
        match &self.0.kind {
            CallErrorKind::Exit(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &*self.0;
        write!(f, "call of `{}` to `{}`", short(d.request), short(d.server))?;
        match (&d.name, d.pid) {
            (Some(name), Some(pid)) => write!(f, " {name:?} {pid}")?,
            (Some(name), None) => write!(f, " {name:?}")?,
            (None, Some(pid)) => write!(f, " {pid}")?,
            (None, None) => {},
        }
        write!(f, " at {}:{}: ", d.location.file(), d.location.line())?;
        match &d.kind {
            CallErrorKind::NoProc => f.write_str("no such process"),
            CallErrorKind::Timeout => {
                write!(f, "no reply after {:?}", d.elapsed)?;
                if let Some(queue) = d.queue {
                    write!(f, " ({queue} messages in its mailbox)")?;
                }
                Ok(())
            },
            CallErrorKind::Exit(reason) => write!(f, "the server ended before it replied: {reason}"),
            CallErrorKind::CallingSelf => {
                f.write_str("a server cannot call itself; call the method directly, or use a cast")
            },
            CallErrorKind::Deadlock(cycle) => {
                f.write_str("deadlock: ")?;
                for pid in cycle {
                    write!(f, "{pid} waits for ")?;
                }
                match cycle.first() {
                    Some(first) => write!(f, "{first}"),
                    None => Ok(()),
                }
            },
            CallErrorKind::NoReply => f.write_str("the server dropped the call unanswered"),
            CallErrorKind::NodeDown => f.write_str("the server's node is not connected"),
            CallErrorKind::MailboxFull => f.write_str("the server's mailbox is full"),
            CallErrorKind::NoNode => f.write_str(crate::node::NO_NODE),
            CallErrorKind::WrongType => f.write_str("the process of that name is a server of another type"),
        }
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({:?}: {self})", self.0.kind)
    }
}

impl std::error::Error for CallError {}

/// A type's name without its path, and without the frame that the macro puts around message names.
pub(crate) fn short(name: &str) -> &str {
    let path_end = name.find('<').unwrap_or(name.len());
    let start = name[..path_end].rfind("::").map_or(0, |at| at + 2);
    name[start..].trim_start_matches("__")
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_names_keep_generic_arguments_and_lose_paths() {
        assert_eq!(super::short("shop::cart::Add"), "Add");
        assert_eq!(super::short("shop::Cache<alloc::string::String>"), "Cache<alloc::string::String>");
        assert_eq!(super::short("shop::_::__Increment"), "Increment");
    }
}
