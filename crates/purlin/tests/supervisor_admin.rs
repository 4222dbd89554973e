//! Proves that children of a running supervisor can be added, stopped, started again, forgotten, listed and described, and what is refused.
#![forbid(unsafe_code)]

mod common;

use common::until;
use purlin::prelude::*;
use purlin::supervisor::{
    self, ChildCounts, ChildId, ChildInfo, ChildNotFound, ChildRefused, ChildStatus, ChildType, ConfigError,
    DeleteChildError, FindChildError, FlagsError, RestartChildError, SpecError, StartRefused, UpdateError,
};

/// Starts unless it is told not to.
struct Worker;

#[gen_server]
impl Worker {
    fn init(how: &'static str) -> std::result::Result<Self, InitError> {
        match how {
            "ignore" => Err(InitError::Ignore),
            "fail" => Err(InitError::Stop(ExitReason::error("no disk"))),
            _ => Ok(Worker),
        }
    }

    #[call]
    fn crash(&mut self) {
        panic!("planned");
    }
}

fn worker(id: &str, how: &'static str) -> Child<Worker> {
    Worker::child_spec(how).id(id)
}

async fn root() -> Result<SupervisorRef> {
    Ok(Supervisor::one_for_one().name("root").start().await?)
}

/// The same by name: whoever has it.
fn by_name() -> Name<Supervisor> {
    "root".into()
}

#[purlin::test]
async fn children_can_be_added_stopped_started_again_and_forgotten() -> Result<()> {
    let root = root().await?;
    let first = root.start_child(worker("a", "well")).await?.unwrap();
    assert!(process::is_alive(first));
    root.terminate_child("a").await?;
    assert!(!process::is_alive(first));
    let second = by_name().restart_child("a").await?.unwrap();
    assert_ne!(first, second);
    by_name().terminate_child("a").await?;
    root.delete_child("a").await?;
    assert_eq!(root.count_children().await?, ChildCounts::default());
    assert_eq!(by_name().start_child(worker("b", "ignore")).await?, None);
    assert_eq!(root.restart_child("b").await?, None, "it chooses not to start, again");
    by_name().delete_child("b").await?;
    Ok(())
}

#[purlin::test]
async fn what_is_refused_says_exactly_why() -> Result<()> {
    let root = root().await?;
    let running = root.start_child(worker("a", "well")).await?.unwrap();
    let id = ChildId::from("a");

    let refused = root.start_child(worker("a", "well")).await.unwrap_err();
    let StartChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, StartRefused::AlreadyStarted { id: id.clone(), pid: running });
    let refused = root.restart_child("a").await.unwrap_err();
    let RestartChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, ChildRefused::Running { id: id.clone(), pid: running });
    let refused = root.delete_child("a").await.unwrap_err();
    let DeleteChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, ChildRefused::Running { id: id.clone(), pid: running });

    root.terminate_child("a").await?;
    let refused = root.start_child(worker("a", "well")).await.unwrap_err();
    assert!(refused.to_string().contains("restart_child"), "{refused}");
    let StartChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, StartRefused::AlreadyPresent { id });

    let refused = root.start_child(worker("", "well")).await.unwrap_err();
    let StartChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, StartRefused::Spec(SpecError::MissingId { module: "Worker" }));

    let nobody = ChildId::from("nobody");
    let missing = ChildNotFound { id: nobody.clone() };
    for error in [
        root.terminate_child("nobody").await.unwrap_err(),
        by_name().get_childspec("nobody").await.unwrap_err(),
    ] {
        let FindChildError::NotFound(error) = error else { panic!("{error}") };
        assert_eq!(error, missing);
    }
    let refused = root.restart_child("nobody").await.unwrap_err();
    let RestartChildError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused, ChildRefused::NotFound { id: nobody });
    Ok(())
}

#[purlin::test]
async fn a_start_on_request_that_fails_is_not_tried_again() -> Result<()> {
    let root = root().await?;
    let error = root.start_child(worker("a", "fail")).await.unwrap_err();
    let StartChildError::Failed(error) = error else { panic!("{error}") };
    assert_eq!(error, StartError::Failed(ExitReason::error("no disk")));
    assert_eq!(root.count_children().await?.specs, 0, "nothing is kept of it");

    // A child that starts once, and then no more.
    let once = std::sync::atomic::AtomicBool::new(true);
    let spec = Worker::child_spec_with(move || {
        if once.swap(false, std::sync::atomic::Ordering::Relaxed) { "well" } else { "fail" }
    });
    root.start_child(spec.id("b")).await?;
    root.terminate_child("b").await?;
    let error = root.restart_child("b").await.unwrap_err();
    assert!(matches!(error, RestartChildError::Failed(StartError::Failed(_))), "{error}");
    assert_eq!(root.count_children().await?, ChildCounts { specs: 1, active: 0, supervisors: 0, workers: 1 });
    Ok(())
}

#[purlin::test]
async fn children_are_listed_youngest_first_also_for_one_who_knows_only_the_pid() -> Result<()> {
    let root = root().await?;
    let a = root.start_child(worker("a", "well").restart(Transient)).await?.unwrap();
    root.start_child(worker("b", "ignore")).await?;
    let c = root.start_child(Supervisor::one_for_one().child_spec().id("c")).await?.unwrap();
    let listed = root.which_children().await?;
    let expected = [
        ChildInfo {
            id: Some("c".into()),
            status: ChildStatus::Running(c),
            child_type: ChildType::Supervisor,
            restart: Permanent,
            module: "Supervisor",
        },
        ChildInfo {
            id: Some("b".into()),
            status: ChildStatus::Undefined,
            child_type: ChildType::Worker,
            restart: Permanent,
            module: "Worker",
        },
        ChildInfo {
            id: Some("a".into()),
            status: ChildStatus::Running(a),
            child_type: ChildType::Worker,
            restart: Transient,
            module: "Worker",
        },
    ];
    assert_eq!(listed, expected);
    assert_eq!(by_name().which_children().await?, expected);
    assert_eq!(
        by_name().count_children().await?,
        ChildCounts { specs: 3, active: 2, supervisors: 1, workers: 2 }
    );
    assert_eq!((listed[0].status.pid(), listed[1].status.pid()), (Some(c), None));

    assert_eq!((supervisor::is_supervisor(c), supervisor::is_supervisor(a)), (Some(true), Some(false)));
    assert_eq!(supervisor::which_children(root.pid()).await.unwrap(), expected);
    assert_eq!(supervisor::which_children(c).await.unwrap(), []);
    assert_eq!(supervisor::which_children(a).await, None, "a worker has no children");
    let spec = root.get_childspec("a").await?;
    assert_eq!((spec.id.as_str(), spec.restart), ("a", Transient));
    Ok(())
}

#[purlin::test(sim, seeds = 5, allow_leaks)]
async fn a_child_whose_restart_fails_is_shown_as_restarting_and_cannot_be_deleted() -> Result<()> {
    // A start that takes its time: questions come in meanwhile, and are answered before the next attempt.
    let starts = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let flaky = ChildSpec::custom("a", move || {
        let starts = starts.clone();
        async move {
            if starts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                return Ok(Worker::start_link("well").await?.pid());
            }
            process::sleep(millis(1)).await;
            Err(StartError::Failed(ExitReason::error("no disk")))
        }
    });
    let root = Supervisor::one_for_one().max_restarts(100, secs(5)).child(flaky).start().await?;
    let first = root.which_children().await?[0].status.pid().unwrap();
    process::exit(first, ExitReason::Kill);
    process::wait(first).await;
    assert_eq!(root.which_children().await?[0].status, ChildStatus::Restarting);
    let error = root.delete_child("a").await.unwrap_err();
    let DeleteChildError::Refused(refused) = error else { panic!("{error}") };
    assert_eq!(refused, ChildRefused::Restarting { id: "a".into() });
    root.terminate_child("a").await?;
    assert_eq!(root.which_children().await?[0].status, ChildStatus::Undefined, "called off");
    root.delete_child("a").await?;
    Ok(())
}

#[purlin::test]
async fn a_supervisor_takes_new_flags_and_specifications_or_keeps_the_old_ones() -> Result<()> {
    let root = root().await?;
    root.start_child(worker("a", "well")).await?;
    let new: SupervisorSpec = Supervisor::one_for_all().child(worker("b", "well").restart(Transient));
    root.update(new).await?;
    assert!(root.get_childspec("b").await.is_ok(), "what is new waits for `restart_child`");
    let wrong = Supervisor::one_for_one().max_restarts(1, millis(1));
    let error = by_name().update(wrong).await.unwrap_err();
    let UpdateError::Config(error) = error else { panic!("{error}") };
    assert_eq!(error, ConfigError::Flags(FlagsError::InvalidPeriod { period: millis(1) }));
    assert!(by_name().get_childspec("b").await.is_ok());
    Ok(())
}

#[purlin::test]
async fn a_supervisor_that_is_gone_answers_nobody() -> Result<()> {
    let root = root().await?;
    root.stop().await?;
    let gone = |error: &CallError| assert!(error.is_no_proc(), "{error}");
    let StartChildError::Call(error) = root.start_child(worker("a", "well")).await.unwrap_err() else {
        panic!()
    };
    gone(&error);
    let RestartChildError::Call(error) = root.restart_child("a").await.unwrap_err() else { panic!() };
    gone(&error);
    let DeleteChildError::Call(error) = root.delete_child("a").await.unwrap_err() else { panic!() };
    gone(&error);
    let FindChildError::Call(error) = root.terminate_child("a").await.unwrap_err() else { panic!() };
    gone(&error);
    let UpdateError::Call(error) = root.update(Supervisor::one_for_one()).await.unwrap_err() else {
        panic!()
    };
    gone(&error);
    until(|| supervisor::is_supervisor(root.pid()).is_none()).await;
    assert_eq!(supervisor::which_children(root.pid()).await, None);
    Ok(())
}
