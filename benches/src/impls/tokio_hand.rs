//! The floor: tokio by hand, as an expert writes it. One task per server, an unbounded mpsc of an enum, a oneshot per
//! call. No pids, no names, no links, no crash isolation beyond the task's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::impls::on_tokio;
use crate::state::{Body, Counter, Token};
use crate::system::{
    Agents, Broadcasts, Calls, Casts, Churn, Deadlines, Monitors, Names, Reads, Ring, Tasks,
};
use crate::workloads::{self as w, Run, Tally};

/// What tokio by hand takes part in: everything.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Hand>),
    ("call", w::call::<Hand>),
    ("call_5s", w::call_5s::<Hand>),
    ("call_async", w::call_async::<Hand>),
    ("call_task", w::call_task::<Hand>),
    ("call_4", w::call_4::<Hand>),
    ("call_16", w::call_16::<Hand>),
    ("read", w::read::<Hand>),
    ("read1_1us", w::read1_1us::<Hand>),
    ("read2_1us", w::read2_1us::<Hand>),
    ("read2_empty", w::read2_empty::<Hand>),
    ("cast_1p", w::cast_1p::<Hand>),
    ("cast_4p", w::cast_4p::<Hand>),
    ("ring", w::ring::<Hand>),
    ("churn", w::churn::<Hand>),
    ("task", w::task::<Hand>),
    ("task_stream", w::task_stream::<Hand>),
    ("crash", w::crash::<Hand>),
    ("crash_nobt", w::crash_nobt::<Hand>),
    ("monitor", w::monitor::<Watched>),
    ("statem_call", w::statem_call::<Hand>),
    ("statem_timeout", w::statem_timeout::<Hand>),
    ("statem_flip", w::statem_flip::<Hand>),
    ("registry_lookup", w::registry_lookup::<Hand>),
    ("via_call", w::via_call::<Hand>),
    ("agent_get", w::agent_get::<Hand>),
    ("agent_update", w::agent_update::<Hand>),
    ("pubsub_idle", w::pubsub_idle::<Hand>),
    ("pubsub_backlog", w::pubsub_backlog::<Hand>),
    ("idle_1m", w::idle_1m::<Hand>),
    ("mass_restart", w::mass_restart::<Hand>),
];

/// tokio by hand.
pub(super) struct Hand;

on_tokio!(Hand);

/// What a server understands.
pub(super) enum Msg {
    Add(u64, oneshot::Sender<u64>),
    Read(Body, oneshot::Sender<u64>),
    Bump,
    Expect(u64, oneshot::Sender<()>, oneshot::Sender<()>),
}

/// The server's task.
pub(super) async fn serve(mut mailbox: UnboundedReceiver<Msg>) {
    let mut counter = Counter::init();
    while let Some(msg) = mailbox.recv().await {
        match msg {
            // A caller that has gone away needs no answer.
            Msg::Add(n, reply) => drop(reply.send(counter.add(n))),
            Msg::Read(body, reply) => drop(reply.send(counter.read(body))),
            Msg::Bump => counter.bump(),
            Msg::Expect(n, done, reply) => {
                counter.expect(n, done);
                let _ = reply.send(());
            },
        }
    }
}

async fn ask<R>(server: &UnboundedSender<Msg>, msg: impl FnOnce(oneshot::Sender<R>) -> Msg) -> R {
    let (reply, answer) = oneshot::channel();
    assert!(server.send(msg(reply)).is_ok(), "the server lives");
    answer.await.expect("the server answers")
}

impl Calls for Hand {
    type Server = UnboundedSender<Msg>;

    async fn start() -> Self::Server {
        let (server, mailbox) = mpsc::unbounded_channel();
        tokio::spawn(serve(mailbox));
        server
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        ask(server, |reply| Msg::Add(n, reply)).await
    }
}

impl Deadlines for Hand {
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        let call = ask(server, |reply| Msg::Add(n, reply));
        tokio::time::timeout(Duration::from_secs(5), call).await.expect("the server answers in time")
    }
}

impl Reads for Hand {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        ask(server, |reply| Msg::Read(body, reply)).await
    }
}

impl Casts for Hand {
    fn cast(server: &Self::Server) {
        assert!(server.send(Msg::Bump).is_ok(), "the server lives");
    }

    async fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) {
        ask(server, |reply| Msg::Expect(n, done, reply)).await;
    }
}

impl Churn for Hand {
    async fn churn() -> u64 {
        let (server, mailbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(mailbox));
        let answer = ask(&server, |reply| Msg::Add(1, reply)).await;
        drop(server);
        task.await.expect("the server ends normally");
        answer
    }
}

impl Tasks for Hand {
    async fn task(n: u64) -> u64 {
        tokio::spawn(async move { n }).await.expect("the task does not panic")
    }

    async fn stream(n: u64, concurrency: usize) -> u64 {
        let tasks = stream::iter(0..n).map(|n| tokio::spawn(async move { n }));
        let mut values = tasks.buffered(concurrency);
        let mut sum = 0;
        while let Some(n) = values.next().await {
            sum += n.expect("the task does not panic");
        }
        sum
    }
}

impl Ring for Hand {
    type Node = UnboundedSender<Token>;

    async fn ring(nodes: usize) -> Self::Node {
        let (first, first_mailbox) = mpsc::unbounded_channel::<Token>();
        let mut next = first.clone();
        for _ in 1..nodes {
            let (node, mailbox) = mpsc::unbounded_channel();
            tokio::spawn(pass_on(mailbox, next));
            next = node;
        }
        tokio::spawn(pass_on(first_mailbox, next));
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        assert!(node.send(token).is_ok(), "the ring lives");
    }
}

async fn pass_on(mut mailbox: UnboundedReceiver<Token>, next: UnboundedSender<Token>) {
    while let Some(token) = mailbox.recv().await {
        if let Some(token) = token.hop() {
            // The ring ends as a whole when the runtime stops.
            let _ = next.send(token);
        }
    }
}

impl Names for Hand {
    type Registry = DashMap<String, UnboundedSender<Msg>>;

    async fn register(keys: Arc<Vec<String>>) -> Self::Registry {
        let registry = DashMap::new();
        for key in keys.iter() {
            registry.insert(key.clone(), Self::start().await);
        }
        registry
    }

    fn lookup(registry: &Self::Registry, key: &str) -> Self::Server {
        registry.get(key).expect("the key is registered").clone()
    }
}

/// tokio by hand with servers that can be watched: the nearest thing to a monitor. Whoever watches leaves the sender of
/// its own mailbox with the server and is told when the server ends, however it ends.
struct Watched;

on_tokio!(Watched);

/// Handle of a server that can be watched.
#[derive(Clone)]
struct WatchedServer {
    mailbox: UnboundedSender<Msg>,
    watchers: Arc<Watchers>,
}

/// The watchers of one server; tells them when it is dropped with the server's task.
#[derive(Default)]
struct Watchers {
    next: AtomicU64,
    /// `None` once the server has ended.
    list: Mutex<Option<HashMap<u64, UnboundedSender<u64>>>>,
}

impl Watchers {
    fn watch(&self, watcher: &UnboundedSender<u64>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        match self.list.lock().expect("not poisoned").as_mut() {
            Some(list) => drop(list.insert(id, watcher.clone())),
            // Already over: told at once; a watcher that has gone does not care.
            None => drop(watcher.send(id)),
        }
        id
    }

    fn unwatch(&self, id: u64) {
        if let Some(list) = self.list.lock().expect("not poisoned").as_mut() {
            list.remove(&id);
        }
    }
}

/// Lives in the server's task; its drop is the end of the server.
struct TellOnDrop(Arc<Watchers>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        let list = self.0.list.lock().expect("not poisoned").take();
        for (id, watcher) in list.into_iter().flatten() {
            let _ = watcher.send(id);
        }
    }
}

impl Calls for Watched {
    type Server = WatchedServer;

    async fn start() -> WatchedServer {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let watchers = Arc::new(Watchers { next: AtomicU64::new(0), list: Mutex::new(Some(HashMap::new())) });
        let tell = TellOnDrop(watchers.clone());
        tokio::spawn(async move {
            let _tell = tell;
            serve(mailbox).await;
        });
        WatchedServer { mailbox: sender, watchers }
    }

    async fn call(server: &WatchedServer, n: u64) -> u64 {
        ask(&server.mailbox, |reply| Msg::Add(n, reply)).await
    }
}

impl Monitors for Watched {
    async fn monitor(server: &WatchedServer, n: u64) {
        let (watcher, mut down) = mpsc::unbounded_channel();
        for _ in 0..n {
            let id = server.watchers.watch(&watcher);
            server.watchers.unwatch(id);
        }
        assert!(down.try_recv().is_err(), "the server lives");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watcher_is_told_when_the_server_ends_and_not_after_it_stopped_watching() {
        let server = Watched::start().await;
        let (watcher, mut down) = mpsc::unbounded_channel();
        let kept = server.watchers.watch(&watcher);
        let given_up = server.watchers.watch(&watcher);
        server.watchers.unwatch(given_up);
        drop(server);
        assert_eq!(down.recv().await, Some(kept));
        drop(watcher);
        assert_eq!(down.recv().await, None);
    }
}

/// A function to be run on an agent's state.
type Job = Box<dyn FnOnce(&mut u64) + Send>;

/// Sends a function to an agent's task, and waits for what it returns.
async fn ask_agent<R: Send + 'static>(
    agent: &UnboundedSender<Job>,
    f: impl FnOnce(&mut u64) -> R + Send + 'static,
) -> R {
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |state| drop(reply.send(f(state))));
    assert!(agent.send(job).is_ok(), "the agent lives");
    answer.await.expect("the agent answers")
}

impl Agents for Hand {
    type Agent = UnboundedSender<Job>;

    async fn agent() -> Self::Agent {
        let (agent, mut jobs) = mpsc::unbounded_channel::<Job>();
        tokio::spawn(async move {
            let mut state = 0;
            while let Some(job) = jobs.recv().await {
                job(&mut state);
            }
        });
        agent
    }

    async fn get(agent: &Self::Agent) -> u64 {
        ask_agent(agent, |n| *n).await
    }

    async fn update(agent: &Self::Agent) {
        ask_agent(agent, |n| *n += 1).await;
    }
}

/// The subscribers' mailboxes by topic.
type Topics = RwLock<HashMap<String, Vec<UnboundedSender<Arc<u64>>>>>;

const TOPIC: &str = "orders";

impl Broadcasts for Hand {
    type Topic = Topics;

    async fn subscribers(n: usize, tally: Arc<Tally>) -> Self::Topic {
        let mut topics: HashMap<String, Vec<_>> = HashMap::new();
        for _ in 0..n {
            let (subscriber, mut mailbox) = mpsc::unbounded_channel::<Arc<u64>>();
            let tally = tally.clone();
            tokio::spawn(async move {
                while let Some(message) = mailbox.recv().await {
                    std::hint::black_box(&message);
                    tally.handled();
                }
            });
            topics.entry(TOPIC.to_owned()).or_default().push(subscriber);
        }
        RwLock::new(topics)
    }

    fn broadcast(topic: &Self::Topic, message: Arc<u64>) {
        let topics = topic.read().expect("not poisoned");
        for subscriber in topics.get(TOPIC).into_iter().flatten() {
            assert!(subscriber.send(message.clone()).is_ok(), "the subscriber lives");
        }
    }
}
