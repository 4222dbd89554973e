//! Processes: spawn, exit signals, links, monitors, names, timers.
//!
//! A process is something that runs on its own, has a mailbox, and ends with a reason. Everything else in Purlin is built from that. Most
//! programs use a [`GenServer`](crate::GenServer); the functions here work on any process, and [`spawn`] makes a free-form one (see
//! [`Mailbox`]).
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! use purlin_core::{AnyMsg, Down, Mailbox, process};
//!
//! let client = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
//!     let me = mailbox.pid();
//!     let (server, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<u32>| {
//!         let number = mailbox.receive().await;
//!         process::send(me, number * 2);                             // any process can be sent anything
//!         panic!("enough");                                          // this one ends, and nobody else
//!     });
//!     server.send(21u32);
//!     assert_eq!(mailbox.receive_as::<u32>().await, 42);
//!     let down = mailbox.receive_as::<Down>().await;
//!     assert_eq!((down.monitor, down.pid), (monitor, Some(server.pid())));
//!     assert_eq!(down.reason.panic_info().unwrap().message, "enough");
//! });
//! assert!(client.wait().await.is_normal());
//! # }).await;
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Links and monitors
//! A **link** is mutual: when one side ends with a reason other than normal, the other one ends too, unless it traps exits and gets
//! an [`Exit`] message instead. A **monitor** is one-sided: when the target ends, the watcher gets one [`Down`] message.
//! [`spawn_link`] and [`spawn_monitor`] set them up before the new process takes its first step.
//!
//! # Exit reasons
//! See [`ExitReason`]. A body that returns ends with `Normal`; a panic ends the process, not the program.
//!
//! # Kill
//! [`exit`]`(pid, Kill)` cannot be trapped. A future can be stopped only at an await: a killed process is dead at once for everybody who
//! asks (`is_alive`, `whereis`), runs no callback any more, and its `DOWN` is sent when all it owned has been dropped.
//!
//! # Differences from Erlang
//! An exit signal to oneself takes effect at the next await or when the present callback returns. Dropping something sent to a dead
//! process happens on the sender's side. Sending to an unknown local name returns an error instead of raising one.

pub(crate) mod api;
pub(crate) mod body;
pub(crate) mod cell;
pub(crate) mod exit;
pub(crate) mod exit_reason;
pub(crate) mod extra;
mod info;
pub(crate) mod lineage;
pub(crate) mod panic;
pub(crate) mod pid;
pub(crate) mod raw;
pub(crate) mod relations;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod seat;
pub(crate) mod signal;
pub(crate) mod small_map;
pub(crate) mod spawn;
pub(crate) mod stack;
pub(crate) mod stop;
pub(crate) mod table;
mod table_page;
mod timers;
pub(crate) mod watch;
pub(crate) mod word;

pub use api::*;
pub use exit_reason::{ExitReason, PanicInfo, Term};
pub use info::{ProcessInfo, ProcessStatus, process_info};
pub use pid::{MonitorRef, Pid};
pub use raw::{Accepts, Address, AnyMsg, Mailbox};
pub use relations::{AliasMode, Down, Exit, MonitorTarget};
pub use stop::{StopError, stop};
pub use timers::{
    TimerFired, TimerTarget, cancel_timer, read_timer, send_after, send_at, send_interval, start_timer,
    start_timer_at,
};
pub use watch::{Alias, MonitorAlias, MonitorOptions};
