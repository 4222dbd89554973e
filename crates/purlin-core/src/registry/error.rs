//! What can go wrong with a registry.

use std::fmt;

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
