//! What a run has shown: which statements are covered, and by what. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::parse::Mutant;
use super::statements::{COMPONENTS, Component, Statement, Statements, numbers_of};

/// Statements with their tests and mutants.
pub(super) struct Coverage {
    pub(super) rows: Vec<Row>,
    /// Tests that name a statement and that no mutant turns red.
    unseen: BTreeMap<&'static str, Vec<String>>,
}

/// One statement.
pub(super) struct Row {
    pub(super) statement: Statement,
    /// The tests that carry its number.
    pub(super) tests: Vec<String>,
    /// The mutants that break it, all of whose tests turned red.
    pub(super) mutants: Vec<String>,
}

impl Row {
    /// A statement is covered if a test that carries its number was seen red under a mutant of it.
    pub(super) fn is_covered(&self) -> bool {
        self.statement.out.is_none() && !self.mutants.is_empty()
    }
}

/// How many statements of a component count, and how many of those are covered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) counted: usize,
    pub(super) covered: usize,
}

impl Count {
    /// In whole percent, rounded down: 70 % means at least that.
    pub(super) fn percent(self) -> usize {
        (self.covered * 100).checked_div(self.counted).unwrap_or(100)
    }
}

impl Coverage {
    /// Puts together what is known: the statements, the mutants that ran, the names of the red ones, the names of all numbered tests.
    pub(super) fn new(
        statements: &Statements,
        mutants: &[Mutant],
        red: &BTreeSet<String>,
        tests: &BTreeSet<String>,
    ) -> Coverage {
        let carrying = |number: &String| -> Vec<String> {
            tests.iter().filter(|test| numbers_of(test).contains(number)).cloned().collect()
        };
        let breaking = |number: &String| -> Vec<String> {
            let breaks = |mutant: &&Mutant| red.contains(&mutant.name) && mutant.statements.contains(number);
            mutants.iter().filter(breaks).map(|mutant| mutant.name.clone()).collect()
        };
        let row = |statement: &Statement| Row {
            statement: statement.clone(),
            tests: carrying(&statement.number),
            mutants: breaking(&statement.number),
        };
        let red_tests: BTreeSet<&str> = mutants
            .iter()
            .filter(|mutant| red.contains(&mutant.name))
            .flat_map(|mutant| mutant.tests.iter().map(|test| test.function()))
            .collect();
        let mut unseen: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for test in tests.iter().filter(|test| !red_tests.contains(test.as_str())) {
            let number = &numbers_of(test)[0];
            let statement = statements.all.iter().find(|statement| statement.number == *number);
            let component = statement.map_or("unknown", |statement| statement.component);
            unseen.entry(component).or_default().push(test.clone());
        }
        Coverage { rows: statements.all.iter().map(row).collect(), unseen }
    }

    /// The statements of a component.
    pub(super) fn rows_of(&self, component: &Component) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.statement.component == component.name)
    }

    /// The count of a component.
    pub(super) fn count(&self, component: &Component) -> Count {
        self.rows_of(component).filter(|row| row.statement.out.is_none()).fold(
            Count::default(),
            |count, row| Count {
                counted: count.counted + 1,
                covered: count.covered + usize::from(row.is_covered()),
            },
        )
    }

    /// The count of all components.
    pub(super) fn total(&self) -> Count {
        COMPONENTS.iter().map(|component| self.count(component)).fold(Count::default(), |sum, count| Count {
            counted: sum.counted + count.counted,
            covered: sum.covered + count.covered,
        })
    }

    /// The summary on the terminal, of these components.
    pub(super) fn for_people(&self, components: &[&Component]) -> String {
        let mut text = String::new();
        for component in components {
            let count = self.count(component);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}: {} of {} statements covered, {} %",
                component.name,
                count.covered,
                count.counted,
                count.percent()
            );
            let missing = |without_test: bool| -> Vec<&str> {
                self.rows_of(component)
                    .filter(|row| row.statement.out.is_none() && !row.is_covered())
                    .filter(|row| row.tests.is_empty() == without_test)
                    .map(|row| row.statement.number.as_str())
                    .collect()
            };
            for (what, numbers) in
                [("without a test", missing(true)), ("with a test, without a red mutant", missing(false))]
            {
                if !numbers.is_empty() {
                    let _ = writeln!(text, "  {what}: {}", numbers.join(" "));
                }
            }
            if let Some(tests) = self.unseen.get(component.name) {
                let _ = writeln!(text, "  tests that no mutant turned red:");
                tests.iter().for_each(|test| text += &format!("    {test}\n"));
            }
        }
        if components.len() == COMPONENTS.len() {
            if let Some(tests) = self.unseen.get("unknown") {
                let _ = writeln!(text, "tests of statements that do not exist: {}", tests.join(" "));
            }
            let total = self.total();
            let _ = writeln!(text, "all: {} of {}, {} %", total.covered, total.counted, total.percent());
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// The names of all functions that begin with a statement's number.
pub(super) fn numbered_tests(sources: &[String]) -> BTreeSet<String> {
    let name = |line: &str| -> Option<String> {
        let line = line.trim_start();
        let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        // `s2(…)` is a helper: a test's name is a sentence.
        let name = &rest[..end];
        (numbers_of(name).len() < name.split('_').count() && !numbers_of(name).is_empty())
            .then(|| name.to_owned())
    };
    sources.iter().flat_map(|text| text.lines().filter_map(name)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::parse::{parse, tests::TWO};
    use super::*;

    pub(in super::super) fn coverage(red: &[&str]) -> Coverage {
        let statements =
            "P1 it ends\nP2 it is gone\nP3 it is told\nP4 [types] a throw\nP5 nobody asks\nR1 a key";
        let source =
            "fn p1_p2_it_ends() {\n    fn p2_unit() {\n fn p3_it_is_told() {\n fn p3() {\n fn helper() {";
        Coverage::new(
            &Statements::parse(statements).expect("these are statements"),
            &parse("process", TWO).expect("the text is right"),
            &red.iter().map(|name| (*name).to_owned()).collect(),
            &numbered_tests(&[source.to_owned()]),
        )
    }

    #[test]
    fn a_statement_is_covered_if_a_mutant_of_it_was_red() {
        let all = coverage(&["a-name-is-never-freed", "two-at-once"]);
        assert_eq!(all.count(&COMPONENTS[0]), Count { counted: 4, covered: 2 });
        assert_eq!(all.total(), Count { counted: 5, covered: 2 });
        assert_eq!(all.total().percent(), 40);
        assert_eq!(all.rows[0].mutants, ["a-name-is-never-freed", "two-at-once"]);
        assert_eq!(all.rows[1].tests, ["p1_p2_it_ends", "p2_unit"]);
        let one = coverage(&["two-at-once"]);
        assert_eq!(one.count(&COMPONENTS[0]).covered, 1);
    }

    #[test]
    fn the_summary_names_what_is_missing() {
        let text = coverage(&["a-name-is-never-freed"]).for_people(&[&COMPONENTS[0]]);
        assert_eq!(
            text,
            "process: 2 of 4 statements covered, 50 %\n  without a test: P5\n  \
             with a test, without a red mutant: P3\n  tests that no mutant turned red:\n    p3_it_is_told"
        );
    }
}
