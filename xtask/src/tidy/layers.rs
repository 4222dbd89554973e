//! Who may use whom: two tables of `(from, what it may use)`, in which every arrow points down.
//!
//! Modules may also use what the modules of their row may use, so each arrow is written once. Packages may name only
//! what stands in their row: an application says `purlin`, although core is below it.
//!
//! A crate or module that is not in a table is not checked: `lib.rs`, the node and plain vocabulary (pids, exit reasons,
//! errors) are used by all. To add one, give it a row.

use std::collections::BTreeMap;

use super::{Finding, manifests};
use crate::source::Source;
use crate::tree::Tree;

type Rows = &'static [(&'static str, &'static [&'static str])];

/// The kernel: run queues, timers, mailboxes, processes, calls, telemetry and `sys` know each other. A process is scheduled, a scheduler
/// runs processes, a crash is reported: cutting these apart would put an interface between every two functions. What matters is that
/// nothing in the kernel knows the behaviours above it.
const KERNEL: &[&str] = &["rt", "timer", "mailbox", "process", "call", "sys", "telemetry"];

/// The modules of `purlin-core`, bottom to top. Modules of one layer name each other.
const CORE_MODULES: Rows = &[
    ("rt", KERNEL),
    ("timer", KERNEL),
    ("mailbox", KERNEL),
    ("process", KERNEL),
    ("call", KERNEL),
    ("sys", KERNEL),
    ("telemetry", KERNEL),
    ("gen_server", KERNEL),
    ("supervisor", &["gen_server"]),
    ("gen_statem", &["supervisor"]),
    ("registry", &["supervisor"]),
    ("agent", &["supervisor"]),
    ("pubsub", &["registry"]),
    ("pg", &["registry"]),
    ("gen_event", &["supervisor"]),
    ("application", &["supervisor"]),
    ("task", &["supervisor"]),
];

/// Where the modules of [`CORE_MODULES`] live.
const CORE: &str = "crates/purlin-core/src/";

/// Our packages, by folder; a row that ends in `/` stands for every package below it. Only packages of this workspace
/// are looked at.
const PACKAGES: Rows = &[
    ("crates/purlin-macros", &[]),
    ("crates/purlin-core", &[]),
    ("crates/purlin-test", &["purlin-core"]),
    ("crates/purlin", &["purlin-core", "purlin-macros"]),
    ("apps/", &["purlin"]),
    ("examples/", &["purlin"]),
    ("stress", &["purlin-core"]),
    ("benches/instr", &["purlin-core"]),
    ("xtask", &[]),
];

/// Finds uses of a higher module of `purlin-core` in a lower one.
pub(super) fn modules(tree: &Tree) -> Vec<Finding> {
    let exports = exports(tree);
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let Some(below) = file.path.strip_prefix(CORE) else { continue };
        let place = module_path(below);
        let Some(from) = place.first().filter(|name| row(CORE_MODULES, name).is_some()) else { continue };
        let source = Source::new(&file.text);
        let mut reported = Vec::new();
        for path in source.paths().iter().filter(|path| !source.lines[path.line].in_test) {
            let Some(name) = top_module(&path.segments, &place) else { continue };
            let to = exports.get(name).map_or(name, String::as_str);
            let points_up = row(CORE_MODULES, to).is_some() && to != *from && !reach(from).contains(&to);
            // `use a::{b, c}` is one thing to change.
            let arrow = (path.line, to.to_owned());
            if points_up && !reported.contains(&arrow) {
                reported.push(arrow);
                let used = path.segments.join("::");
                let message = format!("`{used}`: module `{from}` must not use `{to}`, which is above it");
                findings.push(Finding::new(&file.path, path.line, message));
            }
        }
    }
    findings
}

/// Finds dependencies between our packages that point up.
pub(super) fn crates(tree: &Tree) -> Vec<Finding> {
    let all: Vec<_> = manifests::all(tree).collect();
    let ours: Vec<&str> = all.iter().map(|(_, manifest)| manifest.name.as_str()).collect();
    let mut findings = Vec::new();
    for (file, manifest) in &all {
        let folder = file.path.trim_end_matches("Cargo.toml").trim_end_matches('/');
        let allowed =
            PACKAGES.iter().find(|(row, _)| *row == folder || row.ends_with('/') && folder.starts_with(row));
        let Some((_, allowed)) = allowed else { continue };
        for (name, index) in &manifest.dependencies {
            if ours.contains(&name.as_str()) && !allowed.contains(&name.as_str()) {
                let may =
                    if allowed.is_empty() { "none of our crates".to_owned() } else { allowed.join(", ") };
                let message = format!("`{}` must not depend on `{name}`; it may use {may}", manifest.name);
                findings.push(Finding::new(&file.path, *index, message));
            }
        }
    }
    findings
}

fn row(rows: Rows, name: &str) -> Option<&'static [&'static str]> {
    rows.iter().find(|(from, _)| *from == name).map(|(_, allowed)| *allowed)
}

/// Everything that `from` may use, directly or through what it uses.
fn reach(from: &str) -> Vec<&'static str> {
    let mut reached: Vec<&'static str> = Vec::new();
    let mut open: Vec<&'static str> = row(CORE_MODULES, from).unwrap_or_default().to_vec();
    while let Some(name) = open.pop() {
        if !reached.contains(&name) {
            reached.push(name);
            open.extend(row(CORE_MODULES, name).unwrap_or_default());
        }
    }
    reached
}

/// The module that a file of the crate holds: `call/slot.rs` is `call::slot`, `call/mod.rs` is `call`, `lib.rs` the root.
fn module_path(below: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = below.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&"mod" | &"lib")) {
        parts.pop();
    }
    parts
}

/// The name at the crate's root that a path written in the module `place` leads to; `None` for other crates and for
/// paths that stay inside the module.
fn top_module<'p>(segments: &'p [String], place: &[&str]) -> Option<&'p str> {
    let first = segments.first()?;
    if first == "crate" {
        return segments.get(1).map(String::as_str);
    }
    let start = usize::from(first == "self");
    let climbs = segments[start..].iter().take_while(|segment| *segment == "super").count();
    (climbs > 0 && climbs >= place.len()).then(|| segments.get(start + climbs)).flatten().map(String::as_str)
}

/// What `lib.rs` re-exports: the visible name and the module it comes from, so that `crate::Name` counts as its module.
fn exports(tree: &Tree) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(root) = tree.rust().find(|file| file.path == format!("{CORE}lib.rs")) else { return found };
    for path in Source::new(&root.text).paths() {
        let skip = usize::from(matches!(path.segments[0].as_str(), "crate" | "self"));
        let (Some(module), Some(last)) = (path.segments.get(skip), path.segments.last()) else { continue };
        if row(CORE_MODULES, module).is_some() && path.segments.len() > skip + 1 {
            found.insert(path.alias.clone().unwrap_or_else(|| last.clone()), module.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    fn core(below: &str, text: &str) -> Vec<String> {
        let lib = "//! Docs.\npub mod rt;\npub use supervisor::{Supervisor, spec::Child as ChildSpec};\n";
        findings(modules, &[(&format!("{CORE}{below}"), text), (&format!("{CORE}lib.rs"), lib)])
    }

    #[test]
    fn a_lower_module_that_uses_a_higher_one_is_reported_with_both_names() {
        let found = core(
            "mailbox/queue.rs",
            "//! Docs.\nuse crate::{rt, timer::Wheel};\nuse crate::{\n    gen_server::Cx,\n};\n",
        );
        let expected = "mailbox/queue.rs:4: `crate::gen_server::Cx`: module `mailbox` must not use `gen_server`, which is above it";
        assert_eq!(found, [format!("{CORE}{expected}")]);
    }

    #[test]
    fn several_names_from_one_module_on_one_line_are_one_finding() {
        assert_eq!(
            core("rt/sim.rs", "use crate::registry::{Entries, Keys};\nuse crate::registry::Key;\n").len(),
            2
        );
    }

    #[test]
    fn every_way_to_write_the_path_is_found() {
        assert_eq!(core("rt/sim.rs", "fn f() { crate::supervisor::new() }\n").len(), 1);
        assert_eq!(core("rt/sim.rs", "use super::super::supervisor::Supervisor;\n").len(), 1);
        assert_eq!(core("rt.rs", "use super::supervisor;\n").len(), 1);
        assert_eq!(core("rt/mod.rs", "use super::supervisor::*;\n").len(), 1);
        assert_eq!(core("sys/mod.rs", "use crate::Supervisor;\n").len(), 1);
        assert_eq!(core("sys/mod.rs", "fn f(c: crate::ChildSpec) {}\n").len(), 1);
    }

    #[test]
    fn arrows_that_point_down_or_stay_inside_are_fine() {
        assert_eq!(core("registry/mod.rs", "use crate::{Supervisor, rt::Rt, call::Slot, sys};\n"), [""; 0]);
        assert_eq!(
            core("rt/sim.rs", "use super::mailbox::Own;\nuse crate::timer::Wheel;\nuse self::x::registry;\n"),
            [""; 0]
        );
        assert_eq!(core("process/table.rs", "use crate::signal::Signal;\nuse mailbox::x;\n"), [""; 0]);
        assert_eq!(core("node.rs", "use crate::registry::Registry;\n"), [""; 0]);
        assert_eq!(
            core("rt/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::gen_server::Cx;\n}\n"),
            [""; 0]
        );
    }

    #[test]
    fn the_table_names_only_modules_that_have_a_row() {
        for (from, allowed) in CORE_MODULES {
            for to in *allowed {
                assert!(row(CORE_MODULES, to).is_some(), "{from} may use {to}, which has no row");
            }
        }
    }

    #[test]
    fn the_core_layers_have_the_order_of_the_architecture() {
        let order = ["rt", "gen_server", "supervisor", "registry"];
        for (index, from) in order.iter().enumerate() {
            assert!(
                order[..index].iter().all(|below| reach(from).contains(below)),
                "{from} reaches all below it"
            );
            assert!(
                order[index + 1..].iter().all(|above| !reach(from).contains(above)),
                "{from} reaches none above it"
            );
        }
    }

    #[test]
    fn a_dependency_that_points_up_is_reported_at_its_line() {
        let package = |name, rest| format!("[package]\nname = \"{name}\"\n{rest}");
        let files = [
            ("crates/purlin/Cargo.toml", package("purlin", "[dependencies]\npurlin-core.workspace = true\n")),
            (
                "crates/purlin-core/Cargo.toml",
                package("purlin-core", "[dependencies]\ntokio = \"1\"\npurlin = \"0.1\"\n"),
            ),
            (
                "apps/webhooks/Cargo.toml",
                package(
                    "webhooks",
                    "[dependencies]\npurlin-core = \"0.1\"\n[dev-dependencies]\npurlin-test = \"0.1\"\n",
                ),
            ),
            ("benches/Cargo.toml", package("purlin-benches", "[dependencies]\npurlin-core = \"0.1\"\n")),
            ("stress/Cargo.toml", package("purlin-stress", "[dependencies]\npurlin = \"0.1\"\n")),
            ("benches/instr/Cargo.toml", package("purlin-instr", "[dependencies]\npurlin-core = \"0.1\"\n")),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        assert_eq!(
            findings(crates, &files),
            [
                "apps/webhooks/Cargo.toml:4: `webhooks` must not depend on `purlin-core`; it may use purlin",
                "crates/purlin-core/Cargo.toml:5: `purlin-core` must not depend on `purlin`; it may use none of our crates",
                "stress/Cargo.toml:4: `purlin-stress` must not depend on `purlin`; it may use purlin-core",
            ]
        );
    }
}
