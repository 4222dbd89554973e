//! Proves the cases of starts that OTP's documentation and source imply and the numbered statements do not spell out: ends during and right
//! after `init`, starters that die meanwhile, names and keys that several want at once or that a dying process still has.

mod common;
mod subtle_support;

use common::lab::*;
use common::*;
use purlin_core::*;
use subtle_support::*;

fn custom() -> ExitReason {
    ExitReason::custom("end")
}

/// A server whose `init` says that it has begun and waits for the gate.
fn gated(setup: Setup) -> (Setup, Gate, Gate) {
    let (entered, gate) = (Gate::default(), Gate::default());
    let (inside, wait) = (entered.clone(), gate.clone());
    let setup = setup.init(move |_| {
        Box::pin(async move {
            inside.open();
            wait.pass().await;
            Ok(())
        })
    });
    (setup, entered, gate)
}

#[test]
fn g4_a_start_link_that_fails_tells_a_trapping_starter_by_its_error_and_sends_no_exit() {
    explored(|mut me| async move {
        me.trap_exits(true);
        let setup = Setup::default().init(|_| Box::pin(async { Err(InitError::Stop(custom())) }));
        assert_eq!(Lab::start_link(setup).name("failing").await.unwrap_err(), StartError::Failed(custom()));
        // The process is gone when the error is there, and so is its name.
        assert_eq!(living(), [me.pid()]);
        assert_eq!(process::whereis("failing"), None);
        // OTP's `proc_lib` takes the EXIT out of the mailbox; here none is sent.
        assert!(process::process_info(me.pid()).unwrap().links.is_empty());
        nothing(&mut me);
    });
}

#[test]
fn g3_an_ignored_start_link_is_a_normal_end_that_a_starter_who_does_not_trap_survives() {
    explored(|mut me| async move {
        let ignoring = || Setup::default().init(|_| Box::pin(async { Err(InitError::Ignore) }));
        assert_eq!(Lab::start_link(ignoring()).name("ignoring").await.unwrap_err(), StartError::Ignore);
        Lab::start(Setup::default()).name("ignoring").await.unwrap();
        // A look into the mailbox applies the signals that are in it; the end of a link is one of them.
        nothing(&mut me);
        assert!(process::process_info(me.pid()).unwrap().links.is_empty());
    });
}

#[test]
fn g10_g11_a_start_link_that_is_refused_leaves_a_trapping_starter_nothing_but_the_error() {
    explored(|mut me| async move {
        static KEYS: Registry<u32> = Registry::named("keys");
        Registry::<u32>::unique("keys").start().await.unwrap();
        me.trap_exits(true);
        let by_name = Lab::start(Setup::default()).name("taken").await.unwrap();
        let by_key = Lab::start(Setup::default()).name(KEYS.via::<Lab>(1)).await.unwrap();
        let refused = Lab::start_link(Setup::default()).name("taken").await.unwrap_err();
        assert_eq!(refused, StartError::AlreadyStarted(by_name.pid()));
        let refused = Lab::start_link(Setup::default()).name(KEYS.via::<Lab>(1)).await.unwrap_err();
        assert_eq!(refused, StartError::AlreadyStarted(by_key.pid()));
        let slow = Setup::default().init(|_| Box::pin(std::future::pending()));
        assert_eq!(Lab::start_link(slow).timeout(millis(1)).await.unwrap_err(), StartError::Timeout);
        assert!(process::process_info(me.pid()).unwrap().links.is_empty());
        nothing(&mut me);
    });
}

#[test]
fn g6_an_end_right_after_init_is_a_successful_start_and_then_an_exit() {
    explored(|mut me| async move {
        me.trap_exits(true);
        for by_itself in [true, false] {
            let setup = Setup::default().init(move |cx| {
                if by_itself {
                    cx.this().cast(casting(|_, cx| cx.stop(custom())));
                } else {
                    cx.this().cast(casting(|_, _| planned("right after init")));
                }
                Box::pin(async { Ok(()) })
            });
            let server = Lab::start_link(setup).await.unwrap();
            let exit = me.receive_as::<Exit>().await;
            assert_eq!(exit.from, server.pid());
            assert!(
                exit.reason == custom() || is_planned(&exit.reason, "right after init"),
                "{}",
                exit.reason
            );
            nothing(&mut me);
        }
    });
}

#[test]
fn g6_a_kill_that_meets_the_end_of_init_fails_the_start_or_ends_the_server_and_never_neither() {
    explored(|mut me| async move {
        for n in 0..5 {
            let (setup, entered, gate) = gated(Setup::default());
            let home = me.pid();
            let starter = process::spawn(async move |mut mailbox: Me| {
                mailbox.trap_exits(true);
                let started = Lab::start_link(setup).name("target").await.map(|server| server.pid());
                // A start that was successful is followed by an exit, one that was not by nothing.
                if started.is_ok() {
                    let exit = mailbox.receive_as::<Exit>().await;
                    assert_eq!(exit.reason, ExitReason::Killed);
                }
                nothing(&mut mailbox);
                process::send(home, started);
            });
            entered.pass().await;
            let target = process::whereis("target").unwrap();
            gate.open();
            steps(n).await;
            process::exit(target, ExitReason::Kill);
            match me.receive_as::<Result<Pid, StartError>>().await {
                Ok(pid) => assert_eq!(pid, target),
                Err(error) => assert_eq!(error, StartError::Failed(ExitReason::Killed)),
            }
            assert_eq!(process::whereis("target"), None);
            starter.wait().await;
        }
    });
}

#[test]
fn g72_a_starter_killed_during_init_takes_its_linked_server_along_in_the_middle_of_init() {
    explored(|mut me| async move {
        let dropped = Log::default();
        let setup = Setup { on_drop: Some(DropNote(dropped.clone(), "arguments")), ..Setup::default() };
        let (setup, entered, _gate) = gated(setup);
        let (starter, end) = me.spawn_monitor(async move |_: Mailbox<()>| {
            let _ = Lab::start_link(setup).name("orphan").await;
        });
        entered.pass().await;
        let server = process::whereis("orphan").unwrap();
        let server_end = me.monitor(server);
        process::exit(starter.pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, end).await.reason, ExitReason::Killed);
        assert_eq!(down(&mut me, server_end).await.reason, ExitReason::Killed);
        assert_eq!(dropped.all(), ["arguments"]);
        assert_eq!(process::whereis("orphan"), None);
    });
}

#[test]
fn a_start_is_called_off_when_its_starter_ends_during_init_whatever_the_server_is_to_it() {
    // A deliberate difference: in OTP a trapping server would finish `init` and then run `terminate`, and one without a link would stay.
    explored(|mut me| async move {
        for (trap, link) in [(false, false), (false, true), (true, false), (true, true)] {
            let log = Log::default();
            let dropped = Log::default();
            let setup =
                Setup { trap, on_drop: Some(DropNote(dropped.clone(), "arguments")), ..Setup::logging(&log) };
            let (setup, entered, gate) = gated(setup);
            let (starter, end) = me.spawn_monitor(async move |_: Mailbox<()>| {
                let start = if link { Lab::start_link(setup) } else { Lab::start(setup) };
                let _ = start.name("late").await;
            });
            entered.pass().await;
            let server = process::whereis("late").unwrap();
            let server_end = me.monitor(server);
            process::exit(starter.pid(), custom());
            assert_eq!(down(&mut me, end).await.reason, custom());
            gate.open();
            assert_eq!(down(&mut me, server_end).await.reason, ExitReason::Killed);
            assert_eq!(log.all(), ["init"], "no `terminate`: there is no state yet");
            assert_eq!(dropped.all(), ["arguments"]);
            assert_eq!(process::whereis("late"), None);
        }
    });
}

#[test]
fn g10_a_start_that_meets_the_end_of_the_name_s_owner_takes_over_or_is_told_of_the_owner() {
    explored(|mut me| async move {
        for n in 0..6 {
            let old = Lab::start(Setup::default()).name("throne").await.unwrap();
            let end = me.monitor(old.pid());
            if n % 2 == 0 {
                process::exit(old.pid(), ExitReason::Kill);
            } else {
                old.cast(casting(|_, cx| cx.stop(custom())));
            }
            steps(n).await;
            match Lab::start(Setup::default()).name("throne").await {
                Ok(new) => {
                    assert_ne!(new.pid(), old.pid());
                    assert_eq!(process::whereis("throne"), Some(new.pid()));
                    new.stop().await.unwrap();
                },
                Err(error) => {
                    assert_eq!(error, StartError::AlreadyStarted(old.pid()));
                    assert_eq!(n % 2, 1, "a killed process has no name");
                },
            }
            down(&mut me, end).await;
            Lab::start(Setup::default()).name("throne").await.unwrap().stop().await.unwrap();
        }
    });
}

#[test]
fn g10_who_is_refused_because_of_a_start_that_then_fails_may_try_again_at_once() {
    explored(|mut me| async move {
        let home = me.pid();
        let (setup, entered, gate) = gated(Setup::default());
        let setup = Setup { trap: true, ..setup };
        process::spawn(async move |mut mailbox: Me| {
            mailbox.trap_exits(true);
            let started = Lab::start(setup).name("contested").await.map(|server| server.pid());
            process::send(home, started);
        });
        entered.pass().await;
        let holder = process::whereis("contested").unwrap();
        let end = me.monitor(holder);
        let refused = Lab::start(Setup::default()).name("contested").await.unwrap_err();
        assert_eq!(refused, StartError::AlreadyStarted(holder), "the name is taken from before `init` on");
        process::exit(holder, ExitReason::Kill);
        gate.open();
        down(&mut me, end).await;
        Lab::start(Setup::default()).name("contested").await.unwrap();
        let started = me.receive_as::<Result<Pid, StartError>>().await;
        assert_eq!(started, Err(StartError::Failed(ExitReason::Killed)));
    });
}

#[test]
fn r36_of_several_starts_under_one_key_one_wins_and_the_others_are_told_of_a_live_server() {
    explored(|mut me| async move {
        static SESSIONS: Registry<u32> = Registry::named("sessions");
        Registry::<u32>::unique("sessions").start().await.unwrap();
        let home = me.pid();
        for round in 0..3u32 {
            for n in 0..4 {
                process::spawn(async move |_: Mailbox<()>| {
                    steps(n).await;
                    let started = Lab::start(Setup::default()).name(SESSIONS.via::<Lab>(round)).await;
                    process::send(home, started.map(|server| server.pid()));
                });
            }
            let (mut winners, mut told) = (Vec::new(), Vec::new());
            for _ in 0..4 {
                match me.receive_as::<Result<Pid, StartError>>().await {
                    Ok(pid) => winners.push(pid),
                    Err(StartError::AlreadyStarted(pid)) => told.push(pid),
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(winners.len(), 1);
            assert!(told.iter().all(|pid| *pid == winners[0]) && told.len() == 3);
            assert_eq!(SESSIONS.whereis(&round).unwrap(), Some(winners[0]));
        }
    });
}

#[test]
fn r36_a_start_under_the_key_of_a_dying_server_takes_over_or_is_told_of_it_and_the_key_is_its_own() {
    explored(|mut me| async move {
        static SESSIONS: Registry<u32> = Registry::named("sessions");
        Registry::<u32>::unique("sessions").start().await.unwrap();
        for n in 0..6 {
            let old = Lab::start(Setup::default()).name(SESSIONS.via::<Lab>(7)).await.unwrap();
            let end = me.monitor(old.pid());
            if n % 2 == 0 {
                process::exit(old.pid(), ExitReason::Kill);
            } else {
                old.cast(casting(|_, cx| cx.stop(custom())));
            }
            steps(n).await;
            let heir = Lab::start(Setup::default()).name(SESSIONS.via::<Lab>(7)).await;
            down(&mut me, end).await;
            match heir {
                Ok(new) => {
                    // The old one's end has taken nothing from the new one.
                    assert_eq!(SESSIONS.whereis(&7).unwrap(), Some(new.pid()));
                    assert_eq!(SESSIONS.keys(old.pid()).unwrap(), Vec::<u32>::new());
                    new.stop().await.unwrap();
                },
                Err(error) => assert_eq!(error, StartError::AlreadyStarted(old.pid())),
            }
            assert_eq!(SESSIONS.whereis(&7).unwrap(), None);
            assert_eq!(SESSIONS.count().unwrap(), 0);
        }
    });
}

#[test]
fn r9_whoever_hears_of_an_owner_s_end_in_any_way_finds_its_entries_gone() {
    explored(|mut me| async move {
        static PLACES: Registry<u32, u32> = Registry::named("places");
        Registry::<u32, u32>::unique("places").partitions(3).start().await.unwrap();
        me.trap_exits(true);
        for round in 0..2 {
            let owner = Lab::start_link(Setup::default()).await.unwrap();
            owner
                .call(doing(|_, _| {
                    for key in 0..6 {
                        PLACES.register(key, key).unwrap();
                    }
                }))
                .await
                .unwrap();
            let home = me.pid();
            for way in 0..3 {
                let server = owner.clone();
                process::spawn(async move |mut mailbox: Me| {
                    let pid = server.pid();
                    match way {
                        0 => {
                            let monitor = mailbox.monitor(pid);
                            process::send(home, "ready");
                            down(&mut mailbox, monitor).await;
                        },
                        1 => {
                            process::send(home, "ready");
                            // One whose answer is in the server's state, and one whose handler waits.
                            let waiting = wait(|_, _| Box::pin(std::future::pending::<i64>()));
                            let answer = match round {
                                0 => server.call(Hold).infinity().await,
                                _ => server.call(waiting).infinity().await,
                            };
                            let error = answer.unwrap_err();
                            assert!(error.is_no_proc() || error.exit_reason().is_some(), "{error}");
                        },
                        _ => {
                            process::send(home, "ready");
                            let _ = server.wait().await;
                        },
                    }
                    let left = PLACES.keys(pid).unwrap().len() + PLACES.count().unwrap();
                    process::send(home, left);
                });
            }
            for _ in 0..3 {
                me.receive_as::<&str>().await;
            }
            process::exit(owner.pid(), ExitReason::Kill);
            assert_eq!(me.receive_as::<Exit>().await.from, owner.pid());
            assert_eq!(PLACES.count().unwrap(), 0);
            for _ in 0..3 {
                assert_eq!(me.receive_as::<usize>().await, 0);
            }
        }
    });
}

#[test]
fn r1_of_two_that_register_one_key_at_once_one_has_it_and_the_loser_may_wait_for_its_end() {
    explored(|mut me| async move {
        static LOCKS: Registry<&'static str> = Registry::named("locks");
        Registry::<&'static str>::unique("locks").start().await.unwrap();
        let home = me.pid();
        // Each has the key for a while, then ends; whoever is refused waits for the owner's DOWN and tries again.
        for n in 0..4 {
            process::spawn(async move |mut mailbox: Me| {
                let mut refused = 0;
                while let Err(error) = LOCKS.register("one", ()) {
                    let RegistryError::AlreadyRegistered(pid) = error else { panic!("{error}") };
                    assert_ne!(pid, mailbox.pid());
                    let monitor = mailbox.monitor(pid);
                    down(&mut mailbox, monitor).await;
                    refused += 1;
                }
                assert_eq!(LOCKS.whereis(&"one").unwrap(), Some(mailbox.pid()));
                steps(n).await;
                assert_eq!(LOCKS.whereis(&"one").unwrap(), Some(mailbox.pid()));
                process::send(home, refused);
            });
        }
        for _ in 0..4 {
            // At most once by each of the three others: an owner that is gone refuses nobody.
            assert!(me.receive_as::<i32>().await <= 3);
        }
    });
}
