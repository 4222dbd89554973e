//! `cargo xtask instr [--bless]`: how many instructions each hot operation takes, compared with the committed figures.
//!
//! `purlin-instr OP N` does an operation N times. It runs under callgrind for two values of N; the difference is the operations alone.
//! The figures belong to one compiler and one instruction set: on another toolchain than `rust-toolchain.toml` pins, or on another
//! machine than x86-64 Linux, the command says so and checks nothing. `compare` is pure; the rest of the file runs commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::tree;

/// The committed figures.
const COUNTS: &str = "benches/instr/counts.toml";

/// The two numbers of operations. Their difference is large against what one run differs from the next.
const FEW: u64 = 2_000;
const MANY: u64 = 12_000;

/// How far a figure may be from the committed one, either way: a faster operation is news too, and its figure is to be committed.
const TOLERANCE: f64 = 0.03;

/// Differences below this are rounding, whatever their share: the shortest operation takes eleven instructions.
const ROUNDING: f64 = 0.5;

/// Instructions per operation, by the operation's name.
type Counts = BTreeMap<String, f64>;

/// Counts, and compares or, with `--bless`, writes the file.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let bless = match arguments {
        [] => false,
        [argument] if argument == "--bless" => true,
        _ => return crate::refuse(arguments, "cargo xtask instr [--bless]"),
    };
    match count_and_compare(bless) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instr: {error}");
            ExitCode::from(2)
        },
    }
}

fn count_and_compare(bless: bool) -> Result<ExitCode, String> {
    let root = tree::root();
    let pinned =
        pinned(&read(&root.join("rust-toolchain.toml"))?).ok_or("rust-toolchain.toml pins no channel")?;
    let running = stdout(Command::new("rustc").arg("--version").current_dir(&root))?;
    if let Some(why) = elsewhere(&pinned, &running) {
        println!("instr: SKIPPED, nothing was checked: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let valgrind = find("valgrind").ok_or("valgrind is not installed (Debian: apt-get install valgrind)")?;
    let program = build(&root)?;
    let mut counts = Counts::new();
    for op in stdout(Command::new(&program).arg("list"))?.lines() {
        let few = instructions(&valgrind, &program, op, FEW)?;
        let many = instructions(&valgrind, &program, op, MANY)?;
        counts.insert(op.to_owned(), (many as f64 - few as f64) / (MANY - FEW) as f64);
    }
    let file = root.join(COUNTS);
    if bless {
        // Without a file, or with one that cannot be read, everything is new.
        let before = read(&file).and_then(|text| parse(&text)).map(|(_, counts)| counts).unwrap_or_default();
        fs::write(&file, render(&pinned, &counts)).map_err(|error| format!("{COUNTS}: {error}"))?;
        print!("{}", table(&compare(&before, &counts)));
        println!("written to {COUNTS}");
        return Ok(ExitCode::SUCCESS);
    }
    let (toolchain, committed) = parse(&read(&file)?)?;
    let rows = compare(&committed, &counts);
    print!("{}", table(&rows));
    if toolchain != pinned {
        println!(
            "the committed figures are of toolchain {toolchain}, this is {pinned}: cargo xtask instr --bless"
        );
        return Ok(ExitCode::FAILURE);
    }
    let bad = rows.iter().filter(|row| row.verdict != Verdict::Same).count();
    if bad > 0 {
        println!(
            "{bad} of {} operations differ from {COUNTS} by more than {} %; if that is meant: cargo xtask instr --bless",
            rows.len(),
            TOLERANCE * 100.0
        );
    }
    Ok(ExitCode::from(u8::from(bad > 0)))
}

/// Why the figures mean nothing here; `None` where they do.
fn elsewhere(pinned: &str, running: &str) -> Option<String> {
    let place = (std::env::consts::OS, std::env::consts::ARCH);
    if place != ("linux", "x86_64") {
        return Some(format!("the figures are of x86-64 Linux, this is {} on {}", place.0, place.1));
    }
    let version = running.split_whitespace().nth(1).unwrap_or("unknown");
    (version != pinned).then(|| format!("the figures are of Rust {pinned}, this is {version}"))
}

/// The channel in `rust-toolchain.toml`.
fn pinned(text: &str) -> Option<String> {
    text.lines().find_map(|line| value_of(line, "channel")).map(str::to_owned)
}

/// The string in a line `key = "string"`.
fn value_of<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let (name, value) = line.split_once('=')?;
    (name.trim() == key).then(|| value.trim().trim_matches('"'))
}

/// Builds the program and tells where cargo put it.
fn build(root: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let line = "build --quiet --release --package purlin-instr --message-format json-render-diagnostics";
    let messages = stdout(Command::new(cargo).args(line.split(' ')).current_dir(root))?;
    let path = messages.split("\"executable\":\"").nth(1).and_then(|rest| rest.split('"').next());
    path.map(PathBuf::from).ok_or_else(|| "cargo built no purlin-instr".to_owned())
}

/// Instructions of one run. Its environment is empty: the size of it would move the stack.
fn instructions(valgrind: &Path, program: &Path, op: &str, n: u64) -> Result<u64, String> {
    let mut command = Command::new(valgrind);
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(op)
        .arg(n.to_string());
    let output = command.env_clear().output().map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{op} failed under callgrind, {}:\n{text}", output.status));
    }
    collected(&text).ok_or_else(|| format!("callgrind counted nothing:\n{text}"))
}

/// The figure in callgrind's line `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs a command and returns what it prints; its errors go to the terminal.
fn stdout(command: &mut Command) -> Result<String, String> {
    let shown = format!("{:?}", command.get_program());
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{shown} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What became of one operation's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Same,
    More,
    Fewer,
    /// Counted, but not in the file.
    New,
    /// In the file, but there is no such operation.
    Gone,
}

#[derive(Debug, PartialEq)]
struct Row {
    op: String,
    committed: Option<f64>,
    counted: Option<f64>,
    verdict: Verdict,
}

/// One row per operation that either side knows, by name.
fn compare(committed: &Counts, counted: &Counts) -> Vec<Row> {
    let mut ops: Vec<&String> = committed.keys().chain(counted.keys()).collect();
    ops.sort();
    ops.dedup();
    let row = |op: &String| {
        let (before, now) = (committed.get(op).copied(), counted.get(op).copied());
        let verdict = match (before, now) {
            (Some(before), Some(now)) if (now - before).abs() <= ROUNDING.max(before * TOLERANCE) => {
                Verdict::Same
            },
            (Some(before), Some(now)) => {
                if now > before {
                    Verdict::More
                } else {
                    Verdict::Fewer
                }
            },
            (None, _) => Verdict::New,
            (Some(_), None) => Verdict::Gone,
        };
        Row { op: op.clone(), committed: before, counted: now, verdict }
    };
    ops.into_iter().map(row).collect()
}

/// The rows for people.
fn table(rows: &[Row]) -> String {
    let figure = |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| format!("{count:.1}"));
    let mut text = format!("{:<24} {:>10} {:>10} {:>9}\n", "instructions per", "committed", "now", "change");
    for row in rows {
        let change = match (row.committed, row.counted) {
            (Some(before), Some(now)) => format!("{:+.1} %", (now / before - 1.0) * 100.0),
            _ => String::new(),
        };
        let note = match row.verdict {
            Verdict::Same => "",
            Verdict::More => "  MORE",
            Verdict::Fewer => "  FEWER",
            Verdict::New => "  NOT IN THE FILE",
            Verdict::Gone => "  NO SUCH OPERATION",
        };
        let (before, now) = (figure(row.committed), figure(row.counted));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<24} {before:>10} {now:>10} {change:>9}{note}", row.op);
    }
    text
}

/// The file's text.
fn render(toolchain: &str, counts: &Counts) -> String {
    let mut text = format!(
        "# Instructions per operation, counted by callgrind on x86-64 Linux. Written by `cargo xtask instr --bless`;\n\
         # `cargo xtask instr` compares. What the operations are: benches/instr/src/ops.rs.\n\
         toolchain = \"{toolchain}\"\n\n[instructions_per_operation]\n"
    );
    counts.iter().for_each(|(op, count)| text += &format!("{op} = {count:.1}\n"));
    text
}

/// Toolchain and figures of the file.
fn parse(text: &str) -> Result<(String, Counts), String> {
    let mut toolchain = String::new();
    let mut counts = Counts::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        if let Some(value) = value_of(line, "toolchain") {
            toolchain = value.to_owned();
            continue;
        }
        let figure =
            line.split_once('=').and_then(|(op, count)| Some((op.trim(), count.trim().parse().ok()?)));
        let (op, count) = figure.ok_or_else(|| format!("{COUNTS}: `{line}` is no figure"))?;
        counts.insert(op.to_owned(), count);
    }
    Ok((toolchain, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, f64)]) -> Counts {
        pairs.iter().map(|(op, count)| ((*op).to_owned(), *count)).collect()
    }

    fn verdict(before: f64, now: f64) -> Verdict {
        compare(&counts(&[("op", before)]), &counts(&[("op", now)]))[0].verdict
    }

    #[test]
    fn three_percent_either_way_is_the_same_and_more_is_not() {
        assert_eq!(verdict(1000.0, 1030.0), Verdict::Same);
        assert_eq!(verdict(1000.0, 970.0), Verdict::Same);
        assert_eq!(verdict(1000.0, 1031.0), Verdict::More);
        assert_eq!(verdict(1000.0, 969.0), Verdict::Fewer);
    }

    #[test]
    fn one_instruction_more_in_eleven_is_seen_and_rounding_is_not() {
        assert_eq!(verdict(11.0, 11.4), Verdict::Same);
        assert_eq!(verdict(11.0, 12.0), Verdict::More);
    }

    #[test]
    fn an_operation_that_only_one_side_knows_is_a_difference() {
        let rows = compare(&counts(&[("old", 1.0)]), &counts(&[("new", 1.0)]));
        let verdicts: Vec<_> = rows.iter().map(|row| (row.op.as_str(), row.verdict)).collect();
        assert_eq!(verdicts, [("new", Verdict::New), ("old", Verdict::Gone)]);
        assert!(table(&rows).contains("NO SUCH OPERATION"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let written = counts(&[("call-queued", 2586.5), ("telemetry-unheard", 11.0)]);
        assert_eq!(parse(&render("1.95.0", &written)), Ok(("1.95.0".to_owned(), written)));
        assert!(parse("call = fast").is_err());
    }

    #[test]
    fn another_toolchain_is_another_place() {
        let here = "rustc 1.95.0 (59807616e 2026-04-14)";
        if std::env::consts::ARCH == "x86_64" && std::env::consts::OS == "linux" {
            assert_eq!(elsewhere("1.95.0", here), None);
        }
        assert!(elsewhere("1.96.0", here).is_some());
        assert_eq!(pinned("[toolchain]\nchannel = \"1.95.0\"\n"), Some("1.95.0".to_owned()));
    }

    #[test]
    fn the_count_is_read_from_callgrinds_summary() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 4711\n"), Some(4711));
        assert_eq!(collected("==7== nothing\n"), None);
    }
}
