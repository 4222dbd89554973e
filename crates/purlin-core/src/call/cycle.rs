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

/// Publishes that the current process waits for `target`, for the time of a wait.
pub(crate) fn publish(target: &Proc) -> Option<Waits> {
    current::with_current(|me| {
        let target = packed(target);
        let before = me.waits_on.load(Ordering::Relaxed);
        me.waits_on.store(if before == 0 { target } else { UNKNOWN }, Ordering::Relaxed);
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

/// Publishes for the time of a call in place, which cannot overlap with another call's start; returns what to put back.
#[inline]
pub(crate) fn publish_in_place(me: &Proc, target: &Proc) -> u64 {
    let before = me.waits_on.load(Ordering::Relaxed);
    me.waits_on.store(packed(target), Ordering::Relaxed);
    before
}

/// The answer to `caller` (packed) will come later, from whomever: it is not certain any more whom it waits for.
pub(crate) fn no_longer_certain(caller: u64) {
    if caller == 0 {
        return;
    }
    current::with_current(|me| {
        let pid = crate::gen_server::message::unpack_pid(me, caller);
        if let Some(caller) = me.node.lookup(pid) {
            let _ = caller.waits_on.compare_exchange(packed(me), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    });
}

/// The cycle that `me`, waiting for `target`, would close: the pids from `me` on.
pub(crate) fn find(node: &Node, me: &Proc, target: &Proc) -> Option<Vec<Pid>> {
    fence(Ordering::SeqCst);
    let mine = packed(me);
    let mut next = target.waits_on.load(Ordering::Relaxed);
    if next == 0 || next == UNKNOWN {
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
        let proc = node.lookup(Pid::from_parts(me.pid().node_index(), next as u32, (next >> 32) as u32))?;
        cycle.push(proc.pid());
        next = proc.waits_on.load(Ordering::Relaxed);
    }
    None
}
