//! Whom a change locks out, once it is in force.

use std::{fmt, mem, sync::Arc};

use super::World;
use crate::{
    clock::UnixSeconds,
    ident::ANONYMOUS,
    snapshot::{Loss, Snapshot},
};

/// Snapshots that are kept to be compared, at most: more than one waits only if comparing fails.
const MOST: usize = 8;

/// What was in force before, and is still to be compared with what is. It stays here until that was done to its end:
/// nobody stays connected because something went wrong on the way.
#[derive(Default)]
pub(super) struct Lost {
    before: Vec<Arc<Snapshot>>,
    /// Who was found to be locked out, and not told to the loop yet. Their sessions are not known any more.
    ended: Vec<String>,
    /// A device that makes the first comparison of a debug build panic, so that tests can see that.
    #[cfg(debug_assertions)]
    fault: Option<String>,
}

/// How many devices lost something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Found {
    /// Locked out.
    pub(super) ended: usize,
    /// With fewer rights.
    pub(super) shrunk: usize,
}

impl fmt::Display for Found {
    /// As the end of a line; nothing for nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ended > 0 {
            write!(f, "; {} device(s) locked out", self.ended)?;
        }
        if self.shrunk > 0 {
            write!(f, "; {} device(s) with fewer rights", self.shrunk)?;
        }
        Ok(())
    }
}

impl Lost {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(debug_assertions)]
            fault: std::env::var("CITRONELLA_FAULT_DEVICE").ok(),
            ..Self::default()
        }
    }

    /// What is in force now is going to be replaced.
    pub(super) fn replaced(&mut self, old: &Arc<Snapshot>) {
        if self.before.len() < MOST {
            self.before.push(Arc::clone(old));
        }
    }

    /// Whether somebody may have lost something, and nobody has looked.
    pub(super) fn is_open(&self) -> bool {
        !self.before.is_empty() || !self.ended.is_empty()
    }

    /// Has the sessions ended of those whom `new`, which is in force, does not admit any more. Whoever was being admitted
    /// by what was before is asked about `new` too; see [`Sessions::admit`](super::Sessions::admit).
    pub(super) fn end(&mut self, world: &World, new: &Snapshot) -> Found {
        let World { sessions, kicks, .. } = world;
        let now = UnixSeconds::now();
        let mut found = Found { ended: self.ended.len(), shrunk: 0 };
        kicks.end(mem::take(&mut self.ended));
        let mut paced = Vec::new();
        for old in &self.before {
            let anonymous = (ANONYMOUS, old.anonymous_loss(new));
            for (name, Loss { device, credentials, rights }) in old.losses(new).chain([anonymous]) {
                #[cfg(debug_assertions)]
                fault(&mut self.fault, name);
                if device && sessions.has(name) || credentials && sessions.has_lost(new, name, now) {
                    self.ended.push(name.to_owned());
                    sessions.forget(name);
                } else if rights && sessions.has(name) {
                    paced.push(name.to_owned());
                }
            }
            if old.settings().on_expiry != new.settings().on_expiry {
                sessions.expires(Some(now));
            }
        }
        found.ended += self.ended.len();
        found.shrunk = paced.len();
        kicks.pace(new.settings().kick_rate, paced);
        kicks.end(mem::take(&mut self.ended));
        self.before.clear();
        found
    }
}

/// Panics once for the device that the test chose.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "that is its purpose, and release builds do not have it")]
fn fault(chosen: &mut Option<String>, name: &str) {
    if chosen.as_deref() == Some(name) {
        *chosen = None;
        panic!("the fault that was asked for");
    }
}
