//! `conformance/survivors.txt`: mutants that no test can, or need, notice, each with the reason. Pure.
//!
//! ```text
//! # comment
//! file: crates/purlin-core/src/supervisor/strategy.rs
//! in: Children::restart
//! line: if self.total > keep {
//! change: `self.total > keep` with `>=`
//! why: the same: nothing is dropped then
//! ```
//! Entries are separated by empty lines. They are found again by what they say, not by a line's number, so that they hold until the
//! line itself is changed.

use super::site::Change;

/// One explained mutant, or several that look the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    file: String,
    place: String,
    line: String,
    change: String,
    why: String,
    /// Where it begins in the list, from 1.
    at: usize,
}

impl Entry {
    pub(super) fn is_about(&self, file: &str, change: &Change) -> bool {
        (self.file.as_str(), self.place.as_str(), self.line.as_str(), self.change.as_str())
            == (file, change.place.as_str(), change.text.as_str(), change.change.as_str())
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "survivors.txt:{}: {} in {}", self.at, self.change, self.place)
    }
}

/// What an entry looks like, without its reason.
pub(super) fn written(file: &str, change: &Change) -> String {
    format!("file: {file}\nin: {}\nline: {}\nchange: {}\n", change.place, change.text, change.change)
}

/// The entries of the list.
///
/// # Errors
/// The first line that means nothing, or entry that lacks something, or says the same as another one.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        if !open {
            entries.push(Entry { at: index + 1, ..Entry::default() });
            open = true;
        }
        let entry = entries.last_mut().expect("one was just made");
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        let field = match key {
            "file" => &mut entry.file,
            "in" => &mut entry.place,
            "line" => &mut entry.line,
            "change" => &mut entry.change,
            "why" => &mut entry.why,
            _ => return Err(format!("survivors.txt:{}: what is `{key}`?", index + 1)),
        };
        if !field.is_empty() {
            return Err(format!("survivors.txt:{}: a second `{key}` in one entry", index + 1));
        }
        value.trim().clone_into(field);
    }
    for (index, entry) in entries.iter().enumerate() {
        let Entry { file, place, line, change, why, at } = entry;
        if [file, place, line, change, why].iter().any(|field| field.is_empty()) {
            return Err(format!("survivors.txt:{at}: file, in, line, change and why are all needed"));
        }
        let same = |other: &Entry| {
            (&other.file, &other.place, &other.line, &other.change) == (file, place, line, change)
        };
        if entries[..index].iter().any(same) {
            return Err(format!("survivors.txt:{at}: this is explained above"));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "# why not\n\nfile: src/a.rs\nin: f\nline: if a > b {\nchange: `a > b` with `>=`\nwhy: the same\n";

    fn change(text: &str) -> Change {
        Change {
            operator: "comparison",
            place: "f".to_owned(),
            line: 7,
            text: text.to_owned(),
            change: "`a > b` with `>=`".to_owned(),
        }
    }

    #[test]
    fn an_entry_is_found_by_what_it_says_wherever_the_line_is() {
        let entries = parse(ONE).expect("it is an entry");
        assert_eq!(entries.len(), 1);
        assert!(entries[0].is_about("src/a.rs", &change("if a > b {")));
        assert!(!entries[0].is_about("src/b.rs", &change("if a > b {")));
        assert!(!entries[0].is_about("src/a.rs", &change("while a > b {")));
    }

    #[test]
    fn what_is_printed_for_a_survivor_is_an_entry_but_for_the_reason() {
        let text = written("src/a.rs", &change("if a > b {")) + "why: the same\n";
        let entries = parse(&text).expect("it is an entry");
        assert!(entries[0].is_about("src/a.rs", &change("if a > b {")));
    }

    #[test]
    fn an_entry_without_a_reason_or_with_an_unknown_line_is_an_error() {
        assert!(parse(ONE.trim_end_matches("why: the same\n")).is_err());
        assert!(parse(&format!("{ONE}who: I\n")).is_err());
        assert!(parse(&format!("{ONE}why: I say so\n")).is_err());
        assert!(parse(&format!("{ONE}\n{ONE}")).is_err());
    }
}
