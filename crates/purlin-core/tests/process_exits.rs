//! Proves that processes end for the right reason: exit reasons, exit signals and links (P1 to P37).

mod common;

use common::*;
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom(("disk", 7))
}

/// A trapping process that reports every message it gets, until it is told to stop.
fn trapper(to: Pid) -> Pid {
    process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
        mailbox.trap_exits(true);
        process::send(to, "ready");
        loop {
            match mailbox.receive().await.downcast::<Exit>() {
                Ok(exit) => process::send(to, exit),
                Err(_) => return,
            }
        }
    })
    .pid()
}

#[test]
fn p1_a_body_that_returns_ends_its_process_with_normal() {
    everywhere(|mut me| async move {
        let p = process::spawn(async |_: Mailbox<()>| {});
        let reason = end_of(&mut me, p.pid()).await;
        // It may have ended before the monitor.
        assert!(matches!(reason, ExitReason::Normal | ExitReason::NoProc));
        let (p, monitor) = process::spawn_monitor(async |_: Mailbox<()>| {});
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        // Who has the address can still ask.
        assert_eq!(p.wait().await, ExitReason::Normal);
        assert_eq!(process::wait(p.pid()).await, ExitReason::NoProc);
    });
}

#[test]
fn p2_exit_inside_a_process_ends_it_with_exactly_that_reason() {
    everywhere(|mut me| async move {
        for reason in [
            custom(),
            ExitReason::Shutdown,
            ExitReason::shutdown_with(3),
            ExitReason::error("x"),
            ExitReason::Timeout,
        ] {
            let given = reason.clone();
            let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<()>| {
                process::exit(mailbox.pid(), given);
                mailbox.receive().await;
                unreachable!("the signal takes effect at the await");
            });
            assert_eq!(down(&mut me, monitor).await.reason, reason);
        }
    });
}

#[test]
fn p2_exit_inside_a_process_counts_even_if_the_body_returns_at_once() {
    everywhere(|mut me| async move {
        let (_, monitor) =
            process::spawn_monitor(async move |mailbox: Mailbox<()>| process::exit(mailbox.pid(), custom()));
        assert_eq!(down(&mut me, monitor).await.reason, custom());
    });
}

#[test]
fn p3_a_panic_ends_the_process_with_message_and_place() {
    everywhere(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async |_: Mailbox<()>| planned("out of order"));
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "out of order"), "{reason}");
        let place = reason.panic_info().unwrap().location.clone().unwrap();
        assert!(place.contains("process_exits.rs:"), "{place}");
    });
}

#[test]
fn p4_a_panic_with_any_payload_ends_the_process_too() {
    // There is no `throw` in Rust; a panic with a payload that is no text is the nearest thing.
    run(Run::Simulated { seed: 1, path: CallPath::Direct }, |mut me| async move {
        struct Payload(Log<&'static str>);
        impl Drop for Payload {
            fn drop(&mut self) {
                self.0.add("payload dropped");
                // A payload's Drop is user code.
                std::panic::panic_any("planned: again");
            }
        }
        let log = Log::default();
        let given = log.clone();
        me.trap_exits(true);
        let p = process::spawn_link(async move |_: Mailbox<()>| std::panic::panic_any(Payload(given)));
        let exit: Exit = next(&mut me).await;
        assert_eq!(exit.from, p.pid());
        assert_eq!(log.all(), ["payload dropped"]);
        assert_eq!(exit.reason.panic_info().unwrap().message, "Box<dyn Any>");
    });
}

#[test]
fn p6_an_exit_signal_kill_ends_the_target_with_killed_whether_it_traps_or_not() {
    everywhere(|mut me| async move {
        let plain = idle();
        let monitor = me.monitor(plain);
        process::exit(plain, ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        let trapping = trapper(me.pid());
        me.receive_as::<&str>().await;
        let monitor = me.monitor(trapping);
        process::exit(trapping, ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        nothing(&mut me);
    });
}

#[test]
fn p7_a_process_that_sends_itself_kill_dies_killed() {
    everywhere(|mut me| async move {
        for trap in [false, true] {
            let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<AnyMsg>| {
                mailbox.trap_exits(trap);
                process::exit(mailbox.pid(), ExitReason::Kill);
                mailbox.receive().await;
            });
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        }
    });
}

#[test]
fn p8_exit_of_oneself_with_normal_ends_a_process_that_does_not_trap() {
    everywhere(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<()>| {
            process::exit(mailbox.pid(), ExitReason::Normal);
            mailbox.receive().await;
        });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn p10_exit_of_another_with_normal_does_nothing_to_a_process_that_does_not_trap() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let echo = process::spawn(async move |mut mailbox: Mailbox<u8>| {
            process::send(home, mailbox.receive().await)
        });
        process::exit(echo.pid(), ExitReason::Normal);
        assert!(echo.is_alive());
        echo.send(9u8);
        assert_eq!(next::<u8>(&mut me).await, 9);
    });
}

#[test]
fn p11_p13_an_exit_signal_to_a_trapping_process_becomes_a_message_and_it_lives() {
    everywhere(|mut me| async move {
        let p = trapper(me.pid());
        me.receive_as::<&str>().await;
        for reason in [ExitReason::Normal, ExitReason::Shutdown, custom(), ExitReason::Killed] {
            process::exit(p, reason.clone());
            assert_eq!(next::<Exit>(&mut me).await, Exit { from: me.pid(), reason });
        }
        assert!(process::is_alive(p));
        process::send(p, ());
    });
}

#[test]
fn p14_an_exit_signal_to_a_process_that_does_not_trap_ends_it_with_exactly_that_reason() {
    everywhere(|mut me| async move {
        for reason in [custom(), ExitReason::Shutdown, ExitReason::Killed, ExitReason::NoProc] {
            let p = idle();
            let monitor = me.monitor(p);
            process::exit(p, reason.clone());
            assert_eq!(down(&mut me, monitor).await.reason, reason);
        }
    });
}

#[test]
fn p15_a_received_exit_signal_cannot_be_caught_by_the_target() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let given = log.clone();
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let _note = DropNote(given.clone(), "dropped");
            process::send(home, "ready");
            // The nearest thing to a try around a receive.
            let body = std::panic::AssertUnwindSafe(async {
                mailbox.receive().await;
            });
            let mut body = Box::pin(body.0);
            std::future::poll_fn(|cx| {
                let polled =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body.as_mut().poll(cx)));
                polled.unwrap_or(std::task::Poll::Ready(()))
            })
            .await;
            given.add("went on");
        });
        me.receive_as::<&str>().await;
        let monitor = me.monitor(p.pid());
        process::exit(p.pid(), custom());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        assert_eq!(log.all(), ["dropped"]);
    });
}

#[test]
fn p18_the_trap_flag_is_looked_at_when_the_signal_is_received() {
    in_simulation(|mut me| async move {
        // Sent while it does not trap, received when it does: the body sets the flag in the very poll in which the signal is waiting.
        let home = me.pid();
        let (p, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<AnyMsg>| {
            process::exit(mailbox.pid(), custom());
            mailbox.trap_exits(true);
            process::send(home, mailbox.receive_as::<Exit>().await);
        });
        assert_eq!(me.receive_as::<Exit>().await, Exit { from: p.pid(), reason: custom() });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn p19_setting_the_trap_flag_returns_the_value_before() {
    everywhere(|mut me| async move {
        assert!(!me.trap_exits(true));
        assert!(me.trap_exits(true));
        assert!(process::process_info(me.pid()).unwrap().trap_exit);
        assert!(me.trap_exits(false));
        assert!(!me.trap_exits(false));
        assert!(!process::process_info(me.pid()).unwrap().trap_exit);
    });
}

#[test]
fn p20_exit_of_a_dead_pid_does_nothing() {
    everywhere(|mut me| async move {
        let p = idle();
        process::exit(p, ExitReason::Kill);
        let _ = end_of(&mut me, p).await;
        process::exit(p, custom());
        process::exit(p, ExitReason::Kill);
        process::exit(Pid::from_parts(p.node_index(), 999_999, 1), ExitReason::Kill);
        process::exit(Pid::from_parts(999_999, 1, 1), ExitReason::Kill);
        nothing(&mut me);
    });
}

#[test]
fn p21_a_linked_process_that_does_not_trap_dies_with_the_same_reason() {
    everywhere(|mut me| async move {
        for reason in [custom(), ExitReason::Shutdown, ExitReason::error("e")] {
            let home = me.pid();
            let a = process::spawn(async move |mut mailbox: Mailbox<()>| {
                let b = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
                process::send(home, b.pid());
                mailbox.receive().await;
            });
            let b = me.receive_as::<Pid>().await;
            let (ma, mb) = (me.monitor(a.pid()), me.monitor(b));
            process::exit(b, reason.clone());
            assert_eq!(down(&mut me, mb).await.reason, reason);
            assert_eq!(down(&mut me, ma).await.reason, reason);
        }
    });
}

#[test]
fn p22_a_linked_process_ending_normally_leaves_the_other_alive_and_the_link_gone() {
    everywhere(|mut me| async move {
        let b = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        assert_eq!(process::process_info(me.pid()).unwrap().links, [b.pid()]);
        let monitor = me.monitor(b.pid());
        b.send(());
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
    });
}

#[test]
fn p23_a_trapping_process_gets_the_exit_of_a_linked_one_for_every_reason() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        for reason in [ExitReason::Normal, ExitReason::Shutdown, custom()] {
            let given = reason.clone();
            let b =
                process::spawn_link(async move |mailbox: Mailbox<()>| process::exit(mailbox.pid(), given));
            assert_eq!(next::<Exit>(&mut me).await, Exit { from: b.pid(), reason });
        }
        let b = process::spawn_link(async |_: Mailbox<()>| planned("b"));
        let exit: Exit = next(&mut me).await;
        assert_eq!(exit.from, b.pid());
        assert!(is_planned(&exit.reason, "b"));
        let b = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        process::exit(b.pid(), ExitReason::Kill);
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: b.pid(), reason: ExitReason::Killed });
        nothing(&mut me);
    });
}

#[test]
fn p26_a_kill_at_one_end_of_a_chain_of_links_arrives_as_killed_at_the_other() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let a = process::spawn(async move |mut mailbox: Mailbox<()>| {
            process::spawn_link(async move |mut mailbox: Mailbox<()>| {
                let c = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
                process::send(home, (mailbox.pid(), c.pid()));
                mailbox.receive().await;
            });
            mailbox.receive().await;
        });
        let (b, c) = me.receive_as::<(Pid, Pid)>().await;
        let monitors = [a.pid(), b, c].map(|pid| me.monitor(pid));
        process::exit(c, ExitReason::Kill);
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        }
    });
}

#[test]
fn p27_linking_twice_is_one_link_and_one_unlink_takes_it_away() {
    everywhere(|mut me| async move {
        let p = idle();
        process::link(p).unwrap();
        process::link(p).unwrap();
        assert_eq!(process::process_info(me.pid()).unwrap().links, [p]);
        assert_eq!(process::process_info(p).unwrap().links, [me.pid()]);
        process::unlink(p);
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
        assert_eq!(process::process_info(p).unwrap().links, []);
        let monitor = me.monitor(p);
        process::exit(p, custom());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        // Two links at once are one in both directions: its end is told, and told once.
        me.trap_exits(true);
        for from_here in [false, true] {
            let home = me.pid();
            let p = process::spawn(async move |mut mailbox: Mailbox<()>| {
                mailbox.receive().await;
                if !from_here {
                    (0..2).for_each(|_| process::link(home).unwrap());
                }
                process::send(home, "linked");
                mailbox.receive().await;
            });
            if from_here {
                (0..2).for_each(|_| process::link(p.pid()).unwrap());
            }
            p.send(());
            next::<&str>(&mut me).await;
            let monitor = me.monitor(p.pid());
            process::exit(p.pid(), custom());
            assert_eq!(down(&mut me, monitor).await.reason, custom());
            assert_eq!(next::<Exit>(&mut me).await, Exit { from: p.pid(), reason: custom() });
            nothing(&mut me);
        }
    });
}

#[test]
fn p28_linking_with_oneself_does_nothing() {
    everywhere(|me| async move {
        assert_eq!(process::link(me.pid()), Ok(()));
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
        process::unlink(me.pid());
    });
}

#[test]
fn p29_linking_with_a_dead_process_while_trapping_gives_an_exit_noproc() {
    everywhere(|mut me| async move {
        let p = idle();
        process::exit(p, ExitReason::Kill);
        let _ = end_of(&mut me, p).await;
        me.trap_exits(true);
        assert_eq!(process::link(p), Ok(()));
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: p, reason: ExitReason::NoProc });
    });
}

#[test]
fn p30_linking_with_a_dead_process_without_trapping_is_an_error() {
    everywhere(|mut me| async move {
        let p = idle();
        process::exit(p, ExitReason::Kill);
        let _ = end_of(&mut me, p).await;
        assert_eq!(process::link(p), Err(process::NoProcess));
        assert_eq!(process::link(Pid::from_parts(p.node_index(), 999_999, 1)), Err(process::NoProcess));
        // A pid of another node: there is no connection to it.
        assert_eq!(process::link(Pid::from_parts(999_999, 1, 1)), Err(process::NoProcess));
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
    });
}

#[test]
fn p30_a_process_of_another_node_of_the_program_cannot_be_linked_with() {
    everywhere(|me| async move {
        let other = Node::builder().simulated(1).start();
        let foreign = other.scope(async { idle() }).await;
        assert_eq!(process::link(foreign), Err(process::NoProcess));
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
        process::exit(foreign, ExitReason::Kill);
        other.shutdown().await;
    });
}

#[test]
fn p32_unlinking_works_from_either_side_and_does_nothing_without_a_link() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let b = process::spawn_link(async move |mut mailbox: Mailbox<()>| {
            mailbox.receive().await;
            process::unlink(home);
            process::unlink(home);
            process::exit(mailbox.pid(), custom());
        });
        let monitor = me.monitor(b.pid());
        b.send(());
        assert_eq!(down(&mut me, monitor).await.reason, custom(), "and we are still here");
        process::unlink(b.pid());
        process::unlink(Pid::from_parts(999_999, 1, 1));
    });
}

#[test]
fn p32_after_unlink_no_exit_of_that_link_arrives_even_if_it_was_on_its_way() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let b = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        let monitor = me.monitor(b.pid());
        process::exit(b.pid(), custom());
        process::unlink(b.pid());
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        nothing(&mut me);
    });
}

#[test]
fn p32_after_unlink_no_exit_of_that_link_arrives_even_if_it_is_in_the_mailbox() {
    run(Run::Real { workers: 2, path: CallPath::Direct }, |mut me| async move {
        me.trap_exits(true);
        let node = Node::current();
        let b = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
        // From outside, so that the other worker runs it: this one stays in this poll, in which signals are not applied.
        let killer = std::thread::spawn(move || {
            let _here = node.enter();
            process::exit(b, custom());
        });
        killer.join().unwrap();
        while process::processes().contains(&b) {
            std::thread::yield_now();
        }
        assert_eq!(me.len(), 1, "the signal is there");
        process::unlink(b);
        nothing(&mut me);
    });
}

#[test]
fn p35_spawn_link_with_a_child_that_dies_at_once_shows_its_real_reason() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        for _ in 0..20 {
            let b = process::spawn_link(async |mailbox: Mailbox<()>| process::exit(mailbox.pid(), custom()));
            assert_eq!(next::<Exit>(&mut me).await, Exit { from: b.pid(), reason: custom() });
        }
    });
}

#[test]
fn p37_p73_exit_and_down_go_out_only_after_name_state_and_locals_are_gone() {
    /// Looks, while its process ends, at what others can see of that. (A panic here would be caught and fail nothing.)
    struct Held(&'static str, Pid, Pid, Log<(&'static str, bool, Option<Pid>, usize)>);
    impl Drop for Held {
        fn drop(&mut self) {
            let Held(what, own, linked, log) = self;
            let signals = process::process_info(*linked).unwrap().message_queue_len;
            log.add((*what, process::is_alive(*own), process::whereis("p37"), signals));
        }
    }
    everywhere(|mut me| async move {
        me.trap_exits(true);
        for _ in 0..5 {
            let log = Log::default();
            let given = log.clone();
            let home = me.pid();
            let b = process::spawn_link(async move |mut mailbox: Mailbox<()>| {
                let _held = Held("state", mailbox.pid(), home, given.clone());
                process::local::put(Held("local", mailbox.pid(), home, given));
                mailbox.receive().await;
            });
            process::register("p37", b.pid()).unwrap();
            let monitor = me.monitor(b.pid());
            // Its body must have run for there to be something to drop.
            while process::process_info(b.pid()).unwrap().status != process::ProcessStatus::Waiting {
                process::yield_now().await;
            }
            process::exit(b.pid(), custom());
            let mut signals = 0;
            while signals < 2 {
                let message = me.receive().await;
                assert!(
                    message.is::<Exit>() || message.downcast::<Down>().is_ok_and(|d| d.monitor == monitor)
                );
                signals += 1;
                assert_eq!(log.all(), [("state", false, None, 0), ("local", false, None, 0)]);
                assert_eq!(process::whereis("p37"), None);
                assert!(process::registered().is_empty());
            }
        }
    });
}

#[test]
fn two_processes_that_link_with_each_other_at_the_same_moment_are_linked() {
    on_real_runtimes(|mut me| async move {
        for round in 0..300 {
            let home = me.pid();
            let linker = async move |mut mailbox: Mailbox<Pid>| {
                let other = mailbox.receive().await;
                process::link(other).unwrap();
                process::send(home, "linked");
                mailbox.receive().await;
            };
            let (a, b) = (process::spawn(linker), process::spawn(linker));
            a.send(b.pid());
            b.send(a.pid());
            me.receive_as::<&str>().await;
            me.receive_as::<&str>().await;
            let monitors = [me.monitor(a.pid()), me.monitor(b.pid())];
            process::exit(if round % 2 == 0 { a.pid() } else { b.pid() }, custom());
            for monitor in monitors {
                assert_eq!(down(&mut me, monitor).await.reason, custom());
            }
        }
    });
}

#[test]
fn racing_link_unlink_and_exit_leave_no_half_links() {
    on_real_runtimes(|mut me| async move {
        for round in 0..100u64 {
            let home = me.pid();
            let juggler = move |seed: u64| {
                async move |mut mailbox: Mailbox<Pid>| {
                    let other = mailbox.receive().await;
                    let mut n = seed;
                    for _ in 0..50 {
                        n = n.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        if n >> 62 == 0 { process::unlink(other) } else { process::link(other).unwrap() }
                    }
                    process::send(home, "done");
                    mailbox.receive().await;
                }
            };
            let (a, b) = (process::spawn(juggler(round)), process::spawn(juggler(!round)));
            a.send(b.pid());
            b.send(a.pid());
            me.receive_as::<&str>().await;
            me.receive_as::<&str>().await;
            let links = |pid| process::process_info(pid).unwrap().links;
            let linked = links(a.pid()) == [b.pid()];
            assert_eq!(links(b.pid()) == [a.pid()], linked, "both ends agree");
            let monitors = [me.monitor(a.pid()), me.monitor(b.pid())];
            process::exit(a.pid(), custom());
            assert_eq!(down(&mut me, monitors[0]).await.reason, custom());
            if !linked {
                process::exit(b.pid(), ExitReason::Shutdown);
            }
            assert_eq!(
                down(&mut me, monitors[1]).await.reason,
                if linked { custom() } else { ExitReason::Shutdown }
            );
        }
    });
}
