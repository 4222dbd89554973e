//! `cargo xtask tidy`: what a reviewer would otherwise have to say by hand, checked on the text of the tree.
//!
//! A check is a pure function from the [`Tree`] to [`Finding`]s, listed in [`CHECKS`]. The rules themselves are tables
//! in the check's file (`layers.rs`: who may use whom; `bans.rs`: what may not be written where), so most changes of a
//! rule are one line.

use std::fmt;
use std::process::ExitCode;

use crate::tree::{self, Tree};

mod bans;
mod docs;
mod examples;
mod layers;
mod manifests;
mod marks;
mod size;

/// One thing to change, at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path relative to the workspace root.
    path: String,
    /// Line number, from 1.
    line: usize,
    /// What is wrong and what to do instead.
    message: String,
}

impl Finding {
    /// A finding at `index`, which counts from 0 as the checks' indices do.
    fn new(path: &str, index: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line: index + 1, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A check: its name as printed, and the function.
type Check = (&'static str, fn(&Tree) -> Vec<Finding>);

const CHECKS: &[Check] = &[
    ("file size", size::check),
    ("module docs", docs::check),
    ("examples", examples::check),
    ("layers inside a crate", layers::modules),
    ("layers between crates", layers::crates),
    ("manifests", manifests::check),
    ("bans", bans::check),
    ("marks and machine paths", marks::check),
];

/// Runs every check on the project's tree, prints the findings and fails if there are any.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if !arguments.is_empty() {
        return crate::refuse(arguments, "cargo xtask tidy");
    }
    let tree = match Tree::read(&tree::root()) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("tidy: the tree cannot be read: {error}");
            return ExitCode::from(2);
        },
    };
    let mut total = 0;
    for (name, check) in CHECKS {
        let mut findings = check(&tree);
        findings.sort();
        findings.dedup();
        total += findings.len();
        if !findings.is_empty() {
            println!("{name}:");
        }
        for finding in findings {
            println!("  {finding}");
        }
    }
    let files = tree.files().len();
    match total {
        0 => println!("tidy: {} checks of {files} files found nothing", CHECKS.len()),
        1 => println!("tidy: 1 finding in {files} files"),
        _ => println!("tidy: {total} findings in {files} files"),
    }
    ExitCode::from(u8::from(total > 0))
}

/// What the checks' tests share: run one check on planted files and show the findings as they are printed.
#[cfg(test)]
fn findings(check: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::planted(files)).iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_and_line_in_the_form_editors_understand() {
        assert_eq!(Finding::new("a/b.rs", 6, "too long").to_string(), "a/b.rs:7: too long");
    }

    #[test]
    fn a_clean_file_has_no_findings_in_any_check() {
        let text = "//! A module.\n\n/// Adds one.\n///\n/// ```\n/// add_one(1);\n/// ```\npub fn add_one(n: u32) -> u32 {\n    n + 1\n}\n";
        for (name, check) in CHECKS {
            assert_eq!(
                findings(*check, &[("crates/purlin-core/src/mailbox/mod.rs", text)]),
                [""; 0],
                "{name}"
            );
        }
    }
}
