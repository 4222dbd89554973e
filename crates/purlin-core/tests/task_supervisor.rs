//! A supervisor of tasks starts, bounds, restarts and stops them, and its tasks keep the statements of Elixir's suite (T numbers).

mod common;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::lab::Later;
use common::*;
use purlin_core::process::process_info;
use purlin_core::supervisor::StartRefused;
use purlin_core::*;
use tokio::sync::{mpsc, oneshot};

async fn supervisor() -> TaskSupervisorRef {
    TaskSupervisor::new().start_link().await.unwrap()
}

/// Ends the calling process with this reason.
async fn exit_with<T>(reason: ExitReason) -> T {
    process::exit(process::self_pid().unwrap(), reason);
    pending().await
}

fn crash() -> ExitReason {
    ExitReason::custom("crash")
}

#[test]
fn t64_a_task_is_linked_with_its_owner_and_a_child_of_the_supervisor() {
    on_every_path(async |me: Me| {
        let tasks = supervisor().await;
        let (open, opened) = oneshot::channel::<u32>();
        let begun = async move {
            let info = process_info(process::self_pid().unwrap()).unwrap();
            (opened.await.unwrap(), info)
        };
        let task = tasks.async_link(begun).await.unwrap();
        let pid = task.pid().unwrap();
        assert_eq!(tasks.children().await.unwrap(), [pid]);
        assert!(process_info(me.pid()).unwrap().links.contains(&pid));
        open.send(7).unwrap();
        let (value, info) = task.await.unwrap();
        // All of it is in place before the first step.
        assert_eq!((value, info.callers, info.parent), (7, vec![me.pid()], tasks.pid()));
        assert_eq!(info.ancestors, [tasks.pid().unwrap(), me.pid()]);
        let mut links = info.links;
        links.sort_unstable();
        let mut expected = vec![me.pid(), tasks.pid().unwrap()];
        expected.sort_unstable();
        assert_eq!(links, expected);
        assert_eq!(tasks.children().await.unwrap(), []);
        tasks.stop().await.unwrap();
    });
}

#[test]
fn a_task_of_a_task_has_the_callers_of_both() {
    on_every_path(async |me: Me| {
        let tasks = supervisor().await;
        let (outer, inner) = (me.pid(), tasks.clone());
        let task = tasks
            .async_nolink(async move {
                let me = process::self_pid().unwrap();
                let supervised =
                    inner.async_nolink(async { process::callers() }).await.unwrap().await.unwrap();
                assert_eq!(supervised, [me, outer]);
                let own = Task::async_link(async { process::callers() }).await.unwrap();
                assert_eq!(own, [me, outer]);
            })
            .await
            .unwrap();
        task.await.unwrap();
    });
}

#[test]
fn t65_the_crash_of_a_task_without_a_link_is_told_and_nothing_else() {
    on_every_path(async |mut me: Me| {
        me.trap_exits(true);
        let tasks = supervisor().await;
        let task = tasks
            .async_nolink(async {
                if true {
                    planned("no route")
                }
            })
            .await
            .unwrap();
        let pid = task.pid().unwrap();
        assert!(!process_info(me.pid()).unwrap().links.contains(&pid));
        assert!(is_planned(task.await.unwrap_err().exit_reason().unwrap(), "no route"));
        let mut task = tasks.async_nolink(exit_with::<u8>(crash())).await.unwrap();
        assert_eq!(task.yield_for(secs(60)).await, Some(Err(crash())));
        nothing(&mut me);
        // One with a link is another matter.
        let task = tasks.async_link(exit_with::<u8>(crash())).await.unwrap();
        assert_eq!(task.infinity().await.unwrap_err().exit_reason(), Some(&crash()));
        assert_eq!(next::<Exit>(&mut me).await.reason, crash());
    });
}

#[test]
fn t68_a_supervisor_that_is_full_refuses_tasks_and_drops_their_futures() {
    on_every_path(async |_: Me| {
        let tasks = TaskSupervisor::new().max_children(1).start_link().await.unwrap();
        let first = tasks.async_nolink(pending::<u8>()).await.unwrap();
        let log = Log::default();
        let full = |error: StartChildError| match error {
            StartChildError::Refused(StartRefused::MaxChildren { .. }) => true,
            _ => panic!("{error}"),
        };
        let note = || DropNote(log.clone(), "dropped");
        let run = |note: DropNote| async move {
            let _note = note;
            pending::<()>().await
        };
        assert!(full(tasks.async_link(run(note())).await.unwrap_err()));
        assert!(full(tasks.async_nolink(run(note())).await.unwrap_err()));
        assert!(full(tasks.start_child(run(note())).await.unwrap_err()));
        assert!(full(tasks.start_child_with(Restart::Permanent, pending).await.unwrap_err()));
        assert_eq!(log.all().len(), 3);
        assert_eq!(first.shutdown().await, None);
        // It may take the supervisor a moment to hear of that.
        while !tasks.children().await.unwrap().is_empty() {
            process::yield_now().await;
        }
        let second = tasks.async_nolink(async { 7 }).await.unwrap();
        assert_eq!(second.await.unwrap(), 7);
    });
}

#[test]
fn t69_only_what_is_started_with_a_restart_is_restarted() {
    on_every_path(async |mut me: Me| {
        let tasks = TaskSupervisor::new().max_restarts(100, secs(5)).start_link().await.unwrap();
        let runs = |restart, ends: &'static [fn() -> ExitReason]| {
            let (begun, begins) = mpsc::unbounded_channel();
            let run = Arc::new(AtomicU32::new(0));
            let make = move || {
                let nth = run.fetch_add(1, Ordering::SeqCst) as usize;
                begun.send(process::self_pid()).unwrap();
                async move {
                    match ends.get(nth) {
                        Some(reason) => exit_with(reason()).await,
                        None => pending().await,
                    }
                }
            };
            (tasks.start_child_with(restart, make), begins)
        };
        // Each run is made inside the supervisor, by the same closure.
        let (start, mut begins) = runs(Restart::Transient, &[crash, crash, || ExitReason::Shutdown]);
        let first = start.await.unwrap();
        for _ in 0..3 {
            assert_eq!(begins.recv().await.unwrap(), tasks.pid());
        }
        end_of(&mut me, first).await;
        while !tasks.children().await.unwrap().is_empty() {
            process::yield_now().await;
        }
        let (start, mut begins) = runs(Restart::Permanent, &[|| ExitReason::Normal, || ExitReason::Shutdown]);
        start.await.unwrap();
        for _ in 0..3 {
            begins.recv().await.unwrap();
        }
        let (start, mut begins) = runs(Restart::Temporary, &[crash]);
        let once = start.await.unwrap();
        end_of(&mut me, once).await;
        let twice = tasks.start_child(exit_with(crash())).await.unwrap();
        end_of(&mut me, twice).await;
        end_of(&mut me, tasks.async_nolink(exit_with::<u8>(crash())).await.unwrap().pid().unwrap()).await;
        begins.recv().await.unwrap();
        while tasks.children().await.unwrap().len() > 1 {
            process::yield_now().await;
        }
        assert!(begins.try_recv().is_err());
        tasks.stop().await.unwrap();
    });
}

#[test]
fn t70_a_task_is_given_the_time_it_was_promised_when_the_supervisor_stops() {
    on_every_path(async |mut me: Me| {
        let tasks = supervisor().await;
        let (begun, mut begins) = mpsc::unbounded_channel();
        let stubborn = || {
            let begun = begun.clone();
            async move {
                let mut mailbox = task::mailbox();
                mailbox.trap_exits(true);
                begun.send(()).unwrap();
                mailbox.receive_as::<Exit>().await;
                // Takes its time.
                process::sleep(millis(20)).await;
            }
        };
        let killed = tasks.start_child(stubborn()).shutdown(millis(1)).await.unwrap();
        let brutally = tasks.start_child(stubborn()).shutdown(Shutdown::BrutalKill).await.unwrap();
        let patiently = tasks.start_child(stubborn()).shutdown(Shutdown::Infinity).await.unwrap();
        let again = tasks.start_child_with(Restart::Permanent, pending).shutdown(secs(60)).await.unwrap();
        for _ in 0..3 {
            begins.recv().await.unwrap();
        }
        let monitors = [killed, brutally, patiently, again].map(|pid| me.monitor(pid));
        tasks.stop().await.unwrap();
        let mut reasons = Vec::new();
        for monitor in monitors {
            reasons.push(down(&mut me, monitor).await.reason);
        }
        let expected = [ExitReason::Killed, ExitReason::Killed, ExitReason::Normal, ExitReason::Shutdown];
        assert_eq!(reasons, expected);
    });
}

#[test]
fn t72_children_are_listed_and_terminated_by_pid() {
    on_every_path(async |mut me: Me| {
        let tasks = supervisor().await;
        assert_eq!(tasks.children().await.unwrap(), []);
        let mut pids = Vec::new();
        for _ in 0..3 {
            pids.push(tasks.start_child(pending()).await.unwrap());
        }
        pids.sort_unstable();
        assert_eq!(tasks.children().await.unwrap(), pids);
        let monitor = me.monitor(pids[1]);
        tasks.terminate_child(pids[1]).await.unwrap();
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        assert_eq!(tasks.children().await.unwrap(), [pids[0], pids[2]]);
        for stranger in [pids[1], me.pid()] {
            let error = tasks.terminate_child(stranger).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{stranger} is not a child of this supervisor"));
        }
    });
}

#[test]
fn t74_the_death_of_the_supervisor_ends_the_owners_of_linked_tasks_only() {
    on_every_path(async |mut me: Me| {
        let tasks = TaskSupervisor::new().start().await.unwrap();
        let (told, mut tells) = mpsc::unbounded_channel();
        let owner = |link: bool| {
            let (tasks, told) = (tasks.clone(), told.clone());
            process::spawn(async move |mut mailbox: Mailbox<()>| {
                let task = match link {
                    true => tasks.async_link(pending::<u8>()).await.unwrap(),
                    false => tasks.async_nolink(pending::<u8>()).await.unwrap(),
                };
                told.send(None).unwrap();
                let error = task.infinity().await.unwrap_err();
                told.send(error.exit_reason().cloned()).unwrap();
                mailbox.receive().await;
            })
        };
        let (linked, free) = (owner(true), owner(false));
        for _ in 0..2 {
            assert_eq!(tells.recv().await.unwrap(), None);
        }
        let [linked, free] = [linked.pid(), free.pid()].map(|pid| (pid, me.monitor(pid)));
        process::exit(tasks.pid().unwrap(), ExitReason::Kill);
        assert_eq!(down(&mut me, linked.1).await.reason, ExitReason::Killed);
        // The task has ended as what it was linked with did.
        assert_eq!(tells.recv().await.unwrap(), Some(ExitReason::Killed));
        assert!(process::is_alive(free.0));
        process::send(free.0, ());
        assert!(down(&mut me, free.1).await.reason.is_normal());
    });
}

#[test]
fn a_supervisor_is_found_by_its_name_whichever_it_is() {
    on_every_path(async |_: Me| {
        const TASKS: TaskSupervisorRef = TaskSupervisor::named("tasks");
        assert!(TASKS.pid().is_none());
        let nobody = TASKS.async_link(async {}).await.unwrap_err();
        assert!(matches!(&nobody, StartChildError::Call(error) if error.is_no_proc()), "{nobody}");
        let root =
            Supervisor::one_for_one().child(TaskSupervisor::new().name("tasks")).start_link().await.unwrap();
        assert_eq!(TASKS.async_nolink(async { 7 }).await.unwrap().await.unwrap(), 7);
        let pid = TASKS.start_child(pending()).await.unwrap();
        assert_eq!(TASKS.children().await.unwrap(), [pid]);
        let other = DynamicSupervisor::named("tasks").count_children().await.unwrap_err();
        assert_eq!(*other.kind(), CallErrorKind::WrongType);
        assert_eq!(format!("{TASKS:?}"), "TaskSupervisorRef(\"tasks\")");
        let at_run_time = TaskSupervisorRef::from("tasks".to_owned());
        assert_eq!(at_run_time.pid(), TASKS.pid());
        root.stop().await.unwrap();
        assert!(!process::is_alive(pid));
    });
}

#[test]
fn a_task_whose_owner_has_gone_away_meanwhile_is_not_run() {
    on_every_path(async |mut me: Me| {
        let tasks = supervisor().await;
        let pid = tasks.pid().unwrap();
        let log = Log::default();
        for link in [true, false] {
            sys::suspend(pid).await.unwrap();
            let (tasks, log) = (tasks.clone(), log.clone());
            let (tell, told) = oneshot::channel();
            let asker = process::spawn(async move |_: Mailbox<()>| {
                let run = async move { log.add("run") };
                let mut asked = match link {
                    true => Box::pin(tasks.async_link(run)) as Later<'_, _>,
                    false => Box::pin(tasks.async_nolink(run)),
                };
                assert!(poll_once(&mut asked).await.is_none());
                tell.send(()).unwrap();
                asked.await.map(drop).unwrap();
            });
            told.await.unwrap();
            process::exit(asker.pid(), ExitReason::Kill);
            end_of(&mut me, asker.pid()).await;
            sys::resume(pid).await.unwrap();
            assert_eq!(tasks_len(pid).await, 0);
        }
        assert_eq!(log.all(), Vec::<&str>::new());
    });
}

/// How many tasks the supervisor has once it has done what it was asked to.
async fn tasks_len(pid: Pid) -> usize {
    supervisor::which_children(pid).await.unwrap().len()
}
