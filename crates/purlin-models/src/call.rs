//! purlin-core's `call` folder.

#[allow(dead_code)]
#[path = "../../purlin-core/src/call/cycle.rs"]
pub(crate) mod cycle;
#[allow(dead_code)]
#[path = "../../purlin-core/src/call/slot.rs"]
pub(crate) mod slot;
pub(crate) mod slot_pool;
