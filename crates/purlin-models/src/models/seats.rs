//! Readers in seats: never beside an exclusive runner, and no runner is forgotten because of one.

use super::check;
use super::kit::{Act, Server, Spec, World};
use crate::process::exit_reason::ExitReason;
use crate::process::word::BIASED;

/// A process that is read from seats already.
fn biased(world: &World) -> Server {
    world.server(Spec { word: BIASED, ..Spec::default() })
}

impl World {
    /// A thread that reads in a seat of its own.
    fn reader(&self, server: &Server, seat: usize) -> loom::thread::JoinHandle<Option<usize>> {
        let (server, node) = (server.clone(), self.node.clone());
        self.spawn(move || server.read_somehow(node.rt().seats().nth(seat).expect("there are two")))
    }
}

/// loom checks that nobody reads the state while the handler changes it.
pub fn a_reader_in_a_seat_and_an_activation_exclude_each_other() {
    check(0, || {
        let world = World::new();
        let server = biased(&world);
        let reading = world.reader(&server, 0);
        assert!(server.send(1));
        world.run();
        reading.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// Whoever of the two comes first; the call is made in place or by message, and lost in neither case.
pub fn a_reader_in_a_seat_and_a_call_in_place_exclude_each_other() {
    check(3, || {
        let world = World::new();
        let server = biased(&world);
        let reading = world.reader(&server, 0);
        assert!(server.call_or_send(1));
        world.run();
        reading.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// Two readers beside a caller: each sees the state from before or after the call.
pub fn readers_in_two_seats_see_whole_states() {
    check(3, || {
        let world = World::new();
        let server = biased(&world);
        let reading = [0, 1].map(|seat| world.reader(&server, seat));
        assert!(server.call_or_send(1));
        world.run();
        for thread in reading {
            assert!(thread.join().unwrap().is_none_or(|seen| seen <= 1));
        }
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// The second call in place does not look at the seats: the first has seen to it that nobody can be there.
pub fn a_process_unbiased_by_one_call_is_safe_for_the_next() {
    check(3, || {
        let world = World::new();
        let server = biased(&world);
        let reading = world.reader(&server, 0);
        let called = [1, 2].map(|number| server.call(number, Act::Note));
        world.run();
        reading.join().unwrap();
        world.settle(&[&server]);
        let called = called.into_iter().filter(|called| *called).count();
        assert_eq!(server.done().len(), called);
    });
}

/// The bias comes while a message is sent and another reader sits down.
pub fn a_reader_that_biases_a_process_loses_no_message() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let reading = [0, 1].map(|seat| world.reader(&server, seat));
        assert!(server.send(1));
        world.run();
        for thread in reading {
            thread.join().unwrap();
        }
        world.settle(&[&server]);
        assert_eq!(server.done(), [1]);
    });
}

/// The caller has RUN for a moment, in which the message finds somebody inside; then it gives way to the reader.
pub fn a_call_that_gives_way_to_a_reader_sees_to_a_message() {
    check(3, || {
        let world = World::new();
        let server = biased(&world);
        let reading = world.reader(&server, 0);
        let sender = server.clone();
        let sending = world.spawn(move || assert!(sender.send(1)));
        let called = server.call(2, Act::Note);
        world.run();
        reading.join().unwrap();
        sending.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.done().len(), 1 + usize::from(called));
    });
}

/// The state is not dropped under a reader.
pub fn a_process_ends_after_its_readers() {
    check(3, || {
        let world = World::new();
        let server = biased(&world);
        let other = world.plain();
        let reading = world.reader(&server, 0);
        server.send_exit(&other, ExitReason::Kill);
        world.run();
        reading.join().unwrap();
        world.settle(&[&server, &other]);
        server.look(|state| assert!(matches!(state.ended, Some(ExitReason::Killed))));
    });
}
