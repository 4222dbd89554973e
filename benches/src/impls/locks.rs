//! By hand without messages: the state in an `Arc<lock>`. No isolation, no mailbox, no supervision; it shows what mutual
//! exclusion alone costs. Takes part only where that means something: calls and reads.
//!
//! The blocking locks are never held across an await, as their documentation demands.

use std::sync::Arc;

use crate::impls::on_tokio;
use crate::state::{Body, Counter};
use crate::system::{Calls, Reads};
use crate::workloads::{self as w, Run};

/// One lock: `$write` and `$read` turn the lock `$lock` into a guard.
macro_rules! lock {
    ($system:ident, $lock_type:ty, $list:ident, $lock:ident, $write:expr, $read:expr) => {
        struct $system;

        on_tokio!($system);

        impl Calls for $system {
            type Server = Arc<$lock_type>;

            async fn start() -> Self::Server {
                Arc::new(<$lock_type>::new(Counter::init()))
            }

            async fn call($lock: &Self::Server, n: u64) -> u64 {
                $write.add(n)
            }
        }

        impl Reads for $system {
            async fn read($lock: &Self::Server, body: Body) -> u64 {
                $read.read(body)
            }
        }

        pub(crate) const $list: &[(&str, Run)] = &[
            ("call", w::call::<$system>),
            ("call_4", w::call_4::<$system>),
            ("call_16", w::call_16::<$system>),
            ("read", w::read::<$system>),
            ("read1_1us", w::read1_1us::<$system>),
            ("read2_1us", w::read2_1us::<$system>),
            ("read2_empty", w::read2_empty::<$system>),
        ];
    };
}

lock!(
    StdMutex,
    std::sync::Mutex<Counter>,
    STD_MUTEX,
    lock,
    lock.lock().expect("not poisoned"),
    lock.lock().expect("not poisoned")
);
lock!(
    StdRwLock,
    std::sync::RwLock<Counter>,
    STD_RWLOCK,
    lock,
    lock.write().expect("not poisoned"),
    lock.read().expect("not poisoned")
);
lock!(PlMutex, parking_lot::Mutex<Counter>, PL_MUTEX, lock, lock.lock(), lock.lock());
lock!(PlRwLock, parking_lot::RwLock<Counter>, PL_RWLOCK, lock, lock.write(), lock.read());
lock!(TokioMutex, tokio::sync::Mutex<Counter>, TOKIO_MUTEX, lock, lock.lock().await, lock.lock().await);
lock!(TokioRwLock, tokio::sync::RwLock<Counter>, TOKIO_RWLOCK, lock, lock.write().await, lock.read().await);
