//! Calls, with everything that can be said about how they end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use purlin_core::{Call, CallError, CallErrorKind, ExitReason, Overflow, Pid, millis, secs};

use super::facts::{Facts, now};
use super::journal::Short;
use super::life::Token;
use super::ticket::Ticket;

/// How long a call waits that must not come to its end in vain.
pub(super) const LONG: Duration = secs(30);

/// How long somebody waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// It may well be too short.
    Short(u64),
    /// Far longer than anything takes.
    Long,
    /// For ever.
    Infinite,
}

impl Patience {
    /// The deadline, if there is one.
    fn limit(self) -> Option<Duration> {
        match self {
            Patience::Short(ms) => Some(millis(ms)),
            Patience::Long => Some(LONG),
            Patience::Infinite => None,
        }
    }
}

/// What the caller knows about the server and its request.
#[derive(Clone, Copy, Default)]
pub(super) struct Expected {
    /// Who is called, unless it is called by a name.
    pub(super) target: Option<Pid>,
    /// The handle to reply with may be dropped.
    pub(super) unanswered: bool,
    /// The mailbox may be full and refuse.
    pub(super) full: bool,
}

impl Expected {
    /// What is known of a server by its pid.
    pub(super) fn of(facts: &Facts, target: Pid) -> Expected {
        // Of one that is found before its `init` begins nothing is known yet.
        let full = facts
            .life_of(target)
            .is_none_or(|life| life.bound.is_some_and(|overflow| overflow != Overflow::Wait));
        Expected { target: Some(target), unanswered: full, full }
    }
}

/// What an answer says about itself.
pub(super) trait Answering: Send + 'static {
    /// The number of the request that it answers.
    fn number(&self) -> u64;
    /// Who answers.
    fn from(&self) -> Option<Pid>;
}

/// A short answer: it lies in the reply slot.
impl Answering for u64 {
    fn number(&self) -> u64 {
        *self
    }
    fn from(&self) -> Option<Pid> {
        None
    }
}

/// A long answer, which lies in a box.
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) from: Pid,
    /// How many notes the server had sent to the caller when it answered, if it was the server that answered.
    pub(super) notes: Option<u64>,
    pub(super) _token: Token,
}

impl Answering for Answer {
    fn number(&self) -> u64 {
        self.number
    }
    fn from(&self) -> Option<Pid> {
        Some(self.from)
    }
}

/// A call that a process waits for.
pub(super) struct Edge {
    target: Pid,
    begin: u64,
    /// 0 until then.
    end: AtomicU64,
    ticket: Arc<Ticket>,
}

impl Edge {
    /// When the wait was over: when the handler was done, or the caller was.
    fn over(&self) -> u64 {
        let ended = Some(self.end.load(Ordering::SeqCst)).filter(|stamp| *stamp != 0);
        ended.into_iter().chain(self.ticket.done()).min().unwrap_or(u64::MAX)
    }
}

/// The last calls of a process.
pub(super) type Edges = VecDeque<Arc<Edge>>;

/// More than a process makes while another one looks for a ring.
const EDGES: usize = 8;

/// Published for the time of a call.
struct Waiting {
    facts: Arc<Facts>,
    edge: Option<Arc<Edge>>,
    /// The call was neither answered nor did it fail: it was given up.
    open: bool,
}

impl Waiting {
    fn begin(facts: &Arc<Facts>, ticket: &Arc<Ticket>, caller: Option<Pid>, target: Option<Pid>) -> Waiting {
        facts.one(&facts.counts.calls);
        facts.note("calls", caller, target, ticket.number());
        let edge = caller.zip(target).map(|(caller, target)| {
            let begin = facts.stamp();
            let edge = Arc::new(Edge { target, begin, end: AtomicU64::new(0), ticket: ticket.clone() });
            let mut shard = facts.shard(caller);
            let edges = shard.edges.entry(caller).or_default();
            if edges.len() == EDGES {
                edges.pop_front();
            }
            edges.push_back(edge.clone());
            edge
        });
        Waiting { facts: facts.clone(), edge, open: true }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(edge) = &self.edge {
            edge.end.store(self.facts.stamp(), Ordering::SeqCst);
        }
        if self.open {
            self.facts.one(&self.facts.counts.abandoned);
        }
    }
}

/// Makes a call and checks how it ends. `Err` if it failed, for a reason that could be true.
pub(super) async fn ask<R: Answering>(
    facts: &Arc<Facts>,
    caller: Option<Pid>,
    ticket: &Arc<Ticket>,
    expected: Expected,
    patience: Patience,
    call: impl Call<R>,
) -> Result<R, CallError> {
    let begun = now();
    let mut waiting = Waiting::begin(facts, ticket, caller, expected.target);
    let call = match patience.limit() {
        Some(limit) => call.timeout(limit),
        None => call.infinity(),
    };
    let result = call.await;
    waiting.open = false;
    let took = now().saturating_sub(begun);
    match &result {
        Ok(answer) => answered(facts, caller, ticket, expected, answer),
        Err(error) => failed(facts, caller, ticket, expected, patience, took, error, &waiting),
    }
    result
}

fn answered<R: Answering>(
    facts: &Facts,
    caller: Option<Pid>,
    ticket: &Ticket,
    expected: Expected,
    answer: &R,
) {
    facts.one(&facts.counts.answered);
    facts.note("answered", caller, expected.target, ticket.number());
    let number = ticket.number();
    if answer.number() != number {
        facts.violation(format!("request {number} was answered with the answer to {}", answer.number()));
    }
    if ticket.times() != 1 {
        facts.violation(format!("request {number} was answered and handled {} times", ticket.times()));
    }
    if let (Some(target), Some(from)) = (expected.target, answer.from())
        && target != from
    {
        let (target, from) = (Short(Some(target)), Short(Some(from)));
        facts.violation(format!("request {number} to {target} was answered by {from}"));
    }
}

#[expect(clippy::too_many_arguments, reason = "all that is known about one call")]
fn failed(
    facts: &Facts,
    caller: Option<Pid>,
    ticket: &Ticket,
    expected: Expected,
    patience: Patience,
    took: Duration,
    error: &CallError,
    waiting: &Waiting,
) {
    facts.one(&facts.counts.failed);
    facts.note("failed", caller, expected.target, ticket.number());
    let number = ticket.number();
    let untrue = |why: &str| facts.violation(format!("request {number}: {error}: {why}"));
    let handled = ticket.times();
    if handled > 1 {
        untrue("it was handled more than once");
    }
    if let (Some(target), Some(pid)) = (expected.target, error.pid())
        && target != pid
    {
        untrue("the error names another process");
    }
    match error.kind() {
        CallErrorKind::NoProc => {
            if handled > 0 {
                untrue("it was handled");
            }
            if expected.target.is_some_and(|target| !facts.is_ending(target)) {
                untrue("the process lives");
            }
        },
        CallErrorKind::Timeout => {
            facts.one(&facts.counts.timeouts);
            match patience {
                Patience::Short(ms) if took < millis(ms) => untrue("the deadline has not passed"),
                Patience::Short(_) => {},
                Patience::Long => facts.doubt(|| format!("request {number}: {error}: something is stuck")),
                Patience::Infinite => untrue("there was no deadline"),
            }
        },
        CallErrorKind::Exit(reason) => match error.pid() {
            // A kill is decided before the process is reached by it, and nothing else can become of it any more.
            Some(pid) if *reason == ExitReason::Killed && facts.is_ending(pid) => {},
            Some(pid) => facts.check_reason(pid, reason, "a failed call"),
            None => untrue("no process is named"),
        },
        CallErrorKind::Deadlock(ring) => {
            facts.one(&facts.counts.deadlocks);
            if let Err(why) = check_ring(facts, ring, caller, waiting) {
                untrue(&why);
            }
        },
        CallErrorKind::CallingSelf if caller.is_some() && caller == expected.target => {},
        CallErrorKind::NoReply if expected.unanswered => {},
        CallErrorKind::MailboxFull if expected.full && handled == 0 => {},
        CallErrorKind::NoReply => facts.doubt(|| format!("request {number}: {error}: it must be answered")),
        _ => untrue("that cannot be"),
    }
}

/// Was there a moment when each of the ring waited for the next?
fn check_ring(facts: &Facts, ring: &[Pid], caller: Option<Pid>, mine: &Waiting) -> Result<(), String> {
    let Some(mine) = &mine.edge else { return Err("the caller is no process".to_owned()) };
    if ring.first().copied() != caller || ring.get(1) != Some(&mine.target) || ring.len() < 2 {
        return Err(format!("the ring does not begin with the call: {ring:?}"));
    }
    // The times in which a moment may lie, made smaller by each edge.
    let mut times = vec![(mine.begin, mine.over())];
    for (index, pid) in ring.iter().enumerate().skip(1) {
        let next = ring[(index + 1) % ring.len()];
        let edges = facts.shard(*pid).edges.get(pid).cloned().unwrap_or_default();
        let overlaps = |edge: &Arc<Edge>| {
            times
                .iter()
                .map(|(begin, end)| (edge.begin.max(*begin), edge.over().min(*end)))
                .filter(|(begin, end)| begin < end)
                .collect::<Vec<_>>()
        };
        times = edges.iter().filter(|edge| edge.target == next).flat_map(overlaps).collect();
        if times.is_empty() {
            return Err(format!("{} did not wait for {} then", Short(Some(*pid)), Short(Some(next))));
        }
    }
    Ok(())
}
