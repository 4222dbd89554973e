//! Proves that a test gets what its own node logs, all of it and nothing else, whoever else logs or listens.

mod support;

use std::sync::{Arc, Barrier, Mutex};

use purlin::prelude::*;
use purlin_test::__private::run;
use purlin_test::{Level, LevelFilter, Logs, Test};
use support::{Counter, passes};
use tracing::instrument::Instrument;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

#[test]
fn events_of_processes_tasks_and_blocking_threads_are_captured() {
    let outcome = run(None, "everywhere", async |t: Test, mailbox: Mailbox<()>| {
        tracing::info!("from the test");
        process::spawn(async |_: Mailbox<()>| tracing::info!("from a process")).wait().await;
        tokio::spawn(async { tracing::info!("from a task") }).await.unwrap();
        tokio::task::spawn_blocking(|| tracing::info!("from a blocking thread")).await.unwrap();
        std::thread::spawn(|| tracing::info!("from a thread of its own")).join().unwrap();
        let entries = t.logs().entries();
        let messages: Vec<_> = entries.iter().map(|entry| entry.message.as_str()).collect();
        let expected = ["from the test", "from a process", "from a task", "from a blocking thread"];
        assert_eq!(messages, expected);
        assert_eq!(entries[0].pid, Some(mailbox.pid()));
        assert!(entries[1].pid.is_some() && entries[1].pid != entries[0].pid);
        assert_eq!((entries[2].pid, entries[3].pid), (None, None));
        assert!(entries.iter().all(|entry| entry.target == "helpers_logs" && entry.at.is_some()));
    });
    assert!(outcome.body.is_clean(), "{}", outcome.body);
}

#[test]
fn an_entry_has_level_target_message_fields_and_spans() {
    passes(async |t: Test, mailbox: Mailbox<()>| {
        let request = tracing::info_span!("request", id = 7, path = tracing::field::Empty);
        request.record("path", "/orders");
        let work = async {
            process::yield_now().await;
            tracing::warn!(target: "shop", left = 3, of = ?Some(4), by = %"name", "running {}", "out");
        };
        work.instrument(tracing::debug_span!(parent: &request, "inner")).await;
        drop(request);
        tracing::error!(code = 5);
        let [entry, bare] = &t.logs().take()[..] else { panic!("{}", t.logs()) };
        assert_eq!((entry.level, entry.target, entry.message.as_str()), (Level::WARN, "shop", "running out"));
        let fields = [("left", "3"), ("of", "Some(4)"), ("by", "name")];
        assert_eq!(entry.fields, fields.map(|(name, value)| (name, value.to_owned())));
        assert_eq!((entry.field("of"), entry.field("off")), (Some("Some(4)"), None));
        assert_eq!(entry.spans, ["request{id=7 path=/orders}", "inner"]);
        let line = format!(
            "WARN {} shop: running out left=3 of=Some(4) by=name in request{{id=7 path=/orders}}:inner",
            mailbox.pid()
        );
        assert!(entry.to_string().ends_with(&line), "{entry}");
        assert_eq!((bare.message.as_str(), bare.field("code")), ("", Some("5")));
        assert!(bare.spans.is_empty());
    });
}

#[test]
fn the_span_that_one_is_in_is_found() {
    passes(async |t: Test, _: Mailbox<()>| {
        assert!(tracing::Span::current().is_none());
        let outer = tracing::info_span!("outer");
        let entered = outer.enter();
        assert_eq!(tracing::Span::current().metadata().map(Metadata::name), Some("outer"));
        // Taken along to a process: the span outlives the place where it was made.
        let task = async { tracing::info!("inside") }.in_current_span();
        drop(entered);
        drop(outer);
        assert!(tracing::Span::current().is_none());
        process::spawn(async move |_: Mailbox<()>| task.await).wait().await;
        assert_eq!(t.logs().entries()[0].spans, ["outer"]);
    });
}

#[test]
fn crashes_and_supervisor_reports_are_among_the_logs() {
    passes(async |t: Test, _: Mailbox<()>| -> Result<()> {
        let counter = t.start_supervised(Counter::child_spec(0).name("counter")).await?;
        assert!(counter.add(-1).await.is_err());
        let crash = t.logs().wait_for("this counter only goes up").await;
        assert_eq!((crash.level, crash.target), (Level::ERROR, "purlin::crash"));
        assert_eq!(crash.field("name"), Some("counter"));
        let report = t.logs().wait_for("child_terminated").await;
        assert_eq!(report.target, "purlin::supervisor");
        Ok(())
    });
}

#[test]
fn the_level_can_be_changed_at_any_time_and_processes_get_no_spans() {
    passes(async |t: Test, _: Mailbox<()>| {
        let all = || {
            tracing::trace!("trace");
            tracing::debug!("debug");
            tracing::info!("info");
            tracing::error!("error");
            t.logs().take().into_iter().map(|entry| entry.message).collect::<Vec<_>>()
        };
        assert_eq!(all(), ["debug", "info", "error"]);
        for (level, expected) in [
            (LevelFilter::TRACE, &["trace", "debug", "info", "error"][..]),
            (LevelFilter::ERROR, &["error"]),
            (LevelFilter::OFF, &[]),
            (LevelFilter::INFO, &["info", "error"]),
        ] {
            t.logs().set_level(level);
            assert_eq!(all(), expected);
        }
        t.logs().set_level(LevelFilter::TRACE);
        process::spawn(async |_: Mailbox<()>| tracing::info!("no span around this")).wait().await;
        assert!(t.logs().wait_for("no span").await.spans.is_empty());
        assert!(!tracing::enabled!(target: "purlin::process", Level::ERROR));
    });
}

/// One callsite for many threads.
fn shout(number: usize) {
    tracing::info!(number, "from everywhere");
}

#[test]
fn tests_that_run_at_the_same_time_see_nothing_of_each_other() {
    let together = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8usize)
        .map(|number| {
            let together = together.clone();
            std::thread::spawn(move || {
                let seed = (number % 2 == 0).then_some(number as u64);
                let outcome = run(seed, "one of many", async move |_: Test, _: Mailbox<()>| {
                    together.wait();
                    for _ in 0..50 {
                        shout(number);
                        process::spawn(async move |_: Mailbox<()>| shout(number)).wait().await;
                    }
                });
                assert!(outcome.body.is_clean(), "{}", outcome.body);
                // The watchdog may have something to say about the barrier.
                let entries =
                    outcome.logs.entries().into_iter().filter(|entry| entry.target == "helpers_logs");
                let entries: Vec<_> = entries.collect();
                assert_eq!(entries.len(), 100);
                let own = number.to_string();
                assert!(entries.iter().all(|entry| entry.field("number") == Some(&own)), "{}", outcome.logs);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A callsite that is reached first by a thread that nobody listens to.
fn neglected() {
    tracing::info!("neglected");
}

/// A callsite that is reached before there is any test, and by a thread of no test while there is exactly one.
#[test]
fn a_callsite_that_others_reached_first_is_captured_all_the_same() {
    // `tracing` remembers that nobody was interested.
    std::thread::spawn(neglected).join().unwrap();
    let logs = Logs::new();
    let entered = logs.enter();
    std::thread::spawn(|| tracing::info!(target: "others", "unheard")).join().unwrap();
    neglected();
    assert_eq!(logs.entries().len(), 1);
    fn first_elsewhere() {
        tracing::info!("first reached by a thread outside");
    }
    std::thread::spawn(first_elsewhere).join().unwrap();
    assert_eq!(logs.take().len(), 1);
    first_elsewhere();
    assert_eq!(logs.take().len(), 1);
    drop(entered);
    first_elsewhere();
    assert!(logs.entries().is_empty());
}

#[test]
fn a_stricter_subscriber_elsewhere_takes_nothing_away() {
    let logs = Logs::new();
    let _entered = logs.enter();
    let deaf = Recorder::new(Level::ERROR);
    let other = Dispatch::new(deaf.clone());
    std::thread::spawn(move || {
        tracing::dispatcher::with_default(&other, || {
            shout(1);
            tracing::error!("heard");
        });
    })
    .join()
    .unwrap();
    shout(2);
    assert_eq!(logs.entries().len(), 1);
    assert_eq!(deaf.lines(), ["event ERROR in -"]);
}

/// A subscriber of the program's own.
#[derive(Clone)]
struct Recorder {
    most: Level,
    lines: Arc<Mutex<Vec<String>>>,
    inside: Arc<Mutex<Vec<u64>>>,
}

impl Recorder {
    fn new(most: Level) -> Recorder {
        Recorder { most, lines: Arc::default(), inside: Arc::default() }
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    fn add(&self, line: String) -> usize {
        let mut lines = self.lines.lock().unwrap();
        lines.push(line);
        lines.len()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let number = 100 + self.lines.lock().unwrap().len() as u64;
        let parent = span.parent().map_or("-".to_owned(), |id| id.into_u64().to_string());
        self.add(format!("span {} {number} in {parent}", span.metadata().name()));
        Id::from_u64(number)
    }
    fn record(&self, id: &Id, _: &Record<'_>) {
        self.add(format!("record {}", id.into_u64()));
    }
    fn record_follows_from(&self, id: &Id, follows: &Id) {
        self.add(format!("{} follows {}", id.into_u64(), follows.into_u64()));
    }
    fn event(&self, event: &Event<'_>) {
        let inside = self.inside.lock().unwrap().last().map_or("-".to_owned(), u64::to_string);
        self.add(format!("event {} in {inside}", event.metadata().level()));
    }
    fn enter(&self, id: &Id) {
        self.inside.lock().unwrap().push(id.into_u64());
    }
    fn exit(&self, id: &Id) {
        assert_eq!(self.inside.lock().unwrap().pop(), Some(id.into_u64()));
    }
    fn try_close(&self, id: Id) -> bool {
        self.add(format!("close {}", id.into_u64()));
        true
    }
}

#[test]
fn a_subscriber_in_force_before_gets_what_it_asks_for_too() {
    let recorder = Recorder::new(Level::INFO);
    let mine = recorder.clone();
    tracing::subscriber::with_default(recorder.clone(), || {
        let outcome = run(Some(1), "listened to", async |t: Test, _: Mailbox<()>| {
            tracing::debug!("for the test alone");
            let outer = tracing::info_span!("outer", a = 1);
            outer.record("a", 2);
            outer.in_scope(|| tracing::warn!("for both"));
            let inner = tracing::info_span!(parent: &outer, "inner");
            let unheard = tracing::debug_span!(parent: &outer, "unheard");
            let below = tracing::info_span!(parent: &unheard, "below");
            inner.follows_from(&outer);
            inner.follows_from(&unheard);
            below.in_scope(|| tracing::info!(parent: &unheard, "with a parent that only the test knows"));
            drop((inner, unheard, below, outer));
            assert_eq!(t.logs().entries().len(), 3);
        });
        assert!(outcome.body.is_clean(), "{}", outcome.body);
    });
    let expected = [
        "span outer 100 in -",
        "record 100",
        "event WARN in 100",
        "span inner 103 in 100",
        "span below 104 in -",
        "103 follows 100",
        "event INFO in 104",
        "close 103",
        "close 104",
        "close 100",
    ];
    assert_eq!(mine.lines(), expected);
}

#[test]
fn a_test_inside_a_test_keeps_its_logs_to_itself() {
    let outer = Logs::new();
    let _entered = outer.enter();
    let outcome = run(Some(1), "inner", async |_: Test, _: Mailbox<()>| tracing::info!("inside"));
    assert_eq!((outcome.logs.entries().len(), outer.entries().len()), (1, 0));
}

#[test]
fn the_threads_of_a_test_are_left_as_they_were() {
    let logs = Logs::new();
    let before = tracing::enabled!(Level::INFO);
    drop(logs.enter());
    assert_eq!(tracing::enabled!(Level::INFO), before);
    run(None, "passes", async |_: Test, _: Mailbox<()>| {});
    assert_eq!(tracing::enabled!(Level::INFO), before);
}

#[test]
fn waiting_for_a_line_looks_back_and_ahead_and_fails_with_what_there_is() {
    passes(async |t: Test, _: Mailbox<()>| {
        tracing::info!("logged before");
        t.logs().wait_for("before").await;
        let writer = process::spawn(async |_: Mailbox<()>| {
            process::sleep(millis(2)).await;
            tracing::info!("logged later");
        });
        // What was taken is not found, and makes nobody miss what follows.
        t.logs().take();
        t.logs().wait_for("later").await;
        writer.wait().await;
    });
    let outcome = run(Some(1), "waits", async |t: Test, _: Mailbox<()>| {
        tracing::info!("something else");
        t.logs().wait_for("the right thing").await;
    });
    let message = support::panic_of(&outcome);
    assert!(message.starts_with("nothing with \"the right thing\" was logged within 5s ("), "{message}");
    assert!(message.contains("helpers_logs: something else"), "{message}");
}

#[test]
fn what_is_printed_is_a_line_an_entry() {
    let outcome = run(Some(1), "prints", async |_: Test, _: Mailbox<()>| {
        process::sleep(millis(1_250)).await;
        tracing::info!(n = 1, "one");
        tracing::warn!("two");
    });
    let text = outcome.logs.to_string();
    assert_eq!(
        text,
        "    1.250s  INFO <0.1.1> helpers_logs: one n=1\n    1.250s  WARN <0.1.1> helpers_logs: two\n"
    );
}
