//! What can be wrong with loading, starting and stopping applications.

use std::fmt;

use crate::ExitReason;

/// A specification that contradicts itself.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BadApplication {
    /// The application.
    pub name: String,
    /// What is wrong, for a person.
    pub problem: String,
}

impl fmt::Display for BadApplication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the application {:?} is specified badly: {}", self.name, self.problem)
    }
}

impl std::error::Error for BadApplication {}

/// Why an application was not loaded or unloaded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// One of this name is loaded.
    AlreadyLoaded(String),
    /// None of this name is loaded.
    NotLoaded(String),
    /// It runs, or is being started; or the one that includes it is.
    Running(String),
    /// It is part of another application, and is unloaded with that.
    Included {
        /// The application.
        application: String,
        /// The one that includes it.
        by: String,
    },
    /// Its specification contradicts itself.
    BadApplication(BadApplication),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::AlreadyLoaded(name) => write!(f, "the application {name:?} is loaded already"),
            LoadError::NotLoaded(name) => write!(f, "the application {name:?} is not loaded"),
            LoadError::Running(name) => write!(f, "the application {name:?} is running"),
            LoadError::Included { application, by } => {
                write!(f, "the application {application:?} is part of {by:?}")
            },
            LoadError::BadApplication(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why an application was not started.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum StartApplicationError {
    /// It is loaded neither on the node nor by this start.
    Load(LoadError),
    /// It runs.
    AlreadyStarted(String),
    /// An application that it depends on does not run.
    NotStarted {
        /// The application.
        application: String,
        /// What it needs.
        dependency: String,
    },
    /// It is part of another application, whose tree starts its processes.
    Included {
        /// The application.
        application: String,
        /// The one that includes it.
        by: String,
    },
    /// Applications depend on each other in a circle, in this order.
    Cycle(Vec<String>),
    /// `start`, or a start phase, failed.
    Failed {
        /// The application.
        application: String,
        /// The start phase that failed; `None` for `start` itself.
        phase: Option<String>,
        /// Why.
        reason: ExitReason,
    },
    /// The node is stopping.
    NodeStopping,
}

impl fmt::Display for StartApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use StartApplicationError::*;
        match self {
            Load(error) => error.fmt(f),
            AlreadyStarted(name) => write!(f, "the application {name:?} is started already"),
            NotStarted { application, dependency } => write!(
                f,
                "the application {application:?} needs {dependency:?}, which is not started; `ensure_all_started` starts both"
            ),
            Included { application, by } => write!(
                f,
                "the application {application:?} is part of {by:?}: it is started by that one's supervision tree"
            ),
            Cycle(names) => {
                write!(f, "applications depend on each other in a circle: {}", names.join(" -> "))
            },
            Failed { application, phase: Some(phase), reason } => {
                write!(f, "the start phase {phase:?} of the application {application:?} failed: {reason}")
            },
            Failed { application, phase: None, reason } => {
                write!(f, "the application {application:?} did not start: {reason}")
            },
            NodeStopping => f.write_str("the node is stopping"),
        }
    }
}

impl std::error::Error for StartApplicationError {}

impl From<LoadError> for StartApplicationError {
    fn from(error: LoadError) -> Self {
        StartApplicationError::Load(error)
    }
}

impl From<BadApplication> for LoadError {
    fn from(bad: BadApplication) -> Self {
        LoadError::BadApplication(bad)
    }
}

/// Why [`ensure_all_started`](super::ensure_all_started) failed, and at which application; those it had started are stopped again.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct EnsureStartedError {
    /// The application that was not started.
    pub application: String,
    /// Why.
    pub error: StartApplicationError,
}

impl fmt::Display for EnsureStartedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for EnsureStartedError {}

/// Why an application was not stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StopApplicationError {
    /// It does not run.
    NotStarted(String),
    /// A process of the application asked: it would wait for its own end.
    FromWithin(String),
}

impl fmt::Display for StopApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopApplicationError::NotStarted(name) => write!(f, "the application {name:?} is not started"),
            StopApplicationError::FromWithin(name) => {
                write!(
                    f,
                    "a process of the application {name:?} would wait for its own end: ask from outside it"
                )
            },
        }
    }
}

impl std::error::Error for StopApplicationError {}

/// A permanent application ended, or a transient one abnormally, and took its node with it: the reason in
/// [`Node::stop_reason`](crate::Node::stop_reason).
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ApplicationTerminated {
    /// The application.
    pub application: String,
    /// Why it ended, or did not start.
    pub reason: ExitReason,
    /// `false` if it did not even start.
    pub started: bool,
}

impl fmt::Display for ApplicationTerminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.started { "ended" } else { "did not start" };
        write!(f, "the application {:?} {what}, and the node with it: {}", self.application, self.reason)
    }
}

impl std::error::Error for ApplicationTerminated {}

/// Applications whose [`config_change`](super::Application::config_change) failed, with the reasons, in the order of their start.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ConfigChangeError {
    /// Application and reason.
    pub failed: Vec<(String, ExitReason)>,
}

impl fmt::Display for ConfigChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the new configuration is in place, but")?;
        for (name, reason) in &self.failed {
            write!(f, " the application {name:?} could not take it over: {reason};")?;
        }
        f.write_str(" they go on")
    }
}

impl std::error::Error for ConfigChangeError {}
