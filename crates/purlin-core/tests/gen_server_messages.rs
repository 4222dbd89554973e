//! Proves what becomes of casts, untyped messages, timers, timeouts and hibernation in a server (G46 to G62).

mod common;

use std::time::Duration;

use common::lab::*;
use common::*;
use purlin_core::*;

#[test]
fn g46_casts_calls_and_sends_of_one_sender_keep_their_order() {
    on_every_path(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let mut expected = vec!["init".to_owned()];
        for n in 0..30 {
            let name: &'static str = ["a", "b", "c", "d", "e"][n % 5];
            server.cast(Tell(name));
            expected.push(name.to_owned());
            if n % 3 == 0 {
                process::send(server.pid(), Note("raw"));
                expected.push("raw".to_owned());
            }
            if n % 4 == 0 {
                server.send(Note("typed"));
                expected.push("typed".to_owned());
            }
            if n % 2 == 0 {
                server.call(doing(|lab, _| lab.log.add("call".to_owned()))).await.unwrap();
                expected.push("call".to_owned());
                // A read sees everything that was sent before it.
                let seen = server.call(looking(|lab, _| lab.log.all())).await.unwrap();
                assert_eq!(seen, expected);
            }
        }
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), expected);
    });
}

#[test]
fn g46_order_holds_while_a_handler_waits() {
    on_every_path(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        server.cast(cast_waiting(|lab, _| {
            Box::pin(async {
                for _ in 0..5 {
                    process::yield_now().await;
                }
                lab.log.add("first".to_owned());
            })
        }));
        server.cast(Tell("second"));
        server.call(doing(|lab, _| lab.log.add("third".to_owned()))).await.unwrap();
        assert_eq!(log.all(), ["init", "first", "second", "third"]);
    });
}

#[test]
fn g47_a_cast_to_nobody_is_ok_and_counted() {
    everywhere(|_| async move {
        let server = lab().await;
        server.stop().await.unwrap();
        let before = Node::current().stats().dead_letters;
        server.cast(Tell("to the dead"));
        Lab::named("nobody").cast(Tell("to an unknown name"));
        Lab::named("nobody").send(Note("the same"));
        assert!(Node::current().stats().dead_letters >= before + 2);
        assert_eq!(server.try_cast(Tell("x")), Err(TryCastError::NoProc(Tell("x"))));
        assert_eq!(Lab::named("nobody").try_cast(Tell("y")).unwrap_err().into_inner(), Tell("y"));
        assert_eq!(server.cast_wait(Tell("z")).await, Err(TryCastError::NoProc(Tell("z"))));
    });
}

#[test]
fn g49_untyped_messages_go_to_handle_info() {
    everywhere(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).name("infos").await.unwrap();
        process::send(server.pid(), Note("untyped"));
        process::send_named("infos", Note("by name")).unwrap();
        server.send(Note("typed"));
        process::send_after(server.pid(), Duration::ZERO, Note("by a timer"));
        // Until all are handled, or found to have no handler.
        while log.all().len() as u64 + Node::current().stats().unhandled < 5 {
            server.call(Get).await.unwrap();
            process::yield_now().await;
        }
        assert_eq!(Node::current().stats().unhandled, 0);
        let all = log.all();
        let sent: Vec<_> = all.iter().map(String::as_str).filter(|t| *t != "by a timer").collect();
        assert_eq!(sent, ["init", "untyped", "by name", "typed"]);
    });
}

#[test]
fn g50_a_message_without_a_handler_is_logged_and_counted_and_the_server_lives() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 3, path: CallPath::Adaptive }, |_| async move {
            let server = lab().await;
            let before = Node::current().stats().unhandled;
            let note = Log::default();
            process::send(server.pid(), 7u128);
            process::send(server.pid(), DropNote(note.clone(), "dropped"));
            process::send(server.pid(), Bomb("an unhandled message dropped"));
            assert_eq!(server.call(Add(1)).await.unwrap(), 1);
            assert_eq!(Node::current().stats().unhandled, before + 3);
            assert_eq!(note.all(), ["dropped"]);
        });
    });
    let warnings = events.take("purlin::unhandled");
    assert_eq!(warnings.len(), 3);
    assert!(warnings[0].contains("message=\"u128\"") || warnings[0].contains("u128"), "{}", warnings[0]);
}

#[test]
fn g50_the_same_is_told_by_telemetry() {
    everywhere(|_| async move {
        let seen = Log::default();
        let given = seen.clone();
        let node = Node::current();
        node.telemetry()
            .attach("g50", telemetry::events::GEN_SERVER_UNHANDLED_INFO, move |event| {
                given.add((
                    event.metadata.pid("pid").unwrap(),
                    event.metadata.str("message_type").unwrap().to_owned(),
                ));
            })
            .unwrap();
        let server = lab().await;
        process::send(server.pid(), 7u128);
        server.call(Get).await.unwrap();
        assert_eq!(seen.all(), [(server.pid(), "u128".to_owned())]);
    });
}

#[test]
fn g55_a_timeout_comes_if_nothing_does_and_any_message_cancels_it() {
    in_simulation_on_every_path(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let count = |log: &Log<String>| log.all().iter().filter(|t| *t == "timeout").count();
        server.call(doing(|_, cx| cx.timeout(secs(1)))).await.unwrap();
        process::sleep(millis(1_001)).await;
        assert_eq!(count(&log), 1);
        process::sleep(secs(10)).await;
        assert_eq!(count(&log), 1, "it does not repeat by itself");

        // Cancelled by a call, a read, a cast, an untyped message, and a message without a handler.
        for n in 0..5 {
            server.call(doing(|_, cx| cx.timeout(secs(1)))).await.unwrap();
            process::sleep(millis(900)).await;
            match n {
                0 => drop(server.call(Add(1)).await.unwrap()),
                1 => drop(server.call(Get).await.unwrap()),
                2 => server.cast(Tell("cast")),
                3 => process::send(server.pid(), Note("note")),
                _ => process::send(server.pid(), 0u128),
            }
            process::sleep(secs(3)).await;
            assert_eq!(count(&log), 1, "round {n}");
        }
        // A later one replaces an earlier one.
        server.cast(casting(|_, cx| cx.timeout(secs(1))));
        server.cast(casting(|_, cx| cx.timeout(secs(5))));
        process::sleep(secs(3)).await;
        assert_eq!(count(&log), 1);
        process::sleep(secs(3)).await;
        assert_eq!(count(&log), 2);
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn g55_a_timeout_can_be_set_in_init_and_by_its_own_handler_s_neighbours() {
    in_simulation(|_| async move {
        let log = Log::default();
        let setup = Setup::logging(&log).init(|cx| {
            cx.timeout(secs(2));
            Box::pin(async { Ok(()) })
        });
        let server = Lab::start(setup).await.unwrap();
        process::sleep(secs(3)).await;
        assert_eq!(log.all(), ["init", "timeout"]);
        server.call(Get).await.unwrap();
    });
}

#[test]
fn g55_a_timeout_that_fired_behind_a_message_which_set_another_is_none() {
    in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        // Both timers fire in the same tick, in an order that the seed decides. When the message is first, the timeout is in the mailbox behind it
        // when the message's handler sets another.
        server
            .call(doing(|_, cx| {
                cx.send_after(
                    secs(1),
                    informing(|lab: &mut Lab, cx| {
                        lab.log.add("message".to_owned());
                        cx.timeout(secs(5));
                    }),
                );
                cx.timeout(secs(1));
            }))
            .await
            .unwrap();
        process::sleep(secs(3)).await;
        let first = log.all();
        assert!(first == ["init", "message"] || first == ["init", "timeout", "message"], "{first:?}");
        process::sleep(secs(4)).await;
        assert_eq!(log.all()[first.len()..], ["timeout"]);
    });
}

#[test]
fn g59_without_a_timeout_none_comes_and_the_longest_does_not_come_soon() {
    in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        process::sleep(secs(1_000_000)).await;
        server.call(doing(|_, cx| cx.timeout(Duration::MAX))).await.unwrap();
        process::sleep(secs(1_000_000)).await;
        assert_eq!(log.all(), ["init"]);
        server.call(Get).await.unwrap();
    });
}

#[test]
fn g60_g62_a_hibernating_server_wakes_by_messages_and_sys_requests_with_its_state_intact() {
    on_every_path(|_| async move {
        let server = lab().await;
        for n in 0..200 {
            server.cast(casting(move |lab, _| lab.value += n));
        }
        server.call(doing(|_, cx| cx.hibernate())).await.unwrap();
        assert_eq!(sys::inspect_state(&server, |lab| lab.value).await.unwrap(), (0..200).sum());
        server.call(doing(|_, cx| cx.hibernate())).await.unwrap();
        assert_eq!(server.call(Get).await.unwrap(), (0..200).sum());
        server.cast(casting(|_, cx| cx.hibernate()));
        assert_eq!(server.call(Add(1)).await.unwrap(), (0..200).sum::<i64>() + 1);
        // What is in the mailbox already when it hibernates is not lost, and a request does not end the sleep for good.
        for n in 2..5 {
            server.cast(casting(|_, cx| cx.hibernate()));
            let seen = sys::inspect_state(&server, |lab| lab.value).await;
            assert_eq!(seen, Ok((0..200).sum::<i64>() + n - 1));
            assert_eq!(server.call(Add(1)).await.unwrap(), (0..200).sum::<i64>() + n);
        }
    });
}

#[test]
fn timers_of_a_server_fire_repeat_and_can_be_cancelled() {
    in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let (once, often) = server
            .call(doing(|_, cx| {
                (cx.send_after(secs(5), Note("once")), cx.send_interval(secs(2), Note("often")))
            }))
            .await
            .unwrap();
        process::sleep(millis(4_500)).await;
        assert_eq!(log.all(), ["init", "often", "often"]);
        let read =
            server.call(doing(move |_, cx| (cx.read_timer(once), cx.read_timer(often)))).await.unwrap();
        assert_eq!(read, (Some(millis(500)), Some(millis(1_500))));
        let left =
            server.call(doing(move |_, cx| (cx.cancel_timer(once), cx.cancel_timer(often)))).await.unwrap();
        assert_eq!(left, (Some(millis(500)), Some(millis(1_500))));
        process::sleep(secs(60)).await;
        assert_eq!(log.all(), ["init", "often", "often"]);
        assert_eq!(Node::current().stats().timers, 0);
        server.call(doing(|_, cx| cx.send_interval(secs(2), Note("often")))).await.unwrap();
        server.stop().await.unwrap();
        assert_eq!(Node::current().stats().timers, 0, "they go with the server");
    });
}

#[test]
fn a_server_s_monitors_tell_and_its_demonitor_flushes() {
    on_every_path(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let target = idle();
        server.call(doing(move |_, cx| cx.monitor(target))).await.unwrap();
        let monitor = server.call(doing(move |_, cx| cx.monitor(target))).await.unwrap();
        server.call(doing(|_, cx| cx.monitor("nobody"))).await.unwrap();
        // The handler that flushes finds the Down in its own mailbox: it waits until the target is gone.
        server
            .call(wait(move |_, cx| {
                Box::pin(async move {
                    process::exit(target, ExitReason::Shutdown);
                    process::wait(target).await;
                    // Once more through the mailbox, so that the signal is applied while this handler waits.
                    process::yield_now().await;
                    cx.demonitor(monitor);
                    assert!(!cx.demonitor(monitor));
                })
            }))
            .await
            .unwrap();
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init", "down no such process", "down shutdown"]);
    });
}

#[test]
fn a_server_on_a_queue_gives_way_to_others_and_handles_everything() {
    everywhere(|mut me| async move {
        let server = lab().await;
        for _ in 0..2_000 {
            server.cast(casting(|lab, _| lab.value += 1));
        }
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| process::send(home, "bystander"));
        assert_eq!(next::<&str>(&mut me).await, "bystander");
        assert_eq!(server.call(Get).await.unwrap(), 2_000);
    });
}
