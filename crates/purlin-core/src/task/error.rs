//! Why a task that was awaited has no answer.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;

/// Why an awaited task has no answer.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The task ended without an answer, for this reason: it panicked, was killed, or exited.
    Exit(ExitReason),
    /// No answer in time. The task was given up, not stopped; its answer will vanish.
    Timeout,
    /// The task waits, over others perhaps, for the process that awaits it. The pids, from the awaiting one on.
    Deadlock(Vec<Pid>),
    /// The answer was given before, to [`yield_for`](crate::Task::yield_for) or its relatives.
    Taken,
}

/// A task without an answer. Displays as one sentence that names task, place and time.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Task, millis};
/// let task = Task::async_link(std::future::pending::<u8>());
/// let error = task.timeout(millis(1)).await.unwrap_err();
/// assert!(error.is_timeout() && error.exit_reason().is_none() && error.pid().is_some());
/// assert!(error.elapsed() >= millis(1));
/// assert!(error.to_string().contains(error.location().file()));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Clone)]
pub struct TaskError(Box<Details>);

#[derive(Clone)]
struct Details {
    kind: TaskErrorKind,
    pid: Option<Pid>,
    location: &'static Location<'static>,
    elapsed: Duration,
}

impl TaskError {
    #[cold]
    pub(super) fn new(
        kind: TaskErrorKind,
        pid: Option<Pid>,
        location: &'static Location<'static>,
        elapsed: Duration,
    ) -> TaskError {
        TaskError(Box::new(Details { kind, pid, location, elapsed }))
    }

    /// What went wrong.
    pub fn kind(&self) -> &TaskErrorKind {
        &self.0.kind
    }

    /// The task's process; `None` for a [`completed`](crate::Task::completed) task. Of several tasks that are late it is the first one.
    pub fn pid(&self) -> Option<Pid> {
        self.0.pid
    }

    /// Where it was awaited.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// How long it was waited for.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// `true` for [`TaskErrorKind::Timeout`].
    pub fn is_timeout(&self) -> bool {
        self.0.kind == TaskErrorKind::Timeout
    }

    /// The reason, if the task ended without an answer.
    pub fn exit_reason(&self) -> Option<&ExitReason> {
        match &self.0.kind {
            TaskErrorKind::Exit(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &*self.0;
        match d.pid {
            Some(pid) => write!(f, "task {pid}")?,
            None => f.write_str("task")?,
        }
        write!(f, ", awaited at {}:{}: ", d.location.file(), d.location.line())?;
        match &d.kind {
            TaskErrorKind::Exit(reason) => write!(f, "it ended without an answer: {reason}"),
            TaskErrorKind::Timeout => write!(f, "no answer after {:?}", d.elapsed),
            TaskErrorKind::Deadlock(cycle) => {
                f.write_str("deadlock: ")?;
                for pid in cycle {
                    write!(f, "{pid} waits for ")?;
                }
                match cycle.first() {
                    Some(first) => write!(f, "{first}"),
                    None => Ok(()),
                }
            },
            TaskErrorKind::Taken => f.write_str("its answer was given before"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({:?}: {self})", self.0.kind)
    }
}

impl std::error::Error for TaskError {}
