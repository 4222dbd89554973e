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

/// A node has stopped, orderly or not; no process of it is left.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | from the request to stop until the last process had ended |
/// | measurement | `uptime` | since the start |
/// | measurement | `killed` | `u64`: processes that did not end in time and were killed |
/// | metadata | `node` | text: the node's name |
/// | metadata | `reason` | text: `"requested"`, `"signal"`, or `"main_returned"` |
pub const NODE_STOP: EventName = &["purlin", "node", "stop"];

/// A process was spawned.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `processes` | `u64`: processes alive on the node, this one included |
/// | metadata | `pid` | pid |
/// | metadata | (`parent`) | pid of the spawning process |
/// | metadata | `type` | text: the behaviour's type, or the spawned function |
/// | metadata | `location` | text: `file:line` of the spawn |
pub const PROCESS_SPAWN: EventName = &["purlin", "process", "spawn"];

/// A process has ended and everything it owned is dropped.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `lifetime` | duration since its spawn |
/// | measurement | `discarded` | `u64`: messages left in its mailbox |
/// | metadata | `pid` | pid |
/// | metadata | `reason` | exit reason |
/// | metadata | `type` | text |
/// | metadata | (`name`), (`label`) | text |
pub const PROCESS_EXIT: EventName = &["purlin", "process", "exit"];

/// A GenServer's `init` has returned.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of `init` |
/// | metadata | `pid`, `type`, (`name`) | the server |
/// | metadata | `result` | text: `"ok"`, `"ignore"`, `"stop"`, or `"panic"` |
/// | metadata | (`reason`) | exit reason, for `"stop"` and `"panic"` |
pub const GEN_SERVER_INIT: EventName = &["purlin", "gen_server", "init"];

/// A GenServer's `terminate` has returned, or panicked.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of `terminate` |
/// | metadata | `pid`, `type`, (`name`) | the server |
/// | metadata | `reason` | exit reason with which the server ends |
pub const GEN_SERVER_TERMINATE: EventName = &["purlin", "gen_server", "terminate"];

/// A call was answered, or failed, after more than the node's slow-call threshold. Executed by the caller.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | from the call to its result |
/// | measurement | `threshold` | the duration it exceeded |
/// | metadata | (`pid`), (`name`) | the server, as far as it is known |
/// | metadata | `type`, `message_type` | text |
/// | metadata | (`caller`) | pid of the calling process |
/// | metadata | `result` | text: `"ok"`, or the kind of the error (`"timeout"`, `"exit"`, …) |
/// | metadata | `location` | text: `file:line` of the call |
pub const GEN_SERVER_SLOW_CALL: EventName = &["purlin", "gen_server", "slow_call"];

/// A cast was dropped because it could not be delivered.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `total` | `u64`: casts this server has lost so far; 1 when there is none to count at |
/// | metadata | (`pid`), (`name`) | the server, as far as it is known |
/// | metadata | `type`, `message_type` | text |
/// | metadata | `reason` | text: `"no_proc"`, `"mailbox_full"`, or `"no_node"` |
pub const GEN_SERVER_CAST_DROPPED: EventName = &["purlin", "gen_server", "cast_dropped"];

/// An untyped `send` reached a server that has no handler for the message's type. The message was logged and dropped.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `total` | `u64`: unhandled messages of this server so far |
/// | metadata | `pid`, `type`, (`name`) | the server |
/// | metadata | `message_type` | text |
pub const GEN_SERVER_UNHANDLED_INFO: EventName = &["purlin", "gen_server", "unhandled_info"];

/// A bounded mailbox became full. Executed once per period of fullness, which ends when the mailbox is half empty.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `capacity` | `u64`: the bound |
/// | metadata | `pid`, `type`, (`name`) | the receiver |
/// | metadata | `policy` | text: `"wait"`, `"reject"`, `"drop_oldest"`, or `"drop_newest"` |
pub const MAILBOX_OVERFLOW: EventName = &["purlin", "mailbox", "overflow"];

/// Messages were dropped by the policy of a full mailbox. Under load drops are reported together, at most once per activation
/// of the receiver.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `count` | `u64`: messages dropped since the last event |
/// | measurement | `total` | `u64`: messages this mailbox has dropped so far |
/// | metadata | `pid`, `type`, (`name`) | the receiver |
/// | metadata | `policy` | text, as for [`MAILBOX_OVERFLOW`] |
pub const MAILBOX_DROP: EventName = &["purlin", "mailbox", "drop"];

/// A supervisor has started a child for the first time, at its own start or by `start_child`.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of the start, `init` included |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text |
/// | metadata | `pid` | pid of the child; absent if its `init` said ignore |
pub const SUPERVISOR_CHILD_START: EventName = &["purlin", "supervisor", "child", "start"];

/// A supervisor has restarted a child.
///
/// | | key | value |
/// |---|---|---|
/// | measurement | `duration` | of the start, `init` included |
/// | measurement | `downtime` | from the exit of the old process to the new one's being ready |
/// | measurement | `restarts` | `u64`: restarts within the intensity window, this one included |
/// | metadata | `supervisor`, (`supervisor_name`) | pid, text |
/// | metadata | `child_id` | text |
/// | metadata | `pid` | pid of the new process; absent if its `init` said ignore |
/// | metadata | `old_pid` | pid of the process that ended |
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

/// Every event of this module.
pub const ALL: &[EventName] = &[
    TELEMETRY_HANDLER_FAILURE,
    NODE_START,
    NODE_STOP,
    PROCESS_SPAWN,
    PROCESS_EXIT,
    GEN_SERVER_INIT,
    GEN_SERVER_TERMINATE,
    GEN_SERVER_SLOW_CALL,
    GEN_SERVER_CAST_DROPPED,
    GEN_SERVER_UNHANDLED_INFO,
    MAILBOX_OVERFLOW,
    MAILBOX_DROP,
    SUPERVISOR_CHILD_START,
    SUPERVISOR_CHILD_RESTART,
    SUPERVISOR_CHILD_TERMINATE,
    SUPERVISOR_CHILD_ERROR,
    SUPERVISOR_GIVING_UP,
    REGISTRY_REGISTER,
    REGISTRY_UNREGISTER,
    WATCHDOG_LONG_POLL,
];
