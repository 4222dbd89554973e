//! What is watched of one incarnation, and values that are counted.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use purlin_core::{ExitReason, Overflow, Pid, process};

use super::facts::{Facts, now};
use super::journal::Short;

/// One incarnation of a server or process of the world.
pub(super) struct Life {
    pub(super) pid: Pid,
    /// It is a server, which takes words.
    pub(super) server: bool,
    /// What happens when its mailbox is full, if it is bounded.
    pub(super) bound: Option<Overflow>,
    /// 0: it has no state yet; 1: it has; 2: the state is dropped.
    state: AtomicU32,
    /// `sys` has suspended it, and nobody has asked to resume it.
    pub(super) suspended: AtomicBool,
    /// Somebody is at suspending it: one at a time.
    pub(super) held: AtomicBool,
    /// `terminate` has begun, with this reason.
    terminated: Mutex<Option<ExitReason>>,
    /// How many notes it has sent to whom.
    sent: Mutex<BTreeMap<Pid, u64>>,
    /// Who is inside: see [`Gate`].
    inside: AtomicU32,
}

fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Life {
    pub(super) fn new(facts: &Facts, pid: Pid, server: bool, bound: Option<Overflow>) -> Arc<Life> {
        let life = Arc::new(Life {
            pid,
            server,
            bound,
            state: AtomicU32::new(0),
            suspended: AtomicBool::new(false),
            held: AtomicBool::new(false),
            terminated: Mutex::default(),
            sent: Mutex::default(),
            inside: AtomicU32::new(0),
        });
        facts.born(pid, &life);
        life
    }

    pub(super) fn has_state(&self) -> bool {
        self.state.load(Ordering::SeqCst) == 1
    }

    /// Counts a note to `to` that is about to be sent; its number.
    pub(super) fn next_note(&self, to: Pid) -> u64 {
        let mut sent = open(&self.sent);
        let count = sent.entry(to).or_default();
        *count += 1;
        *count
    }

    /// How many notes it has sent to `to`.
    pub(super) fn notes_to(&self, to: Pid) -> u64 {
        open(&self.sent).get(&to).copied().unwrap_or_default()
    }

    /// The end is decided: the reason that `terminate` was given, unless a signal or a crash came meanwhile; those never end anybody normally.
    pub(super) fn ended(&self, facts: &Facts, reason: &ExitReason) {
        if let Some(told) = &*open(&self.terminated)
            && told != reason
            && reason.is_normal()
        {
            facts.violation(format!("{self} ended with {reason:?}, but terminate was given {told:?}"));
        }
    }

    /// A handler begins: may it?
    pub(super) fn enter(self: &Arc<Life>, facts: &Arc<Facts>, what: &'static str) -> Gate {
        if self.suspended.load(Ordering::SeqCst) {
            facts.violation(format!("{self} is suspended and handles a {what}"));
        }
        if open(&self.terminated).is_some() {
            facts.violation(format!("{self} handles a {what} after terminate"));
        }
        self.enter_alone(facts, what)
    }

    /// `terminate` begins, perhaps while it is suspended.
    pub(super) fn enter_terminate(self: &Arc<Life>, facts: &Arc<Facts>, reason: &ExitReason) -> Gate {
        if let Some(before) = open(&self.terminated).replace(reason.clone()) {
            facts.violation(format!("{self} terminates twice: {before}, {reason}"));
        }
        self.enter_alone(facts, "terminate")
    }

    fn enter_alone(self: &Arc<Life>, facts: &Arc<Facts>, what: &'static str) -> Gate {
        if self.inside.swap(ALONE, Ordering::SeqCst) != 0 {
            facts.violation(format!("{self}: a {what} is handled beside something else"));
        }
        Gate { life: self.clone(), alone: true }
    }

    /// A read begins: may it?
    pub(super) fn enter_read(self: &Arc<Life>, facts: &Arc<Facts>) -> Gate {
        if self.suspended.load(Ordering::SeqCst) {
            facts.violation(format!("{self} is suspended and is read"));
        }
        if open(&self.terminated).is_some() {
            facts.violation(format!("{self} is read after terminate"));
        }
        if self.inside.fetch_add(1, Ordering::SeqCst) >= ALONE {
            facts.violation(format!("{self} is read while a handler runs"));
        }
        Gate { life: self.clone(), alone: false }
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Short(Some(self.pid)).fmt(f)
    }
}

/// Set while a handler runs, which nothing may run beside; below it, readers are counted.
const ALONE: u32 = 1 << 16;

/// Somebody is inside a server, until this is dropped.
pub(super) struct Gate {
    life: Arc<Life>,
    alone: bool,
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.alone {
            self.life.inside.store(0, Ordering::SeqCst);
        } else {
            self.life.inside.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The part of a state that tells when the state is dropped.
pub(super) struct Presence {
    facts: Arc<Facts>,
    life: Arc<Life>,
    /// The process cannot drop its state before its end is decided: a server's is the kernel's to drop.
    server: bool,
    /// Somebody who waits for the end of the process.
    listener: Option<Listener>,
}

type Listener = Mutex<Pin<Box<dyn Future<Output = ExitReason> + Send>>>;

impl Presence {
    pub(super) fn new(facts: &Arc<Facts>, life: &Arc<Life>, server: bool) -> Presence {
        life.state.store(1, Ordering::SeqCst);
        Presence { facts: facts.clone(), life: life.clone(), server, listener: None }
    }

    /// Listens for the process's own end: nobody may be told of that as long as the state is there.
    pub(super) fn listening(mut self) -> Presence {
        let listener = Mutex::new(Box::pin(process::wait(self.life.pid)) as Pin<Box<_>>);
        self.check_not_told(&listener);
        self.listener = Some(listener);
        self
    }

    fn check_not_told(&self, listener: &Listener) {
        if open(listener).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.facts.violation(format!("the end of {} was told before its state was dropped", self.life));
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            self.check_not_told(listener);
        }
        if self.life.state.swap(2, Ordering::SeqCst) != 1 {
            self.facts.violation(format!("the state of {} was dropped twice", self.life));
        }
        if self.server && self.facts.end_of(self.life.pid).is_none() {
            self.facts.violation(format!("the state of {} was dropped before its end", self.life));
        }
    }
}

/// A value that is counted, with memory of its own, so that valgrind sees a lost one and a second drop.
pub(super) struct Token {
    facts: Arc<Facts>,
    number: Box<u64>,
}

impl Token {
    pub(super) fn new(facts: &Arc<Facts>) -> Token {
        facts.tokens.fetch_add(1, Ordering::Relaxed);
        Token { facts: facts.clone(), number: Box::new(facts.number()) }
    }

    pub(super) fn number(&self) -> u64 {
        *self.number
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.facts.tokens.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A timer, as both sides see it.
pub(super) struct Alarm {
    pub(super) token: Token,
    /// The receiver.
    to: Pid,
    /// It must not fire before, on the node's clock.
    due: Duration,
    /// From one firing to the next.
    period: Duration,
    /// How often it fires at most, and after how often it is to be stopped.
    most: u64,
    enough: AtomicU64,
    fired: AtomicU64,
    cancelled: AtomicBool,
}

impl Alarm {
    /// A timer that is about to be set by a process.
    pub(super) fn new(
        facts: &Arc<Facts>,
        to: Pid,
        delay: Duration,
        period: Duration,
        most: u64,
    ) -> Arc<Alarm> {
        let (token, due) = (Token::new(facts), now() + delay);
        let (enough, fired, cancelled) = (AtomicU64::new(most), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Alarm { token, to, due, period, most, enough, fired, cancelled })
    }

    /// It is to be stopped after so many times.
    pub(super) fn stop_after(&self, times: u64) {
        self.enough.store(times, Ordering::SeqCst);
    }

    pub(super) fn is_enough(&self) -> bool {
        self.fired.load(Ordering::SeqCst) >= self.enough.load(Ordering::SeqCst)
    }

    /// It was taken off, and will not fire any more.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Its message is here.
    pub(super) fn fires(&self, facts: &Facts, me: Pid) {
        facts.one(&facts.counts.timers);
        let number = self.token.number();
        facts.note("timer", Some(me), None, number);
        let before = self.fired.fetch_add(1, Ordering::SeqCst);
        let (at, due) = (now(), self.due + self.period * u32::try_from(before).unwrap_or(u32::MAX));
        if self.to != me {
            facts.violation(format!(
                "timer {number} of {} fired in {}",
                Short(Some(self.to)),
                Short(Some(me))
            ));
        }
        if at < due {
            facts.violation(format!("timer {number} fired early: at {at:?} instead of {due:?}"));
        }
        if self.cancelled.load(Ordering::SeqCst) {
            facts.violation(format!("timer {number} fired although it was cancelled"));
        }
        if before >= self.most {
            facts.violation(format!("timer {number} fired more than {} times", self.most));
        }
    }
}
