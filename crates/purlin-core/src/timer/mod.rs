//! The node's timers: one hierarchical wheel with a millisecond tick, driven by one tokio task.
//!
//! A timer never fires early; it fires at the first tick at or after its deadline. Timers that send a message belong to the process they
//! send to and go when it ends. `wheel` is the pure data structure; this file puts a mutex, the clock and the owners around it.

mod wheel;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::mailbox::envelope::Envelope;
use crate::node::NodeInner;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::small_map::{MixMap, SmallMap};
use crate::sync::Mutex;
use crate::timer::wheel::{TimerKey, Wheel};

/// Longest relative time that a timer takes: about 17,000 years would overflow nothing, but nobody means it.
pub(crate) const LONGEST: Duration = Duration::from_secs(1 << 39);

/// Names one timer of its node; from [`send_after`](crate::Cx::send_after) and its relatives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimerRef(TimerKey);

/// What a timer does when it fires.
pub(crate) enum Action {
    /// Sends a message that was packed when the timer was set.
    Send { to: Pid, envelope: Envelope },
    /// Sends a message to whoever has the name then.
    SendNamed { to: Arc<str>, envelope: Envelope },
    /// Sends a message made anew each time, and goes on.
    Repeat(Repeat),
    /// Wakes a task.
    Wake(Waker),
}

/// An interval. Each firing is a timer of the wheel; the interval is known by the key of the first one.
pub(crate) struct Repeat {
    to: Pid,
    /// The tick that it fires for, and the ticks from one to the next.
    tick: u64,
    every: u64,
    make: Arc<dyn Fn() -> Envelope + Send + Sync>,
}

struct State {
    wheel: Wheel<Action>,
    /// The intervals that are on: the key of the first timer, and that of the present one.
    intervals: MixMap<TimerKey, TimerKey>,
    /// The same the other way round.
    first: MixMap<TimerKey, TimerKey>,
    /// The timers that send to a process, so that they go when it ends.
    owned: MixMap<Pid, SmallMap<TimerKey, ()>>,
    driver: Option<Waker>,
    /// The tick that the driver sleeps until; `u64::MAX` when it sleeps for good.
    armed: u64,
}

pub(crate) struct Timers {
    state: Mutex<State>,
}

fn ticks_up(at: Duration) -> u64 {
    u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX / 2)
}

impl State {
    /// Sets a timer; returns the driver to wake if it sleeps for too long.
    fn insert(&mut self, tick: u64, action: Action) -> (TimerKey, Option<Waker>) {
        let owner = owner(&action);
        let key = self.wheel.insert(tick, action);
        if let Some(owner) = owner {
            self.owned.entry(owner).or_default().insert(key, ());
        }
        let wake = if tick < self.armed {
            self.armed = tick;
            self.driver.take()
        } else {
            None
        };
        (key, wake)
    }

    /// Takes a timer out of the wheel, and its owner's list.
    fn cancel(&mut self, key: TimerKey) -> Option<(u64, Action)> {
        let (tick, action) = self.wheel.cancel(key)?;
        if let Some(owner) = owner(&action) {
            forget(&mut self.owned, owner, key);
        }
        Some((tick, action))
    }

    /// Ends an interval by the key of its present timer.
    fn end_interval(&mut self, present: TimerKey) {
        if let Some(first) = self.first.remove(&present) {
            self.intervals.remove(&first);
        }
    }
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers {
            state: Mutex::new(State {
                wheel: Wheel::new(0),
                intervals: MixMap::default(),
                first: MixMap::default(),
                owned: MixMap::default(),
                driver: None,
                armed: u64::MAX,
            }),
        }
    }

    /// Sets a timer for `at` after the node's start.
    pub(crate) fn insert(&self, at: Duration, action: Action) -> TimerRef {
        let (key, wake) = self.state.lock().insert(ticks_up(at), action);
        if let Some(waker) = wake {
            waker.wake();
        }
        TimerRef(key)
    }

    /// Sets a timer whose message tells its reference. `make` runs under a lock: it must only pack.
    pub(crate) fn insert_with(&self, at: Duration, make: impl FnOnce(TimerRef) -> Action) -> TimerRef {
        let tick = ticks_up(at);
        let (key, wake) = {
            let mut state = self.state.lock();
            let (key, wake) = state.insert(tick, Action::Wake(Waker::noop().clone()));
            let action = make(TimerRef(key));
            if let Some(owner) = owner(&action) {
                state.owned.entry(owner).or_default().insert(key, ());
            }
            state.wheel.set(key, action);
            (key, wake)
        };
        if let Some(waker) = wake {
            waker.wake();
        }
        TimerRef(key)
    }

    /// Sends `make()` to `to` every `every` milliseconds, first one period after `now`. The reference stays good for as long as it goes on.
    pub(crate) fn repeat(
        &self,
        to: Pid,
        now: Duration,
        every: u64,
        make: Arc<dyn Fn() -> Envelope + Send + Sync>,
    ) -> TimerRef {
        let tick = ticks_up(now).saturating_add(every);
        let (key, wake) = {
            let mut state = self.state.lock();
            let (key, wake) = state.insert(tick, Action::Repeat(Repeat { to, tick, every, make }));
            state.intervals.insert(key, key);
            state.first.insert(key, key);
            (key, wake)
        };
        if let Some(waker) = wake {
            waker.wake();
        }
        TimerRef(key)
    }

    /// Takes a timer off; its deadline as time after the node's start, or `None` if it fired, was cancelled, or never was.
    pub(crate) fn cancel(&self, timer: TimerRef) -> Option<Duration> {
        let cancelled = {
            let mut state = self.state.lock();
            let present = state.intervals.get(&timer.0).copied().unwrap_or(timer.0);
            state.end_interval(present);
            state.cancel(present)
        };
        let (tick, action) = cancelled?;
        // The message's own Drop runs here, outside the lock.
        drop(action);
        Some(Duration::from_millis(tick))
    }

    /// A timer's deadline (an interval's next one) as time after the node's start.
    pub(crate) fn read(&self, timer: TimerRef) -> Option<Duration> {
        let state = self.state.lock();
        let present = state.intervals.get(&timer.0).copied().unwrap_or(timer.0);
        state.wheel.get(present).map(Duration::from_millis)
    }

    /// Takes off every timer that sends to `owner`.
    pub(crate) fn cancel_all(&self, owner: Pid) {
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        if let Some(keys) = state.owned.remove(&owner) {
            for key in keys.keys() {
                state.end_interval(key);
                dropped.extend(state.wheel.cancel(key));
            }
        }
        drop(state);
        for (_, action) in dropped {
            panic::drop_quietly("a timer's message", action);
        }
    }

    /// The clock has jumped: the driver is to look at it.
    pub(crate) fn look_again(&self) {
        let driver = {
            let mut state = self.state.lock();
            state.armed = 0;
            state.driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// How many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().wheel.len()
    }

    fn fire(&self, node: &NodeInner, now: u64, cx: &mut Context<'_>) -> Option<u64> {
        let mut due = Vec::new();
        let together;
        let next = {
            let mut state = self.state.lock();
            let state = &mut *state;
            // Nothing was due before this tick, so what is due now has one deadline.
            together = node.rt.simulated && state.armed == now;
            state.wheel.advance(now, &mut due);
            for (key, action) in &due {
                if let Some(owner) = owner(action) {
                    forget(&mut state.owned, owner, *key);
                }
            }
            let next = match state.wheel.next_deadline() {
                // The driver was woken for a timer that is off by now. It sleeps until then all the same: the next timers, most of them
                // deadlines of calls that will be answered long before, then need not wake it again.
                next if state.armed != u64::MAX && state.armed > now => {
                    Some(next.map_or(state.armed, |n| n.min(state.armed)))
                },
                next => next,
            };
            state.armed = next.unwrap_or(u64::MAX);
            if state.wheel.is_empty() {
                state.wheel.shrink();
            }
            if !state.driver.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                state.driver = Some(cx.waker().clone());
            }
            next
        };
        let any = !due.is_empty();
        if together {
            crate::rt::sim::shuffle(node, &mut due);
        }
        for (key, action) in due {
            // Messages are cloned and dropped here, and wakers may be anybody's: none of them may stop the node's clockwork.
            if let Err(reason) = panic::catch(|| self.act(node, key, action)) {
                tracing::error!(%reason, "a timer's message panicked when it was made or dropped");
            }
        }
        if any { Some(next.map_or(now, |n| n.min(now))) } else { next }
    }

    fn act(&self, node: &NodeInner, key: TimerKey, action: Action) {
        match action {
            Action::Send { to, envelope } => node.deliver(to, envelope),
            Action::SendNamed { to, envelope } => match node.names.get(&to) {
                Some(proc) => node.deliver_to(&proc, envelope),
                None => drop(envelope),
            },
            Action::Repeat(repeat) => {
                let Repeat { to, make, .. } = &repeat;
                let (to, make) = (*to, make.clone());
                // The next one is set first: it may be cancelled from the moment the message is there.
                if self.go_on(node, key, repeat) {
                    node.deliver(to, make());
                }
            },
            Action::Wake(waker) => waker.wake(),
        }
    }

    /// Sets the next timer of an interval, unless that was cancelled meanwhile or its process has ended.
    fn go_on(&self, node: &NodeInner, key: TimerKey, repeat: Repeat) -> bool {
        let alive = node.lookup(repeat.to).is_some();
        let mut state = self.state.lock();
        let Some(first) = state.first.remove(&key) else { return false };
        if !alive {
            state.intervals.remove(&first);
            return false;
        }
        // From the tick it fired for, so that an interval does not drift.
        let tick = repeat.tick.saturating_add(repeat.every);
        let (present, _) = state.insert(tick, Action::Repeat(Repeat { tick, ..repeat }));
        state.intervals.insert(first, present);
        state.first.insert(present, first);
        true
    }
}

fn owner(action: &Action) -> Option<Pid> {
    match action {
        Action::Send { to, .. } => Some(*to),
        Action::Repeat(repeat) => Some(repeat.to),
        Action::SendNamed { .. } | Action::Wake(_) => None,
    }
}

fn forget(owned: &mut MixMap<Pid, SmallMap<TimerKey, ()>>, owner: Pid, key: TimerKey) {
    if let Some(keys) = owned.get_mut(&owner) {
        keys.remove(&key);
        if keys.len() == 0 {
            owned.remove(&owner);
        }
    }
}

/// The tokio task that fires a node's timers.
pub(crate) struct Driver {
    node: Arc<NodeInner>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Driver {
    pub(crate) fn new(node: Arc<NodeInner>) -> Driver {
        Driver { node, sleep: None }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if this.node.is_down() {
                return Poll::Ready(());
            }
            let rt = &this.node.rt;
            // Rounded down: a timer whose tick has not fully passed does not fire.
            let now = u64::try_from(rt.now().as_millis()).unwrap_or(u64::MAX / 2);
            let Some(next) = rt.timers.fire(&this.node, now, cx) else {
                this.sleep = None;
                return Poll::Pending;
            };
            if next <= now {
                continue;
            }
            let until = rt.clock.instant(Duration::from_millis(next));
            match &mut this.sleep {
                Some(sleep) => sleep.as_mut().reset(until),
                None => this.sleep = Some(Box::pin(tokio::time::sleep_until(until))),
            }
            match this.sleep.as_mut().map(|s| s.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => {},
                _ => return Poll::Pending,
            }
        }
    }
}

/// Wakes its task at a time of the node's clock; takes its timer off when dropped. Whether the time has come is told by the timer, not by
/// the clock: a wait that ends before its deadline costs setting a timer and taking it off.
pub(crate) struct Alarm {
    node: crate::node::Node,
    at: Duration,
    timer: Option<(TimerRef, Waker)>,
}

impl Alarm {
    pub(crate) fn at(node: crate::node::Node, at: Duration) -> Alarm {
        Alarm { node, at, timer: None }
    }

    /// Ready once the time has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timers = &self.node.rt().timers;
        if let Some((timer, waker)) = &self.timer {
            if timers.read(*timer).is_none() {
                return Poll::Ready(());
            }
            if waker.will_wake(cx.waker()) {
                return Poll::Pending;
            }
            if timers.cancel(*timer).is_none() {
                return Poll::Ready(());
            }
        }
        let waker = cx.waker().clone();
        self.timer = Some((timers.insert(self.at, Action::Wake(waker.clone())), waker));
        Poll::Pending
    }

    fn clear(&mut self) {
        if let Some((timer, _)) = self.timer.take() {
            self.node.rt().timers.cancel(timer);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}
