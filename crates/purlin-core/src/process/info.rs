//! `process_info`: a snapshot of one process, for people and tools.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::node::current;
use crate::process::cell::{SUPERVISOR, SUSPENDED, TRAP};
use crate::process::pid::Pid;
use crate::process::relations::Watcher;
use crate::process::word::{BUSY, EXITING, QUEUED, RUN, SCHED};

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProcessStatus {
    /// A callback or body runs right now.
    Running,
    /// It will run as soon as an executor gets to it.
    Runnable,
    /// It waits: for messages, or inside a callback for something else.
    Waiting,
    /// `sys::suspend` holds it.
    Suspended,
}

/// A snapshot; other processes may have moved on by the time it is looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Whose snapshot it is.
    pub pid: Pid,
    /// Its local name.
    pub registered_name: Option<Arc<str>>,
    /// What it calls itself; see [`set_label`](crate::process::set_label).
    pub label: Option<Arc<str>>,
    /// The server's type, or `"process"`.
    pub initial_call: &'static str,
    /// Who spawned it; `None` if no process did.
    pub parent: Option<Pid>,
    /// Parent, grandparent and so on.
    pub ancestors: Vec<Pid>,
    /// On whose behalf it runs.
    pub callers: Vec<Pid>,
    /// Linked processes.
    pub links: Vec<Pid>,
    /// Processes that it watches.
    pub monitors: Vec<Pid>,
    /// Processes that watch it.
    pub monitored_by: Vec<Pid>,
    /// Messages that wait in its mailbox and were not taken yet.
    pub message_queue_len: usize,
    /// What it is doing.
    pub status: ProcessStatus,
    /// Does it trap exits?
    pub trap_exit: bool,
    /// Messages and calls handled so far (wraps at 2³²).
    pub reductions: u32,
    /// Is it a supervisor?
    pub supervisor: bool,
}

/// A snapshot of a process; `None` if it has ended or is ending.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, ProcessStatus};
/// use purlin_core::Mailbox;
/// let p = process::spawn(async |mailbox: Mailbox<()>| {
///     process::register("me", mailbox.pid()).unwrap();
///     let info = process::process_info(mailbox.pid()).unwrap();
///     assert_eq!(info.registered_name.as_deref(), Some("me"));
///     assert_eq!((info.initial_call, info.status), ("process", ProcessStatus::Running));
///     assert!(info.links.is_empty() && !info.trap_exit);
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn process_info(pid: Pid) -> Option<ProcessInfo> {
    let Some(proc) = current::by_index(pid.node_index()).and_then(|node| node.lookup(pid)) else {
        crate::rt::sim::finds_gone(pid);
        return None;
    };
    crate::rt::sim::looks_at(&proc);
    let word = proc.word.load();
    if word & EXITING != 0 {
        crate::rt::sim::finds_gone(pid);
        return None;
    }
    let status = match word {
        w if w & RUN != 0 => ProcessStatus::Running,
        _ if proc.has(SUSPENDED) => ProcessStatus::Suspended,
        w if w & SCHED != 0 => ProcessStatus::Runnable,
        w if w & (QUEUED | BUSY) == QUEUED => ProcessStatus::Runnable,
        _ => ProcessStatus::Waiting,
    };
    let (links, monitors, monitored_by) = match proc.relations.lock().as_ref() {
        None => Default::default(),
        Some(r) => (
            r.links.keys().collect(),
            r.watching.values().filter_map(|w| w.pid).collect(),
            r.watchers
                .values()
                .filter_map(|w| if let Watcher::Process(pid) = w { Some(*pid) } else { None })
                .collect(),
        ),
    };
    let callers = proc.callers();
    let (registered_name, label) = match proc.extra.lock().as_ref() {
        None => Default::default(),
        Some(e) => (e.name.clone(), e.label.clone()),
    };
    let message_queue_len = {
        let outer = proc.mailbox.lock();
        outer.bound.as_ref().map_or(outer.queue.len(), |b| b.len().max(outer.queue.len()))
    };
    Some(ProcessInfo {
        pid,
        registered_name,
        label,
        initial_call: (proc.table.type_name)(),
        parent: proc.parent(),
        ancestors: proc.lineage.iter().flat_map(|l| l.ancestors()).map(|(pid, _)| pid).collect(),
        callers,
        links,
        monitors,
        monitored_by,
        message_queue_len,
        status,
        trap_exit: proc.has(TRAP),
        reductions: proc.handled.load(Ordering::Relaxed),
        supervisor: proc.has(SUPERVISOR),
    })
}
