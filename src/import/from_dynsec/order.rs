//! In which order the plugin asks whose roles.

use super::dynsec::{Dynsec, Named};

/// Roles by their places in the file, in the order in which they are asked, each once.
pub(super) struct Order {
    /// Of each client.
    pub(super) clients: Vec<Vec<usize>>,
    /// Of clients without a name.
    pub(super) anonymous: Option<Vec<usize>>,
    /// All orders that there are, and each role by itself if no one else has it.
    pub(super) all: Vec<Vec<usize>>,
}

impl Order {
    pub(super) fn of(file: &Dynsec) -> Self {
        let clients: Vec<Vec<usize>> = file
            .clients
            .iter()
            .map(|client| {
                let mut groups: Vec<(i64, &str, &[Named])> = Vec::new();
                for group in &file.groups {
                    let member = group.clients.iter().find(|member| member.name == client.username);
                    groups.extend(member.map(|member| (-member.priority, &*group.name, &*group.roles)));
                }
                groups.sort_by_key(|(priority, name, _)| (*priority, *name));
                let lists =
                    std::iter::once(&*client.roles).chain(groups.into_iter().map(|(_, _, roles)| roles));
                flatten(file, lists)
            })
            .collect();
        let anonymous = file.anonymous_group.as_ref().and_then(|(name, _)| {
            let group = file.groups.iter().find(|group| group.name == *name)?;
            Some(flatten(file, std::iter::once(&*group.roles)))
        });
        let mut all: Vec<Vec<usize>> = clients.iter().chain(&anonymous).cloned().collect();
        all.sort();
        all.dedup();
        for role in 0..file.roles.len() {
            if all.iter().all(|order| !order.contains(&role)) {
                all.push(vec![role]);
            }
        }
        Self { clients, anonymous, all }
    }

    /// The roles that everybody has who has this one.
    pub(super) fn companions(&self, role: usize) -> Vec<usize> {
        let mut with = self.all.iter().filter(|order| order.contains(&role));
        let first = with.next().cloned().unwrap_or_default();
        let rest: Vec<&Vec<usize>> = with.collect();
        first.into_iter().filter(|other| rest.iter().all(|order| order.contains(other))).collect()
    }
}

/// The lists one after the other, each sorted by priority and then by name.
fn flatten<'f>(file: &Dynsec, lists: impl Iterator<Item = &'f [Named]>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for list in lists {
        let mut sorted: Vec<&Named> = list.iter().collect();
        sorted.sort_by_key(|named| (-named.priority, &named.name));
        for named in sorted {
            let role = file.roles.iter().position(|role| role.name == named.name);
            found.extend(role.filter(|role| !found.contains(role)));
        }
    }
    found
}
