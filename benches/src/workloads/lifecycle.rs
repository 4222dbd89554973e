//! Starting, stopping, and the memory of the idle.

use super::Conditions;
use crate::meter::{Meter, Sample, available_bytes, resident_bytes};
use crate::state::{started, started_reaches};
use crate::system::{Calls, Churn};

/// Starts servers one after the other; ends when the last one's init has run.
pub(crate) fn spawn<S: Calls>(how: Conditions) -> Sample {
    let n = how.scaled(100_000) as usize;
    S::run(how.workers, async move {
        start_many::<S>(n / 10).await;
        let (_servers, sample) = start_many::<S>(n).await;
        sample
    })
}

/// Resident bytes per idle server. Fewer servers than asked for where the memory would not suffice for 16 kB each.
pub(crate) fn idle_1m<S: Calls>(how: Conditions) -> Sample {
    let fits = available_bytes().map_or(u64::MAX, |bytes| bytes / 16_384);
    let n = how.scaled(1_000_000).min(fits.max(10)) as usize;
    S::run(how.workers, async move {
        // One server first: what the runtime allocates once is not the servers' memory.
        let _first = S::start().await;
        started_reaches(1).await;
        let (_servers, sample) = start_many::<S>(n).await;
        let bytes =
            sample.extra.iter().find(|(name, _)| *name == "rss_bytes_per_process").map_or(f64::NAN, |e| e.1);
        Sample { unit: "bytes", value: bytes, ..sample }
    })
}

/// Starts `n` servers and keeps them. The vector of handles is touched beforehand, so that only what the servers
/// themselves need is counted as theirs.
async fn start_many<S: Calls>(n: usize) -> (Vec<Option<S::Server>>, Sample) {
    let mut servers: Vec<Option<S::Server>> = std::iter::repeat_with(|| None).take(n).collect();
    let already = started();
    let before = resident_bytes();
    let meter = Meter::start();
    for server in &mut servers {
        *server = Some(S::start().await);
    }
    started_reaches(already + n as u64).await;
    let sample = meter.stop(n as u64);
    let bytes = resident_bytes().saturating_sub(before) as f64 / n as f64;
    (servers, sample.with("rss_bytes_per_process", bytes))
}

/// Start, call, stop.
pub(crate) fn churn<S: Churn>(how: Conditions) -> Sample {
    let n = how.scaled(50_000);
    S::run(how.workers, async move {
        for _ in 0..n / 10 {
            S::churn().await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::churn().await;
        }
        meter.stop(n)
    })
}
