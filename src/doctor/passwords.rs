//! The broker's own password file: entries that it cannot read, or with which it does not start.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{Code, Exam, Finding, reach, setup::is_ours};
use crate::{
    diag::{Report, shell_path, shell_word},
    fs as files,
    mosquitto_conf::Directive,
    password::{self, Kind},
};

impl Exam<'_> {
    pub(super) fn passwords(&mut self) {
        let setup = self.setup;
        for line in setup.every_line().filter(|line| line.key == "password_file") {
            self.password_file(line);
        }
    }

    fn password_file(&mut self, line: &Directive) {
        let path = Path::new(&line.value);
        let place = self.setup.place(line);
        let Ok(text) = files::read(path, files::MAX_FILE_BYTES) else { return };
        if text.metadata.mode() & 0o004 != 0 {
            let message = format!(
                "everybody on this machine can read the hashes in `{}` ({})",
                path.display(),
                reach::access(&text.metadata)
            );
            let found = self.let_in(Finding::warning(Code::PasswordsReadable, message), path, 0o640);
            self.push(found.at(place.clone()));
        }
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            let message = format!(
                "`{}` is a link, and Mosquitto 2.1 opens no password file through a link",
                path.display()
            );
            let found =
                Finding::warning(Code::PasswordLine, message).help("write the path of the file itself");
            self.push(found.at(place.clone()));
        }
        let mut report = Report::new();
        let (_, users) = password::file::parse(path, &text.text, &mut report);
        let guarded = self.setup.every_line().any(is_ours);
        let argon2 = users.iter().filter(|user| matches!(user.hash.kind(), Kind::Argon2id { .. }));
        let argon2: Vec<&str> = argon2.map(|user| &*user.name).collect();
        if let Some(first) = argon2.first() {
            let more =
                if argon2.len() > 1 { format!(" and {} more", argon2.len() - 1) } else { String::new() };
            let message = format!(
                "the broker cannot read the argon2id hash of `{first}`{more} in `{}`: as Debian builds it, 2.0 passes over the line and 2.1 does not start",
                path.display()
            );
            let found = Finding::error(Code::Argon2Unread, message)
                .help(if guarded {
                    "take this line out and name the file in citronella.toml: `[auth] password_file`; the plugin reads such hashes".to_owned()
                } else {
                    format!("give each a hash that it reads: sudo mosquitto_passwd {} {}", shell_path(path), shell_word(first))
                });
            self.push(found.at(place.clone()));
        }
        if let Some(first) = report.iter().find(|found| found.code.is_none()) {
            let at = first.place.as_ref().map_or(0, |(source, span)| source.line_of(span.start));
            let message = format!(
                "{}:{at}: {}: Mosquitto 2.1 does not start with it, 2.0 passes over it",
                path.display(),
                first.message
            );
            let found = Finding::error(Code::PasswordLine, message)
                .help(format!("let `sudo mosquitto_passwd {} NAME` write the line", shell_path(path)));
            self.push(found.at(place));
        }
    }
}
