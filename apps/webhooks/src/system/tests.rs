//! Kills every kind of process, in turn and at random, and shows what is kept and what starts anew.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::backoff::{Backoff, RetryPolicy};
use crate::config::Filter;
use crate::delivery::Target;
use crate::event::Event;
use crate::signature::{ID_HEADER, Secret};

/// A receiver inside the test: tells the id of each delivery when it arrives, and answers when the gate is open.
struct Receiver {
    arrived: mpsc::UnboundedReceiver<String>,
    gate: watch::Sender<bool>,
    address: std::net::SocketAddr,
}

async fn receiver(open: bool) -> Receiver {
    let (arrive, arrived) = mpsc::unbounded_channel();
    let (gate, watching) = watch::channel(open);
    let answer = async move |headers: HeaderMap| {
        let mut watching = watching.clone();
        arrive.send(headers[ID_HEADER].to_str().unwrap().to_owned()).unwrap();
        watching.wait_for(|open| *open).await.unwrap();
        StatusCode::OK
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/", post(answer));
    tokio::spawn(axum::serve(listener, router).into_future());
    Receiver { arrived, gate, address }
}

impl Receiver {
    async fn arrivals(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.push(self.arrived.recv().await.unwrap());
        }
        ids.sort();
        ids
    }

    /// Passes over others: what was not settled when its process was killed comes again.
    async fn arrival_of(&mut self, id: &str) {
        while self.arrived.recv().await.unwrap() != id {}
    }
}

/// The application with one endpoint.
async fn system(receiver: &Receiver) -> System {
    let mut rng = fastrand::Rng::with_seed(1);
    let endpoint = EndpointConfig {
        name: "shop".to_owned(),
        filter: Filter::default(),
        target: Target {
            url: format!("http://{}/", receiver.address).parse().unwrap(),
            secret: Secret::for_demonstration(&mut rng),
            timeout: Duration::from_secs(30),
        },
        retry: RetryPolicy {
            max_attempts: 1_000,
            backoff: Backoff { base: millis(1), cap: millis(2), jitter: 0.5 },
        },
        in_flight: 8,
    };
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let settings = Settings { seed: 1, keep_ids: true, queue_limit: 1_000 };
    System::start(vec![endpoint], settings, socket).await.unwrap()
}

/// Queues a delivery, however often the queue has to be asked; its id.
async fn queued(directory: &Directory, rng: &mut fastrand::Rng) -> String {
    loop {
        let event = Arc::new(Event::new("push".to_owned(), "{}".into(), rng));
        let delivery = Delivery::new(event, Instant::now(), None, rng);
        let id = delivery.id.to_string();
        match directory.enqueue(0, delivery).await {
            Ok(()) => return id,
            Err(Unavailable(_)) => process::yield_now().await,
        }
    }
}

/// Waits until the queue holds nothing any more.
async fn finished(directory: &Directory) -> Tally {
    loop {
        match directory.snapshot(0).await {
            Ok(Snapshot { tally, unfinished: 0 }) => return tally,
            _ => process::yield_now().await,
        }
    }
}

/// The child of the top supervisor with this id.
async fn child(system: &System, id: &str) -> Pid {
    let children = system.supervisor.which_children().await.unwrap();
    let found = children.iter().find(|child| child.id.as_ref().is_some_and(|known| known.as_str() == id));
    match found.map(|child| child.status) {
        Some(ChildStatus::Running(pid)) => pid,
        other => panic!("{id} is {other:?}"),
    }
}

#[purlin::test]
async fn what_a_killed_delivery_process_was_delivering_is_delivered_by_its_successor() -> Result<()> {
    let mut receiver = receiver(false).await;
    let system = system(&receiver).await;
    let mut rng = fastrand::Rng::with_seed(2);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(queued(system.directory(), &mut rng).await);
    }
    ids.sort();
    assert_eq!(receiver.arrivals(3).await, ids);
    let killed = system.directory().kill_delivery_process(0).expect("it runs");
    assert_eq!(receiver.arrivals(3).await, ids, "the same ids again");
    receiver.gate.send(true)?;
    let tally = finished(system.directory()).await;
    assert_eq!((tally.accepted, tally.delivered, tally.retried), (3, 3, 0));
    assert_eq!((tally.interrupted, tally.restarts), (3, 1));
    assert!(!process::is_alive(killed));
    system.stop().await;
    Ok(())
}

#[purlin::test]
async fn after_the_death_of_any_process_of_the_tree_deliveries_go_on() -> Result<()> {
    let mut receiver = receiver(true).await;
    let mut rng = fastrand::Rng::with_seed(3);
    for victim in
        [REGISTRY, "webhooks.queues", "webhooks.endpoints", "Starter", "Listener", "queue", "delivery"]
    {
        // A new tree for each: the top supervisor does not replace so many children in a moment.
        let system = system(&receiver).await;
        let directory = system.directory();
        let first = queued(directory, &mut rng).await;
        receiver.arrival_of(&first).await;
        let pid = match victim {
            "queue" => directory.queue(0).whereis().unwrap().pid(),
            "delivery" => directory.delivery_process(0).whereis().unwrap().pid(),
            id => child(&system, id).await,
        };
        process::exit(pid, ExitReason::Kill);
        process::wait(pid).await;
        let second = queued(directory, &mut rng).await;
        receiver.arrival_of(&second).await;
        system.stop().await;
    }
    Ok(())
}

#[purlin::test]
async fn nothing_is_lost_while_delivery_processes_and_their_supervisor_are_killed_at_random() -> Result<()> {
    const DELIVERIES: u64 = 400;
    /// As many as the top supervisor makes good within five seconds.
    const SUPERVISOR_KILLS: u64 = 3;
    for seed in 0..5 {
        let mut receiver = receiver(true).await;
        let system = system(&receiver).await;
        let directory = system.directory();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut supervisor_kills = 0;
        for n in 1..=DELIVERIES {
            queued(directory, &mut rng).await;
            if rng.u8(..) < 20 {
                // It fails while the process is being replaced.
                directory.kill_delivery_process(0);
            }
            if rng.u8(..) < 3
                && supervisor_kills < SUPERVISOR_KILLS
                && let Some(pid) = process::whereis("webhooks.endpoints")
            {
                supervisor_kills += 1;
                process::exit(pid, ExitReason::Kill);
            }
            if n % 8 == 0 {
                // Not faster than the deliveries go: so the kills hit them on the way.
                receiver.arrivals(8).await;
            }
        }
        let tally = finished(directory).await;
        assert_eq!(tally.accepted, DELIVERIES, "seed {seed}");
        assert_eq!(tally.delivered + tally.given_up, DELIVERIES, "seed {seed}");
        assert_eq!(tally.given_up, 0, "seed {seed}");
        assert!(tally.restarts > 0, "seed {seed}");
        system.stop().await;
    }
    Ok(())
}

#[purlin::test]
async fn when_the_queues_supervisor_keeps_falling_the_whole_tree_ends_and_says_so() -> Result<()> {
    let receiver = receiver(true).await;
    let system = system(&receiver).await;
    let kill_each = async {
        let mut last = None;
        loop {
            if let Some(pid) = process::whereis("webhooks.queues").filter(|&pid| last != Some(pid)) {
                process::exit(pid, ExitReason::Kill);
                last = Some(pid);
            }
            process::yield_now().await;
        }
    };
    let reason = tokio::select! {
        reason = system.ended() => reason,
        () = kill_each => unreachable!("it kills for ever"),
    };
    assert_eq!(reason, ExitReason::Shutdown);
    Ok(())
}
