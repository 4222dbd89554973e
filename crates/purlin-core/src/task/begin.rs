//! The processes of tasks: how they are spawned, and where their values go.

use std::any::TypeId;
use std::future::Future;

use crate::call::slot::Replier;
use crate::node::{Node, current};
use crate::process::body::{self, Outcome};
use crate::process::cell::{FOR_PARENT, MAILBOX_TAKEN, Proc, ProcRef};
use crate::process::exit_reason::ExitReason;
use crate::process::panic::drop_quietly;
use crate::process::spawn::Options;
use crate::process::{AnyMsg, Mailbox, api};
use crate::rt::sim;

/// All processes of tasks are of this kind.
pub(super) struct TaskProcess;

/// What tasks are called in reports.
pub(super) const NAME: &str = "Task";

/// The value of a task goes to whoever holds its handle.
pub(super) struct Answer<T>(pub(super) Replier<T>);

impl<T: Send + 'static> Outcome<T> for Answer<T> {
    type Kind = TaskProcess;
    const NAME: &'static str = NAME;

    fn ended(self, value: Option<T>, proc: &Proc, _: &ExitReason) {
        sim::arrive_all(proc, None);
        match value {
            Some(value) => {
                if let Err(unwanted) = self.0.send(value) {
                    drop_quietly("the answer of a task that nobody waits for", unwanted);
                }
            },
            // Tells the one who waits, who reads the reason in the process's block.
            None => drop(self.0),
        }
    }
}

/// Nobody asks for the value.
pub(super) struct Forgotten;

impl Outcome<()> for Forgotten {
    type Kind = TaskProcess;
    const NAME: &'static str = NAME;
    fn ended(self, _: Option<()>, _: &Proc, _: &ExitReason) {}
}

/// Spawns a task from the calling process, which its callers begin with, on the current node.
#[track_caller]
pub(super) fn spawn<F, O>(link: bool, outcome: O, future: F) -> ProcRef
where
    F: Future + Send + 'static,
    F::Output: Send,
    O: Outcome<F::Output>,
{
    let node = Node::current();
    let options = Options { link, flags: FOR_PARENT, ..Options::default() };
    match body::spawn(&node, options, outcome, |_| future) {
        Ok(spawned) => {
            api::refuse_if_stopping(&spawned.proc);
            spawned.proc
        },
        Err(_) => unreachable!("a process without a name cannot clash with one"),
    }
}

/// `$callers` of a task that somebody else spawns for the calling process.
pub(super) fn callers_of_mine() -> Vec<crate::Pid> {
    current::with_current(|me| std::iter::once(me.pid()).chain(me.callers()).collect()).unwrap_or_default()
}

/// The mailbox of the calling task, untyped and without bound: a task that traps exits, or that others send something to, needs it. Most do
/// not, and messages to those stay where they are until they end.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Task, process, task};
/// let sum = Task::async_link(async {
///     let mut mailbox = task::mailbox();
///     mailbox.receive_as::<u32>().await + mailbox.receive_as::<u32>().await
/// });
/// process::send(sum.pid().unwrap(), 1u32);
/// process::send(sum.pid().unwrap(), 2u32);
/// assert_eq!(sum.await?, 3);
/// # Ok::<(), purlin_core::TaskError>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// Outside a task, and when the task has taken its mailbox before: there is one.
#[track_caller]
pub fn mailbox() -> Mailbox<AnyMsg> {
    let task = current::current_proc().filter(|proc| (proc.table.type_id)() == TypeId::of::<TaskProcess>());
    let Some(task) = task else { panic!("`task::mailbox` is for the code of a task, which this is not") };
    assert!(!task.set_flag(MAILBOX_TAKEN, true), "task {} has taken its mailbox before", task.pid());
    Mailbox::new(task)
}
