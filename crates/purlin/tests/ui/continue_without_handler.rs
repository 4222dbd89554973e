use purlin::prelude::*;

struct Counter(i64);
struct Load;

#[gen_server]
impl Counter {
    fn init(cx: &mut Cx<Self>) -> Self {
        cx.continue_with(Load);
        Counter(0)
    }
}

fn main() {}
