//! `purlin-stress`: the kernel under conditions that a test of one thing does not make.
//!
//! * `memcheck`: every ability once or a few times, in every mode, fixed amounts, in a few seconds. Meant to run under valgrind, where
//!   it must show no invalid access and no leak; without valgrind it checks itself that every value it made was dropped exactly once.
//! * `churn --minutes N`: several clients spawn, call, crash, restart and stop at random, while every answer and every `Down` is checked
//!   and resident memory is watched.
//!
//! Both end with a summary line and exit status 0, or with what went wrong and another status.
#![forbid(unsafe_code)]

mod churn;
mod held;
mod memcheck;
mod servers;
mod sink;

use std::process::ExitCode;

const USAGE: &str = "\
usage: purlin-stress memcheck [PART OF A SCENE'S NAME]
       purlin-stress churn --minutes N [--workers 2] [--clients 8] [--seed S]

  --minutes N   how long; fractions are allowed
  --workers N   worker threads of the runtime (default: 2)
  --clients N   processes and tasks that work on the node at a time (default: 8)
  --seed S      repeats the choices of a run that printed this seed (default: from the clock)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&"memcheck", [])) => memcheck::run(""),
        Some((&"memcheck", [only])) => memcheck::run(only),
        Some((&"churn", rest)) => match churn::Options::parse(rest) {
            Some(options) => churn::run(&options),
            None => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
