//! Proves the cases of static supervisors that OTP's documentation and source imply and the numbered statements do not spell out: children
//! that end during shutdowns and restarts, hanging restarts, retries and administration, who takes a name meanwhile.

mod supervisor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

/// Shut until it is opened, then open for ever.
#[derive(Clone, Default)]
struct Gate(Arc<(AtomicBool, tokio::sync::Notify)>);

impl Gate {
    fn open(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    async fn pass(&self) {
        loop {
            let mut changed = std::pin::pin!(self.0.1.notified());
            changed.as_mut().enable();
            if self.0.0.load(Ordering::SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

/// A server whose second start waits for a gate, after it has logged `wait <id>`.
struct Slow(Journal, &'static str);

#[derive(Clone)]
struct SlowArgs {
    id: &'static str,
    journal: Journal,
    gate: Gate,
    starts: Arc<AtomicUsize>,
}

impl GenServer for Slow {
    type Args = SlowArgs;

    async fn init(args: SlowArgs, _: &mut Cx<Self>) -> Result<Self, InitError> {
        if args.starts.fetch_add(1, Ordering::SeqCst) == 1 {
            args.journal.log(format!("wait {}", args.id));
            args.gate.pass().await;
        }
        args.journal.log(format!("start {}", args.id));
        Ok(Slow(args.journal, args.id))
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.log(format!("down {}", self.1));
    }
}

fn slow(id: &'static str, journal: &Journal, gate: &Gate) -> Child<Slow> {
    let (journal, gate) = (journal.clone(), gate.clone());
    Slow::child_spec(SlowArgs { id, journal, gate, starts: Arc::default() }).id(id)
}

fn kill(pid: Pid) {
    process::exit(pid, ExitReason::Kill);
}

#[test]
fn s71_a_child_that_crashes_while_the_supervisor_stops_its_siblings_is_not_restarted_and_reported_once() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let [a, b] = plans(["a", "b"], &journal);
        let b = b.stop(Stop::Take(millis(5)));
        let sup = Supervisor::one_for_one().children([a.child(), b.child()]).start_link().await.unwrap();
        let victim = pid_of(&sup, "a").await;
        let ended = ending(sup.pid()).await;
        let stopping = tokio::spawn(Node::current().scope({
            let sup = sup.clone();
            async move { sup.stop().await }
        }));
        journal.wait("stop b", 1).await;
        end(victim, boom()).await;
        assert_eq!(stopping.await.unwrap(), Ok(()));
        assert_eq!(ended.await, ExitReason::Normal);
        assert_eq!(journal.count("start a"), 1);
        assert_eq!(reports.all(), texts(["shutdown_error a: boom"]));
    });
}

#[test]
fn s60_s68_a_child_that_crashes_while_the_supervisor_gives_up_changes_neither_order_nor_reason() {
    everywhere(|| async {
        let journal = Journal::new();
        let [a, b, c] = plans(["a", "b", "c"], &journal);
        let c = c.stop(Stop::Take(millis(5)));
        let sup = Supervisor::one_for_one()
            .max_restarts(0, secs(5))
            .children([a.child(), b.child(), c.child()])
            .start_link()
            .await
            .unwrap();
        let ended = ending(sup.pid()).await;
        let [first, second] = [pid_of(&sup, "a").await, pid_of(&sup, "b").await];
        end(second, boom()).await;
        journal.wait("stop c", 1).await;
        end(first, boom()).await;
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(
            journal.all()[3..],
            texts(["down b", "stop c", "down a", "down c"]),
            "c is asked first, and nobody starts again"
        );
    });
}

#[test]
fn s63_a_supervisor_whose_restart_hangs_cannot_answer_and_takes_the_half_started_child_along_when_killed() {
    everywhere(|| async {
        let journal = Journal::new();
        let gate = Gate::default();
        let a = Plan::new("a", &journal).child();
        let sup =
            Supervisor::one_for_one().child(a).child(slow("b", &journal, &gate)).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        kill(pid_of(&sup, "b").await);
        journal.wait("wait b", 1).await;
        // As in OTP, a supervisor that starts a child does nothing else meanwhile.
        assert_eq!(sup.stop_with(ExitReason::Shutdown, millis(5)).await, Err(StopError::Timeout));
        kill(sup.pid());
        assert_eq!(ended.await, ExitReason::Killed);
        journal.wait("down a", 1).await;
        while !process::processes().is_empty() {
            process::yield_now().await;
        }
        gate.open();
        assert_eq!(journal.count("start b"), 1);
    });
}

#[test]
fn s63_a_stop_that_waits_for_a_hanging_restart_is_done_as_soon_as_the_child_is_up() {
    everywhere(|| async {
        let journal = Journal::new();
        let gate = Gate::default();
        let a = Plan::new("a", &journal).child();
        let sup =
            Supervisor::one_for_one().child(a).child(slow("b", &journal, &gate)).start_link().await.unwrap();
        kill(pid_of(&sup, "b").await);
        journal.wait("wait b", 1).await;
        let waiting = tokio::spawn(Node::current().scope({
            let sup = sup.clone();
            async move { sup.stop().await }
        }));
        tokio::task::yield_now().await;
        gate.open();
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(journal.all()[2..], texts(["down b", "wait b", "start b", "down b", "down a"]));
    });
}

#[test]
fn s59_a_restart_that_takes_longer_than_its_start_limit_is_killed_and_tried_again_and_both_count() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let gate = Gate::default();
        let child = slow("b", &journal, &gate).start_timeout(millis(5));
        let sup =
            Supervisor::one_for_one().max_restarts(2, secs(60)).child(child).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        kill(pid_of(&sup, "b").await);
        journal.wait("start b", 2).await;
        assert_eq!(journal.all(), texts(["start b", "down b", "wait b", "start b"]));
        assert_eq!(reports.all(), texts(["child_terminated b: killed", "start_error b: timeout"]));
        // Two of two are used up.
        kill(pid_of(&sup, "b").await);
        assert_eq!(ended.await, ExitReason::Shutdown);
    });
}

/// A sibling that was started already crashes while a later child of the same round is being started.
async fn crash_within_a_round(spec: SupervisorSpec, max_restarts: u32) -> (Journal, Option<ExitReason>) {
    let journal = Journal::new();
    let gate = Gate::default();
    let a = Plan::new("a", &journal);
    let sup = spec
        .max_restarts(max_restarts, secs(60))
        .child(a.child())
        .child(slow("b", &journal, &gate))
        .start_link()
        .await
        .unwrap();
    let ended = ending(sup.pid()).await;
    kill(pid_of(&sup, "a").await);
    journal.wait("wait b", 1).await;
    end(worker(), boom()).await;
    gate.open();
    if max_restarts == 1 {
        return (journal, Some(ended.await));
    }
    journal.wait("start a", 3).await;
    journal.wait("start b", 3).await;
    assert_eq!(sup.count_children().await.unwrap().active, 2);
    sup.stop().await.unwrap();
    (journal, None)
}

/// The only [`Worker`] there is; its supervisor is busy and cannot be asked.
fn worker() -> Pid {
    let is_worker =
        |pid: &Pid| process::process_info(*pid).is_some_and(|info| info.initial_call.contains("Worker"));
    process::processes().into_iter().find(is_worker).unwrap()
}

#[test]
fn s49_s50_a_child_that_ends_during_the_restart_of_the_others_starts_another_round_afterwards_which_counts() {
    everywhere(|| async {
        for spec in [Supervisor::one_for_all, Supervisor::rest_for_one] {
            let (journal, _) = crash_within_a_round(spec(), 2).await;
            assert_eq!(
                journal.all(),
                texts([
                    "start a", "start b", "down a", "down b", // the first end
                    "start a", "wait b", "down a",
                    "start b", // the second one, in the middle of the round
                    "down b", "start a", "start b", // the second round
                    "down b", "down a",
                ])
            );
            let (journal, ended) = crash_within_a_round(spec(), 1).await;
            assert_eq!(ended, Some(ExitReason::Shutdown));
            assert_eq!(journal.count("start a"), 2);
        }
    });
}

#[test]
fn s48_s64_children_that_crash_at_the_same_time_are_restarted_once_each_and_each_counts() {
    everywhere(|| async {
        for limit in [3, 2] {
            let journal = Journal::new();
            let sup = Supervisor::one_for_one()
                .max_restarts(limit, secs(60))
                .children(plans(["a", "b", "c"], &journal).map(|plan| plan.child()))
                .start_link()
                .await
                .unwrap();
            let ended = ending(sup.pid()).await;
            let mut pids = Vec::new();
            for id in ["a", "b", "c"] {
                pids.push(pid_of(&sup, id).await);
            }
            pids.into_iter().for_each(kill);
            if limit == 3 {
                for id in ["a", "b", "c"] {
                    journal.wait(&format!("start {id}"), 2).await;
                }
                assert_eq!(sup.count_children().await.unwrap().active, 3);
                sup.stop().await.unwrap();
                assert_eq!(ended.await, ExitReason::Normal);
            } else {
                assert_eq!(ended.await, ExitReason::Shutdown);
            }
            assert!(
                journal.all().iter().filter(|entry| entry.starts_with("start")).count() <= 3 + limit as usize
            );
        }
    });
}

#[test]
fn s49_children_that_crash_at_the_same_time_under_one_for_all_make_one_restart() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup = Supervisor::one_for_all()
            .max_restarts(1, secs(60))
            .children(plans(["a", "b", "c"], &journal).map(|plan| plan.child()))
            .start_link()
            .await
            .unwrap();
        let mut pids = Vec::new();
        for id in ["a", "b", "c"] {
            pids.push(pid_of(&sup, id).await);
        }
        pids.into_iter().for_each(kill);
        for id in ["a", "b", "c"] {
            journal.wait(&format!("start {id}"), 2).await;
        }
        // The exits of the two others, which came while they were stopped or before, are those of children that are gone.
        assert_eq!(sup.count_children().await.unwrap().active, 3);
        assert_eq!(journal.all().iter().filter(|entry| entry.starts_with("start")).count(), 6);
        sup.stop().await.unwrap();
    });
}

#[test]
fn s26_s36_a_retry_that_is_on_its_way_does_not_start_a_child_that_was_restarted_by_hand() {
    everywhere(|| async {
        let journal = Journal::new();
        let failing = std::iter::repeat_n(Some(Init::Fail("no")), 3);
        let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(failing));
        let sup = Supervisor::one_for_one().max_restarts(1_000, secs(60)).child(plan.child()).start_link();
        let sup = sup.await.unwrap();
        kill(pid_of(&sup, "r").await);
        journal.wait("try r", 1).await;
        // Whatever has become of the retries when these are served: at the end there is one process.
        sup.terminate_child("r").await.unwrap();
        while let Err(error) = sup.restart_child("r").await {
            assert!(
                matches!(
                    error,
                    RestartChildError::Failed(_)
                        | RestartChildError::Refused(ChildRefused::Restarting { .. })
                ),
                "{error}"
            );
        }
        let ups = journal.count("start r") - journal.count("down r");
        assert_eq!(ups, 1);
        assert!(matches!(status(&sup, "r").await, ChildStatus::Running(_)));
        for _ in 0..5 {
            sup.count_children().await.unwrap();
        }
        assert_eq!(journal.count("start r") - journal.count("down r"), 1);
    });
}

#[test]
fn s28_s36_a_child_that_was_deleted_between_retries_stays_away() {
    everywhere(|| async {
        let journal = Journal::new();
        let failing = std::iter::repeat_n(Some(Init::Fail("no")), 10_000);
        let plan = Plan::new("r", &journal).script(std::iter::once(None).chain(failing));
        let sup = Supervisor::one_for_one().max_restarts(100_000, secs(60)).child(plan.child()).start_link();
        let sup = sup.await.unwrap();
        kill(pid_of(&sup, "r").await);
        journal.wait("try r", 1).await;
        sup.terminate_child("r").await.unwrap();
        sup.delete_child("r").await.unwrap();
        let tries = journal.count("try r");
        // The same id with another specification is another child: an old retry is none of its business.
        let fresh = Plan::new("r", &journal).script([Some(Init::Ignore)]).child();
        assert_eq!(sup.start_child(fresh).await.unwrap(), None);
        for _ in 0..5 {
            assert_eq!(status(&sup, "r").await, ChildStatus::Undefined);
        }
        assert_eq!(journal.count("try r"), tries + 1);
    });
}

#[test]
fn s59_a_named_child_whose_name_a_stranger_takes_is_retried_until_the_name_is_free_or_the_budget_is_gone() {
    everywhere(|| async {
        let journal = Journal::new();
        let child = Plan::new("a", &journal).child().name("seat");
        let sup =
            Supervisor::one_for_one().max_restarts(3, secs(60)).child(child).start_link().await.unwrap();
        let ended = ending(sup.pid()).await;
        let old = pid_of(&sup, "a").await;
        // From the kill on nobody has the name, so the stranger gets it before or after the supervisor does.
        kill(old);
        let stranger = Worker::start(Plan::new("stranger", &journal)).name("seat").await;
        match stranger {
            Ok(stranger) => {
                assert_eq!(ended.await, ExitReason::Shutdown);
                assert_eq!(process::whereis("seat"), Some(stranger.pid()));
                assert_eq!(journal.count("start a"), 1);
                stranger.stop().await.unwrap();
            },
            Err(StartError::AlreadyStarted(pid)) => {
                assert_ne!(pid, old);
                assert_eq!(pid_of(&sup, "a").await, pid);
            },
            Err(other) => panic!("{other}"),
        }
    });
}
