//! Groups of files, what became of their mutants, and the score. Pure.

use std::fmt::Write as _;

use super::survivors::Entry;
use super::{Mutant, Outcome};

/// Files that are judged together.
pub(super) struct Group {
    pub(super) name: &'static str,
    /// Files, and folders with all that is below them.
    paths: &'static [&'static str],
}

/// At least this part of a group's mutants, in percent, has to be killed.
pub(super) const ENOUGH: usize = 85;

/// What is mutated.
pub(super) const GROUPS: &[Group] = &[
    Group { name: "supervisors", paths: &["crates/purlin-core/src/supervisor/"] },
    Group {
        name: "links and monitors",
        paths: &[
            "crates/purlin-core/src/process/exit.rs",
            "crates/purlin-core/src/process/relations.rs",
            "crates/purlin-core/src/process/signal.rs",
            "crates/purlin-core/src/process/watch.rs",
        ],
    },
    Group {
        name: "reply slots and cycles",
        paths: &[
            "crates/purlin-core/src/call/cycle.rs",
            "crates/purlin-core/src/call/slot.rs",
            "crates/purlin-core/src/call/slot_pool.rs",
        ],
    },
    Group {
        name: "mailboxes and spawning",
        paths: &["crates/purlin-core/src/mailbox/", "crates/purlin-core/src/process/spawn.rs"],
    },
];

impl Group {
    pub(super) fn has(&self, file: &str) -> bool {
        self.paths.iter().any(|path| if path.ends_with('/') { file.starts_with(path) } else { file == *path })
    }
}

/// How many mutants ended how. An explained one counts as that, whether it was run or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    generated: usize,
    compiled: usize,
    killed: usize,
    timed_out: usize,
    survived: usize,
    not_reached: usize,
    explained: usize,
}

impl Count {
    pub(super) fn of<'m>(mutants: impl Iterator<Item = &'m Mutant>, entries: &[Entry]) -> Count {
        let mut count = Count::default();
        for mutant in mutants {
            count.generated += 1;
            count.compiled += usize::from(!matches!(mutant.outcome, Outcome::DoesNotCompile));
            match &mutant.outcome {
                Outcome::DoesNotCompile => {},
                Outcome::Killed(_) => count.killed += 1,
                Outcome::TimedOut(_) => count.timed_out += 1,
                _ if mutant.explanation(entries).is_some() => count.explained += 1,
                Outcome::NotReached => count.not_reached += 1,
                Outcome::Survived(_) | Outcome::Explained => count.survived += 1,
            }
        }
        count
    }

    /// In percent, rounded down, of the mutants that compile.
    pub(super) fn score(self) -> usize {
        ((self.killed + self.timed_out) * 100).checked_div(self.compiled).unwrap_or(100)
    }

    fn row(self, name: &str) -> String {
        let Count { generated, compiled, killed, timed_out, survived, not_reached, explained } = self;
        format!(
            "{name:<44} {generated:>9} {compiled:>9} {killed:>7} {timed_out:>9} {survived:>9} {not_reached:>12} {explained:>10} {:>5} %\n",
            self.score()
        )
    }
}

/// The table: a line per file, below them a line per group.
pub(super) fn table(mutants: &[Mutant], entries: &[Entry]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<44} {:>9} {:>9} {:>7} {:>9} {:>9} {:>12} {:>10} {:>7}",
        "", "generated", "compiled", "killed", "timed out", "survived", "not reached", "explained", "score"
    );
    for group in GROUPS {
        let own = || mutants.iter().filter(|mutant| group.has(&mutant.file));
        let mut files: Vec<&str> = own().map(|mutant| mutant.file.as_str()).collect();
        files.dedup();
        for file in &files {
            let name = file.trim_start_matches("crates/purlin-core/src/");
            text +=
                &Count::of(own().filter(|mutant| mutant.file == *file), entries).row(&format!("  {name}"));
        }
        if !files.is_empty() {
            text += &Count::of(own(), entries).row(group.name);
        }
    }
    text + &Count::of(mutants.iter(), entries).row("all")
}

#[cfg(test)]
mod tests {
    use super::super::site::Change;
    use super::*;

    fn mutant(file: &str, outcome: Outcome) -> Mutant {
        let change = Change {
            operator: "test",
            place: "f".to_owned(),
            line: 1,
            text: "f();".to_owned(),
            change: "`f();` is left out".to_owned(),
        };
        Mutant { number: 1, file: file.to_owned(), change, outcome }
    }

    #[test]
    fn what_does_not_compile_does_not_count_and_what_is_not_reached_does() {
        let file = "crates/purlin-core/src/supervisor/spec.rs";
        let outcomes = [
            Outcome::Killed("a".to_owned()),
            Outcome::TimedOut("a".to_owned()),
            Outcome::Survived(3),
            Outcome::NotReached,
            Outcome::DoesNotCompile,
        ];
        let mutants: Vec<Mutant> = outcomes.into_iter().map(|outcome| mutant(file, outcome)).collect();
        let count = Count::of(mutants.iter(), &[]);
        assert_eq!((count.generated, count.compiled, count.score()), (5, 4, 50));
        let table = table(&mutants, &[]);
        assert!(table.contains("\n  supervisor/spec.rs ") && table.contains("\nsupervisors "), "{table}");
        assert!(!table.contains("links and monitors"), "{table}");
    }

    #[test]
    fn a_file_belongs_to_one_group() {
        for file in ["supervisor/strategy/admin_ops.rs", "process/exit.rs", "call/slot.rs"] {
            let file = format!("crates/purlin-core/src/{file}");
            assert_eq!(GROUPS.iter().filter(|group| group.has(&file)).count(), 1, "{file}");
        }
        assert!(!GROUPS.iter().any(|group| group.has("crates/purlin-core/src/process/exit_reason.rs")));
    }
}
