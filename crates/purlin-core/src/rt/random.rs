//! The node's random numbers: SplitMix64, seeded once. Good for jitter, tie-breaking and scheduling; not for secrets.
//!
//! Algorithm: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Random {
        Random(AtomicU64::new(seed))
    }

    /// Seeded by the operating system (through the standard library's hash keys).
    pub(crate) fn from_entropy() -> Random {
        Random::seeded(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }

    pub(crate) fn next(&self) -> u64 {
        let mut z =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which must not be 0. (Multiply-shift; the bias is below 2⁻³² for the sizes used here.)
    pub(crate) fn below(&self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        let take =
            |seed| (0..8).map(|_| 0).scan(Random::seeded(seed), |r, _| Some(r.next())).collect::<Vec<_>>();
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let r = Random::seeded(3);
        let mut seen = [false; 7];
        (0..1000).for_each(|_| seen[r.below(7)] = true);
        assert_eq!(seen, [true; 7]);
    }
}
