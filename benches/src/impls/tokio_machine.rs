//! A state machine by hand: a task, a `match` of state and message, a sleep that is set anew.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::tokio_hand::Hand;
use crate::system::Machines;

enum State {
    Off,
    On,
}

/// What the machine understands.
pub(crate) enum Msg {
    Ask(oneshot::Sender<u64>),
    Rearm(oneshot::Sender<u64>),
    Flip(oneshot::Sender<u64>),
}

const LATE: Duration = Duration::from_secs(10);

/// The machine's task.
async fn serve(mut mailbox: UnboundedReceiver<Msg>) {
    let mut state = State::Off;
    let mut count = 0;
    let mut armed = false;
    let mut timeout = pin!(sleep_until(Instant::now()));
    loop {
        let msg = tokio::select! {
            biased;
            msg = mailbox.recv() => msg,
            () = timeout.as_mut(), if armed => {
                armed = false;
                state = State::Off;
                continue;
            },
        };
        let Some(msg) = msg else { return };
        count += 1;
        // A caller that has gone away needs no answer.
        let reply = match (&state, msg) {
            (_, Msg::Ask(reply)) => reply,
            (_, Msg::Rearm(reply)) => {
                timeout.as_mut().reset(Instant::now() + LATE);
                armed = true;
                reply
            },
            (State::Off, Msg::Flip(reply)) => {
                state = State::On;
                timeout.as_mut().reset(Instant::now() + LATE);
                armed = true;
                reply
            },
            (State::On, Msg::Flip(reply)) => {
                state = State::Off;
                armed = false;
                reply
            },
        };
        let _ = reply.send(count);
    }
}

async fn ask(machine: &UnboundedSender<Msg>, msg: impl FnOnce(oneshot::Sender<u64>) -> Msg) -> u64 {
    let (reply, answer) = oneshot::channel();
    assert!(machine.send(msg(reply)).is_ok(), "the machine lives");
    answer.await.expect("the machine answers")
}

impl Machines for Hand {
    type Machine = UnboundedSender<Msg>;

    async fn machine() -> Self::Machine {
        let (machine, mailbox) = mpsc::unbounded_channel();
        tokio::spawn(serve(mailbox));
        machine
    }

    async fn ask(machine: &Self::Machine) -> u64 {
        ask(machine, Msg::Ask).await
    }

    async fn rearm(machine: &Self::Machine) -> u64 {
        ask(machine, Msg::Rearm).await
    }

    async fn flip(machine: &Self::Machine) -> u64 {
        ask(machine, Msg::Flip).await
    }
}
