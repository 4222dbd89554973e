//! Proves what a full bounded mailbox does under each policy, and that signals and `sys` requests always get in.

mod common;

use common::lab::*;
use common::*;
use purlin_core::*;

/// A server with room for `n` messages that handles nothing, because a handler of it waits until `release` is sent.
struct Full {
    server: Ref<Lab>,
    log: Log<String>,
    release: tokio::sync::oneshot::Sender<()>,
}

async fn busy(capacity: usize, overflow: Overflow) -> Full {
    let log = Log::default();
    let server =
        Lab::start(Setup::trapping(&log)).mailbox(MailboxBound::new(capacity, overflow)).await.unwrap();
    let (release, released) = tokio::sync::oneshot::channel();
    let (started, has_started) = tokio::sync::oneshot::channel();
    server.cast(cast_waiting(|_, _| {
        Box::pin(async {
            started.send(()).unwrap();
            released.await.unwrap();
        })
    }));
    has_started.await.unwrap();
    // Its message has left the mailbox when the handler's first step is over.
    while process::process_info(server.pid()).unwrap().status == process::ProcessStatus::Running {
        process::yield_now().await;
    }
    Full { server, log, release }
}

impl Full {
    /// Lets it handle what is there, and returns what it has noted.
    async fn drain(self) -> Vec<String> {
        let _ = self.release.send(());
        // A request gets in and is served behind what is there.
        sys::get_status(self.server.pid()).await.unwrap();
        self.log.all()[1..].to_vec()
    }
}

/// Casts until no more fit; how many did.
async fn fill(full: &Full) -> usize {
    let names = ["a", "b", "c", "d", "e", "f"];
    names.iter().take_while(|name| full.server.try_cast(Tell(name)).is_ok()).count()
}

const POLICIES: [Overflow; 4] =
    [Overflow::Wait, Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest];

#[test]
fn as_many_messages_fit_as_the_bound_says() {
    on_every_path(|_| async move {
        for policy in [Overflow::Wait, Overflow::Reject, Overflow::DropNewest] {
            for capacity in [1, 3] {
                let full = busy(capacity, policy).await;
                assert_eq!(fill(&full).await, capacity, "{policy:?}");
                assert_eq!(full.drain().await, ["a", "b", "c"][..capacity]);
            }
        }
        assert_eq!(MailboxBound::new(0, Overflow::Wait).capacity(), 1);
    });
}

#[test]
fn try_cast_gives_back_what_does_not_get_in() {
    everywhere(|_| async move {
        for policy in [Overflow::Wait, Overflow::Reject, Overflow::DropNewest] {
            let full = busy(2, policy).await;
            fill(&full).await;
            let error = full.server.try_cast(Tell("too much")).unwrap_err();
            assert_eq!(error, TryCastError::Full(Tell("too much")));
            assert_eq!(error.to_string(), "the server's mailbox is full");
            assert_eq!(error.into_inner(), Tell("too much"));
            let before = Node::current().stats().dropped;
            assert_eq!(full.drain().await, ["a", "b"]);
            assert_eq!(Node::current().stats().dropped, before);
        }
    });
}

#[test]
fn a_plain_cast_or_send_into_a_full_mailbox_is_a_counted_reported_drop() {
    everywhere(|_| async move {
        for policy in [Overflow::Wait, Overflow::Reject, Overflow::DropNewest] {
            let seen = Log::default();
            let given = seen.clone();
            let node = Node::current();
            node.telemetry()
                .attach(format!("{policy:?}"), telemetry::events::MAILBOX_DROP, move |event| {
                    given.add((
                        event.metadata.pid("pid").unwrap(),
                        event.metadata.str("policy").unwrap().to_owned(),
                    ));
                })
                .unwrap();
            let full = busy(2, policy).await;
            fill(&full).await;
            let before = node.stats().dropped;
            full.server.cast(Tell("dropped"));
            full.server.send(Note("dropped too"));
            process::send(full.server.pid(), Note("and this"));
            assert_eq!(node.stats().dropped, before + 3);
            assert_eq!(seen.all(), vec![(full.server.pid(), "drop_newest".to_owned()); 3]);
            node.telemetry().detach(&format!("{policy:?}")).unwrap();
            assert_eq!(full.drain().await, ["a", "b"]);
        }
    });
}

#[test]
fn drop_oldest_lets_the_newcomer_in_and_counts_the_oldest_that_leaves() {
    everywhere(|_| async move {
        let full = busy(3, Overflow::DropOldest).await;
        for name in ["a", "b", "c"] {
            full.server.cast(Tell(name));
        }
        let before = Node::current().stats().dropped;
        full.server.cast(Tell("d"));
        assert_eq!(full.server.try_cast(Tell("e")), Ok(()));
        assert_eq!(full.server.cast_wait(Tell("f")).await, Ok(()));
        assert_eq!(Node::current().stats().dropped, before + 3);
        // The call that looks must not push one out.
        let _ = full.release.send(());
        while full.log.all().len() < 4 {
            process::yield_now().await;
        }
        assert_eq!(full.log.all(), ["init", "d", "e", "f"]);
    });
}

#[test]
fn drop_oldest_of_a_call_tells_its_caller_at_once() {
    in_simulation_on_every_path(|_| async move {
        let full = busy(1, Overflow::DropOldest).await;
        let mut call = Box::pin(full.server.call(Add(1)));
        assert!(poll_once(&mut call).await.is_none());
        let begin = Node::current().now();
        full.server.cast(Tell("newer"));
        assert_eq!(call.await.unwrap_err().kind(), &CallErrorKind::NoReply);
        assert_eq!(Node::current().now(), begin);
        let _ = full.release.send(());
        while full.log.all().len() < 2 {
            process::yield_now().await;
        }
        assert_eq!(full.server.call(Get).await.unwrap(), 0);
    });
}

/// A suspended server with room for three messages.
async fn suspended() -> (Ref<Lab>, Log<String>) {
    let log = Log::default();
    let bound = MailboxBound::new(3, Overflow::DropOldest);
    let server = Lab::start(Setup::logging(&log)).mailbox(bound).await.unwrap();
    sys::suspend(server.pid()).await.unwrap();
    (server, log)
}

#[test]
fn drop_oldest_does_not_reach_what_a_suspended_server_has_taken_and_the_bound_holds_all_the_same() {
    in_simulation_on_every_path(|_| async move {
        let (server, log) = suspended().await;
        for name in ["a", "b", "c"] {
            server.cast(Tell(name));
        }
        // It serves this, and has taken everything before it.
        sys::get_status(server.pid()).await.unwrap();
        let node = Node::current();
        let before = node.stats().dropped;
        server.cast(Tell("d"));
        assert_eq!(server.try_cast(Tell("e")), Err(TryCastError::Full(Tell("e"))));
        assert_eq!(server.call(Get).await.unwrap_err().kind(), &CallErrorKind::MailboxFull);
        assert_eq!(node.stats().dropped, before + 2);
        let mut waiting = Box::pin(server.cast_wait(Tell("f")));
        assert_eq!(poll_once(&mut waiting).await, None);
        sys::resume(server.pid()).await.unwrap();
        assert_eq!(waiting.await, Ok(()));
        // The call that looks must not push one out.
        while log.all().len() < 5 {
            process::yield_now().await;
        }
        assert_eq!(log.all(), ["init", "a", "b", "c", "f"]);
        server.call(Get).await.unwrap();
    });
}

#[test]
fn drop_oldest_takes_the_oldest_of_those_that_a_suspended_server_has_not_taken() {
    in_simulation(|_| async move {
        let (server, log) = suspended().await;
        server.cast(Tell("a"));
        server.cast(Tell("b"));
        sys::get_status(server.pid()).await.unwrap();
        // Nothing runs between these: the server has not taken the first when the last one comes.
        let before = Node::current().stats().dropped;
        for name in ["c", "d", "e"] {
            server.cast(Tell(name));
        }
        assert_eq!(Node::current().stats().dropped, before + 2);
        sys::resume(server.pid()).await.unwrap();
        while log.all().len() < 4 {
            process::yield_now().await;
        }
        assert_eq!(log.all(), ["init", "a", "b", "e"]);
    });
}

#[test]
fn cast_wait_waits_for_room_and_keeps_the_order_of_one_sender() {
    everywhere(|mut me| async move {
        for policy in [Overflow::Wait, Overflow::Reject, Overflow::DropNewest] {
            let full = busy(2, policy).await;
            fill(&full).await;
            let server = full.server.clone();
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                server.cast_wait(Tell("c")).await.unwrap();
                server.cast_wait(Tell("d")).await.unwrap();
                server.cast_wait(Tell("e")).await.unwrap();
            });
            let mut here = Box::pin(full.server.cast_wait(Tell("given up")));
            assert!(poll_once(&mut here).await.is_none());
            // Given up before there is room: the message is not sent.
            drop(here);
            let _ = full.release.send(());
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
            while full.log.all().len() < 6 {
                process::yield_now().await;
            }
            assert_eq!(full.log.all(), ["init", "a", "b", "c", "d", "e"]);
        }
    });
}

#[test]
fn cast_wait_to_a_server_that_ends_meanwhile_gives_the_message_back() {
    everywhere(|_| async move {
        let full = busy(1, Overflow::Wait).await;
        fill(&full).await;
        let mut waiting = Box::pin(full.server.cast_wait(Tell("returned")));
        assert!(poll_once(&mut waiting).await.is_none());
        process::exit(full.server.pid(), ExitReason::Kill);
        assert_eq!(waiting.await, Err(TryCastError::NoProc(Tell("returned"))));
    });
}

#[test]
fn a_call_waits_for_room_under_the_policy_wait_and_its_deadline_runs() {
    in_simulation_on_every_path(|mut me| async move {
        let full = busy(1, Overflow::Wait).await;
        fill(&full).await;
        let begin = Node::current().now();
        let error = full.server.call(Add(1)).timeout(secs(2)).await.unwrap_err();
        assert_eq!(error.kind(), &CallErrorKind::Timeout);
        assert_eq!(Node::current().now() - begin, secs(2));
        let home = me.pid();
        for n in 0..5 {
            let server = full.server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                server.call(Add(n)).await.unwrap();
                process::send(home, ());
            });
        }
        process::sleep(secs(1)).await;
        let _ = full.release.send(());
        for _ in 0..5 {
            next::<()>(&mut me).await;
        }
        assert_eq!(full.server.call(Get).await.unwrap(), 10, "the one that timed out was never sent");
    });
}

#[test]
fn a_call_that_waits_for_room_learns_why_the_server_ended() {
    in_simulation_on_every_path(|_| async move {
        let full = busy(1, Overflow::Wait).await;
        fill(&full).await;
        process::register("full", full.server.pid()).unwrap();
        let name = Lab::named("full");
        let (mut by_ref, mut by_name) = (Box::pin(full.server.call(Add(1))), Box::pin(name.call(Add(1))));
        assert!(poll_once(&mut by_ref).await.is_none());
        assert!(poll_once(&mut by_name).await.is_none());
        process::exit(full.server.pid(), ExitReason::Kill);
        process::wait(full.server.pid()).await;
        // Another one by the name: the call was made to the first.
        let next_one = Lab::start(Setup::default()).name("full").await.unwrap();
        for call in [by_ref.await, by_name.await] {
            assert_eq!(call.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
        }
        assert_eq!(next_one.call(Get).await.unwrap(), 0);
    });
}

#[test]
fn a_call_fails_with_mailbox_full_at_once_where_the_policy_refuses() {
    in_simulation_on_every_path(|_| async move {
        for policy in [Overflow::Reject, Overflow::DropNewest] {
            let full = busy(1, policy).await;
            fill(&full).await;
            let before = Node::current().stats().dropped;
            let error = full.server.call(Add(1)).await.unwrap_err();
            assert_eq!(error.kind(), &CallErrorKind::MailboxFull);
            assert!(error.to_string().ends_with("the server's mailbox is full"));
            assert_eq!(Node::current().stats().dropped, before + 1);
            assert_eq!(full.drain().await, ["a"]);
        }
    });
}

#[test]
fn signals_and_sys_requests_always_get_in() {
    in_simulation(|_| async move {
        for policy in POLICIES {
            let full = busy(1, policy).await;
            full.server.cast(Tell("a"));
            let (first, second) = (idle(), idle());
            process::exit(full.server.pid(), ExitReason::Shutdown);
            process::exit(full.server.pid(), ExitReason::Timeout);
            let mut status = Box::pin(sys::get_status(full.server.pid()));
            assert!(poll_once(&mut status).await.is_none());
            let _ = full.release.send(());
            status.await.unwrap();
            while full.log.all().len() < 4 {
                process::yield_now().await;
            }
            assert_eq!(full.log.all(), ["init", "a", "exit shutdown", "exit timeout"], "{policy:?}");
            // DOWNs as well.
            let server = &full.server;
            let gone = full.log.all().len();
            server.call(doing(move |_, cx| [cx.monitor(first), cx.monitor(second)].len())).await.unwrap();
            sys::suspend(server.pid()).await.unwrap();
            server.cast(Tell("b"));
            process::exit(first, ExitReason::Kill);
            process::exit(second, ExitReason::Kill);
            process::wait(first).await;
            process::wait(second).await;
            sys::resume(server.pid()).await.unwrap();
            while full.log.all().len() < gone + 3 {
                process::yield_now().await;
            }
            assert_eq!(full.log.all()[gone..], ["b", "down killed", "down killed"], "{policy:?}");
            server.stop().await.unwrap();
        }
    });
}

#[test]
fn messages_that_come_of_signals_do_not_make_the_bound_grow() {
    in_simulation(|mut me| async move {
        let server =
            Lab::start(Setup::default()).mailbox(MailboxBound::new(3, Overflow::Reject)).await.unwrap();
        let fits = async |server: &Ref<Lab>| {
            sys::suspend(server.pid()).await.unwrap();
            let fit = (0..20).take_while(|_| server.try_cast(Tell("x")).is_ok()).count();
            sys::resume(server.pid()).await.unwrap();
            // There is no room before it has handled something.
            while server.call(Get).await.is_err() {
                process::yield_now().await;
            }
            fit
        };
        assert_eq!(fits(&server).await, 3);
        for _ in 0..10 {
            let p = idle();
            server.call(doing(move |_, cx| cx.monitor(p))).await.unwrap();
            process::exit(p, ExitReason::Kill);
            let _ = end_of(&mut me, p).await;
        }
        server.call(doing(|_, cx| cx.timeout(millis(1)))).await.unwrap();
        process::sleep(millis(10)).await;
        assert_eq!(fits(&server).await, 3, "neither DOWNs nor timeouts");
        // The same for a raw process.
        let home = me.pid();
        let p = process::spawn_with(
            process::SpawnOptions {
                mailbox: Some(MailboxBound::new(2, Overflow::Reject)),
                ..Default::default()
            },
            async move |mut mailbox: Mailbox<AnyMsg>| {
                mailbox.trap_exits(true);
                process::send(home, ());
                loop {
                    if mailbox.receive().await.is::<&str>() {
                        process::send(home, ());
                    }
                }
            },
        );
        next::<()>(&mut me).await;
        for _ in 0..10 {
            process::exit(p.pid(), ExitReason::Shutdown);
        }
        process::send(p.pid(), "caught up");
        next::<()>(&mut me).await;
        sys::suspend(p.pid()).await.unwrap();
        let before = Node::current().stats().dropped;
        for _ in 0..5 {
            process::send(p.pid(), 1u8);
        }
        assert_eq!(Node::current().stats().dropped, before + 3);
        process::exit(p.pid(), ExitReason::Kill);
    });
}

#[test]
fn a_bounded_raw_process_refuses_evicts_and_counts_too() {
    in_simulation(|_| async move {
        let spawn = |policy| {
            let options =
                process::SpawnOptions { mailbox: Some(MailboxBound::new(2, policy)), ..Default::default() };
            process::spawn_with(options, async |mut mailbox: Mailbox<u32>| {
                mailbox.receive_map(|n| if n == 0 { Ok(()) } else { Err(n) }).await;
            })
        };
        let p = spawn(Overflow::Reject);
        assert_eq!((p.try_send(1), p.try_send(2), p.try_send(3)), (Ok(()), Ok(()), Err(3)));
        let before = Node::current().stats().dropped;
        p.send(4u32);
        process::send(p.pid(), 5u32);
        process::exit(p.pid(), ExitReason::Kill);
        assert_eq!(Node::current().stats().dropped, before + 2);
        let p = spawn(Overflow::DropOldest);
        assert_eq!((p.try_send(1), p.try_send(2), p.try_send(0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(Node::current().stats().dropped, before + 3);
        assert_eq!(process::wait(p.pid()).await, ExitReason::Normal);
    });
}

#[test]
fn an_alias_into_a_full_mailbox_is_a_counted_drop() {
    in_simulation(|mut me| async move {
        let home = me.pid();
        let p = process::spawn_with(
            process::SpawnOptions {
                mailbox: Some(MailboxBound::new(1, Overflow::Reject)),
                ..Default::default()
            },
            async move |mut mailbox: Mailbox<u8>| {
                let alias = mailbox.alias(AliasMode::ExplicitUnalias);
                alias.send(1u8);
                alias.send(2u8);
                process::send(home, Node::current().stats().dropped);
                mailbox.receive().await;
            },
        );
        assert_eq!(next::<u64>(&mut me).await, 1);
        let _ = end_of(&mut me, p.pid()).await;
    });
}

#[test]
fn many_senders_that_wait_for_room_all_get_through() {
    on_real_runtimes(|mut me| async move {
        let server =
            Lab::start(Setup::default()).mailbox(MailboxBound::new(4, Overflow::Wait)).await.unwrap();
        let mut monitors = Vec::new();
        for sender in 0..8u64 {
            let server = server.clone();
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                for n in 0..500u64 {
                    if (n + sender) % 5 == 0 {
                        server.call(Add(1)).await.unwrap();
                    } else {
                        server.cast_wait(casting(|lab, _| lab.value += 1)).await.unwrap();
                    }
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
        assert_eq!(server.call(Get).await.unwrap(), 8 * 500);
        assert_eq!(Node::current().stats().dropped, 0);
    });
}

#[test]
fn a_call_or_cast_that_waited_for_room_in_vain_is_not_sent_by_another_poll() {
    in_simulation_on_every_path(|_| async move {
        let full = busy(1, Overflow::Wait).await;
        fill(&full).await;
        let mut call = full.server.call(Add(1)).timeout(secs(1));
        assert_eq!((&mut call).await.unwrap_err().kind(), &CallErrorKind::Timeout);
        let mut cast = full.server.cast_wait(Tell("b"));
        assert_eq!(poll_once(&mut cast).await, None);
        let _ = full.release.send(());
        assert_eq!((&mut cast).await, Ok(()));
        let polled = |future: &mut (dyn Future<Output = ()> + Unpin)| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let mut poll = || {
                (0..3).for_each(|_| _ = std::pin::Pin::new(&mut *future).poll(&mut cx));
            };
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut poll)).unwrap_err();
            *panic.downcast_ref::<&str>().unwrap()
        };
        let call = polled(&mut Box::pin(async { drop((&mut call).await) }));
        assert_eq!(call, "a call was polled after it was completed");
        let cast = polled(&mut Box::pin(async { drop((&mut cast).await) }));
        assert_eq!(cast, "a cast that waits for room was polled after it was completed");
        assert_eq!(full.server.call(Get).await.unwrap(), 0);
    });
}
