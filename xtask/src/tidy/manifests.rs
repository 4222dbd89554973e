//! What every `Cargo.toml` of ours must say, and a reader for the few lines of it that the checks need.
//!
//! [`Manifest::new`] is not a TOML parser: it knows sections, `key = value` lines and dependency tables, which is all
//! that our manifests use.

use super::Finding;
use crate::tree::{File, Tree};

/// The part of a `Cargo.toml` that the checks look at.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// `[package] name`; empty for a workspace root without a package.
    pub(super) name: String,
    /// Crates in `[dependencies]` and `[build-dependencies]`, also per target, each with its line index. Development
    /// dependencies are left out: tests may look up at the layers above them.
    pub(super) dependencies: Vec<(String, usize)>,
    /// Line index of `[features]`.
    features: Option<usize>,
    inherits_lints: bool,
}

impl Manifest {
    /// Reads the text of a `Cargo.toml`.
    pub(super) fn new(text: &str) -> Manifest {
        let mut manifest = Manifest::default();
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_start_matches('[').trim_end_matches(']').to_owned();
                if section == "features" {
                    manifest.features = Some(index);
                }
                if let Some((table, name)) = section.rsplit_once('.')
                    && is_dependency_table(table)
                {
                    manifest.dependencies.push((name.to_owned(), index));
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            if section == "package" && key == "name" {
                manifest.name = value.trim_matches('"').to_owned();
            }
            if section == "lints" && key == "workspace" || key == "lints.workspace" {
                manifest.inherits_lints = value == "true";
            }
            if is_dependency_table(&section) {
                let name = key.split('.').next().unwrap_or(key);
                manifest.dependencies.push((name.to_owned(), index));
            }
        }
        manifest
    }
}

fn is_dependency_table(section: &str) -> bool {
    ["dependencies", "build-dependencies"].iter().any(|table| {
        section == *table || section.starts_with("target.") && section.ends_with(&format!(".{table}"))
    })
}

/// The manifests of all packages in the tree, without those that tests use as data.
pub(super) fn all(tree: &Tree) -> impl Iterator<Item = (&File, Manifest)> {
    let manifests =
        tree.files().iter().filter(|file| file.path.ends_with("Cargo.toml") && !file.is_under("tests"));
    manifests.map(|file| (file, Manifest::new(&file.text))).filter(|(_, manifest)| !manifest.name.is_empty())
}

/// Crates without Cargo features: what is there is always there, so there is one build to test.
const WITHOUT_FEATURES: &[&str] = &["purlin-core", "purlin-table"];

/// Finds packages that do not inherit the workspace's lints, and features where there are to be none.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, manifest) in all(tree) {
        if !manifest.inherits_lints {
            findings.push(Finding::new(
                &file.path,
                0,
                "inherit the workspace's lints: [lints] workspace = true",
            ));
        }
        if let Some(index) = manifest.features.filter(|_| WITHOUT_FEATURES.contains(&manifest.name.as_str()))
        {
            findings.push(Finding::new(
                &file.path,
                index,
                "this crate has no features: one build, one behaviour",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_package_that_forgets_the_workspace_lints_is_reported() {
        let found = findings(check, &[("crates/a/Cargo.toml", "[package]\nname = \"a\"\n")]);
        assert_eq!(found, ["crates/a/Cargo.toml:1: inherit the workspace's lints: [lints] workspace = true"]);
        let fine = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n";
        assert_eq!(findings(check, &[("crates/a/Cargo.toml", fine)]), [""; 0]);
    }

    #[test]
    fn features_are_refused_where_there_are_to_be_none() {
        let text =
            |name| format!("[package]\nname = \"{name}\"\n[features]\nx = []\n[lints]\nworkspace = true\n");
        let found = findings(check, &[("crates/purlin-core/Cargo.toml", &text("purlin-core"))]);
        assert!(found[0].starts_with("crates/purlin-core/Cargo.toml:3: "), "{}", found[0]);
        assert_eq!(findings(check, &[("crates/purlin/Cargo.toml", &text("purlin"))]), [""; 0]);
    }

    #[test]
    fn dependencies_are_read_in_every_form_and_development_ones_are_not() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\nc.workspace = true\n# d = \"1\"\n[dependencies.e]\nversion = \"1\"\n\
            [target.'cfg(unix)'.dependencies]\nf = { version = \"1\" }\n[build-dependencies]\ng = \"1\"\n[dev-dependencies]\nh = \"1\"\n[workspace.dependencies]\ni = \"1\"\n";
        let names: Vec<String> = Manifest::new(text).dependencies.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "c", "e", "f", "g"]);
    }
}
