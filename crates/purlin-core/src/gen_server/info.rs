//! Untyped messages to servers: which types a server takes when the sender does not know it.

use std::any::TypeId;
use std::marker::PhantomData;

use crate::gen_server::message;
use crate::gen_server::traits::{GenServer, InfoFor};
use crate::mailbox::envelope::HandleFn;

/// The list that [`GenServer::accepts`] fills in: one [`info`](Self::info) per message type that may arrive untyped.
pub struct Accepts<'a, S> {
    wanted: TypeId,
    found: &'a mut Option<HandleFn>,
    server: PhantomData<fn(S)>,
}

impl<S: GenServer> Accepts<'_, S> {
    /// `S` handles an untyped `M` by its `HandleInfo<M>`.
    pub fn info<M: InfoFor<S, K>, K: 'static>(&mut self) -> &mut Self {
        if self.wanted == TypeId::of::<M>() {
            *self.found = Some(message::handler_of_info::<S, M, K>());
        }
        self
    }
}

/// How `S` handles an untyped message of type `wanted`, if it does.
pub(crate) fn find<S: GenServer>(wanted: TypeId) -> Option<HandleFn> {
    let mut found = None;
    S::accepts(&mut Accepts { wanted, found: &mut found, server: PhantomData });
    found
}
