//! Proves that a registry's locks exclude each other by key, in order, and are free again however their holders end (R43 to R48).

mod common;

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::*;
use purlin_core::registry::{LockError, LockFuture};
use purlin_core::*;

type Locks = Registry<&'static str>;

async fn locks() -> Locks {
    Registry::unique("locks").partitions(2).start().await.unwrap()
}

/// In simulation with 200 seeds, and on real threads.
fn with_many_schedules<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..200 {
        run(Run::Simulated { seed, path: CallPath::Adaptive }, test.clone());
    }
    on_real_runtimes(test);
}

/// How many keys are locked, as the registry's status tells it.
async fn locked(locks: &Locks) -> String {
    let status = sys::get_status(locks.server().unwrap().pid()).await.unwrap();
    format!("{status:?}").split("locks: ").nth(1).unwrap().split(['"', '\\']).next().unwrap().to_owned()
}

/// A lock that is held until it is told to be let go.
struct Held {
    pid: Pid,
    release: tokio::sync::oneshot::Sender<()>,
}

struct Inside(&'static str);

/// Starts a process that takes the lock, tells `me` when it has it, and holds it.
async fn hold(me: &mut Me, locks: &Locks, key: &'static str) -> Held {
    let held = wait_for(me, locks, key);
    assert_eq!(next::<Inside>(me).await.0, key);
    held
}

/// The same, without waiting for it to have it.
fn wait_for(me: &mut Me, locks: &Locks, key: &'static str) -> Held {
    let (locks, me) = (locks.clone(), me.pid());
    let (release, released) = tokio::sync::oneshot::channel();
    let process = process::spawn(async move |_: Mailbox<()>| {
        let lock = locks.lock(key, async || {
            process::send(me, Inside(key));
            // It is dropped without a word when the test ends.
            let _ = released.await;
        });
        lock.infinity().await.unwrap();
    });
    Held { pid: process.pid(), release }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// ---- different keys -------------------------------------------------------------------------------------------------

#[test]
fn r43_locks_of_different_keys_are_held_at_the_same_time() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let mut held = Vec::new();
        for key in ["a", "b", "c", "d"] {
            held.push(hold(&mut me, &locks, key).await);
        }
        assert_eq!(locked(&locks).await, "4");
        for held in held {
            held.release.send(()).unwrap();
            ended_normally(&mut me, held.pid).await;
        }
        assert_eq!(locked(&locks).await, "0");
    });
}

#[test]
fn r43_one_lock_may_be_taken_under_another_and_in_another_registry() {
    everywhere(|_| async {
        let (locks, other) = (locks().await, Registry::<&str>::unique("other").start().await.unwrap());
        let n = locks
            .lock("a", async || {
                locks.lock("b", async || other.lock("a", async || 7).await.unwrap()).await.unwrap()
            })
            .await;
        assert_eq!(n, Ok(7));
        assert_eq!(locked(&locks).await, "0");
    });
}

#[test]
fn a_lock_has_nothing_to_do_with_the_entries_of_its_key() {
    everywhere(|mut me| async move {
        let locks = locks().await;
        let held = hold(&mut me, &locks, "a").await;
        locks.register("a", ()).unwrap();
        assert_eq!(locks.whereis("a"), Ok(Some(me.pid())));
        locks.unregister("a").unwrap();
        assert_eq!(locks.count(), Ok(0));
        held.release.send(()).unwrap();
    });
}

// ---- one key --------------------------------------------------------------------------------------------------------

#[test]
fn r44_one_at_a_time_has_the_lock_of_a_key_in_the_order_of_arrival() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let first = hold(&mut me, &locks, "a").await;
        let order = Log::default();
        let mut waiting: Vec<Boxed<'_, ()>> = Vec::new();
        for n in 0..5 {
            let (order, locks) = (order.clone(), &locks);
            let mut lock: Boxed<'_, ()> = Box::pin(async move {
                let inside = async || {
                    order.add((n, "in"));
                    process::yield_now().await;
                    order.add((n, "out"));
                };
                locks.lock("a", inside).await.unwrap();
            });
            assert!(poll_once(&mut lock).await.is_none());
            waiting.push(lock);
        }
        for _ in 0..3 {
            process::yield_now().await;
        }
        assert!(order.all().is_empty());
        first.release.send(()).unwrap();
        // Whoever is polled first: the order is that of arrival.
        while !waiting.is_empty() {
            let n = Node::current().random() as usize % waiting.len();
            if poll_once(&mut waiting[n]).await.is_some() {
                drop(waiting.remove(n));
            }
            process::yield_now().await;
        }
        let expected: Vec<_> = (0..5).flat_map(|n| [(n, "in"), (n, "out")]).collect();
        assert_eq!(order.all(), expected);
    });
}

#[test]
fn r44_nobody_overtakes_who_has_been_given_the_lock_and_does_not_know_it_yet() {
    everywhere(|_| async {
        let locks = locks().await;
        let mut first = locks.lock("a", async || pending::<()>().await);
        let mut second = Box::pin(locks.lock("a", async || 2));
        assert!(poll_once(&mut first).await.is_none());
        assert!(poll_once(&mut second).await.is_none());
        drop(first);
        let mut third = Box::pin(locks.lock("a", async || 3));
        assert!(poll_once(&mut third).await.is_none(), "the second is to have it");
        assert_eq!(poll_once(&mut second).await, Some(Ok(2)));
        assert_eq!(poll_once(&mut third).await, Some(Ok(3)));
    });
}

#[test]
fn r44_the_next_one_is_not_inside_before_everything_of_the_one_before_is_dropped() {
    /// Tells of its end.
    struct Note(Log<(u8, &'static str)>, u8);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.add((self.1, "dropped"));
        }
    }
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let log = Log::default();
        let visitor = |n: u8| {
            let (locks, log) = (locks.clone(), log.clone());
            process::spawn(async move |_: Mailbox<()>| {
                let note = Note(log.clone(), n);
                let inside = async move || {
                    let _note = note;
                    log.add((n, "in"));
                    process::yield_now().await;
                    if n == 1 {
                        planned("inside");
                    }
                    process::yield_now().await;
                };
                let mut lock = Box::pin(locks.lock("a", inside));
                // The last one gives up, while it waits or while it is inside.
                for _ in 0..if n == 2 { 4 } else { usize::MAX } {
                    if poll_once(&mut lock).await.is_some() {
                        break;
                    }
                    process::yield_now().await;
                }
            })
        };
        for visitor in [0, 1, 2].map(visitor) {
            end_of(&mut me, visitor.pid()).await;
        }
        let mut inside = None;
        for (n, what) in log.all() {
            match what {
                "in" => assert_eq!(inside.replace(n), None, "{:?}", log.all()),
                // One that gave up before it came in is dropped at any time.
                _ if inside == Some(n) => inside = None,
                _ => {},
            }
        }
        assert_eq!(inside, None);
        assert_eq!(log.all().iter().filter(|(_, what)| *what == "dropped").count(), 3);
    });
}

/// What must hold all the time under a lock: nobody else is there.
#[derive(Clone, Default)]
struct Cell {
    busy: Arc<AtomicBool>,
    entered: Arc<AtomicU64>,
}

impl Cell {
    async fn visit(&self) {
        struct Leave(Cell);
        impl Drop for Leave {
            fn drop(&mut self) {
                assert!(self.0.busy.swap(false, Ordering::Relaxed));
            }
        }
        assert!(!self.busy.swap(true, Ordering::Relaxed), "somebody else is inside");
        let _leave = Leave(self.clone());
        let entered = self.entered.load(Ordering::Relaxed);
        process::yield_now().await;
        self.entered.store(entered + 1, Ordering::Relaxed);
    }
}

#[test]
fn r44_r46_r48_locks_exclude_each_other_whoever_is_killed_gives_up_or_comes_too_late() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let cells = [Cell::default(), Cell::default()];
        let dice = |n: u64| Node::current().random() % n;
        let visitors: Vec<_> = (0..6)
            .map(|_| {
                let (locks, cells) = (locks.clone(), cells.clone());
                process::spawn(async move |_: Mailbox<()>| {
                    for _ in 0..10 {
                        let n = dice(2) as usize;
                        let lock = locks.lock(["a", "b"][n], async || cells[n].visit().await);
                        match dice(4) {
                            0 => drop(lock.timeout(millis(dice(3))).await),
                            1 => {
                                let mut lock = Box::pin(lock.infinity());
                                for _ in 0..dice(5) {
                                    if poll_once(&mut lock).await.is_some() {
                                        break;
                                    }
                                    process::yield_now().await;
                                }
                            },
                            _ => lock.infinity().await.unwrap(),
                        }
                    }
                })
            })
            .collect();
        for visitor in &visitors[..3] {
            for _ in 0..dice(20) {
                process::yield_now().await;
            }
            process::exit(visitor.pid(), ExitReason::Kill);
        }
        for visitor in &visitors[3..] {
            let reason = end_of(&mut me, visitor.pid()).await;
            assert!(matches!(reason, ExitReason::Normal | ExitReason::NoProc), "{reason}");
        }
        for visitor in &visitors[..3] {
            end_of(&mut me, visitor.pid()).await;
        }
        assert_eq!(locked(&locks).await, "0");
        assert!(poll_once(&mut locks.lock("a", async || ())).await.is_some());
        assert!(poll_once(&mut locks.lock("b", async || ())).await.is_some());
    });
}

#[test]
fn r44_plain_tasks_on_several_threads_lose_no_update_under_a_lock() {
    let (runtime, builder) = prepare(Run::Real { workers: 4, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(async {
            let locks = locks().await;
            let total = Arc::new(AtomicU64::new(0));
            let tasks: Vec<_> = (0..8)
                .map(|n| {
                    let (locks, total) = (locks.clone(), total.clone());
                    tokio::spawn(async move {
                        for round in 0..2000 {
                            let add = async || {
                                let before = total.load(Ordering::Relaxed);
                                if round % 8 == n {
                                    tokio::task::yield_now().await;
                                }
                                total.store(before + 1, Ordering::Relaxed);
                            };
                            locks.lock("total", add).infinity().await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(total.load(Ordering::Relaxed), 16_000);
            assert_eq!(locked(&locks).await, "0");
        })
        .await;
        node.shutdown().await;
    });
}

// ---- released -------------------------------------------------------------------------------------------------------

#[test]
fn r45_a_panic_under_the_lock_frees_it_and_goes_on() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let (handle, address) = (locks.clone(), me.pid());
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let crashing = process::spawn(async move |_: Mailbox<()>| {
            let inside = async || {
                process::send(address, Inside("a"));
                let _ = told.await;
                planned("under the lock");
            };
            let _: Result<(), _> = handle.lock("a", inside).await;
        });
        let monitor = me.monitor(crashing.pid());
        next::<Inside>(&mut me).await;
        let mut waiting = locks.lock("a", async || 7);
        assert!(poll_once(&mut waiting).await.is_none());
        tell.send(()).unwrap();
        assert_eq!(waiting.await, Ok(7));
        assert!(is_planned(&down(&mut me, monitor).await.reason, "under the lock"));
        assert_eq!(locked(&locks).await, "0");
    });
}

/// Polls once and catches the panic.
fn panics<F: Future + Unpin>(future: &mut F) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    catch_unwind(AssertUnwindSafe(|| drop(Pin::new(future).poll(&mut cx)))).is_err()
}

#[test]
fn r45_the_lock_is_free_at_once_even_if_the_panic_is_caught_and_the_future_kept() {
    everywhere(|_| async {
        let locks = locks().await;
        let mut at_once = locks.lock("a", || -> std::future::Ready<()> { planned("no future") });
        let mut later = Box::pin(locks.lock("a", async || planned("later")));
        let mut last = Box::pin(locks.lock("a", async || 7));
        assert!(panics(&mut at_once));
        assert_eq!(locked(&locks).await, "0");
        assert!(panics(&mut later));
        assert_eq!(poll_once(&mut last).await, Some(Ok(7)));
        assert!(panics(&mut later), "it has completed");
        assert!(panics(&mut last), "so has this");
    });
}

#[test]
fn r46_a_holder_that_is_killed_frees_its_lock_for_the_next_one() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let first = hold(&mut me, &locks, "a").await;
        let second = wait_for(&mut me, &locks, "a");
        process::exit(first.pid, ExitReason::Kill);
        next::<Inside>(&mut me).await;
        assert!(first.release.is_closed(), "what ran under the lock is gone");
        second.release.send(()).unwrap();
        assert_eq!(locks.lock("a", async || 7).await, Ok(7));
    });
}

#[test]
fn r46_the_lock_is_free_when_the_holders_end_is_told() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        for reason in [ExitReason::Kill, ExitReason::Shutdown] {
            let held = hold(&mut me, &locks, "a").await;
            let monitor = me.monitor(held.pid);
            process::exit(held.pid, reason);
            down(&mut me, monitor).await;
            assert_eq!(poll_once(&mut locks.lock("a", async || 7)).await, Some(Ok(7)));
            drop(held.release);
        }
    });
}

#[test]
fn r46_one_that_is_killed_while_it_waits_is_passed_over() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let first = hold(&mut me, &locks, "a").await;
        let second = wait_for(&mut me, &locks, "a");
        for _ in 0..Node::current().random() % 4 {
            process::yield_now().await;
        }
        let mut third = locks.lock("a", async || 3);
        assert!(poll_once(&mut third).await.is_none());
        // Both at once: the second may just have been given the lock when it is killed.
        if Node::current().random().is_multiple_of(2) {
            first.release.send(()).unwrap();
            process::exit(second.pid, ExitReason::Kill);
        } else {
            process::exit(second.pid, ExitReason::Kill);
            first.release.send(()).unwrap();
        }
        assert_eq!(third.await, Ok(3));
        drop(second.release);
        end_of(&mut me, second.pid).await;
        assert_eq!(locked(&locks).await, "0");
    });
}

#[test]
fn r46_one_that_is_dropped_exactly_when_it_is_given_the_lock_passes_it_on() {
    everywhere(|_| async {
        let locks = locks().await;
        let mut first = locks.lock("a", async || pending::<()>().await);
        let mut second = locks.lock("a", async || planned("it is never inside"));
        let mut third = Box::pin(locks.lock("a", async || 3));
        assert!(poll_once(&mut first).await.is_none());
        assert!(poll_once(&mut second).await.is_none());
        assert!(poll_once(&mut third).await.is_none());
        drop(first);
        drop(second);
        assert_eq!(poll_once(&mut third).await, Some(Ok(3)));
    });
}

#[test]
fn a_lock_that_was_never_polled_was_never_asked_for() {
    everywhere(|_| async {
        let locks = locks().await;
        let lock = locks.lock("a", async || planned("not awaited"));
        assert!(format!("{lock:?}").starts_with("LockFuture(not asked for, at "));
        assert_eq!(locked(&locks).await, "0");
        drop(lock);
    });
}

// ---- waiting is limited ---------------------------------------------------------------------------------------------

#[test]
fn r48_waiting_ends_after_5_seconds_and_the_error_tells_what_was_waited_for() {
    in_simulation(|mut me| async move {
        let locks = locks().await;
        let held = hold(&mut me, &locks, "a").await;
        let begin = Node::current().now();
        let error = locks.lock("a", async || planned("not in time")).await.unwrap_err();
        assert_eq!(Node::current().now() - begin, secs(5));
        let LockError::Timeout { registry, key, holder, waited, location } = &error else {
            panic!("{error}")
        };
        assert_eq!((registry.as_str(), key.as_str(), *waited), ("locks", "\"a\"", secs(5)));
        assert_eq!((*holder, location.file()), (Some(held.pid), file!()));
        let text = error.to_string();
        assert!(text.contains("was not free after 5s") && text.contains(&held.pid.to_string()), "{text}");
        held.release.send(()).unwrap();
        assert_eq!(locks.lock("a", async || 7).await, Ok(7));
    });
}

#[test]
fn r48_the_limit_may_be_another_one_or_none_and_is_that_of_the_wait() {
    in_simulation(|mut me| async move {
        let locks = locks().await;
        let held = hold(&mut me, &locks, "a").await;
        let node = Node::current();
        for limit in [millis(0), millis(1), secs(3600)] {
            let begin = node.now();
            assert!(locks.lock("a", async || ()).timeout(limit).await.unwrap_err().is_timeout());
            assert_eq!(node.now() - begin, limit);
        }
        let mut patient = Box::pin(locks.lock("a", async || 7).infinity());
        assert!(poll_once(&mut patient).await.is_none());
        process::sleep(secs(86_400)).await;
        assert!(poll_once(&mut patient).await.is_none());
        held.release.send(()).unwrap();
        assert_eq!(patient.await, Ok(7));
        let slow = locks.lock("a", async || process::sleep(secs(3600)).await).timeout(millis(1)).await;
        assert_eq!(slow, Ok(()), "what is done under the lock is not limited");
        assert_eq!(node.stats().timers, 0);
    });
}

#[test]
fn r48_whoever_waited_for_too_long_gives_up_its_place() {
    with_many_schedules(|mut me| async move {
        let locks = locks().await;
        let held = hold(&mut me, &locks, "a").await;
        let mut second = Box::pin(locks.lock("a", async || planned("too late")).timeout(millis(1)));
        let mut third = Box::pin(locks.lock("a", async || 3).infinity());
        assert!(poll_once(&mut second).await.is_none());
        assert!(poll_once(&mut third).await.is_none());
        assert!((&mut second).await.is_err_and(|error: LockError| error.is_timeout()));
        held.release.send(()).unwrap();
        // The one that timed out is still there, and has no part in it any more.
        assert_eq!(third.await, Ok(3));
        assert_eq!(locked(&locks).await, "0");
        drop(second);
        assert_eq!(locks.lock("a", async || 7).await, Ok(7));
    });
}

#[test]
fn r48_a_lock_that_comes_together_with_the_deadline_is_taken_or_passed_on() {
    for seed in 0..200 {
        run(Run::Simulated { seed, path: CallPath::Adaptive }, |mut me| async move {
            let locks = locks().await;
            let (first, address) = (locks.clone(), me.pid());
            process::spawn(async move |_: Mailbox<()>| {
                let inside = async || {
                    process::send(address, Inside("a"));
                    process::sleep(secs(5)).await;
                };
                first.lock("a", inside).await.unwrap();
            });
            next::<Inside>(&mut me).await;
            for _ in 0..2 {
                let locks = locks.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    let got = locks.lock("a", async || process::yield_now().await).await;
                    process::send(address, got.map_err(|error| error.is_timeout()));
                });
            }
            for _ in 0..2 {
                let got = next::<Result<(), bool>>(&mut me).await;
                assert!(matches!(got, Ok(()) | Err(true)), "{got:?}");
            }
            assert_eq!(locks.lock("a", async || 7).await, Ok(7));
            assert_eq!(locked(&locks).await, "0");
        });
    }
}

// ---- oneself --------------------------------------------------------------------------------------------------------

#[test]
fn who_asks_for_the_lock_it_has_is_told_at_once() {
    everywhere(|_| async {
        let locks = locks().await;
        let begin = Node::current().now();
        let inner = locks
            .lock("a", async || {
                process::yield_now().await;
                locks.lock("b", async || locks.lock("a", async || planned("never")).await).await.unwrap()
            })
            .await
            .unwrap();
        let error: LockError = inner.unwrap_err();
        let LockError::Reentrant { registry, key, location } = &error else { panic!("{error}") };
        assert_eq!((registry.as_str(), key.as_str(), location.file()), ("locks", "\"a\"", file!()));
        assert!(error.to_string().contains("would wait for itself"), "{error}");
        assert!(!Node::current().is_simulated() || Node::current().now() == begin);
        assert_eq!(locks.lock("a", async || 7).await, Ok(7));
    });
}

#[test]
fn two_branches_of_one_process_take_turns() {
    everywhere(|_| async {
        let locks = locks().await;
        let cell = Cell::default();
        let visit = || locks.lock("a", || cell.visit());
        let (first, second, third) = tokio::join!(visit(), visit(), visit());
        assert_eq!([first, second, third], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(cell.entered.load(Ordering::Relaxed), 3);
    });
}

/// A server that locks.
struct Locker(Locks);
struct Lock(std::time::Duration);

impl GenServer for Locker {
    type Args = Locks;
    async fn init(locks: Locks, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Locker(locks))
    }
}

impl HandleCall<Lock> for Locker {
    type Reply = Result<u8, bool>;
    async fn handle_call(&mut self, Lock(limit): Lock, _: &mut Cx<Self>) -> Result<u8, bool> {
        self.0.lock("a", async || 7).timeout(limit).await.map_err(|error| error.is_timeout())
    }
}

#[test]
fn a_server_that_is_called_under_a_lock_waits_for_itself_on_every_path() {
    on_every_path(|_| async {
        let locks = locks().await;
        let locker = Locker::start(locks.clone()).await.unwrap();
        let called = locks.lock("a", async || locker.call(Lock(millis(1))).await.unwrap()).await;
        assert_eq!(called, Ok(Err(true)), "its wait is its own, and it ran out");
        assert_eq!(locker.call(Lock(millis(1))).await.unwrap(), Ok(7));
        // The server may wait for longer than its caller does.
        let caller = locks.lock("a", async || locker.call(Lock(secs(5))).timeout(millis(1)).await);
        assert!(caller.await.unwrap().unwrap_err().is_timeout());
        assert_eq!(locker.call(Lock(secs(5))).await.unwrap(), Ok(7));
    });
}

#[test]
fn a_server_that_is_killed_in_a_handler_frees_what_it_has_locked() {
    struct Hog(Locks);
    struct Grab;
    impl GenServer for Hog {
        type Args = Locks;
        async fn init(locks: Locks, _: &mut Cx<Self>) -> Result<Self, InitError> {
            Ok(Hog(locks))
        }
    }
    impl HandleCall<Grab> for Hog {
        type Reply = ();
        async fn handle_call(&mut self, _: Grab, _: &mut Cx<Self>) {
            self.0.lock("a", async || pending().await).await.unwrap()
        }
    }
    on_every_path(|_| async {
        let locks = locks().await;
        let hog = Hog::start(locks.clone()).await.unwrap();
        let mut grab = hog.call(Grab);
        assert!(poll_once(&mut grab).await.is_none());
        while locked(&locks).await == "0" {
            process::yield_now().await;
        }
        let waiting = locks.lock("a", async || 7);
        process::exit(hog.pid(), ExitReason::Kill);
        assert_eq!(waiting.await, Ok(7));
        assert_eq!(grab.await.unwrap_err().exit_reason(), Some(&ExitReason::Killed));
    });
}

// ---- the registry ---------------------------------------------------------------------------------------------------

#[test]
fn r40_a_lock_of_an_unknown_registry_says_so() {
    everywhere(|_| async {
        let unknown = LockError::Registry(RegistryError::Unknown { name: "locks".to_owned() });
        let builder = Registry::<&str>::unique("locks");
        for locks in [builder.handle(), Registry::named("locks")] {
            assert_eq!(locks.lock("a", async || planned("never")).await, Err::<(), _>(unknown.clone()));
        }
        assert!(unknown.to_string().contains("no registry \"locks\" is running"), "{unknown}");
        assert_eq!(LockError::from(RegistryError::NoNode).to_string(), RegistryError::NoNode.to_string());
    });
}

#[test]
fn when_the_registry_ends_those_who_wait_are_told_and_whoever_has_a_lock_keeps_it() {
    with_many_schedules(|mut me| async move {
        let builder = Registry::unique("locks").partitions(2);
        let locks: Locks = builder.clone().start().await.unwrap();
        let held = hold(&mut me, &locks, "a").await;
        let mut waiting = locks.lock("a", async || planned("never")).infinity();
        assert!(poll_once(&mut waiting).await.is_none());
        let server = locks.server().unwrap().pid();
        process::exit(server, ExitReason::Kill);
        let unknown = LockError::Registry(RegistryError::Unknown { name: "locks".to_owned() });
        assert_eq!(waiting.await, Err::<(), _>(unknown.clone()));
        assert_eq!(locks.lock("a", async || planned("never")).await, Err::<(), _>(unknown));
        // Started again, it still knows that somebody is inside.
        end_of(&mut me, server).await;
        builder.clone().start().await.unwrap();
        let mut waiting = Box::pin(locks.lock("a", async || 7));
        assert!(poll_once(&mut waiting).await.is_none());
        assert_eq!(locks.lock("b", async || 8).await, Ok(8));
        held.release.send(()).unwrap();
        assert_eq!(waiting.await, Ok(7));
        assert_eq!(locked(&locks).await, "0");
    });
}

#[test]
fn one_that_waited_in_a_registry_that_was_restarted_meanwhile_is_told_all_the_same() {
    everywhere(|mut me| async move {
        let builder = Registry::unique("locks");
        let locks: Locks = builder.clone().start().await.unwrap();
        let held = hold(&mut me, &locks, "a").await;
        let mut waiting: LockFuture<'_, _, _, _, _, _> = locks.lock("a", async || planned("never"));
        assert!(poll_once(&mut waiting).await.is_none());
        locks.server().unwrap().stop().await.unwrap();
        builder.start().await.unwrap();
        held.release.send(()).unwrap();
        ended_normally(&mut me, held.pid).await;
        assert!(matches!(waiting.await, Err::<(), _>(LockError::Registry(_))));
        assert_eq!(locked(&locks).await, "0");
    });
}

#[test]
fn a_key_that_panics_when_it_is_compared_ends_no_program() {
    #[derive(Clone, Debug)]
    struct Grumpy(Arc<AtomicBool>);
    impl std::hash::Hash for Grumpy {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }
    impl PartialEq for Grumpy {
        fn eq(&self, _: &Grumpy) -> bool {
            if self.0.load(Ordering::Relaxed) { planned("compared") } else { true }
        }
    }
    impl Eq for Grumpy {}
    everywhere(|_| async {
        let locks = Registry::<Grumpy>::unique("grumpy").start().await.unwrap();
        let angry = Arc::new(AtomicBool::new(false));
        let key = Grumpy(angry.clone());
        let mut lock = locks.lock(key.clone(), async || {
            angry.store(true, Ordering::Relaxed);
            planned("inside");
        });
        // The lock is given up while this panic unwinds.
        assert!(panics(&mut lock));
        assert!(panics(&mut locks.lock(key.clone(), async || ())));
        angry.store(false, Ordering::Relaxed);
        let stuck = locks.lock(key, async || ()).timeout(millis(1)).await;
        assert!(stuck.unwrap_err().is_timeout(), "it could not be found to be given up");
    });
}
