//! Calls, casts, the ring, monitors.

use tokio::sync::oneshot;

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::state::Token;
use crate::system::{Calls, Casts, Deadlines, Monitors, Ring};

/// One caller, one idle server.
pub(crate) fn call<S: Calls>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let server = S::start().await;
        for _ in 0..n / 10 {
            S::call(&server, 1).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::call(&server, 1).await;
        }
        meter.stop(n)
    })
}

/// One caller, one idle server, deadline 5 s.
pub(crate) fn call_5s<S: Deadlines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let server = S::start().await;
        for _ in 0..n / 10 {
            S::call_5s(&server, 1).await;
        }
        let meter = Meter::start();
        for _ in 0..n {
            S::call_5s(&server, 1).await;
        }
        meter.stop(n)
    })
}

/// As [`call_5s`], of an `async fn` handler that is ready at once.
pub(crate) fn call_async<S: Deadlines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move { asynchronous::<S>(n).await })
}

/// As [`call_async`], from a plain task of the runtime, as a handler of a web server is one.
pub(crate) fn call_task<S: Deadlines>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(
        how.workers,
        async move { tokio::spawn(asynchronous::<S>(n)).await.expect("the task does not panic") },
    )
}

async fn asynchronous<S: Deadlines>(n: u64) -> Sample {
    let server = S::start().await;
    for _ in 0..n / 10 {
        S::call_async(&server, 1).await;
    }
    let meter = Meter::start();
    for _ in 0..n {
        S::call_async(&server, 1).await;
    }
    meter.stop(n)
}

/// Four callers, one server.
pub(crate) fn call_4<S: Calls>(how: Conditions) -> Sample {
    callers::<S>(how, 4)
}

/// Sixteen callers, one server.
pub(crate) fn call_16<S: Calls>(how: Conditions) -> Sample {
    callers::<S>(how, 16)
}

fn callers<S: Calls>(how: Conditions, callers: usize) -> Sample {
    let each = how.scaled(480_000) / callers as u64;
    S::run(how.workers, async move {
        let server = S::start().await;
        calls_from::<S>(&server, callers, each / 10).await;
        let meter = Meter::start();
        calls_from::<S>(&server, callers, each).await;
        meter.stop(each * callers as u64)
    })
}

async fn calls_from<S: Calls>(server: &S::Server, callers: usize, each: u64) {
    let clients: Vec<_> = (0..callers)
        .map(|index| {
            let server = server.clone();
            S::client(index, async move {
                for _ in 0..each {
                    S::call(&server, 1).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
}

/// One producer, one server.
pub(crate) fn cast_1p<S: Casts>(how: Conditions) -> Sample {
    producers::<S>(how, 1)
}

/// Four producers, one server.
pub(crate) fn cast_4p<S: Casts>(how: Conditions) -> Sample {
    producers::<S>(how, 4)
}

fn producers<S: Casts>(how: Conditions, producers: usize) -> Sample {
    let each = how.scaled(1_000_000) / producers as u64;
    S::run(how.workers, async move {
        let server = S::start().await;
        casts_from::<S>(&server, producers, each / 10).await;
        let meter = Meter::start();
        casts_from::<S>(&server, producers, each).await;
        meter.stop(each * producers as u64)
    })
}

/// The producers never wait; after every 1,000 casts they give the other tasks a turn, as a task that lives in an
/// asynchronous program must (and so that the queue's length, not its page faults, is what is measured).
async fn casts_from<S: Casts>(server: &S::Server, producers: usize, each: u64) {
    let (done, handled) = oneshot::channel();
    S::expect(server, each * producers as u64, done).await;
    let clients: Vec<_> = (0..producers)
        .map(|index| {
            let server = server.clone();
            S::client(index, async move {
                for sent in 1..=each {
                    S::cast(&server);
                    if sent % 1_000 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
    handled.await.expect("the server handles all casts");
}

/// A token around 1,000 processes.
pub(crate) fn ring<S: Ring>(how: Conditions) -> Sample {
    let hops = how.scaled(500_000);
    S::run(how.workers, async move {
        let first = S::ring(1_000).await;
        around::<S>(&first, (hops / 10).max(2_000)).await;
        let meter = Meter::start();
        around::<S>(&first, hops).await;
        meter.stop(hops)
    })
}

async fn around<S: Ring>(first: &S::Node, hops: u64) {
    let (token, arrived) = Token::new(hops);
    S::launch(first, token);
    arrived.await.expect("the token arrives");
}

/// Monitor and demonitor a live server.
pub(crate) fn monitor<S: Monitors>(how: Conditions) -> Sample {
    let n = how.scaled(500_000);
    S::run(how.workers, async move {
        let server = S::start().await;
        S::monitor(&server, n / 10).await;
        let meter = Meter::start();
        S::monitor(&server, n).await;
        meter.stop(n)
    })
}
