//! Proves that registries find processes by key, keep one or many entries, name servers, carry values, lock keys, and forget whoever ends.
#![forbid(unsafe_code)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};

use common::{idle, in_process, until};
use purlin::prelude::*;
use purlin::registry::{AsKey, Entries, IntoIter, Key, LockError, LockFuture, RegistryName};
use purlin::{RegistryBuilder, RegistryServer};

struct Room {
    visitors: u32,
}

#[gen_server]
impl Room {
    fn init() -> Self {
        Room { visitors: 0 }
    }

    #[call]
    fn enter(&mut self) -> u32 {
        self.visitors += 1;
        self.visitors
    }
}

static ROOMS: Registry<String> = Registry::named("rooms");

#[purlin::test]
async fn a_server_can_be_started_called_and_found_by_its_key() -> Result<()> {
    let root = Supervisor::one_for_one()
        .child(Registry::<String>::unique("rooms"))
        .child(Room::child_spec(()).name(ROOMS.via("lobby".to_owned())))
        .start()
        .await?;
    let lobby: Name<Room> = ROOMS.via("lobby".to_owned());
    assert_eq!(lobby.enter().await?, 1);
    assert_eq!(lobby.display(), "rooms/lobby");
    let pid = ROOMS.whereis("lobby")?.unwrap();
    assert_eq!(ROOMS.get::<Room>("lobby")?.unwrap().enter().await?, 2);
    assert!(ROOMS.get::<RegistryServer<String>>("lobby")?.is_none(), "it is no registry");
    let again = Room::start(()).name(&lobby).await.unwrap_err();
    assert_eq!(again, StartError::AlreadyStarted(pid));

    process::exit(pid, ExitReason::Kill);
    until(|| ROOMS.whereis("lobby").is_ok_and(|new| new.is_some_and(|new| new != pid))).await;
    assert_eq!(lobby.enter().await?, 1, "the name finds the new incarnation");
    assert!(ROOMS.via::<Room>("cellar".to_owned()).enter().await.unwrap_err().is_no_proc());
    root.stop().await?;
    Ok(())
}

#[purlin::test]
async fn a_unique_key_has_one_owner_who_alone_may_change_its_value() -> Result<()> {
    let seats = Registry::<u32, &str>::unique("seats").start().await?;
    assert_eq!((seats.name(), seats.partitions()?), ("seats", 1));
    in_process(async move |mut mailbox: Mailbox<()>| {
        let me = mailbox.pid();
        assert_eq!(seats.register(1, "reserved"), Ok(()));
        assert_eq!(seats.register(1, "again"), Err(RegistryError::AlreadyRegistered(me)));
        assert_eq!(
            seats.update_value(&1, |old| if *old == "reserved" { "taken" } else { old }),
            Ok(("taken", "reserved"))
        );
        assert_eq!(seats.update_value(&2, |old| old), Err(RegistryError::NotRegistered));
        assert_eq!((seats.lookup(&1).unwrap().len(), seats.lookup(&2).unwrap().len()), (1, 0));
        assert_eq!(seats.values(&1, me), Ok(vec!["taken"]));

        let (other, address) = (seats.clone(), mailbox.address());
        process::spawn(async move |mut mailbox: Mailbox<()>| {
            assert_eq!(other.register(1, "mine"), Err(RegistryError::AlreadyRegistered(me)));
            assert_eq!(other.update_value(&1, |old| old), Err(RegistryError::NotRegistered));
            assert_eq!(other.unregister(&1), Ok(()), "one's own entries only");
            other.register(2, "free").unwrap();
            address.send(());
            mailbox.receive().await;
        });
        mailbox.receive().await;
        assert_eq!((seats.keys(me), seats.count()), (Ok(vec![1]), Ok(2)));
        seats.unregister(&1).unwrap();
        assert_eq!((seats.keys(me), seats.count()), (Ok(vec![]), Ok(1)));
    })
    .await;
    Ok(())
}

#[purlin::test]
async fn a_duplicate_key_has_many_entries_in_the_order_of_registration() -> Result<()> {
    let topics: Registry<String, u8> =
        Registry::<String, u8>::duplicate("topics").partitions(4).start().await?;
    assert_eq!(topics.partitions()?, 4);
    let (tell, told) = channel();
    let mut members = Vec::new();
    for priority in [1, 2] {
        let (topics, tell) = (topics.clone(), tell.clone());
        members.push(process::spawn(async move |mut mailbox: Mailbox<&str>| {
            topics.register("news".to_owned(), priority).unwrap();
            tell.send(()).unwrap();
            assert_eq!(mailbox.receive().await, "extra");
            assert_eq!(topics.update_value("news", |old| *old), Err(not_unique()));
        }));
        told.recv()?;
    }
    let entries: Entries<u8> = topics.lookup("news")?;
    assert_eq!(entries, [(members[0].pid(), 1), (members[1].pid(), 2)]);
    let listed: IntoIter<u8> = entries.into_iter();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed.map(|(_, priority)| priority).collect::<Vec<_>>(), [1, 2]);
    let reached = topics.dispatch("news", |entries| {
        for (pid, _) in entries {
            process::send(*pid, "extra");
        }
    });
    assert!(reached.is_ok());
    for member in members {
        assert_eq!(member.wait().await, ExitReason::Normal);
    }
    assert_eq!(topics.count()?, 0, "whoever ends is forgotten first");
    assert!(topics.dispatch("news", |_| panic!("nobody is there")).is_ok());
    Ok(())
}

fn not_unique() -> RegistryError {
    RegistryError::NotUnique { name: "topics".to_owned() }
}

#[derive(Clone, PartialEq, Debug)]
enum Role {
    Admin,
    Guest { since: u32 },
}

#[purlin::test]
async fn entries_are_chosen_by_what_is_in_them() -> Result<()> {
    let rooms: Registry<String, Role> =
        Registry::<String, Role>::duplicate("rooms").partitions(2).start().await?;
    in_process(async move |mailbox: Mailbox<()>| {
        let me = mailbox.pid();
        for since in [1815, 1936] {
            rooms.register("lobby".to_owned(), Role::Guest { since }).unwrap();
        }
        rooms.register("lobby".to_owned(), Role::Admin).unwrap();
        rooms.register("cellar".to_owned(), Role::Admin).unwrap();
        let old = |role: &Role| matches!(role, Role::Guest { since } if *since < 1900);
        let found: Entries<Role> = rooms.match_values("lobby", old).unwrap();
        assert_eq!(found, [(me, Role::Guest { since: 1815 })]);
        assert_eq!((rooms.count_match("lobby", old), rooms.count_match("cellar", old)), (Ok(1), Ok(0)));
        let mut told = rooms
            .select(|room, pid, role| match (room.as_str(), role) {
                (_, Role::Guest { since }) => Some((pid, format!("a guest since {since}"))),
                ("lobby", Role::Admin) => None,
                (room, Role::Admin) => Some((pid, format!("the admin of the {room}"))),
            })
            .unwrap();
        told.sort();
        let expected = ["a guest since 1815", "a guest since 1936", "the admin of the cellar"];
        assert_eq!(told, expected.map(|what| (me, what.to_owned())));
        assert_eq!(rooms.count_select(|room, pid, _| room == "lobby" && pid == me), Ok(3));
        rooms.unregister_match("lobby", |role| *role != Role::Admin).unwrap();
        assert_eq!(rooms.values("lobby", me), Ok(vec![Role::Admin]));
        assert_eq!(rooms.keys(me), Ok(vec!["lobby".to_owned(), "cellar".to_owned()]));
    })
    .await;
    Ok(())
}

/// One that all find although they come at the same time.
async fn find_or_open(name: &str) -> Result<Pid> {
    let open = async || match ROOMS.whereis(name)? {
        Some(pid) => Ok(pid),
        None => {
            process::yield_now().await;
            Ok(Room::start(()).name(ROOMS.via(name.to_owned())).await?.pid())
        },
    };
    ROOMS.lock(name.to_owned(), open).await?
}

#[purlin::test]
async fn under_a_lock_a_server_is_started_once() -> Result<()> {
    Registry::<String>::unique("rooms").start().await?;
    let (tell, told) = channel();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let tell = tell.clone();
            process::spawn(async move |_: Mailbox<()>| {
                tell.send(find_or_open("lobby").await.unwrap()).unwrap()
            })
        })
        .collect();
    for caller in callers {
        caller.wait().await;
    }
    let lobby = ROOMS.whereis("lobby")?.unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [lobby; 3]);
    Ok(())
}

#[purlin::test]
async fn a_lock_is_waited_for_with_a_limit_and_never_for_oneself() -> Result<()> {
    let files = Registry::<&str>::unique("files").start().await?;
    let mut held: LockFuture<'_, _, _, _, _, ()> = files.lock("a.txt", async || std::future::pending().await);
    assert!(polled(&mut held).is_none());
    let error: LockError = files.lock("a.txt", async || ()).timeout(millis(1)).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("a.txt"), "{error}");
    assert!(format!("{held:?}").contains("held"));
    let mut patient = files.lock("a.txt", async || 7).infinity();
    assert!(polled(&mut patient).is_none());
    drop(held);
    assert_eq!(patient.await, Ok(7));
    let inner = files.lock("a.txt", async || files.lock("a.txt", async || ()).await).await?;
    assert!(matches!(inner, Err(LockError::Reentrant { key, .. }) if key.contains("a.txt")));
    let missing = RegistryError::Unknown { name: "rooms".to_owned() };
    assert_eq!(ROOMS.lock("lobby".to_owned(), async || ()).await, Err(LockError::from(missing)));
    Ok(())
}

/// What a future is ready with at once.
fn polled<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[purlin::test]
async fn what_cannot_be_done_says_why() -> Result<()> {
    let missing = RegistryError::Unknown { name: "rooms".to_owned() };
    assert_eq!(ROOMS.count(), Err(missing.clone()));
    assert!(missing.to_string().contains("rooms"), "{missing}");
    let rooms = Registry::<String>::unique("rooms").start().await?;
    assert_eq!(rooms.register("lobby".to_owned(), ()), Err(RegistryError::NoProcess), "a test is no process");
    let numbered: Registry<u32> = Registry::named("rooms");
    let Err(RegistryError::WrongType { name, expected, found }) = numbered.count() else { panic!() };
    assert_eq!(name, "rooms");
    assert!(expected.contains("u32") && found.contains("String"), "{expected}, {found}");
    Ok(())
}

#[purlin::test]
async fn a_server_is_not_started_under_a_key_of_what_is_no_unique_registry() -> Result<()> {
    let start = || Room::start(()).name(ROOMS.via("lobby".to_owned()));
    let error = start().await.unwrap_err();
    assert!(matches!(error, StartError::UnknownRegistry { .. }) && error.to_string().contains("\"rooms\""));
    let other = idle();
    process::register("rooms", other.pid())?;
    let error = start().await.unwrap_err();
    let StartError::WrongRegistry(wrong) = &error else { panic!("{error}") };
    assert_eq!((wrong.name.as_str(), wrong.found), ("rooms", "process"));
    assert!(error.to_string().contains(wrong.expected), "{error}");
    process::unregister("rooms")?;
    // Made while the registry was not there to say that it has duplicate keys.
    let early: Name<Room> = ROOMS.via("lobby".to_owned());
    Registry::<String>::duplicate("rooms").start().await?;
    let error = Room::start(()).name(early).await.unwrap_err();
    assert!(matches!(error, StartError::DuplicateRegistry { .. }) && error.to_string().contains("\"rooms\""));
    Ok(())
}

#[test]
fn without_a_node_a_named_registry_cannot_be_found() {
    assert_eq!(ROOMS.count(), Err(RegistryError::NoNode));
}

#[purlin::test]
async fn values_of_the_registry_itself_come_from_its_description_or_from_anybody() -> Result<()> {
    let rooms = Registry::<String>::unique("rooms").meta("opened", 2026u32).start().await?;
    assert_eq!(rooms.meta::<u32>("opened")?, Some(2026));
    assert_eq!(rooms.meta::<String>("opened")?, None, "of another type");
    rooms.put_meta("colour", "red")?;
    assert_eq!(rooms.meta("colour")?, Some("red"));
    rooms.delete_meta("colour")?;
    assert_eq!(rooms.meta::<&str>("colour")?, None);
    Ok(())
}

#[purlin::test]
async fn a_handle_taken_early_holds_through_restarts_of_the_registry() -> Result<()> {
    let builder: RegistryBuilder<String, u32> = Registry::unique(String::from("made at run time"));
    assert_eq!(builder.name(), "made at run time");
    let handle = builder.handle();
    assert!(matches!(handle.count(), Err(RegistryError::Unknown { .. })));
    let root = Supervisor::one_for_one().child(builder.child_spec().shutdown(secs(1))).start().await?;
    let room = Room::start(()).name(handle.via_with("lobby".to_owned(), 7)).await?;
    assert_eq!(handle.lookup("lobby")?, [(room.pid(), 7)]);
    let server: Ref<RegistryServer<String, u32>> = handle.server()?;
    process::exit(server.pid(), ExitReason::Kill);
    // Who is registered goes with the registry: nobody could find it any more.
    until(|| !room.is_alive() && handle.server().is_ok_and(|new| new.pid() != server.pid())).await;
    assert_eq!(handle.count()?, 0);
    root.stop().await?;
    Ok(())
}

#[purlin::test]
async fn a_linked_registry_ends_with_its_starter() {
    let starter = process::spawn(async |mut mailbox: Mailbox<()>| {
        Registry::<String>::unique("rooms").start_link().await.unwrap();
        mailbox.receive().await;
        panic!("planned");
    });
    until(|| ROOMS.count().is_ok()).await;
    let server = ROOMS.server().unwrap();
    starter.send(());
    until(|| !server.is_alive()).await;
}

/// Functions of a user's own over any registry.
fn has<K: Key, V: Clone + Send + Sync + 'static>(
    registry: &Registry<K, V>,
    key: &(impl AsKey<K> + ?Sized),
) -> bool {
    registry.whereis(key).is_ok_and(|pid| pid.is_some())
}

fn open(name: impl Into<RegistryName>) -> RegistryBuilder<String> {
    Registry::unique(name)
}

#[purlin::test]
async fn borrowed_keys_find_owned_ones() -> Result<()> {
    let rooms = open("rooms").start().await?;
    Room::start(()).name(rooms.via("lobby".to_owned())).await?;
    assert!(has(&rooms, "lobby") && has(&rooms, &"lobby".to_owned()) && !has(&rooms, "cellar"));
    let other = idle();
    assert_eq!(rooms.keys(other.pid())?, [""; 0]);
    Ok(())
}
