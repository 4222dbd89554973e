//! The models. Each public function runs one under every interleaving and panics, with loom's trace, if one goes wrong.

pub mod cycle;
pub mod end;
pub mod idle;
mod kit;
pub mod links;
pub mod mailbox;
pub mod ring;
pub mod run_lock;
pub mod seats;
pub mod slot;
pub mod table;

use crate::call::slot_pool;

/// Explores `model` with at most `preemptions` switches away from a thread that could go on (0: no limit).
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = (preemptions > 0).then_some(preemptions);
    builder.max_branches = 10_000;
    builder.check(move || {
        slot_pool::empty_quarantine();
        model();
    });
}
