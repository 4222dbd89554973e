//! The queue of one endpoint as a process: [`LeaseQueue`] with a mailbox, and with the monitor that returns
//! leases.
//!
//! It is the part that must not fail, so it does nothing that could: no I/O, no waiting, no foreign code. The
//! delivery process does all that, and may die at any time: the queue monitors it, and leases out again what
//! it held.

use std::time::Instant;

use purlin::prelude::*;

use crate::event::{Delivery, DeliveryId};
use crate::lease::{LeaseQueue, Leased, SettledIds, Settlement};
use crate::system::Snapshot;

/// What a queue is started with.
#[derive(Clone, Debug)]
pub(crate) struct QueueArgs {
    /// Name of the endpoint.
    pub(crate) endpoint: String,
    /// Whether it remembers the ids of settled deliveries.
    pub(crate) keep_ids: bool,
}

/// Told to the delivery process when there may be work for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkReady;

/// The queue of one endpoint.
pub(crate) struct Queue {
    endpoint: String,
    jobs: LeaseQueue<Pid>,
    /// The delivery process, once it has attached.
    worker: Option<Worker>,
}

struct Worker {
    pid: Pid,
    monitor: MonitorRef,
    /// It has been told of work and has not asked for it yet: telling it again would only fill its mailbox.
    told: bool,
}

#[gen_server]
impl Queue {
    fn init(args: QueueArgs, cx: &mut Cx<Self>) -> Self {
        // So that `terminate` runs when the supervisor stops the queue.
        cx.trap_exits(true);
        Queue { endpoint: args.endpoint, jobs: LeaseQueue::new(args.keep_ids), worker: None }
    }

    /// Takes a delivery in. When this answers, the queue has it.
    #[call]
    pub(crate) fn enqueue(&mut self, delivery: Delivery) {
        self.jobs.push(delivery);
        if let Some(worker) = &mut self.worker
            && !std::mem::replace(&mut worker.told, true)
        {
            process::send(worker.pid, WorkReady);
        }
    }

    /// Makes `worker` the one that delivers. What an earlier one had leased waits again.
    #[call]
    pub(crate) fn attach(&mut self, worker: Pid, cx: &mut Cx<Self>) {
        if let Some(earlier) = self.worker.take() {
            cx.demonitor(earlier.monitor);
        }
        self.jobs.attach(worker);
        self.worker = Some(Worker { pid: worker, monitor: cx.monitor(worker), told: false });
    }

    /// Leases at most `most` deliveries that are due to `worker`.
    #[call]
    pub(crate) fn lease(&mut self, worker: Pid, most: usize) -> Leased {
        if let Some(attached) = &mut self.worker
            && attached.pid == worker
        {
            attached.told = false;
        }
        self.jobs.lease(worker, most, Instant::now())
    }

    /// What became of a leased delivery.
    #[cast]
    pub(crate) fn settle(&mut self, worker: Pid, id: DeliveryId, settlement: Settlement) {
        self.jobs.settle(worker, &id, settlement, Instant::now());
    }

    /// The counts at this moment.
    #[call]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { tally: self.jobs.tally().clone(), unfinished: self.jobs.unfinished() }
    }

    /// The ids settled so far, if they are kept.
    #[call]
    pub(crate) fn settled_ids(&self) -> SettledIds {
        self.jobs.settled_ids().cloned().unwrap_or_default()
    }

    #[info]
    fn down(&mut self, down: Down) {
        let Some(worker) = self.worker.take_if(|worker| worker.monitor == down.monitor) else { return };
        let returned = self.jobs.detach(worker.pid);
        let (endpoint, reason) = (&self.endpoint, &down.reason);
        if down.reason == ExitReason::Shutdown {
            tracing::debug!(%endpoint, returned, "the delivery process was stopped");
        } else {
            tracing::warn!(%endpoint, %reason, returned, "the delivery process ended; its leases are back");
        }
    }

    #[info]
    fn exit(&mut self, exit: Exit) {
        // Nobody is linked with it but its supervisor, whose exit stops it and does not come here.
        let (endpoint, from, reason) = (&self.endpoint, exit.from, &exit.reason);
        tracing::warn!(%endpoint, %from, %reason, "the queue ignores a stray exit signal");
    }

    fn terminate(&mut self, _reason: &ExitReason) {
        let lost = self.jobs.unfinished();
        if lost > 0 {
            let endpoint = &self.endpoint;
            tracing::warn!(%endpoint, lost, "the queue stops and is in memory: unfinished deliveries are lost");
        }
    }
}
