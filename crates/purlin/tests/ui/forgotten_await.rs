#![deny(warnings)]

use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    fn increment(&mut self, by: i64) -> i64 {
        self.0 += by;
        self.0
    }
}

fn main() {
    let _ = |counter: Ref<Counter>| {
        counter.increment(1);
    };
}
