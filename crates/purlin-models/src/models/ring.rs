//! The run queue's ring: every pointer goes to exactly one consumer, in order, with what it points to.

use std::ptr::NonNull;
use std::sync::Arc;

use loom::alloc::Track;
use loom::cell::UnsafeCell;
use loom::thread;

use super::check;
use crate::rt::ring::Ring;

/// What a queued pointer points to. Whoever takes it reads and frees it: loom reports a missing happens-before and a leak.
struct Item {
    number: UnsafeCell<u32>,
    _token: Track<()>,
}

fn item(number: u32) -> NonNull<()> {
    let item = Item { number: UnsafeCell::new(0), _token: Track::new(()) };
    // Written after it was made, so that a consumer must have acquired the write.
    // SAFETY: nobody else knows it yet.
    item.number.with_mut(|cell| unsafe { *cell = number });
    NonNull::from(Box::leak(Box::new(item))).cast()
}

fn take(ptr: NonNull<()>) -> u32 {
    // SAFETY: made by `item`. That it is taken once is what the models check, by the numbers.
    let item = unsafe { ptr.cast::<Item>().as_ref() };
    // Consumers write: two of them are a race even if they only look.
    // SAFETY: loom checks the access.
    let number = item.number.with_mut(|cell| unsafe { std::mem::replace(&mut *cell, 0) });
    assert_ne!(number, 0, "taken twice");
    // SAFETY: made by `Box::leak`, taken for the first time.
    drop(unsafe { Box::from_raw(ptr.cast::<Item>().as_ptr()) });
    number
}

/// Pops up to `times` pointers.
fn pops<const N: usize>(ring: &Ring<N>, times: usize) -> Vec<u32> {
    (0..times).filter_map(|_| ring.pop().map(take)).collect()
}

/// Each list is in ascending order, and together they hold `1..=total`.
#[track_caller]
fn assert_exactly_once<const LISTS: usize>(lists: [Vec<u32>; LISTS], total: u32) {
    assert!(lists.iter().all(|list| list.is_sorted()), "in order for each consumer: {lists:?}");
    let mut all = lists.concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(1..=total), "every pointer once: {lists:?}");
}

/// The owner pushes and pops while two others pop; the ring wraps.
pub fn every_pointer_goes_to_one_of_three_consumers() {
    check(2, || {
        let ring = Arc::new(Ring::<2>::new());
        let popping = [(); 2].map(|()| {
            let ring = ring.clone();
            thread::spawn(move || pops(&ring, 2))
        });
        let mut mine = Vec::new();
        for number in 1..=3 {
            // SAFETY: this is the only thread that pushes.
            if let Err(ptr) = unsafe { ring.push(item(number)) } {
                mine.extend(ring.pop().map(take));
                // SAFETY: as above. One was popped, by this thread or another: there is room.
                assert!(unsafe { ring.push(ptr) }.is_ok());
            }
        }
        mine.extend(pops(&ring, 1));
        let [first, second] = popping.map(|thread| thread.join().unwrap());
        mine.extend(pops(&ring, 3));
        assert_exactly_once([mine, first, second], 3);
        assert!(ring.is_empty());
    });
}

/// A popper that stops before its CAS while the ring wraps does not take the newer pointer in the older one's place.
pub fn a_slow_consumer_is_not_fooled_by_a_wrapped_ring() {
    check(0, || {
        let ring = Arc::new(Ring::<2>::new());
        // SAFETY: this is the only thread that pushes.
        unsafe {
            ring.push(item(1)).unwrap();
            ring.push(item(2)).unwrap();
        }
        let other = ring.clone();
        let popping = thread::spawn(move || pops(&other, 1));
        let mut mine = pops(&ring, 1);
        // SAFETY: as above.
        unsafe { ring.push(item(3)) }.unwrap();
        mine.extend(pops(&ring, 1));
        let first = popping.join().unwrap();
        mine.extend(pops(&ring, 3));
        assert_exactly_once([mine, first], 3);
    });
}

/// A thief moves half of a ring into its own while the owner pushes and pops.
pub fn stealing_beside_the_owner_loses_and_doubles_nothing() {
    check(3, || {
        let victim = Arc::new(Ring::<4>::new());
        for number in 1..=3 {
            // SAFETY: this is the only thread that pushes to the victim.
            unsafe { victim.push(item(number)) }.unwrap();
        }
        let robbed = victim.clone();
        let stealing = thread::spawn(move || {
            let own = Ring::<4>::new();
            // SAFETY: `own` is this thread's.
            let first = unsafe { robbed.steal_into(&own) };
            let mut got: Vec<_> = first.map(take).into_iter().collect();
            got.extend(pops(&own, 4));
            got
        });
        let mut mine = pops(&victim, 1);
        // SAFETY: as above; there is room, because one was taken.
        unsafe {
            victim.push(item(4)).unwrap();
            victim.push(item(5)).unwrap();
        }
        mine.extend(pops(&victim, 1));
        let stolen = stealing.join().unwrap();
        mine.extend(pops(&victim, 4));
        assert_exactly_once([mine, stolen], 5);
    });
}

/// What a thief put into its ring may be taken from there by a third thread, with what it points to.
pub fn stolen_pointers_may_be_stolen_again() {
    check(3, || {
        let (victim, thief) = (Arc::new(Ring::<4>::new()), Arc::new(Ring::<4>::new()));
        let (robbed, own) = (victim.clone(), thief.clone());
        let stealing = thread::spawn(move || {
            // SAFETY: only this thread fills `own`.
            unsafe { robbed.steal_into(&own) }.map(take).into_iter().collect::<Vec<_>>()
        });
        let third = thief.clone();
        let popping = thread::spawn(move || pops(&third, 1));
        for number in 1..=3 {
            // SAFETY: this is the only thread that pushes to the victim.
            unsafe { victim.push(item(number)) }.unwrap();
        }
        let stolen = stealing.join().unwrap();
        let popped = popping.join().unwrap();
        assert_exactly_once([[pops(&thief, 4), pops(&victim, 4)].concat(), stolen, popped], 3);
    });
}

/// Two thieves and the owner at one ring.
pub fn two_thieves_share_without_overlap() {
    check(2, || {
        let victim = Arc::new(Ring::<4>::new());
        for number in 1..=4 {
            // SAFETY: this is the only thread that pushes to the victim.
            unsafe { victim.push(item(number)) }.unwrap();
        }
        let stealing = [(); 2].map(|()| {
            let robbed = victim.clone();
            thread::spawn(move || {
                let own = Ring::<4>::new();
                // SAFETY: `own` is this thread's.
                let first = unsafe { robbed.steal_into(&own) };
                let mut got: Vec<_> = first.map(take).into_iter().collect();
                got.extend(pops(&own, 4));
                got
            })
        });
        let mut mine = pops(&victim, 1);
        // SAFETY: as above; there is room, because one was taken.
        unsafe { victim.push(item(5)) }.unwrap();
        let [first, second] = stealing.map(|thread| thread.join().unwrap());
        mine.extend(pops(&victim, 4));
        assert_exactly_once([mine, first, second], 5);
    });
}
