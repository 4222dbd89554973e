//! Who runs next: pure functions of a seed and of what could run.
//!
//! * **FIFO**: the one that has waited longest. The order that a quiet machine with one worker comes near.
//! * **Random**: each with the same probability. Finds what needs many small coincidences.
//! * **PCT** (probabilistic concurrency testing: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic
//!   guarantees of finding bugs", 2010): everyone gets a random priority, the highest one always runs, and at `depth - 1` random steps the
//!   running one falls below all others. A bug that needs `depth` orderings in a run of `k` steps of `n` parties is found with a probability
//!   of at least 1/(n·k^(depth-1)). Finds what needs somebody to be starved for long.
//!
//! PCT wants to know how long a run is. A seed has to say everything, so the length is drawn from it too, between 32 and 4,096 steps on a
//! logarithmic scale. After that many steps PCT goes on as Random, so that nobody who spins while waiting for another is alone for ever.

use crate::process::small_map::MixMap;
use crate::rt::random::Random;

/// How the next process is picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scheduler {
    /// By the seed: Random for one half of the seeds, PCT with a depth of 2 to 5 for the other.
    #[default]
    BySeed,
    /// Each that could run with the same probability.
    Random,
    /// The one with the highest priority; the number is the depth: how many orderings a bug needs to show.
    Pct(u32),
    /// The one that has waited longest; nobody is interrupted.
    Fifo,
}

/// The state of a scheduler in one run.
pub(crate) struct Policy {
    kind: Kind,
    random: Random,
    /// How often somebody who could go on is interrupted, of 256 times.
    interrupts: u64,
    step: u64,
    /// Who was picked last, and how many times in a row.
    streak: (u64, u32),
}

enum Kind {
    Fifo,
    Random,
    Pct { priorities: MixMap<u64, u64>, changes: Vec<u64>, end: u64 },
}

/// Who runs this often in a row while others could waits for one of them, in a loop: it falls below them.
const SPINS: u32 = 50;
/// Priorities of those who have been passed over lie below all others.
const HIGH: u64 = 1 << 63;

impl Policy {
    pub(crate) fn new(scheduler: Scheduler, seed: u64) -> Policy {
        let random = Random::seeded(seed ^ 0x5c4e_d01e_5eed_0001);
        let lot = random.next();
        let scheduler = match scheduler {
            Scheduler::BySeed if lot & 1 == 0 => Scheduler::Random,
            Scheduler::BySeed => Scheduler::Pct(2 + (lot >> 1) as u32 % 4),
            other => other,
        };
        let interrupts = [16, 64, 128, 256][(lot >> 8) as usize % 4];
        let kind = match scheduler {
            Scheduler::Fifo => Kind::Fifo,
            Scheduler::Random | Scheduler::BySeed => Kind::Random,
            Scheduler::Pct(depth) => {
                let octave = 32u64 << ((lot >> 16) % 7);
                let end = octave + random.below(octave as usize) as u64;
                let mut changes: Vec<u64> =
                    (1..depth.max(1)).map(|_| 1 + random.below(end as usize) as u64).collect();
                changes.sort_unstable();
                Kind::Pct { priorities: MixMap::default(), changes, end }
            },
        };
        Policy { kind, random, interrupts, step: 0, streak: (u64::MAX, 0) }
    }

    /// A number for what is no question of order (a fault, the way of a call).
    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Which of these runs, oldest first. There are two or more.
    pub(crate) fn pick(&mut self, ready: impl ExactSizeIterator<Item = u64> + Clone) -> usize {
        self.step += 1;
        self.wear_off();
        match &mut self.kind {
            Kind::Fifo => 0,
            Kind::Random => self.random.below(ready.len()),
            Kind::Pct { priorities, .. } => {
                let random = &self.random;
                let mut best = (0, 0, 0);
                for (index, id) in ready.enumerate() {
                    let priority = *priorities.entry(id).or_insert_with(|| random.next() | HIGH);
                    if priority > best.1 || index == 0 {
                        best = (index, priority, id);
                    }
                }
                let (index, _, id) = best;
                self.streak = if self.streak.0 == id { (id, self.streak.1 + 1) } else { (id, 0) };
                if self.streak.1 == SPINS {
                    self.streak.1 = 0;
                    // Later ones fall deeper, and all of them deeper than those at change points.
                    priorities.insert(id, HIGH / 2 - self.step);
                }
                index
            },
        }
    }

    /// `running` could go on, and others could run: is it interrupted?
    pub(crate) fn interrupts(&mut self, running: u64, mut ready: impl Iterator<Item = u64>) -> bool {
        self.step += 1;
        self.wear_off();
        match &mut self.kind {
            Kind::Fifo => false,
            Kind::Random => self.random.next() % 256 < self.interrupts,
            Kind::Pct { priorities, changes, .. } => {
                let random = &self.random;
                if changes.first().is_some_and(|at| *at <= self.step) {
                    let at = changes.remove(0);
                    // Later ones fall deeper.
                    priorities.insert(running, HIGH - at);
                }
                let mut priority = |id| *priorities.entry(id).or_insert_with(|| random.next() | HIGH);
                let mine = priority(running);
                ready.any(|id| priority(id) > mine)
            },
        }
    }

    /// How many steps of others happen in the middle of something: 0 to 3.
    pub(crate) fn interlude(&mut self) -> usize {
        match (&self.kind, self.random.next() % 8) {
            (Kind::Fifo, _) | (_, 1..) => 0,
            (_, 0) => 1 + self.random.below(3),
        }
    }

    fn wear_off(&mut self) {
        if matches!(self.kind, Kind::Pct { end, .. } if self.step > end) {
            self.kind = Kind::Random;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(scheduler: Scheduler, seed: u64) -> Vec<usize> {
        let mut policy = Policy::new(scheduler, seed);
        (0..60).map(|_| policy.pick([7, 8, 9].into_iter())).collect()
    }

    #[test]
    fn one_seed_picks_the_same_and_another_seed_otherwise() {
        for scheduler in [Scheduler::Random, Scheduler::BySeed] {
            assert_eq!(picks(scheduler, 1), picks(scheduler, 1));
            assert!((2..20).any(|seed| picks(scheduler, seed) != picks(scheduler, 1)));
        }
    }

    #[test]
    fn fifo_always_picks_the_oldest_and_interrupts_nobody() {
        assert!(picks(Scheduler::Fifo, 3).iter().all(|index| *index == 0));
        let mut policy = Policy::new(Scheduler::Fifo, 3);
        assert!((0..100).all(|_| !policy.interrupts(1, [2].into_iter())));
    }

    #[test]
    fn pct_keeps_to_one_until_it_falls_below_the_others() {
        let mut changed = 0;
        for seed in 0..100 {
            let mut policy = Policy::new(Scheduler::Pct(2), seed);
            let Kind::Pct { end, .. } = policy.kind else { panic!("not PCT") };
            // The one that runs is asked at every step whether it is to be interrupted.
            let mut running = 0;
            let mut switches = 0;
            for _ in 0..end {
                if policy.interrupts(running, [1 - running].into_iter()) {
                    running = 1 - running;
                    switches += 1;
                }
            }
            assert!(switches <= 2, "one for the first priorities, one for the change: {switches}");
            changed += switches;
        }
        assert!(changed > 60, "{changed}");
    }

    #[test]
    fn seeds_give_both_schedulers_and_every_depth() {
        let kinds: std::collections::BTreeSet<usize> = (0..100)
            .map(|seed| match Policy::new(Scheduler::BySeed, seed).kind {
                Kind::Random => 0,
                Kind::Pct { changes, .. } => changes.len(),
                Kind::Fifo => 99,
            })
            .collect();
        assert_eq!(kinds, [0, 1, 2, 3, 4].into());
    }
}
