//! The `tracing` subscriber behind [`Logs`](crate::Logs).
//!
//! Each test has one, set as the default of the threads of its runtime, so tests that run side by side share nothing. What a process-wide
//! cache of `tracing` could share all the same, it is kept from: see [`dispatch`].
//!
//! A subscriber that was in force before gets what it asks for: events as they are, spans under the ids that it gave them, which an open span
//! remembers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use purlin_core::{Node, process};
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, NoSubscriber, Subscriber};
use tracing::{Event, Metadata};
use tracing_core::span::Current;

use crate::logs::{LogEntry, LogsEntered, Shared};

/// Ids of spans begin here, so that an id of ours that reaches another subscriber by way of an event's explicit parent is none of its own.
const FIRST_ID: u64 = 1 << 63;

pub(crate) struct Capture {
    logs: Arc<Shared>,
    /// The subscriber in force when the test began.
    outer: Option<Dispatch>,
    next_id: AtomicU64,
    spans: Mutex<BTreeMap<u64, Span>>,
}

/// An open span.
struct Span {
    metadata: &'static Metadata<'static>,
    fields: Vec<(&'static str, String)>,
    parent: Option<u64>,
    /// Handles, and spans inside this one.
    users: usize,
    /// The same span in the outer subscriber.
    outer: Option<Id>,
}

thread_local! {
    /// The spans that this thread is in: subscriber and id.
    static INSIDE: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
    /// Of a runtime's thread: what captures its logs.
    static KEPT: RefCell<Option<LogsEntered>> = const { RefCell::new(None) };
}

/// Keeps the calling thread's logs captured until it ends.
pub(crate) fn keep(entered: LogsEntered) {
    KEPT.with(|kept| *kept.borrow_mut() = Some(entered));
}

pub(crate) fn keep_no_longer() -> Option<LogsEntered> {
    KEPT.with(|kept| kept.borrow_mut().take())
}

/// Registers a subscriber with `tracing`.
///
/// `tracing` remembers for each callsite whether anybody is interested in it. As long as there is a single subscriber in the program, it asks
/// the thread that reaches the callsite first; if that is a thread outside every test, the answer *never* holds for all of them. So there is
/// always a second subscriber, which no thread has, and all of them answer *sometimes*: each event asks the subscriber of its own thread.
pub(crate) fn dispatch(capture: Capture) -> Dispatch {
    static SECOND: OnceLock<Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| Dispatch::new(Undecided));
    Dispatch::new(capture)
}

/// Never the default of a thread. It is there to say *sometimes*.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(FIRST_ID)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Capture {
    pub(crate) fn new(logs: Arc<Shared>) -> Capture {
        let outer = dispatcher::get_default(|current| {
            let nobody = current.is::<NoSubscriber>() || current.is::<Capture>();
            (!nobody).then(|| current.clone())
        });
        Capture { logs, outer, next_id: AtomicU64::new(FIRST_ID), spans: Mutex::default() }
    }

    fn spans(&self) -> MutexGuard<'_, BTreeMap<u64, Span>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outer subscriber, if it wants what has this metadata. It is asked right before it is told: one with layers remembers its answer
    /// until then.
    fn outer_for(&self, metadata: &Metadata<'_>) -> Option<&Dispatch> {
        self.outer.as_ref().filter(|outer| outer.enabled(metadata))
    }

    /// The outer subscriber, with its id of a span.
    fn outer_span(&self, id: &Id) -> Option<(&Dispatch, Id)> {
        let outer = self.outer.as_ref()?;
        let id = self.spans().get(&id.into_u64())?.outer.clone()?;
        Some((outer, id))
    }

    fn me(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The span that this thread is in.
    fn inside(&self) -> Option<u64> {
        let me = self.me();
        INSIDE.with(|inside| inside.borrow().iter().rev().find(|(of, _)| *of == me).map(|(_, id)| *id))
    }

    /// A span with its parents, the outermost first.
    fn context(&self, innermost: Option<u64>) -> Vec<String> {
        let spans = self.spans();
        let mut context = Vec::new();
        let mut next = innermost;
        while let Some(span) = next.and_then(|id| spans.get(&id)) {
            context.push(span.to_string());
            next = span.parent;
        }
        context.reverse();
        context
    }

    fn parent(&self, explicit: Option<&Id>, contextual: bool) -> Option<u64> {
        match explicit {
            Some(id) => Some(id.into_u64()),
            None if contextual => self.inside(),
            None => None,
        }
    }
}

impl Subscriber for Capture {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logs.wants(metadata) || self.outer_for(metadata).is_some()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        // Values are made text here, outside the lock: that is code of the program.
        let mut text = Text::default();
        attributes.record(&mut text);
        let parent = self.parent(attributes.parent(), attributes.is_contextual());
        let outer = self.outer_for(metadata).map(|outer| match attributes.parent() {
            None => outer.new_span(attributes),
            Some(parent) => match self.outer_span(parent) {
                Some((_, parent)) => {
                    outer.new_span(&Attributes::child_of(parent, metadata, attributes.values()))
                },
                None => outer.new_span(&Attributes::new(metadata, attributes.values())),
            },
        });
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut spans = self.spans();
        if let Some(parent) = parent.and_then(|id| spans.get_mut(&id)) {
            parent.users += 1;
        }
        spans.insert(id, Span { metadata, fields: text.all(), parent, users: 1, outer });
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut text = Text::default();
        values.record(&mut text);
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            for (name, value) in text.all() {
                match span.fields.iter_mut().find(|(field, _)| *field == name) {
                    Some((_, old)) => *old = value,
                    None => span.fields.push((name, value)),
                }
            }
        }
        if let Some((outer, id)) = self.outer_span(id) {
            outer.record(&id, values);
        }
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        if let Some((outer, id)) = self.outer_span(id)
            && let Some((_, follows)) = self.outer_span(follows)
        {
            outer.record_follows_from(&id, &follows);
        }
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if let Some(outer) = self.outer_for(metadata) {
            outer.event(event);
        }
        if !self.logs.wants(metadata) {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let pid = process::self_pid();
        self.logs.add(LogEntry {
            level: *metadata.level(),
            target: metadata.target(),
            message: text.message,
            fields: text.fields,
            spans: self.context(self.parent(event.parent(), event.is_contextual())),
            pid,
            at: Node::try_current().map(|node| node.now()),
            process: pid.map(|pid| pid.to_string()).unwrap_or_default(),
        });
    }

    fn enter(&self, id: &Id) {
        INSIDE.with(|inside| inside.borrow_mut().push((self.me(), id.into_u64())));
        if let Some((outer, id)) = self.outer_span(id) {
            outer.enter(&id);
        }
    }

    fn exit(&self, id: &Id) {
        let entry = (self.me(), id.into_u64());
        INSIDE.with(|inside| {
            let mut inside = inside.borrow_mut();
            if let Some(at) = inside.iter().rposition(|one| *one == entry) {
                inside.remove(at);
            }
        });
        if let Some((outer, id)) = self.outer_span(id) {
            outer.exit(&id);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.users += 1;
        }
        if let Some((outer, id)) = self.outer_span(id) {
            outer.clone_span(&id);
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        if let Some((outer, id)) = self.outer_span(&id) {
            outer.try_close(id);
        }
        let mut closed = Vec::new();
        let mut spans = self.spans();
        let mut next = Some(id.into_u64());
        while let Some(id) = next.take() {
            let Some(span) = spans.get_mut(&id) else { break };
            span.users -= 1;
            if span.users == 0 {
                next = span.parent;
                closed.extend(spans.remove(&id));
            }
        }
        drop(spans);
        !closed.is_empty()
    }

    fn current_span(&self) -> Current {
        let Some(id) = self.inside() else { return Current::none() };
        match self.spans().get(&id) {
            Some(span) => Current::new(Id::from_u64(id), span.metadata),
            None => Current::none(),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metadata.name())?;
        for (index, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { "{" } else { " " })?;
        }
        if self.fields.is_empty() { Ok(()) } else { f.write_char('}') }
    }
}

/// The fields of an event or span as text.
#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Text {
    /// The message is a field like any other in a span.
    fn all(mut self) -> Vec<(&'static str, String)> {
        if !self.message.is_empty() {
            self.fields.insert(0, ("message", self.message));
        }
        self.fields
    }

    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}
