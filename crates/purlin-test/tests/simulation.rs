//! Proves what a simulated run explores, that a failing one is found, told, shrunk and repeated, and that leaving the simulation is noticed.

mod subjects;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use purlin::prelude::*;
use purlin_test::{Scheduler, Sim, Simulation, Test};
use subjects::run_subject;

/// Collects one result from each run of a simulation.
fn results<T: Send + 'static, F, Fut>(simulation: Simulation, body: F) -> Vec<T>
where
    F: Fn(Sim) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let results: Arc<Mutex<Vec<T>>> = Arc::default();
    let log = results.clone();
    let body = Arc::new(body);
    simulation.check_one_in(0).run(move |sim| {
        let (log, body) = (log.clone(), body.clone());
        async move {
            let result = body(sim).await;
            log.lock().unwrap().push(result);
        }
    });
    std::mem::take(&mut *results.lock().unwrap())
}

/// Three processes write their names down, in the order in which they run.
async fn race() -> Vec<u8> {
    let board: Arc<Mutex<Vec<u8>>> = Arc::default();
    let runners: Vec<_> = (0..3)
        .map(|name| {
            let board = board.clone();
            process::spawn(async move |_: Mailbox<()>| board.lock().unwrap().push(name))
        })
        .collect();
    for runner in runners {
        runner.wait().await;
    }

    board.lock().unwrap().clone()
}

#[test]
fn every_order_of_three_processes_is_found_and_each_seed_repeats_its_own() {
    let runs = || results(Sim::new().name("race").seeds(200), |_| race());
    let first = runs();
    assert_eq!(first, runs());
    assert_eq!(first.into_iter().collect::<BTreeSet<_>>().len(), 6);
}

#[test]
fn fifo_has_one_order_for_all_seeds() {
    let orders =
        results(Sim::new().seeds(20).scheduler(Scheduler::Fifo).signals_on_their_way(false), |_| race());
    assert!(orders.iter().all(|order| *order == [0, 1, 2]));
}

#[test]
fn pct_finds_every_order_too() {
    let orders = results(Sim::new().seeds(200).scheduler(Scheduler::Pct(3)), |_| race());
    assert_eq!(orders.into_iter().collect::<BTreeSet<_>>().len(), 6);
}

/// A message to `c` overtakes one that was sent before, by way of another process.
async fn overtaking(mut mailbox: Mailbox<u8>) -> bool {
    let me = mailbox.address();
    let relay = process::spawn(async move |mut mailbox: Mailbox<u8>| me.send(mailbox.receive().await));
    let me = mailbox.address();
    let sender = process::spawn(async move |_: Mailbox<()>| {
        me.send(1);
        relay.send(2);
    });
    let first = mailbox.receive().await;
    let second = mailbox.receive().await;
    sender.wait().await;
    assert_eq!(first + second, 3);
    first == 2
}

#[test]
fn signals_on_their_way_are_overtaken_across_pairs_only_if_that_is_asked_for() {
    let overtaken = |simulation: Simulation| {
        let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
        let log = seen.clone();
        simulation.seeds(200).check_one_in(0).run_with(move |_, mailbox: Mailbox<u8>| {
            let log = log.clone();
            async move {
                let overtaken = overtaking(mailbox).await;
                log.lock().unwrap().push(overtaken);
            }
        });

        seen.lock().unwrap().iter().filter(|overtaken| **overtaken).count()
    };
    assert_eq!(overtaken(Sim::new().signals_on_their_way(false)), 0);
    let found = overtaken(Sim::new().signals_on_their_way(true));
    assert!((10..190).contains(&found), "{found}");
}

#[purlin::test(sim, seeds = 500)]
async fn between_two_processes_order_is_kept_whatever_is_sent(mut mailbox: Mailbox<AnyMsg>) {
    mailbox.trap_exits(true);
    let me = mailbox.pid();
    let sender = process::spawn_link(async move |_: Mailbox<()>| {
        for n in 0..5u8 {
            process::send(me, n);
            process::yield_now().await;
        }
        process::exit(me, ExitReason::Timeout);
        process::send(me, 5u8);
    });
    let mut order = Vec::new();
    while order.len() < 8 {
        let message = mailbox.receive().await;
        match message.downcast::<u8>() {
            Ok(n) => order.push(n),
            Err(message) => match message.downcast::<Exit>().unwrap() {
                Exit { from, reason: ExitReason::Timeout } if from == sender.pid() => order.push(10),
                Exit { from, reason: ExitReason::Normal } if from == sender.pid() => {
                    order.push(20);
                    break;
                },
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 10, 5, 20]);
}

struct Counter(u64);

#[gen_server]
impl Counter {
    fn init(start: u64) -> Self {
        Counter(start)
    }
    #[call]
    fn get(&self) -> u64 {
        self.0
    }
    #[call]
    fn increment(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
    #[cast]
    fn add(&mut self, n: u64) {
        self.0 += n;
    }
}

#[purlin::test(sim, seeds = 500)]
async fn a_call_sees_what_its_caller_cast_before(t: Test) -> Result<()> {
    let counter = t.start_supervised(Counter::child_spec(0)).await?;
    for n in 1..5 {
        counter.add(1);
        assert_eq!(counter.get().await?, n);
    }
    Ok(())
}

/// One process sends another two messages and ends; the other finds it gone, in each of the ways there are to find that.
#[purlin::test(sim, seeds = 2000)]
async fn whoever_finds_a_process_gone_has_what_it_sent_before(
    sim: Sim,
    mut mailbox: Mailbox<AnyMsg>,
) -> Result<()> {
    let me = mailbox.address();
    let gone = process::spawn(async move |_: Mailbox<()>| {
        me.send(1u8);
        me.send(2u8);
    });
    for _ in 0..sim.random() % 6 {
        process::yield_now().await;
    }
    let pid = gone.pid();
    let is_gone = match sim.random() % 8 {
        0 => process::wait(pid).await == ExitReason::NoProc,
        1 => gone.wait().await.is_normal(),
        2 => process::stop(pid, ExitReason::Normal, secs(1)).await == Err(StopError::NoProc),
        3 => process::process_info(pid).is_none(),
        4 => !process::is_alive(pid),
        5 => process::link(pid).is_err(),
        6 => {
            mailbox.trap_exits(true);
            process::link(pid)?;
            false
        },
        _ => {
            mailbox.monitor(pid);
            false
        },
    };
    if is_gone {
        assert_eq!(mailbox.len(), 2);
    }
    // An EXIT or a DOWN comes behind the others.
    for n in 1..=2u8 {
        assert_eq!(mailbox.receive().await.downcast::<u8>().map_err(|other| other.type_name()), Ok(n));
    }
    Ok(())
}

/// Sends through an alias when it is dropped.
struct Parting(process::Alias<u8>);

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.send(1);
    }
}

#[purlin::test(sim, seeds = 500)]
async fn what_nobody_receives_is_dropped_where_it_may_use_an_alias(mut mailbox: Mailbox<u8>) {
    let alias = mailbox.alias(process::AliasMode::ExplicitUnalias);
    let ends = process::spawn(async |_: Mailbox<Parting>| process::yield_now().await);
    let sender = process::spawn(async move |_: Mailbox<()>| {
        ends.send(Parting(alias.clone()));
        for _ in 0..3 {
            process::yield_now().await;
        }
        // What is on its way goes first, to whoever has ended meanwhile as well.
        alias.send(2);
    });
    sender.wait().await;
    let mut received = [mailbox.receive().await, mailbox.receive().await];
    received.sort_unstable();
    assert_eq!(received, [1, 2]);
}

#[test]
fn calls_go_both_ways_and_callers_are_interrupted() {
    // The count is read and written back: other callers come in between.
    let lost = results(Sim::new().seeds(300), |_| async {
        let counter = Counter::start(0).await.unwrap();
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let counter = counter.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let seen = counter.get().await.unwrap();
                    let now = counter.get().await.unwrap();
                    counter.add((seen + 1).saturating_sub(now));
                })
            })
            .collect();
        for caller in callers {
            caller.wait().await;
        }
        let lost = counter.get().await.unwrap() < 2;
        let queued = Node::current().stats().queued_calls;
        counter.stop().await.unwrap();
        (lost, queued)
    });
    let found = lost.iter().filter(|(lost, _)| *lost).count();
    assert!((20..290).contains(&found), "{found}");
    assert!(lost.iter().map(|(_, queued)| queued).collect::<BTreeSet<_>>().len() > 3);
}

#[test]
fn timers_that_are_due_together_fire_in_every_order() {
    let orders = results(Sim::new().seeds(200).scheduler(Scheduler::Fifo), |_| async { 0 });
    assert_eq!(orders.len(), 200);
    let orders: Arc<Mutex<BTreeSet<Vec<u8>>>> = Arc::default();
    let log = orders.clone();
    Sim::new().seeds(200).check_one_in(0).run_with(move |_, mut mailbox: Mailbox<u8>| {
        let log = log.clone();
        async move {
            for n in 0..3u8 {
                process::send_after(mailbox.pid(), secs(1), n);
            }
            let order = vec![mailbox.receive().await, mailbox.receive().await, mailbox.receive().await];
            log.lock().unwrap().insert(order);
        }
    });
    assert_eq!(orders.lock().unwrap().len(), 6);
}

#[purlin::test(sim, seeds = 20)]
async fn thirty_days_pass_at_once(sim: Sim, t: Test) -> Result<()> {
    let counter = t.start_supervised(Counter::child_spec(0)).await?;
    for _ in 0..30 {
        process::sleep(secs(24 * 60 * 60)).await;
        counter.increment().await?;
    }
    assert_eq!(counter.get().await?, 30);
    assert!(sim.now() >= secs(30 * 24 * 60 * 60));
    Ok(())
}

#[purlin::test(sim, seeds = 100)]
async fn pids_are_sequential_on_each_node(sim: Sim, mailbox: Mailbox<()>) {
    let other = sim.start_node("other");
    assert_ne!(other.name(), sim.node().name());
    for node in [sim.node().clone(), other] {
        let start = if node.name() == "other" { 0 } else { mailbox.pid().id() };
        let pids: Vec<u32> = node
            .scope(async {
                let spawned: Vec<_> = (0..3).map(|_| process::spawn(async |_: Mailbox<()>| {})).collect();
                spawned.iter().map(|p| p.pid().id()).collect()
            })
            .await;
        assert_eq!(pids, [start + 1, start + 2, start + 3]);
    }
}

#[test]
fn the_processes_of_several_nodes_are_interleaved() {
    let orders = results(Sim::new().seeds(300), |sim| async move {
        let board: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut runners = Vec::new();
        for name in 0..3u8 {
            let node = sim.start_node(&format!("node{name}"));
            let board = board.clone();
            let body = async move |_: Mailbox<()>| board.lock().unwrap().push(name);
            runners.push(node.scope(async { process::spawn(body) }).await);
        }
        for runner in runners {
            runner.wait().await;
        }

        board.lock().unwrap().clone()
    });
    assert_eq!(orders.into_iter().collect::<BTreeSet<_>>().len(), 6);
}

#[test]
fn tests_on_other_threads_have_no_part_in_a_run_of_several_nodes() {
    let explore = || {
        Sim::new().seeds(200).check_one_in(1).run(async |sim: Sim| {
            let nodes = [sim.start_node("one"), sim.start_node("two")];
            let first = nodes[0]
                .scope(async {
                    process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 1))
                })
                .await;
            let to = first.clone();
            let second =
                nodes[1].scope(async { process::spawn(async move |_: Mailbox<()>| to.send(1)) }).await;
            first.wait().await;
            second.wait().await;
        });
    };
    // Each starts nodes between those of the others.
    let threads = [1, 2, 3].map(|_| std::thread::spawn(explore));
    assert!(threads.into_iter().all(|thread| thread.join().is_ok()));
}

#[test]
fn what_is_spared_as_soon_as_it_is_spawned_is_never_hit() {
    Sim::new().seeds(500).kill_random(1.0).run(async |sim: Sim| {
        let waits = async |mut mailbox: Mailbox<()>| mailbox.receive().await;
        process::spawn(waits);
        let spared = process::spawn(waits);
        sim.spare(spared.pid());
        process::sleep(millis(1)).await;
        assert!(spared.is_alive());
        spared.send(());
        spared.wait().await;
    });
}

#[test]
fn no_two_nodes_of_a_run_draw_the_same_numbers() {
    Sim::new().seeds(5).run(async |sim: Sim| {
        let nodes = [sim.start_node("one"), sim.start_node("two")];
        nodes[0].shutdown().await;
        let third = sim.start_node("three");
        let drawn = BTreeSet::from([sim.node().random(), nodes[1].random(), third.random()]);
        assert_eq!(drawn.len(), 3);
    });
}

#[test]
fn a_failure_that_tells_a_number_of_the_program_is_told_all_the_same() {
    let (ok, text) = run_subject("fails_with_a_pid_of_another_node", &[]);
    assert!(!ok && text.contains("it was <") && !text.contains("nondeterminism"), "{text}");
}

#[test]
fn a_failing_seed_is_told_with_a_short_story_and_a_command() {
    let (ok, text) = run_subject("loses_an_update", &[]);
    assert!(!ok, "{text}");
    let line =
        text.lines().find(|line| line.contains("to run this seed again")).unwrap_or_else(|| panic!("{text}"));
    let seed = line.split("PURLIN_SIM_SEED=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(line.ends_with("cargo test loses_an_update"), "{text}");
    assert!(text.contains("left: 1\n") && text.contains("the test starts"), "{text}");
    // The story is short: what does not matter is gone from it.
    let story = text.lines().filter(|line| line.starts_with("    ")).count();
    assert!(story < 45, "{text}");

    // The same seed fails in the same way in another process, and so does the short schedule.
    for (variable, value) in [
        ("PURLIN_SIM_SEED", seed.to_owned()),
        (
            "PURLIN_SIM_REPLAY",
            text.split("PURLIN_SIM_REPLAY=").nth(1).unwrap().split(' ').next().unwrap().to_owned(),
        ),
    ] {
        for _ in 0..3 {
            let (ok, again) = run_subject("loses_an_update", &[(variable, &value)]);
            assert!(!ok && again.contains("left: 1\n"), "{variable}={value}: {again}");
        }
    }
}

#[test]
fn code_that_the_seed_does_not_decide_is_found_out() {
    for subject in ["iterates_a_hash_map", "looks_at_the_real_clock"] {
        let (ok, text) = run_subject(subject, &[]);
        assert!(!ok && text.contains("uncontrolled nondeterminism"), "{subject}: {text}");
    }
}

#[test]
fn leaving_the_simulation_is_told() {
    for (subject, says) in [
        ("uses_a_thread", "woken from another thread"),
        ("opens_a_socket", "used a socket"),
        ("waits_for_nothing", "something that never happens"),
        ("leaves_a_process", "leaves_a_process"),
        ("dies_with_a_linked_process", "as meant"),
    ] {
        let (ok, text) = run_subject(subject, &[]);
        assert!(!ok && text.contains(says), "{subject}: {text}");
    }
}

#[test]
fn the_number_of_seeds_and_the_replay_file_are_checked() {
    let (ok, text) = run_subject("loses_an_update", &[("PURLIN_SIM_SEED", "today")]);
    assert!(!ok && text.contains("PURLIN_SIM_SEED=today: expected a number"), "{text}");
    let (ok, text) = run_subject("loses_an_update", &[("PURLIN_SIM_REPLAY", "/no/such/file")]);
    assert!(!ok && text.contains("/no/such/file"), "{text}");
    let (_, text) = run_subject("loses_an_update", &[]);
    let file = text.split("PURLIN_SIM_REPLAY=").nth(1).unwrap().split(' ').next().unwrap();
    let (ok, text) = run_subject("leaves_a_process", &[("PURLIN_SIM_REPLAY", file)]);
    assert!(!ok && text.contains("loses_an_update`, not of") && text.contains(file), "{text}");
    let (ok, text) = run_subject("iterates_a_hash_map", &[("PURLIN_SIM_SEEDS", "0")]);
    assert!(!ok && text.contains("PURLIN_SIM_SEEDS=0: expected a number from 1"), "{text}");
}
