//! Lines that warnings point at.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use citronella::{
    diag::{self, Code, Diagnostic, Place, Source},
    policy::Rule,
    registry::Device,
};

/// A warning, and what an allowance calls the thing that it is about.
pub(super) struct Warning {
    pub(super) found: Diagnostic,
    /// The role or device, `everyone`, `anonymous`, or the user; and the filter as written.
    pub(super) at: Vec<Box<str>>,
}

impl Warning {
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.found.help = Some(help.into());
        self
    }
}

/// Files that are cited, read once each, without anything in them that may be a hash.
pub(super) struct Cited {
    password_file: Option<PathBuf>,
    files: HashMap<Arc<Path>, Lines>,
}

struct Lines {
    source: Arc<Source>,
    /// The bytes of each line.
    spans: Vec<Range<usize>>,
    /// Of the password file: each user's line.
    users: HashMap<Box<str>, u32>,
}

impl Cited {
    pub(super) fn new(password_file: Option<&Path>) -> Self {
        Self { password_file: password_file.map(Path::to_owned), files: HashMap::new() }
    }

    /// At the first of these lines that the file has, apart from comments, or at the file as a whole.
    pub(super) fn head(
        &mut self,
        code: Code,
        (file, heads): (&Arc<Path>, &[String]),
        (name, message): (&str, String),
    ) -> Warning {
        let line = self.lines(file).head(heads).unwrap_or_default();
        self.line(code, (&Place { file: Arc::clone(file), line }, name), message)
    }

    /// The line of the password file that gives the user a hash.
    pub(super) fn user(&mut self, name: &str) -> Option<Place> {
        let file: Arc<Path> = self.password_file.as_deref()?.into();
        let line = *self.lines(&file).users.get(name)?;
        Some(Place { file, line })
    }

    /// Whether the file has all of this text.
    pub(super) fn holds(&mut self, file: &Arc<Path>, text: &str) -> bool {
        self.lines(file).source.text().contains(text)
    }
    /// At the head of a device's table.
    pub(super) fn device(&mut self, code: Code, device: &Device, message: String) -> Warning {
        self.line(code, (&device.place(), device.name().as_str()), message)
    }

    /// At the device's `key`, or at its head if the key does not stand in a line of its own.
    pub(super) fn key(&mut self, code: Code, (device, key): (&Device, &str), message: String) -> Warning {
        let head = device.place();
        let line = self.lines(&head.file).key(head.line, key).unwrap_or(head.line);
        let place = Place { file: Arc::clone(&head.file), line };
        self.line(code, (&place, device.name().as_str()), message)
    }

    /// At a line, about somebody of this name.
    pub(super) fn line(&mut self, code: Code, (place, name): (&Place, &str), message: String) -> Warning {
        let lines = self.lines(&place.file);
        let span = lines.span(place.line);
        Warning { found: Diagnostic::error(&lines.source, span, message).warns(code), at: vec![name.into()] }
    }

    /// At the filter of a rule, about its owner.
    pub(super) fn rule(&mut self, code: Code, (owner, rule): (&str, &Rule), message: String) -> Warning {
        let text = rule.template.as_str();
        let lines = self.lines(&rule.place.file);
        let line = lines.span(rule.place.line);
        let cited = lines.source.text().get(line.clone()).unwrap_or_default();
        let quoted = [format!("\"{text}\""), format!("'{text}'")];
        let span = quoted
            .iter()
            .find_map(|quoted| cited.find(quoted).map(|at| (at, quoted.len())))
            .map_or(line.clone(), |(at, length)| line.start + at..line.start + at + length);
        Warning {
            found: Diagnostic::error(&lines.source, span, message).warns(code),
            at: vec![owner.into(), text.into()],
        }
    }

    fn lines(&mut self, file: &Arc<Path>) -> &Lines {
        let holds_users = self.password_file.as_deref() == Some(&**file);
        self.files.entry(Arc::clone(file)).or_insert_with(|| Lines::read(file, holds_users))
    }
}

impl Lines {
    /// Empty if the file has gone since it was loaded.
    fn read(file: &Path, holds_users: bool) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let text = if holds_users { text } else { diag::without_secrets(&text) };
        let mut shown = String::with_capacity(text.len());
        let (mut spans, mut users) = (Vec::new(), HashMap::new());
        for (line, number) in text.lines().zip(1..) {
            let start = shown.len();
            if holds_users {
                let user = line.split(':').next().unwrap_or_default();
                shown.push_str(user);
                users.entry(user.trim().into()).or_insert(number);
            } else {
                shown.push_str(without_values(line));
            }
            spans.push(start..shown.len());
            shown.push('\n');
        }
        Self { source: Source::new(file, shown), spans, users }
    }

    fn head(&self, heads: &[String]) -> Option<u32> {
        let texts = self.spans.iter().filter_map(|span| self.source.text().get(span.clone()));
        let is_head = |text: &str| heads.iter().any(|head| text.trim_start().starts_with(head));
        texts.zip(1..).find(|(text, _)| is_head(text)).map(|(_, line)| line)
    }

    fn span(&self, line: u32) -> Range<usize> {
        let at = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        self.spans.get(at).cloned().unwrap_or(0..0)
    }

    /// The line after `head` that sets `key`, before the next table begins.
    fn key(&self, head: u32, key: &str) -> Option<u32> {
        let after = usize::try_from(head).ok()?;
        let texts = self.spans.get(after..)?.iter().map(|span| self.source.text().get(span.clone()));
        for (text, line) in texts.zip(head + 1..) {
            let text = text?.trim_start();
            if text.starts_with('[') {
                return None;
            }
            let rest = text.strip_prefix(key);
            if rest.is_some_and(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with('=')) {
                return Some(line);
            }
        }
        None
    }
}

/// All of a line that can hold neither hash nor password, else its key: what stands behind that is asterisks, or worse.
fn without_values(line: &str) -> &str {
    let line = line.trim_end();
    // What is written with an escape could be a `$`.
    let suspect = ["password", "hash", "$6$", "$7$", "$argon2", "\\u", "\\U", "\\x"];
    if suspect.iter().any(|part| line.contains(part)) {
        line.split(['=', '$', '"', '\'']).next().unwrap_or_default().trim_end()
    } else {
        line
    }
}
