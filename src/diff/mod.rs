//! Who gains and who loses what between two configurations, exactly: by what the broker would decide, not by what the
//! files say.
//!
//! ```text
//!   rules of a client, before ─┐  walk      topics about which   cover
//!   rules of a client, now ────┴─ together ─▶ they differ ───────▶ filters, exceptions, a witness each
//! ```
//!
//! [`rights`] does that for one client; [`compare`] for all of them, once for all to whom the same happens.
#![forbid(unsafe_code)]

mod cover;
mod devices;
mod groups;
mod ids;
mod limits;
mod rights;
mod shape;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

pub use devices::{About, Effect};
pub use ids::ClientId;
pub use rights::{Change, Kind, Side, rights};

use crate::{ident::ANONYMOUS, policy::Action, snapshot::Snapshot};

/// Everything in which two configurations differ for those who connect.
#[derive(Debug, Default)]
pub struct Diff {
    /// Settings that hold for all.
    pub settings: Vec<About>,
    /// Devices that are new, are gone, or prove in another way who they are, by what differs.
    pub devices: Vec<(Vec<About>, Vec<String>)>,
    /// What may be done, by what changes about it.
    pub rights: Vec<Group>,
    /// What it does to those who are connected or have sessions, if the new takes the place of the old.
    pub effects: Vec<(Effect, Vec<String>)>,
}

/// Those to whom the same happens.
#[derive(Debug)]
pub struct Group {
    /// In the order of their names; [`ANONYMOUS`] for clients without one.
    pub devices: Vec<String>,
    /// By client id. The witnesses are those of the first device that was looked at, [`Self::example`].
    pub changes: Vec<(ClientId, Rc<Vec<Change>>)>,
    /// Whom the witnesses are for.
    pub example: String,
}

impl Diff {
    /// Whether there is any difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.devices.is_empty() && self.rights.is_empty()
    }
}

/// Compares two configurations.
///
/// Costs a look at every device, and a walk through the changed rules for each set of devices that differ in more than
/// names.
#[must_use]
pub fn compare(old: &Snapshot, new: &Snapshot) -> Diff {
    let names: BTreeSet<&str> =
        old.devices().chain(new.devices()).map(|device| device.name().as_str()).collect();
    let mut reports = groups::Reports::new(old, new);
    let mut rights = Rights::default();
    let mut devices: BTreeMap<Vec<About>, Vec<String>> = BTreeMap::new();
    let mut effects: BTreeMap<Effect, Vec<String>> = BTreeMap::new();
    for name in names {
        let (before, after) = (old.device(name), new.device(name));
        let about = devices::about(before, after);
        let report = reports.device(name);
        if let Some(before) = before {
            for effect in devices::effects(before, after, &about, shrinks(&report)) {
                effects.entry(effect).or_default().push(name.to_owned());
            }
        }
        if !about.is_empty() {
            devices.entry(about).or_default().push(name.to_owned());
        }
        rights.add(name, report);
    }
    rights.add(ANONYMOUS, reports.anonymous());
    Diff {
        settings: devices::settings(old, new),
        devices: devices.into_iter().collect(),
        rights: rights.groups,
        effects: effects.into_iter().collect(),
    }
}

/// Whether a stored subscription may be refused or get less.
fn shrinks(report: &groups::Report) -> bool {
    let mut changes = report.iter().flat_map(|(_, changes)| changes.iter());
    changes.any(|change| change.kind == Kind::Lost && change.action != Action::Publish)
}

/// Groups on their way.
#[derive(Default)]
struct Rights {
    groups: Vec<Group>,
    /// Places in `groups`: by the addresses of reports, which many share, and by what the reports say.
    by_address: HashMap<Vec<(ClientId, *const Vec<Change>)>, usize>,
    by_content: HashMap<Vec<(ClientId, Vec<Change>)>, usize>,
}

impl Rights {
    fn add(&mut self, name: &str, report: groups::Report) {
        if report.is_empty() {
            return;
        }
        let address: Vec<_> = report.iter().map(|(id, changes)| (id.clone(), Rc::as_ptr(changes))).collect();
        let place = match self.by_address.get(&address) {
            Some(place) => *place,
            None => {
                let place = self.place(name, report);
                self.by_address.insert(address, place);
                place
            }
        };
        if let Some(group) = self.groups.get_mut(place) {
            group.devices.push(name.to_owned());
        }
    }

    fn place(&mut self, name: &str, report: groups::Report) -> usize {
        // Those who have other witnesses have the same changes.
        let unwitnessed = |changes: &[Change]| -> Vec<Change> {
            changes.iter().map(|change| Change { witness: String::new(), ..change.clone() }).collect()
        };
        let content: Vec<_> = report.iter().map(|(id, changes)| (id.clone(), unwitnessed(changes))).collect();
        let next = self.groups.len();
        let place = *self.by_content.entry(content).or_insert(next);
        if place == next {
            self.groups.push(Group { devices: Vec::new(), changes: report, example: name.to_owned() });
        }
        place
    }
}

#[cfg(test)]
mod tests;
