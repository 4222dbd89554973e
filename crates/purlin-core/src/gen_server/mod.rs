//! GenServer: a state and the messages that it handles, one at a time, in a process of its own.
//!
//! This page is tutorial and specification. Everything is written by hand here, with the traits; the attribute `#[gen_server]` of the crate
//! `purlin` writes the same from an ordinary `impl` block, and typed client methods with it.
//!
//! # Example
//! ```
//! use purlin_core::{Cx, GenServer, HandleCall, HandleCast, HandleRead, InitError, ReadCx};
//!
//! struct Stack {
//!     elements: Vec<String>,
//! }
//!
//! impl GenServer for Stack {
//!     type Args = Vec<String>;
//!     async fn init(elements: Vec<String>, _: &mut Cx<Self>) -> Result<Self, InitError> {
//!         Ok(Stack { elements })
//!     }
//! }
//!
//! struct Push(String);
//! impl HandleCast<Push> for Stack {
//!     async fn handle_cast(&mut self, Push(element): Push, _: &mut Cx<Self>) {
//!         self.elements.push(element);
//!     }
//! }
//!
//! struct Pop;
//! impl HandleCall<Pop> for Stack {
//!     type Reply = Option<String>;
//!     async fn handle_call(&mut self, _: Pop, _: &mut Cx<Self>) -> Option<String> {
//!         self.elements.pop()
//!     }
//! }
//!
//! struct Len;
//! impl HandleRead<Len> for Stack {
//!     type Reply = usize;
//!     fn handle_read(&self, _: Len, _: &ReadCx<Self>) -> usize {
//!         self.elements.len()
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let stack = Stack::start(vec!["hello".to_owned()]).await?;     // waits for `init`
//! stack.cast(Push("world".to_owned()));                          // waits for nothing
//! assert_eq!(stack.call(Pop).await?.as_deref(), Some("world"));  // waits for the reply, 5 s at most
//! assert_eq!(stack.call(Len).await?, 1);
//! stack.stop().await?;                                           // waits for the end
//! assert!(stack.call(Len).await.unwrap_err().is_no_proc());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Client and server
//! Code that holds a handle is the client; the handlers are the server. The two run in different processes and share nothing but messages,
//! which are moved. A message is any `Send + 'static` type; one type can be a call of one server and a cast of another.
//!
//! | handle | means | when the process has ended |
//! |---|---|---|
//! | [`Ref<S>`](Ref) | one incarnation, from a start | answers `NoProc` for ever |
//! | [`Name<S>`](Name) | whoever has the name when it is used | finds the next incarnation |
//! | [`Pid`](crate::Pid) | one incarnation, without its type | finds nobody; never comes to mean another process |
//!
//! None of them keeps a process alive, and dropping the last one ends nothing: a server ends when it, its supervisor, or somebody else says so.
//!
//! | verb | server's side | waits for | fails |
//! |---|---|---|---|
//! | [`call(m).await`](Ref::call) | [`HandleCall`] or [`HandleRead`] | the reply, 5 s unless [`timeout`](CallFuture::timeout) or [`infinity`](CallFuture::infinity) says otherwise | [`CallError`](crate::CallError) |
//! | [`cast(m)`](Ref::cast) | [`HandleCast`] | nothing | never; what is lost is counted |
//! | [`try_cast(m)`](Ref::try_cast) | [`HandleCast`] | nothing | full or gone, with the message given back |
//! | [`cast_wait(m).await`](Ref::cast_wait) | [`HandleCast`] | room in a bounded mailbox | gone, with the message given back |
//! | [`send(m)`](Ref::send) | [`HandleInfo`] | nothing | never |
//! | [`stop().await`](Ref::stop) | [`terminate`](GenServer::terminate) | the end | [`StopError`] |
//!
//! A call, cast or send whose message has no handler does not compile; neither does a timer, a monitor or trapped exits without theirs. Prefer
//! calls: a caller that waits cannot run ahead of the server. Keep message types private and write functions around them, so that callers
//! do not depend on how the server is made (the attribute's client methods are such functions):
//! ```
//! # use purlin_core::{CallError, Cx, GenServer, HandleCall, InitError, Ref};
//! # pub struct Stack(Vec<String>);
//! # impl GenServer for Stack { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Stack(Vec::new())) } }
//! struct Pop;
//! # impl HandleCall<Pop> for Stack { type Reply = Option<String>; async fn handle_call(&mut self, _: Pop, _: &mut Cx<Self>) -> Option<String> { self.0.pop() } }
//!
//! pub async fn pop(stack: &Ref<Stack>) -> Result<Option<String>, CallError> {
//!     stack.call(Pop).await
//! }
//! ```
//!
//! What one process sends to another arrives in the order in which it was sent, calls, casts, plain sends and signals alike. Messages of
//! different senders have no order between them. What is left in the mailbox of a server that ends is dropped; callers among it are told.
//!
//! ## When a call fails
//! A [`CallError`](crate::CallError) says in one sentence who called what, where, for how long, and why there is no reply. Its
//! [`kind`](crate::CallError::kind) is one of:
//!
//! | kind | meaning |
//! |---|---|
//! | `NoProc` | no such process, or nobody has the name; known at once |
//! | `Timeout` | no reply in time. The server may still handle the call; its reply vanishes |
//! | `Exit(reason)` | the server ended before it replied: told at once, also for `Normal` and `Shutdown` |
//! | `NoReply` | the server dropped the handle to reply with |
//! | `CallingSelf` | a handler called its own server |
//! | `Deadlock(pids)` | the call would close a ring of processes that wait for each other: told at once, with the ring |
//! | `MailboxFull` | the mailbox is full and its policy refuses calls |
//! | `WrongType` | the process of that name is another kind of server |
//! | `NoNode` | there is no current node on which to look for the name |
//!
//! ```
//! use purlin_core::{CallErrorKind, Cx, DEFAULT_CALL_TIMEOUT, GenServer, HandleCall, InitError, millis, secs};
//! # struct Slow;
//! # impl GenServer for Slow { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Slow) } }
//! struct Think;
//! impl HandleCall<Think> for Slow {
//!     type Reply = ();
//!     async fn handle_call(&mut self, _: Think, _: &mut Cx<Self>) {
//!         std::future::pending().await
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let slow = Slow::start(()).name("slow").await?;
//! assert_eq!(DEFAULT_CALL_TIMEOUT, secs(5));
//! let error = slow.call(Think).timeout(millis(1)).await.unwrap_err();    // `.infinity()`: for as long as it takes
//! assert!(error.is_timeout() && error.elapsed() >= millis(1));
//! assert!(error.server().ends_with("Slow") && error.request().ends_with("Think"));
//! assert_eq!((error.pid(), error.name(), error.queue_len()), (Some(slow.pid()), Some("slow"), Some(0)));
//! println!("{error}, called at {}", error.location());
//! slow.stop_with(purlin_core::ExitReason::Kill, millis(1)).await.unwrap_err();    // it does not get to the request
//! purlin_core::process::exit(slow.pid(), purlin_core::ExitReason::Kill);
//! purlin_core::process::wait(slow.pid()).await;
//! let error = slow.call(Think).infinity().await.unwrap_err();
//! assert_eq!(*error.kind(), CallErrorKind::NoProc);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! Dropping a call's future abandons the call: a request that is under way is still handled, its reply vanishes, and nothing is left behind.
//!
//! # Return values
//! ## init
//! | returned | the starter gets | Erlang |
//! |---|---|---|
//! | `Ok(state)` | the handle | `{ok, S}` |
//! | `Ok(state)` after [`cx.continue_with(m)`](Cx::continue_with), [`cx.timeout(d)`](Cx::timeout) or [`cx.hibernate()`](Cx::hibernate) | the handle | `{ok, S, Action}` |
//! | `Err(InitError::Ignore)` | [`StartError::Ignore`] | `ignore` |
//! | `Err(InitError::Stop(reason))`, or any error by `?` | [`StartError::Failed`]`(reason)` | `{stop, R}` |
//! | a panic | [`StartError::Failed`]`(Panic)` | an exception |
//!
//! The start waits for `init`, without limit unless [`timeout`](Start::timeout) sets one; then the process is killed, and gone when the start
//! returns. A taken name fails the start before `init` runs. In each failure no process is left. A starter that gives up, by dropping its
//! future, kills what it was starting.
//!
//! ```
//! use purlin_core::{Cx, Down, GenServer, InitError, Mailbox, process, secs};
//! # struct Counter;
//! # impl GenServer for Counter { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Counter) } }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let starter = process::spawn(async |mut mailbox: Mailbox<Down>| {
//!     let linked = Counter::start(()).link().await.unwrap();     // the same as `start_link`
//!     let (watched, monitor) = Counter::start(()).timeout(secs(1)).monitor().await.unwrap();
//!     watched.stop().await.unwrap();
//!     assert_eq!(mailbox.receive().await.monitor, monitor);
//!     assert!(linked.is_alive());
//! });
//! assert!(starter.wait().await.is_normal());
//! # }).await;
//! # node.shutdown().await;
//! # });
//! ```
//!
//! ## Handlers
//! What a handler returns has one of three forms, the *shape*, which is the second parameter of its trait; the first one is the default.
//!
//! | shape | a call returns | a cast, info or continue returns |
//! |---|---|---|
//! | [`Plain`] | `R`: the reply | nothing |
//! | [`OrCrash`] | `Result<R, Crash>` | `Result<(), Crash>` |
//! | [`OrLater`] | `Result<Reply<R>, Crash>` | |
//!
//! | a handler of a call | what happens | Erlang |
//! |---|---|---|
//! | returns the reply | the caller gets it | `{reply, R, S}` |
//! | returns [`Reply::later`]'s promise | the caller waits on, for who holds the [`ReplyTo`] | `{noreply, S}` |
//! | returns `Err(crash)`, by `?` or by hand | the server ends with that reason; the caller gets `Exit(reason)` | `{stop, Reason, S}` |
//! | also says [`cx.stop(reason)`](Cx::stop) | the server ends; then the caller gets its reply | `{stop, Reason, R, S}` |
//! | also says `cx.continue_with(m)` | [`HandleContinue`] runs before any other message | `{reply, R, S, {continue, M}}` |
//! | also says `cx.timeout(d)` | [`Timeout`] is handled if nothing arrives for `d` | `{reply, R, S, D}` |
//! | also says `cx.hibernate()` | spare memory of the mailbox is freed | `{reply, R, S, hibernate}` |
//! | panics | the server ends with `Panic`; the caller gets `Exit(Panic)` | an exception |
//!
//! Casts, infos and continues: the same without the reply. `cx` only takes notes; they are acted upon when the handler has returned: a stop
//! first (then nothing else counts), then continues in order, then the timeout. Reads have a [`ReadCx`], which takes no notes.
//!
//! Only [`Crash`] ends a server. A `Result<R, MyError>` is an ordinary reply, and expected failures should be that:
//! ```
//! use purlin_core::{Crash, Cx, ExitReason, GenServer, HandleCall, InitError, OrCrash};
//!
//! struct Meter(u64);
//! # impl GenServer for Meter { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Meter(0)) } }
//!
//! struct Divide(u64);
//! impl HandleCall<Divide> for Meter {
//!     type Reply = Result<u64, &'static str>;                    // the caller's business
//!     async fn handle_call(&mut self, Divide(by): Divide, _: &mut Cx<Self>) -> Self::Reply {
//!         self.0.checked_div(by).ok_or("division by zero")
//!     }
//! }
//!
//! struct Set(&'static str);
//! impl HandleCall<Set, OrCrash> for Meter {
//!     type Reply = u64;
//!     async fn handle_call(&mut self, Set(text): Set, _: &mut Cx<Self>) -> Result<u64, Crash> {
//!         self.0 = text.parse()?;                                // the server's end
//!         Ok(self.0)
//!     }
//! }
//!
//! struct Read;
//! impl HandleCall<Read> for Meter {
//!     type Reply = u64;
//!     async fn handle_call(&mut self, _: Read, cx: &mut Cx<Self>) -> u64 {
//!         cx.stop(ExitReason::Normal);                           // stop with reply
//!         self.0
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let meter = Meter::start(()).await?;
//! assert_eq!(meter.call(Divide(0)).await?, Err("division by zero"));
//! let error = meter.call(Set("seven")).await.unwrap_err();
//! assert_eq!(error.exit_reason().unwrap().to_string(), "invalid digit found in string");
//!
//! let meter = Meter::start(()).await?;
//! assert_eq!(meter.call(Set("7")).await?, 7);
//! assert_eq!(meter.call(Read).await?, 7);
//! assert!(!meter.is_alive());                                    // the reply came when it had ended
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! ## A later reply
//! A handler that cannot answer yet keeps a [`ReplyTo`], or moves it to another process, and goes on with other messages:
//! ```
//! use purlin_core::{Crash, Cx, GenServer, HandleCall, HandleCast, InitError, OrLater, Reply, ReplyTo};
//!
//! struct Door {
//!     waiting: Vec<ReplyTo<&'static str>>,
//! }
//! # impl GenServer for Door { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Door { waiting: Vec::new() }) } }
//!
//! struct Enter;
//! impl HandleCall<Enter, OrLater> for Door {
//!     type Reply = &'static str;
//!     async fn handle_call(&mut self, _: Enter, _: &mut Cx<Self>) -> Result<Reply<&'static str>, Crash> {
//!         let (to, later) = Reply::later();
//!         self.waiting.push(to);
//!         Ok(later)
//!     }
//! }
//!
//! struct Open;
//! impl HandleCast<Open> for Door {
//!     async fn handle_cast(&mut self, _: Open, _: &mut Cx<Self>) {
//!         for to in self.waiting.drain(..) {
//!             to.reply("welcome");
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let door = Door::start(()).await?;
//! let open = async { door.cast(Open) };
//! let (welcome, ()) = tokio::join!(door.call(Enter), open);      // `join!` polls the call first
//! assert_eq!(welcome?, "welcome");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! The caller's deadline runs all the time. A second answer cannot be written: `reply` takes the handle. Dropping the handle fails the call
//! with `NoReply`; an answer to a caller that has given up vanishes, and [`is_abandoned`](ReplyTo::is_abandoned) tells beforehand.
//!
//! ## Continue
//! `init` should be quick, because the starter, often a supervisor, waits. What takes long goes into a continue, which runs before any message:
//! ```
//! use purlin_core::{Cx, GenServer, HandleContinue, HandleRead, InitError, ReadCx};
//!
//! struct Cache {
//!     prices: Option<Vec<u32>>,
//! }
//!
//! struct Load;
//!
//! impl GenServer for Cache {
//!     type Args = ();
//!     async fn init(_: (), cx: &mut Cx<Self>) -> Result<Self, InitError> {
//!         cx.continue_with(Load);
//!         Ok(Cache { prices: None })
//!     }
//! }
//!
//! impl HandleContinue<Load> for Cache {
//!     async fn handle_continue(&mut self, _: Load, _: &mut Cx<Self>) {
//!         self.prices = Some(vec![3, 5, 8]);                     // await something slow here
//!     }
//! }
//!
//! struct Count;
//! impl HandleRead<Count> for Cache {
//!     type Reply = Option<usize>;
//!     fn handle_read(&self, _: Count, _: &ReadCx<Self>) -> Option<usize> {
//!         self.prices.as_ref().map(Vec::len)
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let cache = Cache::start(()).await?;
//! assert_eq!(cache.call(Count).await?, Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! ## Timers, timeouts and other infos
//! [`HandleInfo`] handles what is neither call nor cast: timers ([`Cx::send_after`], [`Cx::send_interval`]), [`Down`](crate::Down) of monitored
//! processes, [`Exit`](crate::Exit) of linked ones when exits are trapped, [`Timeout`], and plain sends. A timer fires never early, and at most about a
//! millisecond late if its process is free; it goes with its process.
//!
//! `cx.timeout(d)` is not a timer: any message, also a call, cancels it, and it must be set anew where it is to go on.
//! ```
//! use purlin_core::{Cx, ExitReason, GenServer, HandleCall, HandleInfo, InitError, Timeout, process, secs};
//!
//! /// Ends when nobody has asked for half a minute.
//! struct Session;
//!
//! impl GenServer for Session {
//!     type Args = ();
//!     async fn init(_: (), cx: &mut Cx<Self>) -> Result<Self, InitError> {
//!         cx.timeout(secs(30));
//!         Ok(Session)
//!     }
//! }
//!
//! struct Touch;
//! impl HandleCall<Touch> for Session {
//!     type Reply = ();
//!     async fn handle_call(&mut self, _: Touch, cx: &mut Cx<Self>) {
//!         cx.timeout(secs(30));
//!     }
//! }
//!
//! impl HandleInfo<Timeout> for Session {
//!     async fn handle_info(&mut self, _: Timeout, cx: &mut Cx<Self>) {
//!         cx.stop(ExitReason::Normal);
//!     }
//! }
//!
//! // A simulated node: its clock moves on when nothing can run, so this takes no time.
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! let node = purlin_core::Node::builder().simulated(1).start();
//! # node.scope(async {
//! let session = Session::start(()).await?;
//! session.call(Touch).await?;
//! assert_eq!(process::wait(session.pid()).await, ExitReason::Normal);
//! assert!(node.now() >= secs(30));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! The untyped [`process::send`](crate::process::send) reaches a server only with types that its [`accepts`](GenServer::accepts) lists; anything
//! else is logged and counted, and the server lives.
//!
//! ## terminate
//! | how the server ends | `terminate` runs |
//! |---|---|
//! | `cx.stop`, a `Crash`, `stop()`, [`sys::terminate`](crate::sys::terminate) | yes |
//! | a handler or a read panicked | yes; the state may be half-changed, `reason` tells |
//! | its parent ended, and it traps exits | yes |
//! | an exit signal, and it does not trap exits | no |
//! | a kill | no |
//! | `init` failed | no: there is no state |
//!
//! What must happen in every case belongs into `Drop`: state and handler futures are always dropped, before links and monitors are told. A
//! panic in `terminate` becomes the reason.
//!
//! # Calls in place, and reads
//! A call to an idle server does not become a message. The handler runs at once on the caller's thread, under the server's run lock, in the
//! server's name: [`self_pid`](crate::process::self_pid) and the current node are the server's, a panic is caught and ends the server and not the
//! caller. An `async` handler is polled once; if it has to wait, it is handed over to the server and the caller waits for the reply like any other. This
//! happens when all of the following hold, and changes speed only:
//!
//! * the server is idle and nothing waits in its mailbox: so all that the caller sent before has been handled, and order is kept;
//! * the calling code runs inside the node's runtime (not on a plain thread), and not eight calls in place deep already;
//! * nothing holds the server: `sys` suspend, trace, log and statistics, a pending [`Cx::timeout`], a subscriber to its tracing span;
//! * its handlers are quick. One of 32 such calls is timed; when the average passes 10 µs, calls are queued, so that deadlines mean what
//!   they say, until handlers take less than 5 µs again ([`GEN_SERVER_SLOW`](crate::telemetry::events::GEN_SERVER_SLOW) tells).
//!
//! A caller gives way to other processes after 128 calls in place in a row. Casts and infos never run in place. Stop, continue and timeouts that a
//! handler asks for are done by the server's own activation: `terminate` never runs on a caller's stack. [`CallPath`](crate::CallPath) forces either way, and
//! a simulated node chooses by its seed. What a handler can notice: `tokio::task::id()` and `tokio::task_local!` values are the
//! caller's. Use [`process::local`](crate::process::local) instead.
//!
//! A **read** is a call that only looks: [`HandleRead`] takes `&self` and is a plain function. Reads of an idle server run in parallel, on their
//! callers' threads, and count as calls in every other way. While a message waits for the server, reads queue up behind it, so
//! that readers cannot starve it; a read out of the mailbox runs alone. The state must be `Sync`. A read that panics ends the server.
//!
//! An `async` handler that waits holds the server up: messages gather until it is done, as in Erlang. Signals do not wait: an exit
//! signal or a kill drops the handler's future at that await. A handler that computes or blocks for long holds up a *worker thread* as well; the
//! watchdog reports it after 10 ms. Give such work to `tokio::task::spawn_blocking`, and answer later.
//!
//! # Mailboxes
//! Unbounded, as in Erlang, unless [`mailbox`](Start::mailbox) bounds them; [`Overflow`](crate::Overflow) says what happens to one message too
//! many. Bounds count the program's messages: signals and `sys` requests are never refused, delayed or lost.
//!
//! # When not to use a GenServer
//! * **To organise code.** A process is for something that runs: it has a state with a life of its own, must fail alone, or must be reached by
//!   many. Where a function, a struct or a module will do, a server only adds waiting and a queue.
//! * **For data that is only read.** An `Arc`, or a `OnceLock`.
//! * **For the entities of a business** (orders, customers). Their truth is in the database; a process per entity is a second one.
//! * **In front of everything.** All that goes through one server goes at one server's speed. Make reads [`HandleRead`]; divide the
//!   state among several servers, found by a [`Registry`](crate::Registry); move long work out of the handler.
//! * **For work that nobody talks to.** A [task](crate::task), if it comes to an end; [`process::spawn`](crate::process::spawn), under a supervisor as
//!   [`ChildSpec::process`](crate::ChildSpec::process), if it does not.
//!
//! # Supervise it
//! A server belongs under a supervisor, which starts it, restarts it and stops it; see [`supervisor`](crate::supervisor). Its arguments are kept for restarts,
//! its state is not: a restart begins with `init`.
//! ```
//! # use purlin_core::{Cx, GenServer, InitError};
//! # struct Stack; impl GenServer for Stack { type Args = Vec<String>; async fn init(_: Vec<String>, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Stack) } }
//! use purlin_core::{ExitReason, Name, Restart, Supervised, Supervisor, process, secs};
//!
//! const STACK: Name<Stack> = Name::new("stack");
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! Supervisor::one_for_one()
//!     .child(Stack::child_spec(Vec::new()).name(&STACK).restart(Restart::Transient).shutdown(secs(1)))
//!     .start_link()
//!     .await?;
//! let first = STACK.whereis().expect("started with its supervisor");
//! process::exit(first.pid(), ExitReason::Kill);
//! // A moment later there is another one.
//! while STACK.whereis().is_none_or(|server| server.pid() == first.pid()) {
//!     process::yield_now().await;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A server started by [`start_link`](GenServer::start_link) has the starting process as its parent. One that traps exits
//! ([`Cx::trap_exits`]) gets the exits of other linked processes as messages; its parent's exit stops it, with `terminate`.
//!
//! # Debug it
//! ```
//! # use purlin_core::{Cx, GenServer, HandleCall, InitError};
//! # #[derive(Clone, Debug, PartialEq)] struct Stack(Vec<u8>);
//! # impl GenServer for Stack { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Stack(Vec::new())) } }
//! # struct Push(u8);
//! # impl HandleCall<Push> for Stack { type Reply = (); async fn handle_call(&mut self, Push(n): Push, _: &mut Cx<Self>) { self.0.push(n); } }
//! use purlin_core::{process, sys};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let stack = Stack::start(()).await?;
//! sys::log(stack.pid(), true).await?;                            // keep the last ten events
//! stack.call(Push(7)).await?;
//! assert_eq!(sys::get_log(stack.pid()).await?.len(), 1);
//! assert_eq!(sys::get_state(&stack).await?, Stack(vec![7]));     // a copy, taken between two messages
//! sys::replace_state(&stack, |_| Stack(vec![1, 2])).await?;
//! sys::suspend(stack.pid()).await?;                              // messages wait, `sys` is served
//! assert!(sys::get_status(stack.pid()).await?.suspended);
//! sys::resume(stack.pid()).await?;
//! let info = process::process_info(stack.pid()).expect("it is alive");
//! assert_eq!(info.message_queue_len, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! * [`sys`](crate::sys): state, status, suspend, trace (to the log, target `purlin::trace`), log, statistics.
//! * **Crash report**, target `purlin::crash`: pid, name, type, reason with its stack, last message, the client whose call it was, state (by
//!   [`format_status`](GenServer::format_status)), mailbox length, ancestors, links. For every reason but `Normal`, `Shutdown`, `ShutdownWith`
//!   and `Killed`.
//! * **Telemetry**, to be attached to a [`Node`](crate::Node): [`events`](crate::telemetry::events) lists what servers execute.
//! * **Tracing spans**: with a subscriber at level DEBUG for target `purlin::process` when it starts, a process has a span that all
//!   it logs is inside of. It takes no calls in place then.
//!
//! # Differences from Erlang
//! * State and messages are typed. `handle_call` and its siblings are one trait implementation per message, and a message without one does not
//!   compile; so there is no `bad_return_value`, and no missing callback.
//! * What a handler wants beside its reply (stop, continue, timeout, hibernate) is said to [`Cx`], in any combination.
//! * A failed call is a value, not an exit of the caller. A late reply never reaches a mailbox.
//! * A call cycle is an error at once, with the ring, instead of a timeout.
//! * Dropping the handle to reply with fails the call at once; Erlang's caller would wait for its deadline. A handle that has been moved to
//!   another process outlives the server that made it.
//! * Stop with reply answers when the process has *ended*; Erlang answers when `terminate` has returned.
//! * An exit signal cannot interrupt a running handler, only one that awaits. A handler that waits is dropped at that await.
//! * `enter_loop` does not exist: it is a matter of Erlang's untyped processes. Code is not loaded at run time; what is left of `code_change` is
//!   [`sys::change_code`](crate::sys::change_code), for states.
//! * [`multi_call`] and [`abcast`] take nodes of this program. The answer to a [`send_request`](Ref::send_request) is no message.

pub(crate) mod call_future;
pub(crate) mod cast;
pub(crate) mod cx;
pub(crate) mod direct;
pub(crate) mod frame;
pub(crate) mod info;
pub(crate) mod message;
pub mod multi;
pub(crate) mod recipient;
pub(crate) mod refs;
pub mod request;
pub(crate) mod request_ids;
pub(crate) mod run_loop;
pub(crate) mod server;
pub(crate) mod shape;
pub(crate) mod start;
pub(crate) mod traits;

pub use call_future::{Call, CallFuture, DEFAULT_CALL_TIMEOUT, call};
pub use cast::{CastWait, TryCastError};
pub use cx::{Cx, ReadCx, Timeout};
pub use info::Accepts;
pub use multi::{MultiCall, MultiReply, abcast, multi_call};
pub use recipient::Recipient;
pub use refs::{Name, Ref, StopError, Target};
pub use request::{NoResponse, Request, RequestIds};
pub use shape::{Crash, Flow, InitError, Later, OrCrash, OrLater, Plain, Reply, ReplyTo, Shape};
pub use start::{Start, StartError, StartFuture, WrongRegistry};
pub use traits::{
    ByCall, ByRead, CallFor, CastFor, Client, ContinueFor, GenServer, Handle, HandleCall, HandleCast,
    HandleContinue, HandleInfo, HandleRead, InfoFor, Monitors, ReadInParallel, TrapsExits,
};

/// Casts to a target; for generated client methods.
#[doc(hidden)]
pub fn cast_to<S: GenServer, M: CastFor<S, K>, K: 'static>(target: &Target<S>, message: M) {
    cast::cast(target, message);
}
