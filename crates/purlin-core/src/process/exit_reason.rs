//! Why a process ended: exit reasons as data.
//!
//! Links, monitors and supervisors look at the *variant* only; the [`Term`] inside carries whatever the program wants to say.
//! A reason is cheap to clone: it is sent to every linked and monitoring process.

use std::any::Any;
use std::backtrace::Backtrace;
use std::fmt;
use std::sync::Arc;

/// Why a process ended, or with what an exit signal asks it to end.
///
/// Three variants are *clean*: [`Normal`](Self::Normal), [`Shutdown`](Self::Shutdown) and
/// [`ShutdownWith`](Self::ShutdownWith). They produce no crash report and do not restart a transient child. Every other one is
/// a crash.
///
/// ```
/// use purlin_core::ExitReason;
/// assert!(ExitReason::Shutdown.is_clean());
/// assert!(!ExitReason::error("disk full").is_clean());
/// assert_eq!(ExitReason::error("disk full").to_string(), "disk full");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum ExitReason {
    /// The body returned, or the server stopped on purpose.
    Normal,
    /// Asked to stop by its supervisor, or by someone who acts like one.
    Shutdown,
    /// Like [`Shutdown`](Self::Shutdown), with an explanation.
    ShutdownWith(Term),
    /// An exit *signal* with this reason, sent by [`exit`](crate::process::exit), cannot be trapped; the receiver ends with
    /// [`Killed`](Self::Killed). Arriving over a link it is an ordinary reason.
    Kill,
    /// Ended by an untrappable kill.
    Killed,
    /// There was no such process.
    NoProc,
    /// The connection to the process's node was lost.
    NoConnection,
    /// Something took too long.
    Timeout,
    /// A callback or body panicked.
    Panic(Arc<PanicInfo>),
    /// A callback returned an error with `?`.
    Error(Term),
    /// A reason of the program's own.
    Custom(Term),
}

impl ExitReason {
    /// [`ExitReason::Error`] made of anything that displays as text.
    pub fn error(text: impl Into<String>) -> ExitReason {
        ExitReason::Error(Term::text(text))
    }

    /// [`ExitReason::Custom`] holding `value`.
    pub fn custom<T: Any + fmt::Debug + PartialEq + Send + Sync>(value: T) -> ExitReason {
        ExitReason::Custom(Term::new(value))
    }

    /// [`ExitReason::ShutdownWith`] holding `value`.
    ///
    /// ```
    /// use purlin_core::ExitReason;
    /// let reason = ExitReason::shutdown_with("done for today");
    /// assert!(reason.is_shutdown() && reason.is_clean());
    /// assert_eq!(reason.term().unwrap().downcast_ref::<&str>(), Some(&"done for today"));
    /// ```
    pub fn shutdown_with<T: Any + fmt::Debug + PartialEq + Send + Sync>(value: T) -> ExitReason {
        ExitReason::ShutdownWith(Term::new(value))
    }

    /// `true` for [`ExitReason::Normal`].
    pub fn is_normal(&self) -> bool {
        matches!(self, ExitReason::Normal)
    }

    /// `true` for [`ExitReason::Shutdown`] and [`ExitReason::ShutdownWith`].
    pub fn is_shutdown(&self) -> bool {
        matches!(self, ExitReason::Shutdown | ExitReason::ShutdownWith(_))
    }

    /// `true` for normal and shutdown reasons: no crash report, no restart of a transient child.
    pub fn is_clean(&self) -> bool {
        self.is_normal() || self.is_shutdown()
    }

    /// The panic's details, if a panic was the reason.
    pub fn panic_info(&self) -> Option<&PanicInfo> {
        match self {
            ExitReason::Panic(info) => Some(info),
            _ => None,
        }
    }

    /// The term carried by [`ShutdownWith`](Self::ShutdownWith), [`Error`](Self::Error) or [`Custom`](Self::Custom).
    pub fn term(&self) -> Option<&Term> {
        match self {
            ExitReason::ShutdownWith(t) | ExitReason::Error(t) | ExitReason::Custom(t) => Some(t),
            _ => None,
        }
    }
}

/// Two reasons are equal when the variants and the carried terms are; panics compare by message and location.
impl PartialEq for ExitReason {
    fn eq(&self, other: &Self) -> bool {
        use ExitReason::*;
        match (self, other) {
            (ShutdownWith(a), ShutdownWith(b)) | (Error(a), Error(b)) | (Custom(a), Custom(b)) => a == b,
            (Panic(a), Panic(b)) => a.message == b.message && a.location == b.location,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Normal => f.write_str("normal"),
            ExitReason::Shutdown => f.write_str("shutdown"),
            ExitReason::ShutdownWith(term) => write!(f, "shutdown: {term}"),
            ExitReason::Kill => f.write_str("kill"),
            ExitReason::Killed => f.write_str("killed"),
            ExitReason::NoProc => f.write_str("no such process"),
            ExitReason::NoConnection => f.write_str("no connection to the node"),
            ExitReason::Timeout => f.write_str("timeout"),
            ExitReason::Panic(info) => fmt::Display::fmt(info, f),
            ExitReason::Error(term) | ExitReason::Custom(term) => fmt::Display::fmt(term, f),
        }
    }
}

impl fmt::Debug for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::ShutdownWith(t) => f.debug_tuple("ShutdownWith").field(t).finish(),
            ExitReason::Error(t) => f.debug_tuple("Error").field(t).finish(),
            ExitReason::Custom(t) => f.debug_tuple("Custom").field(t).finish(),
            ExitReason::Panic(info) => write!(f, "Panic({info})"),
            ExitReason::Normal => f.write_str("Normal"),
            ExitReason::Shutdown => f.write_str("Shutdown"),
            ExitReason::Kill => f.write_str("Kill"),
            ExitReason::Killed => f.write_str("Killed"),
            ExitReason::NoProc => f.write_str("NoProc"),
            ExitReason::NoConnection => f.write_str("NoConnection"),
            ExitReason::Timeout => f.write_str("Timeout"),
        }
    }
}

/// What a panic left behind.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let p = process::spawn(async |_: Mailbox<()>| panic!("no disk"));
/// let reason = p.wait().await;
/// let info = reason.panic_info().unwrap();
/// assert_eq!(info.message, "no disk");
/// assert!(info.location.is_some() && info.backtrace.is_some());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub struct PanicInfo {
    /// The panic's message; `"Box<dyn Any>"` for a payload that is not a string.
    pub message: String,
    /// Where it happened, as `file:line:column`.
    pub location: Option<String>,
    /// The stack at the panic, captured without resolving symbols (that happens when it is displayed); `None` when the node
    /// was built with [`backtraces(false)`](crate::NodeBuilder::backtraces). Shared with earlier crashes at the same place, called by the
    /// same functions of the same process: a server in a crash loop captures and resolves its stack once.
    pub backtrace: Option<Arc<Backtrace>>,
}

impl fmt::Display for PanicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl fmt::Debug for PanicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Any value as part of an exit reason: shared, comparable, printable.
///
/// ```
/// use purlin_core::Term;
/// let term = Term::new(("port", 80));
/// assert_eq!(term.downcast_ref::<(&str, i32)>(), Some(&("port", 80)));
/// assert_eq!(term, Term::new(("port", 80)));
/// ```
#[derive(Clone)]
pub struct Term(Arc<dyn Value>);

trait Value: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Value) -> bool;
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn as_error(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        None
    }
}

struct Plain<T>(T);

impl<T: Any + fmt::Debug + PartialEq + Send + Sync> Value for Plain<T> {
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn equals(&self, other: &dyn Value) -> bool {
        other.as_any().downcast_ref::<T>().is_some_and(|o| *o == self.0)
    }
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

struct Text(String);

impl Value for Text {
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn equals(&self, other: &dyn Value) -> bool {
        other.as_any().downcast_ref::<String>().is_some_and(|o| *o == self.0)
    }
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

struct Failure(BoxError);

impl Value for Failure {
    fn as_any(&self) -> &dyn Any {
        &self.0
    }
    fn equals(&self, other: &dyn Value) -> bool {
        other.as_error().is_some_and(|o| o.to_string() == self.0.to_string())
    }
    fn display(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
    fn as_error(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        Some(&*self.0)
    }
}

impl Term {
    /// Holds `value`; equal to another term when that holds an equal value of the same type.
    pub fn new<T: Any + fmt::Debug + PartialEq + Send + Sync>(value: T) -> Term {
        Term(Arc::new(Plain(value)))
    }

    /// Holds text, displayed without quotes.
    pub fn text(text: impl Into<String>) -> Term {
        Term(Arc::new(Text(text.into())))
    }

    /// Holds an error; displays it with its chain of sources.
    ///
    /// ```
    /// use purlin_core::Term;
    /// let term = Term::from_error("x".parse::<i64>().unwrap_err());
    /// assert!(term.as_error().unwrap().is::<std::num::ParseIntError>());
    /// ```
    pub fn from_error(error: impl Into<BoxError>) -> Term {
        Term(Arc::new(Failure(error.into())))
    }

    /// The held value, if it is a `T` (a [`Term::text`] holds a `String`).
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.as_any().downcast_ref()
    }

    /// The held error, if the term was made by [`Term::from_error`].
    pub fn as_error(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.as_error()
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display(f)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display(f)
    }
}
