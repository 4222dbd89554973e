//! What clients do. Each action cleans up after itself, and returns what went against the rules.

use std::future::Future;
use std::pin::Pin;

use purlin_core::supervisor::{Restart, Supervised};
use purlin_core::*;

use super::SLOTS;
use super::client::{Checked, Client, begin, check, until};
use super::ledger::is_true_reason;
use crate::servers::*;

type Doing<'a> = Pin<Box<dyn Future<Output = Checked> + Send + 'a>>;

/// An action that needs no mailbox.
pub(super) type ForAll = for<'a> fn(&'a mut Client) -> Doing<'a>;
/// An action of a process.
pub(super) type ForProcess = for<'a> fn(&'a mut Client, &'a mut Mailbox<AnyMsg>) -> Doing<'a>;

/// What every client may do; twice where it is to happen more often.
pub(super) const FOR_ALL: &[ForAll] = &[
    |c| Box::pin(ask_a_slot(c)),
    |c| Box::pin(ask_a_slot(c)),
    |c| Box::pin(keep_order(c)),
    |c| Box::pin(crash_a_slot(c)),
    |c| Box::pin(short_life(c)),
    |c| Box::pin(short_life(c)),
    |c| Box::pin(killed_under_callers(c)),
    |c| Box::pin(pooled_child(c)),
    |c| Box::pin(give_up(c)),
    |c| Box::pin(bounded(c)),
    |c| Box::pin(timers(c)),
    |c| Box::pin(registered(c)),
    |c| Box::pin(failed_start(c)),
    |c| Box::pin(suspended(c)),
];

/// What only processes may do: whatever sends them something.
pub(super) const FOR_PROCESSES: &[ForProcess] = &[
    |c, m| Box::pin(watched_crash(c, m)),
    |c, m| Box::pin(watched_kill(c, m)),
    |c, m| Box::pin(watched_spawn(c, m)),
    |c, m| Box::pin(watch_a_slot(c, m)),
    |c, m| Box::pin(linked(c, m)),
    |c, m| Box::pin(ping_pong(c, m)),
];

fn slot(c: &mut Client) -> Name<Worker> {
    Name::new(c.random.pick::<&str>(&SLOTS))
}

/// Asks a shared server, by name, in one of the ways there are.
async fn ask_a_slot(c: &mut Client) -> Checked {
    let slot = slot(c);
    for _ in 0..=c.random.below(20) {
        let value = c.value();
        let number = value.value();
        match c.random.below(8) {
            0 => c.echo(number, slot.call(EchoAfter(value, 2))).await?,
            1 => c.echo(number, slot.call(Defer(value, Later::Elsewhere))).await?,
            2 => c.echo(number, slot.call(Defer(value, Later::Before)).infinity()).await?,
            3 | 4 => c.echo(number, slot.call(EchoAsync(value))).await?,
            5 => match c.call(slot.call(Peek)).await {
                Err(error) if !is_true_reason(&error) => return Err(format!("a read: {error}")),
                answer => answer.is_ok(),
            },
            _ => c.echo(number, slot.call(Echo(value))).await?,
        };
    }
    Ok(())
}

/// Casts and calls of one client to one incarnation arrive in order, and once.
async fn keep_order(c: &mut Client) -> Checked {
    let Some(slot) = slot(c).whereis() else { return Ok(()) };
    for _ in 0..10 {
        for _ in 0..c.random.below(5) {
            slot.cast(Mark(c.index, c.world.ledger.number()));
        }
        match c.call(slot.call(Mark(c.index, c.world.ledger.number()))).await {
            Ok(0) => {},
            Ok(n) => return Err(format!("{n} messages out of order")),
            Err(error) => return check(is_true_reason(&error), || format!("a mark: {error}")),
        }
    }
    Ok(())
}

/// Crashes a shared server; its supervisor starts it again.
async fn crash_a_slot(c: &mut Client) -> Checked {
    if !c.random.one_in(4) {
        return Ok(());
    }
    let slot = slot(c);
    let Some(old) = slot.whereis() else { return Ok(()) };
    let ledger = c.world.ledger.clone();
    if c.random.one_in(2) {
        process::exit(old.pid(), ExitReason::Kill);
        ledger.one(&ledger.kills);
    } else {
        let (value, later) = (c.value(), c.random.one_in(2));
        let error = c.call(old.call(Crash(value, later))).await.err().ok_or("a crashing handler answered")?;
        check(is_true_reason(&error), || format!("a crash: {error}"))?;
        ledger.one(&ledger.crashes);
    }
    until("a slot is started again", || slot.whereis().is_some_and(|new| new.pid() != old.pid())).await?;
    ledger.one(&ledger.restarts);
    Ok(())
}

/// A server of one's own: start, a few calls, stop.
async fn short_life(c: &mut Client) -> Checked {
    let one = c.worker().await?;
    for _ in 0..c.random.below(10) {
        let value = c.value();
        let number = value.value();
        let answered = match c.random.below(3) {
            0 => c.echo(number, one.call(EchoAsync(value))).await?,
            1 => c.echo(number, one.call(EchoAfter(value, 1))).await?,
            _ => c.echo(number, one.call(Echo(value))).await?,
        };
        check(answered, || "a server that nobody stops does not answer".to_owned())?;
    }
    one.stop().await.map_err(|error| format!("it does not stop: {error}"))?;
    let error = c.call(one.call(Peek)).await.err().ok_or("a stopped server answers")?;
    check(error.is_no_proc(), || format!("after its stop: {error}"))
}

/// A server that is killed while several processes call it: each call is answered, or fails for that reason.
async fn killed_under_callers(c: &mut Client) -> Checked {
    let one = c.worker().await?;
    let mut callers = Vec::new();
    for i in 0..3 {
        let (one, world) = (one.clone(), c.world.clone());
        let (done, told) = tokio::sync::oneshot::channel();
        let caller = Client::new(world, c.index, super::random::Random::new(c.random.below(u64::MAX), i));
        process::spawn(async move |_: Mailbox<()>| {
            // Whoever asked waits for it.
            let _ = done.send(call_until_it_fails(caller, one).await);
        });
        callers.push(told);
    }
    for _ in 0..c.random.below(10) {
        process::yield_now().await;
    }
    process::exit(one.pid(), ExitReason::Kill);
    c.world.ledger.one(&c.world.ledger.kills);
    for caller in callers {
        caller.await.map_err(|_| "a caller crashed".to_owned())??;
    }
    process::wait(one.pid()).await;
    check(!one.is_alive(), || "a killed server is alive".to_owned())
}

async fn call_until_it_fails(mut c: Client, one: Ref<Worker>) -> Checked {
    loop {
        let value = c.value();
        let number = value.value();
        let call = match c.random.below(4) {
            0 => c.call(one.call(EchoAfter(value, 1))).await,
            1 => c.call(one.call(Defer(value, Later::Elsewhere))).await,
            2 => c.call(one.call(EchoAsync(value))).await,
            _ => c.call(one.call(Echo(value))).await,
        };
        match call {
            Ok(answer) if answer.value() == number => {},
            Ok(answer) => return Err(format!("request {number} was answered with {}", answer.value())),
            Err(error) => {
                let killed = error.is_no_proc() || error.exit_reason() == Some(&ExitReason::Killed);
                return check(killed, || format!("called while it was killed: {error}"));
            },
        }
        process::yield_now().await;
    }
}

/// A child of the dynamic supervisor, by the registry: crash, restart, terminate.
async fn pooled_child(c: &mut Client) -> Checked {
    let ledger = c.world.ledger.clone();
    let name: Name<Worker> = c.world.keys.via(ledger.number());
    let temporary = c.random.one_in(3);
    let restart = if temporary { Restart::Temporary } else { Restart::Permanent };
    let spec = Worker::child_spec(Plan::Run(c.value())).name(&name).restart(restart);
    let mut child = c.world.pool.start_child(spec).await.map_err(|error| format!("no child: {error}"))?;
    for _ in 0..=c.random.below(3) {
        let value = c.value();
        let number = value.value();
        let answered = c.echo(number, name.call(Echo(value))).await?;
        check(answered, || "a child that nobody stops does not answer".to_owned())?;
        if c.random.one_in(2) {
            process::exit(child.pid(), ExitReason::Kill);
            ledger.one(&ledger.kills);
        } else {
            let (value, later) = (c.value(), c.random.one_in(2));
            let text = format!("crash {}", value.value());
            let error = c.call(child.call(Crash(value, later))).await;
            let error = error.err().ok_or("a crashing handler answered")?;
            let told =
                error.exit_reason().and_then(ExitReason::panic_info).is_some_and(|info| info.message == text);
            check(told, || format!("instead of its panic: {error}"))?;
            ledger.one(&ledger.crashes);
        }
        if temporary {
            process::wait(child.pid()).await;
            return check(name.whereis().is_none(), || "a temporary child was started again".to_owned());
        }
        until("a child is started again", || name.whereis().is_some_and(|new| new.pid() != child.pid()))
            .await?;
        ledger.one(&ledger.restarts);
        // It has its name before it has started; terminating it now would be right, but so is waiting for it.
        child = name.whereis().ok_or("a child that nobody stops has gone")?;
        check(c.call(child.call(Peek)).await.is_ok(), || "a restarted child does not answer".to_owned())?;
    }
    let ended = c.world.pool.terminate_child(child.pid()).await;
    ended.map_err(|error| format!("a child is not terminated: {error}"))?;
    check(!child.is_alive() && name.whereis().is_none(), || "a terminated child is there".to_owned())
}

/// Calls and starts that are given up at some point.
async fn give_up(c: &mut Client) -> Checked {
    let one = c.worker().await?;
    for _ in 0..c.random.below(5) {
        c.abandon(one.call(EchoAfter(c.value(), 2)));
        c.abandon(one.call(Defer(c.value(), Later::Elsewhere)));
        c.abandon(one.call(EchoAsync(c.value())));
    }
    let (hang, wait) = (c.value(), c.value());
    let ledger = c.world.ledger.clone();
    let mut hung = Box::pin(one.call(Hang(hang)).timeout(millis(1 + c.random.below(3))));
    let answered = begin(&mut hung);
    check(answered.is_none(), || "a handler that hangs answered".to_owned())?;
    c.abandon(one.call(Echo(wait)));
    let error = c.call(hung).await.err().ok_or("a handler that hangs answered")?;
    check(error.is_timeout(), || format!("instead of a timeout: {error}"))?;
    let mut start = Box::pin(std::future::IntoFuture::into_future(Worker::start(Plan::Hang(c.value()))));
    check(begin(&mut start).is_none(), || "an `init` that hangs returned".to_owned())?;
    drop(start);
    process::exit(one.pid(), ExitReason::Kill);
    ledger.one(&ledger.kills);
    Ok(())
}

/// A server with a small mailbox.
async fn bounded(c: &mut Client) -> Checked {
    let policies = [Overflow::Wait, Overflow::Reject, Overflow::DropOldest, Overflow::DropNewest];
    let overflow = *c.random.pick(&policies);
    let start = Worker::start(Plan::Run(c.value())).mailbox(MailboxBound::new(3, overflow)).await;
    let one = start.map_err(|error| format!("a worker does not start: {error}"))?;
    for _ in 0..c.random.below(20) {
        one.cast(Count(c.value()));
        if c.random.one_in(4) {
            let waited = one.cast_wait(Count(c.value())).await;
            check(waited.is_ok(), || format!("cast_wait with {overflow:?}: {waited:?}"))?;
        }
    }
    let value = c.value();
    match c.call(one.call(Echo(value))).await {
        Ok(_) => {},
        Err(error) if *error.kind() == CallErrorKind::MailboxFull && overflow != Overflow::Wait => {},
        Err(error) => return Err(format!("with {overflow:?}: {error}")),
    }
    if c.random.one_in(2) {
        process::exit(one.pid(), ExitReason::Kill);
        return Ok(());
    }
    one.stop().await.map_err(|error| format!("it does not stop: {error}"))
}

/// Timers that are cancelled, that fire, and that are left behind.
async fn timers(c: &mut Client) -> Checked {
    let one = c.worker().await?;
    let fails = |error: CallError| format!("setting a timer: {error}");
    c.call(one.call(Do::TimerAndCancel)).await.map_err(fails)?;
    c.call(one.call(Do::Timer(secs(60)))).await.map_err(fails)?;
    if c.random.one_in(8) {
        c.call(one.call(Do::Timer(millis(1)))).await.map_err(fails)?;
        c.call(one.call(Do::Interval(millis(1)))).await.map_err(fails)?;
        let begin = Node::current().now();
        while c.call(one.call(Seen)).await.map_err(fails)? < 3 {
            check(Node::current().now() - begin < secs(10), || "timers do not fire".to_owned())?;
            process::sleep(millis(1)).await;
        }
    }
    if c.random.one_in(2) {
        process::exit(one.pid(), ExitReason::custom(1u8));
        process::wait(one.pid()).await;
        return Ok(());
    }
    one.stop().await.map_err(|error| format!("it does not stop: {error}"))
}

/// A process under a key of its own, found while it lives and not after.
async fn registered(c: &mut Client) -> Checked {
    let (key, keys) = (c.world.ledger.number(), c.world.keys.clone());
    let (done, told) = tokio::sync::oneshot::channel();
    let member = process::spawn(async move |mut mailbox: Mailbox<()>| {
        // Whoever asked waits for it.
        let _ = done.send(keys.register(key, ()));
        mailbox.receive().await;
    });
    let outcome = told.await.map_err(|_| "a process that registers crashed".to_owned())?;
    outcome.map_err(|error| format!("a free key is refused: {error}"))?;
    let found = c.world.keys.whereis(&key).map_err(|error| error.to_string())?;
    check(found == Some(member.pid()), || format!("instead of {member:?}: {found:?}"))?;
    if c.random.one_in(2) {
        member.send(());
    } else {
        process::exit(member.pid(), ExitReason::Kill);
    }
    process::wait(member.pid()).await;
    let found = c.world.keys.whereis(&key).map_err(|error| error.to_string())?;
    check(found.is_none(), || format!("a dead process is found: {found:?}"))
}

/// Starts that fail in all the ways there are.
async fn failed_start(c: &mut Client) -> Checked {
    let value = c.value();
    let number = value.value();
    let (plan, wanted) = match c.random.below(3) {
        0 => (Plan::Ignore(value), "the server chose not to start".to_owned()),
        1 => (Plan::Refuse(value), format!("`init` failed: {number}")),
        _ => (Plan::Panic(value), format!("init {number}")),
    };
    match Worker::start(plan).await {
        Ok(_) => Err("a start that must fail did not".to_owned()),
        Err(error) => {
            check(error.to_string().ends_with(&wanted), || format!("instead of {wanted:?}: {error}"))
        },
    }
}

/// A suspended server answers when it is resumed, in order.
async fn suspended(c: &mut Client) -> Checked {
    let one = c.worker().await?;
    sys::suspend(one.pid()).await.map_err(|error| format!("suspend: {error}"))?;
    let value = c.value();
    let number = value.value();
    one.cast(Count(c.value()));
    let mut call = Box::pin(one.call(Echo(value)));
    check(begin(&mut call).is_none(), || "a suspended server answered".to_owned())?;
    sys::resume(one.pid()).await.map_err(|error| format!("resume: {error}"))?;
    check(c.echo(number, call).await?, || "a resumed server does not answer".to_owned())?;
    let state = sys::get_state(&one).await.map_err(|error| format!("get_state: {error}"))?;
    check(state.seen == 1, || format!("it has seen {} instead of 1", state.seen))?;
    drop(state);
    sys::terminate(one.pid(), ExitReason::Shutdown).await.map_err(|error| format!("terminate: {error}"))
}

/// A crash that is heard of by the caller and by two monitors, with the same reason.
async fn watched_crash(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    let one = c.worker().await?;
    let monitors = [mailbox.monitor(one.pid()), mailbox.monitor(one.pid())];
    let off = mailbox.monitor(one.pid());
    check(mailbox.demonitor(off), || "a monitor of a live process was off".to_owned())?;
    let (value, later) = (c.value(), c.random.one_in(2));
    let text = format!("crash {}", value.value());
    let error = c.call(one.call(Crash(value, later))).await.err().ok_or("a crashing handler answered")?;
    c.world.ledger.one(&c.world.ledger.crashes);
    let told = error.exit_reason().and_then(ExitReason::panic_info).is_some_and(|info| info.message == text);
    check(told, || format!("instead of its panic: {error}"))?;
    for monitor in monitors {
        let down = c.down(mailbox, monitor).await?;
        check(Some(&down.reason) == error.exit_reason(), || format!("{error}, but {down:?}"))?;
    }
    let late = mailbox.monitor(one.pid());
    let down = c.down(mailbox, late).await?;
    check(down.reason == ExitReason::NoProc, || format!("of a dead process: {down:?}"))
}

/// A kill that is heard of by a call under way and by a monitor.
async fn watched_kill(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    let one = c.worker().await?;
    let monitor = mailbox.monitor(one.pid());
    let mut call = Box::pin(one.call(Hang(c.value())));
    if c.random.one_in(2) {
        check(begin(&mut call).is_none(), || "a handler that hangs answered".to_owned())?;
    }
    one.cast(Count(c.value()));
    process::exit(one.pid(), ExitReason::Kill);
    c.world.ledger.one(&c.world.ledger.kills);
    check(!one.is_alive(), || "a killed process is alive".to_owned())?;
    let error = c.call(call).await.err().ok_or("a killed server answered")?;
    let killed = error.is_no_proc() || error.exit_reason() == Some(&ExitReason::Killed);
    check(killed, || format!("after a kill: {error}"))?;
    let down = c.down(mailbox, monitor).await?;
    check(down.reason == ExitReason::Killed, || format!("after a kill: {down:?}"))
}

/// Processes that are monitored from before their first step.
async fn watched_spawn(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    for _ in 0..=c.random.below(10) {
        let (value, crash) = (c.value(), c.random.one_in(2));
        let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
            if crash {
                panic!("crash {}", value.value());
            }
        });
        let down = c.down(mailbox, monitor).await?;
        let right = if crash { down.reason.panic_info().is_some() } else { down.reason.is_normal() };
        check(right, || format!("crash: {crash}, but {down:?}"))?;
    }
    Ok(())
}

/// Watches a shared server by name for a while.
async fn watch_a_slot(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    let name = *c.random.pick::<&str>(&SLOTS);
    let monitor = mailbox.monitor(name);
    for _ in 0..c.random.below(50) {
        process::yield_now().await;
    }
    // If it has ended meanwhile, this takes the `Down` out of the mailbox.
    mailbox.demonitor(monitor);
    Ok(())
}

/// Linked processes end together, and whoever traps exits is told once.
async fn linked(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    mailbox.trap_exits(true);
    let crash = c.random.one_in(2);
    let value = c.value();
    let child = process::spawn_link(async move |mut mailbox: Mailbox<()>| {
        let partner = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await);
        mailbox.receive().await;
        if crash {
            panic!("crash {}", value.value());
        }
        process::exit(partner.pid(), ExitReason::custom(2u8));
        std::future::pending::<()>().await;
    });
    child.send(());
    let pick = |message: AnyMsg| match message.downcast::<Exit>() {
        Ok(exit) if exit.from == child.pid() => Ok(exit),
        Ok(exit) => Err(AnyMsg::new(exit)),
        Err(other) => Err(other),
    };
    let exit = mailbox.receive_map_timeout(secs(10), pick).await.ok_or("no exit signal within 10 s")?;
    let right =
        if crash { exit.reason.panic_info().is_some() } else { exit.reason == ExitReason::custom(2u8) };
    mailbox.trap_exits(false);
    check(right, || format!("crash: {crash}, but {exit:?}"))
}

/// Messages between raw processes arrive in order.
async fn ping_pong(c: &mut Client, mailbox: &mut Mailbox<AnyMsg>) -> Checked {
    struct Pong(u64);
    let me = mailbox.address();
    let n = 1 + c.random.below(50);
    let echo = process::spawn(async move |mut mailbox: Mailbox<u64>| {
        for _ in 0..n {
            me.send(Pong(mailbox.receive().await));
        }
    });
    (0..n).for_each(|i| echo.send(i));
    for i in 0..n {
        let Pong(back) = mailbox.receive_as::<Pong>().await;
        check(back == i, || format!("message {back} instead of {i}"))?;
    }
    Ok(())
}
