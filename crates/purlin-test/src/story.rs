//! What happened in a run, for people: the events of its world, a line each.

use std::collections::HashMap;
use std::fmt::Write as _;

use purlin_core::Pid;
use purlin_core::sim::{Event, What};

/// More than this many lines are not read: the middle is left out.
const MOST: usize = 60;

/// The lines of a run; `test` is the process that runs the test's body.
pub(crate) fn tell(events: &[Event], test: Option<Pid>) -> Vec<String> {
    let mut kinds: HashMap<Pid, &str> = HashMap::new();
    for event in events.iter().filter(|event| event.what == What::Starts) {
        kinds.insert(event.who, &event.text);
    }
    // Numbered in the order in which they appear.
    let mut nodes: Vec<u32> = Vec::new();
    for event in events {
        if !nodes.contains(&event.who.node_index()) {
            nodes.push(event.who.node_index());
        }
    }
    let name = |pid: Pid| {
        if Some(pid) == test {
            return "the test".to_owned();
        }
        if pid.id() == 0 && pid.serial() == 0 && !kinds.contains_key(&pid) {
            return "code outside of processes".to_owned();
        }
        let mut name = format!("P{}", pid.id());
        if pid.serial() > 1 {
            let _ = write!(name, ".{}", pid.serial());
        }
        match nodes.iter().position(|node| *node == pid.node_index()) {
            Some(0) => {},
            Some(at) => drop(write!(name, " of node {}", at + 1)),
            None => name.push_str(" of another node"),
        }
        match kinds.get(&pid) {
            Some(kind) if *kind != "process" => format!("{name} ({kind})"),
            _ => name,
        }
    };
    let mut lines = Vec::new();
    let mut time = None;
    for event in events {
        let who = name(event.who);
        let other = event.other.map_or_else(|| "code outside of processes".to_owned(), &name);
        let text = &event.text;
        let line = match event.what {
            What::Starts if Some(event.who) == test => continue,
            What::Starts => format!("{other} starts {who}"),
            What::Handles => format!("{who} receives {text}"),
            What::Calls => format!("{other} calls {who}: {text}"),
            What::Asks => format!("{other} calls {who} by a message: {text}"),
            What::Arrives => format!("{text} from {other} arrives at {who}"),
            What::GivesWay => format!("{who} lets others go first"),
            What::Killed => format!("{who} is killed"),
            What::Panics => format!("{who} is made to panic"),
            What::Delayed => format!("{text} from {other} to {who} is held back"),
            What::ClockJumps => format!("the clock jumps by {text}"),
            // A panic's message may go on; the rest of it is in the logs.
            What::Ends => format!("{who} ends: {}", text.lines().next().unwrap_or_default()),
        };
        if time.replace(event.at) != Some(event.at) && !event.at.is_zero() {
            lines.push(format!("-- at {:?}", event.at));
        }
        lines.push(line);
    }
    lines
}

/// At most [`MOST`] of these lines: the first few, and the last ones.
pub(crate) fn shortened(lines: &[String]) -> String {
    let mut text = String::new();
    let hidden = lines.len().saturating_sub(MOST);
    for (index, line) in lines.iter().enumerate() {
        if hidden > 0 && index == MOST / 4 {
            let _ = writeln!(text, "    ... {hidden} lines ...");
        }
        if hidden == 0 || index < MOST / 4 || index >= MOST / 4 + hidden {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn event(at: u64, what: What, who: u32, other: Option<u32>, text: &str) -> Event {
        let pid = |id| Pid::from_parts(4, id, 0);
        Event {
            at: Duration::from_millis(at),
            what,
            who: pid(who),
            other: other.map(pid),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_story_names_everybody_and_the_time() {
        let events = [
            event(0, What::Starts, 1, None, "process"),
            event(0, What::Starts, 2, Some(1), "Counter"),
            event(0, What::Calls, 2, Some(1), "Add"),
            event(5, What::Killed, 2, None, ""),
            event(5, What::Ends, 2, None, "killed"),
        ];
        let story = tell(&events, Some(Pid::from_parts(4, 1, 0)));
        assert_eq!(
            story,
            [
                "the test starts P2 (Counter)",
                "the test calls P2 (Counter): Add",
                "-- at 5ms",
                "P2 (Counter) is killed",
                "P2 (Counter) ends: killed"
            ]
        );
    }

    #[test]
    fn nodes_are_numbered_and_an_end_takes_one_line() {
        let on = |node, text: &str| Event {
            who: Pid::from_parts(node, 3, 0),
            ..event(0, What::Ends, 3, None, text)
        };
        let story =
            tell(&[on(4, "normal"), on(9, "panicked: assertion failed\n  left: 1"), on(6, "normal")], None);
        assert_eq!(
            story,
            ["P3 ends: normal", "P3 of node 2 ends: panicked: assertion failed", "P3 of node 3 ends: normal"]
        );
    }

    #[test]
    fn a_long_story_is_told_without_its_middle() {
        let lines: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let text = shortened(&lines);
        assert_eq!(text.lines().count(), MOST + 1);
        assert!(text.contains("... 940 lines ...") && text.ends_with(" 999\n"));
        assert_eq!(shortened(&lines[..MOST]).lines().count(), MOST);
    }
}
