//! What may not be written, where, and why: one table, [`BANS`].
//!
//! The rules are about tokens and paths, not text, so a word inside a string or a comment is never meant, and an import
//! (`use tokio::{spawn}`) is found as well as a use. Clippy's `disallowed-methods` holds the bans that apply to every
//! crate; the ones here depend on the place.

use super::Finding;
use crate::source::{PathUse, Source};
use crate::tree::{File, Tree};

/// Where a ban holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Every Rust file.
    Everywhere,
    /// Test files and items under `#[cfg(test)]`.
    Tests,
    /// Everywhere except these folders.
    Outside(&'static [&'static str]),
    /// `purlin-core` without its tests, except the modules that are the way to time, tasks and randomness.
    CoreBehindTheSeam,
}

/// The crates with raw memory inside. All others build on them and forbid it.
const UNSAFE_CRATES: &[&str] = &["crates/purlin-core/", "crates/purlin-table/", "crates/purlin-models/"];

/// The part of core that reaches the outside world, for everybody else in core.
const CORE: &str = "crates/purlin-core/src/";
const SEAM: &[&str] = &["rt/", "rt.rs", "timer/", "timer.rs"];

const SIM: &str = "go through `rt`, for deterministic simulation";
const UNFINISHED: &str = "finish it; unfinished work belongs in an issue";
const WAIT: &str = "a test waits for an event, or uses the virtual clock; sleeping makes it slow and flaky";

/// The table: pattern, place, reason. A pattern is `name!` (a macro), `a::b` (a path that contains these segments side
/// by side), `a::*` (any path that starts with this segment), or a single keyword.
const BANS: &[(&str, Place, &str)] = &[
    ("todo!", Place::Everywhere, UNFINISHED),
    ("unimplemented!", Place::Everywhere, UNFINISHED),
    ("dbg!", Place::Everywhere, "use `tracing`, or remove it"),
    ("thread::sleep", Place::Tests, WAIT),
    ("time::sleep", Place::Tests, WAIT),
    ("time::sleep_until", Place::Tests, WAIT),
    (
        "unsafe",
        Place::Outside(UNSAFE_CRATES),
        "raw memory is handled in purlin-core and purlin-table (and their models) only",
    ),
    ("Instant::now", Place::CoreBehindTheSeam, SIM),
    ("SystemTime::now", Place::CoreBehindTheSeam, SIM),
    ("tokio::spawn", Place::CoreBehindTheSeam, SIM),
    ("task::spawn", Place::CoreBehindTheSeam, SIM),
    (
        "task::yield_now",
        Place::CoreBehindTheSeam,
        "it waits for the driver and so hides races; use `rt`'s own",
    ),
    ("tokio::time", Place::CoreBehindTheSeam, SIM),
    (
        "tokio::select",
        Place::CoreBehindTheSeam,
        "its branch order is random in a way no seed reaches; use `biased` polling",
    ),
    ("thread::sleep", Place::CoreBehindTheSeam, SIM),
    ("rand::*", Place::CoreBehindTheSeam, SIM),
    ("fastrand::*", Place::CoreBehindTheSeam, SIM),
    ("RandomState::new", Place::CoreBehindTheSeam, "its order differs in every run; use a fixed hasher"),
    ("HashMap::new", Place::CoreBehindTheSeam, "its order differs in every run; use a fixed hasher"),
    ("HashSet::new", Place::CoreBehindTheSeam, "its order differs in every run; use a fixed hasher"),
];

/// Finds every use of something that is banned where it stands.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let source = Source::new(&file.text);
        let paths = source.paths();
        for (pattern, place, why) in BANS {
            for index in uses(pattern, &source, &paths) {
                if place.holds(file, source.lines[index].in_test) {
                    findings.push(Finding::new(
                        &file.path,
                        index,
                        format!("`{pattern}` is not allowed here: {why}"),
                    ));
                }
            }
        }
    }
    findings
}

impl Place {
    /// Whether the place takes in a line of `file` that is (or is not) under `#[cfg(test)]`.
    fn holds(self, file: &File, in_test: bool) -> bool {
        let test = in_test || file.is_test();
        match self {
            Place::Everywhere => true,
            Place::Tests => test,
            Place::Outside(folders) => !folders.iter().any(|folder| file.path.starts_with(folder)),
            Place::CoreBehindTheSeam => {
                !test
                    && file
                        .path
                        .strip_prefix(CORE)
                        .is_some_and(|below| !SEAM.iter().any(|seam| below.starts_with(seam)))
            },
        }
    }
}

/// The indices of the lines that use `pattern`.
fn uses(pattern: &str, source: &Source, paths: &[PathUse]) -> Vec<usize> {
    if let Some(first) = pattern.strip_suffix("::*") {
        return paths.iter().filter(|path| path.segments[0] == first).map(|path| path.line).collect();
    }
    if pattern.contains("::") {
        let wanted: Vec<&str> = pattern.split("::").collect();
        let holds =
            |path: &&PathUse| path.segments.windows(wanted.len()).any(|part| part == wanted.as_slice());
        return paths.iter().filter(holds).map(|path| path.line).collect();
    }
    let tokens: Vec<&str> = match pattern.strip_suffix('!') {
        Some(name) => vec![name, "!"],
        None => vec![pattern],
    };
    let at = (0..source.tokens.len()).filter(|at| source.matches(*at, &tokens));
    at.map(|at| source.tokens[at].line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    fn lines(path: &str, text: &str) -> Vec<String> {
        let found = findings(check, &[(path, text)]);
        found
            .iter()
            .map(|finding| finding.split(" is not allowed").next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn unfinished_code_is_refused_wherever_it_stands() {
        for name in ["todo", "unimplemented", "dbg"] {
            let text = format!("//! Docs.\nfn f() {{\n    {name}!(\"x\")\n}}\n");
            for path in ["examples/a/src/main.rs", "crates/a/tests/b.rs", "xtask/src/c.rs"] {
                assert_eq!(lines(path, &text), [format!("{path}:3: `{name}!`")]);
            }
        }
        assert_eq!(lines("xtask/src/c.rs", "// todo! in words\nlet todo = \"todo!\";\n"), [""; 0]);
    }

    #[test]
    fn sleeping_is_refused_in_tests_only() {
        let test =
            "use std::{time::Duration, thread::sleep};\nfn f() { tokio::time::sleep(Duration::ZERO); }\n";
        let path = "crates/a/tests/b.rs";
        assert_eq!(
            lines(path, test),
            [format!("{path}:1: `thread::sleep`"), format!("{path}:2: `time::sleep`")]
        );
        assert_eq!(lines("apps/a/src/main.rs", test), [""; 0]);
        let module = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use tokio::time::sleep;\n}\n";
        assert_eq!(lines("apps/a/src/main.rs", module), ["apps/a/src/main.rs:4: `time::sleep`"]);
    }

    #[test]
    fn raw_memory_is_refused_outside_the_two_crates_that_own_it() {
        let text = "#![forbid(unsafe_code)]\n// unsafe in words\nfn f() { unsafe { g() } }\n";
        assert_eq!(lines("crates/purlin/src/lib.rs", text), ["crates/purlin/src/lib.rs:3: `unsafe`"]);
        assert_eq!(lines("crates/purlin-core/src/mailbox/mod.rs", text), [""; 0]);
    }

    #[test]
    fn time_tasks_and_randomness_are_refused_in_core_behind_the_seam() {
        let text = "use std::time::Instant;\nuse tokio::{spawn, time};\nfn f() { let n = Instant::now(); }\nfn g() { rand::random() }\n";
        let path = "crates/purlin-core/src/process/table.rs";
        let expected = ["3: `Instant::now`", "2: `tokio::spawn`", "2: `tokio::time`", "4: `rand::*`"];
        assert_eq!(lines(path, text), expected.map(|finding| format!("{path}:{finding}")));
    }

    #[test]
    fn the_seam_itself_tests_and_other_crates_may_reach_the_world() {
        let text = "fn f() { tokio::spawn(async {}); std::time::Instant::now(); }\n";
        let free = [
            "crates/purlin-core/src/rt/tokio.rs",
            "crates/purlin-core/src/timer.rs",
            "crates/purlin-test/src/lib.rs",
        ];
        for path in free.into_iter().chain(["crates/purlin-core/tests/a.rs", "apps/webhooks/src/main.rs"]) {
            assert_eq!(lines(path, text), [""; 0], "{path}");
        }
        let inside = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert_eq!(lines("crates/purlin-core/src/node.rs", &inside), [""; 0]);
    }
}
