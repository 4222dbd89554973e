//! Messages with their handlers: one static table per (server, message, kind).

use std::any::{TypeId, type_name};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::call::slot::Replier;
use crate::gen_server::cx::{Cx, Marks};
use crate::gen_server::frame::Frame;
use crate::gen_server::run_loop;
use crate::gen_server::server::Server;
use crate::gen_server::shape::Flow;
use crate::gen_server::traits::{CallFor, CastFor, ContinueFor, GenServer, InfoFor};
use crate::mailbox::envelope::{Envelope, HandleFn, Kind, MsgTable, Payload, drop_payload, unpack};
use crate::node::current::{self, tls};
use crate::process::cell::Proc;
use crate::process::panic;
use crate::process::run;

/// A call in a mailbox.
pub(crate) struct CallMsg<M, R> {
    pub(crate) message: M,
    pub(crate) replier: Replier<R>,
    /// The calling process, packed; 0 for a caller that is none.
    pub(crate) caller: u64,
}

/// The packed pid of the caller whose message this thread's handler was started with.
pub(crate) fn current_caller() -> u64 {
    tls(|t| t.caller.get())
}

#[inline]
pub(crate) fn set_caller(caller: u64) -> u64 {
    tls(|t| t.caller.replace(caller))
}

struct CallTable<S, M, K>(PhantomData<(S, M, K)>);
struct CastTable<S, M, K>(PhantomData<(S, M, K)>);
struct InfoTable<S, M, K>(PhantomData<(S, M, K)>);
struct ContinueTable<S, M, K>(PhantomData<(S, M, K)>);

impl<S: GenServer, M: CallFor<S, K>, K: 'static> CallTable<S, M, K> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::User,
        type_id: TypeId::of::<CallMsg<M, M::Reply>>,
        type_name: || S::__request_name(type_name::<M>()),
        drop: drop_payload::<CallMsg<M, M::Reply>>,
        handle: Some(handle_call::<S, M, K>),
    };
}

impl<S: GenServer, M: CastFor<S, K>, K: 'static> CastTable<S, M, K> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::User,
        type_id: TypeId::of::<M>,
        type_name: type_name::<M>,
        drop: drop_payload::<M>,
        handle: Some(handle_cast::<S, M, K>),
    };
}

impl<S: GenServer, M: InfoFor<S, K>, K: 'static> InfoTable<S, M, K> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::User,
        type_id: TypeId::of::<M>,
        type_name: type_name::<M>,
        drop: drop_payload::<M>,
        handle: Some(handle_info::<S, M, K>),
    };
}

impl<S: GenServer, M: ContinueFor<S, K>, K: 'static> ContinueTable<S, M, K> {
    const TABLE: MsgTable = MsgTable {
        kind: Kind::User,
        type_id: TypeId::of::<M>,
        type_name: type_name::<M>,
        drop: drop_payload::<M>,
        handle: Some(handle_continue::<S, M, K>),
    };
}

pub(crate) fn call<S: GenServer, M: CallFor<S, K>, K: 'static>(
    message: M,
    replier: Replier<M::Reply>,
    caller: u64,
) -> Envelope {
    // SAFETY: the table is of this payload's type; calls go to processes of server `S` only (see `Target`).
    unsafe { Envelope::with_table(&CallTable::<S, M, K>::TABLE, CallMsg { message, replier, caller }) }
}

/// The table of a call, to note what is handled.
#[inline]
pub(crate) fn call_table<S: GenServer, M: CallFor<S, K>, K: 'static>() -> &'static MsgTable {
    &CallTable::<S, M, K>::TABLE
}

pub(crate) fn cast<S: GenServer, M: CastFor<S, K>, K: 'static>(message: M) -> Envelope {
    // SAFETY: as above.
    unsafe { Envelope::with_table(&CastTable::<S, M, K>::TABLE, message) }
}

pub(crate) fn info_for<S: GenServer, M: InfoFor<S, K>, K: 'static>(message: M) -> Envelope {
    // SAFETY: as above.
    unsafe { Envelope::with_table(&InfoTable::<S, M, K>::TABLE, message) }
}

/// An info message by its handler's trait.
pub(crate) fn info<S, M, Sh>(message: M) -> Envelope
where
    S: crate::gen_server::traits::HandleInfo<M, Sh>,
    M: Send + 'static,
    Sh: crate::gen_server::shape::Shape,
{
    info_for::<S, M, Sh>(message)
}

pub(crate) fn go_on<S: GenServer, M: ContinueFor<S, K>, K: 'static>(message: M) -> Envelope {
    // SAFETY: as above.
    unsafe { Envelope::with_table(&ContinueTable::<S, M, K>::TABLE, message) }
}

pub(crate) fn handler_of_info<S: GenServer, M: InfoFor<S, K>, K: 'static>() -> HandleFn {
    handle_info::<S, M, K>
}

/// The server's state and context, for the time of one handler.
///
/// # Safety
/// The caller holds RUN of a process of server `S`, whose state is there, and makes no second such pair meanwhile. (The lifetime is
/// free because a suspended handler keeps the pair; it lies in the process's block, which outlives the frame.)
pub(crate) unsafe fn parts<'a, S: GenServer>(proc: &Proc) -> (&'a mut S, &'a mut Cx<S>) {
    // SAFETY: by the caller's promise the body is a `Server<S>`, and we have it alone.
    unsafe {
        let body = proc.cell::<Server<S>>().body.with_mut(|b| b);
        ((*body).state.assume_init_mut(), &mut (*body).cx)
    }
}

/// The marks alone, by a pointer that borrows nothing.
///
/// # Safety
/// The process is one of server `S`; the pointer is used under RUN, and not while a handler is being polled.
pub(crate) unsafe fn marks<S: GenServer>(proc: &Proc) -> *mut Marks {
    // SAFETY: by the caller's promise about the type; a field's address is taken, nothing is read.
    unsafe { &raw mut (*proc.cell::<Server<S>>().body.with_mut(|b| b)).cx.marks }
}

/// A call's future and slot.
pub(crate) struct CallFrame<F, R> {
    pub(crate) future: F,
    pub(crate) replier: Option<Replier<R>>,
    pub(crate) caller: u64,
}

impl<F, R> Frame for CallFrame<F, R>
where
    F: Future<Output = Flow<R>> + Send,
    R: Send + 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, marks: *mut Marks) -> Poll<()> {
        // SAFETY: the future stays where it is; the slot is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let before = set_caller(this.caller);
        // SAFETY: as above.
        let polled = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx);
        set_caller(before);
        polled.map(|flow| {
            if let Some(replier) = this.replier.take() {
                // SAFETY: the future is done with the context; see `Frame::poll`.
                answer(flow, replier, this.caller, unsafe { &mut *marks });
            }
        })
    }

    fn give_up(self: Pin<&mut Self>, marks: *mut Marks) {
        // SAFETY: nothing pinned is moved.
        let this = unsafe { self.get_unchecked_mut() };
        blame(this.caller);
        if let Some(replier) = this.replier.take() {
            // SAFETY: the future is not polled any more.
            withhold(replier, unsafe { &mut *marks });
        }
    }
}

/// Gives a call what its handler returned.
pub(crate) fn answer<R: Send + 'static>(flow: Flow<R>, replier: Replier<R>, caller: u64, marks: &mut Marks) {
    // A caller that has given this call up may wait for another answer of the same server by now: that edge is not this call's to take back.
    if !matches!(flow, Flow::Crash(_)) && !replier.is_abandoned() {
        crate::call::cycle::release(caller);
    }
    match flow {
        Flow::Reply(reply) if !marks.stopping() => give(replier, reply),
        // Stop with reply: terminate runs first, as in OTP.
        Flow::Reply(reply) => marks.more().after.push(Box::new(move || give(replier, reply))),
        Flow::Later(later) => {
            later.meet(replier);
        },
        Flow::Crash(reason) => {
            blame(caller);
            // An error or a panic counts more than a stop that the same handler asked for, as in OTP.
            marks.more().stop = Some(reason);
            withhold(replier, marks);
        },
    }
}

/// Notes whose call crashed the current process, for its crash report.
#[cold]
pub(crate) fn blame(caller: u64) {
    if caller != 0 {
        current::with_current(|me| {
            me.extra.lock().get_or_insert_default().client = Some(run::unpack(me, caller));
        });
    }
}

/// Hands over a reply. One that nobody waits for any more vanishes here; its `Drop` is not the server's fault.
pub(crate) fn give<R: Send>(replier: Replier<R>, reply: R) {
    if let Err(late) = replier.send(reply) {
        panic::drop_quietly("a reply that nobody took", late);
    }
}

/// Keeps an unanswered slot until the process has ended, so that its caller finds the reason.
pub(crate) fn withhold<R: Send + 'static>(replier: Replier<R>, marks: &mut Marks) {
    marks.more().after.push(Box::new(move || drop(replier)));
}

/// The future of a message that has no answer.
struct PlainFrame<F>(F);

impl<F: Future<Output = Flow<()>> + Send> Frame for PlainFrame<F> {
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, marks: *mut Marks) -> Poll<()> {
        // SAFETY: structural pinning of the only field.
        let future = unsafe { self.map_unchecked_mut(|s| &mut s.0) };
        // SAFETY: the future is done with the context; see `Frame::poll`.
        future.poll(cx).map(|flow| settle(flow, unsafe { &mut *marks }))
    }

    fn give_up(self: Pin<&mut Self>, _: *mut Marks) {}
}

#[inline(always)]
fn settle(flow: Flow<()>, marks: &mut Marks) {
    if let Flow::Crash(reason) = flow {
        marks.more().stop = Some(reason);
    }
}

/// # Safety
/// The caller holds RUN of a server `S`, no handler is being polled, and the payload is the one that this function was stored with.
unsafe fn handle_call<S: GenServer, M: CallFor<S, K>, K: 'static>(
    payload: *mut Payload,
    proc: &Proc,
    cx: &mut Context<'_>,
) {
    // SAFETY: this function is in the table of exactly this payload.
    let CallMsg { message, replier, caller } = unsafe { unpack::<CallMsg<M, M::Reply>>(payload) };
    // SAFETY: the runner calls handlers under RUN, one at a time, once the state is there.
    let (state, own) = unsafe { parts::<S>(proc) };
    let frame = CallFrame { future: message.__run(state, own), replier: Some(replier), caller };
    run_loop::run_frame::<S, _>(proc, frame, M::SYNC, cx);
}

/// # Safety
/// The caller holds RUN of a server `S`, no handler is being polled, and the payload is the one that this function was stored with.
unsafe fn handle_cast<S: GenServer, M: CastFor<S, K>, K: 'static>(
    payload: *mut Payload,
    proc: &Proc,
    cx: &mut Context<'_>,
) {
    // SAFETY: as in `handle_call`.
    let message = unsafe { unpack::<M>(payload) };
    // SAFETY: as in `handle_call`.
    let (state, own) = unsafe { parts::<S>(proc) };
    run_loop::run_frame::<S, _>(proc, PlainFrame(message.__run(state, own)), M::SYNC, cx);
}

/// # Safety
/// The caller holds RUN of a server `S`, no handler is being polled, and the payload is the one that this function was stored with.
unsafe fn handle_info<S: GenServer, M: InfoFor<S, K>, K: 'static>(
    payload: *mut Payload,
    proc: &Proc,
    cx: &mut Context<'_>,
) {
    // SAFETY: as in `handle_call`.
    let message = unsafe { unpack::<M>(payload) };
    // SAFETY: as in `handle_call`.
    let (state, own) = unsafe { parts::<S>(proc) };
    run_loop::run_frame::<S, _>(proc, PlainFrame(message.__run(state, own)), M::SYNC, cx);
}

/// # Safety
/// The caller holds RUN of a server `S`, no handler is being polled, and the payload is the one that this function was stored with.
unsafe fn handle_continue<S: GenServer, M: ContinueFor<S, K>, K: 'static>(
    payload: *mut Payload,
    proc: &Proc,
    cx: &mut Context<'_>,
) {
    // SAFETY: as in `handle_call`.
    let message = unsafe { unpack::<M>(payload) };
    // SAFETY: as in `handle_call`.
    let (state, own) = unsafe { parts::<S>(proc) };
    run_loop::run_frame::<S, _>(proc, PlainFrame(message.__run(state, own)), M::SYNC, cx);
}
