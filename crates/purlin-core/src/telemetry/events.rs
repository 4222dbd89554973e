//! The events that Purlin's own components execute: names, and what each carries.
//!
//! Every name begins with `purlin`, except the failure of a handler, which has Elixir's name. Attach a handler to all of them
//! with [`ALL`]:
//!
//! ```
//! # use std::sync::Arc;
//! # use purlin_core::telemetry::{Telemetry, events};
//! # let telemetry = Telemetry::new(Arc::new(|| 0));
//! telemetry.attach_many("console", events::ALL, |event| {
//!     println!("{} {} {}", event.name.join("."), event.measurements, event.metadata);
//! })?;
//! # Ok::<(), purlin_core::telemetry::AlreadyExists>(())
//! ```
//!
//! Conventions of the tables below:
//!
//! * The type of a measurement is `u64` or a duration; metadata types are those of [`Value`](super::Value), *text* being
//!   [`Value::as_str`](super::Value::as_str). A key in parentheses is present only if there is something to say.
//! * `pid` is always the process that the event is about. `type` is the Rust type of its behaviour, or of the message for
//!   `message_type`, without its module path. `name` is the registered name, `label` the one set by `set_label`.
//! * Events are executed by the process that causes them, or, for its exit and its supervision, by whoever carries it out.
//!   An event is executed *after* what it reports has taken effect.
//! * No event is executed per message, call or timer: the observer reads those numbers from counters.
//!
//! Keys may be added to an event in any version; none is removed or changes its meaning within a major version.

use super::EventName;

/// A handler panicked and was detached from all its events. Elixir's `[telemetry, handler, failure]`.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `monotonic_time` | duration since the node started |
/// | metadata | `event_name` | the event that was being handled |
/// | metadata | `handler_id` | text: the id given to `attach` |
/// | metadata | `kind` | text: `"panic"` |
/// | metadata | `reason` | text: the panic's message |
pub const TELEMETRY_HANDLER_FAILURE: EventName = &["telemetry", "handler", "failure"];

/// A node is ready: its process table, names and timers can be used.
///
/// | | key | value |
/// |---|---|---|
/// | metadata | `node` | text: the node's name |
/// | metadata | `creation` | `u64`: tells this start of the node from others |
pub const NODE_START: EventName = &["purlin", "node", "start"];

/// A node was stopped with [`Node::shutdown`](crate::Node::shutdown), or by what uses it; no process of it is left, save one that blocks
/// its thread.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | from the request to stop until the last process had ended |
/// | measurement | `uptime` | since the start |
/// | measurement | `killed` | `u64`: processes that did not end in time and were killed |
/// | metadata | `node` | text: the node's name |
/// | metadata | `reason` | text: `"requested"`, or why it stopped by itself (see [`Node::stop_reason`](crate::Node::stop_reason)) |
pub const NODE_STOP: EventName = &["purlin", "node", "stop"];

/// A process was spawned.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `processes` | `u64`: processes alive on the node, this one included |
/// | metadata | `pid`, `type` | the process |
/// | metadata | (`parent`) | pid of the spawning process |
pub const PROCESS_SPAWN: EventName = &["purlin", "process", "spawn"];

/// A process ends: the reason is decided, its state is about to be dropped.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `handled` | `u64`: messages and calls that it has handled |
/// | metadata | `pid`, `type`, `name` | the process; the name is empty if it has none |
/// | metadata | `reason` | exit reason |
pub const PROCESS_EXIT: EventName = &["purlin", "process", "exit"];

/// A GenServer's `init` is done.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: 1 |
/// | metadata | `pid`, `type` | the server |
/// | metadata | `result` | text: `"ok"`, `"ignore"`, or `"stop"` (errors and panics) |
pub const GEN_SERVER_INIT: EventName = &["purlin", "gen_server", "init"];

/// A GenServer's `terminate` is about to run.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: 1 |
/// | metadata | `pid`, `type` | the server |
/// | metadata | `reason` | exit reason with which the server ends |
pub const GEN_SERVER_TERMINATE: EventName = &["purlin", "gen_server", "terminate"];

/// A server's handlers take so long that its calls are queued from now on instead of being run on their callers' threads.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `average` | duration: moving average of the calls that were timed |
/// | measurement | `threshold` | the duration it exceeded |
/// | metadata | `pid`, `type` | the server |
pub const GEN_SERVER_SLOW: EventName = &["purlin", "gen_server", "slow"];

/// A message reached nobody, because its receiver had ended. (A message to a pid or name that is not there any more is counted in
/// [`NodeStats::dead_letters`](crate::NodeStats::dead_letters) only.)
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: 1 |
/// | metadata | `pid`, `type` | the process that has ended |
/// | metadata | `message_type` | text |
pub const PROCESS_DEAD_LETTER: EventName = &["purlin", "process", "dead_letter"];

/// A message reached a process that has no handler for its type. It was logged and dropped.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: 1 |
/// | metadata | `pid`, `type` | the receiver |
/// | metadata | `message_type` | text |
pub const GEN_SERVER_UNHANDLED_INFO: EventName = &["purlin", "gen_server", "unhandled_info"];

/// A message was dropped because a bounded mailbox was full.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: 1 |
/// | metadata | `pid`, `type` | the receiver |
/// | metadata | `message_type` | text |
/// | metadata | `policy` | text: `"drop_oldest"` when the oldest message left, `"drop_newest"` when the newcomer was refused |
pub const MAILBOX_DROP: EventName = &["purlin", "mailbox", "drop"];

/// A supervisor has started a child for the first time, at its own start or by `start_child`.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of the start, `init` included |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text; the child's type under a dynamic supervisor, here and below |
/// | metadata | `pid` | pid of the child; absent if its `init` said ignore |
pub const SUPERVISOR_CHILD_START: EventName = &["purlin", "supervisor", "child", "start"];

/// A supervisor has restarted a child.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of the start, `init` included |
/// | measurement | `downtime` | from when the supervisor learnt of the exit to the new process's being ready |
/// | measurement | `restarts` | `u64`: restarts within the intensity window, this one included |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text |
/// | metadata | `pid` | pid of the new process; absent if its `init` said ignore |
/// | metadata | (`old_pid`) | pid of the process that ended, if it ever ran |
/// | metadata | `reason` | exit reason of the process that ended; that of the failing sibling under `one_for_all` and `rest_for_one` |
pub const SUPERVISOR_CHILD_RESTART: EventName = &["purlin", "supervisor", "child", "restart"];

/// A supervisor has terminated a child: on request, by its strategy, or because the supervisor itself stops.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | from the exit signal to the child's end |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text |
/// | metadata | `pid` | pid |
/// | metadata | `reason` | exit reason of the child |
/// | metadata | `killed` | bool: it did not end within its shutdown time |
pub const SUPERVISOR_CHILD_TERMINATE: EventName = &["purlin", "supervisor", "child", "terminate"];

/// A supervised child crashed, could not be started, or ended otherwise than it was asked to: what the supervisor report logs.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `restarts` | `u64`: restarts within the intensity window so far |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text |
/// | metadata | (`pid`) | pid of the child, if it has run |
/// | metadata | `context` | text: `"child_terminated"`, `"start_error"`, or `"shutdown_error"` |
/// | metadata | `reason` | exit reason |
pub const SUPERVISOR_CHILD_ERROR: EventName = &["purlin", "supervisor", "child", "error"];

/// A supervisor has reached its restart intensity: it terminates its children and ends with `shutdown`.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `restarts` | `u64`: restarts within the window, the one not made included |
/// | measurement | `window` | duration |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text: the child that ended last |
/// | metadata | `reason` | exit reason of that child |
pub const SUPERVISOR_GIVING_UP: EventName = &["purlin", "supervisor", "giving_up"];

/// A process registered itself under a key of a Registry.
///
/// | | key | value |
/// |---|---|---|
/// | metadata | `registry` | text: the registry's name |
/// | metadata | `pid` | pid |
/// | metadata | `key` | any: the key, printable only |
pub const REGISTRY_REGISTER: EventName = &["purlin", "registry", "register"];

/// A registration in a Registry has ended.
///
/// | | key | value |
/// |---|---|---|
/// | metadata | `registry` | text: the registry's name |
/// | metadata | `pid` | pid |
/// | metadata | `key` | any: the key, printable only |
/// | metadata | `cause` | text: `"unregister"`, or `"exit"` when the process ended |
pub const REGISTRY_UNREGISTER: EventName = &["purlin", "registry", "unregister"];

/// A callback has been running on a worker thread for longer than the watchdog's limit without giving way. Executed by the
/// watchdog while the callback may still run, once per callback.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | so far |
/// | measurement | `limit` | the duration it exceeded |
/// | metadata | `pid`, `type`, (`name`), (`label`) | the process |
/// | metadata | (`message_type`) | text: the message being handled |
/// | metadata | `worker` | `u64`: index of the worker thread |
pub const WATCHDOG_LONG_POLL: EventName = &["purlin", "watchdog", "long_poll"];

/// An application runs: its tree is up, and its start phases are done.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of the start |
/// | metadata | `application` | text: its name |
/// | metadata | `restart` | text: `"permanent"`, `"transient"` or `"temporary"` |
/// | metadata | `pid` | its master |
/// | metadata | (`top`) | the pid of the top process of its tree |
pub const APPLICATION_START: EventName = &["purlin", "application", "start"];

/// An application has ended, or did not start; no process of it is left, save one that blocks its thread.
///
/// | | key | value |
/// |---|---|---|
/// | metadata | `application` | text: its name |
/// | metadata | `restart` | text: as above |
/// | metadata | `pid` | its master |
/// | metadata | `reason` | why |
/// | metadata | `started` | `bool`: `false` if it did not start |
/// | metadata | `requested` | `bool`: was it stopped on purpose? |
pub const APPLICATION_STOP: EventName = &["purlin", "application", "stop"];

/// Every event of this module.
pub const ALL: &[EventName] = &[
    TELEMETRY_HANDLER_FAILURE,
    NODE_START,
    NODE_STOP,
    PROCESS_SPAWN,
    PROCESS_EXIT,
    GEN_SERVER_INIT,
    GEN_SERVER_TERMINATE,
    GEN_SERVER_SLOW,
    PROCESS_DEAD_LETTER,
    GEN_SERVER_UNHANDLED_INFO,
    MAILBOX_DROP,
    SUPERVISOR_CHILD_START,
    SUPERVISOR_CHILD_RESTART,
    SUPERVISOR_CHILD_TERMINATE,
    SUPERVISOR_CHILD_ERROR,
    SUPERVISOR_GIVING_UP,
    REGISTRY_REGISTER,
    REGISTRY_UNREGISTER,
    WATCHDOG_LONG_POLL,
    APPLICATION_START,
    APPLICATION_STOP,
];
