//! What a handler of events is, and what it is told.

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::call::error::short;
use crate::gen_event::server::EventServer;
use crate::gen_server::{Crash, Cx};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;

/// A handler of events of type `E`: a state of its own inside an [`EventManager`](crate::EventManager).
///
/// Only [`init`](Self::init) and [`handle_event`](Self::handle_event) must be written. A handler whose function panics or returns an error is
/// removed; the manager and its other handlers live on. What one handler awaits, all others wait for.
pub trait EventHandler<E: Send + Sync + 'static>: Sized + Send + 'static {
    /// What adding it needs.
    type Args: Send + 'static;

    /// Makes the handler's state, in the manager. With an error (by `?`, for example) it is not added, and who adds it gets the reason.
    fn init(args: Self::Args, cx: &mut EventCx<'_, E>) -> impl Future<Output = Result<Self, Crash>> + Send;

    /// Handles an event.
    fn handle_event(
        &mut self,
        event: &E,
        cx: &mut EventCx<'_, E>,
    ) -> impl Future<Output = Result<(), Crash>> + Send;

    /// Handles what the manager gets that is no event: what was sent to it with [`send_info`](crate::EventManager::send_info), the
    /// [`Down`](crate::Down) of a process that a handler monitors, the [`Exit`](crate::Exit) of one that the manager is linked with. Every handler
    /// gets everything, and looks for what it knows by `info.downcast_ref::<T>()`. Ignored by default.
    fn handle_info(
        &mut self,
        info: &(dyn Any + Send + Sync),
        cx: &mut EventCx<'_, E>,
    ) -> impl Future<Output = Result<(), Crash>> + Send {
        let _ = (info, cx);
        async { Ok(()) }
    }

    /// Cleans up, whenever the handler is removed, also when it has failed. A panic here is logged.
    fn terminate(&mut self, why: &Removal, cx: &mut EventCx<'_, E>) -> impl Future<Output = ()> + Send {
        let _ = (why, cx);
        async {}
    }
}

/// `Self` answers calls with message `M` to it alone, by [`EventManager::call`](crate::EventManager::call).
#[diagnostic::on_unimplemented(
    message = "`{M}` is not a call that the event handler `{Self}` handles",
    label = "not one of `{Self}`'s calls",
    note = "add `impl HandlerCall<{E}, {M}> for {Self}`"
)]
pub trait HandlerCall<E: Send + Sync + 'static, M>: EventHandler<E> {
    /// What the caller gets.
    type Reply: Send + 'static;

    /// Handles the call. With an error the handler is removed, and the caller gets the reason.
    fn handle_call(
        &mut self,
        message: M,
        cx: &mut EventCx<'_, E>,
    ) -> impl Future<Output = Result<Self::Reply, Crash>> + Send;
}

/// The manager, inside a handler's function: everything that [`Cx`] offers, for the manager's process.
pub struct EventCx<'a, E: Send + Sync + 'static> {
    cx: &'a mut Cx<EventServer<E>>,
    remove: bool,
}

impl<'a, E: Send + Sync + 'static> EventCx<'a, E> {
    pub(super) fn new(cx: &'a mut Cx<EventServer<E>>) -> EventCx<'a, E> {
        EventCx { cx, remove: false }
    }

    /// Removes the handler once its function has returned; [`terminate`](EventHandler::terminate) runs. In `init`: it is not added, and who
    /// adds it gets [`Failed`](crate::HandlerError::Failed) with the reason `Normal`.
    pub fn remove_handler(&mut self) {
        self.remove = true;
    }

    pub(super) fn wants_removal(&self) -> bool {
        self.remove
    }
}

impl<E: Send + Sync + 'static> Deref for EventCx<'_, E> {
    type Target = Cx<EventServer<E>>;
    fn deref(&self) -> &Self::Target {
        self.cx
    }
}

impl<E: Send + Sync + 'static> DerefMut for EventCx<'_, E> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.cx
    }
}

/// Names a handler of type `H` in its manager: by the type alone, or by the type and a text, so that a manager may have many handlers of one
/// type. Make it a `const`.
///
/// ```
/// # struct FileLog;
/// use purlin_core::HandlerId;
/// const LOG: HandlerId<FileLog> = HandlerId::by_type();
/// const AUDIT: HandlerId<FileLog> = HandlerId::new("audit");
/// assert_eq!((LOG.to_string(), AUDIT.to_string()), ("FileLog".to_owned(), "FileLog/audit".to_owned()));
/// assert_ne!(LOG.erase(), AUDIT.erase());
/// ```
pub struct HandlerId<H> {
    name: Option<Cow<'static, str>>,
    handler: PhantomData<fn(H)>,
}

impl<H> HandlerId<H> {
    /// The handler of its type that has no name.
    pub const fn by_type() -> HandlerId<H> {
        HandlerId { name: None, handler: PhantomData }
    }

    /// The handler of its type with this name.
    pub const fn new(name: &'static str) -> HandlerId<H> {
        HandlerId { name: Some(Cow::Borrowed(name)), handler: PhantomData }
    }

    /// The same without its type, as [`which_handlers`](crate::EventManager::which_handlers) lists it.
    pub fn erase(&self) -> AnyHandlerId
    where
        H: 'static,
    {
        AnyHandlerId {
            handler: TypeId::of::<H>(),
            type_name: type_name::<H>(),
            name: self.name.as_deref().map(Arc::from),
        }
    }

    pub(super) fn is(&self, other: &AnyHandlerId) -> bool
    where
        H: 'static,
    {
        other.handler == TypeId::of::<H>() && other.name.as_deref() == self.name.as_deref()
    }
}

impl<H> From<String> for HandlerId<H> {
    fn from(name: String) -> Self {
        HandlerId { name: Some(Cow::Owned(name)), handler: PhantomData }
    }
}

impl<H> Clone for HandlerId<H> {
    fn clone(&self) -> Self {
        HandlerId { name: self.name.clone(), handler: PhantomData }
    }
}

impl<H: 'static> fmt::Display for HandlerId<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.erase().fmt(f)
    }
}

impl<H: 'static> fmt::Debug for HandlerId<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerId({self})")
    }
}

/// A [`HandlerId`] without its type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AnyHandlerId {
    handler: TypeId,
    type_name: &'static str,
    name: Option<Arc<str>>,
}

impl fmt::Display for AnyHandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(short(self.type_name))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}

impl fmt::Debug for AnyHandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyHandlerId({self})")
    }
}

/// Why a handler is removed.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Removal {
    /// It said so: [`EventCx::remove_handler`].
    Itself,
    /// Somebody said so: [`EventManager::delete_handler`](crate::EventManager::delete_handler).
    Deleted,
    /// Another handler takes its place: [`EventManager::swap_handler`](crate::EventManager::swap_handler).
    Swapped,
    /// Its function panicked or returned an error.
    Failed(ExitReason),
    /// The process that added it with supervision has ended, for this reason.
    OwnerDown(ExitReason),
    /// The manager ends, for this reason.
    Stop(ExitReason),
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Removal::Itself => f.write_str("it removed itself"),
            Removal::Deleted => f.write_str("it was deleted"),
            Removal::Swapped => f.write_str("another handler took its place"),
            Removal::Failed(reason) => write!(f, "it failed: {reason}"),
            Removal::OwnerDown(reason) => write!(f, "its owner ended: {reason}"),
            Removal::Stop(reason) => write!(f, "its manager ends: {reason}"),
        }
    }
}

/// A supervised handler was removed: what the process that added it gets (`gen_event_EXIT` in Erlang).
#[derive(Clone, PartialEq, Debug)]
pub struct HandlerExit {
    /// The manager.
    pub manager: Pid,
    /// The handler.
    pub handler: AnyHandlerId,
    /// Why.
    pub why: Removal,
}
