//! Spans: a start event, a piece of work, and a stop or exception event.
//!
//! Whether anybody listens is decided once, when the span starts. A span that nobody listens to is the bare work; a handler
//! attached while it runs sees nothing of it, so every `stop` or `exception` seen has had its `start`.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Attached, EventName, Measurements, Metadata, Telemetry, fingerprint};

const START: &str = "start";
const STOP: &str = "stop";
const EXCEPTION: &str = "exception";

impl Telemetry {
    /// Runs `work` between the events prefix + `start` and prefix + `stop` (or `exception`), and returns its result. See
    /// [the module documentation](super#spans) for what the events carry.
    ///
    /// A panic in `work` goes on after the exception event, like any panic.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use purlin_core::telemetry::{Metadata, Telemetry};
    /// let telemetry = Telemetry::new(Arc::new(|| 0));
    /// telemetry.attach("slow", &["shop", "invoice", "stop"], |event| {
    ///     println!("{} took {:?}", event.metadata, event.measurements.duration("duration"));
    /// })?;
    /// let pages = telemetry.span(&["shop", "invoice"], Metadata::new().with("order", 17u64), || 3);
    /// assert_eq!(pages, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn span<R>(
        &self,
        prefix: &[&'static str],
        metadata: impl Into<Metadata>,
        work: impl FnOnce() -> R,
    ) -> R {
        self.span_with(prefix, metadata, work, |_| ((), ()))
    }

    /// Like [`span`](Self::span); `describe` adds measurements and metadata to the stop event, from the result. It runs only
    /// if somebody listens.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # let telemetry = purlin_core::telemetry::Telemetry::new(Arc::new(|| 0));
    /// let parsed = telemetry.span_with(
    ///     &["shop", "parse"],
    ///     (),
    ///     || "12".parse::<i32>(),
    ///     |result| ((), [("ok", result.is_ok().into())]),
    /// );
    /// assert_eq!(parsed, Ok(12));
    /// ```
    pub fn span_with<R, M, D>(
        &self,
        prefix: &[&'static str],
        metadata: impl Into<Metadata>,
        work: impl FnOnce() -> R,
        describe: impl FnOnce(&R) -> (M, D),
    ) -> R
    where
        M: Into<Measurements>,
        D: Into<Metadata>,
    {
        let Some(open) = self.start_span(prefix, metadata) else { return work() };
        // The panic is passed on untouched, so `work` is no less unwind-safe than without the span.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(result) => {
                open.stop(describe, &result);
                result
            },
            Err(payload) => open.panicked(payload),
        }
    }

    /// The asynchronous [`span`](Self::span). It starts when the future is first polled; the duration includes the times of
    /// waiting. Dropping the future after that ends the span with an exception event of kind `"cancelled"`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # let telemetry = purlin_core::telemetry::Telemetry::new(Arc::new(|| 0));
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let body = telemetry.span_async(&["shop", "fetch"], (), async { "hello" }).await;
    /// assert_eq!(body, "hello");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn span_async<F: Future>(
        &self,
        prefix: &[&'static str],
        metadata: impl Into<Metadata>,
        work: F,
    ) -> impl Future<Output = F::Output> {
        self.span_async_with(prefix, metadata, work, |_| ((), ()))
    }

    /// The asynchronous [`span_with`](Self::span_with).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # let telemetry = purlin_core::telemetry::Telemetry::new(Arc::new(|| 0));
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let fetch = async { Ok::<_, std::io::Error>("hello") };
    /// let body = telemetry.span_async_with(&["shop", "fetch"], (), fetch, |body| ((), [("ok", body.is_ok().into())])).await;
    /// assert_eq!(body.unwrap(), "hello");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn span_async_with<F, M, D>(
        &self,
        prefix: &[&'static str],
        metadata: impl Into<Metadata>,
        work: F,
        describe: impl FnOnce(&F::Output) -> (M, D),
    ) -> F::Output
    where
        F: Future,
        M: Into<Measurements>,
        D: Into<Metadata>,
    {
        let Some(open) = self.start_span(prefix, metadata) else { return work.await };
        let mut work = pin!(work);
        let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(payload)),
        });
        match polled.await {
            Ok(result) => {
                open.stop(describe, &result);
                result
            },
            Err(payload) => open.panicked(payload),
        }
    }

    /// Executes the start event. `None` if nobody listens to any of the three events.
    fn start_span(&self, prefix: &[&'static str], metadata: impl Into<Metadata>) -> Option<OpenSpan<'_>> {
        let filter = self.filter.load(Ordering::Relaxed);
        if filter == 0
            || [START, STOP, EXCEPTION].iter().all(|s| filter & fingerprint(prefix.iter().chain([s])) == 0)
        {
            return None;
        }
        let mut name = prefix.to_vec();
        name.push(START);
        let start = self.handlers(&name);
        if start.is_none()
            && ![STOP, EXCEPTION].into_iter().any(|s| self.has_handlers(with_last(&mut name, s)))
        {
            return None;
        }
        let mut metadata = metadata.into();
        if metadata.get("telemetry_span_context").is_none() {
            metadata.insert("telemetry_span_context", self.spans.fetch_add(1, Ordering::Relaxed));
        }
        let started = self.monotonic_time();
        let open = OpenSpan { telemetry: self, name, metadata, started, ended: false };
        if let Some((name, list)) = start {
            self.run(name, &list, &Measurements::from([("monotonic_time", started.into())]), &open.metadata);
        }
        Some(open)
    }
}

/// Replaces the last segment.
fn with_last<'a>(name: &'a mut [&'static str], last: &'static str) -> &'a [&'static str] {
    if let Some(end) = name.last_mut() {
        *end = last;
    }
    name
}

/// A span that has started and not ended; dropping it is a cancellation.
struct OpenSpan<'a> {
    telemetry: &'a Telemetry,
    /// The prefix and one more segment, which is overwritten as needed.
    name: Vec<&'static str>,
    metadata: Metadata,
    started: Duration,
    ended: bool,
}

impl OpenSpan<'_> {
    fn stop<R, M, D>(mut self, describe: impl FnOnce(&R) -> (M, D), result: &R)
    where
        M: Into<Measurements>,
        D: Into<Metadata>,
    {
        let time = self.telemetry.monotonic_time();
        let Some(handlers) = self.handlers(STOP) else {
            self.ended = true;
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| describe(result))) {
            Ok((measurements, metadata)) => {
                self.metadata.extend(metadata);
                self.end(handlers, time, measurements.into());
            },
            Err(payload) => self.panicked(payload),
        }
    }

    fn panicked(mut self, payload: Box<dyn Any + Send>) -> ! {
        let time = self.telemetry.monotonic_time();
        if let Some(handlers) = self.handlers(EXCEPTION) {
            self.metadata.insert("kind", "panic");
            self.metadata.insert("reason", super::panic_text(&*payload));
            self.end(handlers, time, Measurements::new());
        }
        self.ended = true;
        resume_unwind(payload)
    }

    fn handlers(&mut self, suffix: &'static str) -> Option<(EventName, Arc<[Attached]>)> {
        self.telemetry.handlers(with_last(&mut self.name, suffix))
    }

    fn end(&mut self, (name, list): (EventName, Arc<[Attached]>), time: Duration, extra: Measurements) {
        self.ended = true;
        let duration = time.saturating_sub(self.started);
        let mut measurements =
            Measurements::from([("duration", duration.into()), ("monotonic_time", time.into())]);
        measurements.extend(extra);
        self.telemetry.run(name, &list, &measurements, &self.metadata);
    }
}

impl Drop for OpenSpan<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let time = self.telemetry.monotonic_time();
        if let Some(handlers) = self.handlers(EXCEPTION) {
            self.metadata.insert("kind", "cancelled");
            self.end(handlers, time, Measurements::new());
        }
    }
}
