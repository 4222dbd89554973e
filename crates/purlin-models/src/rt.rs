//! purlin-core's `rt` folder, and a scheduler for models.
//!
//! A process that is scheduled belongs to the thread that scheduled it, until that thread calls [`Rt::run_mine`]: any thread is an
//! executor, and loom decides when. Scheduling a process that is scheduled already is an error.

use std::ptr::NonNull;
use std::rc::Rc;

use loom::thread::{self, ThreadId};

use crate::node::current;
use crate::process::cell::{Proc, ProcRef};
use crate::process::pid::Pid;
use crate::process::run::RunCx;
use crate::process::seat::{self, Seat};
use crate::process::word::BIASED;
use crate::sync::{AtomicU32, Ordering};

#[allow(dead_code)]
#[path = "../../purlin-core/src/rt/idle.rs"]
pub(crate) mod idle;
#[allow(dead_code)]
#[path = "../../purlin-core/src/rt/injector.rs"]
pub(crate) mod injector;
#[allow(dead_code)]
#[path = "../../purlin-core/src/rt/ring.rs"]
pub(crate) mod ring;

/// No process of a model is simulated: loom does that.
pub(crate) mod sim {
    use crate::mailbox::envelope::Envelope;
    use crate::process::cell::Proc;
    use crate::process::exit_reason::ExitReason;
    use crate::process::pid::Pid;

    pub(crate) fn send(_to: &Proc, envelope: Envelope) -> Option<Envelope> {
        Some(envelope)
    }

    pub(crate) fn ends(_proc: &Proc, _reason: &ExitReason) {}

    pub(crate) fn arrive_all(_from: &Proc, _to: Option<Pid>) {}

    pub(crate) fn arrive_all_of_current() {}

    pub(crate) fn finds_gone(_pid: Pid) {}

    pub(crate) fn interlude(_proc: &Proc) {}
}

/// A process, from its start to the end of the model.
struct Entry {
    proc: NonNull<Proc>,
    /// Is it in the process table? Read by read-modify-writes only: a look into the real table takes the slot's lock bit.
    listed: AtomicU32,
    /// The thread in whose run queue it is.
    ready: std::sync::Mutex<Option<ThreadId>>,
}

/// The processes of a model and their run queues.
#[derive(Default)]
pub(crate) struct Rt {
    // Filled before the threads start. Never held across an operation that loom sees.
    entries: std::sync::Mutex<Vec<Rc<Entry>>>,
    pub(crate) timers: Timers,
    seats: [Seat; 2],
}

/// Timers are not modelled.
#[derive(Default)]
pub(crate) struct Timers;

impl Timers {
    pub(crate) fn cancel_all(&self, _owner: Pid) {}
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Rt {
    pub(crate) fn processes(&self) -> u32 {
        lock(&self.entries).len() as u32
    }

    /// Enters a process. A second reference is kept until [`clear`](Self::clear), so that no pointer in a model ever dangles.
    pub(crate) fn enter(&self, proc: ProcRef) {
        std::mem::forget(proc.clone());
        let entry =
            Entry { proc: proc.into_raw(), listed: AtomicU32::new(1), ready: std::sync::Mutex::new(None) };
        lock(&self.entries).push(Rc::new(entry));
    }

    pub(crate) fn telling(&self, _on: bool) {}

    pub(crate) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter()
    }

    fn entries(&self) -> Vec<Rc<Entry>> {
        lock(&self.entries).clone()
    }

    fn entry(&self, pid: Pid) -> Option<Rc<Entry>> {
        lock(&self.entries).get(pid.id() as usize - 1).cloned()
    }

    pub(crate) fn lookup(&self, pid: Pid) -> Option<ProcRef> {
        let entry = self.entry(pid)?;
        let listed = entry.listed.fetch_or(0, Ordering::AcqRel) == 1;
        // SAFETY: the block lives until the model is over.
        listed.then(|| unsafe { entry.proc.as_ref() }.to_ref())
    }

    pub(crate) fn remove(&self, pid: Pid) -> Option<ProcRef> {
        let entry = self.entry(pid)?;
        let listed = entry.listed.swap(0, Ordering::AcqRel) == 1;
        // SAFETY: the table's reference, given up once.
        listed.then(|| unsafe { ProcRef::from_raw(entry.proc) })
    }

    /// Puts a process into this thread's run queue.
    pub(crate) fn schedule(&self, proc: &Proc) {
        let entry = self.entry(proc.pid()).expect("entered");
        let before = lock(&entry.ready).replace(thread::current().id());
        assert!(before.is_none(), "{:?} is scheduled twice", proc.pid());
    }

    /// Is the process in a run queue?
    pub(crate) fn is_ready(&self, pid: Pid) -> bool {
        self.entry(pid).is_some_and(|entry| lock(&entry.ready).is_some())
    }

    /// Runs what this thread has scheduled, until nothing is left.
    pub(crate) fn run_mine(&self) {
        let me = Some(thread::current().id());
        loop {
            let entries = self.entries();
            let Some(entry) = entries.iter().find(|entry| *lock(&entry.ready) == me) else { return };
            *lock(&entry.ready) = None;
            // SAFETY: the block lives until the model is over.
            let proc = unsafe { entry.proc.as_ref() };
            let old = proc.word.begin();
            // One look, so that models also go the way by the run queue.
            if old & BIASED != 0 && !seat::wait(proc, old, 1) {
                continue;
            }
            let before = current::replace(Some(entry.proc));
            // SAFETY: `begin` took RUN.
            let ended = unsafe { (proc.table.activate)(proc, old, &RunCx::new()) };
            current::replace(before);
            drop(ended);
        }
    }

    /// Gives the processes up, at the end of a model.
    pub(crate) fn clear(&self) {
        for entry in std::mem::take(&mut *lock(&self.entries)) {
            if entry.listed.swap(0, Ordering::AcqRel) == 1 {
                // SAFETY: the table's reference, given up once.
                drop(unsafe { ProcRef::from_raw(entry.proc) });
            }
            // SAFETY: the second reference that `enter` made.
            drop(unsafe { ProcRef::from_raw(entry.proc) });
        }
    }
}
