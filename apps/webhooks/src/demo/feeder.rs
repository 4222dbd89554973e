//! Posts the demonstration's events to the intake over HTTP, as a producer would, and keeps its own list of
//! what was accepted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, sleep, sleep_until};

use crate::delivery::HttpClient;
use crate::event::{Sample, Samples};
use crate::intake::{Accepted, AcceptedDelivery};

/// Connections that post at the same time.
const PRODUCERS: usize = 8;

/// What is to be posted.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The payloads, repeated in a circle.
    pub(crate) samples: Samples,
    /// How many events.
    pub(crate) events: usize,
    /// Time between two events.
    pub(crate) interval: Duration,
}

/// Why feeding stopped early.
#[derive(Debug)]
pub(crate) struct FeedError(String);

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the intake did not take an event: {}", self.0)
    }
}

impl std::error::Error for FeedError {}

/// Posts all events and gives back every accepted delivery.
pub(crate) async fn feed(
    client: &HttpClient,
    intake: SocketAddr,
    feed: Feed,
) -> Result<Vec<AcceptedDelivery>, FeedError> {
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::new((feed, AtomicUsize::new(0)));
    let start = Instant::now();
    let producer = || {
        let (client, shared, accepted) = (client.clone(), shared.clone(), accepted.clone());
        tokio::spawn(async move {
            let (feed, next) = &*shared;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= feed.events {
                    return Ok(());
                }
                sleep_until(start + feed.interval * n as u32).await;
                let answer = post(&client, intake, feed.samples.get(n)).await?;
                let mut accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.extend(answer.deliveries);
            }
        })
    };
    let producers: Vec<_> = (0..PRODUCERS).map(|_| producer()).collect();
    for producer in producers {
        producer.await.map_err(|e| FeedError(e.to_string()))??;
    }
    let mut accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *accepted))
}

/// Posts one event; a 503 is waited out, as the intake asks.
async fn post(client: &HttpClient, intake: SocketAddr, sample: &Sample) -> Result<Accepted, FeedError> {
    let error = |e: &dyn fmt::Display| FeedError(e.to_string());
    let kind = serde_json::to_string(&sample.kind).map_err(|e| error(&e))?;
    let body = Bytes::from(format!("{{\"type\": {kind}, \"payload\": {}}}", sample.payload));
    loop {
        let request = Request::post(format!("http://{intake}/events"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .map_err(|e| error(&e))?;
        let response = client.request(request).await.map_err(|e| error(&e))?;
        let status = response.status();
        let answer = response.into_body().collect().await.map_err(|e| error(&e))?.to_bytes();
        match status {
            StatusCode::ACCEPTED => return serde_json::from_slice(&answer).map_err(|e| error(&e)),
            StatusCode::SERVICE_UNAVAILABLE => sleep(Duration::from_millis(100)).await,
            _ => return Err(error(&format_args!("{status}: {}", String::from_utf8_lossy(&answer)))),
        }
    }
}
