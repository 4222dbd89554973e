//! Messages and signals on their way.
//!
//! Erlang keeps order between two processes and promises nothing beyond that. On one node a push is seen at once, so a program may come to
//! rely on more than it is promised. Half of the seeds therefore send by wire: one per sender and receiver, first in, first out; when the next
//! item of it arrives is a step that the scheduler picks like any other.
//!
//! What goes straight in, behind what is on that wire: messages to oneself, into bounded mailboxes (whose senders are told at once when they are
//! full), through aliases, and of senders that are no processes. A reply counts as a message of its server: what the server sent its caller
//! before arrives before it (see the callers of `World::arrive_all`).

use std::collections::VecDeque;
use std::time::Duration;

use crate::mailbox::envelope::Envelope;
use crate::process::cell::ProcRef;
use crate::process::pid::Pid;

/// One item on a wire.
pub(crate) struct Parcel {
    pub(crate) to: ProcRef,
    pub(crate) envelope: Envelope,
}

struct Wire {
    id: u64,
    from: Pid,
    to: ProcRef,
    /// With the time before which it does not arrive.
    queue: VecDeque<(Envelope, Duration)>,
}

#[derive(Default)]
pub(crate) struct Wires {
    wires: Vec<Wire>,
    next: u64,
}

/// What has to be done about a wire that something was put on or taken off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Nothing: it is empty, or what is in front was seen to before.
    Nothing,
    /// Its front can arrive from this time on.
    At(u64, Duration),
}

impl Wires {
    fn position(&self, from: Pid, to: Pid) -> Option<usize> {
        self.wires.iter().position(|wire| wire.from == from && wire.to.pid() == to)
    }

    /// Is something on its way from the one to the other?
    pub(crate) fn any(&self, from: Pid, to: Pid) -> bool {
        self.position(from, to).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wires.is_empty()
    }

    /// Puts something on a wire.
    pub(crate) fn put(&mut self, from: Pid, to: ProcRef, envelope: Envelope, until: Duration) -> Next {
        if let Some(at) = self.position(from, to.pid()) {
            self.wires[at].queue.push_back((envelope, until));
            return Next::Nothing;
        }
        self.next += 1;
        let id = self.next;
        self.wires.push(Wire { id, from, to, queue: VecDeque::from([(envelope, until)]) });
        Next::At(id, until)
    }

    /// Takes the front of a wire off it.
    pub(crate) fn take(&mut self, id: u64) -> Option<(Pid, Parcel, Next)> {
        let at = self.wires.iter().position(|wire| wire.id == id)?;
        let wire = &mut self.wires[at];
        let (envelope, _) = wire.queue.pop_front()?;
        let parcel = Parcel { to: wire.to.clone(), envelope };
        let from = wire.from;
        let next = match wire.queue.front() {
            Some((_, until)) => Next::At(id, *until),
            None => {
                self.wires.remove(at);
                Next::Nothing
            },
        };
        Some((from, parcel, next))
    }

    /// Takes everything that one process sent, to `to` or to everybody, in order.
    pub(crate) fn take_all(&mut self, from: Pid, to: Option<Pid>) -> Vec<Parcel> {
        self.take_where(|wire| wire.from == from && to.is_none_or(|to| wire.to.pid() == to))
    }

    /// Takes everything, each wire in order.
    pub(crate) fn take_everything(&mut self) -> Vec<Parcel> {
        self.take_where(|_| true)
    }

    /// Takes everything that goes from or to a node.
    pub(crate) fn take_of(&mut self, node: u32) -> Vec<Parcel> {
        self.take_where(|wire| wire.from.node_index() == node || wire.to.pid().node_index() == node)
    }

    fn take_where(&mut self, mut which: impl FnMut(&Wire) -> bool) -> Vec<Parcel> {
        let mut taken = Vec::new();
        self.wires.retain_mut(|wire| {
            let all = which(wire);
            if all {
                let to = &wire.to;
                taken.extend(wire.queue.drain(..).map(|(envelope, _)| Parcel { to: to.clone(), envelope }));
            }
            !all
        });
        taken
    }
}
