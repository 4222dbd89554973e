//! A map that is a short list until it grows: most processes have one link and no monitor, a supervisor has 100,000.
//!
//! Up to [`LIST`] entries lie in a vector and are found by looking; beyond that a hash index is kept beside the vector. Order of
//! iteration is a pure function of the operations made (no random hasher), which simulated runs rely on.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

const LIST: usize = 8;
/// An entry is small up to this many bytes.
const KEPT: usize = 32;

/// A fast, fixed hasher for the kernel's own small integer keys (pids, references). Not for keys that come from outside.
#[derive(Default, Clone, Copy)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(u64::from(b));
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

pub(crate) type MixMap<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

pub(crate) struct SmallMap<K, V> {
    list: Vec<(K, V)>,
    index: Option<Box<MixMap<K, usize>>>,
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        SmallMap { list: Vec::new(), index: None }
    }
}

impl<K: Copy + Eq + Hash, V> SmallMap<K, V> {
    fn position(&self, key: &K) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.list.iter().position(|(k, _)| k == key),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.position(key).map(|at| &self.list[at].1)
    }

    /// Adds an entry; returns the value that the key had before, which is replaced.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(at) = self.position(&key) {
            return Some(std::mem::replace(&mut self.list[at].1, value));
        }
        if self.list.is_empty() {
            self.list.reserve_exact(1);
        }
        self.list.push((key, value));
        let len = self.list.len();
        match &mut self.index {
            Some(index) => {
                index.insert(key, len - 1);
            },
            None if len > LIST => {
                self.index =
                    Some(Box::new(self.list.iter().enumerate().map(|(at, (k, _))| (*k, at)).collect()));
            },
            None => {},
        }
        None
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.position(key)?;
        let (_, value) = self.list.swap_remove(at);
        if let Some(index) = &mut self.index {
            index.remove(key);
            if let Some((moved, _)) = self.list.get(at) {
                index.insert(*moved, at);
            }
            if self.list.len() <= LIST / 2 {
                self.index = None;
                self.list.shrink_to_fit();
            }
        }
        // Room for one small entry is kept: a process that awaits a task after the other has a link, and none, and a link again.
        if self.list.is_empty() && (self.list.capacity() > 1 || size_of::<(K, V)>() > KEPT) {
            self.list = Vec::new();
        }
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.list.iter().map(|(k, _)| *k)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.list.iter().map(|(_, v)| v)
    }

    pub(crate) fn into_entries(self) -> Vec<(K, V)> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_agrees_with_a_btree_map_over_ten_thousand_random_operations() {
        let mut seed = 7u64;
        let mut next = move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed >> 33
        };
        let (mut small, mut model) = (SmallMap::<u64, u64>::default(), BTreeMap::new());
        for step in 0..10_000 {
            // Phases of growth and of shrinking cross the list/index boundary often.
            let key = next() % 40;
            if next() % 100 < if (step / 500) % 2 == 0 { 65 } else { 35 } {
                assert_eq!(small.insert(key, step), model.insert(key, step));
            } else {
                assert_eq!(small.remove(&key), model.remove(&key));
            }
            assert_eq!(small.len(), model.len());
            assert_eq!(small.get(&key), model.get(&key));
        }
        let mut entries = small.into_entries();
        entries.sort_unstable();
        assert_eq!(entries, model.into_iter().collect::<Vec<_>>());
    }
}
