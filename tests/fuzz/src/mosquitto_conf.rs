//! The broker's own configuration.

use std::{fs, hint::black_box, sync::LazyLock};

use citronella::mosquitto_conf::{
    Named, files_in_command_line, identity_options, per_listener_settings, read,
};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(crate::folder);

/// Any bytes as a file, which may include itself, and as a command line.
pub fn check(bytes: &[u8]) {
    let path = FOLDER.path().join("mosquitto.conf");
    let write = |text: &[u8]| fs::write(&path, text).unwrap_or_else(|error| panic!("{error}"));
    // Other folders of this machine are none of this input's business.
    let text = String::from_utf8_lossy(bytes).replace("include_dir", "other_dir");
    write(if text.contains("other_dir") { text.as_bytes() } else { bytes });
    let named = Named::from(path.clone());
    let plain = read(&named).unwrap_or_else(|error| panic!("{error}"));
    for found in &plain {
        assert!(!found.key.is_empty() && !found.key.starts_with(char::is_whitespace), "{found:?}");
        assert!(!found.value.starts_with(char::is_whitespace) && !found.value.contains('\n'), "{found:?}");
    }
    assert!(plain.is_sorted_by(|one, next| one.line < next.line), "{plain:?}");
    black_box(identity_options(&plain).count());
    black_box(per_listener_settings(&plain));

    let include = format!("include_dir {}\n", FOLDER.path().display());
    write(text.replace("other_dir\n", &include).as_bytes());
    let included = read(&named).unwrap_or_else(|error| panic!("{error}"));
    assert!(included.len() >= plain.iter().filter(|found| found.key != "other_dir").count());

    black_box(files_in_command_line(bytes));
}
