//! The command line.

use std::path::PathBuf;

use crate::impls;
use crate::workloads::{self, Conditions};

/// Shown after a mistake.
pub(crate) const USAGE: &str = "\
usage: purlin-benches [options] all     run and print the table
       purlin-benches list              workloads and implementations
options:
  --workloads a,b   only these (default: all)
  --impls a,b       only these (default: all)
  --workers 1,2     worker threads of the runtime (default: 1,2)
  --scale F         factor on all counts (default: 1)
  --runs N          runs per cell, each in a fresh process (default: 5)
  --timeout S       seconds after which a run is killed and counted as failed (default: 300)
  --json FILE       also write one JSON line per cell
  --beam FILE       the BEAM's figures (default: ../shared/data/beam-otp27.jsonl, if it exists)";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run everything selected.
    All(Options),
    /// Print what there is.
    List,
    /// One run in this process (used by the parent).
    Child { implementation: String, workload: String, conditions: Conditions },
}

/// What to run and where to put it.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workloads: Vec<&'static str>,
    pub(crate) impls: Vec<&'static str>,
    pub(crate) workers: Vec<usize>,
    pub(crate) scale: f64,
    pub(crate) runs: usize,
    pub(crate) timeout_secs: u64,
    pub(crate) json: Option<PathBuf>,
    pub(crate) beam: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            workloads: workloads::ALL.iter().map(|workload| workload.name).collect(),
            impls: impls::ALL.iter().map(|implementation| implementation.name).collect(),
            workers: vec![1, 2],
            scale: 1.0,
            runs: 5,
            timeout_secs: 300,
            json: None,
            beam: PathBuf::from("../shared/data/beam-otp27.jsonl"),
        }
    }
}

/// Parses the arguments after the program's name. The error is a sentence.
pub(crate) fn parse(arguments: &[String]) -> Result<Command, String> {
    if let [child, implementation, workload, workers, scale] = arguments
        && child == "child"
    {
        let conditions = Conditions { workers: number("workers", workers)?, scale: number("scale", scale)? };
        return Ok(Command::Child {
            implementation: implementation.clone(),
            workload: workload.clone(),
            conditions,
        });
    }
    let mut options = Options::default();
    let mut command = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "all" | "list" => command = Some(argument.as_str()),
            flag if flag.starts_with("--") => {
                let value = rest.next().ok_or_else(|| format!("{flag} needs a value"))?;
                set(&mut options, flag, value)?;
            },
            other => return Err(format!("I do not know '{other}'")),
        }
    }
    match command {
        Some("all") => Ok(Command::All(options)),
        Some(_) => Ok(Command::List),
        None => Err("say 'all' or 'list'".to_owned()),
    }
}

fn set(options: &mut Options, flag: &str, value: &str) -> Result<(), String> {
    match flag {
        "--workloads" => options.workloads = names("workload", value, workloads::ALL.iter().map(|w| w.name))?,
        "--impls" => options.impls = names("implementation", value, impls::ALL.iter().map(|i| i.name))?,
        "--workers" => {
            options.workers =
                value.split(',').map(|part| number("workers", part)).collect::<Result<_, _>>()?;
            if options.workers.contains(&0) {
                return Err("there is no runtime with 0 workers".to_owned());
            }
        },
        "--scale" => options.scale = number("scale", value)?,
        "--runs" => options.runs = number::<usize>("runs", value)?.max(1),
        "--timeout" => options.timeout_secs = number("timeout", value)?,
        "--json" => options.json = Some(PathBuf::from(value)),
        "--beam" => options.beam = PathBuf::from(value),
        _ => return Err(format!("there is no option {flag}")),
    }
    Ok(())
}

fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{what}: '{text}' is not a number that makes sense here"))
}

/// The asked-for names in the table's order.
fn names(
    what: &str,
    list: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<Vec<&'static str>, String> {
    let asked: Vec<&str> = list.split(',').collect();
    if let Some(unknown) = asked.iter().find(|name| !known.clone().any(|k| k == **name)) {
        let all: Vec<&str> = known.collect();
        return Err(format!("there is no {what} '{unknown}'; there are {}", all.join(", ")));
    }
    Ok(known.filter(|name| asked.contains(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Command, String> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_selection_keeps_the_order_of_the_table() {
        let Ok(Command::All(options)) =
            parse_text("--workloads ring,call --impls tokio --workers 2 --scale 0.1 all")
        else {
            panic!("a valid command line");
        };
        assert_eq!(options.workloads, ["call", "ring"]);
        assert_eq!(options.impls, ["tokio"]);
        assert_eq!(options.workers, [2]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let problem = parse_text("--impls tokyo all").expect_err("there is no such implementation");
        assert!(problem.contains("'tokyo'") && problem.contains("ractor"), "{problem}");
    }

    #[test]
    fn a_command_is_required() {
        assert!(parse_text("--runs 3").is_err());
    }
}
