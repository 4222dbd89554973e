//! How many simulated runs of a small system a second: ten processes under a supervisor, each called ten times.
//!
//! `cargo run --release -p purlin-test --example runs_per_second [SEEDS]`

use std::time::Instant;

use purlin::prelude::*;
use purlin_test::Sim;

struct Counter(u64);

#[gen_server]
impl Counter {
    fn init(start: u64) -> Self {
        Counter(start)
    }
    #[call]
    fn add(&mut self, n: u64) -> u64 {
        self.0 += n;
        self.0
    }
}

async fn system(_: Sim) -> Result<()> {
    let mut supervisor = Supervisor::one_for_one();
    for n in 0..8u64 {
        supervisor = supervisor.child(Counter::child_spec(n).id(format!("counter {n}")));
    }
    let supervisor = supervisor.start_link().await?;
    for child in supervisor.which_children().await? {
        let counter = Ref::<Counter>::from_pid(child.status.pid().ok_or("no child")?).ok_or("no counter")?;
        for n in 0..10 {
            counter.add(n).await?;
        }
    }
    Ok(())
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let begin = Instant::now();
    Sim::new().name("runs_per_second").seeds(seeds).check_one_in(0).run(system);
    let took = begin.elapsed();
    println!(
        "{seeds} runs of ten processes and 80 calls in {took:.2?}: {:.0} a second",
        seeds as f64 / took.as_secs_f64()
    );
}
