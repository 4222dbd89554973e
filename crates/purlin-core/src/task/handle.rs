//! The handle of a task: what its owner holds, and waits with.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::begin::{self, Answer, Forgotten};
use super::error::{TaskError, TaskErrorKind};
use crate::call::cycle::{self, Waits};
use crate::call::slot::{self, Waiter};
use crate::node::current;
use crate::process::cell::ProcRef;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::{exit, relations, self_pid};
use crate::rt::sim;
use crate::supervisor::Shutdown;
use crate::timer::{Alarm, LONGEST};

/// How long an await waits unless it is told otherwise: Elixir's 5 seconds.
pub const DEFAULT_AWAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a task is given to shut down unless it is told otherwise.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(5);

/// A task under way: a process that computes one value, for the process that started it. See the [module documentation](crate::task).
///
/// Dropping the handle drops the value, not the task, which goes on (and stays linked).
#[must_use = "a task whose answer nobody wants is started by `Task::start`"]
pub struct Task<T> {
    state: State<T>,
    pid: Option<Pid>,
    /// Who may await it; anybody, if no process started it.
    owner: Option<Pid>,
}

enum State<T> {
    /// The slot is filled, or given up, when the process has ended.
    Running {
        proc: ProcRef,
        waiter: Waiter<T>,
    },
    Completed(T),
    /// The answer was given.
    Taken,
}

impl Task<()> {
    /// Starts a task whose end nobody waits for, without a link.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Task, process};
    /// let pid = Task::start(async { println!("sent") });
    /// assert!(process::wait(pid).await.is_clean() || !process::is_alive(pid));
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When there is no current node.
    #[track_caller]
    pub fn start(future: impl Future<Output = ()> + Send + 'static) -> Pid {
        begin::spawn(false, Forgotten, future).pid()
    }

    /// [`start`](Self::start), linked with the calling process. From outside a process there is nothing to link with.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Task, process};
    /// let parent = process::spawn(async |mut mailbox: Mailbox<()>| {
    ///     Task::start_link(async { panic!("no disk") });
    ///     mailbox.receive().await;                                       // does not return: the link ends this process too
    /// });
    /// assert_eq!(parent.wait().await.panic_info().unwrap().message, "no disk");
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When there is no current node.
    #[track_caller]
    pub fn start_link(future: impl Future<Output = ()> + Send + 'static) -> Pid {
        begin::spawn(true, Forgotten, future).pid()
    }
}

impl<T: Send + 'static> Task<T> {
    /// Starts a task that is linked with the calling process, its *owner*, which is to await it: Elixir's `Task.async`.
    ///
    /// The link is there from before the first step: a task that crashes ends its owner, and the other way round, unless they trap exits.
    /// Called outside a process the task has neither owner nor link, and anybody may await it.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Task, process};
    /// let p = process::spawn(async |mailbox: Mailbox<()>| {
    ///     let task = Task::async_link(async { (process::callers(), 6 * 7) });
    ///     assert_eq!(task.await.unwrap(), (vec![mailbox.pid()], 42));
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When there is no current node.
    #[track_caller]
    pub fn async_link<F>(future: F) -> Task<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (waiter, replier) = slot::pair();
        Task::running(begin::spawn(true, Answer(replier), future), waiter)
    }

    /// The handle of a task that runs, whose owner is the calling process.
    pub(super) fn running(proc: ProcRef, waiter: Waiter<T>) -> Task<T> {
        Task { pid: Some(proc.pid()), state: State::Running { proc, waiter }, owner: self_pid() }
    }

    /// A task that is completed from the start, without a process: where a task is wanted and the value is known.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use purlin_core::Task;
    /// let task = Task::completed(7);
    /// assert_eq!(task.pid(), None);
    /// assert_eq!(task.await?, 7);
    /// # Ok::<(), purlin_core::TaskError>(())
    /// # }).unwrap();
    /// ```
    pub fn completed(value: T) -> Task<T> {
        Task { pid: None, state: State::Completed(value), owner: self_pid() }
    }

    /// Waits for this long at most, instead of 5 s. A task that is late is given up, not stopped.
    #[track_caller]
    pub fn timeout(self, limit: Duration) -> TaskFuture<T> {
        TaskFuture::new(self, Some(limit))
    }

    /// Waits for as long as it takes.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// assert_eq!(Task::async_link(async { 7 }).infinity().await?, 7);
    /// # Ok::<(), purlin_core::TaskError>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    #[track_caller]
    pub fn infinity(self) -> TaskFuture<T> {
        TaskFuture::new(self, None)
    }

    /// Waits for `limit` at most, and gives the task back when it is not done: Elixir's `Task.yield`.
    ///
    /// `Some(Ok(value))`, `Some(Err(reason))` when it ended without an answer, `None` when the time is over. After `None` one may yield again, await, or
    /// [`shutdown`](Self::shutdown). When the answer was given before, `None` comes at once.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Task, millis, process, secs};
    /// let mut task = Task::async_link(async { process::sleep(secs(60)).await });
    /// let answer = match task.yield_for(millis(1)).await {
    ///     Some(answer) => Some(answer),
    ///     None => task.shutdown().await,                                 // it has had its chance
    /// };
    /// assert_eq!(answer, None);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// In another process than the task's owner.
    pub async fn yield_for(&mut self, limit: Duration) -> Option<Result<T, ExitReason>> {
        self.check_owner("yielded to");
        self.within(limit).await
    }

    /// Stops the task, which has 5 seconds to end, and waits until it has.
    ///
    /// `None` when it ended because of this; else what it had got to: its value, or the reason that it ended with before.
    ///
    /// # Panics
    /// In another process than the task's owner.
    pub async fn shutdown(self) -> Option<Result<T, ExitReason>> {
        self.shutdown_with(DEFAULT_SHUTDOWN).await
    }

    /// [`shutdown`](Self::shutdown) in another way: a time to give it, [`Shutdown::BrutalKill`] or [`Shutdown::Infinity`].
    ///
    /// The link is taken away first, so that the owner is not ended. A task that traps exits ([`mailbox`](crate::task::mailbox)) may take its
    /// time; one that exceeds it is killed, and the answer is `Some(Err(Killed))`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Shutdown, Task, process, secs};
    /// let task = Task::async_link(async { process::sleep(secs(60)).await });
    /// assert_eq!(task.shutdown_with(Shutdown::BrutalKill).await, None);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// In another process than the task's owner.
    pub async fn shutdown_with(mut self, how: impl Into<Shutdown> + Send) -> Option<Result<T, ExitReason>> {
        let how = how.into();
        self.check_owner("shut down");
        self.unlink();
        if let State::Running { proc, .. } = &self.state {
            match how {
                Shutdown::BrutalKill => exit::kill(proc),
                Shutdown::Timeout(_) | Shutdown::Infinity => {
                    let from = self_pid().unwrap_or_else(|| proc.node.init_pid());
                    exit::send(from, proc, ExitReason::Shutdown);
                },
            }
        }
        if let Shutdown::Timeout(limit) = how
            && let Some(answer) = self.within(limit).await
        {
            return unless_asked_for(how, answer);
        }
        if let (State::Running { proc, .. }, Shutdown::Timeout(_)) = (&self.state, how) {
            exit::kill(proc);
        }
        unless_asked_for(how, poll_fn(|cx| self.poll_answer(cx)).await?)
    }

    /// Stops caring: takes the link away, and drops the value when it comes. Its failure is of no consequence any more.
    ///
    /// `Some` when the task had ended: its value, or its reason.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// let task = Task::async_link(std::future::pending::<()>());
    /// assert_eq!(task.ignore(), None);
    /// assert_eq!(Task::completed(7).ignore(), Some(Ok(7)));
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// In another process than the task's owner.
    #[track_caller]
    pub fn ignore(mut self) -> Option<Result<T, ExitReason>> {
        self.check_owner("ignored");
        self.let_go()
    }

    /// [`ignore`](Self::ignore) for one who keeps the handle, which has no answer any more.
    pub(super) fn let_go(&mut self) -> Option<Result<T, ExitReason>> {
        let answer = self.answer_now();
        self.unlink();
        self.state = State::Taken;
        answer
    }

    /// Waits for the answer, for `limit` at most. A limit of 0 is a look.
    async fn within(&mut self, limit: Duration) -> Option<Result<T, ExitReason>> {
        let mut alarm = self.alarm(self.now(), limit);
        poll_fn(|cx| match (self.poll_answer(cx), &mut alarm) {
            (Poll::Ready(answer), _) => Poll::Ready(answer),
            (Poll::Pending, Some(alarm)) => alarm.poll(cx).map(|()| None),
            (Poll::Pending, None) => Poll::Ready(None),
        })
        .await
    }

    /// An alarm `limit` from now, if there is something to wait for.
    pub(super) fn alarm(&self, now: Duration, limit: Duration) -> Option<Alarm> {
        match &self.state {
            State::Running { proc, .. } if !limit.is_zero() => {
                let at = now + limit.min(LONGEST);
                Some(Alarm::at(proc.node.clone(), at))
            },
            _ => None,
        }
    }

    /// The answer, or why there is none; `None` when it was given before.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, ExitReason>>> {
        match &mut self.state {
            State::Running { waiter, .. } => waiter.poll(cx).map(|answer| Some(self.finish(answer))),
            _ => Poll::Ready(self.answer_now()),
        }
    }

    /// The answer if it is there.
    pub(super) fn answer_now(&mut self) -> Option<Result<T, ExitReason>> {
        match &mut self.state {
            State::Running { waiter, .. } => {
                let answer = waiter.try_take()?;
                Some(self.finish(answer))
            },
            _ => match std::mem::replace(&mut self.state, State::Taken) {
                State::Completed(value) => Some(Ok(value)),
                _ => None,
            },
        }
    }

    /// The slot is done: the process has ended.
    fn finish(&mut self, answer: Option<T>) -> Result<T, ExitReason> {
        let State::Running { proc, .. } = std::mem::replace(&mut self.state, State::Taken) else {
            unreachable!("its slot was just looked at")
        };
        // What the task sent its owner before is there before the answer.
        sim::answered_by(&proc);
        answer.ok_or_else(|| proc.mailbox.exit_reason().unwrap_or(ExitReason::NoProc))
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// What the node's clock says; 0 for a task without a process.
    pub(super) fn now(&self) -> Duration {
        match &self.state {
            State::Running { proc, .. } => proc.node.now(),
            _ => {
                let node = self.pid.and_then(|pid| current::by_index(pid.node_index()));
                node.map_or(Duration::ZERO, |node| node.now())
            },
        }
    }

    pub(super) fn unlink(&self) {
        if let Some(pid) = self.pid {
            current::with_current(|me| relations::unlink(me, pid));
        }
    }

    /// Kills the task without harm to its owner.
    pub(super) fn kill(&self) {
        self.unlink();
        if let State::Running { proc, .. } = &self.state {
            exit::kill(proc);
        }
    }

    /// Only the owner waits for a task: it is the one that the link ties to it.
    #[track_caller]
    pub(super) fn check_owner(&self, what: &str) {
        let me = self_pid();
        if let Some(owner) = self.owner
            && me != Some(owner)
        {
            not_the_owner(what, self.pid, owner, me);
        }
    }
}

#[cold]
#[track_caller]
fn not_the_owner(what: &str, task: Option<Pid>, owner: Pid, me: Option<Pid>) -> ! {
    let task = task.map_or_else(|| "a completed task".to_owned(), |pid| format!("task {pid}"));
    let by = me.map_or_else(|| "outside every process".to_owned(), |pid| format!("by {pid}"));
    panic!("{task} belongs to {owner}, which started it, and was {what} {by}: only its owner may do that")
}

/// What a shutdown tells: that a task ended as it was told to is no news.
fn unless_asked_for<T>(how: Shutdown, answer: Result<T, ExitReason>) -> Option<Result<T, ExitReason>> {
    match (&answer, how) {
        (Err(ExitReason::Killed), Shutdown::BrutalKill)
        | (Err(ExitReason::Shutdown), Shutdown::Timeout(_) | Shutdown::Infinity) => None,
        _ => Some(answer),
    }
}

impl<T> Task<T> {
    /// The task's process; `None` for a [`completed`](Self::completed) one.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "Task({pid})"),
            None => f.write_str("Task(completed)"),
        }
    }
}

/// Awaiting a task waits for its answer, for 5 s at most. It panics in another process than the task's owner.
impl<T: Send + 'static> IntoFuture for Task<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = TaskFuture<T>;

    #[track_caller]
    fn into_future(self) -> TaskFuture<T> {
        TaskFuture::new(self, Some(DEFAULT_AWAIT_TIMEOUT))
    }
}

/// A task being awaited: from [`Task::timeout`], [`Task::infinity`], or `await` itself. Dropping it gives the task up.
#[must_use = "a task is awaited when this is"]
pub struct TaskFuture<T> {
    task: Task<T>,
    limit: Option<Duration>,
    /// When it began to wait.
    since: Option<Duration>,
    alarm: Option<Alarm>,
    waits: Option<Waits>,
    location: &'static Location<'static>,
}

impl<T> Unpin for TaskFuture<T> {}

impl<T: Send + 'static> TaskFuture<T> {
    #[track_caller]
    fn new(task: Task<T>, limit: Option<Duration>) -> TaskFuture<T> {
        TaskFuture { task, limit, since: None, alarm: None, waits: None, location: Location::caller() }
    }

    #[cold]
    fn error(&self, kind: TaskErrorKind) -> TaskError {
        let elapsed = self.since.map_or(Duration::ZERO, |since| self.task.now().saturating_sub(since));
        TaskError::new(kind, self.task.pid, self.location, elapsed)
    }

    /// Begins to wait, and says whom for; the ring, if that one waits for the caller. An answer that is there all the same was given before this
    /// wait was published: it is looked for afterwards, and closes no ring.
    fn begin(&mut self) -> Option<Vec<Pid>> {
        let State::Running { proc, .. } = &self.task.state else { return None };
        self.since = Some(proc.node.now());
        self.waits = cycle::publish(proc);
        current::with_current(|me| cycle::find(&me.node, me, proc)).flatten()
    }
}

impl<T: Send + 'static> Future for TaskFuture<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut ring = None;
        if this.since.is_none() {
            this.task.check_owner("awaited");
            ring = this.begin();
        }
        match this.task.poll_answer(cx) {
            Poll::Ready(answer) => {
                (this.waits, this.alarm) = (None, None);
                Poll::Ready(match answer {
                    Some(Ok(value)) => Ok(value),
                    Some(Err(reason)) => Err(this.error(TaskErrorKind::Exit(reason))),
                    None => Err(this.error(TaskErrorKind::Taken)),
                })
            },
            Poll::Pending => {
                if let Some(ring) = ring {
                    return Poll::Ready(Err(this.error(TaskErrorKind::Deadlock(ring))));
                }
                let Some(limit) = this.limit else { return Poll::Pending };
                if this.alarm.is_none() {
                    this.alarm = this.task.alarm(this.since.unwrap_or_default(), limit);
                }
                let late = this.alarm.as_mut().is_none_or(|alarm| alarm.poll(cx).is_ready());
                if late { Poll::Ready(Err(this.error(TaskErrorKind::Timeout))) } else { Poll::Pending }
            },
        }
    }
}

impl<T> fmt::Debug for TaskFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskFuture({:?})", self.task)
    }
}
