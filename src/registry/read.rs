//! `devices.toml`: a table for each device.
//!
//! ```toml
//! version = 1
//!
//! [gw-7]
//! role = "gateway"                     # or roles = ["gateway", "sensor"]
//! attr = { site = "rome" }             # fills {attr.site}
//! state = "active"                     # or "disabled", "quarantined", "retired"
//! auth = "any"                         # or "certificate", "password", "both"
//! certificates = [{ sha256 = "5f0c…", serial = "4a…", not_after = 2028-11-21T00:00:00Z }]    # or "any"
//! revoked = ["91be…"]
//! password = "$argon2id$…"             # or { hash = "$6$…", generated = true }
//! publish = ["cmd/+/#"]                # and the other keys of a block of rules
//! ```

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use super::{Auth, Certificates, Device, Fingerprint, Password, Registry, State, credentials};
use crate::{
    config::{
        Config, RoleId, block,
        block::Taken,
        reader::{Entry, Reader, entries},
        roles::unknown_role,
    },
    diag::{Place, Report},
    ident::DeviceName,
    policy::{Attributes, Block, Owner, fillable},
};

const KEYS: [&str; 8] = ["role", "roles", "attr", "state", "auth", "certificates", "revoked", "password"];

/// Reads the text of the registry file at `path`. Mistakes go to `report`; devices without mistakes are
/// returned even then.
pub fn parse(path: &Path, text: &str, config: &Config, report: &mut Report) -> Registry {
    let (mut reader, tree) = Reader::parse(path, text);
    crate::config::check_version(&mut reader, tree.get("version"));
    let mut needs = Needs::of(config);
    let mut registry = Registry::default();
    for entry in entries(&tree).into_iter().filter(|entry| entry.key != "version") {
        let Some(mut device) = device(&mut reader, &entry, config) else { continue };
        needs.check(&mut reader, &entry.span, &device);
        needs.share_roles(&mut device);
        let name = device.name.clone();
        if let Err(first) = registry.insert(device) {
            reader.error_help(
                entry.span,
                format!(
                    "`{name}` and the device in line {} differ only in small and capital letters",
                    first.line
                ),
                "rename one of them, or take it out",
            );
        }
    }
    reader.finish(report);
    registry
}

/// What an entry says, name apart.
#[derive(Default)]
struct Fields {
    role: Option<Range<usize>>,
    roles: Vec<RoleId>,
    attributes: Attributes,
    state: State,
    auth: Auth,
    certificates: Option<Certificates>,
    revoked: Vec<Fingerprint>,
    password: Option<Password>,
    rules: block::Draft,
}

fn device(reader: &mut Reader, entry: &Entry<'_, '_>, config: &Config) -> Option<Device> {
    let Some(table) = entry.value.get_ref().as_table() else {
        let found = crate::config::reader::type_name(entry.value.get_ref());
        let message = format!("`{}` must be the table of a device, not {found}", entry.key);
        let help = format!("write `[{}]`, or take it out; the only other key here is `version`", entry.key);
        reader.error_help(entry.span.clone(), message, help);
        return None;
    };
    let name = DeviceName::new(entry.key).map_err(|error| {
        reader.error(entry.span.clone(), format!("no device can be called `{}`: {error}", entry.key));
    });
    let mut fields = Fields::default();
    for inner in entries(table) {
        fields.take(reader, &inner, config);
    }
    let own = fields.rules.finish(reader, Owner::Device(entry.key.into()));
    Some(Device {
        name: name.ok()?,
        place: reader.place(entry.span.start),
        roles: fields.roles.into(),
        attributes: fields.attributes,
        state: fields.state,
        auth: fields.auth,
        certificates: fields.certificates,
        revoked: fields.revoked.into(),
        password: fields.password.map(Box::new),
        // Limits alone allow nothing.
        own: Some(own).filter(|own| !own.rules.is_empty()),
    })
}

impl Fields {
    fn take(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>, config: &Config) {
        match entry.key {
            "role" | "roles" => self.roles(reader, entry, config),
            "attr" => self.attributes = attributes(reader, entry),
            "state" => {
                self.state = reader.choice(entry.key, entry.value, &State::WORDS).unwrap_or_default();
            }
            "auth" => self.auth = reader.choice(entry.key, entry.value, &Auth::WORDS).unwrap_or_default(),
            "certificates" => self.certificates = Some(credentials::certificates(reader, entry)),
            "revoked" => self.revoked = credentials::fingerprints(reader, entry),
            "password" => self.password = credentials::password(reader, entry),
            _ if self.rules.take(reader, entry) == Taken::Yes => {}
            _ => {
                let known: Vec<&str> = KEYS.into_iter().chain(block::KEYS).collect();
                reader.unknown_key(entry, &known);
            }
        }
    }

    fn roles(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>, config: &Config) {
        if self.role.replace(entry.span.clone()).is_some() {
            reader.error_help(
                entry.span.clone(),
                "both `role` and `roles` are set",
                "write all of them in `roles`",
            );
        }
        let texts = match entry.key {
            "role" if entry.value.get_ref().is_array() => {
                reader.error_help(
                    entry.value.span(),
                    "`role` is the name of one role",
                    "write `roles = […]` for several",
                );
                Vec::new()
            }
            "role" => reader.string(entry.key, entry.value).into_iter().collect(),
            _ => reader.strings(entry.key, entry.value),
        };
        for text in texts {
            match config.roles.find(text.text) {
                Some(role) => self.roles.push(role),
                None => unknown_role(reader, &text, config.roles.names()),
            }
        }
    }
}

fn attributes(reader: &mut Reader, entry: &Entry<'_, '_>) -> Attributes {
    let Some(table) = reader.table(entry.key, entry.value) else {
        return Attributes::default();
    };
    let mut pairs = Vec::new();
    for inner in entries(table) {
        if let Some(text) = reader.string(inner.key, inner.value) {
            pairs.push((inner.key.to_owned(), text.text.to_owned()));
        }
    }
    Attributes::new(pairs)
}

/// Which attributes the deny rules of a set of roles need; found once for each set.
struct Needs<'c> {
    config: &'c Config,
    by_roles: HashMap<Arc<[RoleId]>, Arc<[Need]>, foldhash::fast::RandomState>,
    /// Of the rules that a device has in quarantine. All that are not retired are held to them: the hour in which one
    /// has to be quarantined is the wrong one to learn what it lacks.
    quarantine: Arc<[Need]>,
}

#[derive(Eq, PartialEq)]
struct Need {
    attribute: Box<str>,
    rule: Place,
}

impl<'c> Needs<'c> {
    fn of(config: &'c Config) -> Self {
        let whole = config.roles.quarantine().map_or_else(Box::default, |role| config.roles.expand(&[role]));
        let quarantine =
            whole.iter().filter_map(|role| config.roles.block(*role)).flat_map(|block| needs(block));
        Self { config, by_roles: HashMap::default(), quarantine: quarantine.collect() }
    }

    /// Notes the attributes that a device must have and has not. A deny that cannot be filled would refuse it
    /// everything, which is better said here than found out on the broker.
    fn check(&mut self, reader: &mut Reader, span: &Range<usize>, device: &Device) {
        let shared = self.of_roles(&device.roles);
        let own: Vec<Need> = device.own.iter().flat_map(|own| needs(own)).collect();
        let always = shared.iter().chain(&own).map(|need| (need, "needs"));
        let may_come = device.state != State::Retired;
        let quarantine = self.quarantine.iter().filter(|need| may_come && !shared.contains(need));
        let name = &device.name;
        for (Need { attribute, rule }, needs) in
            always.chain(quarantine.map(|need| (need, "needs in quarantine")))
        {
            match device.attributes.get(attribute) {
                None => reader.error_help(
                    span.clone(),
                    format!("`{name}` lacks the attribute `{attribute}`, which the deny rule at {rule} {needs}"),
                    format!("add `attr = {{ {attribute} = \"…\" }}`"),
                ),
                Some(value) if !fillable(value) => reader.error_help(
                    span.clone(),
                    format!(
                        "the attribute `{attribute}` of `{name}` is `{value}`, which cannot stand in a topic as the \
                         deny rule at {rule} {needs}"
                    ),
                    "it must not be empty, start with `$`, or have `+`, `#`, `/` or control characters",
                ),
                Some(_) => {}
            }
        }
    }

    /// Gives the device the list of roles of the first device with the same.
    fn share_roles(&self, device: &mut Device) {
        if let Some((roles, _)) = self.by_roles.get_key_value(&device.roles) {
            device.roles = Arc::clone(roles);
        }
    }

    fn of_roles(&mut self, roles: &Arc<[RoleId]>) -> Arc<[Need]> {
        if let Some(known) = self.by_roles.get(roles) {
            return Arc::clone(known);
        }
        let whole = self.config.roles.expand(roles);
        let blocks =
            whole.iter().filter_map(|role| self.config.roles.block(*role)).chain(&self.config.everyone);
        let found: Arc<[Need]> = blocks.flat_map(|block| needs(block)).collect();
        self.by_roles.insert(Arc::clone(roles), Arc::clone(&found));
        found
    }
}

fn needs(block: &Block) -> impl Iterator<Item = Need> {
    block::attributes_of_denies(block).map(|(rule, attribute)| Need { attribute, rule: rule.place.clone() })
}
