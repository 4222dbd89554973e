//! The process of a GenServer: its body, from `init` to the end.
//!
//! ```text
//!  init ──ok──► running ──stop, error, panic, parent's exit──► terminating ──► ended
//!    └─ignore, error, panic──────────────────────────────────────────────────►
//! ```
//! What it does with its turns is in `run_loop`.

use std::any::{Any, TypeId};
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::call::error::short;
use crate::call::slot::Replier;
use crate::gen_server::cx::{Cx, Marks};
use crate::gen_server::frame::{BoxFrame, Frame};
use crate::gen_server::run_loop::{self, Step};
use crate::gen_server::shape::{InitError, keep_unanswered};
use crate::gen_server::start::StartError;
use crate::gen_server::traits::GenServer;
use crate::mailbox::envelope::Envelope;
use crate::process::cell::{
    self, CHILD, Cell, DEBUGGED, NO_DIRECT, Proc, ProcTable, Runner, SLOW, SUSPENDED, TRAP,
};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::MonitorRef;
use crate::process::relations;
use crate::process::word::{BUSY, HELD};
use crate::telemetry::events;
use crate::timer::TimerRef;

/// Passed instead of a state word by a starter that runs `init` on its own stack: the activation ends when `init` has.
pub(crate) const INIT_ONLY: u64 = 1;

#[derive(Clone, Copy)]
pub(super) enum Phase {
    Init,
    Running,
    Terminating,
}

/// What only few servers have.
#[derive(Default)]
pub(super) struct Rare {
    /// The idle timeout that is set, and what makes its message.
    pub(super) idle: Option<(TimerRef, fn() -> Envelope)>,
    /// Distinguishes idle timeouts, so that a late one is known for what it is.
    pub(super) idle_seq: u64,
    pub(super) after: Vec<Box<dyn FnOnce() + Send>>,
    /// Why `init` made no state.
    pub(super) failure: Option<StartError>,
    /// The monitor that the starter asked for together with the start.
    start_monitor: Option<MonitorRef>,
}

pub(crate) struct Server<S: GenServer> {
    pub(crate) state: MaybeUninit<S>,
    pub(super) has_state: bool,
    pub(super) phase: Phase,
    pub(crate) cx: Cx<S>,
    /// The suspended future: `init`, a handler, or `terminate`.
    pub(super) pending: Option<BoxFrame>,
    /// Who waits for `init`.
    pub(super) starter: Option<Replier<Result<(), StartError>>>,
    /// Why it terminates; `terminate` borrows it.
    pub(super) reason: Option<ExitReason>,
    pub(super) rare: Option<Box<Rare>>,
}

/// A read panicked or failed, on some caller's stack: the server ends.
pub(crate) struct ReaderFailed {
    pub(crate) reason: ExitReason,
    /// Drops the caller's slot, at the very end.
    pub(crate) withheld: Box<dyn FnOnce() + Send>,
}

/// The message of an idle timeout.
pub(super) struct Idle(pub(super) u64);

struct TableOf<S>(std::marker::PhantomData<S>);

impl<S: GenServer> TableOf<S> {
    const TABLE: ProcTable = ProcTable {
        type_id: TypeId::of::<S>,
        type_name: S::__type_name,
        raw: false,
        activate: run_loop::activate::<S>,
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

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// The body of a server's process, by a pointer that borrows nothing.
///
/// # Safety
/// The process is one of server `S`.
pub(super) unsafe fn body<S: GenServer>(proc: &Proc) -> *mut Server<S> {
    // SAFETY: by the caller's promise.
    unsafe { proc.cell::<Server<S>>() }.body.with_mut(|b| b)
}

pub(super) fn runner(proc: &Proc) -> *mut Runner {
    proc.runner.with_mut(|r| r)
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

pub(super) fn drop_frame(frame: BoxFrame) {
    panic::drop_quietly("a handler's future", frame);
}

/// `init`, until it is done.
pub(super) struct InitFrame<S, F> {
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
pub(crate) unsafe fn boot<S: GenServer>(proc: &Proc, args: S::Args, monitor: Option<MonitorRef>) {
    // SAFETY: by the caller's promise; the frame borrows the context, which is not touched until it is done.
    unsafe {
        let body = body::<S>(proc);
        if monitor.is_some() {
            (*body).rare().start_monitor = monitor;
        }
        (*body).cx.attach(proc);
        let own = &raw mut (*body).cx;
        let own = &mut *own;
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
pub(super) struct EndFrame<F>(pub(super) F);

impl<F: Future<Output = ()> + Send> Frame for EndFrame<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, _: *mut Marks) -> Poll<()> {
        // SAFETY: structural pinning of the only field.
        unsafe { self.map_unchecked_mut(|s| &mut s.0) }.poll(cx)
    }

    fn give_up(self: Pin<&mut Self>, _: *mut Marks) {}
}

/// `init` has failed: keeps the reason for the starter, and ends the process.
///
/// # Safety
/// The caller holds RUN of the process of server `S` that `body` belongs to.
pub(super) unsafe fn init_failed<S: GenServer>(body: *mut Server<S>, reason: ExitReason) -> Step {
    // SAFETY: the caller holds RUN.
    unsafe { (*body).rare().failure = Some(StartError::Failed(reason.clone())) };
    Step::Finish(reason)
}

/// `init` has returned: tells the starter, or ends the process.
///
/// # Safety
/// The caller holds RUN of a process of server `S`, and `body` is its body.
pub(super) unsafe fn init_done<S: GenServer>(proc: &Proc, body: *mut Server<S>) -> Step {
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
                [
                    ("pid", proc.pid().into()),
                    ("type", short((proc.table.type_name)()).into()),
                    ("result", result.into()),
                ],
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
            crate::rt::sim::arrive_all(proc, None);
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

/// Takes off the idle timeout, if one is set.
///
/// # Safety
/// The caller holds RUN of a process of server `S`, and `body` is its body.
pub(super) unsafe fn cancel_idle_timeout<S: GenServer>(proc: &Proc, body: *mut Server<S>) {
    // SAFETY: the caller holds RUN.
    if let Some((timer, _)) = unsafe { (*body).rare.as_mut() }.and_then(|r| r.idle.take()) {
        proc.node.rt().timers.cancel(timer);
    }
}

pub(super) unsafe fn discard<S: GenServer>(proc: &Proc) {
    // SAFETY: called once, under RUN, with no reader inside. The frame goes first: it borrows the state.
    unsafe {
        let body = body::<S>(proc);
        // A start that fails is told by its result alone: nobody was given the reference that a DOWN would come with, and the EXIT of a
        // process that never was would tell a starter that traps the same thing twice. One that does not trap dies by it.
        if (*body).starter.is_some()
            && let Some(starter) = proc.parent().and_then(|parent| proc.node.lookup(parent))
        {
            if let Some(monitor) = (*body).rare.as_mut().and_then(|r| r.start_monitor.take()) {
                relations::demonitor(&starter, monitor);
            }
            if proc.has(CHILD) && starter.has(TRAP) {
                relations::unlink(&starter, proc.pid());
            }
        }
        cancel_idle_timeout::<S>(proc, body);
        // An answer is withheld until the very end, also when the handler never got to the marks.
        let mut after = Vec::new();
        let unanswered = keep_unanswered(|| {
            if let Some(mut frame) = (*body).pending.take() {
                frame.give_up(&raw mut (*body).cx.marks);
                drop_frame(frame);
            }
            after = (*body).cx.marks.more.take().map(|m| m.after).unwrap_or_default();
            if std::mem::take(&mut (*body).has_state)
                && let Err(reason) = panic::catch(|| (*body).state.assume_init_drop())
            {
                tracing::error!(pid = %proc.pid(), %reason, "a server's state panicked when it was dropped");
            }
        });
        after.extend(unanswered);
        if !after.is_empty() {
            (*body).rare().after.extend(after);
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
        crate::rt::sim::arrive_all(proc, None);
        drop(starter.send(Err(failure.unwrap_or_else(|| StartError::Failed(reason.clone())))));
    }
}

unsafe fn status<S: GenServer>(proc: &Proc) -> String {
    // SAFETY: called under RUN. A suspended handler may hold the state mutably: then it is not looked at.
    unsafe {
        let body = body::<S>(proc);
        if (*body).pending.is_some() || !(*body).has_state {
            return format!("{} (busy)", S::__type_name());
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
