//! What happened, counted; and what must not have.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use purlin_core::{CallError, CallErrorKind, ExitReason};

/// More violations than this are counted only.
const SHOWN: usize = 20;

/// Counts of everything that was counted, by all clients.
#[derive(Default)]
pub(super) struct Ledger {
    /// Numbers requests: no two have the same.
    next: AtomicU64,
    pub(super) actions: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) crashes: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) downs: AtomicU64,
    violations: AtomicU64,
    shown: Mutex<Vec<String>>,
}

impl Ledger {
    /// A number that nobody else gets.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts one.
    pub(super) fn one(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes something that must not happen.
    pub(super) fn violation(&self, what: String) {
        self.violations.fetch_add(1, Ordering::Relaxed);
        let Ok(mut shown) = self.shown.lock() else { return };
        if shown.len() < SHOWN {
            eprintln!("churn: VIOLATION: {what}");
            shown.push(what);
        }
    }

    /// How many there were.
    pub(super) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// Calls that are neither answered, failed nor abandoned; 0 when nobody is calling.
    pub(super) fn open(&self) -> i64 {
        let [calls, answered, failed, abandoned] =
            [&self.calls, &self.answered, &self.failed, &self.abandoned]
                .map(|counter| counter.load(Ordering::SeqCst) as i64);
        calls - answered - failed - abandoned
    }
}

/// Why a call may fail whose server others crash, kill, stop and restart meanwhile: it was not there, or it ended for one of the
/// reasons that there are here.
pub(super) fn is_true_reason(error: &CallError) -> bool {
    match error.kind() {
        CallErrorKind::NoProc => true,
        CallErrorKind::Exit(reason) => match reason {
            ExitReason::Normal | ExitReason::Killed | ExitReason::Shutdown => true,
            ExitReason::Panic(info) => info.message.starts_with("crash "),
            _ => false,
        },
        _ => false,
    }
}
