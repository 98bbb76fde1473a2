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

    /// Of a text that is known to be a name.
    pub(crate) fn known(text: &'t str) -> Self {
        Self(text)
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
    let (mut start, mut next) = (0, 0);
    // Everything special is small, and most bytes are letters: one comparison a byte.
    while let Some(found) = bytes.get(next..).and_then(|rest| rest.iter().position(|byte| *byte <= b'/')) {
        let at = next + found;
        next = at + 1;
        match bytes.get(at) {
            Some(b'/') => {
                visit(NameLevel::new(bytes.get(start..at).unwrap_or_default()));
                start = next;
                levels += 1;
            }
            Some(b'+' | b'#') => return Err(TopicError::Wildcard),
            Some(0) => return Err(TopicError::Nul),
            _ => {}
        }
    }
    if levels > MAX_LEVELS {
        return Err(TopicError::TooDeep);
    }
    if bytes.first() == Some(&b'$') && text.split('/').next() == Some(SHARE) {
        return Err(TopicError::Shared);
    }
    visit(NameLevel::new(bytes.get(start..).unwrap_or_default()));
    Ok(())
}

impl<'t> NameLevel<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, hash: hash_level(text) }
    }
}

/// The hash of one level. Not seeded: only rules, which the operator writes, are ever stored under it, so a
/// client can at most choose which of them its topic is compared with.
pub(crate) fn hash_level(text: &[u8]) -> u64 {
    let mut hash = 0;
    let mut rest = text;
    while let Some((word, more)) = rest.split_first_chunk()
        && !more.is_empty()
    {
        hash = mix(hash, u64::from_le_bytes(*word));
        rest = more;
    }
    // The last word may overlap the one before it, and so may the halves of a short one.
    let last = match (text.last_chunk(), text.first_chunk(), text.last_chunk()) {
        (Some(word), ..) => u64::from_le_bytes(*word),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    mix(hash, last)
}

/// Adds eight bytes. The constant is one of xxHash's.
fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(29) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25)
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
