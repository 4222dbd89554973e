//! Makes a failing schedule plainer: fewer choices, and more of them the plainest one. Pure: what fails is the caller's question.
//!
//! A tape is a list of choices in which 0 is the plainest way and everything behind the end is 0. Three moves are tried, over and over, until none
//! of them helps or enough runs were made: cutting the tail off, replacing stretches by zeros, and taking stretches out; stretches become
//! shorter, as in delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).

/// The plainest tape found that still fails, and how many runs it took. `fails` runs a tape; if it fails in the same way, it returns the
/// choices that were really made.
pub(crate) fn shrink(
    tape: Vec<u32>,
    most_runs: usize,
    mut fails: impl FnMut(&[u32]) -> Option<Vec<u32>>,
) -> (Vec<u32>, usize) {
    let mut best = trimmed(tape);
    let mut runs = 0;
    let mut attempt = |candidate: Vec<u32>, best: &mut Vec<u32>, runs: &mut usize| {
        let candidate = trimmed(candidate);
        if *runs >= most_runs || !plainer(&candidate, best) {
            return false;
        }
        *runs += 1;
        let Some(made) = fails(&candidate) else { return false };
        let made = trimmed(made);
        // What was really made can be longer: then the candidate says it better.
        *best = if plainer(&made, &candidate) { made } else { candidate };
        true
    };
    loop {
        let before = best.clone();
        cut_the_tail(&mut best, &mut runs, &mut attempt);
        let mut size = best.len().next_power_of_two() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.len() {
                let end = (at + size).min(best.len());
                let mut zeroed = best.clone();
                zeroed[at..end].fill(0);
                let mut without = best.clone();
                without.drain(at..end);
                if !attempt(without, &mut best, &mut runs) {
                    if best[at..end].iter().any(|way| *way != 0) {
                        attempt(zeroed, &mut best, &mut runs);
                    }
                    at = end;
                }
            }
            size /= 2;
        }
        if best == before || runs >= most_runs {
            return (best, runs);
        }
    }
}

/// The shortest beginning that still fails, looked for by halves.
fn cut_the_tail(
    best: &mut Vec<u32>,
    runs: &mut usize,
    attempt: &mut impl FnMut(Vec<u32>, &mut Vec<u32>, &mut usize) -> bool,
) {
    let (mut fails_not, mut fails) = (0, best.len());
    while fails_not < fails {
        let middle = fails_not + (fails - fails_not) / 2;
        if attempt(best[..middle].to_vec(), best, runs) {
            fails = middle.min(best.len());
        } else {
            fails_not = middle + 1;
        }
    }
}

fn trimmed(mut tape: Vec<u32>) -> Vec<u32> {
    while tape.last() == Some(&0) {
        tape.pop();
    }
    tape
}

/// Is `a` plainer than `b`? Fewer ways other than the plainest first, then length, then smaller ways.
fn plainer(a: &[u32], b: &[u32]) -> bool {
    let measure = |tape: &[u32]| {
        (
            tape.iter().filter(|way| **way != 0).count(),
            tape.len(),
            tape.iter().map(|w| u64::from(*w)).sum::<u64>(),
        )
    };
    measure(a) < measure(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left_and_the_rest_becomes_plain() {
        // Fails when choice 7 is 2 and some later one is 1.
        let fails = |tape: &[u32]| {
            let hit = tape.get(7) == Some(&2) && tape.iter().skip(8).any(|way| *way == 1);
            hit.then(|| tape.to_vec())
        };
        let tape: Vec<u32> = (0..200).map(|n| if n == 7 { 2 } else { n % 3 }).collect();
        let (small, runs) = shrink(tape, 10_000, fails);
        assert_eq!(small, [0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert!(runs < 400, "{runs}");
    }

    #[test]
    fn a_failure_that_needs_no_choice_shrinks_to_nothing() {
        assert_eq!(shrink(vec![1; 1000], 10_000, |tape| Some(tape.to_vec())).0, []);
    }

    #[test]
    fn no_more_runs_are_made_than_allowed() {
        let mut runs = 0;
        let (tape, told) = shrink(vec![1; 1000], 20, |_| {
            runs += 1;
            None
        });
        assert_eq!((tape.len(), told, runs), (1000, 20, 20));
    }
}
