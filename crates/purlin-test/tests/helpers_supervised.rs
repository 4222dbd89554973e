//! Proves that what a test starts under its supervisor is restarted, stopped and refused as in ExUnit, and never left behind.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use purlin::prelude::*;
use purlin::supervisor::ChildId;
use purlin::telemetry::events;
use purlin_test::{StartSupervisedError, Test, assert_receive};
use support::{Counter, complaint, each, panic_of, passes};

/// Writes its name down when it ends.
struct Diarist {
    name: &'static str,
    diary: Arc<Mutex<Vec<&'static str>>>,
}

impl GenServer for Diarist {
    type Args = (&'static str, Arc<Mutex<Vec<&'static str>>>);
    async fn init((name, diary): Self::Args, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        cx.trap_exits(true);
        Ok(Diarist { name, diary })
    }
    async fn terminate(&mut self, _: &ExitReason, _: &mut Cx<Self>) {
        self.diary.lock().unwrap().push(self.name);
    }
}

impl HandleInfo<Exit> for Diarist {
    async fn handle_info(&mut self, _: Exit, _: &mut Cx<Self>) {}
}

/// Never gets done with ending.
struct Endless;

impl GenServer for Endless {
    type Args = ();
    async fn init((): (), cx: &mut Cx<Self>) -> Result<Self, InitError> {
        cx.trap_exits(true);
        Ok(Endless)
    }
    async fn terminate(&mut self, _: &ExitReason, _: &mut Cx<Self>) {
        std::future::pending().await
    }
}

impl HandleInfo<Exit> for Endless {
    async fn handle_info(&mut self, _: Exit, _: &mut Cx<Self>) {}
}

/// Ends as it is told, from `init` on.
enum Short {
    Refuse,
    Ignore,
    Stop,
}

struct Brief;

impl GenServer for Brief {
    type Args = Short;
    async fn init(how: Short, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        match how {
            Short::Refuse => Err(InitError::Stop(ExitReason::error("no disk"))),
            Short::Ignore => Err(InitError::Ignore),
            Short::Stop => {
                cx.stop(ExitReason::Normal);
                Ok(Brief)
            },
        }
    }
}

#[test]
fn every_kind_of_specification_answers_its_own_kind_of_handle() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let counter: Ref<Counter> = t.start_supervised(Counter::child_spec(1)).await?;
        assert_eq!(counter.add(2).await?, 3);
        let root: SupervisorRef =
            t.start_supervised(Supervisor::one_for_one().child(Counter::child_spec(0))).await?;
        assert_eq!(root.count_children().await?.active, 1);
        let jobs: DynamicSupervisorRef = t.start_supervised(DynamicSupervisor::new().name("jobs")).await?;
        jobs.start_child(Counter::child_spec(0)).await?;
        let rooms: Registry<String> = t.start_supervised(Registry::unique("rooms")).await?;
        assert_eq!(rooms.count()?, 0);
        let spec = ChildSpec::process("pump", async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        let pump: Pid = t.start_supervised(&spec).await?;
        assert!(process::is_alive(pump));
        let erased: Pid = t.start_supervised(Counter::child_spec(0).id("other").erase()).await?;
        assert!(process::is_alive(erased));
        Ok(())
    });
}

#[test]
fn children_are_stopped_in_reverse_order_also_when_the_body_panics() {
    for fails in [false, true] {
        let diary = Arc::new(Mutex::new(Vec::new()));
        let theirs = diary.clone();
        each(
            async move |t: Test, _: Mailbox<()>| {
                theirs.lock().unwrap().clear();
                for name in ["first", "second", "third"] {
                    t.start_supervised(Diarist::child_spec((name, theirs.clone())).id(name)).await.unwrap();
                }
                assert!(!fails, "half-way");
            },
            |outcome| {
                assert_eq!(outcome.body.is_clean(), !fails);
                assert_eq!(outcome.finish, Ok(()));
                assert_eq!(*diary.lock().unwrap(), ["third", "second", "first"]);
            },
        );
    }
}

#[test]
fn a_child_that_crashes_is_restarted_and_the_test_goes_on() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let counter = t.start_supervised(Counter::child_spec(7).name("counter")).await?;
        let restarts = t.telemetry(&[events::SUPERVISOR_CHILD_RESTART]);
        // Far more often than a supervisor would take by default.
        for _ in 0..20 {
            assert!(Counter::named("counter").add(-1).await.is_err());
            restarts.next().await;
        }
        assert_eq!(Counter::named("counter").get().await?, 7);
        assert!(!counter.is_alive());
        // The first handle still means the child.
        t.stop_supervised(&counter).await?;
        assert!(process::whereis("counter").is_none());
        Ok(())
    });
}

#[test]
fn restart_settings_are_those_of_the_specification() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let temporary = t.start_supervised(Counter::child_spec(0).id("temporary").restart(Temporary)).await?;
        let transient = t.start_supervised(Counter::child_spec(0).id("transient").restart(Transient)).await?;
        let crashes = t.telemetry(&[events::SUPERVISOR_CHILD_ERROR]);
        assert!(temporary.add(-1).await.is_err());
        crashes.next().await;
        transient.stop().await?;
        let error = t.stop_supervised("temporary").await.unwrap_err();
        assert!(error.children == [ChildId::from("transient")], "{error}");
        // It is kept without a process, and stopping it forgets it.
        t.stop_supervised("transient").await?;
        assert!(t.stop_supervised("transient").await.is_err());
        Ok(())
    });
}

#[test]
fn a_linked_child_that_crashes_fails_the_test() {
    each(
        async |t: Test, mut mailbox: Mailbox<()>| {
            let counter = t.start_link_supervised(Counter::child_spec(0).restart(Temporary)).await.unwrap();
            let _ = counter.add(-1).await;
            mailbox.receive().await;
        },
        |outcome| {
            assert_eq!(panic_of(outcome), "this counter only goes up");
            assert_eq!(outcome.finish, Ok(()));
        },
    );
}

#[test]
fn a_linked_child_that_is_stopped_does_not_end_the_test() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let counter = t.start_link_supervised(Counter::child_spec(0)).await?;
        t.stop_supervised(counter.pid()).await?;
        process::sleep(millis(1)).await;
        assert!(!counter.is_alive());
        Ok(())
    });
}

#[test]
fn a_child_that_does_not_start_is_an_error_that_says_why() {
    passes(async |t: Test, _: Mailbox<()>| {
        let refused = t.start_supervised(Brief::child_spec_with(|| Short::Refuse)).await.unwrap_err();
        assert_eq!(refused.to_string(), "child `Brief` did not start: `init` failed: no disk");
        assert_eq!(format!("{refused:?}"), refused.to_string());
        // Nothing is kept of either of them.
        let ignored = t.start_supervised(Brief::child_spec_with(|| Short::Ignore)).await.unwrap_err();
        assert_eq!(ignored.to_string(), "child `Brief` chose not to start");
        let invalid = t.start_supervised(Counter::child_spec(0).id("")).await.unwrap_err();
        assert_eq!(invalid.to_string(), "a child of type `Counter` has an empty id");
        t.start_supervised(Brief::child_spec_once(Short::Stop)).await.unwrap();
    });
}

#[test]
fn a_child_that_ends_at_once_has_been_started_all_the_same() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        for how in 0..5 {
            let brief = t.start_supervised(Brief::child_spec_once(Short::Stop).id(how.to_string())).await?;
            process::wait(brief.pid()).await;
        }
        let linked = t.start_link_supervised(Brief::child_spec_once(Short::Stop).id("linked")).await;
        if let Err(error) = linked {
            assert!(matches!(error, StartSupervisedError::Ended { .. }), "{error}");
        }
        Ok(())
    });
}

#[test]
fn two_children_of_one_id_are_refused_with_both_remedies() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let first = t.start_supervised(Counter::child_spec(0)).await?;
        let error = t.start_supervised(Counter::child_spec(0)).await.unwrap_err();
        let expected = format!(
            "this test has a child `Counter` already, running as {}; give the new one another id with `.id(..)`, or stop the old \
             one first with `t.stop_supervised(..)`",
            first.pid()
        );
        assert_eq!(error.to_string(), expected);
        t.start_supervised(Counter::child_spec(0).id("second")).await?;
        t.stop_supervised("Counter").await?;
        t.start_supervised(Counter::child_spec(0)).await?;
        let transient = t.start_supervised(Counter::child_spec(0).id("transient").restart(Transient)).await?;
        transient.stop().await?;
        // Whether the supervisor knows yet that it has ended or not, the id is taken.
        let error = t.start_supervised(Counter::child_spec(0).id("transient")).await.unwrap_err();
        assert!(matches!(error, StartSupervisedError::DuplicateId { .. }), "{error}");
        Ok(())
    });
}

#[test]
fn stopping_what_is_no_child_says_which_ones_there_are() {
    passes(async |t: Test, mailbox: Mailbox<()>| -> Result<()> {
        let error = t.stop_supervised("Counter").await.unwrap_err();
        assert!(error.to_string().starts_with("`Counter` is no child of this test: it has none"), "{error}");
        t.start_supervised(Counter::child_spec(0).id("b")).await?;
        t.start_supervised(Counter::child_spec(0).id("a")).await?;
        let error = t.stop_supervised(mailbox.pid()).await.unwrap_err();
        let expected = format!("{} is no child of this test: it has `a`, `b` (", mailbox.pid());
        assert!(error.to_string().starts_with(&expected), "{error}");
        Ok(())
    });
}

#[test]
fn any_process_may_start_children_and_all_get_one_supervisor() {
    passes(async |t: Test, mut mailbox: Mailbox<Pid>| -> Result<()> {
        let me = mailbox.address();
        for number in 0..8 {
            let (t, me) = (t.clone(), me.clone());
            process::spawn(async move |_: Mailbox<()>| {
                let counter =
                    t.start_supervised(Counter::child_spec(0).id(number.to_string())).await.unwrap();
                me.send(process::process_info(counter.pid()).and_then(|info| info.parent).unwrap());
            });
        }
        let first = assert_receive!(mailbox, pid => pid, within secs(5));
        for _ in 1..8 {
            assert_receive!(mailbox, pid if pid == first, within secs(5));
        }
        Ok(())
    });
}

#[test]
fn a_thread_outside_the_node_may_start_children_too() {
    let outcome = purlin_test::__private::run(None, "threads", async |t: Test, _: Mailbox<()>| {
        let this = t.clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let started = runtime.block_on(this.start_supervised(Counter::child_spec(3)));
            let linked = runtime.block_on(this.start_link_supervised(Counter::child_spec(3).id("linked")));
            let _ = sender.send((started, linked));
        });
        let (started, linked) = receiver.await.unwrap();
        assert_eq!(started.unwrap().get().await.unwrap(), 3);
        let error = linked.unwrap_err();
        assert!(matches!(error, StartSupervisedError::NotInProcess { .. }), "{error}");
        t.stop_supervised("linked").await.unwrap();
    });
    assert!(outcome.body.is_clean(), "{}", outcome.body);
    assert_eq!(outcome.finish, Ok(()));
}

#[test]
fn hundreds_of_children_are_stopped_in_order() {
    let ended = Arc::new(Mutex::new(Vec::<usize>::new()));
    let theirs = ended.clone();
    each(
        async move |t: Test, _: Mailbox<()>| {
            theirs.lock().unwrap().clear();
            let ended = theirs.clone();
            let note = move |event: &telemetry::Event<'_>| {
                ended.lock().unwrap().push(event.metadata.str("child_id").unwrap().parse().unwrap());
            };
            t.node().telemetry().attach("ends", events::SUPERVISOR_CHILD_TERMINATE, note).unwrap();
            for number in 0..300usize {
                t.start_supervised(Counter::child_spec(0).id(number.to_string())).await.unwrap();
            }
        },
        |outcome| {
            assert!(outcome.body.is_clean());
            assert_eq!(outcome.finish, Ok(()));
            assert_eq!(*ended.lock().unwrap(), (0..300).rev().collect::<Vec<usize>>());
        },
    );
}

#[test]
fn a_child_that_hangs_in_terminate_is_killed_when_its_time_is_over() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        t.start_supervised(Endless::child_spec(()).id("at the end").shutdown(millis(20))).await?;
        let before = t.node().now();
        let endless = t.start_supervised(Endless::child_spec(()).shutdown(millis(20))).await?;
        t.stop_supervised(&endless).await?;
        assert!(t.node().now() - before >= millis(20) && !endless.is_alive());
        Ok(())
    });
}

#[test]
fn children_that_take_longer_than_a_minute_in_all_are_killed_and_named() {
    // Virtual minutes only.
    for seed in 0..5 {
        let outcome = purlin_test::__private::run(Some(seed), "endless", async |t: Test, _: Mailbox<()>| {
            t.start_supervised(Endless::child_spec(()).shutdown(Shutdown::Infinity)).await.unwrap();
            t.start_supervised(Counter::child_spec(0)).await.unwrap();
        });
        assert!(outcome.body.is_clean());
        let text = complaint(&outcome);
        assert!(
            text.starts_with("the children of the test did not stop within 60s; still running: `Endless` ("),
            "{text}"
        );
        assert!(text.contains("1 process was still running when the test had ended:\n  "), "{text}");
        assert!(text.contains("Endless, started by <0.2.1>, which has ended"), "{text}");
    }
}

#[test]
fn a_supervisor_that_gave_up_is_told_at_the_next_start_and_at_the_end() {
    let starts = AtomicUsize::new(0);
    let starts: &'static AtomicUsize = Box::leak(Box::new(starts));
    let outcome = purlin_test::__private::run(Some(7), "gives up", async move |t: Test, _: Mailbox<()>| {
        // It stands for a million restarts: something ends the supervisor.
        let brief = t.start_supervised(Counter::child_spec(0)).await.unwrap();
        let supervisor = process::process_info(brief.pid()).and_then(|info| info.parent).unwrap();
        process::exit(supervisor, ExitReason::Kill);
        process::wait(supervisor).await;
        starts.fetch_add(1, Ordering::Relaxed);
        let error = t.start_supervised(Counter::child_spec(0)).await.unwrap_err();
        assert!(matches!(error, StartSupervisedError::GaveUp { .. }), "{error}");
    });
    assert_eq!(starts.load(Ordering::Relaxed), 1);
    assert!(outcome.body.is_clean());
    assert!(
        complaint(&outcome)
            .starts_with("the supervisor of the test's children had ended before the test did")
    );
}

#[test]
fn nothing_is_started_once_the_body_is_over() {
    each(
        async |t: Test, _: Mailbox<()>| {
            let this = t.clone();
            t.on_exit(async move || {
                let error = this.start_supervised(Counter::child_spec(0)).await.unwrap_err();
                assert_eq!(error.to_string(), "child `Counter` was not started: the test is over");
                assert!(this.stop_supervised("Counter").await.is_err());
            });
        },
        |outcome| assert_eq!(outcome.finish, Ok(())),
    );
}
