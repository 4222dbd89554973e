//! More small worlds whose invariants hold under every schedule, for what those in `explored` do not look at: relations that are taken
//! back while the other side ends, a mailbox with a bound, calls from server to server, futures that are looked at in passing, starts that
//! fail within a restart, intervals.
//!
//! `PURLIN_SIM_SEEDS=10000 cargo test -p purlin-core --test explored_more` explores more than the usual 200 schedules of each.

mod common;

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};

use common::{Me, Run};
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

/// Lets others go first, a few times or not at all.
async fn linger() {
    for _ in 0..random(4) {
        process::yield_now().await;
    }
}

/// Ends these processes, from another one, with the same reason and sooner or later.
fn end_them(pids: Vec<Pid>, reason: ExitReason) {
    process::spawn(async move |_: Mailbox<()>| {
        for pid in pids {
            linger().await;
            process::exit(pid, reason.clone());
        }
    });
}

// ---- relations that are taken back

/// What is in the mailbox now, all of it of one type.
fn received<T: Send + 'static>(me: &mut Me) -> Vec<T> {
    std::iter::from_fn(|| me.try_receive()).map(|message| message.downcast::<T>().unwrap()).collect()
}

#[test]
fn every_linked_end_is_told_once_and_none_after_unlink() {
    explore(|mut me| async move {
        me.trap_exits(true);
        let others: Vec<Pid> = (0..4).map(|_| common::idle()).collect();
        for other in &others {
            process::link(*other).unwrap();
        }
        let reason = ExitReason::error("enough");
        end_them(others.clone(), reason.clone());
        let mut told: BTreeMap<Pid, u32> = BTreeMap::new();
        let mut unlinked = Vec::new();
        for other in &others {
            linger().await;
            // What is a message already has been told before; only what comes later is against the rule.
            for exit in received::<Exit>(&mut me) {
                assert!(exit.reason == reason && !unlinked.contains(&exit.from), "{exit:?} after unlink");
                *told.entry(exit.from).or_default() += 1;
            }
            if random(2) == 0 {
                process::unlink(*other);
                unlinked.push(*other);
            }
        }
        for other in &others {
            process::wait(*other).await;
        }
        process::sleep(millis(10)).await;
        for exit in received::<Exit>(&mut me) {
            assert!(exit.reason == reason && !unlinked.contains(&exit.from), "{exit:?} after unlink");
            *told.entry(exit.from).or_default() += 1;
        }
        for other in &others {
            let times = told.get(other).copied().unwrap_or(0);
            let expected = if unlinked.contains(other) { 0..=1 } else { 1..=1 };
            assert!(expected.contains(&times), "the end of a linked process was told {times} times");
        }
    });
}

#[test]
fn every_monitored_end_is_told_once_and_none_after_demonitor() {
    explore(|mut me| async move {
        let others: Vec<Pid> = (0..4).map(|_| common::idle()).collect();
        let monitors: Vec<MonitorRef> = others.iter().map(|other| me.monitor(*other)).collect();
        end_them(others.clone(), ExitReason::Kill);
        let mut expected = Vec::new();
        for monitor in monitors {
            linger().await;
            if random(2) == 0 {
                me.demonitor(monitor);
            } else {
                expected.push(monitor);
            }
        }
        for other in &others {
            process::wait(*other).await;
        }
        process::sleep(millis(10)).await;
        let mut told: Vec<MonitorRef> = received::<Down>(&mut me).iter().map(|down| down.monitor).collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected, "told of ends, and monitors that were on to the last");
    });
}

/// Links itself with another process, and takes that back, when it is told to.
struct Partner(Pid);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bond {
    Link,
    Unlink,
}

impl Bond {
    fn make(self, with: Pid) {
        match self {
            Bond::Link => process::link(with).unwrap(),
            Bond::Unlink => process::unlink(with),
        }
    }
}

impl GenServer for Partner {
    type Args = Pid;

    async fn init(with: Pid, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Partner(with))
    }
}

impl HandleCall<Bond> for Partner {
    type Reply = ();
    async fn handle_call(&mut self, bond: Bond, _: &mut Cx<Self>) {
        bond.make(self.0);
    }
}

#[test]
fn two_are_linked_as_the_last_of_them_has_said() {
    explore(|mut me| async move {
        me.trap_exits(true);
        let other = Partner::start(me.pid()).await.unwrap();
        let mut last = Bond::Unlink;
        for _ in 0..1 + random(6) {
            last = if random(2) == 0 { Bond::Link } else { Bond::Unlink };
            if random(2) == 0 {
                last.make(other.pid());
            } else {
                other.call(last).await.unwrap();
            }
        }
        process::exit(other.pid(), ExitReason::Kill);
        process::wait(other.pid()).await;
        process::sleep(millis(10)).await;
        let told: Vec<Pid> = received::<Exit>(&mut me).iter().map(|exit| exit.from).collect();
        let expected = if last == Bond::Link { vec![other.pid()] } else { vec![] };
        assert_eq!(told, expected);
    });
}

// ---- servers that call each other

/// Passes a call on along a way, by calls of its own.
struct Station;

/// The servers that the call has still to visit.
struct Visit(Vec<Ref<Station>>);

impl GenServer for Station {
    type Args = ();

    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Station)
    }
}

/// What a call along a way comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Came {
    Through,
    /// A server would have had to wait for itself, directly or by others.
    Round,
}

impl HandleCall<Visit> for Station {
    type Reply = Came;
    async fn handle_call(&mut self, Visit(mut way): Visit, _: &mut Cx<Self>) -> Came {
        if random(3) == 0 {
            process::yield_now().await;
        }
        let Some(next) = way.pop() else { return Came::Through };
        match next.call(Visit(way)).await {
            Ok(came) => came,
            Err(error) => match error.kind() {
                CallErrorKind::Deadlock(_) | CallErrorKind::CallingSelf => Came::Round,
                _ => panic!("{error}"),
            },
        }
    }
}

#[test]
fn a_call_that_comes_round_is_told_so_and_no_other_is() {
    explore(|_| async move {
        let mut stations = Vec::new();
        for _ in 0..3 {
            stations.push(Station::start_link(()).await.unwrap());
        }
        for _ in 0..6 {
            let way: Vec<usize> = (0..1 + random(3)).map(|_| random(3) as usize).collect();
            let expected = match way.iter().enumerate().any(|(at, station)| way[..at].contains(station)) {
                true => Came::Round,
                false => Came::Through,
            };
            let mut visits: Vec<_> = way.iter().rev().map(|index| stations[*index].clone()).collect();
            let first = visits.pop().unwrap();
            assert_eq!(first.call(Visit(visits)).await.unwrap(), expected, "along {way:?}");
        }
    });
}

// ---- room in a mailbox

/// Takes its time.
struct Patient;

struct Take(u64);

impl GenServer for Patient {
    type Args = ();

    async fn init((): (), _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Patient)
    }
}

impl HandleCall<Take> for Patient {
    type Reply = u64;
    async fn handle_call(&mut self, Take(n): Take, _: &mut Cx<Self>) -> u64 {
        process::sleep(millis(1)).await;
        n
    }
}

#[test]
fn who_waits_for_room_gets_in_although_others_give_up() {
    explore(|_| async move {
        let bound = MailboxBound::new(1 + random(2) as usize, Overflow::Wait);
        let server = Patient::start(()).mailbox(bound).await.unwrap();
        let callers: Vec<_> = (0..5u64)
            .map(|caller| {
                let server = server.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    for round in 0..1 + random(2) {
                        let n = caller * 10 + round;
                        // Who has no deadline waits to the end, and hangs if it is forgotten.
                        let answer = match random(2) {
                            0 => server.call(Take(n)).timeout(millis(random(4))).await,
                            _ => Ok(server.call(Take(n)).infinity().await.unwrap()),
                        };
                        match answer {
                            Ok(own) => assert_eq!(own, n),
                            Err(error) => assert_eq!(*error.kind(), CallErrorKind::Timeout),
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            let reason = caller.wait().await;
            assert!(matches!(reason, ExitReason::Normal | ExitReason::NoProc), "{reason}");
        }
        server.stop().await.unwrap();
    });
}

#[test]
fn nobody_waits_for_room_in_the_mailbox_of_one_that_has_ended() {
    explore(|_| async move {
        let server = Patient::start(()).mailbox(MailboxBound::new(1, Overflow::Wait)).await.unwrap();
        let callers: Vec<_> = (0..4)
            .map(|n| {
                let server = server.clone();
                process::spawn(async move |_: Mailbox<()>| {
                    // Answered or not, it comes back.
                    while server.call(Take(n)).infinity().await.is_ok() {}
                })
            })
            .collect();
        linger().await;
        process::sleep(millis(random(4))).await;
        end_them(vec![server.pid()], ExitReason::Kill);
        for caller in callers {
            let reason = caller.wait().await;
            assert!(reason.is_normal(), "{reason}");
        }
    });
}

// ---- futures that are looked at in passing

/// Polls a future as somebody who is not to be woken; whether it is to be awaited.
fn look(future: Pin<&mut impl Future>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn who_waits_is_woken_although_somebody_else_looked_before() {
    explore(|_| async move {
        let server = Patient::start(()).await.unwrap();
        let asked = server.clone();
        let busy =
            process::spawn(async move |_: Mailbox<()>| assert_eq!(asked.call(Take(1)).await.unwrap(), 1));
        linger().await;
        let mut answer = pin!(server.call(Take(2)).infinity());
        if look(answer.as_mut()) {
            linger().await;
            assert_eq!(answer.await.unwrap(), 2);
        }
        let mut end = pin!(busy.wait());
        if look(end.as_mut()) {
            end.await;
        }
        let mut pause = pin!(process::sleep(millis(1)));
        if look(pause.as_mut()) {
            pause.await;
        }
        server.stop().await.unwrap();
    });
}

// ---- starts that fail within a restart

/// One of three children, each of which needs the one before it.
struct Story {
    at: usize,
    house: Arc<House>,
}

#[derive(Default)]
struct House {
    stands: [AtomicBool; 3],
    /// How many more starts of the middle one fail.
    fails: AtomicU64,
    hangs_in_the_air: AtomicBool,
}

impl GenServer for Story {
    type Args = (usize, Arc<House>);

    async fn init((at, house): (usize, Arc<House>), _: &mut Cx<Self>) -> Result<Self, InitError> {
        if at > 0 && !house.stands[at - 1].load(Ordering::SeqCst) {
            house.hangs_in_the_air.store(true, Ordering::SeqCst);
        }
        if at == 1 && house.fails.load(Ordering::SeqCst) > 0 {
            house.fails.fetch_sub(1, Ordering::SeqCst);
            return Err(InitError::Stop(ExitReason::error("not yet")));
        }
        house.stands[at].store(true, Ordering::SeqCst);
        Ok(Story { at, house })
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.house.stands[self.at].store(false, Ordering::SeqCst);
    }
}

#[test]
fn no_child_starts_while_one_before_it_is_down() {
    explore(|_| async move {
        let house = Arc::<House>::default();
        let all = random(2) == 0;
        let mut supervisor = if all { Supervisor::one_for_all() } else { Supervisor::rest_for_one() };
        for at in 0..3 {
            supervisor = supervisor.child(Story::child_spec((at, house.clone())).id(format!("{at}")));
        }
        let supervisor = supervisor.max_restarts(100, secs(1)).start().await.unwrap();
        for _ in 0..3 {
            house.fails.store(random(3), Ordering::SeqCst);
            let victim = random(3) as usize;
            let children = supervisor.which_children().await.unwrap();
            let running = children.iter().filter_map(|child| child.status.pid()).nth(victim);
            linger().await;
            running.inspect(|pid| process::exit(*pid, ExitReason::Kill));
            process::sleep(millis(1)).await;
        }
        assert!(!house.hangs_in_the_air.load(Ordering::SeqCst));
        assert!(house.stands.iter().all(|stands| stands.load(Ordering::SeqCst)));
        supervisor.stop().await.unwrap();
    });
}

// ---- intervals

#[test]
fn an_interval_goes_on_until_it_is_taken_off_and_no_longer() {
    explore(|mut me| async move {
        let interval = process::send_interval(me.pid(), millis(2), 7u8);
        let ticks = random(4);
        for tick in 1..=ticks {
            assert_eq!(me.receive().await.downcast::<u8>().ok(), Some(7));
            assert!(Node::current().now() >= millis(2 * tick));
        }
        linger().await;
        assert!(process::cancel_timer(interval).is_some());
        received::<u8>(&mut me);
        process::sleep(millis(20)).await;
        assert_eq!(received::<u8>(&mut me), []);
        assert_eq!(process::cancel_timer(interval), None);
    });
}
