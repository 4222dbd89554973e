//! Proves that raw processes can select, time out, trap, watch and be addressed through the facade, typed and untyped, bounded or not.
#![forbid(unsafe_code)]

mod common;

use common::{idle, in_process, until};
use purlin::prelude::*;
use purlin::process::{Accepts, Alias, MonitorAlias, MonitorOptions};
use purlin::{AliasMode, CastWait};

#[derive(Debug, PartialEq)]
enum Msg {
    Number(u32),
    Text(&'static str),
    Ended(Option<Term>, ExitReason),
    Trapped(Pid),
}

impl From<u32> for Msg {
    fn from(number: u32) -> Msg {
        Msg::Number(number)
    }
}

impl From<&'static str> for Msg {
    fn from(text: &'static str) -> Msg {
        Msg::Text(text)
    }
}

impl From<Down> for Msg {
    fn from(down: Down) -> Msg {
        Msg::Ended(down.tag, down.reason)
    }
}

impl From<Exit> for Msg {
    fn from(exit: Exit) -> Msg {
        Msg::Trapped(exit.from)
    }
}

fn number(message: Msg) -> std::result::Result<u32, Msg> {
    if let Msg::Number(number) = message { Ok(number) } else { Err(message) }
}

/// A function of the user's own over every mailbox that takes a text.
fn greet<M, K>(address: &Address<M>)
where
    M: Accepts<&'static str, K>,
{
    address.send("hello");
}

#[purlin::test]
async fn what_is_not_selected_stays_in_its_place() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        let me = mailbox.address();
        greet(&me);
        me.send(1u32);
        me.send("world");
        me.send(2u32);
        assert_eq!(mailbox.len(), 4);
        assert_eq!(mailbox.receive_map(number).await, 1);
        assert_eq!(mailbox.receive_map_timeout(secs(5), number).await, Some(2));
        assert_eq!(mailbox.receive_map_timeout(millis(0), number).await, None);
        assert_eq!(mailbox.try_receive(), Some(Msg::Text("hello")));
        assert_eq!(mailbox.receive().await, Msg::Text("world"));
        assert!(mailbox.is_empty() && mailbox.try_receive().is_none());
    })
    .await;
}

#[purlin::test(sim, seeds = 5)]
async fn a_receive_with_a_limit_ends_by_a_message_or_by_the_clock() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        let (me, node) = (mailbox.address(), Node::current());
        let begun = node.now();
        assert_eq!(mailbox.receive_timeout(secs(60)).await, None);
        assert!(node.now() - begun >= secs(60), "virtual time has passed");
        assert_eq!(mailbox.receive_map_timeout(secs(60), number).await, None);
        me.send_after(secs(1), 7u32);
        assert_eq!(mailbox.receive_timeout(secs(60)).await, Some(Msg::Number(7)));
        assert!(node.now() - begun < secs(180), "the message came first");
    })
    .await;
}

#[purlin::test]
async fn an_untyped_mailbox_takes_anything_and_gives_it_out_by_type() {
    in_process(async |mut mailbox: Mailbox<AnyMsg>| {
        let me = mailbox.address();
        greet(&me);
        me.send(7u32);
        process::send(mailbox.pid(), 8u64);
        assert_eq!(mailbox.receive_as::<u64>().await, 8);
        let text = mailbox.receive().await;
        assert!(text.is::<&str>() && text.type_name().contains("str"), "{text:?}");
        let text = text.downcast::<u32>().unwrap_err();
        assert_eq!(text.downcast::<&str>().unwrap(), "hello");
        assert_eq!(mailbox.receive().await.downcast::<u32>().unwrap(), 7);
        // Packed by hand, or sent on, it is the same message.
        assert!(me.try_send(AnyMsg::new(9u8)).is_ok());
        assert_eq!(mailbox.receive_as::<u8>().await, 9);
        process::send(mailbox.pid(), AnyMsg::new(10u8));
        process::send_after(mailbox.pid(), millis(0), AnyMsg::new(11u8));
        assert_eq!((mailbox.receive_as::<u8>().await, mailbox.receive_as::<u8>().await), (10, 11));
    })
    .await;
}

#[purlin::test]
async fn what_a_typed_mailbox_does_not_take_is_counted_and_dropped() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        process::send(mailbox.pid(), 1.5f32);
        mailbox.address().send(1u32);
        assert_eq!(mailbox.receive().await, Msg::Number(1));
        assert_eq!(Node::current().stats().unhandled, 1);
    })
    .await;
}

#[purlin::test]
async fn trapped_exits_become_messages_of_the_mailboxs_type() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        assert!(!mailbox.trap_exits(true));
        let child = process::spawn_link(async |_: Mailbox<()>| panic!("planned"));
        assert_eq!(mailbox.receive().await, Msg::Trapped(child.pid()));
        assert!(mailbox.trap_exits(false));
    })
    .await;
}

#[purlin::test]
async fn a_typed_mailbox_watches_and_its_down_carries_the_tag() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        let (_, _) = mailbox.spawn_monitor(async |_: Mailbox<()>| {});
        assert_eq!(mailbox.receive().await, Msg::Ended(None, ExitReason::Normal));

        let tag = Some(Term::text("the database"));
        let options = MonitorOptions { tag: tag.clone(), alias: None };
        let (_, alias) = mailbox.monitor_with("nobody", options);
        assert!(alias.is_none());
        assert_eq!(mailbox.receive().await, Msg::Ended(tag, ExitReason::NoProc));

        // Its end is known and the answer in the mailbox; demonitoring takes it out.
        let other = idle();
        let monitor = mailbox.monitor(&other);
        other.send(());
        other.wait().await;
        assert!(!mailbox.demonitor(monitor));
        assert_eq!(mailbox.try_receive(), None);
        let (idler, door) = (idle(), Door::start(()).await.unwrap());
        assert!(idler == idler.clone() && idler != other);
        for monitor in [mailbox.monitor(&idler), mailbox.monitor(&door)] {
            assert!(mailbox.demonitor(monitor));
        }
        mailbox.monitor(String::from("nobody"));
        assert_eq!(mailbox.receive().await, Msg::Ended(None, ExitReason::NoProc));
    })
    .await;
}

#[purlin::test]
async fn an_alias_delivers_until_it_is_switched_off() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        let lasting: Alias<Msg> = mailbox.alias(AliasMode::ExplicitUnalias);
        assert_eq!(lasting.pid(), mailbox.pid());
        lasting.send(1u32);
        lasting.clone().send("two");
        assert_eq!(mailbox.receive().await, Msg::Number(1));
        assert_eq!(mailbox.receive().await, Msg::Text("two"));
        assert!(mailbox.unalias(&lasting) && !mailbox.unalias(&lasting));
        lasting.send(3u32);

        let once = mailbox.alias(AliasMode::Reply);
        once.send(4u32);
        once.send(5u32);
        assert_eq!(mailbox.receive().await, Msg::Number(4));
        assert_eq!(mailbox.try_receive(), None, "only the first one got through");
    })
    .await;
}

#[purlin::test]
async fn an_alias_made_with_a_monitor_lives_as_long_as_it_was_made_to() {
    in_process(async |mut mailbox: Mailbox<Msg>| {
        let with = |alias| MonitorOptions { tag: None, alias: Some(alias) };
        let server = idle();
        for (mode, survives) in [(MonitorAlias::ExplicitUnalias, true), (MonitorAlias::Demonitor, false)] {
            let (monitor, alias) = mailbox.monitor_with(server.pid(), with(mode));
            let alias = alias.unwrap();
            alias.send(1u32);
            assert_eq!(mailbox.try_receive(), Some(Msg::Number(1)));
            mailbox.demonitor(monitor);
            alias.send(2u32);
            assert_eq!(mailbox.try_receive(), survives.then_some(Msg::Number(2)), "{mode:?}");
        }
        // The pattern of a request: the first answer ends both.
        let (monitor, alias) = mailbox.monitor_with(server.pid(), with(MonitorAlias::ReplyDemonitor));
        let alias = alias.unwrap();
        alias.send("answer");
        alias.send("late answer");
        assert_eq!(mailbox.receive().await, Msg::Text("answer"));
        assert!(!mailbox.demonitor(monitor), "the answer took it off");
        assert_eq!(mailbox.try_receive(), None);
    })
    .await;
}

#[purlin::test]
async fn a_hibernating_process_wakes_for_a_message_and_leaves_it_there() {
    let sleeper = process::spawn(async |mut mailbox: Mailbox<u8>| {
        mailbox.hibernate().await;
        assert_eq!(mailbox.len(), 1);
        assert_eq!(mailbox.receive().await, 7);
    });
    process::yield_now().await;
    sleeper.send(7u8);
    assert_eq!(sleeper.wait().await, ExitReason::Normal);
}

/// A server that is held up: it waits for `open`.
struct Door {
    seen: Vec<u8>,
}

#[gen_server]
impl Door {
    fn init() -> Self {
        Door { seen: Vec::new() }
    }

    #[cast]
    fn knock(&mut self, number: u8) {
        self.seen.push(number);
    }

    #[call]
    fn seen(&self) -> Vec<u8> {
        self.seen.clone()
    }
}

/// The same message by hand, for the verbs that client methods do not have.
#[derive(Debug, PartialEq)]
struct Ring(u8);

impl HandleCast<Ring> for Door {
    async fn handle_cast(&mut self, Ring(number): Ring, _: &mut Cx<Self>) {
        self.seen.push(number);
    }
}

/// A door with room for two messages.
async fn narrow(overflow: Overflow) -> Result<Ref<Door>> {
    let bound = MailboxBound::new(2, overflow);
    assert_eq!((bound.capacity(), bound.overflow()), (2, overflow));
    Ok(Door::start(()).mailbox(bound).await?)
}

/// One whose mailbox is full and stays so until it is resumed.
async fn held_up(overflow: Overflow) -> Result<Ref<Door>> {
    let door = narrow(overflow).await?;
    sys::suspend(door.pid()).await?;
    door.knock(1);
    door.knock(2);
    Ok(door)
}

// Simulated, because there nobody runs before the test's body waits: all three arrive before the first is taken.
#[purlin::test(sim, seeds = 5, allow_leaks)]
async fn a_cast_into_a_full_mailbox_is_a_counted_drop_of_the_newest_or_the_oldest() -> Result<()> {
    for (overflow, left) in [
        (Overflow::Wait, [1, 2]),
        (Overflow::Reject, [1, 2]),
        (Overflow::DropNewest, [1, 2]),
        (Overflow::DropOldest, [2, 3]),
    ] {
        let door = narrow(overflow).await?;
        let dropped = Node::current().stats().dropped;
        for number in [1, 2, 3] {
            door.knock(number);
        }
        assert_eq!(Node::current().stats().dropped, dropped + 1, "{overflow:?}");
        until(|| process::process_info(door.pid()).unwrap().message_queue_len == 0).await;
        assert_eq!(door.seen().await?, left, "{overflow:?}");
    }
    Ok(())
}

#[purlin::test]
async fn a_call_to_a_full_mailbox_waits_or_is_refused_at_once() -> Result<()> {
    for overflow in [Overflow::Reject, Overflow::DropNewest] {
        let error = held_up(overflow).await?.seen().await.unwrap_err();
        assert_eq!(error.kind(), &CallErrorKind::MailboxFull, "{overflow:?}");
    }
    let door = held_up(Overflow::Wait).await?;
    let call = async { door.seen().await };
    let open = async { sys::resume(door.pid()).await };
    let (seen, opened) = tokio::join!(call, open);
    opened?;
    assert_eq!(seen?, [1, 2]);
    Ok(())
}

#[purlin::test]
async fn try_cast_gives_back_what_does_not_get_in_and_cast_wait_waits_for_room() -> Result<()> {
    let door = held_up(Overflow::Wait).await?;
    let error = door.try_cast(Ring(3)).unwrap_err();
    assert_eq!(error.to_string(), "the server's mailbox is full");
    assert!(matches!(error, TryCastError::Full(Ring(3))));
    assert_eq!(error.into_inner(), Ring(3));

    let waiting: CastWait<'_, Door, Ring> = door.cast_wait(Ring(4));
    let (entered, opened) = tokio::join!(waiting, sys::resume(door.pid()));
    entered?;
    opened?;
    assert_eq!(door.seen().await?, [1, 2, 4]);
    // One at a time: the call before may still count when its answer is there.
    door.try_cast(Ring(5))?;
    assert_eq!(door.seen().await?, [1, 2, 4, 5]);
    door.cast(Ring(6));
    assert_eq!(door.seen().await?, [1, 2, 4, 5, 6]);

    door.stop().await?;
    assert_eq!(door.try_cast(Ring(7)).unwrap_err(), TryCastError::NoProc(Ring(7)));
    assert_eq!(door.cast_wait(Ring(7)).await.unwrap_err(), TryCastError::NoProc(Ring(7)));
    Ok(())
}
