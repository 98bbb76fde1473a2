//! What holds for every report about a text.

use citronella::{diag::Report, password::PasswordHash};

/// Each mistake stands inside the text, prints on one line, and shows no hash.
pub(crate) fn check(report: &Report, text: &str) {
    let hashes = hashes(text);
    for found in report {
        let (source, span) = found.place.as_ref().unwrap_or_else(|| panic!("no place: {found}"));
        assert_eq!(source.text().len(), text.len(), "masking moves bytes: {found}");
        assert!(source.text().get(span.clone()).is_some(), "{span:?} of {}: {found}", text.len());
        assert!(!found.message.is_empty(), "no message at {span:?}");
        let (log, terminal) = (found.to_string(), format!("{found:#}"));
        assert!(!log.contains(char::is_control), "{log:?}");
        assert!(!terminal.contains(|ch: char| ch.is_control() && ch != '\n'), "{terminal:?}");
        for hash in &hashes {
            assert!(!log.contains(hash) && !terminal.contains(hash), "shows {hash}: {terminal}");
        }
    }
}

/// Everything between quotes and blanks that is a hash.
fn hashes(text: &str) -> Vec<&str> {
    let words = text.split(|ch: char| ch.is_whitespace() || matches!(ch, '"' | '\'' | ':'));
    words.filter(|word| PasswordHash::parse(word).is_ok()).collect()
}
