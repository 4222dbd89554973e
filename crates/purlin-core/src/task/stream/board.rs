//! Where the tasks of a stream report, and the stream looks: one list and one waker, however many tasks there are.
//!
//! A task reports as the last step of its end. What the link of a task does for others is done here: a failure ends a consumer that does not
//! trap exits, unless the stream has let the task go. It is an exit signal from the task, sent before the report: a consumer that sees the
//! report has the signal in its mailbox.

use std::sync::Arc;
use std::task::{Context, Waker};

use crate::process::body::Outcome;
use crate::process::cell::{Proc, ProcRef, TRAP};
use crate::process::exit_reason::ExitReason;
use crate::process::panic::drop_quietly;
use crate::process::signal::{self, Signal};
use crate::rt::sim;
use crate::sync::Mutex;
use crate::task::begin::{NAME, TaskProcess};
use crate::task::launch::Wanted;

/// A child of the stream, and what became of it.
pub(super) type Reported<T> = (usize, Result<T, ExitReason>);

pub(super) struct Board<T> {
    state: Mutex<State<T>>,
    /// The consumer, if the tasks' failures are its own.
    bound: Option<ProcRef>,
}

struct State<T> {
    done: Vec<Reported<T>>,
    waker: Option<Waker>,
    /// Children whose failures harm nobody any more.
    let_go: Vec<usize>,
    /// All of them.
    quiet: bool,
    /// The stream is gone.
    closed: bool,
    /// A failure was sent to the consumer as an exit signal.
    fatal: bool,
}

impl<T> Board<T> {
    pub(super) fn new(bound: Option<ProcRef>) -> Arc<Board<T>> {
        let state = State {
            done: Vec::new(),
            waker: None,
            let_go: Vec::new(),
            quiet: false,
            closed: false,
            fatal: false,
        };
        Arc::new(Board { state: Mutex::new(state), bound })
    }

    /// What has been reported since the last look goes to `into`, which is empty. `true` if an exit signal is about to end the consumer,
    /// which gets no more elements then. (It may have begun to trap exits since.)
    pub(super) fn take(&self, into: &mut Vec<Reported<T>>) -> bool {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.done, into);
        state.fatal && self.bound.as_ref().is_some_and(|consumer| !consumer.has(TRAP))
    }

    /// Leaves the waker for the next report; `false` if there is one already.
    pub(super) fn listen(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if !state.done.is_empty() {
            return false;
        }
        let waker = match state.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => {
                state.waker = Some(waker);
                return true;
            },
            old => old,
        };
        // Neither clone nor drop of a waker, which may be anybody's, under the lock.
        drop(state);
        drop(waker);
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if !state.done.is_empty() {
            drop(state);
            drop(waker);
            return false;
        }
        state.waker = Some(waker);
        true
    }

    /// The failure of this child harms nobody from now on.
    pub(super) fn let_go(&self, child: usize) {
        self.state.lock().let_go.push(child);
    }

    /// Its report has been read: the number may mean another child.
    pub(super) fn forget(&self, child: usize) {
        self.state.lock().let_go.retain(|other| *other != child);
    }

    /// No failure harms anybody from now on.
    pub(super) fn silence(&self) {
        self.state.lock().quiet = true;
    }

    /// Nobody looks any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        (state.quiet, state.closed) = (true, true);
        let left = (std::mem::take(&mut state.done), state.waker.take());
        drop(state);
        drop(left);
    }
}

/// What a task of a stream owes it.
pub(super) struct Report<T> {
    pub(super) board: Arc<Board<T>>,
    pub(super) child: usize,
}

impl<T: Send + 'static> Outcome<T> for Report<T> {
    type Kind = TaskProcess;
    const NAME: &'static str = NAME;

    fn ended(self, value: Option<T>, proc: &Proc, reason: &ExitReason) {
        let Report { board, child } = self;
        sim::arrive_all(proc, None);
        let consumer = board.bound.as_ref().filter(|consumer| !consumer.has(TRAP));
        if let (None, false, Some(consumer)) = (&value, reason.is_normal(), consumer) {
            let fatal = {
                let mut state = board.state.lock();
                let fatal = !state.quiet && !state.let_go.contains(&child);
                state.fatal |= fatal;
                fatal
            };
            if fatal {
                let exit = Signal::Exit { from: proc.pid(), reason: reason.clone(), link: 0 };
                signal::send(consumer, exit);
            }
        }
        let mut report = Some((child, value.ok_or_else(|| reason.clone())));
        let waker = {
            let mut state = board.state.lock();
            if !state.closed {
                state.done.extend(report.take());
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        drop_quietly("the value of a task whose stream is gone", report);
    }
}

impl<T: Send + 'static> Wanted for Report<T> {
    fn is_wanted(&self) -> bool {
        !self.board.state.lock().closed
    }
}
