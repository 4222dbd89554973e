use purlin::prelude::*;

struct Machine(bool);

#[gen_server]
impl Machine {
    fn init() -> Self {
        Machine(false)
    }

    #[cast]
    fn start(&mut self) {
        self.0 = true;
    }

    #[cast]
    fn stop(&mut self) {
        self.0 = false;
    }

    #[call]
    fn terminate(&mut self) {}
}

fn main() {}
