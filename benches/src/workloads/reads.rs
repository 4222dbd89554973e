//! Reads of one server by one or two tasks: do they run in parallel, and what does one cost?

use super::Conditions;
use crate::meter::{Meter, Sample};
use crate::state::Body;
use crate::system::Reads;

/// One reader, empty body.
pub(crate) fn read<S: Reads>(how: Conditions) -> Sample {
    readers::<S>(how, 1, Body::Empty, 500_000)
}

/// One reader, body of a microsecond.
pub(crate) fn read1_1us<S: Reads>(how: Conditions) -> Sample {
    readers::<S>(how, 1, Body::Micro, 200_000)
}

/// Two readers, body of a microsecond.
pub(crate) fn read2_1us<S: Reads>(how: Conditions) -> Sample {
    readers::<S>(how, 2, Body::Micro, 400_000)
}

/// Two readers, empty body.
pub(crate) fn read2_empty<S: Reads>(how: Conditions) -> Sample {
    readers::<S>(how, 2, Body::Empty, 1_000_000)
}

fn readers<S: Reads>(how: Conditions, readers: usize, body: Body, count: u64) -> Sample {
    let each = how.scaled(count) / readers as u64;
    S::run(how.workers, async move {
        let server = S::start().await;
        reads_from::<S>(&server, readers, body, each / 10).await;
        let meter = Meter::start();
        reads_from::<S>(&server, readers, body, each).await;
        meter.stop(each * readers as u64)
    })
}

async fn reads_from<S: Reads>(server: &S::Server, readers: usize, body: Body, each: u64) {
    let clients: Vec<_> = (0..readers)
        .map(|index| {
            let server = server.clone();
            S::client(index, async move {
                for _ in 0..each {
                    std::hint::black_box(S::read(&server, body).await);
                }
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
}
