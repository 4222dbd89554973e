//! Stands in for the process table's memory: tiny pages of slots made of loom's types.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use super::table::Slot;
use crate::sync::{AtomicU64, UnsafeCell};

/// So small that a third process needs a second page.
pub(super) const FIRST_PAGE: u32 = 2;

/// Every free slot is reused at once.
pub(super) const KEEP_FREE: u32 = 0;

pub(super) fn alloc(len: usize) -> NonNull<Slot> {
    // SAFETY: the layout is not empty. Allocated through loom, which reports a page that is not freed.
    let slots = unsafe { loom::alloc::alloc(layout(len)) }.cast::<Slot>();
    let slots = NonNull::new(slots).expect("memory");
    for i in 0..len {
        let slot = Slot { word: AtomicU64::new(0), cell: UnsafeCell::new(ptr::null_mut()) };
        // SAFETY: within the page.
        unsafe { slots.add(i).write(slot) };
    }
    slots
}

/// # Safety
/// `slots` came from [`alloc`] with the same `len` and is used no more.
pub(super) unsafe fn free(slots: NonNull<Slot>, len: usize) {
    // SAFETY: by the caller's promise.
    unsafe {
        NonNull::slice_from_raw_parts(slots, len).drop_in_place();
        loom::alloc::dealloc(slots.as_ptr().cast(), layout(len));
    }
}

fn layout(len: usize) -> Layout {
    Layout::array::<Slot>(len).expect("a small page")
}
