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
    let mut start = 0;
    for (first, mut small) in small_bytes(bytes) {
        while small != 0 {
            let at = first + lowest(small);
            small &= small - 1;
            match bytes.get(at) {
                Some(b'/') => {
                    visit(NameLevel::new(bytes.get(start..at).unwrap_or_default()));
                    start = at + 1;
                    levels += 1;
                }
                Some(b'+' | b'#') => return Err(TopicError::Wildcard),
                Some(0) => return Err(TopicError::Nul),
                _ => {}
            }
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

/// The places in `text` of bytes up to `/`, eight bytes at a time: where these begin, and a word with the highest bit
/// set of each byte that is so small. All that is special in a name is, and most bytes are letters.
fn small_bytes(text: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Seven bits and this carry into the eighth unless they are less than `0`; no byte carries into the next.
    const BELOW_ZERO: u64 = 0x5050_5050_5050_5050;
    let (words, rest) = text.as_chunks();
    let last = rest.iter().rev().fold(u64::MAX, |word, byte| word << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]);
    words.enumerate().map(|(at, word)| (8 * at, !(((word & !HIGH) + BELOW_ZERO) | word) & HIGH))
}

/// The place of the lowest byte of a word with a bit set.
fn lowest(word: u64) -> usize {
    usize::try_from(word.trailing_zeros() / u8::BITS).unwrap_or_default()
}

/// Whether two short texts are the same: levels and names have some ten bytes, and a call of `memcmp` costs more
/// than to compare them.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b));
    // The last word may overlap the one before it, and so may the halves of a short one.
    words
        && match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
            (Some(a), Some(b)) => u64::from_le_bytes(*a) == u64::from_le_bytes(*b),
            _ => match (a.first_chunk::<4>(), b.first_chunk::<4>()) {
                (Some(first), Some(other)) => first == other && a.last_chunk::<4>() == b.last_chunk::<4>(),
                _ => a_rest.iter().zip(b_rest).all(|(a, b)| a == b),
            },
        }
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
    fn each_byte_is_looked_at_wherever_it_stands() {
        for length in 1..40 {
            for at in 0..length {
                let text = |byte: u8| {
                    let mut text = vec![b'x'; length];
                    text[at] = byte;
                    text
                };
                let with = |byte| String::from_utf8(text(byte)).unwrap();
                for (byte, error) in
                    [(b'+', TopicError::Wildcard), (b'#', TopicError::Wildcard), (0, TopicError::Nul)]
                {
                    assert_eq!(Name::parse(&with(byte)), Err(error), "{at} of {length}");
                }
                for byte in [b' ', b'-', b'.', b'0', b'~', 0x7f] {
                    assert!(Name::parse(&with(byte)).is_ok(), "{byte} at {at} of {length}");
                }
                let mut levels = Vec::new();
                scan(&with(b'/'), |level| levels.push(level.text.len())).unwrap();
                assert_eq!(levels, [at, length - at - 1]);
                assert!(same(&text(b'a'), &text(b'a')) && !same(&text(b'a'), &text(b'b')));
                assert!(!same(&text(b'x'), &text(b'x')[1..]));
            }
        }
        assert!(same(b"", b""));
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
