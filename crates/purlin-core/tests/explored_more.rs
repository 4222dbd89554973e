//! More small worlds whose invariants hold under every schedule, for what those in `explored` do not look at: relations that are taken
//! back while the other side ends, a mailbox with a bound, calls from server to server.
//!
//! `PURLIN_SIM_SEEDS=10000 cargo test -p purlin-core --test explored_more` explores more than the usual 200 schedules of each.

mod common;

use std::collections::BTreeMap;

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
