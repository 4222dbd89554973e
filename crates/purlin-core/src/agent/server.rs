//! The process of an agent: a server whose messages are functions of its state.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::gen_server::{Cx, GenServer, HandleCall, HandleCast, HandleRead, InitError, ReadCx};

/// The server that an [`Agent`](crate::Agent) is, with its state inside.
///
/// An ordinary [`GenServer`]: a registry's [`via`](crate::Registry::via) names one, a supervisor starts one, [`sys`](crate::sys) looks into one.
/// It derefs to the state.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Agent, sys};
/// let stack = Agent::start(|| vec![1]).await?;
/// let state = sys::replace_state(&stack, |mut state| {
///     state.push(2);
///     state
/// })
/// .await?;
/// assert_eq!(*state, [1, 2]);
/// assert_eq!(sys::get_state(&stack).await?.into_inner(), [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentServer<T> {
    state: T,
}

impl<T> AgentServer<T> {
    /// The state.
    pub fn into_inner(self) -> T {
        self.state
    }
}

impl<T> Deref for AgentServer<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for AgentServer<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.state
    }
}

/// What an agent is started with: the function that makes its state, which runs in the agent's process.
pub struct AgentInit<T>(Box<dyn FnOnce() -> T + Send>);

impl<T> AgentInit<T> {
    /// Of this function.
    ///
    /// ```
    /// use purlin_core::Supervised;
    /// use purlin_core::agent::{AgentInit, AgentServer};
    /// // Started once, because the function can be called once only.
    /// let text = String::from("hello");
    /// let child = AgentServer::child_spec_once(AgentInit::new(move || text));
    /// # drop(child);
    /// ```
    pub fn new(init: impl FnOnce() -> T + Send + 'static) -> AgentInit<T> {
        AgentInit(Box::new(init))
    }
}

impl<T> fmt::Debug for AgentInit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentInit")
    }
}

impl<T: Send + 'static> GenServer for AgentServer<T> {
    type Args = AgentInit<T>;

    async fn init(AgentInit(init): AgentInit<T>, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(AgentServer { state: init() })
    }
}

/// The call of [`Agent::get`](crate::Agent::get).
pub struct Get<F, R>(pub(crate) F, pub(crate) PhantomData<fn() -> R>);

/// The call of [`Agent::get_and_update`](crate::Agent::get_and_update).
pub struct GetAndUpdate<F, R>(pub(crate) F, pub(crate) PhantomData<fn() -> R>);

/// The call of [`Agent::update`](crate::Agent::update), and the cast of [`Agent::cast`](crate::Agent::cast).
pub struct Update<F>(pub(crate) F);

impl<T, F, R> HandleRead<Get<F, R>> for AgentServer<T>
where
    T: Send + 'static,
    F: FnOnce(&T) -> R + Send + 'static,
    R: Send + 'static,
{
    type Reply = R;

    fn handle_read(&self, get: Get<F, R>, _: &ReadCx<Self>) -> R {
        (get.0)(&self.state)
    }
}

impl<T, F, R> HandleCall<GetAndUpdate<F, R>> for AgentServer<T>
where
    T: Send + 'static,
    F: FnOnce(&mut T) -> R + Send + 'static,
    R: Send + 'static,
{
    type Reply = R;
    const SYNC: bool = true;

    async fn handle_call(&mut self, call: GetAndUpdate<F, R>, _: &mut Cx<Self>) -> R {
        (call.0)(&mut self.state)
    }
}

impl<T, F> HandleCall<Update<F>> for AgentServer<T>
where
    T: Send + 'static,
    F: FnOnce(&mut T) + Send + 'static,
{
    type Reply = ();
    const SYNC: bool = true;

    async fn handle_call(&mut self, update: Update<F>, _: &mut Cx<Self>) {
        (update.0)(&mut self.state);
    }
}

impl<T, F> HandleCast<Update<F>> for AgentServer<T>
where
    T: Send + 'static,
    F: FnOnce(&mut T) + Send + 'static,
{
    const SYNC: bool = true;

    async fn handle_cast(&mut self, cast: Update<F>, _: &mut Cx<Self>) {
        (cast.0)(&mut self.state);
    }
}

/// A state that [`Agent::get`](crate::Agent::get) may show to several callers at once: `Sync`, with a message for agents.
#[diagnostic::on_unimplemented(
    message = "an agent's state `{Self}` is not `Sync`: `get` would show it to several callers at once",
    label = "`get` reads this agent in parallel",
    note = "use `get_and_update(|state| ..)`, which runs alone, to read it",
    note = "or replace the `Cell`, `RefCell` or raw pointer in it by an atomic or a lock"
)]
pub trait ReadableState: Sync {}

#[diagnostic::do_not_recommend]
impl<T: Sync> ReadableState for T {}
