use purlin::prelude::*;

struct Counter(i64);

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

async fn text(counter: Ref<Counter>) -> Result<String> {
    Ok(counter.get().await?)
}

fn main() {}
