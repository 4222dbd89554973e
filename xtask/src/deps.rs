//! `cargo xtask deps`: how many crates `purlin-core` brings into a program, and whether that stays within the limit.
//!
//! Counted are normal and build dependencies on this platform with the features that core itself asks for; core is not
//! counted.

use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

/// The most crates core may bring with it.
const LIMIT: usize = 15;

/// Asks cargo for the tree, prints the crates and fails if there are more than [`LIMIT`].
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if !arguments.is_empty() {
        return crate::refuse(arguments, "cargo xtask deps");
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "tree",
        "--package",
        "purlin-core",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let output = match cargo.current_dir(crate::tree::root()).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            eprintln!("deps: cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
            return ExitCode::from(2);
        },
        Err(error) => {
            eprintln!("deps: cargo cannot be started: {error}");
            return ExitCode::from(2);
        },
    };
    let crates = crates(&String::from_utf8_lossy(&output.stdout));
    println!("purlin-core brings {} crates, {LIMIT} are allowed:", crates.len());
    println!("  {}", crates.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    ExitCode::from(u8::from(crates.len() > LIMIT))
}

/// The distinct `name version` pairs of a `cargo tree`, without its first line, the package itself.
fn crates(tree: &str) -> BTreeSet<String> {
    let lines =
        tree.lines().skip(1).map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_counted_once_per_version_and_the_package_itself_not_at_all() {
        let tree = "purlin-core v0.1.0 (path)\ntokio v1.54.1\nsyn v2.0.1 (proc-macro)\nsyn v2.0.1 (proc-macro) (*)\nsyn v3.0.0\n\n";
        let found: Vec<String> = crates(tree).into_iter().collect();
        assert_eq!(found, ["syn v2.0.1", "syn v3.0.0", "tokio v1.54.1"]);
    }
}
