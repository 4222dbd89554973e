mod shop {
    use purlin::prelude::*;

    pub struct Counter(i64);

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
}

use purlin::prelude::*;

async fn uses(counter: Ref<shop::Counter>) -> Result<i64> {
    Ok(counter.get().await?)
}

fn main() {}
