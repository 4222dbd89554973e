//! Supervision by hand: a task that awaits its children's tasks and starts them again. It keeps of a panic what a crash
//! report needs: message, place, unresolved backtrace.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, RwLock};

use futures_util::FutureExt;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::tokio_hand::{Hand, Msg, serve};
use crate::panics::{self, Report};
use crate::state::Counter;
use crate::system::{Families, Restarts};

/// How many crash reports the supervisor keeps.
const KEPT_REPORTS: usize = 16;

/// What the server that can crash understands.
pub(super) enum Fragile {
    Crash,
    Incarnation(oneshot::Sender<u64>),
}

/// The sender of the incarnation that is alive.
pub(super) type Slot = Arc<RwLock<UnboundedSender<Fragile>>>;

impl Restarts for Hand {
    type Slot = Slot;

    async fn supervise() -> Slot {
        let (server, mailbox) = mpsc::unbounded_channel();
        let slot = Arc::new(RwLock::new(server));
        tokio::spawn(supervise_one(slot.clone(), mailbox));
        slot
    }

    fn crash(slot: &Slot) {
        // A server that is just down cannot crash; the driver sends this only to one that has answered.
        let _ = slot.read().expect("not poisoned").send(Fragile::Crash);
    }

    async fn ask(slot: &Slot) -> Option<u64> {
        let (reply, answer) = oneshot::channel();
        slot.read().expect("not poisoned").send(Fragile::Incarnation(reply)).ok()?;
        answer.await.ok()
    }
}

async fn supervise_one(slot: Slot, mut mailbox: UnboundedReceiver<Fragile>) {
    let mut reports: VecDeque<Report> = VecDeque::with_capacity(KEPT_REPORTS);
    loop {
        match tokio::spawn(isolated(mailbox)).await {
            Ok(Ok(())) => return,
            Ok(Err(report)) => {
                assert!(report.is_complete(), "a report is complete: {report:?}");
                if reports.len() == KEPT_REPORTS {
                    reports.pop_front();
                }
                reports.push_back(report);
            },
            Err(_) => return,
        }
        let (server, next) = mpsc::unbounded_channel();
        *slot.write().expect("not poisoned") = server;
        mailbox = next;
    }
}

/// Runs the server; a panic is caught in the poll in which it happened, so the hook's report is on this thread.
async fn isolated(mailbox: UnboundedReceiver<Fragile>) -> Result<(), Report> {
    AssertUnwindSafe(fragile(mailbox)).catch_unwind().await.map_err(|_payload| {
        panics::take().unwrap_or(Report {
            message: "no hook".into(),
            location: "unknown".into(),
            backtrace: None,
        })
    })
}

async fn fragile(mut mailbox: UnboundedReceiver<Fragile>) {
    let counter = Counter::init();
    while let Some(msg) = mailbox.recv().await {
        match msg {
            Fragile::Crash => panic!("asked to crash"),
            Fragile::Incarnation(reply) => drop(reply.send(counter.incarnation())),
        }
    }
}

/// The children of one supervisor.
pub(super) struct Family {
    /// By index; a restart replaces the entry.
    children: Arc<RwLock<Vec<Child>>>,
}

struct Child {
    task: AbortHandle,
    /// Keeps the child alive, as the handles that a program would hold.
    _server: UnboundedSender<Msg>,
}

impl Families for Hand {
    type Family = Family;

    async fn family(n: usize) -> Family {
        let children = Arc::new(RwLock::new(Vec::with_capacity(n)));
        let (ready, is_ready) = oneshot::channel();
        tokio::spawn(supervise_many(children.clone(), n, ready));
        is_ready.await.expect("the supervisor starts");
        Family { children }
    }

    fn kill(family: &Family, stride: usize) {
        for child in family.children.read().expect("not poisoned").iter().step_by(stride) {
            child.task.abort();
        }
    }
}

async fn supervise_many(children: Arc<RwLock<Vec<Child>>>, n: usize, ready: oneshot::Sender<()>) {
    let mut tasks = JoinSet::new();
    let mut index_of: HashMap<Id, usize> = HashMap::with_capacity(n);
    for index in 0..n {
        let child = start_child(&mut tasks, &mut index_of, index);
        children.write().expect("not poisoned").push(child);
    }
    // The driver waits for this signal.
    let _ = ready.send(());
    while let Some(ended) = tasks.join_next_with_id().await {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        let Some(index) = index_of.remove(&id) else { continue };
        let child = start_child(&mut tasks, &mut index_of, index);
        children.write().expect("not poisoned")[index] = child;
    }
}

fn start_child(tasks: &mut JoinSet<()>, index_of: &mut HashMap<Id, usize>, index: usize) -> Child {
    let (server, mailbox) = mpsc::unbounded_channel();
    let task = tasks.spawn(serve(mailbox));
    index_of.insert(task.id(), index);
    Child { task, _server: server }
}
