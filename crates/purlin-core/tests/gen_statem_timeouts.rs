//! Proves when the timeouts of a state machine come, and when they do not (M34 to M50).

mod common;

use std::time::Duration;

use common::machine::*;
use common::*;
use purlin_core::*;

/// Does this in the machine, and returns when it is done, with the time at which it was.
async fn did(
    lab: &Ref<Machine<StateLab>>,
    f: impl FnOnce(&mut StateLab, State, &mut LabCx) -> Next<StateLab> + Send + 'static,
) -> Duration {
    let done = asking(move |lab, state, cx, from| {
        let now = cx.node().now();
        f(lab, state, cx).reply(from, now)
    });
    lab.call(done).await.unwrap()
}

/// The next [`Told`], which must have this text and come this long after `since`.
#[track_caller]
fn told<'a>(
    me: &'a mut Me,
    note: &'static str,
    since: Duration,
    after: Duration,
) -> impl Future<Output = State> + 'a {
    let location = std::panic::Location::caller();
    async move {
        let told = next::<Told>(me).await;
        assert_eq!(told.note, note, "awaited at {location}");
        let took = told.at - since;
        assert!(took >= after && took <= after + millis(2), "{note} after {took:?}, awaited at {location}");
        told.state
    }
}

#[test]
fn m34_a_state_timeout_comes_once_with_its_event_in_the_state_that_set_it() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set =
            did(&lab, move |_, _, _| Next::state("b").state_timeout(millis(50), Event::Tell(pid, "state")))
                .await;
        assert_eq!(told(&mut me, "state", set, millis(50)).await, "b");
        let end =
            did(&lab, move |_, _, _| Next::keep().generic_timeout("end", secs(1), Event::Tell(pid, "end")))
                .await;
        told(&mut me, "end", end, secs(1)).await;
        nothing(&mut me);
    });
}

#[test]
fn m34_a_change_of_state_takes_the_state_timeout_off_unless_it_sets_it() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        did(&lab, move |_, _, _| Next::keep().state_timeout(millis(50), Event::Tell(pid, "first"))).await;
        let set =
            did(&lab, move |_, _, _| Next::state("b").state_timeout(millis(70), Event::Tell(pid, "second")))
                .await;
        assert_eq!(told(&mut me, "second", set, millis(70)).await, "b");
        did(&lab, move |_, _, _| Next::keep().state_timeout(millis(50), Event::Tell(pid, "third"))).await;
        let set = did(&lab, move |_, _, _| {
            Next::state("c").generic_timeout("end", secs(1), Event::Tell(pid, "end"))
        })
        .await;
        told(&mut me, "end", set, secs(1)).await;
        nothing(&mut me);
    });
}

#[test]
fn m37_setting_a_state_timeout_again_starts_it_anew_with_the_new_event() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        // Later, then sooner, then later than that: the alarm has to follow each time.
        let mut set = Duration::ZERO;
        for (delay, note) in [(100, "100"), (20, "20"), (60, "60"), (61, "61"), (30, "30")] {
            set = did(&lab, move |_, _, _| Next::keep().state_timeout(millis(delay), Event::Tell(pid, note)))
                .await;
        }
        told(&mut me, "30", set, millis(30)).await;
        let first = did(&lab, move |_, _, _| {
            Next::keep().state_timeout(millis(50), Event::Tell(pid, "first")).generic_timeout(
                "again",
                millis(40),
                act(move |_, _, _| Next::keep().state_timeout(millis(50), Event::Tell(pid, "again"))),
            )
        })
        .await;
        told(&mut me, "again", first, millis(90)).await;
        let end =
            did(&lab, move |_, _, _| Next::keep().generic_timeout("end", secs(1), Event::Tell(pid, "end")))
                .await;
        told(&mut me, "end", end, secs(1)).await;
        nothing(&mut me);
    });
}

#[test]
fn m37_of_several_in_one_answer_the_last_counts() {
    in_simulation(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set = did(&lab, move |_, _, _| {
            Next::keep()
                .state_timeout(millis(10), Event::Tell(pid, "first"))
                .state_timeout(Duration::ZERO, Event::Tell(pid, "zero"))
                .state_timeout(millis(20), Event::Tell(pid, "last"))
        })
        .await;
        told(&mut me, "last", set, millis(20)).await;
        nothing(&mut me);
    });
}

#[test]
fn m37_infinity_and_cancel_take_it_off() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        for way in 0..3 {
            did(&lab, move |_, _, _| Next::keep().state_timeout(millis(10), Event::Tell(pid, "state"))).await;
            did(&lab, move |_, _, _| {
                Next::keep().generic_timeout("g", millis(10), Event::Tell(pid, "generic"))
            })
            .await;
            let set = did(&lab, move |_, _, _| {
                let next = match way {
                    0 => Next::keep().cancel_state_timeout().cancel_generic_timeout("g"),
                    1 => Next::keep().state_timeout(Duration::MAX, Event::Note("never")).generic_timeout(
                        "g",
                        Duration::MAX,
                        Event::Note("never"),
                    ),
                    // One that was never set is no error, nor is a timeout of zero that is taken off again.
                    _ => Next::state("b")
                        .cancel_generic_timeout("g")
                        .cancel_generic_timeout("unknown")
                        .state_timeout(Duration::ZERO, Event::Tell(pid, "zero"))
                        .cancel_state_timeout()
                        .timeout(Duration::ZERO, Event::Tell(pid, "zero"))
                        .cancel_timeout(),
                };
                next.generic_timeout("end", millis(100), Event::Tell(pid, "end"))
            })
            .await;
            told(&mut me, "end", set, millis(100)).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn m37_update_changes_the_event_and_not_the_time_and_comes_at_once_if_there_is_none() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set = did(&lab, move |_, _, _| {
            Next::keep().state_timeout(millis(10), Event::Tell(pid, "old")).generic_timeout(
                "g",
                millis(20),
                Event::Tell(pid, "old"),
            )
        })
        .await;
        did(&lab, move |_, _, _| {
            Next::keep()
                .update_state_timeout(Event::Tell(pid, "state"))
                .update_generic_timeout("g", Event::Tell(pid, "generic"))
        })
        .await;
        told(&mut me, "state", set, millis(10)).await;
        told(&mut me, "generic", set, millis(20)).await;
        let set = did(&lab, move |_, _, _| {
            Next::keep()
                .update_state_timeout(Event::Tell(pid, "state"))
                .update_generic_timeout("g", Event::Tell(pid, "generic"))
        })
        .await;
        told(&mut me, "state", set, Duration::ZERO).await;
        told(&mut me, "generic", set, Duration::ZERO).await;
        let set = did(&lab, move |_, _, _| Next::keep().update_timeout(Event::Tell(pid, "event"))).await;
        told(&mut me, "event", set, Duration::ZERO).await;
        nothing(&mut me);
    });
}

#[test]
fn m39_staying_in_the_state_leaves_the_state_timeout_on() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set =
            did(&lab, move |_, _, _| Next::keep().state_timeout(millis(50), Event::Tell(pid, "state"))).await;
        did(&lab, |_, _, _| Next::keep()).await;
        did(&lab, |_, _, _| Next::state("a")).await;
        did(&lab, |_, _, _| Next::repeat()).await;
        lab.cast(Event::In("b", "postponed"));
        lab.call(Event::Get).await.unwrap();
        told(&mut me, "state", set, millis(50)).await;
    });
}

#[test]
fn an_event_timeout_comes_if_no_event_does_and_every_event_takes_it_off() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set = did(&lab, move |_, _, _| Next::keep().timeout(millis(20), Event::Tell(pid, "event"))).await;
        told(&mut me, "event", set, millis(20)).await;
        for way in 0..4 {
            let set = did(&lab, move |_, _, _| {
                let next = Next::keep().timeout(millis(20), Event::Tell(pid, "event"));
                let next = next.generic_timeout("end", millis(100), Event::Tell(pid, "end"));
                match way {
                    0 => next,
                    1 => next.next_event(Event::Note("inserted")),
                    2 => next.state_timeout(millis(10), Event::Note("another timeout")),
                    _ => next
                        .timeout(Duration::ZERO, Event::Tell(pid, "event"))
                        .next_event(Event::Note("inserted")),
                }
            })
            .await;
            if way == 0 {
                lab.call(Event::Get).await.unwrap();
            }
            told(&mut me, "end", set, millis(100)).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn m42_generic_timeouts_of_any_number_survive_changes_of_state() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set = did(&lab, move |_, _, _| {
            (0..20).fold(Next::keep(), |next, n| {
                next.generic_timeout(
                    format!("number {n}"),
                    millis(10 + n),
                    act(move |_, _, _| {
                        process::send(pid, n);
                        Next::keep()
                    }),
                )
            })
        })
        .await;
        did(&lab, |_, _, _| Next::state("b")).await;
        did(&lab, |_, _, _| Next::state("c")).await;
        for n in 0..20u64 {
            assert_eq!(next::<u64>(&mut me).await, n);
        }
        assert!(Node::current().now() >= set + millis(29));
    });
}

#[test]
fn m43_setting_a_generic_timeout_of_the_same_name_replaces_it() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        for (first, second) in [(10, 50), (50, 10), (10, 10)] {
            did(&lab, move |_, _, _| {
                Next::keep().generic_timeout("g", millis(first), Event::Tell(pid, "old"))
            })
            .await;
            let set =
                did(&lab, move |_, _, _| {
                    Next::keep()
                        .generic_timeout("g", millis(second), Event::Tell(pid, "new"))
                        .generic_timeout("end", millis(100), Event::Tell(pid, "end"))
                })
                .await;
            told(&mut me, "new", set, millis(second)).await;
            told(&mut me, "end", set, millis(100)).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn m46_a_timeout_may_be_set_for_a_time_of_the_clock_and_a_past_one_comes_at_once() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        // Some time has to have passed before there is a past.
        let set =
            did(&lab, move |_, _, _| Next::keep().timeout(millis(100), Event::Tell(pid, "first"))).await;
        told(&mut me, "first", set, millis(100)).await;
        let set = did(&lab, move |_, _, cx| {
            let now = cx.node().now();
            Next::keep()
                .state_timeout_at(now + millis(30), Event::Tell(pid, "state"))
                .generic_timeout_at("g", now + millis(40), Event::Tell(pid, "generic"))
                .generic_timeout_at("past", now - millis(40), Event::Tell(pid, "past"))
        })
        .await;
        told(&mut me, "past", set, Duration::ZERO).await;
        told(&mut me, "state", set, millis(30)).await;
        told(&mut me, "generic", set, millis(40)).await;
        let set = did(&lab, move |_, _, cx| {
            Next::keep().timeout_at(cx.node().now() + millis(5), Event::Tell(pid, "event"))
        })
        .await;
        told(&mut me, "event", set, millis(5)).await;
    });
}

#[test]
fn m47_timeouts_are_handled_one_at_a_time_like_other_events() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let log = Log::default();
        let lab = machine(&log).await;
        // Zero: behind what is queued, in the order in which they were set, and before the mailbox.
        did(&lab, move |_, _, cx| {
            cx.this().cast(Event::Note("mail"));
            Next::keep()
                .generic_timeout("g", Duration::ZERO, Event::Note("generic"))
                .state_timeout(Duration::ZERO, Event::Note("state"))
                .next_event(Event::Note("queued"))
        })
        .await;
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["a:queued", "a:generic", "a:state", "a:mail"]);
        // One that is due while an event is handled comes after it, and after what was in the mailbox.
        let set = did(&lab, move |_, _, _| {
            Next::keep().generic_timeout("g", millis(10), Event::Tell(pid, "due")).generic_timeout(
                "h",
                millis(10),
                Event::Tell(pid, "due"),
            )
        })
        .await;
        told(&mut me, "due", set, millis(10)).await;
        told(&mut me, "due", set, millis(10)).await;
    });
}

#[test]
fn m47_a_zero_timeout_of_a_state_is_gone_with_the_state() {
    everywhere(|_| async move {
        let log = Log::default();
        let lab = machine(&log).await;
        lab.cast(act(|_, _, _| {
            Next::keep()
                .state_timeout(Duration::ZERO, Event::Note("never"))
                .generic_timeout("g", Duration::ZERO, Event::Note("generic"))
                .next_event(Event::Go("b"))
        }));
        lab.call(Event::Get).await.unwrap();
        assert_eq!(log.all(), ["b:generic"]);
    });
}

#[test]
fn m48_timeouts_go_on_while_the_machine_hibernates() {
    in_simulation_on_every_path(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        let set = did(&lab, move |_, _, _| {
            Next::state("b")
                .state_timeout(millis(10), Event::Tell(pid, "state"))
                .generic_timeout("g", millis(20), Event::Tell(pid, "generic"))
                .hibernate()
        })
        .await;
        assert_eq!(told(&mut me, "state", set, millis(10)).await, "b");
        told(&mut me, "generic", set, millis(20)).await;
        assert_eq!(lab.call(Event::Get).await.unwrap(), "b");
    });
}

#[test]
fn a_timeout_comes_although_the_mailbox_is_bounded_and_full() {
    in_simulation(|mut me| async move {
        let pid = me.pid();
        let bound = MailboxBound::new(1, Overflow::DropNewest);
        let lab = StateLab::start(Plan::default()).mailbox(bound).await.unwrap();
        did(&lab, move |_, _, _| Next::keep().state_timeout(millis(10), Event::Tell(pid, "state"))).await;
        let other = machine(&Log::default()).await;
        sys::suspend(lab.pid()).await.unwrap();
        lab.cast(Event::Note("full"));
        let set =
            did(&other, move |_, _, _| Next::keep().timeout(millis(50), Event::Tell(pid, "other"))).await;
        told(&mut me, "other", set, millis(50)).await;
        sys::resume(lab.pid()).await.unwrap();
        assert_eq!(next::<Told>(&mut me).await.note, "state");
    });
}

#[test]
fn timeouts_work_on_real_runtimes() {
    on_real_runtimes(|mut me| async move {
        let pid = me.pid();
        let lab = machine(&Log::default()).await;
        for _ in 0..20 {
            did(&lab, move |_, _, _| Next::keep().state_timeout(millis(2), Event::Tell(pid, "state"))).await;
        }
        let told = next::<Told>(&mut me).await;
        assert_eq!(told.note, "state");
        nothing(&mut me);
    });
}
