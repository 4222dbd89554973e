//! Crashes and restarts.

use std::time::Instant;

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::state::{started, started_reaches};
use crate::system::{Families, Restarts};

/// From the message that makes the handler panic to the first answer of the next incarnation.
pub(crate) fn crash<S: Restarts>(how: Conditions) -> Sample {
    crashes::<S>(how, true)
}

/// As [`crash`], without capturing backtraces.
pub(crate) fn crash_nobt<S: Restarts>(how: Conditions) -> Sample {
    crashes::<S>(how, false)
}

fn crashes<S: Restarts>(how: Conditions, backtraces: bool) -> Sample {
    S::panic_hook(backtraces);
    let n = how.scaled(5_000);
    S::run(how.workers, async move {
        let slot = S::supervise().await;
        let mut last = answer::<S>(&slot, 0).await;
        for _ in 0..n / 10 {
            S::crash(&slot);
            last = answer::<S>(&slot, last).await;
        }
        let mut latencies = Vec::with_capacity(n as usize);
        let meter = Meter::start();
        for _ in 0..n {
            let start = Instant::now();
            S::crash(&slot);
            last = answer::<S>(&slot, last).await;
            latencies.push(start.elapsed().as_nanos() as u64);
        }
        meter.stop_latencies(latencies)
    })
}

/// Asks until an incarnation later than `last` answers; between two tries all others get a turn.
async fn answer<S: Restarts>(slot: &S::Slot, last: u64) -> u64 {
    loop {
        match S::ask(slot).await {
            Some(incarnation) if incarnation > last => return incarnation,
            _ => tokio::task::yield_now().await,
        }
    }
}

/// One in ten of 100,000 children killed at once; ends when as many have been started anew.
pub(crate) fn mass_restart<S: Families>(how: Conditions) -> Sample {
    let n = how.scaled(100_000) as usize;
    let stride = 10;
    let killed = n.div_ceil(stride) as u64;
    S::panic_hook(false);
    S::run(how.workers, async move {
        let already = started();
        let family = S::family(n).await;
        started_reaches(already + n as u64).await;
        let meter = Meter::start();
        S::kill(&family, stride);
        started_reaches(already + n as u64 + killed).await;
        meter.stop_ms(killed).with("children", n as f64)
    })
}
