//! Tasks as children of a supervisor: what its process does to start one.

use std::future::{Future, ready};
use std::sync::Arc;

use super::begin::{Forgotten, NAME};
use crate::node::Node;
use crate::process::body::{self, Outcome};
use crate::process::cell::ProcRef;
use crate::process::exit_reason::ExitReason;
use crate::process::relations;
use crate::process::spawn::Options;
use crate::supervisor::child::{StartChild, Starting};
use crate::supervisor::dynamic::StartRequest;
use crate::supervisor::{ChildId, Restart, Shutdown, SpecFields};
use crate::sync::Mutex;
use crate::{Pid, StartError};

/// An [`Outcome`] that may have become pointless before the task began.
pub(super) trait Wanted {
    fn is_wanted(&self) -> bool;
}

/// A temporary child that runs `future`, once. `linked` is the process that the task is linked with beside its supervisor.
pub(super) fn once<F, O>(
    future: F,
    outcome: O,
    linked: Option<ProcRef>,
    callers: Vec<Pid>,
    shutdown: Option<Shutdown>,
) -> StartRequest
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output> + Wanted,
{
    let start = Once { parts: Mutex::new(Some((future, outcome))), linked, callers };
    request(Arc::new(start), Restart::Temporary, shutdown)
}

/// A child that runs a future of `make` at each start.
pub(super) fn again<G, F>(
    make: G,
    callers: Vec<Pid>,
    restart: Restart,
    shutdown: Option<Shutdown>,
) -> StartRequest
where
    G: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    request(Arc::new(Again { make, callers }), restart, shutdown)
}

fn request(start: Arc<dyn StartChild>, restart: Restart, shutdown: Option<Shutdown>) -> StartRequest {
    let fields =
        SpecFields { shutdown, ..SpecFields::new(ChildId::from_static(NAME), NAME).restart(restart) };
    StartRequest { fields, start }
}

struct Once<F, O> {
    parts: Mutex<Option<(F, O)>>,
    linked: Option<ProcRef>,
    callers: Vec<Pid>,
}

impl<F, O> StartChild for Once<F, O>
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output> + Wanted,
{
    fn start(&self) -> Starting {
        let parts = self.parts.lock().take();
        let started = match parts {
            // Whoever asked has gone away while the supervisor was busy.
            Some((_, outcome)) if !outcome.is_wanted() => Err(StartError::Ignore),
            Some((future, outcome)) => spawn(future, outcome, self.linked.as_ref(), self.callers.clone()),
            None => Err(StartError::Failed(ExitReason::error("the task was started before"))),
        };
        Box::pin(ready(started))
    }
}

struct Again<G> {
    make: G,
    callers: Vec<Pid>,
}

impl<G, F> StartChild for Again<G>
where
    G: Fn() -> F + Send + Sync,
    F: Future<Output = ()> + Send + 'static,
{
    fn start(&self) -> Starting {
        Box::pin(ready(spawn((self.make)(), Forgotten, None, self.callers.clone())))
    }
}

/// Spawns a task as a child of the calling process, a supervisor.
fn spawn<F, O>(
    future: F,
    outcome: O,
    linked: Option<&ProcRef>,
    callers: Vec<Pid>,
) -> Result<ProcRef, StartError>
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output>,
{
    let node = Node::try_current().ok_or(StartError::NoNode)?;
    let options = Options { link: true, callers, ..Options::default() };
    // Before its first step.
    let with_link = |task: &ProcRef| {
        if let Some(owner) = linked
            && !relations::link(task, owner)
        {
            let _ = task.mailbox.decide(ExitReason::Shutdown, false, &task.word);
        }
        future
    };
    match body::spawn(&node, options, outcome, with_link) {
        Ok(spawned) => Ok(spawned.proc),
        Err(_) => unreachable!("a process without a name cannot clash with one"),
    }
}
