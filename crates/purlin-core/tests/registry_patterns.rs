//! Proves that entries of a registry are matched, selected, counted and unregistered by their contents (R15, R25, R28, R29).

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::*;
use purlin_core::telemetry::events;
use purlin_core::*;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Role {
    Admin,
    Guest { since: u32 },
}
use Role::{Admin, Guest};

type Rooms = Registry<String, Role>;

/// Both kinds of registry, with one partition and with several.
async fn registries() -> Vec<Rooms> {
    let mut registries = Vec::new();
    for (n, unique) in [true, false, true, false].into_iter().enumerate() {
        let name = format!("rooms-{n}");
        let builder = if unique { Registry::unique(name) } else { Registry::duplicate(name) };
        registries.push(builder.partitions([1, 4][n / 2]).start_link().await.unwrap());
    }
    registries
}

fn key(text: &str) -> String {
    text.to_owned()
}

type Job = Box<dyn FnOnce() + Send>;

/// A process that does as it is told.
#[derive(Clone)]
struct Member(Address<Job>);

impl Member {
    fn new() -> Member {
        Member(process::spawn(async |mut mailbox: Mailbox<Job>| {
            loop {
                let job = mailbox.receive().await;
                job();
            }
        }))
    }

    fn pid(&self) -> Pid {
        self.0.pid()
    }

    async fn run<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> R {
        let (tx, rx) = tokio::sync::oneshot::channel();
        self.0.send(Box::new(move || drop(tx.send(f()))) as Job);
        rx.await.expect("the process is alive")
    }

    async fn register(&self, rooms: &Rooms, name: &str, role: Role) {
        let (rooms, name) = (rooms.clone(), key(name));
        self.run(move || rooms.register(name, role)).await.unwrap();
    }

    async fn end(&self) {
        process::exit(self.pid(), ExitReason::Kill);
        process::wait(self.pid()).await;
    }
}

/// In simulation with 200 seeds, and on real threads.
fn with_many_schedules<F, Fut>(test: F)
where
    F: Fn(Me) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    for seed in 0..200 {
        run(Run::Simulated { seed, path: CallPath::Adaptive }, test.clone());
    }
    on_real_runtimes(test);
}

// ---- match ----------------------------------------------------------------------------------------------------------

#[test]
fn r25_a_match_gives_pid_and_value_of_the_entry_whose_value_fits_pattern_and_guard() {
    everywhere(|_| async {
        for rooms in registries().await {
            let ada = Member::new();
            ada.register(&rooms, "lobby", Guest { since: 1815 }).await;
            let entry = [(ada.pid(), Guest { since: 1815 })];
            assert_eq!(rooms.match_values("lobby", |_| true).unwrap(), entry);
            assert_eq!(rooms.match_values("lobby", |role| matches!(role, Guest { .. })).unwrap(), entry);
            assert_eq!(
                rooms.match_values("lobby", |role| matches!(role, Guest { since } if *since < 1900)).unwrap(),
                entry
            );
            assert!(
                rooms
                    .match_values("lobby", |role| matches!(role, Guest { since } if *since > 1900))
                    .unwrap()
                    .is_empty()
            );
            assert!(rooms.match_values("lobby", |role| *role == Admin).unwrap().is_empty());
        }
    });
}

#[test]
fn r25_of_a_duplicate_key_every_entry_is_matched_and_those_of_other_keys_are_not() {
    everywhere(|_| async {
        let rooms: Rooms = Registry::duplicate("rooms").partitions(4).start_link().await.unwrap();
        let (ada, bob) = (Member::new(), Member::new());
        for since in 0..4 {
            ada.register(&rooms, "lobby", Guest { since }).await;
            bob.register(&rooms, "lobby", Guest { since: 10 + since }).await;
            bob.register(&rooms, "cellar", Guest { since }).await;
        }
        bob.register(&rooms, "lobby", Admin).await;
        let odd = |role: &Role| matches!(role, Guest { since } if since % 2 == 1);
        let expected = [(&ada, 1), (&bob, 11), (&ada, 3), (&bob, 13)];
        let expected = expected.map(|(member, since)| (member.pid(), Guest { since }));
        assert_eq!(rooms.match_values("lobby", odd).unwrap(), expected);
        assert_eq!(rooms.match_values("lobby", |role| *role == Admin).unwrap(), [(bob.pid(), Admin)]);
        assert_eq!(rooms.count(), Ok(13), "matching takes nothing away");
    });
}

#[test]
fn without_entries_no_closure_is_asked() {
    everywhere(|_| async {
        for rooms in registries().await {
            let ada = Member::new();
            ada.register(&rooms, "lobby", Admin).await;
            let never = |_: &Role| -> bool { planned("asked") };
            assert!(rooms.match_values("cellar", never).unwrap().is_empty());
            assert_eq!(rooms.count_match("cellar", never), Ok(0));
            ada.end().await;
            assert!(rooms.match_values("lobby", never).unwrap().is_empty());
            assert_eq!(rooms.select(|_, _, _| -> Option<()> { planned("asked") }), Ok(vec![]));
            assert_eq!(rooms.count_select(|_, _, _| planned("asked")), Ok(0));
        }
    });
}

// ---- select ---------------------------------------------------------------------------------------------------------

/// Enters three processes; what a select of everything returns, sorted.
async fn furnish(rooms: &Rooms) -> Vec<(String, Pid, Role)> {
    let mut all = Vec::new();
    for (n, names) in [["attic", "lobby"], ["cellar", "kitchen"], ["hall", "porch"]].iter().enumerate() {
        let member = Member::new();
        for (name, role) in names.iter().zip([Admin, Guest { since: n as u32 }]) {
            member.register(rooms, name, role.clone()).await;
            all.push((key(name), member.pid(), role));
        }
    }
    all.sort();
    all
}

#[test]
fn r28_select_gives_key_pid_and_value_of_every_entry_and_returns_what_is_picked() {
    everywhere(|_| async {
        for rooms in registries().await {
            let all = furnish(&rooms).await;
            let mut found = rooms.select(|key, pid, role| Some((key, pid, role))).unwrap();
            found.sort();
            assert_eq!(found, all);
            let mut guests = rooms
                .select(|key, _, role| match role {
                    Guest { since } => Some((since, key)),
                    Admin => None,
                })
                .unwrap();
            guests.sort();
            assert_eq!(guests, [(0, key("lobby")), (1, key("kitchen")), (2, key("porch"))]);
            let pid = all[0].1;
            let own = rooms.select(|_, of, role| (of == pid).then_some(role)).unwrap();
            assert_eq!(own.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([Admin, Guest { since: 0 }]));
        }
    });
}

#[test]
fn r28_of_several_clauses_the_first_that_fits_an_entry_counts() {
    everywhere(|_| async {
        for rooms in registries().await {
            furnish(&rooms).await;
            let mut found = rooms
                .select(|key, _, role| match (key.as_str(), role) {
                    ("lobby", _) => Some((key, "the lobby")),
                    (_, Guest { since }) if since > 1 => Some((key, "a late guest")),
                    (_, Guest { .. }) => Some((key, "a guest")),
                    ("hall", Admin) => None,
                    (_, Admin) => Some((key, "an admin")),
                })
                .unwrap();
            found.sort();
            let expected = [
                ("attic", "an admin"),
                ("cellar", "an admin"),
                ("kitchen", "a guest"),
                ("lobby", "the lobby"),
                ("porch", "a late guest"),
            ];
            assert_eq!(found, expected.map(|(name, what)| (key(name), what)));
        }
    });
}

#[test]
fn the_entries_of_one_key_are_selected_in_the_order_of_registration() {
    everywhere(|_| async {
        let rooms: Rooms = Registry::duplicate("rooms").partitions(3).start_link().await.unwrap();
        let members: Vec<_> = (0..3).map(|_| Member::new()).collect();
        for since in 0..30 {
            members[since as usize % 3]
                .register(&rooms, ["lobby", "cellar"][since as usize % 2], Guest { since })
                .await;
        }
        let picked = rooms.select(|key, _, role| (key == "lobby").then_some(role)).unwrap();
        assert_eq!(picked, (0..30).step_by(2).map(|since| Guest { since }).collect::<Vec<_>>());
    });
}

// ---- counting -------------------------------------------------------------------------------------------------------

#[test]
fn r29_counts_agree_with_what_match_and_select_return() {
    everywhere(|_| async {
        let node = Node::current();
        for rooms in registries().await {
            let unique = rooms.name().ends_with(['0', '2']);
            let members: Vec<_> = (0..3).map(|_| Member::new()).collect();
            for n in 0..40 {
                let name = if unique { format!("room-{n}") } else { format!("room-{}", n % 7) };
                let since = (node.random() % 10) as u32;
                let role = if since == 0 { Admin } else { Guest { since } };
                members[n % 3].register(&rooms, &name, role).await;
            }
            members[1].end().await;
            assert_eq!(rooms.count_select(|_, _, _| true), rooms.count());
            for limit in 0..11 {
                let fits = |role: &Role| matches!(role, Guest { since } if *since < limit);
                let selected =
                    rooms.select(|key, pid, role| fits(&role).then_some((key, pid, role))).unwrap();
                assert_eq!(rooms.count_select(|_, _, role| fits(role)), Ok(selected.len()));
                let mut matched = 0;
                for n in 0..40 {
                    let name = format!("room-{n}");
                    let found = rooms.match_values(&name, fits).unwrap();
                    assert_eq!(rooms.count_match(&name, fits), Ok(found.len()));
                    assert_eq!(
                        rooms.count_select(|key, _, role| *key == name && fits(role)),
                        Ok(found.len())
                    );
                    matched += found.len();
                }
                assert_eq!(matched, selected.len());
            }
            let first = members[0].pid();
            assert_eq!(rooms.count_select(|_, pid, _| pid == first), Ok(rooms.keys(first).unwrap().len()));
        }
    });
}

// ---- unregistering --------------------------------------------------------------------------------------------------

#[test]
fn r15_unregister_match_removes_own_entries_that_fit_and_keys_stay_right_with_multiplicity() {
    everywhere(|_| async {
        let rooms: Rooms = Registry::duplicate("rooms").partitions(4).start_link().await.unwrap();
        let (ada, bob) = (Member::new(), Member::new());
        for role in [Admin, Guest { since: 1 }, Guest { since: 2 }, Admin] {
            ada.register(&rooms, "lobby", role.clone()).await;
            bob.register(&rooms, "lobby", role).await;
        }
        ada.register(&rooms, "cellar", Admin).await;
        let unregister = async |fits: fn(&Role) -> bool| {
            let rooms = rooms.clone();
            ada.run(move || rooms.unregister_match("lobby", fits)).await.unwrap();
        };
        let own = || rooms.values("lobby", ada.pid()).unwrap();
        unregister(|role| matches!(role, Guest { since } if *since > 5)).await;
        assert_eq!(own().len(), 4, "nothing fits");
        unregister(|role| matches!(role, Guest { since } if *since > 1)).await;
        assert_eq!(own(), [Admin, Guest { since: 1 }, Admin]);
        assert_eq!(rooms.keys(ada.pid()).unwrap(), ["lobby", "lobby", "lobby", "cellar"]);
        unregister(|role| *role == Admin).await;
        assert_eq!(own(), [Guest { since: 1 }]);
        assert_eq!(rooms.keys(ada.pid()).unwrap(), ["lobby", "cellar"]);
        unregister(|_| true).await;
        assert_eq!(rooms.keys(ada.pid()).unwrap(), ["cellar"]);
        assert_eq!(rooms.values("cellar", ada.pid()).unwrap(), [Admin], "another key");
        let others = [Admin, Guest { since: 1 }, Guest { since: 2 }, Admin].map(|role| (bob.pid(), role));
        assert_eq!(rooms.lookup("lobby").unwrap(), others, "another process");
        assert_eq!(rooms.count(), Ok(5));
        ada.end().await;
        assert_eq!(rooms.count(), Ok(4));
    });
}

#[test]
fn r15_unregister_match_keeps_a_unique_entry_that_does_not_fit() {
    everywhere(|_| async {
        let rooms: Rooms = Registry::unique("rooms").start_link().await.unwrap();
        let (ada, bob) = (Member::new(), Member::new());
        ada.register(&rooms, "lobby", Guest { since: 1 }).await;
        let unregister = async |who: &Member, fits: fn(&Role) -> bool| {
            let rooms = rooms.clone();
            who.run(move || rooms.unregister_match("lobby", fits)).await.unwrap();
        };
        unregister(&bob, |_| true).await;
        assert_eq!(rooms.whereis("lobby"), Ok(Some(ada.pid())), "one's own entries only");
        unregister(&ada, |role| *role == Admin).await;
        assert_eq!(rooms.lookup("lobby").unwrap(), [(ada.pid(), Guest { since: 1 })]);
        unregister(&ada, |role| matches!(role, Guest { .. })).await;
        assert_eq!(rooms.whereis("lobby"), Ok(None));
        assert!(rooms.keys(ada.pid()).unwrap().is_empty());
        bob.register(&rooms, "lobby", Admin).await;
        assert_eq!(rooms.lookup("lobby").unwrap(), [(bob.pid(), Admin)]);
    });
}

#[test]
fn r15_a_process_with_many_entries_gives_up_some_of_them() {
    everywhere(|_| async {
        let numbers = Registry::<u32, u32>::duplicate("numbers").partitions(4).start_link().await.unwrap();
        let ada = Member::new();
        let handle = numbers.clone();
        ada.run(move || {
            let me = process::self_pid().unwrap();
            // Key 0 has 40 entries, key n the one with value n.
            for n in 0..40 {
                handle.register(0, n).unwrap();
                handle.register(n + 1, n + 1).unwrap();
            }
            handle.unregister_match(&0, |n| n % 3 != 0).unwrap();
            let left: Vec<_> = (0..40).step_by(3).collect();
            assert_eq!(handle.values(&0, me), Ok(left.clone()));
            let mut keys = handle.keys(me).unwrap();
            keys.sort_unstable();
            let expected = left.iter().map(|_| 0).chain(1..=40).collect::<Vec<_>>();
            assert_eq!(keys, expected);
            handle.unregister_match(&0, |n| *n != 9).unwrap();
            assert_eq!(handle.values(&0, me), Ok(vec![9]));
            handle.register(0, 100).unwrap();
            assert_eq!(handle.values(&0, me), Ok(vec![9, 100]));
            handle.unregister_match(&0, |_| true).unwrap();
            handle.unregister_match(&7, |n| *n == 7).unwrap();
            assert_eq!(handle.keys(me).map(|keys| keys.len()), Ok(39));
        })
        .await;
        assert_eq!(numbers.count(), Ok(39));
        ada.end().await;
        assert_eq!(numbers.count(), Ok(0));
    });
}

#[test]
fn who_unregisters_its_last_entry_by_a_match_is_free_of_the_registry_and_each_removal_is_told() {
    everywhere(|mut me| async move {
        let told = Log::default();
        let (log, node) = (told.clone(), Node::current());
        node.telemetry()
            .attach("log", events::REGISTRY_UNREGISTER, move |event| {
                log.add((event.metadata.pid("pid"), event.metadata.str("cause").map(str::to_owned)));
            })
            .unwrap();
        let rooms: Rooms = Registry::duplicate("rooms").start().await.unwrap();
        let (ada, bob) = (Member::new(), Member::new());
        for since in 0..3 {
            ada.register(&rooms, "lobby", Guest { since }).await;
        }
        bob.register(&rooms, "lobby", Admin).await;
        let handle = rooms.clone();
        ada.run(move || handle.unregister_match("lobby", |role| *role != Guest { since: 1 })).await.unwrap();
        let own = (Some(ada.pid()), Some("unregister".to_owned()));
        assert_eq!(told.all(), [own.clone(), own.clone()]);
        let handle = rooms.clone();
        ada.run(move || handle.unregister_match("lobby", |_| true)).await.unwrap();
        assert_eq!(told.all().len(), 3);
        // A crash of the registry ends who is registered.
        let bobs_end = me.monitor(bob.pid());
        process::exit(rooms.server().unwrap().pid(), ExitReason::Kill);
        assert_eq!(down(&mut me, bobs_end).await.reason, ExitReason::Killed);
        assert!(process::is_alive(ada.pid()));
    });
}

// ---- what closures may do -------------------------------------------------------------------------------------------

#[test]
fn closures_may_use_the_registry() {
    everywhere(|_| async {
        for rooms in registries().await {
            let ada = Member::new();
            ada.register(&rooms, "lobby", Admin).await;
            ada.register(&rooms, "hall", Guest { since: 1 }).await;
            ada.run(move || {
                let me = process::self_pid().unwrap();
                let busy = || {
                    let name = format!("room-{}", rooms.count().unwrap());
                    rooms.register(name.clone(), Admin).unwrap();
                    assert_eq!(rooms.count_match(&name, |role| *role == Admin), Ok(1));
                    assert!(rooms.count_select(|_, pid, _| pid == me).unwrap() > 2);
                    rooms.unregister(&name).unwrap();
                    true
                };
                assert_eq!(rooms.match_values("lobby", |_| busy()).unwrap(), [(me, Admin)]);
                assert_eq!(rooms.count_match("lobby", |_| busy()), Ok(1));
                assert_eq!(rooms.select(|key, _, _| busy().then_some(key)).map(|keys| keys.len()), Ok(2));
                assert_eq!(rooms.count_select(|_, _, _| busy()), Ok(2));
                // What was asked about is what was there when it began: the new entry of the same key stays.
                rooms
                    .unregister_match("lobby", |_| {
                        rooms.unregister("lobby").unwrap();
                        rooms.register(key("lobby"), Guest { since: 7 }).unwrap();
                        busy()
                    })
                    .unwrap();
                assert_eq!(rooms.lookup("lobby").unwrap(), [(me, Guest { since: 7 })]);
                assert_eq!(rooms.keys(me).unwrap(), ["hall", "lobby"]);
            })
            .await;
        }
    });
}

#[test]
fn a_closure_that_panics_changes_nothing_and_harms_nobody() {
    everywhere(|_| async {
        for rooms in registries().await {
            let all = furnish(&rooms).await;
            let ada = Member::new();
            ada.register(&rooms, "pantry", Admin).await;
            let handle = rooms.clone();
            ada.run(move || {
                let fails = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).is_err();
                assert!(fails(&|| drop(handle.match_values("pantry", |_| planned("match")))));
                assert!(fails(&|| drop(handle.count_match("pantry", |_| planned("count")))));
                assert!(fails(&|| drop(handle.select(|_, _, _| -> Option<()> { planned("select") }))));
                assert!(fails(&|| drop(handle.count_select(|_, _, _| planned("count")))));
                assert!(fails(&|| drop(handle.unregister_match("pantry", |_| planned("unregister")))));
            })
            .await;
            assert_eq!(rooms.lookup("pantry").unwrap(), [(ada.pid(), Admin)]);
            // One that is not caught ends the process as any panic does.
            let handle = rooms.clone();
            let bob = process::spawn(async move |mut mailbox: Mailbox<()>| {
                mailbox.receive().await;
                drop(handle.select(|_, _, _| -> Option<()> { planned("select") }));
            });
            let mut end = Box::pin(process::wait(bob.pid()));
            assert_eq!(poll_once(&mut end).await, None);
            bob.send(());
            assert!(is_planned(&end.await, "select"));
            ada.end().await;
            let mut found = rooms.select(|key, pid, role| Some((key, pid, role))).unwrap();
            found.sort();
            assert_eq!(found, all);
        }
    });
}

#[test]
fn r40_patterns_of_an_unknown_registry_say_so() {
    everywhere(|_| async {
        let builder = Registry::<String, Role>::unique("rooms");
        let unknown = RegistryError::Unknown { name: key("rooms") };
        for rooms in [builder.handle(), Registry::named("rooms")] {
            let errors = [
                rooms.match_values("lobby", |_| true).map(drop),
                rooms.count_match("lobby", |_| true).map(drop),
                rooms.select(|_, _, _| Some(())).map(drop),
                rooms.count_select(|_, _, _| true).map(drop),
                rooms.unregister_match("lobby", |_| true),
            ];
            assert!(errors.iter().all(|result| *result == Err(unknown.clone())), "{errors:?}");
        }
    });
}

#[test]
fn only_a_process_unregisters_by_a_match() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(async {
            let rooms: Rooms = Registry::unique("rooms").start().await.unwrap();
            assert_eq!(rooms.unregister_match("lobby", |_| true), Err(RegistryError::NoProcess));
            assert_eq!(rooms.count_select(|_, _, _| true), Ok(0));
        })
        .await;
        node.shutdown().await;
    });
}

// ---- races ----------------------------------------------------------------------------------------------------------

#[test]
fn what_is_registered_all_the_time_is_selected_once_whatever_others_do() {
    with_many_schedules(|mut me| async move {
        let numbers = Registry::<u32, Pid>::unique("numbers").partitions(3).start().await.unwrap();
        let stay = Member::new();
        let handle = numbers.clone();
        stay.run(move || {
            for n in 0..10 {
                handle.register(n, process::self_pid().unwrap()).unwrap();
            }
        })
        .await;
        let restless: Vec<_> = (0..3u32)
            .map(|n| {
                let numbers = numbers.clone();
                process::spawn(async move |mailbox: Mailbox<()>| {
                    for key in (0..10).map(|n| 10 + n).cycle() {
                        if numbers.register(key, mailbox.pid()).is_err() || key % 4 == n {
                            numbers.unregister_match(&(key - n), |pid| *pid == mailbox.pid()).unwrap();
                        }
                        process::yield_now().await;
                    }
                })
            })
            .collect();
        let look = || {
            let found = numbers.select(|key, pid, value| Some((key, pid, value))).unwrap();
            assert!(found.iter().all(|(_, pid, value)| pid == value));
            let stayed: BTreeSet<_> =
                found.iter().filter(|(_, pid, _)| *pid == stay.pid()).map(|(key, ..)| *key).collect();
            assert_eq!(stayed, (0..10).collect());
            assert_eq!(found.iter().filter(|(key, ..)| *key < 10).count(), 10);
            found
        };
        for round in 0..6 {
            look();
            if round % 2 == 0 {
                let next = &restless[round / 2];
                process::exit(next.pid(), ExitReason::Kill);
                assert!(look().iter().all(|(_, pid, _)| *pid != next.pid()), "it must end and is not found");
                end_of(&mut me, next.pid()).await;
            }
            process::yield_now().await;
        }
        assert_eq!((numbers.count(), numbers.count_select(|_, _, _| true)), (Ok(10), Ok(10)));
    });
}
