//! The devices, found by name.
//!
//! An access check needs a few bytes of its device, and with many devices each of them comes from memory. So what it
//! needs stands close together, apart from the credentials, which only a log-in looks at.

use std::hash::{BuildHasher as _, Hasher as _};

use crate::{
    ident::MAX_NAME_BYTES,
    policy::Index,
    registry::{Device, State},
    topic::same,
};

/// All devices with their compiled rules.
#[derive(Default)]
pub(super) struct Devices {
    hasher: foldhash::fast::RandomState,
    /// Open addressing from a name's hash; a power of two of them, at most seven eighths taken.
    slots: Box<[Slot]>,
    /// For each device its rights and its name, one after the other: what a check waits for is in one place.
    records: Box<[u8]>,
    /// By the device's number.
    devices: Box<[Device]>,
    /// One for all devices whose roles come to the same.
    roles: Box<[Index]>,
    /// For devices with rules of their own.
    own: Box<[Index]>,
    /// How many devices are in each state, in the order of [`State::WORDS`].
    states: [u32; State::WORDS.len()],
}

/// A free slot has the number [`NONE`].
#[derive(Clone, Copy)]
struct Slot {
    /// Bits of the name's hash, and in the lowest eight its length: a strange name is rarely compared.
    tag: u32,
    /// Where its record begins.
    record: u32,
    device: u32,
}

/// What an access check needs of a device.
#[derive(Clone, Copy)]
struct Rights {
    state: State,
    roles: u32,
    /// [`NONE`] if it has no rules of its own.
    own: u32,
}

/// Bytes of [`Rights`] in a record, before the name.
const RIGHTS_BYTES: usize = 9;

impl Rights {
    fn to_bytes(self) -> [u8; RIGHTS_BYTES] {
        let state = match self.state {
            State::Active => 0,
            State::Quarantined => 1,
            State::Disabled => 2,
            State::Retired => 3,
        };
        let ([a, b, c, d], [e, f, g, h]) = (self.roles.to_le_bytes(), self.own.to_le_bytes());
        [state, a, b, c, d, e, f, g, h]
    }

    fn from_bytes([state, a, b, c, d, e, f, g, h]: [u8; RIGHTS_BYTES]) -> Self {
        let state = match state {
            0 => State::Active,
            1 => State::Quarantined,
            2 => State::Disabled,
            _ => State::Retired,
        };
        Self { state, roles: u32::from_le_bytes([a, b, c, d]), own: u32::from_le_bytes([e, f, g, h]) }
    }
}

/// No number of anything: files of a bounded size do not hold so much.
const NONE: u32 = u32::MAX;

/// A device with what it may do.
pub(super) struct Found<'a> {
    pub(super) device: &'a Device,
    pub(super) state: State,
    pub(super) roles: &'a Index,
    pub(super) own: Option<&'a Index>,
}

/// A device on its way into the table.
pub(super) struct Entry {
    pub(super) device: Device,
    /// Number of its index in `roles`.
    pub(super) roles: u32,
    pub(super) own: Option<Index>,
}

impl Devices {
    /// Of devices with different names.
    pub(super) fn new(entries: impl ExactSizeIterator<Item = Entry>, roles: Vec<Index>) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let count = entries.len();
        let size = (count + count / 7 + 1).next_power_of_two();
        let mut slots = vec![Slot { tag: 0, record: 0, device: NONE }; size];
        let mut devices = Vec::with_capacity(count);
        let (mut records, mut own) = (Vec::new(), Vec::new());
        let mut states = [0; State::WORDS.len()];
        for entry in entries {
            for ((_, state), number) in State::WORDS.iter().zip(&mut states) {
                *number += u32::from(*state == entry.device.state());
            }
            let name = entry.device.name().as_str();
            let (tag, mut at) = place(&hasher, name, size);
            while slots.get(at).is_some_and(|slot| slot.device != NONE) {
                at = (at + 1) & (size - 1);
            }
            if let Some(free) = slots.get_mut(at) {
                *free = Slot { tag, record: number(records.len()), device: number(devices.len()) };
            }
            let rights = Rights {
                state: entry.device.state(),
                roles: entry.roles,
                own: if entry.own.is_some() { number(own.len()) } else { NONE },
            };
            records.extend(rights.to_bytes());
            records.extend_from_slice(name.as_bytes());
            own.extend(entry.own);
            devices.push(entry.device);
        }
        Self {
            hasher,
            slots: slots.into(),
            records: records.into(),
            devices: devices.into(),
            roles: roles.into(),
            own: own.into(),
            states,
        }
    }

    /// How many of them are in each state; counted when they were loaded.
    pub(super) fn states(&self) -> impl Iterator<Item = (State, u32)> {
        State::WORDS.iter().map(|(_, state)| *state).zip(self.states)
    }

    /// The device of exactly this name, and what it may do.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<Found<'_>> {
        let (device, rights) = self.lookup(name)?;
        let own = match rights.own {
            NONE => None,
            own => Some(self.own.get(at(own))?),
        };
        Some(Found {
            device: self.devices.get(device)?,
            state: rights.state,
            roles: self.roles.get(at(rights.roles))?,
            own,
        })
    }

    /// The device of exactly this name.
    pub(super) fn get(&self, name: &str) -> Option<&Device> {
        self.devices.get(self.lookup(name)?.0)
    }

    #[inline]
    fn lookup(&self, name: &str) -> Option<(usize, Rights)> {
        // A tag tells lengths apart up to 255 bytes.
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
        let size = self.slots.len();
        let (tag, mut slot) = place(&self.hasher, name, size);
        loop {
            let found = self.slots.get(slot)?;
            if found.tag == tag {
                let (rights, known) = self.records.get(at(found.record)..)?.split_first_chunk()?;
                if same(known.get(..name.len())?, name.as_bytes()) {
                    return Some((at(found.device), Rights::from_bytes(*rights)));
                }
            }
            if found.device == NONE {
                return None;
            }
            slot = (slot + 1) & (size - 1);
        }
    }

    /// All of them, in no particular order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.devices.iter()
    }

    /// Whether some rule of theirs speaks of `{clientid}`.
    pub(super) fn reads_client_ids(&self) -> bool {
        self.roles.iter().chain(&self.own).any(Index::reads_client_id)
    }

    /// How many different sets of roles they have.
    pub(super) fn role_sets(&self) -> usize {
        self.roles.len()
    }
}

/// The tag of a name, and the slot of `size` where the search for it begins.
fn place(hasher: &foldhash::fast::RandomState, name: &str, size: usize) -> (u32, usize) {
    let mut hash = hasher.build_hasher();
    hash.write(name.as_bytes());
    let hash = hash.finish();
    let [length, ..] = name.len().to_le_bytes();
    let tag = u32::try_from(hash >> u32::BITS).unwrap_or_default() & !0xff | u32::from(length);
    let low = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or_default();
    (tag, low & size.saturating_sub(1))
}

/// A number as a place in a slice. Where `usize` is narrower it could only miss, and a miss denies.
fn at(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A count of things that were read from files of a bounded size, far below 2^32.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_come_out_as_they_went_in() {
        for state in [State::Active, State::Quarantined, State::Disabled, State::Retired] {
            let rights = Rights { state, roles: 0x0102_0304, own: NONE };
            let Rights { state: found, roles, own } = Rights::from_bytes(rights.to_bytes());
            assert_eq!((found, roles, own), (state, 0x0102_0304, NONE));
        }
    }

    #[test]
    fn nobody_is_found_where_nobody_is() {
        let devices = Devices::new(std::iter::empty(), Vec::new());
        assert!(devices.get("").is_none() && devices.get("a").is_none());
        assert!(Devices::default().get("a").is_none());
    }
}
