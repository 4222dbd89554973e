//! What a handler gets beside its message: the server's own process.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::time::Duration;

use crate::gen_server::message;
use crate::gen_server::refs::Ref;
use crate::gen_server::traits::{ContinueFor, GenServer, InfoFor, Monitors, TrapsExits};
use crate::mailbox::envelope::Envelope;
use crate::node::Node;
use crate::process::cell::{CHILD, Proc, ProcRef, TIMERS, TRAP};
use crate::process::exit_reason::{ExitReason, Term};
use crate::process::pid::{MonitorRef, Pid};
use crate::process::relations::{self, Exit, MonitorTarget, WatchOptions};
use crate::process::signal::Signal;
use crate::process::watch::demonitor_plain;
use crate::timer::{Action, LONGEST, TimerRef};

/// The server's idle timeout ran out: nothing arrived for as long as [`Cx::timeout`] said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeout;

/// What a timer of [`Cx::alarm`] sends.
pub(crate) struct Alarmed {
    pub(crate) number: u64,
    pub(crate) make: fn(u64) -> Envelope,
}

/// What a handler asked for, to be done when it has returned.
#[derive(Default)]
pub(crate) struct Marks {
    /// Is anything below set? Looked at after every handler.
    pub(crate) any: bool,
    pub(crate) more: Option<Box<More>>,
}

#[derive(Default)]
pub(crate) struct More {
    pub(crate) stop: Option<ExitReason>,
    pub(crate) continues: VecDeque<Envelope>,
    /// An idle timeout to set, with what makes its message.
    pub(crate) timeout: Option<(Duration, fn() -> Envelope)>,
    pub(crate) hibernate: bool,
    /// Answers to give, or to withhold, when the process has ended.
    pub(crate) after: Vec<Box<dyn FnOnce() + Send>>,
}

impl Marks {
    #[cold]
    pub(crate) fn more(&mut self) -> &mut More {
        self.any = true;
        self.more.get_or_insert_default()
    }

    pub(crate) fn stopping(&self) -> bool {
        self.more.as_ref().is_some_and(|m| m.stop.is_some())
    }

    /// Why the server is to stop, if it is.
    pub(crate) fn stop_reason(&self) -> Option<&ExitReason> {
        self.more.as_ref()?.stop.as_ref()
    }
}

/// The server's own process, for handlers that change state. What is said here is done when the handler has returned.
///
/// Everything that [`ReadCx`] offers works here too.
pub struct Cx<S> {
    reading: ReadCx<S>,
    pub(crate) marks: Marks,
}

/// The server's own process, for handlers that only read.
pub struct ReadCx<S> {
    proc: Option<NonNull<Proc>>,
    server: PhantomData<fn(S)>,
}

// SAFETY: the pointer is to the process that holds this value, which is Sync and outlives it.
unsafe impl<S> Send for ReadCx<S> {}
// SAFETY: as above.
unsafe impl<S> Sync for ReadCx<S> {}

// SAFETY: a shared reference leads to the reading half only, which is Sync; the marks are touched through `&mut`, or by the kernel under
// the run lock.
unsafe impl<S> Sync for Cx<S> {}

impl<S> Deref for Cx<S> {
    type Target = ReadCx<S>;
    fn deref(&self) -> &ReadCx<S> {
        &self.reading
    }
}

impl<S> Cx<S> {
    pub(crate) fn new() -> Cx<S> {
        Cx { reading: ReadCx { proc: None, server: PhantomData }, marks: Marks::default() }
    }

    /// Ties it to the process it lies in.
    pub(crate) fn attach(&mut self, proc: &Proc) {
        self.reading.proc = Some(proc.ptr());
    }

    pub(crate) fn reading(&self) -> &ReadCx<S> {
        &self.reading
    }
}

impl<S: GenServer> ReadCx<S> {
    pub(crate) fn proc(&self) -> &Proc {
        match &self.proc {
            // SAFETY: set by `attach` to the process whose block this value lies in.
            Some(proc) => unsafe { proc.as_ref() },
            None => unreachable!("attached before the first handler"),
        }
    }

    /// The server's pid.
    pub fn pid(&self) -> Pid {
        self.proc().pid()
    }

    /// A handle to the server itself, to give away. Calling it from a handler of its own is refused with `CallingSelf`.
    pub fn this(&self) -> Ref<S> {
        Ref::from_proc(self.proc().to_ref())
    }

    /// The server's node.
    pub fn node(&self) -> Node {
        self.proc().node.clone()
    }

    /// The process that started it with `start_link` or under a supervisor; `None` if none did.
    pub fn parent(&self) -> Option<Pid> {
        if self.proc().has(CHILD) { self.proc().parent() } else { None }
    }
}

impl<S: GenServer> Cx<S> {
    /// Stops the server with this reason once the handler has returned; [`terminate`](GenServer::terminate) runs first. A call that is
    /// being answered gets its reply when the server has ended. The first reason given counts.
    pub fn stop(&mut self, reason: ExitReason) {
        let more = self.marks.more();
        if more.stop.is_none() {
            more.stop = Some(reason);
        }
    }

    /// Goes on with `message`, in [`HandleContinue`](crate::HandleContinue), before any other message. Several are handled in order.
    pub fn continue_with<M: ContinueFor<S, K>, K: 'static>(&mut self, message: M) {
        self.marks.more().continues.push_back(message::go_on::<S, M, K>(message));
    }

    /// If nothing arrives for `idle`, handles [`Timeout`]. Any message cancels it, also a call; it is not repeated by itself.
    pub fn timeout<K: 'static>(&mut self, idle: Duration)
    where
        Timeout: InfoFor<S, K>,
    {
        self.marks.more().timeout = Some((idle.min(LONGEST), || message::info_for::<S, Timeout, K>(Timeout)));
    }

    /// Frees spare memory of the mailbox before the server waits for its next message. Worth it before a long idle time.
    pub fn hibernate(&mut self) {
        self.marks.more().hibernate = true;
    }

    /// Sends `message` to the server itself after `delay` (longest: 2³⁹ seconds). The timer goes with the process.
    pub fn send_after<M: InfoFor<S, K>, K: 'static>(&mut self, delay: Duration, message: M) -> TimerRef {
        let proc = self.proc();
        proc.set_flag(TIMERS, true);
        let at = proc.node.now() + delay.min(LONGEST);
        let action = Action::Send { to: proc.pid(), envelope: message::info_for::<S, M, K>(message) };
        proc.node.rt().timers.insert(at, action)
    }

    /// Sends `message` to the server itself every `period` (at least 1 ms), first after one period, measured from deadline to deadline.
    ///
    /// ```
    /// use purlin_core::{Cx, GenServer, HandleInfo, InitError, TimerRef, secs};
    ///
    /// struct Poller {
    ///     timer: TimerRef,
    ///     polls: u32,
    /// }
    ///
    /// #[derive(Clone)]
    /// struct Poll;
    ///
    /// impl GenServer for Poller {
    ///     type Args = ();
    ///     async fn init(_: (), cx: &mut Cx<Self>) -> Result<Self, InitError> {
    ///         Ok(Poller { timer: cx.send_interval(secs(10), Poll), polls: 0 })
    ///     }
    /// }
    ///
    /// impl HandleInfo<Poll> for Poller {
    ///     async fn handle_info(&mut self, _: Poll, cx: &mut Cx<Self>) {
    ///         self.polls += 1;
    ///         if self.polls == 3 {
    ///             cx.cancel_timer(self.timer);
    ///             assert_eq!(cx.read_timer(self.timer), None);
    ///             cx.hibernate();
    ///         }
    ///     }
    /// }
    /// ```
    pub fn send_interval<M: InfoFor<S, K> + Clone + Sync, K: 'static>(
        &mut self,
        period: Duration,
        message: M,
    ) -> TimerRef {
        let proc = self.proc();
        proc.set_flag(TIMERS, true);
        let every = u64::try_from(period.as_millis()).unwrap_or(u64::MAX / 4).clamp(1, u64::MAX / 4);
        let make = std::sync::Arc::new(move || message::info_for::<S, M, K>(message.clone()));
        proc.node.rt().timers.repeat(proc.pid(), proc.node.now(), every, make)
    }

    /// Takes a timer off: the time that was left, or `None` if it fired already (its message may be in the mailbox) or is unknown.
    pub fn cancel_timer(&mut self, timer: TimerRef) -> Option<Duration> {
        let node = &self.proc().node;
        node.rt().timers.cancel(timer).map(|at| at.saturating_sub(node.now()))
    }

    /// The time that is left until a timer fires.
    pub fn read_timer(&self, timer: TimerRef) -> Option<Duration> {
        let node = &self.proc().node;
        node.rt().timers.read(timer).map(|at| at.saturating_sub(node.now()))
    }

    /// Watches a process, by pid or local name: one [`Down`](crate::Down) arrives when it has ended, at once if it is not there.
    ///
    /// ```
    /// use purlin_core::{Cx, Down, GenServer, HandleInfo, InitError, MonitorRef, Pid, Term};
    ///
    /// /// Keeps a list of workers that are there.
    /// struct Pool {
    ///     workers: Vec<(Pid, MonitorRef)>,
    /// }
    ///
    /// impl GenServer for Pool {
    ///     type Args = Vec<Pid>;
    ///     async fn init(workers: Vec<Pid>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
    ///         cx.monitor_tagged("database", Term::text("database"));
    ///         Ok(Pool { workers: workers.into_iter().map(|pid| (pid, cx.monitor(pid))).collect() })
    ///     }
    /// }
    ///
    /// impl HandleInfo<Down> for Pool {
    ///     async fn handle_info(&mut self, down: Down, cx: &mut Cx<Self>) {
    ///         if down.tag.is_some() {
    ///             // Without its database no worker matters.
    ///             for (_, monitor) in self.workers.drain(..) {
    ///                 cx.demonitor(monitor);
    ///             }
    ///         }
    ///         self.workers.retain(|(_, monitor)| *monitor != down.monitor);
    ///     }
    /// }
    /// ```
    pub fn monitor<T: Into<MonitorTarget>, K: 'static>(&mut self, target: T) -> MonitorRef
    where
        S: Monitors<K>,
    {
        relations::monitor(self.proc(), target.into(), WatchOptions::converting(|down| S::__down(down).0))
    }

    /// [`monitor`](Self::monitor) with a tag that comes back in [`Down::tag`](crate::Down::tag).
    pub fn monitor_tagged<T: Into<MonitorTarget>, K: 'static>(&mut self, target: T, tag: Term) -> MonitorRef
    where
        S: Monitors<K>,
    {
        let options = WatchOptions { tag: Some(tag), ..WatchOptions::converting(|down| S::__down(down).0) };
        relations::monitor(self.proc(), target.into(), options)
    }

    /// Ends a monitor, and takes its `Down` out of the mailbox if it is there already: after this, none arrives. `true` if it was on.
    pub fn demonitor(&mut self, monitor: MonitorRef) -> bool {
        // A `&mut Cx` exists only inside a handler of its process.
        demonitor_plain(self.proc(), monitor)
    }

    /// Links the server with a process.
    ///
    /// # Errors
    /// [`NoProcess`](crate::process::NoProcess) if it has ended and the server does not trap exits; a server that does gets an `Exit`
    /// with `NoProc`.
    pub fn link(&mut self, pid: Pid) -> Result<(), crate::process::NoProcess> {
        crate::process::link(pid)
    }

    /// Takes the link with `pid` away.
    pub fn unlink(&mut self, pid: Pid) {
        relations::unlink(self.proc(), pid);
    }

    /// Turns exit signals into [`Exit`](crate::Exit) messages, or back; returns the setting before. The exit of the server's parent stops
    /// the server all the same, with [`terminate`](GenServer::terminate). A kill cannot be trapped.
    ///
    /// ```
    /// use purlin_core::{Cx, Exit, GenServer, HandleInfo, InitError, Pid};
    ///
    /// /// Outlives the process that it is linked with.
    /// struct Heir(Pid);
    ///
    /// impl GenServer for Heir {
    ///     type Args = Pid;
    ///     async fn init(owner: Pid, cx: &mut Cx<Self>) -> Result<Self, InitError> {
    ///         cx.trap_exits(true);
    ///         cx.link(owner)?;
    ///         Ok(Heir(owner))
    ///     }
    /// }
    ///
    /// impl HandleInfo<Exit> for Heir {
    ///     async fn handle_info(&mut self, Exit { from, reason }: Exit, cx: &mut Cx<Self>) {
    ///         if from != self.0 {
    ///             cx.unlink(self.0);
    ///             cx.stop(reason);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn trap_exits<K: 'static>(&mut self, on: bool) -> bool
    where
        S: TrapsExits<K>,
    {
        let proc = self.proc();
        proc.extra.lock().get_or_insert_default().on_exit = Some(|exit| S::__exit(exit).0);
        proc.set_flag(TRAP, on)
    }

    /// Who made the call that is being handled; `None` if it came from outside a process, or the message is no call.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = purlin_core::Node::builder().start();
    /// # node.scope(async {
    /// use purlin_core::{Cx, GenServer, HandleCall, InitError, Mailbox, Pid, process};
    /// # struct Who;
    /// # impl GenServer for Who { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Who) } }
    /// struct AmI;
    /// impl HandleCall<AmI> for Who {
    ///     type Reply = (Option<Pid>, Option<Pid>);
    ///     async fn handle_call(&mut self, _: AmI, cx: &mut Cx<Self>) -> Self::Reply {
    ///         (cx.caller(), cx.parent())
    ///     }
    /// }
    ///
    /// let p = process::spawn(async |mailbox: Mailbox<()>| {
    ///     let me = Some(mailbox.pid());
    ///     let who = Who::start_link(()).await.unwrap();
    ///     assert_eq!(who.call(AmI).await.unwrap(), (me, me));
    /// });
    /// assert!(p.wait().await.is_normal());
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn caller(&self) -> Option<Pid> {
        let packed = message::current_caller();
        (packed != 0).then(|| crate::process::run::unpack(self.proc(), packed))
    }

    /// The exits of linked processes that have arrived and wait to be handled, oldest first. A supervisor asks when it has to stop a
    /// child that has ended already: the reason is in one of them.
    pub(crate) fn waiting_exits(&mut self) -> Vec<Exit> {
        let proc = self.proc();
        let mut exits: Vec<Exit> = proc.runner.with_mut(|r| {
            // SAFETY: a `&mut Cx` exists only inside a handler, which the holder of RUN polls.
            let inner = unsafe { &(*r).inner };
            inner.iter().filter_map(|e| e.downcast_ref::<Exit>().cloned()).collect()
        });
        let outer = proc.mailbox.lock();
        exits.extend(outer.queue.iter().filter_map(|e| match e.downcast_ref::<Signal>() {
            Some(Signal::Exit { from, reason, .. }) => Some(Exit { from: *from, reason: reason.clone() }),
            _ => None,
        }));
        exits
    }

    /// Hands the message that `make` makes of `number` to a handler when the time has come: after what is in the mailbox then, and beyond any bound of that.
    pub(crate) fn alarm(&mut self, at: Duration, number: u64, make: fn(u64) -> Envelope) -> TimerRef {
        let proc = self.proc();
        proc.set_flag(TIMERS, true);
        let envelope = crate::sys::request::internal(Alarmed { number, make });
        proc.node.rt().timers.insert(at, Action::Send { to: proc.pid(), envelope })
    }

    /// The time of the node's clock.
    pub(crate) fn now(&self) -> Duration {
        self.proc().node.now()
    }

    pub(crate) fn proc_ref(&self) -> ProcRef {
        self.proc().to_ref()
    }
}
