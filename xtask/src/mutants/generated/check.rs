//! Which planted changes the compiler does not take. Only [`errors`] touches the world; reading its messages is pure.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::mutants::{Place, run};

/// Where the compiler found an error: the parts of files that it is about, the one that it blames first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) parts: Vec<Part>,
    /// What the compiler prints.
    pub(super) text: String,
}

/// Part of a file, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) file: String,
    pub(super) bytes: Range<usize>,
    /// Whether this is what the error is about, or only something that has to do with it.
    primary: bool,
}

/// Checks core and its models in the copy; the errors that the compiler finds before it gives up, which need not be all.
///
/// # Errors
/// Cargo cannot be started, or fails without an error that has a place.
pub(super) fn errors(place: &Place) -> Result<Vec<Error>, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["check", "--quiet", "--lib", "--package", "purlin-core", "--package", "purlin-models"]);
    cargo.args(["--message-format", "json"]);
    run::in_copy(&mut cargo, place);
    let output = cargo.stderr(Stdio::null()).output().map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<Error> = messages.lines().filter_map(error).collect();
    if found.is_empty() && !output.status.success() {
        return Err(format!("core does not compile in {}", place.tree.display()));
    }
    Ok(found)
}

/// The error in one of cargo's messages, if it is one and has a place. A part outside of the package, or in a macro, is left out.
fn error(message: &str) -> Option<Error> {
    // Inside of a text every quotation mark is escaped, so these are keys.
    if !message.contains("\"reason\":\"compiler-message\"") || !message.contains("\"level\":\"error\"") {
        return None;
    }
    let mut parts: Vec<Part> = message.split("{\"byte_end\":").skip(1).filter_map(part).collect();
    parts.sort_by_key(|part| !part.primary);
    let text = message.split("\"rendered\":\"").nth(1)?.split("\",\"").next()?;
    let text = text.replace("\\n", "\n").replace("\\\"", "\"");
    (!parts.is_empty()).then_some(Error { parts, text })
}

/// What begins behind `{"byte_end":`.
fn part(text: &str) -> Option<Part> {
    let number = |text: &str| text.split([',', '}']).next()?.parse().ok();
    let end = number(text)?;
    let start = number(text.split("\"byte_start\":").nth(1)?)?;
    let file = text.split("\"file_name\":\"").nth(1)?.split('"').next()?;
    let primary = text.split("\"is_primary\":").nth(1)?.starts_with("true");
    Path::new(file).is_relative().then(|| Part { file: straight(file), bytes: start..end, primary })
}

/// The path without `..`: the models name core's files as seen from their own folder.
fn straight(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: &str, spans: &str) -> String {
        format!(
            "{{\"reason\":\"compiler-message\",\"package_id\":\"p\",\"message\":{{\"rendered\":\"error: \\\"x\\\"\\n\",\"children\":[],\
             \"level\":\"{level}\",\"spans\":[{spans}]}}}}"
        )
    }

    fn span(bytes: Range<usize>, file: &str, primary: bool) -> String {
        format!(
            "{{\"byte_end\":{},\"byte_start\":{},\"column_end\":9,\"expansion\":null,\"file_name\":\"{file}\",\
             \"is_primary\":{primary},\"label\":null}}",
            bytes.end, bytes.start
        )
    }

    #[test]
    fn an_error_has_its_own_place_first_and_then_those_that_have_to_do_with_it() {
        let spans =
            [span(1..2, "src/a.rs", false), span(30..40, "src/b.rs", true), span(5..6, "/std.rs", false)];
        let found = error(&message("error", &spans.join(","))).expect("it is an error");
        let parts: Vec<_> = found.parts.iter().map(|part| (part.file.as_str(), part.bytes.clone())).collect();
        assert_eq!(parts, [("src/b.rs", 30..40), ("src/a.rs", 1..2)]);
        assert_eq!(found.text, "error: \"x\"\n");
    }

    #[test]
    fn a_file_that_another_crate_includes_has_its_own_path() {
        assert_eq!(straight("crates/models/src/../../core/src/a.rs"), "crates/core/src/a.rs");
    }

    #[test]
    fn warnings_and_errors_without_a_place_are_left_out() {
        assert_eq!(error(&message("warning", &span(1..2, "src/a.rs", true))), None);
        assert_eq!(error(&message("error", "")), None);
        assert_eq!(error("{\"reason\":\"build-finished\",\"success\":false}"), None);
    }
}
