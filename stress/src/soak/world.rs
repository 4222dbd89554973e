//! What a world is made of: cells, each with a tree of supervisors, two registries, and servers in their places.
//!
//! Nothing here knows time other than the node's, or threads; the same world lives on a real node and on a simulated one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purlin_core::supervisor::{Strategy, Supervised};
use purlin_core::*;

use super::actor::Actor;
use super::client::{ACTIONS, Action};
use super::deeds::{AtEnd, Mood, Plan};
use super::facts::Facts;
use super::journal::Short;
use super::life::Token;
use super::random::Random;

/// How a server in a tree is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    No,
    Locally,
    /// By a unique key.
    ByKey,
}

/// A server's place in a tree, as it is in every cell.
struct Place {
    restart: Restart,
    named: Named,
    bound: Option<(usize, Overflow)>,
    significant: bool,
}

const fn place(restart: Restart, named: Named) -> Place {
    Place { restart, named, bound: None, significant: false }
}

const fn bounded(capacity: usize, overflow: Overflow) -> Place {
    Place { bound: Some((capacity, overflow)), ..place(Restart::Permanent, Named::No) }
}

/// A static supervisor and its servers.
pub(super) struct Tree {
    pub(super) name: &'static str,
    pub(super) strategy: Strategy,
    /// So many restarts within so many seconds; else any number.
    pub(super) limit: Option<(u32, u64)>,
    auto: AutoShutdown,
    places: &'static [Place],
    /// The supervisor may be killed. Its servers have no names then: two incarnations may be there at a time.
    pub(super) mortal: bool,
    /// Requests are made to it, by one client.
    pub(super) administered: bool,
}

const TREE: Tree = Tree {
    name: "",
    strategy: Strategy::OneForOne,
    limit: None,
    auto: AutoShutdown::Never,
    places: &[],
    mortal: false,
    administered: false,
};

use Restart::{Permanent, Temporary, Transient};

/// The static supervisors of a cell.
pub(super) static TREES: [Tree; 6] = [
    Tree {
        name: "one",
        places: &[
            place(Permanent, Named::Locally),
            place(Transient, Named::ByKey),
            place(Temporary, Named::No),
            bounded(2, Overflow::Wait),
            bounded(3, Overflow::Reject),
            bounded(3, Overflow::DropOldest),
        ],
        ..TREE
    },
    Tree {
        name: "all",
        strategy: Strategy::OneForAll,
        places: &[place(Permanent, Named::No), place(Transient, Named::No), place(Permanent, Named::No)],
        mortal: true,
        ..TREE
    },
    Tree {
        name: "rest",
        strategy: Strategy::RestForOne,
        places: &[
            place(Permanent, Named::ByKey),
            place(Permanent, Named::Locally),
            place(Permanent, Named::No),
        ],
        ..TREE
    },
    Tree {
        name: "strict",
        limit: Some((2, 1)),
        places: &[place(Permanent, Named::No), place(Transient, Named::No)],
        mortal: true,
        ..TREE
    },
    Tree {
        name: "auto",
        auto: AutoShutdown::AnySignificant,
        places: &[place(Permanent, Named::No), Place { significant: true, ..place(Transient, Named::No) }],
        ..TREE
    },
    Tree {
        name: "admin",
        places: &[place(Permanent, Named::No), place(Permanent, Named::Locally)],
        administered: true,
        ..TREE
    },
];

/// The limit of the dynamic supervisor that gives up: so many restarts within so many seconds.
pub(super) const TIGHT: (u32, u64) = (3, 2);
/// How many children the other one takes.
const CHILDREN: usize = 6;

/// A server's place in a cell.
pub(super) struct Slot {
    pub(super) tree: &'static Tree,
    place: &'static Place,
    pub(super) id: String,
    key: u64,
    shutdown: supervisor::Shutdown,
    state: Mutex<SlotState>,
}

/// What was last started there.
#[derive(Clone)]
pub(super) struct SlotState {
    pub(super) last: Option<Ref<Actor>>,
    pub(super) mood: Mood,
}

impl Slot {
    pub(super) fn state(&self) -> SlotState {
        open(&self.state).clone()
    }

    pub(super) fn restart(&self) -> Restart {
        self.place.restart
    }

    fn bound(&self) -> Option<MailboxBound> {
        self.place.bound.map(|(capacity, overflow)| MailboxBound::new(capacity, overflow))
    }
}

/// One part of a world.
pub(super) struct Cell {
    pub(super) facts: Arc<Facts>,
    pub(super) name: String,
    pub(super) slots: Vec<Slot>,
    pub(super) keys: Registry<u64, u64>,
    pub(super) groups: Registry<u64, u64>,
    /// Servers that have no slot.
    extras: Mutex<Vec<Ref<Actor>>>,
    /// Processes that may be ended by anybody.
    mortals: Mutex<Vec<Pid>>,
    /// Who has the names that clients register.
    pub(super) owners: [Mutex<Option<Pid>>; 3],
    /// Who has the keys that clients register.
    pub(super) holders: [Mutex<Option<Pid>>; 3],
    random: Mutex<Random>,
    /// Every start goes well.
    calm: AtomicBool,
}

pub(super) fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cell {
    fn new(facts: &Arc<Facts>, index: u64, random: &mut Random) -> Cell {
        let name = format!("soak.{index}");
        let mut slots = Vec::new();
        for tree in &TREES {
            for (position, place) in tree.places.iter().enumerate() {
                let shutdowns = [
                    supervisor::Shutdown::BrutalKill,
                    supervisor::Shutdown::Timeout(millis(3)),
                    supervisor::Shutdown::Timeout(secs(1)),
                    supervisor::Shutdown::Infinity,
                ];
                slots.push(Slot {
                    tree,
                    place,
                    id: format!("{}.{position}", tree.name),
                    key: 100 + slots.len() as u64,
                    shutdown: *random.pick(&shutdowns),
                    state: Mutex::new(SlotState { last: None, mood: Mood::Run }),
                });
            }
        }
        Cell {
            facts: facts.clone(),
            keys: Registry::from(format!("{name}.keys")),
            groups: Registry::from(format!("{name}.groups")),
            slots,
            extras: Mutex::default(),
            mortals: Mutex::default(),
            owners: Default::default(),
            holders: Default::default(),
            random: Mutex::new(Random::new(random.next(), index)),
            calm: AtomicBool::new(true),
            name,
        }
    }

    /// The supervisor of all that is in the cell.
    pub(super) fn top(self: &Arc<Cell>) -> SupervisorSpec {
        let mut top = Supervisor::one_for_one()
            .max_restarts(u32::MAX, secs(1))
            .child(Registry::<u64, u64>::unique(self.named("keys")).partitions(2))
            .child(Registry::<u64, u64>::duplicate(self.named("groups")));
        for tree in &TREES {
            let (most, period) = tree.limit.unwrap_or((u32::MAX, 1));
            let mut spec = Supervisor::one_for_one()
                .strategy(tree.strategy)
                .auto_shutdown(tree.auto)
                .max_restarts(most, secs(period))
                .name(self.named(tree.name));
            for (index, slot) in self.slots.iter().enumerate() {
                if std::ptr::eq(slot.tree, tree) {
                    spec = spec.child(self.spec(index));
                }
            }
            top = top.child(spec.child_spec().id(tree.name));
        }
        let pool = DynamicSupervisor::new().max_restarts(u32::MAX, secs(1)).max_children(CHILDREN);
        let tight = DynamicSupervisor::new().max_restarts(TIGHT.0, secs(TIGHT.1));
        top.child(pool.name(self.named("pool")).child_spec().id("pool"))
            .child(tight.name(self.named("tight")).child_spec().id("tight"))
            .name(self.named("top"))
    }

    /// A name of this cell.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// The static supervisor of a tree.
    pub(super) fn supervisor(&self, tree: &str) -> Name<Supervisor> {
        Name::from(self.named(tree))
    }

    pub(super) fn pool(&self, tight: bool) -> Name<DynamicSupervisor> {
        DynamicSupervisor::named(self.named(if tight { "tight" } else { "pool" }))
    }

    /// The child specification of a slot.
    pub(super) fn spec(self: &Arc<Cell>, index: usize) -> supervisor::Child<Actor> {
        let slot = &self.slots[index];
        let cell = self.clone();
        let mut child = Actor::child_spec_with(move || cell.plan(Some(index)))
            .id(slot.id.clone())
            .restart(slot.place.restart)
            .significant(slot.place.significant)
            .shutdown(slot.shutdown);
        if let Some(bound) = slot.bound() {
            child = child.mailbox(bound);
        }
        match self.name_of(slot) {
            Some(name) => child.name(name).id(slot.id.clone()),
            None => child,
        }
    }

    /// The name that a slot's server has.
    pub(super) fn name_of(&self, slot: &Slot) -> Option<Name<Actor>> {
        match slot.place.named {
            Named::No => None,
            Named::Locally => Some(Name::from(self.named(&slot.id))),
            Named::ByKey => Some(self.keys.via(slot.key)),
        }
    }

    /// How the next start goes.
    pub(super) fn plan(self: &Arc<Cell>, slot: Option<usize>) -> Plan {
        let place = slot.map(|index| &self.slots[index]);
        let mut random = open(&self.random);
        let limited = place.is_some_and(|slot| slot.tree.limit.is_some());
        let administered = place.is_some_and(|slot| slot.tree.administered);
        let mood = if self.calm.load(Ordering::Relaxed) {
            Mood::Run
        } else {
            match random.below(24) {
                // Restarts within a second are counted: no start takes longer there.
                0 if !limited => Mood::Slow(random.between(1, 3)),
                1 | 2 => Mood::Yield(random.between(1, 4)),
                3 | 4 => Mood::Continue,
                5 if !administered => Mood::Ignore,
                6 | 7 => Mood::Refuse,
                8 => Mood::Panic,
                _ => Mood::Run,
            }
        };
        let at_end = AtEnd::random(&mut random);
        let listening = random.one_in(4);
        let (trap, bound) = (random.one_in(4), place.and_then(|slot| slot.place.bound));
        drop(random);
        Plan {
            cell: self.clone(),
            slot,
            mood,
            trap,
            bound: bound.map(|(_, overflow)| overflow),
            at_end,
            listening,
            linked: false,
            token: Token::new(&self.facts),
        }
    }

    /// A server begins to start in its place.
    pub(super) fn started(&self, index: Option<usize>, mood: Mood, this: Ref<Actor>) {
        let Some(slot) = index.map(|index| &self.slots[index]) else { return };
        let (facts, me) = (&self.facts, this.pid());
        let before = std::mem::replace(&mut *open(&slot.state), SlotState { last: Some(this), mood });
        let parent = facts.parent_of(me);
        if let Some(before) = before.last {
            self.check_over(before.pid(), me, &slot.id);
        }
        if slot.tree.strategy == Strategy::OneForOne {
            return;
        }
        // Whoever comes after it in the order of starts is down.
        let later = self.slots.iter().skip_while(|other| !std::ptr::eq(*other, slot)).skip(1);
        for other in later.filter(|other| std::ptr::eq(other.tree, slot.tree)) {
            let last = other.state().last.map(|last| last.pid());
            if let Some(last) = last.filter(|last| facts.parent_of(*last) == parent)
                && facts.end_of(last).is_none()
            {
                let (me, last) = (Short(Some(me)), Short(Some(last)));
                facts.violation(format!("{} starts as {me} while {} runs as {last}", slot.id, other.id));
            }
        }
    }

    /// The incarnation before this one is gone, unless its supervisor was killed.
    fn check_over(&self, before: Pid, me: Pid, id: &str) {
        let facts = &self.facts;
        let orphan = facts
            .parent_of(before)
            .and_then(|parent| facts.end_of(parent))
            .is_some_and(|end| end.reason == ExitReason::Killed);
        let there =
            facts.end_of(before).is_none() || facts.life_of(before).is_some_and(|life| life.has_state());
        if there && !orphan {
            let (me, before) = (Short(Some(me)), Short(Some(before)));
            facts.violation(format!("{id} starts as {me} while it runs as {before}"));
        }
    }

    /// Starts may fail from now on, or not any more.
    pub(super) fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    /// A server of the cell, dead or alive; rather alive.
    pub(super) fn target(&self, random: &mut Random) -> Option<Ref<Actor>> {
        let mut found = None;
        for _ in 0..3 {
            found = self.any(random);
            if random.one_in(4) || found.as_ref().is_some_and(Ref::is_alive) {
                break;
            }
        }
        found
    }

    fn any(&self, random: &mut Random) -> Option<Ref<Actor>> {
        if random.one_in(4) {
            let extras = open(&self.extras);
            if !extras.is_empty() {
                return Some(random.pick(&extras).clone());
            }
        }
        random.pick(&self.slots).state().last
    }

    /// Another server that anybody may use.
    pub(super) fn offer(&self, server: Ref<Actor>) {
        remember(&self.extras, server);
    }

    /// A process that anybody may end.
    pub(super) fn expose(&self, pid: Pid) {
        remember(&self.mortals, pid);
    }

    pub(super) fn mortal(&self, random: &mut Random) -> Option<Pid> {
        let mortals = open(&self.mortals);
        (!mortals.is_empty()).then(|| *random.pick(&mortals))
    }
}

/// How many of those without a place are kept in mind.
const KEPT: usize = 12;

fn remember<T>(list: &Mutex<Vec<T>>, value: T) {
    let mut list = open(list);
    if list.len() == KEPT {
        list.remove(0);
    }
    list.push(value);
}

/// Everything that goes on at a time.
pub(super) struct World {
    pub(super) facts: Arc<Facts>,
    pub(super) cells: Vec<Arc<Cell>>,
    /// How often clients do what, if that is the same for all of them.
    weights: Option<Vec<u32>>,
    pub(super) seed: u64,
    /// How much a client does before it ends; `None`: as much as it gets to.
    pub(super) actions: Option<u64>,
    /// Clients are to come to their ends.
    pub(super) over: AtomicBool,
}

impl World {
    /// A world of so many cells.
    pub(super) fn new(facts: &Arc<Facts>, seed: u64, cells: u64, actions: Option<u64>) -> World {
        let mut random = Random::new(seed, 0);
        let all = (0..cells).map(|index| Arc::new(Cell::new(facts, index, &mut random))).collect();
        // In a small world all clients have the same habits; in a large one there are clients of all kinds.
        let weights = (cells == 1).then(|| habits(&mut random));
        World { facts: facts.clone(), cells: all, weights, seed, actions, over: AtomicBool::new(false) }
    }

    /// How often a client does what.
    pub(super) fn weights(&self, random: &mut Random) -> Vec<u32> {
        self.weights.clone().unwrap_or_else(|| habits(random))
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// How often what is done: who does only three things finds what one who does everything never gets to.
fn habits(random: &mut Random) -> Vec<u32> {
    let varied = random.one_in(2);
    let weight = |action: &Action| {
        if varied { action.weight * *random.pick(&[0, 0, 1, 1, 4]) } else { action.weight }
    };
    ACTIONS.iter().map(weight).collect()
}
