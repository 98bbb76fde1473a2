//! Reads an `acl_file`. SOURCE: Mosquitto's manual, and what its releases 2.0 and 2.1 do.

use std::sync::Arc;

use super::mistake;
use crate::{
    diag::{Report, Source},
    ident::{is_blank, trim_blanks},
    topic::Filter,
};

/// What a line gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
    ReadWrite,
    Deny,
}

/// A line `topic …` or `pattern …`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) access: Access,
    pub(super) filter: String,
    /// Counted from 1.
    pub(super) line: u32,
    /// The line as it is written, without outer blanks.
    pub(super) text: String,
}

/// All lines, by whom they are for; denials before what they are about, as the broker asks them.
#[derive(Debug, Default)]
pub(super) struct AclFile {
    /// `topic` before the first `user`: for clients without a name.
    pub(super) anonymous: Vec<Entry>,
    /// `pattern`, wherever it stands: for everybody.
    pub(super) patterns: Vec<Entry>,
    /// `user NAME`, the line it stands in first, and its `topic` lines.
    pub(super) users: Vec<(String, u32, Vec<Entry>)>,
}

/// Reads `source`; mistakes are what keeps the broker from starting.
pub(super) fn parse(source: &Arc<Source>, report: &mut Report) -> AclFile {
    let mut file = AclFile::default();
    let mut user: Option<usize> = None;
    let mut start = 0;
    // Somebody may have named the file of passwords here.
    let cited = Source::new(source.path(), without_strangers(source.text()));
    for (whole, number) in source.text().split_inclusive('\n').zip(1_u32..) {
        let at = start;
        start += whole.len();
        let line = whole.trim_end_matches(is_blank);
        let mut fail = |message: String, help: &str| {
            let lead = line.len() - line.trim_start().len();
            report.push(mistake(&cited, at + lead..at + line.len(), message).help(help));
        };
        if line.starts_with('#') || line.trim_matches(' ').is_empty() {
            continue;
        }
        if line.contains('\0') {
            fail("a line cannot contain the byte 0".into(), "take it out");
            continue;
        }
        let (word, rest) =
            line.trim_start_matches(' ').split_once(' ').unwrap_or((line.trim_matches(' '), ""));
        match word {
            "user" if trim_blanks(rest).is_empty() => {
                fail("`user` without a name".into(), "write `user NAME`")
            }
            "user" => {
                let name = trim_blanks(rest);
                let known = file.users.iter().position(|(known, ..)| known == name);
                user = Some(known.unwrap_or_else(|| {
                    file.users.push((name.to_owned(), number, Vec::new()));
                    file.users.len() - 1
                }));
            }
            "topic" | "pattern" => match entry(rest) {
                Err((message, help)) => fail(message, help),
                Ok((access, filter)) => {
                    let text = line.trim().to_owned();
                    let entry = Entry { access, filter: filter.to_owned(), line: number, text };
                    let list = match (word, user.and_then(|user| file.users.get_mut(user))) {
                        ("pattern", _) => &mut file.patterns,
                        (_, Some((_, _, entries))) => entries,
                        (_, None) => &mut file.anonymous,
                    };
                    list.push(entry);
                }
            },
            other => fail(
                if is_word(other) { format!("unknown word `{other}`") } else { "unknown word".into() },
                "a line begins with `user`, `topic` or `pattern`, or with `#` in its first column",
            ),
        }
    }
    file
}

/// Whether it may be shown, being no hash.
fn is_word(text: &str) -> bool {
    text.chars().all(|ch| ch.is_ascii_alphabetic())
}

/// The text in which lines that begin with no word are asterisks, byte for byte.
fn without_strangers(text: &str) -> String {
    let masked = text.split_inclusive('\n').map(|line| {
        if line.starts_with('#') || is_word(line.trim_start().split(char::is_whitespace).next().unwrap_or(""))
        {
            return line.to_owned();
        }
        let shown = |ch: char| if ch == '\n' { "\n".to_owned() } else { "*".repeat(ch.len_utf8()) };
        line.chars().map(shown).collect()
    });
    masked.collect()
}

type Fault = (String, &'static str);

/// What follows `topic` or `pattern`.
fn entry(rest: &str) -> Result<(Access, &str), Fault> {
    let rest = rest.trim_start_matches(' ');
    if rest.is_empty() {
        return Err(("a rule without a topic".into(), "write `topic read FILTER`"));
    }
    let (access, filter) = match rest.split_once(' ').filter(|(_, filter)| !trim_blanks(filter).is_empty()) {
        None => (Access::ReadWrite, rest),
        Some((word, filter)) => {
            let access = match word {
                "read" => Access::Read,
                "write" => Access::Write,
                "readwrite" => Access::ReadWrite,
                "deny" => Access::Deny,
                other => {
                    return Err((
                        format!("unknown access `{other}`"),
                        "write `read`, `write`, `readwrite` or `deny` before the topic",
                    ));
                }
            };
            (access, trim_blanks(filter))
        }
    };
    match Filter::parse(filter) {
        // A topic of a shared subscription is none that a message has; the broker takes the line all the same.
        Ok(_) => Ok((access, filter)),
        Err(_) if filter.starts_with("$share") && !filter.contains('\0') => Ok((access, filter)),
        Err(error) => {
            Err((format!("`{filter}` is no filter: {error}"), "the broker would not start with it either"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> (AclFile, Vec<String>) {
        let mut report = Report::new();
        let file = parse(&Source::new(Path::new("acl"), text), &mut report);
        (file, report.iter().map(ToString::to_string).collect())
    }

    fn shown(entries: &[Entry]) -> Vec<(Access, &str, u32)> {
        entries.iter().map(|entry| (entry.access, &*entry.filter, entry.line)).collect()
    }

    #[test]
    fn lines_belong_to_whom_the_broker_gives_them() {
        let (file, found) = read(
            "# c\ntopic a\n\nuser bob b\r\ntopic read  x y \n pattern deny p\nuser eve\ntopic deny e\ntopic read\nuser bob b\ntopic write /\n",
        );
        assert_eq!(found, [""; 0]);
        assert_eq!(shown(&file.anonymous), [(Access::ReadWrite, "a", 2)]);
        assert_eq!(shown(&file.patterns), [(Access::Deny, "p", 6)]);
        let [(bob, 4, bobs), (eve, 7, eves)] = &*file.users else { panic!("{file:?}") };
        assert_eq!((&**bob, &**eve), ("bob b", "eve"));
        assert_eq!(shown(bobs), [(Access::Read, "x y", 5), (Access::Write, "/", 11)]);
        assert_eq!(shown(eves), [(Access::Deny, "e", 8), (Access::ReadWrite, "read", 9)]);
    }

    #[test]
    fn only_blanks_of_the_broker_are_taken_away() {
        let (file, found) = read(
            "user eve\u{a0}\ntopic write root/#\nuser eve\u{b}\ntopic read a\u{3000}\ntopic read b\u{c}\n",
        );
        assert_eq!(found, [""; 0]);
        let [(stranger, 1, everything), (eve, 3, little)] = &*file.users else { panic!("{file:?}") };
        assert_eq!((&**stranger, &**eve), ("eve\u{a0}", "eve"));
        assert_eq!(shown(everything), [(Access::Write, "root/#", 2)]);
        assert_eq!(shown(little), [(Access::Read, "a\u{3000}", 4), (Access::Read, "b", 5)]);
    }

    #[test]
    fn every_mistake_has_its_line() {
        let (_, found) =
            read("user\ntopic\n #c\ntopics a\ntopic reed a\ntopic read a/#/b\npattern a+\ntopic\ta\nuser \n");
        let lines: Vec<&str> = found.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "acl:1:1:", "acl:2:1:", "acl:3:2:", "acl:4:1:", "acl:5:1:", "acl:6:1:", "acl:7:1:",
                "acl:8:1:", "acl:9:1:"
            ],
            "{found:#?}"
        );
    }
}
