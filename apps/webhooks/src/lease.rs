//! An endpoint's queue as a data structure: jobs wait, are leased to the delivery process, and are settled.
//! Pure: time and processes come in as values.
//!
//! ```text
//!             push                lease                     settle(Delivered | GaveUp)
//! accepted ─────────►  waiting  ─────────►  leased  ─────────────────────────────────►  counted, gone
//!                         ▲                   │ settle(RetryAt)
//!                         ├───────────────────┤
//!                         └───────────────────┘ holder died: same due time as before, no attempt counted
//! ```
//!
//! Invariants:
//! - A job is waiting or leased, never both and never neither, until it is settled for good. So
//!   `accepted = delivered + given up + waiting + leased` at any time.
//! - There is one holder at most. When another one attaches, or the holder dies, everything it had leased
//!   waits again.
//! - Only the present holder can settle: what an earlier one reports late is ignored, for its jobs are
//!   waiting again. A job may thus be delivered twice, and is never lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::event::{Delivery, DeliveryId};
use crate::latency::Latencies;

/// A delivery that has taken its process down with it so often is given up: the payload itself seems to be
/// the cause, and it must not keep the others from being delivered.
pub(crate) const MAX_INTERRUPTIONS: u32 = 50;

/// A delivery and what has become of it so far.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What is to be delivered.
    pub(crate) delivery: Arc<Delivery>,
    /// Attempts that ended with an outcome.
    pub(crate) attempts: u32,
    /// Attempts cut short by the death of the delivery process.
    pub(crate) interruptions: u32,
}

/// What the delivery process says of a leased job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The receiver answered 2xx.
    Delivered,
    /// The attempt failed; the job is due again at this time.
    RetryAt(Instant),
    /// The attempt failed and no other will be made.
    GaveUp,
}

/// Answer to a request for work.
#[derive(Debug)]
pub(crate) struct Leased {
    /// Jobs that are due, the longest waiting first.
    pub(crate) jobs: Vec<Job>,
    /// When the next of the others becomes due, if any waits. It is not in the future if more jobs are due
    /// than were asked for.
    pub(crate) next_due: Option<Instant>,
}

/// What has happened in a queue since it started.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Deliveries taken in.
    pub(crate) accepted: u64,
    /// Deliveries that the receiver has acknowledged.
    pub(crate) delivered: u64,
    /// Failed attempts that were followed by another.
    pub(crate) retried: u64,
    /// Deliveries that will not be tried again.
    pub(crate) given_up: u64,
    /// Leases that came back because their holder died.
    pub(crate) interrupted: u64,
    /// Times that a new delivery process took over from an earlier one.
    pub(crate) restarts: u64,
    /// From intake to acknowledgement, of the delivered ones.
    pub(crate) latencies: Latencies,
}

/// The ids behind the counts. They take memory without bound, so a queue keeps them only if it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettledIds {
    /// In the order of their acknowledgement.
    pub(crate) delivered: Vec<DeliveryId>,
    /// In the order of giving up.
    pub(crate) given_up: Vec<DeliveryId>,
}

/// The queue; `H` names a holder, in the application a pid.
#[derive(Debug)]
pub(crate) struct LeaseQueue<H> {
    /// By due time; the number keeps jobs that are due at the same instant apart, in the order of their
    /// arrival.
    waiting: BTreeMap<(Instant, u64), Job>,
    leased: HashMap<DeliveryId, Lease>,
    holder: Option<H>,
    attached_before: bool,
    next_number: u64,
    tally: Tally,
    ids: Option<SettledIds>,
}

#[derive(Debug)]
struct Lease {
    job: Job,
    /// Where it stood among the waiting ones.
    key: (Instant, u64),
}

impl<H: Copy + Eq> LeaseQueue<H> {
    /// An empty queue; it remembers the [`SettledIds`] if `keep_ids` is set.
    pub(crate) fn new(keep_ids: bool) -> Self {
        let tally = Tally {
            accepted: 0,
            delivered: 0,
            retried: 0,
            given_up: 0,
            interrupted: 0,
            restarts: 0,
            latencies: Latencies::new(),
        };
        LeaseQueue {
            waiting: BTreeMap::new(),
            leased: HashMap::new(),
            holder: None,
            attached_before: false,
            next_number: 0,
            tally,
            ids: keep_ids.then(SettledIds::default),
        }
    }

    /// Takes a delivery in. It is due at once.
    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.tally.accepted += 1;
        let due = delivery.accepted_at;
        self.wait(due, Job { delivery: Arc::new(delivery), attempts: 0, interruptions: 0 });
    }

    /// Makes `holder` the one that leases. Whatever another one holds waits again.
    pub(crate) fn attach(&mut self, holder: H) {
        if self.holder == Some(holder) {
            return;
        }
        self.take_back_all();
        self.tally.restarts += u64::from(self.attached_before);
        self.attached_before = true;
        self.holder = Some(holder);
    }

    /// `holder` has died: what it holds waits again. Says how many jobs that were.
    pub(crate) fn detach(&mut self, holder: H) -> usize {
        if self.holder != Some(holder) {
            return 0;
        }
        self.holder = None;
        self.take_back_all()
    }

    /// Leases at most `most` jobs that are due. One who is not the holder gets nothing.
    pub(crate) fn lease(&mut self, holder: H, most: usize, now: Instant) -> Leased {
        let mut jobs = Vec::new();
        if self.holder != Some(holder) {
            return Leased { jobs, next_due: None };
        }
        while jobs.len() < most
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let (key, job) = first.remove_entry();
            jobs.push(job.clone());
            self.leased.insert(job.delivery.id.clone(), Lease { job, key });
        }
        Leased { jobs, next_due: self.waiting.keys().next().map(|key| key.0) }
    }

    /// Settles a leased job. Ignored, with `false`, unless `holder` has leased it and is still the holder.
    pub(crate) fn settle(
        &mut self,
        holder: H,
        id: &DeliveryId,
        settlement: Settlement,
        now: Instant,
    ) -> bool {
        if self.holder != Some(holder) {
            return false;
        }
        let Some(Lease { mut job, .. }) = self.leased.remove(id) else { return false };
        job.attempts += 1;
        match settlement {
            Settlement::Delivered => self.delivered(&job.delivery, now),
            Settlement::GaveUp => self.gave_up(&job.delivery),
            Settlement::RetryAt(due) => {
                self.tally.retried += 1;
                self.wait(due, job);
            },
        }
        true
    }

    /// Jobs that are not finished: waiting and leased.
    pub(crate) fn unfinished(&self) -> usize {
        self.waiting.len() + self.leased.len()
    }

    /// What has happened so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Ids of the settled deliveries, if they are kept.
    pub(crate) fn settled_ids(&self) -> Option<&SettledIds> {
        self.ids.as_ref()
    }

    fn delivered(&mut self, delivery: &Delivery, now: Instant) {
        self.tally.delivered += 1;
        self.tally.latencies.record(now.saturating_duration_since(delivery.accepted_at));
        if let Some(ids) = &mut self.ids {
            ids.delivered.push(delivery.id.clone());
        }
    }

    fn gave_up(&mut self, delivery: &Delivery) {
        self.tally.given_up += 1;
        if let Some(ids) = &mut self.ids {
            ids.given_up.push(delivery.id.clone());
        }
    }

    fn wait(&mut self, due: Instant, job: Job) {
        self.waiting.insert((due, self.next_number), job);
        self.next_number += 1;
    }

    fn take_back_all(&mut self) -> usize {
        let leases = std::mem::take(&mut self.leased);
        let count = leases.len();
        for Lease { mut job, key } in leases.into_values() {
            self.tally.interrupted += 1;
            job.interruptions += 1;
            if job.interruptions >= MAX_INTERRUPTIONS {
                self.gave_up(&job.delivery);
            } else {
                self.waiting.insert(key, job);
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Bytes;

    use super::*;
    use crate::event::Event;

    struct Fixture {
        queue: LeaseQueue<u32>,
        rng: fastrand::Rng,
        start: Instant,
    }

    impl Fixture {
        fn with(deliveries: usize) -> Self {
            let rng = fastrand::Rng::with_seed(3);
            let mut fixture = Fixture { queue: LeaseQueue::new(true), rng, start: Instant::now() };
            for _ in 0..deliveries {
                let event = Arc::new(Event::new("push".into(), Bytes::from_static(b"{}"), &mut fixture.rng));
                let delivery = Delivery::new(event, fixture.start, None, &mut fixture.rng);
                fixture.queue.push(delivery);
            }
            fixture
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn lease(&mut self, holder: u32, most: usize, ms: u64) -> Vec<DeliveryId> {
            let now = self.at(ms);
            self.queue.lease(holder, most, now).jobs.iter().map(|job| job.delivery.id.clone()).collect()
        }

        fn settle(&mut self, holder: u32, id: &DeliveryId, settlement: Settlement, ms: u64) -> bool {
            let now = self.at(ms);
            self.queue.settle(holder, id, settlement, now)
        }

        fn assert_balanced(&self) {
            let tally = self.queue.tally();
            let settled = tally.delivered + tally.given_up;
            assert_eq!(tally.accepted, settled + self.queue.unfinished() as u64);
        }
    }

    #[test]
    fn jobs_are_leased_in_the_order_of_their_arrival_and_never_twice() {
        let mut f = Fixture::with(5);
        f.queue.attach(1);
        let first = f.lease(1, 2, 0);
        let rest = f.lease(1, 10, 0);
        assert_eq!((first.len(), rest.len()), (2, 3));
        assert!(first.iter().all(|id| !rest.contains(id)));
        assert!(f.lease(1, 10, 0).is_empty());
    }

    #[test]
    fn a_retry_is_leased_only_when_it_is_due_and_counts_its_attempts() {
        let mut f = Fixture::with(1);
        f.queue.attach(1);
        let id = f.lease(1, 1, 0).remove(0);
        let due = f.at(100);
        assert!(f.settle(1, &id, Settlement::RetryAt(due), 1));
        let early = f.queue.lease(1, 1, f.start);
        assert!(early.jobs.is_empty());
        assert_eq!(early.next_due, Some(due));
        let again = f.queue.lease(1, 1, due);
        assert_eq!((again.jobs[0].attempts, again.next_due), (1, None));
        assert_eq!(f.queue.tally().retried, 1);
    }

    #[test]
    fn what_a_dead_holder_had_leased_waits_again_in_its_old_place_without_a_counted_attempt() {
        let mut f = Fixture::with(3);
        f.queue.attach(1);
        let held = f.lease(1, 2, 0);
        assert_eq!(f.queue.detach(1), 2);
        f.queue.attach(2);
        assert_eq!(f.lease(2, 2, 0), held);
        let tally = f.queue.tally();
        assert_eq!((tally.interrupted, tally.restarts, tally.retried), (2, 1, 0));
        f.assert_balanced();
    }

    #[test]
    fn a_new_holder_takes_over_even_before_the_death_of_the_old_one_is_known() {
        let mut f = Fixture::with(2);
        f.queue.attach(1);
        let held = f.lease(1, 2, 0);
        f.queue.attach(2);
        assert_eq!(f.lease(2, 2, 0), held);
        assert_eq!(
            f.queue.detach(1),
            0,
            "the late news of the old holder's death must not touch the new one's leases"
        );
        assert!(f.settle(2, &held[0], Settlement::Delivered, 5));
    }

    #[test]
    fn what_an_earlier_holder_reports_late_is_ignored() {
        let mut f = Fixture::with(1);
        f.queue.attach(1);
        let id = f.lease(1, 1, 0).remove(0);
        f.queue.attach(2);
        assert!(!f.settle(1, &id, Settlement::Delivered, 5));
        assert!(f.lease(1, 1, 5).is_empty());
        assert_eq!(f.queue.unfinished(), 1);
    }

    #[test]
    fn settled_jobs_are_counted_once_with_their_ids_and_latency() {
        let mut f = Fixture::with(2);
        f.queue.attach(1);
        let ids = f.lease(1, 2, 0);
        assert!(f.settle(1, &ids[0], Settlement::Delivered, 40));
        assert!(!f.settle(1, &ids[0], Settlement::Delivered, 41));
        assert!(f.settle(1, &ids[1], Settlement::GaveUp, 50));
        let tally = f.queue.tally();
        assert_eq!((tally.delivered, tally.given_up, f.queue.unfinished()), (1, 1, 0));
        let kept = f.queue.settled_ids().unwrap();
        assert_eq!((&kept.delivered[..], &kept.given_up[..]), (&ids[..1], &ids[1..]));
        assert_eq!(tally.latencies.percentile(0.5).unwrap().as_millis(), 40);
        f.assert_balanced();
    }

    #[test]
    fn a_delivery_that_always_takes_its_process_down_is_given_up() {
        let mut f = Fixture::with(1);
        for holder in 0..MAX_INTERRUPTIONS {
            f.queue.attach(holder);
            assert_eq!(f.lease(holder, 1, 0).len(), 1);
            f.queue.detach(holder);
        }
        assert_eq!((f.queue.tally().given_up, f.queue.unfinished()), (1, 0));
        f.assert_balanced();
    }

    #[test]
    fn nothing_is_lost_in_any_seeded_mix_of_leases_outcomes_and_deaths() {
        for seed in 0..200 {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut f = Fixture::with(30);
            let (mut holder, mut held, mut ms) = (0, Vec::new(), 0);
            f.queue.attach(holder);
            while f.queue.unfinished() > 0 {
                ms += 1;
                let most = chance.usize(0..8);
                held.extend(f.lease(holder, most, ms));
                if chance.f64() < 0.05 {
                    f.queue.detach(holder);
                    holder += 1;
                    f.queue.attach(holder);
                    held.clear();
                } else if !held.is_empty() {
                    let id = held.swap_remove(chance.usize(..held.len()));
                    let retry_at = f.at(ms + chance.u64(0..20));
                    let choices = [Settlement::Delivered, Settlement::RetryAt(retry_at), Settlement::GaveUp];
                    assert!(f.settle(holder, &id, choices[chance.usize(..3)].clone(), ms));
                }
                f.assert_balanced();
            }
            let ids = f.queue.settled_ids().unwrap().clone();
            let mut all: Vec<_> = ids.delivered.into_iter().chain(ids.given_up).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 30, "seed {seed}");
        }
    }
}
