//! The choices of a run, one number each: what makes it repeatable, and what a failing one is shrunk on.
//!
//! A choice is asked for only where there is one (two ways at least), and way 0 is always the plainest: the process that has waited longest, no
//! interruption, no fault. So a tape that ends early, which means zeros from there on, is a plainer run than a longer one.

/// Choices to make again, and those made.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    given: Option<Vec<u32>>,
    taken: Vec<u32>,
}

impl Tape {
    /// Makes these choices, and then way 0; `None` leaves every choice to the scheduler.
    pub(crate) fn new(given: Option<Vec<u32>>) -> Tape {
        Tape { given, taken: Vec::new() }
    }

    /// Takes one of `ways` (2 or more) ways.
    pub(crate) fn choose(&mut self, ways: usize, decide: impl FnOnce() -> usize) -> usize {
        let way = match &self.given {
            // A shrunk tape may meet another choice than the one it was recorded for.
            Some(given) => given.get(self.taken.len()).map_or(0, |way| (*way as usize).min(ways - 1)),
            None => decide(),
        };
        debug_assert!(way < ways, "way {way} of {ways}");
        self.taken.push(way as u32);
        way
    }

    /// The choices made so far.
    pub(crate) fn taken(&self) -> &[u32] {
        &self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_repeats_what_it_recorded_and_goes_on_with_the_plainest_way() {
        let mut first = Tape::new(None);
        let made: Vec<usize> = [2, 0, 1].into_iter().map(|way| first.choose(3, || way)).collect();
        assert_eq!(made, [2, 0, 1]);
        let mut again = Tape::new(Some(first.taken().to_vec()));
        let made: Vec<usize> = (0..5).map(|_| again.choose(3, || panic!("decided again"))).collect();
        assert_eq!(made, [2, 0, 1, 0, 0]);
    }

    #[test]
    fn a_choice_that_is_out_of_range_takes_the_last_way() {
        assert_eq!(Tape::new(Some(vec![9])).choose(2, || 0), 1);
    }
}
