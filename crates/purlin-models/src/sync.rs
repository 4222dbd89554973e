//! The names of purlin-core's `sync.rs`, made of loom's types.

#![allow(
    unused_imports,
    dead_code,
    reason = "the interface is the kernel's; not every protocol needs all of it"
)]

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use loom::sync::{Arc, MutexGuard};

/// A mutex whose `lock` returns the guard itself.
#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

/// loom knows SeqCst of fences only, and takes an operation's for AcqRel: here the barrier is a fence.
#[track_caller]
pub(crate) fn publish<T>(place: &AtomicPtr<T>, pointer: *mut T) {
    place.store(pointer, Ordering::Release);
    fence(Ordering::SeqCst);
}

/// In a spin loop another thread must get its turn, or the model never ends.
#[track_caller]
pub(crate) fn spin() {
    loom::thread::yield_now();
}
