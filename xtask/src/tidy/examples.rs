//! Every public function is shown in an example: its name occurs in a doctest of some crate that users see, and every public module has an
//! example of its own. rustc's `missing_docs` sees to the words, this to the code beside them.

use std::collections::BTreeSet;

use super::Finding;
use crate::source::Source;
use crate::tree::{File, Tree};

/// Where the interface is, and the examples for it.
const INTERFACE: &[&str] = &["crates/purlin-core/src/", "crates/purlin-test/src/"];
/// Where examples may be besides.
const FACADE: &[&str] = &["crates/purlin/src/", "crates/purlin-macros/src/"];

/// Finds public functions that no doctest uses, and public modules without an example.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let within = |file: &&File, folders: &[&str]| folders.iter().any(|folder| file.path.starts_with(folder));
    let interface: Vec<_> = tree
        .rust()
        .filter(|file| within(file, INTERFACE) && !file.is_test())
        .map(|file| (file, Source::new(&file.text)))
        .collect();
    let mut shown: BTreeSet<String> =
        interface.iter().flat_map(|(_, source)| examples(source, "//")).collect();
    for file in tree.rust().filter(|file| within(file, FACADE)) {
        shown.extend(examples(&Source::new(&file.text), "//"));
    }
    let mut findings = Vec::new();
    for (file, source) in &interface {
        for (kind, name, line) in public(source) {
            if kind == "fn" && !shown.contains(name) {
                let message = format!("no doctest uses `{name}`: show it in an example");
                findings.push(Finding::new(&file.path, line, message));
            }
            if kind == "mod" {
                let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let files = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
                let bare = |(file, source): &&(&File, Source)| {
                    files.contains(&file.path) && examples(source, "//!").next().is_none()
                };
                if let Some((file, _)) = interface.iter().find(bare) {
                    findings.push(Finding::new(&file.path, 0, "a public module begins with an example"));
                }
            }
        }
    }
    findings
}

/// The identifiers in the doctests of comments that begin so.
fn examples<'a>(source: &'a Source, comment: &'a str) -> impl Iterator<Item = String> + 'a {
    let (mut inside, mut code) = (false, false);
    let lines = source.lines.iter().filter_map(move |line| {
        let text = line.comment.trim_start().strip_prefix("//")?.strip_prefix(['/', '!'])?.trim_start();
        if let Some(kind) = text.strip_prefix("```") {
            inside = !inside;
            code = inside && !["text", "console", "toml", "ignore"].contains(&kind.trim());
            return None;
        }
        (code && line.comment.trim_start().starts_with(comment)).then_some(text)
    });
    lines.flat_map(|text| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
    })
}

/// What is declared `pub fn` or `pub mod`, outside of tests, and not hidden from the documentation: kind, name, line.
fn public(source: &Source) -> impl Iterator<Item = (&str, &str, usize)> {
    let text = |at: usize| source.tokens.get(at).map_or("", |token| token.text.as_str());
    (0..source.tokens.len()).filter_map(move |start| {
        let line = source.tokens[start].line;
        if text(start) != "pub" || source.lines[line].in_test || hidden(source, start) {
            return None;
        }
        let mut at = start + 1;
        while matches!(text(at), "const" | "async" | "unsafe") {
            at += 1;
        }
        matches!(text(at), "fn" | "mod").then(|| (text(at), text(at + 1), line))
    })
}

/// Whether one of the attributes in front of a token says `#[doc(hidden)]`.
fn hidden(source: &Source, mut at: usize) -> bool {
    let text = |at: usize| source.tokens[at].text.as_str();
    while at > 0 && text(at - 1) == "]" {
        let Some(open) = (0..at - 1).rev().find(|open| text(*open) == "#") else { return false };
        if (open..at).any(|inside| text(inside) == "hidden") {
            return true;
        }
        at = open;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    const PATH: &str = "crates/purlin-core/src/a.rs";

    #[test]
    fn a_public_function_that_no_doctest_uses_is_reported() {
        let text = "//! Docs.\n\n/// Adds.\npub fn add() {}\n\n/// ```text\n/// subtract()\n/// ```\npub const fn subtract() {}\n";
        let expected = ["a.rs:4: no doctest uses `add`", "a.rs:9: no doctest uses `subtract`"];
        let found = findings(check, &[(PATH, text)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.contains(expected)), "{found:?}");
    }

    #[test]
    fn an_example_may_stand_on_the_function_on_its_module_or_in_the_facade() {
        let here = "//! Docs.\n//!\n//! ```\n//! a::add();\n//! ```\n\n/// ```\n/// subtract();\n/// ```\npub fn add() {}\npub async fn subtract() {}\npub fn divide() {}\n";
        let facade = "//! ```\n//! # use x;\n//! divide();\n//! ```\n";
        assert_eq!(findings(check, &[(PATH, here), ("crates/purlin/src/lib.rs", facade)]), [""; 0]);
    }

    #[test]
    fn what_users_do_not_see_needs_no_example() {
        let text = "pub(crate) fn a() {}\n#[doc(hidden)]\n#[must_use]\npub fn b() {}\n#[cfg(test)]\nmod tests {\n    pub fn c() {}\n}\n";
        assert_eq!(
            findings(check, &[(PATH, text), ("crates/purlin-models/src/b.rs", "pub fn d() {}\n")]),
            [""; 0]
        );
    }

    #[test]
    fn a_public_module_has_an_example_in_its_own_documentation() {
        let lib = ("crates/purlin-core/src/lib.rs", "pub mod a;\nmod b;\n");
        let bare = "//! Docs.\n\n/// ```\n/// add();\n/// ```\npub fn add() {}\n";
        let found = findings(check, &[lib, (PATH, bare), ("crates/purlin-core/src/b.rs", "//! Docs.\n")]);
        assert_eq!(found, [format!("{PATH}:1: a public module begins with an example")]);
        let fine = ("crates/purlin-core/src/a/mod.rs", "//! ```\n//! a();\n//! ```\n");
        assert_eq!(findings(check, &[lib, fine]), [""; 0]);
    }
}
