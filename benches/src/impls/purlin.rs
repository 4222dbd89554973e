//! Purlin. Callers and producers are Purlin processes, as they would be in a program; servers are GenServers written by
//! hand (the macro generates the same). Mailboxes are unbounded, the default. `call` switches the deadline off
//! (`infinity`), `call_5s` is the plain call: its default deadline is five seconds. Panics are captured by Purlin's
//! own hook.

#[path = "purlin_machine.rs"]
mod machine;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use purlin_core::*;
use tokio::sync::oneshot;

use crate::state::{Body, Counter, Token};
use crate::system::{
    Agents, Broadcasts, Calls, Casts, Churn, Deadlines, Families, Monitors, Names, Reads, Restarts, Ring,
    System, Tasks,
};
use crate::workloads::{self as w, Run, Tally};

/// What Purlin takes part in: everything.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Purlin>),
    ("call", w::call::<Purlin>),
    ("call_5s", w::call_5s::<Purlin>),
    ("call_async", w::call_async::<Purlin>),
    ("call_task", w::call_task::<Purlin>),
    ("call_4", w::call_4::<Purlin>),
    ("call_16", w::call_16::<Purlin>),
    ("read", w::read::<Purlin>),
    ("read1_1us", w::read1_1us::<Purlin>),
    ("read2_1us", w::read2_1us::<Purlin>),
    ("read2_empty", w::read2_empty::<Purlin>),
    ("cast_1p", w::cast_1p::<Purlin>),
    ("cast_4p", w::cast_4p::<Purlin>),
    ("ring", w::ring::<Purlin>),
    ("churn", w::churn::<Purlin>),
    ("task", w::task::<Purlin>),
    ("task_stream", w::task_stream::<Purlin>),
    ("crash", w::crash::<Purlin>),
    ("crash_nobt", w::crash_nobt::<Purlin>),
    ("monitor", w::monitor::<Purlin>),
    ("statem_call", w::statem_call::<Purlin>),
    ("statem_timeout", w::statem_timeout::<Purlin>),
    ("statem_flip", w::statem_flip::<Purlin>),
    ("registry_lookup", w::registry_lookup::<Purlin>),
    ("via_call", w::via_call::<Purlin>),
    ("agent_get", w::agent_get::<Purlin>),
    ("agent_update", w::agent_update::<Purlin>),
    ("pubsub_idle", w::pubsub_idle::<Purlin>),
    ("pubsub_backlog", w::pubsub_backlog::<Purlin>),
    ("idle_1m", w::idle_1m::<Purlin>),
    ("mass_restart", w::mass_restart::<Purlin>),
];

struct Purlin;

/// Runs `body` as a process of the current node.
fn in_process<T: Send + 'static>(
    body: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let (done, result) = oneshot::channel();
    process::spawn(async move |_mailbox: Mailbox<()>| {
        // Whoever started it waits for the result.
        let _ = done.send(body.await);
    });
    async move { result.await.expect("the process does not panic") }
}

impl System for Purlin {
    fn run<T: Send + 'static>(workers: usize, main: impl Future<Output = T> + Send + 'static) -> T {
        let mut builder = match workers {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(workers).enable_all().build().expect("a tokio runtime starts");
        runtime.block_on(async move {
            let node = Node::builder()
                .name("bench")
                .stderr_reports(false)
                .backtraces(BACKTRACES.load(Ordering::Relaxed))
                .start();
            node.scope(async move { in_process(main).await }).await
        })
    }

    fn client<T: Send + 'static>(
        _index: usize,
        body: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        in_process(body)
    }

    fn panic_hook(backtraces: bool) {
        // Purlin has a hook of its own; whether it captures a backtrace is a setting of the node.
        BACKTRACES.store(backtraces, Ordering::Relaxed);
    }
}

static BACKTRACES: AtomicBool = AtomicBool::new(true);

struct Server(Counter);

impl GenServer for Server {
    type Args = ();

    async fn init((): (), _cx: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Server(Counter::init()))
    }
}

struct Add(u64);
struct AddAsync(u64);
struct Read(Body);
struct Incarnation;
struct Bump;
struct Expect(u64, oneshot::Sender<()>);
struct Crash;

impl HandleCall<Add> for Server {
    type Reply = u64;
    const SYNC: bool = true;

    async fn handle_call(&mut self, add: Add, _cx: &mut Cx<Self>) -> u64 {
        self.0.add(add.0)
    }
}

impl HandleCall<AddAsync> for Server {
    type Reply = u64;

    async fn handle_call(&mut self, add: AddAsync, _cx: &mut Cx<Self>) -> u64 {
        self.0.add(add.0)
    }
}

impl HandleRead<Read> for Server {
    type Reply = u64;

    fn handle_read(&self, read: Read, _cx: &ReadCx<Self>) -> u64 {
        self.0.read(read.0)
    }
}

impl HandleCall<Incarnation> for Server {
    type Reply = u64;
    const SYNC: bool = true;

    async fn handle_call(&mut self, _: Incarnation, _cx: &mut Cx<Self>) -> u64 {
        self.0.incarnation()
    }
}

impl HandleCall<Expect> for Server {
    type Reply = ();
    const SYNC: bool = true;

    async fn handle_call(&mut self, expect: Expect, _cx: &mut Cx<Self>) {
        self.0.expect(expect.0, expect.1);
    }
}

impl HandleCast<Bump> for Server {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, _: Bump, _cx: &mut Cx<Self>) {
        self.0.bump();
    }
}

impl HandleCast<Crash> for Server {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, _: Crash, _cx: &mut Cx<Self>) {
        panic!("asked to crash");
    }
}

impl Calls for Purlin {
    type Server = Ref<Server>;

    async fn start() -> Self::Server {
        Server::start(()).await.expect("the server starts")
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        server.call(Add(n)).infinity().await.expect("the server answers")
    }
}

impl Deadlines for Purlin {
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        server.call(Add(n)).await.expect("the server answers in time")
    }

    async fn call_async(server: &Self::Server, n: u64) -> u64 {
        server.call(AddAsync(n)).await.expect("the server answers in time")
    }
}

impl Reads for Purlin {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        server.call(Read(body)).await.expect("the server answers")
    }
}

impl Casts for Purlin {
    fn cast(server: &Self::Server) {
        server.cast(Bump);
    }

    async fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) {
        server.call(Expect(n, done)).await.expect("the server answers");
    }
}

impl Churn for Purlin {
    async fn churn() -> u64 {
        let server = Self::start().await;
        let answer = Self::call_5s(&server, 1).await;
        server.stop().await.expect("the server stops");
        answer
    }
}

impl Tasks for Purlin {
    async fn task(n: u64) -> u64 {
        Task::async_link(async move { n }).await.expect("the task answers")
    }

    async fn stream(n: u64, concurrency: usize) -> u64 {
        // As many inputs ahead of the consumer as by hand.
        let stream = Task::async_stream(0..n, |n| async move { n }).max_concurrency(concurrency);
        let mut stream = stream.max_buffered(0);
        let mut sum = 0;
        while let Some(n) = stream.next().await {
            sum += n.expect("the task answers");
        }
        sum
    }
}

impl Monitors for Purlin {
    async fn monitor(server: &Self::Server, n: u64) {
        // Inside `run` and `client` the caller is a process.
        for _ in 0..n {
            let watch = process::monitor(server.pid());
            process::demonitor(watch);
        }
    }
}

impl Names for Purlin {
    type Registry = Registry<String>;

    async fn register(keys: Arc<Vec<String>>) -> Self::Registry {
        let registry =
            Registry::<String>::unique("endpoints").start_link().await.expect("the registry starts");
        for key in keys.iter() {
            Server::start(()).name(registry.via::<Server>(key.clone())).await.expect("the server starts");
        }
        registry
    }

    fn lookup(registry: &Self::Registry, key: &str) -> Self::Server {
        registry.get::<Server>(key).expect("the registry lives").expect("the key is registered")
    }

    async fn via_call(registry: &Self::Registry, key: &str, n: u64) -> u64 {
        registry.via::<Server>(key.to_owned()).call(Add(n)).await.expect("the server answers")
    }
}

/// A process of the ring.
struct Link(Option<Ref<Link>>);

impl GenServer for Link {
    type Args = Option<Ref<Link>>;

    async fn init(next: Self::Args, _cx: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Link(next))
    }
}

struct Next(Ref<Link>);

impl HandleCall<Next> for Link {
    type Reply = ();
    const SYNC: bool = true;

    async fn handle_call(&mut self, next: Next, _cx: &mut Cx<Self>) {
        self.0 = Some(next.0);
    }
}

impl HandleCast<Token> for Link {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, token: Token, _cx: &mut Cx<Self>) {
        if let (Some(token), Some(next)) = (token.hop(), &self.0) {
            next.cast(token);
        }
    }
}

impl Ring for Purlin {
    type Node = Ref<Link>;

    async fn ring(nodes: usize) -> Self::Node {
        let first = Link::start(None).await.expect("the process starts");
        let mut next = first.clone();
        for _ in 1..nodes {
            next = Link::start(Some(next)).await.expect("the process starts");
        }
        first.call(Next(next)).await.expect("the ring lives");
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        node.cast(token);
    }
}

/// The name of the server that crashes: it reaches whatever incarnation lives.
const FRAGILE: Name<Server> = Name::new("fragile");

impl Restarts for Purlin {
    type Slot = Ref<Supervisor>;

    async fn supervise() -> Ref<Supervisor> {
        Supervisor::one_for_one()
            .max_restarts(u32::MAX, Duration::from_secs(1))
            .child(Server::child_spec(()).name(FRAGILE))
            .start_link()
            .await
            .expect("the supervisor starts")
    }

    fn crash(_supervisor: &Ref<Supervisor>) {
        FRAGILE.cast(Crash);
    }

    async fn ask(_supervisor: &Ref<Supervisor>) -> Option<u64> {
        FRAGILE.call(Incarnation).await.ok()
    }
}

/// A supervisor and the first incarnations of its children.
struct Family {
    children: Vec<Pid>,
    _supervisor: Ref<DynamicSupervisor>,
}

impl Families for Purlin {
    type Family = Family;

    async fn family(n: usize) -> Family {
        let supervisor = DynamicSupervisor::new()
            .max_restarts(u32::MAX, Duration::from_secs(1))
            .start_link()
            .await
            .expect("the supervisor starts");
        let mut children = Vec::with_capacity(n);
        for _ in 0..n {
            let child = supervisor.start_child(Server::child_spec(())).await.expect("the child starts");
            children.push(child.pid());
        }
        Family { children, _supervisor: supervisor }
    }

    fn kill(family: &Family, stride: usize) {
        for &child in family.children.iter().step_by(stride) {
            process::exit(child, ExitReason::Kill);
        }
    }
}

impl Agents for Purlin {
    type Agent = Agent<u64>;

    async fn agent() -> Self::Agent {
        Agent::start(|| 0).await.expect("the agent starts")
    }

    async fn get(agent: &Self::Agent) -> u64 {
        agent.get(|n| *n).await.expect("the agent answers")
    }

    async fn update(agent: &Self::Agent) {
        agent.update(|n| *n += 1).await.expect("the agent answers");
    }
}

/// Hears broadcasts.
struct Listener(Arc<Tally>);

impl GenServer for Listener {
    type Args = (PubSub<Arc<u64>>, Arc<Tally>);

    async fn init((pubsub, tally): Self::Args, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        pubsub.subscribe(cx, TOPIC)?;
        Ok(Listener(tally))
    }
}

impl HandleInfo<Arc<u64>> for Listener {
    const SYNC: bool = true;

    async fn handle_info(&mut self, message: Arc<u64>, _cx: &mut Cx<Self>) {
        std::hint::black_box(&message);
        self.0.handled();
    }
}

const TOPIC: &str = "orders";

impl Broadcasts for Purlin {
    type Topic = PubSub<Arc<u64>>;

    async fn subscribers(n: usize, tally: Arc<Tally>) -> Self::Topic {
        let pubsub = PubSub::new("pubsub").start().await.expect("the PubSub starts");
        for _ in 0..n {
            Listener::start((pubsub.clone(), tally.clone())).await.expect("the listener starts");
        }
        pubsub
    }

    fn broadcast(topic: &Self::Topic, message: Arc<u64>) {
        topic.broadcast(TOPIC, message).expect("the PubSub runs");
    }
}
