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
        self.roles.get(usize::try_from(role.0).ok()?)
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
        let roles = self
            .roles
            .into_iter()
            .zip(0..)
            .map(|((name, role), number)| Role {
                name,
                block: role.block,
                whole: reach(RoleId(number), &included),
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
    usize::try_from(role.0).ok().and_then(|index| included.get(index)).map_or(&[], Vec::as_slice)
}

/// A role and everything that can be reached from it, sorted.
fn reach(role: RoleId, included: &Included) -> Box<[RoleId]> {
    let mut reached = std::collections::BTreeSet::from([role]);
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        open.extend(of(included, role).iter().map(|(next, _)| *next).filter(|next| reached.insert(*next)));
    }
    reached.into_iter().collect()
}

/// Each circle is named once, at the inclusion that closes it.
fn refuse_circles(reader: &mut Reader, names: &BTreeMap<Box<str>, RoleId>, included: &Included) {
    let name = |role: RoleId| {
        names.iter().find(|(_, id)| **id == role).map_or_else(String::new, |(name, _)| format!("`{name}`"))
    };
    let mut done: std::collections::BTreeSet<RoleId> = std::collections::BTreeSet::new();
    for start in names.values() {
        // The way from `start` to the role that is looked at, each with its next inclusion to follow.
        let mut way: Vec<(RoleId, usize)> = vec![(*start, 0)];
        while let Some((role, next)) = way.last_mut() {
            let found = of(included, *role).get(*next).cloned();
            *next += 1;
            let role = *role;
            let Some((target, span)) = found.filter(|_| !done.contains(&role)) else {
                done.insert(role);
                way.pop();
                continue;
            };
            if let Some(first) = way.iter().position(|(role, _)| *role == target) {
                let mut circle: Vec<String> = way.iter().skip(first).map(|(role, _)| name(*role)).collect();
                circle.push(name(target));
                reader.error_help(
                    span,
                    format!("roles include each other in a circle: {}", circle.join(" includes ")),
                    "take one of these inclusions out",
                );
            } else if !done.contains(&target) {
                way.push((target, 0));
            }
        }
    }
}
