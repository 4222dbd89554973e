//! Restart intensity: how many restarts a supervisor allows within a period before it gives up.
//!
//! The arithmetic is OTP's, to the second. The clock is monotonic and counted in *whole seconds*.
//! Every restart attempt (also each retry after a failed start) is recorded as a stamp. With
//! `now` the second of this attempt:
//!
//! 1. stamps `t` with `t >= now - period` are kept (the window is *inclusive*: with a period of
//!    5, a stamp of second 10 still counts at second 15 and no longer at second 16);
//! 2. `now` is added;
//! 3. the attempt may proceed if at most `max_restarts` stamps are left, this one included.
//!
//! So `max_restarts = 0` gives up at the first restart and `max_restarts = n` at the `n + 1`th
//! in the window.
//!
//! Since stamps are whole seconds, equal ones are stored once with a count. The memory is
//! therefore bounded twice: at most `max_restarts + 1` stamps, in at most `period + 1` entries.
//!
//! ```text
//! max_restarts 3, period 5
//! second      10  10  12  15 | 16                     15: the fourth stamp in 10..=15: give up
//! second      10  10  12  16                          16: 10 and 10 have left, two stamps: proceed
//! ```

use std::collections::VecDeque;
use std::fmt;

/// The restart budget of one supervisor: its limits and the stamps within the window.
#[derive(Clone, Debug)]
pub(crate) struct Intensity {
    max_restarts: u32,
    period_secs: u32,
    /// `(second, how many restarts in it)`, oldest first, seconds strictly rising.
    runs: VecDeque<(u64, u64)>,
    /// Sum of the counts in `runs`; at most `max_restarts + 1`.
    total: u64,
}

/// What [`Intensity::record`] says about a restart attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a supervisor that ignores the verdict restarts for ever"]
pub(crate) enum Verdict {
    /// The attempt is within the budget.
    Proceed,
    /// Too many restarts in the window: the supervisor stops with reason `shutdown`.
    GiveUp,
}

/// A period of zero seconds, which no window can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ZeroPeriod;

impl Intensity {
    /// A budget of `max_restarts` within `period_secs` seconds, nothing used yet.
    ///
    /// # Errors
    /// [`ZeroPeriod`] if `period_secs` is 0. Any `max_restarts` is valid; 0 means that the first
    /// restart is one too many.
    pub(crate) fn new(max_restarts: u32, period_secs: u32) -> Result<Self, ZeroPeriod> {
        if period_secs == 0 {
            return Err(ZeroPeriod);
        }
        Ok(Self { max_restarts, period_secs, runs: VecDeque::new(), total: 0 })
    }

    /// Records a restart attempt at monotonic second `now_secs` and says whether it may proceed.
    ///
    /// A clock that runs backwards is read as standing still. Recording after `GiveUp` is
    /// allowed and stays exact.
    pub(crate) fn record(&mut self, now_secs: u64) -> Verdict {
        let now = self.runs.back().map_or(now_secs, |&(last, _)| now_secs.max(last));
        let oldest_kept = now.saturating_sub(u64::from(self.period_secs));
        while let Some(&(t, n)) = self.runs.front() {
            if t >= oldest_kept {
                break;
            }
            self.total -= n;
            self.runs.pop_front();
        }
        // The verdict depends on the newest `max + 1` stamps only, so older ones may go.
        self.forget_down_to(u64::from(self.max_restarts));
        match self.runs.back_mut() {
            Some((t, n)) if *t == now => *n += 1,
            _ => self.runs.push_back((now, 1)),
        }
        self.total += 1;
        if self.total <= u64::from(self.max_restarts) { Verdict::Proceed } else { Verdict::GiveUp }
    }

    /// Restarts that would still count at second `now_secs`; for reports and the Observer.
    pub(crate) fn used(&self, now_secs: u64) -> u64 {
        let oldest_kept = now_secs.saturating_sub(u64::from(self.period_secs));
        self.runs.iter().filter(|(t, _)| *t >= oldest_kept).map(|(_, n)| n).sum()
    }

    /// Restarts allowed within the period.
    pub(crate) fn max_restarts(&self) -> u32 {
        self.max_restarts
    }

    /// Length of the window in seconds, at least 1.
    pub(crate) fn period_secs(&self) -> u32 {
        self.period_secs
    }

    /// Takes the limits of `new` and keeps the own stamps: new flags do not forgive restarts.
    pub(crate) fn adopt_limits(&mut self, new: &Intensity) {
        self.max_restarts = new.max_restarts;
        self.period_secs = new.period_secs;
        self.forget_down_to(u64::from(new.max_restarts) + 1);
    }

    /// Drops the oldest stamps until at most `keep` are left.
    fn forget_down_to(&mut self, keep: u64) {
        while self.total > keep {
            let Some((_, n)) = self.runs.front_mut() else { break };
            let surplus = (self.total - keep).min(*n);
            *n -= surplus;
            self.total -= surplus;
            if *n == 0 {
                self.runs.pop_front();
            }
        }
    }
}

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the restart period must be at least one second")
    }
}

impl std::error::Error for ZeroPeriod {}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{GiveUp, Proceed};

    fn verdicts(max: u32, period: u32, seconds: &[u64]) -> Vec<Verdict> {
        let mut intensity = Intensity::new(max, period).unwrap();
        seconds.iter().map(|&s| intensity.record(s)).collect()
    }

    #[test]
    fn s10_a_period_of_zero_is_rejected() {
        assert_eq!(Intensity::new(1, 0).unwrap_err(), ZeroPeriod);
    }

    #[test]
    fn s64_n_restarts_in_window_are_fine_and_the_next_gives_up() {
        assert_eq!(verdicts(3, 5, &[10, 10, 12, 15]), [Proceed, Proceed, Proceed, GiveUp]);
    }

    #[test]
    fn s65_with_intensity_zero_the_first_restart_gives_up() {
        assert_eq!(verdicts(0, 5, &[7]), [GiveUp]);
        assert_eq!(verdicts(0, u32::MAX, &[0]), [GiveUp]);
    }

    #[test]
    fn the_window_is_inclusive_at_its_old_end() {
        assert_eq!(verdicts(1, 5, &[10, 15]), [Proceed, GiveUp]);
        assert_eq!(verdicts(1, 5, &[10, 16]), [Proceed, Proceed]);
        assert_eq!(verdicts(1, 1, &[0, 1]), [Proceed, GiveUp]);
        assert_eq!(verdicts(1, 1, &[0, 2, 4, 6]), [Proceed; 4]);
    }

    #[test]
    fn a_window_reaching_before_second_zero_keeps_everything() {
        assert_eq!(verdicts(2, 1000, &[0, 1, 999]), [Proceed, Proceed, GiveUp]);
    }

    #[test]
    fn recording_after_giving_up_stays_exact_and_bounded() {
        let mut intensity = Intensity::new(2, 3).unwrap();
        for _ in 0..1000 {
            let _ = intensity.record(5);
        }
        assert_eq!((intensity.total, intensity.runs.len()), (3, 1));
        assert_eq!(intensity.record(8), GiveUp);
        assert_eq!(intensity.record(9), Proceed);
        assert_eq!(intensity.record(9), GiveUp);
    }

    #[test]
    fn a_clock_running_backwards_stands_still() {
        assert_eq!(verdicts(1, 5, &[100, 3]), [Proceed, GiveUp]);
    }

    #[test]
    fn used_counts_without_recording() {
        let mut intensity = Intensity::new(10, 5).unwrap();
        for second in [1, 1, 4, 9] {
            assert_eq!(intensity.record(second), Proceed);
        }
        assert_eq!((intensity.used(9), intensity.used(10), intensity.used(15)), (2, 1, 0));
        assert_eq!((intensity.max_restarts(), intensity.period_secs()), (10, 5));
    }

    #[test]
    fn s91_new_limits_keep_the_old_stamps() {
        let mut intensity = Intensity::new(5, 5).unwrap();
        for _ in 0..4 {
            let _ = intensity.record(1);
        }
        intensity.adopt_limits(&Intensity::new(1, 60).unwrap());
        assert_eq!(intensity.total, 2);
        assert_eq!(intensity.record(30), GiveUp);
    }

    /// OTP's code, word for word: newest first, `takewhile (>= now - period)`, prepend, compare.
    fn otp(stamps: &mut Vec<i64>, max: u32, period: u32, now: u64) -> Verdict {
        let now = i64::try_from(now).unwrap();
        let threshold = now - i64::from(period);
        let kept: Vec<i64> = stamps.iter().copied().take_while(|t| *t >= threshold).collect();
        *stamps = std::iter::once(now).chain(kept).collect();
        if stamps.len() <= max as usize { Proceed } else { GiveUp }
    }

    #[test]
    fn agrees_with_otps_list_on_random_histories() {
        for seed in 0..400u64 {
            let mut rng = SplitMix(seed);
            let (max, period) = (rng.below(7) as u32, 1 + rng.below(9) as u32);
            let mut intensity = Intensity::new(max, period).unwrap();
            let (mut stamps, mut now) = (Vec::new(), rng.below(4));
            for _ in 0..300 {
                now += rng.below(3) * rng.below(3);
                assert_eq!(
                    intensity.record(now),
                    otp(&mut stamps, max, period, now),
                    "seed {seed}, second {now}"
                );
                assert!(intensity.total <= u64::from(max) + 1);
                assert!(intensity.runs.len() as u64 <= u64::from(max.min(period)) + 1);
            }
        }
    }

    struct SplitMix(u64);
    impl SplitMix {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) % n
        }
    }
}
