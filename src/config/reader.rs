//! A TOML file on its way from text to checked values: every mistake is noted with its place, and reading
//! goes on.

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::words;
use crate::diag::{Code, Diagnostic, Place, Report, Severity, Source, without_secrets};

/// A value and where it stands.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// A key, where it stands, and its value.
pub(crate) struct Entry<'v, 't> {
    /// The key as it is meant, without quotes.
    pub(crate) key: &'v str,
    /// Bytes of the key.
    pub(crate) span: Range<usize>,
    /// What it is set to.
    pub(crate) value: &'v Value<'t>,
}

/// A string and where it stands, quotes included.
#[derive(Clone, Debug)]
pub(crate) struct Text<'v> {
    pub(crate) text: &'v str,
    pub(crate) span: Range<usize>,
}

/// One file: its source for citing, and the mistakes found so far.
pub(crate) struct Reader {
    source: Arc<Source>,
    /// One for all places of the file.
    file: Arc<Path>,
    found: Vec<Diagnostic>,
    /// Where in the file the text begins that spans are counted from.
    base: usize,
    /// Lines with mistakes of syntax, ascending; what was made of them is a guess that deserves no mistakes of its own.
    garbled: Vec<u32>,
}

/// What a line has to look like, for a mistake of syntax.
fn syntax_help(message: &str) -> &'static str {
    const HELP: [(&str, &str); 5] = [
        ("unclosed table", "a table begins with its name in brackets, alone in its line: `[thunder10]`"),
        ("unclosed array", "a list ends with `]`: `roles = [\"sensor\", \"viewer\"]`"),
        (
            "missing comma",
            "commas stand between the values of a list: `[\"a\", \"b\"]`; is one or a `]` missing?",
        ),
        ("must be quoted", "text stands in quotes: `role = \"sensor\"`"),
        ("basic string", "text ends with a quote in the line in which it begins: `role = \"sensor\"`"),
    ];
    let found = HELP.iter().find(|(part, _)| message.contains(part));
    found.map_or(
        "a line is `[name]`, or `key = value` with text in quotes: `role = \"sensor\"`, `retain = false`",
        |(_, help)| help,
    )
}

impl Reader {
    /// For the parts of `text`, which is cited as `path` with the password hashes masked.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self {
            source: Source::new(path, without_secrets(text)),
            file: path.into(),
            found: Vec::new(),
            base: 0,
            garbled: Vec::new(),
        }
    }

    /// Reads the tree of `text`, cited as by [`Self::new`].
    pub(crate) fn parse<'t>(path: &Path, text: &'t str) -> (Self, DeTable<'t>) {
        let mut reader = Self::new(path, text);
        let (tree, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        let duplicates = errors.iter().any(|error| error.message() == DUPLICATE);
        let headers = if duplicates { headers(text) } else { Headers::default() };
        for error in errors {
            match error.message() {
                DUPLICATE => reader.duplicate(text, error.span().unwrap_or(0..0), &headers),
                _ => reader.syntax(text, &error),
            }
        }
        (reader, tree.into_inner())
    }

    fn duplicate(&mut self, text: &str, span: Range<usize>, headers: &Headers<'_>) {
        let key = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
        let line = self.source.line_of(span.start);
        let first = text
            .get(..span.end)
            .and_then(|before| before.rsplit('\n').next())
            .and_then(|before| text.get(span.end - before.len()..))
            .and_then(header)
            .and_then(|header| headers.get(header))
            .filter(|first| **first < line);
        let mistake = match first {
            Some(first) => format!("`{key}` is set twice, first in line {first}"),
            None => format!("`{key}` is set twice"),
        };
        self.found.push(Diagnostic::error(&self.source, span, mistake).help("keep one of the two"));
    }

    fn syntax(&mut self, text: &str, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let line = self.source.line_of(span.start);
        // Of several mistakes in a line all but the first are mostly its consequences.
        if self.garbled.last() == Some(&line) {
            return;
        }
        self.garbled.push(line);
        // A mistake at the end of the file has nothing to point at; the last character will do.
        let last = text.trim_end().char_indices().next_back().map_or(0..0, |(at, ch)| at..at + ch.len_utf8());
        let span = if span.start > last.start { last } else { span };
        let message = error.message().replace('\n', " ");
        let help = syntax_help(&message);
        self.found.push(Diagnostic::error(&self.source, span, message).help(help));
    }

    /// From now on spans are of what begins at this byte of the file.
    pub(crate) fn begin_at(&mut self, base: usize) {
        self.base = base;
    }

    /// Where something is in the file.
    fn in_file(&self, span: &Range<usize>) -> Range<usize> {
        self.base + span.start..self.base + span.end
    }

    /// Whether there was an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(|found| found.severity == Severity::Error)
    }

    /// Whether part of the file could not be understood at all.
    pub(crate) fn is_garbled(&self) -> bool {
        !self.garbled.is_empty()
    }

    /// The file, for whoever cites it later.
    pub(crate) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    /// What `explain` cites for something at this byte.
    pub(crate) fn place(&self, offset: usize) -> Place {
        Place { file: Arc::clone(&self.file), line: self.source.line_of(self.base + offset) }
    }

    /// Notes a mistake unless it stands in a garbled line.
    pub(crate) fn push(&mut self, mistake: Diagnostic) {
        let line = mistake.place.as_ref().map(|(source, span)| source.line_of(span.start));
        if line.is_none_or(|line| self.garbled.binary_search(&line).is_err()) {
            self.found.push(mistake);
        }
    }

    /// Notes an error.
    pub(crate) fn error(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.push(Diagnostic::error(&self.source, self.in_file(&span), message));
    }

    /// Notes an error with its remedy.
    pub(crate) fn error_help(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::error(&self.source, self.in_file(&span), message).help(help));
    }

    /// Notes a warning of this kind.
    pub(crate) fn warning(&mut self, code: Code, span: Range<usize>, (message, help): (String, &str)) {
        self.push(Diagnostic::error(&self.source, self.in_file(&span), message).warns(code).help(help));
    }

    /// Notes a key that means nothing here.
    pub(crate) fn unknown_key(&mut self, entry: &Entry<'_, '_>, known: &[&str]) {
        let mut mistake = Diagnostic::error(
            &self.source,
            self.in_file(&entry.span),
            format!("unknown key `{}`", entry.key),
        );
        mistake.help = words::suggestion(entry.key, known.iter().copied());
        self.push(mistake);
    }

    /// Notes a word that is not among `known`.
    pub(crate) fn unknown_word<'a>(
        &mut self,
        text: &Text<'_>,
        message: String,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let mut mistake = Diagnostic::error(&self.source, self.in_file(&text.span), message);
        mistake.help = words::suggestion(text.text, known);
        self.push(mistake);
    }

    /// Moves what was found to `report`, in the order of the file.
    pub(crate) fn finish(mut self, report: &mut Report) {
        self.found.sort_by_key(|mistake| mistake.place.as_ref().map_or(0, |(_, span)| span.start));
        report.extend(self.found);
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, value: &Value<'_>) {
        let found = type_name(value.get_ref());
        self.error(value.span(), format!("`{key}` must be {wanted}, not {found}"));
    }

    /// The table that `key` must be.
    pub(crate) fn table<'v, 't>(&mut self, key: &str, value: &'v Value<'t>) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, "a table", value);
        }
        table
    }

    /// The string that `key` must be.
    pub(crate) fn string<'v>(&mut self, key: &str, value: &'v Value<'_>) -> Option<Text<'v>> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, "a string", value);
        }
        Some(Text { text: text?, span: value.span() })
    }

    /// The strings of an array, or the one that stands in its place; what is neither is left out.
    pub(crate) fn strings<'v>(&mut self, key: &str, value: &'v Value<'_>) -> Vec<Text<'v>> {
        match value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| {
                    let Some(text) = item.get_ref().as_str() else {
                        let found = type_name(item.get_ref());
                        self.error(item.span(), format!("`{key}` holds strings, not {found}"));
                        return None;
                    };
                    Some(Text { text, span: item.span() })
                })
                .collect(),
            DeValue::String(text) => vec![Text { text, span: value.span() }],
            _ => {
                self.wrong_type(key, "an array of strings", value);
                Vec::new()
            }
        }
    }

    /// The `true` or `false` that `key` must be.
    pub(crate) fn boolean(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(key, "`true` or `false`", value);
        }
        boolean
    }

    /// The whole number from 0 to `most` that `key` must be.
    pub(crate) fn number(&mut self, key: &str, value: &Value<'_>, most: u32) -> Option<u32> {
        let wanted = format!("a whole number from 0 to {most}");
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, &wanted, value);
            return None;
        };
        let small = u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|small| *small <= most);
        if small.is_none() {
            self.error(value.span(), format!("`{key}` must be {wanted}"));
        }
        small
    }

    /// The word among `known` that `key` must be, as what it stands for.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, value: &Value<'_>, known: &[(&str, T)]) -> Option<T> {
        let text = self.string(key, value)?;
        let chosen = known.iter().find(|(word, _)| *word == text.text).map(|(_, chosen)| *chosen);
        if chosen.is_none() {
            let message = format!("`{key}` cannot be `{}`", text.text);
            self.unknown_word(&text, message, known.iter().map(|(word, _)| *word));
        }
        chosen
    }

    /// The bytes to blame for a mistake at `inner`, counted from the start of the string's content: these very
    /// bytes if the string is written without escapes on one line, else all of it.
    pub(crate) fn inside(&self, text: &Text<'_>, inner: Range<usize>) -> Range<usize> {
        let written = self.source.text().get(self.in_file(&text.span)).unwrap_or_default();
        let plain = written
            .strip_prefix(['"', '\''])
            .and_then(|rest| rest.strip_suffix(['"', '\'']))
            .is_some_and(|content| content == text.text);
        let (start, end) = (text.span.start + 1 + inner.start, text.span.start + 1 + inner.end);
        if plain && !inner.is_empty() && end < text.span.end { start..end } else { text.span.clone() }
    }
}

/// The entries in the order of the file.
pub(crate) fn entries<'v, 't>(table: &'v DeTable<'t>) -> Vec<Entry<'v, 't>> {
    let mut entries: Vec<Entry<'v, 't>> =
        table.iter().map(|(key, value)| Entry { key: key.get_ref(), span: key.span(), value }).collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

/// How people call it.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// What the parser says of a key or a table that is there already.
const DUPLICATE: &str = "duplicate key";

/// The headers of tables and the lines they first stand in.
type Headers<'t> = HashMap<&'t str, u32, foldhash::fast::RandomState>;

fn headers(text: &str) -> Headers<'_> {
    let mut headers = Headers::default();
    for (line, number) in text.split('\n').zip(1..) {
        if let Some(header) = header(line) {
            headers.entry(header).or_insert(number);
        }
    }
    headers
}

/// `[…]` at the start of a line.
fn header(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let end = line.find([']', '\n']).filter(|_| line.starts_with('['))?;
    line.get(..=end)
}
