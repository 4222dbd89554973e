//! The edges of a node: code inside other runtimes or none, runtimes that go away, and user code in places where one expects none.

use std::sync::mpsc;

use purlin_core::gen_server::Accepts;
use purlin_core::*;
use tokio::runtime::Runtime;

fn runtime(workers: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_time().build().expect("builds")
}

#[derive(Clone, Copy, PartialEq)]
enum Trap {
    Nowhere,
    Terminate,
    Accepts,
}

/// Panics where its arguments say, each time before there is a future.
struct Trapped(Trap);

struct Ping;
struct Stay(mpsc::Sender<()>, mpsc::Receiver<()>);
struct Resume(Box<dyn std::any::Any + Send>);
struct CatchesItself;
struct Spawns;

impl GenServer for Trapped {
    type Args = Trap;

    async fn init(trap: Trap, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Trapped(trap))
    }

    fn terminate(&mut self, _: &ExitReason, _: &mut Cx<Self>) -> impl Future<Output = ()> + Send {
        assert!(self.0 != Trap::Terminate, "planned: terminate");
        async {}
    }

    fn accepts(_: &mut Accepts<'_, Self>) {
        panic!("planned: accepts");
    }
}

impl HandleCall<Ping> for Trapped {
    type Reply = ();
    async fn handle_call(&mut self, _: Ping, _: &mut Cx<Self>) {}
}

impl HandleCall<Stay> for Trapped {
    type Reply = ();
    async fn handle_call(&mut self, Stay(begun, go_on): Stay, _: &mut Cx<Self>) {
        begun.send(()).expect("the test waits for it");
        go_on.recv().expect("the test lets it go on");
    }
}

impl HandleCall<Resume> for Trapped {
    type Reply = ();
    async fn handle_call(&mut self, Resume(payload): Resume, _: &mut Cx<Self>) {
        std::panic::resume_unwind(payload);
    }
}

impl HandleCall<CatchesItself> for Trapped {
    type Reply = ();
    async fn handle_call(&mut self, _: CatchesItself, _: &mut Cx<Self>) {
        assert!(std::panic::catch_unwind(|| panic!("planned: caught")).is_err());
    }
}

impl HandleCall<Spawns> for Trapped {
    type Reply = ();
    async fn handle_call(&mut self, _: Spawns, _: &mut Cx<Self>) {
        tokio::spawn(async {});
    }
}

#[test]
fn the_default_node_is_that_of_the_runtime_one_is_in_now() {
    let (first, second) = (runtime(1), runtime(1));
    let _one = first.block_on(async { Node::builder().name("one").start() });
    let _two = second.block_on(async { Node::builder().name("two").start() });
    let name = || Node::try_current().map(|node| node.name().to_owned());
    assert_eq!(first.block_on(async { name() }).as_deref(), Some("one"));
    assert_eq!(second.block_on(async { name() }).as_deref(), Some("two"));
    assert_eq!(name(), None, "outside every runtime");
}

#[test]
fn a_call_made_by_a_thread_that_has_left_its_runtime_is_handled_inside_it() {
    let runtime = runtime(1);
    let server = runtime.block_on(async {
        Node::builder().start();
        let server = Trapped::start(Trap::Nowhere).await.expect("starts");
        server.call(Ping).await.expect("answers");
        server
    });
    // A runtime of its own, without a reactor for the handler's task: not the node's.
    let other = tokio::runtime::Builder::new_current_thread().build().expect("builds");
    let answer = other.block_on(async { server.call(Spawns).infinity().await });
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn a_terminate_that_panics_before_it_is_a_future_ends_only_its_process() {
    runtime(1).block_on(async {
        Node::builder().start();
        for _ in 0..3 {
            let server = Trapped::start(Trap::Terminate).await.expect("starts");
            let reason = server.stop().await.expect_err("terminate panicked").to_string();
            assert!(reason.contains("planned: terminate"), "{reason}");
        }
        let server = Trapped::start(Trap::Nowhere).await.expect("the node lives");
        server.call(Ping).await.expect("answers");
    });
}

#[test]
fn an_accepts_that_panics_ends_only_its_process() {
    runtime(1).block_on(async {
        Node::builder().start();
        for _ in 0..3 {
            let server = Trapped::start(Trap::Accepts).await.expect("starts");
            process::send(server.pid(), 5u32);
            let reason = process::wait(server.pid()).await;
            assert!(
                reason.to_string().contains("planned: accepts") || reason == ExitReason::NoProc,
                "{reason}"
            );
        }
        let server = Trapped::start(Trap::Nowhere).await.expect("the node lives");
        server.call(Ping).await.expect("answers");
    });
}

#[derive(Debug)]
struct NoCopies;

impl Clone for NoCopies {
    fn clone(&self) -> Self {
        panic!("planned: clone");
    }
}

#[test]
fn a_registry_value_that_panics_fails_the_start_and_leaves_no_process() {
    runtime(1).block_on(async {
        let node = Node::builder().start();
        let registry = Registry::<String, NoCopies>::unique("r").start_link().await.expect("starts");
        let name = registry.via_with::<Trapped>("key".to_owned(), NoCopies);
        let before = node.stats().processes;
        let error = Trapped::start(Trap::Nowhere).name(name).await.expect_err("panicked").to_string();
        assert!(error.contains("planned: clone"), "{error}");
        assert_eq!(node.stats().processes, before);
    });
}

#[test]
fn a_resumed_panic_does_not_get_the_place_of_another_one() {
    runtime(1).block_on(async {
        Node::builder().start();
        let server = Trapped::start(Trap::Nowhere).await.expect("starts");
        let payload = std::thread::spawn(|| panic!("planned: elsewhere")).join().expect_err("panicked");
        server.call(CatchesItself).await.expect("answers");
        let error = server.call(Resume(payload)).await.expect_err("the server panicked");
        let reason = error.exit_reason().expect("the server ended");
        let info = reason.panic_info().expect("by a panic");
        assert_eq!((info.message.as_str(), &info.location), ("planned: elsewhere", &None));
    });
}

#[test]
fn stopping_ends_when_the_runtime_of_the_node_goes() {
    let (home, other) = (runtime(1), runtime(1));
    let node = home.block_on(async { Node::builder().start() });
    let stopping = other.spawn(node.stopping());
    drop(home);
    other.block_on(stopping).expect("does not panic");
    assert!(node.is_stopping());
}

#[test]
fn a_process_that_is_run_by_a_blocking_thread_while_its_runtime_goes_ends_afterwards() {
    let (home, other) = (runtime(1), runtime(1));
    let node = home.block_on(async { Node::builder().start() });
    let server = home.block_on(node.scope(async { Trapped::start(Trap::Nowhere).await })).expect("starts");
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    home.spawn_blocking({
        let server = server.clone();
        move || tokio::runtime::Handle::current().block_on(server.call(Stay(begun, may_go_on)))
    });
    has_begun.recv().expect("the call is made in place");
    let queued = other.spawn({
        let server = server.clone();
        async move { server.call(Ping).infinity().await }
    });
    home.shutdown_background();
    other.block_on(async {
        while !node.is_stopping() {
            tokio::task::yield_now().await;
        }
        go_on.send(()).expect("the handler waits");
        assert!(queued.await.expect("does not panic").is_err());
    });
    assert!(!server.is_alive());
}
