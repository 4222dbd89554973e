//! The handle of an event manager, and how one is started.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::call::error::CallError;
use crate::gen_event::error::HandlerError;
use crate::gen_event::handler::{AnyHandlerId, EventHandler, HandlerCall, HandlerExit, HandlerId};
use crate::gen_event::server::{Add, Ask, Delete, EventServer, Info, Notify, Swap, WhichHandlers};
use crate::gen_server::refs::Place;
use crate::gen_server::{
    ByCall, CallFor, CallFuture, GenServer, Name, Plain, Recipient, Ref, Start, StartError, StartFuture,
    StopError, Target, cast_to,
};
use crate::mailbox::bound::MailboxBound;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::stop::stop_proc;
use crate::supervisor::{Child, Supervised};

/// A process that shows events of type `E` to the handlers that have been added to it. See the [module documentation](crate::gen_event).
///
/// A handle means either one process (from [`start`](Self::start)) or whatever manager has a name when it is used (from
/// [`named`](Self::named)). Cheap to clone; keeps no process alive.
pub struct EventManager<E: Send + Sync + 'static> {
    target: Target<EventServer<E>>,
}

impl<E: Send + Sync + 'static> EventManager<E> {
    const fn at(place: Place) -> EventManager<E> {
        EventManager { target: Target::new(place) }
    }

    /// A manager about to start, without handlers. Await it.
    #[track_caller]
    pub fn start() -> StartEventManager<E> {
        StartEventManager { start: EventServer::start(()) }
    }

    /// [`start`](Self::start), linked with the calling process, which becomes the manager's parent.
    #[track_caller]
    pub fn start_link() -> StartEventManager<E> {
        StartEventManager { start: EventServer::start_link(()) }
    }

    /// The manager of this name on the current node, found anew at each use.
    pub const fn named(name: &'static str) -> EventManager<E> {
        EventManager::at(Place::Static(name))
    }

    /// A manager as the child of a supervisor, with settings to change. Its id is `"EventManager"` unless a name or an id is given. It comes
    /// back without handlers.
    pub fn child_spec() -> Child<EventServer<E>> {
        EventServer::child_spec(()).module("EventManager")
    }

    /// Adds a handler; its [`init`](EventHandler::init) has run when this returns. There is no deadline.
    ///
    /// # Errors
    /// [`Failed`](HandlerError::Failed) when `init` did, [`AlreadyAdded`](HandlerError::AlreadyAdded), [`Call`](HandlerError::Call) when the
    /// manager is not there or ends.
    pub fn add_handler<H: EventHandler<E>>(
        &self,
        id: HandlerId<H>,
        args: H::Args,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        self.ask(Add { id, args, owner: None })
    }

    /// [`add_handler`](Self::add_handler), supervised by the calling process: manager and process are linked, the handler is removed when the process
    /// ends, and the process gets a [`HandlerExit`] when the handler is removed, for whatever reason. `me` is its own
    /// [`Cx`](crate::Cx) or [`Mailbox`](crate::Mailbox), which shows that it takes one.
    ///
    /// # Errors
    /// As there; [`NoProcess`](HandlerError::NoProcess) when `me` is not the calling process.
    pub fn add_sup_handler<H, P, K>(
        &self,
        me: &P,
        id: HandlerId<H>,
        args: H::Args,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send + use<'_, E, H, P, K>
    where
        H: EventHandler<E>,
        P: Recipient<HandlerExit, K>,
    {
        let owner = me.__pid();
        let own = crate::process::self_pid() == Some(owner);
        // The function is for the process whose handle `me` is, which is the one that is told.
        let adding = own.then(|| self.ask(Add { id, args, owner: Some((owner, P::__pack)) }));
        async move {
            match adding {
                Some(adding) => adding.await,
                None => Err(HandlerError::NoProcess),
            }
        }
    }

    /// Removes a handler, and gives it back as it is after its [`terminate`](EventHandler::terminate).
    ///
    /// # Errors
    /// [`NotFound`](HandlerError::NotFound); [`Call`](HandlerError::Call).
    pub fn delete_handler<H: EventHandler<E>>(
        &self,
        id: HandlerId<H>,
    ) -> impl Future<Output = Result<H, HandlerError>> + Send {
        self.ask(Delete(id))
    }

    /// Removes the handler `old`, and adds `new` in its place, between two events. `args` makes the arguments of the new handler's `init` of the
    /// old one as it is after its `terminate`, or of nothing if it was not there. If somebody supervised the old one, they supervise the new one.
    ///
    /// # Errors
    /// As for [`add_handler`](Self::add_handler). When the new handler fails, the old one is gone all the same.
    pub fn swap_handler<H, N, F>(
        &self,
        old: HandlerId<H>,
        new: HandlerId<N>,
        args: F,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send
    where
        H: EventHandler<E>,
        N: EventHandler<E>,
        F: FnOnce(Option<H>) -> N::Args + Send + 'static,
    {
        self.ask(Swap { old, new, args })
    }

    /// The handlers, the oldest first.
    ///
    /// # Errors
    /// When the manager is not there or ends.
    pub fn which_handlers(&self) -> impl Future<Output = Result<Vec<AnyHandlerId>, CallError>> + Send {
        self.infinitely(WhichHandlers(PhantomData))
    }

    /// Shows an event to every handler, some time later. Waits for nothing and never fails.
    pub fn notify(&self, event: E) {
        cast_to::<_, _, Plain>(&self.target, Notify(event));
    }

    /// Shows an event to every handler, and returns when all have handled it. There is no deadline.
    ///
    /// # Errors
    /// When the manager is not there or ends. A handler that fails is no error: it is removed.
    pub fn sync_notify(&self, event: E) -> impl Future<Output = Result<(), CallError>> + Send {
        self.infinitely(Notify(event))
    }

    /// Asks one handler, by its [`HandlerCall`]. Awaited, it waits for 5 s at most; [`timeout`](EventCall::timeout) and
    /// [`infinity`](EventCall::infinity) say otherwise.
    ///
    /// # Errors
    /// When awaited: [`NotFound`](HandlerError::NotFound), [`Failed`](HandlerError::Failed) when the handler did,
    /// [`Call`](HandlerError::Call).
    #[track_caller]
    pub fn call<H, M>(&self, id: HandlerId<H>, message: M) -> EventCall<'_, E, H, M, H::Reply>
    where
        H: HandlerCall<E, M>,
        M: Send + 'static,
    {
        EventCall(CallFuture::new::<ByCall<Plain>>(&self.target, Ask { id, message }))
    }

    /// Sends something that is no event: every handler gets it in [`handle_info`](EventHandler::handle_info).
    pub fn send_info(&self, info: impl Any + Send + Sync) {
        if let Some(server) = self.whereis() {
            server.send(Info::new(info));
        }
    }

    /// Stops the manager with reason `Normal`, and waits until it has ended: every handler's [`terminate`](EventHandler::terminate) has run.
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop(&self) -> Result<(), StopError> {
        stop_proc(self.target.find_ref(), ExitReason::Normal, None).await
    }

    /// The manager's process, if it is alive.
    pub fn whereis(&self) -> Option<Ref<EventServer<E>>> {
        self.target.find_ref().map(Ref::from_proc).filter(Ref::is_alive)
    }

    /// The pid of the manager's process, if it is alive.
    pub fn pid(&self) -> Option<Pid> {
        self.whereis().map(|server| server.pid())
    }

    fn ask<M, R>(&self, message: M) -> impl Future<Output = Result<R, HandlerError>> + Send + use<'_, E, M, R>
    where
        M: CallFor<EventServer<E>, ByCall<Plain>, Reply = Result<R, HandlerError>>,
        R: Send + 'static,
    {
        let asking = self.infinitely(message);
        async move { asking.await? }
    }

    fn infinitely<M, R>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<R, CallError>> + Send + use<'_, E, M, R>
    where
        M: CallFor<EventServer<E>, ByCall<Plain>, Reply = R>,
        R: Send + 'static,
    {
        CallFuture::new::<ByCall<Plain>>(&self.target, message).infinity()
    }
}

impl<E: Send + Sync + 'static> Clone for EventManager<E> {
    fn clone(&self) -> Self {
        EventManager::at(self.target.place.clone())
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for EventManager<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target.place {
            Place::Process(proc) => write!(f, "EventManager({})", proc.pid()),
            _ => write!(f, "EventManager({:?})", self.target.name().unwrap_or_default()),
        }
    }
}

impl<E: Send + Sync + 'static> From<Ref<EventServer<E>>> for EventManager<E> {
    fn from(server: Ref<EventServer<E>>) -> Self {
        EventManager::at(server.target().place.clone())
    }
}

impl<E: Send + Sync + 'static> From<Name<EventServer<E>>> for EventManager<E> {
    fn from(name: Name<EventServer<E>>) -> Self {
        EventManager::at(name.target().place.clone())
    }
}

/// A call of one handler under way; from [`EventManager::call`]. Nothing happens before it is polled.
#[must_use = "a call is made when it is awaited"]
pub struct EventCall<'a, E: Send + Sync + 'static, H, M, R>(
    CallFuture<'a, EventServer<E>, Ask<H, M>, Result<R, HandlerError>>,
);

impl<E: Send + Sync + 'static, H, M, R: Send + 'static> EventCall<'_, E, H, M, R> {
    /// Waits for this long at most, instead of 5 s.
    pub fn timeout(self, limit: Duration) -> Self {
        EventCall(self.0.timeout(limit))
    }

    /// Waits for as long as it takes, or until the manager ends.
    pub fn infinity(self) -> Self {
        EventCall(self.0.infinity())
    }
}

impl<E: Send + Sync + 'static, H, M, R: Send + 'static> Future for EventCall<'_, E, H, M, R> {
    type Output = Result<R, HandlerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer?)
    }
}

/// An event manager about to start: from [`EventManager::start`] and [`EventManager::start_link`]. Await it.
#[must_use = "the manager starts when this is awaited"]
pub struct StartEventManager<E: Send + Sync + 'static> {
    start: Start<EventServer<E>, ()>,
}

impl<E: Send + Sync + 'static> StartEventManager<E> {
    /// Registers the manager under this name.
    pub fn name(mut self, name: impl Into<Name<EventServer<E>>>) -> Self {
        self.start = self.start.name(name);
        self
    }

    /// Bounds the mailbox; unbounded by default.
    pub fn mailbox(mut self, bound: MailboxBound) -> Self {
        self.start = self.start.mailbox(bound);
        self
    }
}

impl<E: Send + Sync + 'static> IntoFuture for StartEventManager<E> {
    type Output = Result<EventManager<E>, StartError>;
    type IntoFuture = StartEventManagerFuture<E>;

    fn into_future(self) -> StartEventManagerFuture<E> {
        StartEventManagerFuture(self.start.into_future())
    }
}

/// The future of a [`StartEventManager`]. Polled again when it is completed, it panics.
pub struct StartEventManagerFuture<E: Send + Sync + 'static>(StartFuture<EventServer<E>, ()>);

impl<E: Send + Sync + 'static> Future for StartEventManagerFuture<E> {
    type Output = Result<EventManager<E>, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_ok(EventManager::from)
    }
}
