//! `soak --minutes N`: a large world on a real node with several threads, in rounds.
//!
//! Each round builds the whole world, does a fixed amount of work, some seconds of it, and takes the world down. In between nothing may be
//! left: as many processes as before, no timer, no name, no value. Resident memory is read then; after a warm-up of a fifth of the time and
//! [`ROUNDS`] rounds at least, it may grow by [`GROWTH`] at most.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use purlin_core::*;

use super::facts::Facts;
use super::round::{self, Size};

/// What the command line says.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) time: Duration,
    pub(super) workers: usize,
    pub(super) processes: u64,
    pub(super) seed: u64,
}

/// How much clients do in a round, all together. Rounds do the same amount of work, however long that takes: the account of it is kept in memory too,
/// and would otherwise grow when the machine has less else to do.
const ACTIONS: u64 = 500_000;
/// How much resident memory may grow after the warm-up: this many bytes, or this share of it, whichever is more.
const GROWTH: (u64, f64) = (8 << 20, 0.05);
/// The part of the time that is warm-up, and the rounds that are in any case.
const WARM_UP: f64 = 0.2;
const ROUNDS: u64 = 8;
/// Processes of a cell: its supervisors, registries and servers, its clients, and those that come and go.
const PER_CELL: u64 = 45;

/// Runs rounds until the time is up; the exit status tells whether everything held.
pub(super) fn run(options: &Options) -> ExitCode {
    let Options { time, workers, processes, seed } = options;
    println!("soak: {time:?} with {workers} workers, about {processes} processes, seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(*workers).enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("soak: no runtime: {error}");
            return ExitCode::from(2);
        },
    };
    let outcome = runtime.block_on(async {
        let node = Node::builder().name("soak").stderr_reports(false).start();
        let outcome = node.scope(rounds(options)).await;
        if outcome.is_ok() {
            node.shutdown().await;
        }
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("soak: FAILED, seed {seed}: {why}");
            // What is wrong may be that something blocks a thread.
            runtime.shutdown_background();
            ExitCode::FAILURE
        },
    }
}

async fn rounds(options: &Options) -> Result<(), String> {
    let facts = Arc::new(Facts::real());
    let mut memory = Memory::default();
    let begin = Instant::now();
    let cells = (options.processes / PER_CELL).max(1);
    let outsiders = options.workers as u64;
    let size = Size { cells, clients: 4, actions: None, together: Some(ACTIONS), outsiders };
    let mut round = 0;
    while begin.elapsed() < options.time {
        let seed = options.seed.wrapping_add(round);
        // The rest of a round in which something was wrong may take minutes, and tells nothing more.
        round::either(round::play(&facts, seed, size), wrong(&facts)).await;
        round += 1;
        let warming = round <= ROUNDS || begin.elapsed().as_secs_f64() < options.time.as_secs_f64() * WARM_UP;
        let resident = resident_bytes().ok_or("/proc/self/status does not tell the resident memory")?;
        memory.add(resident, warming);
        report(begin.elapsed(), resident, warming, &facts);
        if facts.violations() > 0 {
            return Err(format!("{} violations\n{}", facts.violations(), facts.shown().join("\n")));
        }
        memory.flat()?;
    }
    println!("soak: passed: {round} rounds, no violation; {memory}");
    Ok(())
}

/// Returns a while after the first violation.
async fn wrong(facts: &Facts) {
    while facts.violations() == 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(secs(1)).await;
}

fn report(at: Duration, resident: u64, warming: bool, facts: &Facts) {
    let figures: Vec<String> = facts
        .counts
        .all()
        .into_iter()
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")))
        .collect();
    println!(
        "soak: {:>4} s  RSS {:>6} KiB{}  {}; {} dead letters, {} dropped",
        at.as_secs(),
        resident >> 10,
        if warming { " (warming up)" } else { "" },
        figures.join(", "),
        Node::current().stats().dead_letters,
        Node::current().stats().dropped,
    );
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
        let place = if warming { &mut self.warm } else { &mut self.most };
        *place = resident.max(*place);
    }

    fn flat(&self) -> Result<(), String> {
        let limit = GROWTH.0.max((self.warm as f64 * GROWTH.1) as u64);
        if self.most <= self.warm + limit {
            return Ok(());
        }
        let (warm, most, limit) = (self.warm >> 10, self.most >> 10, limit >> 10);
        Err(format!("resident memory grew from {warm} to {most} KiB, more than {limit} KiB"))
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.most == 0 {
            return f.write_str("too short a run to say how resident memory grows");
        }
        let grown = self.most.saturating_sub(self.warm);
        write!(
            f,
            "resident memory grew by {} KiB at most after the warm-up, at {} MiB",
            grown >> 10,
            self.warm >> 20
        )
    }
}

/// Resident memory of this program.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn memory_may_grow_by_the_larger_of_a_fixed_size_and_a_share() {
        let small = Memory { warm: 10 << 20, most: 18 << 20 };
        assert!(small.flat().is_ok());
        assert!(Memory { most: (18 << 20) + 1, ..small }.flat().is_err());
        let large = Memory { warm: 1 << 30, most: (1 << 30) + (50 << 20) };
        assert!(large.flat().is_ok());
    }

    #[test]
    fn what_comes_after_the_warm_up_is_compared_with_the_most_of_it() {
        let mut memory = Memory::default();
        memory.add(5, true);
        memory.add(7, true);
        memory.add(6, true);
        assert_eq!(memory.to_string(), "too short a run to say how resident memory grows");
        memory.add(9, false);
        assert_eq!((memory.warm, memory.most), (7, 9));
    }
}
