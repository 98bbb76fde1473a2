//! The part of MQTT 3.1.1 and 5.0 that a client needs which asks a broker questions: packets as bytes, and a blocking
//! client over any stream.
//!
//! ```
//! use citronella::mqtt::{Packet, Version};
//!
//! let mut bytes = b"\x20\x02\x00\x05".to_vec();
//! let packet = Packet::take(&mut bytes, Version::V311)?;
//! assert_eq!(packet, Some(Packet::ConnAck { session_present: false, code: 5 }));
//! # Ok::<(), citronella::mqtt::MqttError>(())
//! ```
#![forbid(unsafe_code)]

mod client;
mod packet;

pub use client::{Client, Connected};
pub use packet::{Connect, Message, Packet};

use thiserror::Error;

/// Longest packet that is accepted from a broker, and longest that is sent, in bytes after its length.
pub const MAX_PACKET_BYTES: usize = 1024 * 1024;

/// Which MQTT is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// MQTT 3.1.1
    V311,
    /// MQTT 5.0
    V5,
}

/// Why a conversation with a broker ended, or did not begin.
#[derive(Debug, Error)]
pub enum MqttError {
    /// The stream failed; `TimedOut` and `WouldBlock` if it has a deadline that passed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    Closed,
    /// The broker said good-bye, with this reason code.
    #[error("the broker ended the session with code {0:#04x}")]
    Disconnected(u8),
    /// These bytes are no packet of MQTT.
    #[error("the broker sent what is no MQTT: {0}")]
    Malformed(&'static str),
    /// More than [`MAX_PACKET_BYTES`], or a text of more than 65,535 bytes.
    #[error("a packet is too long")]
    TooLong,
}
