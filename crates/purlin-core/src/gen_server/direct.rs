//! Calls in place: the handler runs on the caller's thread, under the server's run lock.
//!
//! The server is idle and its mailbox empty, which means that everything the caller sent before has been handled: order holds. Conditions:
//! the caller's thread is inside the node's runtime, calls in place are not nested too deeply, and no bit of the state word speaks against
//! it. Casts never run in place. What a handler asks for (stop, continue, timeout) is only marked; the server's own activation does
//! it: `terminate` and the end of a process never run on a caller's stack.
//!
//! # Slow handlers
//! One of 32 calls in place is timed. When the moving average passes 10 µs the server's calls are queued from then on, so that a call's
//! deadline means what it says and one caller does not do the work of others; while they are queued, one of 16 is timed, and below 5 µs
//! calls in place come back. A simulated node, where real time must not matter, decides by its random source instead, per call.

use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::call::cycle;
use crate::call::error::short;
use crate::call::slot::{self, Waiter};
use crate::gen_server::frame::BoxFrame;
use crate::gen_server::message::{self, CallFrame};
use crate::gen_server::server::{self, Server};
use crate::gen_server::shape::Flow;
use crate::gen_server::traits::{CallFor, GenServer};
use crate::node::builder::CallPath;
use crate::node::current::{self, Tls};
use crate::process::cell::{BOUNDED, Proc, SIMULATED, SLOW};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::run::{IN_A_ROW, packed};
use crate::process::seat;
use crate::process::word::{BUSY, HELD, WOKEN};
use crate::rt::sim;
use crate::sync::Ordering;
use crate::telemetry::events;

/// How deeply calls in place may be nested; each level is a stack frame of the caller's thread.
pub(crate) const MAX_DEPTH: u32 = 8;
const SAMPLE: u32 = 32;
const TOO_SLOW: Duration = Duration::from_micros(10);
const QUICK_AGAIN: Duration = Duration::from_micros(5);

/// What came of an attempt.
pub(crate) enum Attempt<R> {
    Done(R),
    /// The handler runs, or the server ends: the answer comes through this slot.
    Later(Waiter<R>),
}

/// May a call be made in place?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The server cannot be run here and now.
    No,
    /// This thread has made many calls in a row: give way first.
    GiveWay,
    /// The server is entered.
    Entered,
}

/// What the thread's record held before a call in place. Between [`enter`] and [`Entered::leave`] only caught code runs.
///
/// Filled in place and read field by field: returning it by value costs a stalled copy, a third of the price of a read.
pub(crate) struct Entered {
    tls: Option<NonNull<Tls>>,
    proc: Option<NonNull<Proc>>,
    /// The caller was outside every scope of a node.
    outside: bool,
    caller: u64,
    waits_on: u64,
    /// The start of a timed call, in nanoseconds of the node's clock.
    begin: u64,
}

/// May the calling thread run a server of this process's node, now? `Entered` if so.
#[inline(always)]
fn admitted(proc: &Proc, t: &Tls) -> Gate {
    let (node, index) = (t.node.get(), proc.pid().node_index());
    let here = if node == index { t.in_place.get() } else { node == 0 && current::find_default() == index };
    if !here || t.depth.get() >= MAX_DEPTH {
        return Gate::No;
    }
    // The seed chooses the path of a simulated call.
    if proc.has(SIMULATED) {
        return match sim::before_call(proc) {
            sim::Way::Direct => Gate::Entered,
            sim::Way::Queued => Gate::No,
            sim::Way::Yield => Gate::GiveWay,
        };
    }
    if t.calls.get() + 1 >= IN_A_ROW {
        t.calls.set(0);
        return Gate::GiveWay;
    }
    Gate::Entered
}

/// Enters a server that is idle. One function without type parameters, so that it exists once and touches the thread's record once.
#[inline(never)]
pub(crate) fn enter(proc: &Proc, entered: &mut Entered) -> Gate {
    // SAFETY: used in this function only.
    let t = unsafe { current::record() };
    match admitted(proc, t) {
        Gate::Entered => {},
        other => return other,
    }
    if !(proc.word.try_enter() || proc.word.is_biased() && seat::try_enter(proc)) {
        return Gate::No;
    }
    let (node, index) = (t.node.get(), proc.pid().node_index());
    t.calls.set(t.calls.get() + 1);
    t.depth.set(t.depth.get() + 1);
    t.catching.set(t.catching.get() + 1);
    let me = t.proc.replace(Some(proc.ptr()));
    entered.tls = Some(NonNull::from(t));
    entered.proc = me;
    if node != index {
        // A task outside every scope, on the runtime whose only node this is.
        entered.outside = true;
        t.node.set(index);
        t.in_place.set(true);
    }
    let mut packed_caller = 0;
    if let Some(me) = me {
        // SAFETY: the current process is being run, and kept by the process table.
        let me = unsafe { me.as_ref() };
        packed_caller = if me.pid().node_index() == index { packed(me) } else { 0 };
        entered.waits_on = cycle::publish_in_place(me, proc);
    }
    entered.caller = t.caller.replace(packed_caller);
    let handled = proc.handled.load(Ordering::Relaxed).wrapping_add(1);
    proc.handled.store(handled, Ordering::Relaxed);
    if handled.is_multiple_of(SAMPLE) && !proc.has(SIMULATED) {
        entered.begin = proc.node.now().as_nanos() as u64;
    }
    Gate::Entered
}

/// How a reader came in, and what [`leave_read`] has to put back; in two registers.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    how: u32,
    /// The process that reads.
    me: Option<NonNull<Proc>>,
}

/// The reader is inside.
const INSIDE: u32 = 1;
/// It sits in a seat; otherwise it is counted.
const SEATED: u32 = 2;
/// It was outside every scope of a node.
const OUTSIDE: u32 = 4;
/// It has to give way first.
const GIVE_WAY: u32 = 8;

impl Reading {
    #[inline]
    pub(crate) fn gate(self) -> Gate {
        match self.how {
            0 => Gate::No,
            GIVE_WAY => Gate::GiveWay,
            _ => Gate::Entered,
        }
    }
}

/// Enters a server as a reader.
#[inline(never)]
pub(crate) fn enter_read(proc: &Proc) -> Reading {
    // SAFETY: used in this function only.
    let t = unsafe { current::record() };
    match admitted(proc, t) {
        Gate::Entered => {},
        Gate::No => return Reading { how: 0, me: None },
        Gate::GiveWay => return Reading { how: GIVE_WAY, me: None },
    }
    let (node, index) = (t.node.get(), proc.pid().node_index());
    let mut how = INSIDE;
    if proc.word.is_biased() && sit_down(proc, t, index) {
        how |= SEATED;
    } else if !proc.word.try_read() {
        return Reading { how: 0, me: None };
    }
    let calls = t.calls.get() + 1;
    t.calls.set(calls);
    if calls.is_multiple_of(SAMPLE) && how & SEATED == 0 && !proc.has(SIMULATED) {
        seat::sample(proc);
    }
    if node != index {
        how |= OUTSIDE;
        t.node.set(index);
        t.in_place.set(true);
    }
    t.catching.set(t.catching.get() + 1);
    Reading { how, me: t.proc.replace(Some(proc.ptr())) }
}

/// Takes this executor's seat, if the thread is one's.
#[inline(always)]
fn sit_down(proc: &Proc, t: &Tls, node: u32) -> bool {
    // SAFETY: the executor's record outlives its poll, which this code is called from.
    let worker = t.worker.get().map(|worker| unsafe { worker.as_ref() });
    worker.and_then(|worker| worker.seat(node)).is_some_and(|seat| seat.take(proc))
}

/// Leaves after a read.
#[inline(never)]
pub(crate) fn leave_read(proc: &Proc, reading: Reading) {
    // SAFETY: used in this function only.
    let t = unsafe { current::record() };
    t.proc.set(reading.me);
    t.catching.set(t.catching.get() - 1);
    if reading.how & OUTSIDE != 0 {
        t.node.set(0);
        t.in_place.set(false);
    }
    if reading.how & SEATED != 0 {
        // SAFETY: as in `sit_down`; a read does not await, so it is the same poll of the same executor.
        let worker = t.worker.get().map(|worker| unsafe { worker.as_ref() });
        if let Some(seat) = worker.and_then(|worker| worker.seat(proc.pid().node_index())) {
            seat.leave();
        }
        return;
    }
    let duty = proc.word.leave_read();
    proc.perform(duty);
}

impl Entered {
    #[inline]
    pub(crate) const fn new() -> Entered {
        Entered { tls: None, proc: None, outside: false, caller: 0, waits_on: 0, begin: 0 }
    }

    #[inline]
    fn tls(&self) -> &Tls {
        match &self.tls {
            // SAFETY: the record is of this thread, and lives as long as it.
            Some(tls) => unsafe { tls.as_ref() },
            None => unreachable!("set by `enter`"),
        }
    }

    /// Who makes the call, packed.
    #[inline]
    fn caller(&self) -> u64 {
        self.tls().caller.get()
    }

    fn restore(&self) {
        let t = self.tls();
        t.proc.set(self.proc);
        if self.outside {
            t.node.set(0);
            t.in_place.set(false);
        }
        t.depth.set(t.depth.get() - 1);
        t.catching.set(t.catching.get() - 1);
    }

    /// Leaves after an exclusive call, with these bits up.
    #[inline(never)]
    pub(crate) fn leave(&self, proc: &Proc, mut bits: u64) {
        self.restore();
        self.tls().caller.set(self.caller);
        if let Some(me) = self.proc {
            // SAFETY: as in `enter`.
            unsafe { me.as_ref() }.waits_on.store(self.waits_on, Ordering::Relaxed);
        }
        if self.begin != 0 && sample(proc, proc.node.now().saturating_sub(Duration::from_nanos(self.begin))) {
            bits |= HELD;
        }
        let duty = proc.word.leave(bits);
        proc.perform(duty);
    }
}

/// Runs a call in place in a server that [`enter`] has entered.
#[inline(always)]
pub(crate) fn call<S: GenServer, M: CallFor<S, K>, K: 'static>(
    proc: &Proc,
    entered: &Entered,
    message: M,
) -> Attempt<M::Reply> {
    let caller = entered.caller();
    proc.note(message::call_table::<S, M, K>());
    let outcome = if sim::fails_in_place(proc, caller, std::any::type_name::<M>) {
        Ran::Later(injected::<S, M::Reply>(proc, caller))
    } else if M::SYNC {
        sync::<S, M, K>(proc, message, caller)
    } else {
        polled::<S, M, K>(proc, message, caller)
    };
    // SAFETY: we hold RUN.
    let marked = unsafe { (*message::marks::<S>(proc)).any };
    let (answer, bits) = match outcome {
        Ran::Done(reply) if !marked => (Attempt::Done(reply), 0),
        // A marked stop ends the server first, as in OTP; any other mark is no reason to wait.
        Ran::Done(reply) => (after::<S, M::Reply>(proc, reply), WOKEN),
        Ran::Later(waiter) => (Attempt::Later(waiter), if marked { WOKEN } else { 0 }),
        Ran::Suspended(waiter) => (Attempt::Later(waiter), BUSY),
    };
    entered.leave(proc, bits);
    answer
}

/// A reply beside marks: withheld until the end if the server stops.
#[cold]
fn after<S: GenServer, R: Send + 'static>(proc: &Proc, reply: R) -> Attempt<R> {
    // SAFETY: the caller holds RUN, and no handler is being polled.
    let marks = unsafe { &mut *message::marks::<S>(proc) };
    if !marks.stopping() {
        return Attempt::Done(reply);
    }
    let (waiter, replier) = slot::pair();
    message::answer(Flow::Reply(reply), replier, 0, marks);
    Attempt::Later(waiter)
}

enum Ran<R> {
    Done(R),
    Later(Waiter<R>),
    Suspended(Waiter<R>),
}

/// A handler that does not wait, on the stack.
#[inline(always)]
fn sync<S: GenServer, M: CallFor<S, K>, K: 'static>(proc: &Proc, message: M, caller: u64) -> Ran<M::Reply> {
    let result = panic::catch_counted(|| {
        // SAFETY: `enter` gave us RUN, and an idle server has its state.
        let (state, own) = unsafe { message::parts::<S>(proc) };
        let future = std::pin::pin!(message.__run(state, own));
        future.poll(&mut Context::from_waker(Waker::noop()))
    });
    match result {
        Ok(Poll::Ready(Flow::Reply(reply))) => Ran::Done(reply),
        Ok(Poll::Ready(other)) => Ran::Later(unusual::<S, M::Reply>(proc, other, caller)),
        Ok(Poll::Pending) => Ran::Later(unusual::<S, M::Reply>(proc, Flow::Crash(server::waited()), caller)),
        Err(reason) => Ran::Later(unusual::<S, M::Reply>(proc, Flow::Crash(reason), caller)),
    }
}

/// The answer that is none yet: deferred, or withheld until the server has ended.
#[cold]
fn unusual<S: GenServer, R: Send + 'static>(proc: &Proc, flow: Flow<R>, caller: u64) -> Waiter<R> {
    let flow = match flow {
        Flow::Later(later) => match later.into_waiter() {
            Ok(waiter) => return waiter,
            Err(later) => Flow::Later(later),
        },
        flow => flow,
    };
    let (waiter, replier) = slot::pair();
    // SAFETY: we hold RUN, and no handler is being polled.
    message::answer(flow, replier, caller, unsafe { &mut *message::marks::<S>(proc) });
    waiter
}

/// The answer of a handler in which a simulated run panics.
#[cold]
#[inline(never)]
fn injected<S: GenServer, R: Send + 'static>(proc: &Proc, caller: u64) -> Waiter<R> {
    unusual::<S, R>(proc, Flow::Crash(sim::failure()), caller)
}

/// A handler that may wait: polled once in its buffer, with the server's own waker.
#[inline(always)]
fn polled<S: GenServer, M: CallFor<S, K>, K: 'static>(proc: &Proc, message: M, caller: u64) -> Ran<M::Reply> {
    // SAFETY: `try_enter` gave us RUN, and an idle server has its state.
    let (state, own) = unsafe { message::parts::<S>(proc) };
    polled_frame::<S, _, _>(proc, CallFrame { future: message.__run(state, own), replier: None, caller })
}

#[inline(always)]
fn polled_frame<S, F, R>(proc: &Proc, frame: CallFrame<F, R>) -> Ran<R>
where
    S: GenServer,
    F: Future<Output = Flow<R>> + Send,
    R: Send + 'static,
{
    let caller = frame.caller;
    let mut boxed = BoxFrame::new(frame);
    let mut place = boxed.place::<CallFrame<F, R>>();
    // SAFETY: the waker is never dropped; a clone of it, made by a future that waits, counts for itself.
    let waker = std::mem::ManuallyDrop::new(unsafe { crate::process::body::borrowed_waker(proc) });
    let result = panic::catch_counted(|| {
        // SAFETY: the frame lies pinned in its buffer, which is ours.
        let future = unsafe { Pin::new_unchecked(&mut place.as_mut().future) };
        future.poll(&mut Context::from_waker(&waker))
    });
    match result {
        Ok(Poll::Ready(flow)) => {
            panic::drop_quietly("a handler's future", boxed);
            match flow {
                Flow::Reply(reply) => Ran::Done(reply),
                other => Ran::Later(unusual::<S, R>(proc, other, caller)),
            }
        },
        Ok(Poll::Pending) => {
            let (waiter, replier) = slot::pair();
            // SAFETY: as above; the slot is not pinned.
            unsafe { place.as_mut().replier = Some(replier) };
            // SAFETY: we hold RUN.
            unsafe { server::suspend::<S>(proc, boxed) };
            Ran::Suspended(waiter)
        },
        Err(reason) => {
            panic::drop_quietly("a handler's future", boxed);
            Ran::Later(unusual::<S, R>(proc, Flow::Crash(reason), caller))
        },
    }
}

/// A read, beside other reads, in a server that [`enter_read`] has entered.
#[inline]
pub(crate) fn read<S: GenServer, M: CallFor<S, K>, K: 'static>(
    proc: &Proc,
    reading: Reading,
    message: M,
) -> Attempt<M::Reply> {
    sim::reads(proc, reading.me, std::any::type_name::<M>);
    let result = panic::catch_counted(|| {
        // SAFETY: readers share the state while the word counts them; `M: CallFor` by a read demands `S: Sync`.
        let body: *const Server<S> = unsafe { server::cell_of::<S>(proc) }.body.with(|b| b);
        // SAFETY: an idle server has its state, and nobody changes it or its context while readers are counted.
        unsafe { message.__read((*body).state.assume_init_ref(), (*body).cx.reading()) }
    });
    let answer = match result {
        Ok(Flow::Reply(reply)) => Attempt::Done(reply),
        Ok(Flow::Crash(reason)) | Err(reason) => Attempt::Later(reader_failed(proc, reason)),
        Ok(Flow::Later(later)) => {
            let (waiter, replier) = slot::pair();
            later.meet(replier);
            Attempt::Later(waiter)
        },
    };
    leave_read(proc, reading);
    answer
}

/// A reader cannot end the server itself: it sends the request to the server, whose activation does it.
#[cold]
fn reader_failed<R: Send + 'static>(proc: &Proc, reason: ExitReason) -> Waiter<R> {
    let (waiter, replier) = slot::pair();
    let failed =
        crate::gen_server::server::ReaderFailed { reason, withheld: Box::new(move || drop(replier)) };
    // The server may be ending already: then the envelope, and with it the slot, is dropped, and the caller finds the reason.
    if let Err(rejected) = proc.push(crate::sys::request::internal(failed)) {
        drop(crate::node::closed(rejected));
    }
    waiter
}

/// Takes a timed call into the average; `true` when calls in place are to stop. Under RUN.
#[cold]
fn sample(proc: &Proc, took: Duration) -> bool {
    let average = average(proc, took);
    if average <= TOO_SLOW || proc.node.0.settings.call_path == CallPath::Direct {
        return false;
    }
    proc.set_flag(SLOW, true);
    proc.node.telemetry().execute_with(events::GEN_SERVER_SLOW, || {
        (
            [("average", average.into()), ("threshold", TOO_SLOW.into())],
            [("pid", proc.pid().into()), ("type", short((proc.table.type_name)()).into())],
        )
    });
    true
}

/// Takes a timed call of a slow server into the average; below the limit, calls in place come back. Under RUN.
#[cold]
pub(crate) fn probe(proc: &Proc, took: Duration) {
    if average(proc, took) < QUICK_AGAIN {
        proc.set_flag(SLOW, false);
    }
}

/// Exponential moving average with weight 1/4, kept in nanoseconds.
fn average(proc: &Proc, took: Duration) -> Duration {
    let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
    let old = proc.sample.load(Ordering::Relaxed);
    let new = if old == 0 { took } else { old - old / 4 + took / 4 };
    proc.sample.store(new, Ordering::Relaxed);
    Duration::from_nanos(u64::from(new))
}

/// Has the process a bounded mailbox whose policy makes callers wait?
pub(crate) fn waits_for_room(proc: &Proc) -> bool {
    proc.has(BOUNDED)
        && proc
            .mailbox
            .lock()
            .bound
            .as_ref()
            .is_some_and(|b| b.limits.overflow() == crate::mailbox::bound::Overflow::Wait)
}
