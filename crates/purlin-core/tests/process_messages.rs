//! Proves how messages travel, what names mean, and what one can find out about a process (P63 to P80, P95 to P102).

mod common;

use std::future::Future;
use std::time::Duration;

use common::*;
use purlin_core::process::ProcessStatus;
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom("why")
}

// ---- order and delivery

#[test]
fn p63_everything_that_one_process_sends_to_another_keeps_its_order() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let home = me.pid();
        process::spawn(async move |mailbox: Mailbox<()>| {
            for n in 0..50u32 {
                process::send(home, n);
                // An exit signal to a trapping process, then a link that ends: signals among messages.
                process::exit(home, ExitReason::custom(n));
            }
            process::link(home).unwrap();
            process::send(home, mailbox.pid());
        });
        for n in 0..50u32 {
            assert_eq!(next::<u32>(&mut me).await, n);
            assert_eq!(next::<Exit>(&mut me).await.reason, ExitReason::custom(n));
        }
        let p: Pid = next(&mut me).await;
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: p, reason: ExitReason::Normal });
    });
}

#[test]
fn p63_two_senders_on_real_threads_keep_their_orders_each() {
    on_real_runtimes(|mut me| async move {
        const N: u32 = 20_000;
        let home = me.pid();
        for sender in 0..2u32 {
            process::spawn(async move |_: Mailbox<()>| {
                for n in 0..N {
                    process::send(home, (sender, n));
                    if n % 64 == 0 {
                        process::yield_now().await;
                    }
                }
            });
        }
        let mut expected = [0; 2];
        for _ in 0..2 * N {
            let (sender, n) = next::<(u32, u32)>(&mut me).await;
            assert_eq!(n, expected[sender as usize]);
            expected[sender as usize] += 1;
        }
    });
}

#[test]
fn p64_messages_behind_a_fatal_exit_signal_are_never_seen() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let given = log.clone();
        let p = process::spawn(async move |mut mailbox: Mailbox<u8>| {
            loop {
                let n = mailbox.receive().await;
                given.add(n);
                // What has arrived meanwhile must not be found by looking either.
                while let Some(n) = mailbox.try_receive() {
                    given.add(n);
                }
            }
        });
        let monitor = me.monitor(p.pid());
        p.send(1u8);
        process::exit(p.pid(), custom());
        p.send(2u8);
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        p.send(3u8);
        assert!(log.all().is_empty() || log.all() == [1], "{:?}", log.all());
    });
}

#[test]
fn p64_a_message_before_an_exit_signal_to_a_trapping_process_comes_first() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            process::send(home, 1u8);
            process::exit(home, custom());
            process::send(home, 2u8);
        });
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert_eq!(next::<Exit>(&mut me).await.reason, custom());
        assert_eq!(next::<u8>(&mut me).await, 2);
    });
}

#[test]
fn p65_in_simulation_the_order_of_different_senders_is_explored() {
    let seen: Log<String> = Log::default();
    let given = seen.clone();
    in_simulation(move |mut me| {
        let given = given.clone();
        async move {
            let home = me.pid();
            for name in ["a", "b", "c"] {
                process::spawn(async move |_: Mailbox<()>| process::send(home, name));
            }
            let mut order = String::new();
            for _ in 0..3 {
                order += next::<&str>(&mut me).await;
            }
            given.add(order);
        }
    });
    let mut orders = seen.all();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders, ["abc", "acb", "bac", "bca", "cab", "cba"]);
}

#[test]
fn p68_sending_to_a_dead_process_succeeds_and_is_counted() {
    everywhere(|mut me| async move {
        let p = process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 1));
        p.send(1u8);
        let _ = end_of(&mut me, p.pid()).await;
        let before = Node::current().stats().dead_letters;
        p.send(2u8);
        process::send(p.pid(), 3u8);
        process::send(Pid::from_parts(p.pid().node_index(), 999_999, 3), 4u8);
        assert_eq!(Node::current().stats().dead_letters, before + 3);
        assert_eq!(p.try_send(5), Err(5));
        process::send(Pid::from_parts(999_999, 1, 1), 6u8);
    });
}

#[test]
fn p69_sending_to_an_unknown_local_name_is_an_error() {
    everywhere(|mut me| async move {
        assert_eq!(process::send_named("p69", 1u8), Err(process::UnknownName));
        process::register("p69", me.pid()).unwrap();
        assert_eq!(process::send_named("p69", 1u8), Ok(()));
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert_eq!(process::UnknownName.to_string(), "no process has this name");
    });
}

#[test]
fn p70_selective_receive_leaves_what_does_not_match_in_its_order() {
    everywhere(|mut me| async move {
        for n in 0..6u32 {
            process::send(me.pid(), n);
            process::send(me.pid(), format!("text {n}"));
        }
        assert_eq!(me.receive_as::<String>().await, "text 0");
        let odd = me.receive_map(|m| {
            if m.is::<u32>() {
                m.downcast::<u32>().ok().filter(|n| n % 2 == 1).ok_or(AnyMsg::new(0u32))
            } else {
                Err(m)
            }
        });
        // The closure replaced a 0 by a 0: what is given back is what stays.
        assert_eq!(odd.await, 1);
        assert_eq!(next::<u32>(&mut me).await, 0);
        for n in 1..6u32 {
            assert_eq!(next::<String>(&mut me).await, format!("text {n}"));
            if n < 5 {
                assert_eq!(next::<u32>(&mut me).await, n + 1);
            }
        }
        nothing(&mut me);
    });
}

#[test]
fn p70_a_receive_with_timeout_0_looks_through_the_whole_mailbox_first() {
    everywhere(|mut me| async move {
        const N: u32 = 1_000;
        for n in 0..N {
            process::send(me.pid(), n);
        }
        process::send(me.pid(), "last");
        let last = me.receive_map_timeout(Duration::ZERO, |m| m.downcast::<&str>()).await;
        assert_eq!(last, Some("last"));
        assert_eq!(me.receive_map_timeout(Duration::ZERO, |m| m.downcast::<&str>()).await, None);
        // Giving way now and then must not be taken for an empty mailbox.
        for n in 0..N {
            let got = me
                .receive_timeout(Duration::ZERO)
                .await
                .unwrap_or_else(|| panic!("message {n} was not seen"));
            assert_eq!(got.downcast::<u32>().unwrap(), n);
        }
        assert!(me.receive_timeout(Duration::ZERO).await.is_none());
        assert!(me.is_empty());
    });
}

#[test]
fn p70_a_receive_with_a_timeout_gives_up_when_it_is_over_and_not_before() {
    in_simulation(|mut me| async move {
        let node = Node::current();
        let begin = node.now();
        assert!(me.receive_timeout(secs(3)).await.is_none());
        assert_eq!(node.now() - begin, secs(3));
        process::send_after(me.pid(), secs(1), 7u8);
        let begin = node.now();
        assert_eq!(me.receive_timeout(secs(3)).await.unwrap().downcast::<u8>().unwrap(), 7);
        assert_eq!(node.now() - begin, secs(1));
        // What does not match does not stop the clock.
        process::send_after(me.pid(), secs(1), "noise");
        let begin = node.now();
        assert_eq!(me.receive_map_timeout(secs(3), |m| m.downcast::<u8>()).await, None);
        assert_eq!(node.now() - begin, secs(3));
        assert_eq!(next::<&str>(&mut me).await, "noise");
    });
}

#[test]
fn dropping_a_receive_loses_no_message() {
    everywhere(|mut me| async move {
        {
            let mut receive = Box::pin(me.receive());
            assert!(poll_once(&mut receive).await.is_none());
        }
        process::send(me.pid(), 1u8);
        {
            let mut receive = Box::pin(me.receive_map(|m| if m.is::<u16>() { Ok(m) } else { Err(m) }));
            assert!(poll_once(&mut receive).await.is_none());
        }
        assert_eq!(next::<u8>(&mut me).await, 1);
    });
}

#[test]
fn a_receive_works_beside_other_futures_with_wakers_of_their_own() {
    everywhere(|mut me| async move {
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            for n in 0..200u32 {
                process::send(home, n);
                process::yield_now().await;
            }
        });
        // A waker that is not the process's own, as `FuturesUnordered` makes them.
        struct Forward(std::sync::Mutex<Option<std::task::Waker>>, std::sync::atomic::AtomicBool);
        impl std::task::Wake for Forward {
            fn wake(self: std::sync::Arc<Self>) {
                self.1.store(true, std::sync::atomic::Ordering::SeqCst);
                if let Some(waker) = self.0.lock().unwrap().take() {
                    waker.wake();
                }
            }
        }
        for n in 0..200u32 {
            let inner = std::sync::Arc::new(Forward(Default::default(), true.into()));
            let waker = std::task::Waker::from(inner.clone());
            let mut receive = Box::pin(me.receive());
            let message = std::future::poll_fn(|cx| {
                *inner.0.lock().unwrap() = Some(cx.waker().clone());
                // Polled only when its own waker was woken.
                if inner.1.swap(false, std::sync::atomic::Ordering::SeqCst) {
                    return receive.as_mut().poll(&mut std::task::Context::from_waker(&waker));
                }
                std::task::Poll::Pending
            })
            .await;
            assert_eq!(message.downcast::<u32>().unwrap(), n);
        }
    });
}

#[test]
fn a_message_of_a_type_that_a_typed_mailbox_does_not_take_is_counted_and_dropped() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let p = process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 1));
        let monitor = me.monitor(p.pid());
        let before = Node::current().stats().unhandled;
        process::send(p.pid(), DropNote(log.clone(), "dropped"));
        process::send(p.pid(), 1u8);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        assert_eq!(log.all(), ["dropped"]);
        assert_eq!(Node::current().stats().unhandled, before + 1);
    });
}

// ---- names

#[test]
fn p72_register_refuses_taken_names_named_processes_dead_processes_and_the_empty_name() {
    everywhere(|mut me| async move {
        let (a, b) = (idle(), idle());
        process::register("a", a).unwrap();
        assert_eq!(process::register("a", b), Err(RegisterError::NameTaken(a)));
        assert_eq!(process::register("a", a), Err(RegisterError::NameTaken(a)));
        assert_eq!(process::register("b", a), Err(RegisterError::AlreadyNamed));
        assert_eq!(process::register("", b), Err(RegisterError::BadName));
        process::register("b", b).unwrap();
        let names: Vec<_> = process::registered().iter().map(|n| n.to_string()).collect();
        assert_eq!(names, ["a", "b"]);
        process::exit(a, ExitReason::Kill);
        let _ = end_of(&mut me, a).await;
        assert_eq!(process::register("c", a), Err(RegisterError::NoProc));
        assert_eq!(process::whereis("c"), None);
    });
}

#[test]
fn p73_p75_a_name_of_a_process_that_must_end_is_free_at_once_and_finds_nobody() {
    everywhere(|mut me| async move {
        for _ in 0..20 {
            let p = idle();
            process::register("p75", p).unwrap();
            let monitor = me.monitor(p);
            process::exit(p, ExitReason::Kill);
            // The kill is decided; whether it is done yet makes no difference to anybody who asks.
            assert!(!process::is_alive(p));
            assert_eq!(process::whereis("p75"), None);
            assert_eq!(process::send_named("p75", ()), Err(process::UnknownName));
            assert!(process::process_info(p).is_none());
            let next_one = idle();
            process::register("p75", next_one).unwrap();
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
            assert_eq!(
                process::whereis("p75"),
                Some(next_one),
                "the end of the old holder does not take the name from the new one"
            );
            process::exit(next_one, ExitReason::Kill);
        }
    });
}

#[test]
fn p73_a_name_can_be_registered_again_as_soon_as_the_down_is_seen() {
    everywhere(|mut me| async move {
        for _ in 0..50 {
            let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            process::register("p73", p.pid()).unwrap();
            let monitor = me.monitor(p.pid());
            p.send(());
            down(&mut me, monitor).await;
            process::register("p73", me.pid()).unwrap();
            process::unregister("p73").unwrap();
        }
    });
}

#[test]
fn p74_unregister_works_for_any_name_and_fails_for_an_unknown_one() {
    everywhere(|mut me| async move {
        assert_eq!(process::unregister("p74"), Err(process::UnknownName));
        let p = idle();
        process::register("p74", p).unwrap();
        assert_eq!(process::process_info(p).unwrap().registered_name.as_deref(), Some("p74"));
        process::unregister("p74").unwrap();
        assert_eq!(process::process_info(p).unwrap().registered_name, None);
        assert_eq!(process::whereis("p74"), None);
        // It may have another name now.
        process::register("other", p).unwrap();
        assert_eq!(process::whereis("other"), Some(p));
        let _ = &mut me;
    });
}

#[test]
fn a_pid_of_a_dead_process_never_comes_to_mean_another_one() {
    everywhere(|mut me| async move {
        let mut seen = std::collections::BTreeSet::new();
        // More than the table keeps free before it uses a slot again.
        for _ in 0..3_000 {
            let (p, monitor) = process::spawn_monitor(async |_: Mailbox<()>| {});
            assert!(seen.insert(p.pid()), "{} was used twice", p.pid());
            down(&mut me, monitor).await;
            assert!(!process::is_alive(p.pid()));
        }
        assert!(seen.iter().all(|pid| !process::is_alive(*pid) && process::process_info(*pid).is_none()));
        assert_eq!(living(), [me.pid()]);
    });
}

// ---- info

#[test]
fn p76_a_dead_or_ending_process_has_no_info() {
    everywhere(|mut me| async move {
        let p = idle();
        assert_eq!(process::process_info(p).unwrap().pid, p);
        let monitor = me.monitor(p);
        process::exit(p, ExitReason::Kill);
        assert!(process::process_info(p).is_none());
        down(&mut me, monitor).await;
        assert!(process::process_info(p).is_none());
        assert!(process::process_info(Pid::from_parts(999_999, 1, 1)).is_none());
    });
}

#[test]
fn p76_a_process_has_no_info_while_what_it_owns_is_dropped() {
    struct Looks(Pid, Log<bool>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.add(process::process_info(self.0).is_some() || process::is_alive(self.0));
        }
    }
    everywhere(|mut me| async move {
        let log = Log::default();
        let given = log.clone();
        let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<()>| {
            let _looks = Looks(mailbox.pid(), given);
            process::exit(mailbox.pid(), custom());
            mailbox.receive().await;
        });
        down(&mut me, monitor).await;
        assert_eq!(log.all(), [false]);
    });
}

#[test]
fn p78_a_nameless_process_has_an_empty_registered_name() {
    everywhere(|me| async move {
        assert_eq!(process::process_info(me.pid()).unwrap().registered_name, None);
    });
}

#[test]
fn p80_parent_is_the_spawner_and_labels_are_readable_from_outside() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<()>| {
            process::set_label("worker");
            process::send(home, ());
            mailbox.receive().await;
        });
        next::<()>(&mut me).await;
        let info = process::process_info(p.pid()).unwrap();
        assert_eq!(info.parent, Some(me.pid()));
        assert_eq!(info.label.as_deref(), Some("worker"));
        assert_eq!(process::process_info(me.pid()).unwrap().parent, None, "spawned by no process");
        process::set_label_text(format!("test {}", 7));
        assert_eq!(process::process_info(me.pid()).unwrap().label.as_deref(), Some("test 7"));
        process::set_label(None);
        assert_eq!(process::process_info(me.pid()).unwrap().label, None);
    });
}

#[test]
fn process_info_shows_queue_status_and_work_done() {
    in_simulation(|mut me| async move {
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<u8>| {
            process::send(home, ());
            while mailbox.receive().await != 9 {}
            process::send(home, ());
            mailbox.receive().await;
        });
        next::<()>(&mut me).await;
        while process::process_info(p.pid()).unwrap().status != ProcessStatus::Waiting {
            process::yield_now().await;
        }
        for n in [1u8, 2, 9] {
            p.send(n);
        }
        let info = process::process_info(p.pid()).unwrap();
        assert_eq!((info.message_queue_len, info.status, info.reductions), (3, ProcessStatus::Runnable, 0));
        assert_eq!(process::process_info(me.pid()).unwrap().status, ProcessStatus::Running);
        next::<()>(&mut me).await;
        while process::process_info(p.pid()).unwrap().status != ProcessStatus::Waiting {
            process::yield_now().await;
        }
        let info = process::process_info(p.pid()).unwrap();
        assert_eq!((info.message_queue_len, info.reductions), (0, 3));
        sys::suspend(p.pid()).await.unwrap();
        assert_eq!(process::process_info(p.pid()).unwrap().status, ProcessStatus::Suspended);
    });
}

// ---- ancestry, hibernation, isolation

#[test]
fn p96_ancestors_are_the_parent_and_its_ancestors() {
    everywhere(|mut me| async move {
        let home = me.pid();
        process::spawn(async move |mailbox: Mailbox<()>| {
            let parent = mailbox.pid();
            process::spawn(async move |mailbox: Mailbox<()>| {
                assert_eq!(process::ancestors(), [parent, home]);
                assert_eq!(process::process_info(mailbox.pid()).unwrap().ancestors, [parent, home]);
                process::send(home, ());
            });
        });
        next::<()>(&mut me).await;
        assert!(process::ancestors().is_empty());
        assert!(process::callers().is_empty(), "set by tasks only");
    });
}

#[test]
fn p95_a_crash_report_is_logged_for_every_reason_but_the_clean_ones() {
    for (reason, reported) in [
        (ExitReason::Normal, false),
        (ExitReason::Shutdown, false),
        (ExitReason::shutdown_with("done"), false),
        (custom(), true),
        (ExitReason::error("broken"), true),
        (ExitReason::Timeout, true),
    ] {
        let events = Events::default();
        let given = reason.clone();
        events.during(|| {
            run(Run::Simulated { seed: 5, path: CallPath::Direct }, move |mut me| {
                let given = given.clone();
                async move {
                    let (_, monitor) = process::spawn_monitor(async move |mailbox: Mailbox<()>| {
                        process::exit(mailbox.pid(), given)
                    });
                    down(&mut me, monitor).await;
                }
            });
        });
        let reports = events.take("purlin::crash");
        assert_eq!(reports.len(), usize::from(reported), "{reason}: {reports:?}");
        if reported {
            assert!(reports[0].contains(&format!("reason={:?}", reason.to_string())), "{reports:?}");
        }
    }
}

#[test]
fn p95_the_report_of_a_panic_tells_message_place_ancestors_and_links() {
    let events = Events::default();
    events.during(|| {
        run(Run::Simulated { seed: 5, path: CallPath::Direct }, |mut me| async move {
            me.trap_exits(true);
            process::register("the parent", me.pid()).unwrap();
            let p = process::spawn_link(async |_: Mailbox<()>| planned("at three in the morning"));
            let exit: Exit = next(&mut me).await;
            assert_eq!(exit.from, p.pid());
        });
    });
    let reports = events.take("purlin::crash");
    let [report] = &reports[..] else { panic!("{reports:?}") };
    for part in [
        "planned: at three in the morning",
        "process_messages.rs:",
        "(the parent)",
        "links=",
        "mailbox=0",
        "server=\"process\"",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
}

#[test]
fn p99_a_hibernating_process_wakes_on_any_message_and_keeps_everything() {
    everywhere(|mut me| async move {
        let target = idle();
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.trap_exits(true);
            let monitor = mailbox.monitor(target);
            process::local::put(41u64);
            process::link(home).unwrap();
            process::send(home, "asleep");
            mailbox.hibernate().await;
            process::send(home, "awake");
            assert_eq!(mailbox.receive().await.downcast::<u8>().unwrap(), 1);
            // Something is there already: it does not sleep.
            process::send(mailbox.pid(), 2u8);
            mailbox.hibernate().await;
            assert_eq!(mailbox.receive().await.downcast::<u8>().unwrap(), 2);
            assert_eq!(process::local::get::<u64>(), Some(41));
            let info = process::process_info(mailbox.pid()).unwrap();
            assert!(info.trap_exit && info.links == [home] && info.monitors == [target]);
            process::exit(target, custom());
            mailbox.hibernate().await;
            assert_eq!(mailbox.receive_as::<Down>().await.monitor, monitor);
            process::unlink(home);
        });
        let monitor = me.monitor(p.pid());
        assert_eq!(me.receive_as::<&str>().await, "asleep");
        process::send(p.pid(), 1u8);
        assert_eq!(me.receive_as::<&str>().await, "awake");
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn p99_an_exit_signal_ends_a_hibernating_process() {
    everywhere(|mut me| async move {
        let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.hibernate().await);
        let monitor = me.monitor(p.pid());
        process::exit(p.pid(), custom());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
    });
}

#[test]
fn p100_stop_is_ok_only_if_the_process_died_with_exactly_that_reason() {
    in_simulation(|me| async move {
        let stopping = || process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
        for reason in [ExitReason::Normal, ExitReason::Shutdown, custom()] {
            assert_eq!(process::stop(stopping(), reason, secs(1)).await, Ok(()));
        }
        let p = stopping();
        process::exit(p, custom());
        assert_eq!(process::stop(p, ExitReason::Normal, secs(1)).await, Err(StopError::Exit(custom())));
        assert_eq!(process::stop(p, ExitReason::Normal, secs(1)).await, Err(StopError::NoProc));
        let deaf = process::spawn(async |_: Mailbox<()>| process::sleep(secs(60)).await).pid();
        assert_eq!(process::stop(deaf, ExitReason::Normal, secs(1)).await, Err(StopError::Timeout));
        assert!(process::is_alive(deaf));
        assert_eq!(process::stop(me.pid(), ExitReason::Normal, secs(1)).await, Err(StopError::CallingSelf));
        assert_eq!(
            process::stop(Pid::from_parts(999_999, 1, 1), ExitReason::Normal, secs(1)).await,
            Err(StopError::NoProc)
        );
    });
}

#[test]
fn p102_a_panic_in_one_process_alters_no_other() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let counter = process::spawn(async move |mut mailbox: Mailbox<u64>| {
            let mut sum = 0;
            for _ in 0..100 {
                sum += mailbox.receive().await;
            }
            process::send(home, sum);
        });
        for n in 0..100u64 {
            let to = counter.clone();
            process::spawn(async move |_: Mailbox<()>| {
                to.send(n);
                planned("after sending");
            });
        }
        assert_eq!(next::<u64>(&mut me).await, (0..100).sum());
    });
}

#[test]
fn a_process_that_always_finds_mail_or_only_looks_now_and_then_gives_way_to_others() {
    everywhere(|mut me| async move {
        let home = me.pid();
        // Never finds anything, and never waits longer than no time at all.
        let looking = process::spawn(
            async |mut mailbox: Mailbox<u8>| while mailbox.receive_timeout(Duration::ZERO).await.is_none() {},
        );
        let sleeping = process::spawn(async |mut mailbox: Mailbox<u8>| {
            while mailbox.try_receive().is_none() {
                process::sleep(Duration::ZERO).await;
            }
        });
        let flooded = process::spawn(async |mut mailbox: Mailbox<u8>| {
            loop {
                let n = mailbox.receive().await;
                process::send(mailbox.pid(), n);
            }
        });
        flooded.send(1u8);
        process::spawn(async move |_: Mailbox<()>| {
            process::yield_now().await;
            process::send(home, "my turn");
        });
        assert_eq!(next::<&str>(&mut me).await, "my turn");
        looking.send(1u8);
        let monitor = me.monitor(sleeping.pid());
        process::exit(sleeping.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        let monitor = me.monitor(flooded.pid());
        process::exit(flooded.pid(), custom());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
    });
}

#[test]
fn a_process_that_polls_its_mailbox_in_a_loop_can_be_killed() {
    everywhere(|mut me| async move {
        for reason in [ExitReason::Kill, custom()] {
            let p = process::spawn(
                async |mut mailbox: Mailbox<u8>| {
                    while mailbox.receive_timeout(Duration::ZERO).await.is_none() {}
                },
            );
            let monitor = me.monitor(p.pid());
            process::exit(p.pid(), reason.clone());
            let ended = down(&mut me, monitor).await.reason;
            assert_eq!(ended, if reason == ExitReason::Kill { ExitReason::Killed } else { reason });
        }
    });
}
