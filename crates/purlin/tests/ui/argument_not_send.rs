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

    #[cast]
    fn set(&mut self, to: Rc<i64>) {
        self.0 = *to;
    }

    #[call]
    fn shared(&mut self) -> Rc<i64> {
        Rc::new(self.0)
    }
}

fn main() {}
