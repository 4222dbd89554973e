//! Runs tests: each once to see which mutants it reaches, then each mutant with the tests that reach it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{MODELS, Mutant, Outcome};
use crate::mutants::Place;
use crate::mutants::parse::TestName;
use crate::mutants::run::{self, Binaries, Ending};

/// What chooses a mutant, by number.
const CHOICE: &str = "PURLIN_MUTANT";

/// The program that the models are in.
const MODELS_PROGRAM: &str = "models";

/// A file to write the numbers of the mutants to that are reached, four bytes each.
const RECORD: &str = "PURLIN_MUTANTS_REACHED";

/// A test that takes longer without any mutant hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// With a mutant a test may take as many times as long as without, and [`GRACE`].
const TIMES: u32 = 10;

/// Other programs want the processors too.
const GRACE: Duration = Duration::from_secs(4);

/// Finds out what becomes of every mutant of which that is still to be found out; `false` if a test fails without any of them, which then
/// counts for nothing. The mutants are in the order of their numbers, from 1 on.
pub(super) fn hunt(mutants: &mut [Mutant], binaries: &Binaries, place: &Place) -> Result<bool, String> {
    let (tests, sound) = base_line(binaries, &place.tree.with_file_name("reached"))?;
    let mut hunters: BTreeMap<u32, Vec<&Hunter>> = BTreeMap::new();
    for test in &tests {
        test.reached.iter().for_each(|number| hunters.entry(*number).or_default().push(test));
    }
    hunters.values_mut().for_each(|tests| tests.sort_by_key(|test| test.time));
    let hunted: Vec<(u32, Vec<&Hunter>)> = hunters
        .into_iter()
        .filter(|(number, _)| mutants[*number as usize - 1].outcome == Outcome::NotReached)
        .collect();
    println!("{} mutants are reached by a test and are run", hunted.len());
    let mut done = 0;
    run::all(&hunted, &|(number, tests)| one(*number, tests, binaries), &mut |(number, _), outcome| {
        mutants[*number as usize - 1].outcome = outcome.clone();
        done += 1;
        if done % 100 == 0 {
            println!("  {done} done");
        }
    })?;
    Ok(sound)
}

/// A test, how long it takes, and what it reaches.
struct Hunter {
    test: TestName,
    time: Duration,
    reached: BTreeSet<u32>,
}

/// Runs every test without a mutant, and records what it reaches.
fn base_line(binaries: &Binaries, folder: &Path) -> Result<(Vec<Hunter>, bool), String> {
    let error = |error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(error)?;
    }
    fs::create_dir_all(folder).map_err(error)?;
    let wanted = |test: &TestName| {
        test.binary != MODELS_PROGRAM || MODELS.iter().any(|start| test.path.starts_with(start))
    };
    let tests: Vec<(usize, TestName)> = binaries.tests().into_iter().filter(wanted).enumerate().collect();
    let (mut hunters, mut sound) = (Vec::new(), true);
    let record = |(index, test): &(usize, TestName)| {
        let path = folder.join(index.to_string());
        let (ending, time) = binaries.run_with(test, (RECORD, path.as_os_str()), LIMIT)?;
        // A test that reaches nothing leaves no file.
        let reached = fs::read(&path).unwrap_or_default();
        Ok((ending, time, reached))
    };
    run::all(&tests, &record, &mut |(_, test), (ending, time, reached)| {
        if *ending == Ending::Passed {
            let reached = numbers(reached);
            hunters.push(Hunter { test: test.clone(), time: *time, reached });
        } else {
            sound = false;
            println!("FAILED without a mutant, {ending}: {}", binaries.command(test, None));
        }
    })?;
    let total: Duration = hunters.iter().map(|hunter| hunter.time).sum();
    println!("{} tests, {} s if run one after the other", hunters.len(), total.as_secs());
    Ok((hunters, sound))
}

fn numbers(record: &[u8]) -> BTreeSet<u32> {
    let (whole, _) = record.as_chunks::<4>();
    whole.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// Runs a mutant with the tests that reach it, the fastest first, until one of them notices.
fn one(number: u32, tests: &[&Hunter], binaries: &Binaries) -> Result<Outcome, String> {
    for Hunter { test, time, .. } in tests {
        let number = number.to_string();
        match binaries.run_with(test, (CHOICE, OsStr::new(&number)), *time * TIMES + GRACE)?.0 {
            Ending::Passed => {},
            Ending::Failed => return Ok(Outcome::Killed(test.to_string())),
            // A model may just have become larger.
            Ending::TimeLimit if test.binary == MODELS_PROGRAM => {},
            Ending::TimeLimit => return Ok(Outcome::TimedOut(test.to_string())),
        }
    }
    Ok(Outcome::Survived(tests.len()))
}

/// What goes into core's `lib.rs`: a number is compared with the one that was chosen when the first was asked for. While recording, no
/// mutant is on, and each writes its number when it is reached for the first time; one at a time, so that nothing is lost when the
/// program is aborted.
pub(super) fn switch(mutants: usize) -> String {
    SWITCH.replace("WORDS", &(mutants / 32 + 1).to_string())
}

const SWITCH: &str = r#"
/// Whether this run is to do wrong what the mutant of this number does wrong.
#[inline]
pub(crate) fn mutant_at(number: u32) -> bool {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    const UNKNOWN: u32 = u32::MAX;
    const RECORDING: u32 = u32::MAX - 1;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNKNOWN);
    static REACHED: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];
    static RECORD: OnceLock<Option<std::fs::File>> = OnceLock::new();
    let chosen = CHOSEN.load(Relaxed);
    if chosen < RECORDING {
        return chosen == number;
    }
    if chosen == UNKNOWN {
        let named = std::env::var("PURLIN_MUTANT").ok().and_then(|text| text.parse().ok());
        let other = if std::env::var_os("PURLIN_MUTANTS_REACHED").is_some() { RECORDING } else { 0 };
        CHOSEN.store(named.unwrap_or(other), Relaxed);
        return mutant_at(number);
    }
    let bit = 1 << (number % 32);
    if REACHED[number as usize / 32].fetch_or(bit, Relaxed) & bit == 0 {
        let open = || {
            let path = std::env::var_os("PURLIN_MUTANTS_REACHED")?;
            std::fs::File::options().append(true).create(true).open(path).ok()
        };
        if let Some(mut file) = RECORD.get_or_init(open).as_ref() {
            let _ = file.write_all(&number.to_le_bytes());
        }
    }
    false
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_list_of_numbers() {
        assert_eq!(numbers(&[1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]), BTreeSet::from([1, 256]));
        assert!(numbers(&[]).is_empty());
    }

    #[test]
    fn the_switch_has_room_for_every_number() {
        assert!(switch(31).contains("[AtomicU32; 1]"));
        assert!(switch(32).contains("[AtomicU32; 2]"));
    }
}
