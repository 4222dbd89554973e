//! The end of a process: it comes once, nothing of the process runs afterwards, and no message is stored or forgotten.

use super::check;
use super::kit::{Act, Gate, Seen, World};
use crate::process::exit::kill;
use crate::process::exit_reason::ExitReason;

/// A kill beside senders and handlers. What could be sent is handled or dropped; what could not comes back.
pub fn a_killed_server_handles_or_drops_every_message() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let (sent, killed) = (server.clone(), server.clone());
        let sending = world.spawn(move || {
            let first = sent.send(10);
            let second = sent.send(11);
            assert!(first || !second, "after it has closed a mailbox stores nothing");
        });
        let killing = world.spawn(move || kill(&killed));
        server.send(20);
        world.run();
        sending.join().unwrap();
        killing.join().unwrap();
        world.settle(&[&server]);
        server.look(|state| assert_eq!(state.ended, Some(ExitReason::Killed)));
        world.assert_none_left();
    });
}

/// The state is dropped when the call in place and the reader that are inside have left.
pub fn a_kill_waits_for_those_inside() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let (called, read) = (server.clone(), server.clone());
        let calling = world.spawn(move || called.call(1, Act::Note));
        let reading = world.spawn(move || read.read());
        kill(&server);
        assert!(!server.call(2, Act::Note) && server.read().is_none(), "nobody enters after a kill");
        world.run();
        let called = calling.join().unwrap();
        reading.join().unwrap();
        world.settle(&[&server]);
        server.look(|state| {
            assert_eq!(state.ended, Some(ExitReason::Killed));
            assert_eq!(state.seen.len(), usize::from(called));
        });
    });
}

/// A kill and a stop by the server's own handler: one end, one reason, which everybody reads.
pub fn a_kill_beside_a_stop_ends_the_server_once() {
    check(0, || {
        let world = World::new();
        let server = world.plain();
        let killed = server.clone();
        let killing = world.spawn(move || kill(&killed));
        let sent = server.send_to_do(1, Act::Stop(ExitReason::Shutdown)).is_ok();
        if !sent {
            assert_eq!(
                server.mailbox.exit_reason(),
                Some(ExitReason::Killed),
                "known once the mailbox is closed"
            );
        }
        world.run();
        killing.join().unwrap();
        world.settle(&[&server]);
        let reason = server.mailbox.exit_reason();
        server.look(|state| assert_eq!(state.ended, reason));
        assert!(matches!(reason, Some(ExitReason::Killed | ExitReason::Shutdown)));
    });
}

/// A process killed while its handler waits ends without being woken; a wake-up that comes too late does nothing.
pub fn a_late_wake_up_does_not_wake_the_dead() {
    check(2, || {
        let world = World::new();
        let server = world.plain();
        let gate = Gate::new(1);
        assert!(server.send_to_do(1, Act::Wait(gate.clone())).is_ok());
        let (woken, killed) = (server.clone(), server.clone());
        let waking = world.spawn(move || gate.open(&woken));
        let killing = world.spawn(move || kill(&killed));
        world.run();
        waking.join().unwrap();
        killing.join().unwrap();
        world.settle(&[&server]);
        server.look(|state| assert_eq!(state.ended, Some(ExitReason::Killed)));
        world.assert_none_left();
    });
}

/// Two exit signals and a kill: the process ends once, with the reason of one of them, and a kill is final.
pub fn of_several_exits_one_counts() {
    check(3, || {
        let world = World::new();
        let server = world.plain();
        let from = world.plain();
        let (signalled, sender, killed) = (server.clone(), from.clone(), server.clone());
        let signalling = world.spawn(move || signalled.send_exit(&sender, ExitReason::Shutdown));
        let killing = world.spawn(move || {
            kill(&killed);
            assert!(!killed.word.is_alive());
            let reason = killed.mailbox.exit_reason();
            assert!(reason.is_some());
            reason
        });
        server.send_exit(&from, ExitReason::Timeout);
        world.run();
        signalling.join().unwrap();
        let known = killing.join().unwrap();
        world.settle(&[&server]);
        assert_eq!(server.mailbox.exit_reason(), known, "a reason that was read does not change");
        server.look(|state| assert_eq!(state.ended, known));
    });
}

/// Nothing that a server was asked to do after its end was decided is done.
pub fn no_handler_runs_once_the_kill_is_seen() {
    check(2, || {
        let world = World::new();
        let server = world.plain();
        let (killed, called) = (server.clone(), server.clone());
        let killing = world.spawn(move || {
            kill(&killed);
            // Whoever knows of the kill sends this: it is never handled.
            killed.send(99);
        });
        let calling = world.spawn(move || called.call_or_send(10));
        server.send(20);
        world.run();
        killing.join().unwrap();
        calling.join().unwrap();
        world.settle(&[&server]);
        assert!(!server.seen().contains(&Seen::Done(99)));
        world.assert_none_left();
    });
}
