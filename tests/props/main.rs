//! The engine against the specification, by example, by law, and by the broker's own matcher.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops by panicking"
)]

mod covering;
mod differences;
mod laws;
#[path = "../model/mod.rs"]
mod model;
mod mosquitto;
mod strategies;
mod support;
mod vectors;
mod witnesses;
