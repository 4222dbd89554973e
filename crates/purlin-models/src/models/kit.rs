//! Processes for models: the kernel's own control block, mailbox, signals and end, around a server that only takes notes.
//!
//! [`activate`] follows the activation loop of `gen_server::run_loop`, [`Server::call`] and [`Server::read`] follow `gen_server::direct`:
//! the same operations on state word and mailbox in the same order, without handlers' futures, debugging and budgets of time.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Plain};

use loom::alloc::Track;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread::{self, JoinHandle};

use crate::mailbox::Mailbox;
use crate::mailbox::bound::{Bound, MailboxBound};
use crate::mailbox::envelope::Envelope;
use crate::node::{Node, current};
use crate::process::cell::{BOUNDED, Cell, NewProc, Proc, ProcRef, ProcTable, Rejected, TRAP};
use crate::process::exit::finish;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::relations::{Down, Exit};
use crate::process::run::RunCx;
use crate::process::seat::{self, Seat};
use crate::process::signal;
use crate::process::word::{BUSY, DEAD, EXITING, QUEUED, READERS, RUN, SCHED, SIGNAL, WOKEN};

/// What a suspended handler waits for: a number of events, counted without any ordering of its own, so that only the state word can
/// make them visible.
#[derive(Clone)]
pub(super) struct Gate {
    wanted: u32,
    events: Arc<AtomicU32>,
}

impl Gate {
    pub(super) fn new(wanted: u32) -> Gate {
        Gate { wanted, events: Arc::new(AtomicU32::new(0)) }
    }

    /// Makes an event and wakes the process that waits for it.
    pub(super) fn open(&self, proc: &Proc) {
        self.events.fetch_add(1, Ordering::Relaxed);
        proc.wake();
    }

    fn is_open(&self) -> bool {
        self.events.load(Ordering::Relaxed) >= self.wanted
    }
}

/// What the handler of a message does.
pub(super) enum Act {
    /// Returns.
    Note,
    /// Waits.
    Wait(Gate),
    /// Stops the server.
    Stop(ExitReason),
}

/// How many messages there were and are. loom's own leak check sees each of them as well.
#[derive(Default)]
pub(super) struct Count {
    made: AtomicUsize,
    gone: AtomicUsize,
}

/// A message that loom misses if it is never dropped.
pub(super) struct Msg {
    number: u32,
    act: Act,
    count: Arc<Count>,
    _token: Track<()>,
}

impl Drop for Msg {
    fn drop(&mut self) {
        self.count.gone.fetch_add(1, Plain::Relaxed);
    }
}

/// What a server has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// The handler of this message, or this call in place, is done.
    Done(u32),
    /// An EXIT signal, trapped.
    Exit(Pid),
    /// A DOWN message of this monitor.
    Down(u64),
}

/// The server: its state. Touched under RUN, or read by counted readers; loom checks every access.
pub(super) struct State {
    pub(super) seen: Vec<Seen>,
    waiting: Option<(u32, Gate)>,
    stop: Option<ExitReason>,
    discarded: bool,
    /// The reason that it ended with.
    pub(super) ended: Option<ExitReason>,
    /// Messages handled in one activation at most.
    budget: u32,
}

impl State {
    fn check(&self) {
        assert!(!self.discarded, "nothing runs after the state was dropped");
    }
}

/// What a model's process is like.
#[derive(Clone, Copy, Default)]
pub(super) struct Spec {
    pub(super) trap: bool,
    /// A raw process: handles what it finds when it is polled, and is polled when woken only.
    pub(super) raw: bool,
    /// 0 for no limit.
    pub(super) budget: u32,
    pub(super) bound: Option<MailboxBound>,
    /// Starts with this in its state word.
    pub(super) word: u64,
}

/// A node, its processes' last owner.
pub(super) struct World {
    pub(super) node: Node,
    count: Arc<Count>,
}

/// A process of a model.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) proc: ProcRef,
    count: Arc<Count>,
}

impl Deref for Server {
    type Target = Proc;
    fn deref(&self) -> &Proc {
        &self.proc
    }
}

static SERVER: ProcTable = table(false);
static RAW: ProcTable = table(true);

const fn table(raw: bool) -> ProcTable {
    ProcTable {
        type_id: std::any::TypeId::of::<State>,
        type_name: std::any::type_name::<State>,
        raw,
        activate: if raw { activate_raw } else { activate },
        discard,
        ended,
        status: |_| String::new(),
        state: |_| None,
        free: crate::process::cell::free::<State>,
    }
}

impl World {
    pub(super) fn new() -> World {
        World { node: Node::default(), count: Arc::default() }
    }

    pub(super) fn server(&self, spec: Spec) -> Server {
        let proc = self.node.insert(|node, pid| {
            let bound = spec.bound.map(|bound| Box::new(Bound::new(bound)));
            let new = NewProc {
                table: if spec.raw { &RAW } else { &SERVER },
                node,
                pid,
                flags: if spec.trap { TRAP } else { 0 } | if bound.is_some() { BOUNDED } else { 0 },
                word: spec.word | if spec.raw { BUSY } else { 0 },
                mailbox: Mailbox::new(bound),
                relations: None,
                extra: None,
                lineage: None,
            };
            let state = State {
                seen: Vec::new(),
                waiting: None,
                stop: None,
                discarded: false,
                ended: None,
                budget: if spec.budget == 0 { u32::MAX } else { spec.budget },
            };
            (new, state)
        });
        Server { proc, count: self.count.clone() }
    }

    /// A server without anything special.
    pub(super) fn plain(&self) -> Server {
        self.server(Spec::default())
    }

    /// A thread, which in the end runs what it has scheduled.
    pub(super) fn spawn<R: 'static>(&self, body: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
        let node = self.node.clone();
        thread::spawn(move || {
            let result = body();
            node.rt().run_mine();
            result
        })
    }

    /// Runs what this thread has scheduled.
    pub(super) fn run(&self) {
        self.node.rt().run_mine();
    }

    /// When all threads are done: runs what this one has scheduled, and checks that nobody was forgotten.
    pub(super) fn settle(&self, servers: &[&Server]) {
        self.run();
        for server in servers {
            let word = server.word.load();
            assert!(!self.node.rt().is_ready(server.pid()), "a thread left without doing its duty");
            assert_eq!(word & (RUN | SCHED | READERS), 0, "somebody is inside for ever: {word:#x}");
            let outer = server.mailbox.lock().queue.len();
            let inner = server.inner();
            if word & DEAD != 0 {
                assert_eq!((outer, inner), (0, 0), "a dead process keeps messages");
                assert!(self.node.lookup(server.pid()).is_none(), "a dead process is in the table");
                continue;
            }
            assert_eq!(word & (SIGNAL | EXITING | WOKEN), 0, "a lost wake-up: {word:#x}");
            let waiting = server.look(|state| state.waiting.is_some());
            if !server.table.raw {
                assert_eq!(word & BUSY != 0, waiting, "BUSY is wrong: {word:#x}");
                assert_eq!(word & QUEUED != 0, outer + inner > 0, "QUEUED is wrong: {word:#x}");
            }
            assert!(
                waiting || (outer, inner) == (0, 0),
                "{outer} + {inner} messages are forgotten: {word:#x}"
            );
        }
    }

    /// Every message that was made is gone.
    pub(super) fn assert_none_left(&self) {
        assert_eq!(self.count.made.load(Plain::Relaxed), self.count.gone.load(Plain::Relaxed));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.node.rt().clear();
        }
    }
}

impl Server {
    fn cell(&self) -> &Cell<State> {
        cell(&self.proc)
    }

    /// Reads the state; loom checks that the caller may.
    pub(super) fn look<R>(&self, f: impl FnOnce(&State) -> R) -> R {
        // SAFETY: loom checks the access.
        self.cell().body.with(|state| f(unsafe { &*state }))
    }

    /// How many messages the runner has taken and not handled.
    pub(super) fn inner(&self) -> usize {
        // SAFETY: loom checks the access.
        self.runner.with(|runner| unsafe { (*runner).inner.len() })
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.look(|state| state.seen.clone())
    }

    /// The numbers of the messages handled, in order.
    pub(super) fn done(&self) -> Vec<u32> {
        let numbers = self.seen().into_iter();
        numbers.filter_map(|seen| if let Seen::Done(number) = seen { Some(number) } else { None }).collect()
    }

    fn msg(&self, number: u32, act: Act) -> Msg {
        self.count.made.fetch_add(1, Plain::Relaxed);
        Msg { number, act, count: self.count.clone(), _token: Track::new(()) }
    }

    /// Casts a message.
    pub(super) fn send(&self, number: u32) -> bool {
        self.send_to_do(number, Act::Note).is_ok()
    }

    /// Casts a message whose handler does something.
    pub(super) fn send_to_do(&self, number: u32, act: Act) -> Result<(), Rejected> {
        self.push(Envelope::plain(self.msg(number, act)))
    }

    /// Sends an exit signal, as one process does to another.
    pub(super) fn send_exit(&self, from: &Server, reason: ExitReason) {
        crate::process::exit::send(from.pid(), &self.proc, reason);
    }

    /// Calls in place, if the server is idle; `bits` for flags that the caller raises beside.
    pub(super) fn call(&self, number: u32, act: Act) -> bool {
        if !(self.word.try_enter() || self.word.is_biased() && seat::try_enter(&self.proc)) {
            return false;
        }
        let bits = change(&self.proc, |state| match act {
            Act::Stop(reason) => {
                state.seen.push(Seen::Done(number));
                state.stop = Some(reason);
                WOKEN
            },
            // Polled once.
            Act::Wait(gate) if !gate.is_open() => {
                state.waiting = Some((number, gate));
                BUSY
            },
            Act::Note | Act::Wait(_) => {
                state.seen.push(Seen::Done(number));
                0
            },
        });
        let duty = self.word.leave(bits);
        self.perform(duty);
        true
    }

    /// Calls in place if that can be, else by message: what a client does.
    pub(super) fn call_or_send(&self, number: u32) -> bool {
        self.call(number, Act::Note) || self.send(number)
    }

    /// Reads in place; how much the reader saw.
    pub(super) fn read(&self) -> Option<usize> {
        if !self.word.try_read() {
            return None;
        }
        let seen = self.look(|state| {
            state.check();
            state.seen.len()
        });
        let duty = self.word.leave_read();
        self.perform(duty);
        Some(seen)
    }

    /// Reads in this seat; how much the reader saw.
    pub(super) fn read_from(&self, seat: &Seat) -> Option<usize> {
        if !seat.take(&self.proc) {
            return None;
        }
        let seen = self.look(|state| {
            state.check();
            state.seen.len()
        });
        seat.leave();
        Some(seen)
    }

    /// Reads as a client does: in the seat if the process is biased, counted otherwise. A counted read is a sample.
    pub(super) fn read_somehow(&self, seat: &Seat) -> Option<usize> {
        if self.word.is_biased()
            && let Some(seen) = self.read_from(seat)
        {
            return Some(seen);
        }
        if !self.word.try_read() {
            return None;
        }
        seat::sample(&self.proc);
        let seen = self.look(|state| state.seen.len());
        let duty = self.word.leave_read();
        self.perform(duty);
        Some(seen)
    }

    /// Runs `f` as this process, which the model has entered before ([`RUN`] in its first state word).
    pub(super) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = current::replace(Some(self.ptr()));
        let result = f();
        current::replace(before);
        result
    }

    /// Leaves after [`within`](Self::within).
    pub(super) fn leave(&self) {
        let duty = self.word.leave(0);
        self.perform(duty);
    }

    /// Ends after [`within`](Self::within).
    pub(super) fn end(&self, reason: ExitReason) {
        drop(finish(&self.proc, reason));
    }
}

fn cell(proc: &Proc) -> &Cell<State> {
    // SAFETY: all processes of the models are made by `World::server`.
    unsafe { proc.cell() }
}

/// Changes the state; loom checks that the caller may.
fn change<R>(proc: &Proc, f: impl FnOnce(&mut State) -> R) -> R {
    cell(proc).body.with_mut(|state| {
        // SAFETY: loom checks the access.
        let state = unsafe { &mut *state };
        state.check();
        f(state)
    })
}

fn with_inner<R>(proc: &Proc, f: impl FnOnce(&mut VecDeque<Envelope>) -> R) -> R {
    // SAFETY: loom checks the access.
    proc.runner.with_mut(|runner| f(unsafe { &mut (*runner).inner }))
}

/// The activation loop of a server.
unsafe fn activate(proc: &Proc, old: u64, _: &RunCx<'_>) -> Option<ProcRef> {
    let mut woken = old & WOKEN != 0;
    let mut handled = 0;
    loop {
        let word = proc.word.load();
        if word & EXITING != 0 {
            return finish(proc, ExitReason::Killed);
        }
        if word & SIGNAL != 0
            && let Some(reason) = with_inner(proc, |inner| signal::take(proc, inner))
        {
            return finish(proc, reason);
        }
        if change(proc, |state| state.waiting.is_some()) {
            if !woken {
                return wait(proc);
            }
            woken = false;
            if !go_on(proc) {
                return wait(proc);
            }
            continue;
        }
        if let Some(reason) = change(proc, |state| state.stop.take()) {
            return finish(proc, reason);
        }
        if handled >= change(proc, |state| state.budget) {
            let duty = proc.word.end(0, WOKEN);
            proc.perform(duty);
            return None;
        }
        match next(proc) {
            Next::Message(envelope) => {
                handled += 1;
                handle(proc, envelope);
            },
            Next::Empty => {
                let duty = proc.word.end(0, 0);
                proc.perform(duty);
                return None;
            },
            Next::Ended(reason) => return finish(proc, reason),
        }
    }
}

fn wait(proc: &Proc) -> Option<ProcRef> {
    let waiting = with_inner(proc, |inner| !inner.is_empty());
    let duty = proc.word.end(0, if waiting { BUSY | QUEUED } else { BUSY });
    proc.perform(duty);
    None
}

/// Polls the suspended handler.
fn go_on(proc: &Proc) -> bool {
    let open = change(proc, |state| state.waiting.as_ref().is_some_and(|(_, gate)| gate.is_open()));
    if open {
        change(proc, |state| {
            let (number, _) = state.waiting.take().expect("looked at just now");
            state.seen.push(Seen::Done(number));
        });
        proc.word.update(BUSY, 0);
    }
    open
}

enum Next {
    Message(Envelope),
    Empty,
    Ended(ExitReason),
}

fn next(proc: &Proc) -> Next {
    loop {
        if let Some(envelope) = with_inner(proc, VecDeque::pop_front) {
            return Next::Message(envelope);
        }
        if proc.word.load() & QUEUED == 0 {
            return Next::Empty;
        }
        if let Some(reason) = with_inner(proc, |inner| signal::take(proc, inner)) {
            return Next::Ended(reason);
        }
    }
}

fn handle(proc: &Proc, envelope: Envelope) {
    let envelope = match envelope.downcast::<Exit>() {
        Ok(exit) => return change(proc, |state| state.seen.push(Seen::Exit(exit.from))),
        Err(envelope) => envelope,
    };
    let envelope = match envelope.downcast::<Down>() {
        Ok(down) => return change(proc, |state| state.seen.push(Seen::Down(down.monitor.0))),
        Err(envelope) => envelope,
    };
    let mut msg = envelope.downcast::<Msg>().ok().expect("models send nothing else");
    match std::mem::replace(&mut msg.act, Act::Note) {
        Act::Note => change(proc, |state| state.seen.push(Seen::Done(msg.number))),
        Act::Stop(reason) => change(proc, |state| {
            state.seen.push(Seen::Done(msg.number));
            state.stop = Some(reason);
        }),
        // Polled once, with the gate still closed.
        Act::Wait(gate) => {
            change(proc, |state| state.waiting = Some((msg.number, gate)));
            if !go_on(proc) {
                proc.word.update(0, BUSY);
            }
        },
    }
    proc.message_handled();
}

/// The activation of a raw process, whose body receives for ever.
unsafe fn activate_raw(proc: &Proc, _: u64, _: &RunCx<'_>) -> Option<ProcRef> {
    if let Some(reason) = with_inner(proc, |inner| signal::take(proc, inner)) {
        let _ = proc.mailbox.decide(reason, false, &proc.word);
    }
    if proc.word.load() & EXITING != 0 {
        return finish(proc, ExitReason::Killed);
    }
    loop {
        if proc.word.load() & EXITING != 0 {
            break;
        }
        // One look of `Mailbox::receive`.
        let found = with_inner(proc, |inner| {
            if inner.is_empty()
                && let Some(reason) = signal::take(proc, inner)
            {
                let _ = proc.mailbox.decide(reason, false, &proc.word);
                return None;
            }
            inner.pop_front()
        });
        let Some(envelope) = found else { break };
        handle(proc, envelope);
    }
    if proc.word.load() & EXITING != 0 {
        return finish(proc, ExitReason::Killed);
    }
    let duty = proc.word.end(0, 0);
    proc.perform(duty);
    None
}

unsafe fn discard(proc: &Proc) {
    change(proc, |state| state.discarded = true);
}

unsafe fn ended(proc: &Proc, reason: &ExitReason) {
    cell(proc).body.with_mut(|state| {
        // SAFETY: loom checks the access.
        let state = unsafe { &mut *state };
        assert!(state.discarded && state.ended.is_none(), "a process ends once, after its state was dropped");
        state.ended = Some(reason.clone());
    });
}
