//! mosquitto.conf as the broker reads it (conf.c): words, values, `include_dir`.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// One line that is neither blank nor a comment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Directive {
    /// The file it stands in.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// The first word.
    pub key: String,
    /// The rest of the line without the blanks in front; empty when there is none.
    pub value: String,
}

/// A file or folder that could not be read.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct ReadError {
    /// Which.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Reads `path` and everything it includes, in the broker's order: `include_dir` takes the files that end in
/// `.conf`, sorted by name, where it stands. In an included file it is no use: Mosquitto 2.0 ignores it, 2.1 does
/// not start.
///
/// # Errors
///
/// The first file or folder that cannot be read.
pub fn read(path: &Path) -> Result<Vec<Directive>, ReadError> {
    let mut directives = Vec::new();
    read_into(path, &mut directives, Place::Main)?;
    Ok(directives)
}

/// Where a line stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Main,
    Included,
}

fn read_into(path: &Path, directives: &mut Vec<Directive>, place: Place) -> Result<(), ReadError> {
    let fail = |source| ReadError { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(fail)?;
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.trim_start().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        let value = value.trim_start();
        if key == "include_dir" {
            // SOURCE: conf.c, "only valid in the main configuration file". A folder may hold the very file.
            if place == Place::Included {
                continue;
            }
            for file in included(Path::new(value.trim_end()))? {
                read_into(&file, directives, Place::Included)?;
            }
        } else if !key.is_empty() {
            directives.push(Directive {
                file: path.to_owned(),
                line: number + 1,
                key: key.to_owned(),
                value: value.to_owned(),
            });
        }
    }
    Ok(())
}

/// The files of an `include_dir`, in the order in which the broker reads them.
fn included(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let fail = |source| ReadError { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The file that a broker with this command line reads: what follows `-c` or `--config-file`.
///
/// `command_line` is `/proc/PID/cmdline`: words that end in NUL.
#[must_use]
pub fn path_in_command_line(command_line: &[u8]) -> Option<PathBuf> {
    let mut words = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.find(|word| word == "-c" || word == "--config-file")?;
    words.next().filter(|path| !path.is_empty()).map(|path| PathBuf::from(path.as_ref()))
}

/// The lines that make the broker admit clients by their certificate alone: with them it never asks a plugin who
/// may connect (mosquitto issues 995 and 2183).
pub fn identity_options(directives: &[Directive]) -> impl Iterator<Item = &Directive> {
    directives.iter().filter(|found| {
        matches!(&*found.key, "use_identity_as_username" | "use_subject_as_username") && is_true(&found.value)
    })
}

/// The line that turns `per_listener_settings` on. The last such line counts (conf.c).
#[must_use]
pub fn per_listener_settings(directives: &[Directive]) -> Option<&Directive> {
    let last = directives.iter().rfind(|found| found.key == "per_listener_settings")?;
    is_true(&last.value).then_some(last)
}

/// As the broker reads a switch: `true` or `1`, whatever follows.
fn is_true(value: &str) -> bool {
    value.split_whitespace().next().is_some_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_read_where_they_stand_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("conf.d")).unwrap();
        fs::write(path("conf.d/b.conf"), "use_identity_as_username true\n").unwrap();
        fs::write(path("conf.d/a.conf"), "# first\nlistener 1883\r\n").unwrap();
        fs::write(path("conf.d/c.conf.off"), "use_subject_as_username true\n").unwrap();
        let main = format!("persistence true\ninclude_dir {}\nuser  root\n", path("conf.d").display());
        fs::write(path("mosquitto.conf"), main).unwrap();

        let read = read(&path("mosquitto.conf")).unwrap();
        let words: Vec<_> = read.iter().map(|found| (&*found.key, &*found.value)).collect();
        assert_eq!(
            words,
            [
                ("persistence", "true"),
                ("listener", "1883"),
                ("use_identity_as_username", "true"),
                ("user", "root")
            ]
        );
        let found: Vec<_> = identity_options(&read).collect();
        assert_eq!(found.len(), 1);
        assert!(found.iter().all(|found| found.file.ends_with("b.conf") && found.line == 1));
    }

    #[test]
    fn what_is_included_includes_nothing_itself() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("mosquitto.conf");
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        let include = format!("include_dir {}\n", dir.path().join("conf.d").display());
        fs::write(&main, format!("user a\n{include}")).unwrap();
        // Followed, these would be read 20 to the power of the depth times.
        let itself = include.repeat(20) + "user b\n";
        fs::write(dir.path().join("conf.d/a.conf"), &itself).unwrap();

        let read = read(&main).unwrap();
        let words: Vec<_> = read.iter().map(|found| (&*found.key, &*found.value)).collect();
        assert_eq!(words, [("user", "a"), ("user", "b")]);
    }

    #[test]
    fn an_identity_option_that_is_off_is_none() {
        for value in ["false", "", "0", "truely"] {
            let directive = Directive {
                file: PathBuf::new(),
                line: 1,
                key: "use_identity_as_username".to_owned(),
                value: value.to_owned(),
            };
            assert_eq!(identity_options(&[directive]).count(), 0, "{value}");
        }
    }

    #[test]
    fn the_configuration_is_found_in_the_command_line() {
        let found = path_in_command_line(b"/usr/sbin/mosquitto\0-v\0-c\0/etc/mosquitto/mosquitto.conf\0");
        assert_eq!(found.as_deref(), Some(Path::new("/etc/mosquitto/mosquitto.conf")));
        assert_eq!(path_in_command_line(b"mosquitto\0-v\0"), None);
        assert_eq!(path_in_command_line(b"mosquitto\0-c\0"), None);
    }
}
