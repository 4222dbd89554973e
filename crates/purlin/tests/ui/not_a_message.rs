use purlin::prelude::*;

struct Shelf(Vec<String>);

#[gen_server]
impl Shelf {
    fn init() -> Self {
        Shelf(Vec::new())
    }

    #[call]
    fn generic<T: ToString>(&mut self, value: T) {
        self.0.push(value.to_string());
    }

    #[call]
    fn anything(&mut self, value: impl ToString + Send + 'static) {
        self.0.push(value.to_string());
    }

    #[call]
    fn into_books(self) -> Vec<String> {
        self.0
    }

    #[call]
    async fn without_self(number: i64) -> i64 {
        number
    }

    #[call]
    fn changes_the_process_by_reading(&self, cx: &mut Cx<Self>) {
        cx.stop(ExitReason::Normal);
    }

    #[cast]
    fn answers_nobody(&mut self) -> usize {
        self.0.len()
    }

    #[info]
    fn no_message(&mut self) {}

    #[info]
    fn two_messages(&mut self, _: Down, _: Exit) {}

    #[info]
    fn down(&mut self, _: Down) {}

    #[info]
    fn down_again(&mut self, _: Down) {}

    #[handle_call]
    fn elixir(&mut self) {}

    #[call]
    fn context_first(&mut self, _: &mut Cx<Self>, _: i64) {}
}

fn main() {}
