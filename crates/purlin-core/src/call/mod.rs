//! Calls: the reply slot, cycles of waiting processes, and what can go wrong.

pub(crate) mod cycle;
pub(crate) mod error;
pub(crate) mod slot;
mod slot_pool;
