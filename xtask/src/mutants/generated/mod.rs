//! `cargo xtask mutants --generated`: mutants made from the source text, and how many of them core's tests kill.
//!
//! `scan` finds what can be changed mechanically, `site` plants all of it at once in a copy, each change behind a switch with a number;
//! `check` finds out which changes do not compile. Core's tests, and the loom models of the files in question, are built once. `hunt` runs every test once to see which mutants it reaches,
//! and then every mutant with the tests that reach it, until one fails. `score` counts; a survivor fails the command unless
//! `conformance/survivors.txt` explains it (`survivors`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use super::{FOLDER, Place, USAGE, copy, read, run, target};
use crate::tree::{self, Tree};

mod check;
mod hunt;
mod scan;
mod score;
mod site;
mod survivors;
mod syntax;

use score::{Count, ENOUGH, GROUPS};
use site::{Change, Planted, Site};
use survivors::Entry;

/// The list of explained survivors.
const EXPLAINED: &str = "survivors.txt";

/// Where the switch itself goes. The models include core's files under the same paths.
const LIBS: &[&str] = &["crates/purlin-core/src/lib.rs", "crates/purlin-models/src/lib.rs"];

/// The models of what is mutated.
const MODELS: &[&str] = &["cycle::", "end::", "links::", "mailbox::", "slot::"];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    only: Option<String>,
    limit: Option<usize>,
    /// Those that are explained as well.
    all: bool,
    list: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Option<Options> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--generated" => {},
                "--only" => options.only = Some(arguments.next()?.clone()),
                "--limit" => options.limit = Some(arguments.next()?.parse().ok().filter(|limit| *limit > 0)?),
                "--all" => options.all = true,
                "--list" => options.list = true,
                _ => return None,
            }
        }
        Some(options)
    }

    fn want(&self, file: &str) -> bool {
        self.only.as_deref().is_none_or(|part| file.contains(part))
    }
}

/// One mutant, and what became of it.
struct Mutant {
    number: u32,
    file: String,
    change: Change,
    outcome: Outcome,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    DoesNotCompile,
    /// The list says why it survives, and it was not asked for.
    Explained,
    /// No test reaches it.
    NotReached,
    /// As many tests reach it and pass.
    Survived(usize),
    /// This test failed.
    Killed(String),
    /// This test did not end.
    TimedOut(String),
}

impl Outcome {
    fn is_alive(&self) -> bool {
        matches!(self, Outcome::Explained | Outcome::NotReached | Outcome::Survived(_))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::DoesNotCompile => f.write_str("does not compile"),
            Outcome::Explained => f.write_str("explained"),
            Outcome::NotReached => f.write_str("no test reaches it"),
            Outcome::Survived(tests) => write!(f, "survived {tests} tests"),
            Outcome::Killed(test) => write!(f, "killed by {test}"),
            Outcome::TimedOut(test) => write!(f, "no end of {test}"),
        }
    }
}

impl Mutant {
    fn explanation<'e>(&self, entries: &'e [Entry]) -> Option<&'e Entry> {
        entries.iter().find(|entry| entry.is_about(&self.file, &self.change))
    }
}

/// A file with its sites.
struct Source {
    path: String,
    text: String,
    sites: Vec<Site>,
    /// The number of its first mutant.
    first: u32,
}

/// Generates, plants, builds, hunts and tells; whether every survivor is explained and the score high enough.
pub(super) fn check_all(arguments: &[String]) -> Result<bool, String> {
    let Some(options) = Options::parse(arguments) else { return Err(format!("usage: {USAGE}")) };
    let root = tree::root();
    let entries = survivors::parse(&read(&root.join(FOLDER).join(EXPLAINED))?)?;
    let (sources, left_out) = scanned(&root, &options)?;
    let mut mutants = numbered(&sources);
    if mutants.is_empty() {
        return Err("there is no such file, or nothing in it to change".to_owned());
    }
    let unwanted = unwanted(mutants.len(), options.limit);
    if options.list {
        mutants
            .iter()
            .filter(|mutant| !unwanted.contains(&mutant.number))
            .for_each(|mutant| print!("{}", shown(mutant)));
        return Ok(true);
    }
    println!("{} mutants in {} files", mutants.len() - unwanted.len(), sources.len());
    println!("not mutated: {left_out}");
    let place = Place::below(&target(&root).join("generated"));
    let dropped = plant(&root, &place, &sources, mutants.len(), &unwanted)?;
    println!("{} of them do not compile", dropped.len() - unwanted.len());
    let start = Instant::now();
    let models = ["--release", "--package", "purlin-models", "--test", "models"];
    let models = run::build_these(&place, &models)?;
    let binaries = run::build(&place, &None)?.and(models);
    println!("built in {} s", start.elapsed().as_secs());
    for mutant in &mut mutants {
        if dropped.contains(&mutant.number) {
            mutant.outcome = Outcome::DoesNotCompile;
        } else if !options.all && mutant.explanation(&entries).is_some() {
            mutant.outcome = Outcome::Explained;
        }
    }
    let sound = hunt::hunt(&mut mutants, &binaries, &place)?;
    mutants.retain(|mutant| !unwanted.contains(&mutant.number));
    let log: String = mutants.iter().map(shown).collect();
    let path = place.tree.with_file_name("outcomes.txt");
    fs::write(&path, log).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("\nhunted in {} s; every mutant's end is in {}", start.elapsed().as_secs(), path.display());
    Ok(told(&mutants, &entries, &options) && sound)
}

/// The files that are asked for, scanned, and what was left out, for people.
fn scanned(root: &Path, options: &Options) -> Result<(Vec<Source>, String), String> {
    let tree = Tree::read(&root.join("crates/purlin-core")).map_err(|error| error.to_string())?;
    let mut sources: Vec<Source> = Vec::new();
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut first = 1;
    for file in tree.rust().filter(|file| !file.is_test()) {
        let path = format!("crates/purlin-core/{}", file.path);
        if !(options.want(&path) && GROUPS.iter().any(|group| group.has(&path))) {
            continue;
        }
        let found = scan::scan(&file.text).map_err(|error| format!("{path}:{error}"))?;
        let changes: usize = found.sites.iter().map(|site| site.changes.len()).sum();
        found.left_out.into_iter().for_each(|(why, count)| *left_out.entry(why).or_default() += count);
        if changes > 0 {
            sources.push(Source { path, text: file.text.clone(), sites: found.sites, first });
            first += changes as u32;
        }
    }
    let left_out: Vec<String> = left_out.into_iter().map(|(why, count)| format!("{why} ({count})")).collect();
    Ok((sources, left_out.join(", ")))
}

/// All mutants, by number. Of changes that would be told alike all but the first get a number of their own.
fn numbered(sources: &[Source]) -> Vec<Mutant> {
    let mut mutants: Vec<Mutant> = Vec::new();
    let mut alike: BTreeMap<[String; 3], usize> = BTreeMap::new();
    for source in sources {
        for change in source.sites.iter().flat_map(|site| &site.changes) {
            let mut change = change.clone();
            let told = [source.path.as_str(), &change.text, &format!("{} {}", change.place, change.change)];
            let nth = alike.entry(told.map(str::to_owned)).or_default();
            *nth += 1;
            if *nth > 1 {
                change.change += &format!(" ({nth})");
            }
            let number = mutants.len() as u32 + 1;
            mutants.push(Mutant { number, file: source.path.clone(), change, outcome: Outcome::NotReached });
        }
    }
    mutants
}

/// Which mutants a limit leaves out: the ones that stay lie evenly in the list.
fn unwanted(all: usize, limit: Option<usize>) -> BTreeSet<u32> {
    let limit = limit.unwrap_or(all).min(all);
    let stay: BTreeSet<usize> = (0..limit).map(|index| index * all / limit).collect();
    (0..all).filter(|index| !stay.contains(index)).map(|index| index as u32 + 1).collect()
}

/// Writes the copy with everything planted that is wanted and compiles; what is not, and what does not.
fn plant(
    root: &Path,
    place: &Place,
    sources: &[Source],
    count: usize,
    unwanted: &BTreeSet<u32>,
) -> Result<BTreeSet<u32>, String> {
    let mut dropped = unwanted.clone();
    loop {
        let planted: BTreeMap<&str, Planted> = sources
            .iter()
            .map(|source| {
                (source.path.as_str(), site::plant(&source.text, &source.sites, source.first, &dropped))
            })
            .collect();
        let mut files: BTreeMap<String, String> =
            planted.iter().map(|(path, planted)| ((*path).to_owned(), planted.text.clone())).collect();
        for lib in LIBS {
            files.insert((*lib).to_owned(), read(&root.join(lib))? + &hunt::switch(count));
        }
        copy::tree(root, &place.tree, &files)?;
        let errors = check::errors(place)?;
        if errors.is_empty() {
            return Ok(dropped);
        }
        let before = dropped.len();
        for error in &errors {
            let blamed =
                error.parts.iter().find_map(|part| planted.get(part.file.as_str())?.innermost(&part.bytes));
            match blamed {
                Some(mutants) => dropped.extend(mutants),
                None => return Err(format!("an error that belongs to no mutant:\n{}", error.text)),
            }
        }
        println!("{} errors: {} mutants dropped", errors.len(), dropped.len() - before);
    }
}

/// One line per mutant of `--list` and of the log.
fn shown(mutant: &Mutant) -> String {
    let Change { operator, line, change, place, .. } = &mutant.change;
    let Mutant { number, file, outcome, .. } = mutant;
    format!("{number} {file}:{line} {operator} in {place}: {change} [{outcome}]\n")
}

/// Prints survivors, entries that are about nothing, and the scores; whether all is well.
fn told(mutants: &[Mutant], entries: &[Entry], options: &Options) -> bool {
    let mut text = String::new();
    let unexplained: Vec<&Mutant> = mutants
        .iter()
        .filter(|mutant| mutant.outcome.is_alive() && mutant.explanation(entries).is_none())
        .collect();
    for Mutant { number, file, change, outcome } in &unexplained {
        let _ = writeln!(text, "\n# {file}:{}: {} {number} {outcome}", change.line, change.operator);
        text += &survivors::written(file, change);
    }
    let mut stale = 0;
    for entry in entries.iter().filter(|entry| options.want(entry.file()) && options.limit.is_none()) {
        let own = || mutants.iter().filter(|mutant| entry.is_about(&mutant.file, &mutant.change));
        if own().next().is_none() {
            stale += 1;
            let _ = writeln!(text, "{entry}: there is no such mutant any more");
        } else if own().all(|mutant| !mutant.outcome.is_alive()) {
            // Some are noticed by luck only, so this is no reason to fail.
            let _ = writeln!(text, "{entry}: this one was killed; it may need no explanation");
        }
    }
    println!("{text}\n{}", score::table(mutants, entries));
    println!("{} survivors are not explained, {stale} explanations are about nothing", unexplained.len());
    let low: Vec<&str> = GROUPS
        .iter()
        .filter(|group| {
            Count::of(mutants.iter().filter(|mutant| group.has(&mutant.file)), entries).score() < ENOUGH
        })
        .map(|group| group.name)
        .collect();
    if !low.is_empty() {
        println!("less than {ENOUGH} %: {}", low.join(", "));
    }
    unexplained.is_empty() && stale == 0 && low.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_that_do_not_exist_are_refused() {
        let only = Some("slot".to_owned());
        assert_eq!(
            options("--generated --only slot --limit 9"),
            Some(Options { only, limit: Some(9), ..Options::default() })
        );
        assert_eq!(options("--generated --write"), None);
        assert_eq!(options("--generated --limit 0"), None);
        assert_eq!(options("--generated --only"), None);
    }

    #[test]
    fn of_two_changes_that_look_alike_the_second_one_has_a_number() {
        let text = "fn f() -> T {\n    a();\n    b();\n    a();\n    c\n}\n".to_owned();
        let sites = scan::scan(&text).expect("it is Rust").sites;
        let mutants = numbered(&[Source { path: "a.rs".to_owned(), text, sites, first: 1 }]);
        let changes: Vec<_> = mutants.iter().map(|mutant| mutant.change.change.as_str()).collect();
        assert_eq!(changes, ["`a();` is left out", "`b();` is left out", "`a();` is left out (2)"]);
        assert_eq!(mutants.iter().map(|mutant| mutant.number).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_limit_takes_mutants_from_everywhere() {
        assert_eq!(unwanted(10, Some(3)).len(), 7);
        assert!(!unwanted(10, Some(2)).contains(&1) && !unwanted(10, Some(2)).contains(&6));
        assert!(unwanted(10, None).is_empty() && unwanted(10, Some(20)).is_empty());
    }
}
