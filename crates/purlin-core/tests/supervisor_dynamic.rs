//! A dynamic supervisor starts children by the thousand, restarts each alone, keeps nothing of those that are gone, and stops all at once.

mod supervisor_support;

use std::collections::BTreeSet;
use std::sync::Arc;

use purlin_core::supervisor::*;
use purlin_core::telemetry::events;
use purlin_core::*;
use supervisor_support::*;

/// How often a start fails that is to fail for ever: more often than any story goes on.
const FAILURES: usize = 100_000;

async fn dynamic() -> DynamicSupervisorRef {
    DynamicSupervisor::new().max_restarts(1_000, secs(5)).start_link().await.unwrap()
}

async fn pids(sup: &DynamicSupervisorRef) -> Vec<Pid> {
    sup.which_children().await.unwrap().into_iter().filter_map(|child| child.status.pid()).collect()
}

#[test]
fn s6_s94_only_a_start_that_succeeds_is_kept() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = dynamic().await;
        for restart in [Restart::Permanent, Restart::Temporary] {
            let scripted = |init| Plan::new("a", &journal).script([Some(init)]).child().restart(restart);
            let ignored = sup.start_child(scripted(Init::Ignore)).await.unwrap_err();
            assert!(matches!(ignored, StartChildError::Failed(StartError::Ignore)), "{ignored}");
            let failed = sup.start_child(scripted(Init::Fail("no"))).await.unwrap_err();
            assert!(
                matches!(&failed, StartChildError::Failed(StartError::Failed(r)) if *r == ExitReason::error("no"))
            );
            let panicked = sup.start_child(scripted(Init::Panic)).await.unwrap_err();
            assert!(matches!(panicked, StartChildError::Failed(StartError::Failed(ExitReason::Panic(_)))));
            let arguments = Worker::child_spec_with(|| panic!("no arguments")).restart(restart);
            let panicked = sup.start_child(arguments).await.unwrap_err();
            assert!(matches!(panicked, StartChildError::Failed(StartError::Failed(ExitReason::Panic(_)))));
        }
        assert_eq!(sup.count_children().await.unwrap(), ChildCounts::default());
        let started = sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        assert_eq!(started.call(Id).await.unwrap(), "a");
        assert_eq!(pids(&sup).await, [started.pid()]);
    });
}

#[test]
fn s30_s34_s101_children_are_known_by_pid_only() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = dynamic().await;
        // Two children with one id are fine: ids mean nothing here.
        let first = sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        let second = sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        let nested = sup.start_child(DynamicSupervisor::new().child_spec()).await.unwrap();
        let listed = sup.which_children().await.unwrap();
        assert!(listed.iter().all(|child| child.id.is_none()));
        assert_eq!(listed[2].module, "DynamicSupervisor");
        assert_eq!(which_children(sup.pid()).await.unwrap(), listed);
        assert_eq!(
            sup.count_children().await.unwrap(),
            ChildCounts { specs: 3, active: 3, supervisors: 1, workers: 2 }
        );
        sup.terminate_child(first.pid()).await.unwrap();
        assert!(!first.is_alive());
        for stranger in [first.pid(), sup.pid()] {
            let error = sup.terminate_child(stranger).await.unwrap_err();
            assert!(matches!(&error, TerminateChildError::NotAChild(NotAChild { pid }) if *pid == stranger));
            assert_eq!(error.to_string(), format!("{stranger} is not a child of this supervisor"));
        }
        assert_eq!(pids(&sup).await, [second.pid(), nested.pid()]);
        assert_eq!(journal.count("down a"), 1);
    });
}

#[test]
fn s23_s72_terminate_child_lets_a_child_clean_up_and_kills_one_that_takes_too_long() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let sup = dynamic().await;
        let orderly = Plan::new("a", &journal).stop(Stop::Take(millis(3))).child();
        let stubborn = Plan::new("b", &journal).stop(Stop::Never).child().shutdown(millis(10));
        let [a, b] = [sup.start_child(orderly).await.unwrap(), sup.start_child(stubborn).await.unwrap()];
        sup.terminate_child(a.pid()).await.unwrap();
        sup.terminate_child(b.pid()).await.unwrap();
        assert_eq!(journal.all()[2..], texts(["stop a", "down a", "stop b", "down b"]));
        assert_eq!(reports.all(), texts(["shutdown_error Worker: killed"]));
        assert_eq!(sup.count_children().await.unwrap().specs, 0);
    });
}

#[test]
fn s40_s43_what_is_not_restarted_is_forgotten() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = dynamic().await;
        for (restart, reason, stays) in [
            (Restart::Permanent, ExitReason::Normal, true),
            (Restart::Transient, ExitReason::Normal, false),
            (Restart::Transient, ExitReason::shutdown_with(1), false),
            (Restart::Transient, boom(), true),
            (Restart::Temporary, boom(), false),
        ] {
            let child = sup.start_child(Plan::new("a", &journal).child().restart(restart)).await.unwrap();
            end(child.pid(), reason).await;
            let now = pids(&sup).await;
            assert_eq!((now.len() == 1, now.contains(&child.pid())), (stays, false));
            for pid in now {
                sup.terminate_child(pid).await.unwrap();
            }
        }
        assert_eq!(sup.count_children().await.unwrap().specs, 0);
    });
}

#[test]
fn s46_a_temporary_child_leaves_no_start_arguments_behind() {
    everywhere(|| async {
        let sup = dynamic().await;
        let arguments = Arc::new(());
        let kept = arguments.clone();
        let child = Worker::child_spec_with(move || {
            let _ = &kept;
            Plan::new("t", &Journal::new())
        });
        sup.start_child(child.restart(Restart::Temporary)).await.unwrap();
        assert_eq!(Arc::strong_count(&arguments), 1);
        let once =
            sup.start_child(Worker::child_spec_once(Plan::new("once", &Journal::new()))).await.unwrap();
        end(once.pid(), boom()).await;
        assert_eq!(sup.count_children().await.unwrap().specs, 1);
    });
}

#[test]
fn s31_s53_s97_extra_arguments_reach_every_child_and_each_is_restarted_with_its_own() {
    everywhere(|| async {
        #[derive(Clone)]
        struct Template(Arc<dyn Fn(&'static str) -> Child<Worker> + Send + Sync>);
        const WORKERS: Name<DynamicSupervisor<Journal>> = Name::new("workers");
        let journal = Journal::new();
        DynamicSupervisor::with_extra(journal.clone()).name(&WORKERS).start_link().await.unwrap();
        let mut started = Vec::new();
        for id in ["a", "b", "c"] {
            started
                .push(WORKERS.start_child_with(move |journal| Plan::new(id, journal).child()).await.unwrap());
        }
        started[1].cast(Crash);
        journal.wait("start b", 2).await;
        let now: Vec<Pid> =
            WORKERS.which_children().await.unwrap().iter().filter_map(|c| c.status.pid()).collect();
        assert!(
            now.contains(&started[0].pid())
                && now.contains(&started[2].pid())
                && !now.contains(&started[1].pid())
        );
        assert_eq!(journal.all(), texts(["start a", "start b", "start c", "down b", "start b"]));
        let refused =
            WORKERS.start_child_with(|_| -> Child<Worker> { panic!("no child") }).await.unwrap_err();
        assert!(matches!(refused, StartChildError::Failed(StartError::Failed(ExitReason::Panic(_)))));
        // The name is that of a supervisor with these extra arguments, and of no other.
        let wrong = DynamicSupervisor::named("workers").count_children().await.unwrap_err();
        assert_eq!(*wrong.kind(), CallErrorKind::WrongType);
        // A template, as in simple_one_for_one: the extra argument makes the children.
        let log = journal.clone();
        let template = Template(Arc::new(move |id| Plan::new(id, &log).child().restart(Restart::Transient)));
        let simple = DynamicSupervisor::with_extra(template).start_link().await.unwrap();
        let child = simple.start_child_with(|template| template.0("t")).await.unwrap();
        assert_eq!(child.call(Id).await.unwrap(), "t");
    });
}

#[test]
fn s36_s101_a_dynamic_supervisor_answers_between_retries_and_terminate_child_calls_them_off() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_restarts(1_000_000, secs(5)).start_link().await.unwrap();
        let failures = (0..FAILURES).map(|_| Some(Init::Fail("again")));
        let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(failures));
        let child = sup.start_child(plan.child()).await.unwrap();
        end(child.pid(), boom()).await;
        journal.wait("try r", 3).await;
        assert_eq!(sup.which_children().await.unwrap()[0].status, ChildStatus::Restarting);
        assert!(journal.count("try r") < FAILURES, "it did not answer between two retries");
        assert_eq!(
            sup.count_children().await.unwrap(),
            ChildCounts { specs: 1, active: 0, supervisors: 0, workers: 1 }
        );
        sup.terminate_child(child.pid()).await.unwrap();
        let tries = journal.count("try r");
        assert_eq!(sup.count_children().await.unwrap().specs, 0);
        assert_eq!(journal.count("try r"), tries);
    });
}

#[test]
fn s63_a_dynamic_supervisor_that_is_retrying_stops_at_once_when_asked() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_restarts(1_000_000, secs(5)).start_link().await.unwrap();
        let failures = (0..FAILURES).map(|_| Some(Init::Fail("again")));
        let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(failures));
        let child = sup.start_child(plan.child()).await.unwrap();
        end(child.pid(), boom()).await;
        journal.wait("try r", 3).await;
        sup.stop().await.unwrap();
        assert!(journal.count("try r") < FAILURES, "it was not asked between two retries");
    });
}

#[test]
fn s59_a_restart_that_is_ignored_forgets_the_child_and_one_that_fails_is_tried_again() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let told = watch(events::SUPERVISOR_CHILD_RESTART, |event| {
            format!(
                "{} {}",
                event.metadata.str("child_id").unwrap(),
                event.metadata.reason("reason").unwrap()
            )
        });
        let started =
            watch(events::SUPERVISOR_CHILD_START, |event| event.metadata.str("child_id").unwrap().to_owned());
        let sup = dynamic().await;
        let plan = Plan::new("a", &journal).script([None, Some(Init::Fail("one")), None, Some(Init::Ignore)]);
        let child = sup.start_child(plan.child()).await.unwrap();
        end(child.pid(), boom()).await;
        journal.wait("start a", 2).await;
        let pid = pids(&sup).await[0];
        end(pid, boom()).await;
        assert_eq!(sup.count_children().await.unwrap().specs, 0);
        let reported =
            ["child_terminated Worker: boom", "start_error Worker: one", "child_terminated Worker: boom"];
        assert_eq!(reports.all(), texts(reported));
        assert_eq!(told.all(), texts(["Worker boom", "Worker boom"]));
        assert_eq!(started.all(), texts(["Worker"]), "the same name in every event");
    });
}

#[test]
fn s65_s99_too_many_restarts_stop_the_supervisor_also_through_retries() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let sup = DynamicSupervisor::new().max_restarts(2, secs(100)).start_link().await.unwrap();
        let other = sup.start_child(Plan::new("other", &journal).stop(Stop::Orderly).child()).await.unwrap();
        let failures = [None, Some(Init::Fail("x")), Some(Init::Fail("x")), Some(Init::Fail("x"))];
        let child = sup.start_child(Plan::new("a", &journal).script(failures).child()).await.unwrap();
        let (ended, other_ended) = (ending(sup.pid()).await, ending(other.pid()).await);
        end(child.pid(), boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(other_ended.await, ExitReason::Shutdown);
        assert_eq!(journal.count("try a"), 2);
        assert_eq!(reports.all().last().unwrap(), "giving_up Worker: boom");
        // With intensity 0 the first restart is one too many.
        let sup = DynamicSupervisor::new().max_restarts(0, secs(1)).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        let child = sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        end(child.pid(), boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn a_full_supervisor_refuses_one_child_more_and_counts_those_being_restarted() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new()
            .max_children(2)
            .max_restarts(1_000_000, secs(5))
            .start_link()
            .await
            .unwrap();
        let failures = (0..FAILURES).map(|_| Some(Init::Fail("again")));
        let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(failures));
        let restarting = sup.start_child(plan.child()).await.unwrap();
        let plain = Plan::new("p", &journal);
        let other = sup.start_child(plain.child()).await.unwrap();
        end(restarting.pid(), boom()).await;
        journal.wait("try r", 2).await;
        let error = sup.start_child(plain.child()).await.unwrap_err();
        assert!(matches!(error, StartChildError::Refused(StartRefused::MaxChildren { limit: 2 })));
        assert_eq!(error.to_string(), "the supervisor already has its maximum of 2 children");
        sup.terminate_child(other.pid()).await.unwrap();
        sup.start_child(plain.child()).await.unwrap();
        sup.update(DynamicFlags {
            max_children: Some(3),
            max_restarts: 1_000_000,
            ..DynamicFlags::default()
        })
        .await
        .unwrap();
        sup.start_child(plain.child()).await.unwrap();
        assert!(matches!(
            sup.update(DynamicFlags { period: millis(1), ..DynamicFlags::default() }).await,
            Err(UpdateError::Config(ConfigError::Flags(FlagsError::InvalidPeriod { .. })))
        ));
        sup.terminate_child(restarting.pid()).await.unwrap();
    });
}

#[test]
fn s76_all_children_are_asked_at_once_and_share_one_deadline() {
    in_simulation(|| async {
        let journal = Journal::new();
        let sup = dynamic().await;
        for _ in 0..20 {
            sup.start_child(
                Plan::new("slow", &journal).stop(Stop::Take(secs(40))).child().shutdown(secs(60)),
            )
            .await
            .unwrap();
            sup.start_child(Plan::new("never", &journal).stop(Stop::Never).child().shutdown(secs(60)))
                .await
                .unwrap();
        }
        let node = Node::current();
        let begin = node.now();
        sup.stop().await.unwrap();
        let took = node.now() - begin;
        assert!(took >= secs(60) && took < secs(61), "{took:?}");
        assert_eq!((journal.count("down slow"), journal.count("down never")), (20, 20));
        let first_down = journal.all().iter().position(|entry| entry.starts_with("down")).unwrap();
        assert_eq!(journal.all()[..first_down].iter().filter(|entry| entry.starts_with("stop")).count(), 40);
    });
}

#[test]
fn s98_mixed_shutdown_times_each_have_their_own_deadline() {
    in_simulation(|| async {
        let reports = reports();
        let node = Node::current();
        let clock = node.clone();
        let told = watch(events::SUPERVISOR_CHILD_TERMINATE, move |event| {
            let seconds = event.measurements.duration("duration").unwrap().as_secs();
            let killed = event.metadata.bool("killed").unwrap();
            format!("{} after {seconds} s, killed: {killed}", event.metadata.reason("reason").unwrap())
        });
        let sup = dynamic().await;
        let begin = clock.now();
        let mut downs = Vec::new();
        for (stop, shutdown) in [
            (Stop::Never, Shutdown::BrutalKill),
            (Stop::Never, Shutdown::Timeout(secs(1))),
            (Stop::Take(secs(5)), Shutdown::Timeout(secs(10))),
            (Stop::Never, Shutdown::Timeout(secs(10))),
            (Stop::Take(secs(20)), Shutdown::Infinity),
            (Stop::Plainly, Shutdown::Timeout(secs(10))),
        ] {
            let child = sup
                .start_child(Plan::new("a", &Journal::new()).stop(stop).child().shutdown(shutdown))
                .await
                .unwrap();
            let (ended, clock) = (ending(child.pid()).await, clock.clone());
            downs.push(tokio::spawn(async move {
                ended.await;
                (clock.now() - begin).as_secs()
            }));
        }
        sup.stop().await.unwrap();
        let mut at = Vec::new();
        for down in downs {
            at.push(down.await.unwrap());
        }
        assert_eq!(at, [0, 1, 5, 10, 20, 0]);
        let told: BTreeSet<_> = told.all().into_iter().collect();
        for expected in ["killed after 1 s, killed: true", "shutdown after 5 s, killed: false"] {
            // Children are asked for their reason one after another, so a duration may be that of one before; never shorter.
            let (reason, _) = expected.split_once(" after").unwrap();
            assert!(told.iter().any(|entry| entry.starts_with(reason)), "{told:?}");
        }
        assert_eq!(reports.all(), texts(["shutdown_error Worker: killed", "shutdown_error Worker: killed"]));
    });
}

#[test]
fn s102_what_counts_as_an_orderly_end_differs_a_little_from_static_supervisors() {
    everywhere(|| async {
        /// Traps exits and, when asked to shut down, ends with a reason of its own.
        fn ending_with(reason: ExitReason, journal: &Journal) -> ChildSpec {
            let journal = journal.clone();
            ChildSpec::process("p", move |mut mailbox: Mailbox<Exit>| {
                let (reason, journal) = (reason.clone(), journal.clone());
                async move {
                    mailbox.trap_exits(true);
                    journal.log("ready");
                    mailbox.receive().await;
                    mailbox.trap_exits(false);
                    process::exit(process::self_pid().unwrap(), reason);
                    mailbox.receive().await;
                }
            })
        }
        let explained = || ExitReason::shutdown_with("done");
        for (restart, reason, dynamic_reports, static_reports) in [
            (Restart::Permanent, ExitReason::Normal, true, true),
            (Restart::Permanent, explained(), false, true),
            (Restart::Transient, ExitReason::Normal, false, false),
            (Restart::Transient, explained(), false, false),
            (Restart::Transient, boom(), true, true),
        ] {
            let journal = Journal::new();
            let child = ending_with(reason.clone(), &journal).restart(restart);
            let log = reports();
            let sup = dynamic().await;
            sup.start_child_spec(&child).await.unwrap();
            journal.wait("ready", 1).await;
            sup.stop().await.unwrap();
            assert_eq!(log.all().len(), usize::from(dynamic_reports), "{restart} {reason}");
            log.clear();
            let sup = Supervisor::one_for_one().child(&child).start_link().await.unwrap();
            journal.wait("ready", 2).await;
            sup.stop().await.unwrap();
            assert_eq!(log.all().len(), usize::from(static_reports), "{restart} {reason}");
            Node::current().telemetry().detach("reports").unwrap();
        }
    });
}

#[test]
fn s76_s77_children_that_had_ended_before_a_stop_are_reported_with_their_own_reasons() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let sup = DynamicSupervisor::new().max_restarts(0, secs(5)).start_link().await.unwrap();
        let mut started = Vec::new();
        for id in ["a", "b", "c"] {
            started.push(sup.start_child(Plan::new(id, &journal).child()).await.unwrap());
        }
        let ended = ending(sup.pid()).await;
        // The first exit makes it give up; the second child is dead by then, its exit unread.
        sys::suspend(sup.pid()).await.unwrap();
        end(started[0].pid(), boom()).await;
        end(started[1].pid(), ExitReason::error("bang")).await;
        sys::resume(sup.pid()).await.unwrap();
        assert_eq!(ended.await, ExitReason::Shutdown);
        let expected =
            ["child_terminated Worker: boom", "giving_up Worker: boom", "shutdown_error Worker: bang"];
        assert_eq!(reports.all(), texts(expected));
    });
}

#[test]
fn s88_flags_with_another_strategy_or_an_auto_shutdown_make_no_dynamic_supervisor() {
    let auto_shutdown = AutoShutdown::AnySignificant;
    let error = DynamicFlags::try_from(Flags { auto_shutdown, ..Flags::default() }).unwrap_err();
    assert_eq!(error, FlagsError::InvalidAutoShutdown { auto_shutdown });
    let error = DynamicFlags::try_from(Flags::new(Strategy::OneForAll)).unwrap_err();
    assert_eq!(error.to_string(), "a dynamic supervisor is always one_for_one and cannot be one_for_all");
}

#[test]
fn s100_an_invalid_specification_is_refused_and_nothing_is_started() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = dynamic().await;
        let child = Plan::new("a", &journal).child().restart(Restart::Transient).significant(true);
        let error = sup.start_child(child).await.unwrap_err();
        assert!(matches!(
            error,
            StartChildError::Refused(StartRefused::Spec(SpecError::SignificantButNeverShutdown { .. }))
        ));
        assert_eq!(journal.all(), texts([]));
    });
}

#[test]
fn s80_s82_the_end_of_the_parent_stops_all_children_first() {
    everywhere(|| async {
        let journal = Journal::new();
        let root = Supervisor::one_for_one()
            .child(DynamicSupervisor::new().name("d").child_spec())
            .start_link()
            .await
            .unwrap();
        let sup = DynamicSupervisor::named("d").whereis().unwrap();
        for id in ["a", "b"] {
            sup.start_child(Plan::new(id, &journal).stop(Stop::Take(millis(2))).child()).await.unwrap();
        }
        root.stop().await.unwrap();
        assert_eq!((journal.count("down a"), journal.count("down b")), (1, 1));
        assert_eq!(process::processes(), []);
    });
}

#[test]
fn s76_many_children_killed_at_once_all_come_back_each_as_a_new_process() {
    everywhere(|| async {
        // All of them are ready to run at once: the simulated scheduler looks at each for every step.
        let all = if Node::current().is_simulated() { 60 } else { 1_000 };
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_restarts(10_000, secs(5)).start_link().await.unwrap();
        let mut old = Vec::new();
        for _ in 0..all {
            old.push(sup.start_child(Plan::new("w", &journal).child()).await.unwrap().pid());
        }
        for pid in old.iter().step_by(2) {
            process::exit(*pid, ExitReason::Kill);
        }
        journal.wait("start w", all + all / 2).await;
        let now: BTreeSet<Pid> = pids(&sup).await.into_iter().collect();
        assert_eq!(now.len(), all);
        assert_eq!(old.iter().filter(|pid| now.contains(pid)).count(), all / 2);
        sup.stop().await.unwrap();
        assert_eq!(journal.count("down w"), all + all / 2);
    });
}
