//! kameo 0.22, default features. `spawn` gives a mailbox bounded to 64, with which a cast waits when it is full; casts here
//! never wait, so all actors get kameo's unbounded mailbox (the same tokio channel as the floor's).
//!
//! kameo has links between siblings instead of monitors; link + unlink stands in for monitor + demonitor. Its registry is
//! a mutex around a map.

use std::sync::Arc;
use std::time::Duration;

use ::kameo::Actor;
use ::kameo::actor::{ActorRef, Spawn};
use ::kameo::error::Infallible;
use ::kameo::mailbox;
use ::kameo::message::{Context, Message};
use ::kameo::supervision::RestartPolicy;
use tokio::sync::oneshot;

use crate::impls::on_tokio;
use crate::state::{Body, Counter, Token};
use crate::system::{Calls, Casts, Churn, Deadlines, Families, Monitors, Names, Reads, Restarts, Ring};
use crate::workloads::{self as w, Run};

/// What kameo takes part in: everything.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Kameo>),
    ("call", w::call::<Kameo>),
    ("call_5s", w::call_5s::<Kameo>),
    ("call_async", w::call_async::<Kameo>),
    ("call_task", w::call_task::<Kameo>),
    ("call_4", w::call_4::<Kameo>),
    ("call_16", w::call_16::<Kameo>),
    ("read", w::read::<Kameo>),
    ("read1_1us", w::read1_1us::<Kameo>),
    ("read2_1us", w::read2_1us::<Kameo>),
    ("read2_empty", w::read2_empty::<Kameo>),
    ("cast_1p", w::cast_1p::<Kameo>),
    ("cast_4p", w::cast_4p::<Kameo>),
    ("ring", w::ring::<Kameo>),
    ("churn", w::churn::<Kameo>),
    ("crash", w::crash::<Kameo>),
    ("crash_nobt", w::crash_nobt::<Kameo>),
    ("monitor", w::monitor::<Kameo>),
    ("registry_lookup", w::registry_lookup::<Kameo>),
    ("via_call", w::via_call::<Kameo>),
    ("idle_1m", w::idle_1m::<Kameo>),
    ("mass_restart", w::mass_restart::<Kameo>),
];

struct Kameo;

on_tokio!(Kameo);

struct Server(Counter);

impl Actor for Server {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _this: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Server(Counter::init()))
    }
}

struct Add(u64);
struct Read(Body);
struct Incarnation;
struct Bump;
struct Expect(u64, oneshot::Sender<()>);
struct Crash;

impl Message<Add> for Server {
    type Reply = u64;

    async fn handle(&mut self, add: Add, _cx: &mut Context<Self, u64>) -> u64 {
        self.0.add(add.0)
    }
}

impl Message<Read> for Server {
    type Reply = u64;

    async fn handle(&mut self, read: Read, _cx: &mut Context<Self, u64>) -> u64 {
        self.0.read(read.0)
    }
}

impl Message<Incarnation> for Server {
    type Reply = u64;

    async fn handle(&mut self, _: Incarnation, _cx: &mut Context<Self, u64>) -> u64 {
        self.0.incarnation()
    }
}

impl Message<Bump> for Server {
    type Reply = ();

    async fn handle(&mut self, _: Bump, _cx: &mut Context<Self, ()>) {
        self.0.bump();
    }
}

impl Message<Expect> for Server {
    type Reply = ();

    async fn handle(&mut self, expect: Expect, _cx: &mut Context<Self, ()>) {
        self.0.expect(expect.0, expect.1);
    }
}

impl Message<Crash> for Server {
    type Reply = ();

    async fn handle(&mut self, _: Crash, _cx: &mut Context<Self, ()>) {
        panic!("asked to crash");
    }
}

impl Calls for Kameo {
    type Server = ActorRef<Server>;

    async fn start() -> Self::Server {
        Server::spawn_with_mailbox((), mailbox::unbounded())
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        server.ask(Add(n)).await.expect("the server answers")
    }
}

impl Deadlines for Kameo {
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        server.ask(Add(n)).reply_timeout(Duration::from_secs(5)).await.expect("the server answers in time")
    }
}

impl Reads for Kameo {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        server.ask(Read(body)).await.expect("the server answers")
    }
}

impl Casts for Kameo {
    fn cast(server: &Self::Server) {
        server.tell(Bump).try_send().expect("the server lives");
    }

    async fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) {
        server.ask(Expect(n, done)).await.expect("the server answers");
    }
}

impl Churn for Kameo {
    async fn churn() -> u64 {
        let server = Self::start().await;
        let answer = Self::call(&server, 1).await;
        server.stop_gracefully().await.expect("the server lives");
        server.wait_for_shutdown().await;
        answer
    }
}

impl Monitors for Kameo {
    async fn monitor(server: &Self::Server, n: u64) {
        let watcher = Self::start().await;
        for _ in 0..n {
            watcher.link(server).await;
            watcher.unlink(server).await;
        }
    }
}

impl Names for Kameo {
    /// kameo's registry is global.
    type Registry = ();

    async fn register(keys: Arc<Vec<String>>) {
        for key in keys.iter() {
            Self::start().await.register(key.clone()).expect("the name is free");
        }
    }

    fn lookup((): &(), key: &str) -> Self::Server {
        ActorRef::<Server>::lookup(key).expect("of this type").expect("the key is registered")
    }
}

/// A process of the ring.
struct Node(Option<ActorRef<Node>>);

impl Actor for Node {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(node: Self, _this: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(node)
    }
}

struct Next(ActorRef<Node>);

impl Message<Next> for Node {
    type Reply = ();

    async fn handle(&mut self, next: Next, _cx: &mut Context<Self, ()>) {
        self.0 = Some(next.0);
    }
}

impl Message<Token> for Node {
    type Reply = ();

    async fn handle(&mut self, token: Token, _cx: &mut Context<Self, ()>) {
        if let (Some(token), Some(next)) = (token.hop(), &self.0) {
            // The ring ends as a whole when the runtime stops.
            let _ = next.tell(token).try_send();
        }
    }
}

impl Ring for Kameo {
    type Node = ActorRef<Node>;

    async fn ring(nodes: usize) -> Self::Node {
        let first = Node::spawn_with_mailbox(Node(None), mailbox::unbounded());
        let mut next = first.clone();
        for _ in 1..nodes {
            next = Node::spawn_with_mailbox(Node(Some(next)), mailbox::unbounded());
        }
        first.ask(Next(next)).await.expect("the ring lives");
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        assert!(node.tell(token).try_send().is_ok(), "the ring lives");
    }
}

struct Supervisor;

impl Actor for Supervisor {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _this: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Supervisor)
    }
}

/// A supervisor and its children. A restarted actor keeps its reference and its mailbox.
struct Family {
    children: Vec<ActorRef<Server>>,
    _supervisor: ActorRef<Supervisor>,
}

async fn supervise(n: usize) -> Family {
    let supervisor = Supervisor::spawn_with_mailbox((), mailbox::unbounded());
    let mut children = Vec::with_capacity(n);
    for _ in 0..n {
        let child = Server::supervise(&supervisor, ())
            .restart_policy(RestartPolicy::Permanent)
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::unbounded());
        children.push(child.await);
    }
    Family { children, _supervisor: supervisor }
}

impl Restarts for Kameo {
    type Slot = Family;

    async fn supervise() -> Family {
        supervise(1).await
    }

    fn crash(slot: &Family) {
        // A server that is just down cannot crash; the driver sends this only to one that has answered.
        let _ = slot.children[0].tell(Crash).try_send();
    }

    async fn ask(slot: &Family) -> Option<u64> {
        slot.children[0].ask(Incarnation).await.ok()
    }
}

impl Families for Kameo {
    type Family = Family;

    async fn family(n: usize) -> Family {
        supervise(n).await
    }

    fn kill(family: &Family, stride: usize) {
        for child in family.children.iter().step_by(stride) {
            child.kill();
        }
    }
}
