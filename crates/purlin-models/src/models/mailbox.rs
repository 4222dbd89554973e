//! The mailbox: every message is handled once, in its sender's order, and every reason to run is seen; bounds are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use loom::thread;

use super::check;
use super::kit::{Act, Gate, Seen, Server, Spec, World};
use crate::mailbox::bound::{MailboxBound, Overflow};
use crate::process::cell::Rejected;
use crate::process::exit_reason::ExitReason;

#[track_caller]
fn assert_each_in_order(done: &[u32], tens: &[u32], each: u32) {
    for tens in tens {
        let mine = done.iter().copied().filter(|number| number / 10 * 10 == *tens);
        assert!(mine.eq(*tens..*tens + each), "of {done:?}");
    }
    assert_eq!(done.len(), tens.len() * each as usize);
}

/// Two senders and the server at work.
pub fn messages_are_handled_once_in_their_senders_order() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let sending = [10, 20].map(|tens| {
            let server = server.clone();
            world.spawn(move || assert!(server.send(tens) && server.send(tens + 1)))
        });
        assert!(server.send(30) && server.send(31));
        world.run();
        for thread in sending {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_each_in_order(&server.done(), &[10, 20, 30], 2);
        world.assert_none_left();
    });
}

/// A server that gives way after each message goes to the back of the queue, and gets there.
pub fn a_server_that_gives_way_loses_nothing() {
    check(2, || {
        let world = World::new();
        let server = world.server(Spec { budget: 1, ..Spec::default() });
        let other = server.clone();
        let sending = world.spawn(move || assert!(other.send(10) && other.send(11) && other.send(12)));
        assert!(server.send(20) && server.send(21) && server.send(22));
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        assert_each_in_order(&server.done(), &[10, 20], 3);
    });
}

/// A trapped signal keeps its place among its sender's messages.
pub fn a_signal_keeps_its_place_among_messages() {
    check(3, || {
        let world = World::new();
        let server = world.server(Spec { trap: true, ..Spec::default() });
        let from = world.plain();
        let (other, sender) = (server.clone(), from.clone());
        let sending = world.spawn(move || {
            assert!(other.send(10));
            other.send_exit(&sender, ExitReason::Shutdown);
            assert!(other.send(11));
        });
        assert!(server.send(20));
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        let theirs: Vec<_> = server.seen().into_iter().filter(|seen| *seen != Seen::Done(20)).collect();
        assert_eq!(theirs, [Seen::Done(10), Seen::Exit(from.pid()), Seen::Done(11)]);
    });
}

/// A signal ends a server whose handler waits, at once; what is in the mailbox is dropped.
pub fn a_signal_reaches_a_suspended_server() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let from = world.plain();
        let gate = Gate::new(1);
        assert!(server.send_to_do(10, Act::Wait(gate.clone())).is_ok());
        let (other, sender) = (server.clone(), from.clone());
        let sending = world.spawn(move || {
            other.send(20);
            other.send_exit(&sender, ExitReason::Shutdown);
            other.send(21);
        });
        world.run();
        gate.open(&server);
        sending.join().unwrap();
        world.settle(&[&server]);
        server.look(|state| assert_eq!(state.ended, Some(ExitReason::Shutdown)));
        assert!(!server.done().contains(&21), "a message behind the signal was handled");
        world.assert_none_left();
    });
}

/// Signals bring messages from the mailbox to a server that waits: these still come before a later call.
pub fn messages_taken_by_a_suspended_server_come_before_a_later_call() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let from = world.plain();
        let gate = Gate::new(1);
        assert!(server.send_to_do(10, Act::Wait(gate.clone())).is_ok());
        let (other, sender) = (server.clone(), from.clone());
        let sending = world.spawn(move || {
            assert!(other.send(20));
            // Does nothing but make the server look.
            other.send_exit(&sender, ExitReason::Normal);
            gate.open(&other);
            assert!(other.call_or_send(21));
        });
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [10, 20, 21]);
    });
}

/// A future that needs two events of two threads gets on: no wake-up is lost, also when one is under way already.
pub fn every_wake_up_is_seen() {
    check(2, || {
        let world = World::new();
        let server = world.plain();
        let gate = Gate::new(2);
        assert!(server.send_to_do(1, Act::Wait(gate.clone())).is_ok());
        let waking = [(); 2].map(|()| {
            let (server, gate) = (server.clone(), gate.clone());
            world.spawn(move || gate.open(&server))
        });
        world.run();
        for thread in waking {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// The same beside a message, which neither delays nor loses it.
pub fn a_wake_up_beside_a_message_is_seen() {
    check(2, || {
        let world = World::new();
        let server = world.plain();
        let gate = Gate::new(1);
        assert!(server.send_to_do(1, Act::Wait(gate.clone())).is_ok());
        let (woken, sent) = (server.clone(), server.clone());
        let waking = world.spawn(move || gate.open(&woken));
        let sending = world.spawn(move || assert!(sent.send(2)));
        world.run();
        waking.join().unwrap();
        sending.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [1, 2]);
    });
}

/// A raw process is woken by whatever comes, and by what comes while it looks.
pub fn a_raw_process_is_woken_by_everything() {
    check(3, || {
        let world = World::new();
        let raw = world.server(Spec { raw: true, trap: true, ..Spec::default() });
        let from = world.plain();
        let (sent, signalled, sender) = (raw.clone(), raw.clone(), from.clone());
        let sending = world.spawn(move || assert!(sent.send(10) && sent.send(11)));
        let signalling = world.spawn(move || signalled.send_exit(&sender, ExitReason::Shutdown));
        assert!(raw.send(20));
        world.run();
        sending.join().unwrap();
        signalling.join().unwrap();
        world.settle(&[&raw]);
        assert_each_in_order(&raw.done().into_iter().filter(|n| *n < 20).collect::<Vec<_>>(), &[10], 2);
        assert_eq!(raw.seen().len(), 4);
    });
}

fn bounded(world: &World, capacity: usize, overflow: Overflow) -> Server {
    world.server(Spec { bound: Some(MailboxBound::new(capacity, overflow)), ..Spec::default() })
}

/// Unparks a thread of the model.
struct Unpark(thread::Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::Relaxed);
        self.0.unpark();
    }
}

/// Casts, waiting for room: the steps of `CastWait`. `false` if the process has ended.
fn cast_wait(world_run: impl Fn(), server: &Server, number: u32) -> bool {
    let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicBool::new(false))));
    loop {
        // Announced before the second attempt.
        for announced in [false, true] {
            match server.send_to_do(number, Act::Note) {
                Ok(()) => return true,
                Err(Rejected::Closed(_)) => return false,
                Err(Rejected::Full(_)) => {},
                Err(Rejected::Evicted(_)) => unreachable!("this policy evicts nothing"),
            }
            if !announced && let Some(bound) = server.mailbox.lock().bound.as_mut() {
                bound.wait(&waker);
            }
        }
        world_run();
        thread::park();
    }
}

/// A sender that waits for room gets it: forgetting it would be a deadlock, which loom reports.
pub fn a_sender_that_waits_for_room_gets_it() {
    check(3, || {
        let world = World::new();
        let server = bounded(&world, 1, Overflow::Wait);
        assert!(server.send(1));
        let (other, node) = (server.clone(), world.node.clone());
        let sending = world.spawn(move || assert!(cast_wait(|| node.rt().run_mine(), &other, 2)));
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [1, 2]);
        assert_eq!(server.mailbox.lock().bound.as_ref().map(|bound| bound.len()), Some(0));
    });
}

/// Two senders wait for one place.
pub fn two_senders_that_wait_for_room_get_it() {
    check(2, || {
        let world = World::new();
        let server = bounded(&world, 1, Overflow::Wait);
        assert!(server.send(1));
        let sending = [10, 20].map(|number| {
            let (server, node) = (server.clone(), world.node.clone());
            world.spawn(move || assert!(cast_wait(|| node.rt().run_mine(), &server, number)))
        });
        world.run();
        for thread in sending {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_eq!(server.done().len(), 3);
    });
}

/// A sender that waits for room learns that the process ended.
pub fn a_sender_that_waits_for_room_learns_of_the_end() {
    check(3, || {
        let world = World::new();
        let server = bounded(&world, 1, Overflow::Wait);
        assert!(server.send_to_do(1, Act::Wait(Gate::new(1))).is_ok());
        let (other, node) = (server.clone(), world.node.clone());
        let sending = world.spawn(move || {
            let sent = [2, 3].map(|number| cast_wait(|| node.rt().run_mine(), &other, number));
            assert!(!sent[1], "there is no room for two behind a handler that waits for ever");
        });
        world.run();
        crate::process::exit::kill(&server);
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        world.assert_none_left();
    });
}

/// With `DropOldest` exactly the messages that nobody handles come back, and the count stays right.
pub fn an_evicted_message_comes_back_once() {
    check(3, || {
        let world = World::new();
        let server = bounded(&world, 1, Overflow::DropOldest);
        let sending = [10, 20].map(|number| {
            let server = server.clone();
            world.spawn(move || server.send_to_do(number, Act::Note).is_err())
        });
        let mut lost = usize::from(server.send_to_do(30, Act::Note).is_err());
        world.run();
        for thread in sending {
            lost += usize::from(thread.join().unwrap());
        }
        world.settle(&[&server]);
        assert_eq!(server.done().len() + lost, 3);
        assert_eq!(server.mailbox.lock().bound.as_ref().map(|bound| bound.len()), Some(0));
        world.assert_none_left();
    });
}
