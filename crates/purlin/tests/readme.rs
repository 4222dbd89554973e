//! Proves that the counter is the same text in this crate's documentation, in the README and in `examples/counter`.

use std::fs;
use std::path::Path;

/// A file of the project; `None` where only this crate is.
fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).ok()
}

/// The first Rust listing of this crate's documentation.
fn counter() -> String {
    let text = include_str!("../src/lib.rs");
    let listing =
        text.lines().skip_while(|line| *line != "//! ```").skip(1).take_while(|line| *line != "//! ```");
    listing
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default().to_owned() + "\n")
        .collect()
}

#[test]
fn the_counter_has_at_most_25_lines() {
    let lines = counter().lines().count();
    assert!((15..=25).contains(&lines), "{lines} lines");
}

#[test]
fn the_counter_of_the_documentation_is_the_example() {
    let Some(example) = file("examples/counter/src/main.rs") else { return };
    assert!(
        example.ends_with(&counter()),
        "examples/counter/src/main.rs differs from the listing in crates/purlin/src/lib.rs"
    );
}

#[test]
fn the_counter_of_the_readme_is_the_example() {
    let Some(readme) = file("README.md") else { return };
    assert!(readme.contains(&counter()), "README.md does not have the listing of crates/purlin/src/lib.rs");
}
