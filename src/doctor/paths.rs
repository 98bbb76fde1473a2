//! Whether every path leads somewhere, and whether the broker's user gets there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    Code, Exam, Finding,
    fix::Fix,
    folder,
    reach::{Blocked, Want},
    setup::is_ours,
};
use crate::{
    diag::shell_path,
    mosquitto_conf::{Directive, is_true},
};

const FILES: &[&str] = &[
    "cafile",
    "certfile",
    "keyfile",
    "crlfile",
    "dhparamfile",
    "password_file",
    "acl_file",
    "psk_file",
    "plugin",
    "auth_plugin",
    "global_plugin",
    "bridge_cafile",
    "bridge_certfile",
    "bridge_keyfile",
];
const FOLDERS: &[&str] = &["capath", "bridge_capath", "http_dir"];

impl Exam<'_> {
    pub(super) fn paths(&mut self) {
        let setup = self.setup;
        for line in setup.every_line() {
            // Blanks at the end of a line belong to the value for Mosquitto.
            let path = Path::new(&line.value);
            if line.key == "plugin_load" {
                let (_, path) = line.value.split_once(' ').unwrap_or_default();
                self.path(line, Path::new(path.trim_start()), Want::Read);
            } else if FILES.contains(&&*line.key) {
                self.path(line, path, Want::Read);
            } else if FOLDERS.contains(&&*line.key) {
                self.path(line, path, Want::Enter);
            } else if line.key == "plugin_opt_config" && setup.every_line().any(is_ours) {
                self.path(line, Path::new(line.value.trim()), Want::Read);
            }
        }
        let global = |key: &str| setup.globals.iter().rfind(|line| line.key == key);
        if let (Some(on), Some(line)) = (global("persistence"), global("persistence_location"))
            && is_true(&on.value)
        {
            self.writable(line, &PathBuf::from(&line.value));
        }
        for line in setup.globals.iter().filter(|line| line.key == "log_dest") {
            let Some(file) = line.value.strip_prefix("file ").map(str::trim).map(Path::new) else { continue };
            let opens = file.is_file() && setup.user.reaches(file, Want::Write).is_ok();
            if let Some(folder) = file.parent().filter(|folder| !opens && folder.is_dir()) {
                self.writable(line, folder);
            }
        }
    }

    fn path(&mut self, line: &Directive, path: &Path, want: Want) {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.not_examined(line, path),
            Err(error) => {
                let what = if line.key.starts_with("bridge_") {
                    "the bridge cannot work"
                } else {
                    "the broker does not start"
                };
                let message = match error.kind() {
                    io::ErrorKind::NotFound => format!("{what}: there is no `{}`", path.display()),
                    _ => format!("{what}: `{}`: {error}", path.display()),
                };
                let found = Finding::error(Code::MissingFile, message);
                let found = match folder::meant(path) {
                    Some(meant) => found
                        .help(format!("did you mean `{}`?", meant.display()))
                        .fix(Fix::value(line, &meant.display().to_string())),
                    None if line.value != line.value.trim_end() => {
                        found.help("blanks at the end of the line belong to the path; take them away")
                    }
                    None => found.help("write the path of the file that is there, or put the file there"),
                };
                self.push(found.at(self.setup.place(line)));
            }
            // What does not end would never be read to its end.
            Ok(found) if matches!(want, Want::Read) && !found.is_file() => {
                let message = format!("the broker does not start: `{}` is no file", path.display());
                let found = Finding::error(Code::MissingFile, message).help("write the path of a file");
                self.push(found.at(self.setup.place(line)));
            }
            Ok(_) => {
                if let Err(blocked) = self.setup.user.reaches(path, want) {
                    self.unreadable(line, path, &blocked);
                }
            }
        }
    }

    /// A file that the user of this command may not look at.
    pub(super) fn not_examined(&mut self, line: &Directive, path: &Path) {
        let message = format!("`{}` was not looked at: you may not read it", path.display());
        let found = Finding::warning(Code::NotExamined, message).help("run it with sudo");
        self.push(found.at(self.setup.place(line)));
    }

    fn unreadable(&mut self, line: &Directive, path: &Path, blocked: &Blocked) {
        let user = &self.setup.user;
        let group = user.group();
        let message = if blocked.is_file {
            format!(
                "the broker runs as `{}`, which cannot {} `{}`: its mode is {}",
                user.name,
                if blocked.metadata.is_dir() { "enter" } else { "read" },
                path.display(),
                blocked.describe()
            )
        } else {
            format!(
                "the broker runs as `{}`, which cannot get to `{}`: `{}` is closed to it ({})",
                user.name,
                path.display(),
                blocked.at.display(),
                blocked.describe()
            )
        };
        let found = Finding::error(Code::UnreadableFile, message);
        let found = if blocked.is_file {
            let group_bits = if blocked.metadata.is_dir() { 0o050 } else { 0o040 };
            self.let_in(found, path, ((blocked.metadata.mode() & 0o7777) | group_bits) & !0o007)
        } else {
            let name = path.file_name().unwrap_or_default();
            found.help(format!(
                "keep it where the broker gets to: `sudo install -o root -g {group} -m 640 {} /etc/mosquitto/certs/`, and write `{} /etc/mosquitto/certs/{}`",
                shell_path(path),
                line.key,
                name.display(),
            ))
        };
        self.push(found.at(self.setup.place(line)));
    }

    fn writable(&mut self, line: &Directive, folder: &Path) {
        let user = &self.setup.user;
        if !folder.is_dir() {
            let message = format!(
                "there is no folder `{}`, so the broker forgets everything when it ends",
                folder.display()
            );
            let found = Finding::error(Code::UnwritableFolder, message).help(format!(
                "sudo install -d -o {0} -g {1} -m 755 {2}",
                user.name,
                user.group(),
                shell_path(folder)
            ));
            self.push(found.at(self.setup.place(line)));
        } else if let Err(blocked) = user.reaches(folder, Want::Write) {
            let message = format!(
                "the broker runs as `{}`, which cannot write in `{}` ({})",
                user.name,
                folder.display(),
                blocked.describe()
            );
            // A folder that others use, /var/log say, is not the broker's to own.
            let (group, own) = (user.group(), folder.join("mosquitto"));
            let is_own =
                folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mosquitto"));
            let value = match Path::new(&line.value).file_name() {
                Some(name) if line.key == "log_dest" => format!("file {}", own.join(name).display()),
                _ => format!("{}/", own.display()),
            };
            let found = Finding::error(Code::UnwritableFolder, message).help(if is_own {
                format!("sudo chown {}:{group} {}", user.name, shell_path(folder))
            } else {
                format!(
                    "make one: `sudo install -d -o {} -g {group} -m 750 {}`, and write `{} {value}`",
                    user.name,
                    shell_path(&own),
                    line.key
                )
            });
            self.push(found.at(self.setup.place(line)));
        }
    }
}
