//! Proves that running servers and processes can be looked into, held, traced and stopped from outside, without their programs' knowing.
#![forbid(unsafe_code)]

mod common;

use common::{idle, in_process, until};
use purlin::prelude::*;
use purlin::sys::{ServerHandle, Statistics, SysError, SysEvent, SysStatus};

#[derive(Clone, Debug, PartialEq)]
struct Counter {
    value: i64,
}

#[gen_server]
impl Counter {
    fn init(value: i64) -> Self {
        Counter { value }
    }

    #[call]
    fn get(&self) -> i64 {
        self.value
    }

    #[cast]
    fn add(&mut self, n: i64) {
        self.value += n;
    }

    #[cast]
    async fn hang(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// A tool of a user's own, for every server whose state can be copied.
async fn snapshot<H: ServerHandle>(server: &H) -> std::result::Result<H::Server, SysError>
where
    H::Server: Clone + Send,
{
    sys::get_state(server).await
}

#[purlin::test]
async fn a_state_can_be_copied_inspected_and_replaced() -> Result<()> {
    let counter = Counter::start(1).name("counter").await?;
    assert_eq!(snapshot(&counter).await?, Counter { value: 1 });
    assert_eq!(sys::inspect_state(&Counter::named("counter"), |state| state.value + 1).await?, 2);
    let new = sys::replace_state(&counter, |old| Counter { value: old.value + 40 }).await?;
    assert_eq!((new.value, counter.get().await?), (41, 41));
    let error = sys::replace_state(&counter, |_| panic!("planned")).await.unwrap_err();
    assert_eq!((error, counter.get().await?), (SysError::Panicked, 41));
    counter.stop().await?;
    assert_eq!(snapshot(&counter).await, Err(SysError::NoProc));
    Ok(())
}

#[purlin::test]
async fn a_suspended_server_keeps_its_messages_and_still_answers_requests() -> Result<()> {
    let counter = Counter::start(1).await?;
    sys::suspend(counter.pid()).await?;
    counter.add(1);
    counter.add(1);
    assert_eq!(snapshot(&counter).await?.value, 1);
    assert!(sys::get_status(counter.pid()).await?.suspended);
    sys::resume(counter.pid()).await?;
    assert_eq!(counter.get().await?, 3);
    assert!(!sys::get_status(counter.pid()).await?.suspended);
    Ok(())
}

#[purlin::test]
async fn a_status_tells_what_the_process_is_and_what_is_switched_on() -> Result<()> {
    in_process(async |mailbox: Mailbox<()>| {
        let counter = Counter::start_link(7).await.unwrap();
        let status: SysStatus = sys::get_status(counter.pid()).await.unwrap();
        assert_eq!((status.pid, status.parent), (counter.pid(), Some(mailbox.pid())));
        assert!(status.module.ends_with("Counter") && status.state.ends_with("Counter"), "{status:?}");
        assert!(!status.suspended && !status.debugged && status.log.is_empty());
        sys::log(counter.pid(), true).await.unwrap();
        counter.add(1);
        let status = sys::get_status(counter.pid()).await.unwrap();
        assert!(status.debugged && status.log.len() == 1);
    })
    .await;
    let raw = idle();
    assert_eq!(sys::get_status(raw.pid()).await?.module, "process");
    Ok(())
}

#[purlin::test]
async fn a_log_keeps_the_last_messages() -> Result<()> {
    let counter = Counter::start(0).await?;
    sys::log_keeping(counter.pid(), 2).await?;
    let begun = Node::current().now();
    for n in 1..=3 {
        counter.add(n);
    }
    counter.get().await?;
    let log = sys::get_log(counter.pid()).await?;
    let SysEvent::In { message, at } = &log[0] else { panic!("{log:?}") };
    assert!(*message == "add" && *at >= begun, "{log:?}");
    let SysEvent::In { message, .. } = &log[1] else { panic!("{log:?}") };
    assert_eq!(*message, "get");
    assert_eq!(log.len(), 2);
    sys::log(counter.pid(), false).await?;
    assert_eq!(sys::get_log(counter.pid()).await?, []);
    Ok(())
}

#[purlin::test]
async fn statistics_count_from_when_they_are_switched_on() -> Result<()> {
    let counter = Counter::start(0).await?;
    counter.add(1);
    assert_eq!(counter.get().await?, 1);
    assert_eq!(sys::get_statistics(counter.pid()).await?, None);
    sys::statistics(counter.pid(), true).await?;
    counter.add(1);
    assert_eq!(counter.get().await?, 2);
    let figures: Statistics = sys::get_statistics(counter.pid()).await?.unwrap();
    assert_eq!((figures.messages_in, figures.reductions), (2, 2));
    assert!(figures.start_time <= figures.current_time);
    sys::statistics(counter.pid(), false).await?;
    assert_eq!(sys::get_statistics(counter.pid()).await?, None);
    Ok(())
}

#[purlin::test]
async fn tracing_is_on_until_it_is_switched_off() -> Result<()> {
    let counter = Counter::start(0).await?;
    sys::trace(counter.pid(), true).await?;
    counter.add(1);
    assert!(sys::get_status(counter.pid()).await?.debugged);
    sys::trace(counter.pid(), false).await?;
    assert!(!sys::get_status(counter.pid()).await?.debugged);
    assert_eq!(counter.get().await?, 1);
    Ok(())
}

#[purlin::test]
async fn a_process_can_be_stopped_with_a_reason_even_while_it_is_suspended() -> Result<()> {
    let raw = idle();
    sys::suspend(raw.pid()).await?;
    sys::terminate(raw.pid(), ExitReason::custom("enough")).await?;
    assert_eq!(raw.wait().await, ExitReason::custom("enough"));
    until(|| !process::processes().contains(&raw.pid())).await;
    assert_eq!(sys::terminate(raw.pid(), ExitReason::Normal).await, Err(SysError::NoProc));
    Ok(())
}

#[purlin::test(sim, seeds = 3)]
async fn a_busy_server_does_not_answer_in_time() -> Result<()> {
    let counter = Counter::start(0).await?;
    counter.hang();
    let begun = Node::current().now();
    assert_eq!(snapshot(&counter).await, Err(SysError::Timeout));
    assert!(Node::current().now() - begun >= secs(5));
    process::exit(counter.pid(), ExitReason::Kill);
    Ok(())
}

#[purlin::test]
async fn every_error_says_what_it_means() {
    let texts = [SysError::NoProc, SysError::Timeout, SysError::NoState, SysError::Panicked]
        .map(|error| error.to_string());
    assert_eq!(texts[0], "no such process");
    assert!(texts[1].contains("5 s") && texts[2].contains("state") && texts[3].contains("panicked"));
}
