//! `purlin-stress`: the kernel under conditions that a test of one thing does not make.
//!
//! * `memcheck`: every ability once or a few times, in every mode, fixed amounts, in a few seconds. Meant to run under valgrind, where
//!   it must show no invalid access and no leak; without valgrind it checks itself that every value it made was dropped exactly once.
//! * `soak`: whole systems in which everything happens at random and at the same time, with an account of all of it; for a time on a real
//!   node, or, with `--sim`, on simulated ones, a seed each.
//!
//! Both end with a summary line and exit status 0, or with what went wrong and another status.
#![forbid(unsafe_code)]

mod held;
mod memcheck;
mod servers;
mod sink;
mod soak;

use std::process::ExitCode;

const USAGE: &str = "\
usage: purlin-stress memcheck [PART OF A SCENE'S NAME]
       purlin-stress soak --minutes N [--workers 2] [--processes 3000] [--seed S]
       purlin-stress soak --sim --seeds N [--first 1] [--threads T]

  --minutes N    how long; fractions are allowed
  --workers N    worker threads of the runtime
  --processes N  about how many processes live at a time
  --seed S       repeats the choices of a run that printed this seed (default: from the clock)
  --seeds N      how many simulated worlds, each with a seed of its own
  --first S      the first of these seeds
  --threads T    how many of them run at a time (default: one for each processor)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&"memcheck", [])) => memcheck::run(""),
        Some((&"memcheck", [only])) => memcheck::run(only),
        Some((&"soak", rest)) => soak::run(rest).unwrap_or_else(usage),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
