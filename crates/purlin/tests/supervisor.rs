//! Proves that supervisors start, restart and stop trees of processes as they are described, inline and as modules.
#![forbid(unsafe_code)]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use common::{in_process, until};
use purlin::prelude::*;
use purlin::supervisor::{
    ConfigError, FailedToStartChild, Flags, FlagsError, SpecError, Strategy, SupervisorInit,
};

/// What happened, in order.
type Diary = Arc<Mutex<Vec<String>>>;

/// A worker that writes down its starts and ends.
struct Worker {
    name: &'static str,
    diary: Diary,
}

#[gen_server]
impl Worker {
    fn init(name: &'static str, diary: Diary, cx: &mut Cx<Self>) -> Self {
        diary.lock().unwrap().push(format!("{name} starts"));
        cx.trap_exits(true);
        Worker { name, diary }
    }

    #[call]
    fn crash(&mut self) {
        panic!("planned");
    }

    #[cast]
    fn finish(&mut self, cx: &mut Cx<Self>) {
        cx.stop(ExitReason::Normal);
    }

    #[info]
    fn exit(&mut self, _: Exit) {}

    fn terminate(&mut self, reason: &ExitReason) {
        self.diary.lock().unwrap().push(format!("{} ends: {reason}", self.name));
    }
}

fn worker(name: &'static str, diary: &Diary) -> Child<Worker> {
    Worker::child_spec((name, diary.clone())).name(name)
}

fn pid(name: &'static str) -> Option<Pid> {
    process::whereis(name)
}

/// What was written down since the last time.
fn read(diary: &Diary) -> Vec<String> {
    std::mem::take(&mut *diary.lock().unwrap())
}

#[purlin::test]
async fn children_start_in_order_and_stop_in_reverse_order() -> Result<()> {
    let diary = Diary::default();
    let root: SupervisorRef = Supervisor::one_for_one()
        .children(["a", "b"].map(|name| worker(name, &diary)))
        .child(worker("c", &diary))
        .name("root")
        .start()
        .await?;
    assert_eq!(read(&diary), ["a starts", "b starts", "c starts"]);
    assert_eq!(process::whereis("root"), Some(root.pid()));
    root.stop().await?;
    assert_eq!(read(&diary), ["c ends: shutdown", "b ends: shutdown", "a ends: shutdown"]);
    assert_eq!(process::registered(), []);
    Ok(())
}

#[purlin::test]
async fn a_strategy_decides_who_else_is_restarted() -> Result<()> {
    let all = ["a", "b", "c"];
    for (supervisor, restarted) in [
        (Supervisor::one_for_one(), vec!["b"]),
        (Supervisor::one_for_all(), vec!["a", "b", "c"]),
        (Supervisor::rest_for_one(), vec!["b", "c"]),
        (Supervisor::one_for_all().strategy(Strategy::RestForOne), vec!["b", "c"]),
        (SupervisorSpec::new(Flags::new(Strategy::OneForOne)), vec!["b"]),
    ] {
        let diary = Diary::default();
        let strategy = supervisor.flags().strategy;
        let root = supervisor.children(all.map(|name| worker(name, &diary))).start().await?;
        let before = all.map(pid);
        assert!(Worker::named("b").crash().await.is_err());
        root.count_children().await?;
        let changed: Vec<_> = all
            .into_iter()
            .zip(before)
            .filter(|(name, old)| pid(name) != *old)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(changed, restarted, "{strategy:?}");
        root.stop().await?;
    }
    Ok(())
}

#[purlin::test]
async fn who_is_restarted_depends_on_how_it_ended_and_on_its_setting() -> Result<()> {
    let diary = Diary::default();
    let settings = [
        ("permanent", Permanent, true, true),
        ("transient", Transient, false, true),
        ("temporary", Temporary, false, false),
    ];
    let root = Supervisor::one_for_one()
        .max_restarts(9, secs(5))
        .children(settings.map(|(name, restart, ..)| worker(name, &diary).restart(restart)))
        .start()
        .await?;
    for (name, restart, after_normal, after_crash) in settings {
        assert_eq!(restart.restarts_after(&ExitReason::Normal), after_normal);
        assert_eq!(restart.restarts_after(&ExitReason::Killed), after_crash);
        assert!(restart.reports(&ExitReason::Killed));
        assert_eq!(restart.reports(&ExitReason::Normal), restart == Restart::Permanent);
        let old = pid(name).unwrap();
        assert!(Worker::named(name).crash().await.is_err());
        root.count_children().await?;
        assert_eq!(pid(name).is_some_and(|new| new != old), after_crash, "{name}");
    }
    Worker::named("transient").finish();
    until(|| pid("transient").is_none()).await;
    assert_eq!(root.count_children().await?.active, 1);
    assert_eq!(
        root.count_children().await?.specs,
        2,
        "the temporary one is forgotten, the transient one kept"
    );
    Ok(())
}

#[purlin::test]
async fn too_many_restarts_end_the_supervisor() -> Result<()> {
    let diary = Diary::default();
    let root = Supervisor::one_for_one().max_restarts(1, secs(60)).child(worker("a", &diary)).start().await?;
    assert!(Worker::named("a").crash().await.is_err());
    assert!(root.count_children().await.is_ok(), "the first is within the limit");
    let watcher = process::spawn({
        let root = root.pid();
        async move |mut mailbox: Mailbox<Down>| {
            process::monitor(root);
            process::register("watcher", mailbox.pid()).unwrap();
            assert_eq!(mailbox.receive().await.reason, ExitReason::Shutdown);
        }
    });
    until(|| pid("watcher").is_some()).await;
    assert!(Worker::named("a").crash().await.is_err());
    assert_eq!(watcher.wait().await, ExitReason::Normal);
    assert!(!root.is_alive());
    Ok(())
}

#[purlin::test]
async fn a_child_that_does_not_start_takes_the_others_down_and_is_named() {
    let diary = Diary::default();
    let broken =
        ChildSpec::custom("broken", || async { Err(StartError::Failed(ExitReason::error("no disk"))) });
    let error = Supervisor::one_for_one().child(worker("a", &diary)).child(broken).start().await.unwrap_err();
    let failed = FailedToStartChild::in_error(&error).unwrap();
    assert_eq!(failed.id.as_str(), "broken");
    assert_eq!(failed.error, StartError::Failed(ExitReason::error("no disk")));
    let StartError::Failed(reason) = &error else { panic!("{error}") };
    assert_eq!(FailedToStartChild::in_reason(reason), Some(failed));
    assert!(reason.is_shutdown());
    assert_eq!(read(&diary), ["a starts", "a ends: shutdown"]);
}

#[purlin::test]
async fn what_cannot_be_is_refused_before_anything_starts() {
    let diary = Diary::default();
    let twice = Supervisor::one_for_one().child(worker("a", &diary)).child(worker("a", &diary));
    let flags = Supervisor::one_for_one().max_restarts(1, millis(1_500)).child(worker("a", &diary));
    let expected = [
        ConfigError::Spec(SpecError::DuplicateId { id: "a".into() }),
        ConfigError::Flags(FlagsError::InvalidPeriod { period: millis(1_500) }),
    ];
    for (spec, expected) in [twice, flags].into_iter().zip(expected) {
        assert_eq!(spec.check(), Err(expected.clone()));
        let error = spec.start().await.unwrap_err();
        assert_eq!(ConfigError::in_error(&error), Some(&expected));
        assert!(error.to_string().contains(&expected.to_string()), "{error}");
    }
    assert_eq!(read(&diary), [""; 0]);
}

#[purlin::test]
async fn a_significant_childs_end_can_end_the_supervisor() -> Result<()> {
    for (auto_shutdown, ends_with_the_first) in
        [(AutoShutdown::AnySignificant, true), (AutoShutdown::AllSignificant, false)]
    {
        let diary = Diary::default();
        let root = Supervisor::one_for_one()
            .auto_shutdown(auto_shutdown)
            .children(["a", "b"].map(|name| worker(name, &diary).restart(Transient).significant(true)))
            .start()
            .await?;
        Worker::named("a").finish();
        until(|| pid("a").is_none()).await;
        if !ends_with_the_first {
            assert_eq!(root.count_children().await?.active, 1);
            Worker::named("b").finish();
        }
        until(|| !root.is_alive()).await;
        until(|| pid("b").is_none()).await;
    }
    Ok(())
}

/// A shop whose parts are made from its arguments at each start.
struct Shop;

impl Supervise for Shop {
    type Args = (Diary, bool);

    fn init((diary, open): Self::Args) -> std::result::Result<SupervisorSpec, InitError> {
        if !open {
            return Err(InitError::Ignore);
        }
        Ok(Supervisor::rest_for_one().child(worker("till", &diary)))
    }
}

#[purlin::test]
async fn a_supervisor_may_be_a_module_and_a_child_of_another_one() -> Result<()> {
    let diary = Diary::default();
    assert_eq!(Shop::start((diary.clone(), false)).await.unwrap_err(), StartError::Ignore);
    let root = Supervisor::one_for_one()
        .child(Shop::child_spec((diary.clone(), true)))
        .child(Supervisor::one_for_one().child(worker("cellar", &diary)).child_spec().id("house"))
        .child(Supervisor::one_for_one())
        .start()
        .await?;
    let counts = root.count_children().await?;
    assert_eq!((counts.supervisors, counts.workers, counts.active), (3, 0, 3));
    assert_eq!(read(&diary), ["till starts", "cellar starts"]);
    root.stop().await?;
    assert_eq!(read(&diary), ["cellar ends: shutdown", "till ends: shutdown"]);

    in_process(async move |_: Mailbox<()>| {
        Shop::start_link((diary, true)).name("shop").await.unwrap();
        let shop = Name::<Supervisor>::new("shop");
        assert_eq!(shop.count_children().await.unwrap().active, 1);
        shop.stop().await.unwrap();
        let init: SupervisorInit = Supervisor::one_for_one().into();
        assert!(Supervisor::start_link(init).await.unwrap().is_alive());
    })
    .await;
    Ok(())
}

#[purlin::test]
async fn arguments_are_cloned_made_anew_or_used_once() -> Result<()> {
    let (diary, made) = (Diary::default(), Arc::new(AtomicU32::new(0)));
    let root = Supervisor::one_for_one()
        .child(worker("cloned", &diary))
        .child({
            let (diary, made) = (diary.clone(), made.clone());
            Worker::child_spec_with(move || {
                made.fetch_add(1, Ordering::Relaxed);
                ("made", diary.clone())
            })
            .name("made")
        })
        .child(Worker::child_spec_once(("once", diary.clone())).name("once"))
        .start()
        .await?;
    for name in ["cloned", "made", "once"] {
        assert!(Worker::named(name).crash().await.is_err());
        root.count_children().await?;
    }
    assert!(pid("cloned").is_some() && pid("made").is_some());
    assert!(pid("once").is_none(), "a child started once is temporary");
    assert_eq!(made.load(Ordering::Relaxed), 2);
    Ok(())
}

#[purlin::test]
async fn free_form_processes_can_be_children() -> Result<()> {
    let root = Supervisor::one_for_one()
        .child(ChildSpec::process("ticker", async |mut mailbox: Mailbox<bool>| {
            process::register("ticker", mailbox.pid()).unwrap();
            while mailbox.receive().await {}
            panic!("planned");
        }))
        .start()
        .await?;
    until(|| pid("ticker").is_some()).await;
    let old = pid("ticker");
    process::send_named("ticker", false)?;
    until(|| pid("ticker").is_some_and(|new| Some(new) != old)).await;
    assert_eq!(root.count_children().await?.active, 1);
    Ok(())
}
