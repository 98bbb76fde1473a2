//! What an import is to do, and everything that keeps it from being done.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use citronella::{
    clock::UnixSeconds,
    config::DefaultCertificates,
    diag::{Diagnostic, Report, Source},
    fs::MAX_FILE_BYTES,
    ident::{DeviceName, MAX_COMMON_NAME_CHARS},
    password::{self, PasswordHash},
    pki::{
        Authority, Entry, IssueError, Kind,
        bundle::{self, FolderError},
    },
    registry::{
        Certificates, Device, Fingerprint, Password,
        edit::{NewCertificate, NewCertificates, NewDevice},
    },
    secret::Secret,
    snapshot::Snapshot,
};
use jiff::Timestamp;

use super::{Import, Outline, Told};
use crate::{
    cert, check,
    device::{
        sheet::{self, Certificate, Credentials, Row},
        view::roles,
    },
    output::{Failure, Output},
    rights::Rights,
    shell,
    world::World,
};

/// Everything that is to be done, and can be as far as that shows.
pub(super) struct Plan {
    source: Arc<Source>,
    pub(super) todo: Vec<Todo>,
    /// Devices that are as the file says.
    there: Vec<Row>,
    /// What the files come to afterwards.
    pub(super) after: Snapshot,
    pub(super) authority: Option<Authority>,
}

/// A device that is to be registered, or completed.
pub(super) struct Todo {
    pub(super) row: Row,
    /// Registered, with nothing to connect with.
    pub(super) known: bool,
    /// Where its credentials go, or are.
    pub(super) folder: Option<PathBuf>,
    /// What an interrupted run has put there.
    pub(super) found: Option<Found>,
}

/// Credentials in a folder that the registry does not have.
pub(super) struct Found {
    pub(super) entry: Option<Entry>,
    pub(super) password: Option<PasswordHash>,
}

impl Todo {
    pub(super) fn wants_certificate(&self) -> bool {
        self.row.credentials.certificate == Certificate::Own
    }

    /// Whether its certificate is to be listed in the registry: not where all are accepted that name it.
    pub(super) fn is_listed(&self, snapshot: &Snapshot) -> bool {
        let any = match snapshot.device(self.row.name.as_str()) {
            Some(device) if self.known => *device.certificates() == Certificates::Any,
            _ => snapshot.settings().default_certificates == DefaultCertificates::Any,
        };
        self.wants_certificate() && (!any || self.row.credentials.password)
    }

    /// The device as it is to stand in the registry.
    pub(super) fn device(
        &self,
        certificate: Option<NewCertificate>,
        password: Option<PasswordHash>,
    ) -> NewDevice {
        let certificates = match (self.row.credentials.certificate, certificate) {
            (Certificate::Any, _) => NewCertificates::Any,
            (_, Some(certificate)) => NewCertificates::Listed(certificate),
            (_, None) => NewCertificates::Unwritten,
        };
        let password = password.map(|hash| Password { hash, generated: true });
        NewDevice { certificates, password, ..self.row.device.clone() }
    }

    pub(super) fn outline(&self) -> Outline {
        if self.known { Outline::Completed } else { Outline::Registered }
    }
}

impl Plan {
    /// Reads and compares; changes nothing.
    pub(super) fn make(
        (world, output): (&World, &Output),
        import: &Import,
        text: &str,
    ) -> Result<Self, Failure> {
        let mut report = Report::new();
        let (source, rows) = sheet::read(&import.file, text, &mut report);
        let snapshot = check::load(world)?;
        let connects = |row: &Row| row.credentials != Credentials::NONE;
        let authority = if rows.iter().any(connects) { Some(world.authority()?) } else { None };
        if let Some(note) = authority.as_ref().and_then(Authority::note) {
            output.warn(note);
        }
        let mut draft = Draft { source: &source, snapshot: &snapshot, authority: authority.as_ref(), report };
        let (mut todo, there) = draft.sort(rows);
        draft.check_requests(&todo, import)?;
        draft.find_folders(&mut todo, import)?;
        let after = draft.check_whole(world, &todo)?;
        let report = draft.report;
        let (errors, _) = report.count();
        match after {
            Some(after) if errors == 0 => Ok(Self { source, todo, there, after, authority }),
            _ => {
                let mistakes =
                    if errors == 1 { "1 mistake".to_owned() } else { format!("{errors} mistakes") };
                let mut sorted: Vec<Diagnostic> = report.iter().cloned().collect();
                sorted.sort_by_key(|found| found.place.as_ref().map(|(_, span)| span.start));
                let mut report = Report::new();
                sorted.into_iter().for_each(|found| report.push(found));
                Err(Failure::new(format!("nothing was changed because of {mistakes}")).findings(&report))
            }
        }
    }

    /// What is to become of each device, those that are there at the end.
    pub(super) fn told(&self) -> Vec<Told> {
        let todo = self.todo.iter().map(|todo| {
            let entry = todo.found.as_ref().and_then(|found| found.entry.as_ref());
            self.tell((&todo.row, todo.outline()), todo.folder.clone(), entry)
        });
        todo.chain(self.told_there()).collect()
    }

    pub(super) fn told_there(&self) -> impl Iterator<Item = Told> {
        self.there.iter().map(|row| self.tell((row, Outline::There), None, None))
    }

    pub(super) fn tell(
        &self,
        (row, outcome): (&Row, Outline),
        folder: Option<PathBuf>,
        entry: Option<&Entry>,
    ) -> Told {
        let made = entry.and_then(|entry| entry.certificate.as_ref());
        Told {
            name: row.name.to_string(),
            line: self.source.line_of(row.span.start),
            outcome,
            credentials: row.credentials.word(),
            folder,
            serial: entry.map(|entry| entry.serial.clone()),
            sha256: made.map(|made| made.sha256.clone()),
            not_after: made.map(|made| made.period.not_after.to_string()),
        }
    }
}

/// A plan that is being made.
struct Draft<'a> {
    source: &'a Arc<Source>,
    snapshot: &'a Snapshot,
    authority: Option<&'a Authority>,
    report: Report,
}

impl Draft<'_> {
    fn mistake(&mut self, row: &Row, message: String, help: Option<String>) {
        let found = Diagnostic::error(self.source, row.span.clone(), message);
        self.report.push(match help {
            Some(help) => found.help(help),
            None => found,
        });
    }

    /// Tells what is to be done from what is done.
    fn sort(&mut self, rows: Vec<Row>) -> (Vec<Todo>, Vec<Row>) {
        let snapshot = self.snapshot;
        let folded = |name: &DeviceName| name.as_str().to_ascii_lowercase();
        let known: HashMap<String, &Device> =
            snapshot.devices().map(|device| (folded(device.name()), device)).collect();
        let mut seen: HashMap<String, u32> = HashMap::new();
        let (mut todo, mut there) = (Vec::new(), Vec::new());
        for row in rows {
            let line = self.source.line_of(row.span.start);
            if let Some(first) = seen.insert(folded(&row.name), line) {
                let message = format!("`{}` stands here a second time, first in line {first}", row.name);
                self.mistake(&row, message, Some("small and capital letters are alike".to_owned()));
                continue;
            }
            match known.get(&folded(&row.name)) {
                None => todo.push(Todo { row, known: false, folder: None, found: None }),
                Some(device) => match self.compare(&row, device) {
                    Ok(Standing::There) => there.push(row),
                    Ok(Standing::Bare) => todo.push(Todo { row, known: true, folder: None, found: None }),
                    Err((message, help)) => self.mistake(&row, message, Some(help)),
                },
            }
        }
        (todo, there)
    }

    /// Whether a registered device is what the row says.
    fn compare(&self, row: &Row, device: &Device) -> Result<Standing, (String, String)> {
        let name = device.name();
        let word = shell::name(name.as_str());
        if *name != row.name {
            let help = "names that differ in capital letters only are the same name".to_owned();
            return Err((format!("`{}` is registered as `{name}`", row.name), help));
        }
        let set = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        let own = set(roles(self.snapshot, device));
        let wanted = set(row.device.roles.iter().map(String::as_str).collect());
        let pairs = device.attributes().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let attributes: BTreeSet<(String, String)> = pairs.collect();
        let different = [
            ("roles", own != wanted),
            ("attributes", attributes != row.device.attributes.iter().cloned().collect()),
            ("`auth`", device.auth() != row.device.auth),
            ("state", device.state() != row.device.state),
        ];
        let different: Vec<&str> =
            different.iter().filter(|(_, found)| *found).map(|(what, _)| *what).collect();
        if !different.is_empty() {
            return Err((
                format!("`{name}` is registered already, with other {}", different.join(" and other ")),
                format!(
                    "`citronella device set {word}` changes it, `citronella device show {word}` shows it"
                ),
            ));
        }
        let has = match device.certificates() {
            Certificates::Listed(listed) => {
                listed.iter().any(|certificate| !device.revoked().contains(&certificate.sha256))
            }
            // By the settings' default; only the ledger knows whether there is one.
            Certificates::Any => self.authority.is_some_and(|authority| {
                authority.valid(Kind::Device, name.as_str(), Timestamp::now()).next().is_some()
            }),
        };
        let lacks_certificate = match row.credentials.certificate {
            Certificate::None => false,
            Certificate::Own => !has,
            Certificate::Any => *device.certificates() != Certificates::Any,
        };
        let lacks_password = row.credentials.password && device.password().is_none();
        match (lacks_certificate, lacks_password) {
            (false, false) => Ok(Standing::There),
            _ if !has && device.password().is_none() && row.credentials.certificate != Certificate::Any => {
                Ok(Standing::Bare)
            }
            (true, _) => Err((
                format!("`{name}` is registered already, without such a certificate"),
                format!("`citronella cert issue {word}` makes one"),
            )),
            (false, true) => Err((
                format!("`{name}` is registered already, without a password"),
                format!("`citronella password generate {word}` makes one"),
            )),
        }
    }

    /// What the authority has against a certificate.
    fn check_requests(&mut self, todo: &[Todo], import: &Import) -> Result<(), Failure> {
        let Some(authority) = self.authority else { return Ok(()) };
        let now = Timestamp::now();
        for todo in todo.iter().filter(|todo| todo.wants_certificate()) {
            match authority.check_device(&import.certificate.request(&todo.row.name), now) {
                Ok(()) => {}
                Err(error @ IssueError::NameTooLong(_)) => {
                    let help = format!(
                        "take a name of up to {MAX_COMMON_NAME_CHARS} characters, or write `password` in the column `credentials`"
                    );
                    self.mistake(&todo.row, error.to_string(), Some(help));
                }
                Err(error @ IssueError::SameSubject(_)) => self.mistake(&todo.row, error.to_string(), None),
                // It is the same for all.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Where credentials go, and what lies there.
    fn find_folders(&mut self, todo: &mut [Todo], import: &Import) -> Result<(), Failure> {
        let out = import.certificate.out();
        let connects = |todo: &Todo| todo.wants_certificate() || todo.row.credentials.password;
        if !todo.iter().any(connects) {
            return Ok(());
        }
        if !out.is_dir() {
            return Err(Failure::new(format!("there is no folder {}", out.display()))
                .help("make it, or name another with --out"));
        }
        let _rights = Rights::for_folder(out)?;
        for todo in todo.iter_mut().filter(|todo| connects(todo)) {
            let folder = out.join(bundle::folder_name(&todo.row.name));
            match bundle::check(out, &todo.row.name, import.certificate.on_existing()) {
                Ok(()) if !folder.exists() => {}
                present => {
                    todo.found = self.found(todo, &folder);
                    if let (None, Err(error)) = (&todo.found, present) {
                        let help = match error {
                            FolderError::Foreign(_) => "move it away, or take another --out",
                            _ => "take another --out, or replace it with --force",
                        };
                        self.mistake(&todo.row, error.to_string(), Some(help.to_owned()));
                    }
                }
            }
            todo.folder = Some(folder);
        }
        Ok(())
    }

    /// What an interrupted run has put in the folder, if that is all there is to be.
    fn found(&self, todo: &Todo, folder: &Path) -> Option<Found> {
        let name = &todo.row.name;
        let file = |extension| folder.join(bundle::folder_name(name)).with_added_extension(extension);
        let mut found = Found { entry: None, password: None };
        if todo.wants_certificate() {
            let entry = cert::in_folder(self.authority?, folder, name)?;
            let fingerprint: Fingerprint = entry.certificate.as_ref()?.sha256.parse().ok()?;
            let refused = |device: &Device| device.revoked().contains(&fingerprint);
            if !file("key").is_file() || self.snapshot.device(name.as_str()).is_some_and(refused) {
                return None;
            }
            found.entry = Some(entry);
        }
        if todo.row.credentials.password {
            let text = Secret::new(fs::read(file("password")).ok()?);
            let line = text.expose().strip_suffix(b"\n")?;
            found.password = Some(PasswordHash::of_generated(line).ok()?);
        }
        Some(found)
    }

    /// Loads everything as it is going to be, with credentials that stand for those to come; what is wrong with a
    /// device is told at its row.
    fn check_whole(&mut self, world: &World, todo: &[Todo]) -> Result<Option<Snapshot>, Failure> {
        let registry = &self.snapshot.settings().registry_file;
        let mut text = citronella::fs::read(registry, MAX_FILE_BYTES)?.text;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let certificate = NewCertificate {
            sha256: Fingerprint([0; 32]),
            serial: "00".to_owned(),
            not_after: UnixSeconds(Timestamp::MAX.as_second()),
        };
        let hash = password::generate()?.hash;
        let mut starts = Vec::new();
        for todo in todo.iter().filter(|todo| !todo.known) {
            starts.push((text.len(), &todo.row));
            let certificate = todo.is_listed(self.snapshot).then(|| certificate.clone());
            let password = todo.row.credentials.password.then(|| hash.clone());
            text.push_str(&todo.device(certificate, password).to_toml(&todo.row.name)?);
        }
        let loaded = Snapshot::load_with_registry(world.config(), &text);
        for found in loaded.report.iter().filter(|found| found.code.is_none()) {
            let row =
                found.place.as_ref().filter(|(source, _)| source.path() == registry).and_then(|place| {
                    let after = starts.partition_point(|(start, _)| *start <= place.1.start);
                    starts.get(after.checked_sub(1)?).map(|(_, row)| *row)
                });
            match row {
                Some(row) => self.mistake(row, found.message.clone(), found.help.clone()),
                None => self.report.push(found.clone()),
            }
        }
        Ok(loaded.snapshot)
    }
}

/// How a registered device stands to its row.
enum Standing {
    /// It is as the row says.
    There,
    /// It is, but for everything to connect with.
    Bare,
}
