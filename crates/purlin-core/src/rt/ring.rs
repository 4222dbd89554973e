//! A worker's local run queue: a bounded FIFO ring of raw pointers that one thread fills and every thread may empty.
//!
//! ```text
//!            head (any thread, CAS)          tail (owner, store)
//!              │                               │
//!   ┄┄ free ┄┄ [ h ][h+1][   ...   ][t-2][t-1] ┄┄ free ┄┄        slot of index i = i mod N
//! ```
//!
//! `head` and `tail` are 64-bit indices that only ever grow (a ring that moves a pointer per nanosecond wraps after 584 years, so
//! no index value ever occurs twice). The elements are those with `head <= i < tail`.
//!
//! # Invariants
//!
//! 1. Only the owner writes slots and `tail`; it writes the slot of index `i` only after it read a `head > i - N`.
//! 2. `head` grows only by a successful CAS; whoever moves it from `h` to `h + n` owns the elements `h .. h + n`, and nobody else.
//!    Since a value of `head` never returns, at most one CAS succeeds from each `h`: every element goes to exactly one consumer,
//!    and what one consumer gets is in ascending order.
//! 3. A consumer reads the slots *before* its CAS, as relaxed atomics: what it reads may be garbage by then, but only if `head` has
//!    moved, and then its CAS fails and the garbage is forgotten.
//!
//! # Ordering
//!
//! * `tail`: the owner's store releases, the consumer's load acquires: the slot, and all that the producer did to the pointee
//!   before it pushed, are visible.
//! * `head`: the CAS releases, the owner's load in `push` acquires (a chain of CASes is one release sequence). So a consumer's slot
//!   reads, which come before its CAS, happen before the owner's next write to these slots, and cannot return what that wrote. This
//!   is what makes (3) safe: a successful CAS proves that the values read are those of its indices. No model can show this pair to
//!   be needed, because a model checker never lets a load return a store that comes later; the argument must do.
//! * A consumer needs nothing from the consumers before it: its own loads of `head` are relaxed. Either index may be stale. A `tail`
//!   that is behind `head` reads as empty; a `head` so old that `tail - head > N` fails the CAS.
//! * `steal_into` publishes in the destination with a releasing store after it acquired the source's `tail`: a third thread that
//!   takes the pointer there sees the pointee too.

use std::array;
use std::ptr::{self, NonNull};

use crate::sync::{AtomicPtr, AtomicU64, Ordering};

/// The ring. `N`, a power of two, is how many pointers it holds. It does not own what they point to: empty it before dropping it.
pub(crate) struct Ring<const N: usize> {
    head: AtomicU64,
    tail: AtomicU64,
    slots: [AtomicPtr<()>; N],
}

impl<const N: usize> Ring<N> {
    const MASK: u64 = {
        assert!(N.is_power_of_two() && N >= 2, "the capacity is a power of two");
        N as u64 - 1
    };

    /// An empty ring.
    pub(crate) fn new() -> Self {
        Ring {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            slots: array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// Appends a pointer; gives it back if the ring is full.
    ///
    /// # Safety
    /// Called only by the ring's owner: never by two threads at once, and never beside a [`steal_into`](Self::steal_into) whose
    /// destination is this ring.
    #[inline]
    pub(crate) unsafe fn push(&self, ptr: NonNull<()>) -> Result<(), NonNull<()>> {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail - self.head.load(Ordering::Acquire) >= N as u64 {
            return Err(ptr);
        }
        self.slot(tail).store(ptr.as_ptr(), Ordering::Relaxed);
        self.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    /// Takes the oldest pointer; any thread.
    #[inline]
    pub(crate) fn pop(&self) -> Option<NonNull<()>> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head >= self.tail.load(Ordering::Acquire) {
                return None;
            }
            let ptr = self.slot(head).load(Ordering::Relaxed);
            match self.head.compare_exchange_weak(head, head + 1, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return NonNull::new(ptr),
                Err(now) => head = now,
            }
        }
    }

    /// Moves the older half (rounded up, as far as `dst` has room) of the pointers; all but the first go into `dst`, the first,
    /// which is the oldest, is returned to be run. `None` if the ring is empty.
    ///
    /// # Safety
    /// Called only by the owner of `dst`, as in [`push`](Self::push); `dst` is another ring.
    pub(crate) unsafe fn steal_into(&self, dst: &Ring<N>) -> Option<NonNull<()>> {
        debug_assert!(!ptr::eq(self, dst), "a ring does not steal from itself");
        let dst_tail = dst.tail.load(Ordering::Relaxed);
        let room = N as u64 - (dst_tail - dst.head.load(Ordering::Acquire));
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let tail = self.tail.load(Ordering::Acquire);
            if head >= tail {
                return None;
            }
            let len = (tail - head).min(N as u64);
            let kept = (len.div_ceil(2) - 1).min(room);
            let first = self.slot(head).load(Ordering::Relaxed);
            for i in 0..kept {
                // Beyond `dst.tail` nobody looks: if the CAS fails, these stores never happened.
                let ptr = self.slot(head + 1 + i).load(Ordering::Relaxed);
                dst.slot(dst_tail + i).store(ptr, Ordering::Relaxed);
            }
            match self.head.compare_exchange_weak(head, head + 1 + kept, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => {
                    dst.tail.store(dst_tail + kept, Ordering::Release);
                    return NonNull::new(first);
                },
                Err(now) => head = now,
            }
        }
    }

    /// How many pointers there are; a snapshot if others are at work.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.tail.load(Ordering::Acquire);
        // A stale `head` would make more of it than fits.
        tail.saturating_sub(head).min(N as u64) as usize
    }

    /// Whether there is nothing to take, as far as can be seen.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn slot(&self, index: u64) -> &AtomicPtr<()> {
        &self.slots[(index & Self::MASK) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn ptr(n: usize) -> NonNull<()> {
        NonNull::new(ptr::without_provenance_mut(n)).unwrap()
    }

    #[test]
    fn pointers_come_out_in_the_order_they_went_in() {
        let ring = Ring::<4>::new();
        for round in 0..10 {
            for n in 1..=4 {
                // SAFETY: one thread.
                unsafe { ring.push(ptr(round * 4 + n)) }.unwrap();
            }
            assert_eq!(ring.len(), 4);
            // SAFETY: one thread.
            assert_eq!(unsafe { ring.push(ptr(999)) }, Err(ptr(999)), "full");
            for n in 1..=4 {
                assert_eq!(ring.pop(), Some(ptr(round * 4 + n)));
            }
            assert_eq!(ring.pop(), None);
            assert!(ring.is_empty());
        }
    }

    #[test]
    fn a_thief_takes_the_older_half_and_runs_the_oldest() {
        let (victim, thief) = (Ring::<8>::new(), Ring::<8>::new());
        // SAFETY: one thread.
        unsafe {
            assert_eq!(victim.steal_into(&thief), None);
            for n in 1..=7 {
                victim.push(ptr(n)).unwrap();
            }
            assert_eq!(victim.steal_into(&thief), Some(ptr(1)));
        }
        assert_eq!((victim.len(), thief.len()), (3, 3));
        assert_eq!([thief.pop(), thief.pop(), thief.pop()], [Some(ptr(2)), Some(ptr(3)), Some(ptr(4))]);
        assert_eq!([victim.pop(), victim.pop(), victim.pop()], [Some(ptr(5)), Some(ptr(6)), Some(ptr(7))]);
    }

    #[test]
    fn a_full_thief_takes_one() {
        let (victim, thief) = (Ring::<4>::new(), Ring::<4>::new());
        // SAFETY: one thread.
        unsafe {
            for n in 1..=4 {
                victim.push(ptr(n)).unwrap();
                thief.push(ptr(10 + n)).unwrap();
            }
            assert_eq!(victim.steal_into(&thief), Some(ptr(1)));
        }
        assert_eq!((victim.len(), thief.len()), (3, 4));
        assert_eq!(thief.pop(), Some(ptr(11)));
    }

    #[test]
    fn every_pointer_is_taken_exactly_once_by_owner_and_thieves() {
        const TOTAL: usize = 300_000;
        let ring = Ring::<16>::new();
        let finished = AtomicBool::new(false);
        let mut taken: Vec<Vec<usize>> = thread::scope(|scope| {
            let thieves: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let own = Ring::<16>::new();
                        let mut got = Vec::new();
                        loop {
                            let last = finished.load(Ordering::Acquire);
                            // SAFETY: `own` is this thread's.
                            while let Some(first) = unsafe { ring.steal_into(&own) } {
                                got.push(first.addr().get());
                                got.extend(std::iter::from_fn(|| own.pop()).map(|p| p.addr().get()));
                            }
                            if last {
                                return got;
                            }
                            thread::yield_now();
                        }
                    })
                })
                .collect();
            let mut got = Vec::new();
            for n in 1..=TOTAL {
                // SAFETY: this is the only thread that pushes.
                while unsafe { ring.push(ptr(n)) }.is_err() {
                    got.extend(ring.pop().map(|p| p.addr().get()));
                }
            }
            got.extend(std::iter::from_fn(|| ring.pop()).map(|p| p.addr().get()));
            finished.store(true, Ordering::Release);
            let mut all: Vec<_> = thieves.into_iter().map(|t| t.join().unwrap()).collect();
            all.push(got);
            all
        });
        for one in &taken {
            assert!(one.is_sorted(), "what one consumer takes is in order");
        }
        let mut all: Vec<_> = taken.drain(..).flatten().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(1..=TOTAL));
    }
}
