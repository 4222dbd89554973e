//! A server starts, answers calls on both paths, casts, reads, crashes and stops.

use purlin_core::*;

#[derive(Clone, Debug, PartialEq)]
struct Counter(i64);

struct Add(i64);
struct Get;
struct Slow;
struct Reset;
struct Boom;

impl GenServer for Counter {
    type Args = i64;
    async fn init(start: i64, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Counter(start))
    }
}
impl HandleCall<Add> for Counter {
    type Reply = i64;
    async fn handle_call(&mut self, Add(n): Add, _: &mut Cx<Self>) -> i64 {
        self.0 += n;
        self.0
    }
}
impl HandleRead<Get> for Counter {
    type Reply = i64;
    fn handle_read(&self, _: Get, _: &ReadCx<Self>) -> i64 {
        self.0
    }
}
impl HandleCall<Slow> for Counter {
    type Reply = i64;
    async fn handle_call(&mut self, _: Slow, _: &mut Cx<Self>) -> i64 {
        process::sleep(millis(5)).await;
        self.0
    }
}
impl HandleCast<Reset> for Counter {
    async fn handle_cast(&mut self, _: Reset, _: &mut Cx<Self>) {
        self.0 = 0;
    }
}
impl HandleCall<Boom> for Counter {
    type Reply = ();
    async fn handle_call(&mut self, _: Boom, _: &mut Cx<Self>) {
        panic!("boom");
    }
}

async fn story() {
    let c = Counter::start(1).await.unwrap();
    assert_eq!(c.call(Add(2)).await.unwrap(), 3);
    assert_eq!(c.call(Get).await.unwrap(), 3);
    assert_eq!(c.call(Slow).await.unwrap(), 3);
    c.cast(Reset);
    assert_eq!(c.call(Get).await.unwrap(), 0);
    assert_eq!(sys::get_state(&c).await.unwrap(), Counter(0));
    let err = c.call(Boom).await.unwrap_err();
    assert!(matches!(err.kind(), CallErrorKind::Exit(ExitReason::Panic(p)) if p.message == "boom"), "{err}");
    assert!(!c.is_alive());
    assert_eq!(*c.call(Get).await.unwrap_err().kind(), CallErrorKind::NoProc);
    let d = Counter::start(1).name("d").await.unwrap();
    assert_eq!(Counter::named("d").call(Add(1)).await.unwrap(), 2);
    assert!(matches!(Counter::start(1).name("d").await, Err(StartError::AlreadyStarted(p)) if p == d.pid()));
    d.stop().await.unwrap();
    assert_eq!(process::whereis("d"), None);
}

#[test]
fn the_whole_story_on_both_call_paths() {
    for path in [CallPath::Direct, CallPath::Queued, CallPath::Adaptive] {
        for workers in [1, 2] {
            let rt = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            rt.block_on(async {
                let node = Node::builder().call_path(path).start();
                node.scope(story()).await;
                tokio::spawn(node.scope(async {
                    story().await;
                    let p = process::spawn(async |_: Mailbox<()>| story().await);
                    assert_eq!(p.wait().await, ExitReason::Normal);
                }))
                .await
                .unwrap();
                node.shutdown().await;
                assert_eq!(node.stats().processes, 0);
            });
        }
    }
}

#[test]
fn the_whole_story_in_simulation() {
    for seed in 0..50 {
        let rt =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        rt.block_on(async {
            let node = Node::builder().simulated(seed).start();
            node.scope(story()).await;
            node.shutdown().await;
        });
    }
}
