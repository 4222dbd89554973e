//! When everybody has come to rest: is everything there that must be, and nothing else?

use std::future::Future;
use std::sync::atomic::Ordering;

use purlin_core::supervisor::ChildStatus;
use purlin_core::*;

use super::actor::Actor;
use super::asking::{Expected, Patience, ask};
use super::client::OWED;
use super::deeds::{Ask, Deed, Mood, Request};
use super::facts::Facts;
use super::ticket::Ticket;
use super::world::{Cell, Slot, TREES, World};

/// Asks until it is so; what is wrong with it, when it does not come to be so in time.
async fn in_time<F: Future<Output = Result<(), String>>>(so: impl Fn() -> F) -> Result<(), String> {
    let until = Node::current().now() + OWED;
    loop {
        match so().await {
            Ok(()) => return Ok(()),
            Err(why) if Node::current().now() > until => return Err(why),
            Err(_) => process::sleep(millis(1)).await,
        }
    }
}

/// Clients that nobody waits for come to their ends too.
pub(super) async fn check_clients(world: &World) {
    let left = || world.facts.clients.load(Ordering::SeqCst);
    let so =
        || async move { if left() == 0 { Ok(()) } else { Err(format!("{} clients do not end", left())) } };
    if let Err(why) = in_time(so).await {
        world.facts.violation(why);
    }
}

/// Nobody ends anybody any more: every child is there that must be, and answers.
pub(super) async fn check_trees(world: &World) {
    for cell in &world.cells {
        cell.calm(true);
        let so = || async {
            cell_is_whole(cell).await?;
            // One that was told to stop before may be at that still; then all is looked at again.
            for slot in &cell.slots {
                if let Some(server) = slot.state().last.filter(|last| last.is_alive()) {
                    answers(&world.facts, &server).await.map_err(|why| format!("{}: {why}", slot.id))?;
                }
            }
            Ok(())
        };
        if let Err(why) = in_time(so).await {
            world.facts.violation(format!("{}: {why}", cell.name));
        }
    }
}

/// Everybody has been stopped: nothing is left.
pub(super) async fn check_nothing_left(world: &World, idle: Idle) {
    let facts = &world.facts;
    let so = || async {
        let node = Node::current();
        let now = Idle::now(&node, facts);
        if now == idle && facts.living().is_empty() {
            return Ok(());
        }
        let living: Vec<_> =
            facts.living().into_iter().map(|pid| (pid, process::process_info(pid))).take(10).collect();
        let names = process::registered();
        Err(format!("{now:?} is left instead of {idle:?}; not ended: {living:?}; names: {names:?}"))
    };
    if let Err(why) = in_time(so).await {
        facts.violation(why);
    }
}

/// What is there between two worlds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Idle {
    processes: usize,
    timers: usize,
    names: usize,
    values: i64,
}

impl Idle {
    /// Nothing at all is left.
    pub(super) fn is_nothing(&self) -> bool {
        (self.processes, self.timers, self.names, self.values) == (0, 0, 0, 0)
    }

    pub(super) fn now(node: &Node, facts: &Facts) -> Idle {
        let stats = node.stats();
        Idle {
            processes: stats.processes,
            timers: stats.timers,
            names: process::registered().len(),
            values: facts.tokens.load(Ordering::SeqCst),
        }
    }
}

async fn cell_is_whole(cell: &Cell) -> Result<(), String> {
    for tree in &TREES {
        let name = tree.name;
        let supervisor = cell.supervisor(name).whereis().ok_or_else(|| format!("{name} is not there"))?;
        let children = supervisor.which_children().await.map_err(|error| error.to_string())?;
        let counts = supervisor.count_children().await.map_err(|error| error.to_string())?;
        let running = children.iter().filter(|child| matches!(child.status, ChildStatus::Running(_))).count();
        if (counts.specs, counts.active) != (children.len(), running) {
            return Err(format!("{name}: {counts:?}, but {children:?}"));
        }
        for slot in cell.slots.iter().filter(|slot| std::ptr::eq(slot.tree, tree)) {
            let child =
                children.iter().find(|child| child.id.as_ref().is_some_and(|id| id.as_str() == slot.id));
            slot_is_right(cell, slot, supervisor.pid(), child.map(|child| child.status))
                .map_err(|why| format!("{}: {why}", slot.id))?;
        }
    }
    for tight in [false, true] {
        let supervisor = cell.pool(tight).whereis().ok_or("a dynamic supervisor is not there")?;
        for child in supervisor.which_children().await.map_err(|error| error.to_string())? {
            match child.status {
                ChildStatus::Running(pid) if process::is_alive(pid) => {},
                other => return Err(format!("a child of a dynamic supervisor is {other}")),
            }
        }
    }
    Ok(())
}

/// Is the child of a slot as it must be, now that nobody is ended?
fn slot_is_right(
    cell: &Cell,
    slot: &Slot,
    supervisor: Pid,
    status: Option<ChildStatus>,
) -> Result<(), String> {
    let state = slot.state();
    let last = state.last.map(|last| last.pid());
    let end = last.and_then(|last| cell.facts.end_of(last));
    match status {
        Some(ChildStatus::Running(pid)) => {
            if last != Some(pid) || !process::is_alive(pid) {
                return Err(format!("it runs as {pid}, but the last start was {last:?}, and ended: {end:?}"));
            }
            if cell.facts.parent_of(pid) != Some(supervisor) {
                return Err(format!("{pid} is not a child of {supervisor}"));
            }
            let found = cell.name_of(slot).map(|name| name.whereis().map(|server| server.pid()));
            if found.is_some_and(|found| found != Some(pid)) {
                return Err(format!("its name finds {found:?} instead of {pid}"));
            }
            Ok(())
        },
        Some(ChildStatus::Restarting) => Err("it is being restarted".to_owned()),
        Some(ChildStatus::Undefined) => {
            let own = end.is_some_and(|end| end.reason.is_clean()) && slot.restart() == Restart::Transient;
            if own || state.mood == Mood::Ignore || slot.tree.administered {
                return Ok(());
            }
            Err(format!("it is not there, after a start with {:?}", state.mood))
        },
        None if slot.restart() == Restart::Temporary || slot.tree.administered => Ok(()),
        None => Err("it is not listed".to_owned()),
    }
}

/// Calls a server that nobody ends any more.
async fn answers(facts: &std::sync::Arc<Facts>, server: &Ref<Actor>) -> Result<(), String> {
    let ticket = Ticket::new(facts);
    let request = Request { ticket: ticket.clone(), place: None, from: None, deed: Deed::Yield(1) };
    let expected = Expected::of(facts, server.pid());
    let answer = ask(facts, None, &ticket, expected, Patience::Long, server.call(Ask(request))).await;
    answer.map(drop).map_err(|error| error.to_string())
}
