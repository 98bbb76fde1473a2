//! Mistakes in files that people write: where they stand, what is wrong, what to write instead.
//!
//! A [`Diagnostic`] prints in two ways. `{}` is the single line that the broker's log gets, `{:#}` adds
//! the cited source and the remedy for a terminal:
//!
//! ```text
//! devices.toml:3:8: error: no role is called `sensr`
//!   | role = "sensr"
//!   |        ^^^^^^^
//!   = help: did you mean `sensor`?
//! ```
//!
//! A warning says what kind it is, as in `… warning: a role that nobody has [unused-role]`; see [`Code`].
#![forbid(unsafe_code)]

mod code;
mod json;
mod mask;
mod shell;

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use code::Code;
pub use json::harmless_json;
pub use mask::without_secrets;
pub(crate) use mask::{stars, without_hashes};
pub use shell::{shell_path, shell_word};

/// A file that was read, kept so that its lines can be cited.
#[derive(Debug, Eq, PartialEq)]
pub struct Source {
    path: PathBuf,
    text: String,
    /// Byte offset at which each line starts; never empty.
    lines: Vec<usize>,
}

impl Source {
    /// Keeps `text` under the name `path`, which is printed as given.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let lines = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        Arc::new(Self { path: path.into(), text, lines })
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset, both counted from 1, the column in characters.
    #[must_use]
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.line_number(offset);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        (small(line), small(column).saturating_add(1))
    }

    /// The line of a byte offset, counted from 1. Unlike [`Self::position`] it takes the same time for every place
    /// in a line, however long that is.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> u32 {
        small(self.line_number(offset))
    }

    fn line_number(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).max(1)
    }

    /// A place for something that starts at this byte offset.
    #[must_use]
    pub fn place(self: &Arc<Self>, offset: usize) -> Place {
        Place { file: self.path.clone().into(), line: self.line_of(offset) }
    }

    /// The text of a line counted from 1, without its end.
    fn line(&self, line: u32) -> &str {
        let index = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        let start = self.lines.get(index).copied().unwrap_or_default();
        self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }
}

/// Lines and columns beyond `u32` do not exist in files of a bounded size.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A line of a file; what `explain` cites. Cheap to clone.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// As configured; shared by all places of one file where the caller interns it.
    pub file: Arc<Path>,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    /// The file's own name without its folders, and the line: `devices.toml:14`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name().map_or(self.file.as_os_str(), |name| name);
        write!(f, "{}:{}", name.display(), self.line)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Works, but a good colleague would speak up.
    Warning,
    /// Cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One mistake. The message is one sentence in lower case without a full stop, user's text in backticks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Of a warning its kind, and of the few errors that have one.
    pub code: Option<Code>,
    /// The file and the bytes to blame; `None` when no file could be read. An empty span at 0 speaks of the whole file.
    pub place: Option<(Arc<Source>, Range<usize>)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at these bytes of this file.
    pub fn error(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: None,
            place: Some((Arc::clone(source), span)),
            message: harmless(message),
            help: None,
        }
    }

    /// An error that no place in a file stands for, such as a file that cannot be read.
    pub fn general(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: None, place: None, message: harmless(message), help: None }
    }

    /// The same as a warning of this kind.
    #[must_use]
    pub fn warns(mut self, code: Code) -> Self {
        self.severity = Severity::Warning;
        self.code = Some(code);
        self
    }

    /// The same, an error of this kind.
    #[must_use]
    pub fn fails(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// The cited line and the part to blame, each in a line of its own that begins with a line end; none where the
    /// whole file is meant.
    #[must_use]
    pub fn cited(&self) -> Option<String> {
        let (source, span) = self.place.as_ref()?;
        if span.is_empty() && span.start == 0 {
            return None;
        }
        let (line, column) = source.position(span.start);
        let cited = source.line(line);
        let pad = usize::try_from(column).unwrap_or(1) - 1;
        let blamed = source.text().get(span.clone()).unwrap_or_default();
        let width = blamed.lines().next().map_or(1, |text| text.chars().count().max(1));
        Some(format!("\n  | {}\n  | {:pad$}{}", Visible(without_hashes(cited)), "", "^".repeat(width)))
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(harmless(help));
        self
    }
}

/// People send these to others for help: what they quote of a file may have a hash in it.
fn harmless(sentence: impl Into<String>) -> String {
    without_hashes(sentence.into()).into_owned()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((source, span)) = &self.place {
            let (line, column) = source.position(span.start);
            write!(f, "{}:{line}:{column}: ", source.path().display())?;
        }
        write!(f, "{}: {}", self.severity, Visible(&self.message))?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        if !f.alternate() {
            return match &self.help {
                Some(help) => write!(f, "; {}", Visible(help)),
                None => Ok(()),
            };
        }
        if let Some(cited) = self.cited() {
            f.write_str(&cited)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  = help: {}", Visible(help))?;
        }
        Ok(())
    }
}

/// Text of others for a log or a terminal: control characters are shown as escapes, so that no text can
/// start a line of its own or drive a terminal.
pub struct Visible<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ch in self.0.as_ref().chars() {
            if ch == '\t' {
                f.write_str(" ")?;
            } else if ch.is_control()
                || matches!(ch, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                write!(f, "{}", ch.escape_unicode())?;
            } else {
                write!(f, "{ch}")?;
            }
        }
        Ok(())
    }
}

/// A text that somebody else has chosen, as a quoted part of a line: in backticks, which it cannot close, and cut
/// so that it cannot push the rest out of a line.
pub struct Quoted<'a>(pub &'a str);

/// Characters of a [`Quoted`] text that are shown.
const QUOTED_CHARS: usize = 64;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for ch in self.0.chars().take(QUOTED_CHARS) {
            match ch {
                '`' | '\\' => write!(f, "\\{ch}")?,
                ch => write!(f, "{}", Visible(&*ch.encode_utf8(&mut [0; 4])))?,
            }
        }
        if self.0.chars().nth(QUOTED_CHARS).is_some() {
            write!(f, "…` ({} bytes)", self.0.len())
        } else {
            f.write_str("`")
        }
    }
}

/// All the mistakes found in one go, in the order in which they were found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Nothing found so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether anything in it forbids going on.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }

    /// What was found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.diagnostics.iter()
    }

    /// How many errors and how many warnings.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let errors = self.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        (errors, self.diagnostics.len() - errors)
    }
}

impl<'a> IntoIterator for &'a Report {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Report {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.diagnostics.into_iter()
    }
}

impl Extend<Diagnostic> for Report {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, iter: I) {
        self.diagnostics.extend(iter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Diagnostic {
        let source = Source::new("devices.toml", "version = 1\n[é]\nrole = \"sensr\"\n");
        let start = source.text().find("\"sensr\"").unwrap();
        Diagnostic::error(&source, start..start + 7, "no role is called `sensr`")
            .help("did you mean `sensor`?")
    }

    #[test]
    fn one_line_for_the_log() {
        assert_eq!(
            found().to_string(),
            "devices.toml:3:8: error: no role is called `sensr`; did you mean `sensor`?"
        );
    }

    #[test]
    fn cited_source_for_a_terminal() {
        assert_eq!(
            format!("{:#}", found()),
            "devices.toml:3:8: error: no role is called `sensr`\n  | role = \"sensr\"\n  |        ^^^^^^^\n  = help: did you mean `sensor`?"
        );
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source::new("f", "é=1\nb");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 2));
        assert_eq!(source.position(5), (2, 1));
        assert_eq!([0, 2, 4, 5, 9].map(|offset| source.line_of(offset)), [1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_quoted_text_can_neither_close_its_quotes_nor_fill_the_line() {
        assert_eq!(Quoted("a`: \\b\n").to_string(), "`a\\`: \\\\b\\u{a}`");
        let long = "é".repeat(500);
        assert_eq!(Quoted(&long).to_string(), format!("`{}…` (1000 bytes)", "é".repeat(64)));
    }

    #[test]
    fn control_characters_cannot_forge_a_line() {
        assert_eq!(Visible("a\nb\u{1b}[2J").to_string(), "a\\u{a}b\\u{1b}[2J");
    }
}
