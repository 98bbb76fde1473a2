//! Whoever gives wrong passwords is held off, longer each time.
//!
//! Failures are counted for each device and address, and for each address. So an address is stopped whatever names
//! it tries, and nobody can lock a device out from an address that is not the device's own. All callers of 2.1's
//! `http_api`, which tells no addresses, count as one that is nobody else's: who guesses there can hold up others there,
//! except those who were right before, and nobody who has an address.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    super::{event::Peer, limit::neighbourhood, locked},
    recent::Recent,
};

/// Entries at most: two for each failure that is remembered.
const MAX: usize = 10_000;

/// Of so many entries the one with the fewest failures makes room for a new one.
const SAMPLE: usize = 16;

/// Devices that are remembered for a right password, each at an address.
const KNOWN: usize = 10_000;

/// Looks into the memory of verified passwords that whoever is held off has at once; one a second comes back.
const LOOKS: u32 = 5;

/// How failures of one kind count.
struct Scale {
    /// Failures without consequence: people mistype.
    free: u32,
    /// What the first failure after those costs; each one more doubles it.
    first: Duration,
    /// It does not get longer.
    longest: Duration,
    /// One failure is forgotten after each of these.
    forget: Duration,
}

/// Of a device at an address.
const DEVICE: Scale = Scale {
    free: 5,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(300),
    forget: Duration::from_secs(300),
};

/// Of an address, whatever the names. Many devices may stand behind one, and one of them may have an old password for
/// ever: held off itself, it adds a failure in five minutes at most, and that is forgotten in one.
const ADDRESS: Scale = Scale {
    free: 30,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    forget: Duration::from_secs(60),
};

/// What stands against a log-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing.
    Free,
    /// It has to wait.
    HeldOff {
        /// So much longer.
        left: Duration,
        /// Whether it may be looked up in the memory of verified passwords all the same. Without a limit to that
        /// everybody could guess as fast as the broker reads.
        look: bool,
    },
}

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Key {
    /// `None` for `http_api`.
    network: Option<IpAddr>,
    /// Stands for the name of the device; names are an attacker's choice, and as long as they like.
    device: Option<u64>,
}

struct Entry {
    key: Key,
    failures: u32,
    /// When the last was.
    last: Instant,
    /// Nothing is tried before this.
    until: Instant,
    looks: u32,
    /// When a look was last given back.
    looked: Instant,
}

/// Who failed, and until when they wait.
#[derive(Default)]
pub(super) struct Throttle {
    names: RandomState,
    entries: Mutex<Entries>,
}

struct Entries {
    all: Vec<Entry>,
    places: HashMap<Key, usize>,
    /// Where the next sample starts.
    turn: u64,
    random: RandomState,
    /// Devices that were right at an address before.
    known: Recent<Key, ()>,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            places: HashMap::new(),
            turn: 0,
            random: RandomState::new(),
            known: Recent::new(KNOWN),
        }
    }
}

impl Throttle {
    /// Whether this address may try a password of this device now. An address that is a claim of the client's, or that
    /// is none, is never held off.
    pub(super) fn standing(&self, peer: Peer, device: &str, now: Instant) -> Standing {
        let Some(keys) = self.keys(peer, device) else { return Standing::Free };
        let mut entries = locked(&self.entries);
        let held = keys.each_ref().map(|(key, _)| entries.get(*key).is_some_and(|entry| now < entry.until));
        let until = keys.iter().filter_map(|(key, _)| Some(entries.get(*key)?.until)).max();
        let Some(until) = until.filter(|until| now < *until) else { return Standing::Free };
        let [(device, _), (address, _)] = keys;
        let look = if entries.known.get(&device).is_some() {
            // It has looks of its own: somebody who guesses at other names at its address does not use them up.
            entries.entry(device, now).look(now)
        } else {
            let mut may = |held: bool, key| !held || entries.get(key).is_some_and(|entry| entry.look(now));
            let [device_held, address_held] = held;
            may(device_held, device) && may(address_held, address)
        };
        Standing::HeldOff { left: until - now, look }
    }

    /// The password was wrong, or there is no such device.
    pub(super) fn failed(&self, peer: Peer, device: &str, now: Instant) {
        let Some(keys) = self.keys(peer, device) else { return };
        let mut entries = locked(&self.entries);
        for (key, scale) in keys {
            entries.entry(key, now).fail(&scale, now);
        }
    }

    /// The password was right: the failures of this device at this address were a slip. Those of the address stay, or
    /// whoever knows one password could guess at the others' for ever.
    pub(super) fn succeeded(&self, peer: Peer, device: &str) {
        let Some([(key, _), _]) = self.keys(peer, device) else { return };
        let mut entries = locked(&self.entries);
        entries.remove(key);
        entries.known.insert(key, ());
    }

    fn keys(&self, peer: Peer, device: &str) -> Option<[(Key, Scale); 2]> {
        let network = match neighbourhood(peer) {
            Peer::Address(network) => Some(network),
            Peer::Http => None,
            Peer::Websocket(_) | Peer::Unknown => return None,
        };
        let name = Some(self.names.hash_one(device));
        Some([(Key { network, device: name }, DEVICE), (Key { network, device: None }, ADDRESS)])
    }
}

impl Entries {
    fn get(&mut self, key: Key) -> Option<&mut Entry> {
        self.all.get_mut(*self.places.get(&key)?)
    }

    /// The entry of this key, made if there is none; the one of a sample that matters least makes room.
    fn entry(&mut self, key: Key, now: Instant) -> &mut Entry {
        let at = self.places.get(&key).copied().unwrap_or_else(|| {
            if self.all.len() >= MAX {
                self.forget_one();
            }
            self.all.push(Entry { key, failures: 0, last: now, until: now, looks: LOOKS, looked: now });
            let at = self.all.len() - 1;
            self.places.insert(key, at);
            at
        });
        #[expect(clippy::indexing_slicing, reason = "`places` has the places of `all`")]
        &mut self.all[at]
    }

    /// Whoever fails once from many addresses pushes out others of that kind, and nobody who is held off.
    fn forget_one(&mut self) {
        self.turn += 1;
        let sample = (0..SAMPLE).filter_map(|number| {
            let random = usize::try_from(self.random.hash_one((self.turn, number))).unwrap_or_default();
            let at = random.checked_rem(self.all.len())?;
            self.all.get(at).map(|entry| ((entry.failures, entry.last), entry.key))
        });
        if let Some((_, key)) = sample.min_by_key(|(weight, _)| *weight) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(at) = self.places.remove(&key) else { return };
        self.all.swap_remove(at);
        if let Some(moved) = self.all.get(at) {
            self.places.insert(moved.key, at);
        }
    }
}

impl Entry {
    fn fail(&mut self, scale: &Scale, now: Instant) {
        let quiet = now.saturating_duration_since(self.last).as_secs() / scale.forget.as_secs().max(1);
        let forgotten = u32::try_from(quiet).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_sub(forgotten).saturating_add(1);
        self.last = now;
        if let Some(doublings) = self.failures.checked_sub(scale.free + 1) {
            let wait = scale.first.saturating_mul(2_u32.saturating_pow(doublings));
            self.until = now + wait.min(scale.longest);
        }
    }

    fn look(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.looked).as_secs();
        if seconds > 0 {
            self.looks = self.looks.saturating_add(u32::try_from(seconds).unwrap_or(LOOKS)).min(LOOKS);
            self.looked = now;
        }
        let may = self.looks > 0;
        self.looks = self.looks.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(number: u32) -> Peer {
        Peer::Address(Ipv4Addr::from(number).into())
    }

    fn v6(network: u64, host: u64) -> Peer {
        Peer::Address(Ipv6Addr::from(u128::from(network) << 64 | u128::from(host)).into())
    }

    fn left(throttle: &Throttle, peer: Peer, device: &str, now: Instant) -> u64 {
        match throttle.standing(peer, device, now) {
            Standing::Free => 0,
            Standing::HeldOff { left, .. } => left.as_secs(),
        }
    }

    fn fail(throttle: &Throttle, times: u32, (peer, device): (Peer, &str), now: Instant) {
        (0..times).for_each(|_| throttle.failed(peer, device, now));
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let waits: Vec<u64> = (0..16)
            .map(|_| {
                fail(&throttle, 1, (v4(1), "d"), now);
                left(&throttle, v4(1), "d", now)
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(left(&throttle, v4(2), "d", now), 0, "the device is not locked out elsewhere");
        assert_eq!(left(&throttle, v4(1), "other", now), 0, "nor its neighbours at the same address");
        assert_eq!(left(&throttle, v4(1), "d", now + Duration::from_secs(300)), 0);
        throttle.succeeded(v4(1), "d");
        assert_eq!(left(&throttle, v4(1), "d", now), 0);
    }

    #[test]
    fn an_address_is_held_off_whatever_names_it_tries() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..31 {
            fail(&throttle, 1, (v6(1, number), &format!("d{number}")), now);
        }
        assert_eq!(left(&throttle, v6(1, 99), "fresh", now), 1, "all of a /64 is one address");
        assert_eq!(left(&throttle, v6(2, 99), "fresh", now), 0);
        throttle.succeeded(v6(1, 1), "d1");
        assert_eq!(left(&throttle, v6(1, 99), "fresh", now), 1, "one password known excuses no guesses");
    }

    #[test]
    fn claims_and_sockets_without_an_address_are_never_held_off() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for peer in [Peer::Websocket(Some(Ipv4Addr::LOCALHOST.into())), Peer::Unknown] {
            fail(&throttle, 100, (peer, "d"), now);
            assert_eq!(throttle.standing(peer, "d", now), Standing::Free);
        }
    }

    #[test]
    fn callers_of_the_http_api_are_one_address_that_is_nobody_elses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.succeeded(Peer::Http, "operator");
        fail(&throttle, 10, (Peer::Http, "d"), now);
        assert_eq!(left(&throttle, Peer::Http, "d", now), 16);
        assert_eq!(left(&throttle, Peer::Http, "other", now), 0);
        for number in 0..31 {
            throttle.failed(Peer::Http, &format!("guess{number}"), now);
        }
        assert!(left(&throttle, Peer::Http, "other", now) > 0);
        assert_eq!((left(&throttle, v4(1), "d", now), left(&throttle, v6(0, 0), "d", now)), (0, 0));
        let known = throttle.standing(Peer::Http, "operator", now);
        assert!(matches!(known, Standing::HeldOff { look: true, .. }), "{known:?}");
    }

    #[test]
    fn failures_from_many_addresses_free_nobody_who_is_held_off() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        fail(&throttle, 8, (v4(1), "d"), now);
        for number in 0..50_000 {
            throttle.failed(v6(number, 1), "d", now);
        }
        assert_eq!(left(&throttle, v4(1), "d", now), 4);
        let entries = locked(&throttle.entries);
        assert_eq!((entries.all.len(), entries.places.len()), (MAX, MAX));
        assert!(entries.places.iter().all(|(key, at)| entries.all[*at].key == *key));
    }

    #[test]
    fn whoever_is_held_off_looks_into_the_memory_slowly() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        fail(&throttle, 12, (v4(1), "d"), now);
        let looks = |now| {
            let may = || matches!(throttle.standing(v4(1), "d", now), Standing::HeldOff { look: true, .. });
            (0..100).filter(|_| may()).count()
        };
        assert_eq!(looks(now), 5);
        assert_eq!(looks(now + Duration::from_millis(900)), 0);
        assert_eq!(looks(now + Duration::from_secs(1)), 1);
        assert_eq!(looks(now + Duration::from_secs(30)), 5);
    }

    #[test]
    fn who_was_right_at_an_address_is_looked_up_there_whatever_others_do() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.succeeded(v4(1), "neighbour");
        for number in 0..40 {
            throttle.failed(v4(1), &format!("guess{number}"), now);
        }
        let look = |name: &str, now| match throttle.standing(v4(1), name, now) {
            Standing::HeldOff { look, .. } => look,
            Standing::Free => panic!("{name} is held off"),
        };
        // Somebody behind the same router, or on it, goes on for ever.
        let others = (0..100).filter(|number| look(&format!("name{number}"), now)).count();
        assert_eq!(others, 5, "all who are strange there share the looks");
        let own = (0..100).filter(|_| look("neighbour", now)).count();
        assert_eq!(own, 5, "and who is not has its own, and no more of them than others");
        let later = now + Duration::from_secs(1);
        while look("guess1", later) {}
        assert!(look("neighbour", later) && !look("neighbour", later));
    }

    #[test]
    fn failures_are_forgotten_in_time() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        fail(&throttle, 6, (v4(1), "d"), now);
        let later = now + Duration::from_secs(3 * 300);
        fail(&throttle, 1, (v4(1), "d"), later);
        assert_eq!(
            left(&throttle, v4(1), "d", later),
            0,
            "three of six are forgotten, and the next is the fourth"
        );
    }
}
