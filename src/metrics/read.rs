//! Reading the text format back, strictly: it is ours, and what does not fit it was not written by us.

use std::collections::HashMap;

use thiserror::Error;

/// The samples of a file, by the name with its suffix, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    samples: Vec<Sampled>,
}

/// A sample that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// With its suffix.
    pub name: String,
    /// Names and values in the order of the file.
    pub labels: Vec<(String, String)>,
    /// A finite number.
    pub value: f64,
}

/// A line that is not of the format.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("line {line}: {what}")]
pub struct ReadError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Read {
    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// The first line that is neither HELP, TYPE nor a sample of the family above it, a family or a sample that is
    /// there twice, a number that is none, or a last line without its end.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let mut read = Self::default();
        // The kind of each family so far; the last one is open.
        let mut kinds: HashMap<&str, &str> = HashMap::new();
        let mut helped = None;
        let mut open = None;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(ReadError { line: text.lines().count(), what: "the line has no end" });
        }
        for (line, number) in text.lines().zip(1..) {
            let wrong = |what| ReadError { line: number, what };
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, _) = help.split_once(' ').ok_or_else(|| wrong("no help"))?;
                helped = Some(name);
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').ok_or_else(|| wrong("no type"))?;
                if helped != Some(name) {
                    return Err(wrong("a type without its help"));
                }
                if !is_name(name) || !matches!(kind, "counter" | "gauge" | "histogram") {
                    return Err(wrong("no such type"));
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return Err(wrong("counters, and they alone, end in _total"));
                }
                if kinds.insert(name, kind).is_some() {
                    return Err(wrong("a family that was there before"));
                }
                open = Some((name, kind));
            } else {
                let sample = sample(line).ok_or_else(|| wrong("no sample"))?;
                let (family, kind) = open.ok_or_else(|| wrong("a sample without a family"))?;
                let suffix = sample.name.strip_prefix(family).ok_or_else(|| wrong("another family's"))?;
                let fits = match kind {
                    "histogram" => matches!(suffix, "_bucket" | "_sum" | "_count"),
                    _ => suffix.is_empty(),
                };
                if !fits {
                    return Err(wrong("another family's"));
                }
                let twice = |other: &Sampled| (&other.name, &other.labels) == (&sample.name, &sample.labels);
                if read.samples.iter().any(twice) {
                    return Err(wrong("a sample that was there before"));
                }
                read.samples.push(sample);
            }
        }
        Ok(read)
    }

    /// All samples of this name.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sampled> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum of all samples of this name that have these labels, among others; `None` if there are none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sampled| {
            labels.iter().all(|wanted| {
                sample.labels.iter().any(|(label, value)| (label.as_str(), value.as_str()) == *wanted)
            })
        };
        self.of(name).filter(fits).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }
}

impl Sampled {
    /// The value of this label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// `NAME{LABEL="VALUE",…} NUMBER`
fn sample(line: &str) -> Option<Sampled> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at_checked(end)?;
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.iter().any(|(other, _)| other == label) {
                return None;
            }
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let number = rest.strip_prefix(' ')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = number.parse().ok().filter(|_| plain)?;
    is_name(name).then(|| Sampled { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, and what follows that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, ch)) = chars.next() {
        match ch {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                ch @ ('\\' | '"') => ch,
                _ => return None,
            }),
            ch => value.push(ch),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    text.starts_with(|ch: char| ch.is_ascii_alphabetic() || ch == '_')
        && text.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
}
