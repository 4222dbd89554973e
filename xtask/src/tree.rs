//! The project's files as the checks see them: relative paths with `/`, and text.
//!
//! Checks take a [`Tree`] and never touch the disk themselves, so their tests plant bad files in memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// One text file of the project.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Path relative to the workspace root, separated by `/`.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
    /// Whether the module that declares this file does so under `#[cfg(test)]`.
    declared_for_tests: bool,
}

impl File {
    fn new(path: String, text: String) -> File {
        File { path, text, declared_for_tests: false }
    }

    /// Whether the file is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the path has a folder of this name.
    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|component| component == folder)
    }

    /// Whether the whole file is test code: anything in a `tests` folder, test modules kept in their own file, and files
    /// of a module that is declared for tests only.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let named_so = name == "tests.rs" || name.ends_with("_test.rs") || name.ends_with("_tests.rs");
        self.declared_for_tests || self.is_under("tests") || named_so
    }

    /// What the paths of this module's own modules start with: `a/b/` for `a/b.rs`, `a/` for `a/mod.rs` and `a/lib.rs`.
    fn module_folder(&self) -> String {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        match name {
            "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/"),
            _ => format!("{folder}/{}/", name.trim_end_matches(".rs")),
        }
    }

    /// Whether the file is a program that is meant not to compile (its errors are checked in beside it).
    pub(crate) fn is_compile_fail_fixture(&self) -> bool {
        self.is_under("tests") && (self.is_under("ui") || self.is_under("fail"))
    }
}

/// All text files of the project, sorted by path.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    files: Vec<File>,
}

/// Hidden folders that belong to the project; other hidden folders are not read.
const HIDDEN: &[&str] = &[".cargo", ".ci", ".config", ".github"];

impl Tree {
    /// Reads every text file below `root`, except build output and foreign hidden folders.
    ///
    /// # Errors
    /// Any folder that cannot be listed, or file that cannot be read. Files that are not UTF-8 are left out.
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let mut files = Vec::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let (kind, path) = (entry.file_type()?, entry.path());
                let name = entry.file_name().to_string_lossy().into_owned();
                if kind.is_dir() && is_project_folder(&name) {
                    folders.push(path);
                } else if kind.is_file()
                    && let Ok(text) = String::from_utf8(fs::read(&path)?)
                {
                    files.push(File::new(relative(root, &path), text));
                }
            }
        }
        Ok(Tree::sorted(files))
    }

    fn sorted(mut files: Vec<File>) -> Tree {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        // `a/b.rs` and everything below `a/b/` for each `#[cfg(test)] mod b;` in the module `a`.
        let for_tests = |file: &File| -> Vec<String> {
            let source = Source::new(&file.text);
            let names = source.test_modules();
            names.iter().map(|name| file.module_folder() + name).collect()
        };
        let modules: Vec<String> = files.iter().filter(|file| file.is_rust()).flat_map(for_tests).collect();
        for file in &mut files {
            let below = |module: &String| file.path.strip_prefix(module.as_str());
            let is_of = |rest: &str| rest == ".rs" || rest.starts_with('/');
            file.declared_for_tests = modules.iter().filter_map(below).any(is_of);
        }
        Tree { files }
    }

    /// Every file, sorted by path.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// The Rust sources, sorted by path.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// A tree that exists in memory only.
    #[cfg(test)]
    pub(crate) fn planted(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File::new((*path).to_owned(), (*text).to_owned());
        Tree::sorted(files.iter().map(file).collect())
    }
}

fn is_project_folder(name: &str) -> bool {
    name != "target" && (!name.starts_with('.') || HIDDEN.contains(&name))
}

fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The workspace root: the parent of this crate's folder, which cargo tells us at run time (a moved checkout must not
/// be looked for where it was compiled).
pub(crate) fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    match own.as_deref().and_then(Path::parent) {
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File::new(path.to_owned(), String::new())
    }

    #[test]
    fn files_of_tests_are_told_from_files_that_only_sound_like_them() {
        assert!(file("crates/a/tests/calls.rs").is_test());
        assert!(file("crates/a/src/mailbox/tests.rs").is_test());
        assert!(file("crates/a/src/mailbox/queue_tests.rs").is_test());
        assert!(!file("crates/purlin-test/src/lib.rs").is_test());
        assert!(!file("xtask/src/test/mod.rs").is_test());
    }

    #[test]
    fn files_of_a_module_declared_for_tests_are_test_files() {
        let parent = "mod real;\n#[cfg(test)]\nmod model;\n";
        for path in ["s/a/b.rs", "s/a/b/mod.rs"] {
            let own = [
                "s/a/b/model.rs",
                "s/a/b/model/deep.rs",
                "s/a/b/real.rs",
                "s/a/b/model_too.rs",
                "s/a/model.rs",
            ];
            let files: Vec<(&str, &str)> =
                own.iter().map(|path| (*path, "")).chain([(path, parent)]).collect();
            let tree = Tree::planted(&files);
            let tests: Vec<&str> =
                tree.rust().filter(|file| file.is_test()).map(|file| file.path.as_str()).collect();
            assert_eq!(tests, ["s/a/b/model.rs", "s/a/b/model/deep.rs"]);
        }
    }

    #[test]
    fn compile_fail_fixtures_live_below_tests() {
        assert!(file("crates/a/tests/ui/two_inits.rs").is_compile_fail_fixture());
        assert!(file("crates/a/tests/fail/two_inits.rs").is_compile_fail_fixture());
        assert!(!file("crates/a/src/ui/page.rs").is_compile_fail_fixture());
    }

    #[test]
    fn the_projects_own_tree_is_found_and_leaves_build_output_out() {
        let tree = Tree::read(&root()).expect("the workspace can be read");
        assert!(tree.files().iter().any(|file| file.path == "xtask/src/tree.rs"));
        assert!(!tree.files().iter().any(|file| file.is_under("target") || file.is_under(".git")));
    }
}
