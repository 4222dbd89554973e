//! Proves what supervisors tell about their children, to the second, and the small print of starting, describing and updating them.

mod supervisor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use purlin_core::supervisor::*;
use purlin_core::telemetry::events;
use purlin_core::*;
use supervisor_support::*;

/// A child whose starts take as many seconds, the last number for all further ones.
fn slow(id: &'static str, seconds: &'static [u64]) -> ChildSpec {
    let starts = Arc::new(AtomicUsize::new(0));
    ChildSpec::custom(id, move || {
        let start = starts.fetch_add(1, Ordering::SeqCst).min(seconds.len() - 1);
        async move {
            process::sleep(secs(seconds[start])).await;
            Ok(Worker::start_link(Plan::new(id, &Journal::new())).await?.pid())
        }
    })
}

/// Starts and restarts, with their times in seconds.
fn starts() -> Journal {
    let journal = watch(events::SUPERVISOR_CHILD_START, |event| {
        let took = event.measurements.duration("duration").unwrap().as_secs();
        format!("start {} in {took} s", event.metadata.str("child_id").unwrap())
    });
    let log = journal.clone();
    let restart = move |event: &telemetry::Event<'_>| {
        let seconds = |key| event.measurements.duration(key).unwrap().as_secs();
        let (id, reason) =
            (event.metadata.str("child_id").unwrap(), event.metadata.reason("reason").unwrap());
        let (took, down) = (seconds("duration"), seconds("downtime"));
        log.log(format!("restart {id} in {took} s, down {down} s: {reason}"));
    };
    Node::current().telemetry().attach("restarts", events::SUPERVISOR_CHILD_RESTART, restart).unwrap();
    journal
}

/// Ends of children that were stopped, with their times in seconds.
fn stops() -> Journal {
    watch(events::SUPERVISOR_CHILD_TERMINATE, |event| {
        let took = event.measurements.duration("duration").unwrap().as_secs();
        let (reason, killed) =
            (event.metadata.reason("reason").unwrap(), event.metadata.bool("killed").unwrap());
        format!("{reason} after {took} s{}", if killed { ", in vain" } else { "" })
    })
}

/// So that a time that is taken from the node's clock as it is cannot pass for a difference.
async fn later() {
    process::sleep(secs(100)).await;
}

// ---- what is told

#[test]
fn a_start_and_a_restart_are_told_with_the_time_they_took() {
    in_simulation(|| async {
        later().await;
        let told = starts();
        let sup = Supervisor::one_for_one().child(slow("a", &[3, 5])).start_link().await.unwrap();
        end(pid_of(&sup, "a").await, boom()).await;
        pid_of(&sup, "a").await;
        assert_eq!(told.all(), texts(["start a in 3 s", "restart a in 5 s, down 5 s: boom"]));
        told.clear();
        let sup = DynamicSupervisor::new().start_link().await.unwrap();
        let child = sup.start_child_spec(slow("d", &[2, 4])).await.unwrap();
        end(child, boom()).await;
        sup.count_children().await.unwrap();
        assert_eq!(told.all(), texts(["start process in 2 s", "restart process in 4 s, down 4 s: boom"]));
    });
}

#[test]
fn the_end_of_a_stopped_child_is_told_with_its_reason_and_the_time_it_took() {
    in_simulation(|| async {
        later().await;
        let told = stops();
        for (stop, shutdown, expected) in [
            (Stop::Plainly, Shutdown::Timeout(secs(10)), "shutdown after 0 s"),
            (Stop::Take(secs(5)), Shutdown::Timeout(secs(10)), "shutdown after 5 s"),
            (Stop::Take(secs(20)), Shutdown::Infinity, "shutdown after 20 s"),
            (Stop::Never, Shutdown::Timeout(secs(2)), "killed after 2 s, in vain"),
            (Stop::Never, Shutdown::BrutalKill, "killed after 0 s"),
        ] {
            let journal = Journal::new();
            let child = || Plan::new("a", &journal).stop(stop).child().shutdown(shutdown);
            let sup = Supervisor::one_for_one().child(child()).start_link().await.unwrap();
            sup.stop().await.unwrap();
            assert_eq!((told.all(), journal.count("down a")), (texts([expected]), 1));
            told.clear();
            let sup = DynamicSupervisor::new().start_link().await.unwrap();
            sup.start_child(child()).await.unwrap();
            sup.stop().await.unwrap();
            assert_eq!((told.all(), journal.count("down a")), (texts([expected]), 2));
            told.clear();
            let sup = DynamicSupervisor::new().start_link().await.unwrap();
            let started = sup.start_child(child()).await.unwrap();
            sup.terminate_child(started.pid()).await.unwrap();
            assert_eq!((told.all(), journal.count("down a")), (texts([expected]), 3));
            told.clear();
        }
    });
}

#[test]
fn a_child_that_had_ended_before_it_was_to_be_stopped_was_not_killed() {
    everywhere(|| async {
        let told = stops();
        let journal = Journal::new();
        let [a, b] = plans(["a", "b"], &journal);
        let fixed = Supervisor::one_for_one().max_restarts(0, secs(5));
        let fixed = fixed.children([a.child(), b.child()]).start_link().await.unwrap();
        let dynamic = DynamicSupervisor::new().max_restarts(0, secs(5)).start_link().await.unwrap();
        let of_dynamic = [
            dynamic.start_child(a.child()).await.unwrap().pid(),
            dynamic.start_child(b.child()).await.unwrap().pid(),
        ];
        let of_fixed = [pid_of(&fixed, "a").await, pid_of(&fixed, "b").await];
        for (sup, [first, second]) in [(fixed.pid(), of_fixed), (dynamic.pid(), of_dynamic)] {
            let ended = ending(sup).await;
            // The first exit makes it give up; the second child has ended by then, and its exit is unread.
            sys::suspend(sup).await.unwrap();
            end(first, boom()).await;
            end(second, ExitReason::error("bang")).await;
            sys::resume(sup).await.unwrap();
            assert_eq!(ended.await, ExitReason::Shutdown);
            assert_eq!(told.all(), texts(["bang after 0 s"]));
            told.clear();
        }
    });
}

// ---- children that are down

/// A child that starts unless it is broken. A start that fails takes a moment, in which requests can arrive: they are served before the
/// next try.
fn breaking(id: &'static str, broken: &Arc<AtomicBool>) -> ChildSpec {
    let broken = broken.clone();
    ChildSpec::custom(id, move || {
        let broken = broken.load(Ordering::SeqCst);
        async move {
            if broken {
                process::sleep(millis(1)).await;
                return Err(StartError::Failed(ExitReason::error("broken")));
            }
            Ok(Worker::start_link(Plan::new(id, &Journal::new())).await?.pid())
        }
    })
}

/// A supervisor of `first` and `second`. The first one has crashed and fails to start again and again, until the switch is put back; the
/// second one is down as well.
async fn failing(spec: SupervisorSpec) -> (SupervisorRef, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let second = Plan::new("second", &Journal::new()).child().erase();
    let sup = spec.max_restarts(1_000_000, secs(5)).children([breaking("first", &broken), second]);
    let sup = sup.start_link().await.unwrap();
    let first = pid_of(&sup, "first").await;
    broken.store(true, Ordering::SeqCst);
    end(first, boom()).await;
    (sup, broken)
}

#[test]
fn a_child_that_restart_child_brings_back_is_started_and_not_restarted() {
    in_simulation(|| async {
        let told = starts();
        let (sup, _) = failing(Supervisor::rest_for_one()).await;
        told.clear();
        sup.restart_child("second").await.unwrap();
        assert_eq!(told.all(), texts(["start second in 0 s"]));
    });
}

#[test]
fn a_new_child_with_the_id_of_a_deleted_one_has_no_history() {
    in_simulation(|| async {
        let told = starts();
        let (sup, _) = failing(Supervisor::rest_for_one()).await;
        told.clear();
        sup.delete_child("second").await.unwrap();
        sup.start_child(Plan::new("second", &Journal::new()).child()).await.unwrap();
        assert_eq!(told.all(), texts(["start second in 0 s"]));
    });
}

#[test]
fn a_child_that_was_terminated_while_it_was_down_has_no_history() {
    in_simulation(|| async {
        let told = starts();
        let (sup, broken) = failing(Supervisor::one_for_all()).await;
        sup.terminate_child("first").await.unwrap();
        broken.store(false, Ordering::SeqCst);
        sup.restart_child("second").await.unwrap();
        later().await;
        told.clear();
        // It is started with the other one, because of that one's end.
        end(pid_of(&sup, "second").await, ExitReason::error("bang")).await;
        pid_of(&sup, "second").await;
        let restarts = ["restart first in 0 s, down 0 s: bang", "restart second in 0 s, down 0 s: bang"];
        assert_eq!(told.all(), texts(restarts));
    });
}

// ---- descriptions

/// The links of a process.
fn links(pid: Pid) -> Vec<Pid> {
    process::process_info(pid).unwrap().links
}

struct Empty;

impl Supervise for Empty {
    type Args = ();
    fn init(_: ()) -> Result<SupervisorSpec, InitError> {
        Ok(Supervisor::one_for_one())
    }
}

#[test]
fn start_link_links_the_calling_process_and_start_does_not() {
    everywhere(|| async {
        let starter = process::spawn(async |mut mailbox: Mailbox<Exit>| {
            mailbox.trap_exits(true);
            let me = vec![mailbox.pid()];
            assert_eq!(links(Supervisor::one_for_one().start_link().await.unwrap().pid()), me);
            assert_eq!(links(Empty::start_link(()).await.unwrap().pid()), me);
            assert_eq!(links(DynamicSupervisor::new().start_link().await.unwrap().pid()), me);
            for alone in [Supervisor::one_for_one().start().await, Empty::start(()).await] {
                let alone = alone.unwrap();
                assert_eq!(links(alone.pid()), []);
                alone.stop().await.unwrap();
            }
            let alone = DynamicSupervisor::new().start().await.unwrap();
            assert_eq!(links(alone.pid()), []);
            alone.stop().await.unwrap();
        });
        assert_eq!(starter.wait().await, ExitReason::Normal);
    });
}

#[test]
fn a_supervisor_of_a_module_is_labelled_with_its_type() {
    everywhere(|| async {
        let label = |pid| process::process_info(pid).unwrap().label;
        assert_eq!(label(Empty::start_link(()).await.unwrap().pid()).as_deref(), Some("Empty"));
        assert_eq!(label(Supervisor::one_for_one().start_link().await.unwrap().pid()), None);
    });
}

#[test]
fn a_supervisor_s_status_names_its_strategy_and_its_children() {
    everywhere(|| async {
        let journal = Journal::new();
        let status = async |pid| sys::get_status(pid).await.unwrap().state;
        let children = plans(["a", "b"], &journal).map(|plan| plan.child());
        let sup = Supervisor::one_for_one().children(children).start_link().await.unwrap();
        sup.terminate_child("b").await.unwrap();
        let a = pid_of(&sup, "a").await;
        assert_eq!(status(sup.pid()).await, format!("one_for_one supervisor; a {a}; b undefined"));
        sup.update(Supervisor::rest_for_one()).await.unwrap();
        assert_eq!(status(sup.pid()).await, format!("rest_for_one supervisor; a {a}; b undefined"));
        let sup = DynamicSupervisor::new().max_restarts(1_000_000, secs(5)).start_link().await.unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let restarting = sup.start_child_spec(breaking("r", &broken)).await.unwrap();
        sup.start_child(Plan::new("d", &journal).child()).await.unwrap();
        broken.store(true, Ordering::SeqCst);
        end(restarting, boom()).await;
        assert_eq!(status(sup.pid()).await, "dynamic supervisor; 2 children, 1 of them being restarted");
        sup.terminate_child(restarting).await.unwrap();
    });
}

#[test]
fn what_is_set_on_a_child_is_in_its_specification() {
    let journal = Journal::new();
    let child = Plan::new("a", &journal).child().child_type(ChildType::Supervisor).significant(true);
    let fields = child.fields();
    assert_eq!((fields.child_type, fields.how_to_stop()), (ChildType::Supervisor, Shutdown::Infinity));
    assert!(fields.significant);
    let spec = child
        .erase()
        .id("b")
        .restart(Restart::Temporary)
        .shutdown(millis(7))
        .significant(false)
        .child_type(ChildType::Worker);
    let fields = spec.fields();
    assert_eq!((fields.id.as_str(), fields.restart), ("b", Restart::Temporary));
    assert_eq!((fields.shutdown, fields.significant), (Some(Shutdown::Timeout(millis(7))), false));
    assert_eq!(fields.child_type, ChildType::Worker);
    let spec = Supervisor::one_for_one().strategy(Strategy::RestForOne);
    assert_eq!(spec.flags().strategy, Strategy::RestForOne);
}

#[test]
fn a_child_s_mailbox_has_the_bound_that_was_set() {
    everywhere(|| async {
        let journal = Journal::new();
        let bound = MailboxBound::new(2, Overflow::Reject);
        let child = Plan::new("a", &journal).child().mailbox(bound);
        let sup = Supervisor::one_for_one().child(child).start_link().await.unwrap();
        let worker = Ref::<Worker>::from_pid(pid_of(&sup, "a").await).unwrap();
        sys::suspend(worker.pid()).await.unwrap();
        let fit = (0..5).take_while(|_| worker.try_cast(End(ExitReason::Normal)).is_ok()).count();
        assert_eq!(fit, 2);
        sys::resume(worker.pid()).await.unwrap();
    });
}

#[test]
fn the_flags_of_a_dynamic_supervisor_can_be_given_as_one() {
    everywhere(|| async {
        let journal = Journal::new();
        let flags = DynamicFlags { max_children: Some(1), ..DynamicFlags::default() };
        let sup = DynamicSupervisor::new().flags(flags).start_link().await.unwrap();
        sup.start_child(Plan::new("a", &journal).child()).await.unwrap();
        let error = sup.start_child(Plan::new("b", &journal).child()).await.unwrap_err();
        assert!(
            matches!(&error, StartChildError::Refused(StartRefused::MaxChildren { limit: 1 })),
            "{error}"
        );
    });
}
