//! Proves that a dynamic supervisor starts, restarts, limits, lists and stops children that come and go, typed and with extra arguments.
#![forbid(unsafe_code)]

mod common;

use common::{in_process, until};
use purlin::prelude::*;
use purlin::supervisor::{
    ChildCounts, ChildStatus, DynamicFlags, Extra, FlagsError, NotAChild, StartRefused, TerminateChildError,
    UpdateError,
};
use purlin::{DynamicSupervisorSpec, supervisor};

/// One conversation.
struct Session {
    number: u64,
}

#[gen_server]
impl Session {
    fn init(number: u64) -> std::result::Result<Self, InitError> {
        match number {
            0 => Err(InitError::Ignore),
            13 => Err(InitError::Stop(ExitReason::error("unlucky"))),
            _ => Ok(Session { number }),
        }
    }

    #[call]
    fn number(&self) -> u64 {
        self.number
    }

    #[call]
    fn crash(&mut self) {
        panic!("planned");
    }
}

#[purlin::test]
async fn children_are_started_with_their_own_type_and_restarted_alone() -> Result<()> {
    let sessions: DynamicSupervisorRef = DynamicSupervisor::new().name("sessions").start().await?;
    let one: Ref<Session> = sessions.start_child(Session::child_spec(1).name("one")).await?;
    let two = DynamicSupervisor::named("sessions").start_child(Session::child_spec(2)).await?;
    assert_eq!((one.number().await?, two.number().await?), (1, 2));
    assert!(one.crash().await.is_err());
    sessions.count_children().await?;
    assert_eq!(Session::named("one").number().await?, 1, "a new one, with the old arguments");
    assert!(two.is_alive() && !one.is_alive());
    sessions.stop().await?;
    assert!(!two.is_alive());
    let error = sessions.terminate_child(two.pid()).await.unwrap_err();
    assert!(matches!(&error, TerminateChildError::Call(error) if error.is_no_proc()), "{error}");
    Ok(())
}

#[purlin::test]
async fn children_are_listed_counted_and_terminated_by_pid() -> Result<()> {
    let sessions = DynamicSupervisor::new().name("sessions").start().await?;
    let one = sessions.start_child(Session::child_spec(1).restart(Temporary)).await?.pid();
    let raw = ChildSpec::process("raw", async |mut mailbox: Mailbox<()>| mailbox.receive().await);
    let two = sessions.start_child_spec(raw).await?;
    let by_name = DynamicSupervisor::named("sessions");
    let counts = ChildCounts { specs: 2, active: 2, supervisors: 0, workers: 2 };
    assert_eq!((sessions.count_children().await?, by_name.count_children().await?), (counts, counts));
    let listed = by_name.which_children().await?;
    assert_eq!(listed, sessions.which_children().await?);
    assert_eq!(supervisor::which_children(sessions.pid()).await.unwrap(), listed);
    let statuses: Vec<_> = listed.iter().map(|child| (child.id.clone(), child.status)).collect();
    assert_eq!(statuses, [(None, ChildStatus::Running(one)), (None, ChildStatus::Running(two))]);
    assert_eq!((listed[0].restart, listed[0].module), (Temporary, "Session"));

    sessions.terminate_child(one).await?;
    by_name.terminate_child(two).await?;
    assert_eq!(sessions.count_children().await?, ChildCounts::default());
    let error = by_name.terminate_child(one).await.unwrap_err();
    let TerminateChildError::NotAChild(error) = error else { panic!("{error}") };
    assert_eq!(error, NotAChild { pid: one });
    let again = Session::child_spec(1).erase();
    assert!(process::is_alive(by_name.start_child_spec(again).await?));
    Ok(())
}

#[purlin::test]
async fn the_limit_of_children_counts_those_that_run() -> Result<()> {
    let sessions = DynamicSupervisor::new().max_children(1).max_restarts(9, secs(5)).start().await?;
    let one = sessions.start_child(Session::child_spec(1)).await?;
    let error = sessions.start_child(Session::child_spec(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "the supervisor already has its maximum of 1 children");
    let StartChildError::Refused(refused) = error else { panic!("{error}") };
    assert_eq!(refused, StartRefused::MaxChildren { limit: 1 });
    sessions.update(DynamicFlags { max_children: Some(2), ..DynamicFlags::default() }).await?;
    sessions.start_child(Session::child_spec(2)).await?;
    sessions.terminate_child(one.pid()).await?;
    sessions.start_child(Session::child_spec(3)).await?;
    Ok(())
}

#[purlin::test]
async fn what_does_not_start_is_not_kept() -> Result<()> {
    let sessions = DynamicSupervisor::new().start().await?;
    let error = sessions.start_child(Session::child_spec(0)).await.unwrap_err();
    assert!(matches!(error, StartChildError::Failed(StartError::Ignore)), "{error}");
    let error = sessions.start_child(Session::child_spec(13)).await.unwrap_err();
    let StartChildError::Failed(error) = error else { panic!("{error}") };
    assert_eq!(error, StartError::Failed(ExitReason::error("unlucky")));
    assert_eq!(sessions.count_children().await?.specs, 0);
    Ok(())
}

#[purlin::test]
async fn wrong_flags_are_refused_and_change_nothing() -> Result<()> {
    let wrong = DynamicFlags { period: millis(1), ..DynamicFlags::default() };
    let start = DynamicSupervisor::new().flags(wrong.clone()).start();
    let error = start.await.unwrap_err();
    let expected = FlagsError::InvalidPeriod { period: millis(1) };
    assert_eq!(
        supervisor::ConfigError::in_error(&error),
        Some(&supervisor::ConfigError::Flags(expected.clone()))
    );
    DynamicSupervisor::new().name("sessions").start().await?;
    let error = DynamicSupervisor::named("sessions").update(wrong).await.unwrap_err();
    let UpdateError::Config(error) = error else { panic!("{error}") };
    assert_eq!(error, supervisor::ConfigError::Flags(expected));
    assert_eq!(DynamicSupervisor::named("sessions").count_children().await?, ChildCounts::default());
    Ok(())
}

/// What every greeter needs and nobody who starts one knows.
#[derive(Clone)]
struct Language(&'static str);

struct Greeter(String);

#[gen_server]
impl Greeter {
    fn init(text: String) -> Self {
        Greeter(text)
    }

    #[call]
    fn greeting(&self) -> String {
        self.0.clone()
    }
}

/// A description of a user's own.
fn limited<X: Extra>(extra: X) -> DynamicSupervisorSpec<X> {
    DynamicSupervisor::with_extra(extra).max_children(9)
}

#[purlin::test]
async fn extra_arguments_are_known_to_the_supervisor_and_given_to_each_child() -> Result<()> {
    const GREETERS: Name<DynamicSupervisor<Language>> = Name::new("greeters");
    let root = Supervisor::one_for_one()
        .child(limited(Language("hello")).name(&GREETERS).child_spec().restart(Transient))
        .start()
        .await?;
    assert_eq!(root.get_childspec("greeters").await?.child_type, supervisor::ChildType::Supervisor);
    let make = |name: &'static str| {
        move |Language(hello): &Language| Greeter::child_spec(format!("{hello}, {name}"))
    };
    let greeter = GREETERS.start_child_with(make("Ada")).await?;
    assert_eq!(greeter.greeting().await?, "hello, Ada");
    let same: DynamicSupervisorRef<Language> = GREETERS.whereis().unwrap();
    assert_eq!(same.start_child_with(make("Joe")).await?.greeting().await?, "hello, Joe");
    Ok(())
}

#[purlin::test]
async fn a_linked_supervisor_ends_with_its_starter_and_takes_its_children_along() -> Result<()> {
    in_process(async |_: Mailbox<()>| {
        let sessions = DynamicSupervisor::new().name("sessions").start_link().await.unwrap();
        sessions.start_child(Session::child_spec(1).name("one")).await.unwrap();
        process::exit(process::self_pid().unwrap(), ExitReason::Normal);
    })
    .await;
    until(|| process::whereis("one").is_none() && process::whereis("sessions").is_none()).await;
    Ok(())
}
