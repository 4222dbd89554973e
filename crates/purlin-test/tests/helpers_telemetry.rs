//! Proves that a test can wait for telemetry events, look back at them, have them sent, and hears nothing after its end.

mod support;

use purlin::prelude::*;
use purlin::telemetry::{EventName, Measurements, Metadata, events};
use purlin_test::__private::run;
use purlin_test::{TelemetryEvent, Test, assert_receive};
use support::{Counter, each, panic_of, passes};

const PLACED: EventName = &["shop", "order", "placed"];
const PAID: EventName = &["shop", "order", "paid"];

fn execute(t: &Test, name: EventName, cents: u64) {
    let metadata = Metadata::new().with("customer", "Ada");
    t.node().telemetry().execute(name, &Measurements::new().with("cents", cents), &metadata);
}

fn cents(event: &TelemetryEvent) -> u64 {
    event.measurements.u64("cents").unwrap()
}

#[test]
fn events_are_kept_in_order_with_all_they_carry() {
    passes(async |t: Test, mailbox: Mailbox<()>| {
        let orders = t.telemetry(&[PLACED, PAID]);
        assert_eq!(orders.count(), 0);
        execute(&t, PLACED, 1);
        let this = t.clone();
        let other = process::spawn(async move |_: Mailbox<()>| {
            process::sleep(millis(3)).await;
            execute(&this, PAID, 2);
        });
        let first = orders.next().await;
        assert_eq!((first.name, cents(&first), first.process), (PLACED, 1, Some(mailbox.pid())));
        assert_eq!(first.metadata.str("customer"), Some("Ada"));
        let second = orders.next().await;
        assert_eq!((second.name, cents(&second), second.process), (PAID, 2, Some(other.pid())));
        assert!(second.at >= first.at + millis(3));
        // Taken or not, they are all there.
        execute(&t, PAID, 3);
        assert_eq!(orders.count(), 3);
        assert_eq!(orders.all().iter().map(cents).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(cents(&orders.next().await), 3);
    });
}

#[test]
fn an_event_that_is_not_wanted_yet_is_left_for_later() {
    passes(async |t: Test, _: Mailbox<()>| {
        let orders = t.telemetry(&[PAID]);
        for amount in [5, 50, 6, 60] {
            execute(&t, PAID, amount);
        }
        let mut looked_at = 0;
        let large = orders.next_where(move |event| {
            looked_at += 1;
            assert!(looked_at <= 2);
            cents(event) > 10
        });
        assert_eq!(cents(&large.await), 50);
        assert_eq!(cents(&orders.next_where(|event| cents(event) > 10).await), 60);
        assert_eq!(cents(&orders.next().await), 5);
        assert_eq!(cents(&orders.next().await), 6);
    });
}

#[test]
fn two_who_wait_get_an_event_each() {
    passes(async |t: Test, mut mailbox: Mailbox<u64>| {
        let orders = t.telemetry(&[PAID]);
        for _ in 0..2 {
            let (orders, me) = (orders.clone(), mailbox.address());
            process::spawn(async move |_: Mailbox<()>| me.send(cents(&orders.next().await)));
        }
        process::sleep(millis(1)).await;
        execute(&t, PAID, 1);
        execute(&t, PAID, 2);
        assert_receive!(mailbox, 1);
        assert_receive!(mailbox, 2);
    });
}

#[test]
fn events_can_be_sent_to_the_test() {
    #[derive(Debug)]
    enum Msg {
        Order(TelemetryEvent),
    }
    impl From<TelemetryEvent> for Msg {
        fn from(event: TelemetryEvent) -> Msg {
            Msg::Order(event)
        }
    }
    passes(async |t: Test, mut mailbox: Mailbox<Msg>| {
        t.telemetry_to(&[PLACED, PAID], mailbox.address());
        execute(&t, PLACED, 1);
        execute(&t, PAID, 2);
        assert_receive!(mailbox, Msg::Order(event) if event.name == PAID && cents(&event) == 2);
        let name = assert_receive!(mailbox, Msg::Order(event) => event.name);
        assert_eq!(name, PLACED);
    });
    passes(async |t: Test, mut mailbox: Mailbox<AnyMsg>| {
        t.telemetry_to(&[PAID], mailbox.address());
        execute(&t, PAID, 2);
        assert_receive!(mailbox as TelemetryEvent, event if cents(&event) == 2);
    });
}

#[test]
fn the_end_of_a_test_detaches_its_handlers() {
    let node = std::sync::Arc::new(std::sync::Mutex::new(None));
    let theirs = node.clone();
    each(
        async move |t: Test, mailbox: Mailbox<AnyMsg>| {
            t.telemetry(&[PAID]);
            let all = t.telemetry(events::ALL);
            t.telemetry_to(&[PAID], mailbox.address());
            let detached = t.telemetry(&[PAID]);
            detached.detach();
            detached.detach();
            t.node().telemetry().attach("my own", PAID, |_| {}).unwrap();
            let handlers = t.node().telemetry().list_handlers(PAID);
            assert_eq!(handlers.len(), 3, "{handlers:?}");
            t.start_supervised(Counter::child_spec(0)).await.unwrap();
            assert!(all.count() > 0);
            *theirs.lock().unwrap() = Some(t.node().clone());
        },
        |outcome| {
            assert!(outcome.body.is_clean(), "{}", outcome.body);
            let node = node.lock().unwrap().take().unwrap();
            let left = node.telemetry().list_handlers(&[]);
            assert_eq!(left.iter().map(|handler| &*handler.id).collect::<Vec<_>>(), ["my own"]);
        },
    );
}

#[test]
fn waiting_in_vain_shows_what_there_was() {
    let outcome = run(Some(1), "waits", async |t: Test, _: Mailbox<()>| {
        let orders = t.telemetry(&[PLACED, PAID]);
        execute(&t, PLACED, 1);
        execute(&t, PAID, 2);
        orders.next().await;
        orders.next_where(|event| cents(event) > 10).await;
    });
    let message = panic_of(&outcome);
    let begin = "no event of shop.order.placed, shop.order.paid was executed within 5s (crates/purlin-test/tests/helpers_telemetry.rs:";
    assert!(message.starts_with(begin), "{message}");
    let (_, rest) = message.split_once("); ").unwrap();
    let lines: Vec<_> = rest.lines().collect();
    assert_eq!(lines[0], "so far there were 2, 1 of them not taken:");
    assert!(lines[1].contains("shop.order.placed") && lines[1].ends_with(", taken"), "{message}");
    assert!(lines[2].contains("shop.order.paid") && lines[2].contains("Ada"), "{message}");

    let outcome = run(Some(1), "waits", async |t: Test, _: Mailbox<()>| {
        t.telemetry(&[PAID]).next_within(millis(7)).await;
    });
    let message = panic_of(&outcome);
    assert!(
        message.contains("within 7ms (") && message.ends_with("so far there were 0, 0 of them not taken"),
        "{message}"
    );
}
