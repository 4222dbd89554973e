//! A client: chooses actions at random until the round is over, and checks what every client can check.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use purlin_core::*;

use super::World;
use super::actions;
use super::ledger::is_true_reason;
use super::random::Random;
use crate::held::Held;
use crate::servers::Worker;

/// What went against the rules, as text; `Ok` if nothing did.
pub(super) type Checked = Result<(), String>;

pub(super) struct Client {
    pub(super) world: World,
    pub(super) index: u64,
    pub(super) random: Random,
}

impl Client {
    pub(super) fn new(world: World, index: u64, random: Random) -> Client {
        Client { world, index, random }
    }

    /// The life of a client that is a task: everything that needs no mailbox.
    pub(super) async fn task(mut self) {
        while !self.world.over.load(Ordering::Relaxed) {
            let action = *self.random.pick(actions::FOR_ALL);
            let outcome = action(&mut self).await;
            self.note(outcome);
        }
    }

    /// The life of a client that is a process.
    pub(super) async fn process(mut self, mut mailbox: Mailbox<AnyMsg>) {
        while !self.world.over.load(Ordering::Relaxed) {
            let outcome = if self.random.one_in(2) {
                let action = *self.random.pick(actions::FOR_ALL);
                action(&mut self).await
            } else {
                let action = *self.random.pick(actions::FOR_PROCESSES);
                action(&mut self, &mut mailbox).await
            };
            self.note(outcome);
            // Every action takes all that it is owed: one `Down` or exit per monitor or link, one answer per request.
            if let Some(message) = mailbox.try_receive() {
                self.world.ledger.violation(format!("a message that nobody waits for: {message:?}"));
            }
        }
        // What is still on its way must be nothing, too.
        if let Some(message) = mailbox.receive_timeout(millis(20)).await {
            self.world.ledger.violation(format!("a late message that nobody waits for: {message:?}"));
        }
    }

    fn note(&self, outcome: Checked) {
        let ledger = &self.world.ledger;
        ledger.one(&ledger.actions);
        if let Err(what) = outcome {
            ledger.violation(format!("client {}: {what}", self.index));
        }
    }

    /// A value that is sent nowhere else.
    pub(super) fn value(&self) -> Held {
        Held::new(self.world.ledger.number())
    }

    /// Awaits a call, and counts how it ended.
    pub(super) async fn call<R>(
        &self,
        call: impl Future<Output = Result<R, CallError>>,
    ) -> Result<R, CallError> {
        let ledger = &self.world.ledger;
        ledger.one(&ledger.calls);
        let answer = call.await;
        ledger.one(if answer.is_ok() { &ledger.answered } else { &ledger.failed });
        answer
    }

    /// A call whose answer is the number that was sent; `Ok(false)` if it failed for a true reason.
    pub(super) async fn echo(
        &self,
        number: u64,
        call: impl Future<Output = Result<Held, CallError>>,
    ) -> Result<bool, String> {
        match self.call(call).await {
            Ok(answer) if answer.value() == number => Ok(true),
            Ok(answer) => Err(format!("request {number} was answered with {}", answer.value())),
            Err(error) if is_true_reason(&error) => Ok(false),
            Err(error) => Err(format!("request {number}: {error}")),
        }
    }

    /// Begins a call and drops it.
    pub(super) fn abandon<R>(&self, call: impl Future<Output = Result<R, CallError>>) {
        let ledger = &self.world.ledger;
        ledger.one(&ledger.calls);
        let polled = begin(&mut Box::pin(call));
        ledger.one(match polled {
            None => &ledger.abandoned,
            Some(Ok(_)) => &ledger.answered,
            Some(Err(_)) => &ledger.failed,
        });
    }

    /// A new worker, held by nobody else.
    pub(super) async fn worker(&self) -> Result<Ref<Worker>, String> {
        let plan = crate::servers::Plan::Run(self.value());
        Worker::start(plan).await.map_err(|error| format!("a worker does not start: {error}"))
    }

    /// Waits for the one `Down` of a monitor.
    pub(super) async fn down(
        &self,
        mailbox: &mut Mailbox<AnyMsg>,
        monitor: MonitorRef,
    ) -> Result<Down, String> {
        let pick = |message: AnyMsg| match message.downcast::<Down>() {
            Ok(down) if down.monitor == monitor => Ok(down),
            Ok(down) => Err(AnyMsg::new(down)),
            Err(other) => Err(other),
        };
        let ledger = &self.world.ledger;
        ledger.one(&ledger.downs);
        mailbox.receive_map_timeout(secs(10), pick).await.ok_or_else(|| "no Down within 10 s".to_owned())
    }
}

/// Polls a future once.
pub(super) fn begin<F: Future>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// `Err` with the text unless it is so.
pub(super) fn check(so: bool, what: impl FnOnce() -> String) -> Checked {
    if so { Ok(()) } else { Err(what()) }
}

/// Waits for another process to get somewhere that nobody tells about.
pub(super) async fn until(what: &str, mut there: impl FnMut() -> bool) -> Checked {
    let node = Node::current();
    let begin = node.now();
    while !there() {
        if node.now() - begin > secs(10) {
            return Err(format!("not within 10 s: {what}"));
        }
        process::yield_now().await;
    }
    Ok(())
}
