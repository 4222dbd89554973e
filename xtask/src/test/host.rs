//! The only file here that starts processes and installs programs.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running command is looked at. Short against any step, long against the cost of looking.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a command in `folder` with its output passed through.
///
/// # Errors
/// The exit status if it is not zero, `no end within …` if the time limit passed (the command and everything it
/// started is killed), or why it could not be started.
pub(super) fn run(
    words: &[String],
    env: &[(&str, &str)],
    folder: &Path,
    limit: Duration,
) -> Result<(), String> {
    let Some((name, arguments)) = words.split_first() else { return Err("an empty command".to_owned()) };
    // Lines printed before must not come out after the command's own.
    io::stdout().flush().map_err(|error| error.to_string())?;
    let mut command = Command::new(program(name));
    command.args(arguments).envs(env.iter().copied()).current_dir(folder).stdin(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    match wait(&mut child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(status.to_string()),
        Ok(None) => Err(format!("no end within {limit:?}")),
        Err(error) => Err(format!("cannot be waited for: {error}")),
    }
}

/// The cargo that runs us, so that its toolchain is kept; any other name is looked up by the system.
pub(super) fn program(name: &str) -> OsString {
    if name != "cargo" {
        return name.into();
    }
    std::env::var_os("CARGO").unwrap_or_else(|| name.into())
}

/// Where a program of this name is on the search path.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Makes sure that a program is there, by installing its Debian package if it is not and we are root.
///
/// # Errors
/// Why it is not there: not root, not Debian, or the installation failed.
pub(super) fn ensure(name: &str, package: &str) -> Result<(), String> {
    if find(name).is_some() {
        return Ok(());
    }
    apt_install(package).map_err(|why| format!("{name} is not installed and {why}"))?;
    find(name).map(drop).ok_or_else(|| format!("package {package} brought no {name}"))
}

/// Makes sure that the programs of a Python wheel (`name-version`) are in its folder below `tools`.
///
/// # Errors
/// Why they are not there: no Python with pip, or the wheel could not be fetched.
pub(super) fn ensure_wheel(wheel: &str, tools: &Path) -> Result<(), String> {
    let folder = tools.join(wheel);
    if folder.is_dir() {
        return Ok(());
    }
    let (name, version) = wheel.rsplit_once('-').ok_or_else(|| format!("{wheel} names no version"))?;
    let pip = "python3 -m pip --quiet --disable-pip-version-check --no-input";
    let has_pip = || quiet(&format!("{pip} --version"));
    if !has_pip() {
        apt_install("python3-pip").map_err(|why| format!("{wheel} is installed with pip, and {why}"))?;
    }
    // Complete or not there: what is installed half stays beside it.
    let half = tools.join(format!("{wheel}.half"));
    let _ = fs::remove_dir_all(&half);
    let line = format!("{pip} install --no-deps --only-binary :all: {name}=={version} --target");
    println!("$ {line} {}", half.display());
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    words.push(half.display().to_string());
    run(&words, &[("PIP_ROOT_USER_ACTION", "ignore")], Path::new("."), Duration::from_secs(300))
        .map_err(|why| format!("`{line}` failed: {why}"))?;
    fs::rename(&half, &folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))
}

/// Whether a command ends well; what it prints is nobody's business.
fn quiet(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let Some(name) = words.next() else { return false };
    let mut command = Command::new(name);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether this is a run of continuous integration, where nothing that can be installed may be missing.
pub(super) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn apt_install(package: &str) -> Result<(), String> {
    if find("apt-get").is_none() {
        return Err("there is no apt-get to install it with".to_owned());
    }
    if !is_root() {
        return Err(format!("only root can install it: apt-get install {package}"));
    }
    let limit = Duration::from_secs(300);
    let env = [("DEBIAN_FRONTEND", "noninteractive")];
    let command = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    for line in
        ["apt-get update -qq".to_owned(), format!("apt-get install -y -qq --no-install-recommends {package}")]
    {
        println!("$ {line}");
        run(&command(&line), &env, Path::new("."), limit).map_err(|why| format!("`{line}` failed: {why}"))?;
    }
    Ok(())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

/// Waits for the end of the child; `None` if the limit passed first, after killing it and its descendants.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain program without a runtime: the thread has nothing else to do"
)]
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            kill_all(child)?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// How long killed processes may take to disappear before we go on without them.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Kills a child and what it started, and waits until all are gone. A test runner that is killed alone leaves its tests
/// behind, which then hold the build lock or a port in the steps that follow.
#[expect(
    clippy::disallowed_methods,
    reason = "a plain program without a runtime: the thread has nothing else to do"
)]
fn kill_all(child: &mut Child) -> io::Result<()> {
    let mut doomed = vec![child.id()];
    let mut at = 0;
    while at < doomed.len() {
        // Stopped before its children are listed, so that it cannot start another one meanwhile.
        let ancestor = doomed[at];
        signal("-STOP", ancestor);
        doomed.extend(
            parents().into_iter().filter(|(_, parent)| *parent == ancestor).map(|(process, _)| process),
        );
        at += 1;
    }
    // Descendants first: an ancestor that is still there keeps their numbers from being used again.
    for process in doomed.iter().skip(1).rev() {
        signal("-KILL", *process);
    }
    child.kill()?;
    child.wait()?;
    let start = Instant::now();
    while doomed.iter().any(|process| is_running(*process)) && start.elapsed() < GONE_WITHIN {
        thread::sleep(LOOK);
    }
    Ok(())
}

fn signal(name: &str, process: u32) {
    // One that has ended by itself is what we want.
    let _ = Command::new("kill").args([name, &process.to_string()]).stderr(Stdio::null()).status();
}

/// Whether the process is there and not just waiting for its parent to take notice of its end (it has no command line).
fn is_running(process: u32) -> bool {
    fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Every process of the system with its parent; empty where there is no `/proc`.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pair = |entry: fs::DirEntry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // `pid (name) state parent …`; the name may hold spaces and brackets.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((process, parent))
    };
    entries.flatten().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
    }

    fn here(words: &[String], limit: Duration) -> Result<(), String> {
        run(words, &[], Path::new("."), limit)
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_exit_status_is_the_reason() {
        assert_eq!(here(&shell("exit 0"), MINUTE), Ok(()));
        assert_eq!(here(&shell("exit 3"), MINUTE), Err("exit status: 3".to_owned()));
    }

    #[test]
    fn a_command_over_its_limit_is_killed_with_everything_it_started() {
        // A number that no other process has in its arguments.
        let marker = format!("{}", 900_000_000 + std::process::id());
        // The shell waits for a grandchild that would outlive it.
        let script = format!("sh -c 'tail -f /dev/null -s {marker} & wait'");
        assert_eq!(here(&shell(&script), Duration::from_millis(300)), Err("no end within 300ms".to_owned()));
        let survivors = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&marker)
        });
        assert_eq!(survivors.count(), 0);
    }

    #[test]
    fn a_program_is_found_on_the_search_path_or_not_at_all() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program").is_none());
        assert_eq!(ensure("sh", "dash"), Ok(()));
    }

    #[test]
    fn a_wheel_that_is_there_is_not_fetched_again_and_one_needs_a_version() {
        let tools = std::env::temp_dir().join(format!("purlin-xtask-{}", std::process::id()));
        fs::create_dir_all(tools.join("no-such-wheel-1.0")).expect("a folder for temporary files");
        assert_eq!(ensure_wheel("no-such-wheel-1.0", &tools), Ok(()));
        assert_eq!(ensure_wheel("wheel", &tools), Err("wheel names no version".to_owned()));
        fs::remove_dir_all(&tools).expect("it was there");
    }
}
