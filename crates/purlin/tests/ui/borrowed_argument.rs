use purlin::prelude::*;

struct Names(Vec<String>);

#[gen_server]
impl Names {
    fn init() -> Self {
        Names(Vec::new())
    }

    #[cast]
    fn add(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    #[call]
    fn add_all(&mut self, names: Vec<&[String]>) {
        names.iter().for_each(|names| self.0.extend_from_slice(names));
    }

    #[call]
    fn last(&self) -> Option<&String> {
        self.0.last()
    }
}

fn main() {}
