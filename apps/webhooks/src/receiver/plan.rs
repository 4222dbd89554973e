//! How a demonstration receiver treats a request. Pure and seeded: the same seed, id and attempt always give
//! the same reaction.

use std::time::Duration;

/// The four characters of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Answers 200 at once.
    Healthy,
    /// Answers 200 after 20 to 100 milliseconds.
    Slow,
    /// Fails every third delivery one to three times, each time in another way, and then takes it.
    Flaky,
    /// Closes every connection.
    Dead,
}

impl Kind {
    /// All of them, in the order in which the demonstration shows them.
    pub(crate) const ALL: [Kind; 4] = [Kind::Healthy, Kind::Slow, Kind::Flaky, Kind::Dead];

    /// Lower-case name, also the name of the endpoint in the demonstration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Healthy => "healthy",
            Kind::Slow => "slow",
            Kind::Flaky => "flaky",
            Kind::Dead => "dead",
        }
    }
}

/// What the receiver does with a request whose signature is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaction {
    /// Whether the receiver takes the delivery over. With a failing `end` that is the nasty case: it has the
    /// delivery, but the sender cannot know and will send it again.
    pub(crate) takes: bool,
    /// Wait before the end.
    pub(crate) wait: Duration,
    /// How the exchange ends.
    pub(crate) end: End,
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer with this status.
    Status(u16),
    /// The connection is reset without an answer.
    Reset,
    /// Neither an answer nor an end: the sender has to lose patience.
    Silence,
}

/// Most failures of one delivery at the flaky receiver; with more attempts than this allowed, everything
/// arrives.
pub(crate) const MAX_FLAKY_FAILURES: u32 = 3;

/// The reaction to the `attempt`-th request (from 1) with this delivery id.
pub(crate) fn react(kind: Kind, seed: u64, id: &str, attempt: u32) -> Reaction {
    let answer = |wait| Reaction { takes: true, wait, end: End::Status(200) };
    match kind {
        Kind::Healthy => answer(Duration::ZERO),
        Kind::Slow => answer(Duration::from_millis(rng(seed, id, attempt).u64(20..=100))),
        Kind::Flaky if attempt > planned_failures(seed, id) => answer(Duration::ZERO),
        Kind::Flaky => failure(&mut rng(seed, id, attempt)),
        Kind::Dead => Reaction { takes: false, wait: Duration::ZERO, end: End::Reset },
    }
}

fn planned_failures(seed: u64, id: &str) -> u32 {
    let mut rng = rng(seed, id, 0);
    if rng.u32(..3) == 0 { rng.u32(1..=MAX_FLAKY_FAILURES) } else { 0 }
}

/// Half of the failures are plain answers with 500 or 503; of the others half come after the receiver has
/// taken the delivery.
fn failure(rng: &mut fastrand::Rng) -> Reaction {
    let (takes, end) = match rng.u32(..20) {
        0..6 => (false, End::Status(500)),
        6..10 => (false, End::Status(503)),
        10..16 => (rng.bool(), End::Reset),
        _ => (rng.bool(), End::Silence),
    };
    Reaction { takes, wait: Duration::ZERO, end }
}

/// A generator of its own for each id and attempt (FNV-1a over both): the order in which requests arrive
/// plays no part.
fn rng(seed: u64, id: &str, attempt: u32) -> fastrand::Rng {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in id.bytes().chain(attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    fastrand::Rng::with_seed(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaky(attempt: u32) -> Vec<Reaction> {
        (0..3_000).map(|n| react(Kind::Flaky, 5, &format!("dlv_{n}"), attempt)).collect()
    }

    #[test]
    fn the_flaky_receiver_fails_about_every_third_delivery_at_first_and_takes_all_in_the_end() {
        let failing = flaky(1).iter().filter(|r| r.end != End::Status(200)).count();
        assert!((900..1_100).contains(&failing), "{failing} of 3000");
        assert!(flaky(MAX_FLAKY_FAILURES + 1).iter().all(|r| r.takes && r.end == End::Status(200)));
    }

    #[test]
    fn the_flaky_receiver_fails_in_every_way_and_some_failures_come_after_it_took_the_delivery() {
        let reactions = flaky(1);
        for end in [End::Status(500), End::Status(503), End::Reset, End::Silence] {
            assert!(reactions.iter().any(|r| r.end == end), "never {end:?}");
        }
        assert!(reactions.iter().any(|r| r.takes && r.end == End::Reset));
        assert!(reactions.iter().any(|r| r.takes && r.end == End::Silence));
    }

    #[test]
    fn an_answer_of_200_always_means_that_the_delivery_was_taken() {
        for kind in Kind::ALL {
            for n in 0..500 {
                let reaction = react(kind, 9, &format!("dlv_{n}"), 1 + n % 5);
                assert!(reaction.takes || reaction.end != End::Status(200));
            }
        }
    }

    #[test]
    fn the_slow_receiver_waits_20_to_100_milliseconds_and_the_dead_one_takes_nothing() {
        for n in 0..500 {
            let wait = react(Kind::Slow, 1, &format!("dlv_{n}"), 1).wait.as_millis();
            assert!((20..=100).contains(&wait));
            assert!(!react(Kind::Dead, 1, &format!("dlv_{n}"), 1).takes);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_reactions_and_another_seed_others() {
        assert_eq!(flaky(1), flaky(1));
        let other: Vec<_> = (0..3_000).map(|n| react(Kind::Flaky, 6, &format!("dlv_{n}"), 1)).collect();
        assert_ne!(flaky(1), other);
    }
}
