use std::rc::Rc;

use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    fn shared(&mut self) -> Option<Rc<i64>> {
        Some(Rc::new(self.0))
    }
}

fn main() {}
