//! The process of an event manager.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use crate::gen_event::error::HandlerError;
use crate::gen_event::handler::{
    AnyHandlerId, EventCx, EventHandler, HandlerCall, HandlerExit, HandlerId, Removal,
};
use crate::gen_event::slot::{AnyHandler, Owner, Slot, checked};
use crate::gen_server::{Cx, GenServer, HandleCall, HandleCast, HandleInfo, InitError};
use crate::mailbox::envelope::Opaque;
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::relations::{Down, Exit};

/// The server that an [`EventManager`](crate::EventManager) is. An ordinary [`GenServer`]: it takes a name, a supervisor starts it,
/// [`sys`](crate::sys) looks into it.
pub struct EventServer<E: Send + Sync + 'static> {
    handlers: Vec<Slot<E>>,
}

impl<E: Send + Sync + 'static> GenServer for EventServer<E> {
    type Args = ();

    async fn init((): (), cx: &mut Cx<Self>) -> Result<Self, InitError> {
        // The end of a handler's owner is no end of the manager.
        cx.trap_exits(true);
        Ok(EventServer { handlers: Vec::new() })
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) {
        for slot in std::mem::take(&mut self.handlers) {
            drop_handler(slot.end(Removal::Stop(reason.clone()), cx).await);
        }
    }

    fn format_status(&self) -> String {
        let ids: Vec<String> = self.handlers.iter().map(|slot| slot.id.to_string()).collect();
        format!("event manager, handlers: [{}]", ids.join(", "))
    }
}

/// What is left of a handler that nobody wants.
fn drop_handler<E: Send + Sync + 'static>(handler: Box<dyn AnyHandler<E>>) {
    panic::drop_quietly("an event handler", handler);
}

impl<E: Send + Sync + 'static> EventServer<E> {
    fn place<H: 'static>(&self, id: &HandlerId<H>) -> Option<usize> {
        self.handlers.iter().position(|slot| id.is(&slot.id))
    }

    /// The first handler that a process supervises.
    fn owned_by(&self, owner: Pid) -> Option<usize> {
        self.handlers
            .iter()
            .position(|slot| slot.owner.as_ref().is_some_and(|other| other.proc.pid() == owner))
    }

    /// Takes a handler out and ends it; its owner is linked no longer, unless it owns another one.
    async fn remove(&mut self, at: usize, why: Removal, cx: &mut Cx<Self>) -> Box<dyn AnyHandler<E>> {
        let slot = self.handlers.remove(at);
        let owner = slot.owner.as_ref().map(|owner| owner.proc.pid());
        let handler = slot.end(why, cx).await;
        if let Some(owner) = owner
            && self.owned_by(owner).is_none()
            && cx.parent() != Some(owner)
        {
            cx.unlink(owner);
        }
        handler
    }

    /// Shows something to every handler that there is, and removes those that fail or want to go.
    async fn each(&mut self, what: &What<'_, E>, cx: &mut Cx<Self>) {
        let mut at = 0;
        while let Some(slot) = self.handlers.get_mut(at) {
            let mut own = EventCx::new(cx);
            let (handler, lent) = (&mut slot.handler, &mut own);
            let outcome = checked(|| match what {
                What::Event(event) => (**handler).event(event, lent),
                What::Info(info) => (**handler).info(*info, lent),
            })
            .await;
            let why = match outcome {
                Ok(()) if !own.wants_removal() => {
                    at += 1;
                    continue;
                },
                Ok(()) => Removal::Itself,
                Err(reason) => Removal::Failed(reason),
            };
            drop_handler(self.remove(at, why, cx).await);
        }
    }

    async fn add<H: EventHandler<E>>(
        &mut self,
        id: &HandlerId<H>,
        args: H::Args,
        owner: Option<Owner>,
        cx: &mut Cx<Self>,
    ) -> Result<(), HandlerError> {
        let id = id.erase();
        let mut own = EventCx::new(cx);
        let lent = &mut own;
        let handler = checked(|| Box::pin(H::init(args, lent))).await.map_err(HandlerError::Failed)?;
        if own.wants_removal() {
            // It was never there, so there is nothing to clean up after.
            return Err(HandlerError::Failed(ExitReason::Normal));
        }
        if let Some(owner) = &owner
            && cx.link(owner.proc.pid()).is_err()
        {
            return Err(HandlerError::Failed(ExitReason::NoProc));
        }
        self.handlers.push(Slot { id, handler: Box::new(handler), owner });
        Ok(())
    }
}

/// What all handlers are shown.
enum What<'a, E> {
    Event(&'a E),
    Info(&'a (dyn Any + Send + Sync)),
}

/// An event.
pub(crate) struct Notify<E>(pub(crate) E);

impl<E: Send + Sync + 'static> HandleCast<Notify<E>> for EventServer<E> {
    async fn handle_cast(&mut self, Notify(event): Notify<E>, cx: &mut Cx<Self>) {
        self.each(&What::Event(&event), cx).await;
    }
}

impl<E: Send + Sync + 'static> HandleCall<Notify<E>> for EventServer<E> {
    type Reply = ();

    async fn handle_call(&mut self, Notify(event): Notify<E>, cx: &mut Cx<Self>) {
        self.each(&What::Event(&event), cx).await;
    }
}

/// Something that is no event: for handlers' [`handle_info`](EventHandler::handle_info).
pub struct Info(pub(crate) Box<dyn Any + Send + Sync>);

impl Info {
    /// Of any value. For [`EventCx::send_after`](crate::Cx::send_after) and other ways to send something to the manager.
    pub fn new(info: impl Any + Send + Sync) -> Info {
        Info(Box::new(info))
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Info")
    }
}

impl<E: Send + Sync + 'static> HandleInfo<Info> for EventServer<E> {
    async fn handle_info(&mut self, Info(info): Info, cx: &mut Cx<Self>) {
        self.each(&What::Info(&*info), cx).await;
    }
}

impl<E: Send + Sync + 'static> HandleInfo<Down> for EventServer<E> {
    async fn handle_info(&mut self, down: Down, cx: &mut Cx<Self>) {
        self.each(&What::Info(&down), cx).await;
    }
}

impl<E: Send + Sync + 'static> HandleInfo<Exit> for EventServer<E> {
    async fn handle_info(&mut self, exit: Exit, cx: &mut Cx<Self>) {
        // An exit signal from a process that is alive is none of its end's.
        let ended = !crate::process::is_alive(exit.from);
        let mut any = false;
        while ended && let Some(at) = self.owned_by(exit.from) {
            any = true;
            drop_handler(self.remove(at, Removal::OwnerDown(exit.reason.clone()), cx).await);
        }
        if !any {
            self.each(&What::Info(&exit), cx).await;
        }
    }
}

/// Adds a handler.
pub(crate) struct Add<H, A> {
    pub(crate) id: HandlerId<H>,
    pub(crate) args: A,
    /// The process that supervises it, and how it takes the news.
    pub(crate) owner: Option<(Pid, Pack)>,
}

type Pack = fn(HandlerExit) -> Opaque;

impl<E: Send + Sync + 'static, H: EventHandler<E, Args = A>, A: Send + 'static> HandleCall<Add<H, A>>
    for EventServer<E>
{
    type Reply = Result<(), HandlerError>;

    async fn handle_call(&mut self, add: Add<H, A>, cx: &mut Cx<Self>) -> Result<(), HandlerError> {
        if self.place(&add.id).is_some() {
            return Err(HandlerError::AlreadyAdded(add.id.erase()));
        }
        let owner = match add.owner {
            None => None,
            Some((pid, pack)) => {
                let proc = crate::node::current::by_index(pid.node_index()).and_then(|node| node.lookup(pid));
                Some(Owner { proc: proc.ok_or(HandlerError::Failed(ExitReason::NoProc))?, pack })
            },
        };
        self.add(&add.id, add.args, owner, cx).await
    }
}

/// Removes a handler, and gives it back.
pub(crate) struct Delete<H>(pub(crate) HandlerId<H>);

impl<E: Send + Sync + 'static, H: EventHandler<E>> HandleCall<Delete<H>> for EventServer<E> {
    type Reply = Result<H, HandlerError>;

    async fn handle_call(&mut self, Delete(id): Delete<H>, cx: &mut Cx<Self>) -> Result<H, HandlerError> {
        let at = self.place(&id).ok_or_else(|| HandlerError::NotFound(id.erase()))?;
        let handler: Box<dyn Any> = self.remove(at, Removal::Deleted, cx).await;
        Ok(*handler.downcast::<H>().unwrap_or_else(|_| unreachable!("its id has its type")))
    }
}

/// Puts a handler into the place of another one.
pub(crate) struct Swap<H, N, F> {
    pub(crate) old: HandlerId<H>,
    pub(crate) new: HandlerId<N>,
    pub(crate) args: F,
}

impl<E, H, N, F> HandleCall<Swap<H, N, F>> for EventServer<E>
where
    E: Send + Sync + 'static,
    H: EventHandler<E>,
    N: EventHandler<E>,
    F: FnOnce(Option<H>) -> N::Args + Send + 'static,
{
    type Reply = Result<(), HandlerError>;

    async fn handle_call(&mut self, swap: Swap<H, N, F>, cx: &mut Cx<Self>) -> Result<(), HandlerError> {
        let place = self.place(&swap.old);
        let taken = self.place(&swap.new).filter(|at| Some(*at) != place);
        if taken.is_some() {
            return Err(HandlerError::AlreadyAdded(swap.new.erase()));
        }
        let mut owner = None;
        let old = match place {
            None => None,
            Some(at) => {
                // The new handler is supervised by who supervised the old one, who is told of the swap.
                let of = |owner: &Owner| Owner { proc: owner.proc.clone(), pack: owner.pack };
                owner = self.handlers[at].owner.as_ref().map(of);
                let handler: Box<dyn Any> = self.remove(at, Removal::Swapped, cx).await;
                handler.downcast::<H>().ok().map(|old| *old)
            },
        };
        let args = swap.args;
        let args = panic::catch(move || args(old)).map_err(HandlerError::Failed)?;
        self.add(&swap.new, args, owner, cx).await
    }
}

/// Asks one handler.
pub struct Ask<H, M> {
    pub(crate) id: HandlerId<H>,
    pub(crate) message: M,
}

impl<E, H, M> HandleCall<Ask<H, M>> for EventServer<E>
where
    E: Send + Sync + 'static,
    H: HandlerCall<E, M>,
    M: Send + 'static,
{
    type Reply = Result<H::Reply, HandlerError>;

    async fn handle_call(&mut self, ask: Ask<H, M>, cx: &mut Cx<Self>) -> Self::Reply {
        let at = self.place(&ask.id).ok_or_else(|| HandlerError::NotFound(ask.id.erase()))?;
        let handler: &mut dyn Any = &mut *self.handlers[at].handler;
        let Some(handler) = handler.downcast_mut::<H>() else { unreachable!("its id has its type") };
        let mut own = EventCx::new(cx);
        let lent = &mut own;
        let outcome = checked(|| Box::pin(handler.handle_call(ask.message, lent))).await;
        match outcome {
            Ok(reply) => {
                if own.wants_removal() {
                    drop_handler(self.remove(at, Removal::Itself, cx).await);
                }
                Ok(reply)
            },
            Err(reason) => {
                drop_handler(self.remove(at, Removal::Failed(reason.clone()), cx).await);
                Err(HandlerError::Failed(reason))
            },
        }
    }
}

/// Lists the handlers.
pub(crate) struct WhichHandlers<E>(pub(crate) PhantomData<fn(E)>);

impl<E: Send + Sync + 'static> HandleCall<WhichHandlers<E>> for EventServer<E> {
    type Reply = Vec<AnyHandlerId>;
    const SYNC: bool = true;

    async fn handle_call(&mut self, _: WhichHandlers<E>, _: &mut Cx<Self>) -> Vec<AnyHandlerId> {
        self.handlers.iter().map(|slot| slot.id.clone()).collect()
    }
}
