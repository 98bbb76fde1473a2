//! Topic names, read in one pass.

use std::fmt;

use super::{MAX_LEVELS, MAX_TOPIC_BYTES, SHARE, TopicError};

/// The topic of a message: 1 to [`MAX_TOPIC_BYTES`] bytes, at most [`MAX_LEVELS`] levels, no wildcards.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Name<'t>(&'t str);

impl<'t> Name<'t> {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// The first rule of MQTT 5.0 section 4.7 that it breaks, or `$share` as its first level.
    pub fn parse(text: &'t str) -> Result<Self, TopicError> {
        scan(text, |_| ())?;
        Ok(Self(text))
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(self) -> &'t str {
        self.0
    }

    /// Its levels; `/` has two empty ones.
    pub fn levels(self) -> impl Iterator<Item = &'t str> {
        self.0.split('/')
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One level of a name, with the hash under which the index keeps it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameLevel<'t> {
    /// The text between two slashes; may be empty.
    pub(crate) text: &'t [u8],
    /// See [`hash_level`].
    pub(crate) hash: u64,
}

/// Lends every level of `text` to `visit` while checking that `text` is a name. Reads each byte once.
///
/// # Errors
///
/// As [`Name::parse`]; some levels have been lent by then.
pub(crate) fn scan<'t>(text: &'t str, mut visit: impl FnMut(NameLevel<'t>)) -> Result<(), TopicError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(TopicError::Empty);
    }
    if bytes.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong);
    }
    let mut levels = 1;
    let mut start = 0;
    let mut hash = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'/' => {
                visit(NameLevel { text: bytes.get(start..at).unwrap_or_default(), hash });
                start = at + 1;
                hash = 0;
                levels += 1;
            }
            b'+' | b'#' => return Err(TopicError::Wildcard),
            0 => return Err(TopicError::Nul),
            _ => hash = mix(hash, byte),
        }
    }
    if levels > MAX_LEVELS {
        return Err(TopicError::TooDeep);
    }
    if bytes.first() == Some(&b'$') && text.split('/').next() == Some(SHARE) {
        return Err(TopicError::Shared);
    }
    visit(NameLevel { text: bytes.get(start..).unwrap_or_default(), hash });
    Ok(())
}

/// The hash of one level. Not seeded: only rules, which the operator writes, are ever stored under it, so a
/// client can at most choose which of them its topic is compared with.
pub(crate) fn hash_level(text: &[u8]) -> u64 {
    text.iter().fold(0, |hash, &byte| mix(hash, byte))
}

/// Two instructions a byte: texts of up to nine ASCII characters never collide. The table multiplies.
fn mix(hash: u64, byte: u8) -> u64 {
    hash.rotate_left(7) ^ u64::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_standard_are_names() {
        for text in
            ["a", "/", "//", "a/b ", " ", "/finance", "$SYS/x", "$shared/a", "é/ß", "\u{feff}a", "a//b"]
        {
            assert_eq!(Name::parse(text).map(Name::as_str), Ok(text));
        }
    }

    #[test]
    fn everything_else_is_not() {
        for (text, error) in [
            ("", TopicError::Empty),
            ("a/+", TopicError::Wildcard),
            ("a#b", TopicError::Wildcard),
            ("a\0", TopicError::Nul),
            ("$share", TopicError::Shared),
            ("$share/g/a", TopicError::Shared),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn length_and_depth_end_where_they_say() {
        let long = "a".repeat(MAX_TOPIC_BYTES);
        assert!(Name::parse(&long).is_ok());
        assert_eq!(Name::parse(&(long + "a")), Err(TopicError::TooLong));
        let deep = "/".repeat(MAX_LEVELS - 1);
        assert!(Name::parse(&deep).is_ok());
        assert_eq!(Name::parse(&(deep + "/")), Err(TopicError::TooDeep));
    }

    #[test]
    fn a_scan_lends_every_level_with_its_hash() {
        let mut seen = Vec::new();
        scan("a//é", |level| seen.push((level.text.to_vec(), level.hash))).unwrap();
        let expected: Vec<_> = ["a", "", "é"]
            .iter()
            .map(|text| (text.as_bytes().to_vec(), hash_level(text.as_bytes())))
            .collect();
        assert_eq!(seen, expected);
    }
}
