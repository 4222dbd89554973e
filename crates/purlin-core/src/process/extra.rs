//! What few processes have, kept in a box that most never allocate: names, labels, process-local values, owned resources, debug state.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use crate::mailbox::envelope::Envelope;
use crate::process::lineage::Lineage;
use crate::process::pid::Pid;
use crate::process::relations::Exit;
use crate::process::small_map::Mix;
use crate::sys::debug::Debug;

/// Something that a process owns and that is given up when it ends, after its state was dropped and before anybody is told.
pub(crate) trait Owned: Send + Sync {
    fn release(&self, owner: Pid);
}

#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) label: Option<Arc<str>>,
    /// This process as an ancestor of those it spawns.
    pub(crate) as_ancestor: Option<Lineage>,
    /// `$callers`: on whose behalf it runs, nearest first.
    pub(crate) callers: Vec<Pid>,
    pub(crate) locals: HashMap<TypeId, Box<dyn Any + Send>, BuildHasherDefault<Mix>>,
    pub(crate) owned: Vec<Arc<dyn Owned>>,
    /// Makes the message for a trapped exit signal.
    pub(crate) on_exit: Option<fn(Exit) -> Envelope>,
    pub(crate) debug: Option<Box<Debug>>,
    /// Entered while the process runs; a child of the span that was current at the spawn.
    pub(crate) span: Option<tracing::Span>,
    /// Who made the call whose handling ended it, for the crash report.
    pub(crate) client: Option<Pid>,
}
