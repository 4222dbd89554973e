//! ractor 0.16, default features and `monitors`. Its mailboxes are unbounded; state lives beside the actor value.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ::ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, registry};
use tokio::sync::oneshot;

use crate::impls::on_tokio;
use crate::state::{Body, Counter, Token};
use crate::system::{Calls, Casts, Churn, Deadlines, Families, Monitors, Names, Reads, Restarts, Ring};
use crate::workloads::{self as w, Run};

/// What ractor takes part in: everything.
pub(crate) const WORKLOADS: &[(&str, Run)] = &[
    ("spawn", w::spawn::<Ractor>),
    ("call", w::call::<Ractor>),
    ("call_5s", w::call_5s::<Ractor>),
    ("call_async", w::call_async::<Ractor>),
    ("call_task", w::call_task::<Ractor>),
    ("call_4", w::call_4::<Ractor>),
    ("call_16", w::call_16::<Ractor>),
    ("read", w::read::<Ractor>),
    ("read1_1us", w::read1_1us::<Ractor>),
    ("read2_1us", w::read2_1us::<Ractor>),
    ("read2_empty", w::read2_empty::<Ractor>),
    ("cast_1p", w::cast_1p::<Ractor>),
    ("cast_4p", w::cast_4p::<Ractor>),
    ("ring", w::ring::<Ractor>),
    ("churn", w::churn::<Ractor>),
    ("crash", w::crash::<Ractor>),
    ("crash_nobt", w::crash_nobt::<Ractor>),
    ("monitor", w::monitor::<Ractor>),
    ("registry_lookup", w::registry_lookup::<Ractor>),
    ("via_call", w::via_call::<Ractor>),
    ("idle_1m", w::idle_1m::<Ractor>),
    ("mass_restart", w::mass_restart::<Ractor>),
];

struct Ractor;

on_tokio!(Ractor);

struct Server;

enum Msg {
    Add(u64, RpcReplyPort<u64>),
    Read(Body, RpcReplyPort<u64>),
    Incarnation(RpcReplyPort<u64>),
    Bump,
    Expect(u64, oneshot::Sender<()>, RpcReplyPort<()>),
    Crash,
}

impl Actor for Server {
    type Msg = Msg;
    type State = Counter;
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<Msg>, (): ()) -> Result<Counter, ActorProcessingErr> {
        Ok(Counter::init())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Msg>,
        msg: Msg,
        state: &mut Counter,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Add(n, reply) => reply.send(state.add(n))?,
            Msg::Read(body, reply) => reply.send(state.read(body))?,
            Msg::Incarnation(reply) => reply.send(state.incarnation())?,
            Msg::Bump => state.bump(),
            Msg::Expect(n, done, reply) => {
                state.expect(n, done);
                reply.send(())?;
            },
            Msg::Crash => panic!("asked to crash"),
        }
        Ok(())
    }
}

impl Calls for Ractor {
    type Server = ActorRef<Msg>;

    async fn start() -> Self::Server {
        Actor::spawn(None, Server, ()).await.expect("the server starts").0
    }

    async fn call(server: &Self::Server, n: u64) -> u64 {
        server.call(|reply| Msg::Add(n, reply), None).await.expect("the server lives").unwrap()
    }
}

impl Deadlines for Ractor {
    async fn call_5s(server: &Self::Server, n: u64) -> u64 {
        let deadline = Some(Duration::from_secs(5));
        server.call(|reply| Msg::Add(n, reply), deadline).await.expect("the server lives").unwrap()
    }
}

impl Reads for Ractor {
    async fn read(server: &Self::Server, body: Body) -> u64 {
        server.call(|reply| Msg::Read(body, reply), None).await.expect("the server lives").unwrap()
    }
}

impl Casts for Ractor {
    fn cast(server: &Self::Server) {
        server.cast(Msg::Bump).expect("the server lives");
    }

    async fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) {
        server.call(|reply| Msg::Expect(n, done, reply), None).await.expect("the server lives").unwrap();
    }
}

impl Churn for Ractor {
    async fn churn() -> u64 {
        let (server, task) = Actor::spawn(None, Server, ()).await.expect("the server starts");
        let answer = Self::call(&server, 1).await;
        server.stop(None);
        task.await.expect("the server ends normally");
        answer
    }
}

impl Monitors for Ractor {
    async fn monitor(server: &Self::Server, n: u64) {
        let watcher = Self::start().await.get_cell();
        for _ in 0..n {
            watcher.monitor(server.get_cell());
            watcher.unmonitor(server.get_cell());
        }
    }
}

impl Names for Ractor {
    /// ractor's registry is global: names are given at the start.
    type Registry = ();

    async fn register(keys: Arc<Vec<String>>) {
        for key in keys.iter() {
            Actor::spawn(Some(key.clone()), Server, ()).await.expect("the server starts");
        }
    }

    fn lookup((): &(), key: &str) -> Self::Server {
        registry::where_is(key).expect("the key is registered").into()
    }
}

struct Node;

enum NodeMsg {
    Next(ActorRef<NodeMsg>),
    Pass(Token),
}

impl Actor for Node {
    type Msg = NodeMsg;
    type State = Option<ActorRef<NodeMsg>>;
    type Arguments = Option<ActorRef<NodeMsg>>;

    async fn pre_start(
        &self,
        _myself: ActorRef<NodeMsg>,
        next: Option<ActorRef<NodeMsg>>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(next)
    }

    async fn handle(
        &self,
        _myself: ActorRef<NodeMsg>,
        msg: NodeMsg,
        next: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            NodeMsg::Next(node) => *next = Some(node),
            NodeMsg::Pass(token) => {
                if let (Some(token), Some(next)) = (token.hop(), next) {
                    next.cast(NodeMsg::Pass(token))?;
                }
            },
        }
        Ok(())
    }
}

impl Ring for Ractor {
    type Node = ActorRef<NodeMsg>;

    async fn ring(nodes: usize) -> Self::Node {
        let (first, _) = Actor::spawn(None, Node, None).await.expect("the node starts");
        let mut next = first.clone();
        for _ in 1..nodes {
            next = Actor::spawn(None, Node, Some(next)).await.expect("the node starts").0;
        }
        first.cast(NodeMsg::Next(next)).expect("the ring lives");
        first
    }

    fn launch(node: &Self::Node, token: Token) {
        node.cast(NodeMsg::Pass(token)).expect("the ring lives");
    }
}

/// A supervisor as ractor's guide writes it: children are linked to it, and its `handle_supervisor_evt` starts them again.
struct Supervisor;

/// The children's handles by index; the supervisor replaces them on restart.
type Children = Arc<RwLock<Vec<ActorRef<Msg>>>>;

struct SupervisorState {
    children: Children,
    index_of: HashMap<ActorId, usize>,
}

impl Actor for Supervisor {
    type Msg = ();
    type State = SupervisorState;
    type Arguments = (Children, usize);

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        (children, n): (Children, usize),
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let mut index_of = HashMap::with_capacity(n);
        for index in 0..n {
            let (child, _) = Actor::spawn_linked(None, Server, (), myself.get_cell()).await?;
            index_of.insert(child.get_id(), index);
            children.write().expect("not poisoned").push(child);
        }
        Ok(SupervisorState { children, index_of })
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let (SupervisionEvent::ActorFailed(gone, _) | SupervisionEvent::ActorTerminated(gone, ..)) = event
        else {
            return Ok(());
        };
        let Some(index) = state.index_of.remove(&gone.get_id()) else { return Ok(()) };
        let (child, _) = Actor::spawn_linked(None, Server, (), myself.get_cell()).await?;
        state.index_of.insert(child.get_id(), index);
        state.children.write().expect("not poisoned")[index] = child;
        Ok(())
    }
}

async fn supervise(n: usize) -> Family {
    let children: Children = Arc::new(RwLock::new(Vec::with_capacity(n)));
    let (supervisor, _) =
        Actor::spawn(None, Supervisor, (children.clone(), n)).await.expect("the supervisor starts");
    Family { children, _supervisor: supervisor }
}

struct Family {
    children: Children,
    _supervisor: ActorRef<()>,
}

impl Restarts for Ractor {
    type Slot = Family;

    async fn supervise() -> Family {
        supervise(1).await
    }

    fn crash(slot: &Family) {
        // A server that is just down cannot crash; the driver sends this only to one that has answered.
        let _ = slot.children.read().expect("not poisoned")[0].cast(Msg::Crash);
    }

    async fn ask(slot: &Family) -> Option<u64> {
        let server = slot.children.read().expect("not poisoned")[0].clone();
        server.call(Msg::Incarnation, None).await.ok()?.success_or(()).ok()
    }
}

impl Families for Ractor {
    type Family = Family;

    async fn family(n: usize) -> Family {
        supervise(n).await
    }

    fn kill(family: &Family, stride: usize) {
        for child in family.children.read().expect("not poisoned").iter().step_by(stride) {
            child.kill();
        }
    }
}
