//! The traits that make a server, and the ones that check, at compile time, that a message has a handler.

use std::future::Future;

use crate::gen_server::cx::{Cx, ReadCx};
use crate::gen_server::info::Accepts;
use crate::gen_server::refs::{Name, Target};
use crate::gen_server::shape::{Flow, InitError, Plain, Shape};
use crate::gen_server::start::Start;
use crate::process::exit_reason::ExitReason;
use crate::process::relations::{Down, Exit};

/// A server: a process that holds a state and handles messages one at a time.
///
/// Only [`init`](Self::init) must be written; what the server understands is said by [`HandleCall`], [`HandleRead`], [`HandleCast`],
/// [`HandleInfo`] and [`HandleContinue`]. The attribute `#[gen_server]` writes all of it from an ordinary `impl` block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a GenServer",
    label = "not a server",
    note = "add `impl GenServer for {Self}`, or `#[gen_server]` to its `impl` block"
)]
pub trait GenServer: Sized + Send + 'static {
    /// What a start needs.
    type Args: Send + 'static;

    /// It supervises children: shown as a supervisor, and never killed for taking long to stop unless a child specification says so.
    #[doc(hidden)]
    const SUPERVISOR: bool = false;

    /// The name of what the server is for its users.
    #[doc(hidden)]
    fn __type_name() -> &'static str {
        std::any::type_name::<Self>()
    }

    /// The name of a request for the server's users, by the name of its type.
    #[doc(hidden)]
    fn __request_name(name: &'static str) -> &'static str {
        name
    }

    /// Takes over what `sys::replace_state` made.
    #[doc(hidden)]
    fn __replace(&mut self, new: Self) {
        *self = new;
    }

    /// Makes the state. The starter waits for it; `Err(InitError::Ignore)` starts nothing and is no failure; any other error, and `?`,
    /// make the start fail with that reason.
    fn init(args: Self::Args, cx: &mut Cx<Self>) -> impl Future<Output = Result<Self, InitError>> + Send;

    /// Cleans up. Called when a handler stopped the server, returned an error or panicked, when [`stop`](crate::Ref::stop) asked for it, and, in
    /// a server that traps exits, when its parent ended. Not called when an exit signal ends a server that does not trap exits, nor by a
    /// kill: what must happen in every case belongs into `Drop`.
    ///
    /// After a panic the state may be half-changed; `reason` tells.
    fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        async {}
    }

    /// The state as text, for crash reports and `sys::get_status`. Default: the type's name. Leave secrets out.
    fn format_status(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// Lists the messages that arrive untyped, by [`process::send`](crate::process::send): one `table.info::<T, _>()` per type.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::gen_server::Accepts;
    /// use purlin_core::{Cx, GenServer, HandleInfo, InitError, process};
    ///
    /// struct Listener;
    /// struct Ping;
    ///
    /// impl GenServer for Listener {
    ///     type Args = ();
    ///     async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
    ///         Ok(Listener)
    ///     }
    ///     async fn terminate(&mut self, reason: &purlin_core::ExitReason, _: &mut Cx<Self>) {
    ///         assert!(reason.is_clean());
    ///     }
    ///     fn format_status(&self) -> String {
    ///         "listening".to_owned()
    ///     }
    ///     fn accepts(table: &mut Accepts<'_, Self>) {
    ///         table.info::<Ping, _>();
    ///     }
    /// }
    ///
    /// impl HandleInfo<Ping> for Listener {
    ///     async fn handle_info(&mut self, _: Ping, cx: &mut Cx<Self>) {
    ///         cx.stop(purlin_core::ExitReason::Normal);
    ///     }
    /// }
    ///
    /// let listener = Listener::start(()).await?;
    /// assert_eq!(purlin_core::sys::get_status(listener.pid()).await?.state, "listening");
    /// process::send(listener.pid(), Ping);                               // untyped: any pid, any message
    /// process::wait(listener.pid()).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    fn accepts(table: &mut Accepts<'_, Self>) {
        let _ = table;
    }

    /// Starts a server; awaiting the result waits for `init`. Who stops awaiting before that calls the start off: the server is killed.
    #[track_caller]
    fn start(args: Self::Args) -> Start<Self> {
        Start::new(args, false)
    }

    /// [`start`](Self::start), linked with the calling process from before `init`; that process is the server's parent. If the start
    /// fails, a caller that traps exits gets the error and no `Exit`; one that does not ends for the same reason, unless it is `Normal`.
    #[track_caller]
    fn start_link(args: Self::Args) -> Start<Self> {
        Start::new(args, true)
    }

    /// The server of this name, found anew at each use.
    fn named(name: impl Into<Name<Self>>) -> Name<Self> {
        name.into()
    }
}

/// `Self` answers calls with message `M`. Exclusive: one at a time, in order.
///
/// `Sh` is the form of what the handler returns: [`Plain`] the reply; [`OrCrash`](crate::OrCrash) `Result<Reply, Crash>`, so that `?` ends
/// the server; [`OrLater`](crate::OrLater) `Result<Reply<R>, Crash>`, so that the answer may come later.
pub trait HandleCall<M, Sh: Shape = Plain>: GenServer {
    /// What the caller gets.
    type Reply: Send + 'static;

    /// The handler never waits: it can be polled on the caller's stack. Set by the macro for a `fn` without `async`. A handler that
    /// says so and waits all the same crashes its server.
    #[doc(hidden)]
    const SYNC: bool = false;

    /// Handles the call.
    fn handle_call(
        &mut self,
        message: M,
        cx: &mut Cx<Self>,
    ) -> impl Future<Output = Sh::Out<Self::Reply>> + Send;
}

/// `Self` answers calls with message `M` by looking only: such calls run in parallel with each other while the server is idle, and in
/// order with everything else when it is not.
pub trait HandleRead<M, Sh: Shape = Plain>: GenServer {
    /// What the caller gets.
    type Reply: Send + 'static;

    /// Handles the read. It cannot wait.
    fn handle_read(&self, message: M, cx: &ReadCx<Self>) -> Sh::Out<Self::Reply>;
}

/// `Self` handles casts with message `M`.
pub trait HandleCast<M, Sh: Shape = Plain>: GenServer {
    /// As for [`HandleCall::SYNC`].
    #[doc(hidden)]
    const SYNC: bool = false;

    /// Handles the cast.
    fn handle_cast(&mut self, message: M, cx: &mut Cx<Self>) -> impl Future<Output = Sh::Out<()>> + Send;
}

/// `Self` handles `M` when it arrives by a timer, a monitor, a trapped exit, or a plain send.
pub trait HandleInfo<M, Sh: Shape = Plain>: GenServer {
    /// As for [`HandleCall::SYNC`].
    #[doc(hidden)]
    const SYNC: bool = false;

    /// Handles the message.
    fn handle_info(&mut self, message: M, cx: &mut Cx<Self>) -> impl Future<Output = Sh::Out<()>> + Send;
}

/// `Self` goes on with `M` after [`Cx::continue_with`], before any other message.
pub trait HandleContinue<M, Sh: Shape = Plain>: GenServer {
    /// As for [`HandleCall::SYNC`].
    #[doc(hidden)]
    const SYNC: bool = false;

    /// Goes on.
    fn handle_continue(&mut self, message: M, cx: &mut Cx<Self>) -> impl Future<Output = Sh::Out<()>> + Send;
}

/// Tells the ways apart in which a type can be a call of a server; always inferred.
#[doc(hidden)]
pub struct ByCall<Sh>(std::marker::PhantomData<Sh>);
#[doc(hidden)]
pub struct ByRead<Sh>(std::marker::PhantomData<Sh>);

/// `Self` is a call that `S` handles. Implemented for you by [`HandleCall`] and [`HandleRead`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call that `{S}` handles",
    label = "not one of `{S}`'s calls",
    note = "add `impl HandleCall<{Self}> for {S}`, or `impl HandleRead<{Self}> for {S}` if it only reads",
    note = "no reply needed? use `.cast(..)`"
)]
pub trait CallFor<S: GenServer, K>: Sized + Send + 'static {
    /// What the caller gets.
    type Reply: Send + 'static;
    #[doc(hidden)]
    const READ: bool;
    #[doc(hidden)]
    const SYNC: bool;
    /// How long the caller waits unless it says otherwise, in milliseconds; `u64::MAX` for no limit.
    #[doc(hidden)]
    const LIMIT: u64 = crate::gen_server::call_future::DEFAULT_CALL_TIMEOUT.as_millis() as u64;
    #[doc(hidden)]
    fn __run<'a>(
        self,
        state: &'a mut S,
        cx: &'a mut Cx<S>,
    ) -> impl Future<Output = Flow<Self::Reply>> + Send + 'a;
    #[doc(hidden)]
    fn __read(self, state: &S, cx: &ReadCx<S>) -> Flow<Self::Reply>;
}

#[diagnostic::do_not_recommend]
impl<S, M, Sh> CallFor<S, ByCall<Sh>> for M
where
    S: HandleCall<M, Sh>,
    M: Send + 'static,
    Sh: Shape,
{
    type Reply = S::Reply;
    const READ: bool = false;
    const SYNC: bool = <S as HandleCall<M, Sh>>::SYNC;

    async fn __run<'a>(self, state: &'a mut S, cx: &'a mut Cx<S>) -> Flow<S::Reply> {
        Sh::flow(state.handle_call(self, cx).await)
    }

    fn __read(self, _: &S, _: &ReadCx<S>) -> Flow<S::Reply> {
        unreachable!("not a read")
    }
}

#[diagnostic::do_not_recommend]
impl<S, M, Sh> CallFor<S, ByRead<Sh>> for M
where
    S: HandleRead<M, Sh> + ReadInParallel,
    M: Send + 'static,
    Sh: Shape,
{
    type Reply = S::Reply;
    const READ: bool = true;
    const SYNC: bool = true;

    async fn __run<'a>(self, state: &'a mut S, cx: &'a mut Cx<S>) -> Flow<S::Reply> {
        Sh::flow(state.handle_read(self, cx.reading()))
    }

    fn __read(self, state: &S, cx: &ReadCx<S>) -> Flow<S::Reply> {
        Sh::flow(state.handle_read(self, cx))
    }
}

/// A state that several threads may look at: `Sync`, with a message for servers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has a `&self` call but is not `Sync`",
    label = "several callers would look at it at once",
    note = "take `&mut self` (the call then runs alone), or replace the `Cell`, `RefCell` or raw pointer in it by an atomic or a lock"
)]
pub trait ReadInParallel: Sync {}

#[diagnostic::do_not_recommend]
impl<S: Sync> ReadInParallel for S {}

macro_rules! gate {
    ($(#[$meta:meta])* $gate:ident, $handle:ident, $method:ident) => {
        $(#[$meta])*
        pub trait $gate<S: GenServer, K>: Sized + Send + 'static {
            #[doc(hidden)]
            const SYNC: bool;
            #[doc(hidden)]
            fn __run<'a>(self, state: &'a mut S, cx: &'a mut Cx<S>) -> impl Future<Output = Flow<()>> + Send + 'a;
        }

        #[diagnostic::do_not_recommend]
        impl<S, M, Sh> $gate<S, Sh> for M
        where
            S: $handle<M, Sh>,
            M: Send + 'static,
            Sh: Shape,
        {
            const SYNC: bool = <S as $handle<M, Sh>>::SYNC;

            async fn __run<'a>(self, state: &'a mut S, cx: &'a mut Cx<S>) -> Flow<()> {
                Sh::flow(state.$method(self, cx).await)
            }
        }
    };
}

gate! {
    /// `Self` is a cast that `S` handles. Implemented for you by [`HandleCast`].
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a cast that `{S}` handles",
        label = "not one of `{S}`'s casts",
        note = "add `impl HandleCast<{Self}> for {S}`",
        note = "is it a call? use `.call(..).await`"
    )]
    CastFor, HandleCast, handle_cast
}

gate! {
    /// `Self` is a message that `S` handles. Implemented for you by [`HandleInfo`].
    #[diagnostic::on_unimplemented(
        message = "`{S}` does not handle the message `{Self}`",
        label = "`{S}` would never handle this",
        note = "add `impl HandleInfo<{Self}> for {S}`, or an `#[info]` method taking `{Self}`"
    )]
    InfoFor, HandleInfo, handle_info
}

gate! {
    /// `Self` is something that `S` can go on with. Implemented for you by [`HandleContinue`].
    #[diagnostic::on_unimplemented(
        message = "`{S}` cannot continue with `{Self}`",
        label = "`{S}` has no `handle_continue` for this",
        note = "add `impl HandleContinue<{Self}> for {S}`, or a `#[handle_continue]` method taking `{Self}`"
    )]
    ContinueFor, HandleContinue, handle_continue
}

/// `Self` can watch processes: it handles [`Down`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` monitors a process but does not handle `Down`",
    label = "`{Self}` would never see the `Down` message",
    note = "add `impl HandleInfo<Down> for {Self}`, or an `#[info]` method taking `Down`"
)]
pub trait Monitors<K>: GenServer {
    #[doc(hidden)]
    fn __down(down: Down) -> crate::mailbox::envelope::Opaque;
}

#[diagnostic::do_not_recommend]
impl<S: HandleInfo<Down, Sh>, Sh: Shape> Monitors<Sh> for S {
    fn __down(down: Down) -> crate::mailbox::envelope::Opaque {
        crate::gen_server::message::info::<S, Down, Sh>(down).into()
    }
}

/// `Self` can trap exits: it handles [`Exit`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` traps exits but does not handle `Exit`",
    label = "exit signals would arrive and nobody would read them",
    note = "add `impl HandleInfo<Exit> for {Self}`, or an `#[info]` method taking `Exit`"
)]
pub trait TrapsExits<K>: GenServer {
    #[doc(hidden)]
    fn __exit(exit: Exit) -> crate::mailbox::envelope::Opaque;
}

#[diagnostic::do_not_recommend]
impl<S: HandleInfo<Exit, Sh>, Sh: Shape> TrapsExits<Sh> for S {
    fn __exit(exit: Exit) -> crate::mailbox::envelope::Opaque {
        crate::gen_server::message::info::<S, Exit, Sh>(exit).into()
    }
}

/// A server with client methods of its own, reached through `Deref` of [`Ref`](crate::Ref) and [`Name`]. Written by the macro.
pub trait Client: GenServer {
    /// `dyn CounterClient`, whose inherent methods are the client.
    type Client: ?Sized;
    #[doc(hidden)]
    fn client(target: &Target<Self>) -> &Self::Client;
}

/// The object behind generated client methods. Written by the macro.
pub trait Handle<S: GenServer> {
    #[doc(hidden)]
    fn __target(&self) -> &Target<S>;
}

impl<S: GenServer> Handle<S> for Target<S> {
    fn __target(&self) -> &Target<S> {
        self
    }
}
