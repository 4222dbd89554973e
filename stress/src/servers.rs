//! The server of both programs: one message for each thing that a handler can do.

use std::time::Duration;

use purlin_core::gen_server::Accepts;
use purlin_core::*;

use crate::held::Held;

/// Holds a value; does what it is told.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) held: Held,
    /// Infos and casts handled.
    pub(crate) seen: u64,
    /// What happens at the end.
    pub(crate) end: End,
    /// The last number that each client has sent, by client.
    last: Vec<(u64, u64)>,
    /// Numbers that were not larger than the one before from the same client.
    disorder: u64,
}

/// What a worker does when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Quietly,
    PanicInTerminate,
    PanicInDrop,
}

/// How a worker starts.
#[derive(Clone)]
pub(crate) enum Plan {
    Run(Held),
    RunAndEnd(Held, End),
    Ignore(Held),
    Refuse(Held),
    Panic(Held),
    /// `init` never returns.
    Hang(Held),
    /// `init` waits once.
    Slowly(Held),
    TrapExits(Held),
}

impl GenServer for Worker {
    type Args = Plan;

    async fn init(plan: Plan, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let (held, end) = match plan {
            Plan::Run(held) => (held, End::Quietly),
            Plan::RunAndEnd(held, end) => (held, end),
            Plan::Ignore(_held) => return Err(InitError::Ignore),
            Plan::Refuse(held) => return Err(InitError::Stop(ExitReason::custom(held.value()))),
            Plan::Panic(held) => panic!("init {}", held.value()),
            Plan::Hang(held) => {
                std::future::pending::<()>().await;
                (held, End::Quietly)
            },
            Plan::Slowly(held) => {
                process::yield_now().await;
                (held, End::Quietly)
            },
            Plan::TrapExits(held) => {
                cx.trap_exits(true);
                (held, End::Quietly)
            },
        };
        Ok(Worker { held, seen: 0, end, last: Vec::new(), disorder: 0 })
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Cx<Self>) {
        if self.end == End::PanicInTerminate {
            panic!("terminate {}", self.held.value());
        }
    }

    fn format_status(&self) -> String {
        format!("a worker that has seen {}", self.seen)
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<Note, _>();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.end == End::PanicInDrop {
            panic!("drop {}", self.held.value());
        }
    }
}

/// Gives the value back, in place if it can.
pub(crate) struct Echo(pub(crate) Held);
impl HandleCall<Echo> for Worker {
    type Reply = Held;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Echo(held): Echo, _: &mut Cx<Self>) -> Held {
        held
    }
}

/// Gives the value back from a handler that could wait.
pub(crate) struct EchoAsync(pub(crate) Held);
impl HandleCall<EchoAsync> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, EchoAsync(held): EchoAsync, _: &mut Cx<Self>) -> Held {
        held
    }
}

/// Gives the value back after so many turns of the executor.
pub(crate) struct EchoAfter(pub(crate) Held, pub(crate) u32);
impl HandleCall<EchoAfter> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, EchoAfter(held, turns): EchoAfter, _: &mut Cx<Self>) -> Held {
        for _ in 0..turns {
            process::yield_now().await;
        }
        held
    }
}

/// Never answers; holds two values across the wait, one of them borrowed.
pub(crate) struct Hang(pub(crate) Held);
impl HandleCall<Hang> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, Hang(held): Hang, _: &mut Cx<Self>) -> Held {
        let own = self.held.clone();
        let borrowed = &mut self.held;
        std::future::pending::<()>().await;
        *borrowed = own;
        held
    }
}

/// Panics, at once or after a turn.
pub(crate) struct Crash(pub(crate) Held, pub(crate) bool);
impl HandleCall<Crash> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, Crash(held, later): Crash, _: &mut Cx<Self>) -> Held {
        if later {
            process::yield_now().await;
        }
        panic!("crash {}", held.value());
    }
}

/// Fails with `?`.
pub(crate) struct Fail(pub(crate) Held);
impl HandleCall<Fail, OrCrash> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, Fail(held): Fail, _: &mut Cx<Self>) -> Result<Held, purlin_core::Crash> {
        let port: u16 = "seventy".parse()?;
        drop(held);
        Ok(Held::new(port.into()))
    }
}

/// How a deferred answer is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Later {
    /// By another process, which gets the handle.
    Elsewhere,
    /// Before the handler returns.
    Before,
    /// Not at all.
    Never,
}

/// Answers later.
pub(crate) struct Defer(pub(crate) Held, pub(crate) Later);
impl HandleCall<Defer, OrLater> for Worker {
    type Reply = Held;

    async fn handle_call(
        &mut self,
        Defer(held, way): Defer,
        _: &mut Cx<Self>,
    ) -> Result<Reply<Held>, purlin_core::Crash> {
        let (to, later) = Reply::later();
        match way {
            Later::Elsewhere => {
                process::spawn(async move |_: Mailbox<()>| {
                    process::yield_now().await;
                    to.reply(held);
                });
            },
            Later::Before => to.reply(held),
            Later::Never => drop(to),
        }
        Ok(later)
    }
}

/// Answers, and stops with this reason.
pub(crate) struct Leave(pub(crate) Held, pub(crate) ExitReason);
impl HandleCall<Leave> for Worker {
    type Reply = Held;

    async fn handle_call(&mut self, Leave(held, reason): Leave, cx: &mut Cx<Self>) -> Held {
        cx.stop(reason);
        held
    }
}

/// Replaces the held value; the old one is the answer.
pub(crate) struct Swap(pub(crate) Held);
impl HandleCall<Swap> for Worker {
    type Reply = Held;
    const SYNC: bool = true;

    async fn handle_call(&mut self, Swap(held): Swap, _: &mut Cx<Self>) -> Held {
        std::mem::replace(&mut self.held, held)
    }
}

/// A copy of the held value.
pub(crate) struct Peek;
impl HandleRead<Peek> for Worker {
    type Reply = Held;

    fn handle_read(&self, _: Peek, _: &ReadCx<Self>) -> Held {
        self.held.clone()
    }
}

/// How many casts and infos were handled.
pub(crate) struct Seen;
impl HandleRead<Seen> for Worker {
    type Reply = u64;

    fn handle_read(&self, _: Seen, _: &ReadCx<Self>) -> u64 {
        self.seen
    }
}

/// A read that panics.
pub(crate) struct PeekAndCrash(pub(crate) Held);
impl HandleRead<PeekAndCrash> for Worker {
    type Reply = Held;

    fn handle_read(&self, PeekAndCrash(held): PeekAndCrash, _: &ReadCx<Self>) -> Held {
        panic!("crash {}", held.value());
    }
}

/// Calls another worker from inside, so deep; the last one calls the first.
pub(crate) struct Chain(pub(crate) Vec<Ref<Worker>>, pub(crate) Held);
impl HandleCall<Chain> for Worker {
    type Reply = Result<Held, CallError>;

    async fn handle_call(
        &mut self,
        Chain(mut rest, held): Chain,
        _: &mut Cx<Self>,
    ) -> Result<Held, CallError> {
        match rest.pop() {
            Some(next) => next.call(Chain(rest, held)).await?,
            None => Ok(held),
        }
    }
}

impl Worker {
    fn mark(&mut self, client: u64, number: u64) {
        match self.last.iter_mut().find(|(of, _)| *of == client) {
            Some((_, last)) => {
                self.disorder += u64::from(number <= *last);
                *last = number;
            },
            None => self.last.push((client, number)),
        }
    }
}

/// A number of a client's, larger than all before: messages arrive in order, and once. The answer is how many did not.
pub(crate) struct Mark(pub(crate) u64, pub(crate) u64);
impl HandleCall<Mark> for Worker {
    type Reply = u64;

    async fn handle_call(&mut self, Mark(client, number): Mark, _: &mut Cx<Self>) -> u64 {
        self.mark(client, number);
        self.disorder
    }
}

impl HandleCast<Mark> for Worker {
    async fn handle_cast(&mut self, Mark(client, number): Mark, _: &mut Cx<Self>) {
        self.mark(client, number);
    }
}

/// A cast that counts.
#[derive(Debug)]
pub(crate) struct Count(pub(crate) Held);
impl HandleCast<Count> for Worker {
    const SYNC: bool = true;

    async fn handle_cast(&mut self, _: Count, _: &mut Cx<Self>) {
        self.seen += 1;
    }
}

/// A cast that never ends.
pub(crate) struct Stick(pub(crate) Held);
impl HandleCast<Stick> for Worker {
    async fn handle_cast(&mut self, Stick(held): Stick, _: &mut Cx<Self>) {
        std::future::pending::<()>().await;
        self.held = held;
    }
}

/// A cast that panics.
pub(crate) struct CastCrash(pub(crate) Held);
impl HandleCast<CastCrash> for Worker {
    async fn handle_cast(&mut self, CastCrash(held): CastCrash, _: &mut Cx<Self>) {
        panic!("crash {}", held.value());
    }
}

/// A plain message; arrives typed, untyped, and by timers.
#[derive(Clone)]
pub(crate) struct Note(pub(crate) Held);
impl HandleInfo<Note> for Worker {
    async fn handle_info(&mut self, Note(held): Note, _: &mut Cx<Self>) {
        self.seen += 1;
        drop(held);
    }
}

impl HandleInfo<Timeout> for Worker {
    async fn handle_info(&mut self, _: Timeout, _: &mut Cx<Self>) {
        self.seen += 1;
    }
}

impl HandleInfo<Down> for Worker {
    async fn handle_info(&mut self, _: Down, _: &mut Cx<Self>) {
        self.seen += 1;
    }
}

impl HandleInfo<Exit> for Worker {
    async fn handle_info(&mut self, _: Exit, _: &mut Cx<Self>) {
        self.seen += 1;
    }
}

/// Goes on so often.
struct Onward(u32, Held);
impl HandleContinue<Onward> for Worker {
    async fn handle_continue(&mut self, Onward(left, held): Onward, cx: &mut Cx<Self>) {
        self.seen += 1;
        if left > 0 {
            cx.continue_with(Onward(left - 1, held));
        }
    }
}

/// One thing that a handler does with its `Cx`.
pub(crate) enum Do {
    /// Sets a timer for this long.
    Timer(Duration),
    /// Sets a timer and takes it off.
    TimerAndCancel,
    /// Sets an interval.
    Interval(Duration),
    /// Sets the idle timeout.
    Idle(Duration),
    Continue(u32),
    Hibernate,
    Monitor(Pid),
    MonitorAndDemonitor(Pid),
    Link(Pid),
    Unlink(Pid),
    Trap(bool),
}
impl HandleCall<Do> for Worker {
    type Reply = ();

    async fn handle_call(&mut self, what: Do, cx: &mut Cx<Self>) {
        let note = || Note(Held::new(7));
        match what {
            Do::Timer(after) => _ = cx.send_after(after, note()),
            Do::TimerAndCancel => {
                let timer = cx.send_after(secs(60), note());
                assert!(cx.read_timer(timer).is_some(), "a timer of a minute has time left");
                assert!(cx.cancel_timer(timer).is_some(), "a timer of a minute has not fired");
                assert!(cx.cancel_timer(timer).is_none(), "it is off");
            },
            Do::Interval(every) => _ = cx.send_interval(every, note()),
            Do::Idle(after) => cx.timeout(after),
            Do::Continue(n) => cx.continue_with(Onward(n, Held::new(8))),
            Do::Hibernate => cx.hibernate(),
            Do::Monitor(pid) => _ = cx.monitor(pid),
            Do::MonitorAndDemonitor(pid) => {
                let monitor = cx.monitor(pid);
                cx.demonitor(monitor);
            },
            Do::Link(pid) => _ = cx.link(pid),
            Do::Unlink(pid) => cx.unlink(pid),
            Do::Trap(on) => _ = cx.trap_exits(on),
        }
    }
}
