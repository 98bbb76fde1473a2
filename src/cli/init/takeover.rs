//! Users and rules that the broker has of its own, taken over so that its clients go on as before.

use std::{
    fmt,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use citronella::{
    diag::Report,
    import::{Choices, File, Imported, Renames, Sources, import},
    mosquitto_conf::{self, Directive},
};

use super::{Arguments, neighbours::Neighbours, texts};
use crate::{
    consent,
    import::{load, read},
    output::{Failure, Output},
};

/// Who works with the broker as it is.
pub(super) struct Users {
    acl: Vec<PathBuf>,
    passwords: Vec<PathBuf>,
    /// Clients without a name are let in.
    anonymous: bool,
    /// Clients are called what their certificates say.
    certificates: bool,
    /// The same of this machine only, and ours would let them in from everywhere: so they are not.
    local_only: bool,
}

impl Users {
    /// Nobody, if nothing says that somebody may come in.
    pub(super) fn of(others: &Neighbours, arguments: &Arguments) -> Option<Self> {
        let named = |key: &str| {
            let mut found: Vec<PathBuf> = Vec::new();
            for line in others.lines().iter().filter(|line| line.key == key) {
                let path = PathBuf::from(line.value.trim_end());
                if !found.contains(&path) {
                    found.push(path);
                }
            }
            found
        };
        let setup = others.setup()?;
        let lets_in =
            |line: Option<&Directive>| line.is_some_and(|line| mosquitto_conf::is_true(&line.value));
        let outside = setup.listeners.iter().any(|listener| !listener.is_local());
        let anonymous = if setup.per_listener {
            // The plugin does not tell listeners apart: nobody may come in where nobody could.
            let mut listeners = setup.listeners.iter().filter(|listener| !outside || !listener.is_local());
            listeners.all(|listener| lets_in(listener.get("allow_anonymous")))
        } else {
            match setup.globals.iter().rfind(|line| line.key == "allow_anonymous") {
                Some(line) => mosquitto_conf::is_true(&line.value),
                // What the broker opens by itself it opens to all programs of this machine.
                None => others.open_nothing(),
            }
        };
        if others.open_nothing() && !arguments.import && named("password_file").is_empty() {
            // A stock broker, which perhaps nobody uses yet.
            return None;
        }
        let local_only = anonymous && !outside && arguments.password_listener;
        let mut passwords = named("password_file");
        passwords.retain(|path| has_users(path));
        let users = Self {
            acl: named("acl_file"),
            passwords,
            anonymous: anonymous && !local_only,
            certificates: mosquitto_conf::identity_options(others.lines())
                .any(|line| line.key == "use_identity_as_username"),
            local_only,
        };
        // Rules alone let nobody in, but for those whom their certificates name.
        let nobody = users.passwords.is_empty() && !anonymous && !users.certificates;
        (!nobody).then_some(users)
    }

    /// Whether they are to be taken over: as the options say, else as is answered.
    pub(super) fn agreed(&self, output: &Output, arguments: &Arguments) -> Result<bool, Failure> {
        output.say(&format_args!("Found: {self}."));
        if arguments.import || arguments.no_import {
            return Ok(arguments.import);
        }
        consent::ask(
            "Take them over, so that they go on as before? Otherwise nobody of them gets in any more.",
            &format!("this broker is in use ({self}), and nothing says what becomes of its clients"),
            "`--import` takes them over, so that they go on as before; with `--no-import` nobody of them gets in any more",
        )
    }

    /// What they come to as settings and registry of ours.
    pub(super) fn import(&self, output: &Output, state: Option<&str>) -> Result<Imported, Failure> {
        let one = |paths: &[PathBuf], key: &str| -> Result<Option<PathBuf>, Failure> {
            match paths {
                [] => Ok(None),
                [path] => Ok(Some(path.clone())),
                _ => Err(Failure::new(format!("several files are named by `{key}`, and one set of rules is made of one"))
                    .help("make one of them with `citronella import`, and put what comes of it beside citronella.toml; or `--no-import`")),
            }
        };
        let (acl, passwords) = (one(&self.acl, "acl_file")?, one(&self.passwords, "password_file")?);
        let passwords = passwords.map(|path| Ok::<_, Failure>((read(&path)?, path))).transpose()?;
        let acl = match acl {
            Some(path) => (read(&path)?, path),
            // Without rules a broker allows everything.
            None => (
                all_allowed(passwords.as_ref().map(|(text, _)| text), self.anonymous),
                "default access".into(),
            ),
        };
        let file = |(text, path): &(String, PathBuf)| (text.clone(), path.clone());
        let (acl, passwords) = (file(&acl), passwords.as_ref().map(file));
        let sources = Sources::Files {
            acl: Some(File { path: &acl.1, text: &acl.0 }),
            passwords: passwords.as_ref().map(|(text, path)| File { path, text }),
        };
        let choices = Choices { anonymous: self.anonymous, ..Choices::default() };
        let mut report = Report::new();
        let imported = import(sources, Renames::default(), choices, &mut report);
        let failure =
            || Failure::new("nothing was made: the broker's users cannot be taken over").findings(&report);
        let mut imported = imported.filter(|_| !report.has_errors()).ok_or_else(failure)?;
        self.complete(&mut imported, state)?;
        load(&imported)?;
        for note in &imported.notes {
            output.say(note);
        }
        if self.local_only {
            output.warn("programs of this machine came in without a name; that would open the port for passwords too, so they need one now");
        }
        if self.certificates {
            output.warn("devices that come with certificates of another authority, and stand in none of these files, are not known to Citronella: `citronella device add NAME`, and `certificates = \"any\"` below it in devices.toml");
        }
        Ok(imported)
    }

    /// What an import leaves to people, as the broker had it.
    fn complete(&self, imported: &mut Imported, state: Option<&str>) -> Result<(), Failure> {
        let settings = &mut imported.settings;
        if !settings.contains("\n[identity]\n") {
            settings.push_str(
                "\n# As Mosquitto has it: a client takes any client id. Take the two lines out once each uses its own.\n\
                 [identity]\nclient_id = \"any\"\n",
            );
        }
        if let Some(path) = state {
            let path = toml_edit::Value::from(path);
            let _ =
                write!(settings, "\n# Where the plugin writes what it does.\n[state]\ndirectory = {path}\n");
        }
        let _ = write!(
            settings,
            "\n# For devices to come: {{device}} is the device's own name.\n{}",
            texts::starter_roles()
        );
        if self.certificates {
            let mut document: toml_edit::DocumentMut = imported.devices.parse()?;
            for (_, device) in document.iter_mut() {
                if let Some(device) = device.as_table_like_mut() {
                    device.insert("certificates", toml_edit::value("any"));
                }
            }
            imported.devices = document.to_string();
        }
        Ok(())
    }
}

/// Whether it is not a file without anybody in it.
fn has_users(path: &Path) -> bool {
    let mut lines = read(path).into_iter().flat_map(|text| {
        text.lines().map(|line| !line.starts_with('#') && line.contains(':')).collect::<Vec<_>>()
    });
    !path.is_file() || lines.any(|user| user)
}

/// Rules that say what no rules mean.
fn all_allowed(passwords: Option<&String>, anonymous: bool) -> String {
    const ALL: &str = "topic readwrite #\ntopic read $SYS/#\n";
    let mut text = if anonymous { ALL.to_owned() } else { String::new() };
    let lines = passwords.map(String::as_str).unwrap_or_default().lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.trim_start_matches(':').split_once(':') {
            let _ = write!(text, "user {}\n{ALL}", name.trim());
        }
    }
    text
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = |paths: &[PathBuf]| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
        };
        let mut parts = Vec::new();
        if !self.passwords.is_empty() {
            parts.push(format!("users in {}", paths(&self.passwords)));
        }
        if !self.acl.is_empty() {
            parts.push(format!("rules in {}", paths(&self.acl)));
        }
        if self.anonymous || self.local_only {
            parts.push("clients without a name are let in".to_owned());
        }
        if self.certificates {
            parts.push("clients are called what their certificates say".to_owned());
        }
        f.write_str(&parts.join(", "))
    }
}
