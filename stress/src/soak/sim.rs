//! `soak --sim`: small worlds on simulated nodes, one for each seed.
//!
//! The seed decides what the world does, how the simulated scheduler mixes it, and how the run ends: mostly when all are done; now and then by
//! a stop of the node in the middle of everything, or by the end of its runtime. Every fiftieth seed is run twice, and must go the same way.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use purlin_core::*;

use super::facts::{Facts, TAIL};
use super::random::Random;
use super::round::{self, Size};
use super::settle::Idle;
use super::watch::Watch;

/// What the command line says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) first: u64,
    pub(super) seeds: u64,
    pub(super) threads: usize,
}

/// How often a seed is run twice.
const TWICE: u64 = 50;
/// A world that is not done after this much virtual time waits for something that never happens.
const STUCK: Duration = secs(24 * 60 * 60);

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// When all are done.
    Settled,
    /// The node is stopped after so many milliseconds.
    Stopped(u64),
    /// Its runtime is dropped then.
    Dropped(u64),
}

/// What became of a seed.
struct Outcome {
    violations: Vec<String>,
    hash: u64,
    virtual_time: Duration,
    /// All of it, if it was kept.
    journal: String,
}

/// Runs the seeds; the exit status tells whether all went well.
pub(super) fn run(options: &Options) -> ExitCode {
    let Options { first, seeds, threads } = *options;
    println!("soak: {seeds} simulated worlds from seed {first} on, {threads} threads");
    let begin = Instant::now();
    let (next, failed, done) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::SeqCst) {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= seeds {
                        return;
                    }
                    let seed = first + index;
                    if let Err(why) = check(seed, seeds == 1) {
                        failed.store(true, Ordering::SeqCst);
                        println!("soak: FAILED with seed {seed}, run {} of {seeds}:\n{why}", index + 1);
                        println!("soak: to replay it: cargo xtask soak --sim --first {seed} --seeds 1");
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let (done, took) = (done.load(Ordering::SeqCst), begin.elapsed());
    if failed.load(Ordering::SeqCst) {
        println!("soak: FAILED after {done} worlds and {:.1} s", took.as_secs_f64());
        return ExitCode::FAILURE;
    }
    let rate = done as f64 / took.as_secs_f64();
    println!("soak: passed: {done} simulated worlds in {:.1} s, {rate:.0} per second", took.as_secs_f64());
    ExitCode::SUCCESS
}

/// Runs one seed, now and then twice.
fn check(seed: u64, tell: bool) -> Result<(), String> {
    let one = play(seed, if tell { usize::MAX } else { TAIL })?;
    if tell {
        println!("soak: seed {seed}: hash {:016x}, {:?} of virtual time", one.hash, one.virtual_time);
    }
    if tell && std::env::var_os("PURLIN_SOAK_JOURNAL").is_some() {
        print!("{}", one.journal);
    }
    if !one.violations.is_empty() {
        return Err(one.violations.join("\n"));
    }
    if tell || seed.is_multiple_of(TWICE) {
        let two = play(seed, if tell { usize::MAX } else { TAIL })?;
        if one.hash != two.hash {
            let whole = if tell { first_difference(&one.journal, &two.journal) } else { String::new() };
            return Err(format!(
                "two runs were not the same: {:016x} and {:016x}\n{whole}",
                one.hash, two.hash
            ));
        }
    }
    Ok(())
}

/// Where two journals part, with what both have before.
fn first_difference(one: &str, two: &str) -> String {
    let (one, two): (Vec<&str>, Vec<&str>) = (one.lines().collect(), two.lines().collect());
    let same = one.iter().zip(&two).take_while(|(one, two)| one == two).count();
    let before = one[same.saturating_sub(20)..same].join("\n");
    let after = |lines: &[&str]| lines[same..].iter().take(5).copied().collect::<Vec<_>>().join("\n");
    format!("both:\n{before}\nthe first:\n{}\nthe second:\n{}", after(&one), after(&two))
}

fn play(seed: u64, keep: usize) -> Result<Outcome, String> {
    let mut random = Random::new(seed, u64::MAX);
    let ending = match random.below(10) {
        0 => Ending::Stopped(random.below(60)),
        1 => Ending::Dropped(random.below(60)),
        _ => Ending::Settled,
    };
    let (clients, actions) = (random.between(2, 5), Some(random.between(10, 60)));
    let size = Size { cells: 1, clients, actions, together: None, outsiders: 1 };
    // Without I/O on purpose: a paused clock would time out every socket at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let facts = Arc::new(Facts::simulated(keep));
    let node = {
        let _entered = runtime.enter();
        Node::builder().name("soak").simulated(seed).stderr_reports(false).backtraces(false).start()
    };
    let (virtual_time, watch) = runtime.block_on(node.scope(async {
        let watch = tokio::time::timeout(STUCK, live(&facts, seed, size, ending)).await;
        if watch.is_err() {
            facts.violation(format!("a day of virtual time is over: {:?}", process::processes()));
        }
        if matches!(ending, Ending::Settled) {
            node.shutdown().await;
        }
        (node.now(), watch)
    }));
    drop(runtime);
    facts.forget_calls();
    drop(watch);
    let left = Idle::now(&node, &facts);
    if facts.violations() == 0 && !left.is_nothing() {
        facts.violation(format!("after the node's end ({ending:?}) {left:?} is left"));
    }
    let journal = if keep == usize::MAX { facts.journal.tail(keep) } else { String::new() };
    Ok(Outcome { violations: facts.shown(), hash: facts.journal.hash(), virtual_time, journal })
}

/// A world's life; what watches it has to outlive the node.
async fn live(facts: &Arc<Facts>, seed: u64, size: Size, ending: Ending) -> Option<Watch> {
    let (Ending::Stopped(ms) | Ending::Dropped(ms)) = ending else {
        round::play(facts, seed, size).await;
        return None;
    };
    let watch = round::leave(facts, seed, Size { actions: None, ..size }).await?;
    process::sleep(millis(ms)).await;
    facts.wind_down();
    if matches!(ending, Ending::Stopped(_)) {
        Node::current().shutdown_within(secs(5)).await;
        let living = facts.living();
        if !living.is_empty() {
            facts.violation(format!("the node has stopped, and these have not ended: {living:?}"));
        }
    }
    Some(watch)
}
