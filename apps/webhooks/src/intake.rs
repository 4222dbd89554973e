//! The HTTP side that producers of events talk to: `POST /events` and `GET /status`.
//!
//! ```text
//! POST /events   {"type": "push", "payload": {…}}
//!   202 {"event": "evt_…", "deliveries": [{"id": "dlv_…", "endpoint": "billing"}, …]}   it will be delivered
//!   400 {"error": {"what": "…", "where": "line 1, column 9"}}                            the request is wrong
//!   413, 415 {"error": …}                                                                too large, not JSON
//!   503 {"error": …} and Retry-After                                   the queue is full or being restarted
//! ```
//! The 202 is the promise; before it nothing is promised. After a 503 the producer posts again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::config::Filter;
use crate::event::{Delivery, Event};

/// Largest request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Longest event kind, in bytes.
const MAX_KIND: usize = 100;
/// Wait that a 503 asks for, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// What stands behind the intake.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Queues a delivery for the endpoint with this place in the configuration. Only after `Ok` it may be
    /// promised.
    fn enqueue(
        &self,
        endpoint: usize,
        delivery: Delivery,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Answer to `GET /status`, as JSON text.
    fn status(&self) -> impl Future<Output = Result<String, Unavailable>> + Send;
}

/// The queue of an endpoint does not answer.
#[derive(Debug)]
pub(crate) struct Unavailable(
    /// Why, in words.
    pub(crate) String,
);

/// Who wants which events.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// Endpoint name.
    pub(crate) endpoint: String,
    /// Its choice.
    pub(crate) filter: Filter,
}

/// Answer to an accepted event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// Id of the event.
    pub(crate) event: String,
    /// One for each endpoint that wants it; none is no error.
    pub(crate) deliveries: Vec<AcceptedDelivery>,
}

/// One delivery of an accepted event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AcceptedDelivery {
    /// The `webhook-id` of its requests.
    pub(crate) id: String,
    /// Name of the endpoint.
    pub(crate) endpoint: String,
}

/// The intake's routes. `queue_limit`: unfinished deliveries, over all endpoints, at which events are
/// refused.
pub(crate) fn router<B: Backend>(
    backend: B,
    subscriptions: Vec<Subscription>,
    queue_limit: usize,
    rng: fastrand::Rng,
) -> axum::Router {
    let places = Arc::new(Semaphore::new(queue_limit));
    let intake = Intake { backend, subscriptions, places, rng: Mutex::new(rng) };
    axum::Router::new()
        .route("/events", post(post_event::<B>))
        .route("/status", get(get_status::<B>))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there are POST /events and GET /status", None) })
        .method_not_allowed_fallback(|| async {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "there are POST /events and GET /status", None)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(intake))
}

struct Intake<B> {
    backend: B,
    subscriptions: Vec<Subscription>,
    places: Arc<Semaphore>,
    rng: Mutex<fastrand::Rng>,
}

async fn post_event<B: Backend>(
    State(intake): State<Arc<Intake<B>>>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    if !is_json(&headers) {
        let what = "the content-type must be application/json";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, what, None);
    }
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let what = format!("the request has more than {MAX_BODY} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &what, None);
        },
        Err(error) => return refuse(error.status(), &error.body_text(), None),
    };
    match parse(&body) {
        Ok((kind, payload)) => intake.accept(kind, payload).await,
        Err(Invalid { what, place }) => refuse(StatusCode::BAD_REQUEST, &what, Some(&place)),
    }
}

async fn get_status<B: Backend>(State(intake): State<Arc<Intake<B>>>) -> Response {
    match intake.backend.status().await {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(Unavailable(why)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why, None),
    }
}

impl<B: Backend> Intake<B> {
    async fn accept(&self, kind: String, payload: Bytes) -> Response {
        let wanting = |kind: &str| -> Vec<(usize, &Subscription)> {
            self.subscriptions.iter().enumerate().filter(|(_, s)| s.filter.wants(kind)).collect()
        };
        let wanting = wanting(&kind);
        // All places or none: an event is never accepted for a part of its endpoints because the queue is
        // full.
        let Ok(mut places) = self.places.clone().try_acquire_many_owned(wanting.len() as u32) else {
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the queue is full; post the event again later",
                None,
            );
        };
        let event = Arc::new(Event::new(kind, payload, &mut self.chance()));
        let mut deliveries = Vec::with_capacity(wanting.len());
        for (index, subscription) in wanting {
            let delivery = Delivery::new(event.clone(), Instant::now(), places.split(1), &mut self.chance());
            let id = delivery.id.to_string();
            if let Err(Unavailable(why)) = self.backend.enqueue(index, delivery).await {
                let what = format!("endpoint `{}`: {why}; post the event again", subscription.endpoint);
                return refuse(StatusCode::SERVICE_UNAVAILABLE, &what, None);
            }
            deliveries.push(AcceptedDelivery { id, endpoint: subscription.endpoint.clone() });
        }
        respond(StatusCode::ACCEPTED, &Accepted { event: event.id.clone(), deliveries })
    }

    fn chance(&self) -> std::sync::MutexGuard<'_, fastrand::Rng> {
        // A generator is good in any state.
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with a request, and where.
#[derive(Debug, PartialEq, Eq)]
struct Invalid {
    what: String,
    place: String,
}

/// Reads `{"type": …, "payload": {…}}`; the payload keeps the text that the producer wrote.
fn parse(body: &[u8]) -> Result<(String, Bytes), Invalid> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Posted<'a> {
        r#type: String,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let posted: Posted<'_> = serde_json::from_slice(body).map_err(|error| {
        // serde_json ends its messages with the place, which has a member of its own here.
        let place = format!("line {}, column {}", error.line(), error.column());
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _place)| what);
        Invalid { what: format!("{what}; expected {{\"type\": \"push\", \"payload\": {{…}}}}"), place }
    })?;
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let kind = posted.r#type;
    if kind.is_empty() || kind.len() > MAX_KIND || !kind.chars().all(valid) {
        let what =
            format!("`{kind}` is not a kind of event: 1 to {MAX_KIND} letters, digits, `.`, `-` or `_`");
        return Err(Invalid { what, place: "type".to_owned() });
    }
    if !posted.payload.get().starts_with('{') {
        let what = "the payload must be a JSON object".to_owned();
        return Err(Invalid { what, place: "payload".to_owned() });
    }
    Ok((kind, Bytes::copy_from_slice(posted.payload.get().as_bytes())))
}

/// Whether the content type is JSON, with or without parameters; a missing one counts as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    })
}

fn refuse(status: StatusCode, what: &str, place: Option<&str>) -> Response {
    #[derive(Serialize)]
    struct Refusal<'a> {
        error: What<'a>,
    }
    #[derive(Serialize)]
    struct What<'a> {
        what: &'a str,
        #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
        place: Option<&'a str>,
    }
    let mut response = respond(status, &Refusal { error: What { what, place } });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let wait = axum::http::HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, wait);
    }
    response
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("answers always have a JSON form");
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    /// Keeps what is queued; the endpoint with the place 1 can be out of order.
    #[derive(Clone, Default)]
    struct Shelf {
        queued: Arc<Mutex<Vec<(usize, Delivery)>>>,
        second_is_down: bool,
    }

    impl Backend for Shelf {
        async fn enqueue(&self, endpoint: usize, delivery: Delivery) -> Result<(), Unavailable> {
            if self.second_is_down && endpoint == 1 {
                return Err(Unavailable("its queue is being restarted".into()));
            }
            self.queued.lock().unwrap().push((endpoint, delivery));
            Ok(())
        }

        async fn status(&self) -> Result<String, Unavailable> {
            Ok("{}".into())
        }
    }

    fn router_over(shelf: &Shelf, queue_limit: usize) -> axum::Router {
        let everything = Subscription { endpoint: "audit".into(), filter: Filter::default() };
        let subscriptions =
            vec![everything.clone(), Subscription { endpoint: "billing".into(), ..everything }];
        router(shelf.clone(), subscriptions, queue_limit, fastrand::Rng::with_seed(1))
    }

    fn post(router: &axum::Router, body: impl Into<Body>) -> (u16, String) {
        let request =
            Request::post("/events").header(CONTENT_TYPE, "application/json").body(body.into()).unwrap();
        send(router, request)
    }

    fn send(router: &axum::Router, request: Request<Body>) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let response = TowerToHyperService::new(router.clone()).call(request).await.unwrap();
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    #[test]
    fn an_event_becomes_one_delivery_for_each_endpoint_with_its_payload_untouched() {
        let shelf = Shelf::default();
        let payload = "{\"b\" : 1,\n \"a\":\"\\u00e9\"}";
        let (status, body) =
            post(&router_over(&shelf, 10), format!("{{\"type\": \"push\", \"payload\": {payload} }}"));
        assert_eq!(status, 202);
        let accepted: Accepted = serde_json::from_str(&body).unwrap();
        let queued = shelf.queued.lock().unwrap();
        assert_eq!(queued.len(), 2);
        for (answered, (index, delivery)) in accepted.deliveries.iter().zip(queued.iter()) {
            assert_eq!(answered.id, *delivery.id);
            assert_eq!(answered.endpoint, ["audit", "billing"][*index]);
            assert_eq!(
                (delivery.event.payload.as_ref(), delivery.event.kind.as_str()),
                (payload.as_bytes(), "push")
            );
        }
    }

    #[test]
    fn a_wrong_request_is_refused_with_what_is_wrong_and_where() {
        let router = router_over(&Shelf::default(), 10);
        let cases = [
            ("{\"type\": \"push\",\n\"payload\": }", "expected value", "line 2, column 12"),
            ("{\"type\": \"push\"}", "missing field `payload`", "line 1, column 16"),
            ("{\"typ\": \"push\", \"payload\": {}}", "unknown field `typ`", "line 1, column 6"),
            (
                "{\"type\": 7, \"payload\": {}}",
                "invalid type: integer `7`, expected a string",
                "line 1, column 10",
            ),
            ("{\"type\": \"two words\", \"payload\": {}}", "`two words` is not a kind of event", "type"),
            ("{\"type\": \"\", \"payload\": {}}", "`` is not a kind of event", "type"),
            ("{\"type\": \"push\", \"payload\": [1]}", "the payload must be a JSON object", "payload"),
            ("", "EOF while parsing a value", "line 1, column 0"),
        ];
        for (request, what, place) in cases {
            let (status, body) = post(&router, request);
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                (status, value["error"]["where"].as_str()),
                (400, Some(place)),
                "{request} gave {body}"
            );
            assert!(value["error"]["what"].as_str().unwrap().contains(what), "{request} gave {body}");
        }
    }

    #[test]
    fn a_large_request_another_content_type_and_an_unknown_path_are_refused() {
        let router = router_over(&Shelf::default(), 10);
        assert_eq!(post(&router, vec![b' '; MAX_BODY + 1]).0, 413);
        let form = Request::post("/events").header(CONTENT_TYPE, "text/plain").body("{}".into()).unwrap();
        assert_eq!(send(&router, form).0, 415);
        assert_eq!(send(&router, Request::get("/elsewhere").body(Body::empty()).unwrap()).0, 404);
        assert_eq!(send(&router, Request::get("/events").body(Body::empty()).unwrap()).0, 405);
        assert_eq!(send(&router, Request::get("/status").body(Body::empty()).unwrap()), (200, "{}".into()));
    }

    #[test]
    fn a_full_queue_refuses_the_whole_event_until_a_delivery_is_finished() {
        let shelf = Shelf::default();
        let router = router_over(&shelf, 3);
        let event = "{\"type\": \"push\", \"payload\": {}}";
        assert_eq!(post(&router, event).0, 202);
        let (status, body) = post(&router, event);
        assert!(status == 503 && body.contains("the queue is full"), "{status} {body}");
        assert_eq!(shelf.queued.lock().unwrap().len(), 2);
        shelf.queued.lock().unwrap().pop();
        assert_eq!(post(&router, event).0, 202);
    }

    #[test]
    fn an_endpoint_whose_queue_does_not_answer_is_named() {
        let shelf = Shelf { second_is_down: true, ..Shelf::default() };
        let (status, body) = post(&router_over(&shelf, 10), "{\"type\": \"push\", \"payload\": {}}");
        assert!(
            status == 503 && body.contains("endpoint `billing`: its queue is being restarted"),
            "{status} {body}"
        );
    }
}
