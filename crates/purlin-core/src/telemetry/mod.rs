//! Events for metrics, logs and tests: Elixir's `:telemetry`, one registry of handlers per node.
//!
//! Code that does something worth knowing *executes* an event: a name, some measurements (numbers) and some metadata
//! (everything else). Code that wants to know *attaches* a handler, a closure that runs at once, on the thread and in the
//! process that executed the event. Neither knows the other. Purlin's own components execute the events listed in
//! [`events`]; libraries and applications add theirs under their own first segment.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use purlin_core::telemetry::{Measurements, Metadata, Telemetry};
//!
//! // A node owns one; its clock is the node's clock. Here it is made by hand.
//! let telemetry = Telemetry::new(Arc::new(|| 0));
//!
//! let seen = Arc::new(Mutex::new(Vec::new()));
//! let log = seen.clone();
//! telemetry.attach("order-log", &["shop", "order", "placed"], move |event| {
//!     let total = event.measurements.u64("cents").unwrap_or(0);
//!     let customer = event.metadata.str("customer").unwrap_or("?");
//!     log.lock().unwrap().push(format!("{customer} paid {total}"));
//! })?;
//!
//! telemetry.execute(
//!     &["shop", "order", "placed"],
//!     &Measurements::new().with("cents", 1_999u64),
//!     &Metadata::new().with("customer", "Ada"),
//! );
//! assert_eq!(*seen.lock().unwrap(), ["Ada paid 1999"]);
//!
//! telemetry.detach("order-log")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Events
//!
//! A name is a slice of segments, from the general to the particular: `&["shop", "order", "placed"]`. It is compared by
//! content, so the emitter and the handler need not share a constant, though sharing one avoids typing mistakes.
//! Measurements are numbers that can be summed or put in a histogram ([`Measure`]); metadata is what one groups or filters
//! by ([`Value`]). Both keep the order in which they were given, and hold one value per key.
//!
//! Use [`Telemetry::execute_with`] where the event is rarely listened to: its closure runs only if somebody is.
//!
//! # Spans
//!
//! [`Telemetry::span`] and [`Telemetry::span_async`] execute two events around a piece of work:
//!
//! | event | when | measurements | metadata |
//! |---|---|---|---|
//! | prefix + `start` | before | `monotonic_time` (duration since the node started) | as given |
//! | prefix + `stop` | it returned | `duration`, `monotonic_time` | as given, plus what `span_with` adds |
//! | prefix + `exception` | it panicked, or its future was dropped half-way | `duration`, `monotonic_time` | as given, plus `kind` (`"panic"` or `"cancelled"`) and, for a panic, `reason` |
//!
//! Each also carries `telemetry_span_context`, a number unique to the span, unless the given metadata has that key. There is
//! exactly one `stop` or `exception` for each `start`. An error that is *returned* is a normal `stop`; put it into the
//! metadata with [`Telemetry::span_with`].
//!
//! # Handlers
//!
//! * Handlers of an event run one after the other in the order in which they were attached, and all of them before `execute`
//!   returns. They run inside somebody else's work: keep them short; hand heavy work to a process by a cast.
//! * The handlers to run are determined when the event is executed. A handler may attach, detach and execute without
//!   deadlock; a handler that is detached while an event runs may still see this one event.
//! * A handler that **panics** is detached from all its events, the failure is logged by `tracing::error!`, and the event
//!   [`events::TELEMETRY_HANDLER_FAILURE`] is executed. The other handlers and the emitter notice nothing. (With
//!   `panic = "abort"` a panic ends the program, here as everywhere.)
//! * An id names one attachment, to one event or to several; attaching it again is an error, not a replacement.
//!
//! # Cost
//!
//! While no handler is attached at all, or none to an event that looks similar, executing costs one relaxed atomic load and
//! perhaps a few multiplications. An event somebody listens to costs a read lock, a lookup, and its handlers. Events are meant
//! for occurrences of at most some thousands a second per emitter: Purlin executes none per message; message counts are kept in
//! counters that the observer reads.
//!
//! # Differences from Elixir's `:telemetry`
//!
//! * The registry belongs to a node, not to the program: several nodes, or tests running in parallel, do not see each
//!   other's events.
//! * There is no handler configuration argument; the closure captures what it needs.
//! * Handlers run in attach order. Elixir promises no order.
//! * `start` has no `system_time`: a node has one clock, which a simulation can replace.
//! * A cancelled future ends its span with an `exception` of kind `"cancelled"`. Elixir's span just never stops when its
//!   process is killed.
//! * `stop` carries the metadata of `start`; in Elixir the function returns it anew.
//! * Failure events carry the panic's message as `reason` and no stack trace: the panic hook has reported that already.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub mod events;
mod span;
mod value;

pub use value::{Measure, Measurements, Metadata, Value};

/// The name of an event: its segments, from the general to the particular. Compared by content.
pub type EventName = &'static [&'static str];

/// Something that happened, as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The event's name; to be compared by content.
    pub name: EventName,
    /// The numbers.
    pub measurements: &'a Measurements,
    /// Everything else.
    pub metadata: &'a Metadata,
}

/// A handler as listed by [`Telemetry::list_handlers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerInfo {
    /// The id given to `attach`.
    pub id: Arc<str>,
    /// One of the events it is attached to.
    pub event: EventName,
}

/// `attach` failed: a handler with this id exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlreadyExists {
    /// The id that is taken.
    pub id: String,
}

impl fmt::Display for AlreadyExists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a telemetry handler with the id {:?} is attached already; detach it first or choose another id",
            self.id
        )
    }
}

impl std::error::Error for AlreadyExists {}

/// `detach` failed: no handler with this id exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// The id that was looked for.
    pub id: String,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no telemetry handler with the id {:?} is attached (one that panics is detached)", self.id)
    }
}

impl std::error::Error for NotFound {}

type Handler = dyn Fn(&Event<'_>) + Send + Sync;
type Clock = dyn Fn() -> u64 + Send + Sync;

/// The telemetry registry of one node. See the [module documentation](self).
pub struct Telemetry {
    /// One bit per fingerprint of an event with handlers; 0 when there is no handler. A hint that errs on the safe side:
    /// written under the write lock of `table`, read without any.
    filter: AtomicU64,
    /// An event without handlers has no entry. Lists are replaced, never changed, so a running `execute` keeps its own.
    table: RwLock<BTreeMap<EventName, Arc<[Attached]>>>,
    /// Numbers attachments.
    attachments: AtomicU64,
    /// Numbers spans.
    spans: AtomicU64,
    /// Nanoseconds since the node started.
    clock: Arc<Clock>,
}

#[derive(Clone)]
struct Attached {
    /// Unique to the call of `attach`: an id can be attached, detached and attached again.
    attachment: u64,
    id: Arc<str>,
    handler: Arc<Handler>,
}

impl Telemetry {
    /// An empty registry. `clock` tells the nanoseconds since some fixed moment (a node passes the time since it started, real
    /// or simulated) and never goes back; it is used by spans and failure events only.
    pub fn new(clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Telemetry {
        Telemetry {
            filter: AtomicU64::new(0),
            table: RwLock::new(BTreeMap::new()),
            attachments: AtomicU64::new(0),
            spans: AtomicU64::new(0),
            clock,
        }
    }

    /// Attaches `handler` to an event. It runs at each execution of the event until it is detached or panics.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`] if a handler with this id is attached to any event.
    pub fn attach<H>(&self, id: impl Into<String>, event: EventName, handler: H) -> Result<(), AlreadyExists>
    where
        H: Fn(&Event<'_>) + Send + Sync + 'static,
    {
        self.attach_many(id, &[event], handler)
    }

    /// Attaches one handler to several events at once. Detaching, or a panic in any of them, removes it from all. An event
    /// listed twice counts once; with an empty list nothing is attached and the id stays free.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`] if a handler with this id is attached to any event; nothing is attached then.
    pub fn attach_many<H>(
        &self,
        id: impl Into<String>,
        events: &[EventName],
        handler: H,
    ) -> Result<(), AlreadyExists>
    where
        H: Fn(&Event<'_>) + Send + Sync + 'static,
    {
        let id = id.into();
        let attached = Attached {
            attachment: self.attachments.fetch_add(1, Ordering::Relaxed),
            id: id.as_str().into(),
            handler: Arc::new(handler),
        };
        // Dropped after the lock is released: the last owner of a list drops closures, which run the user's code.
        let mut replaced = Vec::new();
        let mut table = self.write();
        if table.values().any(|list| list.iter().any(|a| *a.id == *id)) {
            drop(table);
            return Err(AlreadyExists { id });
        }
        for &event in events {
            let list = table.entry(event).or_insert_with(|| Arc::new([]));
            if list.last().is_some_and(|last| last.attachment == attached.attachment) {
                continue;
            }
            let longer = list.iter().chain([&attached]).cloned().collect();
            replaced.push(std::mem::replace(list, longer));
        }
        self.update_filter(&table);
        drop(table);
        Ok(())
    }

    /// Removes a handler from all its events.
    ///
    /// # Errors
    ///
    /// [`NotFound`] if there is none with this id.
    pub fn detach(&self, id: &str) -> Result<(), NotFound> {
        if self.remove(|attached| *attached.id == *id) { Ok(()) } else { Err(NotFound { id: id.to_owned() }) }
    }

    /// The handlers of all events whose names begin with `prefix`, in attach order; an empty prefix lists all. A handler
    /// attached to several events is listed once for each.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::telemetry::events;
    /// let telemetry = node.telemetry();
    /// telemetry.attach("exits", events::PROCESS_EXIT, |event| println!("{:?}", event.metadata.reason("reason"))).unwrap();
    /// assert!(telemetry.has_handlers(events::PROCESS_EXIT));
    /// let handlers = telemetry.list_handlers(&["purlin", "process"]);
    /// assert_eq!((&*handlers[0].id, handlers[0].event), ("exits", events::PROCESS_EXIT));
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn list_handlers(&self, prefix: &[&str]) -> Vec<HandlerInfo> {
        let table = self.read();
        let mut found: Vec<(u64, HandlerInfo)> = table
            .iter()
            .filter(|(event, _)| event.starts_with(prefix))
            .flat_map(|(event, list)| list.iter().map(move |a| (event, a)))
            .map(|(event, a)| (a.attachment, HandlerInfo { id: a.id.clone(), event }))
            .collect();
        drop(table);
        found.sort_by_key(|(attachment, _)| *attachment);
        found.into_iter().map(|(_, info)| info).collect()
    }

    /// Whether any handler is attached to the event.
    pub fn has_handlers(&self, event: &[&'static str]) -> bool {
        self.may_have_handlers(event) && self.read().contains_key(event)
    }

    /// Runs the handlers of an event, in attach order, and returns when the last has returned.
    #[inline]
    pub fn execute(&self, event: &[&'static str], measurements: &Measurements, metadata: &Metadata) {
        if self.may_have_handlers(event)
            && let Some((name, list)) = self.handlers(event)
        {
            self.run(name, &list, measurements, metadata);
        }
    }

    /// Like [`execute`](Self::execute), but measurements and metadata are made only if somebody listens. Each may be a
    /// [`Measurements`] or [`Metadata`], an array of pairs, or `()` for none:
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # let telemetry = purlin_core::telemetry::Telemetry::new(Arc::new(|| 0));
    /// telemetry.execute_with(&["shop", "stock", "low"], || ([("left", 3u64.into())], [("article", "tea".into())]));
    /// ```
    #[inline]
    pub fn execute_with<M, D>(&self, event: &[&'static str], data: impl FnOnce() -> (M, D))
    where
        M: Into<Measurements>,
        D: Into<Metadata>,
    {
        if self.may_have_handlers(event)
            && let Some((name, list)) = self.handlers(event)
        {
            let (measurements, metadata) = data();
            self.run(name, &list, &measurements.into(), &metadata.into());
        }
    }

    /// The hint: `false` is certain. Without any handler, one relaxed load; a thread sees its own changes, and those of
    /// another thread as soon as it has heard of them by any synchronisation.
    #[inline]
    fn may_have_handlers(&self, event: &[&'static str]) -> bool {
        let filter = self.filter.load(Ordering::Relaxed);
        filter != 0 && filter & fingerprint(event.iter()) != 0
    }

    /// The handlers of an event, under the name they were attached with.
    #[cold]
    fn handlers(&self, event: &[&'static str]) -> Option<(EventName, Arc<[Attached]>)> {
        self.read().get_key_value(event).map(|(name, list)| (*name, list.clone()))
    }

    fn run(&self, name: EventName, list: &[Attached], measurements: &Measurements, metadata: &Metadata) {
        let event = Event { name, measurements, metadata };
        for attached in list {
            // The handler is not called again, so whatever the panic left half-done in it is out of reach.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (attached.handler)(&event))) {
                self.handler_failed(attached, name, payload);
            }
        }
    }

    #[cold]
    fn handler_failed(&self, attached: &Attached, event: EventName, payload: Box<dyn Any + Send>) {
        // By attachment, not by id: the id may have been given to a new handler meanwhile, which is innocent.
        self.remove(|other| other.attachment == attached.attachment);
        let reason = panic_text(&*payload);
        // A payload may be of the user's own type, and its destructor may panic in turn.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        tracing::error!(
            handler = &*attached.id,
            event = event.join("."),
            reason = &*reason,
            "a telemetry handler panicked and has been detached"
        );
        // A handler of this event that panics comes here again, but is detached by then: the recursion ends.
        self.execute_with(events::TELEMETRY_HANDLER_FAILURE, || {
            (
                [("monotonic_time", self.monotonic_time().into())],
                [
                    ("event_name", event.into()),
                    ("handler_id", attached.id.clone().into()),
                    ("kind", "panic".into()),
                    ("reason", reason.into()),
                ],
            )
        });
    }

    /// Removes attachments; whether there were any.
    fn remove(&self, condemned: impl Fn(&Attached) -> bool) -> bool {
        let mut replaced = Vec::new();
        let mut table = self.write();
        table.retain(|_, list| {
            if list.iter().any(&condemned) {
                let shorter = list.iter().filter(|a| !condemned(a)).cloned().collect();
                replaced.push(std::mem::replace(list, shorter));
            }
            !list.is_empty()
        });
        self.update_filter(&table);
        drop(table);
        !replaced.is_empty()
    }

    fn update_filter(&self, table: &BTreeMap<EventName, Arc<[Attached]>>) {
        let filter = table.keys().fold(0, |bits, event| bits | fingerprint(event.iter()));
        self.filter.store(filter, Ordering::Relaxed);
    }

    fn monotonic_time(&self) -> Duration {
        Duration::from_nanos((self.clock)())
    }

    // No user code runs under the lock, so it cannot be poisoned half-way through a change.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<EventName, Arc<[Attached]>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<EventName, Arc<[Attached]>>> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("handlers", &self.list_handlers(&[])).finish_non_exhaustive()
    }
}

/// One bit of 64 for an event name, from the length and the outer bytes of each segment: a few nanoseconds, and different for
/// most pairs of names.
#[inline]
fn fingerprint<'a>(segments: impl Iterator<Item = &'a &'static str>) -> u64 {
    let mut hash = 0u64;
    for segment in segments {
        let bytes = segment.as_bytes();
        let (first, last) = (bytes.first().copied().unwrap_or(0), bytes.last().copied().unwrap_or(0));
        hash ^= bytes.len() as u64 | u64::from(first) << 8 | u64::from(last) << 16;
        hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    }
    1 << (hash & 63)
}

/// What a panic said.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else {
        "a panic without a text".to_owned()
    }
}

#[cfg(test)]
mod tests;
