//! Proves that misuse and misfortune give the documented error, and stay where they happen: no node, wrong names, panics wherever user code
//! runs, handlers that never give way.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::lab::*;
use common::*;
use purlin_core::*;

/// A server of another type.
struct Other;
impl GenServer for Other {
    type Args = ();
    async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Other)
    }
}

// ---- names, nodes, pids

#[test]
fn a_name_of_a_server_of_another_type_is_wrong_type_for_calls_and_nobody_for_casts() {
    on_every_path(|_| async move {
        let other = Other::start(()).name("other").await.unwrap();
        let wrong = Lab::named("other");
        let error = wrong.call(Add(1)).await.unwrap_err();
        assert_eq!(error.kind(), &CallErrorKind::WrongType);
        assert!(error.to_string().contains("server of another type"), "{error}");
        let before = Node::current().stats().dead_letters;
        wrong.cast(Tell("nobody"));
        assert_eq!(Node::current().stats().dead_letters, before + 1);
        assert_eq!(wrong.try_cast(Tell("back")), Err(TryCastError::NoProc(Tell("back"))));
        assert!(wrong.whereis().is_none());
        assert!(Ref::<Lab>::from_pid(other.pid()).is_none());
        assert!(Ref::<Other>::from_pid(other.pid()).is_some());
        assert_eq!(wrong.stop().await, Err(StopError::NoProc));
        assert_eq!(sys::inspect_state(&wrong, |_| ()).await, Err(sys::SysError::NoProc));
        assert!(other.is_alive());
    });
}

#[test]
fn a_name_of_a_raw_process_is_wrong_type_too() {
    on_every_path(|me| async move {
        process::register("raw", me.pid()).unwrap();
        assert_eq!(Lab::named("raw").call(Get).await.unwrap_err().kind(), &CallErrorKind::WrongType);
        assert!(Ref::<Lab>::from_pid(me.pid()).is_none());
    });
}

#[test]
fn pids_of_other_nodes_find_nobody_here() {
    everywhere(|mut me| async move {
        let foreign = Pid::from_parts(999_999, 1, 1);
        assert!(Ref::<Lab>::from_pid(foreign).is_none());
        assert!(!process::is_alive(foreign));
        assert!(process::process_info(foreign).is_none());
        assert_eq!(process::register("foreign", foreign), Err(RegisterError::NoProc));
        assert_eq!(process::wait(foreign).await, ExitReason::NoProc);
        let timer = process::send_after(foreign, millis(1), ());
        assert_eq!(process::cancel_timer(timer), None);
        let monitor = me.monitor(foreign);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::NoProc);
        assert_eq!(foreign.to_string(), "<999999.1.1>");
        assert!(me.pid().to_string().starts_with("<0."), "the own node's pids begin with 0");
    });
}

#[test]
fn without_a_node_there_is_an_error_that_says_what_to_do() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert!(Node::try_current().is_none());
        let error = Lab::named("x").call(Get).await.unwrap_err();
        assert_eq!(error.kind(), &CallErrorKind::NoNode);
        assert!(error.to_string().contains("node.scope"), "{error}");
        assert_eq!(Lab::start(Setup::default()).await.unwrap_err(), StartError::NoNode);
        assert_eq!(process::whereis("x"), None);
        assert_eq!(process::self_pid(), None);
        assert!(process::registered().is_empty() && process::processes().is_empty());
        assert_eq!(process::send_named("x", ()), Err(process::UnknownName));
        assert_eq!(process::unregister("x"), Err(process::UnknownName));
        Lab::named("x").cast(Tell("into the void"));
        assert_eq!(process::link(Pid::from_parts(1, 1, 1)), Err(process::NoProcess));
        process::unlink(Pid::from_parts(1, 1, 1));
        assert_eq!(process::local::put(7u8), Some(7), "outside a process it comes back");
        assert_eq!(process::local::get::<u8>(), None);
    });
    for panics in [
        || drop(process::spawn(async |_: Mailbox<()>| {})),
        || drop(Node::current()),
        || drop(process::sleep(millis(1))),
        || {
            process::send_after("x", millis(1), ());
        },
        || {
            process::monitor("x");
        },
        || drop(Node::builder().start()),
    ] {
        let payload = std::panic::catch_unwind(panics).unwrap_err();
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        let text = text.unwrap();
        assert!(
            ["node.scope", "process::wait", "tokio runtime"].iter().any(|advice| text.contains(advice)),
            "{text}"
        );
    }
}

#[test]
fn with_two_nodes_on_one_runtime_none_is_the_default() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        tokio::spawn(async {
            let one = builder.start();
            assert!(Node::try_current().is_some());
            let two = Node::builder().start();
            assert!(Node::try_current().is_none());
            assert_eq!(Lab::start(Setup::default()).await.unwrap_err(), StartError::NoNode);
            let server = Lab::start(Setup::default()).node(&two).await.unwrap();
            assert_eq!(server.call(Add(1)).await.unwrap(), 1, "a reference says itself where it is");
            two.shutdown().await;
            drop((server, two));
            one.shutdown().await;
        })
        .await
        .unwrap();
    });
}

#[test]
fn spawning_from_outside_a_process_links_and_monitors_nobody() {
    let (runtime, builder) = prepare(Run::Simulated { seed: 0, path: CallPath::Direct });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(async {
            let p = process::spawn_link(async |mailbox: Mailbox<()>| {
                process::exit(mailbox.pid(), ExitReason::Shutdown)
            });
            assert_eq!(process::wait(p.pid()).await, ExitReason::Shutdown);
            let server = Lab::start_link(Setup::default()).await.unwrap();
            assert_eq!(server.call(doing(|_, cx| cx.parent())).await.unwrap(), None);
            let refused =
                std::panic::catch_unwind(|| drop(process::spawn_monitor(async |_: Mailbox<()>| {})));
            assert!(refused.is_err());
        })
        .await;
        node.shutdown().await;
    });
}

#[test]
fn a_node_that_was_shut_down_runs_nothing_any_more_and_says_so() {
    for workers in [0, 1, 2] {
        let how = if workers == 0 {
            Run::Simulated { seed: 1, path: CallPath::Adaptive }
        } else {
            Run::Real { workers, path: CallPath::Adaptive }
        };
        let (runtime, builder) = prepare(how);
        runtime.block_on(async {
            let node = builder.start();
            let server = node.scope(lab()).await;
            node.shutdown().await;
            node.shutdown().await;
            node.scope(async {
                assert_eq!(Lab::start(Setup::default()).await.unwrap_err(), StartError::NodeStopping);
                assert!(server.call(Add(1)).await.unwrap_err().is_no_proc());
                server.cast(Tell("late"));
                let log = Log::default();
                let note = DropNote(log.clone(), "dropped");
                let p = process::spawn(async move |_: Mailbox<()>| drop(note));
                assert_eq!(process::wait(p.pid()).await, ExitReason::NoProc);
                assert_eq!(log.all(), ["dropped"]);
                assert!(!p.is_alive());
            })
            .await;
            assert_eq!(node.stats().processes, 0);
        });
    }
}

#[test]
fn dropping_the_runtime_ends_every_process_and_drops_what_it_owns() {
    for workers in [1, 2] {
        let (runtime, builder) = prepare(Run::Real { workers, path: CallPath::Adaptive });
        let log = Log::default();
        let node = runtime.block_on(async {
            let node = builder.start();
            node.scope(async {
                for _ in 0..10 {
                    let setup = Setup { on_drop: Some(DropNote(log.clone(), "state")), ..Setup::default() };
                    Lab::start(setup).await.unwrap();
                }
            })
            .await;
            node
        });
        drop(runtime);
        assert_eq!(log.all(), ["state"; 10]);
        assert_eq!(node.stats().processes, 0);
    }
}

// ---- panics wherever user code runs

#[test]
fn a_panic_in_any_handler_ends_the_server_with_it_after_terminate() {
    on_every_path(|mut me| async move {
        for n in 0..8 {
            let log = Log::default();
            let server = Lab::start(Setup::logging(&log)).await.unwrap();
            let monitor = me.monitor(server.pid());
            match n {
                0 => drop(server.call(doing(|_, _| planned("handler"))).await.unwrap_err()),
                1 => drop(server.call(doing_sync(|_, _| planned("handler"))).await.unwrap_err()),
                2 => drop(server.call(looking(|_, _| planned("handler"))).await.unwrap_err()),
                3 => drop(
                    server
                        .call(wait(|_, _| {
                            Box::pin(async {
                                process::yield_now().await;
                                planned("handler")
                            })
                        }))
                        .await
                        .unwrap_err(),
                ),
                4 => server.cast(casting(|_, _| planned("handler"))),
                5 => server.send(informing(|_, _| planned("handler"))),
                6 => {
                    let to_panic = casting(|_, cx| cx.continue_with(Panics));
                    server.cast(to_panic);
                },
                _ => server.cast(cast_waiting(|_, _| {
                    Box::pin(async {
                        process::yield_now().await;
                        planned("handler")
                    })
                })),
            }
            let reason = down(&mut me, monitor).await.reason;
            assert!(is_planned(&reason, "handler") || reason == ExitReason::NoProc, "{n}: {reason}");
            let all = log.all();
            assert_eq!(all.len(), 2, "{n}: {all:?}");
            assert!(
                all[1].starts_with("terminate panicked") && all[1].contains("planned: handler"),
                "{all:?}"
            );
        }
    });
}

struct Panics;
impl HandleContinue<Panics> for Lab {
    async fn handle_continue(&mut self, _: Panics, _: &mut Cx<Self>) {
        planned("handler")
    }
}

#[test]
fn a_handler_that_promised_not_to_wait_and_waits_ends_its_server() {
    struct Liar;
    struct Lie;
    impl GenServer for Liar {
        type Args = ();
        async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
            Ok(Liar)
        }
    }
    impl HandleCall<Lie> for Liar {
        type Reply = ();
        const SYNC: bool = true;
        async fn handle_call(&mut self, _: Lie, _: &mut Cx<Self>) {
            process::yield_now().await;
        }
    }
    on_every_path(|_| async move {
        let server = Liar::start(()).await.unwrap();
        let error = server.call(Lie).await.unwrap_err();
        assert!(error.exit_reason().unwrap().to_string().contains("not `async` waited"), "{error}");
        assert!(!server.is_alive());
    });
}

#[test]
fn a_panic_in_terminate_replaces_the_reason() {
    on_every_path(|mut me| async move {
        let server = Lab::start(Setup::default().terminate(|_, _| Box::pin(async { planned("terminate") })))
            .await
            .unwrap();
        let monitor = me.monitor(server.pid());
        server.cast(casting(|_, cx| cx.stop(ExitReason::Normal)));
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "terminate"), "{reason}");
    });
}

#[test]
fn a_state_whose_drop_panics_changes_neither_the_reason_nor_anything_else() {
    on_every_path(|mut me| async move {
        for end in [ExitReason::Kill, ExitReason::Shutdown] {
            let dropped = Log::default();
            let setup = Setup {
                bomb: Some(Bomb("state")),
                on_drop: Some(DropNote(dropped.clone(), "beside it")),
                ..Setup::default()
            };
            let server = Lab::start(setup).name("bomb").await.unwrap();
            let monitor = me.monitor(server.pid());
            process::exit(server.pid(), end.clone());
            let reason = down(&mut me, monitor).await.reason;
            assert_eq!(reason, if end == ExitReason::Kill { ExitReason::Killed } else { end });
            assert_eq!(dropped.all(), ["beside it"]);
            assert_eq!(process::whereis("bomb"), None);
        }
        // And the executors go on.
        let p = process::spawn(async |_: Mailbox<()>| {});
        let _ = end_of(&mut me, p.pid()).await;
    });
}

#[test]
fn a_body_a_waiting_handler_and_a_local_value_whose_drop_panics_hurt_nobody() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let (p, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<()>| {
            let _bomb = Bomb("body");
            process::local::put(Bomb("local"));
            process::send(home, ());
            mailbox.receive().await;
        });
        next::<()>(&mut me).await;
        process::exit(p.pid(), ExitReason::Shutdown);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        let server = lab().await;
        let mut call = Box::pin(server.call(wait(|_, _| {
            Box::pin(async {
                let _bomb = Bomb("handler");
                std::future::pending::<()>().await
            })
        })));
        assert!(poll_once(&mut call).await.is_none());
        let monitor = me.monitor(server.pid());
        process::exit(server.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        assert_eq!(call.await.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
    });
}

#[test]
fn messages_whose_drop_panics_hurt_nobody_wherever_they_are_dropped() {
    everywhere(|mut me| async move {
        for trap in [false, true] {
            // In the mailbox of a server that ends: before and behind the fatal signal.
            let server = Lab::start(Setup { trap, ..Setup::default() }).await.unwrap();
            let monitor = me.monitor(server.pid());
            sys::suspend(server.pid()).await.unwrap();
            for _ in 0..3 {
                let bomb = Bomb("message");
                server.cast(casting(move |_, _| std::mem::forget(bomb)));
            }
            process::exit(server.pid(), ExitReason::Timeout);
            if trap {
                process::exit(server.pid(), ExitReason::Kill);
            }
            for _ in 0..3 {
                let bomb = Bomb("message behind it");
                let cast = casting(move |_, _| std::mem::forget(bomb));
                // The sender drops what comes too late.
                if let Err(late) = server.try_cast(cast) {
                    std::mem::forget(late);
                }
            }
            let reason = down(&mut me, monitor).await.reason;
            assert_eq!(reason, if trap { ExitReason::Killed } else { ExitReason::Timeout });
        }
        // In the mailbox of a raw process.
        let p = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| mailbox.receive_as::<()>().await);
        let monitor = me.monitor(p.pid());
        process::send(p.pid(), Bomb("raw message"));
        process::exit(p.pid(), ExitReason::Shutdown);
        if let Err(late) = p.try_send(AnyMsg::new(Bomb("raw message behind it"))) {
            std::mem::forget(late);
        }
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        assert_eq!(lab().await.call(Add(1)).await.unwrap(), 1, "the executors go on");
    });
}

#[test]
fn arguments_whose_drop_panics_hurt_nobody() {
    everywhere(|_| async move {
        let first = Lab::start(Setup::default()).name("args").await.unwrap();
        let second =
            Lab::start(Setup { bomb: Some(Bomb("arguments")), ..Setup::default() }).name("args").await;
        assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(first.pid()));
        let setup = Setup { bomb: Some(Bomb("in init")), ..Setup::default() }
            .init(|_| Box::pin(async { planned("init") }));
        let StartError::Failed(reason) = Lab::start(setup).await.unwrap_err() else { panic!() };
        // Dropped while the first panic unwinds: the bomb keeps quiet then.
        assert!(is_planned(&reason, "init"), "{reason}");
    });
}

#[test]
fn a_conversion_into_the_mailbox_s_type_that_panics_ends_that_process_only() {
    struct Picky;
    impl From<Down> for Picky {
        fn from(_: Down) -> Self {
            planned("from down")
        }
    }
    impl From<Exit> for Picky {
        fn from(_: Exit) -> Self {
            planned("from exit")
        }
    }
    everywhere(|mut me| async move {
        let target = idle();
        let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<Picky>| {
            mailbox.monitor(target);
            process::exit(target, ExitReason::Kill);
            mailbox.receive().await;
        });
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "from down"), "{reason}");
        let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<Picky>| {
            mailbox.trap_exits(true);
            process::exit(mailbox.pid(), ExitReason::Shutdown);
            mailbox.receive().await;
        });
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "from exit"), "{reason}");
    });
}

#[test]
fn a_panicking_telemetry_handler_changes_nothing_for_processes() {
    everywhere(|mut me| async move {
        let node = Node::current();
        node.telemetry()
            .attach("bad", telemetry::events::PROCESS_EXIT, |_| planned("in a telemetry handler"))
            .unwrap();
        for _ in 0..3 {
            let p = idle();
            let monitor = me.monitor(p);
            process::exit(p, ExitReason::Shutdown);
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        }
        assert!(node.telemetry().list_handlers(&[]).iter().all(|h| *h.id != *"bad"), "it is detached");
    });
}

#[test]
fn a_mailbox_used_outside_its_process_panics_there() {
    everywhere(|mut me| async move {
        let home = me.pid();
        let server = lab().await;
        let monitor = me.monitor(server.pid());
        let p = process::spawn(async move |mailbox: Mailbox<u8>| process::send(home, mailbox));
        let mut stolen = next::<Mailbox<u8>>(&mut me).await;
        let _ = end_of(&mut me, p.pid()).await;
        server.cast(casting(move |_, _| {
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stolen.try_receive())).is_err() {
                planned("used outside its process");
            }
        }));
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "used outside its process"), "{reason}");
    });
}

// ---- hogs

#[test]
fn a_handler_that_never_gives_way_is_reported_while_it_runs_and_others_go_on() {
    run(Run::Real { workers: 2, path: CallPath::Queued }, |mut me| async move {
        let node = Node::current();
        let reported = Arc::new(AtomicBool::new(false));
        let server = Lab::start(Setup::default()).name("the hog").await.unwrap();
        let (seen, hog) = (reported.clone(), server.pid());
        let texts = Log::default();
        let given = texts.clone();
        node.telemetry()
            .attach("watch", telemetry::events::WATCHDOG_LONG_POLL, move |event| {
                if event.metadata.pid("pid") == Some(hog) {
                    given.add(format!(
                        "{} {}",
                        event.metadata.str("name").unwrap(),
                        event.metadata.str("message_type").unwrap_or_default()
                    ));
                    // The alarm is the last of three reports.
                    if event.measurements.duration("limit") == Some(millis(100)) {
                        seen.store(true, Ordering::SeqCst);
                    }
                }
            })
            .unwrap();
        // It blocks its worker until it has been reported: no time is measured here.
        server.cast(casting(move |_, _| {
            while !reported.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        }));
        // Meanwhile others are served.
        for n in 1..=100 {
            let other = lab().await;
            assert_eq!(other.call(Add(n)).await.unwrap(), n);
            other.stop().await.unwrap();
        }
        server.call(Get).infinity().await.unwrap();
        // Reports about other messages may come on a machine that is busy with other things.
        let texts: Vec<_> = texts.all().into_iter().filter(|text| text.contains("CastDo")).collect();
        assert!((1..=3).contains(&texts.len()), "counted, logged, alarm, the last at least: {texts:?}");
        assert!(texts[0].starts_with("the hog "), "{texts:?}");
        assert!(node.stats().long_polls >= 1);
        nothing(&mut me);
    });
}
