//! The body of a process that is a future: a free-form process, or a task. Polled where it lies, in the process's block.
//!
//! What becomes of the future's value is up to an [`Outcome`], which lies in the block beside it. It is told as the very last step of the end, when
//! everything that the process owned is gone: so whoever waits for the value can rely on that as well. The value is the outcome only of a
//! process that ended with `Normal`: a kill or an exit signal that came first takes it back.

use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::RegisterError;
use crate::node::Node;
use crate::process::cell::{self, Cell, Proc, ProcRef, ProcTable};
use crate::process::exit::finish;
use crate::process::exit_reason::ExitReason;
use crate::process::run::RunCx;
use crate::process::spawn::{self, Options, Spawned};
use crate::process::word::{EXITING, SIGNAL};
use crate::process::{panic, signal};

/// What is done with the value of a body when its process has ended.
pub(crate) trait Outcome<T>: Send + 'static {
    /// Tells kinds of processes apart.
    type Kind: 'static;
    /// What such a process is called in reports.
    const NAME: &'static str;
    /// The process has ended: `value` is there if it ended because its body returned.
    fn ended(self, value: Option<T>, proc: &Proc, reason: &ExitReason);
}

/// A free-form process: nobody asks for its value, which is none.
impl Outcome<()> for () {
    type Kind = Raw;
    const NAME: &'static str = "process";
    fn ended(self, _: Option<()>, _: &Proc, _: &ExitReason) {}
}

pub(crate) struct Raw;

/// The future, in place, its value once it is there, and what is to be done with it.
struct Body<F: Future, O> {
    future: Option<F>,
    value: Option<F::Output>,
    outcome: Option<O>,
}

struct BodyTable<F, O>(PhantomData<(F, O)>);

impl<F, O> BodyTable<F, O>
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output>,
{
    const TABLE: ProcTable = ProcTable {
        type_id: TypeId::of::<O::Kind>,
        type_name: || O::NAME,
        raw: true,
        activate: activate::<F, O>,
        discard: discard::<F, O>,
        ended: ended::<F, O>,
        status: |_| String::new(),
        state: |_| None,
        free: cell::free::<Body<F, O>>,
    };
}

/// Spawns a process whose body is the future that `make` makes.
pub(crate) fn spawn<F, O>(
    node: &Node,
    options: Options,
    outcome: O,
    make: impl FnOnce(&ProcRef) -> F,
) -> Result<Spawned, RegisterError>
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output>,
{
    let body = Body::<F, O> { future: None, value: None, outcome: Some(outcome) };
    let spawned = spawn::create(node, &BodyTable::<F, O>::TABLE, body, options)?;
    // SAFETY: `create` built it with this body and put it into no run queue.
    unsafe { install::<F, O>(&spawned.proc, make(&spawned.proc)) };
    if node.0.is_down() {
        // Nothing runs there any more.
        spawn::abandon(&spawned.proc);
        // SAFETY: nobody else ever had RUN, and nobody gets it any more.
        unsafe { ended::<F, O>(&spawned.proc, &ExitReason::NoProc) };
    } else {
        node.rt().schedule(&spawned.proc);
    }
    Ok(spawned)
}

/// Puts the future into a process that has not run yet.
///
/// # Safety
/// `proc` was built with a [`Body<F, O>`] and is in no run queue yet; nobody else has RUN.
unsafe fn install<F: Future, O>(proc: &Proc, future: F) {
    // SAFETY: by the caller's promise.
    let cell: &Cell<Body<F, O>> = unsafe { proc.cell() };
    // SAFETY: by the caller's promise nobody looks at the body.
    cell.body.with_mut(|b| unsafe { (*b).future = Some(future) });
}

unsafe fn activate<F: Future + Send + 'static, O>(
    proc: &Proc,
    _old: u64,
    _run: &RunCx<'_>,
) -> Option<ProcRef> {
    // SAFETY: this table belongs to processes built with this body, and the caller holds RUN.
    let cell: &Cell<Body<F, O>> = unsafe { proc.cell() };
    let exiting = || proc.word.load() & EXITING != 0;
    let waiting = proc.runner.with_mut(|r| {
        // SAFETY: we hold RUN.
        let runner = unsafe { &mut *r };
        // Signals are applied even if the body is not receiving.
        if let Some(reason) = signal::take(proc, &mut runner.inner) {
            let _ = proc.mailbox.decide(reason, false, &proc.word);
        }
        runner.receiver.take()
    });
    if exiting() {
        return finish(proc, ExitReason::Killed);
    }
    // SAFETY: this waker borrows the reference that the process table holds while we run; it is never dropped.
    let waker = ManuallyDrop::new(unsafe { borrowed_waker(proc) });
    if let Some(receiver) = waiting
        && !receiver.will_wake(&waker)
    {
        receiver.wake();
    }
    let result = panic::catch_counted(|| {
        cell.body.with_mut(|b| {
            // SAFETY: we hold RUN; the future never moves: it lies in the process's block until `discard` drops it in place.
            let future =
                unsafe { Pin::new_unchecked((*b).future.as_mut().expect("installed before the first run")) };
            future.poll(&mut Context::from_waker(&waker))
        })
    });
    match result {
        Ok(Poll::Pending) if !exiting() => {
            let duty = proc.word.end(0, 0);
            proc.perform(duty);
            None
        },
        Ok(Poll::Pending) => finish(proc, ExitReason::Killed),
        Ok(Poll::Ready(value)) => {
            // SAFETY: as above.
            cell.body.with_mut(|b| unsafe { (*b).value = Some(value) });
            if proc.word.load() & SIGNAL != 0 {
                // The body may have sent itself an exit signal, which was first.
                // SAFETY: we hold RUN.
                let sent = proc.runner.with_mut(|r| signal::take(proc, unsafe { &mut (*r).inner }));
                if let Some(reason) = sent {
                    // SAFETY: as above.
                    let value = cell.body.with_mut(|b| unsafe { (*b).value.take() });
                    panic::drop_quietly("the value of a process that was told to exit", value);
                    return finish(proc, reason);
                }
            }
            finish(proc, ExitReason::Normal)
        },
        Err(reason) => finish(proc, reason),
    }
}

/// A waker without a count of its own.
///
/// # Safety
/// It must not be dropped, and must not be used after the activation.
pub(crate) unsafe fn borrowed_waker(proc: &Proc) -> std::task::Waker {
    // SAFETY: the caller never drops it, so the count that `from_raw` pretends to take over is never given back.
    unsafe { ProcRef::from_raw(proc.ptr()) }.waker()
}

unsafe fn discard<F: Future, O>(proc: &Proc) {
    // SAFETY: as in `activate`.
    let cell: &Cell<Body<F, O>> = unsafe { proc.cell() };
    cell.body.with_mut(|b| {
        // Dropped in place: the future is pinned.
        // SAFETY: the caller holds RUN.
        if let Err(reason) = panic::catch(|| unsafe { (*b).future = None }) {
            tracing::error!(pid = %proc.pid(), %reason, "a process's future panicked when it was dropped");
        }
    });
}

unsafe fn ended<F: Future, O: Outcome<F::Output>>(proc: &Proc, reason: &ExitReason) {
    // SAFETY: as in `activate`.
    let cell: &Cell<Body<F, O>> = unsafe { proc.cell() };
    // SAFETY: the caller holds RUN.
    let (value, outcome) = cell.body.with_mut(|b| unsafe { ((*b).value.take(), (*b).outcome.take()) });
    let value = match value {
        Some(value) if !reason.is_normal() => {
            panic::drop_quietly("the value of a process that was killed", value);
            None
        },
        other => other,
    };
    if let Some(outcome) = outcome {
        outcome.ended(value, proc, reason);
    }
}
