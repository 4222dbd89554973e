//! The end of an application, and of its node: what it means by the restart type, in which order, and within which time (AP numbers).

mod application_support;
mod common;

use std::future::Future;
use std::sync::{Arc, Mutex};

use application_support::*;
use common::*;
use purlin_core::Restart::{Permanent, Temporary, Transient};
use purlin_core::application::*;
use purlin_core::telemetry::events;
use purlin_core::*;

/// Runs a story that stops its node, outside every process, on simulated nodes and on real ones; nothing may be left of the node.
fn on_nodes<F, Fut>(story: F)
where
    F: Fn(Node) -> Fut,
    Fut: Future<Output = ()>,
{
    let path = CallPath::Adaptive;
    let simulated = (0..SEEDS).map(|seed| Run::Simulated { seed, path });
    for how in simulated.chain([1, 2].map(|workers| Run::Real { workers, path })) {
        let (runtime, builder) = prepare(how);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                let node = builder.start();
                let told = node.scope(story(node.clone()));
                tokio::time::timeout(secs(1 << 20), told).await.expect("the story ends");
                node.shutdown().await;
                assert_eq!((node.stats().processes, node.stats().timers), (0, 0));
            });
        }));
        if let Err(panic) = told {
            eprintln!("failed in {how:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Kills the worker of a scripted application, whose supervisor gives up then, and waits for the supervisor's end.
async fn end_top(name: &str) {
    let top = application::get_supervisor(name).unwrap();
    let children = supervisor::which_children(top).await.unwrap();
    let supervisor::ChildStatus::Running(worker) = children[0].status else { panic!("{children:?}") };
    process::exit(worker, ExitReason::Kill);
    process::wait(top).await;
}

/// Waits until an application does not run any more.
async fn gone(name: &str) {
    while running().iter().any(|running| running == name) {
        tokio::task::yield_now().await;
    }
}

/// Waits until the node is down, which nobody here has asked it to be.
async fn stops_by_itself(node: &Node) -> ApplicationTerminated {
    node.stopping().await;
    let reason = node.stop_reason().expect("nobody asked");
    node.shutdown().await;
    ApplicationTerminated::of(&reason).expect("an application did it").clone()
}

// ---- what an end means -----------------------------------------------------------------------------------------------

#[test]
fn ap8_the_end_of_a_permanent_application_stops_the_node_whatever_the_reason() {
    for reason in [ExitReason::Shutdown, ExitReason::error("no disk"), ExitReason::Normal] {
        on_nodes(|node| {
            let reason = reason.clone();
            async move {
                let log = Log::default();
                application::start(script("db", &log).spec(), Permanent).await.unwrap();
                application::start(Ending::spec("shop", reason.clone()), Permanent).await.unwrap();
                let terminated = stops_by_itself(&node).await;
                assert_eq!((terminated.application.as_str(), &terminated.reason), ("shop", &reason));
                assert!(terminated.started);
                assert_eq!(log.all()[1..], ["db prep_stop", "db worker down", "db stop"]);
            }
        });
    }
}

#[test]
fn ap8_a_permanent_application_that_does_not_start_stops_the_node() {
    on_nodes(async |node| {
        let log = Log::default();
        let shop = script("shop", &log).on_start(async || Err(Crash::msg("no disk"))).spec();
        let error = application::start(shop, Permanent).await.unwrap_err();
        assert_eq!(error.to_string(), "the application \"shop\" did not start: no disk");
        let terminated = stops_by_itself(&node).await;
        assert_eq!((terminated.application.as_str(), terminated.started), ("shop", false));
        let refused = application::start("shop", Temporary).await;
        assert_eq!(refused, Err(StartApplicationError::NodeStopping));
    });
}

#[test]
fn a_transient_application_stops_the_node_unless_it_ends_normally() {
    on_nodes(async |node| {
        application::start(Ending::spec("fine", ExitReason::Normal), Transient).await.unwrap();
        gone("fine").await;
        assert!(!node.is_stopping());
        application::start(Ending::spec("shop", ExitReason::Shutdown), Transient).await.unwrap();
        let terminated = stops_by_itself(&node).await;
        assert_eq!((terminated.application.as_str(), terminated.reason), ("shop", ExitReason::Shutdown));
    });
}

#[test]
fn ap10_the_end_of_a_temporary_application_is_reported_and_nothing_else() {
    on_nodes(async |node| {
        let log = Log::default();
        let reports: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = reports.clone();
        let attached = node.telemetry().attach("test", events::APPLICATION_STOP, move |event| {
            seen.lock().unwrap().push(event.metadata.to_string());
        });
        attached.unwrap();
        application::start(script("db", &log).spec(), Temporary).await.unwrap();
        application::start(script("shop", &log).spec(), Temporary).await.unwrap();
        end_top("shop").await;
        gone("shop").await;
        assert_eq!(running(), ["db"]);
        assert!(!node.is_stopping() && node.stop_reason().is_none());
        while reports.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let report = reports.lock().unwrap().join("");
        for part in ["shop", "temporary", "shutdown"] {
            assert!(report.contains(part), "{report}");
        }
    });
}

#[test]
fn a_stop_on_purpose_of_a_permanent_application_leaves_the_node_alone() {
    on_nodes(async |node| {
        let log = Log::default();
        application::start(script("shop", &log).spec(), Permanent).await.unwrap();
        application::stop("shop").await.unwrap();
        assert!(!node.is_stopping());
        assert_eq!(log.all(), ["shop start", "shop prep_stop", "shop worker down", "shop stop"]);
        application::start("shop", Permanent).await.unwrap();
        assert_eq!(running(), ["shop"]);
    });
}

#[test]
fn a_master_that_is_killed_takes_its_application_and_the_node_with_it() {
    on_nodes(async |node| {
        let log = Log::default();
        application::start(script("shop", &log).spec(), Permanent).await.unwrap();
        let top = application::get_supervisor("shop").unwrap();
        let master = process::process_info(top).unwrap().parent.unwrap();
        process::exit(master, ExitReason::Kill);
        let terminated = stops_by_itself(&node).await;
        assert_eq!((terminated.application.as_str(), terminated.reason), ("shop", ExitReason::Killed));
        assert!(!process::is_alive(top));
    });
}

#[test]
fn ap11_an_application_ends_with_its_top_process_and_with_everything_that_was_left_of_it() {
    everywhere(async |_| {
        let log = Log::default();
        let stray: Log<Pid> = Log::default();
        let found = stray.clone();
        let spawns = move || {
            found.add(process::spawn(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid());
            async { Ok(()) }
        };
        application::start(script("shop", &log).on_start(spawns).spec(), Temporary).await.unwrap();
        let stray = stray.all()[0];
        let stray_end = process::wait(stray);
        let (reason, ()) = tokio::join!(stray_end, end_top("shop"));
        assert_eq!(reason, ExitReason::Killed);
        while !running().is_empty() {
            process::yield_now().await;
        }
        assert_eq!(log.all(), ["shop start", "shop worker down", "shop prep_stop", "shop stop"]);
        assert_eq!(application::get_supervisor("shop"), None);
        application::start("shop", Temporary).await.unwrap();
    });
}

#[test]
fn ap28_the_report_of_a_permanent_application_names_it_and_the_reason() {
    let told = Events::default();
    told.during(|| {
        run(Run::Simulated { seed: 0, path: CallPath::Adaptive }, async |_| {});
        let (runtime, builder) = prepare(Run::Simulated { seed: 1, path: CallPath::Adaptive });
        runtime.block_on(async {
            let node = builder.start();
            node.scope(async {
                application::start(Ending::spec("shop", ExitReason::error("no disk")), Permanent)
                    .await
                    .unwrap();
                stops_by_itself(&node).await;
            })
            .await;
        });
    });
    let reports = told.take("purlin::application");
    let fatal: Vec<&String> = reports.iter().filter(|report| report.contains("the node stops")).collect();
    assert_eq!(fatal.len(), 1, "{reports:?}");
    assert!(fatal[0].contains("shop") && fatal[0].contains("no disk"), "{fatal:?}");
}

// ---- the order of stops ----------------------------------------------------------------------------------------------

#[test]
fn ap14_ap30_a_node_that_is_asked_to_stop_stops_its_applications_in_the_reverse_order_of_their_start() {
    on_nodes(async |node| {
        let log = Log::default();
        // Their masters get places in the process table in another order than that of their start.
        let early: Vec<Pid> = (0..100).map(|_| idle()).collect();
        application::start(script("one", &log).spec(), Permanent).await.unwrap();
        for pid in early {
            let end = process::wait(pid);
            process::exit(pid, ExitReason::Kill);
            end.await;
        }
        application::start(script("two", &log).spec().application("one"), Permanent).await.unwrap();
        application::start(script("three", &log).spec().application("two"), Permanent).await.unwrap();
        node.shutdown().await;
        let ends = ["three", "two", "one"]
            .map(|name| ["prep_stop", "worker down", "stop"].map(|what| format!("{name} {what}")));
        assert_eq!(log.all()[3..], ends.concat());
        assert_eq!(node.stop_reason(), None);
    });
}

#[test]
fn ap15_an_application_that_does_not_stop_within_its_time_is_killed() {
    everywhere(async |_| {
        let log = Log::default();
        let never = async || std::future::pending().await;
        let shop = script("shop", &log).on_prep_stop(never).spec().shutdown_timeout(millis(20));
        application::start(shop, Temporary).await.unwrap();
        let top = application::get_supervisor("shop").unwrap();
        let before = Node::current().now();
        application::stop("shop").await.unwrap();
        assert!(Node::current().now() - before >= millis(20));
        assert!(!process::is_alive(top));
        assert_eq!(log.all(), ["shop start", "shop prep_stop", "shop worker down"]);
        assert_eq!(running(), [""; 0]);
    });
}

#[test]
fn ap15_a_node_goes_on_with_the_next_application_when_the_time_of_one_is_over() {
    on_nodes(async |node| {
        let log = Log::default();
        application::start(script("one", &log).spec(), Permanent).await.unwrap();
        let never = async || std::future::pending().await;
        let two = script("two", &log).on_prep_stop(never).spec().shutdown_timeout(millis(20));
        application::start(two, Permanent).await.unwrap();
        node.shutdown().await;
        let expected = ["two prep_stop", "two worker down", "one prep_stop", "one worker down", "one stop"];
        assert_eq!(log.all()[2..], expected);
    });
}

#[test]
fn a_stop_of_the_node_calls_a_start_off() {
    on_nodes(async |node| {
        let log = Log::default();
        let never = async || std::future::pending().await;
        let mut starting =
            Box::pin(application::start(script("shop", &log).on_start(never).spec(), Permanent));
        assert!(poll_once(&mut starting).await.is_none());
        let (outcome, ()) = tokio::join!(starting, node.shutdown());
        assert_eq!(outcome, Err(StartApplicationError::NodeStopping));
        assert_eq!(node.stop_reason(), None);
    });
}

#[test]
fn a_stop_does_not_wait_for_a_config_change_that_waits() {
    everywhere(async |_| {
        let log = Log::default();
        let never = async || std::future::pending().await;
        application::start(script("shop", &log).on_change(never).spec(), Temporary).await.unwrap();
        let table = [("port".to_owned(), 80.into())].into();
        let config = EnvConfig { files: [("shop".to_owned(), table)].into(), ..EnvConfig::default() };
        let stop = async {
            while log.all().len() < 2 {
                process::yield_now().await;
            }
            application::stop("shop").await
        };
        let (changed, stopped) = tokio::join!(application::change_config(config), stop);
        assert_eq!(stopped, Ok(()));
        assert_eq!(changed.unwrap_err().failed, [("shop".to_owned(), ExitReason::Shutdown)]);
        assert_eq!(log.all()[2..], ["shop prep_stop", "shop worker down", "shop stop"]);
    });
}

#[test]
fn a_tree_that_ends_during_a_start_phase_fails_the_start() {
    everywhere(async |_| {
        let log = Log::default();
        let kills = |_| async {
            // A process of this application that no start has named: the worker.
            let me = process::self_pid().unwrap();
            let of_mine = |pid: &Pid| {
                process::process_info(*pid).is_some_and(|info| info.ancestors.last() == Some(&me))
            };
            let worker = living()
                .into_iter()
                .filter(of_mine)
                .max_by_key(|pid| process::process_info(*pid).map_or(0, |info| info.ancestors.len()));
            process::exit(worker.unwrap(), ExitReason::Kill);
            std::future::pending().await
        };
        let shop = script("shop", &log).on_phase(kills).spec().start_phases(["warm"]);
        let error = application::start(shop, Temporary).await.unwrap_err();
        let StartApplicationError::Failed { phase, reason, .. } = error else { panic!("{error}") };
        assert_eq!((phase.as_deref(), reason), (Some("warm"), ExitReason::Shutdown));
        assert_eq!(log.all(), ["shop start", "shop phase warm", "shop worker down"]);
        assert_eq!(running(), [""; 0]);
    });
}

#[test]
fn a_stop_from_inside_is_an_error_and_one_of_what_does_not_run_too() {
    everywhere(async |mut me: Me| {
        let log = Log::default();
        let parent = me.address();
        let asks = move || {
            let parent = parent.clone();
            process::spawn(async move |_: Mailbox<()>| {
                while running().is_empty() {
                    process::yield_now().await;
                }
                parent.send(application::stop("shop").await);
            });
            async { Ok(()) }
        };
        application::start(script("shop", &log).on_start(asks).spec(), Temporary).await.unwrap();
        let answer = me.receive_as::<Result<(), StopApplicationError>>().await;
        assert_eq!(answer, Err(StopApplicationError::FromWithin("shop".to_owned())));
        assert_eq!(running(), ["shop"]);
        let (one, two) = tokio::join!(application::stop("shop"), application::stop("shop"));
        assert_eq!((one, two), (Ok(()), Ok(())));
        let error = StopApplicationError::NotStarted("shop".to_owned());
        assert_eq!(application::stop("shop").await, Err(error));
    });
}

#[test]
fn a_callback_of_the_stop_that_panics_stops_nothing() {
    everywhere(async |_| {
        let log = Log::default();
        let shop =
            script("shop", &log).on_prep_stop(async || planned("one")).on_stop(async || planned("two"));
        application::start(shop.spec(), Temporary).await.unwrap();
        application::stop("shop").await.unwrap();
        assert_eq!(log.all(), ["shop start", "shop prep_stop", "shop worker down", "shop stop"]);
    });
}

/// An application whose top process ends at once.
struct Ending;

impl Ending {
    fn spec(name: &'static str, reason: ExitReason) -> ApplicationSpec {
        ApplicationSpec::new::<Ending>(name, reason)
    }
}

impl Application for Ending {
    type Args = ExitReason;

    async fn start(_: StartType, reason: ExitReason) -> Result<(Pid, Self), Crash> {
        let top = process::spawn_link(async move |mut mailbox: Mailbox<()>| {
            if !reason.is_normal() {
                process::exit(mailbox.pid(), reason);
                mailbox.receive().await;
            }
        });
        Ok((top.pid(), Ending))
    }
}

/// An application whose state panics when it is dropped, which its own `stop` does before it has made a future.
struct Fragile;

impl Application for Fragile {
    type Args = ();
    async fn start(_: StartType, (): ()) -> Result<(Pid, Self), Crash> {
        let top = process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid();
        Ok((top, Fragile))
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        planned("the state is fragile");
    }
}

#[test]
fn a_state_that_panics_when_it_is_dropped_does_not_make_a_wanted_stop_a_failure() {
    everywhere(async |_| {
        application::start(ApplicationSpec::new::<Fragile>("fragile", ()), Permanent).await.unwrap();
        application::stop("fragile").await.unwrap();
        assert!(!Node::current().is_stopping());
    });
}
