//! The loop that runs a simulated world.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::node::current::Tls;
use crate::node::{Node, NodeInner};
use crate::process::cell::{Proc, SUPERVISOR};
use crate::process::exit;
use crate::rt::sim::hooks::note;
use crate::rt::sim::{Item, LAST, State, What, World};
use std::ptr::NonNull;

/// How many steps before tokio's driver gets a turn.
const STEPS: u32 = 256;
/// The tasks that a node has itself: its executor and the driver of its timers.
const OWN_TASKS: usize = 2;

/// One poll of the executor of node `index`.
pub(crate) fn execute(world: &Arc<World>, node: &NodeInner, cx: &mut Context<'_>, tls: &Tls) -> Poll<()> {
    {
        let index = node.index;
        let mut state = world.state.lock();
        for member in &mut state.members {
            if member.index == index && !member.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                member.waker = Some(cx.waker().clone());
            }
        }
        // The first one runs everybody's processes; the others wait until they are the first.
        if state.members.first().is_none_or(|first| first.index != index) {
            return Poll::Pending;
        }
        state.running = true;
    }
    let stop = Stop(world);
    for _ in 0..STEPS {
        if !step(world, tls) {
            return Poll::Pending;
        }
        if node.rt.sched.is_stopping() || lets_timers_fire(world) || lets_tasks_run(world) {
            break;
        }
    }
    drop(stop);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// From here on a push wakes the executor.
struct Stop<'a>(&'a World);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running = false;
    }
}

/// Every eighth time, lets up to three things happen.
#[cold]
pub(super) fn interlude(proc: &Proc) {
    let Some(world) = proc.node.rt().sched.world() else { return };
    let steps = {
        let mut state = world.state.lock();
        if state.in_interlude || state.ready.is_empty() || !state.running {
            return;
        }
        let steps = state.choose(4, |policy| policy.interlude());
        state.in_interlude = steps > 0;
        steps
    };
    if steps > 0 {
        crate::node::current::tls(|tls| (0..steps).all(|_| step(world, tls)));
        let mut state = world.state.lock();
        state.in_interlude = false;
        // The executor is still at it.
        state.running = true;
    }
}

#[cold]
pub(super) fn interlude_at_birth(proc: &Proc) {
    let Some(world) = proc.node.rt().sched.world() else { return };
    // Others that are made meanwhile come and go.
    let before = world.state.lock().unborn.replace(proc.pid());
    interlude(proc);
    world.state.lock().unborn = before;
}

/// Does one thing; `false` when there is none.
fn step(world: &Arc<World>, tls: &Tls) -> bool {
    let (item, fault) = {
        let mut state = world.state.lock();
        if state.steps >= state.limit.most {
            state.running = false;
            if let Some(waker) = state.limit.waker.take() {
                waker.wake();
            }
            return false;
        }
        let fault = if state.faults.at_steps() && !state.ready.is_empty() { fault(&mut state) } else { None };
        state.calls = 0;
        let item = state.take();
        // Said under the lock that the next push takes.
        state.running = item.is_some();
        (item, fault)
    };
    if let Some(fault) = fault {
        fault.happen();
    }
    match item {
        None => false,
        Some(Item::Wire(id)) => {
            world.state.lock().steps += 1;
            world.arrive(id);
            true
        },
        Some(Item::Process(proc)) => {
            {
                // SAFETY: as below.
                let proc = unsafe { proc.as_ref() };
                let mut state = world.state.lock();
                state.steps += 1;
                let key = crate::rt::sim::key(proc.pid());
                if state.watched.0 == key {
                    state.watched.1 += 1;
                }
                if state.limit.most - state.steps < LAST {
                    let kind = || (proc.pid(), crate::rt::sim::short((proc.table.type_name)()), 0);
                    state.limit.busy.entry(key).or_insert_with(kind).2 += 1;
                }
                if state.fine {
                    state.trace.mix(proc.node.now().as_nanos() as u64);
                    state.trace.mix_pid(proc.pid());
                }
                if state.slow > 0 && state.steps.is_multiple_of(4) {
                    state.slow -= 1;
                    lose_real_time();
                }
            }
            // SAFETY: taken from the list: scheduled, hence alive and kept by the process table.
            let proc = unsafe { proc.as_ref() };
            let node = proc.node.clone();
            let worker = &node.rt().sched.workers()[0];
            let before = tls.worker.replace(Some(NonNull::from(worker)));
            crate::process::run::activate(proc, tls, worker.record());
            tls.worker.set(before);
            true
        },
    }
}

/// Not `thread::sleep`, which must not be called on a runtime's threads: this is the one place that means to block.
fn lose_real_time() {
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_micros(500) {
        std::hint::spin_loop();
    }
}

/// The clock has jumped: do the timers that are due fire before anybody runs who could have run before?
fn lets_timers_fire(world: &World) -> bool {
    let mut state = world.state.lock();
    std::mem::take(&mut state.jumped) && state.choose(2, |policy| (policy.random().next() & 1) as usize) == 1
}

/// The program has tokio tasks of its own: is it their turn?
fn lets_tasks_run(world: &World) -> bool {
    let Ok(handle) = tokio::runtime::Handle::try_current() else { return false };
    let tasks = handle.metrics().num_alive_tasks();
    let mut state = world.state.lock();
    tasks > state.members.len() * OWN_TASKS
        && state.choose(2, |policy| usize::from(policy.random().below(8) == 0)) == 1
}

/// What goes wrong between two steps.
enum Fault {
    Kill(Node, crate::Pid),
    Jump(Node, Duration),
}

fn fault(state: &mut State) -> Option<Fault> {
    if state.chance(state.faults.kill) {
        let mut victims = Vec::new();
        for node in state.members.iter().filter_map(|member| member.node.upgrade()) {
            victims.extend(node.pids().into_iter().filter(|pid| may_be_killed(state, &node, *pid)));
        }
        if !victims.is_empty() {
            let pick = state.choose(victims.len(), |policy| policy.random().below(victims.len()));
            let pid = victims[pick];
            return crate::node::current::by_index(pid.node_index()).map(|node| Fault::Kill(node, pid));
        }
    }
    let (probability, most) = state.faults.clock_jump;
    if state.chance(probability) {
        let nodes: Vec<_> = state.members.iter().filter_map(|member| member.node.upgrade()).collect();
        if !nodes.is_empty() {
            let pick = state.choose(nodes.len(), |policy| policy.random().below(nodes.len()));
            let by = state.some_of(most);
            return Some(Fault::Jump(Node(nodes[pick].clone()), by));
        }
    }
    None
}

/// Supervisors are not killed at random: what they keep alive would not be there to be tested.
fn may_be_killed(state: &State, node: &NodeInner, pid: crate::Pid) -> bool {
    !state.spared.contains(&pid)
        && state.unborn != Some(pid)
        && node.lookup(pid).is_some_and(|proc| !proc.has(SUPERVISOR))
}

impl Fault {
    fn happen(self) {
        match self {
            Fault::Kill(node, pid) => {
                if let Some(proc) = node.lookup(pid) {
                    note(What::Killed, &proc, None, &String::new);
                    exit::kill(&proc);
                }
            },
            Fault::Jump(node, by) => {
                node.rt().clock.jump(by);
                node.rt().timers.look_again();
                if let Some(world) = node.rt().sched.world() {
                    let text = || format!("{by:?}");
                    let mut state = world.state.lock();
                    state.jumped = true;
                    state.trace.note(node.now(), What::ClockJumps, node.init_pid(), None, &text);
                }
            },
        }
    }
}
