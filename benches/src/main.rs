//! Benchmarks of Purlin beside hand-written tokio and other actor crates: the same work, the same counts, the same machine,
//! the same quarter of an hour.
//!
//! The parent process (`cargo run --release -p purlin-benches -- all`) starts one child process per run of one workload of
//! one implementation, interleaves the implementations, and prints a table with ratios. See `benches/README.md`.
//!
//! - [`workloads`]: one generic driver per workload; [`system`]: what an implementation must offer for it;
//! - [`impls`]: the implementations; [`state`]: the work that all of them do;
//! - [`cli`], [`parent`], [`report`]: command line, child processes, table.
//! - [`meter`], [`panics`]: clocks and the panic hook.

mod cli;
mod impls;
mod meter;
mod panics;
mod parent;
mod report;
mod state;
mod system;
mod workloads;

use std::process::ExitCode;

use cli::{Command, Options};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match cli::parse(&arguments) {
        Ok(Command::Child { implementation, workload, conditions }) => {
            child(&implementation, &workload, conditions)
        },
        Ok(Command::List) => {
            print!("{}", report::list());
            ExitCode::SUCCESS
        },
        Ok(Command::All(options)) => all(&options),
        Err(problem) => {
            eprintln!("{problem}\n\n{}", cli::USAGE);
            ExitCode::from(2)
        },
    }
}

/// Runs one workload once and prints its JSON line.
fn child(implementation: &str, workload: &str, conditions: workloads::Conditions) -> ExitCode {
    let Some(run) = impls::find(implementation).and_then(|found| found.driver(workload)) else {
        eprintln!("{implementation} does not take part in {workload}");
        return ExitCode::from(2);
    };
    println!("{}", run(conditions).to_json());
    ExitCode::SUCCESS
}

/// Runs everything that was asked for; fails when a child failed or the JSON file cannot be written.
fn all(options: &Options) -> ExitCode {
    let outcome = parent::run(options);
    print!("{}", report::table(&outcome.lines, &report::read_beam(&options.beam)));
    for failure in &outcome.failures {
        eprintln!("FAILED: {failure}");
    }
    if let Some(path) = &options.json
        && let Err(error) = report::write_json(path, &outcome.lines)
    {
        eprintln!("FAILED: writing {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if outcome.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
