//! The processes of the application and how they hang together.
//!
//! ```text
//! supervisor (rest_for_one)
//! ├─ Registry                      finds a queue or a delivery process by endpoint
//! ├─ DynamicSupervisor "queues"    ── Queue     one for each endpoint: waiting and leased deliveries, counts
//! └─ DynamicSupervisor "endpoints" ── Endpoint  one for each endpoint: leases deliveries, makes the attempts
//! ```
//! Whatever goes wrong in delivering ends an [`Endpoint`], which holds nothing that cannot be had again: its
//! successor leases the same deliveries from the [`Queue`], which does nothing dangerous. If a queue falls
//! all the same, `rest_for_one` makes its endpoints start anew.

use std::error::Error;
use std::sync::Arc;

use purlin::prelude::*;
use serde::Serialize;

use crate::config::EndpointConfig;
use crate::delivery::http_client;
use crate::endpoint::{Endpoint, EndpointArgs};
use crate::event::Delivery;
use crate::intake::{Backend, Subscription, Unavailable};
use crate::lease::{SettledIds, Tally};
use crate::queue::{Queue, QueueArgs};

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
    registry: Registry<Role>,
    endpoints: Vec<EndpointConfig>,
}

impl System {
    /// Starts a queue and a delivery process for each endpoint.
    pub(crate) async fn start(
        endpoints: Vec<EndpointConfig>,
        settings: Settings,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let registry = Registry::<Role>::unique("webhooks.registry").start_link().await?;
        let supervisor = Supervisor::rest_for_one().name("webhooks.supervisor").start_link().await?;
        let queues = DynamicSupervisor::new().name("webhooks.queues").start_link().await?;
        // A delivery process may fall often without the others being at fault: the demonstration kills
        // dozens.
        let deliverers = DynamicSupervisor::new()
            .name("webhooks.endpoints")
            .max_restarts(1_000, secs(10))
            .start_link()
            .await?;
        let client = http_client();
        for (index, config) in endpoints.iter().enumerate() {
            let queue = registry.via::<Queue>(Role::Queue(config.name.clone()));
            let args = QueueArgs { endpoint: config.name.clone(), keep_ids: settings.keep_ids };
            queues.start_child(Queue::child_spec(args).name(queue.clone())).await?;
            let args = EndpointArgs {
                config: Arc::new(config.clone()),
                queue,
                client: client.clone(),
                seed: settings.seed.wrapping_add(index as u64),
            };
            let name = registry.via::<Endpoint>(Role::Delivery(config.name.clone()));
            deliverers.start_child(Endpoint::child_spec(args).name(name)).await?;
        }
        Ok(System { supervisor, registry, endpoints })
    }

    /// What each endpoint wants, in the order of the configuration.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let subscription = |config: &EndpointConfig| Subscription {
            endpoint: config.name.clone(),
            filter: config.filter.clone(),
        };
        self.endpoints.iter().map(subscription).collect()
    }

    /// The state of an endpoint's queue.
    pub(crate) async fn snapshot(&self, endpoint: usize) -> Result<Snapshot, Box<dyn Error + Send + Sync>> {
        Ok(self.queue(endpoint).snapshot().await?)
    }

    /// The ids that an endpoint's queue has settled; empty if it does not keep them.
    pub(crate) async fn settled_ids(
        &self,
        endpoint: usize,
    ) -> Result<SettledIds, Box<dyn Error + Send + Sync>> {
        Ok(self.queue(endpoint).settled_ids().await?)
    }

    /// Kills the process that delivers to an endpoint, with all attempts that it is making, and tells its
    /// pid; `None` while none runs.
    pub(crate) fn kill_delivery_process(&self, endpoint: usize) -> Option<String> {
        let role = Role::Delivery(self.endpoints[endpoint].name.clone());
        let pid = self.registry.via::<Endpoint>(role).whereis()?.pid();
        purlin::process::exit(pid, ExitReason::Kill);
        Some(pid.to_string())
    }

    /// Stops all processes, the delivering ones first.
    pub(crate) async fn stop(&self) {
        // It can only fail by being stopped already.
        let _ = self.supervisor.stop().await;
    }

    fn queue(&self, endpoint: usize) -> Name<Queue> {
        self.registry.via::<Queue>(Role::Queue(self.endpoints[endpoint].name.clone()))
    }
}

impl Backend for Arc<System> {
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
