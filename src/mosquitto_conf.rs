//! mosquitto.conf as the broker reads it (conf.c): words, values, `include_dir`.
#![forbid(unsafe_code)]

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The files that a broker was started with, in its order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named(Vec<PathBuf>);

impl From<PathBuf> for Named {
    fn from(path: PathBuf) -> Self {
        Self(vec![path])
    }
}

impl Named {
    /// The first of them.
    #[must_use]
    pub fn first(&self) -> Option<&Path> {
        self.0.first().map(PathBuf::as_path)
    }
}

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

/// Reads the files and what they include, in the broker's order: `include_dir` takes the files that end in `.conf`
/// where it stands. In a file that is included itself `include_dir` is none of ours: 2.0 passes over it, and 2.1 does
/// not start (conf.c).
///
/// # Errors
///
/// The first file or folder that cannot be read.
pub fn read(named: &Named) -> Result<Vec<Directive>, ReadError> {
    let Reading { directives, unread, .. } = read_all(named);
    match unread.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(directives),
    }
}

/// As much of a configuration as can be read.
#[derive(Debug, Default)]
pub struct Reading {
    /// The lines of all files, in the broker's order.
    pub directives: Vec<Directive>,
    /// The files that were read, in that order.
    pub files: Vec<PathBuf>,
    /// What could not be read, and the `include_dir` that asks for it; none for a file that the broker is started with.
    pub unread: Vec<(Option<Directive>, ReadError)>,
}

/// As [`read`], and goes on where something cannot be read.
#[must_use]
pub fn read_all(named: &Named) -> Reading {
    let mut reading = Reading::default();
    for path in &named.0 {
        match read_one(path) {
            Err(error) => reading.unread.push((None, error)),
            Ok(directives) => {
                reading.files.push(path.clone());
                for directive in directives {
                    if directive.key == "include_dir" {
                        reading.include(directive);
                    } else {
                        reading.directives.push(directive);
                    }
                }
            }
        }
    }
    reading
}

impl Reading {
    fn include(&mut self, directive: Directive) {
        let files = included(Path::new(directive.value.trim_end()));
        let parts = files.and_then(|files| {
            files.into_iter().map(|file| Ok((read_one(&file)?, file))).collect::<Result<Vec<_>, _>>()
        });
        match parts {
            Err(error) => self.unread.push((Some(directive), error)),
            Ok(parts) => {
                for (directives, file) in parts {
                    self.directives.extend(directives);
                    self.files.push(file);
                }
            }
        }
    }
}

fn read_one(path: &Path) -> Result<Vec<Directive>, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError { path: path.to_owned(), source })?;
    let mut directives = Vec::new();
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.trim_start().split_once([' ', '\t']).unwrap_or((line.trim(), ""));
        if !key.is_empty() {
            directives.push(Directive {
                file: path.to_owned(),
                line: number + 1,
                key: key.to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
    Ok(directives)
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
    files.sort_by_cached_key(|path| rank(path.file_name().unwrap_or_default()));
    Ok(files)
}

/// Byte for byte as if all were capitals; where they are alike a capital comes first.
/// SOURCE: scmp_p in conf_includedir.c.
fn rank(name: &OsStr) -> Vec<(u8, u8)> {
    name.as_bytes().iter().map(|byte| (byte.to_ascii_uppercase(), *byte)).collect()
}

/// The files that a broker with this command line reads: what follows each `-c` or `--config-file`. `None` if there
/// is none.
///
/// `command_line` is `/proc/PID/cmdline`: words that end in NUL.
#[must_use]
pub fn files_in_command_line(command_line: &[u8]) -> Option<Named> {
    let mut words = command_line.split(|byte| *byte == 0);
    let mut named = Vec::new();
    while let Some(word) = words.next() {
        if word == b"-c" || word == b"--config-file" {
            named.extend(
                words.next().filter(|path| !path.is_empty()).map(|path| OsStr::from_bytes(path).into()),
            );
        }
    }
    (!named.is_empty()).then_some(Named(named))
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
#[must_use]
pub fn is_true(value: &str) -> bool {
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

        let read = read(&path("mosquitto.conf").into()).unwrap();
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

    /// What Mosquitto 2.0.11 does with such a folder, seen in its log.
    #[test]
    fn included_files_are_in_the_brokers_order_and_include_nothing_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("conf.d");
        fs::create_dir_all(folder.join("sub")).unwrap();
        for name in ["B", "a", "Ab", "aa", "x", "_", "é"] {
            fs::write(folder.join(format!("{name}.conf")), format!("listener {name}\n")).unwrap();
        }
        fs::write(folder.join(".conf"), "listener no\n").unwrap();
        fs::write(folder.join("z.CONF"), "listener no\n").unwrap();
        fs::write(folder.join("sub/y.conf"), "use_identity_as_username true\n").unwrap();
        fs::write(folder.join("x.conf"), format!("include_dir {}\n", folder.join("sub").display())).unwrap();
        let main = dir.path().join("mosquitto.conf");
        fs::write(&main, format!("include_dir {}\n", folder.display())).unwrap();

        let read = read(&main.into()).unwrap();
        let words: Vec<_> = read
            .iter()
            .map(|found| if found.key == "listener" { &*found.value } else { &*found.key })
            .collect();
        assert_eq!(words, ["Ab", "a", "aa", "B", "include_dir", "_", "é"]);
    }

    #[test]
    fn every_file_of_the_command_line_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("one"), "listener 1883\n").unwrap();
        fs::write(path("two"), "use_subject_as_username true\n").unwrap();
        let line = format!("mosquitto\0-c\0{}\0-v\0-c\0{}\0", path("one").display(), path("two").display());
        let read = read(&files_in_command_line(line.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            read.iter().map(|found| &*found.key).collect::<Vec<_>>(),
            ["listener", "use_subject_as_username"]
        );
        assert_eq!(identity_options(&read).count(), 1);
    }

    #[test]
    fn the_configuration_is_found_in_the_command_line() {
        let files = |line| files_in_command_line(line).map(|named| named.0);
        let one = PathBuf::from("/etc/mosquitto/mosquitto.conf");
        let line = b"/usr/sbin/mosquitto\0-v\0-c\0/etc/mosquitto/mosquitto.conf\0";
        assert_eq!(files(line), Some(vec![one.clone()]));
        let line = b"mosquitto\0--config-file\0-c\0-c\0/etc/mosquitto/mosquitto.conf\0-d\0";
        assert_eq!(files(line), Some(vec!["-c".into(), one]));
        assert_eq!(files_in_command_line(b"mosquitto\0-v\0"), None);
        assert_eq!(files_in_command_line(b"mosquitto\0-c\0"), None);
    }
}
