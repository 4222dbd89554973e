//! A stream of tasks runs so many at a time, in order or not, within bounds, and keeps the statements of Elixir's suite (T numbers).

mod common;

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use common::*;
use futures_core::Stream;
use purlin_core::process::process_info;
use purlin_core::task::{AsyncStream, OnStreamTimeout};
use purlin_core::*;
use tokio::sync::{mpsc, oneshot};

/// Ends the calling process with this reason.
async fn exit_with<T>(reason: ExitReason) -> T {
    process::exit(process::self_pid().unwrap(), reason);
    pending().await
}

fn crash() -> ExitReason {
    ExitReason::custom("crash")
}

/// Runs `body` in a process of its own; why that ended.
async fn apart<Fut: Future<Output = ()> + Send>(
    me: &mut Me,
    body: impl FnOnce(Me) -> Fut + Send + 'static,
) -> ExitReason {
    let (go, gone) = oneshot::channel::<()>();
    let process = process::spawn(async move |me: Me| {
        gone.await.unwrap();
        body(me).await;
    });
    let monitor = me.monitor(process.pid());
    go.send(()).unwrap();
    down(me, monitor).await.reason
}

/// Counts what is there at a time, and the most there ever was.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    fn up(&self) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
    }
    fn down(&self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
    fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }
    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// One of a number of gates: each is passed when it is opened.
#[derive(Clone)]
struct Gates(Arc<Mutex<Vec<Gate>>>);
type Gate = (Option<oneshot::Sender<()>>, Option<oneshot::Receiver<()>>);

impl Gates {
    fn new(n: usize) -> Gates {
        let gate = || {
            let (open, opened) = oneshot::channel();
            (Some(open), Some(opened))
        };
        Gates(Arc::new(Mutex::new((0..n).map(|_| gate()).collect())))
    }
    fn open(&self, n: usize) {
        self.0.lock().unwrap()[n].0.take().unwrap().send(()).unwrap();
    }
    async fn pass(&self, n: usize) -> usize {
        let gate = self.0.lock().unwrap()[n].1.take().unwrap();
        gate.await.unwrap();
        n
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        process::yield_now().await;
    }
}

// ---- order

#[test]
fn t47_elements_come_in_the_order_of_the_inputs() {
    everywhere(async |_: Me| {
        let gates = Gates::new(5);
        let theirs = gates.clone();
        // Each opens the gate of the one before it: they are done in reverse.
        gates.open(4);
        let reversed = move |n: usize| {
            let gates = theirs.clone();
            async move {
                let n = gates.pass(n).await;
                if n > 0 {
                    gates.open(n - 1);
                }
                n
            }
        };
        let stream = Task::async_stream(0..5, reversed).max_concurrency(5);
        assert_eq!(stream.to_vec().await, (0..5).map(Ok).collect::<Vec<_>>());
        let many = Task::async_stream(0..300u32, |n| async move { n * 2 });
        assert_eq!(many.to_vec().await, (0..300).map(|n| Ok(n * 2)).collect::<Vec<_>>());
    });
}

#[test]
fn t48_without_order_elements_come_as_they_are_done() {
    everywhere(async |_: Me| {
        let gates = Gates::new(4);
        let theirs = gates.clone();
        let gated = move |n| {
            let gates = theirs.clone();
            async move { gates.pass(n).await }
        };
        let mut stream = Task::async_stream(0..4, gated).max_concurrency(4).ordered(false);
        let mut next = Box::pin(stream.next());
        assert_eq!(poll_once(&mut next).await, None);
        gates.open(2);
        assert_eq!(next.await, Some(Ok(2)));
        for n in [0, 3, 1] {
            gates.open(n);
            assert_eq!(stream.next().await, Some(Ok(n)));
        }
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
        let mut many = Task::async_stream(0..300u32, |n| async move { n }).ordered(false).to_vec().await;
        many.sort_by_key(|n| *n.as_ref().unwrap());
        assert_eq!(many, (0..300).map(Ok).collect::<Vec<_>>());
    });
}

// ---- bounds

#[test]
fn t49_no_more_tasks_run_than_may_and_an_input_is_pulled_when_one_has_ended() {
    everywhere(async |_: Me| {
        for (ordered, concurrency, buffered) in [(true, 3, 2), (false, 3, 2), (true, 1, 0), (false, 2, 0)] {
            let (running, ahead) = (Gauge::default(), Gauge::default());
            let inputs = (0..40u32).inspect({
                let (running, ahead) = (running.clone(), ahead.clone());
                move |_| {
                    // There is room for it.
                    assert!(running.now() < concurrency);
                    running.up();
                    ahead.up();
                }
            });
            let task = {
                let running = running.clone();
                move |n| {
                    let running = running.clone();
                    async move {
                        for _ in 0..n % 3 {
                            process::yield_now().await;
                        }
                        running.down();
                        n
                    }
                }
            };
            let mut stream = Task::async_stream(inputs, task)
                .max_concurrency(concurrency)
                .max_buffered(buffered)
                .ordered(ordered);
            let mut sum = 0;
            while let Some(n) = stream.next().await {
                ahead.down();
                sum += n.unwrap();
                process::yield_now().await;
            }
            assert_eq!(sum, 39 * 40 / 2);
            assert!(running.most() <= concurrency && ahead.most() <= concurrency + buffered);
        }
    });
}

#[test]
fn t49_a_slow_head_stops_the_inputs_at_the_bound() {
    everywhere(async |_: Me| {
        let gates = Gates::new(1);
        let (pulled, done) = (Gauge::default(), Gauge::default());
        let inputs = (0..1000).inspect({
            let pulled = pulled.clone();
            move |_| pulled.up()
        });
        let task = {
            let (gates, done) = (gates.clone(), done.clone());
            move |n| {
                let (gates, done) = (gates.clone(), done.clone());
                async move {
                    if n == 0 {
                        gates.pass(0).await;
                    }
                    done.up();
                    n
                }
            }
        };
        let mut stream = Task::async_stream(inputs, task).max_concurrency(3).max_buffered(4);
        let mut next = Box::pin(stream.next());
        assert_eq!(poll_once(&mut next).await, None);
        // As many as may run, and four beside; the first one is still at it.
        let mut polls = 0;
        while done.now() < 6 || polls < 20 {
            assert_eq!(poll_once(&mut next).await, None);
            process::yield_now().await;
            polls += 1;
        }
        assert_eq!((pulled.now(), done.now()), (7, 6));
        gates.open(0);
        assert_eq!(next.await, Some(Ok(0)));
        for n in 1..20 {
            assert_eq!(stream.next().await, Some(Ok(n)));
        }
        assert!(pulled.now() <= 20 + 7);
        stream.halt().await;
    });
}

#[test]
fn a_consumer_that_is_slow_stops_the_inputs_too() {
    everywhere(async |_: Me| {
        let pulled = Gauge::default();
        let inputs = (0..1000).inspect({
            let pulled = pulled.clone();
            move |_| pulled.up()
        });
        let mut stream = Task::async_stream(inputs, |n| async move { n }).max_concurrency(2).ordered(false);
        for taken in 1..50 {
            stream.next().await.unwrap().unwrap();
            assert!(pulled.now() - taken <= 4, "{} pulled, {taken} taken", pulled.now());
        }
    });
}

#[test]
fn t51_a_stream_without_room_for_a_task_is_refused() {
    let message = |build: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(build)).unwrap_err();
        match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(other) => (*other.downcast::<&str>().unwrap()).to_owned(),
        }
    };
    let refused = message(&mut || drop(Task::async_stream(0..3, |n| async move { n }).max_concurrency(0)));
    assert!(refused.contains("`max_concurrency` of a stream of tasks is 0"), "{refused}");
    everywhere(async |_: Me| {
        let mut begun = Task::async_stream(0..3, |n| async move { n });
        begun.next().await;
        let late = catch_unwind(AssertUnwindSafe(|| drop(begun.ordered(false)))).unwrap_err();
        assert!(late.downcast::<String>().unwrap().contains("before the stream is polled"));
    });
}

// ---- time

#[test]
fn t52_a_task_that_takes_too_long_ends_the_consumer() {
    everywhere(async |mut me: Me| {
        for trap in [false, true] {
            let log = Log::default();
            let theirs = log.clone();
            let ended = apart(&mut me, async move |mut me: Me| {
                me.trap_exits(trap);
                let task = move |_| {
                    let note = DropNote(theirs.clone(), "dropped");
                    async move {
                        let _note = note;
                        pending::<()>().await
                    }
                };
                Task::async_stream(0..9, task).max_concurrency(2).timeout(millis(2)).to_vec().await;
            });
            assert_eq!(ended.await, ExitReason::Timeout);
            until(|| log.all().len() == 2).await;
        }
    });
    in_simulation(async |mut me: Me| {
        // Each has its own time, from its start.
        let begin = Node::current().now();
        let naps = Task::async_stream(0..4, |_| process::sleep(secs(4))).max_concurrency(1);
        assert_eq!(naps.to_vec().await.len(), 4);
        assert_eq!((Node::current().now() - begin).as_secs(), 16);
        // 5 seconds, if nothing else is said.
        let begin = Node::current().now();
        let ended = apart(&mut me, async |_: Me| {
            Task::async_stream([1, 6], |n| process::sleep(secs(n))).to_vec().await;
        });
        assert_eq!(ended.await, ExitReason::Timeout);
        assert_eq!((Node::current().now() - begin).as_secs(), 5);
        let naps = Task::async_stream([1, 6000], |n| process::sleep(secs(n))).infinity();
        assert_eq!(naps.to_vec().await, [Ok(()), Ok(())]);
    });
}

#[test]
fn t53_a_task_that_takes_too_long_is_killed_if_that_is_wanted() {
    everywhere(async |mut me: Me| {
        let alive = Log::default();
        let theirs = alive.clone();
        let task = move |n: u32| {
            let log = theirs.clone();
            async move {
                log.add(process::self_pid().unwrap());
                if n % 2 == 1 { pending().await } else { n }
            }
        };
        // The time is that of those which never end.
        let stream = Task::async_stream(0..6, task).max_concurrency(2).timeout(millis(30));
        let elements = stream.on_timeout(OnStreamTimeout::KillTask).to_vec().await;
        let late = || Err(ExitReason::Timeout);
        // On a machine that stands still for that long others may be late as well.
        assert!(elements.iter().skip(1).step_by(2).all(|element| *element == late()), "{elements:?}");
        if Node::current().is_simulated() {
            assert_eq!(elements, [Ok(0), late(), Ok(2), late(), Ok(4), late()]);
        }
        assert!(alive.all().into_iter().all(|pid| !process::is_alive(pid)));
        nothing(&mut me);
    });
    in_simulation(async |_: Me| {
        // One that is in time is not touched, whoever else is late.
        let naps = Task::async_stream([3, 9, 4, 9, 4], |n| async move {
            process::sleep(secs(n)).await;
            n
        });
        let naps = naps.max_concurrency(2).on_timeout(OnStreamTimeout::KillTask).to_vec().await;
        assert_eq!(naps, [Ok(3), Err(ExitReason::Timeout), Ok(4), Err(ExitReason::Timeout), Ok(4)]);
    });
}

// ---- failures

#[test]
fn t54_failures_tell_their_inputs_if_that_is_wanted() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        let task = |n: &'static str| async move {
            match n {
                "late" => pending().await,
                "crash" => exit_with(crash()).await,
                _ => n.len(),
            }
        };
        let stream =
            Task::async_stream(["late", "crash", "fine"], task).max_concurrency(3).zip_input_on_exit();
        let elements = stream.timeout(millis(20)).on_timeout(OnStreamTimeout::KillTask).to_vec().await;
        assert_eq!(elements[0], Err(("late", ExitReason::Timeout)));
        if Node::current().is_simulated() {
            assert_eq!(elements[1..], [Err(("crash", crash())), Ok(4)]);
        }
        nothing(&mut me);
    });
}

#[test]
fn t55_a_failure_ends_a_consumer_that_does_not_trap_exits() {
    everywhere(async |mut me: Me| {
        let (tell, told) = oneshot::channel();
        let gates = Gates::new(1);
        let theirs = gates.clone();
        // Also one that is busy with something else.
        let process = process::spawn(async move |_: Me| {
            let task = move |n: usize| {
                let gates = theirs.clone();
                async move {
                    if n == 1 {
                        gates.pass(0).await;
                        exit_with(crash()).await
                    }
                    n
                }
            };
            let mut stream = Task::async_stream(0..2, task).max_concurrency(2);
            assert_eq!(stream.next().await, Some(Ok(0)));
            tell.send(()).unwrap();
            pending().await
        });
        let monitor = me.monitor(process.pid());
        told.await.unwrap();
        gates.open(0);
        assert_eq!(down(&mut me, monitor).await.reason, crash());
        // One that polls gets no more elements.
        let seen = Log::default();
        let theirs = seen.clone();
        let ended = apart(&mut me, async move |_: Me| {
            let mut stream = Task::async_stream([1, 2], |n| async move {
                if n == 1 { exit_with(ExitReason::Shutdown).await } else { n }
            });
            while let Some(element) = stream.next().await {
                theirs.add(element);
            }
        });
        assert_eq!(ended.await, ExitReason::Shutdown);
        assert_eq!(seen.all(), []);
        let mut trapping = me;
        trapping.trap_exits(true);
        let failing = Task::async_stream(0..4, |n| async move {
            match n {
                1 => planned("one"),
                2 => exit_with(ExitReason::Normal).await,
                n => n,
            }
        });
        let elements = failing.to_vec().await;
        assert!(is_planned(elements[1].as_ref().unwrap_err(), "one"));
        assert_eq!([&elements[0], &elements[2], &elements[3]], [&Ok(0), &Err(ExitReason::Normal), &Ok(3)]);
        nothing(&mut trapping);
    });
}

#[test]
fn a_normal_exit_without_a_value_harms_nobody() {
    everywhere(async |_: Me| {
        let stream = Task::async_stream(0..2, |_| exit_with::<()>(ExitReason::Normal));
        assert_eq!(stream.to_vec().await, [Err(ExitReason::Normal), Err(ExitReason::Normal)]);
    });
}

// ---- the end

#[test]
fn t56_an_early_end_kills_what_runs_and_can_wait_for_it() {
    everywhere(async |mut me: Me| {
        me.trap_exits(true);
        for halt in [true, false] {
            let (log, begun) = (Log::default(), Log::default());
            let task = {
                let (log, begun) = (log.clone(), begun.clone());
                move |n: u32| {
                    let (note, begun) = (DropNote(log.clone(), "dropped"), begun.clone());
                    async move {
                        begun.add(process::self_pid().unwrap());
                        let _note = note;
                        if n > 0 {
                            pending().await
                        }
                    }
                }
            };
            let mut stream = Task::async_stream(0.., task).max_concurrency(3).max_buffered(0);
            assert_eq!(stream.next().await, Some(Ok(())));
            if halt {
                stream.halt().await;
                assert!(begun.all().into_iter().all(|pid| process_info(pid).is_none()));
                assert_eq!(process::processes(), [me.pid()]);
            } else {
                drop(stream);
                assert!(begun.all().into_iter().all(|pid| !process::is_alive(pid)));
                until(|| process::processes() == [me.pid()]).await;
            }
            assert!(!log.all().is_empty());
            nothing(&mut me);
        }
        // One that was never polled has nothing to end.
        Task::async_stream(0.., |n: u32| async move { n }).halt().await;
    });
}

#[test]
fn the_tasks_of_a_stream_end_with_its_consumer() {
    everywhere(async |mut me: Me| {
        let (begun, mut begins) = mpsc::unbounded_channel();
        let process = process::spawn(async move |_: Me| {
            let task = move |_| {
                let begun = begun.clone();
                async move {
                    begun.send(process::self_pid().unwrap()).unwrap();
                    pending::<()>().await
                }
            };
            Task::async_stream(0..2, task).max_concurrency(2).infinity().to_vec().await;
        });
        let pids = [begins.recv().await.unwrap(), begins.recv().await.unwrap()];
        process::exit(process.pid(), ExitReason::Shutdown);
        end_of(&mut me, process.pid()).await;
        for pid in pids {
            assert!(!process::is_alive(pid));
        }
    });
}

// ---- consuming

#[test]
fn t59_nothing_happens_before_the_stream_is_polled_and_it_may_rest_in_between() {
    everywhere(async |me: Me| {
        let (pulled, made) = (Gauge::default(), Gauge::default());
        let stream = |from: u32| {
            let (pulled, made) = (pulled.clone(), made.clone());
            let inputs = (from..from + 5).inspect(move |_| pulled.up());
            Task::async_stream(inputs, move |n| {
                made.up();
                async move { n }
            })
        };
        let (mut left, mut right) = (stream(0), stream(10));
        for _ in 0..5 {
            process::yield_now().await;
        }
        assert_eq!((pulled.now(), made.now(), process::processes()), (0, 0, vec![me.pid()]));
        // Two streams side by side, each resting while the other one is asked.
        let mut zipped = Vec::new();
        while let (Some(l), Some(r)) = (left.next().await, right.next().await) {
            zipped.push((l.unwrap(), r.unwrap()));
            process::yield_now().await;
        }
        assert_eq!(zipped, [(0, 10), (1, 11), (2, 12), (3, 13), (4, 14)]);
        assert_eq!((pulled.now(), made.now()), (10, 10));
    });
}

#[test]
fn t60_who_polls_a_stream_first_is_its_consumer() {
    everywhere(async |mut me: Me| {
        let stream =
            Task::async_stream(0..2, |_| async { process::callers() }).max_concurrency(1).max_buffered(0);
        let (back, returned) = oneshot::channel();
        let creator = me.pid();
        let consumer = process::spawn(async move |me: Me| {
            let mut stream = stream;
            assert_ne!(me.pid(), creator);
            assert_eq!(stream.next().await, Some(Ok(vec![me.pid()])));
            assert!(back.send(stream).is_ok());
            pending().await
        });
        let mut stream = returned.await.ok().unwrap();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            drop(Pin::new(&mut stream).poll_next(&mut Context::from_waker(Waker::noop())));
        }));
        let message = polled.unwrap_err().downcast::<String>().unwrap();
        let said = format!(
            "a stream of tasks is consumed by {}, which polled it first, and was polled by {creator}",
            consumer.pid()
        );
        assert!(message.starts_with(&said), "{message}");
        process::exit(consumer.pid(), ExitReason::Shutdown);
        end_of(&mut me, consumer.pid()).await;
    });
}

#[test]
fn outside_a_process_failures_are_elements() {
    let (runtime, node) = prepare(Run::Real { workers: 2, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = node.start();
        let consumed = node.scope(async {
            let stream = Task::async_stream(0..3, |n| async move {
                match n {
                    0 => exit_with(crash()).await,
                    1 => pending().await,
                    n => (n, process::callers()),
                }
            });
            stream.max_concurrency(1).timeout(millis(200)).to_vec().await
        });
        assert_eq!(consumed.await, [Err(crash()), Err(ExitReason::Timeout), Ok((2, vec![]))]);
        node.shutdown().await;
        assert_eq!(node.stats().processes, 0);
    });
}

#[test]
fn a_stream_of_inputs_is_asked_for_one_when_there_is_room() {
    /// Has one input, then nothing for a while, then one more.
    struct Trickle(mpsc::UnboundedReceiver<u32>);
    impl Stream for Trickle {
        type Item = u32;
        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
            self.0.poll_recv(cx)
        }
    }
    everywhere(async |_: Me| {
        let (send, receive) = mpsc::unbounded_channel();
        let mut stream: AsyncStream<_, _, u32> =
            Task::async_stream_of(Trickle(receive), |n| async move { n + 1 });
        for n in 0..3 {
            let mut next = Box::pin(stream.next());
            assert_eq!(poll_once(&mut next).await, None);
            send.send(n).unwrap();
            assert_eq!(next.await, Some(Ok(n + 1)));
        }
        drop(send);
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn a_consumer_that_always_finds_an_element_lets_others_run() {
    run(Run::Real { workers: 1, path: CallPath::Adaptive }, async |_: Me| {
        let turns = Gauge::default();
        let theirs = turns.clone();
        let other = process::spawn(async move |_: Mailbox<()>| {
            loop {
                theirs.up();
                process::yield_now().await;
            }
        });
        let mut ready = Task::async_stream(0..2000u32, |n| async move { n }).max_concurrency(1000);
        ready.next().await;
        let before = turns.now();
        // All of these are there.
        for _ in 0..500 {
            ready.next().await.unwrap().unwrap();
        }
        assert!(turns.now() > before);
        process::exit(other.pid(), ExitReason::Kill);
    });
}

// ---- under a supervisor

#[test]
fn t71_a_stream_that_its_supervisor_refuses_a_task_ends_with_that_and_leaves_nothing_running() {
    on_every_path(async |mut me: Me| {
        me.trap_exits(true);
        let tasks = TaskSupervisor::new().max_children(2).start_link().await.unwrap();
        let begun = Log::default();
        let theirs = begun.clone();
        let task = move |n: u32| {
            let begun = theirs.clone();
            async move {
                begun.add(process::self_pid().unwrap());
                if n > 0 {
                    pending().await
                }
            }
        };
        let stream = tasks.async_stream(0..9, task).max_concurrency(4).infinity().zip_input_on_exit();
        let mut elements = stream.to_vec().await;
        let (input, reason) = elements.pop().unwrap().unwrap_err();
        let refused = reason.term().and_then(Term::as_error).unwrap().downcast_ref::<StartChildError>();
        assert!(matches!(refused, Some(StartChildError::Refused(_))), "{reason}");
        assert!(input >= 2 && elements.iter().all(Result::is_ok));
        assert!(begun.all().into_iter().all(|pid| process_info(pid).is_none()));
        nothing(&mut me);
        tasks.stop().await.unwrap();
    });
}

#[test]
fn t73_the_failures_of_tasks_without_a_link_are_elements() {
    on_every_path(async |mut me: Me| {
        let tasks = TaskSupervisor::new().start_link().await.unwrap();
        let pid = me.pid();
        let supervisor = tasks.pid();
        let task = move |n: u32| async move {
            let info = process_info(process::self_pid().unwrap()).unwrap();
            assert_eq!((info.callers, info.parent), (vec![pid], supervisor));
            match n {
                1 => planned("one"),
                2 => exit_with(crash()).await,
                n => n,
            }
        };
        let elements = tasks.async_stream_nolink(0..4, task).to_vec().await;
        assert!(is_planned(elements[1].as_ref().unwrap_err(), "one"));
        assert_eq!([&elements[0], &elements[2], &elements[3]], [&Ok(0), &Err(crash()), &Ok(3)]);
        assert_eq!(tasks.children().await.unwrap(), []);
        // With a link they end the consumer.
        let ended = apart(&mut me, async move |_: Me| {
            tasks.async_stream([2], task_of(crash())).to_vec().await;
        });
        assert_eq!(ended.await, crash());
    });
}

fn task_of(reason: ExitReason) -> impl FnMut(u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    move |_| Box::pin(exit_with(reason.clone()))
}
