//! Files of `mosquitto_passwd`: a line `USER:HASH` for each user.

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use super::PasswordHash;
use crate::{
    diag::{self, Code, Diagnostic, Report, Source},
    ident::{self, is_blank, trim_blanks},
};

/// Somebody who has a hash.
#[derive(Debug)]
pub struct User {
    /// A name that a device could have.
    pub name: Box<str>,
    /// Of the password.
    pub hash: PasswordHash,
    /// Bytes of the name in the file.
    pub span: Range<usize>,
}

/// Everybody in the file, in its order, and the file as it may be cited: without the hashes.
///
/// Lines are split as Mosquitto splits them: `#` in the first column starts a comment, blank lines are
/// skipped, name and hash are trimmed, what follows a second `:` is ignored. Unlike in Mosquitto 2.0, where a
/// bad entry is dropped and a line without `:` skipped in silence, a bad hash and a second one for a name are
/// errors, as in 2.1, and a line without `:` is a warning. So is a user whom no device could be called, such as
/// `bob+iot@example.com`, who is nobody here and left out.
pub fn parse(path: &Path, text: &str, report: &mut Report) -> (Arc<Source>, Vec<User>) {
    let source = Source::new(path, without_secrets(text));
    let mut users: Vec<User> = Vec::new();
    let mut seen: HashMap<Box<str>, Range<usize>, foldhash::fast::RandomState> = HashMap::default();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        if line.starts_with('#') || trim_blanks(line).is_empty() {
            continue;
        }
        match entry(&source, at, line) {
            Ok(user) => {
                if let Some(first) = seen.get(&user.name) {
                    let line = source.line_of(first.start);
                    report.push(
                        Diagnostic::error(
                            &source,
                            user.span,
                            format!("`{}` stands here a second time, first in line {line}", user.name),
                        )
                        .help("keep one of the two lines"),
                    );
                } else {
                    seen.insert(user.name.clone(), user.span.clone());
                    users.push(user);
                }
            }
            Err(mistake) => report.push(*mistake),
        }
    }
    (source, users)
}

fn entry(source: &Arc<Source>, at: usize, line: &str) -> Result<User, Box<Diagnostic>> {
    let Some((name, rest)) = line.split_once(':') else {
        let span = trimmed(at, line);
        return Err(Box::new(
            Diagnostic::error(source, span, "this line has no `:` and is skipped")
                .warns(Code::SkippedLine)
                .help("write `USER:HASH`, or `#` before a comment"),
        ));
    };
    let span = trimmed(at, name);
    let hash = trim_blanks(rest.split(':').next().unwrap_or_default());
    let name = trim_blanks(name);
    ident::check_name(name).map_err(|error| {
        Box::new(
            Diagnostic::error(
                source,
                span.clone(),
                format!("no device can be called `{name}`, so this user is refused: {error}"),
            )
            .warns(Code::UnlistedUser)
            .help("rename the user or take the line out"),
        )
    })?;
    let hash = PasswordHash::parse(hash).map_err(|error| {
        Box::new(
            Diagnostic::error(source, span.clone(), format!("the entry of `{name}`: {error}"))
                .help("let `mosquitto_passwd` or `citronella password set` write it"),
        )
    })?;
    Ok(User { name: name.into(), hash, span })
}

/// The bytes of `part`, which starts at `at`, without outer blanks; at least one where there are any.
fn trimmed(at: usize, part: &str) -> Range<usize> {
    let start = at + (part.len() - part.trim_start_matches(is_blank).len());
    start..(start + trim_blanks(part).len())
}

/// What stands where hashes do, and whatever else looks like one, replaced by as many asterisks, so that no cited line
/// shows it.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // A line without a colon may be a hash or a password that lost its name.
        let (open, secret) = match line.split_once(':') {
            Some((name, _)) if !line.starts_with('#') => line.split_at_checked(name.len() + 1),
            _ => None,
        }
        .unwrap_or(("", line));
        masked.push_str(&diag::without_hashes(open));
        masked.extend(diag::stars(secret));
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$6$vOyZi7l2GwoqWMq6$Ss0hpnrlJg/7z+NXLzUxmZ5rDKWtL5aKkPLq7XGFGAs6oB4Lu2DNxyLcWQXKZ4DYOCwoQvUZG0M0rQ5x3pVnkQ==";

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut report = Report::new();
        let (_, users) = parse(Path::new("passwd"), text, &mut report);
        (
            users.into_iter().map(|user| user.name.into()).collect(),
            report.iter().map(|found| format!("{found:#}")).collect(),
        )
    }

    #[test]
    fn lines_are_split_as_the_broker_splits_them() {
        let (users, found) = read(&format!("#a:{HASH}\n\n b :  {HASH} \r\nc:{HASH}:ignored\n"));
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(users, ["b", "c"]);

        let (users, found) = read(&format!("d\u{a0}:{HASH}\n\u{3000}e:{HASH}\n\tf\u{b}:{HASH}\n"));
        assert_eq!(users, ["f"], "whose blank is none of the broker's is somebody else");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn every_mistake_is_named_and_no_hash_is_shown() {
        let (users, found) =
            read(&format!("a:{HASH}\nno colon\na:{HASH}\nb:hunter2\n:{HASH}\nc/d:{HASH}\n # e\nf:\n"));
        assert_eq!(users, ["a"]);
        let all = found.join("\n");
        for expected in [
            "passwd:2:1: warning: this line has no `:`",
            "passwd:3:1: error: `a` stands here a second time, first in line 1",
            "passwd:4:1: error: the entry of `b`: this is not a password hash",
            "passwd:5:1: warning: no device can be called ``, so this user is refused",
            "passwd:6:1: warning: no device can be called `c/d`, so this user is refused",
            "passwd:7:2: warning: this line has no `:`",
            "passwd:8:1: error: the entry of `f`",
        ] {
            assert!(all.contains(expected), "{expected} is not in\n{all}");
        }
        assert_eq!(found.len(), 7, "{all}");
        assert!(!all.contains("vOyZ") && !all.contains("hunter2"), "{all}");
    }
}
