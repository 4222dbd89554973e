//! The parent process: starts a fresh child per run and gathers what the children print. The runs of one workload go round
//! the implementations, so that a change in the machine's load hits all of them alike.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::cli::Options;
use crate::impls;
use crate::meter::load1;
use crate::workloads::{self, Workload};

/// One cell of the table: the runs of one workload by one implementation with one number of workers.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) implementation: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) workers: usize,
    pub(crate) unit: String,
    /// Every run's figure, in order of time.
    pub(crate) runs: Vec<f64>,
    /// Median over the runs of every other figure that the children reported.
    pub(crate) figures: BTreeMap<String, f64>,
    /// The machine's load when the first run began.
    pub(crate) load1: f64,
}

impl Line {
    /// The median of the runs: the figure of the table.
    pub(crate) fn value(&self) -> f64 {
        median(&self.runs)
    }

    /// The best (lowest) run.
    pub(crate) fn best(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// CPU time per operation, median.
    pub(crate) fn cpu(&self) -> Option<f64> {
        self.figures.get("cpu_ns_per_op").copied()
    }
}

/// Everything that was run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) lines: Vec<Line>,
    /// A sentence per failed run.
    pub(crate) failures: Vec<String>,
}

/// Runs all that the options select, reporting progress on standard error.
pub(crate) fn run(options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    for &workers in &options.workers {
        for workload in workloads::ALL {
            if options.workloads.contains(&workload.name) && workers >= workload.min_workers {
                run_row(options, workload, workers, &mut outcome);
            }
        }
    }
    outcome
}

fn run_row(options: &Options, workload: &Workload, workers: usize, outcome: &mut Outcome) {
    eprintln!("{} ({} worker(s))", workload.name, workers);
    let load = load1();
    let mut samples: Vec<(&'static str, Vec<Value>)> = impls::ALL
        .iter()
        .filter(|implementation| options.impls.contains(&implementation.name))
        .filter(|implementation| implementation.driver(workload.name).is_some())
        .map(|implementation| (implementation.name, Vec::new()))
        .collect();
    for _ in 0..options.runs {
        for (implementation, samples) in &mut samples {
            match run_child(options, implementation, workload.name, workers) {
                Ok(sample) => samples.push(sample),
                Err(problem) => outcome
                    .failures
                    .push(format!("{implementation} {} with {workers} worker(s): {problem}", workload.name)),
            }
        }
    }
    let lines =
        samples.iter().filter_map(|(name, samples)| line(name, workload.name, workers, samples, load));
    outcome.lines.extend(lines);
}

/// Merges the runs of one cell; `None` when none of them succeeded.
fn line(
    implementation: &'static str,
    workload: &'static str,
    workers: usize,
    samples: &[Value],
    load1: f64,
) -> Option<Line> {
    let unit = samples.first()?.get("unit")?.as_str()?.to_owned();
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for sample in samples {
        for (name, figure) in sample.as_object()? {
            if let Some(figure) = figure.as_f64() {
                columns.entry(name.clone()).or_default().push(figure);
            }
        }
    }
    let runs = columns.remove("value")?;
    let figures = columns.into_iter().map(|(name, figures)| (name, median(&figures))).collect();
    Some(Line { implementation, workload, workers, unit, runs, figures, load1 })
}

/// The middle value; the mean of the two middle ones of an even number.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// One run in a fresh process.
fn run_child(
    options: &Options,
    implementation: &str,
    workload: &str,
    workers: usize,
) -> Result<Value, String> {
    let program = std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let mut child = Command::new(program)
        .args(["child", implementation, workload, &workers.to_string(), &options.scale.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start: {error}"))?;
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let (closed, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        // Nobody listens any more when the child was too slow.
        let _ = closed.send(read);
    });
    let limit = Duration::from_secs(options.timeout_secs);
    let Ok(text) = output.recv_timeout(limit) else {
        // Both may fail only because it has just ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("killed after {} s", limit.as_secs()));
    };
    let text = text.map_err(|error| format!("cannot read its output: {error}"))?;
    let status = child.wait().map_err(|error| format!("cannot wait for it: {error}"))?;
    if !status.success() {
        return Err(format!("ended with {status}"));
    }
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .map_err(|error| format!("printed no JSON line: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_is_the_median_of_its_runs_with_the_best_beside_it() {
        let samples: Vec<Value> = [30.0, 10.0, 20.0]
            .iter()
            .map(|value| json!({"unit": "ns_per_op", "value": value, "cpu_ns_per_op": value / 2.0, "n": 7}))
            .collect();
        let line = line("tokio", "call", 1, &samples, 0.5).expect("three runs make a line");
        assert_eq!((line.value(), line.best(), line.cpu()), (20.0, 10.0, Some(10.0)));
        assert_eq!(line.figures.get("n"), Some(&7.0));
    }

    #[test]
    fn without_a_successful_run_there_is_no_cell() {
        assert!(line("tokio", "call", 1, &[], 0.5).is_none());
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!(median(&[1.0, 2.0]), 1.5);
    }
}
