//! Proves what the start of a server promises: `init`, names, limits, parents, continues (G1 to G19, P91, P93).

mod common;

use std::future::Future;
use std::time::Duration;

use common::lab::*;
use common::*;
use purlin_core::*;

fn custom() -> ExitReason {
    ExitReason::custom("init")
}

#[test]
fn g1_g2_start_returns_the_server_after_init_has_finished() {
    everywhere(|_| async move {
        let log = Log::default();
        let given = log.clone();
        let setup = Setup::logging(&log).init(move |_| {
            Box::pin(async move {
                process::sleep(millis(2)).await;
                given.add("init is done".to_owned());
                Ok(())
            })
        });
        let server = Lab::start(setup).await.unwrap();
        assert_eq!(log.all(), ["init", "init is done"]);
        assert!(server.is_alive());
        assert_eq!(server.call(Add(2)).await.unwrap(), 2);
    });
}

#[test]
fn g3_ignore_starts_nothing_ends_normally_and_frees_the_name() {
    everywhere(|mut me| async move {
        let refused = || Setup::default().init(|_| Box::pin(async { Err(InitError::Ignore) }));
        let (_, end) = me.spawn_monitor(async move |_: Mailbox<()>| {
            let _ = Lab::start_link(refused()).await;
            process::yield_now().await;
        });
        // Its starter survives an end that is normal.
        assert_eq!(down(&mut me, end).await.reason, ExitReason::Normal);
        me.trap_exits(true);
        let started = Lab::start_link(refused()).name("ignored").await;
        assert_eq!(started.unwrap_err(), StartError::Ignore);
        assert_eq!(process::whereis("ignored"), None);
        assert_eq!(living(), [me.pid()]);
        nothing(&mut me);
        Lab::start(Setup::default()).name("ignored").await.unwrap();
    });
}

#[test]
fn g4_stop_in_init_fails_the_start_with_the_reason_and_the_process_exits_with_it() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let log = Log::default();
        for reason in [custom(), ExitReason::Normal, ExitReason::Shutdown] {
            let given = reason.clone();
            let setup = Setup::logging(&log).init(move |_| Box::pin(async { Err(InitError::Stop(given)) }));
            let (_, end) = me.spawn_monitor(async move |_: Mailbox<()>| {
                let _ = Lab::start_link(setup).await;
                process::yield_now().await;
            });
            // The link tells a starter that does not trap.
            assert_eq!(down(&mut me, end).await.reason, reason);
            let given = reason.clone();
            let setup = Setup::logging(&log).init(move |_| Box::pin(async { Err(InitError::Stop(given)) }));
            assert_eq!(Lab::start_link(setup).await.unwrap_err(), StartError::Failed(reason));
            nothing(&mut me);
        }
        assert_eq!(log.all(), ["init"; 6], "terminate does not run: there is no state");
    });
}

#[test]
fn g4_a_failing_start_link_takes_a_starter_with_it_that_does_not_trap() {
    everywhere(|mut me| async move {
        let (_, monitor) = process::spawn_monitor(async |mut mailbox: Mailbox<()>| {
            let setup = Setup::default().init(|_| Box::pin(async { Err(InitError::Stop(custom())) }));
            let _ = Lab::start_link(setup).await;
            mailbox.receive().await;
        });
        assert_eq!(down(&mut me, monitor).await.reason, custom());
    });
}

#[test]
fn g6_a_panic_an_error_and_an_exit_in_init_fail_the_start() {
    everywhere(|_| async move {
        let setup = Setup::default().init(|_| Box::pin(async { planned("in init") }));
        let StartError::Failed(reason) = Lab::start(setup).await.unwrap_err() else { panic!() };
        assert!(is_planned(&reason, "in init"));

        let setup = Setup::default().init(|_| {
            Box::pin(async {
                let _: i32 = "seven".parse()?;
                Ok(())
            })
        });
        let StartError::Failed(ExitReason::Error(term)) = Lab::start(setup).await.unwrap_err() else {
            panic!()
        };
        assert!(term.as_error().unwrap().is::<std::num::ParseIntError>());

        let setup = Setup::default().init(|cx| {
            Box::pin(async {
                process::exit(cx.pid(), custom());
                process::sleep(secs(1)).await;
                Ok(())
            })
        });
        assert_eq!(Lab::start(setup).await.unwrap_err(), StartError::Failed(custom()));

        let setup = Setup::default().init(|_| Box::pin(async { Err(Crash::msg("no disk").into()) }));
        assert_eq!(Lab::start(setup).await.unwrap_err(), StartError::Failed(ExitReason::error("no disk")));
    });
}

/// A server whose `init` is a plain function, and panics before it returns a future if it is told to.
struct Hasty;

impl GenServer for Hasty {
    type Args = bool;
    fn init(panics: bool, _: &mut Cx<Self>) -> impl Future<Output = Result<Self, InitError>> + Send {
        if panics {
            planned("before the future");
        }
        std::future::ready(Ok(Hasty))
    }
}

#[test]
fn g6_an_init_that_panics_before_it_is_a_future_fails_the_start() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let StartError::Failed(reason) = Hasty::start_link(true).await.unwrap_err() else { panic!() };
        assert!(is_planned(&reason, "before the future"), "{reason}");
        nothing(&mut me);
        assert!(Hasty::start(false).await.unwrap().is_alive());
    });
}

#[test]
fn g6_a_server_killed_in_init_fails_the_start_with_killed() {
    everywhere(|me| async move {
        let home = me.pid();
        let setup = Setup::default().init(move |cx| {
            Box::pin(async move {
                process::send(home, cx.pid());
                std::future::pending().await
            })
        });
        let mut me = me;
        let mut start = Box::pin(Lab::start(setup).into_future());
        assert!(poll_once(&mut start).await.is_none());
        let pid = next::<Pid>(&mut me).await;
        process::exit(pid, ExitReason::Kill);
        assert_eq!(start.await.unwrap_err(), StartError::Failed(ExitReason::Killed));
    });
}

#[test]
fn g9_p93_a_start_that_takes_too_long_is_unlinked_killed_and_gone_on_return() {
    in_simulation(|mut me| async move {
        me.trap_exits(true);
        let log = Log::default();
        let setup = Setup { on_drop: Some(DropNote(log.clone(), "setup dropped")), ..Setup::default() };
        let node = Node::current();
        let begin = node.now();
        let started = Lab::start_link(setup.init(|_| Box::pin(std::future::pending())))
            .name("slow")
            .timeout(secs(3))
            .await;
        assert_eq!(started.unwrap_err(), StartError::Timeout);
        assert_eq!(node.now() - begin, secs(3));
        assert_eq!(log.all(), ["setup dropped"]);
        assert_eq!(process::whereis("slow"), None);
        assert_eq!(living(), [me.pid()]);
        nothing(&mut me);
        let quick = Lab::start_link(Setup::default()).timeout(Duration::MAX).await.unwrap();
        assert_eq!(process::process_info(me.pid()).unwrap().links, [quick.pid()]);
        process::unlink(quick.pid());
    });
}

#[test]
fn dropping_a_start_link_half_way_takes_the_server_and_not_the_starter() {
    everywhere(|mut me| async move {
        let setup = Setup::default().init(|_| Box::pin(std::future::pending()));
        let mut start = Box::pin(Lab::start_link(setup).name("half").into_future());
        assert!(poll_once(&mut start).await.is_none());
        let pid = process::whereis("half").unwrap();
        let monitor = me.monitor(pid);
        drop(start);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        // Not trapping, and still here.
        nothing(&mut me);
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
    });
}

#[test]
fn g9_g10_g11_a_start_that_comes_to_nothing_leaves_its_starter_alive_though_it_does_not_trap() {
    in_simulation(|mut me| async move {
        let home = me.pid();
        let taken: Registry<u8> = Registry::unique("rooms").start().await.unwrap();
        let first = Lab::start(Setup::default()).name("taken").await.unwrap();
        let second = Lab::start(Setup::default()).name(taken.via::<Lab>(1)).await.unwrap();
        let starter = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let local = Lab::start_link(Setup::default()).name("taken").await;
            assert_eq!(local.unwrap_err(), StartError::AlreadyStarted(first.pid()));
            let via = Lab::start_link(Setup::default()).name(taken.via::<Lab>(1)).await;
            assert_eq!(via.unwrap_err(), StartError::AlreadyStarted(second.pid()));
            let slow = Setup::default().init(|_| Box::pin(std::future::pending()));
            assert_eq!(Lab::start_link(slow).timeout(secs(1)).await.unwrap_err(), StartError::Timeout);
            process::sleep(secs(1)).await;
            process::send(home, "alive");
            mailbox.receive().await;
        });
        let monitor = me.monitor(starter.pid());
        let message = me.receive().await;
        assert!(message.is::<&str>(), "{message:?}");
        me.demonitor(monitor);
    });
}

#[test]
fn g10_a_taken_name_fails_the_start_and_init_is_not_run() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let log = Log::default();
        let first = Lab::start(Setup::logging(&log)).name("taken").await.unwrap();
        let note = Log::default();
        let setup = Setup { on_drop: Some(DropNote(note.clone(), "args dropped")), ..Setup::logging(&log) };
        let second = Lab::start_link(setup).name("taken").await;
        assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(first.pid()));
        assert_eq!(log.all(), ["init"]);
        assert_eq!(note.all(), ["args dropped"]);
        assert_eq!(process::process_info(me.pid()).unwrap().links, []);
        assert_eq!(living().len(), 2);
        nothing(&mut me);
    });
}

#[test]
fn g11_a_taken_via_name_fails_the_start_and_init_is_not_run() {
    everywhere(|mut me| async move {
        me.trap_exits(true);
        let log = Log::default();
        let registry = Registry::<String, ()>::unique("names").start_link().await.unwrap();
        let name = registry.via::<Lab>("taken".to_owned());
        let first = Lab::start(Setup::logging(&log)).name(&name).await.unwrap();
        let (links, processes) = (process::process_info(me.pid()).unwrap().links, living().len());
        let note = Log::default();
        let setup = Setup { on_drop: Some(DropNote(note.clone(), "args dropped")), ..Setup::logging(&log) };
        let second = Lab::start_link(setup).name(&name).await;
        assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(first.pid()));
        assert_eq!((log.all(), note.all()), (vec!["init".to_owned()], vec!["args dropped"]));
        assert_eq!(process::process_info(me.pid()).unwrap().links, links);
        assert_eq!(living().len(), processes);
        assert_eq!(name.whereis().unwrap().pid(), first.pid());
        nothing(&mut me);
    });
}

#[test]
fn g10_of_many_starts_under_one_name_at_the_same_time_one_wins() {
    everywhere(|mut me| async move {
        let home = me.pid();
        for _ in 0..8 {
            process::spawn(async move |_: Mailbox<()>| {
                process::send(home, Lab::start(Setup::default()).name("race").await.map(|r| r.pid()));
            });
        }
        let mut winners = Vec::new();
        let mut losers = Vec::new();
        for _ in 0..8 {
            match next::<Result<Pid, StartError>>(&mut me).await {
                Ok(pid) => winners.push(pid),
                Err(StartError::AlreadyStarted(pid)) => losers.push(pid),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(losers, vec![winners[0]; 7]);
        assert_eq!(process::whereis("race"), Some(winners[0]));
    });
}

#[test]
fn g17_continues_chain_and_run_before_any_queued_message() {
    on_every_path(|_| async move {
        let log = Log::default();
        let setup = Setup::logging(&log).init(|cx| {
            cx.this().cast(Tell("queued before"));
            cx.continue_with(Go(2));
            cx.continue_with(GoSlowly);
            Box::pin(async { Ok(()) })
        });
        let server = Lab::start(setup).await.unwrap();
        server.cast(Tell("cast"));
        assert_eq!(server.call(Add(1)).await.unwrap(), 1);
        // `continue 1` was asked for by `continue 2`, when `slowly` was waiting already.
        assert_eq!(
            log.all(),
            ["init", "continue 2", "slowly", "continue 1", "continue 0", "queued before", "cast"]
        );
        // From a call, with the reply not held up by it, and a cast that comes right behind.
        server.call(doing(|_, cx| cx.continue_with(Go(1)))).await.unwrap();
        server.cast(Tell("second"));
        server.call(Get).await.unwrap();
        assert_eq!(log.all()[7..], ["continue 1", "continue 0", "second"]);
    });
}

#[test]
fn g18_an_empty_name_is_refused_and_no_name_is_none() {
    everywhere(|me| async move {
        assert_eq!(Lab::start(Setup::default()).name("").await.unwrap_err(), StartError::BadName);
        assert_eq!(living(), [me.pid()]);
        let server = lab().await;
        assert_eq!(process::process_info(server.pid()).unwrap().registered_name, None);
        let named = Lab::start(Setup::default()).name(format!("made {}", 1)).await.unwrap();
        assert_eq!(Lab::named(String::from("made 1")).whereis().unwrap().pid(), named.pid());
    });
}

#[test]
fn g19_the_parent_is_the_caller_of_start_link_and_nobody_for_start() {
    everywhere(|me| async move {
        let linked = Lab::start_link(Setup::default()).await.unwrap();
        assert_eq!(linked.call(doing(|_, cx| cx.parent())).await.unwrap(), Some(me.pid()));
        assert_eq!(process::process_info(me.pid()).unwrap().links, [linked.pid()]);
        let free = lab().await;
        assert_eq!(free.call(doing(|_, cx| cx.parent())).await.unwrap(), None);
        assert_eq!(
            process::process_info(free.pid()).unwrap().parent,
            Some(me.pid()),
            "its spawner all the same"
        );
        process::unlink(linked.pid());
    });
}

#[test]
fn g19_the_exit_of_a_spawner_that_is_no_parent_is_a_message_for_a_trapping_server() {
    everywhere(|mut me| async move {
        let log = Log::default();
        let given = log.clone();
        let home = me.pid();
        let spawner = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let server = Lab::start(Setup::trapping(&given)).await.unwrap();
            process::link(server.pid()).unwrap();
            process::send(home, server);
            mailbox.receive().await;
            process::exit(mailbox.pid(), custom());
        });
        let server = next::<Ref<Lab>>(&mut me).await;
        let monitor = me.monitor(spawner.pid());
        spawner.send(());
        down(&mut me, monitor).await;
        // Its exit and its DOWN go to two processes: nothing is promised about which arrives first.
        while log.all().len() < 2 {
            server.call(Get).await.unwrap();
        }
        assert_eq!(log.all(), ["init", &format!("exit {}", custom())]);
        assert!(server.is_alive());
    });
}

#[test]
fn start_with_monitor_tells_the_end_from_before_init_on() {
    everywhere(|mut me| async move {
        let (server, monitor) = Lab::start(Setup::default()).monitor().await.unwrap();
        server.stop().await.unwrap();
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        let setup = Setup::default().init(|_| Box::pin(async { Err(InitError::Stop(custom())) }));
        assert_eq!(Lab::start(setup).monitor().await.unwrap_err(), StartError::Failed(custom()));
        // As in OTP, whose `gen` takes the DOWN out: the caller has no reference that would tell it what this is about.
        assert!(me.try_receive().is_none());
    });
}

#[test]
fn p91_start_waits_for_init_and_reports_an_end_before_it_normal_included() {
    everywhere(|_| async move {
        let setup = Setup::default().init(|cx| {
            Box::pin(async {
                process::exit(cx.pid(), ExitReason::Normal);
                std::future::pending().await
            })
        });
        assert_eq!(Lab::start(setup).await.unwrap_err(), StartError::Failed(ExitReason::Normal));
    });
}

#[test]
fn a_call_to_a_server_in_init_waits_for_it() {
    everywhere(|mut me| async move {
        let setup = Setup { value: 40, ..Setup::default() }.init(|cx| {
            Box::pin(async {
                while process::process_info(cx.pid()).unwrap().message_queue_len == 0 {
                    process::yield_now().await;
                }
                Ok(())
            })
        });
        let home = me.pid();
        process::spawn(async move |_: Mailbox<()>| {
            while process::whereis("starting").is_none() {
                process::yield_now().await;
            }
            process::send(home, Lab::named("starting").call(Add(2)).await.unwrap());
        });
        Lab::start(setup).name("starting").await.unwrap();
        assert_eq!(next::<i64>(&mut me).await, 42);
    });
}

/// Keeps a value of any type.
struct Keeper<T>(T);

struct Show;

impl<T: Clone + Send + Sync + 'static> GenServer for Keeper<T> {
    type Args = T;

    async fn init(value: T, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Keeper(value))
    }
}

impl<T: Clone + Send + Sync + 'static> HandleRead<Show> for Keeper<T> {
    type Reply = T;

    fn handle_read(&self, Show: Show, _: &ReadCx<Self>) -> T {
        self.0.clone()
    }
}

#[test]
fn a_generic_server_whose_arguments_have_a_static_lifetime_starts_inside_a_future_that_must_be_send() {
    // That this compiles is the test: the futures of a spawned process and of a task must be `Send`.
    everywhere(|mut me| async move {
        let to = me.address();
        process::spawn(async move |_: Mailbox<()>| {
            let keeper = Keeper::start("text").await.unwrap();
            let other = Keeper::start_link(Some("text")).name("other").timeout(secs(5)).await.unwrap();
            let both = (keeper.call(Show).await.unwrap(), other.call(Show).await.unwrap());
            to.send(both);
        });
        assert_eq!(next::<(&str, Option<&str>)>(&mut me).await, ("text", Some("text")));
        let watcher = process::spawn(async |mut mailbox: Mailbox<Down>| {
            let (keeper, monitor) = Keeper::start("text").monitor().await.unwrap();
            keeper.stop().await.unwrap();
            assert_eq!(mailbox.receive().await.monitor, monitor);
        });
        assert!(watcher.wait().await.is_normal());
        let task = tokio::spawn(Node::current().scope(async { Keeper::start(vec!["text"]).await.unwrap() }));
        assert_eq!(task.await.unwrap().call(Show).await.unwrap(), ["text"]);
    });
}
