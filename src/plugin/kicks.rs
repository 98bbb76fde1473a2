//! Names whose connections are to be closed at the next tick (2.0 only; 2.1 closes what is refused).

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::locked;

/// Names and client ids that are remembered at most.
const MAX: usize = 100_000;

/// COMPAT: up to 2.0.22 refusing an offline session with an expiry corrupts the broker's memory (mosquitto issues
/// 3341 and 3418), and 2.0 cannot tell which sessions are offline. So a session that is welcome no longer is kept,
/// and whoever is connected under its name is kicked, once: a session that is refused again without having been
/// admitted in between was away, and those who are connected under its name are welcome.
#[derive(Default)]
pub(super) struct Kicks {
    names: Mutex<Vec<String>>,
    /// Client ids of sessions that were refused, until a client is admitted with that id.
    stale: Mutex<HashSet<Box<str>, foldhash::fast::RandomState>>,
    /// Whether `stale` has any: log-ins need not lock it otherwise.
    any_stale: AtomicBool,
}

impl Kicks {
    /// The session of this client id is welcome no longer.
    pub(super) fn end(&self, client_id: &str, name: &str) {
        let mut stale = locked(&self.stale);
        if stale.contains(client_id) {
            return;
        }
        if stale.len() < MAX {
            stale.insert(client_id.into());
            self.any_stale.store(true, Ordering::Release);
        }
        drop(stale);
        let mut names = locked(&self.names);
        if names.len() < MAX && names.last().is_none_or(|last| last != name) {
            names.push(name.to_owned());
        }
    }

    /// A client is admitted with this id: the session is its own from now on.
    pub(super) fn admitted(&self, client_id: &str) {
        if self.any_stale.load(Ordering::Acquire) {
            let mut stale = locked(&self.stale);
            stale.remove(client_id);
            self.any_stale.store(!stale.is_empty(), Ordering::Release);
        }
    }

    /// Takes the names out; whoever kicks holds no lock.
    pub(super) fn due(&self) -> Vec<String> {
        match self.names.try_lock() {
            Ok(mut names) if !names.is_empty() => std::mem::take(&mut *names),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_stays_away_kicks_its_device_once() {
        let kicks = Kicks::default();
        kicks.end("app-1", "phone");
        assert_eq!(kicks.due(), ["phone"]);
        kicks.end("app-1", "phone");
        assert!(kicks.due().is_empty(), "it was away since");
        kicks.end("app-2", "phone");
        assert_eq!(kicks.due(), ["phone"], "another session may be connected");
        kicks.admitted("app-1");
        kicks.end("app-1", "phone");
        assert_eq!(kicks.due(), ["phone"], "it was here since");
    }
}
