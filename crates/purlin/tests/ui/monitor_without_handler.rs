use purlin::prelude::*;

struct Watcher;

#[gen_server]
impl Watcher {
    fn init() -> Self {
        Watcher
    }

    #[cast]
    fn watch(&mut self, pid: Pid, cx: &mut Cx<Self>) {
        cx.monitor(pid);
    }
}

fn main() {}
