//! The run queue that all executors share: what is scheduled from elsewhere, and what overflows an executor's own ring.

use std::collections::VecDeque;

use crate::sync::{AtomicUsize, Mutex, Ordering};

/// A queue under a mutex, whose length can be seen without it.
///
/// The length is a hint: who goes to sleep because of it must have announced that to [`Idle`](super::idle::Idle) before looking, and
/// who pushes must look there afterwards.
pub(crate) struct Injector<T> {
    queue: Mutex<VecDeque<T>>,
    len: AtomicUsize,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Injector<T> {
        Injector { queue: Mutex::new(VecDeque::new()), len: AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, item: T) {
        let mut queue = self.queue.lock();
        queue.push_back(item);
        self.len.store(queue.len(), Ordering::Relaxed);
    }

    /// The oldest item. May miss one that is being pushed.
    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut queue = self.queue.lock();
        let item = queue.pop_front();
        self.len.store(queue.len(), Ordering::Relaxed);
        item
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }
}
