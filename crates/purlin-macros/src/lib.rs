//! Attribute macros of Purlin: [`macro@gen_server`], [`macro@main`] and [`macro@test`].
//!
//! Use them through the crate `purlin`. They only remove typing: whatever they write, a person can write with the traits of
//! `purlin`, and none of it is unsafe.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;

mod gen_server;
mod options;
mod runtime;

/// Makes a server of an ordinary `impl` block.
///
/// ```
/// use purlin::prelude::*;
///
/// struct Counter { value: i64 }
/// #[derive(Clone)]
/// struct Tick;
///
/// #[gen_server]
/// impl Counter {
///     fn init(start: i64) -> Self { Counter { value: start } }
///
///     #[call] fn increment(&mut self, by: i64) -> i64 { self.value += by; self.value }
///     #[call] fn get(&self) -> i64 { self.value }
///     #[cast] fn reset(&mut self) { self.value = 0 }
///     #[info] fn tick(&mut self, _: Tick, cx: &mut Cx<Self>) { cx.send_after(secs(1), Tick); }
/// }
/// ```
/// The block stays as it is written: `self.increment(1)` inside it is a plain method call. From outside, `Ref<Counter>` and
/// `Name<Counter>` get the methods `increment(by)`, `get()` and `reset()`, with the visibility, documentation and deprecation of the
/// originals.
///
/// # Methods
/// | in the block | becomes | runs |
/// |---|---|---|
/// | `fn init(args..) -> Self` | `GenServer::init`; several arguments are one tuple of `Args` | once, before `start` returns |
/// | `#[call] fn f(&mut self, args..) -> R` | `HandleCall` and a client method `f(args..)` that is awaited | alone, in order |
/// | `#[call] fn f(&self, args..) -> R` | `HandleRead`, same client method | in parallel with other reads |
/// | `#[cast] fn f(&mut self, args..)` | `HandleCast` and a client method that returns at once | alone, in order |
/// | `#[info] fn f(&mut self, message: M)` | `HandleInfo<M>`: timers, `Down`, `Exit`, `Timeout`, plain sends | alone, in order |
/// | `#[handle_continue] fn f(&mut self, message: M)` | `HandleContinue<M>`: what `cx.continue_with(M)` asks for | before any other message |
/// | `fn terminate(&mut self, reason: &ExitReason)` | `GenServer::terminate` | once, at the end |
/// | `fn format_status(&self) -> String` | `GenServer::format_status` | for crash reports and `sys::get_status` |
/// | anything else | itself | |
///
/// Each may be `async` (except `format_status`; an `async` call with `&self` runs alone, since only what never waits can run in
/// parallel) and may take `cx: &mut Cx<Self>` as its last argument; `&self` calls take `cx: &ReadCx<Self>`.
///
/// # Return types
/// * `init`: `Self`, or `Result<Self, E>` where `InitError: From<E>`, such as `InitError`, `Crash` and any error.
/// * a call: the reply; `Result<R, Crash>` when an error passed on with `?` should end the server; `Reply<R>` or
///   `Result<Reply<R>, Crash>` when the answer may come later. These are recognised by how they are written, so write them out: an alias
///   that hides `Crash` is refused. `Result<R, MyError>` is an ordinary reply.
/// * casts, infos and continues: nothing, or `Result<(), Crash>`.
///
/// # Options
/// * `#[gen_server(client = Name)]`: the name of the trait that carries the client methods; `CounterClient` for `Counter` otherwise.
/// * `#[gen_server(crate = path)]`: where to find the crate `purlin`; `::purlin` otherwise.
///
/// # What is refused
/// Arguments and replies that borrow, generic methods, `self` by value, and names that `Ref` and `Name` use themselves (`call`, `cast`,
/// `stop`, `pid` …): each with a message that says what to write instead.
#[proc_macro_attribute]
pub fn gen_server(options: TokenStream, item: TokenStream) -> TokenStream {
    gen_server::expand(options.into(), item.into()).into()
}

/// Makes an `async fn main` the program: a tokio runtime, a node on it, and an orderly stop.
///
/// ```
/// use purlin::prelude::*;
///
/// struct Counter { value: i64 }
///
/// #[gen_server]
/// impl Counter {
///     fn init(start: i64) -> Self { Counter { value: start } }
///     #[call] fn get(&self) -> i64 { self.value }
/// }
///
/// #[purlin::main]
/// async fn main() -> Result<()> {
///     let counter = Counter::start(7).await?;
///     assert_eq!(counter.get().await?, 7);
///     Ok(())
/// }
/// ```
/// A program that is to run until it is stopped waits for its top supervisor. That ends when the node is stopped, and when it has restarted
/// its children too often; a `main` that waited for nothing in particular would go on without its supervisor then.
///
/// ```
/// # use purlin::prelude::*;
/// # struct Counter;
/// # #[gen_server]
/// # impl Counter { fn init(_: i64) -> Self { Counter } }
/// #[purlin::main]
/// async fn main() -> Result<()> {
///     let top = Supervisor::one_for_one().child(Counter::child_spec(0)).start_link().await?;
/// #   top.stop().await?;
/// #   if top.wait().await.is_clean() { return Ok(()) }
///     let reason = top.wait().await;
///     if Node::current().is_stopping() { Ok(()) } else { Err(format!("the top supervisor gave up: {reason}").into()) }
/// }
/// ```
///
/// # Signals
/// SIGTERM or SIGINT (Ctrl-C) stops the node, as `Node::shutdown` does: the processes that no process started (top supervisors among them)
/// are asked to shut down one after another, supervisors stop their children in reverse order, and whoever is left after 30 seconds is killed.
/// As in OTP, a server runs its `terminate` then if it traps exits.
///
/// `main` goes on meanwhile. It can wait for such a stop with `Node::stopping`, and tell by `Node::is_stopping` whether a process that it
/// sees end was stopped or has failed. If `main` returns, at the latest 100 ms after the last process has ended, the program ends with what it
/// returned; otherwise `main` is dropped where it waits, and the program ends with status 0.
///
/// A second signal ends the program at once, whatever its threads are doing, with status 128 + the signal's number; no `terminate` runs.
///
/// When `main` returns or panics without a signal, the node is stopped in the same way, and the program ends with what `main` returned, or
/// with its panic.
///
/// # Options
/// * `worker_threads = 4`: threads of the runtime; by default one per core.
/// * `flavor = "current_thread"`: everything runs on one thread.
/// * `name = "shop"`: the node's name; `"nonode"` by default.
/// * `crate = path`: where to find the crate `purlin`; `::purlin` otherwise.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    runtime::main(options.into(), item.into()).into()
}

/// Makes an `async fn` a test with a node of its own. Needs the crate `purlin-test` among the `dev-dependencies`.
///
/// ```
/// # mod tests {
/// use purlin::prelude::*;
/// use purlin_test::Sim;
///
/// #[purlin::test]
/// async fn a_process_ends_when_its_body_returns() {
///     let process = process::spawn(async |_: Mailbox<()>| {});
///     assert_eq!(process.wait().await, ExitReason::Normal);
///     assert!(!process.is_alive());
/// }
///
/// #[purlin::test(sim, seeds = 500)]
/// async fn sleeping_takes_virtual_time(sim: Sim) {
///     process::sleep(secs(3_600)).await;
///     assert!(sim.now() >= secs(3_600));
/// }
/// # }
/// ```
/// # In real time
/// On a multi-thread runtime with two workers. A test without arguments is plain code on the node, as `main` is. One that takes arguments is a
/// *process*: it has a pid, can link, monitor and trap exits, and a crash of a process that it is linked with fails it. It takes any of
///
/// * `test: Test`: children that are stopped at the end, things to do at the end, logs, telemetry;
/// * `mailbox: Mailbox<M>`: the mailbox of the test's process, for `assert_receive!` and its relatives.
///
/// # Simulated
/// With `sim` the test runs once for each seed, always as a process, on the simulated runtime: the seed decides who runs next, which messages
/// arrive first and every random number; time is virtual. A failing seed is printed with a command that runs it again, and with the story of
/// its shortest schedule. Beside the other two it may take `sim: Sim`.
///
/// A test that is a process must leave nothing behind: processes, names or timers that are still there at its end fail it.
///
/// # Options
/// * `sim`: on the simulated runtime.
/// * `seeds = 500`: how many seeds; 100 by default.
/// * `with = settings`: a function from `Simulation` to `Simulation`, which chooses the scheduler and faults.
/// * `allow_leaks`: processes, names and timers may be left at the end.
/// * `worker_threads = 4`, in real time: threads of the runtime.
/// * `crate = path`: where to find the crate `purlin_test`; `::purlin_test` otherwise.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    runtime::test(options.into(), item.into()).into()
}
