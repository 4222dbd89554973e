//! Significant children stop their supervisor when they end by themselves, and only then.

mod supervisor_support;

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

/// Children `a` and `b` are significant, of this restart type; `c` is an ordinary permanent one.
async fn significant(auto: AutoShutdown, restart: Restart, journal: &Journal) -> SupervisorRef {
    let [a, b, c] = plans(["a", "b", "c"], journal);
    Supervisor::one_for_one()
        .auto_shutdown(auto)
        .child(a.child().significant(true).restart(restart))
        .child(b.child().significant(true).restart(restart))
        .child(c.child())
        .start_link()
        .await
        .unwrap()
}

#[test]
fn s83_significant_children_need_an_auto_shutdown_and_must_not_be_permanent() {
    everywhere(|| async {
        let journal = Journal::new();
        let child = |restart| Plan::new("a", &journal).child().significant(true).restart(restart);
        let error =
            Supervisor::one_for_one().child(child(Restart::Transient)).start_link().await.unwrap_err();
        let expected = SpecError::SignificantButNeverShutdown { id: "a".into() };
        assert_eq!(ConfigError::in_error(&error), Some(&ConfigError::Spec(expected)));
        let spec = Supervisor::one_for_one().auto_shutdown(AutoShutdown::AnySignificant);
        let error = spec.child(child(Restart::Permanent)).start_link().await.unwrap_err();
        let expected = SpecError::SignificantButPermanent { id: "a".into() };
        assert_eq!(ConfigError::in_error(&error), Some(&ConfigError::Spec(expected)));
        assert_eq!(journal.all(), texts([]));
    });
}

#[test]
fn s84_any_significant_stops_the_supervisor_at_the_first_significant_end_without_restart() {
    everywhere(|| async {
        for (restart, reason) in [
            (Restart::Temporary, boom()),
            (Restart::Temporary, ExitReason::Normal),
            (Restart::Transient, ExitReason::Normal),
            (Restart::Transient, ExitReason::shutdown_with("done")),
        ] {
            let journal = Journal::new();
            let sup = significant(AutoShutdown::AnySignificant, restart, &journal).await;
            let ended = ending(sup.pid()).await;
            journal.clear();
            end(pid_of(&sup, "a").await, reason).await;
            assert_eq!(ended.await, ExitReason::Shutdown);
            assert_eq!(journal.all(), texts(["down a", "down c", "down b"]));
        }
    });
}

#[test]
fn s84_a_crash_that_is_restarted_and_the_end_of_an_ordinary_child_do_not_stop_the_supervisor() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = significant(AutoShutdown::AnySignificant, Restart::Transient, &journal).await;
        end(pid_of(&sup, "a").await, boom()).await;
        end(pid_of(&sup, "c").await, ExitReason::Normal).await;
        assert_eq!(sup.count_children().await.unwrap().active, 3);
        // Nor does the end of a significant child that was asked for.
        sup.terminate_child("a").await.unwrap();
        assert_eq!(sup.count_children().await.unwrap().active, 2);
        sup.restart_child("a").await.unwrap();
        assert_eq!(sup.count_children().await.unwrap().active, 3);
    });
}

#[test]
fn s85_all_significant_stops_the_supervisor_when_the_last_significant_child_has_ended() {
    everywhere(|| async {
        for restart in [Restart::Transient, Restart::Temporary] {
            let journal = Journal::new();
            let sup = significant(AutoShutdown::AllSignificant, restart, &journal).await;
            end(pid_of(&sup, "b").await, ExitReason::Normal).await;
            assert_eq!(sup.count_children().await.unwrap().active, 2);
            let ended = ending(sup.pid()).await;
            end(pid_of(&sup, "a").await, ExitReason::Normal).await;
            assert_eq!(ended.await, ExitReason::Shutdown);
            assert_eq!(journal.all()[3..], texts(["down b", "down a", "down c"]));
        }
    });
}

#[test]
fn s89_the_parent_of_a_supervisor_that_shut_itself_down_sees_a_clean_end() {
    everywhere(|| async {
        for (restart, escalates) in [(Restart::Transient, true), (Restart::Permanent, false)] {
            let journal = Journal::new();
            let leaf = Plan::new("leaf", &journal).child().significant(true).restart(Restart::Temporary);
            let inner = Supervisor::one_for_one().auto_shutdown(AutoShutdown::AnySignificant).child(leaf);
            let inner = inner.child_spec().id("inner").restart(restart).significant(escalates);
            let root = Supervisor::one_for_one()
                .auto_shutdown(AutoShutdown::AnySignificant)
                .child(Plan::new("a", &journal).child())
                .child(inner)
                .start_link()
                .await
                .unwrap();
            let branch = Ref::<Supervisor>::from_pid(pid_of(&root, "inner").await).unwrap();
            let ended = ending(root.pid()).await;
            let branch_ended = ending(branch.pid()).await;
            end(pid_of(&branch, "leaf").await, ExitReason::Normal).await;
            assert_eq!(branch_ended.await, ExitReason::Shutdown);
            if escalates {
                assert_eq!(ended.await, ExitReason::Shutdown);
                assert_eq!(journal.all(), texts(["start a", "start leaf", "down leaf", "down a"]));
            } else {
                // A permanent supervisor is simply started again.
                assert_ne!(pid_of(&root, "inner").await, branch.pid());
                assert_eq!(journal.all(), texts(["start a", "start leaf", "down leaf", "start leaf"]));
            }
        }
    });
}

#[test]
fn s92_an_updated_auto_shutdown_applies_to_later_ends() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = significant(AutoShutdown::AllSignificant, Restart::Temporary, &journal).await;
        end(pid_of(&sup, "a").await, ExitReason::Normal).await;
        let b = Plan::new("b", &journal).child().significant(true).restart(Restart::Temporary);
        let spec = Supervisor::one_for_one().auto_shutdown(AutoShutdown::AnySignificant).child(b);
        sup.update(spec).await.unwrap();
        let extra = Plan::new("e", &journal).child().significant(true).restart(Restart::Temporary);
        sup.start_child(extra).await.unwrap();
        let ended = ending(sup.pid()).await;
        end(pid_of(&sup, "b").await, ExitReason::Normal).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}
