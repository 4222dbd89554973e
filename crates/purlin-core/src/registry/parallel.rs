//! Dispatching in parallel: the entries of a key divided among processes.

use std::sync::Arc;

use crate::Registry;
use crate::node::current;
use crate::process::api::wait_for;
use crate::process::cell::ProcRef;
use crate::process::exit_reason::ExitReason;
use crate::process::pid::Pid;
use crate::process::spawn::Options;
use crate::process::{exit, raw};
use crate::registry::error::RegistryError;
use crate::registry::key::{AsKey, Key};

impl<K: Key, V: Clone + Send + Sync + 'static> Registry<K, V> {
    /// [`dispatch`](Self::dispatch) in parallel: the entries of a key are divided into as many equal parts as the registry has partitions,
    /// and `f` is called with each part, in the order of registration within it, by a process of its own. Returns when all are done.
    ///
    /// Worth it when `f` does much for each of many entries; a plain send is faster done in place. With one partition, or up to one entry, `f`
    /// runs in the caller. The processes end with the caller: one that is killed, or a future that is dropped, takes them along.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Mailbox, Registry, process};
    /// let topics = Registry::<&str>::duplicate("topics").partitions(4).start().await?;
    /// # let (told, mut all_in) = tokio::sync::mpsc::channel(100);
    /// for _ in 0..100 {
    ///     let topics = topics.clone();
    /// #   let told = told.clone();
    ///     process::spawn(async move |mut mailbox: Mailbox<Vec<u8>>| {
    ///         topics.register("images", ()).unwrap();
    /// #       told.send(()).await.unwrap();
    ///         mailbox.receive().await;
    ///     });
    /// }
    /// # for _ in 0..100 { all_in.recv().await; }
    /// topics
    ///     .dispatch_parallel("images", |entries| {
    ///         assert_eq!(entries.len(), 25);
    ///         for (pid, ()) in entries {
    ///             process::send(*pid, vec![0u8; 4096]);
    ///         }
    ///     })
    ///     .await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).await.unwrap();
    /// # node.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Panics
    /// If `f` panics: with its message, when all parts are done.
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn dispatch_parallel(
        &self,
        key: &(impl AsKey<K> + ?Sized),
        f: impl Fn(&[(Pid, V)]) + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let mut parts = self.parts(key)?;
        if let [only] = &*parts {
            f(only);
            return Ok(());
        }
        let f = Arc::new(f);
        let mut running = Running(Vec::with_capacity(parts.len()));
        for part in parts.drain(..) {
            let f = f.clone();
            running.0.push(self.spawn(move || f(&part))?);
        }
        let mut failed = None;
        while let Some(process) = running.0.last() {
            let reason = wait_for(process).await;
            running.0.pop();
            if !reason.is_normal() {
                failed.get_or_insert(reason);
            }
        }
        match failed {
            None => Ok(()),
            Some(ExitReason::Panic(info)) => panic!("{}", info.message),
            Some(reason) => panic!("a part of a parallel dispatch ended with {reason}"),
        }
    }

    /// The entries of a key in equal parts, one per partition at most. None is empty.
    fn parts(&self, key: &(impl AsKey<K> + ?Sized)) -> Result<Vec<Vec<(Pid, V)>>, RegistryError> {
        let (entries, n) = self.on(|tables| Ok((tables.lookup(key), tables.partitions())))?;
        let mut left = entries.len();
        let mut entries = entries.into_iter();
        let mut parts = Vec::with_capacity(n.min(left));
        for part in 0..n {
            // The first ones take what does not divide.
            let size = left.div_ceil(n - part);
            if size == 0 {
                break;
            }
            parts.push(entries.by_ref().take(size).collect());
            left -= size;
        }
        Ok(parts)
    }

    fn spawn(&self, f: impl FnOnce() + Send + 'static) -> Result<ProcRef, RegistryError> {
        let node = self.on(|tables| Ok(tables.node()))?;
        let node = current::by_index(node).ok_or(RegistryError::NoNode)?;
        match raw::spawn(&node, Options::default(), move |_: raw::Mailbox<()>| async move { f() }) {
            Ok(spawned) => Ok(spawned.proc),
            Err(_) => unreachable!("a process without a name cannot clash with one"),
        }
    }
}

/// The processes that are at it. They end with the one that waits for them.
struct Running(Vec<ProcRef>);

impl Drop for Running {
    fn drop(&mut self) {
        for process in &self.0 {
            exit::kill(process);
        }
    }
}
