//! Topic names and topic filters of MQTT 5.0 section 4.7.
#![forbid(unsafe_code)]

mod template;

pub use template::Template;
