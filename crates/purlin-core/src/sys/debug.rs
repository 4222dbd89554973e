//! What `sys` has switched on for one process: trace, log, statistics. A process without it pays nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::error::short;
use crate::process::cell::Proc;
use crate::sys::install::{self, Installed};

/// How many events a log keeps unless told otherwise.
pub(crate) const LOG_DEFAULT: usize = 10;

/// Something that a debugged process did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SysEvent {
    /// A message was taken from the mailbox to be handled.
    In {
        /// The message's type, without its module path; a client method's name.
        message: &'static str,
        /// When, after the node's start.
        at: Duration,
    },
}

/// What `sys::statistics` counts from the moment it is switched on.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// When it was switched on, after the node's start.
    pub start_time: Duration,
    /// Now, after the node's start.
    pub current_time: Duration,
    /// Callbacks run (OTP counts reductions).
    pub reductions: u32,
    /// Messages taken from the mailbox, calls among them.
    pub messages_in: u64,
}

#[derive(Default)]
pub(crate) struct Debug {
    pub(crate) trace: bool,
    pub(crate) log: Option<Log>,
    pub(crate) statistics: Option<Counting>,
    /// In the order in which they were installed.
    pub(crate) functions: Vec<Installed>,
}

pub(crate) struct Log {
    pub(crate) keep: usize,
    pub(crate) events: VecDeque<SysEvent>,
}

pub(crate) struct Counting {
    pub(crate) start: Duration,
    pub(crate) handled_at_start: u32,
    pub(crate) messages_in: u64,
}

impl Debug {
    pub(crate) fn is_off(&self) -> bool {
        !self.trace && self.log.is_none() && self.statistics.is_none() && self.functions.is_empty()
    }

    /// Takes note of an event, the oldest one leaving a full log.
    pub(crate) fn record(&mut self, event: SysEvent) {
        if let Some(counting) = &mut self.statistics {
            counting.messages_in += 1;
        }
        if let Some(log) = &mut self.log {
            while log.events.len() >= log.keep.max(1) {
                log.events.pop_front();
            }
            log.events.push_back(event);
        }
    }
}

/// A debugged process is about to handle a message.
#[cold]
pub(crate) fn message_in(proc: &Proc, message: &'static str) {
    let message = short(message);
    let event = SysEvent::In { message, at: proc.node.now() };
    let functions;
    let trace = {
        let mut extra = proc.extra.lock();
        let Some(debug) = extra.as_mut().and_then(|e| e.debug.as_mut()) else { return };
        debug.record(event.clone());
        functions = std::mem::take(&mut debug.functions);
        debug.trace
    };
    if trace {
        tracing::info!(target: "purlin::trace", pid = %proc.pid(), server = (proc.table.type_name)(), message, "got");
    }
    if !functions.is_empty() {
        install::run(proc, &event, functions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> SysEvent {
        SysEvent::In { message: "m", at: Duration::from_secs(n) }
    }

    #[test]
    fn sy8_log_keeps_the_last_events() {
        let mut debug = Debug { log: Some(Log { keep: 3, events: VecDeque::new() }), ..Debug::default() };
        (1..=5).for_each(|n| debug.record(event(n)));
        let log = debug.log.expect("on");
        assert_eq!(log.events, [event(3), event(4), event(5)]);
    }
}
