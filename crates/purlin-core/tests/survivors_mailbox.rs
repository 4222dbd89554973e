//! Proves what is told about mailboxes and new processes, and that a reason which is replaced is dropped where its drop may do anything.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use common::lab::*;
use common::*;
use purlin_core::process::SpawnOptions;
use purlin_core::telemetry::events;
use purlin_core::*;

#[test]
fn a_bound_tells_what_it_was_made_with() {
    let bound = MailboxBound::new(7, Overflow::DropOldest);
    assert_eq!((bound.capacity(), bound.overflow()), (7, Overflow::DropOldest));
}

#[test]
fn messages_that_a_bounded_process_has_looked_at_and_left_still_count() {
    everywhere(|_| async move {
        let mailbox = Some(MailboxBound::new(5, Overflow::Reject));
        let p = process::spawn_with(
            SpawnOptions { mailbox, ..SpawnOptions::default() },
            async |mut mailbox: Mailbox<u8>| {
                mailbox.receive_map(|n| if n == 0 { Ok(()) } else { Err(n) }).await;
            },
        );
        for n in 1..=3 {
            p.send(n);
        }
        // It has looked at all of them when it has answered.
        sys::get_status(p.pid()).await.unwrap();
        assert_eq!(process::process_info(p.pid()).unwrap().message_queue_len, 3);
        process::exit(p.pid(), ExitReason::Kill);
    });
}

/// Sends something to a process when it is dropped.
#[derive(Debug, PartialEq)]
struct Parting(Pid);

impl Drop for Parting {
    fn drop(&mut self) {
        process::send(self.0, "parting");
    }
}

#[test]
fn a_reason_that_a_kill_replaces_may_send_to_the_process_when_it_is_dropped() {
    everywhere(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async |mut mailbox: Mailbox<AnyMsg>| {
            let own = mailbox.pid();
            process::exit(own, ExitReason::custom(Parting(own)));
            // It looks into its mailbox, so that it is to end with that reason at its next await.
            assert!(mailbox.try_receive().is_none());
            process::exit(own, ExitReason::Kill);
            mailbox.receive().await;
        });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
    });
}

#[test]
fn a_spawn_is_told_with_the_new_process_its_type_and_its_parent() {
    everywhere(|me| async move {
        let told: Log<String> = Log::default();
        let log = told.clone();
        let attached = Node::current().telemetry().attach("spawns", events::PROCESS_SPAWN, move |event| {
            let pid = |key| event.metadata.pid(key).unwrap();
            let kind = event.metadata.str("type").unwrap();
            assert!(event.measurements.u64("processes").unwrap() >= 2);
            log.add(format!("{} made {kind} {}", pid("parent"), pid("pid")));
        });
        attached.unwrap();
        let p = idle();
        let server = Lab::start(Setup::default()).await.unwrap().pid();
        let me = me.pid();
        assert_eq!(told.all(), [format!("{me} made process {p}"), format!("{me} made Lab {server}")]);
        process::exit(p, ExitReason::Kill);
        process::exit(server, ExitReason::Kill);
    });
}

#[test]
fn a_message_does_not_wake_a_handler_that_waits_for_something_else() {
    in_simulation(|_| async move {
        let server = Lab::start(Setup::default()).await.unwrap();
        let polls = Arc::new(AtomicUsize::new(0));
        let counter = polls.clone();
        server.cast(cast_waiting(move |_, _| {
            Box::pin(std::future::poll_fn(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                Poll::Pending
            }))
        }));
        // When time goes on, everything that could run has run.
        process::sleep(millis(1)).await;
        let before = polls.load(Ordering::Relaxed);
        assert!(before > 0);
        for _ in 0..3 {
            server.cast(Tell("later"));
            process::sleep(millis(1)).await;
        }
        assert_eq!(polls.load(Ordering::Relaxed), before);
        process::exit(server.pid(), ExitReason::Kill);
    });
}

#[test]
fn in_some_simulated_runs_a_message_overtakes_one_that_another_process_sent_before() {
    let overtaken = Arc::new(AtomicUsize::new(0));
    let count = overtaken.clone();
    in_simulation(move |mut me| {
        let count = count.clone();
        async move {
            let home = me.pid();
            let relay = process::spawn(async move |mut mailbox: Mailbox<u8>| {
                process::send(home, mailbox.receive().await);
            });
            process::spawn(async move |_: Mailbox<()>| {
                process::send(home, 1u8);
                relay.send(2);
            });
            let order = [next::<u8>(&mut me).await, next::<u8>(&mut me).await];
            assert!(order == [1, 2] || order == [2, 1]);
            count.fetch_add(usize::from(order == [2, 1]), Ordering::Relaxed);
        }
    });
    assert!(overtaken.load(Ordering::Relaxed) > 0);
}
