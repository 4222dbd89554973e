//! A stream of tasks: one for each input, so many at a time.

mod board;
mod run;
mod source;
mod window;

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use self::board::Report;
use self::run::{Element, Run};
use self::window::Window;
use super::begin::{self, callers_of_mine};
use super::launch;
use super::supervisor::TaskSupervisorRef;
use crate::Task;
use crate::node::{Node, current};
use crate::process::cell::ProcRef;
use crate::process::exit_reason::{ExitReason, Term};
use crate::process::run::IN_A_ROW;
use crate::process::{panic, self_pid};
use crate::supervisor::StartChildError;

pub use source::{Failure, InputAndReason, Inputs, Reason, Source, StreamInputs};

/// How long each task of a stream may take unless it is told otherwise: Elixir's 5 seconds.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many tasks of a stream run at a time on a simulated node, whose one executor would make it a stream of one after the other.
const SIMULATED_CONCURRENCY: usize = 4;

impl Task<()> {
    /// A stream of the values of `task(input)`, a task for each input, so many at a time: Elixir's `Task.async_stream`.
    ///
    /// Nothing happens before it is polled; who polls it first is its consumer. See [`AsyncStream`] for the settings.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// let mut squares = Task::async_stream(1..=3, |n| async move { n * n }).max_concurrency(2);
    /// while let Some(square) = squares.next().await {
    ///     assert!([1, 4, 9].contains(&square.unwrap()));
    /// }
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn async_stream<I, F, Fut>(inputs: I, task: F) -> AsyncStream<Inputs<I::IntoIter>, F, Fut::Output>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> Fut,
        Fut: Future<Output: Send> + Send + 'static,
    {
        AsyncStream::new(Inputs(inputs.into_iter()), task, true, None)
    }

    /// [`async_stream`](Self::async_stream) whose inputs are those of another stream. It is asked for one when there is room for a task.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// let squares = Task::async_stream(1..=3, |n| async move { n * n });
    /// let halves = Task::async_stream_of(squares, |n| async move { n.unwrap() / 2 });
    /// assert_eq!(halves.to_vec().await, [Ok(0), Ok(2), Ok(4)]);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn async_stream_of<S, F, Fut>(inputs: S, task: F) -> AsyncStream<StreamInputs<S>, F, Fut::Output>
    where
        S: Stream,
        F: FnMut(S::Item) -> Fut,
        Fut: Future<Output: Send> + Send + 'static,
    {
        AsyncStream::new(StreamInputs(Box::pin(inputs)), task, true, None)
    }
}

impl TaskSupervisorRef {
    /// [`Task::async_stream`] whose tasks are children of this supervisor. Their failures end a consumer that does not trap exits.
    ///
    /// When the supervisor has its `max_children`, or does not answer, the tasks that run are killed; an error with a
    /// [`StartChildError`] in its [`Term`](crate::Term) is the last element.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::TaskSupervisor;
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let lengths = tasks.async_stream(["a", "bc"], |text| async move { text.len() });
    /// assert_eq!(lengths.to_vec().await, [Ok(1), Ok(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn async_stream<I, F, Fut>(
        &self,
        inputs: I,
        task: F,
    ) -> AsyncStream<Inputs<I::IntoIter>, F, Fut::Output>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> Fut,
        Fut: Future<Output: Send> + Send + 'static,
    {
        AsyncStream::new(Inputs(inputs.into_iter()), task, true, Some(self.clone()))
    }

    /// [`async_stream`](Self::async_stream) whose tasks' failures are elements and do no harm to the consumer.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::TaskSupervisor;
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let parsed = tasks.async_stream_nolink(["7", "x"], |text| async move { text.parse::<u8>().unwrap() });
    /// let parsed = parsed.zip_input_on_exit().to_vec().await;
    /// assert_eq!(parsed[0], Ok(7));
    /// let (input, reason) = parsed[1].as_ref().unwrap_err();
    /// assert!(*input == "x" && reason.panic_info().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn async_stream_nolink<I, F, Fut>(
        &self,
        inputs: I,
        task: F,
    ) -> AsyncStream<Inputs<I::IntoIter>, F, Fut::Output>
    where
        I: IntoIterator,
        F: FnMut(I::Item) -> Fut,
        Fut: Future<Output: Send> + Send + 'static,
    {
        AsyncStream::new(Inputs(inputs.into_iter()), task, false, Some(self.clone()))
    }
}

/// What happens when a task of a stream takes longer than its [`timeout`](AsyncStream::timeout).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnStreamTimeout {
    /// The consumer exits, with reason [`ExitReason::Timeout`], and the stream's tasks with it. The default. One that is no process cannot
    /// exit: there it means the same as [`KillTask`](Self::KillTask).
    #[default]
    Exit,
    /// The task is killed, its element is `Err(ExitReason::Timeout)`, and the stream goes on.
    KillTask,
}

/// A stream with a task for each input: from [`Task::async_stream`] and its relatives.
///
/// It is a [`Stream`] of `Result<T, ExitReason>`, and has [`next`](Self::next) and [`to_vec`](Self::to_vec) of its own.
///
/// * **Lazy.** Nothing is started before the stream is polled, and tasks are started only while it is polled.
/// * **Back-pressure.** At most [`max_concurrency`](Self::max_concurrency) tasks run. The next input is pulled when one has ended, and only while no
///   more than [`max_buffered`](Self::max_buffered) values wait to be taken, because the consumer is slow, or, in order, because one task is.
/// * **In order** of the inputs, unless [`ordered(false)`](Self::ordered) says otherwise.
/// * **Failures.** The tasks are bound to their consumer: one that fails ends it, with its reason, unless it traps exits or is no process. Then,
///   and without a link, the element is `Err(reason)`.
/// * **Early end.** Dropping the stream kills the tasks that run; [`halt`](Self::halt) also waits until they are gone.
///
/// # Panics
/// When it is polled by another process than the one that polled it first.
#[must_use = "a stream does nothing before it is polled"]
pub struct AsyncStream<S: Source, F, T, E = Reason> {
    /// `None` when there are no more.
    source: Option<S>,
    task: F,
    settings: Settings,
    /// Are the consumer's fate and the tasks' one?
    link: bool,
    supervisor: Option<TaskSupervisorRef>,
    run: Option<Run<T, S::Item>>,
    /// The task that the supervisor is just starting.
    starting: Option<Starting>,
    /// A task could not be started: the last element.
    refused: Option<(Option<S::Item>, ExitReason)>,
    /// Elements given in a row.
    streak: u32,
    failure: PhantomData<fn() -> E>,
}

struct Starting {
    child: usize,
    started: Pin<Box<dyn Future<Output = Result<ProcRef, StartChildError>> + Send>>,
}

#[derive(Clone, Copy)]
struct Settings {
    max_concurrency: Option<usize>,
    max_buffered: Option<usize>,
    ordered: bool,
    timeout: Option<Duration>,
    on_timeout: OnStreamTimeout,
}

/// Nothing in it is pinned in place.
impl<S: Source, F, T, E> Unpin for AsyncStream<S, F, T, E> {}

impl<S: Source, F, T> AsyncStream<S, F, T> {
    fn new(source: S, task: F, link: bool, supervisor: Option<TaskSupervisorRef>) -> Self {
        let settings = Settings {
            max_concurrency: None,
            max_buffered: None,
            ordered: true,
            timeout: Some(DEFAULT_TIMEOUT),
            on_timeout: OnStreamTimeout::default(),
        };
        AsyncStream {
            source: Some(source),
            task,
            settings,
            link,
            supervisor,
            run: None,
            starting: None,
            refused: None,
            streak: 0,
            failure: PhantomData,
        }
    }

    /// Elements without a value tell their input as well: `Err((input, reason))`. To be called before the stream is polled.
    ///
    /// # Panics
    /// When the stream has been polled.
    #[track_caller]
    pub fn zip_input_on_exit(self) -> AsyncStream<S, F, T, InputAndReason>
    where
        S::Item: Clone,
    {
        self.check_settable("zip_input_on_exit");
        let AsyncStream { source, task, settings, link, supervisor, streak, .. } = self;
        AsyncStream {
            source,
            task,
            settings,
            link,
            supervisor,
            run: None,
            starting: None,
            refused: None,
            streak,
            failure: PhantomData,
        }
    }
}

impl<S: Source, F, T, E> AsyncStream<S, F, T, E> {
    /// How many tasks run at a time at most; default: as many as the node has executors, which is one for each core (4 on a simulated node).
    ///
    /// # Panics
    /// When it is 0, or the stream has been polled.
    #[track_caller]
    pub fn max_concurrency(mut self, tasks: usize) -> Self {
        self.check_settable("max_concurrency");
        assert!(tasks > 0, "`max_concurrency` of a stream of tasks is 0: it must be at least 1");
        self.settings.max_concurrency = Some(tasks);
        self
    }

    /// How many values, beside one for each task that may run, wait at most to be taken, behind a slow task in front of them or because the
    /// consumer is slow; default: `max_concurrency`. With 0, only as many inputs are pulled ahead of the consumer as tasks may run.
    ///
    /// Elixir has no such bound: there a single slow task makes everything behind it pile up.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::task::OnStreamTimeout;
    /// use purlin_core::{ExitReason, Task, millis, process};
    /// let slow_head = |n: u64| async move { process::sleep(millis(if n == 0 { 1_000_000 } else { 0 })).await };
    /// let stream = Task::async_stream(0..3, slow_head).max_concurrency(2).max_buffered(1);
    /// let answers = stream.timeout(millis(20)).on_timeout(OnStreamTimeout::KillTask).to_vec().await;
    /// assert_eq!(answers, [Err(ExitReason::Timeout), Ok(()), Ok(())]);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When the stream has been polled.
    #[track_caller]
    pub fn max_buffered(mut self, values: usize) -> Self {
        self.check_settable("max_buffered");
        self.settings.max_buffered = Some(values);
        self
    }

    /// Whether elements come in the order of the inputs (the default), or as they are done.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Task, millis, process};
    /// let naps = Task::async_stream([50, 0], |n| async move { process::sleep(millis(n)).await; n });
    /// let naps = naps.ordered(false).max_concurrency(2).infinity().to_vec().await;
    /// assert_eq!(naps, [Ok(0), Ok(50)]);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// When the stream has been polled.
    #[track_caller]
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.check_settable("ordered");
        self.settings.ordered = ordered;
        self
    }

    /// How long each task may take from its start; default 5 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = Some(limit);
        self
    }

    /// Tasks may take as long as they like.
    pub fn infinity(mut self) -> Self {
        self.settings.timeout = None;
        self
    }

    /// What happens when a task takes too long; default [`OnStreamTimeout::Exit`].
    pub fn on_timeout(mut self, what: OnStreamTimeout) -> Self {
        self.settings.on_timeout = what;
        self
    }

    #[track_caller]
    fn check_settable(&self, what: &str) {
        assert!(self.run.is_none(), "`{what}` of a stream of tasks is set before the stream is polled");
    }

    fn begin(&self) -> Run<T, S::Item> {
        let node = Node::current();
        let consumer = current::current_proc();
        let executors =
            if node.is_simulated() { SIMULATED_CONCURRENCY } else { node.rt().sched.workers().len() };
        let most_running = self.settings.max_concurrency.unwrap_or(executors);
        let most_buffered = self.settings.max_buffered.unwrap_or(most_running);
        let window = Window::new(self.settings.ordered, most_running, most_buffered);
        let bound = consumer.clone().filter(|_| self.link);
        Run::new(node, consumer.map(|consumer| consumer.pid()), bound, window)
    }

    /// A task could not be started: nothing more is, and what runs is killed. With what is said about it in the end.
    fn refuse(&mut self, child: usize, error: StartChildError) {
        self.source = None;
        if let Some(run) = &mut self.run {
            let input = run.refused(child);
            self.refused = Some((input, ExitReason::Error(Term::from_error(error))));
            run.kill_all();
        }
    }

    /// Goes on starting the task that the supervisor is asked for; `true` when that is done.
    fn start_on(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Starting { child, started }) = &mut self.starting else { return true };
        let (child, Poll::Ready(started)) = (*child, started.as_mut().poll(cx)) else { return false };
        self.starting = None;
        match (started, &mut self.run) {
            (Ok(proc), Some(run)) => run.started(child, proc, self.settings.timeout),
            (Ok(_), None) => {},
            (Err(error), _) => self.refuse(child, error),
        }
        true
    }
}

impl<S, F, T, E, Fut> AsyncStream<S, F, T, E>
where
    S: Source,
    F: FnMut(S::Item) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
    E: Failure<S::Item>,
{
    /// The next element; `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<T, E::Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All elements.
    pub async fn to_vec(mut self) -> Vec<Result<T, E::Error>> {
        let mut elements = Vec::new();
        while let Some(element) = self.next().await {
            elements.push(element);
        }
        elements
    }

    /// Ends the stream early: kills the tasks that run, and returns when they are gone.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::Task;
    /// let mut numbers = Task::async_stream(0.., |n| async move { n });
    /// assert_eq!(numbers.next().await, Some(Ok(0)));
    /// numbers.halt().await;
    /// assert_eq!(node.stats().processes, 0);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn halt(mut self) {
        self.source = None;
        poll_fn(|cx| {
            let started = self.start_on(cx);
            let Some(run) = &mut self.run else { return Poll::Ready(()) };
            run.kill_all();
            loop {
                run.collect();
                if started && !run.is_running() {
                    return Poll::Ready(());
                }
                if run.board.listen(cx) {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Starts tasks for as many inputs as there is room for.
    fn fill(&mut self, cx: &mut Context<'_>) {
        loop {
            if !self.start_on(cx) {
                return;
            }
            let Some(run) = self.run.as_mut().filter(|run| run.window.has_room()) else { return };
            let Some(source) = &mut self.source else { return };
            match source.poll_input(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => {
                    self.source = None;
                    return;
                },
                Poll::Ready(Some(input)) => {
                    let kept = E::keep(&input);
                    let future = (self.task)(input);
                    let child = run.begin(kept);
                    let report = Report { board: run.board.clone(), child };
                    match &self.supervisor {
                        None => {
                            run.started(child, begin::spawn(false, report, future), self.settings.timeout)
                        },
                        Some(supervisor) => {
                            let supervisor = supervisor.clone();
                            let request = launch::once(future, report, None, callers_of_mine(), None);
                            let started = Box::pin(async move { supervisor.request(request).await });
                            self.starting = Some(Starting { child, started });
                        },
                    }
                },
            }
        }
    }

    /// The deadlines of these tasks have passed.
    fn time_out(&mut self) {
        let Some(run) = &mut self.run else { return };
        let late = run.late();
        if !late.is_empty() && self.settings.on_timeout == OnStreamTimeout::Exit && self_pid().is_some() {
            let limit = self.settings.timeout.unwrap_or_default();
            tracing::error!(target: "purlin::task", ?limit, "a task of a stream took too long, and its consumer exits");
            // The stream goes with its consumer, and the tasks go with the stream.
            panic::exit(ExitReason::Timeout);
        }
        late.into_iter().for_each(|child| run.kill_late(child));
    }

    /// The next element, if it is there; `Ready(None)` after the last one.
    fn element(&mut self) -> Poll<Option<Element<T, S::Item>>> {
        let Some(run) = &mut self.run else { return Poll::Ready(None) };
        if self.refused.is_some() {
            if run.is_running() {
                return Poll::Pending;
            }
            run.window.clear();
            return Poll::Ready(self.refused.take().map(Err));
        }
        match run.window.next() {
            Some(element) => Poll::Ready(Some(element)),
            None if self.source.is_none() && run.window.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<S, F, T, E, Fut> Stream for AsyncStream<S, F, T, E>
where
    S: Source,
    F: FnMut(S::Item) -> Fut,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
    E: Failure<S::Item>,
{
    type Item = Result<T, E::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.run.is_none() {
            this.run = Some(this.begin());
        }
        let owner = this.run.as_ref().and_then(|run| run.owner);
        if owner.is_some() && owner != self_pid() {
            not_the_consumer(owner);
        }
        if this.streak >= IN_A_ROW {
            // A consumer that always finds something must give way too.
            this.streak = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if this.run.as_mut().is_some_and(Run::collect) {
                return Poll::Pending;
            }
            this.fill(cx);
            if let Poll::Ready(element) = this.element() {
                this.streak += 1;
                return Poll::Ready(element.map(|e| e.map_err(|(input, reason)| E::error(input, reason))));
            }
            let Some(run) = &mut this.run else { return Poll::Ready(None) };
            if run.is_late(cx) {
                this.time_out();
            } else if run.board.listen(cx) {
                this.streak = 0;
                return Poll::Pending;
            }
        }
    }
}

#[cold]
fn not_the_consumer(owner: Option<crate::Pid>) -> ! {
    let owner = owner.map_or_else(String::new, |pid| pid.to_string());
    let by = self_pid().map_or_else(|| "outside every process".to_owned(), |pid| format!("by {pid}"));
    panic!(
        "a stream of tasks is consumed by {owner}, which polled it first, and was polled {by}: its tasks belong to the one process"
    )
}

impl<S: Source, F, T, E> fmt::Debug for AsyncStream<S, F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.run.as_ref().map_or(0, |run| run.window.running());
        write!(f, "AsyncStream({running} tasks run)")
    }
}
