//! The algorithm against a second one that is as simple as can be: lists, and a look at everything each time.

use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A timeout of the simple machine: `None` for one that is due.
type Set1 = (Kind, Option<Duration>, u32);

#[derive(Default)]
struct Simple {
    queue: Vec<u32>,
    postponed: Vec<u32>,
    /// In the order in which they were set.
    timeouts: Vec<Set1>,
}

impl Simple {
    fn transition(&mut self, outcome: &Script, event: u32, now: Duration) {
        if outcome.postpone {
            self.postponed.push(event);
        }
        if outcome.state_changed {
            let rest = std::mem::take(&mut self.queue);
            self.queue = std::mem::take(&mut self.postponed);
            self.queue.extend(rest);
        }
        let mut queue = outcome.next_events.clone();
        queue.append(&mut self.queue);
        self.queue = queue;
        self.timeouts.retain(|(kind, ..)| match kind {
            Kind::Event => false,
            Kind::State => !outcome.state_changed,
            Kind::Generic(_) => true,
        });
        for (kind, set) in outcome.timeouts.iter().cloned() {
            let old = self.timeouts.iter().position(|(other, ..)| *other == kind);
            let (due, event) = match set {
                Set::Update(event) if let Some(old) = old => {
                    self.timeouts[old].2 = event;
                    continue;
                },
                Set::Cancel => (None, None),
                Set::Update(event) => (None, Some(event)),
                Set::After(Duration::ZERO, event) => (None, Some(event)),
                Set::After(delay, event) => (Some(now + delay), Some(event)),
                Set::At(at, event) => (Some(at), Some(event)),
            };
            if let Some(old) = old {
                self.timeouts.remove(old);
            }
            self.timeouts.extend(event.map(|event| (kind, due, event)));
        }
    }

    fn next(&mut self) -> Option<u32> {
        if !self.queue.is_empty() {
            return Some(self.queue.remove(0));
        }
        let at = self.timeouts.iter().position(|(_, due, _)| due.is_none())?;
        Some(self.timeouts.remove(at).2)
    }
}

/// What a handler will answer.
struct Script {
    state_changed: bool,
    postpone: bool,
    next_events: Vec<u32>,
    timeouts: Vec<(Kind, Set<u32>)>,
}

fn script(random: &mut Random, names: &mut u32, now: Duration) -> Script {
    let fresh = |names: &mut u32| {
        *names += 1;
        *names
    };
    let state_changed = random.below(4) == 0;
    let next_events = (0..random.below(5).saturating_sub(3)).map(|_| fresh(names)).collect();
    let timeouts = (0..random.below(4))
        .map(|_| {
            let kind = match random.below(5) {
                0 | 1 => Kind::State,
                2 => Kind::Event,
                n => Kind::Generic(["x", "y", "z"][(n + random.below(2)) as usize - 3].into()),
            };
            let event = fresh(names);
            let set = match random.below(9) {
                0 => Set::Cancel,
                1 => Set::Update(event),
                2 => Set::After(Duration::ZERO, event),
                3 => Set::At(now + Duration::from_millis(random.below(50)), event),
                _ => Set::After(Duration::from_millis(1 + random.below(30)), event),
            };
            (kind, set)
        })
        .collect();
    Script { state_changed, postpone: random.below(3) == 0, next_events, timeouts }
}

/// The two machines side by side, and the node's timers.
struct Pair {
    policy: Policy<u32>,
    simple: Simple,
    steps: Vec<Step>,
    alarms: Vec<(Duration, u64)>,
    random: Random,
    names: u32,
    now: Duration,
    handled: usize,
}

impl Pair {
    fn handle(&mut self, event: u32) {
        let script = script(&mut self.random, &mut self.names, self.now);
        self.simple.transition(&script, event, self.now);
        let Script { state_changed, postpone, next_events, timeouts } = script;
        let mut changes = Actions::new();
        timeouts.into_iter().for_each(|(kind, set)| changes.set(kind, set));
        let postpone = postpone.then_some(event);
        let outcome = Outcome { state_changed, postpone, next_events };
        self.policy.transition(outcome, &mut self.steps);
        self.policy.set(changes, self.now, &mut self.steps);
        self.take_steps();
        self.handled += 1;
        self.agree();
    }

    fn drain(&mut self) {
        // A machine that inserts events for ever would never be done.
        for _ in 0..100 {
            let idle = self.policy.is_idle();
            let next = self.policy.next(&mut self.steps);
            self.take_steps();
            assert_eq!(next, self.simple.next());
            assert_eq!(next.is_none(), idle);
            match next {
                Some(event) => self.handle(event),
                None => return,
            }
        }
    }

    fn take_steps(&mut self) {
        for step in self.steps.drain(..) {
            match step {
                Step::Arm { alarm, at } => self.alarms.push((at, alarm)),
                Step::Disarm { alarm } => self.alarms.retain(|(_, other)| *other != alarm),
            }
        }
    }

    /// Lets time pass until an alarm rings.
    fn ring(&mut self) {
        let Some(first) = self.alarms.iter().min().copied() else { return };
        self.alarms.retain(|alarm| *alarm != first);
        self.now = self.now.max(first.0);
        let event = self.policy.rang(first.1, &mut self.steps);
        self.take_steps();
        if let Some(event) = event {
            let at =
                self.simple.timeouts.iter().position(|(_, due, e)| *e == event && *due <= Some(self.now));
            let (_, due, _) = self.simple.timeouts.remove(at.expect("a timeout that is due"));
            assert!(due.is_some(), "one of zero time needs no alarm");
            self.handle(event);
            self.drain();
        }
        self.agree();
    }

    fn agree(&self) {
        assert!(self.policy.queue().eq(&self.simple.queue));
        assert!(self.policy.postponed().eq(&self.simple.postponed));
        let name = |kind: &Kind| match kind {
            Kind::State => "state".to_owned(),
            Kind::Event => "event".to_owned(),
            Kind::Generic(name) => name.to_string(),
        };
        let mut one: Vec<_> =
            self.policy.timeouts().list().map(|(n, at, e)| (n.to_owned(), at, *e)).collect();
        let mut two: Vec<_> = self.simple.timeouts.iter().map(|(k, at, e)| (name(k), *at, *e)).collect();
        one.sort();
        two.sort();
        assert_eq!(one, two);
        // Nothing is late, and nobody is woken for nothing but by the alarms of the two timeouts that keep them.
        for due in self.simple.timeouts.iter().filter_map(|(_, due, _)| *due) {
            assert!(self.alarms.iter().any(|(at, _)| *at <= due.max(self.now)));
        }
        assert!(self.alarms.len() <= self.simple.timeouts.len() + 2);
    }
}

#[test]
fn it_does_what_the_simple_machine_does() {
    let mut handled = 0;
    for seed in 0..3000 {
        let mut pair = Pair {
            policy: Policy::new(),
            simple: Simple::default(),
            steps: Vec::new(),
            alarms: Vec::new(),
            random: Random(seed),
            names: 0,
            now: Duration::from_secs(1),
            handled: 0,
        };
        for _ in 0..30 {
            if pair.random.below(3) == 0 {
                pair.ring();
            } else if pair.policy.is_idle() {
                pair.names += 1;
                pair.handle(pair.names);
                pair.drain();
            } else {
                pair.drain();
            }
        }
        handled += pair.handled;
    }
    assert!(handled > 100_000, "{handled}");
}

fn changes(sets: Vec<(Kind, Set<u32>)>) -> Actions<u32> {
    let mut changes = Actions::new();
    sets.into_iter().for_each(|(kind, set)| changes.set(kind, set));
    changes
}

#[test]
fn a_state_timeout_that_is_set_anew_again_and_again_costs_one_alarm() {
    let (mut policy, mut steps) = (Policy::new(), Vec::new());
    let second = Duration::from_secs(1);
    for n in 0..1000 {
        let outcome = Outcome { state_changed: n % 2 == 0, postpone: None, next_events: Vec::new() };
        policy.transition(outcome, &mut steps);
        let anew = changes(vec![(Kind::State, Set::After(second, n as u32))]);
        policy.set(anew, Duration::from_micros(n), &mut steps);
    }
    assert_eq!(steps, [Step::Arm { alarm: 1, at: second }]);
    steps.clear();
    // It rings too early, for the first of them, and once more for the last.
    assert_eq!(policy.rang(1, &mut steps), None);
    assert_eq!(steps, [Step::Arm { alarm: 2, at: second + Duration::from_micros(999) }]);
    assert_eq!(policy.rang(1, &mut steps), None);
    assert_eq!(policy.rang(2, &mut steps), Some(999));
    assert_eq!(steps.len(), 1);
}

#[test]
fn a_time_is_asked_for_only_where_it_counts() {
    let at = (Kind::State, Set::At(Duration::from_secs(1), 1));
    let after = (Kind::Event, Set::After(Duration::from_secs(1), 1));
    assert!(!changes(vec![]).need_clock());
    assert!(!changes(vec![at.clone(), (Kind::State, Set::Cancel)]).need_clock());
    assert!(changes(vec![at, after]).need_clock());
}

#[test]
fn a_generic_timeout_that_is_off_leaves_nothing_behind() {
    let (mut policy, mut steps) = (Policy::new(), Vec::new());
    let set = |set| changes(vec![(Kind::Generic("g".into()), set)]);
    let second = Duration::from_secs(1);
    policy.set(set(Set::After(second, 1)), Duration::ZERO, &mut steps);
    policy.set(set(Set::Cancel), Duration::ZERO, &mut steps);
    assert_eq!(steps, [Step::Arm { alarm: 1, at: second }, Step::Disarm { alarm: 1 }]);
    // It had rung already, and waits in the mailbox.
    assert_eq!(policy.rang(1, &mut steps), None);
    assert_eq!(policy.timeouts().list().count(), 0);
    assert!(format!("{policy:?}").contains("generic: {}, alarms: {}"));
}
