use purlin::prelude::*;

struct Counter(i64);

#[gen_server]
impl Counter {
    fn init() -> Self {
        Counter(0)
    }

    #[call]
    fn increment(&mut self, by: i64) -> i64 {
        self.0 += by;
        self.0
    }

    #[cast]
    fn reset(&mut self) {
        self.0 = 0;
    }
}

async fn uses(counter: Ref<Counter>) -> Result<()> {
    counter.increment().await?;
    counter.reset(1);
    counter.incremet(1).await?;
    Ok(())
}

fn main() {}
