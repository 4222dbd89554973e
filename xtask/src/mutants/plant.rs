//! Puts mutants into source text: pure, so that its tests need no files.

use std::collections::BTreeMap;

use super::parse::{Edit, Mutant};

/// Where the switch itself goes.
const LIB: &str = "crates/purlin-core/src/lib.rs";

/// What a planted condition calls. The environment is read once: a mutant holds for the life of a test program.
const SWITCH: &str = r#"
/// Whether this run is to do wrong what the mutant of this name does wrong.
pub(crate) fn mutant(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("PURLIN_MUTANT").ok()).as_deref() == Some(name)
}
"#;

/// The new text of every file that a mutant changes, and of core's `lib.rs`.
///
/// # Errors
/// A text to replace that is not there exactly once, or two that overlap; file and mutant are named.
pub(super) fn plant(
    mutants: &[Mutant],
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut edits: BTreeMap<&str, Vec<(&Mutant, &Edit)>> = BTreeMap::from([(LIB, Vec::new())]);
    for mutant in mutants {
        for edit in &mutant.edits {
            edits.entry(edit.file.as_str()).or_default().push((mutant, edit));
        }
    }
    let mut planted = BTreeMap::new();
    let mut errors = Vec::new();
    for (file, edits) in edits {
        match read(file).and_then(|text| apply(&text, file, &edits)) {
            Ok(mut text) => {
                if file == LIB {
                    text += SWITCH;
                }
                planted.insert(file.to_owned(), text);
            },
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(planted) } else { Err(errors.join("\nmutants: ")) }
}

/// The text with all edits made.
fn apply(text: &str, file: &str, edits: &[(&Mutant, &Edit)]) -> Result<String, String> {
    let mut places = Vec::new();
    let mut errors = Vec::new();
    for (mutant, edit) in edits {
        match text.matches(edit.find.as_str()).count() {
            1 if !edit.find.is_empty() => {
                let start = text.find(edit.find.as_str()).unwrap_or_default();
                places.push((start, mutant, edit));
            },
            n => {
                let line = edit.find.lines().next().unwrap_or_default().trim();
                errors.push(format!("{file}: the text of `{}` is there {n} times: `{line}` …", mutant.name));
            },
        }
    }
    places.sort_by_key(|(start, ..)| *start);
    let overlap = |(start, mutant, edit): &(usize, &&Mutant, &&Edit), next: &(usize, &&Mutant, &&Edit)| {
        (start + edit.find.len() > next.0)
            .then(|| format!("{file}: the texts of `{}` and `{}` overlap", mutant.name, next.1.name))
    };
    errors.extend(places.windows(2).filter_map(|pair| overlap(&pair[0], &pair[1])));
    if !errors.is_empty() {
        return Err(errors.join("\nmutants: "));
    }
    let mut planted = String::with_capacity(text.len());
    let mut done = 0;
    for (start, _, edit) in places {
        planted += &text[done..start];
        planted += &edit.replace;
        done = start + edit.find.len();
    }
    Ok(planted + &text[done..])
}

#[cfg(test)]
mod tests {
    use super::super::parse::{parse, tests::TWO};
    use super::*;

    fn planted(mutants: &str, source: &str) -> Result<BTreeMap<String, String>, String> {
        plant(&parse("process", mutants)?, &|file| {
            Ok(if file == LIB { "//! Core.\n".to_owned() } else { source.to_owned() })
        })
    }

    fn replacing(find: &str) -> String {
        TWO.replace("    free(name);\n    done();", find)
    }

    #[test]
    fn the_text_is_replaced_and_the_switch_is_there() {
        let files = planted(TWO, "fn end() {\n    free(name);\n    done();\n}\n").expect("it is there once");
        let source = &files["crates/purlin-core/src/a.rs"];
        assert!(source.starts_with("fn end() {\n    if !crate::mutant("), "{source}");
        assert!(source.ends_with("\"));\n}\n"), "{source}");
        assert!(files[LIB].starts_with("//! Core.\n") && files[LIB].contains("PURLIN_MUTANT"));
    }

    #[test]
    fn a_text_that_is_not_there_exactly_once_is_an_error_with_file_and_mutant() {
        let gone = planted(TWO, "fn end() {}\n").expect_err("it is not there");
        assert!(gone.contains("src/a.rs: the text of `a-name-is-never-freed` is there 0 times"), "{gone}");
        let twice = planted(&replacing("done();"), "done(); done();").expect_err("it is there twice");
        assert!(twice.contains("2 times: `done();`"), "{twice}");
    }

    #[test]
    fn a_block_may_be_a_part_of_a_line() {
        let files = planted(&replacing("done()"), "fn end() { done() }").expect("it is there once");
        assert!(files["crates/purlin-core/src/a.rs"].ends_with("; }"));
    }

    #[test]
    fn texts_that_overlap_are_an_error() {
        let file = "file: crates/purlin-core/src/a.rs\n<<<<\n";
        let second = format!("{TWO}{file}done();\n}}\n====\nmutant(\"two-at-once\")\n>>>>\n");
        let error = planted(&second, "    free(name);\n    done();\n}\n").expect_err("they overlap");
        assert!(error.contains("`a-name-is-never-freed` and `two-at-once` overlap"), "{error}");
    }
}
