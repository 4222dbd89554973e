//! A machine's timeouts, as a pure function of what is asked for and of time.
//!
//! ```text
//!             set, update                 zero time: in line behind the queue, before the mailbox
//!  not set ──────────────► set ──────────────────────────────────────────────────────────────────► its event
//!     ▲                     │ ▲ otherwise: when the alarm rings and the deadline is reached ───────►
//!     └──────cancel─────────┘ └─ set anew
//! ```
//! A timeout is a deadline and an event. What wakes the process is an *alarm*, a timer of the node, which this file only asks for, by [`Step`]s. The two are
//! apart because machines set the same timeout again and again, and take it off again, long before it runs out: a deadline that moves away leaves its alarm
//! where it is. When that rings too early, it is set again, for the rest of the time. So a state timeout that each event sets anew costs an alarm once per
//! length of the timeout, and not twice per event.
//!
//! Invariants: an alarm rings once. While a timeout is set for a time, it has an alarm, and that rings at or before the deadline. An alarm that was
//! taken back, or rings for a timeout that is off, does nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::timer::LONGEST;

/// The name of a generic timeout.
pub type TimeoutName = Cow<'static, str>;

/// Which timeout is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    State,
    Event,
    Generic(TimeoutName),
}

/// What is to become of a timeout.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Set<E> {
    /// Starts it, or starts it anew, from now on.
    After(Duration, E),
    /// The same for a time of the node's clock.
    At(Duration, E),
    /// Changes the event. One that is not set comes at once.
    Update(E),
    Cancel,
}

/// What the node's timers are to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Ring alarm `alarm` at this time of the node's clock.
    Arm { alarm: u64, at: Duration },
    /// Take it back.
    Disarm { alarm: u64 },
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Due {
    /// It stands in [`Timeouts::zero`].
    Now,
    At(Duration),
}

#[derive(Debug)]
struct Timeout<E> {
    set: Option<(Due, E)>,
    /// The alarm that is set for it, and for when.
    alarm: Option<(u64, Duration)>,
}

impl<E> Default for Timeout<E> {
    fn default() -> Self {
        Timeout { set: None, alarm: None }
    }
}

impl<E> Timeout<E> {
    /// Does it need no alarm, or none but the one that it has?
    fn rings_in_time(&self) -> bool {
        match (&self.set, self.alarm) {
            (Some((Due::At(at), _)), Some((_, rings))) => rings <= *at,
            (Some((Due::At(_), _)), None) => false,
            _ => true,
        }
    }
}

/// All timeouts of a machine.
#[derive(Debug)]
pub(super) struct Timeouts<E> {
    state: Timeout<E>,
    event: Timeout<E>,
    /// Only those that are set.
    generic: BTreeMap<TimeoutName, Timeout<E>>,
    /// The alarms of generic timeouts.
    alarms: BTreeMap<u64, TimeoutName>,
    /// Those that are due without waiting, in the order in which they were set.
    zero: VecDeque<Kind>,
    last_alarm: u64,
}

impl<E> Timeouts<E> {
    pub(super) fn new() -> Timeouts<E> {
        Timeouts {
            state: Timeout::default(),
            event: Timeout::default(),
            generic: BTreeMap::new(),
            alarms: BTreeMap::new(),
            zero: VecDeque::new(),
            last_alarm: 0,
        }
    }

    /// Does what was asked for.
    pub(super) fn apply(&mut self, kind: Kind, set: Set<E>, now: Duration, steps: &mut Vec<Step>) {
        let (due, event) = match set {
            Set::Cancel | Set::After(Duration::MAX, _) => return self.cancel(&kind, steps),
            Set::Update(event) => match self.slot(&kind).and_then(|timeout| timeout.set.as_mut()) {
                Some((_, old)) => {
                    *old = event;
                    return;
                },
                None => (Due::Now, event),
            },
            Set::After(Duration::ZERO, event) => (Due::Now, event),
            Set::After(delay, event) => (Due::At(now + delay.min(LONGEST)), event),
            Set::At(at, event) => (Due::At(at.min(LONGEST)), event),
        };
        self.leave_zero(&kind);
        if due == Due::Now {
            self.zero.push_back(kind.clone());
        }
        let timeout = match &kind {
            Kind::State => &mut self.state,
            Kind::Event => &mut self.event,
            Kind::Generic(name) => self.generic.entry(name.clone()).or_default(),
        };
        timeout.set = Some((due, event));
        if !timeout.rings_in_time() {
            self.arm(&kind, steps);
        }
    }

    /// Takes a timeout off. The alarm of the state's and the event's stays: most often such a timeout is soon set again.
    pub(super) fn cancel(&mut self, kind: &Kind, steps: &mut Vec<Step>) {
        self.leave_zero(kind);
        match kind {
            Kind::State => self.state.set = None,
            Kind::Event => self.event.set = None,
            Kind::Generic(name) => {
                if let Some((alarm, _)) = self.generic.remove(name).and_then(|timeout| timeout.alarm) {
                    self.alarms.remove(&alarm);
                    steps.push(Step::Disarm { alarm });
                }
            },
        }
    }

    /// Is a timeout of an event on? The next event takes it off.
    pub(super) fn has_event_timeout(&self) -> bool {
        self.event.set.is_some()
    }

    /// Is the state's timeout on?
    pub(super) fn has_state_timeout(&self) -> bool {
        self.state.set.is_some()
    }

    /// Is a timeout due without waiting?
    pub(super) fn has_zero(&self) -> bool {
        !self.zero.is_empty()
    }

    /// The event of the first timeout that is due without waiting.
    pub(super) fn next_zero(&mut self, steps: &mut Vec<Step>) -> Option<E> {
        let kind = self.zero.front()?.clone();
        let event = self.slot(&kind).and_then(|timeout| timeout.set.take()).map(|(_, event)| event);
        self.cancel(&kind, steps);
        event
    }

    /// An alarm rang: the event of its timeout, if that is due.
    pub(super) fn rang(&mut self, alarm: u64, steps: &mut Vec<Step>) -> Option<E> {
        let is = |timeout: &Timeout<E>| timeout.alarm.is_some_and(|(own, _)| own == alarm);
        let kind = match self.alarms.remove(&alarm) {
            Some(name) => Kind::Generic(name),
            None if is(&self.state) => Kind::State,
            None if is(&self.event) => Kind::Event,
            None => return None,
        };
        let timeout = self.slot(&kind)?;
        let (_, rang_at) = timeout.alarm.take()?;
        match timeout.set {
            Some((Due::At(at), _)) if at <= rang_at => {
                let event = timeout.set.take().map(|(_, event)| event);
                self.cancel(&kind, steps);
                event
            },
            _ => {
                self.arm(&kind, steps);
                None
            },
        }
    }

    /// Every timeout that is set: its name as text, its deadline (`None`: due), and its event.
    pub(super) fn list(&self) -> impl Iterator<Item = (&str, Option<Duration>, &E)> {
        let own = [("state", &self.state), ("event", &self.event)].into_iter();
        let generic = self.generic.iter().map(|(name, timeout)| (name.as_ref(), timeout));
        own.chain(generic).filter_map(|(name, timeout)| {
            let (due, event) = timeout.set.as_ref()?;
            let at = match due {
                Due::Now => None,
                Due::At(at) => Some(*at),
            };
            Some((name, at, event))
        })
    }

    fn slot(&mut self, kind: &Kind) -> Option<&mut Timeout<E>> {
        match kind {
            Kind::State => Some(&mut self.state),
            Kind::Event => Some(&mut self.event),
            Kind::Generic(name) => self.generic.get_mut(name),
        }
    }

    #[inline]
    fn leave_zero(&mut self, kind: &Kind) {
        if !self.zero.is_empty() {
            self.zero.retain(|other| other != kind);
        }
    }

    /// Sees to it that a timeout that is set for a time has an alarm that rings in time.
    #[cold]
    fn arm(&mut self, kind: &Kind, steps: &mut Vec<Step>) {
        let Some(timeout) = self.slot(kind).filter(|timeout| !timeout.rings_in_time()) else { return };
        let Some((Due::At(at), _)) = timeout.set else { return };
        if let Some((alarm, _)) = timeout.alarm.take() {
            steps.push(Step::Disarm { alarm });
            self.alarms.remove(&alarm);
        }
        self.last_alarm += 1;
        let alarm = self.last_alarm;
        if let Some(timeout) = self.slot(kind) {
            timeout.alarm = Some((alarm, at));
        }
        if let Kind::Generic(name) = kind {
            self.alarms.insert(alarm, name.clone());
        }
        steps.push(Step::Arm { alarm, at });
    }
}
