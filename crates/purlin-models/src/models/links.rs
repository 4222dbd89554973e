//! Links, monitors and aliases: two tables, each under its own lock, and signals between them. Nobody is left with half a link, and
//! everybody who must be told is told once.
//!
//! The threads play processes that are running already (RUN is up from the start), so that each changes its own relations as a
//! handler does, and applies what it was sent when it has left.

use std::task::{Context, Poll, Waker};

use super::check;
use super::kit::{Seen, Server, Spec, World};
use crate::call::slot;
use crate::mailbox::envelope::Envelope;
use crate::process::exit_reason::ExitReason;
use crate::process::relations::{self, AliasMode, MonitorTarget, WatchOptions};
use crate::process::word::RUN;

/// A process that the model's thread is running, and that traps exits.
fn running(world: &World) -> Server {
    world.server(Spec { trap: true, word: RUN, ..Spec::default() })
}

fn link_id(of: &Server, with: &Server) -> Option<u64> {
    of.relations.lock().as_ref().and_then(|r| r.links.get(&with.pid()).copied())
}

fn exits(of: &Server, from: &Server) -> usize {
    of.seen().into_iter().filter(|seen| *seen == Seen::Exit(from.pid())).count()
}

/// Linking beside the other's end: either there is no such process, or one EXIT comes; and no entry stays behind.
pub fn a_link_made_beside_an_end_is_refused_or_signalled() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        let linked = a.within(|| relations::link(&a, &b));
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!(exits(&a, &b), usize::from(linked));
        assert_eq!(link_id(&a, &b), None);
    });
}

/// Both link each other, and one ends then: the other is told once.
pub fn two_processes_that_link_each_other_are_linked_once() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        let (me, with) = (b.clone(), a.clone());
        let other = world.spawn(move || {
            assert!(me.within(|| relations::link(&me, &with)));
            me.leave();
        });
        assert!(a.within(|| relations::link(&a, &b)));
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert!(link_id(&a, &b).is_some());
        assert_eq!(link_id(&a, &b), link_id(&b, &a), "the two sides mean different links");
        assert!(b.word.try_enter());
        b.end(ExitReason::Shutdown);
        world.settle(&[&a, &b]);
        assert_eq!(exits(&a, &b), 1);
        assert_eq!(link_id(&a, &b), None);
    });
}

/// Both link each other, and one ends at once: the other is refused or told, but not both, and not twice.
pub fn two_processes_that_link_each_other_while_one_ends_agree() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        let (me, with) = (b.clone(), a.clone());
        let other = world.spawn(move || {
            assert!(me.within(|| relations::link(&me, &with)));
            me.end(ExitReason::Shutdown);
        });
        let linked = a.within(|| relations::link(&a, &b));
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        // Refused by its own attempt, it may still be told of the other's link.
        let told = exits(&a, &b);
        assert!(told == 1 || !linked && told == 0, "linked: {linked}, told {told} times");
        assert_eq!(link_id(&a, &b), None);
    });
}

/// One side unlinks while the other links: afterwards both sides have the same link, or none.
pub fn unlinking_beside_linking_leaves_no_half_link() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        assert!(a.within(|| relations::link(&a, &b)));
        let (me, with) = (b.clone(), a.clone());
        let other = world.spawn(move || {
            assert!(me.within(|| relations::link(&me, &with)));
            me.leave();
        });
        a.within(|| relations::unlink(&a, b.pid()));
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!(link_id(&a, &b), link_id(&b, &a));
    });
}

/// Unlinking and linking anew beside the other's unlinking.
pub fn a_new_link_beside_the_others_unlink_leaves_no_half_link() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        assert!(a.within(|| relations::link(&a, &b)));
        let (me, with) = (b.clone(), a.clone());
        let other = world.spawn(move || {
            me.within(|| relations::unlink(&me, with.pid()));
            me.leave();
        });
        a.within(|| {
            relations::unlink(&a, b.pid());
            assert!(relations::link(&a, &b));
        });
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!(link_id(&a, &b), link_id(&b, &a));
    });
}

/// After `unlink` no EXIT arrives, though the other ended before it.
pub fn after_unlink_no_exit_arrives() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        assert!(a.within(|| relations::link(&a, &b)));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        a.within(|| relations::unlink(&a, b.pid()));
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!(exits(&a, &b), 0);
        assert_eq!(link_id(&a, &b), None);
    });
}

/// An old EXIT does not come through a newer link, which for its part is refused or signalled.
pub fn a_link_made_anew_beside_an_end_is_refused_or_signalled_once() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        assert!(a.within(|| relations::link(&a, &b)));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        let linked = a.within(|| {
            relations::unlink(&a, b.pid());
            relations::link(&a, &b)
        });
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!(exits(&a, &b), usize::from(linked));
        assert_eq!(link_id(&a, &b), None);
    });
}

/// Linked processes that end at the same moment both end.
pub fn linked_processes_may_end_at_the_same_moment() {
    check(3, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        assert!(a.within(|| relations::link(&a, &b)));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        a.end(ExitReason::Timeout);
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!((exits(&a, &b), exits(&b, &a)), (0, 0));
    });
}

fn monitor(me: &Server, target: &Server) -> u64 {
    let options = WatchOptions::converting(Envelope::plain);
    me.within(|| relations::monitor(me, MonitorTarget::Pid(target.pid()), options)).0
}

fn demonitor(me: &Server, monitor: u64) -> bool {
    me.within(|| relations::demonitor(me, crate::process::pid::MonitorRef(monitor)))
}

fn downs(of: &Server, monitor: u64) -> usize {
    of.seen().into_iter().filter(|seen| *seen == Seen::Down(monitor)).count()
}

fn watchers(of: &Server) -> usize {
    of.relations.lock().as_ref().map_or(0, |r| r.watchers.len())
}

fn watching(of: &Server) -> usize {
    of.relations.lock().as_ref().map_or(0, |r| r.watching.len())
}

/// Two processes monitor a third that ends meanwhile: one DOWN each, real or `noproc`.
pub fn every_monitor_of_a_process_that_ends_fires_once() {
    check(3, || {
        let world = World::new();
        let (a, b, c) = (running(&world), running(&world), running(&world));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        let (me, target) = (c.clone(), b.clone());
        let third = world.spawn(move || {
            let monitor = monitor(&me, &target);
            me.leave();
            monitor
        });
        let mine = monitor(&a, &b);
        a.leave();
        other.join().unwrap();
        let theirs = third.join().unwrap();
        world.settle(&[&a, &b, &c]);
        assert_eq!((downs(&a, mine), downs(&c, theirs)), (1, 1));
        assert_eq!((watching(&a), watching(&c)), (0, 0));
    });
}

/// Two monitors of one watcher, one of them ended at once: that one never fires, the other one fires once.
pub fn after_demonitor_no_down_arrives() {
    check(0, || {
        let world = World::new();
        let (a, b) = (running(&world), running(&world));
        let first = monitor(&a, &b);
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        let second = monitor(&a, &b);
        assert!(demonitor(&a, first), "no DOWN was applied yet");
        a.leave();
        other.join().unwrap();
        world.settle(&[&a, &b]);
        assert_eq!((downs(&a, first), downs(&a, second)), (0, 1));
        assert_eq!(watching(&a), 0);
    });
}

/// A watcher that ends beside the watched one; and one that ends leaves nothing in the table of a process that lives on.
pub fn a_watcher_that_ends_is_forgotten() {
    check(0, || {
        let world = World::new();
        let (a, b, c) = (running(&world), running(&world), running(&world));
        let _ = (monitor(&a, &b), monitor(&a, &c));
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        a.end(ExitReason::Normal);
        c.leave();
        other.join().unwrap();
        world.settle(&[&a, &b, &c]);
        assert_eq!(watchers(&c), 0);
    });
}

/// Somebody outside who waits for the end, or gives up: told the reason, or that there was nobody, or nothing after giving up.
pub fn who_waits_for_an_end_from_outside_is_told_once() {
    check(0, || {
        let world = World::new();
        let b = running(&world);
        let ending = b.clone();
        let other = world.spawn(move || ending.end(ExitReason::Shutdown));
        let (mut waiter, replier) = slot::pair();
        let (given_up, forgotten) = slot::pair();
        relations::watch_end(&b, replier);
        if let Some(id) = relations::watch_end(&b, forgotten) {
            drop(given_up);
            relations::unwatch_end(&b, id);
        }
        other.join().unwrap();
        world.settle(&[&b]);
        let told = waiter.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(told, Poll::Ready(Some(ExitReason::Shutdown | ExitReason::NoProc))));
    });
}

/// After `unalias` nothing more arrives through the alias.
pub fn after_unalias_nothing_arrives() {
    check(0, || {
        let world = World::new();
        let a = running(&world);
        let alias = relations::alias(&a, AliasMode::ExplicitUnalias);
        let owner = a.clone();
        let sending = world.spawn(move || {
            for n in 0..2u32 {
                drop(relations::send_through(&owner.proc, alias, Envelope::plain(n)));
            }
        });
        assert!(a.within(|| relations::unalias(&a, alias)));
        let arrived = a.mailbox.lock().queue.len();
        sending.join().unwrap();
        assert_eq!(a.mailbox.lock().queue.len(), arrived);
    });
}

/// An alias for one reply lets one of two through.
pub fn an_alias_for_one_reply_lets_one_through() {
    check(0, || {
        let world = World::new();
        let a = running(&world);
        let alias = relations::alias(&a, AliasMode::Reply);
        let owner = a.clone();
        let sending =
            world.spawn(move || relations::send_through(&owner.proc, alias, Envelope::plain(1u32)).is_ok());
        let mine = relations::send_through(&a.proc, alias, Envelope::plain(2u32)).is_ok();
        let theirs = sending.join().unwrap();
        assert!(mine != theirs);
        assert_eq!(a.mailbox.lock().queue.len(), 1);
    });
}
