//! The synchronisation primitives that the kernel's protocols are written on.
//!
//! Every file that implements a protocol between threads (state word, mailbox, reply slot, process table, run queue) takes its
//! atomics, mutex and cell from here and from nowhere else. The crate `purlin-models` compiles those same files against a
//! `sync` module made of loom's types, so what is model-checked is what ships.

use std::sync::PoisonError;

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{Arc, MutexGuard};

/// A mutex without poisoning: no user code runs under any of the kernel's locks, so a panic cannot leave one half-updated.
#[derive(Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An `UnsafeCell` with loom's closure interface, so that models can check every access.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[allow(dead_code, reason = "the model crate and the kernel use different halves of the interface")]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Stores a pointer, with a full barrier between the store and the SeqCst loads that follow.
#[inline(always)]
pub(crate) fn publish<T>(place: &AtomicPtr<T>, pointer: *mut T) {
    // An exchange is the cheapest full barrier there is on x86. Its place in the single total order, before that of the next SeqCst load, is
    // all that is wanted of it.
    place.swap(pointer, Ordering::SeqCst);
}

/// Tells the processor that this is a spin loop.
#[inline(always)]
pub(crate) fn spin() {
    std::hint::spin_loop();
}
