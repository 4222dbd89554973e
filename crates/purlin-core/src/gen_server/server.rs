//! The process of a GenServer: its body and what one activation does.
//!
//! ```text
//!  init ──ok──► running ──stop, error, panic, parent's exit──► terminating ──► ended
//!    └─ignore, error, panic──────────────────────────────────────────────────►
//! ```
//! One activation: a kill ends it; signals are applied; a suspended handler goes on if it was woken; what handlers asked for is done (stop,
//! continue, timeout); then messages, until the mailbox is empty or the slice is used up. A server whose handler is suspended takes no
//! message (BUSY), but signals reach it at once.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::call::slot::Replier;
use crate::gen_server::cx::{Cx, Marks, More};
use crate::gen_server::direct;
use crate::gen_server::frame::{BoxFrame, Frame};
use crate::gen_server::info;
use crate::gen_server::message;
use crate::gen_server::shape::InitError;
use crate::gen_server::start::StartError;
use crate::gen_server::traits::GenServer;
use crate::mailbox::KEEP;
use crate::mailbox::envelope::{Envelope, Kind};
use crate::process::cell::{
    self, Cell, DEBUGGED, NO_DIRECT, Proc, ProcRef, ProcTable, Runner, SIMULATED, SLOW, SUSPENDED,
};
use crate::process::exit::finish;
use crate::process::exit_reason::ExitReason;
use crate::process::raw::borrowed_waker;
use crate::process::run::{BUDGET, CLOCK_EVERY, RunCx};
use crate::process::signal::{self, ParentExit};
use crate::process::word::{BUSY, EXITING, HELD, QUEUED, SIGNAL, WOKEN};
use crate::process::{panic, report};
use crate::rt::sched;
use crate::sync::Ordering;
use crate::telemetry::events;
use crate::sys;
use crate::sys::request::StopRequest;
use crate::timer::{Action, TimerRef};

/// Passed instead of a state word by a starter that runs `init` on its own stack: the activation ends when `init` has.
pub(crate) const INIT_ONLY: u64 = 1;

#[derive(Clone, Copy)]
enum Phase {
    Init,
    Running,
    Terminating,
}

/// What only few servers have.
#[derive(Default)]
struct Rare {
    /// The idle timeout that is set, and what makes its message.
    idle: Option<(TimerRef, fn() -> Envelope)>,
    /// Distinguishes idle timeouts, so that a late one is known for what it is.
    idle_seq: u64,
    after: Vec<Box<dyn FnOnce() + Send>>,
    /// Why `init` made no state.
    failure: Option<StartError>,
    hibernate_after: Option<std::time::Duration>,
}

pub(crate) struct Server<S: GenServer> {
    pub(crate) state: MaybeUninit<S>,
    has_state: bool,
    phase: Phase,
    pub(crate) cx: Cx<S>,
    /// The suspended future: `init`, a handler, or `terminate`.
    pending: Option<BoxFrame>,
    /// Who waits for `init`.
    starter: Option<Replier<Result<(), StartError>>>,
    /// Why it terminates; `terminate` borrows it.
    reason: Option<ExitReason>,
    rare: Option<Box<Rare>>,
}

/// A read panicked or failed, on some caller's stack: the server ends.
pub(crate) struct ReaderFailed {
    pub(crate) reason: ExitReason,
    /// Drops the caller's slot, at the very end.
    pub(crate) withheld: Box<dyn FnOnce() + Send>,
}

/// The message of an idle timeout.
struct Idle(u64);

struct TableOf<S>(std::marker::PhantomData<S>);

impl<S: GenServer> TableOf<S> {
    const TABLE: ProcTable = ProcTable {
        type_id: TypeId::of::<S>,
        type_name: std::any::type_name::<S>,
        raw: false,
        activate: activate::<S>,
        discard: discard::<S>,
        ended: ended::<S>,
        status: status::<S>,
        state: state::<S>,
        free: cell::free::<Server<S>>,
    };
}

pub(crate) fn table<S: GenServer>() -> &'static ProcTable {
    &TableOf::<S>::TABLE
}

impl<S: GenServer> Server<S> {
    pub(crate) fn new(starter: Replier<Result<(), StartError>>) -> Server<S> {
        Server {
            state: MaybeUninit::uninit(),
            has_state: false,
            phase: Phase::Init,
            cx: Cx::new(),
            pending: None,
            starter: Some(starter),
            reason: None,
            rare: None,
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// The body of a server's process, by a pointer that borrows nothing.
///
/// # Safety
/// The process is one of server `S`.
unsafe fn body<S: GenServer>(proc: &Proc) -> *mut Server<S> {
    // SAFETY: by the caller's promise.
    unsafe { proc.cell::<Server<S>>() }.body.with_mut(|b| b)
}

fn runner(proc: &Proc) -> *mut Runner {
    proc.runner.with_mut(|r| r)
}

/// Starts a handler inside an activation: polls it once, and keeps it if it waits.
#[inline(always)]
pub(crate) fn run_frame<S: GenServer, F: Frame>(proc: &Proc, frame: F, sync: bool, cx: &mut Context<'_>) {
    // SAFETY: called from handlers in a server's tables, which run under RUN.
    let marks = unsafe { message::marks::<S>(proc) };
    if sync {
        let mut frame = std::pin::pin!(frame);
        match panic::catch_counted(|| frame.as_mut().poll(cx, marks)) {
            Ok(Poll::Ready(())) => {},
            Ok(Poll::Pending) => {
                frame.as_mut().give_up(marks);
                // SAFETY: under RUN, and the handler is not being polled.
                unsafe { (*marks).more() }.stop.get_or_insert(waited());
            },
            Err(reason) => {
                frame.as_mut().give_up(marks);
                // SAFETY: as above.
                unsafe { (*marks).more() }.stop = Some(reason);
            },
        }
        return;
    }
    let mut frame = BoxFrame::new(frame);
    match panic::catch_counted(|| frame.poll(cx, marks)) {
        Ok(Poll::Ready(())) => drop_frame(frame),
        Ok(Poll::Pending) => {
            // SAFETY: under RUN.
            unsafe { (*body::<S>(proc)).pending = Some(frame) };
            proc.word.update(0, BUSY);
        },
        Err(reason) => {
            frame.give_up(marks);
            drop_frame(frame);
            // SAFETY: under RUN, and the handler is not being polled.
            unsafe { (*marks).more() }.stop = Some(reason);
        },
    }
}

/// Hands a handler that was started on a caller's stack, and waits, to the server's own task.
///
/// # Safety
/// The process is one of server `S` and the caller holds RUN; it sets BUSY when it leaves.
pub(crate) unsafe fn suspend<S: GenServer>(proc: &Proc, frame: BoxFrame) {
    // SAFETY: by the caller's promise.
    unsafe { (*body::<S>(proc)).pending = Some(frame) };
}

/// What a handler that promised not to wait gets for waiting.
pub(crate) fn waited() -> ExitReason {
    ExitReason::error("a handler that is not `async` waited")
}

fn drop_frame(frame: BoxFrame) {
    panic::drop_quietly("a handler's future", frame);
}

/// `init`, until it is done.
struct InitFrame<S, F> {
    future: F,
    server: std::marker::PhantomData<fn(S)>,
    proc: NonNull<Proc>,
}

// SAFETY: the pointer is to the process that keeps this frame.
unsafe impl<S, F: Send> Send for InitFrame<S, F> {}

impl<S: GenServer, F: Future<Output = Result<S, InitError>> + Send> Frame for InitFrame<S, F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, _: *mut Marks) -> Poll<()> {
        let proc = self.proc;
        // SAFETY: structural pinning of the future.
        let future = unsafe { self.map_unchecked_mut(|s| &mut s.future) };
        future.poll(cx).map(|result| {
            // SAFETY: the process keeps this frame and is being run; `init` is done with the context. Fields are written one by one
            // because the frame itself lies in another.
            unsafe {
                let body = body::<S>(proc.as_ref());
                match result {
                    Ok(state) => {
                        (*body).state.write(state);
                        (*body).has_state = true;
                    },
                    Err(InitError::Ignore) => (*body).rare().failure = Some(StartError::Ignore),
                    Err(InitError::Stop(reason)) => (*body).rare().failure = Some(StartError::Failed(reason)),
                }
            }
        })
    }

    fn give_up(self: Pin<&mut Self>, _: *mut Marks) {}
}

/// Prepares `init` in a process that was just built: its first activation polls it.
///
/// # Safety
/// The process is one of server `S`, in no run queue yet, and nobody else has RUN.
pub(crate) unsafe fn boot<S: GenServer>(proc: &Proc, args: S::Args) {
    // SAFETY: by the caller's promise; the frame borrows the context, which is not touched until it is done.
    unsafe {
        let body = body::<S>(proc);
        (*body).cx.attach(proc);
        let own = &mut *(&raw mut (*body).cx);
        // `init` may be a plain function that returns a future: what it does before that is user code too.
        match panic::catch(|| S::init(args, own)) {
            Ok(future) => {
                (*body).pending = Some(BoxFrame::new(InitFrame::<S, _> {
                    future,
                    server: std::marker::PhantomData,
                    proc: proc.ptr(),
                }))
            },
            Err(reason) => (*body).pending = Some(BoxFrame::new(BrokenInit(Some(reason)))),
        }
    }
}

/// An `init` that panicked before it was a future.
struct BrokenInit(Option<ExitReason>);

impl Frame for BrokenInit {
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>, marks: *mut Marks) -> Poll<()> {
        // SAFETY: no future borrows the context.
        unsafe { (*marks).more() }.stop = self.0.take();
        Poll::Ready(())
    }

    fn give_up(self: Pin<&mut Self>, _: *mut Marks) {}
}

/// `terminate`, until it is done.
struct EndFrame<F>(F);

impl<F: Future<Output = ()> + Send> Frame for EndFrame<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, _: *mut Marks) -> Poll<()> {
        // SAFETY: structural pinning of the only field.
        unsafe { self.map_unchecked_mut(|s| &mut s.0) }.poll(cx)
    }

    fn give_up(self: Pin<&mut Self>, _: *mut Marks) {}
}

enum Step {
    /// Look again from the top.
    Again,
    /// End the activation; the handler waits.
    Wait,
    /// The process ends.
    Finish(ExitReason),
}

unsafe fn activate<S: GenServer>(proc: &Proc, old: u64, run: &RunCx<'_>) -> Option<ProcRef> {
    // SAFETY: the caller holds RUN. The waker is never dropped, and not used after this function.
    let waker = ManuallyDrop::new(unsafe { borrowed_waker(proc) });
    let mut cx = Context::from_waker(&waker);
    let mut woken = old & (WOKEN | INIT_ONLY) != 0;
    let mut handled = 0u32;
    // SAFETY: this table is for processes of server `S`.
    let body = unsafe { body::<S>(proc) };
    let runner = runner(proc);
    // The pointers are used for one step at a time: handlers, and what they call, reach the same places by the same route.
    loop {
        let word = proc.word.load();
        if word & EXITING != 0 {
            return finish(proc, ExitReason::Killed);
        }
        if word & SIGNAL != 0 {
            // SAFETY: under RUN.
            let inner = unsafe { &mut (*runner).inner };
            if let Some(reason) = signal::take(proc, inner) {
                return finish(proc, reason);
            }
        }
        // SAFETY: under RUN, as everywhere in this loop.
        if unsafe { (*body).pending.is_some() } {
            if !woken {
                return wait(proc, runner);
            }
            woken = false;
            // SAFETY: as above.
            match unsafe { go_on::<S>(proc, body, &mut cx) } {
                Step::Again if old & INIT_ONLY != 0 => return leave_after_init(proc, body),
                Step::Again => continue,
                Step::Wait => return wait(proc, runner),
                Step::Finish(reason) => return finish(proc, reason),
            }
        }
        // SAFETY: as above.
        if unsafe { (*body).cx.marks.any } {
            // SAFETY: as above.
            match unsafe { apply_marks::<S>(proc, body, &mut cx) } {
                // A continue that waits, and `terminate`, are polled once already.
                Step::Again => continue,
                Step::Wait => return wait(proc, runner),
                Step::Finish(reason) => return finish(proc, reason),
            }
        }
        if handled >= BUDGET
            || (handled % CLOCK_EVERY == CLOCK_EVERY - 1
                && !proc.has(SIMULATED)
                && sched::slice_over(proc.node.now()))
        {
            return give_way(proc);
        }
        // SAFETY: as above.
        let next = match unsafe { next(proc, &mut (*runner).inner) } {
            Next::Message(envelope) => envelope,
            Next::Empty => {
                // Something may have come since the look: then leaving schedules the next activation.
                let duty = proc.word.end(0, 0);
                proc.perform(duty);
                return None;
            },
            Next::Ended(reason) => return finish(proc, reason),
        };
        handled += 1;
        dispatch::<S>(proc, body, next, &mut cx, run);
    }
}

/// Leaves with work undone: the process goes to the back of the run queue.
#[cold]
fn give_way(proc: &Proc) -> Option<ProcRef> {
    let duty = proc.word.end(0, WOKEN);
    proc.perform(duty);
    None
}

/// Leaves while a future of the process waits. Messages taken already keep QUEUED up: they come before a later call.
fn wait(proc: &Proc, runner: *mut Runner) -> Option<ProcRef> {
    // SAFETY: called under RUN.
    let waiting = unsafe { !(*runner).inner.is_empty() };
    let duty = proc.word.end(0, if waiting { BUSY | QUEUED } else { BUSY });
    proc.perform(duty);
    None
}

/// `init` is done on the starter's stack: the first message, and what `init` asked for, are for the executors.
fn leave_after_init<S: GenServer>(proc: &Proc, body: *mut Server<S>) -> Option<ProcRef> {
    // SAFETY: called under RUN.
    let marks = unsafe { (*body).cx.marks.any };
    let duty = proc.word.end(0, if marks { WOKEN } else { 0 });
    proc.perform(duty);
    None
}

/// Polls what is suspended: `init`, a handler, `terminate`.
///
/// # Safety
/// Under RUN; `body` is the process's.
unsafe fn go_on<S: GenServer>(proc: &Proc, body: *mut Server<S>, cx: &mut Context<'_>) -> Step {
    // SAFETY (whole function): under RUN, field by field; the frame in `pending` borrows `state` and `cx`, which are not touched while
    // it is polled.
    unsafe {
        let marks = &raw mut (*body).cx.marks;
        let Some(frame) = &mut *(&raw mut (*body).pending) else { return Step::Again };
        let polled = panic::catch_counted(|| frame.poll(cx, marks));
        let outcome = match polled {
            Ok(Poll::Pending) => return Step::Wait,
            Ok(Poll::Ready(())) => None,
            Err(reason) => {
                frame.give_up(marks);
                Some(reason)
            },
        };
        if let Some(frame) = (*body).pending.take() {
            drop_frame(frame);
        }
        match ((*body).phase, outcome) {
            (Phase::Init, Some(reason)) => init_failed::<S>(body, reason),
            (Phase::Init, None) => init_done::<S>(proc, body),
            (Phase::Running, outcome) => {
                proc.word.update(BUSY, 0);
                if let Some(reason) = outcome {
                    (*marks).more().stop = Some(reason);
                }
                Step::Again
            },
            (Phase::Terminating, Some(reason)) => Step::Finish(reason),
            (Phase::Terminating, None) => Step::Finish((*body).reason.clone().unwrap_or(ExitReason::Normal)),
        }
    }
}

unsafe fn init_failed<S: GenServer>(body: *mut Server<S>, reason: ExitReason) -> Step {
    // SAFETY: the caller holds RUN.
    unsafe { (*body).rare().failure = Some(StartError::Failed(reason.clone())) };
    Step::Finish(reason)
}

/// `init` has returned: tells the starter, or ends the process.
unsafe fn init_done<S: GenServer>(proc: &Proc, body: *mut Server<S>) -> Step {
    // SAFETY: the caller holds RUN.
    unsafe {
        let failure = (*body).rare.as_ref().and_then(|r| r.failure.as_ref());
        proc.node.telemetry().execute_with(events::GEN_SERVER_INIT, || {
            let result = match failure {
                _ if (*body).has_state => "ok",
                Some(StartError::Ignore) => "ignore",
                _ => "stop",
            };
            (
                [("count", 1u64.into())],
                [("pid", proc.pid().into()), ("type", (proc.table.type_name)().into()), ("result", result.into())],
            )
        });
        if !(*body).has_state {
            if let Some(reason) = (*body).cx.marks.more.as_mut().and_then(|m| m.stop.take()) {
                return init_failed::<S>(body, reason);
            }
            return Step::Finish(match (*body).rare.as_ref().and_then(|r| r.failure.as_ref()) {
                Some(StartError::Failed(reason)) => reason.clone(),
                _ => ExitReason::Normal,
            });
        }
        (*body).phase = Phase::Running;
        proc.word.update(BUSY, if held_flags(proc) { HELD } else { 0 });
        if let Some(starter) = (*body).starter.take() {
            drop(starter.send(Ok(())));
        }
    }
    Step::Again
}

/// Is there a reason not to run calls in place, beside what the state word itself says?
pub(crate) fn held_flags(proc: &Proc) -> bool {
    proc.has(SUSPENDED | DEBUGGED | SLOW | NO_DIRECT)
}

/// Brings HELD in line with the flags. Under RUN.
pub(crate) fn update_held<S: GenServer>(proc: &Proc, body: *mut Server<S>) {
    // SAFETY: the caller holds RUN.
    let idle = unsafe { (*body).rare.as_ref().is_some_and(|r| r.idle.is_some()) };
    if held_flags(proc) || idle {
        proc.word.update(0, HELD);
    } else {
        proc.word.update(HELD, 0);
    }
}

/// Does what handlers asked for.
///
/// # Safety
/// As for [`go_on`], with no frame pending.
#[cold]
unsafe fn apply_marks<S: GenServer>(proc: &Proc, body: *mut Server<S>, cx: &mut Context<'_>) -> Step {
    // SAFETY (whole function): under RUN, and no handler is being polled.
    unsafe {
        let marks = &mut (*body).cx.marks;
        let Some(more) = marks.more.as_deref_mut() else {
            marks.any = false;
            return Step::Again;
        };
        let More { stop, continues, timeout, hibernate, after } = more;
        if !after.is_empty() {
            let after = std::mem::take(after);
            (*body).rare().after.extend(after);
        }
        if let Some(reason) = stop.take() {
            return begin_terminate::<S>(proc, body, reason, cx);
        }
        if let Some(envelope) = continues.pop_front() {
            let (table, mut payload) = envelope.into_parts();
            if let Some(handle) = table.handle {
                handle(&mut payload, proc, cx);
            }
            return if (*body).pending.is_some() { Step::Wait } else { Step::Again };
        }
        if let Some((idle, make)) = timeout.take() {
            set_idle_timeout::<S>(proc, body, idle, make);
        }
        if std::mem::take(hibernate) {
            proc.mailbox.shrink();
            let inner = &mut (*runner(proc)).inner;
            if inner.is_empty() {
                *inner = VecDeque::new();
            }
        }
        let marks = &mut (*body).cx.marks;
        marks.any = false;
        marks.more = None;
        update_held::<S>(proc, body);
    }
    Step::Again
}

unsafe fn set_idle_timeout<S: GenServer>(
    proc: &Proc,
    body: *mut Server<S>,
    idle: std::time::Duration,
    make: fn() -> Envelope,
) {
    // SAFETY: the caller holds RUN.
    unsafe {
        cancel_idle_timeout::<S>(proc, body);
        let rare = (*body).rare();
        rare.idle_seq += 1;
        let envelope = sys::request::internal(Idle(rare.idle_seq));
        let at = proc.node.now() + idle;
        proc.set_flag(cell::TIMERS, true);
        let timer = proc.node.rt().timers.insert(at, Action::Send { to: proc.pid(), envelope });
        rare.idle = Some((timer, make));
    }
}

unsafe fn cancel_idle_timeout<S: GenServer>(proc: &Proc, body: *mut Server<S>) {
    // SAFETY: the caller holds RUN.
    if let Some((timer, _)) = unsafe { (*body).rare.as_mut() }.and_then(|r| r.idle.take()) {
        proc.node.rt().timers.cancel(timer);
    }
}

/// Starts `terminate`, and polls it once.
unsafe fn begin_terminate<S: GenServer>(
    proc: &Proc,
    body: *mut Server<S>,
    reason: ExitReason,
    cx: &mut Context<'_>,
) -> Step {
    // SAFETY (whole function): the caller holds RUN, and no frame is pending.
    unsafe {
        (*body).phase = Phase::Terminating;
        (*body).reason = Some(reason);
        proc.word.update(0, BUSY);
        let Some(reason) = &*(&raw const (*body).reason) else { unreachable!("set just above") };
        if !(*body).has_state {
            return Step::Finish(reason.clone());
        }
        proc.node.telemetry().execute_with(events::GEN_SERVER_TERMINATE, || {
            (
                [("count", 1u64.into())],
                [
                    ("pid", proc.pid().into()),
                    ("type", (proc.table.type_name)().into()),
                    ("reason", reason.clone().into()),
                ],
            )
        });
        let (state, own) = message::parts::<S>(proc);
        (*body).pending = Some(BoxFrame::new(EndFrame(state.terminate(reason, own))));
        go_on::<S>(proc, body, cx)
    }
}

enum Next {
    Message(Envelope),
    Empty,
    Ended(ExitReason),
}

/// The next message to handle. A suspended server's is the next `sys` request; the others stay where they are.
#[inline]
fn next(proc: &Proc, inner: &mut VecDeque<Envelope>) -> Next {
    loop {
        if proc.has(SUSPENDED) {
            if let Some(at) = inner.iter().position(|e| e.kind() == Kind::System)
                && let Some(envelope) = inner.remove(at)
            {
                return Next::Message(envelope);
            }
        } else if let Some(envelope) = inner.pop_front() {
            return Next::Message(envelope);
        }
        if proc.word.load() & QUEUED == 0 {
            if inner.is_empty() && inner.capacity() > KEEP {
                *inner = VecDeque::new();
            }
            return Next::Empty;
        }
        if let Some(reason) = signal::take(proc, inner) {
            return Next::Ended(reason);
        }
    }
}

/// Handles one message.
#[inline(always)]
fn dispatch<S: GenServer>(
    proc: &Proc,
    body: *mut Server<S>,
    envelope: Envelope,
    cx: &mut Context<'_>,
    run: &RunCx<'_>,
) {
    if envelope.kind() != Kind::User {
        return system::<S>(proc, envelope, cx, run);
    }
    run.handling(proc, envelope.table());
    let handled = proc.handled.load(Ordering::Relaxed).wrapping_add(1);
    proc.handled.store(handled, Ordering::Relaxed);
    // SAFETY: under RUN.
    if unsafe { (*body).rare.as_ref().is_some_and(|r| r.idle.is_some()) } {
        // SAFETY: as above.
        unsafe { cancel_idle_timeout::<S>(proc, body) };
        update_held::<S>(proc, body);
    }
    if proc.has(DEBUGGED) {
        sys::debug::message_in(proc, envelope.type_name());
    }
    let handle = envelope.table().handle.or_else(|| info::find::<S>(envelope.type_id()));
    let Some(handle) = handle else {
        report::unhandled(proc, envelope.type_name());
        proc.message_handled();
        return drop_message(envelope);
    };
    let timed = proc.has(SLOW) && handled % 16 == 0;
    let begin = if timed { Some(proc.node.now()) } else { None };
    let (_, mut payload) = envelope.into_parts();
    // SAFETY: the handler belongs to this payload and this kind of server; we hold RUN; the payload is not used again.
    unsafe { handle(&mut payload, proc, cx) };
    if let Some(begin) = begin {
        direct::probe(proc, proc.node.now() - begin);
        update_held::<S>(proc, body);
    }
    proc.message_handled();
}

fn drop_message(envelope: Envelope) {
    panic::drop_quietly("a message", envelope);
}

/// Handles what is not the program's own message.
#[cold]
fn system<S: GenServer>(proc: &Proc, envelope: Envelope, cx: &mut Context<'_>, run: &RunCx<'_>) {
    // SAFETY: under RUN.
    let body = unsafe { body::<S>(proc) };
    let envelope = match envelope.downcast::<ParentExit>() {
        // SAFETY: under RUN, no handler is being polled.
        Ok(ParentExit(reason)) => return unsafe { (*body).cx.marks.more() }.stop = Some(reason),
        Err(envelope) => envelope,
    };
    let envelope = match envelope.downcast::<StopRequest>() {
        // SAFETY: as above.
        Ok(StopRequest(reason)) => return unsafe { (*body).cx.marks.more() }.stop = Some(reason),
        Err(envelope) => envelope,
    };
    let envelope = match envelope.downcast::<ReaderFailed>() {
        Ok(ReaderFailed { reason, withheld }) => {
            // SAFETY: as above.
            let more = unsafe { (*body).cx.marks.more() };
            more.stop.get_or_insert(reason);
            more.after.push(withheld);
            return;
        },
        Err(envelope) => envelope,
    };
    let envelope = match envelope.downcast::<Idle>() {
        Ok(Idle(seq)) => {
            // SAFETY: as above.
            let due = unsafe { (*body).rare.as_mut() }
                .and_then(|r| if r.idle_seq == seq { r.idle.take() } else { None });
            if let Some((_, make)) = due {
                update_held::<S>(proc, body);
                dispatch::<S>(proc, body, make(), cx, run);
            }
            return;
        },
        Err(envelope) => envelope,
    };
    sys::request::serve(proc, envelope, cx);
    update_held::<S>(proc, body);
}

unsafe fn discard<S: GenServer>(proc: &Proc) {
    // SAFETY: called once, under RUN, with no reader inside. The frame goes first: it borrows the state.
    unsafe {
        let body = body::<S>(proc);
        cancel_idle_timeout::<S>(proc, body);
        if let Some(frame) = (*body).pending.take() {
            drop_frame(frame);
        }
        // An answer is withheld until the very end, also when the handler never got to the marks.
        let after = (*body).cx.marks.more.take().map(|m| m.after).unwrap_or_default();
        if !after.is_empty() {
            (*body).rare().after.extend(after);
        }
        if std::mem::take(&mut (*body).has_state)
            && let Err(reason) = panic::catch(|| (*body).state.assume_init_drop())
        {
            tracing::error!(pid = %proc.pid(), %reason, "a server's state panicked when it was dropped");
        }
    }
}

unsafe fn ended<S: GenServer>(proc: &Proc, reason: &ExitReason) {
    // SAFETY: called under RUN.
    let (starter, rare) = unsafe {
        let body = body::<S>(proc);
        ((*body).starter.take(), (*body).rare.take())
    };
    let (after, failure) = rare.map(|r| (r.after, r.failure)).unwrap_or_default();
    for answer in after {
        if let Err(reason) = panic::catch(answer) {
            tracing::error!(%reason, "a reply panicked when it was dropped");
        }
    }
    if let Some(starter) = starter {
        drop(starter.send(Err(failure.unwrap_or_else(|| StartError::Failed(reason.clone())))));
    }
}

unsafe fn status<S: GenServer>(proc: &Proc) -> String {
    // SAFETY: called under RUN. A suspended handler may hold the state mutably: then it is not looked at.
    unsafe {
        let body = body::<S>(proc);
        if (*body).pending.is_some() || !(*body).has_state {
            return format!("{} (busy)", std::any::type_name::<S>());
        }
        (*body).state.assume_init_ref().format_status()
    }
}

unsafe fn state<S: GenServer>(proc: &Proc) -> Option<NonNull<dyn Any + Send>> {
    // SAFETY: called under RUN.
    unsafe {
        let body = body::<S>(proc);
        if (*body).pending.is_some() || !(*body).has_state {
            return None;
        }
        let state: *mut S = (*body).state.as_mut_ptr();
        NonNull::new(state as *mut (dyn Any + Send))
    }
}

/// The cell of a process known to be a server `S`.
///
/// # Safety
/// It is one.
pub(crate) unsafe fn cell_of<S: GenServer>(proc: &Proc) -> &Cell<Server<S>> {
    // SAFETY: by the caller's promise.
    unsafe { proc.cell() }
}
