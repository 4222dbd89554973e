//! Who has nothing to do: how an executor goes to sleep without missing work.
//!
//! An executor that finds nothing announces that it is idle, looks for work once more, and sleeps. A party that adds work makes it
//! visible, then looks for somebody idle and wakes one. Between the two steps of each side lies a SeqCst fence, so at least one of them
//! sees the other (Dekker): no wake-up is lost. Model-checked in `purlin-models`.

use crate::sync::{AtomicU64, Ordering, fence};

/// The most executors that one mask can tell apart.
pub(crate) const MOST: usize = u64::BITS as usize;

/// The idle executors, one bit each.
#[derive(Default)]
pub(crate) struct Idle(AtomicU64);

impl Idle {
    /// Executor `index` has found nothing. It must look for work once more before it sleeps, and [`retract`](Self::retract) if it finds
    /// some.
    pub(crate) fn announce(&self, index: usize) {
        self.0.fetch_or(1 << index, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// Executor `index` is at work.
    pub(crate) fn retract(&self, index: usize) {
        self.0.fetch_and(!(1 << index), Ordering::AcqRel);
    }

    /// Picks an idle executor for work that the caller has just made visible; the caller must wake it. Nobody else picks the same one
    /// until it announces itself again.
    #[inline]
    pub(crate) fn pick(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        let mut mask = self.0.load(Ordering::Relaxed);
        while mask != 0 {
            let bit = mask & mask.wrapping_neg();
            let before = self.0.fetch_and(!bit, Ordering::AcqRel);
            if before & bit != 0 {
                return Some(bit.trailing_zeros() as usize);
            }
            mask = before & !bit;
        }
        None
    }

    /// How many are idle; a snapshot.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed).count_ones() as usize
    }
}
