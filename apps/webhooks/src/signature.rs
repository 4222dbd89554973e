//! Signs deliveries as the [Standard Webhooks](https://www.standardwebhooks.com) specification says.
//!
//! The signed text is `{id}.{unix seconds}.{body}`, the signature is HMAC-SHA256 under the endpoint's secret,
//! and the header reads `v1,<base64>`. A receiver can therefore check it with any of the existing Standard
//! Webhooks libraries. The time stamp is part of the signed text, so that a captured request cannot be
//! replayed later.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Header with the delivery's id: the same at every attempt, so receivers use it to recognise repeats.
pub(crate) const ID_HEADER: &str = "webhook-id";
/// Header with the time of the attempt in seconds since the Unix epoch.
pub(crate) const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signature, `v1,<base64>`; several may stand there, separated by spaces.
pub(crate) const SIGNATURE_HEADER: &str = "webhook-signature";

/// How far the sender's and the receiver's clocks may be apart, in seconds.
pub(crate) const TOLERANCE_SECONDS: u64 = 300;

/// Shortest and longest key that the specification allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// An endpoint's signing key. Its `Debug` output never shows the key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// Reads `whsec_<base64>`: 24 to 64 bytes of key.
    pub(crate) fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SecretError::Prefix)?;
        let key = BASE64.decode(encoded).map_err(|_| SecretError::Encoding)?;
        if KEY_BYTES.contains(&key.len()) { Ok(Secret(key)) } else { Err(SecretError::Length(key.len())) }
    }

    /// A key for demonstrations, from a seeded generator; a real key comes from a cryptographic source.
    pub(crate) fn for_demonstration(rng: &mut fastrand::Rng) -> Self {
        let mut key = vec![0; *KEY_BYTES.start()];
        rng.fill(&mut key);
        Secret(key)
    }

    /// The form that [`Secret::parse`] reads.
    pub(crate) fn reveal(&self) -> String {
        format!("whsec_{}", BASE64.encode(&self.0))
    }

    fn mac(&self, id: &str, timestamp: u64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The value of the signature header for one attempt.
pub(crate) fn sign(secret: &Secret, id: &str, timestamp: u64, body: &[u8]) -> String {
    format!("v1,{}", BASE64.encode(secret.mac(id, timestamp, body).finalize().into_bytes()))
}

/// Checks a signature header as a receiver should: the time stamp first, then each `v1` signature in constant
/// time.
///
/// `now` and `timestamp` are seconds since the Unix epoch.
pub(crate) fn verify(
    secret: &Secret,
    id: &str,
    timestamp: u64,
    body: &[u8],
    header: &str,
    now: u64,
) -> Result<(), VerifyError> {
    if now.abs_diff(timestamp) > TOLERANCE_SECONDS {
        return Err(VerifyError::Stale);
    }
    let matches = |signature: &str| {
        let decoded = signature.strip_prefix("v1,").and_then(|text| BASE64.decode(text).ok());
        decoded.is_some_and(|bytes| secret.mac(id, timestamp, body).verify_slice(&bytes).is_ok())
    };
    if header.split(' ').any(matches) { Ok(()) } else { Err(VerifyError::Mismatch) }
}

/// Why a secret was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SecretError {
    /// It does not start with `whsec_`.
    Prefix,
    /// What follows is not base64.
    Encoding,
    /// The key has this many bytes, fewer than 24 or more than 64.
    Length(usize),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Prefix => f.write_str("a secret starts with `whsec_`"),
            SecretError::Encoding => f.write_str("what follows `whsec_` is not valid base64"),
            SecretError::Length(bytes) => write!(f, "the key must have 24 to 64 bytes; this one has {bytes}"),
        }
    }
}

impl std::error::Error for SecretError {}

/// Why a signature was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// The time stamp is more than five minutes away.
    Stale,
    /// No signature in the header belongs to this id, time, body and secret.
    Mismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn secret() -> Secret {
        Secret::parse(TEXT).unwrap()
    }

    #[test]
    fn the_example_of_the_specification_gives_its_published_signature() {
        assert_eq!(sign(&secret(), ID, TIME, BODY), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_signature_verifies_and_may_stand_among_others() {
        let header = format!("v1,AAAA v1a,BBBB {}", sign(&secret(), ID, TIME, BODY));
        assert_eq!(verify(&secret(), ID, TIME, BODY, &header, TIME + 299), Ok(()));
    }

    #[test]
    fn a_changed_body_id_time_or_secret_is_refused() {
        let header = sign(&secret(), ID, TIME, BODY);
        let other = Secret::for_demonstration(&mut fastrand::Rng::with_seed(1));
        assert_eq!(verify(&secret(), ID, TIME, b"{}", &header, TIME), Err(VerifyError::Mismatch));
        assert_eq!(verify(&secret(), "msg_other", TIME, BODY, &header, TIME), Err(VerifyError::Mismatch));
        assert_eq!(verify(&secret(), ID, TIME + 1, BODY, &header, TIME), Err(VerifyError::Mismatch));
        assert_eq!(verify(&other, ID, TIME, BODY, &header, TIME), Err(VerifyError::Mismatch));
    }

    #[test]
    fn a_time_stamp_more_than_five_minutes_away_is_refused_on_both_sides() {
        let header = sign(&secret(), ID, TIME, BODY);
        assert_eq!(verify(&secret(), ID, TIME, BODY, &header, TIME + 301), Err(VerifyError::Stale));
        assert_eq!(verify(&secret(), ID, TIME, BODY, &header, TIME - 301), Err(VerifyError::Stale));
    }

    #[test]
    fn a_secret_is_read_back_from_its_own_text_and_never_shown_by_debug() {
        assert_eq!(secret().reveal(), TEXT);
        assert_eq!(format!("{:?}", secret()), "Secret(hidden)");
    }

    #[test]
    fn a_malformed_secret_is_refused_with_the_reason() {
        assert_eq!(Secret::parse("hunter2").unwrap_err(), SecretError::Prefix);
        assert_eq!(Secret::parse("whsec_%%%").unwrap_err(), SecretError::Encoding);
        assert_eq!(Secret::parse("whsec_AAAA").unwrap_err(), SecretError::Length(3));
    }
}
