//! Proves the cases of links and exit signals that OTP's documentation implies and the numbered statements do not spell out: races of
//! `link`, `unlink` and exits, links that are made again, flags that change in between.

mod common;
mod subtle_support;

use common::lab::*;
use common::*;
use purlin_core::*;
use subtle_support::*;

fn custom() -> ExitReason {
    ExitReason::custom("end")
}

/// A process that ends for `custom` when it gets a message.
fn fuse() -> Address<()> {
    process::spawn(async |mut mailbox: Mailbox<()>| {
        mailbox.receive().await;
        process::exit(mailbox.pid(), custom());
    })
}

/// Takes the exits out of the mailbox that are there.
fn exits(me: &mut Me) -> Vec<Exit> {
    std::iter::from_fn(|| me.try_receive_map(|message| message.downcast::<Exit>())).collect()
}

#[test]
fn p32_what_unlink_left_in_the_mailbox_is_all_there_is_whenever_the_peer_ends() {
    explored(|mut me| async move {
        me.trap_exits(true);
        for n in 0..6 {
            let peer = fuse();
            process::link(peer.pid()).unwrap();
            let monitor = me.monitor(peer.pid());
            peer.send(());
            steps(n).await;
            process::unlink(peer.pid());
            // The documented idiom: an EXIT that came before the unlink may be in the mailbox; none comes afterwards.
            let before = exits(&mut me);
            assert!(before.len() <= 1 && before.iter().all(|exit| exit.reason == custom()), "{before:?}");
            let down = down(&mut me, monitor).await;
            assert_eq!(down.reason, custom());
            nothing(&mut me);
        }
    });
}

#[test]
fn p32_an_unlink_whose_peer_is_ending_saves_a_process_that_does_not_trap() {
    explored(|mut me| async move {
        for n in 0..6 {
            let (bystander, end) = me.spawn_monitor(async move |mut mailbox: Mailbox<Pid>| {
                let peer = mailbox.receive().await;
                process::link(peer).ok();
                process::unlink(peer);
                // From here on nothing that the peer does may end this process.
                mailbox.receive().await;
            });
            let peer = fuse();
            let peer_end = me.monitor(peer.pid());
            bystander.send(peer.pid());
            steps(n).await;
            peer.send(());
            down(&mut me, peer_end).await;
            bystander.send(me.pid());
            let reason = down(&mut me, end).await.reason;
            // Between link and unlink it may die; it never does so afterwards, and never for a reason of its own.
            assert!(reason == ExitReason::Normal || reason == custom(), "{reason}");
        }
    });
}

#[test]
fn p27_p32_a_link_made_again_after_unlink_counts_once_and_the_exit_of_the_old_one_never() {
    explored(|mut me| async move {
        me.trap_exits(true);
        for n in 0..6 {
            let peer = fuse();
            process::link(peer.pid()).unwrap();
            if n % 2 == 0 {
                peer.send(());
            }
            steps(n).await;
            process::unlink(peer.pid());
            exits(&mut me);
            process::link(peer.pid()).unwrap();
            peer.send(());
            // The new link tells once: the real reason, or that there was nobody to link with any more.
            let exit = me.receive_as::<Exit>().await;
            assert_eq!(exit.from, peer.pid());
            assert!(exit.reason == custom() || exit.reason == ExitReason::NoProc, "{}", exit.reason);
            let monitor = me.monitor(peer.pid());
            down(&mut me, monitor).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn p27_two_processes_that_link_each_other_at_the_same_time_have_one_link() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let home = me.pid();
        let gate = Gate::default();
        let started = gate.clone();
        let peer = process::spawn(async move |mut mailbox: Mailbox<()>| {
            started.pass().await;
            process::link(home).unwrap();
            process::send(home, "linked");
            mailbox.receive().await;
            process::exit(mailbox.pid(), custom());
        });
        gate.open();
        process::link(peer.pid()).unwrap();
        me.receive_as::<&str>().await;
        assert_eq!(process::process_info(home).unwrap().links, [peer.pid()]);
        assert_eq!(process::process_info(peer.pid()).unwrap().links, [home]);
        let monitor = me.monitor(peer.pid());
        peer.send(());
        assert_eq!(me.receive_as::<Exit>().await, Exit { from: peer.pid(), reason: custom() });
        down(&mut me, monitor).await;
        nothing(&mut me);
    });
}

#[test]
fn p27_p32_whoever_links_and_unlinks_at_the_same_time_both_sides_agree_in_the_end() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let home = me.pid();
        for n in 0..6 {
            let peer = process::spawn(async move |mut mailbox: Mailbox<()>| {
                for i in 0..4 {
                    if (i + n) % 3 == 0 {
                        process::unlink(home);
                    } else {
                        process::link(home).unwrap();
                    }
                    process::yield_now().await;
                }
                process::send(home, "done");
                mailbox.receive().await;
                process::exit(mailbox.pid(), custom());
            });
            for i in 0..4 {
                if (i * n) % 2 == 0 {
                    process::link(peer.pid()).unwrap();
                } else {
                    process::unlink(peer.pid());
                }
                process::yield_now().await;
            }
            me.receive_as::<&str>().await;
            let mine = process::process_info(home).unwrap().links;
            let theirs = process::process_info(peer.pid()).unwrap().links;
            assert_eq!(mine == [peer.pid()], theirs == [home], "{mine:?} {theirs:?}");
            let monitor = me.monitor(peer.pid());
            peer.send(());
            down(&mut me, monitor).await;
            let told = exits(&mut me);
            assert_eq!(told.len(), mine.len(), "{told:?}");
        }
    });
}

#[test]
fn p29_p30_linking_with_a_process_in_the_moment_of_its_end_tells_exactly_once() {
    explored(|mut me| async move {
        me.trap_exits(true);
        for n in 0..6 {
            let peer = fuse();
            peer.send(());
            steps(n).await;
            process::link(peer.pid()).unwrap();
            let exit = me.receive_as::<Exit>().await;
            assert_eq!(exit.from, peer.pid());
            assert!(exit.reason == custom() || exit.reason == ExitReason::NoProc, "{}", exit.reason);
            let monitor = me.monitor(peer.pid());
            down(&mut me, monitor).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn p30_without_trapping_the_same_race_ends_the_linker_or_is_its_error() {
    explored(|mut me| async move {
        for n in 0..6 {
            let peer = fuse();
            peer.send(());
            let target = peer.pid();
            let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<()>| {
                steps(n).await;
                match process::link(target) {
                    // Then its end is ours.
                    Ok(()) => mailbox.receive().await,
                    Err(_) => process::exit(mailbox.pid(), ExitReason::shutdown_with("no process")),
                }
            });
            let reason = down(&mut me, monitor).await.reason;
            assert!(reason == custom() || reason == ExitReason::shutdown_with("no process"), "{reason}");
        }
    });
}

#[test]
fn p18_a_signal_sent_after_the_target_said_that_it_traps_is_a_message_and_after_it_said_the_opposite_is_fatal()
 {
    explored(|mut me| async move {
        let home = me.pid();
        let (target, monitor) = me.spawn_monitor(async move |mut mailbox: Mailbox<AnyMsg>| {
            for round in 0..6 {
                mailbox.trap_exits(round % 2 == 0);
                process::send(home, round % 2 == 0);
                if round % 2 == 0 {
                    let exit = mailbox.receive_as::<Exit>().await;
                    assert_eq!(exit.reason, custom());
                }
            }
            std::future::pending::<()>().await;
        });
        for _ in 0..3 {
            // What it says while it traps no longer counts for the next signal; only the answer of its last round does.
            while !me.receive_as::<bool>().await {}
            process::exit(target.pid(), custom());
        }
        while me.receive_as::<bool>().await {}
        process::exit(target.pid(), ExitReason::error("fatal"));
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::error("fatal"));
    });
}

#[test]
fn p18_one_that_stops_trapping_before_it_looks_at_the_signal_dies_or_has_the_message_already() {
    explored(|mut me| async move {
        let home = me.pid();
        for n in 0..6 {
            let (target, monitor) = me.spawn_monitor(async move |mut mailbox: Mailbox<AnyMsg>| {
                mailbox.trap_exits(true);
                process::send(home, "trapping");
                steps(n).await;
                mailbox.trap_exits(false);
                let early = mailbox.try_receive_map(|message| message.downcast::<Exit>());
                process::send(home, early.is_some());
                mailbox.receive_as::<&str>().await;
            });
            me.receive_as::<&str>().await;
            process::exit(target.pid(), custom());
            target.send("end");
            let reason = down(&mut me, monitor).await.reason;
            let converted = try_receive_as::<bool>(&mut me).await;
            // The signal is a message or a death, never both and never neither.
            match converted {
                Some(true) => assert_eq!(reason, ExitReason::Normal),
                Some(false) | None => assert_eq!(reason, custom()),
            }
        }
    });
}

#[test]
fn p11_exit_of_oneself_with_normal_is_a_message_for_one_that_traps() {
    explored(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.trap_exits(true);
            process::exit(mailbox.pid(), ExitReason::Normal);
            let exit = mailbox.receive_as::<Exit>().await;
            assert_eq!(exit, Exit { from: mailbox.pid(), reason: ExitReason::Normal });
            process::exit(mailbox.pid(), custom());
            assert_eq!(mailbox.receive_as::<Exit>().await.reason, custom());
        });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn p14_of_two_fatal_signals_from_one_sender_the_first_is_the_reason() {
    explored(|mut me| async move {
        let (target, monitor) = me.spawn_monitor(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        process::exit(target.pid(), ExitReason::error("first"));
        process::exit(target.pid(), ExitReason::error("second"));
        target.send(());
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::error("first"));
    });
}

#[test]
fn p6_everybody_is_told_the_same_reason_when_a_kill_meets_another_end() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let home = me.pid();
        for n in 0..6 {
            let target = process::spawn_link(async |mut mailbox: Mailbox<()>| {
                mailbox.receive().await;
                process::exit(mailbox.pid(), custom());
            });
            let by_pid = me.monitor(target.pid());
            let victim = target.pid();
            process::spawn(async move |_: Mailbox<()>| {
                steps(n).await;
                process::exit(victim, ExitReason::Kill);
                process::send(home, "killed");
            });
            target.send(());
            let down = down(&mut me, by_pid).await;
            let exit = me.receive_as::<Exit>().await;
            me.receive_as::<&str>().await;
            assert!(down.reason == custom() || down.reason == ExitReason::Killed, "{}", down.reason);
            assert_eq!(exit.reason, down.reason);
            assert!(!process::is_alive(victim));
            nothing(&mut me);
        }
    });
}

#[test]
fn p26_a_link_s_killed_is_an_ordinary_reason_that_one_who_traps_survives() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let middle = process::spawn_link(async |mut mailbox: Mailbox<()>| {
            let leaf = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
            process::exit(leaf.pid(), ExitReason::Kill);
            mailbox.receive().await;
        });
        let exit = me.receive_as::<Exit>().await;
        assert_eq!(exit, Exit { from: middle.pid(), reason: ExitReason::Killed });
        nothing(&mut me);
    });
}

#[test]
fn p6_p26_a_reason_kill_that_comes_over_a_link_is_no_kill() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let server = Lab::start_link(Setup::default()).await.unwrap();
        let (plain, monitor) = me.spawn_monitor(async |mut mailbox: Mailbox<Pid>| {
            let other = mailbox.receive().await;
            process::link(other).unwrap();
            mailbox.receive().await;
        });
        plain.send(server.pid());
        until(|| process::process_info(server.pid()).unwrap().links.len() == 2).await;
        // The server ends itself with this reason; only an exit signal that somebody sends with it is a kill.
        server.cast(casting(|_, cx| cx.stop(ExitReason::Kill)));
        assert_eq!(me.receive_as::<Exit>().await, Exit { from: server.pid(), reason: ExitReason::Kill });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Kill);
    });
}

#[test]
fn p21_a_ring_of_links_ends_as_one_whatever_the_order_and_each_for_the_first_reason() {
    explored(|mut me| async move {
        let members: Vec<_> = (0..4)
            .map(|_| {
                me.spawn_monitor(async move |mut mailbox: Mailbox<Option<Pid>>| {
                    while let Some(next) = mailbox.receive().await {
                        process::link(next).unwrap();
                    }
                    process::exit(mailbox.pid(), custom());
                })
            })
            .collect();
        for i in 0..4 {
            members[i].0.send(Some(members[(i + 1) % 4].0.pid()));
        }
        for (member, _) in &members {
            until(|| process::process_info(member.pid()).is_none_or(|info| info.links.len() == 2)).await;
        }
        members[2].0.send(None);
        for (_, monitor) in &members {
            assert_eq!(down(&mut me, *monitor).await.reason, custom());
        }
    });
}
