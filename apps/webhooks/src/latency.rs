//! A histogram of durations in a fixed amount of memory, for percentiles of any number of deliveries.
//!
//! Durations are counted in microseconds. Below 64 µs every value has its own bucket; above, each power of
//! two is cut into 32 equal buckets, so a reported percentile is at most about 3 % above the true one.

use std::time::Duration;

const STEPS_BITS: u32 = 5;
const STEPS: usize = 1 << STEPS_BITS;
/// Enough for 2^42 µs, which is 50 days; longer durations count in the last bucket.
const BUCKETS: usize = STEPS * 38;

/// Counts of durations.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    buckets: Box<[u32]>,
    count: u64,
}

impl Latencies {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Latencies { buckets: vec![0; BUCKETS].into(), count: 0 }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        self.buckets[bucket(duration)] += 1;
        self.count += 1;
    }

    /// The duration that `share` (0 to 1) of all recorded ones do not exceed; `None` while there are none.
    pub(crate) fn percentile(&self, share: f64) -> Option<Duration> {
        // The rank is 1 at least: the 0th percentile is the smallest value.
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = |count: &u32| {
            seen += u64::from(*count);
            seen >= rank
        };
        self.buckets.iter().position(reached).map(upper_edge)
    }
}

fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    if micros < 2 * STEPS as u64 {
        return micros as usize;
    }
    // The highest set bit picks the power of two, the five bits below it the step.
    let shift = micros.ilog2() - STEPS_BITS;
    let step = (micros >> shift) as usize - STEPS;
    (STEPS * (shift as usize + 1) + step).min(BUCKETS - 1)
}

/// The largest duration that falls into the bucket.
fn upper_edge(bucket: usize) -> Duration {
    if bucket < 2 * STEPS {
        return Duration::from_micros(bucket as u64);
    }
    let shift = bucket / STEPS - 1;
    let step = bucket % STEPS + STEPS;
    Duration::from_micros((((step + 1) as u64) << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_holds_its_own_upper_edge_and_nothing_beyond() {
        for index in 0..BUCKETS - 1 {
            let edge = upper_edge(index);
            assert_eq!(bucket(edge), index);
            assert_eq!(bucket(edge + Duration::from_micros(1)), index + 1);
        }
    }

    #[test]
    fn percentiles_are_at_most_three_hundredths_above_the_truth() {
        let mut latencies = Latencies::new();
        for ms in 1..=1_000 {
            latencies.record(Duration::from_millis(ms));
        }
        for (share, truth) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let ms = latencies.percentile(share).unwrap().as_secs_f64() * 1_000.0;
            assert!(ms >= truth && ms <= truth * 1.033, "{share}: {ms} for {truth}");
        }
    }

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(Latencies::new().percentile(0.5), None);
    }

    #[test]
    fn an_endless_duration_counts_in_the_last_bucket() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::MAX);
        assert!(latencies.percentile(0.5).unwrap() > Duration::from_secs(30 * 86_400));
    }
}
