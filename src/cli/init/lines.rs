//! The lines for Mosquitto: written anew, kept, or with a listener more.

use std::{fmt::Write as _, fs, path::Path};

use super::{Arguments, neighbours, texts};
use crate::{
    files::{Files, Mode, Wrote},
    output::{Failure, Output},
    shell,
};

/// Writes them if they are not there, and adds the listener for passwords if that is all that is asked for.
///
/// `text` is what the options make of nothing.
pub(super) fn write(
    (output, files): (&Output, &Files),
    arguments: &Arguments,
    text: &str,
    folder: &Path,
) -> Result<Wrote, Failure> {
    let conf = &arguments.mosquitto_conf;
    if !conf.exists() {
        return files.create(conf, text.as_bytes(), Mode::Public);
    }
    let mut kept = fs::read_to_string(conf).map_err(|error| Failure::file(conf, &error))?;
    let mut wrote = Wrote::Kept;
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
            files.replace(conf, kept.as_bytes(), Mode::Public)?;
            wrote = Wrote::New;
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
    Ok(wrote)
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
