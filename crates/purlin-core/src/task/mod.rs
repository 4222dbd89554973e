//! Tasks: work in a process of its own, for one value, with the result a step away.
//!
//! ```
//! use purlin_core::{Task, millis, process, secs};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! // One: started now, awaited when the value is needed, for 5 s at most.
//! let total = Task::async_link(async { (1..=10u64).sum::<u64>() });
//! assert_eq!(total.await?, 55);
//!
//! // Several: all of them within one deadline, in order.
//! let squares = (1..=3u64).map(|n| Task::async_link(async move { n * n }));
//! assert_eq!(Task::await_many(squares).timeout(secs(1)).await?, [1, 4, 9]);
//!
//! // As long as one likes to wait, and no longer.
//! let mut slow = Task::async_link(process::sleep(secs(60)));
//! if slow.yield_for(millis(1)).await.is_none() {
//!     slow.shutdown().await;
//! }
//!
//! // One for each input, so many at a time.
//! let mut lengths = Task::async_stream(["a", "bc"], |text| async move { text.len() }).max_concurrency(8);
//! while let Some(length) = lengths.next().await {
//!     assert!(length.is_ok());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A task is a process: it has a pid, is shown by [`process_info`](crate::process::process_info), can be linked, monitored, killed, and a panic in it
//! is the end of a task and not of a program. What a task adds is its *value*, its *owner* (the process that started it and may wait for it), and
//! its *callers* ([`process::callers`](crate::process::callers)): on whose behalf it runs, through tasks of tasks.
//!
//! # Which one?
//! | | linked with its owner | awaited | under a supervisor |
//! |---|---|---|---|
//! | [`Task::async_link`] | yes | yes | no: it ends with its owner |
//! | [`TaskSupervisorRef::async_link`] | yes | yes | yes |
//! | [`TaskSupervisorRef::async_nolink`] | no: its crash is an error of the await | yes | yes |
//! | [`Task::start_link`], [`Task::start`] | yes; no | no | no |
//! | [`TaskSupervisorRef::start_child`], [`start_child_with`](TaskSupervisorRef::start_child_with) | no | no | yes; restarted if wanted |
//! | [`Task::async_stream`], [`TaskSupervisorRef::async_stream`] | yes, as by a link | as elements | no; yes |
//! | [`TaskSupervisorRef::async_stream_nolink`] | no | as elements | yes |
//!
//! # Return values
//! Awaiting gives `Result<T, TaskError>`. The task's own failures, if they are expected, are part of `T`: a task may return a `Result` like any function.
//! [`TaskError`] is for what is not: the task *ended* without a value ([`TaskErrorKind::Exit`]), was too late ([`TaskErrorKind::Timeout`]), or waits for its
//! owner ([`TaskErrorKind::Deadlock`]). With `?` in a handler it ends the server, which is what Elixir's `await` does.
//! [`yield_for`](Task::yield_for), [`yield_many`](Task::yield_many), [`shutdown`](Task::shutdown) and [`ignore`](Task::ignore) give
//! `Option<Result<T, ExitReason>>`: nothing to tell, a value, or the reason of an end without one.
//!
//! An answer is there when the task has *ended*: what it owned is dropped, its names are free, its links have told. A task that was killed, or
//! told to exit, has no value, even if it had computed one.
//!
//! # Failures and links
//! A linked task that ends for a reason other than normal ends its owner too, awaited or not, and the other way round. That is right where the
//! owner cannot go on without the value. Where it can, use `async_nolink`:
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::TaskSupervisor;
//! # let tasks = TaskSupervisor::new().start_link().await?;
//! # async fn fetch_price() -> u64 { panic!("no route") }
//! let price = tasks.async_nolink(fetch_price()).await?;
//! let shown = match price.await {
//!     Ok(price) => format!("{price}"),
//!     Err(_) => "not available".to_owned(),
//! };
//! assert_eq!(shown, "not available");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A task that takes too long is given up by an await, and *not stopped*: its answer vanishes, and it stays linked. `yield_for` and `shutdown` are the pair
//! that stops it.
//!
//! # Inside a task
//! The future is all there is: no handlers, and no mailbox unless it asks for one ([`mailbox`]), which it needs to trap exits. It ends at the next
//! await when it is told to exit; to clean up, let values be dropped. [`process::exit`](crate::process::exit) of oneself ends it with a reason.
//!
//! # When not to use
//! * To do things *one after the other*: call the function.
//! * To wait for several futures *of one process* at the same time, which neither block nor may crash apart: `tokio::join!` costs nothing.
//! * For something that *lives on* and answers again and again: that is a [`GenServer`](crate::GenServer).
//! * Inside a handler of a server, awaited: the server does nothing else meanwhile. Reply later, from the task
//!   ([`Reply::later`](crate::Reply::later)), or let the task cast the value back.
//! * For work that must survive a restart of the program: that is a job, in a database.
//!
//! # Supervise it
//! Tasks that somebody awaits need no supervisor to be restarted by: who waits for a value knows best what to do without it. They are put under a
//! [`TaskSupervisor`] so that they can be seen, counted and bounded, and end in order when the application stops:
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{Supervisor, TaskSupervisor, TaskSupervisorRef};
//! const MAILS: TaskSupervisorRef = TaskSupervisor::named("mails");
//! Supervisor::one_for_one().child(TaskSupervisor::new().name("mails").max_children(100)).start_link().await?;
//! let pid = MAILS.start_child(async { /* sends a mail */ }).await?;      // fire and forget, but not lost from sight
//! # let _ = pid;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Cost
//! A task is one process in one block, which its future lies in; its value goes through a reply slot and not through a mailbox. A stream's tasks
//! share one list that they report to, so taking an element does not depend on how many run.
//!
//! # Differences from Elixir
//! * `Task.async` is `async_link`, because `async` is a keyword; `Task.yield` is `yield_for`. Functions are futures.
//! * A failed await is a value, not an exit of the caller. Starting a task under a supervisor is async and has a `Result`: at `max_children` it is an
//!   error instead of being raised.
//! * The answer is no message. So other messages are never searched through, nothing is left behind by a deadline, and a server that
//!   starts tasks has none in its `handle_info`; it awaits them, or lets them cast.
//! * The answer comes when the task has ended, not before.
//! * A task and an owner that wait for each other are told so at once.
//! * Code that is no process may start and await tasks, which then have no owner and no link.
//! * A stream's buffer behind a slow task is bounded ([`AsyncStream::max_buffered`]). Its tasks are bound to their consumer without showing in its list
//!   of links. The function that gets the input makes a future, in the consumer; the future runs in the task. A refused start is the last element.

pub(crate) mod begin;
pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod launch;
pub(crate) mod many;
pub(crate) mod stream;
pub(crate) mod supervisor;

pub use begin::mailbox;
pub use error::{TaskError, TaskErrorKind};
pub use handle::{DEFAULT_AWAIT_TIMEOUT, Task, TaskFuture};
pub use many::{AwaitMany, OnYieldTimeout, YieldMany};
pub use stream::{
    AsyncStream, Failure, InputAndReason, Inputs, OnStreamTimeout, Reason, Source, StreamInputs,
};
pub use supervisor::{StartTask, TaskSupervisor, TaskSupervisorRef, TaskSupervisorSpec, Tasks};
