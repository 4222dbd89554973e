//! xtra 0.6, on tokio, with unbounded mailboxes (its constructor lets one choose).
//!
//! Its mailbox is a `BinaryHeap` ordered by priority alone, which does not keep one sender's order: messages may overtake
//! each other. It therefore takes part only where at most one message per sender is under way; not in the casts. It has no
//! supervision, monitors or registry.

use std::time::Duration;

use ::xtra::{Actor, Address, Context, Handler, Mailbox};

use crate::impls::on_tokio;
use crate::state::{Body, Counter, Token};
use crate::system::{Calls, Churn, Deadlines, Reads, Ring};
use crate::workloads::{self as w, Run};

/// What xtra takes part in.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Xtra>),
    ("call", w::call::<Xtra>),
    ("call_5s", w::call_5s::<Xtra>),
    ("call_async", w::call_async::<Xtra>),
    ("call_task", w::call_task::<Xtra>),
    ("call_4", w::call_4::<Xtra>),
    ("call_16", w::call_16::<Xtra>),
    ("read", w::read::<Xtra>),
    ("read1_1us", w::read1_1us::<Xtra>),
    ("read2_1us", w::read2_1us::<Xtra>),
    ("read2_empty", w::read2_empty::<Xtra>),
    ("ring", w::ring::<Xtra>),
    ("churn", w::churn::<Xtra>),
    ("idle_1m", w::idle_1m::<Xtra>),
];

struct Xtra;

on_tokio!(Xtra);

/// The server; its state is made in `started`, which is its init.
#[derive(Default)]
struct Server(Option<Counter>);

impl Server {
    fn counter(&mut self) -> &mut Counter {
        self.0.as_mut().expect("started")
    }
}

impl Actor for Server {
    type Stop = ();

    async fn started(&mut self, _mailbox: &Mailbox<Self>) -> Result<(), ()> {
        self.0 = Some(Counter::init());
        Ok(())
    }

    async fn stopped(self) {}
}

struct Add(u64);
struct Read(Body);

impl Handler<Add> for Server {
    type Return = u64;

    async fn handle(&mut self, add: Add, _cx: &mut Context<Self>) -> u64 {
        self.counter().add(add.0)
    }
}

impl Handler<Read> for Server {
    type Return = u64;

    async fn handle(&mut self, read: Read, _cx: &mut Context<Self>) -> u64 {
        self.counter().read(read.0)
    }
}

impl Calls for Xtra {
    type Server = Address<Server>;

    async fn start() -> Self::Server {
        ::xtra::spawn_tokio(Server::default(), Mailbox::unbounded())
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        server.send(Add(n)).await.expect("the server lives")
    }
}

impl Deadlines for Xtra {
    // xtra has no deadline of its own.
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        let call = server.send(Add(n));
        tokio::time::timeout(Duration::from_secs(5), call).await.expect("in time").expect("the server lives")
    }
}

impl Reads for Xtra {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        server.send(Read(body)).await.expect("the server lives")
    }
}

impl Churn for Xtra {
    async fn churn() -> u64 {
        let (address, mailbox) = Mailbox::unbounded();
        let task = tokio::spawn(::xtra::run(mailbox, Server::default()));
        let answer = address.send(Add(1)).await.expect("the server lives");
        // The last address is what keeps an actor alive.
        drop(address);
        task.await.expect("the server ends normally");
        answer
    }
}

/// A process of the ring.
#[derive(Default)]
struct Node(Option<Address<Node>>);

impl Actor for Node {
    type Stop = ();

    async fn stopped(self) {}
}

struct Next(Address<Node>);

impl Handler<Next> for Node {
    type Return = ();

    async fn handle(&mut self, next: Next, _cx: &mut Context<Self>) {
        self.0 = Some(next.0);
    }
}

impl Handler<Token> for Node {
    type Return = ();

    async fn handle(&mut self, token: Token, _cx: &mut Context<Self>) {
        if let (Some(token), Some(next)) = (token.hop(), &self.0) {
            // Detached: handed to the mailbox, the answer is not awaited.
            let _ = next.send(token).detach().await;
        }
    }
}

impl Ring for Xtra {
    type Node = Address<Node>;

    async fn ring(nodes: usize) -> Self::Node {
        let first = ::xtra::spawn_tokio(Node::default(), Mailbox::unbounded());
        let mut next = first.clone();
        for _ in 1..nodes {
            next = ::xtra::spawn_tokio(Node(Some(next)), Mailbox::unbounded());
        }
        first.send(Next(next)).await.expect("the ring lives");
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        let send = node.send(token).detach();
        tokio::spawn(async move { send.await.map(drop) });
    }
}
