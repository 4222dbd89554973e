//! What one activation of a server does.
//!
//! A kill ends it; signals are applied; a suspended future goes on if it was woken; what handlers asked for is done (stop, continue, timeout);
//! then messages, until the mailbox is empty or the slice is used up. A server whose handler is suspended takes no message (BUSY), but
//! signals reach it at once.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::task::{Context, Poll};

use crate::call::error::short;
use crate::gen_server::cx::{Alarmed, More};
use crate::gen_server::direct;
use crate::gen_server::frame::{BoxFrame, Frame};
use crate::gen_server::info;
use crate::gen_server::message;
use crate::gen_server::server::*;
use crate::gen_server::traits::GenServer;
use crate::mailbox::KEEP;
use crate::mailbox::envelope::{Envelope, Kind};
use crate::process::body::borrowed_waker;
use crate::process::cell::{self, DEBUGGED, Proc, ProcRef, Runner, SIMULATED, SLOW, SUSPENDED};
use crate::process::exit::finish;
use crate::process::exit_reason::ExitReason;
use crate::process::run::{BUDGET, CLOCK_EVERY, RunCx};
use crate::process::signal::{self, ParentExit};
use crate::process::word::{BUSY, EXITING, QUEUED, SIGNAL, WOKEN};
use crate::process::{panic, report};
use crate::rt::{sched, sim};
use crate::sync::Ordering;
use crate::sys;
use crate::sys::request::StopRequest;
use crate::telemetry::events;
use crate::timer::Action;

/// Starts a handler inside an activation: polls it once, and keeps it if it waits.
#[inline(always)]
pub(crate) fn run_frame<S: GenServer, F: Frame>(proc: &Proc, frame: F, sync: bool, cx: &mut Context<'_>) {
    // SAFETY: called from handlers in a server's tables, which run under RUN.
    let marks = unsafe { message::marks::<S>(proc) };
    if sync {
        let mut frame = std::pin::pin!(frame);
        let polled = match sim::fails(proc) {
            false => panic::catch_counted(|| frame.as_mut().poll(cx, marks)),
            true => Err(sim::failure()),
        };
        match polled {
            Ok(Poll::Ready(())) => {},
            Ok(Poll::Pending) => {
                frame.as_mut().give_up(marks);
                // SAFETY: under RUN, and the handler is not being polled.
                unsafe { (*marks).more() }.stop = Some(waited());
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
    let polled = match sim::fails(proc) {
        false => panic::catch_counted(|| frame.poll(cx, marks)),
        true => Err(sim::failure()),
    };
    match polled {
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

pub(super) enum Step {
    /// Look again from the top.
    Again,
    /// End the activation; the handler waits.
    Wait,
    /// The process ends.
    Finish(ExitReason),
}

/// One activation of a server.
///
/// # Safety
/// The caller holds RUN of a process whose body is a server `S`; the function gives RUN up.
pub(super) unsafe fn activate<S: GenServer>(proc: &Proc, old: u64, run: &RunCx<'_>) -> Option<ProcRef> {
    // SAFETY: the caller holds RUN. The waker is never dropped, and not used after this function.
    let waker = ManuallyDrop::new(unsafe { borrowed_waker(proc) });
    let mut cx = Context::from_waker(&waker);
    let mut woken = old & (WOKEN | INIT_ONLY) != 0;
    let mut handled = 0u32;
    // On a simulated node the scheduler is asked after every message.
    let budget = if proc.has(SIMULATED) { 1 } else { BUDGET };
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
            || (handled >= budget && sim::gives_way(proc))
            || (handled % CLOCK_EVERY == CLOCK_EVERY - 1
                && budget == BUDGET
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
    // SAFETY: (the whole function) under RUN, field by field; the frame in `pending` borrows `state` and `cx`, which are not touched while
    // it is polled.
    unsafe {
        let marks = &raw mut (*body).cx.marks;
        let pending = &raw mut (*body).pending;
        let Some(frame) = &mut *pending else { return Step::Again };
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

/// Does what handlers asked for.
///
/// # Safety
/// As for [`go_on`], with no frame pending.
#[cold]
unsafe fn apply_marks<S: GenServer>(proc: &Proc, body: *mut Server<S>, cx: &mut Context<'_>) -> Step {
    // SAFETY: (the whole function) under RUN, and no handler is being polled.
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

/// Sets the idle timeout, in place of one that is set.
///
/// # Safety
/// The caller holds RUN of a process of server `S`, and `body` is its body.
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

/// Starts `terminate`, and polls it once.
///
/// # Safety
/// The caller holds RUN of a process of server `S`, and `body` is its body; no frame is pending.
unsafe fn begin_terminate<S: GenServer>(
    proc: &Proc,
    body: *mut Server<S>,
    reason: ExitReason,
    cx: &mut Context<'_>,
) -> Step {
    // SAFETY: (the whole function) the caller holds RUN, and no frame is pending.
    unsafe {
        (*body).phase = Phase::Terminating;
        (*body).reason = Some(reason);
        proc.word.update(0, BUSY);
        let kept = &raw const (*body).reason;
        let Some(reason) = &*kept else { unreachable!("set just above") };
        if !(*body).has_state {
            return Step::Finish(reason.clone());
        }
        proc.node.telemetry().execute_with(events::GEN_SERVER_TERMINATE, || {
            (
                [("count", 1u64.into())],
                [
                    ("pid", proc.pid().into()),
                    ("type", short((proc.table.type_name)()).into()),
                    ("reason", reason.clone().into()),
                ],
            )
        });
        let (state, own) = message::parts::<S>(proc);
        // `terminate` may be a plain function that returns a future: what it does before that is user code too.
        match panic::catch_counted(|| state.terminate(reason, own)) {
            Ok(future) => (*body).pending = Some(BoxFrame::new(EndFrame(future))),
            Err(reason) => return Step::Finish(reason),
        }
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
    sim::handles(proc, envelope.table());
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
        // Its functions may all be done now.
        update_held::<S>(proc, body);
    }
    let handle = match envelope.table().handle {
        Some(handle) => Some(handle),
        // `accepts` is user code.
        None => match panic::catch_counted(|| info::find::<S>(envelope.type_id())) {
            Ok(handle) => handle,
            Err(reason) => {
                // SAFETY: under RUN, and no handler is being polled.
                unsafe { (*body).cx.marks.more() }.stop = Some(reason);
                proc.message_handled();
                return drop_message(envelope);
            },
        },
    };
    let Some(handle) = handle else {
        report::unhandled(proc, envelope.type_name());
        proc.message_handled();
        return drop_message(envelope);
    };
    let timed = proc.has(SLOW) && handled.is_multiple_of(16);
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
                proc.message_made();
                if proc.has(SUSPENDED) {
                    // SAFETY: as above.
                    return unsafe { (*runner(proc)).inner.push_back(make()) };
                }
                dispatch::<S>(proc, body, make(), cx, run);
            }
            return;
        },
        Err(envelope) => envelope,
    };
    let envelope = match envelope.downcast::<Alarmed>() {
        Ok(Alarmed { number, make }) => {
            proc.message_made();
            if proc.has(SUSPENDED) {
                // SAFETY: as above.
                return unsafe { (*runner(proc)).inner.push_back(make(number)) };
            }
            return dispatch::<S>(proc, body, make(number), cx, run);
        },
        Err(envelope) => envelope,
    };
    sys::request::serve(proc, envelope, cx);
    update_held::<S>(proc, body);
}
