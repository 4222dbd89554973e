//! Proves that expansions keep to the strictest lints: what a person did not write, a person is not warned of.
#![deny(
    warnings,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    unused_qualifications,
    missing_debug_implementations
)]
#![deny(
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    unused_lifetimes
)]
#![deny(
    missing_copy_implementations,
    redundant_lifetimes,
    unit_bindings,
    unused_results,
    variant_size_differences
)]
// What a person wrote here on purpose.
#![allow(clippy::unnecessary_wraps, clippy::missing_const_for_fn, clippy::needless_pass_by_value)]
#![forbid(unsafe_code)]

use purlin::prelude::*;

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick;

/// A server with one of everything, and a client method that nobody uses.
#[derive(Debug)]
pub(crate) struct Everything<T> {
    items: Vec<T>,
}

#[gen_server]
impl<T: Clone + Send + Sync + 'static> Everything<T> {
    fn init(first: T, more: Vec<T>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        cx.continue_with(Tick);
        let mut items = vec![first];
        items.extend(more);
        Ok(Self { items })
    }

    #[call]
    fn len(&self) -> usize {
        self.items.len()
    }

    #[call]
    async fn push(&mut self, item: T) -> usize {
        process::yield_now().await;
        self.items.push(item);
        self.items.len()
    }

    #[call]
    fn last(&self) -> Result<T, Crash> {
        self.items.last().cloned().ok_or_else(|| Crash::msg("empty"))
    }

    #[call]
    fn later(&mut self) -> Reply<u8> {
        let () = self.items.clear();
        Reply::now(1)
    }

    #[cast]
    fn unit(&mut self, (): ()) {
        self.items.clear();
    }

    #[cast]
    #[deprecated(note = "use `unit`")]
    fn old(&mut self, _items: Vec<T>) {
        self.items.clear();
    }

    #[info]
    fn tick(&mut self, _: Tick) {
        self.items.clear();
    }

    #[handle_continue]
    fn go_on(&mut self, _: Tick) -> Result<(), Crash> {
        self.items.shrink_to_fit();
        Ok(())
    }

    fn terminate(&mut self, _: &ExitReason) {
        self.items.clear();
    }
}

#[purlin::test]
async fn a_server_under_strict_lints_runs() -> Result<()> {
    let everything = Everything::start((1, vec![2])).await?;
    assert_eq!(everything.len().await?, 2);
    assert_eq!(everything.push(3).await?, 3);
    assert_eq!(everything.last().await?, 3);
    assert_eq!(everything.later().await?, 1);
    everything.unit(());
    everything.stop().await?;
    Ok(())
}
