//! What the kernel itself tells: each spawn, each end, and how often supervisors start their children again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use purlin_core::telemetry::{Event, events};
use purlin_core::{Node, Pid};

use super::facts::{Facts, now};
use super::journal::Short;
use super::world::{TIGHT, TREES, World, open};

const HANDLER: &str = "soak";

/// Watches a node until it is dropped.
pub(super) struct Watch {
    node: Node,
}

impl Watch {
    /// Attaches to the node's telemetry.
    pub(super) fn begin(node: &Node, world: &World) -> Watch {
        let (facts, budgets) = (world.facts.clone(), Budgets::new(world));
        let events = [
            events::PROCESS_SPAWN,
            events::PROCESS_EXIT,
            events::SUPERVISOR_CHILD_RESTART,
            events::SUPERVISOR_CHILD_ERROR,
            events::SUPERVISOR_GIVING_UP,
        ];
        let handler = move |event: &Event<'_>| told(&facts, &budgets, event);
        if let Err(error) = node.telemetry().attach_many(HANDLER, &events, handler) {
            world.facts.violation(error.to_string());
        }
        Watch { node: node.clone() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A handler that panicked is gone; then that is a violation that was noted where it panicked.
        if self.node.telemetry().detach(HANDLER).is_err() {
            eprintln!("soak: the telemetry handler has panicked");
        }
    }
}

fn told(facts: &Facts, budgets: &Budgets, event: &Event<'_>) {
    let data = event.metadata;
    if event.name == events::PROCESS_SPAWN {
        let living = event.measurements.u64("processes").unwrap_or_default();
        facts.counts.at_a_time.fetch_max(living, Ordering::Relaxed);
        if let Some(pid) = data.pid("pid") {
            facts.spawned(pid, data.pid("parent"), data.str("type").unwrap_or_default());
        }
    } else if event.name == events::PROCESS_EXIT {
        if let Some((pid, reason)) = data.pid("pid").zip(data.reason("reason")) {
            facts.ended(pid, reason);
        }
    } else if let Some(supervisor) = data.pid("supervisor") {
        let name = data.str("supervisor_name").unwrap_or_default();
        let started = event.name == events::SUPERVISOR_CHILD_RESTART;
        if started || data.str("context") == Some("start_error") {
            facts.one(&facts.counts.restarts);
            budgets.attempt(facts, supervisor, name);
        } else if event.name == events::SUPERVISOR_GIVING_UP {
            facts.one(&facts.counts.gave_up);
            budgets.gives_up(facts, supervisor, name);
        }
    }
}

/// The restarts of the supervisors that count them: an independent count of attempts, by the second.
///
/// An attempt is seen when it has succeeded or failed, which may be later than it was counted; so a second more or less is allowed for.
struct Budgets {
    /// By the supervisor's name: so many within so many seconds.
    limits: BTreeMap<String, (u64, u64)>,
    attempts: Mutex<BTreeMap<Pid, VecDeque<u64>>>,
}

impl Budgets {
    fn new(world: &World) -> Budgets {
        let mut limits = BTreeMap::new();
        for cell in &world.cells {
            for tree in &TREES {
                if let Some((most, period)) = tree.limit {
                    limits.insert(cell.named(tree.name), (u64::from(most), period));
                }
            }
            limits.insert(cell.named("tight"), (u64::from(TIGHT.0), TIGHT.1));
        }
        Budgets { limits, attempts: Mutex::default() }
    }

    /// A child was started again, or its start has failed.
    fn attempt(&self, facts: &Facts, supervisor: Pid, name: &str) {
        let Some((most, period)) = self.limits.get(name) else { return };
        let second = now().as_secs();
        let mut all = open(&self.attempts);
        let attempts = all.entry(supervisor).or_default();
        attempts.push_back(second);
        attempts.retain(|at| at + period + 3 >= second);
        let counted = attempts.iter().filter(|at| **at + period > second + 1).count() as u64;
        if counted > *most {
            let me = Short(Some(supervisor));
            facts.violation(format!(
                "{name} {me} has restarted {counted} times within {period} s, {most} are allowed"
            ));
        }
    }

    /// The supervisor stops because of too many restarts: were there as many?
    fn gives_up(&self, facts: &Facts, supervisor: Pid, name: &str) {
        facts.note("gives up", Some(supervisor), None, 0);
        let Some((most, period)) = self.limits.get(name) else {
            return facts.violation(format!("{name} may restart without end, and gives up"));
        };
        let second = now().as_secs();
        let attempts = open(&self.attempts).remove(&supervisor).unwrap_or_default();
        let counted = attempts.iter().filter(|at| **at + period + 1 >= second).count() as u64;
        if counted < *most {
            let me = Short(Some(supervisor));
            facts.violation(format!("{name} {me} gives up after {counted} restarts, {most} are allowed"));
        }
    }
}
