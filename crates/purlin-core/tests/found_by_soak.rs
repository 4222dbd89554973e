//! Bugs that the soak found in the kernel, each under the schedules that show it.

mod common;

use common::lab::*;
use common::*;
use purlin_core::*;

#[test]
fn linking_again_with_one_that_is_gone_by_now_brings_its_exit_once() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let other = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        process::link(other.pid()).unwrap();
        let pid = other.pid();
        process::spawn(async move |_: Mailbox<()>| process::exit(pid, ExitReason::Kill));
        while process::is_alive(pid) {
            process::yield_now().await;
        }
        // Its exit signal may be on its way, or a message by now: only then is this another link, with one that is gone.
        process::link(pid).unwrap();
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: pid, reason: ExitReason::Killed });
        process::sleep(millis(5)).await;
        if let Some(message) = me.try_receive() {
            assert_eq!(message.downcast::<Exit>().unwrap(), Exit { from: pid, reason: ExitReason::NoProc });
        }
        nothing(&mut me);
    });
}

#[test]
fn a_start_with_a_monitor_that_is_given_up_leaves_no_down_behind() {
    in_simulation(|mut me| async move {
        let setup = Setup::default().init(|_| {
            Box::pin(async {
                process::sleep(secs(10)).await;
                Ok(())
            })
        });
        let started = Lab::start(setup).timeout(secs(1)).monitor().await;
        assert_eq!(started.unwrap_err(), StartError::Timeout);
        process::sleep(secs(1)).await;
        nothing(&mut me);
        // The same for one that is dropped, at any time.
        for wait in 0..4 {
            let setup = Setup::default().init(move |_| {
                Box::pin(async move {
                    for _ in 0..wait {
                        process::yield_now().await;
                    }
                    Ok(())
                })
            });
            let mut starting = Box::pin(Lab::start(setup).monitor());
            if poll_once(&mut starting).await.is_none() {
                process::yield_now().await;
                drop(starting);
                process::sleep(secs(1)).await;
                nothing(&mut me);
            }
        }
    });
}

#[test]
fn an_answer_to_a_call_that_was_given_up_does_not_hide_a_ring() {
    in_simulation(|mut me| async move {
        let (one, two) = (lab().await, lab().await);
        let home = me.pid();
        let (asked, back) = (two.clone(), one.clone());
        // `one` gives a call up, and waits in another one to the same server when that answers the first.
        one.cast(cast_waiting(move |_, _| {
            Box::pin(async move {
                let slow = asked.call(wait(|_, _| Box::pin(process::sleep(secs(1))))).timeout(millis(10));
                assert_eq!(slow.await.unwrap_err().kind(), &CallErrorKind::Timeout);
                let ring = asked.call(wait(move |_, _| {
                    Box::pin(async move { back.call(Get).await.map_err(|error| error.kind().clone()) })
                }));
                process::send(home, ring.infinity().await.unwrap());
            })
        }));
        let found = next::<Result<i64, CallErrorKind>>(&mut me).await;
        assert!(matches!(found, Err(CallErrorKind::Deadlock(_))), "{found:?}");
        assert!(Node::current().now() < secs(4), "it was noticed at once");
    });
}
