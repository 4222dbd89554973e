//! actix 0.13. Its actors are bound to one thread, an *arbiter*, each. With one worker there is one arbiter; with more, the
//! servers live on the first and client `i` runs on arbiter `i % workers`. `send` (calls) respects the default mailbox
//! capacity of 16 by waiting; `do_send` (casts) ignores it, as documented.
//!
//! A panic in a handler ends an actix actor for good (its `Supervisor` restarts actors that stop, not actors that panic);
//! there are no monitors and no registry by string. It does not take part in those workloads.

use std::sync::OnceLock;
use std::time::Duration;

use ::actix::{
    Actor, ActorContext, Addr, Arbiter, ArbiterHandle, Context, Handler, Message, System as ActixSystem,
};
use tokio::sync::oneshot;

use crate::state::{Body, Counter, Token};
use crate::system::{Calls, Casts, Churn, Deadlines, Reads, Ring, System};
use crate::workloads::{self as w, Run};

/// What actix takes part in.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Actix>),
    ("call", w::call::<Actix>),
    ("call_5s", w::call_5s::<Actix>),
    ("call_4", w::call_4::<Actix>),
    ("call_16", w::call_16::<Actix>),
    ("read", w::read::<Actix>),
    ("read1_1us", w::read1_1us::<Actix>),
    ("read2_1us", w::read2_1us::<Actix>),
    ("read2_empty", w::read2_empty::<Actix>),
    ("cast_1p", w::cast_1p::<Actix>),
    ("cast_4p", w::cast_4p::<Actix>),
    ("ring", w::ring::<Actix>),
    ("churn", w::churn::<Actix>),
    ("idle_1m", w::idle_1m::<Actix>),
];

struct Actix;

/// The arbiters, the main one first.
static ARBITERS: OnceLock<Vec<ArbiterHandle>> = OnceLock::new();

impl System for Actix {
    fn run<T: Send + 'static>(workers: usize, main: impl Future<Output = T> + Send + 'static) -> T {
        let system = ActixSystem::new();
        system.block_on(async move {
            let others: Vec<Arbiter> = (1..workers).map(|_| Arbiter::new()).collect();
            let handles =
                std::iter::once(Arbiter::current()).chain(others.iter().map(Arbiter::handle)).collect();
            assert!(ARBITERS.set(handles).is_ok(), "one run per process");
            ::actix::spawn(main).await.expect("the workload does not panic")
        })
    }

    fn client<T: Send + 'static>(
        index: usize,
        body: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let (done, result) = oneshot::channel();
        let arbiters = ARBITERS.get().expect("inside run");
        let spawned = arbiters[index % arbiters.len()].spawn(async move {
            // The driver waits for every client.
            let _ = done.send(body.await);
        });
        assert!(spawned, "the arbiter lives");
        async move { result.await.expect("a client does not panic") }
    }
}

/// The server; its state is made in `started`, which is its init.
#[derive(Default)]
struct Server {
    counter: Option<Counter>,
    /// Signalled when the actor has stopped and is dropped.
    gone: Option<oneshot::Sender<()>>,
}

impl Server {
    fn counter(&mut self) -> &mut Counter {
        self.counter.as_mut().expect("started")
    }
}

impl Actor for Server {
    type Context = Context<Self>;

    fn started(&mut self, _cx: &mut Context<Self>) {
        self.counter = Some(Counter::init());
    }

    fn stopped(&mut self, _cx: &mut Context<Self>) {
        if let Some(gone) = self.gone.take() {
            let _ = gone.send(());
        }
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

#[derive(Message)]
#[rtype(result = "u64")]
struct Read(Body);

#[derive(Message)]
#[rtype(result = "()")]
struct Bump;

#[derive(Message)]
#[rtype(result = "()")]
struct Expect(u64, oneshot::Sender<()>);

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Add> for Server {
    type Result = u64;

    fn handle(&mut self, add: Add, _cx: &mut Context<Self>) -> u64 {
        self.counter().add(add.0)
    }
}

impl Handler<Read> for Server {
    type Result = u64;

    fn handle(&mut self, read: Read, _cx: &mut Context<Self>) -> u64 {
        self.counter().read(read.0)
    }
}

impl Handler<Bump> for Server {
    type Result = ();

    fn handle(&mut self, _bump: Bump, _cx: &mut Context<Self>) {
        self.counter().bump();
    }
}

impl Handler<Expect> for Server {
    type Result = ();

    fn handle(&mut self, expect: Expect, _cx: &mut Context<Self>) {
        self.counter().expect(expect.0, expect.1);
    }
}

impl Handler<Stop> for Server {
    type Result = ();

    fn handle(&mut self, _stop: Stop, cx: &mut Context<Self>) {
        cx.stop();
    }
}

impl Calls for Actix {
    type Server = Addr<Server>;

    async fn start() -> Self::Server {
        Server::default().start()
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        server.send(Add(n)).await.expect("the server lives")
    }
}

impl Deadlines for Actix {
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        server.send(Add(n)).timeout(Duration::from_secs(5)).await.expect("the server answers in time")
    }
}

impl Reads for Actix {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        server.send(Read(body)).await.expect("the server lives")
    }
}

impl Casts for Actix {
    fn cast(server: &Self::Server) {
        server.do_send(Bump);
    }

    async fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) {
        server.send(Expect(n, done)).await.expect("the server lives");
    }
}

impl Churn for Actix {
    async fn churn() -> u64 {
        let (gone, is_gone) = oneshot::channel();
        let server = Server { counter: None, gone: Some(gone) }.start();
        let answer = server.send(Add(1)).await.expect("the server lives");
        server.do_send(Stop);
        is_gone.await.expect("the server stops");
        answer
    }
}

/// A process of the ring.
#[derive(Default)]
struct Node(Option<Addr<Node>>);

impl Actor for Node {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Next(Addr<Node>);

#[derive(Message)]
#[rtype(result = "()")]
struct Pass(Token);

impl Handler<Next> for Node {
    type Result = ();

    fn handle(&mut self, next: Next, _cx: &mut Context<Self>) {
        self.0 = Some(next.0);
    }
}

impl Handler<Pass> for Node {
    type Result = ();

    fn handle(&mut self, pass: Pass, _cx: &mut Context<Self>) {
        if let (Some(token), Some(next)) = (pass.0.hop(), &self.0) {
            next.do_send(Pass(token));
        }
    }
}

impl Ring for Actix {
    type Node = Addr<Node>;

    async fn ring(nodes: usize) -> Self::Node {
        let first = Node::default().start();
        let mut next = first.clone();
        for _ in 1..nodes {
            next = Node(Some(next)).start();
        }
        first.send(Next(next)).await.expect("the ring lives");
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        node.do_send(Pass(token));
    }
}
