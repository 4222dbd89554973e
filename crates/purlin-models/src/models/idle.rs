//! Going to sleep beside a push: work is never left to sleeping executors.

use std::ptr::NonNull;
use std::sync::Arc;

use loom::thread::{self, Thread};

use super::check;
use crate::rt::idle::Idle;
use crate::rt::injector::Injector;
use crate::rt::ring::Ring;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// The parts of a scheduler that decide who sleeps.
struct Sched<const WORKERS: usize> {
    idle: Idle,
    injector: Injector<usize>,
    rings: [Ring<2>; WORKERS],
    /// The executors' wakers. Who stops them sees them here, or is seen by them.
    threads: [Mutex<Option<Thread>>; WORKERS],
    done: AtomicUsize,
    stopping: AtomicBool,
}

/// An item that lies in a ring.
fn pointer(number: usize) -> NonNull<()> {
    NonNull::new(std::ptr::without_provenance_mut(number)).expect("numbers begin at 1")
}

impl<const WORKERS: usize> Sched<WORKERS> {
    fn new() -> Arc<Self> {
        Arc::new(Sched {
            idle: Idle::default(),
            injector: Injector::new(),
            rings: std::array::from_fn(|_| Ring::new()),
            threads: std::array::from_fn(|_| Mutex::new(None)),
            done: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        })
    }

    /// From a thread that is no executor.
    fn inject(&self, number: usize) {
        self.injector.push(number);
        self.wake_one();
    }

    fn wake_one(&self) {
        let Some(index) = self.idle.pick() else { return };
        let thread = self.threads[index].lock().clone();
        thread.expect("it has announced itself").unpark();
    }

    fn next(&self, me: usize) -> Option<usize> {
        let own = self.rings[me].pop().or_else(|| self.injector.pop().map(pointer));
        let found = own.or_else(|| {
            let other = (me + 1) % WORKERS;
            // SAFETY: `me` is this thread's ring.
            if other == me { None } else { unsafe { self.rings[other].steal_into(&self.rings[me]) } }
        });
        found.map(|ptr| ptr.addr().get())
    }

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.rings.iter().any(|ring| !ring.is_empty())
    }

    /// Works until `total` items are done; `each` is told what is done.
    fn work(&self, me: usize, total: usize, each: impl Fn(usize)) {
        *self.threads[me].lock() = Some(thread::current());
        loop {
            while let Some(number) = self.next(me) {
                each(number);
                if self.done.fetch_add(1, Ordering::AcqRel) + 1 == total {
                    self.stop();
                }
            }
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            self.idle.announce(me);
            if !self.has_work() && !self.stopping.load(Ordering::Acquire) {
                // A forgotten item is a deadlock, which loom reports.
                thread::park();
            }
            self.idle.retract(me);
        }
    }

    /// As at the end of a node: everybody is woken.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for thread in &self.threads {
            let thread = thread.lock().clone();
            if let Some(thread) = thread {
                thread.unpark();
            }
        }
    }
}

/// A thread that is an executor. (Not the model's first one, which waits for the others and must not be unparked meanwhile.)
fn executor<const WORKERS: usize>(
    sched: &Arc<Sched<WORKERS>>,
    me: usize,
    total: usize,
) -> thread::JoinHandle<()> {
    let sched = sched.clone();
    thread::spawn(move || sched.work(me, total, |_| ()))
}

/// One executor, and a push from elsewhere.
pub fn an_executor_that_falls_asleep_misses_nothing() {
    check(0, || {
        let sched = Sched::<1>::new();
        let working = executor(&sched, 0, 1);
        sched.inject(1);
        working.join().unwrap();
    });
}

/// Two pushes from two threads.
pub fn two_pushes_wake_an_executor() {
    check(3, || {
        let sched = Sched::<1>::new();
        let working = executor(&sched, 0, 2);
        let pushing = sched.clone();
        let other = thread::spawn(move || pushing.inject(1));
        sched.inject(2);
        working.join().unwrap();
        other.join().unwrap();
    });
}

/// Two executors and two pushes from elsewhere: always somebody is awake for them.
pub fn pushes_beside_two_that_fall_asleep_are_seen() {
    check(2, || {
        let sched = Sched::<2>::new();
        let working = [executor(&sched, 0, 2), executor(&sched, 1, 2)];
        sched.inject(1);
        sched.inject(2);
        for thread in working {
            thread.join().unwrap();
        }
    });
}

/// A busy executor that has more than it can start wakes the other one: it may wait for what the other one does.
pub fn an_idle_executor_is_woken_for_anothers_surplus() {
    check(3, || {
        let sched = Sched::<2>::new();
        let (idle, busy) = (sched.clone(), sched.clone());
        let done = Arc::new(AtomicBool::new(false));
        let waited = done.clone();
        let helping = thread::spawn(move || idle.work(1, 1, |_| done.store(true, Ordering::Release)));
        let working = thread::spawn(move || {
            // Inside an activation of executor 0, which schedules two processes and does not come back before one of them was run.
            for number in [1, 2] {
                // SAFETY: this thread is executor 0.
                unsafe { busy.rings[0].push(pointer(number)) }.expect("there is room");
                if busy.rings[0].len() > 1 {
                    busy.wake_one();
                }
            }
            while !waited.load(Ordering::Acquire) {
                thread::yield_now();
            }
        });
        helping.join().unwrap();
        working.join().unwrap();
    });
}
