//! Reads a `password_file` with whatever names stand in it.

use std::sync::Arc;

use super::{Code, Note, mistake, notes};
use crate::{
    diag::{Report, Source},
    ident::{is_blank, trim_blanks},
    password::PasswordHash,
};

/// A user and the hash.
pub(super) struct User {
    pub(super) name: String,
    pub(super) line: u32,
    /// As this program writes it.
    pub(super) hash: String,
}

/// Splits lines as [`crate::password::file::parse`] does. `source` must not be cited where there are hashes: mistakes
/// blame the name alone, in a source without them.
pub(super) fn parse(
    source: &Arc<Source>,
    text: &str,
    report: &mut Report,
    notes: &mut Vec<Note>,
) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1_u32..) {
        let at = start;
        start += line.len();
        if line.starts_with('#') || trim_blanks(line).is_empty() {
            continue;
        }
        // The broker swallows a leading colon.
        let colons = line.len() - line.trim_start_matches(':').len();
        let line = line.trim_start_matches(':');
        let Some((name, rest)) = line.split_once(':') else {
            notes.push(notes::Note {
                code: Code::SkippedLine,
                file: notes::file_name(source),
                line: number,
                message: "this line has no `:`; the broker skips it, and so does this".into(),
                losses: Vec::new(),
            });
            continue;
        };
        let lead = at + colons + (name.len() - name.trim_start_matches(is_blank).len());
        let name = trim_blanks(name);
        let span = lead..lead + name.len();
        let hash = trim_blanks(rest.split(':').find(|field| !field.is_empty()).unwrap_or_default());
        if let Some(first) = seen.insert(name.to_owned(), number) {
            let message = format!("`{name}` stands here a second time, first in line {first}");
            report.push(mistake(source, span, message).help("keep one of the two lines"));
            continue;
        }
        match PasswordHash::parse(hash) {
            Ok(hash) => users.push(User { name: name.to_owned(), line: number, hash: hash.to_text() }),
            Err(error) => report.push(
                mistake(source, span, format!("the entry of `{name}`: {error}"))
                    .help("let `mosquitto_passwd` write it, or take the line out"),
            ),
        }
    }
    users
}
