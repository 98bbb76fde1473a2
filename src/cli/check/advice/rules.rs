//! What is to be said about single rules: whether they give more than somebody meant, or nothing.

use std::{collections::HashSet, ptr, sync::Arc};

use citronella::{
    config::{ClientIds, RoleId},
    diag::Code,
    policy::{Actions, Block, Effect, Rule, fillable},
    registry::Device,
    snapshot::Snapshot,
    topic::{Level, Placeholder},
};

use super::{
    super::cited::{Cited, Warning},
    sets::{Set, called, name_of},
};
use crate::init::starter_roles;

/// About the rules of all roles, of everyone, of anonymous clients and of devices.
pub(super) fn warnings(
    snapshot: &Snapshot,
    (sets, devices): (&[Set<'_>], &[&Device]),
    cited: &mut Cited,
) -> Vec<Warning> {
    let mut found = Vec::new();
    for block in blocks(snapshot, sets) {
        each(snapshot, block, cited, &mut found);
        found.extend(never_filled(snapshot, block, sets, cited));
    }
    for device in devices {
        let own = snapshot.indexes(device.name().as_str()).and_then(|(_, own)| own?.blocks().first());
        let Some(own) = own else { continue };
        each(snapshot, own, cited, &mut found);
        for rule in allows(own).filter(|rule| !fills(rule, device)) {
            let message = format!("`{}` gives nothing: {}", rule.template, lacking(rule, "this device"));
            found.push(cited.rule(Code::NeverFilled, (name_of(own), rule), message).help(FILL_HELP));
        }
    }
    found
}

/// The blocks that are not a device's own, each once.
fn blocks<'s>(snapshot: &'s Snapshot, sets: &[Set<'s>]) -> Vec<&'s Arc<Block>> {
    let roles = snapshot.roles();
    let of_roles = roles.names().filter_map(|name| roles.block(roles.find(name)?));
    let of_sets = sets.iter().flat_map(|set| set.shared.blocks());
    let of_nobody = snapshot.anonymous().into_iter().flat_map(|index| index.blocks());
    let mut seen = HashSet::new();
    of_roles.chain(of_sets).chain(of_nobody).filter(|block| seen.insert(Arc::as_ptr(block))).collect()
}

fn allows(block: &Block) -> impl Iterator<Item = &Rule> {
    block.rules.iter().filter(|rule| rule.effect == Effect::Allow)
}

/// What a rule's own words tell.
fn each(snapshot: &Snapshot, block: &Block, cited: &mut Cited, found: &mut Vec<Warning>) {
    for rule in allows(block) {
        found.extend(wide(block, rule, cited));
        if rule.actions == Actions::PUBLISH && is_refused_by_the_broker(rule) {
            let message = format!("`{}` gives nothing: the broker itself refuses it", rule.template);
            found.push(
                cited
                    .rule(Code::SysPublish, (name_of(block), rule), message)
                    .help("clients cannot publish below `$SYS`; take the rule out"),
            );
        }
        let trusts = rule.template.placeholders().any(|hole| hole == Placeholder::ClientId);
        if trusts && snapshot.settings().client_ids != ClientIds::Device {
            let message = format!("`{}` trusts the client id, which clients choose", rule.template);
            found.push(
                cited
                    .rule(Code::ClientIdRule, (name_of(block), rule), message)
                    .help("write `{device}`, or set `client_id = \"device\"` in `[identity]`"),
            );
        }
    }
}

fn wide(block: &Block, rule: &Rule, cited: &mut Cited) -> Option<Warning> {
    let levels: Vec<Level<'_>> = rule.template.levels().collect();
    let (first, rest) = levels.split_first()?;
    let all = |levels: &[Level<'_>]| {
        levels.last() == Some(&Level::Hash)
            && levels.iter().all(|level| matches!(level, Level::Plus | Level::Hash))
    };
    let (code, what, help) = match first {
        Level::Plus | Level::Hash if all(&levels) => (
            Code::AllowEverything,
            "every topic that does not begin with `$`",
            "name the topics it needs, as in `sensors/#`",
        ),
        Level::Text(text) if text == "$SYS" && all(rest) => (
            Code::AllowSys,
            "all that the broker tells about itself, clients' names and addresses included",
            "name the part it needs, as in `$SYS/broker/uptime`",
        ),
        Level::Text(text) if text == "$CONTROL" => (
            Code::AllowControl,
            "the topics by which the broker is configured",
            "take the rule out, or keep it to one device that you would give root",
        ),
        Level::Text(_) | Level::Hole { .. } | Level::Plus | Level::Hash => return None,
    };
    let message = format!("`{}` gives {} {what}", rule.template, called(block));
    Some(cited.rule(code, (name_of(block), rule), message).help(help))
}

/// Below `$SYS` only bridges may say whether they are connected.
/// SOURCE: Mosquitto 2.0.11 to 2.1.2, `acl__check_dollar`.
fn is_refused_by_the_broker(rule: &Rule) -> bool {
    let levels: Vec<Level<'_>> = rule.template.levels().collect();
    let text = |at: usize, wanted: &str| match levels.get(at) {
        Some(Level::Text(text)) => text == wanted,
        Some(Level::Hash) => at > 0,
        Some(Level::Plus) => true,
        Some(Level::Hole { .. }) => at == 3,
        None => false,
    };
    let is_sys = matches!(levels.first(), Some(Level::Text(first)) if first == "$SYS");
    let ends = levels.iter().position(|level| *level == Level::Hash).unwrap_or(5);
    let bridge = (1..ends.min(5)).all(|at| match at {
        1 => text(1, "broker"),
        2 => text(2, "connection"),
        3 => levels.get(3).is_some(),
        _ => text(4, "state"),
    });
    is_sys && !(bridge && levels.len() <= 5)
}

/// Rules of a block with a placeholder that none of those who have it has a value for.
fn never_filled(
    snapshot: &Snapshot,
    block: &Arc<Block>,
    sets: &[Set<'_>],
    cited: &mut Cited,
) -> Vec<Warning> {
    let quarantine = snapshot.quarantine().blocks();
    let for_all = quarantine.iter().any(|one| Arc::ptr_eq(one, block));
    let holders: Vec<&Device> = sets
        .iter()
        .filter(|set| for_all || set.shared.blocks().iter().any(|one| Arc::ptr_eq(one, block)))
        .flat_map(|set| set.devices.iter().copied())
        .collect();
    if holders.is_empty() {
        return Vec::new();
    }
    let needy =
        allows(block).filter(|rule| rule.template.placeholders().any(|hole| attribute(&hole).is_some()));
    let empty = needy.filter(|rule| !holders.iter().any(|device| fills(rule, device)));
    let warned = empty.map(|rule| {
        let who = format!("a device with {}", called(block));
        let message = format!("`{}` gives nothing: {}", rule.template, lacking(rule, &who));
        cited.rule(Code::NeverFilled, (name_of(block), rule), message).help(FILL_HELP)
    });
    warned.collect()
}

const FILL_HELP: &str = "give the device the attribute (`citronella device set NAME --attr KEY=VALUE`), or take the rule out; a value \
     cannot be empty, start with `$`, or have `+`, `#`, `/` or control characters";

fn attribute(hole: &Placeholder) -> Option<&str> {
    match hole {
        Placeholder::Attribute(name) => Some(name),
        Placeholder::Device | Placeholder::ClientId => None,
    }
}

/// Whether the device has a value for every attribute of the rule.
fn fills(rule: &Rule, device: &Device) -> bool {
    rule.template
        .placeholders()
        .all(|hole| attribute(&hole).is_none_or(|name| device.attributes().get(name).is_some_and(fillable)))
}

fn lacking(rule: &Rule, who: &str) -> String {
    let names: Vec<String> =
        rule.template.placeholders().filter_map(|hole| Some(format!("`{}`", attribute(&hole)?))).collect();
    let who = if who == "this device" { "this device lacks".to_owned() } else { format!("never has {who}") };
    format!("{who} a usable {}", names.join(" and "))
}

/// Roles that nobody has, themselves or by inclusion. Before the first device is registered all of them wait.
pub(super) fn unused_roles(snapshot: &Snapshot, sets: &[Set<'_>], cited: &mut Cited) -> Vec<Warning> {
    let (roles, Some(file)) = (snapshot.roles(), snapshot.files().first()) else { return Vec::new() };
    let file: Arc<std::path::Path> = file.as_path().into();
    if sets.is_empty() {
        return Vec::new();
    }
    let used: HashSet<*const Block> =
        sets.iter().flat_map(|set| set.shared.blocks()).map(Arc::as_ptr).collect();
    let mut whole: HashSet<RoleId> = HashSet::new();
    whole.extend(roles.quarantine().map(|role| roles.expand(&[role])).iter().flatten());
    // What `init` wrote is an offer, not a plan that somebody forgot.
    let offered = cited.holds(&file, starter_roles());
    let mut found = Vec::new();
    for name in roles.names() {
        let Some((role, block)) = roles.find(name).and_then(|role| Some((role, roles.block(role)?))) else {
            continue;
        };
        let is_offer = offered && starter_roles().contains(&format!("[roles.{name}]\n"));
        if is_offer || whole.contains(&role) || used.contains(&ptr::from_ref(&**block)) {
            continue;
        }
        let heads = [format!("[roles.{name}]"), format!("[roles.\"{name}\"]"), format!("{name} ")];
        let message = format!("no device has the role `{name}`");
        found.push(cited.head(Code::UnusedRole, (&file, &heads), (name, message)).help(
            "take it out, or give it to a device; a rule that nobody needs is a rule that nobody checks",
        ));
    }
    found
}
