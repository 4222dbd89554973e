//! What was logged during a test: every `tracing` event of its node, for this test alone.
//!
//! ```
//! # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
//! use purlin::prelude::*;
//! let worker = process::spawn(async |_: Mailbox<()>| {
//!     tracing::warn!(disk = "sda", left = 3, "running out of space");
//! });
//! worker.wait().await;
//!
//! assert!(t.logs().contains("running out of space"));
//! let entry = &t.logs().entries()[0];
//! assert_eq!((entry.level, entry.field("disk"), entry.pid), (purlin_test::Level::WARN, Some("sda"), Some(worker.pid())));
//! # });
//! ```
//! ExUnit's `capture_log` for every test: a test that fails prints what was logged, one that passes prints nothing.
//!
//! # What is captured
//! Events of level `DEBUG` and above, from every thread of the test's runtime: its processes, its tasks, what it gives to
//! `spawn_blocking`, and Purlin itself (crash reports have target `purlin::crash`, those of supervisors `purlin::supervisor`). Another level:
//! [`Logs::set_level`], or for all tests the variable `PURLIN_TEST_LOG=trace`. The spans that Purlin can give to processes (target
//! `purlin::process`) are left out, because a process with a span takes other paths: each entry says by itself which process it comes from.
//!
//! A thread that the test starts by itself takes part once it has called [`Logs::enter`]. Tests that run at the same time, as they do under
//! plain `cargo test`, see nothing of each other.
//!
//! # With a subscriber of your own
//! One that was in force when the test began, a global one for example, keeps getting everything that it asks for, spans included. It cannot
//! be found from below the capture (`Dispatch::downcast_ref`), and one that is made global while a test runs gets what later tests log.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use purlin_core::Pid;
use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};

use crate::capture::{self, Capture};
use crate::waiting::{LONG_WAIT, within};

/// The variable that holds the level to capture at.
const LEVEL: &str = "PURLIN_TEST_LOG";
/// How many entries are kept; then the oldest ones go.
const MOST: usize = 100_000;

/// What one test's node logs; from [`Test::logs`](crate::Test::logs). Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    dispatch: Dispatch,
}

/// One logged event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its level.
    pub level: Level,
    /// Its target: the module it was logged in, unless it says otherwise.
    pub target: &'static str,
    /// Its message; empty if it has none.
    pub message: String,
    /// Its other fields, in order.
    pub fields: Vec<(&'static str, String)>,
    /// The spans it was logged in, from the outermost to the innermost, each as `name{field=value}`.
    pub spans: Vec<String>,
    /// The process that logged it; `None` if no process did.
    pub pid: Option<Pid>,
    /// When, by the node's clock; `None` outside the node.
    pub at: Option<Duration>,
    /// The pid as the node shows it.
    pub(crate) process: String,
}

/// What [`Logs`] and its subscriber have in common.
pub(crate) struct Shared {
    state: Mutex<State>,
    level: Mutex<LevelFilter>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<LogEntry>,
    /// How many were logged before the first of them.
    before: u64,
    /// Entries that had to go.
    gone: u64,
    /// Those who wait for an entry.
    waiting: Vec<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is what has this metadata captured?
    pub(crate) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = *self.level.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that has a span takes no calls in place.
        *metadata.level() <= level && metadata.target() != "purlin::process"
    }

    pub(crate) fn add(&self, entry: LogEntry) {
        let mut state = self.lock();
        let oldest = if state.entries.len() == MOST {
            state.gone += 1;
            state.before += 1;
            state.entries.pop_front()
        } else {
            None
        };
        state.entries.push_back(entry);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(oldest);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Logs {
    /// Nothing logged yet, and nothing captured before [`enter`](Self::enter).
    ///
    /// # Panics
    /// When `PURLIN_TEST_LOG` is no level.
    #[expect(
        clippy::new_without_default,
        reason = "this looks at the environment and at the thread's subscriber"
    )]
    pub fn new() -> Logs {
        let level = match std::env::var(LEVEL) {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                panic!("{LEVEL}={text}: expected off, error, warn, info, debug or trace")
            }),
            Err(_) => LevelFilter::DEBUG,
        };
        let shared = Arc::new(Shared { state: Mutex::default(), level: Mutex::new(level) });
        let dispatch = capture::dispatch(Capture::new(shared.clone()));
        Logs { shared, dispatch }
    }

    /// Captures what the calling thread logs, until the result is dropped. The threads of a test's runtime have done so already; this is for
    /// those that a test starts by itself.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// let logs = t.logs();
    /// let thread = std::thread::spawn(move || {
    ///     let _entered = logs.enter();
    ///     tracing::info!("from a thread of its own");
    /// });
    /// thread.join().unwrap();
    /// assert!(t.logs().contains("from a thread of its own"));
    /// # });
    /// ```
    #[must_use = "captured is what is logged before this is dropped"]
    pub fn enter(&self) -> LogsEntered {
        LogsEntered { _guard: dispatcher::set_default(&self.dispatch), _this_thread: PhantomData }
    }

    /// Captures what the threads of a runtime log, for as long as they run.
    pub(crate) fn on_threads(&self, builder: &mut tokio::runtime::Builder) {
        let logs = self.clone();
        builder.on_thread_start(move || capture::keep(logs.enter()));
        builder.on_thread_stop(|| drop(capture::keep_no_longer()));
    }

    /// Captures at another level from now on.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin_test::LevelFilter;
    /// tracing::trace!("not captured");
    /// t.logs().set_level(LevelFilter::TRACE);
    /// tracing::trace!("captured");
    /// t.logs().set_level(LevelFilter::OFF);
    /// tracing::error!("not captured either");
    /// assert_eq!(t.logs().entries().len(), 1);
    /// # });
    /// ```
    pub fn set_level(&self, level: LevelFilter) {
        *self.shared.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
    }

    /// Was something logged whose line, as it is displayed, contains this text?
    pub fn contains(&self, text: &str) -> bool {
        self.entries().iter().any(|entry| entry.to_string().contains(text))
    }

    /// Everything logged so far, the oldest first.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.shared.lock().entries.iter().cloned().collect()
    }

    /// Everything logged so far, which is forgotten: the next look begins with what is logged from now on.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// tracing::info!("one");
    /// assert_eq!(t.logs().take().len(), 1);
    /// assert!(t.logs().entries().is_empty());
    /// # });
    /// ```
    pub fn take(&self) -> Vec<LogEntry> {
        let mut state = self.shared.lock();
        state.gone = 0;
        state.before += state.entries.len() as u64;
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        entries.into()
    }

    /// Waits until something was logged whose line contains this text, for 5 seconds of the node's clock at most, and returns the first such
    /// entry, which may have been logged before.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// process::spawn(async |_: Mailbox<()>| panic!("no disk"));
    /// let report = t.logs().wait_for("no disk").await;
    /// assert_eq!(report.target, "purlin::crash");
    /// # });
    /// ```
    ///
    /// # Panics
    /// When nothing of the kind is logged in time; the message shows what was.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> impl Future<Output = LogEntry> + Send {
        let (logs, text, location) = (self.clone(), text.to_owned(), Location::caller());
        async move {
            let limit = LONG_WAIT;
            match within(limit, logs.logged(&text)).await {
                Some(entry) => entry,
                None => panic!(
                    "nothing with {text:?} was logged within {limit:?} ({location}). Logged was:\n{logs}"
                ),
            }
        }
    }

    async fn logged(&self, text: &str) -> LogEntry {
        let mut looked_at = 0;
        poll_fn(|cx| {
            // Displaying values runs no code of the program: they were made text when they were logged.
            let mut state = self.shared.lock();
            let seen = usize::try_from(u64::saturating_sub(looked_at, state.before)).unwrap_or(usize::MAX);
            let found =
                state.entries.iter().skip(seen).find(|entry| entry.to_string().contains(text)).cloned();
            if let Some(entry) = found {
                return Poll::Ready(entry);
            }
            looked_at = state.before + state.entries.len() as u64;
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl LogEntry {
    /// The field with this name, as text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

/// One line (more if a value has line breaks): time, level, process, target, message, fields, spans.
impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{:>9.3}s ", at.as_secs_f64())?;
        }
        write!(f, "{:>5} ", self.level)?;
        if !self.process.is_empty() {
            write!(f, "{} ", self.process)?;
        }
        write!(f, "{}: {}", self.target, self.message)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        for (index, span) in self.spans.iter().enumerate() {
            f.write_str(if index == 0 { " in " } else { ":" })?;
            f.write_str(span)?;
        }
        Ok(())
    }
}

/// Everything logged so far, an entry a line.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, gone) = {
            let state = self.shared.lock();
            let mut text = String::new();
            for entry in &state.entries {
                let _ = writeln!(text, "{entry}");
            }
            (text, state.gone)
        };
        if gone > 0 {
            writeln!(f, "({gone} earlier entries were not kept)")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("entries", &self.shared.lock().entries.len()).finish_non_exhaustive()
    }
}

/// Keeps a thread's logs captured; from [`Logs::enter`]. Must be dropped on the thread, and in the reverse of the order, it was made.
pub struct LogsEntered {
    _guard: DefaultGuard,
    /// It puts back what this thread had before: it must stay here.
    _this_thread: PhantomData<*const ()>,
}
