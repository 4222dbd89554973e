//! What the servers of a world are asked to do.

use std::sync::Arc;

use purlin_core::{ExitReason, Overflow, Pid, Ref};

use super::actor::Actor;
use super::asking::Patience;
use super::life::{Alarm, Token};
use super::random::Random;
use super::ticket::{Place, Ticket};
use super::world::Cell;

/// What a handler does with a request.
pub(super) enum Deed {
    Nothing,
    /// Gives way so often.
    Yield(u64),
    /// Waits for so many milliseconds.
    Sleep(u64),
    /// Computes.
    Work(u64),
    /// Sends so many notes to who asks.
    Notes(u64),
    /// Sends who asks an exit signal.
    Signal,
    /// Panics, at once or after a turn.
    Panic {
        later: bool,
    },
    /// Stops with this reason.
    Stop(ExitReason),
    /// Goes on so often.
    Continue(u64),
    /// Sets a timer for so many milliseconds.
    Alarm(u64),
    /// Takes its oldest timer off.
    Cancel,
    /// Sets a timer that repeats every so many milliseconds, so often.
    Interval(u64, u64),
    /// Sets the idle timeout, in milliseconds.
    Idle(u64),
    Hibernate,
    Watch(Pid),
    Unwatch,
    Link(Pid),
    Trap(bool),
    /// Calls the last of these, which calls the next, and so on.
    Forward(Vec<Ref<Actor>>, Patience),
    /// Registers under a duplicate key.
    Join(u64),
    /// Ends like this one day.
    AtEnd(AtEnd),
    /// Sends itself a message.
    Again,
    /// Sends the server that asks a message.
    Back,
    /// Never returns.
    Hang,
}

/// What a server does when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AtEnd {
    Quiet,
    /// `terminate` waits for so many milliseconds.
    Slow(u64),
    PanicInTerminate,
    PanicInDrop,
}

impl AtEnd {
    pub(super) fn random(random: &mut Random) -> AtEnd {
        match random.below(12) {
            0 => AtEnd::Slow(random.between(1, 5)),
            1 => AtEnd::PanicInTerminate,
            2 => AtEnd::PanicInDrop,
            _ => AtEnd::Quiet,
        }
    }
}

/// A request, with what it takes to check it.
pub(super) struct Request {
    pub(super) ticket: Arc<Ticket>,
    pub(super) place: Option<Place>,
    /// Who asks, if it takes notes.
    pub(super) from: Option<Pid>,
    pub(super) deed: Deed,
}

/// How a deferred answer is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// By another process, after so many turns.
    Elsewhere(u64),
    /// By the server, so many milliseconds later.
    Own(u64),
    /// Before the handler returns.
    Before,
    /// Not at all.
    Never,
}

/// A call that is answered, or crashes.
pub(super) struct Ask(pub(super) Request);
/// A call whose handler may fail with `?`.
pub(super) struct Try(pub(super) Request, pub(super) bool);
/// A call that is answered later.
pub(super) struct Later(pub(super) Request, pub(super) Way);
/// A call that cannot wait, with a short answer.
pub(super) struct Quick(pub(super) Request);
/// A read, with a short answer.
pub(super) struct Peek(pub(super) Request);
/// A cast that does something.
pub(super) struct Tell(pub(super) Request);
/// A cast that is only there for its place; it lies in the envelope.
pub(super) struct Mark(pub(super) Place);
/// A plain message, typed or untyped.
pub(super) struct Word(pub(super) Request);

/// A timer's message.
#[derive(Clone)]
pub(super) struct Tick(pub(super) Arc<Alarm>);

/// It is time for a deferred answer.
pub(super) struct Release(pub(super) u64);

/// What a handler goes on with: so often more.
pub(super) struct Onward(pub(super) u64, pub(super) Token);

/// What a server sends to who asks for it.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) from: Pid,
    pub(super) number: u64,
}

/// How a start goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    Run,
    /// `init` waits for so many milliseconds.
    Slow(u64),
    /// `init` gives way so often.
    Yield(u64),
    /// `init` goes on with something.
    Continue,
    Ignore,
    Refuse,
    Panic,
}

impl Mood {
    /// Does a server come of it?
    pub(super) fn runs(self) -> bool {
        !matches!(self, Mood::Ignore | Mood::Refuse | Mood::Panic)
    }
}

/// What a server starts with.
pub(super) struct Plan {
    pub(super) cell: Arc<Cell>,
    /// Its place in the cell's trees, if it has one.
    pub(super) slot: Option<usize>,
    pub(super) mood: Mood,
    pub(super) trap: bool,
    /// Of its mailbox.
    pub(super) bound: Option<Overflow>,
    pub(super) at_end: AtEnd,
    /// It listens for its own end.
    pub(super) listening: bool,
    /// It is linked with somebody who may crash.
    pub(super) linked: bool,
    pub(super) token: Token,
}
