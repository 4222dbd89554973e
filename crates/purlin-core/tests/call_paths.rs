//! Proves the ways that calls take: in place, queued, adaptive; cycles of calls; readers beside writers; races of all of it.

mod common;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use common::lab::*;
use common::*;
use purlin_core::*;

fn queued() -> u64 {
    Node::current().stats().queued_calls
}

/// One run per number of workers, with this path.
fn on_real<F, Fut>(path: CallPath, test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for workers in [1, 2] {
        run(Run::Real { workers, path }, test.clone());
    }
}

/// A call of `first` in whose handler the rest of the chain is called; the innermost adds 1.
fn through(chain: Vec<Ref<Lab>>) -> Later<'static, Result<i64, CallErrorKind>> {
    Box::pin(async move {
        let Some((first, rest)) = chain.split_first() else { return Ok(0) };
        let rest = rest.to_vec();
        let inner = first.call(wait(move |lab, _| {
            Box::pin(async move {
                let below = through(rest).await?;
                lab.value += 1;
                Ok(below + 1)
            })
        }));
        inner.await.map_err(|e| e.kind().clone())?
    })
}

// ---- which way

#[test]
fn in_place_no_call_to_an_idle_server_is_queued_and_queued_all_are() {
    on_real(CallPath::Direct, |_| async move {
        let server = lab().await;
        for _ in 0..200 {
            server.call(Add(1)).await.unwrap();
            server.call(AddSync(1)).await.unwrap();
            server.call(Get).await.unwrap();
        }
        assert_eq!(queued(), 0);
    });
    on_real(CallPath::Queued, |_| async move {
        let server = lab().await;
        for _ in 0..20 {
            server.call(Add(1)).await.unwrap();
            server.call(AddSync(1)).await.unwrap();
            server.call(Get).await.unwrap();
        }
        assert_eq!(queued(), 60);
    });
}

#[test]
fn in_simulation_the_seed_chooses_the_way_of_each_call() {
    run(Run::Simulated { seed: 11, path: CallPath::Adaptive }, |_| async move {
        let server = lab().await;
        for _ in 0..200 {
            server.call(Add(1)).await.unwrap();
        }
        assert!((50..150).contains(&queued()), "{}", queued());
    });
}

#[test]
fn tokio_tasks_in_a_scope_and_outside_call_in_place_too() {
    for workers in [1, 2] {
        let (runtime, builder) = prepare(Run::Real { workers, path: CallPath::Direct });
        runtime.block_on(async {
            let node = builder.start();
            let server = node.scope(lab()).await;
            let given = server.clone();
            tokio::spawn(node.scope(async move { given.call(Add(1)).await.unwrap() })).await.unwrap();
            // The only node of its runtime is the default.
            let given = server.clone();
            tokio::spawn(async move { given.call(Add(1)).await.unwrap() }).await.unwrap();
            node.scope(async { server.call(Add(1)).await.unwrap() }).await;
            assert_eq!(node.stats().queued_calls, 0);
            node.shutdown().await;
        });
    }
}

#[test]
fn a_plain_thread_calls_through_the_mailbox() {
    on_real(CallPath::Direct, |mut me| async move {
        let server = lab().await;
        process::register("from a thread", server.pid()).unwrap();
        let node = Node::current();
        let home = me.pid();
        let thread = std::thread::spawn(move || {
            let _here = node.enter();
            assert_eq!(process::self_pid(), None);
            for n in 1..=300 {
                assert_eq!(block_on(server.call(Add(1))).unwrap(), n);
            }
            let named = Lab::named("from a thread");
            assert_eq!(block_on(named.call(Get)).unwrap(), 300);
            let slow = named.call(wait(|_, _| Box::pin(std::future::pending::<()>()))).timeout(millis(2));
            assert!(block_on(slow).unwrap_err().is_timeout());
            process::exit(server.pid(), ExitReason::Kill);
            process::send(home, "done");
        });
        assert_eq!(next::<&str>(&mut me).await, "done");
        thread.join().unwrap();
        assert_eq!(queued(), 302);
    });
}

#[test]
fn a_server_with_slow_handlers_is_called_through_its_mailbox_until_it_is_quick_again() {
    fn work(spins: u32) -> u32 {
        (0..spins).fold(0, |n, k| std::hint::black_box(n ^ k))
    }
    on_real(CallPath::Adaptive, |_| async move {
        let server = lab().await;
        // However fast the machine is, it becomes too slow some time.
        let mut spins = 1_000;
        let mut before = queued();
        while queued() == before {
            for _ in 0..200 {
                server.call(doing(move |_, _| work(spins))).await.unwrap();
            }
            spins *= 2;
            assert!(spins < 100_000_000, "no call was ever queued");
        }
        // And quick again: at last a round without a queued call.
        let mut rounds = 0;
        loop {
            before = queued();
            for _ in 0..100 {
                server.call(Add(1)).await.unwrap();
            }
            if queued() == before {
                break;
            }
            rounds += 1;
            assert!(rounds < 10_000, "calls in place never came back");
        }
    });
    on_real(CallPath::Direct, |_| async move {
        let server = lab().await;
        for _ in 0..100 {
            server.call(doing(|_, _| work(20_000))).await.unwrap();
        }
        assert_eq!(queued(), 0, "where the path is forced it stays");
    });
}

#[test]
fn calls_nested_more_deeply_than_the_stack_allows_go_through_mailboxes() {
    on_every_path(|_| async move {
        let mut chain = Vec::new();
        for _ in 0..30 {
            chain.push(lab().await);
        }
        assert_eq!(through(chain.clone()).await, Ok(30));
        assert_eq!(through(chain.clone()).await, Ok(30));
        for server in &chain {
            assert_eq!(server.call(Get).await.unwrap(), 2);
        }
    });
}

#[test]
fn starting_servers_in_the_init_of_servers_may_be_deep_as_well() {
    fn nested(depth: u32) -> Later<'static, Pid> {
        Box::pin(async move {
            let setup = Setup::default().init(move |_| {
                Box::pin(async move {
                    if depth > 0 {
                        nested(depth - 1).await;
                    }
                    Ok(())
                })
            });
            Lab::start(setup).await.unwrap().pid()
        })
    }
    everywhere(|_| async move {
        let top = nested(30).await;
        assert!(process::is_alive(top));
        assert_eq!(living().len(), 32);
    });
}

// ---- cycles

#[test]
fn a_cycle_of_two_is_told_at_once_with_the_pids_in_it() {
    on_every_path(|_| async move {
        let (a, b) = (lab().await, lab().await);
        let begin = Node::current().now();
        let result = through(vec![a.clone(), b.clone(), a.clone()]).await;
        assert_eq!(result, Err(CallErrorKind::Deadlock(vec![b.pid(), a.pid()])));
        if Node::current().is_simulated() {
            assert_eq!(Node::current().now(), begin, "no deadline was waited for");
        }
        // Both live, and answer.
        assert_eq!(through(vec![a.clone(), b.clone()]).await, Ok(2));
        assert_eq!(through(vec![b, a]).await, Ok(2));
    });
}

#[test]
fn a_cycle_of_three_is_told_at_once_with_the_pids_in_it() {
    on_every_path(|_| async move {
        let (a, b, c) = (lab().await, lab().await, lab().await);
        let result = through(vec![a.clone(), b.clone(), c.clone(), a.clone()]).await;
        assert_eq!(result, Err(CallErrorKind::Deadlock(vec![c.pid(), a.pid(), b.pid()])));
        let text = a.call(Get).await.map(|_| String::new()).unwrap();
        assert!(text.is_empty());
        assert_eq!(through(vec![c, b, a]).await, Ok(3));
    });
}

#[test]
fn the_error_of_a_cycle_names_it_in_words() {
    run(Run::Simulated { seed: 1, path: CallPath::Queued }, |_| async move {
        let (a, b) = (lab().await, lab().await);
        let (first, second) = (a.clone(), b.clone());
        let text = a
            .call(wait(move |_, _| {
                Box::pin(async move {
                    let inner = second.call(wait(move |_, _| {
                        Box::pin(async move { first.call(Add(1)).await.unwrap_err().to_string() })
                    }));
                    inner.await.unwrap()
                })
            }))
            .await
            .unwrap();
        let expected = format!("deadlock: {} waits for {} waits for {}", b.pid(), a.pid(), b.pid());
        assert!(text.ends_with(&expected), "{text}");
    });
}

#[test]
fn a_cycle_closed_from_two_sides_at_once_is_always_noticed() {
    on_real_runtimes(|mut me| async move {
        let home = me.pid();
        let (mut found, mut fine) = (0, 0);
        for round in 0..400 {
            let servers = [lab().await, lab().await, lab().await];
            let n = 2 + round % 2;
            for first in 0..n {
                let chain = vec![servers[first].clone(), servers[(first + 1) % n].clone()];
                process::spawn(async move |_: Mailbox<()>| process::send(home, through(chain).await));
            }
            for _ in 0..n {
                match next::<Result<i64, CallErrorKind>>(&mut me).await {
                    Ok(2) => fine += 1,
                    Err(CallErrorKind::Deadlock(cycle)) => {
                        assert_eq!(cycle.len(), n);
                        found += 1;
                    },
                    other => panic!("{other:?}"),
                }
            }
            for server in servers {
                server.stop().await.unwrap();
            }
        }
        assert!(fine > 0, "{found} {fine}");
    });
}

#[test]
fn a_cycle_closed_by_handlers_that_wait_first_is_always_noticed() {
    on_real_runtimes(|mut me| async move {
        let home = me.pid();
        for _ in 0..300 {
            let servers = [lab().await, lab().await];
            for n in 0..2 {
                let (mine, other) = (servers[n].clone(), servers[1 - n].clone());
                process::spawn(async move |_: Mailbox<()>| {
                    let result = mine.call(wait(move |_, _| {
                        Box::pin(async move {
                            process::yield_now().await;
                            // The other one's handler calls back at once, in the middle of this call in place.
                            other
                                .call(wait(move |_, _| {
                                    Box::pin(async move {
                                        process::yield_now().await;
                                    })
                                }))
                                .await
                                .map_err(|e| e.kind().clone())
                        })
                    }));
                    process::send(home, result.await.unwrap());
                });
            }
            for _ in 0..2 {
                match next::<Result<(), CallErrorKind>>(&mut me).await {
                    Ok(()) | Err(CallErrorKind::Deadlock(_)) => {},
                    other => panic!("{other:?}"),
                }
            }
            for server in servers {
                server.stop().await.unwrap();
            }
        }
    });
}

#[test]
fn a_server_that_calls_its_caller_back_from_a_waiting_handler_is_always_told() {
    // Handlers that stay pending at once are what a call in place hands to another executor.
    on_real(CallPath::Direct, |mut me| async move {
        let home = me.pid();
        for _ in 0..1_000 {
            let (a, b) = (lab().await, lab().await);
            let (first, second) = (a.clone(), b.clone());
            let (driver, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                let result = a.call(wait(move |_, _| {
                    Box::pin(async move {
                        let back = first.clone();
                        let inner = second.call(wait(move |_, _| {
                            Box::pin(async move {
                                process::yield_now().await;
                                back.call(Add(1)).await.map_err(|e| e.kind().clone())
                            })
                        }));
                        // Either side may be the one who is told.
                        inner.await.map_err(|e| e.kind().clone())
                    })
                }));
                process::send(home, result.await.unwrap());
            });
            match next::<Result<Result<i64, CallErrorKind>, CallErrorKind>>(&mut me).await {
                Ok(Err(CallErrorKind::Deadlock(_))) | Err(CallErrorKind::Deadlock(_)) => {},
                other => panic!("{other:?}"),
            }
            assert_eq!(down(&mut me, monitor).await.pid, Some(driver.pid()));
            b.stop().await.unwrap();
        }
    });
}

#[test]
fn a_ring_that_a_deferred_answer_opens_is_no_deadlock() {
    on_every_path(|mut me| async move {
        // A waits for S, which answers later; S calls A, which is not done before somebody else has answered for S.
        let (a, s) = (lab().await, lab().await);
        let (first, second) = (a.clone(), s.clone());
        let home = me.pid();
        a.cast(cast_waiting(move |lab, _| {
            Box::pin(async move { lab.value = second.call(Hold).await.unwrap() })
        }));
        let to = loop {
            if let Some(to) = s.call(doing(|lab, _| lab.held.pop())).await.unwrap() {
                break to;
            }
            process::yield_now().await;
        };
        let caller = s.clone();
        process::spawn(async move |_: Mailbox<()>| {
            let outcome = caller.call(wait(move |_, _| {
                Box::pin(async move { first.call(Get).await.map_err(|e| e.kind().clone()) })
            }));
            process::send(home, outcome.await.unwrap());
        });
        while process::process_info(s.pid()).unwrap().status == process::ProcessStatus::Runnable {
            process::yield_now().await;
        }
        to.reply(7);
        assert_eq!(next::<Result<i64, CallErrorKind>>(&mut me).await, Ok(7));
    });
}

#[test]
fn a_process_that_calls_two_servers_at_once_is_not_taken_for_one_that_waits_for_one() {
    in_simulation_on_every_path(|mut me| async move {
        // A waits for B or C; C calls A, which is free again when B has answered.
        let (a, b, c) = (lab().await, lab().await, lab().await);
        let back = a.clone();
        let home = me.pid();
        let first = a.call(wait(move |_, _| {
            Box::pin(async move {
                let slow = b.call(wait(|_, _| Box::pin(process::sleep(secs(1)))));
                let asking = c.call(wait(move |_, _| {
                    Box::pin(async move {
                        process::send(home, back.call(Add(1)).await.map_err(|e| e.kind().clone()))
                    })
                }));
                tokio::select! {
                    biased;
                    done = slow => done.is_ok(),
                    _ = asking => false,
                }
            })
        }));
        assert!(first.await.unwrap(), "B has answered");
        assert_eq!(next::<Result<i64, CallErrorKind>>(&mut me).await, Ok(1));
    });
}

#[test]
fn a_call_to_another_node_s_server_is_never_taken_for_a_deadlock() {
    on_every_path(|me| async move {
        let here = Node::current();
        let other = Node::builder().seed(1).executors(1).start();
        // The pids of the two nodes are alike but for the node.
        let mine: Vec<_> = vec![lab().await, lab().await, lab().await];
        let theirs = other.scope(async { vec![lab().await, lab().await, lab().await] }).await;
        for (a, b) in [(&mine, &theirs), (&theirs, &mine)] {
            for first in a {
                for second in b {
                    assert_eq!(through(vec![first.clone(), second.clone()]).await, Ok(2));
                }
            }
        }
        assert_eq!(
            theirs[0].call(doing(|_, cx| cx.caller())).await.unwrap(),
            None,
            "a caller of another node has no pid there"
        );
        assert_eq!(mine[0].call(doing(|_, cx| cx.caller())).await.unwrap(), Some(me.pid()));
        for server in theirs {
            server.stop().await.unwrap();
        }
        other.shutdown().await;
        assert_eq!(other.stats().processes, 0);
        drop(here);
    });
}

// ---- readers and writers

/// Two halves that are equal between two messages.
#[derive(Default)]
struct Twins {
    left: u64,
    right: u64,
}

impl GenServer for Twins {
    type Args = ();
    async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Twins::default())
    }
}

struct Write(bool);
impl HandleCall<Write> for Twins {
    type Reply = u64;
    async fn handle_call(&mut self, Write(wait): Write, _: &mut Cx<Self>) -> u64 {
        self.left += 1;
        if wait {
            process::yield_now().await;
        }
        self.right += 1;
        assert_eq!(self.left, self.right);
        self.left
    }
}
impl HandleCast<Write> for Twins {
    async fn handle_cast(&mut self, Write(wait): Write, _: &mut Cx<Self>) {
        self.left += 1;
        if wait {
            process::yield_now().await;
        }
        self.right += 1;
    }
}
struct Both;
impl HandleRead<Both> for Twins {
    type Reply = (u64, u64);
    fn handle_read(&self, _: Both, _: &ReadCx<Self>) -> (u64, u64) {
        let left = self.left;
        std::hint::spin_loop();
        (left, self.right)
    }
}

#[test]
fn readers_never_see_a_half_changed_state_and_no_write_is_lost() {
    for path in [CallPath::Direct, CallPath::Queued, CallPath::Adaptive] {
        run(Run::Real { workers: 2, path }, |mut me| async move {
            const TASKS: u64 = 6;
            const ROUNDS: u64 = 8_000;
            let server = Twins::start(()).await.unwrap();
            let mut monitors = Vec::new();
            for task in 0..TASKS {
                let server = server.clone();
                let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                    let mut last = 0;
                    let mut dice = task * 7919 + 1;
                    for _ in 0..ROUNDS {
                        dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let (left, right) = match dice >> 61 {
                            0 => {
                                let n = server.call(Write(dice >> 58 & 7 == 0)).await.unwrap();
                                (n, n)
                            },
                            1 => {
                                server.cast(Write(dice >> 58 & 7 == 0));
                                server.call(Both).await.unwrap()
                            },
                            _ => server.call(Both).await.unwrap(),
                        };
                        assert_eq!(left, right, "half a write");
                        assert!(left >= last, "time runs backwards");
                        last = left;
                    }
                    let writes = (0..ROUNDS).scan(task * 7919 + 1, |dice, _| {
                        *dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        Some(u64::from(*dice >> 61 < 2))
                    });
                    assert!(server.call(Both).await.unwrap().0 >= writes.sum());
                });
                monitors.push(monitor);
            }
            for monitor in monitors {
                assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
            }
            let expected: u64 = (0..TASKS)
                .map(|task| {
                    let mut dice = task * 7919 + 1;
                    (0..ROUNDS)
                        .filter(|_| {
                            dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                            dice >> 61 < 2
                        })
                        .count() as u64
                })
                .sum();
            assert_eq!(server.call(Both).await.unwrap(), (expected, expected));
        });
    }
}

#[test]
fn in_simulation_a_read_never_runs_while_a_handler_waits() {
    in_simulation_on_every_path(|mut me| async move {
        let server = Twins::start(()).await.unwrap();
        let mut monitors = Vec::new();
        for task in 0..4u64 {
            let server = server.clone();
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                for n in 0..20 {
                    if (n + task) % 3 == 0 {
                        server.call(Write(true)).await.unwrap();
                    }
                    let (left, right) = server.call(Both).await.unwrap();
                    assert_eq!(left, right);
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
    });
}

#[test]
fn reads_run_in_parallel() {
    run(Run::Real { workers: 2, path: CallPath::Direct }, |mut me| async move {
        let server = lab().await;
        let inside = Arc::new(AtomicUsize::new(0));
        let met = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        for _ in 0..2 {
            let (server, inside, met) = (server.clone(), inside.clone(), met.clone());
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                // Until both readers were inside at the same time once.
                while !met.load(Ordering::SeqCst) {
                    let (inside, met) = (inside.clone(), met.clone());
                    let look = looking(move |_, _| {
                        inside.fetch_add(1, Ordering::SeqCst);
                        for _ in 0..10_000 {
                            if inside.load(Ordering::SeqCst) == 2 {
                                met.store(true, Ordering::SeqCst);
                            }
                            std::hint::spin_loop();
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                    server.call(look).await.unwrap();
                    process::yield_now().await;
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
    });
}

#[test]
fn a_writer_gets_its_turn_among_readers_that_never_stop() {
    run(Run::Real { workers: 2, path: CallPath::Direct }, |mut me| async move {
        let server = Twins::start(()).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        for _ in 0..4 {
            let (server, stop) = (server.clone(), stop.clone());
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                while !stop.load(Ordering::Relaxed) {
                    server.call(Both).await.unwrap();
                }
            });
            monitors.push(monitor);
        }
        for n in 1..=500 {
            assert_eq!(server.call(Write(n % 10 == 0)).await.unwrap(), n);
        }
        stop.store(true, Ordering::Relaxed);
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
    });
}

#[test]
fn a_panicking_reader_ends_the_server_and_the_readers_beside_it_get_an_answer_or_the_reason() {
    on_real(CallPath::Direct, |mut me| async move {
        for _ in 0..100 {
            let server = lab().await;
            let home = me.pid();
            for n in 0..4 {
                let server = server.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let result = loop {
                        let result = server
                            .call(looking(move |lab, _| if n == 0 { planned("a reader") } else { lab.value }))
                            .await;
                        match result {
                            Ok(value) => assert_eq!(value, 0),
                            Err(error) => break error.kind().clone(),
                        }
                    };
                    process::send(home, result);
                });
            }
            let monitor = me.monitor(server.pid());
            for _ in 0..4 {
                match me.receive_as::<CallErrorKind>().await {
                    CallErrorKind::NoProc => {},
                    CallErrorKind::Exit(reason) => assert!(is_planned(&reason, "a reader"), "{reason}"),
                    other => panic!("{other:?}"),
                }
            }
            let reason = down(&mut me, monitor).await.reason;
            assert!(is_planned(&reason, "a reader") || reason == ExitReason::NoProc, "{reason}");
        }
    });
}

// ---- order and ends, racing

#[test]
fn casts_and_calls_of_one_sender_keep_their_order_among_many_senders() {
    for path in [CallPath::Direct, CallPath::Adaptive] {
        run(Run::Real { workers: 2, path }, |mut me| async move {
            const SENDERS: usize = 4;
            let seen: Arc<[AtomicU64; SENDERS]> = Arc::default();
            let server = lab().await;
            let mut monitors = Vec::new();
            for sender in 0..SENDERS {
                let (server, seen) = (server.clone(), seen.clone());
                let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                    let mut dice = sender as u64 + 3;
                    for n in 0..4_000u64 {
                        dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let seen = seen.clone();
                        let step = move || {
                            assert_eq!(seen[sender].fetch_add(1, Ordering::Relaxed), n, "out of order")
                        };
                        match dice >> 62 {
                            0 => server.call(doing(move |_, _| step())).await.unwrap(),
                            1 => server.call(looking(move |_, _| step())).await.unwrap(),
                            2 => server
                                .call(wait(move |_, _| {
                                    Box::pin(async move {
                                        process::yield_now().await;
                                        step();
                                    })
                                }))
                                .await
                                .unwrap(),
                            _ => server.cast(casting(move |_, _| step())),
                        }
                    }
                });
                monitors.push(monitor);
            }
            for monitor in monitors {
                assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
            }
            server.call(Get).await.unwrap();
            assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == 4_000));
        });
    }
}

#[test]
fn every_call_in_a_storm_of_starts_crashes_kills_and_stops_is_answered_or_told_why() {
    for path in [CallPath::Direct, CallPath::Queued, CallPath::Adaptive] {
        run(Run::Real { workers: 2, path }, |mut me| async move {
            let home = me.pid();
            const CALLERS: u64 = 3;
            for round in 0..200u64 {
                let log = Log::default();
                let setup = Setup { on_drop: Some(DropNote(log.clone(), "state")), ..Setup::default() };
                let server = Lab::start(setup).await.unwrap();
                let pid = server.pid();
                let monitor = me.monitor(pid);
                for caller in 0..CALLERS {
                    let server = server.clone();
                    process::spawn(async move |_: Mailbox<()>| {
                        for n in 0.. {
                            let result = match (n + caller) % 4 {
                                0 => server.call(Add(1)).await,
                                1 => server.call(AddSync(1)).await,
                                2 => server.call(Get).await,
                                _ => {
                                    let slow = server.call(wait(|lab, _| {
                                        Box::pin(async {
                                            process::yield_now().await;
                                            lab.value
                                        })
                                    }));
                                    slow.await
                                },
                            };
                            if let Err(error) = result {
                                process::send(home, error.kind().clone());
                                return;
                            }
                        }
                    });
                }
                process::yield_now().await;
                let expected = match round % 4 {
                    0 => {
                        process::exit(pid, ExitReason::Kill);
                        ExitReason::Killed
                    },
                    1 => {
                        process::exit(pid, ExitReason::Shutdown);
                        ExitReason::Shutdown
                    },
                    2 => {
                        server.cast(casting(|_, _| planned("storm")));
                        ExitReason::Normal
                    },
                    _ => {
                        server.stop().await.unwrap();
                        ExitReason::Normal
                    },
                };
                let is_right = |reason: &ExitReason| {
                    if round % 4 == 2 { is_planned(reason, "storm") } else { *reason == expected }
                };
                let reason = down(&mut me, monitor).await.reason;
                assert!(is_right(&reason), "{reason}");
                assert_eq!(log.all(), ["state"], "dropped once, before the DOWN");
                for _ in 0..CALLERS {
                    match me.receive_as::<CallErrorKind>().await {
                        CallErrorKind::NoProc => {},
                        CallErrorKind::Exit(reason) => assert!(is_right(&reason), "{reason}"),
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
    }
}

#[test]
fn calls_dropped_at_random_moments_leave_servers_and_callers_in_order() {
    run(Run::Real { workers: 2, path: CallPath::Adaptive }, |mut me| async move {
        let server = lab().await;
        let mut monitors = Vec::new();
        for task in 0..4u64 {
            let server = server.clone();
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                let mut dice = task + 1;
                for _ in 0..3_000 {
                    dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let call = wait(|lab, _| {
                        Box::pin(async {
                            process::yield_now().await;
                            lab.value += 1;
                            [lab.value; 6]
                        })
                    });
                    let mut call = Box::pin(server.call(call));
                    let mut answer = None;
                    for _ in 0..dice >> 62 {
                        answer = poll_once(&mut call).await;
                        if answer.is_some() {
                            break;
                        }
                        process::yield_now().await;
                    }
                    if dice >> 60 & 3 == 0 && answer.is_none() && dice >> 62 != 0 {
                        answer = Some(call.await);
                    }
                    if let Some(answer) = answer {
                        let values = answer.unwrap();
                        assert_eq!(values, [values[0]; 6]);
                    }
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
        assert!(server.call(Get).await.unwrap() > 0);
    });
}
