//! Proves that every process has a span where somebody subscribes to it. One test, because what a subscriber wants is remembered for the
//! whole program: a test beside it, which has none, could be the first to ask.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::lab::*;
use common::*;
use purlin_core::*;

/// Counts the spans of processes.
struct Spans(Arc<AtomicUsize>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "purlin::process"
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        assert_eq!(span.metadata().name(), "process");
        tracing::span::Id::from_u64(1 + self.0.fetch_add(1, Ordering::Relaxed) as u64)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn every_process_has_a_span_where_somebody_subscribes_to_it() {
    let spans = Arc::new(AtomicUsize::new(0));
    let (runtime, builder) = prepare(Run::Simulated { seed: 0, path: CallPath::Adaptive });
    tracing::subscriber::with_default(Spans(spans.clone()), || {
        runtime.block_on(async {
            let node = builder.start();
            node.scope(async {
                let before = spans.load(Ordering::Relaxed);
                idle();
                Lab::start(Setup::default()).await.unwrap();
                assert_eq!(spans.load(Ordering::Relaxed) - before, 2);
            })
            .await;
            node.shutdown().await;
        });
    });
}
