use purlin::prelude::*;

struct Parser;
struct Parse(String);

#[gen_server]
impl Parser {
    fn init() -> Self {
        Parser
    }
}

// `HandleCall<Parse, OrCrash>` is what is meant.
impl HandleCall<Parse> for Parser {
    type Reply = i64;
    async fn handle_call(&mut self, Parse(text): Parse, _: &mut Cx<Self>) -> Result<i64, Crash> {
        Ok(text.parse()?)
    }
}

fn main() {}
