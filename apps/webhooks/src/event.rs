//! Events, the deliveries that come of them, and where the demonstration gets its payloads from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

/// Something that happened and that subscribers want to hear of.
#[derive(Debug)]
pub(crate) struct Event {
    /// `evt_` and 32 hexadecimal digits.
    pub(crate) id: String,
    /// What kind of event, for example `push`; endpoints filter on it.
    pub(crate) kind: String,
    /// The JSON text exactly as it came in: it is what gets signed and sent.
    pub(crate) payload: Bytes,
}

impl Event {
    /// A new event with an id of its own.
    pub(crate) fn new(kind: String, payload: Bytes, rng: &mut fastrand::Rng) -> Self {
        Event { id: format!("evt_{:032x}", rng.u128(..)), kind, payload }
    }
}

/// Names one delivery: `dlv_` and 32 hexadecimal digits. The same at every attempt.
pub(crate) type DeliveryId = Arc<str>;

/// One event on its way to one endpoint.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Sent as `webhook-id`, by which receivers recognise repeats.
    pub(crate) id: DeliveryId,
    /// What is delivered; shared with the deliveries to the other endpoints.
    pub(crate) event: Arc<Event>,
    /// When the intake took it; latency is counted from here.
    pub(crate) accepted_at: Instant,
    /// Its place in the bounded queue; given back when the delivery is finished and dropped.
    _place: Option<OwnedSemaphorePermit>,
}

impl Delivery {
    /// A delivery of `event` that holds `place` in the queue for as long as it exists.
    pub(crate) fn new(
        event: Arc<Event>,
        accepted_at: Instant,
        place: Option<OwnedSemaphorePermit>,
        rng: &mut fastrand::Rng,
    ) -> Self {
        Delivery { id: format!("dlv_{:032x}", rng.u128(..)).into(), event, accepted_at, _place: place }
    }
}

/// A payload to feed in.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Event kind.
    pub(crate) kind: String,
    /// JSON text.
    pub(crate) payload: String,
}

/// Payloads that the demonstration repeats in a circle.
#[derive(Debug)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    /// Our own small set, for a demonstration without a file.
    pub(crate) fn built_in() -> Self {
        Self::parse(include_str!("built_in_events.json")).expect("a test reads the built-in events")
    }

    /// Reads a file of GitHub's form: an array of `{"name": kind, "examples": [payload, …]}`; other members
    /// are ignored.
    pub(crate) fn from_file(path: &Path) -> Result<Self, SamplesError> {
        let error = |what| SamplesError { path: path.display().to_string(), what };
        let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
        Self::parse(&text).map_err(error)
    }

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Entry<'a> {
            name: String,
            #[serde(borrow)]
            examples: Vec<&'a RawValue>,
        }
        let entries: Vec<Entry<'_>> = serde_json::from_str(text).map_err(|e| {
            format!("{e}; expected an array of {{\"name\": \"push\", \"examples\": [{{…}}, …]}}")
        })?;
        let sample =
            |kind: &str, raw: &RawValue| Sample { kind: kind.to_owned(), payload: raw.get().to_owned() };
        let samples: Vec<_> =
            entries.iter().flat_map(|e| e.examples.iter().map(|raw| sample(&e.name, raw))).collect();
        if samples.is_empty() { Err("no example payload in it".to_owned()) } else { Ok(Samples(samples)) }
    }

    /// How many different payloads there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The payload number `n`, counted around the circle.
    pub(crate) fn get(&self, n: usize) -> &Sample {
        &self.0[n % self.0.len()]
    }
}

/// Why a file of example events cannot be used.
#[derive(Debug)]
pub(crate) struct SamplesError {
    path: String,
    what: String,
}

impl fmt::Display for SamplesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the events of {}: {}", self.path, self.what)
    }
}

impl std::error::Error for SamplesError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_events_are_json_objects_of_several_kinds() {
        let samples = Samples::built_in();
        assert!(samples.len() >= 5);
        for n in 0..samples.len() {
            let value: serde_json::Value = serde_json::from_str(&samples.get(n).payload).unwrap();
            assert!(value.is_object());
        }
    }

    #[test]
    fn payloads_come_round_again_after_the_last() {
        let samples = Samples::parse(
            r#"[{"name": "a", "examples": [{"n": 1}, {"n": 2}]}, {"name": "b", "examples": [{"n": 3}]}]"#,
        )
        .unwrap();
        let kinds: Vec<_> = (0..5).map(|n| samples.get(n).kind.as_str()).collect();
        assert_eq!(kinds, ["a", "a", "b", "a", "a"]);
        assert_eq!(samples.get(4).payload, r#"{"n": 2}"#);
    }

    #[test]
    fn a_file_without_payloads_or_of_another_form_is_refused_with_the_reason() {
        assert_eq!(Samples::parse("[]").unwrap_err(), "no example payload in it");
        let message = Samples::parse(r#"[{"nam": "a"}]"#).unwrap_err();
        assert!(message.contains("missing field `name`") && message.contains("line 1"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Samples::from_file(Path::new("/no/such/events.json")).unwrap_err();
        assert!(error.to_string().starts_with("cannot use the events of /no/such/events.json: "), "{error}");
    }
}
