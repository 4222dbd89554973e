//! Proves that timers fire once, in order, never early, and stay off when they are off (P81 to P90).

mod common;

use std::time::Duration;

use common::*;
use purlin_core::process::{
    TimerFired, cancel_timer, read_timer, send_after, send_at, send_interval, start_timer, start_timer_at,
};
use purlin_core::*;

#[test]
fn p81_send_after_0_delivers_promptly_but_not_at_once() {
    everywhere(|mut me| async move {
        send_after(me.pid(), Duration::ZERO, 1u8);
        process::send(me.pid(), 2u8);
        let mut got = [next::<u8>(&mut me).await, next::<u8>(&mut me).await];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
    in_simulation(|mut me| async move {
        send_after(me.pid(), Duration::ZERO, 1u8);
        nothing(&mut me);
        let begin = Node::current().now();
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert!(Node::current().now() - begin <= millis(1));
    });
}

#[test]
fn p82_cancel_returns_the_time_left_and_then_the_message_never_arrives() {
    in_simulation(|mut me| async move {
        let timer = send_after(me.pid(), secs(10), 1u8);
        process::sleep(secs(4)).await;
        assert_eq!(read_timer(timer), Some(secs(6)));
        assert_eq!(cancel_timer(timer), Some(secs(6)));
        assert_eq!((read_timer(timer), cancel_timer(timer)), (None, None));
        process::sleep(secs(20)).await;
        nothing(&mut me);
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn p83_cancel_of_a_timer_that_fired_was_cancelled_or_is_unknown_returns_none() {
    everywhere(|mut me| async move {
        let timer = send_after(me.pid(), millis(1), 1u8);
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert_eq!(cancel_timer(timer), None);
        assert_eq!(read_timer(timer), None);
        // The slot is used again; the old reference does not mean the new timer.
        let other = send_after(me.pid(), secs(100), 2u8);
        assert_eq!(cancel_timer(timer), None);
        assert!(cancel_timer(other).is_some());
    });
}

#[test]
fn p85_any_process_may_cancel_and_read_any_timer() {
    everywhere(|mut me| async move {
        let timer = send_after(me.pid(), secs(100), 1u8);
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            process::send(home, (read_timer(timer), cancel_timer(timer)))
        });
        let (read, cancelled) = next::<(Option<Duration>, Option<Duration>)>(&mut me).await;
        assert!(read.unwrap() > secs(90) && cancelled.unwrap() > secs(90));
        assert_eq!(read_timer(timer), None);
    });
}

#[test]
fn p87_a_timer_outlives_the_one_who_set_it_and_goes_with_its_target() {
    in_simulation(|mut me| async move {
        let home = me.pid();
        let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
            send_after(home, secs(5), "from the dead");
        });
        down(&mut me, monitor).await;
        assert_eq!(next::<&str>(&mut me).await, "from the dead");

        let target = idle();
        let log = Log::default();
        let timers = [
            send_after(target, secs(5), DropNote(log.clone(), "dropped")),
            start_timer(target, secs(5), DropNote(log.clone(), "dropped")),
            send_interval(target, secs(5), ()),
        ];
        assert_eq!(Node::current().stats().timers, 3);
        process::exit(target, ExitReason::Kill);
        let _ = end_of(&mut me, target).await;
        assert_eq!(Node::current().stats().timers, 0);
        assert_eq!(log.all(), ["dropped", "dropped"]);
        assert!(timers.iter().all(|t| cancel_timer(*t).is_none()));
        // Of a process that is gone already.
        let timer = send_after(target, secs(5), 1u8);
        assert_eq!(cancel_timer(timer), None);
        send_interval(target, secs(5), 1u8);
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn a_timer_for_a_name_finds_who_has_it_when_it_fires() {
    in_simulation(|mut me| async move {
        let first = idle();
        process::register("later", first).unwrap();
        send_after("later", secs(5), 1u8);
        process::exit(first, ExitReason::Kill);
        let _ = end_of(&mut me, first).await;
        process::register("later", me.pid()).unwrap();
        assert_eq!(next::<u8>(&mut me).await, 1);
        send_after("nobody", secs(5), 1u8);
        process::sleep(secs(10)).await;
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn p88_fifty_days_and_the_longest_duration_work() {
    in_simulation(|mut me| async move {
        let node = Node::current();
        let begin = node.now();
        process::sleep(millis(1 << 32)).await;
        assert_eq!(node.now() - begin, millis(1 << 32));
        let begin = node.now();
        assert!(me.receive_timeout(millis(1 << 32)).await.is_none());
        assert_eq!(node.now() - begin, millis(1 << 32));
        let timer = send_after(me.pid(), Duration::MAX, ());
        assert!(cancel_timer(timer).unwrap() > secs(1 << 38));
        let timer = send_at(me.pid(), Duration::MAX, ());
        assert!(cancel_timer(timer).is_some());
        let timer = send_interval(me.pid(), Duration::MAX, ());
        assert!(cancel_timer(timer).is_some());
        process::send_after(me.pid(), secs(1), ());
        assert!(me.receive_timeout(Duration::MAX).await.is_some());
        let mut sleep = Box::pin(process::sleep(Duration::MAX));
        assert!(poll_once(&mut sleep).await.is_none());
    });
}

#[test]
fn p89_an_absolute_time_that_has_passed_fires_at_once() {
    in_simulation(|mut me| async move {
        let node = Node::current();
        process::sleep(secs(100)).await;
        send_at(me.pid(), secs(50), "past");
        send_at(me.pid(), secs(130), "future");
        let timer = start_timer_at(me.pid(), secs(140), "last");
        assert_eq!(next::<&str>(&mut me).await, "past");
        assert!(node.now() <= secs(100) + millis(1));
        assert_eq!(next::<&str>(&mut me).await, "future");
        assert_eq!(node.now(), secs(130));
        assert_eq!(read_timer(timer), Some(secs(10)));
        assert_eq!(next::<TimerFired<&str>>(&mut me).await, TimerFired { timer, message: "last" });
        assert_eq!(node.now(), secs(140));
    });
}

#[test]
fn p90_timers_fire_in_the_order_of_their_deadlines_and_never_early() {
    in_simulation(|mut me| async move {
        let node = Node::current();
        let begin = node.now();
        let mut delays: Vec<u64> = (0..200).map(|n| (n * 7919) % 10_007).collect();
        for delay in &delays {
            send_after(me.pid(), millis(*delay), *delay);
        }
        delays.sort_unstable();
        for delay in delays {
            assert_eq!(next::<u64>(&mut me).await, delay);
            assert!(node.now() - begin >= millis(delay));
        }
    });
}

#[test]
fn start_timer_sends_its_own_reference_with_the_message() {
    everywhere(|mut me| async move {
        let a = start_timer(me.pid(), millis(1), 'a');
        let b = start_timer(me.pid(), millis(2), 'b');
        assert_ne!(a, b);
        assert_eq!(next::<TimerFired<char>>(&mut me).await, TimerFired { timer: a, message: 'a' });
        assert_eq!(next::<TimerFired<char>>(&mut me).await, TimerFired { timer: b, message: 'b' });
    });
}

#[test]
fn a_typed_address_takes_what_its_mailbox_takes_later_too() {
    #[derive(Debug, PartialEq)]
    struct Wrapped(u8);
    impl From<u8> for Wrapped {
        fn from(n: u8) -> Self {
            Wrapped(n)
        }
    }
    everywhere(|mut me| async move {
        let p = process::spawn(async |mut mailbox: Mailbox<Wrapped>| {
            mailbox.address().send_after(millis(1), 7u8);
            assert_eq!(mailbox.receive().await, Wrapped(7));
        });
        let _ = end_of(&mut me, p.pid()).await;
    });
}

#[test]
fn an_interval_goes_on_without_drifting_until_it_is_cancelled_by_its_first_reference() {
    in_simulation(|mut me| async move {
        let node = Node::current();
        let begin = node.now();
        let timer = send_interval(me.pid(), millis(7), ());
        for n in 1..=5 {
            next::<()>(&mut me).await;
            assert_eq!(node.now() - begin, millis(7 * n));
        }
        // Busy for a while: what was due comes, each for its own deadline.
        process::sleep(millis(16)).await;
        for _ in 0..2 {
            next::<()>(&mut me).await;
        }
        nothing(&mut me);
        assert_eq!(read_timer(timer), Some(millis(7 * 8 - 51)));
        assert_eq!(cancel_timer(timer), Some(millis(7 * 8 - 51)));
        assert_eq!(cancel_timer(timer), None);
        process::sleep(secs(1)).await;
        nothing(&mut me);
        assert_eq!(node.stats().timers, 0);
    });
}

#[test]
fn an_interval_does_not_drift_when_the_clock_jumps() {
    let (runtime, builder) = prepare(Run::Simulated { seed: 1, path: CallPath::Direct });
    runtime.block_on(async {
        let node = builder.start();
        let log = Log::default();
        let given = log.clone();
        let p = node
            .scope(async {
                process::spawn(async move |mut mailbox: Mailbox<()>| {
                    send_interval(mailbox.pid(), millis(10), ());
                    loop {
                        mailbox.receive().await;
                        given.add(Node::current().now().as_millis());
                    }
                })
            })
            .await;
        // The process sets its interval at 0.
        node.scope(async { process::sleep(millis(1)).await }).await;
        tokio::time::advance(millis(34)).await;
        node.scope(async { process::sleep(millis(20)).await }).await;
        assert_eq!(log.all(), [35, 35, 35, 40, 50]);
        let _node = node.enter();
        process::exit(p.pid(), ExitReason::Kill);
        drop(_node);
        node.shutdown().await;
    });
}

#[test]
fn a_panicking_drop_or_clone_of_a_timer_s_message_stops_no_other_timer() {
    struct Fragile;
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            planned("clone")
        }
    }
    everywhere(|mut me| async move {
        // Dropped by the clockwork: nobody has the name.
        send_after("nobody", millis(1), Bomb("dropped by the clockwork"));
        send_interval(me.pid(), millis(1), Fragile);
        send_after(me.pid(), millis(3), "still ticking");
        assert_eq!(next::<&str>(&mut me).await, "still ticking");
        // Dropped with their target.
        let target = idle();
        send_after(target, secs(100), Bomb("one"));
        send_after(target, secs(100), Bomb("two"));
        let monitor = me.monitor(target);
        process::exit(target, ExitReason::Shutdown);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        send_after(me.pid(), millis(1), "and running");
        assert_eq!(next::<&str>(&mut me).await, "and running");
    });
}

#[test]
fn setting_cancelling_and_firing_race_without_losing_or_doubling_a_timer() {
    on_real_runtimes(|mut me| async move {
        let home = me.pid();
        const N: usize = 3_000;
        for worker in 0..2usize {
            process::spawn(async move |_: Mailbox<()>| {
                let mut stopped = 0;
                for n in 0..N {
                    let timer = send_after(home, Duration::from_micros((n * 37 % 3_000) as u64), worker);
                    if n % 3 == 0 {
                        process::yield_now().await;
                        stopped += usize::from(cancel_timer(timer).is_some());
                    }
                }
                process::send(home, ("expect", N - stopped));
            });
        }
        let (mut got, mut expected, mut done) = (0, 0, 0);
        while done < 2 || got < expected {
            let message = me.receive().await;
            if message.is::<usize>() {
                got += 1;
            } else if let Ok((_, n)) = message.downcast::<(&str, usize)>() {
                expected += n;
                done += 1;
            }
        }
        assert_eq!(got, expected);
        assert_eq!(Node::current().stats().timers, 0);
        nothing(&mut me);
    });
}
