use purlin::prelude::*;

struct Counter(i64);
struct Put(i64);
struct Add(i64);

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

impl HandleCall<Add> for Counter {
    type Reply = ();
    async fn handle_call(&mut self, Add(by): Add, _: &mut Cx<Self>) {
        self.0 += by;
    }
}

async fn calls(counter: Ref<Counter>) -> Result<()> {
    counter.call(Put(1)).await?;
    Ok(())
}

fn main() {}
