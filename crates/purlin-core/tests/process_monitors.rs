//! Proves that monitors and aliases tell and forward exactly once and only while they are on (P38 to P60).

mod common;

use common::*;
use purlin_core::process::{MonitorAlias, MonitorOptions};
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom("monitored")
}

/// Everybody who watches `pid`.
fn watchers(pid: Pid) -> Vec<Pid> {
    process::process_info(pid).unwrap().monitored_by
}

#[test]
fn p38_down_carries_reference_target_as_given_pid_and_reason() {
    everywhere(|mut me| async move {
        let p = idle();
        let monitor = me.monitor(p);
        assert_eq!(process::process_info(me.pid()).unwrap().monitors, [p]);
        assert_eq!(watchers(p), [me.pid()]);
        process::exit(p, custom());
        let down: Down = next(&mut me).await;
        assert_eq!(
            down,
            Down { monitor, target: MonitorTarget::Pid(p), pid: Some(p), reason: custom(), tag: None }
        );
        assert_eq!(process::process_info(me.pid()).unwrap().monitors, []);
    });
}

#[test]
fn p38_the_free_function_and_the_mailbox_s_method_do_the_same() {
    everywhere(|mut me| async move {
        let p = idle();
        let monitors = [process::monitor(p), me.monitor(p)];
        process::exit(p, custom());
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, custom());
        }
    });
}

#[test]
fn p39_n_monitors_of_one_target_yield_n_downs_with_distinct_references() {
    everywhere(|mut me| async move {
        let p = idle();
        process::register("p39", p).unwrap();
        let mut monitors: Vec<_> =
            (0..20).map(|n| if n % 2 == 0 { me.monitor(p) } else { me.monitor("p39") }).collect();
        process::exit(p, custom());
        let mut seen = Vec::new();
        for _ in 0..20 {
            seen.push(next::<Down>(&mut me).await.monitor);
        }
        nothing(&mut me);
        seen.sort_unstable();
        seen.dedup();
        monitors.sort_unstable();
        assert_eq!(seen, monitors);
    });
}

#[test]
fn p40_monitoring_what_is_not_there_yields_noproc_as_a_message() {
    everywhere(|mut me| async move {
        let p = idle();
        process::exit(p, ExitReason::Kill);
        let _ = end_of(&mut me, p).await;
        let foreign = Pid::from_parts(999_999, 1, 1);
        for target in [MonitorTarget::Pid(p), "nobody".into(), foreign.into()] {
            let monitor = me.monitor(target.clone());
            let down: Down = next(&mut me).await;
            assert_eq!((down.monitor, down.target, down.reason), (monitor, target, ExitReason::NoProc));
        }
    });
}

#[test]
fn p41_monitoring_by_name_reports_the_name_even_after_it_has_moved() {
    everywhere(|mut me| async move {
        let (first, second) = (idle(), idle());
        process::register("p41", first).unwrap();
        let monitor = me.monitor("p41");
        process::unregister("p41").unwrap();
        process::register("p41", second).unwrap();
        process::exit(second, custom());
        let _ = end_of(&mut me, second).await;
        nothing(&mut me);
        process::exit(first, ExitReason::Shutdown);
        let down: Down = next(&mut me).await;
        assert_eq!((down.monitor, down.reason), (monitor, ExitReason::Shutdown));
        assert_eq!((down.target, down.pid), (MonitorTarget::from("p41"), Some(first)));
    });
}

#[test]
fn p44_monitoring_oneself_returns_a_reference_and_never_a_down() {
    everywhere(|mut me| async move {
        let a = me.monitor(me.pid());
        let b = me.monitor(me.pid());
        assert_ne!(a, b);
        assert_eq!(watchers(me.pid()), []);
        assert!(!me.demonitor(a));
        nothing(&mut me);
    });
}

#[test]
fn p45_a_monitor_fires_once() {
    everywhere(|mut me| async move {
        let p = idle();
        let monitor = me.monitor(p);
        process::exit(p, custom());
        process::exit(p, ExitReason::Kill);
        assert_eq!(next::<Down>(&mut me).await.monitor, monitor);
        assert_eq!(process::wait(p).await, ExitReason::NoProc);
        nothing(&mut me);
    });
}

#[test]
fn p47_after_demonitor_with_flush_no_down_of_that_monitor_is_there_or_comes() {
    everywhere(|mut me| async move {
        let p = idle();
        let (kept, gone) = (me.monitor(p), me.monitor(p));
        process::exit(p, custom());
        let _ = process::wait(p).await;
        // Both are in the mailbox now; make the process look at it, so that they are messages and no signals any more.
        assert!(try_receive_as::<u8>(&mut me).await.is_none());
        assert!(!me.demonitor(gone));
        assert_eq!(next::<Down>(&mut me).await.monitor, kept);
        nothing(&mut me);
    });
}

#[test]
fn p47_flush_works_for_a_down_that_was_converted_into_the_mailbox_s_own_type() {
    #[derive(Debug, PartialEq)]
    enum Msg {
        Note(u8),
        Down(MonitorRef),
    }
    impl From<Down> for Msg {
        fn from(down: Down) -> Self {
            Msg::Down(down.monitor)
        }
    }
    everywhere(|mut me| async move {
        let home = me.pid();
        let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<Msg>| {
            let target = idle();
            let (gone, kept) = (mailbox.monitor(target), mailbox.monitor(target));
            process::exit(target, custom());
            let _ = process::wait(target).await;
            process::send(mailbox.pid(), Msg::Note(1));
            // Passes over both, which stay, converted.
            let note = mailbox.receive_map(|m| if m == Msg::Note(1) { Ok(m) } else { Err(m) }).await;
            assert_eq!(note, Msg::Note(1));
            assert!(!mailbox.demonitor(gone));
            assert_eq!(mailbox.receive().await, Msg::Down(kept));
            assert_eq!(mailbox.try_receive(), None);
            process::send(home, ());
        });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        next::<()>(&mut me).await;
    });
}

#[test]
fn p47_the_plain_demonitor_leaves_a_down_that_is_there() {
    everywhere(|mut me| async move {
        let p = idle();
        let monitor = me.monitor(p);
        process::exit(p, custom());
        let _ = process::wait(p).await;
        assert!(try_receive_as::<u8>(&mut me).await.is_none());
        assert!(!process::demonitor(monitor));
        assert_eq!(next::<Down>(&mut me).await.monitor, monitor);
    });
}

#[test]
fn p48_p50_demonitor_tells_whether_the_monitor_was_on_and_may_be_repeated() {
    everywhere(|mut me| async move {
        let p = idle();
        let monitor = me.monitor(p);
        assert!(me.demonitor(monitor));
        assert!(!me.demonitor(monitor));
        assert_eq!(watchers(p), []);
        let monitor = me.monitor(p);
        assert!(process::demonitor(monitor));
        assert!(!process::demonitor(monitor));
        process::exit(p, custom());
        let _ = end_of(&mut me, p).await;
        nothing(&mut me);
        assert!(!me.demonitor(monitor));
    });
}

#[test]
fn p51_a_watcher_that_dies_vanishes_from_monitored_by() {
    everywhere(|mut me| async move {
        let p = idle();
        let home = me.pid();
        let watcher = process::spawn(async move |mut mailbox: Mailbox<Down>| {
            mailbox.monitor(p);
            process::send(home, ());
            mailbox.receive().await;
        });
        me.receive_as::<()>().await;
        assert_eq!(watchers(p), [watcher.pid()]);
        process::exit(watcher.pid(), ExitReason::Kill);
        let _ = end_of(&mut me, watcher.pid()).await;
        assert_eq!(watchers(p), []);
    });
}

#[test]
fn p53_messages_and_downs_of_one_sender_keep_their_order_by_pid_and_by_name() {
    everywhere(|mut me| async move {
        let home = me.pid();
        for _ in 0..10 {
            let p = process::spawn(async move |mut mailbox: Mailbox<()>| {
                mailbox.receive().await;
                (0..10u32).for_each(|n| process::send(home, n));
            });
            process::register("p53", p.pid()).unwrap();
            let monitors = [me.monitor(p.pid()), me.monitor("p53")];
            process::send_named("p53", ()).unwrap();
            for n in 0..10u32 {
                assert_eq!(next::<u32>(&mut me).await, n);
            }
            for _ in monitors {
                assert!(monitors.contains(&next::<Down>(&mut me).await.monitor));
            }
        }
    });
}

#[test]
fn p54_a_tag_comes_back_in_the_down() {
    everywhere(|mut me| async move {
        let p = idle();
        let tag = Some(Term::new("mine"));
        let (monitor, alias) = me.monitor_with(p, MonitorOptions { tag: tag.clone(), alias: None });
        assert!(alias.is_none());
        process::exit(p, custom());
        let down: Down = next(&mut me).await;
        assert_eq!((down.monitor, down.tag), (monitor, tag.clone()));
        let (monitor, _) = me.monitor_with("nobody", MonitorOptions { tag: tag.clone(), alias: None });
        let down: Down = next(&mut me).await;
        assert_eq!((down.monitor, down.tag, down.pid), (monitor, tag, None));
    });
}

#[test]
fn p55_spawn_monitor_of_a_child_that_dies_at_once_gives_its_real_reason() {
    everywhere(|mut me| async move {
        for _ in 0..20 {
            let (p, monitor) =
                process::spawn_monitor(async |mailbox: Mailbox<()>| process::exit(mailbox.pid(), custom()));
            let down: Down = next(&mut me).await;
            assert_eq!((down.monitor, down.pid, down.reason), (monitor, Some(p.pid()), custom()));
            let (p, monitor) = me.spawn_monitor(async |_: Mailbox<()>| {});
            let down: Down = next(&mut me).await;
            assert_eq!((down.monitor, down.pid, down.reason), (monitor, Some(p.pid()), ExitReason::Normal));
        }
    });
}

#[test]
fn p56_a_message_to_an_active_alias_arrives_like_one_to_the_pid() {
    everywhere(|mut me| async move {
        let alias = me.alias(AliasMode::ExplicitUnalias);
        assert_eq!(alias.pid(), me.pid());
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            alias.send(1u8);
            process::send(home, 2u8);
            alias.send(3u8);
        });
        for n in 1..=3u8 {
            assert_eq!(next::<u8>(&mut me).await, n);
        }
    });
}

#[test]
fn p57_after_unalias_nothing_sent_through_it_arrives() {
    everywhere(|mut me| async move {
        let alias = me.alias(AliasMode::ExplicitUnalias);
        assert!(me.unalias(&alias));
        assert!(!me.unalias(&alias));
        alias.send(1u8);
        nothing(&mut me);
    });
}

#[test]
fn p57_a_race_of_unalias_and_send_delivers_or_drops_but_never_later() {
    on_real_runtimes(|mut me| async move {
        for _ in 0..300 {
            let alias = me.alias(AliasMode::ExplicitUnalias);
            let sender = alias.clone();
            let (p, monitor) =
                process::spawn_monitor(async move |_: Mailbox<()>| (0..20u8).for_each(|n| sender.send(n)));
            process::yield_now().await;
            me.unalias(&alias);
            while try_receive_as::<u8>(&mut me).await.is_some() {}
            assert_eq!(down(&mut me, monitor).await.pid, Some(p.pid()));
            nothing(&mut me);
        }
    });
}

#[test]
fn p58_the_first_message_through_a_reply_alias_switches_it_off() {
    everywhere(|mut me| async move {
        let alias = me.alias(AliasMode::Reply);
        alias.send(1u8);
        alias.send(2u8);
        assert_eq!(next::<u8>(&mut me).await, 1);
        nothing(&mut me);
        assert!(!me.unalias(&alias));
    });
}

#[test]
fn p60_an_explicit_alias_survives_demonitor_and_down() {
    everywhere(|mut me| async move {
        let options = MonitorOptions { tag: None, alias: Some(MonitorAlias::ExplicitUnalias) };
        let p = idle();
        let (monitor, alias) = me.monitor_with(p, options.clone());
        let alias = alias.unwrap();
        assert!(me.demonitor(monitor));
        alias.send(1u8);
        assert_eq!(next::<u8>(&mut me).await, 1);
        let (_, second) = me.monitor_with(p, options);
        process::exit(p, custom());
        assert_eq!(next::<Down>(&mut me).await.reason, custom());
        second.as_ref().unwrap().send(2u8);
        assert_eq!(next::<u8>(&mut me).await, 2);
        assert!(me.unalias(&alias));
        assert!(me.unalias(&second.unwrap()));
    });
}

#[test]
fn p60_an_alias_made_with_a_monitor_to_go_with_it_goes_with_it() {
    everywhere(|mut me| async move {
        let options = MonitorOptions { tag: None, alias: Some(MonitorAlias::Demonitor) };
        let p = idle();
        let (monitor, alias) = me.monitor_with(p, options.clone());
        let alias = alias.unwrap();
        alias.send(1u8);
        alias.send(2u8);
        assert_eq!((next::<u8>(&mut me).await, next::<u8>(&mut me).await), (1, 2));
        assert!(me.demonitor(monitor));
        alias.send(3u8);
        nothing(&mut me);
        let (_, alias) = me.monitor_with(p, options);
        process::exit(p, custom());
        assert_eq!(next::<Down>(&mut me).await.reason, custom());
        alias.unwrap().send(4u8);
        nothing(&mut me);
    });
}

#[test]
fn p58_a_message_through_a_reply_alias_of_a_monitor_ends_the_monitor_on_both_sides() {
    everywhere(|mut me| async move {
        let p = idle();
        let (monitor, alias) =
            me.monitor_with(p, MonitorOptions { tag: None, alias: Some(MonitorAlias::ReplyDemonitor) });
        let alias = alias.unwrap();
        alias.send(1u8);
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert_eq!(watchers(p), []);
        assert_eq!(process::process_info(me.pid()).unwrap().monitors, []);
        assert!(!me.demonitor(monitor));
        alias.send(2u8);
        process::exit(p, custom());
        let _ = end_of(&mut me, p).await;
        nothing(&mut me);
    });
}

#[test]
fn down_comes_exactly_once_or_not_at_all_under_racing_monitor_demonitor_and_exit() {
    on_real_runtimes(|mut me| async move {
        for round in 0..400 {
            let p = idle();
            let (killer, killed) =
                process::spawn_monitor(async move |_: Mailbox<()>| process::exit(p, custom()));
            let monitors: Vec<_> = (0..4).map(|_| me.monitor(p)).collect();
            if round % 2 == 0 {
                process::yield_now().await;
            }
            let off = [me.demonitor(monitors[0]), me.demonitor(monitors[1])];
            for (n, monitor) in monitors.iter().enumerate() {
                if n >= 2 {
                    let down = down(&mut me, *monitor).await;
                    assert!(down.reason == custom() || down.reason == ExitReason::NoProc, "{}", down.reason);
                }
            }
            assert_eq!(down(&mut me, killed).await.pid, Some(killer.pid()));
            assert_eq!(process::wait(p).await, ExitReason::NoProc);
            // Flushed or switched off: in both cases none is left.
            let _ = off;
            nothing(&mut me);
        }
    });
}
