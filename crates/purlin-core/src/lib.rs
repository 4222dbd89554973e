//! The process kernel and the behaviours of Purlin: OTP for Rust.
//!
//! Most programs use the crate `purlin`, which re-exports everything here together with the attribute macros. Libraries that build on Purlin
//! depend on this crate.
#![allow(unsafe_code, reason = "this crate holds the kernel's unsafe code; each block says why it is sound")]

pub mod agent;
pub mod application;
pub(crate) mod call;
pub mod gen_event;
pub mod gen_server;
pub mod gen_statem;
pub mod hash;
pub(crate) mod mailbox;
pub mod node;
pub mod pg;
pub mod process;
pub mod pubsub;
pub mod registry;
pub(crate) mod rt;
pub mod supervisor;
pub(crate) mod sync;
pub mod sys;
pub mod task;
pub mod telemetry;
pub(crate) mod timer;

pub use agent::Agent;
pub use application::{Application, ApplicationSpec};
pub use call::error::{CallError, CallErrorKind};
pub use gen_event::{
    EventCx, EventHandler, EventManager, HandlerCall, HandlerError, HandlerExit, HandlerId, Removal,
};
pub use gen_server::{
    Call, CallFor, CallFuture, CastFor, CastWait, ContinueFor, Crash, Cx, DEFAULT_CALL_TIMEOUT, GenServer,
    HandleCall, HandleCast, HandleContinue, HandleInfo, HandleRead, InfoFor, InitError, Monitors, Name,
    NoResponse, OrCrash, OrLater, Plain, ReadCx, ReadInParallel, Recipient, Ref, Reply, ReplyTo, Request,
    RequestIds, Shape, Start, StartError, StopError, Timeout, TrapsExits, TryCastError,
};
pub use gen_statem::{Enter, GenStateMachine, Machine, Next};
pub use mailbox::bound::{MailboxBound, Overflow};
pub use node::names::RegisterError;
pub use node::{CallPath, Node, NodeBuilder, NodeStats};
pub use pg::{GroupEvent, GroupMonitor, Pg, PgBuilder, PgError};
pub use process::{
    Address, AliasMode, AnyMsg, Down, Exit, ExitReason, Mailbox, MonitorRef, MonitorTarget, PanicInfo, Pid,
    Term,
};
pub use pubsub::{PubSub, PubSubBuilder, PubSubError, PubSubServer};
pub use registry::{Registry, RegistryBuilder, RegistryError, RegistryEvent, RegistryServer};
pub use supervisor::{
    AutoShutdown, Child, ChildSpec, DynamicSupervisor, DynamicSupervisorRef, DynamicSupervisorSpec,
    PartitionError, PartitionSupervisor, PartitionSupervisorSpec, Restart, Shutdown, StartChildError,
    Supervise, Supervised, Supervisor, SupervisorRef, SupervisorSpec,
};
pub use task::{Task, TaskError, TaskErrorKind, TaskSupervisor, TaskSupervisorRef, TaskSupervisorSpec};
pub use timer::TimerRef;

use std::time::Duration;

/// What `purlin-test` drives simulated nodes with; it is no part of the interface.
#[doc(hidden)]
pub mod sim {
    pub use crate::rt::sim::{Event, Faults, Scheduler, Settings, What, World};
}

/// `n` seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
