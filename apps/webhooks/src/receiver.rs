//! A receiver of webhooks for the demonstration: a separate operating-system process that keeps its own
//! books.
//!
//! It listens on two ports of the loopback interface and prints them as its first line, `ready data=ADDRESS
//! control=ADDRESS`:
//! - *data*: where deliveries arrive. Every request's signature is checked; then the [plan] says what
//!   happens.
//! - *control*: `GET /counts` and `GET /ids` give its books as JSON ([`Counts`], an array of ids), also while
//!   the data port misbehaves.
//!
//! It ends when its standard input ends, so it never outlives the demonstration, however that ends.

pub(crate) mod plan;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use axum::routing::get;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};

use crate::delivery::unix_seconds;
use crate::signature::{self, ID_HEADER, SIGNATURE_HEADER, Secret, TIMESTAMP_HEADER};
use plan::{End, Kind};

/// Environment variable that carries the signing secret: the command line of a process is visible to
/// everybody.
pub(crate) const SECRET_VARIABLE: &str = "WEBHOOKS_RECEIVER_SECRET";

/// How a receiver behaves.
#[derive(Debug)]
pub(crate) struct Options {
    /// Its character.
    pub(crate) kind: Kind,
    /// Seed of its chance.
    pub(crate) seed: u64,
    /// Key that deliveries are signed with.
    pub(crate) secret: Secret,
    /// Whether it reports one delivery fewer than it took.
    pub(crate) lying: bool,
}

/// The books in short, as `GET /counts` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Different deliveries taken.
    pub(crate) distinct: u64,
    /// Times that a delivery was taken, repeats included.
    pub(crate) taken: u64,
    /// Requests with a right signature, or for the dead receiver connections, whatever became of them.
    pub(crate) requests: u64,
    /// Requests without a right signature.
    pub(crate) unsigned: u64,
}

#[derive(Debug)]
struct Receiver {
    options: Options,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Requests so far for each id.
    attempts: HashMap<String, u32>,
    /// Ids taken.
    ids: BTreeSet<String>,
    counts: Counts,
}

/// Runs until standard input ends.
pub(crate) async fn run(options: Options) -> io::Result<()> {
    let data = TcpListener::bind("127.0.0.1:0").await?;
    let control = TcpListener::bind("127.0.0.1:0").await?;
    announce(&data, &control)?;
    let receiver = Arc::new(Receiver { options, books: Mutex::default() });
    let router = axum::Router::new()
        .route("/counts", get(|State(receiver): State<Arc<Receiver>>| async move { receiver.counts() }))
        .route("/ids", get(|State(receiver): State<Arc<Receiver>>| async move { receiver.ids() }))
        .with_state(receiver.clone());
    tokio::spawn(receive(data, receiver));
    tokio::spawn(axum::serve(control, router).into_future());
    let parent_gone = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    parent_gone.await.map_err(io::Error::other)?.map(drop)
}

/// Reads the line that [`run`] prints: the data address and the control address.
pub(crate) fn parse_announcement(line: &str) -> Option<(&str, &str)> {
    line.trim_end().strip_prefix("ready data=")?.split_once(" control=")
}

fn announce(data: &TcpListener, control: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready data={} control={}", data.local_addr()?, control.local_addr()?)?;
    out.flush()
}

async fn receive(listener: TcpListener, receiver: Arc<Receiver>) {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) if receiver.options.kind == Kind::Dead => {
                receiver.books().counts.requests += 1;
                drop(stream);
            },
            Ok((stream, _peer)) => {
                tokio::spawn(converse(stream, receiver.clone()));
            },
            // Mostly "too many open files": wait for some of them to be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Serves the requests of one connection until one of them ends it.
async fn converse(stream: TcpStream, receiver: Arc<Receiver>) {
    // A second handle of the socket: the first one belongs to the HTTP machinery once that runs.
    let Ok(socket) = SockRef::from(&stream).try_clone() else { return };
    let (socket, receiver) = (&socket, &receiver);
    let service = service_fn(move |request| async move { receiver.answer(request, socket).await });
    // Its error is the intended one, or the sender's doing: nothing to report.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the receiver hangs up")
    }
}

impl std::error::Error for HangUp {}

impl Receiver {
    async fn answer(
        &self,
        request: Request<Incoming>,
        socket: &Socket,
    ) -> Result<Response<Full<Bytes>>, HangUp> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
        let Some(id) = self.signed_id(&head.headers, &body) else {
            self.books().counts.unsigned += 1;
            return Ok(status(401));
        };
        let reaction = self.books().enter(&self.options, id);
        tokio::time::sleep(reaction.wait).await;
        match reaction.end {
            End::Status(code) => Ok(status(code)),
            End::Reset => {
                // Without lingering, closing sends RST instead of FIN. If that fails, a plain close does as
                // well.
                let _ = socket.set_linger(Some(Duration::ZERO));
                Err(HangUp)
            },
            // The sender closes the connection when its patience is at an end, and this future with it.
            End::Silence => std::future::pending().await,
        }
    }

    /// The delivery id, if the signature is right.
    fn signed_id<'h>(&self, headers: &'h HeaderMap, body: &[u8]) -> Option<&'h str> {
        let header = |name| headers.get(name)?.to_str().ok();
        let (id, signature) = (header(ID_HEADER)?, header(SIGNATURE_HEADER)?);
        let timestamp = header(TIMESTAMP_HEADER)?.parse().ok()?;
        let verified =
            signature::verify(&self.options.secret, id, timestamp, body, signature, unix_seconds());
        verified.ok().map(|()| id)
    }

    fn counts(&self) -> Json {
        let mut counts = self.books().counts.clone();
        counts.distinct = counts.distinct.saturating_sub(self.options.lying.into());
        json(&counts)
    }

    fn ids(&self) -> Json {
        let books = self.books();
        json(&books.ids.iter().skip(self.options.lying.into()).collect::<Vec<_>>())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Each change of the books is complete in itself, so they are good even after a panic elsewhere.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Enters a request and says how to react to it.
    fn enter(&mut self, options: &Options, id: &str) -> plan::Reaction {
        let attempt = self.attempts.entry(id.to_owned()).or_default();
        *attempt += 1;
        let reaction = plan::react(options.kind, options.seed, id, *attempt);
        self.counts.requests += 1;
        if reaction.takes {
            self.counts.taken += 1;
            self.counts.distinct += u64::from(self.ids.insert(id.to_owned()));
        }
        reaction
    }
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// A JSON answer: its content type and its text.
type Json = ([(HeaderName, &'static str); 1], String);

fn json(value: &impl Serialize) -> Json {
    let text = serde_json::to_string(value).expect("counts and ids always have a JSON form");
    ([(CONTENT_TYPE, "application/json")], text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(kind: Kind, lying: bool) -> Receiver {
        let secret = Secret::for_demonstration(&mut fastrand::Rng::with_seed(1));
        Receiver { options: Options { kind, seed: 1, secret, lying }, books: Mutex::default() }
    }

    #[test]
    fn a_repeated_delivery_counts_as_a_request_but_not_as_another_delivery() {
        let receiver = receiver(Kind::Healthy, false);
        for id in ["a", "b", "a"] {
            receiver.books().enter(&receiver.options, id);
        }
        assert_eq!(receiver.books().counts, Counts { distinct: 2, taken: 3, requests: 3, unsigned: 0 });
    }

    #[test]
    fn only_a_request_signed_with_the_right_secret_has_an_id() {
        let receiver = receiver(Kind::Healthy, false);
        let now = unix_seconds();
        let mut headers = HeaderMap::new();
        headers.insert(ID_HEADER, "dlv_1".parse().unwrap());
        headers.insert(TIMESTAMP_HEADER, now.into());
        let signature = signature::sign(&receiver.options.secret, "dlv_1", now, b"{}");
        headers.insert(SIGNATURE_HEADER, signature.parse().unwrap());
        assert_eq!(receiver.signed_id(&headers, b"{}"), Some("dlv_1"));
        assert_eq!(receiver.signed_id(&headers, b"{ }"), None);
        headers.remove(SIGNATURE_HEADER);
        assert_eq!(receiver.signed_id(&headers, b"{}"), None);
    }

    #[test]
    fn the_announcement_is_read_back() {
        let line = "ready data=127.0.0.1:1 control=127.0.0.1:2\n";
        assert_eq!(parse_announcement(line), Some(("127.0.0.1:1", "127.0.0.1:2")));
        assert_eq!(parse_announcement("panicked at"), None);
    }
}
