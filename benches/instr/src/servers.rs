//! What the operations work on: a counter, as a server and as a state machine, whose handlers do next to nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use purlin_core::gen_statem::Init;
use purlin_core::{
    Address, AnyMsg, Cx, GenServer, GenStateMachine, HandleCall, HandleCast, HandleInfo, HandleRead,
    InitError, Machine, Next, PubSub, ReadCx, ReplyTo,
};

/// Counts.
pub(crate) struct Counter(u64);

impl GenServer for Counter {
    type Args = ();

    async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Counter(0))
    }
}

/// Adds 1, by a handler that never waits (what the macro makes of a plain `fn`).
pub(crate) struct AddSync;

impl HandleCall<AddSync> for Counter {
    type Reply = u64;
    const SYNC: bool = true;

    async fn handle_call(&mut self, _: AddSync, _: &mut Cx<Self>) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Adds 1, by a handler that could wait and does not.
pub(crate) struct AddAsync;

impl HandleCall<AddAsync> for Counter {
    type Reply = u64;

    async fn handle_call(&mut self, _: AddAsync, _: &mut Cx<Self>) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Reads the count.
pub(crate) struct Get;

impl HandleRead<Get> for Counter {
    type Reply = u64;

    fn handle_read(&self, _: Get, _: &ReadCx<Self>) -> u64 {
        self.0
    }
}

/// Adds 1 without an answer.
pub(crate) struct Bump;

impl HandleCast<Bump> for Counter {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, _: Bump, _: &mut Cx<Self>) {
        self.0 += 1;
    }
}

/// The last cast of a batch has been handled.
pub(crate) struct Handled;

/// Adds 1, and tells the client that it has.
pub(crate) struct BumpAndTell(pub(crate) Address<AnyMsg>);

impl HandleCast<BumpAndTell> for Counter {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, message: BumpAndTell, _: &mut Cx<Self>) {
        self.0 += 1;
        message.0.send(Handled);
    }
}

/// A timer's message; no timer of this program ever fires.
pub(crate) struct Tick;

impl HandleInfo<Tick> for Counter {
    async fn handle_info(&mut self, _: Tick, _: &mut Cx<Self>) {
        self.0 += 1;
    }
}

/// Sets a timer and takes it off, so often.
pub(crate) struct Timers(pub(crate) u64);

impl HandleCall<Timers> for Counter {
    type Reply = ();
    const SYNC: bool = true;

    async fn handle_call(&mut self, Timers(n): Timers, cx: &mut Cx<Self>) {
        for _ in 0..n {
            let timer = cx.send_after(Duration::from_secs(60), Tick);
            assert!(cx.cancel_timer(timer).is_some(), "a timer of a minute does not fire meanwhile");
        }
    }
}

/// Subscribes to numbers, and counts what it hears together with the others.
pub(crate) struct Listener(Arc<AtomicU64>);

impl GenServer for Listener {
    type Args = (PubSub<Arc<u64>>, Arc<AtomicU64>);

    async fn init((pubsub, heard): Self::Args, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        pubsub.subscribe(cx, "all")?;
        Ok(Listener(heard))
    }
}

impl HandleInfo<Arc<u64>> for Listener {
    const SYNC: bool = true;

    async fn handle_info(&mut self, _: Arc<u64>, _: &mut Cx<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts, as a state machine.
pub(crate) struct Counting(u64);

/// What it handles.
#[derive(Debug)]
pub(crate) enum Event {
    Ask(ReplyTo<u64>),
    /// Sets the state timeout anew.
    Rearm(ReplyTo<u64>),
    /// Does not happen while the program runs.
    Late,
}

impl GenStateMachine for Counting {
    type Args = ();
    type State = bool;
    type Event = Event;

    async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
        Ok(Init::new(false, Counting(0)))
    }

    async fn handle_event(&mut self, _: &bool, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
        self.0 += 1;
        match event {
            Event::Ask(from) => Next::keep().reply(from, self.0),
            Event::Rearm(from) => {
                Next::keep().state_timeout(Duration::from_secs(60), Event::Late).reply(from, self.0)
            },
            Event::Late => Next::state(true),
        }
    }
}
