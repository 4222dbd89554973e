//! A stream of tasks that has begun: its tasks, what they have reported, and their deadlines.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::board::{Board, Reported};
use super::window::Window;
use crate::node::Node;
use crate::process::cell::ProcRef;
use crate::process::exit;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::timer::{Alarm, LONGEST};

/// An element as it is kept: the value, or why there is none, with the input if that was wanted.
pub(super) type Element<T, I> = Result<T, (Option<I>, ExitReason)>;

/// A task, or one that its supervisor is just starting.
struct Child<I> {
    number: u64,
    input: Option<I>,
    proc: Option<ProcRef>,
    deadline: Option<Duration>,
    /// Its time was over, and it was killed.
    late: bool,
}

pub(super) struct Run<T, I> {
    pub(super) node: Node,
    /// Who consumes the stream; anybody, if that was no process at first.
    pub(super) owner: Option<Pid>,
    pub(super) board: Arc<Board<T>>,
    pub(super) window: Window<Element<T, I>>,
    children: Vec<Option<Child<I>>>,
    free: Vec<usize>,
    /// What was taken off the board, kept for its memory.
    reports: Vec<Reported<T>>,
    /// Set for the earliest deadline at the time it was set: tasks that began later have later ones.
    alarm: Option<(Alarm, Duration)>,
}

impl<T, I> Run<T, I> {
    pub(super) fn new(
        node: Node,
        owner: Option<Pid>,
        bound: Option<ProcRef>,
        window: Window<Element<T, I>>,
    ) -> Run<T, I> {
        Run {
            node,
            owner,
            board: Board::new(bound),
            window,
            children: Vec::new(),
            free: Vec::new(),
            reports: Vec::new(),
            alarm: None,
        }
    }

    /// A task is about to begin; the number that it reports by.
    pub(super) fn begin(&mut self, input: Option<I>) -> usize {
        let child = Child { number: self.window.begin(), input, proc: None, deadline: None, late: false };
        match self.free.pop() {
            Some(at) => {
                self.children[at] = Some(child);
                at
            },
            None => {
                self.children.push(Some(child));
                self.children.len() - 1
            },
        }
    }

    /// It has begun; it may have reported already. Its time runs from now.
    pub(super) fn started(&mut self, at: usize, proc: ProcRef, timeout: Option<Duration>) {
        let deadline = timeout.map(|limit| self.node.now() + limit.min(LONGEST));
        if let Some(child) = &mut self.children[at] {
            (child.proc, child.deadline) = (Some(proc), deadline);
        }
    }

    /// It was refused; its input, if that was wanted.
    pub(super) fn refused(&mut self, at: usize) -> Option<I> {
        self.children[at].take().and_then(|child| child.input)
    }

    /// Moves what the tasks have reported into the window. `true` if one of them is about to end the consumer.
    pub(super) fn collect(&mut self) -> bool {
        let mut reports = std::mem::take(&mut self.reports);
        let fatal = self.board.take(&mut reports);
        for (at, result) in reports.drain(..) {
            let Some(child) = self.children[at].take() else { continue };
            self.free.push(at);
            let element = if child.late {
                self.board.forget(at);
                Err((child.input, ExitReason::Timeout))
            } else {
                result.map_err(|reason| (child.input, reason))
            };
            self.window.done(child.number, element);
        }
        self.reports = reports;
        fatal
    }

    /// Has a deadline passed? Otherwise it wakes at the next one.
    pub(super) fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.alarm.is_none() {
            let timed = self.children.iter().flatten().filter(|child| !child.late);
            let Some(earliest) = timed.filter_map(|child| child.deadline).min() else { return false };
            self.alarm = Some((Alarm::at(self.node.clone(), earliest), earliest));
        }
        self.alarm.as_mut().is_some_and(|(alarm, _)| alarm.poll(cx).is_ready())
    }

    /// The alarm has gone off: the children whose time is over.
    pub(super) fn late(&mut self) -> Vec<usize> {
        // That the time has come is told by the timer.
        let now = self.alarm.take().map_or(Duration::ZERO, |(_, at)| at).max(self.node.now());
        let late = |child: &Child<I>| !child.late && child.deadline.is_some_and(|deadline| deadline <= now);
        let children = self.children.iter().enumerate();
        children.filter(|(_, child)| child.as_ref().is_some_and(late)).map(|(at, _)| at).collect()
    }

    /// Kills a task whose time is over; its element tells so when it has ended.
    pub(super) fn kill_late(&mut self, at: usize) {
        let Some(child) = &mut self.children[at] else { return };
        child.late = true;
        self.board.let_go(at);
        if let Some(proc) = &child.proc {
            exit::kill(proc);
        }
    }

    /// Kills all that run, without harm to the consumer.
    pub(super) fn kill_all(&self) {
        self.board.silence();
        for proc in self.children.iter().flatten().filter_map(|child| child.proc.as_ref()) {
            exit::kill(proc);
        }
    }

    /// Some task runs.
    pub(super) fn is_running(&self) -> bool {
        self.children.iter().any(Option::is_some)
    }
}

/// What runs when the stream goes away goes with it.
impl<T, I> Drop for Run<T, I> {
    fn drop(&mut self) {
        self.board.close();
        self.kill_all();
    }
}
