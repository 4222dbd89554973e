//! The process that the intake's HTTP server belongs to.
//!
//! The socket itself is opened once and outlives this process: while a supervisor replaces it, connections wait
//! in the socket's backlog instead of being refused.

use std::sync::Arc;
use std::time::Duration;

use purlin::prelude::*;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long requests under way may take when the listener stops. Its supervisor would wait for 5 seconds.
const LAST_REQUESTS: Duration = Duration::from_secs(3);

/// What the listener is started with.
#[derive(Clone)]
pub(crate) struct ListenerArgs {
    /// Bound and listening, in non-blocking mode.
    pub(crate) socket: Arc<std::net::TcpListener>,
    /// What answers the requests.
    pub(crate) router: axum::Router,
}

/// Takes connections until it is stopped; then requests under way are answered, and idle connections closed.
pub(crate) struct Listener {
    server: Pid,
    stop: Option<oneshot::Sender<()>>,
}

#[gen_server]
impl Listener {
    fn init(args: ListenerArgs, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        // So that `terminate` runs when the supervisor stops it.
        cx.trap_exits(true);
        let listener = TcpListener::from_std(args.socket.try_clone()?)?;
        let (stop, stopped) = oneshot::channel();
        let server = process::spawn_link(async move |_mailbox: Mailbox<()>| {
            let stopped = async {
                // The sender's end stops it as well: then this process is gone.
                let _ = stopped.await;
            };
            // Errors of single connections do not end it; it returns when it has been stopped.
            let _ = axum::serve(listener, args.router).with_graceful_shutdown(stopped).await;
        });
        Ok(Listener { server: server.pid(), stop: Some(stop) })
    }

    #[info]
    fn exit(&mut self, exit: Exit) -> Result<(), Crash> {
        Err(Crash::msg(format!("the HTTP server ended: {}", exit.reason)))
    }

    async fn terminate(&mut self, _reason: &ExitReason) {
        if let Some(stop) = self.stop.take() {
            // It fails when the server has ended, which is what is wanted.
            let _ = stop.send(());
            if tokio::time::timeout(LAST_REQUESTS, process::wait(self.server)).await.is_err() {
                tracing::warn!("requests were still coming in after {LAST_REQUESTS:?}; they are cut off");
            }
        }
    }
}
