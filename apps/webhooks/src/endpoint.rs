//! The process that delivers to one endpoint.
//!
//! It leases deliveries from the endpoint's [`Queue`], up to a number in flight, and runs each attempt in a
//! process linked to it. It keeps nothing that matters: killed, it takes its attempts with it (that is what
//! the links are for), the queue gets the leases back, and the next incarnation goes on. An attempt that
//! panics takes the endpoint down in the same way. So does the end of the queue, which it monitors: the next
//! incarnation makes itself known to the next queue.
//!
//! ```text
//! WorkReady, Wake, Attempted ──► refill: lease as many as there is room for ──► a linked process per attempt
//!                                                                                  │ Attempted
//!                    queue ◄── settle(Delivered | RetryAt | GaveUp) ◄── judge ◄────┘
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use purlin::prelude::*;

use crate::backoff::Verdict;
use crate::config::EndpointConfig;
use crate::delivery::{HttpClient, Outcome, attempt};
use crate::event::DeliveryId;
use crate::lease::{Job, Settlement};
use crate::queue::{Queue, WorkReady};

/// How often a delivery process looks for a queue that is just being replaced.
const QUEUE_POLL: Duration = Duration::from_millis(5);

/// What a delivery process is started with.
#[derive(Clone)]
pub(crate) struct EndpointArgs {
    /// Where, how often, how many at once.
    pub(crate) config: Arc<EndpointConfig>,
    /// Where the work comes from.
    pub(crate) queue: Name<Queue>,
    /// Makes the requests.
    pub(crate) client: HttpClient,
    /// Seed of the backoff's jitter.
    pub(crate) seed: u64,
}

/// Delivers to one endpoint.
pub(crate) struct Endpoint {
    config: Arc<EndpointConfig>,
    queue_name: Name<Queue>,
    /// The incarnation of the queue that it is attached to: leases of one mean nothing to the next.
    queue: Option<Ref<Queue>>,
    client: HttpClient,
    rng: fastrand::Rng,
    in_flight: usize,
    /// Runs out when the next waiting delivery becomes due.
    wake: Option<TimerRef>,
}

/// After starting: make oneself known to the queue.
struct Attach;

/// The next waiting delivery is due.
#[derive(Clone, Copy)]
struct Wake;

/// An attempt has ended.
struct Attempted {
    id: DeliveryId,
    /// Its number, from 1.
    number: u32,
    outcome: Outcome,
}

#[gen_server]
impl Endpoint {
    fn init(args: EndpointArgs, cx: &mut Cx<Self>) -> Self {
        let EndpointArgs { config, queue: queue_name, client, seed } = args;
        cx.continue_with(Attach);
        let rng = fastrand::Rng::with_seed(seed);
        Endpoint { config, queue_name, queue: None, client, rng, in_flight: 0, wake: None }
    }

    #[handle_continue]
    async fn attach(&mut self, _: Attach, cx: &mut Cx<Self>) -> Result<(), Crash> {
        // If the queue has just fallen too, its own supervisor replaces it in a moment. Failing until then would
        // only use up the restarts that this process's supervisor allows.
        let queue = loop {
            match self.queue_name.whereis() {
                Some(queue) => break queue,
                None => process::sleep(QUEUE_POLL).await,
            }
        };
        cx.monitor(queue.pid());
        queue.attach(cx.pid()).await?;
        self.queue = Some(queue);
        self.refill(cx).await
    }

    #[info]
    async fn work_ready(&mut self, _: WorkReady, cx: &mut Cx<Self>) -> Result<(), Crash> {
        self.refill(cx).await
    }

    #[info]
    async fn woken(&mut self, _: Wake, cx: &mut Cx<Self>) -> Result<(), Crash> {
        self.wake = None;
        self.refill(cx).await
    }

    #[info]
    async fn attempted(&mut self, attempted: Attempted, cx: &mut Cx<Self>) -> Result<(), Crash> {
        let Attempted { id, number, outcome } = attempted;
        self.in_flight -= 1;
        let settlement = match self.config.retry.judge(number, &outcome, self.rng.f64()) {
            Verdict::Delivered => Settlement::Delivered,
            Verdict::RetryIn(wait) => Settlement::RetryAt(Instant::now() + wait),
            Verdict::GiveUp => Settlement::GaveUp,
        };
        if settlement == Settlement::GaveUp {
            let endpoint = &self.config.name;
            tracing::warn!(%endpoint, delivery = %id, attempts = number, last = %outcome, "given up");
        }
        self.queue()?.settle(cx.pid(), id, settlement);
        self.refill(cx).await
    }

    #[info]
    fn queue_down(&mut self, down: Down) -> Result<(), Crash> {
        Err(Crash::msg(format!("its queue ended: {}", down.reason)))
    }

    /// There from the first message on: a continue runs before all of them.
    fn queue(&self) -> Result<&Ref<Queue>, Crash> {
        self.queue.as_ref().ok_or_else(|| Crash::msg("not attached to a queue"))
    }

    /// Leases as much as there is room for, and sets the timer for what is not due yet.
    async fn refill(&mut self, cx: &mut Cx<Self>) -> Result<(), Crash> {
        let room = self.config.in_flight - self.in_flight;
        if room == 0 {
            // The end of an attempt leads here again.
            return Ok(());
        }
        let leased = self.queue()?.lease(cx.pid(), room).await?;
        self.in_flight += leased.jobs.len();
        for job in leased.jobs {
            self.spawn_attempt(job, cx);
        }
        if let Some(timer) = self.wake.take() {
            cx.cancel_timer(timer);
        }
        if self.in_flight < self.config.in_flight
            && let Some(due) = leased.next_due
        {
            self.wake = Some(cx.send_after(due.saturating_duration_since(Instant::now()), Wake));
        }
        Ok(())
    }

    fn spawn_attempt(&self, job: Job, cx: &Cx<Self>) {
        let (client, config, endpoint) = (self.client.clone(), self.config.clone(), cx.this());
        let number = job.attempts + 1;
        process::spawn_link(async move |_mailbox: Mailbox<()>| {
            let outcome = attempt(&client, &config.target, &job.delivery, number).await;
            endpoint.send(Attempted { id: job.delivery.id.clone(), number, outcome });
        });
    }
}
