//! The processes of the application and how they hang together.
//!
//! ```text
//! supervisor (rest_for_one)
//! ├─ Registry                      finds a queue or a delivery process by endpoint
//! ├─ DynamicSupervisor "queues"    ── Queue     one for each endpoint: waiting and leased deliveries, counts
//! ├─ DynamicSupervisor "endpoints" ── Endpoint  one for each endpoint: leases deliveries, makes the attempts
//! ├─ Starter                       starts a queue and an endpoint for each entry of the configuration
//! └─ Listener                      the HTTP intake; stopped first, so that nothing is accepted that will be lost
//! ```
//! Whatever goes wrong in delivering ends an [`Endpoint`], which holds nothing that cannot be had again: its
//! successor leases the same deliveries from the [`Queue`], which does nothing dangerous. If a queue falls
//! all the same, its endpoint, which monitors it, falls too and attaches to the next one.
//!
//! A dynamic supervisor begins without children, also after a restart of itself. `rest_for_one` then restarts
//! what comes after it, and so the [`Starter`], which starts whatever is not there.

use std::error::Error;
use std::sync::Arc;

use purlin::prelude::*;
use purlin::supervisor::ChildStatus;
use serde::Serialize;

use crate::config::EndpointConfig;
use crate::delivery::{HttpClient, http_client};
use crate::endpoint::{Endpoint, EndpointArgs};
use crate::event::Delivery;
use crate::intake::{self, Backend, Subscription, Unavailable};
use crate::lease::{SettledIds, Tally};
use crate::listener::{Listener, ListenerArgs};
use crate::queue::{Queue, QueueArgs};

const SUPERVISOR: &str = "webhooks.supervisor";
const REGISTRY: &str = "webhooks.registry";
const QUEUES: Name<DynamicSupervisor> = Name::new("webhooks.queues");
const ENDPOINTS: Name<DynamicSupervisor> = Name::new("webhooks.endpoints");

/// Key of a process in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// The queue of this endpoint.
    Queue(String),
    /// The delivery process of this endpoint.
    Delivery(String),
}

/// What holds for all endpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Seed of the backoff's jitter.
    pub(crate) seed: u64,
    /// Whether the queues remember the ids of settled deliveries (in memory, without bound).
    pub(crate) keep_ids: bool,
    /// Unfinished deliveries, over all endpoints, at which the intake refuses more.
    pub(crate) queue_limit: usize,
}

/// A queue's state at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// What has happened so far.
    pub(crate) tally: Tally,
    /// Deliveries neither delivered nor given up.
    pub(crate) unfinished: usize,
}

/// The running application.
pub(crate) struct System {
    supervisor: SupervisorRef,
    directory: Directory,
}

/// Finds the processes of an endpoint, by its place in the configuration. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory {
    registry: Registry<Role>,
    endpoints: Arc<[EndpointConfig]>,
}

impl System {
    /// Starts all processes; when this returns, the intake takes events on `socket`.
    pub(crate) async fn start(
        endpoints: Vec<EndpointConfig>,
        settings: Settings,
        socket: std::net::TcpListener,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let registry = Registry::<Role>::unique(REGISTRY);
        let directory = Directory { registry: registry.handle(), endpoints: endpoints.into() };
        let starter = StarterArgs { directory: directory.clone(), settings, client: http_client() };
        let rng = fastrand::Rng::with_seed(settings.seed);
        let router = intake::router(directory.clone(), directory.subscriptions(), settings.queue_limit, rng);
        let supervisor = Supervisor::rest_for_one()
            .name(SUPERVISOR)
            .child(registry)
            .child(DynamicSupervisor::new().name(QUEUES))
            // A delivery process may fall often without the others being at fault: the demonstration kills
            // dozens.
            .child(DynamicSupervisor::new().name(ENDPOINTS).max_restarts(1_000, secs(10)))
            .child(Starter::child_spec(starter))
            .child(Listener::child_spec(ListenerArgs { socket: Arc::new(socket), router }))
            .start_link()
            .await?;
        Ok(System { supervisor, directory })
    }

    /// Where its processes are.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Stops all processes: the intake first, then the delivering ones, then the queues.
    pub(crate) async fn stop(&self) {
        // It can only fail by being stopped already.
        let _ = self.supervisor.stop().await;
    }

    /// Waits for the end of the whole tree and says why it ended.
    pub(crate) async fn ended(&self) -> ExitReason {
        process::wait(self.supervisor.pid()).await
    }
}

impl Directory {
    /// What each endpoint wants, in the order of the configuration.
    fn subscriptions(&self) -> Vec<Subscription> {
        let subscription = |config: &EndpointConfig| Subscription {
            endpoint: config.name.clone(),
            filter: config.filter.clone(),
        };
        self.endpoints.iter().map(subscription).collect()
    }

    /// The state of an endpoint's queue.
    pub(crate) async fn snapshot(&self, endpoint: usize) -> Result<Snapshot, CallError> {
        self.queue(endpoint).snapshot().await
    }

    /// The ids that an endpoint's queue has settled; empty if it does not keep them.
    pub(crate) async fn settled_ids(&self, endpoint: usize) -> Result<SettledIds, CallError> {
        self.queue(endpoint).settled_ids().await
    }

    /// Kills the process that delivers to an endpoint, with all attempts that it is making, and tells its
    /// pid; `None` while none runs.
    pub(crate) fn kill_delivery_process(&self, endpoint: usize) -> Option<Pid> {
        let pid = self.delivery_process(endpoint).whereis()?.pid();
        process::exit(pid, ExitReason::Kill);
        Some(pid)
    }

    fn queue(&self, endpoint: usize) -> Name<Queue> {
        self.registry.via(Role::Queue(self.endpoints[endpoint].name.clone()))
    }

    fn delivery_process(&self, endpoint: usize) -> Name<Endpoint> {
        self.registry.via(Role::Delivery(self.endpoints[endpoint].name.clone()))
    }
}

impl Backend for Directory {
    async fn enqueue(&self, endpoint: usize, delivery: Delivery) -> Result<(), Unavailable> {
        self.queue(endpoint).enqueue(delivery).await.map_err(|error| Unavailable(error.to_string()))
    }

    async fn status(&self) -> Result<String, Unavailable> {
        let mut status = Vec::new();
        for (index, config) in self.endpoints.iter().enumerate() {
            let snapshot = self.snapshot(index).await.map_err(|error| Unavailable(error.to_string()))?;
            status.push(EndpointStatus::new(&config.name, &snapshot));
        }
        Ok(serde_json::to_string(&status).expect("counts always have a JSON form"))
    }
}

/// What the [`Starter`] is started with.
#[derive(Clone)]
struct StarterArgs {
    directory: Directory,
    settings: Settings,
    /// Shared by all endpoints.
    client: HttpClient,
}

/// Fills the two dynamic supervisors. It does all its work when it starts; afterwards its part is to be
/// restarted with them.
struct Starter;

#[gen_server]
impl Starter {
    async fn init(args: StarterArgs) -> Result<Self, InitError> {
        let StarterArgs { directory, settings, client } = args;
        for (index, config) in directory.endpoints.iter().enumerate() {
            let queue = QueueArgs { endpoint: config.name.clone(), keep_ids: settings.keep_ids };
            ensure(&QUEUES, || Queue::child_spec(queue.clone()).name(directory.queue(index))).await?;
            let endpoint = EndpointArgs {
                config: Arc::new(config.clone()),
                queue: directory.queue(index),
                client: client.clone(),
                seed: settings.seed.wrapping_add(index as u64),
            };
            let child = || Endpoint::child_spec(endpoint.clone()).name(directory.delivery_process(index));
            ensure(&ENDPOINTS, child).await?;
        }
        Ok(Starter)
    }
}

/// Has `supervisor` start a child, unless it runs under it already: then the supervisor was not restarted.
async fn ensure<S: GenServer>(
    supervisor: &Name<DynamicSupervisor>,
    child: impl Fn() -> Child<S>,
) -> Result<(), InitError> {
    loop {
        let pid = match supervisor.start_child(child()).await {
            Ok(_) => return Ok(()),
            Err(StartChildError::Failed(StartError::AlreadyStarted(pid))) => pid,
            Err(error) => return Err(error.into()),
        };
        let children = supervisor.which_children().await?;
        if children.iter().any(|child| child.status == ChildStatus::Running(pid)) {
            return Ok(());
        }
        // An orphan: its supervisor was killed, and by the link between them it ends in a moment.
        process::wait(pid).await;
    }
}

/// One element of the answer to `GET /status`.
#[derive(Serialize)]
struct EndpointStatus<'a> {
    endpoint: &'a str,
    accepted: u64,
    delivered: u64,
    retried: u64,
    given_up: u64,
    unfinished: usize,
    restarts: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl<'a> EndpointStatus<'a> {
    fn new(endpoint: &'a str, Snapshot { tally, unfinished }: &Snapshot) -> Self {
        let ms = |share| tally.latencies.percentile(share).map(|latency| latency.as_secs_f64() * 1_000.0);
        EndpointStatus {
            endpoint,
            accepted: tally.accepted,
            delivered: tally.delivered,
            retried: tally.retried,
            given_up: tally.given_up,
            unfinished: *unfinished,
            restarts: tally.restarts,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
        }
    }
}

#[cfg(test)]
mod tests;
