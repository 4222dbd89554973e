//! The stack of a panic. A process that crashes at a place where one has crashed before shares the trace captured then.
//!
//! `std::backtrace` captures every frame down to the thread's start and keeps much about each: five microseconds, more than all the rest of
//! a crash and a restart. A server in a crash loop panics at one place again and again, so the frames of a panic are first walked for
//! their addresses alone, from the panic to the executor that runs the process. If a trace with the same addresses is kept, it is
//! shared, and with it its symbols, which are resolved when it is displayed for the first time. What lies below the executor (tokio's
//! worker) is of the panic that was captured first.
//!
//! Kept are the last [`KEPT`] traces of each node.

use std::backtrace::Backtrace;
use std::sync::Arc;

use crate::node::current::{self, tls};
use crate::sync::Mutex;

/// So many traces are kept by a node; beyond, the oldest goes.
const KEPT: usize = 32;
/// A panic this deep is captured without being looked for.
const DEEPEST: usize = 96;

/// The traces that a node keeps.
#[derive(Default)]
pub(crate) struct Stacks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    traces: Vec<Trace>,
    /// The next to be replaced.
    oldest: usize,
}

struct Trace {
    addresses: Box<[usize]>,
    backtrace: Arc<Backtrace>,
}

impl Stacks {
    fn find(&self, addresses: &[usize]) -> Option<Arc<Backtrace>> {
        let kept = self.0.lock();
        kept.traces.iter().find(|t| *t.addresses == *addresses).map(|t| t.backtrace.clone())
    }

    fn keep(&self, addresses: &[usize], backtrace: &Arc<Backtrace>) {
        let trace = Trace { addresses: addresses.into(), backtrace: backtrace.clone() };
        let mut kept = self.0.lock();
        let oldest = kept.oldest;
        // The one that goes may be the last reference to many frames: it is dropped after the lock.
        let gone = if kept.traces.len() < KEPT {
            kept.traces.push(trace);
            None
        } else {
            kept.oldest = (oldest + 1) % KEPT;
            Some(std::mem::replace(&mut kept.traces[oldest], trace))
        };
        drop(kept);
        drop(gone);
    }
}

/// The stack of the panic that is being reported on this thread.
#[inline(never)]
pub(crate) fn capture() -> Arc<Backtrace> {
    let executor = tls(|t| t.stack.get());
    let mut walk = Walk { addresses: [0; DEEPEST], len: 0, end: executor };
    // Outside every executor (a call in place made by a plain task) there is no end to walk to. On a stack of its own, above the
    // executor's (a library may run code on one), the end cannot be told by its address.
    let here = std::ptr::from_ref(&walk).addr();
    if executor == 0 || here > executor || !walk.run() {
        return Arc::new(Backtrace::force_capture());
    }
    let addresses = &walk.addresses[..walk.len];
    let shared = |stacks: &Stacks| {
        stacks.find(addresses).unwrap_or_else(|| {
            let backtrace = Arc::new(Backtrace::force_capture());
            stacks.keep(addresses, &backtrace);
            backtrace
        })
    };
    current::with_current(|p| shared(&p.node.0.stacks))
        .unwrap_or_else(|| Arc::new(Backtrace::force_capture()))
}

/// The return addresses from here to the executor's frame.
struct Walk {
    addresses: [usize; DEEPEST],
    len: usize,
    /// An address inside the executor's frame: stacks grow downwards, so frames above it belong to the process.
    end: usize,
}

#[cfg(all(unix, not(target_arch = "arm")))]
mod unwind {
    use std::ffi::{c_int, c_void};

    // The Itanium C++ ABI's unwinder, which the standard library links and uses for panics.
    unsafe extern "C" {
        pub(super) fn _Unwind_Backtrace(
            step: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
            argument: *mut c_void,
        ) -> c_int;
        pub(super) fn _Unwind_GetIP(context: *mut c_void) -> usize;
        pub(super) fn _Unwind_GetCFA(context: *mut c_void) -> usize;
    }

    pub(super) const GO_ON: c_int = 0;
    /// `_URC_NORMAL_STOP`
    pub(super) const STOP: c_int = 4;
}

#[cfg(all(unix, not(target_arch = "arm")))]
impl Walk {
    /// `false` if the executor was not reached.
    fn run(&mut self) -> bool {
        // SAFETY: `step` does not unwind, and takes the argument for what it is.
        unsafe { unwind::_Unwind_Backtrace(Walk::step, std::ptr::from_mut(self).cast()) };
        self.end == 0
    }

    extern "C" fn step(context: *mut std::ffi::c_void, walk: *mut std::ffi::c_void) -> std::ffi::c_int {
        // SAFETY: `run` passes itself, and nothing else uses it meanwhile.
        let walk = unsafe { &mut *walk.cast::<Walk>() };
        // SAFETY: the unwinder passes a context that is good for this call.
        let (address, frame) = unsafe { (unwind::_Unwind_GetIP(context), unwind::_Unwind_GetCFA(context)) };
        if frame > walk.end {
            // Reached: marked by an end of 0.
            walk.end = 0;
            return unwind::STOP;
        }
        let Some(slot) = walk.addresses.get_mut(walk.len) else { return unwind::STOP };
        *slot = address;
        walk.len += 1;
        unwind::GO_ON
    }
}

#[cfg(not(all(unix, not(target_arch = "arm"))))]
impl Walk {
    fn run(&mut self) -> bool {
        let _ = self.end;
        false
    }
}

/// A trace as a person wants it: from the function that panicked to the last one that is not the runtime's. The whole, if it does not look as
/// expected or `RUST_BACKTRACE=full` asks for it.
pub(crate) fn trimmed(trace: &str) -> String {
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "full") {
        return trace.to_owned();
    }
    let frames = frames(trace);
    let is_panic = |frame: &&str| {
        [
            "rust_begin_unwind",
            "core::panicking::",
            "std::panicking::begin_panic",
            "core::result::unwrap_failed",
            "core::option::unwrap_failed",
            "core::option::expect_failed",
        ]
        .iter()
        .any(|part| symbol(frame).contains(part))
    };
    let first = frames.iter().rposition(is_panic).map_or(0, |at| at + 1);
    let runs = |frame: &&str| {
        symbol(frame).contains("purlin_core::process::run::") || symbol(frame).contains("catch_unwind")
    };
    let end = frames[first..].iter().position(runs).map_or(frames.len(), |at| first + at);
    // What stands between the runtime and the user's function: wrappers of the handler's future.
    let last = frames[first..end]
        .iter()
        .rposition(|frame| !is_wrapper(symbol(frame)))
        .map_or(first, |at| first + at + 1);
    if first >= last { trace.to_owned() } else { frames[first..last].join("\n") }
}

fn is_wrapper(symbol: &str) -> bool {
    let function = symbol.split_once(": ").map_or(symbol, |(_, function)| function);
    function.starts_with("purlin_core::")
        || function.starts_with("<purlin_core::")
        || ["::__run", "::__read", "core::ops::function::", "core::panic::unwind_safe::"]
            .iter()
            .any(|part| function.contains(part))
}

/// A frame's lines: `  12: name` and, if it is known, `             at file:line:column`.
fn frames(trace: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut at = 0;
    for line in trace.split_inclusive('\n') {
        if !line.trim_start().starts_with("at ") {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([trace.len()]);
    starts.iter().zip(ends).map(|(&start, end)| trace[start..end].trim_end()).collect()
}

fn symbol(frame: &str) -> &str {
    frame.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Arc<Backtrace> {
        Arc::new(Backtrace::disabled())
    }

    #[test]
    fn a_stack_is_found_by_all_its_addresses() {
        let stacks = Stacks::default();
        let (one, two) = (trace(), trace());
        stacks.keep(&[1, 2, 3], &one);
        stacks.keep(&[1, 2, 4], &two);
        assert!(stacks.find(&[1, 2, 3]).is_some_and(|t| Arc::ptr_eq(&t, &one)));
        assert!(stacks.find(&[1, 2, 4]).is_some_and(|t| Arc::ptr_eq(&t, &two)));
        assert!(stacks.find(&[1, 2]).is_none() && stacks.find(&[1, 2, 3, 4]).is_none());
    }

    #[test]
    fn a_trace_is_trimmed_to_the_users_functions() {
        let trace = "\
   0: purlin_core::process::stack::capture
   1: rust_begin_unwind
             at /rustc/library/std/src/panicking.rs:689:5
   2: core::panicking::panic_fmt
             at /rustc/library/core/src/panicking.rs:80:14
   3: shop::cart::total
             at ./src/cart.rs:12:9
   4: <shop::cart::Cart as purlin_core::HandleCall<Add>>::handle_call::{{closure}}
   5: <M as purlin_core::gen_server::traits::CastFor<S,Sh>>::__run::{{closure}}
             at /purlin/crates/purlin-core/src/gen_server/traits.rs:276:50
   6: purlin_core::gen_server::frame::BoxFrame::poll
   7: std::panicking::catch_unwind
   8: purlin_core::process::run::activate
   9: main
";
        let users = "   3: shop::cart::total
             at ./src/cart.rs:12:9
   4: <shop::cart::Cart as purlin_core::HandleCall<Add>>::handle_call::{{closure}}";
        assert_eq!(trimmed(trace), users);
    }

    #[test]
    fn a_trace_of_another_form_is_left_alone() {
        for trace in ["", "disabled backtrace", "0: main\n1: rust_begin_unwind\n"] {
            assert_eq!(trimmed(trace), trace);
        }
    }

    #[test]
    fn the_oldest_trace_goes_when_a_node_keeps_enough() {
        let stacks = Stacks::default();
        for address in 0..KEPT + 2 {
            stacks.keep(&[address], &trace());
        }
        assert!(stacks.find(&[0]).is_none() && stacks.find(&[1]).is_none());
        assert!((2..KEPT + 2).all(|address| stacks.find(&[address]).is_some()));
        assert_eq!(stacks.0.lock().traces.len(), KEPT);
    }
}
