//! Servers found by name.

use std::sync::Arc;

use super::Conditions;
use crate::meter::{Meter, Random, Sample};
use crate::system::Names;

const SERVERS: usize = 10_000;

fn keys() -> Arc<Vec<String>> {
    Arc::new((0..SERVERS).map(|index| format!("endpoint-{index}")).collect())
}

/// Finds a random one of 10,000 servers.
pub(crate) fn registry_lookup<S: Names>(how: Conditions) -> Sample {
    let n = how.scaled(1_000_000);
    S::run(how.workers, async move {
        let keys = keys();
        let registry = S::register(keys.clone()).await;
        let mut random = Random::seeded();
        let mut find = |n: u64| {
            for _ in 0..n {
                std::hint::black_box(S::lookup(&registry, &keys[random.below(SERVERS)]));
            }
        };
        find(n / 10);
        let meter = Meter::start();
        find(n);
        meter.stop(n)
    })
}

/// Finds a random one of 10,000 servers and calls it.
pub(crate) fn via_call<S: Names>(how: Conditions) -> Sample {
    let n = how.scaled(300_000);
    S::run(how.workers, async move {
        let keys = keys();
        let registry = S::register(keys.clone()).await;
        let mut random = Random::seeded();
        for _ in 0..n / 10 {
            S::via_call(&registry, &keys[random.below(SERVERS)], 1).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::via_call(&registry, &keys[random.below(SERVERS)], 1).await;
        }
        meter.stop(n)
    })
}
