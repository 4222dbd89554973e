//! One step of `cargo xtask test`: what it runs, what it needs, and how it ended.

use std::fmt;
use std::time::Duration;

use super::host;
use super::workspace::Workspace;

/// A row of the table. Built with [`Step::new`] and the methods below, each of which narrows when it runs.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Shown in every line about the step.
    pub(super) name: &'static str,
    /// Run one after another until one fails.
    pub(super) commands: &'static [&'static str],
    /// Whether it belongs to `--full` only.
    pub(super) only_full: bool,
    needs: Vec<Need>,
    env: Vec<(&'static str, &'static str)>,
    limit: Duration,
}

/// Something without which a step is skipped.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// A package of this workspace.
    Package(&'static str),
    /// A command of this program.
    Command(&'static str),
    /// A file, relative to the workspace root.
    File(&'static str),
    /// A program that the step installs if it can: its name and its Debian package.
    Installed(&'static str, &'static str),
    /// A program that the step installs if it can: a Python wheel that holds it, `name-version`.
    Wheel(&'static str),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All commands ended with status zero.
    Passed,
    /// Something the step needs is not here.
    Skipped {
        /// What is missing.
        why: String,
    },
    /// A command failed; the ones after it did not run.
    Failed {
        /// What to type to repeat it.
        command: String,
        /// Its exit status, or why it could not be run to the end.
        why: String,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => f.write_str("passed"),
            Outcome::Skipped { why } => write!(f, "skipped: {why}"),
            Outcome::Failed { command, why } => write!(f, "FAILED: `{command}`: {why}"),
        }
    }
}

impl Step {
    /// A step that runs `commands` in order, each within 15 minutes, in every run.
    pub(super) fn new(name: &'static str, commands: &'static [&'static str]) -> Step {
        let limit = Duration::from_secs(15 * 60);
        Step { name, commands, only_full: false, needs: Vec::new(), env: Vec::new(), limit }
    }

    /// Only with `--full`.
    pub(super) fn full(mut self) -> Step {
        self.only_full = true;
        self
    }

    /// Another time limit for each command.
    pub(super) fn minutes(mut self, minutes: u64) -> Step {
        self.limit = Duration::from_secs(minutes * 60);
        self
    }

    /// An environment variable for the commands.
    pub(super) fn env(mut self, name: &'static str, value: &'static str) -> Step {
        self.env.push((name, value));
        self
    }

    /// Only if the workspace has this package.
    pub(super) fn package(self, name: &'static str) -> Step {
        self.need(Need::Package(name))
    }

    /// Only if `cargo xtask <name>` exists.
    pub(super) fn command(self, name: &'static str) -> Step {
        self.need(Need::Command(name))
    }

    /// Only if this file exists; the path is relative to the workspace root.
    pub(super) fn file(self, path: &'static str) -> Step {
        self.need(Need::File(path))
    }

    /// Only with this program, which is installed from `package` where that is possible.
    pub(super) fn install(self, name: &'static str, package: &'static str) -> Step {
        self.need(Need::Installed(name, package))
    }

    /// Only with the programs of this Python wheel (`name-version`), which is installed into `{tools}/name-version` where
    /// that is possible: always the same version, and nothing outside the target folder is touched.
    pub(super) fn wheel(self, wheel: &'static str) -> Step {
        self.need(Need::Wheel(wheel))
    }

    fn need(mut self, need: Need) -> Step {
        self.needs.push(need);
        self
    }

    /// Runs the step, with the commands' output passed through.
    pub(super) fn run(&self, workspace: &Workspace) -> Outcome {
        for need in &self.needs {
            let Err(why) = need.check(workspace) else { continue };
            if need.is_owed() && host::is_ci() {
                let command = format!("cargo xtask test --only \"{}\"", self.name);
                return Outcome::Failed { command, why };
            }
            return Outcome::Skipped { why };
        }
        for command in self.commands {
            let words = workspace.command(command);
            let variables = self.env.iter().map(|(name, value)| format!("{name}=\"{value}\" "));
            let shown = variables.collect::<String>() + &words.join(" ");
            println!("$ {shown}");
            if let Err(why) = host::run(&words, &self.env, workspace.root(), self.limit) {
                return Outcome::Failed { command: shown, why };
            }
        }
        Outcome::Passed
    }
}

impl Need {
    /// Whether CI fails without it, instead of skipping the step: what can be installed is installed there.
    fn is_owed(self) -> bool {
        matches!(self, Need::Installed(..) | Need::Wheel(_))
    }

    fn check(self, workspace: &Workspace) -> Result<(), String> {
        let (met, why) = match self {
            Need::Package(name) => (workspace.has(name), format!("no package {name} in this workspace")),
            Need::Command(name) => (crate::has_command(name), format!("there is no `cargo xtask {name}`")),
            Need::File(path) => (workspace.root().join(path).is_file(), format!("no file {path}")),
            Need::Installed(name, package) => return host::ensure(name, package),
            Need::Wheel(wheel) => return host::ensure_wheel(wheel, &workspace.tools()),
        };
        if met { Ok(()) } else { Err(why) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::planted(&["purlin"])
    }

    #[test]
    fn a_step_is_skipped_for_each_thing_it_needs_and_does_not_find() {
        let steps = [
            Step::new("a", &["false"]).package("purlin-nowhere"),
            Step::new("b", &["false"]).command("no-such-command"),
            Step::new("c", &["false"]).file("no/such/file"),
        ];
        for step in steps {
            assert!(matches!(step.run(&workspace()), Outcome::Skipped { .. }), "{} ran", step.name);
        }
    }

    #[test]
    fn what_can_be_installed_is_owed_in_ci() {
        assert!(Need::Wheel("typos-1.0").is_owed() && Need::Installed("sh", "dash").is_owed());
        assert!(!Need::Package("purlin").is_owed() && !Need::File("x").is_owed());
    }

    #[test]
    fn a_step_runs_its_commands_until_one_fails() {
        assert_eq!(Step::new("a", &["true", "true"]).package("purlin").run(&workspace()), Outcome::Passed);
        let Outcome::Failed { command, why } =
            Step::new("b", &["true", "false", "no-such-program"]).run(&workspace())
        else {
            panic!("`false` passed");
        };
        assert_eq!((command.as_str(), why.as_str()), ("false", "exit status: 1"));
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_failure_not_a_panic() {
        let outcome = Step::new("a", &["no-such-program --flag"]).run(&workspace());
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome}");
    }

    #[test]
    fn variables_reach_the_command_and_stand_in_what_repeats_it() {
        let step = Step::new("a", &["printenv PURLIN_NO_SUCH_VARIABLE"]);
        assert!(matches!(step.run(&workspace()), Outcome::Failed { .. }));
        let step = step.env("PURLIN_NO_SUCH_VARIABLE", "x");
        assert_eq!(step.run(&workspace()), Outcome::Passed);
        let Outcome::Failed { command, .. } = Step::new("b", &["false"]).env("A", "-D x").run(&workspace())
        else {
            panic!("`false` passed");
        };
        assert_eq!(command, "A=\"-D x\" false");
    }
}
