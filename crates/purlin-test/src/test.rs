//! The handle that a test takes as `t: Test`: what it starts, leaves behind, logs and hears of.
//!
//! ```
//! # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
//! use purlin::prelude::*;
//! # struct Counter(i64);
//! # #[gen_server]
//! # impl Counter {
//! #     fn init(start: i64) -> Self { Counter(start) }
//! #     #[call] fn get(&self) -> i64 { self.0 }
//! # }
//! let counter = t.start_supervised(Counter::child_spec(7)).await?;    // stopped at the end
//! t.on_exit(async || println!("over"));                               // runs at the end, whatever happens
//! assert_eq!(counter.get().await?, 7);
//! # purlin::Result::<()>::Ok(())
//! # });
//! ```
//!
//! # The end of a test
//! 1. The body returns or panics. Its process ends, and those linked with it are told `Shutdown`.
//! 2. The children of [`start_supervised`](Test::start_supervised) are stopped, the last one first.
//! 3. The [`on_exit`](Test::on_exit) callbacks run, the last one first: what they clean up is used by nobody any more.
//! 4. Telemetry handlers are detached.
//! 5. If a process, a name or a timer is left, the test fails, and tells which, unless it has said [`allow_leaks`](Test::allow_leaks).
//!
//! That is ExUnit's order; the last step is not ExUnit's.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use purlin_core::{ExitReason, Mailbox, Node, Pid, process};

use crate::leaks::Before;
use crate::logs::Logs;
use crate::supervised::Supervised;
use crate::waiting::{LONGEST_END, within};

/// One run of a test. Cheap to clone, and may be used from any process and thread of the test.
#[derive(Clone)]
pub struct Test {
    shared: Arc<Shared>,
}

struct Shared {
    node: Node,
    name: String,
    logs: Logs,
    /// What the node had before.
    before: Before,
    /// The process that runs the body.
    process: OnceLock<Pid>,
    supervised: Mutex<Supervised>,
    on_exit: Mutex<Vec<OnExit>>,
    /// Ids of telemetry handlers.
    handlers: Mutex<Vec<String>>,
    allow_leaks: AtomicBool,
    /// Told of each process that belongs to the test's machinery: no fault of a simulated run is to hit it.
    spare: OnceLock<Box<dyn Fn(Pid) + Send + Sync>>,
}

type Callback = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

struct OnExit {
    callback: Callback,
    location: &'static Location<'static>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Test {
    /// A test that is about to run on `node`. What is there now is none of its leaks.
    #[doc(hidden)]
    pub fn __new(node: &Node, name: &str, logs: Logs) -> Test {
        Test {
            shared: Arc::new(Shared {
                node: node.clone(),
                name: name.to_owned(),
                logs,
                before: Before::now(node),
                process: OnceLock::new(),
                supervised: Mutex::default(),
                on_exit: Mutex::default(),
                handlers: Mutex::default(),
                allow_leaks: AtomicBool::new(false),
                spare: OnceLock::new(),
            }),
        }
    }

    /// Tells which process runs the body, for the words in which a leak is reported.
    pub(crate) fn runs_in(&self, process: Pid) {
        let _ = self.shared.process.set(process);
    }

    /// Has `spare` told of each process that belongs to the test's machinery, and not to what is tested.
    pub(crate) fn spares_with(&self, spare: impl Fn(Pid) + Send + Sync + 'static) {
        let _ = self.shared.spare.set(Box::new(spare));
    }

    pub(crate) fn spare(&self, process: Pid) {
        if let Some(spare) = self.shared.spare.get() {
            spare(process);
        }
    }

    /// The test's name, with its module: `shop::orders::a_paid_order_is_sent`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The node that the test has to itself.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// println!("{} runs on {:?}", t.name(), t.node());
    /// assert_eq!(t.node().stats().processes, 1);                      // the test itself
    /// # });
    /// ```
    pub fn node(&self) -> &Node {
        &self.shared.node
    }

    /// What is logged during the test; see [`logs`](crate::logs).
    pub fn logs(&self) -> Logs {
        self.shared.logs.clone()
    }

    /// Runs `callback` when the test is over, also when it failed: after the supervised children are down, the last callback first. It runs in
    /// a process of its own. If it panics, or takes longer than a minute of the node's clock, the test fails, and the others run all the same.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// let folder = std::env::temp_dir().join(format!("a-test-of-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// t.on_exit(async move || std::fs::remove_dir_all(&folder).unwrap());
    /// # purlin::Result::<()>::Ok(())
    /// # });
    /// ```
    #[track_caller]
    pub fn on_exit<F, Fut>(&self, callback: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        // The closure must outlive the future that it makes: an `async` closure lends what it holds.
        let callback: Callback = Box::new(move || Box::pin(async move { callback().await }));
        lock(&self.shared.on_exit).push(OnExit { callback, location: Location::caller() });
    }

    /// Lets the test leave processes, names and timers behind: they go with its node.
    ///
    /// ```
    /// # purlin_test::__private::example(async |t: purlin_test::Test, _: purlin::Mailbox<()>| {
    /// use purlin::prelude::*;
    /// t.allow_leaks();
    /// process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    /// # });
    /// ```
    pub fn allow_leaks(&self) {
        self.shared.allow_leaks.store(true, Ordering::Relaxed);
    }

    pub(crate) fn supervised(&self) -> MutexGuard<'_, Supervised> {
        lock(&self.shared.supervised)
    }

    pub(crate) fn handlers(&self) -> MutexGuard<'_, Vec<String>> {
        lock(&self.shared.handlers)
    }

    /// Ends the body: tells the processes that are linked with the calling one, which runs it, to shut down. They hear it also when the test traps
    /// exits, and so could not end with that reason itself.
    pub(crate) fn body_returned(&self) {
        let info = process::self_pid().and_then(process::process_info);
        for linked in info.into_iter().flat_map(|info| info.links) {
            process::exit(linked, ExitReason::Shutdown);
        }
    }

    /// Ends the test, after its body: see the module documentation. Must be called on the test's node, by no process of it.
    ///
    /// # Errors
    /// What went wrong after the body, in words: a callback that panicked, children that did not stop, leaks.
    pub(crate) async fn finish(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        wrong.extend(self.stop_all_supervised().await);
        // One at a time: a callback may add others.
        while let Some(callback) = self.last_on_exit() {
            wrong.extend(self.run(callback).await);
        }
        for id in std::mem::take(&mut *self.handlers()) {
            let _ = self.node().telemetry().detach(&id);
        }
        if !self.shared.allow_leaks.load(Ordering::Relaxed) {
            wrong.extend(self.shared.before.leaks(self.node(), self.shared.process.get().copied()).await);
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn last_on_exit(&self) -> Option<OnExit> {
        lock(&self.shared.on_exit).pop()
    }

    /// Runs a callback in a process of its own; what went wrong, in words.
    async fn run(&self, OnExit { callback, location }: OnExit) -> Option<String> {
        let process = process::spawn(move |_: Mailbox<()>| callback());
        self.spare(process.pid());
        match within(LONGEST_END, process.wait()).await {
            Some(ExitReason::Normal) => None,
            Some(reason) => Some(format!("the `on_exit` callback of {location} failed: {reason}")),
            None => {
                process::exit(process.pid(), ExitReason::Kill);
                Some(format!("the `on_exit` callback of {location} did not return within {LONGEST_END:?}"))
            },
        }
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Test").field("name", &self.name()).finish_non_exhaustive()
    }
}
