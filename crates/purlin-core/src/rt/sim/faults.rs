//! What may go wrong in a run by itself, with which probability.

use std::time::Duration;

/// Faults that a simulated run injects. Probabilities are per opportunity, from 0 (never) to 1.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Kill a process, at a step of the scheduler.
    pub kill: f64,
    /// Panic at the entry of a handler.
    pub panic: f64,
    /// Hold a message back, for up to this long.
    pub delay: (f64, Duration),
    /// Let the clock of a node jump forward at a step, by up to this much.
    pub clock_jump: (f64, Duration),
}

impl Faults {
    /// Can any step of the scheduler bring a fault?
    pub(crate) fn at_steps(&self) -> bool {
        self.kill > 0.0 || self.clock_jump.0 > 0.0
    }
}

/// Does something of this probability happen, given 64 random bits?
pub(crate) fn happens(probability: f64, bits: u64) -> bool {
    // 53 bits are what an f64 holds.
    ((bits >> 11) as f64) < probability * (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happens_does_not_and_what_always_happens_does() {
        for bits in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!happens(0.0, bits));
            assert!(happens(1.0, bits));
        }
        assert!(happens(0.5, u64::MAX / 2 - 5000) && !happens(0.5, u64::MAX / 2 + 5000));
    }
}
