//! The functions of module `process`.

use std::any::TypeId;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::call::slot;
use crate::mailbox::bound::MailboxBound;
use crate::mailbox::envelope::Envelope;
use crate::node::names::RegisterError;
use crate::node::{Node, current};
use crate::process::cell::{BLOCKING, Proc, ProcRef};
use crate::process::exit_reason::ExitReason;
use crate::process::pid::{MonitorRef, Pid};
use crate::process::raw::{self, Accepts, Address, Mailbox};
use crate::process::relations::{self, Down, MonitorTarget, WatchOptions};
use crate::process::spawn::Options;
use crate::timer::Alarm;

/// Spawns a free-form process on the current node. On a node that was shut down it ends before its first step.
///
/// `body` gets the process's [`Mailbox`]; the message type is usually inferred from its use. The process ends when the body returns, with
/// [`ExitReason::Normal`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let greeter = process::spawn(async |mut mailbox: Mailbox<String>| {
///     assert_eq!(mailbox.receive().await, "hello");
/// });
/// greeter.send("hello".to_owned());
/// assert!(greeter.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn spawn<M, F, Fut>(body: F) -> Address<M>
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    spawn_with(SpawnOptions::default(), body)
}

/// [`spawn`], linked to the calling process from before the first step. From outside a process there is nothing to link with.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let parent = process::spawn(async |mut mailbox: Mailbox<()>| {
///     process::spawn_link(async |_: Mailbox<()>| panic!("no disk"));
///     mailbox.receive().await;                                       // does not return: the link ends this process too
/// });
/// assert_eq!(parent.wait().await.panic_info().unwrap().message, "no disk");
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[track_caller]
pub fn spawn_link<M, F, Fut>(body: F) -> Address<M>
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    spawn_with(SpawnOptions { link: true, ..SpawnOptions::default() }, body)
}

/// What [`spawn_with`] takes beside the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpawnOptions {
    /// Link with the calling process.
    pub link: bool,
    /// Bound the mailbox; unbounded by default.
    pub mailbox: Option<MailboxBound>,
    /// The process may block its thread: see [`spawn_blocking`].
    pub blocking: bool,
}

/// [`spawn`] with options.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, SpawnOptions};
/// use purlin_core::{Mailbox, MailboxBound, Overflow};
/// let options = SpawnOptions { mailbox: Some(MailboxBound::new(1, Overflow::Reject)), ..SpawnOptions::default() };
/// let busy = process::spawn_with(options, async |_: Mailbox<u8>| std::future::pending().await);
/// assert_eq!(busy.try_send(1), Ok(()));
/// assert_eq!(busy.try_send(2), Err(2));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
#[track_caller]
pub fn spawn_with<M, F, Fut>(options: SpawnOptions, body: F) -> Address<M>
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let node = Node::current();
    let flags = if options.blocking { BLOCKING } else { 0 };
    let options = Options { link: options.link, bound: options.mailbox, flags, ..Options::default() };
    Address::new(spawn_raw(&node, options, body).0)
}

/// [`spawn`] for a process that may block its thread: with a C library, a file, a lock of the standard library, or by computing for long (a
/// dirty scheduler's work in Erlang). It runs on tokio's pool of blocking threads; the node's executors go on.
///
/// In everything else it is a process like any other: it has a pid, links, monitors and a mailbox, whose `receive` it awaits; it may call servers.
/// While it waits for a message it keeps no thread.
///
/// A kill takes effect, and so does an exit signal, when the body awaits something or returns. From the kill on `is_alive` is false, links and
/// monitors are told when the process has really ended and everything it owned is dropped; until then it is counted in
/// [`NodeStats::zombies`](crate::NodeStats). A long loop should ask [`Mailbox::should_exit`] now and then.
///
/// Each activation, from one await that had to wait to the next, is a task of the pool, which has 512 threads unless the runtime was built with
/// another number: spawn thousands that wait, but not thousands that block. On a simulated node the body is run in place, as a step like any other: there
/// it must not wait for what another process does otherwise than by `await`.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Address, Mailbox, process};
/// let hasher = process::spawn_blocking(async |mut mailbox: Mailbox<(Vec<u8>, Address<u64>)>| loop {
///     let (data, asker) = mailbox.receive().await;                   // keeps no thread
///     let mut sum = 0u64;
///     for part in data.chunks(1024) {
///         if mailbox.should_exit() {
///             return;                                                // somebody wants it to end
///         }
///         sum = part.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));   // may take its time
///     }
///     asker.send(sum);
/// });
/// let asker = process::spawn(async move |mut mailbox: Mailbox<u64>| {
///     hasher.send((b"purlin".to_vec(), mailbox.address()));
///     assert_eq!(mailbox.receive().await, 3_318_020_196);
///     process::exit(hasher.pid(), purlin_core::ExitReason::Shutdown);
/// });
/// assert!(asker.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn spawn_blocking<M, F, Fut>(body: F) -> Address<M>
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    spawn_with(SpawnOptions { blocking: true, ..SpawnOptions::default() }, body)
}

/// [`spawn`], monitored by the calling process from before the first step: its [`Down`] tells the real reason even if it ends at once.
/// The caller is a raw process with an untyped mailbox, or one of [`Down`]s; a typed one uses [`Mailbox::monitor`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Down, Mailbox, process};
/// let watcher = process::spawn(async |mut mailbox: Mailbox<Down>| {
///     let (worker, monitor) = process::spawn_monitor(async |_: Mailbox<()>| {});
///     let down = mailbox.receive().await;
///     assert_eq!((down.monitor, down.pid), (monitor, Some(worker.pid())));
///     assert!(down.reason.is_normal());
/// });
/// assert!(watcher.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// Outside a process: there would be nobody to tell.
#[track_caller]
pub fn spawn_monitor<M, F, Fut>(body: F) -> (Address<M>, MonitorRef)
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    spawn_monitor_with(body, Envelope::plain::<Down>)
}

#[track_caller]
pub(crate) fn spawn_monitor_with<M, F, Fut>(
    body: F,
    convert: fn(Down) -> Envelope,
) -> (Address<M>, MonitorRef)
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let node = Node::current();
    let options = Options { monitor: Some(WatchOptions::converting(convert)), ..Options::default() };
    let (proc, monitor) = spawn_raw(&node, options, body);
    (
        Address::new(proc),
        monitor.unwrap_or_else(|| {
            panic!("spawn_monitor is for processes: outside one there is nobody to tell; use `process::wait`")
        }),
    )
}

impl<M: Send + 'static> Mailbox<M> {
    /// [`spawn_monitor`] for a typed mailbox: the [`Down`] converts into this mailbox's message type.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Down, Mailbox, process};
    /// enum Msg { Ended(Down) }
    /// impl From<Down> for Msg {
    ///     fn from(down: Down) -> Msg { Msg::Ended(down) }
    /// }
    /// let watcher = process::spawn(async |mut mailbox: Mailbox<Msg>| {
    ///     let (worker, _) = mailbox.spawn_monitor(async |_: Mailbox<()>| {});
    ///     let Msg::Ended(down) = mailbox.receive().await;
    ///     assert_eq!(down.pid, Some(worker.pid()));
    /// });
    /// assert!(watcher.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_monitor<N, F, Fut, K>(&mut self, body: F) -> (Address<N>, MonitorRef)
    where
        M: Accepts<Down, K>,
        N: Send + 'static,
        F: FnOnce(Mailbox<N>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        spawn_monitor_with(body, crate::process::watch::pack_down::<M, K>)
    }
}

#[track_caller]
fn spawn_raw<M, F, Fut>(node: &Node, options: Options, body: F) -> (ProcRef, Option<MonitorRef>)
where
    M: Send + 'static,
    F: FnOnce(Mailbox<M>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    match raw::spawn(node, options, move |mailbox| async move { body(mailbox).await }) {
        Ok(spawned) => {
            refuse_if_stopping(&spawned.proc);
            (spawned.proc, spawned.monitor)
        },
        Err(_) => unreachable!("a process without a name cannot clash with one"),
    }
}

/// As for servers: otherwise somebody outside could keep a node from ever having stopped.
pub(crate) fn refuse_if_stopping(proc: &Proc) {
    if proc.node.0.stopping.load(crate::sync::Ordering::Relaxed) && self_pid().is_none() {
        crate::process::exit::kill(proc);
    }
}

/// The pid of the process being run; `None` outside a process.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// assert_eq!(process::self_pid(), None);
/// let p = process::spawn(async |mailbox: Mailbox<()>| assert_eq!(process::self_pid(), Some(mailbox.pid())));
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn self_pid() -> Option<Pid> {
    current::with_current(Proc::pid)
}

/// Sends `message`, untyped, to a process. A raw process receives it if its mailbox takes the type; a GenServer handles it if it has
/// [`HandleInfo`](crate::HandleInfo) for the type and lists it in [`accepts`](crate::GenServer::accepts); otherwise it is logged and
/// counted. To a dead process it is lost, as in OTP. An [`AnyMsg`](crate::AnyMsg) is sent on as the message that is in it.
pub fn send<T: Send + 'static>(to: Pid, message: T) {
    if let Some(node) = current::by_index(to.node_index()) {
        node.0.deliver(to, raw::repack(message));
    }
}

/// Nobody has this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownName;

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no process has this name")
    }
}

impl std::error::Error for UnknownName {}

/// [`send`] to a local name.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, UnknownName};
/// use purlin_core::Mailbox;
/// let p = process::spawn(async |mut mailbox: Mailbox<u8>| assert_eq!(mailbox.receive().await, 7));
/// process::register("seven", p.pid()).unwrap();
/// assert_eq!(process::send_named("seven", 7u8), Ok(()));
/// assert_eq!(process::send_named("eight", 8u8), Err(UnknownName));
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// [`UnknownName`] when nobody has it (OTP raises `badarg`).
pub fn send_named<T: Send + 'static>(name: &str, message: T) -> Result<(), UnknownName> {
    let proc = Node::try_current().and_then(|n| n.0.names.get(name)).ok_or(UnknownName)?;
    proc.node.0.deliver_to(&proc, raw::repack(message));
    Ok(())
}

fn lookup(pid: Pid) -> Option<ProcRef> {
    current::by_index(pid.node_index())?.lookup(pid)
}

/// Sends an exit signal. To a process that traps exits it becomes a message; `Kill` cannot be trapped. To a dead process it does nothing.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{ExitReason, Mailbox, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
/// process::exit(p.pid(), ExitReason::Kill);
/// assert_eq!(p.wait().await, ExitReason::Killed);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn exit(pid: Pid, reason: ExitReason) {
    let Some(proc) = lookup(pid) else { return };
    let from = self_pid().unwrap_or_else(|| proc.node.init_pid());
    crate::process::exit::send(from, &proc, reason);
}

/// The calling code is no process, or the process is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoProcess;

impl std::fmt::Display for NoProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such process")
    }
}

impl std::error::Error for NoProcess {}

/// Links the calling process with `pid`. Linking twice is linking once; linking with oneself does nothing.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, NoProcess};
/// use purlin_core::{AnyMsg, Exit, ExitReason, Mailbox};
/// let p = process::spawn(async |mut mailbox: Mailbox<AnyMsg>| {
///     let other = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
///     process::link(other.pid()).unwrap();
///     mailbox.trap_exits(true);
///     process::exit(other.pid(), ExitReason::error("no disk"));
///     assert_eq!(mailbox.receive_as::<Exit>().await.reason, ExitReason::error("no disk"));
/// });
/// assert!(p.wait().await.is_normal());
/// assert_eq!(process::link(p.pid()), Err(NoProcess));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// [`NoProcess`] if `pid` has ended and the caller does not trap exits (it gets an [`Exit`](crate::Exit) with `NoProc` otherwise), or
/// outside a process.
pub fn link(pid: Pid) -> Result<(), NoProcess> {
    let me = current::current_proc().ok_or(NoProcess)?;
    if pid == me.pid() {
        return Ok(());
    }
    if me.node.lookup(pid).is_some_and(|other| relations::link(&me, &other)) {
        return Ok(());
    }
    // One that is linked already and has ended: its EXIT is on its way, and there will be no other.
    if relations::is_linked(&me, pid) {
        return Ok(());
    }
    crate::rt::sim::finds_gone(pid);
    if !me.has(crate::process::cell::TRAP) {
        return Err(NoProcess);
    }
    let gone = crate::process::signal::Signal::Exit { from: pid, reason: ExitReason::NoProc, link: 0 };
    crate::process::signal::send(&me, gone);
    Ok(())
}

/// Takes the link with `pid` away; after this no exit signal of that link arrives. Without a link it does nothing.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{ExitReason, Mailbox, process};
/// let p = process::spawn(async |_: Mailbox<()>| {
///     let other = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
///     process::unlink(other.pid());
///     process::exit(other.pid(), ExitReason::error("nobody hears"));
///     other.wait().await;
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn unlink(pid: Pid) {
    current::with_current(|me| relations::unlink(me, pid));
}

/// Watches a process or a local name from the calling process, whose mailbox must take [`Down`] messages as they are: a raw process with an
/// untyped mailbox or one of `Down`s. Others use [`Mailbox::monitor`] or [`Cx::monitor`](crate::Cx::monitor).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Down, ExitReason, Mailbox, MonitorTarget, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<Down>| {
///     let other = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
///     let monitor = process::monitor(other.pid());
///     assert!(process::demonitor(monitor));
///     process::monitor("nobody");
///     let Down { target, reason, .. } = mailbox.receive().await;
///     assert_eq!((target, reason), (MonitorTarget::from("nobody"), ExitReason::NoProc));
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// Outside a process.
#[track_caller]
pub fn monitor(target: impl Into<MonitorTarget>) -> MonitorRef {
    let me = current::current_proc()
        .unwrap_or_else(|| panic!("monitor is for processes; use `process::wait` outside one"));
    relations::monitor(&me, target.into(), WatchOptions::converting(Envelope::plain::<Down>))
}

/// Ends a monitor of the calling process; `true` if it was on. A `Down` that is in the mailbox already stays there: see
/// [`Mailbox::demonitor`] for the form that takes it out.
pub fn demonitor(monitor: MonitorRef) -> bool {
    current::with_current(|me| relations::demonitor(me, monitor)).unwrap_or(false)
}

/// Waits until a process has ended and everything it owned is dropped; its reason, or [`ExitReason::NoProc`] if it had ended before.
/// Works outside processes too. An [`Address`] tells the reason even then: see [`Address::wait`].
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{ExitReason, Mailbox, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
/// let stop = async { p.send(()) };
/// let (reason, ()) = tokio::join!(process::wait(p.pid()), stop);
/// assert_eq!(reason, ExitReason::Normal);
/// assert_eq!(process::wait(p.pid()).await, ExitReason::NoProc);
/// assert_eq!(p.wait().await, ExitReason::Normal);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub async fn wait(pid: Pid) -> ExitReason {
    let Some(proc) = lookup(pid) else {
        crate::rt::sim::finds_gone(pid);
        return ExitReason::NoProc;
    };
    ended(&proc).await
}

impl<M: 'static> Address<M> {
    /// Waits until the process has ended and everything it owned is dropped; its reason, also when it had ended before. Works outside
    /// processes too.
    pub async fn wait(&self) -> ExitReason {
        wait_for(self.proc()).await
    }
}

/// Waits for the end of a process whose block the caller has.
pub(crate) async fn wait_for(proc: &Proc) -> ExitReason {
    match ended(proc).await {
        // Too late to be told, but the control block still knows.
        ExitReason::NoProc => proc.mailbox.exit_reason().unwrap_or(ExitReason::NoProc),
        reason => reason,
    }
}

/// Waits for the end of a process.
pub(crate) async fn ended(proc: &Proc) -> ExitReason {
    let (mut waiter, replier) = slot::pair::<ExitReason>();
    let guard = Unwatch { id: relations::watch_end(proc, replier), proc };
    let reason = poll_fn(|cx| waiter.poll(cx)).await.unwrap_or(ExitReason::NoProc);
    drop(guard);
    reason
}

struct Unwatch<'a> {
    proc: &'a Proc,
    id: Option<u64>,
}

impl Drop for Unwatch<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            relations::unwatch_end(self.proc, id);
        }
    }
}

/// Waits for the end of a process, for `limit` at most.
pub(crate) async fn wait_within(proc: &Proc, limit: Duration) -> Option<ExitReason> {
    watching(proc, Some(limit), || {}).await
}

/// Watches a process, then does `act`, then waits for the process's end: a reason that `act` brings about is not missed.
pub(crate) async fn watching(proc: &Proc, limit: Option<Duration>, act: impl FnOnce()) -> Option<ExitReason> {
    let (mut waiter, replier) = slot::pair::<ExitReason>();
    let guard = Unwatch { id: relations::watch_end(proc, replier), proc };
    act();
    let mut alarm = limit.map(|limit| Alarm::at(proc.node.clone(), proc.node.now().saturating_add(limit)));
    let reason = poll_fn(|cx| match (waiter.poll(cx), &mut alarm) {
        (Poll::Ready(reason), _) => Poll::Ready(Some(reason.unwrap_or(ExitReason::NoProc))),
        (Poll::Pending, Some(alarm)) => alarm.poll(cx).map(|()| None),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await;
    drop(guard);
    reason
}

/// Gives a local name to a process of the current node.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, RegisterError, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
/// process::register("door", p.pid()).unwrap();
/// assert_eq!(process::whereis("door"), Some(p.pid()));
/// assert_eq!(process::registered(), ["door".into()]);
/// assert_eq!(process::register("gate", p.pid()), Err(RegisterError::AlreadyNamed));
/// process::unregister("door").unwrap();
/// assert_eq!(process::whereis("door"), None);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Errors
/// The name is taken by a live process, the process has a name already or has ended, or the name is empty.
pub fn register(name: impl Into<Arc<str>>, pid: Pid) -> Result<(), RegisterError> {
    let proc = lookup(pid).ok_or(RegisterError::NoProc)?;
    proc.node.0.names.register(name.into(), &proc)
}

/// Takes a name away from whoever has it.
///
/// # Errors
/// [`UnknownName`].
pub fn unregister(name: &str) -> Result<(), UnknownName> {
    let node = Node::try_current().ok_or(UnknownName)?;
    if node.0.names.unregister(name) { Ok(()) } else { Err(UnknownName) }
}

/// The live process of this name on the current node.
pub fn whereis(name: &str) -> Option<Pid> {
    Node::try_current()?.0.names.get(name).map(|p| p.pid())
}

/// All names of the current node, sorted.
pub fn registered() -> Vec<Arc<str>> {
    Node::try_current().map_or_else(Vec::new, |n| n.0.names.all())
}

/// `false` from the moment the process must end, even if it has not got there yet.
pub fn is_alive(pid: Pid) -> bool {
    let alive = lookup(pid).is_some_and(|p| {
        crate::rt::sim::looks_at(&p);
        p.word.is_alive()
    });
    if !alive {
        crate::rt::sim::finds_gone(pid);
    }
    alive
}

/// Every process of the current node, by slot. As in OTP one that is ending is among them until its pid is free, a moment after those who
/// watch it were told; [`is_alive`] tells.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let p = process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
/// assert_eq!(process::processes(), [p.pid()]);
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn processes() -> Vec<Pid> {
    Node::try_current().map_or_else(Vec::new, |n| n.0.pids())
}

/// Describes the calling process, for reports and listings. `None` takes the label off.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let p = process::spawn(async |mailbox: Mailbox<()>| {
///     process::set_label("pump");
///     let label = |pid| process::process_info(pid).and_then(|info| info.label);
///     assert_eq!(label(mailbox.pid()).as_deref(), Some("pump"));
///     process::set_label_text(format!("pump {}", 7));
///     assert_eq!(label(mailbox.pid()).as_deref(), Some("pump 7"));
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn set_label(label: impl Into<Option<&'static str>>) {
    let label: Option<&'static str> = label.into();
    current::with_current(|me| me.extra.lock().get_or_insert_default().label = label.map(Arc::from));
}

/// [`set_label`] for text made at run time.
pub fn set_label_text(label: impl Into<String>) {
    let label: Arc<str> = label.into().into();
    current::with_current(|me| me.extra.lock().get_or_insert_default().label = Some(label));
}

/// `$callers`: the processes on whose behalf the calling one runs, nearest first. Set by tasks; empty for others.
pub fn callers() -> Vec<Pid> {
    current::with_current(Proc::callers).unwrap_or_default()
}

/// `$ancestors`: who spawned the calling process, who spawned that one, and so on.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let parent = process::spawn(async |mailbox: Mailbox<()>| {
///     let me = mailbox.pid();
///     let child = process::spawn(async move |_: Mailbox<()>| {
///         assert_eq!(process::ancestors(), [me]);
///         assert!(process::callers().is_empty());
///     });
///     assert!(child.wait().await.is_normal());
/// });
/// assert!(parent.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub fn ancestors() -> Vec<Pid> {
    current::with_current(|me| me.lineage.iter().flat_map(|l| l.ancestors()).map(|(pid, _)| pid).collect())
        .unwrap_or_default()
}

/// A process that runs for longer than a moment between awaits should call this now and then: it lets others run first.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{Mailbox, process};
/// let p = process::spawn(async |_: Mailbox<()>| {
///     for part in 0..1_000u64 {
///         let _ = part * part;                                       // something that takes long
///         if part % 100 == 0 {
///             process::yield_now().await;
///         }
///     }
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits, by the node's clock: virtual in a simulated node. Never early; late by up to a millisecond or so. A duration of 0 lets others run
/// first.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{millis, process};
/// let before = node.now();
/// process::sleep(millis(2)).await;
/// assert!(node.now() - before >= millis(2));
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
///
/// # Panics
/// When there is no current node.
#[track_caller]
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
    let node = Node::current();
    let at = node.now() + duration.min(crate::timer::LONGEST);
    let mut alarm = (!duration.is_zero()).then(|| Alarm::at(node, at));
    async move {
        match &mut alarm {
            Some(alarm) => poll_fn(|cx| alarm.poll(cx)).await,
            None => yield_now().await,
        }
    }
}

/// Process-local values: one per type, gone with the process (Erlang's process dictionary, typed).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::process::{self, local};
/// #[derive(Clone, PartialEq, Debug)]
/// struct RequestId(u64);
/// let p = process::spawn(async move |_: purlin_core::Mailbox<()>| {
///     local::put(RequestId(7));
///     assert_eq!(local::get::<RequestId>(), Some(RequestId(7)));
///     assert_eq!(local::with(|id: &RequestId| id.0 + 1), Some(8));
///     assert_eq!(local::take::<RequestId>(), Some(RequestId(7)));
///     assert_eq!(local::get::<RequestId>(), None);
/// });
/// assert!(p.wait().await.is_normal());
/// # }).await;
/// # node.shutdown().await;
/// # });
/// ```
pub mod local {
    use super::{TypeId, current};
    use crate::process::cell::OWNS;

    /// Stores a value; returns the one of its type that was there. Outside a process it returns the value itself.
    pub fn put<T: Send + 'static>(value: T) -> Option<T> {
        let mut value = Some(value);
        let old = current::with_current(|me| {
            me.set_flag(OWNS, true);
            let mut extra = me.extra.lock();
            extra.get_or_insert_default().locals.insert(TypeId::of::<T>(), Box::new(value.take()?))
        });
        match old {
            Some(old) => old.and_then(|b| b.downcast().ok()).map(|b| *b),
            None => value,
        }
    }

    /// A copy of the value of this type.
    pub fn get<T: Clone + Send + 'static>() -> Option<T> {
        with(|value: &T| value.clone())
    }

    /// Looks at the value of this type. `f` must not use process-local values itself.
    pub fn with<T: Send + 'static, R>(f: impl FnOnce(&T) -> R) -> Option<R> {
        // Taken out meanwhile: `f` is user code and must not run under the lock.
        let value: T = take()?;
        let result = f(&value);
        put(value);
        Some(result)
    }

    /// Removes the value of this type and returns it.
    pub fn take<T: Send + 'static>() -> Option<T> {
        current::with_current(|me| me.extra.lock().as_mut()?.locals.remove(&TypeId::of::<T>()))
            .flatten()
            .and_then(|b| b.downcast().ok())
            .map(|b| *b)
    }
}
