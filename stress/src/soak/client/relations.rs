//! Monitors and links.

use purlin_core::process::NoProcess;
use purlin_core::*;

use super::Client;
use super::calls::other;
use crate::soak::actor::give_way;
use crate::soak::facts::Facts;
use crate::soak::journal::Short;
use crate::soak::watching::Watched;

/// Watches somebody, by pid.
pub(super) async fn watch(c: &mut Client) {
    for _ in 0..c.random.between(1, 3) {
        let Some(pid) = other(c).filter(|pid| *pid != c.me) else { continue };
        c.facts.note("watches", Some(c.me), Some(pid), 0);
        let monitor = c.mailbox.monitor(pid);
        c.watching.insert(monitor, Watched::new(&c.facts, pid));
        if c.random.one_in(3) {
            give_way(1).await;
        }
    }
}

/// Takes a monitor off, or waits for its `Down`.
pub(super) async fn unwatch(c: &mut Client) {
    let all: Vec<MonitorRef> = c.watching.keys().copied().collect();
    if !all.is_empty() {
        let monitor = *c.random.pick(&all);
        unwatch_one(c, monitor).await;
    }
}

pub(super) async fn unwatch_one(c: &mut Client, monitor: MonitorRef) {
    let Some(watched) = c.watching.get(&monitor) else { return };
    let pid = watched.pid;
    if c.facts.end_of(pid).is_some() && c.random.one_in(2) {
        // Its end is decided, so the `Down` comes.
        if !c.listen(|c| !c.watching.contains_key(&monitor)).await {
            c.owed(&format!("the Down of {}", Short(Some(pid))));
        }
        return;
    }
    c.facts.note("unwatches", Some(c.me), Some(pid), 0);
    // Whatever it answers, there will be no `Down`: it was taken off, or, if that had come, out of the mailbox.
    c.mailbox.demonitor(monitor);
    c.watching.remove(&monitor);
}

/// Links with somebody who may end. Only who traps exits lives to tell.
pub(super) async fn link(c: &mut Client) {
    let Some(pid) = other(c).filter(|pid| *pid != c.me) else { return };
    c.facts.linked(pid);
    c.facts.linked(c.me);
    // Exits that have become messages are no links any more. A link that is there still is the same one.
    c.drain();
    let known = c.links.contains_key(&pid);
    c.facts.note("links", Some(c.me), Some(pid), u64::from(known));
    let outcome = process::link(pid);
    let late = c.facts.is_ending(pid);
    match outcome {
        Ok(()) if !known => _ = c.links.insert(pid, late),
        Ok(()) => {},
        Err(NoProcess) if c.mortal && late => {},
        Err(NoProcess) => c.facts.violation(format!("{} cannot be linked with", Short(Some(pid)))),
    }
}

/// Takes a link off.
pub(super) async fn unlink(c: &mut Client) {
    let all: Vec<Pid> = c.links.keys().copied().collect();
    if !all.is_empty() {
        let pid = *c.random.pick(&all);
        // A mortal's servers must not outlive it.
        if !(c.mortal && c.mine.iter().any(|server| server.pid() == pid)) {
            unlink_one(c, pid);
        }
    }
}

pub(super) fn unlink_one(c: &mut Client, pid: Pid) {
    c.facts.note("unlinks", Some(c.me), Some(pid), 0);
    process::unlink(pid);
    // Its exit may be a message already; after that there is none.
    c.drain();
    c.links.remove(&pid);
}

/// Two linked processes that trap nothing: they end together, for the same reason.
pub(super) async fn pair(c: &mut Client) {
    let length = c.random.between(1, 3);
    let crash = c.random.one_in(2);
    let (facts, random) = (c.facts.clone(), c.random.next());
    let (first, monitor) = c.mailbox.spawn_monitor(chain(facts, length, crash, random));
    c.watching.insert(monitor, Watched::from_birth(first.pid()));
    c.facts.linked(first.pid());
    give_way(c.random.below(6)).await;
    if !crash {
        process::exit(
            first.pid(),
            if random % 3 == 0 { c.facts.cause(first.pid(), false) } else { ExitReason::Kill },
        );
    }
    if !c.listen(|c| !c.watching.contains_key(&monitor)).await {
        c.owed("the end of a linked pair");
    }
}

/// A process that is linked with one of its kind, and so on; the last one crashes if it is to.
fn chain(
    facts: std::sync::Arc<Facts>,
    length: u64,
    crash: bool,
    turns: u64,
) -> impl FnOnce(Mailbox<()>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static {
    move |mut mailbox: Mailbox<()>| {
        Box::pin(async move {
            facts.linked(mailbox.pid());
            if length > 0 {
                process::spawn_link(chain(facts.clone(), length - 1, crash, turns));
            } else if crash {
                give_way(turns % 4).await;
                panic!("{}", facts.crash(mailbox.pid()));
            }
            mailbox.receive().await;
        })
    }
}
