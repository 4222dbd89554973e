//! Proves that a process which always has something to do keeps no other one from running, wherever that one was scheduled from.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::lab::*;
use common::*;
use purlin_core::*;

/// More activations than any test waits for.
const MANY: usize = 50_000;

type Turn = Box<dyn FnOnce(&mut Lab, &mut Cx<Lab>) + Send>;

/// Casts to itself again and again, and works for `each` in between.
fn churn(turns: Arc<AtomicUsize>, each: Duration) -> impl FnOnce(&mut Lab, &mut Cx<Lab>) + Send + 'static {
    move |_, cx| {
        let begin = Instant::now();
        while begin.elapsed() < each {
            std::hint::spin_loop();
        }
        if turns.fetch_add(1, Ordering::SeqCst) < MANY {
            let again: Turn = Box::new(churn(turns, each));
            cx.this().cast(casting(again));
        }
    }
}

#[test]
fn what_a_plain_task_schedules_runs_although_processes_keep_every_executor_busy() {
    for workers in [1, 2] {
        // So long that a slice ends after fewer activations than there are between two looks at the shared queue.
        let each = Duration::from_micros(10);
        let how = Run::Real { workers, path: CallPath::Queued };
        let (runtime, builder) = prepare(how);
        runtime.block_on(async {
            let node = builder.start();
            let task = node.scope(async move {
                let turns = Arc::new(AtomicUsize::new(0));
                let echo = lab().await;
                let mut busy = Vec::new();
                for _ in 0..workers {
                    let server = lab().await;
                    server.cast(casting(churn(turns.clone(), each)));
                    busy.push(server);
                }
                for n in 1..=10 {
                    // This is no process, and so the call is scheduled through the queue that all executors share.
                    assert_eq!(echo.call(Add(1)).infinity().await.unwrap(), n);
                }
                let taken = turns.swap(MANY, Ordering::SeqCst);
                assert!(taken < MANY / 2, "{how:?}: {taken} turns of others before ten calls were answered");
                for server in busy {
                    server.stop().await.unwrap();
                }
            });
            tokio::spawn(task).await.unwrap();
            node.shutdown().await;
        });
    }
}
