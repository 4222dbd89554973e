//! The trait that makes a state machine.

use std::fmt::Debug;
use std::future::Future;

use super::machine::Machine;
use super::next::{Enter, Init, Next};
use crate::gen_server::{Accepts, Cx, InitError, Name, Start};
use crate::process::exit_reason::ExitReason;
use crate::supervisor::{Child, ReusableArgs, Supervised};

/// A state machine: a process that handles events one at a time, each in the light of the state that it is in.
///
/// `Self` is the machine's data, whatever it keeps beside its state. [`init`](Self::init) and [`handle_event`](Self::handle_event) must be written. The
/// [module's page](crate::gen_statem) is tutorial and specification.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state machine",
    label = "not a state machine",
    note = "add `impl GenStateMachine for {Self}`; `{Self}` is the machine's data, its states are another type"
)]
pub trait GenStateMachine: Sized + Send + 'static {
    /// What a start needs.
    type Args: Send + 'static;

    /// The states. Two that are equal are the same state: going from one to the other changes nothing.
    type State: PartialEq + Debug + Send + Sync + 'static;

    /// Everything that can happen: calls (with a [`ReplyTo`](crate::ReplyTo)), casts, messages, timeouts, and events of the machine's own.
    type Event: Debug + Send + 'static;

    /// Makes the first state and the data. The starter waits for it; failures are those of [`GenServer::init`](crate::GenServer::init).
    fn init(
        args: Self::Args,
        cx: &mut Cx<Machine<Self>>,
    ) -> impl Future<Output = Result<Init<Self>, InitError>> + Send;

    /// Handles an event in a state.
    fn handle_event(
        &mut self,
        state: &Self::State,
        event: Self::Event,
        cx: &mut Cx<Machine<Self>>,
    ) -> impl Future<Output = Next<Self>> + Send;

    /// A state is entered: the first one (`old` is the same then), another one, or the same again by [`Next::repeat`]. It runs before any other event, in the new
    /// `state`, and what it asks for is done together with what the handler asked for that changed the state.
    ///
    /// Default: nothing.
    fn handle_enter(
        &mut self,
        old: &Self::State,
        state: &Self::State,
        cx: &mut Cx<Machine<Self>>,
    ) -> impl Future<Output = Enter<Self>> + Send {
        let _ = (old, state, cx);
        async { Enter::keep() }
    }

    /// Cleans up, in the state that the machine ends in. Called and not called as [`GenServer::terminate`](crate::GenServer::terminate).
    fn terminate(
        &mut self,
        reason: &ExitReason,
        state: &Self::State,
        cx: &mut Cx<Machine<Self>>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, state, cx);
        async {}
    }

    /// State and data as text, for crash reports and `sys::get_status`. Default: the state, and the data's type. Leave secrets out.
    fn format_status(&self, state: &Self::State) -> String {
        let data = crate::call::error::short(std::any::type_name::<Self>());
        format!("{state:?}, {data}")
    }

    /// An event as text, for the same: events that are queued, postponed, or wait for their timeout. Default: by `Debug`. Leave secrets out.
    ///
    /// ```
    /// # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
    /// # struct Vault;
    /// #[derive(Debug)]
    /// enum Event { Unlock(String), Lock }
    ///
    /// impl GenStateMachine for Vault {
    /// #   type Args = (); type State = (); type Event = Event;
    /// #   async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new((), Vault)) }
    /// #   async fn handle_event(&mut self, _: &(), _: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> { Next::keep() }
    /// #   async fn terminate(&mut self, _: &purlin_core::ExitReason, _: &(), _: &mut Cx<Machine<Self>>) {}
    ///     fn format_status(&self, _: &()) -> String {
    ///         "a vault".to_owned()
    ///     }
    ///     fn format_event(event: &Event) -> String {
    ///         match event {
    ///             Event::Unlock(_) => "Unlock(..)".to_owned(),               // without the code
    ///             other => format!("{other:?}"),
    ///         }
    ///     }
    /// }
    /// ```
    fn format_event(event: &Self::Event) -> String {
        format!("{event:?}")
    }

    /// Lists the messages that arrive untyped, by [`process::send`](crate::process::send). Default: the events.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::gen_server::Accepts;
    /// use purlin_core::{Cx, ExitReason, GenStateMachine, InitError, Machine, Next, process, gen_statem::Init};
    ///
    /// struct Fuse;
    /// struct Spark;
    ///
    /// impl From<Spark> for &'static str {
    ///     fn from(_: Spark) -> Self { "spark" }
    /// }
    ///
    /// impl GenStateMachine for Fuse {
    ///     type Args = ();
    ///     type State = ();
    ///     type Event = &'static str;
    /// #   async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new((), Fuse)) }
    ///     async fn handle_event(&mut self, _: &(), event: &'static str, _: &mut Cx<Machine<Self>>) -> Next<Self> {
    ///         Next::stop(ExitReason::error(event))
    ///     }
    ///     fn accepts(table: &mut Accepts<'_, Machine<Self>>) {
    ///         table.info::<Spark, _>();
    ///     }
    /// }
    ///
    /// let fuse = Fuse::start(()).await?;
    /// process::send(fuse.pid(), Spark);
    /// assert_eq!(fuse.wait().await.to_string(), "spark");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    fn accepts(table: &mut Accepts<'_, Machine<Self>>) {
        table.info::<Self::Event, _>();
    }

    /// Starts a machine; awaiting the result waits for [`init`](Self::init). See [`GenServer::start`](crate::GenServer::start).
    #[track_caller]
    fn start(args: Self::Args) -> Start<Machine<Self>> {
        <Machine<Self> as crate::GenServer>::start(args)
    }

    /// [`start`](Self::start), linked with the calling process from before `init`. See [`GenServer::start_link`](crate::GenServer::start_link).
    #[track_caller]
    fn start_link(args: Self::Args) -> Start<Machine<Self>> {
        <Machine<Self> as crate::GenServer>::start_link(args)
    }

    /// The machine of this name, found anew at each use.
    fn named(name: impl Into<Name<Machine<Self>>>) -> Name<Machine<Self>> {
        name.into()
    }

    /// A child that is started, and restarted, with `args`. [`Supervised`] has its other forms, for `Machine<Self>`.
    fn child_spec(args: Self::Args) -> Child<Machine<Self>>
    where
        Self::Args: ReusableArgs,
    {
        <Machine<Self> as Supervised>::child_spec(args)
    }
}
