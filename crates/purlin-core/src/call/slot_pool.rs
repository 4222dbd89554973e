//! Where reply slots come from: a small stack of free slots per thread, then the allocator.
//!
//! Kept apart from the slot's protocol, so that the models, which must see every slot made and destroyed, can replace it.
//! A slot is usually freed by the waiter, hence on the thread that will ask for the next one; a thread that only frees keeps at
//! most [`KEPT`] of them.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::slot::Slot;

/// Free slots that a thread keeps (56 bytes each).
const KEPT: usize = 64;

struct Pool {
    len: Cell<usize>,
    slots: [Cell<*mut Slot>; KEPT],
}

thread_local! {
    static POOL: Pool =
        const { Pool { len: Cell::new(0), slots: [const { Cell::new(ptr::null_mut()) }; KEPT] } };
}

/// A slot that is nobody else's. Its cells are empty; its word may hold anything.
#[inline]
pub(super) fn alloc() -> NonNull<Slot> {
    POOL.try_with(Pool::pop).ok().flatten().unwrap_or_else(|| NonNull::from(Box::leak(Box::new(Slot::new()))))
}

/// Takes a slot back.
///
/// # Safety
/// `slot` came from [`alloc`], its cells are empty, and nobody uses it any more.
#[inline]
pub(super) unsafe fn free(slot: NonNull<Slot>) {
    // After the thread's locals are destroyed there is no pool: straight to the allocator.
    if !POOL.try_with(|pool| pool.push(slot)).unwrap_or(false) {
        // SAFETY: every slot starts as a leaked box, and this is its only owner.
        drop(unsafe { Box::from_raw(slot.as_ptr()) });
    }
}

impl Pool {
    #[inline]
    fn pop(&self) -> Option<NonNull<Slot>> {
        let len = self.len.get().checked_sub(1)?;
        self.len.set(len);
        NonNull::new(self.slots[len].get())
    }

    /// `false` if the pool is full.
    #[inline]
    fn push(&self, slot: NonNull<Slot>) -> bool {
        let len = self.len.get();
        let Some(place) = self.slots.get(len) else { return false };
        place.set(slot.as_ptr());
        self.len.set(len + 1);
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        while let Some(slot) = self.pop() {
            // SAFETY: slots in the pool are leaked boxes that nobody uses.
            drop(unsafe { Box::from_raw(slot.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_takes_no_more_and_what_came_last_goes_first() {
        let pool = Pool { len: Cell::new(0), slots: [const { Cell::new(ptr::null_mut()) }; KEPT] };
        let fresh = || NonNull::from(Box::leak(Box::new(Slot::new())));
        let slots: Vec<_> = (0..KEPT).map(|_| fresh()).collect();
        assert!(slots.iter().all(|slot| pool.push(*slot)));
        let surplus = fresh();
        assert!(!pool.push(surplus));
        // SAFETY: the pool did not take it, so it is a leaked box of ours.
        drop(unsafe { Box::from_raw(surplus.as_ptr()) });
        assert!(slots.iter().rev().all(|slot| pool.pop() == Some(*slot)));
        assert_eq!(pool.pop(), None);
        // The pool frees them when it goes.
        assert!(slots.iter().all(|slot| pool.push(*slot)));
    }
}
