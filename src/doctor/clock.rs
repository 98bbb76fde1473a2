//! Whether this machine's clock can be right: a board without a battery wakes up in 1970, and every certificate is
//! then of the future.

use std::{fs, time::UNIX_EPOCH};

use super::{Code, Exam, Finding};
use crate::clock::WRITTEN;

const DAY_SECONDS: i64 = 86_400;

impl Exam<'_> {
    pub(super) fn clock(&mut self) {
        let newest = self.setup.files.iter().filter_map(|file| {
            let changed = fs::metadata(file).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some((i64::try_from(changed.as_secs()).ok()?, file))
        });
        let newest = newest.max();
        let why = if self.now < WRITTEN {
            "which is before this program was written".to_owned()
        } else {
            match newest {
                Some((changed, file)) if changed > self.now.0 + DAY_SECONDS => {
                    format!("which is before {} was changed", file.display())
                }
                _ => return,
            }
        };
        let message = format!("the clock of this machine says {}, {why}", self.now);
        self.push(
            Finding::error(Code::Clock, message)
                .help("until it is right every certificate is judged wrongly: `sudo timedatectl set-ntp true`, and look with `timedatectl`"),
        );
    }
}
