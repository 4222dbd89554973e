//! An agent's state that several threads may not look at cannot be read by `get`.

use purlin::prelude::*;
use std::cell::RefCell;

fn main() {
    let agent: Agent<RefCell<u32>> = Agent::named("cell");
    let _ = agent.get(|cell| *cell.borrow());
}
