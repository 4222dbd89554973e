//! Work in tasks: one awaited after the other, and a stream of them.

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::system::Tasks;

/// Tasks of a stream that run at a time.
const CONCURRENCY: usize = 16;

/// Starts a task and waits for it, one after the other.
pub(crate) fn task<S: Tasks>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let sum = |n: u64| async move {
            let mut sum = 0;
            for i in 0..n {
                sum += S::task(i).await;
            }
            assert_eq!(sum, n * (n - 1) / 2);
        };
        sum(n / 10).await;
        let meter = Meter::start();
        sum(n).await;
        meter.stop(n)
    })
}

/// A stream of trivial tasks, in order.
pub(crate) fn task_stream<S: Tasks>(how: Conditions) -> Sample {
    let n = how.scaled(100_000);
    S::run(how.workers, async move {
        S::stream(n / 10, CONCURRENCY).await;
        let meter = Meter::start();
        let sum = S::stream(n, CONCURRENCY).await;
        let sample = meter.stop(n);
        assert_eq!(sum, n * (n - 1) / 2);
        sample
    })
}
