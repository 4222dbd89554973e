//! Panics as data: message, place and stack, kept where the panic happened and turned into an exit reason.
//!
//! The standard panic hook is process-wide. Purlin puts one hook in front of it, once: a panic inside a process's code is recorded in
//! a thread-local and printed nowhere (the crash report tells it, with everything else one needs); any other panic goes to
//! the hook that was there before.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Arc, Once};

use crate::node::current::{self, tls};
use crate::process::exit_reason::{ExitReason, PanicInfo};
use crate::process::stack;

/// What the hook saw of a panic. The message tells whether it is the panic that was caught: user code may have caught the one that was noted
/// last itself, and one that is resumed (`resume_unwind`, with what another task panicked with) never passes the hook.
struct Noted {
    message: String,
    location: Option<String>,
    backtrace: Option<Arc<Backtrace>>,
}

thread_local! {
    /// Of the last panic on this thread, until it is caught.
    static LAST: RefCell<Option<Noted>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Installs the hook; refuses a program whose panics cannot be caught.
pub(crate) fn install() {
    if !cfg!(panic = "unwind") {
        panic!(
            "Purlin needs `panic = \"unwind\"`: with `panic = \"abort\"` the first panic of any process would end the whole program. \
         Remove the setting from the profile in Cargo.toml."
        );
    }
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if tls(|t| t.catching.get()) > 0 { record(info) } else { before(info) }
        }));
    });
}

fn record(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    let wanted = current::with_current(|p| p.node.0.settings.backtraces).unwrap_or(true);
    let backtrace = wanted.then(stack::capture);
    let noted = Noted { message: message(info.payload()), location, backtrace };
    LAST.with(|last| *last.borrow_mut() = Some(noted));
}

fn message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "Box<dyn Any>".to_owned(),
    }
}

/// Runs user code; a panic becomes an exit reason.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, ExitReason> {
    tls(|t| t.catching.set(t.catching.get() + 1));
    let result = catch_unwind(AssertUnwindSafe(f));
    tls(|t| t.catching.set(t.catching.get() - 1));
    result.map_err(reason)
}

/// [`catch`] for a caller that keeps the count of catches itself.
#[inline]
pub(crate) fn catch_counted<R>(f: impl FnOnce() -> R) -> Result<R, ExitReason> {
    catch_unwind(AssertUnwindSafe(f)).map_err(reason)
}

#[cold]
#[inline(never)]
fn reason(payload: Box<dyn Any + Send>) -> ExitReason {
    let payload = match payload.downcast::<ExitReason>() {
        Ok(reason) => return *reason,
        Err(payload) => payload,
    };
    let message = message(&*payload);
    let noted = LAST.with(|last| last.borrow_mut().take()).filter(|noted| noted.message == message);
    let (location, backtrace) = noted.map_or((None, None), |noted| (noted.location, noted.backtrace));
    // The payload's own Drop is user code too.
    if catch_unwind(AssertUnwindSafe(|| drop(payload))).is_err() {
        tracing::error!("a panic's payload panicked when it was dropped");
    }
    ExitReason::Panic(Arc::new(PanicInfo { message, location, backtrace }))
}

/// Ends the calling process with this reason, at once: unwinds to the nearest [`catch`], past which it is a reason and no panic. Nothing is
/// printed. The caller makes sure that it runs inside a process.
pub(crate) fn exit(reason: ExitReason) -> ! {
    std::panic::resume_unwind(Box::new(reason))
}

/// Drops user values; a panicking `Drop` is logged and goes no further.
pub(crate) fn drop_quietly<T>(what: &str, value: T) {
    if let Err(reason) = catch(|| drop(value)) {
        tracing::error!(%reason, "{what} panicked when it was dropped");
    }
}
