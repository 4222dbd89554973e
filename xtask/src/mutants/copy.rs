//! The copy of the tree that mutants are planted in.
//!
//! A file is written only if its bytes differ from what the copy has, so that everything else keeps its time and cargo builds only what
//! has changed. Times are not copied: a file that went back to an older text would look built already.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes `copy` what `root` is, with `planted` in the place of the files of these names.
pub(super) fn tree(root: &Path, copy: &Path, planted: &BTreeMap<String, String>) -> Result<(), String> {
    let files = listed(root)?;
    for file in &files {
        let content = match planted.get(file) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => fs::read(root.join(file)),
        };
        match content {
            Ok(content) => put(&copy.join(file), &content).map_err(|error| format!("{file}: {error}"))?,
            // Git still lists a file that was removed and not committed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {},
            Err(error) => return Err(format!("{file}: {error}")),
        }
    }
    let keep = |file: &String| root.join(file).exists();
    let wanted: BTreeSet<PathBuf> =
        files.iter().filter(|file| keep(file)).map(|file| copy.join(file)).collect();
    remove_others(copy, &wanted).map_err(|error| format!("{}: {error}", copy.display()))
}

/// What belongs to the project: what git tracks, and what it does not yet know and does not ignore.
fn listed(root: &Path) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root);
    let output = git.output().map_err(|error| format!("git cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("git lists no files: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}

/// Removes what an earlier copy has left and nobody wants any more.
fn remove_others(copy: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mut folders = vec![copy.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (kind, path) = entry.and_then(|entry| Ok((entry.file_type()?, entry.path())))?;
            if kind.is_dir() {
                folders.push(path);
            } else if !wanted.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}
