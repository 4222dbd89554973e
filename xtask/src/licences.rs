//! `cargo xtask licences`: what may come into the dependency tree: licences, sources, crates, and versions of them.
//!
//! What cargo resolves is judged, on every platform, development dependencies included; only the sources are those of
//! the whole `Cargo.lock`. The benchmarks are left out: they bring every peer that they compare with, and nobody who uses
//! Purlin gets those.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode};

use crate::tree::{self, File, Tree};

/// Permissive licences only, so that Purlin's own two are all that a user has to read.
const LICENCES: &[&str] =
    &["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unicode-3.0", "Zlib"];

/// Crates that must not come in, each with what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("async-trait", "traits have async functions; a boxed future per call costs more than the call"),
    ("chrono", "civil time is jiff's"),
    ("openssl-sys", "TLS is rustls's: no C library to find on the build machine"),
    ("madsim", "simulation is our own and needs no patched crates"),
];

/// Crates that may be there in two versions, each with who holds the older one. Two versions cost build time and, for
/// public types, sanity.
const TWICE: &[(&str, &str)] = &[("syn", "other crates' derive macros have not moved to the newest one")];

/// What is left out of everything but the check of sources.
const NOT_OURS: &str = "purlin-benches";

/// Judges the tree and prints what is wrong with it.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if !arguments.is_empty() {
        return crate::refuse(arguments, "cargo xtask licences");
    }
    let judged = resolved().and_then(|resolved| {
        let tree = Tree::read(&tree::root()).map_err(|error| error.to_string())?;
        let lock =
            std::fs::read_to_string(tree::root().join("Cargo.lock")).map_err(|error| error.to_string())?;
        let crates = crates(&resolved);
        let mut findings = judge(&crates);
        findings.extend(sources(&lock, &own_packages(&tree)));
        findings.extend(wildcards(&tree));
        Ok((crates.len(), findings))
    });
    match judged {
        Ok((count, findings)) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("licences: {count} crates looked at, {} findings", findings.len());
            ExitCode::from(u8::from(!findings.is_empty()))
        },
        Err(error) => {
            eprintln!("licences: {error}");
            ExitCode::from(2)
        },
    }
}

/// What cargo prints about the tree: `name vX.Y.Z (where from)|licence` on each line.
fn resolved() -> Result<String, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--quiet", "--locked", "--workspace", "--exclude", NOT_OURS, "--all-features"]);
    cargo.args(["--target", "all", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"]);
    let output = cargo.current_dir(tree::root()).output();
    let output = output.map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A crate that is not of this workspace.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate<'t> {
    name: &'t str,
    version: &'t str,
    licence: &'t str,
}

/// The crates in cargo's output. Those of the workspace stand there with their folder.
fn crates(resolved: &str) -> BTreeSet<Crate<'_>> {
    let read = |line| {
        let (package, licence) = str::split_once(line, '|')?;
        let mut words = package.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        let ours = words.any(|word| word.contains(['/', '\\']));
        (!ours).then(|| Crate { name, version, licence: licence.trim_end_matches("(*)").trim() })
    };
    resolved.lines().filter_map(read).collect()
}

/// What is wrong with the crates themselves.
fn judge(crates: &BTreeSet<Crate<'_>>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Crate { name, version, licence } in crates {
        versions.entry(name).or_default().push(version);
        if !is_allowed(licence) {
            let licence = if licence.is_empty() { "none that its manifest names" } else { licence };
            findings.push(format!("{name} {version}: its licence is not on our list: {licence}"));
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
            findings.push(format!("{name} {version}: must not come in: {why}"));
        }
    }
    for (name, versions) in versions {
        let most = 1 + usize::from(TWICE.iter().any(|(twice, _)| *twice == name));
        if versions.len() > most {
            findings.push(format!("{name}: there in {} versions: {}", versions.len(), versions.join(", ")));
        }
    }
    findings
}

/// What is wrong with where the packages of a `Cargo.lock` come from: the public registry, or this workspace.
fn sources(lock: &str, ours: &BTreeSet<String>) -> Vec<String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let mut findings = Vec::new();
    for block in lock.split("[[package]]").skip(1) {
        let name = value(block, "name").unwrap_or_default();
        match value(block, "source") {
            Some(source) if source.starts_with("registry+") && source.ends_with("/crates.io-index") => {},
            Some(source) => {
                findings.push(format!("{name}: comes from {source}, not from the public registry"))
            },
            None if ours.contains(&name) => {},
            None => findings.push(format!("{name}: comes from a folder outside this workspace")),
        }
    }
    findings
}

/// The names of the packages whose manifests are in the tree.
fn own_packages(tree: &Tree) -> BTreeSet<String> {
    let name = |text: &str| {
        let package = text.split_once("[package]")?.1;
        let line = package.lines().find_map(|line| line.strip_prefix("name = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    manifests(tree).filter_map(|file| name(&file.text)).collect()
}

/// Dependencies on any version at all: what they mean changes without us.
fn wildcards(tree: &Tree) -> Vec<String> {
    let finding = |file: &File| {
        let index = file.text.lines().position(|line| line.contains("= \"*\""))?;
        Some(format!("{}:{}: name the versions that this works with", file.path, index + 1))
    };
    manifests(tree).filter_map(finding).collect()
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &File> {
    tree.files().iter().filter(|file| file.path.ends_with("Cargo.toml"))
}

/// Whether a licence expression lets us choose licences of our list only. `/` is an old way to write `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`; `None` if it is not written like that.
fn any_of<'w>(words: &mut &'w [&'w str]) -> Option<bool> {
    let mut allowed = all_of(words)?;
    while let Some(rest) = after(words, "OR") {
        *words = rest;
        allowed |= all_of(words)?;
    }
    Some(allowed)
}

/// `a AND b`, which binds closer.
fn all_of<'w>(words: &mut &'w [&'w str]) -> Option<bool> {
    let mut allowed = one(words)?;
    while let Some(rest) = after(words, "AND") {
        *words = rest;
        allowed &= one(words)?;
    }
    Some(allowed)
}

/// A licence, or an expression in brackets. An exception (`a WITH b`) only allows more than the licence does.
fn one<'w>(words: &mut &'w [&'w str]) -> Option<bool> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    if *first == "(" {
        let allowed = any_of(words)?;
        *words = after(words, ")")?;
        return Some(allowed);
    }
    if let Some(rest) = after(words, "WITH") {
        *words = rest.split_first()?.1;
    }
    Some(LICENCES.contains(first))
}

fn after<'w>(words: &'w [&'w str], word: &str) -> Option<&'w [&'w str]> {
    words.split_first().filter(|(first, _)| **first == word).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_if_we_can_choose_what_is_on_the_list() {
        for allowed in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "Unlicense/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "GPL-2.0-only AND MIT OR Zlib",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR ISC) AND MPL-2.0",
            "MIT OR",
            "MIT ISC",
            "(MIT",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }

    #[test]
    fn crates_are_read_once_each_and_our_own_not_at_all() {
        let text = "purlin v0.1.0 (/p/crates/purlin)|MIT\ntokio v1.54.1|MIT\nserde_derive v1.0.2 (proc-macro)|MIT OR Apache-2.0\n\ntokio v1.54.1|MIT (*)\nodd v1.0.0|\n";
        let found: Vec<_> = crates(text)
            .into_iter()
            .map(|Crate { name, version, licence }| (name, version, licence))
            .collect();
        assert_eq!(
            found,
            [
                ("odd", "v1.0.0", ""),
                ("serde_derive", "v1.0.2", "MIT OR Apache-2.0"),
                ("tokio", "v1.54.1", "MIT")
            ]
        );
    }

    #[test]
    fn each_thing_that_is_wrong_with_a_crate_is_reported() {
        let text = "a v1.0.0|GPL-3.0-only\nb v1.0.0|\nchrono v0.4.0|MIT\nc v1.0.0|MIT\nc v2.0.0|MIT\nsyn v2.0.0|MIT\nsyn v3.0.0|MIT\n";
        let findings = judge(&crates(text));
        assert_eq!(
            findings,
            [
                "a v1.0.0: its licence is not on our list: GPL-3.0-only",
                "b v1.0.0: its licence is not on our list: none that its manifest names",
                "chrono v0.4.0: must not come in: civil time is jiff's",
                "c: there in 2 versions: v1.0.0, v2.0.0",
            ]
        );
        let three = "syn v1.0.0|MIT\nsyn v2.0.0|MIT\nsyn v3.0.0|MIT\n";
        assert_eq!(judge(&crates(three)).len(), 1);
    }

    #[test]
    fn a_package_that_comes_from_elsewhere_is_reported() {
        let lock = "version = 4\n\n\
            [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n\
            [[package]]\nname = \"good\"\nversion = \"1.0.0\"\nsource = \"registry+https://host/crates.io-index\"\n\n\
            [[package]]\nname = \"forked\"\nversion = \"1.0.0\"\nsource = \"git+https://host/forked#0123\"\n\n\
            [[package]]\nname = \"private\"\nversion = \"1.0.0\"\nsource = \"registry+https://host/index\"\n\n\
            [[package]]\nname = \"beside\"\nversion = \"1.0.0\"\n";
        assert_eq!(
            sources(lock, &BTreeSet::from(["ours".to_owned()])),
            [
                "forked: comes from git+https://host/forked#0123, not from the public registry",
                "private: comes from registry+https://host/index, not from the public registry",
                "beside: comes from a folder outside this workspace",
            ]
        );
    }

    #[test]
    fn a_dependency_on_any_version_is_reported_at_its_line() {
        let manifest =
            |version| format!("[package]\nname = \"a\"\n[dependencies]\nb = {{ version = \"{version}\" }}\n");
        let (any, fine) = (manifest("*"), manifest("1.*"));
        let tree = Tree::planted(&[("a/Cargo.toml", &any), ("b/Cargo.toml", &fine)]);
        assert_eq!(wildcards(&tree), ["a/Cargo.toml:4: name the versions that this works with"]);
        assert_eq!(own_packages(&tree), BTreeSet::from(["a".to_owned()]));
    }
}
