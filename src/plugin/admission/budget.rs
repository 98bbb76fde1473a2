//! How much of the loop's time may go into hashing, and whose hashes it is spent on.
//!
//! Where a password cannot wait for another thread, the broker stands still while its hash is computed. The time for
//! that is a part of each second. It is shared among the addresses that ask for it, and those that brought a right
//! password before go first.

use std::{
    collections::HashMap,
    hash::RandomState,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    super::{event::Peer, limit::neighbourhood, locked},
    recent::Recent,
};

/// Addresses that are remembered for having brought a right password.
const KNOWN: usize = 10_000;

/// Addresses that share a second.
const SHARERS: usize = 10_000;

/// What part of the share may be spent without a pause: a thousand clients who come at once have their hashes in one turn
/// of the loop, and whoever is connected waits for its end.
const BURST: i128 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// The time that is left for hashing.
pub(super) struct Budget(Mutex<State>);

struct State {
    /// What may be spent now, in nanoseconds; below zero after a hash that took longer.
    left: i128,
    filled: Instant,
    /// When the second began that is shared.
    since: Instant,
    /// By address, what each has had of it.
    spent: HashMap<Option<IpAddr>, Duration, RandomState>,
    /// How many asked in the second before.
    sharers_before: usize,
    known: Recent<IpAddr, ()>,
}

impl Budget {
    /// Nothing spent yet.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            left: i128::MAX,
            filled: now,
            since: now,
            spent: HashMap::default(),
            sharers_before: 0,
            known: Recent::new(KNOWN),
        }))
    }

    /// Whether a hash may be computed for this client now, of `share` in each second.
    pub(super) fn may_spend(&self, share: Duration, peer: Peer, now: Instant) -> bool {
        let mut state = locked(&self.0);
        state.fill(share, now);
        let whose = whose(peer);
        let known = whose.is_some_and(|address| state.known.get(&address).is_some());
        // Nobody waits longer than this for hashes that came together.
        let most = nanoseconds(share) / BURST;
        // Strangers leave half of it to those who are known.
        let least = if known { 0 } else { most / 2 };
        if !state.spent.contains_key(&whose) && state.spent.len() >= SHARERS {
            return known && state.left > least;
        }
        let sharers = state.spent.len().max(state.sharers_before).max(1);
        let own = *state.spent.entry(whose).or_default();
        let fair = share / u32::try_from(sharers).unwrap_or(u32::MAX);
        state.left > least && (own.is_zero() || own < fair)
    }

    /// A hash was computed for this client and took so long.
    pub(super) fn spend(&self, peer: Peer, took: Duration) {
        let mut state = locked(&self.0);
        state.left -= nanoseconds(took);
        if let Some(own) = state.spent.get_mut(&whose(peer)) {
            *own += took;
        }
    }

    /// Whether this address brought a right password before.
    pub(super) fn knows(&self, peer: Peer) -> bool {
        whose(peer).is_some_and(|address| locked(&self.0).known.get(&address).is_some())
    }

    /// This client brought a right password.
    pub(super) fn succeeded(&self, peer: Peer) {
        if let Some(address) = whose(peer) {
            locked(&self.0).known.insert(address, ());
        }
    }
}

impl State {
    fn fill(&mut self, share: Duration, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled).min(SECOND);
        let gained = nanoseconds(elapsed) * nanoseconds(share) / nanoseconds(SECOND);
        self.left = self.left.saturating_add(gained).min(nanoseconds(share) / BURST);
        self.filled = now;
        let shared = now.saturating_duration_since(self.since);
        if shared >= SECOND {
            self.sharers_before = if shared < 2 * SECOND { self.spent.len() } else { 0 };
            self.spent.clear();
            self.since = now;
        }
    }
}

/// Whose share it is. Websockets of 2.0 say what address they like, so all of them have one share, together with
/// those that have none.
fn whose(peer: Peer) -> Option<IpAddr> {
    match neighbourhood(peer) {
        Peer::Address(network) => Some(network),
        Peer::Websocket(_) | Peer::Http | Peer::Unknown => None,
    }
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SHARE: Duration = Duration::from_millis(200);
    const HASH: Duration = Duration::from_millis(1);

    fn v4(number: u32) -> Peer {
        Peer::Address(Ipv4Addr::from(number).into())
    }

    fn attempts(budget: &Budget, peer: Peer, times: u32, now: Instant) -> u32 {
        let attempt = |_: &u32| {
            let may = budget.may_spend(SHARE, peer, now);
            if may {
                budget.spend(peer, HASH);
            }
            may
        };
        u32::try_from((0..times).filter(attempt).count()).unwrap()
    }

    /// What each of these peers gets in ten seconds of asking in turn, a hundred times a second.
    fn share_out(budget: &Budget, peers: &[Peer], start: Instant) -> Vec<u32> {
        let mut got = vec![0; peers.len()];
        for moment in 0..1_000 {
            let now = start + Duration::from_millis(10 * moment);
            for (got, peer) in got.iter_mut().zip(peers) {
                *got += attempts(budget, *peer, 10, now);
            }
        }
        got
    }

    #[test]
    fn one_who_is_alone_gets_all_of_it() {
        let (budget, now) = (Budget::new(Instant::now()), Instant::now());
        assert_eq!(attempts(&budget, v4(1), 100, now), 5, "half of what may be spent at once");
        let [got] = share_out(&budget, &[v4(1)], now + SECOND)[..] else { panic!() };
        assert!((1_900..=2_010).contains(&got), "{got} of 2,000");
    }

    #[test]
    fn whoever_asks_most_gets_no_more_than_the_others() {
        let (budget, now) = (Budget::new(Instant::now()), Instant::now());
        let greedy: Vec<Peer> = [v4(1); 7].into_iter().chain([v4(2), v4(3), v4(4)]).collect();
        let got = share_out(&budget, &greedy, now);
        let of_one: u32 = got[..7].iter().sum();
        assert!(of_one <= 700 && got[7..].iter().all(|got| *got >= 300), "{got:?} of 2,000");
    }

    #[test]
    fn who_was_right_before_goes_first() {
        let (budget, now) = (Budget::new(Instant::now()), Instant::now());
        budget.succeeded(v4(2));
        for stranger in 1_000..1_100 {
            attempts(&budget, v4(stranger), 10, now);
        }
        assert!(attempts(&budget, v4(2), 10, now) >= 2);
        // However many strangers there are.
        for stranger in 0..20_000 {
            budget.may_spend(SHARE, v4(stranger), now + SECOND);
        }
        assert_eq!(attempts(&budget, v4(99_999), 1, now + SECOND), 0);
        assert!(attempts(&budget, v4(2), 1, now + SECOND) == 1);
    }

    #[test]
    fn a_hash_longer_than_the_budget_is_paid_for_afterwards() {
        let (budget, now) = (Budget::new(Instant::now()), Instant::now());
        assert!(budget.may_spend(SHARE, v4(1), now));
        budget.spend(v4(1), SECOND);
        assert!(!budget.may_spend(SHARE, v4(2), now + SECOND));
        assert!(!budget.may_spend(SHARE, v4(2), now + 2 * SECOND));
        let paid = (2..8).map(|second| budget.may_spend(SHARE, v4(2), now + second * SECOND));
        assert_eq!(paid.filter(|may| *may).count(), 3, "200 ms come back in a second");
        assert!(!budget.may_spend(Duration::ZERO, v4(3), now + 60 * SECOND), "a budget of nothing");
    }

    #[test]
    fn websockets_that_say_what_they_like_have_one_share() {
        let (budget, now) = (Budget::new(Instant::now()), Instant::now());
        let claim = |number: u32| Peer::Websocket(Some(Ipv4Addr::from(number).into()));
        budget.succeeded(claim(1));
        let got = share_out(&budget, &[claim(1), claim(2), claim(3), claim(4), v4(1)], now);
        assert!(got[4] >= 900 && got[..4].iter().sum::<u32>() <= 1_100, "{got:?}");
    }
}
