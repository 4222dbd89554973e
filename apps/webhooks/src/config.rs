//! The configuration file of `serve`.
//!
//! ```toml
//! listen = "127.0.0.1:8080"        # where events are posted
//! queue_limit = 100000             # unfinished deliveries at which the intake answers 503
//!
//! [[endpoint]]
//! name = "billing"                 # letters, digits, `-`, `_`; unique
//! url = "http://127.0.0.1:9000/hooks"
//! secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
//! events = ["push", "issue*"]      # default: all
//! max_attempts = 12
//! in_flight = 8                    # attempts at the same time
//! timeout = "10s"                  # of one attempt
//! backoff = { base = "5s", cap = "1h", jitter = 0.5 }
//! ```
//! Only `listen` and, per endpoint, `name`, `url` and `secret` are required; the other values above (but
//! `events`) are the defaults.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::http::Uri;
use serde::Deserialize;
use toml::Spanned;

use crate::backoff::{Backoff, RetryPolicy};
use crate::delivery::Target;
use crate::signature::Secret;

/// What `serve` runs.
#[derive(Debug)]
pub(crate) struct Config {
    /// Address of the intake.
    pub(crate) listen: SocketAddr,
    /// Unfinished deliveries, over all endpoints, at which the intake refuses more.
    pub(crate) queue_limit: usize,
    /// At least one; names are unique.
    pub(crate) endpoints: Vec<EndpointConfig>,
}

/// One receiver of events.
#[derive(Clone, Debug)]
pub(crate) struct EndpointConfig {
    /// Letters, digits, `-` and `_`.
    pub(crate) name: String,
    /// Which kinds of events it wants.
    pub(crate) filter: Filter,
    /// Where they go.
    pub(crate) target: Target,
    /// How often they are tried.
    pub(crate) retry: RetryPolicy,
    /// Attempts at the same time; at least 1.
    pub(crate) in_flight: usize,
}

/// A choice of event kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter(Vec<String>);

impl Filter {
    /// Whether events of this kind are wanted. An entry names one kind, or with `*` at its end all that start
    /// so; an empty filter wants everything.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        let fits = |entry: &String| match entry.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => entry == kind,
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

impl Config {
    /// Reads a configuration file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(error) => Err(ConfigError { file, line: None, key: None, what: error.to_string() }),
        }
    }

    /// Reads the text of a configuration file; `file` is its name for error messages.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let at = |offset: Option<usize>, key: Option<String>, what: String| {
            let line = offset.map(|offset| text[..offset].matches('\n').count() + 1);
            ConfigError { file: file.to_owned(), line, key, what }
        };
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let start = error.span().map(|span| span.start);
            let key = start.and_then(|start| key_of_line(text, start));
            at(start, key, error.message().to_owned())
        })?;
        raw.check().map_err(|Wrong { offset, key, what }| at(offset, Some(key), what))
    }
}

/// Why a configuration is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    file: String,
    line: Option<usize>,
    key: Option<String>,
    what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", `{key}`")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ConfigError {}

/// The key that the line around `offset` sets, if it is of the form `key = value`.
fn key_of_line(text: &str, offset: usize) -> Option<String> {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?;
    let key = line.split_once('=')?.0.trim();
    (!key.is_empty() && !key.starts_with('#')).then(|| key.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: Spanned<String>,
    #[serde(default = "default_queue_limit")]
    queue_limit: Spanned<usize>,
    #[serde(default, rename = "endpoint")]
    endpoints: Vec<RawEndpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndpoint {
    name: Spanned<String>,
    url: Spanned<String>,
    secret: Spanned<String>,
    #[serde(default)]
    events: Vec<Spanned<String>>,
    max_attempts: Option<Spanned<u32>>,
    in_flight: Option<Spanned<usize>>,
    timeout: Option<Spanned<String>>,
    #[serde(default)]
    backoff: RawBackoff,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawBackoff {
    base: Option<Spanned<String>>,
    cap: Option<Spanned<String>>,
    jitter: Option<Spanned<f64>>,
}

fn default_queue_limit() -> Spanned<usize> {
    Spanned::new(0..0, 100_000)
}

/// A value that parses as TOML but makes no sense.
struct Wrong {
    offset: Option<usize>,
    key: String,
    what: String,
}

/// Checks one value; on failure the error knows its key and place.
fn check<T, R>(
    key: &str,
    value: &Spanned<T>,
    convert: impl FnOnce(&T) -> Result<R, String>,
) -> Result<R, Wrong> {
    let wrong = |what| Wrong { offset: Some(value.span().start), key: key.to_owned(), what };
    convert(value.get_ref()).map_err(wrong)
}

/// Checks a value that may be absent.
fn check_or<T, R>(
    key: &str,
    value: Option<&Spanned<T>>,
    default: R,
    convert: impl FnOnce(&T) -> Result<R, String>,
) -> Result<R, Wrong> {
    value.map_or(Ok(default), |value| check(key, value, convert))
}

impl RawConfig {
    fn check(&self) -> Result<Config, Wrong> {
        let listen = check("listen", &self.listen, |text| {
            text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:8080"))
        })?;
        let queue_limit = check("queue_limit", &self.queue_limit, |&limit| in_range(limit, 1, 100_000_000))?;
        if self.endpoints.is_empty() {
            let what = "there is no endpoint to deliver to; add a section [[endpoint]]".to_owned();
            return Err(Wrong { offset: None, key: "endpoint".to_owned(), what });
        }
        let endpoints = self.endpoints.iter().map(RawEndpoint::check).collect::<Result<Vec<_>, _>>()?;
        let mut names = HashSet::new();
        for endpoint in &self.endpoints {
            check("endpoint.name", &endpoint.name, |name| {
                if names.insert(name.clone()) {
                    Ok(())
                } else {
                    Err(format!("there are two endpoints named `{name}`"))
                }
            })?;
        }
        Ok(Config { listen, queue_limit, endpoints })
    }
}

impl RawEndpoint {
    fn check(&self) -> Result<EndpointConfig, Wrong> {
        let RawBackoff { base, cap, jitter } = &self.backoff;
        let filter =
            self.events.iter().map(|entry| check("endpoint.events", entry, |kind| event_filter(kind)));
        Ok(EndpointConfig {
            name: check("endpoint.name", &self.name, |name| endpoint_name(name))?,
            filter: Filter(filter.collect::<Result<_, _>>()?),
            target: Target {
                url: check("endpoint.url", &self.url, |url| http_url(url))?,
                secret: check("endpoint.secret", &self.secret, |s| {
                    Secret::parse(s).map_err(|e| e.to_string())
                })?,
                timeout: check_or("endpoint.timeout", self.timeout.as_ref(), secs(10), |t| duration(t))?,
            },
            retry: RetryPolicy {
                max_attempts: check_or("endpoint.max_attempts", self.max_attempts.as_ref(), 12, |&n| {
                    in_range(n, 1, 1_000)
                })?,
                backoff: Backoff {
                    base: check_or("endpoint.backoff.base", base.as_ref(), secs(5), |t| duration(t))?,
                    cap: check_or("endpoint.backoff.cap", cap.as_ref(), secs(3_600), |t| duration(t))?,
                    jitter: check_or("endpoint.backoff.jitter", jitter.as_ref(), 0.5, |&j| {
                        in_range(j, 0.0, 1.0)
                    })?,
                },
            },
            in_flight: check_or("endpoint.in_flight", self.in_flight.as_ref(), 8, |&n| {
                in_range(n, 1, 10_000)
            })?,
        })
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn in_range<T: PartialOrd + fmt::Display>(value: T, least: T, most: T) -> Result<T, String> {
    if value >= least && value <= most {
        Ok(value)
    } else {
        Err(format!("{value} is out of range; it must be {least} to {most}"))
    }
}

fn endpoint_name(name: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 64 && name.chars().all(valid) {
        Ok(name.to_owned())
    } else {
        Err(format!("`{name}` is not a name: 1 to 64 letters, digits, `-` or `_`"))
    }
}

fn event_filter(entry: &str) -> Result<String, String> {
    let kind = entry.strip_suffix('*').unwrap_or(entry);
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !entry.is_empty() && kind.chars().all(valid) {
        Ok(entry.to_owned())
    } else {
        Err(format!(
            "`{entry}` is not a kind of event: letters, digits, `.`, `-`, `_`, and `*` only at its end"
        ))
    }
}

fn http_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    match url.scheme_str() {
        Some("http") if url.host().is_some_and(|host| !host.is_empty()) => Ok(url),
        Some("https") => {
            Err(format!("`{text}`: this version delivers over http only; use a local TLS proxy"))
        },
        _ => Err(format!("`{text}` is not a URL such as http://127.0.0.1:9000/hooks")),
    }
}

/// Reads `250ms`, `10s`, `5m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is not a duration such as \"250ms\", \"10s\", \"5m\" or \"2h\"");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| error())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number.into()),
        "s" => secs(number.into()),
        "m" => secs(60 * u64::from(number)),
        "h" => secs(3_600 * u64::from(number)),
        _ => return Err(error()),
    };
    if duration.is_zero() { Err("it must be longer than zero".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = r#"
[[endpoint]]
name = "billing"
url = "http://127.0.0.1:9000/hooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("webhooks.toml", text).map_err(|error| error.to_string())
    }

    fn with(line: &str) -> Result<Config, String> {
        parse(&format!("listen = \"127.0.0.1:0\"{ENDPOINT}{line}\n"))
    }

    #[test]
    fn a_short_file_gets_the_documented_defaults() {
        let config = with("").unwrap();
        assert_eq!(config.queue_limit, 100_000);
        let endpoint = &config.endpoints[0];
        assert_eq!(
            (endpoint.name.as_str(), endpoint.in_flight, endpoint.retry.max_attempts),
            ("billing", 8, 12)
        );
        assert_eq!(endpoint.target.timeout, secs(10));
        assert_eq!(endpoint.retry.backoff, Backoff { base: secs(5), cap: secs(3_600), jitter: 0.5 });
        assert!(endpoint.filter.wants("anything"));
    }

    #[test]
    fn the_example_of_the_module_documentation_is_valid() {
        let lines = include_str!("config.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let example: Vec<_> =
            lines.map_while(|line| line.strip_prefix("//!").filter(|l| *l != " ```")).collect();
        let config = parse(&example.join("\n")).unwrap();
        assert!(config.endpoints[0].filter.wants("push") && !config.endpoints[0].filter.wants("star"));
    }

    #[test]
    fn the_example_file_beside_the_readme_is_valid() {
        assert_eq!(parse(include_str!("../webhooks.example.toml")).unwrap().endpoints.len(), 2);
    }

    #[test]
    fn a_filter_takes_whole_kinds_and_beginnings() {
        let filter = Filter(vec!["push".into(), "issue*".into()]);
        let wanted: Vec<_> =
            ["push", "pushed", "issues", "issue_comment", "star"].map(|kind| filter.wants(kind)).into();
        assert_eq!(wanted, [true, false, true, true, false]);
    }

    #[test]
    fn every_refused_value_is_named_with_its_line_and_key() {
        let cases = [
            ("timeout = \"soon\"", "line 6, `endpoint.timeout`: `soon` is not a duration"),
            ("timeout = \"0s\"", "line 6, `endpoint.timeout`: it must be longer than zero"),
            ("max_attempts = 0", "line 6, `endpoint.max_attempts`: 0 is out of range; it must be 1 to 1000"),
            ("in_flight = 0", "line 6, `endpoint.in_flight`: 0 is out of range"),
            (
                "backoff = { jitter = 1.5 }",
                "line 6, `endpoint.backoff.jitter`: 1.5 is out of range; it must be 0 to 1",
            ),
            ("events = [\"push\", \"a*b\"]", "line 6, `endpoint.events`: `a*b` is not a kind of event"),
            ("colour = 3", "line 6, `colour`: unknown field `colour`, expected one of"),
            (
                "max_attempts = \"three\"",
                "line 6, `max_attempts`: invalid type: string \"three\", expected u32",
            ),
        ];
        for (line, expected) in cases {
            let message = with(line).unwrap_err();
            assert!(message.starts_with(&format!("webhooks.toml, {expected}")), "{line} gave: {message}");
        }
    }

    #[test]
    fn a_wrong_name_url_or_secret_is_explained() {
        let change = |from: &str, to: &str| {
            with("").and(parse(&format!("listen = \"[::1]:80\"{}", ENDPOINT.replace(from, to))))
        };
        let cases = [
            ("\"billing\"", "\"two words\"", "line 3, `endpoint.name`: `two words` is not a name"),
            (
                "http://",
                "ftp://",
                "line 4, `endpoint.url`: `ftp://127.0.0.1:9000/hooks` is not a URL such as",
            ),
            (
                "http://",
                "https://",
                "line 4, `endpoint.url`: `https://127.0.0.1:9000/hooks`: this version delivers over http",
            ),
            ("whsec_", "", "line 5, `endpoint.secret`: a secret starts with `whsec_`"),
        ];
        for (from, to, expected) in cases {
            let message = change(from, to).unwrap_err();
            assert!(
                message.starts_with(&format!("webhooks.toml, {expected}")),
                "{from} → {to} gave: {message}"
            );
        }
    }

    #[test]
    fn a_file_without_endpoints_or_with_two_of_one_name_is_refused() {
        let message = parse("listen = \"127.0.0.1:0\"").unwrap_err();
        assert_eq!(
            message,
            "webhooks.toml, `endpoint`: there is no endpoint to deliver to; add a section [[endpoint]]"
        );
        let message = with(ENDPOINT).unwrap_err();
        assert_eq!(
            message,
            "webhooks.toml, line 8, `endpoint.name`: there are two endpoints named `billing`"
        );
    }

    #[test]
    fn a_file_that_is_not_toml_or_not_there_is_reported_with_its_name() {
        let message = parse("listen = \"127.0.0.1:0\"\n[[endpoint]\n").unwrap_err();
        assert!(message.starts_with("webhooks.toml, line 2"), "{message}");
        let message = Config::load(Path::new("/no/such.toml")).unwrap_err().to_string();
        assert!(message.starts_with("/no/such.toml: "), "{message}");
    }
}
