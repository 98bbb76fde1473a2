//! One rule against a topic or a pattern, read as it is written.

use super::{Row, Subject, shape};
use crate::{
    policy::{
        cover::{Covered, Pattern, is_any},
        fillable,
        walk::is_dollar,
    },
    topic::same,
};

/// One level of a rule.
#[derive(Clone, Copy)]
enum Part<'t> {
    Text(&'t [u8]),
    Hole { prefix: &'t [u8], placeholder: &'t [u8], suffix: &'t [u8] },
    Plus,
    Hash,
}

fn parts(text: &[u8]) -> impl Iterator<Item = Part<'_>> {
    text.split(|byte| *byte == b'/').map(|level| match level {
        b"+" => Part::Plus,
        b"#" => Part::Hash,
        _ => match placeholder(level) {
            Some((prefix, placeholder, suffix)) => Part::Hole { prefix, placeholder, suffix },
            None => Part::Text(level),
        },
    })
}

/// What stands before the first placeholder, between its braces, and after it.
fn placeholder(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (prefix, rest) = text.split_at_checked(text.iter().position(|byte| *byte == b'{')?)?;
    let (inside, suffix) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'}')?)?;
    Some((prefix, inside.get(1..)?, suffix.get(1..)?))
}

/// What stands for the placeholder, whether it can or not: to compare it first is cheaper.
fn raw_value<'s>(placeholder: &[u8], subject: &Subject<'s>) -> Option<&'s str> {
    match placeholder {
        b"device" | b"username" => subject.device,
        b"clientid" => Some(subject.client_id),
        other => subject.attributes.get(str::from_utf8(other.strip_prefix(b"attr.")?).ok()?),
    }
}

/// Whether a rule with wildcards or placeholders behind so many plain bytes matches the topic `name`.
#[inline]
pub(super) fn fits((rule, plain): (&Row<'_>, usize), name: &[u8], subject: &Subject<'_>) -> bool {
    let (Some((begins, rest)), Some((head, tail))) =
        (rule.text.split_at_checked(plain), name.split_at_checked(plain))
    else {
        return is_parent(name, rule.text);
    };
    // MQTT 5.0 section 4.7.2: a leading wildcard does not match `$`.
    if plain == 0 && name.first() == Some(&b'$') && matches!(rest, [b'+' | b'#', ..]) {
        return false;
    }
    same(begins, head)
        && match rule.shape {
            shape::REST => true,
            shape::LEVEL => level_fits(rest, tail),
            shape::DEVICE => device_fits(rest, tail, subject),
            _ => rest_fits(rest, tail, subject),
        }
}

/// For `+` and plain text.
#[inline]
fn level_fits(rule: &[u8], name: &[u8]) -> bool {
    let Some((_, behind)) = rule.split_first() else { return false };
    let Some((level, end)) = name.len().checked_sub(behind.len()).and_then(|at| name.split_at_checked(at))
    else {
        return false;
    };
    same(behind, end) && !level.contains(&b'/')
}

/// For `{device}` and plain text.
#[inline]
fn device_fits(rule: &[u8], name: &[u8], subject: &Subject<'_>) -> bool {
    let (Some(value), Some((_, behind))) =
        (subject.device, rule.split_first_chunk::<{ b"{device}".len() }>())
    else {
        return false;
    };
    let Some((level, end)) = name.split_at_checked(value.len()) else { return false };
    same(level, value.as_bytes()) && same(behind, end) && fillable(value)
}

/// `a/#` matches `a`.
fn is_parent(name: &[u8], rule: &[u8]) -> bool {
    rule.strip_prefix(name) == Some(b"/#")
}

/// The same for what follows the bytes that are the same. A value holds no `/`, so there is one way only to fill it in.
fn rest_fits(mut rule: &[u8], mut name: &[u8], subject: &Subject<'_>) -> bool {
    loop {
        match rule {
            [] => return name.is_empty(),
            [b'#'] => return true,
            [b'+', more @ ..] => {
                rule = more;
                let end = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
                name = name.get(end..).unwrap_or_default();
            }
            [b'{', ..] => {
                let filled = match rule.strip_prefix(b"{device}") {
                    Some(more) => subject.device.map(|value| (value, more)),
                    None => {
                        placeholder(rule).and_then(|(_, hole, more)| Some((raw_value(hole, subject)?, more)))
                    }
                };
                let Some((value, more)) = filled else { return false };
                let Some((head, tail)) = name.split_at_checked(value.len()) else { return false };
                if !same(head, value.as_bytes()) || !fillable(value) {
                    return false;
                }
                (rule, name) = (more, tail);
            }
            _ => {
                let end = rule.iter().position(|byte| matches!(byte, b'+' | b'#' | b'{'));
                let (Some((text, more)), Some((head, tail))) = (
                    rule.split_at_checked(end.unwrap_or(rule.len())),
                    name.split_at_checked(end.unwrap_or(rule.len())),
                ) else {
                    return is_parent(name, rule);
                };
                if !same(text, head) {
                    return false;
                }
                (rule, name) = (more, tail);
            }
        }
    }
}

/// Which topics of the pattern a rule covers; for `None` no depth of it is covered. See the module `cover`.
pub(super) fn covers(rule: &[u8], pattern: &Pattern<'_>, subject: &Subject<'_>) -> Option<Covered> {
    let levels = pattern.levels();
    let hidden = is_dollar(levels);
    let mut depth = 0;
    for part in parts(rule) {
        let follows = match (part, levels.get(depth)) {
            (Part::Hash, _) => return (depth > 0 || !hidden).then_some(Covered::From(depth)),
            (Part::Plus, level) => (depth > 0 || !hidden) && (level.is_some() || pattern.open),
            (Part::Text(text), Some(level)) => same(text, level),
            (Part::Hole { .. }, Some(level)) => fills(part, level, subject),
            (Part::Text(_) | Part::Hole { .. }, None) => false,
        };
        if !follows {
            return None;
        }
        depth += 1;
    }
    (depth >= levels.len()).then_some(Covered::Depth(depth))
}

/// Whether a level with a placeholder, filled in, is `level`.
fn fills(part: Part<'_>, level: &[u8], subject: &Subject<'_>) -> bool {
    let Part::Hole { prefix, placeholder, suffix } = part else { return false };
    let inside = level.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    inside.is_some_and(|inside| {
        raw_value(placeholder, subject).is_some_and(|value| same(inside, value.as_bytes()) && fillable(value))
    })
}

/// Whether a rule and the pattern have a topic in common. See the module `meet`.
pub(super) fn meets(rule: &[u8], pattern: &Pattern<'_>, subject: &Subject<'_>) -> bool {
    let levels = pattern.levels();
    let hidden = is_dollar(levels);
    // One empty level so far, as between `+` and `/#`: no topic, unless more levels follow.
    let mut blank = false;
    let mut depth = 0;
    for part in parts(rule) {
        let level = levels.get(depth);
        if let Part::Hash = part {
            let no_topic = level.is_none() && blank && !pattern.open;
            return !(no_topic || (depth == 0 && hidden));
        }
        if level.is_none() && !pattern.open {
            return false;
        }
        // The level's text, unless the pattern leaves it free; at the start it then cannot be one with `$`.
        let fixed = level.copied().filter(|level| !is_any(level));
        let shown = |text: &[u8]| !(depth == 0 && text.starts_with(b"$"));
        let meets = match (part, fixed) {
            (Part::Plus, _) => depth > 0 || !hidden,
            (Part::Text(text), Some(fixed)) => same(text, fixed),
            (Part::Text(text), None) => shown(text),
            (Part::Hole { .. }, Some(fixed)) => fills(part, fixed, subject),
            (Part::Hole { prefix, placeholder, .. }, None) => {
                shown(prefix) && raw_value(placeholder, subject).is_some_and(fillable)
            }
            (Part::Hash, _) => false,
        };
        if !meets {
            return false;
        }
        blank = depth == 0
            && match (part, fixed) {
                (Part::Plus, Some(text)) | (Part::Text(text), _) => text.is_empty(),
                (Part::Plus, None) | (Part::Hole { .. } | Part::Hash, _) => false,
            };
        depth += 1;
    }
    depth >= levels.len()
}
