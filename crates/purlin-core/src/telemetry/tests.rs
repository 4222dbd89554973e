//! Telemetry keeps what its documentation promises: order, isolation of failing handlers, reentrancy, laziness, exact spans.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::{ExitReason, Pid};

const PLACED: EventName = &["shop", "order", "placed"];
const PAID: EventName = &["shop", "order", "paid"];
const WORK: EventName = &["shop", "work"];
const WORK_START: EventName = &["shop", "work", "start"];
const WORK_STOP: EventName = &["shop", "work", "stop"];
const WORK_EXCEPTION: EventName = &["shop", "work", "exception"];

/// A registry, its clock, and a log that test handlers write to.
struct Fixture {
    telemetry: Arc<Telemetry>,
    clock: Arc<AtomicU64>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    fn new() -> Fixture {
        let clock = Arc::new(AtomicU64::new(0));
        let reads = clock.clone();
        let telemetry = Arc::new(Telemetry::new(Arc::new(move || reads.load(Ordering::Relaxed))));
        Fixture { telemetry, clock, log: Arc::default() }
    }

    /// Attaches a handler that writes the event's text to the log.
    fn record(&self, id: &str, events: &[EventName]) {
        let log = self.log.clone();
        let name = id.to_owned();
        self.telemetry
            .attach_many(id, events, move |event| {
                let last = event.name.last().copied().unwrap_or_default();
                let text = format!("{name}: {last} {} {}", event.measurements, event.metadata);
                log.lock().unwrap().push(text.trim_end().to_owned());
            })
            .unwrap();
    }

    fn fire(&self, event: EventName) {
        self.telemetry.execute(event, &Measurements::new(), &Metadata::new());
    }

    fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis * 1_000_000, Ordering::Relaxed);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn ids(&self, prefix: &[&str]) -> Vec<String> {
        self.telemetry
            .list_handlers(prefix)
            .iter()
            .map(|h| format!("{} {}", h.id, h.event.join(".")))
            .collect()
    }
}

#[test]
fn a_handler_sees_name_measurements_and_metadata_of_its_event_only() {
    let t = Fixture::new();
    t.record("a", &[PLACED]);
    t.telemetry.execute(PLACED, &[("cents", 5u64.into())].into(), &[("who", "Ada".into())].into());
    t.fire(PAID);
    t.fire(&["shop", "order"]);
    t.fire(&["shop", "order", "placed", "twice"]);
    assert_eq!(t.take(), ["a: placed cents=5 who=Ada"]);
}

#[test]
fn names_are_compared_by_content() {
    let t = Fixture::new();
    t.record("a", &[PLACED]);
    let built = vec!["shop", "order", "placed"];
    assert!(t.telemetry.has_handlers(&built));
    t.telemetry.execute(&built, &Measurements::new(), &Metadata::new());
    assert_eq!(t.take(), ["a: placed"]);
}

#[test]
fn handlers_run_in_attach_order() {
    let t = Fixture::new();
    for id in ["c", "a", "d", "b"] {
        t.record(id, &[PLACED]);
    }
    t.telemetry.detach("d").unwrap();
    t.record("d", &[PLACED]);
    t.fire(PLACED);
    assert_eq!(t.take(), ["c: placed", "a: placed", "b: placed", "d: placed"]);
}

#[test]
fn an_id_can_be_attached_only_once_and_the_error_names_it() {
    let t = Fixture::new();
    t.record("a", &[PLACED]);
    let error = t.telemetry.attach_many("a", &[PAID], |_| {}).unwrap_err();
    assert_eq!(error, AlreadyExists { id: "a".to_owned() });
    assert!(error.to_string().contains("\"a\""), "{error}");
    assert!(!t.telemetry.has_handlers(PAID));
    t.telemetry.detach("a").unwrap();
    t.telemetry.attach("a", PAID, |_| {}).unwrap();
}

#[test]
fn detaching_removes_a_handler_from_all_its_events_and_only_once() {
    let t = Fixture::new();
    t.record("a", &[PLACED, PAID]);
    t.record("b", &[PAID]);
    t.telemetry.detach("a").unwrap();
    t.fire(PLACED);
    t.fire(PAID);
    assert_eq!(t.take(), ["b: paid"]);
    assert_eq!(t.telemetry.detach("a"), Err(NotFound { id: "a".to_owned() }));
}

#[test]
fn an_event_listed_twice_counts_once_and_an_empty_list_leaves_the_id_free() {
    let t = Fixture::new();
    t.record("a", &[PLACED, PAID, PLACED]);
    t.fire(PLACED);
    assert_eq!(t.take(), ["a: placed"]);
    t.telemetry.attach_many("b", &[], |_| {}).unwrap();
    t.telemetry.attach("b", PAID, |_| {}).unwrap();
}

#[test]
fn handlers_are_listed_by_prefix_in_attach_order() {
    let t = Fixture::new();
    t.record("z", &[WORK_STOP, PLACED]);
    t.record("a", &[PLACED]);
    assert_eq!(t.ids(&["shop", "order"]), ["z shop.order.placed", "a shop.order.placed"]);
    assert_eq!(t.ids(&[]).len(), 3);
    assert_eq!(t.ids(PLACED).len(), 2);
    assert!(t.ids(&["sho"]).is_empty(), "segments are compared whole");
    assert!(format!("{:?}", t.telemetry).contains("\"placed\""));
}

#[test]
fn without_a_handler_nothing_is_made() {
    let t = Fixture::new();
    let lazy = |event: EventName| {
        let made = Cell::new(false);
        t.telemetry.execute_with(event, || {
            made.set(true);
            ((), ())
        });
        made.get()
    };
    assert!(!lazy(PLACED));
    assert_eq!(t.telemetry.filter.load(Ordering::Relaxed), 0);
    t.record("a", &[PLACED]);
    assert!(lazy(PLACED));
    assert!(!lazy(PAID));
    t.telemetry.detach("a").unwrap();
    assert!(!lazy(PLACED));
    assert_eq!(t.telemetry.filter.load(Ordering::Relaxed), 0);
}

#[test]
fn has_handlers_is_exact_even_when_fingerprints_collide() {
    let t = Fixture::new();
    let twin: EventName = &["shop", "order", "parted"];
    assert_eq!(fingerprint(twin.iter()), fingerprint(PLACED.iter()), "a pair made to collide");
    t.record("a", &[PLACED]);
    assert!(t.telemetry.has_handlers(PLACED));
    assert!(!t.telemetry.has_handlers(twin));
    t.fire(twin);
    assert!(t.take().is_empty());
}

#[test]
fn fingerprints_tell_most_of_our_events_apart() {
    let bits = events::ALL.iter().fold(0, |bits, e| bits | fingerprint(e.iter()));
    assert!(u64::count_ones(bits) as usize >= events::ALL.len() * 3 / 4, "{}", u64::count_ones(bits));
}

#[test]
fn a_panicking_handler_is_detached_everywhere_and_reported_while_the_others_run() {
    let t = Fixture::new();
    t.record("first", &[PLACED]);
    t.telemetry.attach_many("bad", &[PLACED, PAID], |_| panic!("no {}", "tea")).unwrap();
    t.record("last", &[PLACED]);
    t.record("watch", &[events::TELEMETRY_HANDLER_FAILURE]);
    t.pass(7);
    t.fire(PLACED);
    let failure = "watch: failure monotonic_time=7ms event_name=shop.order.placed handler_id=bad kind=panic reason=no tea";
    assert_eq!(t.take(), ["first: placed", failure, "last: placed"]);
    assert!(!t.telemetry.has_handlers(PAID));
    t.fire(PLACED);
    assert_eq!(t.take(), ["first: placed", "last: placed"]);
}

#[test]
fn a_handler_of_the_failure_event_that_panics_is_detached_too() {
    let t = Fixture::new();
    t.telemetry.attach("bad", PLACED, |_| panic!("one")).unwrap();
    t.telemetry.attach("worse", events::TELEMETRY_HANDLER_FAILURE, |_| panic!("two")).unwrap();
    t.record("watch", &[events::TELEMETRY_HANDLER_FAILURE]);
    t.fire(PLACED);
    let log = t.take();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].contains("handler_id=worse") && log[0].ends_with("reason=two"), "{log:?}");
    assert!(log[1].contains("handler_id=bad") && log[1].ends_with("reason=one"), "{log:?}");
    assert_eq!(t.ids(&[]), ["watch telemetry.handler.failure"]);
}

#[test]
fn a_panic_detaches_only_the_attachment_that_panicked() {
    let t = Fixture::new();
    let telemetry = Arc::downgrade(&t.telemetry);
    t.telemetry
        .attach("a", PLACED, move |_| {
            let telemetry = telemetry.upgrade().unwrap();
            telemetry.detach("a").unwrap();
            telemetry.attach("a", PAID, |_| {}).unwrap();
            panic!("after handing the id over");
        })
        .unwrap();
    t.fire(PLACED);
    assert_eq!(t.ids(&[]), ["a shop.order.paid"]);
}

#[test]
fn a_panic_payload_that_is_no_text_or_panics_when_dropped_is_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the payload's destructor");
        }
    }
    let t = Fixture::new();
    t.record("watch", &[events::TELEMETRY_HANDLER_FAILURE]);
    t.telemetry.attach("bad", PLACED, |_| std::panic::panic_any(Bomb)).unwrap();
    t.fire(PLACED);
    assert!(t.take()[0].ends_with("reason=a panic without a text"));
}

#[test]
fn a_handler_may_attach_detach_and_execute_inside_itself() {
    let t = Fixture::new();
    let telemetry = Arc::downgrade(&t.telemetry);
    let log = t.log.clone();
    t.telemetry
        .attach("once", PLACED, move |_| {
            let telemetry = telemetry.upgrade().unwrap();
            telemetry.detach("once").unwrap();
            let log = log.clone();
            telemetry.attach("next", PAID, move |_| log.lock().unwrap().push("next".to_owned())).unwrap();
            telemetry.execute(PAID, &Measurements::new(), &Metadata::new());
            assert_eq!(telemetry.list_handlers(&[]).len(), 2);
        })
        .unwrap();
    t.record("other", &[PLACED]);
    t.fire(PLACED);
    assert_eq!(t.take(), ["next", "other: placed"]);
    assert_eq!(t.ids(&[]), ["other shop.order.placed", "next shop.order.paid"]);
}

#[test]
fn a_handler_attached_while_an_event_runs_sees_the_next_one() {
    let t = Fixture::new();
    let telemetry = Arc::downgrade(&t.telemetry);
    let late = Arc::new(AtomicUsize::new(0));
    let count = late.clone();
    t.telemetry
        .attach("a", PLACED, move |_| {
            let count = count.clone();
            let handler = move |_: &Event<'_>| {
                count.fetch_add(1, Ordering::Relaxed);
            };
            // The second time the id is taken, which is fine here.
            let _ = telemetry.upgrade().unwrap().attach("late", PLACED, handler);
        })
        .unwrap();
    t.fire(PLACED);
    assert_eq!(late.load(Ordering::Relaxed), 0);
    t.fire(PLACED);
    assert_eq!(late.load(Ordering::Relaxed), 1);
}

#[test]
fn what_a_handler_owns_may_use_telemetry_when_it_is_dropped() {
    struct Owned(Weak<Telemetry>, Arc<AtomicUsize>);
    impl Drop for Owned {
        fn drop(&mut self) {
            if let Some(telemetry) = self.0.upgrade() {
                self.1.store(telemetry.list_handlers(&[]).len() + 1, Ordering::Relaxed);
                telemetry.attach("from the destructor", PAID, |_| {}).unwrap();
            }
        }
    }
    let t = Fixture::new();
    let listed = Arc::new(AtomicUsize::new(0));
    let owned = Owned(Arc::downgrade(&t.telemetry), listed.clone());
    t.telemetry.attach("a", PLACED, move |_| drop(Weak::clone(&owned.0))).unwrap();
    t.telemetry.detach("a").unwrap();
    assert_eq!(listed.load(Ordering::Relaxed), 1);
    assert!(t.telemetry.has_handlers(PAID));
}

#[test]
fn executing_while_others_attach_and_detach_loses_no_event_of_a_handler_that_stays() {
    const ROUNDS: usize = 2_000;
    let t = Fixture::new();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    t.telemetry
        .attach("stays", PLACED, move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    let barrier = Barrier::new(3);
    std::thread::scope(|scope| {
        for id in ["x", "y"] {
            let (telemetry, barrier) = (&t.telemetry, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..ROUNDS {
                    telemetry.attach_many(id, &[PLACED, PAID], |_| {}).unwrap();
                    telemetry.detach(id).unwrap();
                }
            });
        }
        barrier.wait();
        for _ in 0..ROUNDS {
            t.fire(PLACED);
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), ROUNDS);
    assert_eq!(t.ids(&[]), ["stays shop.order.placed"]);
}

#[test]
fn a_span_reports_start_and_stop_with_its_duration() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    t.pass(10);
    let result = t.telemetry.span(WORK, [("id", 1u64.into())], || {
        t.pass(5);
        "done"
    });
    assert_eq!(result, "done");
    assert_eq!(
        t.take(),
        [
            "a: start monotonic_time=10ms id=1 telemetry_span_context=0",
            "a: stop duration=5ms monotonic_time=15ms id=1 telemetry_span_context=0",
        ]
    );
    t.telemetry.span(WORK, [("telemetry_span_context", "mine".into())], || {});
    assert!(t.take().iter().all(|line| line.ends_with("telemetry_span_context=mine")));
}

#[test]
fn a_span_can_be_described_by_its_result() {
    let t = Fixture::new();
    t.record("a", &[WORK_STOP]);
    let result = t.telemetry.span_with(
        WORK,
        [("state", "unknown".into())],
        || Ok::<u64, ()>(4),
        |r| ([("rows", r.unwrap_or(0).into())], [("state", if r.is_ok() { "fine" } else { "bad" }.into())]),
    );
    assert_eq!(result, Ok(4));
    assert_eq!(
        t.take(),
        ["a: stop duration=0ns monotonic_time=0ns rows=4 state=fine telemetry_span_context=0"]
    );
}

#[test]
fn a_panic_ends_a_span_with_an_exception_and_goes_on() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        t.telemetry.span(WORK, (), || {
            t.pass(3);
            panic!("boom");
        })
    }));
    assert_eq!(panic_text(&*caught.unwrap_err()), "boom");
    let log = t.take();
    assert_eq!(log.len(), 2);
    assert_eq!(
        log[1],
        "a: exception duration=3ms monotonic_time=3ms telemetry_span_context=0 kind=panic reason=boom"
    );
}

#[test]
fn a_panic_while_describing_a_span_is_its_exception() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        t.telemetry.span_with(WORK, (), || 1, |_| -> ((), ()) { panic!("cannot say") })
    }));
    assert!(caught.is_err());
    let log = t.take();
    assert_eq!(log.len(), 2);
    assert!(
        log[1].starts_with("a: exception") && log[1].ends_with("kind=panic reason=cannot say"),
        "{log:?}"
    );
}

#[test]
fn a_span_nobody_listened_to_at_its_start_stays_silent() {
    let t = Fixture::new();
    let described = Cell::new(false);
    t.telemetry.span_with(
        WORK,
        (),
        || t.record("late", &[WORK_STOP]),
        |()| {
            described.set(true);
            ((), ())
        },
    );
    assert!(t.take().is_empty());
    assert!(!described.get());
}

#[test]
fn a_span_with_a_listener_for_the_exception_only_reports_that() {
    let t = Fixture::new();
    t.record("a", &[WORK_EXCEPTION]);
    t.telemetry.span(WORK, (), || {});
    assert!(t.take().is_empty());
    let caught = catch_unwind(AssertUnwindSafe(|| t.telemetry.span(WORK, (), || panic!("boom"))));
    assert!(caught.is_err());
    assert_eq!(t.take().len(), 1);
}

/// Polls a future once with a waker that does nothing.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Pending until the flag is set.
async fn until(flag: &AtomicBool) {
    std::future::poll_fn(|_| if flag.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

#[test]
fn an_asynchronous_span_starts_at_its_first_poll_and_counts_the_waiting() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    let flag = AtomicBool::new(false);
    let mut span = Box::pin(t.telemetry.span_async_with(
        WORK,
        (),
        async {
            until(&flag).await;
            7u64
        },
        |n| ([("n", (*n).into())], ()),
    ));
    assert!(t.take().is_empty());
    t.pass(1);
    assert_eq!(poll_once(span.as_mut()), Poll::Pending);
    assert_eq!(t.take(), ["a: start monotonic_time=1ms telemetry_span_context=0"]);
    t.pass(20);
    flag.store(true, Ordering::Relaxed);
    assert_eq!(poll_once(span.as_mut()), Poll::Ready(7));
    drop(span);
    assert_eq!(t.take(), ["a: stop duration=20ms monotonic_time=21ms n=7 telemetry_span_context=0"]);
}

#[test]
fn an_asynchronous_span_reports_a_panic_and_passes_it_on() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    let mut span = Box::pin(t.telemetry.span_async(WORK, (), async { panic!("boom") }));
    let caught = catch_unwind(AssertUnwindSafe(|| poll_once(span.as_mut())));
    assert_eq!(panic_text(&*caught.unwrap_err()), "boom");
    drop(span);
    let log = t.take();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[1].ends_with("kind=panic reason=boom"));
}

#[test]
fn an_asynchronous_span_dropped_half_way_is_cancelled_and_one_never_polled_is_silent() {
    let t = Fixture::new();
    t.record("a", &[WORK_START, WORK_STOP, WORK_EXCEPTION]);
    drop(t.telemetry.span_async(WORK, (), async {}));
    assert!(t.take().is_empty());
    let flag = AtomicBool::new(false);
    let mut span = Box::pin(t.telemetry.span_async(WORK, (), until(&flag)));
    assert_eq!(poll_once(span.as_mut()), Poll::Pending);
    t.pass(2);
    drop(span);
    let log = t.take();
    assert_eq!(log.len(), 2);
    assert_eq!(
        log[1],
        "a: exception duration=2ms monotonic_time=2ms telemetry_span_context=0 kind=cancelled"
    );
}

#[test]
fn a_span_cancelled_by_a_panic_elsewhere_survives_a_panicking_handler() {
    let t = Fixture::new();
    t.telemetry.attach("bad", WORK_EXCEPTION, |_| panic!("second panic, in a destructor")).unwrap();
    let flag = AtomicBool::new(false);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut span = Box::pin(t.telemetry.span_async(WORK, (), until(&flag)));
        assert_eq!(poll_once(span.as_mut()), Poll::Pending);
        panic!("first panic");
    }));
    assert_eq!(panic_text(&*caught.unwrap_err()), "first panic");
    assert!(t.ids(&[]).is_empty());
}

#[test]
fn an_asynchronous_span_can_move_between_threads() {
    fn assert_send<T: Send>(_: &T) {}
    let t = Fixture::new();
    assert_send(&t.telemetry.span_async(WORK, [("id", 1u64.into())], async { 1 }));
}

#[test]
fn measures_convert_without_lying() {
    assert_eq!(Measure::from(3u8).as_i64(), Some(3));
    assert_eq!(Measure::from(-3i32).as_u64(), None);
    assert_eq!(Measure::from(u64::MAX).as_i64(), None);
    assert_eq!(Measure::from(1.5f32).as_f64(), 1.5);
    assert_eq!(Measure::from(2.0f64).as_u64(), None);
    assert_eq!(Measure::from(Duration::from_millis(1_500)).as_f64(), 1.5);
    assert_eq!(Measure::from(Duration::from_secs(1)).as_u64(), None);
    assert_eq!(Measure::from(7usize).as_duration(), None);
}

#[test]
fn values_are_read_as_what_they_are_and_nothing_else() {
    let pid = Pid::from_parts(0, 12, 1);
    let metadata = Metadata::new()
        .with("text", "static")
        .with("owned", String::from("made"))
        .with("pid", pid)
        .with("reason", ExitReason::Shutdown)
        .with("event", PLACED)
        .with("debug", Value::any(Some(1)))
        .with("time", Duration::from_secs(2))
        .with("on", true)
        .with("n", -1i64);
    assert_eq!(metadata.str("text"), Some("static"));
    assert_eq!(metadata.str("owned"), Some("made"));
    assert_eq!(metadata.str("pid"), None);
    assert_eq!(metadata.pid("pid"), Some(pid));
    assert!(matches!(metadata.reason("reason"), Some(ExitReason::Shutdown)));
    assert_eq!(metadata.get("event").and_then(Value::as_event), Some(PLACED));
    assert_eq!(metadata.get("debug").map(Value::to_string).as_deref(), Some("Some(1)"));
    assert_eq!(metadata.get("time").and_then(Value::as_duration), Some(Duration::from_secs(2)));
    assert_eq!(metadata.bool("on"), Some(true));
    assert_eq!(metadata.u64("n"), None);
    assert_eq!(metadata.get("n").and_then(Value::as_i64), Some(-1));
    assert_eq!(metadata.get("n").and_then(Value::as_f64), Some(-1.0));
    assert_eq!(metadata.len(), 9);
}

#[test]
fn a_key_holds_one_value_at_its_first_place() {
    let list =
        Measurements::from([("a", 1u64.into()), ("b", 2u64.into()), ("a", 3u64.into())]).with("b", 4u64);
    assert_eq!(list.to_string(), "a=3 b=4");
    assert_eq!(list.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
    assert!(Measurements::from(()).is_empty());
    assert_eq!(Metadata::new().with_some("a", Some(1u64)).with_some("b", None::<u64>).to_string(), "a=1");
}

#[test]
fn our_events_are_distinct_well_formed_and_all_listed() {
    let distinct: BTreeSet<EventName> = events::ALL.iter().copied().collect();
    assert_eq!(distinct.len(), events::ALL.len());
    for event in events::ALL {
        assert!(event[0] == "purlin" || *event == events::TELEMETRY_HANDLER_FAILURE, "{event:?}");
        assert!(
            event.iter().all(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
    }
    let declared = include_str!("events.rs").matches(": EventName = ").count();
    assert_eq!(declared, events::ALL.len());
}
