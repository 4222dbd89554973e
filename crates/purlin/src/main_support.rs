//! What `#[purlin::main]` expands to: a runtime, a node, signals, and an orderly stop.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::process::{ExitCode, Termination};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use purlin_core::Node;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// How long `main` may go on when a signal has stopped all processes: enough to see that they ended, and to say so.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// How long blocking work (`spawn_blocking`) may go on when all else has ended.
const BLOCKING_WORK: Duration = Duration::from_secs(5);

/// A program about to run.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Program {
    worker_threads: Option<usize>,
    current_thread: bool,
    name: Option<&'static str>,
}

impl Program {
    /// With the default settings.
    pub fn new() -> Program {
        Program::default()
    }

    /// With this many worker threads, instead of one per core.
    pub fn worker_threads(mut self, count: usize) -> Program {
        self.worker_threads = Some(count);
        self
    }

    /// With one thread for everything.
    pub fn current_thread(mut self) -> Program {
        self.current_thread = true;
        self
    }

    /// With this name for the node.
    pub fn name(mut self, name: &'static str) -> Program {
        self.name = Some(name);
        self
    }

    /// Runs `main` to its end, or to the end that a signal asks for.
    ///
    /// # Panics
    /// When `main` does (the node has been stopped then), or when there are no resources for a runtime.
    pub fn run<F>(self, main: F) -> ExitCode
    where
        F: Future,
        F::Output: Termination,
    {
        let runtime =
            self.runtime().unwrap_or_else(|error| panic!("a tokio runtime could not be built: {error}"));
        let entered = runtime.enter();
        let mut node = Node::builder();
        if let Some(name) = self.name {
            node = node.name(name);
        }
        let node = node.start();
        let (watch, stopped) = Watch::start(&node);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(node.scope(until_stopped(main, stopped, stops_by_itself(&node))))
        }));
        runtime.block_on(node.shutdown());
        drop(entered);
        runtime.shutdown_timeout(BLOCKING_WORK);
        drop(watch);
        let code = match outcome {
            Ok(Some(output)) => output.report(),
            Ok(None) => ExitCode::SUCCESS,
            Err(panic) => resume_unwind(panic),
        };
        // An application that the program must not do without has ended: whoever started the program is to see that.
        if node.stop_reason().is_some() && code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
    }

    fn runtime(&self) -> io::Result<Runtime> {
        let mut builder =
            if self.current_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
        if let Some(count) = self.worker_threads {
            builder.worker_threads(count);
        }
        builder.enable_all().build()
    }
}

/// Waits until the node has stopped by itself, if it does.
async fn stops_by_itself(node: &Node) {
    node.stopping().await;
    match node.stop_reason() {
        Some(_) => node.shutdown().await,
        None => std::future::pending().await,
    }
}

/// Drives `main` to its end, also while a signal stops the processes, or the node does so by itself; `None` if it goes on when they are gone.
async fn until_stopped<F: Future>(
    main: F,
    mut stopped: oneshot::Receiver<()>,
    by_itself: impl Future<Output = ()>,
) -> Option<F::Output> {
    let (mut main, mut by_itself) = (pin!(main), pin!(by_itself));
    let output = poll_fn(|cx| {
        if let Poll::Ready(output) = main.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if by_itself.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut stopped).poll(cx).map(|_| None)
    })
    .await;
    match output {
        Some(output) => Some(output),
        None => tokio::time::timeout(LAST_WORDS, main).await.ok(),
    }
}

/// Watches for signals, on a thread of its own: a program whose threads are all busy must hear them too. Ends when dropped.
struct Watch {
    /// Dropped, it tells the thread to end. Without a thread it is the sender that a stop would have come from.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins; the receiver hears when a signal has stopped the node.
    fn start(node: &Node) -> (Watch, oneshot::Receiver<()>) {
        let (end, ended) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let node = node.clone();
        let thread = || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let signals = {
                let _entered = runtime.enter();
                signal::Signals::new()?
            };
            let watch = move || runtime.block_on(until_ended(stop_on_signal(signals, node, stop), ended));
            thread::Builder::new().name("purlin-signals".to_owned()).spawn(watch)
        };
        match thread() {
            Ok(thread) => (Watch { end: Some(end), thread: Some(thread) }, stopped),
            Err(error) => {
                let error: io::Error = error;
                tracing::warn!(target: "purlin::main", %error, "signals cannot be watched: they will end the program at once");
                // A sender that goes looks like a stop: without signals it stays here.
                let (never, stopped) = oneshot::channel();
                (Watch { end: Some(never), thread: None }, stopped)
            },
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Drives `watch` until the other half of `ended` goes.
async fn until_ended(watch: impl Future<Output = ()>, mut ended: oneshot::Receiver<()>) {
    let mut watch = pin!(watch);
    poll_fn(|cx| match watch.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => Pin::new(&mut ended).poll(cx).map(drop),
    })
    .await;
}

/// Stops the node when a signal asks for it, and the program when a second one does.
async fn stop_on_signal(mut signals: signal::Signals, node: Node, stop: oneshot::Sender<()>) {
    let name = signals.next().await.name;
    tracing::info!(target: "purlin::main", signal = name, "stopping; a second signal ends the program at once");
    let mut stopping = pin!(async move {
        node.shutdown().await;
        // It fails when `main` has returned meanwhile.
        let _ = stop.send(());
    });
    let mut second = pin!(signals.next());
    let mut stopped = false;
    let signal = poll_fn(|cx| {
        stopped = stopped || stopping.as_mut().poll(cx).is_ready();
        second.as_mut().poll(cx)
    })
    .await;
    tracing::warn!(target: "purlin::main", signal = signal.name, "ending at once");
    #[expect(
        clippy::disallowed_methods,
        reason = "the person at the terminal does not want to wait for the orderly stop"
    )]
    std::process::exit(signal.status);
}

/// The signals that ask a program to end.
mod signal {
    /// One that arrived.
    pub(super) struct Signal {
        pub(super) name: &'static str,
        /// The status that a program ended by it has.
        pub(super) status: i32,
    }

    #[cfg(not(unix))]
    pub(super) use other::Signals;
    #[cfg(unix)]
    pub(super) use unix::Signals;

    #[cfg(unix)]
    mod unix {
        use std::future::poll_fn;
        use std::io;
        use std::task::Poll;

        use tokio::signal::unix::{self, SignalKind};

        use super::Signal;

        pub(in super::super) struct Signals {
            terminate: unix::Signal,
            interrupt: unix::Signal,
        }

        impl Signals {
            pub(in super::super) fn new() -> io::Result<Signals> {
                let terminate = unix::signal(SignalKind::terminate())?;
                Ok(Signals { terminate, interrupt: unix::signal(SignalKind::interrupt())? })
            }

            pub(in super::super) async fn next(&mut self) -> Signal {
                poll_fn(|cx| {
                    if let Poll::Ready(Some(())) = self.terminate.poll_recv(cx) {
                        return Poll::Ready(Signal { name: "SIGTERM", status: 128 + 15 });
                    }
                    if let Poll::Ready(Some(())) = self.interrupt.poll_recv(cx) {
                        return Poll::Ready(Signal { name: "SIGINT", status: 128 + 2 });
                    }
                    Poll::Pending
                })
                .await
            }
        }
    }

    #[cfg(not(unix))]
    mod other {
        use std::io;

        use super::Signal;

        pub(in super::super) struct Signals;

        impl Signals {
            pub(in super::super) fn new() -> io::Result<Signals> {
                Ok(Signals)
            }

            pub(in super::super) async fn next(&mut self) -> Signal {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
                Signal { name: "Ctrl-C", status: 130 }
            }
        }
    }
}
