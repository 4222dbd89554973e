//! What a test has left behind: processes, names, timers.
//!
//! Looked at when the body is over, the supervised children are down and the `on_exit` callbacks have run. What was there before the test began
//! does not count. A process that is about to end, because its link to the test told it to, for example, has 2 s of the node's clock to do so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use purlin_core::process::{self, ProcessInfo};
use purlin_core::{Node, Pid};

use crate::waiting::{SETTLE, within};

/// How many of each kind are described.
const DESCRIBED: usize = 20;

/// What a node had before the test began.
pub(crate) struct Before {
    processes: BTreeSet<Pid>,
    names: BTreeSet<Arc<str>>,
    timers: usize,
}

impl Before {
    /// What the node has now.
    pub(crate) fn now(node: &Node) -> Before {
        let _entered = node.enter();
        Before {
            processes: process::processes().into_iter().collect(),
            names: process::registered().into_iter().collect(),
            timers: node.stats().timers,
        }
    }

    /// What has been added since, in words; `None` if there is nothing. Runs on the node. `test` is the test's process, which has ended.
    pub(crate) async fn leaks(&self, node: &Node, test: Option<Pid>) -> Option<String> {
        self.settle(node).await;
        let processes: Vec<_> = self.new_processes().into_iter().filter_map(process::process_info).collect();
        let theirs: BTreeSet<_> = processes.iter().filter_map(|info| info.registered_name.clone()).collect();
        let names: Vec<_> = process::registered()
            .into_iter()
            .filter(|name| !self.names.contains(name) && !theirs.contains(name))
            .collect();
        let timers = node.stats().timers.saturating_sub(self.timers);
        let mut text = String::new();
        if !processes.is_empty() {
            let _ = writeln!(
                text,
                "{} when the test had ended:",
                are(processes.len(), "process", "still running")
            );
            list(&mut text, processes.iter().map(|info| describe(info, test)));
            text.push_str(
                "Start a process with `t.start_supervised(..)`, which stops it for you, or link it with the test \
                 (`start_link`, `spawn_link`), or stop it.\n",
            );
        }
        if !names.is_empty() {
            let _ =
                writeln!(text, "{} when the test had ended:", are(names.len(), "name", "still registered"));
            list(&mut text, names.iter().map(|name| format!("{name:?}, of {}", owner(name))));
        }
        if timers > 0 {
            let _ = writeln!(text, "{} when the test had ended.", are(timers, "timer", "still set"));
            text.push_str(if processes.is_empty() {
                "A timer that sends to a process goes with it; one that sends to a name is to be taken off with `cancel_timer`.\n"
            } else {
                "Timers of the processes above are among them.\n"
            });
        }
        if text.is_empty() {
            return None;
        }
        text.push_str("A test that means to leave something behind says `t.allow_leaks()`.");
        Some(text)
    }

    fn new_processes(&self) -> Vec<Pid> {
        process::processes().into_iter().filter(|pid| !self.processes.contains(pid)).collect()
    }

    /// Lets processes end that are about to.
    async fn settle(&self, node: &Node) {
        let deadline = node.now().saturating_add(SETTLE);
        while let Some(first) = self.new_processes().first() {
            let left = deadline.saturating_sub(node.now());
            if left.is_zero() || within(left, process::wait(*first)).await.is_none() {
                return;
            }
            // One that has ended is in the list for a moment more.
            process::yield_now().await;
        }
    }
}

/// `1 process is`, `2 processes are`.
fn are(count: usize, one: &str, what: &str) -> String {
    match count {
        1 => format!("1 {one} was {what}"),
        n if one.ends_with('s') => format!("{n} {one}es were {what}"),
        n => format!("{n} {one}s were {what}"),
    }
}

/// The first items, each on a line, and how many more there are.
fn list(text: &mut String, items: impl ExactSizeIterator<Item = String>) {
    let more = items.len().saturating_sub(DESCRIBED);
    for item in items.take(DESCRIBED) {
        let _ = writeln!(text, "  {item}");
    }
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// `<0.7.1> Counter, named "visits", started by <0.3.1> (Shop)`.
fn describe(info: &ProcessInfo, test: Option<Pid>) -> String {
    let mut text = format!("{} {}", info.pid, short(info.initial_call));
    if let Some(name) = &info.registered_name {
        let _ = write!(text, ", named {name:?}");
    }
    if let Some(label) = &info.label {
        let _ = write!(text, ", labelled {label:?}");
    }
    let _ = match info.parent {
        None => write!(text, ", started by no process"),
        Some(parent) if Some(parent) == test => write!(text, ", started by the test"),
        Some(parent) => match process::process_info(parent) {
            Some(parent) => write!(text, ", started by {} ({})", parent.pid, short(parent.initial_call)),
            None => write!(text, ", started by {parent}, which has ended"),
        },
    };
    text
}

fn owner(name: &str) -> String {
    process::whereis(name).map_or_else(|| "a process that has ended".to_owned(), |pid| pid.to_string())
}

/// A type's name without the modules in front of it, also inside its parameters.
pub(crate) fn short(type_name: &str) -> String {
    let mut short = String::new();
    let mut path = String::new();
    for c in type_name.chars() {
        if c.is_alphanumeric() || matches!(c, '_' | ':') {
            path.push(c);
        } else {
            short.push_str(path.rsplit("::").next().unwrap_or_default());
            path.clear();
            short.push(c);
        }
    }
    short.push_str(path.rsplit("::").next().unwrap_or_default());
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use purlin_core::Mailbox;

    use super::*;

    #[test]
    fn type_names_lose_their_modules_everywhere() {
        assert_eq!(short("shop::cart::Add"), "Add");
        assert_eq!(short("shop::Cache<alloc::string::String, (u8, a::B)>"), "Cache<String, (u8, B)>");
        assert_eq!(short("&mut [a::B; 3]"), "&mut [B; 3]");
        assert_eq!(short("process"), "process");
    }

    #[test]
    fn numbers_and_words_agree() {
        assert_eq!(are(1, "process", "still running"), "1 process was still running");
        assert_eq!(are(2, "process", "still running"), "2 processes were still running");
        assert_eq!(are(3, "timer", "still set"), "3 timers were still set");
    }

    #[test]
    fn a_name_given_to_a_process_that_was_there_before_is_a_leak_of_its_own() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a test needs a runtime").block_on(async {
            let node = Node::builder().simulated(1).start();
            let leaks = node.scope(async {
                let waits = async |mut mailbox: Mailbox<()>| mailbox.receive().await;
                let old = [process::spawn(waits), process::spawn(waits)];
                process::register("known", old[0].pid()).unwrap();
                process::send_after("known", Duration::from_secs(60), ());
                let before = Before::now(&node);
                assert_eq!(before.leaks(&node, None).await, None);
                process::register("new", old[1].pid()).unwrap();
                before.leaks(&node, None).await
            });
            let expected = "1 name was still registered when the test had ended:\n  \"new\", of <0.2.1>\n\
                A test that means to leave something behind says `t.allow_leaks()`.";
            assert_eq!(leaks.await.as_deref(), Some(expected));
            node.shutdown().await;
        });
    }

    #[test]
    fn a_long_list_is_cut() {
        let mut text = String::new();
        list(&mut text, (0..25).map(|n| n.to_string()));
        assert_eq!(text.lines().count(), 21);
        assert!(text.ends_with("  19\n  and 5 more\n"), "{text}");
    }
}
