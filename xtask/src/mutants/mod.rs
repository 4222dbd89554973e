//! `cargo xtask mutants`: statement → test → mutation, and back.
//!
//! `conformance/*.mutants` lists plausible bugs, each with the statements it breaks and the tests that must notice it. All of them are
//! planted at once in a copy of the tree, each behind a switch that is read at run time; core's tests are built once, and every mutant is
//! run with its tests. `generated` does the same with mutants that are made mechanically from the source text.
//! `mutant files -> parse -> plant -> copy -> run -> coverage`: only `copy` and `run` touch the disk or start processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::tree;

mod copy;
mod coverage;
mod generated;
mod page;
mod parse;
mod plant;
mod run;
mod statements;

use coverage::Coverage;
use parse::{Mutant, TestName};
use run::Ending;
use statements::{COMPONENTS, Component, Statements};

const USAGE: &str = "cargo xtask mutants [--only <mutant, statement or file>] [--list] [--check] [--write], or --generated [--only <part of a \
    file's path>] [--limit <number of mutants>] [--all] [--list]";

/// Where the lists of OTP's statements are, on machines that have them.
const LISTS: &str = "../shared/otp";

/// Where the lists of mutants and the list of statements are.
const FOLDER: &str = "conformance";

/// Bugs that the small worlds of `tests/explored.rs` must find, beside the lists of the components.
const PLANTED: &str = "planted";

/// The page that `--write` writes the result into.
const PAGE: &str = "docs/conformance.md";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    only: Option<String>,
    list: bool,
    /// Nothing is built or run: do texts, numbers, names and the page agree?
    check: bool,
    write: bool,
}

impl Options {
    /// `None` for arguments that do not exist, and for `--write` without everything having been run.
    fn parse(arguments: &[String]) -> Option<Options> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only" => options.only = Some(arguments.next()?.clone()),
                "--list" => options.list = true,
                "--check" => options.check = true,
                "--write" => options.write = true,
                _ => return None,
            }
        }
        (!((options.write || options.check) && (options.only.is_some() || options.list))).then_some(options)
    }

    /// Whether the mutant is asked for: by its file's name, else by one of its statements or by a part of its own name.
    fn want(&self, mutant: &Mutant) -> bool {
        let Some(text) = &self.only else { return true };
        if COMPONENTS.iter().any(|component| component.name == text) {
            return mutant.list == *text;
        }
        mutant.statements.iter().any(|statement| statement.eq_ignore_ascii_case(text))
            || mutant.name.contains(text.as_str())
    }
}

/// Plants, builds, runs and tells.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let checked = if arguments.iter().any(|argument| argument == "--generated") {
        generated::check_all(arguments)
    } else {
        let Some(options) = Options::parse(arguments) else { return crate::refuse(arguments, USAGE) };
        check(&options)
    };
    match checked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        },
    }
}

/// Whether every mutant was noticed by each of its tests, and the page tells so.
fn check(options: &Options) -> Result<bool, String> {
    let root = tree::root();
    let statements = Statements::parse(&read(&root.join(FOLDER).join("statements.txt"))?)?;
    let (wanted, planted) = select(load(&root, options)?, options);
    if wanted.is_empty() {
        return Err("no mutant has that name, that statement or that file".to_owned());
    }
    let problems = parse::problems(&planted, &statements);
    if !problems.is_empty() {
        return Err(problems.join("\nmutants: "));
    }
    let files = plant::plant(&planted, &|file| read(&root.join(file)))?;
    if options.list {
        wanted.iter().for_each(|mutant| print!("{}", listed(mutant)));
        return Ok(true);
    }
    if options.check {
        return agreed(&root, &statements, &wanted);
    }
    let place = Place::below(&target(&root));
    copy::tree(&root, &place.tree, &files)?;
    let binaries = run::build(&place, &binaries(&wanted, options))?;
    let bad = base_line(&wanted, &binaries)?;
    let red = each_mutant(&wanted, &bad, &binaries)?;
    let tests = coverage::numbered_tests(&sources(&root)?);
    let coverage = Coverage::new(&statements, &wanted, &red, &tests);
    // What a part of a file covers says nothing about its component.
    let whole = |component: &&Component| options.only.as_deref().is_none_or(|only| only == component.name);
    let components: Vec<_> = COMPONENTS.iter().filter(whole).collect();
    if !components.is_empty() {
        println!("\n{}", coverage.for_people(&components));
    }
    let green = wanted.len() - red.len();
    println!("{} red, {green} green or without a base line", red.len());
    if options.only.is_some() {
        return Ok(green == 0);
    }
    Ok(same_page(&root, &coverage, options.write)? && green == 0)
}

/// Where the copy and its build are: below the target folder in use, so that two people with two target folders are not in each other's
/// way. The copy has its own build folder, because cargo cannot tell two checkouts of one workspace apart.
struct Place {
    tree: PathBuf,
    build: PathBuf,
}

impl Place {
    fn below(target: &Path) -> Place {
        let folder = target.join("mutants");
        Place { tree: folder.join("tree"), build: folder.join("build") }
    }
}

fn target(root: &Path) -> PathBuf {
    // A relative folder is meant from where cargo was started, and so are we.
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Whether everything that can be told without a run agrees: every mutant's text is where it says (that was found out before), every statement that
/// counts has a mutant and a test, the page shows them, and the statements are those of the lists of OTP, where those are at hand.
fn agreed(root: &Path, statements: &Statements, mutants: &[Mutant]) -> Result<bool, String> {
    let red = mutants.iter().map(|mutant| mutant.name.clone()).collect();
    let tests = coverage::numbered_tests(&sources(root)?);
    let coverage = Coverage::new(statements, mutants, &red, &tests);
    let total = coverage.total();
    println!("{} of {} statements that count have a test and a mutant", total.covered, total.counted);
    let lists = root.join(LISTS);
    let same_lists = match lists.is_dir() {
        true => same_statements(&lists, statements)?,
        false => {
            println!("the lists of OTP's statements are not here: not compared");
            true
        },
    };
    let same = same_page(root, &coverage, false)?;
    Ok(same && same_lists && total.covered == total.counted)
}

/// Whether the numbers in `statements.txt` are those of the lists.
fn same_statements(lists: &Path, statements: &Statements) -> Result<bool, String> {
    let mut same = true;
    for component in COMPONENTS {
        // Event managers have no list of their own.
        let list = if component.name == "gen_event" { "sys" } else { component.name };
        let text = read(&lists.join(format!("{list}.md")))?;
        let theirs = statements::listed(&text, component);
        let ours = statements.numbers(component);
        for (these, what) in
            [(theirs.difference(&ours), "is missing"), (ours.difference(&theirs), "is of no list")]
        {
            for number in these {
                println!("conformance/statements.txt: {number} {what}");
                same = false;
            }
        }
        println!("{}: {} statements, as in the list of OTP", component.heading, ours.len());
    }
    Ok(same)
}

/// All mutants, by file. A file that cannot be read is an error, unless only other files are asked for.
fn load(root: &Path, options: &Options) -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    let mut errors = Vec::new();
    // Planted bugs may be where mutants are: they are asked for by name.
    let planted = options.only.as_deref().filter(|only| only.starts_with(PLANTED)).map(|_| PLANTED);
    let lists = COMPONENTS.iter().map(|component| component.name).filter(|_| planted.is_none());
    for list in lists.chain(planted) {
        let path = root.join(FOLDER).join(format!("{list}.mutants"));
        if !path.exists() {
            continue;
        }
        match parse::parse(list, &read(&path)?) {
            Ok(some) => mutants.extend(some),
            Err(error) if options.only.as_deref().is_some_and(|only| only != list) => {
                eprintln!("mutants: left out: {error}");
            },
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(mutants) } else { Err(errors.join("\nmutants: ")) }
}

/// The mutants that are asked for, and those that are planted: all of the same files, so that a run of one mutant builds what a run of its
/// file has built, and a file that somebody is writing is in nobody else's way.
fn select(mutants: Vec<Mutant>, options: &Options) -> (Vec<Mutant>, Vec<Mutant>) {
    let wanted: Vec<Mutant> = mutants.iter().filter(|mutant| options.want(mutant)).cloned().collect();
    let lists: BTreeSet<String> = wanted.iter().map(|mutant| mutant.list.clone()).collect();
    let planted = mutants.into_iter().filter(|mutant| lists.contains(&mutant.list)).collect();
    (wanted, planted)
}

/// The test programs to build: all, or those of the mutants asked for.
fn binaries(wanted: &[Mutant], options: &Options) -> Option<BTreeSet<String>> {
    options.only.as_ref()?;
    Some(wanted.iter().flat_map(|mutant| &mutant.tests).map(|test| test.binary.clone()).collect())
}

fn listed(mutant: &Mutant) -> String {
    let mut text = format!("{} ({})\n", mutant.name, mutant.statements.join(" "));
    mutant.tests.iter().for_each(|test| text += &format!("    {test}\n"));
    text
}

/// Runs every test that a mutant names without any mutant; those that are not there or fail, which show nothing.
fn base_line(wanted: &[Mutant], binaries: &run::Binaries) -> Result<BTreeSet<TestName>, String> {
    let tests: BTreeSet<&TestName> = wanted.iter().flat_map(|mutant| &mutant.tests).collect();
    let (there, missing): (Vec<_>, Vec<_>) = tests.into_iter().partition(|test| binaries.has(test));
    missing.iter().for_each(|test| println!("MISSING {test}: there is no such test"));
    let mut bad: BTreeSet<TestName> = missing.into_iter().cloned().collect();
    run::all(&there, &|test| binaries.run(test, None), &mut |test, ending| {
        if *ending != Ending::Passed {
            bad.insert((*test).clone());
            println!("FAILED without a mutant, {ending}: {}", binaries.command(test, None));
        }
    })?;
    println!("base line: {} tests, {} missing or failed", there.len(), bad.len());
    Ok(bad)
}

/// Runs every mutant with its tests and prints a line for each; the names of those that all of their tests noticed. A mutant with a test
/// that is bad without it is not run.
fn each_mutant(
    wanted: &[Mutant],
    bad: &BTreeSet<TestName>,
    binaries: &run::Binaries,
) -> Result<BTreeSet<String>, String> {
    let mut red = BTreeSet::new();
    let endings = |mutant: &&Mutant| -> Result<Vec<Ending>, String> {
        mutant.tests.iter().map(|test| binaries.run(test, Some(&mutant.name))).collect()
    };
    let (unsound, mutants): (Vec<&Mutant>, Vec<_>) =
        wanted.iter().partition(|mutant| mutant.tests.iter().any(|test| bad.contains(test)));
    unsound.iter().for_each(|mutant| println!("NO BASE LINE for {}", mutant.name));
    run::all(&mutants, &endings, &mut |mutant, endings| {
        let missed: Vec<_> = mutant
            .tests
            .iter()
            .zip(endings)
            .filter_map(|(test, ending)| (*ending == Ending::Passed).then_some(test))
            .collect();
        if missed.is_empty() {
            red.insert(mutant.name.clone());
        }
        let verdict = if missed.is_empty() { "red  " } else { "GREEN" };
        let late = if endings.contains(&Ending::TimeLimit) { " [time limit]" } else { "" };
        println!("{verdict} {} ({}){late}", mutant.name, mutant.statements.join(" "));
        for test in missed {
            println!("      not noticed: {}", binaries.command(test, Some(&mutant.name)));
        }
    })?;
    Ok(red)
}

/// Whether the page shows this result; with `write` it is made to.
fn same_page(root: &Path, coverage: &Coverage, write: bool) -> Result<bool, String> {
    let path = root.join(PAGE);
    let before = read(&path)?;
    let after = page::replace(&before, &page::render(coverage)).map_err(|why| format!("{PAGE}: {why}"))?;
    if before == after {
        return Ok(true);
    }
    if write {
        fs::write(&path, after).map_err(|error| format!("{PAGE}: {error}"))?;
        println!("written to {PAGE}");
    } else {
        println!("{PAGE} shows another result: cargo xtask mutants --write");
    }
    Ok(write)
}

/// The text of every file that can hold a test of core.
fn sources(root: &Path) -> Result<Vec<String>, String> {
    let tree = tree::Tree::read(&root.join("crates/purlin-core")).map_err(|error| error.to_string())?;
    Ok(tree.rust().map(|file| file.text.clone()).collect())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn mutant(list: &str, name: &str, statement: &str) -> Mutant {
        Mutant {
            list: list.to_owned(),
            name: name.to_owned(),
            line: 1,
            statements: vec![statement.to_owned()],
            tests: Vec::new(),
            edits: Vec::new(),
        }
    }

    #[test]
    fn a_mutant_is_asked_for_by_file_by_statement_or_by_a_part_of_its_name() {
        let all = vec![mutant("registry", "keys-stay", "R9"), mutant("sys", "a-registry-of-logs", "SY9")];
        let wanted = |only: &str| -> Vec<String> {
            let options = Options { only: Some(only.to_owned()), ..Options::default() };
            select(all.clone(), &options).0.into_iter().map(|mutant| mutant.name).collect()
        };
        assert_eq!(wanted("registry"), ["keys-stay"]);
        assert_eq!(wanted("registry-of"), ["a-registry-of-logs"]);
        assert_eq!(wanted("r9"), ["keys-stay"]);
        assert_eq!(wanted("SY9"), ["a-registry-of-logs"]);
        assert_eq!(wanted("keys"), ["keys-stay"]);
        assert_eq!(wanted("R"), [""; 0]);
    }

    #[test]
    fn the_whole_file_of_a_mutant_is_planted_and_no_other_one() {
        let all = vec![mutant("sys", "a", "SY1"), mutant("sys", "b", "SY2"), mutant("registry", "c", "R1")];
        let options = Options { only: Some("SY2".to_owned()), ..Options::default() };
        let (wanted, planted) = select(all, &options);
        assert_eq!(wanted.len(), 1);
        let names: Vec<_> = planted.iter().map(|mutant| mutant.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_part_of_the_mutants_cannot_be_written() {
        assert!(options("--only registry").is_some() && options("--write").is_some());
        assert_eq!(options("--write --only registry"), None);
        assert_eq!(options("--only"), None);
        assert_eq!(options("--fast"), None);
    }
}
