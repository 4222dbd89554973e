//! Proves how a state machine starts, handles and postpones events, enters states, and ends (M1 to M31, M52 to M67).

mod common;

use common::machine::*;
use common::*;
use purlin_core::gen_statem::Init;
use purlin_core::*;

/// A machine's status as text.
async fn status(lab: &Ref<Machine<StateLab>>) -> String {
    sys::get_status(lab.pid()).await.unwrap().state
}

#[test]
fn m1_start_returns_after_init_and_every_way_of_failing_leaves_nothing() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let first = StateLab::start(Plan::logging(&log)).name("lab").await.unwrap();
        assert_eq!(StateLab::named("lab").call(Event::Get).await.unwrap(), "a");
        let taken = StateLab::start(Plan::default()).name("lab").await;
        assert_eq!(taken.unwrap_err(), StartError::AlreadyStarted(first.pid()));

        let ignored = Plan::default().init(|_, _| Err(InitError::Ignore));
        assert_eq!(StateLab::start(ignored).name("other").await.unwrap_err(), StartError::Ignore);
        let failing = || Plan::default().init(|_, _| Err(InitError::Stop(ExitReason::error("no disk"))));
        let error = StateLab::start(failing()).name("other").await.unwrap_err();
        assert_eq!(error, StartError::Failed(ExitReason::error("no disk")));
        let panicking = Plan::default().init(|_, _| planned("init"));
        let Err(StartError::Failed(reason)) = StateLab::start(panicking).name("other").await else {
            panic!("it started")
        };
        assert!(is_planned(&reason, "init"));
        assert!(StateLab::named("other").whereis().is_none());

        me.trap_exits(true);
        let linked = StateLab::start_link(Plan::default()).await.unwrap();
        let parent = asking(|_, _, cx, from| Next::keep().reply(from, cx.parent()));
        assert_eq!(linked.call(parent).await.unwrap(), Some(me.pid()));
        linked.stop().await.unwrap();
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: linked.pid(), reason: ExitReason::Normal });
        let (watched, monitor) = StateLab::start(Plan::default()).monitor().await.unwrap();
        watched.stop().await.unwrap();
        assert!(down(&mut me, monitor).await.reason.is_normal());
    });
}

#[test]
fn m1_a_machine_is_found_under_a_key_of_a_registry_and_restarted_by_a_supervisor() {
    everywhere(|_| async move {
        let registry = Registry::<&'static str>::unique("machines").start_link().await.unwrap();
        let via = registry.via::<Machine<StateLab>>("lab");
        let found = StateLab::start(Plan::default()).name(&via).await.unwrap();
        assert_eq!(via.whereis(), Some(found));
        assert_eq!(via.call(Event::Get).await.unwrap(), "a");

        let child = Machine::<StateLab>::child_spec_with(Plan::default).name("supervised");
        assert_eq!(child.fields().module, "StateLab");
        Supervisor::one_for_one().child(child).start_link().await.unwrap();
        let name = StateLab::named("supervised");
        name.cast(Event::Go("b"));
        assert_eq!(name.call(Event::Get).await.unwrap(), "b");
        let before = name.whereis().unwrap();
        process::exit(before.pid(), ExitReason::Kill);
        while name.whereis().is_none_or(|now| now == before) {
            process::yield_now().await;
        }
        assert_eq!(name.call(Event::Get).await.unwrap(), "a");
    });
}

#[test]
fn m2_initial_events_come_before_the_mailbox_and_after_the_first_enter() {
    everywhere(|_| async move {
        let log = Log::default();
        let plan = Plan::logging(&log)
            .init(|init, cx| {
                cx.this().cast(Event::Note("mail"));
                Ok(init.next_event(Event::Note("first")).next_event(Event::Note("second")))
            })
            .enter(|lab, old, state, _| {
                lab.log.add(format!("enter {old}>{state}"));
                Enter::keep()
            });
        let lab = StateLab::start(plan).await.unwrap();
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["enter a>a", "a:first", "a:second", "a:mail"]);
    });
}

#[test]
fn m3_an_ignored_start_ends_normally_without_a_report_and_a_stop_crashes_with_its_reason() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 5, path: CallPath::Adaptive }, |mut me| async move {
            me.trap_exits(true);
            let ends: Log<ExitReason> = Log::default();
            let seen = ends.clone();
            Node::current()
                .telemetry()
                .attach("ends", telemetry::events::PROCESS_EXIT, move |event| {
                    seen.add(event.metadata.reason("reason").unwrap().clone())
                })
                .unwrap();
            StateLab::start_link(Plan::default().init(|_, _| Err(InitError::Ignore))).await.unwrap_err();
            let stop = |_, _: &mut LabCx| Err(InitError::Stop(ExitReason::error("no disk")));
            StateLab::start_link(Plan::default().init(stop)).await.unwrap_err();
            Node::current().telemetry().detach("ends").unwrap();
            assert_eq!(ends.all(), [ExitReason::Normal, ExitReason::error("no disk")]);
        });
    });
    let reports = events.take("purlin::crash");
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("no disk"), "{reports:?}");
}

#[test]
fn m5_a_call_waits_for_ever_unless_told_otherwise() {
    in_simulation_on_every_path(|mut me| async move {
        let lab = machine(&Log::default()).await;
        let pid = me.pid();
        // Longer than a server's call would wait.
        lab.cast(act(move |_, _, _| {
            Next::keep().generic_timeout("late", secs(3600), Event::Go("b")).generic_timeout(
                "told",
                secs(3601),
                Event::Tell(pid, "told"),
            )
        }));
        assert_eq!(lab.call(|from| Event::AskIn("b", from)).await.unwrap(), "b");
        next::<Told>(&mut me).await;
    });
}

#[test]
fn m6_a_call_may_time_out_and_its_late_reply_vanishes() {
    in_simulation_on_every_path(|mut me| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let error = lab.call(|from| Event::AskIn("b", from)).timeout(millis(5)).await.unwrap_err();
        assert!(error.is_timeout() && error.elapsed() >= millis(5), "{error}");
        assert!(error.server().ends_with("StateLab") && error.request().ends_with("Event"), "{error}");
        let gone = |_: &mut StateLab, _: State, _: &mut LabCx, from: ReplyTo<bool>| {
            Next::state("b").reply(from, true)
        };
        assert!(lab.call(asking(gone)).await.unwrap());
        assert_eq!(lab.call(Event::Get).await.unwrap(), "b");
        nothing(&mut me);
    });
}

#[test]
fn m8_a_call_of_the_dead_is_no_proc_and_a_death_during_a_call_tells_its_reason() {
    on_every_path(|_| async move {
        let lab = machine(&Log::default()).await;
        let held = lab.clone();
        let caller = process::spawn(async move |_: Mailbox<()>| {
            let error = held.call(|from| Event::AskIn("never", from)).await.unwrap_err();
            assert_eq!(error.exit_reason(), Some(&ExitReason::error("over")));
        });
        let mut end = Box::pin(caller.wait());
        poll_once(&mut end).await;
        while !status(&lab).await.contains("postponed [AskIn(never)]") {
            process::yield_now().await;
        }
        lab.stop_with(ExitReason::error("over"), secs(5)).await.unwrap();
        let error = lab.call(Event::Get).await.unwrap_err();
        assert!(error.is_no_proc() && error.request().ends_with("Event::Get"), "{error}");
        assert_eq!(end.await, ExitReason::Normal);
        assert!(StateLab::named("nobody").call(Event::Get).await.unwrap_err().is_no_proc());
    });
}

#[test]
fn m8_a_panic_in_a_handler_ends_the_call_with_it() {
    on_every_path(|_| async move {
        let lab = machine(&Log::default()).await;
        let error = lab.call(asking::<()>(|_, _, _, _| planned("handler"))).await.unwrap_err();
        assert!(is_planned(error.exit_reason().unwrap(), "handler"), "{error}");
        assert!(!lab.is_alive());
    });
}

#[test]
fn m9_stop_waits_until_terminate_has_run_and_everything_is_gone() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let note = Log::default();
        let plan = Plan { on_drop: Some(DropNote(note.clone(), "data dropped")), ..Plan::logging(&log) };
        let lab = StateLab::start(plan).name("lab").await.unwrap();
        let monitor = me.monitor(&lab);
        lab.cast(Event::Go("b"));
        lab.stop().await.unwrap();
        assert_eq!(log.all(), ["terminate normal in b"]);
        assert_eq!(note.all(), ["data dropped"]);
        assert!(StateLab::named("lab").whereis().is_none());
        assert!(down(&mut me, monitor).await.reason.is_normal());
        assert_eq!(lab.stop().await, Err(StopError::NoProc));
        let other = machine(&log).await;
        other.stop_with(ExitReason::Shutdown, secs(1)).await.unwrap();
        assert_eq!(other.wait().await, ExitReason::Shutdown);
    });
}

#[test]
fn m10_several_callers_are_answered_by_one_event_also_by_one_that_stops() {
    on_every_path(|mut me| async move {
        for stop in [false, true] {
            let lab = machine(&Log::default()).await;
            let pid = me.pid();
            for _ in 0..3 {
                let lab = lab.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let hold = asking(|lab, _, _, from| {
                        lab.held.push(from);
                        Next::keep()
                    });
                    process::send(pid, lab.call(hold).await.unwrap());
                });
            }
            let held = || asking(|lab, _, _, from| Next::keep().reply(from, lab.held.len()));
            while lab.call(held()).await.unwrap() < 3 {
                process::yield_now().await;
            }
            let all = asking(move |lab, _, _, from| {
                let next = if stop { Next::stop(ExitReason::Normal) } else { Next::keep() };
                let replies = lab.held.drain(..).enumerate();
                replies.fold(next, |next, (n, to)| next.reply(to, 7 + n as i64)).reply(from, -1i64)
            });
            assert_eq!(lab.call(all).await.unwrap(), -1);
            let mut replies = Vec::new();
            for _ in 0..3 {
                replies.push(me.receive_as::<i64>().await);
            }
            replies.sort_unstable();
            assert_eq!(replies, [7, 8, 9]);
            if stop {
                assert_eq!(lab.wait().await, ExitReason::Normal);
            } else {
                lab.stop().await.unwrap();
            }
        }
    });
}

#[test]
fn m12_a_stop_without_a_reply_tells_the_caller_its_reason() {
    on_every_path(|_| async move {
        for reason in [ExitReason::Shutdown, ExitReason::Normal, ExitReason::error("over")] {
            let lab = machine(&Log::default()).await;
            let wanted = reason.clone();
            let error = lab.call(asking::<()>(move |_, _, _, _| Next::stop(reason))).await.unwrap_err();
            assert_eq!(error.exit_reason(), Some(&wanted));
            assert_eq!(lab.wait().await, wanted);
        }
    });
}

#[test]
fn m12_so_does_one_that_drops_a_postponed_call() {
    on_every_path(|me| async move {
        let lab = machine(&Log::default()).await;
        let postponed = lab.clone();
        let caller = process::spawn(async move |_: Mailbox<()>| {
            let drop_it = |from: ReplyTo<()>| {
                act(move |_, _, _| {
                    // Handled twice: the second time it stops, and the handle goes with the closure.
                    Next::keep().postpone(act(move |_, _, _| {
                        drop(from);
                        Next::stop(ExitReason::error("over"))
                    }))
                })
            };
            let error = postponed.call(drop_it).await.unwrap_err();
            assert_eq!(error.exit_reason(), Some(&ExitReason::error("over")), "{error}");
        });
        let monitor = process::monitor(caller.pid());
        while sys::inspect_state(&lab, |machine| format!("{machine:?}").contains("postponed")).await
            != Ok(true)
        {
            process::yield_now().await;
        }
        lab.cast(Event::Go("b"));
        assert_eq!(lab.wait().await, ExitReason::error("over"));
        drop((me, monitor));
        assert!(matches!(caller.wait().await, ExitReason::Normal | ExitReason::NoProc));
    });
}

#[test]
fn m8_a_panic_in_the_retry_of_a_postponed_call_tells_its_reason_and_harms_no_other_call() {
    on_every_path(|_| async move {
        let lab = machine(&Log::default()).await;
        let mut postponed = lab.call(|from: ReplyTo<()>| {
            act(move |_, _, _| {
                Next::keep().postpone(act(move |_, _, _| {
                    drop(from);
                    planned("retry")
                }))
            })
        });
        assert!(poll_once(&mut postponed).await.is_none());
        lab.cast(Event::Go("b"));
        let error = postponed.await.unwrap_err();
        assert!(is_planned(error.exit_reason().unwrap(), "retry"), "{error}");
        let other = machine(&Log::default()).await;
        let dropped = asking::<()>(|_, _, _, from| {
            drop(from);
            Next::keep()
        });
        assert_eq!(*other.call(dropped).await.unwrap_err().kind(), CallErrorKind::NoReply);
    });
}

#[test]
fn a_handle_that_is_kept_by_a_handler_that_waited_answers_later() {
    /// Waits before it keeps the handle.
    struct Slow(Option<ReplyTo<u32>>);
    #[derive(Debug)]
    enum Ask {
        Later(ReplyTo<u32>),
        Now,
        Never,
    }
    impl GenStateMachine for Slow {
        type Args = ();
        type State = ();
        type Event = Ask;
        async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
            Ok(Init::new((), Slow(None)))
        }
        async fn handle_event(&mut self, _: &(), event: Ask, _: &mut Cx<Machine<Self>>) -> Next<Self> {
            process::yield_now().await;
            match event {
                Ask::Later(from) => self.0 = Some(from),
                Ask::Now => self.0.take().into_iter().for_each(|from| from.reply(7)),
                Ask::Never => self.0 = None,
            }
            Next::keep()
        }
    }
    on_every_path(|_| async move {
        let slow = Slow::start(()).await.unwrap();
        let mut request = slow.call(Ask::Later);
        assert!(poll_once(&mut request).await.is_none());
        slow.cast(Ask::Now);
        assert_eq!(request.await.unwrap(), 7);
        let mut request = slow.call(Ask::Later);
        assert!(poll_once(&mut request).await.is_none());
        slow.cast(Ask::Never);
        assert_eq!(*request.await.unwrap_err().kind(), CallErrorKind::NoReply);
        let mut request = slow.call(Ask::Later);
        assert!(poll_once(&mut request).await.is_none());
        slow.stop_with(ExitReason::error("over"), secs(5)).await.unwrap();
        assert_eq!(request.await.unwrap_err().exit_reason(), Some(&ExitReason::error("over")));
    });
}

#[test]
fn m13_an_orderly_end_is_no_crash() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 5, path: CallPath::Adaptive }, |_| async move {
            for reason in
                [ExitReason::Normal, ExitReason::Shutdown, ExitReason::ShutdownWith(Term::text("tired"))]
            {
                let lab = machine(&Log::default()).await;
                lab.cast(act(move |_, _, _| Next::stop(reason)));
                lab.wait().await;
            }
        });
    });
    assert!(events.take("purlin::crash").is_empty());
}

#[test]
fn m14_events_of_one_sender_are_handled_in_order() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let mut expected = Vec::new();
        for n in 0..20 {
            let note: &'static str = ["a", "b", "c"][n % 3];
            lab.cast(Event::Note(note));
            expected.push(format!("a:{note}"));
            if n % 4 == 0 {
                lab.send(Event::Note("info"));
                process::send(lab.pid(), Event::Note("raw"));
                expected.extend(["a:info".to_owned(), "a:raw".to_owned()]);
            }
            if n % 5 == 0 {
                lab.call(Event::Get).await.unwrap();
                assert_eq!(log.all(), expected);
            }
        }
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), expected);
    });
}

#[test]
fn m17_a_change_of_state_retries_all_postponed_events_in_the_order_of_arrival_before_newer_ones() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(Event::In("c", "1"));
        lab.cast(Event::In("b", "2"));
        lab.cast(Event::In("c", "3"));
        lab.cast(Event::In("b", "4"));
        lab.cast(Event::Note("now"));
        lab.cast(Event::Go("b"));
        lab.cast(Event::Note("newer"));
        lab.cast(Event::Go("c"));
        lab.cast(Event::Note("newest"));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["a:now", "b:2", "b:4", "b:newer", "c:1", "c:3", "c:newest"]);
    });
}

#[test]
fn m17_an_event_that_is_postponed_and_changes_the_state_is_retried_after_older_ones() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(Event::In("b", "older"));
        lab.cast(act(|_, _, _| {
            Next::state("b").postpone(Event::In("b", "itself")).next_event(Event::Note("inserted"))
        }));
        lab.cast(Event::Note("newer"));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["b:inserted", "b:older", "b:itself", "b:newer"]);
    });
}

#[test]
fn m17_what_waits_in_the_queue_stays_behind_what_was_postponed() {
    everywhere(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(Event::In("c", "postponed"));
        let then = |_: &mut StateLab, _: State, _: &mut LabCx| {
            Next::keep().next_event(Event::Go("c")).next_event(Event::Note("behind"))
        };
        lab.cast(act(then));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["c:postponed", "c:behind"]);
    });
}

#[test]
fn m22_an_inserted_event_may_be_any_event_also_a_call() {
    on_every_path(|_| async move {
        let lab = machine(&Log::default()).await;
        let pass_on = |from| act(move |_, _, _| Next::state("b").next_event(Event::Get(from)));
        assert_eq!(lab.call(pass_on).await.unwrap(), "b");
    });
}

#[test]
fn m22_the_caller_does_not_wait_for_what_its_call_leaves_to_do() {
    on_every_path(|mut me| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let pid = me.pid();
        let done = asking(move |lab, _, _, from| {
            lab.log.add("answered".to_owned());
            Next::keep().reply(from, ()).next_event(act(move |lab, _, _| {
                lab.log.add("the rest".to_owned());
                Next::keep().next_event(Event::Tell(pid, "done"))
            }))
        });
        lab.call(done).await.unwrap();
        lab.cast(Event::Note("behind"));
        assert_eq!(next::<Told>(&mut me).await.note, "done");
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["answered", "the rest", "a:behind"]);
    });
}

#[test]
fn m26_repeat_runs_the_enter_call_again_and_nothing_else() {
    everywhere(|_| async move {
        let log = Log::default();
        let plan = Plan::logging(&log).enter(|lab, old, state, _| {
            lab.log.add(format!("enter {old}>{state}"));
            Enter::keep()
        });
        let lab = StateLab::start(plan).await.unwrap();
        lab.cast(act(|_, _, _| Next::keep().postpone(Event::Note("retried"))));
        lab.cast(act(|_, _, _| Next::repeat()));
        lab.cast(Event::Note("still"));
        lab.cast(Event::Go("b"));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["enter a>a", "enter a>a", "a:still", "enter a>b", "b:retried"]);
    });
}

#[test]
fn m27_keeping_the_state_or_going_to_the_same_one_enters_nothing() {
    everywhere(|_| async move {
        let log = Log::default();
        let plan = Plan::logging(&log).enter(|lab, _, state, _| {
            lab.log.add(format!("enter {state}"));
            Enter::keep()
        });
        let lab = StateLab::start(plan).await.unwrap();
        lab.cast(Event::In("b", "postponed"));
        lab.cast(act(|_, _, _| Next::keep()));
        lab.cast(Event::Go("a"));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["enter a"]);
    });
}

#[test]
fn m30_an_enter_call_may_change_data_reply_set_timeouts_and_hibernate() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let plan = Plan::default().enter(move |lab, _, state, _| {
            lab.value += 1;
            let held = std::mem::take(&mut lab.held);
            let enter = held.into_iter().fold(Enter::keep(), |enter, from| enter.reply(from, 7));
            if state == "b" {
                enter.state_timeout(secs(1), Event::Tell(pid, "entered")).hibernate()
            } else {
                enter
            }
        });
        let lab = StateLab::start(plan).await.unwrap();
        let enter = asking(|lab, _, _, from| {
            lab.held.push(from);
            Next::state("b").state_timeout(secs(60), Event::Note("the enter call's counts"))
        });
        assert_eq!(lab.call(enter).await.unwrap(), 7);
        let before = Node::current().now();
        let told = next::<Told>(&mut me).await;
        assert_eq!((told.note, told.state), ("entered", "b"));
        assert!(told.at >= before + millis(998) && told.at <= before + millis(1002));
        assert_eq!(lab.call(asking(|lab, _, _, from| Next::keep().reply(from, lab.value))).await.unwrap(), 2);
    });
}

#[test]
fn m31_an_enter_call_may_stop_the_machine_in_the_state_that_it_enters() {
    everywhere(|_| async move {
        for first in [true, false] {
            let log = Log::default();
            let plan = Plan::logging(&log).enter(move |_, _, state, _| {
                if first || state == "b" { Enter::stop(ExitReason::error("no")) } else { Enter::keep() }
            });
            let lab = StateLab::start(plan).await.unwrap();
            lab.cast(Event::Go("b"));
            lab.cast(Event::Note("never"));
            assert_eq!(lab.wait().await, ExitReason::error("no"));
            assert_eq!(log.all(), [format!("terminate no in {}", if first { "a" } else { "b" })]);
        }
    });
}

/// A machine with as little as possible.
struct Bare;

impl GenStateMachine for Bare {
    type Args = ();
    type State = ();
    type Event = ();
    async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
        Ok(Init::new((), Bare))
    }
    async fn handle_event(&mut self, _: &(), _: (), _: &mut Cx<Machine<Self>>) -> Next<Self> {
        Next::stop(ExitReason::error("over"))
    }
}

#[test]
fn m52_a_machine_needs_no_terminate() {
    everywhere(|_| async move {
        let bare = Bare::start(()).await.unwrap();
        bare.stop_with(ExitReason::Shutdown, secs(5)).await.unwrap();
        assert_eq!(bare.wait().await, ExitReason::Shutdown);
        let bare = Bare::start(()).await.unwrap();
        bare.cast(());
        assert_eq!(bare.wait().await, ExitReason::error("over"));
    });
}

#[test]
fn m55_terminate_gets_the_reason_the_present_state_and_the_data() {
    everywhere(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(Event::Go("b"));
        lab.cast(act(|lab, _, _| {
            lab.log.add("changed".to_owned());
            planned("in b")
        }));
        let reason = lab.wait().await;
        assert!(is_planned(&reason, "in b"));
        let all = log.all();
        assert_eq!(all[0], "changed");
        assert!(all[1].starts_with("terminate ") && all[1].ends_with(" in b"), "{all:?}");

        let log = Log::default();
        let lab = machine(&log).await;
        let answered_at_the_end = asking(|lab, _, _, from| {
            lab.held.push(from);
            Next::stop(ExitReason::Shutdown)
        });
        assert_eq!(lab.call(answered_at_the_end).await.unwrap(), 0);
        assert_eq!(log.all(), ["terminate shutdown in a"]);
    });
}

#[test]
fn m55_cx_stop_does_the_same() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(act(|_, _, cx| {
            cx.stop(ExitReason::Shutdown);
            Next::state("b").next_event(Event::Note("never"))
        }));
        assert_eq!(lab.wait().await, ExitReason::Shutdown);
        assert_eq!(log.all(), ["terminate shutdown in b"]);
    });
}

#[test]
fn m56_the_parent_s_exit_terminates_a_machine_that_traps_and_other_exits_are_events() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let inner = log.clone();
        let pid = me.pid();
        let parent = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let lab = StateLab::start_link(Plan { trap: true, ..Plan::logging(&inner) }).await.unwrap();
            process::send(pid, lab);
            mailbox.receive().await;
            process::exit(process::self_pid().unwrap(), ExitReason::error("parent"));
            mailbox.receive().await;
        });
        let lab = me.receive_as::<Ref<Machine<StateLab>>>().await;
        let stranger = idle();
        lab.call(asking(move |_, _, cx, from| {
            cx.link(stranger).unwrap();
            cx.monitor(stranger);
            Next::keep().reply(from, ())
        }))
        .await
        .unwrap();
        process::exit(stranger, ExitReason::error("stranger"));
        for _ in 0..1000 {
            if log.all().len() < 2 {
                lab.call(Event::Get).await.unwrap();
                process::yield_now().await;
            }
        }
        let mut seen = log.all();
        seen.sort_unstable();
        assert_eq!(seen, ["a:down stranger", "a:exit stranger"]);
        parent.send(());
        assert_eq!(lab.wait().await, ExitReason::error("parent"));
        assert_eq!(log.all().last().unwrap(), "terminate parent in a");
    });
}

#[test]
fn m58_a_suspended_machine_handles_neither_events_nor_timeouts_until_it_is_resumed() {
    in_simulation_on_every_path(|mut me| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let pid = me.pid();
        lab.call(asking(move |_, _, _, from| {
            Next::keep().reply(from, ()).generic_timeout("soon", millis(10), Event::Note("timeout"))
        }))
        .await
        .unwrap();
        sys::suspend(lab.pid()).await.unwrap();
        lab.cast(Event::Note("event"));
        let other = machine(&Log::default()).await;
        let later = move |_: &mut StateLab, _: State, _: &mut LabCx| {
            Next::keep().generic_timeout("later", millis(50), Event::Tell(pid, "later"))
        };
        other.cast(act(later));
        next::<Told>(&mut me).await;
        assert_eq!(log.all(), [""; 0]);
        assert!(sys::get_status(lab.pid()).await.unwrap().suspended);
        sys::resume(lab.pid()).await.unwrap();
        lab.call(Event::Get).await.unwrap();
        let mut seen = log.all();
        seen.sort_unstable();
        assert_eq!(seen, ["a:event", "a:timeout"]);
    });
}

#[test]
fn m59_the_status_shows_state_queue_postponed_events_and_timeouts() {
    in_simulation(|_| async move {
        let lab = machine(&Log::default()).await;
        lab.cast(Event::In("b", "x"));
        lab.cast(Event::In("b", "y"));
        lab.cast(act(|_, _, cx| {
            let at = cx.node().now() + secs(7);
            Next::keep()
                .state_timeout(secs(60), Event::Note("s"))
                .timeout(secs(70), Event::Note("e"))
                .generic_timeout_at("name", at, Event::Note("g"))
        }));
        let status = sys::get_status(lab.pid()).await.unwrap();
        assert!(status.module.ends_with("::StateLab"), "{}", status.module);
        assert!(
            status.state.starts_with("in a with 0; postponed [In(b, x), In(b, y)]; timeouts [state at "),
            "{}",
            status.state
        );
        for part in ["event at ", ": Note(e)", "name at ", ": Note(g)"] {
            assert!(status.state.contains(part), "{}", status.state);
        }
    });
}

#[test]
fn m65_a_request_is_a_future_that_may_be_sent_now_and_awaited_later() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let mut request = lab.call(|from| Event::AskIn("b", from));
        assert!(poll_once(&mut request).await.is_none());
        let mut other = lab.call(|from| Event::AskIn("c", from));
        assert!(poll_once(&mut other).await.is_none());
        lab.cast(Event::Go("b"));
        assert_eq!(request.await.unwrap(), "b");
        assert!(poll_once(&mut other).await.is_none());
        lab.stop_with(ExitReason::error("over"), secs(5)).await.unwrap();
        assert_eq!(other.await.unwrap_err().exit_reason(), Some(&ExitReason::error("over")));
    });
}

#[test]
fn m66_a_postponed_call_is_answered_in_a_later_state() {
    on_every_path(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        let waiting = lab.clone();
        let caller = process::spawn(async move |_: Mailbox<()>| {
            assert_eq!(waiting.call(|from| Event::AskIn("c", from)).await.unwrap(), "c");
        });
        let mut end = Box::pin(caller.wait());
        poll_once(&mut end).await;
        lab.cast(Event::Go("b"));
        assert_eq!(lab.call(Event::Get).await.unwrap(), "b");
        lab.cast(Event::Go("c"));
        assert_eq!(end.await, ExitReason::Normal);
    });
}

#[test]
fn m67_a_crash_report_shows_postponed_events_and_the_queue() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 5, path: CallPath::Adaptive }, |_| async move {
            let lab = machine(&Log::default()).await;
            lab.cast(Event::In("b", "x"));
            lab.cast(act(|_, _, _| {
                Next::keep().next_event(act(|_, _, _| planned("crash"))).next_event(Event::Note("queued"))
            }));
            lab.wait().await;
        });
    });
    let reports = events.take("purlin::crash");
    assert_eq!(reports.len(), 1, "{reports:?}");
    let shown = "in a with 0; queue [Note(queued)]; postponed [In(b, x)]";
    assert!(reports[0].contains(shown), "{reports:?}");
}

#[test]
fn a_machine_that_makes_its_own_events_for_ever_gives_way_and_can_be_killed() {
    everywhere(|mut me| async move {
        fn again() -> Event {
            act(|lab, _, _| {
                lab.value += 1;
                Next::keep().next_event(again())
            })
        }
        let lab = machine(&Log::default()).await;
        let monitor = me.monitor(&lab);
        lab.cast(again());
        process::yield_now().await;
        process::exit(lab.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
    });
}

#[test]
fn a_state_replaced_from_outside_keeps_events_and_enters_nothing() {
    #[derive(Clone)]
    struct Door(u32);
    impl GenStateMachine for Door {
        type Args = ();
        type State = bool;
        type Event = Option<ReplyTo<u32>>;
        async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
            Ok(Init::new(false, Door(0)))
        }
        async fn handle_enter(&mut self, _: &bool, _: &bool, _: &mut Cx<Machine<Self>>) -> Enter<Self> {
            self.0 += 1;
            Enter::keep()
        }
        async fn handle_event(
            &mut self,
            open: &bool,
            event: Self::Event,
            _: &mut Cx<Machine<Self>>,
        ) -> Next<Self> {
            match (open, event) {
                (true, Some(from)) => Next::keep().reply(from, self.0),
                (false, Some(from)) => Next::keep().postpone(Some(from)),
                (open, None) => Next::state(!open),
            }
        }
    }
    on_every_path(|_| async move {
        let door = Door::start(()).await.unwrap();
        let mut request = door.call(Some);
        assert!(poll_once(&mut request).await.is_none());
        let new =
            sys::replace_state(&door, |old| Machine::snapshot(true, Door(old.data().0 + 10))).await.unwrap();
        assert_eq!((*new.state(), new.data().0), (true, 11));
        assert!(poll_once(&mut request).await.is_none());
        door.cast(None);
        door.cast(None);
        assert_eq!(request.await.unwrap(), 13);
    });
}
