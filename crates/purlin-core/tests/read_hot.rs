//! A server that is read often is read without being counted; proves that nobody notices except by speed.

use std::sync::{Arc, Mutex, mpsc};

use purlin_core::*;

/// Two numbers that are equal between two messages.
struct Pair {
    left: u64,
    right: u64,
    gate: Option<Gate>,
}

/// Where a read waits: it tells that it has begun, and goes on when told to.
#[derive(Clone)]
struct Gate {
    begun: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

struct Bump;
struct Look;
struct Stay;

impl GenServer for Pair {
    type Args = Option<Gate>;
    async fn init(gate: Option<Gate>, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Pair { left: 0, right: 0, gate })
    }
}

impl Pair {
    fn bump(&mut self) -> u64 {
        self.left += 1;
        // Time for a reader to see half a change, if one could.
        std::hint::black_box((0..20).fold(self.left, |a, b| a ^ b));
        self.right += 1;
        self.right
    }
}

impl HandleCall<Bump> for Pair {
    type Reply = u64;
    async fn handle_call(&mut self, _: Bump, _: &mut Cx<Self>) -> u64 {
        self.bump()
    }
}

impl HandleCast<Bump> for Pair {
    async fn handle_cast(&mut self, _: Bump, _: &mut Cx<Self>) {
        self.bump();
    }
}

impl HandleRead<Look> for Pair {
    type Reply = (u64, u64);
    fn handle_read(&self, _: Look, _: &ReadCx<Self>) -> (u64, u64) {
        (self.left, self.right)
    }
}

impl HandleRead<Stay> for Pair {
    type Reply = u64;
    fn handle_read(&self, _: Stay, _: &ReadCx<Self>) -> u64 {
        if let Some(gate) = &self.gate {
            gate.begun.send(()).expect("the test waits for it");
            gate.go_on.lock().expect("not poisoned").recv().expect("the test lets it go on");
        }
        self.right
    }
}

fn run<R>(workers: usize, body: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_time()
        .build()
        .expect("builds");
    runtime.block_on(async {
        let node = Node::builder().start();
        let result = node.scope(body).await;
        node.shutdown().await;
        result
    })
}

/// So many reads that a server counts as read-hot, by far.
const HOT: usize = 5_000;

#[test]
fn readers_never_see_half_a_change_however_often_the_server_is_read() {
    run(2, async {
        let server = Pair::start(None).await.expect("starts");
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let server = server.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let mut before = 0;
                    for _ in 0..HOT {
                        let (left, right) = server.call(Look).await.expect("is read");
                        assert_eq!(left, right, "half a change");
                        assert!(before <= left, "{left} after {before}");
                        before = left;
                    }
                })
            })
            .collect();
        let writer = {
            let server = server.clone();
            process::spawn(async move |_: Mailbox<()>| {
                for n in 0..HOT as u64 / 10 {
                    let after = server.call(Bump).await.expect("is called");
                    assert_eq!(after, 2 * n + 1);
                    server.cast(Bump);
                    // Its own cast comes before its next read.
                    assert_eq!(server.call(Look).await.expect("is read").1, 2 * n + 2);
                }
            })
        };
        for reader in &readers {
            assert!(reader.wait().await.is_normal());
        }
        assert!(writer.wait().await.is_normal());
        assert_eq!(server.call(Look).await.expect("is read"), (HOT as u64 / 5, HOT as u64 / 5));
    });
}

/// What a future has come to after one poll.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// A reader that stays inside a read-hot server, on one of two workers, until the test lets it go on.
async fn with_a_reader_inside(then: impl AsyncFnOnce(&Ref<Pair>, &mpsc::Sender<()>, &Address<()>)) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let gate = Gate { begun, go_on: Arc::new(Mutex::new(may_go_on)) };
    let server = Pair::start(Some(gate)).await.expect("starts");
    let reader = {
        let server = server.clone();
        process::spawn(async move |_: Mailbox<()>| {
            for _ in 0..HOT {
                server.call(Look).await.expect("is read");
            }
            server.call(Stay).await.expect("is read");
        })
    };
    // On the thread of the test, which is no worker.
    has_begun.recv().expect("the read begins");
    then(&server, &go_on, &reader).await;
}

#[test]
fn a_cast_waits_for_the_reader_inside_and_other_processes_do_not() {
    run(2, async {
        with_a_reader_inside(async |server, go_on, reader| {
            server.cast(Bump);
            // One worker is held by the reader; the other one comes by the server again and again, and still serves everybody else.
            for _ in 0..10 {
                let other = Pair::start(None).await.expect("starts");
                assert_eq!(other.call(Bump).infinity().await.expect("answers"), 1);
            }
            assert!(reader.is_alive());
            go_on.send(()).expect("the reader waits");
            assert!(reader.wait().await.is_normal());
            assert_eq!(server.call(Look).await.expect("is read"), (1, 1));
        })
        .await;
    });
}

#[test]
fn a_killed_server_ends_after_the_reader_inside() {
    run(2, async {
        with_a_reader_inside(async |server, go_on, reader| {
            process::exit(server.pid(), ExitReason::Kill);
            assert!(!server.is_alive(), "from the kill on");
            let mut ended = std::pin::pin!(process::wait(server.pid()));
            // Polled once, so that it waits from before the end on.
            assert!(poll_once(&mut ended).await.is_none());
            let other = Pair::start(None).await.expect("starts");
            assert_eq!(other.call(Bump).infinity().await.expect("answers"), 1);
            assert!(poll_once(&mut ended).await.is_none(), "the server cannot have ended while it is read");
            go_on.send(()).expect("the reader waits");
            assert_eq!(ended.await, ExitReason::Killed);
            assert!(reader.wait().await.is_normal(), "the read was made: it is answered");
        })
        .await;
    });
}
