//! Users and rules that the broker has of its own, taken over so that its clients go on as before.

use std::{
    collections::BTreeSet,
    fmt,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use citronella::{
    diag::Report,
    import::{Choices, File, Imported, Renames, Sources, import},
    mosquitto_conf,
};

use super::{Arguments, dynsec::Dynsec, neighbours::Neighbours, texts};
use crate::{
    consent,
    import::{load, read},
    output::{Failure, Output},
    shell,
};

/// Who works with the broker as it is.
pub(super) struct Users {
    acl: Vec<PathBuf>,
    passwords: Vec<PathBuf>,
    /// Files of the dynamic-security plugin.
    dynsec: Vec<PathBuf>,
    /// Clients without a name are let in.
    anonymous: bool,
    /// Clients are called what their certificates say.
    certificates: bool,
    /// So they are on every listener that asks for certificates.
    certificates_alone: bool,
    /// The same of fewer places or with a certificate only, and our port for passwords would let them in from more: so
    /// they are not.
    local_only: bool,
    /// A listener is open to other machines.
    outside: bool,
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
        let outside = setup.listeners.iter().any(|listener| !listener.is_local());
        let anonymous = if setup.per_listener {
            // The plugin does not tell listeners apart: nobody may come in where nobody could.
            others.closed_to_strangers().is_empty()
        } else {
            match setup.globals.iter().rfind(|line| line.key == "allow_anonymous") {
                Some(line) => mosquitto_conf::is_true(&line.value),
                // What the broker opens by itself it opens to all programs of this machine.
                None => others.open_nothing(),
            }
        };
        let dynsec = Dynsec::of(others.lines()).files;
        let has_users_file = !named("password_file").is_empty() || !dynsec.is_empty();
        if others.open_nothing() && !arguments.import && !has_users_file {
            // A stock broker, which perhaps nobody uses yet.
            return None;
        }
        let local_only = anonymous && arguments.password_listener && !others.stand_open_to(arguments.listen);
        let mut passwords = named("password_file");
        passwords.retain(|path| has_users(path));
        let users = Self {
            acl: named("acl_file"),
            passwords,
            dynsec,
            anonymous: anonymous && !local_only,
            certificates: mosquitto_conf::identity_options(others.lines())
                .any(|line| line.key == "use_identity_as_username"),
            // The plugin does not tell listeners apart: where one asks for a password too, its certificates are no names.
            certificates_alone: setup
                .listeners
                .iter()
                .filter(|listener| listener.is_on("require_certificate"))
                .all(|listener| listener.is_on("use_identity_as_username")),
            local_only,
            outside,
        };
        // Rules alone let nobody in, but for those whom their certificates name.
        let no_users = users.passwords.is_empty() && users.dynsec.is_empty();
        let nobody = no_users && !anonymous && !users.certificates;
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
    ///
    /// `renames` is the table of an earlier run, if it is there.
    pub(super) fn import(
        &self,
        output: &Output,
        state: Option<&str>,
        renames: &Path,
    ) -> Result<Imported, Failure> {
        let one = |paths: &[PathBuf], key: &str| -> Result<Option<PathBuf>, Failure> {
            match paths {
                [] => Ok(None),
                [path] => Ok(Some(path.clone())),
                _ => Err(Failure::new(format!("several files are named by `{key}`, and one set of rules is made of one"))
                    .help("make one of them with `citronella import`, and put what comes of it beside citronella.toml; or `--no-import`")),
            }
        };
        let (acl, passwords) = (one(&self.acl, "acl_file")?, one(&self.passwords, "password_file")?);
        let dynsec = one(&self.dynsec, "plugin_opt_config_file")?;
        let dynsec = dynsec.map(|path| Ok::<_, Failure>((read(&path)?, path))).transpose()?;
        if let (Some((_, path)), Some(other)) = (&dynsec, acl.as_ref().or(passwords.as_ref())) {
            return Err(Failure::new(format!(
                "users and rules are in {} and, for dynamic security, in {}, and one set of rules is made of one",
                other.display(),
                path.display()
            ))
            .help(format!(
                "`citronella import --dynsec {} --output DIR` makes settings and registry of the one, and so for the other; put them \
                 together beside {}, or leave them with `--no-import`",
                shell::path(path),
                renames.with_file_name("citronella.toml").display()
            )));
        }
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
        let sources = match &dynsec {
            Some((text, path)) => Sources::Dynsec(File { path, text }),
            None => Sources::Files {
                acl: Some(File { path: &acl.1, text: &acl.0 }),
                passwords: passwords.as_ref().map(|(text, path)| File { path, text }),
            },
        };
        let choices = Choices { anonymous: self.anonymous, ..Choices::default() };
        let mut report = Report::new();
        let table = if renames.exists() {
            Renames::parse(renames, &read(renames)?, &mut report)
        } else {
            Renames::default()
        };
        let imported = import(sources, table, choices, &mut report);
        let failure =
            || Failure::new("nothing was made: the broker's users cannot be taken over").findings(&report);
        let mut imported = imported.filter(|_| !report.has_errors()).ok_or_else(failure)?;
        self.complete(&mut imported, state)?;
        load(&imported)?;
        for note in &imported.notes {
            output.say(note);
        }
        if self.local_only {
            let who = if self.outside { "clients" } else { "programs of this machine" };
            output.warn(&format!("{who} came in without a name; that would open the port for passwords too, to more than could come in before, so they need one now"));
        }
        if self.certificates && !self.certificates_alone {
            output.warn("a certificate was a name on one listener, and not on another that asks for certificates too: that would let people in with the certificate alone where they needed a password, so nobody was given `certificates = \"any\"`; whoever comes with a certificate of another authority needs a password now");
        } else if self.certificates {
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
        if self.certificates && self.certificates_alone {
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

/// Whether settings and registry of an earlier run are what the broker's own users come to now.
pub(super) fn are_still(now: Option<&Imported>, (config, registry): (&Path, &Path)) -> Result<(), Failure> {
    let parsed = |text: &str| text.parse::<toml_edit::DocumentMut>();
    let there = parsed(&read(registry)?)?;
    let come = parsed(now.map_or("", |now| &now.devices))?;
    let same = |name: &str| {
        let told = |document: &toml_edit::DocumentMut| {
            document.get(name).map(|item| item.to_string().trim().to_owned())
        };
        told(&there) == told(&come)
    };
    let names: BTreeSet<&str> = there.iter().chain(come.iter()).map(|(name, _)| name).collect();
    let mut others: Vec<String> = names
        .into_iter()
        .filter(|name| *name != "version" && !same(name))
        .map(|name| format!("`{name}` of {}", registry.display()))
        .collect();
    if now.is_none_or(|now| read(config).ok().as_deref() != Some(&*now.settings)) {
        others.push(config.display().to_string());
    }
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "an earlier run has taken over the broker's users, and by now these are not what it has: {}",
        others.join(", ")
    ))
    .help(format!(
        "to take them over as they are now: move {} and {} away, and run this again",
        config.display(),
        registry.display()
    ))
    .help("`--no-import` goes on with these files as they stand: who is in them gets in"))
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
        if !self.dynsec.is_empty() {
            parts.push(format!("users and rules of dynamic security in {}", paths(&self.dynsec)));
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
