//! Proves that a running server's state can be carried from one version to another and back, and survives every failure of that (G81).

mod common;

use std::collections::BTreeMap;

use common::*;
use purlin_core::sys::{ChangeCodeError, HandleCodeChange, SysError};
use purlin_core::*;

/// Version 1 counts everything together, version 2 by name.
#[derive(Clone, Debug, PartialEq)]
enum Counter {
    V1(u64),
    V2(BTreeMap<&'static str, u64>),
}

struct Count(&'static str);
struct Total;

impl GenServer for Counter {
    type Args = u64;
    async fn init(start: u64, _: &mut Cx<Self>) -> Result<Self, InitError> {
        Ok(Counter::V1(start))
    }
}

impl HandleCast<Count> for Counter {
    async fn handle_cast(&mut self, Count(name): Count, _: &mut Cx<Self>) {
        match self {
            Counter::V1(n) => *n += 1,
            Counter::V2(names) => *names.entry(name).or_default() += 1,
        }
    }
}

impl HandleRead<Total> for Counter {
    type Reply = u64;
    fn handle_read(&self, _: Total, _: &ReadCx<Self>) -> u64 {
        match self {
            Counter::V1(n) => *n,
            Counter::V2(names) => names.values().sum(),
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Up: what was counted so far has this name.
struct FromV1(&'static str);

impl HandleCodeChange<FromV1> for Counter {
    fn code_change(&self, FromV1(name): FromV1) -> Result<Self, Failure> {
        match self {
            Counter::V1(n) => Ok(Counter::V2([(name, *n)].into())),
            Counter::V2(_) => Err("it is of version 2".into()),
        }
    }
}

/// Down again.
struct FromV2;

impl HandleCodeChange<FromV2> for Counter {
    fn code_change(&self, _: FromV2) -> Result<Self, Failure> {
        match self {
            Counter::V2(names) => Ok(Counter::V1(names.values().sum())),
            // As an error of something else would be passed on.
            Counter::V1(n) => Ok(Counter::V1(u64::from(u8::try_from(*n)?))),
        }
    }
}

struct Panicking;

impl HandleCodeChange<Panicking> for Counter {
    fn code_change(&self, _: Panicking) -> Result<Self, Failure> {
        planned("in code_change")
    }
}

#[test]
fn g81_a_suspended_server_goes_from_one_version_to_the_next_and_back_with_its_messages_waiting() {
    on_every_path(|_| async move {
        let counter = Counter::start(5).name("counter").await.unwrap();
        counter.cast(Count("early"));
        sys::suspend(counter.pid()).await.unwrap();
        counter.cast(Count("a"));
        sys::change_code(&counter, FromV1("before")).await.unwrap();
        counter.cast(Count("b"));
        assert_eq!(sys::get_state(&counter).await, Ok(Counter::V2([("before", 6)].into())));
        sys::resume(counter.pid()).await.unwrap();
        assert_eq!(counter.call(Total).await.unwrap(), 8);
        let counted = Counter::V2([("a", 1), ("b", 1), ("before", 6)].into());
        assert_eq!(sys::get_state(&counter).await, Ok(counted));
        sys::suspend(counter.pid()).await.unwrap();
        sys::change_code(&Counter::named("counter"), FromV2).await.unwrap();
        sys::resume(counter.pid()).await.unwrap();
        counter.cast(Count("c"));
        assert_eq!(counter.call(Total).await.unwrap(), 9);
        assert_eq!(sys::get_state(&counter).await, Ok(Counter::V1(9)));
    });
}

#[test]
fn g81_a_change_that_fails_or_panics_leaves_the_server_running_with_its_old_state() {
    on_every_path(|_| async move {
        let counter = Counter::start(1000).await.unwrap();
        sys::suspend(counter.pid()).await.unwrap();
        let error = sys::change_code(&counter, FromV2).await.unwrap_err();
        assert!(matches!(error, ChangeCodeError::Failed(_)));
        assert!(error.to_string().starts_with("the state is as it was: out of range"), "{error}");
        let error = sys::change_code(&counter, Panicking).await.unwrap_err();
        assert!(matches!(error, ChangeCodeError::Sys(SysError::Panicked)), "{error}");
        assert_eq!(sys::get_state(&counter).await, Ok(Counter::V1(1000)));
        assert!(sys::get_status(counter.pid()).await.unwrap().suspended);
        sys::resume(counter.pid()).await.unwrap();
        counter.cast(Count("a"));
        assert_eq!(counter.call(Total).await.unwrap(), 1001);
    });
}

#[test]
fn g81_a_server_that_is_not_suspended_is_not_changed() {
    on_every_path(|_| async move {
        let counter = Counter::start(1).await.unwrap();
        let error = sys::change_code(&counter, FromV1("x")).await.unwrap_err();
        assert!(matches!(error, ChangeCodeError::NotSuspended), "{error}");
        assert_eq!(sys::get_state(&counter).await, Ok(Counter::V1(1)));
        counter.stop().await.unwrap();
        let error = sys::change_code(&counter, FromV1("x")).await.unwrap_err();
        assert!(matches!(error, ChangeCodeError::Sys(SysError::NoProc)), "{error}");
        let error = sys::change_code(&Counter::named("nobody"), FromV1("x")).await.unwrap_err();
        assert!(matches!(error, ChangeCodeError::Sys(SysError::NoProc)), "{error}");
    });
}
