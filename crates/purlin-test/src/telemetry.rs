//! Telemetry in tests: what a node executes is collected, or sent to the test's mailbox, until the test is over.
//!
//! ```
//! # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
//! use purlin::prelude::*;
//! use purlin::telemetry::events;
//! # struct Counter(i64);
//! # #[gen_server]
//! # impl Counter { fn init(start: i64) -> Self { Counter(start) } }
//! let restarts = t.telemetry(&[events::SUPERVISOR_CHILD_RESTART]);
//!
//! let counter = t.start_supervised(Counter::child_spec(0)).await?;
//! process::exit(counter.pid(), ExitReason::error("no disk"));
//!
//! let restart = restarts.next().await;                                // waits until it was executed
//! assert_eq!(restart.metadata.str("child_id"), Some("Counter"));
//! assert_eq!(restart.metadata.pid("old_pid"), Some(counter.pid()));
//! assert_eq!(restarts.count(), 1);
//! # purlin::Result::<()>::Ok(())
//! # });
//! ```
//! Waiting for an event beats looking again and again: a supervisor that has restarted a child, a mailbox that has dropped a message, a job
//! that is done all execute one. Purlin's own are listed in [`events`](purlin_core::telemetry::events).

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use purlin_core::process::Accepts;
use purlin_core::telemetry::{Event, EventName, Measurements, Metadata};
use purlin_core::{Address, Node, Pid, process};

use crate::test::Test;
use crate::waiting::{LONG_WAIT, within};

/// A telemetry event that was executed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TelemetryEvent {
    /// Its name.
    pub name: EventName,
    /// Its numbers.
    pub measurements: Measurements,
    /// Everything else.
    pub metadata: Metadata,
    /// The process that executed it; `None` if no process did.
    pub process: Option<Pid>,
    /// When, by the node's clock.
    pub at: Duration,
}

impl TelemetryEvent {
    fn new(event: &Event<'_>) -> TelemetryEvent {
        TelemetryEvent {
            name: event.name,
            measurements: event.measurements.clone(),
            metadata: event.metadata.clone(),
            process: process::self_pid(),
            at: Node::try_current().map_or(Duration::ZERO, |node| node.now()),
        }
    }
}

/// The events that a test hears of; from [`Test::telemetry`]. All clones are one list.
#[derive(Clone)]
pub struct TelemetryEvents {
    shared: Arc<Mutex<Collected>>,
    names: Arc<[EventName]>,
    node: Node,
    id: Arc<str>,
}

#[derive(Default)]
struct Collected {
    /// Each with whether it was taken.
    events: Vec<(TelemetryEvent, bool)>,
    waiting: Vec<Waker>,
}

fn lock(shared: &Mutex<Collected>) -> MutexGuard<'_, Collected> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Test {
    /// Collects every execution of these events from now on.
    pub fn telemetry(&self, events: &[EventName]) -> TelemetryEvents {
        let shared: Arc<Mutex<Collected>> = Arc::default();
        let collected = shared.clone();
        let id = self.attach(events, move |event| {
            let event = TelemetryEvent::new(event);
            let waiting = {
                let mut collected = lock(&collected);
                collected.events.push((event, false));
                std::mem::take(&mut collected.waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
        });
        TelemetryEvents { shared, names: events.into(), node: self.node().clone(), id: id.into() }
    }

    /// Sends every execution of these events, from now on, to a process: `t.telemetry_to(&[..], mailbox.address())` to the test itself. Its
    /// mailbox takes any message, or is of a type made `From<TelemetryEvent>`.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, mut mailbox: purlin::Mailbox<purlin_test::TelemetryEvent>| {
    /// use purlin::prelude::*;
    /// use purlin::telemetry::events;
    /// use purlin_test::{TelemetryEvent, assert_receive};
    /// t.telemetry_to(&[events::PROCESS_EXIT], mailbox.address());
    /// let worker = process::spawn(async |_: Mailbox<()>| {});
    /// assert_receive!(mailbox, TelemetryEvent { metadata, .. } if metadata.pid("pid") == Some(worker.pid()));
    /// # });
    /// ```
    pub fn telemetry_to<M, K>(&self, events: &[EventName], to: Address<M>)
    where
        M: Accepts<TelemetryEvent, K>,
    {
        self.attach(events, move |event| to.send(TelemetryEvent::new(event)));
    }

    /// Attaches a handler that goes with the test.
    fn attach(&self, events: &[EventName], handler: impl Fn(&Event<'_>) + Send + Sync + 'static) -> String {
        let mut handlers = self.handlers();
        let id = format!("purlin-test {} {}", self.name(), handlers.len());
        handlers.push(id.clone());
        drop(handlers);
        if let Err(error) = self.node().telemetry().attach_many(id.clone(), events, handler) {
            panic!("{error}");
        }
        id
    }
}

impl TelemetryEvents {
    /// The oldest event that was not taken yet, which takes it; waits for it for 5 seconds of the node's clock at most.
    ///
    /// # Panics
    /// When none is executed in time.
    #[track_caller]
    pub fn next(&self) -> impl Future<Output = TelemetryEvent> + Send + use<> {
        self.wait(None, |_| true)
    }

    /// [`next`](Self::next) with another limit.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// let exits = t.telemetry(&[telemetry::events::PROCESS_EXIT]);
    /// process::spawn(async |_: Mailbox<()>| process::sleep(millis(150)).await);
    /// assert!(exits.next_within(secs(1)).await.at >= millis(150));
    /// # });
    /// ```
    ///
    /// # Panics
    /// As [`next`](Self::next).
    #[track_caller]
    pub fn next_within(&self, limit: Duration) -> impl Future<Output = TelemetryEvent> + Send + use<> {
        self.wait(Some(limit), |_| true)
    }

    /// The oldest event that was not taken yet and that `wanted` is true for; the others are left.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// let exits = t.telemetry(&[telemetry::events::PROCESS_EXIT]);
    /// let workers = [1, 2].map(|_| process::spawn(async |_: Mailbox<()>| {}));
    /// exits.next_where(move |event| event.metadata.pid("pid") == Some(workers[1].pid())).await;
    /// exits.next().await;                                             // the other one
    /// # });
    /// ```
    ///
    /// # Panics
    /// As [`next`](Self::next).
    #[track_caller]
    pub fn next_where<F>(&self, wanted: F) -> impl Future<Output = TelemetryEvent> + Send + use<F>
    where
        F: FnMut(&TelemetryEvent) -> bool + Send + 'static,
    {
        self.wait(None, wanted)
    }

    /// How many events were executed so far, taken or not.
    pub fn count(&self) -> usize {
        lock(&self.shared).events.len()
    }

    /// Every event that was executed so far, taken or not, the oldest first.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// let spawns = t.telemetry(&[telemetry::events::PROCESS_SPAWN]);
    /// let pids = [1, 2].map(|_| process::spawn(async |_: Mailbox<()>| {}).pid());
    /// let told: Vec<_> = spawns.all().iter().filter_map(|event| event.metadata.pid("pid")).collect();
    /// assert_eq!(told, pids);
    /// # });
    /// ```
    pub fn all(&self) -> Vec<TelemetryEvent> {
        lock(&self.shared).events.iter().map(|(event, _)| event.clone()).collect()
    }

    /// Stops collecting. The end of the test does so by itself.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// let spawns = t.telemetry(&[telemetry::events::PROCESS_SPAWN]);
    /// spawns.detach();
    /// process::spawn(async |_: Mailbox<()>| {});
    /// assert_eq!(spawns.count(), 0);
    /// # });
    /// ```
    pub fn detach(&self) {
        let _ = self.node.telemetry().detach(&self.id);
    }

    #[track_caller]
    fn wait<F>(
        &self,
        limit: Option<Duration>,
        wanted: F,
    ) -> impl Future<Output = TelemetryEvent> + Send + use<F>
    where
        F: FnMut(&TelemetryEvent) -> bool + Send,
    {
        let (this, location) = (self.clone(), Location::caller());
        async move {
            let limit = limit.unwrap_or(LONG_WAIT);
            match within(limit, this.taken(wanted)).await {
                Some(event) => event,
                None => this.nothing_came(limit, location),
            }
        }
    }

    async fn taken(&self, mut wanted: impl FnMut(&TelemetryEvent) -> bool + Send) -> TelemetryEvent {
        let mut looked_at = 0;
        poll_fn(|cx| {
            loop {
                let next = {
                    let mut collected = lock(&self.shared);
                    let from = looked_at;
                    let left = collected.events.iter().enumerate().skip(from).find(|(_, (_, taken))| !taken);
                    let next = left.map(|(index, (event, _))| (index, event.clone()));
                    if next.is_none() {
                        looked_at = collected.events.len();
                        if !collected.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                            collected.waiting.push(cx.waker().clone());
                        }
                    }
                    next
                };
                let Some((index, event)) = next else { return Poll::Pending };
                looked_at = index + 1;
                // Outside the lock: it is code of the test.
                if wanted(&event) {
                    let taken = &mut lock(&self.shared).events[index].1;
                    // Somebody else may have been faster.
                    if !std::mem::replace(taken, true) {
                        return Poll::Ready(event);
                    }
                }
            }
        })
        .await
    }

    fn nothing_came(&self, limit: Duration, location: &Location<'_>) -> ! {
        let names: Vec<_> = self.names.iter().map(|name| name.join(".")).collect();
        let collected = lock(&self.shared);
        let left = collected.events.iter().filter(|(_, taken)| !taken).count();
        let events: String = collected
            .events
            .iter()
            .map(|(event, taken)| {
                let taken = if *taken { ", taken" } else { "" };
                format!("\n  {} {} {}{taken}", event.name.join("."), event.measurements, event.metadata)
            })
            .collect();
        let all = collected.events.len();
        drop(collected);
        panic!(
            "no event of {} was executed within {limit:?} ({location}); so far there were {all}, {left} of them not taken{}{events}",
            names.join(", "),
            if all == 0 { "" } else { ":" },
        )
    }
}

impl std::fmt::Debug for TelemetryEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryEvents").field("count", &self.count()).finish_non_exhaustive()
    }
}
