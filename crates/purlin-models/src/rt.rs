//! purlin-core's `rt` folder.

#[allow(dead_code)]
#[path = "../../purlin-core/src/rt/ring.rs"]
pub(crate) mod ring;
