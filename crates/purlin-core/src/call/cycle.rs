//! Cycles of calls: A waits for B, B for C, C for A. Nobody would ever answer; the one who closes the ring is told at once.
//!
//! Each process publishes whom it waits for (`Proc::waits_on`), in a queued call and also while a call of its runs in place. Before
//! waiting, the caller walks the chain from its target; back at itself, it is a cycle. Publishing, a SeqCst fence, then walking: of two
//! processes that close a ring at the same moment at least one sees the other's edge.
//!
//! An edge counts only while it is certain: a process that makes a second call while one is under way (in a `join!`) may get on by the
//! other one, and a server that answers later may be answered by somebody else. Such edges are marked unknown and end the walk. A call in
//! a `select!` with something else cannot be told from a plain one: there the report may come although the other branch would have
//! ended the wait.

use crate::node::Node;
use crate::node::current;
use crate::process::cell::Proc;
use crate::process::pid::Pid;
use crate::process::run::packed;
use crate::sync::{Ordering, fence};

/// The process waits for more than one thing.
const UNKNOWN: u64 = u64::MAX;
/// Longer chains are not followed.
const LONGEST: usize = 64;

/// The published edge of a waiting caller; taken back when dropped.
pub(crate) struct Waits {
    caller: crate::process::cell::ProcRef,
    target: u64,
}

/// How `me` waiting for `target` is published: packed pids carry no node, so an edge to another node of the program is unknown.
#[inline]
fn edge(me: &Proc, target: &Proc) -> u64 {
    if me.pid().node_index() == target.pid().node_index() { packed(target) } else { UNKNOWN }
}

/// Publishes that the current process waits for `target`, for the time of a wait.
pub(crate) fn publish(target: &Proc) -> Option<Waits> {
    current::with_current(|me| {
        let target = edge(me, target);
        let before = me.waits_on.load(Ordering::Relaxed);
        me.waits_on.store(if before == 0 { target } else { UNKNOWN }, Ordering::Release);
        Waits { caller: me.to_ref(), target }
    })
}

impl Drop for Waits {
    fn drop(&mut self) {
        let now = self.caller.waits_on.load(Ordering::Relaxed);
        if now == self.target || now == UNKNOWN {
            self.caller.waits_on.store(0, Ordering::Relaxed);
        }
    }
}

/// Publishes for the time of a call in place; returns what to put back. Something else may be waited for already, in another branch.
#[inline]
pub(crate) fn publish_in_place(me: &Proc, target: &Proc) -> u64 {
    let before = me.waits_on.load(Ordering::Relaxed);
    me.waits_on.store(if before == 0 { edge(me, target) } else { UNKNOWN }, Ordering::Release);
    before
}

/// The current process no longer keeps `caller` (packed) waiting: it is about to answer, or the answer will come later, from whomever.
///
/// The edge is taken back here, before the answer can be seen, and not only by the caller when it is polled again: in between the
/// answering process may call the caller, which would look like a ring.
pub(crate) fn release(caller: u64) {
    if caller == 0 {
        return;
    }
    current::with_current(|me| {
        let pid = crate::process::run::unpack(me, caller);
        if let Some(caller) = me.node.lookup(pid) {
            // A newer edge of the caller's names somebody else and stays.
            let _ = caller.waits_on.compare_exchange(packed(me), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    });
}

/// The cycle that `me`, waiting for `target`, would close: the pids from `me` on.
///
/// The chain is walked twice: edges come and go while it is walked, and a ring put together from edges of different moments is none.
/// An edge is published with Release and read with Acquire, so that who sees it sees taken back, at the second walk, whatever its
/// publisher had answered before.
pub(crate) fn find(node: &Node, me: &Proc, target: &Proc) -> Option<Vec<Pid>> {
    if me.waits_on.load(Ordering::Relaxed) != edge(me, target) {
        // Another branch of it waits for something else.
        return None;
    }
    fence(Ordering::SeqCst);
    let cycle = walk(node, me, target)?;
    fence(Ordering::SeqCst);
    (walk(node, me, target)? == cycle).then_some(cycle)
}

fn walk(node: &Node, me: &Proc, target: &Proc) -> Option<Vec<Pid>> {
    let mine = packed(me);
    let index = me.pid().node_index();
    let mut next = target.waits_on.load(Ordering::Acquire);
    if next == 0 || next == UNKNOWN || target.pid().node_index() != index {
        return None;
    }
    let mut cycle = vec![me.pid(), target.pid()];
    while cycle.len() <= LONGEST {
        if next == mine {
            return Some(cycle);
        }
        if next == 0 || next == UNKNOWN {
            return None;
        }
        let proc = node.lookup(Pid::from_parts(index, next as u32, (next >> 32) as u32))?;
        cycle.push(proc.pid());
        next = proc.waits_on.load(Ordering::Acquire);
    }
    None
}
