//! Proves that exit reasons are data: told apart by kind, compared, displayed, and carried from a handler's error to whoever hears of it.
#![forbid(unsafe_code)]

mod common;

use std::error::Error;
use std::fmt;

use common::idle;
use purlin::PanicInfo;
use purlin::prelude::*;

#[test]
fn only_normal_and_shutdown_are_clean() {
    let clean = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::ShutdownWith(Term::text("done"))];
    let crash = [
        ExitReason::Kill,
        ExitReason::Killed,
        ExitReason::NoProc,
        ExitReason::NoConnection,
        ExitReason::Timeout,
        ExitReason::Error(Term::text("no")),
        ExitReason::Custom(Term::new(7)),
    ];
    assert!(clean.iter().all(ExitReason::is_clean) && !crash.iter().any(ExitReason::is_clean));
    assert!(clean[0].is_normal() && !clean[0].is_shutdown());
    assert!(clean[1..].iter().all(|reason| reason.is_shutdown() && !reason.is_normal()));
    let texts: Vec<String> = clean.iter().chain(&crash).map(ToString::to_string).collect();
    let expected = [
        "normal",
        "shutdown",
        "shutdown: done",
        "kill",
        "killed",
        "no such process",
        "no connection to the node",
        "timeout",
        "no",
        "7",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn reasons_carry_terms_that_are_compared_by_type_and_value() {
    #[derive(Debug, PartialEq)]
    struct DiskFull {
        left: u32,
    }

    let reason = ExitReason::custom(DiskFull { left: 3 });
    assert_eq!(reason, ExitReason::Custom(Term::new(DiskFull { left: 3 })));
    assert_ne!(reason, ExitReason::custom(DiskFull { left: 4 }));
    assert_ne!(reason, ExitReason::shutdown_with(DiskFull { left: 3 }));
    assert_ne!(ExitReason::custom(3u8), ExitReason::custom(3i8));
    assert_eq!(reason.term().unwrap().downcast_ref::<DiskFull>(), Some(&DiskFull { left: 3 }));
    assert_eq!(reason.term().unwrap().downcast_ref::<u32>(), None);
    assert_eq!(ExitReason::error("text").term().unwrap().downcast_ref::<String>().unwrap(), "text");
    assert!(ExitReason::Killed.term().is_none() && reason.panic_info().is_none());
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad settings")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

struct Reader;

#[gen_server]
impl Reader {
    fn init() -> Self {
        Reader
    }

    #[call]
    fn read(&mut self, text: String) -> Result<i64, Crash> {
        Ok(text.parse().map_err(Outer)?)
    }

    #[call]
    fn give_up(&mut self) -> Result<(), Crash> {
        Err(Crash::msg("enough"))
    }
}

#[purlin::test]
async fn an_error_passed_on_with_a_question_mark_keeps_its_type_and_its_sources() -> Result<()> {
    let reader = Reader::start(()).await?;
    let error = reader.read("x".to_owned()).await.unwrap_err();
    let term = error.exit_reason().and_then(ExitReason::term).unwrap();
    assert_eq!(term.to_string(), "bad settings: invalid digit found in string");
    assert!(term.as_error().unwrap().downcast_ref::<Outer>().is_some());
    assert!(Term::text("x").as_error().is_none());
    assert_eq!(*term, Term::from_error(Outer("y".parse::<i64>().unwrap_err())), "compared as displayed");
    Ok(())
}

#[test]
fn a_crash_shows_its_reason() {
    assert_eq!(Crash::new(ExitReason::Timeout).reason(), &ExitReason::Timeout);
    assert_eq!(Crash::msg("enough").reason().to_string(), "enough");
    let from_error: Crash = "x".parse::<i64>().unwrap_err().into();
    assert!(matches!(from_error.reason(), ExitReason::Error(_)));
}

#[purlin::test]
async fn panics_are_equal_by_message_and_place() {
    fn crash() -> Address<()> {
        process::spawn(async |_: Mailbox<()>| panic!("planned {}", 7))
    }
    let (one, two) = (crash().wait().await, crash().wait().await);
    assert_eq!(one, two);
    let info: &PanicInfo = one.panic_info().unwrap();
    assert_eq!(info.to_string(), format!("panicked at {}: planned 7", info.location.as_ref().unwrap()));
    assert_ne!(one, process::spawn(async |_: Mailbox<()>| panic!("planned 7")).wait().await);
    assert_eq!(process::wait(idle_then_gone().await).await, ExitReason::NoProc);
}

async fn idle_then_gone() -> Pid {
    let process = idle();
    process.send(());
    process.wait().await;
    process.pid()
}

#[purlin::test]
async fn without_backtraces_a_panic_has_message_and_place_only() {
    let node = Node::builder().backtraces(false).start();
    let reason =
        node.scope(async { process::spawn(async |_: Mailbox<()>| panic!("planned")).wait().await }).await;
    let info = reason.panic_info().unwrap();
    assert!(info.backtrace.is_none() && info.location.is_some());
    node.shutdown().await;
}
