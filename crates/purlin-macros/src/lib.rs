//! Attribute macros of Purlin.
