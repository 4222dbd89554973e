//! The process table's memory and its two sizes.
//!
//! Kept apart from the table's protocol, so that the models, which need tiny tables and slots made of checked types, can replace it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::table::Slot;

/// Slots in the first page, a power of two; each further page has twice as many. Small, because a program may run many nodes.
pub(super) const FIRST_PAGE: u32 = 64;

/// The free list is used while it is longer than this.
pub(super) const KEEP_FREE: u32 = 64;

/// `len` fresh slots.
///
/// A large page is mapped and cleared by the operating system as it is used: growing the table never stops the world.
#[cold]
pub(super) fn alloc(len: usize) -> NonNull<Slot> {
    let layout = layout(len);
    // SAFETY: the layout is not empty. All zeros is a valid `Slot`: an atomic 0 and a null pointer.
    let slots = unsafe { alloc_zeroed(layout) };
    NonNull::new(slots.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Gives a page back. Slots own nothing.
///
/// # Safety
/// `slots` came from [`alloc`] with the same `len` and is used no more.
pub(super) unsafe fn free(slots: NonNull<Slot>, len: usize) {
    // SAFETY: by the caller's promise.
    unsafe { dealloc(slots.as_ptr().cast(), layout(len)) };
}

fn layout(len: usize) -> Layout {
    match Layout::array::<Slot>(len) {
        Ok(layout) => layout,
        Err(_) => unreachable!("the largest page has 2^31 slots"),
    }
}
