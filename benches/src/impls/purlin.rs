//! Purlin. Callers and producers are Purlin processes, as they would be in a program; servers are GenServers written by
//! hand (the macro generates the same). Mailboxes are unbounded, the default. `call` switches the deadline off
//! (`infinity`), `call_5s` is the plain call: its default deadline is five seconds. Panics are captured by Purlin's
//! own hook.

use std::future::Future;

use purlin_core::*;
use tokio::sync::oneshot;

use crate::state::{Body, Counter, Token};
use crate::system::{
    Calls, Casts, Churn, Deadlines, Monitors, Reads, Ring, System,
};
use crate::workloads::{self as w, Run};

/// What Purlin takes part in: everything.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Purlin>),
    ("call", w::call::<Purlin>),
    ("call_5s", w::call_5s::<Purlin>),
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
    ("monitor", w::monitor::<Purlin>),
    ("idle_1m", w::idle_1m::<Purlin>),
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
            let node = Node::builder().name("bench").start();
            node.scope(async move { in_process(main).await }).await
        })
    }

    fn client<T: Send + 'static>(
        _index: usize,
        body: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        in_process(body)
    }

    fn panic_hook(_backtraces: bool) {
        // Purlin's own hook; OPEN: how backtraces are switched off (RUST_BACKTRACE=0? a node option?) for crash_nobt.
    }
}

struct Server(Counter);

impl GenServer for Server {
    type Args = ();

    async fn init((): (), _cx: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Server(Counter::init()))
    }
}

struct Add(u64);
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

impl Monitors for Purlin {
    async fn monitor(server: &Self::Server, n: u64) {
        // Inside `run` and `client` the caller is a process.
        for _ in 0..n {
            let watch = process::monitor(server.pid());
            process::demonitor(watch);
        }
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
