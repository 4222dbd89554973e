//! What the kernel asks the world, and tells it. All of it is for simulated processes: on a real node the callers see a flag and go on.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::mailbox::envelope::{Envelope, MsgTable};
use crate::node::builder::CallPath;
use crate::node::{NodeInner, current};
use crate::process::cell::{GAVE_WAY, Proc, SIMULATED, SUPERVISOR};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::run::unpack;
use crate::rt::sim::{What, World, key, run, short};

fn world(proc: &Proc) -> Option<&Arc<World>> {
    proc.node.rt().sched.world()
}

/// Sends an envelope to a simulated process; gives it back if it is to be pushed at once.
#[cold]
pub(crate) fn send(to: &Proc, envelope: Envelope) -> Option<Envelope> {
    match world(to) {
        Some(world) => world.send(to, envelope),
        None => Some(envelope),
    }
}

/// Somebody is about to learn something from `from` by other means than a message (a reply, the end of a wait): what `from` sent before,
/// to `to` or to everybody, arrives now.
#[inline]
pub(crate) fn arrive_all(from: &Proc, to: Option<Pid>) {
    #[cold]
    fn simulated(from: &Proc, to: Option<Pid>) {
        if let Some(world) = world(from) {
            world.arrive_all(from.pid(), to);
        }
    }
    if from.has(SIMULATED) {
        simulated(from, to);
    }
}

/// The same for what the process being run has sent, to everybody.
pub(crate) fn arrive_all_of_current() {
    current::with_current(|me| arrive_all(me, None));
}

/// The process being run looks at another one from outside: what it sent it before has arrived.
#[inline]
pub(crate) fn looks_at(other: &Proc) {
    if other.has(SIMULATED) {
        current::with_current(|me| arrive_all(me, Some(other.pid())));
    }
}

/// The process being run finds out by itself that this one has ended: what it was sent by it has arrived, as it would have before a DOWN.
#[inline]
pub(crate) fn finds_gone(pid: Pid) {
    #[cold]
    fn simulated(me: &Proc, pid: Pid) {
        if let Some(world) = world(me) {
            world.arrive_all(pid, Some(me.pid()));
        }
    }
    current::with_current(|me| {
        if me.has(SIMULATED) {
            simulated(me, pid);
        }
    });
}

/// The process being run has its answer from this server.
#[inline]
pub(crate) fn answered_by(server: &Proc) {
    if server.has(SIMULATED) {
        current::with_current(|me| arrive_all(server, Some(me.pid())));
    }
}

/// A process could go on, and others could run: does it let them? Never twice without having gone on in between.
#[cold]
pub(crate) fn gives_way(proc: &Proc) -> bool {
    let Some(world) = world(proc) else { return false };
    if proc.set_flag(GAVE_WAY, false) {
        return false;
    }
    let mut state = world.state.lock();
    if state.ready.is_empty() {
        return false;
    }
    let ready = std::mem::take(&mut state.ready);
    let id = key(proc.pid());
    let gives_way = state
        .choose(2, |policy| usize::from(policy.interrupts(id, ready.iter().map(|item| item.key()))))
        == 1;
    state.ready = ready;
    if gives_way {
        proc.set_flag(GAVE_WAY, true);
        state.trace.note(proc.node.now(), What::GivesWay, proc.pid(), None, &String::new);
    }
    gives_way
}

/// What becomes of a call to a simulated server that could run in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It runs in place.
    Direct,
    /// It is sent.
    Queued,
    /// The caller lets others go first.
    Yield,
}

/// Chooses the way of a call.
#[cold]
pub(crate) fn before_call(proc: &Proc) -> Way {
    let Some(world) = world(proc) else { return Way::Direct };
    let caller = current::current_proc();
    if caller.is_some() && world.state.lock().called_too_often() {
        return Way::Yield;
    }
    if caller.as_ref().is_some_and(|caller| gives_way(caller)) {
        return Way::Yield;
    }
    if let Some(caller) = &caller {
        if world.state.lock().wires.any(caller.pid(), proc.pid()) {
            // What the caller sent before comes first.
            return Way::Queued;
        }
        // The answer comes behind what the server sent before.
        world.arrive_all(proc.pid(), Some(caller.pid()));
    }
    if proc.node.0.settings.call_path != CallPath::Adaptive {
        return Way::Direct;
    }
    match world.state.lock().choose(2, |policy| (policy.random().next() & 1) as usize) {
        0 => Way::Direct,
        _ => Way::Queued,
    }
}

/// A handler is about to begin: does the simulation want it to panic?
#[inline]
pub(crate) fn fails(proc: &Proc) -> bool {
    proc.has(SIMULATED) && is_to_panic(proc)
}

/// The same for a call that is run in place, for a caller given as a packed pid.
#[inline]
pub(crate) fn fails_in_place(server: &Proc, caller: u64, name: fn() -> &'static str) -> bool {
    #[cold]
    #[inline(never)]
    fn simulated(server: &Proc, caller: u64, name: fn() -> &'static str) -> bool {
        let caller = if caller == 0 { server.node.init_pid() } else { unpack(server, caller) };
        note(What::Calls, server, Some(caller), &|| short(name()));
        is_to_panic(server)
    }
    server.has(SIMULATED) && simulated(server, caller, name)
}

/// A process, or code outside of processes, calls a server by a message.
#[inline]
pub(crate) fn asks(server: &Proc, name: fn() -> &'static str) {
    #[cold]
    #[inline(never)]
    fn simulated(server: &Proc, name: fn() -> &'static str) {
        let caller = current::with_current(Proc::pid).unwrap_or_else(|| server.node.init_pid());
        note(What::Asks, server, Some(caller), &|| short(name()));
    }
    if server.has(SIMULATED) {
        simulated(server, name);
    }
}

/// `me` reads a server in place.
#[inline]
pub(crate) fn reads(server: &Proc, me: Option<NonNull<Proc>>, name: fn() -> &'static str) {
    #[cold]
    #[inline(never)]
    fn simulated(server: &Proc, me: Option<NonNull<Proc>>, name: fn() -> &'static str) {
        // SAFETY: the process that reads is being run, and kept by the process table.
        let caller = me.map_or_else(|| server.node.init_pid(), |me| unsafe { me.as_ref() }.pid());
        note(What::Calls, server, Some(caller), &|| short(name()));
    }
    if server.has(SIMULATED) {
        simulated(server, me, name);
    }
}

#[cold]
#[inline(never)]
fn is_to_panic(proc: &Proc) -> bool {
    let Some(world) = world(proc) else { return false };
    let panics = {
        let mut state = world.state.lock();
        let probability = state.faults.panic;
        probability > 0.0
            && !proc.has(SUPERVISOR)
            && !state.spared.contains(&proc.pid())
            && state.chance(probability)
    };
    if panics {
        note(What::Panics, proc, None, &String::new);
    }
    panics
}

/// The reason of a process whose handler the simulation made to panic: that of a real panic.
#[cold]
pub(crate) fn failure() -> ExitReason {
    let panicked = panic::catch(|| panic!("a fault of the simulation: this handler panics"));
    panicked.err().unwrap_or(ExitReason::Killed)
}

/// Something happened to a simulated process.
#[cold]
pub(super) fn note(what: What, who: &Proc, other: Option<Pid>, text: &dyn Fn() -> String) {
    if let Some(world) = world(who) {
        world.note(what, who, other, text);
    }
}

/// Between two steps of the kernel that other threads could look in between, on a real node: some of the others run here, on this stack. The
/// caller holds no lock.
#[inline]
pub(crate) fn interlude(proc: &Proc) {
    if proc.has(SIMULATED) {
        run::interlude(proc);
    }
}

/// The same while a process is being made, which no fault hits meanwhile: whoever makes it may want to spare it.
#[inline]
pub(crate) fn interlude_at_birth(proc: &Proc) {
    if proc.has(SIMULATED) {
        run::interlude_at_birth(proc);
    }
}

/// A process takes a message out of its mailbox.
#[inline]
pub(crate) fn handles(who: &Proc, table: &'static MsgTable) {
    if who.has(SIMULATED) {
        note(What::Handles, who, None, &|| short((table.type_name)()));
    }
}

/// A process was made.
#[inline]
pub(crate) fn starts(proc: &Proc) {
    if proc.has(SIMULATED) {
        note(What::Starts, proc, proc.parent(), &|| short((proc.table.type_name)()));
    }
}

/// A process ends.
#[inline]
pub(crate) fn ends(proc: &Proc, reason: &ExitReason) {
    if proc.has(SIMULATED) {
        note(What::Ends, proc, None, &|| reason.to_string());
    }
}

/// The order in which timers that are due together fire: a permutation of `due`.
pub(crate) fn shuffle<T>(node: &NodeInner, due: &mut [T]) {
    let Some(world) = node.rt.sched.world() else { return };
    let mut state = world.state.lock();
    for at in 0..due.len().saturating_sub(1) {
        let left = due.len() - at;
        let pick = state.choose(left, |policy| policy.random().below(left));
        due[at..=at + pick].rotate_right(1);
    }
}
