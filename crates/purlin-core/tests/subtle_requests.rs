//! Proves the cases of system requests, of suspended processes, and of requests made with monitors and aliases that OTP's documentation and
//! source imply and the numbered statements do not spell out.

mod common;
mod subtle_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::lab::*;
use common::*;
use purlin_core::process::{MonitorAlias, MonitorOptions};
use purlin_core::sys::SysError;
use purlin_core::*;
use subtle_support::*;

fn custom() -> ExitReason {
    ExitReason::custom("end")
}

#[test]
fn sy3_g72_a_suspended_server_that_traps_still_ends_with_its_parent_and_runs_terminate() {
    explored(|mut me| async move {
        let log = Log::default();
        let home = me.pid();
        let given = log.clone();
        let (parent, end) = me.spawn_monitor(async move |mut mailbox: Mailbox<()>| {
            let server = Lab::start_link(Setup::trapping(&given)).await.unwrap();
            sys::suspend(server.pid()).await.unwrap();
            process::send(home, server.pid());
            mailbox.receive().await;
            process::exit(mailbox.pid(), custom());
        });
        let server = me.receive_as::<Pid>().await;
        let server_end = me.monitor(server);
        process::send(server, Note("held"));
        parent.send(());
        assert_eq!(down(&mut me, end).await.reason, custom());
        assert_eq!(down(&mut me, server_end).await.reason, custom());
        assert_eq!(log.all(), ["init".to_owned(), format!("terminate {}", custom())]);
    });
}

#[test]
fn sy3_a_suspended_process_dies_by_what_it_does_not_trap_and_holds_what_it_does() {
    explored(|mut me| async move {
        for trap in [false, true] {
            let log = Log::default();
            let server = Lab::start(Setup { trap, ..Setup::logging(&log) }).await.unwrap();
            let end = me.monitor(server.pid());
            sys::suspend(server.pid()).await.unwrap();
            process::exit(server.pid(), custom());
            if trap {
                // The request is behind the signal, and is served all the same.
                assert!(sys::get_status(server.pid()).await.unwrap().suspended);
                assert_eq!(log.all(), ["init"]);
                sys::resume(server.pid()).await.unwrap();
                server.call(Get).await.unwrap();
                assert_eq!(log.all(), ["init".to_owned(), format!("exit {}", custom())]);
                sys::suspend(server.pid()).await.unwrap();
                process::exit(server.pid(), ExitReason::Kill);
                assert_eq!(down(&mut me, end).await.reason, ExitReason::Killed);
            } else {
                assert_eq!(down(&mut me, end).await.reason, custom());
            }
        }
    });
}

#[test]
fn sy3_g23_a_call_that_times_out_at_a_suspended_server_is_handled_after_it_resumes_and_its_reply_vanishes() {
    explored_in_simulation(|mut me| async move {
        let server = lab().await;
        sys::suspend(server.pid()).await.unwrap();
        assert!(server.call(Add(5)).timeout(secs(1)).await.unwrap_err().is_timeout());
        sys::resume(server.pid()).await.unwrap();
        assert_eq!(server.call(Get).await.unwrap(), 5);
        nothing(&mut me);
    });
}

#[test]
fn sy17_a_system_request_that_meets_the_end_of_its_server_is_served_or_finds_nobody() {
    explored(|mut me| async move {
        for n in 0..5 {
            let server = lab().await;
            let pid = server.pid();
            let end = me.monitor(pid);
            process::spawn(async move |_: Mailbox<()>| {
                steps(n).await;
                process::exit(pid, ExitReason::Kill);
            });
            let outcomes = [
                sys::suspend(pid).await,
                sys::get_status(pid).await.map(drop),
                sys::inspect_state(&server, |lab| lab.value).await.map(drop),
                sys::resume(pid).await,
            ];
            let first_gone = outcomes.iter().position(Result::is_err).unwrap_or(outcomes.len());
            for (n, outcome) in outcomes.iter().enumerate() {
                let expected = if n < first_gone { Ok(()) } else { Err(SysError::NoProc) };
                assert_eq!(*outcome, expected, "{outcomes:?}");
            }
            assert_eq!(down(&mut me, end).await.reason, ExitReason::Killed);
            nothing(&mut me);
        }
    });
}

#[test]
fn sy6_a_terminate_that_meets_another_stop_gives_one_end_and_the_truth_to_both() {
    explored(|mut me| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        let end = me.monitor(server.pid());
        let (home, pid) = (me.pid(), server.pid());
        process::spawn(async move |_: Mailbox<()>| {
            process::send(home, sys::terminate(pid, custom()).await);
        });
        let stopped = server.stop().await;
        let reason = down(&mut me, end).await.reason;
        let terminated = me.receive_as::<Result<(), SysError>>().await;
        if reason == ExitReason::Normal {
            assert_eq!(stopped, Ok(()));
        } else {
            assert_eq!(reason, custom());
            assert!(matches!(&stopped, Err(StopError::NoProc)) || stopped == Err(StopError::Exit(custom())));
            assert_eq!(terminated, Ok(()));
        }
        assert_eq!(log.all(), ["init".to_owned(), format!("terminate {reason}")]);
    });
}

#[test]
fn s36_a_suspended_supervisor_restarts_nothing_until_it_resumes_and_then_everything_once() {
    explored(|mut me| async move {
        let starts = Arc::new(AtomicUsize::new(0));
        let child = |id: &'static str| {
            let starts = starts.clone();
            let make = move || {
                starts.fetch_add(1, Ordering::SeqCst);
                Setup::default()
            };
            Lab::child_spec_with(make).id(id)
        };
        let sup = Supervisor::one_for_one().child(child("a")).child(child("b")).start().await.unwrap();
        let listed = sup.which_children().await.unwrap();
        sys::suspend(sup.pid()).await.unwrap();
        for info in listed {
            let pid = info.status.pid().unwrap();
            let end = me.monitor(pid);
            process::exit(pid, ExitReason::Kill);
            down(&mut me, end).await;
        }
        sys::get_status(sup.pid()).await.unwrap();
        assert_eq!(starts.load(Ordering::SeqCst), 2);
        sys::resume(sup.pid()).await.unwrap();
        until(|| starts.load(Ordering::SeqCst) == 4).await;
        assert_eq!(sup.count_children().await.unwrap().active, 2);
        assert_eq!(starts.load(Ordering::SeqCst), 4);
    });
}

#[test]
fn p47_a_server_that_ends_a_monitor_within_a_handler_never_handles_its_down() {
    explored(|mut me| async move {
        for n in 0..5 {
            let log = Log::default();
            let server = Lab::start(Setup::logging(&log)).await.unwrap();
            let target = idle();
            let witness = me.monitor(target);
            let monitor = server.call(doing(move |_, cx| cx.monitor(target))).await.unwrap();
            server.cast(cast_waiting(move |_, cx| {
                Box::pin(async move {
                    steps(n).await;
                    cx.demonitor(monitor);
                })
            }));
            process::exit(target, ExitReason::Kill);
            down(&mut me, witness).await;
            until(|| !process::processes().contains(&target)).await;
            server.call(Get).await.unwrap();
            let seen = log.all();
            // It may have come before the cast was handled, and never after.
            assert!(seen == ["init"] || seen == ["init", "down killed"], "{seen:?}");
            server.call(Get).await.unwrap();
            server.stop().await.unwrap();
            assert_eq!(log.all().len(), seen.len() + 1);
        }
    });
}

#[test]
fn p58_of_an_answer_by_alias_and_the_down_of_its_monitor_exactly_one_arrives() {
    explored(|mut me| async move {
        for n in 0..5 {
            let target = idle();
            let options = MonitorOptions { tag: None, alias: Some(MonitorAlias::ReplyDemonitor) };
            let (monitor, alias) = me.monitor_with(target, options);
            let alias = alias.unwrap();
            // The answer comes from a third process, so nothing orders it with the end of the monitored one.
            let (_, answered) = me.spawn_monitor(async move |_: Mailbox<()>| {
                steps(n).await;
                alias.send("answer");
            });
            process::exit(target, ExitReason::Kill);
            down(&mut me, answered).await;
            until(|| !process::processes().contains(&target)).await;
            let message = me.receive().await;
            match message.downcast::<Down>() {
                Ok(down) => assert_eq!((down.monitor, down.reason), (monitor, ExitReason::Killed)),
                Err(other) => assert_eq!(other.downcast::<&str>().unwrap(), "answer"),
            }
            nothing(&mut me);
        }
    });
}

#[test]
fn p8_g27_a_handler_that_ends_its_own_server_by_an_exit_signal_gives_its_caller_that_reason_or_its_reply() {
    explored(|mut me| async move {
        for waits in [false, true] {
            let server = lab().await;
            let end = me.monitor(server.pid());
            let answer = server
                .call(wait(move |_, cx| {
                    Box::pin(async move {
                        process::exit(cx.pid(), ExitReason::Normal);
                        if waits {
                            process::yield_now().await;
                        }
                        5
                    })
                }))
                .await;
            assert_eq!(down(&mut me, end).await.reason, ExitReason::Normal);
            match answer {
                // It had nothing to wait for: the signal takes effect when the handler has returned, with its reply.
                Ok(n) => assert_eq!((n, waits), (5, false)),
                Err(error) => assert_eq!(error.exit_reason(), Some(&ExitReason::Normal)),
            }
            assert!(!server.is_alive());
        }
    });
}

#[test]
fn g60_a_hibernating_server_is_woken_by_its_timeout_and_by_signals() {
    explored_in_simulation(|mut me| async move {
        let log = Log::default();
        let server = Lab::start(Setup::trapping(&log)).await.unwrap();
        server
            .call(doing(|_, cx| {
                cx.timeout(secs(1));
                cx.hibernate();
            }))
            .await
            .unwrap();
        process::sleep(secs(2)).await;
        assert_eq!(log.all(), ["init", "timeout"]);
        server.call(doing(|_, cx| cx.hibernate())).await.unwrap();
        process::exit(server.pid(), custom());
        server.call(Get).await.unwrap();
        assert_eq!(log.all()[2..], [format!("exit {}", custom())]);
        server.call(doing(|_, cx| cx.hibernate())).await.unwrap();
        let end = me.monitor(server.pid());
        process::exit(server.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, end).await.reason, ExitReason::Killed);
    });
}
