//! Proves that the likeliest mistakes are refused at compile time, with the words that are checked in beside each of them.
//!
//! The words are those of one compiler: with another one than `rust-toolchain.toml` pins, the test says so and does nothing. After a
//! wanted change, `TRYBUILD=overwrite cargo test -p purlin --test ui` writes the files anew.

use std::path::Path;
use std::process::Command;

#[test]
fn mistakes_are_refused_in_words_for_people() {
    let (wanted, found) = (pinned(), compiler());
    if wanted.is_none() || wanted != found {
        eprintln!(
            "SKIPPED: the error texts are those of rustc {wanted:?} (rust-toolchain.toml), and this is {found:?}"
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The version in `rust-toolchain.toml`; `None` outside the project's own tree.
fn pinned() -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust-toolchain.toml");
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with("channel"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// The version of the compiler at work.
fn compiler() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().nth(1)?.to_owned())
}
