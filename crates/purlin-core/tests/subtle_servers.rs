//! Proves the cases of servers that OTP's documentation and source imply and the numbered statements do not spell out: late replies, timeouts
//! against queued messages, stops and kills that meet other ends, exits within handlers.

mod common;
mod subtle_support;

use std::time::Duration;

use common::lab::*;
use common::*;
use purlin_core::*;
use subtle_support::*;

fn custom() -> ExitReason {
    ExitReason::custom("end")
}

/// Makes a server busy until the gate opens, and waits until it is.
async fn busy(server: &Ref<Lab>) -> Gate {
    let (entered, gate) = (Gate::default(), Gate::default());
    let (inside, wait) = (entered.clone(), gate.clone());
    server.cast(cast_waiting(move |_, _| {
        Box::pin(async move {
            inside.open();
            wait.pass().await;
        })
    }));
    entered.pass().await;
    gate
}

/// Waits until so many messages are in a process's mailbox.
async fn queued(pid: Pid, n: usize) {
    until(|| process::process_info(pid).unwrap().message_queue_len >= n).await;
}

#[test]
fn g23_g38_a_late_reply_never_answers_another_call_of_any_caller() {
    explored_in_simulation(|mut me| async move {
        let home = me.pid();
        let server = lab().await;
        for caller in 0..3i64 {
            let server = server.clone();
            process::spawn(async move |mut mailbox: Me| {
                for n in 0..8i64 {
                    let question = caller * 100 + n;
                    let slow = millis(((caller + n) % 4) as u64);
                    let answer = server
                        .call(wait(move |_, _| {
                            Box::pin(async move {
                                process::sleep(slow).await;
                                question
                            })
                        }))
                        .timeout(millis((n % 3) as u64 * 2))
                        .await;
                    match answer {
                        Ok(answer) => assert_eq!(answer, question),
                        Err(error) => assert!(error.is_timeout(), "{error}"),
                    }
                }
                // Nothing of the calls that were given up is in the mailbox, now or when the server is done with them.
                assert_eq!(server.call(Get).infinity().await.unwrap(), 0);
                nothing(&mut mailbox);
                process::send(home, "done");
            });
        }
        for _ in 0..3 {
            me.receive_as::<&str>().await;
        }
    });
}

#[test]
fn g22_g23_a_reply_handle_outlives_its_caller_and_its_call() {
    explored(|mut me| async move {
        let server = lab().await;
        let target = server.clone();
        let (caller, end) = me.spawn_monitor(async move |_: Mailbox<()>| {
            let _ = target.call(Hold).infinity().await;
        });
        until(|| process::is_alive(caller.pid())).await;
        while server.call(looking(|lab, _| lab.held.len())).await.unwrap() == 0 {}
        process::exit(caller.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, end).await.reason, ExitReason::Killed);
        // The answer goes nowhere: not to the next call, and not to who answers.
        server.call(doing(|lab, _| lab.held.pop().unwrap().reply(77))).await.unwrap();
        assert_eq!(server.call(Add(1)).await.unwrap(), 1);
        nothing(&mut me);
    });
}

#[test]
fn g55_a_timeout_of_0_yields_to_a_message_that_is_queued_and_comes_at_once_otherwise() {
    explored_in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let gate = busy(&server).await;
        server.cast(casting(|lab, cx| {
            lab.log.add("first".into());
            cx.timeout(Duration::ZERO);
        }));
        server.cast(Tell("second"));
        queued(server.pid(), 2).await;
        gate.open();
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init", "first", "second"]);
        // And the timeout that was cancelled does not come later.
        process::sleep(secs(10)).await;
        assert_eq!(log.all().len(), 3);
        server.cast(casting(|_, cx| cx.timeout(Duration::ZERO)));
        process::sleep(millis(2)).await;
        assert_eq!(log.all()[3..], ["timeout"]);
    });
}

#[test]
fn g17_g55_a_continue_runs_before_the_timeout_and_before_what_is_queued() {
    explored_in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let gate = busy(&server).await;
        server.cast(casting(|lab, cx| {
            lab.log.add("first".into());
            cx.continue_with(Go(1));
        }));
        server.cast(Tell("second"));
        queued(server.pid(), 2).await;
        gate.open();
        server.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init", "first", "continue 1", "continue 0", "second"]);
    });
}

#[test]
fn g55_an_exit_and_a_down_cancel_the_timeout_like_any_message() {
    explored_in_simulation(|_| async move {
        for trap in [true, false] {
            let log = Log::default();
            let server = Lab::start(Setup { trap, ..Setup::logging(&log) }).await.unwrap();
            let peer = idle();
            server
                .call(doing(move |_, cx| {
                    if trap {
                        cx.link(peer).unwrap();
                    } else {
                        cx.monitor(peer);
                    }
                    cx.timeout(secs(1));
                }))
                .await
                .unwrap();
            process::sleep(millis(500)).await;
            process::exit(peer, custom());
            process::sleep(secs(5)).await;
            let what = if trap { "exit" } else { "down" };
            assert_eq!(log.all(), ["init".to_owned(), format!("{what} {}", custom())]);
        }
    });
}

#[test]
fn g55_a_timeout_does_not_get_lost_by_a_system_request_or_a_normal_exit_signal() {
    explored_in_simulation(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        server.call(doing(|_, cx| cx.timeout(secs(2)))).await.unwrap();
        process::sleep(secs(1)).await;
        sys::get_status(server.pid()).await.unwrap();
        // One that does not trap does not notice this one at all.
        process::exit(server.pid(), ExitReason::Normal);
        process::sleep(secs(3)).await;
        assert_eq!(log.all(), ["init", "timeout"]);
    });
}

#[test]
fn g34_g63_every_call_that_meets_a_stop_is_answered_or_told_the_reason() {
    explored(|mut me| async move {
        let home = me.pid();
        let server = lab().await;
        for n in 0..4 {
            let server = server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                steps(n).await;
                let held = n % 2 == 0;
                let answer = if held { server.call(Hold).await } else { server.call(Add(1)).await };
                process::send(home, (held, answer));
            });
        }
        steps(2).await;
        let stopped = server.stop().await;
        assert_eq!(stopped, Ok(()));
        for _ in 0..4 {
            let (held, answer) = me.receive_as::<(bool, Result<i64, CallError>)>().await;
            match answer {
                Ok(_) => assert!(!held),
                Err(error) => {
                    let gone = error.is_no_proc() || error.exit_reason() == Some(&ExitReason::Normal);
                    assert!(gone, "{error}");
                },
            }
        }
    });
}

#[test]
fn g63_g69_of_two_stops_the_first_decides_and_each_is_told_the_truth() {
    explored(|mut me| async move {
        let home = me.pid();
        let server = lab().await;
        let end = me.monitor(server.pid());
        let reasons = [ExitReason::error("a"), ExitReason::error("b")];
        for reason in reasons.clone() {
            let server = server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                let outcome = server.stop_with(reason.clone(), secs(60)).await;
                process::send(home, (reason, outcome));
            });
        }
        let ended = down(&mut me, end).await.reason;
        assert!(reasons.contains(&ended));
        for _ in reasons {
            let (asked, outcome) = me.receive_as::<(ExitReason, Result<(), StopError>)>().await;
            match outcome {
                Ok(()) => assert_eq!(asked, ended),
                Err(StopError::NoProc) => assert_ne!(asked, ended),
                Err(other) => assert_eq!((other, asked != ended), (StopError::Exit(ended.clone()), true)),
            }
        }
    });
}

#[test]
fn g69_a_kill_that_meets_terminate_gives_everybody_one_reason() {
    explored(|mut me| async move {
        me.trap_exits(true);
        for n in 0..5 {
            let log = Log::default();
            let setup = Setup::trapping(&log).terminate(move |_, _| Box::pin(steps(3)));
            let server = Lab::start_link(setup).await.unwrap();
            let end = me.monitor(server.pid());
            let victim = server.pid();
            process::spawn(async move |_: Mailbox<()>| {
                steps(n).await;
                process::exit(victim, ExitReason::Kill);
            });
            let outcome = server.stop().await;
            let reason = down(&mut me, end).await.reason;
            assert_eq!(me.receive_as::<Exit>().await.reason, reason);
            match outcome {
                Ok(()) => assert_eq!(reason, ExitReason::Normal),
                Err(StopError::NoProc) => assert_eq!(reason, ExitReason::Killed),
                Err(error) => {
                    assert_eq!((error, reason), (StopError::Exit(ExitReason::Killed), ExitReason::Killed))
                },
            }
            assert!(log.all().len() <= 2, "terminate runs once at most");
        }
    });
}

#[test]
fn g63_a_stop_that_arrives_during_init_is_done_when_init_is() {
    explored(|mut me| async move {
        let log = Log::default();
        let (entered, gate) = (Gate::default(), Gate::default());
        let (inside, wait) = (entered.clone(), gate.clone());
        let setup = Setup::logging(&log).init(move |_| {
            Box::pin(async move {
                inside.open();
                wait.pass().await;
                Ok(())
            })
        });
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            let started = Lab::start(setup).name("slow").await.map(|server| server.pid());
            process::send(home, started);
        });
        entered.pass().await;
        let server = process::whereis("slow").unwrap();
        process::spawn(async move |_: Mailbox<()>| {
            process::send(home, process::stop(server, custom(), secs(60)).await);
        });
        queued(server, 1).await;
        gate.open();
        assert_eq!(me.receive_as::<Result<(), StopError>>().await, Ok(()));
        assert_eq!(me.receive_as::<Result<Pid, StartError>>().await, Ok(server), "init was successful");
        assert_eq!(log.all(), ["init".to_owned(), format!("terminate {}", custom())]);
    });
}

#[test]
fn g65_a_stop_that_gave_up_still_stops_the_server_and_its_answer_goes_nowhere() {
    explored_in_simulation(|mut me| async move {
        let log = Log::default();
        let setup = Setup::logging(&log).terminate(|_, _| Box::pin(process::sleep(secs(10))));
        let server = Lab::start(setup).await.unwrap();
        let end = me.monitor(server.pid());
        assert_eq!(server.stop_with(custom(), secs(1)).await, Err(StopError::Timeout));
        // A second one finds it in `terminate`, and hears of the end that the first one asked for.
        assert_eq!(
            server.stop_with(ExitReason::error("other"), secs(60)).await,
            Err(StopError::Exit(custom()))
        );
        assert_eq!(down(&mut me, end).await.reason, custom());
        assert_eq!(log.all().len(), 2);
        nothing(&mut me);
    });
}

#[test]
fn p8_g72_a_handler_that_sends_its_own_server_an_exit_ends_it_without_terminate_unless_it_traps() {
    explored(|mut me| async move {
        for trap in [false, true] {
            let log = Log::default();
            let server = Lab::start(Setup { trap, ..Setup::logging(&log) }).await.unwrap();
            let end = me.monitor(server.pid());
            server.cast(casting(|_, cx| process::exit(cx.pid(), ExitReason::Normal)));
            server.cast(Tell("behind"));
            if trap {
                // The signal is behind what its sender had sent before, and nothing had been.
                while log.all().len() < 3 {
                    server.call(Get).await.unwrap();
                }
                let mut all = log.all();
                all.sort();
                assert_eq!(all, ["behind", "exit normal", "init"]);
                server.stop().await.unwrap();
                down(&mut me, end).await;
            } else {
                assert_eq!(down(&mut me, end).await.reason, ExitReason::Normal);
                assert_eq!(log.all(), ["init"]);
            }
        }
    });
}

#[test]
fn g47_casts_by_name_reach_the_old_server_or_the_new_one_in_order_and_never_the_old_one_late() {
    explored(|mut me| async move {
        const NAME: Name<Lab> = Name::new("phoenix");
        const TEXTS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
        let [first, second] = [Log::<String>::default(), Log::default()];
        let old = Lab::start(Setup::logging(&first)).name(&NAME).await.unwrap();
        let (_, sender) = me.spawn_monitor(async |_: Mailbox<()>| {
            for text in TEXTS {
                NAME.cast(Tell(text));
                process::yield_now().await;
            }
        });
        steps(2).await;
        old.stop().await.unwrap();
        let seen = first.all();
        let new = Lab::start(Setup::logging(&second)).name(&NAME).await.unwrap();
        down(&mut me, sender).await;
        assert_eq!(first.all(), seen, "nothing is handled after stop has answered");
        let number = |text: &String| text.parse::<u32>().ok();
        let [early, late] =
            [first.all(), second.all()].map(|l| l.iter().filter_map(number).collect::<Vec<_>>());
        let both = [early, late].concat();
        assert!(both.is_sorted_by(|a, b| a < b), "{both:?}");
        new.stop().await.unwrap();
    });
}

#[test]
fn g26_g27_a_call_by_name_that_meets_a_restart_is_answered_by_one_of_them_or_fails() {
    explored(|mut me| async move {
        const NAME: Name<Lab> = Name::new("relay");
        let home = me.pid();
        let old = Lab::start(Setup { value: 10, ..Setup::default() }).name(&NAME).await.unwrap();
        process::spawn(async move |_: Mailbox<()>| {
            let mut answers = Vec::new();
            for _ in 0..6 {
                answers.push(NAME.call(Get).await);
                process::yield_now().await;
            }
            process::send(home, answers);
        });
        steps(2).await;
        process::exit(old.pid(), ExitReason::Kill);
        // The name is free at once, though the old one may not be gone.
        let _new = Lab::start(Setup { value: 20, ..Setup::default() }).name(&NAME).await.unwrap();
        let answers = me.receive_as::<Vec<Result<i64, CallError>>>().await;
        let mut values = Vec::new();
        for answer in answers {
            match answer {
                Ok(value) => values.push(value),
                Err(error) => {
                    assert!(error.is_no_proc() || error.exit_reason() == Some(&ExitReason::Killed), "{error}")
                },
            }
        }
        assert!(values.is_sorted(), "{values:?}");
    });
}
