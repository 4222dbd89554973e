//! What can go wrong with a registry, and with its locks.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::process::pid::Pid;

/// Why an operation on a [`Registry`](crate::Registry) was refused. Nothing has changed then.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RegistryError {
    /// No registry of this name is running.
    Unknown {
        /// The registry's name.
        name: String,
    },
    /// What runs under this name is something else: another kind of process, or a registry with other key or value types.
    WrongType {
        /// The registry's name.
        name: String,
        /// The type that was expected.
        expected: &'static str,
        /// The type of the process that has the name.
        found: &'static str,
    },
    /// The key of a unique registry belongs to this live process, which may be the caller itself.
    AlreadyRegistered(Pid),
    /// The calling process has no entry under this key.
    NotRegistered,
    /// The operation is for unique registries.
    NotUnique {
        /// The registry's name.
        name: String,
    },
    /// Only a live process of the registry's node can do this: the calling code is none.
    NoProcess,
    /// There is no current node to find the registry on.
    NoNode,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::Unknown { name } => {
                write!(
                    f,
                    "no registry {name:?} is running on this node; start it, or put it before its users under their supervisor"
                )
            },
            RegistryError::WrongType { name, expected, found } => {
                write!(f, "{name:?} is a `{found}`, not a `{expected}`")
            },
            RegistryError::AlreadyRegistered(pid) => write!(f, "the key is registered by {pid}"),
            RegistryError::NotRegistered => f.write_str("the calling process has no entry under this key"),
            RegistryError::NotUnique { name } => {
                write!(f, "the registry {name:?} has duplicate keys; this works with unique keys only")
            },
            RegistryError::NoProcess => {
                f.write_str("a process registers itself: call this in a live process of the registry's node")
            },
            RegistryError::NoNode => f.write_str(crate::node::NO_NODE),
        }
    }
}

impl std::error::Error for RegistryError {}

/// Why a [`lock`](crate::Registry::lock) was not taken. The code that was to run under it did not run.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LockError {
    /// The registry is not running or ended while the caller waited, or another reason for which every operation may fail.
    Registry(RegistryError),
    /// Somebody had the lock for too long. The place in the queue was given up.
    Timeout {
        /// The registry's name.
        registry: String,
        /// The key, as `Debug` shows it.
        key: String,
        /// The process that had the lock in the end; `None` if it was code outside a process.
        holder: Option<Pid>,
        /// How long the caller waited.
        waited: Duration,
        /// Where the lock was asked for.
        location: &'static Location<'static>,
    },
    /// The lock was asked for under itself: whoever waits would wait for its own end.
    Reentrant {
        /// The registry's name.
        registry: String,
        /// The key, as `Debug` shows it.
        key: String,
        /// Where the lock was asked for.
        location: &'static Location<'static>,
    },
}

impl LockError {
    /// `true` for [`LockError::Timeout`].
    pub fn is_timeout(&self) -> bool {
        matches!(self, LockError::Timeout { .. })
    }
}

impl From<RegistryError> for LockError {
    fn from(error: RegistryError) -> LockError {
        LockError::Registry(error)
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Registry(error) => error.fmt(f),
            LockError::Timeout { registry, key, holder, waited, location } => {
                let (file, line) = (location.file(), location.line());
                write!(f, "the lock {key} of the registry {registry:?}, asked for at {file}:{line}, ")?;
                write!(f, "was not free after {waited:?}")?;
                match holder {
                    Some(pid) => write!(f, "; {pid} has it"),
                    None => Ok(()),
                }
            },
            LockError::Reentrant { registry, key, location } => {
                let (file, line) = (location.file(), location.line());
                write!(f, "the lock {key} of the registry {registry:?} is asked for at {file}:{line} ")?;
                f.write_str("by the code that runs under it and would wait for itself; call what is to be done directly")
            },
        }
    }
}

impl std::error::Error for LockError {}
