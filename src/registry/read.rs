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

mod parts;

use std::{collections::HashMap, ops::Range, path::Path, sync::Arc};

use toml::de::DeTable;

use super::{Auth, Certificates, Device, Fingerprint, Kin, Password, Registry, State, credentials};
use crate::{
    config::{
        Config, RoleId, block,
        block::Taken,
        reader::{Entry, Reader, entries},
        roles::unknown_role,
    },
    diag::{Place, Quoted, Report},
    ident::DeviceName,
    policy::{Attributes, Block, Index, Owner, fillable},
};

/// The keys of a device beside those of its block of rules.
pub const KEYS: [&str; 8] = ["role", "roles", "attr", "state", "auth", "certificates", "revoked", "password"];

/// Reads the text of the registry file at `path`. Mistakes go to `report`; devices without mistakes are
/// returned even then.
pub fn parse(path: &Path, text: &str, config: &Config, report: &mut Report) -> Registry {
    let (reader, registry) = match parts::read(path, text, config, parts::LEAST) {
        Some(read) => read,
        None => whole(path, text, config),
    };
    reader.finish(report);
    registry
}

fn whole(path: &Path, text: &str, config: &Config) -> (Reader, Registry) {
    let (mut reader, tree) = Reader::parse(path, text);
    crate::config::check_version(&mut reader, tree.get("version"));
    let mut reading = Reading::new(config);
    reading.take(&mut reader, tree);
    (reader, reading.registry)
}

/// The devices read so far.
struct Reading<'c> {
    config: &'c Config,
    needs: Needs<'c>,
    registry: Registry,
}

impl<'c> Reading<'c> {
    fn new(config: &'c Config) -> Self {
        Self { config, needs: Needs::of(config), registry: Registry::default() }
    }

    /// Reads the devices of a tree, in the order of the file.
    fn take(&mut self, reader: &mut Reader, tree: DeTable<'_>) {
        // Each is dropped as soon as it is read: what comes next then finds memory that is warm.
        let mut tables: Vec<_> = tree.into_iter().collect();
        tables.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in tables {
            let entry = Entry { key: key.get_ref(), span: key.span(), value: &value };
            if entry.key != "version" {
                self.device(reader, &entry);
            }
        }
    }

    fn device(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some((mut device, own)) = device(reader, entry, self.config) else { return };
        self.needs.check(reader, &entry.span, (&device, own.as_deref()));
        self.needs.share_kin(&mut device);
        let own = own.map(|own| Index::compile_own(&own));
        let name = device.name.clone();
        if let Err(first) = self.registry.insert(device, own) {
            reader.error_help(
                entry.span.clone(),
                format!(
                    "`{name}` and the device in line {} differ only in small and capital letters",
                    first.line
                ),
                "rename one of them, or take it out",
            );
        }
    }
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

/// The device of an entry, and the rules of its own.
fn device(
    reader: &mut Reader,
    entry: &Entry<'_, '_>,
    config: &Config,
) -> Option<(Device, Option<Arc<Block>>)> {
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
    let Place { file, line } = reader.place(entry.span.start);
    let device = Device {
        name: name.ok()?,
        kin: Arc::new(Kin { roles: fields.roles.into(), file }),
        line,
        attributes: fields.attributes,
        state: fields.state,
        auth: fields.auth,
        certificates: fields.certificates,
        revoked: fields.revoked.into(),
        password: fields.password.map(Box::new),
    };
    // Limits alone allow nothing.
    Some((device, Some(own).filter(|own| !own.rules.is_empty())))
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
    by_roles: HashMap<Box<[RoleId]>, Known, foldhash::fast::RandomState>,
    /// Of the rules that a device has in quarantine. All that are not retired are held to them: the hour in which one
    /// has to be quarantined is the wrong one to learn what it lacks.
    quarantine: Arc<[Need]>,
}

/// What the first device with some roles has in common with the others, and what it needs.
type Known = (Arc<Kin>, Arc<[Need]>);

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
    fn check(&mut self, reader: &mut Reader, span: &Range<usize>, (device, own): (&Device, Option<&Block>)) {
        let shared = self.of_roles(&device.kin);
        let own: Vec<Need> = own.into_iter().flat_map(needs).collect();
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
                        "the attribute `{attribute}` of `{name}` is {}, which cannot stand in a topic as the deny rule \
                         at {rule} {needs}",
                        Quoted(value)
                    ),
                    "it must not be empty, start with `$`, or have `+`, `#`, `/` or control characters",
                ),
                Some(_) => {}
            }
        }
    }

    /// Gives the device what it has in common with the first device with the same roles.
    fn share_kin(&self, device: &mut Device) {
        if let Some((kin, _)) = self.by_roles.get(&device.kin.roles) {
            device.kin = Arc::clone(kin);
        }
    }

    fn of_roles(&mut self, kin: &Arc<Kin>) -> Arc<[Need]> {
        if let Some((_, known)) = self.by_roles.get(&kin.roles) {
            return Arc::clone(known);
        }
        let whole = self.config.roles.expand(&kin.roles);
        let blocks =
            whole.iter().filter_map(|role| self.config.roles.block(*role)).chain(&self.config.everyone);
        let found: Arc<[Need]> = blocks.flat_map(|block| needs(block)).collect();
        self.by_roles.insert(kin.roles.clone(), (Arc::clone(kin), Arc::clone(&found)));
        found
    }
}

fn needs(block: &Block) -> impl Iterator<Item = Need> {
    block::attributes_of_denies(block).map(|(rule, attribute)| Need { attribute, rule: rule.place.clone() })
}
