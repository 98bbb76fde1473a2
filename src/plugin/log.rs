//! Lines for the broker's log: few enough, whoever asks for them, and none that says something false of somebody.

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    event::{Host, Level, Peer},
    locked,
};
use crate::diag::Visible;

/// Refusals of one place and kind that are logged one by one in a minute; the rest is counted.
const SINGLE_LINES: u32 = 10;

/// Refusals of all places together that are logged one by one in a minute.
const ALL_LINES: u32 = 300;

/// Places that are counted at a time. Beyond it the one that was quiet longest makes room.
const PLACES: usize = 256;

/// Lines that wait for the main thread to write them.
const WAITING: usize = 64;

const MINUTE: Duration = Duration::from_secs(60);

/// What was refused: each kind has lines of its own, so that many of one kind hide none of the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A connection.
    LogIn,
    /// A publish or a subscription.
    Access,
}

/// The log and what it remembers of the last minute.
#[derive(Default)]
pub(super) struct Log {
    counts: Mutex<Counts>,
    waiting: Mutex<Vec<(Level, String)>>,
    /// Whether the tick has anything to do here: its common case is this one load.
    pending: AtomicBool,
}

#[derive(Default)]
struct Counts {
    places: Vec<Place>,
    /// When the minute of the two below began.
    since: Option<Instant>,
    /// Single lines in it.
    lines: u32,
    /// Refusals in it that no place remembers any more.
    forgotten: u64,
}

struct Place {
    kind: Refusal,
    peer: Peer,
    since: Instant,
    last: Instant,
    refusals: u32,
    lines: u32,
}

impl Log {
    /// Writes `citronella: TEXT`, now or, from another thread, at the next tick.
    pub(super) fn write(&self, host: &dyn Host, level: Level, text: &str) {
        let line = format!("citronella: {}", Visible(text));
        if host.on_main_thread() {
            host.write(level, &line);
            return;
        }
        let mut waiting = locked(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push((level, line));
        }
        self.pending.store(true, Ordering::Release);
    }

    /// Logs a refusal as `citronella: PEER: TEXT`, unless there were enough this minute. `text` is made only if it
    /// is used.
    pub(super) fn refusal(
        &self,
        host: &dyn Host,
        (kind, peer): (Refusal, Peer),
        text: impl FnOnce() -> String,
    ) {
        if self.count(kind, peer, Instant::now()) {
            self.write(host, Level::Notice, &format!("{peer}: {}", text()));
        }
    }

    /// Counts a refusal; whether it gets a line of its own.
    fn count(&self, kind: Refusal, peer: Peer, now: Instant) -> bool {
        let peer = neighbourhood(peer);
        let mut counts = locked(&self.counts);
        if counts.since.is_none_or(|since| now.duration_since(since) >= MINUTE) {
            // Without ticks (2.0.11 with per_listener_settings) nobody else forgets.
            (counts.since, counts.lines) = (Some(now), 0);
            counts.places.retain(|place| now.duration_since(place.since) < 2 * MINUTE);
        }
        let spoken = counts.lines < ALL_LINES;
        let place = counts.place(kind, peer, now);
        place.last = now;
        place.refusals = place.refusals.saturating_add(1);
        let says = spoken && place.refusals <= SINGLE_LINES;
        if says {
            place.lines += 1;
            counts.lines += 1;
        } else {
            self.pending.store(true, Ordering::Release);
        }
        says
    }

    /// Writes what waits, and sums up the minutes that are over.
    pub(super) fn tick(&self, host: &dyn Host) {
        if self.pending.load(Ordering::Acquire) {
            for (level, line) in self.due(Instant::now()) {
                host.write(level, &line);
            }
        }
    }

    /// The lines to write now, taken out under the locks and written without them.
    fn due(&self, now: Instant) -> Vec<(Level, String)> {
        let mut lines = std::mem::take(&mut *locked(&self.waiting));
        let mut counts = locked(&self.counts);
        let mut say = |text: String| lines.push((Level::Notice, format!("citronella: {text}")));
        counts.places.retain(|place| {
            let over = now.duration_since(place.since) >= MINUTE;
            if over && place.unsaid() > 0 {
                say(format!("{}: {} more refusals in a minute", place.peer, place.unsaid()));
            }
            !over
        });
        if counts.since.is_some_and(|since| now.duration_since(since) >= MINUTE) {
            let forgotten = std::mem::take(&mut counts.forgotten);
            if forgotten > 0 {
                say(format!("{forgotten} more refusals of many addresses in a minute"));
            }
        }
        let more_to_come = counts.forgotten > 0 || counts.places.iter().any(|place| place.unsaid() > 0);
        self.pending.store(more_to_come, Ordering::Release);
        lines
    }
}

impl Counts {
    fn place(&mut self, kind: Refusal, peer: Peer, now: Instant) -> &mut Place {
        let known = self.places.iter().position(|place| (place.kind, place.peer) == (kind, peer));
        let at = known.unwrap_or_else(|| {
            if self.places.len() >= PLACES {
                let quiet = self.places.iter().enumerate().min_by_key(|(_, place)| place.last);
                let quiet = quiet.map_or(0, |(at, _)| at);
                let gone = self.places.swap_remove(quiet);
                self.forgotten += u64::from(gone.unsaid());
            }
            self.places.push(Place { kind, peer, since: now, last: now, refusals: 0, lines: 0 });
            self.places.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just now")]
        &mut self.places[at]
    }
}

impl Place {
    fn unsaid(&self) -> u32 {
        self.refusals - self.lines
    }
}

/// Whoever has one IPv6 address has the 2^64 around it (RFC 4291 section 2.5.4): they count as one.
fn neighbourhood(peer: Peer) -> Peer {
    let network = |address: IpAddr| match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        IpAddr::V4(_) => address,
    };
    match peer {
        Peer::Address(address) => Peer::Address(network(address)),
        Peer::Websocket(claimed) => Peer::Websocket(claimed.map(network)),
        Peer::Unknown => Peer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(number: u32) -> Peer {
        Peer::Address(IpAddr::V4(Ipv4Addr::from(number)))
    }

    fn said(log: &Log, peers: impl Iterator<Item = Peer>, now: Instant) -> usize {
        peers.filter(|peer| log.count(Refusal::LogIn, *peer, now)).count()
    }

    #[test]
    fn ten_lines_an_address_and_minute_then_a_sum() {
        let (log, start) = (Log::default(), Instant::now());
        assert_eq!(said(&log, (0..31).map(|_| v4(1)), start), 10);
        assert!(log.count(Refusal::LogIn, v4(2), start), "another address has lines of its own");
        assert!(log.count(Refusal::Access, v4(1), start), "and so has what was admitted");

        assert!(log.due(start + MINUTE / 2).is_empty(), "the minute is not over");
        let sum = (Level::Notice, "citronella: 0.0.0.1: 21 more refusals in a minute".to_owned());
        assert_eq!(log.due(start + MINUTE), [sum]);
        assert!(log.due(start + MINUTE).is_empty(), "said once");
        assert!(log.count(Refusal::LogIn, v4(1), start + MINUTE), "and a new minute begins");
    }

    #[test]
    fn whoever_has_many_addresses_gets_few_lines_too() {
        let (log, start) = (Log::default(), Instant::now());
        let network = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0));
        let neighbours = (0..20_000_u128).map(|host| Peer::Address(IpAddr::V6((network + host).into())));
        assert_eq!(said(&log, neighbours, start), 10);

        let (log, many) = (Log::default(), 20_000);
        assert_eq!(said(&log, (0..many).map(v4), start), 300);
        assert_eq!(locked(&log.counts).places.len(), PLACES);
        let lines = log.due(start + MINUTE);
        let told: u64 = lines
            .iter()
            .filter_map(|(_, line)| line.split(' ').find_map(|word| word.parse::<u64>().ok()))
            .sum();
        assert_eq!(told, u64::from(many) - 300, "nobody is left out of the sums");
    }

    #[test]
    fn the_busiest_is_not_forgotten_for_the_sake_of_many() {
        let (log, start) = (Log::default(), Instant::now());
        let of_one = (0..6_000).filter(|number| {
            let peer = if number % 2 == 0 { v4(1) } else { v4(1_000 + number) };
            let now = start + Duration::from_micros(u64::from(*number));
            log.count(Refusal::LogIn, peer, now) && peer == v4(1)
        });
        assert_eq!(of_one.count(), 10);
    }
}
