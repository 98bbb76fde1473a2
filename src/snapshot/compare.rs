//! What a change of the files takes away from whom: whose sessions have to end because of it.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::Snapshot;
use crate::{
    config::{ClientIds, Settings},
    policy::{Actions, Block, Effect, Index, Limits, WideSubscribe},
    registry::{Certificates, Device, State},
    topic::Placeholder,
};

/// What a device has lost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Loss {
    /// It may not connect any more: gone, disabled or retired.
    pub device: bool,
    /// Something that it could log in with is not good any more, or not enough.
    pub credentials: bool,
    /// Rights, or how it is told who it is: what was asked for under the old rules has to be asked for again. Where that
    /// is not certain it is assumed.
    pub rights: bool,
}

/// How much a change removes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Removed {
    /// Devices that are gone, of so many.
    pub devices: (usize, usize),
    /// Devices that had a password hash and are gone or have none, of so many.
    pub hashes: (usize, usize),
}

impl Removed {
    /// Whether it is so much that somebody should say that it is meant: more than half of either.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        [self.devices, self.hashes].iter().any(|(gone, all)| 2 * gone > *all)
    }
}

impl Snapshot {
    /// How much `new` removes of what is here.
    #[must_use]
    pub fn removed_by(&self, new: &Self) -> Removed {
        let mut removed = Removed { devices: (0, self.devices().len()), hashes: (0, 0) };
        for device in self.devices() {
            let left = new.device(device.name().as_str());
            removed.devices.0 += usize::from(left.is_none());
            if device.password().is_some() {
                removed.hashes.1 += 1;
                removed.hashes.0 += usize::from(left.and_then(Device::password).is_none());
            }
        }
        removed
    }

    /// Who loses what when `new` takes the place of this; those who lose nothing are left out.
    pub fn losses<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = (&'a str, Loss)> {
        let mut shared = HashMap::new();
        let everybody = asks_more(self.settings(), new.settings());
        self.devices().filter_map(move |device| {
            let name = device.name().as_str();
            let mut loss = self.loss(device, new, &mut shared);
            loss.rights |= everybody && !loss.device;
            (loss != Loss::default()).then_some((name, loss))
        })
    }

    /// What clients without a name lose.
    #[must_use]
    pub fn anonymous_loss(&self, new: &Self) -> Loss {
        let nothing = Loss::default();
        match (self.anonymous(), new.anonymous()) {
            (None, _) => nothing,
            (Some(_), None) => Loss { device: true, ..nothing },
            (Some(before), Some(after)) => {
                let rights = asks_more(self.settings(), new.settings())
                    || shrinks(&[before.blocks()], &[after.blocks()]);
                Loss { rights, ..nothing }
            }
        }
    }

    fn loss<'a>(
        &'a self,
        device: &'a Device,
        new: &'a Self,
        shared: &mut HashMap<(*const Index, *const Index), bool>,
    ) -> Loss {
        let may_connect = |device: &Device| matches!(device.state(), State::Active | State::Quarantined);
        let nothing = Loss::default();
        if !may_connect(device) {
            return nothing;
        }
        let name = device.name().as_str();
        let Some(after) = new.device(name).filter(|device| may_connect(device)) else {
            return Loss { device: true, ..nothing };
        };
        let credentials = loses_credentials(device, after);
        let (Some((old_roles, old_own)), Some((new_roles, new_own))) =
            (self.rules_in_force(device), new.rules_in_force(after))
        else {
            return Loss { credentials, rights: true, ..nothing };
        };
        // Made only where rules have changed, and not kept.
        let own_blocks = |own: Option<&'a Index>| own.map_or(Cow::Borrowed(&[][..]), Index::lent_blocks);
        let same_own = match (old_own, new_own) {
            (None, None) => true,
            (Some(old), Some(new)) => old.is_same(new),
            (Some(_), None) | (None, Some(_)) => false,
        };
        let key = (std::ptr::from_ref(old_roles), std::ptr::from_ref(new_roles));
        // Thousands of devices share a few sets of roles.
        let roles_shrink =
            *shared.entry(key).or_insert_with(|| shrinks(&[old_roles.blocks()], &[new_roles.blocks()]));
        let own_shrinks = || !same_own && shrinks(&[&own_blocks(old_own)], &[&own_blocks(new_own)]);
        let rules_shrink = (roles_shrink || own_shrinks())
            && shrinks(
                &[old_roles.blocks(), &own_blocks(old_own)],
                &[new_roles.blocks(), &own_blocks(new_own)],
            );
        let filled_anew = device.attributes() != after.attributes()
            && ([old_roles.blocks(), new_roles.blocks()].iter().any(|blocks| use_attributes(blocks))
                || [old_own, new_own].iter().any(|own| use_attributes(&own_blocks(*own))));
        Loss { credentials, rights: rules_shrink || filled_anew, ..nothing }
    }

    /// The compiled rules of a device in the state that it has.
    fn rules_in_force(&self, device: &Device) -> Option<(&Index, Option<&Index>)> {
        if device.state() == State::Quarantined {
            return Some((self.quarantine(), None));
        }
        self.indexes(device.name().as_str())
    }
}

/// Whether clients are told apart in another way, or are asked for more.
fn asks_more(old: &Settings, new: &Settings) -> bool {
    let strictness = |settings: &Settings| match settings.client_ids {
        ClientIds::Any => 0,
        ClientIds::Protect => 1,
        ClientIds::Device => 2,
    };
    old.certificate != new.certificate
        || strictness(new) > strictness(old)
        || (old.wide_subscribe, new.wide_subscribe) == (WideSubscribe::Filter, WideSubscribe::Strict)
}

/// Whether something that admitted the device before may not do so now.
fn loses_credentials(old: &Device, new: &Device) -> bool {
    let certificates = match (old.certificates(), new.certificates()) {
        (_, Certificates::Any) => false,
        (Certificates::Any, Certificates::Listed(_)) => true,
        (Certificates::Listed(old), Certificates::Listed(new)) => old.iter().any(|certificate| {
            let now = new.iter().find(|now| now.sha256 == certificate.sha256);
            now.is_none_or(|now| now.not_after != certificate.not_after)
        }),
    };
    certificates
        || old.auth() != new.auth()
        || new.revoked().iter().any(|revoked| !old.revoked().contains(revoked))
        || (old.password().is_some() && old.password() != new.password())
}

fn use_attributes(blocks: &[Arc<Block>]) -> bool {
    let mut rules = blocks.iter().flat_map(|block| &block.rules);
    rules.any(|rule| rule.template.placeholders().any(|found| matches!(found, Placeholder::Attribute(_))))
}

/// Whether the new rules may refuse what the old ones allowed. They do not if every old permission stands there still,
/// in a block that limits it no more, and every new denial stood there before.
fn shrinks(old: &[&[Arc<Block>]], new: &[&[Arc<Block>]]) -> bool {
    let (allowed, denied) = (by_template(new, Effect::Allow), by_template(old, Effect::Deny));
    let kept = |(template, (actions, limits)): (&str, (Actions, Limits))| {
        let now = allowed.get(template).map_or(&[][..], Vec::as_slice);
        now.iter().any(|(found, found_limits)| includes(*found, actions) && no_tighter(found_limits, &limits))
    };
    let known = |(template, (actions, _)): (&str, (Actions, Limits))| {
        let before = denied.get(template).map_or(&[][..], Vec::as_slice);
        before.iter().any(|(found, _)| includes(*found, actions))
    };
    !(each(old, Effect::Allow).all(kept) && each(new, Effect::Deny).all(known))
}

/// All rules of one effect: the template, the actions, and the limits of the block.
fn each<'a>(
    blocks: &'a [&'a [Arc<Block>]],
    effect: Effect,
) -> impl Iterator<Item = (&'a str, (Actions, Limits))> {
    let blocks = blocks.iter().flat_map(|blocks| blocks.iter());
    blocks.flat_map(move |block| {
        let rules = block.rules.iter().filter(move |rule| rule.effect == effect);
        rules.map(|rule| (rule.template.as_str(), (rule.actions, block.limits)))
    })
}

fn by_template<'a>(
    blocks: &'a [&'a [Arc<Block>]],
    effect: Effect,
) -> HashMap<&'a str, Vec<(Actions, Limits)>, foldhash::fast::RandomState> {
    let mut found: HashMap<_, Vec<_>, _> = HashMap::default();
    for (template, what) in each(blocks, effect) {
        found.entry(template).or_default().push(what);
    }
    found
}

fn includes(all: Actions, some: Actions) -> bool {
    all.and(some) == all
}

fn no_tighter(new: &Limits, old: &Limits) -> bool {
    fn at_least<T: PartialOrd>(new: Option<T>, old: Option<T>) -> bool {
        match (new, old) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(new), Some(old)) => new >= old,
        }
    }
    at_least(new.max_qos, old.max_qos)
        && at_least(new.max_payload, old.max_payload)
        && (!new.no_retain || old.no_retain)
}

#[cfg(test)]
mod tests;
