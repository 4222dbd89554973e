//! Proves that the receive macros find, wait, leave alone and explain as they say.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use purlin::prelude::*;
use purlin_test::__private::run;
use purlin_test::{
    Test, assert_receive, assert_receive_timeout, assert_received, refute_receive, refute_received,
};
use support::{each, panic_of, passes, passes_simulated};

#[derive(Debug, PartialEq)]
enum Msg {
    Count(u64),
    Text(String),
    Done,
}

use Msg::{Count, Done, Text};

/// A message that cannot be shown.
struct Secret(#[allow(dead_code, reason = "only matched")] u64);

fn text(text: &str) -> Msg {
    Text(text.to_owned())
}

/// Sends from a process of its own, so that messages come while the test waits.
fn later<M: Send + 'static>(mailbox: &Mailbox<M>, messages: Vec<M>) {
    let me = mailbox.address();
    process::spawn(async move |_: Mailbox<()>| {
        for message in messages {
            process::sleep(millis(1)).await;
            let _ = me.try_send(message);
        }
    });
}

/// Everything in the mailbox, in order.
fn drain<M: Send + 'static>(mailbox: &mut Mailbox<M>) -> Vec<M> {
    std::iter::from_fn(|| mailbox.try_receive()).collect()
}

#[test]
fn a_message_that_matches_is_taken_and_the_others_stay_in_their_places() {
    passes(async |_: Test, mut mailbox: Mailbox<Msg>| {
        later(&mailbox, vec![Count(1), text("a"), Count(12), Done, Count(13)]);
        assert_receive!(mailbox, Done);
        assert_receive!(mailbox, Count(13));
        assert_eq!(assert_received!(mailbox, Count(n) if n > 10 => n), 12);
        assert_eq!(drain(&mut mailbox), [Count(1), text("a")]);
    });
}

#[test]
fn without_an_arrow_the_whole_message_is_answered() {
    passes(async |_: Test, mut mailbox: Mailbox<Msg>| {
        later(&mailbox, vec![Count(1), text("hello"), text("long enough")]);
        // The guard looks into the message, which stays whole.
        let whole = assert_receive!(mailbox, Text(words) if words.len() > 5);
        assert_eq!(whole, text("long enough"));
        assert_eq!(assert_received!(mailbox, Count(_) | Done), Count(1));
        let any = assert_received!(mailbox, _);
        assert_eq!(any, text("hello"));
    });
}

#[test]
fn what_stands_behind_the_arrow_may_take_the_message_apart() {
    passes(async |_: Test, mut mailbox: Mailbox<Msg>| {
        mailbox.address().send(text("hello"));
        mailbox.address().send(Count(3));
        let words: String = assert_receive!(mailbox, Text(words) => words);
        assert_eq!(words, "hello");
        let offset = 4;
        let sum =
            assert_receive!(mailbox, Count(n @ 1..=5) if n + offset == 7 => { let twice = 2 * n; twice + 1 });
        assert_eq!(sum, 7);
        let everything = || ();
        mailbox.address().send(Done);
        assert_receive!(mailbox, message => drop(message));
        everything();
    });
}

#[test]
fn a_time_can_be_given() {
    passes_simulated(async |t: Test, mut mailbox: Mailbox<Msg>| {
        let before = t.node().now();
        process::send_after(mailbox.pid(), millis(150), Done);
        refute_receive!(mailbox, Done);
        assert!(t.node().now() - before >= millis(100));
        refute_receive!(mailbox, Done, within millis(1));
        refute_received!(mailbox, Done);
        assert_receive!(mailbox, Done, within secs(5));
        assert!(t.node().now() - before >= millis(150));
        // All parts together, and a trailing comma.
        mailbox.address().send(Count(7));
        let n = assert_receive!(mailbox, Count(n) if n == 7 => n + 1, within secs(1),);
        assert_eq!(n, 8);
    });
}

#[test]
fn the_default_is_a_tenth_of_a_second_or_what_a_process_chooses() {
    passes_simulated(async |_: Test, mut mailbox: Mailbox<u8>| {
        assert_receive_timeout(millis(200));
        process::send_after(mailbox.pid(), millis(190), 1u8);
        assert_receive!(mailbox, 1);
    });
    let slow = async |_: Test, mut mailbox: Mailbox<u8>| {
        // Another process's choice is its own.
        process::spawn(async |_: Mailbox<()>| assert_receive_timeout(millis(200))).wait().await;
        process::send_after(mailbox.pid(), millis(190), 1u8);
        assert_receive!(mailbox, 1);
    };
    let outcome = run(Some(1), "slow", slow);
    assert!(panic_of(&outcome).contains("came within 100ms of virtual time.\n"), "{}", panic_of(&outcome));
}

#[test]
fn a_mailbox_may_be_a_reference_or_a_field() {
    struct Probe {
        mailbox: Mailbox<AnyMsg>,
    }
    async fn helper(mailbox: &mut Mailbox<Msg>) {
        assert_receive!(mailbox, Done);
        refute_received!(mailbox, Done);
    }
    passes(async |_: Test, mut mailbox: Mailbox<Msg>| {
        mailbox.address().send(Done);
        helper(&mut mailbox).await;
    });
    passes(async |_: Test, mailbox: Mailbox<AnyMsg>| {
        let mut probe = Probe { mailbox };
        probe.mailbox.address().send(7u8);
        probe.mailbox.address().send("text");
        assert_receive!(probe.mailbox as &str, words => assert_eq!(words, "text"));
        assert_receive!(probe.mailbox, any if any.is::<u8>());
        refute_receive!(probe.mailbox as u8, _, within millis(1));
        refute_receive!(probe.mailbox, _, within millis(1));
    });
}

#[test]
fn an_untyped_mailbox_is_looked_at_by_type() {
    passes(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        mailbox.trap_exits(true);
        let worker = process::spawn_link(async |mut mailbox: Mailbox<u8>| {
            assert_eq!(mailbox.receive().await, 0, "no disk");
        });
        let monitor = mailbox.monitor(worker.pid());
        for number in [1u32, 2, 3] {
            mailbox.address().send(number);
        }
        worker.send(1);
        let Exit { from, reason } = assert_receive!(mailbox as Exit, exit => exit, within secs(5));
        assert_eq!(from, worker.pid());
        assert!(reason.panic_info().unwrap().message.contains("no disk"));
        let down =
            assert_receive!(mailbox as Down, Down { monitor: of, .. } if of == monitor, within secs(5));
        assert_eq!(down.pid, Some(worker.pid()));
        assert_eq!(assert_received!(mailbox as u32, 2), 2);
        refute_received!(mailbox as u32, 2);
        refute_received!(mailbox as Msg, _);
        let left: Vec<u32> = drain(&mut mailbox).into_iter().map(|any| any.downcast().unwrap()).collect();
        assert_eq!(left, [1, 3]);
    });
}

#[test]
fn a_monitor_that_was_looked_at_can_still_be_taken_off() {
    passes(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        let worker = process::spawn(async |_: Mailbox<()>| {});
        let monitor = mailbox.monitor(worker.pid());
        worker.wait().await;
        refute_receive!(mailbox as Down, Down { reason: ExitReason::Killed, .. });
        mailbox.demonitor(monitor);
        refute_receive!(mailbox as Down, _);
    });
}

#[test]
fn a_failure_shows_pattern_time_and_mailbox() {
    each(
        async |_: Test, mut mailbox: Mailbox<Msg>| {
            mailbox.address().send(Count(1));
            mailbox.address().send(text("one"));
            assert_receive!(mailbox, Count(n) if n > 10 => n, within millis(20));
        },
        |outcome| {
            let panic = panic_of(outcome);
            let (begin, rest) = panic.split_once(".\n").unwrap();
            let expected = "assert_receive!: nothing that matches `Count(n) if n > 10` came within 20ms";
            assert!(begin == expected || begin == format!("{expected} of virtual time"), "{panic}");
            let (mailbox, rest) = rest.split_once("> ").unwrap();
            assert!(mailbox.starts_with("The mailbox of <0."), "{panic}");
            assert_eq!(rest, "holds 2 messages:\n  1. Count(1)\n  2. Text(\"one\")");
        },
    );
}

/// The message and the place of the panic that a body ends with, in real time.
fn failure<M: Send + 'static, Fut: Future<Output = ()> + Send + 'static>(
    body: impl FnOnce(Test, Mailbox<M>) -> Fut + Send + 'static,
) -> (String, String) {
    let outcome = run(None, "fails", body);
    let info = outcome.body.panic_info().expect("it should panic");
    (info.message.clone(), info.location.clone().unwrap())
}

#[test]
fn every_form_fails_at_the_line_where_it_stands() {
    /// The line that the next failure should tell.
    static AT: AtomicU32 = AtomicU32::new(0);
    fn failing<M: Send + 'static, Fut: Future<Output = ()> + Send + 'static>(
        body: impl FnOnce(Test, Mailbox<M>) -> Fut + Send + 'static,
    ) -> String {
        let (message, location) = failure(body);
        let expected = format!("{}:{}:", file!(), AT.load(Ordering::Relaxed));
        assert!(location.starts_with(&expected), "{location}: {message}");
        message
    }
    failing(async |_: Test, mut mailbox: Mailbox<u8>| {
        AT.store(line!() + 1, Ordering::Relaxed);
        assert_receive!(mailbox, 7, within millis(1));
    });
    let message = failing(async |_: Test, mut mailbox: Mailbox<u8>| {
        AT.store(line!() + 1, Ordering::Relaxed);
        assert_received!(mailbox, 7);
    });
    assert_eq!(message.lines().next(), Some("assert_received!: nothing that matches `7` is there."));
    assert!(message.ends_with("> is empty."), "{message}");
    failing(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        AT.store(line!() + 1, Ordering::Relaxed);
        assert_received!(mailbox as u8, 7);
    });
    failing(async |_: Test, mut mailbox: Mailbox<u8>| {
        mailbox.address().send(7);
        AT.store(line!() + 1, Ordering::Relaxed);
        refute_received!(mailbox, 7);
    });
    let message = failing(async |_: Test, mut mailbox: Mailbox<u8>| {
        mailbox.address().send(7);
        mailbox.address().send(8);
        AT.store(line!() + 1, Ordering::Relaxed);
        refute_receive!(mailbox, 7);
    });
    assert!(
        message
            .starts_with("refute_receive!: a message came that matches `7`: 7\nWithout it: The mailbox of ")
    );
    assert!(message.ends_with("holds 1 message:\n  1. 8"), "{message}");
    let message = failing(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        mailbox.address().send(7u8);
        AT.store(line!() + 1, Ordering::Relaxed);
        refute_receive!(mailbox as u8, _n if _n > 6);
    });
    assert!(message.starts_with("refute_receive!: a message came that matches `_n if _n > 6`: 7\n"));
}

#[test]
fn messages_without_debug_are_shown_by_their_types() {
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<Secret>| {
        mailbox.address().send(Secret(1));
        assert_receive!(mailbox, Secret(2) => (), within millis(1));
    });
    assert!(message.ends_with("holds 1 message:\n  1. Secret"), "{message}");
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<Secret>| {
        mailbox.address().send(Secret(1));
        refute_received!(mailbox, Secret(1));
    });
    assert!(message.contains("matches `Secret(1)`: Secret\n"), "{message}");
}

#[test]
fn an_untyped_mailbox_shows_what_it_can() {
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        mailbox.address().send(7u32);
        mailbox.address().send(text("seven"));
        mailbox.address().send(Secret(7));
        mailbox.address().send("seven");
        mailbox.monitor("nobody");
        assert_receive!(mailbox as Msg, Done, within millis(1));
    });
    let listed: Vec<_> = message.lines().skip(2).collect();
    assert_eq!(listed[..4], ["  1. 7", "  2. Text(\"seven\")", "  3. Secret", "  4. \"seven\""]);
    assert!(listed[4].starts_with("  5. Down {") && listed[4].contains("NoProc"), "{message}");
    // Without a type to look for, the type of a message that only the test knows is all there is to show.
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<AnyMsg>| {
        mailbox.address().send(Done);
        assert_received!(mailbox, any if any.is::<u8>());
    });
    assert!(message.ends_with("1 message:\n  1. Msg"), "{message}");
}

#[test]
fn a_long_mailbox_is_cut_and_strangers_are_counted() {
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<u64>| {
        for number in 0..30u64 {
            mailbox.address().send(number);
        }
        process::send(mailbox.pid(), "not a number");
        assert_received!(mailbox, 100);
    });
    assert!(message.contains("holds 31 messages:\n  1. 0\n"), "{message}");
    assert!(
        message.ends_with("  20. 19\n  and 10 more\n  1 of types that the mailbox does not take"),
        "{message}"
    );
}

#[test]
fn a_failure_leaves_the_mailbox_as_it_was() {
    passes(async |_: Test, mut mailbox: Mailbox<Msg>| {
        let me = mailbox.address();
        for message in [Count(1), text("a"), Done] {
            me.send(message);
        }
        // The failing look happens in a future of its own, so that its panic can be caught here.
        let caught = {
            use std::future::poll_fn;
            use std::panic::{AssertUnwindSafe, catch_unwind};
            let mut look = Box::pin(async { assert_receive!(mailbox, Count(2), within millis(1)) });
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| look.as_mut().poll(cx))) {
                Ok(poll) => poll.map(|_| false),
                Err(_) => std::task::Poll::Ready(true),
            })
            .await
        };
        assert!(caught);
        assert_eq!(drain(&mut mailbox), [Count(1), text("a"), Done]);
    });
}

#[test]
fn generic_helpers_may_use_the_macros() {
    async fn nothing_more<M: Send + 'static>(mailbox: &mut Mailbox<M>) {
        refute_receive!(mailbox, _);
    }
    passes(async |_: Test, mut mailbox: Mailbox<Secret>| {
        nothing_more(&mut mailbox).await;
    });
    let (message, _) = failure(async |_: Test, mut mailbox: Mailbox<Secret>| {
        mailbox.address().send(Secret(1));
        nothing_more(&mut mailbox).await;
    });
    assert!(message.contains("matches `_`: Secret\n"), "{message}");
}
