//! Citronella keeps strangers away from a Mosquitto broker.
//!
//! ```text
//!   what people write            checked once                  asked a million times
//!
//!   citronella.toml ─┐ config     names become indices,
//!   devices.toml ────┼─▶ drafts ─▶ or ALL mistakes  ─▶ Snapshot ─▶ decide(request) ─▶ Decision
//!   password file ───┘ with places                    immutable     total, no I/O     with its reason
//! ```
//!
//! Nothing is looked up by name after loading; a decision cannot fail; the plugin (`plugin`, `ffi`) and the
//! command ask the same functions and print the same reasons.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        reason = "a test stops by panicking"
    )
)]

pub mod certificate;
pub mod clock;
pub mod config;
pub mod diag;
pub mod diff;
pub mod doctor;
pub mod fs;
pub mod ident;
pub mod import;
pub mod login;
pub mod metrics;
pub mod mosquitto_conf;
pub mod mqtt;
pub mod password;
pub mod pki;
pub mod plugin;
pub mod policy;
pub mod probe;
pub mod registry;
pub mod secret;
pub mod snapshot;
pub mod status;
pub mod suite;
pub mod topic;

#[allow(unsafe_code, reason = "the broker is C; src/ffi is where its pointers become values")]
mod ffi;
