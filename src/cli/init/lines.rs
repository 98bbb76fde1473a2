//! The lines for Mosquitto: written anew, kept, or with a listener more.

use std::{fmt::Write as _, fs, path::Path};

use super::{Arguments, neighbours, texts};
use crate::{
    output::{Failure, Output},
    shell,
};

/// What the file is now, and what it has to become, if that is something else: made anew if it is not there, or with the
/// listener for passwords if that is all that is asked for.
///
/// `text` is what the options make of nothing.
pub(super) fn wanted(
    output: &Output,
    arguments: &Arguments,
    text: &str,
    folder: &Path,
) -> Result<(Option<Vec<u8>>, Option<String>), Failure> {
    let conf = arguments.conf();
    if !conf.exists() {
        return Ok((None, Some(text.to_owned())));
    }
    let mut kept = fs::read_to_string(conf).map_err(|error| Failure::file(conf, &error))?;
    let (before, mut changed) = (kept.clone().into_bytes(), false);
    let open = |port| neighbours::own_listeners(conf).iter().any(|listener| listener.port == port);
    let mut listener = String::new();
    if arguments.password_listener {
        listener = texts::password_listener(arguments, folder);
        if !open(arguments.password_port) {
            if !kept.ends_with('\n') {
                kept.push('\n');
            }
            output.say(&added(conf, &kept, &listener));
            kept.push_str(&listener);
            changed = true;
        }
    }
    // Wherever in the file it stands.
    let without =
        |text: &str| if listener.is_empty() { text.to_owned() } else { text.replacen(&listener, "", 1) };
    if without(&kept) != without(text) {
        output.warn(&format!(
            "{} was kept, and is not what these options would make; to have it made anew: mv {} {}, and run this again",
            conf.display(),
            shell::path(conf),
            shell::path(&conf.with_added_extension("old"))
        ));
    }
    Ok((Some(before), changed.then_some(kept)))
}

/// Lines at the end of a file, as a diff.
fn added(path: &Path, kept: &str, more: &str) -> String {
    let (path, from, count) = (path.display(), kept.lines().count(), more.lines().count());
    let mut diff = format!("--- {path}\n+++ {path}\n@@ -{from},0 +{},{count} @@", from + 1);
    for line in more.lines() {
        let _ = write!(diff, "\n+{line}");
    }
    diff
}
