//! The process control block: one allocation holding the header every process has and the body of its kind.
//!
//! A [`ProcRef`] counts references to the block, nothing else: the life of a *process* does not depend on them. The process table holds
//! one reference while the process lives; when it has ended its state is gone, and the small block waits for the last `Ref` to go.
//!
//! Invariants
//! * `runner` and the body are touched only by the holder of RUN (or, the body's state, shared, by readers counted in the word).
//! * Run queues hold bare pointers: a scheduled process is alive, and the table's reference is given up only by the activation that
//!   ends the process, which no run queue refers to (SCHED is down and DEAD keeps it down).

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::ops::Deref;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::mailbox::envelope::{Envelope, MsgTable};
use crate::mailbox::{Mailbox, Push};
use crate::node::Node;
use crate::process::exit_reason::ExitReason;
use crate::process::extra::Extra;
use crate::process::lineage::Lineage;
use crate::process::pid::Pid;
use crate::process::relations::Relations;
use crate::process::run::RunCx;
use crate::process::word::{Duty, WOKEN, Word};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, UnsafeCell};

/// What a kind of process does; one static per kind.
pub(crate) struct ProcTable {
    pub(crate) type_id: fn() -> TypeId,
    pub(crate) type_name: fn() -> &'static str,
    /// A raw process is woken by every message; a server only by its first one.
    pub(crate) raw: bool,
    /// Runs the process for one slice; the caller has taken RUN with `Word::begin`, whose result is `old`. Returns the process table's
    /// reference when the process ended.
    ///
    /// # Safety
    /// The caller holds RUN; the function gives it up.
    pub(crate) activate: unsafe fn(proc: &Proc, old: u64, run: &RunCx<'_>) -> Option<ProcRef>,
    /// Drops the user's future and state. Called once, in `finish`, under RUN, with no reader inside.
    ///
    /// # Safety
    /// As said.
    pub(crate) discard: unsafe fn(proc: &Proc),
    /// Called as the last step of `finish`: tells a waiting starter that the process ended before it was ready.
    ///
    /// # Safety
    /// The caller holds RUN.
    pub(crate) ended: unsafe fn(proc: &Proc, reason: &ExitReason),
    /// Text for crash reports and `sys::get_status`.
    ///
    /// # Safety
    /// The caller holds RUN.
    pub(crate) status: unsafe fn(proc: &Proc) -> String,
    /// The state of a server between two messages, for `sys`.
    ///
    /// # Safety
    /// The caller holds RUN.
    pub(crate) state: unsafe fn(proc: &Proc) -> Option<NonNull<dyn Any + Send>>,
    /// Frees the block.
    ///
    /// # Safety
    /// The last reference is gone.
    pub(crate) free: unsafe fn(NonNull<Proc>),
}

/// What only the holder of RUN touches.
#[derive(Default)]
pub(crate) struct Runner {
    /// OTP's inner message queue.
    pub(crate) inner: VecDeque<Envelope>,
    /// A receive of a raw process that is polled under another waker than the process's own.
    pub(crate) receiver: Option<Waker>,
}

/// The process traps exits.
pub(crate) const TRAP: u32 = 1;
/// The mailbox is bounded.
pub(crate) const BOUNDED: u32 = 2;
/// Fast calls are forced off (tests, simulation, `NodeBuilder::call_path`).
pub(crate) const NO_DIRECT: u32 = 4;
/// `sys` has suspended it.
pub(crate) const SUSPENDED: u32 = 8;
/// `sys` trace, log or statistics are on.
pub(crate) const DEBUGGED: u32 = 16;
/// Fast calls are off because its handlers are slow.
pub(crate) const SLOW: u32 = 32;
/// It owns timers in the node's wheel.
pub(crate) const TIMERS: u32 = 64;
/// It is in `Extra` under a name, or owns resources released at its end.
pub(crate) const OWNS: u32 = 128;
/// A supervisor, for `process_info` and the tree.
pub(crate) const SUPERVISOR: u32 = 256;
/// It was started with a link: its spawner is its parent, whose exit ends a server even if it traps exits.
pub(crate) const CHILD: u32 = 1 << 16;

/// A task: its callers are its parent and that one's callers, unless `Extra` has others.
pub(crate) const FOR_PARENT: u32 = 1 << 20;
/// A task whose code has its mailbox.
pub(crate) const MAILBOX_TAKEN: u32 = 1 << 21;

/// Its node is simulated.
pub(crate) const SIMULATED: u32 = 512;

/// It has a tracing span, in `Extra`.
pub(crate) const SPAN: u32 = 2048;
/// It gave way to others of a simulated run, and has not gone on since.
pub(crate) const GAVE_WAY: u32 = 4096;
/// It may block its thread: it is run on the blocking pool. Never on a simulated node, where nobody may block.
pub(crate) const BLOCKING: u32 = 1 << 13;
/// Its links and monitors are closed: it has ended. Changes under the lock of `relations` only.
pub(crate) const CLOSED: u32 = 1024;

/// Samples of reads still to be taken before the process is read from seats: a count in the topmost byte; see `process::seat`.
pub(crate) const READS: u32 = 0xff << 24;
/// One of them.
pub(crate) const READS_ONE: u32 = 1 << 24;

/// The header of every process.
#[repr(C)]
pub(crate) struct Proc {
    pub(crate) word: Word,
    refs: AtomicUsize,
    pub(crate) table: &'static ProcTable,
    pub(crate) node: Node,
    pub(crate) pid: Pid,
    pub(crate) flags: AtomicU32,
    pub(crate) mailbox: Mailbox,
    pub(crate) runner: UnsafeCell<Runner>,
    /// The process that this one is waiting for in a call, packed; see `call::cycle`.
    pub(crate) waits_on: AtomicU64,
    /// Messages handled, calls in place included: OTP's reductions, coarsely.
    pub(crate) handled: AtomicU32,
    /// Calls in place since the last timed one, and their moving average in units of 64 ns; see `call::direct`.
    pub(crate) sample: AtomicU32,
    /// The table of the message handled last, for the watchdog and the crash report.
    pub(crate) last: AtomicPtr<MsgTable>,
    pub(crate) relations: Mutex<Option<Box<Relations>>>,
    pub(crate) extra: Mutex<Option<Box<Extra>>>,
    /// Who spawned it, and that one's ancestors.
    pub(crate) lineage: Option<Lineage>,
}

/// A process of kind `B`: header first, so that a pointer to one is a pointer to the other.
#[repr(C)]
pub(crate) struct Cell<B> {
    pub(crate) proc: Proc,
    pub(crate) body: UnsafeCell<B>,
}

// SAFETY: `runner` and `body` are reached only under the run lock of the word (or shared, by counted readers, which demand a `Sync`
// state where they are made); everything else is a lock, an atomic or immutable.
unsafe impl Send for Proc {}
// SAFETY: as above.
unsafe impl Sync for Proc {}
// SAFETY: as above; bodies are made of `Send` futures and states only.
unsafe impl<B> Send for Cell<B> {}
// SAFETY: as above.
unsafe impl<B> Sync for Cell<B> {}

/// Everything needed to make a block.
pub(crate) struct NewProc {
    pub(crate) table: &'static ProcTable,
    pub(crate) node: Node,
    pub(crate) pid: Pid,
    pub(crate) flags: u32,
    pub(crate) word: u64,
    pub(crate) mailbox: Mailbox,
    pub(crate) relations: Option<Box<Relations>>,
    pub(crate) extra: Option<Box<Extra>>,
    pub(crate) lineage: Option<Lineage>,
}

impl NewProc {
    /// Allocates the block with one reference.
    pub(crate) fn build<B>(self, body: B) -> ProcRef {
        let cell = Box::new(Cell {
            proc: Proc {
                word: Word::new(self.word),
                refs: AtomicUsize::new(1),
                table: self.table,
                node: self.node,
                pid: self.pid,
                flags: AtomicU32::new(self.flags),
                mailbox: self.mailbox,
                runner: UnsafeCell::new(Runner::default()),
                waits_on: AtomicU64::new(0),
                handled: AtomicU32::new(0),
                sample: AtomicU32::new(0),
                last: AtomicPtr::new(std::ptr::null_mut()),
                relations: Mutex::new(self.relations),
                extra: Mutex::new(self.extra),
                lineage: self.lineage,
            },
            body: UnsafeCell::new(body),
        });
        ProcRef(NonNull::from(Box::leak(cell)).cast())
    }
}

/// Frees a block of kind `B`.
///
/// # Safety
/// `ptr` is the last reference to a block built with a body of type `B`.
pub(crate) unsafe fn free<B>(ptr: NonNull<Proc>) {
    // SAFETY: by the caller's promise; the block was a Box of this very type.
    drop(unsafe { Box::from_raw(ptr.cast::<Cell<B>>().as_ptr()) });
}

impl Proc {
    /// The block as one of kind `B`.
    ///
    /// # Safety
    /// It was built with a body of type `B`.
    #[inline(always)]
    pub(crate) unsafe fn cell<B>(&self) -> &Cell<B> {
        // SAFETY: `Cell` is repr(C) with the header first, and by the caller's promise this header has that body behind it. The
        // reference's provenance covers the whole block, because every `&Proc` comes from a pointer to the block.
        unsafe { &*std::ptr::from_ref(self).cast::<Cell<B>>() }
    }

    #[inline(always)]
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    #[inline(always)]
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    pub(crate) fn set_flag(&self, flag: u32, on: bool) -> bool {
        let old = if on {
            self.flags.fetch_or(flag, Ordering::Relaxed)
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed)
        };
        old & flag != 0
    }

    #[inline]
    pub(crate) fn ptr(&self) -> NonNull<Proc> {
        NonNull::from(self)
    }

    /// A counted reference to this block.
    #[inline]
    pub(crate) fn to_ref(&self) -> ProcRef {
        self.refs.fetch_add(1, Ordering::Relaxed);
        ProcRef(NonNull::from(self))
    }

    /// Does what a state change asked for.
    #[inline]
    pub(crate) fn perform(&self, duty: Duty) {
        if duty == Duty::Schedule {
            self.node.rt().schedule(self);
        }
    }

    /// Puts an envelope into the mailbox and wakes the process if need be.
    #[inline]
    pub(crate) fn push(&self, envelope: Envelope) -> Result<(), Rejected> {
        if self.has(SIMULATED) {
            return match crate::rt::sim::send(self, envelope) {
                Some(envelope) => self.push_now(envelope),
                None => Ok(()),
            };
        }
        self.push_now(envelope)
    }

    /// [`push`](Self::push) without the way there, which a message to a simulated process may have.
    #[inline]
    pub(crate) fn push_now(&self, envelope: Envelope) -> Result<(), Rejected> {
        match self.mailbox.push(envelope, &self.word, self.table.raw) {
            Push::Stored(duty) => {
                self.perform(duty);
                Ok(())
            },
            Push::Evicted(duty, old) => {
                self.perform(duty);
                Err(Rejected::Evicted(old))
            },
            Push::Full(envelope) => Err(Rejected::Full(envelope)),
            Push::Closed(envelope) => Err(Rejected::Closed(envelope)),
        }
    }

    /// Wakes the suspended future of this process.
    #[inline]
    pub(crate) fn wake(&self) {
        let duty = self.word.post(WOKEN);
        self.perform(duty);
    }

    /// Notes which message is handled now.
    #[inline]
    pub(crate) fn note(&self, table: &'static MsgTable) {
        self.last.store(std::ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
    }

    /// The type of the message handled last.
    pub(crate) fn last_message(&self) -> Option<&'static str> {
        // SAFETY: only pointers to static tables are stored here.
        unsafe { self.last.load(Ordering::Relaxed).as_ref() }.map(|t| (t.type_name)())
    }

    /// A user message was handled: makes room in a bounded mailbox.
    #[inline]
    pub(crate) fn message_handled(&self) {
        if self.has(BOUNDED) {
            self.make_room();
        }
    }

    /// A message came about that was not admitted (from a signal, or an idle timeout): it counts in a bounded mailbox all the same.
    #[inline]
    pub(crate) fn message_made(&self) {
        if self.has(BOUNDED)
            && let Some(bound) = self.mailbox.lock().bound.as_mut()
        {
            bound.made();
        }
    }

    #[cold]
    fn make_room(&self) {
        let woken = self.mailbox.lock().bound.as_mut().map(|b| b.handled());
        for waker in woken.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Name, else label, else nothing.
    pub(crate) fn display_name(&self) -> Option<String> {
        let extra = self.extra.lock();
        let extra = extra.as_ref()?;
        extra.name.as_ref().map(|n| n.to_string()).or_else(|| extra.label.as_ref().map(|l| l.to_string()))
    }
}

/// Why an envelope is not in the mailbox (or, evicted, another one no longer is).
pub(crate) enum Rejected {
    Evicted(Envelope),
    Full(Envelope),
    Closed(Envelope),
}

/// A counted reference to a process's block.
pub(crate) struct ProcRef(NonNull<Proc>);

// SAFETY: the block is Sync and Send, and the count is atomic.
unsafe impl Send for ProcRef {}
// SAFETY: as above.
unsafe impl Sync for ProcRef {}

impl ProcRef {
    pub(crate) fn into_raw(self) -> NonNull<Proc> {
        std::mem::ManuallyDrop::new(self).0
    }

    /// # Safety
    /// The pointer came from [`into_raw`](Self::into_raw) and its reference is given up to the result.
    pub(crate) unsafe fn from_raw(ptr: NonNull<Proc>) -> ProcRef {
        ProcRef(ptr)
    }

    /// A waker that wakes this process's future.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the table below treats the pointer as one reference, which `into_raw` gives up here.
        unsafe { Waker::from_raw(RawWaker::new(self.into_raw().as_ptr().cast_const().cast(), &WAKER)) }
    }
}

impl Deref for ProcRef {
    type Target = Proc;
    #[inline(always)]
    fn deref(&self) -> &Proc {
        // SAFETY: this reference keeps the block.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for ProcRef {
    #[inline]
    fn clone(&self) -> Self {
        self.to_ref()
    }
}

impl Drop for ProcRef {
    #[inline]
    fn drop(&mut self) {
        if self.refs.fetch_sub(1, Ordering::Release) == 1 {
            crate::sync::fence(Ordering::Acquire);
            // SAFETY: that was the last reference; Release above and Acquire here order all earlier uses before the freeing.
            unsafe { (self.table.free)(self.0) }
        }
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |ptr| {
        // SAFETY: the waker's pointer is a counted reference, here borrowed and counted once more.
        let this = unsafe { &*ptr.cast::<Proc>() }.to_ref();
        RawWaker::new(this.into_raw().as_ptr().cast_const().cast(), &WAKER)
    },
    |ptr| {
        // SAFETY: the waker's reference is given up here.
        let this = unsafe { ProcRef::from_raw(NonNull::new_unchecked(ptr.cast::<Proc>().cast_mut())) };
        this.wake();
    },
    // SAFETY: the waker's reference is borrowed.
    |ptr| unsafe { &*ptr.cast::<Proc>() }.wake(),
    |ptr| {
        // SAFETY: the waker's reference is given up here.
        drop(unsafe { ProcRef::from_raw(NonNull::new_unchecked(ptr.cast::<Proc>().cast_mut())) });
    },
);

// SAFETY: `into_raw` and `from_raw` carry one reference across, and `Clone` counts one more.
unsafe impl crate::process::table::Handle for ProcRef {
    fn into_raw(self) -> NonNull<()> {
        ProcRef::into_raw(self).cast()
    }
    unsafe fn from_raw(ptr: NonNull<()>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { ProcRef::from_raw(ptr.cast()) }
    }
}
