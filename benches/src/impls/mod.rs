//! The implementations: each module offers a list of the workloads it takes part in.

mod actix;
mod kameo;
mod locks;
mod purlin;
mod ractor;
mod tokio_faults;
mod tokio_hand;
mod tokio_machine;
mod xtra;

use crate::workloads::Run;

/// One column of the table.
pub(crate) struct Implementation {
    /// As on the command line and in the JSON.
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) about: &'static str,
    /// The workloads it takes part in; empty when it is not built.
    pub(crate) workloads: &'static [(&'static str, Run)],
}

impl Implementation {
    /// The driver of a workload, if the implementation takes part in it.
    pub(crate) fn driver(&self, workload: &str) -> Option<Run> {
        self.workloads.iter().find(|(name, _)| *name == workload).map(|(_, run)| *run)
    }
}

/// All implementations, in the order of the columns.
pub(crate) const ALL: &[Implementation] = &[
    Implementation { name: "purlin", about: "Purlin", workloads: purlin::WORKLOADS },
    Implementation {
        name: "tokio",
        about: "by hand: tokio mpsc + oneshot, the floor",
        workloads: tokio_hand::WORKLOADS,
    },
    Implementation {
        name: "std_mutex",
        about: "by hand: Arc<std::sync::Mutex>",
        workloads: locks::STD_MUTEX,
    },
    Implementation {
        name: "std_rwlock",
        about: "by hand: Arc<std::sync::RwLock>",
        workloads: locks::STD_RWLOCK,
    },
    Implementation {
        name: "pl_mutex",
        about: "by hand: Arc<parking_lot::Mutex>",
        workloads: locks::PL_MUTEX,
    },
    Implementation {
        name: "pl_rwlock",
        about: "by hand: Arc<parking_lot::RwLock>",
        workloads: locks::PL_RWLOCK,
    },
    Implementation {
        name: "tokio_mutex",
        about: "by hand: Arc<tokio::sync::Mutex>",
        workloads: locks::TOKIO_MUTEX,
    },
    Implementation {
        name: "tokio_rwlock",
        about: "by hand: Arc<tokio::sync::RwLock>",
        workloads: locks::TOKIO_RWLOCK,
    },
    Implementation { name: "ractor", about: "ractor", workloads: ractor::WORKLOADS },
    Implementation { name: "kameo", about: "kameo, unbounded mailboxes", workloads: kameo::WORKLOADS },
    Implementation { name: "actix", about: "actix, one arbiter per worker", workloads: actix::WORKLOADS },
    Implementation { name: "xtra", about: "xtra, where it keeps order", workloads: xtra::WORKLOADS },
];

/// The implementation of that name.
pub(crate) fn find(name: &str) -> Option<&'static Implementation> {
    ALL.iter().find(|implementation| implementation.name == name)
}

/// A tokio runtime: current-thread for one worker, multi-thread for more. `main` runs as a task of it.
fn run_on_tokio<T: Send + 'static>(workers: usize, main: impl Future<Output = T> + Send + 'static) -> T {
    let mut builder = match workers {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(workers).enable_all().build().expect("a tokio runtime starts");
    runtime.block_on(async move { tokio::spawn(main).await.expect("the workload does not panic") })
}

/// A tokio task. It is spawned now, not when the result is awaited.
fn client_on_tokio<T: Send + 'static>(
    body: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let task = tokio::spawn(body);
    async move { task.await.expect("a client does not panic") }
}

/// Implements [`crate::system::System`] by a plain tokio runtime.
macro_rules! on_tokio {
    ($system:ty) => {
        impl crate::system::System for $system {
            fn run<T: Send + 'static>(workers: usize, main: impl Future<Output = T> + Send + 'static) -> T {
                $crate::impls::run_on_tokio(workers, main)
            }

            fn client<T: Send + 'static>(
                _index: usize,
                body: impl Future<Output = T> + Send + 'static,
            ) -> impl Future<Output = T> + Send {
                $crate::impls::client_on_tokio(body)
            }
        }
    };
}
use on_tokio;
