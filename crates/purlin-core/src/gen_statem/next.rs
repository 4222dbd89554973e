//! What a machine's callbacks return: the next state, and actions.
//!
//! The three types share the actions that all of them may ask for. What a callback must not do is no method of what it returns: entering a state can
//! neither change the state, nor postpone, nor insert events.

use std::time::Duration;

use super::policy::Actions;
use super::timeouts::{Kind, Set, TimeoutName};
use super::traits::GenStateMachine;
use crate::gen_server::{Crash, ReplyTo};
use crate::process::exit_reason::ExitReason;

/// What becomes of the state.
pub(super) enum Change<S> {
    State(S),
    Keep,
    Repeat,
    Stop(ExitReason),
}

/// What [`handle_event`](GenStateMachine::handle_event) returns: the next state, and actions.
///
/// ```
/// # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, millis, secs, gen_statem::Init};
/// # #[derive(Clone, Copy, Debug, PartialEq)] enum Lamp { Off, On }
/// # #[derive(Debug)] enum Event { Push, Tick, Dim }
/// # struct Data;
/// # impl GenStateMachine for Data {
/// #     type Args = (); type State = Lamp; type Event = Event;
/// #     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new(Lamp::Off, Data)) }
/// async fn handle_event(&mut self, state: &Lamp, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
///     match (state, event) {
///         (Lamp::Off, Event::Push) => Next::state(Lamp::On)              // `On` lasts ten seconds at most,
///             .state_timeout(secs(10), Event::Push)
///             .generic_timeout("dim", secs(8), Event::Dim),              // and gets darker before
///         (Lamp::On, Event::Push) => Next::state(Lamp::Off).cancel_generic_timeout("dim"),
///         (_, Event::Dim) => Next::keep(),
///         (_, Event::Tick) => Next::keep().timeout(millis(50), Event::Tick),
///     }
/// }
/// # }
/// ```
#[must_use = "return it from `handle_event`"]
pub struct Next<M: GenStateMachine> {
    pub(super) change: Change<M::State>,
    pub(super) postpone: Option<M::Event>,
    pub(super) actions: Actions<M::Event>,
}

impl<M: GenStateMachine> Next<M> {
    #[inline]
    fn new(change: Change<M::State>) -> Next<M> {
        Next { change, postpone: None, actions: Actions::new() }
    }

    /// Goes on in this state. If it is another one than the present: the state timeout is taken off, [`handle_enter`](GenStateMachine::handle_enter) is called,
    /// and all postponed events are handled again, in the order in which they arrived, before any other. If it is the same, this is [`keep`](Self::keep).
    ///
    /// Erlang: `{next_state, S, D}`.
    #[inline]
    pub fn state(state: M::State) -> Next<M> {
        Next::new(Change::State(state))
    }

    /// Stays in the state. Erlang: `keep_state_and_data`, or `{keep_state, D}`.
    #[inline]
    pub fn keep() -> Next<M> {
        Next::new(Change::Keep)
    }

    /// Stays in the state, and calls [`handle_enter`](GenStateMachine::handle_enter) again. Nothing else comes with it: the state timeout stays, postponed
    /// events stay postponed. Erlang: `repeat_state_and_data`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, Enter, GenStateMachine, InitError, Machine, Next, ReplyTo, gen_statem::Init};
    ///
    /// struct Retries(u32);
    ///
    /// #[derive(Debug)]
    /// enum Event { Again, Count(ReplyTo<u32>) }
    ///
    /// impl GenStateMachine for Retries {
    ///     type Args = ();
    ///     type State = ();
    ///     type Event = Event;
    ///
    ///     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
    ///         Ok(Init::new((), Retries(0)))
    ///     }
    ///     async fn handle_enter(&mut self, _: &(), _: &(), _: &mut Cx<Machine<Self>>) -> Enter<Self> {
    ///         self.0 += 1;
    ///         Enter::keep()
    ///     }
    ///     async fn handle_event(&mut self, _: &(), event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
    ///         match event {
    ///             Event::Again => Next::repeat(),
    ///             Event::Count(from) => Next::keep().reply(from, self.0),
    ///         }
    ///     }
    /// }
    ///
    /// let retries = Retries::start(()).await?;
    /// retries.cast(Event::Again);
    /// assert_eq!(retries.call(Event::Count).await?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    #[inline]
    pub fn repeat() -> Next<M> {
        Next::new(Change::Repeat)
    }

    /// Stops the machine with this reason; [`terminate`](GenStateMachine::terminate) runs first. Actions but replies are not looked at any more. Calls
    /// that are not answered fail with `Exit(reason)`. Erlang: `{stop, R, D}`, and with [`reply`](Self::reply) `{stop_and_reply, R, Replies, D}`.
    #[inline]
    pub fn stop(reason: ExitReason) -> Next<M> {
        Next::new(Change::Stop(reason))
    }

    /// Keeps the event for another state: it is handled again, before newer events, each time the state has changed. Give the event back as it is:
    ///
    /// ```
    /// # use purlin_core::{GenStateMachine, Next};
    /// # fn f<M: GenStateMachine>(event: M::Event) -> Next<M> {
    /// Next::keep().postpone(event)
    /// # }
    /// ```
    ///
    /// There is no limit to how many events are postponed; what should not wait for ever needs a timeout, or a state in which it is refused.
    #[inline]
    pub fn postpone(mut self, event: M::Event) -> Self {
        self.postpone = Some(event);
        self
    }

    /// Inserts an event, to be handled before every other, those that come back from being postponed included. Several keep their order.
    pub fn next_event(mut self, event: M::Event) -> Self {
        self.actions.next_event(event);
        self
    }
}

/// Lets a part of a machine use `?`: what it returns becomes a `Next` by `.into()`, and an error stops the machine.
///
/// ```
/// use purlin_core::{Crash, Cx, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
///
/// struct Meter(u64);
///
/// impl Meter {
///     fn reading(&mut self, text: &str) -> Result<Next<Self>, Crash> {
///         self.0 = text.parse()?;                                        // the machine's end
///         Ok(Next::keep())
///     }
/// }
///
/// impl GenStateMachine for Meter {
///     type Args = ();
///     type State = ();
///     type Event = &'static str;
/// #   async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new((), Meter(0))) }
///     async fn handle_event(&mut self, _: &(), text: &'static str, _: &mut Cx<Machine<Self>>) -> Next<Self> {
///         self.reading(text).into()
///     }
/// }
/// ```
impl<M: GenStateMachine> From<Result<Next<M>, Crash>> for Next<M> {
    fn from(result: Result<Next<M>, Crash>) -> Self {
        result.unwrap_or_else(|crash| Next::stop(crash.reason().clone()))
    }
}

/// What [`handle_enter`](GenStateMachine::handle_enter) returns: actions, or the end. The state stays what it is.
///
/// ```
/// # use purlin_core::{Cx, Enter, GenStateMachine, InitError, Machine, Next, secs, gen_statem::Init};
/// # #[derive(Clone, Copy, Debug, PartialEq)] enum Door { Locked, Open }
/// # #[derive(Debug)] enum Event { Lock }
/// # struct Data;
/// # impl GenStateMachine for Data {
/// #     type Args = (); type State = Door; type Event = Event;
/// #     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new(Door::Open, Data)) }
/// #     async fn handle_event(&mut self, _: &Door, _: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> { Next::state(Door::Locked) }
/// async fn handle_enter(&mut self, _: &Door, state: &Door, _: &mut Cx<Machine<Self>>) -> Enter<Self> {
///     match state {
///         Door::Open => Enter::keep().state_timeout(secs(10), Event::Lock),
///         Door::Locked => Enter::keep().hibernate(),
///     }
/// }
/// # }
/// ```
#[must_use = "return it from `handle_enter`"]
pub struct Enter<M: GenStateMachine> {
    pub(super) stop: Option<ExitReason>,
    pub(super) actions: Actions<M::Event>,
}

impl<M: GenStateMachine> Enter<M> {
    /// Stays.
    #[inline]
    pub fn keep() -> Enter<M> {
        Enter { stop: None, actions: Actions::new() }
    }

    /// Stops the machine, in the state that it has just entered.
    ///
    /// ```
    /// use purlin_core::{Enter, ExitReason, GenStateMachine};
    /// fn broken<M: GenStateMachine>() -> Enter<M> {
    ///     Enter::stop(ExitReason::error("no such state"))
    /// }
    /// ```
    pub fn stop(reason: ExitReason) -> Enter<M> {
        Enter { stop: Some(reason), actions: Actions::new() }
    }
}

/// What [`init`](GenStateMachine::init) returns: the first state, the data, and actions.
///
/// ```
/// # use purlin_core::{GenStateMachine, secs, gen_statem::Init};
/// # fn f<M: GenStateMachine>(locked: M::State, door: M, tick: M::Event, give_up: M::Event) -> Init<M> {
/// Init::new(locked, door)
///     .next_event(tick)                              // before everything that is in the mailbox
///     .state_timeout(secs(60), give_up)
/// # }
/// ```
#[must_use = "return it from `init`"]
pub struct Init<M: GenStateMachine> {
    pub(super) state: M::State,
    pub(super) data: M,
    pub(super) actions: Actions<M::Event>,
}

impl<M: GenStateMachine> Init<M> {
    /// Begins in this state. [`handle_enter`](GenStateMachine::handle_enter) is called for it, when the start has returned and before any event.
    pub fn new(state: M::State, data: M) -> Init<M> {
        Init { state, data, actions: Actions::new() }
    }

    /// Inserts an event, to be handled before everything that is in the mailbox. Several keep their order.
    pub fn next_event(mut self, event: M::Event) -> Self {
        self.actions.next_event(event);
        self
    }
}

/// The actions that all three have.
macro_rules! actions {
    ($returned:ident) => {
        /// Actions.
        impl<M: GenStateMachine> $returned<M> {
            #[inline]
            fn set(mut self, kind: Kind, set: Set<M::Event>) -> Self {
                self.actions.set(kind, set);
                self
            }

            /// Answers a call, at once: `from` is the handle that its event carries. `from.reply(answer)` does the same.
            #[inline]
            pub fn reply<R: Send>(self, from: ReplyTo<R>, answer: R) -> Self {
                from.reply(answer);
                self
            }

            /// Handles `event` after `delay`, if the machine is in the same state until then. There is one such timeout: setting it again replaces it, and a change
            /// of the state takes it off, unless what changes the state sets it. `Duration::MAX` takes it off; zero means at once: behind events that are queued
            /// already, before any message in the mailbox.
            #[inline]
            pub fn state_timeout(self, delay: Duration, event: M::Event) -> Self {
                self.set(Kind::State, Set::After(delay, event))
            }

            /// [`state_timeout`](Self::state_timeout) at a time of the node's clock ([`Node::now`](crate::Node::now)). A time in the past is at once, behind what is
            /// in the mailbox.
            pub fn state_timeout_at(self, at: Duration, event: M::Event) -> Self {
                self.set(Kind::State, Set::At(at, event))
            }

            /// Changes the state timeout's event, and not its time. If it is not set, the event comes at once.
            pub fn update_state_timeout(self, event: M::Event) -> Self {
                self.set(Kind::State, Set::Update(event))
            }

            /// Takes the state timeout off.
            pub fn cancel_state_timeout(self) -> Self {
                self.set(Kind::State, Set::Cancel)
            }

            /// Handles `event` if no other event is handled for `delay`: any event takes this timeout off, also an inserted one, or that of another timeout. Times
            /// as for [`state_timeout`](Self::state_timeout).
            #[inline]
            pub fn timeout(self, delay: Duration, event: M::Event) -> Self {
                self.set(Kind::Event, Set::After(delay, event))
            }

            /// [`timeout`](Self::timeout) at a time of the node's clock.
            pub fn timeout_at(self, at: Duration, event: M::Event) -> Self {
                self.set(Kind::Event, Set::At(at, event))
            }

            /// Changes the event of a [`timeout`](Self::timeout) that the same answer sets, perhaps in a part of it that is written elsewhere. None other can be on,
            /// since the event that is being handled has taken it off; then the event comes at once.
            pub fn update_timeout(self, event: M::Event) -> Self {
                self.set(Kind::Event, Set::Update(event))
            }

            /// Takes back a [`timeout`](Self::timeout) of the same answer. One that was set before is off in any case.
            pub fn cancel_timeout(self) -> Self {
                self.set(Kind::Event, Set::Cancel)
            }

            /// Handles `event` after `delay`, whatever the state is then. There is one timeout per name, and any number of names; setting one again replaces it.
            /// Times as for [`state_timeout`](Self::state_timeout).
            pub fn generic_timeout(
                self,
                name: impl Into<TimeoutName>,
                delay: Duration,
                event: M::Event,
            ) -> Self {
                self.set(Kind::Generic(name.into()), Set::After(delay, event))
            }

            /// [`generic_timeout`](Self::generic_timeout) at a time of the node's clock.
            pub fn generic_timeout_at(
                self,
                name: impl Into<TimeoutName>,
                at: Duration,
                event: M::Event,
            ) -> Self {
                self.set(Kind::Generic(name.into()), Set::At(at, event))
            }

            /// Changes the event of a generic timeout, and not its time. If it is not set, the event comes at once.
            pub fn update_generic_timeout(self, name: impl Into<TimeoutName>, event: M::Event) -> Self {
                self.set(Kind::Generic(name.into()), Set::Update(event))
            }

            /// Takes a generic timeout off; one that is not set is no error.
            pub fn cancel_generic_timeout(self, name: impl Into<TimeoutName>) -> Self {
                self.set(Kind::Generic(name.into()), Set::Cancel)
            }

            /// Frees spare memory of the mailbox before the machine waits for its next message. Timeouts go on.
            pub fn hibernate(mut self) -> Self {
                self.actions.hibernate();
                self
            }
        }
    };
}

actions!(Next);
actions!(Enter);
actions!(Init);
