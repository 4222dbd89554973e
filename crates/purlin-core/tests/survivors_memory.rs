//! Proves that what comes and goes leaves no memory behind: names, waits given up, restarts called off, reply slots of threads that end.
#![allow(unsafe_code, reason = "an allocator that counts is one that allocates")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{Context, Waker};

use common::*;
use purlin_core::supervisor::ChildStatus;
use purlin_core::*;

/// Counts the bytes that are allocated and not yet freed.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller keeps the same promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller keeps the same promise, and `alloc` got it from there.
        unsafe { System.dealloc(block, layout) }
    }
}

/// One test at a time: all count in one place.
static ALONE: Mutex<()> = Mutex::new(());

/// How often each thing is done before and while it is measured.
const ROUNDS: usize = 1_000;

/// As much may be left, in bytes per round: a buffer somewhere may just have grown, or another thread of the test program may allocate.
/// The smallest thing that could be left, once per round, is larger.
const NOISE: isize = 24;

/// Does something many times, and then many times again; fails if the second half has left memory behind.
async fn leaves_nothing(what: &str, mut act: impl AsyncFnMut(usize)) {
    for round in 0..ROUNDS {
        act(round).await;
    }
    let before = LIVE.load(Ordering::Relaxed);
    for round in ROUNDS..2 * ROUNDS {
        act(round).await;
    }
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < NOISE * ROUNDS as isize, "{what}: {left} bytes are left of {ROUNDS} rounds");
}

/// On a real node: a simulated one keeps a record of what it has done.
fn alone(test: impl AsyncFnOnce()) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Direct });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(test()).await;
        node.shutdown().await;
    });
}

#[test]
fn a_name_is_forgotten_with_its_process() {
    alone(async || {
        leaves_nothing("names", async |round| {
            let p = idle();
            process::register(format!("a name that nobody had before {round}"), p).unwrap();
            process::exit(p, ExitReason::Kill);
            process::wait(p).await;
        })
        .await;
    });
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing_with_the_process() {
    alone(async || {
        let p = idle();
        leaves_nothing("waits", async |_| {
            assert_eq!(poll_once(&mut Box::pin(process::wait(p))).await, None);
        })
        .await;
        process::exit(p, ExitReason::Kill);
    });
}

#[test]
fn a_child_that_was_terminated_while_it_was_restarted_leaves_nothing_with_its_supervisor() {
    alone(async || {
        let sup = DynamicSupervisor::new().max_restarts(1_000_000, secs(5)).start_link().await.unwrap();
        leaves_nothing("restarts called off", async |_| {
            let started = AtomicBool::new(false);
            let child = ChildSpec::custom("c", move || {
                let again = started.swap(true, Ordering::Relaxed);
                async move {
                    if !again {
                        return Ok(linked());
                    }
                    // It is tried again and again; requests get in between.
                    process::yield_now().await;
                    Err(StartError::Failed(ExitReason::NoProc))
                }
            });
            let pid = sup.start_child_spec(child).await.unwrap();
            process::exit(pid, ExitReason::Kill);
            process::wait(pid).await;
            assert_eq!(sup.which_children().await.unwrap()[0].status, ChildStatus::Restarting);
            sup.terminate_child(pid).await.unwrap();
        })
        .await;
        sup.stop().await.unwrap();
    });
}

fn linked() -> Pid {
    process::spawn_link(async |mut mailbox: Mailbox<()>| mailbox.receive().await).pid()
}

/// A server without state.
struct Idle;

impl GenServer for Idle {
    type Args = ();
    async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Idle)
    }
}

/// Makes the server's buffers as small as can be, until the next message.
struct Rest;

impl HandleCall<Rest> for Idle {
    type Reply = ();
    async fn handle_call(&mut self, _: Rest, cx: &mut Cx<Self>) {
        cx.hibernate();
    }
}

impl HandleCast<()> for Idle {
    async fn handle_cast(&mut self, (): (), _: &mut Cx<Self>) {}
}

#[test]
fn an_idle_server_costs_no_more_than_half_a_kilobyte() {
    alone(async || {
        // The process table grows by doubling; a part of it is not this server's.
        let mut servers = Vec::with_capacity(4_032);
        while servers.len() < 4_000 {
            servers.push(Idle::start(()).await.unwrap());
        }
        let before = LIVE.load(Ordering::Relaxed);
        for _ in 0..32 {
            servers.push(Idle::start(()).await.unwrap());
        }
        let each = (LIVE.load(Ordering::Relaxed) - before) / 32;
        assert!(each <= 512, "{each} bytes each");
    });
}

/// Messages for a burst, and as many bytes as the envelopes of a tenth of them take.
const MANY: usize = 50_000;
const LITTLE: isize = MANY as isize * 40 / 10;

/// Puts many messages into the mailbox of a process that is suspended meanwhile, and lets it handle them.
async fn burst(pid: Pid, send: impl Fn()) {
    sys::suspend(pid).await.unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    (0..MANY).for_each(|_| send());
    assert!(LIVE.load(Ordering::Relaxed) - before > 9 * LITTLE);
    sys::resume(pid).await.unwrap();
    at_rest(pid).await;
}

#[test]
fn a_server_gives_the_room_for_many_messages_back() {
    alone(async || {
        let server = Idle::start(()).await.unwrap();
        let before = LIVE.load(Ordering::Relaxed);
        burst(server.pid(), || server.cast(())).await;
        server.call(Rest).await.unwrap();
        at_rest(server.pid()).await;
        let left = LIVE.load(Ordering::Relaxed) - before;
        assert!(left < LITTLE, "{left} bytes are left");
    });
}

#[test]
fn a_raw_process_gives_the_room_for_many_messages_back_when_a_few_come_again() {
    alone(async || {
        let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
            loop {
                mailbox.receive().await;
            }
        });
        let before = LIVE.load(Ordering::Relaxed);
        burst(p.pid(), || p.send(0)).await;
        // It has two buffers, which it swaps; each has to be seen to be too large.
        for _ in 0..4 {
            p.send(0);
            at_rest(p.pid()).await;
        }
        let left = LIVE.load(Ordering::Relaxed) - before;
        assert!(left < LITTLE, "{left} bytes are left");
    });
}

#[test]
fn a_raw_process_that_hibernates_gives_all_room_back() {
    alone(async || {
        let p = process::spawn(async |mut mailbox: Mailbox<u8>| {
            loop {
                // Everything else stays until a 2 comes.
                mailbox.receive_map(|n| if n == 2 { Ok(()) } else { Err(n) }).await;
                while mailbox.try_receive().is_some() {}
                mailbox.hibernate().await;
            }
        });
        let before = LIVE.load(Ordering::Relaxed);
        p.send(1);
        at_rest(p.pid()).await;
        // While the only worker is kept busy, all that comes stays in the outer one of the two buffers, and then joins what was left.
        let (entered, has_entered) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let blocker = process::spawn(async move |_: Mailbox<()>| {
            entered.send(()).unwrap();
            let _ = released.recv();
        });
        has_entered.recv().unwrap();
        (0..MANY).for_each(|_| p.send(0));
        p.send(2);
        assert!(LIVE.load(Ordering::Relaxed) - before > 9 * LITTLE);
        drop(release);
        blocker.wait().await;
        // No request: it would make the process look at its mailbox once more.
        waits_for_something(p.pid()).await;
        let left = LIVE.load(Ordering::Relaxed) - before;
        assert!(left < LITTLE, "{left} bytes are left");
    });
}

/// Waits until a process has nothing to do.
async fn at_rest(pid: Pid) {
    // An answer comes behind everything that is there; what the process does after that is over when it waits.
    sys::get_status(pid).await.unwrap();
    waits_for_something(pid).await;
}

async fn waits_for_something(pid: Pid) {
    while process::process_info(pid).unwrap().status != process::ProcessStatus::Waiting {
        process::yield_now().await;
    }
}

type Wait = Pin<Box<dyn Future<Output = ExitReason>>>;

/// More waits, each with its reply slot, than a thread keeps free slots.
fn waits(pid: Pid) -> Vec<Wait> {
    let begun = |_| {
        let mut wait: Wait = Box::pin(process::wait(pid));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        wait
    };
    (0..100).map(begun).collect()
}

#[test]
fn a_thread_that_ends_leaves_no_reply_slots() {
    thread_local! {
        static HELD: RefCell<Vec<Wait>> = const { RefCell::new(Vec::new()) };
    }
    alone(async || {
        let p = idle();
        leaves_nothing("slots that the thread had given back", async |round| {
            if round % 10 == 0 {
                std::thread::spawn(move || drop(waits(p))).join().unwrap();
            }
        })
        .await;
        // What a thread's own variables hold when it ends is given back when there is no longer a place to keep it.
        leaves_nothing("slots given back at the very end", async |round| {
            if round % 10 == 0 {
                let hold = move || {
                    // Touched before the first slot is asked for, so it is destroyed after the place where slots are kept.
                    HELD.with_borrow_mut(Vec::clear);
                    let waits = waits(p);
                    HELD.set(waits);
                };
                std::thread::spawn(hold).join().unwrap();
            }
        })
        .await;
        process::exit(p, ExitReason::Kill);
    });
}
