//! Reads the JSON of Mosquitto's dynamic-security plugin, of 2.0 and of 2.1.
//!
//! What this does not know is a mistake: it may be a restriction.

mod raw;

use std::{ops::Range, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::mistake;
use crate::{
    diag::{Report, Source},
    password::PasswordHash,
    topic::Filter,
};
use raw::{RawAcl, RawClient, RawFile, RawGroup, RawNamed, RawRole};

/// SOURCE: 2.1 cuts priorities to this; 2.0 does not.
const MAX_PRIORITY: i64 = 100_000;

/// The whole file, its parts in its order.
#[derive(Debug, Default)]
pub(super) struct Dynsec {
    pub(super) defaults: Defaults,
    /// Where they stand.
    pub(super) defaults_line: u32,
    pub(super) clients: Vec<Client>,
    pub(super) groups: Vec<Group>,
    pub(super) roles: Vec<Role>,
    pub(super) anonymous_group: Option<(String, u32)>,
    /// Something in it that only 2.1 writes.
    pub(super) is_2_1: bool,
}

/// `defaultACLAccess`; what is missing is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Defaults {
    pub(super) publish_client_send: bool,
    pub(super) publish_client_receive: bool,
    pub(super) subscribe: bool,
    pub(super) unsubscribe: bool,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) line: u32,
    pub(super) username: String,
    pub(super) description: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) disabled: bool,
    pub(super) hash: Option<String>,
    /// Names and priorities.
    pub(super) roles: Vec<Named>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) roles: Vec<Named>,
    pub(super) clients: Vec<Named>,
}

#[derive(Debug)]
pub(super) struct Role {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) wildcards: bool,
    /// In the order in which the broker asks: by priority, then as written; of each type the first of a topic.
    pub(super) acls: Vec<Acl>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AclType {
    Send,
    Receive,
    SubscribeLiteral,
    SubscribePattern,
    UnsubscribeLiteral,
    UnsubscribePattern,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Acl {
    pub(super) line: u32,
    pub(super) kind: AclType,
    pub(super) topic: String,
    pub(super) priority: i64,
    pub(super) allow: bool,
}

impl AclType {
    const WORDS: [(&'static str, Self); 6] = [
        ("publishClientSend", Self::Send),
        ("publishClientReceive", Self::Receive),
        ("subscribeLiteral", Self::SubscribeLiteral),
        ("subscribePattern", Self::SubscribePattern),
        ("unsubscribeLiteral", Self::UnsubscribeLiteral),
        ("unsubscribePattern", Self::UnsubscribePattern),
    ];

    pub(super) fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// Somebody or something by name, with a priority.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) priority: i64,
    pub(super) line: u32,
}

/// Reads `source`; every mistake is told with its line. `text` is what it was made of, with the hashes.
pub(super) fn parse(source: &Arc<Source>, text: &str, report: &mut Report) -> Dynsec {
    let mut reader = Reader { source, text, report };
    let Some(raw) = reader.whole::<RawFile<'_>>() else { return Dynsec::default() };
    let mut file = Dynsec { is_2_1: raw.change_index.is_some(), ..Dynsec::default() };
    if let Some(value) = raw.defaults {
        file.defaults_line = reader.line(value);
        file.defaults = reader.object(value).unwrap_or_default();
    }
    file.anonymous_group = raw.anonymous_group.and_then(|value| {
        let name: Option<String> = reader.read(value)?;
        name.map(|name| (name, reader.line(value)))
    });
    file.roles = raw.roles.iter().filter_map(|value| reader.role(value, &mut file.is_2_1)).collect();
    file.groups = raw.groups.iter().filter_map(|value| reader.group(value)).collect();
    file.clients = raw.clients.iter().filter_map(|value| reader.client(value, &mut file.is_2_1)).collect();
    reader.no_twins("role", file.roles.iter().map(|role| (&*role.name, role.line)));
    reader.no_twins("group", file.groups.iter().map(|group| (&*group.name, group.line)));
    reader.no_twins("client", file.clients.iter().map(|client| (&*client.username, client.line)));
    file
}

struct Reader<'r> {
    source: &'r Arc<Source>,
    text: &'r str,
    report: &'r mut Report,
}

impl<'r> Reader<'r> {
    fn whole<T: Deserialize<'r>>(&mut self) -> Option<T> {
        if !self.is_object(0, self.text) {
            return None;
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let read = T::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        match read {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(0, &error);
                None
            }
        }
    }

    /// An array would be read as the fields in their order.
    fn is_object(&mut self, at: usize, text: &str) -> bool {
        let is_object = text.trim_start().starts_with('{');
        if !is_object {
            self.blame(at, "an object in `{ }` must stand here".into());
        }
        is_object
    }

    /// The object that the value must be.
    fn object<T: Deserialize<'r>>(&mut self, value: &'r RawValue) -> Option<T> {
        if self.is_object(self.offset(value), value.get()) { self.read(value) } else { None }
    }

    /// The value as what it must be.
    fn read<T: Deserialize<'r>>(&mut self, value: &'r RawValue) -> Option<T> {
        match serde_json::from_str(value.get()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(self.offset(value), &error);
                None
            }
        }
    }

    /// Where the value begins: it is a part of the text.
    fn offset(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    fn line(&self, value: &RawValue) -> u32 {
        self.source.line_of(self.offset(value))
    }

    /// Blames a line; the text after it may be a password, so that it is not cited.
    fn fault(&mut self, start: usize, error: &serde_json::Error) {
        let rest = self.text.get(start..).unwrap_or_default();
        let before: usize =
            rest.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message).to_owned();
        self.blame(
            start + before + if error.line() > 1 { 0 } else { error.column().saturating_sub(1) },
            message,
        );
    }

    fn blame(&mut self, at: usize, message: String) {
        let at = at.min(self.text.len());
        self.report.push(mistake(self.source, Range { start: at, end: at }, message));
    }

    fn start_of(&self, line: u32) -> usize {
        let before = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        self.text.split_inclusive('\n').take(before).map(str::len).sum()
    }

    fn no_twins<'n>(&mut self, word: &str, names: impl Iterator<Item = (&'n str, u32)>) {
        let mut seen = std::collections::HashMap::new();
        for (name, line) in names {
            if name.is_empty() {
                self.blame(self.start_of(line), format!("a {word} without a name"));
            }
            if let Some(first) = seen.insert(name, line) {
                self.blame(
                    self.start_of(line),
                    format!("the {word} `{name}` stands here a second time, first in line {first}"),
                );
            }
        }
    }

    fn priority(&mut self, value: &RawValue, priority: i64) -> i64 {
        if priority.abs() > MAX_PRIORITY {
            let message =
                format!("priorities beyond {MAX_PRIORITY} mean one thing to 2.0 and another to 2.1");
            self.blame(self.offset(value), message);
        }
        priority
    }

    fn named(&mut self, values: &[&'r RawValue]) -> Vec<Named> {
        let mut found: Vec<Named> = Vec::new();
        for value in values {
            let Some(raw) = self.object::<RawNamed>(value) else { continue };
            let named = Named {
                name: raw.name,
                priority: self.priority(value, raw.priority),
                line: self.line(value),
            };
            // The plugin keeps the first.
            if found.iter().all(|known| known.name != named.name) {
                found.push(named);
            }
        }
        found
    }

    fn role(&mut self, value: &'r RawValue, is_2_1: &mut bool) -> Option<Role> {
        let raw: RawRole<'_> = self.object(value)?;
        *is_2_1 |= raw.allowwildcardsubs.is_some();
        let mut acls: Vec<Acl> = Vec::new();
        for value in &raw.acls {
            let Some(raw) = self.object::<RawAcl>(value) else { continue };
            let kind = AclType::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(&raw.acltype));
            let Some((_, kind)) = kind else {
                self.blame(self.offset(value), format!("there is no acltype `{}`", raw.acltype));
                continue;
            };
            // 2.1 refuses everything where it meets one, 2.0 does not; no tool of theirs writes one.
            if let Err(error) = Filter::parse(&raw.topic)
                && !raw.topic.starts_with("$share")
            {
                self.blame(self.offset(value), format!("`{}` is no filter: {error}", raw.topic));
                continue;
            }
            let acl = Acl {
                line: self.line(value),
                kind: *kind,
                topic: raw.topic,
                priority: self.priority(value, raw.priority),
                allow: raw.allow,
            };
            match acls.iter().find(|known| (known.kind, &known.topic) == (acl.kind, &acl.topic)) {
                None => acls.push(acl),
                Some(twin) if (twin.allow, twin.priority) == (acl.allow, acl.priority) => {}
                // 2.0.11 obeys the one of higher priority, 2.0.21 and 2.1 the first; no tool of theirs writes a second.
                Some(twin) => self.blame(
                    self.offset(value),
                    format!(
                        "another entry for `{}` stands in line {}, and releases of Mosquitto differ in which they obey; \
                         keep one",
                        acl.topic, twin.line
                    ),
                ),
            }
        }
        acls.sort_by_key(|acl| -acl.priority);
        Some(Role {
            line: self.line(value),
            name: raw.rolename,
            description: described(raw.textname, raw.textdescription),
            wildcards: raw.allowwildcardsubs.unwrap_or(true),
            acls,
        })
    }

    fn group(&mut self, value: &'r RawValue) -> Option<Group> {
        let raw: RawGroup<'_> = self.object(value)?;
        let (roles, clients) = (self.named(&raw.roles), self.named(&raw.clients));
        Some(Group { line: self.line(value), name: raw.groupname, roles, clients })
    }

    fn client(&mut self, value: &'r RawValue, is_2_1: &mut bool) -> Option<Client> {
        let raw: RawClient<'_> = self.object(value)?;
        *is_2_1 |= raw.encoded_password.is_some();
        let text = match (&raw.encoded_password, &raw.password, &raw.salt, raw.iterations) {
            (Some(text), ..) => Some(text.clone()),
            (None, Some(password), Some(salt), Some(iterations)) if iterations > 0 => {
                Some(format!("$7${iterations}${salt}${password}"))
            }
            // The plugin takes such a client for one without a password.
            _ => None,
        };
        let hash = text.and_then(|text| match PasswordHash::parse(&text) {
            Ok(hash) => Some(hash.to_text()),
            Err(error) => {
                self.blame(self.offset(value), format!("the password of `{}`: {error}", raw.username));
                None
            }
        });
        if !raw.groups.is_empty() {
            let message =
                format!("`{}` has `groups` of its own, which the plugin never writes", raw.username);
            self.blame(self.offset(value), message);
        }
        Some(Client {
            line: self.line(value),
            roles: self.named(&raw.roles),
            username: raw.username,
            description: described(raw.textname, raw.textdescription),
            client_id: raw.clientid,
            disabled: raw.disabled,
            hash,
        })
    }
}

/// Name and description that people gave.
fn described(name: Option<String>, description: Option<String>) -> Option<String> {
    let parts: Vec<String> =
        [name, description].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}
