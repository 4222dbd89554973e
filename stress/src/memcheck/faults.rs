//! Scenes about what goes wrong: panics everywhere, kills at every stage, starts that fail, mail that nobody reads.

use purlin_core::*;

use super::{begin, ended, held, until, worker};
use crate::held::Held;
use crate::servers::*;

fn panicked_with(error: &CallError, text: &str) -> bool {
    error.exit_reason().and_then(ExitReason::panic_info).is_some_and(|info| info.message == text)
}

pub(super) async fn panics(mut mailbox: Mailbox<AnyMsg>) {
    for i in 0..10 {
        for later in [false, true] {
            let one = worker(i).await;
            let monitor = mailbox.monitor(one.pid());
            let error = one.call(Crash(held(i), later)).await.expect_err("it crashes");
            assert!(panicked_with(&error, &format!("crash {i}")), "{error}");
            let down = mailbox.receive_as::<Down>().await;
            assert_eq!(Some(&down.reason), error.exit_reason());
            assert_eq!(down.monitor, monitor);
        }
        let one = worker(i).await;
        let error = one.call(PeekAndCrash(held(i))).await.expect_err("it crashes");
        assert!(panicked_with(&error, &format!("crash {i}")), "{error}");
        let one = worker(i).await;
        one.cast(CastCrash(held(i)));
        let reason = process::wait(one.pid()).await;
        assert!(matches!(reason, ExitReason::Panic(_) | ExitReason::NoProc), "{reason}");
        for end in [End::PanicInTerminate, End::PanicInDrop] {
            let one = Worker::start(Plan::RunAndEnd(held(i), end)).await.expect("it starts");
            let stopped = one.stop().await;
            assert!(
                stopped.is_ok() || matches!(stopped, Err(StopError::Exit(ExitReason::Panic(_)))),
                "{stopped:?}"
            );
            let one = Worker::start(Plan::RunAndEnd(held(i), end)).await.expect("it starts");
            one.call(Crash(held(i), false)).await.expect_err("it crashes");
            ended(one.pid()).await;
        }
    }
    let raw = process::spawn(async |mut mailbox: Mailbox<Held>| {
        let value = mailbox.receive().await;
        std::panic::panic_any(value);
    });
    raw.send(held(3));
    ended(raw.pid()).await;
    // A message whose end panics, left in a mailbox.
    struct Bomb(#[expect(dead_code, reason = "held until the end")] Held);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    let raw = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
        mailbox.receive_as::<Held>().await;
    });
    raw.send(Bomb(held(1)));
    raw.send(held(2));
    ended(raw.pid()).await;
}

pub(super) async fn kills(mut mailbox: Mailbox<AnyMsg>) {
    for i in 0..10 {
        // In a handler that waits, with more behind it and a timer set.
        let one = worker(i).await;
        one.call(Do::Timer(secs(60))).await.expect("it answers");
        one.call(Do::Monitor(mailbox.pid())).await.expect("it answers");
        let mut call = Box::pin(one.call(Hang(held(i))));
        assert!(begin(&mut call).is_pending(), "it hangs");
        one.cast(Count(held(i)));
        one.cast(Stick(held(i)));
        let monitor = mailbox.monitor(one.pid());
        process::exit(one.pid(), ExitReason::Kill);
        assert!(!one.is_alive(), "dead at once for those who ask");
        assert_eq!(call.await.expect_err("it was killed").exit_reason(), Some(&ExitReason::Killed));
        let down = mailbox.receive_as::<Down>().await;
        assert_eq!((down.monitor, down.reason), (monitor, ExitReason::Killed));
        // In a cast that waits.
        let one = worker(i).await;
        one.cast(Stick(held(i)));
        process::exit(one.pid(), ExitReason::Kill);
        ended(one.pid()).await;
        // In `init`.
        let mut start = Box::pin(std::future::IntoFuture::into_future(
            Worker::start(Plan::Hang(held(i))).name("hangs in init"),
        ));
        assert!(begin(&mut start).is_pending(), "it hangs");
        let pid = process::whereis("hangs in init").expect("a starting server has its name");
        process::exit(pid, ExitReason::Kill);
        assert!(matches!(start.await, Err(StartError::Failed(ExitReason::Killed))));
        // Raw, waiting and not.
        let raw = process::spawn(async |mut mailbox: Mailbox<Held>| {
            let first = mailbox.receive().await;
            mailbox.receive_map(|m| if m.value() == 1000 { Ok(m) } else { Err(m) }).await;
            drop(first);
        });
        (0..5).for_each(|j| raw.send(held(j)));
        if i % 2 == 0 {
            until("it has taken one", || process::process_info(raw.pid()).is_some_and(|i| i.reductions > 0))
                .await;
        }
        process::exit(raw.pid(), ExitReason::Kill);
        raw.send(held(6));
        process::wait(raw.pid()).await;
        // Before the first step.
        let value = held(7);
        let raw = process::spawn(async move |_: Mailbox<()>| drop(value));
        process::exit(raw.pid(), ExitReason::Kill);
        process::wait(raw.pid()).await;
        // One that spins, and gives way.
        let raw = process::spawn(async |_: Mailbox<()>| {
            let _value = held(8);
            loop {
                process::yield_now().await;
            }
        });
        process::yield_now().await;
        process::exit(raw.pid(), ExitReason::Kill);
        process::wait(raw.pid()).await;
    }
}

pub(super) async fn failed_starts(_: Mailbox<AnyMsg>) {
    for i in 0..10 {
        assert_eq!(Worker::start(Plan::Ignore(held(i))).await.expect_err("it ignores"), StartError::Ignore);
        let refused = Worker::start(Plan::Refuse(held(i))).await.expect_err("it refuses");
        assert_eq!(refused, StartError::Failed(ExitReason::custom(i)));
        let panicked = Worker::start(Plan::Panic(held(i))).await.expect_err("it panics");
        assert!(matches!(panicked, StartError::Failed(ExitReason::Panic(_))), "{panicked}");
        let late = Worker::start(Plan::Hang(held(i))).name("late").timeout(millis(1)).await;
        assert_eq!(late.expect_err("it hangs"), StartError::Timeout);
        assert_eq!(
            Worker::start(Plan::Run(held(i))).name("").await.expect_err("no name"),
            StartError::BadName
        );
    }
    // Linked starts that fail take nobody along that asked for the result.
    let starter = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
        mailbox.trap_exits(true);
        let refused = Worker::start_link(Plan::Refuse(held(1))).await;
        assert!(refused.is_err());
        let panicked = Worker::start_link(Plan::Panic(held(1))).await;
        assert!(panicked.is_err());
    });
    ended(starter.pid()).await;
}

pub(super) async fn unread_mail(_: Mailbox<AnyMsg>) {
    for n in [1, 10, 200] {
        let one = worker(0).await;
        sys::suspend(one.pid()).await.expect("it suspends");
        for i in 0..n {
            one.cast(Count(held(i)));
            one.send(Note(held(i)));
            process::send(one.pid(), held(i));
        }
        let mut calls: Vec<_> = (0..10).map(|i| Box::pin(one.call(Echo(held(i))))).collect();
        for call in &mut calls {
            assert!(begin(call).is_pending(), "it is suspended");
        }
        calls.truncate(5);
        process::exit(one.pid(), ExitReason::custom(1u8));
        for call in calls {
            let error = call.await.expect_err("it ends");
            assert_eq!(error.exit_reason(), Some(&ExitReason::custom(1u8)), "{error}");
        }
        ended(one.pid()).await;
        let raw = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.receive_as::<Vec<Held>>().await;
        });
        (0..n).for_each(|i| raw.send(held(i)));
        raw.send(vec![held(1), held(2)]);
        process::wait(raw.pid()).await;
    }
}
