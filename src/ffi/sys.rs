//! What bindgen makes of `include/citronella_broker.h`.
#![allow(
    dead_code,
    missing_docs,
    nonstandard_style,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "generated; its layout assertions are what we want of it"
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
