//! Proves that processes and servers which block their thread are processes like any other, and hold up nobody but themselves.

mod common;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use common::*;
use purlin_core::process::SpawnOptions;
use purlin_core::*;

/// A bug shows as a wait of this long that ends; then the test fails, and does not hang.
const TOO_LONG: Duration = Duration::from_secs(10);

/// Blocks the thread until the other side is dropped. `false` if that took too long.
fn block(gate: &Receiver<()>) -> bool {
    gate.recv_timeout(TOO_LONG) == Err(RecvTimeoutError::Disconnected)
}

/// A process that says when it has begun, and then blocks its thread until the gate is dropped.
fn blocked(me: &Me, options: SpawnOptions, note: DropNote) -> (Address<()>, SyncSender<()>) {
    let (gate, closed) = sync_channel(0);
    let to = me.pid();
    let process = process::spawn_with(options, async move |_: Mailbox<()>| {
        let _note = note;
        process::send(to, "begun");
        assert!(block(&closed));
        std::future::pending::<()>().await;
    });
    (process, gate)
}

const BLOCKING: SpawnOptions = SpawnOptions { link: false, mailbox: None, blocking: true };

#[test]
fn a_process_that_blocks_its_thread_holds_up_no_other_one() {
    on_real_runtimes(async |mut me: Me| {
        let log = Log::default();
        let blocked: Vec<_> = (0..4).map(|_| blocked(&me, BLOCKING, DropNote(log.clone(), "end"))).collect();
        for _ in 0..4 {
            assert_eq!(next::<&str>(&mut me).await, "begun");
        }
        // The executors, one or two, have other things to do.
        let (echo, to) = (Mailbox::address(&me), me.pid());
        process::spawn(async move |_: Mailbox<()>| echo.send(to)).wait().await;
        assert_eq!(next::<Pid>(&mut me).await, to);
        assert_eq!(Node::current().stats().zombies, 0, "nobody wants them to end");
        for (process, gate) in blocked {
            assert!(process.is_alive());
            drop(gate);
            process::exit(process.pid(), ExitReason::Shutdown);
            assert_eq!(process.wait().await, ExitReason::Shutdown);
        }
        assert_eq!(log.all(), ["end"; 4]);
    });
}

#[test]
fn a_killed_process_is_a_zombie_until_its_thread_comes_back_and_only_then_is_its_end_told() {
    on_real_runtimes(async |mut me: Me| {
        let log = Log::default();
        me.trap_exits(true);
        let linked = SpawnOptions { link: true, ..BLOCKING };
        let (process, gate) = blocked(&me, linked, DropNote(log.clone(), "dropped"));
        assert_eq!(next::<&str>(&mut me).await, "begun");
        let monitor = me.monitor(process.pid());
        process::exit(process.pid(), ExitReason::Kill);
        assert!(!process.is_alive());
        assert_eq!(Node::current().stats().zombies, 1);
        for _ in 0..50 {
            process::yield_now().await;
            nothing(&mut me);
        }
        assert_eq!(log.all(), [""; 0]);
        drop(gate);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        assert_eq!(log.all(), ["dropped"]);
        let exit = next::<Exit>(&mut me).await;
        assert_eq!((exit.from, exit.reason), (process.pid(), ExitReason::Killed));
        // Its last activation is over in a moment, if it is not yet.
        while Node::current().stats().zombies > 0 {
            process::yield_now().await;
        }
    });
}

#[test]
fn it_is_a_process_with_mailbox_links_monitors_names_and_calls() {
    everywhere(async |mut me: Me| {
        let to = me.address();
        let server = common::lab::lab().await;
        let process = process::spawn_blocking(async move |mut mailbox: Mailbox<u32>| {
            assert_eq!(process::self_pid(), Some(mailbox.pid()));
            process::register("blocking", mailbox.pid()).unwrap();
            process::link(to.pid()).unwrap();
            let mut sum = 0;
            while sum < 10 {
                sum += mailbox.receive().await;
                assert!(!mailbox.should_exit());
            }
            assert_eq!(mailbox.receive_timeout(millis(5)).await, None);
            let sum = server.call(common::lab::Add(i64::from(sum))).await.unwrap();
            server.stop().await.unwrap();
            to.send(sum);
            planned("at the end");
        });
        me.trap_exits(true);
        let monitor = me.monitor(process.pid());
        for n in 1..=4u32 {
            process.send(n);
        }
        assert_eq!(next::<i64>(&mut me).await, 10);
        let reason = down(&mut me, monitor).await.reason;
        assert!(is_planned(&reason, "at the end"), "{reason}");
        assert_eq!(next::<Exit>(&mut me).await.from, process.pid());
        assert!(process::whereis("blocking").is_none());
    });
}

#[test]
fn a_long_loop_that_asks_ends_when_it_is_killed_or_gets_an_exit_signal() {
    on_real_runtimes(async |mut me: Me| {
        for (reason, expected) in [
            (ExitReason::Shutdown, ExitReason::Shutdown),
            (ExitReason::Kill, ExitReason::Killed),
            (ExitReason::custom("enough"), ExitReason::custom("enough")),
        ] {
            let to = me.pid();
            let process = process::spawn_blocking(async move |mut mailbox: Mailbox<u8>| {
                process::send(to, "begun");
                while !mailbox.should_exit() {
                    std::thread::yield_now();
                }
                assert!(mailbox.should_exit(), "and it stays so");
            });
            assert_eq!(next::<&str>(&mut me).await, "begun");
            // Messages do not end it, and neither do signals that are trapped or do not count.
            process.send(1u8);
            process::exit(process.pid(), ExitReason::Normal);
            process::yield_now().await;
            assert!(process.is_alive());
            process::exit(process.pid(), reason);
            assert_eq!(process.wait().await, expected);
        }
    });
}

#[test]
fn a_trapped_exit_signal_is_a_message_and_no_reason_to_exit() {
    everywhere(async |me: Me| {
        let to = me.pid();
        let process = process::spawn_blocking(async move |mut mailbox: Mailbox<AnyMsg>| {
            mailbox.trap_exits(true);
            process::exit(mailbox.pid(), ExitReason::custom("mine"));
            process::send(mailbox.pid(), 7u8);
            assert!(!mailbox.should_exit());
            assert_eq!(mailbox.len(), 2);
            assert_eq!(mailbox.receive_as::<Exit>().await.reason, ExitReason::custom("mine"));
            assert_eq!(mailbox.receive_as::<u8>().await, 7);
            process::exit(to, ExitReason::Normal);
        });
        assert_eq!(process.wait().await, ExitReason::Normal);
    });
}

/// A server that blocks its thread in `init` and in its calls.
struct Disk(Receiver<()>);

struct Read;

impl GenServer for Disk {
    type Args = (Receiver<()>, Receiver<()>);

    async fn init((first, then): Self::Args, _: &mut Cx<Self>) -> Result<Self, InitError> {
        assert!(block(&first));
        Ok(Disk(then))
    }
}

impl HandleCall<Read> for Disk {
    type Reply = bool;

    async fn handle_call(&mut self, _: Read, _: &mut Cx<Self>) -> bool {
        block(&self.0)
    }
}

#[test]
fn a_blocking_server_is_started_and_called_without_holding_up_its_callers_threads() {
    on_every_real_path(async |mut me: Me| {
        let (start, started) = sync_channel(0);
        let (gate, closed) = sync_channel(0);
        let to = me.address();
        let client = process::spawn(async move |_: Mailbox<()>| {
            let disk = Disk::start((started, closed)).blocking().await.unwrap();
            to.send(disk.clone());
            assert!(disk.call(Read).infinity().await.unwrap());
            disk.stop().await.unwrap();
            to.send("done");
        });
        for _ in 0..20 {
            process::yield_now().await;
        }
        // This process still runs, although another one waits for an `init` that blocks.
        drop(start);
        let disk = next::<Ref<Disk>>(&mut me).await;
        let mut call = Box::pin(disk.call(Read).timeout(millis(20)));
        assert!(poll_once(&mut call).await.is_none(), "a call does not run on its caller's thread");
        assert!(call.await.unwrap_err().is_timeout(), "and its deadline means what it says");
        drop(gate);
        assert_eq!(next::<&str>(&mut me).await, "done");
        assert_eq!(client.wait().await, ExitReason::Normal);
    });
}

fn on_every_real_path<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for path in [CallPath::Direct, CallPath::Queued, CallPath::Adaptive] {
        for workers in [1, 2] {
            run(Run::Real { workers, path }, test.clone());
        }
    }
}

#[test]
fn a_supervisor_starts_stops_and_restarts_blocking_children() {
    on_real_runtimes(async |_: Me| {
        let (to, mut began) = tokio::sync::mpsc::unbounded_channel();
        let worker = ChildSpec::blocking_process("worker", move |mut mailbox: Mailbox<u8>| {
            let to = to.clone();
            async move {
                to.send(mailbox.pid()).unwrap();
                while !mailbox.should_exit() {
                    match mailbox.try_receive() {
                        Some(_) => planned("in the worker"),
                        None => std::thread::yield_now(),
                    }
                }
            }
        });
        let root = Supervisor::one_for_one().child(worker).start_link().await.unwrap();
        let first = began.recv().await.unwrap();
        process::send(first, 1u8);
        let second = began.recv().await.unwrap();
        assert_ne!(first, second);
        root.stop().await.unwrap();
        assert!(!process::is_alive(second) && began.try_recv().is_err());
    });
}

#[test]
fn processes_end_when_their_runtime_goes_while_they_wait_for_a_thread() {
    let dropped = Log::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (gate, closed) = sync_channel::<()>(0);
    let waiting = runtime.block_on(async {
        let node = Node::builder().backtraces(false).stderr_reports(false).start();
        node.scope(async {
            let (began, begun) = tokio::sync::oneshot::channel();
            process::spawn_blocking(async move |_: Mailbox<()>| {
                began.send(()).unwrap();
                block(&closed);
            });
            begun.await.unwrap();
            // The only thread is taken.
            let note = DropNote(dropped.clone(), "dropped");
            process::spawn_blocking(async move |_: Mailbox<()>| {
                let _note = note;
                std::future::pending::<()>().await;
            })
        })
        .await
    });
    runtime.shutdown_background();
    drop(gate);
    assert_eq!(end_within(waiting), Some(ExitReason::Killed));
    assert_eq!(dropped.all(), ["dropped"]);
}

/// The reason of a process's end, unless that takes too long.
fn end_within(process: Address<()>) -> Option<ExitReason> {
    let (to, reason) = sync_channel(1);
    std::thread::spawn(move || to.send(block_on(process.wait())));
    reason.recv_timeout(TOO_LONG).ok()
}

#[test]
fn processes_that_wait_for_a_message_end_with_their_runtime() {
    for in_background in [false, true].repeat(5) {
        let dropped = Log::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let waiting = runtime.block_on(async {
            let node = Node::builder().backtraces(false).stderr_reports(false).start();
            node.scope(async {
                let (began, begun) = tokio::sync::oneshot::channel();
                let note = DropNote(dropped.clone(), "dropped");
                let process = process::spawn_blocking(async move |mut mailbox: Mailbox<()>| {
                    let _note = note;
                    began.send(()).unwrap();
                    mailbox.receive().await;
                });
                begun.await.unwrap();
                process
            })
            .await
        });
        if in_background {
            runtime.shutdown_background();
        } else {
            drop(runtime);
        }
        assert_eq!(end_within(waiting), Some(ExitReason::Killed));
        assert_eq!(dropped.all(), ["dropped"]);
    }
}
