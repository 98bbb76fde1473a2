//! One line of the audit.

use serde::Serialize;

use crate::{clock::UnixMillis, diag::harmless_json};

/// What is recorded. Each kind counts by itself, so that many of one kind hide none of the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::plugin) enum Event {
    /// The plugin started.
    Start,
    /// The broker ends.
    Stop,
    /// A client wanted to connect.
    LogIn,
    /// A session that was welcome before is no longer.
    Session,
    /// A publish or a subscription was refused.
    Access,
    /// The sessions of a device were closed because of a change.
    Kick,
    /// The files were loaded again.
    Reload,
    /// So many more of a kind that were not recorded one by one.
    Sum,
    /// So many records were lost before this one.
    Lost,
}

impl Event {
    /// Whether clients can make any number of them.
    pub(super) fn is_limited(self) -> bool {
        matches!(self, Self::LogIn | Self::Session | Self::Access)
    }
}

/// What happened. Texts of clients may be of any length and hold anything.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::plugin) struct Record<'a> {
    /// The device; of a refused log-in the name that was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) client_id: Option<&'a str>,
    /// What a client showed: `certificate`, `password`, `both` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) credential: Option<&'static str>,
    /// `publish` or `subscribe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) topic: Option<&'a str>,
    /// What came of it, in one word: `admitted`, `refused`, `ended`, `loaded`, `failed`, `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) decision: Option<&'static str>,
    /// The place of the rule that decided, with its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) rule: Option<String>,
    /// Why, in the words of `explain` and the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) reason: Option<String>,
    /// Which event a sum is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) of: Option<Event>,
    /// Of a sum and of what was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) count: Option<u64>,
    /// Of the snapshot that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin) revision: Option<&'a str>,
}

/// A record with what every one has.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(flatten)]
    record: &'a Record<'a>,
    /// Texts were cut so that the line is not too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl Record<'_> {
    /// The record as one line of JSON without its end, of at most `max_bytes` if that is 600 or more. Texts that are
    /// too long for it are cut, all at the same length.
    pub(super) fn to_line(&self, event: Event, address: Option<String>, max_bytes: usize) -> String {
        let time = UnixMillis::now().to_string();
        let whole = Line { time: time.clone(), event, address: address.clone(), record: self, cut: false };
        let mut json = to_json(&whole);
        let mut length = max_bytes / 2;
        while json.len() > max_bytes && length > 0 {
            let record = self.cut_at(length);
            let line =
                Line { time: time.clone(), event, address: address.clone(), record: &record, cut: true };
            json = to_json(&line);
            length /= 2;
        }
        json
    }

    fn cut_at(&self, length: usize) -> Record<'_> {
        let cut = |text: &str| text.floor_char_boundary(length);
        Record {
            who: self.who.and_then(|text| text.get(..cut(text))),
            client_id: self.client_id.and_then(|text| text.get(..cut(text))),
            topic: self.topic.and_then(|text| text.get(..cut(text))),
            rule: self.rule.as_ref().and_then(|text| text.get(..cut(text))).map(str::to_owned),
            reason: self.reason.as_ref().and_then(|text| text.get(..cut(text))).map(str::to_owned),
            ..self.clone()
        }
    }
}

/// Texts and numbers have nothing that JSON could not say.
fn to_json(line: &Line<'_>) -> String {
    let json = serde_json::to_string(line).unwrap_or_default();
    harmless_json(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_did_not_happen_is_not_said() {
        let record = Record {
            who: Some("thunder10"),
            decision: Some("admitted"),
            revision: Some("0123"),
            ..Record::default()
        };
        let line = record.to_line(Event::LogIn, Some("192.0.2.1".to_owned()), 4_096);
        let (time, rest) = line.split_at(r#"{"time":"2026-11-22T19:22:28.123Z","#.len());
        assert!(time.starts_with(r#"{"time":"20"#) && time.ends_with(r#"Z","#), "{line}");
        let expected = r#""event":"log-in","address":"192.0.2.1","who":"thunder10","decision":"admitted","revision":"0123"}"#;
        assert_eq!(rest, expected);
    }

    #[test]
    fn whatever_clients_write_a_line_is_json_on_one_line_and_not_too_long() {
        for text in ["\"},\n{\"event\":\"start", "\u{1}\u{7f}\u{9b}\u{202e}\u{2028}", "é\u{1f980}", "\0"] {
            for times in [1, 10, 100, 65_535] {
                let long = text.repeat(times);
                let record = Record {
                    who: Some(&long),
                    client_id: Some(&long),
                    topic: Some(&long),
                    reason: Some(long.clone()),
                    rule: Some(long.clone()),
                    ..Record::default()
                };
                for max_bytes in [600, 4_096] {
                    let line = record.to_line(Event::Access, None, max_bytes);
                    assert!(line.len() <= max_bytes, "{} bytes of {max_bytes}", line.len());
                    assert!(
                        !line.contains(|ch: char| ch.is_control() || ch == '\u{202e}' || ch == '\u{2028}')
                    );
                    let value: Value = serde_json::from_str(&line).unwrap();
                    let client_id = value["client_id"].as_str().unwrap();
                    assert!(long.starts_with(client_id), "{client_id}");
                    assert_eq!(value["cut"] == Value::Bool(true), client_id != long);
                }
            }
        }
    }
}
