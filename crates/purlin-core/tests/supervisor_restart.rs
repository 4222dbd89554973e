//! Restart types, strategies and restart intensity decide which children come back, in which order, and when the supervisor gives up.

mod supervisor_support;

use purlin_core::supervisor::*;
use purlin_core::telemetry::events;
use purlin_core::*;
use supervisor_support::*;

fn all_ends() -> [ExitReason; 6] {
    [
        ExitReason::Normal,
        ExitReason::Shutdown,
        ExitReason::shutdown_with("done"),
        ExitReason::NoProc,
        boom(),
        ExitReason::Kill,
    ]
}

/// Ends a child of this restart type with `reason`; tells whether it was restarted, and whether its specification is still there.
async fn outcome(restart: Restart, reason: ExitReason) -> (bool, bool) {
    let journal = Journal::new();
    let child = Plan::new("a", &journal).child().restart(restart);
    let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
    let old = pid_of(&sup, "a").await;
    end(old, reason).await;
    let now = children(&sup).await;
    let restarted = now.first().and_then(|child| child.status.pid());
    assert_eq!(journal.count("start a"), 1 + usize::from(restarted.is_some()));
    assert_ne!(restarted, Some(old));
    sup.stop().await.unwrap();
    (restarted.is_some(), !now.is_empty())
}

#[test]
fn s39_a_permanent_child_is_restarted_whatever_its_reason() {
    everywhere(|| async {
        for reason in all_ends() {
            assert_eq!(outcome(Restart::Permanent, reason.clone()).await, (true, true), "{reason}");
        }
    });
}

#[test]
fn s40_s41_s42_a_transient_child_is_restarted_only_after_an_abnormal_end() {
    everywhere(|| async {
        for reason in all_ends() {
            assert_eq!(
                outcome(Restart::Transient, reason.clone()).await,
                (!reason.is_clean(), true),
                "{reason}"
            );
        }
    });
}

#[test]
fn s43_a_temporary_child_is_never_restarted_and_its_specification_goes() {
    everywhere(|| async {
        for reason in all_ends() {
            assert_eq!(outcome(Restart::Temporary, reason.clone()).await, (false, false), "{reason}");
        }
    });
}

#[test]
fn s45_a_restarted_child_has_its_arguments_its_name_and_its_place_and_a_new_pid() {
    everywhere(|| async {
        const B: Name<Worker> = Name::new("b");
        let journal = Journal::new();
        let [a, b, c] = plans(["a", "b", "c"], &journal);
        let sup = Supervisor::one_for_one()
            .children([a.child(), b.child().name(&B), c.child()])
            .start_link()
            .await
            .unwrap();
        let old = B.whereis().unwrap().pid();
        Ref::<Worker>::from_pid(old).unwrap().cast(Crash);
        journal.wait("start b", 2).await;
        assert_eq!(ids(&sup).await, texts(["a", "b", "c"]));
        let new = pid_of(&sup, "b").await;
        assert_ne!(new, old);
        assert_eq!(B.whereis().unwrap().pid(), new);
        assert_eq!(B.call(Id).await.unwrap(), "b");
    });
}

#[test]
fn s46_a_temporary_child_leaves_no_start_arguments_behind() {
    everywhere(|| async {
        let journal = Journal::new();
        let arguments = std::sync::Arc::new(());
        let kept = arguments.clone();
        let make = move || {
            let _ = &kept;
            Plan::new("t", &Journal::new())
        };
        let sup =
            Supervisor::one_for_one().child(Plan::new("a", &journal).child()).start_link().await.unwrap();
        sup.start_child(Worker::child_spec_with(make.clone()).restart(Restart::Temporary)).await.unwrap();
        drop(make);
        assert_eq!(std::sync::Arc::strong_count(&arguments), 1);
        let once = Worker::child_spec_once(Plan::new("once", &journal)).id("once");
        let pid = sup.start_child(once).await.unwrap().unwrap();
        end(pid, boom()).await;
        assert_eq!(ids(&sup).await, texts(["a", "Worker"]));
    });
}

#[test]
fn child_spec_once_says_why_it_cannot_be_started_a_second_time() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let once = Worker::child_spec_once(Plan::new("a", &journal)).id("a").restart(Restart::Permanent);
        let sup = Supervisor::one_for_one().child(once).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        let why = "the arguments of `child_spec_once` were for one start only; use `child_spec` or `child_spec_with`";
        assert_eq!(reports.all()[1], format!("start_error a: {why}"));
    });
}

#[test]
fn s47_clean_ends_are_reported_for_permanent_children_only_and_crashes_for_all() {
    everywhere(|| async {
        for (restart, reason, expected) in [
            (Restart::Permanent, ExitReason::Normal, Some("child_terminated a: normal")),
            (Restart::Transient, ExitReason::Normal, None),
            (Restart::Transient, ExitReason::Shutdown, None),
            (Restart::Temporary, ExitReason::Shutdown, None),
            (Restart::Transient, boom(), Some("child_terminated a: boom")),
            (Restart::Temporary, boom(), Some("child_terminated a: boom")),
        ] {
            let journal = Journal::new();
            let reports = reports();
            let child = Plan::new("a", &journal).child().restart(restart);
            let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
            end(pid_of(&sup, "a").await, reason).await;
            sup.stop().await.unwrap();
            assert_eq!(reports.all(), expected.map(str::to_owned).into_iter().collect::<Vec<_>>());
            Node::current().telemetry().detach("reports").unwrap();
        }
    });
}

/// A supervisor with orderly children `a b c d`, of which `b` has just crashed and been restarted.
async fn crash_of_b(
    spec: SupervisorSpec,
    restarts: [Restart; 4],
) -> (SupervisorRef, Vec<ChildInfo>, Vec<String>) {
    let journal = Journal::new();
    let plans = plans(["a", "b", "c", "d"], &journal).map(|plan| plan.stop(Stop::Orderly));
    let children_of: Vec<_> =
        plans.iter().zip(restarts).map(|(plan, restart)| plan.child().restart(restart)).collect();
    let sup = spec.children(children_of).start_link().await.unwrap();
    let before = children(&sup).await;
    journal.clear();
    end(before[1].status.pid().unwrap(), boom()).await;
    children(&sup).await;
    (sup, before, journal.all())
}

const PERMANENT: [Restart; 4] = [Restart::Permanent; 4];

#[test]
fn s48_one_for_one_leaves_the_siblings_alone() {
    everywhere(|| async {
        let (sup, before, journal) = crash_of_b(Supervisor::one_for_one(), PERMANENT).await;
        assert_eq!(journal, texts(["stop b", "down b", "start b"]));
        let after = children(&sup).await;
        let same: Vec<bool> = before.iter().zip(&after).map(|(b, a)| b.status == a.status).collect();
        assert_eq!(same, [true, false, true, true]);
    });
}

#[test]
fn s49_one_for_all_stops_the_others_in_reverse_order_and_starts_all_in_order() {
    everywhere(|| async {
        let (sup, before, journal) = crash_of_b(Supervisor::one_for_all(), PERMANENT).await;
        let stops = ["stop b", "down b", "stop d", "down d", "stop c", "down c", "stop a", "down a"];
        let starts = ["start a", "start b", "start c", "start d"];
        assert_eq!(journal, [texts(stops), texts(starts)].concat());
        let after = children(&sup).await;
        assert!(before.iter().zip(&after).all(|(b, a)| b.status != a.status));
    });
}

#[test]
fn s50_rest_for_one_stops_and_starts_only_those_after_the_one_that_ended() {
    everywhere(|| async {
        let (sup, before, journal) = crash_of_b(Supervisor::rest_for_one(), PERMANENT).await;
        let expected =
            ["stop b", "down b", "stop d", "down d", "stop c", "down c", "start b", "start c", "start d"];
        assert_eq!(journal, texts(expected));
        let after = children(&sup).await;
        let same: Vec<bool> = before.iter().zip(&after).map(|(b, a)| b.status == a.status).collect();
        assert_eq!(same, [true, false, false, false]);
    });
}

#[test]
fn s49_s50_temporary_siblings_are_stopped_and_forgotten() {
    everywhere(|| async {
        let restarts = [Restart::Permanent, Restart::Permanent, Restart::Temporary, Restart::Transient];
        let (sup, _, journal) = crash_of_b(Supervisor::rest_for_one(), restarts).await;
        let expected = ["stop b", "down b", "stop d", "down d", "stop c", "down c", "start b", "start d"];
        assert_eq!(journal, texts(expected));
        assert_eq!(ids(&sup).await, texts(["a", "b", "d"]));
    });
}

#[test]
fn s52_s69_an_end_that_asks_for_no_restart_touches_no_sibling_and_does_not_count() {
    everywhere(|| async {
        for (restart, reason) in [(Restart::Temporary, boom()), (Restart::Transient, ExitReason::Normal)] {
            for spec in [Supervisor::one_for_all(), Supervisor::rest_for_one()] {
                let journal = Journal::new();
                let [a, b, c] = plans(["a", "b", "c"], &journal);
                let spec = spec.max_restarts(0, secs(5)).children([
                    a.child(),
                    b.child().restart(restart),
                    c.child(),
                ]);
                let sup = spec.start_link().await.unwrap();
                end(pid_of(&sup, "b").await, reason.clone()).await;
                assert_eq!(sup.count_children().await.unwrap().active, 2);
                assert_eq!(journal.all(), texts(["start a", "start b", "start c", "down b"]));
                sup.stop().await.unwrap();
            }
        }
    });
}

#[test]
fn s49_children_that_die_while_others_are_stopped_are_not_restarted_twice() {
    everywhere(|| async {
        let journal = Journal::new();
        let children_of = plans(["a", "b", "c"], &journal).map(|plan| plan.child());
        let sup = Supervisor::one_for_all()
            .max_restarts(1, secs(5))
            .children(children_of)
            .start_link()
            .await
            .unwrap();
        let all = children(&sup).await;
        // All at once: one restart of all, and the other two exits are those of strangers by then.
        sys::suspend(sup.pid()).await.unwrap();
        for child in &all {
            end(child.status.pid().unwrap(), boom()).await;
        }
        sys::resume(sup.pid()).await.unwrap();
        assert_eq!(sup.count_children().await.unwrap().active, 3);
        assert_eq!(journal.all().len(), 9);
        assert_eq!(journal.all()[6..], texts(["start a", "start b", "start c"]));
    });
}

#[test]
fn s59_a_failed_restart_is_tried_again_and_each_try_counts() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let restarts = watch(events::SUPERVISOR_CHILD_RESTART, |event| {
            format!(
                "{} {}",
                event.metadata.str("child_id").unwrap(),
                event.metadata.reason("reason").unwrap()
            )
        });
        let failing = [None, Some(Init::Fail("one")), Some(Init::Panic), Some(Init::Fail("three"))];
        let plan = Plan::new("a", &journal).script(failing);
        let sup = Supervisor::one_for_one()
            .max_restarts(4, secs(5))
            .child(plan.child())
            .start_link()
            .await
            .unwrap();
        end(pid_of(&sup, "a").await, boom()).await;
        journal.wait("start a", 2).await;
        pid_of(&sup, "a").await;
        let expected = texts(["child_terminated a: boom", "start_error a: one", "start_error a: three"]);
        let mut reported = reports.all();
        assert!(reported.remove(2).contains("init of a"));
        assert_eq!(reported, expected);
        assert_eq!(restarts.all(), texts(["a boom"]));
        // The budget is used up: four restarts were counted, and this is the fifth.
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn s59_a_restart_that_is_ignored_keeps_the_child_without_a_process() {
    everywhere(|| async {
        let journal = Journal::new();
        let plan = Plan::new("a", &journal).script([None, Some(Init::Ignore)]);
        let sup = Supervisor::one_for_one().child(plan.child()).start_link().await.unwrap();
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(status(&sup, "a").await, ChildStatus::Undefined);
        assert!(sup.restart_child("a").await.unwrap().is_some());
    });
}

#[test]
fn s59_a_start_that_fails_within_a_round_leaves_the_rest_down_until_the_retry() {
    everywhere(|| async {
        for (spec, expected) in [
            (Supervisor::rest_for_one(), &["start a", "start b", "try c", "start c", "start d"][1..]),
            (
                Supervisor::one_for_all(),
                &[
                    "start a", "start b", "try c", "down b", "down a", "start a", "start b", "start c",
                    "start d",
                ],
            ),
        ] {
            let journal = Journal::new();
            let [a, b, c, d] = plans(["a", "b", "c", "d"], &journal);
            let c = c.script([None, Some(Init::Fail("not yet"))]);
            let sup = spec.children([a, b, c, d].map(|plan| plan.child())).start_link().await.unwrap();
            let first = pid_of(&sup, "b").await;
            journal.clear();
            end(first, boom()).await;
            journal.wait("start d", 1).await;
            assert_eq!(sup.count_children().await.unwrap().active, 4);
            let from = journal.all().iter().position(|entry| entry.starts_with("start")).unwrap();
            assert_eq!(journal.all()[from..], expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
            sup.stop().await.unwrap();
        }
    });
}

#[test]
fn s60_s64_s68_one_restart_too_many_stops_everything_in_reverse_order_with_shutdown() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let plans = plans(["a", "b", "c"], &journal);
        let sup = Supervisor::one_for_one()
            .max_restarts(2, secs(100))
            .children(plans.map(|plan| plan.child()))
            .start_link()
            .await
            .unwrap();
        for _ in 0..2 {
            end(pid_of(&sup, "b").await, boom()).await;
        }
        journal.wait("start b", 3).await;
        journal.clear();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "b").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(journal.all(), texts(["down b", "down c", "down a"]));
        assert_eq!(reports.all()[2..], texts(["child_terminated b: boom", "giving_up b: boom"]));
    });
}

#[test]
fn s60_retries_that_use_up_the_budget_stop_the_supervisor() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let failures = (0..100).map(|_| Some(Init::Fail("never")));
        let plan = Plan::new("b", &journal).script(std::iter::once(None).chain(failures));
        let sup = Supervisor::rest_for_one()
            .max_restarts(5, secs(100))
            .children([Plan::new("a", &journal).child(), plan.child()])
            .start_link()
            .await
            .unwrap();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "b").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(journal.count("try b"), 5);
        assert_eq!(journal.all().last().unwrap(), "down a");
        assert_eq!(reports.all().last().unwrap(), "giving_up b: boom");
    });
}

#[test]
fn s64_restarts_count_within_the_window_only_and_the_window_is_whole_seconds_inclusive() {
    in_simulation(|| async {
        let journal = Journal::new();
        let child = Plan::new("a", &journal).child();
        let sup = Supervisor::one_for_one().max_restarts(1, secs(5)).child(child).start_link().await.unwrap();
        let node = Node::current();
        let until = |second: u64| {
            let left = secs(second).saturating_sub(node.now());
            process::sleep(left)
        };
        // A restart at second 10 still counts at second 15 and no longer at second 16.
        for second in [10, 16, 22] {
            until(second).await;
            end(pid_of(&sup, "a").await, boom()).await;
        }
        assert_eq!(sup.count_children().await.unwrap().active, 1);
        until(27).await;
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn s65_with_intensity_zero_the_first_crash_stops_the_supervisor() {
    everywhere(|| async {
        let journal = Journal::new();
        let spec = Supervisor::one_for_one().max_restarts(0, secs(1));
        let sup =
            spec.children(plans(["a", "b"], &journal).map(|plan| plan.child())).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(journal.all(), texts(["start a", "start b", "down a", "down b"]));
    });
}

#[test]
fn s68_escalation_climbs_the_tree_and_the_parent_restarts_the_branch_from_its_specifications() {
    everywhere(|| async {
        let journal = Journal::new();
        let leaves = plans(["x", "y"], &journal).map(|plan| plan.child());
        let inner = Supervisor::one_for_one().max_restarts(0, secs(5)).children(leaves);
        let root = Supervisor::one_for_one()
            .child(Plan::new("a", &journal).child())
            .child(inner.child_spec().id("inner"))
            .start_link()
            .await
            .unwrap();
        let branch = pid_of(&root, "inner").await;
        let extra = Plan::new("z", &journal).child();
        Ref::<Supervisor>::from_pid(branch).unwrap().start_child(extra).await.unwrap();
        journal.clear();
        let inner = Ref::<Supervisor>::from_pid(branch).unwrap();
        end(pid_of(&inner, "x").await, boom()).await;
        process::wait(branch).await;
        // Whoever hears of the branch's end need not be the last one to hear of it.
        journal.wait("start y", 1).await;
        let again = Ref::<Supervisor>::from_pid(pid_of(&root, "inner").await).unwrap();
        assert_eq!(journal.all(), texts(["down x", "down z", "down y", "start x", "start y"]));
        assert_eq!(ids(&again).await, texts(["x", "y"]));
    });
}

#[test]
fn restarts_are_told_as_telemetry_with_both_pids_and_the_time_it_took() {
    in_simulation(|| async {
        let journal = Journal::new();
        let told = watch(events::SUPERVISOR_CHILD_RESTART, |event| {
            let (m, d) = (event.measurements, event.metadata);
            assert!(m.duration("duration").unwrap() <= m.duration("downtime").unwrap());
            assert_eq!(d.str("supervisor_name"), Some("root"));
            assert_ne!(d.pid("old_pid").unwrap(), d.pid("pid").unwrap());
            format!(
                "{} {} {}",
                d.str("child_id").unwrap(),
                d.reason("reason").unwrap(),
                m.u64("restarts").unwrap()
            )
        });
        let plans = plans(["a", "b"], &journal);
        let spec = Supervisor::one_for_all().name("root").children(plans.map(|plan| plan.child()));
        let sup = spec.start_link().await.unwrap();
        end(pid_of(&sup, "b").await, boom()).await;
        journal.wait("start b", 2).await;
        sup.count_children().await.unwrap();
        assert_eq!(told.all(), texts(["a boom 1", "b boom 1"]));
    });
}

#[test]
fn the_downtime_of_a_child_runs_from_its_end_through_all_failed_restarts() {
    in_simulation(|| async {
        let journal = Journal::new();
        let told = watch(events::SUPERVISOR_CHILD_RESTART, |event| {
            let seconds = |key| event.measurements.duration(key).unwrap().as_secs();
            format!("start {} s, down {} s", seconds("duration"), seconds("downtime"))
        });
        let starts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let log = journal.clone();
        let start = move || {
            let (starts, log) = (starts.clone(), log.clone());
            async move {
                match starts.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                    1 => {
                        process::sleep(secs(20)).await;
                        Err(StartError::Failed(boom()))
                    },
                    2 => {
                        process::sleep(secs(3)).await;
                        Ok(Worker::start_link(Plan::new("a", &log)).await?.pid())
                    },
                    _ => Ok(Worker::start_link(Plan::new("a", &log)).await?.pid()),
                }
            }
        };
        let sup =
            Supervisor::one_for_one().child(ChildSpec::custom("slow", start)).start_link().await.unwrap();
        end(pid_of(&sup, "slow").await, boom()).await;
        journal.wait("start a", 2).await;
        pid_of(&sup, "slow").await;
        assert_eq!(told.all(), texts(["start 3 s, down 23 s"]));
    });
}
