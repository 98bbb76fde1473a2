//! Everything judged from outside: real programs, real files, real kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a test stops by panicking"
)]

mod pki_authority;
mod pki_judges;
mod pki_kill;
mod pki_support;
