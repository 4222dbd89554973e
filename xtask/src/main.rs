//! The project's own commands, run as `cargo xtask <command>`; `cargo xtask` alone lists them.
//!
//! Nothing here is published, and nothing here has dependencies but a parser, so the checks build in seconds on a clean clone.
//! `tidy` reads the tree and knows nothing about cargo; `test` runs commands and knows nothing about source text.

use std::process::ExitCode;

mod deps;
mod instr;
mod licences;
mod mutants;
mod soak;
mod source;
mod test;
mod tidy;
mod tree;

/// One `cargo xtask` command: its name, the line that `cargo xtask` prints about it, and what runs it with the
/// arguments that follow the name.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> ExitCode,
}

/// Every command. A step of `cargo xtask test` may be guarded by the presence of a name here.
const COMMANDS: &[Command] = &[
    Command {
        name: "tidy",
        about: "source checks that need no compiler: sizes, layers, docs, bans",
        run: tidy::run,
    },
    Command {
        name: "test",
        about: "everything CI runs; --full adds the long runs, --list shows them",
        run: test::run,
    },
    Command { name: "deps", about: "counts the crates that purlin-core brings with it", run: deps::run },
    Command {
        name: "licences",
        about: "what may come into the dependency tree: licences, sources, versions",
        run: licences::run,
    },
    Command {
        name: "instr",
        about: "instructions per hot operation, against the committed figures; --bless writes them",
        run: instr::run,
    },
    Command {
        name: "mutants",
        about: "plants bugs in a copy and sees that tests notice; --only a part, --write the page; --generated: mechanical ones",
        run: mutants::run,
    },
    Command {
        name: "soak",
        about: "whole systems under random load and faults; --minutes N, or --sim --seeds N",
        run: soak::run,
    },
];

/// Whether `cargo xtask <name>` exists.
fn has_command(name: &str) -> bool {
    COMMANDS.iter().any(|command| command.name == name)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(&rest),
        None => {
            if !name.is_empty() {
                eprintln!("xtask: there is no command `{name}`");
            }
            eprintln!("usage: cargo xtask <command>");
            for command in COMMANDS {
                eprintln!("  {:<8} {}", command.name, command.about);
            }
            ExitCode::from(2)
        },
    }
}

/// Reports arguments that a command does not take; used by the commands that take none.
fn refuse(arguments: &[String], usage: &str) -> ExitCode {
    eprintln!("xtask: unknown argument `{}`; usage: {usage}", arguments.join(" "));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_own_name_and_a_description() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(!command.about.is_empty(), "{} has no description", command.name);
            assert!(
                COMMANDS[..index].iter().all(|other| other.name != command.name),
                "{} twice",
                command.name
            );
        }
    }

    #[test]
    fn a_command_that_does_not_exist_is_not_found() {
        assert!(has_command("tidy"));
        assert!(!has_command("no-such-command"));
    }
}
