//! Children of a running supervisor can be added, terminated, restarted, deleted, listed and counted, and every refusal says why.

mod supervisor_support;

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

async fn running<const N: usize>(ids: [&'static str; N], journal: &Journal) -> SupervisorRef {
    let children = plans(ids, journal).map(|plan| plan.child());
    Supervisor::one_for_one().children(children).start_link().await.unwrap()
}

#[test]
fn s19_a_new_child_is_the_last_in_start_order() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a", "b"], &journal).await;
        let pid = sup.start_child(Plan::new("c", &journal).child()).await.unwrap().unwrap();
        assert_eq!(status(&sup, "c").await, ChildStatus::Running(pid));
        assert_eq!(ids(&sup).await, texts(["a", "b", "c"]));
        // OTP lists the youngest first.
        let listed = sup.which_children().await.unwrap();
        assert_eq!(
            listed.iter().map(|c| c.id.clone().unwrap().to_string()).collect::<Vec<_>>(),
            texts(["c", "b", "a"])
        );
        // A place that has become free is not taken again.
        sup.terminate_child("a").await.unwrap();
        sup.delete_child("a").await.unwrap();
        sup.start_child(Plan::new("d", &journal).child()).await.unwrap();
        assert_eq!(ids(&sup).await, texts(["b", "c", "d"]));
        journal.clear();
        sup.stop().await.unwrap();
        assert_eq!(journal.all(), texts(["down d", "down c", "down b"]));
    });
}

#[test]
fn s20_s21_an_id_that_is_taken_is_refused_and_nothing_is_started() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a"], &journal).await;
        let again = || Plan::new("a", &journal).child();
        let pid = pid_of(&sup, "a").await;
        let refused = sup.start_child(again()).await.unwrap_err();
        assert!(
            matches!(&refused, StartChildError::Refused(StartRefused::AlreadyStarted { id, pid: p }) if *id == "a" && *p == pid)
        );
        assert_eq!(refused.to_string(), format!("child `a` is already running as {pid}"));
        sup.terminate_child("a").await.unwrap();
        let refused = sup.start_child(again()).await.unwrap_err();
        assert!(
            matches!(&refused, StartChildError::Refused(StartRefused::AlreadyPresent { .. })),
            "{refused}"
        );
        assert_eq!(journal.all(), texts(["start a", "down a"]));
    });
}

#[test]
fn s23_s24_s25_terminate_child_stops_without_restart_and_keeps_the_specification_unless_temporary() {
    everywhere(|| async {
        let journal = Journal::new();
        let temporary = Plan::new("t", &journal).child().restart(Restart::Temporary);
        let sup = running(["a", "b"], &journal).await;
        sup.start_child(temporary).await.unwrap();
        journal.clear();
        sup.terminate_child("a").await.unwrap();
        sup.terminate_child("t").await.unwrap();
        assert_eq!(journal.all(), texts(["down a", "down t"]));
        assert_eq!(status(&sup, "a").await, ChildStatus::Undefined);
        assert_eq!(ids(&sup).await, texts(["a", "b"]));
        sup.terminate_child("a").await.unwrap();
        for unknown in ["t", "x"] {
            let error = sup.terminate_child(unknown).await.unwrap_err();
            assert!(matches!(error, FindChildError::NotFound(_)));
            assert_eq!(error.to_string(), format!("there is no child `{unknown}`"));
        }
        assert_eq!(journal.all().len(), 2);
    });
}

#[test]
fn s26_s70_restart_child_starts_a_stopped_child_in_its_place_and_does_not_count_as_a_restart() {
    everywhere(|| async {
        let journal = Journal::new();
        let children = plans(["a", "b"], &journal).map(|plan| plan.child());
        let sup =
            Supervisor::one_for_one().max_restarts(1, secs(5)).children(children).start_link().await.unwrap();
        let pid = pid_of(&sup, "a").await;
        let error = sup.restart_child("a").await.unwrap_err();
        assert!(
            matches!(&error, RestartChildError::Refused(ChildRefused::Running { pid: p, .. }) if *p == pid),
            "{error}"
        );
        let error = sup.restart_child("x").await.unwrap_err();
        assert!(matches!(&error, RestartChildError::Refused(ChildRefused::NotFound { .. })), "{error}");
        for _ in 0..3 {
            sup.terminate_child("a").await.unwrap();
            let pid = sup.restart_child("a").await.unwrap();
            assert_eq!(pid, Some(pid_of(&sup, "a").await));
        }
        assert_eq!(ids(&sup).await, texts(["a", "b"]));
        // The one restart that is allowed is still to be had.
        end(pid_of(&sup, "a").await, boom()).await;
        assert_eq!(sup.count_children().await.unwrap().active, 2);
    });
}

#[test]
fn s26_a_restart_child_that_fails_leaves_the_child_as_it_was() {
    everywhere(|| async {
        let journal = Journal::new();
        let plan = Plan::new("a", &journal).script([None, Some(Init::Fail("not yet")), Some(Init::Ignore)]);
        let sup = Supervisor::one_for_one().child(plan.child()).start_link().await.unwrap();
        sup.terminate_child("a").await.unwrap();
        let error = sup.restart_child("a").await.unwrap_err();
        assert!(matches!(&error, RestartChildError::Failed(StartError::Failed(_))));
        assert_eq!(error.to_string(), "`init` failed: not yet");
        assert_eq!(status(&sup, "a").await, ChildStatus::Undefined);
        assert_eq!(sup.restart_child("a").await.unwrap(), None);
        assert!(sup.restart_child("a").await.unwrap().is_some());
    });
}

#[test]
fn s28_delete_child_forgets_a_stopped_child_only() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a", "b"], &journal).await;
        let error = sup.delete_child("a").await.unwrap_err();
        assert!(matches!(&error, DeleteChildError::Refused(ChildRefused::Running { .. })), "{error}");
        sup.terminate_child("a").await.unwrap();
        sup.delete_child("a").await.unwrap();
        let error = sup.delete_child("a").await.unwrap_err();
        assert!(matches!(&error, DeleteChildError::Refused(ChildRefused::NotFound { .. })), "{error}");
        assert_eq!(ids(&sup).await, texts(["b"]));
        assert!(matches!(sup.get_childspec("a").await, Err(FindChildError::NotFound(_))));
        // The id is free again.
        sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        assert_eq!(ids(&sup).await, texts(["b", "a"]));
    });
}

#[test]
fn s32_s34_s35_lists_and_counts_tell_stopped_from_running_and_workers_from_supervisors() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a", "b"], &journal).await;
        sup.start_child(Supervisor::one_for_one().child_spec().id("sub")).await.unwrap();
        sup.terminate_child("a").await.unwrap();
        assert_eq!(status(&sup, "a").await, ChildStatus::Undefined);
        assert_eq!(
            sup.count_children().await.unwrap(),
            ChildCounts { specs: 3, active: 2, supervisors: 1, workers: 2 }
        );
        sup.terminate_child("sub").await.unwrap();
        assert_eq!(
            sup.count_children().await.unwrap(),
            ChildCounts { specs: 3, active: 1, supervisors: 1, workers: 2 }
        );
        assert_eq!(which_children(sup.pid()).await.unwrap(), sup.which_children().await.unwrap());
        assert_eq!(which_children(pid_of(&sup, "b").await).await, None);
    });
}

/// How often a start fails: more often than any story goes on. Who sees this many tries has waited for all of them.
const FAILURES: usize = 100_000;

/// A supervisor whose child is being restarted for ever: every start after the first one fails.
async fn restarting(journal: &Journal, spec: SupervisorSpec) -> SupervisorRef {
    let failures = (0..FAILURES).map(|_| Some(Init::Fail("again")));
    let plan = Plan::new("r", journal).script(std::iter::once(None).chain(failures));
    let sup = spec.max_restarts(1_000_000, secs(5)).child(plan.child()).start_link().await.unwrap();
    end(pid_of(&sup, "r").await, boom()).await;
    journal.wait("try r", 3).await;
    sup
}

#[test]
fn s21_s26_s28_s32_s34_s36_a_supervisor_answers_between_retries_and_shows_the_child_as_restarting() {
    everywhere(|| async {
        for spec in [Supervisor::one_for_one(), Supervisor::one_for_all(), Supervisor::rest_for_one()] {
            let journal = Journal::new();
            let sup = restarting(&journal, spec).await;
            assert_eq!(status(&sup, "r").await, ChildStatus::Restarting);
            assert_eq!(
                sup.count_children().await.unwrap(),
                ChildCounts { specs: 1, active: 0, supervisors: 0, workers: 1 }
            );
            let error = sup.restart_child("r").await.unwrap_err();
            assert!(matches!(&error, RestartChildError::Refused(ChildRefused::Restarting { .. })), "{error}");
            let error = sup.delete_child("r").await.unwrap_err();
            assert!(matches!(&error, DeleteChildError::Refused(ChildRefused::Restarting { .. })), "{error}");
            let error = sup.start_child(Plan::new("r", &journal).child()).await.unwrap_err();
            assert!(
                matches!(&error, StartChildError::Refused(StartRefused::AlreadyPresent { .. })),
                "{error}"
            );
            // Terminating it calls the retries off.
            sup.terminate_child("r").await.unwrap();
            assert_eq!(status(&sup, "r").await, ChildStatus::Undefined);
            let tries = journal.count("try r");
            sup.count_children().await.unwrap();
            assert_eq!(journal.count("try r"), tries);
        }
    });
}

#[test]
fn s63_a_supervisor_that_is_retrying_stops_at_once_when_asked() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = restarting(&journal, Supervisor::one_for_one()).await;
        sup.stop().await.unwrap();
        let tries = journal.count("try r");
        assert!(tries < FAILURES, "it was not asked between two retries");
        assert!(!sup.is_alive());
        process::yield_now().await;
        assert_eq!(journal.count("try r"), tries);
    });
}

#[test]
fn s83_s100_an_invalid_specification_is_refused_by_start_child() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running([], &journal).await;
        let significant = Plan::new("a", &journal).child().significant(true).restart(Restart::Transient);
        let error = sup.start_child(significant).await.unwrap_err();
        let spec_error = SpecError::SignificantButNeverShutdown { id: "a".into() };
        assert!(
            matches!(&error, StartChildError::Refused(StartRefused::Spec(e)) if *e == spec_error),
            "{error}"
        );
        assert_eq!(journal.all(), texts([]));
    });
}

#[test]
fn a_dead_supervisor_answers_no_proc_to_every_request() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a"], &journal).await;
        sup.stop().await.unwrap();
        assert!(matches!(sup.terminate_child("a").await, Err(FindChildError::Call(e)) if e.is_no_proc()));
        assert!(matches!(sup.restart_child("a").await, Err(RestartChildError::Call(e)) if e.is_no_proc()));
        assert!(matches!(sup.delete_child("a").await, Err(DeleteChildError::Call(e)) if e.is_no_proc()));
        assert!(matches!(sup.get_childspec("a").await, Err(FindChildError::Call(e)) if e.is_no_proc()));
        assert!(sup.which_children().await.unwrap_err().is_no_proc());
        assert!(sup.count_children().await.unwrap_err().is_no_proc());
        let child = Plan::new("b", &journal).child();
        assert!(matches!(sup.start_child(child).await, Err(StartChildError::Call(e)) if e.is_no_proc()));
        assert_eq!(which_children(sup.pid()).await, None);
        assert_eq!(is_supervisor(sup.pid()), None);
    });
}

#[test]
fn s91_an_update_replaces_flags_and_specifications_and_keeps_processes() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a", "b", "c"], &journal).await;
        let before = children(&sup).await;
        let [a, c, d] = plans(["a", "c", "d"], &journal);
        let spec =
            Supervisor::one_for_all().children([d.child(), c.child(), a.child().restart(Restart::Transient)]);
        sup.update(spec).await.unwrap();
        assert_eq!(ids(&sup).await, texts(["d", "c", "a", "b"]));
        assert_eq!(status(&sup, "d").await, ChildStatus::Undefined);
        assert_eq!(status(&sup, "a").await, before[0].status);
        assert_eq!(status(&sup, "b").await, before[1].status);
        assert_eq!(sup.get_childspec("a").await.unwrap().restart, Restart::Transient);
        // The new strategy and the new order hold: everything is stopped in reverse and started in order.
        journal.clear();
        end(pid_of(&sup, "c").await, boom()).await;
        journal.wait("start b", 1).await;
        let restart = ["down c", "down b", "down a", "start d", "start c", "start a", "start b"];
        assert_eq!(journal.all(), texts(restart));
    });
}

#[test]
fn s92_an_invalid_update_changes_nothing() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = running(["a", "b"], &journal).await;
        let [a, b] = [pid_of(&sup, "a").await, pid_of(&sup, "b").await];
        let bad_flags = Supervisor::one_for_all().max_restarts(1, millis(1));
        assert!(matches!(sup.update(bad_flags).await, Err(UpdateError::Config(ConfigError::Flags(_)))));
        let twice = [Plan::new("c", &journal).child(), Plan::new("c", &journal).child()];
        let bad_specs = Supervisor::one_for_all().children(twice);
        assert!(matches!(sup.update(bad_specs).await, Err(UpdateError::Config(ConfigError::Spec(_)))));
        assert_eq!(ids(&sup).await, texts(["a", "b"]));
        assert_eq!([pid_of(&sup, "a").await, pid_of(&sup, "b").await], [a, b]);
        // The strategy is the old one as well.
        end(a, boom()).await;
        assert_eq!(pid_of(&sup, "b").await, b);
        assert_ne!(pid_of(&sup, "a").await, a);
    });
}
