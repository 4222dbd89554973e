//! Hash maps whose order of iteration a simulated run can repeat, and the hash under them and under the registry.
//!
//! The standard library's `HashMap` draws its keys from the operating system, so the order in which one is iterated differs from run to run, and a
//! simulated test that depends on it cannot be repeated (the test's self-check says so). [`HashMap`] and [`HashSet`] here are the same types with
//! another source of keys: the node's. On a real node the order is unpredictable; on a simulated one it is decided by the seed.
//!
//! ```
//! use purlin_core::hash::{HashMap, HashSet};
//! let mut stock: HashMap<&str, u32> = HashMap::default();            // `default`, because `new` is of std's own hasher
//! stock.insert("bolt", 7);
//! let known: HashSet<&str> = stock.keys().copied().collect();
//! assert!(known.contains("bolt"));
//! ```
//!
//! # The hash
//! Keyed, because keys come from outside, and fast, because it is half the price of a registry's lookup. The two 64-bit seeds come from the
//! node's random source: unpredictable on a real node, so that nobody can choose keys that collide. The mixing step is the *folded multiply* of wyhash and
//! foldhash: the 128-bit product of two words, its halves xored. One step takes up to 16 bytes. Like those two it resists an attacker
//! who cannot see hashes or measure single lookups; it is no cryptographic hash.

use std::hash::{BuildHasher, Hash, Hasher};

use crate::node::Node;
use crate::rt::random::Random;

/// `std`'s map with keys from the current node; see the [module documentation](self).
pub type HashMap<K, V> = std::collections::HashMap<K, V, State>;
/// `std`'s set with keys from the current node; see the [module documentation](self).
pub type HashSet<T> = std::collections::HashSet<T, State>;

/// Makes the hashers of one map. The default draws seeds from the current node; outside every node, from the operating system.
#[derive(Clone, Copy, Debug)]
pub struct State(Seeds);

impl Default for State {
    fn default() -> Self {
        State(match Node::try_current() {
            Some(node) => Seeds::new(|| node.random()),
            None => {
                let random = Random::from_entropy();
                Seeds::new(|| random.next())
            },
        })
    }
}

impl BuildHasher for State {
    type Hasher = Fold;

    #[inline]
    fn build_hasher(&self) -> Fold {
        self.0.build_hasher()
    }
}

/// The seeds of one map or registry; makes its hashers.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    start: u64,
    factor: u64,
}

impl Seeds {
    pub(crate) fn new(mut random: impl FnMut() -> u64) -> Seeds {
        // An odd factor with high bits set: no product loses its upper half.
        Seeds { start: random(), factor: random() | 1 << 63 | 1 }
    }

    /// Seeds that are part of the program: for a hash that is the same in every run. An odd factor with high bits set.
    pub(crate) const fn fixed(start: u64, factor: u64) -> Seeds {
        Seeds { start, factor: factor | 1 << 63 | 1 }
    }

    /// A number below `n`, from bits of the hash that a hash table of fewer than 2³² entries makes little use of.
    #[inline]
    pub(crate) fn pick<Q: Hash + ?Sized>(&self, key: &Q, n: usize) -> usize {
        let middle = (self.hash_one(key) >> 24) as u32;
        ((u64::from(middle) * n as u64) >> 32) as usize
    }
}

impl BuildHasher for Seeds {
    type Hasher = Fold;

    #[inline]
    fn build_hasher(&self) -> Fold {
        Fold { state: self.start, factor: self.factor }
    }
}

/// One hash under way; from [`State`].
#[derive(Debug)]
pub struct Fold {
    state: u64,
    factor: u64,
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> u64 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[at..at + 4]);
    u64::from(u32::from_le_bytes(half))
}

impl Hasher for Fold {
    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        // The reads below overlap; turning the state by the length keeps "ab" and "aab" apart.
        let mut state = self.state.rotate_right(len as u32) ^ len as u64;
        let (first, last) = match len {
            0 => (0, 0),
            1..4 => (u64::from(bytes[0]) | u64::from(bytes[len / 2]) << 8, u64::from(bytes[len - 1])),
            4..8 => (half(bytes, 0), half(bytes, len - 4)),
            8..=16 => (word(bytes, 0), word(bytes, len - 8)),
            _ => {
                let mut at = 0;
                while at + 16 < len {
                    state = fold(state ^ word(bytes, at), self.factor ^ word(bytes, at + 8));
                    at += 16;
                }
                (word(bytes, len - 16), word(bytes, len - 8))
            },
        };
        self.state = fold(state ^ first, self.factor ^ last);
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        self.state = fold(self.state ^ n, self.factor);
    }

    #[inline]
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    #[inline]
    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }

    #[inline]
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    #[inline]
    fn write_u128(&mut self, n: u128) {
        self.state = fold(self.state ^ n as u64, self.factor ^ (n >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn seeds(from: u64) -> Seeds {
        let random = crate::rt::random::Random::seeded(from);
        Seeds::new(|| random.next())
    }

    fn texts() -> Vec<String> {
        let numbered = (0..20_000).map(|n| format!("endpoint-{n}"));
        let repeated = (0..200).flat_map(|len| ["a", "ab", "\0"].map(|s| s.repeat(len)));
        numbered.chain(repeated).collect()
    }

    #[test]
    fn distinct_keys_have_distinct_hashes_and_equal_keys_equal_ones() {
        let seeds = seeds(1);
        let texts: HashSet<_> = texts().into_iter().collect();
        assert_eq!(texts.iter().map(|t| seeds.hash_one(t)).collect::<HashSet<_>>().len(), texts.len());
        assert!(texts.iter().all(|t| seeds.hash_one(t) == seeds.hash_one(t.as_str())));
        let pairs = (0..300u32).flat_map(|a| (0..200u8).map(move |b| (a, b)));
        let hashes: Vec<_> = pairs.map(|pair| seeds.hash_one(pair)).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
    }

    #[test]
    fn other_seeds_give_other_hashes() {
        let same = texts().iter().filter(|t| seeds(1).hash_one(t) == seeds(2).hash_one(t)).count();
        assert_eq!(same, 0);
    }

    #[test]
    fn one_flipped_bit_flips_about_half_of_the_hash() {
        let seeds = seeds(3);
        let mut flipped = [0u32; 64];
        let rounds = 64 * 256;
        for n in 0..256u64 {
            for bit in 0..64 {
                let change = seeds.hash_one(n) ^ seeds.hash_one(n ^ 1 << bit);
                (0..64).for_each(|at| flipped[at] += (change >> at & 1) as u32);
            }
        }
        for (at, count) in flipped.iter().enumerate() {
            let share = f64::from(*count) / f64::from(rounds);
            assert!((0.35..0.65).contains(&share), "bit {at} flips in {share} of the cases");
        }
    }

    #[test]
    fn partitions_get_equal_shares() {
        let seeds = seeds(4);
        let mut shares = [0; 8];
        texts().iter().take(20_000).for_each(|t| shares[seeds.pick(t, 8)] += 1);
        assert!(shares.iter().all(|n| (2_200..2_800).contains(n)), "{shares:?}");
    }
}
