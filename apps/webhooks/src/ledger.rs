//! The check at the end: does what the intake accepted agree with what the receivers say they got? Pure.
//!
//! Three parties keep books that do not depend on each other: whoever posted the events keeps the ids that
//! the intake answered with, the queues keep what was settled and how, and each receiver, a separate process,
//! keeps the ids that it took. For each endpoint these must agree:
//!
//! - every accepted id is settled exactly once, as delivered or as given up, and nothing else is settled;
//! - every delivered id is among the receiver's;
//! - the receiver has no other id, and counts as many as were delivered.
//!
//! Receivers count *distinct* ids: a delivery may reach them twice (at-least-once), for example when the
//! delivery process is killed between sending and reading the answer.

use std::collections::BTreeSet;
use std::fmt;

use crate::event::DeliveryId;

/// A set of ids; sorted, so that the same run is reported in the same words.
pub(crate) type Ids = BTreeSet<DeliveryId>;

/// The books about one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The endpoint's name.
    pub(crate) endpoint: String,
    /// Ids that the intake answered with.
    pub(crate) accepted: Ids,
    /// Ids that the queue settled as delivered.
    pub(crate) delivered: Ids,
    /// Ids that the queue settled as given up.
    pub(crate) given_up: Ids,
    /// Ids that the receiver says it took.
    pub(crate) received: Ids,
    /// How many distinct ids the receiver says it took.
    pub(crate) received_count: u64,
}

/// Something on which the books of an endpoint do not agree; each with the ids concerned, at least one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Accepted, but neither delivered nor given up: lost, or the run ended too early.
    Unsettled(Ids),
    /// Both delivered and given up.
    SettledTwice(Ids),
    /// Settled, but the intake never answered with them.
    NeverAccepted(Ids),
    /// Delivered, as we believe, but the receiver does not have them.
    NotReceived(Ids),
    /// The receiver has them, though we gave them up.
    ReceivedThoughGivenUp(Ids),
    /// The receiver has them, but the intake never answered with them.
    ReceivedOutOfNowhere(Ids),
    /// The receiver's count is not the number of delivered ids.
    Count {
        /// Delivered, by the queue's books.
        delivered: u64,
        /// Received, by the receiver's count.
        received: u64,
    },
}

impl Books {
    /// All differences, none if the books agree.
    pub(crate) fn differences(&self) -> Vec<Difference> {
        let settled = &self.delivered | &self.given_up;
        let mut found = Vec::new();
        let mut unless_empty = |ids: Ids, difference: fn(Ids) -> Difference| {
            if !ids.is_empty() {
                found.push(difference(ids));
            }
        };
        unless_empty(&self.accepted - &settled, Difference::Unsettled);
        unless_empty(&self.delivered & &self.given_up, Difference::SettledTwice);
        unless_empty(&settled - &self.accepted, Difference::NeverAccepted);
        unless_empty(&self.delivered - &self.received, Difference::NotReceived);
        unless_empty(&self.received & &self.given_up, Difference::ReceivedThoughGivenUp);
        unless_empty(&self.received - &self.accepted, Difference::ReceivedOutOfNowhere);
        let delivered = self.delivered.len() as u64;
        if delivered != self.received_count {
            found.push(Difference::Count { delivered, received: self.received_count });
        }
        found
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ids, what) = match self {
            Difference::Unsettled(ids) => (ids, "accepted, but neither delivered nor given up"),
            Difference::SettledTwice(ids) => (ids, "both delivered and given up"),
            Difference::NeverAccepted(ids) => {
                (ids, "delivered or given up, but never accepted by the intake")
            },
            Difference::NotReceived(ids) => {
                (ids, "delivered by our books, but the receiver does not have it")
            },
            Difference::ReceivedThoughGivenUp(ids) => (ids, "given up by our books, but the receiver has it"),
            Difference::ReceivedOutOfNowhere(ids) => {
                (ids, "at the receiver, but never accepted by the intake")
            },
            Difference::Count { delivered, received } => {
                return write!(f, "{delivered} delivered by our books, but the receiver counts {received}");
            },
        };
        const EXAMPLES: usize = 3;
        let examples: Vec<_> = ids.iter().take(EXAMPLES).map(|id| &**id).collect();
        let more = if ids.len() > EXAMPLES { ", …" } else { "" };
        write!(f, "{} {what} ({}{more})", ids.len(), examples.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Ids {
        text.split_whitespace().map(DeliveryId::from).collect()
    }

    fn books(accepted: &str, delivered: &str, given_up: &str, received: &str) -> Books {
        let received = ids(received);
        Books {
            endpoint: "shop".into(),
            accepted: ids(accepted),
            delivered: ids(delivered),
            given_up: ids(given_up),
            received_count: received.len() as u64,
            received,
        }
    }

    #[test]
    fn books_that_agree_have_no_differences() {
        assert_eq!(books("a b c", "a b", "c", "a b").differences(), []);
        assert_eq!(books("", "", "", "").differences(), []);
        assert_eq!(books("a b", "", "a b", "").differences(), []);
    }

    #[test]
    fn a_delivery_that_vanished_is_found() {
        assert_eq!(books("a b", "a", "", "a").differences(), [Difference::Unsettled(ids("b"))]);
    }

    #[test]
    fn a_delivery_that_the_receiver_does_not_have_is_found_and_so_is_its_count() {
        let expected = [Difference::NotReceived(ids("b")), Difference::Count { delivered: 2, received: 1 }];
        assert_eq!(books("a b", "a b", "", "a").differences(), expected);
    }

    #[test]
    fn a_receiver_that_only_miscounts_is_found() {
        let lying = Books { received_count: 1, ..books("a b", "a b", "", "a b") };
        assert_eq!(lying.differences(), [Difference::Count { delivered: 2, received: 1 }]);
    }

    #[test]
    fn a_delivery_given_up_though_received_is_found() {
        let expected =
            [Difference::ReceivedThoughGivenUp(ids("b")), Difference::Count { delivered: 1, received: 2 }];
        assert_eq!(books("a b", "a", "b", "a b").differences(), expected);
    }

    #[test]
    fn deliveries_that_nobody_accepted_are_found_in_both_books() {
        let expected = [Difference::NeverAccepted(ids("x")), Difference::ReceivedOutOfNowhere(ids("x"))];
        assert_eq!(books("a", "a x", "", "a x").differences(), expected);
    }

    #[test]
    fn a_delivery_settled_twice_is_found() {
        let found = books("a", "a", "a", "a").differences();
        assert_eq!(found, [Difference::SettledTwice(ids("a")), Difference::ReceivedThoughGivenUp(ids("a"))]);
    }

    #[test]
    fn a_difference_reads_as_a_sentence_with_at_most_three_examples() {
        let text = Difference::Unsettled(ids("a b c d")).to_string();
        assert_eq!(text, "4 accepted, but neither delivered nor given up (a, b, c, …)");
        let text = Difference::Count { delivered: 2500, received: 2499 }.to_string();
        assert_eq!(text, "2500 delivered by our books, but the receiver counts 2499");
    }
}
