//! Process identifiers, monitor references and timer references: plain, copyable data.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The identity of one incarnation of a process.
///
/// A pid is *(node, id, serial)*, the shape that goes over the wire in Erlang's distribution. `id` is the slot of the process
/// table, `serial` that slot's generation: a restarted process has a new pid, and a pid of a dead process never comes to mean
/// another one. `node` is an index into the program's list of nodes; every [`Node`](crate::Node) value owns one.
///
/// It displays as `<0.12.1>`; the first number is 0 for the node whose code is running, and for the only node of a program; the node's index otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pid {
    node: u32,
    id: u32,
    serial: u32,
}

impl Pid {
    /// Builds a pid from its three parts. Meant for transports and tests: a pid made up by hand names no live process unless
    /// the parts are those of one.
    ///
    /// ```
    /// use purlin_core::Pid;
    /// let pid = Pid::from_parts(3, 12, 1);
    /// assert_eq!((pid.node_index(), pid.id(), pid.serial()), (3, 12, 1));
    /// assert_eq!(pid.to_string(), "<3.12.1>");
    /// ```
    pub const fn from_parts(node: u32, id: u32, serial: u32) -> Pid {
        Pid { node, id, serial }
    }

    /// The index of the node that the process runs on.
    pub const fn node_index(self) -> u32 {
        self.node
    }

    /// The process's slot in its node's process table.
    pub const fn id(self) -> u32 {
        self.id
    }

    /// The slot's generation.
    pub const fn serial(self) -> u32 {
        self.serial
    }
}

/// The node's index is left out: it counts the nodes that the program has started, so that a map with fixed keys would be in another order
/// when a simulated test is run again.
impl Hash for Pid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.serial) << 32 | u64::from(self.id));
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = match crate::node::current_index() {
            Some(here) => here == self.node,
            None => crate::node::current::is_only(self.node),
        };
        let node = if own { 0 } else { self.node };
        write!(f, "<{}.{}.{}>", node, self.id, self.serial)
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names one monitor; unique on its node for as long as the node runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct MonitorRef(pub(crate) u64);

impl fmt::Display for MonitorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{}>", self.0)
    }
}
