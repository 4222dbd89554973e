//! Proves that requests are sent at once and answered without a message, alone and in collections, to one node and to several (G39 to G53).

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::lab::*;
use common::*;
use purlin_core::gen_server::{abcast, multi_call};
use purlin_core::*;

/// A call that is answered after this time.
fn after(
    delay: Duration,
    answer: i64,
) -> Wait<impl for<'a> FnOnce(&'a mut Lab, &'a mut Cx<Lab>) -> Later<'a, i64>> {
    wait(move |lab, _| {
        Box::pin(async move {
            process::sleep(delay).await;
            lab.log.add(format!("answer {answer}"));
            answer
        })
    })
}

/// Has handled everything that was sent to it before.
async fn settled(server: &Ref<Lab>) {
    server.call(doing(|_, _| ())).infinity().await.unwrap();
}

#[test]
fn g39_a_request_is_sent_before_its_answer_is_asked_for() {
    on_every_path(|mut me| async move {
        let log = Log::default();
        let server = Lab::start(Setup::logging(&log)).await.unwrap();
        // In order with what else the caller sends, in front of it and behind it.
        server.cast(Tell("before"));
        let mut request = server.send_request(doing(|lab, _| {
            lab.log.add("request".to_owned());
            42
        }));
        server.cast(Tell("behind"));
        settled(&server).await;
        assert_eq!(log.all(), ["init", "before", "request", "behind"]);
        assert_eq!(request.check_response().unwrap().unwrap(), 42);
        assert!(request.check_response().is_none(), "an answer is given once");
        assert!(request.wait_response(Duration::MAX).await.is_none(), "and not waited for again");
        // A read is a request like any other.
        assert_eq!(server.send_request(Get).await.unwrap(), 0);
        assert_eq!(
            server.call(Add(3)).timeout(secs(1)).send_request().receive_response(secs(9)).await.unwrap(),
            3
        );
        nothing(&mut me);
    });
}

#[test]
fn g39_a_server_may_send_itself_a_request_and_takes_the_answer_later() {
    on_every_path(|_| async move {
        let server = lab().await;
        let mut request = server.call(doing(|_, cx| cx.this().send_request(Add(5)))).await.unwrap();
        settled(&server).await;
        assert_eq!(request.check_response().unwrap().unwrap(), 5);
    });
}

#[test]
fn g40_a_request_whose_answer_comes_too_late_is_abandoned() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        let dropped = Log::default();
        let note = DropNote(dropped.clone(), "late reply");
        let request = server.send_request(wait(move |_, _| {
            Box::pin(async move {
                process::sleep(secs(10)).await;
                note
            })
        }));
        let Err(error) = request.receive_response(secs(2)).await else { panic!("it answered") };
        assert!(error.is_timeout());
        assert_eq!((error.elapsed(), error.pid()), (secs(2), Some(server.pid())));
        assert!(error.to_string().contains("gen_server_send_request.rs"), "{error}");
        assert_eq!(Node::current().now(), secs(2));
        assert_eq!(dropped.all(), [""; 0]);
        settled(&server).await;
        assert_eq!(dropped.all(), ["late reply"]);
        nothing(&mut me);
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn g40_a_request_that_is_dropped_is_still_handled_and_leaves_nothing_behind() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        drop(server.send_request(Add(4)));
        let (waiting, held) = (server.send_request(Hold), server.send_request(Hold));
        drop(held);
        settled(&server).await;
        assert_eq!(server.call(Get).await.unwrap(), 4);
        drop(waiting);
        // Their handles find out when they are used.
        let replied = server.call(doing(|lab, _| {
            let given_up = lab.held.iter().map(ReplyTo::is_abandoned).collect::<Vec<_>>();
            lab.held.drain(..).for_each(|to| to.reply(1));
            given_up
        }));
        assert_eq!(replied.await.unwrap(), [true, true]);
        nothing(&mut me);
        assert_eq!(process::process_info(server.pid()).unwrap().message_queue_len, 0);
    });
}

#[test]
fn g41_waiting_for_the_answer_can_time_out_and_be_repeated() {
    in_simulation_on_every_path(|_| async move {
        let server = lab().await;
        let mut request = server.send_request(after(secs(10), 7));
        for waited in 1..=3 {
            assert!(request.wait_response(secs(2)).await.is_none());
            assert_eq!(Node::current().now(), secs(2 * waited));
        }
        assert_eq!(request.wait_response(secs(60)).await.unwrap().unwrap(), 7);
        assert_eq!(Node::current().now(), secs(10));
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn g42_checking_for_an_answer_takes_no_other_message_for_one() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        let mut request = server.send_request(Hold);
        settled(&server).await;
        process::send(me.pid(), 7i64);
        process::send(me.pid(), Note("not an answer"));
        assert!(request.check_response().is_none());
        server.call(doing(|lab, _| lab.held.remove(0).reply(8))).await.unwrap();
        assert_eq!(request.check_response().unwrap().unwrap(), 8);
        assert_eq!(next::<i64>(&mut me).await, 7);
        assert_eq!(next::<Note>(&mut me).await, Note("not an answer"));
        nothing(&mut me);
    });
}

#[test]
fn g43_a_server_that_dies_or_is_not_there_is_an_error_and_no_more() {
    on_every_path(|mut me| async move {
        for reason in [ExitReason::custom("gone"), ExitReason::Normal] {
            let server = lab().await;
            let request = server.send_request(Hold);
            settled(&server).await;
            let _ = server.stop_with(reason.clone(), secs(50)).await;
            assert_eq!(request.await.unwrap_err().kind(), &CallErrorKind::Exit(reason));
            let late = server.send_request(Get).await.unwrap_err();
            assert_eq!((late.kind(), late.pid()), (&CallErrorKind::NoProc, Some(server.pid())));
        }
        let nobody = Name::<Lab>::new("nobody").send_request(Get);
        let error = nobody.receive_response(secs(1)).await.unwrap_err();
        assert!(error.is_no_proc() && error.to_string().contains("\"nobody\""), "{error}");
        // One who lets go of the handle.
        let server = lab().await;
        let request = server.send_request(HandOut(drop));
        assert_eq!(request.await.unwrap_err().kind(), &CallErrorKind::NoReply);
        nothing(&mut me);
    });
}

#[test]
fn g43_a_full_mailbox_is_an_error_whatever_its_policy_for_calls() {
    on_every_path(|_| async move {
        for overflow in [Overflow::Wait, Overflow::Reject] {
            let server = Lab::start(Setup::default()).mailbox(MailboxBound::new(1, overflow)).await.unwrap();
            sys::suspend(server.pid()).await.unwrap();
            let first = server.send_request(Add(1));
            let second = server.send_request(Add(10));
            assert_eq!(second.await.unwrap_err().kind(), &CallErrorKind::MailboxFull);
            sys::resume(server.pid()).await.unwrap();
            assert_eq!(first.await.unwrap(), 1);
            server.stop().await.unwrap();
        }
    });
}

#[test]
fn g45_a_collection_gives_answers_in_the_order_of_their_arrival_with_their_labels() {
    on_every_path(|mut me| async move {
        let server = lab().await;
        let mut requests = RequestIds::new();
        assert_eq!(requests.wait_response(secs(1)).await.unwrap_err(), NoResponse::NoRequest);
        for label in ["a", "b", "c", "d"] {
            requests.add(server.send_request(Hold), label);
        }
        settled(&server).await;
        assert_eq!(requests.check_response().unwrap_err(), NoResponse::NotYet);
        assert_eq!(requests.labels().copied().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        let answer =
            |index: usize, value: i64| server.call(doing(move |lab, _| lab.held.remove(index).reply(value)));
        // Held are a, b, c, d: c is answered first, then a, then d.
        answer(2, 30).await.unwrap();
        answer(0, 10).await.unwrap();
        answer(1, 40).await.unwrap();
        let (label, reply) = requests.check_response().unwrap();
        assert_eq!((label, reply.unwrap()), ("c", 30));
        let (label, reply) = requests.wait_response(secs(1)).await.unwrap();
        assert_eq!((label, reply.unwrap()), ("a", 10));
        assert_eq!(requests.len(), 2);
        // One whose answer is there already comes after those that were there before.
        let mut known = server.send_request(Get);
        settled(&server).await;
        assert!(known.wait_response(Duration::ZERO).await.is_some());
        requests.add(Name::<Lab>::new("nobody").send_request(Hold), "nobody");
        let (label, reply) = requests.receive_response(secs(1)).await.unwrap();
        assert_eq!((label, reply.unwrap()), ("d", 40));
        let (label, reply) = requests.receive_response(secs(1)).await.unwrap();
        assert!(label == "nobody" && reply.unwrap_err().is_no_proc());
        // The server's end is an answer, too.
        server.stop().await.unwrap();
        let (label, reply) = requests.receive_response(secs(1)).await.unwrap();
        assert_eq!((label, reply.unwrap_err().exit_reason()), ("b", Some(&ExitReason::Normal)));
        assert_eq!(requests.receive_response(secs(1)).await.unwrap_err(), NoResponse::NoRequest);
        assert!(requests.is_empty());
        nothing(&mut me);
    });
}

#[test]
fn g45_a_collection_that_waited_too_long_may_wait_again_or_gives_all_requests_up() {
    in_simulation_on_every_path(|_| async move {
        let servers = [lab().await, lab().await];
        let mut requests = RequestIds::new();
        requests.add(servers[0].send_request(after(secs(3), 1)), 1);
        requests.add(servers[1].send_request(after(secs(9), 2)), 2);
        assert_eq!(requests.wait_response(secs(2)).await.unwrap_err(), NoResponse::NotYet);
        assert_eq!(Node::current().now(), secs(2));
        let (label, reply) = requests.wait_response(secs(2)).await.unwrap();
        assert_eq!((label, reply.unwrap(), Node::current().now()), (1, 1, secs(3)));
        assert_eq!(requests.receive_response(secs(2)).await.unwrap_err(), NoResponse::NotYet);
        assert_eq!((requests.len(), Node::current().now()), (0, secs(5)));
        assert_eq!(requests.receive_response(secs(2)).await.unwrap_err(), NoResponse::NoRequest);
        // Its late answer meets nobody, and a new collection has only its own.
        requests.add(servers[1].send_request(after(secs(9), 3)), 3);
        let (label, reply) = requests.receive_response(secs(60)).await.unwrap();
        assert_eq!((label, reply.unwrap()), (3, 3));
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn g45_ten_thousand_answers_are_taken_one_by_one_and_none_is_lost() {
    on_real_runtimes(|_| async move {
        let servers = [lab().await, lab().await, lab().await];
        let mut requests = RequestIds::new();
        let mut taken = BTreeSet::new();
        for n in 0..10_000usize {
            let request = servers[n % 3].send_request(doing(move |_, _| n));
            requests.add(request, n);
            // Some are taken while others are sent.
            if n % 5 == 0
                && let Ok((label, reply)) = requests.check_response()
            {
                assert_eq!(reply.unwrap(), label);
                assert!(taken.insert(label));
            }
        }
        while let Ok((label, reply)) = requests.receive_response(secs(30)).await {
            assert_eq!(reply.unwrap(), label);
            assert!(taken.insert(label));
        }
        assert_eq!(taken.len(), 10_000);
    });
}

const LAB: Name<Lab> = Name::new("lab");

#[derive(Clone)]
struct Value;

impl HandleCall<Value> for Lab {
    type Reply = i64;

    async fn handle_call(&mut self, _: Value, _: &mut Cx<Self>) -> i64 {
        self.value
    }
}

/// Two more nodes, with a server each under the same name; none is on the test's own.
async fn two_nodes() -> ([Node; 2], [Ref<Lab>; 2]) {
    let make = |name: &str| Node::builder().name(name).backtraces(false).stderr_reports(false).start();
    let nodes = [make("one"), make("two")];
    let one = Lab::start(Setup { value: 1, ..Setup::default() }).name(&LAB).node(&nodes[0]).await.unwrap();
    let two = Lab::start(Setup { value: 2, ..Setup::default() }).name(&LAB).node(&nodes[1]).await.unwrap();
    (nodes, [one, two])
}

#[test]
fn g52_abcast_reaches_the_servers_of_a_name_on_all_nodes_and_ignores_where_there_is_none() {
    on_real_runtimes(|_| async move {
        let (nodes, servers) = two_nodes().await;
        let all = [&nodes[0], &Node::current(), &nodes[1]];
        abcast(all, &LAB, Tell("to all"));
        abcast(&nodes[..1], &LAB, Tell("to one"));
        for (server, expected) in servers.iter().zip([&["init", "to all", "to one"][..], &["init", "to all"]])
        {
            let seen = server.call(looking(|lab, _| lab.log.all())).await.unwrap();
            assert_eq!(seen, expected);
        }
        for node in nodes {
            node.shutdown().await;
        }
    });
}

#[test]
fn g53_multi_call_returns_replies_by_node_and_the_nodes_that_have_none() {
    on_real_runtimes(|mut me| async move {
        let (nodes, servers) = two_nodes().await;
        let here = Node::current();
        let all = [&nodes[0], &here, &nodes[1]];
        let mut answers = multi_call(all, &LAB, Value).await;
        answers.replies.sort_unstable();
        assert_eq!(answers.replies, [("one".to_owned(), 1), ("two".to_owned(), 2)]);
        let [(node, error)] = &answers.bad_nodes[..] else { panic!("{:?}", answers.bad_nodes) };
        assert!(node == here.name() && error.is_no_proc() && error.name() == Some("lab"));
        // One that does not answer in time, and one that ends.
        sys::suspend(servers[0].pid()).await.unwrap();
        let call = multi_call(&nodes, &LAB, Value).timeout(millis(20));
        servers[1].stop().await.unwrap();
        let answers = call.await;
        assert!(answers.replies.len() <= 1);
        assert!(answers.bad_nodes.iter().any(|(node, error)| node == "one" && error.is_timeout()));
        sys::resume(servers[0].pid()).await.unwrap();
        let answers = multi_call(&nodes, &LAB, Value).infinity().await;
        assert_eq!(answers.replies, [("one".to_owned(), 1)]);
        assert!(answers.bad_nodes[0].0 == "two" && answers.bad_nodes[0].1.is_no_proc());
        nothing(&mut me);
        for node in nodes {
            node.shutdown().await;
        }
    });
}

#[test]
fn g53_the_limit_of_a_multi_call_is_one_for_all_answers() {
    for seed in 0..20 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let world = sim::World::new(sim::Settings { seed, ..sim::Settings::default() });
        runtime.block_on(async {
            let nodes = ["a", "b", "c"].map(|name| {
                Node::builder()
                    .name(name)
                    .simulated_in(&world)
                    .backtraces(false)
                    .stderr_reports(false)
                    .start()
            });
            for (node, n) in nodes.iter().zip([2, 4, 9]) {
                let server = Lab::start(Setup::default()).name(&LAB).node(node).await.unwrap();
                server.cast(cast_waiting(move |_, _| Box::pin(process::sleep(secs(n)))));
            }
            let calling = nodes[0].scope(async {
                let me = process::spawn(async |mut mailbox: Mailbox<Vec<Node>>| {
                    let nodes = mailbox.receive().await;
                    let begin = Node::current().now();
                    let answers = multi_call(&nodes, &LAB, Value).timeout(secs(5)).await;
                    assert_eq!(Node::current().now() - begin, secs(5));
                    let replied: Vec<&str> = answers.replies.iter().map(|(node, _)| node.as_str()).collect();
                    assert_eq!(replied, ["a", "b"], "in the order of arrival");
                    let [(late, error)] = &answers.bad_nodes[..] else { panic!("{:?}", answers.bad_nodes) };
                    assert!(late == "c" && error.is_timeout());
                });
                me.send(nodes.to_vec());
                me.wait().await
            });
            assert_eq!(calling.await, ExitReason::Normal);
            for node in nodes {
                node.shutdown().await;
            }
        });
    }
}
