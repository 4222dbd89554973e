//! A node stops in order and within one time limit for all of its processes, and everybody can tell that it does.

mod common;

use std::sync::mpsc;

use common::lab::{Lab, Setup};
use common::*;
use purlin_core::telemetry::events;
use purlin_core::*;

const RUNS: [Run; 4] = [
    Run::Simulated { seed: 1, path: CallPath::Adaptive },
    Run::Simulated { seed: 2, path: CallPath::Queued },
    Run::Real { workers: 1, path: CallPath::Adaptive },
    Run::Real { workers: 2, path: CallPath::Adaptive },
];

/// Runs `test` on a fresh node of each kind, outside every process: a process cannot stop its own node.
fn outside<Fut: Future<Output = ()>>(runs: &[Run], test: impl Fn(Node) -> Fut) {
    for run in runs {
        let (runtime, builder) = prepare(*run);
        runtime.block_on(async {
            let node = builder.start();
            node.scope(test(node.clone())).await;
        });
    }
}

/// Simulated runs: time is virtual.
const SIMULATED: &[Run] = RUNS.split_at(2).0;

/// A server that logs `name` when it is asked to end, and never does.
fn stubborn(name: &'static str, log: &Log<&'static str>) -> Setup {
    let note = DropNote(log.clone(), name);
    Setup { trap: true, on_drop: Some(note), ..Setup::default() }
        .terminate(|_, _| Box::pin(std::future::pending()))
}

/// A server that logs `name` in `terminate`.
fn orderly(name: &'static str, log: &Log<&'static str>) -> Setup {
    let log = log.clone();
    Setup { trap: true, ..Setup::default() }.terminate(move |_, _| {
        log.add(name);
        Box::pin(async {})
    })
}

/// The `killed` of each end of the node.
fn ends(node: &Node) -> Log<u64> {
    let log = Log::default();
    let seen = log.clone();
    node.telemetry()
        .attach("ends", events::NODE_STOP, move |event| {
            seen.add(event.measurements.u64("killed").expect("an end tells how many were killed"));
        })
        .unwrap();
    log
}

#[test]
fn all_stubborn_processes_together_get_one_grace_and_are_killed_then() {
    outside(SIMULATED, async |node| {
        let (log, ends) = (Log::default(), ends(&node));
        for _ in 0..5 {
            Lab::start(stubborn("killed", &log)).await.unwrap();
        }
        let begin = node.now();
        node.shutdown_within(secs(10)).await;
        let took = node.now() - begin;
        assert!(took >= secs(10) && took < secs(11), "{took:?}");
        assert_eq!(log.all(), ["killed"; 5]);
        assert_eq!(ends.all(), [5]);
        assert_eq!(node.stats().processes, 0);
    });
}

#[test]
fn without_a_limit_given_the_grace_is_30_seconds() {
    outside(SIMULATED, async |node| {
        let log = Log::default();
        for _ in 0..2 {
            Lab::start(stubborn("killed", &log)).await.unwrap();
        }
        let begin = node.now();
        node.shutdown().await;
        let took = node.now() - begin;
        assert!(took >= secs(30) && took < secs(31), "{took:?}");
    });
}

#[test]
fn processes_at_the_top_are_asked_one_after_another_in_the_reverse_order_of_their_start() {
    outside(&RUNS, async |node| {
        let (log, ends) = (Log::default(), ends(&node));
        for name in ["first", "second", "third"] {
            Lab::start(orderly(name, &log)).await.unwrap();
        }
        node.shutdown().await;
        assert_eq!(log.all(), ["third", "second", "first"]);
        assert_eq!(ends.all(), [0]);
    });
}

#[test]
fn each_supervisor_at_the_top_stops_its_children_in_reverse_order_before_the_next_one_is_asked() {
    outside(&RUNS, async |node| {
        let log = Log::default();
        for names in [["a1", "a2"], ["b1", "b2"]] {
            let log = log.clone();
            let child = move |name: &'static str| {
                let log = log.clone();
                Lab::child_spec_with(move || orderly(name, &log)).id(name)
            };
            Supervisor::one_for_one().children(names.map(child)).start_link().await.unwrap();
        }
        node.shutdown().await;
        assert_eq!(log.all(), ["b2", "b1", "a2", "a1"]);
    });
}

#[test]
fn who_is_not_asked_in_time_because_of_another_one_is_killed_without_terminate() {
    outside(SIMULATED, async |node| {
        let (log, ends) = (Log::default(), ends(&node));
        Lab::start(orderly("terminated", &log)).await.unwrap();
        Lab::start(stubborn("killed", &log)).await.unwrap();
        node.shutdown_within(secs(1)).await;
        assert_eq!(log.all(), ["killed"]);
        assert_eq!(ends.all(), [2]);
    });
}

#[test]
fn a_process_that_another_one_starts_while_it_ends_is_stopped_as_well() {
    outside(&RUNS, async |node| {
        let log = Log::default();
        let late = log.clone();
        let setup = Setup { trap: true, ..Setup::default() }.terminate(move |_, _| {
            Box::pin(async move {
                let setup = Setup { on_drop: Some(DropNote(late, "late")), ..Setup::default() };
                Lab::start(setup).await.unwrap();
            })
        });
        Lab::start(setup).await.unwrap();
        node.shutdown().await;
        assert_eq!(log.all(), ["late"]);
        assert_eq!(node.stats().processes, 0);
    });
}

#[test]
fn a_process_that_blocks_its_thread_is_left_behind() {
    outside(&[Run::Real { workers: 2, path: CallPath::Adaptive }], async |node| {
        let ends = ends(&node);
        let (release, released) = mpsc::channel::<()>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let blocking = process::spawn(async move |_: Mailbox<()>| {
            tell.send(()).unwrap();
            let _ = released.recv();
        });
        told.await.unwrap();
        node.shutdown_within(secs(0)).await;
        assert_eq!(ends.all(), [1]);
        // From now on it is as if it had never been told to go on.
        drop(release);
        assert_eq!(blocking.wait().await, ExitReason::Killed);
    });
}

#[test]
fn a_node_is_stopping_from_before_any_process_is_asked_to_end() {
    outside(&RUNS, async |node| {
        let log = Log::default();
        let (seen, asked) = (log.clone(), node.clone());
        let setup = Setup { trap: true, ..Setup::default() }.terminate(move |_, _| {
            seen.add(asked.is_stopping());
            Box::pin(async {})
        });
        Lab::start(setup).await.unwrap();
        assert!(!node.is_stopping());
        node.shutdown().await;
        assert_eq!(log.all(), [true]);
        assert!(node.is_stopping());
    });
}

#[test]
fn whoever_waits_for_a_node_to_be_stopping_hears_it_before_the_processes_have_ended() {
    outside(&RUNS, async |node| {
        let mut early = Box::pin(node.stopping());
        assert_eq!(poll_once(&mut early).await, None);
        drop(node.stopping());
        let unpolled = node.stopping();
        // It ends only when both have heard it.
        let setup = Setup { trap: true, ..Setup::default() }.terminate(move |_, _| {
            Box::pin(async move {
                early.await;
                unpolled.await;
            })
        });
        let server = Lab::start(setup).await.unwrap();
        node.shutdown().await;
        assert!(!server.is_alive());
        node.stopping().await;
    });
}

#[test]
fn a_second_call_waits_for_the_end_of_the_first_and_the_node_ends_once() {
    outside(&RUNS, async |node| {
        let (log, ends) = (Log::default(), ends(&node));
        let go = std::sync::Arc::new(tokio::sync::Notify::new());
        let (heard, released) = (log.clone(), go.clone());
        let setup = Setup { trap: true, ..Setup::default() }.terminate(move |_, _| {
            Box::pin(async move {
                heard.add("asked");
                released.notified().await;
            })
        });
        let server = Lab::start(setup).await.unwrap();
        let (mut first, mut second) = (Box::pin(node.shutdown()), Box::pin(node.shutdown()));
        assert_eq!(poll_once(&mut first).await, None);
        assert_eq!(poll_once(&mut second).await, None);
        go.notify_one();
        second_after_first(first, second).await;
        assert!(!server.is_alive());
        assert_eq!((log.all(), ends.all()), (vec!["asked"], vec![0]));
    });
}

/// Awaits both; the second one must not be done before the first.
async fn second_after_first(
    mut first: std::pin::Pin<Box<impl Future<Output = ()>>>,
    mut second: std::pin::Pin<Box<impl Future<Output = ()>>>,
) {
    let mut first_done = false;
    std::future::poll_fn(|cx| {
        if second.as_mut().poll(cx).is_ready() {
            assert!(first_done, "the second call is done, and the first is not");
            return std::task::Poll::Ready(());
        }
        first_done = first_done || first.as_mut().poll(cx).is_ready();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn a_call_that_is_dropped_leaves_its_work_to_the_next_one() {
    outside(&RUNS, async |node| {
        let ends = ends(&node);
        let log = Log::default();
        Lab::start(orderly("terminated", &log)).await.unwrap();
        let mut first = Box::pin(node.shutdown());
        let _ = poll_once(&mut first).await;
        drop(first);
        node.shutdown().await;
        assert_eq!((log.all(), ends.all()), (vec!["terminated"], vec![0]));
        assert_eq!(node.stats().processes, 0);
    });
}

#[test]
fn a_process_spawned_from_outside_while_the_node_stops_is_killed_and_does_not_hold_it_up() {
    outside(SIMULATED, async |node| {
        let log = Log::default();
        Lab::start(stubborn("killed", &log)).await.unwrap();
        let begin = node.now();
        let late = async {
            node.stopping().await;
            let late = process::spawn(async |_: Mailbox<()>| std::future::pending().await);
            assert_eq!(late.wait().await, ExitReason::Killed);
            assert!(node.now() - begin < secs(10), "not only when the grace is over");
        };
        tokio::join!(node.shutdown_within(secs(10)), late);
    });
}
