//! Files with hashes are cited without them.

use std::borrow::Cow;

/// The same text with what stands after `password =`, `hash =` and the like, and whatever else looks like a hash,
/// replaced by asterisks; every byte keeps its place and every line its end.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    masked(&masked(text, next_private_key), next_secret)
}

/// A sentence in which a text of others may be quoted, with every hash in it replaced by asterisks. What only speaks of
/// a kind of hash, as `$6$` does, stays.
pub(crate) fn without_hashes<'a>(sentence: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let sentence = sentence.into();
    match next_hash(&sentence) {
        Some(_) => Cow::Owned(masked(&sentence, next_hash)),
        None => sentence,
    }
}

/// The text with what `next` finds in it, and in what comes behind, replaced by asterisks.
fn masked(text: &str, next: fn(&str) -> Option<(usize, usize)>) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = next(rest) {
        let (open, secret) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let (secret, after) = secret.split_at_checked(end - start).unwrap_or((secret, ""));
        masked.push_str(open);
        masked.extend(stars(secret));
        rest = after;
    }
    masked.push_str(rest);
    masked
}

/// An asterisk for each byte; line ends stay.
pub(crate) fn stars(secret: &str) -> impl Iterator<Item = char> + use<'_> {
    secret.chars().flat_map(|ch| match ch {
        '\n' | '\r' => std::iter::repeat_n(ch, 1),
        _ => std::iter::repeat_n('*', ch.len_utf8()),
    })
}

/// Bytes of what stands inside the first private key in PEM: of a file that was named by mistake. Never empty.
fn next_private_key(text: &str) -> Option<(usize, usize)> {
    const BEGIN: &str = "-----BEGIN ";
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(BEGIN) {
        let label = from + found + BEGIN.len();
        let Some(length) = text.get(label..)?.find("-----") else { break };
        let start = label + length + "-----".len();
        if text.get(label..start)?.contains("PRIVATE KEY") {
            let end = text.get(start..)?.find("-----END").map_or(text.len(), |length| start + length);
            return Some((start, end)).filter(|_| start < end);
        }
        from = start;
    }
    None
}

/// Fewest bytes of a hash with its salt; any that is accepted has more.
const LEAST_HASH: usize = 16;

/// Bytes of the first hash.
fn next_hash(text: &str) -> Option<(usize, usize)> {
    let mut found = text.match_indices('$').filter_map(|(at, _)| hash(text, at));
    found.find(|(start, end)| end - start >= LEAST_HASH)
}

/// Bytes of the first secret; never empty.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(['$', '=']) {
        let at = from + found;
        let span = match text.as_bytes().get(at) {
            Some(b'=') => value_of_secret_key(text, at),
            _ => hash(text, at),
        };
        if let Some((start, end)) = span.filter(|(start, end)| start < end) {
            return Some((start, end));
        }
        from = at + 1;
    }
    None
}

/// What stands after this `=`, if the key before it is one of secrets: the content of a string up to its end,
/// or what stands there unquoted up to the end of the line.
fn value_of_secret_key(text: &str, equals: usize) -> Option<(usize, usize)> {
    let key = text.get(..equals)?.trim_end_matches([' ', '\t', '"', '\'']);
    let outside = |ch: char| !(ch.is_ascii_alphanumeric() || matches!(ch, '_' | '-'));
    let key = key.rsplit(outside).next().unwrap_or_default().to_ascii_lowercase();
    // Also what is meant to be such a key: a misspelt one is cited, and its value must not be.
    let secret = ["pas", "word", "pwd", "hash", "secret"].iter().any(|part| key.contains(part));
    if !secret || key.ends_with("file") {
        return None;
    }
    let value = text.get(equals + 1..)?;
    let start = equals + 1 + (value.len() - value.trim_start_matches([' ', '\t']).len());
    let value = text.get(start..)?;
    for fence in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(content) = value.strip_prefix(fence) {
            let start = start + fence.len();
            let length = match fence.len() {
                1 => last_quote(content, fence),
                _ => content.find(fence).unwrap_or(content.len()),
            };
            return Some((start, start + length));
        }
    }
    if value.starts_with('{') {
        return None; // the keys inside are found by themselves
    }
    Some((start, start + value.find('\n').unwrap_or(value.len())))
}

/// Up to the quote that ends a string on this line, or to the end of the line if none does. An escaped quote ends
/// nothing.
fn last_quote(content: &str, fence: &str) -> usize {
    let line = content.find('\n').unwrap_or(content.len());
    let mut escaped = false;
    for (at, ch) in content.char_indices().take_while(|(at, _)| *at < line) {
        match ch {
            _ if escaped => escaped = false,
            '\\' if fence == "\"" => escaped = true,
            _ if fence.starts_with(ch) => return at,
            _ => {}
        }
    }
    line
}

/// `$6$…`, `$7$…` or `$argon2…`, wherever it stands.
fn hash(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    if !["$6$", "$7$", "$argon2"].iter().any(|start| rest.starts_with(start)) {
        return None;
    }
    let part = |ch: char| !(ch.is_ascii_alphanumeric() || matches!(ch, '$' | '+' | '/' | '=' | ',' | '.'));
    Some((at, at + rest.find(part).unwrap_or(rest.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_everything_keeps_its_place() {
        for (text, masked) in [
            ("a = 1\n", "a = 1\n"),
            ("password = \"hünter\"\nx = 1", "password = \"*******\"\nx = 1"),
            ("password=\"$6$ab==$cd\" # x", "password=\"**********\" # x"),
            ("password = 'a\nb = 1", "password = '*\nb = 1"),
            ("password = a b\nb = 1", "password = ***\nb = 1"),
            ("password = \"a\\\"b\" # c", "password = \"****\" # c"),
            ("password = '''\na\nb'''\nc", "password = '''\n*\n*'''\nc"),
            (
                "password = { hash = \"abc\", generated = true }",
                "password = { hash = \"***\", generated = true }",
            ),
            ("\"password\" = \"a\"", "\"password\" = \"*\""),
            ("password = {\n hash='a' }", "password = {\n hash='*' }"),
            ("pasword = 'a'", "pasword = '*'"),
            ("Password.hash = 'a'", "Password.hash = '*'"),
            ("password_file = 'a'", "password_file = 'a'"),
            ("publish = [\"$6$a\", '$SYS/#']", "publish = [\"****\", '$SYS/#']"),
            ("password = \"\"\nx = 1", "password = \"\"\nx = 1"),
            (
                "-----BEGIN X-----\nab\n-----END X-----\n-----BEGIN EC PRIVATE KEY-----\ncd=\n-----END EC PRIVATE KEY-----\ne",
                "-----BEGIN X-----\nab\n-----END X-----\n-----BEGIN EC PRIVATE KEY-----\n***\n-----END EC PRIVATE KEY-----\ne",
            ),
            ("-----BEGIN PRIVATE KEY-----torn", "-----BEGIN PRIVATE KEY-----****"),
        ] {
            assert_eq!(without_secrets(text), masked);
            assert_eq!(text.len(), masked.len());
        }
    }

    #[test]
    fn a_sentence_keeps_all_but_hashes() {
        let hash = "$6$c29tZXNhbHQ=$VzOZmM2DgwG+PTXiqyC/3BWrTe2t80yS==";
        for (sentence, masked) in [
            ("write `password = \"…\"`, under `$6$` or `$argon2id$`".to_owned(), None),
            (format!("no device can be called `{hash}`"), Some(hash)),
            (format!("`$7$` and `{hash}` {hash}"), Some(hash)),
        ] {
            let expected = masked
                .map_or_else(|| sentence.clone(), |hash| sentence.replace(hash, &"*".repeat(hash.len())));
            assert_eq!(without_hashes(&sentence), expected);
        }
    }
}
