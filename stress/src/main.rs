//! Purlin under stress.

fn main() {}
