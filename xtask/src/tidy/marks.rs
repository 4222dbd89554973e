//! Marks that do not belong in finished work: notes to oneself in comments, switched-off tests without a reason, and
//! paths that exist on one machine only.

use super::Finding;
use crate::source::{Source, has_word};
use crate::tree::Tree;

/// Notes that are never left in comments. Each is put together here so that this file does not contain it.
const NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];

/// A note that may stay if it names its issue: `NAME(#12)`.
const NOTE_WITH_ISSUE: &str = concat!("TO", "DO");

/// The attribute of a test that does not run by itself.
const SWITCHED_OFF: &str = "ignore";

/// First folders of absolute paths that only make sense on somebody's machine or in somebody's container.
const MACHINE_FOLDERS: &[&str] = &["root", "home", "work", "Users"];

/// Finds the marks: notes and switched-off tests in Rust files, machine paths in every text file but the lock file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let source = Source::new(&file.text);
        for (index, line) in source.lines.iter().enumerate() {
            for message in notes(&line.comment) {
                findings.push(Finding::new(&file.path, index, message));
            }
        }
        for at in (0..source.tokens.len()).filter(|at| source.matches(*at, &["#", "[", SWITCHED_OFF, "]"])) {
            let message = "a test that is switched off says why: `ignore = \"…\"`";
            findings.push(Finding::new(&file.path, source.tokens[at].line, message));
        }
    }
    for file in tree.files().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(folder) = machine_path(line) {
                let message = format!("a path below /{folder} exists on one machine only; make it relative");
                findings.push(Finding::new(&file.path, index, message));
            }
        }
    }
    findings
}

fn notes(comment: &str) -> Vec<String> {
    let mut found = Vec::new();
    for note in NOTES {
        if has_word(comment, note) {
            found.push(format!("`{note}` in a comment: do it, or open an issue"));
        }
    }
    if has_word(comment, NOTE_WITH_ISSUE) && !comment.contains(&format!("{NOTE_WITH_ISSUE}(#")) {
        found.push(format!("`{NOTE_WITH_ISSUE}` in a comment must name its issue: {NOTE_WITH_ISSUE}(#12)"));
    }
    found
}

/// The machine folder that a path in `line` starts with. `a/home/b` and `https://x/home/b` are not absolute paths.
fn machine_path(line: &str) -> Option<&'static str> {
    MACHINE_FOLDERS.iter().copied().find(|folder| {
        let start = format!("/{folder}/");
        line.match_indices(&start).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before
                .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | '>' | '*'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_note_to_oneself_is_reported_with_its_line() {
        for note in NOTES {
            let found = findings(
                check,
                &[("crates/a/src/b.rs", &format!("//! Docs.\nfn f() {{}} // {note}: later\n"))],
            );
            assert_eq!(
                found,
                [format!("crates/a/src/b.rs:2: `{note}` in a comment: do it, or open an issue")]
            );
        }
    }

    #[test]
    fn a_note_may_stay_only_with_the_number_of_its_issue() {
        let note = NOTE_WITH_ISSUE;
        assert_eq!(findings(check, &[("a.rs", &format!("// {note}: later\n"))]).len(), 1);
        assert_eq!(
            findings(check, &[("a.rs", &format!("// {note}(#31): later\nlet {note} = 1;\n"))]),
            [""; 0]
        );
    }

    #[test]
    fn a_test_is_switched_off_only_with_a_reason() {
        let found =
            findings(check, &[("a.rs", &format!("//! Docs.\n#[test]\n#[{SWITCHED_OFF}]\nfn f() {{}}\n"))]);
        assert!(found[0].starts_with("a.rs:3: "), "{}", found[0]);
        assert_eq!(
            findings(check, &[("a.rs", &format!("#[{SWITCHED_OFF} = \"takes an hour\"]\nfn f() {{}}\n"))]),
            [""; 0]
        );
    }

    #[test]
    fn machine_paths_are_reported_in_every_kind_of_text_file() {
        for folder in MACHINE_FOLDERS {
            for path in ["docs/a.md", "a.toml", "crates/a/src/b.rs"] {
                let text = format!("first\nsee \"/{folder}/purlin/x\"\n");
                let found = findings(check, &[(path, &text)]);
                assert!(found.len() == 1 && found[0].starts_with(&format!("{path}:2: ")), "{found:?}");
            }
        }
    }

    #[test]
    fn relative_paths_and_addresses_are_not_machine_paths() {
        let text =
            "src/home/a ../home/b https://example.org/home/c $PWD/home ${X}/home/ crates/*/home/d /homes/\n";
        assert_eq!(findings(check, &[("docs/a.md", text)]), [""; 0]);
    }
}
