//! `purlin-stress soak`: everything that the kernel and the behaviours do, at random and at the same time, with an account of all of it.
//!
//! ```text
//!  world ── cells: a tree of supervisors, registries, servers (`actor`)      what goes on
//!    └───── clients: call, kill, suspend, watch, register, restart …
//!  watch ── the kernel's telemetry: each spawn, each end                     what is true
//!  facts ── what is true, and what was found to contradict it
//!  settle ─ when all have come to rest: what must be there, and nothing else
//! ```
//! What is checked all the time: a call is handled once and answered with its own answer, or it failed for a reason that is true; messages
//! of one process to another keep their order, signals among them; a `Down` comes once for each monitor, when the state is gone, with
//! the reason that everybody is told; nothing runs beside a handler, or while suspended; a timer fires once and not early; no two
//! processes have one name; a supervisor's children start in order, are restarted, and end before it.
//!
//! The same world lives on a real node (`real`), where threads make what happens at the same time, and on simulated ones (`sim`), where a seed
//! does, and repeats it.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod actor;
mod asking;
mod client;
mod deeds;
mod facts;
mod journal;
mod life;
mod random;
mod real;
mod round;
mod settle;
mod sim;
mod ticket;
mod watch;
mod watching;
mod world;

/// What the command line says.
#[derive(Debug)]
enum Options {
    Real(real::Options),
    Simulated(sim::Options),
}

/// Does what the command line says; `None` if that is not understood. The exit status tells whether everything held.
pub(crate) fn run(words: &[&str]) -> Option<ExitCode> {
    Some(match Options::parse(words)? {
        Options::Real(options) => real::run(&options),
        Options::Simulated(options) => sim::run(&options),
    })
}

impl Options {
    fn parse(words: &[&str]) -> Option<Options> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut real =
            real::Options { time: Duration::ZERO, workers: 2, processes: 3000, seed: now.as_nanos() as u64 };
        let mut sim = sim::Options { first: 1, seeds: 0, threads };
        let simulated = words.contains(&"--sim");
        let rest: Vec<&str> = words.iter().copied().filter(|word| *word != "--sim").collect();
        for pair in rest.chunks(2) {
            let [name, value] = *pair else { return None };
            match (name, simulated) {
                ("--minutes", false) => {
                    real.time = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * 60.0).ok()?;
                },
                ("--workers", false) => real.workers = value.parse().ok().filter(|n| *n > 0)?,
                ("--processes", false) => real.processes = value.parse().ok().filter(|n| *n > 0)?,
                ("--seed", false) => real.seed = value.parse().ok()?,
                ("--seeds", true) => sim.seeds = value.parse().ok()?,
                ("--first", true) => sim.first = value.parse().ok()?,
                ("--threads", true) => sim.threads = value.parse().ok().filter(|n| *n > 0)?,
                _ => return None,
            }
        }
        if simulated {
            (sim.seeds > 0).then_some(Options::Simulated(sim))
        } else {
            (real.time > Duration::ZERO).then_some(Options::Real(real))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn the_two_ways_have_their_own_options() {
        assert!(matches!(parse("--minutes 0.5 --workers 3 --seed 7"), Some(Options::Real(_))));
        assert!(matches!(parse("--sim --seeds 10 --first 3"), Some(Options::Simulated(_))));
        assert!(matches!(parse("--seeds 10 --sim"), Some(Options::Simulated(_))));
        for wrong in [
            "",
            "--sim",
            "--minutes 0",
            "--sim --minutes 1",
            "--seeds 10",
            "--minutes",
            "--minutes 1 --workers 0",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
