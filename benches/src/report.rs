//! The table, the list and the JSON file. Pure apart from reading and writing the two files.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::impls;
use crate::parent::Line;
use crate::workloads;

/// Figures of the BEAM by (workload, field); of several lines of a workload the last holds.
pub(crate) type Beam = HashMap<(String, String), f64>;

/// Reads the BEAM's JSON lines; empty when there is no such file.
pub(crate) fn read_beam(path: &Path) -> Beam {
    std::fs::read_to_string(path).map(|text| parse_beam(&text)).unwrap_or_default()
}

fn parse_beam(text: &str) -> Beam {
    let mut beam = Beam::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Map<String, Value>>(line).ok()) {
        let Some(workload) = line.get("workload").and_then(Value::as_str) else { continue };
        for (field, figure) in &line {
            if let Some(figure) = figure.as_f64() {
                beam.insert((workload.to_owned(), field.clone()), figure);
            }
        }
    }
    beam
}

/// Writes one JSON line per cell.
pub(crate) fn write_json(path: &Path, lines: &[Line]) -> std::io::Result<()> {
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{}", json_line(line));
    }
    std::fs::write(path, text)
}

fn json_line(line: &Line) -> Value {
    let mut fields = Map::new();
    fields.insert("impl".into(), json!(line.implementation));
    fields.insert("workload".into(), json!(line.workload));
    fields.insert("workers".into(), json!(line.workers));
    fields.insert("unit".into(), json!(line.unit));
    fields.insert("value".into(), json!(line.value()));
    fields.insert("best".into(), json!(line.best()));
    fields.insert("runs".into(), json!(line.runs));
    fields.insert("load1".into(), json!(line.load1));
    for (name, figure) in &line.figures {
        fields.insert(name.clone(), json!(figure));
    }
    Value::Object(fields)
}

/// Workloads and implementations, with what they are.
pub(crate) fn list() -> String {
    let mut out = String::from("workloads\n");
    for workload in workloads::ALL {
        let _ = writeln!(out, "  {:<16} {}", workload.name, workload.about);
    }
    out.push_str("implementations\n");
    for implementation in impls::ALL {
        let missing: Vec<&str> = workloads::ALL
            .iter()
            .map(|workload| workload.name)
            .filter(|name| implementation.driver(name).is_none())
            .collect();
        let note = match missing.len() {
            0 => String::new(),
            n if n == workloads::ALL.len() => " (NOT BUILT)".to_owned(),
            _ => format!(" (not in {})", missing.join(", ")),
        };
        let _ = writeln!(out, "  {:<16} {}{note}", implementation.name, implementation.about);
    }
    out
}

/// The table: a block per workload, wall and CPU beside each other, ratios to hand-written tokio and to the BEAM; then the
/// scaling of reads, then loudly what is missing.
pub(crate) fn table(lines: &[Line], beam: &Beam) -> String {
    let mut out = String::new();
    let mut workers: Vec<usize> = lines.iter().map(|line| line.workers).collect();
    workers.sort_unstable();
    workers.dedup();
    for workers in workers {
        for workload in workloads::ALL {
            let rows: Vec<&Line> = lines
                .iter()
                .filter(|line| line.workers == workers && line.workload == workload.name)
                .collect();
            if let Some(first) = rows.first() {
                let beam =
                    workload.beam.and_then(|(name, field)| beam.get(&(name.to_owned(), field.to_owned())));
                let _ = writeln!(
                    out,
                    "\n{} [{}], {workers} worker(s), n = {}, load {:.1}: {}",
                    workload.name,
                    first.unit,
                    first.figures.get("n").copied().unwrap_or(f64::NAN),
                    first.load1,
                    workload.about
                );
                block(&mut out, &rows, beam.copied());
            }
        }
        scaling(&mut out, lines, workers);
    }
    if impls::find("purlin").is_none_or(|purlin| purlin.workloads.is_empty()) {
        out.push_str("\n*** purlin: not built. Its column is MISSING from everything above. ***\n");
    }
    out
}

fn block(out: &mut String, rows: &[&Line], beam: Option<f64>) {
    let tokio = rows.iter().find(|line| line.implementation == "tokio");
    let _ = writeln!(
        out,
        "  {:<13}{:>12}{:>9}{:>9}{:>12}{:>9}{:>12}{:>12}{:>12}",
        "", "median", "x tokio", "x BEAM", "CPU ns/op", "x tokio", "best", "worst", "p99"
    );
    for line in rows {
        let value = line.value();
        let worst = line.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let _ = writeln!(
            out,
            "  {:<13}{:>12}{:>9}{:>9}{:>12}{:>9}{:>12}{:>12}{:>12}",
            line.implementation,
            figure(Some(value)),
            ratio(Some(value), tokio.map(|t| t.value())),
            ratio(Some(value), beam),
            figure(line.cpu()),
            ratio(line.cpu(), tokio.and_then(|t| t.cpu())),
            figure(Some(line.best())),
            figure(Some(worst)),
            figure(line.figures.get("p99").copied()),
        );
    }
    if let Some(beam) = beam {
        let against = ratio(Some(beam), tokio.map(|t| t.value()));
        let _ = writeln!(out, "  {:<13}{:>12}{:>9}", "BEAM", figure(Some(beam)), against);
    }
}

/// Throughput of two readers over one reader; 2 is perfect, 1 is serialised.
fn scaling(out: &mut String, lines: &[Line], workers: usize) {
    for (one, two) in [("read1_1us", "read2_1us"), ("read", "read2_empty")] {
        let value = |name: &str, workload: &str| {
            lines
                .iter()
                .find(|line| {
                    line.implementation == name && line.workload == workload && line.workers == workers
                })
                .map(Line::value)
        };
        let scaled: Vec<String> = impls::ALL
            .iter()
            .filter_map(|i| Some(format!("{} {:.2}", i.name, value(i.name, one)? / value(i.name, two)?)))
            .collect();
        if !scaled.is_empty() {
            let _ =
                writeln!(out, "\nthroughput of {two} over {one}, {workers} worker(s): {}", scaled.join(", "));
        }
    }
}

fn figure(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    match (value, base) {
        (Some(value), Some(base)) if base > 0.0 && value / base < 0.1 => format!("{:.3}", value / base),
        (Some(value), Some(base)) if base > 0.0 => format!("{:.2}", value / base),
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cell(implementation: &'static str, workload: &'static str, workers: usize, value: f64) -> Line {
        let figures = BTreeMap::from([("cpu_ns_per_op".to_owned(), value), ("n".to_owned(), 10.0)]);
        Line {
            implementation,
            workload,
            workers,
            unit: "ns_per_op".into(),
            runs: vec![value],
            figures,
            load1: 0.0,
        }
    }

    #[test]
    fn every_row_shows_its_ratio_to_tokio_and_to_the_beam() {
        let beam = parse_beam("{\"workload\":\"call_seq\",\"value\":1000}\n");
        let text = table(&[cell("tokio", "call", 1, 200.0), cell("ractor", "call", 1, 500.0)], &beam);
        let row = text.lines().find(|line| line.contains("ractor")).expect("a row for ractor");
        let fields: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(fields[..4], ["ractor", "500", "2.50", "0.50"]);
    }

    #[test]
    fn of_several_beam_lines_of_one_workload_the_last_holds() {
        let beam =
            parse_beam("{\"workload\":\"x\",\"value\":1}\nnot json\n{\"workload\":\"x\",\"value\":2}\n");
        assert_eq!(beam.get(&("x".to_owned(), "value".to_owned())), Some(&2.0));
    }

    #[test]
    fn scaling_is_the_throughput_of_two_readers_over_one() {
        let text = table(
            &[cell("pl_rwlock", "read1_1us", 2, 1000.0), cell("pl_rwlock", "read2_1us", 2, 500.0)],
            &Beam::new(),
        );
        assert!(text.contains("pl_rwlock 2.00"), "{text}");
    }

    #[test]
    fn every_driver_belongs_to_a_workload_of_the_table() {
        for implementation in impls::ALL {
            for (name, _) in implementation.workloads {
                assert!(
                    workloads::ALL.iter().any(|workload| workload.name == *name),
                    "{} {name}",
                    implementation.name
                );
            }
        }
    }
}
