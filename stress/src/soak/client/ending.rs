//! Ends of others: kills, exit signals, crashes, stops.

use purlin_core::*;

use super::Client;
use super::calls::{Stay, stay};
use crate::soak::actor::Actor;
use crate::soak::asking::Expected;
use crate::soak::deeds::*;
use crate::soak::journal::Short;
use crate::soak::world::TREES;

/// Sends an exit signal to a server or a mortal.
pub(super) async fn kill(c: &mut Client) {
    let Some(pid) = super::calls::other(c) else { return };
    if pid == c.me {
        return;
    }
    let reason = match c.random.below(6) {
        0..3 => ExitReason::Kill,
        3 => ExitReason::Shutdown,
        4 => ExitReason::Normal,
        _ => c.facts.cause(pid, false),
    };
    c.facts.note("kills", Some(c.me), Some(pid), 0);
    c.facts.one(&c.facts.counts.kills);
    let certain = reason == ExitReason::Kill;
    process::exit(pid, reason);
    if certain && process::is_alive(pid) {
        c.facts.violation(format!("{} was killed and is alive", Short(Some(pid))));
    }
    if !c.random.one_in(4) {
        return;
    }
    let waited = if certain {
        Some(process::wait(pid).await)
    } else {
        // It may well go on.
        let how = Stay::random(&mut c.random);
        stay(process::wait(pid), how).await
    };
    if let Some(reason) = waited {
        check_waited(c, pid, &reason);
    }
}

/// What `wait` said of a process. One that is ending already is no process to it.
fn check_waited(c: &Client, pid: Pid, reason: &ExitReason) {
    if *reason == ExitReason::NoProc {
        if !c.facts.is_ending(pid) {
            c.facts.violation(format!("waiting for {}, which lives: no process", Short(Some(pid))));
        }
        return;
    }
    c.facts.check_reason(pid, reason, "waiting for the end");
    c.facts.check_gone(pid, "waiting for the end");
}

/// The kind of call below whose answer is given by hand.
const DEFERRED: u64 = 5;

/// Makes a server crash, or stop itself.
pub(super) async fn crash(c: &mut Client) {
    let Some(server) = c.target() else { return };
    let pid = server.pid();
    let what = match c.random.below(6) {
        0 => Deed::Stop(ExitReason::Normal),
        1 => Deed::Stop(ExitReason::Shutdown),
        2 => Deed::Stop(c.facts.cause(pid, false)),
        _ => Deed::Panic { later: c.random.one_in(3) },
    };
    let ends_by_panic = matches!(what, Deed::Panic { .. });
    let now = matches!(what, Deed::Panic { later: false });
    let (patience, expected) = (c.patience(), Expected::of(&c.facts, pid));
    let (ticket, request, place) = c.request(&server, what);
    let kind = c.random.below(7);
    let answered = match kind {
        0 => return server.cast(Tell(request)),
        1 => return server.send(Word(request)),
        2 if now => c.call(&ticket, expected, patience, server.call(Peek(request))).await,
        3 if now => c.call(&ticket, expected, patience, server.call(Quick(request))).await,
        4 => {
            let fails = c.random.one_in(2);
            let answered = c.call(&ticket, expected, patience, server.call(Try(request, fails))).await;
            if answered && fails {
                c.facts.violation(format!("{server} answered a call whose handler failed"));
            }
            answered
        },
        DEFERRED => c.call(&ticket, expected, patience, server.call(Later(request, Way::Before))).await,
        _ => c.call(&ticket, expected, patience, server.call(Ask(request))).await,
    };
    if answered {
        c.sure(&server, place);
        if ends_by_panic {
            c.facts.violation(format!("{server} answered a call whose handler panicked"));
        }
        // A stop with a reply: the answer comes when the process has ended. One that is given by hand does not wait.
        if kind != DEFERRED {
            c.facts.check_gone(pid, "an answer with a stop");
        }
    }
}

/// Stops a server in an orderly way.
pub(super) async fn stop(c: &mut Client) {
    if let Some(server) = c.target() {
        stop_one(c, &server).await;
    }
}

/// Stops this server.
pub(super) async fn stop_one(c: &mut Client, server: &Ref<Actor>) {
    let pid = server.pid();
    c.facts.note("stops", Some(c.me), Some(pid), 0);
    let reason = if c.random.one_in(3) { c.facts.cause(pid, false) } else { ExitReason::Normal };
    let begun = Node::current().now();
    let (limit, outcome) = if c.mine_is(pid) || c.random.one_in(2) {
        (
            None,
            if reason.is_normal() { server.stop().await } else { stop_in(server, &reason, secs(60)).await },
        )
    } else {
        let limit = millis(c.random.below(4));
        (Some(limit), stop_in(server, &reason, limit).await)
    };
    c.drain();
    let took = Node::current().now() - begun;
    match outcome {
        Ok(()) => {
            c.facts.check_reason(pid, &reason, "a stop");
            c.facts.check_gone(pid, "a stop");
        },
        Err(StopError::NoProc) if c.facts.is_ending(pid) => {},
        Err(StopError::Timeout) if limit.is_some_and(|limit| took >= limit) => {},
        Err(StopError::Timeout) if limit.is_none() => c.facts.doubt(|| format!("{server} does not stop")),
        Err(StopError::Exit(actual)) => {
            c.facts.check_reason(pid, &actual, "a stop");
            c.facts.check_gone(pid, "a stop");
        },
        Err(error) => c.facts.violation(format!("a stop of {server} after {took:?}: {error}")),
    }
}

async fn stop_in(
    server: &Ref<Actor>,
    reason: &ExitReason,
    limit: std::time::Duration,
) -> Result<(), StopError> {
    server.stop_with(reason.clone(), limit).await
}

impl Client {
    /// Is it one that this client has to stop?
    fn mine_is(&self, pid: Pid) -> bool {
        self.mine.iter().any(|server| server.pid() == pid)
    }
}

/// Kills a supervisor that may be killed, or the registry of groups.
pub(super) async fn end_supervisor(c: &mut Client) {
    if !c.random.one_in(2) {
        return;
    }
    let mortal: Vec<_> = TREES.iter().filter(|tree| tree.mortal).collect();
    let pid = match c.random.below(4) {
        0 => c.cell.groups.server().ok().map(|server| server.pid()),
        1 => c.cell.pool(true).whereis().map(|supervisor| supervisor.pid()),
        _ => c.cell.supervisor(c.random.pick(&mortal).name).whereis().map(|supervisor| supervisor.pid()),
    };
    let Some(pid) = pid else { return };
    c.facts.note("kills", Some(c.me), Some(pid), 0);
    c.facts.one(&c.facts.counts.kills);
    process::exit(pid, ExitReason::Kill);
    if process::is_alive(pid) {
        c.facts.violation(format!("{} was killed and is alive", Short(Some(pid))));
    }
}

/// What a request to a supervisor comes to when that is not there, or ends meanwhile: a call that fails like any other.
pub(super) fn check_supervisor_call(c: &Client, error: &CallError, may_end: bool) {
    let right = match error.kind() {
        CallErrorKind::NoProc => may_end,
        CallErrorKind::Exit(reason) => {
            if let Some(pid) = error.pid() {
                c.facts.check_reason(pid, reason, "a failed request to a supervisor");
            }
            may_end
        },
        _ => false,
    };
    if !right {
        c.facts.doubt(|| format!("a request to a supervisor: {error}"));
    }
}
