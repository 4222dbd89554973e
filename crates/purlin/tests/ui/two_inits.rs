use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    fn init(start: i64) -> Self {
        Counter(start)
    }

    #[call]
    fn get(&self) -> i64 {
        self.0
    }
}

async fn starts() -> Result<i64> {
    Ok(Counter::start(()).await?.get().await?)
}

fn main() {}
