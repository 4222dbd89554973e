//! `serve`: the intake and the deliveries of a configuration file, until the program is told to stop.

use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::config::Config;
use crate::system::{Settings, System};

/// Runs until SIGTERM or SIGINT (Ctrl-C), or until the processes fall faster than their supervisor may replace
/// them. Logs to standard error.
pub(crate) async fn run(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Config { listen, queue_limit, endpoints } = Config::load(path)?;
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let count = endpoints.len();
    let asked = asked_to_stop()?;
    let cannot_listen = |error| format!("cannot listen on {listen}: {error}");
    let socket = TcpListener::bind(listen).map_err(cannot_listen)?;
    socket.set_nonblocking(true).map_err(cannot_listen)?;
    let address = socket.local_addr()?;
    let settings = Settings { seed: fastrand::u64(..), keep_ids: false, queue_limit };
    let system = System::start(endpoints, settings, socket).await?;
    println!("listening on http://{address}: POST /events, GET /status; delivering to {count} endpoints");
    tokio::select! {
        // First: the same signal makes `#[purlin::main]` stop the processes.
        biased;
        () = asked => {
            system.stop().await;
            Ok(())
        },
        reason = system.ended() => Err(format!("all processes have stopped: {reason}; see the log above").into()),
    }
}

/// Becomes ready when the program is asked to end.
#[cfg(unix)]
pub(crate) fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
        }
    })
}

/// Becomes ready when the program is asked to end.
#[cfg(not(unix))]
pub(crate) fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
