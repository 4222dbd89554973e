//! One world, from its first process to its last.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use purlin_core::*;

use super::asking::{Expected, Patience, ask};
use super::client;
use super::deeds::{Ask, Deed, Request};
use super::facts::Facts;
use super::random::Random;
use super::settle::{self, Idle};
use super::ticket::Ticket;
use super::watch::Watch;
use super::world::World;

/// How large a world is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) cells: u64,
    /// Clients of each cell, without the mortal ones.
    pub(super) clients: u64,
    /// How much each of them does; `None`: until the node stops.
    pub(super) actions: Option<u64>,
    /// How much all of them do together before the world comes to its end, if that is limited.
    pub(super) together: Option<u64>,
    /// How many disturb it who are no processes.
    pub(super) outsiders: u64,
}

/// How long a stop of a whole tree, or the last things of a client, may take.
const STUCK: Duration = secs(60);

/// Builds a world on the current node, lets it go on until its clients are done, and takes it down; checks everything there is to check.
/// Violations are in `facts`.
pub(super) async fn play(facts: &Arc<Facts>, seed: u64, size: Size) {
    let node = Node::current();
    let idle = Idle::now(&node, facts);
    {
        let world = Arc::new(World::new(facts, seed, size.cells, size.actions));
        let watch = Watch::begin(&node, &world);
        let Some(tops) = build(&world).await else { return };
        let clients = people(&world, size);
        let enough = size.together.map(|together| facts.actions() + together);
        let others: Vec<_> = (1..size.outsiders)
            .map(|index| tokio::spawn(node.scope(disturb(world.clone(), index, enough))))
            .collect();
        disturb(world.clone(), 0, enough).await;
        for other in others {
            if let Err(error) = other.await {
                facts.violation(format!("an outsider: {error}"));
            }
        }
        wait_for(&world, clients).await;
        world.end();
        settle::check_clients(&world).await;
        if facts.violations() == 0 {
            settle::check_trees(&world).await;
        }
        take_down(&world, tops).await;
        facts.forget_calls();
        if facts.violations() == 0 {
            settle::check_nothing_left(&world, idle).await;
        }
        drop(watch);
    }
    facts.forget();
}

/// Builds a world and leaves it to itself; for those that the node's end ends.
pub(super) async fn leave(facts: &Arc<Facts>, seed: u64, size: Size) -> Option<Watch> {
    let world = Arc::new(World::new(facts, seed, size.cells, size.actions));
    let watch = Watch::begin(&Node::current(), &world);
    build(&world).await?;
    people(&world, size);
    Some(watch)
}

async fn build(world: &World) -> Option<Vec<SupervisorRef>> {
    let mut tops = Vec::new();
    for cell in &world.cells {
        match cell.top().start().await {
            Ok(top) => tops.push(top),
            Err(error) => {
                world.facts.violation(format!("{} does not start: {error}", cell.name));
                return None;
            },
        }
        cell.calm(false);
    }
    Some(tops)
}

fn people(world: &Arc<World>, size: Size) -> Vec<Pid> {
    let all = (0..size.clients).flat_map(|index| (0..world.cells.len()).map(move |cell| (cell, index)));
    all.map(|(cell, index)| client::spawn(world, cell, index)).collect()
}

/// What somebody does who is no process: calls, casts, kills. With a number, until clients have done so much.
async fn disturb(world: Arc<World>, index: u64, enough: Option<u64>) {
    let (facts, mut random) = (&world.facts, Random::new(world.seed, 7 + index));
    let mut left = world.actions.unwrap_or(u64::MAX);
    while left > 0 && enough.is_none_or(|enough| facts.actions() < enough) {
        left -= 1;
        let cell = random.pick(&world.cells).clone();
        if let Some(server) = cell.target(&mut random) {
            let ticket = Ticket::new(facts);
            let deed = Deed::Yield(random.below(3));
            let request = Request { ticket: ticket.clone(), place: None, from: None, deed };
            match random.below(8) {
                0 => process::exit(server.pid(), ExitReason::Kill),
                1 => server.cast(super::deeds::Tell(request)),
                _ => {
                    let expected = Expected::of(facts, server.pid());
                    let patience = if random.one_in(3) { Patience::Short(1) } else { Patience::Long };
                    let _ = ask(facts, None, &ticket, expected, patience, server.call(Ask(request))).await;
                },
            }
        }
        process::sleep(millis(1)).await;
    }
    if enough.is_some() {
        world.end();
    }
}

async fn wait_for(world: &World, clients: Vec<Pid>) {
    for pid in clients {
        let wait = process::wait(pid);
        match within(STUCK, wait).await {
            Some(ExitReason::Normal) => {},
            // It had ended already, and how is known.
            Some(ExitReason::NoProc) => match world.facts.end_of(pid) {
                Some(end) if end.reason.is_normal() => {},
                end => world.facts.violation(format!("client {pid} ended: {end:?}")),
            },
            Some(reason) => world.facts.violation(format!("client {pid} ended with {reason:?}")),
            None => {
                let info = process::process_info(pid);
                world.facts.violation(format!("client {pid} does not come to its end: {info:?}"));
            },
        }
    }
}

async fn take_down(world: &World, tops: Vec<SupervisorRef>) {
    for top in tops {
        match within(STUCK, top.stop()).await {
            Some(Ok(())) => {},
            other => world.facts.violation(format!("the top supervisor {top} does not stop: {other:?}")),
        }
    }
}

/// What comes of a future within so much of the node's time.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (mut output, limit) = (None, process::sleep(limit));
    either(async { output = Some(future.await) }, limit).await;
    output
}

/// Waits for one of two.
pub(super) async fn either(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    std::future::poll_fn(|cx| match a.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => b.as_mut().poll(cx),
    })
    .await;
}
