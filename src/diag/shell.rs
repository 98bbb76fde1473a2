//! Commands that are printed to be typed.

use std::path::Path;

/// As one word of a shell, for a line to paste.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%+,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as one word of a shell, which is no option either.
#[must_use]
pub fn shell_path(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('-') { shell_word(&format!("./{text}")) } else { shell_word(&text) }
}
