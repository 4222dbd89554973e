//! Builds core's tests in the copy, and runs them one at a time, with and without a mutant.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Place;
use super::parse::TestName;

/// What a switch reads.
const VARIABLE: &str = "PURLIN_MUTANT";

/// A test that takes longer hangs; none of core's takes more than a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Kilobytes of address space. The stacks of a runtime's threads count in it, whether used or not.
const MEMORY: usize = 8 << 20;

/// How often a running test is looked at. Most take a few milliseconds.
const LOOK: Duration = Duration::from_millis(2);

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Passed,
    Failed,
    TimeLimit,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Passed => "passed",
            Ending::Failed => "failed",
            Ending::TimeLimit => "no end within the time limit",
        })
    }
}

/// A test program, and the paths of its tests.
struct Binary {
    file: PathBuf,
    tests: BTreeSet<String>,
}

/// The test programs by name; unit tests are in `lib`.
pub(super) struct Binaries {
    by_name: BTreeMap<String, Binary>,
    folder: PathBuf,
}

/// Builds all of core's test programs, or those of these names.
pub(super) fn build(place: &Place, only: &Option<BTreeSet<String>>) -> Result<Binaries, String> {
    let mut arguments = vec!["--package", "purlin-core"];
    match only {
        None => arguments.extend(["--lib", "--tests"]),
        Some(names) => names.iter().for_each(|name| match name.as_str() {
            "lib" => arguments.push("--lib"),
            _ => arguments.extend(["--test", name]),
        }),
    }
    build_these(place, &arguments)
}

/// Builds the test programs that these of cargo's arguments mean.
pub(super) fn build_these(place: &Place, arguments: &[&str]) -> Result<Binaries, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--quiet", "--no-run", "--message-format", "json-render-diagnostics"]);
    in_copy(cargo.args(arguments), place);
    let folder = place.tree.join("crates/purlin-core");
    let messages = stdout(cargo.stderr(Stdio::inherit())).map_err(|error| {
        format!("{error}\nmutants: if the code compiles without mutants, one of them no longer fits it; with them it is in {}", place.tree.display())
    })?;
    let mut by_name = BTreeMap::new();
    for (name, file) in messages.lines().filter_map(program) {
        let list = stdout(Command::new(&file).args(["--list", "--format", "terse"]).current_dir(&folder))?;
        let tests = list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned);
        by_name.insert(name, Binary { tests: tests.collect(), file });
    }
    Ok(Binaries { by_name, folder })
}

/// Makes cargo work on the copy.
pub(super) fn in_copy(cargo: &mut Command, place: &Place) {
    // What is planted may be unreachable or unused; only errors are of interest.
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default() + " -Awarnings";
    cargo.env("CARGO_TARGET_DIR", &place.build).env("RUSTFLAGS", flags.trim()).current_dir(&place.tree);
}

/// Name and file of the test program that one of cargo's messages is about.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let after = |start: &str| message.split(start).nth(1)?.split('"').next();
    let file = after("\"executable\":\"")?;
    let kind = after("\"kind\":[\"")?;
    let name = if kind == "lib" {
        "lib"
    } else {
        message.split("\"target\":{").nth(1)?.split("\"name\":\"").nth(1)?.split('"').next()?
    };
    Some((name.to_owned(), PathBuf::from(file)))
}

impl Binaries {
    /// Whether there is such a test.
    pub(super) fn has(&self, test: &TestName) -> bool {
        self.by_name.get(&test.binary).is_some_and(|binary| binary.tests.contains(&test.path))
    }

    /// Runs a test by itself, with a mutant or without.
    pub(super) fn run(&self, test: &TestName, mutant: Option<&str>) -> Result<Ending, String> {
        let mut command = Command::new(self.file(test));
        command.args(["--exact", &test.path, "--test-threads=1"]).current_dir(&self.folder);
        command.env_remove(VARIABLE).envs(mutant.map(|name| (VARIABLE, name)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        wait(&mut command, LIMIT).map_err(|error| format!("{test}: {error}"))
    }

    /// These programs and the others.
    pub(super) fn and(mut self, others: Binaries) -> Binaries {
        self.by_name.extend(others.by_name);
        self
    }

    /// Every test, by name of program and path.
    pub(super) fn tests(&self) -> Vec<TestName> {
        let of = |(binary, Binary { tests, .. }): (&String, &Binary)| -> Vec<TestName> {
            tests.iter().map(|path| TestName { binary: binary.clone(), path: path.clone() }).collect()
        };
        self.by_name.iter().flat_map(of).collect()
    }

    /// Runs a test by itself with a variable in its environment; how it ended, and after what time. It gets no more than
    /// [`MEMORY`]: a mutant may ask for memory without end.
    pub(super) fn run_with(
        &self,
        test: &TestName,
        (name, value): (&str, &OsStr),
        limit: Duration,
    ) -> Result<(Ending, Duration), String> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")]);
        command.arg(self.file(test)).args(["--exact", &test.path, "--test-threads=1"]);
        command.current_dir(&self.folder).env(name, value);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let ending = wait(&mut command, limit).map_err(|error| format!("{test}: {error}"))?;
        Ok((ending, start.elapsed()))
    }

    /// What a person types to repeat this.
    pub(super) fn command(&self, test: &TestName, mutant: Option<&str>) -> String {
        let switch = mutant.map(|name| format!("{VARIABLE}={name} ")).unwrap_or_default();
        format!("{switch}{} --exact {}", self.file(test).display(), test.path)
    }

    fn file(&self, test: &TestName) -> &Path {
        self.by_name.get(&test.binary).map_or(Path::new(""), |binary| &binary.file)
    }
}

/// Does `work` on every item, as many at a time as the machine has processors, and tells `report` in the order of the items.
pub(super) fn all<T: Sync, R: Send>(
    items: &[T],
    work: &(dyn Fn(&T) -> Result<R, String> + Sync),
    report: &mut dyn FnMut(&T, &R),
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    // The receiver is gone after an error; there is nothing more to do then.
                    if sender.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut told = 0;
        for (index, result) in results {
            early.insert(index, result?);
            while let Some(result) = early.remove(&told) {
                report(&items[told], &result);
                told += 1;
            }
        }
        Ok(())
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plain program without a runtime: the thread has nothing else to do"
)]
fn wait(command: &mut Command, limit: Duration) -> std::io::Result<Ending> {
    let mut child = command.spawn()?;
    let start = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(Ending::Passed),
            Some(_) => return Ok(Ending::Failed),
            None if start.elapsed() > limit => {
                child.kill()?;
                child.wait()?;
                return Ok(Ending::TimeLimit);
            },
            None => thread::sleep(LOOK),
        }
    }
}

fn stdout(command: &mut Command) -> Result<String, String> {
    let shown = format!("{:?}", command.get_program());
    let output = command.output().map_err(|error| format!("{shown} cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown} failed: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_found_in_cargos_messages() {
        let message = |kind: &str, name: &str, file: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///t#purlin-core@0.1.0\",\
                 \"target\":{{\"kind\":[\"{kind}\"],\"crate_types\":[\"bin\"],\"name\":\"{name}\"}},\"executable\":{file}}}"
            )
        };
        let found = |kind, name, file| program(&message(kind, name, file));
        assert_eq!(found("test", "sys", "\"/t/sys-1\""), Some(("sys".to_owned(), PathBuf::from("/t/sys-1"))));
        assert_eq!(
            found("lib", "core", "\"/t/core-1\""),
            Some(("lib".to_owned(), PathBuf::from("/t/core-1")))
        );
        assert_eq!(found("lib", "core", "null"), None);
    }

    #[test]
    fn results_are_told_in_order_and_an_error_ends_the_work() {
        let items: Vec<u32> = (0..100).collect();
        let mut told = Vec::new();
        let doubled = all(&items, &|item| Ok(item * 2), &mut |item, result| told.push((*item, *result)));
        assert_eq!(doubled, Ok(()));
        assert_eq!(told.len(), 100);
        assert!(told.iter().enumerate().all(|(index, told)| *told == (index as u32, index as u32 * 2)));
        let failed =
            all(&items, &|item| if *item == 50 { Err("no".to_owned()) } else { Ok(()) }, &mut |_, ()| {});
        assert_eq!(failed, Err("no".to_owned()));
    }
}
