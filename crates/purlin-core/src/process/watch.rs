//! Monitors and aliases of a raw process.

use std::marker::PhantomData;

use crate::mailbox::envelope::Envelope;
use crate::node::current;
use crate::process::cell::{Proc, ProcRef};
use crate::process::pid::{MonitorRef, Pid};
use crate::process::raw::{Accepts, Mailbox};
use crate::process::relations::{self, AliasMode, Down, MonitorTarget, WatchOptions};
use crate::process::report;

impl<M: Send + 'static> Mailbox<M> {
    /// Watches a process, by pid or name; its [`Down`], which must convert into `M`, arrives once.
    pub fn monitor<K>(&mut self, target: impl Into<MonitorTarget>) -> MonitorRef
    where
        M: Accepts<Down, K>,
    {
        self.check();
        relations::monitor(&self.proc, target.into(), WatchOptions::converting(pack_down::<M, K>))
    }

    /// [`monitor`](Self::monitor) with a tag of one's own and, if wanted, an alias that shares the monitor's life.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::process::{self, MonitorAlias, MonitorOptions};
    /// use purlin_core::{AnyMsg, Mailbox, Term};
    /// let p = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
    ///     let server = process::spawn(async |mut mailbox: Mailbox<process::Alias<AnyMsg>>| {
    ///         let client = mailbox.receive().await;
    ///         client.send("answer");
    ///         client.send("another answer");                             // vanishes
    ///     });
    ///     let alias = Some(MonitorAlias::ReplyDemonitor);
    ///     let (_, alias) = mailbox.monitor_with(server.pid(), MonitorOptions { alias, tag: Some(Term::text("request")) });
    ///     server.send(alias.unwrap());
    ///     assert_eq!(mailbox.receive_as::<&str>().await, "answer");
    ///     server.wait().await;
    ///     assert!(mailbox.is_empty());                                   // neither the second answer nor a `Down`
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn monitor_with<K>(
        &mut self,
        target: impl Into<MonitorTarget>,
        options: MonitorOptions,
    ) -> (MonitorRef, Option<Alias<M>>)
    where
        M: Accepts<Down, K>,
    {
        self.check();
        let (alias, ends_alias) = match options.alias {
            None => (None, false),
            Some(MonitorAlias::ExplicitUnalias) => (Some(AliasMode::ExplicitUnalias), false),
            Some(MonitorAlias::Demonitor) => (Some(AliasMode::ExplicitUnalias), true),
            Some(MonitorAlias::ReplyDemonitor) => (Some(AliasMode::Reply), true),
        };
        let watch = WatchOptions { tag: options.tag, convert: pack_down::<M, K>, alias, ends_alias };
        let monitor = relations::monitor(&self.proc, target.into(), watch);
        (monitor, alias.map(|_| Alias { proc: self.proc.clone(), id: monitor.0, messages: PhantomData }))
    }

    /// Ends a monitor and takes its `Down` out of the mailbox if it is there already: after this, none arrives. `true` if the monitor
    /// was still on.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Down, Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<Down>| {
    ///     let other = process::spawn(async |_: Mailbox<()>| {});
    ///     let monitor = mailbox.monitor(other.pid());
    ///     other.wait().await;
    ///     mailbox.demonitor(monitor);
    ///     assert!(mailbox.is_empty());
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn demonitor(&mut self, monitor: MonitorRef) -> bool {
        self.check();
        let removed = relations::demonitor(&self.proc, monitor);
        if !removed {
            let flushed = self.proc.runner.with_mut(|r| {
                // SAFETY: as in `look`.
                let inner = unsafe { &mut (*r).inner };
                let at = inner.iter().position(|e| down_of::<M>(e) == Some(monitor));
                at.and_then(|at| inner.remove(at))
            });
            if flushed.is_some() {
                self.proc.message_handled();
            }
        }
        removed
    }

    /// A second address of this process that can be switched off: see [`Alias`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{AliasMode, Mailbox, process};
    /// let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
    ///     let alias = mailbox.alias(AliasMode::ExplicitUnalias);
    ///     alias.send(1);
    ///     mailbox.unalias(&alias);
    ///     alias.send(2);
    ///     assert_eq!(mailbox.receive().await, 1);
    ///     assert!(mailbox.is_empty());
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn alias(&mut self, mode: AliasMode) -> Alias<M> {
        self.check();
        Alias { proc: self.proc.clone(), id: relations::alias(&self.proc, mode), messages: PhantomData }
    }

    /// Switches an alias of this process off: nothing sent through it from now on arrives. `true` if it was on.
    pub fn unalias(&mut self, alias: &Alias<M>) -> bool {
        self.check();
        relations::unalias(&self.proc, alias.id)
    }
}

/// What [`Mailbox::monitor_with`] takes beside the target.
#[derive(Clone, Debug, Default)]
pub struct MonitorOptions {
    /// Comes back in [`Down::tag`].
    pub tag: Option<crate::Term>,
    /// An alias to make together with the monitor.
    pub alias: Option<MonitorAlias>,
}

/// When an alias made with a monitor stops working.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MonitorAlias {
    /// Only by `unalias`; it survives `demonitor` and DOWN.
    ExplicitUnalias,
    /// With the monitor.
    Demonitor,
    /// With the monitor, or by the first message that arrives through it, which ends the monitor too.
    ReplyDemonitor,
}

/// A second address of a process, which it can switch off. A late answer to a request that was given up then vanishes instead of
/// filling the mailbox.
pub struct Alias<M> {
    proc: ProcRef,
    id: u64,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Alias<M> {
    fn clone(&self) -> Self {
        Alias { proc: self.proc.clone(), id: self.id, messages: PhantomData }
    }
}

impl<M: 'static> Alias<M> {
    /// Sends a message to the alias's process if the alias is on; else drops it, as into a full mailbox or to a dead
    /// process, and counts it as that.
    pub fn send<T, K>(&self, message: T)
    where
        M: Accepts<T, K>,
    {
        if let Err(rejected) = relations::send_through(&self.proc, self.id, M::__pack(message).0) {
            report::rejected(&self.proc, rejected);
        }
    }

    /// The process behind the alias.
    pub fn pid(&self) -> Pid {
        self.proc.pid()
    }
}

/// A `Down` that was converted into the mailbox's type, and still says whose it is, so that `demonitor` can take it out.
pub(crate) struct FromDown<M> {
    pub(crate) monitor: MonitorRef,
    pub(crate) message: M,
}

pub(crate) fn pack_down<M: Accepts<Down, K>, K>(down: Down) -> Envelope {
    let monitor = down.monitor;
    match M::__pack(down).0.downcast::<M>() {
        Ok(message) => Envelope::plain(FromDown { monitor, message }),
        // An untyped mailbox takes the `Down` as it is.
        Err(envelope) => envelope,
    }
}

/// Takes a monitor of the current process off, and its `Down`, if that has come as it is, out of the mailbox: after this, none arrives. `true`
/// if the monitor was on.
///
/// # Panics
/// When `me` is not the process being run: its mailbox is nobody else's.
pub(crate) fn demonitor_plain(me: &Proc, monitor: MonitorRef) -> bool {
    let removed = relations::demonitor(me, monitor);
    if !removed {
        assert_eq!(
            current::with_current(|proc| std::ptr::eq(proc, me)),
            Some(true),
            "used outside its process"
        );
        let flushed = me.runner.with_mut(|r| {
            // SAFETY: we run inside the process, as was just checked, so its activation, which holds RUN, is on our stack.
            let inner = unsafe { &mut (*r).inner };
            let at =
                inner.iter().position(|e| e.downcast_ref::<Down>().is_some_and(|d| d.monitor == monitor));
            at.and_then(|at| inner.remove(at))
        });
        if flushed.is_some() {
            me.message_handled();
        }
    }
    removed
}

/// The monitor that a message in a mailbox of `M` is the `Down` of.
fn down_of<M: 'static>(envelope: &Envelope) -> Option<MonitorRef> {
    let converted = envelope.downcast_ref::<FromDown<M>>().map(|down| down.monitor);
    converted.or_else(|| envelope.downcast_ref::<Down>().map(|down| down.monitor))
}
