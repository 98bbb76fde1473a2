//! Changes to parts of a TOML document that leave the text around them alone.

use toml_edit::{Array, InlineTable, Item, RawString, TableLike, Value};

/// How the lines of a file end; the document model knows `\n` only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LineEnds {
    Unix,
    Windows,
}

impl LineEnds {
    pub(super) fn of(text: &str) -> Self {
        if text.contains("\r\n") { Self::Windows } else { Self::Unix }
    }

    /// A text with these line ends everywhere.
    pub(super) fn restore(self, text: &str) -> String {
        match self {
            Self::Unix => text.to_owned(),
            Self::Windows => text.replace("\r\n", "\n").replace('\n', "\r\n"),
        }
    }
}

/// A text as a value in one line: lines of its own would get the ends that the file's lines have.
pub(super) fn one_line(text: &str) -> Value {
    let mut written = String::from('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => written.extend(['\\', ch]),
            ch if ch.is_control() => written.push_str(&format!("\\u{:04x}", u32::from(ch))),
            ch => written.push(ch),
        }
    }
    let plain = !text.contains(['\n', '\r']);
    if plain { text.into() } else { format!("{written}\"").parse().unwrap_or_else(|_| text.into()) }
}

/// Sets a key to a value. Where it stands, and the comments around it, stay.
pub(super) fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(Item::Value(old)) = table.get_mut(key) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
        return;
    }
    table.remove(key);
    table.insert(key, Item::Value(value));
}

/// Takes a key out. The comments around it stay, before the next key or after the last.
pub(super) fn remove_key(table: &mut dyn TableLike, key: &str) {
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let Some(place) = keys.iter().position(|known| known == key) else { return };
    let mut comments = table.key(key).map(|key| text_of(key.leaf_decor().prefix())).unwrap_or_default();
    if let Some(Item::Value(value)) = table.get(key) {
        let behind = text_of(value.decor().suffix());
        if behind.contains('#') {
            comments.push_str(behind.trim_start());
            comments.push('\n');
        }
    }
    table.remove(key);
    if !comments.contains('#') {
        return;
    }
    if let Some(mut next) = keys.get(place + 1).and_then(|next| table.key_mut(next)) {
        let before = text_of(next.leaf_decor().prefix());
        next.leaf_decor_mut().set_prefix(format!("{comments}{before}"));
        return;
    }
    let last = place.checked_sub(1).and_then(|last| keys.get(last)).and_then(|last| table.get_mut(last));
    if let Some(Item::Value(last)) = last {
        let behind = text_of(last.decor().suffix());
        last.decor_mut().set_suffix(format!("{behind}\n{}", comments.trim_end()));
    }
}

/// Puts the blank before the closing brace of an inline table behind its last value, whichever that is by now.
pub(super) fn space(table: &mut InlineTable) {
    let count = table.len();
    for (index, (_, value)) in table.iter_mut().enumerate() {
        if text_of(value.decor().suffix()).trim().is_empty() {
            value.decor_mut().set_suffix(if index + 1 == count { " " } else { "" });
        }
    }
    // What stood between the braces of an empty table.
    if count > 0 && !table.trailing_comma() && text_of(Some(table.trailing())).trim().is_empty() {
        table.set_trailing("");
    }
}

/// Adds an item at the end of an array, on a line of its own if the others have one.
pub(super) fn push(array: &mut Array, mut item: Value) {
    let before_last = array.iter().last().map(|last| text_of(last.decor().prefix())).unwrap_or_default();
    let Some((_, indent)) = before_last.rsplit_once('\n') else {
        array.push(item);
        return;
    };
    let indent = indent.to_owned();
    // What follows the last comma up to the bracket may be a comment on the last item.
    let trailing = text_of(Some(array.trailing()));
    let (comment, end) = trailing.rsplit_once('\n').unwrap_or(("", &trailing));
    let end = end.to_owned();
    if array.trailing_comma() {
        item.decor_mut().set_prefix(format!("{comment}\n{indent}"));
    } else {
        item.decor_mut().set_prefix(format!("\n{indent}"));
        array.set_trailing_comma(true);
    }
    array.push_formatted(item);
    array.set_trailing(format!("\n{end}"));
}

/// Takes an item out of an array; a comment before it goes before the next.
pub(super) fn remove_at(array: &mut Array, index: usize) {
    let removed = array.remove(index);
    let before = text_of(removed.decor().prefix());
    if before.contains('#') {
        if let Some(next) = array.get_mut(index) {
            let prefix = text_of(next.decor().prefix());
            next.decor_mut().set_prefix(comment_before(&before, &prefix));
        } else {
            let trailing = text_of(Some(array.trailing()));
            array.set_trailing(comment_before(&before, &trailing));
        }
    } else if index == 0
        && let Some(first) = array.get_mut(0)
        && text_of(first.decor().prefix()) == " "
    {
        first.decor_mut().set_prefix("");
    }
    if array.is_empty() {
        array.set_trailing_comma(false);
    }
}

/// A comment and the blanks behind it, put before `rest`, which must not become part of the comment.
fn comment_before(comment: &str, rest: &str) -> String {
    let on_this_line = rest.trim_start_matches([' ', '\t']);
    if on_this_line.starts_with('\n') {
        format!("{}{rest}", comment.trim_end())
    } else {
        format!("{comment}{on_this_line}")
    }
}

fn text_of(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str).unwrap_or_default().to_owned()
}
