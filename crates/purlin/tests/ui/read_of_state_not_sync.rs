use std::cell::Cell;

use purlin::prelude::*;

struct Lazy(Cell<i64>);

#[gen_server]
impl Lazy {
    fn init() -> Self {
        Lazy(Cell::new(0))
    }

    #[call]
    fn get(&self) -> i64 {
        self.0.get()
    }
}

fn main() {}
