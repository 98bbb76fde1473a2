//! Numbers for people who watch: families of samples, and the text format in which Prometheus collects them.
//!
//! The plugin writes that text to `metrics.prom` in its state directory, where the textfile collector of
//! node_exporter and `citronella status` read it.
//!
//! ```text
//! # HELP citronella_kicks_total Sessions closed because of a change, by reason.
//! # TYPE citronella_kicks_total counter
//! citronella_kicks_total{reason="locked_out"} 2
//! ```
//!
//! SOURCE: exposition formats of Prometheus, text format 0.0.4.
#![forbid(unsafe_code)]

mod read;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use thiserror::Error;

use crate::fs;

pub use read::{Read, ReadError, Sampled};

/// The file's name in the state directory.
pub const FILE: &str = "metrics.prom";

/// Samples of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Family {
    /// Letters, digits and `_`; of a counter it ends in `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What kind of number.
    pub kind: Kind,
    /// In a fixed order; none of them twice.
    pub samples: Vec<Sample>,
}

/// What can be done with a family's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows, and begins at 0 when the plugin starts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something took how long: buckets, a sum and a count.
    Histogram,
}

/// A number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// What follows the family's name: `_bucket`, `_sum` or `_count` in a histogram, else nothing.
    pub suffix: &'static str,
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The number itself.
    pub value: Value,
}

/// The number of a sample.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Seconds with their fraction.
    Seconds(Duration),
}

impl Sample {
    /// A number with these labels.
    #[must_use]
    pub fn new(labels: &[(&'static str, &str)], value: Value) -> Self {
        Self::of("", labels, value)
    }

    /// The same, of a histogram.
    #[must_use]
    pub fn of(suffix: &'static str, labels: &[(&'static str, &str)], value: Value) -> Self {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { suffix, labels, value }
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Seconds(duration)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Seconds(duration) => write!(f, "{}.{:06}", duration.as_secs(), duration.subsec_micros()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

impl fmt::Display for Family {
    /// In the text format, each line with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, kind, samples } = self;
        writeln!(f, "# HELP {name} {help}")?;
        writeln!(f, "# TYPE {name} {kind}")?;
        for sample in samples {
            write!(f, "{name}{}", sample.suffix)?;
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                write!(f, "{before}{label}=\"{}\"", Escaped(value))?;
            }
            let after = if sample.labels.is_empty() { "" } else { "}" };
            writeln!(f, "{after} {}", sample.value)?;
        }
        Ok(())
    }
}

/// The value of a label between its quotes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|ch| match ch {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            ch => write!(f, "{ch}"),
        })
    }
}

/// Longest file that is read, in bytes. Ours have five thousand.
const MAX_BYTES: u64 = 256 * 1024;

/// The numbers that the plugin has written into this directory, if any; taken for the claim of the broker's user.
///
/// # Errors
///
/// It cannot be read, is a link or no file, too large, or not of the format. Never cites any of the file.
pub fn read(directory: &Path) -> Result<Option<Read>, FileError> {
    let path = directory.join(FILE);
    match fs::read_untrusted(&path, MAX_BYTES) {
        Ok(text) => Read::parse(&text).map(Some).map_err(|error| FileError::Malformed { path, error }),
        Err(fs::ReadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::Read(error)),
    }
}

/// When the plugin wrote them last; nothing if that cannot be found out.
#[must_use]
pub fn written(directory: &Path) -> Option<SystemTime> {
    std::fs::symlink_metadata(directory.join(FILE)).and_then(|found| found.modified()).ok()
}

/// Why the numbers cannot be had.
#[derive(Debug, Error)]
pub enum FileError {
    /// It could not be read.
    #[error(transparent)]
    Read(fs::ReadError),
    /// It is not what the plugin writes.
    #[error("`{}`: {error}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ReadError,
    },
}

/// All families in the text format.
#[must_use]
pub fn to_text(families: &[Family]) -> String {
    families.iter().map(Family::to_string).collect()
}

#[cfg(test)]
mod tests;
