//! Proves that the code of `guide/testing.md` does what the guide says: it stands here, block by block, as it does there.

use purlin::prelude::*;

struct Stock {
    left: u32,
    watcher: Option<Address<Notice>>,
}

#[derive(Debug, PartialEq)]
enum Notice {
    Low(u32),
    SoldOut,
}

/// Sent by the stock to itself.
struct Delivery;

#[gen_server]
impl Stock {
    fn init(left: u32, cx: &mut Cx<Self>) -> Self {
        cx.send_after(secs(3600), Delivery);
        Stock { left, watcher: None }
    }

    #[call]
    fn left(&self) -> u32 {
        self.left
    }

    #[call]
    fn take(&mut self) -> u32 {
        assert!(self.left > 0, "nothing left to take");
        self.left -= 1;
        match (&self.watcher, self.left) {
            (Some(watcher), 0) => watcher.send(Notice::SoldOut),
            (Some(watcher), left @ 1..3) => watcher.send(Notice::Low(left)),
            _ => {},
        }
        self.left
    }

    #[cast]
    fn watch(&mut self, watcher: Address<Notice>) {
        self.watcher = Some(watcher);
    }

    #[info]
    fn delivery(&mut self, _: Delivery, cx: &mut Cx<Self>) {
        self.left += 10;
        cx.send_after(secs(3600), Delivery);
    }
}

use purlin_test::Test;

#[purlin::test]
async fn taking_makes_the_stock_smaller(t: Test) -> Result<()> {
    let stock = t.start_supervised(Stock::child_spec(10)).await?;
    assert_eq!(stock.take().await?, 9);
    assert_eq!(stock.left().await?, 9);
    Ok(())
}

use purlin_test::{assert_receive, refute_received};

#[purlin::test]
async fn a_watcher_is_told_when_little_is_left(t: Test, mut mailbox: Mailbox<Notice>) -> Result<()> {
    let stock = t.start_supervised(Stock::child_spec(4)).await?;
    stock.watch(mailbox.address());
    stock.take().await?;
    refute_received!(mailbox, Notice::Low(_));
    stock.take().await?;
    let left = assert_receive!(mailbox, Notice::Low(left) => left);
    assert_eq!(left, 2);
    Ok(())
}

struct Till {
    sold: u32,
}

#[gen_server]
impl Till {
    fn init(sold: u32) -> Self {
        Till { sold }
    }

    #[call]
    async fn sell(&mut self) -> Result<u32, Crash> {
        Stock::named("stock").take().await?;
        self.sold += 1;
        Ok(self.sold)
    }
}

fn shop() -> SupervisorSpec {
    Supervisor::rest_for_one()
        .child(Stock::child_spec(2).name("stock"))
        .child(Till::child_spec(0).name("till"))
}

use purlin::telemetry::events;

#[purlin::test]
async fn a_till_is_restarted_with_its_stock(t: Test) -> Result<()> {
    t.start_supervised(shop()).await?;
    let till = Till::named("till");
    assert_eq!(till.sell().await?, 1);

    let restarts = t.telemetry(&[events::SUPERVISOR_CHILD_RESTART]);
    let stock = process::whereis("stock").expect("the shop is open");
    process::exit(stock, ExitReason::error("water damage"));
    for child in ["stock", "till"] {
        assert_eq!(restarts.next().await.metadata.str("child_id"), Some(child));
    }
    assert_eq!(till.sell().await?, 1);
    Ok(())
}

#[purlin::test]
async fn a_shop_gives_up_after_three_restarts(t: Test, mut mailbox: Mailbox<AnyMsg>) -> Result<()> {
    let shop = t.start_supervised(shop().child_spec().restart(Temporary)).await?;
    mailbox.monitor(shop.pid());
    let restarts = t.telemetry(&[events::SUPERVISOR_CHILD_RESTART]);
    for crash in 0..4 {
        let stock = process::whereis("stock").expect("the shop is open");
        process::exit(stock, ExitReason::error("water damage"));
        if crash < 3 {
            restarts.next_where(|event| event.metadata.str("child_id") == Some("till")).await;
        }
    }
    let reason = assert_receive!(mailbox as Down, Down { reason, .. } => reason);
    assert_eq!(reason, ExitReason::Shutdown);
    assert!(t.logs().contains("water damage"));
    Ok(())
}

#[purlin::test(sim, seeds = 20)]
async fn a_delivery_comes_every_hour(t: Test) -> Result<()> {
    let stock = t.start_supervised(Stock::child_spec(0)).await?;
    process::sleep(secs(10 * 3600 + 1)).await;
    assert_eq!(stock.left().await?, 100);
    Ok(())
}

async fn buy(stock: &Ref<Stock>) -> Result<bool> {
    if stock.left().await? == 0 {
        return Ok(false);
    }
    stock.take().await?;
    Ok(true)
}

#[purlin::test(sim, seeds = 500)]
#[should_panic(expected = "a customer crashed")]
async fn the_last_one_is_sold_once(t: Test) -> Result<()> {
    let stock = t.start_supervised(Stock::child_spec(1).restart(Temporary)).await?;
    let customers = [(); 2].map(|()| {
        let stock = stock.clone();
        process::spawn(async move |_: Mailbox<()>| {
            buy(&stock).await.unwrap();
        })
    });
    for customer in customers {
        assert!(customer.wait().await.is_normal(), "a customer crashed");
    }
    Ok(())
}

use purlin_test::Sim;

#[test]
fn a_shop_sells_on_whoever_is_killed() {
    Sim::new().seeds(100).kill_random(0.01).run(async |sim: Sim| {
        // Whoever is killed may still be starting.
        while sim.test().start_supervised(shop()).await.is_err() {}
        let till = Till::named("till");
        for _ in 0..20 {
            // A sale fails when the till or the stock is killed, or nothing is left: both are new a moment later.
            while till.sell().await.is_err() {
                assert!(sim.now() < secs(24 * 3600), "the shop stays closed");
                process::sleep(secs(60)).await;
            }
        }
    });
}

#[test]
fn the_guide_shows_this_file() {
    let guide = include_str!("../../../guide/testing.md");
    let blocks: Vec<_> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 5);
    for block in blocks {
        assert!(
            include_str!("guide.rs").contains(block),
            "this block of the guide is not in tests/guide.rs:\n{block}"
        );
    }
}
