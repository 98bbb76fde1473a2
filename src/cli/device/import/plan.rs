//! What an import is to do, and everything that keeps it from being done.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use citronella::{
    clock::UnixSeconds,
    config::DefaultCertificates,
    diag::{Diagnostic, Report, Source},
    ident::{DeviceName, MAX_COMMON_NAME_CHARS},
    password::{self, PasswordHash},
    pki::{
        Authority, Entry, IssueError,
        bundle::{self, FolderError, OnExisting},
    },
    registry::{
        Certificates, Device, Fingerprint, Password,
        edit::{NewCertificate, NewCertificates, NewDevice},
    },
    snapshot::Snapshot,
};
use jiff::Timestamp;

use super::{
    Import, Outline, Told,
    compare::{Standing, compare},
    found::{self, Found},
};
use crate::{
    check,
    device::sheet::{self, Certificate, Credentials, Row},
    output::{Failure, Output},
    registry,
    rights::Rights,
    world::World,
};

/// Everything that is to be done, and can be as far as that shows.
pub(super) struct Plan {
    source: Arc<Source>,
    pub(super) pending: Vec<Pending>,
    /// Devices that are as the file says.
    there: Vec<Row>,
    pub(super) authority: Option<Authority>,
    pub(super) registry: PathBuf,
    /// Devices that were registered before.
    pub(super) registered: usize,
}

/// A device that is to be registered, or completed.
pub(super) struct Pending {
    pub(super) row: Row,
    /// Registered, with nothing to connect with.
    pub(super) known: bool,
    /// Where its credentials go, or are.
    pub(super) folder: Option<PathBuf>,
    /// What an interrupted run has put there.
    pub(super) found: Option<Found>,
    /// A topic to which the device may publish.
    pub(super) topic: String,
    /// Whether the registry is to list its certificate.
    is_listed: bool,
}

/// Where a device's credentials go, or are.
#[derive(Default)]
pub(super) struct Place {
    folder: Option<PathBuf>,
    /// They lay there.
    taken_up: bool,
}

impl Pending {
    pub(super) fn wants_certificate(&self) -> bool {
        self.row.credentials.certificate == Certificate::Own
    }

    fn new(row: Row, known: Option<&Device>, snapshot: &Snapshot) -> Self {
        // Where all are accepted that name it, a list would take that away.
        let any = match known {
            Some(device) => *device.certificates() == Certificates::Any,
            None => snapshot.settings().default_certificates == DefaultCertificates::Any,
        };
        let own = row.credentials.certificate == Certificate::Own;
        let is_listed = own && (!any || row.credentials.password);
        Self { row, known: known.is_some(), folder: None, found: None, topic: String::new(), is_listed }
    }

    /// Its certificate, if the registry is to list it.
    pub(super) fn listed(&self, certificate: Option<&NewCertificate>) -> Option<NewCertificate> {
        certificate.filter(|_| self.is_listed).cloned()
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

    pub(super) fn place(&self) -> Place {
        Place { folder: self.folder.clone(), taken_up: self.found.is_some() }
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
        let mistakes = Mistakes { source: &source, report };
        let mut draft = Draft { mistakes, snapshot: &snapshot, authority: authority.as_ref() };
        let (mut pending, there) = draft.sort(rows);
        draft.check_requests(&pending, import)?;
        draft.find_folders(&mut pending, import)?;
        let mut mistakes = draft.mistakes;
        let (registry, registered) = (snapshot.settings().registry_file.clone(), snapshot.devices().len());
        let most = snapshot.settings().file_bytes;
        // What is in force and what is to be are not needed at once, and with a fleet each is large.
        drop(snapshot);
        let is_whole = pending.is_empty() || {
            let after = mistakes.check_whole(world, (&registry, most), &pending)?;
            if let Some(after) = &after {
                for pending in &mut pending {
                    pending.topic = registry::topic_to_try(after, pending.row.name.as_str());
                }
            }
            after.is_some()
        };
        let report = mistakes.report;
        let (errors, _) = report.count();
        match is_whole {
            true if errors == 0 => Ok(Self { source, pending, there, authority, registry, registered }),
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
        let pending = self.pending.iter().map(|pending| {
            let entry = pending.found.as_ref().and_then(|found| found.entry.as_ref());
            self.tell((&pending.row, pending.outline()), pending.place(), entry)
        });
        pending.chain(self.told_there()).collect()
    }

    pub(super) fn told_there(&self) -> impl Iterator<Item = Told> {
        self.there.iter().map(|row| self.tell((row, Outline::There), Place::default(), None))
    }

    pub(super) fn tell(
        &self,
        (row, outcome): (&Row, Outline),
        Place { folder, taken_up }: Place,
        entry: Option<&Entry>,
    ) -> Told {
        let made = entry.and_then(|entry| entry.certificate.as_ref());
        Told {
            name: row.name.to_string(),
            line: self.source.line_of(row.span.start),
            outcome,
            credentials: row.credentials.word(),
            folder,
            taken_up,
            serial: entry.map(|entry| entry.serial.clone()),
            sha256: made.map(|made| made.sha256.clone()),
            not_after: made.map(|made| made.period.not_after.to_string()),
        }
    }
}

/// What keeps it from being done.
struct Mistakes<'a> {
    source: &'a Arc<Source>,
    report: Report,
}

/// A plan that is being made.
struct Draft<'a, 's> {
    mistakes: Mistakes<'s>,
    snapshot: &'a Snapshot,
    authority: Option<&'a Authority>,
}

impl Mistakes<'_> {
    fn mistake(&mut self, row: &Row, message: String, help: Option<String>) {
        self.mistake_at(&row.span, message, help);
    }

    fn mistake_at(&mut self, span: &Range<usize>, message: String, help: Option<String>) {
        let found = Diagnostic::error(self.source, span.clone(), message);
        self.report.push(match help {
            Some(help) => found.help(help),
            None => found,
        });
    }

    /// Loads everything as it is going to be, with credentials that stand for those to come; what is wrong with a
    /// device is told at its row.
    fn check_whole(
        &mut self,
        world: &World,
        (registry, most): (&Path, u64),
        pending: &[Pending],
    ) -> Result<Option<Snapshot>, Failure> {
        let mut text = citronella::fs::read(registry, most)?.text;
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
        for pending in pending.iter().filter(|pending| !pending.known) {
            starts.push((text.len(), &pending.row));
            let certificate = pending.listed(Some(&certificate));
            let password = pending.row.credentials.password.then(|| hash.clone());
            text.push_str(&pending.device(certificate, password).to_toml(&pending.row.name)?);
        }
        let loaded = Snapshot::load_with_registry(world.config(), &text);
        for found in loaded.report.iter().filter(|found| found.code.is_none()) {
            let row =
                found.place.as_ref().filter(|(source, _)| source.path() == registry).and_then(|place| {
                    let after = starts.partition_point(|(start, _)| *start <= place.1.start);
                    starts.get(after.checked_sub(1)?).map(|(_, row)| *row)
                });
            match row {
                Some(row) => {
                    let start = found.place.as_ref().map_or(0, |place| place.1.start);
                    let line =
                        text.get(..start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
                    let span = if line.starts_with("role") { &row.roles_span } else { &row.span };
                    self.mistake_at(span, found.message.clone(), found.help.clone());
                }
                None => self.report.push(found.clone()),
            }
        }
        Ok(loaded.snapshot)
    }
}

impl Draft<'_, '_> {
    /// Tells what is to be done from what is done.
    fn sort(&mut self, rows: Vec<Row>) -> (Vec<Pending>, Vec<Row>) {
        let snapshot = self.snapshot;
        let folded = |name: &DeviceName| name.as_str().to_ascii_lowercase();
        let known: HashMap<String, &Device> =
            snapshot.devices().map(|device| (folded(device.name()), device)).collect();
        let mut seen: HashMap<String, u32> = HashMap::new();
        let (mut pending, mut there) = (Vec::new(), Vec::new());
        for row in rows {
            let line = self.mistakes.source.line_of(row.span.start);
            if let Some(first) = seen.insert(folded(&row.name), line) {
                let message = format!("`{}` stands here a second time, first in line {first}", row.name);
                self.mistakes.mistake_at(
                    &row.name_span,
                    message,
                    Some("small and capital letters are alike".to_owned()),
                );
                continue;
            }
            match known.get(&folded(&row.name)) {
                None => match row.name.check_new() {
                    Ok(()) => pending.push(Pending::new(row, None, snapshot)),
                    Err(error) => {
                        let message = format!("no new device can be called `{}`: {error}", row.name);
                        self.mistakes.mistake_at(
                            &row.name_span,
                            message,
                            Some("type the name anew".to_owned()),
                        );
                    }
                },
                // What it is meant to be is not known.
                Some(_) if !row.is_sound => {}
                Some(device) => match compare((self.snapshot, self.authority), &row, device) {
                    Ok(Standing::There) => there.push(row),
                    Ok(Standing::Bare) => pending.push(Pending::new(row, Some(device), snapshot)),
                    Err((message, help)) => self.mistakes.mistake(&row, message, Some(help)),
                },
            }
        }
        (pending, there)
    }

    /// What the authority has against a certificate.
    fn check_requests(&mut self, pending: &[Pending], import: &Import) -> Result<(), Failure> {
        let Some(authority) = self.authority else { return Ok(()) };
        let now = Timestamp::now();
        for pending in pending.iter().filter(|pending| pending.wants_certificate()) {
            match authority.check_device(&import.certificate.request(&pending.row.name), now) {
                Ok(()) => {}
                Err(error @ IssueError::NameTooLong(_)) => {
                    let help = format!(
                        "take a name of up to {MAX_COMMON_NAME_CHARS} characters, or write `password` in the column `credentials`"
                    );
                    self.mistakes.mistake_at(&pending.row.name_span, error.to_string(), Some(help));
                }
                Err(error @ IssueError::SameSubject(_)) => {
                    self.mistakes.mistake_at(&pending.row.name_span, error.to_string(), None)
                }
                // It is the same for all.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Where credentials go, and what lies there.
    fn find_folders(&mut self, pending: &mut [Pending], import: &Import) -> Result<(), Failure> {
        let out = import.certificate.out();
        let connects = |pending: &Pending| pending.wants_certificate() || pending.row.credentials.password;
        if !pending.iter().any(connects) {
            return Ok(());
        }
        if !out.is_dir() {
            return Err(Failure::new(format!("there is no folder {}", out.display()))
                .help("make it, or name another with --out"));
        }
        let _rights = Rights::for_folder(out)?;
        for pending in pending.iter_mut().filter(|pending| connects(pending)) {
            let folder = out.join(bundle::folder_name(&pending.row.name));
            match bundle::check(out, &pending.row.name, import.certificate.on_existing()) {
                Ok(()) if !folder.exists() => {}
                present => {
                    // Who replaces wants nothing that lay there: its key may be the reason.
                    if import.certificate.on_existing() == OnExisting::Refuse {
                        match found::look((self.snapshot, self.authority), import, pending, &folder) {
                            Ok(found) => pending.found = found,
                            Err(objection) => {
                                self.mistakes.mistake(&pending.row, objection.message, Some(objection.help));
                                continue;
                            }
                        }
                    }
                    if let (None, Err(error)) = (&pending.found, present) {
                        let help = match error {
                            FolderError::Foreign(_) => "move it away, or take another --out",
                            _ => "take another --out, or replace it with --force",
                        };
                        self.mistakes.mistake(&pending.row, error.to_string(), Some(help.to_owned()));
                    }
                }
            }
            pending.folder = Some(folder);
        }
        Ok(())
    }
}
