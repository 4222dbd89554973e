//! A server that subscribes to messages which it does not handle.

use purlin::prelude::*;

#[derive(Clone)]
struct Price(u32);

static PRICES: PubSub<Price> = PubSub::named("prices");

struct Watcher;

#[gen_server]
impl Watcher {
    fn init() -> Self { Watcher }

    #[call]
    fn watch(&mut self, cx: &mut Cx<Self>) -> bool {
        PRICES.subscribe(cx, "tea").is_ok()
    }
}

fn main() {
    let _ = Price(1).0;
}
