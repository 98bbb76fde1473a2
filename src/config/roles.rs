//! Roles and what they include.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    block::{self, Taken},
    reader::{Entry, Reader, Text, entries},
};
use crate::{
    ident,
    policy::{Block, Owner},
};

/// A role, by its number in the order of names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RoleId(u32);

impl RoleId {
    /// Where it stands among all roles. Where `usize` is narrower it could only miss.
    fn place(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// All roles, with their inclusions followed.
#[derive(Debug, Default)]
pub struct Roles {
    names: BTreeMap<Box<str>, RoleId>,
    roles: Vec<Role>,
}

#[derive(Debug)]
struct Role {
    name: Box<str>,
    block: Arc<Block>,
    /// Itself and all it includes, sorted.
    whole: Box<[RoleId]>,
}

impl Roles {
    /// The role of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<RoleId> {
        self.names.get(name).copied()
    }

    /// The role that quarantined devices have instead of their own: the one of this name, if there is one.
    #[must_use]
    pub fn quarantine(&self) -> Option<RoleId> {
        self.find("quarantine")
    }

    /// The names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// What the role is called.
    #[must_use]
    pub fn name(&self, role: RoleId) -> &str {
        self.get(role).map_or("", |role| &role.name)
    }

    /// The role's own rules.
    #[must_use]
    pub fn block(&self, role: RoleId) -> Option<&Arc<Block>> {
        self.get(role).map(|role| &role.block)
    }

    /// These roles and all they include, sorted and without repetition: equal for all who have the same rules.
    #[must_use]
    pub fn expand(&self, roles: &[RoleId]) -> Box<[RoleId]> {
        let mut whole: Vec<RoleId> = roles
            .iter()
            .filter_map(|role| self.get(*role))
            .flat_map(|role| role.whole.iter().copied())
            .collect();
        whole.sort_unstable();
        whole.dedup();
        whole.into()
    }

    fn get(&self, role: RoleId) -> Option<&Role> {
        self.roles.get(role.place())
    }
}

/// Roles as written: inclusions are names yet.
#[derive(Default)]
pub(super) struct Draft {
    roles: BTreeMap<Box<str>, DraftRole>,
}

struct DraftRole {
    block: Arc<Block>,
    include: Vec<(Box<str>, Range<usize>)>,
}

impl Draft {
    /// Reads `[roles]`.
    pub(super) fn read(&mut self, reader: &mut Reader, entry: &Entry<'_, '_>) {
        let Some(table) = reader.table(entry.key, entry.value) else { return };
        for role in entries(table) {
            if let Err(error) = ident::check_name(role.key) {
                reader.error(role.span.clone(), format!("no role can be called `{}`: {error}", role.key));
            }
            let Some(table) = reader.table(role.key, role.value) else {
                continue;
            };
            let mut rules = block::Draft::default();
            let mut include = Vec::new();
            for inner in entries(table) {
                if inner.key == "include" {
                    let texts = reader.strings(inner.key, inner.value);
                    include.extend(texts.into_iter().map(|text| (text.text.into(), text.span)));
                } else if rules.take(reader, &inner) == Taken::No {
                    let known: Vec<&str> = ["include"].into_iter().chain(block::KEYS).collect();
                    reader.unknown_key(&inner, &known);
                }
            }
            let block = rules.finish(reader, Owner::Role(role.key.into()));
            self.roles.insert(role.key.into(), DraftRole { block, include });
        }
    }

    /// Follows the inclusions; notes those that lead nowhere or round in a circle.
    pub(super) fn resolve(self, reader: &mut Reader) -> Roles {
        let names: BTreeMap<Box<str>, RoleId> =
            self.roles.keys().zip(0..).map(|(name, number)| (name.clone(), RoleId(number))).collect();
        let mut included: Vec<Vec<(RoleId, Range<usize>)>> = Vec::new();
        for role in self.roles.values() {
            let mut known = Vec::new();
            for (name, span) in &role.include {
                match names.get(name) {
                    Some(id) => known.push((*id, span.clone())),
                    None => {
                        let text = Text { text: name, span: span.clone() };
                        unknown_role(reader, &text, names.keys().map(|name| &**name));
                    }
                }
            }
            included.push(known);
        }
        refuse_circles(reader, &names, &included);
        // By the number of each role: who has reached it last.
        let mut reached_by = vec![None; included.len()];
        let roles = self
            .roles
            .into_iter()
            .zip(0..)
            .map(|((name, role), number)| Role {
                name,
                block: role.block,
                whole: reach(RoleId(number), &included, &mut reached_by),
            })
            .collect();
        Roles { names, roles }
    }
}

/// Notes a role that does not exist.
pub(crate) fn unknown_role<'a>(
    reader: &mut Reader,
    text: &Text<'_>,
    known: impl IntoIterator<Item = &'a str>,
) {
    reader.unknown_word(text, format!("no role is called `{}`", text.text), known);
}

type Included = [Vec<(RoleId, Range<usize>)>];

fn of(included: &Included, role: RoleId) -> &[(RoleId, Range<usize>)] {
    included.get(role.place()).map_or(&[], Vec::as_slice)
}

/// A role and everything that can be reached from it, sorted.
///
/// One table serves all roles: with a set for each, 3,000 roles that include 19 others took half a minute.
fn reach(start: RoleId, included: &Included, reached_by: &mut [Option<RoleId>]) -> Box<[RoleId]> {
    let mut is_new = |role: RoleId| {
        reached_by.get_mut(role.place()).is_some_and(|last| last.replace(start) != Some(start))
    };
    is_new(start);
    let mut reached = vec![start];
    let mut looked_at = 0;
    while let Some(role) = reached.get(looked_at).copied() {
        looked_at += 1;
        reached.extend(of(included, role).iter().map(|(next, _)| *next).filter(|next| is_new(*next)));
    }
    reached.sort_unstable();
    reached.into()
}

/// Each circle is named once, at the inclusion that closes it.
fn refuse_circles(reader: &mut Reader, names: &BTreeMap<Box<str>, RoleId>, included: &Included) {
    let by_number: Vec<String> = names.keys().map(|name| format!("`{name}`")).collect();
    let name = |role: RoleId| by_number.get(role.place()).map_or("", String::as_str);
    let mut states = vec![Followed::Not; included.len()];
    for start in names.values() {
        // The way from `start` to the role that is looked at, each with its next inclusion to follow.
        let mut way: Vec<(RoleId, usize)> = vec![(*start, 0)];
        while let Some((role, next)) = way.last_mut() {
            let (role, found) = (*role, of(included, *role).get(*next));
            *next += 1;
            let Some(state) = states.get_mut(role.place()) else { break };
            let Some((target, span)) = found.filter(|_| *state != Followed::Whole) else {
                *state = Followed::Whole;
                way.pop();
                continue;
            };
            *state = Followed::Here;
            match states.get(target.place()) {
                Some(Followed::Not) => way.push((*target, 0)),
                Some(Followed::Here) => {
                    let on_it = way.iter().map(|(role, _)| *role).skip_while(|role| role != target);
                    let circle: Vec<&str> = on_it.chain([*target]).map(name).collect();
                    reader.error_help(
                        span.clone(),
                        format!("roles include each other in a circle: {}", circle.join(" includes ")),
                        "take one of these inclusions out",
                    );
                }
                Some(Followed::Whole) | None => {}
            }
        }
    }
}

/// How far a role's inclusions have been followed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Followed {
    Not,
    /// It is on the way to the role that is looked at.
    Here,
    Whole,
}
