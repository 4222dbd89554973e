//! Run queues and executors.
//!
//! ```text
//!   schedule(p) on an executor's thread ──► that executor's ring (256) ──overflow──► shared queue
//!   schedule(p) elsewhere ────────────────────────────────────────────────────────► shared queue
//!
//!   executor: own ring, at first and every 61st time the shared queue first; then the shared queue; then half of another ring
//! ```
//! An executor that finds nothing announces that, looks once more, and returns to tokio; see `rt::idle` for why no wake-up is
//! lost. A push into the own ring wakes nobody while the ring holds only that one process: this executor will get to it next, and
//! handing it to a sleeping thread costs more than running it.
//!
//! Queues hold bare pointers; `process::cell` says why that is safe.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::node::current::{Tls, tls};
use crate::node::{Node, NodeInner};
use crate::process::cell::Proc;
use crate::process::seat::Seat;
use crate::rt::idle::{self, Idle};
use crate::rt::injector::Injector;
use crate::rt::ring::Ring;
use crate::rt::sim::{self, World};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering, fence};

/// How long an executor works before it gives its worker thread back to tokio.
pub(crate) const SLICE: Duration = Duration::from_micros(200);
/// How many activations an executor makes at most before it gives its worker thread back.
const ACTIVATIONS: u32 = 256;
/// How often the shared queue is looked at first.
const FAIRNESS: u32 = 61;

/// What the watchdog sees of an executor.
#[derive(Default)]
pub(crate) struct Record {
    /// Grows with every activation and every message; odd numbers do not mean anything.
    pub(crate) steps: AtomicU64,
    /// Slot and serial of the process being run, packed; 0 when none is.
    pub(crate) running: AtomicU64,
}

pub(crate) struct Worker {
    /// The index of the node whose scheduler this is.
    owner: u32,
    index: usize,
    ring: Ring<256>,
    waker: Mutex<Option<Waker>>,
    pub(crate) record: Record,
    /// Whom this executor's thread is reading.
    seat: Seat,
    /// A process is ending here and telling those concerned; see [`Sched::telling`]. This executor's alone.
    telling: AtomicBool,
    /// End of the present slice, in nanoseconds of the node's clock; written by this executor only.
    slice_end: AtomicU64,
}

pub(crate) struct Sched {
    owner: u32,
    workers: Box<[Worker]>,
    injector: Injector<NonNull<Proc>>,
    idle: Idle,
    /// Of a simulated node.
    world: Option<Arc<World>>,
    stopping: AtomicBool,
    running: AtomicUsize,
    /// The last executor is gone: what is scheduled from now on has to be ended without one.
    over: AtomicBool,
    /// Somebody is at that.
    ending: AtomicBool,
}

// SAFETY: the pointers in the queues are to processes, which are Sync.
unsafe impl Send for Sched {}
// SAFETY: as above; a ring's push is made by its own executor only (see `schedule`).
unsafe impl Sync for Sched {}

impl Sched {
    /// `world`: the scheduler of a simulated node, whose only executor takes its processes from there.
    pub(crate) fn new(owner: u32, workers: usize, world: Option<Arc<World>>) -> Sched {
        let workers = if world.is_some() { 1 } else { workers };
        // More executors than that would not pay on one set of queues.
        let workers = workers.clamp(1, idle::MOST);
        Sched {
            owner,
            workers: (0..workers)
                .map(|index| Worker {
                    owner,
                    index,
                    ring: Ring::new(),
                    waker: Mutex::new(None),
                    record: Record::default(),
                    seat: Seat::default(),
                    telling: AtomicBool::new(false),
                    slice_end: AtomicU64::new(0),
                })
                .collect(),
            injector: Injector::new(),
            idle: Idle::default(),
            world,
            stopping: AtomicBool::new(false),
            running: AtomicUsize::new(workers),
            over: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        }
    }

    pub(crate) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// The seats of all executors.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.workers.iter().map(|worker| &worker.seat)
    }

    /// Is nothing being run and nothing waiting to be?
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.count() == self.workers.len()
    }

    /// The executor of this scheduler that runs on this thread.
    #[inline]
    fn here(&self) -> Option<&Worker> {
        let worker = tls(|t| t.worker.get())?;
        // SAFETY: set for the time of an executor's poll only, and the executor holds the node that holds the worker.
        let worker = unsafe { worker.as_ref() };
        (worker.owner == self.owner).then_some(worker)
    }

    /// Puts a process, whose SCHED bit the caller has just set, into a run queue.
    #[inline]
    pub(crate) fn schedule(&self, proc: &Proc) {
        debug_assert!(self.world.is_none(), "a process of a simulated node says so");
        if let Some(worker) = self.here() {
            // SAFETY: `here` returned the executor of this very thread: we are the ring's only producer.
            if unsafe { worker.ring.push(proc.ptr().cast()) }.is_ok() {
                let enough = if worker.telling.load(Ordering::Relaxed) { 2 } else { 1 };
                if self.workers.len() > 1 && worker.ring.len() > enough {
                    self.wake_one();
                }
                return;
            }
        }
        self.inject(proc.ptr());
    }

    /// [`schedule`](Self::schedule) on a simulated node.
    pub(crate) fn schedule_in_world(&self, proc: &Proc) {
        if let Some(world) = &self.world {
            world.schedule(proc);
            self.look_after();
        }
    }

    /// A process that ends tells its supervisor, which restarts it in a microsecond or two, and its last caller. Another thread would wake
    /// up later than that for the second of them, and its wake-up costs this one a system call.
    pub(crate) fn telling(&self, on: bool) {
        if let Some(worker) = self.here() {
            worker.telling.store(on, Ordering::Relaxed);
        }
    }

    #[cold]
    pub(crate) fn inject(&self, proc: NonNull<Proc>) {
        self.injector.push(proc);
        self.wake_one();
        self.look_after();
    }

    /// Sees to what was pushed when no executor is left that would pop it. The last executor says that it is gone, then looks once more; who
    /// pushes does so before looking whether it is gone: one of the two finds the process.
    #[inline]
    fn look_after(&self) {
        fence(Ordering::SeqCst);
        if self.over.load(Ordering::Relaxed) {
            self.end_elsewhere();
        }
    }

    /// Ends what waits, on a thread of its own: whoever scheduled it may hold locks that the end of a process needs.
    #[cold]
    fn end_elsewhere(&self) {
        if self.ending.swap(true, Ordering::AcqRel) {
            // Somebody is at it, and looks again afterwards.
            return;
        }
        let Some(node) = crate::node::current::by_index(self.owner) else {
            self.ending.store(false, Ordering::Release);
            return;
        };
        let body = move || node.rt().sched.end_what_waits();
        if let Err(error) = std::thread::Builder::new().name("purlin-end".to_owned()).spawn(body) {
            self.ending.store(false, Ordering::Release);
            tracing::error!(%error, "no thread to end the processes of a node whose runtime is gone");
        }
    }

    /// Ends every process that waits in the shared queue (or the simulated node's list), where no executor is left. The caller has set
    /// `ending`.
    #[cold]
    fn end_what_waits(&self) {
        loop {
            let next = match &self.world {
                Some(world) => world.take_of(self.owner),
                None => self.injector.pop(),
            };
            if let Some(proc) = next {
                // SAFETY: popped from a run queue: scheduled, hence alive and kept by the process table.
                let proc = unsafe { proc.as_ref() };
                crate::process::exit::kill(proc);
                tls(|t| crate::process::run::activate(proc, t, &Record::default()));
                continue;
            }
            // Who pushed and found `ending` up before this sees to it that the push is seen after it.
            self.ending.swap(false, Ordering::AcqRel);
            if !self.has_work() || self.ending.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }

    /// Wakes one idle executor, if there is one.
    pub(crate) fn wake_one(&self) {
        let Some(index) = self.idle.pick() else { return };
        let waker = self.workers[index].waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn next(&self, me: &Worker, tick: u32) -> Option<NonNull<Proc>> {
        if let Some(world) = &self.world {
            return world.take_of(self.owner);
        }
        // At the beginning of a slice as well: one of long activations ends before there were so many of them.
        if (tick == 0 || tick % FAIRNESS == FAIRNESS - 1)
            && let Some(proc) = self.injector.pop()
        {
            return Some(proc);
        }
        if let Some(proc) = me.ring.pop() {
            return Some(proc.cast());
        }
        self.injector.pop().or_else(|| {
            (1..self.workers.len()).find_map(|step| {
                let other = &self.workers[(me.index + step) % self.workers.len()];
                // SAFETY: `me` is the executor of this thread, the only producer of its ring.
                unsafe { other.ring.steal_into(&me.ring) }.map(NonNull::cast)
            })
        })
    }

    /// Does anything wait in a run queue?
    pub(crate) fn has_work(&self) -> bool {
        match &self.world {
            Some(world) => world.has_work(self.owner),
            None => !self.injector.is_empty() || self.workers.iter().any(|w| !w.ring.is_empty()),
        }
    }

    /// What a simulated node shares with the others of its run.
    #[inline]
    pub(crate) fn world(&self) -> Option<&Arc<World>> {
        self.world.as_ref()
    }

    /// Are the executors to end?
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Makes the executors end at their next look.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for worker in &self.workers {
            let waker = worker.waker.lock().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Remaining time of the executor's slice on this thread: `true` when the running process should give way.
#[inline]
pub(crate) fn slice_over(now: Duration) -> bool {
    // SAFETY: as in `here`.
    tls(|t| t.worker.get().is_none_or(|w| unsafe { w.as_ref() }.slice_over(now)))
}

/// The watchdog does not look at this thread's executor until the result is dropped.
pub(crate) fn unwatched() -> impl Drop {
    struct Unwatched(Option<NonNull<Worker>>, u64);
    impl Drop for Unwatched {
        fn drop(&mut self) {
            // SAFETY: as in `here`; it is dropped on the stack of the same poll.
            if let Some(worker) = self.0.map(|w| unsafe { w.as_ref() }) {
                worker.record.running.store(self.1, Ordering::Relaxed);
            }
        }
    }
    let worker = tls(|t| t.worker.get());
    // SAFETY: as in `here`.
    let running = worker.map_or(0, |w| unsafe { w.as_ref() }.record.running.swap(0, Ordering::Relaxed));
    Unwatched(worker, running)
}

impl Worker {
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// The seat, for reads of this executor's node.
    #[inline]
    pub(crate) fn seat(&self, node: u32) -> Option<&Seat> {
        (self.owner == node).then_some(&self.seat)
    }

    /// Is the slice over? The first look begins it.
    fn slice_over(&self, now: Duration) -> bool {
        let now = now.as_nanos() as u64;
        match self.slice_end.load(Ordering::Relaxed) {
            0 => {
                self.slice_end.store(now + SLICE.as_nanos() as u64, Ordering::Relaxed);
                false
            },
            end => now >= end,
        }
    }
}

/// The tokio task that runs processes.
pub(crate) struct Executor {
    node: Arc<NodeInner>,
    index: usize,
}

impl Executor {
    /// All executors of a node.
    pub(crate) fn all(node: &Node) -> Vec<Executor> {
        (0..node.rt().sched.workers.len()).map(|index| Executor { node: node.0.clone(), index }).collect()
    }

    fn run(&self, cx: &mut Context<'_>, tls: &Tls) -> Poll<()> {
        let node = &*self.node;
        let sched = &node.rt.sched;
        let me = &sched.workers[self.index];
        if let Some(world) = &sched.world {
            return if sched.is_stopping() { Poll::Ready(()) } else { sim::execute(world, node, cx, tls) };
        }
        // A slice begins at its first look at the clock: an executor that runs one short activation looks at none.
        me.slice_end.store(0, Ordering::Relaxed);
        let mut tick = 0u32;
        loop {
            if sched.stopping.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            let Some(proc) = sched.next(me, tick) else {
                // Announce, then look again: a push that this look misses sees the announcement.
                sched.idle.announce(self.index);
                if !sched.has_work() && !sched.stopping.load(Ordering::Acquire) {
                    return Poll::Pending;
                }
                sched.idle.retract(self.index);
                continue;
            };
            // More waits than this executor can start at once: let an idle one help.
            if tick == 0 && sched.workers.len() > 1 && (!me.ring.is_empty() || !sched.injector.is_empty()) {
                sched.wake_one();
            }
            // SAFETY: popped from a run queue: scheduled, hence alive and kept by the process table.
            crate::process::run::activate(unsafe { proc.as_ref() }, tls, &me.record);
            tick += 1;
            let give_way = tick >= ACTIVATIONS
                || !tokio::task::coop::has_budget_remaining()
                || (tick.is_multiple_of(16) && me.slice_over(node.rt.now()));
            if give_way {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl Future for Executor {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sched = &self.node.rt.sched;
        let me = &sched.workers[self.index];
        {
            let mut waker = me.waker.lock();
            if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        sched.idle.retract(self.index);
        tls(|t| {
            let before = t.worker.replace(Some(NonNull::from(me)));
            let here = 0u8;
            let stack = t.stack.replace(std::ptr::from_ref(&here).addr());
            // Callbacks are caught where they are called. What arrives here is a bug of ours, which must not take the executor with it.
            let result = catch_unwind(AssertUnwindSafe(|| self.run(cx, t))).unwrap_or_else(|_| {
                t.recover();
                me.record.running.store(0, Ordering::Relaxed);
                tracing::error!(target: "purlin::executor", worker = self.index, "a panic got out of an activation: please report this bug. Its process is stuck");
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            t.stack.set(stack);
            t.worker.set(before);
            result
        })
    }
}

impl Drop for Executor {
    /// The last executor to go (the runtime shuts down, or the node was stopped) ends what is still there: every process's future and
    /// state are dropped, so that what they own is released.
    fn drop(&mut self) {
        let sched = &self.node.rt.sched;
        sched.idle.retract(self.index);
        *sched.workers[self.index].waker.lock() = None;
        if sched.running.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if let Some(world) = &sched.world {
            world.remove(self.node.index);
        }
        self.node.down.store(true, Ordering::Release);
        self.node.went_down();
        crate::process::exit::kill_all(&self.node);
        let me = &sched.workers[self.index];
        let before = tls(|t| t.worker.replace(Some(NonNull::from(me))));
        for tick in 0.. {
            let Some(proc) = sched.next(me, tick) else { break };
            // SAFETY: as in `run`.
            tls(|t| crate::process::run::activate(unsafe { proc.as_ref() }, t, &me.record));
        }
        tls(|t| t.worker.set(before));
        // What was pushed to the shared queue since the last look, or will be: by a thread that left a process, or woke one, only now.
        sched.over.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // A process that was made since the look at the process table ends as well.
        crate::process::exit::kill_all(&self.node);
        if !sched.ending.swap(true, Ordering::AcqRel) {
            sched.end_what_waits();
        }
    }
}
