//! Devices by their roles: what a role causes is said once and not for each of them.

use std::{collections::HashMap, ptr};

use citronella::{
    policy::{Block, Index, Owner},
    registry::{Device, State},
    snapshot::Snapshot,
};

/// All devices whose roles come to the same rules, in the order of the registry; retired ones are left out.
pub(super) struct Set<'s> {
    /// The rules of the roles and of everyone.
    pub(super) shared: &'s Index,
    pub(super) devices: Vec<&'s Device>,
}

/// The sets, in the order of their first devices.
pub(super) fn of<'s>(snapshot: &'s Snapshot, devices: &[&'s Device]) -> Vec<Set<'s>> {
    let mut sets: Vec<Set<'s>> = Vec::new();
    let mut known: HashMap<*const Index, usize> = HashMap::new();
    for device in devices.iter().filter(|device| device.state() != State::Retired) {
        let Some((shared, _)) = snapshot.indexes(device.name().as_str()) else { continue };
        let at = *known.entry(ptr::from_ref(shared)).or_insert_with(|| {
            sets.push(Set { shared, devices: Vec::new() });
            sets.len() - 1
        });
        if let Some(set) = sets.get_mut(at) {
            set.devices.push(device);
        }
    }
    sets
}

/// What an allowance calls the owner of a block.
pub(super) fn name_of(block: &Block) -> &str {
    match &block.owner {
        Owner::Role(name) | Owner::Device(name) => name,
        Owner::Everyone => "everyone",
        Owner::Anonymous => "anonymous",
    }
}

/// How a sentence calls it.
pub(super) fn called(block: &Block) -> String {
    match &block.owner {
        Owner::Role(name) => format!("role `{name}`"),
        Owner::Device(name) => format!("device `{name}`"),
        Owner::Everyone => "everyone".to_owned(),
        Owner::Anonymous => "every anonymous client".to_owned(),
    }
}
