//! Proves the cases of shutdowns, significant children, administration races and dynamic supervisors that OTP's documentation and source imply
//! and the numbered statements do not spell out.

mod supervisor_support;

use std::time::Duration;

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

fn kill(pid: Pid) {
    process::exit(pid, ExitReason::Kill);
}

/// Does this in a task of the same node.
fn aside<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> {
    let task = tokio::spawn(Node::current().scope(task));
    async move { task.await.unwrap() }
}

/// A plan whose starts after the first one fail so often.
fn failing(id: &'static str, journal: &Journal, times: usize) -> Plan {
    let failures = std::iter::repeat_n(Some(Init::Fail("no")), times);
    Plan::new(id, journal).script(std::iter::once(None).chain(failures))
}

const FOR_EVER: usize = 100_000;

fn significant(plan: &Plan, restart: Restart) -> Child<Worker> {
    plan.child().significant(true).restart(restart)
}

#[test]
fn s84_a_significant_child_that_a_siblings_restart_stops_has_not_ended_by_itself() {
    everywhere(|| async {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for (restart, left) in [(Restart::Transient, 2), (Restart::Temporary, 1)] {
                let journal = Journal::new();
                let [a, b] = plans(["a", "b"], &journal);
                let sup = Supervisor::one_for_all()
                    .auto_shutdown(auto)
                    .child(a.child())
                    .child(significant(&b, restart))
                    .start_link()
                    .await
                    .unwrap();
                kill(pid_of(&sup, "a").await);
                journal.wait("start a", 2).await;
                assert_eq!(sup.count_children().await.unwrap().active, left);
                sup.stop().await.unwrap();
            }
        }
    });
}

#[test]
fn s85_a_significant_child_between_two_retries_has_not_ended_yet() {
    everywhere(|| async {
        let journal = Journal::new();
        let [a, b] = [failing("a", &journal, FOR_EVER), Plan::new("b", &journal)];
        let sup = Supervisor::one_for_one()
            .max_restarts(1_000_000, secs(60))
            .auto_shutdown(AutoShutdown::AllSignificant)
            .child(significant(&a, Restart::Transient))
            .child(significant(&b, Restart::Transient))
            .start_link()
            .await
            .unwrap();
        kill(pid_of(&sup, "a").await);
        journal.wait("try a", 1).await;
        end(pid_of(&sup, "b").await, ExitReason::Normal).await;
        assert_eq!(status(&sup, "a").await, ChildStatus::Restarting);
        // Now it may succeed, and its own end is the last one.
        a.script.lock().unwrap().clear();
        journal.wait("start a", 2).await;
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "a").await, ExitReason::Normal).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn s85_a_significant_child_stopped_by_hand_neither_shuts_down_nor_keeps_alive() {
    everywhere(|| async {
        let journal = Journal::new();
        let [a, b] = plans(["a", "b"], &journal);
        let sup = Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::AllSignificant)
            .child(significant(&a, Restart::Transient))
            .child(significant(&b, Restart::Transient))
            .start_link()
            .await
            .unwrap();
        sup.terminate_child("a").await.unwrap();
        sup.terminate_child("b").await.unwrap();
        assert_eq!(sup.count_children().await.unwrap().active, 0);
        sup.restart_child("b").await.unwrap();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "b").await, ExitReason::Normal).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn s84_significant_children_that_end_at_the_same_time_shut_down_once_also_between_retries_of_another() {
    everywhere(|| async {
        let journal = Journal::new();
        let plans = plans(["a", "b"], &journal);
        let sup = Supervisor::one_for_one()
            .max_restarts(1_000_000, secs(60))
            .auto_shutdown(AutoShutdown::AnySignificant)
            .children(plans.map(|plan| significant(&plan, Restart::Temporary)))
            .child(failing("r", &journal, FOR_EVER).child())
            .start_link()
            .await
            .unwrap();
        let [a, b, r] = [pid_of(&sup, "a").await, pid_of(&sup, "b").await, pid_of(&sup, "r").await];
        kill(r);
        journal.wait("try r", 1).await;
        let ended = ending(sup.pid()).await;
        kill(a);
        kill(b);
        assert_eq!(ended.await, ExitReason::Shutdown);
        let tries = journal.count("try r");
        assert!(tries < FOR_EVER);
        process::yield_now().await;
        assert_eq!(journal.count("try r"), tries, "the retries are called off");
    });
}

#[test]
fn s72_s73_monitors_see_how_each_child_was_ended_and_the_supervisor_ends_as_it_was_asked() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = Supervisor::one_for_one()
            .child(Plan::new("plain", &journal).child())
            .child(Plan::new("orderly", &journal).stop(Stop::Orderly).child())
            .child(Plan::new("brutal", &journal).stop(Stop::Orderly).child().shutdown(Shutdown::BrutalKill))
            .child(Plan::new("late", &journal).stop(Stop::Never).child().shutdown(millis(5)))
            .child(Plan::new("instant", &journal).stop(Stop::Never).child().shutdown(Duration::ZERO))
            .child(
                Plan::new("patient", &journal)
                    .stop(Stop::Take(millis(5)))
                    .child()
                    .shutdown(Shutdown::Infinity),
            )
            .start_link()
            .await
            .unwrap();
        let mut ends = Vec::new();
        for id in ["plain", "orderly", "brutal", "late", "instant", "patient"] {
            ends.push(ending(pid_of(&sup, id).await).await);
        }
        let own = ending(sup.pid()).await;
        let reason = ExitReason::custom("asked");
        sup.stop_with(reason.clone(), secs(60)).await.unwrap();
        let mut reasons = Vec::new();
        for end in ends {
            reasons.push(end.await);
        }
        use ExitReason::{Killed, Shutdown as S};
        assert_eq!(reasons, [S, S, Killed, Killed, Killed, S]);
        assert_eq!(own.await, reason);
        assert_eq!(journal.count("stop brutal"), 0, "no `terminate` for a kill");
    });
}

#[test]
fn s23_terminate_child_of_one_that_has_just_crashed_ends_with_it_stopped() {
    everywhere(|| async {
        for terminate_twice in [false, true] {
            let journal = Journal::new();
            let sup =
                Supervisor::one_for_one().child(Plan::new("a", &journal).child()).start_link().await.unwrap();
            kill(pid_of(&sup, "a").await);
            sup.terminate_child("a").await.unwrap();
            if terminate_twice {
                sup.terminate_child("a").await.unwrap();
            }
            assert_eq!(status(&sup, "a").await, ChildStatus::Undefined);
            assert_eq!(journal.count("start a"), journal.count("down a"));
            assert!(journal.count("start a") <= 2);
            sup.restart_child("a").await.unwrap();
            assert_eq!(sup.count_children().await.unwrap().active, 1);
        }
    });
}

#[test]
fn s20_s26_of_two_administrators_that_want_the_same_one_is_told_that_it_is_done_already() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = Supervisor::one_for_one().start_link().await.unwrap();
        let start = || {
            let (sup, child) = (sup.clone(), Plan::new("a", &journal).child());
            aside(async move { sup.start_child(child).await })
        };
        let (first, second) = (start(), start());
        let (first, second) = (first.await, second.await);
        assert!(first.is_ok() != second.is_ok());
        let pid = pid_of(&sup, "a").await;
        let refused = first.and(second).unwrap_err();
        assert!(
            matches!(&refused, StartChildError::Refused(StartRefused::AlreadyStarted { pid: p, .. }) if *p == pid),
            "{refused}"
        );
        sup.terminate_child("a").await.unwrap();
        let restart = || {
            let sup = sup.clone();
            aside(async move { sup.restart_child("a").await })
        };
        let (first, second) = (restart(), restart());
        let (first, second) = (first.await, second.await);
        assert!(first.is_ok() != second.is_ok());
        let refused = first.and(second).unwrap_err();
        assert!(matches!(&refused, RestartChildError::Refused(ChildRefused::Running { .. })), "{refused}");
        assert_eq!(journal.count("start a"), 2);
    });
}

#[test]
fn s82_a_child_whose_start_meets_the_stop_of_its_supervisor_is_down_with_it_or_was_never_up() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = Supervisor::one_for_one().start_link().await.unwrap();
        let dynamic = DynamicSupervisor::new().start_link().await.unwrap();
        let requests: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|id| {
                let (sup, dynamic, plan) = (sup.clone(), dynamic.clone(), Plan::new(id, &journal));
                aside(async move {
                    let by_id = sup.start_child(plan.child()).await.map(Option::unwrap);
                    let by_pid = dynamic.start_child(plan.child()).await.map(|server| server.pid());
                    [by_id, by_pid]
                })
            })
            .collect();
        process::yield_now().await;
        sup.stop().await.unwrap();
        dynamic.stop().await.unwrap();
        for request in requests {
            for outcome in request.await {
                match outcome {
                    Ok(pid) => assert!(!process::is_alive(pid)),
                    Err(StartChildError::Call(error)) => assert!(
                        error.is_no_proc() || error.exit_reason() == Some(&ExitReason::Normal),
                        "{error}"
                    ),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        let all = journal.all();
        let count = |what: &str| all.iter().filter(|entry| entry.starts_with(what)).count();
        assert_eq!(count("start"), count("down"));
    });
}

#[test]
fn s19_a_child_that_was_asked_for_is_started_though_who_asked_has_gone() {
    everywhere(|| async {
        let journal = Journal::new();
        let gate = Plan::new("first", &journal).script([]).child();
        let sup = Supervisor::one_for_one().child(gate).start_link().await.unwrap();
        // The supervisor is busy with a stop that takes its time, so that the request waits.
        let slow = Plan::new("slow", &journal).stop(Stop::Take(millis(5))).child();
        sup.start_child(slow).await.unwrap();
        let stopping = aside({
            let sup = sup.clone();
            async move { sup.terminate_child("slow").await }
        });
        journal.wait("stop slow", 1).await;
        let asks = process::spawn({
            let (sup, child) = (sup.clone(), Plan::new("orphan", &journal).child());
            async move |_: Mailbox<()>| drop(sup.start_child(child).await)
        });
        while process::process_info(sup.pid()).unwrap().message_queue_len == 0 {
            process::yield_now().await;
        }
        kill(asks.pid());
        stopping.await.unwrap();
        journal.wait("start orphan", 1).await;
        assert!(matches!(status(&sup, "orphan").await, ChildStatus::Running(_)));
        assert_eq!(ids(&sup).await, texts(["first", "slow", "orphan"]));
    });
}

#[test]
fn s36_s101_a_dynamic_child_between_retries_takes_a_place_but_is_not_active() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_children(1).max_restarts(1_000_000, secs(60)).start_link();
        let sup = sup.await.unwrap();
        let child = failing("r", &journal, FOR_EVER);
        let first = sup.start_child(child.child()).await.unwrap();
        kill(first.pid());
        journal.wait("try r", 1).await;
        let refused = sup.start_child(Plan::new("b", &journal).child()).await.unwrap_err();
        assert!(
            matches!(&refused, StartChildError::Refused(StartRefused::MaxChildren { limit: 1 })),
            "{refused}"
        );
        let expected = ChildCounts { specs: 1, active: 0, supervisors: 0, workers: 1 };
        assert_eq!(sup.count_children().await.unwrap(), expected);
        assert_eq!(sup.which_children().await.unwrap()[0].status, ChildStatus::Restarting);
        child.script.lock().unwrap().clear();
        journal.wait("start r", 2).await;
        let refused = sup.start_child(Plan::new("b", &journal).child()).await.unwrap_err();
        assert!(matches!(&refused, StartChildError::Refused(StartRefused::MaxChildren { .. })), "{refused}");
        let pid = sup.which_children().await.unwrap()[0].status.pid().unwrap();
        sup.terminate_child(pid).await.unwrap();
        sup.start_child(Plan::new("b", &journal).child()).await.unwrap();
    });
}

#[test]
fn s64_the_window_of_a_dynamic_supervisor_has_the_same_edge_and_counts_all_children_together() {
    in_simulation(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_restarts(1, secs(5)).start_link().await.unwrap();
        sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        sup.start_child(Plan::new("b", &journal).child()).await.unwrap();
        let crash = async |n: usize, second: u64| {
            process::sleep(secs(second).saturating_sub(Node::current().now())).await;
            let all = sup.which_children().await.unwrap();
            end(all[n].status.pid().unwrap(), boom()).await;
        };
        for (n, second) in [(0, 10), (1, 16), (0, 22)] {
            crash(n, second).await;
            assert_eq!(sup.count_children().await.unwrap().active, 2);
        }
        let ended = ending(sup.pid()).await;
        crash(1, 27).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

#[test]
fn s64_s59_failed_retries_outside_the_window_do_not_count_and_time_that_starts_take_does() {
    in_simulation(|| async {
        // Each start fails after its limit of two seconds: of any seven seconds at most four restarts are in the window.
        for (limit, gives_up) in [(4, false), (2, true)] {
            let journal = Journal::new();
            let hanging = std::iter::repeat_n(Some(Init::Hang), 10);
            let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(hanging));
            let child = plan.child().start_timeout(secs(2));
            let sup = Supervisor::one_for_one()
                .max_restarts(limit, secs(5))
                .child(child)
                .start_link()
                .await
                .unwrap();
            let ended = ending(sup.pid()).await;
            kill(pid_of(&sup, "r").await);
            if gives_up {
                assert_eq!(ended.await, ExitReason::Shutdown);
                assert_eq!(journal.count("try r"), 2);
            } else {
                journal.wait("start r", 2).await;
                assert_eq!(journal.count("try r"), 10);
                sup.stop().await.unwrap();
            }
        }
    });
}

#[test]
fn s76_children_of_a_dynamic_supervisor_that_crash_while_it_stops_stay_down() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().max_restarts(1_000, secs(5)).start_link().await.unwrap();
        let mut pids = Vec::new();
        for id in ["a", "b", "c"] {
            let plan = Plan::new(id, &journal).stop(Stop::Take(millis(3)));
            pids.push(sup.start_child(plan.child()).await.unwrap().pid());
        }
        let ended = ending(sup.pid()).await;
        let stopping = aside({
            let sup = sup.clone();
            async move { sup.stop().await }
        });
        journal.wait("stop b", 1).await;
        pids.into_iter().for_each(kill);
        assert_eq!(stopping.await, Ok(()));
        assert_eq!(ended.await, ExitReason::Normal);
        for id in ["a", "b", "c"] {
            assert_eq!((journal.count(&format!("start {id}")), journal.count(&format!("down {id}"))), (1, 1));
        }
    });
}

#[test]
fn s30_terminate_child_of_a_dynamic_child_that_has_just_crashed_stops_it_or_finds_it_replaced() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = DynamicSupervisor::new().start_link().await.unwrap();
        let child = sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        kill(child.pid());
        match sup.terminate_child(child.pid()).await {
            Ok(()) => assert_eq!(sup.count_children().await.unwrap().specs, 0),
            Err(TerminateChildError::NotAChild(NotAChild { pid })) => {
                assert_eq!(pid, child.pid());
                let new = sup.which_children().await.unwrap()[0].status.pid().unwrap();
                assert_ne!(new, pid);
            },
            Err(other) => panic!("{other}"),
        }
    });
}
