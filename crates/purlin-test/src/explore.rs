//! Runs a test for many seeds, and makes the most of a failure.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
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

/// How many steps a run may take by default: some seconds of work.
pub(crate) const MOST_STEPS: u64 = 1_000_000;

/// How many steps all the runs that make a schedule plainer may take together.
const SHRINKING_STEPS: u64 = 2_000_000;

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
    /// How many events before those are not kept.
    forgotten: u64,
    test: Option<Pid>,
    logs: String,
    steps: u64,
    /// The hash tells also who ran when.
    fine: bool,
    /// The limit of steps ended it.
    exhausted: bool,
}

impl Ran {
    /// What happened, for people.
    fn story(&self) -> Vec<String> {
        let mut story = story::tell(&self.events, self.test);
        if self.forgotten > 0 {
            story.insert(0, format!("... {} events before are not kept ...", self.forgotten));
        }
        story
    }

    /// Did the two runs do the same? What a failure says is not compared: it may tell numbers of the program as a whole, such as that of a tokio
    /// task, or of another node in a pid.
    fn is_like(&self, other: &Ran) -> bool {
        let end = |ran: &Ran| ran.failure.as_ref().map(|failure| failure.place.clone());
        self.hash == other.hash && end(self) == end(other)
    }
}

/// One of the ways to run a seed.
#[derive(Clone, Default)]
struct How {
    tape: Option<Vec<u32>>,
    trace: bool,
    slow: bool,
    backtraces: bool,
    /// The run is compared with another one.
    fine: bool,
    /// Another limit of steps than the simulation's.
    most_steps: Option<u64>,
}

/// Runs a simulation's seeds; the first failure ends it.
pub(crate) fn explore(simulation: &Simulation, body: &Body) {
    let name = &simulation.name;
    assert!(
        tokio::runtime::Handle::try_current().is_err(),
        "{name}: a simulation has a runtime of its own, and cannot be run inside another one: no `Sim::run` in a `#[tokio::test]`, nor in another \
         simulated test"
    );
    if let Some(file) = seeds::replay().or_else(|| simulation.replay.clone()) {
        return replay(simulation, body, &file);
    }
    let (seeds, chosen) = seeds::of(name, simulation.seeds);
    let count = seeds.len();
    for (index, seed) in seeds.into_iter().enumerate() {
        let twice = simulation.twice > 0 && index % simulation.twice == 0;
        let how = How { backtraces: chosen, trace: chosen, fine: twice, ..How::default() };
        let ran = run(simulation, body, seed, &how);
        if let Some(failure) = &ran.failure {
            eprintln!("{name}: failed with {}={seed:#x} (run {} of {count})", seeds::ONE, index + 1);
            if chosen {
                report_once(&ran, failure);
                eprintln!("  the run:");
                eprint!("{}", story::shortened(&ran.story()));
            } else {
                investigate(simulation, body, seed, &ran, failure);
            }
            fail(failure);
        }
        if twice {
            let again = run(simulation, body, seed, &How { slow: true, fine: true, ..How::default() });
            if !again.is_like(&ran) {
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
    eprintln!("  {}", indented(&failure.text()));
    print_logs(&ran.logs);
}

/// Further lines stand under the first one.
fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
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
    let again = run(simulation, body, seed, &How { fine: ran.fine, ..How::default() });
    if !again.is_like(ran) {
        eprintln!("  {}", indented(&failure.text()));
        differ(simulation, body, seed);
    }
    // A schedule that never comes to its end has no short form.
    let most_runs = if ran.exhausted { 0 } else { simulation.most_shrinking };
    let (most_steps, mut left) = (simulation.most_steps.min(ran.steps * 10 + 1000), SHRINKING_STEPS);
    let mut runs = 0;
    let (tape, _) = shrink(ran.tape.clone(), most_runs, |tape| {
        if left == 0 {
            return None;
        }
        runs += 1;
        let how = How { tape: Some(tape.to_vec()), most_steps: Some(most_steps), ..How::default() };
        let ran = run(simulation, body, seed, &how);
        left = left.saturating_sub(ran.steps);
        ran.failure.filter(|other| other.is_like(failure)).map(|_| ran.tape)
    });
    let small = run(simulation, body, seed, &How { tape: Some(tape.clone()), trace: true, ..How::default() });
    let told = small.story();
    let failure = small.failure.as_ref().unwrap_or(failure);
    eprintln!("  {}", indented(&failure.text()));
    print_logs(&small.logs);
    let choices = ran.tape.len();
    match tape.iter().filter(|way| **way != 0).count() {
        _ if ran.exhausted => eprintln!("  the run:"),
        0 => eprintln!("  no choice of the schedule matters: it fails in the plainest one too, which is:"),
        matter => {
            eprintln!("  the schedule, of {choices} choices, shrunk to {matter} that matter in {runs} runs:")
        },
    }
    eprint!("{}", story::shortened(&told));
    let short_name = simulation.name.rsplit("::").next().unwrap_or(&simulation.name);
    eprintln!("  to run this seed again:     {}={seed:#x} cargo test {short_name}", seeds::ONE);
    if ran.exhausted {
        return;
    }
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
    let how = How { trace: true, fine: true, ..How::default() };
    let one = run(simulation, body, seed, &how);
    let two = run(simulation, body, seed, &How { slow: true, ..how });
    let (left, right) = (one.story(), two.story());
    let what = match left.iter().zip(&right).position(|(a, b)| a != b) {
        None if left.len() == right.len() && one.hash != two.hash => {
            "Two runs of the seed differ in when their processes run, though not in what they do.".to_owned()
        },
        None if left.len() == right.len() => {
            "Two runs of the seed differed; two more, made to see where, did the same as each other."
                .to_owned()
        },
        at => {
            let at = at.unwrap_or(left.len().min(right.len()));
            let line =
                |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(the run is over)".to_owned());
            format!(
                "Two runs of the seed differ after {at} lines of their story.\n  one: {}\n  two: {}",
                line(&left),
                line(&right)
            )
        },
    };
    let text = format!(
        "{}: uncontrolled nondeterminism of seed {seed:#x}. {what}\n\
         Something that the seed does not decide has a say: another thread, the standard library's clock or HashMap (use `node.now()`, \
         `purlin::hash::HashMap`), `tokio::select!` without `biased` (use `purlin::select!`), `rand` without a fixed seed (use `node.random()`), \
         a static variable, or addresses of memory",
        simulation.name,
    );
    // No panic hook: its backtrace would be of this file.
    eprintln!("{text}");
    resume_unwind(Box::new(text));
}

/// Runs a recorded schedule, once.
fn replay(simulation: &Simulation, body: &Body, file: &Path) {
    let (of, seed, tape) = schedule::load(file)
        .unwrap_or_else(|error| panic!("the recorded schedule {}: {error}", file.display()));
    // A schedule that the test itself names may have been recorded by a test of another name.
    let foreign = of.filter(|of| simulation.replay.is_none() && *of != simulation.name);
    if let Some(of) = foreign {
        panic!(
            "the recorded schedule {} is of the test `{of}`, not of `{}`",
            file.display(),
            simulation.name
        );
    }
    let ran = run(
        simulation,
        body,
        seed,
        &How { tape: Some(tape), trace: true, backtraces: true, ..How::default() },
    );
    let told = ran.story();
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
        fine: how.fine,
        most_steps: Some(how.most_steps.unwrap_or(simulation.most_steps)),
    });
    let judged = Judged::default();
    let mut events = Vec::new();
    let (failure, test, exhausted) = runtime.block_on(async {
        let node =
            Node::builder().name(&simulation.name).simulated_in(&world).backtraces(how.backtraces).stderr_reports(false).start();
        let helpers = Test::__new(&node, &simulation.name, logs.clone());
        let spare = world.clone();
        helpers.spares_with(move |pid| spare.spare(pid));
        if simulation.leaks {
            helpers.allow_leaks();
        }
        let sim = Sim::in_world(seed, &node, &world, &helpers);
        let (failure, test, exhausted) = node.scope(body_and_end(simulation, &world, body, sim, &judged)).await;
        world.calm();
        let others = STARTED.with_borrow_mut(std::mem::take);
        let finished = if exhausted {
            events = world.events();
            // One that goes round and round would keep every orderly end from coming.
            for node in others.iter().chain([&node]) {
                node.scope(async { process::processes().into_iter().for_each(|pid| process::exit(pid, ExitReason::Kill)) }).await;
            }
            world.lift();
            Ok(())
        } else {
            node.scope(helpers.finish()).await
        };
        for node in others {
            node.shutdown().await;
        }
        node.shutdown().await;
        if logs.contains(NO_SOCKETS) {
            world.report(
                "it used a socket or waited for a signal of the system, and there are none in virtual time: a real answer would come after \
                 every timeout. The crash report in the logs says who did; with PURLIN_SIM_SEED it has a backtrace"
                    .to_owned(),
            );
        }
        let left = world.left();
        let failure = if left.is_empty() {
            failure.or(finished.err().map(Failure::plain))
        } else {
            Some(Failure::plain(format!("the test left the simulation: {}", left.join("; "))))
        };
        (failure, test, exhausted)
    });
    let logs = if failure.is_some() { logs.to_string() } else { String::new() };
    Ran {
        failure,
        tape: world.tape(),
        hash: world.hash(),
        events: if exhausted { events } else { world.events() },
        forgotten: world.forgotten(),
        test: Some(test),
        logs,
        steps: world.steps(),
        fine: how.fine,
        exhausted,
    }
}

/// Runs the body's process to its end, and what is linked with it.
async fn body_and_end(
    simulation: &Simulation,
    world: &World,
    body: &Body,
    sim: Sim,
    judged: &Judged,
) -> (Option<Failure>, Pid, bool) {
    let patience = simulation.patience;
    let test = body(sim, judged.clone());
    world.spare(test);
    world.watch(test);
    let mut end = Box::pin(process::wait(test));
    let ended = loop {
        let runs = world.runs_of_watched();
        let ended = match either(tokio::time::timeout(patience, &mut end), world.exhausted()).await {
            Ok(ended) => ended,
            Err(busy) => return (Some(goes_round(world.steps(), &busy)), test, true),
        };
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
            "the test waits for something that never happens, or for something outside, such as another thread: it has been idle for \
             {} of virtual time. Alive: {}",
            days(patience),
            alive().join(", ")
        ))),
    };
    (failure, test, false)
}

/// What comes of the one that is done first; of the first one, if both are.
async fn either<A: Future, B: Future>(a: A, b: B) -> Result<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| match a.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => b.as_mut().poll(cx).map(Err),
    })
    .await
}

/// The failure of a run that used up its steps; `busy` took the last ones.
fn goes_round(steps: u64, busy: &[(Pid, String, u64)]) -> Failure {
    let last: u64 = busy.iter().map(|(_, _, times)| times).sum();
    let who: Vec<String> =
        busy.iter().take(5).map(|(pid, kind, times)| format!("{pid} ({kind}) {times} times")).collect();
    Failure::plain(format!(
        "the run does not come to its end: {steps} steps, and the test's body is not done. Among the last {last} ran {}. Something goes round \
         and round, or ticks while the test waits for long; `most_steps` of the simulation sets the limit",
        who.join(", ")
    ))
}

/// A length of time, in days if it has only those.
fn days(time: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match (time.as_secs(), time.subsec_nanos()) {
        (seconds, 0) if seconds >= 2 * DAY && seconds.is_multiple_of(DAY) => {
            format!("{} days", seconds / DAY)
        },
        _ => format!("{time:?}"),
    }
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
