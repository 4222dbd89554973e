//! `purlin-instr OP N`: does one hot operation N times, after a fixed warm-up, and nothing else.
//!
//! `cargo xtask instr` runs it under callgrind for two values of N. The difference of the two counts, divided by the difference of the
//! two N, is the number of instructions of one operation: whatever comes before and after the loop cancels out. `purlin-instr list`
//! prints the operations, one per line.
//!
//! Everything that could differ between two runs is fixed: one thread, a seeded node, no watchdog, the call path forced. What is left is
//! real time, which decides when an executor gives way to tokio; see [`ops`] for how the operations keep it out of the figures.
#![forbid(unsafe_code)]

mod ops;
mod servers;

use std::process::ExitCode;

use purlin_core::{AnyMsg, Mailbox, Node, process};

use crate::ops::{OPS, Op};

/// Operations done before the counted ones: pools are filled, maps and queues have grown, lazy statics are there.
const WARM_UP: u64 = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            OPS.iter().for_each(|op| println!("{}", op.name));
            ExitCode::SUCCESS
        },
        [name, n] => match (OPS.iter().find(|op| op.name == name), n.parse()) {
            (Some(op), Ok(n)) => run(op, n),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: purlin-instr list | purlin-instr OP N");
    ExitCode::from(2)
}

/// Runs the operation in a process of a node of its own.
fn run(op: &Op, n: u64) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("purlin-instr: no runtime: {error}");
            return ExitCode::from(2);
        },
    };
    let reason = runtime.block_on(async {
        let node = Node::builder()
            .name("instr")
            .seed(1)
            .watchdog(false)
            .backtraces(false)
            .stderr_reports(false)
            .call_path(op.path)
            .start();
        let body = op.run;
        let work = async move {
            let client =
                process::spawn(async move |mailbox: Mailbox<AnyMsg>| body(mailbox, WARM_UP + n).await);
            process::wait(client.pid()).await
        };
        let reason = node.scope(work).await;
        node.shutdown().await;
        reason
    });
    if reason.is_normal() {
        return ExitCode::SUCCESS;
    }
    eprintln!("purlin-instr: {} failed: {reason}", op.name);
    ExitCode::FAILURE
}
