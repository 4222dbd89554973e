//! Supervisors: processes that start other processes, watch them, and start them again.

pub(crate) mod admin;
pub(crate) mod builder;
pub(crate) mod child;
pub mod dynamic;
pub(crate) mod dynamic_handle;
pub(crate) mod dynamic_policy;
pub(crate) mod effects;
pub(crate) mod error;
pub(crate) mod flags;
pub(crate) mod handle;
pub(crate) mod intensity;
pub(crate) mod query;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod spec;
pub(crate) mod strategy;

pub use admin::{ChildCounts, ChildInfo, ChildNotFound, ChildRefused, ChildStatus, StartRefused};
pub use builder::{Supervise, SupervisorInit, SupervisorSpec};
pub use child::{Child, ChildSpec, ReusableArgs, Supervised};
pub use dynamic::{DynamicSupervisor, DynamicSupervisorSpec, Extra};
pub use dynamic_handle::DynamicSupervisorRef;
pub use dynamic_policy::NotAChild;
pub use error::{
    DeleteChildError, FailedToStartChild, FindChildError, RestartChildError, StartChildError, TerminateChildError, UpdateError,
};
pub use flags::{AutoShutdown, DynamicFlags, Flags, FlagsError, Strategy};
pub use handle::SupervisorRef;
pub use query::{is_supervisor, which_children};
pub use server::Supervisor;
pub use spec::{ChildId, ChildType, Restart, Shutdown, SpecError, SpecFields, check_childspecs};
pub use strategy::ConfigError;
