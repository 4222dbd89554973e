//! When a failed delivery is tried again, and when it is given up. Pure: chance comes in as a number.

use std::time::Duration;

use crate::delivery::Outcome;

/// Exponential backoff with jitter.
///
/// The wait after the n-th failure is `base * 2^(n-1)`, at most `cap`, and of that a random part of up to
/// `jitter` is taken away. Jitter spreads the retries of deliveries that failed together, so that a receiver
/// that comes back is not hit by all at once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backoff {
    /// Wait after the first failure.
    pub(crate) base: Duration,
    /// Longest wait.
    pub(crate) cap: Duration,
    /// Largest share of the wait that chance may take away: 0 (none) to 1 (all).
    pub(crate) jitter: f64,
}

impl Backoff {
    /// The wait after `failures` failures (1 or more); `chance` is uniform in `0.0..1.0`.
    pub(crate) fn delay(&self, failures: u32, chance: f64) -> Duration {
        // Above 2^31 the cap has long been reached; the shift stays in range.
        let factor = 1_u32 << failures.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(factor).min(self.cap);
        full.mul_f64(1.0 - self.jitter * chance)
    }
}

/// How often an endpoint's deliveries are tried.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RetryPolicy {
    /// Attempts in all, the first one included; at least 1.
    pub(crate) max_attempts: u32,
    /// Waits between them.
    pub(crate) backoff: Backoff,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Try again after this wait.
    RetryIn(Duration),
    /// Never try again.
    GiveUp,
}

impl RetryPolicy {
    /// Judges an attempt; `attempts` counts this one too, `chance` is uniform in `0.0..1.0`.
    ///
    /// Everything but a 2xx answer is a failure. `410 Gone` ends the delivery at once: the receiver says that
    /// it will never want it. A receiver that asks for a longer wait (`Retry-After`) gets it, up to the cap.
    pub(crate) fn judge(&self, attempts: u32, outcome: &Outcome, chance: f64) -> Verdict {
        let asked = match outcome {
            Outcome::Delivered { .. } => return Verdict::Delivered,
            Outcome::Refused { status: 410, .. } => return Verdict::GiveUp,
            Outcome::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Outcome::ConnectFailed(_) | Outcome::ConnectionLost(_) | Outcome::TimedOut(_) => Duration::ZERO,
        };
        if attempts >= self.max_attempts {
            return Verdict::GiveUp;
        }
        Verdict::RetryIn(self.backoff.delay(attempts, chance).max(asked.min(self.backoff.cap)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn backoff(jitter: f64) -> Backoff {
        Backoff { base: MS(100), cap: MS(1_000), jitter }
    }

    fn refused(status: u16) -> Outcome {
        Outcome::Refused { status, retry_after: None }
    }

    #[test]
    fn without_jitter_the_wait_doubles_until_the_cap() {
        let waits: Vec<_> = (1..=6).map(|n| backoff(0.0).delay(n, 0.7).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn jitter_only_shortens_the_wait_and_never_by_more_than_its_share() {
        let mut rng = fastrand::Rng::with_seed(7);
        for n in 1..=10 {
            let full = backoff(0.0).delay(n, 0.0);
            let wait = backoff(0.25).delay(n, rng.f64());
            assert!(wait <= full && wait >= full.mul_f64(0.75), "failure {n}: {wait:?} of {full:?}");
        }
    }

    #[test]
    fn jitter_spreads_retries_that_failed_together() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut waits: Vec<_> = (0..100).map(|_| backoff(0.5).delay(4, rng.f64())).collect();
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 90, "only {} different waits", waits.len());
    }

    #[test]
    fn an_absurd_number_of_failures_still_waits_the_cap() {
        let huge =
            Backoff { base: Duration::from_secs(u64::MAX / 2), cap: Duration::from_secs(3_600), jitter: 0.0 };
        assert_eq!(huge.delay(u32::MAX, 0.0), Duration::from_secs(3_600));
        assert_eq!(backoff(0.0).delay(0, 0.0), MS(100));
    }

    #[test]
    fn a_success_is_delivered_even_at_the_last_attempt() {
        let policy = RetryPolicy { max_attempts: 1, backoff: backoff(0.0) };
        assert_eq!(policy.judge(1, &Outcome::Delivered { status: 204 }, 0.0), Verdict::Delivered);
    }

    #[test]
    fn failures_are_retried_until_the_attempts_are_used_up() {
        let policy = RetryPolicy { max_attempts: 3, backoff: backoff(0.0) };
        for outcome in
            [refused(500), refused(404), Outcome::ConnectFailed("refused".into()), Outcome::TimedOut(MS(5))]
        {
            assert_eq!(policy.judge(1, &outcome, 0.0), Verdict::RetryIn(MS(100)));
            assert_eq!(policy.judge(2, &outcome, 0.0), Verdict::RetryIn(MS(200)));
            assert_eq!(policy.judge(3, &outcome, 0.0), Verdict::GiveUp);
        }
    }

    #[test]
    fn gone_gives_up_at_once() {
        let policy = RetryPolicy { max_attempts: 9, backoff: backoff(0.0) };
        assert_eq!(policy.judge(1, &refused(410), 0.0), Verdict::GiveUp);
    }

    #[test]
    fn a_receiver_that_asks_for_a_longer_wait_gets_it_up_to_the_cap() {
        let policy = RetryPolicy { max_attempts: 9, backoff: backoff(0.0) };
        let asks = |ms| Outcome::Refused { status: 429, retry_after: Some(MS(ms)) };
        assert_eq!(policy.judge(1, &asks(10), 0.0), Verdict::RetryIn(MS(100)));
        assert_eq!(policy.judge(1, &asks(700), 0.0), Verdict::RetryIn(MS(700)));
        assert_eq!(policy.judge(1, &asks(60_000), 0.0), Verdict::RetryIn(MS(1_000)));
    }
}
