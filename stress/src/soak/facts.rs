//! What is known to be true about the processes of a node, and what was found to be wrong.
//!
//! The kernel's own telemetry tells of each spawn and each end, from where it happens; that is held against what processes hear of each other
//! by `Down`, exit signals and failed calls. Everybody who finds a contradiction says so here, with [`Facts::violation`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_core::{ExitReason, Node, Pid, process};

use super::asking::Edges;
use super::journal::{Entry, Journal, Short};
use super::life::Life;

/// More violations than this are counted only.
const SHOWN: usize = 20;
/// How much of the journal is kept with the first violation.
pub(super) const TAIL: usize = 60;

/// An exit reason with somebody who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) number: u64,
    /// Whom it was given to; by a link it may reach others.
    pub(super) target: Pid,
    /// The sender has counted it among its notes.
    pub(super) noted: bool,
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) reason: ExitReason,
    /// When that was decided.
    pub(super) stamp: u64,
}

/// What is known of one process.
#[derive(Default)]
struct Record {
    parent: Option<Pid>,
    /// A supervisor; then its living children are listed.
    supervisor: bool,
    registry: bool,
    children: Vec<Pid>,
    /// It has been linked with somebody, so others' reasons may become its own.
    linked: bool,
    end: Option<End>,
    life: Option<Arc<Life>>,
}

#[derive(Default)]
pub(super) struct Shard {
    processes: HashMap<Pid, Record>,
    pub(super) edges: HashMap<Pid, Edges>,
}

macro_rules! counts {
    ($($name:ident),+ $(,)?) => {
        /// How often what happened.
        #[derive(Default)]
        pub(super) struct Counts {
            $(pub(super) $name: AtomicU64,)+
        }

        impl Counts {
            /// Names and figures.
            pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

counts! {
    actions, calls, answered, failed, timeouts, deadlocks, abandoned, casts, notes, downs, exits, timers, kills, crashes, starts, refusals,
    restarts, gave_up, suspensions, spawned, ended, at_a_time,
}

pub(super) struct Facts {
    stamps: AtomicU64,
    numbers: AtomicU64,
    shards: Box<[Mutex<Shard>]>,
    pub(super) journal: Journal,
    /// Values that were made and not dropped yet.
    pub(super) tokens: AtomicI64,
    /// Clients that are there, the mortal ones included.
    pub(super) clients: AtomicI64,
    /// The node is being stopped in the middle of everything: what depends on others being there is no violation any more.
    winding_down: AtomicBool,
    violations: AtomicU64,
    shown: Mutex<Vec<String>>,
    pub(super) counts: Counts,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Facts {
    /// For a simulated node, with one thread: everything in one order, of which so much is kept.
    pub(super) fn simulated(keep: usize) -> Facts {
        Facts::new(1, keep)
    }

    /// For a real node: spread out.
    pub(super) fn real() -> Facts {
        Facts::new(64, TAIL)
    }

    fn new(shards: usize, keep: usize) -> Facts {
        Facts {
            stamps: AtomicU64::new(1),
            numbers: AtomicU64::new(0),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            journal: Journal::new(shards, keep),
            tokens: AtomicI64::new(0),
            clients: AtomicI64::new(0),
            winding_down: AtomicBool::new(false),
            violations: AtomicU64::new(0),
            shown: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// A moment, later than all before.
    pub(super) fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::SeqCst)
    }

    /// A number that nobody else gets.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What clients have done so far.
    pub(super) fn actions(&self) -> u64 {
        self.counts.actions.load(Ordering::Relaxed)
    }

    pub(super) fn one(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note(&self, what: &'static str, who: Option<Pid>, whom: Option<Pid>, number: u64) {
        let (stamp, at) = (self.stamp(), now());
        self.journal.note(Entry { stamp, at, what, who, whom, number });
    }

    /// Something that must not happen.
    pub(super) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        let before = self.violations.fetch_add(1, Ordering::SeqCst);
        let mut shown = open(&self.shown);
        if before == 0 {
            shown.push(format!("{what}\nlast events before it:\n{}", self.journal.tail(TAIL)));
        } else if shown.len() < SHOWN {
            shown.push(what);
        }
    }

    /// Something that must not happen as long as the node is not being stopped.
    pub(super) fn doubt(&self, what: impl FnOnce() -> String) {
        if !self.winding_down.load(Ordering::SeqCst) {
            self.violation(what());
        }
    }

    /// From now on the node may stop at any moment.
    pub(super) fn wind_down(&self) {
        self.winding_down.store(true, Ordering::SeqCst);
    }

    pub(super) fn violations(&self) -> u64 {
        self.violations.load(Ordering::SeqCst)
    }

    /// The first ones, the very first with what happened before it.
    pub(super) fn shown(&self) -> Vec<String> {
        open(&self.shown).clone()
    }

    pub(super) fn shard(&self, pid: Pid) -> MutexGuard<'_, Shard> {
        open(&self.shards[pid.id() as usize % self.shards.len()])
    }

    /// A process was spawned.
    pub(super) fn spawned(&self, pid: Pid, parent: Option<Pid>, kind: &str) {
        self.one(&self.counts.spawned);
        self.note("spawned", Some(pid), parent, 0);
        let (supervisor, registry) = (kind.contains("Supervisor"), kind.contains("Registry"));
        // It may be linked from before its first step.
        let linked = parent.is_some_and(|parent| {
            self.shard(parent).processes.get(&parent).is_some_and(|parent| parent.linked)
        });
        let record = Record { parent, supervisor, registry, linked, ..Record::default() };
        if self.shard(pid).processes.insert(pid, record).is_some() {
            self.violation(format!("two processes have the pid {}", Short(Some(pid))));
        }
        if let Some(parent) = parent
            && let Some(record) = self.shard(parent).processes.get_mut(&parent)
            && record.supervisor
        {
            record.children.push(pid);
        }
    }

    /// The reason why a process ends is decided; its state is still there.
    pub(super) fn ended(&self, pid: Pid, reason: &ExitReason) {
        self.one(&self.counts.ended);
        self.note("ends", Some(pid), None, reason_number(reason));
        let end = End { reason: reason.clone(), stamp: self.stamp() };
        let (parent, linked, children, life, twice) = {
            let mut shard = self.shard(pid);
            let record = shard.processes.entry(pid).or_default();
            let twice = record.end.replace(end).is_some();
            (record.parent, record.linked, std::mem::take(&mut record.children), record.life.clone(), twice)
        };
        let me = Short(Some(pid));
        if twice {
            self.violation(format!("{me} ended twice, now: {reason}"));
        }
        self.judge(pid, linked, reason);
        if let Some(life) = life {
            life.ended(self, reason);
        }
        // One that is killed leaves its children to their links, and to the next moments.
        if !matches!(reason, ExitReason::Killed) {
            for child in children {
                if self.end_of(child).is_none() {
                    let child = Short(Some(child));
                    self.violation(format!("the supervisor {me} ended ({reason}) before its child {child}"));
                }
            }
        }
        if let Some(parent) = parent
            && let Some(record) = self.shard(parent).processes.get_mut(&parent)
        {
            record.children.retain(|child| *child != pid);
        }
    }

    /// Can a process have ended for this reason?
    fn judge(&self, pid: Pid, linked: bool, reason: &ExitReason) {
        let right = match reason {
            ExitReason::Normal | ExitReason::Shutdown | ExitReason::ShutdownWith(_) | ExitReason::Killed => {
                true
            },
            ExitReason::Panic(info) => {
                linked && info.message.starts_with("soak ") || is_of(&info.message, pid)
            },
            ExitReason::Error(term) => {
                let text = term.to_string();
                linked && text.starts_with("soak ") || is_of(&text, pid)
            },
            ExitReason::Custom(term) => {
                term.downcast_ref::<Cause>().is_some_and(|cause| linked || cause.target == pid)
            },
            _ => false,
        };
        if !right {
            self.violation(format!(
                "{} ended for a reason that nobody gave it: {reason:?}",
                Short(Some(pid))
            ));
        }
    }

    /// How a process ended, if it has.
    pub(super) fn end_of(&self, pid: Pid) -> Option<End> {
        self.shard(pid).processes.get(&pid).and_then(|record| record.end.clone())
    }

    /// Has the process begun to end, as everybody can see?
    pub(super) fn is_ending(&self, pid: Pid) -> bool {
        !process::is_alive(pid) || self.end_of(pid).is_some()
    }

    /// The process lives a life that is watched more closely.
    pub(super) fn born(&self, pid: Pid, life: &Arc<Life>) {
        self.shard(pid).processes.entry(pid).or_default().life = Some(life.clone());
    }

    pub(super) fn life_of(&self, pid: Pid) -> Option<Arc<Life>> {
        self.shard(pid).processes.get(&pid).and_then(|record| record.life.clone())
    }

    pub(super) fn parent_of(&self, pid: Pid) -> Option<Pid> {
        self.shard(pid).processes.get(&pid).and_then(|record| record.parent)
    }

    pub(super) fn is_registry(&self, pid: Pid) -> bool {
        self.shard(pid).processes.get(&pid).is_some_and(|record| record.registry)
    }

    /// The process is about to be linked.
    pub(super) fn linked(&self, pid: Pid) {
        self.shard(pid).processes.entry(pid).or_default().linked = true;
    }

    /// Somebody was told that a process has ended: then all of it must be gone.
    pub(super) fn check_gone(&self, pid: Pid, told_by: &str) {
        let me = Short(Some(pid));
        if self.end_of(pid).is_none() {
            self.violation(format!("{told_by} of {me}, which has not ended"));
        }
        if process::is_alive(pid) {
            self.violation(format!("{told_by} of {me}, which is alive"));
        }
        if self.life_of(pid).is_some_and(|life| life.has_state()) {
            self.violation(format!("{told_by} of {me} before its state was dropped"));
        }
    }

    /// Somebody was told why a process ended.
    pub(super) fn check_reason(&self, pid: Pid, told: &ExitReason, told_by: &str) {
        match self.end_of(pid) {
            Some(end) if end.reason == *told => {},
            Some(end) => {
                let me = Short(Some(pid));
                self.violation(format!(
                    "{told_by} of {me} tells {told:?}, but it ended with {:?}",
                    end.reason
                ));
            },
            None => self
                .violation(format!("{told_by} of {} tells {told:?}, but it has not ended", Short(Some(pid)))),
        }
    }

    /// The text of a crash of a process.
    pub(super) fn crash(&self, pid: Pid) -> String {
        self.one(&self.counts.crashes);
        format!("soak {} of {}", self.number(), Short(Some(pid)))
    }

    /// A reason to end a process with.
    pub(super) fn cause(&self, target: Pid, noted: bool) -> ExitReason {
        ExitReason::custom(Cause { number: self.number(), target, noted })
    }

    /// Processes that were spawned and have not ended.
    pub(super) fn living(&self) -> Vec<Pid> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = open(shard);
            all.extend(
                shard.processes.iter().filter(|(_, record)| record.end.is_none()).map(|(pid, _)| *pid),
            );
        }
        all.sort_unstable();
        all
    }

    /// Forgets who called whom: nobody calls any more.
    pub(super) fn forget_calls(&self) {
        self.shards.iter().for_each(|shard| open(shard).edges.clear());
    }

    /// Forgets all processes, at the end of a world.
    pub(super) fn forget(&self) {
        self.shards.iter().for_each(|shard| open(shard).processes.clear());
    }
}

/// Time on the current node's clock.
pub(super) fn now() -> Duration {
    Node::try_current().map_or(Duration::ZERO, |node| node.now())
}

/// Is this the text of a crash of this process?
fn is_of(text: &str, pid: Pid) -> bool {
    let mut words = text.split(' ');
    words.next() == Some("soak") && words.nth(2) == Some(&Short(Some(pid)).to_string())
}

/// A reason's kind, for the journal.
pub(super) fn reason_number(reason: &ExitReason) -> u64 {
    match reason {
        ExitReason::Normal => 1,
        ExitReason::Shutdown => 2,
        ExitReason::ShutdownWith(_) => 3,
        ExitReason::Killed => 4,
        ExitReason::Panic(_) => 5,
        ExitReason::Error(_) => 6,
        ExitReason::Custom(_) => 7,
        ExitReason::NoProc => 8,
        _ => 9,
    }
}
