//! Purlin is OTP for Rust: supervised, isolated processes with mailboxes, links and monitors, and on them what an Elixir team reaches for.
//!
//! ```
//! use purlin::prelude::*;
//!
//! struct Counter { value: i64 }
//!
//! #[gen_server]
//! impl Counter {
//!     fn init(start: i64) -> Self { Counter { value: start } }
//!
//!     #[call] fn increment(&mut self, by: i64) -> i64 { self.value += by; self.value }
//!     #[call] fn get(&self) -> i64 { self.value }     // `&self`: reads run in parallel
//!     #[cast] fn reset(&mut self) { self.value = 0 }
//! }
//!
//! #[purlin::main]
//! async fn main() -> Result<()> {
//!     Supervisor::one_for_one().child(Counter::child_spec(0).name("counter")).start_link().await?;
//!
//!     let counter = Counter::named("counter");        // whoever has the name: survives restarts
//!     println!("{}", counter.increment(5).await?);    // a call: typed reply, 5 s deadline
//!     counter.reset();                                // a cast: nobody waits
//!     println!("{}", counter.get().await?);
//!     Ok(())
//! }
//! ```
//!
//! # A server
//! A *server* is a state and the messages it handles, one at a time, in a process of its own. [`macro@gen_server`] writes the traits
//! [`GenServer`], [`HandleCall`], [`HandleRead`], [`HandleCast`], [`HandleInfo`] and [`HandleContinue`] from an `impl` block; they can be
//! written by hand just as well. A typed message that nobody handles does not compile.
//!
//! What a server looks like from outside is a [`Ref`] (this process) or a [`Name`] (whoever has the name now). Both have the server's
//! own methods. A call returns a [`Call`], which waits for 5 s unless told otherwise:
//!
//! ```
//! # use purlin::prelude::*;
//! # struct Counter { value: i64 }
//! # #[gen_server]
//! # impl Counter {
//! #     fn init(start: i64) -> Self { Counter { value: start } }
//! #     #[call] fn get(&self) -> i64 { self.value }
//! # }
//! # #[purlin::main]
//! # async fn main() -> Result<()> {
//! let counter = Counter::start(7).await?;
//! assert_eq!(counter.get().timeout(secs(1)).await?, 7);
//! counter.stop().await?;
//! let error = counter.get().await.unwrap_err();
//! assert!(error.is_no_proc());
//! # Ok(())
//! # }
//! ```
//!
//! # Let it crash
//! A panic in a handler, or an error that it passes on with `?` in a `Result<R, Crash>`, ends the process with that as its
//! [`ExitReason`]; whoever is linked to it or monitors it is told, and nothing else is touched. Failures that the caller should see are
//! replies: a handler may return `Result<R, MyError>` like anything else.
//!
//! A [`Supervisor`] starts such a process again, up to a limit and together with those that depend on it; a [`DynamicSupervisor`] does so for
//! many processes of a kind. A [`Registry`] finds processes by any key, and a [`PartitionSupervisor`] splits one busy server into several by a key.
//!
//! An [`Agent`] is a state without a server of its own; a [`PubSub`] tells many processes one thing; a [`Pg`] groups processes; an
//! [`EventManager`] shows events to handlers that come and go.
//!
//! # Where things are
//! * [`prelude`]: what most files need.
//! * [`process`]: processes that are no servers; links, monitors, exit signals, names.
//! * [`gen_statem`]: state machines.
//! * [`supervisor`], [`registry`]: trees of processes, and how to find one.
//! * [`agent`], [`pubsub`], [`pg`], [`gen_event`]: shared state, messages to many, groups, events.
//! * [`application`]: the parts of a program, their configuration, the order in which they start and stop.
//! * [`supervisor`], [`registry`]: trees of processes, and how to find one. [`task`]: work in processes of its own.
//! * [`node`]: what owns the processes; several live in one program.
//! * [`sys`]: looking into running processes. [`telemetry`]: events for metrics and logs.
//! * [`macro@main`]: a program; it stops in order when it is asked to. [`macro@test`]: a test, in real time or simulated.
#![forbid(unsafe_code)]

mod checks;
#[cfg(feature = "config")]
pub mod config;
mod main_support;

// No documentation here: rustdoc would put it in front of that of every item.
#[doc(inline)]
pub use purlin_core::*;
#[doc(inline)]
pub use purlin_macros::{gen_server, main, test};

/// A result whose error, unless another type is given, is any error: for `main`, tests and examples.
///
/// ```
/// fn parse(text: &str) -> purlin::Result<i64> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("seven").is_err());
/// ```
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Waits for the first of several futures, and drops the others: [`tokio::select!`](https://docs.rs/tokio/latest/tokio/macro.select.html) with
/// the branches polled in the order in which they are written.
///
/// Tokio's own picks the branch to poll first by random numbers of its own, which no seed decides: a simulated test that uses it cannot be repeated.
/// Put what must not be starved (a stop, a deadline) first, and what is always ready last.
///
/// ```
/// # purlin_test::Sim::new().seeds(3).run_with(async |_, mut mailbox: purlin::Mailbox<u8>| {
/// use purlin::prelude::*;
/// let news = purlin::select! {
///     n = mailbox.receive() => Some(n),
///     () = process::sleep(secs(1)) => None,
/// };
/// assert_eq!(news, None);
/// # });
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__private::tokio::select! { biased; $($branches)* }
    };
}

/// What most files need: `use purlin::prelude::*;`.
pub mod prelude {
    #[doc(inline)]
    pub use crate::Restart::{Permanent, Temporary, Transient};
    #[doc(inline)]
    pub use crate::gen_statem::Init;
    #[doc(inline)]
    pub use crate::{
        Address, Agent, AnyMsg, Application, ApplicationSpec, AutoShutdown, Call, CallError, CallErrorKind,
        Child, ChildSpec, Crash, Cx, Down, DynamicSupervisor, DynamicSupervisorRef, Enter, EventCx,
        EventHandler, EventManager, Exit, ExitReason, GenServer, GenStateMachine, GroupEvent, HandleCall,
        HandleCast, HandleContinue, HandleInfo, HandleRead, HandlerCall, HandlerError, HandlerExit,
        HandlerId, InitError, Machine, Mailbox, MailboxBound, MonitorRef, MonitorTarget, Name, Next, Node,
        OrCrash, OrLater, Overflow, PartitionSupervisor, Pg, PgError, Pid, Plain, PubSub, PubSubError,
        ReadCx, Ref, RegisterError, Registry, RegistryError, RegistryEvent, Removal, Reply, ReplyTo,
        RequestIds, Restart, Result, Shutdown, StartChildError, StartError, StopError, Supervise, Supervised,
        Supervisor, SupervisorRef, SupervisorSpec, Task, TaskError, TaskSupervisor, TaskSupervisorRef, Term,
        Timeout, TimerRef, TryCastError, application, millis, process, secs, sys, telemetry,
    };
    #[doc(inline)]
    pub use purlin_macros::gen_server;
}

/// What the macros expand to uses this; it is no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use core::convert::Into;
    pub use core::marker::PhantomData;
    pub use core::result::Result;
    pub use core::unreachable;
    pub use std::process::ExitCode;
    pub use std::string::String;

    pub use tokio;

    pub use purlin_core::ExitReason;
    pub use purlin_core::gen_server::{
        Accepts, Client, Crash, Cx, GenServer, Handle, HandleCall, HandleCast, HandleContinue, HandleInfo,
        HandleRead, InitError, OrCrash, OrLater, Plain, ReadCx, Reply, Target, call, cast_to,
    };

    pub use crate::checks::{
        Look, MessageCheck, ReadCheck, ReplyCheck, Returned, SharedCheck, StateCheck, reply_in_full,
    };
    pub use crate::main_support::Program;
}
