//! Text as a string of a programming language, quotes included: whatever a name is, the program does not end with it.
//!
//! All but printable ASCII is spelled out, so that neither the encoding of a file nor a character that ends a line or
//! turns the direction of writing counts.

use std::fmt::Write as _;

/// Whose strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Language {
    Python,
    JavaScript,
    Java,
    /// C++ as well.
    C,
}

impl Language {
    /// `text` as one string.
    pub(super) fn string(self, text: &str) -> String {
        let mut out = String::from('"');
        for ch in text.chars() {
            match (ch, self) {
                ('"' | '\\', _) => out.extend(['\\', ch]),
                // `??/` would be a backslash to a compiler that takes the standard at its word.
                ('?', Self::C) => out.push_str("\\?"),
                (' '..='~', _) => out.push(ch),
                (ch, language) => language.spell(ch, &mut out),
            }
        }
        out.push('"');
        out
    }

    fn spell(self, ch: char, out: &mut String) {
        let code = u32::from(ch);
        // Writing to a String cannot fail.
        let _written = match self {
            Self::Python if code > 0xFFFF => write!(out, "\\U{code:08x}"),
            Self::Python => write!(out, "\\u{code:04x}"),
            Self::JavaScript => write!(out, "\\u{{{code:x}}}"),
            // Java reads \u000a as the end of the line before it looks for strings.
            Self::Java if ch.is_ascii() => write!(out, "\\{code:03o}"),
            Self::Java => {
                let mut units = [0; 2];
                ch.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
            }
            // Three digits and no more: what follows is not taken for one.
            Self::C => {
                let mut bytes = [0; 4];
                ch.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(out, "\\{byte:03o}"))
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_string() {
        for (text, python, script, java, c) in [
            ("lamp 1", r#""lamp 1""#, r#""lamp 1""#, r#""lamp 1""#, r#""lamp 1""#),
            (r#"a"b\"#, r#""a\"b\\""#, r#""a\"b\\""#, r#""a\"b\\""#, r#""a\"b\\""#),
            (r"\u0022", r#""\\u0022""#, r#""\\u0022""#, r#""\\u0022""#, r#""\\u0022""#),
            ("a\nb", r#""a\u000ab""#, r#""a\u{a}b""#, r#""a\012b""#, r#""a\012b""#),
            ("??/", r#""??/""#, r#""??/""#, r#""??/""#, r#""\?\?/""#),
            ("\u{2028}1", r#""\u20281""#, r#""\u{2028}1""#, r#""\u20281""#, r#""\342\200\2501""#),
            ("🏠", r#""\U0001f3e0""#, r#""\u{1f3e0}""#, r#""\ud83c\udfe0""#, r#""\360\237\217\240""#),
        ] {
            let all = [Language::Python, Language::JavaScript, Language::Java, Language::C];
            assert_eq!(all.map(|language| language.string(text)), [python, script, java, c], "{text:?}");
        }
    }
}
