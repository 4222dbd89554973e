//! Tests that fail on purpose, each run in a process of its own by those that look at how.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use purlin::prelude::*;
use purlin_test::{Sim, Test};

/// Runs one of these tests; whether it passed, and what it printed.
pub(crate) fn run_subject(name: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("subjects::{name}"), "--exact", "--ignored", "--nocapture"]);
    for variable in ["PURLIN_SIM_SEED", "PURLIN_SIM_SEEDS", "PURLIN_SIM_REPLAY"] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    (output.status.success(), text)
}

struct Account(u64);

#[gen_server]
impl Account {
    fn init(start: u64) -> Self {
        Account(start)
    }
    #[call]
    fn read(&self) -> u64 {
        self.0
    }
    #[call]
    fn write(&mut self, value: u64) {
        self.0 = value;
    }
}

#[purlin::test(sim, seeds = 1000)]
#[ignore = "fails on purpose"]
async fn loses_an_update(t: Test) -> Result<()> {
    let account = t.start_supervised(Account::child_spec(0)).await?;
    let payers: Vec<_> = (0..2)
        .map(|_| {
            let account = account.clone();
            process::spawn(async move |_: Mailbox<()>| {
                let balance = account.read().await.unwrap();
                account.write(balance + 1).await.unwrap();
            })
        })
        .collect();
    for payer in payers {
        payer.wait().await;
    }
    assert_eq!(account.read().await?, 2);
    Ok(())
}

#[purlin::test(sim, seeds = 100)]
#[ignore = "fails on purpose"]
async fn fails_with_a_pid_of_another_node(sim: Sim) {
    let other = sim.start_node("other");
    let there = other.scope(async { process::spawn(async |_: Mailbox<()>| {}) }).await;
    panic!("it was {}", there.pid());
}

#[purlin::test(sim, seeds = 100)]
#[ignore = "fails on purpose"]
async fn iterates_a_hash_map() {
    let map: HashMap<u32, u32> = (0..50).map(|n| (n, n)).collect();
    for n in map.keys().take(10) {
        process::sleep(millis(u64::from(*n))).await;
    }
}

#[purlin::test(sim, seeds = 100)]
#[ignore = "fails on purpose"]
async fn looks_at_the_real_clock() {
    let begin = Instant::now();
    for _ in 0..100 {
        process::yield_now().await;
    }
    if begin.elapsed().as_micros() > 2500 {
        process::sleep(secs(1)).await;
    }
}

#[purlin::test(sim)]
#[ignore = "fails on purpose"]
async fn uses_a_thread() {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || tell.send(()));
    // The clock stands still as long as tokio has something to wait for outside.
    tokio::task::spawn_blocking(|| ()).await.unwrap();
    let _ = told.await;
}

#[purlin::test(sim)]
#[ignore = "fails on purpose"]
async fn opens_a_socket() {
    let _ = tokio::net::TcpListener::bind("127.0.0.1:0").await;
}

#[purlin::test(sim)]
#[ignore = "fails on purpose"]
async fn waits_for_nothing(mut mailbox: Mailbox<()>) {
    mailbox.receive().await;
}

#[purlin::test(sim)]
#[ignore = "fails on purpose"]
async fn leaves_a_process(_sim: Sim) {
    process::spawn(async |mut mailbox: Mailbox<()>| {
        process::set_label("leaves_a_process");
        mailbox.receive().await;
    });
}

#[purlin::test(sim)]
#[ignore = "fails on purpose"]
async fn dies_with_a_linked_process(mut mailbox: Mailbox<()>) {
    process::spawn_link(async |_: Mailbox<()>| panic!("as meant"));
    mailbox.receive().await;
}
