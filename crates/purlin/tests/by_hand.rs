//! Proves that a server can be written with the traits alone, and that its start, handlers and context do what the documentation says.
#![forbid(unsafe_code)]

mod common;

use std::time::Duration;

use common::{idle, in_process, until};
use purlin::gen_server::{Accepts, StartFuture};
use purlin::prelude::*;
use purlin::{CallFor, CastFor, ContinueFor, InfoFor, Monitors, ReadInParallel, Shape, Start, TrapsExits};

/// Keeps a log of everything that it handled.
#[derive(Default)]
struct Clerk {
    log: Vec<String>,
    held: Option<ReplyTo<u32>>,
    watched: Option<MonitorRef>,
}

impl GenServer for Clerk {
    type Args = &'static str;

    async fn init(how: &'static str, cx: &mut Cx<Self>) -> std::result::Result<Self, InitError> {
        match how {
            "ignore" => Err(InitError::Ignore),
            "refuse" => Err(InitError::Stop(ExitReason::custom("closed today"))),
            "panic" => panic!("planned"),
            "forget" => std::future::pending().await,
            _ => {
                cx.continue_with(Open);
                Ok(Clerk::default())
            },
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &mut Cx<Self>) {
        let _ = process::send_named("witness", format!("{reason} after {}", self.log.join(", ")));
    }

    fn format_status(&self) -> String {
        format!("{} entries", self.log.len())
    }

    fn accepts(table: &mut Accepts<'_, Self>) {
        table.info::<Note, _>().info::<u64, _>();
    }
}

struct Open;

impl HandleContinue<Open> for Clerk {
    async fn handle_continue(&mut self, _: Open, _: &mut Cx<Self>) {
        self.log.push("open".to_owned());
    }
}

struct Log;

impl HandleRead<Log> for Clerk {
    type Reply = Vec<String>;
    fn handle_read(&self, _: Log, _: &ReadCx<Self>) -> Vec<String> {
        self.log.clone()
    }
}

/// What a handler knows about itself and its caller.
struct About;

impl HandleCall<About> for Clerk {
    type Reply = (Pid, Option<Pid>, Option<Pid>, String);
    async fn handle_call(&mut self, _: About, cx: &mut Cx<Self>) -> Self::Reply {
        assert_eq!(cx.this().pid(), cx.pid());
        (cx.pid(), cx.parent(), cx.caller(), cx.node().name().to_owned())
    }
}

struct Parse(&'static str);

impl HandleCall<Parse, OrCrash> for Clerk {
    type Reply = u32;
    async fn handle_call(&mut self, Parse(text): Parse, _: &mut Cx<Self>) -> std::result::Result<u32, Crash> {
        Ok(text.parse()?)
    }
}

struct Hold;

impl HandleCall<Hold, OrLater> for Clerk {
    type Reply = u32;
    async fn handle_call(&mut self, _: Hold, _: &mut Cx<Self>) -> std::result::Result<Reply<u32>, Crash> {
        let (to, later) = Reply::later();
        self.held = Some(to);
        Ok(later)
    }
}

/// Answers the held call, or drops it; tells whether its caller had given up.
struct Release(Option<u32>);

impl HandleCall<Release> for Clerk {
    type Reply = bool;
    async fn handle_call(&mut self, Release(answer): Release, _: &mut Cx<Self>) -> bool {
        let Some(held) = self.held.take() else { return false };
        let abandoned = held.is_abandoned();
        if let Some(answer) = answer {
            held.reply(answer);
        }
        abandoned
    }
}

struct Watch(Pid, Option<Term>);

impl HandleCall<Watch> for Clerk {
    type Reply = ();
    async fn handle_call(&mut self, Watch(pid, tag): Watch, cx: &mut Cx<Self>) {
        self.watched = Some(match tag {
            Some(tag) => cx.monitor_tagged(pid, tag),
            None => cx.monitor(pid),
        });
    }
}

struct Unwatch;

impl HandleCall<Unwatch> for Clerk {
    type Reply = bool;
    async fn handle_call(&mut self, _: Unwatch, cx: &mut Cx<Self>) -> bool {
        self.watched.take().is_some_and(|monitor| cx.demonitor(monitor))
    }
}

enum Tie {
    Link(Pid),
    Unlink(Pid),
    Trap(bool),
}

impl HandleCall<Tie> for Clerk {
    type Reply = bool;
    async fn handle_call(&mut self, tie: Tie, cx: &mut Cx<Self>) -> bool {
        match tie {
            Tie::Link(pid) => cx.link(pid).is_ok(),
            Tie::Unlink(pid) => {
                cx.unlink(pid);
                true
            },
            Tie::Trap(on) => cx.trap_exits(on),
        }
    }
}

struct Rest(Duration);

impl HandleCast<Rest> for Clerk {
    async fn handle_cast(&mut self, Rest(idle): Rest, cx: &mut Cx<Self>) {
        cx.hibernate();
        cx.timeout(idle);
    }
}

struct Close;

impl HandleCall<Close> for Clerk {
    type Reply = &'static str;
    async fn handle_call(&mut self, _: Close, cx: &mut Cx<Self>) -> &'static str {
        cx.stop(ExitReason::Shutdown);
        "good night"
    }
}

struct Note(&'static str);

impl std::fmt::Debug for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! noted {
    ($($message:ty),*) => {
        $(impl HandleInfo<$message> for Clerk {
            async fn handle_info(&mut self, message: $message, _: &mut Cx<Self>) {
                self.log.push(format!("{message:?}"));
            }
        })*
    };
}

noted!(Note, u64, Timeout);

impl HandleInfo<Down> for Clerk {
    async fn handle_info(&mut self, down: Down, _: &mut Cx<Self>) {
        self.log.push(format!("down {:?}: {}", down.tag, down.reason));
    }
}

impl HandleInfo<Exit> for Clerk {
    async fn handle_info(&mut self, exit: Exit, _: &mut Cx<Self>) {
        self.log.push(format!("exit: {}", exit.reason));
    }
}

/// Functions of a user's own, generic over servers, can ask for what they need.
async fn open_log<S, K: 'static>(server: &Ref<S>) -> std::result::Result<Vec<String>, CallError>
where
    S: ReadInParallel + InfoFrom<Note> + Monitors<Plain> + TrapsExits<Plain>,
    Log: CallFor<S, K, Reply = Vec<String>>,
    Rest: CastFor<S, Plain>,
    Open: ContinueFor<S, Plain>,
{
    server.call(Log).await
}

trait InfoFrom<M>: GenServer {}
impl<S: GenServer, M: InfoFor<S, Plain>> InfoFrom<M> for S {}

#[purlin::test]
async fn what_init_returns_decides_over_the_start() -> Result<()> {
    let start: Start<Clerk> = Clerk::start("well");
    let starting: StartFuture<Clerk> = start.into_future();
    let clerk = starting.await?;
    assert_eq!(clerk.call(Log).await?, ["open"], "the continue came before the first message");
    assert_eq!(Clerk::start("ignore").await.unwrap_err(), StartError::Ignore);
    let refused = Clerk::start("refuse").await.unwrap_err();
    assert_eq!(refused, StartError::Failed(ExitReason::custom("closed today")));
    let StartError::Failed(reason) = Clerk::start("panic").await.unwrap_err() else { panic!() };
    assert_eq!(reason.panic_info().unwrap().message, "planned");
    Ok(())
}

#[purlin::test(sim, seeds = 5)]
async fn an_init_that_takes_too_long_is_killed_and_leaves_nothing() {
    let started = Clerk::start("forget").name("slow").timeout(secs(1)).await;
    assert_eq!(started.unwrap_err(), StartError::Timeout);
    assert_eq!(process::whereis("slow"), None);
    // Its pid is free a moment after its end was told.
    while Node::current().stats().processes > 1 {
        process::yield_now().await;
    }
}

#[purlin::test]
async fn a_start_can_name_link_watch_bound_and_choose_the_node() -> Result<()> {
    let clerk = Clerk::start("well").name("clerk").mailbox(MailboxBound::new(9, Overflow::Wait)).await?;
    let again = Clerk::start("panic").name("clerk").await;
    assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(clerk.pid()), "init was not run");
    assert_eq!(Clerk::start("well").name("").await.unwrap_err(), StartError::BadName);

    in_process(async |mut mailbox: Mailbox<Down>| {
        let (clerk, monitor) = Clerk::start("well").monitor().await.unwrap();
        clerk.stop_with(ExitReason::Shutdown, secs(5)).await.unwrap();
        let down = mailbox.receive().await;
        assert_eq!((down.monitor, down.reason), (monitor, ExitReason::Shutdown));

        for linked in [Clerk::start_link("well"), Clerk::start("well").link()] {
            let (_, parent, caller, _) = linked.await.unwrap().call(About).await.unwrap();
            assert_eq!((parent, caller), (Some(mailbox.pid()), Some(mailbox.pid())));
        }
    })
    .await;

    let other = Node::builder().name("elsewhere").start();
    let abroad = Clerk::start("well").node(&other).await?;
    assert_eq!(abroad.call(About).await?.3, "elsewhere");
    assert_eq!(Ref::<Clerk>::from_pid(abroad.pid()).unwrap().call(Log).await?, ["open"]);
    other.shutdown().await;
    let late = Clerk::start("well").node(&other).await;
    assert_eq!(late.unwrap_err(), StartError::NodeStopping);
    Ok(())
}

#[test]
fn without_a_node_a_start_says_what_is_missing() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { Clerk::start("well").await }).unwrap_err();
    assert_eq!(error, StartError::NoNode);
    assert!(error.to_string().contains("#[purlin::main]"), "{error}");
}

#[purlin::test]
async fn names_are_constants_or_text_and_find_whoever_has_them() -> Result<()> {
    const CLERK: Name<Clerk> = Name::new("clerk");
    assert!(CLERK.whereis().is_none());
    let first = Clerk::start("well").name(&CLERK).await?;
    assert_eq!((CLERK.display(), CLERK.whereis().unwrap().pid()), ("clerk".to_owned(), first.pid()));
    CLERK.send(Note("hello"));
    assert_eq!(CLERK.call(Log).await?, ["open", "hello"]);
    CLERK.stop().await?;
    assert!(CLERK.try_cast(Rest(secs(1))).is_err());
    CLERK.cast(Rest(secs(1)));
    let _second = Clerk::start("well").name("clerk".to_owned()).await?;
    CLERK.cast_wait(Rest(secs(60))).await?;
    assert_eq!(Clerk::named("clerk").call(Log).await?, ["open"]);
    assert!(Ref::<Clerk>::from_pid(first.pid()).is_none());
    assert_eq!((CLERK.to_string(), first.to_string()), ("clerk".to_owned(), first.pid().to_string()));
    let (second, again) = (CLERK.whereis().unwrap(), CLERK.whereis().unwrap());
    assert!(second == again && first != second);
    let seen = std::collections::HashSet::from([first, second, again]);
    assert_eq!(seen.len(), 2, "one per incarnation");
    assert!(Ref::<Clerk>::from_pid(idle().pid()).is_none(), "it is no clerk");
    CLERK.stop_with(ExitReason::Normal, secs(5)).await?;
    Ok(())
}

#[purlin::test]
async fn untyped_messages_reach_the_handlers_that_accepts_lists() -> Result<()> {
    let clerk = Clerk::start("well").await?;
    process::send(clerk.pid(), Note("by hand"));
    process::send(clerk.pid(), 7u64);
    process::send(clerk.pid(), 7u8);
    assert_eq!(open_log(&clerk).await?, ["open", "by hand", "7"]);
    assert_eq!(Node::current().stats().unhandled, 1);
    assert_eq!(sys::get_status(clerk.pid()).await?.state, "3 entries");
    Ok(())
}

#[purlin::test]
async fn a_call_can_crash_be_answered_later_or_never() -> Result<()> {
    let clerk = Clerk::start("well").await?;
    assert_eq!(clerk.call(Parse("7")).await?, 7);
    let (answer, released) = tokio::join!(clerk.call(Hold), clerk.call(Release(Some(3))));
    assert_eq!((answer?, released?), (3, false));
    let (answer, _) = tokio::join!(clerk.call(Hold), clerk.call(Release(None)));
    assert_eq!(answer.unwrap_err().kind(), &CallErrorKind::NoReply);
    assert!(clerk.call(Hold).timeout(millis(0)).await.unwrap_err().is_timeout());
    assert!(clerk.call(Release(Some(3))).await?, "the caller has given up");
    let error = clerk.call(Parse("x")).await.unwrap_err();
    assert!(matches!(error.kind(), CallErrorKind::Exit(ExitReason::Error(_))), "{error}");
    Ok(())
}

#[purlin::test]
async fn monitors_of_a_server_carry_tags_and_can_be_taken_off() -> Result<()> {
    let clerk = Clerk::start("well").await?;
    let (tagged, untold) = (idle(), idle());
    clerk.call(Watch(untold.pid(), None)).await?;
    assert!(clerk.call(Unwatch).await?);
    clerk.call(Watch(tagged.pid(), Some(Term::text("vault")))).await?;
    for process in [&untold, &tagged] {
        process.send(());
        process.wait().await;
    }
    assert_eq!(clerk.call(Log).await?, ["open", "down Some(vault): normal"]);
    assert!(!clerk.call(Unwatch).await?, "it has told already");
    Ok(())
}

#[purlin::test]
async fn links_of_a_server_end_it_or_tell_it() -> Result<()> {
    let clerk = Clerk::start("well").await?;
    let (tied, untied) = (idle(), idle());
    assert!(clerk.call(Tie::Link(untied.pid())).await? && clerk.call(Tie::Unlink(untied.pid())).await?);
    process::exit(untied.pid(), ExitReason::error("unheard"));
    untied.wait().await;
    assert!(!clerk.call(Tie::Link(untied.pid())).await?, "it is gone");
    assert!(!clerk.call(Tie::Trap(true)).await? && clerk.call(Tie::Trap(true)).await?);
    assert!(clerk.call(Tie::Link(tied.pid())).await?);
    process::exit(tied.pid(), ExitReason::error("heard"));
    tied.wait().await;
    assert_eq!(clerk.call(Log).await?, ["open", "exit: heard"]);
    clerk.call(Tie::Trap(false)).await?;
    process::exit(clerk.pid(), ExitReason::error("felt"));
    until(|| !clerk.is_alive()).await;
    Ok(())
}

#[purlin::test(sim, seeds = 5, allow_leaks)]
async fn an_idle_server_is_told_by_its_timeout() -> Result<()> {
    let clerk = Clerk::start("well").await?;
    clerk.cast(Rest(secs(10)));
    process::sleep(secs(9)).await;
    assert_eq!(clerk.call(Log).await?, ["open"]);
    process::sleep(secs(60)).await;
    assert_eq!(clerk.call(Log).await?, ["open"], "the call took the timeout off");
    clerk.cast(Rest(secs(10)));
    process::sleep(secs(60)).await;
    assert_eq!(clerk.call(Log).await?, ["open", "Timeout"]);
    Ok(())
}

#[purlin::test]
async fn a_stop_with_a_reply_gives_it_when_the_server_has_ended() -> Result<()> {
    let witness = process::spawn(async |mut mailbox: Mailbox<String>| {
        process::register("witness", mailbox.pid()).unwrap();
        assert_eq!(mailbox.receive().await, "shutdown after open");
    });
    until(|| process::whereis("witness").is_some()).await;
    let clerk = Clerk::start("well").await?;
    assert_eq!(clerk.call(Close).await?, "good night");
    assert!(!clerk.is_alive());
    assert_eq!(witness.wait().await, ExitReason::Normal);
    assert_eq!(clerk.stop().await, Err(StopError::NoProc));
    Ok(())
}

#[test]
fn the_shapes_say_what_a_handler_returns() {
    fn out<Sh: Shape>(out: Sh::Out<u8>) -> Sh::Out<u8> {
        out
    }
    assert_eq!(out::<Plain>(7), 7);
    assert!(matches!(out::<OrCrash>(Ok(7)), Ok(7)));
    assert!(out::<OrLater>(Ok(Reply::now(7))).is_ok());
}
