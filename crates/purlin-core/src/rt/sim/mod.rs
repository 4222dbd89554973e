//! The simulated runtime: one thread, a seed, and every choice written down.
//!
//! A [`World`] holds what its nodes' processes wait for: a list of processes that could run and of messages that could arrive, in the order in which
//! they came to be so. One executor at a time, that of the first node that is left, takes them off the list one by one, in the order that the
//! scheduler chooses (`policy`), and tokio's paused clock moves on when the list is empty. The tokio tasks of all nodes are on one
//! `current_thread` runtime.
//!
//! What is explored beyond the order of the list:
//! * a process that could go on gives way: before a call, before it takes a message that is there ([`gives_way`]);
//! * a call takes the way in place or through the mailbox ([`before_call`]);
//! * messages and signals arrive later than they were sent (`wires`);
//! * others run in the middle of what the kernel does in several steps, such as the end of a process ([`interlude`]);
//! * timers that are due at the same time fire in any order;
//! * tokio tasks of the program run in between, if there are any;
//! * faults, if they are asked for (`faults`).
//!
//! Every such choice goes through [`State::choose`], which writes it on the `tape`. All functions that the kernel calls are no-ops on a real
//! node, and are called only where the process is known to be SIMULATED.

mod faults;
mod hooks;
mod policy;
mod run;
mod tape;
mod trace;
mod wires;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::thread::ThreadId;
use std::time::Duration;

pub use faults::Faults;
pub(crate) use hooks::*;
pub use policy::Scheduler;
pub(crate) use run::execute;
pub use trace::{Event, What};

use crate::mailbox::envelope::{Envelope, Kind};
use crate::node::current::{self, tls};
use crate::node::{Node, NodeInner};
use crate::process::cell::{BOUNDED, Proc, Rejected};
use crate::process::panic;
use crate::process::pid::Pid;
use crate::process::run::{IN_A_ROW, packed};
use crate::rt::sim::faults::happens;
use crate::rt::sim::policy::Policy;
use crate::rt::sim::tape::Tape;
use crate::rt::sim::trace::Trace;
use crate::rt::sim::wires::{Next, Parcel, Wires};
use crate::sync::Mutex;

/// What a simulated run is to be like.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Decides everything that the rest leaves open.
    pub seed: u64,
    /// How the next process is picked.
    pub scheduler: Scheduler,
    /// Do messages travel by wire? `None`: for half of the seeds.
    pub wires: Option<bool>,
    /// What goes wrong by itself.
    pub faults: Faults,
    /// The choices to make; the scheduler makes none then.
    pub tape: Option<Vec<u32>>,
    /// Keep the events.
    pub trace: bool,
    /// Lose some real time between steps, so that code which looks at the real clock does something else.
    pub slow: bool,
    /// The hash tells also who ran when. For runs that are compared with another one.
    pub fine: bool,
    /// After so many steps nothing happens any more; `None` for no limit.
    pub most_steps: Option<u64>,
}

/// What can be done next.
#[derive(Clone, Copy)]
enum Item {
    /// Run this process, whose SCHED is up.
    Process(NonNull<Proc>),
    /// Let the front of this wire arrive.
    Wire(u64),
}

struct Member {
    node: Weak<NodeInner>,
    index: u32,
    /// Of its executor.
    waker: Option<Waker>,
}

/// How many steps a run may take, and who takes the last ones.
#[derive(Default)]
struct Limit {
    most: u64,
    /// Of who waits for the limit.
    waker: Option<Waker>,
    /// By the key of its pid: who ran how often among the last [`LAST`] steps.
    busy: HashMap<u64, (Pid, String, u64)>,
}

/// How many steps at the end tell who keeps a run going.
const LAST: u64 = 10_000;

struct State {
    ready: Vec<Item>,
    policy: Policy,
    tape: Tape,
    trace: Trace,
    wires: Wires,
    by_wire: bool,
    faults: Faults,
    members: Vec<Member>,
    /// How many nodes have got a seed, those that have gone included.
    nodes: u64,
    /// An executor is at the list, and looks at it again before it sleeps.
    running: bool,
    /// Processes that no fault kills.
    spared: HashSet<Pid>,
    /// The process that is being made.
    unborn: Option<Pid>,
    /// How the run left the simulation.
    left: Vec<String>,
    steps: u64,
    limit: Limit,
    fine: bool,
    /// The clock has jumped, and its timers have not had a chance yet.
    jumped: bool,
    /// Inside an interlude.
    in_interlude: bool,
    /// Calls made in the present step.
    calls: u32,
    /// A process, and how often it has run.
    watched: (u64, u64),
    /// How many more times real time is lost.
    slow: u32,
}

/// What the simulated nodes of one run share.
///
/// ```
/// use purlin_core::sim::{Settings, What, World};
/// use purlin_core::{Mailbox, Node, process};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
/// # runtime.block_on(async {
/// let world = World::new(Settings { seed: 7, trace: true, ..Settings::default() });
/// let node = Node::builder().simulated_in(&world).start();
/// node.scope(async {
///     let p = process::spawn(async |_: Mailbox<()>| {});
///     world.spare(p.pid());
///     world.watch(p.pid());
///     p.wait().await;
/// }).await;
/// world.calm();
/// assert_eq!((world.steps(), world.runs_of_watched()), (1, 1));
/// assert!(world.tape().is_empty(), "there was nothing to choose");
/// assert_eq!(world.events().last().unwrap().what, What::Ends);
/// world.report("this run opened a file".to_owned());
/// assert_eq!(world.left().len(), 1);
/// # node.shutdown().await;
/// # });
/// ```
pub struct World {
    thread: ThreadId,
    seed: u64,
    state: Mutex<State>,
}

// SAFETY: the pointers in the list are to processes, which are Sync, and which live for as long as they are in it.
unsafe impl Send for World {}
// SAFETY: as above; everything mutable is behind the mutex.
unsafe impl Sync for World {}

/// How many steps of a slow run lose real time.
const SLOW_STEPS: u32 = 8;
/// How many reports of one run are kept.
const REPORTS: usize = 8;

fn key(pid: Pid) -> u64 {
    (u64::from(pid.node_index()) << 48) ^ (u64::from(pid.serial()) << 24) ^ u64::from(pid.id())
}

impl Item {
    fn key(self) -> u64 {
        match self {
            // SAFETY: a process in the list is scheduled, hence alive and kept by the process table.
            Item::Process(proc) => key(unsafe { proc.as_ref() }.pid()),
            Item::Wire(id) => 1 << 63 | id,
        }
    }
}

impl State {
    /// One of `ways` ways. Drawn only where there is a choice, so that tapes stay short.
    fn choose(&mut self, ways: usize, decide: impl FnOnce(&mut Policy) -> usize) -> usize {
        if ways < 2 {
            return 0;
        }
        let policy = &mut self.policy;
        let way = self.tape.choose(ways, || decide(policy));
        self.trace.mix(way as u64);
        way
    }

    /// Does something happen that has this probability?
    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0
            && self.choose(2, |policy| usize::from(happens(probability, policy.random().next()))) == 1
    }

    /// A length of time up to `most`.
    fn some_of(&mut self, most: Duration) -> Duration {
        let part = self.choose(16, |policy| policy.random().below(16)) as u32 + 1;
        most * part / 16
    }

    /// A process that calls again and again in one step may wait for what only another step brings.
    fn called_too_often(&mut self) -> bool {
        self.calls += 1;
        self.calls.is_multiple_of(IN_A_ROW)
    }

    fn take(&mut self) -> Option<Item> {
        match self.ready.len() {
            0 => None,
            1 => self.ready.pop(),
            n => {
                let ready = std::mem::take(&mut self.ready);
                let at = self.choose(n, |policy| policy.pick(ready.iter().map(|item| item.key())));
                self.ready = ready;
                // `remove` keeps the others' order.
                Some(self.ready.remove(at))
            },
        }
    }
}

impl World {
    /// A world whose nodes run on this thread.
    pub fn new(settings: Settings) -> Arc<World> {
        let Settings { seed, scheduler, wires, faults, tape, trace, slow, fine, most_steps } = settings;
        let policy = Policy::new(scheduler, seed);
        let by_lot = policy.random().next() & 1 == 1;
        Arc::new(World {
            thread: std::thread::current().id(),
            seed,
            state: Mutex::new(State {
                ready: Vec::new(),
                policy,
                tape: Tape::new(tape),
                trace: Trace { events: trace.then(VecDeque::new), ..Trace::default() },
                wires: Wires::default(),
                by_wire: wires.unwrap_or(by_lot),
                faults,
                members: Vec::new(),
                nodes: 0,
                running: false,
                spared: HashSet::new(),
                unborn: None,
                left: Vec::new(),
                steps: 0,
                limit: Limit { most: most_steps.unwrap_or(u64::MAX), ..Limit::default() },
                fine,
                jumped: false,
                in_interlude: false,
                calls: 0,
                watched: (u64::MAX, 0),
                slow: if slow { SLOW_STEPS } else { 0 },
            }),
        })
    }

    /// The choices made so far.
    pub fn tape(&self) -> Vec<u32> {
        self.state.lock().tape.taken().to_vec()
    }

    /// A hash of everything that happened so far: two runs that did the same have the same.
    pub fn hash(&self) -> u64 {
        self.state.lock().trace.hash
    }

    /// The last events so far, if they are kept.
    pub fn events(&self) -> Vec<Event> {
        self.state.lock().trace.events.iter().flatten().cloned().collect()
    }

    /// How many events before those are not kept.
    pub fn forgotten(&self) -> u64 {
        self.state.lock().trace.forgotten
    }

    /// Waits until the limit of steps is reached; who ran how often among the last steps, the busiest first. Nothing runs from then on, until
    /// the limit is [lifted](Self::lift).
    ///
    /// ```
    /// use purlin_core::sim::{Settings, World};
    /// use purlin_core::{ExitReason, Mailbox, Node, process};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    /// # runtime.block_on(async {
    /// let world = World::new(Settings { most_steps: Some(50), ..Settings::default() });
    /// let node = Node::builder().simulated_in(&world).start();
    /// node.scope(async {
    ///     let p = process::spawn(async |_: Mailbox<()>| loop { process::yield_now().await });
    ///     assert_eq!(world.exhausted().await, [(p.pid(), "process".to_owned(), 50)]);
    ///     process::exit(p.pid(), ExitReason::Kill);
    ///     world.lift();
    ///     p.wait().await;
    /// }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub async fn exhausted(&self) -> Vec<(Pid, String, u64)> {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            if state.steps >= state.limit.most {
                return Poll::Ready(());
            }
            state.limit.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut busy: Vec<_> = self.state.lock().limit.busy.values().cloned().collect();
        busy.sort_by_key(|(pid, _, times)| {
            (std::cmp::Reverse(*times), pid.node_index(), pid.id(), pid.serial())
        });
        busy
    }

    /// There is no limit of steps any more.
    pub fn lift(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.limit = Limit { most: u64::MAX, ..Limit::default() };
            state.members.first().and_then(|member| member.waker.clone())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many processes and messages were picked from the list.
    pub fn steps(&self) -> u64 {
        self.state.lock().steps
    }

    /// How the run left the simulation, a sentence each; empty if it did not.
    pub fn left(&self) -> Vec<String> {
        self.state.lock().left.clone()
    }

    /// Counts how often this process runs.
    pub fn watch(&self, pid: Pid) {
        self.state.lock().watched = (key(pid), 0);
    }

    /// How often the watched process has run.
    pub fn runs_of_watched(&self) -> u64 {
        self.state.lock().watched.1
    }

    /// No fault kills this process.
    pub fn spare(&self, pid: Pid) {
        self.state.lock().spared.insert(pid);
    }

    /// No faults from now on, and what is held back arrives.
    pub fn calm(&self) {
        let parcels = {
            let mut state = self.state.lock();
            state.faults = Faults::default();
            state.wires.take_everything()
        };
        deliver(parcels);
    }

    /// Notes that the code under test left the simulation.
    pub fn report(&self, how: String) {
        let left = &mut self.state.lock().left;
        if left.len() < REPORTS && !left.contains(&how) {
            left.push(how);
        }
    }

    /// The seed of a node's own random numbers.
    pub(crate) fn seed_of_next_node(&self) -> u64 {
        let mut state = self.state.lock();
        let number = state.nodes;
        state.nodes += 1;
        self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn add(&self, node: &Node) {
        let member = Member { node: Arc::downgrade(&node.0), index: node.0.index, waker: None };
        self.state.lock().members.push(member);
    }

    /// Puts a process, whose SCHED the caller has just set, into the list.
    pub(crate) fn schedule(&self, proc: &Proc) {
        if std::thread::current().id() != self.thread {
            self.foreign(proc);
        }
        self.push(Item::Process(proc.ptr()));
    }

    #[cold]
    fn foreign(&self, proc: &Proc) {
        let thread = std::thread::current();
        self.report(format!(
            "{} ({}) was woken from another thread ({}): a simulated test has one thread, and what others do is not repeatable. \
             No `spawn_blocking`, no threads, no channel from another runtime",
            proc.pid(),
            (proc.table.type_name)(),
            thread.name().unwrap_or("without a name"),
        ));
    }

    fn push(&self, item: Item) {
        let waker = {
            let mut state = self.state.lock();
            state.ready.push(item);
            if state.running { None } else { state.members.first().and_then(|member| member.waker.clone()) }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Is there something to do for this node?
    pub(crate) fn has_work(&self, node: u32) -> bool {
        let state = self.state.lock();
        state.ready.iter().any(|item| match item {
            // SAFETY: as in `Item::key`.
            Item::Process(proc) => unsafe { proc.as_ref() }.pid().node_index() == node,
            Item::Wire(_) => false,
        })
    }

    /// Takes a process of a node out of the list. What is on wires from or to it arrives first.
    pub(crate) fn take_of(&self, node: u32) -> Option<NonNull<Proc>> {
        let parcels = self.state.lock().wires.take_of(node);
        deliver(parcels);
        let mut state = self.state.lock();
        let at = state.ready.iter().position(|item| match item {
            // SAFETY: as in `Item::key`.
            Item::Process(proc) => unsafe { proc.as_ref() }.pid().node_index() == node,
            Item::Wire(_) => false,
        })?;
        match state.ready.remove(at) {
            Item::Process(proc) => Some(proc),
            Item::Wire(_) => None,
        }
    }

    /// A node's executor is gone.
    pub(crate) fn remove(&self, node: u32) {
        let next = {
            let mut state = self.state.lock();
            state.members.retain(|member| member.index != node);
            state.members.first().and_then(|member| member.waker.clone())
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }

    fn note(&self, what: What, who: &Proc, other: Option<Pid>, text: &dyn Fn() -> String) {
        self.state.lock().trace.note(who.node.now(), what, who.pid(), other, text);
    }

    /// Sees to a wire whose front changed.
    fn follow(self: &Arc<World>, next: Next, node: &Node) {
        match next {
            Next::Nothing => {},
            Next::At(id, until) if until <= node.now() => self.push(Item::Wire(id)),
            Next::At(id, until) => {
                // No timer of the node's: those are counted as the program's.
                let at = node.rt().clock.instant(until);
                let world = Arc::downgrade(self);
                tokio::spawn(async move {
                    tokio::time::sleep_until(at).await;
                    if let Some(world) = world.upgrade() {
                        world.push(Item::Wire(id));
                    }
                });
            },
        }
    }

    /// Lets the front of a wire arrive.
    fn arrive(self: &Arc<World>, id: u64) {
        let Some((from, parcel, next)) = self.state.lock().wires.take(id) else { return };
        let node = parcel.to.node.clone();
        let name = parcel.envelope.type_name();
        self.note(What::Arrives, &parcel.to, Some(from), &|| short(name));
        self.follow(next, &node);
        deliver(vec![parcel]);
    }

    /// Lets everything arrive that `from` sent, to `to` or to everybody.
    fn arrive_all(&self, from: Pid, to: Option<Pid>) {
        let parcels = {
            let mut state = self.state.lock();
            if state.wires.is_empty() {
                return;
            }
            state.wires.take_all(from, to)
        };
        deliver(parcels);
    }

    /// Puts an envelope on its way; gives it back if it is to be pushed at once.
    fn send(self: &Arc<World>, to: &Proc, envelope: Envelope) -> Option<Envelope> {
        let Some(from) = current::with_current(Proc::pid) else { return Some(envelope) };
        if from == to.pid() {
            return Some(envelope);
        }
        let for_caller = tls(|t| t.caller.get()) == packed(to);
        let next = {
            let mut state = self.state.lock();
            let delay = state.faults.delay;
            if !state.by_wire && delay.0 == 0.0 {
                return Some(envelope);
            }
            if for_caller || to.has(BOUNDED) || to.mailbox.is_closed() {
                drop(state);
                self.arrive_all(from, Some(to.pid()));
                return Some(envelope);
            }
            let held = state.chance(delay.0);
            let behind = state.wires.any(from, to.pid());
            let by_wire = state.by_wire;
            let goes = held
                || behind
                || by_wire && state.choose(2, |policy| (policy.random().next() & 1) as usize) == 1;
            if !goes {
                return Some(envelope);
            }
            let now = to.node.now();
            let until = if held { now + state.some_of(delay.1) } else { now };
            if held {
                let name = envelope.type_name();
                state.trace.note(now, What::Delayed, to.pid(), Some(from), &|| short(name));
            }
            state.wires.put(from, to.to_ref(), envelope, until)
        };
        self.follow(next, &to.node);
        None
    }
}

/// Pushes what has arrived.
fn deliver(parcels: Vec<Parcel>) {
    for Parcel { to, envelope } in parcels {
        match to.push_now(envelope) {
            Ok(()) => {},
            Err(Rejected::Closed(envelope) | Rejected::Full(envelope) | Rejected::Evicted(envelope)) => {
                if envelope.kind() == Kind::User {
                    to.node.0.counters.dead_letters.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                panic::drop_quietly("a message to a process that has ended", envelope);
            },
        }
    }
}

/// The last parts of the paths in a type's name.
fn short(name: &str) -> String {
    crate::call::error::short(name).to_string()
}
