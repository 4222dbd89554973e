use purlin::prelude::*;

#[gen_server]
struct Counter(i64);

#[gen_server]
impl Default for Counter {
    fn default() -> Self {
        Counter(0)
    }
}

struct Borrowing<'a>(&'a str);

#[gen_server]
impl<'a> Borrowing<'a> {
    fn init() -> Self {
        Borrowing("")
    }
}

struct Options;

#[gen_server(name = "options")]
impl Options {
    fn init() -> Self {
        Options
    }
}

fn main() {}
