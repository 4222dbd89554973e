//! Every file says what it is: `//!` comes first, and line 1 of an integration test says what the test proves.

use super::Finding;
use crate::tree::{File, Tree};

/// A first line with fewer words than this does not say what a test file proves.
const WORDS: usize = 4;

/// Finds files without module documentation, and test files whose first line says nothing.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter(|file| !file.is_compile_fail_fixture()).filter_map(look).collect()
}

fn look(file: &File) -> Option<Finding> {
    if is_integration_test(&file.path) {
        let words = file
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//!"))
            .map(|doc| doc.split_whitespace().count());
        return (words.unwrap_or(0) < WORDS).then(|| {
            let message = "line 1 must be `//!` and say in a sentence what this file's tests prove";
            Finding::new(&file.path, 0, message)
        });
    }
    let first = file.text.lines().enumerate().find(|(_, line)| {
        let line = line.trim();
        // Inner attributes and a shebang may stand above the docs.
        let may_come_first = line.is_empty() || line.starts_with("#!") && !line.starts_with("#![doc");
        !may_come_first
    });
    let (index, line) = first.unwrap_or((0, ""));
    let documented =
        line.starts_with("#![doc") || line.strip_prefix("//!").is_some_and(|doc| !doc.trim().is_empty());
    (!documented).then(|| {
        Finding::new(&file.path, index, "the file must start with `//!`: what it holds and why it is apart")
    })
}

/// `<package>/tests/<name>.rs`; modules in folders below `tests` are ordinary files.
fn is_integration_test(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some("tests") && !path.split('/').any(|part| part == "src")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_file_without_module_docs_is_reported_at_its_first_line_of_text() {
        let found =
            findings(check, &[("crates/a/src/b.rs", "\n#![allow(x)]\nuse a::b;\n"), ("xtask/src/c.rs", "")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/a/src/b.rs:3: "), "{}", found[0]);
        assert!(found[1].starts_with("xtask/src/c.rs:1: "), "{}", found[1]);
    }

    #[test]
    fn module_docs_may_follow_inner_attributes_or_come_from_a_file() {
        let fine = [
            ("crates/a/src/b.rs", "#![allow(x)]\n\n//! Docs.\n"),
            ("crates/a/src/c.rs", "#![doc = include_str!(\"docs/c.md\")]\n"),
            ("crates/a/tests/ui/fixture.rs", "fn main() {}\n"),
        ];
        assert_eq!(findings(check, &fine), [""; 0]);
        assert_eq!(findings(check, &[("crates/a/src/d.rs", "//!\nfn a() {}\n")]).len(), 1);
    }

    #[test]
    fn a_test_file_says_on_line_one_what_it_proves() {
        let bad = [
            ("crates/a/tests/b.rs", "\n//! A dead server answers at once.\n"),
            ("crates/a/tests/c.rs", "//! Tests.\n"),
        ];
        let found = findings(check, &bad);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/a/tests/b.rs:1: line 1 must be"), "{}", found[0]);
        assert_eq!(
            findings(check, &[("crates/a/tests/d.rs", "//! A dead server answers at once.\n")]),
            [""; 0]
        );
    }

    #[test]
    fn a_helper_module_of_tests_needs_docs_only() {
        assert_eq!(findings(check, &[("crates/a/tests/common/mod.rs", "//! Helpers.\n")]), [""; 0]);
    }
}
