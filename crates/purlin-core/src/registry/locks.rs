//! Who has locked a key and who waits for it. The future that takes a lock, waits and gives it up is in `lock`.
//!
//! ```text
//!  enters while the key is free ────────────────────────────────► holder ── leaves ──► nowhere
//!  enters while it is locked ──► waiting ── the holder leaves ──►
//!                                   └── leaves, is sent away ──► nowhere
//! ```
//! A *line* is a locked key: the holder, and those who wait, by ticket. There is a line while a key is locked and no longer, so what is not
//! locked takes no memory.
//!
//! Invariants
//! * Every step is one critical section under the mutex of the table of lines, so a ticket is in one place at a time, and whoever leaves,
//!   because it has waited for too long or lost interest, finds out there whether it has been made the holder meanwhile.
//! * A lock goes from its holder straight to the one who has waited longest. It is never free while somebody waits: nobody overtakes.
//! * A holder stays one until it leaves, whatever becomes of the registry meanwhile; `send_away` is for those who wait.
//! * A ticket is never given out twice by a table.
//! * `Hash` and `Eq` of keys run under the mutex, as in the registry's other tables. Keys are cloned before it; keys and wakers are dropped, and
//!   wakers woken, after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Waker;

use crate::hash::Seeds;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::registry::key::Key;
use crate::registry::tables::Tables;
use crate::sync::Mutex;

/// A table that has held more lines than this gives its memory back when the last one goes.
const KEPT: usize = 64;

/// The locked keys of one partition.
#[repr(align(64))]
pub(crate) struct Lines<K>(Mutex<State<K>>);

struct State<K> {
    /// `None` before the first lock: the hash may have no seeds yet.
    lines: Option<HashMap<K, Line, Seeds>>,
    next_ticket: u64,
}

struct Line {
    /// The ticket of the one who has the lock, and its process, if it is one.
    holder: u64,
    pid: Option<Pid>,
    /// By ticket, so in the order of arrival; one of many gives up as quickly as one of few.
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    waker: Waker,
    pid: Option<Pid>,
}

impl<K> Default for Lines<K> {
    fn default() -> Self {
        Lines(Mutex::new(State { lines: None, next_ticket: 1 }))
    }
}

impl<K> Lines<K> {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().lines.as_ref().map_or(0, HashMap::len)
    }

    /// Takes everybody who waits out of the lines, because the registry ends; they are to be woken.
    pub(crate) fn send_away(&self) -> Vec<Waker> {
        let mut state = self.0.lock();
        let lines = state.lines.iter_mut().flat_map(HashMap::values_mut);
        lines.flat_map(|line| std::mem::take(&mut line.waiting)).map(|(_, waiting)| waiting.waker).collect()
    }

    /// What tells this table from every other one.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<K: Key> State<K> {
    fn line(&mut self, key: &K) -> Option<&mut Line> {
        self.lines.as_mut()?.get_mut(key)
    }
}

/// What became of the wish for a lock.
pub(crate) enum Entered<K, V> {
    /// The key was free and is locked now.
    Holds(Place<K, V>),
    /// It is locked; the caller waits.
    Waits(Place<K, V>),
    /// It is locked, and its holder is not to be waited for.
    Refused(K),
    /// The registry has ended.
    Closed,
}

/// Names one taking of a lock among all of the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    table: usize,
    ticket: u64,
}

/// How it stands with one who waits.
pub(crate) enum Turn {
    /// It has the lock.
    Mine,
    Waits,
    /// The registry has ended meanwhile.
    SentAway,
}

/// A place in a line: that of the holder, or of one who waits. Dropping it gives it up, and passes the lock on.
///
/// The type asks nothing of `K`: a future that holds one across an await would have to prove it for keys of any lifetime.
pub(crate) struct Place<K, V> {
    tables: Arc<Tables<K, V>>,
    key: K,
    ticket: u64,
    /// [`Place::leave`], which does ask something of `K`.
    leave: fn(&Place<K, V>),
}

impl<K: Key, V> Place<K, V> {
    /// Locks a key for the process `pid`, or waits for it: `waker` is woken when it is there. `refuse` looks at the holder first.
    pub(crate) fn enter(
        tables: &Arc<Tables<K, V>>,
        key: K,
        pid: Option<Pid>,
        waker: &Waker,
        refuse: impl FnOnce(Name) -> bool,
    ) -> Entered<K, V> {
        if !tables.is_open() {
            return Entered::Closed;
        }
        let copy = key.clone();
        let lines = tables.lines(&key);
        let mut state = lines.0.lock();
        if !tables.is_open() {
            drop(state);
            return Entered::Closed;
        }
        let State { lines: map, next_ticket } = &mut *state;
        let map = map.get_or_insert_with(|| HashMap::with_hasher(tables.seeds()));
        let ticket = *next_ticket;
        let holds = match map.get_mut(&key) {
            None => {
                map.insert(copy, Line { holder: ticket, pid, waiting: BTreeMap::new() });
                true
            },
            Some(line) if refuse(Name { table: lines.address(), ticket: line.holder }) => {
                drop(state);
                return Entered::Refused(key);
            },
            Some(line) => {
                line.waiting.insert(ticket, Waiting { waker: waker.clone(), pid });
                false
            },
        };
        *next_ticket += 1;
        drop(state);
        let place = Place { tables: tables.clone(), key, ticket, leave: Place::leave };
        if holds { Entered::Holds(place) } else { Entered::Waits(place) }
    }

    /// How it stands; if the lock is not there yet, `waker` is woken when it is.
    pub(crate) fn turn(&self, waker: &Waker) -> Turn {
        let mut state = self.lines().0.lock();
        let Some(line) = state.line(&self.key) else { return Turn::SentAway };
        if line.holder == self.ticket {
            return Turn::Mine;
        }
        let Some(waiting) = line.waiting.get_mut(&self.ticket) else { return Turn::SentAway };
        if !waiting.waker.will_wake(waker) {
            let before = std::mem::replace(&mut waiting.waker, waker.clone());
            drop(state);
            drop(before);
        }
        Turn::Waits
    }

    /// The process that keeps this place waiting, if it is one.
    pub(crate) fn holder(&self) -> Option<Pid> {
        let mut state = self.lines().0.lock();
        state.line(&self.key).filter(|line| line.holder != self.ticket)?.pid
    }

    pub(crate) fn name(&self) -> Name {
        Name { table: self.lines().address(), ticket: self.ticket }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    pub(crate) fn tables(&self) -> &Arc<Tables<K, V>> {
        &self.tables
    }

    fn lines(&self) -> &Lines<K> {
        self.tables.lines(&self.key)
    }

    fn leave(&self) {
        let mut state = self.lines().0.lock();
        let Some(line) = state.line(&self.key) else { return };
        if line.holder != self.ticket {
            let gone = line.waiting.remove(&self.ticket);
            drop(state);
            drop(gone);
            return;
        }
        if let Some((ticket, next)) = line.waiting.pop_first() {
            (line.holder, line.pid) = (ticket, next.pid);
            drop(state);
            next.waker.wake();
            return;
        }
        let Some(map) = state.lines.as_mut() else { return };
        let gone = map.remove_entry(&self.key);
        let large = if map.is_empty() && map.capacity() > KEPT { state.lines.take() } else { None };
        drop(state);
        drop((gone, large));
    }
}

impl<K, V> Drop for Place<K, V> {
    fn drop(&mut self) {
        // It runs also while a panic unwinds, and a key's `Eq` or a waker that panicked then would end the program.
        if let Err(reason) = panic::catch(|| (self.leave)(self)) {
            tracing::error!(registry = %self.tables.name(), %reason, "a key panicked when its lock was given up");
        }
    }
}

/// Wakes somebody, whoever that is.
pub(crate) fn wake(waker: Waker) {
    if let Err(reason) = panic::catch(|| waker.wake()) {
        tracing::error!(%reason, "a waker panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending};
    use std::pin::Pin;
    use std::task::Context;

    use super::*;
    use crate::{Node, Registry};

    fn capacity(tables: &Tables<u32, ()>) -> Vec<Option<usize>> {
        tables.all_lines().iter().map(|lines| lines.0.lock().lines.as_ref().map(HashMap::capacity)).collect()
    }

    #[test]
    fn what_is_not_locked_takes_no_memory_however_much_was_locked_at_a_time() {
        let rt =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        rt.block_on(async {
            let node = Node::builder().simulated(1).start();
            node.scope(async {
                let locks = Registry::<u32>::unique("locks").partitions(2).start().await.unwrap();
                let tables = locks.on(|tables| Ok(tables.clone())).unwrap();
                assert_eq!(capacity(&tables), [None, None], "locks that nobody uses cost nothing");
                let mut cx = Context::from_waker(Waker::noop());
                let mut held: Vec<_> = (0..2000)
                    .map(|n| locks.lock(n % 1000, async || pending::<()>().await).infinity())
                    .collect();
                for lock in &mut held {
                    assert!(Pin::new(lock).poll(&mut cx).is_pending());
                }
                assert_eq!(tables.locks(), 1000);
                // Some give up while they wait, others pass the lock on.
                held.rotate_left(500);
                drop(held);
                assert_eq!((tables.locks(), capacity(&tables)), (0, vec![None, None]));
                for n in 0..1000 {
                    locks.lock(n, async || ()).await.unwrap();
                }
                assert_eq!(tables.locks(), 0);
                assert!(capacity(&tables).iter().flatten().all(|capacity| *capacity <= KEPT));
            })
            .await;
            node.shutdown().await;
        });
    }
}
