//! Topic names and topic filters of MQTT 5.0 section 4.7.
//!
//! ```
//! use citronella::topic::{Filter, Name};
//!
//! let filter = Filter::parse("sensors/#")?;
//! assert!(filter.matches(Name::parse("sensors")?));
//! assert!(!filter.matches(Name::parse("sensor")?));
//! # Ok::<(), citronella::topic::TopicError>(())
//! ```
#![forbid(unsafe_code)]

mod filter;
mod name;
mod template;

pub use filter::Filter;
pub use name::Name;
pub use template::{Level, Placeholder, Template, TemplateError, TemplateErrorKind, escape};

pub(crate) use name::{check, hash_level, is_plain, level_at, same};

use thiserror::Error;

/// Longest name or filter in bytes (MQTT 5.0 section 1.5.4).
pub const MAX_TOPIC_BYTES: usize = 65_535;

/// Most levels of a name or a filter. Bounds every walk over one, and stays within Mosquitto's
/// `TOPIC_HIERARCHY_LIMIT`.
pub const MAX_LEVELS: usize = 200;

/// First level of a shared subscription (MQTT 5.0 section 4.8.2). No name has it.
pub const SHARE: &str = "$share";

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TopicError {
    /// Nothing at all.
    #[error("a topic has at least one character")]
    Empty,
    /// More than [`MAX_TOPIC_BYTES`].
    #[error("a topic has at most {MAX_TOPIC_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_LEVELS`].
    #[error("a topic has at most {MAX_LEVELS} levels")]
    TooDeep,
    /// U+0000.
    #[error("a topic cannot contain U+0000")]
    Nul,
    /// `+` or `#` in a name.
    #[error("the name of a topic cannot contain `+` or `#`")]
    Wildcard,
    /// `a+` or `#a`.
    #[error("`{0}` must stand alone in its level")]
    PartialWildcard(char),
    /// `#/a`
    #[error("`#` must be the last level")]
    HashNotLast,
    /// A name that begins with `$share`.
    #[error("`{SHARE}` is for subscriptions only")]
    Shared,
    /// `$share` or `$share/group`.
    #[error("a shared subscription is written `{SHARE}/GROUP/FILTER`")]
    ShareIncomplete,
    /// An empty group, or one with wildcards.
    #[error("the group of a shared subscription has at least one character and no `+` or `#`")]
    ShareGroup,
    /// `$share/g/$share/h/a`
    #[error("a shared subscription cannot stand inside another")]
    ShareNested,
}
