//! Whose session a client id stands for, as far as this process has seen. COMPAT: Mosquitto 2.0, which cannot be asked.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex},
};

use super::{super::locked, recent::Recent};

/// Client ids that are remembered.
const MAX: usize = 100_000;

/// Client ids and the names of those who were admitted with them last.
pub(super) struct Owners {
    secrets: [RandomState; 2],
    /// By 128 bits of the id, which can be 64 KiB long and is its sender's choice.
    names: Mutex<Recent<[u64; 2], Arc<str>>>,
}

impl Default for Owners {
    fn default() -> Self {
        Self { secrets: Default::default(), names: Mutex::new(Recent::new(MAX)) }
    }
}

impl Owners {
    /// Who was admitted with this id last.
    pub(super) fn owner(&self, client_id: &str) -> Option<Arc<str>> {
        locked(&self.names).get(&self.key(client_id)).cloned()
    }

    /// This device was admitted with this id.
    pub(super) fn admitted(&self, client_id: &str, name: &str) {
        locked(&self.names).insert(self.key(client_id), name.into());
    }

    fn key(&self, client_id: &str) -> [u64; 2] {
        self.secrets.each_ref().map(|secret| secret.hash_one(client_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_admitted_has_the_id_until_it_is_forgotten() {
        let owners = Owners::default();
        owners.admitted("c", "a");
        assert_eq!(owners.owner("c").as_deref(), Some("a"));
        owners.admitted("c", "b");
        assert_eq!(owners.owner("c").as_deref(), Some("b"));
        assert_eq!(owners.owner("C"), None);
        for number in 0..MAX {
            owners.admitted(&number.to_string(), "a");
        }
        assert_eq!(owners.owner("c"), None);
    }
}
