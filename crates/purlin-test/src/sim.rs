//! A simulated run, as its test sees it, and how runs are set up.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use purlin_core::sim::{Faults, Scheduler, World};
use purlin_core::{Mailbox, Node, Pid};

use crate::explore::{self, Body, Judged};
use crate::outcome::Outcome;
use crate::seeds;
use crate::test::Test;

/// The simulated run that a test's body is in. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    seed: u64,
    node: Node,
    world: Arc<World>,
    test: Test,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).field("node", &self.node).finish()
    }
}

impl Sim {
    pub(crate) fn in_world(seed: u64, node: &Node, world: &Arc<World>, test: &Test) -> Sim {
        Sim { seed, node: node.clone(), world: world.clone(), test: test.clone() }
    }

    /// Settings of simulated runs that are started by hand; see [`Simulation`].
    ///
    /// ```
    /// use purlin_test::Sim;
    /// Sim::new().seeds(10).run(async |sim| assert!(sim.node().is_simulated()));
    /// ```
    #[allow(clippy::new_ret_no_self, reason = "a run is made by its simulation")]
    #[track_caller]
    pub fn new() -> Simulation {
        // Under cargo's tests a thread has its test's name.
        let thread = std::thread::current();
        let at = std::panic::Location::caller();
        match thread.name().filter(|name| *name != "main") {
            Some(name) => Simulation::named(name),
            None => Simulation::named(&format!("{}:{}", at.file(), at.line())),
        }
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The node of this run, on which the test's body is a process.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The helpers of this run: supervised children, logs, telemetry, what is to be done at the end.
    pub fn test(&self) -> Test {
        self.test.clone()
    }

    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.node.now()
    }

    /// A number that only the seed decides, for a test that wants to vary its input.
    pub fn random(&self) -> u64 {
        self.node.random()
    }

    /// Starts another node in the same world: one thread, one clock, one scheduler, which picks among the processes of all nodes. It is stopped
    /// at the end of the run.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).run(async |sim: Sim| {
    ///     let other = sim.start_node("other");
    ///     let there = other.scope(async { process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 7)) }).await;
    ///     there.send(7);
    ///     assert!(there.wait().await.is_normal());
    /// });
    /// ```
    pub fn start_node(&self, name: &str) -> Node {
        let node = Node::builder().name(name).simulated_in(&self.world).stderr_reports(false).start();
        explore::keep(&node);
        node
    }

    /// No fault hits this process; the test's own is spared anyway.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).kill_random(1.0).run(async |sim: Sim| {
    ///     let spared = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    ///     sim.spare(spared.pid());
    ///     process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).wait().await;
    ///     assert!(spared.is_alive());
    ///     spared.send(());
    ///     spared.wait().await;
    /// });
    /// ```
    pub fn spare(&self, pid: Pid) {
        self.world.spare(pid);
    }

    /// How many times a process was picked to run, or a message to arrive, so far.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(1).run(async |sim: Sim| {
    ///     let before = sim.steps();
    ///     process::yield_now().await;
    ///     assert!(sim.steps() > before);
    /// });
    /// ```
    pub fn steps(&self) -> u64 {
        self.world.steps()
    }
}

/// How a test is simulated: how many seeds, which scheduler, which faults. From [`Sim::new`], or in an attribute:
///
/// ```
/// # mod tests {
/// # use purlin::prelude::*;
/// use purlin_test::{Sim, Simulation};
///
/// fn rough(simulation: Simulation) -> Simulation {
///     simulation.kill_random(0.01).delay_messages(0.05, millis(50))
/// }
///
/// #[purlin::test(sim, seeds = 500, with = rough)]
/// async fn it_survives(sim: Sim) { /* .. */ }
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "`run` runs it"]
pub struct Simulation {
    pub(crate) name: String,
    pub(crate) seeds: usize,
    pub(crate) scheduler: Scheduler,
    pub(crate) wires: Option<bool>,
    pub(crate) faults: Faults,
    pub(crate) replay: Option<PathBuf>,
    pub(crate) twice: usize,
    pub(crate) most_shrinking: usize,
    pub(crate) leaks: bool,
    pub(crate) patience: Duration,
    pub(crate) most_steps: u64,
}

impl Simulation {
    pub(crate) fn named(name: &str) -> Simulation {
        Simulation {
            name: name.to_owned(),
            seeds: seeds::DEFAULT_SEEDS,
            scheduler: Scheduler::BySeed,
            wires: None,
            faults: Faults::default(),
            replay: None,
            twice: 64,
            most_shrinking: 1000,
            leaks: false,
            patience: explore::PATIENCE,
            most_steps: explore::MOST_STEPS,
        }
    }

    /// How many seeds to run; 100 by default. `PURLIN_SIM_SEEDS` overrides it.
    ///
    /// # Panics
    /// For 0: a test that runs nothing proves nothing.
    #[track_caller]
    pub fn seeds(mut self, seeds: usize) -> Self {
        assert!(seeds > 0, "a simulation with 0 seeds runs nothing");
        self.seeds = seeds;
        self
    }

    /// The name in reports, from which the seeds are made.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// How the next process is picked; [`Scheduler::BySeed`] by default.
    ///
    /// ```
    /// use purlin_test::{Scheduler, Sim};
    /// Sim::new().seeds(10).scheduler(Scheduler::Pct(3)).run(async |_| {});
    /// Sim::new().seeds(1).scheduler(Scheduler::Fifo).run(async |_| {});
    /// ```
    pub fn scheduler(mut self, scheduler: Scheduler) -> Self {
        self.scheduler = scheduler;
        self
    }

    /// Whether messages and signals arrive at a time that the scheduler picks (in order between two processes), or when they are sent. By default
    /// the seed decides.
    ///
    /// ```
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).signals_on_their_way(true).run(async |_| {});
    /// ```
    pub fn signals_on_their_way(mut self, on: bool) -> Self {
        self.wires = Some(on);
        self
    }

    /// Kills a process at random with this probability per step; not supervisors, and not the test itself. See [`Sim::spare`].
    #[track_caller]
    pub fn kill_random(mut self, probability: f64) -> Self {
        self.faults.kill = checked(probability);
        self
    }

    /// Panics at the entry of a GenServer's handler with this probability; not a supervisor's.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// # struct Counter;
    /// # #[gen_server]
    /// # impl Counter {
    /// #     fn init(_: ()) -> Self { Counter }
    /// #     #[call]
    /// #     fn ping(&mut self) {}
    /// # }
    /// Sim::new().seeds(10).panic_random(1.0).run(async |_| {
    ///     let counter = Counter::start(()).await.unwrap();
    ///     assert!(matches!(counter.ping().await.unwrap_err().kind(), CallErrorKind::Exit(ExitReason::Panic(_))));
    /// });
    /// ```
    #[track_caller]
    pub fn panic_random(mut self, probability: f64) -> Self {
        self.faults.panic = checked(probability);
        self
    }

    /// Holds a message back, with this probability, for up to `most` of virtual time. What the same sender sends the same receiver afterwards
    /// waits behind it.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).delay_messages(1.0, secs(1)).run(async |sim: Sim| {
    ///     let late = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    ///     late.send(());
    ///     late.wait().await;
    ///     assert!(sim.now() > secs(0) && sim.now() <= secs(1) + millis(1));
    /// });
    /// ```
    #[track_caller]
    pub fn delay_messages(mut self, probability: f64, most: Duration) -> Self {
        self.faults.delay = (checked(probability), most);
        self
    }

    /// Lets the clock jump forward by up to `most` at a step, with this probability: as if the machine had been suspended.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).clock_jumps(1.0, secs(60)).run(async |sim: Sim| {
    ///     process::spawn(async |_: Mailbox<()>| {}).wait().await;
    ///     assert!(sim.now() > secs(3));
    /// });
    /// ```
    #[track_caller]
    pub fn clock_jumps(mut self, probability: f64, most: Duration) -> Self {
        self.faults.clock_jump = (checked(probability), most);
        self
    }

    /// Makes the choices of a recorded schedule, once, instead of running seeds. `PURLIN_SIM_REPLAY` does the same.
    ///
    /// ```no_run
    /// # use purlin_test::Sim;
    /// # async fn transfer(_: Sim) {}
    /// Sim::new().replay("tests/schedules/transfer.sim").run(transfer);
    /// ```
    pub fn replay(mut self, file: impl Into<PathBuf>) -> Self {
        self.replay = Some(file.into());
        self
    }

    /// Runs the first seed, and one of this many, twice, and fails if the two runs differ; 64 by default, 0 for never. The second
    /// run loses some real time now and then, so that code which looks at the real clock is found out.
    ///
    /// ```should_panic
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(10).check_one_in(1).run(async |_| {
    ///     let chance = std::collections::HashSet::from([1, 2, 3, 4, 5, 6, 7, 8]).into_iter().next();
    ///     process::sleep(secs(chance.unwrap())).await;                   // another time in each run
    /// });
    /// ```
    pub fn check_one_in(mut self, seeds: usize) -> Self {
        self.twice = seeds;
        self
    }

    /// How many runs may be spent on making a failing schedule plainer; 1,000 by default.
    ///
    /// ```
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(1).shrinking_runs(0).run(async |_| {});
    /// ```
    pub fn shrinking_runs(mut self, most: usize) -> Self {
        self.most_shrinking = most;
        self
    }

    /// How long the test's body may be idle in virtual time before the run fails as one that waits for something that never happens; 40 days by
    /// default.
    ///
    /// ```
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(1).patience(secs(365 * 24 * 3600)).run(async |_| process::sleep(secs(100 * 24 * 3600)).await);
    /// ```
    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// How many steps (a process runs, a message arrives) a run may take before it fails as one that goes round and round; a million by default,
    /// some seconds of work. A server that ticks every second takes three million in a month.
    ///
    /// ```should_panic
    /// # use purlin::prelude::*;
    /// # use purlin_test::Sim;
    /// Sim::new().seeds(1).most_steps(10_000).run(async |sim: Sim| {
    ///     while sim.now() < secs(1) {
    ///         process::yield_now().await;                               // which takes no virtual time
    ///     }
    /// });
    /// ```
    pub fn most_steps(mut self, steps: u64) -> Self {
        self.most_steps = steps;
        self
    }

    /// Processes, names and timers may be left when the test's body is done.
    pub fn allow_leaks(mut self) -> Self {
        self.leaks = true;
        self
    }

    /// Runs `body` once for each seed, as a process on a node of its own.
    ///
    /// # Panics
    /// When a run fails: with the message of that run, after a report on stderr.
    pub fn run<F, Fut>(self, body: F)
    where
        F: Fn(Sim) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        self.run_with(move |sim, _: Mailbox<()>| body(sim));
    }

    /// [`run`](Self::run) with the mailbox of the test's process.
    ///
    /// ```
    /// use purlin_core::{Mailbox, process};
    /// use purlin_test::Sim;
    /// Sim::new().seeds(10).run_with(async |_, mut mailbox: Mailbox<u8>| {
    ///     let test = mailbox.address();
    ///     process::spawn(async move |_: Mailbox<()>| test.send(7));
    ///     assert_eq!(mailbox.receive().await, 7);
    /// });
    /// ```
    ///
    /// # Panics
    /// As `run` does.
    pub fn run_with<M, F, Fut>(self, body: F)
    where
        M: Send + 'static,
        F: Fn(Sim, Mailbox<M>) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Outcome,
    {
        explore::explore(&self, &body_of(body));
    }
}

/// The body as what a run starts: a process, which leaves its verdict behind.
pub(crate) fn body_of<M, F, Fut>(body: F) -> Body
where
    M: Send + 'static,
    F: Fn(Sim, Mailbox<M>) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome,
{
    let body = Arc::new(body);
    Box::new(move |sim, judged: Judged| {
        let body = body.clone();
        purlin_core::process::spawn(async move |mailbox: Mailbox<M>| {
            let test = sim.test();
            test.runs_in(mailbox.pid());
            let verdict = body(sim, mailbox).await.judge();
            judged.set(verdict);
            test.body_returned();
        })
        .pid()
    })
}

/// Runs the body of a simulated test under the attribute.
#[doc(hidden)]
pub fn run_sim<M, F, Fut>(
    name: &str,
    seeds: Option<usize>,
    with: impl FnOnce(Simulation) -> Simulation,
    body: F,
) where
    M: Send + 'static,
    F: Fn(Sim, Test, Mailbox<M>) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Outcome,
{
    let mut simulation = Simulation::named(name);
    if let Some(seeds) = seeds {
        simulation = simulation.seeds(seeds);
    }
    with(simulation).run_with(move |sim: Sim, mailbox| {
        let test = sim.test();
        body(sim, test, mailbox)
    });
}

#[track_caller]
fn checked(probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a probability is from 0 to 1, not {probability}");
    probability
}
