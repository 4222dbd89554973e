//! Proves what links, monitors and ends leave true at their edges: room in bounded mailboxes, kills after other ends, mailboxes in wrong hands.

mod common;

use common::lab::*;
use common::*;
use purlin_core::process::{MonitorOptions, SpawnOptions};
use purlin_core::*;

/// A process with room for `capacity` messages that refuses one too many. It monitors `target`, says so, and leaves everything where it is
/// until it is told to demonitor; then it says whether there was anything to take out, and goes on.
fn bounded(capacity: usize, target: Pid, home: Pid) -> Address<AnyMsg> {
    let mailbox = Some(MailboxBound::new(capacity, Overflow::Reject));
    process::spawn_with(
        SpawnOptions { mailbox, ..SpawnOptions::default() },
        async move |mut mailbox: Mailbox<AnyMsg>| {
            let mut monitor = mailbox.monitor(target);
            process::send(home, "watching");
            loop {
                mailbox.receive_as::<Demonitor>().await;
                process::send(home, mailbox.demonitor(monitor));
                monitor = mailbox.monitor("nobody of this name");
                assert!(mailbox.receive_as::<Down>().await.pid.is_none());
            }
        },
    )
}

struct Demonitor;

/// How many messages a process takes before it refuses one.
async fn room(p: &Address<AnyMsg>) -> usize {
    // It has looked at its mailbox when it has answered, so that signals are messages by now.
    sys::get_status(p.pid()).await.unwrap();
    (0..10).take_while(|n: &u8| p.try_send(AnyMsg::new(*n)).is_ok()).count()
}

#[test]
fn a_down_takes_up_room_once_it_is_a_message() {
    everywhere(|mut me| async move {
        for (ends, room_left) in [(false, 3), (true, 2)] {
            let target = idle();
            let p = bounded(3, target, me.pid());
            me.receive_as::<&str>().await;
            if ends {
                process::exit(target, ExitReason::Kill);
                process::wait(target).await;
            }
            assert_eq!(room(&p).await, room_left, "ended: {ends}");
            process::exit(p.pid(), ExitReason::Kill);
            process::exit(target, ExitReason::Kill);
        }
    });
}

#[test]
fn p47_a_flushed_down_makes_room_and_where_nothing_is_flushed_none_is_made() {
    everywhere(|mut me| async move {
        for (ends, room_left) in [(true, 2), (false, 2)] {
            let target = idle();
            let p = bounded(3, target, me.pid());
            me.receive_as::<&str>().await;
            if ends {
                process::exit(target, ExitReason::Kill);
                process::wait(target).await;
            }
            // One that stays, behind the `Down` if there is one.
            p.try_send(AnyMsg::new(99u8)).unwrap();
            sys::get_status(p.pid()).await.unwrap();
            process::send(p.pid(), Demonitor);
            assert_eq!(next::<bool>(&mut me).await, !ends);
            assert_eq!(room(&p).await, room_left, "ended: {ends}");
            process::exit(p.pid(), ExitReason::Kill);
            process::exit(target, ExitReason::Kill);
        }
    });
}

#[test]
fn a_server_s_flushed_down_makes_room_and_where_nothing_is_flushed_none_is_made() {
    everywhere(|_| async move {
        for ends in [true, false] {
            let bound = MailboxBound::new(3, Overflow::Reject);
            let server = Lab::start(Setup::default()).mailbox(bound).await.unwrap();
            let target = idle();
            let (watching, is_watching) = tokio::sync::oneshot::channel();
            let (go, may_go) = tokio::sync::oneshot::channel();
            let (done, is_done) = tokio::sync::oneshot::channel();
            server.cast(cast_waiting(move |_, cx| {
                Box::pin(async move {
                    let monitor = cx.monitor(target);
                    watching.send(()).unwrap();
                    may_go.await.unwrap();
                    let was_on = cx.demonitor(monitor);
                    done.send((was_on, was_on && cx.demonitor(monitor))).unwrap();
                    std::future::pending().await
                })
            }));
            is_watching.await.unwrap();
            if ends {
                process::exit(target, ExitReason::Kill);
                // A `Down` becomes a message also while a handler waits.
                while process::process_info(server.pid()).unwrap().message_queue_len == 0 {
                    process::yield_now().await;
                }
            }
            server.try_cast(Tell("stays")).unwrap();
            go.send(()).unwrap();
            assert_eq!(is_done.await.unwrap(), (!ends, false));
            let fit = (0..5).take_while(|_| server.try_cast(Tell("more")).is_ok()).count();
            assert_eq!(fit, 2, "ended: {ends}");
            process::exit(server.pid(), ExitReason::Kill);
            process::exit(target, ExitReason::Kill);
        }
    });
}

#[test]
fn a_demonitor_of_what_is_neither_on_nor_there_makes_no_room() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let mailbox = Some(MailboxBound::new(2, Overflow::Reject));
        let p = process::spawn_with(
            SpawnOptions { mailbox, ..SpawnOptions::default() },
            async move |mut mailbox: Mailbox<AnyMsg>| {
                let monitor = mailbox.monitor(home);
                assert!(mailbox.demonitor(monitor));
                mailbox.receive_as::<Demonitor>().await;
                assert!(!mailbox.demonitor(monitor));
                process::send(home, "done");
                mailbox.receive_as::<Demonitor>().await;
            },
        );
        p.try_send(AnyMsg::new(1u8)).unwrap();
        p.try_send(AnyMsg::new(Demonitor)).unwrap();
        assert_eq!(next::<&str>(&mut me).await, "done");
        assert_eq!(room(&p).await, 1);
        process::exit(p.pid(), ExitReason::Kill);
    });
}

#[test]
fn p6_a_kill_counts_even_after_another_exit_has_been_decided() {
    everywhere(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async |mut mailbox: Mailbox<()>| {
            process::exit(mailbox.pid(), ExitReason::custom("first"));
            // It looks into its mailbox, so that it is to end with that reason at its next await.
            assert!(mailbox.try_receive().is_none());
            process::exit(mailbox.pid(), ExitReason::Kill);
            mailbox.receive().await;
        });
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
    });
}

#[test]
fn monitors_and_aliases_are_the_mailbox_s_own_process_s_to_make_and_to_end() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let target = idle();
        let owner = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
            let made = (mailbox.monitor(target), mailbox.alias(AliasMode::ExplicitUnalias));
            process::send(home, (mailbox, made));
            std::future::pending().await
        });
        let (mut stolen, (monitor, alias)) =
            next::<(Mailbox<AnyMsg>, (MonitorRef, process::Alias<AnyMsg>))>(&mut me).await;
        let mut refused = 0;
        let mut check = |act: &mut dyn FnMut(&mut Mailbox<AnyMsg>)| {
            let act = std::panic::AssertUnwindSafe(|| act(&mut stolen));
            refused += usize::from(std::panic::catch_unwind(act).is_err());
        };
        check(&mut |mailbox| _ = mailbox.monitor(target));
        check(&mut |mailbox| _ = mailbox.monitor_with(target, MonitorOptions::default()));
        check(&mut |mailbox| _ = mailbox.demonitor(monitor));
        check(&mut |mailbox| _ = mailbox.alias(AliasMode::Reply));
        check(&mut |mailbox| _ = mailbox.unalias(&alias));
        assert_eq!(refused, 5);
        assert_eq!(process::process_info(owner.pid()).unwrap().monitors, [target], "nothing has changed");
        process::exit(owner.pid(), ExitReason::Kill);
        process::exit(target, ExitReason::Kill);
    });
}

#[test]
fn p27_linking_again_while_the_exit_of_the_link_is_on_its_way_changes_nothing() {
    run(Run::Real { workers: 2, path: CallPath::Adaptive }, |mut me| async move {
        me.trap_exits(true);
        for _ in 0..50 {
            let p = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
            process::exit(p, ExitReason::Kill);
            // It ends on the other thread, while nothing is taken out of this one's mailbox.
            while process::processes().contains(&p) {
                std::hint::spin_loop();
            }
            process::link(p).unwrap();
            assert_eq!(next::<Exit>(&mut me).await, Exit { from: p, reason: ExitReason::Killed });
            nothing(&mut me);
        }
    });
}

#[test]
fn p30_one_who_never_had_a_link_or_a_monitor_is_told_that_it_links_with_the_dead() {
    everywhere(|mut me| async move {
        let dead = idle();
        process::exit(dead, ExitReason::Kill);
        let _ = end_of(&mut me, dead).await;
        let home = me.pid();
        let p = process::spawn(async move |mut mailbox: Mailbox<()>| {
            process::send(home, process::link(dead).is_err());
            mailbox.receive().await;
        });
        assert!(next::<bool>(&mut me).await);
        process::exit(p.pid(), ExitReason::Kill);
    });
}

#[test]
fn a_start_that_is_refused_because_of_its_name_leaves_no_link() {
    everywhere(|mut me| async move {
        process::register("taken", me.pid()).unwrap();
        for trap in [false, true] {
            me.trap_exits(trap);
            let refused = Lab::start_link(Setup::default()).name("taken").await.unwrap_err();
            assert_eq!(refused, StartError::AlreadyStarted(me.pid()));
            assert_eq!(process::process_info(me.pid()).unwrap().links, [], "trapping: {trap}");
            // Signals are applied now, and none was one that ends it, or becomes a message.
            process::yield_now().await;
            nothing(&mut me);
        }
    });
}

#[test]
fn the_down_of_one_that_is_found_gone_comes_behind_what_it_sent() {
    in_simulation(|mut me| async move {
        let home = me.pid();
        let gone = process::spawn(async move |_: Mailbox<()>| {
            for n in 1..=2u8 {
                process::send(home, n);
            }
        });
        // Under some schedules it has ended by then, and what it sent is still on its way.
        for _ in 0..3 {
            process::yield_now().await;
        }
        let monitor = me.monitor(gone.pid());
        assert_eq!(next::<u8>(&mut me).await, 1);
        assert_eq!(next::<u8>(&mut me).await, 2);
        assert_eq!(next::<Down>(&mut me).await.monitor, monitor);
    });
}
