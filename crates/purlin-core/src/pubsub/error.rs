//! What can go wrong with a PubSub.

use std::fmt;

use crate::registry::RegistryError;

/// Why a subscription or a broadcast was refused. Nothing has changed, and nobody has got anything, then.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PubSubError {
    /// No PubSub of this name is running.
    Unknown {
        /// The PubSub's name.
        name: String,
    },
    /// What runs under this name is something else: another kind of process, or a PubSub of other messages or metadata.
    WrongType {
        /// The PubSub's name.
        name: String,
        /// The type that was expected.
        expected: &'static str,
        /// The type of the process that has the name.
        found: &'static str,
    },
    /// Only a live process of the PubSub's node subscribes and unsubscribes, and only itself: the calling code is none, or gave another
    /// process's `Cx` or `Mailbox`.
    NoProcess,
    /// There is no current node to find the PubSub on.
    NoNode,
    /// The broadcast is for a node that cannot be reached.
    NoConnection {
        /// The node's name.
        node: String,
    },
}

impl fmt::Display for PubSubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PubSubError::Unknown { name } => write!(
                f,
                "no PubSub {name:?} is running on this node; start it, or put it before its users under their supervisor"
            ),
            PubSubError::WrongType { name, expected, found } => {
                write!(f, "{name:?} is a `{found}`, not a `{expected}`")
            },
            PubSubError::NoProcess => {
                f.write_str("a process subscribes itself: call this in a live process of the PubSub's node, with its own handle")
            },
            PubSubError::NoNode => f.write_str(crate::node::NO_NODE),
            PubSubError::NoConnection { node } => write!(f, "there is no connection with the node {node:?}"),
        }
    }
}

impl std::error::Error for PubSubError {}

impl From<RegistryError> for PubSubError {
    fn from(error: RegistryError) -> PubSubError {
        match error {
            RegistryError::Unknown { name } => PubSubError::Unknown { name },
            RegistryError::WrongType { name, expected, found } => {
                PubSubError::WrongType { name, expected, found }
            },
            RegistryError::NoNode => PubSubError::NoNode,
            // The rest is about unique keys, which a PubSub has none of.
            _ => PubSubError::NoProcess,
        }
    }
}
