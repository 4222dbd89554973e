//! A hierarchical timing wheel: the data structure behind every timer of a node.
//!
//! The wheel is pure: it knows no clock and no runtime. Its unit is the *tick*, a `u64` counted from the start of the
//! node (one tick is one millisecond; the caller converts). The caller says what time it is by [`Wheel::advance`] and
//! asks how long it may sleep by [`Wheel::next_deadline`].
//!
//! # Structure
//!
//! ```text
//! level 0   64 slots of 1 tick          |0|1|2| … |63|
//! level 1   64 slots of 64 ticks        |0|1|2| … |63|
//! level 2   64 slots of 4096 ticks      |0|1|2| … |63|
//!  …
//! level 10  16 slots of 2^60 ticks
//! due       timers inserted with a deadline that had passed already
//! ```
//!
//! A deadline is read as eleven digits of six bits. A timer lives on the level of the **highest digit in which its
//! deadline differs from the wheel's current time**, in the slot that this digit names. Eleven digits cover all of
//! `u64`, so there is no overflow list and no clamping: a timer in 50 days and one in 500 million years are ordinary.
//!
//! Entries live in a slab and are chained by `u32` indices, first in first out; one bitmap per level tells which slots
//! are in use, and one bitmap tells which levels are.
//!
//! # Invariants
//!
//! Let `now` be the wheel's current time, that is, the largest time it was advanced to.
//!
//! 1. A timer on level `L` shares all digits above `L` with `now`, and its digit `L` is greater than that of `now`.
//!    Hence slots never wrap around, the lowest bit set in a level's bitmap is that level's next slot, and every timer
//!    on level `L` is earlier than every timer on level `L + 1`.
//! 2. `now` never lies inside a slot of a level above 0 that is in use: when time reaches the start of such a slot, its
//!    timers cascade to lower levels before anything else happens. While a slot cascades, all levels below are empty.
//! 3. Timers with the same deadline are always in the same list, in insertion order: they enter at the tail, cascade
//!    from head to tail, and (by 2) a timer inserted later cannot have overtaken them to a lower level.
//! 4. Timers in the `due` list have deadlines `<= now`, all others `> now`.
//!
//! From 1 and 3 follows the order in which `advance` hands timers out: by deadline, ties in insertion order.
//!
//! # Costs
//!
//! `insert` and `cancel` are O(1) and do not allocate once the slab has grown to the largest number of timers alive at
//! one time. A timer cascades at most ten times, at most five for deadlines up to two years away. `advance` visits only
//! slots in use, so its cost does not depend on the length of the jump.

use std::fmt;

/// Bits of the deadline that one level consumes.
const BITS: u32 = 6;
/// Slots per level.
const SLOTS: usize = 1 << BITS;
/// Levels needed to cover every `u64`.
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;
/// Index of the list of timers whose deadline had passed when they were inserted.
const DUE: usize = LEVELS * SLOTS;
/// "No entry" in the chains.
const NIL: u32 = u32::MAX;

/// Names one timer of one [`Wheel`].
///
/// A key stays unique for the life of the wheel: after its timer fired or was cancelled it matches nothing any more,
/// even when the memory of the timer is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

/// A hierarchical timing wheel holding a value of type `T` per timer. See the module documentation.
pub(crate) struct Wheel<T> {
    /// The largest time the wheel was advanced to.
    now: u64,
    /// Bit `L` is set when level `L` holds a timer.
    levels: u16,
    /// Per level, bit `S` is set when slot `S` holds a timer.
    slots: [u64; LEVELS],
    /// Slot `S` of level `L` is `lists[L * SLOTS + S]`; the last one is [`DUE`].
    lists: Box<[List]>,
    /// No deadline in the due list is lower. Exact until a timer of that list is cancelled.
    due_min: u64,
    /// Whether the due list happens to be in deadline order, which is the usual case.
    due_sorted: bool,
    /// The slab.
    entries: Vec<Entry<T>>,
    /// Head of the chain of free entries.
    free: u32,
    /// Generation of the first timer in an entry that is new to the slab. Greater than every generation handed out by
    /// entries that `shrink` removed, so that keys into them stay stale.
    first_generation: u32,
    /// Timers alive.
    len: usize,
    /// Working memory for sorting the due list, kept to spare an allocation: (deadline, position, index).
    scratch: Vec<(u64, u32, u32)>,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: List = List { head: NIL, tail: NIL };
}

struct Entry<T> {
    deadline: u64,
    prev: u32,
    /// The next entry of the list, or of the free chain.
    next: u32,
    /// Counts the timers this entry has held. At `u32::MAX` the entry is retired instead of being used again.
    generation: u32,
    /// The list this entry is in; meaningless while free.
    list: u16,
    /// `None` while free or retired.
    value: Option<T>,
}

impl<T> Wheel<T> {
    /// An empty wheel whose current time is `now`.
    pub(crate) fn new(now: u64) -> Self {
        Wheel {
            now,
            levels: 0,
            slots: [0; LEVELS],
            lists: vec![List::EMPTY; DUE + 1].into_boxed_slice(),
            due_min: u64::MAX,
            due_sorted: true,
            entries: Vec::new(),
            free: NIL,
            first_generation: 0,
            len: 0,
            scratch: Vec::new(),
        }
    }

    /// Adds a timer. A deadline that is not after the wheel's current time fires at the next [`Wheel::advance`].
    ///
    /// # Panics
    ///
    /// With more than 2³² − 1 timers alive at one time.
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let key = self.allocate(deadline, value);
        self.link(key.index, deadline);
        self.len += 1;
        key
    }

    /// Removes a timer that has not fired; its deadline and value come back. `None` if it fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<(u64, T)> {
        let deadline = self.get(key)?;
        self.unlink(key.index);
        Some((deadline, self.release(key.index)))
    }

    /// Gives a timer that has not fired another value, and returns the one it had.
    pub(crate) fn set(&mut self, key: TimerKey, value: T) -> Option<T> {
        self.get(key)?;
        self.entries[key.index as usize].value.replace(value)
    }

    /// The deadline of a timer, exactly as it was inserted. `None` if it fired or was cancelled.
    pub(crate) fn get(&self, key: TimerKey) -> Option<u64> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.generation == key.generation && entry.value.is_some()).then_some(entry.deadline)
    }

    /// A time up to which nothing can fire: never later than the earliest deadline. `None` when there is no timer.
    ///
    /// A driver sleeps until then, advances, and asks again. The answer is exact on the lowest level and for a timer
    /// alone in its slot; else it is the start of the slot, and the advance at that time moves the slot's timers to a
    /// finer level (at most ten such wake-ups before a deadline, however far it is).
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let due = self.lists[DUE];
        if due.head != NIL {
            return Some(if self.due_sorted {
                self.entries[due.head as usize].deadline
            } else {
                self.due_min
            });
        }
        let (list, start) = self.first_slot()?;
        let List { head, tail } = self.lists[list];
        Some(if head == tail { self.entries[head as usize].deadline } else { start })
    }

    /// Sets the current time to `now` and appends all timers with deadlines `<= now`, with their keys, to `out`, by
    /// deadline, ties in insertion order.
    ///
    /// The time never goes back: an earlier `now` than before only fires what was inserted with a past deadline.
    pub(crate) fn advance(&mut self, now: u64, out: &mut Vec<(TimerKey, T)>) {
        self.fire_due(out);
        while let Some((list, start)) = self.first_slot() {
            if start > now {
                break;
            }
            // By invariant 1 nothing lies between the old time and `start`.
            self.now = start;
            let mut index = self.lists[list].head;
            self.lists[list] = List::EMPTY;
            self.mark_empty(list);
            while index != NIL {
                let Entry { deadline, next, .. } = self.entries[index as usize];
                if deadline == start {
                    out.push(self.fire(index));
                } else {
                    self.link(index, deadline);
                }
                index = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// The number of timers that have neither fired nor been cancelled.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no timer.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives unused memory back to the allocator. Costs time proportional to the memory held; keys stay valid, or stale,
    /// as they were. Memory before the last timer alive cannot be given back.
    pub(crate) fn shrink(&mut self) {
        while let Some(last) = self.entries.last()
            && last.value.is_none()
            && last.generation < u32::MAX
        {
            self.first_generation = self.first_generation.max(last.generation);
            self.entries.pop();
        }
        self.entries.shrink_to_fit();
        self.scratch = Vec::new();
        self.free = NIL;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.value.is_none() && entry.generation < u32::MAX {
                entry.next = self.free;
                self.free = index as u32;
            }
        }
    }

    /// Fires everything in the due list, in deadline order.
    fn fire_due(&mut self, out: &mut Vec<(TimerKey, T)>) {
        let mut index = std::mem::replace(&mut self.lists[DUE], List::EMPTY).head;
        if index == NIL {
            return;
        }
        if self.due_sorted {
            while index != NIL {
                let next = self.entries[index as usize].next;
                out.push(self.fire(index));
                index = next;
            }
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        while index != NIL {
            let Entry { deadline, next, .. } = self.entries[index as usize];
            scratch.push((deadline, scratch.len() as u32, index));
            index = next;
        }
        // The position makes the order total, so the sort that needs no memory is as good as a stable one.
        scratch.sort_unstable();
        out.extend(scratch.drain(..).map(|(_, _, index)| self.fire(index)));
        self.scratch = scratch;
    }

    /// The list and the first tick of the earliest slot in use. By invariant 1 that is the first slot of the lowest
    /// level in use.
    fn first_slot(&self) -> Option<(usize, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.slots[level as usize].trailing_zeros();
        let shift = level * BITS;
        // All bits of the digits above this level; none above the highest.
        let above = u64::MAX.checked_shl(shift + BITS).unwrap_or(0);
        Some(((level * SLOTS as u32 + slot) as usize, (self.now & above) | (u64::from(slot) << shift)))
    }

    /// The list in which a timer with this deadline belongs at the current time.
    fn list_for(&self, deadline: u64) -> usize {
        if deadline <= self.now {
            return DUE;
        }
        let level = (u64::BITS - 1 - (deadline ^ self.now).leading_zeros()) / BITS;
        let slot = (deadline >> (level * BITS)) as usize % SLOTS;
        level as usize * SLOTS + slot
    }

    /// Appends an entry to the list where it belongs.
    fn link(&mut self, index: u32, deadline: u64) {
        let list = self.list_for(deadline);
        let tail = self.lists[list].tail;
        if list == DUE {
            if tail == NIL {
                (self.due_min, self.due_sorted) = (deadline, true);
            } else {
                self.due_min = self.due_min.min(deadline);
                self.due_sorted &= self.entries[tail as usize].deadline <= deadline;
            }
        } else {
            self.slots[list / SLOTS] |= 1 << (list % SLOTS);
            self.levels |= 1 << (list / SLOTS);
        }
        let entry = &mut self.entries[index as usize];
        (entry.prev, entry.next, entry.list) = (tail, NIL, list as u16);
        self.lists[list].tail = index;
        if tail == NIL {
            self.lists[list].head = index;
        } else {
            self.entries[tail as usize].next = index;
        }
    }

    /// Takes an entry out of its list.
    fn unlink(&mut self, index: u32) {
        let Entry { prev, next, list, .. } = self.entries[index as usize];
        let list = usize::from(list);
        if prev == NIL {
            self.lists[list].head = next;
        } else {
            self.entries[prev as usize].next = next;
        }
        if next == NIL {
            self.lists[list].tail = prev;
        } else {
            self.entries[next as usize].prev = prev;
        }
        if list != DUE && self.lists[list].head == NIL {
            self.mark_empty(list);
        }
    }

    /// Clears the bits of a slot that became empty.
    fn mark_empty(&mut self, list: usize) {
        let (level, slot) = (list / SLOTS, list % SLOTS);
        self.slots[level] &= !(1 << slot);
        if self.slots[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// An entry holding `value`, in no list yet.
    fn allocate(&mut self, deadline: u64, value: T) -> TimerKey {
        if self.free != NIL {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.deadline = deadline;
            entry.value = Some(value);
            return TimerKey { index, generation: entry.generation };
        }
        let index = u32::try_from(self.entries.len())
            .ok()
            .filter(|&index| index != NIL)
            .expect("a timer wheel holds at most 2^32 - 1 timers");
        let generation = self.first_generation;
        self.entries.push(Entry {
            deadline,
            prev: NIL,
            next: NIL,
            generation,
            list: DUE as u16,
            value: Some(value),
        });
        TimerKey { index, generation }
    }

    /// Frees an entry that is in no list any more and returns its key, which matches nothing from now on, and its value.
    fn fire(&mut self, index: u32) -> (TimerKey, T) {
        let key = TimerKey { index, generation: self.entries[index as usize].generation };
        (key, self.release(index))
    }

    /// Frees an entry that is in no list any more and returns its value.
    fn release(&mut self, index: u32) -> T {
        let entry = &mut self.entries[index as usize];
        let value = entry.value.take().expect("an entry in a list holds a value");
        self.len -= 1;
        // Using the last generation again would bring old keys back to life: the entry is retired instead, at the price
        // of its few bytes for every 2^32 timers.
        if entry.generation < u32::MAX {
            entry.generation += 1;
            entry.next = self.free;
            self.free = index;
        }
        value
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("now", &self.now)
            .field("len", &self.len)
            .field("next_deadline", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
