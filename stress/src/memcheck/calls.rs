//! Scenes about messages to servers: calls on every path, reads, casts, bounded mailboxes.

use std::future::Future;
use std::task::Poll;

use purlin_core::*;

use super::{begin, ended, held, until, worker};
use crate::held::Held;
use crate::servers::*;

pub(super) async fn calls(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    for i in 0..300 {
        assert_eq!(one.call(Echo(held(i))).await.expect("it answers").value(), i);
        assert_eq!(one.call(EchoAsync(held(i))).await.expect("it answers").value(), i);
        assert_eq!(one.call(Peek).await.expect("it answers").value(), 1);
    }
    for i in 0..50 {
        assert_eq!(one.call(EchoAfter(held(i), 3)).await.expect("it answers").value(), i);
        for way in [Later::Elsewhere, Later::Before] {
            assert_eq!(one.call(Defer(held(i), way)).infinity().await.expect("it answers").value(), i);
        }
        let error = one.call(Defer(held(i), Later::Never)).await.expect_err("nobody answers");
        assert_eq!(*error.kind(), CallErrorKind::NoReply);
    }
    let error = one.call(Hang(held(2))).timeout(millis(1)).await.expect_err("it hangs");
    assert!(error.is_timeout() && error.to_string().contains("Hang"), "{error}");
    let queued = one.call(Echo(held(3))).timeout(millis(1)).await.expect_err("it still hangs");
    assert!(queued.is_timeout());
    assert!(queued.clone().queue_len().is_some(), "{queued:?}");
    process::exit(one.pid(), ExitReason::Kill);
    ended(one.pid()).await;
    for reason in [ExitReason::Normal, ExitReason::custom(4u8)] {
        let leaving = worker(4).await;
        assert_eq!(leaving.call(Leave(held(5), reason)).await.expect("it answers").value(), 5);
        assert!(!leaving.is_alive());
    }
    let failing = worker(1).await;
    let error = failing.call(Fail(held(1))).await.expect_err("the text is no number");
    assert!(matches!(error.exit_reason(), Some(ExitReason::Error(_))), "{error}");
}

/// Runs `body` in so many processes at once, and waits for all of them.
async fn crowd<F, Fut>(n: u64, body: F)
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let members: Vec<_> = (0..n)
        .map(|i| {
            let body = body.clone();
            let (done, told) = tokio::sync::oneshot::channel();
            process::spawn(async move |_: Mailbox<()>| {
                body(i).await;
                // Whoever waits for it is there.
                let _ = done.send(());
            });
            told
        })
        .collect();
    for (i, member) in members.into_iter().enumerate() {
        assert!(member.await.is_ok(), "member {i} crashed");
    }
}

pub(super) async fn from_many(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    let target = one.clone();
    crowd(8, move |i| {
        let one = target.clone();
        async move {
            for j in 0..40 {
                let value = i * 1000 + j;
                let answer = match j % 4 {
                    0 => one.call(Echo(held(value))).await,
                    1 => one.call(EchoAsync(held(value))).await,
                    2 => one.call(EchoAfter(held(value), 1)).await,
                    _ => one.call(Defer(held(value), Later::Elsewhere)).await,
                };
                assert_eq!(answer.expect("it answers").value(), value);
            }
        }
    })
    .await;
    // Tasks of the runtime that are no processes call too.
    let node = Node::current();
    let tasks: Vec<_> = (0..4u64)
        .map(|i| {
            let one = one.clone();
            tokio::spawn(node.scope(async move {
                for _ in 0..40 {
                    assert_eq!(one.call(Echo(held(i))).await.expect("it answers").value(), i);
                }
            }))
        })
        .collect();
    for task in tasks {
        task.await.expect("the task does not panic");
    }
    one.stop().await.expect("it stops");
}

pub(super) async fn reads(_: Mailbox<AnyMsg>) {
    let one = worker(0).await;
    let target = one.clone();
    crowd(4, move |i| {
        let one = target.clone();
        async move {
            for j in 1..200 {
                if i == 0 && j % 10 == 0 {
                    one.call(Swap(held(j))).await.expect("it answers");
                } else {
                    assert!(one.call(Peek).await.expect("it answers").value() < 200);
                }
            }
        }
    })
    .await;
    one.stop().await.expect("it stops");
    // A reader that fails while others read, and one that is killed under readers.
    for kill in [false, true] {
        let one = worker(0).await;
        let target = one.clone();
        crowd(4, move |i| {
            let one = target.clone();
            async move {
                for j in 0..50 {
                    let answer = match (i, j, kill) {
                        (0, 25, false) => one.call(PeekAndCrash(held(j))).await,
                        (0, 25, true) => {
                            process::exit(one.pid(), ExitReason::Kill);
                            one.call(Peek).await
                        },
                        _ => one.call(Peek).await,
                    };
                    if let Err(error) = answer {
                        assert!(error.is_no_proc() || error.exit_reason().is_some(), "{error}");
                    }
                }
            }
        })
        .await;
        process::wait(one.pid()).await;
        assert!(!one.is_alive());
    }
}

pub(super) async fn abandoned(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    for i in 0..40 {
        // Never polled; polled once and dropped; dropped while the answer is on its way.
        drop(one.call(Echo(held(i))));
        let mut call = Box::pin(one.call(EchoAfter(held(i), 2)));
        assert!(begin(&mut call).is_pending(), "it takes two turns");
        drop(call);
        let mut call = Box::pin(one.call(EchoAfter(held(i), 1)));
        let _ = begin(&mut call);
        process::yield_now().await;
        drop(call);
        let mut call = Box::pin(one.call(Defer(held(i), Later::Elsewhere)));
        let _ = begin(&mut call);
        drop(call);
    }
    assert_eq!(one.call(Echo(held(9))).await.expect("it answers").value(), 9);
    let mut hung = Box::pin(one.call(Hang(held(1))));
    assert!(begin(&mut hung).is_pending(), "it hangs");
    let mut waiting = Box::pin(one.call(Echo(held(2))));
    assert!(begin(&mut waiting).is_pending(), "it waits behind");
    let mut casting = Box::pin(one.cast_wait(Count(held(3))));
    assert!(matches!(begin(&mut casting), Poll::Ready(Ok(()))), "there is room");
    drop(hung);
    process::exit(one.pid(), ExitReason::Kill);
    ended(one.pid()).await;
    let error = waiting.await.expect_err("it was killed");
    assert_eq!(error.exit_reason(), Some(&ExitReason::Killed), "{error}");
    // A start that is given up.
    let mut start = Box::pin(std::future::IntoFuture::into_future(Worker::start(Plan::Hang(held(4)))));
    assert!(begin(&mut start).is_pending(), "it hangs");
    drop(start);
}

pub(super) async fn deadlocks(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    let error =
        one.call(Chain(vec![one.clone()], held(1))).await.expect("it answers").expect_err("it calls itself");
    assert_eq!(*error.kind(), CallErrorKind::CallingSelf);
    for length in 2..6usize {
        let mut ring = Vec::new();
        for i in 0..length {
            ring.push(worker(i as u64).await);
        }
        // Popped from the end: 1, 2, …, and 0 again.
        let mut path: Vec<_> = ring.iter().skip(1).cloned().collect();
        path.push(ring[0].clone());
        path.reverse();
        let error =
            ring[0].call(Chain(path, held(1))).await.expect("it answers").expect_err("the ring is closed");
        assert!(matches!(error.kind(), CallErrorKind::Deadlock(cycle) if cycle.len() == length), "{error}");
        // A chain without a cycle, deeper than calls in place may be nested.
        let path: Vec<_> = ring.iter().skip(1).cloned().collect();
        let answer = ring[0].call(Chain(path, held(6))).await.expect("it answers");
        assert_eq!(answer.expect("there is no cycle").value(), 6);
        for one in ring {
            one.stop().await.expect("it stops");
        }
    }
    let mut deep = Vec::new();
    for i in 0..20 {
        deep.push(worker(i).await);
    }
    let first = deep.pop().expect("there are twenty");
    assert_eq!(first.call(Chain(deep, held(6))).await.expect("it answers").expect("no cycle").value(), 6);
}

pub(super) async fn casts(_: Mailbox<AnyMsg>) {
    let one = worker(1).await;
    for i in 0..200 {
        one.cast(Count(held(i)));
        one.send(Note(held(i)));
        process::send(one.pid(), Note(held(i)));
        one.try_cast(Count(held(i))).expect("there is room");
        one.cast_wait(Count(held(i))).await.expect("there is room");
    }
    assert_eq!(one.call(Seen).await.expect("it answers"), 1000);
    // A message that it does not know.
    process::send(one.pid(), held(7));
    assert_eq!(one.call(Seen).await.expect("it answers"), 1000);
    // Behind a cast that never ends, then killed.
    one.cast(Stick(held(1)));
    (0..50).for_each(|i| one.cast(Count(held(i))));
    process::exit(one.pid(), ExitReason::Kill);
    ended(one.pid()).await;
    one.cast(Count(held(1)));
    assert!(matches!(one.try_cast(Count(held(1))), Err(TryCastError::NoProc(_))));
}

pub(super) async fn bounded(_: Mailbox<AnyMsg>) {
    for overflow in [Overflow::Wait, Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest] {
        let bound = MailboxBound::new(4, overflow);
        let one = Worker::start(Plan::Run(held(1))).mailbox(bound).await.expect("it starts");
        sys::suspend(one.pid()).await.expect("it suspends");
        (0..10).for_each(|i| one.cast(Count(held(i))));
        let refused = one.try_cast(Count(held(11)));
        match overflow {
            // What the server has taken already is out of reach: then the newcomer is refused.
            Overflow::DropOldest => assert!(matches!(refused, Ok(()) | Err(TryCastError::Full(_)))),
            _ => assert!(matches!(refused, Err(TryCastError::Full(Count(ref h))) if h.value() == 11)),
        }
        let mut waiting = Box::pin(one.cast_wait(Count(held(12))));
        let _ = begin(&mut waiting);
        let mut given_up = Box::pin(one.cast_wait(Count(held(13))));
        let _ = begin(&mut given_up);
        drop(given_up);
        let answer = one.call(Echo(held(14))).timeout(millis(1)).await.expect_err("it is suspended");
        assert!(answer.is_timeout() || *answer.kind() == CallErrorKind::MailboxFull, "{answer}");
        sys::resume(one.pid()).await.expect("it resumes");
        if overflow != Overflow::DropOldest {
            waiting.await.expect("there is room now");
        } else {
            drop(waiting);
        }
        let pid = one.pid();
        until("the mailbox is empty", || {
            process::process_info(pid).is_some_and(|i| i.message_queue_len == 0)
        })
        .await;
        // Many against a mailbox of four.
        let target = one.clone();
        crowd(4, move |i| {
            let one = target.clone();
            async move {
                for j in 0..20 {
                    one.cast(Count(held(j)));
                    let _ = one.cast_wait(Count(held(i))).await;
                    if let Err(error) = one.call(Echo(held(j))).await {
                        let kind = error.kind();
                        assert!(
                            matches!(kind, CallErrorKind::MailboxFull | CallErrorKind::NoReply),
                            "{error}"
                        );
                    }
                }
            }
        })
        .await;
        sys::suspend(one.pid()).await.expect("it suspends");
        (0..4).for_each(|i| one.cast(Count(held(i))));
        let mut waiting = Box::pin(one.cast_wait(Count(held(15))));
        let pushed = begin(&mut waiting).is_ready();
        process::exit(one.pid(), ExitReason::Kill);
        ended(one.pid()).await;
        if !pushed {
            assert!(matches!(waiting.await, Err(TryCastError::NoProc(_))));
        }
        let raw = process::spawn_with(
            process::SpawnOptions { link: false, mailbox: Some(bound), ..Default::default() },
            async |mut mailbox: Mailbox<Held>| while mailbox.receive().await.value() < 3 {},
        );
        (0..20).for_each(|i| raw.send(held(i)));
        let _ = raw.try_send(held(30));
        process::exit(raw.pid(), ExitReason::Kill);
        process::wait(raw.pid()).await;
    }
}
