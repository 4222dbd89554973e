//! A handler in its manager, without its type, and its functions run so that nothing it does ends the manager.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::gen_event::handler::{AnyHandlerId, EventCx, EventHandler, HandlerExit, Removal};
use crate::gen_event::server::EventServer;
use crate::gen_server::{Crash, Cx};
use crate::mailbox::envelope::Opaque;
use crate::process::cell::ProcRef;
use crate::process::exit_reason::ExitReason;
use crate::process::panic;

type Running<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// [`EventHandler`] without its type.
pub(super) trait AnyHandler<E: Send + Sync + 'static>: Any + Send {
    fn event<'a>(&'a mut self, event: &'a E, cx: &'a mut EventCx<'_, E>) -> Running<'a, Result<(), Crash>>;
    fn info<'a>(
        &'a mut self,
        info: &'a (dyn Any + Send + Sync),
        cx: &'a mut EventCx<'_, E>,
    ) -> Running<'a, Result<(), Crash>>;
    fn terminate<'a>(&'a mut self, why: &'a Removal, cx: &'a mut EventCx<'_, E>) -> Running<'a, ()>;
}

impl<E: Send + Sync + 'static, H: EventHandler<E>> AnyHandler<E> for H {
    fn event<'a>(&'a mut self, event: &'a E, cx: &'a mut EventCx<'_, E>) -> Running<'a, Result<(), Crash>> {
        Box::pin(self.handle_event(event, cx))
    }

    fn info<'a>(
        &'a mut self,
        info: &'a (dyn Any + Send + Sync),
        cx: &'a mut EventCx<'_, E>,
    ) -> Running<'a, Result<(), Crash>> {
        Box::pin(self.handle_info(info, cx))
    }

    fn terminate<'a>(&'a mut self, why: &'a Removal, cx: &'a mut EventCx<'_, E>) -> Running<'a, ()> {
        Box::pin(EventHandler::terminate(self, why, cx))
    }
}

/// Who is told when a handler is removed, and whose end removes it.
pub(super) struct Owner {
    pub(super) proc: ProcRef,
    pub(super) pack: fn(HandlerExit) -> Opaque,
}

/// An added handler.
pub(super) struct Slot<E> {
    pub(super) id: AnyHandlerId,
    pub(super) handler: Box<dyn AnyHandler<E>>,
    pub(super) owner: Option<Owner>,
}

/// Runs a handler's function to its end; a panic is a reason, whether it comes from making, polling or dropping the future.
pub(super) async fn guarded<'a, R>(make: impl FnOnce() -> Running<'a, R>) -> Result<R, ExitReason> {
    let mut running = panic::catch(make)?;
    let outcome = poll_fn(|cx| match panic::catch(|| running.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(reason) => Poll::Ready(Err(reason)),
    })
    .await;
    panic::drop_quietly("an event handler's future", running);
    outcome
}

/// [`guarded`], with an error of the handler's in one with its panics.
pub(super) async fn checked<'a, R>(
    make: impl FnOnce() -> Running<'a, Result<R, Crash>>,
) -> Result<R, ExitReason> {
    guarded(make).await?.map_err(|crash| crash.reason().clone())
}

impl<E: Send + Sync + 'static> Slot<E> {
    /// Ends a handler that has been taken out of the list: cleans up, and tells its owner. The handler, which may have left something in itself.
    pub(super) async fn end(self, why: Removal, cx: &mut Cx<EventServer<E>>) -> Box<dyn AnyHandler<E>> {
        let Slot { id, mut handler, owner } = self;
        let manager = cx.pid();
        if let Removal::Failed(reason) = &why {
            tracing::error!(target: "purlin::crash", %manager, handler = %id, %reason, "an event handler failed and was removed");
        }
        let terminated = guarded(|| {
            let (handler, why) = (&mut handler, &why);
            Box::pin(async move { (**handler).terminate(why, &mut EventCx::new(cx)).await })
        })
        .await;
        if let Err(reason) = terminated {
            tracing::error!(target: "purlin::crash", %manager, handler = %id, %reason, "an event handler failed in `terminate`");
        }
        if let Some(owner) = owner {
            let Opaque(envelope) = (owner.pack)(HandlerExit { manager, handler: id, why });
            owner.proc.node.0.deliver_to(&owner.proc, envelope);
        }
        handler
    }
}
