//! The counter of the README, as it stands there.
#![cfg_attr(rustfmt, rustfmt_skip)]

use purlin::prelude::*;

struct Counter { value: i64 }

#[gen_server]
impl Counter {
    fn init(start: i64) -> Self { Counter { value: start } }

    #[call] fn increment(&mut self, by: i64) -> i64 { self.value += by; self.value }
    #[call] fn get(&self) -> i64 { self.value }     // `&self`: reads run in parallel
    #[cast] fn reset(&mut self) { self.value = 0 }
}

#[purlin::main]
async fn main() -> Result<()> {
    Supervisor::one_for_one().child(Counter::child_spec(0).name("counter")).start_link().await?;

    let counter = Counter::named("counter");        // whoever has the name: survives restarts
    println!("{}", counter.increment(5).await?);    // a call: typed reply, 5 s deadline
    counter.reset();                                // a cast: nobody waits
    println!("{}", counter.get().await?);
    Ok(())
}
