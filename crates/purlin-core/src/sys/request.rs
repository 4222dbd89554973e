//! Requests to a process that are not messages of its program: served in mailbox order, also while it is suspended.

use std::any::{TypeId, type_name};
use std::task::Context;

use crate::mailbox::envelope::{Envelope, Kind, MsgTable, drop_payload};
use crate::process::cell::Proc;
use crate::process::exit_reason::ExitReason;
use crate::process::panic;

/// Asks a process to stop in an orderly way: a server runs `terminate`, a raw process just ends.
pub(crate) struct StopRequest(pub(crate) ExitReason);

/// Something to do inside the process, between two messages, under its run lock.
pub(crate) struct Request(pub(crate) Box<dyn FnOnce(&Proc) + Send>);

struct Internal<T>(std::marker::PhantomData<T>);

impl<T: Send + 'static> Internal<T> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::System,
        type_id: TypeId::of::<T>,
        type_name: type_name::<T>,
        drop: drop_payload::<T>,
        handle: None,
    };
}

/// An envelope of system kind.
pub(crate) fn internal<T: Send + 'static>(message: T) -> Envelope {
    // SAFETY: the table is made for `T`, and has no handler.
    unsafe { Envelope::with_table(&Internal::<T>::TABLE, message) }
}

/// Serves a request in a server's activation.
pub(crate) fn serve(proc: &Proc, envelope: Envelope, _cx: &mut Context<'_>) {
    if let Ok(Request(f)) = envelope.downcast::<Request>()
        && let Err(reason) = panic::catch(|| f(proc))
    {
        // The requester's slot was dropped by the unwinding: it knows. The process lives.
        tracing::error!(pid = %proc.pid(), %reason, "a sys request panicked");
    }
}

/// Serves a request in a raw process's receive.
pub(crate) fn serve_raw(proc: &Proc, envelope: Envelope) {
    match envelope.downcast::<StopRequest>() {
        Ok(StopRequest(reason)) => {
            // The activation sees EXITING when the poll comes back.
            let _ = proc.mailbox.decide(reason, false, &proc.word);
        },
        Err(envelope) => {
            if let Ok(Request(f)) = envelope.downcast::<Request>()
                && let Err(reason) = panic::catch(|| f(proc))
            {
                tracing::error!(pid = %proc.pid(), %reason, "a sys request panicked");
            }
        },
    }
}
