//! Small worlds whose invariants hold under every schedule. `docs/simulation.md` tells which planted bugs each of them finds, and how soon.
//!
//! `PURLIN_SIM_SEEDS=10000 cargo test -p purlin-core --test explored` explores more than the usual 200 schedules of each.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{Me, Run, planned};
use purlin_core::gen_server::Accepts;
use purlin_core::*;

/// Runs a world with many seeds.
fn explore<F, Fut>(world: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let seeds = std::env::var("PURLIN_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        common::run(Run::Simulated { seed, path: CallPath::Adaptive }, world.clone());
    }
}

/// A number that only the seed decides.
fn random(below: u64) -> u64 {
    Node::current().random() % below
}

// ---- who works, and is watched

/// Set when it is dropped.
struct Token(Arc<AtomicBool>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Counts what it is told, keeps the last number of each sender, and passes messages on.
struct Worker {
    sum: u64,
    last: BTreeMap<u64, u64>,
    next: Option<Ref<Worker>>,
    _token: Option<Token>,
}

struct Add(u64);
struct Get;
struct Slow(u64);
struct Numbered {
    sender: u64,
    number: u64,
}
/// Goes from worker to worker, by cast, until it is used up; then the last one tells.
struct Hop {
    left: u64,
    home: Pid,
}
struct Next(Ref<Worker>);
/// Casts `Add(1)` to itself that many times, by one cast after the other.
struct Again(u64);
struct Break;

impl GenServer for Worker {
    type Args = Option<Token>;

    async fn init(token: Option<Token>, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Worker { sum: 0, last: BTreeMap::new(), next: None, _token: token })
    }

    fn accepts(_: &mut Accepts<'_, Self>) {}
}

impl HandleCall<Add> for Worker {
    type Reply = u64;
    const SYNC: bool = true;
    async fn handle_call(&mut self, Add(n): Add, _: &mut Cx<Self>) -> u64 {
        self.sum += n;
        self.sum
    }
}

impl HandleCast<Add> for Worker {
    async fn handle_cast(&mut self, Add(n): Add, _: &mut Cx<Self>) {
        self.sum += n;
    }
}

impl HandleCall<Slow> for Worker {
    type Reply = u64;
    async fn handle_call(&mut self, Slow(n): Slow, _: &mut Cx<Self>) -> u64 {
        let before = self.sum;
        process::yield_now().await;
        assert_eq!(self.sum, before, "another handler ran in between");
        self.sum += n;
        n
    }
}

impl HandleRead<Get> for Worker {
    type Reply = u64;
    fn handle_read(&self, _: Get, _: &ReadCx<Self>) -> u64 {
        self.sum
    }
}

impl HandleCast<Numbered> for Worker {
    async fn handle_cast(&mut self, Numbered { sender, number }: Numbered, _: &mut Cx<Self>) {
        let before = self.last.insert(sender, number).unwrap_or(0);
        assert_eq!(number, before + 1, "sender {sender}: out of order");
    }
}

impl HandleCall<Numbered> for Worker {
    type Reply = ();
    async fn handle_call(&mut self, Numbered { sender, number }: Numbered, _: &mut Cx<Self>) {
        let before = self.last.insert(sender, number).unwrap_or(0);
        assert_eq!(number, before + 1, "sender {sender}: out of order");
    }
}

impl HandleCast<Hop> for Worker {
    async fn handle_cast(&mut self, Hop { left, home }: Hop, _: &mut Cx<Self>) {
        match &self.next {
            Some(next) if left > 0 => next.cast(Hop { left: left - 1, home }),
            _ => process::send(home, left),
        }
    }
}

impl HandleCall<Next> for Worker {
    type Reply = ();
    async fn handle_call(&mut self, Next(next): Next, _: &mut Cx<Self>) {
        self.next = Some(next);
    }
}

impl HandleCall<Again> for Worker {
    type Reply = ();
    async fn handle_call(&mut self, Again(n): Again, cx: &mut Cx<Self>) {
        if n > 0 {
            cx.this().cast(Again(n));
        }
    }
}

impl HandleCast<Again> for Worker {
    async fn handle_cast(&mut self, Again(n): Again, cx: &mut Cx<Self>) {
        self.sum += 1;
        if n > 1 {
            cx.this().cast(Again(n - 1));
        }
    }
}

impl HandleCast<Break> for Worker {
    async fn handle_cast(&mut self, _: Break, _: &mut Cx<Self>) {
        planned("a worker breaks");
    }
}

async fn worker() -> Ref<Worker> {
    Worker::start_link(None).await.unwrap()
}

/// Runs these bodies as processes, and waits for their ends, all of them normal.
async fn all<Fut: Future<Output = ()> + Send + 'static>(bodies: impl IntoIterator<Item = Fut>) {
    let processes: Vec<_> =
        bodies.into_iter().map(|body| process::spawn(move |_: Mailbox<()>| body)).collect();
    for process in processes {
        let reason = process.wait().await;
        assert!(matches!(reason, ExitReason::Normal | ExitReason::NoProc), "{reason}");
    }
}

type Later<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

async fn next<T: Send + 'static>(me: &mut Me) -> T {
    me.receive_as::<T>().await
}

// ---- the worlds

#[test]
fn no_message_is_left_waiting_while_its_receiver_sleeps() {
    explore(|mut me| async move {
        let ring: Vec<Ref<Worker>> = [worker().await, worker().await, worker().await].into();
        for (index, member) in ring.iter().enumerate() {
            member.call(Next(ring[(index + 1) % ring.len()].clone())).await.unwrap();
        }
        for member in &ring {
            member.cast(Hop { left: 5 + random(5), home: me.pid() });
        }
        // A server that casts to itself while it is called in place has work when the caller leaves it.
        let (one, two) = (ring[0].clone(), ring[1].clone());
        all([one.clone(), two.clone()].map(|worker| async move {
            for _ in 0..3 {
                worker.call(Again(2)).await.unwrap();
                worker.cast(Add(0));
            }
        }))
        .await;
        for _ in &ring {
            assert_eq!(next::<u64>(&mut me).await, 0);
        }
        for member in [one, two] {
            while member.call(Get).await.unwrap() < 6 {
                process::sleep(millis(1)).await;
            }
            assert_eq!(member.call(Get).await.unwrap(), 6);
        }
    });
}

#[test]
fn a_reader_sees_what_it_sent_before_and_never_a_half_done_write() {
    explore(|_| async move {
        let server = worker().await;
        all((0..3u64).map(|_| {
            let server = server.clone();
            async move {
                let mut least = 0;
                for _ in 0..4 {
                    match random(3) {
                        0 => server.cast(Add(1)),
                        1 => {
                            let server = server.clone();
                            server.call(Add(1)).await.unwrap();
                        },
                        _ => {
                            server.call(Slow(1)).await.unwrap();
                        },
                    }
                    least += 1;
                    let seen = server.call(Get).await.unwrap();
                    assert!(seen >= least, "saw {seen} after sending {least}");
                    least = seen;
                }
            }
        }))
        .await;
        assert_eq!(server.call(Get).await.unwrap(), 12);
    });
}

#[test]
fn what_one_process_sends_another_arrives_in_order_by_cast_and_by_call() {
    explore(|_| async move {
        let server = worker().await;
        all((0..3u64).map(|sender| {
            let server = server.clone();
            async move {
                for number in 1..=8 {
                    if random(2) == 0 {
                        server.cast(Numbered { sender, number });
                    } else {
                        server.call(Numbered { sender, number }).await.unwrap();
                    }
                }
            }
        }))
        .await;
        server.call(Get).await.unwrap();
    });
}

#[test]
fn each_call_is_answered_once_and_by_its_own_answer() {
    explore(|_| async move {
        let server = worker().await;
        let done = Arc::new(AtomicU64::new(0));
        all((1..4u64).map(|caller| {
            let (server, done) = (server.clone(), done.clone());
            async move {
                for round in 0..4 {
                    let id = caller * 100 + round;
                    let answer = match random(3) {
                        0 => server.call(Slow(id)).timeout(millis(random(2))).await,
                        1 => {
                            let mut call = Box::pin(server.call(Slow(id)));
                            if common::poll_once(&mut call).await.is_none() {
                                drop(call);
                            }
                            continue;
                        },
                        _ => server.call(Slow(id)).await,
                    };
                    match answer {
                        Ok(own) => {
                            assert_eq!(own, id, "the answer of another call");
                            done.fetch_add(id, Ordering::Relaxed);
                        },
                        Err(error) => assert_eq!(*error.kind(), CallErrorKind::Timeout),
                    }
                }
            }
        }))
        .await;
        assert!(server.call(Get).await.unwrap() >= done.load(Ordering::Relaxed));
    });
}

#[test]
fn whoever_hears_of_an_end_finds_everything_gone() {
    explore(|mut me| async move {
        let gone = Arc::new(AtomicBool::new(false));
        let server = Worker::start(Some(Token(gone.clone()))).name(Name::new("named")).await.unwrap();
        let pid = server.pid();
        let monitor = me.monitor(pid);
        let check = move |gone: &AtomicBool| {
            assert!(gone.load(Ordering::SeqCst), "told of its end while it still has its state");
            assert_ne!(process::whereis("named"), Some(pid), "told of its end while it still has its name");
        };
        let told = gone.clone();
        let watcher = process::spawn(async move |mut mailbox: Mailbox<Down>| {
            mailbox.monitor(pid);
            let down = mailbox.receive().await;
            assert!(told.load(Ordering::SeqCst) && down.pid == Some(pid));
        });
        let killer = random(4);
        let ending = server.clone();
        let waited = gone.clone();
        all([Box::pin(async move {
            match killer {
                0 => ending.cast(Break),
                1 => process::exit(pid, ExitReason::Kill),
                2 => process::exit(pid, ExitReason::error("enough")),
                _ => drop(ending.stop().await),
            }
            process::wait(pid).await;
            check(&waited);
        })])
        .await;
        let down = next::<Down>(&mut me).await;
        assert_eq!((down.monitor, down.pid), (monitor, Some(pid)));
        check(&gone);
        let expected = match killer {
            0 => down.reason.panic_info().is_some(),
            1 => down.reason == ExitReason::Killed,
            2 => down.reason == ExitReason::error("enough"),
            _ => down.reason == ExitReason::Normal,
        };
        assert!(expected, "{}", down.reason);
        watcher.wait().await;
        process::sleep(millis(1)).await;
        assert!(me.try_receive().is_none(), "told twice");
    });
}

#[test]
fn links_take_each_other_down_exactly_as_long_as_they_are_there() {
    explore(|mut me| async move {
        me.trap_exits(true);
        let wait = async |mut mailbox: Mailbox<()>| mailbox.receive().await;
        let (a, b, c) = (process::spawn(wait), process::spawn(wait), process::spawn(wait));
        process::link(a.pid()).unwrap();
        process::link(b.pid()).unwrap();
        process::link(c.pid()).unwrap();
        let (first, second) = (a.pid(), c.pid());
        // After `unlink` nothing comes of that link, whatever ends the other, and when.
        process::unlink(second);
        all([
            Box::pin(async move { process::exit(first, ExitReason::Kill) }) as Later<()>,
            Box::pin(async move { process::exit(second, ExitReason::error("c")) }),
        ])
        .await;
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: first, reason: ExitReason::Killed });
        c.wait().await;
        process::sleep(millis(1)).await;
        assert!(me.try_receive().is_none());
        b.send(());
        assert_eq!(next::<Exit>(&mut me).await, Exit { from: b.pid(), reason: ExitReason::Normal });
    });
}

/// A supervisor's child, which counts its starts and ends, and fails to start as often as it is told.
struct Counted(Arc<Counts>);

#[derive(Default)]
struct Counts {
    starts: AtomicU64,
    ends: AtomicU64,
    failing: AtomicU64,
    tries: AtomicU64,
}

impl GenServer for Counted {
    type Args = Arc<Counts>;

    async fn init(counts: Arc<Counts>, _: &mut Cx<Self>) -> Result<Self, InitError> {
        counts.tries.fetch_add(1, Ordering::SeqCst);
        if counts.failing.load(Ordering::SeqCst) > 0 {
            counts.failing.fetch_sub(1, Ordering::SeqCst);
            return Err(InitError::Stop(ExitReason::error("not yet")));
        }
        counts.starts.fetch_add(1, Ordering::SeqCst);
        Ok(Counted(counts))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.ends.fetch_add(1, Ordering::SeqCst);
    }
}

/// The child of this id, as soon as it is alive.
async fn child_of(supervisor: &SupervisorRef, id: &str) -> Pid {
    loop {
        let children = supervisor.which_children().await.unwrap();
        let child = children.iter().find(|child| child.id.as_ref().is_some_and(|own| *own == id));
        match child.and_then(|child| child.status.pid()) {
            Some(pid) if process::is_alive(pid) => return pid,
            _ => process::sleep(millis(1)).await,
        }
    }
}

#[test]
fn every_crash_counts_once_against_the_intensity() {
    explore(|_| async move {
        let counts: [Arc<Counts>; 2] = Default::default();
        let supervisor = Supervisor::one_for_one()
            .max_restarts(3, secs(5))
            .child(Counted::child_spec(counts[0].clone()).id("a"))
            .child(Counted::child_spec(counts[1].clone()).id("b"))
            .start()
            .await
            .unwrap();
        // Three crashes are within the limit, some of them by a start that fails, two of them at the same time.
        let failing = random(3);
        counts[0].failing.store(failing, Ordering::SeqCst);
        let (a, b) = (child_of(&supervisor, "a").await, child_of(&supervisor, "b").await);
        process::exit(a, ExitReason::Kill);
        if failing < 2 {
            process::exit(b, ExitReason::Kill);
        }
        let more = 3 - (1 + failing) - u64::from(failing < 2);
        for _ in 0..more {
            let now = child_of(&supervisor, "b").await;
            process::exit(now, ExitReason::Kill);
            process::wait(now).await;
        }
        process::sleep(secs(1)).await;
        assert!(supervisor.is_alive(), "it gave up after 3 restarts");
        let tried: u64 = counts.iter().map(|counts| counts.tries.load(Ordering::SeqCst)).sum();
        assert_eq!(tried, 2 + 3, "children are started once per crash");
        for counts in &counts {
            assert_eq!(counts.starts.load(Ordering::SeqCst) - counts.ends.load(Ordering::SeqCst), 1);
        }
        let end = process::wait(supervisor.pid());
        let mut end = Box::pin(end);
        assert!(common::poll_once(&mut end).await.is_none());
        process::exit(child_of(&supervisor, "a").await, ExitReason::Kill);
        assert_eq!(end.await, ExitReason::Shutdown, "the fourth crash is one too many");
        for counts in &counts {
            assert_eq!(counts.starts.load(Ordering::SeqCst), counts.ends.load(Ordering::SeqCst));
        }
    });
}

#[test]
fn children_that_belong_together_end_and_start_together() {
    explore(|_| async move {
        let together = random(2) == 0;
        let counts: [Arc<Counts>; 3] = Default::default();
        let supervisor = if together { Supervisor::one_for_all() } else { Supervisor::rest_for_one() };
        let supervisor = supervisor
            .max_restarts(100, secs(5))
            .children(
                counts
                    .iter()
                    .zip(["a", "b", "c"])
                    .map(|(counts, id)| Counted::child_spec(counts.clone()).id(id)),
            )
            .start_link()
            .await
            .unwrap();
        let mut pids = Vec::new();
        for id in ["a", "b", "c"] {
            pids.push(child_of(&supervisor, id).await);
        }
        let first = random(3) as usize;
        let second = random(3) as usize;
        process::exit(pids[first], ExitReason::Kill);
        process::exit(pids[second], ExitReason::error("at the same time"));
        process::sleep(secs(1)).await;
        let from = if together { 0 } else { first.min(second) };
        for (index, counts) in counts.iter().enumerate() {
            let (starts, ends) = (counts.starts.load(Ordering::SeqCst), counts.ends.load(Ordering::SeqCst));
            assert_eq!(starts - ends, 1, "child {index} is there once");
            let restarted = starts > 1;
            assert_eq!(restarted, index >= from, "child {index} of one that ended at {first} and {second}");
            assert!(starts <= 3, "child {index} was restarted {} times for two ends", starts - 1);
        }
    });
}

#[test]
fn a_name_has_one_holder_and_is_free_when_its_end_is_known() {
    explore(|_| async move {
        let holders: Arc<Mutex<Vec<Pid>>> = Arc::default();
        all((0..3u64).map(|_| {
            let holders = holders.clone();
            async move {
                for _ in 0..2 {
                    match Worker::start(None).name(Name::new("one")).await {
                        Ok(server) => {
                            let other =
                                holders.lock().unwrap().iter().copied().find(|pid| process::is_alive(*pid));
                            assert_eq!(other, None, "two holders of one name");
                            holders.lock().unwrap().push(server.pid());
                            process::yield_now().await;
                            server.stop().await.unwrap();
                        },
                        Err(StartError::AlreadyStarted(pid)) => {
                            process::wait(pid).await;
                            assert_ne!(process::whereis("one"), Some(pid));
                        },
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }))
        .await;
    });
}

#[test]
fn a_timer_fires_once_and_in_time_unless_it_was_taken_off() {
    explore(|mut me| async move {
        let begin = Node::current().now();
        let timers: Vec<_> =
            (0..4u8).map(|n| process::send_after(me.pid(), millis(5 + random(3)), n)).collect();
        process::sleep(millis(random(8))).await;
        let cancelled = random(4) as u8;
        let off = process::cancel_timer(timers[usize::from(cancelled)]).is_some();
        process::sleep(millis(20)).await;
        let mut fired = Vec::new();
        while let Some(message) = me.try_receive() {
            fired.push(message.downcast::<u8>().unwrap());
        }
        assert!(Node::current().now() - begin >= millis(20));
        fired.sort_unstable();
        let expected: Vec<u8> = (0..4).filter(|n| !(off && *n == cancelled)).collect();
        assert_eq!(fired, expected);
    });
}
