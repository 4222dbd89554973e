//! Purlin: OTP for Rust.
