//! `acl_file` and `password_file` to a draft.
//!
//! The broker asks a user's own lines first, denials before the others, then the patterns alike; so a user's own allow
//! beats the denial of a pattern. Here a denial beats every allow.

use std::collections::{HashMap, HashSet};

use super::{
    Choices, Code, File, Loss, Note, Person, Renames, acl_file,
    acl_file::{Access, AclFile, Entry},
    filters::{self, For, Kind, Trouble, translate},
    notes,
    passwords::{self, User},
    write::{Block, Device, Draft, Key, Rule},
};
use crate::{
    diag::{Report, Source},
    policy::Effect,
};

/// Holds the patterns where they are not for everybody.
const PATTERNS: &str = "patterns";

pub(super) fn draft(
    acl: Option<File<'_>>,
    passwords: Option<File<'_>>,
    (mut renames, choices): (Renames, Choices),
    report: &mut Report,
) -> Option<(Draft, Renames)> {
    let mut notes = Vec::new();
    let acl_source = acl.map(|file| Source::new(file.path, file.text));
    let file = acl_source.as_ref().map_or_else(AclFile::default, |source| acl_file::parse(source, report));
    let users = passwords.map_or_else(Vec::new, |file| {
        let masked = Source::new(file.path, crate::password::file::without_secrets(file.text));
        passwords::parse(&masked, file.text, report, &mut notes)
    });
    if report.has_errors() {
        return None;
    }
    let name = |file: Option<File<'_>>| {
        file.map(|file| notes::file_name(&Source::new(file.path, ""))).unwrap_or_default()
    };
    let (acl_name, password_name) = (name(acl), name(passwords));
    let people = people(&file, &users, &mut renames);
    for person in people.iter().filter(|person| person.name != person.device) {
        let known = users.iter().any(|user| user.name == person.name);
        notes.push(Note {
            code: Code::Renamed,
            file: if known { password_name.clone() } else { acl_name.clone() },
            line: person.line,
            message: format!(
                "`{}` is called `{}` here and must log in so; `renames.toml` may say another name to `citronella import`",
                person.name, person.device
            ),
            losses: Vec::new(),
        });
    }
    let mut work = Work { file: &file, name: &acl_name, choices, notes };
    let needed: Vec<&Entry> = work.needed_denials();

    let dangerous = people.iter().any(is_renamed);
    let shared = work.patterns(&needed, For::Everybody);
    let mut draft = Draft {
        origin: [&*acl_name, &*password_name]
            .iter()
            .filter(|name| !name.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" and "),
        ..Draft::default()
    };
    let blocks: HashMap<&str, &Vec<Entry>> =
        file.users.iter().map(|(name, _, entries)| (&**name, entries)).collect();
    for person in &people {
        let own = blocks.get(&*person.name).copied();
        let mut block = own.map_or_else(Block::default, |entries| work.own(entries));
        let mut roles = Vec::new();
        if is_renamed(person) {
            // Who has `+` or `#` in the name is refused by the broker before it looks at the patterns.
            if !person.name.contains(['+', '#']) {
                let spelled = work.patterns(&needed, For::Named(&person.name));
                block.rules.extend(spelled.rules);
            }
        } else if dangerous && !shared.rules.is_empty() {
            roles.push(PATTERNS.to_owned());
        }
        if let Some(entries) = own {
            work.note_conflicts(&person.name, entries, &needed);
        }
        draft.devices.push(Device {
            name: person.device.clone(),
            roles,
            disabled: false,
            hash: person.hash.clone(),
            block,
        });
    }
    if dangerous && !shared.rules.is_empty() {
        draft.roles.push((PATTERNS.to_owned(), shared));
    } else {
        draft.everyone = shared;
    }
    draft.anonymous = work.anonymous(&needed);
    work.notes.dedup();
    draft.notes = work.notes;
    draft.people = people;
    let entries =
        file.users.iter().flat_map(|(_, _, entries)| entries).chain(&file.patterns).chain(&file.anonymous);
    draft.filters = entries.map(|entry| (entry.filter.clone(), entry.line)).collect();
    Some((draft, renames))
}

fn is_renamed(person: &Person) -> bool {
    person.name != person.device
}

/// Everybody who is named, those with a password first.
fn people(file: &AclFile, users: &[User], renames: &mut Renames) -> Vec<Person> {
    let with = users.iter().map(|user| (user.name.clone(), user.line, Some(user.hash.clone())));
    let named: HashSet<&str> = users.iter().map(|user| &*user.name).collect();
    let only = file
        .users
        .iter()
        .filter(|(name, ..)| !named.contains(&**name))
        .map(|(name, line, _)| (name.clone(), *line, None));
    let all: Vec<(String, u32, Option<String>)> = with.chain(only).collect();
    let devices = renames.devices(all.iter().map(|(name, ..)| &**name));
    let people = all.into_iter().zip(devices);
    people.map(|((name, line, hash), device)| Person { name, device, client_id: None, line, hash }).collect()
}

struct Work<'f> {
    file: &'f AclFile,
    name: &'f str,
    choices: Choices,
    notes: Vec<Note>,
}

impl<'f> Work<'f> {
    fn note(&mut self, (code, line): (Code, u32), message: String, losses: Vec<Loss>) {
        let note = Note { code, file: self.name.to_owned(), line, message, losses };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A pattern's denial takes away only what another pattern gives; the others change nothing.
    fn needed_denials(&mut self) -> Vec<&'f Entry> {
        let file = self.file;
        let (denials, allows): (Vec<&Entry>, Vec<&Entry>) =
            file.patterns.iter().partition(|entry| entry.access == Access::Deny);
        let (needed, idle): (Vec<&Entry>, Vec<&Entry>) = denials
            .into_iter()
            .partition(|deny| allows.iter().any(|allow| filters::meets(&deny.filter, &allow.filter)));
        for entry in idle {
            let message = format!("`{}` is left out: no pattern allows anything that it denies", entry.text);
            self.note((Code::NoEffect, entry.line), message, Vec::new());
        }
        needed
    }

    /// What the patterns give to this subject.
    fn patterns(&mut self, needed: &[&'f Entry], subject: For<'_>) -> Block {
        let mut block = Block::default();
        for entry in &self.file.patterns {
            if entry.access != Access::Deny || needed.contains(&entry) {
                self.add(&mut block, entry, (Kind::AclPattern, subject));
            }
        }
        block
    }

    fn own(&mut self, entries: &[Entry]) -> Block {
        let mut block = Block::default();
        for entry in entries {
            self.add(&mut block, entry, (Kind::Plain, For::Everybody));
        }
        block
    }

    fn add(&mut self, block: &mut Block, entry: &Entry, (kind, subject): (Kind, For<'_>)) {
        let effect = if entry.access == Access::Deny { Effect::Deny } else { Effect::Allow };
        let (templates, trouble) = translate(&entry.filter, effect, (kind, self.choices.meaning), subject);
        if let Some(trouble) = trouble {
            let (code, what) = describe(trouble, effect);
            let who = match subject {
                For::Named(name) => Some(name),
                For::Everybody | For::Nobody => None,
            };
            let losses = match trouble {
                Trouble::Unusable => Vec::new(),
                Trouble::Releases | Trouble::TwoPlaceholders => vec![loss(entry, who)],
            };
            let whom = who.map(|name| format!(" for `{name}`")).unwrap_or_default();
            let message = format!("`{}`{whom} {what}", entry.text);
            self.note((code, entry.line), message, losses);
        }
        let key = match entry.access {
            Access::Read => Key::Subscribe,
            Access::Write => Key::Publish,
            Access::ReadWrite => Key::Pubsub,
            Access::Deny => Key::Deny,
        };
        let origin = format!("{}:{}: {}", self.name, entry.line, entry.text);
        if templates.is_empty() && subject == For::Everybody {
            block.remarks.push(format!("{origin}: left out"));
        }
        block.rules.extend(templates.into_iter().map(|template| Rule {
            key,
            template,
            origin: origin.clone(),
        }));
    }

    /// A user's own allow that a pattern's denial meets.
    fn note_conflicts(&mut self, user: &str, entries: &[Entry], needed: &[&Entry]) {
        for allow in entries.iter().filter(|entry| entry.access != Access::Deny) {
            for deny in needed.iter().filter(|deny| filters::meets(&allow.filter, &deny.filter)) {
                let message = format!(
                    "`{}` of `{user}` went before `{}` of line {}; here the denial wins where both match",
                    allow.text, deny.text, deny.line
                );
                self.note((Code::UserBeforePattern, allow.line), message, vec![loss(allow, Some(user))]);
            }
        }
    }

    /// Rules for clients without a name: their own and the patterns without `%u`.
    fn anonymous(&mut self, needed: &[&'f Entry]) -> Option<Block> {
        let file = self.file;
        if !self.choices.anonymous {
            for entry in &file.anonymous {
                let message = format!(
                    "`{}` is for clients without a user name, who are not admitted; `citronella import --anonymous` admits them",
                    entry.text
                );
                self.note((Code::Anonymous, entry.line), message, Vec::new());
            }
            return None;
        }
        let mut block = self.own(&file.anonymous);
        let patterns = self.patterns(needed, For::Nobody);
        block.rules.extend(patterns.rules);
        for allow in file.anonymous.iter().filter(|entry| entry.access != Access::Deny) {
            for deny in needed.iter().filter(|deny| filters::meets(&allow.filter, &deny.filter)) {
                let message = format!(
                    "`{}` of clients without a name went before `{}` of line {}; here the denial wins where both match",
                    allow.text, deny.text, deny.line
                );
                let who = Some(crate::ident::ANONYMOUS);
                self.note((Code::UserBeforePattern, allow.line), message, vec![loss(allow, who)]);
            }
        }
        Some(block)
    }
}

fn loss(entry: &Entry, who: Option<&str>) -> Loss {
    let spelled = entry.filter.replace("%u", who.unwrap_or("%u"));
    let wide = filters::widened(&spelled);
    // A wildcard in its place does not match what the name began with.
    let dollar = spelled.starts_with('$') && !wide.starts_with('$');
    Loss {
        who: who.map(str::to_owned),
        filter: if dollar { "$".to_owned() } else { wide },
        publish: entry.access != Access::Read,
        receive: entry.access != Access::Write,
    }
}

/// What to say of a filter that is not what it was.
pub(super) fn describe(trouble: Trouble, effect: Effect) -> (Code, &'static str) {
    match (trouble, effect) {
        (Trouble::Releases, Effect::Allow) => (
            Code::Placeholder,
            "is left out: 2.0 and 2.1 read its placeholder differently; `citronella import --mosquitto` says which of them is meant",
        ),
        (Trouble::Releases, Effect::Deny) => (
            Code::Placeholder,
            "denies what either 2.0 or 2.1 takes it for; `citronella import --mosquitto` says which of them is meant",
        ),
        (Trouble::TwoPlaceholders, Effect::Allow) => {
            (Code::TwoPlaceholders, "is left out: a level here holds one placeholder")
        }
        (Trouble::TwoPlaceholders, Effect::Deny) => (
            Code::TwoPlaceholders,
            "denies more: a level here holds one placeholder, so that `#` stands for it and what follows",
        ),
        (Trouble::Unusable, _) => (Code::UnusableFilter, "is left out: no topic here can match it"),
    }
}
