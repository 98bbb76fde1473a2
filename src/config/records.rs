//! `[audit]` and `[metrics]`: what the plugin writes of what happens, and where.

use std::time::Duration;

use super::reader::{Entry, Reader, entries};

/// The keys of `[audit]`.
pub const AUDIT_KEYS: [&str; 2] = ["to", "max_bytes"];

/// The keys of `[metrics]`.
pub const METRICS_KEYS: [&str; 2] = ["sys_interval", "file_interval"];

/// Longest interval, in seconds: a day.
const MAX_INTERVAL: u32 = 86_400;

/// `[audit]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Audit {
    /// `to`
    pub to: AuditTo,
    /// `max_bytes`: the file begins anew when it has so many; the one before it is kept beside it. 0: it grows for ever.
    pub max_bytes: u32,
}

/// Where audit records go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AuditTo {
    /// `"off"`: nowhere.
    Off,
    /// `"log"`: to the broker's log.
    Log,
    /// `"file"`: to `audit.jsonl` in the state directory.
    #[default]
    File,
}

/// `[metrics]`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metrics {
    /// `sys_interval`, in seconds: how often changed numbers are published under `$SYS`; `None` for never.
    pub sys_interval: Option<Duration>,
    /// `file_interval`, in seconds: how often the file for Prometheus is written; `None` for never.
    pub file_interval: Option<Duration>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { to: AuditTo::default(), max_bytes: 16 * 1024 * 1024 }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { sys_interval: Some(Duration::from_secs(10)), file_interval: Some(Duration::from_secs(30)) }
    }
}

impl Audit {
    pub(super) fn read(reader: &mut Reader, entry: &Entry<'_, '_>) -> Self {
        let mut audit = Self::default();
        let Some(table) = reader.table(entry.key, entry.value) else { return audit };
        for inner in entries(table) {
            match inner.key {
                "to" => {
                    let known = [("log", AuditTo::Log), ("file", AuditTo::File), ("off", AuditTo::Off)];
                    audit.to = reader.choice(inner.key, inner.value, &known).unwrap_or_default();
                }
                "max_bytes" => {
                    let number = reader.number(inner.key, inner.value, u32::MAX);
                    audit.max_bytes = number.unwrap_or(audit.max_bytes);
                }
                _ => reader.unknown_key(&inner, &AUDIT_KEYS),
            }
        }
        audit
    }
}

impl Metrics {
    pub(super) fn read(reader: &mut Reader, entry: &Entry<'_, '_>) -> Self {
        let mut metrics = Self::default();
        let Some(table) = reader.table(entry.key, entry.value) else { return metrics };
        for inner in entries(table) {
            let interval = match inner.key {
                "sys_interval" => &mut metrics.sys_interval,
                "file_interval" => &mut metrics.file_interval,
                _ => {
                    reader.unknown_key(&inner, &METRICS_KEYS);
                    continue;
                }
            };
            if let Some(seconds) = reader.number(inner.key, inner.value, MAX_INTERVAL) {
                *interval = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            }
        }
        metrics
    }
}
