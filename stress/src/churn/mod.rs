//! `purlin-stress churn`: clients that do everything at random, in rounds of ten seconds.
//!
//! While a round runs, clients check every answer, every reason and every `Down` (see [`client`]). Between rounds, when all clients have
//! ended, nothing may be left of what they did: as many processes as before the first round, no timer, no registry entry, no value, no
//! call that was neither answered nor failed. Resident memory is read at that moment, and after the first fifth of the time, the warm-up,
//! it may grow by [`GROWTH`] at most.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use purlin_core::supervisor::Supervised;
use purlin_core::*;

use crate::held::{self, Held};
use crate::servers::{Plan, Worker};

mod actions;
mod client;
mod ledger;
mod random;

use client::Client;
use ledger::Ledger;

/// How long a round takes.
const ROUND: Duration = Duration::from_secs(10);
/// How long the node may take to become quiet after a round. Far more than it needs: it is to tell slow from stuck.
const QUIET: Duration = Duration::from_secs(30);
/// How much resident memory may grow after the warm-up: this many bytes, or this share of it, whichever is more.
const GROWTH: (u64, f64) = (8 << 20, 0.05);
/// The part of the time that is warm-up.
const WARM_UP: f64 = 0.2;

/// The servers that all clients use.
const SLOTS: [&str; 4] = ["slot 0", "slot 1", "slot 2", "slot 3"];

/// What the command line says.
pub(crate) struct Options {
    time: Duration,
    workers: usize,
    clients: u64,
    seed: u64,
}

impl Options {
    /// `None` if it says something else.
    pub(crate) fn parse(words: &[&str]) -> Option<Options> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut options =
            Options { time: Duration::ZERO, workers: 2, clients: 8, seed: now.as_nanos() as u64 };
        for pair in words.chunks(2) {
            let [name, value] = *pair else { return None };
            match name {
                "--minutes" => {
                    options.time = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * 60.0).ok()?
                },
                "--workers" => options.workers = value.parse().ok().filter(|n| *n > 0)?,
                "--clients" => options.clients = value.parse().ok().filter(|n| *n > 0)?,
                "--seed" => options.seed = value.parse().ok()?,
                _ => return None,
            }
        }
        (options.time > Duration::ZERO).then_some(options)
    }
}

/// What the clients work on.
#[derive(Clone)]
struct World {
    ledger: Arc<Ledger>,
    /// Restarts without limit.
    pool: DynamicSupervisorRef,
    keys: Registry<u64>,
    /// The round is over.
    over: Arc<AtomicBool>,
}

/// Runs rounds until the time is up; the exit status tells whether everything held.
pub(crate) fn run(options: &Options) -> ExitCode {
    println!(
        "churn: {:?} with {} workers, {} clients, seed {}",
        options.time, options.workers, options.clients, options.seed
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("churn: no runtime: {error}");
            return ExitCode::from(2);
        },
    };
    runtime.block_on(async {
        let node = Node::builder().name("churn").stderr_reports(false).start();
        let outcome = node.scope(rounds(options)).await;
        node.shutdown().await;
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("churn: FAILED: {why}");
                ExitCode::FAILURE
            },
        }
    })
}

async fn rounds(options: &Options) -> Result<(), String> {
    let node = Node::current();
    let world = build().await.map_err(|error| format!("the servers do not start: {error}"))?;
    let idle = Idle { processes: node.stats().processes, held: held::live() };
    let mut memory = Memory::default();
    let begin = Instant::now();
    let mut round = 0;
    while begin.elapsed() < options.time {
        let length = ROUND.min(options.time.saturating_sub(begin.elapsed()));
        play(&world, options, round, length).await?;
        idle.reached(&node, &world).await?;
        round += 1;
        let warming = begin.elapsed().as_secs_f64() < options.time.as_secs_f64() * WARM_UP;
        let resident = resident_bytes().ok_or("/proc/self/status does not tell the resident memory")?;
        memory.add(resident, warming);
        report(begin.elapsed(), resident, warming, &world, &node);
        if world.ledger.violations() > 0 {
            return Err(format!("{} violations, seed {}", world.ledger.violations(), options.seed));
        }
        memory.flat()?;
    }
    println!(
        "churn: passed: {round} rounds, {} actions, {} calls, no violation; after the warm-up at {} MiB it grew by {} KiB at most",
        world.ledger.actions.load(Ordering::Relaxed),
        world.ledger.calls.load(Ordering::Relaxed),
        memory.warm >> 20,
        memory.most.saturating_sub(memory.warm) >> 10,
    );
    Ok(())
}

/// Starts what the clients work on.
async fn build() -> Result<World, StartError> {
    let mut slots = Supervisor::one_for_one().max_restarts(u32::MAX, secs(1));
    for name in SLOTS {
        slots = slots.child(Worker::child_spec(Plan::Run(Held::new(0))).name(name));
    }
    slots.start().await?;
    Ok(World {
        ledger: Arc::default(),
        pool: DynamicSupervisor::new().max_restarts(u32::MAX, secs(1)).start().await?,
        keys: Registry::unique("keys").partitions(2).start().await?,
        over: Arc::default(),
    })
}

/// One round: half of the clients are processes, the others tasks of the runtime.
async fn play(world: &World, options: &Options, round: u64, length: Duration) -> Result<(), String> {
    world.over.store(false, Ordering::SeqCst);
    let node = Node::current();
    let mut clients = Vec::new();
    for index in 0..options.clients {
        let random = random::Random::new(options.seed, round * options.clients + index);
        let client = Client::new(world.clone(), index, random);
        let (done, told) = tokio::sync::oneshot::channel();
        if index % 2 == 0 {
            process::spawn(async move |mailbox: Mailbox<AnyMsg>| {
                process::set_label_text(format!("client {index}"));
                client.process(mailbox).await;
                // Whoever waits for it may have given up.
                let _ = done.send(());
            });
        } else {
            tokio::spawn(node.scope(async move {
                client.task().await;
                let _ = done.send(());
            }));
        }
        clients.push(told);
    }
    tokio::time::sleep(length).await;
    world.over.store(true, Ordering::SeqCst);
    for (index, told) in clients.into_iter().enumerate() {
        match tokio::time::timeout(QUIET, told).await {
            Ok(Ok(())) => {},
            Ok(Err(_)) => {
                return Err(format!("client {index} crashed in round {round}, seed {}", options.seed));
            },
            Err(_) => {
                return Err(format!(
                    "client {index} is stuck in round {round}, seed {}; {}",
                    options.seed,
                    left()
                ));
            },
        }
    }
    Ok(())
}

/// The processes there are, for a person who has to find out why.
fn left() -> String {
    let infos = process::processes().into_iter().filter_map(process::process_info).take(30);
    infos.map(|info| format!("\n  {info:?}")).collect()
}

/// The node before the first round, and between rounds.
struct Idle {
    processes: usize,
    held: i64,
}

impl Idle {
    /// Waits until nothing is left of a round.
    async fn reached(&self, node: &Node, world: &World) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let stats = node.stats();
            let keys = world.keys.count().map_err(|error| format!("the registry: {error}"))?;
            let (values, open) = (held::live() - self.held, world.ledger.open());
            if (stats.processes, stats.timers, keys, values, open) == (self.processes, 0, 0, 0, 0) {
                return Ok(());
            }
            if begin.elapsed() > QUIET {
                return Err(format!(
                    "after a round there are {} processes instead of {}, {} timers, {keys} registry entries, {values} values too many, \
                     {open} open calls;{}",
                    stats.processes,
                    self.processes,
                    stats.timers,
                    left()
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Resident memory at the end of each round.
#[derive(Default)]
struct Memory {
    /// The most of the warm-up.
    warm: u64,
    /// The most since.
    most: u64,
}

impl Memory {
    fn add(&mut self, resident: u64, warming: bool) {
        // The first figure is taken in any case: a short run has no round that ends within its warm-up.
        let place = if warming || self.warm == 0 { &mut self.warm } else { &mut self.most };
        *place = resident.max(*place);
    }

    fn flat(&self) -> Result<(), String> {
        let limit = GROWTH.0.max((self.warm as f64 * GROWTH.1) as u64);
        if self.most <= self.warm + limit {
            return Ok(());
        }
        Err(format!(
            "resident memory grew from {} to {} KiB, more than {} KiB",
            self.warm >> 10,
            self.most >> 10,
            limit >> 10
        ))
    }
}

/// Resident memory of this program.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn report(at: Duration, resident: u64, warming: bool, world: &World, node: &Node) {
    let ledger = &world.ledger;
    let figure = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let stats = node.stats();
    println!(
        "churn: {:>4} s  RSS {:>6} KiB{}  {} actions, {} calls ({} failed, {} abandoned), {} crashes, {} kills, {} restarts, {} downs; \
         {} processes, {} timers, {} queued calls, {} dead letters",
        at.as_secs(),
        resident >> 10,
        if warming { " (warm-up)" } else { "" },
        figure(&ledger.actions),
        figure(&ledger.calls),
        figure(&ledger.failed),
        figure(&ledger.abandoned),
        figure(&ledger.crashes),
        figure(&ledger.kills),
        figure(&ledger.restarts),
        figure(&ledger.downs),
        stats.processes,
        stats.timers,
        stats.queued_calls,
        stats.dead_letters,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_needs_a_time_and_nothing_else() {
        let options = Options::parse(&["--minutes", "0.5", "--workers", "1"]).expect("it is right");
        assert_eq!((options.time, options.workers), (Duration::from_secs(30), 1));
        assert!(Options::parse(&[]).is_none() && Options::parse(&["--minutes"]).is_none());
        assert!(Options::parse(&["--minutes", "1", "--workers", "0"]).is_none());
    }

    #[test]
    fn memory_may_grow_by_the_larger_of_the_two_bounds() {
        let mut memory = Memory::default();
        memory.add(100 << 20, true);
        memory.add(108 << 20, false);
        assert!(memory.flat().is_ok());
        memory.add(109 << 20, false);
        assert!(memory.flat().is_err());
        let mut large = Memory { warm: 1 << 30, most: 0 };
        large.add((1 << 30) + (40 << 20), false);
        assert!(large.flat().is_ok());
    }
}
