//! `serve`: the intake and the deliveries of a configuration file, until the program is told to stop.

use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use purlin::Node;

use crate::config::Config;
use crate::system::{Settings, System};

/// Runs until SIGTERM or SIGINT (Ctrl-C), or until the processes fall faster than their supervisor may replace
/// them. Logs to standard error.
pub(crate) async fn run(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Config { listen, queue_limit, endpoints } = Config::load(path)?;
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let count = endpoints.len();
    let cannot_listen = |error| format!("cannot listen on {listen}: {error}");
    let socket = TcpListener::bind(listen).map_err(cannot_listen)?;
    socket.set_nonblocking(true).map_err(cannot_listen)?;
    let address = socket.local_addr()?;
    let settings = Settings { seed: fastrand::u64(..), keep_ids: false, queue_limit };
    let system = System::start(endpoints, settings, socket).await?;
    println!("listening on http://{address}: POST /events, GET /status; delivering to {count} endpoints");
    let reason = system.ended().await;
    if Node::current().is_stopping() {
        return Ok(());
    }
    Err(format!("all processes have stopped: {reason}; see the log above").into())
}
