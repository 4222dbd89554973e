//! Values that are counted: what the kernel is given to keep, send and drop.

use std::sync::atomic::{AtomicI64, Ordering};

static LIVE: AtomicI64 = AtomicI64::new(0);

/// A value with memory of its own, so that valgrind sees a lost one, a use after it is gone, and a second drop; and counted, so that
/// the program sees it too.
#[derive(Debug, PartialEq)]
pub(crate) struct Held(Box<u64>);

impl Held {
    pub(crate) fn new(value: u64) -> Held {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Held(Box::new(value))
    }

    /// What it was made with.
    pub(crate) fn value(&self) -> u64 {
        *self.0
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        Held::new(self.value())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many are there now; 0 when everything the program made is gone.
pub(crate) fn live() -> i64 {
    LIVE.load(Ordering::SeqCst)
}
