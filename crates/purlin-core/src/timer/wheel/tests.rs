//! The timing wheel behaves like a sorted map of deadlines, under random operations and at its edges.

use std::collections::BTreeMap;

use super::*;

/// SplitMix64: a tiny seeded generator, so that a failing seed can be run again.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A delay below `2^limit` ticks, all magnitudes equally likely.
    fn delay(&mut self, limit: u64) -> u64 {
        let bits = self.below(limit + 1) as u32;
        self.next() & 1u64.checked_shl(bits).map_or(u64::MAX, |x| x - 1)
    }
}

/// The specification: timers sorted by deadline, then by insertion.
#[derive(Default)]
struct Model {
    now: u64,
    timers: BTreeMap<(u64, u64), TimerKey>,
}

impl Model {
    fn advance(&mut self, now: u64) -> Vec<u64> {
        self.now = self.now.max(now);
        let later = match self.now.checked_add(1) {
            Some(next) => self.timers.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.timers, later).into_keys().map(|(_, sequence)| sequence).collect()
    }
}

/// Everything the module documentation states about the structure.
fn check_invariants<T>(wheel: &Wheel<T>) {
    let mut linked = 0;
    for (list, ends) in wheel.lists.iter().enumerate() {
        let (mut index, mut prev) = (ends.head, NIL);
        while index != NIL {
            let entry = &wheel.entries[index as usize];
            assert!(entry.value.is_some());
            assert_eq!(usize::from(entry.list), list);
            assert_eq!(entry.prev, prev);
            assert_eq!(wheel.list_for(entry.deadline), list, "deadline {} at {}", entry.deadline, wheel.now);
            linked += 1;
            (prev, index) = (index, entry.next);
        }
        assert_eq!(ends.tail, prev);
        if list != DUE {
            assert_eq!(wheel.slots[list / SLOTS] >> (list % SLOTS) & 1 == 1, ends.head != NIL);
        }
    }
    for level in 0..LEVELS {
        assert_eq!(wheel.levels >> level & 1 == 1, wheel.slots[level] != 0);
    }
    assert_eq!(linked, wheel.len);
    let mut free = 0;
    let mut index = wheel.free;
    while index != NIL {
        assert!(wheel.entries[index as usize].value.is_none());
        free += 1;
        index = wheel.entries[index as usize].next;
    }
    let retired = wheel.entries.iter().filter(|e| e.value.is_none() && e.generation == u32::MAX).count();
    assert_eq!(linked + free + retired, wheel.entries.len());
}

/// Runs `operations` random operations on the wheel and on the model. `magnitude` bounds delays, `jump` bounds advances
/// (both as powers of two); the number of timers alive hovers around `population`.
fn run(seed: u64, operations: u32, magnitude: u64, jump: u64, population: usize) {
    let mut random = SplitMix(seed);
    let start = random.delay(40);
    let mut wheel = Wheel::new(start);
    let mut model = Model { now: start, ..Model::default() };
    let mut stale: Vec<TimerKey> = Vec::new();
    let mut out = Vec::new();
    for sequence in 0..u64::from(operations) {
        let choice = random.below(100);
        if choice < 50 && model.timers.len() < 2 * population {
            let deadline = match random.below(8) {
                0 => model.now.saturating_sub(random.delay(magnitude)),
                // An existing deadline again, for ties between timers that sit on different levels.
                1 | 2 if !model.timers.is_empty() => {
                    let nth = random.below(model.timers.len() as u64) as usize;
                    model.timers.keys().nth(nth).expect("below the length").0
                },
                _ => model.now.saturating_add(random.delay(magnitude)),
            };
            let key = wheel.insert(deadline, sequence);
            assert_eq!(wheel.get(key), Some(deadline));
            model.timers.insert((deadline, sequence), key);
        } else if choice < 75 && !model.timers.is_empty() {
            let nth = random.below(model.timers.len() as u64) as usize;
            let ((deadline, value), key) =
                model.timers.iter().nth(nth).map(|(k, v)| (*k, *v)).expect("below the length");
            model.timers.remove(&(deadline, value));
            assert_eq!(wheel.cancel(key), Some((deadline, value)), "seed {seed}");
            stale.push(key);
        } else if choice < 97 {
            let now = match (random.below(4), wheel.next_deadline()) {
                // As a driver does: sleep until the wheel says so.
                (0 | 1, Some(next)) => next,
                (2, _) => model.now.saturating_sub(random.delay(4)),
                _ => model.now.saturating_add(random.delay(jump)),
            };
            let fired: Vec<(u64, TimerKey)> =
                model.timers.range(..=(now.max(model.now), u64::MAX)).map(|(k, v)| (k.1, *v)).collect();
            stale.extend(fired.iter().map(|(_, key)| *key));
            out.clear();
            advance(&mut wheel, now, &mut out);
            assert_eq!(out, model.advance(now), "seed {seed}, operation {sequence}, advanced to {now}");
        } else if choice < 99 {
            wheel.shrink();
        } else {
            check_invariants(&wheel);
        }
        assert_eq!(wheel.len(), model.timers.len());
        assert_eq!(wheel.is_empty(), model.timers.is_empty());
        let truth = model.timers.keys().next().map(|key| key.0);
        let claim = wheel.next_deadline();
        assert_eq!(claim.is_some(), truth.is_some(), "seed {seed}");
        assert!(claim <= truth, "seed {seed}: claims {claim:?}, the next is {truth:?}");
        if sequence % 16 == 0 {
            for key in &stale {
                assert_eq!(wheel.get(*key), None, "seed {seed}");
                assert_eq!(wheel.cancel(*key), None, "seed {seed}");
            }
            let excess = stale.len().saturating_sub(64);
            stale.drain(..excess);
        }
    }
    check_invariants(&wheel);
    out.clear();
    advance(&mut wheel, u64::MAX, &mut out);
    assert_eq!(out, model.advance(u64::MAX), "seed {seed}, the rest");
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn behaves_like_a_sorted_map_with_near_deadlines_and_small_steps() {
    for seed in 0..40 {
        run(seed, 10_000, 12, 6, 100);
    }
}

#[test]
fn behaves_like_a_sorted_map_with_deadlines_of_days_and_big_steps() {
    for seed in 100..140 {
        run(seed, 10_000, 33, 30, 60);
    }
}

#[test]
fn behaves_like_a_sorted_map_over_all_of_u64_with_huge_jumps() {
    for seed in 200..240 {
        run(seed, 10_000, 64, 56, 30);
    }
}

#[test]
fn behaves_like_a_sorted_map_with_very_few_timers() {
    for seed in 300..340 {
        run(seed, 10_000, 40, 20, 2);
    }
}

/// Advances from sleep to sleep, as a driver does; the time and value of each timer and the number of wake-ups.
fn drive(wheel: &mut Wheel<u64>) -> (Vec<(u64, u64)>, usize) {
    let (mut fired, mut out, mut wakes) = (Vec::new(), Vec::new(), 0);
    while let Some(next) = wheel.next_deadline() {
        advance(wheel, next, &mut out);
        fired.extend(out.drain(..).map(|value| (next, value)));
        wakes += 1;
    }
    (fired, wakes)
}

#[test]
fn a_driver_that_sleeps_until_next_deadline_fires_every_timer_exactly_on_time() {
    for seed in 0..50 {
        let mut random = SplitMix(seed);
        let mut wheel = Wheel::new(random.delay(50));
        for _ in 0..200 {
            let deadline = wheel.now + random.delay(45);
            wheel.insert(deadline, deadline);
        }
        let (fired, wakes) = drive(&mut wheel);
        assert_eq!(fired.len(), 200);
        assert!(fired.iter().all(|(at, deadline)| at == deadline), "seed {seed}");
        assert!(wakes <= 200 * LEVELS, "{wakes}");
    }
}

#[test]
fn a_timer_alone_wakes_its_driver_once_however_far_it_is() {
    for deadline in [1, 63, 64, 4_096, 1 << 36, (1 << 36) + 12_345, 1 << 60, u64::MAX] {
        let mut wheel = Wheel::new(0);
        wheel.insert(deadline, 7);
        assert_eq!(drive(&mut wheel), (vec![(deadline, 7)], 1));
    }
}

#[test]
fn a_timer_fires_at_its_deadline_and_not_one_tick_before() {
    for start in [0, 5, 63, 64, 4_095, 1 << 20] {
        for delay in
            [1, 2, 62, 63, 64, 65, 4_095, 4_096, 4_097, 1 << 18, 1 << 36, 1 << 37, u64::from(u32::MAX)]
        {
            let mut wheel = Wheel::new(start);
            let mut out = Vec::new();
            wheel.insert(start + delay, ());
            advance(&mut wheel, start + delay - 1, &mut out);
            assert!(out.is_empty(), "{start} + {delay} fired early");
            advance(&mut wheel, start + delay, &mut out);
            assert_eq!(out.len(), 1, "{start} + {delay} did not fire");
        }
    }
}

#[test]
fn timers_with_one_deadline_fire_in_insertion_order_from_whichever_level_they_come() {
    let deadline = 1 << 20;
    let mut wheel = Wheel::new(0);
    let mut out = Vec::new();
    for (value, now) in
        [0, 1, 1 << 19, (1 << 20) - 5_000, (1 << 20) - 70, (1 << 20) - 1].into_iter().enumerate()
    {
        advance(&mut wheel, now, &mut out);
        wheel.insert(deadline, value);
    }
    assert!(out.is_empty());
    advance(&mut wheel, deadline, &mut out);
    assert_eq!(out, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn deadlines_in_the_past_fire_at_the_next_advance_in_deadline_order() {
    let mut wheel = Wheel::new(100);
    let mut out = Vec::new();
    wheel.insert(105, "later");
    wheel.insert(100, "now");
    wheel.insert(7, "first of seven");
    wheel.insert(50, "fifty");
    wheel.insert(7, "second of seven");
    assert_eq!(wheel.next_deadline(), Some(7));
    advance(&mut wheel, 100, &mut out);
    assert_eq!(out, ["first of seven", "second of seven", "fifty", "now"]);
    assert_eq!(wheel.next_deadline(), Some(105));
}

#[test]
fn a_past_deadline_can_be_cancelled_and_read_before_the_next_advance() {
    let mut wheel = Wheel::new(100);
    let mut out = Vec::new();
    let key = wheel.insert(3, 'a');
    wheel.insert(4, 'b');
    assert_eq!(wheel.get(key), Some(3));
    assert_eq!(wheel.cancel(key), Some((3, 'a')));
    advance(&mut wheel, 0, &mut out);
    assert_eq!(out, ['b']);
}

#[test]
fn time_never_goes_back() {
    let mut wheel = Wheel::new(1_000);
    let mut out = Vec::new();
    wheel.insert(1_001, 'a');
    advance(&mut wheel, 5, &mut out);
    assert!(out.is_empty());
    wheel.insert(900, 'b');
    advance(&mut wheel, 6, &mut out);
    assert_eq!(out, ['b']);
    advance(&mut wheel, 1_001, &mut out);
    assert_eq!(out, ['b', 'a']);
}

#[test]
fn a_key_is_stale_after_its_timer_fired_was_cancelled_or_its_memory_was_used_again() {
    let mut wheel = Wheel::new(0);
    let mut out = Vec::new();
    let fired = wheel.insert(1, 'a');
    advance(&mut wheel, 1, &mut out);
    let cancelled = wheel.insert(2, 'b');
    assert!(wheel.cancel(cancelled).is_some());
    let alive = wheel.insert(3, 'c');
    assert_eq!((fired.index, cancelled.index), (alive.index, alive.index), "the memory is used again");
    for stale in [fired, cancelled] {
        assert_eq!(wheel.get(stale), None);
        assert_eq!(wheel.cancel(stale), None);
    }
    assert_eq!(wheel.get(alive), Some(3));
    assert_eq!(wheel.get(TimerKey { index: 99, generation: 0 }), None);
}

#[test]
fn shrink_gives_memory_back_and_keeps_old_keys_stale() {
    let mut wheel = Wheel::new(0);
    let keep = wheel.insert(10, 0);
    let keys: Vec<TimerKey> = (0..1_000).map(|n| wheel.insert(20, n)).collect();
    for key in &keys {
        wheel.cancel(*key);
    }
    wheel.shrink();
    assert!(wheel.entries.capacity() < 10, "{}", wheel.entries.capacity());
    for n in 0..1_000 {
        wheel.insert(30, n);
    }
    assert!(keys.iter().all(|key| wheel.get(*key).is_none()));
    assert_eq!(wheel.get(keep), Some(10));
    check_invariants(&wheel);
}

#[test]
fn an_entry_whose_generations_are_used_up_is_retired() {
    let mut wheel = Wheel::new(0);
    let first = wheel.insert(1, 'a');
    wheel.cancel(first);
    wheel.entries[0].generation = u32::MAX;
    let last = wheel.insert(1, 'b');
    assert_eq!(last, TimerKey { index: 0, generation: u32::MAX });
    assert_eq!(wheel.cancel(last), Some((1, 'b')));
    assert_eq!(wheel.cancel(last), None);
    wheel.shrink();
    let next = wheel.insert(1, 'c');
    assert_eq!(next.index, 1);
    assert_eq!(wheel.get(last), None);
    check_invariants(&wheel);
}

#[test]
fn steady_insert_and_cancel_does_not_grow_the_slab() {
    let mut wheel = Wheel::new(0);
    let mut out = Vec::new();
    for now in 0..100_000 {
        let key = wheel.insert(now + 5_000, ());
        assert!(wheel.cancel(key).is_some());
        wheel.insert(now + 1, ());
        advance(&mut wheel, now, &mut out);
    }
    assert!(wheel.entries.len() <= 3, "{}", wheel.entries.len());
}

#[test]
fn a_jump_of_thirty_days_over_a_hundred_thousand_timers_keeps_the_order() {
    const MONTH: u64 = 30 * 24 * 3_600 * 1_000;
    let mut random = SplitMix(1);
    let mut wheel = Wheel::new(0);
    let mut expected: Vec<(u64, u64)> = (0..100_000).map(|n| (1 + random.below(MONTH), n)).collect();
    for (deadline, value) in &expected {
        wheel.insert(*deadline, *value);
    }
    expected.sort_unstable();
    let mut out = Vec::new();
    advance(&mut wheel, MONTH, &mut out);
    assert!(out.iter().eq(expected.iter().map(|(_, value)| value)));
}

#[test]
fn values_are_dropped_with_the_wheel() {
    let value = std::rc::Rc::new(());
    let mut wheel = Wheel::new(0);
    wheel.insert(1, value.clone());
    let fired = wheel.insert(2, value.clone());
    wheel.cancel(fired);
    drop(wheel);
    assert_eq!(std::rc::Rc::strong_count(&value), 1);
}

#[test]
fn debug_shows_the_time_the_length_and_the_next_deadline() {
    let mut wheel = Wheel::new(5);
    wheel.insert(9, ());
    assert_eq!(format!("{wheel:?}"), "Wheel { now: 5, len: 1, next_deadline: Some(9), .. }");
}

/// Advances, keeping the values only.
fn advance<T>(wheel: &mut Wheel<T>, now: u64, out: &mut Vec<T>) {
    let mut fired = Vec::new();
    wheel.advance(now, &mut fired);
    out.extend(fired.into_iter().map(|(_, value)| value));
}
