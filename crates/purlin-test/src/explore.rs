//! Runs a test for many seeds, and makes the most of a failure.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use purlin_core::sim::{Event, Settings, World};
use purlin_core::{ExitReason, Node, Pid, process};
use tokio::runtime::Builder;

use crate::logs::Logs;
use crate::shrink::shrink;
use crate::sim::{Sim, Simulation};
use crate::test::Test;
use crate::{schedule, seeds, story};

/// How long a test's body may be idle by default, in virtual time: more than the month that tests like to wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40 * 24 * 60 * 60);

/// Starts the body as a process of the current node.
pub(crate) type Body = Box<dyn Fn(Sim, Judged) -> Pid>;

/// Where a body that has come to its end leaves what it found.
#[derive(Clone, Default)]
pub(crate) struct Judged(Arc<Mutex<Option<Result<(), String>>>>);

impl Judged {
    pub(crate) fn set(&self, verdict: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
    }

    pub(crate) fn take(&self) -> Option<Result<(), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What tokio says of a socket on a runtime without I/O.
const NO_SOCKETS: &str = "but IO is disabled";

thread_local! {
    /// The nodes that the present run's body has started, to be stopped with it.
    static STARTED: RefCell<Vec<Node>> = const { RefCell::new(Vec::new()) };
}

/// Stops this node at the end of the present run.
pub(crate) fn keep(node: &Node) {
    STARTED.with_borrow_mut(|nodes| nodes.push(node.clone()));
}

/// Why a run failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// What a person reads.
    pub(crate) message: String,
    /// Where, if it was a panic. Two failures of one place are the same failure.
    place: Option<String>,
}

impl Failure {
    fn is_like(&self, other: &Failure) -> bool {
        match (&self.place, &other.place) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, None) => self.message == other.message,
            _ => false,
        }
    }

    /// What the end of the test's process says.
    pub(crate) fn of(reason: &ExitReason) -> Failure {
        match reason.panic_info() {
            Some(info) => Failure { message: info.message.clone(), place: info.location.clone() },
            None => Failure {
                message: format!("the test's process ended before its body did: {reason}"),
                place: None,
            },
        }
    }

    pub(crate) fn plain(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), place: None }
    }

    /// With its place.
    pub(crate) fn text(&self) -> String {
        match &self.place {
            Some(place) => format!("panicked at {place}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// What came of one run.
struct Ran {
    failure: Option<Failure>,
    tape: Vec<u32>,
    hash: u64,
    events: Vec<Event>,
    test: Option<Pid>,
    logs: String,
}

/// One of the ways to run a seed.
#[derive(Clone, Default)]
struct How {
    tape: Option<Vec<u32>>,
    trace: bool,
    slow: bool,
    backtraces: bool,
}

/// Runs a simulation's seeds; the first failure ends it.
pub(crate) fn explore(simulation: &Simulation, body: &Body) {
    let name = &simulation.name;
    if let Some(file) = seeds::replay().or_else(|| simulation.replay.clone()) {
        return replay(simulation, body, &file);
    }
    let (seeds, chosen) = seeds::of(name, simulation.seeds);
    let count = seeds.len();
    for (index, seed) in seeds.into_iter().enumerate() {
        let ran = run(simulation, body, seed, &How { backtraces: chosen, ..How::default() });
        let twice = simulation.twice > 0 && index % simulation.twice == 0;
        if let Some(failure) = &ran.failure {
            eprintln!("{name}: failed with {}={seed:#x} (run {} of {count})", seeds::ONE, index + 1);
            if chosen {
                report_once(&ran, failure);
            } else {
                investigate(simulation, body, seed, &ran, failure);
            }
            fail(failure);
        }
        if twice {
            let again = run(simulation, body, seed, &How { slow: true, ..How::default() });
            if again.hash != ran.hash || again.failure != ran.failure {
                differ(simulation, body, seed);
            }
        }
    }
}

/// Ends the test as its failing run ended.
fn fail(failure: &Failure) -> ! {
    resume_unwind(Box::new(failure.message.clone()))
}

/// A seed that a person asked for: no shrinking, so that what the test prints is printed once.
fn report_once(ran: &Ran, failure: &Failure) {
    eprintln!("  {}", failure.text());
    print_logs(&ran.logs);
}

fn print_logs(logs: &str) {
    if !logs.is_empty() {
        eprintln!("  logged:");
        for line in logs.lines() {
            eprintln!("    {line}");
        }
    }
}

/// Runs a failing seed again, shrinks its schedule, and tells all there is to tell.
fn investigate(simulation: &Simulation, body: &Body, seed: u64, ran: &Ran, failure: &Failure) {
    let again = run(simulation, body, seed, &How::default());
    if again.hash != ran.hash || again.failure != ran.failure {
        eprintln!("  {}", failure.text());
        differ(simulation, body, seed);
    }
    let (tape, runs) = shrink(ran.tape.clone(), simulation.most_shrinking, |tape| {
        let ran = run(simulation, body, seed, &How { tape: Some(tape.to_vec()), ..How::default() });
        ran.failure.filter(|other| other.is_like(failure)).map(|_| ran.tape)
    });
    let small = run(simulation, body, seed, &How { tape: Some(tape.clone()), trace: true, ..How::default() });
    let told = story::tell(&small.events, small.test);
    let failure = small.failure.as_ref().unwrap_or(failure);
    eprintln!("  {}", failure.text());
    print_logs(&small.logs);
    eprintln!(
        "  the schedule, of {} choices, shrunk to {} that matter in {runs} runs:",
        ran.tape.len(),
        tape.iter().filter(|way| **way != 0).count()
    );
    eprint!("{}", story::shortened(&told));
    let short_name = simulation.name.rsplit("::").next().unwrap_or(&simulation.name);
    eprintln!("  to run this seed again:     {}={seed:#x} cargo test {short_name}", seeds::ONE);
    match schedule::save(&simulation.name, seed, &tape, &told) {
        Ok(file) => {
            eprintln!(
                "  to run the short schedule:  {}={} cargo test {short_name}",
                seeds::FILE,
                file.display()
            );
        },
        Err(error) => eprintln!("  the short schedule could not be kept: {error}"),
    }
}

/// Two runs of one seed differed: finds where, and fails.
fn differ(simulation: &Simulation, body: &Body, seed: u64) -> ! {
    let how = How { trace: true, ..How::default() };
    let one = run(simulation, body, seed, &how);
    let two = run(simulation, body, seed, &How { slow: true, ..how });
    let (left, right) = (story::tell(&one.events, one.test), story::tell(&two.events, two.test));
    let at = left.iter().zip(&right).position(|(a, b)| a != b).unwrap_or(left.len().min(right.len()));
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(the run is over)".to_owned());
    panic!(
        "{}: uncontrolled nondeterminism: two runs of seed {seed:#x} differ after {at} events.\n  one: {}\n  two: {}\n\
         Something that the seed does not decide has a say: the standard library's clock or HashMap (use `node.now()`, `purlin::hash::HashMap`), \
         `tokio::select!` without `biased` (use `purlin::select!`), `rand` without a fixed seed (use `node.random()`), a static variable, \
         or addresses of memory",
        simulation.name,
        line(&left),
        line(&right),
    )
}

/// Runs a recorded schedule, once.
fn replay(simulation: &Simulation, body: &Body, file: &Path) {
    let (seed, tape) = schedule::load(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let ran =
        run(simulation, body, seed, &How { tape: Some(tape), trace: true, backtraces: true, slow: false });
    let told = story::tell(&ran.events, ran.test);
    let name = &simulation.name;
    match &ran.failure {
        None => eprintln!("{name}: the schedule of {} does not fail", file.display()),
        Some(failure) => {
            eprintln!("{name}: the schedule of {} fails", file.display());
            eprint!("{}", story::shortened(&told));
            report_once(&ran, failure);
            fail(failure);
        },
    }
}

/// One run.
fn run(simulation: &Simulation, body: &Body, seed: u64, how: &How) -> Ran {
    // Without I/O on purpose: a paused clock would time out every socket at once.
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a test needs a runtime");
    let logs = Logs::new();
    let _logging = logs.enter();
    let world = World::new(Settings {
        seed,
        scheduler: simulation.scheduler,
        wires: simulation.wires,
        faults: simulation.faults.clone(),
        tape: how.tape.clone(),
        trace: how.trace,
        slow: how.slow,
    });
    let judged = Judged::default();
    let (failure, test) = runtime.block_on(async {
        let node =
            Node::builder().name(&simulation.name).simulated_in(&world).backtraces(how.backtraces).stderr_reports(false).start();
        let helpers = Test::__new(&node, &simulation.name, logs.clone());
        let spare = world.clone();
        helpers.spares_with(move |pid| spare.spare(pid));
        if simulation.leaks {
            helpers.allow_leaks();
        }
        let sim = Sim::in_world(seed, &node, &world, &helpers);
        let (failure, test) = node.scope(body_and_end(simulation.patience, &world, body, sim, &judged)).await;
        world.calm();
        let finished = node.scope(helpers.finish()).await;
        for node in STARTED.with_borrow_mut(std::mem::take) {
            node.shutdown().await;
        }
        node.shutdown().await;
        if logs.contains(NO_SOCKETS) {
            world.report("it used a socket, and there are none in virtual time: a real answer would come after every timeout".to_owned());
        }
        let left = world.left();
        let failure = if left.is_empty() {
            failure.or(finished.err().map(Failure::plain))
        } else {
            Some(Failure::plain(format!("the test left the simulation: {}", left.join("; "))))
        };
        (failure, test)
    });
    let logs = if failure.is_some() { logs.to_string() } else { String::new() };
    Ran { failure, tape: world.tape(), hash: world.hash(), events: world.events(), test: Some(test), logs }
}

/// Runs the body's process to its end, and what is linked with it.
async fn body_and_end(
    patience: Duration,
    world: &World,
    body: &Body,
    sim: Sim,
    judged: &Judged,
) -> (Option<Failure>, Pid) {
    let test = body(sim, judged.clone());
    world.spare(test);
    world.watch(test);
    let mut end = Box::pin(process::wait(test));
    let ended = loop {
        let runs = world.runs_of_watched();
        let ended = tokio::time::timeout(patience, &mut end).await;
        if ended.is_ok() || runs == world.runs_of_watched() {
            break ended;
        }
    };
    let failure = match ended {
        Ok(reason) => match judged.take() {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(Failure::plain(error)),
            None => Some(Failure::of(&reason)),
        },
        Err(_) => Some(Failure::plain(format!(
            "the test waits for something that never happens: it has been idle for {patience:?} of virtual time. Alive: {}",
            alive().join(", ")
        ))),
    };
    (failure, test)
}

/// Who is there, and what it does.
fn alive() -> Vec<String> {
    process::processes()
        .into_iter()
        .filter_map(process::process_info)
        .map(|info| {
            let name = info.registered_name.as_deref().or(info.label.as_deref()).unwrap_or(info.initial_call);
            format!("{} ({name}, {:?}, {} in its mailbox)", info.pid, info.status, info.message_queue_len)
        })
        .collect()
}

/// Where files about failing runs go: `sim` in cargo's target directory.
pub(crate) fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/name-hash
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "deps"));
    match target.and_then(|deps| deps.ancestors().nth(2)) {
        Some(target) => target.join("sim"),
        None => std::env::temp_dir().join("purlin-sim"),
    }
}
