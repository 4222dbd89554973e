//! What OTP promises, by number: `conformance/statements.txt`, and the numbers in the names of tests.
//!
//! A line is a number, perhaps a mark in brackets that says why the statement does not count, and the statement in short.

use std::collections::BTreeSet;

/// A component, the letters that its statements begin with, and its heading.
pub(super) struct Component {
    pub(super) name: &'static str,
    letters: &'static str,
    pub(super) heading: &'static str,
}

/// The components in the order in which they are shown.
pub(super) const COMPONENTS: &[Component] = &[
    Component { name: "process", letters: "P", heading: "Processes" },
    Component { name: "gen_server", letters: "G", heading: "GenServer" },
    Component { name: "gen_statem", letters: "M", heading: "GenStateMachine" },
    Component { name: "supervisor", letters: "S", heading: "Supervisor" },
    Component { name: "registry", letters: "R", heading: "Registry" },
    Component { name: "sys", letters: "SY", heading: "sys" },
    Component { name: "agent", letters: "A", heading: "Agent" },
    Component { name: "pg", letters: "PG", heading: "Process groups" },
    Component { name: "gen_event", letters: "GE", heading: "Event manager" },
    Component { name: "application", letters: "AP", heading: "Application" },
    Component { name: "task", letters: "T", heading: "Task" },
];

/// Why a statement does not count, as `docs/differences.md` has it.
const MARKS: &[(&str, &str)] = &[
    ("different", "kept differently"),
    ("types", "ruled out by types"),
    ("no subject", "without a subject in Rust"),
    ("nodes", "about several nodes"),
    ("later", "about a part that comes later"),
];

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) number: String,
    pub(super) component: &'static str,
    /// Why it does not count; `None` for one that does.
    pub(super) out: Option<&'static str>,
    pub(super) text: String,
}

/// All statements, in the order of the file.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) all: Vec<Statement>,
}

impl Statements {
    /// Reads the list.
    ///
    /// # Errors
    /// A line that is no statement, a mark that does not exist, or a number that is there twice.
    pub(super) fn parse(text: &str) -> Result<Statements, String> {
        let mut all: Vec<Statement> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |what: &str| format!("statements.txt:{}: {what}: `{line}`", index + 1);
            let (number, text) = line.split_once(' ').ok_or_else(|| error("number and text"))?;
            let component = component_of(number).ok_or_else(|| error("no such number"))?;
            let (out, text) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((mark, text)) => {
                    let known = MARKS.iter().find(|(known, _)| *known == mark);
                    (Some(known.ok_or_else(|| error("no such mark"))?.1), text.trim())
                },
                None => (None, text.trim()),
            };
            if all.iter().any(|other| other.number == number) {
                return Err(error("a second statement of this number"));
            }
            all.push(Statement { number: number.to_owned(), component, out, text: text.to_owned() });
        }
        Ok(Statements { all })
    }

    /// The numbers of a component's statements.
    pub(super) fn numbers(&self, component: &Component) -> BTreeSet<String> {
        let own = self.all.iter().filter(|statement| statement.component == component.name);
        own.map(|statement| statement.number.clone()).collect()
    }

    /// Whether there is a statement of this number.
    pub(super) fn has(&self, number: &str) -> bool {
        self.all.iter().any(|statement| statement.number == number)
    }
}

/// The name of the component whose statements have such numbers.
fn component_of(number: &str) -> Option<&'static str> {
    let digits = number.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = &number[..number.len() - digits.len()];
    let numbered = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let component = COMPONENTS.iter().find(|component| component.letters == letters)?;
    numbered.then_some(component.name)
}

/// The statements that a test's name begins with: `P12` and `P13` of `p12_p13_a_sentence`.
pub(super) fn numbers_of(function: &str) -> Vec<String> {
    let numbers = function.split('_').map(str::to_ascii_uppercase);
    // Upper case letters in a name would be no number: names have none.
    numbers.take_while(|number| component_of(number).is_some()).collect()
}

/// The numbers of the statements in a list of OTP's: lines that begin with one and a full stop.
pub(super) fn listed(text: &str, component: &Component) -> BTreeSet<String> {
    let number = |line: &str| {
        let (number, _) = line.split_once('.')?;
        (component_of(number) == Some(component.name)).then(|| number.to_owned())
    };
    text.lines().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_s_statements_are_the_lines_that_begin_with_a_number_and_a_full_stop() {
        let text = "# sys\nSY1. one\nSY12. two. P3. no\nP4. another component\nSY5 no full stop\n";
        let sys = COMPONENTS.iter().find(|component| component.name == "sys").expect("it is there");
        assert_eq!(listed(text, sys), ["SY1".to_owned(), "SY12".to_owned()].into());
    }

    #[test]
    fn numbers_come_first_in_a_test_s_name() {
        assert_eq!(numbers_of("p12_p13_a_sentence"), ["P12", "P13"]);
        assert_eq!(numbers_of("sy3_s59_g2_r7_of_all"), ["SY3", "S59", "G2", "R7"]);
        assert_eq!(numbers_of("after_p12_comes_p13"), [""; 0]);
        assert_eq!(numbers_of("s_and_p"), [""; 0]);
    }

    #[test]
    fn a_mark_says_why_a_statement_does_not_count() {
        let list = Statements::parse("# all\n\nP1 it ends\nSY4 [types] a throw\n").expect("two statements");
        assert_eq!((list.all[0].component, list.all[0].out), ("process", None));
        assert_eq!((list.all[1].component, list.all[1].out), ("sys", Some("ruled out by types")));
        assert_eq!(list.all[1].text, "a throw");
        assert!(list.has("P1") && !list.has("P2"));
    }

    #[test]
    fn what_is_no_statement_is_an_error() {
        for text in ["P1", "X1 unknown letters", "P a number", "P1 one\nP1 two", "P1 [someday] it ends"] {
            assert!(Statements::parse(text).is_err(), "{text}");
        }
    }
}
