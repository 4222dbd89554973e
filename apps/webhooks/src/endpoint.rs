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
use std::time::Instant;

use purlin::prelude::*;

use crate::backoff::Verdict;
use crate::config::EndpointConfig;
use crate::delivery::{HttpClient, Outcome, attempt};
use crate::event::DeliveryId;
use crate::lease::{Job, Settlement};
use crate::queue::{Queue, WorkReady};

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
    /// This incarnation of the queue: leases of one mean nothing to the next.
    queue: Ref<Queue>,
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
    fn init(args: EndpointArgs, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let EndpointArgs { config, queue, client, seed } = args;
        let queue = queue.whereis().ok_or_else(|| Crash::msg("its queue is not running"))?;
        cx.monitor(queue.pid());
        cx.continue_with(Attach);
        Ok(Endpoint { config, queue, client, rng: fastrand::Rng::with_seed(seed), in_flight: 0, wake: None })
    }

    #[handle_continue]
    async fn attach(&mut self, _: Attach, cx: &mut Cx<Self>) -> Result<(), Crash> {
        self.queue.attach(cx.pid()).await?;
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
        self.queue.settle(cx.pid(), id, settlement);
        self.refill(cx).await
    }

    #[info]
    fn queue_down(&mut self, down: Down) -> Result<(), Crash> {
        Err(Crash::msg(format!("its queue ended: {}", down.reason)))
    }

    /// Leases as much as there is room for, and sets the timer for what is not due yet.
    async fn refill(&mut self, cx: &mut Cx<Self>) -> Result<(), Crash> {
        let room = self.config.in_flight - self.in_flight;
        if room == 0 {
            // The end of an attempt leads here again.
            return Ok(());
        }
        let leased = self.queue.lease(cx.pid(), room).await?;
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
        purlin::process::spawn_link(async move |_mailbox: Mailbox<()>| {
            let outcome = attempt(&client, &config.target, &job.delivery, number).await;
            endpoint.send(Attempted { id: job.delivery.id.clone(), number, outcome });
        });
    }
}
