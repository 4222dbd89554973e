//! Agents keep the statements of Elixir's suite (A numbers), on every path that their calls can take.

mod common;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::*;
use purlin_core::agent::AgentServer;
use purlin_core::*;

const COUNTER: Agent<i64> = Agent::named("counter");

#[test]
fn a1_the_state_is_made_by_a_function_that_runs_in_the_agent() {
    on_every_path(|me| async move {
        let agent = Agent::start(|| (process::self_pid(), process::whereis("counter"), process::ancestors()))
            .name("counter")
            .await
            .unwrap();
        let (made_in, named, ancestors) = agent.get(Clone::clone).await.unwrap();
        assert_eq!((made_in, named), (agent.pid(), agent.pid()));
        assert_eq!(ancestors, [me.pid()]);
    });
}

#[test]
fn a1_start_link_links_the_agent_with_its_starter() {
    on_every_path(|mut me| async move {
        let (tell, told) = tokio::sync::oneshot::channel();
        let starter = process::spawn(async move |mut mailbox: Mailbox<()>| {
            let agent = Agent::start_link(|| 1).await.unwrap();
            let _ = tell.send(agent.clone());
            mailbox.receive().await;
        });
        let agent = told.await.unwrap();
        assert_eq!(agent.get(|n| *n).await.unwrap(), 1);
        let monitor = me.monitor(agent.pid().unwrap());
        process::exit(starter.pid(), ExitReason::error("gone"));
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::error("gone"));
    });
}

#[test]
fn a2_a_panic_while_the_state_is_made_is_a_failed_start() {
    on_every_path(|_| async move {
        let before = living();
        let error = Agent::<i64>::start(|| planned("no state")).name("counter").await.unwrap_err();
        let StartError::Failed(reason) = error else { panic!("{error}") };
        assert!(is_planned(&reason, "no state"), "{reason}");
        assert_eq!(living(), before);
        assert!(COUNTER.whereis().is_none());
    });
}

#[test]
fn a3_get_runs_in_the_agent_and_returns_what_the_function_does() {
    on_every_path(|me| async move {
        let agent = Agent::start(|| vec![1, 2]).await.unwrap();
        let (pid, len) = agent.get(|list| (process::self_pid(), list.len())).await.unwrap();
        assert_eq!((pid, len), (agent.pid(), 2));
        assert_ne!(agent.pid(), Some(me.pid()));
        assert_eq!(process::self_pid(), Some(me.pid()));
        assert_eq!(agent.get(Clone::clone).await.unwrap(), [1, 2]);
    });
}

#[test]
fn a4_update_sets_the_state_in_the_agent() {
    on_every_path(|_| async move {
        let agent = Agent::start(|| (0, None)).await.unwrap();
        agent.update(|state| *state = (state.0 + 7, process::self_pid())).await.unwrap();
        assert_eq!(agent.get(|state| *state).await.unwrap(), (7, agent.pid()));
    });
}

#[test]
fn a5_get_and_update_returns_the_one_and_stores_the_other() {
    on_every_path(|_| async move {
        let agent = Agent::start(|| 1).await.unwrap();
        let old = agent.get_and_update(|n| std::mem::replace(n, 5)).await.unwrap();
        assert_eq!(old, 1);
        assert_eq!(agent.get(|n| *n).await.unwrap(), 5);
    });
}

#[test]
fn a7_casts_are_done_in_order_with_the_other_operations_of_their_caller() {
    on_every_path(|_| async move {
        Agent::start(Vec::<u32>::new).name("list").await.unwrap();
        let list: Agent<Vec<u32>> = Agent::named("list");
        for round in 0..5 {
            list.cast(move |l| l.push(3 * round));
            list.update(move |l| l.push(3 * round + 1)).await.unwrap();
            list.cast(move |l| l.push(3 * round + 2));
            let seen = list.get(Vec::len).await.unwrap();
            assert_eq!(seen, 3 * (round as usize + 1));
        }
        assert_eq!(list.get(Clone::clone).await.unwrap(), (0..15).collect::<Vec<_>>());
    });
}

#[test]
fn a7_a_cast_waits_for_nothing_and_never_fails() {
    everywhere(|_| async move {
        COUNTER.cast(|n| *n += 1);
        let agent = Agent::start(|| 0_i64).name("counter").await.unwrap();
        sys::suspend(agent.pid().unwrap()).await.unwrap();
        COUNTER.cast(|n| *n += 10);
        sys::resume(agent.pid().unwrap()).await.unwrap();
        assert_eq!(COUNTER.get(|n| *n).await.unwrap(), 10);
    });
}

#[test]
fn a11_stop_returns_when_the_agent_has_ended_and_then_nobody_is_there() {
    on_every_path(|_| async move {
        let log = Log::default();
        let note = DropNote(log.clone(), "dropped");
        let agent = Agent::start(move || note).name("note").await.unwrap();
        agent.stop().await.unwrap();
        assert_eq!(log.all(), ["dropped"]);
        assert!(process::whereis("note").is_none());
        let error = agent.get(|_| ()).await.unwrap_err();
        assert!(error.is_no_proc(), "{error}");
        assert_eq!(agent.stop().await, Err(StopError::NoProc));
        assert_eq!((agent.pid(), agent.whereis().is_none()), (None, true));
    });
}

#[test]
fn a12_a_supervised_agent_comes_back_with_a_new_state() {
    everywhere(|mut me| async move {
        let starts = Arc::new(AtomicUsize::new(0));
        let made = starts.clone();
        let child = Agent::child_spec(move || made.fetch_add(1, Ordering::SeqCst) as i64);
        assert_eq!((child.fields().id.as_str(), child.fields().restart), ("Agent", Restart::Permanent));
        assert_eq!(child.fields().child_type, supervisor::ChildType::Worker);
        let child = child.name("counter");
        assert_eq!(child.fields().id.as_str(), "counter");
        let root = Supervisor::one_for_one().child(child).start_link().await.unwrap();
        COUNTER.update(|n| *n = 100).await.unwrap();
        let first = COUNTER.pid().unwrap();
        // A normal end too: it is permanent.
        COUNTER.stop().await.unwrap();
        ended_normally(&mut me, first).await;
        while COUNTER.whereis().is_none() {
            process::yield_now().await;
        }
        assert_eq!(COUNTER.get(|n| *n).await.unwrap(), 1);
        assert_ne!(COUNTER.pid(), Some(first));
        root.stop().await.unwrap();
    });
}

#[test]
fn a13_a_state_is_changed_through_sys_and_a_panic_there_keeps_it() {
    on_every_path(|_| async move {
        let agent = Agent::start(|| 7).await.unwrap();
        let add = |mut state: AgentServer<i32>| {
            *state += 1;
            state
        };
        assert_eq!(*sys::replace_state(&agent, add).await.unwrap(), 8);
        let failed = sys::replace_state(&agent, |_| planned("no new state")).await;
        assert!(failed.is_err());
        assert_eq!(agent.get(|n| *n).await.unwrap(), 8);
    });
}

#[test]
fn a14_updates_are_atomic_and_one_after_the_other() {
    on_every_path(|mut me| async move {
        let agent = Agent::start(|| (0_u32, 0_u32)).name("pair").await.unwrap();
        let inside = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        for n in 0..6 {
            let (agent, inside) = (agent.clone(), inside.clone());
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                for _ in 0..20 {
                    let inside = inside.clone();
                    let add = move |pair: &mut (u32, u32)| {
                        assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
                        pair.0 += 1;
                        pair.1 = pair.0;
                        inside.store(false, Ordering::SeqCst);
                    };
                    match n % 3 {
                        0 => agent.update(add).await.unwrap(),
                        1 => agent.get_and_update(add).await.unwrap(),
                        _ => agent.cast(add),
                    }
                    let (one, other) = agent.get(|pair| *pair).await.unwrap();
                    assert_eq!(one, other);
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
        assert_eq!(agent.get(|pair| *pair).await.unwrap(), (120, 120));
    });
}

#[test]
fn a15_the_options_of_a_start_hold() {
    on_every_path(|mut me| async move {
        let bound = MailboxBound::new(1, Overflow::Reject);
        let (agent, monitor) =
            Agent::start(|| 0).name("counter").timeout(secs(1)).mailbox(bound).monitor().await.unwrap();
        let pid = agent.pid().unwrap();
        assert_eq!(process::whereis("counter"), Some(pid));
        let taken = Agent::start(|| 0).name("counter").await.unwrap_err();
        assert_eq!(taken, StartError::AlreadyStarted(pid));
        sys::suspend(pid).await.unwrap();
        agent.cast(|n| *n += 1);
        agent.cast(|n| *n += 10);
        sys::resume(pid).await.unwrap();
        assert_eq!(*sys::get_state(&agent).await.unwrap(), 1);
        agent.stop().await.unwrap();
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
    });
}

#[test]
fn a17_the_agents_functions_have_no_callers() {
    on_every_path(|_| async move {
        let agent = Agent::start(process::callers).await.unwrap();
        assert_eq!(agent.get(Clone::clone).await.unwrap(), []);
        assert_eq!(agent.get(|_| process::callers()).await.unwrap(), []);
        assert_eq!(agent.get_and_update(|_| process::callers()).await.unwrap(), []);
    });
}

#[test]
fn a_panic_in_a_function_ends_the_agent_and_its_caller_is_told_why() {
    on_every_path(|mut me| async move {
        for which in 0..4 {
            let (agent, monitor) = Agent::start(|| 0).monitor().await.unwrap();
            let told = match which {
                0 => agent.get(|_| planned("stop")).await.map(|()| 0),
                1 => agent.update(|_| planned("stop")).await.map(|()| 0),
                2 => agent.get_and_update(|_| planned("stop")).await,
                _ => {
                    agent.cast(|_| planned("stop"));
                    Ok(0)
                },
            };
            let reason = down(&mut me, monitor).await.reason;
            assert!(is_planned(&reason, "stop"), "{which}: {reason}");
            match which {
                3 => assert_eq!(told.unwrap(), 0),
                _ => assert!(is_planned(told.unwrap_err().exit_reason().unwrap(), "stop")),
            }
        }
    });
}

#[test]
fn a_deadline_is_kept_and_what_came_too_late_is_done_all_the_same() {
    everywhere(|_| async move {
        let agent = Agent::start(|| 0).await.unwrap();
        sys::suspend(agent.pid().unwrap()).await.unwrap();
        let error = agent.update(|n| *n += 1).timeout(millis(20)).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(error.server().contains("AgentServer"), "{error}");
        sys::resume(agent.pid().unwrap()).await.unwrap();
        assert_eq!(agent.get(|n| *n).infinity().await.unwrap(), 1);
    });
}

#[test]
fn a_state_that_is_not_sync_is_read_by_get_and_update() {
    on_every_path(|_| async move {
        let agent = Agent::start(|| Cell::new(3)).await.unwrap();
        assert_eq!(agent.get_and_update(|cell| cell.replace(4)).await.unwrap(), 3);
        assert_eq!(agent.get_and_update(|cell| cell.get()).await.unwrap(), 4);
    });
}

#[test]
fn an_agent_is_found_by_a_key_of_a_registry() {
    everywhere(|_| async move {
        let registry = Registry::<u32>::unique("agents").start_link().await.unwrap();
        let agent = Agent::start(|| 1).name(registry.via(7)).await.unwrap();
        let by_key: Agent<i32> = registry.via::<AgentServer<i32>>(7).into();
        by_key.update(|n| *n += 1).await.unwrap();
        assert_eq!(by_key.pid(), agent.pid());
        assert_eq!(agent.get(|n| *n).await.unwrap(), 2);
        let by_text: Agent<i32> = Agent::from("nobody".to_owned());
        assert!(by_text.get(|n| *n).await.unwrap_err().is_no_proc());
    });
}

#[test]
fn a_function_that_is_never_run_is_dropped() {
    everywhere(|_| async move {
        let log = Log::default();
        let agent: Agent<i64> = Agent::named("nobody");
        let note = DropNote(log.clone(), "dropped");
        agent.cast(move |_| drop(note));
        let note = DropNote(log.clone(), "called");
        assert!(agent.update(move |_| drop(note)).await.is_err());
        assert_eq!(log.all(), ["dropped", "called"]);
    });
}

#[test]
fn gets_of_two_callers_run_at_the_same_time() {
    run(Run::Real { workers: 2, path: CallPath::Direct }, |mut me| async move {
        let agent = Agent::start(|| Mutex::new(0)).await.unwrap();
        let inside = Arc::new(AtomicUsize::new(0));
        let met = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        for _ in 0..2 {
            let (agent, inside, met) = (agent.clone(), inside.clone(), met.clone());
            let (_, monitor) = process::spawn_monitor(async move |_: Mailbox<()>| {
                // Until both were inside at the same time once.
                while !met.load(Ordering::SeqCst) {
                    let (inside, met) = (inside.clone(), met.clone());
                    let look = move |_: &Mutex<i32>| {
                        inside.fetch_add(1, Ordering::SeqCst);
                        for _ in 0..10_000 {
                            if inside.load(Ordering::SeqCst) == 2 {
                                met.store(true, Ordering::SeqCst);
                            }
                            std::hint::spin_loop();
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                    };
                    agent.get(look).await.unwrap();
                    process::yield_now().await;
                }
            });
            monitors.push(monitor);
        }
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
    });
}
