//! `cargo xtask soak ..`: builds and runs `purlin-stress soak ..` with the same arguments.

use std::process::{Command, ExitCode};

/// Passes the arguments on.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--release", "--package", "purlin-stress", "--", "soak"]).args(arguments);
    match cargo.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: cargo cannot be started: {error}");
            ExitCode::from(2)
        },
    }
}
