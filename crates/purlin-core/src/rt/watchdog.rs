//! Watches for callbacks that hog a worker: a future gives way only at an await, so one that computes or blocks holds up its neighbours.
//!
//! A thread samples what each executor is doing (two relaxed stores per activation on the executor's side). The same step seen again
//! means that one callback has run for at least the time between: over 1 ms is counted, over 10 ms logged, over 100 ms an alarm. While every
//! executor is idle the thread samples rarely. [`Watch`] is the pure part.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::call::error::short;
use crate::node::Node;
use crate::process::pid::Pid;
use crate::process::report::to_stderr;
use crate::process::run::unpack;
use crate::rt::sched::Record;
use crate::telemetry::{Metadata, events};

const PERIOD: Duration = Duration::from_millis(2);
const IDLE_PERIOD: Duration = Duration::from_millis(50);
const COUNT: Duration = Duration::from_millis(1);
const LOG: Duration = Duration::from_millis(10);
const ALARM: Duration = Duration::from_millis(100);

/// What the executor was seen doing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sample {
    steps: u64,
    running: u64,
}

/// How bad a long poll has become; each level is reported once per poll.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    Counted,
    Logged,
    Alarm,
}

/// The memory of one executor's watch.
#[derive(Default)]
pub(crate) struct Watch {
    last: Sample,
    since: Duration,
    reported: Option<Level>,
}

impl Watch {
    /// Takes a sample made at `now`; returns a level just reached, with the time that the poll has taken at least.
    pub(crate) fn observe(&mut self, sample: Sample, now: Duration) -> Option<(Level, Duration)> {
        if sample.running == 0 || sample != self.last {
            *self = Watch { last: sample, since: now, reported: None };
            return None;
        }
        let took = now.saturating_sub(self.since);
        let level = match took {
            t if t >= ALARM => Level::Alarm,
            t if t >= LOG => Level::Logged,
            t if t >= COUNT => Level::Counted,
            _ => return None,
        };
        if self.reported >= Some(level) {
            return None;
        }
        self.reported = Some(level);
        Some((level, took))
    }
}

fn sample(record: &Record) -> Sample {
    Sample { steps: record.steps.load(Ordering::Relaxed), running: record.running.load(Ordering::Relaxed) }
}

/// Starts the thread; it ends with the node.
pub(crate) fn start(node: &Node) {
    let weak = std::sync::Arc::downgrade(&node.0);
    // What it logs goes where the logs of whoever started the node go.
    let logs = tracing::dispatcher::has_been_set().then(|| tracing::dispatcher::get_default(Clone::clone));
    let body = move || {
        let _logs = logs.as_ref().map(tracing::dispatcher::set_default);
        let mut watches: Vec<Watch> = Vec::new();
        loop {
            let Some(inner) = weak.upgrade() else { return };
            if inner.is_down() {
                return;
            }
            let node = Node(inner);
            let sched = &node.rt().sched;
            watches.resize_with(sched.workers().len(), Watch::default);
            let now = node.now();
            let mut stuck = false;
            for (index, (worker, watch)) in sched.workers().iter().zip(&mut watches).enumerate() {
                let seen = sample(&worker.record);
                let before = watch.reported;
                if let Some((level, took)) = watch.observe(seen, now) {
                    if before.is_none() {
                        // Once per poll, even if its first sample showed a higher level.
                        node.0.counters.long_polls.fetch_add(1, Ordering::Relaxed);
                    }
                    report(&node, index, seen.running, level, took);
                }
                stuck |= watch.reported.is_some();
            }
            // At every look, not only at those that report: the hog may have scheduled something since.
            if stuck && sched.has_work() {
                // What waits behind the hog in its own queue can be taken over by another executor.
                sched.wake_one();
            }
            let period = if sched.is_idle() { IDLE_PERIOD } else { PERIOD };
            drop(node);
            std::thread::park_timeout(period);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("purlin-watchdog".to_owned()).spawn(body) {
        tracing::warn!(%error, "no watchdog: its thread could not be started");
    }
}

fn report(node: &Node, worker: usize, packed: u64, level: Level, took: Duration) {
    let pid = Pid::from_parts(node.0.index, packed as u32, (packed >> 32) as u32);
    // The message may be another one by now; the report is for people, not for decisions.
    let found = node.lookup(pid);
    let (server, message) =
        found.as_ref().map_or(("?", None), |proc| ((proc.table.type_name)(), proc.last_message()));
    let (name, label) = found
        .as_ref()
        .and_then(|proc| proc.extra.lock().as_ref().map(|e| (e.name.clone(), e.label.clone())))
        .unwrap_or_default();
    let limit = match level {
        Level::Counted => COUNT,
        Level::Logged => LOG,
        Level::Alarm => ALARM,
    };
    node.telemetry().execute_with(events::WATCHDOG_LONG_POLL, || {
        (
            [("duration", took.into()), ("limit", limit.into())],
            Metadata::new()
                .with("pid", pid)
                .with("type", short(server))
                .with_some("name", name.clone())
                .with_some("label", label.clone())
                .with_some("message_type", message.map(short))
                .with("worker", worker),
        )
    });
    let name = name.or(label).unwrap_or_else(|| "-".into());
    // Pids are written as the node's own.
    let _here = node.enter();
    // A process that runs and waits for another has made a call in place: the handler is that one's.
    let waits_on = found.as_ref().map_or(0, |proc| proc.waits_on.load(Ordering::Relaxed));
    let callee = found.as_ref().filter(|_| waits_on != 0).map(|proc| unpack(proc, waits_on));
    let calls = callee
        .and_then(|pid| node.lookup(pid))
        .map(|proc| format!("{} {}", proc.pid(), short((proc.table.type_name)())));
    let calls = calls.as_deref();
    let (server, message) = (short(server), message.map(short));
    if level == Level::Alarm && to_stderr(node) {
        let message = message.map(|m| format!(", message {m}")).unwrap_or_default();
        let calls = calls.map(|c| format!(", in a call of {c}")).unwrap_or_default();
        eprintln!(
            "purlin: process {pid} ({server}, {name}{message}{calls}) has not given its worker back for {took:?}"
        );
    }
    match level {
        Level::Counted => {},
        Level::Logged => {
            tracing::warn!(target: "purlin::watchdog", %pid, %name, server, last_message = message, calls, ?took, worker, "a callback is hogging a worker");
        },
        Level::Alarm => {
            tracing::error!(target: "purlin::watchdog", %pid, %name, server, last_message = message, calls, ?took, worker, "a callback does not give its worker back");
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn each_level_is_reported_once_per_poll() {
        let mut watch = Watch::default();
        let hog = Sample { steps: 5, running: 9 };
        let seen: Vec<_> = (0..=200).filter_map(|t| watch.observe(hog, ms(t)).map(|(l, _)| (l, t))).collect();
        assert_eq!(seen, [(Level::Counted, 1), (Level::Logged, 10), (Level::Alarm, 100)]);
    }

    #[test]
    fn progress_or_idleness_starts_the_watch_anew() {
        let mut watch = Watch::default();
        assert_eq!(watch.observe(Sample { steps: 1, running: 9 }, ms(0)), None);
        assert_eq!(watch.observe(Sample { steps: 2, running: 9 }, ms(50)), None, "another step");
        assert_eq!(watch.observe(Sample { steps: 2, running: 0 }, ms(90)), None, "idle");
        assert_eq!(watch.observe(Sample { steps: 2, running: 9 }, ms(95)), None, "seen for the first time");
        assert!(watch.observe(Sample { steps: 2, running: 9 }, ms(105)).is_some());
    }
}
