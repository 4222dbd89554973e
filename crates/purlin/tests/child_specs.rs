//! Proves that child specifications and flags are data that can be read, changed and checked before anything starts.
#![forbid(unsafe_code)]

use purlin::prelude::*;
use purlin::supervisor::{
    ChildId, ChildType, DynamicFlags, Flags, FlagsError, ReusableArgs, SpecError, SpecFields, Strategy,
    check_childspecs,
};

struct Worker;

#[gen_server]
impl Worker {
    fn init(_: u8) -> Self {
        Worker
    }
}

#[test]
fn a_child_is_called_by_its_id_its_name_or_its_type() {
    assert_eq!(Worker::child_spec(1).fields().id.as_str(), "Worker");
    assert_eq!(Worker::child_spec(1).name("w").fields().id.as_str(), "w");
    let fields = Worker::child_spec(1).name("w").id("first").fields();
    assert_eq!((fields.id, fields.name.as_deref()), (ChildId::from_static("first"), Some("w")));
    assert_eq!(fields.module, "Worker");
}

#[test]
fn defaults_are_those_of_otp_and_every_one_can_be_changed() {
    let worker = Worker::child_spec(1).fields();
    assert_eq!((worker.restart, worker.significant), (Permanent, false));
    assert_eq!((worker.shutdown, worker.how_to_stop()), (None, Shutdown::Timeout(secs(5))));
    let supervisor = Supervisor::one_for_one().child_spec().fields();
    assert_eq!(
        (supervisor.child_type, supervisor.how_to_stop()),
        (ChildType::Supervisor, Shutdown::Infinity)
    );

    let changed = SpecFields::new("w", "Worker")
        .id("x")
        .restart(Temporary)
        .shutdown(Shutdown::BrutalKill)
        .significant(true)
        .child_type(ChildType::Supervisor)
        .name("wanda");
    let expected = SpecFields {
        id: "x".into(),
        restart: Restart::Temporary,
        shutdown: Some(Shutdown::BrutalKill),
        significant: true,
        child_type: ChildType::Supervisor,
        name: Some("wanda".into()),
        module: "Worker",
    };
    assert_eq!(changed, expected);
    let typed = Worker::child_spec(1)
        .restart(Transient)
        .shutdown(secs(1))
        .significant(true)
        .child_type(ChildType::Worker)
        .mailbox(MailboxBound::new(9, Overflow::Wait))
        .start_timeout(secs(1));
    let fields = typed.fields();
    assert_eq!((fields.restart, fields.shutdown), (Restart::Transient, Some(Shutdown::Timeout(secs(1)))));
    let spec: ChildSpec = typed.erase();
    assert_eq!(spec.fields(), &fields, "nothing is lost when the type is");
    let spec = spec.id("y").restart(Temporary).shutdown(Shutdown::Infinity).significant(false);
    let spec = spec.child_type(ChildType::Supervisor);
    assert_eq!((spec.fields().id.as_str(), spec.fields().restart), ("y", Restart::Temporary));
    assert_eq!(spec.fields().how_to_stop(), Shutdown::Infinity);
    assert!(!spec.fields().significant && spec.fields().child_type == ChildType::Supervisor);
}

#[test]
fn specifications_that_cannot_work_are_refused_with_the_child_named() {
    let fine = SpecFields::new("a", "Worker");
    let significant = SpecFields::new("b", "Worker").significant(true);
    assert_eq!(fine.check(None), Ok(()));
    assert_eq!(SpecFields::new("", "Worker").check(None), Err(SpecError::MissingId { module: "Worker" }));
    let error = significant.check(Some(AutoShutdown::AnySignificant));
    assert_eq!(error, Err(SpecError::SignificantButPermanent { id: "b".into() }));
    let transient = significant.restart(Transient);
    let error = transient.check(Some(AutoShutdown::Never));
    assert_eq!(error, Err(SpecError::SignificantButNeverShutdown { id: "b".into() }));
    assert_eq!(check_childspecs([&fine, &transient], AutoShutdown::AllSignificant), Ok(()));
    let error = check_childspecs([&fine, &fine], None);
    assert_eq!(error, Err(SpecError::DuplicateId { id: "a".into() }));
    assert!(error.unwrap_err().to_string().contains('a'));
}

#[test]
fn flags_have_elixirs_defaults_and_want_whole_seconds() {
    let flags = Flags::default();
    let expected = Flags {
        strategy: Strategy::OneForOne,
        max_restarts: 3,
        period: secs(5),
        auto_shutdown: AutoShutdown::Never,
    };
    assert_eq!((flags.check(), &flags), (Ok(()), &expected));
    assert_eq!(&expected, Supervisor::one_for_one().flags());
    assert_eq!(Supervisor::one_for_all().flags(), &Flags::new(Strategy::OneForAll));
    assert_eq!(Supervisor::rest_for_one().flags(), &Flags::new(Strategy::RestForOne));
    let odd = Flags { period: millis(1), ..flags };
    assert_eq!(odd.check(), Err(FlagsError::InvalidPeriod { period: millis(1) }));
    let dynamic = DynamicFlags { max_restarts: 1, period: secs(0), max_children: Some(2) };
    assert_eq!(dynamic.check(), Err(FlagsError::InvalidPeriod { period: secs(0) }));
    assert_eq!(DynamicFlags::default().max_children, None);
}

#[test]
fn flags_of_a_static_supervisor_fit_a_dynamic_one_only_without_a_strategy() {
    assert_eq!(DynamicFlags::try_from(Flags::default()), Ok(DynamicFlags::default()));
    let strategy = Strategy::OneForAll;
    let error = DynamicFlags::try_from(Flags::new(strategy)).unwrap_err();
    assert_eq!(error, FlagsError::InvalidStrategy { strategy });
    let auto_shutdown = AutoShutdown::AnySignificant;
    let error = DynamicFlags::try_from(Flags { auto_shutdown, ..Flags::default() }).unwrap_err();
    assert_eq!(error, FlagsError::InvalidAutoShutdown { auto_shutdown });
}

#[purlin::test(sim, seeds = 3)]
async fn a_childs_own_settings_reach_its_start() -> Result<()> {
    struct Slow;

    #[gen_server]
    impl Slow {
        async fn init() -> Self {
            std::future::pending::<()>().await;
            Slow
        }
    }

    fn reusable<A: ReusableArgs>(args: A) -> A {
        args.clone()
    }
    let slow = Slow::child_spec(()).start_timeout(secs(2));
    let begun = Node::current().now();
    let error = Supervisor::one_for_one().child(slow).start().await.unwrap_err();
    assert!(error.to_string().contains("`init` took too long"), "{error}");
    assert!(Node::current().now() - begun >= secs(2));

    let narrow =
        Worker::child_spec(reusable(1)).name("narrow").mailbox(MailboxBound::new(1, Overflow::Reject));
    let root = Supervisor::one_for_one().child(narrow).start().await?;
    let narrow = process::whereis("narrow").unwrap();
    process::send(narrow, 'a');
    process::send(narrow, 'b');
    assert_eq!(Node::current().stats().dropped, 1);
    root.stop().await?;
    Ok(())
}
