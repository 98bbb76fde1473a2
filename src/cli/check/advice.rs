//! What a good colleague would say about files that can be used.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use citronella::{
    diag::{Code, Diagnostic, Place, Report, Source},
    ident::MAX_COMMON_NAME_CHARS,
    registry::{Auth, Certificates, Device, State},
    snapshot::Snapshot,
};

/// Adds to the report: users of the password file who are no devices, and devices that can never connect.
pub(super) fn give(snapshot: &Snapshot, report: &mut Report) {
    let mut lines = Lines::default();
    for user in snapshot.unlisted_users() {
        let message = format!("`{}` has a password here and is no device, so it is refused", user.name);
        report.push(
            lines
                .warning(&user.place, message, user_of)
                .help(format!("`citronella device add {} --no-certificate` registers it", user.name)),
        );
    }
    let mut devices: Vec<&Device> = snapshot.devices().filter(|device| is_expected(device)).collect();
    devices.sort_by_key(|device| device.place().line);
    for device in devices {
        if let Some((message, help)) = trouble(device) {
            report.push(lines.warning(device.place(), message, head_of).help(help));
        }
    }
}

/// Whether somebody waits for it to connect.
fn is_expected(device: &Device) -> bool {
    match device.state() {
        State::Active | State::Quarantined => true,
        State::Disabled | State::Retired => false,
    }
}

/// Why the device can never connect, and what to do about it.
fn trouble(device: &Device) -> Option<(String, String)> {
    let name = device.name();
    let certificate = match device.certificates() {
        Certificates::Any => true,
        Certificates::Listed(listed) => !listed.is_empty(),
    };
    let password = device.password().is_some();
    let too_long = name.as_str().chars().count() > MAX_COMMON_NAME_CHARS;
    let shows_certificate = match device.auth() {
        Auth::Any => certificate && !password,
        Auth::Certificate | Auth::Both => true,
        Auth::Password => false,
    };
    if too_long && shows_certificate {
        return Some((
            format!(
                "`{name}` has more than {MAX_COMMON_NAME_CHARS} characters, which no certificate can carry as its common name"
            ),
            "give it a shorter name, or a password".to_owned(),
        ));
    }
    let (missing, remedy) = match device.auth() {
        Auth::Any if !certificate && !password => ("neither a certificate nor a password", "cert issue"),
        Auth::Certificate | Auth::Both if !certificate => {
            ("no certificate, which its `auth` asks for", "cert issue")
        }
        Auth::Password | Auth::Both if !password => {
            ("no password, which its `auth` asks for", "password generate")
        }
        Auth::Any | Auth::Certificate | Auth::Password | Auth::Both => return None,
    };
    let help = match (missing, too_long) {
        (_, false) if device.auth() == Auth::Any => {
            format!("`citronella cert issue {name}` or `citronella password generate {name}` gives it one")
        }
        (_, true) if device.auth() == Auth::Any => {
            format!("`citronella password generate {name}` gives it one")
        }
        _ => format!("`citronella {remedy} {name}` gives it one"),
    };
    Some((format!("`{name}` cannot connect: it has {missing}"), help))
}

/// Files that are cited, read once each, without anything in them that may be a hash.
#[derive(Default)]
struct Lines(HashMap<Arc<Path>, Arc<Source>>);

impl Lines {
    /// A warning at what is `shown` of a line; at the file alone if it has changed since it was loaded.
    fn warning(&mut self, place: &Place, message: String, shown: fn(&str) -> &str) -> Diagnostic {
        let source = self.0.entry(Arc::clone(&place.file)).or_insert_with(|| {
            let text = fs::read_to_string(&place.file).unwrap_or_default();
            Source::new(&*place.file, text.lines().map(shown).collect::<Vec<_>>().join("\n"))
        });
        let before = usize::try_from(place.line).unwrap_or(1).saturating_sub(1);
        let mut lines = source.text().split('\n');
        let start = lines.by_ref().take(before).map(|line| line.len() + 1).sum::<usize>();
        let length = lines.next().map_or(0, str::len);
        let start = start.min(source.text().len());
        Diagnostic::error(source, start..start + length, message).warns(Code::NoCredentials)
    }
}

/// Of a line of the password file: the user's name.
fn user_of(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

/// Of a line of the registry: the head of a table, or the key.
fn head_of(line: &str) -> &str {
    let line = line.trim_end();
    if line.trim_start().starts_with('[') {
        line
    } else {
        line.split('=').next().unwrap_or_default().trim_end()
    }
}
