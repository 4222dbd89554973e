//! Questions to a supervisor of any kind, known only by its pid.

use std::future::poll_fn;

use super::admin::ChildInfo;
use crate::Pid;
use crate::call::slot::{self, Replier};
use crate::process::cell::SUPERVISOR;

/// Asks for `which_children`; comes untyped, so that the asker need not know the kind of supervisor.
pub(crate) struct AskChildren(pub(crate) Replier<Vec<ChildInfo>>);

/// The children of any supervisor, static or dynamic, by its pid; `None` if there is no such process or it is no supervisor.
///
/// Waits while the supervisor is busy with a start or a stop. For listings of a whole tree; with a handle at hand use its
/// `which_children`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Supervisor, supervisor};
/// let root = Supervisor::one_for_one().child(Supervisor::one_for_one()).start_link().await?.pid();
/// let below = supervisor::which_children(root).await.unwrap()[0].status.pid().unwrap();
/// assert_eq!(supervisor::is_supervisor(below), Some(true));
/// assert_eq!(supervisor::which_children(below).await, Some(vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
pub async fn which_children(supervisor: Pid) -> Option<Vec<ChildInfo>> {
    let node = crate::node::current::by_index(supervisor.node_index())?;
    let proc = node.lookup(supervisor).filter(|proc| proc.has(SUPERVISOR))?;
    let (mut waiter, replier) = slot::pair();
    crate::process::send(supervisor, AskChildren(replier));
    drop(proc);
    poll_fn(|cx| waiter.poll(cx)).await
}

/// Is the process a supervisor? `None` if there is no such process.
pub fn is_supervisor(pid: Pid) -> Option<bool> {
    let node = crate::node::current::by_index(pid.node_index())?;
    node.lookup(pid).map(|proc| proc.has(SUPERVISOR))
}
