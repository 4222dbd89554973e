//! The process table: from a pid's id and serial to the process, for any thread at any time.
//!
//! ```text
//!   id ──► page k (64·2^k slots, made on demand) ──► slot { word, cell }
//!
//!   word = serial:32 │ 0:30 │ LIVE │ LOCK             cell = handle while LIVE, next free id while in the free list
//!
//!            take from free list          publish (store)                lock (CAS) ⇄ unlock (store)
//!   FREE(s) ────────────────────► FREE(s) ───────────────► LIVE(s+1) ◄──────────────────────────────► LIVE(s+1)|LOCK
//!      ▲        reserved: known to the inserter only                                                         │
//!      └───────────────────── append to free list ◄──────────── FREE(s+1) ◄───── remove (store) ─────────────┘
//! ```
//!
//! A slot that is not live carries the serial it had last (0: never used), so a page of zeros is a page of fresh slots, and the
//! first process of a slot has serial 1. A slot whose serial has reached `u32::MAX` is retired: it never enters the free list again.
//!
//! # Invariants
//!
//! 1. For each slot the pair (serial, LIVE) takes each value during one interval of time at most. Hence a CAS that finds
//!    *(my serial, LIVE, no LOCK)* has found my process, and a stale pid never finds another one.
//! 2. The cell belongs to the holder of LOCK while LIVE, to the inserter while reserved, and to the free list's mutex while free.
//! 3. LIVE words are changed only by CAS to LOCK, and then by the holder's store.
//! 4. No foreign code runs under a lock: under LOCK only `Handle::clone` and the kernel's own closures (`with`), under the mutex
//!    none. `remove` hands the handle out, to be dropped by the caller.
//!
//! # Ordering
//!
//! * Publishing stores the word with release, locking acquires: whoever finds the process sees its handle. Unlocking releases, so
//!   the next holder sees what this one did.
//! * A page pointer is stored with release under the mutex and loaded with acquire. A pid cannot be known before its page exists;
//!   an invented one finds a null pointer, or a slot that is not live.
//! * Removing releases, and a failed CAS acquires: whoever finds a process gone sees all that was done before it was removed.
//! * From remover to next inserter the cell passes through the mutex.
//!
//! # Reuse
//!
//! The free list is a queue, threaded through the cells, and it is used only while it holds more than `KEEP_FREE` slots (or when
//! no unused slot is left). With at least 64 other uses between two uses of the same slot, 32-bit serials last for days at a
//! million spawns per second (a last-in-first-out list would use them up in 72 minutes), and the memory in use stays that of the
//! largest number of processes alive at once.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::thread;

use super::table_page::{self, FIRST_PAGE, KEEP_FREE};
use crate::sync::{AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering, UnsafeCell, spin};

/// What the table holds: a counted pointer to a process.
///
/// # Safety
/// `into_raw` gives one count away; `from_raw` of that pointer takes it back, and the pointer stays valid in between. `clone` runs
/// no foreign code (it is called under a slot's lock).
pub(crate) unsafe trait Handle: Clone {
    fn into_raw(self) -> NonNull<()>;

    /// # Safety
    /// `ptr` came from `into_raw` and is taken back once.
    unsafe fn from_raw(ptr: NonNull<()>) -> Self;
}

/// The table has as many processes as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableFull;

/// The process table of one node. Empty, it owns no memory.
pub(crate) struct Table<P: Handle> {
    pages: [AtomicPtr<Slot>; PAGES],
    free: Mutex<Free>,
    /// The highest id that may be given out.
    limit: u32,
    handles: PhantomData<*mut P>,
}

// SAFETY: handles move into and out of the table from any thread (`P: Send`) and are cloned by any thread (`P: Sync`). The rest is
// the protocol above.
unsafe impl<P: Handle + Send + Sync> Send for Table<P> {}
// SAFETY: as above.
unsafe impl<P: Handle + Send + Sync> Sync for Table<P> {}

/// One place in the table; 16 bytes, all zeros when fresh.
pub(super) struct Slot {
    pub(super) word: AtomicU64,
    pub(super) cell: UnsafeCell<*mut ()>,
}

/// What is known of the slots that are not live. Under the mutex.
#[derive(Default)]
struct Free {
    /// The longest and the shortest free slot; meaningless while `len` is 0.
    first: u32,
    last: u32,
    len: u32,
    /// Ids up to this one have been used.
    used: u32,
    /// Slots live or reserved.
    live: u32,
}

const LOCK: u64 = 1;
const LIVE: u64 = 2;

const fn live_word(serial: u32) -> u64 {
    (serial as u64) << 32 | LIVE
}

const fn serial_of(word: u64) -> u32 {
    (word >> 32) as u32
}

impl<P: Handle> Table<P> {
    /// An empty table without a limit of its own (there are 2^32 - 64 ids).
    pub(crate) fn new() -> Self {
        Self::with_limit(MAX_ID)
    }

    /// An empty table for at most `limit` processes at a time.
    pub(crate) fn with_limit(limit: u32) -> Self {
        Table {
            pages: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            free: Mutex::new(Free::default()),
            limit: limit.min(MAX_ID),
            handles: PhantomData,
        }
    }

    /// Reserves an id and a serial, lets `make` build the process with them, and makes it visible. Returns a second handle to it.
    ///
    /// No lock is held while `make` runs; if it panics, the slot is free again.
    #[inline]
    pub(crate) fn insert_with(&self, make: impl FnOnce(u32, u32) -> P) -> Result<P, TableFull> {
        let reserved = self.reserve()?;
        let serial = serial_of(reserved.slot.word.load(Ordering::Relaxed)) + 1;
        let made = make(reserved.id, serial);
        let kept = made.clone().into_raw();
        // SAFETY: the cell of a reserved slot is ours.
        reserved.slot.cell.with_mut(|cell| unsafe { *cell = kept.as_ptr() });
        reserved.slot.word.store(live_word(serial), Ordering::Release);
        std::mem::forget(reserved);
        Ok(made)
    }

    /// The process with this id and serial, if it is in the table.
    #[inline]
    pub(crate) fn lookup(&self, id: u32, serial: u32) -> Option<P> {
        self.with(id, serial, |ptr| {
            // SAFETY: the pointer came from `into_raw` and is in the table, which keeps its count: the value made of it is cloned
            // and not dropped.
            P::clone(&ManuallyDrop::new(unsafe { P::from_raw(ptr) }))
        })
    }

    /// Calls `f` with the raw form of the handle, without cloning it, while the process is held in the table.
    ///
    /// `f` runs under the slot's spin lock: it must be short, run no foreign code, and not come back to this table.
    #[inline]
    pub(crate) fn with<R>(&self, id: u32, serial: u32, f: impl FnOnce(NonNull<()>) -> R) -> Option<R> {
        let locked = self.lock(id, serial)?;
        Some(f(locked.handle()))
    }

    /// Takes the process out; from then on its pid finds nothing. The handle is the caller's to drop.
    #[inline]
    pub(crate) fn remove(&self, id: u32, serial: u32) -> Option<P> {
        let locked = self.lock(id, serial)?;
        let ptr = locked.handle();
        let slot = ManuallyDrop::new(locked).slot;
        slot.word.store(u64::from(serial) << 32, Ordering::Release);
        self.give_back(id, serial);
        // SAFETY: the slot held this pointer from `into_raw`, and only we could take it: the word is live no more.
        Some(unsafe { P::from_raw(ptr) })
    }

    /// How many processes there are, with those about to become visible.
    pub(crate) fn len(&self) -> usize {
        self.free.lock().live as usize
    }

    /// Calls `f` with id and serial of every process, in the order of ids. Processes that come or go meanwhile may be in it or
    /// not. No lock is held while `f` runs.
    pub(crate) fn for_each_id(&self, mut f: impl FnMut(u32, u32)) {
        let used = self.free.lock().used;
        for id in 1..=used {
            // A locked slot is as live as any other; the word alone says so.
            let word = self.slot(id).map_or(0, |slot| slot.word.load(Ordering::Acquire));
            if word & LIVE != 0 {
                f(id, serial_of(word));
            }
        }
    }

    #[inline]
    fn slot(&self, id: u32) -> Option<&Slot> {
        let (page, offset) = place(id)?;
        let first = NonNull::new(self.pages[page].load(Ordering::Acquire))?;
        // SAFETY: a page has the length that `place` counts with, and lives as long as the table.
        Some(unsafe { first.add(offset).as_ref() })
    }

    #[inline]
    fn lock(&self, id: u32, serial: u32) -> Option<Locked<'_>> {
        let slot = self.slot(id)?;
        let expected = live_word(serial);
        let mut spins = 0u32;
        loop {
            match slot.word.compare_exchange(expected, expected | LOCK, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(Locked { slot, unlocked: expected }),
                Err(now) if now != expected | LOCK => return None,
                Err(_) => {
                    // The holder is a few instructions from the end, unless it was preempted.
                    spins += 1;
                    if spins.is_multiple_of(64) {
                        thread::yield_now();
                    }
                    spin();
                },
            }
        }
    }

    #[inline]
    fn reserve(&self) -> Result<Reserved<'_, P>, TableFull> {
        let mut free = self.free.lock();
        let unused = free.used < self.limit;
        let id = if free.len > 0 && (free.len > KEEP_FREE || !unused) {
            self.take_first(&mut free)
        } else if unused {
            self.take_unused(&mut free)
        } else {
            return Err(TableFull);
        };
        free.live += 1;
        drop(free);
        match self.slot(id) {
            Some(slot) => Ok(Reserved { table: self, slot, id }),
            None => unreachable!("the page of an id that was given out exists"),
        }
    }

    /// Takes the slot that has been free for longest; there is one.
    #[inline]
    fn take_first(&self, free: &mut MutexGuard<'_, Free>) -> u32 {
        let id = free.first;
        free.len -= 1;
        if free.len > 0 {
            // SAFETY: the cell of a slot in the free list is the mutex's, and every slot but the last holds its successor's id.
            free.first = self.slot(id).map_or(0, |s| s.cell.with(|cell| unsafe { *cell }.addr() as u32));
        }
        id
    }

    /// Takes a slot that was never used, making its page if it is the first one there; there is one.
    #[inline]
    fn take_unused(&self, free: &mut MutexGuard<'_, Free>) -> u32 {
        free.used += 1;
        if let Some((page, 0)) = place(free.used) {
            self.pages[page].store(table_page::alloc(page_len(page)).as_ptr(), Ordering::Release);
        }
        free.used
    }

    /// Puts a slot that is neither live nor reserved any more at the end of the free list. Its last serial is `serial`.
    #[inline]
    fn give_back(&self, id: u32, serial: u32) {
        let mut free = self.free.lock();
        free.live -= 1;
        if serial == u32::MAX {
            return;
        }
        if free.len == 0 {
            free.first = id;
        } else if let Some(last) = self.slot(free.last) {
            // SAFETY: the cell of a slot in the free list is the mutex's.
            last.cell.with_mut(|cell| unsafe { *cell = ptr::without_provenance_mut(id as usize) });
        }
        free.last = id;
        free.len += 1;
    }
}

impl<P: Handle> Drop for Table<P> {
    fn drop(&mut self) {
        for (page, first) in self.pages.iter().enumerate() {
            let Some(first) = NonNull::new(first.load(Ordering::Relaxed)) else { break };
            for offset in 0..page_len(page) {
                // SAFETY: within the page.
                let slot = unsafe { first.add(offset).as_ref() };
                if slot.word.load(Ordering::Relaxed) & LIVE != 0 {
                    // SAFETY: `&mut self`: nobody else is here, and the page is freed below, so each handle is taken once.
                    drop(unsafe { P::from_raw(handle(slot)) });
                }
            }
            // SAFETY: made by `alloc` with this length, and used no more.
            unsafe { table_page::free(first, page_len(page)) };
        }
    }
}

/// A live slot's lock, held.
struct Locked<'a> {
    slot: &'a Slot,
    unlocked: u64,
}

impl Locked<'_> {
    #[inline]
    fn handle(&self) -> NonNull<()> {
        handle(self.slot)
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.slot.word.store(self.unlocked, Ordering::Release);
    }
}

/// The handle of a live slot that the caller has locked or has for itself.
#[inline]
fn handle(slot: &Slot) -> NonNull<()> {
    // SAFETY: the cell is the caller's, and holds a handle, never null, while the word is live.
    slot.cell.with(|cell| unsafe { NonNull::new_unchecked(*cell) })
}

/// A slot taken and not yet visible; dropped (when `make` panics), it is free again.
struct Reserved<'a, P: Handle> {
    table: &'a Table<P>,
    slot: &'a Slot,
    id: u32,
}

impl<P: Handle> Drop for Reserved<'_, P> {
    fn drop(&mut self) {
        // The serial was never seen by anybody but `make`; skip it all the same, `make` may have handed it out.
        let serial = serial_of(self.slot.word.load(Ordering::Relaxed)) + 1;
        self.slot.word.store(u64::from(serial) << 32, Ordering::Relaxed);
        self.table.give_back(self.id, serial);
    }
}

/// Page `k` holds `FIRST_PAGE << k` slots, so pages 0 to `k` hold `FIRST_PAGE * (2^(k+1) - 1)`.
const PAGES: usize = (32 - FIRST_PAGE.trailing_zeros()) as usize;
const MAX_ID: u32 = u32::MAX - (FIRST_PAGE - 1);

const fn page_len(page: usize) -> usize {
    (FIRST_PAGE as usize) << page
}

/// Page and offset of an id; ids start at 1. `None` for ids that no table gives out.
#[inline]
const fn place(id: u32) -> Option<(usize, usize)> {
    if id == 0 || id > MAX_ID {
        return None;
    }
    // Shifted so that page `k` holds exactly the numbers whose highest bit is that of `FIRST_PAGE << k`.
    let shifted = id - 1 + FIRST_PAGE;
    let page = shifted.ilog2() - FIRST_PAGE.trailing_zeros();
    Some((page as usize, (shifted - (FIRST_PAGE << page)) as usize))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;

    #[derive(Clone)]
    struct Process(Arc<Inner>);

    struct Inner {
        id: u32,
        serial: u32,
        drops: Option<Arc<AtomicUsize>>,
    }

    impl Drop for Inner {
        fn drop(&mut self) {
            if let Some(drops) = &self.drops {
                drops.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    // SAFETY: an `Arc`'s raw form.
    unsafe impl Handle for Process {
        fn into_raw(self) -> NonNull<()> {
            NonNull::new(Arc::into_raw(self.0).cast_mut().cast()).unwrap()
        }
        unsafe fn from_raw(ptr: NonNull<()>) -> Self {
            // SAFETY: by the caller's promise.
            Process(unsafe { Arc::from_raw(ptr.as_ptr().cast()) })
        }
    }

    fn process(id: u32, serial: u32) -> Process {
        Process(Arc::new(Inner { id, serial, drops: None }))
    }

    fn ids(table: &Table<Process>) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        table.for_each_id(|id, serial| all.push((id, serial)));
        all
    }

    #[test]
    fn ids_of_a_fresh_table_start_at_one_and_are_sequential() {
        let table = Table::new();
        for id in 1..=1_000 {
            let made = table.insert_with(process).unwrap();
            assert_eq!((made.0.id, made.0.serial), (id, 1));
        }
        assert_eq!(table.len(), 1_000);
        assert!(ids(&table).into_iter().eq((1..=1_000).map(|id| (id, 1))));
        assert_eq!(table.lookup(777, 1).unwrap().0.id, 777);
    }

    #[test]
    fn an_empty_table_is_small_and_finds_nothing() {
        assert!(size_of::<Table<Process>>() <= 256);
        assert_eq!(size_of::<Slot>(), 16);
        let table = Table::<Process>::new();
        for id in [0, 1, 64, 65, MAX_ID, u32::MAX] {
            assert!(table.lookup(id, 0).is_none());
            assert!(table.lookup(id, 1).is_none());
            assert!(table.remove(id, 1).is_none());
        }
    }

    #[test]
    fn every_id_has_its_own_place() {
        assert_eq!((place(0), place(MAX_ID + 1)), (None, None));
        assert_eq!(place(1), Some((0, 0)));
        assert_eq!(place(64), Some((0, 63)));
        assert_eq!(place(65), Some((1, 0)));
        assert_eq!(place(MAX_ID), Some((PAGES - 1, page_len(PAGES - 1) - 1)));
        let mut next = (0, 0);
        for id in 1..=10_000 {
            assert_eq!(place(id), Some(next));
            next.1 += 1;
            if next.1 == page_len(next.0) {
                next = (next.0 + 1, 0);
            }
        }
    }

    #[test]
    fn a_removed_process_is_not_found_and_its_slot_gets_a_new_serial() {
        let table = Table::with_limit(1);
        let first = table.insert_with(process).unwrap();
        assert_eq!(table.insert_with(process).err(), Some(TableFull));
        assert!(table.remove(1, 2).is_none());
        assert!(Arc::ptr_eq(&table.remove(1, 1).unwrap().0, &first.0));
        assert!(table.remove(1, 1).is_none());
        assert!(table.lookup(1, 1).is_none());
        let second = table.insert_with(process).unwrap();
        assert_eq!((second.0.id, second.0.serial), (1, 2));
        assert!(table.lookup(1, 1).is_none());
        assert_eq!(table.with(1, 2, |ptr| ptr.as_ptr() as usize), Some(Arc::as_ptr(&second.0) as usize));
    }

    #[test]
    fn churn_reuses_the_longest_free_slot_and_keeps_memory_flat() {
        let table = Table::new();
        let mut last_use = std::collections::BTreeMap::new();
        for round in 0..10_000u32 {
            let made = table.insert_with(process).unwrap();
            table.remove(made.0.id, made.0.serial).unwrap();
            if let Some(before) = last_use.insert(made.0.id, round) {
                assert!(round - before > KEEP_FREE);
            }
        }
        assert_eq!(last_use.len(), KEEP_FREE as usize + 1);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_slot_with_its_serials_used_up_is_retired() {
        let table = Table::with_limit(1);
        let made = table.insert_with(process).unwrap();
        table.remove(made.0.id, made.0.serial).unwrap();
        table.slot(1).unwrap().word.store(u64::from(u32::MAX - 1) << 32, Ordering::Relaxed);
        let last = table.insert_with(process).unwrap();
        assert_eq!(last.0.serial, u32::MAX);
        assert!(table.lookup(1, u32::MAX).is_some());
        table.remove(1, u32::MAX).unwrap();
        assert!(table.lookup(1, u32::MAX).is_none());
        assert_eq!(table.insert_with(process).err(), Some(TableFull));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_panic_while_the_process_is_made_frees_the_slot() {
        let table = Table::with_limit(1);
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = table.insert_with(|_, _| panic!("no process"));
        }));
        assert!(made.is_err());
        assert_eq!(table.len(), 0);
        assert_eq!(table.insert_with(process).unwrap().0.serial, 2);
    }

    #[test]
    fn a_process_is_visible_only_once_it_is_made() {
        let table = Table::new();
        table
            .insert_with(|id, serial| {
                assert!(table.lookup(id, serial).is_none());
                assert_eq!(ids(&table), []);
                process(id, serial)
            })
            .unwrap();
        assert_eq!(ids(&table), [(1, 1)]);
    }

    #[test]
    fn dropping_the_table_drops_what_is_in_it() {
        let drops = Arc::new(AtomicUsize::new(0));
        let table = Table::new();
        let make = |id, serial| Process(Arc::new(Inner { id, serial, drops: Some(drops.clone()) }));
        for _ in 0..200 {
            table.insert_with(make).unwrap();
        }
        table.remove(100, 1);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        drop(table);
        assert_eq!(drops.load(Ordering::SeqCst), 200);
    }

    #[test]
    fn lookups_beside_churn_never_return_another_process() {
        let drops = Arc::new(AtomicUsize::new(0));
        let table = Table::with_limit(8);
        let finished = AtomicBool::new(false);
        let made = thread::scope(|scope| {
            let churning: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut made = 0;
                        for _ in 0..50_000 {
                            let make = |id, serial| {
                                Process(Arc::new(Inner { id, serial, drops: Some(drops.clone()) }))
                            };
                            let process = table.insert_with(make).unwrap();
                            assert!(table.lookup(process.0.id, process.0.serial).is_some());
                            assert!(table.remove(process.0.id, process.0.serial).is_some());
                            assert!(table.remove(process.0.id, process.0.serial).is_none());
                            made += 1;
                        }
                        made
                    })
                })
                .collect();
            let looking = scope.spawn(|| {
                let mut hits = 0usize;
                while !finished.load(Ordering::Acquire) {
                    table.for_each_id(|id, serial| {
                        if let Some(found) = table.lookup(id, serial) {
                            assert_eq!((found.0.id, found.0.serial), (id, serial));
                            hits += 1;
                        }
                    });
                }
                hits
            });
            let made: usize = churning.into_iter().map(|thread| thread.join().unwrap()).sum();
            finished.store(true, Ordering::Release);
            looking.join().unwrap();
            made
        });
        assert_eq!(table.len(), 0);
        assert_eq!(drops.load(Ordering::SeqCst), made);
    }
}
