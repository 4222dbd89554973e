//! Cycles of calls: of several processes that close a ring at the same moment at least one sees it, and nobody sees one that is not
//! there.

use super::check;
use super::kit::{Server, World};
use crate::call::cycle::{self, Waits};
use crate::process::pid::Pid;
use crate::process::run::packed;
use crate::sync::{Arc, AtomicBool, Ordering};

/// Begins to wait as a queued call does: publishes, then looks.
fn wait(me: &Server, target: &Server) -> (Option<Waits>, Option<Vec<Pid>>) {
    me.within(|| (cycle::publish(target), cycle::find(&me.node, me, target)))
}

/// Two processes call each other at the same moment.
pub fn one_of_two_that_call_each_other_sees_it() {
    check(0, || {
        let world = World::new();
        let (a, b) = (world.plain(), world.plain());
        let (me, target) = (b.clone(), a.clone());
        let other = world.spawn(move || wait(&me, &target));
        let (_mine, seen) = wait(&a, &b);
        let (_theirs, theirs) = other.join().unwrap();
        assert!(seen.is_some() || theirs.is_some(), "nobody will ever answer, and nobody knows");
        assert!(seen.is_none_or(|cycle| cycle == [a.pid(), b.pid()]));
        assert!(theirs.is_none_or(|cycle| cycle == [b.pid(), a.pid()]));
    });
}

/// Three processes close a ring at the same moment.
pub fn one_of_three_in_a_ring_sees_it() {
    check(3, || {
        let world = World::new();
        let (a, b, c) = (world.plain(), world.plain(), world.plain());
        let others = [(b.clone(), c.clone()), (c, a.clone())]
            .map(|(me, target)| world.spawn(move || wait(&me, &target)));
        let (_mine, seen) = wait(&a, &b);
        let theirs = others.map(|thread| thread.join().unwrap());
        assert!(seen.is_some() || theirs.iter().any(|(_, seen)| seen.is_some()));
    });
}

/// A call in place is an edge of the ring too; its handler, on the same stack, closes the ring with a queued call.
pub fn a_ring_through_a_call_in_place_is_seen() {
    check(0, || {
        let world = World::new();
        let (a, b, c) = (world.plain(), world.plain(), world.plain());
        let (me, target) = (c.clone(), a.clone());
        let other = world.spawn(move || wait(&me, &target));
        // A calls B in place, whose handler calls C.
        let before = cycle::publish_in_place(&a, &b);
        let (mine, seen) = wait(&b, &c);
        let (_theirs, theirs) = other.join().unwrap();
        assert!(seen.is_some() || theirs.is_some());
        drop(mine);
        assert_eq!(before, 0);
    });
}

/// Waiting in a line is no cycle, whoever comes first.
pub fn a_line_of_callers_is_no_cycle() {
    check(0, || {
        let world = World::new();
        let (a, b, c) = (world.plain(), world.plain(), world.plain());
        let (me, target) = (b.clone(), c.clone());
        let other = world.spawn(move || {
            let (waits, seen) = wait(&me, &target);
            drop(waits);
            // Answered, it waits for somebody else, and again.
            (seen, wait(&me, &target).1)
        });
        let (_mine, seen) = wait(&a, &b);
        assert_eq!(seen, None);
        assert_eq!(other.join().unwrap(), (None, None));
    });
}

/// Who has answered a caller may call it at once: the caller's edge is gone, though the caller has not run since.
pub fn an_answered_caller_is_no_part_of_a_cycle() {
    check(0, || {
        let world = World::new();
        let (a, b) = (world.plain(), world.plain());
        let asked = Arc::new(AtomicBool::new(false));
        let (me, target, asking) = (b.clone(), a.clone(), asked.clone());
        let other = world.spawn(move || {
            let waits = wait(&me, &target);
            // The call is sent; nothing is heard of the answer yet.
            asking.store(true, Ordering::Release);
            waits
        });
        if asked.load(Ordering::Acquire) {
            a.within(|| cycle::release(packed(&b)));
            assert_eq!(wait(&a, &b).1, None);
        }
        assert_eq!(other.join().unwrap().1, None);
    });
}

/// A waits for B; B answers, and calls C only then. C, which calls A meanwhile, makes no ring of A's old edge and B's new one.
pub fn edges_of_different_moments_make_no_cycle() {
    check(0, || {
        let world = World::new();
        let (a, b, c) = (world.plain(), world.plain(), world.plain());
        let _old = a.within(|| cycle::publish(&b));
        let (me, answered, target) = (b.clone(), a.clone(), c.clone());
        let other = world.spawn(move || {
            me.within(|| cycle::release(packed(&answered)));
            wait(&me, &target)
        });
        let (_mine, seen) = wait(&c, &a);
        assert_eq!(seen, None, "B has answered A");
        assert_eq!(other.join().unwrap().1, None);
    });
}

/// The same with a call in place, which takes its edge back by itself.
pub fn the_edge_of_a_finished_call_in_place_makes_no_cycle() {
    check(0, || {
        let world = World::new();
        let (a, b, c) = (world.plain(), world.plain(), world.plain());
        let (me, with, target) = (a.clone(), b.clone(), c.clone());
        let other = world.spawn(move || {
            // A calls B in place; when that is over, B, entered anew, calls C.
            assert!(with.word.try_enter());
            let before = cycle::publish_in_place(&me, &with);
            me.waits_on.store(before, Ordering::Relaxed);
            with.leave();
            assert!(with.word.try_enter());
            let waits = wait(&with, &target);
            with.leave();
            waits
        });
        let (_mine, seen) = wait(&c, &a);
        assert_eq!(seen, None, "B has answered A");
        assert_eq!(other.join().unwrap().1, None);
    });
}
