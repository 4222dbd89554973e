//! Errors of supervisors: one small type per operation, each with what the supervisor refused, what failed, or why it did not answer.

use std::fmt;

use super::admin::{ChildNotFound, ChildRefused, StartRefused};
use super::dynamic_policy::NotAChild;
use super::spec::ChildId;
use super::strategy::ConfigError;
use crate::{CallError, ExitReason, StartError, Term};

/// A child that kept its supervisor from starting: the term in the supervisor's [`ExitReason::ShutdownWith`] (OTP's
/// `{shutdown, {failed_to_start_child, Id, Reason}}`). The children before it have been terminated again.
#[derive(Clone, PartialEq)]
pub struct FailedToStartChild {
    /// The child.
    pub id: ChildId,
    /// Why it did not start.
    pub error: StartError,
}

impl FailedToStartChild {
    /// Finds it in what a supervisor's start returned.
    ///
    /// ```
    /// # use purlin_core::{ChildSpec, ExitReason, StartError, Supervisor, supervisor::FailedToStartChild};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// let broken = ChildSpec::custom("db", || async { Err(StartError::Failed(ExitReason::error("no route"))) });
    /// let error = Supervisor::one_for_one().child(broken).start_link().await.unwrap_err();
    /// let failed = FailedToStartChild::in_error(&error).unwrap();
    /// assert_eq!(failed.id.as_str(), "db");
    /// assert_eq!(failed.to_string(), "child `db` did not start: `init` failed: no route");
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn in_error(error: &StartError) -> Option<&FailedToStartChild> {
        match error {
            StartError::Failed(reason) => FailedToStartChild::in_reason(reason),
            _ => None,
        }
    }

    /// Finds it in the reason that a supervisor ended with.
    ///
    /// ```
    /// use purlin_core::supervisor::FailedToStartChild;
    /// use purlin_core::{ExitReason, StartError};
    /// let failed = FailedToStartChild { id: "db".into(), error: StartError::Timeout };
    /// let reason = ExitReason::shutdown_with(failed.clone());            // what a `Down` of the supervisor tells
    /// assert_eq!(FailedToStartChild::in_reason(&reason), Some(&failed));
    /// ```
    pub fn in_reason(reason: &ExitReason) -> Option<&FailedToStartChild> {
        match reason {
            ExitReason::ShutdownWith(term) => term.downcast_ref(),
            _ => None,
        }
    }

    /// The reason that the supervisor ends with.
    pub(crate) fn into_reason(self) -> ExitReason {
        ExitReason::ShutdownWith(Term::new(self))
    }
}

impl fmt::Display for FailedToStartChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "child `{}` did not start: {}", self.id, self.error)
    }
}

/// As it is displayed, because terms show themselves by `Debug`.
impl fmt::Debug for FailedToStartChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for FailedToStartChild {}

/// Why `start_child` started nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartChildError {
    /// The supervisor did not try.
    Refused(StartRefused),
    /// The child's start failed; nothing is kept of it. Under a dynamic supervisor also for a child that chose not to start.
    Failed(StartError),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Why `restart_child` started nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RestartChildError {
    /// The supervisor did not try.
    Refused(ChildRefused),
    /// The child's start failed; it stays as it was, and is not tried again.
    Failed(StartError),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Why `delete_child` deleted nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeleteChildError {
    /// The child is running, being restarted, or unknown.
    Refused(ChildRefused),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Why a supervisor's `terminate_child` or `get_childspec` found nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FindChildError {
    /// No child has this id.
    NotFound(ChildNotFound),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Why a dynamic supervisor's `terminate_child` terminated nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TerminateChildError {
    /// The process is none of its children.
    NotAChild(NotAChild),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Why a supervisor did not take new flags and specifications; it goes on with the old ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UpdateError {
    /// They are invalid.
    Config(ConfigError),
    /// The supervisor did not answer.
    Call(CallError),
}

/// Every variant of these errors holds an error that says it all.
macro_rules! errors {
    ($($error:ident { $($variant:ident($inner:ty)),+ })+) => {
        $(
            impl fmt::Display for $error {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    match self {
                        $($error::$variant(error) => error.fmt(f),)+
                    }
                }
            }

            impl std::error::Error for $error {}

            $(
                impl From<$inner> for $error {
                    fn from(error: $inner) -> Self {
                        $error::$variant(error)
                    }
                }
            )+
        )+
    };
}

errors! {
    StartChildError { Refused(StartRefused), Failed(StartError), Call(CallError) }
    RestartChildError { Refused(ChildRefused), Failed(StartError), Call(CallError) }
    DeleteChildError { Refused(ChildRefused), Call(CallError) }
    FindChildError { NotFound(ChildNotFound), Call(CallError) }
    TerminateChildError { NotAChild(NotAChild), Call(CallError) }
    UpdateError { Config(ConfigError), Call(CallError) }
}
