use std::rc::Rc;

use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    fn add(&mut self, by: Rc<i64>) -> i64 {
        self.0 += *by;
        self.0
    }
}

fn main() {}
