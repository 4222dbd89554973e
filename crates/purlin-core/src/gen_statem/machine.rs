//! The process of a state machine: a GenServer whose state is the machine.
//!
//! `policy` says what becomes of events; this file runs the callbacks, and sets and takes off alarms. Calls, names, links, `sys`, reports and supervision are those of
//! GenServers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::next::{Change, Enter, Init, Next};
use super::policy::{Actions, Outcome, Policy};
use super::timeouts::Step;
use super::traits::GenStateMachine;
use crate::gen_server::message;
use crate::gen_server::shape::{self, Flow, keep_unanswered};
use crate::gen_server::{
    Accepts, CallFor, Cx, GenServer, HandleCast, HandleContinue, HandleInfo, InitError, OrCrash, Plain,
    ReadCx, ReplyTo,
};
use crate::process::exit_reason::ExitReason;
use crate::process::panic;
use crate::process::small_map::SmallMap;
use crate::timer::TimerRef;

/// How many events a machine handles without giving way to others, when it makes them itself.
const IN_A_ROW: u32 = 64;

/// A running state machine: the server behind [`Ref<Machine<M>>`](crate::Ref) and [`Name<Machine<M>>`](crate::Name).
///
/// A clone is a snapshot of state and data, which is what [`sys::get_state`](crate::sys::get_state) answers; replacing a machine by
/// [`sys::replace_state`](crate::sys::replace_state) replaces its state and its data, and leaves events, postponed events and timeouts as they are.
pub struct Machine<M: GenStateMachine> {
    state: M::State,
    data: M,
    policy: Policy<M::Event>,
    /// The node's timers behind the alarms that are set.
    alarms: SmallMap<u64, TimerRef>,
    /// Empty between two transitions.
    steps: Vec<Step>,
}

impl<M: GenStateMachine> Machine<M> {
    /// A snapshot made by hand, for [`sys::replace_state`](crate::sys::replace_state).
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, sys, gen_statem::Init};
    ///
    /// #[derive(Clone)]
    /// struct Lift { floor: i32 }
    ///
    /// #[derive(Clone, Copy, PartialEq, Debug)]
    /// enum Doors { Open, Closed }
    ///
    /// impl GenStateMachine for Lift {
    ///     type Args = ();
    ///     type State = Doors;
    ///     type Event = ();
    ///     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
    ///         Ok(Init::new(Doors::Closed, Lift { floor: 0 }))
    ///     }
    ///     async fn handle_event(&mut self, _: &Doors, _: (), _: &mut Cx<Machine<Self>>) -> Next<Self> {
    ///         Next::keep()
    ///     }
    /// }
    ///
    /// let lift = Lift::start(()).await?;
    /// sys::replace_state(&lift, |old| Machine::snapshot(Doors::Open, Lift { floor: old.data().floor + 3 })).await?;
    /// let (state, data) = sys::get_state(&lift).await?.into_parts();
    /// assert_eq!((state, data.floor), (Doors::Open, 3));
    /// assert_eq!(sys::inspect_state(&lift, |machine| *machine.state()).await?, Doors::Open);    // without a copy
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn snapshot(state: M::State, data: M) -> Machine<M> {
        Machine { state, data, policy: Policy::new(), alarms: SmallMap::default(), steps: Vec::new() }
    }

    /// The state.
    pub fn state(&self) -> &M::State {
        &self.state
    }

    /// The data.
    pub fn data(&self) -> &M {
        &self.data
    }

    /// State and data.
    pub fn into_parts(self) -> (M::State, M) {
        (self.state, self.data)
    }

    /// Handles one event, and takes in what came of it.
    async fn handle(&mut self, event: M::Event, cx: &mut Cx<Self>) {
        let next = self.data.handle_event(&self.state, event, cx).await;
        if let Some(entering) = self.take_in(next, cx) {
            self.enter(entering, cx).await;
        }
    }

    /// [`handle`](Self::handle) for an event that was postponed or inserted. If it carries a call that is dropped unanswered, the call waits until it is known
    /// whether the machine has stopped, or panicked: then its caller is told the reason.
    async fn handle_queued(&mut self, event: M::Event, cx: &mut Cx<Self>) {
        let mut unanswered = Vec::new();
        let handled = {
            let mut handling = pin!(self.data.handle_event(&self.state, event, cx));
            poll_fn(|cx| {
                let mut polled = Ok(Poll::Pending);
                let kept = keep_unanswered(|| polled = panic::catch(|| handling.as_mut().poll(cx)));
                unanswered.extend(kept);
                match polled {
                    Ok(polled) => polled.map(Ok),
                    Err(reason) => Poll::Ready(Err(reason)),
                }
            })
            .await
        };
        // An error or a panic counts more than a stop that the same handler asked for, as in OTP.
        let next = handled.unwrap_or_else(|reason| {
            cx.marks.more().stop = Some(reason.clone());
            Next::stop(reason)
        });
        if matches!(next.change, Change::Stop(_)) || cx.marks.stopping() {
            cx.marks.more().after.append(&mut unanswered);
        }
        for answer in unanswered {
            answer();
        }
        if let Some(entering) = self.take_in(next, cx) {
            self.enter(entering, cx).await;
        }
    }

    /// Takes in what came of an event; the state that is to be entered is then the machine's. What entering it asks for comes on top of that.
    #[inline(always)]
    fn take_in(&mut self, next: Next<M>, cx: &mut Cx<Self>) -> Option<Entering<M::State>> {
        let Next { change, postpone, actions } = next;
        let mut state_changed = false;
        let entering = match change {
            Change::Keep => None,
            Change::State(state) if state == self.state => None,
            Change::State(state) => {
                state_changed = true;
                Some(Entering::From(std::mem::replace(&mut self.state, state)))
            },
            Change::Repeat => Some(Entering::Again),
            Change::Stop(reason) => {
                cx.stop(reason);
                return None;
            },
        };
        self.transition(state_changed, postpone, actions, cx);
        if cx.marks.stopping() { None } else { entering }
    }

    async fn enter(&mut self, entering: Entering<M::State>, cx: &mut Cx<Self>) {
        let old = match &entering {
            Entering::From(old) => old,
            Entering::Again => &self.state,
        };
        let Enter { stop, actions } = self.data.handle_enter(old, &self.state, cx).await;
        match stop {
            Some(reason) => cx.stop(reason),
            None => self.act(actions, cx),
        }
    }

    #[inline(always)]
    fn transition(
        &mut self,
        state_changed: bool,
        postpone: Option<M::Event>,
        mut actions: Actions<M::Event>,
        cx: &mut Cx<Self>,
    ) {
        let next_events = actions.take_next_events();
        self.policy.transition(Outcome { state_changed, postpone, next_events }, &mut self.steps);
        self.act(actions, cx);
    }

    /// Does the actions that every callback may ask for.
    #[inline(always)]
    fn act(&mut self, actions: Actions<M::Event>, cx: &mut Cx<Self>) {
        if actions.hibernates() {
            cx.hibernate();
        }
        if actions.has_timeouts() {
            let now = if actions.need_clock() { cx.now() } else { Duration::ZERO };
            self.policy.set(actions, now, &mut self.steps);
        }
        if !self.steps.is_empty() {
            self.set_alarms(cx);
        }
    }

    #[cold]
    fn set_alarms(&mut self, cx: &mut Cx<Self>) {
        for step in self.steps.drain(..) {
            match step {
                Step::Arm { alarm, at } => {
                    let make = |alarm| message::info_for::<Self, Rang, OrCrash>(Rang(alarm));
                    self.alarms.insert(alarm, cx.alarm(at, alarm, make));
                },
                Step::Disarm { alarm } => {
                    if let Some(timer) = self.alarms.remove(&alarm) {
                        cx.cancel_timer(timer);
                    }
                },
            }
        }
    }

    /// The next event to handle before a message is taken from the mailbox.
    fn next(&mut self, cx: &mut Cx<Self>) -> Option<M::Event> {
        if cx.marks.stopping() {
            return None;
        }
        let event = self.policy.next(&mut self.steps);
        if !self.steps.is_empty() {
            self.set_alarms(cx);
        }
        event
    }

    /// Handles events until none is left but in the mailbox.
    async fn drain(&mut self, cx: &mut Cx<Self>) {
        let mut in_a_row = 0;
        while let Some(event) = self.next(cx) {
            self.handle_queued(event, cx).await;
            in_a_row += 1;
            if in_a_row % IN_A_ROW == 0 {
                crate::process::yield_now().await;
            }
        }
    }

    async fn run(&mut self, event: M::Event, cx: &mut Cx<Self>) {
        self.handle(event, cx).await;
        self.drain(cx).await;
    }
}

/// A state is to be entered.
enum Entering<S> {
    /// Another one than this.
    From(S),
    /// The present one again, or for the first time.
    Again,
}

/// A snapshot: state and data.
impl<M: GenStateMachine + Clone> Clone for Machine<M>
where
    M::State: Clone,
{
    fn clone(&self) -> Self {
        Machine::snapshot(self.state.clone(), self.data.clone())
    }
}

/// As [`format_status`](GenStateMachine::format_status), with queued and postponed events, and timeouts.
impl<M: GenStateMachine> fmt::Debug for Machine<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&GenServer::format_status(self))
    }
}

/// `init` is done: the first state is entered.
struct Begin<E>(Actions<E>);

/// Events are left to handle; the caller of the one that was handled has its answer already.
struct Drain;

/// An alarm of a timeout.
struct Rang(u64);

impl<M: GenStateMachine> GenServer for Machine<M> {
    type Args = M::Args;

    async fn init(args: M::Args, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let Init { state, data, actions } = M::init(args, cx).await?;
        cx.continue_with::<_, Plain>(Begin(actions));
        Ok(Machine::snapshot(state, data))
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Cx<Self>) {
        self.data.terminate(reason, &self.state, cx).await;
    }

    fn format_status(&self) -> String {
        let list = |events: &mut dyn Iterator<Item = String>| events.collect::<Vec<_>>().join(", ");
        let queue = list(&mut self.policy.queue().map(M::format_event));
        let postponed = list(&mut self.policy.postponed().map(M::format_event));
        let timeouts = list(&mut self.policy.timeouts().list().map(|(name, at, event)| match at {
            Some(at) => format!("{name} at {at:?}: {}", M::format_event(event)),
            None => format!("{name} due: {}", M::format_event(event)),
        }));
        let mut text = self.data.format_status(&self.state);
        for (what, list) in [("queue", queue), ("postponed", postponed), ("timeouts", timeouts)] {
            if !list.is_empty() {
                text.push_str(&format!("; {what} [{list}]"));
            }
        }
        text
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        M::accepts(table);
    }

    fn __type_name() -> &'static str {
        std::any::type_name::<M>()
    }

    fn __request_name(name: &'static str) -> &'static str {
        // A variant is a good name for a call, a closure around it is none.
        match name.strip_suffix("::{{constructor}}") {
            Some(variant) => variant,
            None => std::any::type_name::<M::Event>(),
        }
    }

    fn __replace(&mut self, new: Self) {
        self.state = new.state;
        self.data = new.data;
    }
}

impl<M: GenStateMachine> HandleContinue<Begin<M::Event>> for Machine<M> {
    async fn handle_continue(&mut self, Begin(actions): Begin<M::Event>, cx: &mut Cx<Self>) {
        self.transition(false, None, actions, cx);
        self.enter(Entering::Again, cx).await;
        self.drain(cx).await;
    }
}

impl<M: GenStateMachine> HandleContinue<Drain> for Machine<M> {
    async fn handle_continue(&mut self, _: Drain, cx: &mut Cx<Self>) {
        self.drain(cx).await;
    }
}

/// An event, or what becomes one.
impl<M: GenStateMachine, T> HandleCast<T> for Machine<M>
where
    M::Event: From<T>,
    T: Send,
{
    async fn handle_cast(&mut self, message: T, cx: &mut Cx<Self>) {
        self.run(message.into(), cx).await;
    }
}

/// An event, or what becomes one: `Down` and `Exit` if the machine monitors or traps exits.
impl<M: GenStateMachine, T> HandleInfo<T> for Machine<M>
where
    M::Event: From<T>,
    T: Send,
{
    async fn handle_info(&mut self, message: T, cx: &mut Cx<Self>) {
        self.run(message.into(), cx).await;
    }
}

impl<M: GenStateMachine> HandleInfo<Rang, OrCrash> for Machine<M> {
    async fn handle_info(&mut self, Rang(alarm): Rang, cx: &mut Cx<Self>) -> Result<(), crate::Crash> {
        self.alarms.remove(&alarm);
        let event = self.policy.rang(alarm, &mut self.steps);
        self.set_alarms(cx);
        if let Some(event) = event {
            self.run(event, cx).await;
        }
        Ok(())
    }
}

/// A call of a machine: a function that makes an event of the handle to answer with. Always inferred.
#[doc(hidden)]
pub struct ByEvent<R>(std::marker::PhantomData<R>);

#[diagnostic::do_not_recommend]
impl<M, F, R> CallFor<Machine<M>, ByEvent<R>> for F
where
    M: GenStateMachine,
    F: FnOnce(ReplyTo<R>) -> M::Event + Send + 'static,
    R: Send + 'static,
{
    type Reply = R;
    const READ: bool = false;
    const SYNC: bool = false;
    const LIMIT: u64 = u64::MAX;

    async fn __run<'a>(self, machine: &'a mut Machine<M>, cx: &'a mut Cx<Machine<M>>) -> Flow<R> {
        let (from, mut answer) = shape::promise();
        machine.handle(self(from), cx).await;
        let mut in_a_row = 0;
        loop {
            if let Some(reason) = cx.marks.stop_reason() {
                return answer.at_stop(reason);
            }
            if let Some(reply) = answer.take() {
                // The caller need not wait for the rest.
                if !machine.policy.is_idle() {
                    cx.continue_with::<_, Plain>(Drain);
                }
                return Flow::Reply(reply);
            }
            let Some(event) = machine.next(cx) else { return Flow::Later(answer) };
            machine.handle_queued(event, cx).await;
            in_a_row += 1;
            if in_a_row % IN_A_ROW == 0 {
                crate::process::yield_now().await;
            }
        }
    }

    fn __read(self, _: &Machine<M>, _: &ReadCx<Machine<M>>) -> Flow<R> {
        unreachable!("not a read")
    }
}
