use std::rc::Rc;

use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    async fn slow(&mut self) -> i64 {
        let step = Rc::new(1);
        process::sleep(secs(1)).await;
        self.0 += *step;
        self.0
    }
}

fn main() {}
