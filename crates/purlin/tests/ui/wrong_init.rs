use purlin::prelude::*;

struct Nothing;

#[gen_server]
impl Nothing {
    fn init(_: i64) {}
}

struct Itself;

#[gen_server]
impl Itself {
    fn init(&mut self) -> Self {
        Itself
    }
}

struct Optional;

#[gen_server]
impl Optional {
    fn init() -> Option<Self> {
        None
    }
}

fn main() {}
