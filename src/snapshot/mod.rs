//! Everything loaded: settings, devices, compiled policies. Immutable; a change makes a new one.
#![forbid(unsafe_code)]

mod compare;
mod devices;
mod help;
mod load;

use std::{fmt, path::PathBuf};

use crate::{
    config::{Roles, Settings},
    diag::Place,
    ident,
    password::{Kind, PasswordHash},
    policy::{Attributes, Decision, Denied, Index, Policy, Request, Subject},
    registry::{Device, State},
};

use devices::{Devices, Row};

pub use compare::{Loss, Removed};
pub use load::{Loaded, Permissions};

/// All that was read, checked and compiled. Loading is [`Snapshot::load`].
pub struct Snapshot {
    settings: Settings,
    roles: Roles,
    devices: Devices,
    anonymous: Option<Index>,
    quarantine: Index,
    reads_client_ids: bool,
    longest_name_bytes: usize,
    no_attributes: Attributes,
    costliest: Option<Kind>,
    unlisted: Vec<Unlisted>,
    revision: String,
    files: Vec<PathBuf>,
}

/// A user of the password file who is no device and therefore refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unlisted {
    /// Could be the name of a device.
    pub name: Box<str>,
    /// The line in the password file.
    pub place: Place,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({}, {} devices)", self.revision, self.devices().len())
    }
}

impl Snapshot {
    /// May this client do this? `name` is the device's, or [`ident::ANONYMOUS`].
    ///
    /// Pure: no clock, no lock, no I/O, and the same answer for the same question for ever.
    pub fn authorize<'a>(&'a self, name: &'a str, client_id: &'a str, request: &Request<'a>) -> Decision<'a> {
        let refused = |reason| Decision::Deny(Denied::Outside(reason));
        let wide = self.settings.wide_subscribe;
        if name == ident::ANONYMOUS {
            let Some(index) = &self.anonymous else { return refused("anonymous clients are not admitted") };
            let nobody = Subject { device: None, client_id, attributes: &self.no_attributes };
            return Policy::new(Some(index), None, wide).decide(&nobody, request);
        }
        let Some(Row { device, state, roles, own }) = self.devices.find(name) else {
            return refused("no device has this name");
        };
        let policy = match state {
            State::Active => Policy::new(Some(roles), own, wide),
            State::Quarantined => Policy::new(Some(&self.quarantine), None, wide),
            State::Disabled => return refused("the device is disabled"),
            State::Retired => return refused("the device is retired"),
        };
        let subject = Subject { device: Some(name), client_id, attributes: device.attributes() };
        policy.decide(&subject, request)
    }

    /// Whether any rule speaks of `{clientid}`: if not, no decision depends on what [`Self::authorize`] is given for it.
    #[must_use]
    pub fn reads_client_ids(&self) -> bool {
        self.reads_client_ids
    }

    /// The device of exactly this name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.get(name)
    }

    /// Whether clients of this name may connect: a device's that is neither disabled nor retired, or
    /// [`ident::ANONYMOUS`].
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        if name == ident::ANONYMOUS {
            return self.admits_anonymous();
        }
        let device = self.device(name);
        device.is_some_and(|device| matches!(device.state(), State::Active | State::Quarantined))
    }

    /// All devices, in no particular order.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.devices.iter()
    }

    /// How many devices there are of each state, in the order of [`State::WORDS`]; costs nothing.
    pub fn devices_by_state(&self) -> impl Iterator<Item = (State, u32)> {
        self.devices.states()
    }

    /// The compiled rules of a device while it is active, whatever its state is: those of its roles and everyone, one
    /// index for all whose roles come to the same, and its own.
    #[must_use]
    pub fn indexes(&self, name: &str) -> Option<(&Index, Option<&Index>)> {
        self.devices.find(name).map(|found| (found.roles, found.own))
    }

    /// The rules of quarantined devices.
    #[must_use]
    pub fn quarantine(&self) -> &Index {
        &self.quarantine
    }

    /// The rules of clients without any name, if they may connect.
    #[must_use]
    pub fn anonymous(&self) -> Option<&Index> {
        self.anonymous.as_ref()
    }

    /// Whether clients without any name may connect.
    #[must_use]
    pub fn admits_anonymous(&self) -> bool {
        self.anonymous.is_some()
    }

    /// The device that a client id belongs to: the one of exactly this name, else the longest name that is
    /// followed by `:`, `-`, `_`, `.` or `/` in it.
    #[must_use]
    pub fn owner_of_client_id(&self, client_id: &str) -> Option<&Device> {
        if let Some(device) = self.device(client_id) {
            return Some(device);
        }
        // No name is longer, whatever an attacker sends.
        let ends = client_id.char_indices().take_while(|(at, _)| *at <= self.longest_name_bytes);
        let ends: Vec<usize> =
            ends.filter(|(_, ch)| matches!(ch, ':' | '-' | '_' | '.' | '/')).map(|(at, _)| at).collect();
        ends.iter().rev().find_map(|end| self.device(client_id.get(..*end)?))
    }

    /// What is neither rule nor device.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The roles, as written and with what they include.
    #[must_use]
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Users of the password file who are no devices, in its order.
    #[must_use]
    pub fn unlisted_users(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// A hash that no password fits and that takes as long as the costliest in use: what is verified for a name
    /// that does not exist. `None` while no device has a password.
    #[must_use]
    pub fn costliest_hash(&self) -> Option<PasswordHash> {
        self.costliest.map(PasswordHash::decoy)
    }

    /// Twelve hexadecimal digits that stand for the content of all files.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The files read: settings, registry, and the password file if there is one.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// How many different sets of roles the devices have; so many policies were compiled for them.
    #[must_use]
    pub fn role_sets(&self) -> usize {
        self.devices.role_sets()
    }
}

#[cfg(test)]
mod tests;
