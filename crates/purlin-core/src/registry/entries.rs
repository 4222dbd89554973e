//! The entries of one key: as they lie in a table, and as a lookup returns them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::process::cell::ProcRef;
use crate::process::pid::Pid;

/// One registration.
#[derive(Clone)]
pub(crate) struct Entry<V> {
    /// Unique in its registry and growing: the order of registration.
    pub(crate) id: u64,
    pub(crate) proc: ProcRef,
    pub(crate) value: V,
}

impl<V> Entry<V> {
    /// A process that must end is not found any more, even before its entries are gone.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.proc.word.is_alive()
    }
}

/// The entries of one key, in the order of registration. By far the most keys have one.
pub(crate) enum Bucket<V> {
    One(Entry<V>),
    /// By id: one of 100,000 subscribers leaves as quickly as one of three. Who goes through a long list shares it ([`Bucket::share`]), and
    /// needs no lock then; a change meanwhile is made to a copy, so there is one copy per such reader at most.
    Many(Arc<BTreeMap<u64, Entry<V>>>),
}

/// The entries of a key as they were at one moment.
pub(crate) enum Shared<V> {
    One(Entry<V>),
    Many(Arc<BTreeMap<u64, Entry<V>>>),
}

impl<V> Shared<V> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<V>> {
        let (one, many) = match self {
            Shared::One(entry) => (Some(entry), None),
            Shared::Many(entries) => (None, Some(entries.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<V> Bucket<V> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Bucket::Many(entries) if entries.is_empty())
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Entry<V>> {
        match self {
            Bucket::One(entry) => (entry.id == id).then_some(entry),
            Bucket::Many(entries) => entries.get(&id),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<V>> {
        let (one, many) = match self {
            Bucket::One(entry) => (Some(entry), None),
            Bucket::Many(entries) => (None, Some(entries.values())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The oldest entry of a live process.
    #[inline]
    pub(crate) fn first_live(&self) -> Option<&Entry<V>> {
        match self {
            Bucket::One(entry) => Some(entry).filter(|e| e.is_live()),
            Bucket::Many(entries) => entries.values().find(|e| e.is_live()),
        }
    }
}

/// Changing: [`unshare`](Bucket::unshare) first, under the same lock.
impl<V: Clone> Bucket<V> {
    /// Copies the entries if somebody shares them. What is returned, the last reference perhaps by now, is to be dropped outside the lock.
    #[must_use]
    pub(crate) fn unshare(&mut self) -> Option<Shared<V>> {
        let Bucket::Many(entries) = self else { return None };
        if Arc::get_mut(entries).is_some() {
            return None;
        }
        let copy = Arc::new(BTreeMap::clone(entries));
        Some(Shared::Many(std::mem::replace(entries, copy)))
    }

    pub(crate) fn share(&self) -> Shared<V> {
        match self {
            Bucket::One(entry) => Shared::One(entry.clone()),
            Bucket::Many(entries) => Shared::Many(entries.clone()),
        }
    }

    pub(crate) fn add(&mut self, entry: Entry<V>) {
        if let Bucket::One(_) = self
            && let Bucket::One(first) = std::mem::replace(self, Bucket::Many(Arc::default()))
        {
            self.add(first);
        }
        if let Bucket::Many(entries) = self {
            let entries = Arc::make_mut(entries);
            entries.insert(entry.id, entry);
        }
    }

    /// Takes an entry out. An emptied bucket is to be removed.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry<V>> {
        match self {
            Bucket::One(entry) if entry.id != id => None,
            Bucket::One(_) => match std::mem::replace(self, Bucket::Many(Arc::default())) {
                Bucket::One(entry) => Some(entry),
                Bucket::Many(_) => None,
            },
            Bucket::Many(entries) => Arc::make_mut(entries).remove(&id),
        }
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Entry<V>> {
        match self {
            Bucket::One(entry) => (entry.id == id).then_some(entry),
            Bucket::Many(entries) => Arc::make_mut(entries).get_mut(&id),
        }
    }
}

impl<V: Clone> Bucket<V> {
    #[inline]
    pub(crate) fn live(&self) -> Entries<V> {
        let copy = |e: &Entry<V>| (e.proc.pid(), e.value.clone());
        Entries(match self {
            Bucket::One(entry) if entry.is_live() => Found::One(copy(entry)),
            Bucket::One(_) => Found::None,
            Bucket::Many(entries) => {
                Found::Many(entries.values().filter(|e| e.is_live()).map(copy).collect())
            },
        })
    }
}

/// What [`lookup`](crate::Registry::lookup) or [`match_values`](crate::Registry::match_values) found: the pid and the value of every entry of a key, in the order of registration. It is a
/// slice, by `Deref`; up to one entry takes no allocation.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// # let registry = purlin_core::Registry::<u32, f64>::duplicate("prices").start_link().await.unwrap();
/// # let p = purlin_core::process::spawn(async move |_: purlin_core::Mailbox<()>| {
/// # registry.register(7, 1.5).unwrap();
/// let entries = registry.lookup(&7).unwrap();
/// assert_eq!(entries.len(), 1);
/// for (pid, value) in &entries {
///     println!("{pid}: {value}");
/// }
/// # });
/// # assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Entries<V>(Found<V>);

#[derive(Clone, Debug)]
enum Found<V> {
    None,
    One((Pid, V)),
    Many(Vec<(Pid, V)>),
}

impl<V> Entries<V> {
    #[inline]
    pub(crate) fn none() -> Entries<V> {
        Entries(Found::None)
    }

    /// Those whose values `keep` wants.
    pub(crate) fn matching(self, mut keep: impl FnMut(&V) -> bool) -> Entries<V> {
        Entries(match self.0 {
            Found::One(entry) if keep(&entry.1) => Found::One(entry),
            Found::None | Found::One(_) => Found::None,
            Found::Many(mut entries) => {
                entries.retain(|(_, value)| keep(value));
                Found::Many(entries)
            },
        })
    }
}

impl<V> Deref for Entries<V> {
    type Target = [(Pid, V)];

    #[inline]
    fn deref(&self) -> &[(Pid, V)] {
        match &self.0 {
            Found::None => &[],
            Found::One(entry) => std::slice::from_ref(entry),
            Found::Many(entries) => entries,
        }
    }
}

impl<V: PartialEq, E: AsRef<[(Pid, V)]>> PartialEq<E> for Entries<V> {
    fn eq(&self, other: &E) -> bool {
        **self == *other.as_ref()
    }
}

impl<V> AsRef<[(Pid, V)]> for Entries<V> {
    fn as_ref(&self) -> &[(Pid, V)] {
        self
    }
}

impl<V> IntoIterator for Entries<V> {
    type Item = (Pid, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        match self.0 {
            Found::None => IntoIter { one: None, many: Vec::new().into_iter() },
            Found::One(entry) => IntoIter { one: Some(entry), many: Vec::new().into_iter() },
            Found::Many(entries) => IntoIter { one: None, many: entries.into_iter() },
        }
    }
}

impl<'a, V> IntoIterator for &'a Entries<V> {
    type Item = &'a (Pid, V);
    type IntoIter = std::slice::Iter<'a, (Pid, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a lookup, one after the other.
#[derive(Clone, Debug)]
pub struct IntoIter<V> {
    one: Option<(Pid, V)>,
    many: std::vec::IntoIter<(Pid, V)>,
}

impl<V> Iterator for IntoIter<V> {
    type Item = (Pid, V);

    fn next(&mut self) -> Option<(Pid, V)> {
        self.one.take().or_else(|| self.many.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.one.is_some()) + self.many.len();
        (left, Some(left))
    }
}

impl<V> ExactSizeIterator for IntoIter<V> {}
