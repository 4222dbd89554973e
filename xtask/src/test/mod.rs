//! `cargo xtask test`: everything a change has to pass, as numbered steps with durations.
//!
//! [`steps`] is the table; a step is one row in it. All steps run even if an early one fails, the failures are listed at
//! the end with the command that repeats them, and the last line is always `N passed, N failed`, counting steps. A step
//! whose package, file or tool is not there is skipped and said so twice: where it would have run, and in the summary. In
//! CI a tool that could be installed and was not is a failure.
//! `table -> step (what) -> host (how)`: only `host` starts processes or installs anything.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::tree;

mod host;
mod step;
mod workspace;

use step::{Outcome, Step};
use workspace::Workspace;

const USAGE: &str = "cargo xtask test [--full] [--list] [--only <part of a step's name>]";

/// The steps in order. Commands are split at white space; `{workspace}`, `{tested}`, `{test}` and `{release}` are filled
/// in by [`Workspace::command`]. Cheap checks come first, then what reuses their build, then the release builds.
fn steps() -> Vec<Step> {
    vec![
        Step::new("tidy", &["cargo xtask tidy"]),
        Step::new("formatting", &["cargo fmt --all --check"]),
        Step::new("core's dependencies", &["cargo xtask deps"]),
        Step::new("spelling", &["{tools}/typos-1.52.0/bin/typos"]).wheel("typos-1.52.0"),
        Step::new("licences and sources", &["cargo xtask licences"]),
        Step::new("clippy", &["cargo clippy {workspace} --all-targets -- -D warnings"]),
        Step::new("documentation", &["cargo doc --no-deps {workspace}"]).env("RUSTDOCFLAGS", "-D warnings"),
        Step::new("tests", &["cargo {test} {tested}"]).minutes(20),
        Step::new("doctests", &["cargo test --doc --no-fail-fast {tested}"]),
        Step::new(
            "the facade's features",
            &[
                "cargo clippy -p purlin --features config --all-targets -- -D warnings",
                "cargo test -p purlin --features config --test config",
                "cargo test -p purlin --features config --doc config",
            ],
        ),
        Step::new("examples", &["cargo build {tested} --bins --examples"]),
        Step::new("loom models", &["cargo test --release -p purlin-models"]).package("purlin-models"),
        Step::new("webhooks demo", &["cargo run --release -p webhooks -- demo"])
            .package("webhooks")
            .minutes(5),
        Step::new(
            "webhooks demo, real payloads",
            &["cargo run --release -p webhooks -- demo --events ../shared/data/github-webhooks.json"],
        )
        .package("webhooks")
        .file("../shared/data/github-webhooks.json")
        .minutes(5),
        Step::new("memcheck", &["cargo build --release -p purlin-stress", MEMCHECK])
            .package("purlin-stress")
            .install("valgrind", "valgrind"),
        // The real one is in full runs only: its bound on memory is too narrow for a run of seconds on a machine with other load.
        Step::new("short soak", &["cargo xtask soak --sim --seeds 2000"]).command("soak").minutes(10),
        Step::new("instruction counts", &["cargo xtask instr"])
            .command("instr")
            .install("valgrind", "valgrind"),
        Step::new(
            "clippy of the benchmarks",
            &["cargo clippy -p purlin-benches --all-targets -- -D warnings"],
        )
        .package("purlin-benches")
        .full(),
        Step::new("conformance", &["cargo xtask mutants --check"]).command("mutants").minutes(2),
        Step::new("mutants", &["cargo xtask mutants"]).command("mutants").full().minutes(30),
        Step::new("generated mutants", &["cargo xtask mutants --generated"])
            .command("mutants")
            .full()
            .minutes(45),
        Step::new("planted bugs", &["cargo xtask mutants --only planted"])
            .env("PURLIN_SIM_SEEDS", "10000")
            .command("mutants")
            .full()
            .minutes(30),
        Step::new(
            "benchmarks",
            &["cargo run --release -p purlin-benches -- --json target/benchmarks.jsonl all"],
        )
        .package("purlin-benches")
        .full()
        .minutes(120),
        Step::new(
            "soak for thirty minutes",
            &["cargo xtask soak --minutes 30", "cargo xtask soak --sim --seeds 10000"],
        )
        .command("soak")
        .full()
        .minutes(60),
    ]
}

/// Any invalid access, use of uninitialised memory, or block that nothing points to any more fails the step.
const MEMCHECK: &str = "valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
    --show-leak-kinds=definite --fair-sched=yes {release}/purlin-stress memcheck";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    full: bool,
    list: bool,
    only: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Options> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--full" => options.full = true,
                "--list" => options.list = true,
                "--only" => options.only = Some(arguments.next()?.clone()),
                _ => return None,
            }
        }
        Some(options)
    }

    /// Whether the step is asked for; one that is named is run even if it belongs to `--full`.
    fn want(&self, step: &Step) -> bool {
        match &self.only {
            Some(part) => step.name.contains(part.as_str()),
            None => self.full || !step.only_full,
        }
    }
}

/// Runs the steps that the arguments ask for.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let Some(options) = Options::parse(arguments) else { return crate::refuse(arguments, USAGE) };
    let steps: Vec<Step> = steps().into_iter().filter(|step| options.want(step)).collect();
    let workspace = match Workspace::load(tree::root()) {
        Ok(workspace) => workspace,
        Err(error) => {
            eprintln!("test: the workspace cannot be read: {error}");
            return ExitCode::from(2);
        },
    };
    if steps.is_empty() {
        eprintln!("test: no step has that name; `cargo xtask test --full --list` shows them");
        return ExitCode::from(2);
    }
    if options.list {
        for (index, step) in steps.iter().enumerate() {
            println!("{:>3} {}", index + 1, step.name);
            step.commands
                .iter()
                .for_each(|command| println!("      {}", workspace.command(command).join(" ")));
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let mut results = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {}/{} {}", index + 1, steps.len(), step.name);
        let begun = Instant::now();
        let outcome = step.run(&workspace);
        let took = begun.elapsed();
        println!("--- {}: {outcome} ({})", step.name, human(took));
        results.push((step.name, outcome, took));
    }
    println!("\n{}", summary(&results, start.elapsed()));
    ExitCode::from(u8::from(results.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed { .. }))))
}

/// The table, the failures with the commands that repeat them, and the final line.
fn summary(results: &[(&str, Outcome, Duration)], total: Duration) -> String {
    let mut text = String::from("=== summary\n");
    let (mut passed, mut failed) = (0, 0);
    let mut repeat = String::new();
    for (index, (name, outcome, took)) in results.iter().enumerate() {
        text += &format!("{:>3} {name:<30} {:>12}  {outcome}\n", index + 1, human(*took));
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Skipped { .. } => {},
            Outcome::Failed { command, .. } => {
                failed += 1;
                repeat += &format!("  {command}\n");
            },
        }
    }
    text += &format!("    {:<30} {:>12}\n", "total", human(total));
    if failed > 0 {
        text += &format!("\nfailed; to repeat:\n{repeat}");
    }
    text + &format!("\n{passed} passed, {failed} failed")
}

/// `0.4 s`, `2 min 05 s`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_long_runs_are_only_in_full() {
        let wanted = |line: &str| -> Vec<&str> {
            let options = options(line).expect("the line is right");
            steps().into_iter().filter(|step| options.want(step)).map(|step| step.name).collect()
        };
        assert!(wanted("").contains(&"tests") && !wanted("").contains(&"benchmarks"));
        assert!(wanted("--full").contains(&"tests") && wanted("--full").contains(&"benchmarks"));
        assert_eq!(wanted("--only thirty"), ["soak for thirty minutes"]);
    }

    #[test]
    fn arguments_that_do_not_exist_are_refused() {
        assert_eq!(options("--fast"), None);
        assert_eq!(options("--only"), None);
        assert_eq!(options("--full --list"), Some(Options { full: true, list: true, only: None }));
    }

    #[test]
    fn every_step_has_its_own_name_and_something_to_do() {
        let steps = steps();
        for (index, step) in steps.iter().enumerate() {
            assert!(!step.commands.is_empty(), "{} does nothing", step.name);
            assert!(steps[..index].iter().all(|other| other.name != step.name), "{} twice", step.name);
        }
    }

    #[test]
    fn the_summary_ends_with_the_count_and_says_how_to_repeat_what_failed() {
        let failed = Outcome::Failed {
            command: "cargo fmt --all --check".to_owned(),
            why: "exit status: 1".to_owned(),
        };
        let skipped = Outcome::Skipped { why: "no package x in this workspace".to_owned() };
        let second = Duration::from_secs(1);
        let text = summary(
            &[("tidy", Outcome::Passed, second), ("fmt", failed, second), ("x", skipped, second)],
            second * 65,
        );
        assert!(
            text.ends_with("failed; to repeat:\n  cargo fmt --all --check\n\n1 passed, 1 failed"),
            "{text}"
        );
        assert!(text.contains("skipped: no package x") && text.contains("1 min 05 s"), "{text}");
    }

    #[test]
    fn a_run_without_failures_says_zero_failed() {
        let text = summary(&[("tidy", Outcome::Passed, Duration::from_millis(430))], Duration::from_secs(1));
        assert!(text.ends_with("\n\n1 passed, 0 failed") && text.contains("0.4 s"), "{text}");
    }
}
