//! PubSub: who has subscribed gets each message once per subscription, in order, and nobody else gets anything.

mod common;

use std::sync::{Arc, Mutex, OnceLock};

use common::*;
use purlin_core::pubsub::{Adapter, PubSubError};
use purlin_core::*;

#[derive(Clone, Debug, PartialEq)]
struct News(u32);

static NEWS: PubSub<News> = PubSub::named("news");

/// Writes down what it hears, and does as it is told.
struct Listener(Vec<u32>);

impl GenServer for Listener {
    type Args = Vec<&'static str>;
    async fn init(topics: Vec<&'static str>, cx: &mut Cx<Self>) -> Result<Self, InitError> {
        let news = news();
        for topic in topics {
            news.subscribe(cx, topic)?;
        }
        Ok(Listener(Vec::new()))
    }
}

impl HandleInfo<News> for Listener {
    async fn handle_info(&mut self, News(n): News, _: &mut Cx<Self>) {
        self.0.push(n);
    }
}

struct Heard;
impl HandleCall<Heard> for Listener {
    type Reply = Vec<u32>;
    async fn handle_call(&mut self, _: Heard, _: &mut Cx<Self>) -> Vec<u32> {
        std::mem::take(&mut self.0)
    }
}

struct Unsubscribe(&'static str);
impl HandleCall<Unsubscribe> for Listener {
    type Reply = ();
    async fn handle_call(&mut self, Unsubscribe(topic): Unsubscribe, _: &mut Cx<Self>) {
        news().unsubscribe(topic).unwrap();
    }
}

/// By name, as each test has its own node; a static handle would remember another test's.
fn news() -> PubSub<News> {
    PubSub::named("news")
}

async fn heard(listener: &Ref<Listener>) -> Vec<u32> {
    listener.call(Heard).await.unwrap()
}

#[test]
fn a_broadcast_reaches_all_subscribers_of_its_topic_and_nobody_else() {
    on_every_path(|mut me| async move {
        let news = PubSub::<News>::new("news").start_link().await.unwrap();
        let one = Listener::start(vec!["a"]).await.unwrap();
        let both = Listener::start(vec!["a", "b"]).await.unwrap();
        let none = Listener::start(vec![]).await.unwrap();
        news.subscribe(&me, "b").unwrap();
        news.broadcast("a", News(1)).unwrap();
        news.broadcast("b", News(2)).unwrap();
        news.broadcast("c", News(3)).unwrap();
        assert_eq!(heard(&one).await, [1]);
        assert_eq!(heard(&both).await, [1, 2]);
        assert_eq!(heard(&none).await, []);
        assert_eq!(next::<News>(&mut me).await, News(2));
        nothing(&mut me);
        let pids: Vec<_> = news.subscribers("b").unwrap().into_iter().map(|(pid, ())| pid).collect();
        assert_eq!(pids, [both.pid(), me.pid()]);
    });
}

#[test]
fn broadcasts_of_one_process_arrive_in_order_with_what_else_it_sends() {
    on_every_path(|_| async move {
        let news = PubSub::<News>::new("news").partitions(3).start_link().await.unwrap();
        let listener = Listener::start(vec!["a", "b"]).await.unwrap();
        for n in 0..10 {
            news.broadcast(if n % 2 == 0 { "a" } else { "b" }, News(3 * n)).unwrap();
            listener.send(News(3 * n + 1));
            news.local_broadcast("a", News(3 * n + 2)).unwrap();
        }
        assert_eq!(heard(&listener).await, (0..30).collect::<Vec<_>>());
    });
}

#[test]
fn who_subscribes_twice_hears_twice_until_it_unsubscribes_once() {
    on_every_path(|_| async move {
        let news = PubSub::<News>::new("news").start_link().await.unwrap();
        let listener = Listener::start(vec!["a", "a", "b"]).await.unwrap();
        news.broadcast("a", News(1)).unwrap();
        assert_eq!(heard(&listener).await, [1, 1]);
        listener.call(Unsubscribe("a")).await.unwrap();
        listener.call(Unsubscribe("never")).await.unwrap();
        news.broadcast("a", News(2)).unwrap();
        news.broadcast("b", News(3)).unwrap();
        assert_eq!(heard(&listener).await, [3]);
    });
}

#[test]
fn broadcast_from_leaves_one_process_out() {
    everywhere(|mut me| async move {
        let news = PubSub::<News>::new("news").start_link().await.unwrap();
        let listener = Listener::start(vec!["a"]).await.unwrap();
        news.subscribe(&me, "a").unwrap();
        news.broadcast_from(me.pid(), "a", News(1)).unwrap();
        news.local_broadcast_from(listener.pid(), "a", News(2)).unwrap();
        assert_eq!(heard(&listener).await, [1]);
        assert_eq!(next::<News>(&mut me).await, News(2));
        nothing(&mut me);
    });
}

#[test]
fn a_subscriber_that_must_end_is_gone_before_anybody_hears_of_it() {
    on_every_path(|mut me| async move {
        let news = PubSub::<News>::new("news").start_link().await.unwrap();
        let listeners: Vec<_> = {
            let mut all = Vec::new();
            for _ in 0..3 {
                all.push(Listener::start(vec!["a", "b"]).await.unwrap());
            }
            all
        };
        let monitor = me.monitor(listeners[1].pid());
        process::exit(listeners[1].pid(), ExitReason::Kill);
        let left: Vec<_> = [0, 2].map(|n| (listeners[n].pid(), ())).to_vec();
        assert!(!process::is_alive(listeners[1].pid()));
        assert_eq!(news.subscribers("a").unwrap(), left);
        down(&mut me, monitor).await;
        assert_eq!(news.subscribers("b").unwrap(), left);
        news.broadcast("a", News(1)).unwrap();
        assert_eq!((heard(&listeners[0]).await, heard(&listeners[2]).await), (vec![1], vec![1]));
    });
}

#[test]
fn a_broadcast_reaches_any_number_of_subscribers_once() {
    let run_with = |count: usize| {
        run(Run::Simulated { seed: count as u64, path: CallPath::Adaptive }, move |mut me| async move {
            let news = PubSub::<News>::new("news").start_link().await.unwrap();
            let log = Log::default();
            let mut monitors = Vec::new();
            for n in 0..count {
                let (news, log) = (news.clone(), log.clone());
                let (tell, told) = tokio::sync::oneshot::channel();
                let (_, monitor) = process::spawn_monitor(async move |mut mailbox: Mailbox<News>| {
                    news.subscribe(&mailbox, "a").unwrap();
                    let _ = tell.send(());
                    while mailbox.receive().await.0 == 1 {
                        log.add(n);
                    }
                });
                told.await.unwrap();
                monitors.push(monitor);
            }
            news.broadcast_from(me.pid(), "a", News(1)).unwrap();
            news.broadcast("a", News(2)).unwrap();
            for monitor in monitors {
                assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
            }
            assert!(news.subscribers("a").unwrap().is_empty());
            let mut all = log.all();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        });
    };
    for count in [1, 2, 3, 64, 200] {
        run_with(count);
    }
}

#[test]
fn who_subscribes_while_a_broadcast_is_under_way_does_not_get_it() {
    everywhere(|mut me| async move {
        // A message whose clone subscribes: the clones are made by who broadcasts, outside the lock.
        struct Sly(Arc<dyn Fn() + Send + Sync>);
        impl Clone for Sly {
            fn clone(&self) -> Self {
                (self.0)();
                Sly(self.0.clone())
            }
        }
        let sly = PubSub::<Sly>::new("sly").start_link().await.unwrap();
        // A long list, with room behind the place where the broadcast is.
        for _ in 0..64 {
            sly.subscribe(&me, "a").unwrap();
        }
        let log = Log::default();
        let late = {
            let (sly, log) = (sly.clone(), log.clone());
            process::spawn(async move |mut mailbox: Mailbox<AnyMsg>| {
                mailbox.receive_as::<()>().await;
                let noted = log.clone();
                let again = sly.clone();
                let inner = Mutex::new(Some(mailbox));
                // In this process: subscribes itself, once, in the middle of its own broadcast.
                let subscribe = move || {
                    if let Some(mailbox) = inner.lock().unwrap().take() {
                        again.subscribe(&mailbox, "a").unwrap();
                        noted.add("subscribed");
                        std::mem::forget(mailbox);
                    }
                };
                sly.broadcast("a", Sly(Arc::new(subscribe))).unwrap();
                log.add("done");
                let pids = sly.subscribers("a").unwrap();
                assert_eq!(pids.len(), 65);
                let me = process::self_pid().unwrap();
                assert_eq!(process::process_info(me).unwrap().message_queue_len, 0);
            })
        };
        late.send(());
        for _ in 0..64 {
            drop(next::<Sly>(&mut me).await);
        }
        ended_normally(&mut me, late.pid()).await;
        assert_eq!(log.all(), ["subscribed", "done"]);
    });
}

#[test]
fn who_stays_hears_everything_while_others_come_and_go() {
    everywhere(|mut me| async move {
        let news = PubSub::<News, Arc<()>>::new("news").start_link().await.unwrap();
        let metadata = Arc::new(());
        news.subscribe_with(&me, "a", metadata.clone()).unwrap();
        let mut monitors = Vec::new();
        for n in 0..3 {
            let (news, metadata) = (news.clone(), metadata.clone());
            let (_, monitor) = process::spawn_monitor(async move |mailbox: Mailbox<News>| {
                for _ in 0..30 {
                    for _ in 0..=n {
                        news.subscribe_with(&mailbox, "a", metadata.clone()).unwrap();
                    }
                    process::yield_now().await;
                    if n > 0 {
                        news.unsubscribe("a").unwrap();
                    }
                }
                // What is left of its subscriptions goes with it.
            });
            monitors.push(monitor);
        }
        let (sender, monitor) = {
            let news = news.clone();
            process::spawn_monitor(async move |_: Mailbox<()>| {
                for n in 0..100 {
                    news.broadcast("a", News(n)).unwrap();
                    process::yield_now().await;
                }
            })
        };
        for n in 0..100 {
            assert_eq!(me.receive_as::<News>().await, News(n));
        }
        monitors.push(monitor);
        for monitor in monitors {
            assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Normal);
        }
        assert!(!sender.is_alive());
        assert_eq!(news.subscribers("a").unwrap().len(), 1);
        news.unsubscribe("a").unwrap();
        assert_eq!(Arc::strong_count(&metadata), 1);
        assert!(me.try_receive().is_none());
    });
}

#[test]
fn a_message_in_an_arc_is_one_for_everybody() {
    everywhere(|mut me| async move {
        let news = PubSub::<Arc<u64>>::new("shared").start_link().await.unwrap();
        for _ in 0..3 {
            news.subscribe(&me, "a").unwrap();
        }
        let message = Arc::new(7);
        news.broadcast("a", message.clone()).unwrap();
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&message, &next::<Arc<u64>>(&mut me).await));
        }
        assert_eq!(Arc::strong_count(&message), 1);
    });
}

#[test]
fn the_dispatcher_decides_by_the_metadata_what_a_subscriber_gets() {
    everywhere(|mut me| async move {
        let scaled = |News(n): &News, factor: &u32| (*factor > 0).then_some(News(n * factor));
        let news = PubSub::<News, u32>::new("news").dispatcher(scaled).start_link().await.unwrap();
        for factor in [2, 0, 5] {
            news.subscribe_with(&me, "a", factor).unwrap();
        }
        news.broadcast("a", News(10)).unwrap();
        assert_eq!(next::<News>(&mut me).await, News(20));
        assert_eq!(next::<News>(&mut me).await, News(50));
        nothing(&mut me);
        let pid = me.pid();
        assert_eq!(news.subscribers("a").unwrap(), [(pid, 2), (pid, 0), (pid, 5)]);
        // A handle found by name knows the dispatcher too.
        PubSub::<News, u32>::named("news").local_broadcast("a", News(1)).unwrap();
        assert_eq!(next::<News>(&mut me).await, News(2));
    });
}

#[test]
fn a_full_mailbox_loses_a_broadcast_and_that_is_counted() {
    everywhere(|me| async move {
        let news = PubSub::<News>::new("news").start_link().await.unwrap();
        let bound = MailboxBound::new(1, Overflow::Reject);
        let listener = Listener::start(vec!["a"]).mailbox(bound).await.unwrap();
        sys::suspend(listener.pid()).await.unwrap();
        for n in 1..=3 {
            news.broadcast("a", News(n)).unwrap();
        }
        assert_eq!(Node::current().stats().dropped, 2);
        sys::resume(listener.pid()).await.unwrap();
        assert_eq!(sys::inspect_state(&listener, |l| l.0.clone()).await.unwrap(), [1]);
        drop(me);
    });
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    everywhere(|me| async move {
        let unknown = PubSubError::Unknown { name: "news".to_owned() };
        assert_eq!(news().broadcast("a", News(1)), Err(unknown.clone()));
        assert_eq!(news().subscribe(&me, "a"), Err(unknown.clone()));
        assert!(unknown.to_string().contains("no PubSub \"news\" is running"), "{unknown}");

        let builder = PubSub::<News>::new("news");
        let early = builder.handle();
        assert_eq!(early.subscribers("a"), Err(unknown.clone()));
        let running = builder.start().await.unwrap();
        assert_eq!(early.subscribers("a"), Ok(vec![]));

        let other = PubSub::<String>::named("news").broadcast("a", String::new()).unwrap_err();
        assert!(matches!(&other, PubSubError::WrongType { name, .. } if name == "news"), "{other}");
        let taken = PubSub::<String>::new("news").start().await.unwrap_err();
        assert!(matches!(taken, StartError::AlreadyStarted(_)), "{taken}");

        // Another process's handle: the subscription would be for messages that the caller does not take.
        let me = Arc::new(Mutex::new(me));
        let (lent, theirs) = (me.clone(), running.clone());
        let borrower = process::spawn(async move |_: Mailbox<()>| {
            assert_eq!(theirs.subscribe(&*lent.lock().unwrap(), "a"), Err(PubSubError::NoProcess));
        });
        borrower.wait().await;
        assert_eq!(running.subscribers("a"), Ok(vec![]));
        let nowhere = running.direct_broadcast("elsewhere", "a", News(1));
        assert_eq!(nowhere, Err(PubSubError::NoConnection { node: "elsewhere".to_owned() }));
    });
}

#[test]
fn code_outside_processes_broadcasts_and_cannot_unsubscribe() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let node = builder.start();
        node.scope(async {
            PubSub::<News>::new("news").start().await.unwrap();
            let listener = Listener::start(vec!["a"]).await.unwrap();
            NEWS.broadcast("a", News(4)).unwrap();
            assert_eq!(heard(&listener).await, [4]);
            assert_eq!(NEWS.unsubscribe("a"), Err(PubSubError::NoProcess));
        })
        .await;
        node.shutdown().await;
    });
}

#[test]
fn subscribers_end_with_a_pubsub_that_crashes_and_come_back_with_it() {
    everywhere(|mut me| async move {
        // Which of the two ends reaches the supervisor first is open; a listener that is started before the PubSub is tried again.
        let root = Supervisor::rest_for_one()
            .max_restarts(1000, secs(5))
            .child(PubSub::<News>::new("news"))
            .child(Listener::child_spec(vec!["a"]).name("listener"))
            .start_link()
            .await
            .unwrap();
        // Nobody's child ends by the bond alone.
        let first = Listener::start(vec!["a"]).await.unwrap();
        let monitor = me.monitor(first.pid());
        process::exit(process::whereis("news").unwrap(), ExitReason::Kill);
        assert_eq!(down(&mut me, monitor).await.reason, ExitReason::Killed);
        let listener = Listener::named("listener");
        let heard = loop {
            // A listener that is about to end again is no answer.
            if news().subscribers("a").is_ok_and(|all| !all.is_empty()) {
                news().broadcast("a", News(5)).unwrap();
                if let Ok(heard) = listener.call(Heard).await {
                    break heard;
                }
            }
            process::yield_now().await;
        };
        assert_eq!(heard, [5]);
        root.stop().await.unwrap();
    });
}

/// Carries messages to a PubSub of another node in this program.
struct Wire {
    there: Arc<OnceLock<(Node, PubSub<News>)>>,
    broken: bool,
}

impl Adapter<News> for Wire {
    fn broadcast(&self, topic: &str, message: &News) -> Result<(), PubSubError> {
        let Some((node, pubsub)) = self.there.get().filter(|_| !self.broken) else {
            return Err(PubSubError::NoConnection { node: "there".to_owned() });
        };
        let _entered = node.enter();
        pubsub.local_broadcast(topic, message.clone())
    }

    fn direct_broadcast(&self, node: &str, topic: &str, message: &News) -> Result<(), PubSubError> {
        match node {
            "there" => self.broadcast(topic, message),
            _ => Err(PubSubError::NoConnection { node: node.to_owned() }),
        }
    }
}

#[test]
fn with_an_adapter_a_broadcast_reaches_other_nodes_and_a_local_one_does_not() {
    let (runtime, builder) = prepare(Run::Real { workers: 1, path: CallPath::Adaptive });
    runtime.block_on(async {
        let (here, there) = (builder.name("here").start(), Node::builder().name("there").start());
        let wire = Arc::new(OnceLock::new());
        let far = there
            .scope(async {
                let pubsub = PubSub::<News>::new("news").start().await.unwrap();
                assert!(wire.set((there.clone(), pubsub)).is_ok());
                Listener::start(vec!["a"]).await.unwrap()
            })
            .await;
        let near = here
            .scope(async {
                let adapter = Wire { there: wire.clone(), broken: false };
                let news = PubSub::<News>::new("news").adapter(adapter).start().await.unwrap();
                let near = Listener::start(vec!["a"]).await.unwrap();
                news.broadcast("a", News(1)).unwrap();
                news.broadcast_from(near.pid(), "a", News(2)).unwrap();
                news.local_broadcast("a", News(3)).unwrap();
                news.direct_broadcast("there", "a", News(4)).unwrap();
                news.direct_broadcast("here", "a", News(5)).unwrap();
                let gone = news.direct_broadcast("nowhere", "a", News(6));
                assert_eq!(gone, Err(PubSubError::NoConnection { node: "nowhere".to_owned() }));
                near
            })
            .await;
        assert_eq!(here.scope(heard(&near)).await, [1, 3, 5]);
        assert_eq!(there.scope(heard(&far)).await, [1, 2, 4]);
        here.shutdown().await;
        there.shutdown().await;
    });
}

#[test]
fn a_broadcast_that_the_adapter_refuses_reaches_nobody() {
    everywhere(|me| async move {
        let adapter = Wire { there: Arc::default(), broken: true };
        let news = PubSub::<News>::new("news").adapter(adapter).start_link().await.unwrap();
        news.subscribe(&me, "a").unwrap();
        let refused = news.broadcast("a", News(1));
        assert_eq!(refused, Err(PubSubError::NoConnection { node: "there".to_owned() }));
        assert!(me.is_empty());
    });
}

#[test]
fn a_subscription_that_another_process_has_taken_out_and_registered_delivers_nothing() {
    everywhere(async |mut me| {
        PubSub::<News>::new("news").start_link().await.unwrap();
        let listener = Listener::start(vec!["all"]).await.unwrap();
        // What lies under a PubSub is a registry, which can be used like any other.
        let entries = Registry::<Arc<str>, purlin_core::pubsub::Subscription<News, ()>>::named("news");
        let (_, subscription) = entries.lookup("all").unwrap().into_iter().next().unwrap();
        entries.register(Arc::from("mine"), subscription).unwrap();
        news().broadcast("mine", News(1)).unwrap();
        news().broadcast("all", News(2)).unwrap();
        assert_eq!(heard(&listener).await, [2]);
        process::send(me.pid(), ());
        assert!(me.receive().await.is::<()>(), "what was packed for a server must not come here");
    });
}
