//! Proves what happens when a test is over: callbacks run, in order, whatever happened, and what is left behind is told in words.

mod support;

use std::sync::{Arc, Mutex};

use purlin::prelude::*;
use purlin_test::__private::run;
use purlin_test::{Test, assert_receive};
use support::{Counter, complaint, each, panic_of, passes};

type Diary = Arc<Mutex<Vec<&'static str>>>;

fn note(diary: &Diary, line: &'static str) {
    diary.lock().unwrap().push(line);
}

/// Writes down that it was dropped: the last thing that a process's state does.
struct Noted(Diary, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        note(&self.0, self.1);
    }
}

#[test]
fn callbacks_run_last_first_after_the_children_are_down() {
    for fails in [false, true] {
        let diary = Diary::default();
        let theirs = diary.clone();
        each(
            async move |t: Test, _: Mailbox<()>| {
                theirs.lock().unwrap().clear();
                for line in ["first callback", "second callback"] {
                    let diary = theirs.clone();
                    t.on_exit(async move || {
                        process::sleep(millis(1)).await;
                        note(&diary, line);
                    });
                }
                let noted = Arc::new(Mutex::new(Some(Noted(theirs.clone(), "child"))));
                t.start_supervised(ChildSpec::process("child", move |mut mailbox: Mailbox<()>| {
                    let noted = noted.lock().unwrap().take();
                    async move {
                        mailbox.receive().await;
                        drop(noted);
                    }
                }))
                .await
                .unwrap();
                assert!(!fails, "half-way");
            },
            |outcome| {
                assert_eq!(outcome.body.is_clean(), !fails);
                assert_eq!(outcome.finish, Ok(()));
                assert_eq!(*diary.lock().unwrap(), ["child", "second callback", "first callback"]);
            },
        );
    }
}

#[test]
fn a_callback_that_panics_fails_the_test_and_the_others_run() {
    let diary = Diary::default();
    let theirs = diary.clone();
    each(
        async move |t: Test, _: Mailbox<()>| {
            theirs.lock().unwrap().clear();
            let (one, three) = (theirs.clone(), theirs.clone());
            t.on_exit(async move || note(&one, "one"));
            t.on_exit(async || panic!("cannot clean up"));
            t.on_exit(|| {
                panic!("not even a future");
                #[expect(unreachable_code, reason = "the type of what is not returned")]
                async {}
            });
            t.on_exit(async move || note(&three, "three"));
        },
        |outcome| {
            assert!(outcome.body.is_clean());
            assert_eq!(*diary.lock().unwrap(), ["three", "one"]);
            let lines: Vec<_> = complaint(outcome).lines().collect();
            let begin = "the `on_exit` callback of crates/purlin-test/tests/helpers_end.rs:";
            assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with(begin)), "{lines:?}");
            assert!(
                lines[0].ends_with(": not even a future") && lines[1].ends_with(": cannot clean up"),
                "{lines:?}"
            );
            // The place where it was registered, which is where a person has to look.
            assert!(lines[0].contains(" failed: panicked at "), "{lines:?}");
        },
    );
}

#[test]
fn a_callback_may_add_another_one_and_use_everything_but_children() {
    let diary = Diary::default();
    let theirs = diary.clone();
    each(
        async move |t: Test, _: Mailbox<()>| {
            theirs.lock().unwrap().clear();
            let (this, diary) = (t.clone(), theirs.clone());
            t.on_exit(async move || {
                assert_eq!(Node::current().name(), "a_test");
                let counter = Counter::start_link(3).await.unwrap();
                assert_eq!(counter.get().await.unwrap(), 3);
                counter.stop().await.unwrap();
                this.on_exit(async move || note(&diary, "added"));
            });
        },
        |outcome| {
            assert_eq!(outcome.finish, Ok(()));
            assert_eq!(*diary.lock().unwrap(), ["added"]);
        },
    );
}

#[test]
fn a_callback_that_never_returns_is_killed_after_a_minute() {
    let outcome = run(Some(1), "waits", async |t: Test, _: Mailbox<()>| {
        t.on_exit(async || std::future::pending().await);
    });
    assert!(complaint(&outcome).ends_with(" did not return within 60s"), "{}", complaint(&outcome));
}

#[test]
fn processes_that_are_left_are_named_with_name_label_and_parent() {
    let outcome = run(Some(1), "leaks", async |t: Test, mut mailbox: Mailbox<()>| {
        let counter = Counter::start(0).name("visits").await.unwrap();
        let me = mailbox.address();
        process::spawn(async move |mut mailbox: Mailbox<()>| {
            process::set_label("pump");
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            me.send(());
            mailbox.receive().await;
        });
        mailbox.receive().await;
        process::spawn(async move |_: Mailbox<()>| {
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        })
        .wait()
        .await;
        assert!(t.node().stats().processes > 3 && counter.is_alive());
        tokio::spawn(async { process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await) })
            .await
            .unwrap();
    });
    assert!(outcome.body.is_clean(), "{}", outcome.body);
    let expected = "\
5 processes were still running when the test had ended:
  <0.2.1> Counter, named \"visits\", started by the test
  <0.3.1> process, labelled \"pump\", started by the test
  <0.4.1> process, started by <0.3.1> (process)
  <0.6.1> process, started by <0.5.1>, which has ended
  <0.7.1> process, started by no process
Start a process with `t.start_supervised(..)`, which stops it for you, or link it with the test (`start_link`, `spawn_link`), or stop it.
A test that means to leave something behind says `t.allow_leaks()`.";
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(complaint(&outcome)), sorted(expected), "{}", complaint(&outcome));
}

#[test]
fn a_task_that_is_left_is_a_process_that_is_left() {
    let outcome = run(Some(1), "tasks", async |_: Test, _: Mailbox<()>| {
        Task::start(std::future::pending());
        // These are the test's own, and end with it.
        drop(Task::async_link(std::future::pending::<()>()));
        let mut stream = Task::async_stream(0..9, async |n| {
            if n > 0 {
                std::future::pending().await
            }
        });
        assert_eq!(stream.next().await, Some(Ok(())));
    });
    assert!(outcome.body.is_clean(), "{}", outcome.body);
    let complaint = complaint(&outcome);
    assert!(complaint.starts_with("1 process was still running when the test had ended:\n"), "{complaint}");
    assert!(complaint.contains("> Task, started by the test"), "{complaint}");
}

#[test]
fn what_is_linked_with_the_test_ends_with_it() {
    for fails in [false, true] {
        each(
            async move |_: Test, _: Mailbox<()>| {
                Counter::start_link(0).await.unwrap();
                process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
                let root =
                    Supervisor::one_for_one().child(Counter::child_spec(0)).start_link().await.unwrap();
                DynamicSupervisor::new()
                    .start_link()
                    .await
                    .unwrap()
                    .start_child(Counter::child_spec(0))
                    .await
                    .unwrap();
                assert_eq!(root.count_children().await.unwrap().active, 1);
                assert!(!fails, "half-way");
            },
            |outcome| {
                assert_eq!(outcome.body.is_clean(), !fails);
                assert_eq!(outcome.finish, Ok(()));
            },
        );
    }
}

#[test]
fn what_is_linked_with_a_test_that_traps_exits_ends_with_it_too() {
    passes(async |_: Test, mut mailbox: Mailbox<Exit>| {
        mailbox.trap_exits(true);
        Counter::start_link(0).await.unwrap();
        process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        Supervisor::one_for_one().child(Counter::child_spec(0)).start_link().await.unwrap();
    });
}

#[test]
fn a_process_that_is_about_to_end_is_no_leak() {
    passes(async |_: Test, _: Mailbox<()>| {
        for number in 0..20 {
            process::spawn(async move |_: Mailbox<()>| {
                for _ in 0..number {
                    process::yield_now().await;
                }
            });
        }
    });
}

#[test]
fn a_body_that_panics_and_leaks_is_told_both() {
    let outcome = run(None, "panics", async |_: Test, _: Mailbox<()>| {
        process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        panic!("half-way");
    });
    assert_eq!(panic_of(&outcome), "half-way");
    assert!(complaint(&outcome).starts_with("1 process was still running"));
}

#[test]
fn timers_that_are_left_are_counted() {
    each(
        async |_: Test, mailbox: Mailbox<()>| {
            // Goes with its process.
            process::send_after(mailbox.pid(), secs(60), ());
            // Goes with nobody.
            process::send_after("nobody", secs(60), ());
            process::send_after("nobody", secs(70), ());
        },
        |outcome| {
            let expected = "\
2 timers were still set when the test had ended.
A timer that sends to a process goes with it; one that sends to a name is to be taken off with `cancel_timer`.
A test that means to leave something behind says `t.allow_leaks()`.";
            assert_eq!(complaint(outcome), expected);
        },
    );
}

#[test]
fn hundreds_of_leaks_are_cut() {
    let outcome = run(Some(1), "leaks", async |_: Test, _: Mailbox<()>| {
        for _ in 0..300 {
            process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        }
    });
    let text = complaint(&outcome);
    assert!(
        text.starts_with("300 processes were still running") && text.contains("\n  and 280 more\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 24);
}

#[test]
fn a_test_may_allow_its_leaks() {
    passes(async |t: Test, _: Mailbox<()>| {
        t.allow_leaks();
        process::send_after("nobody", secs(60), ());
        process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    });
}

#[test]
fn a_call_that_was_given_up_leaves_no_timer() {
    passes(async |t: Test, mut mailbox: Mailbox<()>| -> Result<()> {
        let counter = t.start_supervised(Counter::child_spec(0)).await?;
        sys::suspend(counter.pid()).await?;
        assert!(counter.get().timeout(millis(1)).await.is_err());
        // Dropped half-way.
        let call = counter.get();
        assert!(mailbox.receive_timeout(millis(1)).await.is_none());
        drop(call);
        sys::resume(counter.pid()).await?;
        Ok(())
    });
}

#[test]
fn the_test_is_a_process_like_any_other() {
    passes(async |t: Test, mut mailbox: Mailbox<AnyMsg>| {
        assert_eq!(process::self_pid(), Some(mailbox.pid()));
        assert_eq!(t.name(), "a_test");
        mailbox.trap_exits(true);
        let worker = process::spawn_link(async |_: Mailbox<()>| {});
        assert_receive!(mailbox as Exit, Exit { from, .. } if from == worker.pid());
        process::register("the test", mailbox.pid()).unwrap();
    });
}
