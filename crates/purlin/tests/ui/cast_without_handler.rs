use purlin::prelude::*;

struct Counter(i64);
struct Reset;

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    fn get(&self) -> i64 {
        self.0
    }
}

fn casts(counter: Ref<Counter>) {
    counter.cast(Reset);
}

fn main() {}
