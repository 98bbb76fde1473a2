//! Topic filters, shared subscriptions included.

use super::{MAX_LEVELS, MAX_TOPIC_BYTES, Name, SHARE, TopicError};

/// What a client subscribes to: a filter, or `$share/GROUP/FILTER`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Filter<'t> {
    text: &'t str,
    group: Option<&'t str>,
    // INVARIANT: a filter whose `+` and `#` are whole levels, `#` the last; never itself a share.
    plain: &'t str,
}

impl<'t> Filter<'t> {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// The first rule of MQTT 5.0 sections 4.7 and 4.8.2 that it breaks. A shared subscription inside another is
    /// refused, though the standard does not say so: brokers disagree about what it means.
    pub fn parse(text: &'t str) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > MAX_TOPIC_BYTES {
            return Err(TopicError::TooLong);
        }
        if text.contains('\0') {
            return Err(TopicError::Nul);
        }
        if text.split('/').count() > MAX_LEVELS {
            return Err(TopicError::TooDeep);
        }
        let (group, plain) = match text.split_once('/') {
            Some((SHARE, rest)) => shared(rest).map(|(group, plain)| (Some(group), plain))?,
            None if text == SHARE => return Err(TopicError::ShareIncomplete),
            _ => (None, text),
        };
        let mut levels = plain.split('/').peekable();
        while let Some(level) = levels.next() {
            check_wildcards(level)?;
            if level == "#" && levels.peek().is_some() {
                return Err(TopicError::HashNotLast);
            }
        }
        Ok(Self { text, group, plain })
    }

    /// The filter as it was written, `$share/GROUP/` included.
    #[must_use]
    pub fn as_str(self) -> &'t str {
        self.text
    }

    /// The group of a shared subscription.
    #[must_use]
    pub fn group(self) -> Option<&'t str> {
        self.group
    }

    /// The filter without `$share/GROUP/`: what messages are matched with.
    #[must_use]
    pub fn plain(self) -> &'t str {
        self.plain
    }

    /// The levels of [`plain`](Self::plain).
    pub fn levels(self) -> impl Iterator<Item = &'t str> {
        self.plain.split('/')
    }

    /// Whether it can match more than one topic.
    #[must_use]
    pub fn is_wild(self) -> bool {
        self.plain.contains(['+', '#'])
    }

    /// Whether messages published to `name` go to a subscriber of this filter.
    #[must_use]
    pub fn matches(self, name: Name<'_>) -> bool {
        if name.as_str().starts_with('$') && self.plain.starts_with(['+', '#']) {
            return false;
        }
        let mut asked = name.levels();
        for level in self.levels() {
            match (level, asked.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (text, Some(found)) if text == found => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }
}

/// Group and filter of what follows `$share/`.
fn shared(rest: &str) -> Result<(&str, &str), TopicError> {
    let (group, plain) = rest.split_once('/').ok_or(TopicError::ShareIncomplete)?;
    if group.is_empty() || group.contains(['+', '#']) {
        return Err(TopicError::ShareGroup);
    }
    if plain.is_empty() {
        return Err(TopicError::ShareIncomplete);
    }
    if plain.split('/').next() == Some(SHARE) {
        return Err(TopicError::ShareNested);
    }
    Ok((group, plain))
}

/// `+` and `#` are levels of their own.
fn check_wildcards(level: &str) -> Result<(), TopicError> {
    match level.chars().find(|ch| matches!(ch, '+' | '#')) {
        Some(wildcard) if level.len() > 1 => Err(TopicError::PartialWildcard(wildcard)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_whole_levels() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("a+", TopicError::PartialWildcard('+')),
            ("a/b#", TopicError::PartialWildcard('#')),
            ("##", TopicError::PartialWildcard('#')),
            ("#/a", TopicError::HashNotLast),
            ("#/#", TopicError::HashNotLast),
            ("a\0", TopicError::Nul),
        ] {
            assert_eq!(Filter::parse(text), Err(error), "{text:?}");
        }
        for text in ["#", "+", "+/+/#", "/", "/#", "a/+/b", "$SYS/#", "$SHARE/g/a", "$share2"] {
            assert_eq!(Filter::parse(text).map(Filter::plain), Ok(text));
        }
    }

    #[test]
    fn a_share_is_a_group_and_a_filter() {
        let shared = Filter::parse("$share/g//a").unwrap();
        assert_eq!((shared.group(), shared.plain(), shared.as_str()), (Some("g"), "/a", "$share/g//a"));
        for (text, error) in [
            ("$share", TopicError::ShareIncomplete),
            ("$share/", TopicError::ShareIncomplete),
            ("$share/g", TopicError::ShareIncomplete),
            ("$share/g/", TopicError::ShareIncomplete),
            ("$share//a", TopicError::ShareGroup),
            ("$share/+/a", TopicError::ShareGroup),
            ("$share/g#/a", TopicError::ShareGroup),
            ("$share/g/$share/h/a", TopicError::ShareNested),
            ("$share/g/a#", TopicError::PartialWildcard('#')),
        ] {
            assert_eq!(Filter::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn matching_follows_the_examples_of_the_standard() {
        for (filter, name, matches) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/#", "sport/", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS", true),
            ("a/b", "a/b/", false),
        ] {
            let (parsed, asked) = (Filter::parse(filter).unwrap(), Name::parse(name).unwrap());
            assert_eq!(parsed.matches(asked), matches, "{filter} {name}");
        }
    }

    #[test]
    fn length_and_depth_end_where_they_say() {
        let long = "a".repeat(MAX_TOPIC_BYTES);
        assert!(Filter::parse(&long).is_ok());
        assert_eq!(Filter::parse(&(long + "a")), Err(TopicError::TooLong));
        let deep = "+/".repeat(MAX_LEVELS - 1);
        assert!(Filter::parse(&(deep.clone() + "#")).is_ok());
        assert_eq!(Filter::parse(&(deep + "+/#")), Err(TopicError::TooDeep));
    }
}
