//! Proves that processes can be spawned, linked, watched, named, asked and ended through the facade as its documentation says.
#![forbid(unsafe_code)]

mod common;

use std::sync::mpsc::channel;

use common::{idle, in_process, until};
use purlin::prelude::*;
use purlin::process::{NoProcess, ProcessInfo, ProcessStatus, SpawnOptions, UnknownName, local};

#[purlin::test]
async fn a_process_gets_its_messages_in_order_and_ends_when_its_body_returns() {
    let (tell, told) = channel();
    let adder = process::spawn(async move |mut mailbox: Mailbox<u32>| {
        assert_eq!(process::self_pid(), Some(mailbox.pid()));
        assert_eq!(mailbox.address().pid(), mailbox.pid());
        let (one, two) = (mailbox.receive().await, mailbox.receive().await);
        tell.send((one, two)).unwrap();
    });
    assert!(adder.is_alive() && process::is_alive(adder.pid()));
    adder.send(1u32);
    process::send(adder.pid(), 2u32);
    assert_eq!(adder.wait().await, ExitReason::Normal);
    assert_eq!(told.recv(), Ok((1, 2)));
    assert!(!adder.is_alive() && !process::is_alive(adder.pid()));
    assert_eq!(process::self_pid(), None, "a test's body is no process");
}

#[purlin::test]
async fn what_was_there_at_the_end_can_still_be_told_by_an_address_but_not_by_a_pid() {
    let crash = process::spawn(async |_: Mailbox<()>| panic!("planned"));
    let reason = crash.wait().await;
    assert_eq!(reason.panic_info().unwrap().message, "planned");
    assert_eq!(crash.wait().await, reason);
    assert_eq!(process::wait(crash.pid()).await, ExitReason::NoProc);
}

#[purlin::test]
async fn a_link_takes_the_other_side_down_with_the_same_reason() {
    let parent = process::spawn(async |mut mailbox: Mailbox<()>| {
        process::spawn_link(async |_: Mailbox<()>| panic!("planned"));
        mailbox.receive().await;
    });
    let reason = parent.wait().await;
    let ExitReason::Panic(info) = &reason else { panic!("{reason:?}") };
    assert_eq!(info.message, "planned");
    assert!(info.location.as_deref().unwrap().contains("tests/process.rs:"), "{info}");
    assert!(info.backtrace.is_some());
}

#[purlin::test]
async fn links_can_be_made_and_taken_away_while_both_sides_run() {
    in_process(async |mut mailbox: Mailbox<AnyMsg>| {
        mailbox.trap_exits(true);
        let (linked, unlinked) = (idle(), idle());
        for other in [&linked, &unlinked] {
            process::link(other.pid()).unwrap();
        }
        process::unlink(unlinked.pid());
        process::exit(unlinked.pid(), ExitReason::error("nobody hears"));
        unlinked.wait().await;
        process::exit(linked.pid(), ExitReason::error("everybody hears"));
        let Exit { from, reason } = mailbox.receive_as::<Exit>().await;
        assert_eq!((from, reason), (linked.pid(), ExitReason::error("everybody hears")));
        assert!(mailbox.is_empty());
    })
    .await;
}

#[purlin::test]
async fn linking_with_nobody_is_an_error_or_for_one_that_traps_exits_a_message() {
    assert_eq!(process::link(idle().pid()), Err(NoProcess), "outside a process there is nothing to link");
    in_process(async |mut mailbox: Mailbox<AnyMsg>| {
        let gone = idle();
        gone.send(());
        gone.wait().await;
        assert_eq!(process::link(gone.pid()), Err(NoProcess));
        mailbox.trap_exits(true);
        assert_eq!(process::link(gone.pid()), Ok(()));
        assert_eq!(mailbox.receive_as::<Exit>().await.reason, ExitReason::NoProc);
    })
    .await;
}

#[purlin::test]
async fn a_monitor_tells_once_what_ended_and_why() {
    in_process(async |mut mailbox: Mailbox<Down>| {
        let (worker, monitor) = process::spawn_monitor(async |_: Mailbox<()>| {});
        let down = mailbox.receive().await;
        let expected = Down {
            monitor,
            target: MonitorTarget::Pid(worker.pid()),
            pid: Some(worker.pid()),
            reason: ExitReason::Normal,
            tag: None,
        };
        assert_eq!(down, expected);
        // By a name that nobody has: told at once, and in the words of the caller.
        let monitor = process::monitor("nobody");
        let down = mailbox.receive().await;
        assert_eq!((down.monitor, down.pid, down.reason), (monitor, None, ExitReason::NoProc));
        assert_eq!(down.target, MonitorTarget::Name("nobody".into()));
        // Taken off in time, it tells nothing.
        let other = idle();
        let monitor = process::monitor(other.pid());
        assert!(process::demonitor(monitor));
        assert!(!process::demonitor(monitor));
        other.send(());
        other.wait().await;
        assert!(mailbox.try_receive().is_none());
    })
    .await;
}

#[purlin::test]
async fn spawn_options_link_and_bound() {
    let bound = MailboxBound::new(1, Overflow::Reject);
    let (tell, told) = channel();
    let parent = process::spawn(async move |mut mailbox: Mailbox<()>| {
        let options = SpawnOptions { link: true, mailbox: Some(bound), ..SpawnOptions::default() };
        let child = process::spawn_with(options, async |mut mailbox: Mailbox<u8>| {
            // What is passed over stays, and takes up the mailbox's one place.
            mailbox.receive_map(|message| if message == 9 { Ok(()) } else { Err(message) }).await;
        });
        assert_eq!(child.try_send(1), Ok(()));
        assert_eq!(child.try_send(2), Err(2), "the mailbox is full: the message comes back");
        tell.send(child).unwrap();
        mailbox.receive().await;
        panic!("planned");
    });
    let child = told.recv().unwrap();
    parent.send(());
    assert!(child.wait().await.panic_info().is_some(), "the link took the child down");
}

#[purlin::test]
async fn a_kill_cannot_be_trapped_and_every_other_signal_can() {
    let (tell, told) = channel();
    let stubborn = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
        assert!(!mailbox.trap_exits(true), "off before");
        loop {
            tell.send(mailbox.receive_as::<Exit>().await.reason).unwrap();
        }
    });
    until(|| process::process_info(stubborn.pid()).is_some_and(|info| info.trap_exit)).await;
    let asked = [ExitReason::Shutdown, ExitReason::shutdown_with("tidied"), ExitReason::Killed];
    for reason in asked.clone() {
        process::exit(stubborn.pid(), reason);
    }
    let mut seen = Vec::new();
    until(|| {
        seen.extend(told.try_iter());
        seen.len() == asked.len()
    })
    .await;
    assert_eq!(seen, asked);
    process::exit(stubborn.pid(), ExitReason::Kill);
    assert_eq!(stubborn.wait().await, ExitReason::Killed);
    // To somebody who is not there, a signal does nothing.
    process::exit(stubborn.pid(), ExitReason::Kill);
}

#[purlin::test]
async fn names_are_given_found_used_and_taken_away() {
    in_process(async |mut mailbox: Mailbox<&str>| {
        let me = mailbox.pid();
        process::register("me", me).unwrap();
        assert_eq!(process::whereis("me"), Some(me));
        assert_eq!(process::send_named("me", "hello"), Ok(()));
        assert_eq!(mailbox.receive().await, "hello");

        let other = idle();
        assert_eq!(process::register("me", other.pid()), Err(RegisterError::NameTaken(me)));
        assert_eq!(process::register("again", me), Err(RegisterError::AlreadyNamed));
        assert_eq!(process::register("", other.pid()), Err(RegisterError::BadName));
        process::register("another", other.pid()).unwrap();
        assert_eq!(process::registered(), ["another".into(), "me".into()]);
        other.send(());
        other.wait().await;
        assert_eq!(process::registered(), ["me".into()], "a name goes with its process");
        assert_eq!(process::register("late", other.pid()), Err(RegisterError::NoProc));

        process::unregister("me").unwrap();
        assert_eq!(process::unregister("me"), Err(UnknownName));
        assert_eq!(process::send_named("me", "hello"), Err(UnknownName));
        assert_eq!(process::whereis("me"), None);
    })
    .await;
}

#[purlin::test]
async fn a_process_can_be_described_from_outside() {
    let (tell, told) = channel();
    let parent = process::spawn(async move |mut mailbox: Mailbox<()>| {
        process::set_label("boss");
        let child = process::spawn_link(async |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.trap_exits(true);
            process::set_label_text(format!("worker {}", 7));
            process::register("worker", mailbox.pid()).unwrap();
            process::monitor("nobody");
            process::monitor(process::ancestors()[0]);
            mailbox.receive_as::<&str>().await;
        });
        process::monitor(child.pid());
        tell.send(child.pid()).unwrap();
        mailbox.receive().await;
    });
    let child = told.recv().unwrap();
    // It has gone as far as it goes when it waits with the answer of "nobody" in its mailbox, passed over.
    let waits = |info: &ProcessInfo| info.status == ProcessStatus::Waiting && info.monitors.len() == 1;
    until(|| process::process_info(child).is_some_and(|info| waits(&info))).await;

    let info = process::process_info(child).unwrap();
    assert_eq!((info.pid, info.parent), (child, Some(parent.pid())));
    assert_eq!(info.registered_name.as_deref(), Some("worker"));
    assert_eq!(info.label.as_deref(), Some("worker 7"));
    assert_eq!(info.initial_call, "process");
    assert_eq!(info.ancestors, [parent.pid()]);
    assert_eq!(info.callers, []);
    assert_eq!((info.links, info.monitors), (vec![parent.pid()], vec![parent.pid()]));
    assert_eq!(info.monitored_by, [parent.pid()]);
    assert!(info.trap_exit && !info.supervisor);
    assert_eq!(process::process_info(parent.pid()).unwrap().label.as_deref(), Some("boss"));
    let all = process::processes();
    assert!(all.contains(&parent.pid()) && all.contains(&child));

    process::exit(child, ExitReason::Kill);
    process::wait(child).await;
    assert!(process::process_info(child).is_none());
    until(|| !process::processes().contains(&child)).await;
}

#[purlin::test]
async fn the_status_tells_a_waiting_a_running_a_runnable_and_a_suspended_process_apart() {
    in_process(async |mailbox: Mailbox<()>| {
        let own = process::process_info(mailbox.pid()).unwrap();
        assert_eq!(own.status, ProcessStatus::Running);
        assert_eq!((own.parent, own.reductions), (None, 0));
    })
    .await;
    let other = idle();
    let status = |pid| process::process_info(pid).unwrap().status;
    until(|| status(other.pid()) == ProcessStatus::Waiting).await;
    sys::suspend(other.pid()).await.unwrap();
    until(|| status(other.pid()) == ProcessStatus::Suspended).await;
}

#[purlin::test(sim, seeds = 5)]
async fn a_process_that_was_sent_something_is_runnable_until_it_has_run() {
    let other = idle();
    assert_eq!(process::process_info(other.pid()).unwrap().status, ProcessStatus::Runnable);
    other.send(());
    assert_eq!(process::process_info(other.pid()).unwrap().message_queue_len, 1);
}

#[purlin::test]
async fn callers_are_empty_and_ancestors_known_in_a_plain_process() {
    in_process(async |mut mailbox: Mailbox<Vec<Pid>>| {
        let (me, address) = (mailbox.pid(), mailbox.address());
        assert_eq!((process::callers(), process::ancestors()), (vec![], vec![]));
        let child = process::spawn(async move |mut mailbox: Mailbox<()>| {
            process::spawn(async move |_: Mailbox<()>| address.send(process::ancestors()));
            mailbox.receive().await;
        });
        assert_eq!(mailbox.receive().await, [child.pid(), me], "the nearest first");
        child.send(());
    })
    .await;
}

#[purlin::test]
async fn process_local_values_are_one_per_type_and_per_process() {
    #[derive(Clone, Debug, PartialEq)]
    struct Request(u64);

    assert_eq!(local::put(Request(1)), Some(Request(1)), "outside a process there is nowhere to keep it");
    in_process(async |_: Mailbox<()>| {
        assert_eq!(local::get::<Request>(), None);
        assert_eq!(local::put(Request(1)), None);
        assert_eq!(local::put(Request(2)), Some(Request(1)));
        assert_eq!(local::put("text"), None);
        assert_eq!(local::with(|request: &Request| request.0 + 1), Some(3));
        let other = process::spawn(async |_: Mailbox<()>| assert_eq!(local::get::<Request>(), None));
        assert!(other.wait().await.is_normal());
        assert_eq!(local::take::<Request>(), Some(Request(2)));
        assert_eq!(local::get::<Request>(), None);
        assert_eq!(local::get::<&str>(), Some("text"));
    })
    .await;
}

#[purlin::test(sim, seeds = 5)]
async fn a_stop_tells_what_became_of_it() {
    let stop = |pid| process::stop(pid, ExitReason::Shutdown, secs(1));
    let obedient = idle();
    assert_eq!(stop(obedient.pid()).await, Ok(()));
    assert_eq!(stop(obedient.pid()).await, Err(StopError::NoProc));

    let deaf = process::spawn(async |_: Mailbox<()>| std::future::pending().await);
    assert_eq!(stop(deaf.pid()).await, Err(StopError::Timeout));
    process::exit(deaf.pid(), ExitReason::Kill);

    let contrary = process::spawn(async |_: Mailbox<()>| {
        process::sleep(millis(10)).await;
        panic!("planned");
    });
    let error = stop(contrary.pid()).await.unwrap_err();
    assert!(matches!(&error, StopError::Exit(reason) if reason.panic_info().is_some()), "{error}");
    in_process(async move |mailbox: Mailbox<()>| {
        assert_eq!(
            process::stop(mailbox.pid(), ExitReason::Normal, secs(1)).await,
            Err(StopError::CallingSelf)
        );
    })
    .await;
}

#[purlin::test]
async fn a_pid_is_data_and_never_comes_to_mean_another_process() {
    let first = idle();
    let pid = first.pid();
    assert_eq!(Pid::from_parts(pid.node_index(), pid.id(), pid.serial()), pid);
    assert_eq!(pid.to_string(), format!("<0.{}.{}>", pid.id(), pid.serial()));
    first.send(());
    first.wait().await;
    // Its place is taken again, sooner or later, under another serial.
    loop {
        let next = idle();
        next.send(());
        next.wait().await;
        if next.pid().id() == pid.id() {
            assert_ne!(next.pid().serial(), pid.serial());
            break;
        }
    }
    assert!(!process::is_alive(pid));
}
