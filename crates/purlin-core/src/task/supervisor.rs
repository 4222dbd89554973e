//! The supervisor of tasks, and its handle.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use super::begin::{Answer, Forgotten, callers_of_mine};
use super::handle::Task;
use super::launch::{self, Wanted};
use crate::call::slot;
use crate::gen_server::{Name, Ref, StopError, Target};
use crate::node::current;
use crate::process::cell::ProcRef;
use crate::supervisor::dynamic::{StartRequest, TerminateRequest, WhichChildren};
use crate::supervisor::{
    Child, ChildSpec, DynamicSupervisor, DynamicSupervisorSpec, Restart, Shutdown, StartChildError,
    TerminateChildError,
};
use crate::{CallError, Pid, StartError};

/// A supervisor whose children are tasks: Elixir's `Task.Supervisor`. It is a [`DynamicSupervisor`] underneath.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Supervisor, TaskSupervisor, TaskSupervisorRef};
///
/// const TASKS: TaskSupervisorRef = TaskSupervisor::named("tasks");
///
/// Supervisor::one_for_one().child(TaskSupervisor::new().name("tasks")).start_link().await?;
///
/// let task = TASKS.async_nolink(async { "7".parse::<u32>().expect("a number") }).await?;
/// assert_eq!(task.await?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
#[derive(Debug)]
pub struct TaskSupervisor(());

/// Tells a supervisor of tasks from other dynamic supervisors.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Tasks(());

type Server = DynamicSupervisor<Tasks>;

impl TaskSupervisor {
    /// A supervisor of tasks: no limit of children, at most 3 restarts within 5 seconds.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the process is made by `start_link`; this begins its description, as in Elixir"
    )]
    pub fn new() -> TaskSupervisorSpec {
        TaskSupervisorSpec { spec: DynamicSupervisor::with_extra(Tasks(())) }
    }

    /// The supervisor of this name, found anew at each use: survives restarts. Made at run time, a name is a [`TaskSupervisorRef`] as it
    /// is: `TaskSupervisorRef::from(format!("tasks of {shop}"))`.
    pub const fn named(name: &'static str) -> TaskSupervisorRef {
        TaskSupervisorRef(Handle::Name(Name::new(name)))
    }
}

/// A supervisor of tasks, described. From [`TaskSupervisor::new`].
#[derive(Clone)]
#[must_use = "a supervisor starts when `start_link()` is awaited"]
pub struct TaskSupervisorSpec {
    spec: DynamicSupervisorSpec<Tasks>,
}

impl TaskSupervisorSpec {
    /// Most tasks at a time; one more is refused. Without limit by default.
    pub fn max_children(mut self, limit: usize) -> Self {
        self.spec = self.spec.max_children(limit);
        self
    }

    /// At most `max_restarts` restarts within `period`, a whole number of seconds, counted over all children; one more stops the
    /// supervisor. Default: 3 within 5 seconds. Only children of [`start_child_with`](TaskSupervisorRef::start_child_with) are ever restarted.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{TaskSupervisor, secs};
    /// let tasks = TaskSupervisor::new().max_children(100).max_restarts(10, secs(60)).start_link().await?;
    /// assert!(tasks.pid().is_some());
    /// tasks.stop().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn max_restarts(mut self, max_restarts: u32, period: Duration) -> Self {
        self.spec = self.spec.max_restarts(max_restarts, period);
        self
    }

    /// Registers the supervisor under this name: a `&'static str` or a `String`.
    pub fn name(mut self, name: impl Into<TaskSupervisorRef>) -> Self {
        if let Handle::Name(name) = name.into().0 {
            self.spec = self.spec.name(name);
        }
        self
    }

    /// Starts the supervisor, linked with the calling process.
    ///
    /// # Errors
    /// As for any [`DynamicSupervisor`](DynamicSupervisorSpec::start_link).
    #[track_caller]
    pub fn start_link(self) -> impl Future<Output = Result<TaskSupervisorRef, StartError>> + Send {
        let start = self.spec.start_link();
        async move { Ok(TaskSupervisorRef(Handle::Ref(start.await?))) }
    }

    /// [`start_link`](Self::start_link) without the link: the supervisor outlives the calling process.
    ///
    /// # Errors
    /// The same.
    #[track_caller]
    pub fn start(self) -> impl Future<Output = Result<TaskSupervisorRef, StartError>> + Send {
        let start = self.spec.start();
        async move { Ok(TaskSupervisorRef(Handle::Ref(start.await?))) }
    }

    /// The supervisor as a child of another one, with settings to change; one takes this description as it is, too. Restarted, it begins
    /// without tasks.
    ///
    /// ```
    /// use purlin_core::TaskSupervisor;
    /// use purlin_core::supervisor::ChildType;
    /// let child = TaskSupervisor::new().name("tasks").child_spec();
    /// assert_eq!((child.fields().id.as_str(), child.fields().child_type), ("tasks", ChildType::Supervisor));
    /// assert_eq!(child.fields().module, "TaskSupervisor");
    /// ```
    pub fn child_spec(self) -> ChildSpec {
        let child: Child<Server> = self.spec.child_spec().module("TaskSupervisor");
        child.erase()
    }
}

impl From<TaskSupervisorSpec> for ChildSpec {
    fn from(spec: TaskSupervisorSpec) -> ChildSpec {
        spec.child_spec()
    }
}

impl fmt::Debug for TaskSupervisorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

/// A supervisor of tasks: a running one, or whichever has a name at each use ([`TaskSupervisor::named`]). Cheap to clone; keeps nothing alive.
///
/// Starting a task is a request to the supervisor, hence async; it waits for as long as that takes. The calling process is the task's owner, and
/// the first of its callers.
#[derive(Clone)]
pub struct TaskSupervisorRef(Handle);

#[derive(Clone)]
enum Handle {
    Ref(Ref<Server>),
    Name(Name<Server>),
}

impl From<&'static str> for TaskSupervisorRef {
    fn from(name: &'static str) -> Self {
        TaskSupervisor::named(name)
    }
}

impl From<String> for TaskSupervisorRef {
    fn from(name: String) -> Self {
        TaskSupervisorRef(Handle::Name(name.into()))
    }
}

impl fmt::Debug for TaskSupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Handle::Ref(server) => write!(f, "TaskSupervisorRef({})", server.pid()),
            Handle::Name(name) => write!(f, "TaskSupervisorRef({:?})", name.display()),
        }
    }
}

impl<T: Send + 'static> Wanted for Answer<T> {
    fn is_wanted(&self) -> bool {
        !self.0.is_abandoned()
    }
}

impl Wanted for Forgotten {
    fn is_wanted(&self) -> bool {
        true
    }
}

impl TaskSupervisorRef {
    /// Starts a task that is linked with the calling process, which is to await it, and a child of this supervisor: Elixir's
    /// `Task.Supervisor.async`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::TaskSupervisor;
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let task = tasks.async_link(async { 6 * 7 }).await?;
    /// assert_eq!(task.await?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// The supervisor has its `max_children`, or did not answer. The future is dropped.
    #[track_caller]
    pub fn async_link<F>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<Task<F::Output>, StartChildError>> + Send + '_
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.begin(future, true)
    }

    /// [`async_link`](Self::async_link) without the link: a task that crashes does no harm to its owner, which hears of it when it awaits.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::TaskSupervisor;
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let task = tasks.async_nolink(async { panic!("no route") as u8 }).await?;
    /// let error = task.await.unwrap_err();
    /// assert_eq!(error.exit_reason().unwrap().panic_info().unwrap().message, "no route");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// As for [`async_link`](Self::async_link).
    #[track_caller]
    pub fn async_nolink<F>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<Task<F::Output>, StartChildError>> + Send + '_
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.begin(future, false)
    }

    #[track_caller]
    fn begin<F>(
        &self,
        future: F,
        link: bool,
    ) -> impl Future<Output = Result<Task<F::Output>, StartChildError>> + Send + '_
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (waiter, replier) = slot::pair();
        let linked = if link { current::current_proc() } else { None };
        let request = launch::once(future, Answer(replier), linked, callers_of_mine(), None);
        let started = self.request(request);
        async move { Ok(Task::running(started.await?, waiter)) }
    }

    /// Starts a task whose end nobody waits for, as a child of this supervisor; its pid. It is not linked with the calling process. Set how it is
    /// shut down, then await this.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{TaskSupervisor, secs};
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let pid = tasks.start_child(async { std::future::pending().await }).shutdown(secs(1)).await?;
    /// assert_eq!(tasks.children().await?, [pid]);
    /// tasks.terminate_child(pid).await?;
    /// assert!(tasks.terminate_child(pid).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// As for [`async_link`](Self::async_link).
    pub fn start_child<F>(&self, future: F) -> StartTask<'_>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let request = |shutdown| launch::once(future, Forgotten, None, callers_of_mine(), shutdown);
        StartTask { supervisor: self, request: Box::new(request), shutdown: None }
    }

    /// [`start_child`](Self::start_child) for a task that is started again when it has ended: [`Restart::Permanent`] always,
    /// [`Restart::Transient`] if it crashed. `make` makes the future of each run.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Restart, TaskSupervisor};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::sync::Arc;
    /// let tasks = TaskSupervisor::new().start_link().await?;
    /// let runs = Arc::new(AtomicU32::new(0));
    /// let (done, mut result) = tokio::sync::mpsc::unbounded_channel();
    /// let attempt = move || {
    ///     let (run, done) = (runs.fetch_add(1, Ordering::Relaxed), done.clone());
    ///     async move { assert!(run > 0, "no route"); done.send(run).unwrap() }
    /// };
    /// tasks.start_child_with(Restart::Transient, attempt).await?;
    /// assert_eq!(result.recv().await, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// As for [`async_link`](Self::async_link); a panic in `make` is a failed start.
    pub fn start_child_with<G, F>(&self, restart: Restart, make: G) -> StartTask<'_>
    where
        G: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let request = move |shutdown| launch::again(make, callers_of_mine(), restart, shutdown);
        StartTask { supervisor: self, request: Box::new(request), shutdown: None }
    }

    /// Stops a task as it was said when it was started, and waits until it is down.
    ///
    /// # Errors
    /// The process is none of its children, or the supervisor did not answer.
    #[track_caller]
    pub fn terminate_child(
        &self,
        pid: Pid,
    ) -> impl Future<Output = Result<(), TerminateChildError>> + Send + '_ {
        let call = crate::gen_server::call(self.target(), TerminateRequest(pid)).infinity();
        async move { Ok(call.await??) }
    }

    /// The pids of all tasks, in order.
    ///
    /// # Errors
    /// The supervisor did not answer.
    #[track_caller]
    pub fn children(&self) -> impl Future<Output = Result<Vec<Pid>, CallError>> + Send + '_ {
        let call = crate::gen_server::call(self.target(), WhichChildren).infinity();
        async move {
            let children: Vec<_> = call.await?;
            Ok(children.into_iter().filter_map(|child| child.status.pid()).collect())
        }
    }

    /// The supervisor's process, if there is one.
    pub fn pid(&self) -> Option<Pid> {
        self.target().find_ref().map(|proc| proc.pid())
    }

    /// Stops the supervisor, and returns when all of its tasks are down.
    ///
    /// # Errors
    /// See [`StopError`].
    pub async fn stop(&self) -> Result<(), StopError> {
        match &self.0 {
            Handle::Ref(server) => server.stop().await,
            Handle::Name(name) => name.stop().await,
        }
    }

    #[track_caller]
    pub(super) fn request(
        &self,
        request: StartRequest,
    ) -> impl Future<Output = Result<ProcRef, StartChildError>> + Send + '_ {
        let call = crate::gen_server::call(self.target(), request).infinity();
        async move { call.await? }
    }

    fn target(&self) -> &Target<Server> {
        match &self.0 {
            Handle::Ref(server) => server.target(),
            Handle::Name(name) => name.target(),
        }
    }
}

/// A child about to start: from [`TaskSupervisorRef::start_child`] and [`start_child_with`](TaskSupervisorRef::start_child_with). Await it.
#[must_use = "the task starts when this is awaited"]
pub struct StartTask<'a> {
    supervisor: &'a TaskSupervisorRef,
    request: Box<dyn FnOnce(Option<Shutdown>) -> StartRequest + Send + 'a>,
    shutdown: Option<Shutdown>,
}

impl StartTask<'_> {
    /// How the task is terminated by its supervisor: a [`Shutdown`], or a `Duration` to give it; default 5 seconds.
    pub fn shutdown(mut self, how: impl Into<Shutdown>) -> Self {
        self.shutdown = Some(how.into());
        self
    }
}

impl<'a> IntoFuture for StartTask<'a> {
    type Output = Result<Pid, StartChildError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        let started = self.supervisor.request((self.request)(self.shutdown));
        Box::pin(async move { Ok(started.await?.pid()) })
    }
}

impl fmt::Debug for StartTask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartTask({:?})", self.supervisor)
    }
}
