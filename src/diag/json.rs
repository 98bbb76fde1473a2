//! JSON that can be shown.

use std::borrow::Cow;

use super::Visible;

/// The same JSON with escapes for what could drive a terminal; such characters stand only inside its strings.
#[must_use]
pub fn harmless_json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for ch in json.chars() {
        let shown = Visible(ch.to_string()).to_string();
        if shown.starts_with('\\') && ch != '\\' {
            let mut units = [0; 2];
            text.extend(ch.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(ch);
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_value_when_it_is_made_harmless() {
        let json = "{\"name\":\"a\\\\ \\u001b\u{9b}2J\u{202e}é\"}";
        assert_eq!(harmless_json(json), r#"{"name":"a\\ \u001b\u009b2J\u202eé"}"#);
    }
}
