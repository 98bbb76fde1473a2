//! How much is said of each place: a few things of one kind one by one, and of the rest the number.

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{event::Peer, locked};

/// Places that are counted at a time. Beyond it the one that was quiet longest makes room.
const PLACES: usize = 256;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// What is said one by one in a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    /// Of one place and kind.
    pub(super) each: u32,
    /// Of all places together.
    pub(super) all: u32,
}

/// What was said in the last minute, and what was not. Each kind counts by itself, so that many of one kind hide none
/// of the other.
pub(super) struct Limit<K> {
    quota: Quota,
    counts: Mutex<Counts<K>>,
    /// Whether something was not said: the common case of the tick is this one load.
    pending: AtomicBool,
}

/// So many were not said one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sum<K> {
    /// Of whom; `None` for places that there were too many of.
    pub(super) place: Option<(K, Peer)>,
    pub(super) unsaid: u64,
}

struct Counts<K> {
    places: Vec<Tally<K>>,
    /// When the minute of the two below began.
    since: Option<Instant>,
    /// What was said in it.
    said: u32,
    /// What was not said in it of places that are not remembered any more.
    forgotten: u64,
}

struct Tally<K> {
    kind: K,
    peer: Peer,
    since: Instant,
    last: Instant,
    happened: u32,
    said: u32,
}

impl<K: Copy + PartialEq> Limit<K> {
    pub(super) fn new(quota: Quota) -> Self {
        let counts = Counts { places: Vec::new(), since: None, said: 0, forgotten: 0 };
        Self { quota, counts: Mutex::new(counts), pending: AtomicBool::new(false) }
    }

    /// It happened once more; whether it is to be said.
    pub(super) fn count(&self, kind: K, peer: Peer, now: Instant) -> bool {
        let mut counts = locked(&self.counts);
        counts.begin(now);
        let some_left = counts.said < self.quota.all;
        let place = counts.place(kind, neighbourhood(peer), now);
        place.last = now;
        place.happened = place.happened.saturating_add(1);
        let says = some_left && place.said < self.quota.each;
        if says {
            place.said += 1;
            counts.said += 1;
        } else {
            self.pending.store(true, Ordering::Release);
        }
        says
    }

    /// It happened so many times more, and is not said.
    pub(super) fn count_unsaid(&self, (kind, peer): (K, Peer), times: u32, now: Instant) {
        let mut counts = locked(&self.counts);
        counts.begin(now);
        let place = counts.place(kind, neighbourhood(peer), now);
        place.last = now;
        place.happened = place.happened.saturating_add(times);
        self.pending.store(true, Ordering::Release);
    }

    /// Whether there is something to sum up, now or later.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// The sums of the minutes that are over, each once.
    pub(super) fn due(&self, now: Instant) -> Vec<Sum<K>> {
        let mut sums = Vec::new();
        let mut counts = locked(&self.counts);
        counts.places.retain(|place| {
            let over = now.duration_since(place.since) >= MINUTE;
            if over && place.unsaid() > 0 {
                sums.push(Sum { place: Some((place.kind, place.peer)), unsaid: place.unsaid().into() });
            }
            !over
        });
        if counts.since.is_some_and(|since| now.duration_since(since) >= MINUTE) {
            let forgotten = std::mem::take(&mut counts.forgotten);
            if forgotten > 0 {
                sums.push(Sum { place: None, unsaid: forgotten });
            }
        }
        let more_to_come = counts.forgotten > 0 || counts.places.iter().any(|place| place.unsaid() > 0);
        self.pending.store(more_to_come, Ordering::Release);
        sums
    }
}

impl<K: Copy + PartialEq> Counts<K> {
    /// Begins another minute if one is over.
    fn begin(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
            // Without ticks (2.0.11 with per_listener_settings) nobody else forgets.
            (self.since, self.said) = (Some(now), 0);
            self.places.retain(|place| now.duration_since(place.since) < 2 * MINUTE);
        }
    }

    fn place(&mut self, kind: K, peer: Peer, now: Instant) -> &mut Tally<K> {
        let known = self.places.iter().position(|place| (place.kind, place.peer) == (kind, peer));
        let at = known.unwrap_or_else(|| {
            if self.places.len() >= PLACES {
                let quiet = self.places.iter().enumerate().min_by_key(|(_, place)| place.last);
                let quiet = quiet.map_or(0, |(at, _)| at);
                let gone = self.places.swap_remove(quiet);
                self.forgotten += u64::from(gone.unsaid());
            }
            self.places.push(Tally { kind, peer, since: now, last: now, happened: 0, said: 0 });
            self.places.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.places[at]
    }
}

impl<K> Tally<K> {
    fn unsaid(&self) -> u32 {
        self.happened - self.said
    }
}

/// Whoever has one IPv6 address has the 2^64 around it (RFC 4291 section 2.5.4): they count as one.
pub(super) fn neighbourhood(peer: Peer) -> Peer {
    let network = |address: IpAddr| match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        IpAddr::V4(_) => address,
    };
    match peer {
        Peer::Address(address) => Peer::Address(network(address)),
        Peer::Websocket(claimed) => Peer::Websocket(claimed.map(network)),
        Peer::Http | Peer::Unknown => peer,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(number: u32) -> Peer {
        Peer::Address(IpAddr::V4(Ipv4Addr::from(number)))
    }

    const QUOTA: Quota = Quota { each: 10, all: 300 };

    fn limit() -> (Limit<u8>, Instant) {
        (Limit::new(QUOTA), Instant::now())
    }

    fn said(limit: &Limit<u8>, peers: impl Iterator<Item = Peer>, now: Instant) -> usize {
        peers.filter(|peer| limit.count(1, *peer, now)).count()
    }

    #[test]
    fn ten_of_an_address_and_minute_then_a_sum() {
        let (limit, start) = limit();
        assert_eq!(said(&limit, (0..31).map(|_| v4(1)), start), 10);
        assert!(limit.count(1, v4(2), start), "another address counts by itself");
        assert!(limit.count(2, v4(1), start), "and so does another kind");

        assert!(limit.due(start + MINUTE / 2).is_empty(), "the minute is not over");
        assert_eq!(limit.due(start + MINUTE), [Sum { place: Some((1, v4(1))), unsaid: 21 }]);
        assert!(limit.due(start + MINUTE).is_empty(), "said once");
        assert!(limit.count(1, v4(1), start + MINUTE), "and a new minute begins");
    }

    #[test]
    fn what_was_counted_elsewhere_is_in_the_sum_and_takes_nobodys_lines() {
        let (limit, start) = limit();
        limit.count_unsaid((1, v4(1)), 64, start);
        assert!(limit.is_pending());
        assert_eq!(said(&limit, (0..31).map(|_| v4(1)), start), 10);
        assert_eq!(limit.due(start + MINUTE), [Sum { place: Some((1, v4(1))), unsaid: 64 + 21 }]);
    }

    #[test]
    fn whoever_has_many_addresses_is_one_too() {
        let (limit, start) = limit();
        let network = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0));
        let neighbours = (0..20_000_u128).map(|host| Peer::Address(IpAddr::V6((network + host).into())));
        assert_eq!(said(&limit, neighbours, start), 10);

        let (limit, many) = (Limit::<u8>::new(QUOTA), 20_000);
        assert_eq!(said(&limit, (0..many).map(v4), start), 300);
        assert_eq!(locked(&limit.counts).places.len(), PLACES);
        let told: u64 = limit.due(start + MINUTE).iter().map(|sum| sum.unsaid).sum();
        assert_eq!(told, u64::from(many) - 300, "nobody is left out of the sums");
    }

    #[test]
    fn the_busiest_is_not_forgotten_for_the_sake_of_many() {
        let (limit, start) = limit();
        let of_one = (0..6_000).filter(|number| {
            let peer = if number % 2 == 0 { v4(1) } else { v4(1_000 + number) };
            let now = start + Duration::from_micros(u64::from(*number));
            limit.count(1, peer, now) && peer == v4(1)
        });
        assert_eq!(of_one.count(), 10);
    }
}
