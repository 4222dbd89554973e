//! Proves the cases of monitors, names and waiting that OTP's documentation implies and the numbered statements do not spell out: monitors
//! set and taken away in the moment of death, what is free when somebody hears of an end, receives with a limit of 0.

mod common;
mod subtle_support;

use common::lab::*;
use common::*;
use purlin_core::process::MonitorTarget;
use purlin_core::*;
use std::time::Duration;
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

/// Takes the downs out of the mailbox that are there.
fn downs(me: &mut Me) -> Vec<Down> {
    std::iter::from_fn(|| me.try_receive_map(|message| message.downcast::<Down>())).collect()
}

#[test]
fn p40_p45_a_monitor_set_in_the_moment_of_death_fires_once_with_the_reason_or_noproc() {
    explored(|mut me| async move {
        let home = me.pid();
        let target = fuse();
        for n in 0..4 {
            let pid = target.pid();
            process::spawn(async move |mut mailbox: Me| {
                steps(n).await;
                let monitor = mailbox.monitor(pid);
                let reason = down(&mut mailbox, monitor).await.reason;
                // Everything that this one could get has been sent before `pid` was gone.
                until(|| !process::processes().contains(&pid)).await;
                process::send(home, (reason, downs(&mut mailbox).len()));
            });
        }
        target.send(());
        for _ in 0..4 {
            let (reason, more) = me.receive_as::<(ExitReason, usize)>().await;
            assert!(reason == custom() || reason == ExitReason::NoProc, "{reason}");
            assert_eq!(more, 0);
        }
    });
}

#[test]
fn p40_one_process_that_monitors_again_and_again_never_hears_a_reason_after_noproc() {
    explored(|mut me| async move {
        let target = fuse();
        target.send(());
        let monitors: Vec<MonitorRef> = {
            let mut all = Vec::new();
            for _ in 0..6 {
                all.push(me.monitor(target.pid()));
                steps(1).await;
            }
            all
        };
        let mut reasons = Vec::new();
        for monitor in monitors {
            reasons.push(down(&mut me, monitor).await.reason);
        }
        let first_noproc = reasons.iter().position(|r| *r == ExitReason::NoProc).unwrap_or(reasons.len());
        assert!(reasons[..first_noproc].iter().all(|r| *r == custom()), "{reasons:?}");
        assert!(reasons[first_noproc..].iter().all(|r| *r == ExitReason::NoProc), "{reasons:?}");
        nothing(&mut me);
    });
}

#[test]
fn p48_a_plain_demonitor_that_says_no_has_left_the_down_in_the_mailbox_and_one_that_says_yes_never_will() {
    explored(|mut me| async move {
        for n in 0..6 {
            let target = fuse();
            let monitor = me.monitor(target.pid());
            let witness = me.monitor(target.pid());
            target.send(());
            steps(n).await;
            if process::demonitor(monitor) {
                assert_eq!(down(&mut me, witness).await.reason, custom());
                until(|| !process::processes().contains(&target.pid())).await;
            } else {
                let there = me.try_receive_map(|message| match message.downcast::<Down>() {
                    Ok(down) if down.monitor == monitor => Ok(down),
                    Ok(down) => Err(AnyMsg::new(down)),
                    Err(other) => Err(other),
                });
                assert_eq!(there.unwrap().reason, custom());
                down(&mut me, witness).await;
            }
            nothing(&mut me);
        }
    });
}

#[test]
fn p47_a_flushing_demonitor_in_the_moment_of_death_leaves_nothing_of_its_own_and_everything_of_others() {
    explored(|mut me| async move {
        for n in 0..6 {
            let target = fuse();
            let [first, second] = [me.monitor(target.pid()), me.monitor(target.pid())];
            target.send(());
            steps(n).await;
            me.demonitor(first);
            assert_eq!(down(&mut me, second).await.reason, custom());
            until(|| !process::processes().contains(&target.pid())).await;
            nothing(&mut me);
            assert!(!me.demonitor(first));
        }
    });
}

#[test]
fn p45_a_monitor_set_again_after_demonitor_is_another_one() {
    explored(|mut me| async move {
        for n in 0..6 {
            let target = fuse();
            let old = me.monitor(target.pid());
            target.send(());
            steps(n).await;
            me.demonitor(old);
            let new = me.monitor(target.pid());
            assert_ne!(old, new);
            let reason = down(&mut me, new).await.reason;
            assert!(reason == custom() || reason == ExitReason::NoProc, "{reason}");
            until(|| !process::processes().contains(&target.pid())).await;
            nothing(&mut me);
        }
    });
}

#[test]
fn p51_a_watcher_and_its_target_may_end_at_the_same_time() {
    explored(|mut me| async move {
        let [a, b] = [fuse(), fuse()];
        let watch = |of: Pid, at: Pid| {
            process::spawn(async move |mut mailbox: Me| {
                mailbox.monitor(of);
                process::link(at).ok();
                mailbox.receive_as::<()>().await;
            })
        };
        let watchers = [watch(a.pid(), b.pid()), watch(b.pid(), a.pid())];
        let ends = watchers.each_ref().map(|watcher| me.monitor(watcher.pid()));
        a.send(());
        b.send(());
        for (watcher, end) in watchers.iter().zip(ends) {
            // One may have come too late for a link; its message is for that case.
            process::send(watcher.pid(), ());
            down(&mut me, end).await;
        }
        for target in [a, b] {
            until(|| !process::processes().contains(&target.pid())).await;
        }
    });
}

#[test]
fn p37_p73_p75_whoever_hears_of_an_end_first_finds_the_name_free() {
    explored(|mut me| async move {
        const NAME: Name<Lab> = Name::new("heir");
        let home = me.pid();
        let server = Lab::start(Setup::default()).name(&NAME).await.unwrap();
        let old = server.pid();
        let ready = Gate::default();
        // Each of them learns of the end in another way, and then claims the name.
        for way in 0..4 {
            let (server, ready) = (server.clone(), ready.clone());
            process::spawn(async move |mut mailbox: Me| {
                let heard: Result<(), String> = match way {
                    0 => {
                        let monitor = mailbox.monitor(old);
                        process::send(home, "ready");
                        down(&mut mailbox, monitor).await;
                        Ok(())
                    },
                    1 => {
                        mailbox.trap_exits(true);
                        process::link(old).unwrap();
                        process::send(home, "ready");
                        mailbox.receive_as::<Exit>().await;
                        Ok(())
                    },
                    2 => {
                        process::send(home, "ready");
                        ready.pass().await;
                        server.stop().await.or_else(|error| match error {
                            StopError::NoProc | StopError::Exit(ExitReason::Normal) => Ok(()),
                            other => Err(other.to_string()),
                        })
                    },
                    _ => {
                        process::send(home, "ready");
                        server
                            .call(Hold)
                            .infinity()
                            .await
                            .map_or_else(|_| Ok(()), |n| Err(format!("answered {n}")))
                    },
                };
                let alive = process::is_alive(old);
                let name = process::whereis("heir") == Some(old);
                let started = Lab::start(Setup::default()).name(&NAME).await.map(|server| server.pid());
                process::send(home, (heard, alive, name, started));
            });
        }
        for _ in 0..4 {
            me.receive_as::<&str>().await;
        }
        ready.open();
        let mut winners = 0;
        for _ in 0..4 {
            type Report = (Result<(), String>, bool, bool, Result<Pid, StartError>);
            let (heard, alive, named, started) = me.receive_as::<Report>().await;
            assert_eq!((heard, alive, named), (Ok(()), false, false));
            match started {
                Ok(_) => winners += 1,
                Err(StartError::AlreadyStarted(pid)) => assert_ne!(pid, old),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1);
    });
}

#[test]
fn p76_a_server_in_terminate_is_alive_and_has_its_name_and_in_drop_it_is_neither() {
    explored(|mut me| async move {
        let (entered, leave) = (Gate::default(), Gate::default());
        let (inside, wait) = (entered.clone(), leave.clone());
        let setup = Setup::default().terminate(move |_, _| {
            Box::pin(async move {
                inside.open();
                wait.pass().await;
            })
        });
        let server = Lab::start(setup).name("closing").await.unwrap();
        let monitor = me.monitor(server.pid());
        server.cast(casting(|_, cx| cx.stop(custom())));
        entered.pass().await;
        assert!(server.is_alive());
        assert_eq!(process::whereis("closing"), Some(server.pid()));
        assert!(process::process_info(server.pid()).is_some());
        let taken = Lab::start(Setup::default()).name("closing").await.unwrap_err();
        assert_eq!(taken, StartError::AlreadyStarted(server.pid()));
        leave.open();
        assert_eq!(down(&mut me, monitor).await.reason, custom());
        assert!(!server.is_alive());
        Lab::start(Setup::default()).name("closing").await.unwrap();
    });
}

#[test]
fn p41_a_monitor_by_name_of_one_that_is_ending_tells_its_reason_or_that_nobody_has_the_name() {
    explored(|mut me| async move {
        for n in 0..5 {
            let target = fuse();
            process::register("fading", target.pid()).unwrap();
            target.send(());
            steps(n).await;
            let monitor = me.monitor("fading");
            let down = down(&mut me, monitor).await;
            // It may also have been there when the name was looked up, and gone when the monitor was set.
            let expected = if down.pid.is_some() { custom() } else { ExitReason::NoProc };
            assert!(down.reason == expected || down.reason == ExitReason::NoProc, "{}", down.reason);
            assert_eq!(down.target, MonitorTarget::Name("fading".into()));
            until(|| process::whereis("fading").is_none()).await;
        }
    });
}

#[test]
fn p72_of_two_that_register_one_name_at_the_same_time_one_is_told_that_it_is_taken() {
    explored(|mut me| async move {
        let home = me.pid();
        for _ in 0..2 {
            let gate = Gate::default();
            for n in 0..3 {
                let gate = gate.clone();
                process::spawn(async move |mut mailbox: Mailbox<()>| {
                    gate.pass().await;
                    steps(n).await;
                    let outcome = process::register("one", mailbox.pid());
                    process::send(home, (mailbox.pid(), outcome.is_ok()));
                    mailbox.receive().await;
                });
            }
            gate.open();
            let mut all = Vec::new();
            for _ in 0..3 {
                all.push(me.receive_as::<(Pid, bool)>().await);
            }
            let winners: Vec<Pid> = all.iter().filter(|(_, won)| *won).map(|(pid, _)| *pid).collect();
            assert_eq!(winners.len(), 1);
            assert_eq!(process::whereis("one"), Some(winners[0]));
            for (pid, _) in all {
                let end = me.monitor(pid);
                process::send(pid, ());
                down(&mut me, end).await;
            }
        }
    });
}

#[test]
fn p69_a_name_that_moves_while_it_is_sent_to_never_reaches_the_old_owner_after_the_new_one() {
    explored(|mut me| async move {
        let home = me.pid();
        let owner = |tag: u32| {
            process::spawn(async move |mut mailbox: Mailbox<u32>| {
                loop {
                    let n = mailbox.receive().await;
                    process::send(home, (tag, n));
                }
            })
        };
        let [old, new] = [owner(0), owner(1)];
        process::register("moving", old.pid()).unwrap();
        let (_, sender) = me.spawn_monitor(async |_: Mailbox<()>| {
            for n in 0..8u32 {
                // In the gap nobody has the name.
                let _ = process::send_named("moving", n);
                process::yield_now().await;
            }
        });
        steps(3).await;
        process::unregister("moving").unwrap();
        process::register("moving", new.pid()).unwrap();
        down(&mut me, sender).await;
        // What is on the way comes before what is sent now only from the same sender: so wait for both to have nothing left.
        for owner in [&old, &new] {
            until(|| process::process_info(owner.pid()).is_some_and(|info| info.message_queue_len == 0))
                .await;
        }
        let mut got = Vec::new();
        while let Some(pair) =
            me.receive_map_timeout(secs(1), |message| message.downcast::<(u32, u32)>()).await
        {
            got.push(pair);
        }
        for tag in [0, 1] {
            let own: Vec<u32> = got.iter().filter(|(t, _)| *t == tag).map(|(_, n)| *n).collect();
            assert!(own.is_sorted(), "{got:?}");
        }
        let last_old = got.iter().filter(|(t, _)| *t == 0).map(|(_, n)| *n).max();
        let first_new = got.iter().filter(|(t, _)| *t == 1).map(|(_, n)| *n).min();
        if let (Some(old), Some(new)) = (last_old, first_new) {
            assert!(old < new, "{got:?}");
        }
    });
}

#[test]
fn p70_a_receive_of_0_finds_what_its_own_process_sent_before_and_leaves_the_rest_in_order() {
    explored(|mut me| async move {
        let home = me.pid();
        process::send(home, 1u32);
        process::send(home, "two");
        process::send(home, 3u32);
        process::send(home, "four");
        let text = me.receive_map_timeout(Duration::ZERO, |m| m.downcast::<&str>()).await;
        assert_eq!(text, Some("two"));
        assert_eq!(me.receive_map_timeout(Duration::ZERO, |m| m.downcast::<u64>()).await, None);
        assert_eq!(next::<u32>(&mut me).await, 1);
        assert_eq!(next::<u32>(&mut me).await, 3);
        assert_eq!(next::<&str>(&mut me).await, "four");
        assert!(me.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn p70_a_limit_counts_for_the_whole_receive_however_many_messages_do_not_fit() {
    explored_in_simulation(|mut me| async move {
        let home = me.pid();
        let noise = process::spawn(async move |_: Mailbox<()>| {
            for n in 0..20u32 {
                process::sleep(millis(100)).await;
                process::send(home, n);
            }
        });
        let begin = Node::current().now();
        let found = me.receive_map_timeout(secs(1), |message| message.downcast::<&str>()).await;
        let took = Node::current().now() - begin;
        assert_eq!(found, None);
        assert!(took >= secs(1) && took < millis(1_100), "{took:?}");
        noise.wait().await;
        for n in 0..20 {
            assert_eq!(next::<u32>(&mut me).await, n);
        }
    });
}

#[test]
fn p83_a_timer_cancelled_in_the_moment_it_fires_has_delivered_or_never_will() {
    explored_in_simulation(|mut me| async move {
        for n in 0..4 {
            let timer = process::send_after(me.pid(), millis(10), "late");
            process::sleep(millis(10)).await;
            steps(n).await;
            match process::cancel_timer(timer) {
                Some(_) => {},
                None => assert_eq!(me.receive_as::<&str>().await, "late"),
            }
            process::sleep(secs(1)).await;
            nothing(&mut me);
        }
    });
}
