//! A state machine of Purlin, written as its users write it.

use purlin_core::gen_statem::Init;
use purlin_core::*;

use super::Purlin;
use crate::system::Machines;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum State {
    Off,
    On,
}

#[derive(Debug)]
pub(super) enum Event {
    Ask(ReplyTo<u64>),
    Rearm(ReplyTo<u64>),
    Flip(ReplyTo<u64>),
    Late,
}

/// Counts what it answers.
pub(super) struct Counting(u64);

impl GenStateMachine for Counting {
    type Args = ();
    type State = State;
    type Event = Event;

    async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
        Ok(Init::new(State::Off, Counting(0)))
    }

    async fn handle_event(&mut self, state: &State, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
        self.0 += 1;
        match (state, event) {
            (_, Event::Ask(from)) => Next::keep().reply(from, self.0),
            (_, Event::Rearm(from)) => Next::keep().state_timeout(secs(10), Event::Late).reply(from, self.0),
            (State::Off, Event::Flip(from)) => {
                Next::state(State::On).state_timeout(secs(10), Event::Late).reply(from, self.0)
            },
            (State::On, Event::Flip(from)) => Next::state(State::Off).reply(from, self.0),
            (_, Event::Late) => Next::state(State::Off),
        }
    }
}

impl Machines for Purlin {
    type Machine = Ref<Machine<Counting>>;

    async fn machine() -> Self::Machine {
        Counting::start(()).await.expect("a machine starts")
    }

    async fn ask(machine: &Self::Machine) -> u64 {
        machine.call(Event::Ask).await.expect("the machine answers")
    }

    async fn rearm(machine: &Self::Machine) -> u64 {
        machine.call(Event::Rearm).await.expect("the machine answers")
    }

    async fn flip(machine: &Self::Machine) -> u64 {
        machine.call(Event::Flip).await.expect("the machine answers")
    }
}
