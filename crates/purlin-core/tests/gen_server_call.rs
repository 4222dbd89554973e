//! Proves what a call promises, in place and queued: replies, deadlines, deaths, order (G21 to G38).

mod common;

use std::time::Duration;

use common::lab::*;
use common::*;
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom("server")
}

/// A call error's kind.
fn kind<R>(result: Result<R, CallError>) -> CallErrorKind {
    match result {
        Ok(_) => panic!("the call was answered"),
        Err(error) => error.kind().clone(),
    }
}

#[test]
fn g21_a_reply_answers_exactly_its_caller() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        let home = me.pid();
        for n in 0..20i64 {
            let server = server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                let echo = server.call(doing(move |_, _| n)).await.unwrap();
                let slow = server
                    .call(wait(move |_, _| {
                        Box::pin(async move {
                            process::yield_now().await;
                            n
                        })
                    }))
                    .await
                    .unwrap();
                process::send(home, (n, echo, slow));
            });
        }
        for _ in 0..20 {
            let (n, echo, slow) = next::<(i64, i64, i64)>(&mut me).await;
            assert_eq!((echo, slow), (n, n));
        }
    });
}

#[test]
fn every_kind_of_handler_answers() {
    on_every_path(|_| async move {
        let server = lab().await;
        assert_eq!(server.call(Add(1)).await.unwrap(), 1);
        assert_eq!(server.call(AddSync(1)).await.unwrap(), 2);
        assert_eq!(server.call(Get).await.unwrap(), 2);
        assert_eq!(server.call(Answer(Ok(9))).await.unwrap(), 9);
        assert_eq!(server.call(HandOut(|to: ReplyTo<i64>| to.reply(8))).await.unwrap(), 8);
        let big = server.call(doing(|_, _| [7u64; 64])).await.unwrap();
        assert_eq!(big, [7; 64]);
        let text = String::from("large messages travel too");
        let given = text.clone();
        let large = [3u8; 500];
        assert_eq!(server.call(doing(move |_, _| (given, large.len()))).await.unwrap(), (text, 500));
    });
}

#[test]
fn g22_a_call_can_be_answered_later_by_the_server_or_by_another_process() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        let home = me.pid();
        let caller = |server: Ref<Lab>| {
            process::spawn(async move |_: Mailbox<()>| process::send(home, server.call(Hold).await.unwrap()));
        };
        caller(server.clone());
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {
            process::yield_now().await;
        }
        server.cast(casting(|lab, _| lab.held.pop().unwrap().reply(1)));
        assert_eq!(next::<i64>(&mut me).await, 1);
        caller(server.clone());
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {
            process::yield_now().await;
        }
        let to = server.call(doing(|lab, _| lab.held.pop().unwrap())).await.unwrap();
        process::spawn(async move |_: Mailbox<()>| to.reply(2));
        assert_eq!(next::<i64>(&mut me).await, 2);
    });
}

#[test]
fn a_handle_that_is_dropped_unanswered_fails_the_call_with_no_reply() {
    on_every_path(|_| async move {
        let server = lab().await;
        assert_eq!(kind(server.call(HandOut(drop)).await), CallErrorKind::NoReply);
        let mut call = Box::pin(server.call(Hold));
        assert!(poll_once(&mut call).await.is_none());
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {
            process::yield_now().await;
        }
        server.cast(casting(|lab, _| lab.held.clear()));
        assert_eq!(kind(call.await), CallErrorKind::NoReply);
        assert!(server.is_alive());
    });
}

#[test]
fn g23_a_caller_s_timeout_leaves_the_server_running_and_it_finishes() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        let node = Node::current();
        for (limit, expected) in [(None, secs(5)), (Some(millis(300)), millis(300))] {
            let begin = node.now();
            let slow = server.call(wait(|lab, _| {
                Box::pin(async {
                    process::sleep(secs(60)).await;
                    lab.value += 1;
                })
            }));
            let slow = match limit {
                None => slow,
                Some(limit) => slow.timeout(limit),
            };
            let error = slow.await.unwrap_err();
            assert_eq!(error.kind(), &CallErrorKind::Timeout);
            assert!(error.is_timeout());
            assert_eq!(node.now() - begin, expected);
            assert_eq!(error.elapsed(), expected);
            assert!(server.is_alive());
        }
        // Calls behind the slow ones are answered when they are done.
        assert_eq!(server.call(Get).infinity().await.unwrap(), 2);
        nothing(&mut me);
    });
}

#[test]
fn g23_an_error_tells_everything_one_needs_to_know() {
    in_simulation_on_every_path(|_| async move {
        let server = Lab::start(Setup::default()).name("the lab").await.unwrap();
        let request = wait(|_, _| Box::pin(std::future::pending::<()>()));
        let line = line!() + 1;
        let call = server.call(request);
        let error = call.timeout(secs(1)).await.unwrap_err();
        assert_eq!(error.pid(), Some(server.pid()));
        assert_eq!(error.name(), Some("the lab"));
        assert_eq!((error.location().line(), error.location().file()), (line, file!()));
        assert!(error.server().ends_with("Lab") && error.request().contains("Wait<"), "{error:?}");
        let text = error.to_string();
        for part in
            ["to `Lab`", "\"the lab\"", "gen_server_call.rs:", "no reply after 1s", &server.pid().to_string()]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains('\n'));
    });
}

#[test]
fn g23_a_timeout_of_0_still_gets_an_answer_that_is_there_at_once() {
    run(Run::Simulated { seed: 1, path: CallPath::Direct }, |_| async move {
        let server = lab().await;
        assert_eq!(server.call(Add(1)).timeout(Duration::ZERO).await.unwrap(), 1);
        let slow = server.call(wait(|_, _| Box::pin(process::sleep(secs(1))))).timeout(Duration::ZERO);
        assert_eq!(kind(slow.await), CallErrorKind::Timeout);
        assert_eq!(server.call(Add(1)).timeout(Duration::MAX).await.unwrap(), 2);
    });
}

#[test]
fn g26_a_call_to_a_dead_process_or_unknown_name_fails_with_noproc_at_once() {
    on_every_path(|_| async move {
        let server = lab().await;
        server.stop().await.unwrap();
        let node = Node::current();
        let begin = node.now();
        let error = server.call(Add(1)).await.unwrap_err();
        assert!(error.is_no_proc());
        assert_eq!(error.pid(), Some(server.pid()));
        assert_eq!(kind(server.call(Get).await), CallErrorKind::NoProc);
        let error = Lab::named("nobody").call(Add(1)).await.unwrap_err();
        assert_eq!((error.kind(), error.name(), error.pid()), (&CallErrorKind::NoProc, Some("nobody"), None));
        assert!(
            error.to_string().contains("\"nobody\"") && error.to_string().ends_with("no such process"),
            "{error}"
        );
        if node.is_simulated() {
            assert_eq!(node.now(), begin);
        }
    });
}

#[test]
fn g27_a_server_that_dies_during_the_call_fails_it_with_its_reason_whatever_that_is() {
    on_every_path(|_| async move {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, custom(), ExitReason::Kill] {
            let server = lab().await;
            let given = reason.clone();
            let seen = if reason == ExitReason::Kill { ExitReason::Killed } else { reason.clone() };
            // It sends itself the signal and waits.
            let call = server.call(wait(move |_, cx| {
                process::exit(cx.pid(), given);
                Box::pin(std::future::pending::<()>())
            }));
            let error = call.await.unwrap_err();
            assert_eq!(error.kind(), &CallErrorKind::Exit(seen.clone()));
            assert_eq!(error.exit_reason(), Some(&seen));
            assert!(!server.is_alive());
        }
        let server = lab().await;
        let CallErrorKind::Exit(reason) = kind(server.call(doing(|_, _| planned("in a call"))).await) else {
            panic!()
        };
        assert!(is_planned(&reason, "in a call"), "{reason}");
        let server = lab().await;
        let CallErrorKind::Exit(reason) = kind(server.call(doing_sync(|_, _| planned("in sync"))).await)
        else {
            panic!()
        };
        assert!(is_planned(&reason, "in sync"), "{reason}");
        let server = lab().await;
        let CallErrorKind::Exit(reason) = kind(server.call(looking(|_, _| planned("in a read"))).await)
        else {
            panic!()
        };
        assert!(is_planned(&reason, "in a read"), "{reason}");
        let server = lab().await;
        let read = server.call(LookOrCrash(Crash::new(custom()))).await;
        assert_eq!(kind(read), CallErrorKind::Exit(custom()));
    });
}

#[test]
fn g27_an_error_passed_on_with_a_question_mark_ends_the_server_and_reaches_the_caller() {
    on_every_path(|mut me| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let monitor = me.monitor(server.pid());
        let error = "x".parse::<i64>().unwrap_err();
        let CallErrorKind::Exit(ExitReason::Error(term)) =
            kind(server.call(Answer(Err(error.clone().into()))).await)
        else {
            panic!()
        };
        assert_eq!(term.as_error().unwrap().downcast_ref::<std::num::ParseIntError>(), Some(&error));
        assert!(!server.is_alive(), "the caller is told when it has ended");
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Error(term));
        assert_eq!(log.all()[1], format!("terminate {error}"));
    });
}

#[test]
fn g28_a_server_that_calls_itself_is_refused_by_reference_and_by_name() {
    on_every_path(|_| async move {
        let server = Lab::start(Setup::default()).name("myself").await.unwrap();
        let outcome = server
            .call(wait(|_, cx| {
                Box::pin(async {
                    let by_ref = cx.this().call(Add(1)).await.map_err(|e| e.kind().clone());
                    let by_name = Lab::named("myself").call(Get).await.map_err(|e| e.kind().clone());
                    let stop = cx.this().stop().await;
                    (by_ref, by_name, stop)
                })
            }))
            .await
            .unwrap();
        let refused = Err(CallErrorKind::CallingSelf);
        assert_eq!(outcome, (refused.clone(), refused, Err(StopError::CallingSelf)));
        assert_eq!(server.call(Add(1)).await.unwrap(), 1, "it lives, and the calls were not made");
    });
}

#[test]
fn g30_a_call_without_limit_still_ends_when_the_server_does() {
    in_simulation_on_every_path(|_| async move {
        let server = lab().await;
        let target = server.pid();
        process::spawn(async move |_: Mailbox<()>| {
            process::sleep(secs(100_000)).await;
            process::exit(target, custom());
        });
        let call = server.call(wait(|_, _| Box::pin(std::future::pending::<()>()))).infinity();
        assert_eq!(kind(call.await), CallErrorKind::Exit(custom()));
        assert!(Node::current().now() >= secs(100_000));
    });
}

#[test]
fn g31_a_call_leaves_no_monitor_message_or_timer_behind_whatever_its_outcome() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        server.call(Add(1)).await.unwrap();
        let slow = || server.call(wait(|_, _| Box::pin(process::sleep(secs(10)))));
        assert_eq!(kind(slow().await), CallErrorKind::Timeout);
        {
            let mut dropped = Box::pin(slow());
            assert!(poll_once(&mut dropped).await.is_none());
        }
        let mut dying = Box::pin(server.call(Hold).infinity());
        assert!(poll_once(&mut dying).await.is_none());
        process::sleep(secs(60)).await;
        process::exit(server.pid(), custom());
        assert_eq!(kind(dying.await), CallErrorKind::Exit(custom()));
        // Its caller is told when the handle goes, with the state; others find it dead a moment later.
        process::wait(server.pid()).await;
        assert_eq!(kind(server.call(Get).await), CallErrorKind::NoProc);
        let info = process::process_info(me.pid()).unwrap();
        assert!(info.monitors.is_empty() && info.links.is_empty());
        assert_eq!(Node::current().stats().timers, 0);
        nothing(&mut me);
    });
}

#[test]
fn g32_a_call_does_not_look_at_the_caller_s_mailbox() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        for n in 0..10_000u32 {
            process::send(me.pid(), n);
        }
        for n in 1..=100 {
            assert_eq!(server.call(Add(1)).await.unwrap(), n);
        }
        for n in 0..10_000u32 {
            assert_eq!(next::<u32>(&mut me).await, n);
        }
    });
}

#[test]
fn g32_a_call_in_place_does_not_touch_the_caller_s_mailbox() {
    // One that is queued suspends its caller, which takes what is new once when it goes on.
    run(Run::Simulated { seed: 1, path: CallPath::Direct }, |me| async move {
        let server = lab().await;
        let waiting = || process::process_info(me.pid()).unwrap().message_queue_len;
        for n in 1..=10_000 {
            process::send(me.pid(), n);
            if n % 1_000 == 0 {
                assert_eq!(server.call(Add(1)).await.unwrap(), i64::from(n / 1_000));
                assert_eq!(waiting(), n as usize, "no message was even taken from the queue");
            }
        }
    });
}

#[test]
fn g34_stop_without_a_reply_fails_the_call_with_the_reason() {
    on_every_path(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        assert_eq!(
            kind(server.call(Answer(Err(Crash::new(ExitReason::Normal)))).await),
            CallErrorKind::Exit(ExitReason::Normal)
        );
        assert_eq!(log.all(), ["init", "terminate normal"]);
    });
}

#[test]
fn stop_with_a_reply_gives_the_reply_when_the_server_has_ended() {
    on_every_path(|_| async move {
        for sync in [false, true] {
            let log = Log::default();
            let setup = Setup { on_drop: Some(DropNote(Log::default(), "")), ..Setup::logging(&log) };
            let server = Lab::start(setup).await.unwrap();
            let stop = |_: &mut Lab, cx: &mut Cx<Lab>| {
                cx.stop(custom());
                cx.stop(ExitReason::Normal);
                "bye"
            };
            let reply =
                if sync { server.call(doing_sync(stop)).await } else { server.call(doing(stop)).await };
            assert_eq!(reply.unwrap(), "bye");
            assert_eq!(log.all(), ["init", "terminate \"server\""], "the first reason counts");
            assert_eq!(kind(server.call(Get).await), CallErrorKind::NoProc);
        }
    });
}

#[test]
fn g38_only_one_answer_is_possible_and_a_late_one_vanishes() {
    // A second `reply` does not compile: `ReplyTo::reply` takes the handle. What is left is the late one.
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        assert_eq!(kind(server.call(Hold).timeout(secs(1)).await), CallErrorKind::Timeout);
        let to = server.call(doing(|lab, _| lab.held.pop().unwrap())).await.unwrap();
        assert!(to.is_abandoned());
        to.reply(1);
        nothing(&mut me);
        // The next call is not answered by it.
        let mut call = Box::pin(server.call(Hold));
        assert!(poll_once(&mut call).await.is_none());
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {
            process::yield_now().await;
        }
        server.cast(casting(|lab, _| {
            let to = lab.held.pop().unwrap();
            assert!(!to.is_abandoned());
            to.reply(2);
        }));
        assert_eq!(call.await.unwrap(), 2);
    });
}

#[test]
fn a_handle_moved_elsewhere_outlives_the_server() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        let home = me.pid();
        let to_send = server.clone();
        process::spawn(async move |_: Mailbox<()>| {
            let result = to_send.call(Hold).await;
            process::send(home, result.map_err(|e| e.kind().clone()));
        });
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {
            process::yield_now().await;
        }
        let to = server.call(doing(|lab, _| lab.held.pop().unwrap())).await.unwrap();
        server.stop().await.unwrap();
        to.reply(5);
        assert_eq!(next::<Result<i64, CallErrorKind>>(&mut me).await, Ok(5));
    });
}

#[test]
fn a_call_waits_for_nothing_before_it_is_polled_and_can_be_dropped_at_every_stage() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        // Not polled: not made.
        drop(server.call(Add(1)));
        assert_eq!(server.call(Get).await.unwrap(), 0);
        // Dropped while the handler waits: it finishes, its reply vanishes.
        let log = Log::default();
        let given = log.clone();
        let mut call = Box::pin(server.call(wait(move |lab, _| {
            Box::pin(async move {
                let _note = DropNote(given, "handler done");
                process::sleep(secs(1)).await;
                lab.value += 10;
            })
        })));
        assert!(poll_once(&mut call).await.is_none());
        drop(call);
        assert_eq!(server.call(Get).await.unwrap(), 10);
        assert_eq!(log.all(), ["handler done"]);
        // Dropped while it waits behind another: it is handled all the same.
        let mut first = Box::pin(server.call(wait(|_, _| Box::pin(process::sleep(secs(1))))));
        assert!(poll_once(&mut first).await.is_none());
        let mut second = Box::pin(server.call(Add(5)));
        assert!(poll_once(&mut second).await.is_none());
        drop(second);
        drop(first);
        assert_eq!(server.call(Get).await.unwrap(), 15);
        // Dropped when the answer is there.
        let mut answered = Box::pin(server.call(wait(|_, _| Box::pin(process::sleep(secs(1))))));
        assert!(poll_once(&mut answered).await.is_none());
        process::sleep(secs(2)).await;
        drop(answered);
        // Polled again after it is done, a call just waits.
        assert_eq!(server.call(Add(0)).await.unwrap(), 15);
        nothing(&mut me);
    });
}

#[test]
fn a_reply_that_nobody_takes_is_dropped_and_its_panic_hurts_nobody() {
    in_simulation_on_every_path(|_| async move {
        let server = lab().await;
        let late = server.call(wait(|_, _| {
            Box::pin(async {
                process::sleep(secs(2)).await;
                Bomb("a reply dropped")
            })
        }));
        assert_eq!(kind(late.timeout(secs(1)).await), CallErrorKind::Timeout);
        assert_eq!(server.call(Add(1)).await.unwrap(), 1, "the server lives");
        // The same with an answer that comes by a handle.
        let log = Log::default();
        let given = log.clone();
        let late = server.call(wait(move |_, _| {
            Box::pin(async {
                process::sleep(secs(2)).await;
                DropNote(given, "dropped")
            })
        }));
        assert_eq!(kind(late.timeout(secs(1)).await), CallErrorKind::Timeout);
        server.call(Add(1)).await.unwrap();
        assert_eq!(log.all(), ["dropped"]);
    });
}

#[test]
fn caller_tells_who_calls() {
    on_every_path(|me| async move {
        let server = lab().await;
        assert_eq!(server.call(doing(|_, cx| cx.caller())).await.unwrap(), Some(me.pid()));
        let after_waiting = server.call(wait(|_, cx| {
            Box::pin(async {
                process::yield_now().await;
                cx.caller()
            })
        }));
        assert_eq!(after_waiting.await.unwrap(), Some(me.pid()));
        let node = Node::current();
        let outside =
            tokio::spawn(node.scope(async move { server.call(doing(|_, cx| cx.caller())).await.unwrap() }));
        assert_eq!(outside.await.unwrap(), None);
    });
}

/// Polls a future that is completed; the message of the panic that this is.
fn once_more<F: Future + Unpin>(future: &mut F) -> &'static str {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    // A call may first have to give way.
    let panic = (0..3).find_map(|_| {
        let poll = || std::pin::Pin::new(&mut *future).poll(&mut cx).is_ready();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).err()
    });
    panic.expect("it can be polled once more").downcast_ref::<&str>().unwrap()
}

#[test]
fn a_call_that_is_polled_after_it_was_completed_panics_and_leaves_the_server_as_it_was() {
    let is_meant = |message: &str| assert_eq!(message, "a call was polled after it was completed");
    on_every_path(move |_| async move {
        let server = lab().await;
        let mut call = server.call(Add(1));
        assert_eq!((&mut call).await.unwrap(), 1);
        is_meant(once_more(&mut call));
        let mut call = server.call(AddSync(1));
        assert_eq!((&mut call).await.unwrap(), 2);
        is_meant(once_more(&mut call));
        let mut call = server.call(Get);
        assert_eq!((&mut call).await.unwrap(), 2);
        is_meant(once_more(&mut call));
        let mut call = server.call(wait(|_, _| Box::pin(process::yield_now())));
        (&mut call).await.unwrap();
        is_meant(once_more(&mut call));
        // One that failed is not made by another poll, even if it could be by now.
        let late = Lab::named("late");
        let mut call = late.call(Add(1));
        assert_eq!(kind((&mut call).await), CallErrorKind::NoProc);
        process::register("late", server.pid()).unwrap();
        is_meant(once_more(&mut call));
        assert_eq!(server.call(Add(0)).await.unwrap(), 2);
    });
}
