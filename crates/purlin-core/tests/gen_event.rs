//! Event managers keep the statements of OTP's suite (GE numbers), on every path that their calls can take.

mod common;

use std::any::Any;

use common::*;
use purlin_core::gen_event::Info;
use purlin_core::*;

/// What happens to a recorder.
#[derive(Clone, Debug, PartialEq)]
enum Did {
    Init(&'static str),
    Event(&'static str, u32),
    Info(&'static str, String),
    Terminate(&'static str, Removal),
}

use Did::*;

/// Writes down all that happens to it, and does what an event says.
struct Recorder {
    name: &'static str,
    log: Log<Did>,
    sum: u32,
}

const REMOVE: u32 = 1000;
const PANIC: u32 = 1001;
const FAIL: u32 = 1002;
const HIBERNATE: u32 = 1003;
const STOP: u32 = 1004;

impl EventHandler<u32> for Recorder {
    type Args = (&'static str, Log<Did>);

    async fn init((name, log): Self::Args, _: &mut EventCx<'_, u32>) -> Result<Self, Crash> {
        match name {
            "error" => return Err(Crash::msg("no recorder")),
            "panic" => planned("no recorder"),
            _ => log.add(Init(name)),
        }
        Ok(Recorder { name, log, sum: 0 })
    }

    async fn handle_event(&mut self, event: &u32, cx: &mut EventCx<'_, u32>) -> Result<(), Crash> {
        self.log.add(Event(self.name, *event));
        // Some wait, some do not: the manager's process serves nobody else meanwhile.
        process::yield_now().await;
        match *event {
            REMOVE if self.name == "a" => cx.remove_handler(),
            PANIC if self.name == "a" => planned("panic"),
            FAIL if self.name == "a" => return Err(Crash::msg("failed")),
            HIBERNATE if self.name == "a" => cx.hibernate(),
            STOP if self.name == "a" => cx.stop(ExitReason::Shutdown),
            n => self.sum += n,
        }
        Ok(())
    }

    async fn handle_info(
        &mut self,
        info: &(dyn Any + Send + Sync),
        cx: &mut EventCx<'_, u32>,
    ) -> Result<(), Crash> {
        let text =
            match (info.downcast_ref::<&str>(), info.downcast_ref::<Exit>(), info.downcast_ref::<Down>()) {
                (Some(text), ..) => (*text).to_owned(),
                (_, Some(exit), _) => format!("exit {}", exit.reason),
                (.., Some(down)) => format!("down {}", down.reason),
                _ => "?".to_owned(),
            };
        match text.as_str() {
            "panic" if self.name == "a" => planned("panic"),
            "later" => _ = cx.send_after(millis(5), Info::new("now")),
            _ => {},
        }
        self.log.add(Did::Info(self.name, text));
        Ok(())
    }

    async fn terminate(&mut self, why: &Removal, _: &mut EventCx<'_, u32>) {
        self.sum += 1;
        self.log.add(Terminate(self.name, why.clone()));
        if self.name == "badly" {
            planned("terminate");
        }
    }
}

struct Sum;
impl HandlerCall<u32, Sum> for Recorder {
    type Reply = u32;
    async fn handle_call(&mut self, _: Sum, _: &mut EventCx<'_, u32>) -> Result<u32, Crash> {
        Ok(self.sum)
    }
}

/// Asks for something to be done.
struct Do(&'static str);
impl HandlerCall<u32, Do> for Recorder {
    type Reply = ();
    async fn handle_call(&mut self, Do(what): Do, cx: &mut EventCx<'_, u32>) -> Result<(), Crash> {
        match what {
            "remove" => cx.remove_handler(),
            "fail" => return Err(Crash::msg("asked")),
            _ => std::future::pending().await,
        }
        Ok(())
    }
}

/// Has nothing but what it must have.
struct Bare;
impl EventHandler<u32> for Bare {
    type Args = ();
    async fn init(_: (), _: &mut EventCx<'_, u32>) -> Result<Self, Crash> {
        Ok(Bare)
    }
    async fn handle_event(&mut self, _: &u32, _: &mut EventCx<'_, u32>) -> Result<(), Crash> {
        Ok(())
    }
}

const A: HandlerId<Recorder> = HandlerId::new("a");
const B: HandlerId<Recorder> = HandlerId::new("b");
const ANY: HandlerId<Recorder> = HandlerId::by_type();
const BARE: HandlerId<Bare> = HandlerId::by_type();

async fn with_a_and_b() -> (EventManager<u32>, Log<Did>) {
    let (manager, log) = (EventManager::start().await.unwrap(), Log::default());
    manager.add_handler(A, ("a", log.clone())).await.unwrap();
    manager.add_handler(B, ("b", log.clone())).await.unwrap();
    (manager, log)
}

async fn ids(manager: &EventManager<u32>) -> Vec<String> {
    manager.which_handlers().await.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn ge1_adding_a_handler_runs_its_init_and_what_fails_there_is_not_added() {
    on_every_path(|_| async move {
        let (manager, log) = (EventManager::start().await.unwrap(), Log::default());
        manager.add_handler(A, ("a", log.clone())).await.unwrap();
        assert_eq!(log.all(), [Init("a")]);
        let Err(HandlerError::Failed(reason)) = manager.add_handler(B, ("error", log.clone())).await else {
            panic!()
        };
        assert_eq!(reason, ExitReason::error("no recorder"));
        let Err(HandlerError::Failed(reason)) = manager.add_handler(B, ("panic", log.clone())).await else {
            panic!()
        };
        assert!(is_planned(&reason, "no recorder"), "{reason}");
        assert_eq!(ids(&manager).await, ["Recorder/a"]);
    });
}

#[test]
fn ge2_every_handler_gets_every_event_once() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        for n in 1..=3 {
            manager.notify(n);
        }
        manager.sync_notify(4).await.unwrap();
        for name in ["a", "b"] {
            let mine = |did: &Did| match did {
                Event(other, n) if *other == name => Some(*n),
                _ => None,
            };
            assert_eq!(log.all().iter().filter_map(mine).collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
    });
}

#[test]
fn ge3_notify_does_not_wait_and_sync_notify_does() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        let pid = manager.pid().unwrap();
        sys::suspend(pid).await.unwrap();
        manager.notify(1);
        let mut waiting = Box::pin(manager.sync_notify(2));
        assert!(poll_once(&mut waiting).await.is_none());
        assert_eq!(log.all().len(), 2);
        sys::resume(pid).await.unwrap();
        waiting.await.unwrap();
        let events: Vec<Did> = log.all().into_iter().skip(2).collect();
        assert_eq!(events.len(), 4);
        assert!(events[2..].contains(&Event("a", 2)) && events[2..].contains(&Event("b", 2)));
        manager.stop().await.unwrap();
        manager.notify(3);
        assert!(manager.sync_notify(4).await.unwrap_err().is_no_proc());
    });
}

#[test]
fn ge5_a_handler_removes_itself_and_terminate_runs() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.sync_notify(REMOVE).await.unwrap();
        assert_eq!(ids(&manager).await, ["Recorder/b"]);
        assert!(log.all().contains(&Terminate("a", Removal::Itself)));
        assert!(log.all().contains(&Event("b", REMOVE)));
        // By a call too: the caller gets its answer.
        manager.call(B, Do("remove")).await.unwrap();
        assert_eq!(ids(&manager).await, [""; 0]);
        assert!(log.all().contains(&Terminate("b", Removal::Itself)));
        manager.sync_notify(1).await.unwrap();
        assert_eq!(log.all().iter().filter(|did| matches!(did, Event(_, 1))).count(), 0);
    });
}

#[test]
fn ge6_the_owner_of_a_supervised_handler_is_told_why_it_was_removed() {
    on_every_path(|mut me| async move {
        let (manager, log) = (EventManager::start().await.unwrap(), Log::default());
        let pid = manager.pid().unwrap();
        let told = |why| HandlerExit { manager: pid, handler: A.erase(), why };
        for event in [REMOVE, FAIL, PANIC] {
            manager.add_sup_handler(&me, A, ("a", log.clone())).await.unwrap();
            manager.notify(event);
            let exit = next::<HandlerExit>(&mut me).await;
            assert_eq!(log.all().pop(), Some(Terminate("a", exit.why.clone())));
            match event {
                REMOVE => assert_eq!(exit, told(Removal::Itself)),
                FAIL => assert_eq!(exit, told(Removal::Failed(ExitReason::error("failed")))),
                _ => assert!(matches!(exit.why, Removal::Failed(reason) if is_planned(&reason, "panic"))),
            }
        }
        manager.add_sup_handler(&me, A, ("a", log.clone())).await.unwrap();
        drop(manager.delete_handler(A).await.unwrap());
        assert_eq!(next::<HandlerExit>(&mut me).await, told(Removal::Deleted));
        // The owner of the old handler owns the new one.
        manager.add_sup_handler(&me, A, ("a", log.clone())).await.unwrap();
        let again = log.clone();
        manager.swap_handler(A, B, move |_| ("b", again)).await.unwrap();
        assert_eq!(next::<HandlerExit>(&mut me).await, told(Removal::Swapped));
        manager.stop().await.unwrap();
        let exit = next::<HandlerExit>(&mut me).await;
        assert_eq!((exit.handler, exit.why), (B.erase(), Removal::Stop(ExitReason::Normal)));
        nothing(&mut me);
    });
}

#[test]
fn ge6_a_supervised_handler_goes_with_its_owner_and_others_stay() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        let (ours, notes) = (manager.clone(), log.clone());
        let owner = process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
            ours.add_sup_handler(&mailbox, ANY, ("owned", notes)).await.unwrap();
            mailbox.receive_as::<()>().await;
        });
        while ids(&manager).await.len() < 3 {
            process::yield_now().await;
        }
        // An exit signal is no end.
        owner.send(());
        owner.wait().await;
        while ids(&manager).await.len() > 2 {
            process::yield_now().await;
        }
        assert!(log.all().contains(&Terminate("owned", Removal::OwnerDown(ExitReason::Normal))));
        assert_eq!(ids(&manager).await, ["Recorder/a", "Recorder/b"]);
    });
}

#[test]
fn ge6_the_crash_of_the_manager_ends_the_owner_of_a_handler() {
    on_every_path(|mut me| async move {
        let (manager, log) = (EventManager::start().await.unwrap(), Log::default());
        let ours = manager.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        let (owner, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<AnyMsg>| {
            ours.add_sup_handler(&mailbox, A, ("a", log)).await.unwrap();
            let _ = tell.send(());
            mailbox.receive_as::<()>().await;
        });
        told.await.unwrap();
        process::exit(manager.pid().unwrap(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        assert!(!owner.is_alive());
    });
}

#[test]
fn ge8_deleting_a_handler_gives_what_it_is_after_terminate_and_a_missing_one_is_an_error() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.notify(40);
        let a = manager.delete_handler(A).await.unwrap();
        assert_eq!((a.name, a.sum), ("a", 41));
        assert_eq!(log.all().pop(), Some(Terminate("a", Removal::Deleted)));
        let Err(HandlerError::NotFound(id)) = manager.delete_handler(A).await else { panic!() };
        assert_eq!(id, A.erase());
        assert_eq!(ids(&manager).await, ["Recorder/b"]);
    });
}

#[test]
fn ge10_a_call_goes_to_one_handler_and_one_to_a_missing_handler_is_an_error() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.sync_notify(5).await.unwrap();
        drop(manager.delete_handler(A).await.unwrap());
        let error = manager.call(A, Sum).await.unwrap_err();
        assert_eq!(error.to_string(), "the event manager has no handler Recorder/a");
        manager.add_handler(A, ("a", log)).await.unwrap();
        manager.sync_notify(2).await.unwrap();
        assert_eq!(manager.call(A, Sum).await.unwrap(), 2);
        assert_eq!(manager.call(B, Sum).await.unwrap(), 7);
        let Err(HandlerError::Failed(reason)) = manager.call(A, Do("fail")).await else { panic!() };
        assert_eq!(reason, ExitReason::error("asked"));
        assert_eq!(ids(&manager).await, ["Recorder/b"]);
    });
}

#[test]
fn ge11_what_is_no_event_goes_to_handle_info_of_all() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.send_info("hello");
        let pid = manager.pid().unwrap();
        process::exit(pid, ExitReason::error("signal"));
        manager.whereis().unwrap().send(Info::new(7_u8));
        manager.sync_notify(1).await.unwrap();
        for name in ["a", "b"] {
            for text in ["hello", "exit signal", "?"] {
                assert_eq!(
                    log.all().iter().filter(|did| **did == Did::Info(name, text.to_owned())).count(),
                    1
                );
            }
        }
    });
}

#[test]
fn ge12_one_type_of_handler_may_be_added_many_times_under_different_names() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.add_handler(ANY, ("any", log.clone())).await.unwrap();
        let made = HandlerId::<Recorder>::from("c".to_owned());
        manager.add_handler(made.clone(), ("c", log.clone())).await.unwrap();
        assert_eq!(ids(&manager).await, ["Recorder/a", "Recorder/b", "Recorder", "Recorder/c"]);
        let Err(HandlerError::AlreadyAdded(id)) = manager.add_handler(B, ("b", log.clone())).await else {
            panic!()
        };
        assert_eq!(id, B.erase());
        manager.sync_notify(3).await.unwrap();
        assert_eq!(manager.delete_handler(made).await.unwrap().name, "c");
        assert_eq!(manager.delete_handler(ANY).await.unwrap().name, "any");
        assert_eq!(ids(&manager).await, ["Recorder/a", "Recorder/b"]);
        assert_eq!(log.all().iter().filter(|did| matches!(did, Event(_, 3))).count(), 4);
    });
}

#[test]
fn ge13_a_handler_that_hibernates_keeps_nothing_from_the_others() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.sync_notify(HIBERNATE).await.unwrap();
        assert!(log.all().contains(&Event("b", HIBERNATE)));
        manager.sync_notify(1).await.unwrap();
        assert_eq!(manager.call(A, Sum).await.unwrap(), 1);
    });
}

#[test]
fn ge14_a_handler_without_handle_info_and_terminate_stays() {
    on_every_path(|_| async move {
        let manager = EventManager::start().await.unwrap();
        manager.add_handler(BARE, ()).await.unwrap();
        manager.send_info("hello");
        manager.sync_notify(1).await.unwrap();
        assert_eq!(ids(&manager).await, ["Bare"]);
        manager.delete_handler(BARE).await.unwrap();
    });
}

#[test]
fn ge15_a_stop_terminates_all_handlers() {
    on_every_path(|mut me| async move {
        let (manager, log) = with_a_and_b().await;
        manager.stop().await.unwrap();
        let stop = Removal::Stop(ExitReason::Normal);
        let ends: Vec<Did> = log.all().into_iter().skip(2).collect();
        assert_eq!(ends, [Terminate("a", stop.clone()), Terminate("b", stop)]);
        // A supervisor stops it like any child, although it traps exits.
        let child = EventManager::<u32>::child_spec();
        assert_eq!(
            (child.fields().id.as_str(), child.fields().restart),
            ("EventManager", Restart::Permanent)
        );
        let root = Supervisor::one_for_one().child(child.name("events")).start_link().await.unwrap();
        let events = EventManager::<u32>::named("events");
        let log = Log::default();
        events.add_handler(A, ("a", log.clone())).await.unwrap();
        root.stop().await.unwrap();
        assert_eq!(log.all(), [Init("a"), Terminate("a", Removal::Stop(ExitReason::Shutdown))]);
        // A handler may stop the manager.
        let (manager, log) = with_a_and_b().await;
        let monitor = me.monitor(manager.pid().unwrap());
        manager.notify(STOP);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Shutdown);
        assert!(log.all().contains(&Terminate("b", Removal::Stop(ExitReason::Shutdown))));
    });
}

#[test]
fn a_handler_that_fails_is_removed_and_the_manager_and_the_others_live_on() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        let pid = manager.pid();
        for (round, event) in [PANIC, FAIL].into_iter().enumerate() {
            manager.sync_notify(event).await.unwrap();
            assert_eq!(ids(&manager).await, ["Recorder/b"], "{round}");
            assert!(matches!(log.all().pop(), Some(Event("b", _) | Terminate("a", Removal::Failed(_)))));
            drop(manager.delete_handler(B).await.unwrap());
            manager.add_handler(A, ("a", log.clone())).await.unwrap();
            manager.add_handler(B, ("b", log.clone())).await.unwrap();
        }
        manager.send_info("panic");
        manager.sync_notify(1).await.unwrap();
        assert_eq!((ids(&manager).await, manager.pid()), (vec!["Recorder/b".to_owned()], pid));
        // A panic in `terminate` goes no further either.
        manager.add_handler(ANY, ("badly", log.clone())).await.unwrap();
        assert_eq!(manager.delete_handler(ANY).await.unwrap().name, "badly");
        assert_eq!(manager.pid(), pid);
    });
}

#[test]
fn a_swap_happens_between_two_events_and_makes_the_new_handler_of_the_old_one() {
    on_every_path(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.notify(1);
        let (again, inner) = (log.clone(), log.clone());
        let swap = move |old: Option<Recorder>| {
            assert_eq!(old.unwrap().sum, 2);
            ("c", again)
        };
        manager.swap_handler(A, ANY, swap).await.unwrap();
        manager.sync_notify(2).await.unwrap();
        assert_eq!(ids(&manager).await, ["Recorder/b", "Recorder"]);
        assert_eq!(manager.call(ANY, Sum).await.unwrap(), 2);
        // Without an old one, the new one is made of nothing; a taken id is refused before anything happens.
        let absent = move |old: Option<Recorder>| {
            assert!(old.is_none());
            ("a", inner)
        };
        manager.swap_handler(A, A, absent).await.unwrap();
        let taken = manager.swap_handler(A, B, |_| planned("never called")).await;
        assert!(matches!(taken, Err(HandlerError::AlreadyAdded(_))), "{taken:?}");
        assert_eq!(ids(&manager).await.len(), 3);
    });
}

#[test]
fn a_call_that_takes_too_long_is_given_up() {
    in_simulation(|_| async move {
        let (manager, _) = with_a_and_b().await;
        let Err(HandlerError::Call(error)) = manager.call(A, Do("wait")).timeout(millis(20)).await else {
            panic!()
        };
        assert!(error.is_timeout(), "{error}");
        process::exit(manager.pid().unwrap(), ExitReason::Kill);
    });
}

#[test]
fn handlers_use_the_managers_timers() {
    on_real_runtimes(|_| async move {
        let (manager, log) = with_a_and_b().await;
        manager.send_info("later");
        while log.all().iter().filter(|did| matches!(did, Did::Info(_, text) if text == "now")).count() < 4 {
            process::yield_now().await;
        }
    });
}
