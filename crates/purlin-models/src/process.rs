//! purlin-core's `process` folder.

#[allow(dead_code)]
#[path = "../../purlin-core/src/process/table.rs"]
pub(crate) mod table;
mod table_page;
