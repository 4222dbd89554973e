//! The stack that a crash leaves: it names the code that panicked, and crashes at one place share one capture.

use std::sync::Arc;

use purlin_core::*;

struct Fragile;

struct Crash(fn());

impl GenServer for Fragile {
    type Args = ();
    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Fragile)
    }
}

impl HandleCast<Crash> for Fragile {
    async fn handle_cast(&mut self, Crash(how): Crash, _: &mut Cx<Self>) {
        how();
    }
}

#[inline(never)]
fn into_the_left_trap() {
    panic!("left");
}

#[inline(never)]
fn into_the_right_trap() {
    panic!("right");
}

#[inline(never)]
fn deep(levels: u32) {
    if levels == 0 {
        panic!("deep");
    }
    deep(levels - 1);
    std::hint::black_box(levels);
}

/// The stack of a server that this ends, handled by its own activation.
async fn stack_of(how: fn()) -> Arc<std::backtrace::Backtrace> {
    let server = Fragile::start(()).await.expect("starts");
    let monitored = server.pid();
    server.cast(Crash(how));
    let reason = process::wait(monitored).await;
    reason.panic_info().and_then(|info| info.backtrace.clone()).expect("a panic has a stack")
}

fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("builds");
    runtime.block_on(async {
        let node = Node::builder().backtraces(true).start();
        node.scope(body).await;
        node.shutdown().await;
    });
}

#[test]
fn a_stack_names_the_function_that_panicked() {
    run(async {
        let left = stack_of(into_the_left_trap).await.to_string();
        assert!(left.contains("into_the_left_trap"), "{left}");
    });
}

#[test]
fn crashes_at_one_place_share_their_stack_and_crashes_at_two_do_not() {
    run(async {
        let first = stack_of(into_the_left_trap).await;
        let other = stack_of(into_the_right_trap).await;
        let second = stack_of(into_the_left_trap).await;
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(other.to_string().contains("into_the_right_trap"));
    });
}

#[test]
fn a_stack_deeper_than_is_looked_for_is_captured_whole() {
    run(async {
        let first = stack_of(|| deep(300)).await;
        let second = stack_of(|| deep(300)).await;
        assert!(!Arc::ptr_eq(&first, &second));
        let text = first.to_string();
        assert!(text.matches("deep").count() > 250, "{text}");
    });
}

#[test]
fn nodes_share_no_stacks() {
    let mut stacks = Vec::new();
    for _ in 0..2 {
        let (send, stack) = std::sync::mpsc::channel();
        run(async move { send.send(stack_of(into_the_left_trap).await).expect("is received") });
        stacks.push(stack.recv().expect("sent"));
    }
    assert!(!Arc::ptr_eq(&stacks[0], &stacks[1]));
}
