//! The format of `conformance/*.mutants`, and what must be true of a mutant before anything is built.
//!
//! ```text
//! # comment
//! [mutant] the-name-says-what-it-does-wrong
//! statements: P14 P15
//! test: process_exits::p14_a_test_that_must_turn_red
//! test: lib::process::word::tests::p15_a_unit_test
//! file: crates/purlin-core/src/process/relations.rs
//! <<<<
//! original text, once in the file
//! ====
//! text with `crate::mutant("the-name-says-what-it-does-wrong")` in it
//! >>>>
//! ```
//! A `file:` holds for the blocks up to the next one. A mutant without a block has its switch in another one's: two bugs of one line.

use std::collections::BTreeSet;
use std::fmt;

use super::statements::{Statements, numbers_of};

/// One planted bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The name of its file, without the ending.
    pub(super) list: String,
    /// What it does wrong, in kebab case; the switch.
    pub(super) name: String,
    /// Where it begins in its file, from 1.
    pub(super) line: usize,
    /// What OTP promises and this mutant does not keep.
    pub(super) statements: Vec<String>,
    /// Each of these must turn red.
    pub(super) tests: Vec<TestName>,
    pub(super) edits: Vec<Edit>,
}

/// A replacement in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) file: String,
    pub(super) find: String,
    pub(super) replace: String,
}

/// A test of purlin-core: the program it is in (`lib` for unit tests) and its path there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestName {
    pub(super) binary: String,
    pub(super) path: String,
}

impl TestName {
    /// The function's own name.
    pub(super) fn function(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or(&self.path)
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.binary, self.path)
    }
}

/// What the lines of a file are parts of.
enum Part {
    Outside,
    Find(String),
    Replace(String, String),
}

/// The mutants of one file.
///
/// # Errors
/// The first line that means nothing.
pub(super) fn parse(list: &str, text: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut file = String::new();
    let mut part = Part::Outside;
    for (index, line) in text.lines().enumerate() {
        let error = |what: &str| format!("{list}.mutants:{}: {what}: `{line}`", index + 1);
        part = match part {
            Part::Outside if line == "<<<<" => {
                if mutants.is_empty() || file.is_empty() {
                    return Err(error("a block needs a mutant and a file"));
                }
                Part::Find(String::new())
            },
            Part::Find(find) if line == "====" => Part::Replace(find, String::new()),
            Part::Find(find) => Part::Find(find + line + "\n"),
            Part::Replace(find, replace) if line == ">>>>" => {
                let mutant = mutants.last_mut().ok_or_else(|| error("a block needs a mutant"))?;
                mutant.edits.push(Edit { file: file.clone(), find: whole(find), replace: whole(replace) });
                Part::Outside
            },
            Part::Replace(find, replace) => Part::Replace(find, replace + line + "\n"),
            Part::Outside if line.trim().is_empty() || line.starts_with('#') => Part::Outside,
            Part::Outside => {
                line_outside(list, index + 1, line, &mut mutants, &mut file).map_err(error)?;
                Part::Outside
            },
        };
    }
    match part {
        Part::Outside => Ok(mutants),
        _ => Err(format!("{list}.mutants: the last block has no end")),
    }
}

/// A line that is in no block.
fn line_outside(
    list: &str,
    number: usize,
    line: &str,
    mutants: &mut Vec<Mutant>,
    file: &mut String,
) -> Result<(), &'static str> {
    if let Some(name) = line.strip_prefix("[mutant]") {
        file.clear();
        mutants.push(Mutant {
            list: list.to_owned(),
            name: name.trim().to_owned(),
            line: number,
            statements: Vec::new(),
            tests: Vec::new(),
            edits: Vec::new(),
        });
        return Ok(());
    }
    let (key, value) = line.split_once(':').ok_or("neither a key nor a block")?;
    let mutant = mutants.last_mut().ok_or("no mutant has begun")?;
    match key {
        "statements" => mutant.statements.extend(value.split_whitespace().map(str::to_owned)),
        "test" => mutant.tests.push(test_name(value.trim()).ok_or("not a test")?),
        "file" => value.trim().clone_into(file),
        _ => return Err("no such key"),
    }
    Ok(())
}

/// The block's lines without the last line's end: a block may be a part of a line.
fn whole(mut block: String) -> String {
    block.pop();
    block
}

fn test_name(text: &str) -> Option<TestName> {
    let (binary, path) = text.split_once("::")?;
    Some(TestName { binary: binary.to_owned(), path: path.to_owned() })
}

/// Everything that is wrong with these mutants but for the texts they replace.
pub(super) fn problems(mutants: &[Mutant], statements: &Statements) -> Vec<String> {
    let mut problems = Vec::new();
    let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    let edits = || mutants.iter().flat_map(|mutant| mutant.edits.iter().map(move |edit| (mutant, edit)));
    let switches: BTreeSet<&str> = edits().flat_map(|(_, edit)| switches(&edit.replace)).collect();
    for (index, mutant) in mutants.iter().enumerate() {
        let mut problem =
            |what: String| problems.push(format!("{}.mutants:{}: {what}", mutant.list, mutant.line));
        let name = &mutant.name;
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(kebab) {
            problem(format!("the name `{name}` is not in kebab case"));
        }
        if mutants[..index].iter().any(|other| other.name == *name) {
            problem(format!("a second mutant is called `{name}`"));
        }
        if !switches.contains(name.as_str()) {
            problem(format!("nothing asks for mutant(\"{name}\")"));
        }
        if mutant.statements.is_empty() || mutant.tests.is_empty() {
            problem(format!("`{name}` needs a statement and a test"));
        }
        for statement in &mutant.statements {
            let carried = mutant
                .tests
                .iter()
                .any(|test| numbers_of(test.function()).iter().any(|number| number == statement));
            if !statements.has(statement) {
                problem(format!("there is no statement {statement}"));
            } else if !carried && mutant.list != super::PLANTED {
                problem(format!("no test of `{name}` carries the number of {statement}"));
            }
        }
    }
    for (mutant, edit) in edits() {
        if !edit.file.starts_with("crates/purlin-core/src/") {
            problems.push(format!("{}: `{}` is no source of purlin-core", mutant.name, edit.file));
        }
        let unknown = switches_of_nobody(&edit.replace, &names);
        problems
            .extend(unknown.map(|switch| format!("{}: there is no mutant called `{switch}`", mutant.name)));
    }
    problems
}

fn switches_of_nobody<'t>(text: &'t str, names: &BTreeSet<&str>) -> impl Iterator<Item = &'t str> {
    switches(text).filter(|switch| !names.contains(switch))
}

/// The names that a text asks for with `mutant("…")`.
fn switches(text: &str) -> impl Iterator<Item = &str> {
    text.split("mutant(\"").skip(1).filter_map(|rest| rest.split('"').next())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const TWO: &str = "\
# What may go wrong.
[mutant] a-name-is-never-freed
statements: P1 P2
test: process_exits::p1_p2_it_ends
test: lib::a::tests::p2_unit
file: crates/purlin-core/src/a.rs
<<<<
    free(name);
    done();
====
    if !crate::mutant(\"a-name-is-never-freed\") {
        free(name);
    }
    done() + i32::from(crate::mutant(\"two-at-once\"));
>>>>

[mutant] two-at-once
statements: P1
test: process_exits::p1_p2_it_ends
";

    fn statements() -> Statements {
        Statements::parse("P1 it ends\nP2 it is gone\n").expect("these are statements")
    }

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let mutants = parse("process", TWO).expect("the text is right");
        assert_eq!(mutants.len(), 2);
        let first = &mutants[0];
        assert_eq!((first.name.as_str(), first.line), ("a-name-is-never-freed", 2));
        assert_eq!(first.statements, ["P1", "P2"]);
        assert_eq!(first.tests[1].to_string(), "lib::a::tests::p2_unit");
        assert_eq!(first.tests[1].function(), "p2_unit");
        assert_eq!(first.edits[0].find, "    free(name);\n    done();");
        assert!(first.edits[0].replace.ends_with("(\"two-at-once\"));"));
        assert_eq!(problems(&mutants, &statements()), [""; 0]);
    }

    #[test]
    fn a_file_holds_for_its_own_mutant_only() {
        let error = parse("process", &format!("{TWO}<<<<\nx\n====\ny\n>>>>\n")).expect_err("no file");
        assert!(error.starts_with("process.mutants:20: a block needs"), "{error}");
    }

    #[test]
    fn lines_that_mean_nothing_are_errors_with_their_number() {
        for (text, what) in [
            ("[mutant] a\nnothing\n", "process.mutants:2: neither"),
            ("statements: P1\n", "process.mutants:1: no mutant"),
            ("[mutant] a\ntests: b\n", "process.mutants:2: no such key"),
            ("[mutant] a\ntest: b\n", "process.mutants:2: not a test"),
            ("[mutant] a\nfile: f\n<<<<\nx\n====\n", "process.mutants: the last block"),
        ] {
            let error = parse("process", text).expect_err(text);
            assert!(error.starts_with(what), "{error}");
        }
    }

    #[test]
    fn a_mutant_that_nothing_asks_for_or_that_nobody_defined_is_a_problem() {
        let mut mutants = parse("process", TWO).expect("the text is right");
        mutants[1].name = "three-at-once".to_owned();
        let problems = problems(&mutants, &statements());
        assert_eq!(
            problems,
            [
                "process.mutants:17: nothing asks for mutant(\"three-at-once\")",
                "a-name-is-never-freed: there is no mutant called `two-at-once`",
            ]
        );
    }

    #[test]
    fn a_statement_needs_a_test_that_carries_its_number() {
        let text = TWO.replace("test: process_exits::p1_p2_it_ends", "test: process_exits::p10_it_ends");
        let problems = problems(&parse("process", &text).expect("the text is right"), &statements());
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("carries the number of P1"), "{problems:?}");
    }

    #[test]
    fn statements_names_and_files_are_checked() {
        let text = TWO
            .replace("P1 P2", "P1 P3")
            .replace("[mutant] two-at-once", "[mutant] Two")
            .replace("crates/purlin-core/src/a.rs", "xtask/src/main.rs");
        let problems =
            problems(&parse("process", &text).expect("the text is right"), &statements()).join("\n");
        assert!(problems.contains("there is no statement P3"), "{problems}");
        assert!(problems.contains("`Two` is not in kebab case"), "{problems}");
        assert!(problems.contains("`xtask/src/main.rs` is no source"), "{problems}");
    }
}
