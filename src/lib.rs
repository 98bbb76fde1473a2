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
//! command ask the same functions and print the same reasons. Without the feature `command` the modules that only the
//! command uses are left out, and the libraries with them: what is left is the plugin.
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
#![cfg_attr(
    not(feature = "command"),
    allow(
        dead_code,
        unused_imports,
        reason = "the plugin has no use for what only the command's modules ask for"
    )
)]

pub mod certificate;
pub mod clock;
pub mod config;
pub mod diag;
#[cfg(feature = "command")]
pub mod diff;
#[cfg(feature = "command")]
pub mod doctor;
pub mod fs;
pub mod ident;
#[cfg(feature = "command")]
pub mod import;
pub mod login;
pub mod metrics;
pub mod mosquitto_conf;
#[cfg(feature = "command")]
pub mod mqtt;
pub mod password;
#[cfg(feature = "command")]
pub mod pki;
pub mod plugin;
pub mod policy;
#[cfg(feature = "command")]
pub mod probe;
pub mod registry;
pub mod secret;
pub mod snapshot;
pub mod status;
#[cfg(feature = "command")]
pub mod suite;
pub mod topic;

#[allow(unsafe_code, reason = "the broker is C; src/ffi is where its pointers become values")]
mod ffi;
