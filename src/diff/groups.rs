//! What each device may do before and after, computed once for all to whom the same happens.
//!
//! Values of placeholders matter only by which texts they equal. So devices with the same rules on both sides whose
//! filled levels equal the same texts, each other's among them, get the same report.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use super::{
    ids::{ClientId, alike},
    rights::{Change, Side, rights},
};
use crate::{
    config::ClientIds,
    policy::{Actions, Attributes, Block, Effect, Limits, Subject},
    registry::State,
    snapshot::Snapshot,
    topic::{Level, Placeholder, SHARE},
};

/// What blocks say, apart from where it is written.
type Content = BTreeSet<(bool, Actions, String, Option<Limits>)>;

/// Blocks by their content: those of roles, and the device's own.
type Key = (u32, u32);

/// A level with a placeholder: the placeholder, and what stands before and after it.
type Hole = (Placeholder, String, String);

/// What a filled level equals.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Equals {
    /// It has no value.
    Missing,
    /// This text, which is spelled somewhere, or is another on the other side.
    Text(String),
    /// The first level with a placeholder that has the same text; itself if nothing else has.
    Hole(usize),
}

/// Every level with a placeholder on the old and on the new side: equal for devices to whom the same happens.
type Signature = Vec<[Equals; 2]>;

/// What the rules of two sides mention.
struct Mentioned {
    holes: Vec<Hole>,
    texts: HashSet<String>,
    /// Levels with `{clientid}`, and all others that are no wildcards, by how deep they stand.
    ids: BTreeSet<(usize, Hole)>,
    beside: HashMap<usize, Beside>,
}

/// What stands as deep as a level with `{clientid}`.
#[derive(Default)]
struct Beside {
    texts: BTreeSet<String>,
    holes: BTreeSet<Hole>,
}

/// The rules that somebody has.
#[derive(Clone, Copy, Default)]
struct Rules<'a> {
    roles: &'a [Arc<Block>],
    own: &'a [Arc<Block>],
}

impl<'a> Rules<'a> {
    /// Those of a device in its state; nothing for whoever cannot connect.
    fn of_device(snapshot: &'a Snapshot, name: &str) -> Self {
        match snapshot.device(name).map(crate::registry::Device::state) {
            Some(State::Active) => match snapshot.indexes(name) {
                Some((roles, own)) => {
                    Self { roles: roles.blocks(), own: own.map_or(&[], |own| own.blocks()) }
                }
                None => Self::default(),
            },
            Some(State::Quarantined) => Self { roles: snapshot.quarantine().blocks(), own: &[] },
            Some(State::Disabled | State::Retired) | None => Self::default(),
        }
    }

    fn of_anonymous(snapshot: &'a Snapshot) -> Self {
        Self { roles: snapshot.anonymous().map_or(&[], |index| index.blocks()), own: &[] }
    }

    fn blocks(&self) -> impl Iterator<Item = &'a Block> + use<'a> {
        self.roles.iter().chain(self.own).map(|block| &**block)
    }

    fn side<'s>(&self, subject: Subject<'s>) -> Side<'s>
    where
        'a: 's,
    {
        Side { blocks: self.blocks().collect(), subject }
    }
}

/// A device on both sides; on a side where it is missing it has no rules.
struct Both<'a> {
    name: Option<&'a str>,
    rules: [Rules<'a>; 2],
    attributes: [&'a Attributes; 2],
}

impl Both<'_> {
    fn subject<'s>(&'s self, which: usize, client_id: &'s str) -> Subject<'s> {
        let [old, new] = self.attributes;
        Subject { device: self.name, client_id, attributes: if which == 0 { old } else { new } }
    }
}

/// What happens to somebody, by client id; nothing where nothing does.
pub(super) type Report = Vec<(ClientId, Rc<Vec<Change>>)>;

/// Reports for everybody in two snapshots.
pub(super) struct Reports<'a> {
    sides: [&'a Snapshot; 2],
    no_attributes: Attributes,
    contents: HashMap<Content, u32>,
    /// Contents of blocks that many devices share, by their addresses.
    shared: HashMap<Vec<*const Block>, u32>,
    mentioned: HashMap<[Key; 2], Rc<Mentioned>>,
    made: HashMap<([Key; 2], Signature), Rc<Vec<Change>>>,
}

impl<'a> Reports<'a> {
    pub(super) fn new(old: &'a Snapshot, new: &'a Snapshot) -> Self {
        Self {
            sides: [old, new],
            no_attributes: Attributes::default(),
            contents: HashMap::new(),
            shared: HashMap::new(),
            mentioned: HashMap::new(),
            made: HashMap::new(),
        }
    }

    /// About the device of this name, which is on one side at least.
    pub(super) fn device(&mut self, name: &str) -> Report {
        let [old, new] = self.sides;
        let none = Attributes::default();
        let attributes = match (old.device(name), new.device(name)) {
            (Some(old), Some(new)) => [old.attributes(), new.attributes()],
            // A side without it has no rules that values could fill.
            (Some(only), None) | (None, Some(only)) => [only.attributes(); 2],
            (None, None) => [&none; 2],
        };
        let rules = [Rules::of_device(old, name), Rules::of_device(new, name)];
        self.report(&Both { name: Some(name), rules, attributes })
    }

    /// About clients without a name.
    pub(super) fn anonymous(&mut self) -> Report {
        let [old, new] = self.sides;
        let none = self.no_attributes.clone();
        let rules = [Rules::of_anonymous(old), Rules::of_anonymous(new)];
        self.report(&Both { name: None, rules, attributes: [&none; 2] })
    }

    fn report(&mut self, both: &Both<'_>) -> Report {
        let [old, new] = &both.rules;
        let keys = [self.key(old), self.key(new)];
        let [old_key, new_key] = keys;
        let [before, after] = both.attributes;
        if old_key == new_key && before == after {
            return Vec::new();
        }
        let mentioned = Rc::clone(self.mentioned.entry(keys).or_insert_with(|| Rc::new(mention(old, new))));
        let other = other_id(both, &mentioned);
        let usual = signature(both, &mentioned, &other);
        let usually = self.changes((keys, usual.clone()), both, &other);
        let mut all = vec![(ClientId::Other, Rc::clone(&usually))];
        for (id, text) in self.special_ids(both, &mentioned) {
            let signature = signature(both, &mentioned, &text);
            if signature == usual {
                continue;
            }
            let changes = self.changes((keys, signature), both, &text);
            if !alike(&usually, &changes, &both.subject(1, &text)) {
                all.push((id, changes));
            }
        }
        let differs = all.iter().any(|(_, changes)| !changes.is_empty());
        if differs { all } else { Vec::new() }
    }

    fn changes(&mut self, key: ([Key; 2], Signature), both: &Both<'_>, id: &str) -> Rc<Vec<Change>> {
        let made = self.made.entry(key).or_insert_with(|| {
            let [old, new] = &both.rules;
            Rc::new(rights(&old.side(both.subject(0, id)), &new.side(both.subject(1, id))))
        });
        Rc::clone(made)
    }

    fn key(&mut self, rules: &Rules<'_>) -> Key {
        let addresses: Vec<*const Block> = rules.roles.iter().map(Arc::as_ptr).collect();
        let roles = match self.shared.get(&addresses) {
            Some(known) => *known,
            None => {
                let number = self.number(rules.roles);
                self.shared.insert(addresses, number);
                number
            }
        };
        (roles, self.number(rules.own))
    }

    fn number(&mut self, blocks: &[Arc<Block>]) -> u32 {
        let next = u32::try_from(self.contents.len()).unwrap_or(u32::MAX);
        *self.contents.entry(content(blocks)).or_insert(next)
    }

    /// Client ids for which something else may happen: each makes a level equal a text that is spelled.
    fn special_ids(&self, both: &Both<'_>, mentioned: &Mentioned) -> Vec<(ClientId, String)> {
        if mentioned.ids.is_empty() {
            return Vec::new();
        }
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for (depth, (_, prefix, suffix)) in &mentioned.ids {
            let Some(beside) = mentioned.beside.get(depth) else { continue };
            let values = beside.holes.iter().flat_map(|hole| {
                [fill(hole, &both.subject(0, "")), fill(hole, &both.subject(1, ""))].into_iter().flatten()
            });
            let inside = beside.texts.iter().cloned().chain(values).filter_map(|text| {
                let id = text.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str())?;
                crate::policy::fillable(id).then(|| id.to_owned())
            });
            ids.extend(inside);
        }
        let mut all: Vec<(ClientId, String)> =
            both.name.into_iter().map(|name| (ClientId::Own, name.to_owned())).collect();
        let others = ids.into_iter().filter(|id| Some(&**id) != both.name && self.may_have(both.name, id));
        all.extend(others.map(|id| (ClientId::Text(id.clone()), id)));
        all.push((ClientId::Unusable, String::new()));
        all
    }

    /// Whether somebody can connect with this client id, on one side at least.
    fn may_have(&self, name: Option<&str>, id: &str) -> bool {
        self.sides.iter().any(|side| {
            let owner = side.owner_of_client_id(id).map(|owner| owner.name().as_str());
            match (side.settings().client_ids, owner) {
                (ClientIds::Any, _) => true,
                (_, Some(owner)) => Some(owner) == name,
                (ClientIds::Protect, None) => true,
                (ClientIds::Device, None) => name.is_none(),
            }
        })
    }
}

fn content(blocks: &[Arc<Block>]) -> Content {
    let rules = blocks.iter().flat_map(|block| block.rules.iter().map(move |rule| (block, rule)));
    rules
        .map(|(block, rule)| {
            let allows = rule.effect == Effect::Allow;
            let limited = allows && rule.actions.meets(Actions::PUBLISH);
            let limits = limited.then(|| super::limits::canonical(block.limits));
            (allows, rule.actions, rule.template.as_str().to_owned(), limits)
        })
        .collect()
}

fn mention(old: &Rules<'_>, new: &Rules<'_>) -> Mentioned {
    let mut holes = BTreeSet::new();
    let mut texts = HashSet::from([SHARE.to_owned(), String::new()]);
    let mut ids = BTreeSet::new();
    let mut beside: HashMap<usize, Beside> = HashMap::new();
    let rules = old.blocks().chain(new.blocks()).flat_map(|block| &block.rules);
    for (depth, level) in rules.flat_map(|rule| rule.template.levels().enumerate()) {
        match level {
            Level::Text(text) => {
                beside.entry(depth).or_default().texts.insert(text.to_string());
                texts.insert(text.into_owned());
            }
            Level::Hole { prefix, placeholder, suffix } => {
                let hole = (placeholder, prefix.into_owned(), suffix.into_owned());
                if hole.0 == Placeholder::ClientId {
                    ids.insert((depth, hole.clone()));
                } else {
                    beside.entry(depth).or_default().holes.insert(hole.clone());
                }
                holes.insert(hole);
            }
            Level::Plus | Level::Hash => {}
        }
    }
    Mentioned { holes: holes.into_iter().collect(), texts, ids, beside }
}

fn fill((placeholder, prefix, suffix): &Hole, subject: &Subject<'_>) -> Option<String> {
    subject.value(placeholder).map(|value| format!("{prefix}{value}{suffix}"))
}

fn signature(both: &Both<'_>, mentioned: &Mentioned, client_id: &str) -> Signature {
    let (old, new) = (both.subject(0, client_id), both.subject(1, client_id));
    let filled: Vec<[Option<String>; 2]> =
        mentioned.holes.iter().map(|hole| [fill(hole, &old), fill(hole, &new)]).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, texts) in filled.iter().enumerate() {
        for text in texts.iter().flatten() {
            first.entry(text).or_insert(at);
        }
    }
    let equals = |texts: &[Option<String>; 2]| {
        let [before, after] = texts;
        [before, after].map(|text| match text {
            None => Equals::Missing,
            Some(text) if before != after || mentioned.texts.contains(text) => Equals::Text(text.clone()),
            Some(text) => Equals::Hole(first.get(text.as_str()).copied().unwrap_or_default()),
        })
    };
    filled.iter().map(equals).collect()
}

/// A client id that makes no level equal anything.
fn other_id(both: &Both<'_>, mentioned: &Mentioned) -> String {
    let taken: HashSet<String> = mentioned
        .holes
        .iter()
        .filter(|(placeholder, ..)| *placeholder != Placeholder::ClientId)
        .flat_map(|hole| [fill(hole, &both.subject(0, "")), fill(hole, &both.subject(1, ""))])
        .flatten()
        .collect();
    let is_free = |id: &String| {
        mentioned.holes.iter().filter(|(placeholder, ..)| *placeholder == Placeholder::ClientId).all(
            |(_, prefix, suffix)| {
                let text = format!("{prefix}{id}{suffix}");
                !mentioned.texts.contains(&text) && !taken.contains(&text)
            },
        )
    };
    let mut ids = ["client".to_owned()].into_iter().chain((1..).map(|number: u32| format!("client{number}")));
    ids.find(is_free).unwrap_or_default()
}
