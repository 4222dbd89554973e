//! Proves that a failed call says which call failed, where, how long it took and why, for every reason that a call can fail for.
#![forbid(unsafe_code)]

mod common;

use common::{idle, in_process};
use purlin::prelude::*;
use purlin::{CallFuture, DEFAULT_CALL_TIMEOUT};

/// Does what it is told, also to itself.
struct Fool {
    friend: Option<Ref<Fool>>,
}

#[gen_server]
impl Fool {
    fn init() -> Self {
        Fool { friend: None }
    }

    #[call]
    async fn wait_for_ever(&mut self) {
        std::future::pending::<()>().await
    }

    #[call]
    fn drop_the_call(&mut self) -> Reply<u8> {
        let (to, later) = Reply::later();
        drop(to);
        later
    }

    #[call]
    fn crash(&mut self) {
        panic!("planned");
    }

    #[cast]
    fn befriend(&mut self, friend: Ref<Fool>) {
        self.friend = Some(friend);
    }

    #[call]
    async fn ask_friend(&mut self) -> Option<CallErrorKind> {
        match &self.friend {
            Some(friend) => match friend.ask_friend().await {
                Ok(theirs) => theirs,
                Err(error) => Some(error.kind().clone()),
            },
            None => None,
        }
    }

    #[call]
    async fn ask_oneself(&mut self, cx: &mut Cx<Self>) -> Option<CallErrorKind> {
        cx.this().ask_friend().await.err().map(|error| error.kind().clone())
    }
}

#[purlin::test(sim, seeds = 5, allow_leaks)]
async fn a_timeout_tells_what_the_caller_waited_for() -> Result<()> {
    let fool = Fool::start(()).name("fool").await?;
    let error = fool.wait_for_ever().await.unwrap_err();
    assert!(error.is_timeout() && error.kind() == &CallErrorKind::Timeout);
    assert_eq!(DEFAULT_CALL_TIMEOUT, secs(5));
    assert!(error.elapsed() >= DEFAULT_CALL_TIMEOUT && error.elapsed() < secs(6), "{:?}", error.elapsed());
    assert_eq!((error.pid(), error.name()), (Some(fool.pid()), Some("fool")));
    assert!(error.server().ends_with("Fool") && error.request().ends_with("wait_for_ever"), "{error:?}");
    assert!(error.location().file().ends_with("call_errors.rs"));
    assert_eq!(error.queue_len(), Some(0));
    assert!(error.exit_reason().is_none() && !error.is_no_proc());

    let error = fool.ask_friend().timeout(secs(1)).await.unwrap_err();
    assert!(error.elapsed() >= secs(1) && error.elapsed() < secs(2));
    let text = error.to_string();
    assert!(text.starts_with("call of `ask_friend` to `Fool` \"fool\" <0."), "{text}");
    Ok(())
}

#[purlin::test]
async fn the_future_of_a_call_can_be_kept_and_given_a_limit() -> Result<()> {
    fn patient<R>(call: impl Call<R>) -> impl Call<R> {
        call.timeout(millis(1)).infinity()
    }
    let fool = Fool::start(()).await?;
    assert_eq!(patient(fool.ask_friend()).await?, None);
    let call: CallFuture<'_, Fool, ByHand, u8> = fool.call(ByHand);
    assert_eq!(call.timeout(secs(5)).await?, 1);
    assert_eq!(fool.call(ByHand).infinity().await?, 1);
    Ok(())
}

#[purlin::test]
async fn a_client_method_can_be_sent_as_a_request_and_answered_later() -> Result<()> {
    let fool = Fool::start(()).await?;
    let mut requests = RequestIds::new();
    requests.add(fool.ask_friend().send_request(), "friend");
    requests.add(Fool::named("nobody").ask_friend().send_request(), "nobody");
    for _ in 0..2 {
        match requests.receive_response(secs(5)).await? {
            ("friend", answer) => assert_eq!(answer?, None),
            (_, answer) => assert!(answer.unwrap_err().is_no_proc()),
        }
    }
    assert_eq!(fool.send_request(ByHand).receive_response(secs(5)).await?, 1);
    Ok(())
}

struct ByHand;

impl HandleCall<ByHand> for Fool {
    type Reply = u8;
    async fn handle_call(&mut self, _: ByHand, _: &mut Cx<Self>) -> u8 {
        1
    }
}

#[purlin::test]
async fn the_end_of_the_server_is_told_at_once_with_its_reason() -> Result<()> {
    let fool = Fool::start(()).await?;
    let error = fool.crash().infinity().await.unwrap_err();
    assert_eq!(error.exit_reason().unwrap().panic_info().unwrap().message, "planned");
    let error = fool.crash().await.unwrap_err();
    assert!(error.is_no_proc(), "{error}");
    let error = Fool::named("nobody").crash().await.unwrap_err();
    assert!(error.queue_len().is_none());
    assert_eq!((error.kind(), error.pid(), error.name()), (&CallErrorKind::NoProc, None, Some("nobody")));
    Ok(())
}

#[purlin::test]
async fn a_dropped_call_is_told_at_once() -> Result<()> {
    let fool = Fool::start(()).await?;
    assert_eq!(fool.drop_the_call().infinity().await.unwrap_err().kind(), &CallErrorKind::NoReply);
    Ok(())
}

#[purlin::test]
async fn a_name_of_something_else_is_no_server() -> Result<()> {
    let other = idle();
    process::register("other", other.pid())?;
    assert_eq!(Fool::named("other").crash().await.unwrap_err().kind(), &CallErrorKind::WrongType);
    Ok(())
}

#[test]
fn without_a_node_a_name_finds_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { Fool::named("fool").crash().await }).unwrap_err();
    assert_eq!(error.kind(), &CallErrorKind::NoNode);
    assert!(error.to_string().contains("there is no current node"), "{error}");
}

#[purlin::test]
async fn servers_that_wait_for_each_other_are_told_the_ring() -> Result<()> {
    let (one, two) = (Fool::start(()).await?, Fool::start(()).await?);
    one.befriend(two.clone());
    two.befriend(one.clone());
    let Some(CallErrorKind::Deadlock(ring)) = one.ask_friend().infinity().await? else { panic!("no ring") };
    assert_eq!(ring, [two.pid(), one.pid()], "from the one that would have closed it");
    assert_eq!(one.ask_oneself().await?, Some(CallErrorKind::CallingSelf));
    Ok(())
}

#[purlin::test]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    in_process(async |mailbox: Mailbox<AnyMsg>| {
        let fool = Fool::start(()).await.unwrap();
        assert!(fool.wait_for_ever().timeout(millis(0)).await.is_err());
        process::exit(fool.pid(), ExitReason::Kill);
        process::wait(fool.pid()).await;
        assert!(mailbox.is_empty());
    })
    .await;
}
