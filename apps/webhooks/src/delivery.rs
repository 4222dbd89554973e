//! One attempt to deliver one event over HTTP. Knows nothing of queues or retries.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use axum::http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::event::Delivery;
use crate::signature::{self, ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER};

/// Header with the event's kind.
pub(crate) const KIND_HEADER: &str = "webhook-event";
/// Header with the number of the attempt, from 1.
pub(crate) const ATTEMPT_HEADER: &str = "webhook-attempt";

/// A pooled HTTP client; clones share the pool.
pub(crate) type HttpClient = legacy::Client<HttpConnector, Full<Bytes>>;

/// A client that keeps idle connections for 30 seconds.
pub(crate) fn http_client() -> HttpClient {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .build_http()
}

/// Where deliveries of one endpoint go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `http://…`
    pub(crate) url: Uri,
    /// Key of the signature.
    pub(crate) secret: Secret,
    /// Longest wait for the answer's headers, connecting included.
    pub(crate) timeout: Duration,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver answered 2xx: it has taken the delivery over.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// The receiver answered something else; redirects are not followed.
    Refused {
        /// The answer's status.
        status: u16,
        /// The wait that it asked for (`Retry-After` in seconds), if any.
        retry_after: Option<Duration>,
    },
    /// No connection could be made.
    ConnectFailed(String),
    /// The connection broke before the answer: whether the receiver has the delivery is unknown.
    ConnectionLost(String),
    /// No answer within this time: whether the receiver has the delivery is unknown.
    TimedOut(Duration),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Delivered { status } => write!(f, "delivered (status {status})"),
            Outcome::Refused { status, .. } => write!(f, "the receiver answered with status {status}"),
            Outcome::ConnectFailed(why) => write!(f, "no connection: {why}"),
            Outcome::ConnectionLost(why) => write!(f, "the connection broke before the answer: {why}"),
            Outcome::TimedOut(after) => write!(f, "no answer within {after:?}"),
        }
    }
}

/// Tries once; `attempt` counts from 1. Dropping the future closes the connection.
pub(crate) async fn attempt(
    client: &HttpClient,
    target: &Target,
    delivery: &Delivery,
    attempt: u32,
) -> Outcome {
    let request = request(target, delivery, attempt, unix_seconds());
    match tokio::time::timeout(target.timeout, client.request(request)).await {
        Ok(Ok(response)) => {
            let outcome = judge(response.status().as_u16(), response.headers());
            drain(response).await;
            outcome
        },
        Ok(Err(error)) if error.is_connect() => Outcome::ConnectFailed(innermost(&error)),
        Ok(Err(error)) => Outcome::ConnectionLost(innermost(&error)),
        Err(_elapsed) => Outcome::TimedOut(target.timeout),
    }
}

/// Seconds since the Unix epoch; 0 if the clock is set before it.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn request(target: &Target, delivery: &Delivery, attempt: u32, now: u64) -> Request<Full<Bytes>> {
    let body = delivery.event.payload.clone();
    Request::post(target.url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("purlin-webhooks/", env!("CARGO_PKG_VERSION")))
        .header(ID_HEADER, &*delivery.id)
        .header(TIMESTAMP_HEADER, now)
        .header(SIGNATURE_HEADER, signature::sign(&target.secret, &delivery.id, now, &body))
        .header(KIND_HEADER, &delivery.event.kind)
        .header(ATTEMPT_HEADER, attempt)
        .body(Full::new(body))
        .expect("url, kind and ids were validated on their way in")
}

fn judge(status: u16, headers: &HeaderMap) -> Outcome {
    if (200..300).contains(&status) {
        return Outcome::Delivered { status };
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Outcome::Refused { status, retry_after: seconds.map(Duration::from_secs) }
}

/// Reads a short answer to its end, so that the connection can be used again; a long or slow one is not worth
/// it.
async fn drain(response: Response<Incoming>) {
    const ENOUGH_BYTES: usize = 16 * 1024;
    const ENOUGH_TIME: Duration = Duration::from_millis(200);
    let mut body = response.into_body();
    let read = async {
        let mut bytes = 0;
        while bytes <= ENOUGH_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Either way the verdict stands; an unread rest only costs the connection.
    let _ = tokio::time::timeout(ENOUGH_TIME, read).await;
}

/// The innermost cause: what the operating system or the protocol said.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::event::Event;

    fn delivery() -> Delivery {
        let mut rng = fastrand::Rng::with_seed(1);
        let event = Arc::new(Event::new("push".into(), Bytes::from_static(b"{\"a\": 1}"), &mut rng));
        Delivery::new(event, Instant::now(), None, &mut rng)
    }

    fn target(address: std::net::SocketAddr, timeout: Duration) -> Target {
        let secret = Secret::for_demonstration(&mut fastrand::Rng::with_seed(2));
        Target { url: format!("http://{address}/hook").parse().unwrap(), secret, timeout }
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Answers one request with `answer` and gives back what was asked; with no answer it closes the
    /// connection.
    async fn against(answer: Option<&'static str>) -> (Outcome, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = target(listener.local_addr().unwrap(), Duration::from_secs(20));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.unwrap();
            if let Some(answer) = answer {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let outcome = attempt(&http_client(), &target, &delivery(), 3).await;
        (outcome, server.await.unwrap())
    }

    #[test]
    fn a_2xx_answer_means_delivered_and_the_request_carries_id_kind_attempt_and_signature() {
        let (outcome, asked) = run(against(Some("HTTP/1.1 204 No Content\r\n\r\n")));
        assert_eq!(outcome, Outcome::Delivered { status: 204 });
        assert!(asked.starts_with("POST /hook HTTP/1.1\r\n"), "{asked}");
        for part in [
            "webhook-id: dlv_",
            "webhook-event: push\r\n",
            "webhook-attempt: 3\r\n",
            "webhook-signature: v1,",
        ] {
            assert!(asked.contains(part), "no `{part}` in {asked}");
        }
    }

    #[test]
    fn any_other_status_is_a_refusal_and_retry_after_is_read() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let (outcome, _) = run(against(Some(answer)));
        assert_eq!(outcome, Outcome::Refused { status: 503, retry_after: Some(Duration::from_secs(7)) });
        let answer = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(run(against(Some(answer))).0, Outcome::Refused { status: 302, retry_after: None });
    }

    #[test]
    fn a_connection_closed_before_the_answer_is_lost() {
        assert!(matches!(run(against(None)).0, Outcome::ConnectionLost(_)));
    }

    #[test]
    fn a_port_where_nobody_listens_is_a_failed_connection() {
        let outcome = run(async {
            let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            attempt(&http_client(), &target(unused, Duration::from_secs(20)), &delivery(), 1).await
        });
        assert!(matches!(outcome, Outcome::ConnectFailed(_)), "{outcome}");
    }

    #[test]
    fn a_receiver_that_never_answers_runs_into_the_timeout() {
        let outcome = run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let wait = Duration::from_millis(20);
            attempt(&http_client(), &target(listener.local_addr().unwrap(), wait), &delivery(), 1).await
        });
        assert_eq!(outcome, Outcome::TimedOut(Duration::from_millis(20)));
    }
}
