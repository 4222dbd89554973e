//! A state machine whose handlers run what a test gives them.

use std::sync::Arc;
use std::time::Duration;

use purlin_core::gen_statem::Init;
use purlin_core::*;

use super::{Bomb, DropNote, Log};

/// Two are equal when their texts are.
pub type State = &'static str;
pub type LabCx = Cx<Machine<StateLab>>;
type Script = Box<dyn FnOnce(&mut StateLab, State, &mut LabCx) -> Next<StateLab> + Send>;
type OnEnter = Arc<dyn Fn(&mut StateLab, State, State, &mut LabCx) -> Enter<StateLab> + Send + Sync>;
type OnInit = Box<dyn FnOnce(Init<StateLab>, &mut LabCx) -> Result<Init<StateLab>, InitError> + Send>;

/// The machine's data.
#[derive(Default)]
pub struct StateLab {
    pub value: i64,
    /// What happened, in order.
    pub log: Log<String>,
    pub held: Vec<ReplyTo<i64>>,
    on_enter: Option<OnEnter>,
    pub on_drop: Option<DropNote>,
    pub bomb: Option<Bomb>,
}

/// How a machine starts; its first state is `"a"`.
#[derive(Default)]
pub struct Plan {
    pub log: Log<String>,
    pub trap: bool,
    pub on_enter: Option<OnEnter>,
    pub on_init: Option<OnInit>,
    pub on_drop: Option<DropNote>,
}

impl Plan {
    pub fn logging(log: &Log<String>) -> Plan {
        Plan { log: log.clone(), ..Plan::default() }
    }

    pub fn enter(
        mut self,
        f: impl Fn(&mut StateLab, State, State, &mut LabCx) -> Enter<StateLab> + Send + Sync + 'static,
    ) -> Plan {
        self.on_enter = Some(Arc::new(f));
        self
    }

    pub fn init(
        mut self,
        f: impl FnOnce(Init<StateLab>, &mut LabCx) -> Result<Init<StateLab>, InitError> + Send + 'static,
    ) -> Plan {
        self.on_init = Some(Box::new(f));
        self
    }
}

pub enum Event {
    /// Runs what it holds.
    Do(Script),
    /// Is written down as `state:note`.
    Note(&'static str),
    /// The same in this state; in every other it is postponed.
    In(State, &'static str),
    /// Answered in this state; in every other it is postponed.
    AskIn(State, ReplyTo<String>),
    /// Answers the state.
    Get(ReplyTo<State>),
    /// Goes to a state.
    Go(State),
    /// Sends [`Told`].
    Tell(Pid, &'static str),
    Down(Down),
    Exit(Exit),
}

/// What a machine tells a test.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub note: &'static str,
    pub state: State,
    pub at: Duration,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Do(_) => f.write_str("Do"),
            Event::Note(note) => write!(f, "Note({note})"),
            Event::In(state, note) => write!(f, "In({state}, {note})"),
            Event::AskIn(state, _) => write!(f, "AskIn({state})"),
            Event::Get(_) => f.write_str("Get"),
            Event::Go(state) => write!(f, "Go({state})"),
            Event::Tell(_, note) => write!(f, "Tell({note})"),
            Event::Down(_) => f.write_str("Down"),
            Event::Exit(_) => f.write_str("Exit"),
        }
    }
}

impl From<Down> for Event {
    fn from(down: Down) -> Self {
        Event::Down(down)
    }
}

impl From<Exit> for Event {
    fn from(exit: Exit) -> Self {
        Event::Exit(exit)
    }
}

impl GenStateMachine for StateLab {
    type Args = Plan;
    type State = State;
    type Event = Event;

    async fn init(plan: Plan, cx: &mut LabCx) -> Result<Init<Self>, InitError> {
        if plan.trap {
            cx.trap_exits(true);
        }
        let Plan { log, on_enter, on_drop, .. } = plan;
        let init = Init::new("a", StateLab { log, on_enter, on_drop, ..StateLab::default() });
        match plan.on_init {
            Some(f) => f(init, cx),
            None => Ok(init),
        }
    }

    async fn handle_event(&mut self, state: &State, event: Event, cx: &mut LabCx) -> Next<Self> {
        match event {
            Event::Do(f) => f(self, state, cx),
            Event::Note(note) => {
                self.log.add(format!("{state}:{note}"));
                Next::keep()
            },
            Event::In(wanted, note) if wanted == *state => {
                self.log.add(format!("{state}:{note}"));
                Next::keep()
            },
            Event::AskIn(wanted, from) if wanted == *state => Next::keep().reply(from, wanted.to_owned()),
            Event::In(..) | Event::AskIn(..) => Next::keep().postpone(event),
            Event::Get(from) => Next::keep().reply(from, *state),
            Event::Go(state) => Next::state(state),
            Event::Tell(to, note) => {
                process::send(to, Told { note, state, at: cx.node().now() });
                Next::keep()
            },
            Event::Down(down) => {
                self.log.add(format!("{state}:down {}", down.reason));
                Next::keep()
            },
            Event::Exit(exit) => {
                self.log.add(format!("{state}:exit {}", exit.reason));
                Next::keep()
            },
        }
    }

    async fn handle_enter(&mut self, old: &State, state: &State, cx: &mut LabCx) -> Enter<Self> {
        match self.on_enter.clone() {
            Some(f) => f(self, old, state, cx),
            None => Enter::keep(),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, state: &State, _: &mut LabCx) {
        self.log.add(format!("terminate {reason} in {state}"));
        for (n, from) in self.held.drain(..).enumerate() {
            from.reply(n as i64);
        }
        // Whoever was woken too early has time to look around.
        for _ in 0..3 {
            process::yield_now().await;
        }
    }

    fn format_status(&self, state: &State) -> String {
        format!("in {state} with {}", self.value)
    }
}

/// A machine that writes into `log`.
pub async fn machine(log: &Log<String>) -> Ref<Machine<StateLab>> {
    StateLab::start(Plan::logging(log)).await.unwrap()
}

/// An event that does this.
pub fn act(f: impl FnOnce(&mut StateLab, State, &mut LabCx) -> Next<StateLab> + Send + 'static) -> Event {
    Event::Do(Box::new(f))
}

/// A call that does this, and has to answer.
pub fn asking<R: Send + 'static>(
    f: impl FnOnce(&mut StateLab, State, &mut LabCx, ReplyTo<R>) -> Next<StateLab> + Send + 'static,
) -> impl FnOnce(ReplyTo<R>) -> Event + Send + 'static {
    move |from| act(move |lab, state, cx| f(lab, state, cx, from))
}
