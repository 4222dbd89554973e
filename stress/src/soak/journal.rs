//! What happened, in order: the last of it for a person, all of it as one number.
//!
//! On a simulated node everything happens on one thread, and one ring keeps the order; its hash tells whether two runs were the same. On a
//! real node entries are spread over several rings, so that noting something does not put the threads in a line; they are put
//! together by their stamps when somebody wants to read them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use purlin_core::Pid;

/// One thing that happened.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) stamp: u64,
    /// On the node's clock.
    pub(super) at: Duration,
    pub(super) what: &'static str,
    /// To whom, or by whom.
    pub(super) who: Option<Pid>,
    /// A process concerned.
    pub(super) whom: Option<Pid>,
    pub(super) number: u64,
}

struct Ring {
    recent: VecDeque<Entry>,
    hash: u64,
}

pub(super) struct Journal {
    rings: Box<[Mutex<Ring>]>,
    keep: usize,
}

impl Journal {
    /// A journal of so many rings, each of which keeps the last `keep` entries.
    pub(super) fn new(rings: usize, keep: usize) -> Journal {
        let ring = || Mutex::new(Ring { recent: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325 });
        Journal { rings: (0..rings).map(|_| ring()).collect(), keep: keep.max(1) }
    }

    pub(super) fn note(&self, entry: Entry) {
        let index = entry.who.map_or(0, |pid| pid.id() as usize % self.rings.len());
        let mut ring = self.rings[index].lock().unwrap_or_else(PoisonError::into_inner);
        for byte in entry.what.bytes() {
            ring.mix(u64::from(byte));
        }
        let nanos = entry.at.as_nanos() as u64;
        // The node's index is left out: it tells the nodes of one program apart, and changes from run to run.
        [packed(entry.who), packed(entry.whom), entry.number, nanos].into_iter().for_each(|n| ring.mix(n));
        if ring.recent.len() == self.keep {
            ring.recent.pop_front();
        }
        ring.recent.push_back(entry);
    }

    /// All that was noted, as one number; means something with one ring only.
    pub(super) fn hash(&self) -> u64 {
        self.rings[0].lock().unwrap_or_else(PoisonError::into_inner).hash
    }

    /// The last `n` entries, the oldest first, a line each.
    pub(super) fn tail(&self, n: usize) -> String {
        let copy = |ring: &Mutex<Ring>| {
            ring.lock().unwrap_or_else(PoisonError::into_inner).recent.iter().copied().collect::<Vec<_>>()
        };
        let mut all: Vec<Entry> = self.rings.iter().flat_map(copy).collect();
        all.sort_by_key(|entry| entry.stamp);
        all[all.len().saturating_sub(n)..].iter().map(|entry| format!("  {entry}\n")).collect()
    }
}

impl Ring {
    /// A step of FNV-1a, over words.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }
}

fn packed(pid: Option<Pid>) -> u64 {
    pid.map_or(0, |pid| u64::from(pid.serial()) << 32 | u64::from(pid.id()))
}

/// A pid without its node's index.
pub(super) struct Short(pub(super) Option<Pid>);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => f.pad(&format!("{}.{}", pid.id(), pid.serial())),
            None => f.pad("-"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_secs_f64();
        write!(f, "{at:>10.6} {:>7} {:<22}", Short(self.who), self.what)?;
        match self.whom {
            Some(_) => write!(f, " {:>7} #{}", Short(self.whom), self.number),
            None => write!(f, "         #{}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stamp: u64, what: &'static str, who: u32) -> Entry {
        let who = Some(Pid::from_parts(7, who, 1));
        Entry { stamp, at: Duration::ZERO, what, who, whom: None, number: stamp }
    }

    #[test]
    fn entries_of_several_rings_come_out_in_order_and_only_the_last() {
        let journal = Journal::new(4, 2);
        (1..20).for_each(|n| journal.note(entry(n, "x", n as u32)));
        let tail = journal.tail(3);
        let numbers: Vec<&str> = tail.lines().filter_map(|line| line.split('#').nth(1)).collect();
        assert_eq!(numbers, ["17", "18", "19"]);
    }

    #[test]
    fn the_hash_depends_on_the_order_and_not_on_the_nodes_index() {
        let of = |entries: &[Entry]| {
            let journal = Journal::new(1, 2);
            entries.iter().for_each(|entry| journal.note(*entry));
            journal.hash()
        };
        let (a, b) = (entry(1, "a", 1), entry(1, "b", 1));
        assert_ne!(of(&[a, b]), of(&[b, a]));
        let elsewhere = Entry { who: Some(Pid::from_parts(9, 1, 1)), ..a };
        assert_eq!(of(&[a, b]), of(&[elsewhere, b]));
    }
}
