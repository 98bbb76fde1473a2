//! Filters with placeholders, as rules are written.
//!
//! A placeholder is `{device}`, `{username}` (the same), `{clientid}` or `{attr.NAME}`; one level holds at most one,
//! with text before and after it if need be. A brace that is meant as a brace is written twice: `{{` and `}}`.

use std::{borrow::Cow, fmt, ops::Range};

use thiserror::Error;

use super::{Filter, MAX_LEVELS, MAX_TOPIC_BYTES, SHARE, TopicError};

/// A filter with placeholders.
///
/// ```
/// use citronella::topic::{Placeholder, Template};
///
/// let template = Template::parse("site/{attr.site}/+/dev-{device}/#")?;
/// let used: Vec<Placeholder> = template.placeholders().collect();
/// assert_eq!(used, [Placeholder::Attribute("site".into()), Placeholder::Device]);
/// # Ok::<(), citronella::topic::TemplateError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Template {
    // INVARIANT: `read_level` accepts every level. Only `parse` makes one.
    text: Box<str>,
}

impl Template {
    /// Reads what stands in a rule.
    ///
    /// # Errors
    ///
    /// The first mistake, with the bytes of `text` to blame.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let whole = |error: TopicError| TemplateError { kind: error.into(), span: 0..text.len() };
        if text.is_empty() {
            return Err(whole(TopicError::Empty));
        }
        if text.len() > MAX_TOPIC_BYTES {
            return Err(whole(TopicError::TooLong));
        }
        let mut start = 0;
        for (index, level) in text.split('/').enumerate() {
            let end = start + level.len();
            let fail = |kind, span| Err(TemplateError { kind, span });
            if index == MAX_LEVELS {
                return fail(TopicError::TooDeep.into(), start..text.len());
            }
            let read = read_level(level).map_err(|(kind, Range { start: from, end: to })| TemplateError {
                kind,
                span: start + from..start + to,
            })?;
            match read {
                Level::Hash if end < text.len() => return fail(TopicError::HashNotLast.into(), start..end),
                Level::Text(first) if index == 0 && first == SHARE => {
                    return fail(TemplateErrorKind::Share, start..end);
                }
                Level::Text(_) | Level::Hole { .. } | Level::Plus | Level::Hash => {}
            }
            start = end + 1;
        }
        Ok(Self { text: text.into() })
    }

    /// What was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its levels, from the left; at least one.
    pub fn levels(&self) -> impl Iterator<Item = Level<'_>> {
        self.text.split('/').map_while(|level| read_level(level).ok())
    }

    /// The placeholders it needs values for, from the left, with repetitions.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.holes().map(|(placeholder, _)| placeholder)
    }

    /// The same, each with its bytes in [`Self::as_str`], braces included.
    pub fn holes(&self) -> impl Iterator<Item = (Placeholder, Range<usize>)> {
        let mut next = 0;
        let starts = self.text.split('/').map(move |level| {
            let start = next;
            next += level.len() + 1;
            start..start + level.len()
        });
        starts.zip(self.levels()).filter_map(|(whole, level)| match level {
            Level::Hole { prefix, placeholder, suffix } => {
                Some((placeholder, whole.start + escape(&prefix).len()..whole.end - escape(&suffix).len()))
            }
            Level::Text(_) | Level::Plus | Level::Hash => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Filter<'_>> for Template {
    /// The template that matches what the filter matches, without its `$share/GROUP/`: braces are doubled.
    fn from(filter: Filter<'_>) -> Self {
        Self { text: escape(filter.plain()).into() }
    }
}

/// `text` with its braces doubled, so that a template takes them as they are.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(['{', '}']) {
        Cow::Owned(text.replace('{', "{{").replace('}', "}}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What a placeholder stands for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Placeholder {
    /// `{device}` or `{username}`: the device's name.
    Device,
    /// `{clientid}`
    ClientId,
    /// `{attr.NAME}`: the device's attribute of that name.
    Attribute(Box<str>),
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("{device}"),
            Self::ClientId => f.write_str("{clientid}"),
            Self::Attribute(name) => write!(f, "{{attr.{name}}}"),
        }
    }
}

/// One level of a template.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level<'t> {
    /// Itself, braces already single.
    Text(Cow<'t, str>),
    /// A placeholder between two texts that may be empty.
    Hole {
        /// Stands before the value.
        prefix: Cow<'t, str>,
        /// What the value is.
        placeholder: Placeholder,
        /// Stands after the value.
        suffix: Cow<'t, str>,
    },
    /// `+`
    Plus,
    /// `#`, always the last.
    Hash,
}

/// Why a text is no template, and which of its bytes are to blame.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{kind}")]
pub struct TemplateError {
    /// What is wrong.
    pub kind: TemplateErrorKind,
    /// Byte range in the text that was parsed.
    pub span: Range<usize>,
}

impl TemplateError {
    /// What to write instead, where there is something to say beyond the message.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.kind.help()
    }
}

/// What can be wrong with a template.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TemplateErrorKind {
    /// It would not be a filter.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A filter of a shared subscription.
    #[error("rules speak of plain filters, without `{SHARE}/GROUP/`")]
    Share,
    /// `{devcie}`
    #[error("there is no placeholder `{{{0}}}`")]
    UnknownPlaceholder(Box<str>),
    /// `{attr.}`
    #[error("`{{attr.}}` needs the name of an attribute")]
    NamelessAttribute,
    /// `{device`
    #[error("this `{{` is never closed in its level")]
    Unclosed,
    /// `device}`
    #[error("this `}}` closes nothing")]
    Unopened,
    /// `{device}{clientid}`
    #[error("a level holds at most one placeholder")]
    SecondPlaceholder,
}

impl TemplateErrorKind {
    /// See [`TemplateError::help`].
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Topic(TopicError::PartialWildcard('+')) => {
                Some("put `/` around `+`; it stands for one whole level".into())
            }
            Self::Topic(TopicError::PartialWildcard(_) | TopicError::HashNotLast) => {
                Some("`#` stands for all remaining levels, as in `sensors/#`".into())
            }
            Self::Topic(_) | Self::NamelessAttribute => None,
            Self::Share => {
                Some("write the filter that follows the group; it covers shared subscriptions".into())
            }
            Self::UnknownPlaceholder(name) => Some(match meant(name) {
                Some(known) => format!("did you mean `{{{known}}}`?"),
                None => format!(
                    "known are `{{device}}`, `{{username}}`, `{{clientid}}` and `{{attr.NAME}}`; braces in a topic are doubled: `{{{{{name}}}}}`"
                ),
            }),
            Self::Unclosed => Some("a brace that belongs to the topic is written `{{`".into()),
            Self::Unopened => Some("a brace that belongs to the topic is written `}}`".into()),
            Self::SecondPlaceholder => Some("put `/` between them".into()),
        }
    }
}

/// The placeholder that other software calls `name`, or that differs by case or blanks.
fn meant(name: &str) -> Option<&'static str> {
    match name.trim().to_lowercase().replace(['_', '-', ' '], "").as_str() {
        "device" | "devices" | "devicename" | "deviceid" | "name" | "cn" | "devcie" | "dev" => Some("device"),
        "username" | "user" | "u" => Some("username"),
        "clientid" | "client" | "clientname" | "c" | "id" => Some("clientid"),
        "attr" | "attribute" => Some("attr.NAME"),
        _ => None,
    }
}

/// A mistake within a level, with its bytes counted from the level's start.
type Blame = (TemplateErrorKind, Range<usize>);

/// One level, or what is wrong with it.
fn read_level(level: &str) -> Result<Level<'_>, Blame> {
    match level {
        "+" => return Ok(Level::Plus),
        "#" => return Ok(Level::Hash),
        // Most levels.
        _ if !level.bytes().any(|byte| matches!(byte, 0 | b'+' | b'#' | b'{' | b'}')) => {
            return Ok(Level::Text(level.into()));
        }
        _ => {}
    }
    if let Some((at, wrong)) = level.char_indices().find(|(_, ch)| matches!(ch, '\0' | '+' | '#')) {
        let error = if wrong == '\0' { TopicError::Nul } else { TopicError::PartialWildcard(wrong) };
        return Err((error.into(), at..at + 1));
    }
    let Some((prefix, found, end)) = next_placeholder(level, 0)? else {
        return Ok(Level::Text(unescape(level)));
    };
    if let Some((_, _, second_end)) = next_placeholder(level, end)? {
        return Err((TemplateErrorKind::SecondPlaceholder, end..second_end));
    }
    let placeholder = match found {
        "device" | "username" => Placeholder::Device,
        "clientid" => Placeholder::ClientId,
        "attr." => return Err((TemplateErrorKind::NamelessAttribute, prefix.len()..end)),
        other => match other.strip_prefix("attr.") {
            Some(name) => Placeholder::Attribute(name.into()),
            None => return Err((TemplateErrorKind::UnknownPlaceholder(other.into()), prefix.len()..end)),
        },
    };
    let suffix = level.get(end..).unwrap_or_default();
    Ok(Level::Hole { prefix: unescape(prefix), placeholder, suffix: unescape(suffix) })
}

/// The first placeholder from byte `from` on: the text from `from` to it, what stands between its braces, and where it ends.
fn next_placeholder(level: &str, from: usize) -> Result<Option<(&str, &str, usize)>, Blame> {
    let mut at = from;
    while let Some(rest) = level.get(at..)
        && let Some(brace) = rest.find(['{', '}'])
    {
        let open = at + brace;
        let tail = rest.get(brace..).unwrap_or_default();
        if tail.starts_with("{{") || tail.starts_with("}}") {
            at = open + 2;
            continue;
        }
        if tail.starts_with('}') {
            return Err((TemplateErrorKind::Unopened, open..open + 1));
        }
        let inside = tail.get(1..).unwrap_or_default();
        return match inside.find(['{', '}']) {
            Some(length) if inside.get(length..).is_some_and(|end| end.starts_with('}')) => Ok(Some((
                level.get(from..open).unwrap_or_default(),
                inside.get(..length).unwrap_or_default(),
                open + length + 2,
            ))),
            _ => Err((TemplateErrorKind::Unclosed, open..open + 1)),
        };
    }
    Ok(None)
}

/// Doubled braces are single ones.
fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains(['{', '}']) {
        Cow::Owned(text.replace("{{", "{").replace("}}", "}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
