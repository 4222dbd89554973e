//! The keys of one process in one registry, so that its end costs what it registered and not what the registry holds.

use std::collections::HashMap;

use crate::hash::Seeds;
use crate::process::cell::ProcRef;
use crate::registry::key::{AsKey, Key};

/// Up to this many entries are found by looking through a list.
const LIST: usize = 8;

pub(crate) struct Owner<K> {
    pub(crate) proc: ProcRef,
    keys: Keys<K>,
}

/// Keys with the ids of their entries.
enum Keys<K> {
    Few(Vec<(K, u64)>),
    Many(HashMap<K, Ids, Seeds>),
}

/// The ids of one key's entries; a unique key has one.
enum Ids {
    One(u64),
    Many(Vec<u64>),
}

impl Ids {
    fn as_slice(&self) -> &[u64] {
        match self {
            Ids::One(id) => std::slice::from_ref(id),
            Ids::Many(ids) => ids,
        }
    }

    fn push(&mut self, id: u64) {
        match self {
            Ids::One(first) => *self = Ids::Many(vec![*first, id]),
            Ids::Many(ids) => ids.push(id),
        }
    }
}

fn insert<K: Key>(map: &mut HashMap<K, Ids, Seeds>, key: K, id: u64) {
    map.entry(key).and_modify(|ids| ids.push(id)).or_insert(Ids::One(id));
}

impl<K: Key> Owner<K> {
    pub(crate) fn new(proc: ProcRef) -> Owner<K> {
        Owner { proc, keys: Keys::Few(Vec::new()) }
    }

    pub(crate) fn add(&mut self, key: K, id: u64, seeds: Seeds) {
        match &mut self.keys {
            Keys::Few(list) if list.len() < LIST => {
                if list.is_empty() {
                    list.reserve_exact(1);
                }
                list.push((key, id));
            },
            Keys::Few(list) => {
                let mut map = HashMap::with_hasher(seeds);
                for (key, id) in std::mem::take(list).into_iter().chain([(key, id)]) {
                    insert(&mut map, key, id);
                }
                self.keys = Keys::Many(map);
            },
            Keys::Many(map) => insert(map, key, id),
        }
    }

    /// Takes a key out, with all its entries.
    pub(crate) fn remove(&mut self, key: &(impl AsKey<K> + ?Sized)) -> Vec<(K, u64)> {
        match &mut self.keys {
            Keys::Few(list) => list.extract_if(.., |(k, _)| key.is(k)).collect(),
            Keys::Many(map) => match key.remove(map) {
                None => Vec::new(),
                Some((key, ids)) => ids.as_slice().iter().map(|id| (key.clone(), *id)).collect(),
            },
        }
    }

    /// Takes those of a key's entries out that have the ids, which grow.
    pub(crate) fn remove_some(&mut self, key: &(impl AsKey<K> + ?Sized), ids: &[u64]) -> Vec<(K, u64)> {
        let listed = |id: u64| ids.binary_search(&id).is_ok();
        match &mut self.keys {
            Keys::Few(list) => list.extract_if(.., |(k, id)| key.is(k) && listed(*id)).collect(),
            Keys::Many(map) => {
                let Some((own, all)) = key.remove(map) else { return Vec::new() };
                let (gone, left): (Vec<_>, Vec<_>) = all.as_slice().iter().partition(|id| listed(**id));
                let gone = gone.into_iter().map(|id| (own.clone(), id)).collect();
                match left[..] {
                    [] => {},
                    [only] => drop(map.insert(own, Ids::One(only))),
                    _ => drop(map.insert(own, Ids::Many(left))),
                }
                gone
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match &self.keys {
            Keys::Few(list) => list.is_empty(),
            Keys::Many(map) => map.is_empty(),
        }
    }

    /// The ids of a key's entries, in the order of registration.
    pub(crate) fn ids(&self, key: &(impl AsKey<K> + ?Sized)) -> Vec<u64> {
        match &self.keys {
            Keys::Few(list) => list.iter().filter(|(k, _)| key.is(k)).map(|(_, id)| *id).collect(),
            Keys::Many(map) => key.find(map).map_or_else(Vec::new, |ids| ids.as_slice().to_vec()),
        }
    }

    /// Every entry, in the order of registration.
    pub(crate) fn entries(&self) -> Vec<(K, u64)> {
        match &self.keys {
            Keys::Few(list) => list.clone(),
            Keys::Many(map) => {
                let each =
                    map.iter().flat_map(|(key, ids)| ids.as_slice().iter().map(move |id| (key.clone(), *id)));
                let mut entries: Vec<_> = each.collect();
                entries.sort_unstable_by_key(|(_, id)| *id);
                entries
            },
        }
    }
}
