//! Proves that Purlin's own events are executed when their documentation says, with the measurements and metadata it lists.
#![forbid(unsafe_code)]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{idle, in_process, until};
use purlin::prelude::*;
use purlin::telemetry::{EventName, Measurements, Metadata, events};

/// An event as it was seen.
#[derive(Clone, Debug)]
struct Seen {
    name: EventName,
    measurements: Measurements,
    metadata: Metadata,
}

/// Everything that a node has executed since.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Seen>>>);

impl Record {
    /// Begins to record the events of the current node.
    fn begin() -> Record {
        let record = Record::default();
        let seen = record.0.clone();
        Node::current()
            .telemetry()
            .attach_many("record", events::ALL, move |event| {
                let (measurements, metadata) = (event.measurements.clone(), event.metadata.clone());
                seen.lock().unwrap().push(Seen { name: event.name, measurements, metadata });
            })
            .unwrap();
        record
    }

    /// The events of this name about a process, or all of them.
    fn all(&self, name: EventName, pid: impl Into<Option<Pid>>) -> Vec<Seen> {
        let pid = pid.into();
        let about = |seen: &Seen| pid.is_none() || seen.metadata.pid("pid") == pid;
        self.0.lock().unwrap().iter().filter(|seen| seen.name == name && about(seen)).cloned().collect()
    }

    /// Waits for the only event of this name about a process.
    async fn one(&self, name: EventName, pid: impl Into<Option<Pid>>) -> Seen {
        let pid = pid.into();
        until(|| !self.all(name, pid).is_empty()).await;
        let mut all = self.all(name, pid);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

#[test]
fn every_event_is_listed_once_and_belongs_to_purlin() {
    let names: BTreeSet<_> = events::ALL.iter().collect();
    assert_eq!(names.len(), events::ALL.len());
    for event in events::ALL {
        assert!(event[0] == "purlin" || *event == events::TELEMETRY_HANDLER_FAILURE, "{event:?}");
    }
    assert!(names.contains(&events::NODE_START));
}

#[purlin::test]
async fn a_process_has_a_spawn_and_an_exit() {
    let record = Record::begin();
    in_process({
        let record = record.clone();
        async move |mailbox: Mailbox<()>| {
            let child = process::spawn(async |mut mailbox: Mailbox<()>| {
                mailbox.receive().await;
                panic!("planned");
            });
            process::register("child", child.pid()).unwrap();
            let spawn = record.one(events::PROCESS_SPAWN, child.pid()).await;
            assert_eq!(spawn.metadata.pid("parent"), Some(mailbox.pid()));
            assert_eq!(spawn.metadata.str("type"), Some("process"));
            assert!(spawn.measurements.u64("processes") >= Some(2));
            child.send(());
            let exit = record.one(events::PROCESS_EXIT, child.pid()).await;
            assert_eq!(exit.metadata.reason("reason"), Some(&child.wait().await));
            assert_eq!(
                (exit.metadata.str("name"), exit.measurements.u64("handled")),
                (Some("child"), Some(1))
            );
        }
    })
    .await;
}

/// A server that can refuse to start, and that takes long.
struct Server;

#[gen_server]
impl Server {
    fn init(how: &'static str) -> std::result::Result<Self, InitError> {
        match how {
            "ignore" => Err(InitError::Ignore),
            "fail" => Err(InitError::Stop(ExitReason::error("no disk"))),
            _ => Ok(Server),
        }
    }

    #[call]
    fn compute(&mut self) -> u64 {
        // The optimiser must not see through it.
        (0..100_000).fold(1, |sum, n| std::hint::black_box(sum ^ n))
    }

    #[call]
    fn crash(&mut self) {
        panic!("planned");
    }

    #[cast]
    fn note(&mut self, _: u8) {}

    fn terminate(&mut self) {}
}

#[purlin::test]
async fn a_server_has_an_init_and_a_terminate() -> Result<()> {
    let record = Record::begin();
    let server = Server::start("well").await?;
    let init = record.one(events::GEN_SERVER_INIT, server.pid()).await;
    assert_eq!((init.metadata.str("type"), init.metadata.str("result")), (Some("Server"), Some("ok")));
    server.stop_with(ExitReason::Shutdown, secs(5)).await?;
    let terminate = record.one(events::GEN_SERVER_TERMINATE, server.pid()).await;
    assert_eq!(terminate.metadata.reason("reason"), Some(&ExitReason::Shutdown));
    assert!(Server::start("ignore").await.is_err() && Server::start("fail").await.is_err());
    let results = record.all(events::GEN_SERVER_INIT, None);
    let results: Vec<_> = results.iter().filter_map(|seen| seen.metadata.str("result")).collect();
    assert_eq!(results, ["ok", "ignore", "stop"]);
    Ok(())
}

#[purlin::test]
async fn a_server_whose_calls_take_long_is_told_of_once() {
    let record = Record::begin();
    in_process(async move |_: Mailbox<()>| {
        let server = Server::start("well").await.unwrap();
        while record.all(events::GEN_SERVER_SLOW, server.pid()).is_empty() {
            server.compute().await.unwrap();
        }
        server.compute().await.unwrap();
        let slow = record.one(events::GEN_SERVER_SLOW, server.pid()).await;
        let (average, threshold) =
            (slow.measurements.duration("average"), slow.measurements.duration("threshold"));
        assert!(average > threshold && threshold.is_some(), "{slow:?}");
    })
    .await;
}

#[purlin::test]
async fn messages_that_reach_nobody_are_told_with_their_type() -> Result<()> {
    let record = Record::begin();
    let gone = idle();
    gone.send(());
    gone.wait().await;
    gone.send(());
    let dead = record.one(events::PROCESS_DEAD_LETTER, gone.pid()).await;
    assert_eq!((dead.metadata.str("message_type"), dead.measurements.u64("count")), (Some("()"), Some(1)));

    let server = Server::start("well").mailbox(MailboxBound::new(1, Overflow::DropNewest)).await?;
    process::send(server.pid(), 1.5f32);
    let unhandled = record.one(events::GEN_SERVER_UNHANDLED_INFO, server.pid()).await;
    assert_eq!(unhandled.metadata.str("message_type"), Some("f32"));

    sys::suspend(server.pid()).await?;
    server.note(1);
    server.note(2);
    let drop = record.one(events::MAILBOX_DROP, server.pid()).await;
    assert_eq!(
        (drop.metadata.str("policy"), drop.metadata.str("message_type")),
        (Some("drop_newest"), Some("note"))
    );
    Ok(())
}

#[purlin::test]
async fn a_supervisor_tells_of_start_crash_restart_and_termination_of_its_children() -> Result<()> {
    let record = Record::begin();
    let root = Supervisor::one_for_one()
        .name("root")
        .child(Server::child_spec("well").name("server"))
        .start()
        .await?;
    let first = process::whereis("server").unwrap();
    let start = record.one(events::SUPERVISOR_CHILD_START, first).await;
    assert_eq!(start.metadata.pid("supervisor"), Some(root.pid()));
    assert_eq!(start.metadata.str("supervisor_name"), Some("root"));
    assert_eq!(start.metadata.str("child_id"), Some("server"));

    assert!(Server::named("server").crash().await.is_err());
    let error = record.one(events::SUPERVISOR_CHILD_ERROR, first).await;
    assert_eq!(error.metadata.str("context"), Some("child_terminated"));
    assert!(error.metadata.reason("reason").unwrap().panic_info().is_some());
    let restart = record.one(events::SUPERVISOR_CHILD_RESTART, None).await;
    let second = process::whereis("server").unwrap();
    assert_eq!((restart.metadata.pid("old_pid"), restart.metadata.pid("pid")), (Some(first), Some(second)));
    assert_eq!(restart.measurements.u64("restarts"), Some(1));
    assert!(restart.measurements.duration("downtime").is_some());

    root.stop().await?;
    let terminate = record.one(events::SUPERVISOR_CHILD_TERMINATE, second).await;
    assert_eq!(terminate.metadata.reason("reason"), Some(&ExitReason::Shutdown));
    assert_eq!(terminate.metadata.bool("killed"), Some(false));
    Ok(())
}

#[purlin::test]
async fn a_supervisor_that_gives_up_says_over_whom() -> Result<()> {
    let record = Record::begin();
    let root =
        Supervisor::one_for_one().max_restarts(0, secs(7)).child(Server::child_spec("well").name("server"));
    let root = root.start().await?;
    assert!(Server::named("server").crash().await.is_err());
    let giving_up = record.one(events::SUPERVISOR_GIVING_UP, None).await;
    assert_eq!(giving_up.metadata.pid("supervisor"), Some(root.pid()));
    assert_eq!(giving_up.metadata.str("child_id"), Some("server"));
    assert_eq!(giving_up.measurements.duration("window"), Some(secs(7)));
    Ok(())
}

#[purlin::test]
async fn a_registry_tells_of_each_entry_made_given_up_or_lost() -> Result<()> {
    let record = Record::begin();
    let seats = Registry::<u32>::unique("seats").start().await?;
    let guest = process::spawn(async move |_: Mailbox<()>| {
        seats.register(1, ()).unwrap();
        seats.register(2, ()).unwrap();
        seats.unregister(&1).unwrap();
    });
    guest.wait().await;
    until(|| record.all(events::REGISTRY_UNREGISTER, guest.pid()).len() == 2).await;
    let keys = |name| {
        let seen = record.all(name, guest.pid());
        let text = |seen: &Seen| {
            assert_eq!(seen.metadata.str("registry"), Some("seats"));
            let (key, cause) = (seen.metadata.get("key").unwrap(), seen.metadata.str("cause"));
            format!("{key} {}", cause.unwrap_or("-"))
        };
        seen.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(keys(events::REGISTRY_REGISTER), ["1 -", "2 -"]);
    assert_eq!(keys(events::REGISTRY_UNREGISTER), ["1 unregister", "2 exit"]);
    Ok(())
}

#[purlin::test]
async fn a_callback_that_does_not_give_way_is_told_of_while_it_runs() {
    let told = Arc::new(AtomicBool::new(false));
    let record = Record::begin();
    let tell = told.clone();
    let attached = Node::current()
        .telemetry()
        .attach("alarm", events::WATCHDOG_LONG_POLL, move |_| tell.store(true, Ordering::Release));
    assert!(attached.is_ok());
    let hog = process::spawn(async move |_: Mailbox<()>| {
        process::set_label("hog");
        while !told.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
    });
    assert_eq!(hog.wait().await, ExitReason::Normal);
    let seen = record.all(events::WATCHDOG_LONG_POLL, hog.pid());
    assert!(seen[0].measurements.duration("duration") >= seen[0].measurements.duration("limit"), "{seen:?}");
    assert_eq!(seen[0].metadata.str("label"), Some("hog"));
    assert!(seen[0].metadata.u64("worker").is_some());
    assert!(Node::current().stats().long_polls >= 1);
}

/// An application that is a supervisor without children, or does not start.
struct Part;

impl Application for Part {
    type Args = bool;

    async fn start(_: application::StartType, fails: bool) -> Result<(Pid, Self), Crash> {
        if fails {
            return Err(Crash::msg("no disk"));
        }
        Ok((Supervisor::one_for_one().start_link().await?.pid(), Part))
    }
}

#[purlin::test]
async fn an_application_tells_that_it_runs_and_that_and_why_it_has_ended() -> Result<()> {
    let record = Record::begin();
    application::start(ApplicationSpec::new::<Part>("shop", false), Transient).await?;
    let start = record.one(events::APPLICATION_START, None).await;
    assert_eq!(
        (start.metadata.str("application"), start.metadata.str("restart")),
        (Some("shop"), Some("transient"))
    );
    assert_eq!(start.metadata.pid("top"), application::get_supervisor("shop"));
    assert!(start.metadata.pid("pid").is_some() && start.measurements.duration("duration").is_some());
    application::stop("shop").await?;
    let stop = record.one(events::APPLICATION_STOP, None).await;
    assert_eq!(stop.metadata.pid("pid"), start.metadata.pid("pid"));
    assert_eq!(stop.metadata.reason("reason"), Some(&ExitReason::Shutdown));
    let flags = |seen: &Seen| {
        ["started", "requested"].map(|key| seen.metadata.get(key).and_then(|flag| flag.as_bool()))
    };
    assert_eq!(flags(&stop), [Some(true), Some(true)]);
    assert!(application::start(ApplicationSpec::new::<Part>("till", true), Temporary).await.is_err());
    let stop = record.all(events::APPLICATION_STOP, None).remove(1);
    assert_eq!((stop.metadata.str("application"), flags(&stop)), (Some("till"), [Some(false), Some(false)]));
    assert_eq!(record.all(events::APPLICATION_START, None).len(), 1);
    Ok(())
}

#[purlin::test]
async fn a_node_that_stops_tells_how_it_went() {
    let node = Node::builder().name("shop").start();
    let record = node
        .scope(async {
            idle();
            Record::begin()
        })
        .await;
    node.shutdown().await;
    let stop = record.one(events::NODE_STOP, None).await;
    assert_eq!((stop.metadata.str("node"), stop.measurements.u64("killed")), (Some("shop"), Some(0)));
    assert!(stop.measurements.duration("uptime") >= stop.measurements.duration("duration"));
}
