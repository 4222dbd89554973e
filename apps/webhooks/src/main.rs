//! Reliable webhook delivery on Purlin: events come in over HTTP and reach every endpoint that wants them at
//! least once, whatever falls on the way. See the README beside this package.

mod backoff;
mod config;
mod delivery;
mod demo;
mod endpoint;
mod event;
mod intake;
mod latency;
mod lease;
mod ledger;
mod listener;
mod queue;
mod receiver;
mod serve;
mod signature;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::receiver::plan::Kind;
use crate::signature::Secret;

/// Reliable webhook delivery.
#[derive(Parser)]
#[command(name = "webhooks", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Deliver to four receivers of different reliability, kill processes on the way, and check that nothing
    /// got lost
    Demo(DemoArgs),
    /// Take events over HTTP and deliver them to the endpoints of a configuration file
    Serve {
        /// Configuration file; `webhooks.example.toml` explains its form
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Be one of the demonstration's receivers
    #[command(hide = true)]
    Receiver {
        #[arg(long)]
        kind: Kind,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        lying: bool,
    },
}

#[derive(Args)]
struct DemoArgs {
    /// JSON file with payloads: an array of {"name": KIND, "examples": [PAYLOAD, …]}; without it a small
    /// built-in set is used
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// How many deliveries, at least
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count(1_000_000))]
    deliveries: u32,
    /// How many deliveries are fed in per second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = count(100_000))]
    rate: u32,
    /// Seed of ids, kills and the receivers' behaviour
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Let one receiver report one delivery fewer than it got: the check at the end must notice
    #[arg(long)]
    lying_receiver: bool,
}

/// Reads a number from 1 to `most`.
fn count(most: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=most)
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Exit status of a demonstration whose books differ.
const BOOKS_DIFFER: u8 = 1;
/// Exit status when something kept the program from doing its work.
const FAILED: u8 = 2;

#[purlin::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("webhooks: {error}");
            ExitCode::from(FAILED)
        },
    }
}

async fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Demo(args) => {
            let options = demo::Options {
                events: args.events,
                deliveries: args.deliveries as usize,
                rate: args.rate,
                seed: args.seed,
                lying_receiver: args.lying_receiver,
            };
            let agree = tokio::select! {
                // First: the demonstration itself fails when its processes are stopped.
                biased;
                () = purlin::Node::current().stopping() => {
                    return Err("stopped by a signal before the books could be compared".into());
                },
                agree = demo::run(options) => agree?,
            };
            Ok(if agree { ExitCode::SUCCESS } else { ExitCode::from(BOOKS_DIFFER) })
        },
        Command::Serve { config } => {
            serve::run(&config).await?;
            Ok(ExitCode::SUCCESS)
        },
        Command::Receiver { kind, seed, lying } => {
            let secret = std::env::var(receiver::SECRET_VARIABLE)
                .map_err(|_| format!("the environment variable {} is not set", receiver::SECRET_VARIABLE))?;
            let secret = Secret::parse(&secret)?;
            receiver::run(receiver::Options { kind, seed, secret, lying }).await?;
            Ok(ExitCode::SUCCESS)
        },
    }
}
