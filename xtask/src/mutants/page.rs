//! The generated part of `docs/conformance.md`. Pure.

use std::fmt::Write as _;

use super::coverage::{Coverage, Row};
use super::statements::COMPONENTS;

/// What stands around the generated part.
const BEGIN: &str = "<!-- written by `cargo xtask mutants --write`: begin -->\n";
const END: &str = "<!-- written by `cargo xtask mutants --write`: end -->";

/// The page with another generated part.
///
/// # Errors
/// The page has not both markers.
pub(super) fn replace(page: &str, part: &str) -> Result<String, String> {
    let missing = || format!("the lines `{}` and `{END}` are not there", BEGIN.trim_end());
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}{part}{END}{after}"))
}

/// Counts, then a table of each component.
pub(super) fn render(coverage: &Coverage) -> String {
    let mut text =
        String::from("\n| component | statements that count | covered | |\n|---|---:|---:|---:|\n");
    let counts = COMPONENTS.iter().map(|component| (component.heading, coverage.count(component)));
    for (heading, count) in counts.chain([("**all**", coverage.total())]) {
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "| {heading} | {} | {} | {} % |", count.counted, count.covered, count.percent());
    }
    for component in COMPONENTS {
        let _ = write!(text, "\n## {}\n\n", component.heading);
        text += "| | statement | tests | mutants |\n|---|---|---|---|\n";
        coverage
            .rows_of(component)
            .filter(|row| row.statement.out.is_none())
            .for_each(|row| text += &line(row));
        let out = || coverage.rows_of(component).filter(|row| row.statement.out.is_some());
        if out().next().is_some() {
            text += "\nNot counted:\n\n| | statement | why |\n|---|---|---|\n";
        }
        for Row { statement, .. } in out() {
            let why = statement.out.unwrap_or_default();
            let _ = writeln!(text, "| {} | {} | {why} |", statement.number, statement.text);
        }
    }
    text + "\n"
}

fn line(row: &Row) -> String {
    let quoted = |names: &[String]| -> String {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "–".to_owned() } else { names.join("<br>") }
    };
    let statement = &row.statement;
    format!(
        "| {} | {} | {} | {} |\n",
        statement.number,
        statement.text,
        quoted(&row.tests),
        quoted(&row.mutants)
    )
}

#[cfg(test)]
mod tests {
    use super::super::coverage::tests::coverage;
    use super::*;

    #[test]
    fn the_page_has_counts_tables_and_what_does_not_count() {
        let text = render(&coverage(&["a-name-is-never-freed"]));
        for line in [
            "| Processes | 4 | 2 | 50 % |",
            "| **all** | 5 | 2 | 40 % |",
            "| P2 | it is gone | `p1_p2_it_ends`<br>`p2_unit` | `a-name-is-never-freed` |",
            "| P3 | it is told | `p3_it_is_told` | – |",
            "| P4 | a throw | ruled out by types |",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn only_the_part_between_the_markers_is_replaced() {
        let page = format!("# Title\n\n{BEGIN}old\n{END}\n\nEnd.\n");
        let new = replace(&page, "new\n").expect("the markers are there");
        assert_eq!(new, format!("# Title\n\n{BEGIN}new\n{END}\n\nEnd.\n"));
        assert_eq!(replace(&new, "old\n"), Ok(page));
        assert!(replace("# Title\n", "new").is_err());
    }
}
