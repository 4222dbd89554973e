//! Recorded schedules, as files: the seed, the choices, and the story for whoever opens one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::explore::folder;

const FIRST_LINE: &str = "purlin schedule 1";

/// Writes a schedule; returns where.
pub(crate) fn save(test: &str, seed: u64, tape: &[u32], story: &[String]) -> io::Result<PathBuf> {
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let name: String = test.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let file = folder.join(format!("{name}.sim"));
    fs::write(&file, write(test, seed, tape, story))?;
    Ok(file)
}

fn write(test: &str, seed: u64, tape: &[u32], story: &[String]) -> String {
    let tape: Vec<String> = tape.iter().map(u32::to_string).collect();
    format!("{FIRST_LINE}\ntest {test}\nseed {seed:#x}\nchoices {}\n\n{}\n", tape.join(" "), story.join("\n"))
}

/// What a file says: the name of the test, if it does; the seed; the choices.
type Recorded = (Option<String>, u64, Vec<u32>);

/// Reads a schedule.
///
/// # Errors
/// What is wrong with the file, and in which line.
pub(crate) fn load(file: &Path) -> Result<Recorded, String> {
    read(&fs::read_to_string(file).map_err(|error| error.to_string())?)
}

fn read(text: &str) -> Result<Recorded, String> {
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, line)| line.trim() != FIRST_LINE) {
        return Err(format!("not a recorded schedule: line 1 is not {FIRST_LINE:?}"));
    }
    let (mut test, mut seed, mut choices) = (None, None, None);
    for (index, line) in lines {
        let wrong = |what: &str| format!("line {}: {what}: {line:?}", index + 1);
        if let Some(text) = line.strip_prefix("test ") {
            test = Some(text.to_owned());
        } else if let Some(text) = line.strip_prefix("seed ") {
            seed = Some(crate::seeds::parse(text).ok_or_else(|| wrong("no seed"))?);
        } else if let Some(text) = line.strip_prefix("choices") {
            let all: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
            choices = Some(all.map_err(|_| wrong("choices are numbers"))?);
        } else if line.is_empty() {
            break;
        }
    }
    match (seed, choices) {
        (Some(seed), Some(choices)) => Ok((test, seed, choices)),
        (None, _) => Err("there is no line with the seed".to_owned()),
        (_, None) => Err("there is no line with the choices".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        let text = write("shop::a", 0x1f, &[0, 2, 1], &["P1 ends".to_owned()]);
        assert_eq!(read(&text), Ok((Some("shop::a".to_owned()), 0x1f, vec![0, 2, 1])));
        assert_eq!(read(&write("a", 7, &[], &[])), Ok((Some("a".to_owned()), 7, vec![])));
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_the_line() {
        assert!(read("hello").unwrap_err().contains("line 1"));
        assert!(read("purlin schedule 1\nseed x\n").unwrap_err().starts_with("line 2: no seed"));
        assert!(read("purlin schedule 1\nseed 1\nchoices 1 b\n").unwrap_err().starts_with("line 3"));
        assert!(read("purlin schedule 1\nseed 1\n").unwrap_err().contains("choices"));
    }
}
