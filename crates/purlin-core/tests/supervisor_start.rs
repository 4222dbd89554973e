//! A supervisor starts its children in order, refuses what it cannot start, and takes back what it has started when one child fails.

mod supervisor_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use purlin_core::supervisor::*;
use purlin_core::*;
use supervisor_support::*;

#[test]
fn s1_children_start_in_list_order_each_when_the_one_before_is_ready() {
    everywhere(|| async {
        let journal = Journal::new();
        let log = journal.clone();
        // The process of the second child is spawned only when the first one's `init` has returned.
        let slow = ChildSpec::custom("slow", move || {
            let log = log.clone();
            async move {
                let started = Worker::start_link(Plan::new("inner", &log)).await?;
                process::yield_now().await;
                log.log("ready slow");
                Ok(started.pid())
            }
        });
        let [b, c] = plans(["b", "c"], &journal);
        let sup = Supervisor::one_for_one()
            .child(slow)
            .child(b.child())
            .child(c.child())
            .start_link()
            .await
            .unwrap();
        assert_eq!(journal.all(), texts(["start inner", "ready slow", "start b", "start c"]));
        assert_eq!(ids(&sup).await, texts(["slow", "b", "c"]));
    });
}

struct Picky;

impl Supervise for Picky {
    type Args = (&'static str, Journal);

    fn init((what, journal): Self::Args) -> Result<SupervisorSpec, InitError> {
        match what {
            "ignore" => Err(InitError::Ignore),
            "fail" => Err("x".parse::<u32>().unwrap_err().into()),
            "panic" => panic!("no description"),
            _ => Ok(Supervisor::one_for_all().children(plans(["a", "b"], &journal).map(|plan| plan.child()))),
        }
    }
}

#[test]
fn s2_a_supervisor_whose_init_says_ignore_is_not_started() {
    everywhere(|| async {
        let journal = Journal::new();
        assert_eq!(Picky::start_link(("ignore", journal.clone())).await.unwrap_err(), StartError::Ignore);
        let failed = Picky::start_link(("fail", journal.clone())).await.unwrap_err();
        assert_eq!(failed.to_string(), "`init` failed: invalid digit found in string");
        let panicked = Picky::start_link(("panic", journal.clone())).await.unwrap_err();
        assert!(matches!(panicked, StartError::Failed(ExitReason::Panic(_))));
        let started = Picky::start_link(("start", journal.clone())).await.unwrap();
        assert_eq!(journal.all(), texts(["start a", "start b"]));
        assert_eq!(started.count_children().await.unwrap().active, 2);
    });
}

#[test]
fn s2_a_module_supervisor_can_be_a_child_and_is_described_anew_at_each_restart() {
    everywhere(|| async {
        let journal = Journal::new();
        let ignored = Picky::child_spec(("ignore", journal.clone())).id("ignored");
        let root = Supervisor::one_for_one()
            .child(Picky::child_spec(("start", journal.clone())))
            .child(ignored)
            .start_link()
            .await
            .unwrap();
        let all = children(&root).await;
        assert_eq!((all[0].child_type, all[0].module), (ChildType::Supervisor, "Picky"));
        assert_eq!(all[1].status, ChildStatus::Undefined);
        let inner = pid_of(&root, "Picky").await;
        end_supervisor(inner).await;
        let again = pid_of(&root, "Picky").await;
        assert_ne!(inner, again);
        assert_eq!(journal.count("start a"), 2);
        assert_eq!(which_children(again).await.unwrap().len(), 2);
    });
}

async fn end_supervisor(pid: Pid) {
    process::exit(pid, ExitReason::Kill);
    process::wait(pid).await;
}

#[test]
fn s5_an_ignoring_child_is_kept_without_a_process_unless_it_is_temporary() {
    everywhere(|| async {
        let journal = Journal::new();
        let ignoring =
            |id, restart| Plan::new(id, &journal).script([Some(Init::Ignore)]).child().restart(restart);
        let sup = Supervisor::one_for_one()
            .child(ignoring("permanent", Restart::Permanent))
            .child(ignoring("transient", Restart::Transient))
            .child(ignoring("temporary", Restart::Temporary))
            .start_link()
            .await
            .unwrap();
        assert_eq!(ids(&sup).await, texts(["permanent", "transient"]));
        assert_eq!(status(&sup, "permanent").await, ChildStatus::Undefined);
        assert_eq!(sup.start_child(ignoring("later", Restart::Permanent)).await.unwrap(), None);
        assert_eq!(sup.start_child(ignoring("gone", Restart::Temporary)).await.unwrap(), None);
        assert_eq!(ids(&sup).await, texts(["permanent", "transient", "later"]));
        assert_eq!(
            sup.count_children().await.unwrap(),
            ChildCounts { specs: 3, active: 0, supervisors: 0, workers: 3 }
        );
    });
}

#[test]
fn s7_s18_a_child_that_fails_at_the_start_takes_those_before_it_down_in_reverse_and_is_not_retried() {
    everywhere(|| async {
        let journal = Journal::new();
        let reports = reports();
        let [a, b, c, d] = plans(["a", "b", "c", "d"], &journal);
        let [a, b, d] = [a, b, d].map(|plan| plan.stop(Stop::Orderly));
        let c = c.script([Some(Init::Fail("no disk"))]);
        let spec = Supervisor::rest_for_one().children([a, b, c, d].map(|plan| plan.child()));
        let error = spec.start_link().await.unwrap_err();
        let failed = FailedToStartChild::in_error(&error).unwrap();
        assert_eq!(
            (failed.id.as_str(), &failed.error),
            ("c", &StartError::Failed(ExitReason::error("no disk")))
        );
        assert_eq!(
            error.to_string(),
            "`init` failed: shutdown: child `c` did not start: `init` failed: no disk"
        );
        assert_eq!(
            journal.all(),
            texts(["start a", "start b", "try c", "stop b", "down b", "stop a", "down a"])
        );
        assert_eq!(reports.all(), texts(["start_error c: no disk"]));
        assert_eq!(process::processes(), []);
    });
}

#[test]
fn s8_a_panic_in_a_start_is_a_start_error_wherever_it_happens() {
    everywhere(|| async {
        let journal = Journal::new();
        let in_init = Plan::new("a", &journal).script([Some(Init::Panic), Some(Init::Panic)]).child().erase();
        let in_arguments = Worker::child_spec_with(|| panic!("no arguments")).id("a").erase();
        let in_function =
            ChildSpec::custom("a", || -> std::future::Ready<Result<Pid, StartError>> { panic!("at once") });
        let in_future = ChildSpec::custom("a", || async {
            process::yield_now().await;
            panic!("later")
        });
        for (child, text) in [
            (in_init, "init of a"),
            (in_arguments, "no arguments"),
            (in_function, "at once"),
            (in_future, "later"),
        ] {
            let error = Supervisor::one_for_one().child(&child).start_link().await.unwrap_err();
            let panic = |error: &StartError| match error {
                StartError::Failed(ExitReason::Panic(panic)) => panic.message.clone(),
                other => panic!("{other}"),
            };
            assert_eq!(panic(&FailedToStartChild::in_error(&error).unwrap().error), text);
            // The same by `start_child`: the supervisor lives, and keeps nothing.
            let sup = Supervisor::one_for_one().start_link().await.unwrap();
            match sup.start_child(child).await {
                Err(StartChildError::Failed(error)) => assert_eq!(panic(&error), text),
                other => panic!("{other:?}"),
            }
            assert_eq!(ids(&sup).await, texts([]));
        }
    });
}

#[test]
fn s10_invalid_flags_fail_the_start_and_say_what_is_wrong() {
    everywhere(|| async {
        let journal = Journal::new();
        let spec =
            Supervisor::one_for_one().max_restarts(1, millis(1500)).child(Plan::new("a", &journal).child());
        let invalid = ConfigError::Flags(FlagsError::InvalidPeriod { period: millis(1500) });
        assert_eq!(spec.check(), Err(invalid.clone()));
        let error = spec.start_link().await.unwrap_err();
        assert_eq!(ConfigError::in_error(&error), Some(&invalid));
        let error = DynamicSupervisor::new().max_restarts(1, secs(0)).start_link().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`init` failed: the restart period must be a whole number of seconds, at least one, and not 0ns"
        );
        assert_eq!(journal.all(), texts([]));
    });
}

#[test]
fn s11_s12_duplicate_and_empty_ids_fail_the_start_before_any_child_runs() {
    everywhere(|| async {
        let journal = Journal::new();
        let unnamed = || Worker::child_spec(Plan::new("x", &journal));
        let error =
            Supervisor::one_for_one().child(unnamed()).child(unnamed()).start_link().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`init` failed: two children have the id `Worker`; give one of them another with `.id(..)`"
        );
        let error = Supervisor::one_for_one().child(unnamed().id("")).start_link().await.unwrap_err();
        assert_eq!(
            ConfigError::in_error(&error),
            Some(&ConfigError::Spec(SpecError::MissingId { module: "Worker" }))
        );
        assert_eq!(journal.all(), texts([]));
        // Named differently they are different.
        let sup = Supervisor::one_for_one()
            .child(unnamed())
            .child(unnamed().name("other"))
            .start_link()
            .await
            .unwrap();
        assert_eq!(ids(&sup).await, texts(["Worker", "other"]));
        assert_eq!(process::whereis("other"), Some(pid_of(&sup, "other").await));
    });
}

#[test]
fn s14_defaults_of_a_child_come_from_its_type_and_name() {
    everywhere(|| async {
        let journal = Journal::new();
        let plan = Plan::new("x", &journal);
        let inner = Supervisor::one_for_one().name("inner");
        let sup = Supervisor::one_for_one()
            .child(Worker::child_spec(plan))
            .child(inner.child_spec())
            .child(DynamicSupervisor::new().child_spec())
            .start_link()
            .await
            .unwrap();
        let worker = sup.get_childspec("Worker").await.unwrap();
        assert_eq!(
            (worker.restart, worker.significant, worker.module),
            (Restart::Permanent, false, "Worker")
        );
        assert_eq!(
            (worker.child_type, worker.how_to_stop()),
            (ChildType::Worker, Shutdown::Timeout(secs(5)))
        );
        let inner = sup.get_childspec("inner").await.unwrap();
        assert_eq!((inner.child_type, inner.how_to_stop()), (ChildType::Supervisor, Shutdown::Infinity));
        let dynamic = sup.get_childspec("DynamicSupervisor").await.unwrap();
        assert_eq!((dynamic.child_type, dynamic.how_to_stop()), (ChildType::Supervisor, Shutdown::Infinity));
        assert_eq!(is_supervisor(sup.pid()), Some(true));
        assert_eq!(is_supervisor(pid_of(&sup, "inner").await), Some(true));
        assert_eq!(is_supervisor(pid_of(&sup, "Worker").await), Some(false));
    });
}

#[test]
fn s16_s38_a_supervisor_traps_exits_and_ignores_those_of_strangers() {
    everywhere(|| async {
        let journal = Journal::new();
        let sup =
            Supervisor::one_for_one().child(Plan::new("a", &journal).child()).start_link().await.unwrap();
        let child = pid_of(&sup, "a").await;
        let target = sup.pid();
        let stranger = process::spawn(async move |_: Mailbox<()>| {
            process::exit(target, boom());
            process::exit(target, ExitReason::Shutdown);
            process::link(target).unwrap();
            process::exit(process::self_pid().unwrap(), boom());
            process::yield_now().await;
            std::future::pending::<()>().await;
        });
        process::wait(stranger.pid()).await;
        // Neither a message that nobody sends to a supervisor, nor an exit message made by hand, does anything.
        process::send(target, 7u32);
        process::send(target, Exit { from: child, reason: boom() });
        assert_eq!(pid_of(&sup, "a").await, child);
        assert_eq!(journal.all(), texts(["start a"]));
    });
}

#[test]
fn s38_an_exit_signal_that_a_living_child_sends_is_not_its_end() {
    everywhere(|| async {
        let journal = Journal::new();
        let liar = |mut mailbox: Mailbox<Pid>| async move {
            let target = mailbox.receive().await;
            process::exit(target, boom());
            mailbox.receive().await;
        };
        let sup =
            Supervisor::one_for_one().child(ChildSpec::process("liar", liar)).start_link().await.unwrap();
        let child = pid_of(&sup, "liar").await;
        process::send(child, sup.pid());
        let [probe] = plans(["probe"], &journal);
        sup.start_child(probe.child()).await.unwrap();
        assert_eq!(pid_of(&sup, "liar").await, child);
        assert_eq!(sup.count_children().await.unwrap().active, 2);
    });
}

#[test]
fn a_custom_start_is_linked_even_if_it_forgot_to() {
    everywhere(|| async {
        let starts = Arc::new(AtomicUsize::new(0));
        let journal = Journal::new();
        let (count, log) = (starts.clone(), journal.clone());
        let forgetful = ChildSpec::custom("forgetful", move || {
            count.fetch_add(1, Ordering::SeqCst);
            let plan = Plan::new("w", &log);
            async move { Ok(Worker::start(plan).await?.pid()) }
        });
        let sup = Supervisor::one_for_one().child(forgetful).start_link().await.unwrap();
        end(pid_of(&sup, "forgetful").await, boom()).await;
        journal.wait("start w", 2).await;
        assert_eq!(starts.load(Ordering::SeqCst), 2);
        assert!(process::is_alive(pid_of(&sup, "forgetful").await));
    });
}

#[test]
fn a_start_that_takes_longer_than_its_limit_fails_and_leaves_nothing() {
    everywhere(|| async {
        let journal = Journal::new();
        let hanging = Plan::new("a", &journal).script([Some(Init::Hang)]).child().start_timeout(millis(20));
        let error = Supervisor::one_for_one().child(hanging).start_link().await.unwrap_err();
        assert_eq!(FailedToStartChild::in_error(&error).unwrap().error, StartError::Timeout);
        assert_eq!(process::processes(), []);
    });
}

#[test]
fn a_supervisor_is_found_by_its_name_and_a_name_is_given_only_once() {
    everywhere(|| async {
        const ROOT: Name<Supervisor> = Name::new("root");
        let journal = Journal::new();
        let sup = Supervisor::one_for_one().name(&ROOT).start_link().await.unwrap();
        assert_eq!(
            ROOT.start_child(Plan::new("a", &journal).child()).await.unwrap(),
            Some(pid_of(&sup, "a").await)
        );
        let second = Supervisor::one_for_one().name("root").start_link().await;
        assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(sup.pid()));
        sup.stop().await.unwrap();
        let gone = ROOT.which_children().await.unwrap_err();
        assert!(gone.is_no_proc(), "{gone}");
        assert!(gone.to_string().contains("tests/supervisor_start.rs"), "{gone}");
    });
}
