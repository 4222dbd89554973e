//! Who may ask for messages to be sent to it later: a process that has a handler for them, proven where it asks.

use crate::gen_server::cx::{Cx, ReadCx};
use crate::gen_server::message;
use crate::gen_server::traits::{GenServer, InfoFor};
use crate::mailbox::envelope::Opaque;
use crate::process::pid::Pid;
use crate::process::{Accepts, Mailbox};

/// A process that takes messages of type `M`, as it is known inside: the [`Cx`] of a server with a `HandleInfo<M>`, or a [`Mailbox`] that
/// accepts an `M`. Who subscribes gives it, so that a subscription whose messages nobody handles does not compile.
///
/// `K` tells the ways apart and is always inferred.
pub trait Recipient<M, K>: sealed::Sealed {
    #[doc(hidden)]
    fn __pid(&self) -> Pid;
    #[doc(hidden)]
    fn __pack(message: M) -> Opaque;
}

/// What `__pack` makes is for the one process that `__pid` names, and is sent there without another look. So nobody else implements it.
mod sealed {
    pub trait Sealed {}
    impl<S> Sealed for super::Cx<S> {}
    impl<N> Sealed for super::Mailbox<N> {}
}

impl<S: GenServer, M: InfoFor<S, K>, K: 'static> Recipient<M, K> for Cx<S> {
    fn __pid(&self) -> Pid {
        ReadCx::pid(self)
    }

    fn __pack(message: M) -> Opaque {
        message::info_for::<S, M, K>(message).into()
    }
}

impl<N: Accepts<M, K>, M, K> Recipient<M, K> for Mailbox<N> {
    fn __pid(&self) -> Pid {
        Mailbox::pid(self)
    }

    fn __pack(message: M) -> Opaque {
        N::__pack(message).0.into()
    }
}
