//! What an implementation must offer to take part. One trait per ability, so that an implementation that lacks one simply
//! does not appear in the workloads that need it. The drivers in [`crate::workloads`] are generic over these traits: every
//! implementation runs the same loop.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::state::{Body, Token};
use crate::workloads::Tally;

/// The runtime.
pub(crate) trait System: Sized + Send + 'static {
    /// Runs `main` as a task (never on the blocked main thread) of a runtime with `workers` worker threads.
    fn run<T: Send + 'static>(workers: usize, main: impl Future<Output = T> + Send + 'static) -> T;

    /// Starts client number `index` as a task of its own; awaiting the result waits for its end.
    fn client<T: Send + 'static>(
        index: usize,
        body: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send;

    /// Installs the panic hook for the crash workloads.
    fn panic_hook(backtraces: bool) {
        crate::panics::install(backtraces);
    }
}

/// Servers that answer calls.
pub(crate) trait Calls: System {
    /// A handle.
    type Server: Clone + Send + Sync + 'static;

    /// Starts a server whose state is a [`crate::state::Counter`].
    fn start() -> impl Future<Output = Self::Server> + Send;

    /// Calls `Counter::add` and awaits the answer, without a deadline.
    fn call(server: &Self::Server, n: u64) -> impl Future<Output = u64> + Send;
}

/// Calls with a deadline of five seconds.
pub(crate) trait Deadlines: Calls {
    /// As [`Calls::call`], giving up after five seconds.
    fn call_5s(server: &Self::Server, n: u64) -> impl Future<Output = u64> + Send;

    /// The same, of a handler that is an `async fn` and is ready at once, where that is something else.
    fn call_async(server: &Self::Server, n: u64) -> impl Future<Output = u64> + Send {
        Self::call_5s(server, n)
    }
}

/// Calls that only read.
pub(crate) trait Reads: Calls {
    /// Calls `Counter::read` by the cheapest way that the implementation has for it.
    fn read(server: &Self::Server, body: Body) -> impl Future<Output = u64> + Send;
}

/// Messages without an answer, in one sender's order.
pub(crate) trait Casts: Calls {
    /// Sends a message that runs `Counter::bump`; never waits.
    fn cast(server: &Self::Server);

    /// Runs `Counter::expect` in the server and waits until it has run.
    fn expect(server: &Self::Server, n: u64, done: oneshot::Sender<()>) -> impl Future<Output = ()> + Send;
}

/// Short lives.
pub(crate) trait Churn: Calls {
    /// Starts a server, calls it once, stops it, waits until it is gone; the call's answer.
    fn churn() -> impl Future<Output = u64> + Send;
}

/// Work done in tasks of its own.
pub(crate) trait Tasks: System {
    /// Computes `n` in a task, and waits for it.
    fn task(n: u64) -> impl Future<Output = u64> + Send;

    /// Computes each of `0..n` in a task, so many at a time, and takes the values in their order; their sum.
    fn stream(n: u64, concurrency: usize) -> impl Future<Output = u64> + Send;
}

/// A ring of processes that pass a token on.
pub(crate) trait Ring: System {
    /// A process of the ring.
    type Node: Send + Sync + 'static;

    /// Starts `nodes` processes, each knowing the next.
    fn ring(nodes: usize) -> impl Future<Output = Self::Node> + Send;

    /// Sends a token to a process; never waits.
    fn launch(node: &Self::Node, token: Token);
}

/// One server under a supervisor that restarts it without limit.
pub(crate) trait Restarts: System {
    /// A handle that reaches whatever incarnation is alive.
    type Slot: Send + Sync + 'static;

    /// Starts supervisor and server.
    fn supervise() -> impl Future<Output = Self::Slot> + Send;

    /// Sends a message whose handler panics; never waits.
    fn crash(slot: &Self::Slot);

    /// Asks for `Counter::incarnation`; `None` when nobody answers.
    fn ask(slot: &Self::Slot) -> impl Future<Output = Option<u64>> + Send;
}

/// Many children under one supervisor.
pub(crate) trait Families: System {
    /// The children's handles, in order.
    type Family: Send + Sync + 'static;

    /// Starts a supervisor with `n` children that it restarts without limit.
    fn family(n: usize) -> impl Future<Output = Self::Family> + Send;

    /// Kills every child whose index is a multiple of `stride` (not through the supervisor); does not wait.
    fn kill(family: &Self::Family, stride: usize);
}

/// Watching another process.
pub(crate) trait Monitors: Calls {
    /// `n` times: begins to watch a live server and stops watching it.
    fn monitor(server: &Self::Server, n: u64) -> impl Future<Output = ()> + Send;
}

/// Servers found by a string.
pub(crate) trait Names: Calls {
    /// The registry.
    type Registry: Send + Sync + 'static;

    /// Starts one server per key and registers it.
    fn register(keys: Arc<Vec<String>>) -> impl Future<Output = Self::Registry> + Send;

    /// The handle registered under the key. Panics when there is none.
    fn lookup(registry: &Self::Registry, key: &str) -> Self::Server;

    /// Resolves the key and calls the server.
    fn via_call(registry: &Self::Registry, key: &str, n: u64) -> impl Future<Output = u64> + Send {
        async move { Self::call(&Self::lookup(registry, key), n).await }
    }
}

/// A state that is used by functions.
pub(crate) trait Agents: System {
    /// A handle.
    type Agent: Send + Sync + 'static;

    /// Starts an agent whose state is 0.
    fn agent() -> impl Future<Output = Self::Agent> + Send;

    /// The state, by a function that looks at it.
    fn get(agent: &Self::Agent) -> impl Future<Output = u64> + Send;

    /// Adds one, by a function that changes the state.
    fn update(agent: &Self::Agent) -> impl Future<Output = ()> + Send;
}

/// Messages to all subscribers of a topic.
pub(crate) trait Broadcasts: System {
    /// What a broadcast needs.
    type Topic: Send + Sync + 'static;

    /// Starts so many subscribers of one topic, which call [`Tally::handled`] for each message.
    fn subscribers(n: usize, tally: Arc<Tally>) -> impl Future<Output = Self::Topic> + Send;

    /// Sends a message to all of them; never waits.
    fn broadcast(topic: &Self::Topic, message: Arc<u64>);
}

/// State machines of two states that answer calls.
pub(crate) trait Machines: System {
    /// A handle.
    type Machine: Clone + Send + Sync + 'static;

    /// Starts a machine.
    fn machine() -> impl Future<Output = Self::Machine> + Send;

    /// A call that is answered, and changes nothing.
    fn ask(machine: &Self::Machine) -> impl Future<Output = u64> + Send;

    /// A call that also sets a state timeout of ten seconds, anew if one is set.
    fn rearm(machine: &Self::Machine) -> impl Future<Output = u64> + Send;

    /// A call that changes the state, to one with a state timeout of ten seconds and back.
    fn flip(machine: &Self::Machine) -> impl Future<Output = u64> + Send;
}
