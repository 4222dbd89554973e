//! What can go wrong with a handler of events.

use std::fmt;

use crate::call::error::CallError;
use crate::gen_event::handler::AnyHandlerId;
use crate::process::exit_reason::ExitReason;

/// Why a handler was not added, found, or did not answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandlerError {
    /// The manager has no such handler.
    NotFound(AnyHandlerId),
    /// The manager has a handler of this id. Nothing has changed.
    AlreadyAdded(AnyHandlerId),
    /// The handler's function panicked or returned an error, with this reason. Its `init`: it was not added. Another one: it has been
    /// removed. [`NoProc`](ExitReason::NoProc): who was to supervise it has ended.
    Failed(ExitReason),
    /// A process supervises a handler by its own handle, and this is another process's, or none is calling.
    NoProcess,
    /// The manager could not be asked.
    Call(CallError),
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandlerError::NotFound(id) => write!(f, "the event manager has no handler {id}"),
            HandlerError::AlreadyAdded(id) => write!(f, "the event manager has a handler {id} already"),
            HandlerError::Failed(reason) => write!(f, "the event handler failed: {reason}"),
            HandlerError::NoProcess => f.write_str(
                "a process supervises a handler itself: call this in a process, with its own handle",
            ),
            HandlerError::Call(error) => write!(f, "the event manager could not be asked: {error}"),
        }
    }
}

impl std::error::Error for HandlerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HandlerError::Call(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CallError> for HandlerError {
    fn from(error: CallError) -> Self {
        HandlerError::Call(error)
    }
}
