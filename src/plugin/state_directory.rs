//! The state directory, as long as it is ours alone: two plugins that write there would overwrite each other's files.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use super::locked;
use crate::status::{Claim, ClaimError};

/// The claim on the state directory, shared by the threads that write there.
pub(super) struct StateDirectory {
    ours: Mutex<Result<Arc<Claim>, String>>,
    /// Held while one of them waits for the disk: a second claim of ours would find the first one's lock.
    claiming: Mutex<()>,
}

impl Default for StateDirectory {
    fn default() -> Self {
        let unclaimed = Err("nobody has claimed its folder yet".to_owned());
        Self { ours: Mutex::new(unclaimed), claiming: Mutex::default() }
    }
}

impl StateDirectory {
    /// The claim on this directory: had already, or made now in the place of the one on another. That one ends when the
    /// last of those who write lets go of it. Waits for the disk, so it is not for the broker's thread.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, or is another plugin's; from now on none is ours.
    pub(super) fn claim(&self, directory: &Path) -> Result<Arc<Claim>, ClaimError> {
        let _one_at_a_time = locked(&self.claiming);
        if let Ok(known) = self.ours()
            && known.directory() == directory
        {
            return Ok(known);
        }
        let claim = Claim::new(directory).map(Arc::new);
        *locked(&self.ours) = claim.as_ref().map(Arc::clone).map_err(ToString::to_string);
        claim
    }

    /// The directory that is ours.
    ///
    /// # Errors
    ///
    /// Why none is.
    pub(super) fn ours(&self) -> Result<Arc<Claim>, String> {
        locked(&self.ours).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::is_running;

    #[test]
    fn a_directory_is_ours_until_another_is_and_nobody_writes_there() {
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [one, two, taken] = folders.each_ref().map(tempfile::TempDir::path);
        let directory = StateDirectory::default();
        assert!(directory.ours().is_err());
        let first = directory.claim(one).unwrap();
        assert!(Arc::ptr_eq(&first, &directory.claim(one).unwrap()), "claimed once");
        directory.claim(two).unwrap();
        assert!(is_running(one).unwrap() && is_running(two).unwrap(), "somebody may still be writing");
        drop(first);
        assert!(!is_running(one).unwrap());
        let _other = Claim::new(taken).unwrap();
        assert!(directory.claim(taken).is_err());
        assert!(directory.ours().unwrap_err().contains("the plugin of another broker writes to"));
        assert!(!is_running(two).unwrap(), "the settings do not name it any more");
    }
}
