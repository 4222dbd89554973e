//! Model checks of the kernel's lock-free protocols.
//!
//! The protocol files of purlin-core are compiled here a second time, unchanged, against a `sync` module made of loom's types.
//! loom then runs each model under every interleaving, and every value that a weakly ordered load may return, up to the stated
//! number of preemptions.
//!
//! | here | is |
//! |---|---|
//! | `sync.rs` | stands in for purlin-core's `sync.rs`: the same names, loom's types |
//! | `call.rs`, `process.rs`, `rt.rs`, and `mailbox` below | include purlin-core's files under the same module paths |
//! | `call/slot_pool.rs`, `process/table_page.rs` | stand-ins for the parts that deal with memory |
//! | `node.rs`, `sys.rs`, small modules in `process.rs` | stand-ins for what the included files name |
//! | `models/kit.rs` | processes for models: the activation loop of a server, calls in place, checks at the end |
//! | `models/<what>.rs` | the models, one public function each, named by what it shows |
//! | `tests/models.rs` | the list of tests, one per model |
//!
//! A kernel file that is included may name only what its stand-in here has; the compiler says what is missing.
//!
//! A model proves something only if it fails when the protocol is broken: whoever adds one breaks the protocol on purpose (a weaker
//! ordering, a look left out, a step moved out of the lock) and sees it fail first.
//!
//! To add a protocol: include its file in the module file of its folder, write `models/<what>.rs`, list the functions in
//! `tests/models.rs` (a test there fails if one is forgotten). Run with `cargo test --release -p purlin-models`.

#![allow(unsafe_code, reason = "the protocols handle raw memory, and the models play their callers")]

mod call;
#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../purlin-core/src/mailbox/mod.rs"]
mod mailbox;
pub mod models;
mod node;
mod process;
mod rt;
mod sync;
mod sys;
