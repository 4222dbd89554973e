//! The reply slot: a pooled, two-party oneshot between the one who waits and the one who answers.
//!
//! [`pair`] takes a slot from the pool and hands out its two halves, one pointer each. All slots have one type, whatever the
//! reply's type is: a value of up to four words lies in the slot, a larger one in a box.
//!
//! # State
//!
//! One word of independent bits. Each bit has one writer and is set at most once in a slot's life, except `WAKER`, which the
//! waiter sets and clears.
//!
//! ```text
//!  bit            set by    meaning
//!  WAKER          waiter    a waker lies in its cell
//!  ABANDONED      waiter    the waiter will never look again
//!  SENT           replier   a value lies in its cell           } "done": at most one of them,
//!  FAILED         replier   there will never be a value        } and never after ABANDONED
//!  DEFERRED       replier   a hint passed on to the waiter
//!  WAITER_GONE    waiter    touches the slot no more           } whoever finds the other's bit
//!  REPLIER_GONE   replier   touches the slot no more           } already set frees the slot
//!
//!                     ┌──────── replier: CAS ────────► done ──┐
//!   waiting (± WAKER) ┤                                       ├──► both GONE ──► pool
//!                     └── waiter: fetch_or ──► ABANDONED ─────┘
//! ```
//!
//! There is no "writing" state on which the other side would have to spin: the replier writes the value *before* it tries to
//! publish it, and takes it back when it turns out that nobody waits any more.
//!
//! # Who owns what
//!
//! * **Value cell.** The replier's until a CAS that sets `SENT` succeeds, the waiter's from then on. The CAS fails once
//!   `ABANDONED` is set, so exactly one side drops the value: the replier gives an unwanted one back to its caller, the waiter
//!   drops one that was sent and never taken.
//! * **Waker cell.** The waiter's while `WAKER` is clear. While it is set nobody writes the cell. The replier reads the waker out
//!   if, and only if, the CAS that made the slot done saw `WAKER`; the waiter takes its own waker back if, and only if, an RMW of
//!   its own (which set or cleared `WAKER`, or set `ABANDONED`) shows that the slot was not done before it, or that it became done
//!   while `WAKER` was clear. All these RMWs are on one word, hence totally ordered: exactly one of the two gets the waker.
//! * **The slot.** A half that has set its `GONE` bit never touches the slot again. Done and `ABANDONED` do not imply it: the
//!   replier may still have to read the waker, the waiter the value. The last to go returns the slot to the pool.
//!
//! A slot is reused only when *both* halves are gone, so no half of an earlier call can ever reach a later one. That is why there
//! is no generation in the word: a late reply finds its own, abandoned slot.
//!
//! # Ordering
//!
//! * The replier's CAS releases the value, and acquires the waker (published by the waiter's releasing `fetch_or(WAKER)`).
//! * Whatever shows the waiter that the slot is done (load, `fetch_or`, `fetch_and`) acquires, hence sees the value.
//! * Both `GONE` bits are set by acquire-release RMWs, or, by the replier that has no waker to read, in its CAS. The one who frees
//!   has therefore acquired all that the other side did.
//! * `DEFERRED` is relaxed: it is on the same word as `SENT` and `FAILED`, and set before them by the same half.
//!
//! # User code
//!
//! A waker's `wake`, `clone` and `drop`, and the value's `drop`, run only where no bit makes the other side wait, and after the
//! slot is given back where that is possible. They may panic, or make calls of their own.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};

use super::slot_pool;
use crate::sync::{AtomicU32, Ordering, UnsafeCell};

const WAKER: u32 = 1;
const ABANDONED: u32 = 1 << 1;
const SENT: u32 = 1 << 2;
const FAILED: u32 = 1 << 3;
const DEFERRED: u32 = 1 << 4;
const WAITER_GONE: u32 = 1 << 5;
const REPLIER_GONE: u32 = 1 << 6;

const DONE: u32 = SENT | FAILED;

/// Makes the two halves of a reply that is due.
pub(crate) fn pair<R: Send>() -> (Waiter<R>, Replier<R>) {
    let slot = slot_pool::alloc();
    // SAFETY: a slot from the pool is valid and nobody else's.
    let word = unsafe { &slot.as_ref().word };
    word.store(0, Ordering::Relaxed);
    (Waiter { slot: slot.as_ptr(), reply: PhantomData }, Replier { slot, reply: PhantomData })
}

/// A pair whose reply comes from wherever the replier is taken to: [`Waiter::is_deferred`] from the beginning.
#[allow(dead_code, reason = "not used by the models")]
pub(crate) fn deferred_pair<R: Send>() -> (Waiter<R>, Replier<R>) {
    let pair = pair();
    // SAFETY: both halves are here.
    unsafe { pair.1.slot.as_ref() }.word.store(DEFERRED, Ordering::Relaxed);
    pair
}

/// The shared state of a pair; see the module's documentation.
pub(crate) struct Slot {
    pub(super) word: AtomicU32,
    pub(super) waker: UnsafeCell<MaybeUninit<Waker>>,
    pub(super) value: UnsafeCell<[MaybeUninit<u64>; INLINE_WORDS]>,
}

impl Slot {
    pub(crate) fn new() -> Slot {
        Slot {
            word: AtomicU32::new(0),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            value: UnsafeCell::new([MaybeUninit::uninit(); INLINE_WORDS]),
        }
    }

    /// Moves `value` into its cell.
    ///
    /// # Safety
    /// The value cell is the caller's, and empty.
    #[inline]
    unsafe fn put_value<R>(&self, value: R) {
        self.value.with_mut(|cell| {
            if is_inline::<R>() {
                // SAFETY: `R` fits by size and alignment, and the cell is the caller's.
                unsafe { cell.cast::<R>().write(value) };
            } else {
                // SAFETY: a pointer fits, and the cell is the caller's.
                unsafe { cell.cast::<*mut R>().write(Box::into_raw(Box::new(value))) };
            }
        });
    }

    /// Moves the value out of its cell.
    ///
    /// # Safety
    /// The value cell is the caller's and holds an `R` put there by `put_value`.
    #[inline]
    unsafe fn take_value<R>(&self) -> R {
        self.value.with_mut(|cell| {
            if is_inline::<R>() {
                // SAFETY: the cell holds an `R` in place; it is read once.
                unsafe { cell.cast::<R>().read() }
            } else {
                // SAFETY: the cell holds the raw form of a `Box<R>`; it is read once.
                *unsafe { Box::from_raw(cell.cast::<*mut R>().read()) }
            }
        })
    }

    /// Copies the waker out of its cell.
    ///
    /// # Safety
    /// The cell holds a waker, the caller is the one entitled to it, and does this once.
    #[inline]
    unsafe fn take_waker(&self) -> Waker {
        // A read, not a write: the waiter may be comparing the waker at this moment.
        // SAFETY: by the caller's promise.
        self.waker.with(|cell| unsafe { (*cell).assume_init_read() })
    }
}

/// Says that the half whose bit is `mine` touches the slot no more; frees it if the other half has said so before.
///
/// # Safety
/// `slot` is valid, and the caller holds that half and does not use it afterwards.
#[inline]
unsafe fn release(slot: NonNull<Slot>, mine: u32) {
    let other = (WAITER_GONE | REPLIER_GONE) ^ mine;
    let last = {
        // SAFETY: valid until both halves are gone, and this one is not yet.
        let word = unsafe { &slot.as_ref().word };
        // The load saves the RMW in the usual case: the waiter is woken after the replier has gone.
        word.load(Ordering::Acquire) & other != 0 || word.fetch_or(mine, Ordering::AcqRel) & other != 0
    };
    if last {
        // SAFETY: both halves are gone, and all that the other one did has been acquired.
        unsafe { slot_pool::free(slot) };
    }
}

/// The half that waits for the reply. Dropping it abandons the reply.
pub(crate) struct Waiter<R> {
    /// The slot; `FINISHED` or `FINISHED_DEFERRED` once the outcome has been taken and the slot given back.
    slot: *mut Slot,
    reply: PhantomData<fn() -> R>,
}

// SAFETY: the halves share only the slot, whose protocol is made for two threads; a value crosses threads, hence `R: Send`.
unsafe impl<R: Send> Send for Waiter<R> {}
// SAFETY: by shared reference only atomic loads are possible.
unsafe impl<R: Send> Sync for Waiter<R> {}

const FINISHED: *mut Slot = ptr::null_mut();
const FINISHED_DEFERRED: *mut Slot = ptr::without_provenance_mut(1);

impl<R> Waiter<R> {
    /// The reply, or `None` if the replier was dropped without sending one.
    ///
    /// The first look installs no waker if the reply is there; later ones replace it only if it would wake another task. After it
    /// has returned `Ready`, it returns `Ready(None)`.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let Some(slot) = self.slot() else { return Poll::Ready(None) };
        // SAFETY: this half is not gone.
        let shared = unsafe { slot.as_ref() };
        let seen = shared.word.load(Ordering::Acquire);
        if seen & DONE != 0 {
            return Poll::Ready(self.finish(slot, seen));
        }
        if seen & WAKER != 0 {
            // SAFETY: a waker was written, and nobody writes the cell while `WAKER` is set. The replier may take the waker out at
            // this moment; comparing looks only at the bits that stay behind.
            if shared.waker.with(|cell| unsafe { (*cell).assume_init_ref().will_wake(cx.waker()) }) {
                return Poll::Pending;
            }
            let seen = shared.word.fetch_and(!WAKER, Ordering::Acquire);
            if seen & DONE != 0 {
                // The replier saw `WAKER`: the old waker is its to take.
                return Poll::Ready(self.finish(slot, seen));
            }
            // SAFETY: the slot was not done when `WAKER` was cleared, so the waker is ours again.
            drop(unsafe { shared.take_waker() });
        }
        self.install(slot, cx.waker().clone())
    }

    /// The reply if it is there (`Some(None)` if it will never be), without leaving a waker.
    #[inline]
    pub(crate) fn try_take(&mut self) -> Option<Option<R>> {
        let Some(slot) = self.slot() else { return Some(None) };
        // SAFETY: this half is not gone.
        let seen = unsafe { slot.as_ref() }.word.load(Ordering::Acquire);
        (seen & DONE != 0).then(|| self.finish(slot, seen))
    }

    /// Whether the replier was marked as deferred; stays valid after the outcome was taken.
    #[inline]
    pub(crate) fn is_deferred(&self) -> bool {
        match self.slot() {
            // SAFETY: this half is not gone.
            Some(slot) => unsafe { slot.as_ref() }.word.load(Ordering::Relaxed) & DEFERRED != 0,
            None => self.slot == FINISHED_DEFERRED,
        }
    }

    #[inline]
    fn slot(&self) -> Option<NonNull<Slot>> {
        if self.slot == FINISHED_DEFERRED { None } else { NonNull::new(self.slot) }
    }

    /// Leaves `waker` in the slot. `WAKER` is clear, and was so since before the slot was last seen not done.
    #[inline]
    fn install(&mut self, slot: NonNull<Slot>, waker: Waker) -> Poll<Option<R>> {
        // SAFETY: this half is not gone.
        let shared = unsafe { slot.as_ref() };
        shared.waker.with_mut(|cell| {
            // SAFETY: the waker cell is the waiter's while `WAKER` is clear, and empty then.
            unsafe { (*cell).write(waker) };
        });
        let seen = shared.word.fetch_or(WAKER, Ordering::AcqRel);
        if seen & DONE == 0 {
            return Poll::Pending;
        }
        // SAFETY: the slot became done while `WAKER` was clear, so the replier leaves the waker alone.
        let unused = unsafe { shared.take_waker() };
        let outcome = self.finish(slot, seen);
        drop(unused);
        Poll::Ready(outcome)
    }

    /// Takes the outcome and gives the slot back. `seen`, read with acquire, is done; any waker of ours has been taken back.
    #[inline]
    fn finish(&mut self, slot: NonNull<Slot>, seen: u32) -> Option<R> {
        // SAFETY: `SENT` was acquired, so the value is there and ours; `self.slot` is set to a finished state below, so this
        // happens once.
        let value = (seen & SENT != 0).then(|| unsafe { slot.as_ref().take_value::<R>() });
        self.slot = if seen & DEFERRED != 0 { FINISHED_DEFERRED } else { FINISHED };
        // SAFETY: the pointer was just forgotten.
        unsafe { release(slot, WAITER_GONE) };
        value
    }
}

impl<R> Drop for Waiter<R> {
    #[inline]
    fn drop(&mut self) {
        let Some(slot) = self.slot() else { return };
        // SAFETY: this half is not gone.
        let shared = unsafe { slot.as_ref() };
        let mut seen = shared.word.load(Ordering::Acquire);
        if seen & DONE == 0 {
            seen = shared.word.fetch_or(ABANDONED, Ordering::Acquire);
        }
        if seen & DONE != 0 {
            drop(self.finish(slot, seen));
            return;
        }
        // SAFETY: abandoned before it was done, so the replier will not look at the waker.
        let waker = (seen & WAKER != 0).then(|| unsafe { shared.take_waker() });
        // SAFETY: this is the half's last act.
        unsafe { release(slot, WAITER_GONE) };
        drop(waker);
    }
}

/// The half that owes the reply. Dropping it without [`send`](Replier::send) tells the waiter that there will be none.
pub(crate) struct Replier<R> {
    slot: NonNull<Slot>,
    reply: PhantomData<fn(R)>,
}

// SAFETY: as for `Waiter`.
unsafe impl<R: Send> Send for Replier<R> {}
// SAFETY: by shared reference only atomic operations are possible.
unsafe impl<R: Send> Sync for Replier<R> {}

impl<R> Replier<R> {
    /// Hands over `value` and wakes the waiter; gives it back if the waiter is gone.
    #[inline]
    pub(crate) fn send(self, value: R) -> Result<(), R> {
        let slot = ManuallyDrop::new(self).slot;
        // SAFETY: this half is not gone.
        let shared = unsafe { slot.as_ref() };
        // An early look saves the box of a large value that nobody wants.
        if shared.word.load(Ordering::Relaxed) & ABANDONED != 0 {
            // SAFETY: `self` was forgotten above.
            unsafe { release(slot, REPLIER_GONE) };
            return Err(value);
        }
        // SAFETY: the value cell is the replier's until `SENT`, and nothing was put there before: `send` consumes the half.
        unsafe { shared.put_value(value) };
        // SAFETY: `self` was forgotten above; the value is in place.
        if unsafe { complete(slot, SENT) } {
            return Ok(());
        }
        // SAFETY: `SENT` was not set, so the value just put there is still the replier's.
        let value = unsafe { shared.take_value::<R>() };
        // SAFETY: as above.
        unsafe { release(slot, REPLIER_GONE) };
        Err(value)
    }

    /// Whether the waiter is gone, so that an answer is wasted work.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        // SAFETY: this half is not gone.
        unsafe { self.slot.as_ref() }.word.load(Ordering::Relaxed) & ABANDONED != 0
    }

    /// Tells the waiter that the reply will come from elsewhere than the handler that received the request.
    #[inline]
    pub(crate) fn mark_deferred(&self) {
        // SAFETY: this half is not gone.
        unsafe { self.slot.as_ref() }.word.fetch_or(DEFERRED, Ordering::Relaxed);
    }
}

/// A [`Replier`] that will not send: dropping it tells the waiter so.
#[allow(dead_code, reason = "not used by the models")]
pub(crate) struct Debt(Replier<()>);

#[allow(dead_code, reason = "not used by the models")]
impl<R> Replier<R> {
    /// Gives up the type of the reply, and with it the possibility to send one.
    pub(crate) fn into_debt(self) -> Debt {
        Debt(Replier { slot: ManuallyDrop::new(self).slot, reply: PhantomData })
    }
}

impl<R> Drop for Replier<R> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the half's last act.
        unsafe {
            if !complete(self.slot, FAILED) {
                release(self.slot, REPLIER_GONE);
            }
        }
    }
}

/// Makes the slot done with `outcome`, gives up the replier's half and wakes the waiter. Returns `false`, and does nothing, if the
/// slot is abandoned.
///
/// # Safety
/// The caller holds the replier's half and, if this returns `true`, does not use it afterwards. For `SENT` the value is in place.
#[inline]
unsafe fn complete(slot: NonNull<Slot>, outcome: u32) -> bool {
    // SAFETY: this half is not gone.
    let shared = unsafe { slot.as_ref() };
    let mut seen = shared.word.load(Ordering::Relaxed);
    loop {
        if seen & ABANDONED != 0 {
            return false;
        }
        // Without a waker to read, this CAS is the last touch.
        let gone = if seen & WAKER == 0 { REPLIER_GONE } else { 0 };
        match shared.word.compare_exchange_weak(
            seen,
            seen | outcome | gone,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            Ok(_) if gone != 0 => return true,
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    // SAFETY: done was set over `WAKER`, so the waker is the replier's, and the slot stays until `release`.
    let waker = unsafe { shared.take_waker() };
    // The slot is given up before the wake-up, so that the woken waiter can free it at once.
    // SAFETY: the caller does not use the half afterwards.
    unsafe { release(slot, REPLIER_GONE) };
    waker.wake();
    true
}

/// Values of up to this many words, aligned to at most a word, need no box.
const INLINE_WORDS: usize = 4;

const fn is_inline<R>() -> bool {
    size_of::<R>() <= size_of::<[u64; INLINE_WORDS]>() && align_of::<R>() <= align_of::<u64>()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Dropped(Arc<AtomicUsize>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn block_on<R>(mut waiter: Waiter<R>) -> Option<R> {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match waiter.poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn both_halves_are_one_pointer() {
        assert_eq!(size_of::<Waiter<[u8; 100]>>(), size_of::<usize>());
        assert_eq!(size_of::<Replier<[u8; 100]>>(), size_of::<usize>());
        assert_eq!(size_of::<Slot>(), 56);
    }

    #[test]
    fn values_of_every_size_and_alignment_arrive() {
        #[derive(Debug, PartialEq, Clone, Copy)]
        #[repr(align(64))]
        struct Wide(u8);
        fn arrives<R: Send + Copy + PartialEq + std::fmt::Debug>(value: R) {
            let (mut waiter, replier) = pair();
            assert_eq!(waiter.try_take(), None);
            replier.send(value).unwrap();
            assert_eq!(waiter.try_take(), Some(Some(value)));
            assert_eq!(waiter.try_take(), Some(None), "an outcome is taken once");
        }
        arrives(());
        arrives(7u8);
        arrives([1u64, 2, 3, 4]);
        arrives([1u64, 2, 3, 4, 5]);
        arrives(Wide(3));
        arrives(1u128);
    }

    #[test]
    fn a_waker_is_replaced_only_by_another_tasks() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (one, two) = (Waker::from(first.clone()), Waker::from(second.clone()));
        let (mut waiter, replier) = pair::<u32>();
        assert!(waiter.poll(&mut Context::from_waker(&one)).is_pending());
        assert!(waiter.poll(&mut Context::from_waker(&one)).is_pending());
        assert_eq!(Arc::strong_count(&first), 3, "ours, the waker, its clone in the slot");
        assert!(waiter.poll(&mut Context::from_waker(&two)).is_pending());
        assert_eq!(Arc::strong_count(&first), 2);
        replier.send(5).unwrap();
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (0, 1));
        assert_eq!(Arc::strong_count(&second), 2);
        assert_eq!(waiter.poll(&mut Context::from_waker(&one)), Poll::Ready(Some(5)));
    }

    #[test]
    fn a_dropped_replier_wakes_the_waiter_with_none() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let (mut waiter, replier) = pair::<u32>();
        assert!(waiter.poll(&mut Context::from_waker(&waker)).is_pending());
        replier.mark_deferred();
        assert!(waiter.is_deferred());
        drop(replier);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(waiter.poll(&mut Context::from_waker(&waker)), Poll::Ready(None));
        assert!(waiter.is_deferred(), "still known after the slot was given back");
    }

    #[test]
    fn only_a_reply_that_was_marked_as_deferred_is_known_as_such() {
        for deferred in [false, true] {
            let (mut waiter, replier) = pair();
            if deferred {
                replier.mark_deferred();
            }
            assert_eq!(waiter.is_deferred(), deferred);
            replier.send(1u8).unwrap();
            assert_eq!(waiter.try_take(), Some(Some(1)));
            assert_eq!(waiter.is_deferred(), deferred, "after the slot was given back");
        }
    }

    #[test]
    fn an_abandoned_reply_comes_back_and_the_waker_is_dropped() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let (mut waiter, replier) = pair::<String>();
        assert!(waiter.poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(!replier.is_abandoned());
        drop(waiter);
        assert!(replier.is_abandoned());
        assert_eq!(Arc::strong_count(&count), 2);
        assert_eq!(replier.send("late".into()), Err("late".into()));
        let (waiter, replier) = pair::<String>();
        drop(waiter);
        drop(replier);
    }

    #[test]
    fn a_value_sent_but_never_taken_is_dropped_by_the_waiter() {
        let drops = Arc::new(AtomicUsize::new(0));
        let (waiter, replier) = pair();
        assert!(replier.send(Dropped(drops.clone())).is_ok());
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        drop(waiter);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_slot_is_reused_once_both_halves_are_gone() {
        let (waiter, replier) = pair::<u8>();
        let address = waiter.slot;
        drop(waiter);
        let (other, _other) = pair::<u8>();
        assert_ne!(other.slot, address, "the replier still holds it");
        drop(replier);
        let (again, _again) = pair::<u8>();
        assert_eq!(again.slot, address);
    }

    #[test]
    fn racing_halves_lose_no_wake_up_and_drop_every_value_once() {
        const ROUNDS: usize = 20_000;
        let drops = Arc::new(AtomicUsize::new(0));
        let (to_replier, repliers) = std::sync::mpsc::sync_channel::<(usize, Replier<(usize, Dropped)>)>(8);
        let counter = drops.clone();
        let answering = thread::spawn(move || {
            let mut made = 0;
            for (round, replier) in repliers {
                if round % 7 != 3 {
                    made += 1;
                    // An abandoned one drops its value here.
                    let _ = replier.send((round, Dropped(counter.clone())));
                }
            }
            made
        });
        for round in 0..ROUNDS {
            let (waiter, replier) = pair();
            to_replier.send((round, replier)).unwrap();
            if round % 5 == 4 {
                drop(waiter);
                continue;
            }
            match block_on(waiter) {
                Some((answered, _value)) => assert_eq!(answered, round),
                None => assert_eq!(round % 7, 3),
            }
        }
        drop(to_replier);
        let made = answering.join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), made);
    }

    #[test]
    fn a_waiter_works_inside_a_future() {
        let (mut waiter, replier) = pair::<u8>();
        let mut future = std::pin::pin!(poll_fn(|cx| waiter.poll(cx)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        replier.send(9).unwrap();
        assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Some(9)));
    }
}
