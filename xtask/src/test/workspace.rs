//! What the steps have to know about the cargo workspace: its packages, its target folder, and the commands made of both.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::host;

/// Packages that only a full run compiles: they pull in every peer that the benchmarks compare with.
const HEAVY: &[&str] = &["purlin-benches"];

/// Packages whose tests have a step of their own, because they take minutes without optimisation.
const TESTED_APART: &[&str] = &["purlin-models"];

/// The workspace as cargo describes it.
#[derive(Debug)]
pub(super) struct Workspace {
    root: PathBuf,
    packages: Vec<String>,
    target: String,
}

impl Workspace {
    /// Asks cargo about the workspace at `root`.
    ///
    /// # Errors
    /// The text cargo prints, for example about a manifest that is wrong.
    pub(super) fn load(root: PathBuf) -> Result<Workspace, String> {
        let mut cargo = Command::new(host::program("cargo"));
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&root);
        let output = cargo.output().map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let json = String::from_utf8_lossy(&output.stdout);
        let target = text_after(&json, "\"target_directory\":\"").ok_or("cargo names no target folder")?;
        Ok(Workspace { root, packages: members(&json), target: target.to_owned() })
    }

    /// The folder of the workspace's manifest.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that programs are installed into: below the target folder, so that a clean clone has none.
    pub(super) fn tools(&self) -> PathBuf {
        Path::new(&self.target).join("tools")
    }

    /// Whether the workspace has a package of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package == name)
    }

    /// Splits a row's command at white space and fills in:
    /// `{workspace}`: all packages but the heavy ones; `{tested}`: those whose tests have no step of their own;
    /// `{test}`: the test runner, `nextest` where it is installed; `{release}`: where release programs are built;
    /// `{tools}`: where steps install programs.
    pub(super) fn command(&self, text: &str) -> Vec<String> {
        let workspace = self.all_but(HEAVY);
        let tested = workspace.clone() + &self.all_but(TESTED_APART).replace("--workspace", "");
        let runner = if host::find("cargo-nextest").is_some() {
            "nextest run --no-fail-fast"
        } else {
            "test --no-fail-fast --lib --bins --tests --examples"
        };
        let (release, tools) = (format!("{}/release", self.target), self.tools().display().to_string());
        let words = text.split_whitespace().flat_map(|word| match word {
            "{workspace}" => words(&workspace),
            "{tested}" => words(&tested),
            "{test}" => words(runner),
            // Not split again: the folder's name may hold a space.
            _ => vec![word.replace("{release}", &release).replace("{tools}", &tools)],
        });
        words.collect()
    }

    /// `--workspace` without those of `names` that exist (cargo warns about names that do not).
    fn all_but(&self, names: &[&str]) -> String {
        let present = names.iter().filter(|name| self.has(name));
        present.fold("--workspace".to_owned(), |text, name| format!("{text} --exclude {name}"))
    }

    /// A workspace with these packages that no cargo was asked about.
    #[cfg(test)]
    pub(super) fn planted(packages: &[&str]) -> Workspace {
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        Workspace { root: PathBuf::from("."), packages, target: "the target".to_owned() }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The text between `start` and the next `"`. Enough for cargo's own output, whose paths need no escapes on Unix.
fn text_after<'j>(json: &'j str, start: &str) -> Option<&'j str> {
    let rest = &json[json.find(start)? + start.len()..];
    rest.split('"').next()
}

/// The names in `workspace_members`, whose entries look like `path+file:///x/purlin-core#0.1.0`, or
/// `path+file:///x/benches#purlin-benches@0.1.0` where folder and package differ.
fn members(json: &str) -> Vec<String> {
    let list = json
        .split("\"workspace_members\":[")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_default();
    let ids = list.split('"').filter(|part| part.contains('#'));
    let name = |id: &str| {
        let (place, version) = id.rsplit_once('#')?;
        match version.split_once('@') {
            Some((name, _)) => Some(name.to_owned()),
            None => place.rsplit('/').next().map(str::to_owned),
        }
    };
    ids.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_both_forms_of_an_id() {
        let json = r#"{"packages":[{"id":"x#y@1"}],"workspace_members":["path+file:///p/purlin-core#0.1.0","path+file:///p/benches#purlin-benches@0.1.0"],"target_directory":"/t/target"}"#;
        assert_eq!(members(json), ["purlin-core", "purlin-benches"]);
        assert_eq!(text_after(json, "\"target_directory\":\""), Some("/t/target"));
    }

    #[test]
    fn this_workspace_knows_its_own_packages() {
        let workspace = Workspace::load(crate::tree::root()).expect("cargo describes the workspace");
        assert!(workspace.has("xtask") && workspace.has("purlin-core") && !workspace.has("tokio"));
    }

    #[test]
    fn heavy_packages_are_excluded_only_if_they_exist() {
        let without = Workspace::planted(&["purlin"]);
        assert_eq!(without.command("cargo doc {workspace}").join(" "), "cargo doc --workspace");
        let with = Workspace::planted(&["purlin", "purlin-benches", "purlin-models"]);
        assert_eq!(
            with.command("cargo doc {workspace}").join(" "),
            "cargo doc --workspace --exclude purlin-benches"
        );
        let tested = "cargo build --workspace --exclude purlin-benches --exclude purlin-models";
        assert_eq!(with.command("cargo build {tested}").join(" "), tested);
    }

    #[test]
    fn a_space_in_the_target_folder_does_not_split_the_program() {
        let words = Workspace::planted(&[]).command("valgrind {release}/purlin-stress memcheck");
        assert_eq!(words, ["valgrind", "the target/release/purlin-stress", "memcheck"]);
    }
}
