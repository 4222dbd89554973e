//! The server of the world: does what it is asked, and checks all it can see from inside.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use purlin_core::gen_server::Accepts;
use purlin_core::*;

use super::asking::{Answer, Expected, Patience, ask};
use super::deeds::Request;
use super::deeds::*;
use super::facts::{Cause, Facts};
use super::journal::Short;
use super::life::{Alarm, Gate, Life, Presence, Token};
use super::ticket::{Lane, Seen, Ticket};
use super::watching::{Watched, check_down};
use super::world::Cell;

pub(super) struct Actor {
    facts: Arc<Facts>,
    cell: Arc<Cell>,
    life: Arc<Life>,
    /// Behind a lock because reads have a place among messages too.
    seen: Mutex<Seen>,
    /// Of messages to itself.
    lane: Lane,
    watching: BTreeMap<MonitorRef, Watched>,
    alarms: VecDeque<(TimerRef, Arc<Alarm>)>,
    interval: Option<(TimerRef, Arc<Alarm>)>,
    later: BTreeMap<u64, ReplyTo<Answer>>,
    /// Continues that are due before anything else.
    due: u64,
    at_end: AtEnd,
    _token: Token,
    // The last field: dropped when everything else of the state is.
    _presence: Presence,
}

impl GenServer for Actor {
    type Args = Plan;

    fn init(plan: Plan, cx: &mut Cx<Self>) -> impl Future<Output = Result<Self, InitError>> + Send {
        // Some of it before there is a future: that is user code too.
        let facts = plan.cell.facts.clone();
        let me = cx.pid();
        let life = Life::new(&facts, me, true, plan.bound);
        if plan.linked {
            facts.linked(me);
        }
        facts.one(&facts.counts.starts);
        plan.cell.started(plan.slot, plan.mood, cx.this());
        if plan.mood == Mood::Panic {
            panic!("{}", facts.crash(me));
        }
        cx.trap_exits(plan.trap);
        async move {
            let mut due = 0;
            match plan.mood {
                Mood::Slow(ms) => process::sleep(millis(ms)).await,
                Mood::Yield(turns) => give_way(turns).await,
                Mood::Continue => {
                    cx.continue_with(Onward(0, Token::new(&facts)));
                    due = 1;
                },
                Mood::Ignore => return Err(InitError::Ignore),
                Mood::Refuse => return Err(InitError::Stop(ExitReason::error(facts.crash(me)))),
                Mood::Run | Mood::Panic => {},
            }
            let presence = Presence::new(&facts, &life, true);
            Ok(Actor {
                lane: Lane::default(),
                seen: Mutex::default(),
                watching: BTreeMap::new(),
                alarms: VecDeque::new(),
                interval: None,
                later: BTreeMap::new(),
                due,
                at_end: plan.at_end,
                _token: plan.token,
                _presence: if plan.listening { presence.listening() } else { presence },
                facts,
                cell: plan.cell,
                life,
            })
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) {
        let _inside = self.life.enter_terminate(&self.facts, reason);
        self.facts.note("terminates", Some(cx.pid()), None, 0);
        match self.at_end {
            AtEnd::Slow(ms) => process::sleep(millis(ms)).await,
            AtEnd::PanicInTerminate => panic!("{} in terminate", self.facts.crash(cx.pid())),
            AtEnd::Quiet | AtEnd::PanicInDrop => {},
        }
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<Word, _>();
        table.info::<Tick, _>();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        if self.at_end == AtEnd::PanicInDrop {
            panic!("soak: a state panics when it is dropped");
        }
    }
}

/// Gives way so often.
pub(super) async fn give_way(turns: u64) {
    for _ in 0..turns {
        process::yield_now().await;
    }
}

impl Actor {
    /// A handler begins.
    fn enter(&self, what: &'static str) -> Gate {
        if self.due > 0 {
            let due = self.due;
            self.facts.violation(format!("{} handles a {what} before its {due} continues", self.life));
        }
        self.life.enter(&self.facts, what)
    }

    /// A request begins to be handled.
    fn begin(&self, request: &Request) {
        request.ticket.begin(&self.facts, self.life.pid);
        self.check_place(request.place);
    }

    fn check_place(&self, place: Option<super::ticket::Place>) {
        if let Some(place) = place {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.check(&self.facts, self.life.pid, place);
        }
    }

    fn answer(&self, ticket: &Ticket, from: Option<Pid>) -> Answer {
        Answer {
            number: ticket.number(),
            from: self.life.pid,
            notes: from.map(|from| self.life.notes_to(from)),
            _token: Token::new(&self.facts),
        }
    }

    /// Does what is asked, from the beginning to the end of the handler.
    async fn serve(&mut self, request: Request, cx: &mut Cx<Self>) -> Answer {
        self.begin(&request);
        let Request { ticket, from, deed, .. } = request;
        self.act(deed, from, cx).await;
        ticket.end(&self.facts);
        self.answer(&ticket, from)
    }

    async fn act(&mut self, deed: Deed, from: Option<Pid>, cx: &mut Cx<Self>) {
        let facts = self.facts.clone();
        let me = cx.pid();
        match deed {
            Deed::Nothing => {},
            Deed::Yield(turns) => give_way(turns).await,
            Deed::Sleep(ms) => process::sleep(millis(ms)).await,
            Deed::Work(rounds) => work(rounds),
            Deed::Notes(n) => {
                for _ in 0..n {
                    self.write(from);
                }
            },
            Deed::Signal => {
                if let Some(from) = from {
                    // It has its place among the notes.
                    self.life.next_note(from);
                    process::exit(from, facts.cause(from, true));
                }
            },
            Deed::Panic { later } => {
                if later {
                    process::yield_now().await;
                }
                panic!("{}", facts.crash(me));
            },
            Deed::Stop(reason) => cx.stop(reason),
            Deed::Continue(n) => {
                self.due += 1;
                cx.continue_with(Onward(n, Token::new(&facts)));
            },
            Deed::Alarm(ms) => {
                let alarm = Alarm::new(&facts, me, millis(ms), Duration::ZERO, 1);
                let timer = cx.send_after(millis(ms), Tick(alarm.clone()));
                self.alarms.push_back((timer, alarm));
            },
            Deed::Cancel => self.cancel(cx),
            Deed::Interval(ms, times) => {
                if self.interval.is_none() {
                    let alarm = Alarm::new(&facts, me, millis(ms), millis(ms), u64::MAX);
                    alarm.stop_after(times);
                    self.interval = Some((cx.send_interval(millis(ms), Tick(alarm.clone())), alarm));
                }
            },
            Deed::Idle(ms) => cx.timeout(millis(ms)),
            Deed::Hibernate => cx.hibernate(),
            Deed::Watch(pid) => {
                let monitor = cx.monitor(pid);
                self.watching.insert(monitor, Watched::new(&facts, pid));
            },
            Deed::Unwatch => {
                if let Some((monitor, _)) = self.watching.pop_first() {
                    cx.demonitor(monitor);
                }
            },
            Deed::Link(pid) => {
                facts.linked(pid);
                facts.linked(me);
                if cx.link(pid).is_err() && !facts.is_ending(pid) {
                    facts.violation(format!(
                        "{} cannot link with {}, which lives",
                        self.life,
                        Short(Some(pid))
                    ));
                }
            },
            Deed::Trap(on) => _ = cx.trap_exits(on),
            Deed::Forward(others, patience) => self.forward(others, patience, cx).await,
            Deed::Join(key) => {
                // The registry may be down, or have ended this process already.
                let _ = self.cell.groups.register(key, u64::from(me.id()));
            },
            Deed::AtEnd(at_end) => self.at_end = at_end,
            Deed::Again => self.again(cx),
            Deed::Back => self.send_back(cx),
            Deed::Hang => std::future::pending().await,
        }
    }

    /// Sends itself messages, in the middle of a handler.
    fn again(&mut self, cx: &mut Cx<Self>) {
        let place = self.lane.next(self.life.pid);
        cx.this().cast(Mark(place));
        if self.life.bound.is_none() {
            self.lane.sure(place);
        }
    }

    /// Sends the server that asks something, in the middle of its call.
    fn send_back(&self, cx: &mut Cx<Self>) {
        let Some(caller) = cx.caller() else { return };
        if self.facts.life_of(caller).is_some_and(|life| life.server) {
            let ticket = Ticket::new(&self.facts);
            let request = Request { ticket, place: None, from: None, deed: Deed::Nothing };
            process::send(caller, Word(request));
        }
    }

    /// Sends a note to who asks.
    fn write(&self, from: Option<Pid>) {
        let Some(from) = from else { return };
        self.facts.one(&self.facts.counts.notes);
        let number = self.life.next_note(from);
        process::send(from, Note { from: self.life.pid, number });
    }

    fn cancel(&mut self, cx: &mut Cx<Self>) {
        let Some((timer, alarm)) = self.alarms.pop_front() else { return };
        let left = cx.read_timer(timer);
        // Otherwise it has fired, and its message may be in the mailbox.
        if cx.cancel_timer(timer).is_some() {
            alarm.cancel();
            if left.is_none() || cx.cancel_timer(timer).is_some() {
                self.facts.violation(format!("{}: a timer is there and is not there", self.life));
            }
        }
    }

    async fn forward(&mut self, mut others: Vec<Ref<Actor>>, patience: Patience, cx: &mut Cx<Self>) {
        let Some(next) = others.pop() else { return };
        let ticket = Ticket::new(&self.facts);
        let deed = match others.is_empty() {
            true if ticket.number().is_multiple_of(2) => Deed::Back,
            true => Deed::Yield(1),
            false => Deed::Forward(others, patience),
        };
        let request = Request { ticket: ticket.clone(), place: None, from: None, deed };
        let expected = Expected::of(&self.facts, next.pid());
        // That it failed for a true reason is all that there is to say.
        let _ = ask(&self.facts, Some(cx.pid()), &ticket, expected, patience, next.call(Ask(request))).await;
    }
}

/// Computes for a while; how long does not matter.
fn work(rounds: u64) {
    let mut x = rounds | 1;
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    std::hint::black_box(x);
}

impl HandleCall<Ask> for Actor {
    type Reply = Answer;

    async fn handle_call(&mut self, Ask(request): Ask, cx: &mut Cx<Self>) -> Answer {
        let _inside = self.enter("call");
        self.serve(request, cx).await
    }
}

impl HandleCall<Try, OrCrash> for Actor {
    type Reply = Answer;

    async fn handle_call(&mut self, Try(request, fail): Try, cx: &mut Cx<Self>) -> Result<Answer, Crash> {
        let _inside = self.enter("call that may fail");
        let answer = self.serve(request, cx).await;
        if fail {
            return Err(Crash::msg(self.facts.crash(cx.pid())));
        }
        Ok(answer)
    }
}

impl HandleCall<Later, OrLater> for Actor {
    type Reply = Answer;

    async fn handle_call(
        &mut self,
        Later(request, way): Later,
        cx: &mut Cx<Self>,
    ) -> Result<Reply<Answer>, Crash> {
        let _inside = self.enter("deferred call");
        let answer = Answer { notes: None, ..self.serve(request, cx).await };
        let (to, later) = Reply::later();
        self.facts.note("defers", Some(cx.pid()), None, answer.number);
        match way {
            Way::Elsewhere(turns) => {
                process::spawn(async move |_: Mailbox<()>| {
                    give_way(turns).await;
                    to.reply(answer);
                });
            },
            Way::Own(ms) => {
                cx.send_after(millis(ms), Release(answer.number));
                self.later.insert(answer.number, to);
            },
            Way::Before => to.reply(answer),
            Way::Never => drop(to),
        }
        Ok(later)
    }
}

impl HandleCall<Quick> for Actor {
    type Reply = u64;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Quick(request): Quick, cx: &mut Cx<Self>) -> u64 {
        let _inside = self.enter("quick call");
        self.begin(&request);
        // What may wait is not asked for in a call that may not.
        self.act(request.deed, request.from, cx).await;
        request.ticket.end(&self.facts);
        request.ticket.number()
    }
}

impl HandleRead<Peek> for Actor {
    type Reply = u64;

    fn handle_read(&self, Peek(request): Peek, cx: &ReadCx<Self>) -> u64 {
        let _inside = self.life.enter_read(&self.facts);
        if self.due > 0 {
            self.facts.violation(format!("{} is read before its continues", self.life));
        }
        self.begin(&request);
        match request.deed {
            Deed::Panic { .. } => panic!("{}", self.facts.crash(cx.pid())),
            Deed::Work(rounds) => work(rounds),
            _ => {},
        }
        request.ticket.end(&self.facts);
        request.ticket.number()
    }
}

impl HandleCast<Tell> for Actor {
    async fn handle_cast(&mut self, Tell(request): Tell, cx: &mut Cx<Self>) {
        let _inside = self.enter("cast");
        self.serve(request, cx).await;
    }
}

impl HandleCast<Mark> for Actor {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, Mark(place): Mark, _: &mut Cx<Self>) {
        let _inside = self.enter("mark");
        self.check_place(Some(place));
    }
}

impl HandleInfo<Word> for Actor {
    async fn handle_info(&mut self, Word(request): Word, cx: &mut Cx<Self>) {
        let _inside = self.enter("message");
        self.serve(request, cx).await;
    }
}

impl HandleInfo<Tick> for Actor {
    async fn handle_info(&mut self, Tick(alarm): Tick, cx: &mut Cx<Self>) {
        let _inside = self.enter("timer");
        alarm.fires(&self.facts, cx.pid());
        self.alarms.retain(|(_, other)| !Arc::ptr_eq(other, &alarm));
        if self.interval.as_ref().is_some_and(|(_, own)| Arc::ptr_eq(own, &alarm) && alarm.is_enough())
            && let Some((timer, _)) = self.interval.take()
        {
            cx.cancel_timer(timer);
        }
    }
}

impl HandleInfo<Release> for Actor {
    async fn handle_info(&mut self, Release(number): Release, _: &mut Cx<Self>) {
        let _inside = self.enter("release");
        self.facts.note("releases", Some(self.life.pid), None, number);
        match self.later.remove(&number) {
            Some(to) => {
                let _token = Token::new(&self.facts);
                to.reply(Answer { number, from: self.life.pid, notes: None, _token });
            },
            None => self.facts.violation(format!("{} releases {number} twice", self.life)),
        }
    }
}

impl HandleInfo<Timeout> for Actor {
    async fn handle_info(&mut self, _: Timeout, _: &mut Cx<Self>) {
        let _inside = self.enter("timeout");
    }
}

impl HandleInfo<Down> for Actor {
    async fn handle_info(&mut self, down: Down, cx: &mut Cx<Self>) {
        let _inside = self.enter("down");
        let watched = self.watching.remove(&down.monitor);
        check_down(&self.facts, cx.pid(), watched, &down);
    }
}

impl HandleInfo<Exit> for Actor {
    async fn handle_info(&mut self, exit: Exit, cx: &mut Cx<Self>) {
        let _inside = self.enter("exit");
        self.facts.one(&self.facts.counts.exits);
        let Exit { from, reason } = exit;
        let to_me = |term: &Term| term.downcast_ref::<Cause>().is_some_and(|cause| cause.target == cx.pid());
        let sent = match &reason {
            ExitReason::Normal | ExitReason::Shutdown => true,
            ExitReason::Custom(term) => to_me(term),
            _ => false,
        };
        let ended = self.facts.end_of(from).is_some_and(|end| end.reason == reason);
        let not_there = reason == ExitReason::NoProc && self.facts.is_ending(from);
        if !(sent || ended || not_there) {
            self.facts.violation(format!(
                "{} is told that {} ended with {reason:?}, which it did not",
                self.life,
                Short(Some(from))
            ));
        }
    }
}

impl HandleContinue<Onward> for Actor {
    async fn handle_continue(&mut self, Onward(left, token): Onward, cx: &mut Cx<Self>) {
        let _inside = self.life.enter(&self.facts, "continue");
        self.due -= 1;
        if left.is_multiple_of(3) {
            process::yield_now().await;
        }
        if left > 0 {
            self.due += 1;
            cx.continue_with(Onward(left - 1, token));
        }
    }
}
