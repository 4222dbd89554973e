//! A task computes one value for its owner, and keeps the statements of Elixir's suite about awaiting, yielding and ending (T numbers).

mod common;

use std::future::{IntoFuture, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use common::lab::{Lab, Setup, wait};
use common::*;
use purlin_core::process::process_info;
use purlin_core::supervisor::Shutdown;
use purlin_core::task::OnYieldTimeout;
use purlin_core::*;
use tokio::sync::oneshot;

/// A task that answers when it is told to, with what it is told.
fn gated<T: Send + 'static>() -> (oneshot::Sender<T>, Task<T>) {
    let (open, opened) = oneshot::channel();
    (open, Task::async_link(async move { opened.await.expect("the gate is opened") }))
}

fn stuck() -> Task<u32> {
    Task::async_link(pending())
}

/// Ends the calling process with this reason.
async fn exit_with<T>(reason: ExitReason) -> T {
    process::exit(process::self_pid().unwrap(), reason);
    pending().await
}

fn is_timeout<T: std::fmt::Debug>(answer: &Result<T, TaskError>) -> bool {
    answer.as_ref().is_err_and(TaskError::is_timeout)
}

/// What the first poll of a future panics with.
fn panic_of<T>(future: impl Future<Output = T>) -> String {
    let mut future = pin!(future);
    let polled = catch_unwind(AssertUnwindSafe(|| {
        drop(future.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    }));
    let panic = polled.expect_err("it panics");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&str>().expect("a message")).to_owned(),
    }
}

/// Runs `body` in a process of its own; why that ended.
async fn apart<Fut: Future<Output = ()> + Send>(
    me: &mut Me,
    body: impl FnOnce(Me) -> Fut + Send + 'static,
) -> ExitReason {
    let (go, gone) = oneshot::channel::<()>();
    let process = process::spawn(async move |me: Me| {
        gone.await.unwrap();
        body(me).await;
    });
    let monitor = me.monitor(process.pid());
    go.send(()).unwrap();
    down(me, monitor).await.reason
}

// ---- async and await

#[test]
fn t1_await_gives_the_value_of_any_size() {
    everywhere(async |_: Me| {
        assert_eq!(Task::async_link(async { 6 * 7 }).await.unwrap(), 42);
        assert_eq!(Task::async_link(async { [7u64; 100] }).await.unwrap(), [7; 100]);
        let text = Task::async_link(async {
            process::yield_now().await;
            "text".to_owned()
        });
        assert_eq!(text.infinity().await.unwrap(), "text");
        Task::async_link(async {}).timeout(secs(5)).await.unwrap();
    });
}

#[test]
fn t2_task_and_owner_are_linked_while_it_runs() {
    everywhere(async |me: Me| {
        let (open, task) = gated();
        let pid = task.pid().unwrap();
        assert_eq!(process_info(me.pid()).unwrap().links, [pid]);
        assert_eq!(process_info(pid).unwrap().links, [me.pid()]);
        open.send(1).unwrap();
        assert_eq!(task.await.unwrap(), 1);
        assert_eq!(process_info(me.pid()).unwrap().links, []);
    });
}

#[test]
fn t3_p97_callers_are_the_owner_and_its_callers() {
    everywhere(async |me: Me| {
        let pid = me.pid();
        assert_eq!(process::callers(), []);
        let outer = Task::async_link(async move {
            assert_eq!(process::callers(), [pid]);
            let me = process::self_pid().unwrap();
            let inner = Task::async_link(async move {
                let info = process_info(process::self_pid().unwrap()).unwrap();
                assert_eq!(info.callers, [me, pid]);
                // A process that is no task runs on nobody's behalf.
                let plain = process::spawn(async |_: Mailbox<()>| assert_eq!(process::callers(), []));
                plain.wait().await
            });
            assert!(inner.await.unwrap().is_normal());
            let (tell, told) = oneshot::channel();
            Task::start_link(async move { tell.send(process::callers()).unwrap() });
            assert_eq!(told.await.unwrap(), [me, pid]);
        });
        outer.await.unwrap();
    });
}

#[test]
fn t4_ancestors_are_the_owner_and_its_ancestors_and_reports_call_it_a_task() {
    everywhere(async |me: Me| {
        let mine = process::ancestors();
        let task = Task::async_link(async {
            let info = process_info(process::self_pid().unwrap()).unwrap();
            (info.ancestors, info.initial_call)
        });
        let (ancestors, initial_call) = task.await.unwrap();
        assert_eq!(ancestors, [&[me.pid()], &mine[..]].concat());
        assert_eq!(initial_call, "Task");
    });
}

#[test]
fn t7_a_task_that_exits_normally_has_no_answer() {
    everywhere(async |_: Me| {
        let task = Task::<u32>::async_link(exit_with(ExitReason::Normal));
        assert_eq!(*task.await.unwrap_err().kind(), TaskErrorKind::Exit(ExitReason::Normal));
        // An exit that came first takes the value back.
        let task = Task::async_link(async {
            process::exit(process::self_pid().unwrap(), ExitReason::Normal);
            7
        });
        assert_eq!(task.await.unwrap_err().exit_reason(), Some(&ExitReason::Normal));
    });
}

#[test]
fn t9_t10_a_failed_task_tells_its_reason() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let failed = Task::async_link(async {
            if true {
                planned("no disk")
            }
        })
        .await
        .unwrap_err();
        assert!(is_planned(failed.exit_reason().unwrap(), "no disk"));
        let reason = ExitReason::custom(("quota", 7));
        let exited = Task::<u32>::async_link(exit_with(reason.clone())).await.unwrap_err();
        assert_eq!(exited.exit_reason(), Some(&reason));
        let (open, task) = gated::<u32>();
        process::exit(task.pid().unwrap(), ExitReason::Kill);
        assert_eq!(task.await.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
        drop(open);
        // Who hears of the end has heard of all of it.
        assert!(is_planned(&next::<Exit>(&mut me).await.reason, "no disk"));
        assert_eq!(next::<Exit>(&mut me).await.reason, reason);
        assert_eq!(next::<Exit>(&mut me).await.reason, ExitReason::Killed);
        nothing(&mut me);
    });
}

#[test]
fn t13_only_the_owner_waits_for_a_task() {
    everywhere(async |mut me: Me| {
        let tasks: Vec<Task<u32>> = (0..7).map(|_| stuck()).collect();
        let owner = me.pid();
        let (send, stranger) = oneshot::channel::<Vec<Task<u32>>>();
        let other = process::spawn(async move |me: Me| {
            let mut tasks = stranger.await.unwrap();
            let [a, b, c, d, e] = [(); 5].map(|()| tasks.pop().unwrap());
            let (mut f, mut rest) = (tasks.pop().unwrap(), tasks);
            let pid = a.pid().unwrap();
            let awaited = panic_of(a.into_future());
            assert_eq!(
                awaited,
                format!(
                    "task {pid} belongs to {owner}, which started it, and was awaited by {}: only its owner may do that",
                    me.pid()
                )
            );
            for (message, what) in [
                (panic_of(b.timeout(millis(1))), "awaited"),
                (panic_of(Task::await_many([c])), "awaited"),
                (panic_of(d.shutdown()), "shut down"),
                (panic_of(async { e.ignore() }), "ignored"),
                (panic_of(f.yield_for(millis(1))), "yielded to"),
                (panic_of(Task::yield_many(&mut rest).into_future()), "yielded to"),
            ] {
                assert!(message.contains(what) && message.contains("only its owner"), "{message}");
            }
        });
        send.send(tasks).unwrap();
        ended_normally(&mut me, other.pid()).await;
        // Outside every process nobody else can be meant.
        let task = Task::completed(7);
        let outside = tokio::spawn(async move { panic_of(task.into_future()) }).await.unwrap();
        assert!(outside.contains("outside every process"), "{outside}");
    });
    let (runtime, node) = prepare(Run::Real { workers: 2, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = node.start();
        let task = node.scope(async { Task::async_link(async { process::callers() }) }).await;
        assert_eq!(tokio::spawn(task.into_future()).await.unwrap().unwrap(), []);
        node.shutdown().await;
    });
}

#[test]
fn t15_a_crash_of_a_task_is_reported_and_a_clean_end_is_not() {
    for (reason, reported) in [
        (ExitReason::custom("crash"), 1),
        (ExitReason::Normal, 0),
        (ExitReason::Shutdown, 0),
        (ExitReason::shutdown_with("moved"), 0),
    ] {
        let events = Events::default();
        events.during(|| {
            run(Run::Simulated { seed: 1, path: CallPath::Adaptive }, move |mut me: Me| {
                let task = exit_with::<u32>(reason.clone());
                async move {
                    me.trap_exits(true);
                    assert!(Task::async_link(task).await.is_err());
                }
            });
        });
        let crashes = events.take("purlin::crash");
        assert_eq!(crashes.iter().filter(|crash| crash.contains("server=\"Task\"")).count(), reported);
    }
}

#[test]
fn t16_t17_the_end_of_a_task_ends_an_owner_that_does_not_trap_exits() {
    everywhere(async |mut me: Me| {
        for reason in [ExitReason::custom("crash"), ExitReason::Shutdown, ExitReason::shutdown_with(7)] {
            let theirs = reason.clone();
            let ended = apart(&mut me, async move |_: Me| {
                // It is not even awaited.
                let _task = Task::<u32>::async_link(exit_with(theirs));
                pending().await
            });
            assert_eq!(ended.await, reason);
        }
        // And the other way round.
        let (tell, told) = oneshot::channel();
        let ended = apart(&mut me, async move |_: Me| {
            let task = stuck();
            tell.send(task.pid().unwrap()).unwrap();
            exit_with(ExitReason::custom("owner")).await
        });
        assert_eq!(ended.await, ExitReason::custom("owner"));
        let task = told.await.unwrap();
        end_of(&mut me, task).await;
        assert!(!process::is_alive(task));
    });
}

#[test]
fn an_awaited_task_has_ended_with_all_that_it_owned() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let log = Log::default();
        let note = DropNote(log.clone(), "dropped");
        let task = Task::async_link(async move {
            process::register("worker", process::self_pid().unwrap()).unwrap();
            let _note = note;
            process::yield_now().await;
        });
        let pid = task.pid().unwrap();
        task.await.unwrap();
        assert_eq!((log.all(), process::whereis("worker")), (vec!["dropped"], None));
        assert!(process_info(pid).is_none());
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: pid, reason: ExitReason::Normal });
        nothing(&mut me);
    });
}

#[test]
fn a_task_that_is_late_is_given_up_and_goes_on() {
    everywhere(async |mut me: Me| {
        let log = Log::default();
        let note = DropNote(log.clone(), "answer");
        let (open, opened) = oneshot::channel();
        let task = Task::async_link(async move {
            opened.await.unwrap();
            note
        });
        let pid = task.pid().unwrap();
        let error = task.timeout(millis(3)).await.map(drop).unwrap_err();
        assert!(error.is_timeout() && error.pid() == Some(pid) && error.elapsed() >= millis(3));
        assert!(
            error
                .to_string()
                .starts_with(&format!("task {pid}, awaited at crates/purlin-core/tests/task.rs:"))
        );
        assert!(error.to_string().contains("no answer after "));
        assert!(process::is_alive(pid) && process_info(me.pid()).unwrap().links == [pid]);
        let monitor = me.monitor(pid);
        open.send(()).unwrap();
        assert!(down(&mut me, monitor).await.reason.is_normal());
        // The answer that nobody wants is dropped with the process, and comes nowhere.
        while log.all().is_empty() {
            process::yield_now().await;
        }
        nothing(&mut me);
    });
}

#[test]
fn an_await_waits_for_five_seconds_unless_it_is_told_otherwise() {
    in_simulation(async |_: Me| {
        let now = || Node::current().now();
        let begin = now();
        assert!(is_timeout(&stuck().await));
        assert_eq!((now() - begin).as_secs(), 5);
        let begin = now();
        assert!(is_timeout(&Task::await_many([stuck(), stuck()]).await));
        assert_eq!(Task::yield_many(&mut [stuck()]).await, [None]);
        assert_eq!((now() - begin).as_secs(), 10);
        let slow = || Task::async_link(process::sleep(secs(3600)));
        slow().infinity().await.unwrap();
        Task::await_many([slow(), slow()]).infinity().await.unwrap();
        assert!(is_timeout(&slow().timeout(secs(3599)).await));
    });
}

#[test]
fn a_task_and_an_owner_that_wait_for_each_other_are_told_so_at_once() {
    on_every_path(async |_: Me| {
        let server = Lab::start(Setup::default()).await.unwrap();
        let this = server.clone();
        let (error, begun) = server
            .call(wait(move |_, _| {
                Box::pin(async move {
                    let begun = Node::current().now();
                    let task = Task::async_link(async move { this.call(lab_get()).await });
                    (task.await, begun)
                })
            }))
            .infinity()
            .await
            .unwrap();
        // Whoever closes the ring hears of it: the task from its call, or the owner from its await.
        let told = match &error {
            Ok(Err(call)) => matches!(call.kind(), CallErrorKind::Deadlock(ring) if ring.len() == 2),
            Err(error) => matches!(error.kind(), TaskErrorKind::Deadlock(ring) if ring.len() == 2),
            Ok(Ok(_)) => false,
        };
        assert!(told, "{error:?}");
        assert!(Node::current().now() - begun < secs(5));
        server.stop().await.unwrap();
    });
}

fn lab_get() -> common::lab::Add {
    common::lab::Add(1)
}

#[test]
fn the_error_of_an_await_ends_a_server_that_passes_it_on() {
    everywhere(async |mut me: Me| {
        let server = Lab::start(Setup::default()).await.unwrap();
        let monitor = me.monitor(server.pid());
        let crash = async {
            stuck().timeout(millis(1)).await?;
            Ok::<i64, Crash>(7)
        };
        let crash = crash.await.unwrap_err();
        server.call(common::lab::Answer(Err(crash))).await.unwrap_err();
        let reason = down(&mut me, monitor).await.reason;
        let error =
            reason.term().and_then(Term::as_error).and_then(|error| error.downcast_ref::<TaskError>());
        assert!(error.is_some_and(TaskError::is_timeout), "{reason}");
    });
}

#[test]
fn the_mailbox_of_a_task_is_taken_once_and_only_inside() {
    everywhere(async |_: Me| {
        let outside = panic_of(async { drop(task::mailbox()) }.into_future());
        assert!(outside.contains("for the code of a task"), "{outside}");
        let task = Task::async_link(async {
            let mut mailbox = task::mailbox();
            let again = panic_of(async { drop(task::mailbox()) });
            (mailbox.receive_as::<u32>().await, again)
        });
        process::send(task.pid().unwrap(), 7u32);
        let (number, again) = task.await.unwrap();
        assert_eq!(number, 7);
        assert!(again.contains("has taken its mailbox before"), "{again}");
    });
}

#[test]
fn a_task_on_a_node_that_is_down_ends_before_its_first_step() {
    let (runtime, node) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = node.start();
        node.shutdown().await;
        let task = node.scope(async { Task::async_link(async { 7 }) }).await;
        assert_eq!(task.await.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
    });
}

// ---- await_many

#[test]
fn t18_results_come_in_the_order_of_the_tasks() {
    everywhere(async |_: Me| {
        let (open, slow) = gated();
        let quick = Task::async_link(async move {
            open.send(1).unwrap();
            2
        });
        let tasks = [slow, quick, Task::completed(3)];
        assert_eq!(Task::await_many(tasks).await.unwrap(), [1, 2, 3]);
    });
}

#[test]
fn t19_no_tasks_are_done_at_once() {
    everywhere(async |_: Me| {
        let before = Node::current().now();
        assert_eq!(Task::<u8>::await_many([]).infinity().await.unwrap(), []);
        assert_eq!(Task::<u8>::await_many(Vec::new()).timeout(secs(0)).await.unwrap(), []);
        assert_eq!(Task::<u8>::yield_many(&mut []).await, []);
        assert!(Node::current().now() - before < secs(5));
    });
}

#[test]
fn t20_other_messages_stay_in_the_mailbox() {
    everywhere(async |mut me: Me| {
        let pid = me.pid();
        process::send(pid, 1u8);
        let tasks: Vec<_> =
            (2..5u8).map(|n| Task::async_link(async move { process::send(pid, n) })).collect();
        Task::await_many(tasks).await.unwrap();
        Task::async_link(async move { process::send(pid, 5u8) }).await.unwrap();
        let mut received: Vec<u8> = Vec::new();
        while let Some(message) = me.try_receive() {
            received.push(message.downcast().unwrap());
        }
        assert_eq!((received[0], received[4]), (1, 5));
        received.sort_unstable();
        assert_eq!(received, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn t21_the_first_failure_ends_the_wait_at_once() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let failing = Task::async_link(async {
            if true {
                planned("third")
            }
            0
        });
        let pid = failing.pid();
        let left = [stuck(), stuck()];
        let pids = [left[0].pid().unwrap(), left[1].pid().unwrap()];
        let [a, b] = left;
        let error = Task::await_many([a, b, failing]).infinity().await.unwrap_err();
        assert!(is_planned(error.exit_reason().unwrap(), "third"));
        assert_eq!(error.pid(), pid);
        assert!(pids.iter().all(|pid| process::is_alive(*pid)));
    });
}

#[test]
fn t22_t23_all_of_them_have_one_deadline_which_leaves_nothing_in_the_mailbox() {
    everywhere(async |mut me: Me| {
        let (open, late) = gated();
        let pid = late.pid();
        let error =
            Task::await_many([Task::completed(1), late, stuck()]).timeout(millis(4)).await.unwrap_err();
        assert!(error.is_timeout() && error.pid() == pid);
        open.send(2).unwrap();
        ended_normally(&mut me, pid.unwrap()).await;
        assert_eq!(Task::await_many([Task::async_link(async { 7 })]).timeout(secs(60)).await.unwrap(), [7]);
        assert!(stuck().timeout(millis(1)).await.is_err());
        nothing(&mut me);
        assert!(is_timeout(&Task::await_many([stuck()]).timeout(secs(0)).await));
    });
    in_simulation(async |_: Me| {
        // The time of one does not begin when another one's is over.
        let sleeping = |n| Task::async_link(process::sleep(secs(n)));
        let begin = Node::current().now();
        assert!(is_timeout(
            &Task::await_many([sleeping(3), sleeping(6), sleeping(9)]).timeout(secs(8)).await
        ));
        assert_eq!((Node::current().now() - begin).as_secs(), 8);
    });
}

// ---- yield

#[test]
fn t24_a_yield_that_is_too_early_leaves_all_as_it_was() {
    everywhere(async |mut me: Me| {
        let (open, mut task) = gated();
        assert_eq!(task.yield_for(millis(2)).await, None);
        assert_eq!(task.yield_for(secs(0)).await, None);
        let pid = task.pid().unwrap();
        assert_eq!(process_info(me.pid()).unwrap().links, [pid]);
        open.send(7).unwrap();
        assert_eq!(task.yield_for(secs(60)).await, Some(Ok(7)));
        // The answer is given once.
        assert_eq!(task.yield_for(secs(60)).await, None);
        assert_eq!(*task.await.unwrap_err().kind(), TaskErrorKind::Taken);
        nothing(&mut me);
    });
}

#[test]
fn t25_a_yield_tells_of_a_normal_exit_without_an_answer() {
    everywhere(async |_: Me| {
        let mut task = Task::<u8>::async_link(exit_with(ExitReason::Normal));
        assert_eq!(task.yield_for(secs(60)).await, Some(Err(ExitReason::Normal)));
    });
}

#[test]
fn t26_t31_yield_many_waits_for_all_or_until_the_time_is_over() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let mut tasks = [
            Task::async_link(async { 1 }),
            Task::async_link(exit_with(ExitReason::custom("two"))),
            Task::completed(3),
        ];
        let all = [Some(Ok(1)), Some(Err(ExitReason::custom("two"))), Some(Ok(3))];
        assert_eq!(Task::yield_many(&mut tasks).infinity().await, all);
        let (open, late) = gated();
        let mut tasks = vec![Task::async_link(async { 1 }), late];
        while tasks[0].pid().is_some_and(process::is_alive) {
            process::yield_now().await;
        }
        assert_eq!(Task::yield_many(&mut tasks).timeout(millis(20)).await, [Some(Ok(1)), None]);
        open.send(2).unwrap();
        assert_eq!(Task::yield_many(&mut tasks).infinity().await, [None, Some(Ok(2))]);
    });
}

#[test]
fn t27_t28_yield_many_comes_back_with_as_many_answers_as_were_asked_for() {
    everywhere(async |_: Me| {
        let (open, last) = gated();
        let mut tasks = [stuck(), Task::async_link(async { 2 }), last];
        let begin = Node::current().now();
        let one = Task::yield_many(&mut tasks).limit(1).on_timeout(OnYieldTimeout::KillTask).infinity().await;
        assert_eq!(one, [None, Some(Ok(2)), None]);
        open.send(3).unwrap();
        let asked = Task::yield_many(&mut tasks[1..]).limit(7).infinity().await;
        assert_eq!(asked, [None, Some(Ok(3))]);
        assert!(process::is_alive(tasks[0].pid().unwrap()));
        assert_eq!(Task::yield_many(&mut tasks).limit(0).infinity().await, [None, None, None]);
        assert!(Node::current().now() - begin < secs(60));
    });
}

#[test]
fn t29_yield_many_kills_what_is_late_if_it_is_told_to() {
    everywhere(async |mut me: Me| {
        let mut tasks = [stuck(), Task::async_link(async { 2 })];
        let monitor = me.monitor(tasks[0].pid().unwrap());
        while tasks[1].pid().is_some_and(process::is_alive) {
            process::yield_now().await;
        }
        let answers =
            Task::yield_many(&mut tasks).timeout(millis(3)).on_timeout(OnYieldTimeout::KillTask).await;
        assert_eq!(answers, [None, Some(Ok(2))]);
        assert_eq!(next::<Down>(&mut me).await.monitor, monitor);
        // Or lets it go.
        let (open, late) = gated::<u32>();
        let pid = late.pid().unwrap();
        let mut tasks = [late];
        let ignored =
            Task::yield_many(&mut tasks).timeout(millis(3)).on_timeout(OnYieldTimeout::Ignore).await;
        assert_eq!(ignored, [None]);
        assert!(process_info(me.pid()).unwrap().links.is_empty());
        let monitor = me.monitor(pid);
        process::exit(pid, ExitReason::custom("crash"));
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::custom("crash"));
        drop(open);
        assert_eq!(tasks[0].yield_for(secs(60)).await, None);
    });
}

// ---- shutdown and ignore

#[test]
fn t33_shutdown_ends_a_task_and_is_no_news() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let log = Log::default();
        for how in [Shutdown::BrutalKill, Shutdown::Timeout(secs(60)), Shutdown::Infinity] {
            let note = DropNote(log.clone(), "dropped");
            let task = Task::async_link(async move {
                let _note = note;
                pending::<u8>().await
            });
            let pid = task.pid().unwrap();
            let monitor = me.monitor(pid);
            assert_eq!(task.shutdown_with(how).await, None);
            assert!(process_info(pid).is_none());
            let reason = next::<Down>(&mut me).await.reason;
            let expected =
                if how == Shutdown::BrutalKill { ExitReason::Killed } else { ExitReason::Shutdown };
            assert_eq!(reason, expected);
            me.demonitor(monitor);
            // The owner, which traps exits, hears nothing of it.
            nothing(&mut me);
        }
        assert_eq!(log.all().len(), 3);
        assert_eq!(stuck().shutdown().await, None);
    });
}

#[test]
fn t35_shutdown_tells_how_a_task_ended_that_had_ended_before() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let crash = ExitReason::custom("crash");
        for (reason, how, told) in [
            (ExitReason::Shutdown, Shutdown::Infinity, None),
            (ExitReason::Shutdown, Shutdown::BrutalKill, Some(Err(ExitReason::Shutdown))),
            (ExitReason::Normal, Shutdown::Infinity, Some(Err(ExitReason::Normal))),
            (crash.clone(), Shutdown::Timeout(secs(5)), Some(Err(crash.clone()))),
            (ExitReason::Kill, Shutdown::BrutalKill, None),
            (ExitReason::Kill, Shutdown::Infinity, Some(Err(ExitReason::Killed))),
        ] {
            let task = Task::<u8>::async_link(exit_with(reason));
            while process::is_alive(task.pid().unwrap()) {
                process::yield_now().await;
            }
            assert_eq!(task.shutdown_with(how).await, told);
        }
        let task = Task::async_link(async { 7 });
        while process::is_alive(task.pid().unwrap()) {
            process::yield_now().await;
        }
        assert_eq!(task.shutdown().await, Some(Ok(7)));
    });
}

#[test]
fn t38_a_task_that_does_not_shut_down_in_time_is_killed() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let trapping = || async {
            let (tell, told) = oneshot::channel();
            let task = Task::async_link(async move {
                let mut mailbox = task::mailbox();
                mailbox.trap_exits(true);
                tell.send(()).unwrap();
                mailbox.receive_as::<Exit>().await;
                mailbox.receive_as::<u32>().await
            });
            told.await.unwrap();
            task
        };
        let task = trapping().await;
        assert_eq!(task.shutdown_with(millis(3)).await, Some(Err(ExitReason::Killed)));
        let task = trapping().await;
        // One that makes use of its time still answers.
        process::send(task.pid().unwrap(), 7u32);
        assert_eq!(task.shutdown().await, Some(Ok(7)));
        let task = trapping().await;
        assert_eq!(task.shutdown_with(Shutdown::BrutalKill).await, None);
        nothing(&mut me);
    });
}

#[test]
fn t42_a_completed_task_answers_whatever_is_asked() {
    everywhere(async |_: Me| {
        assert_eq!(Task::completed(1).await.unwrap(), 1);
        assert_eq!(Task::completed(2).shutdown().await, Some(Ok(2)));
        assert_eq!(Task::completed(3).shutdown_with(Shutdown::BrutalKill).await, Some(Ok(3)));
        assert_eq!(Task::completed(4).yield_for(secs(0)).await, Some(Ok(4)));
        assert_eq!(Task::completed(5).ignore(), Some(Ok(5)));
        assert_eq!(Task::completed(6).pid(), None);
    });
}

#[test]
fn t44_ignore_gives_what_is_there() {
    in_simulation(async |mut me: Me| {
        me.trap_exits(true);
        let done = Task::async_link(async { 7 });
        let exited = Task::<u8>::async_link(exit_with(ExitReason::custom("crash")));
        for pid in [done.pid().unwrap(), exited.pid().unwrap()] {
            while process::processes().contains(&pid) {
                process::yield_now().await;
            }
        }
        assert_eq!(done.ignore(), Some(Ok(7)));
        assert_eq!(exited.ignore(), Some(Err(ExitReason::custom("crash"))));
    });
}

#[test]
fn t44_an_answer_that_comes_after_ignore_is_dropped() {
    everywhere(async |mut me: Me| {
        let log = Log::default();
        let (open, opened) = oneshot::channel();
        let note = DropNote(log.clone(), "answer");
        let late = Task::async_link(async move {
            opened.await.unwrap();
            note
        });
        let pid = late.pid().unwrap();
        assert!(late.ignore().is_none());
        assert!(process::is_alive(pid));
        open.send(()).unwrap();
        ended_normally(&mut me, pid).await;
        while log.all().is_empty() {
            process::yield_now().await;
        }
        nothing(&mut me);
    });
}

#[test]
fn t46_the_failure_of_an_ignored_task_harms_nobody() {
    everywhere(async |mut me: Me| {
        let (open, task) = gated::<u8>();
        let pid = task.pid().unwrap();
        assert_eq!(task.ignore(), None);
        assert_eq!(process_info(pid).unwrap().links, []);
        process::exit(pid, ExitReason::custom("crash"));
        end_of(&mut me, pid).await;
        drop(open);
    });
}

// ---- start

#[test]
fn a_task_that_nobody_waits_for_is_linked_only_if_it_is_started_so() {
    everywhere(async |mut me: Me| {
        let done = Arc::new(AtomicBool::new(false));
        let mark = done.clone();
        let pid = Task::start(async move { mark.store(true, Ordering::SeqCst) });
        ended_normally(&mut me, pid).await;
        assert!(done.load(Ordering::SeqCst));
        end_of(&mut me, Task::start(async { planned("alone") })).await;
        let ended = apart(&mut me, async |_: Me| {
            Task::start_link(async { planned("together") });
            pending().await
        });
        assert!(is_planned(&ended.await, "together"));
    });
}
