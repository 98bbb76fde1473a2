//! Topic names, read in one pass.

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
        check(text)?;
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

/// Checks that `text` is a name.
///
/// # Errors
///
/// As [`Name::parse`].
#[inline]
pub(crate) fn check(text: &str) -> Result<(), TopicError> {
    let bytes = text.as_bytes();
    // So few bytes have not too many levels.
    if bytes.len() >= MAX_LEVELS
        || bytes.is_empty()
        || bytes.first() == Some(&b'$') && text.starts_with(SHARE)
    {
        return find_mistake(text);
    }
    if has_reserved(bytes) { find_mistake(text) } else { Ok(()) }
}

/// Whether some byte is reserved.
#[inline]
fn has_reserved(text: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let Some(last) = text.len().checked_sub(BLOCK) else { return text.iter().any(|byte| is_reserved(*byte)) };
    // The last block may overlap the one before it.
    (0..text.len().div_ceil(BLOCK)).map(|block| last.min(block * BLOCK)).any(|start| {
        let block = text.get(start..).and_then(<[u8]>::first_chunk::<BLOCK>);
        // Without a branch at each byte, so that the compiler compares all of them at once.
        block.is_none_or(|block| block.iter().fold(false, |found, byte| found | is_reserved(*byte)))
    })
}

/// Whether a name cannot have this byte: `+`, `#` or NUL. The first two differ in one bit.
#[inline]
fn is_reserved(byte: u8) -> bool {
    byte & !8 == b'#' || byte == 0
}

/// The same, a byte after the other.
#[inline(never)]
fn find_mistake(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong);
    }
    match text.bytes().find(|byte| matches!(byte, b'+' | b'#' | 0)) {
        Some(0) => return Err(TopicError::Nul),
        Some(_) => return Err(TopicError::Wildcard),
        None => {}
    }
    if text.bytes().filter(|byte| *byte == b'/').count() >= MAX_LEVELS {
        return Err(TopicError::TooDeep);
    }
    if text.split('/').next() == Some(SHARE) {
        return Err(TopicError::Shared);
    }
    Ok(())
}

/// The level of `name` that begins at `start`.
#[inline]
pub(crate) fn level_at(name: &[u8], start: usize) -> &[u8] {
    let level = name.get(start..).unwrap_or_default();
    let mut rest = level;
    loop {
        let word = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None if rest.is_empty() => return level,
            None => last_word(name, rest),
        };
        let other = word ^ (EACH * u64::from(b'/'));
        // Of the bytes that are `/` the lowest is found so, and sometimes bytes above it.
        let slashes = other.wrapping_sub(EACH) & !other & HIGH;
        if slashes != 0 {
            return level.get(..level.len() - rest.len() + lowest(slashes)).unwrap_or_default();
        }
        rest = rest.get(WORD..).unwrap_or_default();
    }
}

/// So many bytes are looked at together.
const WORD: usize = 8;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Times a byte: that byte eight times.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The `rest` of `text` behind its last whole word, one to seven bytes; bytes beyond its end are 0.
#[inline]
fn last_word(text: &[u8], rest: &[u8]) -> u64 {
    match text.last_chunk() {
        Some(last) => {
            let unused = u64::BITS - 8 * u32::try_from(rest.len() % WORD).unwrap_or_default();
            u64::from_le_bytes(*last).checked_shr(unused).unwrap_or_default()
        }
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The highest bit of each byte whose other seven are at least `byte`, below 128. No byte carries into the next.
#[inline]
fn at_least(word: u64, byte: u8) -> u64 {
    ((word & !HIGH) + EACH * u64::from(0x80 - byte)) & HIGH
}

/// The place of the lowest byte of a word with a bit set.
#[inline]
fn lowest(word: u64) -> usize {
    usize::try_from(word.trailing_zeros() / u8::BITS).unwrap_or_default()
}

/// Whether `text` has nothing but ASCII letters, digits, `-`, `.` and what stands beside the letters: no byte that
/// could be special anywhere, or part of a character that is.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let plain = |word: u64| {
        let not_slash = at_least(word ^ (EACH * u64::from(b'/')), 1);
        at_least(word, b'-') & not_slash & !at_least(word, 0x7f) & !word
    };
    let all = match text.last_chunk() {
        // The last word may overlap the one before it.
        Some(last) => {
            let words = text.as_chunks().0.iter();
            words.fold(plain(u64::from_le_bytes(*last)), |all, word| all & plain(u64::from_le_bytes(*word)))
        }
        None => plain(text.iter().fold(EACH * u64::from(b'a'), |word, byte| word << 8 | u64::from(*byte))),
    };
    all == HIGH
}

/// Whether two short texts are the same: levels and names have some ten bytes, and a call of `memcmp` costs more
/// than to compare them.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(last), Some(other)) = (a.last_chunk::<16>(), b.last_chunk()) {
        // They may overlap what stands before them; so below.
        let mut blocks = a.as_chunks::<16>().0.iter().zip(b.as_chunks().0);
        return last == other && blocks.all(|(block, other)| block == other);
    }
    if let (Some(first), Some(other), Some(last), Some(others)) =
        (a.first_chunk::<8>(), b.first_chunk(), a.last_chunk::<8>(), b.last_chunk())
    {
        return first == other && last == others;
    }
    if let (Some(first), Some(other), Some(last), Some(others)) =
        (a.first_chunk::<4>(), b.first_chunk(), a.last_chunk::<4>(), b.last_chunk())
    {
        return first == other && last == others;
    }
    a.iter().zip(b).all(|(one, other)| one == other)
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
                    // One more does not take the first away.
                    let two = with(byte) + "+";
                    assert!(Name::parse(&two).is_err(), "{at} of {length}");
                }
                for byte in 0..0x80 {
                    let name = Name::parse(&with(byte)).map(|_| ());
                    assert_eq!(name, find_mistake(&with(byte)), "{byte} at {at} of {length}");
                    let reserved = matches!(byte, b'+' | b'#' | 0);
                    assert_eq!(name.is_err(), reserved, "{byte} at {at} of {length}");
                }
                if at + 1 < length {
                    let mut long = text(b'x');
                    long.splice(at..at + 2, "é".bytes());
                    assert!(Name::parse(&String::from_utf8(long).unwrap()).is_ok(), "{at} of {length}");
                }
                assert_eq!(levels(&text(b'/')), [at, length - at - 1]);
                // Beside a slash, what differs from it in the lowest bit only.
                let mut beside = text(b'/');
                beside.iter_mut().skip(at + 1).for_each(|byte| *byte = b'.');
                assert_eq!(levels(&beside), [at, length - at - 1]);
                assert!(same(&text(b'a'), &text(b'a')) && !same(&text(b'a'), &text(b'b')));
                assert!(!same(&text(b'x'), &text(b'x')[1..]));
                assert_ne!(hash_level(&text(b'a')), hash_level(&text(b'b')), "{at} of {length}");
                for byte in 0..=255 {
                    let plain = matches!(byte, b'-' | b'.' | b'0'..=b'~');
                    assert_eq!(is_plain(&text(byte)), plain, "{byte} at {at} of {length}");
                }
            }
        }
        assert!(same(b"", b"") && is_plain(b""));
    }

    /// How long they are.
    fn levels(name: &[u8]) -> Vec<usize> {
        let (mut start, mut found) = (0, Vec::new());
        while start <= name.len() {
            found.push(level_at(name, start).len());
            start += found.last().unwrap() + 1;
        }
        found
    }

    #[test]
    fn every_level_is_found() {
        for (name, lengths) in [("a//é", &[1, 0, 2][..]), ("/", &[0, 0]), ("a/", &[1, 0]), ("abc", &[3])] {
            assert_eq!(levels(name.as_bytes()), lengths, "{name}");
            let long = format!("seventeen bytes in a level/{name}");
            assert_eq!(levels(long.as_bytes()), [&[26], lengths].concat(), "{long}");
        }
    }
}
