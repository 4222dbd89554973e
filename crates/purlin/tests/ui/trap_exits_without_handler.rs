use purlin::prelude::*;

struct Parent;

#[gen_server]
impl Parent {
    fn init(cx: &mut Cx<Self>) -> Self {
        cx.trap_exits(true);
        Parent
    }
}

fn main() {}
