//! What must hold for any input: a module for each target, and a target is the one line that hands the input over.
//!
//! A check panics when something does not hold; what it is not about it leaves alone.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::print_stdout,
        missing_docs,
        reason = "a test stops by panicking, and tells what it was about"
    )
)]

pub mod certificates;
pub mod citronella_toml;
pub mod devices_toml;
pub mod edits;
pub mod import;
pub mod ledger;
pub mod mosquitto_conf;
pub mod passwords;
pub mod policy;
pub mod topics;

#[cfg(test)]
mod replay;
mod report;

// The naive model and the words between it and the engine, as the property tests have them.
#[allow(dead_code, reason = "the property tests use all of it")]
#[path = "../../model/mod.rs"]
mod model;
#[allow(dead_code, reason = "the property tests use all of it")]
#[path = "../../props/support.rs"]
mod support;

/// A new folder, in memory where the machine has such a place: some targets write a file for each input.
fn folder() -> tempfile::TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.unwrap_or_else(|error| panic!("{error}"))
}
