//! At most [`LIMIT`] lines of code in a file: documentation, comments, blank lines and tests are free.

use super::Finding;
use crate::source::Source;
use crate::tree::Tree;

/// Code lines a file may have. A file that needs more usually holds a second idea.
const LIMIT: usize = 500;

/// Finds files that are too long; the finding stands at the first line over the limit.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let source = Source::new(&file.text);
        let count = source.code_lines();
        let code = source.lines.iter().enumerate().filter(|(_, line)| line.has_code && !line.in_test);
        if let Some((index, _)) = code.clone().nth(LIMIT) {
            findings.push(Finding::new(
                &file.path,
                index,
                format!("{count} lines of code, {LIMIT} are allowed: move the file's second idea into its own file"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    fn file(code: usize) -> String {
        let docs = "//! Docs.\n/// More.\n// A comment.\n\n".repeat(300);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn t() {}\n".repeat(600));
        docs + &"fn f() {}\n".repeat(code) + &tests
    }

    #[test]
    fn a_file_at_the_limit_passes_however_long_its_docs_and_tests_are() {
        assert!(findings(check, &[("crates/a/src/b.rs", &file(LIMIT))]).is_empty());
    }

    #[test]
    fn one_line_more_is_reported_where_it_stands() {
        let found = findings(check, &[("crates/a/src/b.rs", &file(LIMIT + 1))]);
        let line = 1200 + LIMIT + 1;
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with(&format!("crates/a/src/b.rs:{line}: 501 lines of code")),
            "{}",
            found[0]
        );
    }

    #[test]
    fn test_files_may_be_longer() {
        assert!(findings(check, &[("crates/a/tests/b.rs", &file(2 * LIMIT))]).is_empty());
    }
}
