//! The devices, found by name.
//!
//! An access check needs a few bytes of its device, and with many devices each of them comes from memory. So what it
//! needs stands in one place with the name, apart from the credentials, which only a log-in looks at.

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
    /// Open addressing from a name's hash; at most five eighths taken.
    slots: Box<[Slot]>,
    /// What does not fit in the slots of long names.
    long: Box<[u8]>,
    /// By the device's number.
    devices: Box<[Device]>,
    /// One for all devices whose roles come to the same.
    roles: Box<[Index]>,
    /// For devices with rules of their own.
    own: Box<[Index]>,
    /// How many devices are in each state, in the order of [`State::WORDS`].
    states: [u32; State::WORDS.len()],
}

/// What an access check needs of a device, and its name. Half a line of the processor's cache, and never in two of them.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Slot {
    /// [`NONE`] if the slot is free.
    device: u32,
    roles: u32,
    /// [`NONE`] if it has no rules of its own.
    own: u32,
    state: State,
    /// Of the name.
    bytes: u8,
    /// The name, or of a long one the beginning and then where in [`Devices::long`] the rest begins.
    name: [u8; INLINE],
}

/// Bytes of a name that fit in a slot.
const INLINE: usize = 18;
/// Bytes of a long name that stand in its slot, before four for the place of the rest.
const BEGINNING: usize = 14;

const _: () = assert!(size_of::<Slot>() == 32);

impl Slot {
    const FREE: Self =
        Self { device: NONE, roles: 0, own: NONE, state: State::Retired, bytes: 0, name: [0; INLINE] };

    #[inline]
    fn is_of(&self, name: &[u8], long: &[u8]) -> bool {
        if usize::from(self.bytes) != name.len() {
            return false;
        }
        match self.name.get(..name.len()) {
            Some(known) => same(known, name),
            None => self.is_of_long(name, long),
        }
    }

    #[cold]
    fn is_of_long(&self, name: &[u8], long: &[u8]) -> bool {
        let (beginning, place) = self.name.split_at(BEGINNING);
        let rest = place.first_chunk().and_then(|place| long.get(at(u32::from_le_bytes(*place))..));
        name.strip_prefix(beginning).is_some_and(|end| rest.is_some_and(|rest| rest.starts_with(end)))
    }
}

/// No number of anything: files of a bounded size do not hold so much.
const NONE: u32 = u32::MAX;

/// A device with what it may do.
pub(super) struct Row<'a> {
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
        let mut new = Self { roles: roles.into(), ..Self::default() };
        let count = entries.len();
        new.slots = vec![Slot::FREE; count + count * 3 / 5 + 1].into();
        let mut devices = Vec::with_capacity(count);
        let (mut long, mut own) = (Vec::new(), Vec::new());
        for entry in entries {
            for ((_, state), number) in State::WORDS.iter().zip(&mut new.states) {
                *number += u32::from(*state == entry.device.state());
            }
            let name = entry.device.name().as_str().as_bytes();
            let mut slot = Slot {
                device: number(devices.len()),
                roles: entry.roles,
                own: if entry.own.is_some() { number(own.len()) } else { NONE },
                state: entry.device.state(),
                bytes: u8::try_from(name.len()).unwrap_or_default(),
                name: [0; INLINE],
            };
            match slot.name.get_mut(..name.len()) {
                Some(whole) => whole.copy_from_slice(name),
                None => {
                    let (beginning, rest) = name.split_at(BEGINNING);
                    let (start, place) = slot.name.split_at_mut(BEGINNING);
                    start.copy_from_slice(beginning);
                    place.copy_from_slice(&number(long.len()).to_le_bytes());
                    long.extend_from_slice(rest);
                }
            }
            let mut place = new.first_slot(name);
            while new.slots.get(place).is_some_and(|slot| slot.device != NONE) {
                place = new.after(place);
            }
            if let Some(free) = new.slots.get_mut(place) {
                *free = slot;
            }
            own.extend(entry.own);
            devices.push(entry.device);
        }
        (new.devices, new.long, new.own) = (devices.into(), long.into(), own.into());
        new
    }

    /// How many of them are in each state; counted when they were loaded.
    pub(super) fn states(&self) -> impl Iterator<Item = (State, u32)> {
        State::WORDS.iter().map(|(_, state)| *state).zip(self.states)
    }

    /// The device of exactly this name, and what it may do.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<Row<'_>> {
        let slot = self.lookup(name)?;
        let own = match slot.own {
            NONE => None,
            own => Some(self.own.get(at(own))?),
        };
        Some(Row {
            device: self.devices.get(at(slot.device))?,
            state: slot.state,
            roles: self.roles.get(at(slot.roles))?,
            own,
        })
    }

    /// The device of exactly this name.
    pub(super) fn get(&self, name: &str) -> Option<&Device> {
        self.devices.get(at(self.lookup(name)?.device))
    }

    #[inline]
    fn lookup(&self, name: &str) -> Option<&Slot> {
        // The number of bytes in a slot tells names apart up to 255.
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
        let name = name.as_bytes();
        let mut place = self.first_slot(name);
        loop {
            let slot = self.slots.get(place).filter(|slot| slot.device != NONE)?;
            if slot.is_of(name, &self.long) {
                return Some(slot);
            }
            place = self.after(place);
        }
    }

    /// Where the search for a name begins.
    #[inline]
    fn first_slot(&self, name: &[u8]) -> usize {
        let mut hash = self.hasher.build_hasher();
        hash.write(name);
        // As much of the slots as the hash is of all hashes.
        let slots = u64::try_from(self.slots.len()).unwrap_or_default();
        let place = (hash.finish() >> u32::BITS).wrapping_mul(slots) >> u32::BITS;
        usize::try_from(place).unwrap_or(usize::MAX)
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        if place + 1 < self.slots.len() { place + 1 } else { 0 }
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
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        ident::DeviceName,
        policy::Attributes,
        registry::{Auth, Kin},
    };

    /// Devices of these names, each with the number of its roles.
    fn devices(names: &[String]) -> Devices {
        let entry = |(name, roles): (&String, u32)| {
            let device = Device {
                name: DeviceName::new(name).unwrap(),
                kin: Arc::new(Kin { roles: Box::default(), file: Path::new("devices.toml").into() }),
                line: roles,
                attributes: Attributes::default(),
                state: if roles % 2 == 0 { State::Active } else { State::Quarantined },
                auth: Auth::Any,
                certificates: None,
                revoked: Box::default(),
                password: None,
            };
            Entry { device, roles, own: None }
        };
        let entries: Vec<Entry> = names.iter().zip(0..).map(entry).collect();
        let roles = names.iter().map(|_| Index::compile(&[]));
        Devices::new(entries.into_iter(), roles.collect())
    }

    #[test]
    fn everybody_is_found_and_nobody_else() {
        // Names of every length, and many that differ at one end only.
        let mut names: Vec<String> = (1..=MAX_NAME_BYTES).map(|length| "n".repeat(length)).collect();
        for number in 0..500 {
            names.push(format!("d{number}"));
            names.push(format!("{number}-of-a-rather-long-name"));
            names.push(format!("a-rather-long-name-of-number-{number}"));
        }
        let devices = devices(&names);
        for (name, number) in names.iter().zip(0..) {
            let found = devices.find(name).unwrap();
            assert_eq!((found.device.name().as_str(), found.device.line), (name.as_str(), number));
            assert_eq!(found.state, found.device.state());
            assert!(std::ptr::eq(found.roles, &raw const devices.roles[usize::try_from(number).unwrap()]));
            for strange in [format!("{name}x"), format!("x{name}"), name[1..].to_owned() + "y"] {
                assert!(devices.get(&strange).is_none(), "{strange}");
            }
        }
    }

    #[test]
    fn nobody_is_found_where_nobody_is() {
        let devices = Devices::new(std::iter::empty(), Vec::new());
        assert!(devices.get("").is_none() && devices.get("a").is_none());
        assert!(Devices::default().get("a").is_none());
    }
}
