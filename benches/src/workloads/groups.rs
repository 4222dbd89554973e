//! Agents, and messages to many: what does using a state by functions cost, and what does one subscriber's share of a broadcast?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::system::{Agents, Broadcasts};

/// Looks at the state of an idle agent.
pub(crate) fn agent_get<S: Agents>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let agent = S::agent().await;
        get::<S>(&agent, n / 10).await;
        let meter = Meter::start();
        get::<S>(&agent, n).await;
        meter.stop(n)
    })
}

async fn get<S: Agents>(agent: &S::Agent, n: u64) {
    for _ in 0..n {
        std::hint::black_box(S::get(agent).await);
    }
}

/// Changes the state of an idle agent.
pub(crate) fn agent_update<S: Agents>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let agent = S::agent().await;
        update::<S>(&agent, n / 10).await;
        let meter = Meter::start();
        update::<S>(&agent, n).await;
        let sample = meter.stop(n);
        assert_eq!(S::get(&agent).await, n + n / 10);
        sample
    })
}

async fn update<S: Agents>(agent: &S::Agent, n: u64) {
    for _ in 0..n {
        S::update(agent).await;
    }
}

/// Messages that are still to be handled.
#[derive(Default)]
pub(crate) struct Tally {
    left: AtomicU64,
    none: Notify,
}

impl Tally {
    /// A subscriber has handled a message.
    pub(crate) fn handled(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none.notify_one();
        }
    }
}

const SUBSCRIBERS: u64 = 1_000;

/// A broadcast to 1,000 idle subscribers, until all have handled it; per delivered message.
pub(crate) fn pubsub_idle<S: Broadcasts>(how: Conditions) -> Sample {
    broadcasts::<S>(how, 1)
}

/// 100 broadcasts in a row to 1,000 subscribers, until all have handled all; per delivered message.
pub(crate) fn pubsub_backlog<S: Broadcasts>(how: Conditions) -> Sample {
    broadcasts::<S>(how, 100)
}

fn broadcasts<S: Broadcasts>(how: Conditions, in_a_row: u64) -> Sample {
    let rounds = how.scaled(1_000).div_ceil(in_a_row);
    S::run(how.workers, async move {
        let tally = Arc::new(Tally::default());
        let topic = S::subscribers(SUBSCRIBERS as usize, tally.clone()).await;
        deliver::<S>(&topic, &tally, rounds.div_ceil(10), in_a_row).await;
        let meter = Meter::start();
        let broadcasting = deliver::<S>(&topic, &tally, rounds, in_a_row).await;
        meter.stop(rounds * in_a_row * SUBSCRIBERS).with("broadcast_cpu_ns_per_op", broadcasting)
    })
}

/// Returns the CPU time of the broadcasts alone, per message in nanoseconds (with one worker; with two, others run meanwhile).
async fn deliver<S: Broadcasts>(topic: &S::Topic, tally: &Tally, rounds: u64, in_a_row: u64) -> f64 {
    let mut broadcasting = 0.0;
    for _ in 0..rounds {
        tally.left.store(in_a_row * SUBSCRIBERS, Ordering::Release);
        let meter = Meter::start();
        for n in 0..in_a_row {
            S::broadcast(topic, Arc::new(n));
        }
        broadcasting += meter.stop(in_a_row * SUBSCRIBERS).cpu_ns_per_op.unwrap_or_default();
        tally.none.notified().await;
    }
    broadcasting / rounds as f64
}
