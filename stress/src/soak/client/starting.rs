//! Starts: servers, processes, children.

use purlin_core::supervisor::{ChildStatus, Supervised, TerminateChildError};
use purlin_core::*;

use super::Client;
use super::calls::{Stay, stay};
use crate::soak::actor::{Actor, give_way};
use crate::soak::deeds::Mood;
use crate::soak::journal::Short;
use crate::soak::random::Random;
use crate::soak::watching::Watched;

/// How many servers a client keeps at a time.
const MOST: usize = 3;

/// Starts a server without a supervisor; the client stops it one day.
pub(super) async fn server(c: &mut Client) {
    if c.mine.len() >= MOST {
        let server = c.mine.swap_remove(0);
        super::ending::stop_one(c, &server).await;
    }
    let mut plan = c.cell.plan(None);
    let mood = plan.mood;
    let bound = c.random.one_in(6).then(|| {
        let policies = [Overflow::Wait, Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest];
        MailboxBound::new(c.random.between(1, 3) as usize, *c.random.pick(&policies))
    });
    plan.bound = bound.map(|bound| bound.overflow());
    let link = c.random.one_in(2);
    plan.linked = link;
    if link {
        c.facts.linked(c.me);
    }
    let limit = c.random.one_in(4).then(|| millis(c.random.between(1, 3)));
    let mut start = if link { Actor::start_link(plan) } else { Actor::start(plan) };
    if let Some(bound) = bound {
        start = start.mailbox(bound);
    }
    if let Some(limit) = limit {
        start = start.timeout(limit);
    }
    let how = if c.random.one_in(5) { Stay::random(&mut c.random) } else { Stay::On };
    let outcome = if !link && c.random.one_in(3) {
        let outcome = stay(start.monitor(), how).await;
        outcome.map(|outcome| {
            outcome.map(|(server, monitor)| {
                c.watching.insert(monitor, Watched::from_birth(server.pid()));
                server
            })
        })
    } else {
        stay(start.into_future(), how).await
    };
    // A starter that gives up kills what it was starting, and hears no more of it.
    let Some(outcome) = outcome else { return };
    match outcome {
        Ok(server) => started(c, server, mood, link),
        Err(error) => {
            c.facts.one(&c.facts.counts.refusals);
            let right = match &error {
                StartError::Ignore => mood == Mood::Ignore,
                StartError::Failed(ExitReason::Error(_)) => mood == Mood::Refuse,
                StartError::Failed(ExitReason::Panic(_)) => mood == Mood::Panic,
                StartError::Timeout => limit.is_some() && mood != Mood::Panic,
                _ => false,
            };
            if !right {
                c.facts.doubt(|| format!("a start with {mood:?} and {limit:?} failed: {error}"));
            }
        },
    }
}

fn started(c: &mut Client, server: Ref<Actor>, mood: Mood, link: bool) {
    if !mood.runs() {
        c.facts.violation(format!("a start with {mood:?} succeeded"));
    }
    if link {
        c.links.insert(server.pid(), false);
    }
    c.cell.offer(server.clone());
    c.mine.push(server);
}

/// Spawns a client that may be ended by anybody.
pub(super) async fn mortal(c: &mut Client) {
    let (world, traps) = (c.world.clone(), c.random.one_in(2));
    let (seed, limit) = (c.random.next(), c.random.between(1, 16));
    let cell = world.cells.iter().position(|cell| std::sync::Arc::ptr_eq(cell, &c.cell)).unwrap_or(0);
    let body = async move |mailbox: Mailbox<AnyMsg>| {
        let mut client = Client::new(world, cell, Random::new(seed, 1), mailbox, true);
        client.limit = Some(limit);
        client.mailbox.trap_exits(traps);
        client.live().await;
    };
    let pid = match c.random.below(4) {
        0 => process::spawn(body).pid(),
        1 => {
            // It ends at once, perhaps; its reason must come through the link that was there before its first step.
            let pid = process::spawn_link(body).pid();
            c.facts.linked(pid);
            c.links.insert(pid, false);
            pid
        },
        _ => {
            let (mortal, monitor) = c.mailbox.spawn_monitor(body);
            c.watching.insert(monitor, Watched::from_birth(mortal.pid()));
            mortal.pid()
        },
    };
    c.cell.expose(pid);
    if c.random.one_in(6) {
        process::exit(pid, ExitReason::Kill);
    }
    give_way(c.random.below(3)).await;
}

/// Has a dynamic supervisor start a child.
pub(super) async fn child(c: &mut Client) {
    let tight = c.random.one_in(3);
    let cell = c.cell.clone();
    let restart = *c.random.pick(&[Restart::Permanent, Restart::Transient, Restart::Temporary]);
    let child = Actor::child_spec_with(move || {
        let mut plan = cell.plan(None);
        if tight && matches!(plan.mood, Mood::Slow(_)) {
            // Restarts within a second are counted: no start takes longer there.
            plan.mood = Mood::Run;
        }
        plan
    })
    .restart(restart)
    .shutdown(millis(c.random.between(1, 1000)));
    match c.cell.pool(tight).start_child(child).await {
        Ok(server) => c.cell.offer(server),
        Err(supervisor::StartChildError::Call(error)) => {
            super::ending::check_supervisor_call(c, &error, tight);
        },
        Err(supervisor::StartChildError::Refused(_)) if tight => {
            c.facts.violation("a supervisor without a limit of children is full");
        },
        // It is full, or the start failed.
        Err(_) => c.facts.one(&c.facts.counts.refusals),
    }
    c.drain();
}

/// Has a dynamic supervisor stop a child.
pub(super) async fn end_child(c: &mut Client) {
    let Some(pool) = c.cell.pool(false).whereis() else {
        return c.facts.doubt(|| "the pool is not there".to_owned());
    };
    let children = match pool.which_children().await {
        Ok(children) => children,
        Err(error) => return super::ending::check_supervisor_call(c, &error, false),
    };
    let running = children.iter().filter_map(|child| match child.status {
        ChildStatus::Running(pid) => Some(pid),
        _ => None,
    });
    let running: Vec<Pid> = running.collect();
    for pid in &running {
        if c.facts.parent_of(*pid) != Some(pool.pid()) {
            c.facts.violation(format!("{} is listed as a child, but is none", Short(Some(*pid))));
        }
    }
    c.drain();
    if running.is_empty() {
        return;
    }
    let pid = *c.random.pick(&running);
    match pool.terminate_child(pid).await {
        Ok(()) => c.facts.check_gone(pid, "the stop of a child"),
        Err(TerminateChildError::NotAChild(_)) if c.facts.is_ending(pid) => {},
        Err(TerminateChildError::Call(error)) => super::ending::check_supervisor_call(c, &error, false),
        Err(error) => c.facts.violation(format!("{} is a child: {error}", Short(Some(pid)))),
    }
    c.drain();
}
