//! Names of devices and roles, checked once and trusted from then on.
#![forbid(unsafe_code)]

use std::fmt;

use thiserror::Error;

/// Longest name in bytes. A certificate's common name holds 64 (RFC 5280 appendix A.1, ub-common-name).
pub const MAX_NAME_BYTES: usize = 128;

/// Longest name in characters that a certificate's common name can carry (RFC 5280, ub-common-name).
pub const MAX_COMMON_NAME_CHARS: usize = 64;

/// What a client without a name is called on the broker; no device can have it.
pub const ANONYMOUS: &str = "~anonymous";

/// The text without the blanks at its ends that Mosquitto takes away in its files: those of `isspace` in the C locale, which
/// a no-break space, for one, is not.
#[must_use]
pub fn trim_blanks(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Whether `isspace` in the C locale is true of it.
#[must_use]
pub fn is_blank(ch: char) -> bool {
    ch.is_ascii_whitespace() || ch == '\u{b}'
}

/// Why a text is no name for a device or a role.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// `+` and `#` would be wildcards, `/` would be a level of a topic of its own.
    #[error("a name cannot contain `{0}`, which has a meaning in topics")]
    TopicCharacter(char),
    /// `$` opens the broker's own topics, `~` its own names.
    #[error("a name cannot start with `{0}`")]
    Start(char),
    /// Would not survive a log or a terminal.
    #[error("a name cannot contain control characters")]
    Control,
    /// Would be lost in most editors and forms.
    #[error("a name cannot start or end with a blank")]
    Blank,
    /// See [`DeviceName::check_new`].
    #[error("a new name cannot contain U+{:04X}, which nobody can see", u32::from(*.0))]
    Unseen(char),
}

/// Whether `text` can be the name of a device or of a role.
///
/// # Errors
///
/// The first rule of design section 3.2 that it breaks.
pub fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    if let Some(found) = text.chars().find(|ch| matches!(ch, '+' | '#' | '/')) {
        return Err(NameError::TopicCharacter(found));
    }
    if let Some(found) = text.chars().next().filter(|ch| matches!(ch, '$' | '~')) {
        return Err(NameError::Start(found));
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(NameError::Blank);
    }
    Ok(())
}

/// The name of a device: 1 to [`MAX_NAME_BYTES`] bytes that can stand in a topic level, a log and a certificate.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceName(Box<str>);

impl DeviceName {
    /// Checks `text`.
    ///
    /// # Errors
    ///
    /// See [`check_name`].
    pub fn new(text: &str) -> Result<Self, NameError> {
        check_name(text)?;
        Ok(Self(text.into()))
    }

    /// Whether a device that is still to be registered can be called so: two names that differ in what nobody can see
    /// look alike, and what turns the direction of writing makes one look like another. Registries that have such
    /// names are read as ever.
    ///
    /// # Errors
    ///
    /// [`NameError::Unseen`].
    pub fn check_new(&self) -> Result<(), NameError> {
        self.0.chars().find(|ch| is_unseen(*ch)).map_or(Ok(()), |found| Err(NameError::Unseen(found)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ends of lines and paragraphs, what only formats, and letters without a form.
// SOURCE: Unicode 16.0, general categories Zl, Zp and Cf but for signs before numbers, and Default_Ignorable_Code_Point.
const fn is_unseen(ch: char) -> bool {
    matches!(
        ch,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

impl std::borrow::Borrow<str> for DeviceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_have_are_names() {
        for name in
            ["thunder10", "gw-7", "living room", "Küche", "a", "urn:dev:1", "dev.local", &"x".repeat(128)]
        {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_nobody_can_see_is_in_no_new_name_and_may_be_in_old_ones() {
        for ch in
            ['\u{ad}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{feff}', '\u{e0041}']
        {
            let name = DeviceName::new(&format!("a{ch}b")).unwrap();
            assert_eq!(name.check_new(), Err(NameError::Unseen(ch)));
        }
        for name in ["living room", "Küche", "台所\u{3000}1", "ка", "🏠️", "cafe\u{301}"] {
            assert_eq!(DeviceName::new(name).unwrap().check_new(), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_could_widen_a_rule_or_break_a_log_are_not() {
        for (name, error) in [
            ("", NameError::Empty),
            (&*"x".repeat(129), NameError::TooLong),
            ("a/b", NameError::TopicCharacter('/')),
            ("+", NameError::TopicCharacter('+')),
            ("a#", NameError::TopicCharacter('#')),
            ("$SYS", NameError::Start('$')),
            (ANONYMOUS, NameError::Start('~')),
            ("a\nb", NameError::Control),
            ("a\u{85}b", NameError::Control),
            (" a", NameError::Blank),
            ("a\u{a0}", NameError::Blank),
        ] {
            assert_eq!(check_name(name), Err(error), "{name:?}");
        }
    }
}
