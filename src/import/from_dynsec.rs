//! Dynamic-security JSON to a draft.
//!
//! The plugin asks a client's roles by priority, then those of its groups; the first entry that matches decides, and
//! where none does the default access. Here denials beat all allows. So a denial is kept where something that comes
//! after it would allow what it denies, and what came before it loses the topics that both match.

mod order;
mod rules;
mod told;

use super::{
    Choices, Code, File, Loss, Meaning, Note, Person, Renames, dynsec,
    filters::For,
    notes,
    write::{Block, Device, Draft, Key, Rule},
};
use crate::diag::{Report, Source};
use order::Order;
use rules::Rules;

pub(super) fn draft(
    file: File<'_>,
    (mut renames, choices): (Renames, Choices),
    report: &mut Report,
) -> Option<(Draft, Renames)> {
    // Not the text itself: a line of it may hold every hash.
    let source = Source::new(file.path, masked(file.text));
    let parsed = dynsec::parse(&source, file.text, report);
    if report.has_errors() {
        return None;
    }
    let meaning = match choices.meaning {
        Meaning::Both if parsed.is_2_1 => Meaning::V2_1,
        chosen => chosen,
    };
    let name = notes::file_name(&source);
    let devices = renames.devices(parsed.clients.iter().map(|client| &*client.username));
    let roles = renames.roles(parsed.roles.iter().map(|role| &*role.name));
    let order = Order::of(&parsed);
    let mut rules = Rules { file: &parsed, name: &name, meaning, order: &order, notes: Vec::new() };
    rules.note_dangling();

    let mut draft = Draft { origin: name.clone(), ..Draft::default() };
    draft.everyone = rules.defaults();
    for (index, (role, new)) in parsed.roles.iter().zip(&roles).enumerate() {
        let mut block = rules.role(index, For::Everybody);
        if let Some(text) = &role.description {
            block.remarks.insert(0, text.clone());
        }
        block.remarks.insert(0, format!("{name}:{}: role {}", role.line, role.name));
        if role.name != *new {
            rules.note(
                (Code::Renamed, role.line),
                format!("the role `{}` is called `{new}` here", role.name),
                Vec::new(),
            );
        }
        draft.roles.push((new.clone(), block));
    }
    rules.note_order();
    rules.note_shared();
    draft.own_client_ids = !parsed.clients.is_empty()
        && parsed
            .clients
            .iter()
            .zip(&devices)
            .all(|(client, device)| client.client_id.as_ref() == Some(device));
    if draft.own_client_ids {
        rules.note_own_client_ids();
    }
    for (index, (client, device)) in parsed.clients.iter().zip(&devices).enumerate() {
        let mut block = Block::default();
        block.remarks.push(format!("{name}:{}: client {}", client.line, client.username));
        block.remarks.extend(client.description.clone());
        let own: &[usize] = order.clients.get(index).map_or(&[], |own| own);
        let renamed = client.username != *device;
        let mut its_roles = Vec::new();
        for role in own {
            if renamed {
                // The roles would fill in the new name.
                block.rules.extend(rules.role(*role, For::Named(&client.username)).rules);
            } else {
                its_roles.extend(roles.get(*role).cloned());
            }
        }
        if renamed {
            let message = format!(
                "`{}` is called `{device}` here and must log in so; `renames.toml` may say another name to `citronella import`",
                client.username
            );
            rules.note((Code::Renamed, client.line), message, Vec::new());
        }
        let bound = client.client_id.is_some() && !draft.own_client_ids && !choices.unbound;
        if let Some(id) = client.client_id.as_ref().filter(|_| !draft.own_client_ids) {
            rules.note_binding(client, id, bound);
        }
        if client.disabled {
            let message = format!("`{}` is disabled, and so it is here", client.username);
            rules.note((Code::Disabled, client.line), message, Vec::new());
        }
        draft.devices.push(Device {
            name: device.clone(),
            roles: its_roles,
            disabled: client.disabled || bound,
            hash: client.hash.clone(),
            block,
        });
    }
    draft.anonymous = rules.anonymous(choices.anonymous);
    draft.people =
        parsed.clients.iter().zip(&devices).map(|(client, device)| person(client, device)).collect();
    draft.notes = rules.notes;
    let acls = parsed.roles.iter().flat_map(|role| &role.acls);
    draft.filters = acls.map(|acl| (acl.topic.clone(), acl.line)).collect();
    Some((draft, renames))
}

fn person(client: &dynsec::Client, device: &str) -> Person {
    Person {
        name: client.username.clone(),
        device: device.to_owned(),
        client_id: client.client_id.clone(),
        line: client.line,
        hash: client.hash.clone(),
    }
}

/// The text with nothing but its line ends, which is all that may be cited.
fn masked(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}
