//! Proves that a call is a request to be sent now and received later: `send_request` and its receivers are one future (G39 to G43).

mod common;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::lab::*;
use common::*;
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

/// Waits for a future for this long; it can be waited for again.
async fn within<F: Future + Unpin>(limit: Duration, future: &mut F) -> Option<F::Output> {
    let mut pause = Box::pin(process::sleep(limit));
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => pause.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[test]
fn g39_a_request_is_on_its_way_at_once_and_its_reply_can_be_taken_much_later() {
    in_simulation_on_every_path(|mut me| async move {
        let log = Log::default();
        let (first, second) = (Lab::start(Setup::logging(&log)).await.unwrap(), lab().await);
        let mut one = Box::pin(first.call(after(secs(1), 1)));
        let mut two = Box::pin(second.call(after(secs(2), 2)));
        assert!(poll_once(&mut one).await.is_none());
        assert!(poll_once(&mut two).await.is_none());
        // Other work; nobody looks at the requests, whose limit of five seconds passes after they were answered.
        assert_eq!(lab().await.call(Add(1)).await.unwrap(), 1);
        process::sleep(secs(60)).await;
        assert_eq!(log.all(), ["init", "answer 1"], "it was sent when it was looked at for the first time");
        assert_eq!(two.await.unwrap(), 2);
        assert_eq!(one.await.unwrap(), 1);
        nothing(&mut me);
    });
}

#[test]
fn g40_a_request_that_timed_out_is_abandoned_and_its_late_reply_dropped() {
    in_simulation_on_every_path(|mut me| async move {
        let server = lab().await;
        let dropped = Log::default();
        let note = DropNote(dropped.clone(), "late reply");
        let request = server.call(wait(move |_, _| {
            Box::pin(async move {
                process::sleep(secs(10)).await;
                note
            })
        }));
        assert!(request.timeout(secs(1)).await.is_err_and(|error| error.is_timeout()));
        assert_eq!(dropped.all(), [""; 0]);
        // A fresh request is answered by its own reply.
        assert_eq!(server.call(Add(3)).infinity().await.unwrap(), 3);
        process::sleep(secs(60)).await;
        assert_eq!(dropped.all(), ["late reply"]);
        nothing(&mut me);
        assert_eq!(Node::current().stats().timers, 0);
    });
}

#[test]
fn g41_waiting_for_a_reply_can_time_out_and_be_repeated() {
    in_simulation_on_every_path(|_| async move {
        let server = lab().await;
        let mut request = Box::pin(server.call(after(secs(10), 7)).infinity());
        // First it is looked at by somebody who need not be woken: whoever waits last is.
        assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        for waited in 1..=3 {
            assert!(within(secs(2), &mut request).await.is_none());
            assert_eq!(Node::current().now(), secs(2 * waited));
        }
        assert_eq!(request.await.unwrap(), 7);
        assert_eq!(Node::current().now(), secs(10));
    });
}

#[test]
fn g43_the_server_s_death_is_an_error_to_look_at_when_one_likes() {
    on_every_path(|mut me| async move {
        for reason in [ExitReason::custom("gone"), ExitReason::Normal] {
            let server = lab().await;
            let mut request = Box::pin(server.call(Hold).infinity());
            assert!(poll_once(&mut request).await.is_none());
            let _ = server.stop_with(reason.clone(), secs(50)).await;
            process::wait(server.pid()).await;
            // Nothing happens to the one who asked, who does not trap exits.
            nothing(&mut me);
            assert_eq!(request.await.unwrap_err().kind(), &CallErrorKind::Exit(reason));
        }
    });
}
