//! Filters as Mosquitto's files have them: with `%c` and `%u`, which its releases read differently.

use super::Meaning;
use crate::{
    policy::Effect,
    topic::{Template, escape},
};

/// How a release reads `%c` and `%u` in a filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    /// As two characters like any other.
    Literal,
    /// As what they stand for where they are a whole level; a value with `/` in it matches nothing.
    WholeLevel,
    /// As what they stand for wherever they are, as text.
    Anywhere,
}

/// Where a filter stands, which says who reads it how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Without placeholders.
    Plain,
    /// `pattern` in an acl_file.
    AclPattern,
    /// Publish types and patterns of dynamic-security.
    Dynsec,
}

impl Kind {
    fn readings(self, meaning: Meaning) -> &'static [Reading] {
        match (self, meaning) {
            (Self::Plain, _) | (Self::Dynsec, Meaning::V2_0) => &[Reading::Literal],
            (Self::AclPattern, Meaning::V2_0) => &[Reading::Anywhere],
            (Self::AclPattern | Self::Dynsec, Meaning::V2_1) => &[Reading::WholeLevel],
            (Self::AclPattern, Meaning::Both) => &[Reading::Anywhere, Reading::WholeLevel],
            (Self::Dynsec, Meaning::Both) => &[Reading::Literal, Reading::WholeLevel],
        }
    }
}

/// Who the filter is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum For<'a> {
    /// Devices that are called here what the source calls them.
    Everybody,
    /// One that was called this and cannot be called so here.
    Named(&'a str),
    /// Clients without a name.
    Nobody,
}

/// Why there is no template for a filter, or not the one meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trouble {
    Releases,
    TwoPlaceholders,
    Unusable,
}

/// The templates that match what the filter matches: of an allow never more, of a deny never less.
pub(super) fn translate(
    filter: &str,
    effect: Effect,
    (kind, meaning): (Kind, Meaning),
    subject: For<'_>,
) -> (Vec<String>, Option<Trouble>) {
    let mut found: Vec<Option<String>> = Vec::new();
    let mut trouble = None;
    if kind == Kind::AclPattern && subject == For::Nobody && filter.contains("%u") {
        // No release asks it of them, even where it would be no placeholder.
        return (Vec::new(), None);
    }
    for reading in kind.readings(meaning) {
        let (template, own) = read(filter, effect, *reading, subject);
        trouble = trouble.or(own);
        found.push(template);
    }
    let same = found.windows(2).all(|pair| pair.first() == pair.get(1));
    if !same {
        trouble = trouble.or(Some(Trouble::Releases));
        if effect == Effect::Allow {
            found.clear();
        }
    }
    let mut templates: Vec<String> = found.into_iter().flatten().collect();
    templates.dedup();
    let before = templates.len();
    templates.retain(|text| Template::parse(text).is_ok());
    if templates.len() < before {
        trouble = trouble.or(Some(Trouble::Unusable));
    }
    (templates, trouble)
}

/// One release's template; `None` if the filter matches nothing for this subject, or cannot be written.
fn read(
    filter: &str,
    effect: Effect,
    reading: Reading,
    subject: For<'_>,
) -> (Option<String>, Option<Trouble>) {
    let (mut levels, mut trouble) = (Vec::new(), None);
    for (index, level) in filter.split('/').enumerate() {
        let found = match reading {
            Reading::Literal => Some(escape(level).into_owned()),
            Reading::WholeLevel => match (level, subject) {
                ("%c", _) => Some("{clientid}".to_owned()),
                ("%u", For::Everybody) => Some("{device}".to_owned()),
                ("%u", For::Named(name)) => {
                    let never = name.contains(['/', '+', '#']) || (index == 0 && name.starts_with('$'));
                    (!never).then(|| escape(name).into_owned())
                }
                ("%u", For::Nobody) => None,
                _ => Some(escape(level).into_owned()),
            },
            Reading::Anywhere => {
                if subject == For::Nobody && level.contains("%u") {
                    None
                } else {
                    let (text, holes) = fill(level, subject);
                    if holes < 2 {
                        Some(text)
                    } else {
                        if effect == Effect::Deny {
                            // A client id may have a `/` in it, so that the text may be several levels.
                            levels.push("#".to_owned());
                            return (Some(levels.join("/")), Some(Trouble::TwoPlaceholders));
                        }
                        trouble = Some(Trouble::TwoPlaceholders);
                        None
                    }
                }
            }
        };
        match found {
            Some(level) => levels.push(level),
            None => return (None, trouble),
        }
    }
    (Some(levels.join("/")), trouble)
}

/// A level in which the placeholders are ours, and how many stay in it.
fn fill(level: &str, subject: For<'_>) -> (String, usize) {
    let (mut text, mut holes, mut rest) = (String::new(), 0, level);
    while let Some(at) = rest.find("%c").into_iter().chain(rest.find("%u")).min() {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(&escape(before));
        match (found.starts_with("%u"), subject) {
            (true, For::Named(name)) => text.push_str(&escape(name)),
            (true, _) => {
                text.push_str("{device}");
                holes += 1;
            }
            (false, _) => {
                text.push_str("{clientid}");
                holes += 1;
            }
        }
        rest = found.get(2..).unwrap_or_default();
    }
    text.push_str(&escape(rest));
    (text, holes)
}

/// A level that a placeholder makes unknown.
fn has_hole(level: &str) -> bool {
    level.contains("%c") || level.contains("%u")
}

/// Whether some topic may match both; true where placeholders leave it open.
pub(super) fn meets(one: &str, other: &str) -> bool {
    let wild = |filter: &str| filter.starts_with(['+', '#']);
    if (one.starts_with('$') && wild(other)) || (other.starts_with('$') && wild(one)) {
        return false;
    }
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
            (Some(level), _) | (_, Some(level)) if has_hole(level) => return true,
            (Some(_), Some(other)) if has_hole(other) => return true,
            (Some(level), Some(other)) if level == other || level == "+" || other == "+" => {}
            _ => return false,
        }
    }
}

/// The filter of the topics that match both, if there are any; `None` too where placeholders leave it open.
pub(super) fn intersection(one: &str, other: &str) -> Option<String> {
    let wild = |filter: &str| filter.starts_with(['+', '#']);
    if (one.starts_with('$') && wild(other)) || (other.starts_with('$') && wild(one)) {
        return None;
    }
    let (mut ones, mut others) = (one.split('/').peekable(), other.split('/').peekable());
    let mut levels: Vec<&str> = Vec::new();
    loop {
        match (ones.peek().copied(), others.peek().copied()) {
            (None, None) => break,
            (Some("#"), _) => {
                levels.extend(others);
                break;
            }
            (_, Some("#")) => {
                levels.extend(ones);
                break;
            }
            (Some(level), Some(other)) if level == other || other == "+" => levels.push(level),
            (Some("+"), Some(other)) => levels.push(other),
            _ => return None,
        }
        ones.next();
        others.next();
    }
    Some(levels.join("/"))
}

/// The filter with `+` for each level that has a placeholder, to tell which topics are meant. Of two placeholders side
/// by side the text may be several levels.
pub(super) fn widened(filter: &str) -> String {
    let mut levels: Vec<&str> = Vec::new();
    for level in filter.split('/') {
        if fill(level, For::Everybody).1 > 1 {
            levels.push("#");
            break;
        }
        levels.push(if has_hole(level) { "+" } else { level });
    }
    levels.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(filter: &str, meaning: Meaning, subject: For<'_>) -> Vec<String> {
        translate(filter, Effect::Allow, (Kind::AclPattern, meaning), subject).0
    }

    #[test]
    fn an_allow_is_what_all_chosen_releases_read_and_a_deny_what_any_reads() {
        let (everybody, both) = (For::Everybody, Meaning::Both);
        assert_eq!(allow("a/%u/%c/#", both, everybody), ["a/{device}/{clientid}/#"]);
        assert_eq!(allow("a/dev-%u", Meaning::V2_0, everybody), ["a/dev-{device}"]);
        assert_eq!(allow("a/dev-%u", Meaning::V2_1, everybody), ["a/dev-%u"]);
        assert_eq!(allow("a/dev-%u", both, everybody), [""; 0]);
        assert_eq!(allow("a/%u-%c", Meaning::V2_0, everybody), [""; 0]);
        let deny = |filter| translate(filter, Effect::Deny, (Kind::AclPattern, both), everybody);
        assert_eq!(
            deny("a/dev-%u"),
            (vec!["a/dev-{device}".into(), "a/dev-%u".into()], Some(Trouble::Releases))
        );
        assert_eq!(deny("a/%u-%c/b").0, ["a/#", "a/%u-%c/b"]);
        assert_eq!(widened("a/%u-%c/b"), "a/#");
        assert_eq!(widened("a/%u/x%c"), "a/+/+");
        assert_eq!(allow("{x}/%u", both, everybody), ["{{x}}/{device}"]);
    }

    #[test]
    fn who_cannot_be_called_so_here_gets_the_name_spelled_out() {
        let slash = For::Named("a/b");
        assert_eq!(allow("x/%u/y", Meaning::V2_0, slash), ["x/a/b/y"]);
        assert_eq!(allow("x/%u/y", Meaning::V2_1, slash), [""; 0]);
        assert_eq!(allow("x/%u/y", Meaning::Both, slash), [""; 0]);
        assert_eq!(allow("x/%u/%c", Meaning::Both, For::Named("{v}")), ["x/{{v}}/{clientid}"]);
        assert_eq!(allow("%u/x", Meaning::Both, For::Named("$x")), [""; 0], "2.0 alone gives it");
        assert_eq!(allow("%u/x", Meaning::Both, For::Nobody), [""; 0]);
        assert_eq!(allow("%c/x", Meaning::Both, For::Nobody), ["{clientid}/x"]);
    }

    #[test]
    fn dynamic_security_knows_placeholders_since_2_1() {
        let read = |effect, meaning| translate("a/%u", effect, (Kind::Dynsec, meaning), For::Everybody).0;
        assert_eq!(read(Effect::Allow, Meaning::V2_0), ["a/%u"]);
        assert_eq!(read(Effect::Allow, Meaning::V2_1), ["a/{device}"]);
        assert_eq!(read(Effect::Allow, Meaning::Both), [""; 0]);
        assert_eq!(read(Effect::Deny, Meaning::Both), ["a/%u", "a/{device}"]);
    }

    #[test]
    fn filters_meet_cover_and_cross() {
        for (one, other, both) in [
            ("a/#", "a", Some("a")),
            ("a/#", "+/b/#", Some("a/b/#")),
            ("a/+", "+/b", Some("a/b")),
            ("a", "b", None),
            ("#", "$SYS/x", None),
            ("$SYS/#", "$SYS/x", Some("$SYS/x")),
            ("a/b", "a", None),
            ("#", "+", Some("+")),
            ("a/+/#", "a/#", Some("a/+/#")),
        ] {
            assert_eq!(intersection(one, other).as_deref(), both, "{one} {other}");
            assert_eq!(intersection(other, one).as_deref(), both, "{other} {one}");
            assert_eq!(meets(one, other), both.is_some(), "{one} {other}");
            assert_eq!(meets(other, one), both.is_some(), "{other} {one}");
        }
        assert!(meets("a/%u", "a/b/c"), "a name may have a slash in it");
    }
}
