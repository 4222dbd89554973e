//! Which seeds a simulated test runs with.

use std::env;
use std::path::PathBuf;

/// How many seeds a test has that does not say.
pub(crate) const DEFAULT_SEEDS: usize = 100;

/// The variable that holds the one seed to run with.
pub(crate) const ONE: &str = "PURLIN_SIM_SEED";
/// The variable that holds the file of a recorded schedule to run.
pub(crate) const FILE: &str = "PURLIN_SIM_REPLAY";
/// The variable that holds how many seeds to run with.
const HOW_MANY: &str = "PURLIN_SIM_SEEDS";

/// The seeds of a test: those of its name, which are the same in every run, unless the environment says otherwise; and whether it says one seed.
///
/// # Panics
/// When the environment says something that is no number.
pub(crate) fn of(test: &str, count: usize) -> (Vec<u64>, bool) {
    let one = env::var(ONE).ok();
    let chosen = one.is_some();
    (choose(test, count, one, env::var(HOW_MANY).ok()), chosen)
}

/// The recorded schedule that the environment wants to be run.
pub(crate) fn replay() -> Option<PathBuf> {
    env::var_os(FILE).map(PathBuf::from)
}

fn choose(test: &str, count: usize, one: Option<String>, how_many: Option<String>) -> Vec<u64> {
    if let Some(text) = one {
        let seed = parse(&text);
        return vec![seed.unwrap_or_else(|| panic!("{ONE}={text}: expected a number, such as 0x1f3a"))];
    }
    let count = match how_many {
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .unwrap_or_else(|| panic!("{HOW_MANY}={text}: expected a number from 1, such as 10000")),
        None => count,
    };
    let base = hash(test);
    (0..count as u64).map(|index| mix(base.wrapping_add(index))).collect()
}

pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// FNV-1a: the same in every run and on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The output function of SplitMix64: neighbours become unlike each other.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_the_same_seeds_in_every_run_and_other_ones_than_another_test() {
        let seeds = choose("shop::a", 100, None, None);
        assert_eq!(seeds, choose("shop::a", 100, None, None));
        assert!(seeds.iter().all(|seed| !choose("shop::b", 100, None, None).contains(seed)));
        assert_eq!(seeds[..10], choose("shop::a", 10, None, None));
    }

    #[test]
    fn the_environment_decides_over_the_attribute() {
        assert_eq!(choose("a", 100, Some("0x1F".to_owned()), Some("7".to_owned())), [31]);
        assert_eq!(choose("a", 100, Some("31".to_owned()), None), [31]);
        assert_eq!(choose("a", 100, None, Some("7".to_owned())).len(), 7);
    }

    #[test]
    #[should_panic(expected = "PURLIN_SIM_SEED=today: expected a number")]
    fn a_seed_that_is_no_number_is_refused() {
        choose("a", 100, Some("today".to_owned()), None);
    }
}
