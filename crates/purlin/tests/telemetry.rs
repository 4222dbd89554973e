//! Proves that events reach the handlers that are attached to them, with their numbers and values, and that a failing handler harms nobody.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use purlin::prelude::*;
use purlin::telemetry::{
    AlreadyExists, Event, EventName, HandlerInfo, Measure, Measurements, Metadata, NotFound, Telemetry,
    Value, events,
};

const PLACED: EventName = &["shop", "order", "placed"];
const PAID: EventName = &["shop", "order", "paid"];

/// What handlers saw, as text.
type Seen = Arc<Mutex<Vec<String>>>;

fn writer(seen: &Seen) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let seen = seen.clone();
    move |event| {
        let text = format!("{}: {} | {}", event.name.join("."), event.measurements, event.metadata);
        seen.lock().unwrap().push(text);
    }
}

fn take(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[purlin::test]
async fn a_node_has_handlers_of_its_own() -> Result<()> {
    let (node, seen) = (Node::current(), Seen::default());
    let telemetry: &Telemetry = node.telemetry();
    telemetry.attach("one", PLACED, writer(&seen))?;
    assert_eq!(telemetry.attach("one", PAID, |_| {}), Err(AlreadyExists { id: "one".to_owned() }));
    assert!(telemetry.has_handlers(PLACED) && !telemetry.has_handlers(PAID));
    telemetry.execute(PLACED, &Measurements::new().with("cents", 5u64), &Metadata::new().with("by", "Ada"));
    telemetry.execute(PAID, &Measurements::new(), &Metadata::new());
    assert_eq!(take(&seen), ["shop.order.placed: cents=5 | by=Ada"]);

    telemetry.attach_many("both", &[PLACED, PAID], writer(&seen))?;
    telemetry.execute_with(PAID, || ((), [("by", "Joe".into())]));
    assert_eq!(take(&seen), ["shop.order.paid:  | by=Joe"]);
    let info = |id: &str, event| HandlerInfo { id: id.into(), event };
    assert_eq!(
        telemetry.list_handlers(&["shop"]),
        [info("one", PLACED), info("both", PAID), info("both", PLACED)]
    );
    telemetry.detach("both")?;
    assert_eq!(telemetry.detach("both"), Err(NotFound { id: "both".to_owned() }));
    assert_eq!(telemetry.list_handlers(&[]), [info("one", PLACED)]);
    telemetry.execute_with::<(), ()>(PAID, || panic!("nobody listens, so nobody is asked"));
    Ok(())
}

#[purlin::test]
async fn a_handler_that_panics_is_detached_and_reported_and_the_others_go_on() -> Result<()> {
    let (node, seen) = (Node::current(), Seen::default());
    node.telemetry().attach("bad", PLACED, |_| panic!("planned"))?;
    node.telemetry().attach_many("good", &[PLACED, events::TELEMETRY_HANDLER_FAILURE], {
        let seen = seen.clone();
        move |event| {
            let metadata = event.metadata;
            let failed = metadata.get("event_name").and_then(Value::as_event);
            let id = metadata.str("handler_id").unwrap_or("-").to_owned();
            seen.lock().unwrap().push(format!("{id} {failed:?} {:?}", metadata.str("reason")));
        }
    })?;
    for _ in 0..2 {
        node.telemetry().execute_with(PLACED, || ((), ()));
    }
    let failure = format!("bad {:?} Some(\"planned\")", Some(PLACED));
    assert_eq!(take(&seen), [failure.as_str(), "- None None", "- None None"]);
    assert!(node.telemetry().detach("bad").is_err());
    Ok(())
}

#[test]
fn a_span_tells_of_start_and_stop_with_its_duration() -> Result<()> {
    let clock = Arc::new(AtomicU64::new(0));
    let telemetry = Telemetry::new({
        let clock = clock.clone();
        Arc::new(move || clock.load(Ordering::Relaxed))
    });
    let seen = Seen::default();
    let names: [EventName; 3] =
        [&["shop", "bill", "start"], &["shop", "bill", "stop"], &["shop", "bill", "exception"]];
    telemetry.attach_many("log", &names, {
        let seen = seen.clone();
        move |event| {
            let duration = event.measurements.duration("duration");
            let (pages, kind) = (event.measurements.u64("pages"), event.metadata.str("kind"));
            let kept = event.metadata.u64("order") == Some(7);
            let text = format!("{} {duration:?} {pages:?} {kind:?} {kept}", event.name[2]);
            seen.lock().unwrap().push(text);
        }
    })?;
    let prefix = &["shop", "bill"];
    let order = || Metadata::from([("order", 7u64.into())]);
    let work = || {
        clock.fetch_add(1_000_000, Ordering::Relaxed);
        3u64
    };
    assert_eq!(telemetry.span(prefix, order(), work), 3);
    assert_eq!(take(&seen), ["start None None None true", "stop Some(1ms) None None true"]);
    telemetry.span_with(prefix, order(), work, |pages| ([("pages", (*pages).into())], ()));
    assert_eq!(take(&seen), ["start None None None true", "stop Some(1ms) Some(3) None true"]);

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        assert_eq!(telemetry.span_async(prefix, order(), async { 4 }).await, 4);
        let described =
            telemetry.span_async_with(prefix, order(), async { 5u64 }, |n| ([("pages", (*n).into())], ()));
        assert_eq!(described.await, 5);
    });
    assert_eq!(take(&seen)[3], "stop Some(0ns) Some(5) None true");
    let panicking = std::panic::AssertUnwindSafe(|| telemetry.span(prefix, order(), || panic!("planned")));
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(take(&seen)[1], "exception Some(0ns) None Some(\"panic\") true");
    Ok(())
}

#[test]
fn measurements_are_numbers_that_convert_without_loss() {
    let second = Duration::from_secs(1);
    let kinds = [Measure::U64(3), Measure::I64(-3), Measure::F64(0.5), Measure::Duration(second)];
    assert_eq!(kinds.map(Measure::as_u64), [Some(3), None, None, None]);
    assert_eq!(kinds.map(Measure::as_i64), [Some(3), Some(-3), None, None]);
    assert_eq!(kinds.map(Measure::as_f64), [3.0, -3.0, 0.5, 1.0]);
    assert_eq!(kinds.map(Measure::as_duration), [None, None, None, Some(second)]);

    let mut list = Measurements::new().with("rows", 3u64).with_some("none", None::<u64>);
    list.insert("rows", 4u64);
    list.extend([("share", 0.5.into())]);
    assert_eq!((list.len(), list.is_empty(), Measurements::new().is_empty()), (2, false, true));
    assert_eq!(list.iter().collect::<Vec<_>>(), [("rows", &Measure::U64(4)), ("share", &Measure::F64(0.5))]);
    assert_eq!((list.u64("rows"), list.f64("share"), list.get("none")), (Some(4), Some(0.5), None));
    assert_eq!(list.duration("rows"), None);
}

#[test]
fn metadata_are_values_of_a_kind_that_a_handler_can_read() {
    let pid = Pid::from_parts(0, 1, 2);
    let metadata = Metadata::new()
        .with("made", String::from("text"))
        .with("static", "text")
        .with("count", 3u64)
        .with("change", -3i64)
        .with("share", 0.5)
        .with("ok", true)
        .with("limit", Duration::from_secs(1))
        .with("pid", pid)
        .with("reason", ExitReason::Killed)
        .with("event", PLACED)
        .with("any", Value::any(vec![1, 2]))
        .with_some("none", None::<u64>);
    let kind = |key| match metadata.get(key).unwrap() {
        Value::Str(_) => "str",
        Value::Static(_) => "static",
        Value::U64(_) => "u64",
        Value::I64(_) => "i64",
        Value::F64(_) => "f64",
        Value::Bool(_) => "bool",
        Value::Duration(_) => "duration",
        Value::Pid(_) => "pid",
        Value::Reason(_) => "reason",
        Value::Event(_) => "event",
        Value::Any(_) => "any",
        _ => "new",
    };
    let kinds: Vec<_> = metadata.iter().map(|(key, _)| kind(key)).collect();
    let expected =
        ["str", "static", "u64", "i64", "f64", "bool", "duration", "pid", "reason", "event", "any"];
    assert_eq!(kinds, expected);
    let get = |key| metadata.get(key).unwrap();
    assert_eq!((get("made").as_str(), get("static").as_str()), (Some("text"), Some("text")));
    assert_eq!(
        (get("count").as_u64(), get("count").as_i64(), get("count").as_f64()),
        (Some(3), Some(3), Some(3.0))
    );
    assert_eq!((get("change").as_u64(), get("change").as_i64(), get("ok").as_i64()), (None, Some(-3), None));
    assert_eq!((get("ok").as_bool(), get("limit").as_duration()), (Some(true), Some(Duration::from_secs(1))));
    assert_eq!((get("pid").as_pid(), get("event").as_event()), (Some(pid), Some(PLACED)));
    assert_eq!(get("reason").as_reason(), Some(&ExitReason::Killed));
    assert_eq!((metadata.str("static"), metadata.u64("count")), (Some("text"), Some(3)));
    assert_eq!((metadata.bool("ok"), metadata.pid("pid")), (Some(true), Some(pid)));
    assert_eq!((metadata.reason("reason"), metadata.reason("pid")), (Some(&ExitReason::Killed), None));

    let mut other = Metadata::new();
    assert!(other.is_empty());
    other.insert("ok", false);
    other.extend(metadata.clone());
    assert_eq!((other.len(), other.bool("ok")), (11, Some(true)));
    assert_eq!(get("any").to_string(), "[1, 2]");
}
