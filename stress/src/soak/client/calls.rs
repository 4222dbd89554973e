//! Calls, casts and messages, and reads.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use purlin_core::*;

use super::Client;
use crate::soak::actor::{Actor, give_way};
use crate::soak::asking::{Expected, Patience};
use crate::soak::deeds::Request;
use crate::soak::deeds::*;
use crate::soak::random::Random;
use crate::soak::ticket::Ticket;

/// Something that a handler may be asked to do and that ends nobody.
pub(super) fn deed(c: &mut Client) -> Deed {
    let r = &mut c.random;
    match r.below(28) {
        0..3 => Deed::Nothing,
        3..6 => Deed::Yield(r.between(1, 3)),
        6 => Deed::Sleep(r.between(1, 2)),
        7 => Deed::Work(r.below(20_000)),
        8..11 => Deed::Notes(r.between(1, 4)),
        11 => Deed::Signal,
        12 => Deed::Continue(r.below(4)),
        13 => Deed::Alarm(r.below(5)),
        14 => Deed::Cancel,
        15 => Deed::Interval(r.between(1, 3), r.between(1, 4)),
        16 => Deed::Idle(r.between(1, 4)),
        17 => Deed::Hibernate,
        18 | 19 => other(c).map_or(Deed::Nothing, Deed::Watch),
        20 => Deed::Unwatch,
        21 => other(c).map_or(Deed::Nothing, Deed::Link),
        22 => Deed::Trap(r.one_in(2)),
        23 | 24 => forward(c),
        26 => Deed::Again,
        25 => Deed::AtEnd(AtEnd::random(r)),
        _ => Deed::Join(r.below(3)),
    }
}

/// What a handler may do that must not wait.
fn quick_deed(c: &mut Client) -> Deed {
    match deed(c) {
        Deed::Yield(_) | Deed::Sleep(_) | Deed::Forward(..) => Deed::Nothing,
        other => other,
    }
}

/// Somebody to watch, or to link with: a server, or a mortal.
pub(super) fn other(c: &mut Client) -> Option<Pid> {
    if c.random.one_in(3) {
        c.cell.clone().mortal(&mut c.random)
    } else {
        c.target().map(|server| server.pid())
    }
}

fn forward(c: &mut Client) -> Deed {
    let others = (0..c.random.between(1, 3)).filter_map(|_| c.target()).collect();
    Deed::Forward(others, c.patience())
}

/// Calls, casts and messages to one server, which keep their order.
pub(super) async fn talk(c: &mut Client) {
    let Some(server) = c.target() else { return };
    for _ in 0..c.random.between(1, 8) {
        match c.random.below(10) {
            0..3 => mutter(c, &server),
            _ => _ = say(c, &server).await,
        }
    }
}

/// Messages to it may be lost, because its mailbox is full.
fn is_bounded(c: &Client, server: &Ref<Actor>) -> bool {
    c.facts.life_of(server.pid()).is_none_or(|life| life.bound.is_some())
}

/// One message that nobody answers.
pub(super) fn mutter(c: &mut Client, server: &Ref<Actor>) {
    c.facts.one(&c.facts.counts.casts);
    let lossy = is_bounded(c, server);
    let what = deed(c);
    let (_, request, place) = c.request(server, what);
    match c.random.below(4) {
        0 => server.cast(Mark(place)),
        1 => server.cast(Tell(request)),
        2 => server.send(Word(request)),
        _ => process::send(server.pid(), Word(request)),
    }
    if !lossy {
        c.sure(server, place);
    }
}

/// One call, of whatever kind.
pub(super) async fn say(c: &mut Client, server: &Ref<Actor>) -> bool {
    let patience = c.patience();
    let mut expected = Expected::of(&c.facts, server.pid());
    let kind = c.random.below(6);
    let what = if kind == 0 { quick_deed(c) } else { deed(c) };
    let (ticket, request, place) = c.request(server, what);
    let answered = match kind {
        0 => c.call(&ticket, expected, patience, server.call(Quick(request))).await,
        1 => c.call(&ticket, expected, patience, server.call(Peek(request))).await,
        2 => {
            let way = way(c, server);
            expected.unanswered |= way == Way::Never;
            c.call(&ticket, expected, patience, server.call(Later(request, way))).await
        },
        3 => c.call(&ticket, expected, patience, server.call(Try(request, false))).await,
        _ => c.call(&ticket, expected, patience, server.call(Ask(request))).await,
    };
    if answered {
        c.sure(server, place);
    }
    answered
}

fn way(c: &mut Client, server: &Ref<Actor>) -> Way {
    match c.random.below(5) {
        0 => Way::Before,
        1 => Way::Never,
        // A timer's message to itself may find a bounded mailbox full.
        2 if !is_bounded(c, server) => Way::Own(c.random.below(3)),
        _ => Way::Elsewhere(c.random.below(4)),
    }
}

/// Calls whoever has a name, as long as somebody has it.
pub(super) async fn by_name(c: &mut Client) {
    let cell = c.cell.clone();
    let named: Vec<_> = cell.slots.iter().filter_map(|slot| cell.name_of(slot)).collect();
    let name = c.random.pick(&named).clone();
    for _ in 0..c.random.between(1, 4) {
        let patience = c.patience();
        let what = deed(c);
        let ticket = Ticket::new(&c.facts);
        let request = Request { ticket: ticket.clone(), place: None, from: Some(c.me), deed: what };
        c.call(&ticket, Expected::default(), patience, name.call(Ask(request))).await;
    }
}

/// Begins calls, and drops them at some point.
pub(super) async fn abandon(c: &mut Client) {
    let Some(server) = c.target() else { return };
    for _ in 0..c.random.between(1, 4) {
        let (patience, how) = (c.patience(), Stay::random(&mut c.random));
        let what = deed(c);
        let (ticket, request, place) = c.request(&server, what);
        let mut expected = Expected::of(&c.facts, server.pid());
        // A process that makes two calls at a time gets the answers in any order; notes are not counted on here.
        let (facts, me) = (c.facts.clone(), c.me);
        let answered = if c.random.one_in(2) {
            let call = server.call(Ask(request));
            stay(crate::soak::asking::ask(&facts, Some(me), &ticket, expected, patience, call), how)
                .await
                .is_some_and(|answer| answer.is_ok())
        } else {
            let way = way(c, &server);
            expected.unanswered |= way == Way::Never;
            let call = server.call(Later(request, way));
            stay(crate::soak::asking::ask(&facts, Some(me), &ticket, expected, patience, call), how)
                .await
                .is_some_and(|answer| answer.is_ok())
        };
        if answered {
            c.sure(&server, place);
        }
        if c.random.one_in(2) {
            mutter(c, &server);
        }
    }
    give_way(c.random.below(3)).await;
}

/// Two calls at a time, to one server or to two.
pub(super) async fn two_at_once(c: &mut Client) {
    let (Some(one), Some(two)) = (c.target(), c.target()) else { return };
    let (facts, me) = (c.facts.clone(), c.me);
    let (patience_one, patience_two) = (c.patience(), c.patience());
    let (what_one, what_two) = (deed(c), deed(c));
    let (ticket_one, request_one, place_one) = c.request(&one, what_one);
    let (ticket_two, request_two, place_two) = c.request(&two, what_two);
    // Which of two calls that are made at a time gets there first is open.
    let (mut request_one, mut request_two) = (request_one, request_two);
    if one == two {
        (request_one.place, request_two.place) = (None, None);
    }
    let (expected_one, expected_two) = (Expected::of(&facts, one.pid()), Expected::of(&facts, two.pid()));
    let ask = crate::soak::asking::ask;
    // Who waits for two things is no certain part of a ring, so neither call is noted as one.
    let call_one = ask(&facts, None, &ticket_one, expected_one, patience_one, one.call(Ask(request_one)));
    let call_two = ask(&facts, None, &ticket_two, expected_two, patience_two, two.call(Ask(request_two)));
    c.facts.note("both", Some(me), None, 0);
    let (answer_one, answer_two) = both(call_one, call_two).await;
    if answer_one.is_ok() && one != two {
        c.sure(&one, place_one);
    }
    if answer_two.is_ok() && one != two {
        c.sure(&two, place_two);
    }
}

/// Reads one server many times, with casts in between.
pub(super) async fn read_often(c: &mut Client) {
    let Some(server) = c.target() else { return };
    let expected = Expected::of(&c.facts, server.pid());
    for _ in 0..c.random.between(10, 60) {
        if c.random.one_in(12) {
            mutter(c, &server);
        }
        let (ticket, request, place) = c.request(&server, Deed::Nothing);
        if !c.call(&ticket, expected, Patience::Long, server.call(Peek(request))).await {
            return;
        }
        c.sure(&server, place);
    }
}

/// Makes servers call each other, perhaps in a ring.
pub(super) async fn ring(c: &mut Client) {
    let servers: Vec<Ref<Actor>> = (0..c.random.between(2, 3)).filter_map(|_| c.target()).collect();
    for (index, server) in servers.iter().enumerate() {
        let next = servers[(index + 1) % servers.len()].clone();
        let mut others = vec![next];
        if c.random.one_in(3) {
            others.extend(c.target());
        }
        let deed =
            Deed::Forward(others, if c.random.one_in(2) { Patience::Infinite } else { Patience::Long });
        let (_, request, _) = c.request(server, deed);
        server.cast(Tell(request));
        give_way(c.random.below(2)).await;
    }
}

/// Messages to a server whose mailbox may be full.
pub(super) async fn wait_for_room(c: &mut Client) {
    let Some(server) = c.target() else { return };
    let unlimited = !is_bounded(c, &server);
    for _ in 0..c.random.between(1, 6) {
        let what = deed(c);
        let (_, request, place) = c.request(&server, what);
        match c.random.below(3) {
            0 => match server.try_cast(Tell(request)) {
                Ok(()) if unlimited => c.sure(&server, place),
                Ok(()) => {},
                Err(TryCastError::NoProc(_)) => check_gone(c, &server, "try_cast"),
                Err(_) if unlimited => c.facts.violation("a mailbox without bounds is full"),
                Err(_) => {},
            },
            1 => {
                let waiting = server.cast_wait(Tell(request));
                let how = Stay::random(&mut c.random);
                match stay(waiting, how).await {
                    Some(Ok(())) if unlimited => c.sure(&server, place),
                    Some(Err(TryCastError::NoProc(_))) => check_gone(c, &server, "cast_wait"),
                    Some(Err(_)) => c.facts.violation("who waits for room is told that there is none"),
                    _ => {},
                }
            },
            _ => _ = say(c, &server).await,
        }
    }
}

fn check_gone(c: &Client, server: &Ref<Actor>, what: &str) {
    if !c.facts.is_ending(server.pid()) {
        c.facts.violation(format!("{what}: no process, but {server} lives"));
    }
}

/// How long a client stays with something that it has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stay {
    /// To the end.
    On,
    /// For so many turns, looking at it each time.
    Looking(u64),
    /// For so many turns, after a first look, without another one.
    Away(u64),
}

impl Stay {
    pub(super) fn random(random: &mut Random) -> Stay {
        let turns = random.below(4);
        if random.one_in(2) { Stay::Looking(turns) } else { Stay::Away(turns) }
    }
}

/// Begins something, and stays with it for so long; drops it then.
pub(super) async fn stay<F: Future>(future: F, how: Stay) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = match how {
        Stay::On => return Some(future.await),
        Stay::Looking(turns) | Stay::Away(turns) => turns,
    };
    let mut look = true;
    poll_fn(|cx| {
        if look && let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        look = matches!(how, Stay::Looking(_));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Waits for both.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_is, mut b_is) = (None, None);
    poll_fn(|cx| {
        advance(a.as_mut(), &mut a_is, cx);
        advance(b.as_mut(), &mut b_is, cx);
        match (a_is.take(), b_is.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (a_is, b_is) = (a, b);
                Poll::Pending
            },
        }
    })
    .await
}

fn advance<F: Future>(future: Pin<&mut F>, output: &mut Option<F::Output>, cx: &mut std::task::Context<'_>) {
    if output.is_none()
        && let Poll::Ready(ready) = future.poll(cx)
    {
        *output = Some(ready);
    }
}
