//! The run lock: calls in place, reads and the server's own activation exclude each other, and whoever leaves last sees to what came
//! meanwhile.

use super::check;
use super::kit::{Act, Gate, Seen, Spec, World};
use crate::process::exit_reason::ExitReason;

/// Whether each thread's numbers (tens: the thread) are all there, in order.
#[track_caller]
fn assert_in_order(done: &[u32], threads: &[&[u32]]) {
    for numbers in threads {
        let tens = numbers[0] / 10;
        let mine: Vec<_> = done.iter().copied().filter(|number| number / 10 == tens).collect();
        assert_eq!(mine, *numbers, "of {done:?}");
    }
    assert_eq!(done.len(), threads.iter().map(|numbers| numbers.len()).sum::<usize>(), "{done:?}");
}

/// Two callers in place: one at a time, and the server is idle afterwards.
pub fn calls_in_place_exclude_each_other() {
    check(0, || {
        let world = World::new();
        let server = world.plain();
        let other = server.clone();
        let calling = world.spawn(move || other.call(1, Act::Note));
        let mine = [server.call(2, Act::Note), server.call(3, Act::Note)];
        let calls = usize::from(calling.join().unwrap()) + mine.into_iter().filter(|done| *done).count();
        world.settle(&[&server]);
        assert_eq!(server.done().len(), calls);
        assert_eq!(server.word.load(), 0);
        assert!(server.call(4, Act::Note), "an idle server can be called");
    });
}

/// Readers run beside each other, a call in place runs alone, and nobody is locked out afterwards.
pub fn reads_run_beside_each_other_and_never_beside_a_call() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let reading = [(); 2].map(|()| {
            let server = server.clone();
            world.spawn(move || server.read())
        });
        let called = server.call(1, Act::Note);
        for thread in reading {
            if let Some(seen) = thread.join().unwrap() {
                assert!(seen <= usize::from(called));
            }
        }
        world.settle(&[&server]);
        assert_eq!(server.word.load(), 0);
        assert_eq!(server.read(), Some(usize::from(called)));
    });
}

/// What is sent while readers are inside wakes the server, through the sender or through the last reader.
pub fn the_last_reader_out_sees_to_a_message() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let reading = [(); 2].map(|()| {
            let server = server.clone();
            world.spawn(move || server.read())
        });
        assert!(server.send(1));
        world.run();
        for thread in reading {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// A message and a wake-up beside the last reader out: whoever schedules the server, only one does (the kit asserts it).
pub fn the_last_reader_out_and_a_late_poster_schedule_once() {
    check(4, || {
        let world = World::new();
        let server = world.plain();
        assert!(server.word.try_read());
        let (sent, woken) = (server.clone(), server.clone());
        let sending = world.spawn(move || assert!(sent.send(1)));
        let waking = world.spawn(move || woken.wake());
        let duty = server.word.leave_read();
        server.perform(duty);
        world.run();
        sending.join().unwrap();
        waking.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// A reader that finds a message in the mailbox stays out, so that writers are not starved.
pub fn a_reader_never_sees_the_state_before_its_own_message() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let (reader, other) = (server.clone(), server.clone());
        let reading = world.spawn(move || {
            assert!(reader.send(1));
            if let Some(seen) = reader.read() {
                assert!(seen >= 1, "a read overtook the reader's own message");
            }
        });
        let second = world.spawn(move || other.read());
        assert!(server.send(2));
        world.run();
        reading.join().unwrap();
        second.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done().len(), 2);
    });
}

/// What is sent during a call in place wakes the server when the call is over.
pub fn a_caller_that_leaves_sees_to_a_message() {
    check(0, || {
        let world = World::new();
        let server = world.plain();
        let other = server.clone();
        let calling = world.spawn(move || other.call(1, Act::Note));
        assert!(server.send(2) && server.send(3));
        world.run();
        let called = calling.join().unwrap();
        world.settle(&[&server]);
        let done = server.done();
        assert_eq!(done.len(), 2 + usize::from(called));
        assert_in_order(
            &done.into_iter().filter(|n| *n > 1).map(|n| n + 18).collect::<Vec<_>>(),
            &[&[20, 21]],
        );
    });
}

/// A message and then a call by the same sender, in place or not, are handled in this order, whatever the server is doing meanwhile.
pub fn a_call_never_overtakes_its_callers_messages() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        assert!(server.send(10));
        let calling = [20, 30].map(|tens| {
            let server = server.clone();
            world.spawn(move || {
                assert!(server.send(tens));
                assert!(server.call_or_send(tens + 1));
            })
        });
        world.run();
        for thread in calling {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_in_order(&server.done(), &[&[10], &[20, 21], &[30, 31]]);
    });
}

/// The same while the server gives way after every message: what it has taken still comes before a later call.
pub fn a_call_never_overtakes_messages_that_were_taken() {
    check(3, || {
        let world = World::new();
        let server = world.server(Spec { budget: 1, ..Spec::default() });
        assert!(server.send(10));
        let other = server.clone();
        let calling = world.spawn(move || {
            assert!(other.send(20));
            assert!(other.send(21));
            assert!(other.call_or_send(22));
        });
        world.run();
        assert!(server.call_or_send(11));
        calling.join().unwrap();
        world.settle(&[&server]);
        assert_in_order(&server.done(), &[&[10, 11], &[20, 21, 22]]);
    });
}

/// A handler that was started in place and waits is finished by the server itself, once its waker fired; others wait behind it.
pub fn a_handler_left_suspended_by_its_caller_is_finished() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let gate = Gate::new(1);
        let (other, waker) = (server.clone(), gate.clone());
        let waking = world.spawn(move || waker.open(&other));
        if !server.call(10, Act::Wait(gate.clone())) {
            // The waker was early.
            assert!(server.send_to_do(10, Act::Wait(gate)).is_ok());
        }
        assert!(server.call_or_send(11));
        world.run();
        waking.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [10, 11]);
    });
}

/// A stop that a call in place asks for is carried out by the server's own activation, once.
pub fn a_stop_marked_in_place_ends_the_server_once() {
    check(0, || {
        let world = World::new();
        let server = world.plain();
        let other = server.clone();
        let sending = world.spawn(move || (other.call(20, Act::Note), other.send(21)));
        let stopped = server.call(10, Act::Stop(ExitReason::Shutdown));
        world.run();
        sending.join().unwrap();
        world.settle(&[&server]);
        server.look(|state| {
            assert_eq!(state.ended.is_some(), stopped);
            if let Some(at) = state.seen.iter().position(|seen| *seen == Seen::Done(10)) {
                assert_eq!(at, state.seen.len() - 1, "a handler ran after the stop");
            }
        });
        world.assert_none_left();
    });
}
