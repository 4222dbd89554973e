//! The process table: a pid finds its own process or nothing, each handle is counted right, and each is taken out once.

use std::ptr::NonNull;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::check;
use crate::process::table::{Handle, Table, TableFull};

/// loom's counted pointer: reports a leak, one drop too many, and a use after the last.
#[derive(Clone)]
struct Process(Arc<Inner>);

struct Inner {
    /// Written once it is made, so that a finder must have acquired the write.
    pid: UnsafeCell<(u32, u32)>,
}

// SAFETY: the pid is written before the process is shared, and only read afterwards; loom checks it.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

// SAFETY: an `Arc`'s raw form.
unsafe impl Handle for Process {
    fn into_raw(self) -> NonNull<()> {
        NonNull::new(Arc::into_raw(self.0).cast_mut().cast()).expect("not null")
    }
    unsafe fn from_raw(ptr: NonNull<()>) -> Self {
        // SAFETY: by the caller's promise.
        Process(unsafe { Arc::from_raw(ptr.as_ptr().cast()) })
    }
}

fn process(id: u32, serial: u32) -> Process {
    let inner = Inner { pid: UnsafeCell::new((0, 0)) };
    // SAFETY: not shared yet.
    inner.pid.with_mut(|cell| unsafe { *cell = (id, serial) });
    Process(Arc::new(inner))
}

impl Process {
    fn pid(&self) -> (u32, u32) {
        // SAFETY: only read once it is shared.
        self.0.pid.with(|cell| unsafe { *cell })
    }
}

type Shared = std::sync::Arc<Table<Process>>;

fn table(limit: u32) -> Shared {
    std::sync::Arc::new(Table::with_limit(limit))
}

/// Looks a pid up both ways; what is found must be it.
fn look(table: &Table<Process>, id: u32, serial: u32) -> bool {
    match table.lookup(id, serial) {
        Some(found) => {
            assert_eq!(found.pid(), (id, serial), "a pid found another process");
            true
        },
        None => false,
    }
}

/// A process that is just being inserted is not there yet, or all there; also when its page is being made.
pub fn a_process_becomes_visible_all_at_once() {
    check(0, || {
        let table = table(4);
        let other = table.clone();
        let looking = thread::spawn(move || {
            look(&other, 1, 1);
            look(&other, 3, 1);
        });
        for id in 1..=3 {
            assert_eq!(table.insert_with(process).unwrap().pid(), (id, 1));
        }
        looking.join().unwrap();
        assert!(look(&table, 1, 1) && look(&table, 3, 1));
    });
}

/// Lookups beside the end of a process and the reuse of its slot.
pub fn a_stale_pid_never_finds_the_slots_next_process() {
    check(0, || {
        let table = table(1);
        table.insert_with(process).unwrap();
        let other = table.clone();
        let looking = thread::spawn(move || {
            let before = look(&other, 1, 1);
            let after = look(&other, 1, 2);
            (before, after)
        });
        assert_eq!(table.remove(1, 1).expect("nobody else removes it").pid(), (1, 1));
        assert_eq!(table.insert_with(process).unwrap().pid(), (1, 2));
        looking.join().unwrap();
        assert!(!look(&table, 1, 1) && look(&table, 1, 2));
    });
}

/// The raw form seen under the lock is alive for as long as the lock is held.
pub fn a_process_seen_under_the_lock_is_alive() {
    check(0, || {
        let table = table(1);
        table.insert_with(process).unwrap();
        let other = table.clone();
        let looking = thread::spawn(move || {
            other.with(1, 1, |ptr| {
                // SAFETY: the table holds a handle while the lock is held; loom's counted pointer checks it.
                let found = std::mem::ManuallyDrop::new(unsafe { Process::from_raw(ptr) });
                assert_eq!(found.pid(), (1, 1));
            })
        });
        drop(table.remove(1, 1));
        looking.join().unwrap();
    });
}

/// Whoever no longer finds a process sees all that was done before it was removed.
pub fn a_process_found_gone_has_left_everything_in_order() {
    check(0, || {
        let table = table(1);
        table.insert_with(process).unwrap();
        let left = std::sync::Arc::new(AtomicBool::new(false));
        let (other, seen) = (table.clone(), left.clone());
        let looking = thread::spawn(move || {
            if !look(&other, 1, 1) {
                assert!(seen.load(Ordering::Relaxed), "gone, but not in order");
            }
        });
        left.store(true, Ordering::Relaxed);
        drop(table.remove(1, 1));
        looking.join().unwrap();
    });
}

/// Two remove the same process: one gets it. (Of two threads at most one spins: with more, loom lets the spinners take turns for
/// ever.)
pub fn a_process_is_removed_by_one_of_two() {
    check(0, || {
        let table = table(1);
        table.insert_with(process).unwrap();
        let other = table.clone();
        let removing = thread::spawn(move || other.remove(1, 1).is_some());
        let mine = table.remove(1, 1).is_some();
        assert!(removing.join().unwrap() != mine);
        assert_eq!(table.len(), 0);
    });
}

/// Two threads insert and remove: their pids differ, and the free list stays whole.
pub fn inserting_and_removing_on_two_threads_gives_out_no_pid_twice() {
    check(3, || {
        let table = table(2);
        let other = table.clone();
        let churn = |table: &Table<Process>| {
            [(); 2].map(|()| {
                let pid = table.insert_with(process).expect("there are two slots").pid();
                assert!(look(table, pid.0, pid.1));
                assert_eq!(table.remove(pid.0, pid.1).expect("nobody else removes it").pid(), pid);
                pid
            })
        };
        let churning = thread::spawn(move || churn(&other));
        let mine = churn(&table);
        let theirs = churning.join().unwrap();
        assert!(mine.iter().all(|pid| !theirs.contains(pid)) && mine[0] != mine[1] && theirs[0] != theirs[1]);
        assert_eq!(table.len(), 0);
        table.insert_with(process).unwrap();
        table.insert_with(process).unwrap();
        assert_eq!(table.insert_with(process).err(), Some(TableFull));
    });
}

/// A listing beside insertion and removal names only processes that were there.
pub fn a_listing_beside_changes_is_in_order_and_names_no_stranger() {
    check(3, || {
        let table = table(3);
        table.insert_with(process).unwrap();
        let other = table.clone();
        let listing = thread::spawn(move || {
            let mut seen = Vec::new();
            other.for_each_id(|id, serial| seen.push((id, serial)));
            seen
        });
        table.insert_with(process).unwrap();
        drop(table.remove(1, 1));
        table.insert_with(process).unwrap();
        let seen = listing.join().unwrap();
        assert!(seen.is_sorted_by_key(|pid| pid.0), "{seen:?}");
        assert!(seen.iter().all(|pid| [(1, 1), (1, 2), (2, 1)].contains(pid)), "{seen:?}");
    });
}
