use std::rc::Rc;

use purlin::prelude::*;

struct Shared(Rc<i64>);

#[gen_server]
impl Shared {
    fn init() -> Self {
        Shared(Rc::new(0))
    }

    #[call]
    fn get(&mut self) -> i64 {
        *self.0
    }

    #[cast]
    fn reset(&mut self) {
        self.0 = Rc::new(0);
    }
}

fn main() {}
