use purlin::prelude::*;

struct Clock;
struct Tick;

#[gen_server]
impl Clock {
    fn init(cx: &mut Cx<Self>) -> Self {
        cx.send_after(secs(1), Tick);
        cx.timeout(secs(5));
        Clock
    }
}

fn main() {}
