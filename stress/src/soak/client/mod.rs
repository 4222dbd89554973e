//! Clients: processes that do things at random, and check whatever they are told.
//!
//! A client keeps an account of what it is owed: one `Down` for each monitor, one exit for each link that is still there, each timer once, each
//! note of a server in its place. Before it ends it waits for all of that, and makes sure that nothing else comes.
//!
//! Most clients live until they are done. Others, the *mortals*, may be ended by anybody at any moment; their accounts end with them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use purlin_core::*;

use super::actor::Actor;
use super::asking::{Answer, Answering, Expected, Patience, ask};
use super::deeds::{Deed, Note, Request, Tick};
use super::facts::{Cause, Facts, reason_number};
use super::journal::Short;
use super::life::{Alarm, Life, Presence};
use super::random::Random;
use super::ticket::{Lane, Place, Ticket};
use super::watching::{Watched, check_down};
use super::world::{Cell, World};

mod admin;
mod calls;
mod ending;
mod naming;
mod relations;
mod starting;
mod timing;

/// How long something may take that is owed. Far more than it needs: it is to tell slow from never.
pub(super) const OWED: std::time::Duration = secs(20);

type Doing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Something that a client does.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) weight: u32,
    /// Not for mortals: it leaves something behind if it is not finished.
    settled: bool,
    run: for<'a> fn(&'a mut Client) -> Doing<'a>,
}

/// Marks such actions below.
const SETTLED: bool = true;

macro_rules! actions {
    ($($name:literal $weight:literal $module:ident::$function:ident $(($settled:ident))?),+ $(,)?) => {
        &[$(Action {
            name: $name,
            weight: $weight,
            settled: false $(|| $settled)?,
            run: |client| Box::pin($module::$function(client)),
        },)+]
    };
}

/// All that clients do, and how often.
pub(super) static ACTIONS: &[Action] = actions! {
    "talk" 12 calls::talk,
    "call by name" 4 calls::by_name,
    "begin and drop" 3 calls::abandon,
    "call two" 2 calls::two_at_once,
    "read often" 2 calls::read_often,
    "close a ring" 3 calls::ring,
    "wait for room" 2 calls::wait_for_room,
    "kill" 4 ending::kill,
    "crash" 4 ending::crash,
    "stop" 2 ending::stop,
    "end a supervisor" 1 ending::end_supervisor,
    "watch" 5 relations::watch,
    "unwatch" 3 relations::unwatch,
    "link" 4 relations::link,
    "unlink" 3 relations::unlink,
    "a linked pair" 2 relations::pair (SETTLED),
    "start" 4 starting::server (SETTLED),
    "spawn" 4 starting::mortal (SETTLED),
    "start a child" 4 starting::child,
    "end a child" 2 starting::end_child,
    "set a timer" 4 timing::own_timer,
    "take a timer off" 2 timing::cancel,
    "a timer for another" 2 timing::timer_for_another,
    "suspend" 3 timing::suspend (SETTLED),
    "hang" 1 timing::hang (SETTLED),
    "rest" 3 timing::rest,
    "a name" 3 naming::name,
    "a key" 3 naming::key,
    "a group" 3 naming::group,
    "administer" 4 admin::administer (SETTLED),
};

pub(super) struct Client {
    world: Arc<World>,
    facts: Arc<Facts>,
    cell: Arc<Cell>,
    me: Pid,
    random: Random,
    mailbox: Mailbox<AnyMsg>,
    /// How often it does what.
    weights: Vec<u32>,
    mortal: bool,
    /// How much it does before it ends.
    limit: Option<u64>,
    /// It is the one that makes requests to the cell's administered supervisor.
    admin: Option<admin::Admin>,
    watching: BTreeMap<MonitorRef, Watched>,
    /// Whom it is linked with, and whether that one was ending when the link was made.
    links: BTreeMap<Pid, bool>,
    lanes: BTreeMap<Pid, Lane>,
    /// How many notes it has got from whom.
    heard: BTreeMap<Pid, u64>,
    alarms: BTreeMap<u64, (TimerRef, Arc<Alarm>)>,
    /// Servers that it has to stop.
    mine: Vec<Ref<Actor>>,
    /// The name that it has.
    name: Option<usize>,
    /// What it has stored under the unique keys it has.
    keys: BTreeMap<usize, u64>,
    /// How often it is in which group.
    groups: BTreeMap<u64, usize>,
    /// In which registry, and whether even that is not known any more: the registry of groups may end at any moment.
    groups_of: Option<Pid>,
    lost_groups: bool,
    /// Registries whose end it was told.
    registries: BTreeSet<Pid>,
    /// The node stops.
    asked_to_end: bool,
    _presence: Presence,
}

/// Spawns a client that lives until it is done. The first one of a cell administers.
pub(super) fn spawn(world: &Arc<World>, cell: usize, index: u64) -> Pid {
    let (world, random) = (world.clone(), Random::new(world.seed, 1000 + index * 64 + cell as u64));
    let first = index == 0;
    process::spawn(async move |mailbox: Mailbox<AnyMsg>| {
        let mut client = Client::new(world, cell, random, mailbox, false);
        client.admin = first.then(admin::Admin::default);
        client.mailbox.trap_exits(true);
        client.live().await;
    })
    .pid()
}

impl Client {
    fn new(
        world: Arc<World>,
        cell: usize,
        mut random: Random,
        mailbox: Mailbox<AnyMsg>,
        mortal: bool,
    ) -> Client {
        let (facts, me) = (world.facts.clone(), mailbox.pid());
        let life = Life::new(&facts, me, false, None);
        facts.clients.fetch_add(1, Ordering::SeqCst);
        Client {
            cell: world.cells[cell].clone(),
            limit: world.actions,
            weights: world.weights(&mut random),
            world,
            me,
            random,
            mailbox,
            mortal,
            admin: None,
            watching: BTreeMap::new(),
            links: BTreeMap::new(),
            lanes: BTreeMap::new(),
            heard: BTreeMap::new(),
            alarms: BTreeMap::new(),
            mine: Vec::new(),
            name: None,
            keys: BTreeMap::new(),
            groups: BTreeMap::new(),
            groups_of: None,
            lost_groups: false,
            registries: BTreeSet::new(),
            asked_to_end: false,
            _presence: Presence::new(&facts, &life, false),
            facts,
        }
    }

    async fn live(mut self) {
        let mut done = 0;
        while !self.asked_to_end && !self.world.is_over() && self.limit.is_none_or(|n| done < n) {
            done += 1;
            let action = &ACTIONS[self.random.weighted(&self.weights)];
            if !(action.settled && self.mortal) {
                self.facts.one(&self.facts.counts.actions);
                self.facts.note(action.name, Some(self.me), None, done);
                (action.run)(&mut self).await;
            }
            self.drain();
            match self.random.below(8) {
                0 => process::sleep(millis(self.random.below(3))).await,
                1..4 => process::yield_now().await,
                _ => {},
            }
        }
        self.settle().await;
    }

    /// Waits for all that it is owed, and gives up all that it has.
    async fn settle(&mut self) {
        if self.asked_to_end {
            return;
        }
        self.facts.note("settles", Some(self.me), None, 0);
        for server in std::mem::take(&mut self.mine) {
            ending::stop_one(self, &server).await;
        }
        for pid in self.links.keys().copied().collect::<Vec<_>>() {
            relations::unlink_one(self, pid);
        }
        for monitor in self.watching.keys().copied().collect::<Vec<_>>() {
            relations::unwatch_one(self, monitor).await;
        }
        let alarms = |client: &Client| client.alarms.is_empty();
        if !self.listen(alarms).await {
            let left: Vec<u64> = self.alarms.keys().copied().collect();
            self.owed(&format!("timers {left:?}"));
        }
        process::sleep(millis(1)).await;
        self.drain();
        if self.mortal || self.asked_to_end {
            return;
        }
        if let Some(info) = process::process_info(self.me)
            && (!info.links.is_empty() || !info.monitors.is_empty())
        {
            self.facts.violation(format!("a client that has given up all links and monitors has {info:?}"));
        }
    }

    /// Nobody has ended this client so far. A mortal that was killed runs on until it next waits, and finds that it is nobody.
    fn lives(&self) -> bool {
        process::is_alive(self.me)
    }

    /// Something did not come in time.
    fn owed(&self, what: &str) {
        if !self.asked_to_end {
            self.facts.doubt(|| format!("{} waits in vain for {what}", Short(Some(self.me))));
        }
    }

    /// Takes messages until it is so; `false` if that takes too long.
    async fn listen(&mut self, so: impl Fn(&Client) -> bool) -> bool {
        let until = Node::current().now() + OWED;
        while !so(self) && !self.asked_to_end {
            let left = until.saturating_sub(Node::current().now());
            match self.mailbox.receive_timeout(left).await {
                Some(message) => self.take(message),
                None => return false,
            }
        }
        true
    }

    /// Takes what is there.
    fn drain(&mut self) {
        while let Some(message) = self.mailbox.try_receive() {
            self.take(message);
        }
    }

    /// A message: owed, or wrong.
    fn take(&mut self, message: AnyMsg) {
        let message = match message.downcast::<Note>() {
            Ok(note) => return self.take_note(&note),
            Err(message) => message,
        };
        let message = match message.downcast::<Down>() {
            Ok(down) => return self.take_down(&down),
            Err(message) => message,
        };
        let message = match message.downcast::<Exit>() {
            Ok(exit) => return self.take_exit(exit),
            Err(message) => message,
        };
        match message.downcast::<Tick>() {
            Ok(Tick(alarm)) => {
                alarm.fires(&self.facts, self.me);
                self.alarms.remove(&alarm.token.number());
            },
            Err(message) => self.facts.violation(format!("a client got {message:?}")),
        }
    }

    fn take_note(&mut self, note: &Note) {
        self.facts.note("note", Some(self.me), Some(note.from), note.number);
        let heard = self.heard.entry(note.from).or_default();
        if note.number != *heard + 1 {
            let (me, from) = (Short(Some(self.me)), Short(Some(note.from)));
            self.facts.violation(format!("{me} got note {} of {from} after note {heard}", note.number));
        }
        *heard = note.number;
    }

    fn take_down(&mut self, down: &Down) {
        let watched = self.watching.remove(&down.monitor);
        if let Some(watched) = &watched
            && down.reason != ExitReason::NoProc
        {
            self.check_heard_all(watched.pid, "its Down");
        }
        check_down(&self.facts, self.me, watched, down);
    }

    /// All that a process has sent comes before the signal of its end.
    fn check_heard_all(&self, pid: Pid, before: &str) {
        let sent = self.facts.life_of(pid).map_or(0, |life| life.notes_to(self.me));
        let heard = self.heard.get(&pid).copied().unwrap_or_default();
        if heard != sent {
            let (me, pid) = (Short(Some(self.me)), Short(Some(pid)));
            self.facts
                .violation(format!("{me} got {heard} notes of {pid}, which sent {sent}, before {before}"));
        }
    }

    fn take_exit(&mut self, exit: Exit) {
        self.facts.one(&self.facts.counts.exits);
        self.facts.note("exit", Some(self.me), Some(exit.from), reason_number(&exit.reason));
        let Exit { from, reason } = exit;
        if from.id() == 0 && from.serial() == 0 {
            // The node stops.
            self.asked_to_end = true;
            return;
        }
        if let ExitReason::Custom(term) = &reason
            && let Some(cause) = term.downcast_ref::<Cause>().filter(|cause| cause.target == self.me)
        {
            if cause.noted {
                *self.heard.entry(from).or_default() += 1;
            }
            return;
        }
        if self.facts.is_registry(from) && !self.links.contains_key(&from) {
            // Its members hear of the end of a registry, once.
            self.facts.check_reason(from, &reason, "the end of a registry");
            if !self.registries.insert(from) {
                self.facts.violation(format!("a client is told twice of the end of a registry: {reason}"));
            }
            return;
        }
        let ended = self.facts.end_of(from).is_some_and(|end| end.reason == reason);
        if self.mortal && !ended && matches!(reason, ExitReason::Normal | ExitReason::Shutdown) {
            // A signal of a client.
            return;
        }
        match self.links.remove(&from) {
            Some(late) => {
                if reason == ExitReason::NoProc {
                    if !late {
                        let from = Short(Some(from));
                        self.facts
                            .violation(format!("the end of a link with {from}, which lived, is NoProc"));
                    }
                } else {
                    self.facts.check_reason(from, &reason, "the end of a link");
                    self.check_heard_all(from, "its exit");
                }
                self.facts.check_gone(from, "the end of a link");
            },
            // A linked start that failed.
            None if self.facts.parent_of(from) == Some(self.me) => {
                self.facts.check_reason(from, &reason, "a failed start");
                self.facts.check_gone(from, "a failed start");
            },
            // Servers may have linked themselves with it.
            None if self.mortal => {},
            None => {
                let (me, from) = (Short(Some(self.me)), Short(Some(from)));
                self.facts
                    .violation(format!("{me} got an exit of {from}, with which it has no link: {reason}"));
            },
        }
    }

    /// A server of this cell, or now and then of another.
    fn target(&mut self) -> Option<Ref<Actor>> {
        let cells = self.world.cells.len() as u64;
        if cells > 1 && self.random.one_in(10) {
            let other = self.world.cells[self.random.below(cells) as usize].clone();
            return other.target(&mut self.random);
        }
        let cell = self.cell.clone();
        cell.target(&mut self.random)
    }

    /// How long to wait for an answer.
    fn patience(&mut self) -> Patience {
        match self.random.below(6) {
            0 => Patience::Short(self.random.below(4)),
            1..4 => Patience::Long,
            _ => Patience::Infinite,
        }
    }

    /// A request to a server, in its place.
    fn request(&mut self, target: &Ref<Actor>, deed: Deed) -> (Arc<Ticket>, Request, Place) {
        let ticket = Ticket::new(&self.facts);
        let place = self.lanes.entry(target.pid()).or_default().next(self.me);
        let from = Some(self.me);
        (ticket.clone(), Request { ticket, place: Some(place), from, deed }, place)
    }

    /// The message of this place has certainly reached the mailbox.
    fn sure(&mut self, target: &Ref<Actor>, place: Place) {
        self.lanes.entry(target.pid()).or_default().sure(place);
    }

    /// Makes a call, and takes what came meanwhile. `true` if it was answered.
    async fn call<R: Answering + Noted>(
        &mut self,
        ticket: &Arc<Ticket>,
        expected: Expected,
        patience: Patience,
        call: impl Call<R>,
    ) -> bool {
        let result = ask(&self.facts, Some(self.me), ticket, expected, patience, call).await;
        self.drain();
        let Ok(answer) = result else { return false };
        if let Some((from, notes)) = answer.notes() {
            // What the server sent before it answered was sent to the same process, and comes before the answer.
            let heard = self.heard.get(&from).copied().unwrap_or_default();
            if heard < notes && self.lives() {
                let (me, from) = (Short(Some(self.me)), Short(Some(from)));
                self.facts
                    .violation(format!("the answer of {from} to {me} overtook {} notes", notes - heard));
            }
        }
        true
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.facts.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An answer that may tell how many notes came before it.
pub(super) trait Noted {
    fn notes(&self) -> Option<(Pid, u64)>;
}

impl Noted for u64 {
    fn notes(&self) -> Option<(Pid, u64)> {
        None
    }
}

impl Noted for Answer {
    fn notes(&self) -> Option<(Pid, u64)> {
        self.notes.map(|notes| (self.from, notes))
    }
}
