//! What a careful hand-written supervisor keeps of a panic: message, place, and the unresolved backtrace of the frame
//! that panicked. A panic hook is the only place that sees the last two, so it leaves them in a thread-local for the
//! code that catches the panic on the same thread.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::PanicHookInfo;

thread_local! {
    static LAST: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// One panic.
#[derive(Debug)]
pub(crate) struct Report {
    /// The panic's message.
    pub(crate) message: String,
    /// `file:line:column`.
    pub(crate) location: String,
    /// Captured but not resolved to symbols; that happens when it is printed.
    pub(crate) backtrace: Option<Backtrace>,
}

impl Report {
    /// Whether it says what happened and where, and holds a backtrace if one was to be captured.
    pub(crate) fn is_complete(&self) -> bool {
        let backtrace =
            self.backtrace.as_ref().is_none_or(|trace| trace.status() == BacktraceStatus::Captured);
        backtrace && !self.message.is_empty() && !self.location.is_empty()
    }
}

/// Replaces the process's panic hook by one that prints nothing and keeps the report for [`take`].
pub(crate) fn install(backtraces: bool) {
    std::panic::set_hook(Box::new(move |info| {
        let report = Report {
            message: message(info),
            location: info.location().map(ToString::to_string).unwrap_or_default(),
            backtrace: backtraces.then(Backtrace::force_capture),
        };
        LAST.with(|last| *last.borrow_mut() = Some(report));
    }));
}

/// Takes the report of the panic caught last on this thread.
pub(crate) fn take() -> Option<Report> {
    LAST.with(|last| last.borrow_mut().take())
}

fn message(info: &PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("a value that is not a string").to_owned()
}
