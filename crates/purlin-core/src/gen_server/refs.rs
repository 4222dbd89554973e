//! Handles of servers: by incarnation, and by name.

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::gen_server::call_future::CallFuture;
use crate::gen_server::cast::{CastWait, TryCastError};
use crate::gen_server::message;
use crate::gen_server::request::Request;
use crate::gen_server::start::StartError;
use crate::gen_server::traits::{CallFor, CastFor, Client, GenServer, InfoFor};
use crate::node::Node;
use crate::process::TimerTarget;
use crate::process::cell::{Proc, ProcRef};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::relations::MonitorTarget;
pub use crate::process::stop::StopError;
use crate::process::stop::stop_proc;

/// Finds a process by something else than a pid or a local name: a registry's key.
pub(crate) trait Resolve: Send + Sync {
    fn resolve(&self) -> Option<ProcRef>;
    /// Binds a server that starts under this name.
    fn bind(&self, proc: &Proc) -> Result<(), StartError>;
    fn describe(&self) -> String;
}

/// What a handle points to.
#[doc(hidden)]
pub struct Target<S> {
    pub(crate) place: Place,
    server: PhantomData<fn(S)>,
}

#[derive(Clone)]
pub(crate) enum Place {
    Process(ProcRef),
    Static(&'static str),
    Owned(Arc<str>),
    Via(Arc<dyn Resolve>),
}

/// What a target turned out to be.
pub(crate) enum Found<'a> {
    /// The handle's own process.
    Here(&'a ProcRef),
    /// The process of that name now.
    Named(ProcRef),
    Nobody,
    NoNode,
    WrongType,
}

impl<S: GenServer> Target<S> {
    pub(crate) const fn new(place: Place) -> Target<S> {
        Target { place, server: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn find(&self) -> Found<'_> {
        match &self.place {
            Place::Process(proc) => Found::Here(proc),
            other => Self::find_named(other),
        }
    }

    #[cold]
    fn find_named(place: &Place) -> Found<'static> {
        let proc = match place {
            Place::Process(proc) => Some(proc.clone()),
            Place::Via(via) => via.resolve(),
            Place::Static(name) => match Node::try_current() {
                Some(node) => node.0.names.get(name),
                None => return Found::NoNode,
            },
            Place::Owned(name) => match Node::try_current() {
                Some(node) => node.0.names.get(name),
                None => return Found::NoNode,
            },
        };
        match proc {
            None => Found::Nobody,
            Some(proc) if (proc.table.type_id)() == TypeId::of::<S>() => Found::Named(proc),
            Some(_) => Found::WrongType,
        }
    }

    pub(crate) fn find_ref(&self) -> Option<ProcRef> {
        match self.find() {
            Found::Here(proc) => Some(proc.clone()),
            Found::Named(proc) => Some(proc),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.place.name()
    }
}

impl Place {
    /// The name as text: the one it is, or the process's.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Place::Process(proc) => proc.display_name(),
            Place::Static(name) => Some((*name).to_owned()),
            Place::Owned(name) => Some(name.to_string()),
            Place::Via(via) => Some(via.describe()),
        }
    }
}

/// One incarnation of a server `S`. Cheap to clone; keeps no process alive.
///
/// When the process has ended, every use answers `NoProc`; a restarted server has a new `Ref`. Use a [`Name`] for something that
/// survives restarts. With `#[gen_server]`, the server's own client methods are methods of this type.
pub struct Ref<S> {
    target: Target<S>,
}

/// A server `S` by name, found anew at each use: survives restarts. A constant name is made by [`Name::new`]:
///
/// ```
/// # use purlin_core::{Cx, GenServer, InitError, Name};
/// # struct Counter;
/// # impl GenServer for Counter { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter) } }
/// const COUNTER: Name<Counter> = Name::new("counter");
/// ```
pub struct Name<S> {
    target: Target<S>,
}

impl<S> Clone for Ref<S> {
    fn clone(&self) -> Self {
        Ref { target: Target { place: self.target.place.clone(), server: PhantomData } }
    }
}

impl<S> Clone for Name<S> {
    fn clone(&self) -> Self {
        Name { target: Target { place: self.target.place.clone(), server: PhantomData } }
    }
}

impl<S: GenServer> Ref<S> {
    pub(crate) fn from_proc(proc: ProcRef) -> Ref<S> {
        Ref { target: Target::new(Place::Process(proc)) }
    }

    /// Waits until the server has ended and everything it owned is dropped; its reason, also when it had ended before. Works outside
    /// processes too, and is how a `main` stays while its top supervisor does:
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use purlin_core::{ExitReason, Node, Supervisor};
    /// # let node = Node::builder().start();
    /// # node.scope(async {
    /// let top = Supervisor::one_for_one().start_link().await.unwrap();
    /// # top.stop().await.unwrap();
    /// let reason = top.wait().await;          // a stop by a signal: `Shutdown`; a supervisor that gave up: `Shutdown` too
    /// assert!(reason.is_clean());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn wait(&self) -> ExitReason {
        match &self.target.place {
            Place::Process(proc) => crate::process::api::wait_for(proc).await,
            _ => unreachable!("a `Ref` is made of a process"),
        }
    }

    /// The handle of the live process `pid`, if it is a server `S`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::Ref;
    /// let counter = Counter::start(0).await?;
    /// let again = Ref::<Counter>::from_pid(counter.pid()).unwrap();
    /// again.stop().await?;
    /// assert!(Ref::<Counter>::from_pid(counter.pid()).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn from_pid(pid: Pid) -> Option<Ref<S>> {
        let proc = crate::node::current::by_index(pid.node_index())?.lookup(pid)?;
        (proc.word.is_alive() && (proc.table.type_id)() == TypeId::of::<S>()).then(|| Ref::from_proc(proc))
    }

    pub(crate) fn proc(&self) -> &ProcRef {
        match &self.target.place {
            Place::Process(proc) => proc,
            _ => unreachable!("a Ref is made from a process only"),
        }
    }

    /// The process's pid.
    pub fn pid(&self) -> Pid {
        self.proc().pid()
    }

    /// `false` from the moment the process must end.
    pub fn is_alive(&self) -> bool {
        self.proc().word.is_alive()
    }
}

/// Two handles are equal when they mean the same incarnation.
impl<S: GenServer> PartialEq for Ref<S> {
    fn eq(&self, other: &Ref<S>) -> bool {
        self.pid() == other.pid()
    }
}

impl<S: GenServer> Eq for Ref<S> {}

impl<S: GenServer> Hash for Ref<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid().hash(state);
    }
}

/// As its pid.
impl<S: GenServer> fmt::Display for Ref<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.pid(), f)
    }
}

impl<S: GenServer> From<&Ref<S>> for MonitorTarget {
    fn from(server: &Ref<S>) -> Self {
        MonitorTarget::Pid(server.pid())
    }
}

impl<S: GenServer> From<&Ref<S>> for TimerTarget {
    fn from(server: &Ref<S>) -> Self {
        TimerTarget::Pid(server.pid())
    }
}

/// The name as text.
impl<S: GenServer> fmt::Display for Name<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

impl<S: GenServer> Name<S> {
    /// A constant local name.
    pub const fn new(name: &'static str) -> Name<S> {
        Name { target: Target { place: Place::Static(name), server: PhantomData } }
    }

    pub(crate) fn via(resolve: Arc<dyn Resolve>) -> Name<S> {
        Name { target: Target { place: Place::Via(resolve), server: PhantomData } }
    }

    /// The server that has the name now.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// # use purlin_core::{Cx, GenServer, InitError};
    /// # struct Counter(i64);
    /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
    /// use purlin_core::Name;
    /// const COUNTER: Name<Counter> = Name::new("counter");
    /// assert!(COUNTER.whereis().is_none());
    /// let counter = Counter::start(0).name(&COUNTER).await?;
    /// assert_eq!(COUNTER.whereis().unwrap().pid(), counter.pid());
    /// assert_eq!(COUNTER.display(), "counter");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn whereis(&self) -> Option<Ref<S>> {
        self.target.find_ref().map(Ref::from_proc)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.target.place
    }

    /// The name as text.
    pub fn display(&self) -> String {
        self.target.name().unwrap_or_default()
    }
}

impl<S: GenServer> From<&'static str> for Name<S> {
    fn from(name: &'static str) -> Self {
        Name::new(name)
    }
}

impl<S: GenServer> From<String> for Name<S> {
    fn from(name: String) -> Self {
        Name { target: Target::new(Place::Owned(name.into())) }
    }
}

impl<S: GenServer> From<&Name<S>> for Name<S> {
    fn from(name: &Name<S>) -> Self {
        name.clone()
    }
}

impl<S> fmt::Debug for Ref<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target.place {
            Place::Process(proc) => write!(f, "Ref({})", proc.pid()),
            _ => f.write_str("Ref"),
        }
    }
}

impl<S: GenServer> fmt::Debug for Name<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.target.name().unwrap_or_default())
    }
}

impl<S: Client> Deref for Ref<S> {
    type Target = S::Client;
    fn deref(&self) -> &S::Client {
        S::client(&self.target)
    }
}

impl<S: Client> Deref for Name<S> {
    type Target = S::Client;
    fn deref(&self) -> &S::Client {
        S::client(&self.target)
    }
}

/// The verbs that [`Ref`] and [`Name`] share.
macro_rules! verbs {
    ($handle:ident) => {
        impl<S: GenServer> $handle<S> {
            /// Sends a request and waits for the reply, for 5 s at most (see [`CallFuture::timeout`]).
            ///
            /// `M` is a call of `S` by [`HandleCall`](crate::HandleCall) or [`HandleRead`](crate::HandleRead). Nothing is sent before the
            /// future is polled; dropping it abandons the call: a request on its way is still handled, its reply vanishes.
            #[track_caller]
            #[inline]
            pub fn call<M, K: 'static>(&self, message: M) -> CallFuture<'_, S, M, M::Reply>
            where
                M: CallFor<S, K>,
            {
                CallFuture::new::<K>(&self.target, message)
            }

            /// Sends a request now, and returns at once with the claim to its answer: see [`request`](crate::gen_server::request).
            ///
            /// It goes through the server's mailbox, in order with what was sent before. A server that is not there, or whose bounded mailbox
            /// is full, shows in the answer. The same for a client method: [`Call::send_request`](crate::Call::send_request).
            #[track_caller]
            pub fn send_request<M, K: 'static>(&self, message: M) -> Request<M::Reply>
            where
                M: CallFor<S, K>,
            {
                self.call(message).send_request()
            }

            /// Sends a message without waiting for anything. To a dead or unknown server it is lost; into a full mailbox it is a
            /// counted, reported drop.
            #[inline]
            pub fn cast<M, K: 'static>(&self, message: M)
            where
                M: CastFor<S, K>,
            {
                crate::gen_server::cast::cast(&self.target, message);
            }

            /// [`cast`](Self::cast) that tells, and gives the message back.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// # use purlin_core::{HandleCast, MailboxBound, Overflow, TryCastError};
            /// # #[derive(Debug, PartialEq)] struct Add(i64);
            /// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
            /// let counter = Counter::start(0).mailbox(MailboxBound::new(1, Overflow::Reject)).await?;
            /// # purlin_core::sys::suspend(counter.pid()).await?;
            /// counter.cast(Add(1));                                              // it is busy with something else
            /// let error = counter.try_cast(Add(2)).unwrap_err();
            /// assert!(matches!(error, TryCastError::Full(_)));
            /// assert_eq!(error.into_inner(), Add(2));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// The server is not there, or its mailbox is full.
            pub fn try_cast<M, K: 'static>(&self, message: M) -> Result<(), TryCastError<M>>
            where
                M: CastFor<S, K>,
            {
                crate::gen_server::cast::try_cast(&self.target, message)
            }

            /// [`cast`](Self::cast) that waits while a bounded mailbox is full.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// # use purlin_core::{HandleCast, MailboxBound, Overflow, TryCastError};
            /// # #[derive(Debug, PartialEq)] struct Add(i64);
            /// # impl HandleCast<Add> for Counter { async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) { self.0 += n; } }
            /// let counter = Counter::start(0).mailbox(MailboxBound::new(1, Overflow::Wait)).await?;
            /// for n in 0..100 {
            ///     counter.cast_wait(Add(n)).await?;                              // none is lost
            /// }
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            pub fn cast_wait<M, K: 'static>(&self, message: M) -> CastWait<'_, S, M>
            where
                M: CastFor<S, K>,
            {
                CastWait::new(&self.target, message)
            }

            /// Sends a message to the server's [`HandleInfo`](crate::HandleInfo).
            pub fn send<M, K: 'static>(&self, message: M)
            where
                M: InfoFor<S, K>,
            {
                if let Some(proc) = self.target.find_ref() {
                    proc.node.0.deliver_to(&proc, message::info_for::<S, M, K>(message));
                }
            }

            /// Stops the server in an orderly way with reason `Normal` and waits for its end: `terminate` has run, and everything it
            /// owned is gone.
            ///
            /// # Errors
            /// See [`StopError`].
            pub async fn stop(&self) -> Result<(), StopError> {
                stop_proc(self.target.find_ref(), ExitReason::Normal, None).await
            }

            /// [`stop`](Self::stop) with another reason and a limit.
            ///
            /// ```
            /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
            /// # let node = purlin_core::Node::builder().start();
            /// # node.scope(async {
            /// # use purlin_core::{Cx, GenServer, InitError};
            /// # struct Counter(i64);
            /// # impl GenServer for Counter { type Args = i64; async fn init(n: i64, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter(n)) } }
            /// use purlin_core::{ExitReason, secs};
            /// let counter = Counter::start(0).await?;
            /// counter.stop_with(ExitReason::Shutdown, secs(5)).await?;
            /// assert!(!counter.is_alive());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// # }).await.unwrap();
            /// # node.shutdown().await;
            /// # });
            /// ```
            ///
            /// # Errors
            /// See [`StopError`].
            pub async fn stop_with(&self, reason: ExitReason, limit: Duration) -> Result<(), StopError> {
                stop_proc(self.target.find_ref(), reason, Some(limit)).await
            }

            #[doc(hidden)]
            pub fn target(&self) -> &Target<S> {
                &self.target
            }
        }

        impl<S: GenServer> crate::sys::ServerHandle for $handle<S> {
            type Server = S;
            fn found(&self) -> Option<crate::sys::Found> {
                self.target.find_ref().map(crate::sys::Found)
            }
            fn __replace(old: &mut S, new: S) {
                old.__replace(new);
            }
        }
    };
}

verbs!(Ref);
verbs!(Name);
