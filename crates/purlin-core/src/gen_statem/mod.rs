//! GenStateMachine: a process with a state, in the sense of an automaton, and the events that it handles in the light of it.
//!
//! Erlang's `gen_statem`, Elixir's `GenStateMachine`. A [GenServer](crate::gen_server) handles each message in the same way; what a state machine does with an
//! event depends on the state that it is in. Beyond that it can put an event off until its state is another one, insert events of its own, and set
//! timeouts that are bound to a state. This page is tutorial and specification.
//!
//! # Example
//! A door with a code. Locked, it takes buttons; open, it locks itself after ten seconds, and buttons have to wait until it has.
//! ```
//! use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, ReplyTo, secs, gen_statem::Init};
//!
//! struct Door {
//!     code: Vec<char>,
//!     typed: Vec<char>,
//! }
//!
//! #[derive(Clone, Copy, PartialEq, Debug)]
//! enum Lock { Locked, Open }
//!
//! #[derive(Debug)]
//! enum Event {
//!     Button(char),                        // a cast
//!     IsOpen(ReplyTo<bool>),               // a call
//!     SetCode(String, ReplyTo<()>),        // a call with an argument
//!     Relock,                              // a timeout
//! }
//!
//! impl GenStateMachine for Door {
//!     type Args = &'static str;
//!     type State = Lock;
//!     type Event = Event;
//!
//!     async fn init(code: &'static str, _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
//!         Ok(Init::new(Lock::Locked, Door { code: code.chars().collect(), typed: Vec::new() }))
//!     }
//!
//!     async fn handle_event(&mut self, state: &Lock, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
//!         match (state, event) {
//!             (Lock::Locked, Event::Button(button)) => {
//!                 self.typed.push(button);
//!                 if self.typed.ends_with(&self.code) {
//!                     self.typed.clear();
//!                     Next::state(Lock::Open).state_timeout(secs(10), Event::Relock)
//!                 } else {
//!                     Next::keep()
//!                 }
//!             },
//!             (Lock::Open, Event::Relock) => Next::state(Lock::Locked),
//!             (Lock::Open, Event::SetCode(code, from)) => {
//!                 self.code = code.chars().collect();
//!                 Next::keep().reply(from, ())
//!             },
//!             (state, Event::IsOpen(from)) => Next::keep().reply(from, *state == Lock::Open),
//!             // Everything else waits for the other state.
//!             (_, event) => Next::keep().postpone(event),
//!         }
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! # let node = purlin_core::Node::builder().simulated(1).start();
//! # node.scope(async {
//! let door = Door::start("42").await?;                                 // waits for `init`
//! assert!(!door.call(Event::IsOpen).await?);
//! door.cast(Event::Button('4'));
//! door.cast(Event::Button('2'));
//! assert!(door.call(Event::IsOpen).await?);
//! door.call(|from| Event::SetCode("7".to_owned(), from)).await?;
//! door.cast(Event::Button('7'));                                       // waits until the door is locked again
//! assert!(door.call(Event::IsOpen).await?);
//! purlin_core::process::sleep(secs(11)).await;                         // it is locked, then the button comes, and opens it again
//! assert!(door.call(Event::IsOpen).await?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Client and server
//! [`Door::start`](GenStateMachine::start) answers a [`Ref<Machine<Door>>`](crate::Ref): a machine *is* a server, [`Machine<Door>`](Machine). Handles, names, links, monitors,
//! [`stop`](crate::Ref::stop), bounded mailboxes, supervision, [`sys`](crate::sys), telemetry and crash reports are those of [`gen_server`](crate::gen_server), whose page holds
//! here too: order, what fails how, calls in place, `terminate`.
//!
//! | verb | the machine's event | waits for |
//! |---|---|---|
//! | [`call(Event::IsOpen).await`](crate::Ref::call) | what the function makes of the [`ReplyTo`](crate::ReplyTo) | the reply, **for ever** unless [`timeout`](crate::CallFuture::timeout) says otherwise |
//! | [`cast(event)`](crate::Ref::cast), [`send(event)`](crate::Ref::send), [`process::send(pid, event)`](crate::process::send) | `event`, or [`Event::from(it)`](From) | nothing |
//!
//! A call is a function from the handle to answer with to an event: a variant that holds nothing but the handle, or a closure, which needs `move` if it uses variables. The
//! event *is* the call. It can be answered in any state, postponed and answered later, kept in the data, or handed to another process; dropped
//! unanswered, the call fails at once. A machine that stops without having answered tells its callers the reason.
//!
//! With `Event: From<Down>` a machine can monitor, with `Event: From<Exit>` trap exits; without it, this does not compile:
//! ```
//! # use purlin_core::{Cx, ExitReason, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
//! use purlin_core::{Down, Pid};
//!
//! struct Lease;
//!
//! #[derive(Debug)]
//! enum Event { OwnerGone(ExitReason) }
//!
//! impl From<Down> for Event {
//!     fn from(down: Down) -> Event { Event::OwnerGone(down.reason) }
//! }
//!
//! impl GenStateMachine for Lease {
//!     type Args = Pid;
//!     type State = ();
//!     type Event = Event;
//!     async fn init(owner: Pid, cx: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
//!         cx.monitor(owner);
//!         Ok(Init::new((), Lease))
//!     }
//!     async fn handle_event(&mut self, _: &(), Event::OwnerGone(reason): Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
//!         Next::stop(reason)
//!     }
//! }
//! ```
//!
//! # Return values
//! | `init` | | Erlang |
//! |---|---|---|
//! | `Ok(Init::new(state, data))`, with actions | the handle goes to the starter, then the state is entered | `{ok, S, D, Actions}` |
//! | `Err(..)` | as for [GenServers](crate::gen_server#init) | `ignore`, `{stop, R}` |
//!
//! | `handle_event` | what happens | Erlang |
//! |---|---|---|
//! | [`Next::state(s)`](Next::state) | the state is `s`; if that is another one, it is entered and postponed events come back | `{next_state, S, D}` |
//! | [`Next::keep()`](Next::keep) | nothing | `keep_state_and_data` |
//! | [`Next::repeat()`](Next::repeat) | the state is entered again | `repeat_state_and_data` |
//! | [`Next::stop(reason)`](Next::stop), [`cx.stop(reason)`](crate::Cx::stop) | `terminate`, then the end | `{stop, R, D}` |
//! | `Err(crash).into()` | the same; lets a part of the machine use `?` | |
//! | a panic | the same, with reason `Panic` | an exception |
//!
//! | action | of `init` | of `handle_event` | of `handle_enter` | Erlang |
//! |---|---|---|---|---|
//! | [`reply(from, answer)`](Next::reply) | | yes | yes | `{reply, From, V}` |
//! | [`postpone(event)`](Next::postpone) | | yes | | `postpone` |
//! | [`next_event(event)`](Next::next_event) | yes | yes | | `{next_event, Type, V}` |
//! | [`state_timeout(d, event)`](Next::state_timeout) | yes | yes | yes | `{state_timeout, D, V}` |
//! | [`timeout(d, event)`](Next::timeout) | yes | yes | yes | `{timeout, D, V}` |
//! | [`generic_timeout(name, d, event)`](Next::generic_timeout) | yes | yes | yes | `{{timeout, Name}, D, V}` |
//! | `…_at(time, event)` | yes | yes | yes | `[{abs, true}]` |
//! | `update_…(event)`, `cancel_…()` | yes | yes | yes | `{Kind, update, V}`, `{Kind, cancel}` |
//! | [`hibernate()`](Next::hibernate) | yes | yes | yes | `hibernate` |
//!
//! ## What happens after an event
//! 1. Replies were given when the callback said so.
//! 2. An event that is to be postponed joins the postponed ones.
//! 3. If the state has changed, all postponed events go to the front of the queue, in the order in which they arrived.
//! 4. Inserted events go in front of them.
//! 5. The event timeout goes off, and the state timeout if the state has changed; then timeouts are set and taken off, as the callback asked.
//! 6. If the state has changed, or is repeated, `handle_enter` is called, and its actions are done.
//! 7. The next event comes from the queue; else it is a timeout of zero time; else the next message of the mailbox.
//!
//! The caller of the event gets its reply after step 6; it does not wait for the rest.
//!
//! # Entering states
//! [`handle_enter`](GenStateMachine::handle_enter) is called for the first state, for each one that the machine goes to, and for one that is repeated. What it returns, an
//! [`Enter`], cannot change the state, postpone or insert: a state begins with everything that belongs to it before it sees an event.
//! ```
//! # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
//! use purlin_core::{Enter, secs};
//!
//! struct Light { switched: u32 }
//!
//! #[derive(Clone, Copy, PartialEq, Debug)]
//! enum State { Red, Green }
//!
//! impl GenStateMachine for Light {
//!     type Args = ();
//!     type State = State;
//!     type Event = State;
//!     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> {
//!         Ok(Init::new(State::Red, Light { switched: 0 }))
//!     }
//!     async fn handle_enter(&mut self, old: &State, state: &State, _: &mut Cx<Machine<Self>>) -> Enter<Self> {
//!         self.switched += u32::from(old != state);
//!         match state {
//!             State::Red => Enter::keep().state_timeout(secs(30), State::Green),
//!             State::Green => Enter::keep().state_timeout(secs(20), State::Red),
//!         }
//!     }
//!     async fn handle_event(&mut self, _: &State, next: State, _: &mut Cx<Machine<Self>>) -> Next<Self> {
//!         Next::state(next)
//!     }
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! # let node = purlin_core::Node::builder().simulated(1).start();
//! # node.scope(async {
//! # let light = Light::start(()).await.unwrap();
//! # purlin_core::process::sleep(secs(31)).await;
//! # assert_eq!(purlin_core::sys::inspect_state(&light, |light| (*light.state(), light.data().switched)).await, Ok((State::Green, 1)));
//! # }).await;
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Timeouts
//! | | comes unless, meanwhile, | how many |
//! |---|---|---|
//! | state timeout | the state changes | one |
//! | event timeout | any event is handled, of any kind | one |
//! | generic timeout | | one per name |
//!
//! In each of them the event lies ready, and is handled like any other when the time has come: never early, and as late as the events before it take. Setting a timeout that is on
//! replaces it; a suspended machine's timeouts wait with its events. They go with the process, and reach it also when its mailbox is bounded and full.
//!
//! ```
//! # use std::time::Duration;
//! # use purlin_core::{GenStateMachine, Next, secs};
//! # fn f<M: GenStateMachine>(now: Duration, remind: M::Event, give_up: M::Event, idle: M::Event, idler: M::Event) -> Next<M> {
//! Next::keep()
//!     .state_timeout_at(now + secs(3600), give_up)       // a time of the node's clock: `cx.node().now()`
//!     .generic_timeout_at("reminder", now + secs(600), remind)
//!     .timeout_at(now + secs(60), idle)
//!     .update_timeout(idler)                             // the same time, another event
//! # }
//! # fn g<M: GenStateMachine>(remind: M::Event, give_up: M::Event) -> Next<M> {
//! # Next::keep()
//!     .update_state_timeout(give_up)
//!     .update_generic_timeout("reminder", remind)
//! # }
//! # fn h<M: GenStateMachine>() -> Next<M> {
//! # Next::keep()
//!     .cancel_state_timeout()
//!     .cancel_timeout()
//! # }
//! ```
//! A timeout of zero time is no timer: it is handled as soon as the queue is empty, before any message. `Duration::MAX` never comes. A state timeout that each event sets anew costs
//! about as much as reading the clock: the timer behind it stays where it is and, when it rings too early, is set again.
//!
//! # One function per state
//! Erlang's callback mode `state_functions` is a `match` of one line per state; write the functions, without `async` if they do not wait:
//! ```
//! # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, ReplyTo, gen_statem::Init};
//! # struct Switch;
//! # #[derive(Clone, Copy, PartialEq, Debug)]
//! # enum State { Off, On }
//! # #[derive(Debug)]
//! # enum Event { Flip, Get(ReplyTo<bool>) }
//! impl Switch {
//!     fn off(&mut self, event: Event) -> Next<Self> {
//!         match event {
//!             Event::Flip => Next::state(State::On),
//!             event => self.any(State::Off, event),
//!         }
//!     }
//!
//!     fn on(&mut self, event: Event) -> Next<Self> {
//!         match event {
//!             Event::Flip => Next::state(State::Off),
//!             event => self.any(State::On, event),
//!         }
//!     }
//!
//!     /// What is the same in every state.
//!     fn any(&mut self, state: State, event: Event) -> Next<Self> {
//!         match event {
//!             Event::Get(from) => Next::keep().reply(from, state == State::On),
//!             event => Next::keep().postpone(event),
//!         }
//!     }
//! }
//!
//! impl GenStateMachine for Switch {
//!     type Args = ();
//!     type State = State;
//!     type Event = Event;
//! #   async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new(State::Off, Switch)) }
//!     async fn handle_event(&mut self, state: &State, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> {
//!         match state {
//!             State::Off => self.off(event),
//!             State::On => self.on(event),
//!         }
//!     }
//! }
//! ```
//! A state may hold values (`Waiting { since: Duration }`), whose end is then the end of the state: two states are the same if they are equal.
//!
//! # When not to use a state machine
//! * **When the state changes nothing but answers.** A GenServer with an `enum` in its state is less to read.
//! * **For a sequence that nobody interrupts**: first this, then that. An `async fn` is a state machine, written by the compiler; a
//!   [free-form process](crate::process::spawn) has a mailbox besides.
//! * **For the life of a business object** (an order that is paid, packed, sent). Its state is a column of the database.
//!
//! # Supervise it
//! ```
//! # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
//! # struct Door;
//! # impl GenStateMachine for Door {
//! #     type Args = &'static str; type State = (); type Event = ();
//! #     async fn init(_: &'static str, _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new((), Door)) }
//! #     async fn handle_event(&mut self, _: &(), _: (), _: &mut Cx<Machine<Self>>) -> Next<Self> { Next::keep() }
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{Name, Restart, Supervisor};
//!
//! const DOOR: Name<Machine<Door>> = Name::new("door");
//!
//! Supervisor::one_for_one()
//!     .child(Door::child_spec("42").name(&DOOR).restart(Restart::Transient))
//!     .start_link()
//!     .await?;
//! DOOR.cast(());                                     // or `Door::named("door")`
//! let other = Door::start("7").await?;
//! # drop(other);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A restarted machine begins in the state that `init` gives it. What must outlive it (a queue of work, the time at which something is due) belongs into a database or a table.
//!
//! # Debug it
//! [`sys::get_status`](crate::sys::get_status) and crash reports show state and data by [`format_status`](GenStateMachine::format_status), and the events that are queued or postponed and the timeouts that are set by
//! [`format_event`](GenStateMachine::format_event). [`sys::get_state`](crate::sys::get_state) answers a [`Machine`]: a snapshot of state and data.
//! ```
//! # use purlin_core::{Cx, GenStateMachine, InitError, Machine, Next, gen_statem::Init};
//! # #[derive(Clone)] struct Door;
//! # #[derive(Clone, Copy, PartialEq, Debug)] enum Lock { Locked }
//! # #[derive(Debug)] enum Event { Knock }
//! # impl GenStateMachine for Door {
//! #     type Args = (); type State = Lock; type Event = Event;
//! #     async fn init(_: (), _: &mut Cx<Machine<Self>>) -> Result<Init<Self>, InitError> { Ok(Init::new(Lock::Locked, Door)) }
//! #     async fn handle_event(&mut self, _: &Lock, event: Event, _: &mut Cx<Machine<Self>>) -> Next<Self> { Next::keep().postpone(event) }
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::sys;
//! let door = Door::start(()).await?;
//! door.cast(Event::Knock);
//! assert_eq!(sys::get_status(door.pid()).await?.state, "Locked, Door; postponed [Knock]");
//! assert_eq!(*sys::get_state(&door).await?.state(), Lock::Locked);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Differences from Erlang
//! * State, data and events are typed. There is one type of events; calls, casts, messages and timeouts are told apart by its variants, and an event that no state
//!   handles is a missing arm of a `match`. So there is no bad return, no bad action, and no unknown state function.
//! * There is no callback mode: `handle_event` is what Erlang calls `handle_event_function`, and implementing `handle_enter` is what `state_enter` is.
//! * To postpone an event is to give it back, so one cannot postpone and take that back in one list of actions.
//! * Data is changed in place. After a panic, `terminate` and the crash report see it as the handler left it; the state is the one it was handled in.
//! * An inserted event is not marked as such (Erlang's type `internal`). Where it matters, make a variant that others cannot make, with a value of a private type in it.
//! * The actions of an event are done before the state is entered, not together with those of `handle_enter`: what that one asks of a timeout still comes last and counts.
//! * A machine's module cannot be exchanged while it runs (`change_callback_module`): give the data an `enum` of what the machine can be, and let `handle_event` match on it.
//! * The reply to the call that is being handled leaves when the handler, and `handle_enter` if it comes to that, have returned, not while they wait for something else. If one of them
//!   panics after it has answered, the caller is told of the panic.
//! * A call that is answered by an event which stops the machine gets its reply when the process has ended, as with GenServers.

mod machine;
mod next;
mod policy;
mod timeouts;
mod traits;

pub use machine::{ByEvent, Machine};
pub use next::{Enter, Init, Next};
pub use timeouts::TimeoutName;
pub use traits::GenStateMachine;
