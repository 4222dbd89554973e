//! Proves what a cycle of calls leaves to be found: by processes that have waited before, up to the longest ring, on their own node only.

mod common;

use common::lab::*;
use common::*;
use purlin_core::*;

type Outcome = Result<i64, CallErrorKind>;

/// A call of `first` in whose handler the rest of the chain is called.
fn through(chain: Vec<Ref<Lab>>) -> Later<'static, Outcome> {
    Box::pin(async move {
        let Some((first, rest)) = chain.split_first() else { return Ok(0) };
        let rest = rest.to_vec();
        let inner = first.call(wait(move |_, _| Box::pin(through(rest))));
        inner.await.map_err(|error| error.kind().clone())?
    })
}

/// What a cycle of `a` and `b` gives that is closed by a handler of `a` which does `before` first.
async fn after<F>(a: &Ref<Lab>, b: &Ref<Lab>, before: F) -> Outcome
where
    F: for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, ()> + Send + 'static,
{
    let back = vec![b.clone(), a.clone()];
    let call = a.call(wait(move |lab, cx| {
        Box::pin(async move {
            before(lab, cx).await;
            through(back).await
        })
    }));
    call.await.map_err(|error| error.kind().clone())?
}

/// A server that is in a handler which never ends.
async fn occupied(server: &Ref<Lab>) -> Ref<Lab> {
    let (entered, has_entered) = tokio::sync::oneshot::channel();
    server.cast(cast_waiting(|_, _| {
        Box::pin(async {
            entered.send(()).unwrap();
            std::future::pending().await
        })
    }));
    has_entered.await.unwrap();
    server.clone()
}

fn deadlock(of: [&Ref<Lab>; 2]) -> Outcome {
    Err(CallErrorKind::Deadlock(of.map(Ref::pid).to_vec()))
}

#[test]
fn a_cycle_is_told_to_one_who_was_answered_before() {
    in_simulation_on_every_path(|_| async move {
        let (a, b, c) = (lab().await, lab().await, lab().await);
        let told = after(&a, &b, move |_, _| {
            Box::pin(async move {
                c.call(Add(1)).await.unwrap();
                c.call(Add(1)).await.unwrap();
            })
        });
        assert_eq!(told.await, deadlock([&b, &a]));
    });
}

#[test]
fn a_cycle_is_told_to_one_who_has_given_up_a_call_before() {
    in_simulation_on_every_path(|_| async move {
        let (a, b, c) = (lab().await, lab().await, lab().await);
        let busy = occupied(&c).await;
        let told = after(&a, &b, move |_, _| {
            Box::pin(async move {
                let error = busy.call(Get).timeout(millis(5)).await.unwrap_err();
                assert!(matches!(error.kind(), CallErrorKind::Timeout), "{error}");
            })
        });
        assert_eq!(told.await, deadlock([&b, &a]));
        process::exit(c.pid(), ExitReason::Kill);
    });
}

#[test]
fn a_cycle_is_told_to_one_who_has_waited_for_two_at_once_before() {
    in_simulation_on_every_path(|_| async move {
        let (a, b, c, d) = (lab().await, lab().await, lab().await, lab().await);
        let told = after(&a, &b, move |_, _| {
            Box::pin(async move {
                let slow = || wait(|_, _| Box::pin(process::sleep(millis(1))));
                let (first, second) = tokio::join!(c.call(slow()), d.call(slow()));
                first.and(second).unwrap();
            })
        });
        assert_eq!(told.await, deadlock([&b, &a]));
    });
}

#[test]
fn a_ring_of_sixty_four_is_told_and_a_longer_one_runs_into_its_deadline() {
    run(Run::Simulated { seed: 3, path: CallPath::Queued }, |_| async move {
        for (length, found) in [(64, true), (65, false)] {
            let mut ring = Vec::new();
            for _ in 0..length {
                ring.push(lab().await);
            }
            ring.push(ring[0].clone());
            match through(ring).await {
                Err(CallErrorKind::Deadlock(cycle)) => assert!(found && cycle.len() == length),
                Err(CallErrorKind::Timeout) => assert!(!found),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn who_waits_on_another_node_for_a_process_numbered_like_the_caller_makes_no_cycle() {
    let (runtime, builder) = prepare(Run::Simulated { seed: 0, path: CallPath::Queued });
    let other = prepare(Run::Simulated { seed: 0, path: CallPath::Queued }).1;
    let story = async {
        let (here, there) = (builder.start(), other.start());
        let twin = Lab::start(Setup::default()).node(&there).await.unwrap();
        let between = Lab::start(Setup::default()).node(&there).await.unwrap();
        // `between` waits for `twin`, which is busy.
        let busy = occupied(&twin).await;
        between.cast(cast_waiting(move |_, _| {
            Box::pin(async move { assert!(busy.call(Get).infinity().await.is_err()) })
        }));
        let numbers = (twin.pid().id(), twin.pid().serial());
        let caller = here.scope(async move {
            process::spawn(async move |mailbox: Mailbox<()>| {
                assert_eq!((mailbox.pid().id(), mailbox.pid().serial()), numbers);
                // By now it waits.
                process::sleep(millis(1)).await;
                let error = between.call(Get).timeout(millis(5)).await.unwrap_err();
                assert!(matches!(error.kind(), CallErrorKind::Timeout), "{error}");
            })
        });
        assert_eq!(caller.await.wait().await, ExitReason::Normal);
        there.scope(async move { process::exit(twin.pid(), ExitReason::Kill) }).await;
        there.shutdown().await;
        here.shutdown().await;
    };
    // Virtual time: long enough for everything, and over at once when nothing happens any more.
    runtime.block_on(async { tokio::time::timeout(secs(600), story).await }).unwrap();
}
