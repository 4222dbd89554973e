//! What the supervisor tests share: a harness that runs one story on the real and on the simulated runtime, a journal to wait on, and a
//! worker that does as it is told.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use purlin_core::supervisor::{ChildInfo, ChildStatus};
use purlin_core::telemetry::events;
use purlin_core::*;

const SEEDS: u64 = 200;
/// Longer than any story takes, on either clock.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a story on the simulated runtime with several seeds, and on tokio, by all call paths. Simulation comes first: a story that waits
/// for ever is found out there at once.
pub(crate) fn everywhere<F, Fut>(story: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    in_simulation(&story);
    for (path, workers) in [(CallPath::Direct, 1), (CallPath::Queued, 2), (CallPath::Adaptive, 2)] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::builder().call_path(path).start();
            tell(&node, story(), &format!("{path:?}, {workers} workers")).await;
        });
    }
}

/// Runs a story on the simulated runtime only, where hours pass in no time.
pub(crate) fn in_simulation<F, Fut>(story: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let node = Node::builder().simulated(seed).start();
            tell(&node, story(), &format!("simulated, seed {seed}")).await;
        });
    }
}

async fn tell(node: &Node, story: impl Future<Output = ()> + Send + 'static, place: &str) {
    let told = tokio::time::timeout(LIMIT, tokio::spawn(node.scope(story))).await;
    match told {
        Ok(Ok(())) => {},
        Ok(Err(panicked)) => {
            eprintln!("the story failed here: {place}");
            std::panic::resume_unwind(panicked.into_panic());
        },
        Err(_) => panic!("the story did not end here: {place}"),
    }
    let before = node.now();
    node.shutdown().await;
    assert!(node.now() - before < Duration::from_secs(20), "the node had to kill something: {place}");
    assert_eq!(node.stats().processes, 0, "processes are left: {place}");
}

/// What happened, in order, with something to wait on.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<(Mutex<Vec<String>>, tokio::sync::Notify)>);

impl Journal {
    pub(crate) fn new() -> Journal {
        Journal::default()
    }

    pub(crate) fn log(&self, entry: impl Into<String>) {
        self.0.0.lock().unwrap().push(entry.into());
        self.0.1.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.0.lock().unwrap().clear();
    }

    pub(crate) fn count(&self, entry: &str) -> usize {
        self.0.0.lock().unwrap().iter().filter(|e| *e == entry).count()
    }

    /// Waits until `entry` is there `times` times.
    pub(crate) async fn wait(&self, entry: &str, times: usize) {
        self.until(|all| all.iter().filter(|e| *e == entry).count() >= times).await;
    }

    /// Waits until `done` is content with all entries.
    pub(crate) async fn until(&self, done: impl Fn(&[String]) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.1.notified());
            changed.as_mut().enable();
            if done(&self.0.0.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }
}

/// What a start does.
#[derive(Clone, Debug)]
pub(crate) enum Init {
    Ignore,
    Fail(&'static str),
    Panic,
    Hang,
}

/// What a worker does when it is asked to shut down; all but `Plainly` trap exits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stop {
    /// Ends at once.
    Plainly,
    /// Runs `terminate`, which logs.
    Orderly,
    Take(Duration),
    Never,
    Panic,
}

/// What a worker is and does. Starts succeed, except those that the script says something about, in order.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) journal: Journal,
    pub(crate) script: Arc<Mutex<VecDeque<Option<Init>>>>,
    pub(crate) stop: Stop,
}

impl Plan {
    pub(crate) fn new(id: &'static str, journal: &Journal) -> Plan {
        Plan { id, journal: journal.clone(), script: Arc::default(), stop: Stop::Plainly }
    }

    /// The next starts do this; `None` is success.
    pub(crate) fn script(self, starts: impl IntoIterator<Item = Option<Init>>) -> Plan {
        self.script.lock().unwrap().extend(starts);
        self
    }

    pub(crate) fn stop(self, stop: Stop) -> Plan {
        Plan { stop, ..self }
    }

    pub(crate) fn child(&self) -> Child<Worker> {
        Worker::child_spec(self.clone()).id(self.id)
    }
}

/// Logs `start <id>` when it is ready, `stop <id>` in `terminate` (unless it stops plainly), `down <id>` when it is gone.
pub(crate) struct Worker(Plan);

/// Ends the worker with this reason.
pub(crate) struct End(pub(crate) ExitReason);

/// Panics.
pub(crate) struct Crash;

/// Tells the worker's plan's id.
pub(crate) struct Id;

impl GenServer for Worker {
    type Args = Plan;

    async fn init(plan: Plan, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let step = plan.script.lock().unwrap().pop_front().flatten();
        match step {
            None => {},
            Some(other) => {
                plan.journal.log(format!("try {}", plan.id));
                match other {
                    Init::Ignore => return Err(InitError::Ignore),
                    Init::Fail(text) => return Err(InitError::Stop(ExitReason::error(text))),
                    Init::Panic => panic!("init of {}", plan.id),
                    Init::Hang => std::future::pending().await,
                }
            },
        }
        if plan.stop != Stop::Plainly {
            cx.trap_exits(true);
        }
        plan.journal.log(format!("start {}", plan.id));
        Ok(Worker(plan))
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Cx<Self>) {
        if self.0.stop != Stop::Plainly {
            self.0.journal.log(format!("stop {}", self.0.id));
        }
        match self.0.stop {
            Stop::Plainly | Stop::Orderly => {},
            Stop::Take(time) => process::sleep(time).await,
            Stop::Never => std::future::pending().await,
            Stop::Panic => panic!("terminate of {}", self.0.id),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.journal.log(format!("down {}", self.0.id));
    }
}

impl HandleInfo<Exit> for Worker {
    async fn handle_info(&mut self, _: Exit, _: &mut Cx<Self>) {}
}

impl HandleCast<End> for Worker {
    async fn handle_cast(&mut self, End(reason): End, cx: &mut Cx<Self>) {
        cx.stop(reason);
    }
}

impl HandleCast<Crash> for Worker {
    async fn handle_cast(&mut self, _: Crash, _: &mut Cx<Self>) {
        panic!("crash of {}", self.0.id);
    }
}

impl HandleRead<Id> for Worker {
    type Reply = &'static str;
    fn handle_read(&self, _: Id, _: &ReadCx<Self>) -> &'static str {
        self.0.id
    }
}

pub(crate) fn plans<const N: usize>(ids: [&'static str; N], journal: &Journal) -> [Plan; N] {
    ids.map(|id| Plan::new(id, journal))
}

/// All children, in start order.
pub(crate) async fn children(supervisor: &SupervisorRef) -> Vec<ChildInfo> {
    let mut all = supervisor.which_children().await.unwrap();
    all.reverse();
    all
}

pub(crate) async fn ids(supervisor: &SupervisorRef) -> Vec<String> {
    children(supervisor).await.iter().map(|child| child.id.as_ref().unwrap().to_string()).collect()
}

pub(crate) async fn status(supervisor: &SupervisorRef, id: &str) -> ChildStatus {
    let all = children(supervisor).await;
    let child = all.iter().find(|child| child.id.as_ref().is_some_and(|i| i == id));
    child.unwrap_or_else(|| panic!("no child {id}")).status
}

pub(crate) async fn pid_of(supervisor: &SupervisorRef, id: &str) -> Pid {
    match status(supervisor, id).await {
        ChildStatus::Running(pid) => pid,
        other => panic!("child {id} is {other}"),
    }
}

/// Ends a child with a reason and waits until it is down; its supervisor learns of it before it learns of anything said after this.
pub(crate) async fn end(pid: Pid, reason: ExitReason) {
    match reason {
        ExitReason::Kill | ExitReason::Killed => process::exit(pid, ExitReason::Kill),
        reason => Ref::<Worker>::from_pid(pid).unwrap().cast(End(reason)),
    }
    process::wait(pid).await;
}

/// Begins to wait for the end of a live process: its reason is not missed, even if it ends before the result is awaited.
pub(crate) async fn ending(pid: Pid) -> impl Future<Output = ExitReason> {
    let mut wait = Box::pin(process::wait(pid));
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(wait.as_mut().poll(cx))).await;
    assert!(first.is_pending(), "{pid} has ended already");
    wait
}

/// A reason that is none of the well-behaved ones.
pub(crate) fn boom() -> ExitReason {
    ExitReason::error("boom")
}

/// Writes supervisor reports down: `child_terminated a: boom`, `giving_up a`, and so on.
pub(crate) fn reports() -> Journal {
    let journal = Journal::new();
    let log = journal.clone();
    let names = &[events::SUPERVISOR_CHILD_ERROR, events::SUPERVISOR_GIVING_UP];
    let attached = Node::current().telemetry().attach_many("reports", names, move |event| {
        let context = event.metadata.str("context").unwrap_or("giving_up");
        let child = event.metadata.str("child_id").unwrap();
        log.log(format!("{context} {child}: {}", event.metadata.reason("reason").unwrap()));
    });
    attached.unwrap();
    journal
}

/// What `f` says of every event of this name.
pub(crate) fn watch(
    name: telemetry::EventName,
    f: impl Fn(&telemetry::Event<'_>) -> String + Send + Sync + 'static,
) -> Journal {
    let journal = Journal::new();
    let log = journal.clone();
    Node::current().telemetry().attach(name.join("."), name, move |event| log.log(f(event))).unwrap();
    journal
}

/// A list of texts.
pub(crate) fn texts<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).to_vec()
}
