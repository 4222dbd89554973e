//! Proves how servers end: `stop`, `terminate`, parents, kills, crash reports, what becomes of waiting callers (G63 to G78).

mod common;

use common::lab::*;
use common::*;
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom("end")
}

#[test]
fn g63_stop_runs_terminate_with_normal_and_the_server_is_gone_on_return() {
    on_every_path(|mut me| async move {
        let log = Log::default();
        let dropped = Log::default();
        let setup = Setup { on_drop: Some(DropNote(dropped.clone(), "state")), ..Setup::logging(&log) };
        let server = Lab::start(setup).name("g63").await.unwrap();
        let monitor = me.monitor(server.pid());
        assert_eq!(server.stop().await, Ok(()));
        assert_eq!(log.all(), ["init", "terminate normal"]);
        assert_eq!(dropped.all(), ["state"]);
        assert!(!server.is_alive());
        assert_eq!(process::whereis("g63"), None);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        Lab::start(Setup::default()).name("g63").await.unwrap();
    });
}

#[test]
fn g63_stop_waits_for_what_is_queued_before_it() {
    everywhere(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        server.cast(Tell("one"));
        server.cast(Tell("two"));
        server.stop().await.unwrap();
        assert_eq!(log.all(), ["init", "one", "two", "terminate normal"]);
    });
}

#[test]
fn g64_stop_with_another_reason_exits_with_it_and_is_ok() {
    on_every_path(|mut me| async move {
        for reason in [custom(), ExitReason::Shutdown, ExitReason::Timeout] {
            let log = Log::default();
            let server = Lab::start(Setup::logging(&log)).await.unwrap();
            let monitor = me.monitor(server.pid());
            assert_eq!(server.stop_with(reason.clone(), secs(50)).await, Ok(()));
            assert_eq!(log.all(), ["init".to_owned(), format!("terminate {reason}")]);
            assert_eq!(down(&mut me, monitor).await.reason, reason);
        }
    });
}

#[test]
fn g65_a_stop_that_times_out_leaves_the_request_under_way() {
    // OTP refuses an invalid timeout; a Duration cannot be one. What is left is the one that is over.
    in_simulation(|mut me| async move {
        let server = lab().await;
        server.cast(cast_waiting(|_, _| Box::pin(process::sleep(secs(10)))));
        let monitor = me.monitor(server.pid());
        assert_eq!(server.stop_with(ExitReason::Normal, secs(1)).await, Err(StopError::Timeout));
        assert!(server.is_alive());
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn g66_stop_of_a_dead_server_or_unknown_name_is_noproc() {
    everywhere(|_| async move {
        let server = Lab::start(Setup::default()).name("g66").await.unwrap();
        assert_eq!(Lab::named("g66").stop().await, Ok(()));
        assert_eq!(server.stop().await, Err(StopError::NoProc));
        assert_eq!(Lab::named("g66").stop().await, Err(StopError::NoProc));
        assert_eq!(server.stop_with(custom(), secs(1)).await, Err(StopError::NoProc));
    });
}

#[test]
fn g69_a_server_that_ends_otherwise_than_asked_fails_the_stop_with_that_reason() {
    everywhere(|_| async move {
        let server =
            Lab::start(Setup::default().terminate(|_, _| Box::pin(async { planned("in terminate") })))
                .await
                .unwrap();
        let Err(StopError::Exit(reason)) = server.stop().await else { panic!() };
        assert!(is_planned(&reason, "in terminate"));

        let server = lab().await;
        server.cast(casting(|_, cx| cx.stop(custom())));
        assert_eq!(server.stop().await, Err(StopError::Exit(custom())));
        assert!(StopError::Exit(custom()).to_string().contains("\"end\""));
    });
}

#[test]
fn g69_a_server_killed_in_terminate_fails_the_stop_with_killed() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let setup = Setup::default().terminate(move |_, cx| {
            process::send(home, cx.pid());
            Box::pin(std::future::pending())
        });
        let server = Lab::start(setup).await.unwrap();
        let mut stop = Box::pin(server.stop());
        assert!(poll_once(&mut stop).await.is_none());
        let pid = next::<Pid>(&mut me).await;
        process::exit(pid, ExitReason::Kill);
        assert_eq!(stop.await, Err(StopError::Exit(ExitReason::Killed)));
    });
}

#[test]
fn terminate_may_wait_and_nothing_else_runs_meanwhile() {
    everywhere(|_| async move {
        let log = Log::default();
        let given = log.clone();
        let setup = Setup::logging(&log).terminate(move |_, cx| {
            Box::pin(async move {
                cx.this().cast(Tell("too late"));
                for _ in 0..10 {
                    process::yield_now().await;
                }
                given.add("terminated".to_owned());
            })
        });
        let server = Lab::start(setup).await.unwrap();
        let mut stop = Box::pin(server.stop());
        assert!(poll_once(&mut stop).await.is_none());
        let late = server.call(Add(1)).await;
        stop.await.unwrap();
        assert!(late.is_err_and(|e| e.is_no_proc() || e.exit_reason() == Some(&ExitReason::Normal)));
        assert_eq!(log.all(), ["init", "terminate normal", "terminated"]);
    });
}

#[test]
fn g71_a_trapping_server_gets_the_exits_of_others_as_messages() {
    everywhere(|_| async move {
        let log = Log::default();
        let server = Lab::start(Setup::trapping(&log)).await.unwrap();
        let linked = idle();
        server.call(doing(move |_, cx| cx.link(linked).unwrap())).await.unwrap();
        process::exit(linked, custom());
        process::wait(linked).await;
        process::exit(server.pid(), ExitReason::Normal);
        process::exit(server.pid(), ExitReason::Shutdown);
        server.call(Get).await.unwrap();
        assert_eq!(
            log.all(),
            ["init".to_owned(), format!("exit {}", custom()), "exit normal".into(), "exit shutdown".into()]
        );
        let missing = server.call(doing(move |_, cx| cx.link(linked))).await.unwrap();
        assert_eq!(missing, Ok(()));
        server.call(Get).await.unwrap();
        assert_eq!(log.all()[4], "exit no such process");
        server.stop().await.unwrap();
        // A server that has a parent is no different: only the parent's own exit is no message.
        let log = Log::default();
        let child = Lab::start_link(Setup::trapping(&log)).await.unwrap();
        let linked = idle();
        child.call(doing(move |_, cx| cx.link(linked).unwrap())).await.unwrap();
        process::exit(linked, custom());
        process::wait(linked).await;
        child.call(Get).await.unwrap();
        assert_eq!(log.all(), ["init".to_owned(), format!("exit {}", custom())]);
        child.stop().await.unwrap();
    });
}

#[test]
fn a_trapping_server_hit_by_its_parent_s_exit_terminates_with_that_reason() {
    everywhere(|mut me| async move {
        for reason in [custom(), ExitReason::Shutdown, ExitReason::Normal] {
            let log = Log::default();
            let given = log.clone();
            let home = me.pid();
            let wanted = reason.clone();
            let parent = process::spawn(async move |mut mailbox: Mailbox<()>| {
                let server = Lab::start_link(Setup::trapping(&given)).await.unwrap();
                server.cast(Tell("before"));
                process::send(home, server);
                mailbox.receive().await;
                process::exit(mailbox.pid(), wanted);
            });
            let server = next::<Ref<Lab>>(&mut me).await;
            let monitor = me.monitor(server.pid());
            parent.send(());
            assert_eq!(down(&mut me, monitor).await.reason, reason);
            assert_eq!(log.all(), ["init".to_owned(), "before".into(), format!("terminate {reason}")]);
        }
    });
}

#[test]
fn g72_a_server_that_does_not_trap_dies_by_its_parent_s_exit_without_terminate() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let dropped = Log::default();
        let setup = Setup { on_drop: Some(DropNote(dropped.clone(), "state")), ..Setup::logging(&log) };
        let home = me.pid();
        let parent = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let server = Lab::start_link(setup).await.unwrap();
            process::send(home, server.pid());
            mailbox.receive().await;
            process::exit(mailbox.pid(), custom());
        });
        let server = next::<Pid>(&mut me).await;
        let monitor = me.monitor(server);
        parent.send(());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        assert_eq!(log.all(), ["init"]);
        assert_eq!(dropped.all(), ["state"], "but what it owns is dropped before anybody is told");
    });
}

#[test]
fn g73_a_kill_ends_any_server_killed_without_terminate() {
    on_every_path(|mut me| async move {
        for trap in [false, true] {
            let log = Log::default();
            let server = Lab::start(Setup { trap, ..Setup::logging(&log) }).await.unwrap();
            let monitor = me.monitor(server.pid());
            process::exit(server.pid(), ExitReason::Kill);
            assert!(!server.is_alive());
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
            assert_eq!(log.all(), ["init"]);
        }
    });
}

#[test]
fn a_kill_drops_a_waiting_handler_before_the_down_goes_out_and_fails_its_caller() {
    on_every_path(|mut me| async move {
        let log = Log::default();
        let setup = Setup { on_drop: Some(DropNote(log.clone(), "state")), ..Setup::default() };
        let server = Lab::start(setup).await.unwrap();
        let given = log.clone();
        let home = me.pid();
        let mut call = Box::pin(server.call(wait(move |_, _| {
            Box::pin(async move {
                let _note = DropNote(given, "handler");
                process::send(home, "in it");
                std::future::pending::<()>().await
            })
        })));
        assert!(poll_once(&mut call).await.is_none());
        assert_eq!(next::<&str>(&mut me).await, "in it");
        let monitor = me.monitor(server.pid());
        process::exit(server.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        assert_eq!(log.all(), ["handler", "state"], "the handler, which borrows the state, goes first");
        assert_eq!(call.await.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
    });
}

#[test]
fn a_server_exits_with_the_reason_kill_over_a_link_like_with_any_other() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let server = Lab::start_link(Setup::default()).await.unwrap();
        server.cast(casting(|_, cx| cx.stop(ExitReason::Kill)));
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: server.pid(), reason: ExitReason::Kill });
    });
}

/// What is logged as crash report when a server ends this way.
fn reports(
    end: impl Fn(&Ref<Lab>) + Send + Sync + Clone + 'static,
    status: Option<fn() -> String>,
) -> Vec<String> {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 9, path: CallPath::Queued }, move |mut me| {
            let end = end.clone();
            async move {
                let server = Lab::start(Setup { status, value: 17, ..Setup::default() })
                    .name("the reported one")
                    .await
                    .unwrap();
                let monitor = me.monitor(server.pid());
                end(&server);
                down(&mut me, monitor).await;
            }
        });
    });
    events.take("purlin::crash")
}

#[test]
fn g75_a_crash_is_reported_unless_the_reason_is_clean() {
    for (reason, expected) in [
        (ExitReason::Normal, 0),
        (ExitReason::Shutdown, 0),
        (ExitReason::shutdown_with(1), 0),
        (custom(), 1),
        (ExitReason::Timeout, 1),
    ] {
        let given = reason.clone();
        let logged = reports(move |server| server.cast(CastDo(stopping(given.clone()))), None);
        assert_eq!(logged.len(), expected, "{reason}");
    }
}

fn stopping(reason: ExitReason) -> impl FnOnce(&mut Lab, &mut Cx<Lab>) + Send {
    move |_, cx| cx.stop(reason)
}

#[test]
fn g76_the_report_tells_last_message_state_reason_name_and_work_done() {
    let logged = reports(
        |server| {
            server.cast(Tell("one"));
            server.send(Note("two"));
            server.cast(casting(|_, _| planned("while handling a cast")));
            server.cast(Tell("waits"));
        },
        None,
    );
    let [report] = &logged[..] else { panic!("{logged:?}") };
    for part in [
        "planned: while handling a cast",
        "gen_server_end.rs:",
        "name=\"the reported one\"",
        "state=\"value 17\"",
        "messages_handled=3",
        "mailbox=1",
        "CastDo<",
        "Lab",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
}

#[test]
fn g76_the_report_of_a_crash_in_a_call_tells_whose_call_it_was() {
    for path in [CallPath::Direct, CallPath::Queued] {
        let events = Events::default();
        let callers = Log::default();
        let given = callers.clone();
        events.during(|| {
            run(Run::Simulated { seed: 4, path }, move |me| {
                let given = given.clone();
                async move {
                    given.add(me.pid().to_string());
                    let outcome: Result<(), _> = lab().await.call(doing(|_, _| planned("in a call"))).await;
                    assert!(outcome.is_err());
                    let waiting = wait(|_, _| {
                        Box::pin(async {
                            process::yield_now().await;
                            planned("after waiting")
                        })
                    });
                    let outcome: Result<(), _> = lab().await.call(waiting).await;
                    assert!(outcome.is_err());
                }
            });
        });
        let reports = events.take("purlin::crash");
        assert_eq!(reports.len(), 2);
        let client = format!("client=\"{}\"", callers.all()[0]);
        assert!(reports.iter().all(|report| report.contains(&client)), "{client} is not in {reports:?}");
    }
}

#[test]
fn g77_a_format_status_that_panics_does_not_mask_the_crash() {
    let logged =
        reports(|server| server.cast(CastDo(stopping(custom()))), Some(|| planned("in format_status")));
    let [report] = &logged[..] else { panic!("{logged:?}") };
    assert!(report.contains("format_status panicked") && report.contains("\\\"end\\\""), "{report}");
}

#[test]
fn a_reason_whose_display_panics_does_not_mask_the_crash_either() {
    #[derive(PartialEq)]
    struct Shy;
    impl std::fmt::Debug for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            planned("in Debug")
        }
    }
    let logged = reports(|server| server.cast(CastDo(stopping(ExitReason::custom(Shy)))), None);
    assert_eq!(logged.len(), 1);
    assert!(logged[0].contains("value 17"), "{logged:?}");
}

#[test]
fn g78_what_waits_in_the_mailbox_is_dropped_and_pending_callers_get_the_reason() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        let home = me.pid();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        server.cast(cast_waiting(move |_, cx| {
            Box::pin(async move {
                process::send(home, "busy");
                gone.await.unwrap();
                cx.stop(custom());
            })
        }));
        assert_eq!(next::<&str>(&mut me).await, "busy");
        let log = Log::default();
        for _ in 0..4 {
            let server = server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                process::send(home, server.call(Add(1)).await.map_err(|e| e.kind().clone()));
            });
        }
        let note = DropNote(log.clone(), "cast dropped");
        server.cast(casting(move |_, _| drop(note)));
        server.cast(Tell("never"));
        while Node::current().stats().queued_calls < 4 {
            process::yield_now().await;
        }
        go.send(()).unwrap();
        for _ in 0..4 {
            let result = next::<Result<i64, CallErrorKind>>(&mut me).await;
            assert_eq!(result, Err(CallErrorKind::Exit(custom())));
        }
        process::wait(server.pid()).await;
        assert_eq!(log.all(), ["cast dropped"]);
    });
}

#[test]
fn g78_what_is_behind_a_fatal_signal_is_dropped_when_the_server_has_ended() {
    struct Asking(Pid, Log<bool>);
    impl Drop for Asking {
        fn drop(&mut self) {
            self.1.add(process::is_alive(self.0));
        }
    }
    everywhere(|_| async move {
        let alive = Log::default();
        let server = lab().await;
        let asking = Asking(server.pid(), alive.clone());
        process::exit(server.pid(), custom());
        // In one step of this process: on one worker they are in the mailbox together, the signal first.
        server.cast(casting(move |_, _| drop(asking)));
        let error = server.call(Add(1)).await.unwrap_err();
        assert!(error.is_no_proc() || error.exit_reason() == Some(&custom()), "{error}");
        process::wait(server.pid()).await;
        assert_eq!(alive.all(), [false], "a caller that is told now finds the reason");
    });
}

#[test]
fn g78_callers_behind_a_fatal_signal_get_the_reason_and_not_no_reply() {
    on_real_runtimes(|mut me| async move {
        for _ in 0..300 {
            let server = lab().await;
            let home = me.pid();
            for _ in 0..2 {
                let server = server.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let result = loop {
                        if let Err(error) = server.call(Add(1)).await {
                            break error;
                        }
                        process::yield_now().await;
                    };
                    process::send(home, result.kind().clone());
                });
            }
            process::yield_now().await;
            process::exit(server.pid(), custom());
            for _ in 0..2 {
                let kind = next::<CallErrorKind>(&mut me).await;
                assert!(
                    matches!(&kind, CallErrorKind::NoProc) || kind == CallErrorKind::Exit(custom()),
                    "{kind:?}"
                );
            }
        }
    });
}

#[test]
fn a_node_that_stops_ends_trapping_servers_that_no_process_started_like_a_parent() {
    for workers in [0, 1, 2] {
        let how = if workers == 0 {
            Run::Simulated { seed: 1, path: CallPath::Adaptive }
        } else {
            Run::Real { workers, path: CallPath::Adaptive }
        };
        let (runtime, builder) = prepare(how);
        runtime.block_on(async {
            let node = builder.start();
            let log = Log::default();
            let server = node.scope(async { Lab::start(Setup::trapping(&log)).await.unwrap() }).await;
            let begin = node.now();
            node.shutdown().await;
            assert!(node.now() - begin < secs(20), "it was not waited for until the kill");
            assert_eq!(log.all(), ["init", "terminate shutdown"]);
            assert!(!server.is_alive());
            assert_eq!(node.stats().processes, 0);
        });
    }
}
