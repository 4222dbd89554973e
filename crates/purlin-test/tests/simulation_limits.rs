//! Runs that never come to their end, clocks that jump, stories that say who called, and simulations that cannot be run.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use purlin::prelude::*;
use purlin_core::CallPath;
use purlin_core::sim::{Settings, What, World};
use purlin_test::{Sim, Simulation, Test};

/// What a simulation that must fail says.
fn failure<F, Fut>(simulation: Simulation, body: F) -> String
where
    F: Fn(Sim) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let failed = catch_unwind(AssertUnwindSafe(|| simulation.run(body))).expect_err("it must fail");
    match failed.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a panic with a text")).to_owned(),
    }
}

struct Shop {
    stock: u64,
}

#[derive(Clone)]
struct Beat;

#[gen_server]
impl Shop {
    fn init(stock: u64, cx: &mut Cx<Self>) -> Self {
        cx.send_after(secs(1), Beat);
        Shop { stock }
    }
    #[info]
    fn beat(&mut self, _: Beat, cx: &mut Cx<Self>) {
        cx.send_after(secs(1), Beat);
    }
    #[call]
    fn left(&self) -> u64 {
        self.stock
    }
    #[call]
    async fn slow(&mut self) -> u64 {
        for _ in 0..20 {
            process::yield_now().await;
        }
        self.stock
    }
}

#[test]
fn a_body_that_goes_round_without_an_end_is_told_with_who_runs() {
    let text = failure(Sim::new().seeds(1).most_steps(20_000), async |_| {
        loop {
            process::yield_now().await;
        }
    });
    assert!(text.contains("20000 steps") && text.contains("(process) 10000 times"), "{text}");
}

#[test]
fn a_body_that_waits_while_another_process_goes_round_is_told_who_that_is() {
    let text = failure(Sim::new().seeds(2).most_steps(20_000), async |_| {
        let spinner = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.trap_exits(true);
            loop {
                process::yield_now().await;
            }
        });
        spinner.wait().await;
    });
    assert!(text.contains("does not come to its end") && text.contains("times"), "{text}");
}

#[test]
fn a_test_that_waits_for_ever_beside_a_server_that_ticks_ends_all_the_same() {
    let text = failure(Sim::new().seeds(1).most_steps(50_000), async |sim: Sim| {
        sim.test().start_supervised(Shop::child_spec(1)).await.unwrap();
        std::future::pending().await
    });
    assert!(text.contains("Shop") && text.contains("most_steps"), "{text}");
}

#[purlin::test(sim, seeds = 20)]
async fn a_run_that_ends_before_its_limit_is_not_touched_by_it(sim: Sim, t: Test) -> Result<()> {
    let shop = t.start_supervised(Shop::child_spec(3)).await?;
    process::sleep(secs(1000)).await;
    assert_eq!(shop.left().await?, 3);
    assert!(sim.steps() > 1000);
    Ok(())
}

#[test]
fn a_clock_that_jumps_over_a_deadline_can_beat_a_server_that_could_run() {
    let timeouts = Arc::new(AtomicU64::new(0));
    let counted = timeouts.clone();
    Sim::new().seeds(200).clock_jumps(0.2, secs(60)).run(move |sim: Sim| {
        let counted = counted.clone();
        async move {
            let shop = sim.test().start_supervised(Shop::child_spec(1)).await.unwrap();
            match shop.slow().await {
                Ok(left) => assert_eq!(left, 1),
                Err(error) => {
                    assert!(matches!(error.kind(), CallErrorKind::Timeout), "{error}");
                    counted.fetch_add(1, Ordering::Relaxed);
                },
            }
        }
    });
    let timeouts = timeouts.load(Ordering::Relaxed);
    assert!((10..190).contains(&timeouts), "{timeouts} of 200 calls timed out");
}

#[test]
fn processes_that_run_in_an_order_of_chance_are_found_out_though_they_do_nothing_else() {
    let text = failure(Sim::new().seeds(1).check_one_in(1), async |_| {
        let map: HashMap<u64, u64> = (1..=20).map(|n| (n, n)).collect();
        for n in map.values() {
            process::sleep(millis(*n)).await;
        }
    });
    assert!(text.contains("uncontrolled nondeterminism"), "{text}");
}

#[test]
fn a_story_tells_who_calls_whether_in_place_or_by_a_message_and_reads_too() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for (path, what) in [(CallPath::Direct, What::Calls), (CallPath::Queued, What::Asks)] {
        let world = World::new(Settings { seed: 1, trace: true, wires: Some(false), ..Settings::default() });
        runtime.block_on(async {
            let node = Node::builder().simulated_in(&world).call_path(path).start();
            node.scope(async {
                let seen = Arc::new(Mutex::new(None));
                let pids = seen.clone();
                let shop = Shop::start(1).await.unwrap();
                let there = shop.clone();
                let customer = process::spawn(async move |mailbox: Mailbox<()>| {
                    there.left().await.unwrap();
                    there.slow().await.unwrap();
                    *pids.lock().unwrap() = Some(mailbox.pid());
                });
                customer.wait().await;
                let calls: Vec<_> = world.events().into_iter().filter(|event| event.what == what).collect();
                let customer = *seen.lock().unwrap();
                assert_eq!(calls.len(), 2, "{calls:?}");
                assert!(
                    calls.iter().all(|call| call.who == shop.pid() && call.other == customer),
                    "{calls:?}"
                );
            })
            .await;
            node.shutdown().await;
        });
    }
}

#[test]
fn a_long_run_keeps_its_last_events() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = World::new(Settings { seed: 1, trace: true, ..Settings::default() });
    runtime.block_on(async {
        let node = Node::builder().simulated_in(&world).start();
        let last = node
            .scope(async {
                for _ in 0..60_000 {
                    process::spawn(async |_: Mailbox<()>| {}).wait().await;
                }
                process::spawn(async |_: Mailbox<()>| {}).pid()
            })
            .await;
        node.shutdown().await;
        assert!(world.forgotten() >= 20_000, "{} are forgotten", world.forgotten());
        assert_eq!(world.events().last().unwrap().who, last);
    });
}

#[test]
fn what_runs_nothing_or_cannot_run_is_refused_with_the_place() {
    let refused = |work: fn()| {
        let failed = catch_unwind(work).unwrap_err();
        *failed
            .downcast::<String>()
            .or_else(|other| other.downcast::<&str>().map(|text| Box::new(text.to_string())))
            .unwrap()
    };
    assert!(refused(|| drop(Sim::new().seeds(0))).contains("0 seeds"));
    assert!(refused(|| drop(Sim::new().kill_random(1.5))).contains("from 0 to 1, not 1.5"));
    let inside = refused(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { Sim::new().seeds(1).run(async |_| {}) });
    });
    assert!(inside.contains("a runtime of its own"), "{inside}");
}
