//! `purlin-stress memcheck`: the scenes, run in every mode.
//!
//! A scene is an async function that runs as a process and panics if something is not as it should be. Scenes wait for events, never
//! for time, except where a short deadline is what they are about.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use purlin_core::{AnyMsg, CallPath, ExitReason, GenServer, Mailbox, Node, Ref, process};

use crate::held::{self, Held};
use crate::servers::{Plan, Worker};
use crate::sink;

mod calls;
mod faults;
mod processes;
mod supervision;
mod system;

/// A scene's body, given the mailbox of the process that it runs as.
type Scene = fn(Mailbox<AnyMsg>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Name and body of every scene.
const SCENES: &[(&str, Scene)] = &[
    ("starting and stopping", |m| Box::pin(processes::starting_and_stopping(m))),
    ("raw processes", |m| Box::pin(processes::raw(m))),
    ("links", |m| Box::pin(processes::links(m))),
    ("monitors and aliases", |m| Box::pin(processes::monitors(m))),
    ("names", |m| Box::pin(processes::names(m))),
    ("timers", |m| Box::pin(processes::timers(m))),
    ("calls", |m| Box::pin(calls::calls(m))),
    ("calls from many", |m| Box::pin(calls::from_many(m))),
    ("reads from many", |m| Box::pin(calls::reads(m))),
    ("abandoned calls", |m| Box::pin(calls::abandoned(m))),
    ("deadlocks", |m| Box::pin(calls::deadlocks(m))),
    ("casts", |m| Box::pin(calls::casts(m))),
    ("bounded mailboxes", |m| Box::pin(calls::bounded(m))),
    ("panics", |m| Box::pin(faults::panics(m))),
    ("kills", |m| Box::pin(faults::kills(m))),
    ("failed starts", |m| Box::pin(faults::failed_starts(m))),
    ("full mailboxes of the dead", |m| Box::pin(faults::unread_mail(m))),
    ("sys", |m| Box::pin(system::sys(m))),
    ("telemetry", |m| Box::pin(system::telemetry(m))),
    ("locals and info", |m| Box::pin(system::locals(m))),
    ("other nodes and threads", |m| Box::pin(system::nodes(m))),
    ("supervisors", |m| Box::pin(supervision::supervisors(m))),
    ("dynamic supervisors", |m| Box::pin(supervision::dynamic(m))),
    ("registries", |m| Box::pin(supervision::registries(m))),
    ("left behind", |m| Box::pin(system::left_behind(m))),
];

/// Call path, worker threads (0: the runtime of the current thread), and whether panics capture their stack.
const MODES: &[(CallPath, usize, bool)] =
    &[(CallPath::Adaptive, 0, true), (CallPath::Direct, 2, false), (CallPath::Queued, 2, false)];

/// How long a scene may take; under valgrind one takes seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs every scene whose name contains `only`; the exit status tells whether all was well.
pub(crate) fn run(only: &str) -> ExitCode {
    sink::install();
    let begin = Instant::now();
    let mut faults = 0u32;
    for &(path, workers, backtraces) in MODES {
        let mode = format!("{path:?}, {workers} workers");
        let mut builder = match workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = match builder.worker_threads(workers.max(1)).enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("memcheck: no runtime: {error}");
                return ExitCode::from(2);
            },
        };
        runtime.block_on(async {
            let node = Node::builder()
                .name("memcheck")
                .stderr_reports(false)
                .call_path(path)
                .backtraces(backtraces)
                .start();
            for (name, scene) in SCENES.iter().filter(|(name, _)| name.contains(only)) {
                if let Err(why) = play(&node, *scene).await {
                    eprintln!("memcheck: {mode}: {name}: {why}");
                    faults += 1;
                }
            }
            // Servers that trap exits and have lost their parent do not go before they are killed.
            node.shutdown_within(Duration::from_millis(300)).await;
            let stats = node.stats();
            if (stats.processes, stats.timers) != (0, 0) {
                eprintln!("memcheck: {mode}: after shutdown: {stats:?}");
                faults += 1;
            }
        });
        drop(runtime);
        if held::live() != 0 {
            eprintln!("memcheck: {mode}: {} values were not dropped", held::live());
            faults += 1;
        }
    }
    println!(
        "memcheck: {} scenes in {} modes, {} log events, {} values left, {:.1} s: {}",
        SCENES.len(),
        MODES.len(),
        sink::events(),
        held::live(),
        begin.elapsed().as_secs_f64(),
        if faults == 0 { "passed" } else { "FAILED" }
    );
    ExitCode::from(u8::from(faults > 0))
}

/// Runs one scene as a process.
async fn play(node: &Node, scene: Scene) -> Result<(), String> {
    let work = node.scope(async move {
        struct Go;
        let actor = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.receive_as::<Go>().await;
            scene(mailbox).await;
        });
        let mut end = Box::pin(process::wait(actor.pid()));
        // Waiting before it begins: the reason of one that ends at once is not missed.
        let _ = begin(&mut end);
        actor.send(Go);
        end.await
    });
    match tokio::time::timeout(LIMIT, work).await {
        Ok(ExitReason::Normal) => Ok(()),
        Ok(reason) => Err(reason.to_string()),
        Err(_) => Err(format!("not done after {LIMIT:?}")),
    }
}

/// A value to send around.
fn held(value: u64) -> Held {
    Held::new(value)
}

/// A running worker that holds `value`.
async fn worker(value: u64) -> Ref<Worker> {
    Worker::start(Plan::Run(held(value))).await.expect("a worker starts")
}

/// Waits until the process has ended; it must have been running.
async fn ended(pid: purlin_core::Pid) {
    process::wait(pid).await;
    assert!(!process::is_alive(pid), "{pid} has ended");
}

/// Waits for other processes to get somewhere that nobody tells about.
async fn until(what: &str, mut there: impl FnMut() -> bool) {
    for _ in 0..1_000_000 {
        if there() {
            return;
        }
        process::yield_now().await;
    }
    panic!("never came true: {what}");
}

/// Polls a future once, by nobody that would be woken.
fn begin<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
