//! Requests to a static supervisor, against a model of it. Only one client makes them, so it knows which children are there; others may
//! end the children's processes, which the supervisor then starts again.

use purlin_core::supervisor::{
    ChildRefused, ChildStatus, DeleteChildError, FindChildError, RestartChildError, StartChildError,
    StartRefused,
};
use purlin_core::*;

use super::Client;
use super::ending::check_supervisor_call;
use crate::soak::world::TREES;

/// What the client knows of a child.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Child {
    /// It runs, or is being restarted.
    #[default]
    Up,
    /// It was stopped by request.
    Stopped,
    /// Its specification was deleted.
    Gone,
}

#[derive(Default)]
pub(super) struct Admin([Child; 2]);

/// One request, and what it must come to.
pub(super) async fn administer(c: &mut Client) {
    if c.admin.is_none() {
        return;
    }
    let cell = c.cell.clone();
    let administered = TREES.iter().find(|tree| tree.administered).map_or("", |tree| tree.name);
    let Some(supervisor) = cell.supervisor(administered).whereis() else {
        return c.facts.doubt(|| "the administered supervisor is not there".to_owned());
    };
    let first = cell.slots.iter().position(|slot| slot.tree.administered).unwrap_or(0);
    let which = c.random.below(2) as usize;
    let index = first + which;
    let id = cell.slots[index].id.clone();
    let before = c.admin.as_ref().map(|admin| admin.0[which]).unwrap_or_default();
    let process = cell.slots[index].state().last.map(|last| last.pid());
    let request = c.random.below(5);
    c.facts.note(
        ["terminate", "restart", "delete", "start", "count"][request as usize],
        Some(c.me),
        process,
        0,
    );
    let after = match request {
        0 => match supervisor.terminate_child(id.as_str().to_owned()).await {
            Ok(()) if before != Child::Gone => {
                // Nobody else starts it.
                if let Some(process) = cell.slots[index].state().last {
                    c.facts.check_gone(process.pid(), "terminate_child");
                }
                Ok(Child::Stopped)
            },
            Err(FindChildError::NotFound(_)) if before == Child::Gone => Ok(before),
            Err(FindChildError::Call(error)) => Err(error),
            other => {
                unexpected(c, "terminate_child", before, &other);
                Ok(before)
            },
        },
        1 => match supervisor.restart_child(id.as_str().to_owned()).await {
            Ok(Some(_)) if before == Child::Stopped => Ok(Child::Up),
            Err(RestartChildError::Failed(_)) if before == Child::Stopped => Ok(before),
            Err(RestartChildError::Refused(
                ChildRefused::Running { .. } | ChildRefused::Restarting { .. },
            )) if before == Child::Up => Ok(before),
            Err(RestartChildError::Refused(ChildRefused::NotFound { .. })) if before == Child::Gone => {
                Ok(before)
            },
            Err(RestartChildError::Call(error)) => Err(error),
            other => {
                unexpected(c, "restart_child", before, &other);
                Ok(before)
            },
        },
        2 => match supervisor.delete_child(id.as_str().to_owned()).await {
            Ok(()) if before == Child::Stopped => Ok(Child::Gone),
            Err(DeleteChildError::Refused(
                ChildRefused::Running { .. } | ChildRefused::Restarting { .. },
            )) if before == Child::Up => Ok(before),
            Err(DeleteChildError::Refused(ChildRefused::NotFound { .. })) if before == Child::Gone => {
                Ok(before)
            },
            Err(DeleteChildError::Call(error)) => Err(error),
            other => {
                unexpected(c, "delete_child", before, &other);
                Ok(before)
            },
        },
        3 => match supervisor.start_child(cell.spec(index)).await {
            Ok(Some(_)) if before == Child::Gone => Ok(Child::Up),
            Err(StartChildError::Failed(_)) if before == Child::Gone => Ok(before),
            Err(StartChildError::Refused(StartRefused::AlreadyPresent { .. })) if before != Child::Gone => {
                Ok(before)
            },
            Err(StartChildError::Refused(StartRefused::AlreadyStarted { .. })) if before == Child::Up => {
                Ok(before)
            },
            Err(StartChildError::Call(error)) => Err(error),
            other => {
                unexpected(c, "start_child", before, &other);
                Ok(before)
            },
        },
        _ => count(c, &supervisor).await.map(|()| before),
    };
    c.drain();
    match after {
        Ok(after) => {
            if let Some(admin) = &mut c.admin {
                admin.0[which] = after;
            }
        },
        Err(error) => check_supervisor_call(c, &error, false),
    }
}

fn unexpected(c: &Client, request: &str, before: Child, answer: &impl std::fmt::Debug) {
    c.facts.doubt(|| format!("{request} of a child that is {before:?}: {answer:?}"));
}

/// What the supervisor says of its children agrees with itself, and with what was asked for.
async fn count(c: &mut Client, supervisor: &SupervisorRef) -> Result<(), CallError> {
    let states = c.admin.as_ref().map(|admin| admin.0).unwrap_or_default();
    let children = supervisor.which_children().await?;
    let counts = supervisor.count_children().await?;
    let known = states.iter().filter(|state| **state != Child::Gone).count();
    let stopped = states.iter().filter(|state| **state == Child::Stopped).count();
    let undefined = children.iter().filter(|child| child.status == ChildStatus::Undefined).count();
    if children.len() != known || undefined != stopped {
        c.facts.doubt(|| format!("after {states:?} there are {children:?}"));
    }
    if (counts.specs, counts.workers, counts.supervisors) != (known, known, 0) || counts.active > known {
        c.facts.doubt(|| format!("after {states:?} the count is {counts:?}"));
    }
    Ok(())
}
