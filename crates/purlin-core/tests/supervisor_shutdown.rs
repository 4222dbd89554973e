//! A supervisor stops its children one at a time in reverse start order, each as its specification says, whoever asks it to stop.

mod supervisor_support;

use purlin_core::supervisor::*;
use purlin_core::telemetry::events;
use purlin_core::*;
use supervisor_support::*;

#[test]
fn s71_children_stop_in_reverse_order_each_down_before_the_next_is_asked() {
    everywhere(|| async {
        let journal = Journal::new();
        let [a, b, c] = plans(["a", "b", "c"], &journal).map(|plan| plan.stop(Stop::Take(millis(5))));
        let sup = Supervisor::one_for_one()
            .children([a, b, c].map(|plan| plan.child()))
            .start_link()
            .await
            .unwrap();
        journal.clear();
        sup.stop().await.unwrap();
        assert_eq!(journal.all(), texts(["stop c", "down c", "stop b", "down b", "stop a", "down a"]));
    });
}

#[test]
fn s72_a_child_that_takes_longer_than_its_shutdown_time_is_killed() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let told = watch(events::SUPERVISOR_CHILD_TERMINATE, |event| {
            let (id, reason) =
                (event.metadata.str("child_id").unwrap(), event.metadata.reason("reason").unwrap());
            format!("{id} {reason} {}", event.metadata.bool("killed").unwrap())
        });
        let stubborn = Plan::new("stubborn", &journal).stop(Stop::Never).child().shutdown(millis(20));
        let quick = Plan::new("quick", &journal).stop(Stop::Orderly).child().shutdown(secs(20));
        let at_once = Plan::new("at once", &journal).stop(Stop::Never).child().shutdown(secs(0));
        let sup =
            Supervisor::one_for_one().child(stubborn).child(quick).child(at_once).start_link().await.unwrap();
        let node = Node::current();
        let begin = node.now();
        sup.stop().await.unwrap();
        assert!(node.now() - begin >= millis(20));
        assert_eq!(
            told.all(),
            texts(["at once killed true", "quick shutdown false", "stubborn killed true"])
        );
        assert_eq!(
            reports.all(),
            texts(["shutdown_error at once: killed", "shutdown_error stubborn: killed"])
        );
    });
}

#[test]
fn s73_a_brutal_kill_gives_no_time_to_clean_up_and_is_no_error() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let child = Plan::new("a", &journal).stop(Stop::Never).child().shutdown(Shutdown::BrutalKill);
        let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
        let pid = pid_of(&sup, "a").await;
        let ended = ending(pid).await;
        sup.terminate_child("a").await.unwrap();
        assert_eq!(ended.await, ExitReason::Killed);
        assert_eq!(journal.all(), texts(["start a", "down a"]));
        assert_eq!(reports.all(), texts([]));
    });
}

#[test]
fn s74_infinity_waits_for_as_long_as_it_takes() {
    in_simulation(|| async {
        let journal = Journal::new();
        let child = Plan::new("a", &journal).stop(Stop::Take(secs(500))).child().shutdown(Shutdown::Infinity);
        let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
        let node = Node::current();
        let begin = node.now();
        sup.stop().await.unwrap();
        assert!(node.now() - begin >= secs(500));
        assert_eq!(journal.all(), texts(["start a", "stop a", "down a"]));
    });
}

#[test]
fn s77_a_child_that_ends_otherwise_than_asked_is_reported_and_changes_nothing() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let [a, b] = plans(["a", "b"], &journal);
        let sup = Supervisor::one_for_one()
            .children([a.stop(Stop::Orderly).child(), b.stop(Stop::Panic).child()])
            .start_link()
            .await
            .unwrap();
        let ended = ending(sup.pid()).await;
        sup.stop_with(ExitReason::custom(7), secs(60)).await.unwrap();
        assert_eq!(ended.await, ExitReason::custom(7));
        assert_eq!(journal.all()[2..], texts(["stop b", "down b", "stop a", "down a"]));
        assert_eq!(reports.all().len(), 1);
        assert!(reports.all()[0].starts_with("shutdown_error b: panicked at"), "{:?}", reports.all());
    });
}

#[test]
fn s77_a_child_that_had_crashed_before_it_was_asked_is_reported_with_its_own_reason() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let children_of = plans(["a", "b"], &journal).map(|plan| plan.child());
        let sup = Supervisor::one_for_all().children(children_of).start_link().await.unwrap();
        let pids = [pid_of(&sup, "a").await, pid_of(&sup, "b").await];
        // Both exits are in the mailbox before the first one is handled, whose round has to stop the other child.
        sys::suspend(sup.pid()).await.unwrap();
        end(pids[0], boom()).await;
        end(pids[1], ExitReason::error("bang")).await;
        sys::resume(sup.pid()).await.unwrap();
        assert_eq!(sup.count_children().await.unwrap().active, 2);
        assert_eq!(reports.all(), texts(["child_terminated a: boom", "shutdown_error b: bang"]));
    });
}

#[test]
fn s77_children_that_unlinked_themselves_are_stopped_or_found_missing() {
    everywhere(|| async {
        let reports = reports();
        let loose = |mut mailbox: Mailbox<Pid>| async move {
            let supervisor = mailbox.receive().await;
            process::unlink(supervisor);
            process::send(supervisor, "unlinked: nobody handles this, it is only counted");
            mailbox.receive().await;
        };
        let spec = |id| ChildSpec::process(id, loose);
        let sup =
            Supervisor::one_for_one().child(spec("gone")).child(spec("loose")).start_link().await.unwrap();
        let [gone, loose] = [pid_of(&sup, "gone").await, pid_of(&sup, "loose").await];
        let lost = ending(gone).await;
        for pid in [gone, gone, loose] {
            process::send(pid, sup.pid());
        }
        lost.await;
        while Node::current().stats().unhandled < 2 {
            process::yield_now().await;
        }
        assert_eq!(status(&sup, "gone").await, ChildStatus::Running(gone), "nobody has told the supervisor");
        assert_eq!(sup.count_children().await.unwrap().active, 1);
        let stopped = ending(loose).await;
        sup.stop().await.unwrap();
        assert_eq!(stopped.await, ExitReason::Shutdown);
        assert_eq!(reports.all(), texts(["shutdown_error gone: no such process"]));
    });
}

#[test]
fn s80_the_parents_end_stops_the_supervisor_with_that_reason_after_its_children() {
    everywhere(|| async {
        for (reason, expected) in [
            (boom(), boom()),
            (ExitReason::Kill, ExitReason::Killed),
            (ExitReason::Normal, ExitReason::Normal),
        ] {
            let journal = Journal::new();
            let children_of = plans(["a", "b"], &journal).map(|plan| plan.stop(Stop::Orderly).child());
            let spec = Supervisor::one_for_one().name("sup").children(children_of);
            let parent = process::spawn(async move |mut mailbox: Mailbox<ExitReason>| {
                spec.start_link().await.unwrap();
                let reason = mailbox.receive().await;
                process::exit(process::self_pid().unwrap(), reason);
                mailbox.receive().await;
            });
            journal.wait("start b", 1).await;
            let sup = Supervisor::named("sup").whereis().unwrap();
            sup.count_children().await.unwrap();
            let ended = ending(sup.pid()).await;
            parent.send(reason);
            assert_eq!(ended.await, expected);
            assert_eq!(journal.all()[2..], texts(["stop b", "down b", "stop a", "down a"]));
        }
    });
}

#[test]
fn s81_killing_a_supervisor_kills_its_children_unless_they_trap_exits() {
    everywhere(|| async {
        let journal = Journal::new();
        let log = journal.clone();
        let trapping = ChildSpec::process("trapping", move |mut mailbox: Mailbox<Exit>| {
            let log = log.clone();
            async move {
                mailbox.trap_exits(true);
                log.log("ready");
                log.log(format!("told: {}", mailbox.receive().await.reason));
            }
        });
        let child = Plan::new("a", &journal).child();
        let sup = Supervisor::one_for_one().child(trapping).child(child).start_link().await.unwrap();
        journal.wait("ready", 1).await;
        let [trapping, plain] = [pid_of(&sup, "trapping").await, pid_of(&sup, "a").await];
        let (first, second) = (ending(trapping).await, ending(plain).await);
        process::exit(sup.pid(), ExitReason::Kill);
        assert_eq!((first.await, second.await), (ExitReason::Normal, ExitReason::Killed));
        assert_eq!(journal.count("told: killed"), 1);
    });
}

#[test]
fn s82_stop_returns_when_every_descendant_is_down() {
    everywhere(|| async {
        let journal = Journal::new();
        let slow = |id| Plan::new(id, &journal).stop(Stop::Take(millis(3))).child();
        let inner = Supervisor::one_for_one().child(slow("x")).child(slow("y"));
        let root = Supervisor::one_for_one()
            .child(slow("a"))
            .child(inner.child_spec().id("inner"))
            .child(DynamicSupervisor::new().name("dynamic"))
            .start_link()
            .await
            .unwrap();
        DynamicSupervisor::named("dynamic").start_child(slow("z")).await.unwrap();
        journal.clear();
        root.stop().await.unwrap();
        let expected = ["stop z", "down z", "stop y", "down y", "stop x", "down x", "stop a", "down a"];
        assert_eq!(journal.all(), texts(expected));
        assert_eq!(process::processes(), []);
    });
}

#[test]
fn what_is_outside_every_process_stands_for_the_parent_of_a_supervisor_that_has_none() {
    everywhere(|| async {
        let journal = Journal::new();
        let child = || Plan::new("a", &journal).stop(Stop::Orderly).child();
        let root = Supervisor::one_for_one().child(child()).start_link().await.unwrap();
        let ended = ending(root.pid()).await;
        process::exit(root.pid(), boom());
        assert_eq!(ended.await, boom());
        assert_eq!(journal.all(), texts(["start a", "stop a", "down a"]));
        // One that has a parent listens to that one only.
        let root = Supervisor::one_for_one()
            .child(Supervisor::one_for_one().child(child()))
            .start_link()
            .await
            .unwrap();
        let inner = pid_of(&root, "Supervisor").await;
        process::exit(inner, boom());
        assert_eq!(which_children(inner).await.unwrap().len(), 1);
        assert_eq!(journal.count("stop a"), 1);
    });
}

#[test]
fn a_node_that_shuts_down_stops_its_supervisors_in_an_orderly_way() {
    let journal = Journal::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let node = Node::builder().simulated(1).start();
        let plan = Plan::new("a", &journal).stop(Stop::Take(secs(3)));
        let dynamic = Plan::new("d", &journal).stop(Stop::Take(secs(1)));
        node.scope(async {
            Supervisor::one_for_one().child(plan.child()).start_link().await.unwrap();
            let children = DynamicSupervisor::new().start_link().await.unwrap();
            children.start_child(dynamic.child()).await.unwrap();
        })
        .await;
        node.shutdown().await;
        assert!(node.now() < secs(6), "nothing had to be killed");
    });
    assert_eq!(journal.all(), texts(["start a", "start d", "stop d", "down d", "stop a", "down a"]));
}

#[test]
fn requests_that_wait_while_a_supervisor_stops_are_told_that_it_has_ended() {
    in_simulation(|| async {
        let journal = Journal::new();
        let child = Plan::new("a", &journal).stop(Stop::Take(secs(1))).child();
        let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
        let (stopping, asking) = (sup.clone(), sup.clone());
        let (_, counted) = tokio::join!(async move { stopping.stop().await.unwrap() }, async move {
            journal.wait("stop a", 1).await;
            asking.count_children().await
        });
        let error = counted.unwrap_err();
        assert_eq!(error.exit_reason(), Some(&ExitReason::Normal), "{error}");
    });
}
