//! Making a process: pid, links, monitors, name and parent are all in place before its first step (P35, P55).

use std::sync::Arc;

use crate::call::error::short;
use crate::mailbox::Mailbox as Queue;
use crate::mailbox::bound::{Bound, MailboxBound};
use crate::node::{Node, current};
use crate::process::cell::{
    BLOCKING, BOUNDED, FOR_PARENT, NewProc, OWNS, Proc, ProcRef, ProcTable, SIMULATED,
};
use crate::process::exit_reason::ExitReason;
use crate::process::extra::Extra;
use crate::process::lineage::Lineage;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations::{self, MonitorTarget, Relations, WatchOptions};
use crate::process::report;
use crate::process::word::{BUSY, SCHED, WOKEN};
use crate::telemetry::{Metadata, events};

/// What a spawn is asked for beside the body.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) link: bool,
    pub(crate) monitor: Option<WatchOptions>,
    pub(crate) bound: Option<MailboxBound>,
    pub(crate) flags: u32,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) callers: Vec<Pid>,
}

pub(crate) struct Spawned {
    pub(crate) proc: ProcRef,
    pub(crate) monitor: Option<MonitorRef>,
}

/// `$callers` of a process whose `Extra` has these.
fn callers_of(proc: &Proc, extra: &[Pid]) -> Vec<Pid> {
    match &proc.lineage {
        Some(lineage) if extra.is_empty() && proc.has(FOR_PARENT) => lineage.as_callers(),
        _ => extra.to_vec(),
    }
}

/// The lineage that children of the current process get.
fn lineage() -> Option<Lineage> {
    current::with_current(|parent| {
        let mut extra = parent.extra.lock();
        let extra = extra.get_or_insert_default();
        extra
            .as_ancestor
            .get_or_insert_with(|| {
                let callers = callers_of(parent, &extra.callers);
                Lineage::new(parent.pid(), extra.name.clone(), callers, parent.lineage.clone())
            })
            .clone()
    })
}

/// Builds a process on `node` and enters it into the process table. It is scheduled (SCHED is up) but in no run queue yet: the caller
/// either pushes it or runs it.
///
/// `Err` gives the name's holder when the name is taken.
pub(crate) fn create<B>(
    node: &Node,
    table: &'static ProcTable,
    body: B,
    options: Options,
) -> Result<Spawned, crate::RegisterError> {
    let parent = current::current_proc();
    let same_node = parent.as_ref().filter(|p| p.pid().node_index() == node.0.index);
    let link_id = if options.link && same_node.is_some() { node.next_ref() } else { 0 };
    let mut flags = options.flags;
    if node.is_simulated() {
        // There it is one thread for all: what would block must not.
        flags = flags & !BLOCKING | SIMULATED;
    }
    if options.bound.is_some() {
        flags |= BOUNDED;
    }
    let extra = (!options.callers.is_empty())
        .then(|| Box::new(Extra { callers: options.callers, ..Extra::default() }));
    let lineage = same_node.and_then(|_| lineage());
    let bound = options.bound.map(|b| Box::new(Bound::new(b)));
    let mut options_monitor = options.monitor;
    let proc = node.insert(|pid| {
        let mut relations = None;
        if let Some(parent) = same_node.filter(|_| link_id != 0)
            && relations::link_child(parent, pid, link_id)
        {
            relations = Some(Relations::linked_to(parent.pid(), link_id));
        }
        NewProc {
            table,
            node: node.clone(),
            pid,
            flags,
            word: BUSY | SCHED | WOKEN,
            mailbox: Queue::new(bound),
            relations,
            extra,
            lineage,
        }
        .build(body)
    });
    crate::rt::sim::interlude_at_birth(&proc);
    if let Some(name) = options.name
        && let Err(error) = node.0.names.register(name, &proc)
    {
        abandon(&proc);
        return Err(error);
    }
    debug_assert!(!proc.has(OWNS) || proc.extra.lock().is_some());
    let monitor = match (same_node, options_monitor.take()) {
        (Some(parent), Some(options)) => {
            Some(relations::monitor(parent, MonitorTarget::Pid(proc.pid()), options))
        },
        _ => None,
    };
    report::open_span(&proc);
    crate::rt::sim::starts(&proc);
    node.telemetry().execute_with(events::PROCESS_SPAWN, || {
        let metadata = Metadata::new()
            .with("pid", proc.pid())
            .with("type", short((proc.table.type_name)()))
            .with_some("parent", proc.parent());
        ([("processes", (node.stats().processes as u64).into())], metadata)
    });
    Ok(Spawned { proc, monitor })
}

/// Takes back a process that never ran: no report, no exit signal to its parent.
pub(crate) fn abandon(proc: &Proc) {
    if let Some(parent) = current::current_proc() {
        relations::unlink(&parent, proc.pid());
    }
    let _ = proc.word.begin();
    // SAFETY: `begin` took RUN, and nothing has discarded the body yet.
    unsafe { (proc.table.discard)(proc) };
    let _ = proc.mailbox.close(&proc.word);
    relations::close(proc, &ExitReason::NoProc);
    let kept = proc.node.remove(proc.pid());
    let _ = proc.word.end(0, crate::process::word::DEAD);
    drop(kept);
}

impl Proc {
    /// On whose behalf it runs, nearest first.
    pub(crate) fn callers(&self) -> Vec<Pid> {
        let extra = self.extra.lock();
        callers_of(self, extra.as_ref().map_or(&[], |extra| &extra.callers))
    }

    /// The process that spawned this one; `None` for one that no process spawned.
    pub(crate) fn parent(&self) -> Option<Pid> {
        self.lineage.as_ref().map(Lineage::parent)
    }
}
