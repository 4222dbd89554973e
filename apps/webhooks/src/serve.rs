//! `serve`: the intake and the deliveries of a configuration file, until the program is told to stop.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::intake;
use crate::system::{Settings, System};

/// Runs until the intake's socket fails; the caller ends it by dropping the future. Logs to standard error.
pub(crate) async fn run(path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Config { listen, queue_limit, endpoints } = Config::load(path)?;
    let count = endpoints.len();
    let mut rng = fastrand::Rng::new();
    let system = Arc::new(System::start(endpoints, Settings { seed: rng.u64(..), keep_ids: false }).await?);
    let listener =
        TcpListener::bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}: POST /events, GET /status; delivering to {count} endpoints");
    let router = intake::router(system.clone(), system.subscriptions(), queue_limit, rng);
    axum::serve(listener, router).await?;
    Ok(())
}
