use purlin::prelude::*;

type Outcome<T> = Result<T, Crash>;

struct Parser<T>(T);

#[gen_server]
impl<T: Clone + Send + Sync + 'static> Parser<T> {
    fn init(first: T) -> Self {
        Parser(first)
    }

    #[call]
    fn parse(&mut self, text: String) -> Outcome<i64> {
        Ok(text.parse()?)
    }

    #[call]
    fn first(&self) -> Outcome<T> {
        Ok(self.0.clone())
    }

    #[cast]
    fn put(&mut self, first: T) -> Outcome<()> {
        self.0 = first;
        Ok(())
    }
}

fn main() {}
