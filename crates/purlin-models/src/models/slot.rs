//! The reply slot: nothing is lost, nothing is dropped twice, nobody waits for ever, and the slot outlives both halves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::alloc::Track;
use loom::thread;

use super::check;
use crate::call::slot::{Waiter, pair};

/// A reply, inline or boxed by its size, that loom misses if it is never dropped and that counts how often it is.
struct Reply<const WORDS: usize> {
    drops: Arc<AtomicUsize>,
    number: [usize; WORDS],
    _token: Track<()>,
}

impl<const WORDS: usize> Reply<WORDS> {
    fn new(drops: &Arc<AtomicUsize>) -> Self {
        Reply { drops: drops.clone(), number: [7; WORDS], _token: Track::new(()) }
    }
}

impl<const WORDS: usize> Drop for Reply<WORDS> {
    fn drop(&mut self) {
        assert_eq!(self.number, [7; WORDS]);
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

const INLINE: usize = 1;
const BOXED: usize = 8;

/// Wakes one of the model's threads; loom misses it if it is never dropped.
struct Unpark(thread::Thread, #[allow(dead_code)] Track<()>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn unpark_current() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current(), Track::new(()))))
}

/// A waker of a task that does not matter any more.
struct Stale(#[allow(dead_code)] Track<()>);

impl Wake for Stale {
    fn wake(self: Arc<Self>) {}
}

fn stale() -> Waker {
    Waker::from(Arc::new(Stale(Track::new(()))))
}

/// Waits as a task does: a lost wake-up is a deadlock, which loom reports.
fn wait<R>(waiter: &mut Waiter<R>) -> Option<R> {
    let waker = unpark_current();
    loop {
        match waiter.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

fn sent_and_awaited<const WORDS: usize>() {
    check(0, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut waiter, replier) = pair();
        let reply = Reply::<WORDS>::new(&drops);
        let replying = thread::spawn(move || assert!(replier.send(reply).is_ok()));
        let outcome = wait(&mut waiter).expect("it was sent");
        assert_eq!(outcome.number, [7; WORDS]);
        drop((outcome, waiter));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        replying.join().unwrap();
    });
}

/// Sending beside polling, a value that lies in the slot.
pub fn a_value_sent_while_the_waiter_polls_arrives() {
    sent_and_awaited::<INLINE>();
}

/// Sending beside polling, a value in a box.
pub fn a_boxed_value_sent_while_the_waiter_polls_arrives() {
    sent_and_awaited::<BOXED>();
}

/// Looking without a waker is enough to see the value and all that the replier did before.
pub fn a_value_is_seen_without_a_wake_up() {
    check(0, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut waiter, replier) = pair();
        let reply = Reply::<INLINE>::new(&drops);
        let replying = thread::spawn(move || {
            replier.mark_deferred();
            assert!(replier.send(reply).is_ok());
        });
        let outcome = loop {
            match waiter.try_take() {
                Some(outcome) => break outcome,
                None => thread::yield_now(),
            }
        };
        assert!(outcome.is_some() && waiter.is_deferred());
        replying.join().unwrap();
    });
}

/// The waiter moves to another task while the reply comes: the second waker wakes, both are dropped.
pub fn a_value_sent_while_the_waker_changes_arrives() {
    check(0, || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut waiter, replier) = pair();
        let reply = Reply::<INLINE>::new(&drops);
        let replying = thread::spawn(move || assert!(replier.send(reply).is_ok()));
        let first = stale();
        let outcome = match waiter.poll(&mut Context::from_waker(&first)) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                drop(first);
                wait(&mut waiter)
            },
        };
        assert!(outcome.is_some());
        drop(outcome);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        replying.join().unwrap();
    });
}

/// No answer: the waiter learns it, also if its waker changes meanwhile, and sees the mark.
pub fn a_dropped_replier_ends_the_wait_while_the_waker_changes() {
    check(0, || {
        let (mut waiter, replier) = pair::<Reply<INLINE>>();
        let replying = thread::spawn(move || {
            replier.mark_deferred();
            drop(replier);
        });
        let outcome = match waiter.poll(&mut Context::from_waker(&stale())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => wait(&mut waiter),
        };
        assert!(outcome.is_none() && waiter.is_deferred());
        replying.join().unwrap();
    });
}

fn abandoned_and_sent<const WORDS: usize>(polled: bool) {
    check(0, move || {
        let drops = Arc::new(AtomicUsize::new(0));
        let (mut waiter, replier) = pair();
        let reply = Reply::<WORDS>::new(&drops);
        let replying = thread::spawn(move || {
            let known = replier.is_abandoned();
            let back = replier.send(reply);
            assert!(back.is_err() || !known, "abandoned is for good");
        });
        if polled {
            // The outcome, if it is there, is dropped unseen.
            let _ = waiter.poll(&mut Context::from_waker(&stale()));
        }
        drop(waiter);
        replying.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// Giving up beside sending, before the first look.
pub fn a_value_is_dropped_once_when_the_waiter_gives_up() {
    abandoned_and_sent::<INLINE>(false);
}

/// Giving up beside sending, with a waker in the slot.
pub fn a_value_is_dropped_once_when_the_polled_waiter_gives_up() {
    abandoned_and_sent::<INLINE>(true);
}

/// Giving up beside sending a boxed value.
pub fn a_boxed_value_is_dropped_once_when_the_polled_waiter_gives_up() {
    abandoned_and_sent::<BOXED>(true);
}

/// Both sides give up: one of them frees the slot, and the waker is dropped.
pub fn the_slot_is_freed_once_when_both_sides_give_up() {
    check(0, || {
        let (mut waiter, replier) = pair::<u32>();
        let replying = thread::spawn(move || drop(replier));
        let _ = waiter.poll(&mut Context::from_waker(&stale()));
        drop(waiter);
        replying.join().unwrap();
    });
}

/// The waiter is polled on one thread and finished on another.
pub fn a_waiter_may_move_to_another_thread() {
    check(3, || {
        let (mut waiter, replier) = pair::<u32>();
        let replying = thread::spawn(move || assert!(replier.send(5).is_ok()));
        match waiter.poll(&mut Context::from_waker(&stale())) {
            Poll::Ready(outcome) => assert_eq!(outcome, Some(5)),
            Poll::Pending => {
                let moved = thread::spawn(move || assert_eq!(wait(&mut waiter), Some(5)));
                moved.join().unwrap();
            },
        }
        replying.join().unwrap();
    });
}
