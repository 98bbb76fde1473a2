//! What admitted the sessions of each device, so that a change or an expiry ends those that it concerns and no others.
//!
//! No broker of 2.0 can list its sessions; all of them, in every broker, were admitted through us since our start or
//! are offline. So it is enough to remember, for each device, the few different credentials that it came with. There
//! are no more entries than devices, and they go when the device's sessions are ended.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{Plugin, locked, watch};
use crate::{
    clock::UnixSeconds,
    login::{self, Login, Read, Shown},
    password::PasswordHash,
    snapshot::Snapshot,
};

/// Parts of the table with a lock each: whoever goes through all of it keeps nobody waiting for long.
const PARTS: usize = 64;

/// Different credentials that are kept for a device. What comes beyond is known to be something else.
const KEPT: usize = 4;

/// The table.
pub(super) struct Sessions {
    parts: [Mutex<HashMap<Box<str>, Admitted, foldhash::fast::RandomState>>; PARTS],
    hasher: foldhash::quality::RandomState,
    /// No certificate of the table ends before this second.
    next_expiry: AtomicI64,
}

#[derive(Default)]
struct Admitted {
    shown: Vec<Shown>,
    /// There were more than are kept.
    more: bool,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            hasher: foldhash::quality::RandomState::default(),
            next_expiry: AtomicI64::new(i64::MAX),
        }
    }
}

impl Sessions {
    /// What a client shows that is being admitted under this name.
    pub(super) fn shown(&self, snapshot: &Snapshot, name: &str, (login, read): (&Login<'_>, &Read)) -> Shown {
        let certificate = read.as_ref().ok().and_then(Option::as_ref);
        let hash = snapshot.device(name).and_then(|device| device.password());
        Shown {
            certificate: certificate.map(|certificate| (certificate.fingerprint, certificate.not_after)),
            password: login.password.and(hash).map(|hash| self.mark(hash)),
        }
    }

    /// A client is admitted. Whether it would be by what is in force by now too: who asks about a change after it is in
    /// force finds every client here that was not asked about it.
    pub(super) fn admit(&self, in_force: impl FnOnce() -> bool, (name, shown): (&str, Shown)) -> bool {
        let mut part = locked(self.part(name));
        if let Some(known) = part.get_mut(name) {
            if !known.shown.contains(&shown) {
                if known.shown.len() < KEPT {
                    known.shown.push(shown);
                } else {
                    known.more = true;
                    // What is left out ends, by its own date, after all that is kept.
                    let end = |shown: &Shown| shown.certificate.map_or(i64::MAX, |(_, end)| end.0);
                    if let Some(last) = known.shown.iter_mut().max_by_key(|shown| end(shown))
                        && end(&shown) < end(last)
                    {
                        *last = shown;
                    }
                }
            }
        } else {
            part.insert(name.into(), Admitted { shown: vec![shown], more: false });
        }
        drop(part);
        in_force()
    }

    /// When a certificate of the table may end next.
    pub(super) fn expires(&self, at: Option<UnixSeconds>) {
        if let Some(UnixSeconds(at)) = at {
            self.next_expiry.fetch_min(at, Ordering::AcqRel);
        }
    }

    /// The first second in which nothing of the table may be good any more.
    pub(super) fn next_expiry(&self) -> UnixSeconds {
        UnixSeconds(self.next_expiry.load(Ordering::Acquire).saturating_add(1))
    }

    /// Whether a session of this name was admitted that would not be now.
    pub(super) fn has_lost(&self, snapshot: &Snapshot, name: &str, now: UnixSeconds) -> bool {
        let part = locked(self.part(name));
        let Some(admitted) = part.get(name) else { return false };
        let expiries = admitted.shown.iter().filter_map(|shown| login::expiry(snapshot, (name, shown)));
        self.expires(expiries.min());
        admitted.more || admitted.shown.iter().any(|shown| !self.holds(snapshot, (name, shown), now))
    }

    /// Whether a session of this name was admitted.
    pub(super) fn has(&self, name: &str) -> bool {
        locked(self.part(name)).contains_key(name)
    }

    /// The sessions of this name are ended.
    pub(super) fn forget(&self, name: &str) {
        locked(self.part(name)).remove(name);
    }

    /// The names of those whose certificate has ended, by now forgotten.
    pub(super) fn expired(&self, snapshot: &Snapshot, now: UnixSeconds) -> Vec<String> {
        self.next_expiry.store(i64::MAX, Ordering::Release);
        let mut names = Vec::new();
        for part in &self.parts {
            let mut next = None::<UnixSeconds>;
            locked(part).retain(|name, admitted| {
                let lasts = admitted.shown.iter().filter_map(|shown| login::expiry(snapshot, (name, shown)));
                let Some(last) = lasts.min() else { return true };
                if now > last {
                    names.push(name.as_ref().to_owned());
                    return false;
                }
                next = Some(next.map_or(last, |next| next.min(last)));
                true
            });
            self.expires(next);
        }
        names
    }

    /// Whether what was shown is good still.
    pub(super) fn holds(&self, snapshot: &Snapshot, who: (&str, &Shown), now: UnixSeconds) -> bool {
        login::still_holds(snapshot, who, now, |hash| self.mark(hash))
    }

    fn mark(&self, hash: &PasswordHash) -> u64 {
        self.hasher.hash_one(hash)
    }

    fn part(&self, name: &str) -> &Mutex<HashMap<Box<str>, Admitted, foldhash::fast::RandomState>> {
        let at =
            usize::try_from(self.hasher.hash_one(name) & u64::from(u16::MAX)).unwrap_or_default() % PARTS;
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length")]
        &self.parts[at]
    }
}

impl Plugin {
    /// Notes what admits a client; whether what is in force by now admits it too, should it have changed meanwhile.
    pub(super) fn enter(&self, judged_by: &Snapshot, name: &str, (login, read): (&Login<'_>, &Read)) -> bool {
        let shown = self.sessions.shown(judged_by, name, (login, read));
        let still = || {
            let in_force = self.snapshot.load();
            std::ptr::eq(&raw const **in_force, judged_by)
                || self.sessions.holds(&in_force, (name, &shown), login.now)
        };
        let entered = self.sessions.admit(still, (name, shown));
        let expiry = login::expiry(judged_by, (name, &shown));
        self.sessions.expires(expiry);
        if expiry.is_some_and(|last| is_near(last, login.now)) {
            self.watcher.wake();
        }
        entered
    }
}

/// Whether the thread that ends sessions may sleep past it.
fn is_near(last: UnixSeconds, now: UnixSeconds) -> bool {
    let seconds = u64::try_from(last.0.saturating_sub(now.0)).unwrap_or_default();
    seconds <= watch::DOZE.as_secs()
}

#[cfg(test)]
mod tests;
