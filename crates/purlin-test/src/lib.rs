//! Tests of Purlin programs.
//!
//! Each test runs on a node of its own, so tests run side by side and see nothing of each other. The attribute `#[purlin::test]` does it all:
//!
//! ```
//! # mod tests {
//! use purlin::prelude::*;
//! use purlin_test::Sim;
//!
//! struct Counter(i64);
//!
//! #[gen_server]
//! impl Counter {
//!     fn init(start: i64) -> Self {
//!         Counter(start)
//!     }
//!     #[call]
//!     fn increment(&mut self, by: i64) -> i64 {
//!         self.0 += by;
//!         self.0
//!     }
//! }
//!
//! #[purlin::test]
//! async fn a_counter_counts_on() -> Result<()> {
//!     let counter = Counter::start(1).await?;
//!     assert_eq!(counter.increment(2).await?, 3);
//!     Ok(())
//! }
//!
//! #[purlin::test(sim, seeds = 50)]
//! async fn nothing_is_lost_between_two_callers(sim: Sim) -> Result<()> {
//!     let counter = Counter::start(0).await?;
//!     let other = counter.clone();
//!     let caller = process::spawn(async move |_: Mailbox<()>| {
//!         let _ = other.increment(1).await;
//!     });
//!     counter.increment(1).await?;
//!     caller.wait().await;
//!     assert_eq!(counter.increment(0).await?, 2, "seed {:#x}", sim.seed());
//!     Ok(())
//! }
//! # }
//! ```
//!
//! # Where things are
//! * [`mod@test`]: the handle `t: Test` of a test: [`supervised`] children, things to do at the end, [`logs`], [`telemetry`], the check for leaks.
//! * [`receive`]: `assert_receive!` and its relatives, on the test's mailbox.
//! * [`Sim`] and [`Simulation`]: a simulated run, and how it is set up.
//! * `guide/testing.md` in the repository is a tutorial, `docs/simulation.md` says how simulation works and what it finds.
//!
//! # Processes and plain code
//! A test that takes arguments, and every simulated one, is a process: it can link, monitor and trap exits, and the crash of a process that it is
//! linked with fails it. When it is over, those linked with it are told to shut down, and what is left then is a leak, which fails it. A test in
//! real time without arguments is plain code on the node, as `main` is; it leaves what it likes, and a crash of a process is logged only.
//!
//! # Simulation
//! A simulated test runs once for each of its seeds, each time on a fresh node with one thread. The seed decides which of the processes that
//! could run next does, who is interrupted, which messages arrive first, which way a call takes, and every random number of the node; time is
//! virtual, and moves on when nothing can run. The same seed gives the same run, on every machine; one run in 64 is made twice to make sure.
//!
//! A failing run is told with its message, what it logged, and its schedule, shrunk to the few choices that matter, as a story. Two commands are
//! printed: one runs the seed again, one the short schedule:
//!
//! ```text
//! PURLIN_SIM_SEED=0x1f3a cargo test nothing_is_lost
//! PURLIN_SIM_REPLAY=../target/sim/shop--nothing_is_lost.sim cargo test nothing_is_lost
//! ```
//! `PURLIN_SIM_SEEDS=10000` runs every simulated test with that many seeds, instead of what its attribute says.
//!
//! A test that waits for something that never happens fails when its body has been idle for 40 days of virtual time; one that goes round and round
//! fails after a million steps. The virtual clock knows nothing of the world outside: a simulated test must not wait for sockets, threads
//! or other programs. Where it is noticed, the run fails and says how it left the simulation. Faults (kills, panics, delays, jumps of the clock)
//! are options of a [`Simulation`].
#![forbid(unsafe_code)]

mod capture;
mod explore;
mod harness;
mod leaks;
pub mod logs;
mod outcome;
mod real;
pub mod receive;
mod schedule;
mod seeds;
mod shrink;
mod sim;
mod story;
pub mod supervised;
pub mod telemetry;
pub mod test;
mod waiting;

pub use logs::{LogEntry, Logs, LogsEntered};
pub use outcome::Outcome;
pub use purlin_core::sim::Scheduler;
pub use receive::assert_receive_timeout;
pub use sim::{Sim, Simulation};
pub use supervised::{NotSupervised, StartSupervised, StartSupervisedError, SupervisedChild};
pub use telemetry::{TelemetryEvent, TelemetryEvents};
pub use test::Test;
pub use tracing::Level;
pub use tracing::level_filters::LevelFilter;

/// What `#[purlin::test]` expands to uses this; it is no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::harness::{Ended, example, run};
    pub use crate::real::{run_plain, run_process};
    pub use crate::receive::support as receive;
    pub use crate::sim::run_sim;
    pub use purlin_core::Mailbox;
}
