//! Exit and DOWN signals: how they travel, and what they do to the process that receives them.
//!
//! A signal is an envelope in the receiver's mailbox, behind everything that its sender sent before. It is applied when the receiver's
//! runner takes the chain, before any message behind it is handled. What becomes of an exit signal:
//!
//! | | not trapping | trapping |
//! |---|---|---|
//! | `Normal`, from another process | nothing | message |
//! | `Normal`, from itself | ends with `Normal` | message |
//! | `Kill` sent by `exit` | ends with `Killed` (not by this path: see `exit`) | the same |
//! | anything else | ends with that reason | message |

use std::any::TypeId;
use std::collections::VecDeque;

use crate::mailbox::envelope::{Envelope, Kind, MsgTable, drop_payload};
use crate::process::cell::{CHILD, Proc, Rejected, TRAP};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations::{self, Down, Exit};
use crate::process::word::{EXITING, QUEUED};

pub(crate) enum Signal {
    /// `link` is the link's id, 0 for a signal sent by `exit`, or [`AS_PARENT`].
    Exit {
        from: Pid,
        reason: ExitReason,
        link: u64,
    },
    Down {
        monitor: u64,
        reason: ExitReason,
    },
}

/// In the place of a link's id: the node stops, and speaks as the parent of processes that have no other.
pub(crate) const AS_PARENT: u64 = u64::MAX;

static TABLE: MsgTable = MsgTable {
    kind: Kind::Signal,
    type_id: TypeId::of::<Signal>,
    type_name: std::any::type_name::<Signal>,
    drop: drop_payload::<Signal>,
    handle: None,
};

/// The exit of a server's parent: a message in order, which ends the server instead of being handled.
pub(crate) struct ParentExit(pub(crate) ExitReason);

static PARENT: MsgTable = MsgTable {
    kind: Kind::System,
    type_id: TypeId::of::<ParentExit>,
    type_name: std::any::type_name::<ParentExit>,
    drop: drop_payload::<ParentExit>,
    handle: None,
};

/// Sends a signal. To a process that has ended it is a no-op.
pub(crate) fn send(to: &Proc, signal: Signal) {
    // SAFETY: the table is made for `Signal`, and has no handler.
    let envelope = unsafe { Envelope::with_table(&TABLE, signal) };
    match to.push(envelope) {
        Ok(()) | Err(Rejected::Closed(_)) => {},
        Err(Rejected::Full(_) | Rejected::Evicted(_)) => unreachable!("bounds do not apply to signals"),
    }
}

/// Takes the whole chain into `inner` and applies the signals among what is new. Returns why the process must end, if it must;
/// nothing in `inner` may be handled then.
pub(crate) fn take(proc: &Proc, inner: &mut VecDeque<Envelope>) -> Option<ExitReason> {
    // Nothing is in the outer queue while QUEUED is down; a push that comes later causes another activation.
    if proc.word.load() & QUEUED == 0 {
        return None;
    }
    let start = inner.len();
    let signals = proc.mailbox.take(inner, &proc.word);
    if proc.word.load() & EXITING != 0 {
        // The kill may have come before some of what was taken, and from the same sender: none of it is handled.
        return Some(ExitReason::Killed);
    }
    if signals { apply(proc, inner, start) } else { None }
}

/// Applies the signals in `inner` from `start` on.
#[cold]
fn apply(proc: &Proc, inner: &mut VecDeque<Envelope>, start: usize) -> Option<ExitReason> {
    let mut fresh = inner.split_off(start).into_iter();
    let fatal = loop {
        let envelope = fresh.next()?;
        if envelope.kind() != Kind::Signal {
            inner.push_back(envelope);
            continue;
        }
        let Ok(signal) = envelope.downcast::<Signal>() else { continue };
        match signal {
            Signal::Down { monitor, reason } => {
                if let Some(watch) = relations::take_watch(proc, monitor) {
                    let down = Down {
                        monitor: MonitorRef(monitor),
                        target: watch.target,
                        pid: watch.pid,
                        reason,
                        tag: watch.tag,
                    };
                    // The conversion into the mailbox's type is user code.
                    match panic::catch(|| (watch.convert)(down)) {
                        Ok(message) => arrived(proc, inner, message),
                        Err(reason) => break reason,
                    }
                }
            },
            Signal::Exit { from, reason, link } => {
                if link != 0 && link != AS_PARENT && !relations::take_link(proc, from, link) {
                    continue;
                }
                if proc.has(TRAP) {
                    match panic::catch(|| trapped(proc, from, reason, link == AS_PARENT)) {
                        Ok(message) => arrived(proc, inner, message),
                        Err(reason) => break reason,
                    }
                } else if !reason.is_normal() || from == proc.pid() {
                    break reason;
                }
            },
        }
    };
    // Nobody will see what is behind it. It is dropped with the mailbox, when the reason can be read there.
    inner.extend(fresh);
    Some(fatal)
}

/// A signal has become a message, which counts in a bounded mailbox, though it is never refused.
fn arrived(proc: &Proc, inner: &mut VecDeque<Envelope>, message: Envelope) {
    if message.kind() == Kind::User {
        proc.message_made();
    }
    inner.push_back(message);
}

fn trapped(proc: &Proc, from: Pid, reason: ExitReason, as_parent: bool) -> Envelope {
    if !proc.table.raw && (as_parent || proc.has(CHILD) && proc.parent() == Some(from)) {
        // SAFETY: the table is made for `ParentExit`, and has no handler.
        return unsafe { Envelope::with_table(&PARENT, ParentExit(reason)) };
    }
    let convert = proc.extra.lock().as_ref().and_then(|e| e.on_exit);
    let exit = Exit { from, reason };
    match convert {
        Some(convert) => convert(exit),
        None => Envelope::plain(exit),
    }
}
