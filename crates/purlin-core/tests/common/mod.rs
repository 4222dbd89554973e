//! One harness for all conformance tests: a test's body is a process, and runs on every kind of runtime.
//!
//! [`everywhere`] runs it on the simulated runtime with many seeds and on the real one with one and two workers; [`on_every_path`]
//! does so once per call path. Afterwards the node is shut down, and nothing may be left of it. A panic in *any* process fails the
//! test, unless its message starts with [`PLANNED`].
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of the harness")]

pub mod lab;
pub mod machine;

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use purlin_core::telemetry::events;
use purlin_core::*;

/// The mailbox of the process that a test's body runs in.
pub type Me = Mailbox<AnyMsg>;

/// What the message of a panic that belongs to the test starts with.
pub const PLANNED: &str = "planned";

/// Seeds of the simulated runs.
pub const SEEDS: u64 = 200;

const PATHS: [CallPath; 3] = [CallPath::Direct, CallPath::Queued, CallPath::Adaptive];

/// How one run is made.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    Simulated { seed: u64, path: CallPath },
    Real { workers: usize, path: CallPath },
}

/// Runs `test` in a process of a fresh node, on the simulated runtime (200 seeds) and on the real one (1 and 2 workers).
pub fn everywhere<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    in_simulation(test.clone());
    on_real_runtimes(test);
}

/// [`everywhere`], for each way that calls can take.
pub fn on_every_path<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for (nth, path) in PATHS.into_iter().enumerate() {
        for seed in (nth as u64..SEEDS).step_by(PATHS.len()) {
            run(Run::Simulated { seed, path }, test.clone());
        }
        for workers in [1, 2] {
            run(Run::Real { workers, path }, test.clone());
        }
    }
}

/// Simulated runs only: for tests in which much time passes.
pub fn in_simulation<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        run(Run::Simulated { seed, path: CallPath::Adaptive }, test.clone());
    }
}

/// Simulated runs for each way that calls can take.
pub fn in_simulation_on_every_path<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for (nth, path) in PATHS.into_iter().enumerate() {
        for seed in (nth as u64..SEEDS).step_by(PATHS.len()) {
            run(Run::Simulated { seed, path }, test.clone());
        }
    }
}

/// Runs on real threads only: for races.
pub fn on_real_runtimes<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for workers in [1, 2] {
        run(Run::Real { workers, path: CallPath::Adaptive }, test.clone());
    }
}

/// One run.
pub fn run<F, Fut>(how: Run, test: F)
where
    F: Fn(Me) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (runtime, builder) = prepare(how);
    // A process that is ended with `Normal` from outside looks like one whose body has returned.
    let finished = Arc::new(AtomicBool::new(false));
    let at_end = finished.clone();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let node = builder.start();
            let body = node.clone();
            check(&node, async move {
                body.scope(async {
                    // It starts when its end is waited for, so that the reason of one that ends at once is seen.
                    let process = process::spawn(async move |mut me: Me| {
                        me.receive_as::<Go>().await;
                        test(me).await;
                        at_end.store(true, Ordering::SeqCst);
                    });
                    let mut end = Box::pin(process::wait(process.pid()));
                    assert_eq!(poll_once(&mut end).await, None);
                    process.send(Go);
                    end.await
                })
                .await
            })
            .await;
        });
        assert!(finished.load(Ordering::SeqCst), "the test's process ended before its body did");
    }));
    if let Err(panic) = outcome {
        eprintln!("failed in {how:?}");
        std::panic::resume_unwind(panic);
    }
}

struct Go;

/// Runtime and node settings of a run.
pub fn prepare(how: Run) -> (tokio::runtime::Runtime, NodeBuilder) {
    match how {
        Run::Simulated { seed, path } => (
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap(),
            Node::builder().simulated(seed).call_path(path).backtraces(false).stderr_reports(false),
        ),
        Run::Real { workers, path } => (
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_time()
                .build()
                .unwrap(),
            Node::builder().call_path(path).backtraces(false).stderr_reports(false),
        ),
    }
}

/// Awaits `body`, which gives a test's exit reason, and then checks that it was normal, that no process panicked, and that nothing is left.
pub async fn check(node: &Node, body: impl Future<Output = ExitReason>) {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = panics.clone();
    node.telemetry()
        .attach("harness", events::PROCESS_EXIT, move |event| {
            if let Some(ExitReason::Panic(info)) = event.metadata.reason("reason")
                && !info.message.starts_with(PLANNED)
                && info.message != "Box<dyn Any>"
            {
                seen.lock().unwrap().push(info.to_string());
            }
        })
        .unwrap();
    // Virtual time in a simulated run, where it passes at once when nothing else is left to do.
    let ended = tokio::time::timeout(patience(node), body).await;
    let panics = panics.lock().unwrap().join("\n");
    assert!(panics.is_empty(), "{panics}");
    let reason = ended.unwrap_or_else(|_| panic!("the test hangs; alive: {:?}", alive(node)));
    assert_eq!(reason, ExitReason::Normal, "the test's process ended otherwise");
    node.shutdown().await;
    let stats = node.stats();
    assert_eq!((stats.processes, stats.timers), (0, 0), "processes and timers left after the shutdown");
    assert!(node.scope(async { process::registered() }).await.is_empty(), "names left after the shutdown");
}

/// A simulated run may take half a year of virtual time, a real one a minute.
fn patience(node: &Node) -> Duration {
    if node.is_simulated() { Duration::from_secs(1 << 24) } else { Duration::from_secs(60) }
}

fn alive(node: &Node) -> Vec<String> {
    let _here = node.enter();
    process::processes().into_iter().filter_map(process::process_info).map(|i| format!("{i:?}")).collect()
}

/// Panics on purpose.
#[track_caller]
pub fn planned(what: &str) -> ! {
    panic!("{PLANNED}: {what}")
}

/// Is this the reason of a process that panicked with [`planned`]`(what)`?
pub fn is_planned(reason: &ExitReason, what: &str) -> bool {
    reason.panic_info().is_some_and(|info| info.message == format!("{PLANNED}: {what}"))
}

/// The processes that need not end. One whose end is known already may still be in the process table for a moment.
pub fn living() -> Vec<Pid> {
    process::processes().into_iter().filter(|pid| process::is_alive(*pid)).collect()
}

/// A process that waits until it is ended.
pub fn idle() -> Pid {
    process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid()
}

/// Monitors a process and waits for its end.
pub async fn end_of(me: &mut Me, pid: Pid) -> ExitReason {
    let monitor = me.monitor(pid);
    down(me, monitor).await.reason
}

/// Waits until a process has ended, which it must have done with `Normal`; it may have done so before anybody asked.
pub async fn ended_normally(me: &mut Me, pid: Pid) {
    let reason = end_of(me, pid).await;
    assert!(matches!(reason, ExitReason::Normal | ExitReason::NoProc), "{reason}");
}

/// Waits for the `Down` of a monitor; other messages stay.
pub async fn down(me: &mut Me, monitor: MonitorRef) -> Down {
    me.receive_map(|message| match message.downcast::<Down>() {
        Ok(down) if down.monitor == monitor => Ok(down),
        Ok(down) => Err(AnyMsg::new(down)),
        Err(other) => Err(other),
    })
    .await
}

/// The next message, which must be a `T`.
#[track_caller]
pub fn next<T: Any + Send>(me: &mut Me) -> impl Future<Output = T> + Send + '_ {
    let location = std::panic::Location::caller();
    async move {
        me.receive()
            .await
            .downcast::<T>()
            .unwrap_or_else(|other| panic!("{other:?} came first, awaited at {location}"))
    }
}

/// Asserts that the mailbox is empty now. Signals and messages are in the mailbox when what sent them returns, so this needs no waiting
/// as long as the sender is known to be done.
#[track_caller]
pub fn nothing(me: &mut Me) {
    if let Some(message) = me.try_receive() {
        panic!("an unexpected {message:?}");
    }
}

/// The first `T` that is in the mailbox now; other messages stay, and have been looked at.
pub async fn try_receive_as<T: Any + Send>(me: &mut Me) -> Option<T> {
    me.receive_map_timeout(Duration::ZERO, |message| message.downcast::<T>()).await
}

/// A shared list that processes write into.
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(self.0.clone())
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Log(Arc::default())
    }
}

impl<T: Clone + Debug> Log<T> {
    pub fn add(&self, entry: T) {
        self.0.lock().unwrap().push(entry);
    }

    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

/// Writes into a log when it is dropped.
pub struct DropNote(pub Log<&'static str>, pub &'static str);

impl Drop for DropNote {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// Panics when it is dropped (but not during another panic, which would abort).
pub struct Bomb(pub &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            planned(self.0);
        }
    }
}

/// Blocks a plain thread on a future.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// Polls a future once.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        // The first poll may do no more than let others go first, on a simulated node; the second one goes on.
        for _ in 0..2 {
            if let std::task::Poll::Ready(value) = std::pin::Pin::new(&mut *future).poll(cx) {
                return std::task::Poll::Ready(Some(value));
            }
        }
        std::task::Poll::Ready(None)
    })
    .await
}

/// The log events of Purlin's targets, as text: target, then every field.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<(String, String)>>>);

impl Events {
    /// Runs `f` and takes note of what this thread logs meanwhile.
    pub fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        tracing::subscriber::with_default(Listener(self.clone()), f)
    }

    /// The events of a target since the last look.
    pub fn take(&self, target: &str) -> Vec<String> {
        let mut all = self.0.lock().unwrap();
        let (wanted, other) = std::mem::take(&mut *all).into_iter().partition(|(t, _)| t == target);
        *all = other;
        wanted.into_iter().map(|(_, text)| text).collect()
    }
}

struct Listener(Events);

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        use std::fmt::Write;
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("purlin")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        (self.0).0.lock().unwrap().push((event.metadata().target().to_owned(), fields.0));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
