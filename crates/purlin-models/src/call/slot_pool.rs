//! Stands in for the pool of reply slots: makes every slot anew, and keeps freed ones in quarantine until the model's next run, so
//! that a use after the end is an error that loom reports, not undefined behaviour.

use std::cell::RefCell;
use std::ptr::NonNull;

use loom::alloc::Track;

use super::slot::Slot;

/// A slot with the token by which loom notices that it was not freed. The slot comes first: a pointer to it is one to the whole.
#[repr(C)]
struct Tracked {
    slot: Slot,
    token: Option<Track<()>>,
}

thread_local! {
    // loom runs all threads of a model on one thread of the system.
    static QUARANTINE: RefCell<Vec<NonNull<Tracked>>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn alloc() -> NonNull<Slot> {
    let tracked = Box::leak(Box::new(Tracked { slot: Slot::new(), token: Some(Track::new(())) }));
    NonNull::from(tracked).cast()
}

/// # Safety
/// `slot` came from [`alloc`].
pub(super) unsafe fn free(slot: NonNull<Slot>) {
    let tracked = slot.cast::<Tracked>();
    // SAFETY: quarantined slots keep their memory until the next run, so the pointer is valid even if this is one free too many.
    let tracked_mut = unsafe { &mut *tracked.as_ptr() };
    assert!(tracked_mut.token.take().is_some(), "the slot is freed twice");
    // To loom, freeing is a write to all of the slot: it must come after every access of either half.
    tracked_mut.slot.word.with_mut(|_| ());
    tracked_mut.slot.waker.with_mut(|_| ());
    tracked_mut.slot.value.with_mut(|_| ());
    QUARANTINE.with_borrow_mut(|list| list.push(tracked));
}

/// Releases the slots of the run before.
pub(crate) fn empty_quarantine() {
    for tracked in QUARANTINE.take() {
        // SAFETY: made by `Box::leak`, and listed once, because the token was there.
        drop(unsafe { Box::from_raw(tracked.as_ptr()) });
    }
}
