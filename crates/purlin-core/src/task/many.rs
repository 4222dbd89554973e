//! Several tasks at a time: all of them, or as many as are done in time.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::{TaskError, TaskErrorKind};
use super::handle::{DEFAULT_AWAIT_TIMEOUT, Task};
use crate::process::exit_reason::ExitReason;
use crate::timer::Alarm;

impl<T: Send + 'static> Task<T> {
    /// Waits for all of these tasks, for 5 s in total at most: their values, in the order of the tasks.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Task, secs};
    /// let squares = (1..=3).map(|n| Task::async_link(async move { n * n }));
    /// assert_eq!(Task::await_many(squares).timeout(secs(1)).await?, [1, 4, 9]);
    /// # Ok::<(), purlin_core::TaskError>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// The first task that ends without an answer fails it at once. When the time is over all are given up, and the error names the first one
    /// without an answer. None is stopped by this.
    ///
    /// # Panics
    /// When it is polled in another process than the owner of all the tasks.
    #[track_caller]
    pub fn await_many(tasks: impl IntoIterator<Item = Task<T>>) -> AwaitMany<T> {
        let waiting: Vec<_> = tasks.into_iter().map(|task| Awaited { task, answer: None }).collect();
        AwaitMany {
            missing: waiting.len(),
            waiting,
            limit: Some(DEFAULT_AWAIT_TIMEOUT),
            since: None,
            alarm: None,
            location: Location::caller(),
        }
    }

    /// Waits until all of these tasks are done, or for 5 s at most, and tells which are: their answers in the order of the tasks, `None` for
    /// those that are not done, and those whose answers were given before.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::task::OnYieldTimeout;
    /// use purlin_core::{Task, millis};
    /// let mut tasks = [Task::async_link(async { 7 }), Task::async_link(std::future::pending())];
    /// let answers = Task::yield_many(&mut tasks).timeout(millis(10)).on_timeout(OnYieldTimeout::KillTask).await;
    /// assert_eq!(answers, [Some(Ok(7)), None]);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When it is awaited in another process than the owner of all the tasks.
    pub fn yield_many(tasks: &mut [Task<T>]) -> YieldMany<'_, T> {
        YieldMany {
            tasks,
            timeout: DEFAULT_AWAIT_TIMEOUT,
            limit: usize::MAX,
            on_timeout: OnYieldTimeout::default(),
        }
    }
}

struct Awaited<T> {
    task: Task<T>,
    answer: Option<T>,
}

/// Several tasks being awaited: from [`Task::await_many`]. Dropping it gives them up.
#[must_use = "tasks are awaited when this is"]
pub struct AwaitMany<T> {
    waiting: Vec<Awaited<T>>,
    missing: usize,
    limit: Option<Duration>,
    /// When it began to wait.
    since: Option<Duration>,
    alarm: Option<Alarm>,
    location: &'static Location<'static>,
}

impl<T> Unpin for AwaitMany<T> {}

impl<T: Send + 'static> AwaitMany<T> {
    /// Waits for this long at most, in total, instead of 5 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Waits for as long as it takes.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use purlin_core::Task;
    /// assert_eq!(Task::await_many([Task::completed(7)]).infinity().await?, [7]);
    /// # Ok::<(), purlin_core::TaskError>(())
    /// # }).unwrap();
    /// ```
    pub fn infinity(mut self) -> Self {
        self.limit = None;
        self
    }

    #[cold]
    fn error(&self, kind: TaskErrorKind, at: usize) -> TaskError {
        let task = &self.waiting[at].task;
        let elapsed = self.since.map_or(Duration::ZERO, |since| task.now().saturating_sub(since));
        TaskError::new(kind, task.pid(), self.location, elapsed)
    }
}

impl<T: Send + 'static> Future for AwaitMany<T> {
    type Output = Result<Vec<T>, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.since.is_none() {
            this.waiting.iter().for_each(|waiting| waiting.task.check_owner("awaited"));
            let running = this.waiting.iter().find(|waiting| waiting.task.is_running());
            this.since = Some(running.map_or(Duration::ZERO, |waiting| waiting.task.now()));
            // All of the time is one time.
            this.alarm = this.limit.and_then(|limit| running?.task.alarm(this.since?, limit));
        }
        for at in 0..this.waiting.len() {
            let waiting = &mut this.waiting[at];
            if waiting.answer.is_some() {
                continue;
            }
            match waiting.task.poll_answer(cx) {
                Poll::Pending => {},
                Poll::Ready(Some(Ok(value))) => {
                    waiting.answer = Some(value);
                    this.missing -= 1;
                },
                Poll::Ready(Some(Err(reason))) => {
                    return Poll::Ready(Err(this.error(TaskErrorKind::Exit(reason), at)));
                },
                Poll::Ready(None) => return Poll::Ready(Err(this.error(TaskErrorKind::Taken, at))),
            }
        }
        if this.missing == 0 {
            let answers = std::mem::take(&mut this.waiting).into_iter().filter_map(|waiting| waiting.answer);
            return Poll::Ready(Ok(answers.collect()));
        }
        let late = match (&mut this.alarm, this.limit) {
            (Some(alarm), _) => alarm.poll(cx).is_ready(),
            (None, limit) => limit.is_some(),
        };
        if !late {
            return Poll::Pending;
        }
        let first = this.waiting.iter().position(|waiting| waiting.answer.is_none());
        Poll::Ready(Err(this.error(TaskErrorKind::Timeout, first.unwrap_or(0))))
    }
}

impl<T> fmt::Debug for AwaitMany<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwaitMany({} tasks, {} to come)", self.waiting.len(), self.missing)
    }
}

/// What [`Task::yield_many`] does with the tasks that are not done when its time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnYieldTimeout {
    /// They stay as they are, and may be asked again. The default.
    #[default]
    Nothing,
    /// As by [`Task::ignore`]: their answers will vanish, and their failures harm nobody.
    Ignore,
    /// As by [`Task::shutdown_with`]`(Shutdown::BrutalKill)`: they have ended when the answers are there, and one that was quicker still tells
    /// its value.
    KillTask,
}

/// Several tasks being asked: from [`Task::yield_many`]. Await it.
#[must_use = "tasks are asked when this is awaited"]
pub struct YieldMany<'a, T> {
    tasks: &'a mut [Task<T>],
    timeout: Duration,
    limit: usize,
    on_timeout: OnYieldTimeout,
}

impl<'a, T: Send + 'static> YieldMany<'a, T> {
    /// Waits for this long at most, instead of 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits for as long as it takes.
    pub fn infinity(self) -> Self {
        self.timeout(Duration::MAX)
    }

    /// Comes back as soon as this many have answered, instead of all; the others stay as they are. More than there are means all.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// let mut tasks = [Task::async_link(std::future::pending()), Task::async_link(async { 7 })];
    /// assert_eq!(Task::yield_many(&mut tasks).limit(1).infinity().await, [None, Some(Ok(7))]);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn limit(mut self, answers: usize) -> Self {
        self.limit = answers;
        self
    }

    /// What becomes of tasks that are not done when the time is over; default [`OnYieldTimeout::Nothing`].
    pub fn on_timeout(mut self, what: OnYieldTimeout) -> Self {
        self.on_timeout = what;
        self
    }

    async fn run(self) -> Vec<Option<Result<T, ExitReason>>> {
        let YieldMany { tasks, timeout, limit, on_timeout } = self;
        tasks.iter().for_each(|task| task.check_owner("yielded to"));
        let mut answers: Vec<_> = tasks.iter().map(|_| None).collect();
        let mut pending: Vec<usize> = (0..tasks.len()).collect();
        let enough = tasks.len().saturating_sub(limit);
        let mut alarm = tasks.iter().find_map(|task| task.alarm(task.now(), timeout));
        let late = poll_fn(|cx| {
            pending.retain(|&at| match tasks[at].poll_answer(cx) {
                Poll::Pending => true,
                Poll::Ready(answer) => {
                    answers[at] = answer;
                    false
                },
            });
            match &mut alarm {
                _ if pending.len() <= enough => Poll::Ready(false),
                Some(alarm) => alarm.poll(cx).map(|()| true),
                None => Poll::Ready(true),
            }
        })
        .await;
        if late && on_timeout != OnYieldTimeout::Nothing {
            for &at in &pending {
                match on_timeout {
                    OnYieldTimeout::KillTask => tasks[at].kill(),
                    _ => answers[at] = tasks[at].let_go(),
                }
            }
            if on_timeout == OnYieldTimeout::KillTask {
                for at in pending {
                    let answer = poll_fn(|cx| tasks[at].poll_answer(cx)).await;
                    answers[at] = answer.filter(|answer| !matches!(answer, Err(ExitReason::Killed)));
                }
            }
        }
        answers
    }
}

impl<'a, T: Send + 'static> IntoFuture for YieldMany<'a, T> {
    type Output = Vec<Option<Result<T, ExitReason>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<T> fmt::Debug for YieldMany<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "YieldMany({} tasks)", self.tasks.len())
    }
}
