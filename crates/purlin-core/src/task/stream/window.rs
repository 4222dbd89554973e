//! What a stream of tasks may do next: pull another input, or give an element. A pure function of what began and what is done.
//!
//! ```text
//!            begin                       done                        next
//!  inputs ──────────► running (≤ n) ──────────► buffered (≤ m) ──────────► elements
//!           while running < n and running + buffered < n + m
//! ```
//! In order, an element waits for those before it; so a slow one keeps the quicker ones behind it buffered, and the bound on those keeps
//! the inputs from running away.

use std::collections::VecDeque;

/// The tasks that run, and the elements that nobody has taken yet.
pub(super) struct Window<E> {
    ordered: bool,
    most_running: usize,
    most_buffered: usize,
    running: usize,
    buffered: usize,
    /// The number of the task that the front of `places` belongs to.
    first: u64,
    /// In order: one place for each task from `first` on. Else: the elements that are done.
    places: VecDeque<Option<E>>,
}

impl<E> Window<E> {
    pub(super) fn new(ordered: bool, most_running: usize, most_buffered: usize) -> Window<E> {
        Window {
            ordered,
            most_running,
            most_buffered,
            running: 0,
            buffered: 0,
            first: 0,
            places: VecDeque::new(),
        }
    }

    /// May another input be pulled?
    pub(super) fn has_room(&self) -> bool {
        let most = self.most_running.saturating_add(self.most_buffered);
        self.running < self.most_running && self.running + self.buffered < most
    }

    /// A task begins; its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.running += 1;
        if !self.ordered {
            return 0;
        }
        self.places.push_back(None);
        self.first + (self.places.len() as u64 - 1)
    }

    /// The task of this number has come to this.
    pub(super) fn done(&mut self, number: u64, element: E) {
        self.running -= 1;
        self.buffered += 1;
        if self.ordered {
            self.places[(number - self.first) as usize] = Some(element);
        } else {
            self.places.push_back(Some(element));
        }
    }

    /// The next element, if it is there.
    pub(super) fn next(&mut self) -> Option<E> {
        let element = self.places.front_mut()?.take()?;
        self.places.pop_front();
        self.buffered -= 1;
        self.first += 1;
        Some(element)
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Nothing runs, and nothing is there to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.running == 0 && self.places.is_empty()
    }

    /// Forgets all elements; nothing runs.
    pub(super) fn clear(&mut self) {
        (self.running, self.buffered) = (0, 0);
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_in_the_order_of_their_beginning() {
        let mut window = Window::new(true, 3, 3);
        let numbers = [window.begin(), window.begin(), window.begin()];
        window.done(numbers[2], 'c');
        assert_eq!(window.next(), None);
        window.done(numbers[0], 'a');
        assert_eq!((window.next(), window.next()), (Some('a'), None));
        window.done(numbers[1], 'b');
        assert_eq!((window.next(), window.next(), window.next()), (Some('b'), Some('c'), None));
        assert!(window.is_empty());
    }

    #[test]
    fn without_order_they_come_as_they_are_done() {
        let mut window = Window::new(false, 2, 0);
        let numbers = [window.begin(), window.begin()];
        assert!(!window.has_room());
        window.done(numbers[1], 'b');
        window.done(numbers[0], 'a');
        assert!(!window.has_room() && window.running() == 0);
        assert_eq!(window.next(), Some('b'));
        assert!(window.has_room());
        assert_eq!((window.next(), window.is_empty()), (Some('a'), true));
    }

    #[test]
    fn no_more_run_and_no_more_are_buffered_than_allowed_whatever_happens() {
        let mut seed = 7u64;
        let mut random = move |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % n
        };
        for round in 0..200 {
            let (ordered, n, m) = (round % 2 == 0, 1 + random(4), random(5));
            let mut window = Window::new(ordered, n, m);
            let (mut running, mut begun, mut taken) = (Vec::new(), 0u64, Vec::new());
            for _ in 0..200 {
                match random(3) {
                    0 if window.has_room() => {
                        running.push((window.begin(), begun));
                        begun += 1;
                    },
                    1 if !running.is_empty() => {
                        let (number, what) = running.swap_remove(random(running.len()));
                        window.done(number, what);
                    },
                    _ => taken.extend(window.next()),
                }
                let waiting = begun as usize - running.len() - taken.len();
                assert!(running.len() <= n && waiting <= n + m && running.len() + waiting <= n + m.max(n));
            }
            for (number, what) in running {
                window.done(number, what);
            }
            taken.extend(std::iter::from_fn(|| window.next()));
            assert!(window.is_empty());
            if !ordered {
                taken.sort_unstable();
            }
            assert_eq!(taken, (0..begun).collect::<Vec<_>>());
        }
    }
}
