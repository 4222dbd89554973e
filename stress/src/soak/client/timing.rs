//! Timers, waits, and servers that are made to wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use purlin_core::sys::SysError;
use purlin_core::*;

use super::Client;
use super::calls::{Stay, mutter, say, stay};
use crate::soak::actor::Actor;
use crate::soak::asking::{Expected, Patience};
use crate::soak::deeds::Request;
use crate::soak::deeds::*;
use crate::soak::life::Alarm;
use crate::soak::ticket::Ticket;

/// Sets timers for itself; each fires once.
pub(super) async fn own_timer(c: &mut Client) {
    for _ in 0..c.random.between(1, 3) {
        let delay = Duration::from_micros(c.random.below(6_000));
        let alarm = Alarm::new(&c.facts, c.me, delay, Duration::ZERO, 1);
        let timer = process::send_after(c.me, delay, Tick(alarm.clone()));
        if process::read_timer(timer).is_some_and(|left| left > delay + millis(1)) {
            c.facts.violation(format!("a timer of {delay:?} has {:?} left", process::read_timer(timer)));
        }
        c.alarms.insert(alarm.token.number(), (timer, alarm));
    }
}

/// Takes a timer off: then it does not fire; or it has fired, and its message comes.
pub(super) async fn cancel(c: &mut Client) {
    let all: Vec<u64> = c.alarms.keys().copied().collect();
    if all.is_empty() {
        return;
    }
    let number = *c.random.pick(&all);
    let Some((timer, alarm)) = c.alarms.get(&number) else { return };
    if process::cancel_timer(*timer).is_some() {
        alarm.cancel();
        if process::cancel_timer(*timer).is_some() {
            c.facts.violation("a timer was taken off twice");
        }
        c.alarms.remove(&number);
        return;
    }
    if !c.listen(|c| !c.alarms.contains_key(&number)).await {
        c.owed("a timer that has fired");
    }
}

/// Sets a timer for a server; it goes with the server.
pub(super) async fn timer_for_another(c: &mut Client) {
    let Some(server) = c.target() else { return };
    let (pid, delay) = (server.pid(), millis(c.random.below(5)));
    if c.random.one_in(2) {
        let alarm = Alarm::new(&c.facts, pid, delay, Duration::ZERO, 1);
        let timer = process::send_after(pid, delay, Tick(alarm.clone()));
        if c.random.one_in(3) && process::cancel_timer(timer).is_some() {
            alarm.cancel();
        }
    } else {
        let deed = if c.random.one_in(6) { Deed::Panic { later: false } } else { Deed::Nothing };
        let request = Request { ticket: Ticket::new(&c.facts), place: None, from: None, deed };
        process::send_after(pid, delay, Word(request));
    }
}

/// Does nothing for a while; now and then long enough that restarts are forgiven.
pub(super) async fn rest(c: &mut Client) {
    let ms = if c.random.one_in(8) { c.random.below(1500) } else { c.random.below(5) };
    process::sleep(millis(ms)).await;
}

/// Suspends a server: what it is sent waits, and is handled in order when it is resumed.
pub(super) async fn suspend(c: &mut Client) {
    let Some(server) = c.target() else { return };
    let Some(life) = c.facts.life_of(server.pid()) else { return };
    if life.held.swap(true, Ordering::SeqCst) {
        return;
    }
    let pid = server.pid();
    match sys::suspend(pid).await {
        Ok(()) => {
            c.facts.one(&c.facts.counts.suspensions);
            c.facts.note("suspended", Some(c.me), Some(pid), 0);
            life.suspended.store(true, Ordering::SeqCst);
            while_suspended(c, &server).await;
            c.facts.note("resumes", Some(c.me), Some(pid), 0);
            life.suspended.store(false, Ordering::SeqCst);
            let resumed = sys::resume(pid).await;
            check_sys(c, &server, resumed, "resume");
        },
        failed => check_sys(c, &server, failed, "suspend"),
    }
    life.held.store(false, Ordering::SeqCst);
    if c.random.one_in(2) {
        say(c, &server).await;
    }
}

async fn while_suspended(c: &mut Client, server: &Ref<Actor>) {
    let pid = server.pid();
    for _ in 0..c.random.below(4) {
        mutter(c, server);
    }
    if c.random.one_in(2) {
        let expected = Expected::of(&c.facts, pid);
        let (ticket, request, _) = c.request(server, Deed::Nothing);
        let patience = Patience::Short(c.random.below(3));
        let answered = match c.random.below(3) {
            0 => c.call(&ticket, expected, patience, server.call(Quick(request))).await,
            1 => c.call(&ticket, expected, patience, server.call(Peek(request))).await,
            _ => c.call(&ticket, expected, patience, server.call(Ask(request))).await,
        };
        if answered {
            c.facts.violation(format!("{server} is suspended and answers"));
        }
    }
    match sys::get_status(pid).await {
        Ok(status) if status.suspended => {},
        Ok(_) => c.facts.violation(format!("{server} is suspended and does not say so")),
        failed => check_sys(c, server, failed.map(|_| ()), "get_status"),
    }
    if c.random.one_in(3) {
        process::sleep(millis(c.random.below(4))).await;
    }
}

fn check_sys(c: &Client, server: &Ref<Actor>, outcome: Result<(), SysError>, what: &str) {
    match outcome {
        Ok(()) => {},
        Err(SysError::NoProc) if c.facts.is_ending(server.pid()) => {},
        Err(error) => c.facts.doubt(|| format!("{what} of {server}: {error}")),
    }
}

/// A server that never comes to an end with a call, until it is killed.
pub(super) async fn hang(c: &mut Client) {
    let mut plan = c.cell.plan(None);
    plan.mood = Mood::Run;
    let Ok(server) = Actor::start(plan).await else {
        return c.facts.doubt(|| "a server does not start".to_owned());
    };
    let expected = Expected::of(&c.facts, server.pid());
    let (ticket, request, _) = c.request(&server, Deed::Hang);
    let patience = Patience::Short(c.random.below(3));
    c.call(&ticket, expected, patience, server.call(Ask(request))).await;
    for _ in 0..c.random.below(3) {
        mutter(c, &server);
    }
    let (ticket, request, _) = c.request(&server, Deed::Nothing);
    let (facts, me) = (c.facts.clone(), c.me);
    let call = crate::soak::asking::ask(
        &facts,
        Some(me),
        &ticket,
        expected,
        Patience::Infinite,
        server.call(Ask(request)),
    );
    if stay(call, Stay::Looking(1)).await.is_some() {
        c.facts.violation("a server that hangs answers, or fails");
    }
    process::exit(server.pid(), ExitReason::Kill);
    let reason = server.wait().await;
    if reason != ExitReason::Killed {
        c.facts.violation(format!("a server that hangs was killed and ended with {reason:?}"));
    }
    c.facts.check_gone(server.pid(), "waiting for the end");
    c.drain();
}
